//! Sprig's digests, random texts, password hashes and ciphers. Keys and certificates are in `certificates`.
//!
//! Randomness comes from the caller. Start with [`FUNCTIONS`]. Source: Masterminds/sprig (crypto.go), goutils.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
        Ok(STANDARD.encode(random).into())
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
    Function::new("derivePassword", &[Type::Uint32, Type::Text, Type::Text, Type::Text, Type::Text], derive_password),
    Function::new("encryptAES", &[Type::Text, Type::Text], encrypt),
    Function::new("decryptAES", &[Type::Text, Type::Text], decrypt),
];

/// AES-256 under a password that is cut or filled up with zeros.
fn cipher(password: &[u8]) -> aes::Aes256 {
    let mut key = [0; 32];
    let taken = password.len().min(32);
    key[..taken].copy_from_slice(&password[..taken]);
    aes::Aes256::new(&key.into())
}

fn encrypt(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut plain = bytes(args, 1).to_vec();
    if plain.is_empty() {
        return Ok("".into());
    }
    machine.charge(plain.len() * 2)?;
    let padding = BLOCK - plain.len() % BLOCK;
    plain.resize(plain.len() + padding, u8::try_from(padding).unwrap_or_default());
    let mut last = [0; BLOCK];
    machine.world.fill_random(&mut last)?;
    let cipher = cipher(bytes(args, 0));
    let mut out = last.to_vec();
    for block in plain.chunks(BLOCK) {
        last.iter_mut().zip(block).for_each(|(last, byte)| *last ^= byte);
        let mut next = last.into();
        cipher.encrypt_block(&mut next);
        last = next.into();
        out.extend(last);
    }
    Ok(STANDARD.encode(out).into())
}

fn decrypt(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let text = bytes(args, 1);
    if text.is_empty() {
        return Ok("".into());
    }
    machine.charge(text.len())?;
    let crypt = STANDARD.decode(text).map_err(|error| Failure::plain(format!("the text is no base64: {error}")))?;
    if crypt.len() < 2 * BLOCK || crypt.len() % BLOCK != 0 {
        return Err(Failure::plain("the text is not what encryptAES makes: its length is wrong"));
    }
    let cipher = cipher(bytes(args, 0));
    let mut out = Vec::with_capacity(crypt.len());
    for at in (BLOCK..crypt.len()).step_by(BLOCK) {
        let mut block = [0; BLOCK];
        block.copy_from_slice(&crypt[at..at + BLOCK]);
        let mut block = block.into();
        cipher.decrypt_block(&mut block);
        out.extend(block.iter().zip(&crypt[at - BLOCK..at]).map(|(byte, last)| byte ^ last));
    }
    let padding = usize::from(out.last().copied().unwrap_or_default());
    if padding > out.len() {
        return Err(Failure::plain("the password is not the one the text was encrypted with"));
    }
    out.truncate(out.len() - padding);
    Ok(Value::string(out))
}

/// The forms of a password, one letter for each kind of character.
fn forms(kind: &str) -> &'static [&'static str] {
    match kind {
        "maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        "long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        "medium" => &["CvcnoCvc", "CvcCvcno"],
        "short" => &["Cvcn"],
        "basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        "pin" => &["nnnn"],
        _ => &[],
    }
}

fn characters(letter: u8) -> &'static [u8] {
    match letter {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = sha2::Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    sha2::Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

/// The Master Password algorithm.
fn derive_password(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    machine.charge_crypto()?;
    let kind = super::call::text(args, 1);
    let forms = forms(&kind);
    if forms.is_empty() {
        return Ok(format!("cannot find password template {kind}").into());
    }
    let counter = match args[0] {
        Value::Uint64(counter) => u32::try_from(counter).unwrap_or_default(),
        _ => 0,
    };
    let sized = |text: &[u8]| [SCOPE, &u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes(), text].concat();
    let mut key = [0; 64];
    let scrypt =
        scrypt::Params::new(15, 8, 2).map_err(|e| Failure::plain(format!("failed to derive password: {e}")))?;
    scrypt::scrypt(bytes(args, 2), &sized(bytes(args, 3)), &scrypt, &mut key)
        .map_err(|e| Failure::plain(format!("failed to derive password: {e}")))?;
    let seed = hmac(&key, &[sized(bytes(args, 4)), counter.to_be_bytes().to_vec()].concat());
    let form = forms[usize::from(seed[0]) % forms.len()];
    let made = form.bytes().zip(&seed[1..]).map(|(letter, byte)| {
        let characters = characters(letter);
        characters[usize::from(*byte) % characters.len()]
    });
    Ok(Value::string(made.collect()))
}

/// What the derivation of passwords mixes into everything.
const SCOPE: &[u8] = b"com.lyndir.masterpassword";
const BLOCK: usize = 16;

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
