//! [`Store`]: every object weir watches, with its health and relations worked out once.
//!
//! Invariant: the reverse relations always equal what the entries say; a test compares them with a full recount.
//! Writing is for `watch.rs` alone, so every method that changes something is private to this room.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::changes::{Readers, Subscription};
use crate::base::{Health, Id, Object, Stamp, Text, Value};
use crate::kinds::{self, Relation, Tie};

/// One object with what is known of it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub object: Arc<Object>,
    pub health: Health,
    pub relations: Box<[Relation]>,
}

/// How well a kind can be seen. Only `Live` means that what is absent does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// The first list has not come yet.
    Loading,
    /// The watch is open.
    Live { seen: Stamp },
    /// The watch broke; what is shown was true then.
    Stale { since: Stamp, why: Text },
    /// The credentials do not allow it.
    Denied(Text),
    /// The server does not serve it, or cannot.
    Unavailable(Text),
}

impl Feed {
    /// Why an object of such a kind that is named somewhere is not in the picture, in words.
    pub fn absence(&self) -> &'static str {
        match self {
            Feed::Live { .. } => "not found in the cluster",
            Feed::Loading => "loading",
            Feed::Stale { .. } => "not seen before the connection was lost",
            Feed::Denied(_) => "its kind may not be read with these credentials",
            Feed::Unavailable(_) => "its kind cannot be watched",
        }
    }
}

/// The feed of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedLine {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    pub feed: Feed,
}

/// The picture; cheap to clone.
#[derive(Clone, Default)]
pub struct Store(Arc<Inside>);

#[derive(Default)]
struct Inside {
    picture: RwLock<Picture>,
    readers: Readers,
    words: Words,
}

/// Groups, kinds, versions and namespaces, each kept once: tens of thousands of ids share a few dozen of them.
#[derive(Default)]
struct Words(Mutex<HashSet<Arc<str>>>);

impl Words {
    fn share(&self, ids: &mut [&mut Id], version: &mut Arc<str>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut once = |word: &mut Arc<str>| match known.get(word) {
            Some(kept) => *word = kept.clone(),
            None => drop(known.insert(word.clone())),
        };
        once(version);
        for id in ids {
            once(&mut id.group);
            once(&mut id.kind);
            once(&mut id.namespace);
        }
    }
}

#[derive(Default)]
struct Picture {
    /// Ids sort by group and kind first, so one kind is one range.
    entries: BTreeMap<Id, Arc<Entry>>,
    /// Who points at an id, sorted; the id itself need not exist.
    pointing: HashMap<Id, Vec<(Tie, Id)>>,
    feeds: BTreeMap<(Arc<str>, Arc<str>), Feed>,
}

impl Store {
    /// An empty picture.
    pub fn new() -> Self {
        Store::default()
    }

    pub fn get(&self, id: &Id) -> Option<Arc<Entry>> {
        self.read().entries.get(id).cloned()
    }

    /// All objects of a kind, by namespace and name.
    pub fn of_kind(&self, group: &str, kind: &str) -> Vec<Arc<Entry>> {
        let picture = self.read();
        let found = picture.entries.range(Id::new(group, kind, "", "")..);
        found.take_while(|(id, _)| &*id.group == group && &*id.kind == kind).map(|(_, entry)| entry.clone()).collect()
    }

    /// All objects, by group, kind, namespace and name.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.read().entries.values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.read().entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who points at an object, and how: its owners, what is built from it, what waits for it.
    pub fn pointing_at(&self, id: &Id) -> Vec<(Tie, Id)> {
        self.read().pointing.get(id).cloned().unwrap_or_default()
    }

    /// How well a kind can be seen; a kind that is not watched is `Unavailable`.
    pub fn feed(&self, group: &str, kind: &str) -> Feed {
        let found = self.read().feeds.get(&(group.into(), kind.into())).cloned();
        found.unwrap_or_else(|| Feed::Unavailable(Text::new("the kind is not watched")))
    }

    /// The feeds of all watched kinds.
    pub fn feeds(&self) -> Vec<FeedLine> {
        let picture = self.read();
        let lines = picture.feeds.iter();
        lines
            .map(|((group, kind), feed)| FeedLine { group: group.clone(), kind: kind.clone(), feed: feed.clone() })
            .collect()
    }

    /// Waits until no feed is loading: what is absent then is absent, or its feed says why. Give it a deadline.
    pub async fn loaded(&self) {
        let news = self.subscribe();
        loop {
            let feeds = self.feeds();
            if !feeds.is_empty() && feeds.iter().all(|line| line.feed != Feed::Loading) {
                return;
            }
            news.next().await;
        }
    }

    /// A set of what changes from now on.
    pub fn subscribe(&self) -> Subscription {
        self.0.readers.subscribe()
    }

