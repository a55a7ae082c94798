//! The queue: one slot per object, the earliest time wins, bounded workers, fair between kinds.
//!
//! Two runs of one object never overlap; a wake during a run is remembered once. Nothing here knows Kubernetes or waits
//! for anything: [`Slots`] is told the time, so every rule is a plain test. Start with [`Slots::wake`].
//! Invariant: an object is in its lane's `due` set exactly when its slot has a due time and no run.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::summary::backoff;
use crate::base::Id;
use crate::kinds::Tie;

/// Why an object was woken, for people: a reconciler never learns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// First seen by this process.
    Seen,
    /// Its spec changed: the new generation.
    Changed(i64),
    /// Somebody asked: the value of the annotation.
    Requested(String),
    /// An annotation addressed to weir changed.
    Told,
    /// Its deletion was asked for.
    Deleted,
    /// An object that it points at changed.
    Related(Tie, Id),
    /// The interval is over.
    Interval,
    /// The n-th retry after a failure.
    Retry(u32),
    /// What it waits for may be there now.
    Waited,
}

impl fmt::Display for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wake::Seen => f.write_str("first seen"),
            Wake::Changed(generation) => write!(f, "changed to generation {generation}"),
            Wake::Requested(at) => write!(f, "requested at {at}"),
            Wake::Told => f.write_str("annotation"),
            Wake::Deleted => f.write_str("deletion"),
            Wake::Related(Tie::Source, id) => write!(f, "new revision of {id}"),
            Wake::Related(Tie::DependsOn, id) => write!(f, "news of its dependency {id}"),
            Wake::Related(_, id) => write!(f, "change of {id}"),
            Wake::Interval => f.write_str("interval"),
            Wake::Retry(attempt) => write!(f, "retry {attempt}"),
            Wake::Waited => f.write_str("waited"),
        }
    }
}

/// What comes after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The object is no more.
    Gone,
    /// It went well; again after the interval.
    After(Duration),
    /// Again only when something changes.
    OnChange,
    /// It cannot go on without a change.
    Stalled,
    /// Something else must come first.
    Waiting(Duration),
    /// It failed: growing pauses.
    Retry,
    /// It failed: a fixed pause.
    RetryAfter(Duration),
    /// It failed: pauses that grow from this one.
    RetryFrom(Duration),
}

/// One line of the queue screen.
#[derive(Clone, Debug)]
pub struct QueueLine {
    pub id: Id,
    /// Being worked on since so long.
    pub running: Option<Duration>,
    /// Due in so long; zero when it only waits for a worker.
    pub due: Option<Duration>,
    /// Why it runs, or why it will.
    pub why: Option<Wake>,
    /// Failures in a row.
    pub attempts: u32,
    /// What the last run came to, and how long it took.
    pub last: Option<(Then, Duration)>,
}

#[derive(Default)]
struct Slot {
    lane: usize,
    due: Option<(Instant, Wake)>,
    running: Option<(Instant, Wake)>,
    /// The wake that came during the run.
    again: Option<(Instant, Wake)>,
    attempts: u32,
    last: Option<(Then, Duration)>,
}

/// Objects of one kind, and how many of them may be worked on at the same time.
struct Lane {
    due: BTreeSet<(Instant, Id)>,
    permits: Arc<Semaphore>,
}

/// A run that may start now.
pub struct Ticket {
    pub id: Id,
    pub lane: usize,
    pub why: Wake,
    pub permit: OwnedSemaphorePermit,
}

/// All slots; a plain value.
pub struct Slots {
    slots: HashMap<Id, Slot>,
    lanes: Vec<Lane>,
    /// The lane that is asked first next time.
    turn: usize,
    pauses: Pauses,
}

/// How long to wait between runs.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    pub min_retry: Duration,
    pub max_retry: Duration,
    pub jitter_percent: u8,
}

impl Slots {
    /// One lane per kind, each with its number of workers.
    pub fn new(workers: &[usize], pauses: Pauses) -> Self {
        let lane = |workers: &usize| Lane { due: BTreeSet::new(), permits: Arc::new(Semaphore::new(*workers)) };
        Slots { slots: HashMap::new(), lanes: workers.iter().map(lane).collect(), turn: 0, pauses }
    }

    /// Lets an object run at that time, or earlier when it is due earlier.
    pub fn wake(&mut self, id: &Id, lane: usize, at: Instant, why: Wake) {
        let slot = self.slots.entry(id.clone()).or_insert_with(|| Slot { lane, ..Slot::default() });
        let pending = if slot.running.is_some() { &mut slot.again } else { &mut slot.due };
        if pending.as_ref().is_some_and(|(known, _)| *known <= at) {
            return;
        }
        let old = pending.replace((at, why));
        if slot.running.is_none() {
            let due = &mut self.lanes[slot.lane].due;
            if let Some((old, _)) = old {
                due.remove(&(old, id.clone()));
            }
            due.insert((at, id.clone()));
        }
    }

