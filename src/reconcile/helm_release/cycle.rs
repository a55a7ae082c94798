//! The cycle of a release: observe, decide, act, until nothing is left to do or something has to wait.
//!
//! Start with [`Cycle::go`]. Source: helm-controller internal/reconcile/atomic_release.go and the actions beside it.
//! Weir's own: a record that a dead process of this very object left behind is taken into the history, so that no
//! action runs twice.

use std::time::Instant;

use jiff::Timestamp;

use super::super::{Cause, Failure, Run, Severity};
use super::act::Work;
use super::decide::{self, After, Choice, History, Observed, Previous, Sort, State, Step, Stop};
use super::drift::{self, Drift};
use super::leave::{self, Gone};
use super::plan::words;
use super::report::{self, About, DRIFTED, News, RELEASED, REMEDIED, TESTED};
use super::storage::StorageError;
use crate::base::{Id, format_duration};
use crate::engine::release::{Record, Status};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{DriftMode, Snapshot};

/// Steps of one reconciliation; more is a mistake in the choices.
const STEPS: usize = 12;

/// One reconciliation of one release.
pub struct Cycle<'a, 'b> {
    pub work: Work<'a>,
    pub object: &'b mut HelmRelease,
    pub run: &'b mut Run,
    pub done: Vec<Sort>,
    pub drifts: Vec<Drift>,
}

impl Cycle<'_, '_> {
    /// Goes through the steps until nothing is left.
    ///
    /// Errors with what has to be waited for, or why it ended for good.
    pub async fn go(mut self, mut force: bool) -> Result<(), Failure> {
        for _ in 0..STEPS {
            let observed = self.observe().await?;
            let state = self.state(&observed).await?;
            tracing::debug!(id = %self.run.id(), ?state, "the release was observed");
            let choice = decide::next(self.object, &self.work.plan, &state, &observed, force);
            force = false;
            let Choice { step, history } = match choice {
                Ok(choice) => choice,
                Err(stop) => return Err(self.stop(stop)),
            };
            let ignores = self.work.plan.ignores_tests(self.object);
            decide::shorten(&mut self.object.status.get_or_insert_default().history, history, ignores);
            match step {
                Step::Done => return self.settle(),
                Step::Report => {
                    self.tell_drift().await;
                    return self.settle();
                }
                Step::Test if history == History::Keep => self.forgive(),
                _ => {}
            }
            if self.done.contains(&step.sort()) {
                let after = decide::after_repeat(self.object, &self.work.plan);
                return Err(self.end(after));
            }
            let timeout = words(step.timeout(&self.work.plan));
            self.run.progress(format!("Running '{}' action with timeout of {timeout}", step.word()));
            self.run.save(self.object).await?;
            self.act(step).await?;
            if step.sort() == Sort::Remedy {
                let after = decide::after_remedy(self.object, &self.work.plan);
                return Err(self.end(after));
            }
            self.done.push(step.sort());
            self.run.save(self.object).await?;
        }
        Err(Failure::Retry(Cause::new("ReconcileError", "the release never came to rest, please report it")))
    }

    async fn observe(&mut self) -> Result<Observed, Failure> {
        let failed = |error: String| {
            Failure::Retry(Cause::new("StateError", format!("could not determine release state: {error}")))
        };
        let last = self.work.storage.last().await.map_err(|error: StorageError| failed(error.to_string()))?;
        let own = last.as_ref().is_some_and(|last| self.work.storage.is_own(last));
        if let Some(last) = last.as_ref().filter(|_| own) {
            self.catch_up(last).await.map_err(|error| failed(error.to_string()))?;
        }
        let history = self.object.status.clone().unwrap_or_default().history;
        let mut observed = Observed { own, ..Observed::default() };
        match &last {
            Some(last) => {
                let began: Option<Timestamp> = last.info.last_deployed.parse().ok();
                let age = began.map(|began| Timestamp::now().duration_since(began));
                observed.age = age.and_then(|age| age.try_into().ok()).unwrap_or_default();
                observed.previous = self.previous(&history).await.map_err(|error| failed(error.to_string()))?;
            }
            None => {
                let lived = history.first().is_some_and(|latest| !is_gone(latest));
                if lived {
                    let ids = self.inventory();
                    let lives = self.work.objects().any_lives(&ids).await;
                    observed.orphans = lives.map_err(|error| failed(error.to_string()))?;
                }
            }
        }
        observed.last = last;
        Ok(observed)
    }

