//! [`Activity`]: what weir itself did lately, by object: a bounded ring of log lines.
//!
//! Fed by the tracing layer that the cli installs, and read by `weir logs` and the log screen. Never a store of record.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::base::{Id, Stamp, Text};

/// Lines kept when nobody says otherwise.
const CAPACITY: usize = 5_000;

/// How much a line matters, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts up from 1 and is never reused.
    pub number: u64,
    pub at: Stamp,
    pub level: Level,
    /// The object it is about, when it is about one.
    pub id: Option<Id>,
    pub message: Text,
}

/// A shared ring of lines; cheap to clone.
#[derive(Clone)]
pub struct Activity(Arc<Inside>);

struct Inside {
    ring: Mutex<Ring>,
    capacity: usize,
    last: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<Line>,
    written: u64,
}

impl Default for Activity {
    fn default() -> Self {
        Activity::new(CAPACITY)
    }
}

impl Activity {
    /// Keeps the newest `capacity` lines.
    pub fn new(capacity: usize) -> Self {
        Activity(Arc::new(Inside { ring: Mutex::default(), capacity: capacity.max(1), last: watch::Sender::new(0) }))
    }

    /// Adds a line; the oldest goes when the ring is full.
    pub fn push(&self, at: Stamp, level: Level, id: Option<Id>, message: Text) {
        let number = {
            let mut ring = self.ring();
            ring.written += 1;
            let number = ring.written;
            if ring.lines.len() == self.0.capacity {
                ring.lines.pop_front();
            }
            ring.lines.push_back(Line { number, at, level, id, message });
            number
        };
        self.0.last.send_replace(number);
    }

    /// The lines about one object, oldest first.
    pub fn of(&self, id: &Id) -> Vec<Line> {
        self.ring().lines.iter().filter(|line| line.id.as_ref() == Some(id)).cloned().collect()
    }

    /// Every line that is kept, oldest first.
    pub fn all(&self) -> Vec<Line> {
        self.since(0)
    }

    /// The lines after a number, oldest first.
    pub fn since(&self, number: u64) -> Vec<Line> {
        let ring = self.ring();
        let skip = ring.lines.partition_point(|line| line.number <= number);
        ring.lines.range(skip..).cloned().collect()
    }

    /// Wakes on new lines; its value is the number of the newest.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest_and_finds_by_object() {
        let activity = Activity::new(3);
        let id = Id::new("", "Pod", "a", "b");
        for number in 0..5 {
            let about = (number % 2 == 0).then(|| id.clone());
            activity.push(Stamp(number), Level::Info, about, Text::new(format!("line {number}")));
        }
        let kept: Vec<_> = activity.all().iter().map(|line| line.message.to_string()).collect();
        assert_eq!(kept, ["line 2", "line 3", "line 4"]);
        assert_eq!(activity.of(&id).len(), 2);
        assert_eq!(activity.since(4).len(), 1);
        assert_eq!(*activity.subscribe().borrow(), 5);
    }
}
