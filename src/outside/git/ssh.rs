//! SSH for the git library: one session, one channel, git's service at its end. No program is ever started here.
//!
//! Host keys are judged strictly by the given known_hosts. The user's own SSH configuration, agent and files are never
//! looked at. Start with [`connect`].

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;
use gix::protocol::transport::{Protocol, Service};
use russh::client::{self, Handle, Msg};
use russh::keys::ssh_key::PublicKey;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::net::TcpStream;

use crate::base::Secret;
use crate::outside::egress::{Egress, refusal};
use crate::outside::http::HttpError;

use super::error::{GitError, causes, said};
use super::known_hosts::{KnownHosts, Verdict};
use super::stop::{Stop, Trouble};
use super::url::GitUrl;

const CONNECT: Duration = Duration::from_secs(20);
/// What is kept of the server's error stream.
const STDERR_BYTES: usize = 64 << 10;

/// What an SSH server is shown.
pub(super) struct Login<'a> {
    pub user: &'a str,
    pub identity: &'a Secret,
    pub passphrase: Option<&'a Secret>,
    pub known_hosts: &'a str,
}

/// Connects, judges the host, logs in and starts the service.
///
/// Errors with the first of these that fails.
pub(super) fn connect(
    url: &GitUrl,
    login: &Login<'_>,
    egress: Egress,
    stop: &Stop,
    trouble: &Trouble,
    service: Service,
) -> Result<Box<dyn Transport + Send>, GitError> {
    let key = private_key(login)?;
    let known = KnownHosts::read(login.known_hosts, &url.host, url.effective_port());
    let judge = Judge { host: url.authority(), known, trouble: trouble.clone() };
    let opened = stop.wait(open(url, login.user, key, judge, egress, service));
    let (session, reading, writing) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) | Err(error) => return Err(trouble.take().unwrap_or(error)),
    };
    let reader = Reader {
        _session: session,
        channel: reading,
        piece: Bytes::new(),
        stderr: Vec::new(),
        service,
        ended: false,
        stop: stop.clone(),
        trouble: trouble.clone(),
    };
    let writer = Writer { channel: writing, stop: stop.clone(), trouble: trouble.clone() };
    let nowhere = None::<(String, _)>;
    let path = url.decoded_path();
    let connection = Connection::new(reader, writer, Protocol::V2, path, nowhere, ConnectMode::Process, false);
    Ok(Box::new(connection.custom_url(Some(url.to_string().into()))))
}

fn private_key(login: &Login<'_>) -> Result<PrivateKey, GitError> {
    let passphrase = login.passphrase.map(Secret::reveal).filter(|text| !text.is_empty());
    russh::keys::decode_secret_key(login.identity.reveal(), passphrase).map_err(|error| {
        GitError::CredentialsUnusable(match (error, passphrase) {
            (russh::keys::Error::KeyIsEncrypted, _) => {
                "the SSH identity is encrypted; put its passphrase under the key password of the Secret".into()
            }
            (_, Some(_)) => "the SSH identity cannot be read; is the passphrase under the key password right?".into(),
            (_, None) => "the SSH identity is not a private key in OpenSSH or PEM form".to_owned(),
        })
    })
}

type Opened = (Handle<Judge>, ChannelReadHalf, ChannelWriteHalf<Msg>);

async fn open(
    url: &GitUrl,
    user: &str,
    key: PrivateKey,
    judge: Judge,
    egress: Egress,
    service: Service,
) -> Result<Opened, GitError> {
    let host = url.authority();
    let unreachable =
        |error: &(dyn std::error::Error + 'static)| GitError::Unreachable { host: url.authority(), why: causes(error) };
    let stream = reach(url, egress).await?;
    let mut preferred = russh::Preferred::DEFAULT;
    let algorithms = judge.known.algorithms();
    let wanted: Vec<String> = algorithms.iter().map(ToString::to_string).collect();
    if !algorithms.is_empty() {
        preferred.key = Cow::Owned(algorithms);
    }
    let config = client::Config { preferred, nodelay: true, ..Default::default() };
    let mut session = client::connect_stream(Arc::new(config), stream, judge).await.map_err(|error| match error {
        russh::Error::NoCommonAlgo { .. } if !wanted.is_empty() => GitError::Unreachable {
            host: url.authority(),
            why: format!("it offers nothing that fits; known_hosts names keys of type {} for it", wanted.join(", ")),
        },
        error => unreachable(&error),
    })?;
    let hash = match key.algorithm().is_rsa() {
        true => {
            session.best_supported_rsa_hash().await.map_err(|e| unreachable(&e))?.flatten().or(Some(HashAlg::Sha256))
        }
        false => None,
    };
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    let answer = session.authenticate_publickey(user, key).await.map_err(|e| unreachable(&e))?;
    if !answer.success() {
        return Err(GitError::CredentialsRefused {
            host,
            why: format!("the identity is not accepted for user {user:?}"),
        });
    }
    let channel = session.channel_open_session().await.map_err(|e| unreachable(&e))?;
    // A server that does not take the variable answers in the older protocol, which works too.
    channel.set_env(false, "GIT_PROTOCOL", "version=2").await.map_err(|e| unreachable(&e))?;
    let command = format!("{} {}", service.as_str(), quote(&url.decoded_path()));
    channel.exec(true, command).await.map_err(|e| unreachable(&e))?;
    let (reading, writing) = channel.split();
    Ok((session, reading, writing))
}

/// Opens a connection to an address that may be asked, checked after its name was resolved.
pub(super) async fn reach(url: &GitUrl, egress: Egress) -> Result<TcpStream, GitError> {
    let host = url.authority();
    let found = tokio::net::lookup_host((url.host.as_str(), url.effective_port())).await;
    let found = found.map_err(|e| HttpError::Unresolved { host: host.clone(), why: said(e.to_string()) })?;
    let mut last = HttpError::Unresolved { host: host.clone(), why: "the name has no address".into() };
    for address in found {
        if let Some(why) = refusal(address.ip(), egress) {
            last = HttpError::Forbidden { host: host.clone(), address: address.ip(), why };
            continue;
        }
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => last = HttpError::Unreachable { host: host.clone(), why: said(e.to_string()) },
            Err(_) => last = HttpError::Timeout { host: host.clone() },
        }
    }
    Err(last.into())
}

