//! [`Origin`]: where objects come from, a server or a repository on this machine; and [`Scratch`], where they go.

use std::collections::BTreeSet;
use std::path::Path;

use gix::hash::ObjectId;
use gix::odb::Handle;
use gix::protocol::transport::Service;
use gix::protocol::transport::client::blocking_io::Transport;

use super::choose::{Advertised, Chosen, Reference, choose};
use super::error::GitError;
use super::stop::{Stop, Trouble};
use super::tree::Limits;
use super::url::Scheme;
use super::wire::{Depth, Wire};
use super::{Auth, Remote, local, smart_http, ssh};
use crate::outside::http;

/// Where objects come from.
pub(super) enum Origin {
    Wire(Box<Wire>, String),
    Local(Box<local::Local>, String),
}

impl Origin {
    pub(super) fn open(remote: &Remote, limits: &Limits, stop: &Stop) -> Result<Self, GitError> {
        let trouble = Trouble::default();
        let url = remote.url.to_string();
        if remote.url.scheme == Scheme::File {
            if !remote.allow_file {
                return Err(GitError::FileNotAllowed { path: remote.url.path.clone() });
            }
            let local = local::Local::open(&remote.url.decoded_path(), &url, limits)?;
            return Ok(Origin::Local(Box::new(local), url));
        }
        let transport = transport(remote, limits, stop, &trouble, Service::UploadPack)?;
        Ok(Origin::Wire(Box::new(Wire::greet(transport, trouble, url.clone())?), url))
    }

    pub(super) fn url(&self) -> &str {
        match self {
            Origin::Wire(_, url) | Origin::Local(_, url) => url,
        }
    }

    pub(super) fn list(&mut self, prefixes: &[String]) -> Result<Vec<Advertised>, GitError> {
        match self {
            Origin::Wire(wire, _) => wire.list(prefixes),
            Origin::Local(local, _) => local.list(prefixes),
        }
    }

    /// Finds a reference; when it is missing, says whether anything is there at all.
    pub(super) fn find(&mut self, reference: &Reference) -> Result<Vec<Chosen>, GitError> {
        let listing = self.list(&reference.prefixes())?;
        match choose(reference, &listing, self.url()) {
            Ok(found) => Ok(found),
            Err(_) => {
                let all = self.list(&["refs/heads/".into(), "refs/tags/".into()]).unwrap_or_default();
                let wanted = choose(reference, &all, self.url());
                wanted.map_err(|missing| if all.is_empty() { self.missing_or_empty(missing) } else { missing })
            }
        }
    }

    pub(super) fn missing_or_empty(&mut self, missing: GitError) -> GitError {
        match self.list(&["HEAD".into(), "refs/".into()]) {
            Ok(all) if all.is_empty() => GitError::Empty { url: self.url().to_owned() },
            _ => missing,
        }
    }

    pub(super) fn fetch(
        &mut self,
        wants: &[ObjectId],
        depth: Depth,
        scratch: &Scratch,
        limits: &Limits,
        stop: &Stop,
    ) -> Result<Handle, GitError> {
        match self {
            Origin::Wire(wire, _) => wire.fetch(wants, depth, scratch.0.path(), limits, stop),
            Origin::Local(local, _) => Ok(local.objects.clone()),
        }
    }

    /// Fetches one commit by its hash, alone where the server allows that, else with all branches.
    pub(super) fn commit(
        &mut self,
        id: ObjectId,
        scratch: &Scratch,
        limits: &Limits,
        stop: &Stop,
    ) -> Result<Handle, GitError> {
        let listing = self.list(&["refs/heads/".into(), "refs/tags/".into()])?;
        let is_tip = listing.iter().any(|found| found.direct == id);
        if is_tip || matches!(self, Origin::Wire(wire, _) if wire.can_want_any()) {
            return self.fetch(&[id], Depth::One, scratch, limits, stop);
        }
        let wants: BTreeSet<ObjectId> = listing.iter().map(|found| found.direct).collect();
        self.fetch(&wants.into_iter().collect::<Vec<_>>(), Depth::All, scratch, limits, stop)
    }
}

/// The way to a service of a server; a repository on this machine has none.
pub(super) fn transport(
    remote: &Remote,
    limits: &Limits,
    stop: &Stop,
    trouble: &Trouble,
    service: Service,
) -> Result<Box<dyn Transport + Send>, GitError> {
    match (remote.url.scheme, &remote.auth) {
        (Scheme::File, _) => Err(GitError::FileNotAllowed { path: remote.url.path.clone() }),
        (Scheme::Ssh, Auth::Ssh { user, identity, passphrase, known_hosts }) => {
            let user = remote.url.user.as_deref().unwrap_or(user);
            let login = ssh::Login { user, identity, passphrase: passphrase.as_ref(), known_hosts };
            ssh::connect(&remote.url, &login, remote.egress, stop, trouble, service)
        }
        (Scheme::Ssh, _) => Err(GitError::CredentialsMissing { host: remote.url.authority() }),
        (Scheme::Http | Scheme::Https, _) => {
            let client = http::Client::new(&http::Settings {
                ca: remote.ca.clone(),
                certificate: remote.certificate.clone(),
                proxy: remote.proxy.clone(),
                egress: remote.egress,
            })?;
            let credentials = remote.http_credentials();
            smart_http::connect(&remote.url, client, credentials, stop, trouble, limits.pack_bytes)
        }
    }
}

/// Working files of one fetch, gone when it ends.
pub(super) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(super) fn new(root: &Path) -> Result<Self, GitError> {
        std::fs::create_dir_all(root)?;
        Ok(Scratch(tempfile::Builder::new().prefix("git-").tempdir_in(root)?))
    }

    pub(super) fn another(&self) -> Result<Self, GitError> {
        Scratch::new(&self.0.path().join("submodules"))
    }
}
