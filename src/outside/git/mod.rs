//! Git remotes: what a reference points to now, and the files of a commit as a [`FileTree`].
//!
//! Nothing here starts a program, reads a user's or a repository's git configuration, or writes outside its scratch
//! directory. A fetch is bounded in time, bytes, entries and depth, and every name in it is judged before use.
//! Must not know a kind. Start with [`resolve`] and [`checkout`].

mod choose;
mod draft;
mod error;
mod history;
mod keys;
mod known_hosts;
mod local;
mod origin;
mod pack;
mod push;
mod scan;
mod smart_http;
mod ssh;
mod stop;
mod submodules;
mod tree;
mod url;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::hash::ObjectId;

use crate::base::{Digest, FileTree, Revision, Secret};

use super::egress::Egress;
use super::http;

use history::{commit_in_history, latest, peel, read_commit};
use origin::{Origin, Scratch};
use stop::Stop;
use tree::{Read, Source};

pub use choose::Reference;
pub use draft::{Draft, Prepared, Signature, Signer, draft};
pub use error::GitError;
pub use keys::{KeyKind, KeyPair, generate, public_of};
pub use push::{Refspec, push, tip};
pub use scan::{HostKey, scan_host};
pub use tree::Limits;
pub use url::{GitUrl, Scheme, UrlError};

/// What a remote is shown to prove who asks.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    #[default]
    None,
    Basic {
        user: String,
        password: Secret,
    },
    Bearer(Secret),
    Ssh {
        /// Used when the URL names no user.
        user: String,
        identity: Secret,
        passphrase: Option<Secret>,
        known_hosts: String,
    },
}

/// A remote and how to reach it.
#[derive(Clone, Debug)]
pub struct Remote {
    pub url: GitUrl,
    pub auth: Auth,
    /// PEM certificates trusted besides the system's.
    pub ca: Option<Vec<u8>>,
    pub certificate: Option<http::ClientCertificate>,
    pub proxy: Option<http::Proxy>,
    pub egress: Egress,
    /// For everything that one call does, submodules included.
    pub timeout: Duration,
    /// Whether `file` URLs may be used: only where a person points weir at their own machine.
    pub allow_file: bool,
}

/// What to take along, and what it may cost.
#[derive(Clone, Debug)]
pub struct CheckoutOptions {
    pub submodules: bool,
    /// Directories to keep; empty keeps all.
    pub sparse: Vec<String>,
    pub limits: Limits,
    /// Where working files live during the fetch; weir owns it and sweeps it.
    pub scratch: PathBuf,
}

/// A commit as its author left it. Texts are foreign: they pass `Text` before they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub hash: String,
    pub author: Person,
    pub committer: Person,
    pub message: String,
    pub parents: Vec<String>,
}

impl Commit {
    /// The first line of the message.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

/// Who did something and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub email: String,
    /// Seconds since the Unix epoch.
    pub seconds: i64,
}

/// The files of one commit.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub revision: Revision,
    pub commit: Commit,
    pub tree: FileTree,
    /// Files that cannot be in a tree, with the reason.
    pub skipped: Vec<String>,
}

/// Finds what a reference points to now, without fetching files. A commit needs no asking.
///
/// Errors as [`GitError`] says.
pub async fn resolve(remote: &Remote, reference: &Reference, scratch: &Path) -> Result<Revision, GitError> {
    reference.check()?;
    if let Reference::Commit { commit, .. } = reference {
        return Ok(revision(&reference.commit_pointer(), &commit.to_ascii_lowercase()));
    }
    let (remote, reference, scratch) = (remote.clone(), reference.clone(), scratch.to_owned());
    stop::run(remote.timeout, move |stop| {
        let mut origin = Origin::open(&remote, &Limits::default(), stop)?;
        let found = origin.find(&reference)?;
        let [only] = found.as_slice() else {
            let scratch = Scratch::new(&scratch)?;
            let (chosen, _) = latest(&mut origin, found, &scratch, &Limits::default(), stop)?;
            return Ok(revision(&chosen.pointer, &chosen.found.peeled.to_string()));
        };
        Ok(revision(&only.pointer, &only.found.peeled.to_string()))
    })
    .await
}

/// Fetches a commit and reads its files.
///
/// Errors as [`GitError`] says; nothing is left in the scratch directory either way.
pub async fn checkout(remote: &Remote, reference: &Reference, options: &CheckoutOptions) -> Result<Checkout, GitError> {
    reference.check()?;
    let (remote, reference, options) = (remote.clone(), reference.clone(), options.clone());
    stop::run(remote.timeout, move |stop| check_out(&remote, &reference, &options, stop)).await
}

fn check_out(
    remote: &Remote,
    reference: &Reference,
    options: &CheckoutOptions,
    stop: &Stop,
) -> Result<Checkout, GitError> {
    let scratch = Scratch::new(&options.scratch)?;
    let sparse = tree::sparse_directories(&options.sparse)?;
    let mut origin = Origin::open(remote, &options.limits, stop)?;
    let (pointer, id, objects) = match reference {
        Reference::Commit { commit, .. } => {
            let id = ObjectId::from_hex(commit.to_ascii_lowercase().as_bytes());
            let id = id.map_err(|e| GitError::Internal(e.to_string()))?;
            let objects = commit_in_history(&mut origin, reference, id, &scratch, &options.limits, stop)?;
            (reference.commit_pointer(), id, objects)
        }
        _ => {
            let found = origin.find(reference)?;
            let (chosen, objects) = latest(&mut origin, found, &scratch, &options.limits, stop)?;
            (chosen.pointer, chosen.found.peeled, objects)
        }
    };
    // An old server may list a tag without saying what it names.
    let id = peel(&objects, id)?;
    let (commit, root) = read_commit(&objects, id)?;
    let mut read = Read::default();
    let source = Source { objects: &objects, limits: &options.limits, sparse: &sparse, stop };
    tree::read_tree(&source, root, "", &mut read)?;
    if options.submodules {
        let mut modules = submodules::Modules { options, stop, scratch: &scratch, seen: 0, read: &mut read };
        modules.add(remote, &source, root, "", 1)?;
    }
    for directory in &sparse {
        if !read.tree.is_dir(directory) {
            return Err(GitError::SparseMissing(directory.clone()));
        }
    }
    Ok(Checkout { revision: revision(&pointer, &commit.hash), commit, tree: read.tree, skipped: read.skipped })
}

fn revision(pointer: &str, hash: &str) -> Revision {
    Revision { pointer: pointer.into(), digest: Some(Digest { algorithm: "sha1".into(), hex: hash.into() }) }
}

impl Remote {
    /// The same way to another repository; credentials come along only to the same origin.
    fn for_submodule(&self, url: GitUrl) -> Remote {
        let auth = if self.url.same_origin(&url) { self.auth.clone() } else { Auth::None };
        let certificate = self.certificate.clone().filter(|_| self.url.same_origin(&url));
        Remote { url, auth, certificate, ..self.clone() }
    }

    fn http_credentials(&self) -> http::Credentials {
        match &self.auth {
            Auth::Basic { user, password } => {
                http::Credentials::Basic { user: user.clone(), password: password.clone() }
            }
            Auth::Bearer(token) => http::Credentials::Bearer(token.clone()),
            // What the URL itself holds counts when there is no Secret.
            Auth::None | Auth::Ssh { .. } => match &self.url.user {
                Some(user) => {
                    let password = self.url.password.clone().unwrap_or_default();
                    http::Credentials::Basic { user: user.clone(), password }
                }
                None => http::Credentials::None,
            },
        }
    }
}
