//! [`Object`]: one object of the cluster as the picture keeps it, small and immutable.

use std::sync::Arc;

use serde_json::Value;

use super::id::split_api_version;
use super::{Id, Stamp};

/// One object as last seen: the head parsed, the body as compact JSON bytes.
///
/// The body stays bytes because ten thousand parsed documents cost five times their text, and a frame needs fifty.
/// Managed fields are gone, and Secret values are already masked (see [`Object::from_value`]).
#[derive(Clone, Debug)]
pub struct Object {
    pub id: Id,
    /// API version within the group, e.g. `v1`.
    pub version: Arc<str>,
    pub uid: Box<str>,
    pub resource_version: Box<str>,
    pub generation: i64,
    pub created: Option<Stamp>,
    /// A deletion was asked for and finalizers hold it.
    pub deleting: bool,
    body: Box<[u8]>,
}

/// Why a document is not an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    #[error("the document has no apiVersion, kind or metadata.name")]
    NoHead,
}

impl Object {
    /// Takes a document in: drops managed fields and masks Secret values for good.
    ///
    /// Errors when it has no apiVersion, kind or name.
    pub fn from_value(mut value: Value) -> Result<Self, ObjectError> {
        let id = Id::of(&value).ok_or(ObjectError::NoHead)?;
        mask_secret(&mut value);
        let api_version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let version = split_api_version(api_version).1.into();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.shift_remove("managedFields");
        }
        let metadata = &value["metadata"];
        let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
        Ok(Object {
            version,
            uid: text("uid").into(),
            resource_version: text("resourceVersion").into(),
            generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or_default(),
            created: text("creationTimestamp").parse().ok(),
            deleting: metadata.get("deletionTimestamp").is_some_and(|at| !at.is_null()),
            // Copied, because shrinking the grown buffer in place would leave a hole behind each object.
            body: value.to_string().as_bytes().into(),
            id,
        })
    }

    /// The whole document, parsed anew: ask once per object and frame.
    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Size of the kept document in bytes.
    pub fn size_bytes(&self) -> usize {
        self.body.len()
    }
}

/// Replaces the values of a Secret by their length, in data, stringData and the last-applied annotation.
fn mask_secret(value: &mut Value) {
    if value["kind"] != "Secret" || value["apiVersion"] != "v1" {
        return;
    }
    for field in ["data", "stringData"] {
        for (_, kept) in value.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten() {
            let length = kept.as_str().map_or(0, str::len);
            *kept = Value::String(format!("*** ({length} characters)"));
        }
    }
    if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secret_values_never_enter_the_picture() {
        let object = Object::from_value(json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "s", "managedFields": [{}], "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"k\":\"Y2FuYXJ5\"}}"}},
            "data": {"k": "Y2FuYXJ5"}, "stringData": {"p": "canary"}}))
        .unwrap();
        let kept = object.body().to_string();
        assert!(!kept.contains("canary") && !kept.contains("Y2FuYXJ5"), "{kept}");
        assert!(kept.contains("*** (8 characters)"));
        assert!(!kept.contains("managedFields"));
    }
}
