//! What a Kustomization remembers in its status: the inventory and the history of its last runs.
//!
//! Pure. Invariant: an entry leaves the inventory only when its object is known to be gone or to be somebody else's.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::{Id, Stamp, format_duration};
use crate::kinds::kustomization::{Inventory, InventoryEntry};
use crate::kinds::meta::Snapshot;

/// Runs kept in the history.
const RUNS: usize = 5;
/// The metadata that says how many objects a run that went well had; weir's own.
const OBJECTS: &str = "objects";

/// The inventory of some objects, sorted as Flux sorts it.
pub fn inventory(objects: impl IntoIterator<Item = (Id, String)>) -> Inventory {
    let entries: BTreeSet<InventoryEntry> =
        objects.into_iter().map(|(id, version)| InventoryEntry::new(&id, &version)).collect();
    Inventory { entries: entries.into_iter().collect() }
}

/// Everything in either; an object whose version changed has the newer entry only.
pub fn union(old: &Inventory, new: &Inventory) -> Inventory {
    let ids: BTreeSet<&str> = new.entries.iter().map(|entry| &*entry.id).collect();
    let kept = old.entries.iter().filter(|entry| !ids.contains(&*entry.id)).cloned();
    let mut entries: Vec<InventoryEntry> = new.entries.iter().cloned().chain(kept).collect();
    entries.sort();
    entries.dedup();
    Inventory { entries }
}

/// What is in the old inventory and not in the new; entries that cannot be read are left out and stay where they are.
pub fn stale(old: &Inventory, new: &Inventory) -> Vec<Id> {
    let ids: BTreeSet<&str> = new.entries.iter().map(|entry| &*entry.id).collect();
    let stale = old.entries.iter().filter(|entry| !ids.contains(&*entry.id));
    stale.filter_map(InventoryEntry::id).collect()
}

/// The entries of some objects out of an inventory.
pub fn keep<'a>(from: &Inventory, ids: impl IntoIterator<Item = &'a Id>) -> Inventory {
    let wanted: BTreeSet<String> = ids.into_iter().map(|id| InventoryEntry::new(id, "").id).collect();
    let entries = from.entries.iter().filter(|entry| wanted.contains(&entry.id)).cloned().collect();
    Inventory { entries }
}

/// One finished run.
pub struct Entry<'a> {
    pub digest: &'a str,
    /// The reason in Ready.
    pub status: &'a str,
    pub revision: &'a str,
    /// In the inventory, when all went well.
    pub objects: Option<usize>,
    pub took: Duration,
    pub now: Stamp,
}

/// Puts a run on top of the history; runs with the same digest and status are one entry.
pub fn remember(history: &mut Vec<Snapshot>, run: &Entry<'_>) {
    let is_same = |known: &Snapshot| known.digest == run.digest && known.last_reconciled_status == run.status;
    let old = history.iter().position(is_same).map(|at| history.remove(at));
    let mut snapshot = old.unwrap_or_else(|| Snapshot {
        digest: run.digest.into(),
        first_reconciled: run.now.to_string(),
        last_reconciled_status: run.status.into(),
        ..Snapshot::default()
    });
    snapshot.last_reconciled = run.now.to_string();
    snapshot.last_reconciled_duration = format_duration(run.took);
    snapshot.total_reconciliations += 1;
    snapshot.metadata = [("revision".to_owned(), run.revision.to_owned())].into();
    if let Some(objects) = run.objects {
        snapshot.metadata.insert(OBJECTS.into(), objects.to_string());
    }
    history.insert(0, snapshot);
    history.truncate(RUNS);
}

/// How many objects there were when all went well last: the inventory itself grows before each apply, so that after a
/// failed one it holds more.
pub fn known(history: &[Snapshot]) -> Option<usize> {
    history.iter().find_map(|run| run.metadata.get(OBJECTS)).and_then(|count| count.parse().ok())
}

/// Whether the last run was the same: then the history is left alone, so that a mere check writes nothing.
pub fn is_repeat(history: &[Snapshot], digest: &str, status: &str, revision: &str) -> bool {
    history.first().is_some_and(|last| {
        last.digest == digest
            && last.last_reconciled_status == status
            && last.metadata.get("revision").is_some_and(|known| known == revision)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Inventory {
        inventory(names.iter().map(|name| (Id::new("", "ConfigMap", "a", name), "v1".to_owned())))
    }

    #[test]
    fn the_union_holds_everything_and_the_difference_what_left() {
        let (old, new) = (of(&["a", "b"]), of(&["b", "c"]));
        assert_eq!(union(&old, &new), of(&["a", "b", "c"]));
        assert_eq!(stale(&old, &new), [Id::new("", "ConfigMap", "a", "a")]);
        assert_eq!(keep(&old, &stale(&old, &new)), of(&["a"]));
    }

    #[test]
    fn an_object_of_another_version_is_the_same_object() {
        let id = Id::new("apps", "Deployment", "a", "web");
        let old = inventory([(id.clone(), "v1beta1".into())]);
        let new = inventory([(id, "v1".into())]);
        assert_eq!(union(&old, &new), new);
        assert!(stale(&old, &new).is_empty());
    }

    #[test]
    fn history_merges_equal_runs_and_keeps_five() {
        let mut history = Vec::new();
        let mut run = |digest: &str, status: &str| {
            let took = Duration::from_secs(1);
            remember(&mut history, &Entry { digest, status, revision: "r", objects: Some(7), took, now: Stamp(0) });
            history.clone()
        };
        for digest in ["1", "2", "3", "4", "5", "6"] {
            run(digest, "ReconciliationSucceeded");
        }
        let after = run("6", "ReconciliationSucceeded");
        assert_eq!(after.len(), 5);
        assert_eq!((after[0].digest.as_str(), after[0].total_reconciliations), ("6", 2));
        let failed = run("6", "HealthCheckFailed");
        assert_eq!(known(&failed), Some(7));
        assert_eq!((failed.len(), failed[0].total_reconciliations), (5, 1));
        assert!(
            is_repeat(&failed, "6", "HealthCheckFailed", "r") && !is_repeat(&failed, "6", "HealthCheckFailed", "s")
        );
    }
}
