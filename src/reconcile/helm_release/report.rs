//! What an action came to, as a HelmRelease tells it: history, counters, conditions, events.
//!
//! Start with [`remember`] (the history) and [`summary`] (what Ready says). Source: helm-controller internal/reconcile
//! (release.go and the actions), internal/release/observation.go.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::{Cause, Reconciled, Run, Severity};
use super::act::Work;
use super::leave::is_selected;
use crate::engine::release::{Record, Status, config_digest, document_digest, observed_digest, time_of_snapshot};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{SNAPSHOT_VERSION, Snapshot, TestFilter, TestHook};

pub const RELEASED: &str = "Released";
pub const TESTED: &str = "TestSuccess";
pub const REMEDIED: &str = "Remediated";
pub const DRIFTED: &str = "Drifted";

/// The snapshot of a record.
pub fn snapshot(record: &Record, oci_digest: Option<&str>) -> Snapshot {
    let app_version = record.chart_field("appVersion");
    Snapshot {
        api_version: Some(SNAPSHOT_VERSION.into()),
        digest: observed_digest(record, oci_digest),
        name: record.name.clone(),
        namespace: record.namespace.clone(),
        version: record.version,
        status: record.info.status.word().into(),
        action: None,
        chart_name: record.chart_field("name").into(),
        chart_version: record.chart_field("version").into(),
        app_version: (!app_version.is_empty()).then(|| app_version.into()),
        config_digest: config_digest(&record.config),
        first_deployed: time_of_snapshot(&record.info.first_deployed),
        last_deployed: time_of_snapshot(&record.info.last_deployed),
        deleted: time_of_snapshot(&record.info.deleted),
        test_hooks: None,
        oci_digest: oci_digest.map(str::to_owned),
    }
}

/// Writes the records of an action into the history, newest first. `action` is what the newest of them came from; none
/// keeps what is known.
pub fn remember(
    history: &mut Vec<Snapshot>,
    written: &BTreeMap<i64, Record>,
    action: Option<&str>,
    oci_digest: Option<&str>,
) {
    let newest = written.keys().next_back().copied();
    for record in written.values() {
        let is_newest = Some(record.version) == newest;
        let is_it = |known: &Snapshot| {
            known.version == record.version && known.name == record.name && known.namespace == record.namespace
        };
        let at = history.iter().position(is_it);
        if at.is_none() && !(is_newest && history.iter().all(|known| known.version < record.version)) {
            continue;
        }
        let old = at.map(|at| history.remove(at));
        let digest = old.as_ref().map_or(oci_digest, |old| old.oci_digest.as_deref());
        let mut new = snapshot(record, digest);
        new.test_hooks = old.as_ref().and_then(|old| old.test_hooks.clone());
        new.action = match action.filter(|_| is_newest) {
            Some(action) => Some(action.to_owned()),
            None => old.and_then(|old| old.action),
        };
        history.push(new);
    }
    history.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.version));
    // Only one is deployed, even where a dead process did not live to tell of the others and their records are trimmed.
    let is_deployed = |snapshot: &Snapshot| snapshot.status == Status::Deployed.word();
    if history.first().is_some_and(is_deployed) {
        for older in history.iter_mut().skip(1).filter(|older| is_deployed(older)) {
            older.status = Status::Superseded.word().into();
        }
    }
}

/// The results of the selected tests of a record.
pub fn test_results(record: &Record, filters: &[TestFilter]) -> BTreeMap<String, TestHook> {
    let tests = record.hooks.iter().filter(|hook| hook.is_test() && is_selected(&hook.name, filters));
    let result = |run: &crate::engine::release::Execution| TestHook {
        last_started: time_of_snapshot(&run.started_at),
        last_completed: time_of_snapshot(&run.completed_at),
        phase: (!run.phase.is_empty()).then(|| run.phase.clone()),
    };
    tests.map(|hook| (hook.name.clone(), result(&hook.last_run))).collect()
}

