//! [`KnownHosts`]: which host keys are trusted. There is no trust on first use: what is not written is unknown.
//!
//! Reads OpenSSH's format with hashed names, patterns, negations, ports and revocations. Certificate authorities are
//! not supported: their lines trust nothing. Start with [`KnownHosts::read`].

use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::ssh_key::PublicKey;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts as Lines, Marker};
use russh::keys::{Algorithm, HashAlg};

use crate::engine::glob::is_like;

/// The keys that are written for one host.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownHosts {
    known: Vec<PublicKey>,
    revoked: Vec<PublicKey>,
}

/// What the file says of a shown key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Known,
    /// Nothing is written for this host.
    Unknown,
    /// Other keys are written for this host, or this one is revoked.
    Changed,
}

impl KnownHosts {
    /// Keeps what is written for a host and port. A line that cannot be read trusts nothing and is passed over.
    pub(super) fn read(text: &str, host: &str, port: u16) -> Self {
        let names = match port {
            22 => vec![host.to_owned(), format!("[{host}]:22")],
            _ => vec![format!("[{host}]:{port}")],
        };
        let mut hosts = KnownHosts::default();
        for entry in text.lines().filter_map(|line| Lines::new(line).next()?.ok()) {
            if names.iter().any(|name| speaks_of(&entry, name)) {
                match entry.marker() {
                    None => hosts.known.push(entry.public_key().clone()),
                    Some(Marker::Revoked) => hosts.revoked.push(entry.public_key().clone()),
                    Some(Marker::CertAuthority) => {}
                }
            }
        }
        hosts
    }

    /// Judges a shown key.
    pub(super) fn judge(&self, key: &PublicKey) -> Verdict {
        let among = |keys: &[PublicKey]| keys.iter().any(|known| known.key_data() == key.key_data());
        match () {
            () if among(&self.revoked) => Verdict::Changed,
            () if among(&self.known) => Verdict::Known,
            () if self.known.is_empty() => Verdict::Unknown,
            () => Verdict::Changed,
        }
    }

    /// The host key algorithms to ask for, so that a server with several keys shows one that can be judged.
    /// Empty when nothing is known. RSA is asked for with SHA-2 only.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let mut all = Vec::new();
        for key in &self.known {
            let wanted = match key.algorithm() {
                Algorithm::Rsa { .. } => {
                    vec![Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }]
                }
                other => vec![other],
            };
            all.extend(wanted.into_iter().filter(|algorithm| !all.contains(algorithm)).collect::<Vec<_>>());
        }
        all
    }
}

fn speaks_of(entry: &Entry, name: &str) -> bool {
    match entry.host_patterns() {
        HostPatterns::HashedName { salt, hash } => match Hmac::<sha1::Sha1>::new_from_slice(salt) {
            Ok(mac) => mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok(),
            Err(_) => false,
        },
        HostPatterns::Patterns(patterns) => {
            let (not, yes): (Vec<&String>, Vec<&String>) =
                patterns.iter().partition(|pattern| pattern.starts_with('!'));
            yes.iter().any(|pattern| wildcard(pattern.as_bytes(), name.as_bytes()))
                && !not.iter().any(|pattern| wildcard(&pattern.as_bytes()[1..], name.as_bytes()))
        }
    }
}

/// `*` and `?` as in OpenSSH; names compare without case.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    is_like(pattern, name, |wanted, found| {
        (wanted[0] == b'?' || wanted[0].eq_ignore_ascii_case(&found[0])).then_some((1, 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn hashed(name: &str) -> String {
        use base64::Engine as _;
        let salt = b"0123456789abcdef0123";
        let hash = Hmac::<sha1::Sha1>::new_from_slice(salt).unwrap().chain_update(name.as_bytes()).finalize();
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("|1|{}|{}", encode(salt), encode(&hash.into_bytes()))
    }

    #[test]
    fn only_what_is_written_is_trusted() {
        use Verdict::{Changed, Known, Unknown};
        let h22 = hashed("git.example.org");
        let h2222 = hashed("[git.example.org]:2222");
        for (hosts, port, shown, verdict) in [
            ("git.example.org", 22, ONE, Known),
            ("git.example.org", 22, TWO, Changed),
            ("git.example.org", 2222, ONE, Unknown),
            ("[git.example.org]:2222", 2222, ONE, Known),
            ("[git.example.org]:22", 22, ONE, Known),
            ("[git.example.org]:2222", 22, ONE, Unknown),
            ("other.org,git.example.org", 22, ONE, Known),
            ("other.org", 22, ONE, Unknown),
            ("*.example.org", 22, ONE, Known),
            ("*.example.org,!git.example.org", 22, ONE, Unknown),
            ("gi?.example.org", 22, ONE, Known),
            ("GIT.example.ORG", 22, ONE, Known),
            ("git.example.org.evil.com", 22, ONE, Unknown),
            (h22.as_str(), 22, ONE, Known),
            (h22.as_str(), 22, TWO, Changed),
            (h2222.as_str(), 2222, ONE, Known),
            (h2222.as_str(), 22, ONE, Unknown),
            ("@revoked git.example.org", 22, ONE, Changed),
            ("@cert-authority git.example.org", 22, ONE, Unknown),
            ("# git.example.org", 22, ONE, Unknown),
        ] {
            let text = format!("# a comment\nnonsense line\n{hosts} {ONE} comment\n");
            let known = KnownHosts::read(&text, "git.example.org", port);
            assert_eq!(known.judge(&key(shown)), verdict, "{hosts} for port {port}");
        }
    }

    #[test]
    fn a_revoked_key_stays_revoked_though_it_is_also_written() {
        let text = format!("h {ONE}\n@revoked * {ONE}\nh {TWO}\n");
        let known = KnownHosts::read(&text, "h", 22);
        assert_eq!((known.judge(&key(ONE)), known.judge(&key(TWO))), (Verdict::Changed, Verdict::Known));
        assert_eq!(known.algorithms(), [Algorithm::Ed25519]);
        assert_eq!(KnownHosts::read("", "h", 22).judge(&key(ONE)), Verdict::Unknown);
    }
}
