//! What plain text means: null, boolean, number, date or just text.
//!
//! Source: go.yaml.in/yaml v2 and v3 `resolve.go` (behaviour, recorded verdicts in `tests/base/yaml-verdicts.tsv`).
//! Deliberate difference: an integer beyond 64 bits is an error in a manifest, because Go rounds it in silence.

use serde_json::{Number, Value};

use super::{Dialect, Tag};

/// What a plain scalar means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond `i64`.
    Unsigned(u64),
    Float(f64),
    /// An integer that 64 bits cannot hold, with the nearest float.
    TooLong(f64),
    /// A date in full RFC 3339 form.
    Timestamp(String),
    Text,
}

impl Meaning {
    pub(super) fn tag(&self) -> Tag {
        match self {
            Meaning::Null => Tag::Null,
            Meaning::Bool(_) => Tag::Bool,
            Meaning::Int(_) | Meaning::Unsigned(_) => Tag::Int,
            Meaning::Float(_) | Meaning::TooLong(_) => Tag::Float,
            Meaning::Timestamp(_) => Tag::Timestamp,
            Meaning::Text => Tag::Str,
        }
    }

    /// The value; errors for text and for floats that JSON has no form for.
    pub(super) fn into_value(self) -> Result<Value, &'static str> {
        Ok(match self {
            Meaning::Null => Value::Null,
            Meaning::Bool(value) => Value::Bool(value),
            Meaning::Int(value) => value.into(),
            Meaning::Unsigned(value) => value.into(),
            Meaning::Float(value) | Meaning::TooLong(value) => float(value)?,
            Meaning::Timestamp(text) => Value::String(text),
            Meaning::Text => return Err("text has no value of its own"),
        })
    }
}

/// Floats without fraction become integers, as they do on the way through Go's JSON.
fn float(value: f64) -> Result<Value, &'static str> {
    const EXACT: f64 = 9_223_372_036_854_775_807.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within i64 by the check above")]
        return Ok((value as i64).into());
    }
    Number::from_f64(value).map(Value::Number).ok_or("infinity and not-a-number have no place in a manifest")
}

/// Resolves a plain scalar.
pub(super) fn meaning(text: &str, dialect: Dialect) -> Meaning {
    let Some(first) = text.bytes().next() else { return Meaning::Null };
    match first {
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => word(text, dialect),
        b'.' => word_float(text).or_else(|| plain_float(text)).map_or(Meaning::Text, Meaning::Float),
        b'+' | b'-' | b'0'..=b'9' => number(text, dialect),
        _ => Meaning::Text,
    }
}

fn word(text: &str, dialect: Dialect) -> Meaning {
    match text {
        "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "true" | "True" | "TRUE" => Meaning::Bool(true),
        "false" | "False" | "FALSE" => Meaning::Bool(false),
        _ if dialect == Dialect::Kustomize => Meaning::Text,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Meaning::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Meaning::Bool(false),
        _ => Meaning::Text,
    }
}

fn word_float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        _ => None,
    }
}

fn number(text: &str, dialect: Dialect) -> Meaning {
    if let Some(value) = word_float(text) {
        return Meaning::Float(value);
    }
    if let Some(time) = timestamp(text) {
        return if dialect == Dialect::Kustomize { Meaning::Timestamp(time) } else { Meaning::Text };
    }
    let stripped;
    let plain = match text.contains('_') {
        true => {
            stripped = text.replace('_', "");
            stripped.as_str()
        }
        false => text,
    };
    if let Some(meaning) = integer(plain) {
        return meaning;
    }
    match plain_float(plain) {
        Some(value) if plain.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'+' | b'-')) && too_long(plain) => {
            Meaning::TooLong(value)
        }
        Some(value) => Meaning::Float(value),
        None => Meaning::Text,
    }
}

/// Whether decimal digits exceed 64 bits; `08` is short and merely not octal.
fn too_long(digits: &str) -> bool {
    digits.trim_start_matches(['+', '-']).trim_start_matches('0').len() >= 19
}

/// An integer with Go's prefixes: `0x`, `0b`, `0o` and the bare `0` of octal.
fn integer(plain: &str) -> Option<Meaning> {
    let (negative, signed, digits) = match plain.as_bytes().first()? {
        b'-' => (true, true, &plain[1..]),
        b'+' => (false, true, &plain[1..]),
        _ => (false, false, plain),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Meaning::Int);
    }
    match i64::try_from(magnitude) {
        Ok(value) => Some(Meaning::Int(value)),
        Err(_) if signed => None,
        Err(_) => Some(Meaning::Unsigned(magnitude)),
    }
}

