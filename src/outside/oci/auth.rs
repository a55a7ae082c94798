//! How a registry is convinced: logins as docker keeps them, challenges, and tokens.
//!
//! A registry may name any address as the one that gives tokens; credentials go there only when it belongs to the
//! registry's own house. Values never leave this file but inside `Secret`s. Start with [`Logins`] and [`Challenge`].
//!
//! Source: docker's config.json, distribution's token authentication specification, kubernetes' credential provider
//! (matching of hosts and paths).

use base64::Engine as _;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{OciError, Registry, Repository, said};
use crate::base::{Secret, Text};
use crate::outside::http::Credentials;

/// Bytes a token service may answer with.
const TOKEN_BYTES: u64 = 1 << 20;

/// What a registry is given.
#[derive(Clone, Debug, Default)]
pub enum Login {
    #[default]
    None,
    Basic {
        user: String,
        password: Secret,
    },
    /// Exchanged for a token, as `docker login` gets it from clouds.
    Identity(Secret),
    /// A token that the registry itself takes.
    Bearer(Secret),
}

/// The logins of a docker configuration: registries, or parts of them, and what they are given.
#[derive(Clone, Debug, Default)]
pub struct Logins(Vec<(String, Login)>);

impl Logins {
    /// Reads the text of a `config.json`.
    ///
    /// Errors in words that show no value.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(text).map_err(|_| "the docker configuration is not JSON")?;
        let none = Map::new();
        let auths = document.get("auths").and_then(Value::as_object).unwrap_or(&none);
        let mut logins = Vec::new();
        for (place, entry) in auths {
            let place = place.trim_start_matches("https://").trim_start_matches("http://");
            let place = place.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
            let hub = matches!(place, "docker.io" | "index.docker.io" | "registry-1.docker.io");
            let place = if hub { "docker.io" } else { place };
            logins.push((place.to_owned(), login(entry).map_err(|why| format!("the login for {place}: {why}"))?));
        }
        Ok(Logins(logins))
    }

    /// Adds the logins of another configuration; the first that fits counts.
    pub fn join(&mut self, more: Logins) {
        self.0.extend(more.0);
    }

    /// The login for a repository: of all that fit the one that says most.
    pub fn of(&self, repository: &Repository) -> Login {
        let host = match repository.host.as_str() {
            "index.docker.io" | "registry-1.docker.io" => "docker.io",
            host => host,
        };
        let fits = |(place, _): &&(String, Login)| {
            let (wanted, path) = place.split_once('/').unwrap_or((place, ""));
            let within = |path: &str| {
                let rest = repository.path.strip_prefix(path);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            host_fits(wanted, host) && (path.is_empty() || within(path))
        };
        let best = self.0.iter().rev().filter(fits).max_by_key(|(place, _)| place.len());
        best.map_or(Login::None, |(_, login)| login.clone())
    }
}

/// Whether a host meets a pattern: label by label, `*` for a whole label, ports the same.
fn host_fits(pattern: &str, host: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('.'), host.split('.'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == "*" || wanted.eq_ignore_ascii_case(found) => {}
            _ => return false,
        }
    }
}

fn login(entry: &Value) -> Result<Login, &'static str> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("registrytoken") {
        return Ok(Login::Bearer(Secret::new(token)));
    }
    if let Some(token) = text("identitytoken") {
        return Ok(Login::Identity(Secret::new(token)));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Ok(Login::Basic { user: user.into(), password: Secret::new(password) });
    }
    let Some(pair) = text("auth") else { return Ok(Login::None) };
    let decoded = base64::engine::general_purpose::STANDARD.decode(pair.trim()).map_err(|_| "auth is not base64")?;
    let decoded = String::from_utf8(decoded).map_err(|_| "auth is not text")?;
    let (user, password) = decoded.split_once(':').ok_or("auth is not user:password")?;
    let (user, password) = (user.to_owned(), Secret::new(password.trim_end_matches('\0')));
    // Clouds write this user beside a refresh token.
    Ok(if user == "<token>" { Login::Identity(password) } else { Login::Basic { user, password } })
}

/// What has convinced the registry so far.
#[derive(Debug, Default)]
pub(super) enum Pass {
    #[default]
    None,
    Token(Secret),
    Basic(String, Secret),
}

impl Pass {
    pub(super) fn credentials(&self) -> Credentials {
        match self {
            Pass::None => Credentials::None,
            Pass::Token(token) => Credentials::Bearer(token.clone()),
            Pass::Basic(user, password) => Credentials::Basic { user: user.clone(), password: password.clone() },
        }
    }
}

/// How a registry asks for a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: String, scope: String },
    Unknown(String),
}

impl Challenge {
    /// The first way of asking that is known here.
    pub(super) fn of(headers: &HeaderMap) -> Challenge {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let mut unknown = String::new();
        for text in texts {
            let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                let fields = fields(rest);
                let field = |name: &str| {
                    let found = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                return Challenge::Bearer { realm: field("realm"), service: field("service"), scope: field("scope") };
            }
            if scheme.eq_ignore_ascii_case("basic") {
                return Challenge::Basic;
            }
            unknown = text.chars().take(100).collect();
        }
        Challenge::Unknown(unknown)
    }
}

