//! The verbs, flags and complaints of `printf`.
//!
//! Start with [`printf`]. Source: fmt (print.go, format.go).

use std::fmt::Write;

use super::error::Answer;
use super::format::{DEPTH, FLOAT_DIGITS, go_syntax, too_deep, value_text};
use super::text::{format_float, plain, quote_bytes, quote_rune, shortest};
use super::value::Value;

/// Go refuses widths and precisions beyond this.
const WIDEST: usize = 1_000_000;

#[derive(Clone, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Go's `Sprintf`.
pub(super) fn printf(format: &str, args: &[Value]) -> Answer<String> {
    let mut printer = Printer { rest: format, args, next: 0, reordered: false, sound: true, out: String::new() };
    printer.run()?;
    if !printer.reordered && printer.next < args.len() {
        printer.out.push_str("%!(EXTRA ");
        for (index, value) in args[printer.next..].iter().enumerate() {
            let lead = if index > 0 { ", " } else { "" };
            if matches!(value, Value::Nil) {
                let _ = write!(printer.out, "{lead}<nil>");
            } else {
                let _ = write!(printer.out, "{lead}{}={}", value.type_name(), value_text(value)?);
            }
        }
        printer.out.push(')');
    }
    Ok(printer.out)
}

struct Printer<'f> {
    rest: &'f str,
    args: &'f [Value],
    next: usize,
    reordered: bool,
    sound: bool,
    out: String,
}

impl Printer<'_> {
    fn run(&mut self) -> Answer<()> {
        while let Some(percent) = self.rest.find('%') {
            self.out.push_str(&self.rest[..percent]);
            self.rest = &self.rest[percent + 1..];
            self.sound = true;
            let flags = self.flags();
            if !self.sound {
                let verb = self.verb();
                let _ = write!(self.out, "%!{}(BADINDEX)", verb.unwrap_or_default());
                continue;
            }
            let Some(verb) = self.verb() else {
                self.out.push_str("%!(NOVERB)");
                break;
            };
            if verb == '%' {
                self.out.push('%');
            } else if let Some(value) = self.args.get(self.next) {
                self.next += 1;
                // With `%+v` the plus is for the names of fields, not for signs.
                let flags = if verb == 'v' { Flags { plus: false, ..flags } } else { flags };
                format_value(&mut self.out, verb, &flags, value, 0)?;
            } else {
                let _ = write!(self.out, "%!{verb}(MISSING)");
            }
        }
        self.out.push_str(std::mem::take(&mut self.rest));
        Ok(())
    }

    fn verb(&mut self) -> Option<char> {
        let verb = self.rest.chars().next()?;
        self.rest = &self.rest[verb.len_utf8()..];
        Some(verb)
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        loop {
            match self.rest.as_bytes().first() {
                Some(b'+') => flags.plus = true,
                Some(b'-') => flags.minus = true,
                Some(b'#') => flags.sharp = true,
                Some(b' ') => flags.space = true,
                Some(b'0') => flags.zero = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        self.index();
        if self.rest.starts_with('*') {
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
        } else {
            flags.width = self.number();
        }
        if self.rest.starts_with('.') {
            self.rest = &self.rest[1..];
            self.index();
            if self.rest.starts_with('*') {
                match self.star() {
                    Some(precision) => flags.precision = usize::try_from(precision).ok(),
                    None => self.out.push_str("%!(BADPREC)"),
                }
            } else {
                flags.precision = Some(self.number().unwrap_or(0));
            }
        }
        self.index();
        flags
    }

    fn number(&mut self) -> Option<usize> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = self.rest[..digits].parse().ok().filter(|number| *number <= WIDEST);
        // Go gives up on the whole format when a number is too large.
        let end = if number.is_none() && digits > 0 { self.rest.len() } else { digits };
        self.rest = &self.rest[end..];
        number
    }

    fn star(&mut self) -> Option<i64> {
        self.rest = &self.rest[1..];
        let value = self.args.get(self.next);
        self.next += usize::from(value.is_some());
        match value {
            Some(Value::Int(number) | Value::Int64(number)) if number.unsigned_abs() <= WIDEST as u64 => Some(*number),
            _ => None,
        }
    }

    /// An explicit `[2]`.
    fn index(&mut self) {
        let Some(rest) = self.rest.strip_prefix('[') else { return };
        self.reordered = true;
        let Some((digits, rest)) = rest.split_once(']') else {
            self.sound = false;
            self.rest = rest;
            return;
        };
        self.rest = rest;
        match digits.parse::<usize>() {
            Ok(number) if number >= 1 && number <= self.args.len() => self.next = number - 1,
            _ => self.sound = false,
        }
    }
}

