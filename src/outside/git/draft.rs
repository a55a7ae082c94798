//! A commit in the making: the files at the tip of a branch, and from edited files the objects of a commit upon it.
//!
//! The parent is always a commit that was fetched, files are only ever replaced, and nothing is pushed here. So history
//! cannot be lost, and a preview can stop where a run goes on to push. Start with [`draft`], then [`Draft::commit`].
//!
//! Source: image-automation-controller internal/source (CheckoutSource, CommitAndPush), fluxcd/pkg git gogit. Deliberate
//! difference: a push branch that exists is built upon and never forced.

use std::collections::BTreeMap;

use gix::hash::ObjectId;
use gix::objs::tree::EntryKind;
use gix::objs::{FindExt, Kind, WriteTo};
use gix::odb::Handle;
use russh::keys::{HashAlg, PrivateKey};

use super::error::GitError;
use super::history::{commit_in_history, latest, peel, read_commit};
use super::origin::{Origin, Scratch};
use super::pack::New;
use super::stop::{self, Stop};
use super::tree::{self, Read, Source, damaged};
use super::wire::Depth;
use super::{CheckoutOptions, Commit, Person, Reference, Remote, revision};
use crate::base::{FileTree, Revision, Secret};

/// Directories that a path may be deep.
const DEPTH: usize = 64;

/// The tip of a branch, ready to be built upon.
pub struct Draft {
    /// What the checkout reference was at.
    pub checkout: Revision,
    /// The branch that will be pushed to, without `refs/heads/`.
    pub branch: String,
    /// Whether the branch has to be made.
    pub is_new: bool,
    /// The commit that is built upon: the tip of the branch, else what was checked out.
    pub base: Commit,
    /// Its files.
    pub tree: FileTree,
    objects: Handle,
    root: ObjectId,
    _scratch: Scratch,
}

/// A commit that nobody has yet.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub hash: String,
    pub branch: String,
    pub message: String,
    pub(super) id: ObjectId,
    pub(super) base: ObjectId,
    pub(super) is_new: bool,
    pub(super) objects: Vec<New>,
}

/// What a commit says besides its files.
#[derive(Clone, Debug)]
pub struct Signature {
    pub author: Person,
    pub message: String,
    pub signer: Option<Signer>,
}

/// An SSH key that signs commits.
#[derive(Clone, Debug)]
pub struct Signer(Box<PrivateKey>);

impl Signer {
    /// Reads a private key in OpenSSH or PEM form.
    ///
    /// Errors when it cannot be read, or its passphrase is missing or wrong.
    pub fn read(identity: &Secret, passphrase: Option<&Secret>) -> Result<Self, GitError> {
        let passphrase = passphrase.map(Secret::reveal).filter(|text| !text.is_empty());
        match russh::keys::decode_secret_key(identity.reveal(), passphrase) {
            Ok(key) => Ok(Signer(Box::new(key))),
            Err(russh::keys::Error::KeyIsEncrypted) => {
                Err(GitError::CredentialsUnusable("the signing key is encrypted, and its passphrase is missing".into()))
            }
            Err(_) => Err(GitError::CredentialsUnusable("the signing key cannot be read".into())),
        }
    }
}

/// Fetches what a reference is at and, when it is another and exists, the tip of the branch that will be pushed to.
///
/// Errors as a checkout does.
pub async fn draft(
    remote: &Remote,
    reference: &Reference,
    branch: &str,
    options: &CheckoutOptions,
) -> Result<Draft, GitError> {
    reference.check()?;
    Reference::Branch(branch.to_owned()).check()?;
    let (remote, reference, branch, options) = (remote.clone(), reference.clone(), branch.to_owned(), options.clone());
    stop::run(remote.timeout, move |stop| open(&remote, &reference, branch, &options, stop)).await
}

fn open(
    remote: &Remote,
    reference: &Reference,
    branch: String,
    options: &CheckoutOptions,
    stop: &Stop,
) -> Result<Draft, GitError> {
    let limits = &options.limits;
    let scratch = Scratch::new(&options.scratch)?;
    let mut origin = Origin::open(remote, limits, stop)?;
    let full = format!("refs/heads/{branch}");
    let is_same = matches!(reference, Reference::Branch(name) if *name == branch)
        || matches!(reference, Reference::Name(name) if *name == full);
    let target = match is_same {
        true => None,
        false => origin.list(std::slice::from_ref(&full))?.into_iter().find(|found| found.name == full),
    };
    let (pointer, id, mut objects) = match reference {
        Reference::Commit { commit, .. } => {
            let id = ObjectId::from_hex(commit.to_ascii_lowercase().as_bytes());
            let id = id.map_err(|e| GitError::Internal(e.to_string()))?;
            (reference.commit_pointer(), id, commit_in_history(&mut origin, reference, id, &scratch, limits, stop)?)
        }
        _ => {
            let found = origin.find(reference)?;
            let (chosen, objects) = latest(&mut origin, found, &scratch, limits, stop)?;
            (chosen.pointer, chosen.found.peeled, objects)
        }
    };
    let checked_out = peel(&objects, id)?;
    let checkout = revision(&pointer, &checked_out.to_string());
    let mut base = checked_out;
    let mut kept = scratch;
    if let Some(target) = &target {
        // A conversation with an older server ends with its first fetch.
        let mut again = Origin::open(remote, limits, stop)?;
        kept = Scratch::new(&options.scratch)?;
        objects = again.fetch(&[target.direct], Depth::One, &kept, limits, stop)?;
        base = peel(&objects, target.direct)?;
    }
    let (commit, root) = read_commit(&objects, base)?;
    let mut read = Read::default();
    tree::read_tree(&Source { objects: &objects, limits, sparse: &[], stop }, root, "", &mut read)?;
    let is_new = !is_same && target.is_none();
    Ok(Draft { checkout, branch, is_new, base: commit, tree: read.tree, objects, root, _scratch: kept })
}

