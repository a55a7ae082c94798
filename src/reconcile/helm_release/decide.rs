//! Every choice about a release: from what was observed to its state, and from the state to the next step.
//!
//! Nothing here waits or writes. Start with [`state`] and [`next`]; [`after`] says what follows a step that was done.
//! Source: helm-controller internal/reconcile (state.go, atomic_release.go), internal/action (verify.go, reset.go).
//! Weir's own: a pending record that somebody else holds is left alone, and a release whose record was deleted by hand
//! while its objects live is not installed over them.

use std::time::Duration;

use super::history::{failures_of, has_been_tested, has_failed_test, is_same, previous};
use super::plan::Plan;
use crate::engine::release::{Record, Status};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{DriftMode, NameChange, RemediationStrategy, Snapshot};

/// What was found in the storage.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub last: Option<Record>,
    /// The pending record was made by this very object.
    pub own: bool,
    /// The pending record can be gone on with: it is own, and what it was made of is still wanted.
    pub resumable: bool,
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
    /// An own action died in the middle, and is still wanted.
    Interrupted(Status),
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
        return match patience(plan).checked_sub(observed.age).filter(|rest| !rest.is_zero()) {
            Some(rest) if !observed.own => State::Held(rest),
            _ if observed.resumable => State::Interrupted(last.info.status),
            _ => State::Locked,
        };
    }
    if last.info.status == Status::Uninstalling {
        let is_own = status.history.first().is_some_and(|latest| Status::of(&latest.status) == Status::Uninstalling);
        return match patience(plan).checked_sub(observed.age).filter(|rest| !rest.is_zero()) {
            _ if is_own => State::Leaving,
            Some(rest) => State::Held(rest),
            None => State::Unknown(Status::Uninstalling),
        };
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

/// How long what a person's own `helm` has begun is theirs; see reliability H2.
fn patience(plan: &Plan) -> Duration {
    plan.timeout.saturating_mul(2).max(Duration::from_secs(600))
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
        // Forced, it is to begin anew.
        State::Interrupted(_) if force => keep(Step::Unlock),
        State::Interrupted(Status::PendingInstall) => keep(Step::Install),
        State::Interrupted(Status::PendingRollback) => keep(Step::Rollback),
        State::Interrupted(_) => keep(Step::Upgrade),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::release::config_digest;
    use crate::kinds::helm_release::HelmReleaseSpec;
    use crate::reconcile::Options;
    use serde_json::{Value, json};

    use super::super::report::snapshot;

    fn record(version: i64, status: Status) -> Record {
        let mut record = Record { name: "web".into(), namespace: "a".into(), version, ..Record::default() };
        record.info.status = status;
        record.chart = json!({"metadata": {"name": "app", "version": "1.0.0"}});
        record
    }

    fn wanted() -> Wanted {
        Wanted {
            chart_name: "app".into(),
            chart_version: "1.0.0".into(),
            config_digest: config_digest(&serde_json::Map::new()),
            ..Wanted::default()
        }
    }

    /// A release whose history has these records, newest first, after an action.
    fn object(spec: &Value, history: &[&Record], action: &str) -> HelmRelease {
        let mut all = json!({"interval": "1m", "chartRef": {"kind": "HelmChart", "name": "c"}});
        for (key, value) in spec.as_object().unwrap() {
            all[key] = value.clone();
        }
        let spec: HelmReleaseSpec = serde_json::from_value(all).unwrap();
        let mut object = HelmRelease::new("web", spec);
        object.metadata.namespace = Some("a".into());
        let status = object.status.get_or_insert_default();
        status.history = history.iter().map(|record| snapshot(record, None)).collect();
        status.last_attempted_release_action = (!action.is_empty()).then(|| action.into());
        object
    }

    fn decided(object: &HelmRelease, observed: &Observed, force: bool) -> (State, String) {
        let plan = Plan::of(object, &Options::default()).unwrap();
        let state = state(object, &plan, observed, &wanted());
        let next = match next(object, &plan, &state, observed, force) {
            Ok(choice) => format!("{:?}", choice.step),
            Err(stop) => format!("{stop:?}"),
        };
        (state, next)
    }

    fn found(record: &Record) -> Observed {
        Observed { last: Some(record.clone()), ..Observed::default() }
    }

    /// A record of an own action that died.
    fn died(status: Status) -> Observed {
        Observed { own: true, resumable: true, ..found(&record(1, status)) }
    }

    #[test]
    fn every_state_has_its_step() {
        let (deployed, failed) = (record(1, Status::Deployed), record(2, Status::Failed));
        let (gone, leaving) = (record(1, Status::Uninstalled), record(1, Status::Uninstalling));
        let none = json!({});
        let tests = json!({"test": {"enable": true}});
        let warn = json!({"driftDetection": {"mode": "warn"}});
        let rows: Vec<(HelmRelease, Observed, &str, &str)> = vec![
            (object(&none, &[], ""), Observed::default(), "Absent", "Install"),
            (
                object(&none, &[&deployed], ""),
                Observed { orphans: true, ..Observed::default() },
                "Orphaned",
                "Orphaned",
            ),
            (object(&none, &[], ""), found(&deployed), "Unmanaged", "Upgrade"),
            (object(&none, &[], ""), found(&gone), "Absent", "Install"),
            (object(&none, &[&deployed], ""), found(&deployed), "InSync", "Done"),
            (object(&none, &[&gone], ""), found(&deployed), "Unmanaged", "Upgrade"),
            (object(&tests, &[&deployed], ""), found(&deployed), "Untested", "Test"),
            (object(&warn, &[&deployed], ""), found(&deployed), "InSync", "Done"),
            (object(&none, &[&failed, &deployed], ""), found(&failed), "Failed", "Upgrade"),
            (object(&none, &[&leaving], ""), found(&leaving), "Leaving", "Uninstall"),
            (object(&none, &[&deployed], ""), found(&leaving), "Held(600s)", "Held(600s)"),
            (
                object(&none, &[&deployed], ""),
                Observed { age: Duration::from_secs(601), ..found(&leaving) },
                "Unknown(Uninstalling)",
                "Unknown(Uninstalling)",
            ),
            (
                object(&none, &[], ""),
                Observed { own: true, ..found(&record(1, Status::PendingInstall)) },
                "Locked",
                "Unlock",
            ),
            (object(&none, &[], ""), found(&record(1, Status::PendingUpgrade)), "Held(600s)", "Held(600s)"),
            (object(&none, &[], ""), died(Status::PendingInstall), "Interrupted(PendingInstall)", "Install"),
            (object(&none, &[], ""), died(Status::PendingUpgrade), "Interrupted(PendingUpgrade)", "Upgrade"),
            (object(&none, &[], ""), died(Status::PendingRollback), "Interrupted(PendingRollback)", "Rollback"),
        ];
        for (object, observed, state, step) in rows {
            let (found, next) = decided(&object, &observed, false);
            assert_eq!((format!("{found:?}").as_str(), next.as_str()), (state, step));
        }
    }

    #[test]
    fn a_failed_release_is_remedied_as_the_spec_says() {
        let (deployed, failed) = (record(1, Status::Superseded), record(2, Status::Failed));
        let step = |spec: Value, action: &str, failures: i64, previous: Previous, force: bool| {
            let mut object = object(&spec, &[&failed, &deployed], action);
            let status = object.status.get_or_insert_default();
            (status.install_failures, status.upgrade_failures) = (failures, failures);
            decided(&object, &Observed { previous, ..found(&failed) }, force).1
        };
        let retries = |count: i64| json!({"upgrade": {"remediation": {"retries": count}}});
        let strategy = json!({"upgrade": {"remediation": {"retries": 1, "strategy": "uninstall"}}});
        let retry = json!({"upgrade": {"strategy": {"name": "RetryOnFailure"}}});
        let install = json!({"install": {"remediation": {"retries": 1}}});
        assert_eq!(step(json!({}), "upgrade", 1, Previous::Good, false), "RetriesExceeded");
        assert_eq!(step(json!({}), "upgrade", 0, Previous::Good, false), "Upgrade");
        assert_eq!(step(json!({}), "upgrade", 1, Previous::Good, true), "Upgrade");
        assert_eq!(step(retries(1), "upgrade", 1, Previous::Good, false), "Rollback");
        assert_eq!(step(retries(-1), "upgrade", 9, Previous::Good, false), "Rollback");
        assert_eq!(
            step(retries(1), "upgrade", 2, Previous::Good, false),
            "Rollback",
            "the last failure is remedied too"
        );
        assert_eq!(step(retries(1), "upgrade", 1, Previous::Changed, false), "Upgrade");
        assert_eq!(step(retries(1), "upgrade", 1, Previous::Missing, false), "MissingRollbackTarget");
        assert_eq!(step(strategy, "upgrade", 1, Previous::Good, false), "Uninstall");
        assert_eq!(step(retry, "upgrade", 9, Previous::Good, false), "Upgrade");
        assert_eq!(step(install, "install", 1, Previous::Good, false), "WouldUninstallGood");
    }

    #[test]
    fn what_was_decided_for_the_release_makes_it_out_of_sync() {
        let deployed = record(1, Status::Deployed);
        let object = object(&json!({}), &[&deployed], "");
        let plan = Plan::of(&object, &Options::default()).unwrap();
        let is = |wanted: Wanted| state(&object, &plan, &found(&deployed), &wanted);
        assert_eq!(is(Wanted { chart_version: "2".into(), ..wanted() }), State::OutOfSync("release chart changed"));
        assert_eq!(
            is(Wanted { config_digest: "x".into(), ..wanted() }),
            State::OutOfSync("release config values changed")
        );
    }

    #[test]
    fn a_chart_of_another_name_is_held_until_somebody_says_how() {
        let deployed = record(1, Status::Deployed);
        let with = |spec: Value, hold: bool| {
            let mut object = object(&spec, &[&deployed], "");
            object.status.get_or_insert_default().storage_namespace = Some("a".into());
            target(&object, "other", hold)
        };
        let strategy = |name: &str| json!({"upgrade": {"chartNameChangeStrategy": name}});
        assert_eq!(with(json!({}), true), Target::Renamed);
        assert_eq!(with(json!({}), false), Target::Moved("chart name"));
        assert_eq!(with(strategy("Reinstall"), true), Target::Moved("chart name"));
        assert_eq!(with(strategy("InPlaceUpdate"), true), Target::Same);
        assert_eq!(with(json!({"releaseName": "new"}), true), Target::Moved("release name"));
    }
}