/// Reads `key="value",key=value`; what is malformed ends the list.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while let Some((key, after)) = rest.split_once('=').filter(|_| found.len() < 16) {
        let key = key.trim().trim_start_matches(',').trim().to_owned();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let Some((value, after)) = quoted.split_once('"') else { break };
                (value.to_owned(), after)
            }
            None => {
                let (value, after) = after.split_once(',').unwrap_or((after, ""));
                (value.trim().to_owned(), after)
            }
        };
        found.push((key, value));
        rest = after.trim().trim_start_matches(',').trim();
    }
    found
}

impl Registry {
    /// Answers a challenge.
    ///
    /// Errors when the registry asks in an unknown way, sends to a foreign place, or the token service refuses.
    pub(super) async fn login(&self, challenge: Challenge) -> Result<Pass, OciError> {
        let host = self.host();
        match (challenge, &self.login) {
            (_, Login::Bearer(token)) => Ok(Pass::Token(token.clone())),
            (Challenge::Basic, Login::Basic { user, password }) => Ok(Pass::Basic(user.clone(), password.clone())),
            (Challenge::Basic, Login::None) => Err(OciError::CredentialsMissing { host }),
            (Challenge::Basic, Login::Identity(_)) => {
                Err(OciError::Login("it has an identity token, and the registry wants user and password".into()))
            }
            (Challenge::Bearer { realm, service, .. }, _) => self.token(&realm, &service).await,
            (Challenge::Unknown(text), _) => {
                Err(OciError::Challenge { host, challenge: Text::new(text).into_string() })
            }
        }
    }

    async fn token(&self, realm: &str, service: &str) -> Result<Pass, OciError> {
        let url = self.realm(realm)?;
        // What is asked for is decided here, whatever scope the challenge names.
        let scope = format!("repository:{}:pull", self.repository.path);
        let (method, url, body, credentials) = match &self.login {
            Login::Identity(token) => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("service", service),
                    ("scope", &scope),
                    ("client_id", "weir"),
                    ("refresh_token", token.reveal()),
                ];
                (Method::POST, url, encoded(&form), Credentials::None)
            }
            login => {
                let mut url = url;
                if !service.is_empty() {
                    url.query_pairs_mut().append_pair("service", service);
                }
                url.query_pairs_mut().append_pair("scope", &scope);
                let credentials = match login {
                    Login::Basic { user, password } => {
                        Credentials::Basic { user: user.clone(), password: password.clone() }
                    }
                    _ => Credentials::None,
                };
                (Method::GET, url, String::new(), credentials)
            }
        };
        let mut headers = HeaderMap::new();
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        let reply = self.send(method, &url, headers, Bytes::from(body), &credentials).await?;
        let host = self.host();
        match reply.status() {
            200 => {}
            401 | 403 if matches!(self.login, Login::None) => return Err(OciError::CredentialsMissing { host }),
            status @ (401 | 403) => {
                let why = format!("its token service answered HTTP {status}{}", said(reply).await);
                return Err(OciError::CredentialsRefused { host, why });
            }
            status => return Err(OciError::Status { host, status, said: " from its token service".into() }),
        }
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            token: Option<String>,
            #[serde(default)]
            access_token: Option<String>,
        }
        let bytes = reply.bytes(TOKEN_BYTES).await?;
        let answer = serde_json::from_slice::<Answer>(&bytes).ok();
        let token = answer.and_then(|answer| answer.token.or(answer.access_token)).filter(|token| !token.is_empty());
        token
            .map(|token| Pass::Token(Secret::new(token)))
            .ok_or_else(|| OciError::CredentialsRefused { host, why: "its token service gave no token".into() })
    }

    /// Judges where a registry sends for tokens.
    ///
    /// Errors when it is no https address (http is for insecure registries and their own host only), or credentials
    /// would go to another house.
    fn realm(&self, realm: &str) -> Result<Url, OciError> {
        let refused = || OciError::Realm {
            host: self.host(),
            realm: Text::new(realm.split('?').next().unwrap_or_default()).into_string(),
        };
        let url = Url::parse(realm).map_err(|_| refused())?;
        let own = self.url("").ok();
        let own = own.as_ref().and_then(Url::host_str).unwrap_or_default();
        let named = url.host_str().unwrap_or_default();
        let is_own = named.eq_ignore_ascii_case(own);
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && self.insecure && is_own);
        let is_trusted = matches!(self.login, Login::None) || is_own || is_same_house(own, named);
        if is_safe && is_trusted { Ok(url) } else { Err(refused()) }
    }
}

