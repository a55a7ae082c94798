//! Sprig's keys and certificates: `genPrivateKey`, `genCA` and its kin, `buildCustomCert`.
//!
//! The clock and randomness come from the caller. Start with [`FUNCTIONS`].
//! Source: Masterminds/sprig (crypto.go), Go's crypto/x509 (x509.go: CreateCertificate).

use core::net::IpAddr;
use std::rc::Rc;

use base64::Engine;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::Random;
use super::call::{Function, Type, int, text};
use super::der::{Reader, bits, element, from_pem, integer, octets, seq, to_pem};
use super::error::{Answer, Failure};
use super::keys::Key;
use super::run::Machine;
use super::value::{Object, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("genPrivateKey", &[Type::Text], |machine, args| {
        let random = paid(machine)?;
        let made = match &*text(args, 0) {
            "" | "rsa" => Key::rsa(random, 4096),
            "ecdsa" => Key::p256(random),
            "ed25519" => Ok(Key::ed25519(random)),
            "dsa" => return Err(Failure::plain("weir makes no dsa keys; use rsa, ecdsa or ed25519")),
            other => return Ok(format!("Unknown type {other}").into()),
        };
        Ok(made.map(|key| key.to_pem()).unwrap_or_else(|why| format!("failed to generate private key: {why}")).into())
    }),
    Function::new("buildCustomCert", &[Type::Text, Type::Text], build),
    Function::new("genCA", &[Type::Text, Type::Int], |machine, args| {
        let key = fresh(machine)?;
        authority(machine, args, &key)
    }),
    Function::new("genCAWithKey", &[Type::Text, Type::Int, Type::Text], |machine, args| {
        let key = given(machine, args, 2)?;
        authority(machine, args, &key)
    }),
    Function::new("genSelfSignedCert", &[Type::Text, Type::List, Type::List, Type::Int], |machine, args| {
        let key = fresh(machine)?;
        issue(machine, &leaf(args)?, &key, None)
    }),
    Function::new(
        "genSelfSignedCertWithKey",
        &[Type::Text, Type::List, Type::List, Type::Int, Type::Text],
        |machine, args| {
            let key = given(machine, args, 4)?;
            issue(machine, &leaf(args)?, &key, None)
        },
    ),
    Function::new(
        "genSignedCert",
        &[Type::Text, Type::List, Type::List, Type::Int, Type::Certificate],
        |machine, args| {
            let key = fresh(machine)?;
            let signer = Signer::read(&args[4])?;
            issue(machine, &leaf(args)?, &key, Some(&signer))
        },
    ),
    Function::new(
        "genSignedCertWithKey",
        &[Type::Text, Type::List, Type::List, Type::Int, Type::Certificate, Type::Text],
        |machine, args| {
            let key = given(machine, args, 5)?;
            let signer = Signer::read(&args[4])?;
            issue(machine, &leaf(args)?, &key, Some(&signer))
        },
    ),
];

/// The size of the keys that Sprig makes for certificates.
const BITS: usize = 2048;
const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 4, 3];
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What a certificate says.
struct Wanted {
    name: String,
    addresses: Vec<IpAddr>,
    hosts: Vec<String>,
    days: i64,
    is_authority: bool,
}

/// Who signs a certificate that is not signed by itself.
struct Signer {
    key: Key,
    subject: Vec<u8>,
    /// The number of its public key, if it says one.
    number: Option<Vec<u8>>,
}

fn paid<'w>(machine: &mut Machine<'w>) -> Answer<Random<'w>> {
    machine.charge_crypto()?;
    machine.world.random.ok_or_else(|| Failure::plain("random values are not allowed here"))
}

fn fresh(machine: &mut Machine<'_>) -> Answer<Key> {
    let random = paid(machine)?;
    Key::rsa(random, BITS).map_err(|why| Failure::plain(format!("error generating rsa key: {why}")))
}

fn given(machine: &mut Machine<'_>, args: &[Value], index: usize) -> Answer<Key> {
    machine.charge_crypto()?;
    Key::read(&text(args, index)).map_err(|why| Failure::plain(format!("parsing private key: {why}")))
}

/// A certificate with its key, as templates see it.
fn certificate(cert: String, key: String) -> Value {
    let fields = vec![("Cert", cert.into()), ("Key", key.into())];
    Value::Object(Rc::new(Object { type_name: "sprig.certificate", pointer: false, fields, text: None }))
}

