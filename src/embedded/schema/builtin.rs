//! The table of built-in types: read once from the checked-in data, shared by all schemas.
//!
//! Data: `assets/schema`, written by `generate.rs` from the OpenAPI v3 documents of one Kubernetes release.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::node::{Arena, NodeId, Reader};

/// All built-in types.
pub struct Builtin {
    pub arena: Arc<Arena>,
    /// `group/version/Kind` to its type's name and root.
    kinds: HashMap<String, (String, NodeId)>,
    /// The release the data came from.
    pub source: String,
    /// The types of `metadata`, which every custom resource shares.
    pub metadata: Map<String, Value>,
}

/// The table, read at the first question.
pub fn table() -> &'static Builtin {
    static TABLE: OnceLock<Builtin> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut document = types();
        // Every server asks for it, though its schema does not.
        for name in ["Container", "EphemeralContainer"] {
            if let Some(required) = document["schemas"][format!("io.k8s.api.core.v1.{name}")]["required"].as_array_mut()
            {
                required.push("image".into());
            }
        }
        let empty = Map::new();
        let schemas = document["schemas"].as_object().unwrap_or(&empty);
        let mut reader = Reader::new(schemas);
        let mut kinds = HashMap::new();
        for (name, schema) in schemas {
            let root = reader.named(name);
            for gvk in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let part = |key: &str| gvk[key].as_str().unwrap_or_default();
                let key = format!("{}/{}/{}", part("group"), part("version"), part("kind"));
                kinds.insert(key, (name.clone(), root));
            }
        }
        let source = document["source"].as_str().unwrap_or_default().to_string();
        let is_metadata = |name: &str| name.starts_with("io.k8s.apimachinery.pkg.apis.meta.v1.");
        let metadata = schemas.iter().filter(|(name, _)| is_metadata(name));
        let metadata = metadata.map(|(name, schema)| (name.clone(), schema.clone())).collect();
        Builtin { arena: Arc::new(reader.finish()), kinds, source, metadata }
    })
}

impl Builtin {
    /// The type name and root of a kind.
    pub fn find(&self, group: &str, version: &str, kind: &str) -> Option<&(String, NodeId)> {
        self.kinds.get(&format!("{group}/{version}/{kind}"))
    }
}

/// The types as OpenAPI v3 without prose; parsed anew, because only discovery asks for it.
pub fn types() -> Value {
    unpack(include_bytes!("../../../assets/schema/types.json.gz"))
}

/// The prose: type name → field name (empty for the type itself) → text.
pub fn docs() -> Value {
    unpack(include_bytes!("../../../assets/schema/docs.json.gz"))
}

/// Field numbers of every protobuf message.
pub fn protobuf() -> Value {
    unpack(include_bytes!("../../../assets/schema/protobuf.json.gz"))
}

fn unpack(packed: &[u8]) -> Value {
    let mut text = Vec::new();
    let read = flate2::read::GzDecoder::new(packed).read_to_end(&mut text);
    read.ok().and_then(|_| serde_json::from_slice(&text).ok()).expect("checked-in data is what its generator wrote")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_everything_its_release_declares() {
        let table = table();
        assert_eq!(table.source, "Kubernetes v1.37.0");
        let document = types();
        let types = document["schemas"].as_object().unwrap();
        assert_eq!(types.len(), 862);
        let count = |key: &str| {
            let fields = types.values().flat_map(|t| t["properties"].as_object().into_iter().flatten());
            fields.filter(|(_, field)| field.get(key).is_some()).count()
        };
        assert_eq!(count("x-kubernetes-list-type"), 457);
        assert_eq!(count("x-kubernetes-list-map-keys"), 108);
        assert_eq!(count("x-kubernetes-patch-strategy"), 92);
        assert_eq!(count("x-kubernetes-patch-merge-key"), 88);
        assert_eq!(table.find("apps", "v1", "Deployment").unwrap().0, "io.k8s.api.apps.v1.Deployment");
        assert!(table.find("", "v1", "Pod").is_some() && table.find("apps", "v1", "Nothing").is_none());
        assert_eq!(protobuf()["messages"].as_object().unwrap().len(), 1344);
        assert!(docs()["io.k8s.api.core.v1.Pod"]["spec"].as_str().unwrap().starts_with("Specification"));
    }
}
