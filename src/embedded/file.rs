//! The file behind the store: one redb database, one lock, nothing acknowledged before it is synced.
//!
//! The database is made under a temporary name and renamed, because one that is killed while it is being made can never
//! be opened again. A failed sync ends writing until a restart; a full disk only until there is room.
//! Start with [`File::open`] and [`File::commit`].

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, Database, ReadableDatabase, ReadableTable, StorageBackend, StorageError, TableDefinition};

use super::object::{Key, Stored};
use super::store::Change;

const OBJECTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("objects");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// The layout of the database; a newer one is refused.
const FORMAT: u64 = 1;
const NAME: &str = "state.redb";

/// Why a store could not be opened, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{} is in use by another weir ({holder}): stop that one, talk to it with its kubeconfig, or choose another --data directory", dir.display())]
    Locked { dir: PathBuf, holder: String },
    #[error("{} cannot be read as a weir store ({why}): restore it from a backup, or move it away to start empty", path.display())]
    Corrupt { path: PathBuf, why: String },
    #[error("{} was written by a newer weir (format {found}, this one knows {FORMAT}): use that version, or another --data directory", path.display())]
    Newer { path: PathBuf, found: u64 },
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("a new store cannot be filled: {0}")]
    Unwritable(String),
}

/// An open store file; the directory is locked as long as it lives.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    database: Option<Database>,
    disk: Arc<Disk>,
    /// What keys held before a commit whose fate is not known.
    undo: Vec<(Vec<u8>, Option<Arc<Stored>>)>,
    revision: u64,
    /// The trouble that was logged, until writing works again.
    told: Option<String>,
    /// Why nothing is written any more.
    broken: Option<String>,
    lock: Lock,
}

/// Everything that was in a file.
pub type Content = BTreeMap<Key, Arc<Stored>>;

impl File {
    /// Locks a directory, makes its store when there is none, and reads everything.
    ///
    /// Errors when another process has it, when it cannot be read, or when it is newer than this program.
    pub fn open(dir: &Path) -> Result<(File, Content, u64), OpenError> {
        let failed = |doing, path: &Path| {
            let path = path.to_path_buf();
            move |source| OpenError::Io { doing, path, source }
        };
        make_private_dir(dir).map_err(failed("create", dir))?;
        let lock = Lock::take(dir)?;
        let path = dir.join(NAME);
        if !path.try_exists().map_err(failed("look at", &path))? {
            create(dir, &path).map_err(failed("create", &path))?;
        }
        let disk = Arc::new(Disk::default());
        let database = open_database(&path, &disk)?;
        let (content, revision) = read(&database, &path)?;
        let database = Some(database);
        let file = File { path, database, disk, undo: Vec::new(), revision, told: None, broken: None, lock };
        Ok((file, content, revision))
    }