fn pad(out: &mut String, text: &str, flags: &Flags, zero: bool) {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if flags.minus {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if zero && flags.zero {
        let (sign, digits) = match text.as_bytes().first() {
            Some(b'+' | b'-' | b' ') => text.split_at(1),
            _ => ("", text),
        };
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}

fn bad_verb(out: &mut String, verb: char, value: &Value) -> Answer<()> {
    let _ = match value {
        Value::Nil => write!(out, "%!{verb}(<nil>)"),
        _ => write!(out, "%!{verb}({}={})", value.type_name(), value_text(value)?),
    };
    Ok(())
}

fn format_value(out: &mut String, verb: char, flags: &Flags, value: &Value, depth: usize) -> Answer<()> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    match (verb, value) {
        ('T', _) => pad(out, value.type_name(), flags, false),
        ('v', Value::Nil) => pad(out, "<nil>", flags, false),
        (_, Value::Nil) => return bad_verb(out, verb, value),
        ('v', _) if flags.sharp => go_syntax(out, value, depth)?,
        (_, Value::Bool(bool)) => match verb {
            't' | 'v' => pad(out, if *bool { "true" } else { "false" }, flags, false),
            _ => return bad_verb(out, verb, value),
        },
        ('v' | 's', Value::Duration(_) | Value::Time(_)) => pad(out, &value_text(value)?, flags, false),
        ('v' | 's', Value::Object(object)) if object.text.is_some() => pad(out, &value_text(value)?, flags, false),
        (_, Value::Int(number) | Value::Int64(number) | Value::Duration(number)) => {
            return integer(out, verb, flags, i128::from(*number), value);
        }
        (_, Value::Uint8(number)) => return integer(out, verb, flags, i128::from(*number), value),
        (_, Value::Uint64(number)) => return integer(out, verb, flags, i128::from(*number), value),
        (_, Value::Float(number)) => return float(out, verb, flags, *number, value),
        (_, Value::Str(text)) => return string(out, verb, flags, text.as_bytes(), value),
        (_, Value::Raw(bytes)) => return string(out, verb, flags, bytes, value),
        ('s' | 'q' | 'x' | 'X', Value::Bytes(bytes)) => return string(out, verb, flags, bytes, value),
        (_, Value::List(_) | Value::Bytes(_)) => {
            out.push('[');
            for (index, item) in value.to_items().unwrap_or_default().iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                format_value(out, verb, flags, item, depth + 1)?;
            }
            out.push(']');
        }
        (_, Value::Map(map)) => {
            out.push_str("map[");
            for (index, (key, value)) in map.entries().iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                format_value(out, verb, flags, &Value::Str(key.clone()), depth + 1)?;
                out.push(':');
                format_value(out, verb, flags, value, depth + 1)?;
            }
            out.push(']');
        }
        (_, Value::Object(object)) => {
            out.push_str(if object.pointer { "&{" } else { "{" });
            for (index, (name, value)) in object.fields.iter().enumerate() {
                let lead = if index > 0 { " " } else { "" };
                let label = if flags.plus { format!("{name}:") } else { String::new() };
                let _ = write!(out, "{lead}{label}");
                format_value(out, verb, flags, value, depth + 1)?;
            }
            out.push('}');
        }
        (_, Value::Time(_)) => return bad_verb(out, verb, value),
    }
    Ok(())
}