/// A float in decimal form; one that overflows is text.
fn plain_float(text: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(rest);
    rest = &rest[whole..];
    if let Some(after) = rest.strip_prefix('.') {
        let fraction = digits(after);
        if whole + fraction == 0 {
            return None;
        }
        rest = &after[fraction..];
    } else if whole == 0 {
        return None;
    }
    if let Some(after) = rest.strip_prefix(['e', 'E']) {
        let after = after.strip_prefix(['+', '-']).unwrap_or(after);
        let exponent = digits(after);
        if exponent == 0 || exponent != after.len() {
            return None;
        }
    } else if !rest.is_empty() {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// The full form of a date or time as Go's decoder recognises them; `None` for anything else.
fn timestamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut cursor = Cursor(&text[5..]);
    let year: u32 = text[..4].parse().ok()?;
    let month = cursor.number(1..=12)?;
    cursor.skip("-")?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day = cursor.number(1..=days)?;
    let date = format!("{year:04}-{month:02}-{day:02}");
    if cursor.0.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let zoned = cursor.skip("T").or_else(|| cursor.skip("t")).is_some();
    if !zoned {
        cursor.skip(" ")?;
    }
    let (hour, minute, second) = cursor.time()?;
    let fraction = cursor.fraction()?;
    let zone = match zoned {
        true => cursor.zone()?,
        false => "Z".into(),
    };
    cursor.0.is_empty().then(|| format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

/// What is left of a timestamp.
struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// One or two digits within a range.
    fn number(&mut self, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let count = self.0.bytes().take(2).take_while(u8::is_ascii_digit).count();
        let value = self.0[..count].parse().ok()?;
        self.0 = &self.0[count..];
        range.contains(&value).then_some(value)
    }

    fn time(&mut self) -> Option<(u32, u32, u32)> {
        let hour = self.number(0..=23)?;
        self.skip(":")?;
        let minute = self.number(0..=59)?;
        self.skip(":")?;
        Some((hour, minute, self.number(0..=59)?))
    }

    /// `.5` of a second, nine digits at most count, trailing zeros do not.
    fn fraction(&mut self) -> Option<String> {
        let Some(after) = self.0.strip_prefix(['.', ',']) else { return Some(String::new()) };
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return None;
        }
        let digits = after[..count.min(9)].trim_end_matches('0');
        self.0 = &after[count..];
        Some(if digits.is_empty() { String::new() } else { format!(".{digits}") })
    }

    /// `Z` or an offset; a zero offset is `Z` too.
    fn zone(&mut self) -> Option<String> {
        if self.skip("Z").is_some() {
            return Some("Z".into());
        }
        let zone: String = self.0.get(..6)?.into();
        let &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = zone.as_bytes() else { return None };
        if ![h1, h2, m1, m2].iter().all(u8::is_ascii_digit) || !matches!(sign, b'+' | b'-') {
            return None;
        }
        let (hours, minutes): (u32, u32) = (zone[1..3].parse().ok()?, zone[4..6].parse().ok()?);
        self.0 = &self.0[6..];
        (hours <= 24 && minutes < 60).then(|| if hours + minutes == 0 { "Z".into() } else { zone })
    }
}

/// Text behind base64; `None` when it is neither base64 nor text.
pub(super) fn decode_binary(text: &str) -> Option<String> {
    use base64::Engine as _;
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(compact).ok()?).ok()
}

/// A float in the shortest form that reads back, with the exponents that Go's YAML writer uses.
pub fn format_float(value: f64) -> String {
    general(&format!("{value:e}"), value == 0.0 && value.is_sign_negative())
}

/// A mapping key that was a float, which Go shortens to 32 bits.
pub(super) fn format_key(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "the loss is what is imitated")]
    let short = value as f32;
    match short {
        _ if short.is_nan() => ".nan".into(),
        f32::INFINITY => ".inf".into(),
        f32::NEG_INFINITY => "-.inf".into(),
        _ => general(&format!("{short:e}"), short == 0.0 && short.is_sign_negative()),
    }
}

/// Turns `d.ddde-n` into C's `%g` with the shortest digits: exponents below -4 or above 5 keep theirs.
fn general(scientific: &str, minus_zero: bool) -> String {
    if minus_zero {
        return "-0".into();
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits = mantissa.replace('.', "");
    if !(-4..6).contains(&exponent) {
        let mark = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{mark}{:02}", exponent.abs());
    }
    let point = exponent + 1;
    if point <= 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(usize::try_from(-point).unwrap_or_default()));
    }
    let point = usize::try_from(point).unwrap_or_default();
    match digits.len() > point {
        true => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
        false => format!("{sign}{digits}{}", "0".repeat(point - digits.len())),
    }
}
