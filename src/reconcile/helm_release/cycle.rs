//! The cycle of a release: observe, decide, act, until nothing is left to do or something has to wait.
//!
//! Start with [`Cycle::go`]. Source: helm-controller internal/reconcile/atomic_release.go and the actions beside it.
//! Weir's own: a record that a dead process of this very object left behind is taken into the history, so that no
//! action runs twice.

use super::super::{Cause, Failure, Run, Severity};
use super::act::Work;
use super::decide::{self, After, Choice, History, Observed, Sort, State, Step, Stop};
use super::drift::{self, Drift};
use super::history;
use super::plan::words;
use super::report::{self, DRIFTED, RELEASED, REMEDIED};
use super::storage::{StorageError, Stored};
use crate::base::format_duration;
use crate::engine::release::Record;
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::DriftMode;

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
            if let Some(last) = &observed.last {
                self.work.hide_of(last, self.run);
            }
            let state = self.state(&observed).await?;
            tracing::debug!(id = %self.run.id(), ?state, "the release was observed");
            let choice = decide::next(self.object, &self.work.plan, &state, &observed, force);
            force = false;
            let Choice { step, history } = match choice {
                Ok(choice) => choice,
                Err(stop) => return Err(self.stop(stop)),
            };
            let ignores = self.work.plan.ignores_tests(self.object);
            history::shorten(&mut self.object.status.get_or_insert_default().history, history, ignores);
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
        let last = self.last().await.map_err(|error: StorageError| failed(error.to_string()))?;
        let (observed, untold) = self.work.observe(self.object, last).await.map_err(failed)?;
        if let Some(news) = untold {
            self.run.set_condition(self.object, news.condition, news.status, &news.reason, &news.message);
        }
        Ok(observed)
    }

    /// The newest record; those that a dead process left over are deleted.
    async fn last(&self) -> Result<Option<Record>, StorageError> {
        let history = self.work.storage.history().await?;
        let Some(last) = history.last().map(Stored::open).transpose()? else { return Ok(None) };
        self.work.storage.trim(&last, &history, self.work.plan.max_history).await?;
        Ok(Some(last))
    }

    async fn state(&mut self, observed: &Observed) -> Result<State, Failure> {
        let state =
            decide::state(self.object, &self.work.plan, observed, &self.work.wanted_over(observed.last.as_ref()));
        if state != State::InSync || self.work.plan.drift == DriftMode::Disabled {
            return Ok(state);
        }
        let Some(last) = &observed.last else { return Ok(state) };
        let rules = self.object.spec.drift_detection.clone().unwrap_or_default().ignore;
        let unknown = |error: &str| {
            Failure::Retry(Cause::new("StateError", format!("unable to determine cluster state: {error}")))
        };
        let found = drift::detect(&self.work.objects(), last, &rules).await;
        let (drifts, failed) = found.map_err(|error| unknown(&error))?;
        // What is known to have drifted is told and corrected all the same.
        match (drifts.is_empty(), failed.is_empty()) {
            (_, true) => {}
            (true, false) => return Err(unknown(&failed.join("; "))),
            (false, false) => {
                let message = format!("not everything could be compared with the cluster: {}", failed.join("; "));
                self.run.event(Severity::Error, "StateError", &message, &[]).await;
            }
        }
        self.drifts = drifts;
        Ok(if self.drifts.is_empty() { State::InSync } else { State::Drifted })
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

    pub(super) fn observe_renderers(&mut self) {
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
    pub(super) fn retry(&mut self) -> Failure {
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

    pub(super) fn stop(&mut self, stop: Stop) -> Failure {
        let failure = why_stopped(&stop, self.object, &self.work);
        if matches!(failure, Failure::Stalled(_))
            && let Some((false, cause)) = report::summary(self.object)
        {
            self.run.unready(cause);
        }
        failure
    }
}

/// Why nothing more is done, in words.
pub fn why_stopped(stop: &Stop, object: &HelmRelease, work: &Work<'_>) -> Failure {
    let release = &work.release;
    let stalled = |reason: &str, message: String| Failure::Stalled(Cause::new(reason, message));
    match stop {
        Stop::RetriesExceeded => {
            let status = object.status.clone().unwrap_or_default();
            let action = status.last_attempted_release_action.clone().unwrap_or_default();
            let failures = history::failures_of(&status);
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
            let pause = (*rest).min(work.cx.options.requeue_dependency);
            Failure::Waiting(Cause::new("PendingRelease", message), pause)
        }
    }
}
