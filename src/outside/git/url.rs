//! [`GitUrl`]: a remote's address, taken apart and checked before anything is done with it.
//!
//! No part of it ever meets a shell or another program, but servers have shells: so spaces, quotes, controls and parts
//! that begin with a dash are refused. Start with [`GitUrl::parse`].

use std::fmt;

use crate::base::{Secret, Text};

/// How a remote is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
    Ssh,
    /// A repository on this machine; callers must allow it.
    File,
}

impl Scheme {
    fn word(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Ssh => "ssh",
            Scheme::File => "file",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
            Scheme::Ssh => 22,
            Scheme::File => 0,
        }
    }
}

/// A checked address. Printing it never shows a password.
#[derive(Clone, Debug)]
pub struct GitUrl {
    pub scheme: Scheme,
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// A name or an address, IPv6 without brackets; empty for `file`.
    pub host: String,
    /// The port as written.
    pub port: Option<u16>,
    /// As written, with its leading slash.
    pub path: String,
}

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("git URL {url:?} is refused: {why}")]
pub struct UrlError {
    /// Without its user part.
    pub url: String,
    pub why: String,
}

impl GitUrl {
    /// Reads `scheme://[user[:password]@]host[:port]/path`.
    ///
    /// Errors on anything else; the short form `host:path` is answered with the long one to write instead.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let refuse = |why: &str| UrlError { url: shown(text), why: why.to_owned() };
        if text.len() > 2048 {
            return Err(refuse("it is longer than 2,048 bytes"));
        }
        if let Some(bad) = text.chars().find(|c| !is_plain(*c)) {
            return Err(refuse(&format!("it has the character {}; percent-encode it", Text::new(bad.to_string()))));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(refuse(&not_a_url(text)));
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ssh" => Scheme::Ssh,
            "file" => Scheme::File,
            _ => return Err(refuse("its scheme is not http, https or ssh")),
        };
        if rest.contains(['?', '#']) {
            return Err(refuse("it has a query or a fragment"));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (userinfo, place) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let (user, password) = match userinfo.map(|info| info.split_once(':').unwrap_or((info, ""))) {
            None => (None, None),
            Some((user, password)) => (
                Some(decode(user).ok_or_else(|| refuse("its user cannot be decoded"))?),
                Some(decode(password).ok_or_else(|| refuse("its password cannot be decoded"))?),
            ),
        };
        let (host, port) = split_port(place).ok_or_else(|| refuse("its port is not a number from 1 to 65535"))?;
        let password = password.filter(|password| !password.is_empty()).map(Secret::new);
        let url = GitUrl { scheme, user, password, host: host.to_ascii_lowercase(), port, path: path.to_owned() };
        match url.fault() {
            Some(why) => Err(refuse(why)),
            None => Ok(url),
        }
    }

    fn fault(&self) -> Option<&'static str> {
        let user = self.user.as_deref().unwrap_or_default();
        let decoded = decode(&self.path);
        let path = decoded.as_deref().unwrap_or_default();
        let has_controls = |text: &str| text.chars().any(char::is_control);
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match () {
            () if self.scheme == Scheme::File && !(self.host.is_empty() && self.user.is_none()) => {
                Some("a file URL names no host: write file:///path")
            }
            () if self.scheme != Scheme::File && self.host.is_empty() => Some("it has no host"),
            () if self.host.starts_with('-') => Some("its host begins with a dash"),
            () if self.host.contains(':') && self.host.parse::<std::net::Ipv6Addr>().is_err() => {
                Some("its host is not an address")
            }
            () if !self.host.contains(':') && !self.host.chars().all(name) => Some("its host has odd characters"),
            () if user.starts_with('-') => Some("its user begins with a dash"),
            () if has_controls(user) || user.contains(['/', '@', ' ', '\'']) => Some("its user has odd characters"),
            () if decoded.is_none() || has_controls(path) => Some("its path cannot be decoded"),
            () if path.len() < 2 => Some("it has no path"),
            () if path.starts_with("/-") => Some("its path begins with a dash"),
            () if path.split('/').any(|part| part == "..") => Some("its path climbs with .."),
            () => None,
        }
    }

    /// The path with its escapes undone, as a server's file system knows it. `~user` paths lose their slash.
    pub fn decoded_path(&self) -> String {
        let path = decode(&self.path).unwrap_or_default();
        match path.strip_prefix('/') {
            Some(home) if self.scheme == Scheme::Ssh && home.starts_with('~') => home.to_owned(),
            _ => path,
        }
    }

    /// The host with its port where one was written.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        self.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
    }

    /// The port that is connected to.
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or_else(|| self.scheme.port())
    }

    /// Whether credentials for one may be shown to the other: same scheme, host and port.
    pub fn same_origin(&self, other: &GitUrl) -> bool {
        let of = |url: &GitUrl| (url.scheme, url.host.clone(), url.effective_port());
        of(self) == of(other)
    }

    /// Resolves a submodule's relative address (`./x`, `../x`) against this one.
    ///
    /// Errors when it climbs above the host or is no address at all.
    pub fn join(&self, relative: &str) -> Result<GitUrl, UrlError> {
        if !relative.starts_with("./") && !relative.starts_with("../") {
            return GitUrl::parse(relative);
        }
        let refuse = |why: &str| UrlError { url: shown(relative), why: why.to_owned() };
        let mut parts: Vec<&str> = self.path.trim_end_matches('/').split('/').filter(|part| !part.is_empty()).collect();
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.pop().is_none() => return Err(refuse("it climbs above its host")),
                ".." => {}
                part => parts.push(part),
            }
        }
        let user = self.user.as_ref().filter(|_| self.scheme == Scheme::Ssh).map_or(String::new(), |u| format!("{u}@"));
        GitUrl::parse(&format!("{}://{user}{}/{}", self.scheme.word(), self.authority(), parts.join("/")))
    }
}