    fn inventory(&self) -> Vec<Id> {
        let inventory = self.object.status.as_ref().and_then(|status| status.inventory.as_ref());
        inventory.iter().flat_map(|inventory| &inventory.entries).filter_map(|entry| entry.id()).collect()
    }

    /// Whether there is what a rollback would go to.
    async fn previous(&self, history: &[Snapshot]) -> Result<Previous, StorageError> {
        let ignores = self.work.plan.ignores_tests(self.object);
        let Some(snapshot) = decide::previous(history, ignores) else { return Ok(Previous::Missing) };
        Ok(match self.work.storage.get(snapshot.version).await? {
            Some(record) if decide::is_same(snapshot, &record) => Previous::Good,
            _ => Previous::Changed,
        })
    }

    /// Takes what a dead process of this object wrote into the history: the action is over, only nobody said so.
    async fn catch_up(&mut self, last: &Record) -> Result<(), StorageError> {
        let status = self.object.status.get_or_insert_default();
        let is_known = status.history.first().is_some_and(|latest| latest.version >= last.version);
        if is_known || !matches!(last.info.status, Status::Deployed | Status::Failed) {
            return Ok(());
        }
        let mut written: std::collections::BTreeMap<i64, Record> = [(last.version, last.clone())].into();
        for snapshot in &status.history {
            if let Some(record) = self.work.storage.get(snapshot.version).await? {
                written.insert(record.version, record);
            }
        }
        let action = match (last.info.rollback_revision, &status.last_attempted_release_action) {
            (0, Some(action)) => action.clone(),
            (0, None) => "upgrade".into(),
            _ => "rollback".into(),
        };
        report::remember(&mut status.history, &written, Some(&action), self.work.oci_digest.as_deref());
        let Some(latest) = status.history.first().cloned() else { return Ok(()) };
        let is_well = last.info.status == Status::Deployed;
        if !is_well && action != "rollback" {
            self.count_failure();
        }
        let (condition, word, suffix) = match action.as_str() {
            "rollback" => (REMEDIED, "Rollback", "rollback to previous"),
            "install" => (RELEASED, "Install", "install"),
            _ => (RELEASED, "Upgrade", "upgrade"),
        };
        let outcome = if is_well { "Succeeded" } else { "Failed" };
        let message = format!(
            "Helm {suffix} {} for release {} with chart {}",
            outcome.to_lowercase(),
            latest.full_name(),
            latest.versioned_chart()
        );
        let value = if is_well { "True" } else { "False" };
        self.run.set_condition(self.object, condition, value, &format!("{word}{outcome}"), &message);
        Ok(())
    }

    async fn state(&mut self, observed: &Observed) -> Result<State, Failure> {
        let state = decide::state(self.object, &self.work.plan, observed, &self.work.wanted);
        if state != State::InSync || self.work.plan.drift == DriftMode::Disabled {
            return Ok(state);
        }
        let Some(last) = &observed.last else { return Ok(state) };
        let rules = self.object.spec.drift_detection.clone().unwrap_or_default().ignore;
        let found = drift::detect(&self.work.objects(), last, &rules).await.map_err(|error| {
            Failure::Retry(Cause::new("StateError", format!("unable to determine cluster state: {error}")))
        })?;
        self.drifts = found;
        Ok(if self.drifts.is_empty() { State::InSync } else { State::Drifted })
    }

