//! Values seen through a schema: which of a node's shapes a value takes, which list item is which, which paths a
//! value consists of, and whether it fits at all.
//!
//! Source: structured-merge-diff typed.

use serde_json::{Map, Value};

use super::path::{Element, spelled};
use super::set::Set;
use crate::embedded::schema::node::{Arena, List, Node, NodeId, Shape};

/// How a value is treated at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Map,
    List,
    Scalar,
}

/// The way of a value at a node; a node that takes anything follows the value, absent and null count as a map there.
pub fn way(node: &Node, value: Option<&Value>) -> Way {
    match node.shape {
        Shape::Object => Way::Map,
        Shape::Array => Way::List,
        Shape::Text | Shape::Integer | Shape::Number | Shape::Boolean | Shape::Quantity => Way::Scalar,
        Shape::Any | Shape::Raw | Shape::IntOrString => match value {
            Some(Value::Array(_)) => Way::List,
            None | Some(Value::Null | Value::Object(_)) => Way::Map,
            Some(_) => Way::Scalar,
        },
    }
}

/// The map of a value that is one.
pub fn map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// The list of a value that is one.
pub fn list(value: Option<&Value>) -> Option<&Vec<Value>> {
    value.and_then(Value::as_array)
}

/// The step that names a list item.
///
/// Errors when the item lacks every key field or cannot be told apart.
pub fn item_step(arena: &Arena, node: &Node, item: &Value) -> Result<Element, String> {
    let keys = match &node.list {
        List::Map(keys) => keys,
        List::Set => {
            return match item {
                Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
                Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
                Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
                scalar => Ok(Element::Value(super::path::Scalar::of(scalar))),
            };
        }
        List::Atomic => return Err("invalid indexing of non-associative list".into()),
    };
    let item = match item {
        Value::Object(item) => item,
        Value::Null => return Err("associative list with keys may not have a null element".into()),
        _ => return Err("associative list with keys may not have non-map elements".into()),
    };
    let fields = node.items.map(|id| &arena.node(id).fields);
    let default = |key: &str| fields.and_then(|f| f.get(key)).and_then(|f| f.default.as_ref());
    let found = |key: &str| item.get(key).or_else(|| default(key));
    let present: Vec<_> = keys.iter().filter_map(|key| Some((&**key, found(key)?))).collect();
    if present.is_empty() && !keys.is_empty() {
        let keys = keys.iter().map(|k| format!("{k:?}")).collect::<Vec<_>>().join(" ");
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{keys}] (and doesn't have default values for any key fields)"
        ));
    }
    Ok(Element::key(present.into_iter()))
}

/// Equality as the merge sees it: 1 equals 1.0, the order of keys does not matter.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64() && (x.is_f64() || y.is_f64()),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, value)| y.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => a == b,
    }
}

/// The paths a value consists of: leaves, list items, and maps that are empty or keyed freely.
pub fn field_set(arena: &Arena, root: NodeId, value: &Value) -> Set {
    let mut set = Set::default();
    walk_set(arena, root, value, &mut Vec::new(), &mut set);
    set
}

