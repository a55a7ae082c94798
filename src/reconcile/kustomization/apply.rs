//! Applying a build: stage after stage, each planned whole by dry run before anything of it is written.
//!
//! An object that would not change is not written. A stage whose plan fails changes nothing; what was applied by earlier
//! stages is in the inventory already. Start with [`Applier::apply`].
//! Source: fluxcd/pkg ssa/manager_apply.go and kustomize-controller's staged apply.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;

use super::super::Context;
use super::decide::{self, ADOPTED, Manner};
use super::fields::{self, MANAGER};
use crate::base::{Api, Id, Value};
use crate::cluster::{Apply, Cluster, ClusterError, Precondition, Propagation};
use crate::kinds::kustomization::{IgnoreRule, OWNER_NAME};

/// How long an object may take to go before it is created anew.
const RECREATE: Duration = Duration::from_secs(60);
/// The most failures that a message lists.
const LISTED: usize = 10;

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Created,
    Configured,
    Unchanged,
    Skipped,
    Deleted,
}

impl Action {
    /// The word in events.
    pub fn word(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Configured => "configured",
            Action::Unchanged => "unchanged",
            Action::Skipped => "skipped",
            Action::Deleted => "deleted",
        }
    }
}

/// One line of the change list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub id: Id,
    pub action: Action,
}

/// One object of the build, with where it is served.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub id: Id,
    pub api: Api,
    pub document: Value,
}

/// What must be known to apply.
pub struct Applier<'a> {
    pub cx: &'a Context,
    pub rules: &'a [IgnoreRule],
    pub force: bool,
}

/// What a dry run says is to be done.
struct Step {
    wanted: Wanted,
    todo: Todo,
}

/// A step, and the object as it is and as it would be.
struct Planned {
    step: Step,
    live: Option<Value>,
    after: Option<Value>,
}

enum Todo {
    Nothing(Action),
    /// Patches that free the object of older tools first, then the apply.
    Write {
        cleanup: Vec<Value>,
        document: Value,
        exists: bool,
    },
    Recreate {
        uid: String,
        document: Value,
    },
}

impl Applier<'_> {
    /// Finds where an object is served and settles its namespace.
    ///
    /// Errors when the kind is not served or a namespaced object has no namespace.
    pub async fn place(&self, mut document: Value, default_namespace: Option<&str>) -> Result<Wanted, String> {
        let Some(id) = Id::of(&document) else { return Err("a document has no apiVersion, kind or name".into()) };
        let version = document["apiVersion"].as_str().unwrap_or_default();
        let version = version.rsplit('/').next().unwrap_or_default();
        let found = self.cx.cluster.find_api(&id.group, &id.kind, Some(version)).await;
        let api = match found {
            Ok(Some(api)) => api,
            Ok(None) => {
                let served = document["apiVersion"].as_str().unwrap_or_default();
                return Err(format!("{id}: the cluster has no kind {} in {served}: install its CRD first", id.kind));
            }
            Err(error) => return Err(format!("{id}: {error}")),
        };
        let id = match (api.namespaced, id.namespace.is_empty(), default_namespace) {
            (true, true, Some(namespace)) => {
                document["metadata"]["namespace"] = namespace.into();
                id.in_namespace(namespace)
            }
            (true, true, None) => {
                return Err(format!("{id}: namespace not specified: set metadata.namespace or spec.targetNamespace"));
            }
            (false, false, _) => {
                if let Some(metadata) = document["metadata"].as_object_mut() {
                    metadata.shift_remove("namespace");
                }
                id.in_namespace("")
            }
            _ => id,
        };
        Ok(Wanted { id, api, document })
    }

    /// Plans one stage and, when every object can be applied, applies it.
    ///
    /// Errors with every object that the server refused, by name; after a failed plan nothing was written.
    pub async fn apply(&self, stage: Vec<Wanted>) -> Result<Vec<Change>, String> {
        let at_once = self.cx.options.concurrent_ssa.max(1);
        let planned = stage.into_iter().map(|wanted| async { self.plan(wanted).await.map(|planned| planned.step) });
        let steps = all(stream::iter(planned).buffered(at_once).collect().await)?;
        let done: Vec<_> =
            stream::iter(steps.into_iter().map(|step| self.carry_out(step))).buffered(at_once).collect().await;
        all(done)
    }

    async fn plan(&self, wanted: Wanted) -> Result<Planned, String> {
        let refused = |error: ClusterError| format!("{} dry-run failed: {error}", wanted.id);
        let live = self.cx.cluster.get_as(&wanted.api, &wanted.id).await.map_err(refused)?;
        let manner = decide::manner(&wanted.document, live.as_ref(), self.force);
        let mut document = wanted.document.clone();
        let (todo, after) = match &live {
            _ if manner.skip => (Todo::Nothing(Action::Skipped), live.clone()),
            Some(_) if manner.only_create => (Todo::Nothing(Action::Skipped), live.clone()),
            None => {
                let dry = self.dry_run(&document).await.map_err(refused)?;
                (Todo::Write { cleanup: vec![], document, exists: false }, Some(dry))
            }
            Some(live) => {
                remember_adoption(&mut document, live);
                fields::leave_alone(&mut document, live, self.rules);
                let (todo, after) = self.compare(live, document, manner).await.map_err(refused)?;
                (todo, Some(after))
            }
        };
        Ok(Planned { step: Step { wanted, todo }, live, after })
    }

    /// The object as it is and as it would be; `None` where it is not there.
    ///
    /// Errors as a plan does, with the object's name. What a later object of the same build needs may be missing yet.
    pub async fn foresee(&self, wanted: &Wanted) -> Result<(Option<Value>, Option<Value>), String> {
        self.plan(wanted.clone()).await.map(|planned| (planned.live, planned.after))
    }

    /// Answers also what the object would be.
    async fn compare(&self, live: &Value, document: Value, manner: Manner) -> Result<(Todo, Value), ClusterError> {
        let others = &self.cx.options.override_managers;
        let cleanup = if manner.merge { vec![] } else { fields::take_over(live, others) };
        match self.dry_run(&document).await {
            Ok(dry) if cleanup.is_empty() && !fields::is_different(live, &dry) => {
                Ok((Todo::Nothing(Action::Unchanged), live.clone()))
            }
            Ok(dry) => Ok((Todo::Write { cleanup, document, exists: true }, dry)),
            Err(error) if manner.force && may_be_fixed(&error) => {
                let uid = live.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
                Ok((Todo::Recreate { uid, document: document.clone() }, document))
            }
            Err(error) => Err(error),
        }
    }

    async fn dry_run(&self, document: &Value) -> Result<Value, ClusterError> {
        self.cx.cluster.apply(document, &Apply { manager: MANAGER, force: true, dry_run: true }).await
    }

    async fn carry_out(&self, step: Step) -> Result<Change, String> {
        let Step { wanted, todo } = step;
        let cluster = &self.cx.cluster;
        let how = Apply { manager: MANAGER, force: true, dry_run: false };
        let action = match todo {
            Todo::Nothing(action) => Ok(action),
            Todo::Write { cleanup, document, exists } => {
                let cleaned = if cleanup.is_empty() {
                    Ok(())
                } else {
                    cluster.json_patch(&wanted.id, &Value::Array(cleanup), None, MANAGER).await.map(drop)
                };
                match cleaned {
                    Ok(()) => cluster
                        .apply(&document, &how)
                        .await
                        .map(|_| if exists { Action::Configured } else { Action::Created }),
                    Err(error) => Err(error),
                }
            }
            Todo::Recreate { uid, document } => match recreate_space(cluster, &wanted, uid).await {
                Ok(()) => cluster.apply(&document, &how).await.map(|_| Action::Created),
                Err(error) => Err(error),
            },
        };
        match action {
            Ok(action) => Ok(Change { id: wanted.id, action }),
            Err(error) => Err(format!("{} apply failed: {error}", wanted.id)),
        }
    }
}

