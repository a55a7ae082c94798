//! Checks a value against the schema of a custom resource.
//!
//! Paths, reasons and messages are those of the real server, because people and clients read them. Source:
//! kube-openapi pkg/validation/validate, apiextensions-apiserver pkg/apiserver/validation and schema/listtype.

use serde_json::{Map, Value};

use super::node::{Additional, Arena, Checks, Node, NodeId, Shape};
use super::{Cause, Schema, formats, lists, rules};
use crate::embedded::patch::{equal, limits};

/// What makes running rules pointless.
const BLOCKING: [&str; 5] =
    ["FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"];

const UNCHECKED: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

impl Schema {
    /// Everything wrong with a value; what was already wrong in `old` and did not change is let pass.
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        if limits::too_deep(new) {
            return vec![Cause::invalid("", &Value::Null, "the object nests too deep")];
        }
        if self.is_builtin() {
            return self.missing_texts(new, old);
        }
        let mut causes = checked(&self.arena, self.root, new, old, "").causes;
        causes.extend(lists::heads(&self.arena, self.root, new));
        let doubles = |value: &Value| lists::doubles(&self.arena, self.root, value);
        let doubled = doubles(new);
        if !doubled.is_empty() && old.is_none_or(|old| doubles(old).is_empty()) {
            causes.extend(doubled);
        }
        let blocks = |cause: &Cause| BLOCKING.contains(&cause.reason.as_str());
        if !causes.iter().any(blocks) {
            causes.extend(rules::run(&self.arena, self.root, new, old));
        } else if rules::any(&self.arena, self.root) {
            causes.push(Cause::invalid("", &Value::Null, UNCHECKED));
        }
        causes
    }
}

/// Everything wrong with a value by itself; paths start at the value.
pub fn value(arena: &Arena, id: NodeId, value: &Value) -> Vec<Cause> {
    checked(arena, id, value, None, "").causes
}

/// What a check found; the count of matches picks the alternative that fits best.
#[derive(Default)]
struct Outcome {
    causes: Vec<Cause>,
    matches: usize,
}

impl Outcome {
    fn add(&mut self, cause: Cause) {
        if !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }

    fn merge(&mut self, other: Outcome) {
        self.matches += other.matches;
        other.causes.into_iter().for_each(|cause| self.add(cause));
    }

    fn is_fine(&self) -> bool {
        self.causes.is_empty()
    }
}

/// The kind of a value as schemas name it.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn checked(arena: &Arena, id: NodeId, new: &Value, old: Option<&Value>, path: &str) -> Outcome {
    let outcome = checked_strictly(arena, id, new, old, path);
    // Ratcheting: what is unchanged was accepted once.
    if !outcome.is_fine() && old.is_some_and(|old| equal(new, old)) {
        return Outcome { matches: outcome.matches, ..Outcome::default() };
    }
    outcome
}

fn checked_strictly(arena: &Arena, id: NodeId, new: &Value, old: Option<&Value>, path: &str) -> Outcome {
    let node = arena.node(id);
    let mut out = Outcome::default();
    if node.shape != Shape::Any || node.format.is_some() {
        match mistyped(node, new, path) {
            Some(cause) => out.add(cause),
            None => out.matches += 1,
        }
        out.matches += 1;
    }
    let none = Checks::default();
    let checks = node.checks.as_deref().unwrap_or(&none);
    if !new.is_null() {
        out.merge(alternatives(arena, checks, new, old, path));
    }
    match new {
        Value::Null => {}
        Value::String(text) => check_text(node, checks, text, path, &mut out),
        Value::Number(_) => check_number(node, checks, new, path, &mut out),
        Value::Array(items) => check_items(arena, node, checks, items, old, path, &mut out),
        Value::Object(_) | Value::Bool(_) => {}
    }
    if !checks.one_of_values.is_empty() && !checks.one_of_values.iter().any(|known| !new.is_null() && equal(known, new))
    {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
        let known: Vec<String> = checks.one_of_values.iter().map(shown).collect();
        out.add(Cause::unsupported(trim(path), new, &known));
    }
    if let Value::Object(fields) = new {
        check_fields(arena, node, checks, fields, old, path, &mut out);
    }
    out.matches += 1;
    out
}

fn trim(path: &str) -> &str {
    path.trim_start_matches('.')
}

