//! [`Repository`]: where in which registry, read from what people write.
//!
//! Source: docker's distribution/reference (grammar, Docker Hub's short names), go-containerregistry pkg/name.

use std::fmt;

use super::OciError;
use crate::outside::http::bare;

/// A repository of a registry, without a tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repository {
    /// As written, with the port.
    pub host: String,
    pub path: String,
}

impl Repository {
    /// Reads `oci://host/path` or `host/path`; a first part that is no host means Docker Hub.
    ///
    /// Errors when there is a tag or a digest, and when the grammar is not met.
    pub fn parse(text: &str) -> Result<Self, OciError> {
        match Repository::parse_reference(text)? {
            (repository, None) => Ok(repository),
            (_, Some(tag)) => {
                let address = bare(text);
                let why = if tag.contains(':') { "it must not contain a digest" } else { "it must not contain a tag" };
                Err(OciError::Address { address, why })
            }
        }
    }

    /// As [`Repository::parse`], with what follows: a tag, or a digest after `@`, which wins.
    pub fn parse_reference(text: &str) -> Result<(Self, Option<String>), OciError> {
        let refuse = |why| Err(OciError::Address { address: bare(text), why });
        let bare = text.strip_prefix("oci://").unwrap_or(text).trim_end_matches('/');
        if bare.contains("://") || bare.contains(['?', '#']) {
            return refuse("write it like oci://host/path");
        }
        let (bare, digest) = match bare.split_once('@') {
            Some((bare, digest)) if digest.contains(':') => (bare, Some(digest)),
            Some(_) => return refuse("what follows @ is no digest"),
            None => (bare, None),
        };
        let (bare, tag) = match bare.rsplit_once(':') {
            Some((before, tag)) if !tag.contains('/') && before.contains('/') => (before, Some(tag)),
            _ => (bare, None),
        };
        let (host, path) = match bare.split_once('/') {
            Some((host, path)) if is_host_like(host) => (host.to_owned(), path.to_owned()),
            Some(_) => ("docker.io".to_owned(), bare.to_owned()),
            None if is_host_like(bare) => return refuse("the path is missing"),
            None => ("docker.io".to_owned(), bare.to_owned()),
        };
        let is_hub = matches!(host.as_str(), "docker.io" | "index.docker.io" | "registry-1.docker.io");
        let path = if is_hub && !path.contains('/') { format!("library/{path}") } else { path };
        if !is_host(&host) {
            return refuse("the host is not one");
        }
        if path.is_empty() || path.len() > 255 || !path.split('/').all(is_component) {
            return refuse("the path is not lower-case words between slashes");
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return refuse("the tag is not one");
        }
        let after = digest.or(tag).map(str::to_owned);
        Ok((Repository { host, path }, after))
    }

    /// A repository below this one.
    ///
    /// Errors when the name does not meet the grammar.
    pub fn below(&self, name: &str) -> Result<Self, OciError> {
        Repository::parse(&format!("{}/{}/{}", self.host, self.path, name.trim_matches('/')))
    }

    /// Where requests go: Docker Hub's registry has another name than Docker Hub.
    pub(super) fn api_host(&self) -> &str {
        match self.host.as_str() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

/// Whether a text can be a tag.
pub fn is_tag(text: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(first)
        && text.bytes().all(|byte| first(byte) || matches!(byte, b'.' | b'-'))
}

/// Whether the first part of a reference means a host, by docker's rule.
fn is_host_like(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':'])
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, "")) => return name.parse::<std::net::Ipv6Addr>().is_ok(),
            Some((name, port)) => return name.parse::<std::net::Ipv6Addr>().is_ok() && is_port(port.strip_prefix(':')),
            None => return false,
        },
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(good)
        && !name.starts_with(['-', '.'])
        && (port.is_none() || is_port(port))
}

fn is_port(text: Option<&str>) -> bool {
    text.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_component(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last()).is_some_and(|(first, last)| plain(*first) && plain(*last));
    ends && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'.' | b'_' | b'-')) && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, host, path, after) in [
            ("oci://ghcr.io/org/app", "ghcr.io", "org/app", None),
            ("ghcr.io/org/app:1.2_a", "ghcr.io", "org/app", Some("1.2_a")),
            ("oci://localhost:5000/app", "localhost:5000", "app", None),
            ("oci://127.0.0.1:5000/a/b/", "127.0.0.1:5000", "a/b", None),
            ("[::1]:5000/app", "[::1]:5000", "app", None),
            ("nginx", "docker.io", "library/nginx", None),
            ("nginx:1", "docker.io", "library/nginx:1", None),
            ("org/app:1", "docker.io", "org/app", Some("1")),
            ("docker.io/nginx:1", "docker.io", "library/nginx", Some("1")),
            ("r.example/a:1@sha256:00", "r.example", "a", Some("sha256:00")),
        ] {
            if text == "nginx:1" {
                // One word with a colon could be a host; it is one here.
                assert!(Repository::parse_reference(text).is_err());
                continue;
            }
            let (found, tag) = Repository::parse_reference(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((found.host.as_str(), found.path.as_str(), tag.as_deref()), (host, path, after), "{text}");
        }
        assert_eq!(Repository::parse("docker.io/a/b").unwrap().api_host(), "registry-1.docker.io");
        assert_eq!(Repository::parse("oci://r.example/charts").unwrap().below("app").unwrap().path, "charts/app");
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "oci://",
            "oci://ghcr.io",
            "oci://ghcr.io/",
            "oci://ghcr.io/App",
            "oci://ghcr.io/a//b",
            "oci://ghcr.io/a/../b",
            "oci://ghcr.io/a?x=1",
            "oci://user@ghcr.io/a",
            "https://ghcr.io/a",
            "oci://ghcr.io/a:tag",
            "oci://ghcr.io/a@sha256:00",
            "oci://ghcr.io:99999/a",
            "oci://-x.io/a",
            "oci://ghcr.io/a\u{202e}b",
        ] {
            assert!(Repository::parse(bad).is_err(), "{bad:?}");
        }
        let told = Repository::parse("oci://user:canary@ghcr.io/a?canary").unwrap_err().to_string();
        assert!(told.contains("ghcr.io/a") && !told.contains("canary"), "{told}");
        assert!(Repository::parse("oci://r.example/charts").unwrap().below("../x").is_err());
        assert!(is_tag("1.0_a") && !is_tag("") && !is_tag("-a") && !is_tag("a/b") && !is_tag(&"x".repeat(129)));
    }
}
