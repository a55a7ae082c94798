//! [`GitError`]: why a fetch failed, named so that a person knows what to do next.
//!
//! What servers say passes [`Text`] before it becomes part of a message.

use std::time::Duration;

use crate::base::{Text, format_duration};
use crate::outside::http::HttpError;

use super::url::UrlError;

/// Why a remote could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("file URLs are not allowed here: serve {path:?} over https or ssh, or start weir with local files allowed")]
    FileNotAllowed { path: String },
    #[error("{host} wants credentials; name a Secret with them in spec.secretRef")]
    CredentialsMissing { host: String },
    #[error("{host} refused the credentials: {why}; check the Secret and what it may read")]
    CredentialsRefused { host: String, why: String },
    #[error("the credentials cannot be used: {0}")]
    CredentialsUnusable(String),
    #[error("the key of {host} is not in known_hosts: it shows {algorithm} {fingerprint}; verify and add it")]
    HostKeyUnknown { host: String, algorithm: String, fingerprint: String },
    #[error(
        "the key of {host} is not the known one: it shows {algorithm} {fingerprint}; if the change is real, update \
         known_hosts, if not, somebody stands between"
    )]
    HostKeyChanged { host: String, algorithm: String, fingerprint: String },
    #[error("there is no git repository at {url}, or these credentials may not see it")]
    RepositoryMissing { url: String },
    #[error("{wanted} was not found in {url}{hint}")]
    ReferenceMissing { wanted: String, url: String, hint: String },
    #[error("{wanted} cannot be used: {why}")]
    ReferenceInvalid { wanted: String, why: String },
    #[error("the repository {url} is empty: push a first commit")]
    Empty { url: String },
    #[error("fetching did not finish within {}: raise spec.timeout if the repository is large", format_duration(*.after))]
    Timeout { after: Duration },
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{host} cannot be reached: {why}")]
    Unreachable { host: String, why: String },
    #[error("the server answered: {0}")]
    Server(String),
    #[error("{url} did not speak git as expected: {why}")]
    Protocol { url: String, why: String },
    #[error("the commit is refused: {path:?} {why}")]
    Tree { path: String, why: &'static str },
    #[error("the commit is refused: it exceeds the limit of {limit} {what}")]
    Limit { what: &'static str, limit: u64 },
    #[error("submodule {path:?} is refused: {why}")]
    Submodule { path: String, why: String },
    #[error("sparse checkout directory {0:?} does not exist in the commit")]
    SparseMissing(String),
    #[error("{reference} moved while the commit was made")]
    Raced { reference: String },
    #[error("the push to {reference} was rejected: {why}")]
    Rejected { reference: String, why: String },
    #[error("the server does not take push options; remove spec.git.push.options")]
    PushOptions,
    #[error("an object is missing or damaged: {0}")]
    Object(String),
    #[error("working files cannot be written: {0}")]
    Scratch(#[from] std::io::Error),
    #[error("the fetch ended without a result: {0}")]
    Internal(String),
}

impl GitError {
    /// Whether only a change of the source object can help.
    pub fn is_terminal(&self) -> bool {
        matches!(self, GitError::Url(_) | GitError::FileNotAllowed { .. })
    }

    /// Whether the credentials, or the lack of them, are the cause.
    pub fn is_authentication(&self) -> bool {
        matches!(
            self,
            GitError::CredentialsMissing { .. }
                | GitError::CredentialsRefused { .. }
                | GitError::CredentialsUnusable(_)
                | GitError::HostKeyUnknown { .. }
                | GitError::HostKeyChanged { .. }
        )
    }
}

/// Cleans what a server or a library said, cut to a length that fits a condition.
pub(super) fn said(text: impl AsRef<str>) -> String {
    let lines: Vec<&str> = text.as_ref().split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    let joined: String = lines.join("; ").chars().take(600).collect();
    Text::new(joined).into_string()
}

/// The causes of an error in one line, outermost first, repetitions left out.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut current = Some(error);
    while let Some(error) = current.filter(|_| parts.len() < 8) {
        let part = error.to_string();
        if !parts.iter().any(|known| known.contains(&part)) {
            parts.push(part);
        }
        current = error.source();
    }
    said(parts.join(": "))
}
