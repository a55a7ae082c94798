//! Sprig's functions on text: trimming, quoting, searching, joining, encoding.
//!
//! Strings are bytes where Go cuts bytes. Start with [`FUNCTIONS`].
//! Source: Masterminds/sprig (strings.go, functions.go).

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::call::{Function, Type, bytes, int, text};
use super::error::{Answer, Failure};
use super::run::Machine;
use super::value::{Fields, Map, Value};
use super::{format, text as literal};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("hello", &[], |_, _| Ok("Hello!".into())),
    Function::new("trim", &[Type::Text], |_, args| Ok(text(args, 0).trim().into())),
    Function::new("upper", &[Type::Text], |_, args| Ok(upper(&text(args, 0)).into())),
    Function::new("lower", &[Type::Text], |_, args| Ok(lower(&text(args, 0)).into())),
    Function::new("substr", &[Type::Int, Type::Int, Type::Text], substr),
    Function::new("trunc", &[Type::Int, Type::Text], trunc),
    Function::new("repeat", &[Type::Int, Type::Text], repeat),
    Function::new("trimall", &[Type::Text, Type::Text], trim_all),
    Function::new("trimAll", &[Type::Text, Type::Text], trim_all),
    Function::new("trimSuffix", &[Type::Text, Type::Text], |_, args| {
        let (suffix, whole) = (bytes(args, 0), bytes(args, 1));
        Ok(Value::string(whole.strip_suffix(suffix).unwrap_or(whole).to_vec()))
    }),
    Function::new("trimPrefix", &[Type::Text, Type::Text], |_, args| {
        let (prefix, whole) = (bytes(args, 0), bytes(args, 1));
        Ok(Value::string(whole.strip_prefix(prefix).unwrap_or(whole).to_vec()))
    }),
    Function::new("contains", &[Type::Text, Type::Text], |_, args| Ok(text(args, 1).contains(&*text(args, 0)).into())),
    Function::new("hasPrefix", &[Type::Text, Type::Text], |_, args| {
        Ok(bytes(args, 1).starts_with(bytes(args, 0)).into())
    }),
    Function::new("hasSuffix", &[Type::Text, Type::Text], |_, args| {
        Ok(bytes(args, 1).ends_with(bytes(args, 0)).into())
    }),
    Function::many("quote", &[], Type::Any, quote),
    Function::many("squote", &[], Type::Any, squote),
    Function::many("cat", &[], Type::Any, cat),
    Function::new("indent", &[Type::Int, Type::Text], |machine, args| Ok(indent(machine, args, "")?.into())),
    Function::new("nindent", &[Type::Int, Type::Text], |machine, args| Ok(indent(machine, args, "\n")?.into())),
    Function::new("replace", &[Type::Text, Type::Text, Type::Text], replace),
    Function::new("plural", &[Type::Text, Type::Text, Type::Int], |_, args| {
        Ok(args[if int(args, 2) == 1 { 0 } else { 1 }].clone())
    }),
    Function::new("toString", &[Type::Any], |_, args| string_value(&args[0])),
    Function::new("toStrings", &[Type::Any], |_, args| Ok(Value::strings(strings(&args[0])?))),
    Function::new("join", &[Type::Text, Type::Any], |_, args| Ok(strings(&args[1])?.join(&*text(args, 0)).into())),
    Function::new("sortAlpha", &[Type::Any], sort_alpha),
    Function::new("split", &[Type::Text, Type::Text], |_, args| Ok(numbered(cut(&text(args, 0), &text(args, 1), -1)))),
    Function::new("splitn", &[Type::Text, Type::Int, Type::Text], |_, args| {
        Ok(numbered(cut(&text(args, 0), &text(args, 2), int(args, 1))))
    }),
    Function::new("splitList", &[Type::Text, Type::Text], |_, args| {
        Ok(Value::strings(cut(&text(args, 0), &text(args, 1), -1)))
    }),
    Function::new("abbrev", &[Type::Int, Type::Text], |_, args| {
        let width = int(args, 0);
        if width < 4 { Ok(args[1].clone()) } else { Ok(abbreviate(bytes(args, 1), 0, width)) }
    }),
    Function::new("abbrevboth", &[Type::Int, Type::Int, Type::Text], |_, args| {
        let (left, right) = (int(args, 0), int(args, 1));
        let as_is = right < 4 || (left > 0 && right < 7);
        if as_is { Ok(args[2].clone()) } else { Ok(abbreviate(bytes(args, 2), left, right)) }
    }),
    Function::new("b64enc", &[Type::Text], |_, args| {
        Ok(base64::engine::general_purpose::STANDARD.encode(bytes(args, 0)).into())
    }),
    Function::new("b64dec", &[Type::Text], |_, args| Ok(decode_base64(bytes(args, 0)))),
    Function::new("b32enc", &[Type::Text], |_, args| Ok(encode_base32(bytes(args, 0)).into())),
    Function::new("b32dec", &[Type::Text], |_, args| Ok(decode_base32(bytes(args, 0)))),
];