fn mistyped(node: &Node, value: &Value, path: &str) -> Option<Cause> {
    let given = kind(value);
    let types: &[&str] = match node.shape {
        Shape::Any | Shape::Raw | Shape::Quantity => &[],
        Shape::Object => &["object"],
        Shape::Array => &["array"],
        Shape::Text => &["string"],
        Shape::Integer => &["integer"],
        Shape::Number => &["number"],
        Shape::Boolean => &["boolean"],
        Shape::IntOrString => &["integer", "string"],
    };
    if types.is_empty() || value.is_null() && node.nullable {
        return None;
    }
    let fits = types.contains(&given)
        || given == "integer" && types.contains(&"number")
        || given == "number" && types.contains(&"integer") && value.as_f64().is_some_and(|f| f.fract() == 0.0);
    if fits {
        return None;
    }
    let say = |expected: &str, given: &str| {
        let detail = format!("{path} in body must be of type {expected}: {given:?}");
        Some(Cause::mistyped(trim(path), &given.into(), &detail))
    };
    // Where a format is known, the real server names formats instead of types for these values.
    let format = node.format.as_deref().filter(|format| is_checked(node.shape, format));
    match (format, value) {
        (Some(format), Value::Bool(_) | Value::Object(_)) => say(format, ""),
        (Some(format), Value::Number(number)) => say(format, if number.is_f64() { "float64" } else { "int64" }),
        _ => say(&types.join(","), given),
    }
}

fn is_checked(shape: Shape, format: &str) -> bool {
    match shape {
        Shape::Integer => matches!(format, "int32" | "int64"),
        Shape::Number => matches!(format, "float" | "double"),
        Shape::Any | Shape::Text => formats::fits(format, "").is_some(),
        _ => false,
    }
}

fn check_text(node: &Node, checks: &Checks, text: &str, path: &str, out: &mut Outcome) {
    let value = Value::from(text);
    let length = text.chars().count() as u64;
    let say = |detail: &str| Cause::invalid(trim(path), &value, &format!("{path} in body {detail}"));
    if let Some(limit) = checks.max_length.filter(|limit| length > *limit) {
        out.add(Cause::too_long(trim(path), limit));
    } else if let Some(limit) = checks.min_length.filter(|limit| length < *limit) {
        out.add(say(&format!("should be at least {limit} chars long")));
    } else if let Some((pattern, compiled)) = &checks.pattern
        && !compiled.as_ref().is_some_and(|compiled| compiled.is_match(text))
    {
        out.add(say(&format!("should match '{pattern}'")));
    }
    out.matches += 1;
    if let Some(format) = node.format.as_deref().filter(|_| matches!(node.shape, Shape::Text | Shape::Any)) {
        if formats::fits(format, text) == Some(false) {
            let detail = format!("{path} in body must be of type {format}: {text:?}");
            out.add(Cause::mistyped(trim(path), &value, &detail));
        }
        out.matches += 1;
    }
}

fn check_number(node: &Node, checks: &Checks, value: &Value, path: &str, out: &mut Outcome) {
    let number = value.as_f64().unwrap_or_default();
    let say = |detail: String| Cause::invalid(trim(path), value, &format!("{path} in body {detail}"));
    let beyond = match (node.shape, node.format.as_deref()) {
        (Shape::Integer, Some("int32")) => number < f64::from(i32::MIN) || number > f64::from(i32::MAX),
        (Shape::Number, Some("float")) => number.abs() > f64::from(f32::MAX),
        _ => false,
    };
    if beyond || node.shape == Shape::Integer && number.fract() != 0.0 {
        let kind = if node.shape == Shape::Integer { "integer" } else { "number" };
        let format = node.format.as_deref().map_or_else(|| "(default format)".into(), |f| format!("with format {f}"));
        let text = format!("Checked value must be of type {kind} {format} in {path}");
        out.add(Cause::invalid("", &"".into(), &text));
    }
    if let Some(factor) = checks.multiple_of {
        let ratio = number / factor;
        if factor > 0.0 && (ratio - ratio.round()).abs() > 1e-9 * ratio.abs().max(1.0) {
            out.add(say(format!("should be a multiple of {factor}")));
        }
    }
    if let Some(most) = checks.maximum
        && (number > most || checks.exclusive_maximum && number >= most)
    {
        let or_equal = if checks.exclusive_maximum { "" } else { " or equal to" };
        out.add(say(format!("should be less than{or_equal} {most}")));
    }
    if let Some(least) = checks.minimum
        && (number < least || checks.exclusive_minimum && number <= least)
    {
        let or_equal = if checks.exclusive_minimum { "" } else { " or equal to" };
        out.add(say(format!("should be greater than{or_equal} {least}")));
    }
    out.matches += 2;
}

