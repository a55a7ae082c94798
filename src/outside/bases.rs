//! [`Bases`]: what kustomizations name in other places, fetched while they are built.
//!
//! The kustomize engine does no I/O: it says what it needs, here it is fetched, and the build starts over. Every fetch
//! is bounded in time and bytes, goes where the egress rule allows, and carries no credentials of weir's own.
//! Must not decide what an address means to kustomize: the engine parses it. Start with [`Bases::build`].

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use crate::base::{FileTree, Text};
use crate::engine::kustomize::{
    self, Answer, Answers, BuildError, ErrorKind, Manifest, Need, Options, Output, RemoteAddress,
};

use super::egress::Egress;
use super::git::{self, Auth, CheckoutOptions, GitError, GitUrl, Reference, Remote};
use super::http::{Client, Credentials, Request, Settings};

/// The longest that one fetch may take, also when its address asks for more.
const TIMEOUT: Duration = Duration::from_secs(27);
/// The most that one fetch may bring.
const BYTES: u64 = 10 << 20;
/// Addresses that one build may name, so that a base cannot lead on to another for ever.
const ADDRESSES: usize = 64;

/// Fetches bases, each address once.
#[derive(Debug)]
pub struct Bases {
    policy: Policy,
    answers: Answers,
    fetched: usize,
}

/// Where bases may come from.
#[derive(Clone, Debug)]
pub struct Policy {
    pub egress: Egress,
    /// Whether `file` URLs may be used: only where a person builds on their own machine.
    pub allow_file: bool,
    /// A directory for working files of Git; nothing stays in it.
    pub scratch: PathBuf,
}

impl Bases {
    pub fn new(policy: Policy) -> Self {
        Bases { policy, answers: Answers::default(), fetched: 0 }
    }

    /// Builds a directory and fetches what the build asks for: the objects, and warnings for the author.
    ///
    /// Blocks, so it runs on a thread that may. Errors as [`kustomize::build`], and when a base cannot be fetched.
    pub fn build(
        &mut self,
        tree: &FileTree,
        directory: &str,
        options: &Options,
    ) -> Result<(Vec<Manifest>, Vec<String>), BuildError> {
        loop {
            match kustomize::build(tree, directory, options, &self.answers)? {
                Output::Built { manifests, warnings } => return Ok((manifests, warnings)),
                Output::Need(Need::Remote(address)) => {
                    self.fetched += 1;
                    if self.fetched > ADDRESSES {
                        let message = format!("the build names more than {ADDRESSES} remote bases");
                        let hint = "copy some of them into the repository";
                        return Err(error(ErrorKind::Limit, message, hint));
                    }
                    let answer = tokio::runtime::Handle::current().block_on(fetch(&address, &self.policy));
                    let answer = answer.map_err(|why| {
                        let message = format!("the base {} cannot be fetched: {why}", shown(&address));
                        error(ErrorKind::Missing, message, "check the address, or copy the base into the repository")
                    })?;
                    self.answers.insert(&address, answer);
                }
            }
        }
    }
}

fn error(kind: ErrorKind, message: String, hint: &str) -> BuildError {
    BuildError { kind, place: Box::default(), message, hint: hint.to_owned() }
}

/// An address for messages: without what it may hold of a user, a password or a token.
fn shown(address: &str) -> String {
    let address = address.split('?').next().unwrap_or_default();
    let shown = match address.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
            format!("{scheme}://{}{path}", host.rsplit_once('@').map_or(host, |(_, host)| host))
        }
        None => address.to_owned(),
    };
    Text::new(shown).into_string()
}

