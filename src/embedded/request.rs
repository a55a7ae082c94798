//! What a client asked: path, query, headers and body, read into plain values.
//!
//! Refuses what cannot be read; decides nothing else. Start with [`Request`] and [`Options`].

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::schema;
use super::status::{Failure, cause};
use super::strict;
use crate::base::yaml;

/// The largest body that is read.
pub const BODY_LIMIT: usize = 3 << 20;

/// A request whose body has arrived.
#[derive(Debug)]
pub struct Request {
    pub method: http::Method,
    /// The path, split and unescaped, without empty parts.
    pub path: Vec<String>,
    pub query: HashMap<String, String>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// How unknown fields are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    Strict,
    Warn,
    Ignore,
}

/// What every write may say beside its body.
#[derive(Clone, Debug)]
pub struct Options {
    pub dry_run: bool,
    pub force: bool,
    /// As given; empty when not.
    pub given_owner: String,
    /// As given, else from the user agent.
    pub owner: String,
    pub validation: Validation,
    /// Keys that the body has twice; empty when nobody asks.
    pub twice: Vec<String>,
    pub user: User,
}

/// Who asks: whoever is impersonated, else the one person who is here.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Default for User {
    fn default() -> Self {
        let groups = vec!["system:masters".into(), "system:authenticated".into()];
        User { name: "weir".into(), uid: String::new(), groups, extra: BTreeMap::new() }
    }
}

