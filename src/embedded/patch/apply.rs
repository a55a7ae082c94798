//! Server-side apply and the tracking of every other write.
//!
//! Source: structured-merge-diff merge/update and apimachinery pkg/util/managedfields. Versions other than the one
//! written are read with the same schema, because weir converts nothing but the version's name.

use serde_json::{Map, Value};

use super::merging::{Change, Emptied, compared, merged, without};
use super::owners::{self, Operation, Owner};
use super::path::spelled;
use super::set::Set;
use super::typed::{Allow, equal, field_set, misfits};
use super::{ApplyError, FieldConflict, Write, limits};
use crate::embedded::schema::Schema;
use crate::embedded::schema::node::{Additional, NodeId, Shape};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Applies a configuration; see the front door.
pub fn apply(live: Option<&Value>, body: &Value, write: &Write, schema: &Schema) -> Result<Value, ApplyError> {
    check_head(live, body, write)?;
    reject(misfits(&schema.arena, schema.root, body, Allow { duplicates: false }), "patch", body)?;
    let mut live_object = live.cloned().unwrap_or_else(|| head_of(body));
    let mut managers =
        owners::read(&live_object).map_err(|e| ApplyError::Invalid(format!("failed to decode managed fields: {e}")))?;
    owners::strip(&mut live_object);
    reject(misfits(&schema.arena, schema.root, &live_object, Allow { duplicates: true }), "live", &live_object)?;
    if managers.is_empty() && live.is_some() {
        let first = Write { manager: "before-first-apply", ..*write };
        managers = updated(&head_of(&live_object), &live_object, Vec::new(), &first, schema);
    }
    let outcome = match applied(&live_object, body, managers.clone(), write, schema, write.force) {
        Err(ApplyError::Conflict(conflicts)) if write.manager == "kubectl" => {
            let left = not_applied_before(&live_object, conflicts, write, schema);
            if !left.is_empty() {
                return Err(conflict(left));
            }
            applied(&live_object, body, managers, write, schema, true)
        }
        other => other,
    };
    let (mut object, managers) = outcome?;
    if write.manager == "kubectl" {
        refresh_last_applied(&mut object, body);
    }
    owners::write(&mut object, managers);
    Ok(object)
}

fn check_head(live: Option<&Value>, body: &Value, write: &Write) -> Result<(), ApplyError> {
    let malformed = |text: String| Err(ApplyError::Malformed(text));
    if !body.is_object() {
        return malformed("the body of an apply must be an object".into());
    }
    if limits::too_deep(body) {
        return malformed("the body of the apply nests too deep".into());
    }
    match body["apiVersion"].as_str() {
        Some(version) if version == write.api_version => {}
        version => {
            return malformed(format!(
                "Incorrect version specified in apply patch. Specified patch version: {}, expected: {}",
                version.unwrap_or_default(),
                write.api_version
            ));
        }
    }
    if body["kind"].as_str().unwrap_or_default().is_empty() {
        return malformed("Object 'Kind' is missing in the body of the apply".into());
    }
    if live.is_none() && body["metadata"]["name"].as_str().unwrap_or_default().is_empty() {
        return malformed("metadata.name is required when an apply creates the object".into());
    }
    if !body["metadata"]["managedFields"].is_null() {
        return malformed("metadata.managedFields must be nil".into());
    }
    Ok(())
}

/// The part of an object that an empty one of its kind has.
fn head_of(object: &Value) -> Value {
    let kept = ["apiVersion", "kind"].into_iter().filter_map(|key| Some((key.to_string(), object.get(key)?.clone())));
    Value::Object(kept.collect())
}

fn reject(problems: Vec<String>, what: &str, object: &Value) -> Result<(), ApplyError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let problems = match problems.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let metadata = &object["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let version = if version.contains('/') { version } else { format!("/{version}") };
    Err(ApplyError::Invalid(format!(
        "failed to create typed {what} object ({namespace}/{name}; {version}, Kind={kind}): {problems}"
    )))
}

