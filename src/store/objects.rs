//! [`Store`]: every object weir watches, with its health and relations worked out once.
//!
//! Invariant: the reverse relations always equal what the entries say; a test compares them with a full recount.
//! Writing is for `watch.rs` alone, so every method that changes something is private to this room.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

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
        let entries: Vec<_> = documents.into_iter().filter_map(entry).collect();
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
fn entry(document: Value) -> Option<Arc<Entry>> {
    let kind = kinds::of_id(&Id::of(&document)?);
    let (health, relations) = ((kind.health)(&document), (kind.relations)(&document).into());
    Some(Arc::new(Entry { health, relations, object: Arc::new(Object::from_value(document).ok()?) }))
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
            let pointing = self.pointing.entry(relation.to.clone()).or_default();
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

/// Versions are opaque, but every server counts them up: a smaller number of the same object is an older one.
fn is_newer(new: &Object, old: &Object) -> bool {
    if new.uid != old.uid {
        return true;
    }
    match (new.resource_version.parse::<u64>(), old.resource_version.parse::<u64>()) {
        (Ok(new), Ok(old)) => new > old,
        _ => new.resource_version != old.resource_version,
    }
}
