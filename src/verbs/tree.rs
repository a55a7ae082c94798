//! Tree: an object with everything below it, as far as the picture goes.

use std::collections::HashSet;

use super::{Desk, TreeNode};
use crate::base::{Id, Revision, Text, Value};
use crate::kinds::Tie;
use crate::store::forest;

/// Kustomizations that own Kustomizations end somewhere; a circle of owners does not.
const DEPTH: usize = 24;

/// The tree below an object.
pub(super) fn tree(desk: &Desk, id: &Id) -> TreeNode {
    grow(desk, id, None, false, 0, &mut HashSet::new())
}

fn grow(desk: &Desk, id: &Id, tie: Option<Tie>, link: bool, depth: usize, seen: &mut HashSet<Id>) -> TreeNode {
    let entry = desk.store.get(id);
    let is_new = seen.insert(id.clone());
    let branches = if is_new && depth < DEPTH && !link { forest::children(&desk.store, id) } else { Vec::new() };
    let children = branches
        .into_iter()
        .map(|branch| grow(desk, &branch.id, Some(branch.tie), branch.link, depth + 1, seen))
        .collect();
    TreeNode {
        id: id.clone(),
        tie,
        health: entry.as_ref().map(|entry| entry.health.clone()),
        revision: Text::new(entry.map(|entry| revision(&entry.object.body())).unwrap_or_default()),
        link,
        children,
    }
}

fn revision(document: &Value) -> String {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    let found = text("/status/lastAppliedRevision").or_else(|| text("/status/artifact/revision"));
    found.map(|text| Revision::parse(text).short()).unwrap_or_default()
}