/// Domains under which strangers live side by side: one more label is needed to tell houses apart.
const SHARED: &[&str] = &[
    "amazonaws.com",
    "azurecr.io",
    "azurecr.cn",
    "azurewebsites.net",
    "cloudfront.net",
    "github.io",
    "gitlab.io",
    "jfrog.io",
    "pkg.dev",
    "run.app",
    "web.app",
    "herokuapp.com",
    "vercel.app",
    "netlify.app",
    "pages.dev",
    "workers.dev",
    "r2.dev",
    "ngrok.io",
    "duckdns.org",
    "nip.io",
    "sslip.io",
    "myqcloud.com",
    "aliyuncs.com",
    "oraclecloud.com",
    "digitaloceanspaces.com",
];

/// Token services that live under another domain than their registry, as widely known.
const PAIRS: &[(&str, &str)] = &[("registry.hub.docker.com", "auth.docker.io")];

/// Whether two hosts belong to one owner, as far as their names tell.
fn is_same_house(registry: &str, realm: &str) -> bool {
    if PAIRS.contains(&(registry, realm)) {
        return true;
    }
    match (house(registry), house(realm)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// The part of a host name that one owner has: two labels, or three where two are shared.
fn house(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    if host.contains(':') || host.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let last = |count: usize| (labels.len() >= count).then(|| labels[labels.len() - count..].join("."));
    let two = last(2)?;
    // `co.uk`, `com.au`, `gov.br`: a short label before a country.
    let is_country = labels[labels.len() - 1].len() == 2 && labels[labels.len() - 2].len() <= 3;
    if is_country || SHARED.contains(&two.as_str()) { last(3) } else { Some(two) }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://form/").ok();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    url.as_ref().and_then(Url::query).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(text: &str) -> Challenge {
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap());
        Challenge::of(&headers)
    }

    #[test]
    fn challenges_are_read_in_every_spelling() {
        let wanted = Challenge::Bearer {
            realm: "https://auth.example/token".into(),
            service: "r.example".into(),
            scope: "repository:a/b:pull,push".into(),
        };
        for text in [
            r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push""#,
            r#"bearer  realm="https://auth.example/token" , service=r.example, scope="repository:a/b:pull,push""#,
        ] {
            assert_eq!(challenge(text), wanted, "{text}");
        }
        assert_eq!(challenge("Basic realm=\"x\""), Challenge::Basic);
        assert_eq!(challenge("Negotiate"), Challenge::Unknown("Negotiate".into()));
        for odd in ["Bearer", "Bearer realm", "Bearer realm=\"open", "Bearer =,=,=", "Bearer a=b=c"] {
            assert!(matches!(challenge(odd), Challenge::Bearer { .. }), "{odd}");
        }
    }

    #[test]
    fn the_login_that_says_most_counts() {
        let text = br#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnB3"},
            "r.example": {"username": "whole", "password": "p"},
            "r.example/team": {"username": "team", "password": "p"},
            "*.wild.example": {"identitytoken": "t"},
            "bearer.example:5000": {"registrytoken": "t"},
            "empty.example": {}}}"#;
        let logins = Logins::parse(text).unwrap();
        let of = |address: &str| match logins.of(&Repository::parse(address).unwrap()) {
            Login::None => "none".to_owned(),
            Login::Basic { user, .. } => user,
            Login::Identity(_) => "identity".into(),
            Login::Bearer(_) => "bearer".into(),
        };
        for (address, wanted) in [
            ("docker.io/library/nginx", "hub"),
            ("registry-1.docker.io/a/b", "hub"),
            ("r.example/other", "whole"),
            ("r.example/team/app", "team"),
            ("r.example/teams/app", "whole"),
            ("a.wild.example/x", "identity"),
            ("a.b.wild.example/x", "none"),
            ("bearer.example:5000/x", "bearer"),
            ("bearer.example/x", "none"),
            ("empty.example/x", "none"),
            ("evil.example/r.example", "none"),
        ] {
            assert_eq!(of(address), wanted, "{address}");
        }
        assert!(!format!("{logins:?}").contains("pw"), "no value is shown");
        for bad in [&b"x"[..], br#"{"auths": {"a": {"auth": "%"}}}"#, br#"{"auths": {"a": {"auth": "YQ=="}}}"#] {
            assert!(Logins::parse(bad).is_err());
        }
        assert!(matches!(Logins::parse(b"{}").unwrap().of(&Repository::parse("a.b/c").unwrap()), Login::None));
    }

    #[test]
    fn credentials_stay_in_the_house() {
        for (registry, realm, same) in [
            ("registry-1.docker.io", "auth.docker.io", true),
            ("registry.gitlab.com", "gitlab.com", true),
            ("registry.hub.docker.com", "auth.docker.io", true),
            ("ghcr.io", "ghcr.io", true),
            ("docker.elastic.co", "docker-auth.elastic.co", true),
            ("ghcr.io", "evil.io", false),
            ("a.azurecr.io", "b.azurecr.io", false),
            ("r.shop.co.uk", "auth.shop.co.uk", true),
            ("r.shop.co.uk", "auth.other.co.uk", false),
            ("r.example.com", "example.com.evil.net", false),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "169.254.169.254", false),
            ("localhost", "evil.example", false),
            ("a.pkg.dev", "b.pkg.dev", false),
        ] {
            assert_eq!(is_same_house(registry, realm), same, "{registry} {realm}");
        }
    }
}