impl Request {
    /// Takes a request apart.
    ///
    /// Errors when the path or query is not valid text.
    pub fn new(parts: http::request::Parts, body: Bytes) -> Result<Request, Failure> {
        let bad = || Failure::bad_request("the request path or query is not valid UTF-8");
        let path = parts.uri.path().split('/').filter(|part| !part.is_empty());
        let path = path.map(|part| unescape(part, false)).collect::<Option<Vec<_>>>().ok_or_else(bad)?;
        let mut query = HashMap::new();
        // kube-rs writes an empty pair in front: `?&a=b`.
        for pair in parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (unescape(key, true).ok_or_else(bad)?, unescape(value, true).ok_or_else(bad)?);
            query.entry(key).or_insert(value);
        }
        Ok(Request { method: parts.method, path, query, headers: parts.headers, body })
    }

    /// A query value; empty when not given.
    pub fn text(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A query value as a yes or no, as the real server reads it.
    pub fn flag(&self, name: &str) -> bool {
        self.query
            .get(name)
            .is_some_and(|value| !matches!(value.as_str(), "false" | "0" | "False" | "FALSE" | "f" | "F"))
    }

    /// A query value as a whole number of zero or more.
    ///
    /// Errors when it is something else.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Failure::bad_request(format!("invalid query parameter {name}: \"{text}\" is not a whole number"))
            }),
        }
    }

    /// A header's text; empty when not given.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The media type of the body, without parameters.
    pub fn content_type(&self) -> &str {
        self.header("content-type").split(';').next().unwrap_or_default().trim()
    }

    /// The body as an object, from JSON, YAML or protobuf.
    ///
    /// Errors with 400 when it cannot be read, with 415 when its type is not known.
    pub fn body_value(&self) -> Result<Value, Failure> {
        match self.content_type() {
            "application/yaml" | "application/apply-patch+yaml" => read_yaml(&self.body),
            "application/vnd.kubernetes.protobuf" => schema::decode_protobuf(&self.body)
                .map_err(|why| Failure::bad_request(format!("the protobuf body cannot be decoded: {why}"))),
            ""
            | "application/json"
            | "application/json-patch+json"
            | "application/merge-patch+json"
            | "application/strategic-merge-patch+json"
            | "text/plain" => read_json(&self.body),
            other => Err(unsupported_body(other)),
        }
    }

    /// Who asks.
    pub fn user(&self) -> User {
        let name = self.header("impersonate-user");
        if name.is_empty() {
            return User::default();
        }
        let groups = self.headers.get_all("impersonate-group").iter().filter_map(|group| group.to_str().ok());
        let mut groups: Vec<String> = groups.map(String::from).collect();
        if let (true, Some(account)) = (groups.is_empty(), name.strip_prefix("system:serviceaccount:")) {
            let namespace = account.split(':').next().unwrap_or_default();
            groups.extend(["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]);
        }
        // Source: apiserver endpoints/filters/impersonation.
        let known = if name == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
        if !groups.iter().any(|group| group == known) {
            groups.push(known.into());
        }
        let mut extra = BTreeMap::<String, Vec<String>>::new();
        for (header, value) in &self.headers {
            let key = header.as_str().strip_prefix("impersonate-extra-").and_then(|key| unescape(key, false));
            if let (Some(key), Ok(value)) = (key, value.to_str()) {
                extra.entry(key).or_default().push(value.into());
            }
        }
        User { name: name.into(), uid: self.header("impersonate-uid").into(), groups, extra }
    }

    /// The options of a write.
    ///
    /// Errors when one has a value it cannot have.
    pub fn options(&self) -> Result<Options, Failure> {
        let dry_run = match self.text("dryRun") {
            "" => false,
            "All" => true,
            other => {
                let why = format!("Unsupported value: \"{other}\": supported values: \"All\"");
                let causes = vec![cause("FieldValueNotSupported", "dryRun", why)];
                return Err(Failure::invalid("Options", "meta.k8s.io", "", causes));
            }
        };
        let validation = match self.text("fieldValidation") {
            "" | "Warn" => Validation::Warn,
            "Strict" => Validation::Strict,
            "Ignore" => Validation::Ignore,
            other => {
                let why =
                    format!("Unsupported value: \"{other}\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
                let causes = vec![cause("FieldValueNotSupported", "fieldValidation", why)];
                return Err(Failure::invalid("Options", "meta.k8s.io", "", causes));
            }
        };
        let given_owner = self.text("fieldManager").to_string();
        if given_owner.len() > 128 {
            let why = "Too long: may not be more than 128 bytes";
            return Err(Failure::invalid(
                "Options",
                "meta.k8s.io",
                "",
                vec![cause("FieldValueTooLong", "fieldManager", why)],
            ));
        }
        let agent = self.header("user-agent").split('/').next().unwrap_or_default();
        let owner = match (given_owner.as_str(), agent) {
            ("", "") => "unknown",
            ("", agent) => agent,
            (given, _) => given,
        };
        let owner = owner.chars().take(128).collect();
        let is_json = !matches!(self.content_type(), "application/yaml" | "application/vnd.kubernetes.protobuf");
        let twice =
            if is_json && validation != Validation::Ignore { strict::duplicates(&self.body) } else { Vec::new() };
        Ok(Options { dry_run, force: self.flag("force"), given_owner, owner, validation, twice, user: self.user() })
    }
}

/// 415 with what would have been read.
pub fn unsupported_body(media: &str) -> Failure {
    Failure::new(
        415,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json, application/yaml, application/vnd.kubernetes.protobuf (got \"{media}\")"
        ),
    )
}

fn read_json(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|why| {
        Failure::bad_request(format!("the object provided is unrecognized: the body is not JSON: {why}"))
    })
}

fn read_yaml(body: &[u8]) -> Result<Value, Failure> {
    // JSON is the common case, and much cheaper to read.
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let limits = yaml::Limits { file_bytes: BODY_LIMIT, ..yaml::Limits::default() };
    yaml::read_one(body, &limits).map_err(|why| Failure::bad_request(format!("error decoding YAML: {why}")))
}

fn unescape(text: &str, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |b: u8| (b as char).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request {
        let (parts, ()) = http::Request::get(uri).header("user-agent", "kubectl/v1").body(()).unwrap().into_parts();
        Request::new(parts, Bytes::new()).unwrap()
    }

    #[test]
    fn paths_and_queries_are_unescaped() {
        let request = request("/api/v1/namespaces/a%2Fb/pods?&labelSelector=a%3Db%2Cc+in+(d)&watch=1");
        assert_eq!(request.path, ["api", "v1", "namespaces", "a/b", "pods"]);
        assert_eq!(request.text("labelSelector"), "a=b,c in (d)");
        assert!(request.flag("watch"));
        assert_eq!(request.options().unwrap().owner, "kubectl");
    }

    #[test]
    fn options_that_do_not_exist_are_refused() {
        assert_eq!(request("/?dryRun=Some").options().unwrap_err().code, 422);
        assert_eq!(request("/?fieldValidation=x").options().unwrap_err().code, 422);
        assert_eq!(request("/?limit=-1").number("limit").unwrap_err().code, 400);
    }
}
