//! The reconcilers on the embedded API, in memory: objects go in by the wire, and what came of them is read back.
//!
//! [`World`] is the one way in: it opens the API, the picture and the queue, and knows how to wait.

mod expressions;
mod git_repository;
mod helm;
mod helm_release;
mod image_parts;
mod image_preview;
mod image_races;
mod images;
mod kills;
mod kustomization;
mod oci;
mod release_cases;
mod release_previews;
mod release_races;
mod release_secrets;
mod remote_bases;
mod shell;
mod targets;

use std::time::Duration;

use serde_json::{Value, json};
use weir::base::{Condition, Digest, FileTree, Id, Stamp};
use weir::cluster::{Apply, Cluster, Place, Precondition, Propagation};
use weir::embedded::{self, Embedded};
use weir::kinds;
use weir::outside::artifacts::Owner;
use weir::reconcile::{Context, Crew, Options, Running};
use weir::store::{self, Store, watch::Watching};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster in memory, with the picture of it.
pub struct World {
    pub api: Embedded,
    pub cluster: Cluster,
    pub cx: Context,
    /// Where the artifacts are on disk.
    pub files: tempfile::TempDir,
    running: Option<Running>,
    _watching: Watching,
}

impl World {
    /// Opens a world whose reconcilers are not started yet.
    pub async fn new(options: Options) -> World {
        if std::env::var("WEIR_TEST_LOG").is_ok() {
            tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_test_writer().try_init().ok();
        }
        let api = Embedded::open(embedded::Options::default()).await.unwrap();
        World::on(api, options).await
    }

    /// As [`World::new`], with workloads that never become ready by themselves.
    pub async fn still(options: Options) -> World {
        let api = Embedded::open(embedded::Options { simulate: false, ..Default::default() }).await.unwrap();
        World::on(api, options).await
    }

    /// Looks at an open API with new eyes, as a new process would.
    pub async fn on(api: Embedded, options: Options) -> World {
        let cluster = Cluster::over(api.client(), Place::Embedded { data: None, address: None });
        for kind in kinds::reconciled() {
            let crd = (kind.custom.as_ref().unwrap().crd)();
            put(&cluster, &crd).await;
            let served = async {
                while cluster.find_api(kind.group, kind.kind, Some(kind.version)).await.unwrap().is_none() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(PATIENCE, served).await.expect("the CRD is served");
        }
        let store = Store::new();
        let watching = store::watch::start(&cluster, &store, store::watch::Scope::default());
        let files = tempfile::tempdir().unwrap();
        let cx = Context::open(cluster.clone(), store, options, files.path()).await.unwrap();
        World { api, cluster, cx, files, running: None, _watching: watching }
    }

    /// Starts some reconcilers.
    pub fn start(&mut self, crew: Crew) {
        self.running = Some(crew.start(self.cx.clone()));
    }

    /// Stops them, wherever they are.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// Gives a source an artifact with these files, as its own reconciler would.
    pub async fn publish(&self, name: &str, revision: &str, files: &[(&str, &str)]) {
        let tree: FileTree = files.iter().copied().collect();
        let archive = weir::engine::archive::pack(&tree);
        let file = format!("{}.tar.gz", Digest::sha256(&archive).hex);
        let owner = Owner::new("GitRepository", "default", name);
        let stored = self.cx.artifacts.store(&owner, &file, revision, archive, Stamp(0)).await.unwrap();
        let source = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"url": "https://example.com/repo", "interval": "10m"}});
        self.put(source).await;
        let artifact = json!({"path": stored.path, "url": stored.url, "revision": revision,
            "digest": stored.digest.to_string(), "lastUpdateTime": "2026-01-01T00:00:00Z"});
        let id = kinds::git_repository::KIND.id("default", name);
        let patch = json!({"status": {"artifact": artifact}});
        self.cluster.merge_patch(&id, &patch, Some("status"), "test").await.unwrap();
    }

    /// Applies a document as a person would.
    pub async fn put(&self, document: Value) -> Value {
        put(&self.cluster, &document).await
    }

    pub async fn get(&self, id: &Id) -> Option<Value> {
        self.cluster.get(id).await.unwrap()
    }

    /// Whether an object is there.
    pub async fn has(&self, id: &Id) -> bool {
        self.get(id).await.is_some()
    }

    pub async fn patch(&self, id: &Id, patch: Value) -> Value {
        self.cluster.merge_patch(id, &patch, None, "kubectl-edit").await.unwrap()
    }

    pub async fn delete(&self, id: &Id) {
        self.cluster.delete(id, Propagation::Background, &Precondition::default()).await.unwrap();
    }

    /// Waits until an object is as wanted; fails with what it was last.
    pub async fn until(&self, id: &Id, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                last = self.get(id).await;
                if let Some(document) = last.as_ref().filter(|document| wanted(document)) {
                    return document.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let found = found.await.ok();
        found.unwrap_or_else(|| panic!("{id} was never {what}: {:#}", last.unwrap_or_default()["status"]))
    }

    /// Waits until an object's Ready has a reason.
    pub async fn until_reason(&self, id: &Id, reason: &str) -> Value {
        self.until(id, reason, |document| ready(document).is_some_and(|ready| ready.reason == reason)).await
    }

    pub async fn until_gone(&self, id: &Id) {
        let gone = async {
            while self.has(id).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, gone).await.is_ok(),
            "{id} never went: {:#}",
            self.get(id).await.unwrap_or_default()
        );
    }

    /// The status writes of one object since the requests were last forgotten.
    pub fn status_writes(&self, id: &Id) -> usize {
        let ending = format!("/{}/status", id.name);
        let writes = self.api.dial().requests().into_iter();
        writes.filter(|asked| asked.method != "GET" && asked.path.ends_with(&ending)).count()
    }

    /// Every write but events, since the requests were last forgotten.
    pub fn writes(&self) -> Vec<String> {
        let writes = self.api.dial().requests().into_iter();
        writes
            .filter(|asked| asked.method != "GET" && !asked.query.contains("dryRun") && !asked.path.contains("/events"))
            .map(|asked| format!("{} {}", asked.method, asked.path))
            .collect()
    }

    /// The messages of the events about an object.
    /// What was told of an object, in the order of the telling: a list comes by name, and names are digests.
    pub async fn events(&self, id: &Id) -> Vec<String> {
        let mut events = self.cluster.list(&kinds::event::KIND.api(), None, None).await.unwrap();
        events.sort_by_key(|event| event["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap());
        let about = events.iter().filter(|event| kinds::event::subject(event).as_ref() == Some(id));
        about
            .map(|event| format!("{}: {}", event["reason"].as_str().unwrap(), event["message"].as_str().unwrap()))
            .collect()
    }
}

async fn put(cluster: &Cluster, document: &Value) -> Value {
    let how = Apply { manager: "kubectl", force: true, dry_run: false };
    cluster.apply(document, &how).await.unwrap_or_else(|error| panic!("{error}: {document:#}"))
}

pub fn ready(document: &Value) -> Option<Condition> {
    Condition::find(document, "Ready")
}

/// An object in the namespace of all tests.
pub fn id(group: &str, kind: &str, name: &str) -> Id {
    Id::new(group, kind, "default", name)
}

pub fn config_map(name: &str) -> Id {
    id("", "ConfigMap", name)
}
