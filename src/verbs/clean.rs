//! Documents as people want to see them: without what only the server sets, and with Secret values masked.
//!
//! Pure. Start with [`export`] (what goes into Git).

use serde_json::Map;

use crate::base::{Object, Value};
use crate::engine::diff::{decided, without_annotations};

/// Asked once, handled once: of no use in Git. Source: flux2 cmd/flux export.
const REQUESTS: &str = "reconcile.fluxcd.io/";
/// How a masked value begins; see `base::Object`.
const MASK: &str = "*** (";

/// The document with Secret values masked and managed fields gone.
pub(super) fn masked(document: &Value) -> Value {
    Object::from_value(document.clone()).map_or(Value::Null, |object| object.body())
}

/// What goes into Git: masked, as people decide it, without owners, finalizers and requests.
pub(super) fn export(document: &Value) -> Value {
    let mut export = decided(&masked(document));
    if let Some(metadata) = export.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["finalizers", "ownerReferences", "generateName"] {
            metadata.shift_remove(field);
        }
        without_annotations(metadata, |key| key.starts_with(REQUESTS) && key.ends_with("At"));
    }
    export
}

/// The merge patch that makes one document the other; `None` when nothing differs.
pub(super) fn difference(from: &Value, to: &Value) -> Option<Value> {
    let (Some(old), Some(new)) = (from.as_object(), to.as_object()) else {
        return (from != to).then(|| to.clone());
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        let change = match old.get(key) {
            Some(before) => difference(before, value),
            // A null says nothing where nothing was.
            None => Some(value.clone()).filter(|value| !value.is_null()),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The keys of a Secret whose masked value a patch would write for real.
pub(super) fn masks_in(patch: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for field in ["data", "stringData"] {
        for (key, value) in patch.get(field).and_then(Value::as_object).into_iter().flatten() {
            if value.as_str().is_some_and(|text| text.starts_with(MASK)) {
                found.push(format!("{field}.{key}"));
            }
        }
    }
    found
}

/// An edited Secret fit to be shown: values that a person typed are masked, and said to be new.
pub(super) fn masked_edit(original: &Value, edited: &Value) -> Value {
    let mut shown = edited.clone();
    if shown["kind"] != "Secret" || shown["apiVersion"] != "v1" {
        return shown;
    }
    for field in ["data", "stringData"] {
        for (key, value) in shown.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten() {
            if original.get(field).and_then(|kept| kept.get(key)) != Some(&*value) {
                let length = value.as_str().map_or(0, str::len);
                *value = Value::String(format!("{MASK}{length} characters, new)"));
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret() -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "uid": "u", "resourceVersion": "5",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"data\": \"Y2FuYXJ5\"}", "reconcile.fluxcd.io/requestedAt": "now"},
            "finalizers": ["f"], "managedFields": [{}]}, "data": {"a": "Y2FuYXJ5", "b": "b3RoZXI="}, "status": {}})
    }

    #[test]
    fn an_export_has_neither_status_nor_what_the_server_sets() {
        let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "status": {"x": 1},
            "metadata": {"name": "c", "labels": {"l": "m"}, "uid": "u", "generation": 2, "finalizers": ["f"],
                "annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}});
        let wanted = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
            "metadata": {"name": "c", "labels": {"l": "m"}}});
        assert_eq!(export(&document), wanted);
    }

    #[test]
    fn an_edit_never_writes_a_mask_back() {
        let original = decided(&masked(&secret()));
        assert!(!original.to_string().contains("Y2FuYXJ5"));
        let mut edited = original.clone();
        edited["data"]["b"] = "bmV3".into();
        let patch = difference(&original, &edited).unwrap();
        assert_eq!(patch, json!({"data": {"b": "bmV3"}}), "the masked value of `a` is not in the patch");
        assert!(masks_in(&patch).is_empty());
        edited["data"]["c"] = original["data"]["a"].clone();
        assert_eq!(masks_in(&difference(&original, &edited).unwrap()), ["data.c"]);
        let shown = masked_edit(&original, &edited).to_string();
        assert!(!shown.contains("bmV3") && shown.contains("*** (4 characters, new)"), "{shown}");
    }

    #[test]
    fn a_difference_is_a_merge_patch() {
        for (from, to) in [
            (json!({"a": 1, "b": {"c": 2, "d": 3}}), json!({"a": 1, "b": {"c": 5}})),
            (json!({"a": [1, 2]}), json!({"a": [2], "n": {"x": "y"}})),
            (json!({"a": {"b": 1}}), json!({"a": "text"})),
            (json!({}), json!({})),
        ] {
            let mut patched = from.clone();
            if let Some(patch) = difference(&from, &to) {
                json_patch::merge(&mut patched, &patch);
            }
            assert_eq!(patched, to);
        }
    }
}
