//! Whether a custom resource's schema is one: structural, with extensions used as they are meant.
//!
//! Source: apiextensions-apiserver pkg/apiserver/schema/validation and pkg/apis/apiextensions/validation.

use serde_json::Value;

use super::cause::Cause;
use super::node::Reader;
use super::{builtin, formats, validate};
use crate::embedded::patch::limits;

/// Everything wrong with a schema that stands at `path`.
pub fn check(schema: &Value, path: &str) -> Vec<Cause> {
    if limits::too_deep(schema) {
        return vec![Cause::invalid(path, &Value::Null, "the schema nests too deep")];
    }
    let mut check = Check { out: Vec::new() };
    if schema["nullable"] == true {
        check.out.push(Cause::forbidden(&format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    let place = Place { level: Level::Root, in_metadata: false, no_defaults: None };
    check.node(schema, path, &place);
    if check.out.is_empty() {
        check.rules(schema, path, None);
    }
    check.out
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Root,
    Item,
    Field,
}

#[derive(Clone)]
struct Place {
    level: Level,
    in_metadata: bool,
    no_defaults: Option<&'static str>,
}

pub(super) struct Check {
    pub(super) out: Vec<Cause>,
}

fn is(schema: &Value, key: &str) -> bool {
    schema[key] == true
}

pub(super) fn fields<'s>(schema: &'s Value, key: &str) -> impl Iterator<Item = (&'s String, &'s Value)> {
    schema[key].as_object().into_iter().flatten()
}

impl Check {
    fn node(&mut self, schema: &Value, path: &str, place: &Place) {
        if !schema.is_object() {
            self.out.push(Cause::invalid(path, schema, "must be a schema object"));
            return;
        }
        self.unsupported(schema, path, place);
        self.kind(schema, path, place);
        self.head(schema, path, place.level);
        self.extensions(schema, path);
        self.lists(schema, path);
        self.default_value(schema, path, place);
        self.values(schema, path);
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            let place = Place { level: Level::Item, ..place.clone() };
            self.node(items, &format!("{path}.items"), &place);
        }
        for (name, field) in fields(schema, "properties") {
            let head = matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
            let in_head = head && (place.level == Level::Root || is(schema, "x-kubernetes-embedded-resource"));
            let no_defaults = match name.as_str() {
                "metadata" if place.level == Level::Root => Some("in top-level metadata"),
                "kind" if place.level == Level::Root => Some("in top-level kind"),
                "apiVersion" if place.level == Level::Root => Some("in top-level apiVersion"),
                _ => place.no_defaults,
            };
            let place = Place { level: Level::Field, in_metadata: place.in_metadata || in_head, no_defaults };
            self.node(field, &format!("{path}.properties[{name}]"), &place);
        }
        self.additional(schema, path, place);
    }

    fn additional(&mut self, schema: &Value, path: &str, place: &Place) {
        let Some(additional) = schema.get("additionalProperties") else { return };
        let at = format!("{path}.additionalProperties");
        if place.level == Level::Root {
            self.out.push(Cause::forbidden(&at, "must not be used at the root"));
        }
        if is(schema, "x-kubernetes-embedded-resource") {
            self.out.push(Cause::forbidden(&at, "must not be used if x-kubernetes-embedded-resource is set"));
        }
        if *additional != true && fields(schema, "properties").next().is_some() {
            self.out.push(Cause::forbidden(&at, "additionalProperties and properties are mutual exclusive"));
        }
        if additional.is_object() {
            let inside = "inside additionalProperties applying to object metadata";
            let no_defaults = if place.in_metadata { Some(inside) } else { place.no_defaults };
            self.node(additional, &at, &Place { level: Level::Field, no_defaults, ..place.clone() });
        }
    }

    fn unsupported(&mut self, schema: &Value, path: &str, place: &Place) {
        for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
            if schema.get(key).is_some_and(|value| !value.is_null()) {
                self.out.push(Cause::forbidden(&format!("{path}.{key}"), &format!("{key} is not supported")));
            }
        }
        if is(schema, "uniqueItems") {
            let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.out.push(Cause::forbidden(&format!("{path}.uniqueItems"), why));
        }
        if schema["items"].is_array() {
            self.out.push(Cause::forbidden(&format!("{path}.items"), "items must be a schema object and not an array"));
        }
        if place.in_metadata && is(schema, "x-kubernetes-embedded-resource") {
            let at = format!("{path}.x-kubernetes-embedded-resource");
            self.out.push(Cause::forbidden(&at, "must not be used inside of resource meta"));
        }
    }

    fn kind(&mut self, schema: &Value, path: &str, place: &Place) {
        let at = format!("{path}.type");
        let free = is(schema, "x-kubernetes-int-or-string") || is(schema, "x-kubernetes-preserve-unknown-fields");
        let embedded = is(schema, "x-kubernetes-embedded-resource");
        match schema["type"].as_str().unwrap_or_default() {
            "" if embedded => {
                self.out.push(Cause::required(&at, "must be object if x-kubernetes-embedded-resource is true"));
            }
            "" if !free => self.out.push(Cause::required(
                &at,
                match place.level {
                    Level::Root => "must not be empty at the root",
                    Level::Item => "must not be empty for specified array items",
                    Level::Field => "must not be empty for specified object fields",
                },
            )),
            "" | "object" => {}
            "null" => {
                self.out.push(Cause::forbidden(&at, "type cannot be set to null, use nullable as an alternative"));
            }
            kind if place.level == Level::Root => {
                self.out.push(Cause::invalid(&at, &kind.into(), "must be object at the root"));
            }
            kind if embedded => {
                let why = "must be object if x-kubernetes-embedded-resource is true";
                self.out.push(Cause::invalid(&at, &kind.into(), why));
            }
            "array" if schema.get("items").is_none() => {
                self.out.push(Cause::required(&format!("{path}.items"), "must be specified"));
            }
            "array" | "string" | "integer" | "number" | "boolean" => {}
            other => {
                let known = ["array", "boolean", "integer", "number", "object", "string"].map(str::to_string);
                self.out.push(Cause::unsupported(&at, &other.into(), &known));
            }
        }
    }

    fn head(&mut self, schema: &Value, path: &str, level: Level) {
        let embedded = is(schema, "x-kubernetes-embedded-resource");
        if embedded
            && !is(schema, "x-kubernetes-preserve-unknown-fields")
            && fields(schema, "properties").next().is_none()
        {
            let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            self.out.push(Cause::required(&format!("{path}.properties"), why));
        }
        if level != Level::Root && !embedded {
            return;
        }
        for name in ["kind", "apiVersion"] {
            let field = &schema["properties"][name];
            if field.is_object() && field["type"] != "string" {
                let at = format!("{path}.properties[{name}].type");
                self.out.push(Cause::invalid(&at, &field["type"], "must be string"));
            }
        }
        let metadata = &schema["properties"]["metadata"];
        if metadata.is_object() && metadata["type"] != "object" {
            let at = format!("{path}.properties[metadata].type");
            self.out.push(Cause::invalid(&at, &metadata["type"], "must be object"));
        }
        let odd = |key: &String| !matches!(key.as_str(), "type" | "properties" | "description" | "title");
        let named = |key: &String| matches!(key.as_str(), "name" | "generateName");
        let more = metadata.as_object().is_some_and(|metadata| metadata.keys().any(odd));
        if level == Level::Root && (more || fields(metadata, "properties").any(|(key, _)| !named(key))) {
            let why =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            self.out.push(Cause::forbidden(&format!("{path}.properties[metadata]"), why));
        }
    }

    fn extensions(&mut self, schema: &Value, path: &str) {
        let preserve = &schema["x-kubernetes-preserve-unknown-fields"];
        let at = format!("{path}.x-kubernetes-preserve-unknown-fields");
        if *preserve == false {
            self.out.push(Cause::invalid(&at, preserve, "must be true or undefined"));
        }
        if is(schema, "x-kubernetes-int-or-string") {
            let why = "must be false if x-kubernetes-int-or-string is true";
            if *preserve == true {
                self.out.push(Cause::invalid(&at, preserve, why));
            }
            if is(schema, "x-kubernetes-embedded-resource") {
                let at = format!("{path}.x-kubernetes-embedded-resource");
                self.out.push(Cause::invalid(&at, &true.into(), why));
            }
        }
        let Some(kind) = schema["x-kubernetes-map-type"].as_str() else { return };
        if schema["type"] != "object" {
            let why = "must be object if x-kubernetes-map-type is specified";
            self.out.push(Cause::invalid(&format!("{path}.type"), &schema["type"], why));
        }
        if !matches!(kind, "atomic" | "granular") {
            let known = ["atomic", "granular"].map(str::to_string);
            self.out.push(Cause::unsupported(&format!("{path}.x-kubernetes-map-type"), &kind.into(), &known));
        }
    }

    fn lists(&mut self, schema: &Value, path: &str) {
        let keys = schema["x-kubernetes-list-map-keys"].as_array().map_or(&[][..], Vec::as_slice);
        let at = format!("{path}.x-kubernetes-list-type");
        let Some(kind) = schema["x-kubernetes-list-type"].as_str() else {
            if !keys.is_empty() {
                self.out.push(Cause::required(&at, "must be map if x-kubernetes-list-map-keys is non-empty"));
            }
            return;
        };
        if schema["type"] != "array" {
            let why = "must be array if x-kubernetes-list-type is specified";
            self.out.push(Cause::invalid(&format!("{path}.type"), &schema["type"], why));
        }
        if !matches!(kind, "atomic" | "set" | "map") {
            let known = ["atomic", "set", "map"].map(str::to_string);
            self.out.push(Cause::unsupported(&at, &kind.into(), &known));
        }
        if kind != "map" && !keys.is_empty() {
            self.out.push(Cause::invalid(&at, &kind.into(), "must be map if x-kubernetes-list-map-keys is non-empty"));
        }
        let items = &schema["items"];
        if matches!(kind, "set" | "map") && is(items, "nullable") {
            let why = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
            self.out.push(Cause::forbidden(&format!("{path}.items.nullable"), &why));
        }
        if kind == "map" {
            self.keyed(schema, keys, path);
        }
        let inner = match items["type"].as_str() {
            Some("array") if kind == "set" => {
                Some(("x-kubernetes-list-type", items["x-kubernetes-list-type"] == Value::Null))
            }
            Some("object") if kind == "set" => Some(("x-kubernetes-map-type", false)),
            _ => None,
        };
        if let Some((key, fine_when_absent)) = inner
            && items[key] != "atomic"
            && !fine_when_absent
        {
            let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
            self.out.push(Cause::invalid(&format!("{path}.items.{key}"), &items[key], why));
        }
    }

    fn keyed(&mut self, schema: &Value, keys: &[Value], path: &str) {
        let at = format!("{path}.x-kubernetes-list-map-keys");
        let given = &schema["x-kubernetes-list-map-keys"];
        if keys.is_empty() {
            self.out.push(Cause::required(&at, "must not be empty if x-kubernetes-list-type is map"));
        }
        let items = &schema["items"];
        if items["type"] != "object" {
            let why = "must be object if parent array's x-kubernetes-list-type is map";
            self.out.push(Cause::invalid(&format!("{path}.items.type"), &items["type"], why));
            return;
        }
        for (index, key) in keys.iter().enumerate() {
            let name = key.as_str().unwrap_or_default();
            if keys[..index].contains(key) {
                self.out.push(Cause::invalid(&at, given, "must not contain duplicate entries"));
            }
            let Some(field) = items["properties"].get(name) else {
                self.out.push(Cause::invalid(&at, given, "entries must all be names of item properties"));
                continue;
            };
            let at = format!("{path}.items.properties[{name}]");
            if matches!(field["type"].as_str(), Some("array" | "object")) {
                let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                self.out.push(Cause::invalid(&format!("{at}.type"), &field["type"], why));
            }
            let required = items["required"].as_array().is_some_and(|required| required.contains(key));
            if !required && field.get("default").is_none() {
                let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                self.out.push(Cause::required(&format!("{at}.default"), why));
            }
            if is(field, "nullable") {
                let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                self.out.push(Cause::forbidden(&format!("{at}.nullable"), why));
            }
        }
    }

    fn default_value(&mut self, schema: &Value, path: &str, place: &Place) {
        let Some(default) = schema.get("default") else { return };
        let at = format!("{path}.default");
        if let Some(why) = place.no_defaults {
            self.out.push(Cause::forbidden(&at, &format!("must not be set {why}")));
            return;
        }
        let mut reader = Reader::new(&builtin::table().metadata);
        let id = reader.own(schema);
        let arena = reader.finish();
        // A null default of a field that is not nullable would be dropped at once.
        for mut cause in validate::value(&arena, id, default) {
            let inner = cause.field.trim_start_matches("<nil>");
            cause.field = if inner.is_empty() { at.clone() } else { format!("{at}.{inner}") };
            self.out.push(cause);
        }
    }
}

