//! A bare Git repository that the demo makes and commits to, without a git program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix::ObjectId;
use gix::objs::tree::{Entry, EntryKind};
use gix::refs::transaction::PreviousValue;

use crate::base::FileTree;

const BRANCH: &str = "refs/heads/main";

/// Why the demo's repository cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the repository {} cannot be written: {message}", path.display())]
pub struct RepositoryError {
    path: PathBuf,
    message: String,
}

/// One repository with a branch `main`.
pub struct Repository {
    path: PathBuf,
    shared: gix::ThreadSafeRepository,
}

impl Repository {
    /// Makes an empty one, untouched by the person's own Git settings.
    pub fn create(path: &Path) -> Result<Self, RepositoryError> {
        let failed = |e: &dyn std::fmt::Display| RepositoryError { path: path.into(), message: e.to_string() };
        let kind = gix::create::Kind::Bare;
        let options = gix::open::Options::isolated();
        let shared = gix::ThreadSafeRepository::init_opts(path, kind, gix::create::Options::default(), options)
            .map_err(|e| failed(&e))?;
        Ok(Repository { path: path.into(), shared })
    }

    /// Where it can be fetched from.
    pub fn url(&self) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        let path = self.path.to_string_lossy();
        let escaped = path.bytes().map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        });
        format!("file://{}", escaped.collect::<String>())
    }

    /// The files at the tip of `main`.
    pub fn files(&self) -> Result<FileTree, RepositoryError> {
        let failed = |e: &dyn std::fmt::Display| RepositoryError { path: self.path.clone(), message: e.to_string() };
        let repository = self.shared.to_thread_local();
        let mut branch = repository.find_reference(BRANCH).map_err(|e| failed(&e))?;
        let tree = branch.peel_to_tree().map_err(|e| failed(&e))?;
        let mut files = FileTree::default();
        read_tree(&repository, tree.id, "", &mut files).map_err(|e| failed(&e))?;
        Ok(files)
    }

    /// Commits a whole tree to `main` and answers with the short hash.
    pub fn commit(&self, files: &FileTree, message: &str) -> Result<String, RepositoryError> {
        let failed = |e: &dyn std::fmt::Display| RepositoryError { path: self.path.clone(), message: e.to_string() };
        let repository = self.shared.to_thread_local();
        let files: Vec<(&str, &Arc<[u8]>)> = files.iter().map(|(path, file)| (path, &file.bytes)).collect();
        let tree = write_tree(&repository, "", &files).map_err(|e| failed(&e))?;
        let parent = repository.try_find_reference(BRANCH).map_err(|e| failed(&e))?.map(|branch| branch.id().detach());
        let time = format!("{} +0000", jiff::Timestamp::now().as_second());
        let author =
            gix::actor::SignatureRef { name: "weir demo".into(), email: "demo@example.com".into(), time: &time };
        let commit = repository.new_commit_as(author, author, message, tree, parent).map_err(|e| failed(&e))?;
        let previous = match parent {
            Some(parent) => PreviousValue::MustExistAndMatch(parent.into()),
            None => PreviousValue::MustNotExist,
        };
        let edit = gix::refs::transaction::RefEdit {
            change: gix::refs::transaction::Change::Update {
                log: gix::refs::transaction::LogChange::default(),
                expected: previous,
                new: gix::refs::Target::Object(commit.id),
            },
            name: BRANCH.try_into().expect("the name of the branch is valid"),
            deref: false,
        };
        repository.edit_references_as([edit], Some(author)).map_err(|e| failed(&e))?;
        Ok(commit.id.to_hex_with_len(8).to_string())
    }
}

/// Reads a directory. The depth is that of the demo's own files.
fn read_tree(
    repository: &gix::Repository,
    id: ObjectId,
    prefix: &str,
    files: &mut FileTree,
) -> Result<(), Box<dyn std::error::Error>> {
    let tree = repository.find_object(id)?.try_into_tree()?;
    for entry in tree.iter() {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.filename());
        match entry.mode().is_tree() {
            true => read_tree(repository, entry.object_id(), &format!("{path}/"), files)?,
            false => files.insert(&path, entry.object()?.data.clone())?,
        }
    }
    Ok(())
}

/// Writes a directory whose files are given with sorted paths. The depth is that of the demo's own files.
fn write_tree(
    repository: &gix::Repository,
    prefix: &str,
    files: &[(&str, &Arc<[u8]>)],
) -> Result<ObjectId, gix::Error> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut rest = files;
    while let Some((path, bytes)) = rest.first() {
        let name = &path[prefix.len()..];
        let (entry, used) = match name.split_once('/') {
            None => {
                let oid = repository.write_blob(bytes)?.detach();
                (Entry { mode: EntryKind::Blob.into(), filename: name.into(), oid }, 1)
            }
            Some((directory, _)) => {
                let below = format!("{prefix}{directory}/");
                let used = rest.iter().take_while(|(path, _)| path.starts_with(&below)).count();
                let oid = write_tree(repository, &below, &rest[..used])?;
                (Entry { mode: EntryKind::Tree.into(), filename: directory.into(), oid }, used)
            }
        };
        entries.push(entry);
        rest = &rest[used..];
    }
    entries.sort();
    Ok(repository.write_object(gix::objs::Tree { entries })?.detach())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_follow_each_other_and_hold_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::create(&directory.path().join("a b.git")).unwrap();
        assert!(repository.url().ends_with("/a%20b.git"), "{}", repository.url());
        // `a-b` sorts between `a` and `a/x` in paths but not in Git's trees.
        let files: FileTree = [("a/x", "1"), ("a-b", "2"), ("a.c/y/z", "3")].into_iter().collect();
        let first = repository.commit(&files, "one").unwrap();
        let second = repository.commit(&files, "two").unwrap();
        assert_ne!(first, second);
        assert_eq!(repository.files().unwrap(), files);
        let opened = gix::open(directory.path().join("a b.git")).unwrap();
        let head = opened.find_reference(BRANCH).unwrap().id().object().unwrap().into_commit();
        assert_eq!(head.message_raw().unwrap(), "two");
        assert_eq!(head.parent_ids().count(), 1);
        let tree = head.tree().unwrap();
        for (path, text) in [("a/x", "1"), ("a-b", "2"), ("a.c/y/z", "3")] {
            let entry = tree.lookup_entry_by_path(path).unwrap().unwrap_or_else(|| panic!("{path} is not there"));
            assert_eq!(entry.object().unwrap().data, text.as_bytes(), "{path}");
        }
        assert_eq!(opened.head_name().unwrap().unwrap().as_bstr(), BRANCH);
    }
}