impl Draft {
    /// Makes a commit upon the base in which some files have other bytes.
    ///
    /// Errors when a path is no regular file of the base, or a name or the message cannot be in a commit.
    pub fn commit(&self, files: &[(String, Vec<u8>)], signature: &Signature) -> Result<Prepared, GitError> {
        let mut objects = Vec::new();
        let files: BTreeMap<&str, &[u8]> =
            files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        let changes: Vec<(&str, &[u8])> = files.into_iter().collect();
        let root = self.rewrite(self.root, &changes, 0, &mut objects)?;
        let base = ObjectId::from_hex(self.base.hash.as_bytes()).map_err(|e| GitError::Internal(e.to_string()))?;
        let message = signature.message.replace('\0', "\u{fffd}");
        let bytes = encoded(root, base, signature, &message)?;
        let id = add(Kind::Commit, bytes, &mut objects)?;
        Ok(Prepared {
            hash: id.to_string(),
            branch: self.branch.clone(),
            message,
            id,
            base,
            is_new: self.is_new,
            objects,
        })
    }

    /// Writes a tree anew with some of its files replaced.
    fn rewrite(
        &self,
        tree: ObjectId,
        changes: &[(&str, &[u8])],
        depth: usize,
        objects: &mut Vec<New>,
    ) -> Result<ObjectId, GitError> {
        if depth > DEPTH {
            return Err(GitError::Limit { what: "directories in depth", limit: DEPTH as u64 });
        }
        let mut buffer = Vec::new();
        let found = self.objects.find_tree(&tree, &mut buffer).map_err(|e| damaged(&e))?;
        let mut entries: gix::objs::Tree = found.to_owned();
        let mut from = 0;
        while let Some((path, bytes)) = changes.get(from) {
            let (name, rest) = path.split_once('/').map_or((*path, None), |(name, rest)| (name, Some(rest)));
            let refuse = |why| GitError::Tree { path: (*path).to_owned(), why };
            let entry = entries.entries.iter_mut().find(|entry| entry.filename == name);
            let entry = entry.ok_or_else(|| refuse("is not in the commit"))?;
            match (entry.mode.kind(), rest) {
                (EntryKind::Blob | EntryKind::BlobExecutable, None) => {
                    entry.oid = add(Kind::Blob, bytes.to_vec(), objects)?;
                    from += 1;
                }
                (EntryKind::Tree, Some(_)) => {
                    let prefix = format!("{name}/");
                    let within: Vec<(&str, &[u8])> = changes[from..]
                        .iter()
                        .map_while(|(path, bytes)| Some((path.strip_prefix(&prefix)?, *bytes)))
                        .collect();
                    entry.oid = self.rewrite(entry.oid, &within, depth + 1, objects)?;
                    from += within.len();
                }
                _ => return Err(refuse("is no regular file")),
            }
        }
        let mut bytes = Vec::new();
        entries.write_to(&mut bytes)?;
        add(Kind::Tree, bytes, objects)
    }
}

fn add(kind: Kind, bytes: Vec<u8>, objects: &mut Vec<New>) -> Result<ObjectId, GitError> {
    let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, &bytes).map_err(|e| damaged(&e))?;
    objects.push(New { kind, bytes });
    Ok(id)
}

/// The bytes of a commit.
fn encoded(tree: ObjectId, parent: ObjectId, signature: &Signature, message: &str) -> Result<Vec<u8>, GitError> {
    let Person { name, email, seconds } = &signature.author;
    let plain = |text: &str| text.replace(['<', '>'], "").replace(char::is_control, " ").trim().to_owned();
    let (name, email) = (plain(name), plain(email));
    if email.is_empty() {
        return Err(GitError::Internal("a commit needs the e-mail address of its author".into()));
    }
    let person = format!("{name} <{email}> {seconds} +0000");
    let head = format!("tree {tree}\nparent {parent}\nauthor {person}\ncommitter {person}\n");
    let unsigned = format!("{head}\n{message}");
    let Some(Signer(key)) = &signature.signer else { return Ok(unsigned.into_bytes()) };
    let unusable = |why: String| GitError::CredentialsUnusable(format!("the signing key cannot sign: {why}"));
    let signed = key.sign("git", HashAlg::Sha512, unsigned.as_bytes()).map_err(|e| unusable(e.to_string()))?;
    let pem = signed.to_pem(russh::keys::ssh_key::LineEnding::LF).map_err(|e| unusable(e.to_string()))?;
    let folded = pem.trim_end().replace('\n', "\n ");
    Ok(format!("{head}gpgsig {folded}\n\n{message}").into_bytes())
}