/// What Ready says, made of the conditions of the release; `None` while there are none.
pub fn summary(object: &mut HelmRelease) -> Option<(bool, Cause)> {
    let test = object.spec.test.clone().unwrap_or_default();
    let tests_count = test.enable == Some(true) && test.ignore_failures != Some(true);
    if test.enable != Some(true) {
        object.conditions().retain(|condition| condition.kind != TESTED);
    }
    let order: &[&str] = if tests_count { &[REMEDIED, TESTED, RELEASED] } else { &[REMEDIED, RELEASED] };
    let place = |kind: &str| order.iter().position(|known| *known == kind);
    let counting = object.conditions().iter().filter_map(|condition| Some((place(&condition.kind)?, condition)));
    let first = counting.min_by_key(|(place, condition)| (std::cmp::Reverse(condition.observed_generation), *place))?.1;
    let well = first.status == "True" && first.kind != REMEDIED;
    Some((well, Cause::new(&first.reason, first.message.clone())))
}

/// The digests of what renders a release anew when it changes. Source: helm-controller internal/postrender/build.go.
pub fn renderer_digests(object: &HelmRelease) -> (Option<String>, Option<String>) {
    let spec = &object.spec;
    let renderers = (!spec.post_renderers.is_empty()).then(|| document_digest(&json!(spec.post_renderers)));
    let metadata = spec.common_metadata.as_ref().map(|metadata| document_digest(&json!(metadata)));
    (renderers, metadata)
}

/// Whom an event is about: the chart and the values.
pub struct About {
    pub chart_version: String,
    pub config_digest: String,
    pub app_version: Option<String>,
    pub oci_digest: Option<String>,
}

impl About {
    pub fn snapshot(snapshot: &Snapshot) -> Self {
        About {
            chart_version: snapshot.chart_version.clone(),
            config_digest: snapshot.config_digest.clone(),
            app_version: snapshot.app_version.clone(),
            oci_digest: snapshot.oci_digest.clone(),
        }
    }

    pub fn work(work: &Work<'_>) -> Self {
        let app_version = work.chart.metadata.app_version.clone();
        About {
            chart_version: work.wanted.chart_version.clone(),
            config_digest: work.wanted.config_digest.clone(),
            app_version: (!app_version.is_empty()).then_some(app_version),
            oci_digest: work.oci_digest.clone(),
        }
    }
}

/// Tells what happened: as a condition and as an event.
pub async fn tell(run: &mut Run, object: &mut HelmRelease, about: &About, news: News<'_>) {
    run.set_condition(object, news.condition, news.status, news.reason, &news.message);
    let severity = if news.bad { Severity::Error } else { Severity::Info };
    event(run, about, severity, news.reason, &news.message).await;
}

/// Something that happened.
pub struct News<'a> {
    pub condition: &'a str,
    pub status: &'a str,
    pub reason: &'a str,
    pub message: String,
    pub bad: bool,
}

/// Emits an event about a chart and its values.
pub async fn event(run: &mut Run, about: &About, severity: Severity, reason: &str, message: &str) {
    let mut metadata = vec![("revision", about.chart_version.as_str()), ("token", about.config_digest.as_str())];
    metadata.extend(about.app_version.as_deref().map(|version| ("app-version", version)));
    metadata.extend(about.oci_digest.as_deref().map(|digest| ("oci-digest", digest)));
    run.event(severity, reason, message, &metadata).await;
}

/// Whether a condition of the object is as said.
pub fn is(object: &mut HelmRelease, kind: &str, status: &str) -> bool {
    object.conditions().iter().any(|condition| condition.kind == kind && condition.status == status)
}

/// The reason of a condition; empty when there is none.
pub fn reason(object: &mut HelmRelease, kind: &str) -> String {
    let found = object.conditions().iter().find(|condition| condition.kind == kind);
    found.map(|condition| condition.reason.clone()).unwrap_or_default()
}