fn check_items(
    arena: &Arena,
    node: &Node,
    checks: &Checks,
    items: &[Value],
    old: Option<&Value>,
    path: &str,
    out: &mut Outcome,
) {
    let olds = lists::old_items(arena, node, old);
    if let Some(id) = node.items {
        for (index, item) in items.iter().enumerate() {
            let known = lists::item_key(arena, node, item).and_then(|key| olds.get(&key).copied());
            out.merge(checked(arena, id, item, known, &format!("{path}[{index}]")));
        }
    }
    let size = Value::from(items.len());
    let say = |detail: String| Cause::invalid(trim(path), &size, &format!("{path} in body {detail}"));
    if let Some(least) = checks.min_items.filter(|least| (items.len() as u64) < *least) {
        out.add(say(format!("should have at least {least} items")));
    }
    if let Some(most) = checks.max_items.filter(|most| items.len() as u64 > *most) {
        out.add(Cause::too_many(trim(path), items.len(), most));
    }
    let repeats = |(at, item): (usize, &Value)| items[..at].iter().any(|before| equal(before, item));
    if checks.unique_items && items.iter().enumerate().any(repeats) {
        let detail = format!("{path} in body shouldn't contain duplicates");
        out.add(Cause::invalid(trim(path), &"".into(), &detail));
    }
    out.matches += 2;
}

fn check_fields(
    arena: &Arena,
    node: &Node,
    checks: &Checks,
    fields: &Map<String, Value>,
    old: Option<&Value>,
    path: &str,
    out: &mut Outcome,
) {
    let size = Value::from(fields.len());
    if let Some(least) = checks.min_properties.filter(|least| (fields.len() as u64) < *least) {
        let detail = format!("{path} in body should have at least {least} properties");
        out.add(Cause::invalid(trim(path), &size, &detail));
    }
    if let Some(most) = checks.max_properties.filter(|most| fields.len() as u64 > *most) {
        out.add(Cause::too_many(trim(path), fields.len(), most));
    }
    for (key, value) in fields {
        let before = old.and_then(|old| old.get(key));
        let is_head = path.is_empty() && matches!(key.as_str(), "apiVersion" | "kind" | "metadata");
        match (node.fields.get(key.as_str()), node.additional) {
            (Some(_), _) if is_head => {}
            (Some(field), _) => {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                out.merge(checked(arena, field.node, value, before, &path));
            }
            (None, Additional::Of(id)) => out.merge(checked(arena, id, value, before, &format!("{path}.{key}"))),
            (None, Additional::Forbidden) => {
                let detail = format!("{path}.{key} in body is a forbidden property");
                out.add(Cause::invalid(trim(path), &"".into(), &detail));
            }
            _ => {}
        }
    }
    for name in node.required.iter().filter(|name| !fields.contains_key(&***name)) {
        out.add(Cause::required(trim(&format!("{path}.{name}")), ""));
    }
}

fn alternatives(arena: &Arena, checks: &Checks, new: &Value, old: Option<&Value>, path: &str) -> Outcome {
    let mut out = Outcome { matches: 1, ..Outcome::default() };
    let say = |detail: String| Cause::invalid("", &"".into(), &format!("{path:?} must {detail}"));
    let check = |id: &NodeId| checked_strictly(arena, *id, new, old, path);
    if !checks.any_of.is_empty() {
        let (fine, best) = best_of(checks.any_of.iter().map(check));
        if fine == 0 {
            out.add(say("validate at least one schema (anyOf)".into()));
        }
        out.merge(best);
    }
    if !checks.one_of.is_empty() {
        let (fine, best) = best_of(checks.one_of.iter().map(check));
        match fine {
            0 => out.add(say("validate one and only one schema (oneOf). Found none valid".into())),
            1 => {}
            n => out.add(say(format!("validate one and only one schema (oneOf). Found {n} valid alternatives"))),
        }
        if fine < 2 {
            out.merge(best);
        }
    }
    if !checks.all_of.is_empty() {
        let outcomes: Vec<Outcome> = checks.all_of.iter().map(check).collect();
        let fine = outcomes.iter().filter(|outcome| outcome.is_fine()).count();
        outcomes.into_iter().for_each(|outcome| out.merge(outcome));
        if fine < checks.all_of.len() {
            let none = if fine == 0 { ". None validated" } else { "" };
            out.add(say(format!("validate all the schemas (allOf){none}")));
        }
    }
    if checks.not.as_ref().is_some_and(|id| check(id).is_fine()) {
        out.add(say("not validate the schema (not)".into()));
    }
    out
}

