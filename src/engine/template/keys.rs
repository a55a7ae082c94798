//! Private keys: made, read, written and signed with. RSA, ECDSA on P-256, Ed25519.
//!
//! Randomness comes from the caller. Start with [`Key`]. Source: Masterminds/sprig (crypto.go), Go's crypto/x509.

use std::convert::Infallible;

use ed25519_dalek::Signer;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::elliptic_curve::sec1::ToSec1Point;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

use super::Random;
use super::der::{Reader, bits, element, from_pem, integer, octets, seq, to_pem};

const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const SHA256_WITH_RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
const EC: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ECDSA_WITH_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];
const NULL: &[u8] = &[0x05, 0];
/// What PKCS #1 puts before a SHA-256 digest that is signed.
const SHA256_PREFIX: [u8; 19] = [0x30, 0x31, 0x30, 0x0d, 0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];

/// A private key.
pub(super) enum Key {
    Rsa(Box<rsa::RsaPrivateKey>),
    P256(Box<p256::SecretKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// The caller's randomness as the crates want it.
struct Source<'w>(Random<'w>);

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        (self.0)(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}

impl Key {
    pub fn rsa(random: Random<'_>, bits: usize) -> Result<Key, String> {
        let key = rsa::RsaPrivateKey::new(&mut Source(random), bits);
        key.map(|key| Key::Rsa(Box::new(key))).map_err(|error| error.to_string())
    }

    pub fn p256(random: Random<'_>) -> Result<Key, String> {
        let mut bytes = [0; 32];
        // Fewer than one in 2^32 are no keys.
        for _ in 0..8 {
            random(&mut bytes);
            if let Ok(key) = p256::SecretKey::from_slice(&bytes) {
                return Ok(Key::P256(Box::new(key)));
            }
        }
        Err("the random values make no key".into())
    }

    pub fn ed25519(random: Random<'_>) -> Key {
        let mut bytes = [0; 32];
        random(&mut bytes);
        Key::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&bytes)))
    }

    /// Reads a key. Errors with Sprig's text, or with the kinds of keys that are known.
    pub fn read(pem: &str) -> Result<Key, String> {
        let (label, der) = from_pem(pem).ok_or("no PEM data in input")?;
        let kind = label.strip_suffix("PRIVATE KEY").map(str::trim_end);
        match kind {
            Some("") => pkcs8(&der).ok_or_else(|| "decoding PEM as PKCS#8: it is no RSA, P-256 or Ed25519 key".into()),
            Some("RSA") => rsa_key(&der).ok_or_else(|| "parsing RSA private key from PEM: it cannot be read".into()),
            Some("EC") => sec1(&der).ok_or_else(|| "parsing EC private key from PEM: it is no P-256 key".into()),
            Some(_) => Err(format!("invalid private key type {label}")),
            None => Err(format!("no private key data in PEM block of type {label}")),
        }
    }

    /// The key as PEM, each kind in the form that Sprig gives it.
    pub fn to_pem(&self) -> String {
        match self {
            Key::Rsa(key) => {
                let der = key.to_pkcs1_der().map(|der| der.as_bytes().to_vec());
                to_pem("RSA PRIVATE KEY", &der.unwrap_or_default())
            }
            Key::P256(key) => {
                let curve = element(0xa0, P256);
                let public = element(0xa1, &bits(&point(key), 0));
                to_pem("EC PRIVATE KEY", &seq(&[integer(&[1]), octets(&key.to_bytes()), curve, public]))
            }
            Key::Ed25519(key) => {
                let inner = octets(&octets(key.as_bytes()));
                to_pem("PRIVATE KEY", &seq(&[integer(&[0]), seq(&[ED25519.to_vec()]), inner]))
            }
        }
    }

    /// The public key alone, as certificates number it.
    pub fn public_bits(&self) -> Vec<u8> {
        match self {
            Key::Rsa(key) => key.to_public_key().to_pkcs1_der().map(|der| der.as_bytes().to_vec()).unwrap_or_default(),
            Key::P256(key) => point(key),
            Key::Ed25519(key) => key.verifying_key().as_bytes().to_vec(),
        }
    }

    /// The public key with its kind.
    pub fn public_info(&self) -> Vec<u8> {
        let kind = match self {
            Key::Rsa(_) => seq(&[RSA.to_vec(), NULL.to_vec()]),
            Key::P256(_) => seq(&[EC.to_vec(), P256.to_vec()]),
            Key::Ed25519(_) => seq(&[ED25519.to_vec()]),
        };
        seq(&[kind, bits(&self.public_bits(), 0)])
    }

    /// How the key signs.
    pub fn algorithm(&self) -> Vec<u8> {
        match self {
            Key::Rsa(_) => seq(&[SHA256_WITH_RSA.to_vec(), NULL.to_vec()]),
            Key::P256(_) => seq(&[ECDSA_WITH_SHA256.to_vec()]),
            Key::Ed25519(_) => seq(&[ED25519.to_vec()]),
        }
    }

    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let digest = Sha256::digest(message);
        match self {
            Key::Rsa(key) => {
                let padding = rsa::Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256_PREFIX.into() };
                key.sign(padding, &digest).map_err(|error| error.to_string())
            }
            Key::P256(key) => {
                let key = p256::ecdsa::SigningKey::from(&**key);
                let signature: p256::ecdsa::Signature = key.sign_prehash(&digest).map_err(|error| error.to_string())?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Key::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
        }
    }
}

fn point(key: &p256::SecretKey) -> Vec<u8> {
    key.public_key().to_sec1_point(false).as_bytes().to_vec()
}

fn rsa_key(der: &[u8]) -> Option<Key> {
    rsa::RsaPrivateKey::from_pkcs1_der(der).ok().map(|key| Key::Rsa(Box::new(key)))
}

fn sec1(der: &[u8]) -> Option<Key> {
    let mut fields = Reader(der).next(0x30)?.0;
    fields.next(0x02)?;
    let (scalar, _) = fields.next(0x04)?;
    if let Some((curve, _)) = fields.next(0xa0)
        && curve.0 != P256
    {
        return None;
    }
    p256::SecretKey::from_slice(scalar.0).ok().map(|key| Key::P256(Box::new(key)))
}

fn pkcs8(der: &[u8]) -> Option<Key> {
    let mut fields = Reader(der).next(0x30)?.0;
    fields.next(0x02)?;
    let kind = fields.next(0x30)?.0.0;
    let inner = fields.next(0x04)?.0.0;
    if kind.starts_with(RSA) {
        return rsa_key(inner);
    }
    if kind.starts_with(EC) {
        return if kind.ends_with(P256) { sec1(inner) } else { None };
    }
    let seed: [u8; 32] = Reader(inner).next(0x04)?.0.0.try_into().ok().filter(|_| kind == ED25519)?;
    Some(Key::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed))))
}
