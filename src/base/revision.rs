//! [`Revision`]: what a source was at, e.g. `main@sha1:9f86d0…`.

use std::fmt;

use super::Digest;

/// A source revision: a human pointer, a digest, or both. The legacy form `main/<hash>` is read too.
///
/// Source: fluxcd/pkg apis/meta and git (revision strings).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Branch, tag or full reference; empty when only the digest is known.
    pub pointer: String,
    pub digest: Option<Digest>,
}

impl Revision {
    /// Reads any text: what is not a known form is kept whole as the pointer.
    pub fn parse(text: &str) -> Self {
        if let Ok(digest) = text.parse() {
            return Revision { pointer: String::new(), digest: Some(digest) };
        }
        if let Some((pointer, digest)) = text.rsplit_once('@')
            && let Ok(digest) = digest.parse()
        {
            return Revision { pointer: pointer.into(), digest: Some(digest) };
        }
        if let Some((pointer, hash)) = text.rsplit_once('/')
            && hash.len() >= 40
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            let algorithm = if hash.len() == 40 { "sha1" } else { "sha256" };
            let pointer = if pointer == "HEAD" { "" } else { pointer };
            return Revision {
                pointer: pointer.into(),
                digest: Some(Digest { algorithm: algorithm.into(), hex: hash.to_ascii_lowercase() }),
            };
        }
        Revision { pointer: text.into(), digest: None }
    }

    /// The form for people: hashes cut to eight characters, as `flux get` prints them.
    pub fn short(&self) -> String {
        match &self.digest {
            Some(digest) => {
                let hex = digest.hex.get(..8).unwrap_or(&digest.hex);
                let at = if self.pointer.is_empty() { "" } else { "@" };
                format!("{}{at}{}:{hex}", self.pointer, digest.algorithm)
            }
            None => self.pointer.clone(),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.pointer, &self.digest) {
            (pointer, None) => f.write_str(pointer),
            ("", Some(digest)) => write!(f, "{digest}"),
            (pointer, Some(digest)) => write!(f, "{pointer}@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_forms_are_the_same_revision() {
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";
        let new = Revision::parse(&format!("main@sha1:{hash}"));
        assert_eq!(new, Revision::parse(&format!("main/{hash}")));
        assert_eq!(new.short(), "main@sha1:9f86d081");
        assert_eq!(Revision::parse(&format!("sha1:{hash}")).short(), "sha1:9f86d081");
        assert_eq!(Revision::parse("6.5.0").to_string(), "6.5.0");
    }
}
