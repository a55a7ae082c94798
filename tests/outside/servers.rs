//! Real repositories and real servers for them: git's own program behind a small HTTP server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir::outside::egress::Egress;
use weir::outside::git::{Auth, CheckoutOptions, GitUrl, Limits, Remote};

/// A directory with repositories in it, gone with the test.
pub struct World {
    pub root: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        World { root: tempfile::tempdir().unwrap() }
    }

    /// A new repository with its branch `main`, no commit yet.
    pub fn repository(&self, name: &str) -> Repository {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let repository = Repository { path };
        repository.git(&["init", "-q", "-b", "main"]);
        repository.git(&["config", "uploadpack.allowFilter", "true"]);
        repository
    }

    pub fn options(&self) -> CheckoutOptions {
        CheckoutOptions {
            submodules: false,
            sparse: Vec::new(),
            limits: Limits::default(),
            scratch: self.root.path().join("scratch"),
        }
    }

    /// What a fetch left behind.
    pub fn left_in_scratch(&self) -> usize {
        std::fs::read_dir(self.root.path().join("scratch")).map_or(0, |entries| entries.count())
    }
}

pub struct Repository {
    pub path: PathBuf,
}

impl Repository {
    /// Runs git without any configuration of the machine or the user.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_with(arguments, b"")
    }

    /// A file of a commit, byte for byte.
    pub fn file(&self, place: &str) -> String {
        let shown = git_command(&self.path, &["show", place]).output().expect("git is installed");
        assert!(shown.status.success(), "{place}: {}", String::from_utf8_lossy(&shown.stderr));
        String::from_utf8(shown.stdout).unwrap()
    }

    pub fn git_with(&self, arguments: &[&str], input: &[u8]) -> String {
        use std::io::Write;
        let mut child = git_command(&self.path, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("git is installed");
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Writes files and commits everything; gives the hash.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            let path = self.path.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn file_url(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

pub fn git_command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org");
    command
}

pub fn remote(url: &str) -> Remote {
    Remote {
        url: GitUrl::parse(url).unwrap(),
        auth: Auth::None,
        ca: None,
        certificate: None,
        proxy: None,
        egress: Egress { loopback: true },
        timeout: Duration::from_secs(60),
        allow_file: true,
    }
}

/// What a request looked like to a server.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

/// A moment of a push, as its server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The commit has come, and nothing is done with it yet.
    Before,
    /// The branch is moved, and nothing is answered yet.
    Within,
    /// The answer is on its way.
    After,
}

/// How a server behaves.
#[derive(Clone, Default)]
pub struct Manner {
    /// The one accepted `Authorization` header.
    pub wants: Option<String>,
    /// Requests are sent on to this address.
    pub redirect: Option<String>,
    /// Answer bodies come one byte at a time with this pause.
    pub drip: Option<Duration>,
    /// Speaks only the protocol of before 2018.
    pub old: bool,
    /// Spoils answers that carry a pack.
    pub spoil: Option<fn(&mut Vec<u8>)>,
    /// Answers to paths, before anything else: status and body.
    pub fixed: HashMap<String, (u16, Vec<u8>)>,
    /// Hears of the moments of pushes; where it answers yes to the first, the push is not carried out.
    pub at_push: Option<Arc<dyn Fn(Moment) -> bool + Send + Sync>>,
}

/// A server on loopback; stops when dropped.
pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
    scheme: &'static str,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves the repositories beneath a directory with `git http-backend`.
    pub async fn start(root: &Path, manner: Manner) -> Server {
        Server::start_with(root, manner, None).await
    }

    pub async fn start_tls(root: &Path, manner: Manner, tls: tokio_rustls::TlsAcceptor) -> Server {
        Server::start_with(root, manner, Some(tls)).await
    }

    async fn start_with(root: &Path, manner: Manner, tls: Option<tokio_rustls::TlsAcceptor>) -> Server {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let context = Arc::new((root.to_owned(), manner, seen.clone()));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (context, tls) = (context.clone(), tls.clone());
                connections.spawn(async move {
                    let service = hyper::service::service_fn(move |request| answer(context.clone(), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                drop(http.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                    }
                });
            }
        });
        Server { address, seen, task, scheme }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}/{path}", self.scheme, self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

