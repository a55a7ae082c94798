//! Who owns which field of a live object: taking over managers of old, and fields that drift correction leaves alone.
//!
//! Pure: managed fields in, patches and documents out. Start with [`take_over`] and [`leave_alone`].
//! Source: fluxcd/pkg ssa/patch.go and manager_apply.go (cleanup); kustomize-controller's ignore rules.

use serde_json::{Map, Value, json};

use crate::base::Id;
use crate::kinds::kustomization::{IgnoreRule, Selector};

/// The field manager of everything that a Kustomization applies.
pub const MANAGER: &str = "kustomize-controller";

/// Annotations and labels of older tools that no apply should carry on.
const STALE_ANNOTATIONS: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum",
];
const STALE_LABELS: &[&str] = &["fluxcd.io/sync-gc-mark"];

/// The JSON patch that frees a live object of older tools: their fields become the manager's own, so that an apply
/// that leaves a field out removes it. Empty when there is nothing to do.
pub fn take_over(live: &Value, others: &[String]) -> Vec<Value> {
    let mut operations = Vec::new();
    for (place, keys) in [("annotations", STALE_ANNOTATIONS), ("labels", STALE_LABELS)] {
        for key in keys {
            if live.pointer(&format!("/metadata/{place}")).and_then(|all| all.get(key)).is_some() {
                operations.push(json!({"op": "remove", "path": format!("/metadata/{place}/{}", escape(key))}));
            }
        }
    }
    if let Some(fields) = merged_fields(live, others) {
        operations.push(json!({"op": "replace", "path": "/metadata/managedFields", "value": fields}));
    }
    if !operations.is_empty()
        && let Some(version) = live.pointer("/metadata/resourceVersion")
    {
        // A write in between would make the list of managers a lie.
        operations.insert(0, json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
    }
    operations
}

/// The managed fields with those of older tools merged into the manager's own; `None` when there are none.
fn merged_fields(live: &Value, others: &[String]) -> Option<Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let is_old = |entry: &Value| {
        let (manager, operation) = (text(entry, "manager"), text(entry, "operation"));
        let is_own = manager == MANAGER && operation == "Update";
        let known = manager.starts_with("kubectl") || manager == "before-first-apply";
        text(entry, "subresource").is_empty() && (is_own || known || others.iter().any(|other| other == manager))
    };
    if !entries.iter().any(is_old) {
        return None;
    }
    let is_applied = |entry: &Value| {
        text(entry, "manager") == MANAGER
            && text(entry, "operation") == "Apply"
            && text(entry, "subresource").is_empty()
    };
    let mut own = entries.iter().find(|entry| is_applied(entry)).cloned().unwrap_or_else(|| {
        json!({"manager": MANAGER, "operation": "Apply", "apiVersion": live["apiVersion"], "fieldsType": "FieldsV1",
            "time": entries[0]["time"], "fieldsV1": {}})
    });
    let version = own["apiVersion"].clone();
    for entry in entries.iter().filter(|entry| is_old(entry) && entry["apiVersion"] == version) {
        merge(&mut own["fieldsV1"], &entry["fieldsV1"]);
    }
    let mut kept: Vec<Value> = entries.iter().filter(|entry| !is_old(entry) && !is_applied(entry)).cloned().collect();
    kept.insert(0, own);
    Some(Value::Array(kept))
}

/// Puts the fields of one set into another.
pub fn merge(into: &mut Value, from: &Value) {
    let Some(from) = from.as_object() else { return };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in from {
        merge(&mut into[key], value);
        if into[key].is_null() {
            into[key] = json!({});
        }
    }
}

/// Applies the ignore rules: a field that another applier owns is not spoken of, any other keeps its live value.
///
/// A rule whose pointer goes through a list index counts as not owned by others: list items are named by key there.
pub fn leave_alone(wanted: &mut Value, live: &Value, rules: &[IgnoreRule]) {
    let Some(id) = Id::of(wanted) else { return };
    for rule in rules {
        if !rule.target.as_ref().is_none_or(|target| selects(target, &id, wanted)) {
            continue;
        }
        for pointer in &rule.paths {
            match live.pointer(pointer) {
                Some(value) if !is_owned_by_other(live, pointer) => set(wanted, pointer, value.clone()),
                _ => remove(wanted, pointer),
            }
        }
    }
}

