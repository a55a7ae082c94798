//! Which values of a release must not be shown: those that Secrets gave, by their paths, and those that say so by name.
//!
//! Weir writes the paths into its records, where Helm passes over them. Of a record that somebody else wrote, a value
//! counts as harmless only where it is known to have come from elsewhere. Start with [`Hidden`].

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Record;
use crate::base::{Redactor, redactor::MASK};

/// Paths of values, key by key.
pub type Paths = BTreeSet<Vec<String>>;

/// Keys whose text is never shown, wherever it came from.
const TELLING: [&str; 7] = ["password", "passwd", "secret", "token", "apikey", "privatekey", "credential"];
/// Digits that a number may have and still be shown where nobody knows its origin.
const DIGITS: usize = 3;

/// What must not be shown of the values of one revision.
#[derive(Clone, Debug)]
pub enum Hidden {
    /// What Secrets gave is known.
    Paths(Paths),
    /// It is not: harmless is what one of these has in the same place.
    AllBut(Vec<Map<String, Value>>),
}

impl Hidden {
    /// Of a record: what it says itself, or everything that neither its chart nor `known` has.
    pub fn of(record: &Record, known: impl IntoIterator<Item = Map<String, Value>>) -> Hidden {
        if let Some(paths) = &record.secret_values {
            return Hidden::Paths(paths.clone());
        }
        let defaults = record.chart.get("values").and_then(Value::as_object).cloned();
        Hidden::AllBut(defaults.into_iter().chain(known).collect())
    }

    /// What takes the hidden values of a revision out of texts: those it names itself, or else those in the places that
    /// Secrets fill now.
    pub fn redactor_of(record: &Record, now: Option<&Paths>) -> Redactor {
        let paths = record.secret_values.clone().or_else(|| now.cloned()).unwrap_or_default();
        Hidden::Paths(paths).redactor(&record.merged_values())
    }

    /// Values as they may be shown.
    pub fn masked(&self, values: &Map<String, Value>) -> Value {
        let mut shown = Value::Object(values.clone());
        self.walk(&mut shown, &mut Vec::new(), &mut |value| *value = MASK.into());
        shown
    }

    /// What takes the hidden values out of texts that were made of them.
    pub fn redactor(&self, values: &Map<String, Value>) -> Redactor {
        let mut found = Vec::new();
        let mut all = Value::Object(values.clone());
        self.walk(&mut all, &mut Vec::new(), &mut |value| found.extend(texts(value)));
        Redactor::new(found)
    }

    fn walk(&self, value: &mut Value, at: &mut Vec<String>, hide: &mut dyn FnMut(&mut Value)) {
        if self.has(value, at) && !value.is_null() {
            return hide(value);
        }
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    at.push(key.clone());
                    self.walk(value, at, hide);
                    at.pop();
                }
            }
            // Inside a list only names tell: its place was judged as a whole.
            Value::Array(items) => {
                let named = Hidden::Paths(Paths::new());
                items.iter_mut().for_each(|item| named.walk(item, at, hide));
            }
            Value::String(text) if !text.is_empty() && at.last().is_some_and(|key| is_telling(key)) => hide(value),
            _ => {}
        }
    }

    fn has(&self, value: &Value, at: &[String]) -> bool {
        match self {
            Hidden::Paths(paths) => paths.contains(at),
            Hidden::AllBut(known) => {
                let is_plain = match value {
                    Value::Object(_) | Value::Null | Value::Bool(_) => true,
                    Value::Number(number) => number.to_string().trim_end_matches(".0").len() <= DIGITS,
                    Value::String(text) => text.is_empty(),
                    Value::Array(items) => items.is_empty(),
                };
                !is_plain && !known.iter().any(|known| found(known, at).is_some_and(|known| is_same(known, value)))
            }
        }
    }
}

/// The paths of everything in some values; an empty map and a list count as a whole.
pub fn paths(values: &Map<String, Value>) -> Paths {
    fn walk(value: &Value, at: &mut Vec<String>, found: &mut Paths) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (key, value) in fields {
                    at.push(key.clone());
                    walk(value, at, found);
                    at.pop();
                }
            }
            _ => drop(found.insert(at.clone())),
        }
    }
    let mut found = Paths::new();
    for (key, value) in values {
        walk(value, &mut vec![key.clone()], &mut found);
    }
    found
}

/// The texts in a value, and numbers that are long enough to be secret.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => {
            let text = number.to_string();
            let text = text.trim_end_matches(".0");
            if text.len() > DIGITS { vec![text.to_owned()] } else { Vec::new() }
        }
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn found<'v>(values: &'v Map<String, Value>, at: &[String]) -> Option<&'v Value> {
    let (first, rest) = at.split_first()?;
    rest.iter().try_fold(values.get(first)?, |value, key| value.get(key))
}

/// Numbers are the same as floats and as integers.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}

fn is_telling(key: &str) -> bool {
    let plain: String = key.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase();
    // The name of a Secret is no secret.
    let is_name = ["name", "ref", "key"].iter().any(|end| plain.ends_with(end)) && !plain.ends_with("apikey");
    TELLING.iter().any(|word| plain.contains(word)) && (!is_name || plain.ends_with("privatekey"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_a_secret_gave_is_masked_and_its_neighbours_are_not() {
        let hidden = Hidden::Paths(paths(&map(json!({"db": {"user": "canary"}, "list": [1]}))));
        let given = map(json!({"db": {"user": "canary-1", "host": "h"}, "list": ["canary-2"],
            "adminPassword": "canary-3", "existingSecretName": "s", "count": 3, "items": [{"token": "canary-4"}]}));
        let shown = hidden.masked(&given).to_string();
        assert!(!shown.contains("canary"), "{shown}");
        for kept in [r#""host":"h""#, r#""existingSecretName":"s""#, r#""count":3"#] {
            assert!(shown.contains(kept), "{shown}");
        }
        let cleaned = hidden.redactor(&given).clean("canary-1 canary-2 canary-3 canary-4 host").into_owned();
        assert_eq!(cleaned, "*** *** *** *** host");
    }

    #[test]
    fn where_nobody_knows_only_what_came_from_elsewhere_is_shown() {
        let record = Record {
            chart: json!({"values": {"image": {"tag": "1.0"}, "port": 8080}}),
            config: map(json!({"image": {"tag": "1.0", "name": "canary"}, "port": 8080.0, "host": "shown", "on": true,
                "replicas": 2, "pin": 123_456, "list": ["canary"], "gone": {"deep": "canary"}})),
            ..Record::default()
        };
        let hidden = Hidden::of(&record, [map(json!({"host": "shown", "gone": {"deep": "other"}}))]);
        assert_eq!(
            hidden.masked(&record.config),
            json!({"image": {"tag": "1.0", "name": "***"}, "port": 8080.0, "host": "shown", "on": true, "replicas": 2,
                "pin": "***", "list": "***", "gone": {"deep": "***"}})
        );
        assert_eq!(hidden.redactor(&record.config).clean("canary 123456 shown 8080"), "*** *** shown 8080");
        let written = Record { secret_values: Some(Paths::from([vec!["host".into()]])), ..record };
        let shown = Hidden::of(&written, []).masked(&written.config);
        assert_eq!((&shown["host"], &shown["image"]["name"]), (&json!("***"), &json!("canary")));
    }
}
