//! The one HTTP client: every request of weir goes through here, so none lacks a deadline, a cap or a policy.
//!
//! Credentials are given per request and dropped when a redirect leaves the origin; addresses are checked as they are
//! connected to, not as they are written; redirects are followed here and never downgrade. No other file may build a
//! client. Start with [`Client`] and [`Request`].

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Url};

use crate::base::{Secret, Text};

use super::egress::{Blocked, Checked, Egress, NoAddress, refusal};

/// Redirects that are followed for one request.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(20);
/// The longest silence inside an answer.
const SILENCE: Duration = Duration::from_secs(30);

/// A client certificate in PEM and its key.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    pub certificate: Vec<u8>,
    pub key: Secret,
}

/// An http, https or socks5 proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub address: String,
    pub user: Option<(String, Secret)>,
}

/// What makes one client differ from another; two clients never share connections.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// PEM certificates trusted besides the system's.
    pub ca: Option<Vec<u8>>,
    pub certificate: Option<ClientCertificate>,
    /// Instead of the proxy that the environment names.
    pub proxy: Option<Proxy>,
    pub egress: Egress,
}

/// What a request proves itself with.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    #[default]
    None,
    Basic {
        user: String,
        password: Secret,
    },
    Bearer(Secret),
}

/// One request; redirects are followed for GET and HEAD only.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub method: Method,
    pub url: &'a str,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub credentials: &'a Credentials,
    /// From the first byte out to the last byte in.
    pub timeout: Duration,
}

/// Why a request failed. No message holds a URL's user part or query.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("URL {0:?} cannot be used: {1}")]
    Url(String, &'static str),
    #[error("the client cannot be set up: {0}")]
    Setup(String),
    #[error("{host} is refused: it is {address}, {why}")]
    Forbidden { host: String, address: IpAddr, why: &'static str },
    #[error("{host} cannot be resolved: {why}; check the name and the cluster's DNS")]
    Unresolved { host: String, why: String },
    #[error("{host} redirects to {target}, which is refused: {why}")]
    Redirect { host: String, target: String, why: &'static str },
    #[error("{host} did not answer in time")]
    Timeout { host: String },
    #[error("{host} cannot be trusted: {why}; check its certificate and the CA given")]
    Tls { host: String, why: String },
    #[error("{host} cannot be reached: {why}")]
    Unreachable { host: String, why: String },
    #[error("{host} sent more than {limit} bytes")]
    TooLarge { host: String, limit: u64 },
}

/// The client. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    egress: Egress,
}

impl Client {
    /// Builds a client.
    ///
    /// Errors when a certificate, key or proxy address cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, HttpError> {
        // The first caller installs it; who comes later finds it installed.
        rustls::crypto::ring::default_provider().install_default().ok();
        let setup = |e: reqwest::Error| HttpError::Setup(chain(&e.without_url()));
        let extra = match &settings.ca {
            Some(pem) => reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|_| HttpError::Setup("the CA is not a PEM certificate".into()))?,
            None => Vec::new(),
        };
        let built = builder(settings)?.tls_certs_merge(extra.clone()).build();
        // Without any certificate on the system, plain http and own CAs must still work; https then trusts nobody.
        let inner = built.or_else(|_| builder(settings)?.tls_certs_only(extra).build().map_err(setup))?;
        Ok(Client { inner, egress: settings.egress })
    }

    /// Sends a request and gives the answer as soon as its head is there, whatever its status.
    ///
    /// Errors when the place may not be asked, cannot be reached or redirects against the policy.
    pub async fn send(&self, request: Request<'_>) -> Result<Reply, HttpError> {
        let deadline = tokio::time::Instant::now() + request.timeout;
        let first = parse(request.url)?;
        let mut url = first.clone();
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let mut headers = request.headers.clone();
            if url.origin() == first.origin() {
                authorize(&mut headers, request.credentials)?;
            }
            let call = self.inner.request(request.method.clone(), url.clone()).headers(headers);
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let answer = call.body(request.body.clone()).timeout(left).send().await;
            let answer = answer.map_err(|e| explain(&host(&url), e))?;
            let follows = matches!(request.method, Method::GET | Method::HEAD)
                && matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if !follows {
                return Ok(Reply { host: host(&url), url: url.into(), inner: answer });
            }
            url = redirected(&url, answer.headers().get(LOCATION))?;
        }
        Err(HttpError::Redirect { host: host(&first), target: host(&url), why: "there were more than 5 redirects" })
    }

    /// Addresses written as numbers never meet the resolver, so they are checked here.
    fn check(&self, url: &Url) -> Result<(), HttpError> {
        let text = url.host_str().unwrap_or_default();
        match text.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => match refusal(address, self.egress) {
                Some(why) => Err(HttpError::Forbidden { host: host(url), address, why }),
                None => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }
}

