//! Every choice about a release: from what was observed to its state, and from the state to the next step.
//!
//! Nothing here waits or writes. Start with [`state`] and [`next`]; [`after`] says what follows a step that was done.
//! Source: helm-controller internal/reconcile (state.go, atomic_release.go), internal/action (verify.go, reset.go).
//! Weir's own: a pending record that somebody else holds is left alone, and a release whose record was deleted by hand
//! while its objects live is not installed over them.

use std::time::Duration;

use super::plan::Plan;
use crate::engine::release::{Record, Status, observed_digest};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{
    DriftMode, FORCE_AT, HelmReleaseStatus, NameChange, RESET_AT, RemediationStrategy, SNAPSHOT_VERSION, Snapshot,
};
use crate::kinds::meta::REQUESTED_AT;

/// Snapshots kept when none of them is a good one.
const SNAPSHOTS: usize = 5;

/// What was found in the storage.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub last: Option<Record>,
    /// The pending record was made by this very object.
    pub own: bool,
    /// How long ago the last record was written to by its maker.
    pub age: Duration,
    /// Objects of the release live although there is no record of it.
    pub orphans: bool,
    pub previous: Previous,
}

/// Whether the record that a rollback would go to is there and as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Previous {
    Good,
    #[default]
    Missing,
    Changed,
}

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub chart_name: String,
    pub chart_version: String,
    pub config_digest: String,
    pub renderers_digest: Option<String>,
    pub metadata_digest: Option<String>,
}

/// The state of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Absent,
    /// The record is gone, its objects are not.
    Orphaned,
    /// Somebody else's action is going on; it may be taken for dead after that time.
    Held(Duration),
    Locked,
    Unmanaged,
    OutOfSync(&'static str),
    Drifted,
    Untested,
    Failed,
    InSync,
    /// An uninstall was begun and never ended.
    Leaving,
    /// Helm knows a status that nobody can act upon.
    Unknown(Status),
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Install,
    Upgrade,
    Unlock,
    Test,
    CorrectDrift,
    Rollback,
    Uninstall,
    /// Nothing is left to do.
    Done,
    /// Drift was found and is only told.
    Report,
}

/// Steps of one sort happen once in a reconciliation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Release,
    Unlock,
    Test,
    Drift,
    Remedy,
}

impl Step {
    pub fn sort(self) -> Sort {
        match self {
            Step::Install | Step::Upgrade | Step::Done | Step::Report => Sort::Release,
            Step::Unlock => Sort::Unlock,
            Step::Test => Sort::Test,
            Step::CorrectDrift => Sort::Drift,
            Step::Rollback | Step::Uninstall => Sort::Remedy,
        }
    }

    /// The action's name in messages.
    pub fn word(self) -> &'static str {
        match self {
            Step::Install => "install",
            Step::Upgrade => "upgrade",
            Step::Unlock => "unlock",
            Step::Test => "test",
            Step::CorrectDrift => "correct cluster drift",
            Step::Rollback => "rollback",
            Step::Uninstall => "uninstall",
            Step::Done | Step::Report => "nothing",
        }
    }

    /// The time it may take.
    pub fn timeout(self, plan: &Plan) -> Duration {
        match self {
            Step::Install => plan.install.timeout,
            Step::Upgrade => plan.upgrade.timeout,
            Step::Test => plan.test.timeout,
            Step::Rollback => plan.rollback.timeout,
            Step::Uninstall => plan.uninstall.timeout,
            _ => plan.timeout,
        }
    }
}

/// Why nothing more is done, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    RetriesExceeded,
    MissingRollbackTarget,
    /// An uninstall would take a revision that was well.
    WouldUninstallGood,
    Orphaned,
    Unknown(Status),
    Held(Duration),
}

/// What becomes of the history before the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    Keep,
    Clear,
    /// Down to what a rollback needs.
    Truncate,
    /// The newest few.
    Recent,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub step: Step,
    pub history: History,
}

