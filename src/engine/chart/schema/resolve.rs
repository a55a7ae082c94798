//! The schema as a document: its draft, and where references within it lead.
//!
//! Must not look beyond the document. Start with [`Document::new`].

use std::collections::HashMap;

use serde_json::Value as Json;

/// How deep a schema may be.
const DEPTH: usize = 128;

/// A schema with the names that its parts have.
pub(super) struct Document<'s> {
    pub root: &'s Json,
    /// E.g. 4, 6, 7, 2019, 2020.
    pub draft: u32,
    /// Whether any part asks what no other part has looked at.
    pub tracks: bool,
    /// Parts with an `$id`, and with an anchor (`#name`).
    names: HashMap<String, &'s Json>,
}

fn draft(root: &Json) -> Result<u32, String> {
    let Some(named) = root.get("$schema") else { return Ok(2020) };
    let named = named.as_str().ok_or("$schema is not text")?;
    let plain = named.trim_end_matches('#').trim_start_matches("http://").trim_start_matches("https://");
    match plain {
        "json-schema.org/draft-04/schema" => Ok(4),
        "json-schema.org/draft-06/schema" => Ok(6),
        "json-schema.org/draft-07/schema" => Ok(7),
        "json-schema.org/draft/2019-09/schema" => Ok(2019),
        "json-schema.org/draft/2020-12/schema" | "json-schema.org/schema" => Ok(2020),
        _ => Err(format!("the $schema {named} is not known, and nothing is fetched")),
    }
}

impl<'s> Document<'s> {
    /// Reads a schema. Errors with what makes it no schema.
    pub fn new(root: &'s Json) -> Result<Self, String> {
        if !root.is_object() && !root.is_boolean() {
            return Err("a schema is an object".into());
        }
        let mut document = Document { root, draft: draft(root)?, tracks: false, names: HashMap::new() };
        document.note(root, 0)?;
        Ok(document)
    }

    fn note(&mut self, part: &'s Json, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err(format!("it is nested more than {DEPTH} deep"));
        }
        match part {
            Json::Object(fields) => {
                let id = fields.get(if self.draft == 4 { "id" } else { "$id" }).and_then(Json::as_str);
                let anchors = ["$anchor", "$dynamicAnchor"].map(|name| fields.get(name).and_then(Json::as_str));
                let anchors = anchors.into_iter().flatten().map(|anchor| format!("#{anchor}"));
                for name in id.map(|id| id.trim_end_matches('#').to_owned()).into_iter().chain(anchors) {
                    self.names.entry(name).or_insert(part);
                }
                self.tracks |=
                    ["unevaluatedProperties", "unevaluatedItems"].iter().any(|key| fields.contains_key(*key));
                fields.values().try_for_each(|value| self.note(value, depth + 1))
            }
            Json::Array(items) => items.iter().try_for_each(|value| self.note(value, depth + 1)),
            _ => Ok(()),
        }
    }

    /// The part that a reference names; `None` is a URN that Helm does not know and takes for `true`.
    ///
    /// Errors when it leads out of the document or to nothing.
    pub fn part(&self, reference: &str) -> Result<Option<&'s Json>, String> {
        let nothing = || format!("the reference {reference} names nothing");
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let start = match base {
            "" => self.root,
            named => match self.names.iter().find(|(name, _)| is_same(name, named)) {
                Some((_, part)) => part,
                None if named.starts_with("urn:") => return Ok(None),
                None => {
                    return Err(format!("the reference {reference} is not fetched; put what it names into the schema"));
                }
            },
        };
        if fragment.is_empty() {
            return Ok(Some(start));
        }
        if !fragment.starts_with('/') {
            return self.names.get(&format!("#{fragment}")).copied().map(Some).ok_or_else(nothing);
        }
        start.pointer(&unescaped(fragment)).map(Some).ok_or_else(nothing)
    }
}

/// Whether a reference means the part with that name: the same text, or the last part of its path.
fn is_same(name: &str, reference: &str) -> bool {
    let ends = |whole: &str, end: &str| {
        !end.contains("://") && !end.starts_with('/') && whole.strip_suffix(end).is_some_and(|rest| rest.ends_with('/'))
    };
    name == reference || ends(name, reference) || ends(reference, name)
}

/// A pointer without the escapes that its place in a URL asks for.
fn unescaped(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut left = fragment.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        let escape = rest.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match escape.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                left = &rest[2..];
            }
            None => {
                bytes.push(*first);
                left = rest;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
