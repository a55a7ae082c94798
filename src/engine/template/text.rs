//! Go's literals: quoting and unquoting of strings, and what a number in a template can be.
//!
//! Must not know values or templates. Start with [`quote`].
//! Source: strconv (Quote, Unquote, ParseInt, FormatFloat).

use std::fmt::Write;

use super::tree::Number;

/// Whether Go prints the character as it is.
fn is_print(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\u{9f}' | '\u{a0}' | '\u{ad}' => false,
        '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' => false,
        '\u{1680}' | '\u{180e}' | '\u{3000}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => false,
        '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}' => false,
        '\u{ffff}' | '\u{fffe}' | '\u{61c}' | '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' => false,
        _ => true,
    }
}

/// Go's `%q` of a string.
pub(super) fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes(), false)
}

/// Go's `%q` of the bytes of a string, `%+q` when only ASCII is wanted.
pub(super) fn quote_bytes(bytes: &[u8], ascii: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            quote_char(&mut out, c, '"', ascii);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// Go's `%q` of a number.
pub(super) fn quote_rune(c: char, ascii: bool) -> String {
    let mut out = String::from("'");
    quote_char(&mut out, c, '\'', ascii);
    out.push('\'');
    out
}

fn quote_char(out: &mut String, c: char, quote: char, ascii: bool) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if c == quote => {
            out.push('\\');
            out.push(c);
        }
        c if is_print(c) && (c.is_ascii() || !ascii) => out.push(c),
        c if (c as u32) < 0x80 => {
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        c if (c as u32) < 0x1_0000 => {
            let _ = write!(out, "\\u{:04x}", c as u32);
        }
        c => {
            let _ = write!(out, "\\U{:08x}", c as u32);
        }
    }
}

/// The string or character that a literal stands for.
pub(super) fn unquote(literal: &str) -> Option<String> {
    let quote = literal.chars().next()?;
    let body = literal.get(1..literal.len().checked_sub(1)?)?;
    if quote == '`' {
        return Some(body.replace('\r', ""));
    }
    if !body.contains('\\') {
        return Some(body.to_owned());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.next()?;
        let plain = match escape {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' => '\\',
            '\'' | '"' if escape == quote => escape,
            'x' => {
                out.push(u8::try_from(digits(&mut rest, 2, 16)?).ok()?);
                continue;
            }
            'u' => char::from_u32(digits(&mut rest, 4, 16)?)?,
            'U' => char::from_u32(digits(&mut rest, 8, 16)?)?,
            '0'..='7' => {
                let code = escape.to_digit(8)? * 64 + digits(&mut rest, 2, 8)?;
                out.push(u8::try_from(code).ok()?);
                continue;
            }
            _ => return None,
        };
        out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn digits(rest: &mut std::str::Chars, count: usize, radix: u32) -> Option<u32> {
    (0..count).try_fold(0u32, |sum, _| Some(sum * radix + rest.next()?.to_digit(radix)?))
}

/// Reads a number literal as every type it fits.
///
/// Errors with Go's message.
pub(super) fn number(text: &str) -> Result<Number, String> {
    let mut found = Number { text: text.to_owned(), ..Number::default() };
    if text.starts_with('\'') {
        let mut chars = unquote(text).unwrap_or_default();
        let c = chars.pop().filter(|_| chars.is_empty());
        let Some(c) = c else { return Err(format!("malformed character constant: {text}")) };
        found.int = Some(i64::from(c as u32));
        found.uint = Some(u64::from(c as u32));
        found.float = Some(f64::from(c as u32));
        return Ok(found);
    }
    if text.ends_with('i') && !text.starts_with("0x") {
        return Err(format!("complex numbers are not supported: {}", quote(text)));
    }
    found.uint = parse_uint(text, 0);
    found.int = parse_int(text, 0);
    if found.int == Some(0) {
        found.uint = Some(0);
    }
    if let Some(int) = found.int {
        found.float = Some(int as f64);
    } else if let Some(uint) = found.uint {
        found.float = Some(uint as f64);
    } else if let Some(float) = parse_float(text) {
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", quote(text)));
        }
        found.float = Some(float);
        if float.fract() == 0.0 && float.abs() < 9.3e18 {
            found.int = Some(float as i64);
            found.uint = (float >= 0.0).then_some(float as u64);
        }
    }
    if found.float.is_none() {
        return Err(format!("illegal number syntax: {}", quote(text)));
    }
    Ok(found)
}

/// Go's `ParseUint`; base 0 reads prefixes and underscores.
pub(super) fn parse_uint(text: &str, base: u32) -> Option<u64> {
    if base != 0 {
        let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
        return if plain { u64::from_str_radix(text, base).ok() } else { None };
    }
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let inner = if base == 10 || digits.len() == lower.len() { digits } else { digits.trim_start_matches('_') };
    let sound = !inner.starts_with('_') && !inner.ends_with('_') && !inner.contains("__") && !inner.is_empty();
    let clean: String = inner.chars().filter(|c| *c != '_').collect();
    if sound && clean.chars().all(|c| c.is_ascii_alphanumeric()) {
        u64::from_str_radix(&clean, base).ok()
    } else {
        None
    }
}

/// Go's `ParseInt`; base 0 reads prefixes and underscores.
pub(super) fn parse_int(text: &str, base: u32) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = i128::from(parse_uint(digits, base)?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Go's `ParseFloat`: decimal, hexadecimal, infinities.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let lower = digits.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        let (mantissa, exponent) = hex.split_once('p')?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
        let exponent = exponent.parse::<i32>().ok()? - 4 * i32::try_from(fraction.len()).ok()?;
        return Some(sign * all as f64 * 2f64.powi(exponent));
    }
    let shaped = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && lower.chars().all(|c| matches!(c, '0'..='9' | '.' | 'e' | '+' | '-'));
    let value: f64 = if shaped { lower.parse().ok()? } else { return None };
    value.is_finite().then_some(sign * value)
}

/// The shortest decimal digits that read back, and the place of the point after the first: `(“12”, 1)` is 12.
pub(super) fn shortest(value: f64) -> (String, i32) {
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or_default())
}

/// A float with the fewest digits; an exponent is used below 1e-4 and from `10^most` on.
pub(super) fn format_float(value: f64, most: i32) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let (digits, exponent) = shortest(value);
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value != 0.0 && (exponent < -4 || exponent >= most) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.abs());
    }
    format!("{sign}{}", plain(&digits, exponent))
}

/// Digits without an exponent.
pub(super) fn plain(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat(usize::try_from(-exponent - 1).unwrap_or_default()));
    }
    let whole = usize::try_from(exponent).unwrap_or_default() + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

/// Go's `%#U`.
pub(super) fn unicode(c: char) -> String {
    if c.is_control() || c == '\0' { format!("U+{:04X}", c as u32) } else { format!("U+{:04X} '{c}'", c as u32) }
}
