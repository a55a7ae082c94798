//! The store: everything in memory, one writer, one log.
//!
//! A write is a function from the newest state to changes; writes run one after the other, so there is no lost update
//! and no retry. With a file, writes that queue up while one is being synced share the next sync; nobody sees a write
//! before it is durable. Start with [`Store::write`] and [`Txn`]; reading is in `history.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::catalog::{Catalog, DEFINITIONS};
use super::file::File;
use super::object::{Key, Stored};
use super::status::Failure;

/// How many changes are kept for watches and pages, when nobody says.
pub const HISTORY: usize = 8192;
/// How much memory they may take.
const RING_BYTES: usize = 64 << 20;
/// How many writes may wait, and how many may share a sync.
const QUEUE: usize = 1024;

/// One committed change.
#[derive(Clone, Debug)]
pub struct Change {
    pub revision: u64,
    pub key: Key,
    /// What is there now; for a deletion, what was there last, at the deletion's revision.
    pub object: Arc<Stored>,
    /// What was there before.
    pub previous: Option<Arc<Stored>>,
    pub deleted: bool,
    /// When it was committed.
    pub at: Instant,
}

impl Change {
    fn weight(&self) -> usize {
        self.object.weight() + 100
    }
}

/// Everything, at one revision.
pub struct State {
    pub(super) objects: BTreeMap<Key, Arc<Stored>>,
    pub(super) ring: VecDeque<Change>,
    ring_bytes: usize,
    /// How many changes the ring holds.
    history: usize,
    /// Changes up to and including this one are forgotten.
    pub(super) forgotten: u64,
    pub revision: u64,
    pub catalog: Arc<Catalog>,
}

/// The changes of writes that are committed together.
struct Batch {
    overlay: BTreeMap<Key, Option<Arc<Stored>>>,
    changes: Vec<Change>,
    revision: u64,
}

impl Batch {
    fn after(state: &State) -> Batch {
        Batch { overlay: BTreeMap::new(), changes: Vec::new(), revision: state.revision }
    }

    /// Forgets the changes from `mark` on: those of a write that failed.
    fn roll_back(&mut self, mark: usize, revision: u64) {
        if self.changes.len() == mark {
            return;
        }
        self.changes.truncate(mark);
        self.revision = revision;
        self.overlay.clear();
        for change in &self.changes {
            self.overlay.insert(change.key.clone(), (!change.deleted).then(|| change.object.clone()));
        }
    }
}

/// What a write sees and changes.
pub struct Txn<'a> {
    state: &'a State,
    batch: &'a mut Batch,
}

impl Txn<'_> {
    /// The newest version of an object.
    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        match self.batch.overlay.get(key) {
            Some(pending) => pending.clone(),
            None => self.state.objects.get(key).cloned(),
        }
    }

    /// Everything of a stored kind, in one namespace or (empty) in all.
    pub fn list(&self, storage: &Arc<str>, namespace: &str) -> Vec<(Key, Arc<Stored>)> {
        let mut all: BTreeMap<Key, Arc<Stored>> =
            self.state.range(storage, namespace).map(|(k, o)| (k.clone(), o.clone())).collect();
        for (key, pending) in &self.batch.overlay {
            if key.storage == *storage && (namespace.is_empty() || *key.namespace == *namespace) {
                match pending {
                    Some(object) => all.insert(key.clone(), object.clone()),
                    None => all.remove(key),
                };
            }
        }
        all.into_iter().collect()
    }

    /// What is served, as of the last commit.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.state.catalog
    }

    /// Stores an object under the next revision.
    pub fn put(&mut self, key: Key, object: Value) -> Arc<Stored> {
        let previous = self.get(&key);
        self.batch.revision += 1;
        let object = Arc::new(Stored::new(object, self.batch.revision));
        self.batch.overlay.insert(key.clone(), Some(object.clone()));
        self.push(key, object.clone(), previous, false);
        object
    }

    /// Removes an object; `last` is its content as watchers shall see it go.
    pub fn delete(&mut self, key: Key, last: Value) -> Arc<Stored> {
        let previous = self.get(&key);
        self.batch.revision += 1;
        let object = Arc::new(Stored::new(last, self.batch.revision));
        self.batch.overlay.insert(key.clone(), None);
        self.push(key, object.clone(), previous, true);
        object
    }

    fn push(&mut self, key: Key, object: Arc<Stored>, previous: Option<Arc<Stored>>, deleted: bool) {
        let revision = self.batch.revision;
        self.batch.changes.push(Change { revision, key, object, previous, deleted, at: Instant::now() });
    }
}