    /// The next run that may start: lanes in turn, within a lane the earliest.
    pub fn take(&mut self, now: Instant) -> Option<Ticket> {
        for step in 0..self.lanes.len() {
            let at = (self.turn + step) % self.lanes.len();
            let lane = &mut self.lanes[at];
            if lane.due.first().is_none_or(|(due, _)| *due > now) {
                continue;
            }
            let Ok(permit) = lane.permits.clone().try_acquire_owned() else { continue };
            let Some((_, id)) = lane.due.pop_first() else { continue };
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            let Some((_, why)) = slot.due.take() else { continue };
            slot.running = Some((now, why.clone()));
            self.turn = (at + 1) % self.lanes.len();
            return Some(Ticket { id, lane: at, why, permit });
        }
        None
    }

    /// Ends a run; `spread` is a random number from 0 to 1 for the jitter.
    pub fn finish(&mut self, id: &Id, then: Then, now: Instant, spread: f64) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let took = slot.running.take().map_or(Duration::ZERO, |(since, _)| now - since);
        slot.last = Some((then, took));
        slot.attempts = if matches!(then, Then::Retry | Then::RetryFrom(_)) { slot.attempts + 1 } else { 0 };
        let (lane, attempts) = (slot.lane, slot.attempts);
        let again = slot.again.take();
        if then == Then::Gone && again.is_none() {
            self.slots.remove(id);
            return;
        }
        let pauses = self.pauses;
        let next = match then {
            Then::Gone | Then::OnChange | Then::Stalled => None,
            Then::After(interval) => Some((jitter(interval, pauses.jitter_percent, spread), Wake::Interval)),
            Then::Waiting(pause) => Some((pause, Wake::Waited)),
            Then::RetryAfter(pause) => Some((pause, Wake::Retry(1))),
            Then::Retry => Some((backoff(attempts, pauses.min_retry, pauses.max_retry), Wake::Retry(attempts))),
            Then::RetryFrom(first) => {
                Some((backoff(attempts, first, pauses.max_retry.max(first)), Wake::Retry(attempts)))
            }
        };
        if let Some((pause, why)) = next {
            self.wake(id, lane, now + pause, why);
        }
        if let Some((at, why)) = again {
            self.wake(id, lane, at, why);
        }
    }

    /// Forgets an object that is no more; a run that is under way ends by itself.
    pub fn forget(&mut self, id: &Id) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        slot.again = None;
        if slot.running.is_some() {
            return;
        }
        if let Some((at, _)) = slot.due.take() {
            self.lanes[slot.lane].due.remove(&(at, id.clone()));
        }
        self.slots.remove(id);
    }

    /// When the next run may start; lanes without a free worker do not count, for their end is told anyway.
    pub fn earliest(&self) -> Option<Instant> {
        let free = self.lanes.iter().filter(|lane| lane.permits.available_permits() > 0);
        free.filter_map(|lane| lane.due.first().map(|(at, _)| *at)).min()
    }

    /// Whether the object's last run ended by waiting for something else.
    pub fn waits(&self, id: &Id) -> bool {
        let Some(slot) = self.slots.get(id) else { return false };
        slot.running.is_some() || matches!(slot.last, Some((Then::Waiting(_), _)))
    }

    /// A wake came while the object was being worked on.
    pub fn is_woken_again(&self, id: &Id) -> bool {
        self.slots.get(id).is_some_and(|slot| slot.again.is_some())
    }

    /// The permits of a lane, for runs that rest and come back.
    pub fn permits(&self, lane: usize) -> Arc<Semaphore> {
        self.lanes[lane].permits.clone()
    }

    /// What is queued, running first, then by time.
    pub fn lines(&self, now: Instant) -> Vec<QueueLine> {
        let mut lines: Vec<QueueLine> = self.slots.iter().map(|(id, slot)| line(id, slot, now)).collect();
        lines.sort_by(|a, b| {
            let rank = |line: &QueueLine| (line.running.is_none(), line.due.unwrap_or(Duration::MAX));
            rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
        });
        lines
    }
}

fn line(id: &Id, slot: &Slot, now: Instant) -> QueueLine {
    let pending = slot.again.as_ref().or(slot.due.as_ref());
    let why = slot.running.as_ref().or(pending).map(|(_, why)| why.clone());
    QueueLine {
        id: id.clone(),
        running: slot.running.as_ref().map(|(since, _)| now - *since),
        due: pending.map(|(at, _)| at.saturating_duration_since(now)),
        why,
        attempts: slot.attempts,
        last: slot.last,
    }
}

