//! What is found of a release: its newest record, and what a dead process did not live to tell of it.
//!
//! It only reads, and puts what it learns into the object, so that a preview sees what a reconciliation would see.
//! Start with [`Work::observe`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::act::Work;
use super::decide::{Observed, Previous};
use super::history;
use super::report::{self, RELEASED, REMEDIED};
use super::storage::StorageError;
use crate::base::Id;
use crate::engine::release::{Record, Status, time_of_snapshot};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{HelmReleaseStatus, Snapshot};

/// The end of an action that nobody told.
pub struct Untold {
    pub condition: &'static str,
    pub status: &'static str,
    pub reason: String,
    pub message: String,
}

impl Work<'_> {
    /// Looks at a release with its newest record; the object's history learns how an action ended whose process died.
    ///
    /// Errors when the server cannot say, or a record cannot be read.
    pub async fn observe(
        &self,
        object: &mut HelmRelease,
        last: Option<Record>,
    ) -> Result<(Observed, Option<Untold>), String> {
        let own = last.as_ref().is_some_and(|last| self.storage.is_own(last));
        let mut observed = Observed { own, ..Observed::default() };
        let mut untold = None;
        match &last {
            Some(last) => {
                if own {
                    untold = self.catch_up(object, last).await.map_err(|error| error.to_string())?;
                }
                observed.resumable = self.is_interrupted(last, last.info.status);
                let began: Option<Timestamp> = last.info.last_deployed.parse().ok();
                let age = began.map(|began| Timestamp::now().duration_since(began));
                observed.age = age.and_then(|age| age.try_into().ok()).unwrap_or_default();
                observed.previous = self.previous(object).await.map_err(|error| error.to_string())?;
            }
            None => {
                untold = catch_up_with_uninstall(object.status.get_or_insert_default());
                let status = object.status.get_or_insert_default();
                if status.history.first().is_some_and(|latest| !is_gone(latest)) {
                    let inventory = status.inventory.iter().flat_map(|inventory| &inventory.entries);
                    let ids: Vec<Id> = inventory.filter_map(|entry| entry.id()).collect();
                    let lives = self.objects().any_lives(&ids).await;
                    observed.orphans = lives.map_err(|error| error.to_string())?;
                }
            }
        }
        observed.last = last;
        Ok((observed, untold))
    }

    /// Whether there is what a rollback would go to.
    async fn previous(&self, object: &HelmRelease) -> Result<Previous, StorageError> {
        let ignores = self.plan.ignores_tests(object);
        let history = object.status.as_ref().map(|status| status.history.as_slice()).unwrap_or_default();
        let Some(snapshot) = history::previous(history, ignores) else { return Ok(Previous::Missing) };
        Ok(match self.storage.get(snapshot.version).await? {
            Some(record) if history::is_same(snapshot, &record) => Previous::Good,
            _ => Previous::Changed,
        })
    }

    /// Takes what a dead process of this object wrote into the history: the action is over, only nobody said so.
    async fn catch_up(&self, object: &mut HelmRelease, last: &Record) -> Result<Option<Untold>, StorageError> {
        let status = object.status.get_or_insert_default();
        let is_known = status.history.first().is_some_and(|latest| latest.version >= last.version);
        if is_known || !matches!(last.info.status, Status::Deployed | Status::Failed) {
            return Ok(None);
        }
        let mut written: BTreeMap<i64, Record> = [(last.version, last.clone())].into();
        for snapshot in &status.history {
            if let Some(record) = self.storage.get(snapshot.version).await? {
                written.insert(record.version, record);
            }
        }
        let action = match (last.info.rollback_revision, &status.last_attempted_release_action) {
            (0, Some(action)) => action.clone(),
            (0, None) => "upgrade".into(),
            _ => "rollback".into(),
        };
        report::remember(&mut status.history, &written, Some(&action), self.oci_digest.as_deref());
        let Some(latest) = status.history.first().cloned() else { return Ok(None) };
        let is_well = last.info.status == Status::Deployed;
        if !is_well && action != "rollback" {
            let tried = status.last_attempted_release_action.clone().unwrap_or_default();
            status.failures += 1;
            count_failure_of(status, &tried);
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
        Ok(Some(Untold { condition, status: value, reason: format!("{word}{outcome}"), message }))
    }
}

/// Notes the end of an uninstall that the process did not live to tell.
fn catch_up_with_uninstall(status: &mut HelmReleaseStatus) -> Option<Untold> {
    let latest = status.history.first_mut()?;
    if Status::of(&latest.status) != Status::Uninstalling {
        return None;
    }
    latest.status = Status::Uninstalled.word().into();
    latest.action = Some("uninstall-remediation".into());
    latest.deleted.get_or_insert_with(|| time_of_snapshot(&Timestamp::now().to_string()).unwrap_or_default());
    let (name, chart) = (latest.full_name(), latest.versioned_chart());
    status.inventory = None;
    let message = format!("Helm uninstall remediation for release {name} with chart {chart} succeeded");
    Some(Untold { condition: REMEDIED, status: "True", reason: "UninstallSucceeded".into(), message })
}

/// Counts a failed install or upgrade.
pub fn count_failure_of(status: &mut HelmReleaseStatus, action: &str) {
    match action {
        "install" => status.install_failures += 1,
        "upgrade" => status.upgrade_failures += 1,
        _ => {}
    }
}

/// Whether the release was taken away by weir itself.
fn is_gone(snapshot: &Snapshot) -> bool {
    matches!(Status::of(&snapshot.status), Status::Uninstalled | Status::Uninstalling)
}
