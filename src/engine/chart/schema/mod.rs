//! `values.schema.json`: whether the values of a chart and of the charts within are what their schemas allow.
//!
//! Of our own, because the errors are to be Helm's, patterns Go's, and the work bounded: a schema is foreign, may point
//! at itself, and must never fetch anything. References reach no further than the document. Start with [`check`].
//! Source: helm pkg/chart/common/util (jsonschema.go), which uses github.com/santhosh-tekuri/jsonschema v6.

mod formats;
mod parts;
mod problem;
mod resolve;
mod validate;

use serde_json::Value as Json;

use super::{Chart, ChartError, Values};
use problem::Problem;

/// Checks values, defaults included, against the schema of the chart and of those within.
///
/// Errors with everything that is not allowed, or with why a schema cannot be used.
pub(super) fn check(chart: &Chart, values: &Values) -> Result<(), ChartError> {
    let mut found = String::new();
    gather(chart, values, &mut found);
    if found.is_empty() {
        return Ok(());
    }
    let head = "values don't meet the specifications of the schema(s) in the following chart(s):";
    Err(ChartError::Schema(format!("{head}\n{}", found.trim_end())))
}

fn gather(chart: &Chart, values: &Values, found: &mut String) {
    if let Some(schema) = &chart.schema {
        let values = Json::Object(values.clone());
        if let Err(why) = check_one(schema, &values) {
            found.push_str(&format!("{}:\n{why}\n", chart.metadata.name));
        }
    }
    for sub in &chart.dependencies {
        let name = &sub.metadata.name;
        match values.get(name) {
            None | Some(Json::Null) => {}
            Some(Json::Object(values)) => gather(sub, values, found),
            Some(other) => {
                let got = problem::type_name(other);
                found.push_str(&format!("{name}:\ninvalid type for values: expected object (map), got {got}\n"));
            }
        }
    }
}

/// Checks one document; the error has a line for everything that is wrong.
fn check_one(schema: &[u8], values: &Json) -> Result<(), String> {
    let schema: Json =
        serde_json::from_slice(schema).map_err(|error| format!("values.schema.json is no JSON: {error}"))?;
    let document = resolve::Document::new(&schema).map_err(|why| format!("values.schema.json: {why}"))?;
    match validate::run(&document, values) {
        Ok(problems) if problems.is_empty() => Ok(()),
        Ok(problems) => Err(problems.iter().map(Problem::shown).collect::<Vec<_>>().join("\n")),
        Err(why) => Err(format!("values.schema.json: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check_one;

    fn checked(schema: serde_json::Value, values: serde_json::Value) -> String {
        check_one(schema.to_string().as_bytes(), &values).err().unwrap_or_default()
    }

    #[test]
    fn unevaluated_is_what_no_branch_has_looked_at() {
        let schema = json!({
            "allOf": [{"properties": {"a": true}}, {"if": {"required": ["b"]}, "then": {"properties": {"b": true}}}],
            "anyOf": [{"properties": {"c": {"type": "string"}}}, {"properties": {"d": true}}],
            "unevaluatedProperties": false,
        });
        assert_eq!(checked(schema.clone(), json!({"a": 1, "b": 1, "c": "x", "d": 1})), "");
        assert_eq!(checked(schema.clone(), json!({"a": 1, "e": 1})), "- at '/e': false schema");
        assert_eq!(checked(schema, json!({"c": 1})), "- at '/c': false schema");
        let items = json!({"prefixItems": [true], "contains": {"type": "string"}, "unevaluatedItems": false});
        assert_eq!(checked(items.clone(), json!([1, "x"])), "");
        assert_eq!(checked(items, json!([1, "x", 2])), "- at '/2': false schema");
    }

    #[test]
    fn drafts_read_their_own_keywords() {
        let four =
            json!({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true});
        assert_eq!(checked(four, json!(1)), "- at '': exclusiveMinimum: got 1, want 1");
        let seven = "http://json-schema.org/draft-07/schema#";
        let beside = json!({"$schema": seven, "$ref": "#/definitions/a", "type": "string", "definitions": {"a": {}}});
        assert_eq!(checked(beside, json!(1)), "", "nothing counts beside a reference");
        let items = json!({"$schema": seven, "items": [{"type": "string"}], "additionalItems": false});
        assert_eq!(checked(items, json!(["a", 1])), "- at '': last 1 additionalItem(s) not allowed");
        let format = json!({"$schema": seven, "format": "ipv4"});
        assert!(checked(format, json!("1.2.3")).contains("'1.2.3' is not valid ipv4"));
        assert_eq!(checked(json!({"format": "ipv4"}), json!("1.2.3")), "", "later drafts only note formats");
    }

    #[test]
    fn references_stay_within_the_document_and_come_to_an_end() {
        let refused = [
            (json!({"$ref": "file:///etc/passwd"}), "file:///etc/passwd is not fetched"),
            (json!({"$ref": "/dev/zero"}), "/dev/zero is not fetched"),
            (json!({"$ref": "https://example.com/a.json"}), "https://example.com/a.json is not fetched"),
            (json!({"$ref": "#/$defs/none"}), "#/$defs/none names nothing"),
            (json!({"$schema": "https://example.com/own"}), "https://example.com/own is not known"),
            (json!({"$ref": "#"}), "refers to itself"),
            (json!({"allOf": [{"$ref": "#/allOf/0"}]}), "refers to itself"),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}), "itself"),
            (json!({"pattern": "(?!x)"}), "(?!x)"),
            (json!({"type": "text"}), "text"),
        ];
        for (schema, wanted) in refused {
            let got = checked(schema.clone(), json!("x"));
            assert!(got.contains(wanted), "{schema}: {got}");
        }
        let tree = json!({"properties": {"next": {"$ref": "#"}}, "required": ["name"]});
        let got = checked(tree, json!({"name": 1, "next": {"name": 1, "next": {}}}));
        assert_eq!(got, "- at '/next/next': missing property 'name'");
        let within = json!({"$id": "https://example.com/a", "$ref": "https://example.com/a#/$defs/b", "$defs": {"b": {"$anchor": "c", "type": "string"}}, "allOf": [{"$ref": "#c"}]});
        assert!(checked(within, json!(1)).contains("want string"));
        assert_eq!(checked(json!({"$ref": "urn:example:a"}), json!(1)), "", "Helm takes an unknown URN for true");
    }

    #[test]
    fn hostile_schemas_end() {
        let mut deep = json!({"a": 1});
        for _ in 0..40 {
            deep = json!({"a": deep});
        }
        let doubles = json!({"anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": ["x"]}, {"properties": {"a": {"$ref": "#"}}, "required": ["y"]}]});
        assert!(checked(doubles, deep).contains("steps"));
        let wide = json!({"uniqueItems": true});
        let items: Vec<_> = (0..50_000).collect();
        assert!(checked(wide, json!(items)).contains("steps"));
    }
}
