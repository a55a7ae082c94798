//! The writes: create, replace, the four patches, and what they share.
//!
//! Each is a function that runs in the store's writer, against the newest state, so patches need no retry.
//! Rules are in `admit.rs`, deletion is in `delete.rs`. Start with [`create`], [`replace`] and [`patch`].

use std::sync::Arc;

use serde_json::Value;

use super::admit::{self, admit_change, admit_new, is_same};
use super::catalog::{DEFINITIONS, Resource};
use super::object::{Key, Stored};
use super::patch::{self, ApplyError, PatchError};
use super::request::{Options, Validation};
use super::schema::Cause;
use super::status::{Failure, cause, invalid_value, required_value};
use super::store::Txn;
use super::{metadata, scale, strict, view};

/// What is written to, by whom, when.
#[derive(Clone, Debug)]
pub struct Call {
    pub resource: Arc<Resource>,
    pub namespace: String,
    /// Empty for a create.
    pub name: String,
    /// Empty, `status`, `scale` or `finalize`.
    pub subresource: &'static str,
    pub options: Options,
    /// RFC 3339, whole seconds.
    pub now: String,
}

impl Call {
    /// Where the object is stored.
    pub fn key(&self) -> Key {
        Key::new(&self.resource.storage, &self.namespace, &self.name)
    }

    /// 404 for the object of this call.
    pub fn not_found(&self) -> Failure {
        Failure::not_found(&self.resource.plural, &self.resource.group, &self.name)
    }
}

/// What a write came to.
#[derive(Debug)]
pub struct Done {
    pub code: u16,
    /// In the version of the call.
    pub object: Value,
    pub warnings: Vec<String>,
}

/// The four ways to patch.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

/// Refuses when the kind is no longer served: its definition may have gone while the write waited.
pub fn check_served(txn: &Txn<'_>, resource: &Resource) -> Result<(), Failure> {
    let served =
        resource.custom.is_none() || txn.catalog().find(&resource.group, &resource.version, &resource.plural).is_some();
    if served { Ok(()) } else { Err(Failure::no_such_resource()) }
}

/// Nothing new may come of a definition that is being deleted.
fn check_definition_stays(txn: &Txn<'_>, resource: &Resource) -> Result<(), Failure> {
    let Some(custom) = &resource.custom else { return Ok(()) };
    match txn.get(&Key::new(&DEFINITIONS.into(), "", &custom.definition)) {
        Some(definition) if definition.deleting => {
            Err(Failure::method_not_allowed("create not allowed while custom resource definition is terminating"))
        }
        _ => Ok(()),
    }
}

/// Creates an object.
///
/// Errors as `admit_new`; nothing is stored then, nor in a dry run.
pub fn create(txn: &mut Txn<'_>, call: &Call, body: Value) -> Result<Done, Failure> {
    create_from(txn, call, body, false, Vec::new())
}

fn create_from(
    txn: &mut Txn<'_>,
    call: &Call,
    mut body: Value,
    applied: bool,
    mut warnings: Vec<String>,
) -> Result<Done, Failure> {
    check_served(txn, &call.resource)?;
    check_definition_stays(txn, &call.resource)?;
    let key = admit_new(txn, call, &mut body, applied, &mut warnings)?;
    let object = if call.options.dry_run {
        body
    } else {
        let stored = txn.put(key, admit::stored_shape(call, body));
        view::value(&call.resource, &stored)
    };
    Ok(Done { code: 201, object, warnings })
}

/// Replaces an object, or its status.
///
/// Errors with 404 when it is not there, 409 when the body is of an older version, and as `admit_change`.
pub fn replace(txn: &mut Txn<'_>, call: &Call, mut body: Value) -> Result<Done, Failure> {
    check_served(txn, &call.resource)?;
    let old = txn.get(&call.key());
    // A lease is often written by someone who does not know whether it is there.
    if old.is_none() && call.subresource.is_empty() && call.resource.storage.as_ref() == "coordination.k8s.io/leases" {
        return create(txn, call, body);
    }
    let old = old.ok_or_else(|| call.not_found())?;
    if call.subresource == "scale" {
        let shown = view::value(&call.resource, &old);
        let body = scale::into_object(&call.resource, &shown, &body)?;
        let done = update(txn, call, &old, &shown, body, false, Vec::new())?;
        return scale::answer(&call.resource, done);
    }
    admit::check_kind(&call.resource, &mut body)?;
    strict::check_readable(&call.resource, &body)?;
    admit::check_replaceable(&call.resource, &body)?;
    let shown = view::value(&call.resource, &old);
    update(txn, call, &old, &shown, body, false, Vec::new())
}