/// How many alternatives are fine, and the first fine one or the one that came nearest.
fn best_of(outcomes: impl Iterator<Item = Outcome>) -> (usize, Outcome) {
    let (mut fine, mut best): (usize, Option<Outcome>) = (0, None);
    for outcome in outcomes {
        let better = match &best {
            None => true,
            Some(best) => !best.is_fine() && (outcome.is_fine() || outcome.matches > best.matches),
        };
        fine += usize::from(outcome.is_fine());
        if better {
            best = Some(outcome);
        }
    }
    (fine, best.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::custom;
    use super::*;
    use serde_json::json;

    fn causes(spec: Value, value: Value) -> Vec<(String, String, String)> {
        let schema = custom(Some(&json!({"type": "object", "properties": {"spec": spec}})), false).unwrap();
        let found = schema.validate(&json!({"apiVersion": "a/v1", "kind": "K", "spec": value}), None);
        found.into_iter().map(|c| (c.reason, c.field, c.message)).collect()
    }

    fn one(spec: Value, value: Value) -> (String, String, String) {
        let found = causes(spec.clone(), value.clone());
        assert_eq!(found.len(), 1, "{spec} {value} {found:?}");
        found.into_iter().next().unwrap()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn simple_checks_speak_like_the_real_server() {
        let object = |key: &str, schema: Value| json!({"type": "object", "properties": {key: schema}});
        let cases = [
            (json!({"type": "object", "required": ["a"]}), json!({}), "FieldValueRequired", "spec.a", "Required value"),
            (
                object("a", json!({"type": "integer"})),
                json!({"a": "x"}),
                "FieldValueTypeInvalid",
                "spec.a",
                "Invalid value: \"string\": spec.a in body must be of type integer: \"string\"",
            ),
            (
                object("a", json!({"type": "string"})),
                json!({"a": null}),
                "FieldValueTypeInvalid",
                "spec.a",
                "Invalid value: \"null\": spec.a in body must be of type string: \"null\"",
            ),
            (
                object("a", json!({"type": "integer", "maximum": 3})),
                json!({"a": 5}),
                "FieldValueInvalid",
                "spec.a",
                "Invalid value: 5: spec.a in body should be less than or equal to 3",
            ),
            (
                object("a", json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true})),
                json!({"a": 1}),
                "FieldValueInvalid",
                "spec.a",
                "Invalid value: 1: spec.a in body should be greater than 1",
            ),
            (
                object("a", json!({"type": "integer", "multipleOf": 2})),
                json!({"a": 3}),
                "FieldValueInvalid",
                "spec.a",
                "Invalid value: 3: spec.a in body should be a multiple of 2",
            ),
            (
                object("a", json!({"type": "string", "maxLength": 2})),
                json!({"a": "abc"}),
                "FieldValueTooLong",
                "spec.a",
                "Too long: may not be more than 2 bytes",
            ),
            (
                object("a", json!({"type": "string", "minLength": 2})),
                json!({"a": "ä"}),
                "FieldValueInvalid",
                "spec.a",
                "Invalid value: \"ä\": spec.a in body should be at least 2 chars long",
            ),
            (
                object("a", json!({"type": "string", "pattern": "^b$"})),
                json!({"a": "x"}),
                "FieldValueInvalid",
                "spec.a",
                "Invalid value: \"x\": spec.a in body should match '^b$'",
            ),
            (
                object("a", json!({"type": "string", "enum": ["b", "c"]})),
                json!({"a": "x"}),
                "FieldValueNotSupported",
                "spec.a",
                "Unsupported value: \"x\": supported values: \"b\", \"c\"",
            ),
            (
                object("a", json!({"type": "string", "format": "date-time"})),
                json!({"a": "x"}),
                "FieldValueTypeInvalid",
                "spec.a",
                "Invalid value: \"x\": spec.a in body must be of type date-time: \"x\"",
            ),
            (
                object("a", json!({"type": "array", "maxItems": 1, "items": {"type": "integer"}})),
                json!({"a": [1, 2]}),
                "FieldValueTooMany",
                "spec.a",
                "Too many: 2: must have at most 1 item",
            ),
            (
                object("a", json!({"type": "array", "minItems": 1, "items": {"type": "integer"}})),
                json!({"a": []}),
                "FieldValueInvalid",
                "spec.a",
                "Invalid value: 0: spec.a in body should have at least 1 items",
            ),
            (
                object("a", json!({"type": "array", "items": {"type": "object", "required": ["n"]}})),
                json!({"a": [{"n": 1}, {}]}),
                "FieldValueRequired",
                "spec.a[1].n",
                "Required value",
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "integer"}}),
                json!({"k": "x"}),
                "FieldValueTypeInvalid",
                "spec.k",
                "Invalid value: \"string\": spec.k in body must be of type integer: \"string\"",
            ),
            (
                json!({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "integer"}}),
                json!({"a": 1, "b": 2}),
                "FieldValueTooMany",
                "spec",
                "Too many: 2: must have at most 1 item",
            ),
            (
                object("a", json!({"x-kubernetes-int-or-string": true})),
                json!({"a": true}),
                "FieldValueTypeInvalid",
                "spec.a",
                "Invalid value: \"boolean\": spec.a in body must be of type integer,string: \"boolean\"",
            ),
            (
                object("a", json!({"type": "integer", "format": "int32"})),
                json!({"a": 3_000_000_000_i64}),
                "FieldValueInvalid",
                "<nil>",
                "Invalid value: \"\": Checked value must be of type integer with format int32 in spec.a",
            ),
            (
                object(
                    "a",
                    json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}),
                ),
                json!({"a": {"kind": "P"}}),
                "FieldValueRequired",
                "spec.a.apiVersion",
                "Required value",
            ),
        ];
        for (schema, value, reason, field, message) in cases {
            assert_eq!(one(schema, value), (reason.into(), field.into(), message.into()));
        }
    }

    #[test]
    fn what_is_right_passes() {
        let cases = [
            (json!({"type": "number", "maximum": 3}), json!(2)),
            (json!({"type": "integer"}), json!(2.0)),
            (json!({"type": "string", "nullable": true}), json!(null)),
            (
                json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
                json!("80%"),
            ),
            (json!({"type": "string", "format": "made-up"}), json!("x")),
            (json!({"x-kubernetes-preserve-unknown-fields": true}), json!({"a": [1, {"b": null}]})),
            (
                json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {"type": "string"}}}),
                json!({"a": "x"}),
            ),
            (json!({"type": "object", "not": {"required": ["b"]}}), json!({})),
        ];
        for (schema, value) in cases {
            assert_eq!(causes(schema.clone(), value.clone()), [], "{schema} {value}");
        }
    }

    #[test]
    fn alternatives_report_the_nearest_miss() {
        let schema = json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
        let nil = |message: &str| {
            ("FieldValueInvalid".to_string(), "<nil>".to_string(), format!("Invalid value: \"\": {message}"))
        };
        let found = causes(schema.clone(), json!({}));
        assert_eq!(found[0], nil("\"spec\" must validate one and only one schema (oneOf). Found none valid"));
        assert_eq!(found[1].1, "spec.a");
        let found = causes(schema, json!({"a": "1", "b": "2"}));
        assert_eq!(found, [nil("\"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives")]);
        let found = causes(json!({"type": "object", "not": {"required": ["b"]}}), json!({"b": 1}));
        assert_eq!(found, [nil("\"spec\" must not validate the schema (not)")]);
        let found = causes(json!({"type": "object", "allOf": [{"required": ["b"]}]}), json!({}));
        assert_eq!(found.last().unwrap(), &nil("\"spec\" must validate all the schemas (allOf). None validated"));
        let found = causes(json!({"type": "object", "anyOf": [{"required": ["b"]}]}), json!({}));
        assert_eq!(found[0], nil("\"spec\" must validate at least one schema (anyOf)"));
    }

    #[test]
    fn doubled_items_are_named() {
        let list = |kind: &str| {
            json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": kind,
            "x-kubernetes-list-map-keys": ["n"], "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}, "v": {"type": "integer"}}}}}})
        };
        let found = one(list("map"), json!({"l": [{"n": 1, "v": 1}, {"n": 2}, {"n": 1}, {"n": 1}]}));
        assert_eq!(found, ("FieldValueDuplicate".into(), "spec.l[2]".into(), "Duplicate value: {\"n\":1}".into()));
        let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        assert_eq!(one(set, json!(["a", "b", "a"])).2, "Duplicate value: \"a\"");
    }

    #[test]
    fn what_did_not_change_is_let_pass() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "string", "maxLength": 1}, "b": {"type": "string"},
            "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"], "items":
                {"type": "object", "required": ["n"], "properties": {"n": {"type": "string"}, "v": {"type": "integer", "maximum": 1}}}}}}}});
        let schema = custom(Some(&schema), false).unwrap();
        let old = json!({"spec": {"a": "too long", "b": "1", "l": [{"n": "x", "v": 5}]}});
        let changed = json!({"spec": {"a": "too long", "b": "2", "l": [{"n": "y"}, {"n": "x", "v": 5}]}});
        assert_eq!(schema.validate(&changed, Some(&old)), []);
        assert_eq!(schema.validate(&changed, None).len(), 2);
        let worse = json!({"spec": {"a": "too long too", "b": "1", "l": [{"n": "x", "v": 6}]}});
        assert_eq!(schema.validate(&worse, Some(&old)).len(), 2);
    }
}
