//! From a commit in an object database to a [`FileTree`] in memory: nothing is ever checked out to a disk.
//!
//! Every name is judged here before anything is made of it, because the library would have judged it only while
//! writing files. Links are left out, as Flux's archives leave them out. Start with [`read_tree`].

use std::collections::HashSet;

use gix::bstr::{BStr, ByteSlice};
use gix::hash::ObjectId;
use gix::objs::tree::EntryKind;
use gix::objs::{FindExt, FindHeader, TreeRefIter};
use gix::odb::Handle;

use crate::base::{File, FileTree, Text};

use super::error::{GitError, causes};
use super::stop::Stop;

/// What a checkout may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub total_bytes: u64,
    pub file_bytes: u64,
    pub entries: usize,
    /// Directories a path may be deep.
    pub depth: usize,
    /// Bytes a server may send.
    pub pack_bytes: u64,
    /// Commits submodules may be nested deep.
    pub submodule_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            total_bytes: 2 << 30,
            file_bytes: 512 << 20,
            entries: 250_000,
            depth: 64,
            pack_bytes: 1 << 30,
            submodule_depth: 10,
        }
    }
}

/// A commit that a tree names: a submodule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub path: String,
    pub commit: ObjectId,
}

/// What came out of a tree so far; submodules add to the same.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub tree: FileTree,
    pub links: Vec<Link>,
    /// Files that a [`FileTree`] cannot name, with the reason: left out, not silently.
    pub skipped: Vec<String>,
    entries: usize,
    bytes: u64,
}

/// Where and how to read.
pub(super) struct Source<'a> {
    pub objects: &'a Handle,
    pub limits: &'a Limits,
    /// Directories to keep, plain and relative; empty keeps all.
    pub sparse: &'a [String],
    pub stop: &'a Stop,
}

/// Reads all files beneath a tree object into `read`, with `prefix` (`""` or `dir/…/`) before their paths.
///
/// Errors on a name that could reach outside or be taken for git's own, on a duplicate, and past a limit.
pub(super) fn read_tree(source: &Source<'_>, id: ObjectId, prefix: &str, read: &mut Read) -> Result<(), GitError> {
    let mut pending = vec![(id, prefix.to_owned())];
    while let Some((id, prefix)) = pending.pop() {
        source.stop.check()?;
        let depth = prefix.matches('/').count();
        if depth > source.limits.depth {
            return Err(GitError::Limit { what: "directories in depth", limit: source.limits.depth as u64 });
        }
        let mut buffer = Vec::new();
        let entries = source.objects.find_tree_iter(&id, &mut buffer).map_err(|e| damaged(&e))?;
        read_entries(source, entries, &prefix, read, &mut pending)?;
    }
    Ok(())
}

