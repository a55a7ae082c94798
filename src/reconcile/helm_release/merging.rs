//! How an object that lives is changed: the patch of a client, and older fields that become those of Helm's applies.
//!
//! Pure. Start with [`client_side`] and [`taken_over`]. Source: helm pkg/kube/client.go, client-go util/csaupgrade.

use serde_json::{Value, json};

use super::super::kustomization::fields::merge;
use super::objects::{MANAGER, Placed};
use crate::engine::three_way;

/// The patch that brings a target into what lives without server-side apply; `None` when there is nothing to do.
pub fn client_side(original: Option<&Placed>, target: &Placed, live: &Value) -> Option<Value> {
    let mut patch = three_way::patch(original.map(|original| &original.document), &target.document, live);
    patch.as_object().filter(|patch| !patch.is_empty())?;
    // Lists are sent whole: what somebody puts in between must not get lost.
    patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    Some(patch)
}

/// The patch that makes fields of Helm's client-side writes those of its applies; `None` when there are none.
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
    let mut own = entries.iter().find(|entry| is_old(entry)).cloned()?;
    if let Some(applied) = entries.iter().find(|entry| is_apply(entry)) {
        own = applied.clone();
    }
    own["manager"] = MANAGER.into();
    own["operation"] = "Apply".into();
    let version = own["apiVersion"].clone();
    // As csaupgrade does it: what was written in another version is given up.
    for old in entries.iter().filter(|entry| is_old(entry) && entry["apiVersion"] == version) {
        merge(&mut own["fieldsV1"], &old["fieldsV1"]);
    }
    let mut kept: Vec<Value> = entries.iter().filter(|entry| !is_old(entry) && !is_apply(entry)).cloned().collect();
    kept.insert(0, own);
    Some(json!([
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": kept},
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_older_fields_become_those_of_the_applies() {
        let entry = |manager: &str, operation: &str, version: &str, field: &str| {
            json!({"manager": manager, "operation": operation, "apiVersion": version, "fieldsType": "FieldsV1",
                "fieldsV1": {"f:data": {field: {}}}})
        };
        let live = |entries: Value| json!({"metadata": {"resourceVersion": "7", "managedFields": entries}});
        let taken = taken_over(&live(json!([
            entry("kubectl", "Update", "v1", "f:k"),
            entry("helm", "Update", "v1", "f:a"),
            entry(MANAGER, "Update", "v1", "f:b"),
            entry(MANAGER, "Apply", "v1", "f:c"),
        ])));
        let fields = taken.unwrap()[1]["value"].clone();
        assert_eq!(fields.as_array().unwrap().len(), 2);
        assert_eq!(fields[0]["operation"], "Apply");
        assert_eq!(fields[0]["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}, "f:c": {}}}));
        assert_eq!(fields[1]["manager"], "kubectl");
        let without = taken_over(&live(json!([entry("helm", "Update", "v1", "f:a")]))).unwrap();
        assert_eq!(without[1]["value"][0]["manager"], MANAGER);
        assert_eq!(taken_over(&live(json!([entry(MANAGER, "Apply", "v1", "f:c")]))), None);
    }
}