/// An answer whose body is read piece by piece under a cap.
#[derive(Debug)]
pub struct Reply {
    /// Where the answer came from, after redirects.
    pub url: String,
    host: String,
    inner: reqwest::Response,
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// Errors when the deadline of the request passes or the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.inner.chunk().await.map_err(|e| explain(&self.host, e))
    }

    /// The whole body.
    ///
    /// Errors as [`Reply::chunk`], and when it is larger than `limit` bytes.
    pub async fn bytes(mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        let mut all = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if (all.len() + piece.len()) as u64 > limit {
                return Err(HttpError::TooLarge { host: self.host, limit });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

fn builder(settings: &Settings) -> Result<reqwest::ClientBuilder, HttpError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .pool_idle_timeout(Duration::from_secs(30))
        .dns_resolver(Arc::new(Checked(settings.egress)))
        .no_proxy();
    if let Some(identity) = &settings.certificate {
        let pem = [identity.certificate.as_slice(), b"\n", identity.key.reveal().as_bytes()].concat();
        let identity = reqwest::Identity::from_pem(&pem);
        let unreadable = || HttpError::Setup("the client certificate and its key cannot be read as PEM".into());
        builder = builder.identity(identity.map_err(|_| unreadable())?);
    }
    for proxy in proxies(settings)? {
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

/// The given proxy, or those of the environment, which never apply to this machine itself.
fn proxies(settings: &Settings) -> Result<Vec<reqwest::Proxy>, HttpError> {
    let unusable = |_| HttpError::Setup("the proxy address is not an http, https or socks5 URL".into());
    if let Some(given) = &settings.proxy {
        let mut proxy = reqwest::Proxy::all(&given.address).map_err(unusable)?;
        if let Some((user, password)) = &given.user {
            proxy = proxy.basic_auth(user, password.reveal());
        }
        return Ok(vec![proxy]);
    }
    let variable = |name: &str| {
        let value = std::env::var(name).or_else(|_| std::env::var(name.to_lowercase())).unwrap_or_default();
        (!value.is_empty()).then_some(value)
    };
    let exempt = format!("{},localhost,127.0.0.0/8,::1", variable("NO_PROXY").unwrap_or_default());
    let exempt = reqwest::NoProxy::from_string(&exempt);
    let mut all = Vec::new();
    for (name, make) in [
        ("HTTPS_PROXY", reqwest::Proxy::https as fn(String) -> reqwest::Result<reqwest::Proxy>),
        ("HTTP_PROXY", reqwest::Proxy::http),
        ("ALL_PROXY", reqwest::Proxy::all),
    ] {
        if let Some(address) = variable(name) {
            all.push(make(address).map_err(unusable)?.no_proxy(exempt.clone()));
        }
    }
    Ok(all)
}

fn parse(text: &str) -> Result<Url, HttpError> {
    // Only the scheme and the host are shown of a refused URL: the rest may be a secret.
    let mut url = Url::parse(text).map_err(|_| HttpError::Url(String::new(), "it is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        let shown = Text::new(format!("{}://{}", url.scheme(), host(&url))).into_string();
        return Err(HttpError::Url(shown, "only http and https are spoken here"));
    }
    // Credentials travel in headers that redirects can drop, never in URLs that logs keep.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_fragment(None);
    Ok(url)
}

fn redirected(from: &Url, location: Option<&HeaderValue>) -> Result<Url, HttpError> {
    let target = location.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refuse = |target: &str, why| {
        let target = Text::new(target).into_string();
        Err(HttpError::Redirect { host: host(from), target, why })
    };
    let Ok(joined) = from.join(target) else { return refuse("a place that is not a URL", "it cannot be read") };
    let shown = host(&joined);
    match (from.scheme(), joined.scheme()) {
        ("https", "http") => refuse(&shown, "it leaves https"),
        (_, "http" | "https") => parse(joined.as_str()),
        _ => refuse(&shown, "it leaves http"),
    }
}

fn authorize(headers: &mut HeaderMap, credentials: &Credentials) -> Result<(), HttpError> {
    let value = match credentials {
        Credentials::None => return Ok(()),
        Credentials::Basic { user, password } => {
            use base64::Engine as _;
            let pair = format!("{user}:{}", password.reveal());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        Credentials::Bearer(token) => format!("Bearer {}", token.reveal()),
    };
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| HttpError::Setup("the token holds characters that a header cannot".into()))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// Sets one header from a constant name.
///
/// Errors when the value cannot be a header.
pub fn header(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), HttpError> {
    let value = HeaderValue::from_str(value).map_err(|_| HttpError::Setup(format!("header {name} is malformed")))?;
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

/// The address without user, password and query, for messages; also of what is no URL.
pub fn bare(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let is_read = !scheme.is_empty() && Url::parse(url).is_ok();
    let slashes = |c| matches!(c, '/' | '\\');
    let rest = if is_read { rest.trim_start_matches(slashes) } else { rest };
    // In a URL the user ends before the path. Of another text nobody knows where a password ends: before the last @.
    let end = if is_read { rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()) } else { rest.len() };
    let rest = match rest[..end].rsplit_once('@') {
        Some((before, digest)) if digest.starts_with("sha256:") => match before.rsplit_once('@') {
            Some((user, _)) => &rest[user.len() + 1..],
            None => rest,
        },
        Some((user, _)) => &rest[user.len() + 1..],
        None => rest,
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let shown = if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") };
    Text::new(shown).into_string()
}

fn host(url: &Url) -> String {
    let mut text = url.host_str().unwrap_or("?").to_owned();
    if let Some(port) = url.port() {
        write!(text, ":{port}").ok();
    }
    text
}

fn explain(host: &str, error: reqwest::Error) -> HttpError {
    let host = host.to_owned();
    if error.is_timeout() {
        return HttpError::Timeout { host };
    }
    let error = error.without_url();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(current) = source {
        if let Some(blocked) = current.downcast_ref::<Blocked>() {
            return HttpError::Forbidden { host, address: blocked.address, why: blocked.why };
        }
        if let Some(NoAddress(why)) = current.downcast_ref::<NoAddress>() {
            return HttpError::Unresolved { host, why: why.clone() };
        }
        if let Some(tls) = rustls_error(current) {
            return HttpError::Tls { host, why: Text::new(tls.to_string()).into_string() };
        }
        source = current.source();
    }
    HttpError::Unreachable { host, why: chain(&error) }
}

/// A rustls error, also where an I/O error wraps it without naming it as its source.
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut inner: &(dyn std::error::Error + 'static) = error;
    while let Some(wrapped) = inner.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref()) {
        inner = wrapped;
    }
    inner.downcast_ref()
}

/// The last cause is what a person can act on; what stands before it repeats.
fn chain(error: &dyn std::error::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    Text::new(last.to_string()).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_forbidden_address_is_refused() {
        let client = Client::new(&Settings::default()).unwrap();
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://0.0.0.0/",
            "http://0/",
            "http://[::]/",
            "http://169.254.169.254/",
            "http://2852039166/",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://127.0.0.1:8080/x",
            "http://user@127.0.0.1/",
            "http://255.255.255.255/",
            "http://224.0.0.1/",
            "http://[ff02::1]/",
            "http://１２７.0.0.1/",
        ] {
            let outcome = client.check(&parse(url).unwrap());
            assert!(matches!(outcome, Err(HttpError::Forbidden { .. })), "{url}: {outcome:?}");
        }
        for url in ["http://10.0.0.1/", "http://192.168.1.1/", "https://example.org/", "http://[fd00::1]/"] {
            assert!(client.check(&parse(url).unwrap()).is_ok(), "{url}");
        }
        let local = Egress { loopback: true };
        assert!(refusal([127, 0, 0, 1].into(), local).is_none() && refusal([169, 254, 1, 1].into(), local).is_some());
    }

    #[test]
    fn redirects_never_leave_https_nor_http() {
        let go = |from: &str, to: &str| {
            redirected(&parse(from).unwrap(), Some(&HeaderValue::from_str(to).unwrap())).map(|url| url.to_string())
        };
        assert!(go("https://a/x", "http://a/x").is_err());
        for to in ["file:///etc/passwd", "ftp://a/", "javascript:1", "http://["] {
            assert!(go("http://a/x", to).is_err(), "{to}");
        }
        assert_eq!(go("http://a/x", "https://u:p@b/y#f").unwrap(), "https://b/y");
        assert_eq!(go("https://a/x/y", "../z").unwrap(), "https://a/z");
    }

    #[test]
    fn only_http_is_spoken_and_errors_hide_credentials() {
        let error = parse("ftp://user:secret@host/x?token=secret").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn messages_hold_no_credentials_of_an_address() {
        for (url, wanted) in [
            ("https://user:pw@a.example/x?token=1", "https://a.example/x"),
            ("https://user:pw@a.example:99999/", "https://a.example:99999/"),
            ("https://user:p/w@a.example/x", "https://a.example/x"),
            ("https://user:p?w@a.example/x", "https://a.example/x"),
            ("https://user:p@w@a.example/x#pw", "https://a.example/x"),
            ("https:///user:pw@a.example/", "https://a.example/"),
            ("https:user:pw@a.example/", "a.example/"),
            ("https://a.example/x@y?mail=pw@b", "https://a.example/x@y"),
            ("https://a.example", "https://a.example"),
            ("oci://u@r.example/a/b", "oci://r.example/a/b"),
            ("oci://u:pw@r.example/a@sha256:00", "oci://r.example/a@sha256:00"),
            ("u:pw@r.example/a@sha256:00", "r.example/a@sha256:00"),
            ("r.example:5000/a@sha256:00", "r.example:5000/a@sha256:00"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(bare(url), wanted, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_means_this_machine_is_refused() {
        let client = Client::new(&Settings::default()).unwrap();
        let request = Request {
            method: Method::GET,
            url: "http://localhost:9/",
            headers: HeaderMap::new(),
            body: Bytes::new(),
            credentials: &Credentials::None,
            timeout: Duration::from_secs(5),
        };
        assert!(matches!(client.send(request).await, Err(HttpError::Forbidden { .. })));
    }
}
