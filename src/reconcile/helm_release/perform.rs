//! The steps of a cycle: each does its action, then tells what came of it in history, counters, conditions and events.
//!
//! Start with [`Cycle::act`]. Source: helm-controller internal/reconcile (install.go, upgrade.go, test.go,
//! rollback_remediation.go, uninstall_remediation.go, unlock.go, correct_cluster_drift.go).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::{Cause, Failure, Severity};
use super::cycle::Cycle;
use super::decide::{Step, Stop};
use super::drift;
use super::history;
use super::leave::{self, Gone};
use super::observe;
use super::report::{self, About, DRIFTED, News, RELEASED, REMEDIED, TESTED};
use crate::base::format_duration;
use crate::kinds::helm_release::Snapshot;

impl Cycle<'_, '_> {
    /// Does one step.
    ///
    /// Errors with what has to be waited for; a step that failed and left a record is no error: the next look finds it.
    pub async fn act(&mut self, step: Step) -> Result<(), Failure> {
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
        status.last_attempted_release_action_duration = Some(format_duration(Duration::from_millis(took)));
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
        if self.work.plan.test.enable && !history::has_been_tested(&latest) {
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

    /// The newest snapshot.
    pub fn latest(&self) -> Snapshot {
        self.object.status.as_ref().and_then(|status| status.history.first().cloned()).unwrap_or_default()
    }

    fn count_failure_of(&mut self, action: &str) {
        observe::count_failure_of(self.object.status.get_or_insert_default(), action);
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
                let hooks = match latest.test_hooks.as_ref().map_or(0, BTreeMap::len) {
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
                if !history::has_been_tested(&latest) {
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
        let Some(previous) = history::previous(&history, ignores).cloned() else {
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
        // When all records are gone, only this tells who comes after a crash why.
        if let Some(latest) = self.object.status.get_or_insert_default().history.first_mut() {
            latest.status = crate::engine::release::Status::Uninstalling.word().into();
        }
        self.run.save(self.object).await?;
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

    /// Tells of drift, as a condition and as an event.
    pub async fn tell_drift(&mut self) {
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
}
