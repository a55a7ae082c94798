//! Helm's older fields become those of its applies.
//!
//! Pure. Start with [`taken_over`]. Source: helm pkg/kube/client.go.

use serde_json::{Value, json};

use super::objects::MANAGER;

/// The patch that renames fields of Helm's client-side writes to those of its applies; `None` when there are none.
pub fn taken_over(live: &Value) -> Option<Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let is_old = |entry: &Value| {
        let manager = text(entry, "manager");
        text(entry, "operation") == "Update"
            && text(entry, "subresource").is_empty()
            && (manager.eq_ignore_ascii_case("helm") || manager == MANAGER)
    };
    let is_apply = |entry: &Value| text(entry, "operation") == "Apply" && text(entry, "manager") == MANAGER;
    if !entries.iter().any(is_old) || entries.iter().any(is_apply) {
        return None;
    }
    let mut renamed = entries.clone();
    let first = renamed.iter().position(is_old)?;
    renamed[first]["manager"] = MANAGER.into();
    renamed[first]["operation"] = "Apply".into();
    let mut at = 0;
    renamed.retain(|entry| {
        let keep = at <= first || !is_old(entry);
        at += 1;
        keep
    });
    Some(json!([
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": renamed},
    ]))
}
