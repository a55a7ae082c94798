//! A small client of OCI registries: tags, manifests and blobs of one repository, read only.
//!
//! Nothing is believed before its digest is right; credentials go to the registry and to a token service of the same
//! house only; every answer has a size, every list an end. What an artifact means is for others. Start with
//! [`Registry`]; addresses are in `reference`, logins and tokens in `auth`, layers in `manifest`.
//!
//! Source: OCI distribution specification 1.1, the token protocol of docker's registry.

mod auth;
mod chart;
mod manifest;
mod pause;
mod reference;

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LINK};
use reqwest::{Method, Url};
use serde::Deserialize;
use tokio::time::Instant;

pub use auth::{Login, Logins};
pub use chart::CHART_LAYER;
pub use manifest::{Descriptor, Manifest};
pub use reference::{Repository, is_tag};

use super::http::{Client, Credentials, HttpError, Reply, Request, Settings, bare};
use crate::base::{Digest, Stamp, Text};
use auth::Pass;

/// A pause that is made in the middle of a list, and how many of them.
const SHORT: Duration = Duration::from_secs(10);
const PAUSES: usize = 3;

const MANIFEST_BYTES: u64 = 4 << 20;
/// Indexes of indexes that are followed.
const DEPTH: usize = 4;
const PAGES: usize = 1_000;
const PAGE_BYTES: u64 = 16 << 20;
const TAGS: usize = 1_000_000;
/// Bytes of a refusal that are read for its words.
const ERROR_BYTES: u64 = 64 << 10;

/// Why a registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    #[error("{address:?} is not the address of an OCI repository: {why}")]
    Address { address: String, why: &'static str },
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{host} wants credentials; name a Secret with a registry login in spec.secretRef")]
    CredentialsMissing { host: String },
    #[error("{host} refused the credentials: {why}")]
    CredentialsRefused { host: String, why: String },
    #[error(
        "{host} names {realm} to send the credentials to, which belongs to another house and is refused; if it is \
         right, put a login for that very host into the Secret"
    )]
    Realm { host: String, realm: String },
    #[error("{host} asks for a login in a way that is not known here: {challenge:?}")]
    Challenge { host: String, challenge: String },
    #[error("the login in the Secret cannot be used: {0}")]
    Login(String),
    #[error("{what} was not found in {repository}")]
    Missing { what: String, repository: String },
    #[error("{host} answered HTTP {status}{said}")]
    Status { host: String, status: u16, said: String },
    /// It wants to be left alone for a while; it need not say for how long.
    #[error(
        "{host} answered HTTP {status}{said}; it is left alone for {}",
        after.map_or("a while".to_owned(), |after| format!("{} s", after.as_secs()))
    )]
    Busy { host: String, status: u16, said: String, after: Option<Duration> },
    #[error("{what} of {repository} cannot be used: {why}")]
    Content { what: String, repository: String, why: String },
    #[error("{what} of {repository} is not what it should be: its digest is {found}, not {wanted}")]
    Digest { what: String, repository: String, found: String, wanted: String },
    #[error("{repository} exceeds the limit of {limit} {what}")]
    Limit { repository: String, what: &'static str, limit: u64 },
}

impl OciError {
    /// Whether the credentials, or the lack of them, are the cause.
    pub fn is_authentication(&self) -> bool {
        matches!(
            self,
            OciError::CredentialsMissing { .. }
                | OciError::CredentialsRefused { .. }
                | OciError::Realm { .. }
                | OciError::Login(_)
                | OciError::Http(HttpError::Tls { .. })
        )
    }
}

/// How a registry is spoken to.
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub settings: Settings,
    pub login: Login,
    /// Plain http.
    pub insecure: bool,
    /// For everything that is asked of one [`Registry`].
    pub timeout: Duration,
}

/// The way to one repository of a registry, for one run.
#[derive(Debug)]
pub struct Registry {
    repository: Repository,
    client: Client,
    login: Login,
    insecure: bool,
    deadline: Instant,
    pass: tokio::sync::Mutex<Pass>,
}

impl Registry {
    /// Sets the client up; nothing is asked yet, and the time-out begins.
    ///
    /// Errors when a certificate, a key or a proxy address cannot be read.
    pub fn new(repository: Repository, access: &Access) -> Result<Self, OciError> {
        Ok(Registry {
            repository,
            client: Client::new(&access.settings)?,
            login: access.login.clone(),
            insecure: access.insecure,
            deadline: Instant::now() + access.timeout,
            pass: tokio::sync::Mutex::new(Pass::None),
        })
    }

