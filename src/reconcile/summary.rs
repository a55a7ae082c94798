//! What an outcome means for the conditions: Ready, Reconciling, Stalled, decided in one place and purely.
//!
//! Source: fluxcd/pkg runtime/conditions and kustomize-controller's finalizeStatus. One deliberate difference: while an
//! object that was already judged at this generation is only checked again, Ready keeps its value instead of passing
//! through Unknown, so that times do not move and dependents do not stop.

use std::time::Duration;

use super::{Cause, Failure};
use crate::base::{Condition, Stamp};

/// Sets a condition; the transition time moves only when the status does.
pub fn set(list: &mut Vec<Condition>, kind: &str, status: &str, cause: &Cause, generation: i64, now: Stamp) {
    let place = list.iter().position(|known| known.kind == kind);
    let moved = place.is_none_or(|at| list[at].status != status);
    let last_transition_time = match place {
        Some(at) if !moved => list[at].last_transition_time.clone(),
        _ => now.to_string(),
    };
    let condition = Condition {
        kind: kind.into(),
        status: status.into(),
        observed_generation: Some(generation),
        last_transition_time,
        reason: cause.reason.clone(),
        message: cause.message.clone(),
    };
    match place {
        Some(at) => list[at] = condition,
        None => list.push(condition),
    }
}

/// Removes a condition.
pub fn unset(list: &mut Vec<Condition>, kind: &str) {
    list.retain(|known| known.kind != kind);
}

/// The condition of that type.
pub fn find<'a>(list: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    list.iter().find(|known| known.kind == kind)
}

/// Marks work in progress. Ready becomes Unknown only when this generation was never judged.
pub fn progressing(list: &mut Vec<Condition>, message: &str, generation: i64, now: Stamp) {
    set(list, "Reconciling", "True", &Cause::new("Progressing", message), generation, now);
    unset(list, "Stalled");
    if find(list, "Ready").is_none_or(|ready| ready.observed_generation != Some(generation)) {
        set(list, "Ready", "Unknown", &Cause::new("Progressing", "Reconciliation in progress"), generation, now);
    }
    sort(list);
}

/// Marks success.
pub fn succeeded(list: &mut Vec<Condition>, cause: &Cause, generation: i64, now: Stamp) {
    set(list, "Ready", "True", cause, generation, now);
    unset(list, "Reconciling");
    unset(list, "Stalled");
    sort(list);
}

/// Marks a failure; `doing` is the last progress message.
pub fn failed(list: &mut Vec<Condition>, failure: &Failure, doing: Option<&str>, generation: i64, now: Stamp) {
    set(list, "Ready", "False", failure.cause(), generation, now);
    match failure {
        Failure::Stalled(cause) => {
            unset(list, "Reconciling");
            set(list, "Stalled", "True", cause, generation, now);
        }
        failure => {
            unset(list, "Stalled");
            let doing = doing.unwrap_or(&failure.cause().message);
            set(list, "Reconciling", "True", &Cause::new("ProgressingWithRetry", doing), generation, now);
        }
    }
    sort(list);
}

/// Whether `status.observedGeneration` moves with these conditions: the object is done with, well or for good.
pub fn observes(list: &[Condition]) -> bool {
    let is_true = |kind| find(list, kind).is_some_and(|known| known.status == "True");
    is_true("Ready") || is_true("Stalled")
}

/// The pause before the n-th retry, counted from 1.
pub fn backoff(attempt: u32, min: Duration, max: Duration) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    min.checked_mul(1 << doublings).map_or(max, |pause| pause.min(max))
}

/// The order people read: what goes on, then the summary, then the rest by name.
fn sort(list: &mut [Condition]) {
    let rank = |kind: &str| match kind {
        "Reconciling" => 0,
        "Stalled" => 1,
        "Ready" => 2,
        _ => 3,
    };
    list.sort_by(|a, b| rank(&a.kind).cmp(&rank(&b.kind)).then_with(|| a.kind.cmp(&b.kind)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(message: &str) -> Cause {
        Cause::new("BuildFailed", message)
    }

    fn words(list: &[Condition]) -> Vec<String> {
        list.iter().map(|known| format!("{}={} {}", known.kind, known.status, known.reason)).collect()
    }

    #[test]
    fn every_outcome_has_its_conditions() {
        let minute = Duration::from_secs(60);
        for (failure, wanted) in [
            (Failure::Stalled(cause("x")), ["Stalled=True BuildFailed", "Ready=False BuildFailed"]),
            (Failure::Retry(cause("x")), ["Reconciling=True ProgressingWithRetry", "Ready=False BuildFailed"]),
            (
                Failure::RetryAfter(cause("x"), minute),
                ["Reconciling=True ProgressingWithRetry", "Ready=False BuildFailed"],
            ),
            (
                Failure::Waiting(cause("x"), minute),
                ["Reconciling=True ProgressingWithRetry", "Ready=False BuildFailed"],
            ),
        ] {
            let mut list = Vec::new();
            progressing(&mut list, "building", 1, Stamp(1));
            assert_eq!(words(&list), ["Reconciling=True Progressing", "Ready=Unknown Progressing"]);
            assert!(!observes(&list));
            failed(&mut list, &failure, Some("building"), 1, Stamp(2));
            assert_eq!(words(&list), wanted);
            assert_eq!(observes(&list), matches!(failure, Failure::Stalled(_)));
            succeeded(&mut list, &Cause::new("Succeeded", "well"), 1, Stamp(3));
            assert_eq!(words(&list), ["Ready=True Succeeded"]);
            assert!(observes(&list));
        }
    }

    #[test]
    fn a_mere_check_keeps_ready_and_a_new_generation_does_not() {
        let mut list = Vec::new();
        succeeded(&mut list, &Cause::new("Succeeded", "well"), 1, Stamp(1));
        progressing(&mut list, "checking", 1, Stamp(2));
        assert_eq!(find(&list, "Ready").unwrap().status, "True");
        progressing(&mut list, "building", 2, Stamp(3));
        let ready = find(&list, "Ready").unwrap();
        assert_eq!((ready.status.as_str(), ready.observed_generation), ("Unknown", Some(2)));
    }

    #[test]
    fn a_time_moves_only_with_the_status() {
        let mut list = Vec::new();
        set(&mut list, "Ready", "False", &cause("a"), 1, Stamp(1));
        set(&mut list, "Ready", "False", &cause("other words"), 2, Stamp(2));
        assert_eq!(list[0].last_transition_time, Stamp(1).to_string());
        set(&mut list, "Ready", "True", &cause("b"), 2, Stamp(3));
        assert_eq!(list[0].last_transition_time, Stamp(3).to_string());
        assert_eq!(list.len(), 1);
    }
}