fn build(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let decode = |index: usize, what: &str| {
        let decoded = base64::engine::general_purpose::STANDARD.decode(text(args, index).as_bytes());
        let decoded = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.ok_or_else(|| Failure::plain(format!("unable to decode base64 {what}")))
    };
    let (cert, key) = (decode(0, "certificate")?, decode(1, "private key")?);
    let (_, der) = from_pem(&cert).ok_or_else(|| Failure::plain("unable to decode certificate"))?;
    if parts(&der).is_none() {
        return Err(Failure::plain("error parsing certificate: decodedCert.Bytes: it is no certificate"));
    }
    Key::read(&key).map_err(|why| Failure::plain(format!("error parsing private key: {why}")))?;
    Ok(certificate(cert, key))
}

fn authority(machine: &mut Machine<'_>, args: &[Value], key: &Key) -> Answer<Value> {
    let name = text(args, 0).into_owned();
    let days = int(args, 1);
    issue(machine, &Wanted { name, addresses: vec![], hosts: vec![], days, is_authority: true }, key, None)
}

fn leaf(args: &[Value]) -> Answer<Wanted> {
    let shown = |value: &Value| super::format::value_text(value);
    let mut addresses = Vec::new();
    for item in args[1].to_items().unwrap_or_default() {
        let Value::Str(written) = &item else {
            return Err(Failure::plain(format!("error parsing ip: {} is not a string", shown(&item)?)));
        };
        addresses.push(written.parse().map_err(|_| Failure::plain(format!("error parsing ip: {written}")))?);
    }
    let mut hosts = Vec::new();
    for item in args[2].to_items().unwrap_or_default() {
        let Value::Str(host) = &item else {
            let text = format!("error processing alternate dns name: {} is not a string", shown(&item)?);
            return Err(Failure::plain(text));
        };
        if !host.is_ascii() {
            let why = format!("x509: {} cannot be encoded as an IA5String", super::text::quote(host));
            return Err(Failure::plain(format!("error creating certificate: {why}")));
        }
        hosts.push(host.to_string());
    }
    Ok(Wanted { name: text(args, 0).into_owned(), addresses, hosts, days: int(args, 3), is_authority: false })
}

/// Signs a certificate, by itself when there is no signer.
fn issue(machine: &mut Machine<'_>, wanted: &Wanted, key: &Key, signer: Option<&Signer>) -> Answer<Value> {
    let mut serial = [0; 16];
    machine.world.fill_random(&mut serial)?;
    let subject = name(&wanted.name);
    let issuer = signer.map_or(&subject, |signer| &signer.subject);
    let signing = signer.map_or(key, |signer| &signer.key);
    let begin = machine.world.now;
    let length = SignedDuration::from_secs(wanted.days.saturating_mul(DAY_SECONDS));
    let end = begin.checked_add(length).unwrap_or(if wanted.days < 0 { Timestamp::MIN } else { Timestamp::MAX });
    let number = signer.filter(|signer| signer.subject != subject).and_then(|signer| signer.number.as_deref());
    let body = seq(&[
        element(0xa0, &integer(&[2])),
        integer(&serial),
        signing.algorithm(),
        issuer.clone(),
        seq(&[time(begin), time(end)]),
        subject,
        key.public_info(),
        element(0xa3, &seq(&extensions(wanted, key, number))),
    ]);
    let signature = signing.sign(&body).map_err(|why| Failure::plain(format!("error creating certificate: {why}")))?;
    let whole = seq(&[body, signing.algorithm(), bits(&signature, 0)]);
    Ok(certificate(to_pem("CERTIFICATE", &whole), key.to_pem()))
}

/// A name of one part, the common name.
fn name(common: &str) -> Vec<u8> {
    if common.is_empty() {
        return seq(&[]);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c);
    let tag = if common.chars().all(plain) { 0x13 } else { 0x0c };
    let pair = seq(&[COMMON_NAME.to_vec(), element(tag, common.as_bytes())]);
    seq(&[element(0x31, &pair)])
}

