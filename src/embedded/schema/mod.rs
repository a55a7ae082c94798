//! What objects look like: the built-in kinds from a checked-in table, custom ones from their definitions.
//!
//! Pure; answers questions about values and never stores one. Start with [`Schema`].

use std::sync::Arc;

use serde_json::Value;

mod alternatives;
mod builtin;
mod cause;
mod definition;
mod fields;
mod formats;
#[cfg(test)]
mod generate;
mod library;
mod lists;
mod native;
pub(in crate::embedded) mod node;
mod openapi;
mod protobuf;
mod rules;
mod structural;
mod validate;

use node::{Arena, NodeId};

pub use cause::Cause;
pub use definition::check_crd;
pub use openapi::{Served, openapi_document};
pub use protobuf::decode_protobuf;
pub use structural::unrecognized_formats;

/// The schema of one kind; cheap to clone.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(in crate::embedded) arena: Arc<Arena>,
    pub(in crate::embedded) root: NodeId,
    /// What a custom resource was declared with, or the name of a built-in type.
    pub(in crate::embedded) source: Source,
}

/// Where a schema came from.
#[derive(Clone, Debug)]
pub(in crate::embedded) enum Source {
    Builtin(Arc<str>),
    Custom(Arc<Value>),
}

/// The schema of a built-in kind; the core group is the empty string.
pub fn builtin(group: &str, version: &str, kind: &str) -> Option<Schema> {
    let table = builtin::table();
    let (name, root) = table.find(group, version, kind)?;
    Some(Schema { arena: table.arena.clone(), root: *root, source: Source::Builtin(name.as_str().into()) })
}

/// The schema of a custom resource's version; without one, every field is kept and merged key by key.
///
/// Errors with every place where the schema is not structural.
pub fn custom(openapi_v3_schema: Option<&Value>, preserve_unknown: bool) -> Result<Schema, Vec<Cause>> {
    let anything = serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let declared = openapi_v3_schema.unwrap_or(&anything);
    if let Some(schema) = openapi_v3_schema {
        let causes = structural::check(schema, "spec.validation.openAPIV3Schema");
        if !causes.is_empty() {
            return Err(causes);
        }
    }
    let mut reader = node::Reader::new(&builtin::table().metadata);
    let root = reader.custom(declared, preserve_unknown);
    Ok(Schema { arena: Arc::new(reader.finish()), root, source: Source::Custom(Arc::new(declared.clone())) })
}

impl Schema {
    /// Whether this is a kind every API server has.
    pub(in crate::embedded) fn is_builtin(&self) -> bool {
        matches!(self.source, Source::Builtin(_))
    }
}