/// Determines the state of a release, drift aside.
pub fn state(object: &HelmRelease, plan: &Plan, observed: &Observed, wanted: &Wanted) -> State {
    let status = object.status.clone().unwrap_or_default();
    let Some(last) = &observed.last else {
        return if observed.orphans { State::Orphaned } else { State::Absent };
    };
    if last.info.status.is_pending() {
        // A person's own `helm upgrade` is never taken from them; see reliability H2.
        let patience = plan.timeout.saturating_mul(2).max(Duration::from_secs(600));
        return match patience.checked_sub(observed.age).filter(|rest| !rest.is_zero()) {
            Some(rest) if !observed.own => State::Held(rest),
            _ => State::Locked,
        };
    }
    if last.info.status == Status::Uninstalling {
        return State::Leaving;
    }
    let Some(latest) = status.history.first() else {
        return if last.info.status == Status::Uninstalled { State::Absent } else { State::Unmanaged };
    };
    if !is_same(latest, last) {
        return State::Unmanaged;
    }
    match last.info.status {
        Status::Failed => State::Failed,
        Status::Uninstalled => State::Absent,
        Status::Deployed => deployed(object, plan, last, latest, wanted),
        other => State::Unknown(other),
    }
}

fn deployed(object: &HelmRelease, plan: &Plan, last: &Record, latest: &Snapshot, wanted: &Wanted) -> State {
    let status = object.status.clone().unwrap_or_default();
    if last.chart_field("name") != wanted.chart_name || last.chart_field("version") != wanted.chart_version {
        return State::OutOfSync("release chart changed");
    }
    if latest.config_digest != wanted.config_digest {
        return State::OutOfSync("release config values changed");
    }
    if status.observed_generation != object.metadata.generation {
        if status.observed_post_renderers_digest != wanted.renderers_digest {
            return State::OutOfSync("postrenderers digest has changed");
        }
        if status.observed_common_metadata_digest != wanted.metadata_digest {
            return State::OutOfSync("common metadata digest has changed");
        }
    }
    if plan.test.enable {
        if !has_been_tested(latest) {
            return State::Untested;
        }
        let counts = plan.active_remedy(object).is_some_and(|remedy| !remedy.ignore_tests);
        if counts && has_failed_test(latest) {
            return State::Failed;
        }
    }
    State::InSync
}

/// Whether a record is the one that a snapshot was taken of. Snapshots of older forms are taken at their word.
pub fn is_same(snapshot: &Snapshot, record: &Record) -> bool {
    snapshot.api_version.as_deref() != Some(SNAPSHOT_VERSION)
        || snapshot.digest == observed_digest(record, snapshot.oci_digest.as_deref())
}

/// Chooses the next step.
///
/// Errors with why nothing more is done.
pub fn next(
    object: &HelmRelease,
    plan: &Plan,
    state: &State,
    observed: &Observed,
    force: bool,
) -> Result<Choice, Stop> {
    let status = object.status.clone().unwrap_or_default();
    let keep = |step| Ok(Choice { step, history: History::Keep });
    match state {
        State::Unknown(status) => Err(Stop::Unknown(*status)),
        State::Held(rest) => Err(Stop::Held(*rest)),
        State::Locked => keep(Step::Unlock),
        State::Leaving => keep(Step::Uninstall),
        State::Orphaned if force => keep(Step::Install),
        State::Orphaned => Err(Stop::Orphaned),
        State::Absent if plan.install_remedy.is_exhausted(status.install_failures) && !force => {
            Err(Stop::RetriesExceeded)
        }
        State::Absent => keep(Step::Install),
        State::Unmanaged => Ok(Choice { step: Step::Upgrade, history: History::Clear }),
        State::OutOfSync(_) if plan.upgrade_remedy.is_exhausted(status.upgrade_failures) && !force => {
            Err(Stop::RetriesExceeded)
        }
        State::OutOfSync(_) => keep(Step::Upgrade),
        State::Drifted if plan.drift == DriftMode::Enabled => keep(Step::CorrectDrift),
        State::Drifted => keep(Step::Report),
        State::Untested => keep(Step::Test),
        State::InSync => {
            let history = if plan.active_retry(object).is_some() { History::Recent } else { History::Truncate };
            Ok(Choice { step: if force { Step::Upgrade } else { Step::Done }, history })
        }
        State::Failed => failed(object, plan, observed, force),
    }
}