/// A value as Sprig makes text of it.
pub(super) fn string_value(value: &Value) -> Answer<Value> {
    Ok(match value {
        Value::Str(_) | Value::Raw(_) => value.clone(),
        Value::Bytes(bytes) => Value::string(bytes.to_vec()),
        other => format::value_text(other)?.into(),
    })
}

/// As [`string_value`], as text.
pub(super) fn string_text(value: &Value) -> Answer<String> {
    Ok(text(&[string_value(value)?], 0).into_owned())
}

/// A list as texts without its nils; anything else is a list of one.
pub(super) fn strings(value: &Value) -> Answer<Vec<String>> {
    match value.to_items() {
        Some(items) => items.iter().filter(|item| !matches!(item, Value::Nil)).map(string_text).collect(),
        None if matches!(value, Value::Nil) => Ok(Vec::new()),
        None => Ok(vec![string_text(value)?]),
    }
}

/// Go maps each character to one character.
fn upper(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| out.push(single(c, c.to_uppercase())));
    out
}

fn lower(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| out.push(c.to_lowercase().next().unwrap_or(c)));
    out
}

/// The mapped character when the mapping is one to one.
pub(super) fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn out_of_bounds(range: impl std::fmt::Display) -> Box<Failure> {
    Failure::plain(format!("runtime error: slice bounds out of range {range}"))
}

fn substr(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let (start, end, whole) = (int(args, 0), int(args, 1), bytes(args, 2));
    let length = whole.len() as i64;
    let (from, to) = if start < 0 {
        (0, end)
    } else if end < 0 || end > length {
        (start, length)
    } else {
        (start, end)
    };
    if to < 0 {
        return Err(out_of_bounds(format_args!("[:{to}]")));
    }
    if to > length {
        return Err(out_of_bounds(format_args!("[:{to}] with length {length}")));
    }
    if from > to {
        return Err(out_of_bounds(format_args!("[{from}:{to}]")));
    }
    let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
    Ok(Value::string(whole[range].to_vec()))
}

fn trunc(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let (count, whole) = (int(args, 0), bytes(args, 1));
    let length = whole.len() as i64;
    let part = if count < 0 && length + count > 0 {
        &whole[usize::try_from(length + count).unwrap_or(0)..]
    } else if count >= 0 && length > count {
        &whole[..usize::try_from(count).unwrap_or(0)]
    } else {
        return Ok(args[1].clone());
    };
    Ok(Value::string(part.to_vec()))
}

/// How often something is repeated, after it was paid for.
fn times(machine: &mut Machine<'_>, count: i64, size: usize) -> Answer<usize> {
    let Ok(count) = usize::try_from(count) else {
        return Err(Failure::plain("strings: negative Repeat count"));
    };
    machine.charge(size.saturating_mul(count))?;
    Ok(if size == 0 { 0 } else { count })
}

fn repeat(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let whole = bytes(args, 1);
    let count = times(machine, int(args, 0), whole.len())?;
    Ok(Value::string(whole.repeat(count)))
}

fn trim_all(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let (set, whole) = (text(args, 0), text(args, 1));
    Ok(whole.trim_matches(|c| set.contains(c)).into())
}

fn quote(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut out = String::new();
    for (index, value) in args.iter().filter(|value| !matches!(value, Value::Nil)).enumerate() {
        if index > 0 {
            out.push(' ');
        }
        let value = string_value(value)?;
        out.push_str(&literal::quote_bytes(value.as_bytes().unwrap_or_default(), false));
    }
    Ok(out.into())
}

fn squote(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut out = String::new();
    for (index, value) in args.iter().filter(|value| !matches!(value, Value::Nil)).enumerate() {
        out.push_str(if index > 0 { " '" } else { "'" });
        format::print(&mut out, value)?;
        out.push('\'');
    }
    Ok(out.into())
}

fn cat(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let values: Vec<&Value> = args.iter().filter(|value| !matches!(value, Value::Nil)).collect();
    let texts: Vec<String> = values.into_iter().map(format::value_text).collect::<Answer<_>>()?;
    Ok(texts.join(" ").into())
}

fn indent(machine: &mut Machine<'_>, args: &[Value], lead: &str) -> Answer<String> {
    let whole = text(args, 1);
    let lines = whole.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let width = int(args, 0);
    if width < 0 {
        return Err(Failure::plain("strings: negative Repeat count"));
    }
    times(machine, width, lines)?;
    let pad = " ".repeat(usize::try_from(width).unwrap_or(0));
    let mut out = String::with_capacity(whole.len() + lines * pad.len() + lead.len());
    out.push_str(lead);
    for (index, line) in whole.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(&pad);
        out.push_str(line);
    }
    Ok(out)
}

