//! Artifact files on disk: `<root>/<kind>/<namespace>/<name>/<file>`, written whole or not at all.
//!
//! A file is hashed while it is written, synced, renamed into place and only then told of; what a crash leaves lies in
//! one temporary directory that is swept at the start. One process owns a root. Must not decide which revision is
//! wanted: that is the reconciler's. Start with [`Artifacts::open`].
//!
//! Source: fluxcd/pkg artifact/storage; differences: files and directories are synced, and no `.lock` file is needed
//! beside an artifact because one process writes.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::base::{Digest, Stamp};

/// Where working files live, inside the root so that a rename stays on one file system.
const TEMPORARY: &str = ".tmp";
/// The file that says whose root it is.
const OWNER: &str = ".owner";
/// Files looked at in one collection.
const COLLECT: usize = 1000;

/// One stored file, as `status.artifact` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Relative to the root.
    pub path: String,
    pub url: String,
    pub revision: String,
    pub digest: Digest,
    pub last_update: Stamp,
    pub size_bytes: u64,
    pub metadata: BTreeMap<String, String>,
}

/// Whose artifacts: a kind in lower case, a namespace and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl Owner {
    /// The owner with its kind in lower case, as paths have it.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Owner { kind: kind.to_lowercase(), namespace: namespace.into(), name: name.into() }
    }

    fn parts(&self) -> [&str; 3] {
        [&self.kind, &self.namespace, &self.name]
    }
}

/// What the disk says of a recorded artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    Good,
    Missing,
    /// The bytes are not those that were recorded; the file was removed.
    Changed,
}

/// Why storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("artifact storage {root:?} is used by another weir; stop it or choose another data directory")]
    InUse { root: PathBuf },
    #[error("{what} {path:?}: {source}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{0:?} cannot be part of an artifact path")]
    Name(String),
}

/// The storage; cheap to clone, one per process and root.
#[derive(Clone, Debug)]
pub struct Artifacts(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    root: PathBuf,
    /// Without a closing slash, e.g. `http://127.0.0.1:9090`.
    base: String,
    /// Held locked for as long as the storage lives.
    _owner: File,
}