/// Years from 1950 to 2049 have two digits.
fn time(at: Timestamp) -> Vec<u8> {
    let at: DateTime = at.to_zoned(TimeZone::UTC).datetime();
    let rest = format!("{:02}{:02}{:02}{:02}{:02}Z", at.month(), at.day(), at.hour(), at.minute(), at.second());
    match at.year() {
        year @ 1950..=2049 => element(0x17, format!("{:02}{rest}", year % 100).as_bytes()),
        year => element(0x18, format!("{:04}{rest}", year.max(0)).as_bytes()),
    }
}

/// In Go's order: usages, constraints, numbers of keys, names.
fn extensions(wanted: &Wanted, key: &Key, issuer: Option<&[u8]>) -> Vec<Vec<u8>> {
    let extension = |last: u8, critical: bool, content: Vec<u8>| {
        let critical = if critical { element(0x01, &[0xff]) } else { Vec::new() };
        seq(&[element(0x06, &[0x55, 0x1d, last]), critical, octets(&content)])
    };
    let purpose = |last: u8| element(0x06, &[0x2b, 6, 1, 5, 5, 7, 3, last]);
    let (usage, constraint) = match wanted.is_authority {
        true => (bits(&[0xa4], 2), seq(&[element(0x01, &[0xff])])),
        false => (bits(&[0xa0], 5), seq(&[])),
    };
    let mut all = vec![
        extension(15, true, usage),
        extension(37, false, seq(&[purpose(1), purpose(2)])),
        extension(19, true, constraint),
    ];
    if wanted.is_authority {
        let digest = Sha256::digest(key.public_bits());
        all.push(extension(14, false, octets(&digest[..20])));
    }
    if let Some(number) = issuer {
        all.push(extension(35, false, seq(&[element(0x80, number)])));
    }
    let hosts = wanted.hosts.iter().map(|host| element(0x82, host.as_bytes()));
    let addresses = wanted.addresses.iter().map(|address| match address {
        IpAddr::V4(four) => element(0x87, &four.octets()),
        IpAddr::V6(six) => element(0x87, &six.octets()),
    });
    let names: Vec<Vec<u8>> = hosts.chain(addresses).collect();
    if !names.is_empty() {
        all.push(extension(17, wanted.name.is_empty(), seq(&names)));
    }
    all
}

/// What a certificate says of its owner: the name, the public key, and the key's number.
struct Parts {
    subject: Vec<u8>,
    public: Vec<u8>,
    number: Option<Vec<u8>>,
}

fn parts(der: &[u8]) -> Option<Parts> {
    let mut outer = Reader(der).next(0x30)?.0;
    let mut body = outer.next(0x30)?.0;
    outer.next(0x30)?;
    outer.next(0x03)?;
    body.skip(0xa0);
    body.next(0x02)?;
    body.next(0x30)?;
    body.next(0x30)?;
    body.next(0x30)?;
    let subject = body.next(0x30)?.1.to_vec();
    let public = body.next(0x30)?.1.to_vec();
    body.skip(0x81);
    body.skip(0x82);
    let mut number = None;
    if let Some((mut wrapped, _)) = body.next(0xa3) {
        let mut all = wrapped.next(0x30)?.0;
        while let Some((mut extension, _)) = all.next(0x30) {
            let kind = extension.next(0x06)?.0.0;
            extension.skip(0x01);
            let mut content = extension.next(0x04)?.0;
            if kind == [0x55, 0x1d, 14] {
                number = content.next(0x04).map(|(number, _)| number.0.to_vec());
            }
        }
    }
    Some(Parts { subject, public, number })
}

impl Signer {
    fn read(value: &Value) -> Answer<Self> {
        let Value::Object(object) = value else { return Err(Failure::plain("unable to decode certificate")) };
        let field = |name: &str| object.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone());
        let fields = [field("Cert").unwrap_or_default(), field("Key").unwrap_or_default()];
        let (_, der) = from_pem(&text(&fields, 0)).ok_or_else(|| Failure::plain("unable to decode certificate"))?;
        let parts = parts(&der).ok_or_else(|| {
            Failure::plain("error parsing certificate: decodedSignerCert.Bytes: it is no certificate")
        })?;
        let key = Key::read(&text(&fields, 1));
        let key = key.map_err(|why| Failure::plain(format!("error parsing private key: {why}")))?;
        if key.public_info() != parts.public {
            let why = "x509: provided PrivateKey doesn't match parent's PublicKey";
            return Err(Failure::plain(format!("error creating certificate: {why}")));
        }
        Ok(Signer { key, subject: parts.subject, number: parts.number })
    }
}
