//! One stored object: its JSON bytes, and the few facts that reads need without parsing.
//!
//! Bytes rather than a tree: a list is a copy, and ten thousand objects cost what their text costs.
//! Start with [`Stored`].

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

/// Where an object is stored; the order is the order of lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// `group/plural`.
    pub storage: Arc<str>,
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    /// Names an object.
    pub fn new(storage: &Arc<str>, namespace: &str, name: &str) -> Key {
        Key { storage: storage.clone(), namespace: namespace.into(), name: name.into() }
    }

    /// The key as one string, for the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.storage.as_bytes(), self.namespace.as_bytes(), self.name.as_bytes()].join(&0)
    }

    /// Reads what [`Key::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Key> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut parts = text.split('\0');
        let key = Key { storage: parts.next()?.into(), namespace: parts.next()?.into(), name: parts.next()?.into() };
        parts.next().is_none().then_some(key)
    }
}

/// An object at one revision; never changed, only replaced.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The whole object, `kind` and `apiVersion` first.
    json: Bytes,
    /// Where what follows `kind` and `apiVersion` begins.
    tail: usize,
    pub revision: u64,
    pub uid: Box<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
    /// The uids of its owners.
    pub owners: Box<[Box<str>]>,
    /// A deletion was asked for.
    pub deleting: bool,
}

impl Stored {
    /// Keeps an object, with its resource version set to `revision`.
    pub fn new(mut object: Value, revision: u64) -> Stored {
        object["metadata"]["resourceVersion"] = Value::String(revision.to_string());
        let kind = object["kind"].as_str().unwrap_or_default();
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let head = head(kind, api_version);
        let mut json = head.clone().into_bytes();
        if let Value::Object(fields) = &object {
            write_tail(fields, &mut json);
        }
        Stored::with_json(&object, json.into(), head.len(), revision)
    }

    fn with_json(object: &Value, json: Bytes, tail: usize, revision: u64) -> Stored {
        let metadata = &object["metadata"];
        let labels = metadata["labels"].as_object().into_iter().flatten();
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        Stored {
            json,
            tail,
            revision,
            uid: metadata["uid"].as_str().unwrap_or_default().into(),
            labels: labels.map(|(k, v)| (k.as_str().into(), v.as_str().unwrap_or_default().into())).collect(),
            owners: owners.filter_map(|o| o["uid"].as_str().map(Into::into)).collect(),
            deleting: metadata["deletionTimestamp"].is_string(),
        }
    }

    /// Reads what [`Stored::json`] gave out; `None` when it is no such thing.
    pub fn from_json(json: &[u8]) -> Option<Stored> {
        let object: Value = serde_json::from_slice(json).ok()?;
        let revision = object["metadata"]["resourceVersion"].as_str()?.parse().ok()?;
        Some(Stored::new(object, revision))
    }

    /// The whole object in the version it was stored in.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The object as a value, in the version it was stored in.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).expect("stored objects were written as JSON")
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k.as_ref() == key).map(|(_, v)| v.as_ref())
    }

    /// Whether it was written as this version.
    pub fn is_of(&self, kind: &str, api_version: &str) -> bool {
        self.json.starts_with(head(kind, api_version).as_bytes())
    }

    /// Writes the object as of another version.
    pub fn write_as(&self, kind: &str, api_version: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(head(kind, api_version).as_bytes());
        out.extend_from_slice(&self.json[self.tail..]);
    }

    /// Writes the object without `kind` and `apiVersion`, as lists of built-in kinds have it.
    pub fn write_bare(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        out.extend_from_slice(&self.json[self.tail..]);
    }

    /// About how much memory it takes.
    pub fn weight(&self) -> usize {
        self.json.len() + 200
    }
}

fn head(kind: &str, api_version: &str) -> String {
    format!("{{\"kind\":{},\"apiVersion\":{},", Value::from(kind), Value::from(api_version))
}

fn write_tail(fields: &Map<String, Value>, out: &mut Vec<u8>) {
    for (key, value) in fields.iter().filter(|(key, _)| *key != "kind" && *key != "apiVersion") {
        out.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
        out.push(b':');
        // Writing a tree of values to memory has no way to fail.
        serde_json::to_writer(&mut *out, value).expect("values are written to memory");
        out.push(b',');
    }
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_written_whole_bare_and_in_another_version() {
        let object = json!({"metadata": {"name": "a", "labels": {"x": "y"}}, "apiVersion": "v1", "kind": "K", "spec": {"a": "\"\u{7}"}});
        let stored = Stored::new(object.clone(), 7);
        let mut wanted = object;
        wanted["metadata"]["resourceVersion"] = json!("7");
        assert_eq!(stored.value(), wanted);
        assert_eq!(stored.label("x"), Some("y"));
        let mut out = Vec::new();
        stored.write_as("K", "g/v2", &mut out);
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap()["apiVersion"], "g/v2");
        out.clear();
        stored.write_bare(&mut out);
        let bare: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(bare["spec"], wanted["spec"]);
        assert!(bare.get("kind").is_none());
    }

    #[test]
    fn keys_survive_the_file_and_sort_as_lists_do() {
        let storage: Arc<str> = "apps/deployments".into();
        let key = Key::new(&storage, "a", "b");
        assert_eq!(Key::from_bytes(&key.to_bytes()), Some(key.clone()));
        assert!(key < Key::new(&storage, "a-b", "a"));
        assert_eq!(Key::from_bytes(b"a\0b"), None);
    }
}
