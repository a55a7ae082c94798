//! [`RemoteAddress`]: the addresses of repositories that kustomize understands.
//!
//! Only parsing: who builds fetches, with weir's own Git and HTTP. Source: kustomize api/internal/git/repospec.go.

use std::time::Duration;

/// A directory in a Git repository elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAddress {
    /// What to clone, e.g. `https://github.com/org/repo`.
    pub repository: String,
    /// The directory with the kustomization; empty for the root.
    pub directory: String,
    /// Branch, tag or commit; empty for the repository's default branch.
    pub reference: String,
    pub timeout: Duration,
    pub submodules: bool,
}

/// How long fetching may take when the address does not say.
const TIMEOUT: Duration = Duration::from_secs(27);
const SCHEMES: [&str; 4] = ["ssh://", "https://", "http://", "file://"];

impl RemoteAddress {
    /// Reads an entry of `resources`; `None` when it cannot mean a repository.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return None;
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (host, path) = split_host(address)?;
        let (repository, directory) = split_path(path, host.starts_with("file://"))?;
        if repository.is_empty() || leaves(directory) {
            return None;
        }
        let query = Query::parse(query).unwrap_or_default();
        Some(RemoteAddress {
            repository: host + repository,
            directory: directory.strip_prefix('/').unwrap_or(directory).to_owned(),
            reference: query.reference,
            timeout: query.timeout.unwrap_or(TIMEOUT),
            submodules: query.submodules.unwrap_or(true),
        })
    }
}

/// An address for messages: without the credentials it may hold.
pub(super) fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (address, query) = rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    let (host, path) = address.split_once('/').map_or((address, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    // Of a query only what kustomize reads is known not to be a secret.
    let known = |pair: &&str| ["ref=", "version=", "timeout=", "submodules="].iter().any(|key| pair.starts_with(key));
    let query: Vec<&str> = query.unwrap_or_default().split('&').filter(known).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("{scheme}://{host}{path}{query}")
}

fn strip_prefix_any_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    text.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix)).map(|_| &text[prefix.len()..])
}

/// Scheme, user and host, in a common form for GitHub; and the path behind.
fn split_host(text: &str) -> Option<(String, &str)> {
    let text = strip_prefix_any_case(text, "git::").unwrap_or(text);
    let (scheme, text) =
        SCHEMES.iter().find_map(|scheme| Some((*scheme, strip_prefix_any_case(text, scheme)?))).unwrap_or(("", text));
    if scheme == "file://" {
        return Some((scheme.to_owned(), text));
    }
    let (user, text) = split_user(text);
    let is_github = ["github.com/", "github.com:"].iter().any(|host| strip_prefix_any_case(text, host).is_some());
    let is_scp = scheme.is_empty() && (!user.is_empty() || is_github);
    if scheme.is_empty() && !is_scp {
        return None;
    }
    let slash = text.find('/');
    let colon = text.find(':').filter(|colon| is_scp && slash.is_none_or(|slash| *colon > 0 && *colon < slash));
    let end = colon.or(slash).map_or(text.len(), |at| at + 1);
    let (host, path) = match colon.or(slash) {
        Some(_) => text.split_at(end),
        None => (text, ""),
    };
    match is_github {
        true if scheme == "ssh://" || !user.is_empty() => Some((format!("{user}github.com:"), path)),
        true => Some(("https://github.com/".to_owned(), path)),
        false if host.is_empty() => None,
        false => Some((format!("{scheme}{user}{host}"), path)),
    }
}

fn split_user(text: &str) -> (&str, &str) {
    let Some(at) = text.find('@') else { return ("", text) };
    let is_name = text[..at].starts_with(|c: char| c.is_ascii_alphabetic())
        && text[..at].chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if is_name { text.split_at(at + 1) } else { ("", text) }
}

/// The repository's path and the directory in it: by `_git/`, `//` or `.git`, else two parts as on GitHub.
fn split_path(path: &str, whole: bool) -> Option<(&str, &str)> {
    const ROOT: &str = "_git/";
    if let Some(at) = path.find(ROOT) {
        let end = path[at + ROOT.len()..].find('/').map_or(path.len(), |slash| at + ROOT.len() + slash);
        return Some((&path[..end], path.get(end + 1..).unwrap_or_default()));
    }
    if let Some(at) = path.find("//") {
        return Some((&path[..at], &path[at + 2..]));
    }
    if let Some(at) = path.find(".git") {
        return Some(path.split_at(at + ".git".len()));
    }
    if whole {
        return Some((path, ""));
    }
    let first = path.find('/')?;
    match path[first + 1..].find('/') {
        Some(second) => Some((&path[..first + 1 + second], &path[first + second + 2..])),
        None => Some((path, "")),
    }
}

/// Whether a path leads out of the repository.
fn leaves(directory: &str) -> bool {
    let mut depth = 0_usize;
    for part in directory.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

#[derive(Default)]
struct Query {
    reference: String,
    timeout: Option<Duration>,
    submodules: Option<bool>,
}

impl Query {
    /// Reads what stands behind the question mark; `None` when it is malformed, and then all of it counts for nothing.
    fn parse(text: &str) -> Option<Self> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pair.contains(';') {
                return None;
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(key)?, decode(value)?));
        }
        let first = |key: &str| {
            let found = pairs.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        Some(Query {
            reference: first("ref").or(first("version")).unwrap_or_default().to_owned(),
            timeout: first("timeout").and_then(duration),
            submodules: first("submodules").and_then(flag),
        })
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Whole seconds, or a duration as Go writes it.
fn duration(text: &str) -> Option<Duration> {
    let read = match text.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        Err(_) => crate::base::parse_duration(text).ok(),
    };
    read.filter(|duration| !duration.is_zero())
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
