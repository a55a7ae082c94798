//! The objects of a release in the cluster: placed, owned, created, updated, deleted and waited for.
//!
//! Nothing is deleted because of an error: what cannot be read stays. Start with [`Objects`].
//! Source: helm pkg/kube/client.go, pkg/action/validate.go.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use serde_json::Value;

use super::super::kustomization::health::{self, Checks, Unwell};
use super::super::{Context, Run};
use super::merging::{client_side, taken_over};
use super::plan::Action;
use super::render::set;
use crate::base::{Api, Id};
use crate::cluster::{Apply, ClusterError, Precondition, Propagation};
use crate::engine::release::documents;
use crate::kinds::kustomization::{Inventory, InventoryEntry};

/// The field manager of everything that a HelmRelease releases.
pub const MANAGER: &str = "helm-controller";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
/// `keep` on an object saves it from every deletion.
const POLICY: &str = "helm.sh/resource-policy";
/// Requests at the same time.
const AT_ONCE: usize = 4;
/// Looks at an object that others write at the same time.
const ATTEMPTS: u32 = 4;

/// An object of a manifest with where it is served.
#[derive(Clone, Debug)]
pub struct Placed {
    pub id: Id,
    pub api: Api,
    pub document: Value,
}

/// How objects are written.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub server_side: bool,
    /// Without server-side apply: replaces instead of patching.
    pub replace: bool,
}

impl Manner {
    /// How an action changes what is there.
    pub fn of(action: &Action, server_side: bool) -> Self {
        Manner { server_side, replace: action.force && !server_side }
    }
}

/// The release whose objects they are.
pub struct Objects<'a> {
    pub cx: &'a Context,
    /// What judges them in place of kstatus.
    pub checks: &'a Checks,
    pub release: &'a str,
    pub namespace: &'a str,
}

