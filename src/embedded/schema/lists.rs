//! Lists and embedded objects inside custom resources: which item is which, items that occur twice, heads that lack.
//!
//! Source: apiextensions-apiserver pkg/apiserver/schema/listtype and schema/objectmeta.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Cause;
use super::node::{Additional, Arena, List, Node, NodeId};
use crate::embedded::patch::equal;

/// Items that occur twice in lists that are sets or keyed.
pub fn doubles(arena: &Arena, root: NodeId, value: &Value) -> Vec<Cause> {
    let mut out = Vec::new();
    duplicates(arena, root, value, "", &mut out);
    out
}

/// Whole objects inside an object that lack a head of their own.
pub fn heads(arena: &Arena, root: NodeId, value: &Value) -> Vec<Cause> {
    let mut out = Vec::new();
    for (key, child) in value.as_object().into_iter().flatten() {
        if let Some(field) = arena.node(root).fields.get(key.as_str()) {
            embedded(arena, field.node, child, key, &mut out);
        }
    }
    out
}

/// The key of an item of a keyed list, as text; only such items can be told apart across versions of an object.
pub fn item_key(arena: &Arena, node: &Node, item: &Value) -> Option<String> {
    let List::Map(keys) = &node.list else { return None };
    let fields = node.items.map(|id| &arena.node(id).fields);
    let default = |key: &str| fields.and_then(|f| f.get(key)).and_then(|f| f.default.as_ref());
    let found = |key: &str| item.get(key).or_else(|| default(key)).map_or_else(String::new, Value::to_string);
    Some(keys.iter().map(|key| found(key)).collect::<Vec<_>>().join(","))
}

/// The items of a keyed list by key; a key that occurs twice finds nothing.
pub fn old_items<'v>(arena: &Arena, node: &Node, old: Option<&'v Value>) -> BTreeMap<String, &'v Value> {
    let mut out = BTreeMap::new();
    let mut twice = Vec::new();
    for item in old.and_then(Value::as_array).into_iter().flatten() {
        let Some(key) = item_key(arena, node, item) else { return out };
        if out.insert(key.clone(), item).is_some() {
            twice.push(key);
        }
    }
    out.retain(|key, _| !twice.contains(key));
    out
}

fn duplicates(arena: &Arena, id: NodeId, value: &Value, path: &str, out: &mut Vec<Cause>) {
    let node = arena.node(id);
    match value {
        Value::Object(fields) => {
            for (key, child) in fields {
                let dotted = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (node.fields.get(key.as_str()), node.additional) {
                    (Some(field), _) => duplicates(arena, field.node, child, &dotted, out),
                    (None, Additional::Of(id)) => duplicates(arena, id, child, &format!("{path}[{key}]"), out),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            list_duplicates(&node.list, items, path, out);
            if let Some(id) = node.items {
                for (index, item) in items.iter().enumerate() {
                    duplicates(arena, id, item, &format!("{path}[{index}]"), out);
                }
            }
        }
        _ => {}
    }
}

fn list_duplicates(list: &List, items: &[Value], path: &str, out: &mut Vec<Cause>) {
    let identities: Vec<Value> = match list {
        List::Atomic => return,
        List::Set => items.to_vec(),
        List::Map(keys) => {
            let odd = items.iter().position(|item| !item.is_object() && !item.is_null());
            if let Some(at) = odd {
                let detail = "must be an object for an array of list-type map";
                out.push(Cause::invalid(&format!("{path}[{at}]"), &items[at], detail));
                return;
            }
            let key_of =
                |item: &Value| keys.iter().filter_map(|k| Some((k.to_string(), item.get(&**k)?.clone()))).collect();
            items.iter().map(|item| Value::Object(key_of(item))).collect()
        }
    };
    let mut reported: Vec<&Value> = Vec::new();
    for (at, identity) in identities.iter().enumerate() {
        let seen = identities[..at].iter().any(|before| equal(before, identity));
        if seen && !reported.iter().any(|known| equal(known, identity)) {
            reported.push(identity);
            out.push(Cause::duplicate(&format!("{path}[{at}]"), identity));
        }
    }
}

fn embedded(arena: &Arena, id: NodeId, value: &Value, path: &str, out: &mut Vec<Cause>) {
    let node = arena.node(id);
    match value {
        Value::Object(fields) => {
            if node.embedded {
                check_head(fields, path, out);
            }
            for (key, child) in fields {
                if let Some(field) = node.fields.get(key.as_str()) {
                    embedded(arena, field.node, child, &format!("{path}.{key}"), out);
                } else if let Additional::Of(id) = node.additional {
                    embedded(arena, id, child, &format!("{path}[{key}]"), out);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(id) = node.items {
                    embedded(arena, id, item, &format!("{path}[{index}]"), out);
                }
            }
        }
        _ => {}
    }
}

fn check_head(fields: &Map<String, Value>, path: &str, out: &mut Vec<Cause>) {
    for name in ["apiVersion", "kind"] {
        let path = format!("{path}.{name}");
        match fields.get(name) {
            None => out.push(Cause::required(&path, "")),
            Some(Value::String(text)) if text.is_empty() => {
                out.push(Cause::invalid(&path, &"".into(), "must not be empty"));
            }
            Some(Value::String(_)) => {}
            Some(value) => out.push(Cause::invalid(&path, value, "must be a string")),
        }
    }
}
