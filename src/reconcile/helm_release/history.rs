//! What a HelmRelease remembers: its snapshots, its counters, and the requests that it has handled.
//!
//! Pure. Start with [`shorten`]. Source: helm-controller api/v2/snapshot_types.go, internal/action (verify.go, reset.go).

use super::decide::{History, Wanted};
use crate::engine::release::{Record, Status, observed_digest};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{FORCE_AT, HelmReleaseStatus, RESET_AT, SNAPSHOT_VERSION, Snapshot};
use crate::kinds::meta::REQUESTED_AT;

/// Snapshots kept when none of them is a good one.
const SNAPSHOTS: usize = 5;

/// Whether a record is the one that a snapshot was taken of. Snapshots of older forms are taken at their word.
pub fn is_same(snapshot: &Snapshot, record: &Record) -> bool {
    snapshot.api_version.as_deref() != Some(SNAPSHOT_VERSION)
        || snapshot.digest == observed_digest(record, snapshot.oci_digest.as_deref())
}

/// The failures that count for the action that was tried last.
pub fn failures_of(status: &HelmReleaseStatus) -> i64 {
    match status.last_attempted_release_action.as_deref() {
        Some("install") => status.install_failures,
        Some("upgrade") => status.upgrade_failures,
        _ => 0,
    }
}

/// The newest snapshot before the latest that was well.
pub fn previous(history: &[Snapshot], ignore_tests: bool) -> Option<&Snapshot> {
    history.iter().skip(1).find(|snapshot| is_good(snapshot, ignore_tests))
}

fn is_good(snapshot: &Snapshot, ignore_tests: bool) -> bool {
    matches!(Status::of(&snapshot.status), Status::Deployed | Status::Superseded)
        && (ignore_tests || !has_failed_test(snapshot))
}

/// Shortens the history as a choice asks.
pub fn shorten(history: &mut Vec<Snapshot>, how: History, ignore_tests: bool) {
    history.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.version));
    match how {
        History::Keep => {}
        History::Clear => history.clear(),
        History::Recent => history.truncate(SNAPSHOTS),
        History::Truncate => {
            let good = history.iter().skip(1).position(|snapshot| is_good(snapshot, ignore_tests));
            history.truncate(good.map_or(SNAPSHOTS, |at| at + 2));
        }
    }
}

/// Whether tests were run to an end; no tests at all count as that.
pub fn has_been_tested(snapshot: &Snapshot) -> bool {
    let Some(hooks) = &snapshot.test_hooks else { return false };
    has_failed_test(snapshot) || hooks.values().all(|hook| hook.phase.as_deref() == Some("Succeeded"))
}

pub fn has_failed_test(snapshot: &Snapshot) -> bool {
    snapshot.test_hooks.iter().flatten().any(|(_, hook)| hook.phase.as_deref() == Some("Failed"))
}

/// Whether the failures so far say nothing any more.
pub fn resets(object: &HelmRelease, wanted: &Wanted, asked: bool) -> bool {
    let status = object.status.clone().unwrap_or_default();
    status.last_attempted_generation != object.metadata.generation
        || status.last_attempted_revision.as_deref() != Some(&wanted.chart_version)
        || status.last_attempted_config_digest.as_ref().is_some_and(|digest| *digest != wanted.config_digest)
        || asked
}

/// What a person asked for by annotation: to force, to reset. The requests count as handled from now on.
///
/// Source: fluxcd/pkg apis/meta (HandleAnnotationRequest).
pub fn requests(object: &mut HelmRelease) -> (bool, bool) {
    let annotations = object.metadata.annotations.clone().unwrap_or_default();
    let status = object.status.get_or_insert_default();
    let requested = annotations.get(REQUESTED_AT);
    let is_new = requested.is_some() && status.last_handled_reconcile_at.as_ref() != requested;
    let asked = |key: &str, handled: &mut Option<String>| {
        let Some(at) = annotations.get(key) else { return false };
        let before = handled.replace(at.clone());
        is_new && requested == Some(at) && before.as_ref() != Some(at)
    };
    let force = asked(FORCE_AT, &mut status.last_handled_force_at);
    let reset = asked(RESET_AT, &mut status.last_handled_reset_at);
    (force, reset)
}
