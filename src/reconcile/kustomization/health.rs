//! Waiting until what was applied is well, as kstatus judges it.
//!
//! Looks often at first and every five seconds later; one failed object ends the wait. Start with [`wait`].
//! Source: kustomize-controller's checkHealth and fluxcd/pkg ssa/manager_wait.go.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::time::Instant;

use super::apply::Wanted;
use super::{decide, source};
use crate::base::{Health, Id, State, Value};
use crate::cluster::Cluster;
use crate::kinds::{self, Kustomization};

/// The longest pause between two looks.
const POLL: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 8;

/// Why a wait ended badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwell {
    /// An object failed, or the time was over: who, and how it is.
    Failed(String),
    /// The object was changed or asked for again, so that the wait is pointless.
    Canceled,
}

impl Unwell {
    /// The Flux reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Unwell::Failed(_) => "HealthCheckFailed",
            Unwell::Canceled => "HealthCheckCanceled",
        }
    }

    /// What a person reads in Ready.
    pub fn message(&self) -> String {
        match self {
            Unwell::Failed(message) => message.clone(),
            Unwell::Canceled => "health checks were given up for a newer request".into(),
        }
    }
}

/// What is known of one object.
enum Look {
    Well,
    Pending(String),
    Failed(String),
}

/// What must be well: everything applied when `wait` is set, else what healthChecks name; never the object itself.
pub fn ids(object: &Kustomization, own: &Id, wanted: &[Wanted]) -> Vec<Id> {
    let mut ids: Vec<Id> = if object.spec.wait == Some(true) {
        let applied = wanted.iter().filter(|wanted| !decide::manner(&wanted.document, None, false).skip);
        applied.map(|wanted| wanted.id.clone()).collect()
    } else {
        let checks = object.spec.health_checks.iter();
        checks.map(|check| source::id_of_kind_reference(check, &own.namespace)).collect()
    };
    ids.retain(|id| id != own);
    ids
}

/// Waits until all objects are well. `outdated` is asked before every look.
///
/// `may_vanish`: objects of which it is fine to be gone, such as finished Jobs with a time to live.
pub async fn wait(
    cluster: &Cluster,
    ids: &[Id],
    may_vanish: &[Id],
    timeout: Duration,
    outdated: impl Fn() -> bool + Send,
) -> Result<(), Unwell> {
    let deadline = Instant::now() + timeout;
    let mut pending: Vec<(Id, String)> = ids.iter().map(|id| (id.clone(), String::new())).collect();
    let mut pause = Duration::from_millis(100);
    loop {
        let mut failed = Vec::new();
        let looks = pending.into_iter().map(|(id, _)| async { (look(cluster, &id, may_vanish).await, id) });
        let looks: Vec<(Look, Id)> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        pending = Vec::new();
        for (look, id) in looks {
            match look {
                Look::Well => {}
                Look::Pending(how) => pending.push((id, how)),
                Look::Failed(how) => failed.push((id, how)),
            }
        }
        if !failed.is_empty() {
            return Err(Unwell::Failed(format!("failed: {}", listing(&failed))));
        }
        if pending.is_empty() {
            return Ok(());
        }
        if outdated() {
            return Err(Unwell::Canceled);
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(Unwell::Failed(format!("timeout waiting for: {}", listing(&pending))));
        }
        tokio::time::sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(POLL);
    }
}

async fn look(cluster: &Cluster, id: &Id, may_vanish: &[Id]) -> Look {
    match cluster.get(id).await {
        Ok(Some(document)) => judge(&document),
        Ok(None) if may_vanish.contains(id) => Look::Well,
        Ok(None) => Look::Pending("not found".into()),
        // A server that does not answer says nothing about the object; the deadline ends that.
        Err(error) => Look::Pending(error.to_string()),
    }
}

fn judge(document: &Value) -> Look {
    let Health { state, reason, message, .. } = kinds::kstatus::health(document);
    let how =
        [state.word(), &reason, &message].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    match state {
        State::Ready => Look::Well,
        // Suspended on purpose: it is as it should be, as far as it had come.
        State::Suspended if is_ready(document) => Look::Well,
        State::Failed => Look::Failed(how),
        _ => Look::Pending(how),
    }
}

fn is_ready(document: &Value) -> bool {
    crate::base::Condition::find(document, "Ready").is_none_or(|ready| ready.status == "True")
}

/// Whether an object may be gone without harm.
pub fn may_vanish(document: &Value) -> bool {
    document["kind"] == "Job" && document.pointer("/spec/ttlSecondsAfterFinished").is_some_and(|ttl| !ttl.is_null())
}

fn listing(objects: &[(Id, String)]) -> String {
    let mut lines: Vec<String> = objects.iter().take(10).map(|(id, how)| format!("{id} ({how})")).collect();
    if objects.len() > 10 {
        lines.push(format!("and {} more", objects.len() - 10));
    }
    lines.join(", ")
}