/// Whether a manager other than weir applied that field.
fn is_owned_by_other(live: &Value, pointer: &str) -> bool {
    is_applied_by(live, pointer, |manager| manager != MANAGER)
}

/// Whether one of these managers applied that field. A list item is never found: there, items are named by key.
pub fn is_applied_by(live: &Value, pointer: &str, is_it: impl Fn(&str) -> bool) -> bool {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let mut its = entries
        .into_iter()
        .flatten()
        .filter(|entry| text(entry, "operation") == "Apply" && is_it(text(entry, "manager")));
    its.any(|entry| {
        let mut at = &entry["fieldsV1"];
        for part in parts(pointer) {
            match at.get(format!("f:{part}")) {
                Some(next) => at = next,
                // An empty set above the field owns it whole.
                None => return at.as_object().is_some_and(Map::is_empty),
            }
        }
        true
    })
}

/// Whether a selector takes an object: every given part is an anchored regular expression or a list of labels.
pub fn selects(selector: &Selector, id: &Id, document: &Value) -> bool {
    let version = document["apiVersion"].as_str().unwrap_or_default();
    let version = version.rsplit_once('/').map_or(version, |(_, version)| version);
    let matches = |pattern: &Option<String>, text: &str| {
        pattern.as_deref().filter(|pattern| !pattern.is_empty()).is_none_or(|pattern| {
            regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(text))
        })
    };
    matches(&selector.group, &id.group)
        && matches(&selector.version, version)
        && matches(&selector.kind, &id.kind)
        && matches(&selector.namespace, &id.namespace)
        && matches(&selector.name, &id.name)
        && has_all(&selector.label_selector, document.pointer("/metadata/labels"))
        && has_all(&selector.annotation_selector, document.pointer("/metadata/annotations"))
}

/// Equality, inequality and existence, divided by commas; a form that is not known selects nothing.
fn has_all(selector: &Option<String>, all: Option<&Value>) -> bool {
    let Some(selector) = selector.as_deref() else { return true };
    let value = |key: &str| all.and_then(|all| all.get(key.trim())).and_then(Value::as_str);
    selector.split(',').map(str::trim).filter(|part| !part.is_empty()).all(|part| {
        if part.contains(['(', ')']) {
            false
        } else if let Some((key, wanted)) = part.split_once("!=") {
            value(key) != Some(wanted.trim())
        } else if let Some((key, wanted)) = part.split_once("==").or_else(|| part.split_once('=')) {
            value(key) == Some(wanted.trim())
        } else if let Some(key) = part.strip_prefix('!') {
            value(key).is_none()
        } else {
            value(part).is_some()
        }
    })
}

fn parts(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"))
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Sets a value, making the maps on the way; a way through something else is left as it is.
pub fn set(document: &mut Value, pointer: &str, value: Value) {
    let mut at = document;
    for part in parts(pointer) {
        if at.is_null() {
            *at = json!({});
        }
        at = match at {
            Value::Object(map) => map.entry(part).or_insert(Value::Null),
            Value::Array(list) => match part.parse::<usize>().ok().and_then(|index| list.get_mut(index)) {
                Some(item) => item,
                None => return,
            },
            _ => return,
        };
    }
    *at = value;
}

/// Removes what is at a pointer.
pub fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let last = last.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.shift_remove(&last)),
        Some(Value::Array(list)) => {
            if let Some(index) = last.parse::<usize>().ok().filter(|index| *index < list.len()) {
                list.remove(index);
            }
        }
        _ => {}
    }
}

