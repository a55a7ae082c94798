//! Fetches an artifact that some source controller serves, weir's own or Flux's, and unpacks it.
//!
//! The digest is compared before a byte is unpacked. Start with [`fetch_artifact`].

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::base::{Digest, FileTree};
use crate::engine::archive::{self, ArchiveError, Unpack};

use super::http::{Client, Credentials, HttpError, Request};

/// Bytes an artifact may have, packed.
const ARTIFACT_BYTES: u64 = 1 << 30;

/// How often and with which pauses a failed request is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    pub times: u32,
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// For one attempt.
    pub timeout: Duration,
}

impl Default for Retry {
    /// Source: `--http-retry` of kustomize-controller and the pauses of its HTTP client.
    fn default() -> Self {
        Retry {
            times: 9,
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(30),
            timeout: Duration::from_secs(300),
        }
    }
}

/// Why an artifact could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The source was rebuilt or moved: its object will name another URL soon.
    #[error("artifact {url} is not there (any more)")]
    Missing { url: String },
    #[error("artifact {url} is not what its source promised: the digest is {found}, not {wanted}")]
    Digest { url: String, found: String, wanted: String },
    #[error("artifact {url} has a {algorithm} digest, which is not supported; sha256, sha384 and sha512 are")]
    Algorithm { url: String, algorithm: String },
    #[error("artifact {url} cannot be had: HTTP {status}")]
    Status { url: String, status: u16 },
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("artifact {url}: {source}")]
    Archive { url: String, source: ArchiveError },
    #[error("the work ended without a result: {0}")]
    Internal(String),
}

/// Fetches, verifies and unpacks an artifact.
///
/// Errors as [`FetchError`] says; only connection failures, 429 and 5xx are tried again.
pub async fn fetch_artifact(
    client: &Client,
    url: &str,
    digest: &Digest,
    retry: &Retry,
) -> Result<FileTree, FetchError> {
    let bytes = fetch_bytes(client, url, digest, retry).await?;
    let url = url.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        archive::unpack(&bytes, &Unpack::default()).map_err(|source| FetchError::Archive { url, source })
    });
    work.await.map_err(|e| FetchError::Internal(e.to_string()))?
}

/// Fetches and verifies an artifact that is not to be unpacked, such as a packaged chart.
///
/// Errors as [`fetch_artifact`].
pub async fn fetch_bytes(client: &Client, url: &str, digest: &Digest, retry: &Retry) -> Result<Vec<u8>, FetchError> {
    let bytes = fetch(client, url, retry).await?;
    let (url, wanted) = (url.to_owned(), digest.clone());
    let work = tokio::task::spawn_blocking(move || {
        let found = digest_of(&wanted.algorithm, &bytes)
            .ok_or_else(|| FetchError::Algorithm { url: url.clone(), algorithm: wanted.algorithm.clone() })?;
        if found != wanted {
            return Err(FetchError::Digest { url, found: found.to_string(), wanted: wanted.to_string() });
        }
        Ok(bytes)
    });
    work.await.map_err(|e| FetchError::Internal(e.to_string()))?
}

async fn fetch(client: &Client, url: &str, retry: &Retry) -> Result<Vec<u8>, FetchError> {
    let mut attempt = 0;
    loop {
        let outcome = fetch_once(client, url, retry.timeout).await;
        let again = match &outcome {
            Err(FetchError::Http(
                HttpError::Timeout { .. } | HttpError::Unreachable { .. } | HttpError::Unresolved { .. },
            )) => true,
            Err(FetchError::Status { status, .. }) => *status == 429 || (*status >= 500 && *status != 501),
            _ => false,
        };
        if !again || attempt >= retry.times {
            return outcome;
        }
        let pause = retry.first_pause.saturating_mul(1 << attempt.min(16)).min(retry.longest_pause);
        attempt += 1;
        tokio::time::sleep(pause).await;
    }
}

async fn fetch_once(client: &Client, url: &str, timeout: Duration) -> Result<Vec<u8>, FetchError> {
    let request = Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        credentials: &Credentials::None,
        timeout,
    };
    let reply = client.send(request).await?;
    match reply.status() {
        200 => Ok(reply.bytes(ARTIFACT_BYTES).await?),
        404 => Err(FetchError::Missing { url: url.to_owned() }),
        status => Err(FetchError::Status { url: url.to_owned(), status }),
    }
}

fn digest_of(algorithm: &str, bytes: &[u8]) -> Option<Digest> {
    use sha2::Digest as _;
    let hex = match algorithm {
        "sha256" => hex::encode(sha2::Sha256::digest(bytes)),
        "sha384" => hex::encode(sha2::Sha384::digest(bytes)),
        "sha512" => hex::encode(sha2::Sha512::digest(bytes)),
        _ => return None,
    };
    Some(Digest { algorithm: algorithm.into(), hex })
}
