//! Sprig's functions on URLs, paths and semantic versions.
//!
//! Nothing is looked up: host names have no address here. Start with [`FUNCTIONS`].
//! Source: Masterminds/sprig (url.go, semver.go, network.go), Go's path and net/url.

use std::rc::Rc;
use std::str::FromStr;

use semver::Version;

use super::call::{Function, Type, map, text};
use super::error::{Answer, Failure};
use super::escape::{percent, unpercent};
use super::run::Machine;
use super::value::{Object, Value};
use crate::engine::semver_range::{Range, parse_loosely};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("getHostByName", &[Type::Text], |_, _| Ok("".into())),
    Function::new("base", &[Type::Text], |_, args| Ok(base(&text(args, 0)).into())),
    Function::new("osBase", &[Type::Text], |_, args| Ok(base(&text(args, 0)).into())),
    Function::new("dir", &[Type::Text], |_, args| Ok(directory(&text(args, 0)).into())),
    Function::new("osDir", &[Type::Text], |_, args| Ok(directory(&text(args, 0)).into())),
    Function::new("clean", &[Type::Text], |_, args| Ok(clean(&text(args, 0)).into())),
    Function::new("osClean", &[Type::Text], |_, args| Ok(clean(&text(args, 0)).into())),
    Function::new("ext", &[Type::Text], |_, args| Ok(extension(&text(args, 0)).into())),
    Function::new("osExt", &[Type::Text], |_, args| Ok(extension(&text(args, 0)).into())),
    Function::new("isAbs", &[Type::Text], |_, args| Ok(text(args, 0).starts_with('/').into())),
    Function::new("osIsAbs", &[Type::Text], |_, args| Ok(text(args, 0).starts_with('/').into())),
    Function::new("urlParse", &[Type::Text], url_parse),
    Function::new("urlJoin", &[Type::Map], url_join),
    Function::new("semver", &[Type::Text], |_, args| {
        let written = text(args, 0);
        let version = parse_version(&written).map_err(Failure::plain)?;
        Ok(version_object(&version, &written))
    }),
    Function::new("semverCompare", &[Type::Text, Type::Text], |_, args| {
        let constraint = text(args, 0);
        let improper = || Failure::plain(format!("improper constraint: {}", super::text::quote(&constraint)));
        if constraint.is_empty() {
            return Err(improper());
        }
        let range = Range::from_str(&constraint).map_err(|_| improper())?;
        let version = parse_version(&text(args, 1)).map_err(Failure::plain)?;
        Ok(range.matches(&version).into())
    }),
];

/// Go's `path.Clean`.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".into(),
        (false, joined) => joined,
    }
}

/// Go's `path.Base`.
pub(super) fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/".into() } else { trimmed.rsplit('/').next().unwrap_or_default().into() }
}

fn directory(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
}

fn extension(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.rfind('.').map_or("", |at| &last[at..]).into()
}

const URL_PARTS: [&str; 8] = ["fragment", "host", "hostname", "opaque", "path", "query", "scheme", "userinfo"];

fn url_parse(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let whole = text(args, 0);
    let url = Url::parse(&whole).map_err(|message| {
        let quoted = super::text::quote(&whole);
        Failure::plain(format!("unable to parse url: parse {quoted}: {message}"))
    })?;
    let host = &url.host;
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name),
    };
    let values = [&url.fragment, host, &bare.to_owned(), &url.opaque, &url.path, &url.query, &url.scheme, &url.user];
    Ok(Value::map(URL_PARTS.into_iter().zip(values.map(|part| Value::str(part)))))
}

#[derive(Default)]
struct Url {
    scheme: String,
    opaque: String,
    user: String,
    host: String,
    path: String,
    query: String,
    fragment: String,
}

