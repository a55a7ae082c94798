//! The tags that scans found, on disk: they survive a restart, and a policy need not wait for the next scan.
//!
//! One file for each scanned object, written whole under another name and then renamed, so that it is never half there.
//! Must not know how tags are listed or chosen. Start with [`Tags`].
//!
//! Source: image-reflector-controller internal/storage (a file per object, a checksum over the tags).

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::base::Digest;

/// A file with more bytes is not one of ours.
const FILE_BYTES: u64 = 512 << 20;

/// What was found for one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The image with everything that is implied.
    pub image: String,
    pub tags: Vec<String>,
    /// When images were built, in seconds since 1970, as far as somebody asked; `None` for those without a date.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub created: BTreeMap<String, Option<i64>>,
}

/// Tags by the namespace and name of the object that scans; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tags {
    root: PathBuf,
    known: Arc<RwLock<Known>>,
    /// Another process scans: what is there is read anew each time, and left alone.
    of_another: bool,
}

/// What was read or written, by namespace and name.
type Known = HashMap<(String, String), Arc<Listed>>;

impl Tags {
    /// Opens the directory, which need not exist yet.
    pub fn at(root: &Path) -> Self {
        Tags { root: root.to_owned(), known: Arc::default(), of_another: false }
    }

    /// Looks into the directory of a process that scans; nothing is written there.
    pub fn of_another(root: &Path) -> Self {
        Tags { of_another: true, ..Tags::at(root) }
    }

    /// The tags of an object, if they are those of that image.
    pub async fn get(&self, namespace: &str, name: &str, image: &str) -> Option<Arc<Listed>> {
        let key = (namespace.to_owned(), name.to_owned());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let listed = match known {
            Some(listed) => listed,
            None => {
                let path = self.path(namespace, name)?;
                let read = tokio::task::spawn_blocking(move || read(&path)).await.ok()?;
                let listed = Arc::new(read?);
                if !self.of_another {
                    self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&listed));
                }
                listed
            }
        };
        (listed.image == image).then_some(listed)
    }

    /// Keeps the tags of an object and gives their checksum; dates of tags that are still there are kept too.
    ///
    /// Errors when the disk refuses; the old tags are still there then.
    pub async fn set(&self, namespace: &str, name: &str, mut listed: Listed) -> io::Result<Digest> {
        if let Some(before) = self.get(namespace, name, &listed.image).await {
            let still = |tag: &String| listed.tags.binary_search_by(|other| tag.cmp(other)).is_ok();
            let kept: Vec<_> = before.created.iter().filter(|(tag, _)| still(tag)).collect();
            let kept: Vec<_> = kept.into_iter().map(|(tag, date)| (tag.clone(), *date)).collect();
            listed.created.extend(kept);
        }
        self.put(namespace, name, listed).await
    }

    /// Adds build dates to the tags of an object, if it has any.
    ///
    /// Errors when the disk refuses.
    pub async fn date(&self, namespace: &str, name: &str, dates: &BTreeMap<String, Option<i64>>) -> io::Result<()> {
        let key = (namespace.to_owned(), name.to_owned());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let Some(known) = known else { return Ok(()) };
        let mut listed = (*known).clone();
        listed.created.extend(dates.iter().map(|(tag, date)| (tag.clone(), *date)));
        self.put(namespace, name, listed).await.map(drop)
    }

    async fn put(&self, namespace: &str, name: &str, listed: Listed) -> io::Result<Digest> {
        let path = self.path(namespace, name).ok_or_else(|| io::Error::other("the object's name is no file name"))?;
        if self.of_another {
            return Ok(checksum(&listed.tags));
        }
        let listed = Arc::new(listed);
        let written = Arc::clone(&listed);
        let done = tokio::task::spawn_blocking(move || write(&path, &written)).await;
        done.map_err(io::Error::other)??;
        let checksum = checksum(&listed.tags);
        let key = (namespace.to_owned(), name.to_owned());
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key, listed);
        Ok(checksum)
    }

    /// Forgets the tags of an object.
    ///
    /// Errors when the file is there and cannot be removed.
    pub async fn remove(&self, namespace: &str, name: &str) -> io::Result<()> {
        let key = (namespace.to_owned(), name.to_owned());
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let Some(path) = self.path(namespace, name).filter(|_| !self.of_another) else { return Ok(()) };
        match tokio::fs::remove_file(path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Names of objects are plain; anything else has no file.
    fn path(&self, namespace: &str, name: &str) -> Option<PathBuf> {
        let plain = |text: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            !text.is_empty() && !text.starts_with('.') && text.len() <= 253 && text.chars().all(fits)
        };
        (plain(namespace) && plain(name)).then(|| self.root.join(namespace).join(format!("{name}.json")))
    }
}

/// A checksum over the tags in their order.
pub fn checksum(tags: &[String]) -> Digest {
    Digest::sha256(tags.join("\n").as_bytes())
}

/// A damaged file counts as none: the next scan writes it anew.
fn read(path: &Path) -> Option<Listed> {
    if std::fs::metadata(path).ok()?.len() > FILE_BYTES {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(path: &Path, listed: &Listed) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("no directory"))?;
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    let mut writer = io::BufWriter::new(&mut file);
    serde_json::to_writer(&mut writer, listed)?;
    writer.flush()?;
    drop(writer);
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tags_survive_a_restart_and_damage_is_no_tags() {
        let directory = tempfile::tempdir().unwrap();
        let listed =
            Listed { image: "ghcr.io/a/b".into(), tags: vec!["2".into(), "1".into()], created: BTreeMap::new() };
        let tags = Tags::at(directory.path());
        assert!(tags.get("ns", "app", "ghcr.io/a/b").await.is_none());
        let sum = tags.set("ns", "app", listed.clone()).await.unwrap();
        assert_eq!(sum, checksum(&listed.tags));
        let again = Tags::at(directory.path());
        assert_eq!(*again.get("ns", "app", "ghcr.io/a/b").await.unwrap(), listed);
        assert!(again.get("ns", "app", "ghcr.io/a/c").await.is_none(), "another image has other tags");
        let other = Tags::of_another(directory.path());
        assert_eq!(*other.get("ns", "app", "ghcr.io/a/b").await.unwrap(), listed);
        other.set("ns", "app", Listed { tags: Vec::new(), ..listed.clone() }).await.unwrap();
        other.remove("ns", "app").await.unwrap();
        assert_eq!(*again.get("ns", "app", "ghcr.io/a/b").await.unwrap(), listed, "it is only looked at");
        assert!(again.set("..", "app", listed.clone()).await.is_err());
        std::fs::write(directory.path().join("ns/app.json"), "{").unwrap();
        assert!(other.get("ns", "app", "ghcr.io/a/b").await.is_none(), "and looked at anew");
        assert!(Tags::at(directory.path()).get("ns", "app", "ghcr.io/a/b").await.is_none());
        let dates = [("2".to_owned(), Some(7)), ("1".to_owned(), None)].into();
        tags.date("ns", "app", &dates).await.unwrap();
        tags.set("ns", "app", Listed { tags: vec!["2".into()], ..listed.clone() }).await.unwrap();
        let found = Tags::at(directory.path()).get("ns", "app", "ghcr.io/a/b").await.unwrap();
        assert_eq!(found.created, [("2".to_owned(), Some(7))].into(), "dates go with their tags");
        again.remove("ns", "app").await.unwrap();
        again.remove("ns", "app").await.unwrap();
        assert!(again.get("ns", "app", "ghcr.io/a/b").await.is_none());
    }
}
