//! Smart HTTP for the git library, spoken through weir's one HTTP client.
//!
//! The library wants blocking readers; each wait goes through [`Stop`]. A request's body is collected before it is
//! sent, because what weir sends is a few lines, or the small pack of one commit. Start with [`connect`].

use std::io::{self, BufRead, Cursor, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport as BlockingTransport;
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, Transport,
};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::outside::http::{Client, Credentials, Reply, Request};

use super::error::{GitError, said};
use super::stop::{Stop, Trouble};
use super::url::GitUrl;

/// An answer that is not a pack.
const LISTING_BYTES: u64 = 64 << 20;
/// What is read of an error page.
const ERROR_BYTES: u64 = 4096;

/// Prepares a connection; nothing is sent before the handshake.
pub(super) fn connect(
    url: &GitUrl,
    client: Client,
    credentials: Credentials,
    stop: &Stop,
    trouble: &Trouble,
    pack_bytes: u64,
) -> Result<Box<dyn BlockingTransport + Send>, GitError> {
    let address = url.to_string();
    let parsed = gix::url::parse(address.as_str())
        .map_err(|e| GitError::Protocol { url: address.clone(), why: said(e.to_string()) })?;
    let origin = reqwest::Url::parse(&address)
        .map_err(|e| GitError::Protocol { url: address.clone(), why: e.to_string() })
        .map(|url| origin_of(&url))?;
    let shared = Shared {
        client,
        credentials,
        stop: stop.clone(),
        trouble: trouble.clone(),
        url: url.clone(),
        origin,
        pack_bytes,
    };
    let http = SmartHttp { shared: Arc::new(shared), base: None };
    Ok(Box::new(Transport::new_http(http, parsed, Protocol::V2, false)))
}

struct Shared {
    client: Client,
    credentials: Credentials,
    stop: Stop,
    trouble: Trouble,
    url: GitUrl,
    /// The only origin that sees the credentials.
    origin: (String, String, Option<u16>),
    pack_bytes: u64,
}

struct SmartHttp {
    shared: Arc<Shared>,
    /// Where a redirect of the first request led.
    base: Option<String>,
}

