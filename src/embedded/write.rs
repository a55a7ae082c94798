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
use super::request::Options;
use super::schema::Cause;
use super::status::{Failure, cause, required_value};
use super::store::Txn;
use super::{metadata, scale, view};

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
        let (Patch::Json(body) | Patch::Merge(body) | Patch::Strategic(body) | Patch::Apply(body)) = &patch;
        let changed = if matches!(patch, Patch::Json(_)) {
            patch::json(&scale, body).map_err(refused)?
        } else {
            patch::merge(&scale, body)
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
        Patch::Json(operations) => patch::json(&shown, operations),
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
        PatchError::Unprocessable(why) => {
            let causes = vec![cause("FieldValueInvalid", "patch", why)];
            Failure::invalid(&call.resource.kind, &call.resource.group, &call.name, causes)
        }
        other => refused(other),
    })?;
    keep_version_when_untouched(&mut changed, &shown);
    update(txn, call, &old, &shown, changed, false, Vec::new())
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
    admit::check_unknown(resource, &body, &call.options, &mut warnings)?;
    if !warnings.is_empty() {
        resource.schema.prune(&mut body);
    }
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
    let mut new = applied.map_err(|error| refused_apply(call, error))?;
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

fn check_apply(call: &Call, body: &mut Value) -> Result<(), Failure> {
    if call.options.given_owner.is_empty() {
        let causes = vec![required_value("fieldManager", "is required for apply patch")];
        return Err(Failure::invalid("PatchOptions", "meta.k8s.io", "", causes));
    }
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
        Some(shown) if !uid.is_empty() && uid != metadata::text(shown, "uid") => conflict(&format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            metadata::text(shown, "uid")
        )),
        _ => Ok(()),
    }
}

fn refused_apply(call: &Call, error: ApplyError) -> Failure {
    match error {
        ApplyError::Malformed(why) => Failure::bad_request(why),
        ApplyError::Invalid(why) => Failure::new(422, "Invalid", why),
        ApplyError::Conflict(fields) => {
            let count = fields.len();
            let text = match fields.as_slice() {
                [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
                many => {
                    let mut text = format!("Apply failed with {count} conflicts: ");
                    let lines = many.iter().map(|c| format!("{}:\n- {}", c.message, c.field));
                    text.push_str(&lines.collect::<Vec<_>>().join("\n"));
                    text
                }
            };
            let causes: Vec<Cause> =
                fields.into_iter().map(|c| cause("FieldManagerConflict", c.field, c.message)).collect();
            let _ = call;
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
