//! DELETE: at once, or marked and held by finalizers until they are gone.
//!
//! What depends on a deleted object is the collector's business. Start with [`remove`].

use serde_json::{Map, Value, json};

use super::admit;
use super::request::Request;
use super::status::{Failure, cause};
use super::store::Txn;
use super::write::{Call, Done, check_served, is_held};
use super::{metadata, view};

/// What happens to dependants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// What a DELETE may say.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    pub propagation: Option<Propagation>,
    pub uid: Option<String>,
    pub revision: Option<String>,
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Reads the body and the query of a DELETE.
    ///
    /// Errors with 400 or 422 when an option has a value it cannot have.
    pub fn of(request: &Request) -> Result<DeleteOptions, Failure> {
        let body = if request.body.is_empty() { Value::Null } else { request.body_value()? };
        DeleteOptions::of_body(&body, request)
    }

    /// Reads what an eviction says about the deletion it asks for, and the query.
    ///
    /// Errors as [`DeleteOptions::of`].
    pub fn of_eviction(request: &Request) -> Result<DeleteOptions, Failure> {
        let body = if request.body.is_empty() { Value::Null } else { request.body_value()? };
        DeleteOptions::of_body(&body["deleteOptions"], request)
    }

    fn of_body(body: &Value, request: &Request) -> Result<DeleteOptions, Failure> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(String::from);
        let policy = text(&body["propagationPolicy"]).or_else(|| text(&request.text("propagationPolicy").into()));
        let orphan = body["orphanDependents"] == true || request.flag("orphanDependents");
        let propagation = match policy.as_deref() {
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            None if orphan => Some(Propagation::Orphan),
            None => None,
            Some(other) => {
                let known = "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
                let why = format!("Unsupported value: \"{other}\": {known}");
                let causes = vec![cause("FieldValueNotSupported", "propagationPolicy", why)];
                return Err(Failure::invalid("DeleteOptions", "meta.k8s.io", "", causes));
            }
        };
        let dry_run =
            request.options()?.dry_run || body["dryRun"].as_array().is_some_and(|d| d.iter().any(|d| d == "All"));
        let preconditions = &body["preconditions"];
        let (uid, revision) = (text(&preconditions["uid"]), text(&preconditions["resourceVersion"]));
        Ok(DeleteOptions { propagation, uid, revision, dry_run })
    }
}

/// Deletes one object, or marks it for deletion.
///
/// Errors with 404, or with 409 when a precondition does not hold.
pub fn remove(txn: &mut Txn<'_>, call: &Call, options: &DeleteOptions) -> Result<Done, Failure> {
    check_served(txn, &call.resource)?;
    let resource = &call.resource;
    let key = call.key();
    let old = txn.get(&key).ok_or_else(|| call.not_found())?;
    let conflict = |why: String| Failure::conflict(&resource.plural, &resource.group, &call.name, &why);
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != old.uid.as_ref()) {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", old.uid);
        return Err(conflict(why));
    }
    if let Some(wanted) = options.revision.as_deref().filter(|wanted| *wanted != old.revision.to_string()) {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {}",
            old.revision
        );
        return Err(conflict(why));
    }
    if resource.storage.as_ref() == "/namespaces"
        && matches!(call.name.as_str(), "default" | "kube-system" | "kube-public")
    {
        let why = "this namespace may not be deleted";
        return Err(Failure::forbidden(&resource.plural, &resource.group, &call.name, why));
    }
    let mut object = old.value();
    let before = object.clone();
    set_propagation(&mut object, options.propagation);
    if !is_held(&object) {
        if !options.dry_run {
            object = txn.delete(key, object).value();
        }
        let shown = view::shown(resource, object);
        let answer = if resource.answers_object { shown } else { success(call, &shown) };
        return Ok(Done { code: 200, object: answer, warnings: Vec::new() });
    }
    mark(call, &mut object);
    if object != before && !options.dry_run {
        object = txn.put(key, object).value();
    }
    Ok(Done { code: 200, object: view::shown(resource, object), warnings: Vec::new() })
}

/// Marks an object as being deleted.
fn mark(call: &Call, object: &mut Value) {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return;
    }
    object["metadata"]["deletionTimestamp"] = call.now.clone().into();
    object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    if call.resource.generation {
        let generation = object["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object["metadata"]["generation"] = generation.into();
    }
    if object["kind"] == "Namespace" {
        object["status"]["phase"] = "Terminating".into();
    }
    if object["kind"] == "CustomResourceDefinition" {
        super::kinds::set_condition(
            object,
            "Terminating",
            "True",
            "InstanceDeletionPending",
            "CustomResource deletion is pending",
            &call.now,
        );
    }
}

fn set_propagation(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    let mut finalizers = metadata.get("finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    finalizers.retain(|f| f != "orphan" && f != "foregroundDeletion");
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => finalizers.push("foregroundDeletion".into()),
        Propagation::Orphan => finalizers.push("orphan".into()),
    }
    if finalizers.is_empty() {
        metadata.shift_remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), finalizers.into());
    }
}

fn success(call: &Call, object: &Value) -> Value {
    let mut details = Map::new();
    details.insert("name".into(), call.name.clone().into());
    if !call.resource.group.is_empty() {
        details.insert("group".into(), call.resource.group.clone().into());
    }
    details.insert("kind".into(), call.resource.plural.clone().into());
    details.insert("uid".into(), metadata::text(object, "uid").into());
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// Takes finalizers off an object that is being deleted, removing it when nothing holds it any more.
pub fn release(txn: &mut Txn<'_>, call: &Call, finalizers: &[&str]) {
    let Some(old) = txn.get(&call.key()) else { return };
    let mut object = old.value();
    let mut changed = false;
    let from_spec = object["kind"] == "Namespace";
    let lists = [object.pointer("/metadata/finalizers").cloned(), object.pointer("/spec/finalizers").cloned()];
    for (place, list) in ["metadata", "spec"].into_iter().zip(lists) {
        let Some(Value::Array(list)) = list else { continue };
        if place == "spec" && !from_spec {
            continue;
        }
        let kept: Vec<Value> =
            list.iter().filter(|f| !finalizers.contains(&f.as_str().unwrap_or_default())).cloned().collect();
        if kept.len() != list.len() {
            changed = true;
            if kept.is_empty() {
                admit::remove(&mut object[place], "finalizers");
            } else {
                object[place]["finalizers"] = kept.into();
            }
        }
    }
    if old.deleting && !is_held(&object) {
        txn.delete(call.key(), object);
    } else if changed {
        txn.put(call.key(), object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn propagation_is_kept_as_a_finalizer() {
        let mut object = json!({"metadata": {"finalizers": ["a/b", "orphan"]}});
        set_propagation(&mut object, Some(Propagation::Foreground));
        assert_eq!(object["metadata"]["finalizers"], json!(["a/b", "foregroundDeletion"]));
        set_propagation(&mut object, None);
        assert_eq!(object["metadata"]["finalizers"], json!(["a/b", "foregroundDeletion"]));
        set_propagation(&mut object, Some(Propagation::Background));
        assert_eq!(object["metadata"]["finalizers"], json!(["a/b"]));
    }
}
