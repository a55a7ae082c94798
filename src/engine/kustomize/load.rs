//! [`Loader`]: files and directories as one kustomization may see them.
//!
//! A file must lie in or below the directory of the kustomization that names it, unless the options say anywhere (as
//! Flux does); nothing lies outside the tree. A directory may not contain a kustomization that is being built, or a
//! build would never end. Source: kustomize api/internal/loader/fileloader.go.

use crate::base::FileTree;

use super::budget::Budget;
use super::error::{BuildError, ErrorKind, Result};
use super::file::FILE_NAMES;
use super::remote::{RemoteAddress, shown};
use super::{Answer, Answers, Options};

/// One directory on the way from the top.
pub(super) struct Loader<'a> {
    tree: &'a FileTree,
    root: String,
    parent: Option<&'a Loader<'a>>,
    options: &'a Options,
    answers: &'a Answers,
    budget: &'a Budget,
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
        budget: &'a Budget,
    ) -> Result<Self> {
        let root = FileTree::resolve("", directory)
            .filter(|root| tree.is_dir(root))
            .ok_or_else(|| BuildError::new(ErrorKind::Missing, format!("there is no directory {directory:?}")))?;
        Ok(Loader { tree, root, parent: None, options, answers, budget, remote: None, depth: 0 })
    }

    /// The directory from the root of its tree; empty at the root.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// A path beneath this directory for messages.
    pub(super) fn shown(&self, path: &str) -> String {
        let path = FileTree::resolve(&self.root, path).unwrap_or_else(|| path.to_owned());
        match self.remote_root() {
            Some(remote) => format!("{}//{path}", shown(remote)),
            None => path,
        }
    }

    fn remote_root(&self) -> Option<&str> {
        self.remote.as_deref().or_else(|| self.parent.filter(|p| std::ptr::eq(p.tree, self.tree))?.remote_root())
    }

    /// Reads the one kustomization file of this directory: its name and content.
    pub(super) fn kustomization(&self) -> Result<(&'static str, &'a [u8])> {
        let mut found = FILE_NAMES.iter().filter_map(|name| {
            let path = FileTree::resolve(&self.root, name)?;
            self.tree.get(&path).map(|file| (*name, &*file.bytes))
        });
        match (found.next(), found.next()) {
            (Some((name, bytes)), None) => {
                self.budget.file(bytes.len())?;
                Ok((name, bytes))
            }
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
        if is_url(path) {
            return match self.answers.get(path) {
                Some(Answer::File(bytes)) => {
                    self.budget.file(bytes.len())?;
                    Ok(bytes)
                }
                Some(Answer::Directory { .. }) => {
                    Err(BuildError::new(ErrorKind::Missing, format!("{} is a repository and not a file", shown(path))))
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
        self.budget.file(file.bytes.len())?;
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
            let message = format!("{} is remote, and remote bases are not allowed here", shown(url));
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
                self.budget.file(bytes.len())?;
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
            budget: self.budget,
            remote,
            depth: self.depth + 1,
        };
        match FileTree::resolve(&self.root, path) {
            Some(root) if !path.is_empty() && !path.starts_with('/') && self.tree.is_dir(&root) => {
                self.check_cycle(&root)?;
                Ok(child(self.tree, root, None))
            }
            _ if is_url(path) || RemoteAddress::parse(path).is_some() => match self.answers.get(path) {
                Some(Answer::Directory { tree, directory }) => {
                    self.check_remote_cycle(path)?;
                    let root = FileTree::resolve("", directory).ok_or_else(|| self.outside(directory))?;
                    Ok(child(tree, root, Some(path.to_owned())))
                }
                Some(Answer::File(_)) => {
                    Err(BuildError::new(ErrorKind::Missing, format!("{} is a file and not a directory", shown(path))))
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
                return Err(BuildError::new(ErrorKind::Cycle, format!("{} includes itself", shown(url))));
            }
            visited = loader.parent;
        }
        Ok(())
    }
}

fn is_url(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}