/// Formats a schema names that nobody checks; worth a warning.
pub fn unrecognized_formats(schema: &Value) -> Vec<String> {
    let mut out = Vec::new();
    collect_formats(schema, &mut out);
    out
}

fn collect_formats(schema: &Value, out: &mut Vec<String>) {
    match (schema["format"].as_str(), schema["type"].as_str()) {
        (Some(format), Some("string") | None) if formats::fits(format, "").is_none() => out.push(format.to_string()),
        _ => {}
    }
    for (_, field) in fields(schema, "properties") {
        collect_formats(field, out);
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            collect_formats(&schema[key], out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(spec: Value) -> Vec<(String, String, String)> {
        let schema = json!({"type": "object", "properties": {"spec": spec}});
        check(&schema, "s").into_iter().map(|c| (c.reason, c.field, c.message)).collect()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn what_is_not_structural_is_named() {
        let p = "s.properties[spec]";
        let cases = [
            (json!({}), ".type", "Required value: must not be empty for specified object fields"),
            (json!({"type": "array"}), ".items", "Required value: must be specified"),
            (
                json!({"type": "array", "items": {}}),
                ".items.type",
                "Required value: must not be empty for specified array items",
            ),
            (
                json!({"type": "text"}),
                ".type",
                "Unsupported value: \"text\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
            ),
            (json!({"type": "object", "$ref": "#/x"}), ".$ref", "Forbidden: $ref is not supported"),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
                ".additionalProperties",
                "Forbidden: additionalProperties and properties are mutual exclusive",
            ),
            (
                json!({"type": "object", "anyOf": [{"type": "object"}]}),
                ".anyOf[0].type",
                "Forbidden: must be empty to be structural",
            ),
            (
                json!({"type": "object", "not": {"properties": {"a": {"description": "x"}}}}),
                ".not.properties[a].description",
                "Forbidden: must be empty to be structural",
            ),
            (
                json!({"type": "string", "pattern": "("}),
                ".pattern",
                "Invalid value: \"(\": must be a valid regular expression, but isn't: error: unclosed group",
            ),
            (
                json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
                ".x-kubernetes-preserve-unknown-fields",
                "Invalid value: false: must be true or undefined",
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}),
                ".x-kubernetes-list-map-keys",
                "Required value: must not be empty if x-kubernetes-list-type is map",
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}),
                ".items.x-kubernetes-map-type",
                "Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"], "items": {"type": "object", "properties": {"n": {"type": "string"}}}}),
                ".items.properties[n].default",
                "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ),
            (
                json!({"type": "integer", "default": "x"}),
                ".default",
                "Invalid value: \"string\":  in body must be of type integer: \"string\"",
            ),
            (
                json!({"type": "object", "x-kubernetes-embedded-resource": true}),
                ".properties",
                "Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
            ),
        ];
        for (schema, field, message) in cases {
            let found = found(schema.clone());
            assert_eq!(found.len(), 1, "{schema} {found:?}");
            assert_eq!((found[0].1.as_str(), found[0].2.as_str()), (format!("{p}{field}").as_str(), message));
        }
        let root = |schema: Value| check(&schema, "s").first().map(|c| (c.field.clone(), c.message.clone()));
        assert_eq!(root(json!({})).unwrap().1, "Required value: must not be empty at the root");
        assert_eq!(root(json!({"type": "array"})).unwrap().1, "Invalid value: \"array\": must be object at the root");
        let metadata = json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}});
        assert_eq!(root(metadata).unwrap().0, "s.properties[metadata]");
    }

    #[test]
    fn what_is_structural_passes() {
        let cases = [
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "a"}]}),
            json!({"type": "object", "oneOf": [{"required": ["a"]}, {"properties": {"b": {"enum": ["x"]}}}], "properties": {"a": {"type": "string"}}}),
            json!({"type": "string", "default": "x", "enum": ["x", "y"], "format": "made-up"}),
            json!({"type": "object", "default": {"a": "1"}, "properties": {"a": {"type": "string"}}}),
        ];
        for schema in cases {
            assert_eq!(found(schema.clone()), [], "{schema}");
        }
    }

    #[test]
    fn rules_are_compiled_with_the_schema() {
        let with = |rule: Value| json!({"type": "object", "x-kubernetes-validations": [rule]});
        assert!(found(with(json!({"rule": "has(self.a)"}))).is_empty());
        let broken = found(with(json!({"rule": "self."})));
        assert!(
            broken[0].1.ends_with("x-kubernetes-validations[0].rule") && broken[0].2.contains("compilation failed")
        );
        assert!(found(with(json!({"rule": "nobody()"})))[0].2.contains("undeclared reference to 'nobody'"));
        assert_eq!(found(with(json!({"rule": "true", "reason": "Bad"})))[0].0, "FieldValueNotSupported");
        let list = json!({"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}});
        assert!(found(list)[0].2.contains("oldSelf cannot be used on the uncorrelatable portion"));
    }
}