type Context = Arc<(PathBuf, Manner, Arc<Mutex<Vec<Seen>>>)>;
type Answer = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn answer(context: Context, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    let (root, manner, seen) = &*context;
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    seen.lock().unwrap().push(Seen {
        path: head.uri.to_string(),
        authorization: text("authorization"),
        body: body.to_vec(),
    });
    let respond = |status: u16, body: Vec<u8>| {
        Response::builder().status(status).header("content-type", "text/plain").body(Full::new(body.into()).boxed())
    };
    if let Some((status, body)) = manner.fixed.get(head.uri.path()) {
        let form = match (*status, head.uri.path().ends_with("/info/refs")) {
            (200, true) => "application/x-git-upload-pack-advertisement",
            (200, false) => "application/x-git-upload-pack-result",
            _ => "text/plain",
        };
        let answer = Response::builder().status(*status).header("content-type", form);
        return Ok(answer.body(Full::new(body.clone().into()).boxed()).unwrap());
    }
    if let Some(wanted) = &manner.wants
        && text("authorization").as_ref() != Some(wanted)
    {
        return Ok(respond(401, b"who are you?".to_vec()).unwrap());
    }
    if let Some(target) = &manner.redirect {
        let location = format!("{target}{}", head.uri);
        return Ok(Response::builder().status(302).header("location", location).body(Full::default().boxed()).unwrap());
    }
    let is_push = head.method == "POST" && head.uri.path().ends_with("/git-receive-pack");
    let at_push = manner.at_push.clone().filter(|_| is_push);
    if at_push.as_ref().is_some_and(|at_push| at_push(Moment::Before)) {
        return Ok(respond(500, b"the client is gone".to_vec()).unwrap());
    }
    let mut output = backend(root, &head, &body, manner.old).await;
    if let Some(at_push) = at_push {
        at_push(Moment::Within);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            at_push(Moment::After);
        });
    }
    if let Some(spoil) = manner.spoil.filter(|_| output.windows(4).any(|window| window == b"PACK")) {
        spoil(&mut output);
    }
    let split = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_default();
    let mut response = Response::builder();
    let mut status = 200;
    for line in String::from_utf8_lossy(&output[..split]).lines() {
        match line.split_once(": ") {
            Some(("Status", code)) => status = code[..3].parse().unwrap(),
            Some((name, value)) => response = response.header(name, value),
            None => {}
        }
    }
    let content = output.get(split + 4..).unwrap_or_default().to_vec();
    let body = match manner.drip {
        None => Full::new(Bytes::from(content)).boxed(),
        Some(pause) => {
            let pieces = futures::stream::unfold(content.into_iter(), move |mut bytes| async move {
                let byte = bytes.next()?;
                tokio::time::sleep(pause).await;
                Some((Ok::<_, Infallible>(hyper::body::Frame::data(Bytes::from(vec![byte]))), bytes))
            });
            http_body_util::StreamBody::new(pieces).boxed_unsync().into_sync()
        }
    };
    Ok(response.status(status).body(body).unwrap())
}

trait IntoSync {
    fn into_sync(self) -> Answer;
}

impl IntoSync for http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible> {
    /// A mutex makes any body shareable; only one task reads it.
    fn into_sync(self) -> Answer {
        SyncBody(Mutex::new(self)).boxed()
    }
}

struct SyncBody(Mutex<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>);

impl hyper::body::Body for SyncBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::pin::Pin::new(self.0.get_mut().unwrap()).poll_frame(cx)
    }
}

async fn backend(root: &Path, head: &hyper::http::request::Parts, body: &[u8], old: bool) -> Vec<u8> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut command: tokio::process::Command = git_command(root, &["http-backend"]).into();
    let mut child = command
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", head.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", if old { "" } else { header("git-protocol") })
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(body).await.ok();
    drop(input);
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).await.unwrap();
    child.wait().await.unwrap();
    output
}

/// A certificate authority, a certificate for loopback, and a server configuration that may want client certificates.
pub struct Tls {
    pub ca: String,
    pub client: (String, String),
    pub acceptor: tokio_rustls::TlsAcceptor,
}

pub fn tls(name: &str, wants_client: bool) -> Tls {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio_rustls::rustls;
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.clone().self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let issue = |names: Vec<String>| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        (certificate, key)
    };
    let (certificate, key) = issue(vec![name.to_owned()]);
    let (client, client_key) = issue(vec!["client".to_owned()]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = match wants_client {
        false => builder.unwrap().with_no_client_auth(),
        true => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(ca_certificate.der().clone()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.unwrap().with_client_cert_verifier(verifier)
        }
    };
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    Tls {
        ca: ca_certificate.pem(),
        client: (client.pem(), client_key.serialize_pem()),
        acceptor: Arc::new(config).into(),
    }
}
