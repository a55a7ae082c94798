//! Release records in Secrets: read, created, updated and trimmed. What was written in a run is remembered.
//!
//! Creating the Secret of the next version is the fence between two writers: who comes second is refused, and stops.
//! Start with [`Storage`]. Source: helm pkg/storage/storage.go and driver/secrets.go.

use std::collections::BTreeMap;

use crate::base::{Id, Value};
use crate::cluster::{Cluster, ClusterError, Precondition, Propagation};
use crate::engine::release::{Record, RecordError, Status, secret_name};
use crate::kinds;

/// Who writes the records, as managed fields name it.
const MANAGER: &str = "helm-controller";
/// Label of the records that one HelmRelease made: its uid and the version. Helm hands labels on from revision to
/// revision, so that the version tells a record of weir's from one that a person made after it.
const HOLDER: &str = "weir.dev/holder";
/// Label that says what a record was made of: the generation of the HelmRelease and the version that it replaces. Who
/// comes after a crash goes on with the action only if the same is still wanted.
const MADE_OF: &str = "weir.dev/made-of";

/// Why a record could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{0}")]
    Cluster(#[from] ClusterError),
    #[error("{secret} exists already: somebody else releases at the same time")]
    Raced { secret: String },
}

/// The records of one release.
pub struct Storage<'a> {
    cluster: &'a Cluster,
    namespace: String,
    release: String,
    holder: String,
    generation: i64,
    /// The records as they were last written in this run.
    pub written: BTreeMap<i64, Record>,
}

/// A record that was not opened yet.
#[derive(Clone, Debug)]
pub struct Stored {
    pub version: i64,
    pub status: Status,
    secret: Value,
}

impl Stored {
    /// Opens it.
    ///
    /// Errors when it cannot be read.
    pub fn open(&self) -> Result<Record, RecordError> {
        Record::from_secret(&self.secret)
    }
}

impl<'a> Storage<'a> {
    /// The records of a release in a namespace, for the object that makes it.
    pub fn new(cluster: &'a Cluster, namespace: &str, release: &str, maker: &kube::api::ObjectMeta) -> Self {
        Storage {
            cluster,
            namespace: namespace.into(),
            release: release.into(),
            holder: maker.uid.clone().unwrap_or_default(),
            generation: maker.generation.unwrap_or_default(),
            written: BTreeMap::new(),
        }
    }

    /// All records, oldest first, unopened.
    ///
    /// Errors when the server cannot say.
    pub async fn history(&self) -> Result<Vec<Stored>, StorageError> {
        let api = kinds::of("", "Secret").api();
        let selector = format!("owner=helm,name={}", self.release);
        let secrets = self.cluster.list(&api, Some(&self.namespace), Some(&selector)).await?;
        let stored = |secret: Value| {
            let label = |key: &str| secret["metadata"]["labels"][key].as_str().unwrap_or_default();
            let name = secret["metadata"]["name"].as_str().unwrap_or_default();
            let in_name = || name.rsplit_once(".v").and_then(|(_, version)| version.parse().ok());
            let version = label("version").parse().ok().or_else(in_name);
            let version = version.ok_or_else(|| RecordError {
                secret: name.to_owned(),
                why: "neither its label nor its name has a version".into(),
            })?;
            let status = Status::of(label("status"));
            Ok(Stored { version, status, secret })
        };
        let mut all = secrets.into_iter().map(stored).collect::<Result<Vec<Stored>, RecordError>>()?;
        all.sort_by_key(|stored| stored.version);
        Ok(all)
    }

    /// The newest record.
    ///
    /// Errors when it cannot be read: what is there and broken is not absent.
    pub async fn last(&self) -> Result<Option<Record>, StorageError> {
        Ok(self.history().await?.last().map(Stored::open).transpose()?)
    }

    /// The newest deployed record.
    pub async fn deployed(&self) -> Result<Option<Record>, StorageError> {
        let history = self.history().await?;
        let found = history.iter().rev().find(|stored| stored.status == Status::Deployed);
        Ok(found.map(Stored::open).transpose()?)
    }

