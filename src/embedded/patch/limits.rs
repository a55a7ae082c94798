//! What a patch may make of an object: bounds for everything that recurses over foreign values.

use serde_json::Value;

/// How deep a value may nest.
pub const DEPTH: usize = 512;

/// How big an object may get by a patch.
pub const RESULT_BYTES: usize = 16 << 20;

/// Whether a value nests deeper than anything here may recurse.
pub fn too_deep(value: &Value) -> bool {
    fn deeper(value: &Value, left: usize) -> bool {
        match value {
            Value::Array(items) => left == 0 || items.iter().any(|item| deeper(item, left - 1)),
            Value::Object(fields) => left == 0 || fields.values().any(|field| deeper(field, left - 1)),
            _ => false,
        }
    }
    deeper(value, DEPTH)
}

/// How deep a value nests; only for values that are not too deep.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// About how many bytes a value is as JSON; only for values that are not too deep.
pub fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Object(fields) => 2 + fields.iter().map(|(key, field)| key.len() + 4 + size(field)).sum::<usize>(),
    }
}
