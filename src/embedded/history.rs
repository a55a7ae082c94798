//! Reading the store: ranges, lists at an old revision, and what happened after one.
//!
//! Old states are rebuilt by undoing the log, so pages of one list agree without copies.
//! Start with [`State::list_at`] and [`State::after`].

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::object::{Key, Stored};
use super::store::{Change, State};

/// The history that was asked for is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten;

impl State {
    /// One object, as it is now.
    pub fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// Everything stored under a kind, in one namespace or (empty) in all, in list order.
    pub fn range<'a>(
        &'a self,
        storage: &Arc<str>,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Stored>)> + use<'a> {
        let start = Key::new(storage, namespace, "");
        let storage = storage.clone();
        self.objects.range((Bound::Included(start), Bound::Unbounded)).take_while(move |(key, _)| {
            key.storage == storage && (namespace.is_empty() || *key.namespace == *namespace)
        })
    }

    /// The same at an older revision.
    ///
    /// Errors when that revision is no longer known.
    pub fn list_at(&self, storage: &Arc<str>, namespace: &str, at: u64) -> Result<Vec<(Key, Arc<Stored>)>, Forgotten> {
        if at < self.forgotten {
            return Err(Forgotten);
        }
        let now = self.range(storage, namespace).map(|(key, object)| (key.clone(), object.clone()));
        if at >= self.revision {
            return Ok(now.collect());
        }
        let mut objects: BTreeMap<Key, Arc<Stored>> = now.collect();
        for change in self.ring.iter().rev().take_while(|change| change.revision > at) {
            if change.key.storage != *storage || !(namespace.is_empty() || *change.key.namespace == *namespace) {
                continue;
            }
            match &change.previous {
                Some(previous) => objects.insert(change.key.clone(), previous.clone()),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects.into_iter().collect())
    }

    /// The changes of one kind after a revision, at most `most`, and the revision up to which that is all.
    ///
    /// Errors when changes after that revision are already forgotten.
    pub fn after(
        &self,
        storage: &Arc<str>,
        namespace: &str,
        revision: u64,
        most: usize,
        lag: Duration,
    ) -> Result<(Vec<Change>, u64), Forgotten> {
        if revision < self.forgotten {
            return Err(Forgotten);
        }
        let ripe = self.ripe(lag);
        let start = self.ring.partition_point(|change| change.revision <= revision);
        let mut found = Vec::new();
        for change in self.ring.range(start..).take_while(|change| change.revision <= ripe) {
            if found.len() == most {
                return Ok((found, change.revision - 1));
            }
            if change.key.storage == *storage && (namespace.is_empty() || *change.key.namespace == *namespace) {
                found.push(change.clone());
            }
        }
        Ok((found, ripe.max(revision)))
    }

    /// The newest revision that is at least `lag` old: what a lagging cache would show.
    pub fn ripe(&self, lag: Duration) -> u64 {
        if lag.is_zero() {
            return self.revision;
        }
        let now = Instant::now();
        let unripe = self.ring.partition_point(|change| change.at + lag <= now);
        self.ring.get(unripe).map_or(self.revision, |first| first.revision - 1)
    }

    /// When the next change after a revision becomes ripe.
    pub fn ripens(&self, revision: u64, lag: Duration) -> Option<Instant> {
        let next = self.ring.partition_point(|change| change.revision <= revision);
        self.ring.get(next).map(|change| change.at + lag)
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::{HISTORY, Store};
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn an_old_list_is_what_was_there_then() {
        let store = Store::in_memory(HISTORY);
        let storage: Arc<str> = "/configmaps".into();
        let key = |ns: &str, name: &str| Key::new(&"/configmaps".into(), ns, name);
        let object = || json!({"metadata": {}});
        store.write(move |t| Ok(t.put(key("a", "one"), object()))).await.unwrap();
        store.write(move |t| Ok(t.put(key("b", "two"), object()))).await.unwrap();
        store.write(move |t| Ok(t.put(key("a", "one"), object()))).await.unwrap();
        store.write(move |t| Ok(t.delete(key("b", "two"), object()))).await.unwrap();
        let state = store.read();
        let revisions = |ns: &str, at: u64| -> Vec<u64> {
            state.list_at(&storage, ns, at).unwrap().iter().map(|(_, o)| o.revision).collect()
        };
        assert_eq!(revisions("", 0), Vec::<u64>::new());
        assert_eq!(revisions("", 2), [1, 2]);
        assert_eq!(revisions("", 3), [3, 2]);
        assert_eq!(revisions("", 4), [3]);
        assert_eq!(revisions("b", 3), [2]);
        let (changes, upto) = state.after(&storage, "", 1, 2, Duration::ZERO).unwrap();
        assert_eq!((changes.len(), upto), (2, 3));
        let (changes, upto) = state.after(&storage, "b", 2, 9, Duration::ZERO).unwrap();
        assert_eq!((changes.len(), upto, changes[0].deleted), (1, 4, true));
    }
}
