//! What a create and an update must go through before they are stored: the rules of all kinds.
//!
//! Works on values, against the state the writer sees; hooks of single kinds are in `kinds.rs`.
//! Start with [`admit_new`] and [`admit_change`].

use rand::Rng as _;
use serde_json::{Map, Value};

use super::catalog::{Custom, Resource};
use super::object::Key;
use super::patch::{self, Write};
use super::request::Options;
use super::schema::Cause;
use super::status::{Failure, cause, invalid_value, required_value};
use super::store::Txn;
use super::write::Call;
use super::{kinds, metadata, strict, view};

/// Checks that a body is of the kind its path says, and fills in what may be left out.
///
/// Errors with 400.
pub fn check_kind(resource: &Resource, body: &mut Value) -> Result<(), Failure> {
    let Value::Object(fields) = body else {
        return Err(Failure::bad_request("the body of the request is not an object"));
    };
    let wanted = [("apiVersion", resource.api_version()), ("kind", resource.kind.clone())];
    for (field, wanted) in wanted {
        match fields.get(field).and_then(Value::as_str) {
            None | Some("") if resource.custom.is_none() => {
                fields.insert(field.into(), wanted.into());
            }
            None | Some("") => {
                return Err(Failure::bad_request(format!("Object '{}' is missing in the body", capital(field))));
            }
            Some(given) if given == wanted => {}
            Some(given) => {
                let what = if field == "kind" { "kind" } else { "API version" };
                return Err(Failure::bad_request(format!(
                    "the {what} in the data ({given}) does not match the expected {what} ({wanted})"
                )));
            }
        }
    }
    Ok(())
}

fn capital(field: &str) -> &'static str {
    if field == "kind" { "Kind" } else { "apiVersion" }
}

/// Checks that name and namespace of a body agree with its path, and sets the namespace.
///
/// Errors with 400.
pub fn check_place(call: &Call, body: &mut Value) -> Result<(), Failure> {
    let metadata = metadata::shape(body)?;
    if call.resource.namespaced {
        match metadata.get("namespace").and_then(Value::as_str) {
            None | Some("") => {
                metadata.insert("namespace".into(), call.namespace.clone().into());
            }
            Some(given) if given == call.namespace => {}
            Some(_) => {
                return Err(Failure::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
        }
    } else {
        metadata.shift_remove("namespace");
    }
    let given = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    if !call.name.is_empty() && given != call.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            call.name
        )));
    }
    Ok(())
}

