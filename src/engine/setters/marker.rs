//! From a comment to the setter that it names.
//!
//! Source: kyaml fieldmeta (short hand and references).

use std::collections::HashMap;

/// Where the older form of a marker points.
const REFERENCE: &str = "#/definitions/io.k8s.cli.setters.";

/// The setter that a comment's text names, if it is a marker: JSON with nothing but texts, or the older reference form.
pub(super) fn setter(comment: &str) -> Option<String> {
    let text = comment.trim_start_matches('#').trim();
    if !text.starts_with('{') {
        return None;
    }
    if let Ok(fields) = serde_json::from_str::<HashMap<String, Option<String>>>(text)
        && let Some(Some(name)) = fields.get("$imagepolicy")
        && !name.is_empty()
    {
        return Some(name.clone());
    }
    let fields: HashMap<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    fields.get("$ref")?.as_str()?.strip_prefix(REFERENCE).map(str::to_owned)
}
