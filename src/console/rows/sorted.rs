//! [`Sorted`]: the objects of one kind, kept in order by moving only what changed.
//!
//! Invariant: `rows` is sorted by the order and holds exactly the objects of `all` that pass the filter, unless a
//! sieve is under way; then it is what it was, and what changes meanwhile is remembered. A test compares with a rebuild.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::sift::Filter;
use crate::base::{Id, State};
use crate::console::message::{By, Order, Sand, Sieve};
use crate::store::{Entry, Store};

/// Up to this many rows are filtered and sorted at once; more go through an effect, so that no key waits for them.
pub const AT_ONCE: usize = 2_000;

/// The rows of one kind.
pub struct Sorted {
    all: HashMap<Id, Arc<Entry>>,
    rows: Vec<Arc<Entry>>,
    order: Order,
    /// The order that the rows have: behind `order` while a sieve is under way.
    shown: Order,
    query: String,
    only_problems: bool,
    filter: Filter,
    /// What changed while a sieve is under way; `None` when none is.
    meanwhile: Option<HashSet<Id>>,
    /// What sieves get, kept from letter to letter while nothing changes.
    sand: Option<Arc<[Arc<Entry>]>>,
    counts: [u32; 7],
    pub touched: u64,
}

impl Order {
    /// The order of two rows; never equal for two objects.
    pub fn compare(self, a: &Entry, b: &Entry) -> Ordering {
        let by_name = || {
            let (a, b) = (&a.object.id, &b.object.id);
            (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name))
        };
        let order = match self.by {
            By::Name => Ordering::Equal,
            By::Status => a.health.state.cmp(&b.health.state),
            // The youngest first: what happened last is what one looks for.
            By::Age => b.object.created.cmp(&a.object.created),
        };
        let order = order.then_with(by_name);
        if self.reverse { order.reverse() } else { order }
    }
}

impl Sorted {
    /// Takes all objects of a kind, in an order.
    pub fn new(store: &Store, group: &str, kind: &str, order: Order) -> Self {
        let mut entries = store.of_kind(group, kind);
        let all = entries.iter().map(|entry| (entry.object.id.clone(), entry.clone())).collect();
        let mut counts = [0; 7];
        entries.iter().for_each(|entry| counts[entry.health.state as usize] += 1);
        // The store hands them out by namespace and name.
        if order != Order::default() {
            entries.sort_unstable_by(|a, b| order.compare(a, b));
        }
        Sorted {
            all,
            rows: entries,
            order,
            shown: order,
            query: String::new(),
            only_problems: false,
            filter: Filter::new("", false),
            meanwhile: None,
            sand: None,
            counts,
            touched: 0,
        }
    }

    pub fn rows(&self) -> &[Arc<Entry>] {
        &self.rows
    }

    /// How many objects there are, shown or not.
    pub fn total(&self) -> usize {
        self.all.len()
    }

    pub fn order(&self) -> Order {
        self.order
    }

    pub fn query(&self) -> &str {
        &self.query
    }

    pub fn only_problems(&self) -> bool {
        self.only_problems
    }

    /// The row of an object.
    pub fn row_of(&self, id: &Id) -> Option<usize> {
        let entry = self.all.get(id)?;
        self.rows.binary_search_by(|row| self.shown.compare(row, entry)).ok()
    }

    /// How many objects are in each state.
    pub fn counts(&self) -> [u32; 7] {
        self.counts
    }