    /// Writes changes and syncs them.
    ///
    /// Errors with a sentence for people; nothing of the changes may then be shown to anyone.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), String> {
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        if self.database.is_none() {
            match open_database(&self.path, &self.disk) {
                Ok(database) => self.database = Some(database),
                Err(why) => return Err(format!("the store is read-only: {why}")),
            }
        }
        let database = self.database.as_ref().expect("opened just above");
        match write(database, &self.undo, changes) {
            Ok(()) => {
                if self.told.take().is_some() {
                    tracing::info!("the store is written again: {}", self.path.display());
                }
                self.undo.clear();
                self.revision = changes.last().map_or(self.revision, |change| change.revision);
                Ok(())
            }
            Err(error) => Err(self.give_up(&error, changes)),
        }
    }

    /// After a failed commit the database is closed, and whether the commit reached it is not known: the next one
    /// first sets the keys back. After a failed sync there is no next one.
    fn give_up(&mut self, error: &redb::Error, changes: &[Change]) -> String {
        for change in changes {
            let key = change.key.to_bytes();
            if !self.undo.iter().any(|(known, _)| *known == key) {
                self.undo.push((key, change.previous.clone()));
            }
        }
        self.database = None;
        let path = self.path.display();
        let why = match error {
            _ if self.disk.sync_failed.load(Ordering::SeqCst) => {
                let why = format!(
                    "the store is read-only: syncing {path} failed ({error}); check the disk, then restart weir"
                );
                self.broken = Some(why.clone());
                why
            }
            redb::Error::Io(io) if is_full(io) => {
                format!("the store is read-only: no room for {path} ({io}); free some, writes then go on by themselves")
            }
            other => format!("the store is read-only: writing {path} failed ({other})"),
        };
        // Every refused write would say it again; one line until it recovers is enough.
        if self.told.as_deref() != Some(why.as_str()) {
            tracing::error!("{why}");
            self.told = Some(why.clone());
        }
        why
    }

    /// Tells others who hold the lock where this one can be reached.
    pub fn lock_note(&self) -> io::Result<fs::File> {
        self.lock.file.try_clone()
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

fn write(database: &Database, undo: &[(Vec<u8>, Option<Arc<Stored>>)], changes: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        for (key, previous) in undo {
            match previous {
                Some(object) => objects.insert(key.as_slice(), object.json().as_ref())?,
                None => objects.remove(key.as_slice())?,
            };
        }
        for change in changes {
            let key = change.key.to_bytes();
            if change.deleted {
                objects.remove(key.as_slice())?;
            } else {
                objects.insert(key.as_slice(), change.object.json().as_ref())?;
            }
        }
        let mut meta = transaction.open_table(META)?;
        if let Some(last) = changes.last() {
            meta.insert("revision", last.revision)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn read(database: &Database, path: &Path) -> Result<(Content, u64), OpenError> {
    let corrupt = |why: String| OpenError::Corrupt { path: path.to_path_buf(), why };
    let fault = |error: redb::Error| corrupt(error.to_string());
    let transaction = database.begin_read().map_err(|e| fault(e.into()))?;
    let meta = transaction.open_table(META).map_err(|e| fault(e.into()))?;
    let number = |name: &str| meta.get(name).map(|found| found.map_or(0, |n| n.value())).map_err(|e| fault(e.into()));
    let found = number("format")?;
    if found > FORMAT {
        return Err(OpenError::Newer { path: path.to_path_buf(), found });
    }
    let mut content = Content::new();
    let objects = transaction.open_table(OBJECTS).map_err(|e| fault(e.into()))?;
    for entry in objects.iter().map_err(|e| fault(e.into()))? {
        let (key, json) = entry.map_err(|e| fault(e.into()))?;
        let key = Key::from_bytes(key.value()).ok_or_else(|| corrupt("a key is damaged".into()))?;
        let object = Stored::from_json(json.value())
            .ok_or_else(|| corrupt(format!("the object {} {} {} is damaged", key.storage, key.namespace, key.name)))?;
        content.insert(key, Arc::new(object));
    }
    Ok((content, number("revision")?))
}

fn open_database(path: &Path, disk: &Arc<Disk>) -> Result<Database, OpenError> {
    let at = |source| OpenError::Io { doing: "open", path: path.to_path_buf(), source };
    let corrupt = |why: String| OpenError::Corrupt { path: path.to_path_buf(), why };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(at)?;
    if file.metadata().map_err(at)?.len() == 0 {
        return Err(corrupt("it is empty".into()));
    }
    let backend = Watched::new(file, disk)?;
    // The database may panic on damage that its own checks do not foresee.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(16 << 20).set_check_integrity_on_open(true).create_with_backend(backend)
    }));
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(redb::DatabaseError::Storage(StorageError::Io(source)))) => match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Err(corrupt(source.to_string())),
            _ => Err(at(source)),
        },
        Ok(Err(other)) => Err(corrupt(other.to_string())),
        Err(_) => Err(corrupt("the database is damaged".into())),
    }
}

fn create(dir: &Path, path: &Path) -> io::Result<()> {
    let temporary = dir.join(format!("{NAME}.new"));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = private(OpenOptions::new().read(true).write(true).create_new(true)).open(&temporary)?;
    let disk = Arc::new(Disk::default());
    let make = || -> Result<(), redb::Error> {
        let backend = Watched::new(file, &disk).map_err(|e| redb::Error::Io(io::Error::other(e)))?;
        let database = Database::builder().create_with_backend(backend)?;
        let transaction = database.begin_write()?;
        transaction.open_table(OBJECTS)?;
        transaction.open_table(META)?.insert("format", FORMAT)?;
        transaction.commit()?;
        database.close()?;
        Ok(())
    };
    make().map_err(|error| match error {
        redb::Error::Io(io) => io,
        other => io::Error::other(other),
    })?;
    fs::File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(dir)?.sync_all()
}

fn make_private_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

/// Secrets are in there: nobody else on the machine may read it.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// The lock on a data directory; its text says who holds it.
#[derive(Debug)]
struct Lock {
    file: fs::File,
}

