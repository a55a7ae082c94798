//! What a custom resource's schema may say about values: patterns, alternatives and rules.
//!
//! Source: apiextensions-apiserver pkg/apiserver/schema/validation and pkg/apis/apiextensions/validation.

use serde_json::{Map, Value};

use super::cause::Cause;
use super::rules::Rule;
use super::structural::{Check, fields};

impl Check {
    /// Checks of values, and alternatives, which may hold nothing but such checks.
    pub(super) fn values(&mut self, schema: &Value, path: &str) {
        if let Some(pattern) = schema["pattern"].as_str()
            && let Err(error) = regex::Regex::new(pattern)
        {
            let text = error.to_string();
            let why =
                format!("must be a valid regular expression, but isn't: {}", text.lines().last().unwrap_or_default());
            self.out.push(Cause::invalid(&format!("{path}.pattern"), &pattern.into(), &why));
        }
        let either = serde_json::json!([{"type": "integer"}, {"type": "string"}]);
        let int_or_string = schema["anyOf"] == either;
        for key in ["allOf", "anyOf", "oneOf"] {
            if key == "anyOf" && int_or_string {
                continue;
            }
            for (index, part) in schema[key].as_array().into_iter().flatten().enumerate() {
                let skip = key == "allOf" && index == 0 && part["anyOf"] == either;
                self.nested(part, &format!("{path}.{key}[{index}]"), skip);
            }
        }
        if let Some(part) = schema.get("not") {
            self.nested(part, &format!("{path}.not"), false);
        }
    }

    fn nested(&mut self, part: &Value, path: &str, skip_any_of: bool) {
        let forbidden = |part: &Map<String, Value>| {
            let found = NOT_NESTED.iter().filter(|(key, _)| match part.get(*key) {
                None | Some(Value::Null | Value::Bool(false)) => false,
                Some(Value::String(text)) => !text.is_empty(),
                Some(_) => true,
            });
            found.copied().collect::<Vec<_>>()
        };
        for (key, why) in part.as_object().map(forbidden).unwrap_or_default() {
            self.out.push(Cause::forbidden(&format!("{path}.{key}"), &format!("must be {why} to be structural")));
        }
        if part["properties"].get("metadata").is_some() {
            let at = format!("{path}.properties[metadata]");
            self.out.push(Cause::forbidden(&at, "must not be specified in a nested context"));
        }
        if skip_any_of {
            let mut part = part.clone();
            if let Some(part) = part.as_object_mut() {
                part.shift_remove("anyOf");
            }
            self.values(&part, path);
        } else {
            self.values(part, path);
        }
        if let Some(items) = part.get("items") {
            self.nested(items, &format!("{path}.items"), false);
        }
        for (name, field) in fields(part, "properties") {
            self.nested(field, &format!("{path}.properties[{name}]"), false);
        }
    }

    /// Rules are looked at when everything else is right, as the real server does.
    pub(super) fn rules(&mut self, schema: &Value, path: &str, fixed: Option<&str>) {
        let list = &schema["x-kubernetes-validations"];
        let rules = Rule::read_all(list);
        for (index, (rule, given)) in rules.iter().zip(list.as_array().into_iter().flatten()).enumerate() {
            let at = format!("{path}.x-kubernetes-validations[{index}]");
            self.rule(rule, given, &at, fixed);
        }
        if let Some(items) = schema.get("items") {
            let keyed = schema["x-kubernetes-list-type"] == "map";
            self.rules(items, &format!("{path}.items"), fixed.or((!keyed).then_some(path)));
        }
        let fixed = fixed.or((schema["x-kubernetes-map-type"] == "atomic").then_some(path));
        for (name, field) in fields(schema, "properties") {
            self.rules(field, &format!("{path}.properties[{name}]"), fixed);
        }
        if let Some(additional) = schema.get("additionalProperties").filter(|a| a.is_object()) {
            self.rules(additional, &format!("{path}.additionalProperties"), fixed);
        }
    }

    fn rule(&mut self, rule: &Rule, given: &Value, at: &str, fixed: Option<&str>) {
        let mut say = |cause: Cause| self.out.push(cause);
        if rule.rule.is_empty() {
            return say(Cause::required(&format!("{at}.rule"), "rule is not specified"));
        }
        if rule.rule.contains('\n') && rule.message.is_none() {
            let why = "message must be specified if rule contains line breaks";
            say(Cause::required(&format!("{at}.message"), why));
        }
        if let Err(error) = &rule.program {
            say(Cause::invalid(&format!("{at}.rule"), given, &format!("compilation failed: {error}")));
        }
        if let Some(Err(error)) = &rule.message_program {
            let why = format!("messageExpression compilation failed: {error}");
            say(Cause::invalid(&format!("{at}.messageExpression"), given, &why));
        }
        let reasons = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
        if let Some(reason) = rule.reason.as_deref().filter(|reason| !reasons.contains(reason)) {
            say(Cause::unsupported(&format!("{at}.reason"), &reason.into(), &reasons.map(str::to_string)));
        }
        if let (true, Some(fixed)) = (rule.uses_old_self, fixed) {
            let why = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {fixed}");
            say(Cause::invalid(&format!("{at}.rule"), &Value::from(&*rule.rule), &why));
        }
        if !rule.uses_old_self && given.get("optionalOldSelf").is_some() {
            let why = "may not be set if oldSelf is not used in rule";
            say(Cause::invalid(&format!("{at}.optionalOldSelf"), &given["optionalOldSelf"], why));
        }
    }
}

/// What an alternative may not say, and what it must be instead.
const NOT_NESTED: [(&str, &str); 13] = [
    ("type", "empty"),
    ("additionalProperties", "undefined"),
    ("default", "undefined"),
    ("title", "empty"),
    ("description", "empty"),
    ("nullable", "false"),
    ("x-kubernetes-preserve-unknown-fields", "false"),
    ("x-kubernetes-embedded-resource", "false"),
    ("x-kubernetes-int-or-string", "false"),
    ("x-kubernetes-list-map-keys", "empty"),
    ("x-kubernetes-list-type", "undefined"),
    ("x-kubernetes-map-type", "undefined"),
    ("x-kubernetes-validations", "empty"),
];
