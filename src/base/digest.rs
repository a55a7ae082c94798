//! [`Digest`]: `<algorithm>:<hex>` as Flux writes it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A content digest, e.g. `sha256:9f86d0…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    pub algorithm: String,
    /// Lower-case hexadecimal.
    pub hex: String,
}

impl Digest {
    /// The sha256 digest of some bytes.
    pub fn sha256(bytes: &[u8]) -> Self {
        Digest { algorithm: "sha256".into(), hex: hex::encode(Sha256::digest(bytes)) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex)
    }
}

impl FromStr for Digest {
    type Err = String;

    /// Errors when there is no colon or the right side is not hexadecimal.
    fn from_str(text: &str) -> Result<Self, String> {
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| format!("digest {text:?} has no algorithm"))?;
        let named = !algorithm.is_empty() && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !named || hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("digest {text:?} is not <algorithm>:<hex>"));
        }
        Ok(Digest { algorithm: algorithm.into(), hex: hex.to_ascii_lowercase() })
    }
}
