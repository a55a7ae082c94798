//! New SSH keys for deploy keys, and the public half of given ones.

use russh::keys::ssh_key::private::{KeypairData, RsaKeypair};
use russh::keys::ssh_key::{LineEnding, PrivateKey};
use russh::keys::{Algorithm, EcdsaCurve};

use super::error::GitError;
use crate::base::Secret;

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Ed25519,
    /// On the curve of 256, 384 or 521 bits.
    Ecdsa(u16),
    /// With so many bits.
    Rsa(usize),
}

/// A private key with its public half.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// In OpenSSH's form.
    pub identity: Secret,
    /// One line, as deploy keys are given.
    pub public: String,
}

/// Makes a key. RSA takes a while: call it on a thread that may be busy.
///
/// Errors when there is no such curve, or too few bits.
pub fn generate(kind: KeyKind) -> Result<KeyPair, GitError> {
    let mut random = russh::keys::key::safe_rng();
    let unusable = |why: String| GitError::CredentialsUnusable(why);
    let made = match kind {
        KeyKind::Ed25519 => PrivateKey::random(&mut random, Algorithm::Ed25519),
        KeyKind::Ecdsa(bits) => {
            let curve = match bits {
                256 => EcdsaCurve::NistP256,
                384 => EcdsaCurve::NistP384,
                521 => EcdsaCurve::NistP521,
                _ => return Err(unusable(format!("there is no curve of {bits} bits; use p256, p384 or p521"))),
            };
            PrivateKey::random(&mut random, Algorithm::Ecdsa { curve })
        }
        KeyKind::Rsa(bits) if !(2048..=16_384).contains(&bits) || !bits.is_multiple_of(8) => {
            return Err(unusable(format!("an RSA key has 2048 to 16384 bits, in steps of 8, not {bits}")));
        }
        KeyKind::Rsa(bits) => {
            RsaKeypair::random(&mut random, bits).and_then(|pair| PrivateKey::new(KeypairData::from(pair), ""))
        }
    };
    let key = made.map_err(|error| unusable(format!("no key could be made: {error}")))?;
    let identity = key.to_openssh(LineEnding::LF).map_err(|error| unusable(error.to_string()))?;
    Ok(KeyPair { identity: Secret::new(identity.as_str()), public: public_line(&key) })
}

/// The public half of a private key in OpenSSH or PEM form.
///
/// Errors when it cannot be read with that passphrase.
pub fn public_of(identity: &Secret, passphrase: Option<&Secret>) -> Result<String, GitError> {
    let passphrase = passphrase.map(Secret::reveal).filter(|text| !text.is_empty());
    match russh::keys::decode_secret_key(identity.reveal(), passphrase) {
        Ok(key) => Ok(public_line(&key)),
        Err(_) => Err(GitError::CredentialsUnusable("the private key cannot be read; is the passphrase right?".into())),
    }
}

fn public_line(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_kind_can_be_read_again() {
        for (kind, algorithm) in [
            (KeyKind::Ed25519, "ssh-ed25519 "),
            (KeyKind::Ecdsa(256), "ecdsa-sha2-nistp256 "),
            (KeyKind::Ecdsa(384), "ecdsa-sha2-nistp384 "),
            (KeyKind::Ecdsa(521), "ecdsa-sha2-nistp521 "),
        ] {
            let pair = generate(kind).unwrap();
            assert!(pair.public.starts_with(algorithm), "{}", pair.public);
            assert_eq!(public_of(&pair.identity, None).unwrap(), pair.public);
            assert!(!format!("{pair:?}").contains("PRIVATE KEY"));
        }
        assert_ne!(generate(KeyKind::Ed25519).unwrap().public, generate(KeyKind::Ed25519).unwrap().public);
        for wrong in [KeyKind::Rsa(1024), KeyKind::Rsa(2049), KeyKind::Ecdsa(512)] {
            assert!(generate(wrong).is_err());
        }
        assert!(public_of(&Secret::new("nonsense"), None).is_err());
    }
}