fn walk_set(arena: &Arena, id: NodeId, value: &Value, path: &mut Vec<Element>, set: &mut Set) {
    let node = arena.node(id);
    match way(node, Some(value)) {
        Way::Scalar => set.insert(path),
        Way::Map if node.atomic => set.insert(path),
        Way::List if node.list == List::Atomic => set.insert(path),
        Way::Map => {
            for (key, child) in map(Some(value)).into_iter().flatten() {
                path.push(Element::field(key));
                if let Some(child_id) = arena.behind(node, key) {
                    walk_set(arena, child_id, child, path, set);
                }
                let empty = child.is_null() || child.as_object().is_some_and(Map::is_empty);
                if empty || !node.fields.contains_key(key.as_str()) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Way::List => walk_items(arena, node, list(Some(value)).map_or(&[][..], Vec::as_slice), path, set),
    }
}

fn walk_items(arena: &Arena, node: &Node, items: &[Value], path: &mut Vec<Element>, set: &mut Set) {
    let steps: Vec<_> = items.iter().map(|item| item_step(arena, node, item).ok()).collect();
    let (mut seen, mut twice) = (Set::default(), Set::default());
    for step in steps.iter().flatten() {
        let one = std::slice::from_ref(step);
        if seen.has(one) {
            twice.insert(one);
        }
        seen.insert(one);
    }
    for (item, step) in items.iter().zip(&steps) {
        let Some(step) = step else { continue };
        path.push(step.clone());
        // Items of one key are owned as one leaf: there is no telling which is meant.
        if !twice.has_member(step)
            && let Some(id) = node.items
        {
            walk_set(arena, id, item, path, set);
        }
        set.insert(path);
        path.pop();
    }
}

/// What a check of a value against its schema allows.
#[derive(Clone, Copy, Debug)]
pub struct Allow {
    pub duplicates: bool,
}

/// Everything in a value that does not fit the schema, as `path: problem`.
pub fn misfits(arena: &Arena, root: NodeId, value: &Value, allow: Allow) -> Vec<String> {
    let mut out = Vec::new();
    check(arena, root, value, allow, &mut Vec::new(), &mut out);
    out
}

fn check(arena: &Arena, id: NodeId, value: &Value, allow: Allow, path: &mut Vec<Element>, out: &mut Vec<String>) {
    let node = arena.node(id);
    let mut say = |path: &[Element], problem: String| match path {
        [] => out.push(problem),
        path => out.push(format!("{}: {problem}", spelled(path))),
    };
    match (way(node, Some(value)), value) {
        (_, Value::Null) => {}
        (Way::Scalar, value) => {
            if let Some(expected) = wrong_scalar(node.shape, value) {
                say(path, format!("expected {expected}, got {}", shown(value)));
            }
        }
        (Way::Map, Value::Object(fields)) => {
            for (key, child) in fields {
                path.push(Element::field(key));
                match arena.behind(node, key) {
                    Some(id) => check(arena, id, child, allow, path, out),
                    None => out.push(format!("{}: field not declared in schema", spelled(path))),
                }
                path.pop();
            }
        }
        (Way::Map, value) => say(path, format!("expected map, got {}", shown(value))),
        (Way::List, Value::Array(items)) => check_items(arena, node, items, allow, path, out),
        (Way::List, value) => say(path, format!("expected list, got {}", shown(value))),
    }
}

fn check_items(
    arena: &Arena,
    node: &Node,
    items: &[Value],
    allow: Allow,
    path: &mut Vec<Element>,
    out: &mut Vec<String>,
) {
    let mut seen = Set::default();
    for (index, item) in items.iter().enumerate() {
        let step = match &node.list {
            List::Atomic => Element::Index(index as i64),
            _ => match item_step(arena, node, item) {
                Ok(step) => step,
                Err(problem) => {
                    out.push(format!("{}: element {index}: {problem}", spelled(path)));
                    continue;
                }
            },
        };
        if seen.has_member(&step) && !allow.duplicates {
            out.push(format!("{}: duplicate entries for key {step}", spelled(path)));
        }
        seen.insert(std::slice::from_ref(&step));
        path.push(step);
        if let Some(id) = node.items {
            check(arena, id, item, allow, path, out);
        }
        path.pop();
    }
}

fn wrong_scalar(shape: Shape, value: &Value) -> Option<&'static str> {
    let fits = match shape {
        Shape::Text => value.is_string(),
        Shape::Integer | Shape::Number => value.is_number(),
        Shape::Boolean => value.is_boolean(),
        _ => !value.is_array() && !value.is_object(),
    };
    (!fits).then_some(match shape {
        Shape::Text => "string",
        Shape::Integer | Shape::Number => "numeric (int or float)",
        Shape::Boolean => "boolean",
        _ => "any scalar",
    })
}

/// A value short enough for a message; secrets never get here with more than their type.
fn shown(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
