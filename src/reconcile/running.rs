//! The loop around the queue: listens to the picture, starts runs, ends with its owner.
//!
//! What wakes whom is in `wakes`; in which order is in `queue`. Start with [`start_all`](super::start_all).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::{Id as TaskId, JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::queue::{Pauses, QueueLine, Slots, Then, Ticket, Wake};
use super::run::Seat;
use super::shell::{Ended, Job, Worker};
use super::wakes::Wakes;
use crate::base::Id;
use crate::kinds::{self, Family};

/// The queue as runs and screens see it; cheap to clone.
#[derive(Clone)]
pub struct Queue(Arc<Inside>);

struct Inside {
    slots: Mutex<Slots>,
    wake: Notify,
}

impl Queue {
    /// What is being worked on, and what comes next.
    pub fn lines(&self) -> Vec<QueueLine> {
        self.slots().lines(Instant::now())
    }

    pub(super) fn slots(&self) -> MutexGuard<'_, Slots> {
        // Every change of the slots is whole before anything can panic.
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the loop look again.
    pub(super) fn nudge(&self) {
        self.0.wake.notify_one();
    }

    pub(super) fn is_woken_again(&self, id: &Id) -> bool {
        self.slots().is_woken_again(id)
    }
}

/// The running reconcilers; they stop when this is dropped.
pub struct Running {
    queue: Queue,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// The queue, for its screen.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Ends all runs where they stand when it is cancelled.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Ends all runs where they stand and waits until they are over.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::error!("the queue did not end well: {error}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        // The runs belong to the loop's own set, so they end with it.
        self.task.abort();
    }
}

/// Starts the loop.
pub(super) fn start(cx: Context, workers: Vec<Arc<dyn Worker>>) -> Running {
    let options = &cx.options;
    let limit = |worker: &Arc<dyn Worker>| match worker.kind().family {
        Family::Source => options.concurrent_sources.max(1),
        _ => options.concurrent_deployers.max(1),
    };
    let limits: Vec<usize> = workers.iter().map(limit).collect();
    let pauses =
        Pauses { min_retry: options.min_retry, max_retry: options.max_retry, jitter_percent: options.jitter_percent };
    let queue = Queue(Arc::new(Inside { slots: Mutex::new(Slots::new(&limits, pauses)), wake: Notify::new() }));
    let stop = CancellationToken::new();
    let task = tokio::spawn(turn(cx, workers, queue.clone(), stop.clone()));
    Running { queue, stop, task }
}

/// The loop: one change, one end of a run or one due time after the other.
async fn turn(cx: Context, workers: Vec<Arc<dyn Worker>>, queue: Queue, stop: CancellationToken) {
    let mut wakes = Wakes::new(workers.iter().map(|worker| worker.kind()).collect());
    let mut runs = Runs { set: JoinSet::new(), ids: HashMap::new(), written: HashMap::new() };
    let news = cx.store.subscribe();
    for kind in workers.iter().map(|worker| worker.kind()) {
        for entry in cx.store.of_kind(kind.group, kind.kind) {
            wakes.observe(&cx.store, &entry.object.id, &mut queue.slots());
        }
    }
    loop {
        while let Some(ticket) = { queue.slots().take(Instant::now()) } {
            runs.start(&cx, &workers, &queue, ticket);
        }
        let earliest = queue.slots().earliest();
        tokio::select! {
            () = stop.cancelled() => break,
            changes = news.next() => {
                for id in &changes.ids {
                    wakes.observe(&cx.store, id, &mut queue.slots());
                }
            }
            Some(ended) = runs.set.join_next_with_id() => runs.end(ended, &queue),
            () = queue.0.wake.notified() => {}
            () = sleep_until(earliest) => {}
        }
    }
    runs.set.shutdown().await;
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The runs under way.
struct Runs {
    set: JoinSet<Ended>,
    ids: HashMap<TaskId, Id>,
    /// The version that an object's last run wrote.
    written: HashMap<Id, String>,
}

impl Runs {
    fn start(&mut self, cx: &Context, workers: &[Arc<dyn Worker>], queue: &Queue, ticket: Ticket) {
        let Ticket { id, lane, why, permit } = ticket;
        tracing::debug!(%id, "woken: {why}");
        let (cx, worker) = (cx.clone(), workers[lane].clone());
        let seat = Seat { permit: Some(permit), permits: queue.slots().permits(lane), queue: Some(queue.clone()) };
        let job = Job { id: id.clone(), written: self.written.get(&id).cloned(), seat };
        let task = self.set.spawn(async move { worker.work(&cx, job).await });
        self.ids.insert(task.id(), id);
    }

    fn end(&mut self, ended: Result<(TaskId, Ended), tokio::task::JoinError>, queue: &Queue) {
        let (task, ended) = match ended {
            Ok((task, ended)) => (task, ended),
            Err(error) => (error.id(), Ended { then: Then::Retry, written: None }),
        };
        let Some(id) = self.ids.remove(&task) else { return };
        match ended.written {
            Some(written) if ended.then != Then::Gone => drop(self.written.insert(id.clone(), written)),
            _ => drop(self.written.remove(&id)),
        }
        queue.slots().finish(&id, ended.then, Instant::now(), rand::random());
    }
}

/// Finds the lane of an object's kind.
pub(super) fn lane_of(kinds: &[&'static kinds::Kind], id: &Id) -> Option<usize> {
    kinds.iter().position(|kind| kind.group == &*id.group && kind.kind == &*id.kind)
}

/// Wakes an object now.
pub(super) fn wake_now(slots: &mut Slots, id: &Id, lane: usize, why: Wake) {
    slots.wake(id, lane, Instant::now(), why);
}
