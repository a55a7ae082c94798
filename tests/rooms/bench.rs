//! A desk on the embedded API in memory, and a reconciler of few words that answers as Flux's do.
//!
//! The real reconcilers have tests of their own; here it matters only what a verb makes of their answers.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;
use weir::base::{Id, Text};
use weir::cluster::{Apply, Cluster, Target};
use weir::embedded::Embedded;
use weir::store::watch::{Scope, Watching, start};
use weir::store::{Activity, Store};
use weir::verbs::{self, Answer, Ask, Desk, Outcome, Query, Refusal};

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const GIT: &str = "source.toolkit.fluxcd.io";
pub const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";

pub struct Bench {
    pub desk: Desk,
    pub embedded: Embedded,
    /// What the last verb said while it waited.
    pub said: Mutex<Vec<String>>,
    _watching: Watching,
    _actors: JoinSet<()>,
}

pub async fn bench() -> Bench {
    let connected = Cluster::connect(&Target::EmbeddedInMemory).await.unwrap();
    let (cluster, embedded) = (connected.cluster, connected.embedded.unwrap());
    let desk = Desk::new(cluster, Store::new(), Activity::default());
    let watching = start(&desk.cluster, &desk.store, Scope::default());
    timeout(PATIENCE, desk.store.loaded()).await.unwrap();
    Bench { desk, embedded, said: Mutex::default(), _watching: watching, _actors: JoinSet::new() }
}

impl Bench {
    /// With a reconciler; objects whose name begins with `bad` fail, with `late` wait for another.
    pub async fn with_reconciler() -> Bench {
        let mut bench = bench().await;
        let desk = bench.desk.clone();
        let news = desk.store.subscribe();
        bench._actors.spawn(async move {
            loop {
                for id in news.next().await.ids {
                    if let Some(entry) = desk.store.get(&id) {
                        act(&desk, &id, &entry.object.body()).await;
                    }
                }
            }
        });
        bench
    }

    pub async fn apply(&self, document: Value) -> Id {
        let how = Apply { manager: "test", force: true, dry_run: false };
        let stored = self.desk.cluster.apply(&document, &how).await.unwrap();
        let id = Id::of(&stored).unwrap();
        self.until(|store| store.get(&id).is_some()).await;
        id
    }

    pub async fn until(&self, holds: impl Fn(&Store) -> bool) {
        let news = self.desk.store.subscribe();
        let wait = async {
            while !holds(&self.desk.store) {
                news.next().await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the picture does not become as expected");
    }

    pub async fn ask(&self, ask: Ask) -> Result<Outcome, Refusal> {
        self.said.lock().unwrap().clear();
        let progress = |words: Text| self.said.lock().unwrap().push(words.into_string());
        timeout(PATIENCE, verbs::ask(&self.desk, ask, &progress)).await.expect("the verb does not end")
    }

    pub async fn fetch(&self, query: Query) -> Answer {
        verbs::fetch(&self.desk, query).await.unwrap()
    }

    pub async fn live(&self, id: &Id) -> Value {
        self.desk.cluster.get(id).await.unwrap().unwrap()
    }
}

/// One run of the reconciler, when there is something to do.
async fn act(desk: &Desk, id: &Id, document: &Value) {
    let is_source = &*id.group == GIT;
    if !is_source && &*id.group != KUSTOMIZE || document.pointer("/spec/suspend") == Some(&json!(true)) {
        return;
    }
    let asked = document.pointer("/metadata/annotations/reconcile.fluxcd.io~1requestedAt").cloned().unwrap_or_default();
    let handled = document.pointer("/status/lastHandledReconcileAt").cloned().unwrap_or_default();
    let generation = &document["metadata"]["generation"];
    if asked == handled && document.pointer("/status/conditions/0/observedGeneration") == Some(generation) {
        return;
    }
    let (status, reason, message) = match &*id.name {
        name if name.starts_with("bad") => ("False", "BuildFailed", "kustomization.yaml is not there"),
        name if name.starts_with("late") => ("False", "DependencyNotReady", "dependency a/b is not ready"),
        _ => {
            ("True", "ReconciliationSucceeded", "Applied revision: main@sha1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b")
        }
    };
    let mut patch = json!({"status": {"lastHandledReconcileAt": asked, "observedGeneration": generation, "conditions": [
        {"type": "Ready", "status": status, "reason": reason, "message": message, "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let revision = "main@sha1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";
    match is_source {
        true => {
            patch["status"]["artifact"] = json!({"path": "p", "url": "http://x/p", "revision": revision,
                "digest": "sha256:00", "lastUpdateTime": "2026-01-01T00:00:00Z"});
        }
        false => patch["status"]["lastAppliedRevision"] = revision.into(),
    }
    // It may be gone by now.
    let _ = desk.cluster.merge_patch(id, &patch, Some("status"), "test-reconciler").await;
}

pub fn repository(name: &str) -> Value {
    json!({"apiVersion": format!("{GIT}/v1"), "kind": "GitRepository", "metadata": {"name": name, "namespace": "default"},
        "spec": {"url": "https://example.org/x", "interval": "1m"}})
}

pub fn kustomization(name: &str, source: &str) -> Value {
    json!({"apiVersion": format!("{KUSTOMIZE}/v1"), "kind": "Kustomization",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"interval": "5m", "prune": true, "path": "./", "sourceRef": {"kind": "GitRepository", "name": source}}})
}

pub fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
        "data": {"value": value}})
}
