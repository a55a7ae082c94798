//! Merging a configuration over a live value, comparing two values, and taking paths out of one.
//!
//! Source: structured-merge-diff typed/merge, typed/compare, typed/remove.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::Element;
use super::set::Set;
use super::typed::{Way, equal, item_step, list, map, way};
use crate::embedded::schema::node::{Arena, List, Node, NodeId};

/// The configuration over the live value; none when neither says anything.
///
/// Errors when a list item cannot be named.
pub fn merged(arena: &Arena, id: NodeId, live: Option<&Value>, over: Option<&Value>) -> Result<Option<Value>, String> {
    let node = arena.node(id);
    // When a node takes anything and the kinds differ, the configuration's kind wins.
    match way(node, over.or(live)) {
        Way::Scalar => Ok(over.or(live).cloned()),
        Way::Map => {
            let (from, to) = (map(live), map(over));
            if node.atomic || from.is_none_or(Map::is_empty) && to.is_none_or(Map::is_empty) {
                return Ok(over.or(live).cloned());
            }
            merged_map(arena, node, from, to)
        }
        Way::List => {
            let (from, to) = (list(live), list(over));
            if node.list == List::Atomic || from.is_none_or(Vec::is_empty) && to.is_none_or(Vec::is_empty) {
                return Ok(over.or(live).cloned());
            }
            merged_list(arena, node, from.map_or(&[], Vec::as_slice), to.map_or(&[], Vec::as_slice))
        }
    }
}

fn merged_map(
    arena: &Arena,
    node: &Node,
    live: Option<&Map<String, Value>>,
    over: Option<&Map<String, Value>>,
) -> Result<Option<Value>, String> {
    let mut out = Map::new();
    let added = over.into_iter().flatten().filter(|(key, _)| live.is_none_or(|live| !live.contains_key(*key)));
    for (key, _) in live.into_iter().flatten().chain(added) {
        let (l, r) = (live.and_then(|m| m.get(key)), over.and_then(|m| m.get(key)));
        let child = match arena.behind(node, key) {
            Some(id) => merged(arena, id, l, r)?,
            None => r.or(l).cloned(),
        };
        if let Some(child) = child {
            out.insert(key.clone(), child);
        }
    }
    Ok((!out.is_empty()).then_some(Value::Object(out)))
}

/// Live order where only the live value has an opinion, the configuration's order among its own items.
fn merged_list(arena: &Arena, node: &Node, live: &[Value], over: &[Value]) -> Result<Option<Value>, String> {
    let steps = |items: &[Value]| -> Result<Vec<Element>, String> {
        items.iter().map(|item| item_step(arena, node, item)).collect()
    };
    let (left, right) = (steps(live)?, steps(over)?);
    // Items that occur twice in the live value are not merged with: there is no telling which is meant.
    let mut lefts: BTreeMap<&Element, &Value> = BTreeMap::new();
    for (step, item) in left.iter().zip(live) {
        lefts.entry(step).and_modify(|first| *first = &Value::Null).or_insert(item);
    }
    let rights: BTreeMap<&Element, &Value> = right.iter().zip(over).collect();
    let mut shared = right.iter().filter(|step| lefts.contains_key(step));
    let mut next = shared.next();
    let mut done = Set::default();
    let mut out = Vec::new();
    let mut push = |l: Option<&Value>, r: Option<&Value>| -> Result<(), String> {
        let item = match node.items {
            Some(id) => merged(arena, id, l, r)?,
            None => r.or(l).cloned(),
        };
        out.extend(item);
        Ok(())
    };
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() {
            let step = &left[l];
            if *step == right[r] {
                done.insert(std::slice::from_ref(step));
                push(lefts.get(step).copied(), Some(&over[r]))?;
                (l, r, next) = (l + 1, r + 1, shared.next());
                continue;
            }
            if rights.contains_key(step) && next.is_some_and(|next| next != step) {
                l += 1;
                continue;
            }
        }
        if l < left.len() {
            let step = &left[l];
            if !rights.contains_key(step) {
                push(Some(&live[l]), None)?;
                l += 1;
                continue;
            }
            if done.has_member(step) {
                l += 1;
            }
        }
        if r < right.len() {
            let step = &right[r];
            done.insert(std::slice::from_ref(step));
            push(lefts.get(step).copied(), Some(&over[r]))?;
            r += 1;
            if next == Some(step) {
                next = shared.next();
            }
        }
    }
    Ok((!out.is_empty()).then_some(Value::Array(out)))
}

/// What changed from one value to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub added: Set,
    pub modified: Set,
    pub removed: Set,
}

impl Change {
    /// Everything the new value says differently.
    pub fn written(&self) -> Set {
        self.added.union(&self.modified)
    }
}

/// Compares two values; list items that cannot be named are left out.
pub fn compared(arena: &Arena, root: NodeId, old: &Value, new: &Value) -> Change {
    let mut change = Change::default();
    compare(arena, root, Some(old), Some(new), &mut Vec::new(), &mut change);
    change
}

fn compare(
    arena: &Arena,
    id: NodeId,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Element>,
    change: &mut Change,
) {
    let node = arena.node(id);
    let (before, after) = (way(node, old.or(new)), way(node, new.or(old)));
    let mut leaf = false;
    if before != after {
        compare_as(arena, node, before, old, new, path, change);
    }
    leaf |= compare_as(arena, node, after, old, new, path, change);
    if !leaf {
        match (old, new) {
            (None, _) => change.added.insert(path),
            (_, None) => change.removed.insert(path),
            _ => {}
        }
    }
}

