//! Writes new values over scalars, in the style they have, and proves that nothing else changed.
//!
//! Start with [`rewrite`].

use std::borrow::Cow;

use granit_parser::ScalarStyle;

use super::scan::{Marked, Part, events};
use crate::base::yaml;

/// Puts values in the places of fields of a text, whose parts they are.
///
/// Errors when the result would not read as meant; the caller then leaves the file alone.
pub(super) fn rewrite(text: &str, parts: Vec<Part<'_>>, edits: &[(&Marked, &str)]) -> Result<String, String> {
    let mark = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    let mut out = String::with_capacity(text.len() + 64 * edits.len());
    let mut copied = 0;
    for (field, value) in edits {
        let (mut start, end) = (field.place.start + mark, field.place.end + mark);
        if matches!(field.style, ScalarStyle::Literal | ScalarStyle::Folded) {
            start =
                text.get(..start).and_then(|before| before.rfind(['|', '>'])).ok_or("its places cannot be found")?;
        }
        let old = text.get(start..end).filter(|_| start >= copied).ok_or("its places cannot be found")?;
        out.push_str(&text[copied..start]);
        out.push_str(&written(field, old, value));
        copied = end;
    }
    out.push_str(&text[copied..]);
    match is_as_meant(parts, &out, edits)? {
        true => Ok(out),
        false => Err("an edit would change more than the marked field; write the value on one line".into()),
    }
}

/// The new value in the style of the old.
fn written(field: &Marked, old: &str, value: &str) -> String {
    match field.style {
        ScalarStyle::SingleQuoted => format!("'{}'", value.replace('\'', "''")),
        ScalarStyle::DoubleQuoted => double(value),
        ScalarStyle::Plain if is_plain(value) => value.to_owned(),
        ScalarStyle::Plain => double(value),
        ScalarStyle::Literal | ScalarStyle::Folded => block(old, value).unwrap_or_else(|| double(value)),
    }
}

/// Whether a value may stand without quotes: nothing in it means anything in YAML, and it reads as text.
///
/// Source: kyaml yaml (FormatNonStringStyle quotes what YAML 1.1 would type).
fn is_plain(value: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-' | ':' | '@' | '+');
    value.chars().all(safe)
        && value.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_'))
        && !value.ends_with(':')
        && !yaml::is_typed(value)
        && !is_date(value)
}

/// Dates are times for some readers.
fn is_date(value: &str) -> bool {
    let mut parts = value.splitn(3, '-');
    let digits = |part: Option<&str>| part.is_some_and(|part| part.bytes().next().is_some_and(|b| b.is_ascii_digit()));
    digits(parts.next()) && digits(parts.next()) && digits(parts.next()) && value.as_bytes().get(4) == Some(&b'-')
}

fn double(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A block with one line: the header keeps its comment, and the line breaks at the end are dropped.
fn block(old: &str, value: &str) -> Option<String> {
    let header_end = old.find('\n')?;
    let (header, content) = old.split_at(header_end + 1);
    let line = content.split('\n').find(|line| !line.trim().is_empty())?;
    let indent: String = line.chars().take_while(|c| *c == ' ').collect();
    let signs = header.find(|c: char| !matches!(c, '|' | '>' | '+' | '-' | '0'..='9')).unwrap_or(header.len());
    let kept: String = header[..signs].chars().filter(|c| !matches!(c, '+' | '-')).collect();
    let is_ended = content.ends_with('\n');
    let ending = match (is_ended, header.ends_with("\r\n")) {
        (false, _) => "",
        (true, true) => "\r\n",
        (true, false) => "\n",
    };
    Some(format!("{kept}-{}{indent}{value}{ending}", &header[signs..]))
}

/// Whether a text has the parts of the old one, but for the edited scalars.
fn is_as_meant(mut wanted: Vec<Part<'_>>, new: &str, edits: &[(&Marked, &str)]) -> Result<bool, String> {
    let is_scalar = |(_, part): &(usize, &Part<'_>)| matches!(part, Part::Scalar(_));
    let places: Vec<usize> = wanted.iter().enumerate().filter(is_scalar).map(|(at, _)| at).collect();
    for (field, value) in edits {
        match places.get(field.number) {
            Some(at) => wanted[*at] = Part::Scalar(Cow::Owned((*value).to_owned())),
            None => return Ok(false),
        }
    }
    let (mut left, mut same) = (wanted.iter(), true);
    events(new, |event, _| same &= left.next() == Some(&Part::of(&event)))?;
    Ok(same && left.next().is_none())
}
