//! Sprig's digests and random texts, and the plain refusal of what is not there yet.
//!
//! Randomness comes from the caller. Start with [`FUNCTIONS`]. Source: Masterminds/sprig (crypto.go), goutils.

use base64::Engine;
use sha1::Digest as _;
use sha2::Digest as _;

use super::call::{Function, Type, bytes, int};
use super::error::{Answer, Failure};
use super::run::Machine;
use super::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("sha1sum", &[Type::Text], |_, args| Ok(hex::encode(sha1::Sha1::digest(bytes(args, 0))).into())),
    Function::new("sha256sum", &[Type::Text], |_, args| Ok(hex::encode(sha2::Sha256::digest(bytes(args, 0))).into())),
    Function::new("sha512sum", &[Type::Text], |_, args| Ok(hex::encode(sha2::Sha512::digest(bytes(args, 0))).into())),
    Function::new("adler32sum", &[Type::Text], |_, args| Ok(adler32(bytes(args, 0)).to_string().into())),
    Function::new("randAlphaNum", &[Type::Int], |machine, args| {
        random_text(machine, args, |c| c.is_ascii_alphanumeric())
    }),
    Function::new("randAlpha", &[Type::Int], |machine, args| random_text(machine, args, |c| c.is_ascii_alphabetic())),
    Function::new("randNumeric", &[Type::Int], |machine, args| random_text(machine, args, |c| c.is_ascii_digit())),
    Function::new("randAscii", &[Type::Int], |machine, args| random_text(machine, args, |c| (' '..='~').contains(&c))),
    Function::new("shuffle", &[Type::Text], shuffle),
    Function::new("randBytes", &[Type::Int], |machine, args| {
        let Ok(count) = usize::try_from(int(args, 0)) else {
            return Err(Failure::plain("runtime error: makeslice: len out of range"));
        };
        machine.charge(count.saturating_mul(2))?;
        let mut random = vec![0; count];
        machine.world.fill_random(&mut random)?;
        Ok(base64::engine::general_purpose::STANDARD.encode(random).into())
    }),
    Function::new("uuidv4", &[], |machine, _| {
        let mut random = [0; 16];
        machine.world.fill_random(&mut random)?;
        random[6] = random[6] & 0x0f | 0x40;
        random[8] = random[8] & 0x3f | 0x80;
        let text = hex::encode(random);
        let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
        Ok(parts.join("-").into())
    }),
    Function::new("bcrypt", &[Type::Text], |machine, args| Ok(bcrypt(machine, bytes(args, 0))?.into())),
    Function::new("htpasswd", &[Type::Text, Type::Text], |machine, args| {
        let user = super::call::text(args, 0);
        if user.contains(':') {
            return Ok(format!("invalid username: {user}").into());
        }
        Ok(format!("{user}:{}", bcrypt(machine, bytes(args, 1))?).into())
    }),
    Function::new("genPrivateKey", &[Type::Text], |machine, _| missing(machine, "genPrivateKey")),
    Function::new("derivePassword", &[Type::Uint32, Type::Text, Type::Text, Type::Text, Type::Text], |machine, _| {
        missing(machine, "derivePassword")
    }),
    Function::new("buildCustomCert", &[Type::Text, Type::Text], |machine, _| missing(machine, "buildCustomCert")),
    Function::new("genCA", &[Type::Text, Type::Int], |machine, _| missing(machine, "genCA")),
    Function::new("genCAWithKey", &[Type::Text, Type::Int, Type::Text], |machine, _| missing(machine, "genCAWithKey")),
    Function::new("genSelfSignedCert", &[Type::Text, Type::Any, Type::Any, Type::Int], |machine, _| {
        missing(machine, "genSelfSignedCert")
    }),
    Function::new(
        "genSelfSignedCertWithKey",
        &[Type::Text, Type::Any, Type::Any, Type::Int, Type::Text],
        |machine, _| missing(machine, "genSelfSignedCertWithKey"),
    ),
    Function::new("genSignedCert", &[Type::Text, Type::Any, Type::Any, Type::Int, Type::Any], |machine, _| {
        missing(machine, "genSignedCert")
    }),
    Function::new(
        "genSignedCertWithKey",
        &[Type::Text, Type::Any, Type::Any, Type::Int, Type::Any, Type::Text],
        |machine, _| missing(machine, "genSignedCertWithKey"),
    ),
    Function::new("encryptAES", &[Type::Text, Type::Text], |machine, _| missing(machine, "encryptAES")),
    Function::new("decryptAES", &[Type::Text, Type::Text], |machine, _| missing(machine, "decryptAES")),
];

