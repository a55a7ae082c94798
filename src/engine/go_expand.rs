//! Texts with dollars, into which Go's `regexp` puts what groups matched.
//!
//! Start with [`Replacement::read`]. Source: Go's regexp (Expand, extract).

use std::borrow::Cow;

use regex::Regex;

/// A text that groups are put into.
#[derive(Clone, Debug)]
pub struct Replacement(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// What a group matched; `None` where the pattern has no such group.
    Group(Option<usize>),
}

impl Replacement {
    /// Takes a text apart: `$name` takes the longest name, `${name}` ends at the brace, `$$` is a dollar, and a dollar
    /// that begins nothing is text.
    pub fn read(template: &str, regex: &Regex) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('$') {
            text.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                text.push('$');
                rest = after;
                continue;
            }
            let Some((name, after)) = name(rest) else {
                text.push('$');
                continue;
            };
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
            parts.push(Part::Group(match name.parse() {
                Ok(number) if is_number => Some(number),
                _ => regex.capture_names().position(|known| known == Some(name)),
            }));
            rest = after;
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Replacement(parts)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with the groups put in.
    pub fn filled<'t>(&self, group: impl Fn(usize) -> &'t str) -> Cow<'t, str> {
        let matched = |number: Option<usize>| number.map_or("", &group);
        if let [Part::Group(number)] = self.0.as_slice() {
            return Cow::Borrowed(matched(*number));
        }
        let pieces = self.0.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Group(number) => matched(*number),
        });
        Cow::Owned(pieces.collect())
    }
}

/// The name after a dollar, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{');
    let from = inner.unwrap_or(text);
    let end = from.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(from.len());
    let (name, after) = from.split_at(end);
    let after = match inner {
        Some(_) => after.strip_prefix('}')?,
        None => after,
    };
    (!name.is_empty()).then_some((name, after))
}