fn failed(object: &HelmRelease, plan: &Plan, observed: &Observed, force: bool) -> Result<Choice, Stop> {
    let status = object.status.clone().unwrap_or_default();
    let upgrade = |history| Ok(Choice { step: Step::Upgrade, history });
    let Some(remedy) = plan.active_remedy(object) else { return upgrade(History::Keep) };
    if remedy.retry.is_some() {
        return upgrade(History::Recent);
    }
    let failures = failures_of(&status);
    if failures <= 0 || force {
        return upgrade(History::Keep);
    }
    if remedy.is_exhausted(failures) && !remedy.remediate_last {
        return Err(Stop::RetriesExceeded);
    }
    match remedy.strategy {
        RemediationStrategy::Rollback => match observed.previous {
            Previous::Good => Ok(Choice { step: Step::Rollback, history: History::Truncate }),
            Previous::Changed => upgrade(History::Truncate),
            Previous::Missing => Err(Stop::MissingRollbackTarget),
        },
        RemediationStrategy::Uninstall => {
            let was_install = status.last_attempted_release_action.as_deref() == Some("install");
            // Only a spec that names the strategy may take what was well once; see reliability H4.
            if was_install && previous(&status.history, true).is_some() {
                return Err(Stop::WouldUninstallGood);
            }
            Ok(Choice { step: Step::Uninstall, history: History::Truncate })
        }
    }
}

/// What follows a remedy that was done, or a step that was done already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Tried again after that time.
    Retry(Duration),
    /// Goes on at once.
    Requeue,
    RetriesExceeded,
    /// All was done that can be; the next look is at the interval.
    Rest,
}

/// What follows when a step would be the second of its sort.
pub fn after_repeat(object: &HelmRelease, plan: &Plan) -> After {
    if let Some(pause) = plan.active_retry(object) {
        return After::Retry(pause);
    }
    let failures = failures_of(&object.status.clone().unwrap_or_default());
    match plan.active_remedy(object) {
        Some(remedy) if remedy.is_exhausted(failures) => After::Rest,
        _ => After::Requeue,
    }
}

/// What follows a remedy.
pub fn after_remedy(object: &HelmRelease, plan: &Plan) -> After {
    if let Some(pause) = plan.active_retry(object) {
        return After::Retry(pause);
    }
    let status = object.status.clone().unwrap_or_default();
    let was_upgrade = status.last_attempted_release_action.as_deref() == Some("upgrade");
    match plan.active_remedy(object) {
        Some(remedy) if remedy.is_exhausted(failures_of(&status)) => {
            // After an upgrade was uninstalled there is still the install to be tried.
            let goes_on = was_upgrade && remedy.strategy == RemediationStrategy::Uninstall;
            if goes_on { After::Requeue } else { After::RetriesExceeded }
        }
        _ => After::Requeue,
    }
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

/// What became of the place that a release is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Same,
    /// The release that is there has to go first, and why.
    Moved(&'static str),
    /// Another chart is to take the place of the old one, and nobody said how.
    Renamed,
}

/// Whether the release is still in the same place.
pub fn target(object: &HelmRelease, chart_name: &str, hold: bool) -> Target {
    let status = object.status.clone().unwrap_or_default();
    let (Some(storage), Some(latest)) = (&status.storage_namespace, status.history.first()) else {
        return Target::Same;
    };
    if object.storage_namespace() != storage {
        return Target::Moved("storage namespace");
    }
    if object.release_namespace() != latest.namespace {
        return Target::Moved("release namespace");
    }
    if object.release_name() != latest.name {
        return Target::Moved("release name");
    }
    if chart_name == latest.chart_name {
        return Target::Same;
    }
    match object.spec.upgrade.as_ref().and_then(|upgrade| upgrade.chart_name_change_strategy) {
        Some(NameChange::InPlaceUpdate) => Target::Same,
        Some(NameChange::Reinstall) => Target::Moved("chart name"),
        None if hold => Target::Renamed,
        None => Target::Moved("chart name"),
    }
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