/// Deletes an object and waits until its name is free.
async fn recreate_space(cluster: &Cluster, wanted: &Wanted, uid: String) -> Result<(), ClusterError> {
    let same = Precondition { uid: Some(uid.clone()), resource_version: None };
    cluster.delete(&wanted.id, Propagation::Background, &same).await?;
    let gone = async {
        let mut pause = Duration::from_millis(50);
        loop {
            let live = cluster.get_as(&wanted.api, &wanted.id).await?;
            if live.is_none_or(|live| live.pointer("/metadata/uid").and_then(Value::as_str) != Some(&*uid)) {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    };
    tokio::time::timeout(RECREATE, gone).await.unwrap_or_else(|_| {
        Err(ClusterError::Timeout {
            what: format!("deletion of {} before it is created anew", wanted.id),
            after: RECREATE,
        })
    })
}

/// Whether only a new object can take the change. Source: fluxcd/pkg ssa/errors (IsImmutableError).
fn may_be_fixed(error: &ClusterError) -> bool {
    error.is_immutable() || matches!(error, ClusterError::Invalid { .. } | ClusterError::Conflict { .. })
}

/// Marks a Namespace that somebody else made, once and for good, so that no prune ever takes it.
fn remember_adoption(document: &mut Value, live: &Value) {
    if document["kind"] != "Namespace" || document["apiVersion"] != "v1" {
        return;
    }
    let is_marked = !decide::annotation(live, ADOPTED).is_empty();
    let is_foreign = decide::label(live, OWNER_NAME).is_empty();
    if is_marked || is_foreign {
        document["metadata"]["annotations"][ADOPTED] = "true".into();
    }
}

/// All results, or every failure in one text.
fn all<T>(results: Vec<Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut done, mut failed) = (Vec::with_capacity(results.len()), Vec::new());
    for result in results {
        match result {
            Ok(value) => done.push(value),
            Err(message) => failed.push(message),
        }
    }
    if failed.is_empty() {
        return Ok(done);
    }
    let more = failed.len().saturating_sub(LISTED);
    failed.truncate(LISTED);
    let mut message = failed.join("\n");
    if more > 0 {
        message.push_str(&format!("\nand {more} more"));
    }
    Err(message)
}
