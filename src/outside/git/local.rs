//! A repository on this machine, read where it lies: no program, no copy, no configuration.
//!
//! Only for what a person points weir at themselves (the demo, a laptop): callers must allow `file` URLs.

use std::path::{Path, PathBuf};

use gix::hash::Kind;
use gix::odb::Handle;
use gix::refs::file::{ReferenceExt, Store};

use super::choose::{Advertised, REFERENCES};
use super::error::{GitError, causes};
use super::tree::Limits;
use super::wire::open;

/// An opened local repository.
pub(super) struct Local {
    refs: Store,
    pub(super) objects: Handle,
    url: String,
}

impl Local {
    /// Opens a bare repository, or the one inside a working tree.
    ///
    /// Errors when there is none.
    pub(super) fn open(path: &str, url: &str, limits: &Limits) -> Result<Self, GitError> {
        let missing = || GitError::RepositoryMissing { url: url.to_owned() };
        let git_dir = git_dir(Path::new(path)).ok_or_else(missing)?;
        let objects = open(&git_dir.join("objects"), limits).map_err(|_| missing())?;
        Ok(Local { refs: Store::at(git_dir, Kind::Sha1), objects, url: url.to_owned() })
    }

    /// Lists references whose names begin with one of the prefixes.
    pub(super) fn list(&self, prefixes: &[String]) -> Result<Vec<Advertised>, GitError> {
        let mut all = Vec::new();
        if prefixes.iter().any(|prefix| prefix == "HEAD")
            && let Ok(Some(head)) = self.refs.try_find("HEAD")
        {
            all.extend(self.advertise(head));
        }
        let platform = self.refs.iter().map_err(|e| self.damaged(&e))?;
        for reference in platform.all()? {
            // A broken reference is passed over, as git's own listing does; the wanted one is missed by name then.
            let Ok(reference) = reference else { continue };
            let name = reference.name.as_bstr().to_string();
            if prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())) {
                all.extend(self.advertise(reference));
            }
            if all.len() > REFERENCES {
                return Err(GitError::Limit { what: "references", limit: REFERENCES as u64 });
            }
        }
        Ok(all)
    }

    fn advertise(&self, mut reference: gix::refs::Reference) -> Option<Advertised> {
        let name = reference.name.as_bstr().to_string();
        let peeled = reference.peel_to_id(&self.refs, &self.objects).ok()?;
        Some(Advertised { name, direct: peeled, peeled })
    }

    fn damaged(&self, error: &(dyn std::error::Error + 'static)) -> GitError {
        GitError::Protocol { url: self.url.clone(), why: causes(error) }
    }
}

fn git_dir(path: &Path) -> Option<PathBuf> {
    let is_repository = |dir: &Path| dir.join("objects").is_dir() && dir.join("HEAD").is_file();
    let inner = path.join(".git");
    let with_suffix = PathBuf::from(format!("{}.git", path.display()));
    [inner, path.to_path_buf(), with_suffix].into_iter().find(|dir| is_repository(dir))
}