/// Makes a body a new object. `applied` bodies bring their managed fields.
///
/// Errors as the real server does: names, namespaces, unknown fields, validation.
pub fn admit_new(
    txn: &Txn<'_>,
    call: &Call,
    body: &mut Value,
    applied: bool,
    warnings: &mut Vec<String>,
) -> Result<Key, Failure> {
    let resource = &call.resource;
    check_kind(resource, body)?;
    strict::check_readable(resource, body)?;
    strict::check_unknown(resource, body, &call.options, warnings)?;
    check_place(call, body)?;
    let fields = metadata::shape(body)?;
    if fields.get("resourceVersion").is_some_and(|v| v != "") {
        return Err(Failure::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let key = choose_name(txn, call, fields)?;
    check_namespace(txn, call, &key)?;
    for field in ["resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        fields.shift_remove(field);
    }
    if !applied {
        fields.shift_remove("managedFields");
    }
    fields.insert("uid".into(), new_uid().into());
    fields.insert("creationTimestamp".into(), call.now.clone().into());
    if resource.generation {
        fields.insert("generation".into(), 1.into());
    }
    if resource.status {
        remove(body, "status");
    }
    kinds::at_create(txn, call, body)?;
    let mut causes = metadata::check(resource, body);
    causes.extend(fit(resource, body, None, warnings));
    causes.extend(kinds::check(resource, body, None));
    refuse(resource, body, causes)?;
    if txn.get(&key).is_some() {
        return Err(Failure::already_exists(&resource.plural, &resource.group, &key.name));
    }
    if !applied {
        track(call, None, body);
    }
    Ok(key)
}

/// Makes `new` the next version of `old`, or tells why it cannot be.
///
/// Both are in the version of the call. Errors with 409 for a precondition, 422 for validation.
pub fn admit_change(
    call: &Call,
    old: &Value,
    new: &mut Value,
    applied: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let resource = &call.resource;
    check_kind(resource, new)?;
    strict::check_unknown(resource, new, &call.options, warnings)?;
    check_place(call, new)?;
    check_preconditions(resource, old, new)?;
    let fields = metadata::shape(new)?;
    fields.shift_remove("selfLink");
    for field in
        ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"]
    {
        match old["metadata"].get(field) {
            Some(value) => fields.insert(field.into(), value.clone()),
            None => fields.shift_remove(field),
        };
    }
    keep_other_half(call, old, new);
    kinds::at_update(resource, call.subresource, old, new, &call.now);
    let mut causes = metadata::check(resource, new);
    causes.extend(new_finalizers(old, new));
    causes.extend(fit(resource, new, Some(old), warnings));
    match call.subresource {
        "" | "scale" => causes.extend(kinds::check(resource, new, Some(old))),
        part => causes.extend(kinds::check_part(resource, part, new, old)),
    }
    refuse(resource, new, causes)?;
    if !applied {
        track(call, Some(old), new);
    }
    if resource.generation && content_changed(resource, old, new) {
        let next = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        new["metadata"]["generation"] = next.into();
    }
    Ok(())
}

/// The main resource keeps the stored status; a subresource keeps everything else.
fn keep_other_half(call: &Call, old: &Value, new: &mut Value) {
    match call.subresource {
        "" | "scale" if call.resource.status => keep(old, new, "status"),
        "status" => {
            let (status, owners) = (new.get("status").cloned(), new["metadata"].get("managedFields").cloned());
            *new = old.clone();
            set_or_remove(new, "status", status);
            set_or_remove(&mut new["metadata"], "managedFields", owners);
        }
        "approval" => {
            keep(old, new, "spec");
            let certificate = old["status"].get("certificate").cloned();
            if new["status"].is_object() {
                set_or_remove(&mut new["status"], "certificate", certificate);
            } else {
                keep(old, new, "status");
            }
        }
        "ephemeralcontainers" => {
            let containers = new["spec"].get("ephemeralContainers").cloned();
            keep(old, new, "spec");
            keep(old, new, "status");
            set_or_remove(&mut new["spec"], "ephemeralContainers", containers);
        }
        "finalize" => {
            let finalizers = new["spec"].get("finalizers").cloned();
            *new = old.clone();
            if new["spec"].is_null() {
                new["spec"] = Value::Object(Map::new());
            }
            set_or_remove(&mut new["spec"], "finalizers", finalizers);
        }
        _ => {}
    }
}

fn keep(old: &Value, new: &mut Value, field: &str) {
    set_or_remove(new, field, old.get(field).cloned());
}

fn set_or_remove(object: &mut Value, field: &str, value: Option<Value>) {
    match value {
        Some(value) => object[field] = value,
        None => remove(object, field),
    }
}

/// Removes a top-level field, keeping the order of the others.
pub fn remove(object: &mut Value, field: &str) {
    if let Value::Object(fields) = object {
        fields.shift_remove(field);
    }
}

fn choose_name(txn: &Txn<'_>, call: &Call, fields: &mut Map<String, Value>) -> Result<Key, Failure> {
    let resource = &call.resource;
    let key = |name: &str| Key::new(&resource.storage, &call.namespace, name);
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default().to_string();
    let (name, prefix) = (text("name"), text("generateName"));
    if !name.is_empty() {
        return Ok(key(&name));
    }
    if prefix.is_empty() {
        let causes = vec![required_value("metadata.name", "name or generateName is required")];
        return Err(Failure::invalid(&resource.kind, &resource.group, "", causes));
    }
    // Source: apiserver names.SimpleNameGenerator: five letters, none of which can make a word.
    let letters = b"bcdfghjklmnpqrstvwxz2456789";
    let base: String = prefix.chars().take(58).collect();
    let mut last = String::new();
    for _ in 0..8 {
        let mut random = rand::rng();
        let end: String = (0..5).map(|_| letters[random.random_range(0..letters.len())] as char).collect();
        last = format!("{base}{end}");
        let key = key(&last);
        if txn.get(&key).is_none() {
            fields.insert("name".into(), last.into());
            return Ok(key);
        }
    }
    Err(Failure::already_exists(&resource.plural, &resource.group, &last).retry_after(1))
}

fn check_namespace(txn: &Txn<'_>, call: &Call, key: &Key) -> Result<(), Failure> {
    if !call.resource.namespaced {
        return Ok(());
    }
    let namespace = txn.get(&Key::new(&"/namespaces".into(), "", &call.namespace));
    let Some(namespace) = namespace else { return Err(Failure::not_found("namespaces", "", &call.namespace)) };
    if !namespace.deleting {
        return Ok(());
    }
    let ns = &call.namespace;
    let why = format!("unable to create new content in namespace {ns} because it is being terminated");
    let because = cause("NamespaceTerminating", "metadata.namespace", format!("namespace {ns} is being terminated"));
    Err(Failure::forbidden(&call.resource.plural, &call.resource.group, &key.name, &why).with_causes(vec![because]))
}

fn check_preconditions(resource: &Resource, old: &Value, new: &Value) -> Result<(), Failure> {
    let (name, given) = (metadata::text(old, "name"), metadata::text(new, "resourceVersion"));
    let conflict = |why: &str| Failure::conflict(&resource.plural, &resource.group, name, why);
    if !given.is_empty() && given != metadata::text(old, "resourceVersion") {
        return Err(conflict(
            "the object has been modified; please apply your changes to the latest version and try again",
        ));
    }
    let (uid, given) = (metadata::text(old, "uid"), metadata::text(new, "uid"));
    if !given.is_empty() && given != uid {
        return Err(conflict(&format!("Precondition failed: UID in precondition: {given}, UID in object meta: {uid}")));
    }
    Ok(())
}

fn new_finalizers(old: &Value, new: &Value) -> Vec<Cause> {
    if old["metadata"]["deletionTimestamp"].is_null() {
        return Vec::new();
    }
    let list = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let before = list(old);
    let added: Vec<Value> = list(new).into_iter().filter(|f| !before.contains(f)).collect();
    if added.is_empty() {
        return Vec::new();
    }
    let why = format!(
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {}",
        Value::from(added)
    );
    vec![cause("FieldValueForbidden", "metadata.finalizers", why)]
}

/// Holds an object to its schema: pruning, defaults, and everything that is wrong then.
fn fit(resource: &Resource, new: &mut Value, old: Option<&Value>, warnings: &mut Vec<String>) -> Vec<Cause> {
    resource.schema.prune(new);
    resource.schema.default(new);
    if let Some(Custom { broken: Some(why), .. }) = &resource.custom {
        warnings.push(format!("the schema of {} cannot be used, so nothing is validated: {why}", resource.kind));
    }
    resource.schema.validate(new, old)
}

/// Refuses with 422 when there are causes.
pub fn refuse(resource: &Resource, object: &Value, causes: Vec<Cause>) -> Result<(), Failure> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(&resource.kind, &resource.group, metadata::text(object, "name"), causes))
}