/// One attempt: the new object without managed fields, and its owners.
fn applied(
    live: &Value,
    body: &Value,
    mut managers: Vec<Owner>,
    write: &Write,
    schema: &Schema,
    force: bool,
) -> Result<(Value, Vec<Owner>), ApplyError> {
    let (arena, root) = (&schema.arena, schema.root);
    let mut me = Owner::of(write, Operation::Apply);
    let at = managers.iter().position(|owner| owner.is(&me));
    let before = at.map(|at| managers.remove(at));
    me.fields = field_set(arena, root, body);
    me.time = before.as_ref().and_then(|before| before.time.clone());
    let object = merged(arena, root, Some(live), Some(body))
        .map_err(|e| ApplyError::Invalid(format!("failed to merge config: {e}")))?
        .unwrap_or_else(|| body.clone());
    let object = match &before {
        Some(before) if !before.fields.is_empty() => pruned(object, &before.fields, &me.fields, &managers, schema),
        _ => object,
    };
    let full_live = filled(live, schema);
    let change = compared(arena, root, &full_live, &filled(&object, schema));
    let conflicts = taken(&mut managers, &change);
    if !force && !conflicts.is_empty() {
        return Err(conflict(conflicts));
    }
    me.fields = owners::without_head(&me.fields);
    if !equal(live, &object) {
        me.time = Some(write.now.to_string());
    }
    managers.push(me);
    Ok((object, managers))
}

/// Takes written and removed paths from other managers; answers the written ones they held.
fn taken(managers: &mut Vec<Owner>, change: &Change) -> Vec<FieldConflict> {
    let written = change.written();
    let mut conflicts = Vec::new();
    for owner in managers.iter_mut() {
        let lost = owner.fields.intersection(&written);
        for path in lost.paths() {
            let message = format!("conflict with {}", owner.shown());
            conflicts.push(FieldConflict { manager: owner.manager.clone(), field: spelled(&path), message });
        }
        owner.fields = owner.fields.difference(&lost).difference(&change.removed);
    }
    managers.retain(|owner| !owner.fields.is_empty());
    conflicts
}

fn conflict(mut conflicts: Vec<FieldConflict>) -> ApplyError {
    conflicts.sort_by(|a, b| (&a.message, &a.field).cmp(&(&b.message, &b.field)));
    ApplyError::Conflict(conflicts)
}

/// Drops what this manager applied before, sends no more, and nobody else owns.
fn pruned(merged: Value, before: &Set, mine: &Set, others: &[Owner], schema: &Schema) -> Value {
    let (arena, root) = (&schema.arena, schema.root);
    let declared = |set: &Set| set.with_declared_parents(arena, root);
    let before = declared(before);
    let stripped = without(arena, root, &merged, &before, Emptied::Null);
    let mut managed = mine.clone();
    for owner in others {
        managed.add(&owner.fields);
    }
    let all = declared(&field_set(arena, root, &merged));
    // Back comes what anybody owns now ...
    let kept = declared(&field_set(arena, root, &stripped)).union(&declared(&managed));
    let owned = without(arena, root, &merged, &all.difference(&kept), Emptied::Null);
    // ... and what this manager never owned.
    let kept = declared(&field_set(arena, root, &owned));
    without(arena, root, &merged, &all.difference(&kept).intersection(&before), Emptied::Empty)
}

/// The conflicts left when those over values that client-side apply wrote, and that still stand, are let pass.
fn not_applied_before(
    live: &Value,
    conflicts: Vec<FieldConflict>,
    write: &Write,
    schema: &Schema,
) -> Vec<FieldConflict> {
    let (arena, root) = (&schema.arena, schema.root);
    let text = live["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap_or_default();
    let Ok(last) = serde_json::from_str::<Value>(text) else { return conflicts };
    let strict = Allow { duplicates: false };
    let fits = |value: &Value| misfits(arena, root, value, strict).is_empty();
    if last["apiVersion"] != write.api_version || !fits(&last) || !fits(live) {
        return conflicts;
    }
    let change = compared(arena, root, &last, live);
    let own = field_set(arena, root, &last);
    let own = own.difference(&change.modified).difference(&change.added).difference(&change.removed);
    let allowed: Vec<String> = own.paths().iter().map(|path| spelled(path)).collect();
    conflicts.into_iter().filter(|conflict| !allowed.contains(&conflict.field)).collect()
}

/// Keeps the annotation of client-side apply true, where there is one.
fn refresh_last_applied(object: &mut Value, body: &Value) {
    let annotations = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    let Some(kept) = annotations.and_then(|a| a.get_mut(LAST_APPLIED)) else { return };
    if kept.as_str().unwrap_or_default().is_empty() {
        return;
    }
    let mut body = body.clone();
    if let Some(annotations) = body.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(LAST_APPLIED);
    }
    sort_keys(&mut body);
    *kept = Value::String(format!("{body}\n"));
}