    /// Moves what changed; answers whether any row did.
    pub fn apply<'a>(&mut self, store: &Store, ids: impl Iterator<Item = &'a Id>) -> bool {
        let mut moved = false;
        for id in ids {
            moved |= self.sync(store, id);
        }
        moved
    }

    fn sync(&mut self, store: &Store, id: &Id) -> bool {
        let new = store.get(id);
        if new.is_none() && !self.all.contains_key(id) {
            return false;
        }
        self.touched += 1;
        self.sand = None;
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.insert(id.clone());
        }
        if let Some(old) = self.all.remove(id) {
            self.counts[old.health.state as usize] -= 1;
            if let Ok(row) = self.rows.binary_search_by(|row| self.shown.compare(row, &old)) {
                self.rows.remove(row);
            }
        }
        if let Some(new) = new {
            self.counts[new.health.state as usize] += 1;
            if self.filter.score(id, new.health.state).is_some()
                && let Err(row) = self.rows.binary_search_by(|row| self.shown.compare(row, &new))
            {
                self.rows.insert(row, new.clone());
            }
            self.all.insert(id.clone(), new);
        }
        true
    }

    /// Filters by other words; answers a sieve when that takes longer than a key may wait.
    pub fn set_filter(&mut self, query: &str, only_problems: bool) -> Option<Sieve> {
        query.clone_into(&mut self.query);
        self.only_problems = only_problems;
        self.filter = Filter::new(query, only_problems);
        self.rebuild()
    }

    /// Sorts otherwise; answers a sieve as [`Sorted::set_filter`].
    pub fn set_order(&mut self, order: Order) -> Option<Sieve> {
        self.order = order;
        self.rebuild()
    }

    fn rebuild(&mut self) -> Option<Sieve> {
        let order = self.order;
        if self.all.len() > AT_ONCE {
            self.meanwhile = Some(HashSet::new());
            let all = &self.all;
            let sand = self.sand.get_or_insert_with(|| all.values().cloned().collect()).clone();
            let (query, only_problems) = (self.query.clone(), self.only_problems);
            return Some(Sieve { query, only_problems, sand: Sand::Entries(sand, order) });
        }
        (self.meanwhile, self.shown) = (None, order);
        let filter = &mut self.filter;
        self.rows.clear();
        let hits = self.all.values().filter(|entry| filter.score(&entry.object.id, entry.health.state).is_some());
        self.rows.extend(hits.cloned());
        self.rows.sort_by(|a, b| order.compare(a, b));
        None
    }

    /// Takes what the newest sieve let through, and what changed meanwhile.
    pub fn sifted(&mut self, store: &Store, rows: Vec<Arc<Entry>>) {
        let Some(meanwhile) = self.meanwhile.take() else { return };
        (self.rows, self.shown) = (rows, self.order);
        for id in meanwhile {
            // The sieve saw an older object, whose place only the row itself tells.
            self.rows.retain(|row| row.object.id != id);
            self.sync(store, &id);
        }
    }

    /// The next row with a problem after a row, going round.
    pub fn problem_after(&self, row: usize, forward: bool) -> Option<usize> {
        let count = self.rows.len();
        let step = |by: usize| if forward { (row + by) % count } else { (row + count - by % count) % count };
        let is_problem = |row: &usize| {
            let state: State = self.rows[*row].health.state;
            crate::console::shared::is_problem(state)
        };
        (1..=count).map(step).find(is_problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn pod(name: u32, version: u32, phase: &str) -> serde_json::Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": format!("pod-{name}"), "namespace": format!("ns-{}", name % 3), "uid": format!("{name}"),
            "resourceVersion": format!("{version}"),
            "creationTimestamp": format!("2026-01-01T00:00:{:02}Z", name % 7)}, "status": {"phase": phase}})
    }

    fn names(sorted: &Sorted) -> Vec<String> {
        sorted.rows().iter().map(|entry| entry.object.id.to_string()).collect()
    }

    proptest! {
        #[test]
        fn moving_what_changed_equals_building_anew(
            steps in prop::collection::vec((0u32..12, 0u8..4, 0u8..3, 0u8..6), 1..60)
        ) {
            let store = Store::new();
            let mut sorted = Sorted::new(&store, "", "Pod", Order::default());
            let mut version = 0;
            for (name, what, by, view) in steps {
                version += 1;
                let id = Id::new("", "Pod", &format!("ns-{}", name % 3), &format!("pod-{name}"));
                match what {
                    0 => store.remove(std::slice::from_ref(&id)),
                    1 => drop(store.put(vec![pod(name, version, "Failed")])),
                    _ => drop(store.put(vec![pod(name, version, "Running")])),
                }
                sorted.apply(&store, std::iter::once(&id));
                let by = [By::Name, By::Status, By::Age][by as usize];
                match view {
                    0 => drop(sorted.set_order(Order { by, reverse: version % 2 == 0 })),
                    1 => drop(sorted.set_filter("1", false)),
                    2 => drop(sorted.set_filter("", true)),
                    _ => {}
                }
                let mut anew = Sorted::new(&store, "", "Pod", Order::default());
                anew.set_order(sorted.order());
                anew.set_filter(sorted.query(), sorted.only_problems());
                prop_assert_eq!(sorted.counts(), anew.counts());
                prop_assert_eq!(names(&sorted), names(&anew));
                for (row, entry) in sorted.rows().iter().enumerate() {
                    prop_assert_eq!(sorted.row_of(&entry.object.id), Some(row));
                }
            }
        }
    }

    #[test]
    fn what_changes_while_a_sieve_runs_is_not_lost() {
        let store = Store::new();
        store.put((0..3_000).map(|name| pod(name, 1, "Running")).collect());
        let mut sorted = Sorted::new(&store, "", "Pod", Order::default());
        let sieve = sorted.set_filter("pod-1", false).expect("so many rows are sifted outside");
        let gone = Id::new("", "Pod", "ns-1", "pod-1");
        store.remove(std::slice::from_ref(&gone));
        store.put(vec![pod(10_001, 2, "Running")]);
        let new = Id::new("", "Pod", "ns-2", "pod-10001");
        sorted.apply(&store, [gone.clone(), new.clone()].iter());
        let super::super::super::message::Sifted::Entries(rows) = super::super::sift(sieve) else { panic!() };
        sorted.sifted(&store, rows);
        assert!(sorted.row_of(&new).is_some() && sorted.row_of(&gone).is_none());
        let mut anew = Sorted::new(&store, "", "Pod", Order::default());
        let sieve = anew.set_filter("pod-1", false).unwrap();
        let super::super::super::message::Sifted::Entries(rows) = super::super::sift(sieve) else { panic!() };
        assert_eq!(names(&sorted).len(), rows.len());
    }
}