/// Fetches one address: a file when the server has one there, else a repository.
///
/// Source: kustomize api/internal/target/kusttarget.go, which tries in this order.
async fn fetch(address: &str, policy: &Policy) -> Result<Answer, String> {
    let repository = RemoteAddress::parse(address);
    let names_repository = repository.is_some() && is_marked(address);
    let mut why = String::new();
    if address.starts_with("http") && !names_repository {
        match file(address, policy).await {
            Ok(answer) => return Ok(answer),
            Err(message) => why = message,
        }
    }
    match repository {
        Some(repository) => match clone(&repository, policy).await {
            Ok(answer) => Ok(answer),
            Err(message) if why.is_empty() => Err(message),
            Err(message) => Err(format!("as a file: {why}; as a repository: {message}")),
        },
        None => Err(why),
    }
}

/// Whether an address says by itself where the repository ends, so that it can be no file.
fn is_marked(address: &str) -> bool {
    let path = address.split('?').next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    path.contains("//") || path.contains("_git/") || path.ends_with(".git") || path.contains(".git/")
}

async fn file(address: &str, policy: &Policy) -> Result<Answer, String> {
    let client = Client::new(&Settings { egress: policy.egress, ..Settings::default() }).map_err(|e| e.to_string())?;
    let request = Request {
        method: Method::GET,
        url: address,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        credentials: &Credentials::None,
        timeout: TIMEOUT,
    };
    let reply = client.send(request).await.map_err(|e| e.to_string())?;
    if !(200..300).contains(&reply.status()) {
        return Err(format!("the server answered with status {}", reply.status()));
    }
    let kind = reply.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/html") {
        return Err("the server answered with a page for people".to_owned());
    }
    let bytes = reply.bytes(BYTES).await.map_err(|e| e.to_string())?;
    Ok(Answer::File(bytes.into()))
}

async fn clone(address: &RemoteAddress, policy: &Policy) -> Result<Answer, String> {
    let url = GitUrl::parse(&as_url(&address.repository)).map_err(|e| e.to_string())?;
    let remote = Remote {
        url,
        auth: Auth::None,
        ca: None,
        certificate: None,
        proxy: None,
        egress: policy.egress,
        timeout: address.timeout.min(TIMEOUT),
        allow_file: policy.allow_file,
    };
    let limits = git::Limits { total_bytes: BYTES, file_bytes: BYTES, pack_bytes: BYTES, ..git::Limits::default() };
    let options =
        CheckoutOptions { submodules: address.submodules, sparse: Vec::new(), limits, scratch: policy.scratch.clone() };
    let mut missing = None;
    for reference in references(&address.reference) {
        match git::checkout(&remote, &reference, &options).await {
            Ok(found) => return Ok(Answer::Directory { tree: found.tree, directory: address.directory.clone() }),
            Err(error @ GitError::ReferenceMissing { .. }) => drop(missing.get_or_insert(error.to_string())),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(missing.unwrap_or_else(|| "it names no reference".to_owned()))
}

/// What a word may mean, in the order in which it is tried.
fn references(word: &str) -> Vec<Reference> {
    match word {
        "" => vec![Reference::Name("HEAD".into())],
        full if full.starts_with("refs/") => vec![Reference::Name(full.into())],
        hash if hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            vec![Reference::Commit { commit: hash.into(), branch: None }]
        }
        word => vec![Reference::Tag(word.into()), Reference::Branch(word.into())],
    }
}

/// The short form `user@host:path` as a URL.
fn as_url(repository: &str) -> String {
    match repository.split_once(':') {
        Some((host, path)) if !path.starts_with("//") => format!("ssh://{host}/{}", path.trim_start_matches('/')),
        _ => repository.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets_and_told_apart() {
        assert_eq!(shown("https://me:token@host/a/b?ref=x&token=y"), "https://host/a/b");
        assert_eq!(as_url("git@github.com:org/repo"), "ssh://git@github.com/org/repo");
        assert_eq!(as_url("https://host:8443/org/repo"), "https://host:8443/org/repo");
        for (address, marked) in [
            ("https://host/org/repo//dir", true),
            ("https://host/org/repo.git/dir?ref=v1", true),
            ("https://host/raw/org/repo/v1/x.yaml", false),
        ] {
            assert_eq!(is_marked(address), marked, "{address}");
        }
        assert_eq!(references("v1").len(), 2);
    }
}