fn integer(out: &mut String, verb: char, flags: &Flags, number: i128, value: &Value) -> Answer<()> {
    let magnitude = number.unsigned_abs();
    let (digits, prefix) = match verb {
        'd' | 'v' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), if flags.sharp { "0b" } else { "" }),
        'o' => (format!("{magnitude:o}"), if flags.sharp { "0" } else { "" }),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (format!("{magnitude:x}"), if flags.sharp { "0x" } else { "" }),
        'X' => (format!("{magnitude:X}"), if flags.sharp { "0X" } else { "" }),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            let text = match verb {
                'c' => c.to_string(),
                'q' => quote_rune(c, flags.plus),
                _ if flags.sharp => format!("U+{magnitude:04X} '{c}'"),
                _ => format!("U+{magnitude:04X}"),
            };
            pad(out, &text, flags, false);
            return Ok(());
        }
        _ => return bad_verb(out, verb, value),
    };
    let wanted = flags.precision.unwrap_or(0);
    let sign = if number < 0 {
        "-"
    } else if flags.plus {
        "+"
    } else if flags.space {
        " "
    } else {
        ""
    };
    let zeros = "0".repeat(wanted.saturating_sub(digits.len()));
    let digits = if flags.precision == Some(0) && number == 0 { String::new() } else { digits };
    pad(out, &format!("{sign}{prefix}{zeros}{digits}"), flags, flags.precision.is_none());
    Ok(())
}

fn float(out: &mut String, verb: char, flags: &Flags, number: f64, value: &Value) -> Answer<()> {
    let mut text = match verb {
        'v' => match flags.precision {
            Some(precision) => general(number, precision),
            None => format_float(number, FLOAT_DIGITS),
        },
        'g' | 'G' => match flags.precision {
            Some(precision) => general(number, precision),
            None => format_float(number, FLOAT_DIGITS),
        },
        _ if !number.is_finite() && "eEfF".contains(verb) => format_float(number, FLOAT_DIGITS),
        'f' | 'F' => format!("{number:.*}", flags.precision.unwrap_or(6)),
        'e' | 'E' => exponent(number, flags.precision.unwrap_or(6)),
        _ => return bad_verb(out, verb, value),
    };
    if verb.is_uppercase() {
        text = text.to_uppercase();
    }
    if !flags.plus && text.starts_with('+') {
        text.remove(0);
        if !number.is_finite() {
            text.insert(0, '+');
        }
    }
    if flags.plus && !text.starts_with(['+', '-']) {
        text.insert(0, '+');
    } else if flags.space && !text.starts_with(['+', '-']) {
        text.insert(0, ' ');
    }
    pad(out, &text, flags, number.is_finite());
    Ok(())
}

/// C's `%e`, with at least two digits of exponent.
fn exponent(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// C's `%.*g`, without trailing zeros.
fn general(number: f64, precision: usize) -> String {
    if !number.is_finite() {
        return format_float(number, FLOAT_DIGITS);
    }
    let precision = precision.max(1);
    let rounded: f64 = format!("{:.*e}", precision - 1, number).parse().unwrap_or(number);
    let (digits, power) = shortest(rounded);
    let most = i32::try_from(precision).unwrap_or(i32::MAX);
    if rounded != 0.0 && (power < -4 || power >= most) {
        return format_float(rounded, power);
    }
    let sign = if number.is_sign_negative() { "-" } else { "" };
    format!("{sign}{}", plain(&digits, power))
}

fn string(out: &mut String, verb: char, flags: &Flags, bytes: &[u8], value: &Value) -> Answer<()> {
    let text = String::from_utf8_lossy(bytes);
    let cut: String = match flags.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.into_owned(),
    };
    match verb {
        's' | 'v' => pad(out, &cut, flags, true),
        'q' if flags.sharp && !cut.contains(['`', '\n', '\r']) => pad(out, &format!("`{cut}`"), flags, false),
        'q' if flags.precision.is_some() => pad(out, &quote_bytes(cut.as_bytes(), flags.plus), flags, true),
        'q' => pad(out, &quote_bytes(bytes, flags.plus), flags, true),
        'x' | 'X' => {
            let most = flags.precision.unwrap_or(bytes.len()).min(bytes.len());
            let glue = if flags.space { " " } else { "" };
            let digits: Vec<String> = bytes[..most].iter().map(|byte| format!("{byte:02x}")).collect();
            let digits = digits.join(glue);
            let lead = if flags.sharp { "0x" } else { "" };
            let text = format!("{lead}{digits}");
            pad(out, &if verb == 'X' { text.to_uppercase() } else { text }, flags, true);
        }
        _ => return bad_verb(out, verb, value),
    }
    Ok(())
}