/// A custom resource must say which version it replaces.
pub fn check_replaceable(resource: &Resource, body: &Value) -> Result<(), Failure> {
    if resource.custom.is_some() && metadata::text(body, "resourceVersion").is_empty() {
        let causes = vec![invalid_value("metadata.resourceVersion", &0.into(), "must be specified for an update")];
        return refuse(resource, body, causes);
    }
    Ok(())
}

fn track(call: &Call, old: Option<&Value>, new: &mut Value) {
    let api_version = call.resource.api_version();
    patch::track(old, new, &call.write(&api_version), &call.resource.schema);
}

fn content_changed(resource: &Resource, old: &Value, new: &Value) -> bool {
    let is_content = |key: &str| key != "metadata" && !(key == "status" && resource.status);
    let count = |object: &Value| object.as_object().map_or(0, |o| o.keys().filter(|k| is_content(k)).count());
    count(old) != count(new)
        || new.as_object().into_iter().flatten().any(|(key, value)| is_content(key) && old.get(key) != Some(value))
}

/// Whether two versions of an object differ in nothing but resource version and the times of managed fields.
pub fn is_same(old: &Value, new: &Value) -> bool {
    fn timeless(object: &Value) -> Value {
        let mut object = object.clone();
        remove(&mut object["metadata"], "resourceVersion");
        for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            remove(entry, "time");
        }
        object
    }
    timeless(old) == timeless(new)
}

/// A random (version 4) UUID.
pub fn new_uid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

/// The object of a call as it is stored.
pub fn stored_shape(call: &Call, object: Value) -> Value {
    view::stored_shape(&call.resource, object)
}

impl Call {
    /// Who writes, for the managed fields.
    pub fn write<'a>(&'a self, api_version: &'a str) -> Write<'a> {
        let Options { owner, force, .. } = &self.options;
        Write { manager: owner, api_version, subresource: self.subresource, now: &self.now, force: *force }
    }
}