    /// All tags, in the registry's order.
    ///
    /// Errors when there are too many, or a page leads away from the registry or back to one that was read.
    pub async fn tags(&self) -> Result<Vec<String>, OciError> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let first = self.url("tags/list?n=1000")?;
        let mut next = Some(first.clone());
        let mut seen: HashSet<Url> = HashSet::new();
        let mut all = Vec::new();
        while let Some(url) = next.take() {
            if seen.len() >= PAGES {
                return Err(self.limit("pages of tags", PAGES as u64));
            }
            if !seen.insert(url.clone()) {
                return Err(self.content("the list of tags", "one page leads back to another"));
            }
            let reply = self.page(&url).await?;
            next = self.next_page(&url, reply.headers())?;
            let page = reply.bytes(PAGE_BYTES).await?;
            let page: Page = serde_json::from_slice(&page).map_err(|e| self.content("the list of tags", e))?;
            all.extend(page.tags.unwrap_or_default().into_iter().filter(|tag| is_tag(tag)));
            if all.len() > TAGS {
                return Err(self.limit("tags", TAGS as u64));
            }
        }
        Ok(all)
    }

    /// One page of tags. A short pause that the registry asks for is made here, so that a long list need not begin anew.
    async fn page(&self, url: &Url) -> Result<Reply, OciError> {
        for _ in 0..PAUSES {
            let reply = self.ask(Method::GET, url, HeaderMap::new()).await?;
            match self.expect(reply, "the list of tags").await {
                Err(OciError::Busy { after: Some(after), .. })
                    if after <= SHORT && Instant::now() + after < self.deadline =>
                {
                    tokio::time::sleep(after).await;
                }
                answer => return answer,
            }
        }
        let reply = self.ask(Method::GET, url, HeaderMap::new()).await?;
        self.expect(reply, "the list of tags").await
    }

    /// What a tag points at.
    pub async fn resolve(&self, tag: &str) -> Result<Digest, OciError> {
        let url = self.url(&format!("manifests/{tag}"))?;
        let reply = self.ask(Method::HEAD, &url, accept()).await?;
        if reply.status() == 200 {
            let told = reply.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
            if let Some(digest) = told.and_then(|told| told.parse::<Digest>().ok()).filter(is_sha256) {
                return Ok(digest);
            }
        }
        // Not every registry answers HEAD, or says the digest then.
        let (_, bytes) = self.manifest_bytes(tag).await?;
        Ok(Digest::sha256(&bytes))
    }

    /// When the image of a tag was built, by its configuration; `None` when that does not say.
    ///
    /// Errors as [`Registry::manifest`] and [`Registry::blob`].
    pub async fn created(&self, tag: &str) -> Result<Option<Stamp>, OciError> {
        let manifest = self.manifest(&self.resolve(tag).await?).await?;
        let Some(config) = &manifest.config else { return Ok(None) };
        let bytes = self.blob(config, MANIFEST_BYTES).await?;
        let document: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| self.content(tag, e))?;
        Ok(document["created"].as_str().and_then(|text| text.parse().ok()))
    }

    /// The manifest with that digest; of an index the one for linux/amd64, as tools that do not ask pick it.
    ///
    /// Errors when the bytes do not have the digest, or the form is not that of a manifest.
    pub async fn manifest(&self, digest: &Digest) -> Result<Manifest, OciError> {
        let mut digest = digest.clone();
        for _ in 0..DEPTH {
            let wanted = digest.to_string();
            if !is_sha256(&digest) {
                return Err(self.content(&wanted, "only sha256 digests are known here"));
            }
            let (media_type, bytes) = self.manifest_bytes(&wanted).await?;
            self.compare(&wanted, &digest, &bytes)?;
            match manifest::read(&media_type, &bytes).map_err(|why| self.content(&wanted, why))? {
                manifest::Read::Manifest(manifest) => return Ok(manifest),
                manifest::Read::Index(child) => digest = child,
            }
        }
        Err(self.limit("indexes within indexes", DEPTH as u64))
    }

    /// The bytes of a layer or a configuration.
    ///
    /// Errors when it is larger than `limit` or than it says, or the bytes do not have its digest.
    pub async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        let wanted = descriptor.digest.to_string();
        if !is_sha256(&descriptor.digest) {
            return Err(self.content(&wanted, "only sha256 digests are known here"));
        }
        if descriptor.size > limit {
            return Err(self.limit("bytes of one layer", limit));
        }
        let url = self.url(&format!("blobs/{wanted}"))?;
        let reply = self.ask(Method::GET, &url, HeaderMap::new()).await?;
        let reply = self.expect(reply, &wanted).await?;
        let bytes = reply.bytes(descriptor.size).await?;
        if bytes.len() as u64 != descriptor.size {
            return Err(self.content(&wanted, format!("it has {} bytes, not {}", bytes.len(), descriptor.size)));
        }
        self.compare(&wanted, &descriptor.digest, &bytes)?;
        Ok(bytes)
    }

    async fn manifest_bytes(&self, reference: &str) -> Result<(String, Vec<u8>), OciError> {
        let url = self.url(&format!("manifests/{reference}"))?;
        let reply = self.ask(Method::GET, &url, accept()).await?;
        let reply = self.expect(reply, reference).await?;
        let media_type = reply.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        Ok((media_type, reply.bytes(MANIFEST_BYTES).await?))
    }

    /// Sends a request, with a token when the registry wants one.
    async fn ask(&self, method: Method, url: &Url, headers: HeaderMap) -> Result<Reply, OciError> {
        let credentials = self.pass.lock().await.credentials();
        let reply = self.send(method.clone(), url, headers.clone(), Bytes::new(), &credentials).await?;
        if reply.status() != 401 {
            return Ok(reply);
        }
        let challenge = auth::Challenge::of(reply.headers());
        drop(reply);
        let pass = self.login(challenge).await?;
        let credentials = pass.credentials();
        *self.pass.lock().await = pass;
        let reply = self.send(method, url, headers, Bytes::new(), &credentials).await?;
        if reply.status() != 401 {
            return Ok(reply);
        }
        match self.login {
            Login::None => Err(OciError::CredentialsMissing { host: self.host() }),
            _ => {
                let why = "HTTP 401; check the Secret and what it may read".into();
                Err(OciError::CredentialsRefused { host: self.host(), why })
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        credentials: &Credentials,
    ) -> Result<Reply, OciError> {
        let timeout = self.deadline.saturating_duration_since(Instant::now());
        if timeout.is_zero() {
            return Err(HttpError::Timeout { host: self.host() }.into());
        }
        let request = Request { method, url: url.as_str(), headers, body, credentials, timeout };
        Ok(self.client.send(request).await?)
    }

    /// Turns everything but 200 into an error that names what was asked for.
    async fn expect(&self, reply: Reply, what: &str) -> Result<Reply, OciError> {
        let (host, repository) = (self.host(), self.repository.to_string());
        match reply.status() {
            200 => Ok(reply),
            404 => Err(OciError::Missing { what: Text::new(what).into_string(), repository }),
            status @ 403 => {
                let why = format!("HTTP {status}{}", said(reply).await);
                Err(OciError::CredentialsRefused { host, why })
            }
            status => match pause::wanted(status, reply.headers()) {
                Some(after) => Err(OciError::Busy { host, status, said: said(reply).await, after }),
                None => Err(OciError::Status { host, status, said: said(reply).await }),
            },
        }
    }

    fn url(&self, rest: &str) -> Result<Url, OciError> {
        let scheme = if self.insecure { "http" } else { "https" };
        let text = format!("{scheme}://{}/v2/{}/{rest}", self.repository.api_host(), self.repository.path);
        Url::parse(&text).map_err(|_| OciError::Address { address: bare(&text), why: "it cannot be read" })
    }

    /// The page that a Link header names, which must be of the same registry.
    fn next_page(&self, from: &Url, headers: &HeaderMap) -> Result<Option<Url>, OciError> {
        let Some(link) = headers.get(LINK).and_then(|value| value.to_str().ok()) else { return Ok(None) };
        let next = link.split(',').find(|part| part.contains("rel=\"next\"") || part.contains("rel=next"));
        let Some(target) = next.and_then(|part| part.split_once('<')?.1.split_once('>')) else { return Ok(None) };
        let url = from.join(target.0).map_err(|_| self.content("the list of tags", "its next page is no address"))?;
        match url.origin() == from.origin() {
            true => Ok(Some(url)),
            false => Err(self.content("the list of tags", "its next page is on another host")),
        }
    }

    fn compare(&self, what: &str, wanted: &Digest, bytes: &[u8]) -> Result<(), OciError> {
        let found = Digest::sha256(bytes);
        match found == *wanted {
            true => Ok(()),
            false => Err(OciError::Digest {
                what: what.into(),
                repository: self.repository.to_string(),
                found: found.to_string(),
                wanted: wanted.to_string(),
            }),
        }
    }

    fn host(&self) -> String {
        self.repository.host.clone()
    }

    fn content(&self, what: &str, why: impl std::fmt::Display) -> OciError {
        let why = Text::new(why.to_string()).into_string();
        OciError::Content { what: Text::new(what).into_string(), repository: self.repository.to_string(), why }
    }

    fn limit(&self, what: &'static str, limit: u64) -> OciError {
        OciError::Limit { repository: self.repository.to_string(), what, limit }
    }
}

fn is_sha256(digest: &Digest) -> bool {
    digest.algorithm == "sha256" && digest.hex.len() == 64
}

fn accept() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(manifest::ACCEPT))])
}

/// What the registry says of its refusal, cut and cleaned.
async fn said(reply: Reply) -> String {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<Said>,
    }
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(bytes) = reply.bytes(ERROR_BYTES).await else { return String::new() };
    let Ok(body) = serde_json::from_slice::<Body>(&bytes) else { return String::new() };
    let Some(first) = body.errors.first() else { return String::new() };
    let text: String = format!(": {} {}", first.code, first.message).chars().take(300).collect();
    Text::new(text.trim_end()).into_string()
}
