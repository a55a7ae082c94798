//! The API on loopback TCP, for kubectl and whoever else speaks it.
//!
//! Never beyond this machine, and by default behind TLS and a token, because Secrets are in there and other users of
//! the machine are not invited. Start with `Embedded::serve` and [`Served`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rand::Rng as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::Service as _;

use super::answer;
use super::service::Api;
use super::status::Failure;
use crate::base::{Secret, yaml};

/// How many clients may be connected; over HTTP/1.1 every watch is a connection of its own.
const CONNECTIONS: usize = 4096;
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADERS: Duration = Duration::from_secs(10);
const HEADER_BYTES: usize = 256 << 10;

/// Who may come in.
#[derive(Clone, Debug)]
pub enum Access {
    /// TLS, and this token with every request.
    Tls { token: Secret },
    /// HTTP without either, for tests: every user of the machine can read every Secret.
    Plain,
}

impl Access {
    /// TLS with a new random token.
    pub fn fresh() -> Access {
        let bytes: [u8; 32] = rand::rng().random();
        Access::Tls { token: Secret::new(hex::encode(bytes)) }
    }
}

/// Why the API could not be served, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "{0} is not a loopback address: choose one in 127.0.0.0/8 or [::1], and a tunnel to reach it from elsewhere"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for any that is free")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
}

/// A served API; it stops when this is dropped.
pub struct Served {
    pub address: SocketAddr,
    /// A whole kubeconfig, with certificate and token: keep it as private as the Secrets behind it.
    pub kubeconfig: String,
    task: JoinHandle<()>,
    _stop: DropGuard,
}

impl Served {
    /// Stops serving, and returns when the port is free again.
    pub async fn stop(self) {
        let Served { task, _stop, .. } = self;
        drop(_stop);
        // A task that panicked has stopped too.
        let _ = task.await;
    }
}

/// What a connection needs to know.
#[derive(Clone)]
struct Door {
    api: Api,
    tls: Option<TlsAcceptor>,
    /// The digest of the token; `None` lets everyone in.
    token: Option<[u8; 32]>,
}

/// Listens and serves until the handle is dropped.
///
/// Errors when the address is not loopback or not free.
pub async fn serve(api: Api, listen: SocketAddr, access: Access) -> Result<Served, ServeError> {
    if !listen.ip().is_loopback() {
        return Err(ServeError::NotLoopback(listen));
    }
    allow_files();
    let failed = |source| ServeError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (door, kubeconfig) = match access {
        Access::Plain => (Door { api, tls: None, token: None }, kubeconfig(address, None)),
        Access::Tls { token } => {
            let (tls, authority) = certificates()?;
            let digest = Sha256::digest(token.reveal().as_bytes()).into();
            let text = kubeconfig(address, Some((&authority, &token)));
            (Door { api, tls: Some(tls), token: Some(digest) }, text)
        }
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(accept(listener, door, stop.clone()));
    Ok(Served { address, kubeconfig, task, _stop: stop.drop_guard() })
}

/// A thousand watches are a thousand files, and many systems begin with less: asks for what is allowed anyway.
fn allow_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(2 * CONNECTIONS as u64);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        // Without it fewer clients are served at a time, and the others wait.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

fn kubeconfig(address: SocketAddr, tls: Option<(&str, &Secret)>) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut cluster = json!({"server": format!("{scheme}://{address}")});
    let mut user = json!({});
    if let Some((authority, token)) = tls {
        cluster["certificate-authority-data"] = STANDARD.encode(authority).into();
        user["token"] = token.reveal().into();
    }
    yaml::write(&json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "weir", "preferences": {},
        "clusters": [{"name": "weir", "cluster": cluster}],
        "contexts": [{"name": "weir", "context": {"cluster": "weir", "user": "weir", "namespace": "default"}}],
        "users": [{"name": "weir", "user": user}],
    }))
}

/// A new authority and a certificate for loopback, valid as long as the program runs.
fn certificates() -> Result<(TlsAcceptor, String), ServeError> {
    let failed = |error: rcgen::Error| ServeError::Certificate(error.to_string());
    let refused = |error: rustls::Error| ServeError::Certificate(error.to_string());
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "weir embedded API");
    let authority_key = KeyPair::generate().map_err(failed)?;
    let authority_certificate = authority.self_signed(&authority_key).map_err(failed)?;
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let mut server = CertificateParams::new(names).map_err(failed)?;
    server.distinguished_name.push(DnType::CommonName, "weir");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key)).map_err(failed)?;
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.map_err(refused)?.with_no_client_auth().with_single_cert(chain, key).map_err(refused)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), authority_certificate.pem()))
}

async fn accept(listener: TcpListener, door: Door, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let closing = door.api.core.closing.clone();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            () = closing.cancelled() => break,
            accepted = async {
                // The closed semaphore is an error that cannot happen: nothing closes it.
                let slot = slots.clone().acquire_owned().await.ok()?;
                Some((slot, listener.accept().await))
            } => accepted,
        };
        match accepted {
            Some((slot, Ok((stream, _)))) => {
                let door = door.clone();
                connections.spawn(async move {
                    converse(stream, door).await;
                    drop(slot);
                });
            }
            // Out of file descriptors, most likely: waiting lets others close some.
            Some((_, Err(_))) => tokio::time::sleep(Duration::from_millis(100)).await,
            None => break,
        }
    }
    connections.shutdown().await;
}

async fn converse(stream: TcpStream, door: Door) {
    // Small answers of watches must not wait for more.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok();
    let answer = {
        let door = door.clone();
        move |request: Request<Incoming>| {
            let mut door = door.clone();
            async move {
                match door.admits(&request, local) {
                    Ok(()) => door.api.call(request).await,
                    Err(refused) => Ok(answer::failure(&refused)),
                }
            }
        }
    };
    let service = hyper::service::service_fn(answer);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEADER_BYTES as u32);
    // How a connection ends is the client's business; there is nobody here to tell.
    match &door.tls {
        None => {
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        }
    }
}

impl Door {
    fn admits(&self, request: &Request<Incoming>, local: Option<SocketAddr>) -> Result<(), Failure> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let Some(expected) = &self.token else {
            // Without a token a web page that made its name point here could read everything; its Host gives it away.
            let host = request.uri().authority().map(|a| a.as_str()).or_else(|| header(http::header::HOST));
            let own = local.map(|l| [l.to_string(), format!("localhost:{}", l.port())]).unwrap_or_default();
            let from_page = request.headers().contains_key(http::header::ORIGIN);
            return match host {
                Some(host) if !from_page && own.iter().any(|own| own == host) => Ok(()),
                _ => {
                    Err(Failure::new(403, "Forbidden", "this address answers only requests that name it as their host"))
                }
            };
        };
        if matches!(request.uri().path(), "/healthz" | "/livez" | "/readyz") {
            return Ok(());
        }
        let given =
            header(http::header::AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        let given: [u8; 32] = Sha256::digest(given.trim().as_bytes()).into();
        // Every byte is looked at, so that time tells nothing about how much is right.
        let differences = given.iter().zip(expected).fold(0, |all, (a, b)| all | (a ^ b));
        if differences == 0 { Ok(()) } else { Err(Failure::new(401, "Unauthorized", "Unauthorized")) }
    }
}
