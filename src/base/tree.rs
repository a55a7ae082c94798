//! [`FileTree`]: files as data, so that engines need no disk.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A set of files in memory: relative path with `/` → file. Directories exist only through their files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileTree {
    files: BTreeMap<String, File>,
}

/// One regular file. Links do not exist here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    pub bytes: Arc<[u8]>,
    pub executable: bool,
}

/// Why a path is refused: it could name something outside the tree or be misread.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} is refused: {why}")]
pub struct PathError {
    pub path: String,
    pub why: &'static str,
}

impl FileTree {
    /// Adds or replaces a file.
    ///
    /// Errors when the path is not plain: absolute, with `.` or `..` or an empty part, a backslash or a control.
    pub fn insert(&mut self, path: &str, bytes: impl Into<Arc<[u8]>>) -> Result<(), PathError> {
        self.insert_file(path, File { bytes: bytes.into(), executable: false })
    }

    /// As [`FileTree::insert`], with the executable bit.
    pub fn insert_file(&mut self, path: &str, file: File) -> Result<(), PathError> {
        check(path)?;
        self.files.insert(path.to_owned(), file);
        Ok(())
    }

    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    pub fn remove(&mut self, path: &str) -> Option<File> {
        self.files.remove(path)
    }

    /// All files in lexical order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The files beneath a directory (`""` is the root), paths still from the root of the tree.
    pub fn under<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let from = prefix.clone();
        self.files.range(from..).take_while(move |(path, _)| path.starts_with(&prefix)).map(|(p, f)| (p.as_str(), f))
    }

    /// Whether any file lies beneath that directory; the root always exists.
    pub fn is_dir(&self, directory: &str) -> bool {
        directory.is_empty() || self.under(directory).next().is_some()
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Sum of all file sizes in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes.len() as u64).sum()
    }

    /// Joins a relative reference onto a directory and resolves `.` and `..`; `None` when it leaves the tree.
    pub fn resolve(directory: &str, reference: &str) -> Option<String> {
        if reference.starts_with('/') {
            return None;
        }
        let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
        for part in reference.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()?),
                part => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }
}

impl<P: AsRef<str>, B: AsRef<[u8]>> FromIterator<(P, B)> for FileTree {
    /// For literals in tests and embedded assets; paths that [`FileTree::insert`] would refuse are left out.
    fn from_iter<I: IntoIterator<Item = (P, B)>>(files: I) -> Self {
        let mut tree = FileTree::default();
        for (path, bytes) in files {
            tree.insert(path.as_ref(), bytes.as_ref()).ok();
        }
        tree
    }
}

fn check(path: &str) -> Result<(), PathError> {
    let refuse = |why| Err(PathError { path: path.to_owned(), why });
    if path.len() > 1024 {
        return refuse("it is longer than 1,024 bytes");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return refuse("it has a backslash or a control character");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("it is not a plain relative path");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_leave_the_tree() {
        let mut tree = FileTree::default();
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a\\b", "./a", "a/", "nul\0"] {
            assert!(tree.insert(path, *b"x").is_err(), "{path:?}");
        }
        assert_eq!(FileTree::resolve("a/b", "../c/./d"), Some("a/c/d".into()));
        assert_eq!(FileTree::resolve("a", "../../x"), None);
    }

    #[test]
    fn a_directory_is_the_files_beneath_it() {
        let tree: FileTree = [("a/x", "1"), ("a/y/z", "2"), ("ab", "3")].into_iter().collect();
        assert_eq!(tree.under("a").map(|(path, _)| path).collect::<Vec<_>>(), ["a/x", "a/y/z"]);
        assert!(tree.is_dir("a/y") && !tree.is_dir("ab") && tree.is_dir(""));
    }
}