impl Artifacts {
    /// Opens a root, makes it where missing, and sweeps what a crash left. `base` is how others reach the server.
    ///
    /// Errors when another process has it or it cannot be written.
    pub fn open(root: &Path, base: &str) -> Result<Self, StorageError> {
        make_directories(root)?;
        let lock = root.join(OWNER);
        let owner = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock);
        let owner = owner.map_err(told("cannot open", &lock))?;
        match owner.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StorageError::InUse { root: root.to_owned() }),
            Err(fs::TryLockError::Error(source)) => return Err(told("cannot lock", &lock)(source)),
        }
        let temporary = root.join(TEMPORARY);
        match fs::remove_dir_all(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(told("cannot sweep", &temporary)(e)),
            _ => make_directories(&temporary)?,
        }
        let base = base.trim_end_matches('/').to_owned();
        Ok(Artifacts(Arc::new(Inside { root: root.to_owned(), base, _owner: owner })))
    }

    /// Where working files of any kind may live: the same file system, swept at the next start.
    pub fn scratch(&self) -> PathBuf {
        self.0.root.join(TEMPORARY)
    }

    /// How others fetch a stored path.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.0.base)
    }

    /// Stores bytes under a file name and points `latest.tar.gz` at them. The same name is replaced at once.
    ///
    /// Errors when a name is not plain or the disk refuses; nothing is changed then.
    pub async fn store(
        &self,
        owner: &Owner,
        file: &str,
        revision: &str,
        bytes: Vec<u8>,
        now: Stamp,
    ) -> Result<Artifact, StorageError> {
        self.store_linked(owner, file, LATEST, revision, bytes, now).await
    }

    /// As [`Artifacts::store`], with another name for the link.
    pub async fn store_linked(
        &self,
        owner: &Owner,
        file: &str,
        link: &'static str,
        revision: &str,
        bytes: Vec<u8>,
        now: Stamp,
    ) -> Result<Artifact, StorageError> {
        let directory = self.directory(owner)?;
        let path = format!("{}/{}", owner.parts().join("/"), plain(file)?);
        let size_bytes = bytes.len() as u64;
        let (inside, name) = (self.0.clone(), file.to_owned());
        let digest = blocking(move || inside.write(&directory, &name, link, &bytes)).await?;
        Ok(Artifact {
            url: self.url(&path),
            path,
            revision: revision.into(),
            digest,
            last_update: now,
            size_bytes,
            metadata: BTreeMap::new(),
        })
    }

    /// Compares a recorded artifact with the disk; a changed file is removed.
    ///
    /// Errors when the disk does not answer: that is neither missing nor changed.
    pub async fn verify(&self, path: &str, digest: &Digest) -> Result<Integrity, StorageError> {
        let Some(place) = self.place(path) else { return Ok(Integrity::Missing) };
        let wanted = digest.clone();
        blocking(move || {
            let mut file = match open_regular(&place) {
                Ok(file) => file,
                Err(e) if is_absence(&e) => return Ok(Integrity::Missing),
                Err(e) => return Err(told("cannot open", &place)(e)),
            };
            let found = hash(&mut file).map_err(told("cannot read", &place))?;
            if found == wanted {
                return Ok(Integrity::Good);
            }
            fs::remove_file(&place).map_err(told("cannot remove", &place))?;
            Ok(Integrity::Changed)
        })
        .await
    }

    /// Reads a stored file whole.
    ///
    /// Errors when it is not there.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, StorageError> {
        let place = self.place(path).ok_or_else(|| StorageError::Name(path.chars().take(256).collect()))?;
        blocking(move || {
            let mut bytes = Vec::new();
            let read = open_regular(&place).and_then(|mut file| file.read_to_end(&mut bytes));
            read.map(|_| bytes).map_err(told("cannot read", &place))
        })
        .await
    }

    /// Removes old files of an owner: what is older than `ttl`, then all but the newest `records`; never the current.
    ///
    /// Gives the number of removed files. Errors when the disk refuses.
    pub async fn collect(
        &self,
        owner: &Owner,
        current: &str,
        ttl: Duration,
        records: usize,
    ) -> Result<usize, StorageError> {
        let directory = self.directory(owner)?;
        let current = current.rsplit('/').next().unwrap_or_default().to_owned();
        blocking(move || collect(&directory, &current, ttl, records, SystemTime::now())).await
    }

    /// Removes everything of an owner; tells whether there was anything.
    ///
    /// Errors when the disk refuses.
    pub async fn remove_all(&self, owner: &Owner) -> Result<bool, StorageError> {
        let directory = self.directory(owner)?;
        blocking(move || match fs::remove_dir_all(&directory) {
            Ok(()) => Ok(true),
            Err(e) if is_absence(&e) => Ok(false),
            Err(e) => Err(told("cannot remove", &directory)(e)),
        })
        .await
    }

    /// Opens a stored file by the path of a request: four plain parts, no link but `latest.tar.gz`.
    pub(super) fn open_served(&self, path: &str) -> Option<File> {
        let place = self.place(path)?;
        match open_regular(&place) {
            Ok(file) => Some(file),
            Err(_) if place.file_name().is_some_and(|name| name == LATEST || name == INDEX) => {
                let target = fs::read_link(&place).ok()?;
                let target = plain(target.to_str()?).ok()?.to_owned();
                open_regular(&place.with_file_name(target)).ok()
            }
            Err(_) => None,
        }
    }

    fn directory(&self, owner: &Owner) -> Result<PathBuf, StorageError> {
        let mut directory = self.0.root.clone();
        for part in owner.parts() {
            directory.push(plain(part)?);
        }
        Ok(directory)
    }

    fn place(&self, path: &str) -> Option<PathBuf> {
        let parts: Vec<&str> = path.split('/').collect();
        let whole = parts.len() == 4 && parts.iter().all(|part| plain(part).is_ok());
        whole.then(|| parts.iter().fold(self.0.root.clone(), |place, part| place.join(part)))
    }
}

/// The link to an owner's newest file, unless the owner's kind has another name for it.
pub const LATEST: &str = "latest.tar.gz";
/// The link to the newest index of a Helm repository.
pub const INDEX: &str = "index.yaml";

impl Inside {
    fn write(&self, directory: &Path, file: &str, link: &str, bytes: &[u8]) -> Result<Digest, StorageError> {
        make_directories(directory)?;
        let temporary = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .tempfile_in(self.root.join(TEMPORARY));
        let mut temporary = temporary.map_err(told("cannot write in", &self.root))?;
        let place = directory.join(file);
        let mut hasher = Sha256::new();
        for piece in bytes.chunks(1 << 20) {
            hasher.update(piece);
            temporary.write_all(piece).map_err(told("cannot write", &place))?;
        }
        temporary.as_file().sync_all().map_err(told("cannot sync", &place))?;
        temporary.persist(&place).map_err(|e| told("cannot rename to", &place)(e.error))?;
        self.point(directory, link, file)?;
        File::open(directory).and_then(|opened| opened.sync_all()).map_err(told("cannot sync", directory))?;
        Ok(Digest { algorithm: "sha256".into(), hex: hex::encode(hasher.finalize()) })
    }