/// Compares in one way; answers whether the value was one leaf.
fn compare_as(
    arena: &Arena,
    node: &Node,
    way: Way,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Element>,
    change: &mut Change,
) -> bool {
    let whole = match way {
        Way::Scalar => true,
        Way::Map => node.atomic || map(old).is_none_or(Map::is_empty) && map(new).is_none_or(Map::is_empty),
        Way::List => {
            node.list == List::Atomic || list(old).is_none_or(Vec::is_empty) && list(new).is_none_or(Vec::is_empty)
        }
    };
    match (old, new) {
        (None, _) if whole => change.added.insert(path),
        (_, None) if whole => change.removed.insert(path),
        (Some(old), Some(new)) if whole => {
            if !equal(old, new) {
                change.modified.insert(path);
            }
        }
        _ if way == Way::Map => compare_maps(arena, node, map(old), map(new), path, change),
        _ => compare_lists(arena, node, list(old), list(new), path, change),
    }
    whole
}

fn compare_maps(
    arena: &Arena,
    node: &Node,
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    path: &mut Vec<Element>,
    change: &mut Change,
) {
    let added = new.into_iter().flatten().filter(|(key, _)| old.is_none_or(|old| !old.contains_key(*key)));
    for (key, _) in old.into_iter().flatten().chain(added) {
        let id = arena.behind(node, key).unwrap_or(crate::embedded::schema::node::DEDUCED);
        path.push(Element::field(key));
        compare(arena, id, old.and_then(|m| m.get(key)), new.and_then(|m| m.get(key)), path, change);
        path.pop();
    }
}

fn compare_lists(
    arena: &Arena,
    node: &Node,
    old: Option<&Vec<Value>>,
    new: Option<&Vec<Value>>,
    path: &mut Vec<Element>,
    change: &mut Change,
) {
    let mut items: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for item in old.into_iter().flatten() {
        if let Ok(step) = item_step(arena, node, item) {
            items.entry(step).or_default().0.push(item);
        }
    }
    for item in new.into_iter().flatten() {
        if let Ok(step) = item_step(arena, node, item) {
            items.entry(step).or_default().1.push(item);
        }
    }
    let Some(id) = node.items else { return };
    for (step, (before, after)) in items {
        path.push(step);
        match (before.as_slice(), after.as_slice()) {
            ([], [new]) => compare(arena, id, None, Some(new), path, change),
            ([old], []) => compare(arena, id, Some(old), None, path, change),
            ([old], [new]) => compare(arena, id, Some(old), Some(new), path, change),
            // Several items of one key are one leaf as long as there are several.
            ([_, _, ..], [_, _, ..]) => {
                let same = before.len() == after.len() && before.iter().zip(&after).all(|(a, b)| equal(a, b));
                if !same {
                    change.modified.insert(path);
                }
            }
            ([_, _, ..], after) => {
                if let Some(new) = after.first() {
                    compare(arena, id, None, Some(new), path, change);
                }
                change.removed.insert(path);
            }
            (before, _) => {
                if let Some(old) = before.first() {
                    compare(arena, id, Some(old), None, path, change);
                }
                change.added.insert(path);
            }
        }
        path.pop();
    }
}

/// What becomes of a map or list that lost its last part and is itself kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emptied {
    /// It becomes null, so that a later step still sees it.
    Null,
    /// It stays, empty. The reference leaves null here, which a real server drops later, so that the same apply once
    /// more changes the object; whoever sent `{}` shall have `{}`.
    Empty,
}

impl Emptied {
    fn of(self, value: &Value) -> Value {
        match (self, value) {
            (Emptied::Empty, Value::Object(_)) => Value::Object(Map::new()),
            (Emptied::Empty, Value::Array(_)) => Value::Array(Vec::new()),
            _ => Value::Null,
        }
    }
}

/// A value without the paths of a set.
pub fn without(arena: &Arena, root: NodeId, value: &Value, paths: &Set, emptied: Emptied) -> Value {
    remove(arena, root, value, paths, emptied).unwrap_or_else(|| emptied.of(value))
}

fn remove(arena: &Arena, id: NodeId, value: &Value, paths: &Set, emptied: Emptied) -> Option<Value> {
    let node = arena.node(id);
    match (way(node, Some(value)), value) {
        (Way::Scalar, value) => Some(value.clone()),
        (Way::Map, Value::Object(fields)) if !fields.is_empty() && !node.atomic => {
            let mut out = Map::new();
            for (key, child) in fields {
                let step = Element::field(key);
                if paths.has_member(&step) {
                    continue;
                }
                let kept = match (paths.below(&step), arena.behind(node, key)) {
                    (Some(below), Some(id)) => remove(arena, id, child, below, emptied),
                    _ => Some(child.clone()),
                };
                match kept {
                    Some(kept) => drop(out.insert(key.clone(), kept)),
                    None => drop(out.insert(key.clone(), emptied.of(child))),
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        (Way::List, Value::Array(items)) if !items.is_empty() && node.list != List::Atomic => {
            let mut out = Vec::new();
            for item in items {
                let step = item_step(arena, node, item).ok();
                if step.as_ref().is_some_and(|step| paths.has_member(step)) {
                    continue;
                }
                match (step.as_ref().and_then(|step| paths.below(step)), node.items) {
                    (Some(below), Some(id)) => {
                        out.push(remove(arena, id, item, below, emptied).unwrap_or_else(|| emptied.of(item)));
                    }
                    _ => out.push(item.clone()),
                }
            }
            (!out.is_empty()).then_some(Value::Array(out))
        }
        _ => None,
    }
}
