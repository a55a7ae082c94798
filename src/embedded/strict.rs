//! What is wrong with a body before anyone looks at its content: types, unknown fields, keys that are there twice.
//!
//! Keys are found in one pass over the text that keeps nothing but names, because a tree of values can no longer tell.
//! Start with [`check_readable`], [`check_unknown`] and [`duplicates`].

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::catalog::Resource;
use super::request::{Options, Validation};
use super::status::Failure;

/// More than this many are not told.
const MOST: usize = 100;

/// Checks that a body of a built-in kind has values of the right types.
///
/// Errors with 400.
pub fn check_readable(resource: &Resource, body: &Value) -> Result<(), Failure> {
    let Some(why) = resource.schema.unreadable(body) else { return Ok(()) };
    Err(Failure::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}: {why}",
        resource.kind, resource.version, resource.kind
    )))
}

/// Treats unknown fields as the request asks.
///
/// Errors with 400 under strict validation.
pub fn check_unknown(
    resource: &Resource,
    body: &Value,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    if options.validation == Validation::Ignore {
        return Ok(());
    }
    let unknown = resource.schema.unknown_fields(body);
    complain(resource, unknown.iter().map(|field| format!("unknown field \"{field}\"")), options, warnings)
}

/// Treats keys that a body has twice as the request asks.
///
/// Errors with 400 under strict validation.
pub fn check_twice(resource: &Resource, options: &Options, warnings: &mut Vec<String>) -> Result<(), Failure> {
    complain(resource, std::iter::empty(), options, warnings)
}

fn complain(
    resource: &Resource,
    unknown: impl Iterator<Item = String>,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let twice = options.twice.iter().map(|field| format!("duplicate field \"{field}\""));
    let mut texts = unknown.chain(twice).peekable();
    if options.validation == Validation::Ignore || texts.peek().is_none() {
        return Ok(());
    }
    if options.validation == Validation::Warn {
        warnings.extend(texts);
        return Ok(());
    }
    let list = texts.collect::<Vec<_>>().join(", ");
    Err(Failure::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {list}",
        resource.kind, resource.version, resource.kind
    )))
}

/// The paths of keys that an object of a JSON text has twice; nothing when the text is not JSON.
pub fn duplicates(text: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    // What cannot be read is refused by whoever reads the values.
    let _ = Look { path: String::new(), found: &mut found }.deserialize(&mut reader);
    found
}

struct Look<'a> {
    path: String,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if !seen.insert(key) && self.found.len() < MOST {
                self.found.push(path.clone());
            }
            map.next_value_seed(Look { path, found: self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut at = 0;
        while items.next_element_seed(Look { path: format!("{}[{at}]", self.path), found: self.found })?.is_some() {
            at += 1;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_there_twice_are_named_with_their_path() {
        let text = br#"{"a": 1, "b": [{"c": {"d": 1, "d": 2}}, {"c": null}], "a": "x", "e": {"a": 1.5, "b": true}}"#;
        assert_eq!(duplicates(text), ["b[0].c.d", "a"]);
        assert!(duplicates(br#"{"a": {"b": 1}, "c": {"b": 1}}"#).is_empty());
        assert!(duplicates(b"not json").is_empty());
    }
}
