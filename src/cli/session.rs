//! An open cluster with its picture, and, where weir itself is the cluster, the reconcilers that answer.
//!
//! One-shot commands live as long as their question: they open a session, ask, and close it. Start with
//! [`Session::open`] (to look) and [`Session::with_reconcilers`] (to wait for an effect).

use std::future::Future;
use std::time::Duration;

use serde_json::json;

use super::{CliError, Cx};
use crate::base::{Stamp, format_duration};
use crate::cluster::{Apply, Cluster, Place, Target};
use crate::embedded::{self, Embedded};
use crate::kinds;
use crate::reconcile::{self, Context, Options, Running};
use crate::store::watch::{self, Scope, Watching};
use crate::store::{Activity, Feed, Store};
use crate::verbs::Desk;

/// How long the first lists may take before a command goes on with what it has.
const FIRST_LISTS: Duration = Duration::from_secs(15);
/// Who owns the definitions and the namespace that weir brings to its own cluster.
const MANAGER: &str = "weir";

/// What a command asks through.
pub struct Session {
    pub desk: Desk,
    watching: Watching,
    running: Option<Running>,
    /// Artifacts of a cluster that is not kept here.
    passing: Option<tempfile::TempDir>,
}

/// Opens the way to the cluster that the flags name, without a picture.
pub async fn connect(cx: &Cx) -> Result<Cluster, CliError> {
    let target = cx.global.target()?;
    let cluster = match &target {
        Target::Embedded { data } => {
            let options = embedded::Options { data: Some(data.clone()), ..embedded::Options::default() };
            let opened = Embedded::open(options).await.map_err(|e| CliError::config(e.to_string(), ""))?;
            Cluster::over(opened.client(), Place::Embedded { data: Some(data.clone()), address: None })
        }
        other => Cluster::connect(other).await?.cluster,
    };
    if cluster.place().is_embedded() {
        furnish(cx, &cluster).await?;
    }
    Ok(cluster)
}

/// Gives weir's own cluster what its kinds need: their definitions, and the namespace that commands work in.
async fn furnish(cx: &Cx, cluster: &Cluster) -> Result<(), CliError> {
    let how = Apply { manager: MANAGER, force: true, dry_run: false };
    for crd in kinds::reconciled().filter_map(|kind| kind.crd) {
        cluster.apply(&crd(), &how).await?;
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cx.global.namespace()}});
    if cluster.get(&kinds::of("", "Namespace").id("", &cx.global.namespace())).await?.is_none() {
        cluster.apply(&namespace, &how).await?;
    }
    Ok(())
}

/// Whether this process is the one that must reconcile on that cluster, because nobody else can.
fn is_held_here(cluster: &Cluster) -> bool {
    matches!(cluster.place(), Place::Embedded { address: None, .. })
}

impl Session {
    /// Connects and waits for the first picture.
    pub async fn open(cx: &Cx) -> Result<Session, CliError> {
        Ok(Session::over(connect(cx).await?, Activity::default()).await)
    }

    /// As [`Session::open`]; when this process holds the embedded API, its reconcilers run too, because nobody else
    /// would do what is waited for.
    pub async fn with_reconcilers(cx: &Cx) -> Result<Session, CliError> {
        let mut session = Session::open(cx).await?;
        if is_held_here(&session.desk.cluster) {
            session.reconcile().await?;
        }
        Ok(session)
    }

    /// Takes a picture of an open cluster and waits until it is whole.
    pub async fn over(cluster: Cluster, activity: Activity) -> Session {
        let desk = Desk { cluster, store: Store::new(), activity };
        let watching = watch::start(&desk.cluster, &desk.store, Scope::default());
        let session = Session { desk, watching, running: None, passing: None };
        session.first_picture().await;
        session
    }

    /// Starts the reconcilers; they end with the session.
    ///
    /// Errors when another weir has the artifacts, or they cannot be written.
    pub async fn reconcile(&mut self) -> Result<(), CliError> {
        let kept = match self.desk.cluster.place() {
            Place::Embedded { data: Some(data), .. } => Some(data.join("artifacts")),
            _ => None,
        };
        let unusable = |e: &dyn std::fmt::Display| CliError::config(e.to_string(), "");
        let passing = tempfile::tempdir().map_err(|e| unusable(&e))?;
        let files = kept.unwrap_or_else(|| passing.path().to_owned());
        let (cluster, store) = (self.desk.cluster.clone(), self.desk.store.clone());
        let opened = Context::open(cluster, store, Options::default(), &files).await;
        self.running = Some(reconcile::start_all(opened.map_err(|e| unusable(&e))?));
        self.passing = Some(passing);
        Ok(())
    }

    /// Waits until every watch has listed once, failed, or the time is over.
    async fn first_picture(&self) {
        let changes = self.desk.store.subscribe();
        let listed = async {
            while self.desk.store.feeds().iter().any(|line| line.feed == Feed::Loading) {
                changes.next().await;
            }
        };
        tokio::time::timeout(FIRST_LISTS, listed).await.ok();
    }

    /// Holds a question to the time of `--timeout`.
    pub async fn within<T, E: Into<CliError>>(
        &self,
        cx: &Cx,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CliError> {
        match tokio::time::timeout(cx.global.timeout, question).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(CliError::cluster(
                format!("no effect within {}", format_duration(cx.global.timeout)),
                "it may still come: look with `weir get all`, or wait longer with --timeout",
            )),
        }
    }

    /// Ends the reconcilers, then the watches.
    pub async fn close(self) {
        if let Some(running) = self.running {
            running.stop().await;
        }
        self.watching.stop().await;
    }
}

/// The time, for ages.
pub fn now() -> Stamp {
    Stamp(jiff::Timestamp::now().as_second())
}