fn replace(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let (old, new, whole) = (text(args, 0), text(args, 1), text(args, 2));
    let places = if old.is_empty() { whole.chars().count() + 1 } else { whole.matches(&*old).count() };
    if places == 0 {
        return Ok(args[2].clone());
    }
    machine.charge(places.saturating_mul(new.len()))?;
    Ok(whole.replace(&*old, &new).into())
}

/// Go's `SplitN`: below zero means all, zero means none.
pub(super) fn cut(separator: &str, whole: &str, most: i64) -> Vec<String> {
    let most = match most {
        0 => return Vec::new(),
        ..0 => usize::MAX,
        most => usize::try_from(most).unwrap_or(usize::MAX),
    };
    if separator.is_empty() {
        let count = whole.chars().count().min(most);
        let mut rest = whole.chars();
        let mut parts: Vec<String> = (1..count).filter_map(|_| rest.next()).map(String::from).collect();
        if count > 0 {
            parts.push(rest.as_str().to_owned());
        }
        return parts;
    }
    whole.splitn(most, separator).map(str::to_owned).collect()
}

fn numbered(parts: Vec<String>) -> Value {
    let entries = parts.into_iter().enumerate().map(|(index, part)| (format!("_{index}").into(), part.into()));
    Value::Map(Map::of(Fields::Strings, entries.collect()))
}

fn sort_alpha(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut texts = strings(&args[0])?;
    if matches!(args[0], Value::Nil) {
        texts = vec!["<nil>".into()];
    }
    texts.sort();
    Ok(Value::strings(texts))
}

fn abbreviate(whole: &[u8], offset: i64, width: i64) -> Value {
    let (length, width) = (whole.len(), usize::try_from(width).unwrap_or(0));
    if length <= width || whole.is_empty() {
        return Value::string(whole.to_vec());
    }
    let kept = width - 3;
    let mut offset = usize::try_from(offset).unwrap_or(0).min(length);
    if length - offset < kept {
        offset = length - kept;
    }
    let dots = b"...".as_slice();
    if offset <= 4 {
        return Value::string([&whole[..kept], dots].concat());
    }
    if offset + kept < length {
        let inner = abbreviate(&whole[offset..], 0, kept as i64);
        return Value::string([dots, inner.as_bytes().unwrap_or_default()].concat());
    }
    Value::string([dots, &whole[length - kept..]].concat())
}

/// Go's decoder, which skips line breaks and answers an error as text.
fn decode_base64(encoded: &[u8]) -> Value {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let solid: Vec<u8> = encoded.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    match engine.decode(&solid) {
        Ok(decoded) => Value::string(decoded),
        Err(_) => format!("illegal base64 data at input byte {}", bad_base64(encoded)).into(),
    }
}

/// The place Go blames.
fn bad_base64(encoded: &[u8]) -> usize {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let mut digits = 0;
    let mut group = 0;
    let mut rest = encoded.iter().copied().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    while let Some((at, byte)) = rest.next() {
        if digits == 0 {
            group = at;
        }
        if alphabet(byte) {
            digits = (digits + 1) % 4;
            continue;
        }
        if byte != b'=' || digits < 2 {
            return at;
        }
        if digits == 2 {
            match rest.next() {
                None => return encoded.len(),
                Some((at, byte)) if byte != b'=' => return at,
                Some(_) => {}
            }
        }
        return rest.next().map_or(encoded.len(), |(at, _)| at);
    }
    if digits == 0 { encoded.len() } else { group }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn encode_base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(5) {
        let mut padded = [0; 8];
        padded[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(padded);
        let digits = (group.len() * 8).div_ceil(5);
        for index in 0..8 {
            let digit = (bits >> (35 - 5 * index)) & 31;
            out.push(if index < digits { BASE32[digit as usize] as char } else { '=' });
        }
    }
    out
}

fn decode_base32(encoded: &[u8]) -> Value {
    let solid: Vec<u8> = encoded.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let illegal = |at: usize| Value::from(format!("illegal base32 data at input byte {at}"));
    let mut out = Vec::new();
    for (index, group) in solid.chunks(8).enumerate() {
        let digits = group.iter().position(|byte| *byte == b'=').unwrap_or(group.len());
        if let Some(at) = group[..digits].iter().position(|byte| !BASE32.contains(byte)) {
            return illegal(index * 8 + at);
        }
        if group.len() < 8 {
            return illegal(solid.len());
        }
        if let Some(at) = group[digits..].iter().position(|byte| *byte != b'=') {
            return illegal(index * 8 + digits + at);
        }
        if !matches!(digits, 2 | 4 | 5 | 7 | 8) {
            return illegal(index * 8 + digits);
        }
        let mut bits = 0u64;
        for place in 0..8 {
            let digit = match group.get(place) {
                Some(byte) if place < digits => BASE32.iter().position(|known| known == byte).unwrap_or(0) as u64,
                _ => 0,
            };
            bits = bits << 5 | digit;
        }
        out.extend_from_slice(&bits.to_be_bytes()[3..3 + digits * 5 / 8]);
    }
    Value::string(out)
}