impl Objects<'_> {
    /// Reads a manifest and finds out where its objects are served; lists are taken apart.
    ///
    /// Errors with the object that has no place.
    pub async fn read(&self, manifest: &str) -> Result<Vec<Placed>, String> {
        let mut placed = Vec::new();
        for document in documents(manifest)? {
            placed.push(self.place(document).await?);
        }
        Ok(placed)
    }

    /// Finds out where an object is served and settles its namespace.
    ///
    /// Errors when it has no place.
    pub async fn place(&self, mut document: Value) -> Result<Placed, String> {
        let Some(id) = Id::of(&document) else {
            let kind = document["kind"].as_str().unwrap_or_default();
            return Err(match document["metadata"]["generateName"].as_str() {
                Some(_) => format!("{kind}: metadata.generateName is not supported by weir yet: give it a name"),
                None => format!("a document of kind {kind:?} has no apiVersion, kind or name"),
            });
        };
        let api_version = document["apiVersion"].as_str().unwrap_or_default().to_owned();
        let version = api_version.rsplit('/').next().unwrap_or_default();
        let api = match self.cx.cluster.find_api(&id.group, &id.kind, Some(version)).await {
            Ok(Some(api)) => api,
            Ok(None) => {
                return Err(format!(
                    "resource mapping not found for {id}: no matches for kind {:?} in version {api_version:?}: install its \
                     CRD first",
                    &*id.kind
                ));
            }
            Err(error) => return Err(format!("{id}: {error}")),
        };
        let id = match (api.namespaced, id.namespace.is_empty()) {
            (true, true) => {
                document["metadata"]["namespace"] = self.namespace.into();
                id.in_namespace(self.namespace)
            }
            (false, false) => {
                if let Some(metadata) = document["metadata"].as_object_mut() {
                    metadata.shift_remove("namespace");
                }
                id.in_namespace("")
            }
            _ => id,
        };
        Ok(Placed { id, api, document })
    }

    /// Marks objects as the release's own.
    pub fn own(&self, mut placed: Vec<Placed>) -> Vec<Placed> {
        for placed in &mut placed {
            set(&mut placed.document, "labels", MANAGED_BY, "Helm");
            set(&mut placed.document, "annotations", RELEASE_NAME, self.release);
            set(&mut placed.document, "annotations", RELEASE_NAMESPACE, self.namespace);
        }
        placed
    }

    /// Why an object that lives is not this release's.
    fn foreign(&self, live: &Value) -> Option<String> {
        let mut wrong = Vec::new();
        let wanted = [
            ("label", "labels", MANAGED_BY, "Helm"),
            ("annotation", "annotations", RELEASE_NAME, self.release),
            ("annotation", "annotations", RELEASE_NAMESPACE, self.namespace),
        ];
        for (what, place, key, wanted) in wanted {
            match live["metadata"][place][key].as_str() {
                Some(found) if found == wanted => {}
                Some(found) => wrong.push(format!(
                    "{what} validation error: key {key:?} must equal {wanted:?}: current value is {found:?}"
                )),
                None => wrong.push(format!("{what} validation error: missing key {key:?}: must be set to {wanted:?}")),
            }
        }
        (!wrong.is_empty()).then(|| format!("invalid ownership metadata; {}", wrong.join("; ")))
    }

    /// Whether an object that lives is this release's.
    pub fn is_own(&self, live: &Value) -> bool {
        self.foreign(live).is_none()
    }

    /// Whether any of these objects lives and is this release's.
    ///
    /// Errors when the server cannot say.
    pub async fn any_lives(&self, ids: &[Id]) -> Result<bool, ClusterError> {
        for id in ids {
            match self.cx.cluster.get(id).await {
                Ok(Some(live)) if self.is_own(&live) => return Ok(true),
                Ok(_) | Err(ClusterError::NoKind { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Refuses objects that live and belong to somebody else.
    ///
    /// Errors with the first of them.
    pub async fn check_ownership(&self, placed: &[Placed]) -> Result<(), String> {
        for placed in placed {
            let live = self.cx.cluster.get_as(&placed.api, &placed.id).await;
            let live =
                live.map_err(|error| format!("could not get information about the resource {}: {error}", placed.id))?;
            if let Some(why) = live.as_ref().and_then(|live| self.foreign(live)) {
                return Err(format!("{} exists and cannot be imported into the current release: {why}", placed.id));
            }
        }
        Ok(())
    }

    /// Creates or changes objects, kind after kind; answers which of them are new, also when it fails.
    ///
    /// Errors with everything that the server refused.
    pub async fn write(
        &self,
        originals: &[Placed],
        targets: &[Placed],
        manner: Manner,
    ) -> (Vec<Placed>, Result<(), String>) {
        let mut created = Vec::new();
        for group in targets.chunk_by(|a, b| a.id.kind == b.id.kind && a.id.group == b.id.group) {
            let mut work = Vec::with_capacity(group.len());
            for target in group {
                let original = originals.iter().find(|original| original.id == target.id);
                work.push(self.write_one(original, target, manner));
            }
            let results: Vec<Result<bool, ClusterError>> = stream::iter(work).buffered(AT_ONCE).collect().await;
            let done = group.iter().zip(results);
            let mut failed = Vec::new();
            for (target, result) in done {
                match result {
                    Ok(true) => created.push(target.clone()),
                    Ok(false) => {}
                    Err(error) => failed.push(format!("{}: {error}", target.id)),
                }
            }
            if !failed.is_empty() {
                return (created, Err(failed.join(" && ")));
            }
        }
        (created, Ok(()))
    }

    /// Answers whether the object is new. Who was overtaken by another writer looks again.
    async fn write_one(
        &self,
        original: Option<&Placed>,
        target: &Placed,
        manner: Manner,
    ) -> Result<bool, ClusterError> {
        for _ in 1..ATTEMPTS {
            match self.try_one(original, target, manner).await {
                Err(ClusterError::Conflict { .. }) if !manner.server_side => {}
                answer => return answer,
            }
        }
        self.try_one(original, target, manner).await
    }

    async fn try_one(&self, original: Option<&Placed>, target: &Placed, manner: Manner) -> Result<bool, ClusterError> {
        let live = self.cx.cluster.get_as(&target.api, &target.id).await?;
        if let Some(live) = live.as_ref().filter(|_| manner.server_side) {
            self.take_over(live, &target.id).await?;
        }
        self.put(original, target, live.as_ref(), manner, false).await?;
        Ok(live.is_none())
    }

    /// Creates or changes one object, or asks the server what that would come to.
    pub async fn put(
        &self,
        original: Option<&Placed>,
        target: &Placed,
        live: Option<&Value>,
        manner: Manner,
        dry_run: bool,
    ) -> Result<Value, ClusterError> {
        let cluster = &self.cx.cluster;
        if manner.server_side {
            return cluster.apply(&target.document, &Apply { manager: MANAGER, force: true, dry_run }).await;
        }
        let Some(live) = live else { return cluster.create(&target.document, MANAGER, dry_run).await };
        if manner.replace {
            let mut document = target.document.clone();
            document["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            return cluster.replace(&document, MANAGER, dry_run).await;
        }
        match client_side(original, target, live) {
            Some(patch) => cluster.merge_patch_as(&target.api, &target.id, &patch, MANAGER, dry_run).await,
            None => Ok(live.clone()),
        }
    }

    /// Makes fields that Helm wrote without server-side apply its own, so that what the chart drops goes away.
    async fn take_over(&self, live: &Value, id: &Id) -> Result<(), ClusterError> {
        let Some(patch) = taken_over(live) else { return Ok(()) };
        match self.cx.cluster.json_patch(id, &patch, None, MANAGER).await {
            Ok(_) => Ok(()),
            // Somebody wrote in between; the next release looks again.
            Err(ClusterError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes what the release has no longer; objects that are kept by policy stay.
    ///
    /// Errors with everything that the server refused.
    pub async fn delete_rest(&self, originals: &[Placed], targets: &[Placed]) -> Result<(), String> {
        let wanted: BTreeSet<&Id> = targets.iter().map(|target| &target.id).collect();
        let rest = originals.iter().filter(|original| !wanted.contains(&original.id));
        let mut failed = Vec::new();
        for original in rest {
            let live = match self.cx.cluster.get_as(&original.api, &original.id).await {
                Ok(Some(live)) => live,
                Ok(None) => continue,
                Err(error) => {
                    failed.push(format!("{}: {error}", original.id));
                    continue;
                }
            };
            if is_kept(&live) {
                continue;
            }
            if let Err(error) = self.delete_one(&original.id, &live, Propagation::Background).await {
                failed.push(format!("{}: {error}", original.id));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(format!("failed to delete resource {}", failed.join(" && "))) }
    }

    /// Deletes all objects of the release that are its own and not kept; answers which were asked to go.
    ///
    /// Errors with everything that the server refused, and with what could not be looked at.
    pub async fn delete_all(&self, placed: &[Placed], propagation: Propagation) -> (Vec<Id>, Result<(), String>) {
        let (mut gone, mut failed) = (Vec::new(), Vec::new());
        for placed in placed.iter().rev().filter(|placed| !is_kept(&placed.document)) {
            let live = match self.cx.cluster.get_as(&placed.api, &placed.id).await {
                Ok(Some(live)) => live,
                Ok(None) => continue,
                Err(error) => {
                    failed.push(format!("{}: {error}", placed.id));
                    continue;
                }
            };
            if let Some(why) = self.foreign(&live) {
                tracing::info!(id = %placed.id, "is not deleted with the release: {why}");
                continue;
            }
            match self.delete_one(&placed.id, &live, propagation).await {
                Ok(()) => gone.push(placed.id.clone()),
                Err(error) => failed.push(format!("{}: {error}", placed.id)),
            }
        }
        let outcome = if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) };
        (gone, outcome)
    }

    /// Deletes the very object that was looked at.
    pub async fn delete_one(&self, id: &Id, live: &Value, propagation: Propagation) -> Result<(), ClusterError> {
        let uid = live["metadata"]["uid"].as_str().map(str::to_owned);
        let same = Precondition { uid, resource_version: None };
        self.cx.cluster.delete(id, propagation, &same).await.map(drop)
    }

    /// Waits until objects are gone.
    ///
    /// Errors with those that are left.
    pub async fn wait_gone(&self, ids: &[Id], timeout: Duration) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + timeout;
        let mut left: Vec<Id> = ids.to_vec();
        let mut pause = Duration::from_millis(50);
        loop {
            let mut still = Vec::new();
            for id in left {
                match self.cx.cluster.get(&id).await {
                    Ok(None) | Err(ClusterError::NoKind { .. }) => {}
                    _ => still.push(id),
                }
            }
            left = still;
            if left.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() + pause > deadline {
                let names: Vec<String> = left.iter().take(10).map(ToString::to_string).collect();
                return Err(format!("timeout waiting for the deletion of: {}", names.join(", ")));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Waits until objects are well; Jobs only when asked for, paused Deployments not at all.
    ///
    /// Errors with those that are not.
    pub async fn wait(&self, run: &mut Run, placed: &[Placed], jobs: bool, timeout: Duration) -> Result<(), String> {
        let is_job = |placed: &Placed| &*placed.id.kind == "Job" && &*placed.id.group == "batch";
        let is_paused = |placed: &Placed| placed.document.pointer("/spec/paused") == Some(&Value::Bool(true));
        let waited: Vec<&Placed> =
            placed.iter().filter(|placed| (jobs || !is_job(placed)) && !is_paused(placed)).collect();
        let ids: Vec<Id> = waited.iter().map(|placed| placed.id.clone()).collect();
        let vanishing: Vec<Id> = waited
            .iter()
            .filter(|placed| health::may_vanish(&placed.document))
            .map(|placed| placed.id.clone())
            .collect();
        let waited = run.rest(health::wait(&self.cx.cluster, &ids, &vanishing, self.checks, timeout, || false)).await;
        waited.map_err(|unwell: Unwell| unwell.message())
    }
}

/// The inventory of some objects, in the order of the manifest.
pub fn inventory(placed: &[Placed], crds: &[Placed]) -> Inventory {
    let entry = |placed: &Placed| InventoryEntry::new(&placed.id, &placed.api.version);
    Inventory { entries: placed.iter().chain(crds).map(entry).collect() }
}

/// Whether an object is to stay whatever becomes of its release.
pub fn is_kept(document: &Value) -> bool {
    document["metadata"]["annotations"][POLICY]
        .as_str()
        .is_some_and(|policy| policy.trim().eq_ignore_ascii_case("keep"))
}
