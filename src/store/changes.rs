//! [`Changes`]: what is different since a reader last looked, as a set with a wake-up.
//!
//! Invariant: ten thousand events about one object cost one wake and one entry. Nothing here knows what an object is.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::base::Id;

/// The objects that changed, appeared or went, and whether any feed did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub ids: HashSet<Id>,
    /// A feed began, stalled, was denied or came back.
    pub feeds: bool,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.feeds
    }
}

/// One reader's view of what is new to it; starts empty.
pub struct Subscription(Arc<Inbox>);

#[derive(Default)]
struct Inbox {
    changes: Mutex<Changes>,
    wake: Notify,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Changes> {
        // A panic while a set was extended leaves a valid set behind.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Waits until something changed, and takes all of it. Safe to cancel: nothing is lost.
    pub async fn next(&self) -> Changes {
        loop {
            if let Some(changes) = self.try_take() {
                return changes;
            }
            self.0.wake.notified().await;
        }
    }

    /// Takes what changed, if anything did.
    pub fn try_take(&self) -> Option<Changes> {
        let changes = std::mem::take(&mut *self.0.lock());
        (!changes.is_empty()).then_some(changes)
    }
}

/// Everybody who wants to know.
#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<Weak<Inbox>>>);

impl Readers {
    pub(super) fn subscribe(&self) -> Subscription {
        let inbox = Arc::new(Inbox::default());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&inbox));
        Subscription(inbox)
    }

    pub(super) fn tell(&self, ids: &[Id], feeds: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|reader| {
            let Some(inbox) = reader.upgrade() else { return false };
            let mut changes = inbox.lock();
            changes.ids.extend(ids.iter().cloned());
            changes.feeds |= feeds;
            drop(changes);
            inbox.wake.notify_one();
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_events_are_one_wake_and_one_entry() {
        let readers = Readers::default();
        let reader = readers.subscribe();
        let id = Id::new("", "ConfigMap", "a", "b");
        for _ in 0..10_000 {
            readers.tell(std::slice::from_ref(&id), false);
        }
        assert_eq!(reader.next().await, Changes { ids: HashSet::from([id]), feeds: false });
        assert_eq!(reader.try_take(), None);
    }

    #[tokio::test]
    async fn a_reader_that_left_is_forgotten() {
        let readers = Readers::default();
        drop(readers.subscribe());
        readers.tell(&[], true);
        assert!(readers.0.lock().unwrap().is_empty());
    }
}