    /// Replaces the link in one step: a reader finds the old or the new file, never none.
    fn point(&self, directory: &Path, name: &str, file: &str) -> Result<(), StorageError> {
        let link = directory.join(name);
        if fs::read_link(&link).is_ok_and(|target| target == Path::new(file)) {
            return Ok(());
        }
        let scratch = tempfile::tempdir_in(self.root.join(TEMPORARY)).map_err(told("cannot write in", &self.root))?;
        let new = scratch.path().join(name);
        std::os::unix::fs::symlink(file, &new).map_err(told("cannot link", &link))?;
        fs::rename(&new, &link).map_err(told("cannot rename to", &link))
    }
}

fn collect(
    directory: &Path,
    current: &str,
    ttl: Duration,
    records: usize,
    now: SystemTime,
) -> Result<usize, StorageError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if is_absence(&e) => return Ok(0),
        Err(e) => return Err(told("cannot list", directory)(e)),
    };
    let mut files = Vec::new();
    for entry in entries.take(COLLECT) {
        let entry = entry.map_err(told("cannot list", directory))?;
        let data = entry.metadata().map_err(told("cannot look at", &entry.path()))?;
        if data.is_file() && entry.file_name() != current {
            files.push((data.modified().unwrap_or(now), entry.path()));
        }
    }
    // Newest first; the current one counts as a record.
    files.sort_by(|a, b| b.cmp(a));
    let mut removed = 0;
    for (at, (modified, path)) in files.iter().enumerate() {
        let age = now.duration_since(*modified).unwrap_or_default();
        if age > ttl || at + 1 >= records.max(1) {
            fs::remove_file(path).map_err(told("cannot remove", path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// One part of a path as Kubernetes names and weir's file names are; nothing hidden, nothing that climbs.
fn plain(part: &str) -> Result<&str, StorageError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'+');
    match !part.is_empty() && part.len() <= 255 && !part.starts_with(['.', '-']) && part.bytes().all(good) {
        true => Ok(part),
        false => Err(StorageError::Name(part.chars().take(256).collect())),
    }
}

/// Opens a regular file without following a link or waiting on a pipe.
fn open_regular(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    File::open(path)
}

fn hash(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    io::copy(file, &mut hasher)?;
    Ok(Digest { algorithm: "sha256".into(), hex: hex::encode(hasher.finalize()) })
}

fn make_directories(path: &Path) -> Result<(), StorageError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(told("cannot make directory", path))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn told(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError + use<> {
    let path = path.to_owned();
    move |source| StorageError::Io { what, path, source }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let ended = |e: tokio::task::JoinError| told("the work ended in", Path::new("."))(io::Error::other(e));
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_plain_or_refused() {
        for bad in ["", ".", "..", ".tmp", "a/b", "a\\b", "-x", "a b", "a\0", "ä", "a:b", "%2e", &"x".repeat(256)] {
            assert!(plain(bad).is_err(), "{bad:?}");
        }
        for good in ["flux-system", "6f1c9a.tar.gz", "1.2.3+b", "a_b", "gitrepository"] {
            assert!(plain(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn the_current_file_and_the_newest_records_stay() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let add = |name: &str, age: u64| {
            let file = File::create(directory.path().join(name)).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        };
        let left = || {
            let mut names: Vec<String> = fs::read_dir(directory.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names.join(" ")
        };
        for (name, age) in [("a", 500), ("b", 40), ("c", 30), ("d", 20), ("e", 10)] {
            add(name, age);
        }
        let ttl = Duration::from_secs(60);
        assert_eq!(collect(directory.path(), "a", ttl, 3, now).unwrap(), 2);
        assert_eq!(left(), "a d e", "the current one is old and stays; two more make three records");
        assert_eq!(collect(directory.path(), "a", ttl, 3, now + Duration::from_secs(100)).unwrap(), 2);
        assert_eq!(left(), "a", "past their time they go");
        assert_eq!(collect(directory.path(), "a", ttl, 0, now).unwrap(), 0);
        assert_eq!(left(), "a");
    }
}
