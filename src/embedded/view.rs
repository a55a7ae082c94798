//! How a stored object is shown: in the version asked for, whole, bare, as metadata or as a table row.
//!
//! Versions that differ in shape are in `convert.rs`. Start with [`Form`] and [`write`].

use serde_json::{Value, json};

use super::catalog::Resource;
use super::convert::Shape;
use super::object::Stored;
use super::status::Failure;

/// What shape an answer shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Yaml,
    Table,
    Metadata,
}

impl Form {
    /// The first form of an Accept header that can be given.
    ///
    /// Errors with 406 when there is none.
    pub fn negotiate(accept: &str) -> Result<Form, Failure> {
        if accept.trim().is_empty() {
            return Ok(Form::Json);
        }
        for clause in accept.split(',') {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let parameters: Vec<&str> = parts.collect();
            let shape = parameters.iter().find_map(|p| p.strip_prefix("as="));
            match (media, shape) {
                ("application/json" | "*/*" | "application/*", None) => return Ok(Form::Json),
                ("application/yaml", None) => return Ok(Form::Yaml),
                ("application/json", Some("Table")) if !parameters.contains(&"v=v1beta1") => return Ok(Form::Table),
                ("application/json", Some("PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                    return Ok(Form::Metadata);
                }
                _ => {}
            }
        }
        Err(Failure::new(
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml",
        ))
    }
}

/// Writes an object in the version of a resource; `bare` leaves out kind and apiVersion.
pub fn write(resource: &Resource, stored: &Stored, bare: bool, out: &mut Vec<u8>) {
    if resource.shape != Shape::Same || is_outgrown(resource, stored) {
        let text = value(resource, stored).to_string();
        out.extend_from_slice(text.as_bytes());
    } else if bare {
        stored.write_bare(out);
    } else {
        stored.write_as(&resource.kind, &resource.api_version(), out);
    }
}

/// The object as a value, in the version of a resource.
pub fn value(resource: &Resource, stored: &Stored) -> Value {
    let mut object = shown(resource, stored.value());
    if is_outgrown(resource, stored) {
        resource.schema.prune(&mut object);
        // Defaults come from the version that is stored, not from the one that is asked for.
        if stored.is_of(&resource.kind, &resource.api_version()) {
            resource.schema.default(&mut object);
        }
    }
    object
}

/// Whether a custom resource was stored under another schema than the one it is read by.
fn is_outgrown(resource: &Resource, stored: &Stored) -> bool {
    resource.custom.as_ref().is_some_and(|custom| {
        stored.revision < custom.since
            || (custom.is_one_of_many && !stored.is_of(&resource.kind, &resource.api_version()))
    })
}

/// A stored value in the version of a resource.
pub fn shown(resource: &Resource, mut object: Value) -> Value {
    resource.shape.show(&mut object);
    object["apiVersion"] = resource.api_version().into();
    object
}

/// A value in the version of a resource, as it is stored.
pub fn stored_shape(resource: &Resource, mut object: Value) -> Value {
    if let Some(version) = resource.shape.store(&mut object) {
        object["apiVersion"] = version.into();
    }
    object
}

/// The metadata of an object, as clients that watch metadata alone want it.
pub fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_can_be_given_is_given() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(Form::negotiate(table), Ok(Form::Table));
        assert_eq!(Form::negotiate("application/vnd.kubernetes.protobuf,application/json"), Ok(Form::Json));
        assert_eq!(
            Form::negotiate("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            Ok(Form::Metadata)
        );
        assert_eq!(Form::negotiate("application/vnd.kubernetes.protobuf").unwrap_err().code, 406);
    }
}
