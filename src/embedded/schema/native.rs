//! What the real server finds when it reads a built-in object into its own structs: values of the wrong kind, and
//! texts that must be there.
//!
//! The first is a 400 before anything else is looked at, the second a 422 like any other cause.

use base64::Engine as _;
use serde_json::Value;

use super::cause::Cause;
use super::node::{Additional, Node, NodeId, Shape};
use super::{Schema, formats};
use crate::embedded::patch::equal;

impl Schema {
    /// Why a built-in object cannot be read at all, e.g. `json: cannot unmarshal string into Go struct field
    /// Deployment.spec.replicas of type int32`; nothing for custom resources.
    pub fn unreadable(&self, value: &Value) -> Option<String> {
        if !self.is_builtin() {
            return None;
        }
        let kind = value["kind"].as_str().unwrap_or_default().to_string();
        self.misread(self.root, value, &kind)
    }

    fn misread(&self, id: NodeId, value: &Value, path: &str) -> Option<String> {
        let node = self.arena.node(id);
        if value.is_null() || matches!(node.shape, Shape::Any | Shape::Raw) {
            return None;
        }
        if let Some(why) = misread_as(node, value, path) {
            return Some(why);
        }
        match value {
            Value::Object(fields) => {
                fields.iter().find_map(|(key, child)| match (node.fields.get(key.as_str()), node.additional) {
                    (Some(field), _) => self.misread(field.node, child, &format!("{path}.{key}")),
                    (None, Additional::Of(id)) => self.misread(id, child, &format!("{path}.{key}")),
                    _ => None,
                })
            }
            Value::Array(items) => {
                let id = node.items?;
                items.iter().find_map(|item| self.misread(id, item, path))
            }
            _ => None,
        }
    }

    /// Texts that built-in objects must have and do not; what was missing before and did not change is let pass.
    pub(super) fn missing_texts(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut out = Vec::new();
        let node = self.arena.node(self.root);
        for (key, child) in new.as_object().into_iter().flatten() {
            // Nobody looks at these for completeness.
            if matches!(key.as_str(), "metadata" | "status") {
                continue;
            }
            if let Some(field) = node.fields.get(key.as_str()) {
                let before = old.and_then(|old| old.get(key));
                self.missing(field.node, child, before, key, &mut out);
            }
        }
        self.missing_fields(node, new, "", &mut out);
        out
    }

    fn missing(&self, id: NodeId, new: &Value, old: Option<&Value>, path: &str, out: &mut Vec<Cause>) {
        if old.is_some_and(|old| equal(new, old)) {
            return;
        }
        let node = self.arena.node(id);
        match new {
            Value::Object(fields) => {
                for (key, child) in fields {
                    let (id, at) = match (node.fields.get(key.as_str()), node.additional) {
                        (Some(field), _) => (field.node, format!("{path}.{key}")),
                        (None, Additional::Of(id)) => (id, format!("{path}[{key}]")),
                        _ => continue,
                    };
                    self.missing(id, child, old.and_then(|old| old.get(key)), &at, out);
                }
                self.missing_fields(node, new, path, out);
            }
            Value::Array(items) => {
                let Some(id) = node.items else { return };
                for (index, item) in items.iter().enumerate() {
                    let before = old.and_then(|old| old.get(index));
                    self.missing(id, item, before, &format!("{path}[{index}]"), out);
                }
            }
            _ => {}
        }
    }

    fn missing_fields(&self, node: &Node, value: &Value, path: &str, out: &mut Vec<Cause>) {
        let is_text = |name: &str| node.fields.get(name).is_some_and(|f| self.arena.node(f.node).shape == Shape::Text);
        for name in node.required.iter().filter(|name| is_text(name)) {
            // A header or a kernel setting may well be empty.
            if &**name != "value" && matches!(value.get(&**name), None | Some(Value::Null)) {
                let at = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
                out.push(Cause::required(&at, ""));
            }
        }
    }
}

fn misread_as(node: &Node, value: &Value, path: &str) -> Option<String> {
    let kind = match value {
        Value::Null => return None,
        Value::Bool(_) => "bool".to_string(),
        Value::Number(number) => format!("number {number}"),
        Value::String(_) => "string".to_string(),
        Value::Array(_) => "array".to_string(),
        Value::Object(_) => "object".to_string(),
    };
    let plain = if value.is_number() { "number" } else { &kind };
    let cannot =
        |kind: &str, of: &str| Some(format!("json: cannot unmarshal {kind} into Go struct field {path} of type {of}"));
    let format = node.format.as_deref();
    match (node.shape, value) {
        (Shape::Text, Value::String(text)) => unparsable(format, text),
        (Shape::Text, _) => cannot(plain, "string"),
        (Shape::Boolean, Value::Bool(_)) => None,
        (Shape::Boolean, _) => cannot(plain, "bool"),
        (Shape::Integer, Value::Number(number)) => {
            let wide = format != Some("int32");
            match number.as_i64() {
                Some(fits) if wide || i32::try_from(fits).is_ok() => None,
                _ => cannot(&kind, if wide { "int64" } else { "int32" }),
            }
        }
        (Shape::Integer, _) => cannot(plain, format.unwrap_or("int64")),
        (Shape::Number, Value::Number(_)) => None,
        (Shape::Number, _) => cannot(plain, "float64"),
        (Shape::Object, Value::Object(_)) | (Shape::Array, Value::Array(_)) => None,
        (Shape::Object, _) => cannot(plain, "object"),
        (Shape::Array, _) => cannot(plain, "slice"),
        (Shape::Quantity, Value::Number(_)) => None,
        (Shape::Quantity, Value::String(text)) if is_quantity(text) => None,
        (Shape::Quantity, _) => {
            Some("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".into())
        }
        (Shape::IntOrString, Value::Number(number)) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
            None
        }
        (Shape::IntOrString, Value::String(_)) => None,
        (Shape::IntOrString, _) => cannot(&kind, "intstr.IntOrString"),
        _ => None,
    }
}