fn missing(machine: &mut Machine<'_>, name: &str) -> Answer<Value> {
    machine.charge_crypto()?;
    Err(Failure::plain(format!("weir does not have the template function {name} yet; give the value in the values")))
}

/// The cost that Sprig always takes.
const COST: u32 = 10;

fn bcrypt(machine: &mut Machine<'_>, password: &[u8]) -> Answer<String> {
    machine.charge_crypto()?;
    if password.len() > 72 {
        return Ok("failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".into());
    }
    let mut salt = [0; 16];
    machine.world.fill_random(&mut salt)?;
    Ok(bcrypt_text(password, salt, COST))
}

/// The whole bcrypt text of a password.
fn bcrypt_text(password: &[u8], salt: [u8; 16], cost: u32) -> String {
    let key = [password, &[0]].concat();
    let key = &key[..key.len().min(72)];
    let mut state = blowfish::Blowfish::bc_init_state();
    state.salted_expand_key(&salt, key);
    for _ in 0..1u32 << cost {
        state.bc_expand_key(key);
        state.bc_expand_key(&salt);
    }
    let mut hash = Vec::with_capacity(24);
    for block in b"OrpheanBeholderScryDoubt".chunks(8) {
        let word = |at: usize| block[at..at + 4].iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let mut pair = [word(0), word(4)];
        for _ in 0..64 {
            pair = state.bc_encrypt(pair);
        }
        hash.extend(pair.into_iter().flat_map(u32::to_be_bytes));
    }
    let config = base64::engine::general_purpose::NO_PAD;
    let alphabet = base64::engine::GeneralPurpose::new(&base64::alphabet::BCRYPT, config);
    format!("$2a${cost:02}${}{}", alphabet.encode(salt), alphabet.encode(&hash[..23]))
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1u32, 0u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65521;
        high = (high + low) % 65521;
    }
    high << 16 | low
}

/// Characters that are wanted, each as likely as the others.
fn random_text(machine: &mut Machine<'_>, args: &[Value], wanted: fn(char) -> bool) -> Answer<Value> {
    let Ok(count) = usize::try_from(int(args, 0)) else { return Ok("".into()) };
    machine.charge(count.saturating_mul(8))?;
    let mut text = String::with_capacity(count);
    let mut random = [0; 256];
    while text.len() < count {
        machine.world.fill_random(&mut random)?;
        let found = random.iter().map(|byte| (byte & 0x7f) as char).filter(|c| wanted(*c));
        text.extend(found.take(count - text.len()));
    }
    Ok(text.into())
}

fn shuffle(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut chars: Vec<char> = super::call::text(args, 0).chars().collect();
    machine.charge(chars.len() * 8)?;
    for at in (1..chars.len()).rev() {
        let mut random = [0; 8];
        machine.world.fill_random(&mut random)?;
        let other = u64::from_le_bytes(random) % (at as u64 + 1);
        chars.swap(at, usize::try_from(other).unwrap_or(at));
    }
    Ok(chars.into_iter().collect::<String>().into())
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::bcrypt_text;

    #[test]
    fn bcrypt_gives_the_published_hashes() {
        let config = base64::engine::general_purpose::NO_PAD.with_decode_allow_trailing_bits(true);
        let alphabet = base64::engine::GeneralPurpose::new(&base64::alphabet::BCRYPT, config);
        let published = [
            ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
            ("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
        ];
        for (password, hash) in published {
            let salt = alphabet.decode(&hash[7..29]).unwrap().try_into().unwrap();
            assert_eq!(bcrypt_text(password.as_bytes(), salt, 5), hash);
        }
    }
}