/// A write that waits for its turn, or for its sync.
trait Work: Send {
    fn run(&mut self, txn: &mut Txn<'_>) -> bool;
    fn finish(self: Box<Self>, commit: &Result<(), Failure>);
}

struct Pending<F, T> {
    call: Option<F>,
    result: Option<Result<T, Failure>>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

impl<F, T> Work for Pending<F, T>
where
    F: FnOnce(&mut Txn<'_>) -> Result<T, Failure> + Send,
    T: Send,
{
    fn run(&mut self, txn: &mut Txn<'_>) -> bool {
        let Some(call) = self.call.take() else { return false };
        // One poisoned object must not end the writer, and with it every later write.
        let result = catch_unwind(AssertUnwindSafe(|| call(txn)))
            .unwrap_or_else(|_| Err(Failure::internal("the write panicked; nothing was changed")));
        let good = result.is_ok();
        self.result = Some(result);
        good
    }

    fn finish(self: Box<Self>, commit: &Result<(), Failure>) {
        let result = match (self.result, commit) {
            (Some(Ok(done)), Ok(())) => Ok(done),
            (Some(Ok(_)), Err(failure)) => Err(failure.clone()),
            (Some(Err(failure)), _) => Err(failure),
            (None, _) => Err(Failure::internal("the write was not run")),
        };
        // The asker may have gone; the write stands all the same.
        let _ = self.reply.send(result);
    }
}

enum Turn {
    Memory(Mutex<()>),
    File(Mutex<Option<mpsc::Sender<Box<dyn Work>>>>),
}

/// The store; shared behind an `Arc`.
pub struct Store {
    state: Arc<RwLock<State>>,
    turn: Turn,
    changed: Arc<watch::Sender<u64>>,
    /// Why writes are refused, while they are.
    trouble: Arc<Mutex<Option<String>>>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// A store that forgets everything when it is dropped.
    pub fn in_memory(history: usize) -> Store {
        Store::with(BTreeMap::new(), 0, None, history)
    }

    /// A store on an opened file and what was read from it.
    pub fn on_file(file: File, objects: BTreeMap<Key, Arc<Stored>>, revision: u64, history: usize) -> Store {
        Store::with(objects, revision, Some(file), history)
    }

    fn with(objects: BTreeMap<Key, Arc<Stored>>, revision: u64, file: Option<File>, history: usize) -> Store {
        let mut catalog = Catalog::new();
        for (key, object) in objects.iter().filter(|(key, _)| key.storage.as_ref() == DEFINITIONS) {
            catalog = catalog.with_definition(&key.name, Some(&object.value()));
        }
        let state = State {
            objects,
            ring: VecDeque::new(),
            ring_bytes: 0,
            history,
            forgotten: revision,
            revision,
            catalog: Arc::new(catalog),
        };
        let mut store = Store {
            state: Arc::new(RwLock::new(state)),
            turn: Turn::Memory(Mutex::new(())),
            changed: Arc::new(watch::Sender::new(revision)),
            trouble: Arc::default(),
            writer: Mutex::new(None),
        };
        if let Some(file) = file {
            let (sender, receiver) = mpsc::channel(QUEUE);
            let (state, changed, trouble) = (store.state.clone(), store.changed.clone(), store.trouble.clone());
            store.turn = Turn::File(Mutex::new(Some(sender)));
            let thread = std::thread::spawn(move || write_to_file(file, receiver, &state, &changed, &trouble));
            store.writer = Mutex::new(Some(thread));
        }
        store
    }

    /// Runs a write in its turn, and answers when it is durable.
    ///
    /// Errors with the write's own failure, or with why the store cannot write.
    pub async fn write<T, F>(&self, call: F) -> Result<T, Failure>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Failure> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(Pending { call: Some(call), result: None, reply });
        match &self.turn {
            // In memory there is nothing to wait for: the write runs here, which also keeps paused clocks exact.
            Turn::Memory(turn) => {
                let _turn = lock(turn);
                run_batch(vec![work], &self.state, &self.changed, |_| Ok(()));
            }
            Turn::File(sender) => {
                let sender = lock(sender).clone();
                let closed = || Failure::new(503, "ServiceUnavailable", "the embedded API is closing");
                sender.ok_or_else(closed)?.send(work).await.map_err(|_| closed())?;
            }
        }
        answer.await.unwrap_or_else(|_| Err(Failure::internal("the store stopped before the write was answered")))
    }

    /// The state, for reading; must not be held across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes at each commit, with its revision.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Why writes are refused, while they are.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// Refuses further writes, and waits until those accepted are durable and the file is closed.
    pub fn close(&self) {
        if let Turn::File(sender) = &self.turn {
            lock(sender).take();
        }
        if let Some(writer) = lock(&self.writer).take() {
            let _ = writer.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

fn write_to_file(
    mut file: File,
    mut queue: mpsc::Receiver<Box<dyn Work>>,
    state: &RwLock<State>,
    changed: &watch::Sender<u64>,
    trouble: &Mutex<Option<String>>,
) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < QUEUE {
            let Ok(next) = queue.try_recv() else { break };
            batch.push(next);
        }
        run_batch(batch, state, changed, |changes| {
            let done = file.commit(changes);
            *lock(trouble) = done.as_ref().err().cloned();
            done.map_err(|why| Failure::new(507, "InsufficientStorage", why))
        });
    }
}

/// Runs writes in order, commits them together, publishes, and answers each.
fn run_batch(
    mut works: Vec<Box<dyn Work>>,
    state: &RwLock<State>,
    changed: &watch::Sender<u64>,
    commit: impl FnOnce(&[Change]) -> Result<(), Failure>,
) {
    let (changes, revision) = {
        let state = state.read().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Batch::after(&state);
        for work in &mut works {
            let (mark, revision) = (batch.changes.len(), batch.revision);
            if !work.run(&mut Txn { state: &state, batch: &mut batch }) {
                batch.roll_back(mark, revision);
            }
        }
        (batch.changes, batch.revision)
    };
    let committed = if changes.is_empty() { Ok(()) } else { commit(&changes) };
    if committed.is_ok() && !changes.is_empty() {
        state.write().unwrap_or_else(PoisonError::into_inner).publish(changes, revision);
        changed.send_replace(revision);
    }
    for work in works {
        work.finish(&committed);
    }
}

impl State {
    fn publish(&mut self, changes: Vec<Change>, revision: u64) {
        let now = Instant::now();
        for mut change in changes {
            change.at = now;
            if change.deleted {
                self.objects.remove(&change.key);
            } else {
                self.objects.insert(change.key.clone(), change.object.clone());
            }
            if change.key.storage.as_ref() == DEFINITIONS {
                let definition = (!change.deleted).then(|| change.object.value());
                self.catalog = Arc::new(self.catalog.with_definition(&change.key.name, definition.as_ref()));
            }
            self.ring_bytes += change.weight();
            self.ring.push_back(change);
        }
        while self.ring.len() > self.history || self.ring_bytes > RING_BYTES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= oldest.weight();
            self.forgotten = oldest.revision;
        }
        self.revision = revision;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key::new(&"/configmaps".into(), "default", name)
    }

    #[tokio::test]
    async fn a_failed_write_leaves_nothing_and_takes_no_revision() {
        let store = Store::in_memory(HISTORY);
        store.write(|txn| Ok(txn.put(key("a"), json!({"metadata": {}})))).await.unwrap();
        let failed: Result<(), Failure> = store
            .write(|txn| {
                txn.put(key("b"), json!({"metadata": {}}));
                txn.delete(key("a"), json!({"metadata": {}}));
                Err(Failure::bad_request("no"))
            })
            .await;
        assert_eq!(failed.unwrap_err().code, 400);
        assert_eq!(store.read().revision, 1);
        assert!(store.read().objects.contains_key(&key("a")));
        let next = store.write(|txn| Ok(txn.put(key("c"), json!({"metadata": {}})).revision)).await.unwrap();
        assert_eq!(next, 2);
    }

    #[tokio::test]
    async fn a_write_that_panics_is_refused_and_the_next_one_works() {
        let store = Store::in_memory(HISTORY);
        let failed: Result<(), Failure> = store.write(|_| panic!("poisoned object")).await;
        assert_eq!(failed.unwrap_err().code, 500);
        assert!(store.write(|txn| Ok(txn.put(key("a"), json!({"metadata": {}})))).await.is_ok());
    }

    #[tokio::test]
    async fn the_log_is_bounded_and_knows_what_it_forgot() {
        let store = Store::in_memory(20);
        for _ in 0..30 {
            store.write(|txn| Ok(txn.put(key("a"), json!({"metadata": {}})))).await.unwrap();
        }
        let state = store.read();
        assert_eq!((state.ring.len(), state.forgotten, state.revision), (20, 10, 30));
    }
}