/// Values are not told here: they may be secrets.
fn unparsable(format: Option<&str>, text: &str) -> Option<String> {
    match format {
        Some("byte") => base64::engine::general_purpose::STANDARD.decode(text).err().map(|error| {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => text.len(),
            };
            format!("illegal base64 data at input byte {at}")
        }),
        Some("date-time") if formats::fits("date-time", text) == Some(false) => {
            Some(format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""))
        }
        _ => None,
    }
}

fn is_quantity(text: &str) -> bool {
    const UNITS: [&str; 17] =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "exponent"];
    let unsigned = text.trim_start_matches(['+', '-']);
    let end = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unsigned.len());
    let (number, unit) = unsigned.split_at(end);
    let exponent = unit.strip_prefix(['e', 'E']).is_some_and(|digits| digits.parse::<i32>().is_ok());
    let digits = number.bytes().any(|b| b.is_ascii_digit()) && number.matches('.').count() < 2;
    digits && text.len() - unsigned.len() < 2 && (exponent || UNITS[..16].contains(&unit))
}

#[cfg(test)]
mod tests {
    use super::super::{builtin, custom};
    use serde_json::json;

    #[test]
    fn values_of_the_wrong_kind_cannot_be_read() {
        let deployment = builtin("apps", "v1", "Deployment").unwrap();
        let why = |spec: serde_json::Value| deployment.unreadable(&json!({"kind": "Deployment", "spec": spec}));
        let go = |kind: &str, path: &str, of: &str| {
            Some(format!("json: cannot unmarshal {kind} into Go struct field Deployment.spec.{path} of type {of}"))
        };
        assert_eq!(why(json!({"replicas": "3"})), go("string", "replicas", "int32"));
        assert_eq!(why(json!({"replicas": 1.5})), go("number 1.5", "replicas", "int32"));
        assert_eq!(why(json!({"replicas": 3_000_000_000_i64})), go("number 3000000000", "replicas", "int32"));
        assert_eq!(why(json!({"paused": "yes"})), go("string", "paused", "bool"));
        let pod = |container: serde_json::Value| json!({"template": {"spec": {"containers": [container]}}});
        assert_eq!(why(pod(json!({"name": 1}))), go("number", "template.spec.containers.name", "string"));
        assert!(why(pod(json!({"resources": {"limits": {"cpu": "lots"}}}))).unwrap().starts_with("quantities must"));
        assert!(why(pod(json!({"resources": {"limits": {"cpu": "1.5", "memory": "1e3", "x": 2}}}))).is_none());
        assert!(why(json!({"strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}})).is_none());
        assert!(why(json!({"strategy": {"rollingUpdate": {"maxSurge": true}}})).is_some());
        let secret = builtin("", "v1", "Secret").unwrap();
        let hidden = secret.unreadable(&json!({"kind": "Secret", "data": {"k": "not base64!"}})).unwrap();
        assert_eq!(hidden, "illegal base64 data at input byte 3");
        assert!(custom(None, true).unwrap().unreadable(&json!({"spec": 1})).is_none());
    }

    #[test]
    fn texts_that_must_be_there_are_asked_for() {
        let deployment = builtin("apps", "v1", "Deployment").unwrap();
        let with = |containers: serde_json::Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let fields = |new: &serde_json::Value, old: Option<&serde_json::Value>| -> Vec<String> {
            deployment.validate(new, old).into_iter().map(|cause| cause.field).collect()
        };
        let bad =
            with(json!([{"name": "a", "image": "i", "env": [{"value": "x"}], "volumeMounts": [{"name": "v"}]}, {}]));
        let at = |rest: &str| format!("spec.template.spec.containers{rest}");
        assert_eq!(
            fields(&bad, None),
            [at("[0].env[0].name"), at("[0].volumeMounts[0].mountPath"), at("[1].name"), at("[1].image")]
        );
        assert!(fields(&bad, Some(&bad)).is_empty());
        let role = builtin("rbac.authorization.k8s.io", "v1", "RoleBinding").unwrap();
        let causes =
            role.validate(&json!({"roleRef": {"kind": "Role"}, "subjects": [{"kind": "User", "name": "x"}]}), None);
        assert_eq!(causes[0].field, "roleRef.name");
    }
}
