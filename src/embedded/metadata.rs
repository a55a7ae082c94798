//! What every object's metadata must look like: shapes, names, labels.
//!
//! Answers with causes as the real server words them; changes nothing but what clients may leave out.
//! Start with [`shape`] and [`check`]. Source: Kubernetes apimachinery validation rules.

use serde_json::{Map, Value};

use super::api_services::API_SERVICES;
use super::catalog::Resource;
use super::schema::Cause;
use super::status::{Failure, cause, invalid_value, required_value};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
/// All annotations of an object together.
const ANNOTATION_BYTES: usize = 256 << 10;

/// The metadata of a body, made when it is missing.
///
/// Errors with 400 when a field has a type it cannot have.
pub fn shape(object: &mut Value) -> Result<&mut Map<String, Value>, Failure> {
    let wrong = |field: &str, wanted: &str| {
        Failure::bad_request(format!("unable to decode the body: {field} must be {wanted}"))
    };
    let Value::Object(fields) = object else { return Err(wrong("the body", "an object")) };
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    let Value::Object(metadata) = metadata else { return Err(wrong("metadata", "an object")) };
    metadata.retain(|_, value| !value.is_null());
    for name in ["name", "namespace", "generateName", "uid", "resourceVersion"] {
        if metadata.get(name).is_some_and(|value| !value.is_string()) {
            return Err(wrong(&format!("metadata.{name}"), "a string"));
        }
    }
    for name in ["labels", "annotations"] {
        match metadata.get(name) {
            None => {}
            Some(Value::Object(map)) => {
                if let Some((key, _)) = map.iter().find(|(_, value)| !value.is_string()) {
                    return Err(wrong(&format!("metadata.{name}.{key}"), "a string"));
                }
            }
            Some(_) => return Err(wrong(&format!("metadata.{name}"), "an object of strings")),
        }
    }
    for (name, of) in [("finalizers", "strings"), ("ownerReferences", "objects"), ("managedFields", "objects")] {
        let fits = |value: &Value| if of == "strings" { value.is_string() } else { value.is_object() };
        match metadata.get(name) {
            None => {}
            Some(Value::Array(items)) if items.iter().all(fits) => {}
            Some(_) => return Err(wrong(&format!("metadata.{name}"), &format!("a list of {of}"))),
        }
    }
    Ok(metadata)
}

/// The text of a metadata field; empty when absent.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Everything wrong with an object's metadata.
pub fn check(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let metadata = &object["metadata"];
    let name = text(object, "name");
    if let Some(why) = bad_name(resource, name) {
        causes.push(invalid_value("metadata.name", &metadata["name"], why));
    } else if name.len() > 253 {
        causes.push(invalid_value("metadata.name", &metadata["name"], "must be no more than 253 bytes"));
    }
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        check_key("metadata.labels", key, &mut causes);
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            causes.push(invalid_value("metadata.labels", value, "must be no more than 63 bytes"));
        } else if !text.is_empty() && !is_word(text, true, "-_.") {
            causes.push(invalid_value("metadata.labels", value, LABEL_VALUE));
        }
    }
    let mut bytes = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        check_key("metadata.annotations", &key.to_lowercase(), &mut causes);
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATION_BYTES {
        let why = format!("Too long: may not be more than {ANNOTATION_BYTES} bytes");
        causes.push(cause("FieldValueTooLong", "metadata.annotations", why));
    }
    for (at, finalizer) in metadata["finalizers"].as_array().into_iter().flatten().enumerate() {
        let known = ["orphan", "foregroundDeletion", "kubernetes"];
        let text = finalizer.as_str().unwrap_or_default();
        if !known.contains(&text) && !text.contains('/') && resource.custom.is_none() && !text.contains('.') {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(invalid_value(format!("metadata.finalizers[{at}]"), finalizer, why));
        }
    }
    check_owners(metadata, &mut causes);
    causes
}

fn check_owners(metadata: &Value, causes: &mut Vec<Cause>) {
    let mut controllers = 0;
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                causes.push(required_value(format!("metadata.ownerReferences.{field}"), "must not be empty"));
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let why = "Only one reference can have Controller set to true";
        causes.push(invalid_value("metadata.ownerReferences", &metadata["ownerReferences"], why));
    }
}

fn check_key(field: &str, key: &str, causes: &mut Vec<Cause>) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let shown = Value::from(key);
    if name.is_empty() || !is_word(name, true, "-_.") {
        causes.push(invalid_value(field, &shown, QUALIFIED));
    } else if name.len() > 63 {
        causes.push(invalid_value(field, &shown, "name part must be no more than 63 bytes"));
    }
    if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        causes.push(invalid_value(field, &shown, &format!("prefix part {SUBDOMAIN}")));
    }
}

fn bad_name(resource: &Resource, name: &str) -> Option<&'static str> {
    match resource.storage.as_ref() {
        storage if storage.starts_with("rbac.authorization.k8s.io/") || storage == API_SERVICES => {
            let bad = matches!(name, "." | "..") || name.contains(['/', '%']);
            bad.then_some("may not contain '/' or '%', nor be '.' or '..'")
        }
        "/namespaces" | "/services" => (!is_label(name)).then_some(LABEL),
        _ => (!is_subdomain(name)).then_some(SUBDOMAIN),
    }
}

fn is_word(text: &str, capitals: bool, inner: &str) -> bool {
    let plain = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || (capitals && c.is_ascii_uppercase());
    let ends = |c: Option<char>| c.is_some_and(plain);
    ends(text.chars().next()) && ends(text.chars().last()) && text.chars().all(|c| plain(c) || inner.contains(c))
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_word(text, false, "-")
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|part| is_word(part, false, "-"))
}

#[cfg(test)]
mod tests {
    use super::super::catalog::Catalog;
    use super::*;
    use serde_json::json;

    fn causes(plural: &str, metadata: Value) -> Vec<String> {
        let catalog = Catalog::new();
        let group = if plural == "roles" { "rbac.authorization.k8s.io" } else { "" };
        let resource = catalog.find(group, "v1", plural).unwrap();
        check(resource, &json!({"metadata": metadata})).into_iter().map(|c| c.field).collect()
    }

    #[test]
    fn names_follow_the_rules_of_their_kind() {
        assert!(causes("configmaps", json!({"name": "kube-root-ca.crt"})).is_empty());
        assert_eq!(causes("namespaces", json!({"name": "a.b"})), ["metadata.name"]);
        assert!(causes("roles", json!({"name": "system:Reader"})).is_empty());
        assert_eq!(causes("configmaps", json!({"name": "A_b"})), ["metadata.name"]);
    }

    #[test]
    fn labels_annotations_and_owners_are_checked() {
        let bad = json!({"name": "a", "labels": {"a b": "c", "d": "-"}, "annotations": {"/x": ""},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]});
        let fields = causes("configmaps", bad);
        for field in ["metadata.labels", "metadata.annotations", "metadata.ownerReferences.uid"] {
            assert!(fields.contains(&field.to_string()), "{field} in {fields:?}");
        }
        assert!(shape(&mut json!({"metadata": {"labels": {"a": 1}}})).is_err());
        assert!(shape(&mut json!({"metadata": 1})).is_err());
    }
}