impl Url {
    fn parse(whole: &str) -> Result<Url, String> {
        if whole.chars().any(|c| c.is_ascii_control()) {
            return Err("net/url: invalid control character in URL".into());
        }
        let mut url = Url::default();
        let (rest, fragment) = whole.split_once('#').unwrap_or((whole, ""));
        url.fragment = decoded(fragment)?;
        let mut rest = rest;
        let scheme_end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
        if rest.starts_with(':') {
            return Err("missing protocol scheme".into());
        }
        if let Some(end) = scheme_end
            && rest[end..].starts_with(':')
        {
            if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return Err("first path segment in URL cannot contain colon".into());
            }
            url.scheme = rest[..end].to_ascii_lowercase();
            rest = &rest[end + 1..];
        }
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        url.query = query.to_owned();
        rest = before;
        if !rest.starts_with('/') && !url.scheme.is_empty() {
            url.opaque = rest.to_owned();
            return Ok(url);
        }
        if !rest.starts_with('/') && rest.split('/').next().is_some_and(|first| first.contains(':')) {
            return Err("first path segment in URL cannot contain colon".into());
        }
        if let Some(authority) = rest.strip_prefix("//").filter(|_| !url.scheme.is_empty() || !rest.starts_with("///"))
        {
            let end = authority.find('/').unwrap_or(authority.len());
            let (authority, path) = authority.split_at(end);
            let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            url.user = user.to_owned();
            if let Some((_, port)) = host.rsplit_once(':').filter(|(_, port)| !port.contains(']'))
                && !port.chars().all(|c| c.is_ascii_digit())
            {
                return Err(format!("invalid port {} after host", super::text::quote(&format!(":{port}"))));
            }
            if host.contains(' ') {
                return Err("invalid character \" \" in host name".into());
            }
            url.host = decoded(host)?;
            rest = path;
        }
        url.path = decoded(rest)?;
        Ok(url)
    }
}

fn decoded(text: &str) -> Result<String, String> {
    unpercent(text).ok_or_else(|| {
        let at = text.find('%').unwrap_or(0);
        let end = text.char_indices().map(|(place, _)| place).find(|place| *place >= at + 3).unwrap_or(text.len());
        format!("invalid URL escape {}", super::text::quote(&text[at..end]))
    })
}

fn url_join(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let dict = map(args, 0);
    let part = |key: &str| match dict.get(key) {
        None => Ok(String::new()),
        Some(Value::Str(text)) => Ok(text.to_string()),
        Some(other) => Err(Failure::plain(format!(
            "unable to parse {key} key, must be of type string, but {} found",
            other.kind_name()
        ))),
    };
    let (scheme, host, path) = (part("scheme")?, part("host")?, part("path")?);
    let (query, opaque, fragment, user) = (part("query")?, part("opaque")?, part("fragment")?, part("userinfo")?);
    let mut out = String::new();
    if !scheme.is_empty() {
        out = format!("{scheme}:");
    }
    let kept = |extra: &'static str| move |byte: u8| byte.is_ascii_alphanumeric() || extra.as_bytes().contains(&byte);
    if opaque.is_empty() {
        if !scheme.is_empty() || !host.is_empty() || !user.is_empty() {
            if !host.is_empty() || !path.is_empty() || !user.is_empty() {
                out.push_str("//");
            }
            if !user.is_empty() {
                out.push_str(&percent(&user, kept("-_.~$&+,;=:!*'()%")));
                out.push('@');
            }
            out.push_str(&percent(&host, kept("-_.~!$&'()*+,;=:[]<>\"")));
        }
        let path = percent(&path, kept("-_.~$&+,/:;=@!*'()[]"));
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        if out.is_empty() && path.split('/').next().is_some_and(|first| first.contains(':')) {
            out.push_str("./");
        }
        out.push_str(&path);
    } else {
        out.push_str(&opaque);
    }
    if !query.is_empty() {
        out.push('?');
        out.push_str(&query);
    }
    if !fragment.is_empty() {
        out.push('#');
        out.push_str(&percent(&fragment, kept("-_.~$&+,/:;=?@!()*'")));
    }
    Ok(out.into())
}

/// Reads a version as Masterminds does.
pub(super) fn parse_version(written: &str) -> Result<Version, String> {
    parse_loosely(written).ok_or_else(|| "invalid semantic version".to_owned())
}

/// A version as templates see it.
fn version_object(version: &Version, written: &str) -> Value {
    let fields = vec![
        ("major", Value::Uint64(version.major)),
        ("minor", Value::Uint64(version.minor)),
        ("patch", Value::Uint64(version.patch)),
        ("pre", Value::str(&version.pre)),
        ("metadata", Value::str(&version.build)),
        ("original", Value::str(written)),
    ];
    let text = Some(Rc::from(version.to_string()));
    Value::Object(Rc::new(Object { type_name: "*semver.Version", pointer: true, fields, text }))
}