    async fn act(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Install => self.release("install").await,
            Step::Upgrade => self.release("upgrade").await,
            Step::Unlock => self.unlock().await,
            Step::Test => self.test().await,
            Step::CorrectDrift => self.correct().await,
            Step::Rollback => self.roll_back().await,
            Step::Uninstall => self.uninstall().await,
            Step::Done | Step::Report => Ok(()),
        }
    }

    /// Installs or upgrades.
    async fn release(&mut self, action: &'static str) -> Result<(), Failure> {
        let status = self.object.status.get_or_insert_default();
        status.last_attempted_release_action = Some(action.into());
        if action == "install" {
            status.history.clear();
        }
        self.run.unset_condition(self.object, TESTED);
        self.run.unset_condition(self.object, REMEDIED);
        self.run.save(self.object).await?;
        let began = Instant::now();
        let outcome = match action {
            "install" => self.work.install(self.object, self.run).await,
            _ => self.work.upgrade(self.object, self.run).await,
        };
        let status = self.object.status.get_or_insert_default();
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        status.last_attempted_release_action_duration = Some(format_duration(std::time::Duration::from_millis(took)));
        let wrote = self.record(Some(action));
        let word = if action == "install" { "Install" } else { "Upgrade" };
        match outcome {
            Ok(()) => {
                self.released(action, word).await;
                Ok(())
            }
            Err(error) => {
                let (chart, version) = (&self.work.wanted.chart_name, &self.work.wanted.chart_version);
                let message = format!(
                    "Helm {action} failed for release {}/{} with chart {chart}@{version}: {}",
                    self.work.namespace,
                    self.work.release,
                    error.trim()
                );
                self.object.status.get_or_insert_default().failures += 1;
                let reason = format!("{word}Failed");
                let about = About::work(&self.work);
                let news = News { condition: RELEASED, status: "False", reason: &reason, message, bad: true };
                report::tell(self.run, self.object, &about, news).await;
                if !wrote {
                    return Err(self.retry());
                }
                self.count_failure_of(action);
                Ok(())
            }
        }
    }

    async fn released(&mut self, action: &str, word: &str) {
        let latest = self.latest();
        let (name, chart) = (latest.full_name(), latest.versioned_chart());
        let message = format!("Helm {action} succeeded for release {name} with chart {chart}");
        let reason = format!("{word}Succeeded");
        let about = About::snapshot(&latest);
        let news = News { condition: RELEASED, status: "True", reason: &reason, message, bad: false };
        report::tell(self.run, self.object, &about, news).await;
        if self.work.plan.test.enable && !decide::has_been_tested(&latest) {
            let message = format!("Helm release {name} with chart {chart} is awaiting tests");
            self.run.set_condition(self.object, TESTED, "Unknown", "AwaitingTests", &message);
        }
        if self.work.plan.active_retry(self.object).is_some() {
            super::clear_failures(self.object.status.get_or_insert_default());
        }
        self.observe_renderers();
    }

    /// Takes the records of the action into the history; answers whether there were any.
    fn record(&mut self, action: Option<&str>) -> bool {
        let written = std::mem::take(&mut self.work.storage.written);
        let history = &mut self.object.status.get_or_insert_default().history;
        report::remember(history, &written, action, self.work.oci_digest.as_deref());
        !written.is_empty()
    }

    fn latest(&self) -> Snapshot {
        self.object.status.as_ref().and_then(|status| status.history.first().cloned()).unwrap_or_default()
    }

    fn count_failure(&mut self) {
        let action = self.object.status.as_ref().and_then(|status| status.last_attempted_release_action.clone());
        self.object.status.get_or_insert_default().failures += 1;
        self.count_failure_of(action.as_deref().unwrap_or_default());
    }

    fn count_failure_of(&mut self, action: &str) {
        let status = self.object.status.get_or_insert_default();
        match action {
            "install" => status.install_failures += 1,
            "upgrade" => status.upgrade_failures += 1,
            _ => {}
        }
    }

    async fn unlock(&mut self) -> Result<(), Failure> {
        let outcome = self.work.unlock().await;
        self.record(None);
        match outcome {
            Ok(None) => Ok(()),
            Ok(Some((record, status))) => {
                let snapshot = report::snapshot(&record, None);
                let message = format!(
                    "Unlocked Helm release {} with chart {} in {} state",
                    snapshot.full_name(),
                    snapshot.versioned_chart(),
                    status.word()
                );
                let news = News { condition: RELEASED, status: "False", reason: "PendingRelease", message, bad: false };
                report::tell(self.run, self.object, &About::snapshot(&snapshot), news).await;
                Ok(())
            }
            Err(error) => {
                let message = format!("Unlock of Helm release {} failed: {error}", self.work.release);
                self.object.status.get_or_insert_default().failures += 1;
                self.run.set_condition(self.object, RELEASED, "False", "PendingRelease", &message);
                Err(Failure::Retry(Cause::new("PendingRelease", message)))
            }
        }
    }

    async fn test(&mut self) -> Result<(), Failure> {
        let tested = self.latest().version;
        let outcome = self.work.test(self.run).await;
        let results = self
            .work
            .storage
            .written
            .get(&tested)
            .map(|record| report::test_results(record, &self.work.plan.test.filters));
        self.record(None);
        if let (Some(results), Some(latest)) = (results, self.object.status.get_or_insert_default().history.first_mut())
        {
            latest.test_hooks = Some(results);
        }
        let latest = self.latest();
        let (name, chart) = (latest.full_name(), latest.versioned_chart());
        let about = About::snapshot(&latest);
        match outcome {
            Ok(()) => {
                let hooks = match latest.test_hooks.as_ref().map_or(0, std::collections::BTreeMap::len) {
                    0 => "no test hooks".into(),
                    1 => "1 test hook completed successfully".into(),
                    count => format!("{count} test hooks completed successfully"),
                };
                let message = format!("Helm test succeeded for release {name} with chart {chart}: {hooks}");
                let news = News { condition: TESTED, status: "True", reason: "TestSucceeded", message, bad: false };
                report::tell(self.run, self.object, &about, news).await;
                Ok(())
            }
            Err(error) => {
                let message = format!("Helm test failed for release {name} with chart {chart}: {}", error.trim());
                self.object.status.get_or_insert_default().failures += 1;
                let news = News { condition: TESTED, status: "False", reason: "TestFailed", message, bad: true };
                report::tell(self.run, self.object, &about, news).await;
                if !decide::has_been_tested(&latest) {
                    return Err(self.retry());
                }
                if self.work.plan.active_remedy(self.object).is_some_and(|remedy| !remedy.ignore_tests) {
                    let action =
                        self.object.status.as_ref().and_then(|status| status.last_attempted_release_action.clone());
                    self.count_failure_of(action.as_deref().unwrap_or_default());
                }
                Ok(())
            }
        }
    }

    async fn roll_back(&mut self) -> Result<(), Failure> {
        let ignores = self.work.plan.upgrade_remedy.ignore_tests;
        let history = self.object.status.clone().unwrap_or_default().history;
        let Some(previous) = decide::previous(&history, ignores).cloned() else {
            return Err(self.stop(Stop::MissingRollbackTarget));
        };
        let outcome = self.work.roll_back(self.object, self.run, previous.version).await;
        let wrote = self.record(Some("rollback"));
        let (name, chart) = (previous.full_name(), previous.versioned_chart());
        let about = About::snapshot(&previous);
        match outcome {
            Ok(()) => {
                let message = format!("Helm rollback to previous release {name} with chart {chart} succeeded");
                let news =
                    News { condition: REMEDIED, status: "True", reason: "RollbackSucceeded", message, bad: false };
                report::tell(self.run, self.object, &about, news).await;
                Ok(())
            }
            Err(error) => {
                let message =
                    format!("Helm rollback to previous release {name} with chart {chart} failed: {}", error.trim());
                self.object.status.get_or_insert_default().failures += 1;
                let news = News { condition: REMEDIED, status: "False", reason: "RollbackFailed", message, bad: true };
                report::tell(self.run, self.object, &about, news).await;
                if wrote { Ok(()) } else { Err(self.retry()) }
            }
        }
    }

    async fn uninstall(&mut self) -> Result<(), Failure> {
        let release = self.work.release.clone();
        let outcome = leave::uninstall(self.work.cx, &self.work.plan, &mut self.work.storage, self.run, &release).await;
        let wrote = self.record(Some("uninstall-remediation"));
        let latest = self.latest();
        let (name, chart) = (latest.full_name(), latest.versioned_chart());
        let about = About::snapshot(&latest);
        let outcome = match outcome {
            Ok(Gone::Done) => Ok(()),
            Ok(Gone::NotFound) => Err("release: not found".to_owned()),
            Ok(Gone::Already) => Err(format!("the release named {release:?} is already deleted")),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => {
                self.object.status.get_or_insert_default().inventory = None;
                let message = format!("Helm uninstall remediation for release {name} with chart {chart} succeeded");
                let news =
                    News { condition: REMEDIED, status: "True", reason: "UninstallSucceeded", message, bad: false };
                report::tell(self.run, self.object, &about, news).await;
                Ok(())
            }
            Err(error) => {
                let message = format!(
                    "Helm uninstall remediation for release {name} with chart {chart} failed: {}",
                    error.trim()
                );
                self.object.status.get_or_insert_default().failures += 1;
                let news = News { condition: REMEDIED, status: "False", reason: "UninstallFailed", message, bad: true };
                report::tell(self.run, self.object, &about, news).await;
                if wrote { Ok(()) } else { Err(self.retry()) }
            }
        }
    }

    async fn tell_drift(&mut self) {
        let message = format!(
            "Cluster state of release {} has drifted from the desired state:\n{}",
            self.latest().full_name(),
            drift::summary(&self.drifts)
        );
        self.run.event(Severity::Error, "DriftDetected", &message, &[]).await;
        self.run.set_condition(self.object, DRIFTED, "True", "DriftDetected", &message);
    }

    async fn correct(&mut self) -> Result<(), Failure> {
        self.tell_drift().await;
        let timeout = self.work.plan.timeout;
        let corrected = tokio::time::timeout(timeout, drift::correct(&self.work.objects(), &self.drifts)).await;
        let (done, failed) = corrected.unwrap_or_else(|_| (Vec::new(), vec!["the time was over".into()]));
        let latest = self.latest();
        let about = About::snapshot(&latest);
        let name = latest.full_name();
        if failed.is_empty() {
            let message = format!("Cluster state of release {name} has been corrected:\n{}", done.join("\n"));
            report::event(self.run, &about, Severity::Info, "DriftCorrected", &message).await;
        } else {
            let partially = if done.is_empty() { "" } else { "partially " };
            let message =
                format!("Failed to {partially}correct cluster state of release {name}:\n{}", failed.join("\n"));
            report::event(self.run, &about, Severity::Error, "DriftCorrectionFailed", &message).await;
        }
        Ok(())
    }

    /// A release that is as wanted after a remedy counts as upgraded.
    fn forgive(&mut self) {
        if !report::is(self.object, REMEDIED, "True") {
            return;
        }
        let latest = self.latest();
        let message = format!(
            "Helm upgrade succeeded for release {} with chart {}",
            latest.full_name(),
            latest.versioned_chart()
        );
        self.run.unset_condition(self.object, REMEDIED);
        self.run.set_condition(self.object, RELEASED, "True", "UpgradeSucceeded", &message);
    }

    /// Nothing is left to do: Ready is what the conditions of the release come to.
    fn settle(&mut self) -> Result<(), Failure> {
        self.forgive();
        if !report::is(self.object, RELEASED, "True") {
            let reason = match report::reason(self.object, RELEASED).as_str() {
                "InstallFailed" => Some(("InstallSucceeded", "install")),
                "UpgradeFailed" | "PendingRelease" => Some(("UpgradeSucceeded", "upgrade")),
                _ => None,
            };
            if let Some((reason, action)) = reason {
                let latest = self.latest();
                let (name, chart) = (latest.full_name(), latest.versioned_chart());
                let message = format!("Helm {action} succeeded for release {name} with chart {chart}");
                self.run.set_condition(self.object, RELEASED, "True", reason, &message);
            }
        }
        if self.work.plan.drift != DriftMode::Disabled && self.drifts.is_empty() {
            let message = "No drift detected against the cluster state";
            self.run.set_condition(self.object, DRIFTED, "False", "NoDriftDetected", message);
        } else if self.work.plan.drift == DriftMode::Disabled {
            self.run.unset_condition(self.object, DRIFTED);
        }
        self.observe_renderers();
        match report::summary(self.object) {
            Some((true, cause)) => {
                self.run.ready(&cause.reason, cause.message);
                Ok(())
            }
            Some((false, cause)) => {
                self.run.told();
                Err(Failure::RetryAfter(cause, self.work.plan.interval))
            }
            None => Ok(()),
        }
    }

    fn observe_renderers(&mut self) {
        let (renderers, metadata) = report::renderer_digests(self.object);
        let status = self.object.status.get_or_insert_default();
        status.observed_post_renderers_digest = renderers;
        status.observed_common_metadata_digest = metadata;
    }

    /// What the conditions say is wrong.
    fn cause(&mut self) -> Cause {
        let summary = report::summary(self.object);
        summary.map_or_else(|| Cause::new("ReconcileError", "the release is not as wanted"), |(_, cause)| cause)
    }

    /// Tried again with growing pauses; the action itself told why.
    fn retry(&mut self) -> Failure {
        self.run.told();
        match self.work.plan.active_retry(self.object) {
            Some(pause) => Failure::RetryAfter(self.cause(), pause),
            None => Failure::Retry(self.cause()),
        }
    }

    fn end(&mut self, after: After) -> Failure {
        self.run.told();
        match after {
            After::Retry(pause) => Failure::RetryAfter(self.cause(), pause),
            After::Requeue => Failure::Retry(self.cause()),
            After::Rest => Failure::RetryAfter(self.cause(), self.work.plan.interval),
            After::RetriesExceeded => self.stop(Stop::RetriesExceeded),
        }
    }

    fn stop(&mut self, stop: Stop) -> Failure {
        let status = self.object.status.clone().unwrap_or_default();
        let release = self.work.release.clone();
        let stalled = |reason: &str, message: String| Failure::Stalled(Cause::new(reason, message));
        let failure = match stop {
            Stop::RetriesExceeded => {
                let action = status.last_attempted_release_action.clone().unwrap_or_default();
                let failures = decide::failures_of(&status);
                stalled("RetriesExceeded", format!("Failed to {action} after {failures} attempt(s)"))
            }
            Stop::MissingRollbackTarget => stalled(
                "MissingRollbackTarget",
                "Failed to perform remediation: missing target release for rollback: cannot remediate failed release"
                    .into(),
            ),
            Stop::WouldUninstallGood => stalled(
                "RemediationHeld",
                format!(
                    "release {release} is not uninstalled: an earlier revision of it was well; correct the release, then \
                     reconcile it with force"
                ),
            ),
            Stop::Orphaned => stalled(
                "StateError",
                format!(
                    "there is no record of release {release}, but its objects live: nothing is installed over them; restore \
                     the record, or reconcile with force to install and adopt them"
                ),
            ),
            Stop::Unknown(status) => Failure::Retry(Cause::new(
                "StateError",
                format!("unable to determine state for release with status '{}'", status.word()),
            )),
            Stop::Held(rest) => {
                let message = format!(
                    "release {release} is being worked on by somebody else; it is taken for dead in {}",
                    format_duration(std::time::Duration::from_secs(rest.as_secs()))
                );
                let pause = rest.min(self.work.cx.options.requeue_dependency);
                return Failure::Waiting(Cause::new("PendingRelease", message), pause);
            }
        };
        if matches!(failure, Failure::Stalled(_))
            && let Some((false, cause)) = report::summary(self.object)
        {
            self.run.unready(cause);
        }
        failure
    }
}

/// Whether the release was taken away by weir itself.
fn is_gone(snapshot: &Snapshot) -> bool {
    matches!(Status::of(&snapshot.status), Status::Uninstalled | Status::Uninstalling)
}