fn sort_keys(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.sort_keys();
            fields.values_mut().for_each(sort_keys);
        }
        Value::Array(items) => items.iter_mut().for_each(sort_keys),
        _ => {}
    }
}

/// Keeps managed fields after a create, update or patch; see the front door.
pub fn track(old: Option<&Value>, new: &mut Value, write: &Write, schema: &Schema) {
    if !new.is_object() || limits::too_deep(new) {
        return;
    }
    let kept = |old: Option<&Value>| old.and_then(|old| owners::read(old).ok()).unwrap_or_default();
    let managers = if !write.subresource.is_empty() {
        kept(old)
    } else if owners::is_reset(new) {
        Vec::new()
    } else {
        match owners::read(new) {
            Ok(owners) if !owners.is_empty() => owners,
            _ => kept(old),
        }
    };
    owners::strip(new);
    // An existing object without managers is left alone until somebody applies to it.
    if old.is_some() && managers.is_empty() {
        return;
    }
    let mut before = old.cloned().unwrap_or_else(|| head_of(new));
    owners::strip(&mut before);
    let mut managers = updated(&before, new, managers, write, schema);
    owners::cap(&mut managers);
    owners::write(new, managers);
}

/// The owners after a write that says nothing about ownership.
fn updated(old: &Value, new: &Value, mut managers: Vec<Owner>, write: &Write, schema: &Schema) -> Vec<Owner> {
    let change = compared(&schema.arena, schema.root, &filled(old, schema), &filled(new, schema));
    taken(&mut managers, &change);
    let mut me = Owner::of(write, Operation::Update);
    me.fields = owners::without_head(&change.written());
    if me.fields.is_empty() {
        return managers;
    }
    if let Some(at) = managers.iter().position(|owner| owner.is(&me)) {
        me.fields.add(&managers.remove(at).fields);
    }
    me.time = Some(write.now.to_string());
    managers.push(me);
    managers
}

/// A built-in object as a real server holds it in its structs: those that are not pointers always exist, and lists and
/// maps without `omitempty` are null. Without this, the first writer of a status would own `status` itself.
fn filled(object: &Value, schema: &Schema) -> Value {
    let mut object = object.clone();
    if schema.is_builtin() {
        fill(schema, schema.root, &mut object);
    }
    object
}