/// Patches an object, its status or its scale; an apply creates what is not there.
///
/// Errors with the code of the patch, and as [`replace`].
pub fn patch(txn: &mut Txn<'_>, call: &Call, patch: Patch) -> Result<Done, Failure> {
    check_served(txn, &call.resource)?;
    let old = txn.get(&call.key());
    let shown = old.as_ref().map(|old| view::value(&call.resource, old));
    if call.subresource == "scale" {
        let (Some(old), Some(shown)) = (old, shown) else { return Err(call.not_found()) };
        let scale = scale::of(&call.resource, &shown)?;
        let changed = match &patch {
            Patch::Apply(body) => return apply_scale(txn, call, &old, &shown, body),
            Patch::Json(body) => patch::json(&scale, body).map_err(refused)?,
            Patch::Merge(body) | Patch::Strategic(body) => patch::merge(&scale, body),
        };
        let object = scale::into_object(&call.resource, &shown, &changed)?;
        let done = update(txn, call, &old, &shown, object, false, Vec::new())?;
        return scale::answer(&call.resource, done);
    }
    if let Patch::Apply(body) = patch {
        return apply(txn, call, old, shown, body);
    }
    let (Some(old), Some(shown)) = (old, shown) else { return Err(call.not_found()) };
    let changed = match &patch {
        Patch::Json(operations) => patch::json(&with_status(call, &shown), operations),
        Patch::Merge(body) => object_patch(body).map(|()| patch::merge(&shown, body)),
        Patch::Strategic(_) if call.resource.custom.is_some() => Err(PatchError::Unsupported(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
                .into(),
        )),
        Patch::Strategic(body) => {
            object_patch(body).and_then(|()| patch::strategic(&shown, body, &call.resource.schema))
        }
        Patch::Apply(_) => Err(PatchError::Malformed("an apply is no patch of this kind".into())),
    };
    let mut changed = changed.map_err(|error| match error {
        PatchError::Unprocessable(why) => unfit_patch(call, why),
        other => refused(other),
    })?;
    if changed["status"].as_object().is_some_and(serde_json::Map::is_empty) && shown.get("status").is_none() {
        admit::remove(&mut changed, "status");
    }
    keep_version_when_untouched(&mut changed, &shown);
    check_patched(call, &shown, &mut changed)?;
    update(txn, call, &old, &shown, changed, false, Vec::new())
}

/// Built-in kinds that have a status always have one for a patch, be it empty.
fn with_status(call: &Call, shown: &Value) -> Value {
    let mut object = shown.clone();
    if call.resource.status && call.resource.custom.is_none() && object.get("status").is_none() {
        object["status"] = serde_json::json!({});
    }
    object
}

fn unfit_patch(call: &Call, why: String) -> Failure {
    let causes = vec![cause("FieldValueInvalid", "patch", why)];
    Failure::invalid(&call.resource.kind, &call.resource.group, &call.name, causes)
}

/// What would be 400 in a body is 422 in what a patch makes of an object.
fn check_patched(call: &Call, shown: &Value, changed: &mut Value) -> Result<(), Failure> {
    let resource = &call.resource;
    let unfit = |failure: Failure| unfit_patch(call, failure.message);
    admit::check_kind(resource, changed).map_err(unfit)?;
    if let Some(why) = resource.schema.unreadable(changed) {
        return Err(unfit_patch(call, why));
    }
    if call.options.validation == Validation::Strict {
        strict::check_unknown(resource, changed, &call.options, &mut Vec::new()).map_err(unfit)?;
    }
    check_uid(call, shown, changed)
}

/// Nobody changes a uid.
fn check_uid(call: &Call, shown: &Value, new: &Value) -> Result<(), Failure> {
    let given = metadata::text(new, "uid");
    if given.is_empty() || given == metadata::text(shown, "uid") {
        return Ok(());
    }
    let causes = vec![invalid_value("metadata.uid", &given.into(), "field is immutable")];
    Err(Failure::invalid(&call.resource.kind, &call.resource.group, &call.name, causes))
}

/// An apply of a scale is an apply of the replicas alone.
fn apply_scale(
    txn: &mut Txn<'_>,
    call: &Call,
    old: &Arc<Stored>,
    shown: &Value,
    body: &Value,
) -> Result<Done, Failure> {
    check_owner(call)?;
    let resource = &call.resource;
    let head = serde_json::json!({"apiVersion": resource.api_version(), "kind": resource.kind,
        "metadata": {"name": call.name}});
    let body = scale::into_object(resource, &head, body)?;
    let api_version = resource.api_version();
    let applied = patch::apply(Some(shown), &body, &call.write(&api_version), &resource.schema);
    let new = applied.map_err(refused_apply)?;
    let done = update(txn, call, old, shown, new, true, Vec::new())?;
    scale::answer(resource, done)
}

fn object_patch(body: &Value) -> Result<(), PatchError> {
    if body.is_object() { Ok(()) } else { Err(PatchError::Malformed("the patch is not an object".into())) }
}

/// A patch that removes the version or uid has no precondition.
fn keep_version_when_untouched(changed: &mut Value, shown: &Value) {
    for field in ["resourceVersion", "uid"] {
        if changed["metadata"].is_object() && metadata::text(changed, field).is_empty() {
            changed["metadata"][field] = shown["metadata"][field].clone();
        }
    }
}

fn refused(error: PatchError) -> Failure {
    match error {
        PatchError::Malformed(why) => Failure::bad_request(why),
        PatchError::Unprocessable(why) => Failure::new(422, "Invalid", why),
        PatchError::TooLarge(why) => Failure::new(413, "RequestEntityTooLarge", why),
        PatchError::Unsupported(why) => Failure::new(415, "UnsupportedMediaType", why),
    }
}

