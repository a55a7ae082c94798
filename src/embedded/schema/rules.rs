//! Validation rules in CEL (`x-kubernetes-validations`).

use serde_json::Value;

/// One rule of a schema node.
#[derive(Clone, Debug)]
pub struct Rule {
    pub rule: Box<str>,
    pub message: Option<Box<str>>,
    pub message_expression: Option<Box<str>>,
    pub reason: Option<Box<str>>,
    pub field_path: Option<Box<str>>,
    pub optional_old_self: bool,
}

impl Rule {
    /// Reads the extension's list.
    pub fn read_all(list: &Value) -> Vec<Rule> {
        let text = |rule: &Value, key: &str| rule[key].as_str().filter(|t| !t.is_empty()).map(Into::into);
        list.as_array()
            .into_iter()
            .flatten()
            .map(|rule| Rule {
                rule: rule["rule"].as_str().unwrap_or_default().into(),
                message: text(rule, "message"),
                message_expression: text(rule, "messageExpression"),
                reason: text(rule, "reason"),
                field_path: text(rule, "fieldPath"),
                optional_old_self: rule["optionalOldSelf"].as_bool().unwrap_or_default(),
            })
            .collect()
    }
}