/// Without user and password: fit for logs, messages and requests whose credentials travel in headers.
impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.word(), self.authority(), self.path)
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '`' | '\\' | '<' | '>' | '{' | '}' | '|' | '^' | '$' | ';' | '&')
        || !c.is_ascii() && c.is_alphanumeric()
}

fn not_a_url(text: &str) -> String {
    match text.split_once(':') {
        Some((host, path)) if !host.is_empty() && !path.is_empty() && !host.contains('/') => {
            let user = if host.contains('@') { "" } else { "git@" };
            format!("the short form is not supported; write ssh://{user}{host}/{}", path.trim_start_matches('/'))
        }
        _ => "it has no scheme; write https://host/path or ssh://git@host/path".to_owned(),
    }
}

/// The text without what stands between `//` and `@`, which may be a password.
fn shown(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text[start..].find('/').map_or(text.len(), |at| start + at);
    let hidden = match text[start..end].rfind('@') {
        Some(at) if start > 0 => format!("{}{}", &text[..start], &text[start + at + 1..]),
        _ => text.to_owned(),
    };
    let cut: String = hidden.chars().take(256).collect();
    Text::new(cut).into_string()
}

fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            if host.is_empty() || !host.contains(':') {
                return None;
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return None,
            }
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    match port {
        None => Some((host, None)),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0).map(|port| (host, Some(port)))
        }
        Some(_) => None,
    }
}

fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_are_taken_apart() {
        let url = GitUrl::parse("https://user:p%40ss@Example.org:8443/team/repo.git").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("example.org", Some(8443), "/team/repo.git"));
        assert_eq!(url.user.as_deref(), Some("user"));
        assert_eq!(url.password.as_ref().map(Secret::reveal), Some("p@ss"));
        assert_eq!(url.to_string(), "https://example.org:8443/team/repo.git");
        let ssh = GitUrl::parse("ssh://git@[::1]:2222/~me/a%20b").unwrap();
        assert_eq!((ssh.host.as_str(), ssh.authority().as_str()), ("::1", "[::1]:2222"));
        assert_eq!(ssh.decoded_path(), "~me/a b");
        assert_eq!(GitUrl::parse("file:///srv/größe.git").unwrap().decoded_path(), "/srv/größe.git");
        assert_eq!(GitUrl::parse("ssh://host/x").unwrap().effective_port(), 22);
    }

    #[test]
    fn forty_hostile_addresses_are_refused() {
        for text in [
            "",
            "repo",
            "/srv/repo",
            "./repo",
            "git@host:team/repo",
            "host:path",
            "ext::sh -c id",
            "ssh://",
            "ssh:///path",
            "https://host",
            "https://host/",
            "ssh://-oProxyCommand=id/x",
            "ssh://-host/x",
            "ssh://h/-x",
            "ssh://-u@h/x",
            "ssh://u ser@h/x",
            "ssh://h/a b",
            "ssh://h/a\tb",
            "ssh://h/a\nb",
            "ssh://h/%0ax",
            "ssh://h/%00",
            "ssh://h/%zz",
            "ssh://h/%",
            "ssh://h/%ff",
            "ssh://h/x'; id",
            "ssh://h/`id`",
            "ssh://h/$(id)",
            "ssh://h/a|b",
            "ssh://h/a\"b",
            "ssh://h/a\\b",
            "ssh://h:0/x",
            "ssh://h:99999/x",
            "ssh://h:-1/x",
            "ssh://h:22a/x",
            "ssh://[::1/x",
            "ssh://[host]/x",
            "ssh://h/../x",
            "ssh://h/a/%2e%2e/x",
            "ftp://h/x",
            "git://h/x",
            "javascript://h/x",
            "file://host/x",
            "file://u@/x",
            "https://h/x?y",
            "https://h/x#y",
            "https://h%00/x",
            "https://h_\u{202e}/x",
            "https://a\u{200b}b/x",
            "https://ho,st/x",
            "https://h\u{7f}/x",
        ] {
            assert!(GitUrl::parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(GitUrl::parse(&format!("https://h/{}", "x".repeat(3000))).is_err());
    }

    #[test]
    fn errors_help_and_hide_passwords() {
        let help = GitUrl::parse("git@github.com:team/repo.git").unwrap_err().to_string();
        assert!(help.contains("ssh://git@github.com/team/repo.git"), "{help}");
        let hidden = GitUrl::parse("https://user:hunter2@host/a b").unwrap_err().to_string();
        assert!(!hidden.contains("hunter2"), "{hidden}");
        let debugged = format!("{:?}", GitUrl::parse("https://user:hunter2@host/x").unwrap());
        assert!(!debugged.contains("hunter2"), "{debugged}");
    }

    #[test]
    fn relative_addresses_stay_on_their_host() {
        let base = GitUrl::parse("https://user:pw@host:1/team/repo.git").unwrap();
        assert_eq!(base.join("../other.git").unwrap().to_string(), "https://host:1/team/other.git");
        assert_eq!(base.join("./sub").unwrap().to_string(), "https://host:1/team/repo.git/sub");
        for bad in ["../../../x", "../../..", "..", "../../../../evil.org/x"] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
        let other = base.join("https://other/x").unwrap();
        assert!(!base.same_origin(&other) && base.same_origin(&base.join("../y").unwrap()));
        assert!(!base.same_origin(&GitUrl::parse("http://host:1/team/repo.git").unwrap()));
    }
}
