//! The digests by which Flux recognises a release: of the whole record, of its values, of what renders it anew.
//!
//! To the byte as Go computes them, so that weir and helm-controller agree about one release. Start with
//! [`observed_digest`]. Source: helm-controller internal/release (digest.go, observation.go), fluxcd/pkg chartutil.

use serde_json::{Map, Value, json};

use super::{Hook, Record};
use crate::base::{Digest, yaml};
use crate::engine::go_json;

/// The fields of a chart's metadata in the order of Go's struct.
const METADATA: [&str; 17] = [
    "name",
    "home",
    "sources",
    "version",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
];
const MAINTAINER: [&str; 3] = ["name", "email", "url"];
const DEPENDENCY: [&str; 8] =
    ["name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias"];

/// The digest of a record as the history of a HelmRelease keeps it. Tests do not count: running them changes no release.
pub fn observed_digest(record: &Record, oci_digest: Option<&str>) -> String {
    let hooks: Vec<&Hook> = record.hooks.iter().filter(|hook| !hook.is_test()).collect();
    let mut observed = json!({
        "name": record.name,
        "version": record.version,
        "info": record.info,
        "chartMetadata": metadata(record.chart.get("metadata").unwrap_or(&Value::Null)),
        "config": if record.config.is_empty() { Value::Null } else { sorted(&Value::Object(record.config.clone())) },
        "manifest": record.manifest,
        "hooks": if hooks.is_empty() { Value::Null } else { serde_json::to_value(hooks).unwrap_or_default() },
        "namespace": record.namespace,
    });
    if let Some(digest) = oci_digest.filter(|digest| !digest.is_empty()) {
        observed["ociDigest"] = digest.into();
    }
    document_digest(&observed)
}

/// The digest of a document as Go's encoder writes it, keys in the order given.
pub fn document_digest(document: &Value) -> String {
    let mut text = String::new();
    write(&mut text, document);
    text.push('\n');
    Digest::sha256(text.as_bytes()).to_string()
}

/// The digest of values: of their YAML with sorted keys; no values are no text.
pub fn config_digest(values: &Map<String, Value>) -> String {
    let text = if values.is_empty() {
        String::new()
    } else {
        yaml::write(&with_whole_numbers(sorted(&Value::Object(values.clone()))))
    };
    Digest::sha256(text.as_bytes()).to_string()
}

/// A moment of a record in whole seconds, as the history keeps it.
pub fn time_of_snapshot(text: &str) -> Option<String> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    jiff::Timestamp::from_second(moment.as_second()).ok().map(|moment| moment.to_string())
}

fn metadata(given: &Value) -> Value {
    let mut all = picked(given, &METADATA, &[]);
    if let Some(annotations) = all.get_mut("annotations") {
        *annotations = sorted(annotations);
    }
    let lists: [(&str, &[&str], &[&str]); 2] =
        [("maintainers", &MAINTAINER, &[]), ("dependencies", &DEPENDENCY, &["name", "repository"])];
    for (list, fields, always) in lists {
        if let Some(Value::Array(items)) = all.get_mut(list) {
            items.iter_mut().for_each(|item| *item = Value::Object(picked(item, fields, always)));
        }
    }
    Value::Object(all)
}

/// Some fields in that order; empty ones are left out unless they are always written.
fn picked(given: &Value, fields: &[&str], always: &[&str]) -> Map<String, Value> {
    let mut all = Map::new();
    for field in fields {
        let value = given.get(field).cloned().unwrap_or_default();
        let is_empty = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if always.contains(field) {
            all.insert((*field).into(), if value.is_null() { "".into() } else { value });
        } else if !is_empty {
            all.insert((*field).into(), value);
        }
    }
    all
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&fields[key]))).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Floats without a fraction are written as integers.
fn with_whole_numbers(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, with_whole_numbers(value))).collect(),
        Value::Array(items) => items.into_iter().map(with_whole_numbers).collect(),
        Value::Number(number) => whole(&number).map_or(Value::Number(number), Value::from),
        other => other,
    }
}

fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    #[expect(clippy::cast_possible_truncation, reason = "checked by the range and by going back")]
    let whole = float as i64;
    #[expect(clippy::cast_precision_loss, reason = "what is lost shows as a difference")]
    let back = whole as f64;
    (back == float && float.abs() < 9.2e18).then_some(whole)
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => go_json::text(out, text, true),
        Value::Number(number) => out.push_str(&go_json::float(number.as_f64().unwrap_or_default())),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (at, (key, item)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                go_json::text(out, key, true);
                out.push(':');
                write(out, item);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::release::{Execution, Info, Status};

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn values_without_an_order_have_one_digest() {
        let one = config_digest(&map(json!({"b": [{"d": 1.0, "c": "x"}], "a": null})));
        assert_eq!(one, config_digest(&map(json!({"a": null, "b": [{"c": "x", "d": 1}]}))));
        assert_eq!(
            config_digest(&Map::new()),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn tests_do_not_count_and_everything_else_does() {
        let hook = |event: &str| Hook { name: "h".into(), events: vec![event.into()], ..Hook::default() };
        let mut record = Record { name: "a".into(), version: 1, hooks: vec![hook("test")], ..Record::default() };
        let first = observed_digest(&record, None);
        record.hooks[0].last_run = Execution { phase: "Succeeded".into(), ..Execution::default() };
        assert_eq!(observed_digest(&record, None), first);
        record.info = Info { status: Status::Failed, ..Info::default() };
        assert_ne!(observed_digest(&record, None), first);
        assert_ne!(observed_digest(&record, Some("sha256:1")), observed_digest(&record, None));
    }
}
