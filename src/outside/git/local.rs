//! A repository on this machine, read where it lies: no program, no copy, no configuration; and its references moved, for a push.
//!
//! Only for what a person points weir at themselves (the demo, a laptop): callers must allow `file` URLs.

use std::path::{Path, PathBuf};

use gix::actor::SignatureRef;
use gix::hash::{Kind, ObjectId};
use gix::lock::acquire::Fail;
use gix::odb::Handle;
use gix::refs::file::{ReferenceExt, Store};
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};
use gix::refs::{FullName, Target};

use super::choose::{Advertised, REFERENCES};
use super::error::{GitError, causes};
use super::tree::Limits;
use super::wire::open;

/// An opened local repository.
pub(super) struct Local {
    refs: Store,
    pub(super) objects: Handle,
    pub(super) git_dir: PathBuf,
    url: String,
}

/// Why a reference was not moved.
pub(super) enum MoveError {
    /// It is not where it was.
    Moved,
    Other(String),
}

impl Local {
    /// Opens a bare repository, or the one inside a working tree.
    ///
    /// Errors when there is none.
    pub(super) fn open(path: &str, url: &str, limits: &Limits) -> Result<Self, GitError> {
        let missing = || GitError::RepositoryMissing { url: url.to_owned() };
        let git_dir = git_dir(Path::new(path)).ok_or_else(missing)?;
        let objects = open(&git_dir.join("objects"), limits).map_err(|_| missing())?;
        Ok(Local { refs: Store::at(git_dir.clone(), Kind::Sha1), objects, git_dir, url: url.to_owned() })
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

    /// Moves a reference from one commit to another under its lock; from nothing makes it.
    pub(super) fn move_reference(&self, name: &str, old: Option<ObjectId>, new: ObjectId) -> Result<(), MoveError> {
        let other = |error: &dyn std::fmt::Display| MoveError::Other(error.to_string());
        let expected = match old {
            Some(old) => PreviousValue::MustExistAndMatch(Target::Object(old)),
            None => PreviousValue::MustNotExist,
        };
        let log = LogChange { mode: RefLog::AndReference, force_create_reflog: false, message: "push".into() };
        let edit = RefEdit {
            change: Change::Update { log, expected, new: Target::Object(new) },
            name: FullName::try_from(name).map_err(|error| other(&error))?,
            deref: false,
        };
        let pause = Fail::AfterDurationWithBackoff(std::time::Duration::from_secs(5));
        let committer = SignatureRef { name: "weir".into(), email: "weir@localhost".into(), time: "0 +0000" };
        let moved = self.refs.transaction().prepare(Some(edit), pause, pause).and_then(|all| all.commit(committer));
        match moved {
            Ok(_) => Ok(()),
            Err(error) => {
                let now = self
                    .refs
                    .try_find(name)
                    .ok()
                    .flatten()
                    .and_then(|found| found.target.try_id().map(ToOwned::to_owned));
                if now == old { Err(other(&error)) } else { Err(MoveError::Moved) }
            }
        }
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