/// Whether an apply would change a live object: everything but what only the server writes.
pub fn is_different(live: &Value, dry: &Value) -> bool {
    let strip = |document: &Value| {
        let mut document = document.clone();
        if let Some(map) = document.as_object_mut() {
            map.shift_remove("status");
            map.shift_remove("metadata");
        }
        document
    };
    let map = |document: &Value, place: &str| {
        let value = document.pointer(&format!("/metadata/{place}")).filter(|value| !value.is_null());
        value.cloned().unwrap_or_else(|| json!({}))
    };
    let differs = |place: &str| map(live, place) != map(dry, place);
    differs("labels") || differs("annotations") || strip(live) != strip(dry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1",
            "time": "2026-01-01T00:00:00Z", "fieldsV1": fields})
    }

    #[test]
    fn older_tools_hand_over_their_fields_and_others_keep_theirs() {
        let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "7",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
        "managedFields": [
            entry("kubectl-client-side-apply", "Update", json!({"f:data": {"f:a": {}}})),
            entry(MANAGER, "Apply", json!({"f:data": {"f:b": {}}})),
            entry("flux-client-side-apply", "Update", json!({"f:data": {"f:c": {}}})),
        ]}});
        let operations = take_over(&live, &[]);
        assert_eq!(operations[0]["path"], "/metadata/resourceVersion");
        assert_eq!(operations[1]["path"], "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
        let fields = operations[2]["value"].as_array().unwrap();
        assert_eq!(fields.len(), 2);
        assert_eq!(fields[0]["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}}}));
        assert_eq!(fields[1]["manager"], "flux-client-side-apply");
        let clean = json!({"metadata": {"managedFields": [entry(MANAGER, "Apply", json!({}))]}});
        assert!(take_over(&clean, &[]).is_empty());
        let named = json!({"apiVersion": "v1", "metadata": {"managedFields": [entry("argocd", "Update", json!({}))]}});
        assert_eq!(take_over(&named, &[]).len(), 0);
        assert_eq!(take_over(&named, &["argocd".into()]).len(), 1);
    }

    #[test]
    fn an_ignored_field_keeps_its_live_value_or_is_left_to_its_owner() {
        let wanted = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"},
            "spec": {"replicas": 2, "paused": false}});
        let mut live = wanted.clone();
        live["spec"]["replicas"] = json!(7);
        let rule = |kind: &str| IgnoreRule {
            paths: vec!["/spec/replicas".into()],
            target: Some(Selector { kind: Some(kind.into()), ..Default::default() }),
        };
        let mut kept = wanted.clone();
        leave_alone(&mut kept, &live, &[rule("Deployment")]);
        assert_eq!(kept["spec"]["replicas"], 7);
        let mut other = wanted.clone();
        leave_alone(&mut other, &live, &[rule("StatefulSet")]);
        assert_eq!(other, wanted);
        live["metadata"]["managedFields"] = json!([entry("hpa", "Apply", json!({"f:spec": {"f:replicas": {}}}))]);
        let mut dropped = wanted.clone();
        leave_alone(&mut dropped, &live, &[rule("Deploy.*")]);
        assert_eq!(dropped["spec"].get("replicas"), None);
    }

    #[test]
    fn only_what_people_wrote_counts_as_different() {
        let live = json!({"kind": "A", "metadata": {"resourceVersion": "1", "generation": 1}, "spec": {"a": 1}, "status": {"x": 1}});
        let mut dry = live.clone();
        dry["metadata"]["resourceVersion"] = "2".into();
        dry["status"] = json!({});
        dry["metadata"]["labels"] = json!({});
        assert!(!is_different(&live, &dry));
        dry["metadata"]["labels"] = json!({"a": "b"});
        assert!(is_different(&live, &dry));
        dry["metadata"]["labels"] = json!({});
        dry["spec"]["a"] = json!(2);
        assert!(is_different(&live, &dry));
    }

    #[test]
    fn selectors_are_anchored_and_labels_are_read() {
        let document = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}}});
        let id = Id::of(&document).unwrap();
        let with = |name: Option<&str>, labels: Option<&str>| {
            let selector = Selector {
                name: name.map(str::to_owned),
                label_selector: labels.map(str::to_owned),
                ..Default::default()
            };
            selects(&selector, &id, &document)
        };
        assert!(with(Some("web"), None) && with(Some("w.*"), Some("app=web,tier!=back,!other,tier")));
        assert!(!with(Some("we"), None) && !with(None, Some("app=x")) && !with(None, Some("app in (web)")));
    }
}