impl Http for SmartHttp {
    type Headers = Head;
    type ResponseBody = Body;
    type PostBody = Upload;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Head, Body>> {
        let call = Call::new(&self.shared, Method::GET, url, headers);
        let answered = call.lock().perform().map_err(gix::Error::from_error)?;
        if answered != url {
            let tail = url.strip_prefix(base_url).unwrap_or_default();
            match answered.strip_suffix(tail) {
                Some(base) if !tail.is_empty() => self.base = Some(base.to_owned()),
                _ => {
                    let why = "it redirects to a place that is no repository".to_owned();
                    let refused = GitError::Protocol { url: self.shared.url.to_string(), why };
                    return Err(gix::Error::from_error(self.shared.trouble.keep(refused)));
                }
            }
        }
        Ok(GetResponse { headers: Head::new(&call), body: Body::new(&call) })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Head, Body, Upload>> {
        let call = Call::new(&self.shared, Method::POST, url, headers);
        Ok(PostResponse { post_body: Upload(call.clone()), headers: Head::new(&call), body: Body::new(&call) })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.base.clone()
    }
}

fn origin_of(url: &reqwest::Url) -> (String, String, Option<u16>) {
    (url.scheme().into(), url.host_str().unwrap_or_default().into(), url.port_or_known_default())
}

/// One request and its answer; sent when its answer is first read.
struct Call {
    shared: Arc<Shared>,
    method: Method,
    url: String,
    headers: HeaderMap,
    upload: Vec<u8>,
    reply: Option<Reply>,
    what: &'static str,
    cap: u64,
    left: u64,
    failed: bool,
}

#[derive(Clone)]
struct SharedCall(Arc<Mutex<Call>>);

impl SharedCall {
    fn lock(&self) -> std::sync::MutexGuard<'_, Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    #[expect(clippy::new_ret_no_self, reason = "a call is always shared between its three streams")]
    fn new(
        shared: &Arc<Shared>,
        method: Method,
        url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> SharedCall {
        let mut map = HeaderMap::new();
        for line in headers {
            let (name, value) = line.as_ref().split_once(':').unwrap_or((line.as_ref(), ""));
            if let (Ok(name), Ok(value)) = (name.trim().parse::<HeaderName>(), HeaderValue::from_str(value.trim())) {
                map.insert(name, value);
            }
        }
        SharedCall(Arc::new(Mutex::new(Call {
            shared: shared.clone(),
            method,
            url: url.to_owned(),
            headers: map,
            upload: Vec::new(),
            reply: None,
            what: "bytes in its listing",
            cap: LISTING_BYTES,
            left: LISTING_BYTES,
            failed: false,
        })))
    }

    /// Sends the request unless that happened, and gives the URL that answered.
    fn perform(&mut self) -> io::Result<String> {
        if let Some(reply) = &self.reply {
            return Ok(reply.url.clone());
        }
        if self.failed {
            return Err(io::Error::other("the request failed before"));
        }
        let shared = self.shared.clone();
        let outcome = self.exchange();
        self.failed = outcome.is_err();
        outcome.map_err(|error| shared.trouble.keep(error))
    }

    fn exchange(&mut self) -> Result<String, GitError> {
        let shared = self.shared.clone();
        let body = std::mem::take(&mut self.upload);
        if body.windows(13).any(|window| window == b"command=fetch") || body.starts_with(b"want ") {
            (self.what, self.cap, self.left) = ("bytes in its pack", shared.pack_bytes, shared.pack_bytes);
        }
        let own = reqwest::Url::parse(&self.url).is_ok_and(|url| origin_of(&url) == shared.origin);
        let none = Credentials::None;
        let request = Request {
            method: self.method.clone(),
            url: &self.url,
            headers: self.headers.clone(),
            body: Bytes::from(body),
            credentials: if own { &shared.credentials } else { &none },
            timeout: shared.stop.left(),
        };
        let reply = shared.stop.wait(shared.client.send(request))??;
        match reply.status() {
            200 => {
                let url = reply.url.clone();
                self.reply = Some(reply);
                Ok(url)
            }
            _ => Err(refused(&shared, reply, own)),
        }
    }
}

fn refused(shared: &Shared, reply: Reply, own: bool) -> GitError {
    let status = reply.status();
    let host = shared.url.authority();
    let page = reply.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let plain = page.starts_with("text/plain");
    let text = match plain.then(|| shared.stop.wait(reply.bytes(ERROR_BYTES))) {
        Some(Ok(Ok(body))) => said(String::from_utf8_lossy(&body)),
        _ => String::new(),
    };
    let why = if text.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {text:?}") };
    let sent = own && !matches!(shared.credentials, Credentials::None);
    match status {
        401 | 403 | 407 if !own => GitError::CredentialsRefused {
            host,
            why: "it redirects elsewhere, where they are not sent; write the new address in spec.url".into(),
        },
        401 | 403 if sent => GitError::CredentialsRefused { host, why },
        401 => GitError::CredentialsMissing { host },
        404 | 410 => GitError::RepositoryMissing { url: shared.url.to_string() },
        _ => GitError::Server(why),
    }
}

/// The head of an answer as lines.
struct Head {
    call: SharedCall,
    lines: Option<Cursor<Vec<u8>>>,
}

impl Head {
    fn new(call: &SharedCall) -> Self {
        Head { call: call.clone(), lines: None }
    }

    fn lines(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if self.lines.is_none() {
            let mut call = self.call.lock();
            call.perform()?;
            let mut lines = Vec::new();
            for (name, value) in call.reply.iter().flat_map(|reply| reply.headers()) {
                lines.extend_from_slice(name.as_str().as_bytes());
                lines.extend_from_slice(b": ");
                lines.extend_from_slice(value.as_bytes());
                lines.push(b'\n');
            }
            drop(call);
            self.lines = Some(Cursor::new(lines));
        }
        self.lines.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Read for Head {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lines()?.read(buffer)
    }
}

impl BufRead for Head {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.lines()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(amount);
        }
    }
}

/// The body of an answer, piece by piece, under a cap.
struct Body {
    call: SharedCall,
    piece: Bytes,
}

impl Body {
    fn new(call: &SharedCall) -> Self {
        Body { call: call.clone(), piece: Bytes::new() }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(buffer)?;
        self.consume(got);
        Ok(got)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.piece.is_empty() {
            return Ok(&self.piece);
        }
        let mut call = self.call.lock();
        call.perform()?;
        let shared = call.shared.clone();
        let Some(reply) = call.reply.as_mut() else { return Ok(&[]) };
        let next = match shared.stop.wait(reply.chunk()) {
            Ok(Ok(piece)) => piece.unwrap_or_default(),
            Ok(Err(error)) => return Err(shared.trouble.keep(error.into())),
            Err(stopped) => return Err(shared.trouble.keep(stopped)),
        };
        match call.left.checked_sub(next.len() as u64) {
            Some(left) => call.left = left,
            None => {
                let (what, limit) = (call.what, call.cap);
                return Err(shared.trouble.keep(GitError::Limit { what, limit }));
            }
        }
        drop(call);
        self.piece = next;
        Ok(&self.piece)
    }

    fn consume(&mut self, amount: usize) {
        self.piece = self.piece.slice(amount.min(self.piece.len())..);
    }
}

/// What is posted, collected until the answer is wanted.
struct Upload(SharedCall);

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().upload.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
