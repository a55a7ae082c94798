//! The actions that make nothing new: uninstall, test, unlock.
//!
//! Start with [`uninstall`]. Source: helm pkg/action (uninstall.go, release_testing.go), helm-controller
//! internal/reconcile (unlock.go).

use super::super::kustomization::health::Checks;
use super::super::{Context, Run};
use super::act::{Work, text};
use super::hooks::{Hooks, now};
use super::objects::Objects;
use super::plan::Plan;
use super::storage::Storage;
use crate::engine::release::{Hidden, Record, Status, TEST};
use crate::kinds::helm_release::TestFilter;

/// What an uninstall came to.
pub enum Gone {
    /// There was no record.
    NotFound,
    /// It was uninstalled before, and its records are kept.
    Already,
    Done,
}

/// Takes a release away: hooks, objects, records.
///
/// Errors with everything that could not be done; the records stay then, unless only the end failed.
pub async fn uninstall(
    cx: &Context,
    plan: &Plan,
    storage: &mut Storage<'_>,
    run: &mut Run,
    release: &str,
) -> Result<Gone, String> {
    let history = storage.history().await.map_err(text)?;
    let Some(last) = history.last() else { return Ok(Gone::NotFound) };
    let mut record = last.open().map_err(text)?;
    run.hide(&Hidden::redactor_of(&record, None));
    let versions: Vec<i64> = history.iter().map(|stored| stored.version).collect();
    if record.info.status == Status::Uninstalled {
        if plan.keep_history {
            return Ok(Gone::Already);
        }
        return purge(storage, &versions, record).await.map(|()| Gone::Done);
    }
    let namespace = record.namespace.clone();
    let checks = Checks::default();
    let objects = Objects { cx, checks: &checks, release, namespace: &namespace };
    let placed = objects.read(&record.manifest).await;
    let placed = placed.map_err(|error| format!("failed to delete release: {release}: {error}"))?;
    let resumed = record.info.status == Status::Uninstalling && !record.info.deleted.is_empty();
    if !resumed {
        record.info.deleted = now();
    }
    record.info.status = Status::Uninstalling;
    record.info.description = "Deletion in progress (or silently failed)".into();
    let since = resumed.then(|| record.info.deleted.clone());
    let hooks = Hooks { objects: &objects, timeout: plan.uninstall.timeout, server_side: true, since };
    if plan.uninstall.hooks {
        hooks.run("pre-delete", &mut record, storage, run, &|_| true).await?;
    }
    storage.update(&record).await.map_err(text)?;
    let (gone, deleted) = objects.delete_all(&placed, plan.propagation).await;
    deleted.map_err(|error| format!("failed to delete release: {release}: {error}"))?;
    let mut errors = Vec::new();
    if plan.uninstall.wait {
        let waited = run.rest(objects.wait_gone(&gone, plan.uninstall.timeout)).await;
        errors.extend(waited.err());
    }
    if plan.uninstall.hooks {
        let ran = hooks.run("post-delete", &mut record, storage, run, &|_| true).await;
        errors.extend(ran.err());
    }
    record.info.status = Status::Uninstalled;
    record.info.description = "Uninstallation complete".into();
    if plan.keep_history {
        storage.update(&record).await.map_err(text)?;
        for stored in
            history.iter().filter(|stored| stored.status == Status::Deployed && stored.version != record.version)
        {
            let mut deployed = stored.open().map_err(text)?;
            deployed.info.status = Status::Superseded;
            storage.update(&deployed).await.map_err(text)?;
        }
    } else {
        purge(storage, &versions, record).await?;
    }
    if errors.is_empty() {
        return Ok(Gone::Done);
    }
    Err(format!("uninstallation completed with {} error(s): {}", errors.len(), errors.join("; ")))
}

/// Deletes all records; the last one is remembered as uninstalled.
async fn purge(storage: &mut Storage<'_>, versions: &[i64], mut last: Record) -> Result<(), String> {
    for version in versions {
        let deleted = storage.delete(*version).await;
        deleted.map_err(|error| format!("uninstall: Failed to purge the release: {error}"))?;
    }
    last.info.status = Status::Uninstalled;
    storage.written.clear();
    storage.written.insert(last.version, last);
    Ok(())
}

/// Whether a test is among the selected.
pub fn is_selected(name: &str, filters: &[TestFilter]) -> bool {
    let excluded = |filter: &TestFilter| filter.exclude == Some(true);
    if filters.iter().any(|filter| excluded(filter) && filter.name == name) {
        return false;
    }
    let mut included = filters.iter().filter(|filter| !excluded(filter)).peekable();
    included.peek().is_none() || included.any(|filter| filter.name == name)
}

impl Work<'_> {
    /// Runs the tests of the newest revision; their results are in its record.
    ///
    /// Errors with the first that fails.
    pub async fn test(&mut self, run: &mut Run) -> Result<(), String> {
        let last = self.storage.last().await.map_err(text)?;
        let mut record = last.ok_or("no latest release: required for test")?;
        let objects = Objects { cx: self.cx, checks: &self.checks, release: &self.release, namespace: &self.namespace };
        let server_side = record.apply_method == "ssa";
        let hooks = Hooks { objects: &objects, timeout: self.plan.test.timeout, server_side, since: None };
        let filters = self.plan.test.filters.clone();
        let selected = move |name: &str| is_selected(name, &filters);
        let outcome = hooks.run(TEST, &mut record, &mut self.storage, run, &selected).await;
        self.storage.update(&record).await.map_err(text)?;
        outcome
    }

    /// Marks a pending record whose maker died as failed; answers the status it had.
    ///
    /// Errors when the record cannot be written.
    pub async fn unlock(&mut self) -> Result<Option<(Record, Status)>, String> {
        let Some(mut record) = self.storage.last().await.map_err(text)? else { return Ok(None) };
        let status = record.info.status;
        if !status.is_pending() {
            return Ok(None);
        }
        record.info.status = Status::Failed;
        record.info.description = format!("Release unlocked from stale '{}' state", status.word());
        self.storage.update(&record).await.map_err(text)?;
        Ok(Some((record, status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_in_or_leave_out() {
        let filter = |name: &str, exclude: bool| TestFilter { name: name.into(), exclude: exclude.then_some(true) };
        assert!(is_selected("a", &[]));
        assert!(is_selected("a", &[filter("a", false)]) && !is_selected("b", &[filter("a", false)]));
        assert!(!is_selected("a", &[filter("a", true)]) && is_selected("b", &[filter("a", true)]));
        assert!(!is_selected("a", &[filter("a", false), filter("a", true)]));
    }
}