    /// One record; `None` when it is not there.
    pub async fn get(&self, version: i64) -> Result<Option<Record>, StorageError> {
        match self.cluster.get(&self.id(version)).await? {
            Some(secret) => Ok(Some(Record::from_secret(&secret)?)),
            None => Ok(None),
        }
    }

    /// Writes a new record over another version.
    ///
    /// Errors with `Raced` when that version is there already.
    pub async fn create(&mut self, record: &mut Record, over: i64) -> Result<(), StorageError> {
        record.labels.insert(HOLDER.into(), self.mark(record.version));
        record.labels.insert(MADE_OF.into(), format!("g{}.v{over}", self.generation));
        let secret = record.to_secret(&self.namespace, ("createdAt", now()))?;
        match self.cluster.create(&secret, MANAGER, false).await {
            Err(ClusterError::Exists { what }) => return Err(StorageError::Raced { secret: what }),
            answer => answer?,
        };
        self.written.insert(record.version, record.clone());
        Ok(())
    }

    /// Writes a record anew.
    ///
    /// Errors when it is gone: a record is never brought back.
    pub async fn update(&mut self, record: &Record) -> Result<(), StorageError> {
        let secret = record.to_secret(&self.namespace, ("modifiedAt", now()))?;
        let patch = serde_json::json!({"metadata": {"labels": secret["metadata"]["labels"]}, "data": secret["data"]});
        self.cluster.merge_patch(&self.id(record.version), &patch, None, MANAGER).await?;
        self.written.insert(record.version, record.clone());
        Ok(())
    }

    pub async fn delete(&self, version: i64) -> Result<(), StorageError> {
        self.cluster.delete(&self.id(version), Propagation::Background, &Precondition::default()).await?;
        Ok(())
    }

    /// Whether a record was made by this very object in this very revision.
    pub fn is_own(&self, record: &Record) -> bool {
        record.labels.get(HOLDER).is_some_and(|mark| *mark == self.mark(record.version))
    }

    /// The version that an own record was to replace, if it was made of the spec as it is now; 0 for none.
    pub fn replaces(&self, record: &Record) -> Option<i64> {
        let made_of = record.labels.get(MADE_OF).filter(|_| self.is_own(record))?;
        made_of.strip_prefix(&format!("g{}.v", self.generation))?.parse().ok()
    }

    fn mark(&self, version: i64) -> String {
        format!("{}.v{version}", self.holder)
    }

    /// Deletes the oldest records that are too many, once the newest is no more pending. What is deployed stays, and what
    /// the newest came from. Source: helm pkg/storage, which does it before the action: who comes after a death in the
    /// middle would find neither what was to be replaced nor where a rollback was to go.
    ///
    /// Errors when the server cannot say or do.
    pub async fn trim(&self, newest: &Record, history: &[Stored], max_history: i64) -> Result<(), StorageError> {
        if max_history <= 0 || !matches!(newest.info.status, Status::Deployed | Status::Failed) || !self.is_own(newest)
        {
            return Ok(());
        }
        let over = newest.labels.get(MADE_OF).and_then(|made_of| made_of.rsplit_once(".v")?.1.parse().ok());
        let from = if newest.info.rollback_revision > 0 { Some(newest.info.rollback_revision) } else { over };
        let deployed = history.iter().rev().find(|stored| stored.status == Status::Deployed);
        let stays = [Some(newest.version), from, deployed.map(|stored| stored.version)];
        let surplus = history.len().saturating_sub(usize::try_from(max_history).unwrap_or_default());
        for stored in history.iter().filter(|stored| !stays.contains(&Some(stored.version))).take(surplus) {
            self.delete(stored.version).await?;
        }
        Ok(())
    }

    fn id(&self, version: i64) -> Id {
        Id::new("", "Secret", &self.namespace, &secret_name(&self.release, version))
    }
}

/// Unix seconds.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