fn read_entries(
    source: &Source<'_>,
    entries: TreeRefIter<'_>,
    prefix: &str,
    read: &mut Read,
    pending: &mut Vec<(ObjectId, String)>,
) -> Result<(), GitError> {
    let mut names = HashSet::new();
    for entry in entries {
        let entry = entry.map_err(|e| damaged(&e))?;
        read.entries += 1;
        if read.entries > source.limits.entries {
            return Err(GitError::Limit { what: "entries", limit: source.limits.entries as u64 });
        }
        let path = format!("{prefix}{}", entry.filename.to_str_lossy());
        let refuse = |why| Err(GitError::Tree { path: Text::new(&path).into_string(), why });
        if let Some(why) = name_fault(entry.filename) {
            return refuse(why);
        }
        if !names.insert(entry.filename) {
            return refuse("comes twice in its directory");
        }
        if let Some(why) = unnameable(entry.filename) {
            if entry.mode.kind() != EntryKind::Link {
                read.skipped.push(format!("{}: {why}", Text::new(&path)));
            }
            continue;
        }
        match entry.mode.kind() {
            EntryKind::Tree if leads_to(&path, source.sparse) => pending.push((entry.oid.into(), format!("{path}/"))),
            EntryKind::Commit if is_within(&path, source.sparse) => {
                read.links.push(Link { path, commit: entry.oid.into() });
            }
            kind @ (EntryKind::Blob | EntryKind::BlobExecutable) if is_within(&path, source.sparse) => {
                let executable = kind == EntryKind::BlobExecutable;
                read_file(source, entry.oid.into(), path, executable, read)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_file(
    source: &Source<'_>,
    id: ObjectId,
    path: String,
    executable: bool,
    read: &mut Read,
) -> Result<(), GitError> {
    let limits = source.limits;
    let header = source.objects.try_header(&id).map_err(|e| damaged(&e))?;
    let size = header.ok_or_else(|| GitError::Object(format!("{id} ({path}) is not there")))?.size;
    if size > limits.file_bytes {
        return Err(GitError::Limit { what: "bytes in one file", limit: limits.file_bytes });
    }
    read.bytes = read.bytes.saturating_add(size);
    if read.bytes > limits.total_bytes {
        return Err(GitError::Limit { what: "bytes in all files", limit: limits.total_bytes });
    }
    let mut buffer = Vec::new();
    source.objects.find_blob(&id, &mut buffer).map_err(|e| damaged(&e))?;
    let file = File { bytes: buffer.into(), executable };
    if let Err(refused) = read.tree.insert_file(&path, file) {
        read.skipped.push(format!("{}: {}", Text::new(&path), refused.why));
    }
    Ok(())
}

pub(super) fn damaged(error: &(dyn std::error::Error + 'static)) -> GitError {
    GitError::Object(causes(error))
}

/// Why no checkout may have such a name, if so. No honest repository has one.
fn name_fault(name: &BStr) -> Option<&'static str> {
    use gix::validate::path::component::{Error, Options};
    if name.iter().any(|byte| *byte < 0x20 || *byte == 0x7f) {
        return Some("has a control character in its name");
    }
    let options = Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    match gix::validate::path::component(name, None, options) {
        Ok(_) => None,
        Err(Error::Empty) => Some("has an empty name"),
        Err(Error::Relative) => Some("is a relative name"),
        Err(Error::PathSeparator) => Some("has a slash in its name"),
        Err(Error::DotGitDir) => Some("is a spelling of .git"),
        Err(_) => Some("is not a plain name"),
    }
}

/// Why a harmless name cannot be in a [`FileTree`], if so: real repositories have such files, and nothing refers to them.
fn unnameable(name: &BStr) -> Option<&'static str> {
    match name.to_str() {
        Err(_) => Some("its name is not UTF-8"),
        Ok(name) if name.contains('\\') => Some("its name has a backslash"),
        Ok(name) if name.chars().any(char::is_control) => Some("its name has a control character"),
        Ok(_) => None,
    }
}

/// Whether a directory is kept or leads to one that is.
fn leads_to(path: &str, sparse: &[String]) -> bool {
    is_within(path, sparse) || sparse.iter().any(|kept| kept.strip_prefix(path).is_some_and(|r| r.starts_with('/')))
}

fn is_within(path: &str, sparse: &[String]) -> bool {
    let under = |kept: &String| path.strip_prefix(kept.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    sparse.is_empty() || sparse.iter().any(under)
}

/// Brings `spec.sparseCheckout` into plain form: leading `./` and closing slashes go, the root means all.
///
/// Errors on paths that leave the repository.
pub(super) fn sparse_directories(wanted: &[String]) -> Result<Vec<String>, GitError> {
    let mut plain = Vec::new();
    for directory in wanted {
        match FileTree::resolve("", directory.trim_end_matches('/')) {
            Some(path) if path.is_empty() => return Ok(Vec::new()),
            Some(path) => plain.push(path),
            None => return Err(GitError::SparseMissing(Text::new(directory).into_string())),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_git_passes() {
        for name in [
            ".git",
            ".GIT",
            ".Git",
            ".git ",
            ".git.",
            ".git...",
            ".git::$INDEX_ALLOCATION",
            "git~1",
            "GIT~1",
            ".g\u{200c}it",
            ".gi\u{200d}t",
            "\u{feff}.git",
            ".git\u{206a}",
            "..",
            ".",
            "",
            "a/b",
            "../x",
            "a\x1b[2J",
            "a\nb",
            "\x7f",
            "a\rb",
        ] {
            assert!(name_fault(name.into()).is_some(), "{name:?} passed");
        }
        for name in [".github", "git", ".gitignore", "con", "aux.yaml", "a:b", "…", "x~1", "name.", "日本"] {
            assert!(name_fault(name.into()).is_none(), "{name:?} was refused");
        }
    }

    #[test]
    fn sparse_directories_keep_what_lies_beneath_them() {
        let sparse = sparse_directories(&["./deploy/prod/".into(), "base".into()]).unwrap();
        assert_eq!(sparse, ["deploy/prod", "base"]);
        assert!(is_within("deploy/prod/x", &sparse) && is_within("base/a/b", &sparse));
        assert!(!is_within("deploy/x", &sparse) && !is_within("basement/x", &sparse));
        assert!(leads_to("deploy", &sparse) && !leads_to("dep", &sparse) && !leads_to("docs", &sparse));
        assert!(sparse_directories(&["../x".into()]).is_err());
        assert!(sparse_directories(&["a".into(), "./".into()]).unwrap().is_empty(), "the root is everything");
    }
}
