//! [`Cause`]: one thing wrong with an object, worded as the API server words it.
//!
//! Clients branch on the reason and show the message; both are part of the contract. Source: apimachinery
//! pkg/util/validation/field.

use serde_json::Value;

/// One thing wrong with a value, as it goes into `status.details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueRequired`, `FieldValueInvalid`, `FieldValueTypeInvalid`, …
    pub reason: String,
    pub field: String,
    pub message: String,
}

impl Cause {
    fn new(reason: &str, field: &str, message: String) -> Self {
        // A path nobody gave prints like this in the real server, and clients have learned it.
        let field = if field.is_empty() { "<nil>" } else { field };
        Cause { reason: reason.into(), field: field.into(), message }
    }

    /// Something that must be there is not.
    pub fn required(field: &str, detail: &str) -> Self {
        Cause::new("FieldValueRequired", field, with("Required value", detail))
    }

    /// A value that is not right.
    pub fn invalid(field: &str, value: &Value, detail: &str) -> Self {
        Cause::new("FieldValueInvalid", field, with(&format!("Invalid value: {value}"), detail))
    }

    /// A value that is not right and too big to show.
    pub fn invalid_unshown(field: &str, detail: &str) -> Self {
        Cause::new("FieldValueInvalid", field, with("Invalid value", detail))
    }

    /// A value of another type.
    pub fn mistyped(field: &str, value: &Value, detail: &str) -> Self {
        Cause::new("FieldValueTypeInvalid", field, with(&format!("Invalid value: {value}"), detail))
    }

    /// A value that is none of those there are.
    pub fn unsupported(field: &str, value: &Value, supported: &[String]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        Cause::new("FieldValueNotSupported", field, with(&format!("Unsupported value: {value}"), &detail))
    }

    /// A value that occurs twice where it may once.
    pub fn duplicate(field: &str, value: &Value) -> Self {
        Cause::new("FieldValueDuplicate", field, format!("Duplicate value: {value}"))
    }

    /// A value that is well formed but may not be here or not now.
    pub fn forbidden(field: &str, detail: &str) -> Self {
        Cause::new("FieldValueForbidden", field, with("Forbidden", detail))
    }

    /// A text that is too long; it is not shown.
    pub fn too_long(field: &str, limit: u64) -> Self {
        let bytes = if limit == 1 { "byte" } else { "bytes" };
        Cause::new("FieldValueTooLong", field, format!("Too long: may not be more than {limit} {bytes}"))
    }

    /// Too many items or properties.
    pub fn too_many(field: &str, actual: usize, limit: u64) -> Self {
        let items = if limit == 1 { "item" } else { "items" };
        Cause::new("FieldValueTooMany", field, format!("Too many: {actual}: must have at most {limit} {items}"))
    }

    /// The same wrong with another reason.
    pub fn because(mut self, reason: &str) -> Self {
        self.reason = reason.into();
        self
    }
}

fn with(what: &str, detail: &str) -> String {
    if detail.is_empty() { what.to_string() } else { format!("{what}: {detail}") }
}
