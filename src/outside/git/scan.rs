//! What a git server's host key is, asked of the server itself: for a person who then compares fingerprints.
//!
//! Must not be used to trust anything: `known_hosts` is what reconcilers trust, and a person decides what goes in there.
//! Start with [`scan_host`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client;
use russh::keys::ssh_key::PublicKey;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate};

use super::error::{GitError, causes};
use super::ssh::reach;
use super::url::GitUrl;
use crate::outside::egress::Egress;

/// A key that a host shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// A line for `known_hosts`.
    pub line: String,
    pub algorithm: String,
    /// `SHA256:…`.
    pub fingerprint: String,
}

/// Asks a host for its keys of each common kind.
///
/// Errors when it cannot be reached or shows none in time.
pub async fn scan_host(url: &GitUrl, egress: Egress, timeout: Duration) -> Result<Vec<HostKey>, GitError> {
    let wanted = [
        vec![Algorithm::Ed25519],
        vec![Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }],
        vec![Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }],
    ];
    let all = async {
        let mut found = Vec::new();
        let mut failed = None;
        for algorithms in wanted {
            match shown(url, egress, algorithms).await {
                Ok(Some(key)) => found.push(described(url, &key)),
                Ok(None) => {}
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        match (found.is_empty(), failed) {
            (false, _) => Ok(found),
            (true, Some(error)) => Err(error),
            (true, None) => Err(GitError::Unreachable { host: url.authority(), why: "it shows no host key".into() }),
        }
    };
    tokio::time::timeout(timeout, all).await.unwrap_or(Err(GitError::Timeout { after: timeout }))
}

async fn shown(url: &GitUrl, egress: Egress, algorithms: Vec<Algorithm>) -> Result<Option<PublicKey>, GitError> {
    let stream = reach(url, egress).await?;
    let preferred = russh::Preferred { key: algorithms.into(), ..russh::Preferred::DEFAULT };
    let config = client::Config { preferred, ..Default::default() };
    let seen = Seen::default();
    // The handshake ends here in any case: the key is refused as soon as it is seen.
    let ended = client::connect_stream(Arc::new(config), stream, seen.clone()).await;
    let key = seen.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (key, ended) {
        (Some(key), _) => Ok(Some(key)),
        (None, Err(russh::Error::NoCommonAlgo { .. })) => Ok(None),
        (None, Err(error)) => Err(GitError::Unreachable { host: url.authority(), why: causes(&error) }),
        (None, Ok(_)) => Ok(None),
    }
}

fn described(url: &GitUrl, key: &PublicKey) -> HostKey {
    let host = match url.effective_port() {
        22 => url.host.clone(),
        port => format!("[{}]:{port}", url.host),
    };
    let mut plain = key.clone();
    plain.set_comment("");
    HostKey {
        line: format!("{host} {}", plain.to_openssh().unwrap_or_default().trim_end()),
        algorithm: key.algorithm().to_string(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
    }
}

/// Keeps the key and goes no further.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Option<PublicKey>>>);

impl client::Handler for Seen {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = shown {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        }
        Ok(false)
    }
}
