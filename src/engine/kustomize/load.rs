//! [`Loader`]: files and directories as one kustomization may see them.
//!
//! A file must lie in or below the directory of the kustomization that names it, unless the options say anywhere (as
//! Flux does); nothing lies outside the tree. A directory may not contain a kustomization that is being built, or a
//! build would never end. Source: kustomize api/internal/loader/fileloader.go.

use std::cell::Cell;

use crate::base::FileTree;

use super::error::{BuildError, ErrorKind, Result};
use super::file::FILE_NAMES;
use super::{Answer, Answers, Options};

/// What a build may use up, counted over all its directories.
#[derive(Default)]
pub(super) struct Used {
    files: Cell<usize>,
}

/// One directory on the way from the top.
pub(super) struct Loader<'a> {
    tree: &'a FileTree,
    root: String,
    parent: Option<&'a Loader<'a>>,
    options: &'a Options,
    answers: &'a Answers,
    used: &'a Used,
    /// The address, when this directory was fetched.
    remote: Option<String>,
    depth: usize,
}

/// What a path in `resources` turned out to be.
pub(super) enum Found<'a> {
    File { path: String, bytes: &'a [u8] },
    Directory(Loader<'a>),
}

impl<'a> Loader<'a> {
    /// The loader of the top directory.
    pub(super) fn top(
        tree: &'a FileTree,
        directory: &str,
        options: &'a Options,
        answers: &'a Answers,
        used: &'a Used,
    ) -> Result<Self> {
        let root = FileTree::resolve("", directory)
            .filter(|root| tree.is_dir(root))
            .ok_or_else(|| BuildError::new(ErrorKind::Missing, format!("there is no directory {directory:?}")))?;
        Ok(Loader { tree, root, parent: None, options, answers, used, remote: None, depth: 0 })
    }

    /// The directory from the root of its tree; empty at the root.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// A path beneath this directory for messages.
    pub(super) fn shown(&self, path: &str) -> String {
        let path = FileTree::resolve(&self.root, path).unwrap_or_else(|| path.to_owned());
        match self.remote_root() {
            Some(remote) => format!("{remote}//{path}"),
            None => path,
        }
    }

    fn remote_root(&self) -> Option<&str> {
        self.remote.as_deref().or_else(|| self.parent.filter(|p| std::ptr::eq(p.tree, self.tree))?.remote_root())
    }

    fn spend(&self) -> Result<()> {
        self.used.files.set(self.used.files.get() + 1);
        if self.used.files.get() > self.options.limits.files {
            let message = format!("the build reads more than {} files", self.options.limits.files);
            return Err(BuildError::new(ErrorKind::Limit, message).hint("look for a base that is included many times"));
        }
        Ok(())
    }

    /// Reads the one kustomization file of this directory: its name and content.
    pub(super) fn kustomization(&self) -> Result<(&'static str, &'a [u8])> {
        self.spend()?;
        let mut found = FILE_NAMES.iter().filter_map(|name| {
            let path = FileTree::resolve(&self.root, name)?;
            self.tree.get(&path).map(|file| (*name, &*file.bytes))
        });
        match (found.next(), found.next()) {
            (Some(file), None) => Ok(file),
            (None, _) => Err(BuildError::new(ErrorKind::Missing, "there is no kustomization.yaml in this directory")
                .in_file(&self.shown("."))
                .hint("add one, or name files instead of the directory")),
            (Some(_), Some(_)) => {
                Err(BuildError::new(ErrorKind::Conflict, "there is more than one kustomization file")
                    .in_file(&self.shown("."))
                    .hint("keep one of kustomization.yaml, kustomization.yml and Kustomization"))
            }
        }
    }

    /// Reads a file that the kustomization names.
    pub(super) fn file(&self, path: &str) -> Result<&'a [u8]> {
        self.spend()?;
        if is_url(path) {
            return match self.answers.get(path) {
                Some(Answer::File(bytes)) => Ok(bytes),
                Some(Answer::Directory { .. }) => {
                    Err(BuildError::new(ErrorKind::Missing, format!("{path} is a repository and not a file")))
                }
                None => Err(self.ask(path)),
            };
        }
        let missing =
            || BuildError::new(ErrorKind::Missing, format!("there is no file {path:?}")).in_file(&self.shown("."));
        let full = FileTree::resolve(&self.root, path).ok_or_else(|| self.outside(path))?;
        let file = self.tree.get(&full).ok_or_else(missing)?;
        let beneath = self.root.is_empty() || full.strip_prefix(&self.root).is_some_and(|rest| rest.starts_with('/'));
        if !beneath && (!self.options.files_anywhere || self.remote_root().is_some()) {
            return Err(self.outside(path));
        }
        Ok(&file.bytes)
    }

    fn outside(&self, path: &str) -> BuildError {
        BuildError::new(
            ErrorKind::Forbidden,
            format!("the file {path:?} lies outside the directory of its kustomization"),
        )
        .hint("move it beneath, or make its directory a base of its own")
    }

    fn ask(&self, url: &str) -> BuildError {
        if !self.options.allow_remote {
            let message = format!("{url} is remote, and remote bases are not allowed here");
            return BuildError::new(ErrorKind::Forbidden, message).hint("copy it into the repository");
        }
        BuildError::new(ErrorKind::Remote, url)
    }

    /// Finds what an entry of `resources` means: a file, a directory, or something remote.
    pub(super) fn find(&'a self, path: &str) -> Result<Found<'a>> {
        let full = FileTree::resolve(&self.root, path);
        if full.as_deref().is_some_and(|full| !full.is_empty() && self.tree.get(full).is_some()) {
            let bytes = self.file(path)?;
            return Ok(Found::File { path: path.to_owned(), bytes });
        }
        match self.answers.get(path) {
            Some(Answer::File(bytes)) => {
                self.spend()?;
                Ok(Found::File { path: path.to_owned(), bytes })
            }
            _ => self.directory(path).map(Found::Directory),
        }
    }

    /// Enters a directory that the kustomization names.
    pub(super) fn directory(&'a self, path: &str) -> Result<Loader<'a>> {
        if self.depth >= self.options.limits.depth {
            let message = format!("bases are nested deeper than {} levels", self.options.limits.depth);
            return Err(BuildError::new(ErrorKind::Limit, message));
        }
        let child = |tree, root, remote| Loader {
            tree,
            root,
            parent: Some(self),
            options: self.options,
            answers: self.answers,
            used: self.used,
            remote,
            depth: self.depth + 1,
        };
        match FileTree::resolve(&self.root, path) {
            Some(root) if !path.is_empty() && !path.starts_with('/') && self.tree.is_dir(&root) => {
                self.check_cycle(&root)?;
                Ok(child(self.tree, root, None))
            }
            _ if is_remote(path) => match self.answers.get(path) {
                Some(Answer::Directory { tree, directory }) => {
                    self.check_remote_cycle(path)?;
                    Ok(child(tree, directory.clone(), Some(path.to_owned())))
                }
                Some(Answer::File(_)) => {
                    Err(BuildError::new(ErrorKind::Missing, format!("{path} is a file and not a directory")))
                }
                None => Err(self.ask(path)),
            },
            None => Err(BuildError::new(ErrorKind::Forbidden, format!("{path:?} lies outside the tree"))),
            Some(_) => Err(BuildError::new(ErrorKind::Missing, format!("there is no file or directory {path:?}"))
                .hint("check the path; it starts at the directory of the kustomization")),
        }
    }

    /// Refuses a directory that holds, at any depth, a kustomization that is being built.
    fn check_cycle(&self, candidate: &str) -> Result<()> {
        let mut visited = Some(self);
        while let Some(loader) = visited.filter(|loader| std::ptr::eq(loader.tree, self.tree)) {
            let above = candidate.is_empty()
                || loader.root == candidate
                || loader.root.strip_prefix(candidate).is_some_and(|rest| rest.starts_with('/'));
            if above {
                let shown = |path: &str| if path.is_empty() { ".".to_owned() } else { path.to_owned() };
                let message = format!("{} contains {}, which is being built", shown(candidate), shown(&loader.root));
                return Err(BuildError::new(ErrorKind::Cycle, message)
                    .hint("a base must not include its overlay, nor a directory above it"));
            }
            visited = loader.parent;
        }
        Ok(())
    }

    fn check_remote_cycle(&self, url: &str) -> Result<()> {
        let mut visited = Some(self);
        while let Some(loader) = visited {
            if loader.remote.as_deref().is_some_and(|remote| remote.starts_with(url)) {
                return Err(BuildError::new(ErrorKind::Cycle, format!("{url} includes itself")));
            }
            visited = loader.parent;
        }
        Ok(())
    }
}

fn is_url(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}

/// Whether a path can only mean something in another repository or on a server.
///
/// Source: the forms of kustomize api/internal/git/repospec.go.
fn is_remote(path: &str) -> bool {
    let schemes = ["http://", "https://", "ssh://", "git::", "git@", "file://"];
    schemes.iter().any(|scheme| path.starts_with(scheme))
        || path.split_once(':').is_some_and(|(host, rest)| host.contains('@') && !rest.is_empty())
        || path.starts_with("github.com/")
        || path.starts_with("github.com:")
        || path.contains(".git?")
        || path.contains(".git/")
        || path.contains("/_git/")
}