impl Lock {
    fn take(dir: &Path) -> Result<Lock, OpenError> {
        let path = dir.join("lock");
        let failed = |source| OpenError::Io { doing: "lock", path: path.clone(), source };
        let mut file = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // A lock without a readable note is still a lock.
                let _ = io::Read::take(&mut file, 500).read_to_string(&mut holder);
                let holder = holder.lines().collect::<Vec<_>>().join(", ");
                return Err(OpenError::Locked { dir: dir.to_path_buf(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_note(&mut file, &format!("process {}\n", std::process::id())).map_err(failed)?;
        Ok(Lock { file })
    }
}

/// Replaces the text of a lock file.
pub fn write_note(file: &mut fs::File, note: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(note.as_bytes())
}

/// What is known of the disk below a store.
#[derive(Debug, Default)]
struct Disk {
    /// What a later sync reports cannot be trusted any more.
    sync_failed: AtomicBool,
    #[cfg(test)]
    fault: std::sync::Mutex<Option<tests::DiskFault>>,
}

impl Disk {
    /// Lets tests fail an operation.
    fn suffer(&self, _operation: &'static str) -> io::Result<()> {
        #[cfg(test)]
        if let Some(fault) = self.fault.lock().unwrap().as_mut() {
            return fault.strike(_operation);
        }
        Ok(())
    }
}

/// The usual backend, which also tells what it learns of the disk.
#[derive(Debug)]
struct Watched {
    inner: FileBackend,
    disk: Arc<Disk>,
}

impl Watched {
    fn new(file: fs::File, disk: &Arc<Disk>) -> Result<Watched, OpenError> {
        let why = |e: redb::DatabaseError| OpenError::Corrupt { path: NAME.into(), why: e.to_string() };
        Ok(Watched { inner: FileBackend::new(file).map_err(why)?, disk: disk.clone() })
    }
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.suffer("write")?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.disk.suffer("sync").and_then(|()| self.inner.sync_data());
        synced.inspect_err(|_| self.disk.sync_failed.store(true, Ordering::SeqCst))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.suffer("write")?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::time::Instant;

    /// Every operation of one sort fails from the n-th on, until the fault is taken back.
    #[derive(Debug)]
    pub struct DiskFault {
        operation: &'static str,
        before: usize,
        kind: io::ErrorKind,
    }

    impl DiskFault {
        pub fn strike(&mut self, operation: &'static str) -> io::Result<()> {
            if operation != self.operation {
                return Ok(());
            }
            if self.before > 0 {
                self.before -= 1;
                return Ok(());
            }
            Err(self.kind.into())
        }
    }

    fn change(revision: u64, name: &str) -> Change {
        let key = Key::new(&"/configmaps".into(), "default", name);
        let object = json!({"kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": "y".repeat(3000)}});
        let object = Arc::new(Stored::new(object, revision));
        Change { revision, key, object, previous: None, deleted: false, at: Instant::now() }
    }

    fn names(content: &Content) -> Vec<&str> {
        content.keys().map(|key| key.name.as_ref()).collect()
    }

    #[test]
    fn a_full_disk_loses_nothing_and_writes_go_on_when_there_is_room() {
        for before in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let (mut file, ..) = File::open(dir.path()).unwrap();
            file.commit(&[change(1, "a"), change(2, "b")]).unwrap();
            *file.disk.fault.lock().unwrap() =
                Some(DiskFault { operation: "write", before, kind: io::ErrorKind::StorageFull });
            let refused = file.commit(&[change(3, "lost")]);
            let again = file.commit(&[change(3, "lost too")]);
            *file.disk.fault.lock().unwrap() = None;
            if refused.is_ok() {
                assert!(before > 2, "the fault was never met");
                return;
            }
            assert!(refused.as_ref().unwrap_err().contains("no room"), "{refused:?}");
            let mut expected = vec!["a", "b", "c"];
            if again.is_ok() {
                expected.push("lost too");
            }
            assert_eq!(file.told.is_some(), again.is_err(), "trouble is remembered, so that it is logged once");
            file.commit(&[change(4, "c")]).unwrap_or_else(|why| panic!("after {before} writes: {why}"));
            assert_eq!(file.told, None);
            drop(file);
            let (_, content, revision) = File::open(dir.path()).unwrap();
            assert_eq!((names(&content), revision), (expected, 4), "after {before} writes");
        }
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_promised() {
        for before in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let (mut file, ..) = File::open(dir.path()).unwrap();
            file.commit(&[change(1, "a")]).unwrap();
            *file.disk.fault.lock().unwrap() =
                Some(DiskFault { operation: "sync", before, kind: io::ErrorKind::Other });
            let refused = file.commit(&[change(2, "b")]);
            *file.disk.fault.lock().unwrap() = None;
            if refused.is_ok() {
                assert!(before > 0, "the fault was never met");
                return;
            }
            let later = file.commit(&[change(2, "c")]).unwrap_err();
            assert!(later.contains("restart weir"), "{later}");
            drop(file);
            let (_, content, _) = File::open(dir.path()).unwrap();
            assert!(names(&content).contains(&"a"), "what was acknowledged is there");
            assert!(!names(&content).contains(&"c"), "what was refused is not");
        }
    }

    #[test]
    fn a_newer_store_is_refused_by_its_number() {
        let dir = tempfile::tempdir().unwrap();
        drop(File::open(dir.path()).unwrap());
        let database = Database::open(dir.path().join(NAME)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert("format", FORMAT + 1).unwrap();
        transaction.commit().unwrap();
        drop(database);
        assert!(matches!(File::open(dir.path()), Err(OpenError::Newer { found, .. }) if found == FORMAT + 1));
    }
}