/// Spreads an interval by some percent, both ways.
fn jitter(interval: Duration, percent: u8, spread: f64) -> Duration {
    let share = f64::from(percent) / 100.0 * (2.0 * spread.clamp(0.0, 1.0) - 1.0);
    interval.mul_f64(1.0 + share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses =
        Pauses { min_retry: Duration::from_millis(750), max_retry: Duration::from_secs(900), jitter_percent: 5 };

    fn id(kind: &str, name: &str) -> Id {
        Id::new("g", kind, "ns", name)
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn two_runs_of_one_object_never_overlap_and_a_wake_is_remembered_once() {
        let now = Instant::now();
        let mut slots = Slots::new(&[4], PAUSES);
        let one = id("K", "one");
        slots.wake(&one, 0, now, Wake::Seen);
        let ticket = slots.take(now).unwrap();
        for _ in 0..10 {
            slots.wake(&one, 0, now, Wake::Changed(2));
        }
        assert!(slots.take(now).is_none());
        drop(ticket);
        slots.finish(&one, Then::After(seconds(60)), now, 0.5);
        let ticket = slots.take(now).unwrap();
        assert_eq!(ticket.why, Wake::Changed(2));
        drop(ticket);
        slots.finish(&one, Then::After(seconds(60)), now, 0.5);
        assert!(slots.take(now).is_none());
        assert_eq!(slots.earliest(), Some(now + seconds(60)));
    }

    #[test]
    fn the_earliest_time_wins() {
        let now = Instant::now();
        let mut slots = Slots::new(&[1], PAUSES);
        let one = id("K", "one");
        slots.wake(&one, 0, now + seconds(60), Wake::Interval);
        slots.wake(&one, 0, now + seconds(90), Wake::Waited);
        assert_eq!(slots.earliest(), Some(now + seconds(60)));
        slots.wake(&one, 0, now + seconds(1), Wake::Changed(3));
        assert!(slots.take(now).is_none());
        assert_eq!(slots.take(now + seconds(1)).unwrap().why, Wake::Changed(3));
        assert_eq!(slots.earliest(), None, "the older times are gone");
    }

    #[test]
    fn a_flood_of_one_kind_does_not_starve_the_other() {
        let now = Instant::now();
        let mut slots = Slots::new(&[1, 1], PAUSES);
        for number in 0..100 {
            slots.wake(&id("A", &format!("{number:03}")), 0, now, Wake::Seen);
        }
        slots.wake(&id("B", "one"), 1, now + seconds(1), Wake::Seen);
        let first = slots.take(now + seconds(2)).unwrap();
        let second = slots.take(now + seconds(2)).unwrap();
        assert_eq!((first.lane, second.lane), (0, 1));
        assert!(slots.take(now + seconds(2)).is_none(), "workers are bounded");
        drop(first.permit);
        assert!(slots.take(now + seconds(2)).is_some());
    }

    #[test]
    fn retries_grow_from_750_ms_to_15_min_and_start_anew_after_success() {
        let mut now = Instant::now();
        let mut slots = Slots::new(&[1], PAUSES);
        let one = id("K", "one");
        slots.wake(&one, 0, now, Wake::Seen);
        let mut pauses = Vec::new();
        for _ in 0..13 {
            slots.take(now).unwrap();
            slots.finish(&one, Then::Retry, now, 0.5);
            let next = slots.earliest().unwrap();
            pauses.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(pauses[..4], [750, 1500, 3000, 6000]);
        assert_eq!(pauses[11..], [900_000, 900_000]);
        slots.take(now).unwrap();
        slots.finish(&one, Then::After(seconds(60)), now, 0.5);
        now += seconds(60);
        slots.take(now).unwrap();
        slots.finish(&one, Then::Retry, now, 0.5);
        assert_eq!(slots.earliest(), Some(now + Duration::from_millis(750)));
    }

    #[test]
    fn pauses_may_grow_from_a_longer_one() {
        let mut now = Instant::now();
        let mut slots = Slots::new(&[1], PAUSES);
        let one = id("K", "one");
        slots.wake(&one, 0, now, Wake::Seen);
        for wanted in [60, 120, 240, 480, 900, 900] {
            slots.take(now).unwrap();
            slots.finish(&one, Then::RetryFrom(seconds(60)), now, 0.5);
            assert_eq!(slots.earliest(), Some(now + seconds(wanted)));
            now += seconds(wanted);
        }
        slots.take(now).unwrap();
        slots.finish(&one, Then::RetryFrom(seconds(3_600)), now, 0.5);
        assert_eq!(slots.earliest(), Some(now + seconds(3_600)), "never shorter than the first");
    }

    #[test]
    fn a_stalled_object_waits_for_a_change_and_a_gone_one_leaves_no_slot() {
        let now = Instant::now();
        let mut slots = Slots::new(&[1], PAUSES);
        let one = id("K", "one");
        slots.wake(&one, 0, now, Wake::Seen);
        slots.take(now).unwrap();
        slots.finish(&one, Then::Stalled, now, 0.5);
        assert_eq!(slots.earliest(), None);
        slots.wake(&one, 0, now, Wake::Changed(2));
        slots.take(now).unwrap();
        slots.finish(&one, Then::Gone, now, 0.5);
        assert!(slots.lines(now).is_empty());
        slots.wake(&one, 0, now, Wake::Seen);
        slots.forget(&one);
        assert!(slots.take(now).is_none() && slots.lines(now).is_empty());
    }

    #[test]
    fn jitter_stays_within_its_percent() {
        assert_eq!(jitter(seconds(100), 5, 0.0), seconds(95));
        assert_eq!(jitter(seconds(100), 5, 0.5), seconds(100));
        assert_eq!(jitter(seconds(100), 5, 1.0), seconds(105));
        assert_eq!(jitter(seconds(100), 0, 0.9), seconds(100));
    }
}