fn apply(
    txn: &mut Txn<'_>,
    call: &Call,
    old: Option<Arc<Stored>>,
    shown: Option<Value>,
    mut body: Value,
) -> Result<Done, Failure> {
    let resource = &call.resource;
    check_apply(call, &mut body)?;
    let mut warnings = Vec::new();
    // Unknown fields are found by the merge, which refuses them under every validation.
    strict::check_twice(resource, &call.options, &mut warnings)?;
    check_apply_preconditions(call, shown.as_ref(), &body)?;
    match (call.subresource, resource.status) {
        ("status", _) => only(&mut body, "status"),
        ("", true) => admit::remove(&mut body, "status"),
        _ => {}
    }
    if old.is_none() && !call.subresource.is_empty() {
        return Err(call.not_found());
    }
    let api_version = resource.api_version();
    let applied = patch::apply(shown.as_ref(), &body, &call.write(&api_version), &resource.schema);
    let mut new = applied.map_err(refused_apply)?;
    let (Some(old), Some(shown)) = (old, shown) else { return create_from(txn, call, new, true, warnings) };
    for field in ["resourceVersion", "uid"] {
        new["metadata"][field] = shown["metadata"][field].clone();
    }
    update(txn, call, &old, &shown, new, true, warnings)
}

fn only(body: &mut Value, field: &str) {
    if let Value::Object(fields) = body {
        fields.retain(|key, _| matches!(key.as_str(), "apiVersion" | "kind" | "metadata") || key == field);
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.retain(|key, _| matches!(key.as_str(), "name" | "namespace" | "uid" | "resourceVersion"));
        }
    }
}

fn check_owner(call: &Call) -> Result<(), Failure> {
    if call.options.given_owner.is_empty() {
        let causes = vec![required_value("fieldManager", "is required for apply patch")];
        return Err(Failure::invalid("PatchOptions", "meta.k8s.io", "", causes));
    }
    Ok(())
}

fn check_apply(call: &Call, body: &mut Value) -> Result<(), Failure> {
    check_owner(call)?;
    for field in ["apiVersion", "kind"] {
        if body[field].as_str().unwrap_or_default().is_empty() {
            return Err(Failure::bad_request(format!(
                "invalid object type: /, Kind=: {field} must be set in an apply"
            )));
        }
    }
    admit::check_kind(&call.resource, body)?;
    let metadata = metadata::shape(body)?;
    // An apply of the status may leave the name to the path.
    metadata.entry("name").or_insert_with(|| call.name.clone().into());
    if metadata.contains_key("managedFields") {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    admit::check_place(call, body)
}

fn check_apply_preconditions(call: &Call, shown: Option<&Value>, body: &Value) -> Result<(), Failure> {
    let Call { resource, name, .. } = call;
    let conflict = |why: &str| Err(Failure::conflict(&resource.plural, &resource.group, name, why));
    let (version, uid) = (metadata::text(body, "resourceVersion"), metadata::text(body, "uid"));
    match shown {
        None if !uid.is_empty() => conflict(&format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        )),
        Some(shown) if !version.is_empty() && version != metadata::text(shown, "resourceVersion") => {
            conflict("the object has been modified; please apply your changes to the latest version and try again")
        }
        Some(shown) => check_uid(call, shown, body),
        None => Ok(()),
    }
}

fn refused_apply(error: ApplyError) -> Failure {
    let text = error.to_string();
    match error {
        ApplyError::Malformed(why) => Failure::bad_request(why),
        // The real server has no code of its own for it.
        ApplyError::Invalid(why) => Failure::new(500, "", why),
        ApplyError::Conflict(fields) => {
            let causes: Vec<Cause> =
                fields.into_iter().map(|c| cause("FieldManagerConflict", c.field, c.message)).collect();
            Failure::new(409, "Conflict", text).with_causes(causes)
        }
    }
}

/// Stores the next version of an object, unless it is the same; the last finalizer's removal removes the object.
fn update(
    txn: &mut Txn<'_>,
    call: &Call,
    old: &Arc<Stored>,
    shown: &Value,
    mut new: Value,
    applied: bool,
    mut warnings: Vec<String>,
) -> Result<Done, Failure> {
    admit_change(call, shown, &mut new, applied, &mut warnings)?;
    if is_same(shown, &new) {
        return Ok(Done { code: 200, object: shown.clone(), warnings });
    }
    if call.options.dry_run {
        return Ok(Done { code: 200, object: new, warnings });
    }
    let stored = if old.deleting && !is_held(&new) {
        txn.delete(call.key(), admit::stored_shape(call, new))
    } else {
        txn.put(call.key(), admit::stored_shape(call, new))
    };
    Ok(Done { code: 200, object: view::value(&call.resource, &stored), warnings })
}

/// Whether something still has to happen before a deleted object may go.
pub fn is_held(object: &Value) -> bool {
    let any = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    any(&object["metadata"]["finalizers"]) || (object["kind"] == "Namespace" && any(&object["spec"]["finalizers"]))
}
