//! [`Cursor`]: typed reading of settings with the path of what is wrong.
//!
//! Go matches field names without regard to case and takes null for nothing; so does this. Strict cursors refuse
//! unknown fields and wrong types, lenient ones take numbers for text, as the two decoders of kustomize do.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{BuildError, ErrorKind, Result};

/// A value with the way to it.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub value: &'a Value,
    parent: Option<&'a Cursor<'a>>,
    step: Step<'a>,
    strict: bool,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

static NULL: Value = Value::Null;

impl<'a> Cursor<'a> {
    pub(super) fn strict(value: &'a Value) -> Self {
        Cursor { value, parent: None, step: Step::Root, strict: true }
    }

    pub(super) fn lenient(value: &'a Value) -> Self {
        Cursor { value, parent: None, step: Step::Root, strict: false }
    }

    fn field(&self) -> String {
        let mut field = self.parent.map(Cursor::field).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Key(key) if field.is_empty() => field.push_str(key),
            Step::Key(key) => {
                field.push('.');
                field.push_str(key);
            }
            Step::Index(index) => field.push_str(&format!("[{index}]")),
        }
        field
    }

    /// An error about this value.
    pub(super) fn fail(&self, message: impl Into<String>) -> BuildError {
        BuildError::new(ErrorKind::Field, message).in_field(self.field())
    }

    fn wrong(&self, wanted: &str) -> BuildError {
        let found = match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a mapping",
        };
        let error = self.fail(format!("{wanted} is wanted, and this is {found}"));
        match self.value {
            Value::Bool(_) | Value::Number(_) if wanted == "text" => error.hint("put it in quotes"),
            _ => error,
        }
    }

    fn map(&self) -> Result<Option<&'a Map<String, Value>>> {
        match self.value {
            Value::Null => Ok(None),
            Value::Object(fields) => Ok(Some(fields)),
            _ => Err(self.wrong("a mapping")),
        }
    }

    /// Refuses fields that are not in the list, naming the nearest that is.
    pub(super) fn allow(&self, known: &[&str]) -> Result<()> {
        if !self.strict {
            return Ok(());
        }
        for key in self.map()?.into_iter().flat_map(Map::keys) {
            if !known.iter().any(|name| name.eq_ignore_ascii_case(key)) {
                let inner = Cursor { value: &NULL, parent: Some(self), step: Step::Key(key), strict: true };
                let error = inner.fail("unknown field");
                return Err(match nearest(key, known) {
                    Some(name) => error.hint(format!("did you mean {name}")),
                    None => error.hint("remove it"),
                });
            }
        }
        Ok(())
    }

    /// The value of a field, null when it is missing.
    pub(super) fn get(&'a self, name: &'a str) -> Result<Cursor<'a>> {
        let fields = self.map()?;
        let exact = fields.and_then(|fields| fields.get(name));
        let value = exact.or_else(|| {
            let same = |(key, value): (&'a String, &'a Value)| key.eq_ignore_ascii_case(name).then_some(value);
            fields.and_then(|fields| fields.iter().find_map(same))
        });
        Ok(Cursor { value: value.unwrap_or(&NULL), parent: Some(self), step: Step::Key(name), strict: self.strict })
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// Text; empty when missing.
    pub(super) fn text(&self) -> Result<String> {
        match self.value {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            Value::Bool(value) if !self.strict => Ok(value.to_string()),
            Value::Number(number) if !self.strict => Ok(number.to_string()),
            _ => Err(self.wrong("text")),
        }
    }

    pub(super) fn flag(&self) -> Result<bool> {
        match self.value {
            Value::Null => Ok(false),
            Value::Bool(value) => Ok(*value),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub(super) fn integer(&self) -> Result<i64> {
        match self.value {
            Value::Null => Ok(0),
            Value::Number(number) => number.as_i64().ok_or_else(|| self.wrong("an integer")),
            _ => Err(self.wrong("an integer")),
        }
    }

    /// The elements of a list; none when missing.
    pub(super) fn list<T>(&self, mut read: impl FnMut(&Cursor<'_>) -> Result<T>) -> Result<Vec<T>> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    read(&Cursor { value, parent: Some(self), step: Step::Index(index), strict: self.strict })
                })
                .collect(),
            _ => Err(self.wrong("a list")),
        }
    }

    pub(super) fn texts(&self) -> Result<Vec<String>> {
        self.list(|cursor| cursor.text())
    }

    /// A mapping of text to text in the order of its keys; empty when missing.
    pub(super) fn pairs(&self) -> Result<BTreeMap<String, String>> {
        let mut pairs = BTreeMap::new();
        for (key, value) in self.map()?.into_iter().flatten() {
            let inner = Cursor { value, parent: Some(self), step: Step::Key(key), strict: self.strict };
            pairs.insert(key.clone(), inner.text()?);
        }
        Ok(pairs)
    }

    /// A part that may be missing.
    pub(super) fn optional<T>(&self, read: impl FnOnce(&Cursor<'_>) -> Result<T>) -> Result<Option<T>> {
        if self.is_null() { Ok(None) } else { read(self).map(Some) }
    }
}

/// The known name that differs least, when it differs little.
fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let lower = name.to_lowercase();
    known
        .iter()
        .map(|known| (distance(&lower, &known.to_lowercase()), *known))
        .min()
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
        .map(|(_, known)| known)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != *y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