fn fill(schema: &Schema, id: NodeId, value: &mut Value) {
    let node = schema.arena.node(id);
    match value {
        Value::Object(fields) => {
            for (name, field) in &node.fields {
                let child = schema.arena.node(field.node);
                if fields.contains_key(&**name) {
                    continue;
                }
                if matches!(&field.default, Some(Value::Object(default)) if default.is_empty()) {
                    fields.insert(name.to_string(), Value::Object(Map::new()));
                } else if matches!(child.shape, Shape::Array | Shape::Object) && node.required.contains(name) {
                    fields.insert(name.to_string(), Value::Null);
                }
            }
            for (name, value) in fields.iter_mut() {
                match (node.fields.get(name.as_str()), node.additional) {
                    (Some(field), _) => fill(schema, field.node, value),
                    (None, Additional::Of(id)) => fill(schema, id, value),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            if let Some(id) = node.items {
                items.iter_mut().for_each(|item| fill(schema, id, item));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::schema;
    use serde_json::json;

    pub(super) fn deployment() -> Schema {
        schema::builtin("apps", "v1", "Deployment").unwrap()
    }

    fn config_map() -> Schema {
        schema::builtin("", "v1", "ConfigMap").unwrap()
    }

    pub(super) fn by(manager: &'static str, api_version: &'static str) -> Write<'static> {
        Write { manager, api_version, subresource: "", now: "2024-01-01T00:00:00Z", force: false }
    }

    fn map_body(data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data})
    }

    fn owned(object: &Value, manager: &str) -> Value {
        let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        entries.into_iter().find(|e| e["manager"] == manager).map_or(Value::Null, |e| e["fieldsV1"].clone())
    }

    fn conflicts(result: Result<Value, ApplyError>) -> Vec<(String, String)> {
        match result {
            Err(ApplyError::Conflict(conflicts)) => conflicts.into_iter().map(|c| (c.manager, c.field)).collect(),
            other => panic!("no conflict: {other:?}"),
        }
    }

    #[test]
    fn a_first_apply_creates_and_owns_leaves_only() {
        let schema = config_map();
        let made = apply(None, &map_body(json!({"a": "1"})), &by("one", "v1"), &schema).unwrap();
        assert_eq!(made["data"], json!({"a": "1"}));
        let entry = json!([{"manager": "one", "operation": "Apply", "apiVersion": "v1", "time": "2024-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}}]);
        assert_eq!(made["metadata"]["managedFields"], entry);
    }

    #[test]
    fn what_is_no_longer_sent_goes_unless_somebody_else_owns_it() {
        let schema = config_map();
        let one = apply(None, &map_body(json!({"a": "1", "b": "2", "c": "3"})), &by("one", "v1"), &schema).unwrap();
        let two = apply(Some(&one), &map_body(json!({"b": "2"})), &by("two", "v1"), &schema).unwrap();
        let less = apply(Some(&two), &map_body(json!({"a": "1"})), &by("one", "v1"), &schema).unwrap();
        assert_eq!(less["data"], json!({"a": "1", "b": "2"}));
        assert_eq!(owned(&less, "one"), json!({"f:data": {"f:a": {}}}));
        assert_eq!(owned(&less, "two"), json!({"f:data": {"f:b": {}}}));
        let none = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
        let gone = apply(Some(&less), &none, &by("one", "v1"), &schema).unwrap();
        assert_eq!(gone["data"], json!({"b": "2"}));
        assert_eq!(owned(&gone, "one"), Value::Null);
        let empty = apply(Some(&gone), &none, &by("two", "v1"), &schema).unwrap();
        assert_eq!(empty.get("data"), None);
    }

    #[test]
    fn another_value_is_a_conflict_until_forced_and_the_same_value_is_shared() {
        let schema = config_map();
        let one = apply(None, &map_body(json!({"a": "1", "b": "2"})), &by("one", "v1"), &schema).unwrap();
        let other = map_body(json!({"a": "9", "b": "2"}));
        let refused = apply(Some(&one), &other, &by("two", "v1"), &schema);
        assert_eq!(conflicts(refused.clone()), [("one".into(), ".data.a".into())]);
        let text = refused.unwrap_err().to_string();
        assert_eq!(text, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
        let forced = apply(Some(&one), &other, &Write { force: true, ..by("two", "v1") }, &schema).unwrap();
        assert_eq!(forced["data"], json!({"a": "9", "b": "2"}));
        assert_eq!(owned(&forced, "one"), json!({"f:data": {"f:b": {}}}));
        assert_eq!(owned(&forced, "two"), json!({"f:data": {"f:a": {}, "f:b": {}}}));
    }

    fn pods(containers: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"template": {"spec": {"containers": containers}}}})
    }

    #[test]
    fn list_items_are_merged_by_key_and_key_defaults_count() {
        let schema = deployment();
        let body = pods(json!([{"name": "a", "image": "i", "ports": [{"containerPort": 80}]}]));
        let one = apply(None, &body, &by("one", "apps/v1"), &schema).unwrap();
        let ports = owned(&one, "one")
            .pointer("/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"a\"}/f:ports")
            .cloned()
            .unwrap();
        assert_eq!(ports, json!({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}));
        let body = pods(json!([{"name": "b", "image": "j"},
            {"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}]}]));
        let two = apply(Some(&one), &body, &by("two", "apps/v1"), &schema).unwrap();
        let containers = &two["spec"]["template"]["spec"]["containers"];
        assert_eq!(
            *containers,
            json!([{"name": "b", "image": "j"}, {"name": "a", "image": "i",
                "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}]}])
        );
        let back = apply(Some(&two), &pods(json!([{"name": "b", "image": "j"}])), &by("two", "apps/v1"), &schema);
        let back = back.unwrap();
        let containers = &back["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[1], json!({"name": "a", "image": "i", "ports": [{"containerPort": 80}]}));
    }

    #[test]
    fn two_items_of_one_key_and_unknown_fields_are_refused() {
        let schema = deployment();
        let body = pods(json!([{"name": "a"}, {"name": "a"}]));
        let text = apply(None, &body, &by("one", "apps/v1"), &schema).unwrap_err().to_string();
        assert_eq!(
            text,
            "failed to create typed patch object (/d; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name=\"a\"]"
        );
        let body =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"nope": 1}});
        let text = apply(None, &body, &by("one", "apps/v1"), &schema).unwrap_err().to_string();
        assert!(text.ends_with("Kind=Deployment): .spec.nope: field not declared in schema"), "{text}");
    }

    #[test]
    fn an_update_takes_what_it_changes() {
        let schema = config_map();
        let one = apply(None, &map_body(json!({"a": "1", "b": "2"})), &by("one", "v1"), &schema).unwrap();
        let mut new = one.clone();
        new["data"] = json!({"a": "9", "c": "3"});
        track(Some(&one), &mut new, &by("edit", "v1"), &schema);
        assert_eq!(owned(&new, "one"), Value::Null);
        assert_eq!(owned(&new, "edit"), json!({"f:data": {"f:a": {}, "f:c": {}}}));
        let mut same = new.clone();
        track(Some(&new), &mut same, &Write { now: "2025-01-01T00:00:00Z", ..by("other", "v1") }, &schema);
        assert_eq!(same, new, "a write that changes nothing leaves no trace");
    }

    #[test]
    fn managed_fields_are_cleared_by_an_empty_list_or_entry_and_kept_when_absent() {
        let schema = config_map();
        let one = apply(None, &map_body(json!({"a": "1"})), &by("one", "v1"), &schema).unwrap();
        for (given, stays) in [(json!([]), false), (json!([{}]), false), (json!(null), true)] {
            let mut new = one.clone();
            new["metadata"]["managedFields"] = given;
            track(Some(&one), &mut new, &by("edit", "v1"), &schema);
            assert_eq!(new["metadata"].get("managedFields").is_some(), stays);
        }
        let mut new = one.clone();
        new["metadata"]["managedFields"][0]["manager"] = json!("renamed");
        track(Some(&one), &mut new, &by("edit", "v1"), &schema);
        assert_eq!(owned(&new, "renamed"), json!({"f:data": {"f:a": {}}}));
        assert_eq!(owned(&new, "one"), Value::Null);
    }

    #[test]
    fn an_object_nobody_owns_gets_before_first_apply() {
        let schema = config_map();
        let live = map_body(json!({"a": "1"}));
        let refused = apply(Some(&live), &map_body(json!({"a": "2"})), &by("one", "v1"), &schema);
        assert_eq!(conflicts(refused), [("before-first-apply".into(), ".data.a".into())]);
        let shared = apply(Some(&live), &map_body(json!({"a": "1"})), &by("one", "v1"), &schema).unwrap();
        assert_eq!(owned(&shared, "before-first-apply"), json!({"f:data": {".": {}, "f:a": {}}}));
    }

    #[test]
    fn kubectl_takes_over_from_client_side_apply_and_others_do_not() {
        let schema = config_map();
        let mut live = map_body(json!({"a": "1"}));
        let last = live.to_string();
        live["metadata"]["annotations"] = json!({LAST_APPLIED: last});
        track(None, &mut live, &by("kubectl-client-side-apply", "v1"), &schema);
        let body = map_body(json!({"a": "2"}));
        assert!(!conflicts(apply(Some(&live), &body, &by("flux", "v1"), &schema)).is_empty());
        let taken = apply(Some(&live), &body, &by("kubectl", "v1"), &schema).unwrap();
        assert_eq!(taken["data"]["a"], "2");
        let last: Value =
            serde_json::from_str(taken["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap()).unwrap();
        assert_eq!(last["data"]["a"], "2");
        let mut edited = live.clone();
        edited["data"]["a"] = json!("3");
        track(Some(&live), &mut edited, &by("somebody", "v1"), &schema);
        assert_eq!(conflicts(apply(Some(&edited), &body, &by("kubectl", "v1"), &schema)).len(), 1);
    }

    #[test]
    fn a_scale_takes_replicas_from_the_applier() {
        let schema = deployment();
        let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1, "paused": true}});
        let one = apply(None, &body, &by("one", "apps/v1"), &schema).unwrap();
        let mut scaled = one.clone();
        scaled["spec"]["replicas"] = json!(5);
        track(Some(&one), &mut scaled, &Write { subresource: "scale", ..by("hpa", "apps/v1") }, &schema);
        assert_eq!(owned(&scaled, "one"), json!({"f:spec": {"f:paused": {}}}));
        assert_eq!(owned(&scaled, "hpa"), json!({"f:spec": {"f:replicas": {}}}));
        let entry = &scaled["metadata"]["managedFields"][1];
        assert_eq!((&entry["subresource"], &entry["operation"]), (&json!("scale"), &json!("Update")));
        let refused = apply(Some(&scaled), &body, &by("one", "apps/v1"), &schema).unwrap_err().to_string();
        let expected = "conflict with \"hpa\" with subresource \"scale\" using apps/v1: .spec.replicas";
        assert!(refused.ends_with(expected), "{refused}");
    }

    #[test]
    fn a_no_op_keeps_the_time_and_a_change_moves_it() {
        let schema = config_map();
        let body = map_body(json!({"a": "1"}));
        let one = apply(None, &body, &by("one", "v1"), &schema).unwrap();
        let later = Write { now: "2030-01-01T00:00:00Z", ..by("one", "v1") };
        assert_eq!(apply(Some(&one), &body, &later, &schema).unwrap(), one);
        let moved = apply(Some(&one), &map_body(json!({"a": "2"})), &later, &schema).unwrap();
        assert_eq!(moved["metadata"]["managedFields"][0]["time"], "2030-01-01T00:00:00Z");
    }

    #[test]
    fn more_than_ten_updaters_become_ancient_changes() {
        let schema = config_map();
        let mut live = map_body(json!({"k": "0"}));
        track(None, &mut live, &by("m00", "v1"), &schema);
        for index in 1..14 {
            let mut new = live.clone();
            new["data"][format!("k{index}")] = json!("x");
            let (manager, now) = (format!("m{index:02}"), format!("2024-01-01T00:00:{index:02}Z"));
            let write = Write { manager: &manager, now: &now, ..by("", "v1") };
            track(Some(&live), &mut new, &write, &schema);
            live = new;
        }
        let entries = live["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 10);
        assert_eq!(entries[0]["manager"], "ancient-changes");
        let ancient = owned(&live, "ancient-changes");
        assert_eq!(ancient["f:data"].as_object().unwrap().len(), 6, "{ancient}");
    }

    #[test]
    fn a_created_built_in_has_no_dots_where_structs_always_exist() {
        let schema = deployment();
        let mut new = pods(json!([{"name": "a", "image": "i"}]));
        new["spec"]["selector"] = json!({"matchLabels": {"app": "x"}});
        track(None, &mut new, &by("kubectl-create", "apps/v1"), &schema);
        let fields = owned(&new, "kubectl-create");
        assert_eq!(fields["f:spec"].get("."), None);
        let containers = &fields["f:spec"]["f:template"]["f:spec"]["f:containers"];
        assert_eq!(
            *containers,
            json!({"k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}})
        );
        assert_eq!(fields["f:spec"]["f:selector"], json!({}));
    }
}
