//! Waiting until a reconciled object has settled, and saying what it waits for meanwhile.
//!
//! [`judge`] is pure and decides; [`settle`] follows the object until it does. Start with [`judge`].
//! Source: flux2 internal/utils and kstatus; a run counts only when its Ready condition speaks of this generation.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{DEADLINE, Desk, Progress, Refusal, refuse};
use crate::base::{Condition, Id, State, Text, Value};
use crate::cluster::ClusterError;
use crate::kinds;

/// After this long without any answer, a person should hear that perhaps nobody is there to give one.
const SILENCE: Duration = Duration::from_secs(10);

/// What counts as settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// The request was handled, whatever came of it.
    Handled,
    /// As above, but an object that waits for another is waited for.
    Dependencies,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Not yet; what it waits for, and whether a reconciler has answered at all.
    Wait {
        why: String,
        answered: bool,
    },
    Settled,
    Refused {
        why: String,
        hint: &'static str,
    },
}

/// Waits until an object is ready for what was asked; `token` is the request that must have been handled.
///
/// Errors with what the object says when it failed, and when nothing came within five minutes.
pub(super) async fn settle(
    desk: &Desk,
    id: &Id,
    token: Option<&str>,
    patience: Patience,
    progress: Progress<'_>,
) -> Result<Value, Refusal> {
    let last = Mutex::new(String::new());
    let follow = desk.cluster.follow(id, DEADLINE, |now| {
        let Some(now) = now else {
            return Some(Err(refuse(format!("{id} was deleted meanwhile"), "")));
        };
        match judge(id, now, token, patience) {
            Verdict::Settled => Some(Ok(now.clone())),
            Verdict::Refused { why, hint } => Some(Err(refuse(format!("{id}: {why}"), hint))),
            Verdict::Wait { why, answered } => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if answered && *last != why {
                    progress(Text::new(format!("{id}: {why}")));
                }
                if answered {
                    *last = why;
                }
                None
            }
        }
    });
    tokio::pin!(follow);
    let heard = || !last.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
    let found = tokio::select! {
        found = &mut follow => found,
        () = tokio::time::sleep(SILENCE) => {
            if !heard() {
                progress(Text::new(format!("{id}: no reconciler has answered yet")));
            }
            follow.await
        }
    };
    match found {
        Ok(verdict) => verdict,
        Err(ClusterError::Timeout { .. }) if heard() => {
            let last = last.lock().unwrap_or_else(PoisonError::into_inner);
            Err(refuse(format!("{id} did not settle within 5m: {last}"), "it goes on: look at its events"))
        }
        Err(ClusterError::Timeout { .. }) => {
            Err(refuse(format!("{id} was not handled within 5m"), "is a reconciler running? see `weir get all`"))
        }
        Err(error) => Err(error.into()),
    }
}

/// How an object stands to what was asked of it.
fn judge(id: &Id, document: &Value, token: Option<&str>, patience: Patience) -> Verdict {
    let wait = |why: &str, answered| Verdict::Wait { why: why.to_owned(), answered };
    let health = (kinds::of_id(id).health)(document);
    match health.state {
        State::Terminating => {
            return Verdict::Refused { why: "it is being deleted".into(), hint: "" };
        }
        State::Suspended => {
            return Verdict::Refused { why: "it was suspended meanwhile".into(), hint: "resume it first" };
        }
        _ => {}
    }
    if kinds::of_id(id).is_static(document) {
        // Nobody will ever answer for it.
        return Verdict::Settled;
    }
    let is_running = Condition::find(document, "Reconciling").is_some_and(|condition| condition.status == "True")
        && Condition::find(document, "Ready").is_some_and(|ready| ready.status == "Unknown");
    if token.is_some_and(|token| !is_handled(document, token)) {
        return wait(if is_running { &health.message } else { "waiting for the reconciler" }, is_running);
    }
    if !speaks_of_this_generation(document) {
        return wait("waiting for the reconciler", is_running);
    }
    let reason = if health.reason.is_empty() { String::new() } else { format!("{}: ", health.reason) };
    let why = format!("{reason}{}", health.message);
    match health.state {
        State::Ready => Verdict::Settled,
        State::Failed => Verdict::Refused { why, hint: "look at its events and logs" },
        State::Waiting if patience == Patience::Handled => {
            Verdict::Refused { why, hint: "it goes on by itself when that is ready" }
        }
        _ => wait(&why, true),
    }
}

/// The request or a later one was handled.
fn is_handled(document: &Value, token: &str) -> bool {
    let handled = document.pointer("/status/lastHandledReconcileAt").and_then(Value::as_str).unwrap_or_default();
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    handled == token || time(handled).zip(time(token)).is_some_and(|(handled, token)| handled >= token)
}

fn speaks_of_this_generation(document: &Value) -> bool {
    let generation = document.pointer("/metadata/generation").and_then(Value::as_i64);
    Condition::find(document, "Ready").is_some_and(|ready| ready.observed_generation.or(generation) == generation)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(generation: i64, handled: &str, ready: Value, patience: Patience) -> Verdict {
        let document = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "a", "namespace": "b", "generation": generation},
            "status": {"lastHandledReconcileAt": handled, "observedGeneration": 1, "conditions": [ready]}});
        judge(&Id::of(&document).unwrap(), &document, Some("2026-01-01T00:00:05Z"), patience)
    }

    fn ready(status: &str, reason: &str) -> Value {
        json!({"type": "Ready", "status": status, "reason": reason, "message": "m", "observedGeneration": 1})
    }

    #[test]
    fn only_the_answer_to_this_request_counts() {
        let waiting = Verdict::Wait { why: "waiting for the reconciler".into(), answered: false };
        let (early, ours, later) = ("2026-01-01T00:00:04Z", "2026-01-01T00:00:05Z", "2026-01-01T00:00:09Z");
        assert_eq!(judged(1, early, ready("True", "Done"), Patience::Handled), waiting);
        assert_eq!(judged(1, ours, ready("True", "Done"), Patience::Handled), Verdict::Settled);
        assert_eq!(judged(1, later, ready("True", "Done"), Patience::Handled), Verdict::Settled);
        assert_eq!(judged(2, ours, ready("True", "Done"), Patience::Handled), waiting, "an old generation");
    }

    #[test]
    fn what_nothing_reconciles_is_settled_as_it_is() {
        let document = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository",
            "metadata": {"name": "a", "namespace": "b", "generation": 1}, "spec": {"type": "oci", "url": "oci://r/x"}});
        let id = Id::of(&document).unwrap();
        assert_eq!(judge(&id, &document, None, Patience::Dependencies), Verdict::Settled);
    }

    #[test]
    fn failures_end_the_wait_and_dependencies_may_or_may_not() {
        let handled = "2026-01-01T00:00:05Z";
        let failed = judged(1, handled, ready("False", "BuildFailed"), Patience::Handled);
        assert!(matches!(&failed, Verdict::Refused { why, .. } if why == "BuildFailed: m"), "{failed:?}");
        let blocked = ready("False", "DependencyNotReady");
        assert!(matches!(judged(1, handled, blocked.clone(), Patience::Handled), Verdict::Refused { .. }));
        assert!(matches!(judged(1, handled, blocked, Patience::Dependencies), Verdict::Wait { answered: true, .. }));
    }
}