    /// Takes documents in and answers how many were no objects; older versions than those kept are ignored.
    ///
    /// For `watch.rs`, and for tests and benches that need a picture without a cluster.
    pub fn put(&self, documents: Vec<Value>) -> usize {
        let given = documents.len();
        let entries: Vec<_> = documents.into_iter().filter_map(|document| entry(document, &self.0.words)).collect();
        let refused = given - entries.len();
        let mut changed = Vec::with_capacity(entries.len());
        {
            let mut picture = self.write();
            for entry in entries {
                let id = entry.object.id.clone();
                if picture.put(entry) {
                    changed.push(id);
                }
            }
        }
        self.tell(&changed, false);
        refused
    }

    /// Lets objects go.
    pub fn remove(&self, ids: &[Id]) {
        let mut gone = Vec::new();
        {
            let mut picture = self.write();
            gone.extend(ids.iter().filter(|id| picture.remove(id)).cloned());
        }
        self.tell(&gone, false);
    }

    /// Sets how well a kind can be seen; readers hear of it when more than the time changed.
    pub fn set_feed(&self, group: &str, kind: &str, feed: Feed) {
        let news = {
            let mut picture = self.write();
            let both_live = |old: &Feed| matches!((old, &feed), (Feed::Live { .. }, Feed::Live { .. }));
            let slot = picture.feeds.entry((group.into(), kind.into()));
            match slot {
                std::collections::btree_map::Entry::Occupied(mut kept) => {
                    let news = *kept.get() != feed && !both_live(kept.get());
                    kept.insert(feed);
                    news
                }
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(feed);
                    true
                }
            }
        };
        self.tell(&[], news);
    }

    fn tell(&self, ids: &[Id], feeds: bool) {
        if !ids.is_empty() || feeds {
            self.0.readers.tell(ids, feeds);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Picture> {
        self.0.picture.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Picture> {
        self.0.picture.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works out health and relations once, outside the lock; `None` for what is no object.
fn entry(document: Value, words: &Words) -> Option<Arc<Entry>> {
    let kind = kinds::of_id(&Id::of(&document)?);
    let health = (kind.health)(&document);
    let mut relations: Box<[Relation]> = (kind.relations)(&document).into();
    let mut object = Object::from_value(document).ok()?;
    let mut ids: Vec<&mut Id> = relations.iter_mut().map(|relation| &mut relation.to).collect();
    ids.push(&mut object.id);
    words.share(&mut ids, &mut object.version);
    Some(Arc::new(Entry { health, relations, object: Arc::new(object) }))
}

impl Picture {
    /// Whether the entry was taken.
    fn put(&mut self, entry: Arc<Entry>) -> bool {
        let id = &entry.object.id;
        let old = self.entries.get(id).cloned();
        if old.as_ref().is_some_and(|old| !is_newer(&entry.object, &old.object)) {
            return false;
        }
        let before = old.as_ref().map_or(&[][..], |old| &old.relations);
        if before != &*entry.relations {
            let id = id.clone();
            self.unlink(&id, before);
            self.link(&id, &entry.relations);
        }
        self.entries.insert(entry.object.id.clone(), entry);
        true
    }

    fn remove(&mut self, id: &Id) -> bool {
        let Some(old) = self.entries.remove(id) else { return false };
        self.unlink(id, &old.relations);
        true
    }

    fn link(&mut self, from: &Id, relations: &[Relation]) {
        for relation in relations {
            // Most objects have one owner: room for one, not for four.
            let pointing = self.pointing.entry(relation.to.clone()).or_insert_with(|| Vec::with_capacity(1));
            if let Err(place) = pointing.binary_search_by(|known| order(known, relation.tie, from)) {
                pointing.insert(place, (relation.tie, from.clone()));
            }
        }
    }

    fn unlink(&mut self, from: &Id, relations: &[Relation]) {
        for relation in relations {
            let Some(pointing) = self.pointing.get_mut(&relation.to) else { continue };
            if let Ok(place) = pointing.binary_search_by(|known| order(known, relation.tie, from)) {
                pointing.remove(place);
            }
            if pointing.is_empty() {
                self.pointing.remove(&relation.to);
            }
        }
    }
}

fn order(known: &(Tie, Id), tie: Tie, id: &Id) -> std::cmp::Ordering {
    (known.0 as u8).cmp(&(tie as u8)).then_with(|| known.1.cmp(id))
}

/// Versions are opaque, but every server counts one counter up: a smaller number is an older state, even of an object
/// that was made anew. Documents without a version (tests bring them) are taken as they come.
fn is_newer(new: &Object, old: &Object) -> bool {
    if new.resource_version.is_empty() || old.resource_version.is_empty() {
        return true;
    }
    match (new.resource_version.parse::<u64>(), old.resource_version.parse::<u64>()) {
        (Ok(new), Ok(old)) => new > old,
        _ => new.resource_version != old.resource_version,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn kustomization(name: usize, version: u64, owned: &[usize], depends: &[usize]) -> Value {
        let entries: Vec<_> =
            owned.iter().map(|name| json!({"id": format!("ns_cm-{name}__ConfigMap"), "v": "v1"})).collect();
        let depends: Vec<_> = depends.iter().map(|name| json!({"name": format!("ks-{name}")})).collect();
        json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": format!("ks-{name}"), "namespace": "ns", "uid": "u", "resourceVersion": version.to_string()},
            "spec": {"sourceRef": {"kind": "GitRepository", "name": "g"}, "dependsOn": depends},
            "status": {"inventory": {"entries": entries}}})
    }

    fn config_map(name: usize) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("cm-{name}"), "namespace": "ns",
            "uid": "u", "resourceVersion": "1"}, "data": {"text": "x"}})
    }

    /// What the index should say, counted from the entries.
    fn recount(store: &Store) -> BTreeSet<(Id, u8, Id)> {
        let mut edges = BTreeSet::new();
        for entry in store.all() {
            for relation in &entry.relations {
                edges.insert((relation.to.clone(), relation.tie as u8, entry.object.id.clone()));
            }
        }
        edges
    }

    fn index(store: &Store) -> BTreeSet<(Id, u8, Id)> {
        let picture = store.read();
        let edges = picture.pointing.iter().flat_map(|(to, from)| {
            assert!(!from.is_empty() && from.is_sorted_by(|a, b| order(a, b.0, &b.1).is_lt()));
            from.iter().map(|(tie, from)| (to.clone(), *tie as u8, from.clone()))
        });
        edges.collect()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put { name: usize, version: u64, owned: Vec<usize>, depends: Vec<usize> },
        Remove(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let few = || proptest::collection::vec(0..6_usize, 0..5);
        prop_oneof![
            4 => (0..5_usize, 1..20_u64, few(), few())
                .prop_map(|(name, version, owned, depends)| Step::Put { name, version, owned, depends }),
            1 => (0..5_usize).prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn reverse_relations_equal_a_recount(steps in proptest::collection::vec(step(), 1..60)) {
            let store = Store::new();
            for step in steps {
                match step {
                    Step::Put { name, version, owned, depends } => {
                        store.put(vec![kustomization(name, version, &owned, &depends)]);
                    }
                    Step::Remove(name) => {
                        store.remove(&[crate::kinds::kustomization::KIND.id("ns", &format!("ks-{name}"))]);
                    }
                }
                prop_assert_eq!(index(&store), recount(&store));
            }
        }
    }

    #[test]
    fn an_older_version_is_ignored_and_nobody_hears_of_it() {
        let store = Store::new();
        store.put(vec![kustomization(1, 10, &[1], &[])]);
        let news = store.subscribe();
        store.put(vec![kustomization(1, 9, &[2], &[])]);
        assert_eq!(news.try_take(), None);
        store.put(vec![kustomization(1, 11, &[2], &[])]);
        assert_eq!(news.try_take().unwrap().ids.len(), 1);
        assert!(store.pointing_at(&Id::new("", "ConfigMap", "ns", "cm-1")).is_empty());
        assert_eq!(store.pointing_at(&Id::new("", "ConfigMap", "ns", "cm-2")).len(), 1);
    }

    #[test]
    fn a_document_without_a_head_disturbs_nobody() {
        let store = Store::new();
        let refused = store.put(vec![json!({"kind": "ConfigMap"}), config_map(1), json!(null), json!([1])]);
        assert_eq!((refused, store.len()), (3, 1));
    }

    #[test]
    fn a_kind_is_one_sorted_range_and_a_feed_that_is_not_there_is_unavailable() {
        let store = Store::new();
        store.put(vec![config_map(2), kustomization(1, 1, &[], &[]), config_map(1)]);
        let names: Vec<_> =
            store.of_kind("", "ConfigMap").iter().map(|entry| entry.object.id.name.to_string()).collect();
        assert_eq!(names, ["cm-1", "cm-2"]);
        assert!(store.of_kind("", "Config").is_empty());
        assert!(matches!(store.feed("", "ConfigMap"), Feed::Unavailable(_)));
    }

    #[test]
    fn looking_up_stays_cheap_among_twenty_thousand_objects() {
        let store = Store::new();
        let owned: Vec<usize> = (0..20_000).collect();
        store.put((0..20_000).map(config_map).collect());
        store.put((0..20).map(|name| kustomization(name, 1, &owned[name * 1_000..][..1_000], &[])).collect());
        let ids: Vec<Id> = store.of_kind("", "ConfigMap").iter().map(|entry| entry.object.id.clone()).collect();
        let begun = Instant::now();
        for id in &ids {
            assert_eq!(store.pointing_at(id).len(), 1);
        }
        // A scan over all relations would need minutes: the bound is generous, so that a busy machine passes.
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