/// Quotes for the shell at the other end.
fn quote(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// Decides on the host key.
struct Judge {
    host: String,
    known: KnownHosts,
    trouble: Trouble,
}

impl client::Handler for Judge {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key: PublicKey = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.clone(),
            // None was asked for, so none is trusted.
            PublicKeyOrCertificate::Certificate(_) => return Ok(false),
        };
        let host = self.host.clone();
        let algorithm = key.algorithm().to_string();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let refused = match self.known.judge(&key) {
            Verdict::Known => return Ok(true),
            Verdict::Unknown => GitError::HostKeyUnknown { host, algorithm, fingerprint },
            Verdict::Changed => GitError::HostKeyChanged { host, algorithm, fingerprint },
        };
        self.trouble.keep(refused);
        Ok(false)
    }
}

struct Reader {
    /// Ends the connection when the reader goes.
    _session: Handle<Judge>,
    channel: ChannelReadHalf,
    piece: Bytes,
    stderr: Vec<u8>,
    service: Service,
    ended: bool,
    stop: Stop,
    trouble: Trouble,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            let message = self.stop.wait(self.channel.wait()).map_err(|stopped| self.trouble.keep(stopped))?;
            match message {
                Some(ChannelMsg::Data { data }) => self.piece = data,
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = STDERR_BYTES.saturating_sub(self.stderr.len()).min(data.len());
                    self.stderr.extend_from_slice(&data[..room]);
                }
                Some(ChannelMsg::Failure) => {
                    let why = format!("it does not let this identity run {}", self.service.as_str());
                    return Err(self.trouble.keep(GitError::Server(why)));
                }
                // The exit status may come after the end of the stream, and the words of the error stream before.
                Some(ChannelMsg::ExitStatus { exit_status }) if exit_status != 0 => {
                    self.trouble.keep(GitError::Server(self.words(exit_status)));
                }
                Some(ChannelMsg::Close) | None => self.ended = true,
                Some(_) => {}
            }
        }
        let got = self.piece.len().min(buffer.len());
        buffer[..got].copy_from_slice(&self.piece.split_to(got));
        Ok(got)
    }
}

impl Reader {
    fn words(&self, status: u32) -> String {
        match said(String::from_utf8_lossy(&self.stderr)) {
            text if text.is_empty() => format!("{} ended with status {status}", self.service.as_str()),
            text => text,
        }
    }
}

struct Writer {
    channel: ChannelWriteHalf<Msg>,
    stop: Stop,
    trouble: Trouble,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.stop.wait(self.channel.data_bytes(Bytes::copy_from_slice(bytes)));
        match sent {
            Ok(Ok(())) => Ok(bytes.len()),
            Ok(Err(error)) => Err(io::Error::other(error)),
            Err(stopped) => Err(self.trouble.keep(stopped)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_the_other_shell() {
        assert_eq!(quote("/a b"), "'/a b'");
        assert_eq!(quote("/x'; id; '"), r"'/x'\''; id; '\'''");
    }

    #[test]
    fn an_unusable_identity_says_what_to_do() {
        let secret = |text: &str| Secret::new(text);
        let login = |identity: &'static str| (secret(identity), identity);
        let (identity, _) = login("not a key");
        let login = Login { user: "git", identity: &identity, passphrase: None, known_hosts: "" };
        let error = private_key(&login).unwrap_err();
        assert!(matches!(&error, GitError::CredentialsUnusable(why) if why.contains("private key")), "{error}");
        assert!(!error.to_string().contains("not a key"), "the value is not shown");
    }
}
