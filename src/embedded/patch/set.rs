//! Sets of field paths, and their form in managed fields (`FieldsV1`).
//!
//! A path in a set does not imply its parents or children. Source: structured-merge-diff fieldpath/set.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::Element;
use crate::embedded::schema::node::{Arena, NodeId};

/// A set of paths, as a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set(BTreeMap<Element, Branch>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Branch {
    /// The path that ends here is in the set.
    member: bool,
    below: Set,
}

impl Set {
    /// Adds a path; the empty path names the whole object, which nobody owns.
    pub fn insert(&mut self, path: &[Element]) {
        if let Some((last, parents)) = path.split_last() {
            let mut set = self;
            for step in parents {
                set = &mut set.0.entry(step.clone()).or_default().below;
            }
            set.0.entry(last.clone()).or_default().member = true;
        }
    }

    /// Whether exactly this path is in the set.
    pub fn has(&self, path: &[Element]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        let mut set = self;
        for step in parents {
            match set.0.get(step) {
                Some(branch) => set = &branch.below,
                None => return false,
            }
        }
        set.has_member(last)
    }

    /// Whether a path of one step is in the set.
    pub fn has_member(&self, step: &Element) -> bool {
        self.0.get(step).is_some_and(|branch| branch.member)
    }

    /// What the set holds below a step.
    pub fn below(&self, step: &Element) -> Option<&Set> {
        self.0.get(step).map(|branch| &branch.below).filter(|below| !below.is_empty())
    }

    /// Whether there is no path in it.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|branch| !branch.member && branch.below.is_empty())
    }

    /// Everything in either.
    #[must_use]
    pub fn union(&self, other: &Set) -> Set {
        let mut out = self.clone();
        out.add(other);
        out
    }

    /// Takes in another set.
    pub fn add(&mut self, other: &Set) {
        for (step, branch) in &other.0 {
            let own = self.0.entry(step.clone()).or_default();
            own.member |= branch.member;
            own.below.add(&branch.below);
        }
    }

    /// Everything in both.
    #[must_use]
    pub fn intersection(&self, other: &Set) -> Set {
        self.combine(other, |mine, theirs| mine && theirs, false)
    }

    /// Everything in this but not in the other; a path removes itself alone, not what lies below it.
    #[must_use]
    pub fn difference(&self, other: &Set) -> Set {
        self.combine(other, |mine, theirs| mine && !theirs, true)
    }

    fn combine(&self, other: &Set, keep: fn(bool, bool) -> bool, alone: bool) -> Set {
        let mut out = BTreeMap::new();
        for (step, branch) in &self.0 {
            let kept = match other.0.get(step) {
                Some(theirs) => Branch {
                    member: keep(branch.member, theirs.member),
                    below: branch.below.combine(&theirs.below, keep, alone),
                },
                None if alone => branch.clone(),
                None => continue,
            };
            if kept.member || !kept.below.0.is_empty() {
                out.insert(step.clone(), kept);
            }
        }
        Set(out)
    }

    /// The set with every declared field that has something below it as a member.
    #[must_use]
    pub fn with_declared_parents(&self, arena: &Arena, id: NodeId) -> Set {
        let node = arena.node(id);
        let grow = |(step, branch): (&Element, &Branch)| {
            let (declared, child) = match step {
                Element::Field(name) => (node.fields.contains_key(name), arena.behind(node, name)),
                _ => (false, node.items),
            };
            let below = match child {
                Some(child) => branch.below.with_declared_parents(arena, child),
                None => branch.below.clone(),
            };
            let member = branch.member || declared && !branch.below.0.is_empty();
            (step.clone(), Branch { member, below })
        };
        Set(self.0.iter().map(grow).collect())
    }

    /// Every path, parents first.
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut Vec<Element>, out: &mut Vec<Vec<Element>>) {
        for (step, branch) in &self.0 {
            prefix.push(step.clone());
            if branch.member {
                out.push(prefix.clone());
            }
            branch.below.collect(prefix, out);
            prefix.pop();
        }
    }

    /// The set as `FieldsV1`.
    pub fn to_fields(&self) -> Value {
        let mut out = Map::new();
        self.write(&mut out);
        Value::Object(out)
    }

    fn write(&self, out: &mut Map<String, Value>) {
        for (step, branch) in &self.0 {
            let mut below = Map::new();
            if branch.member && !branch.below.0.is_empty() {
                below.insert(".".into(), Value::Object(Map::new()));
            }
            branch.below.write(&mut below);
            out.insert(step.encode(), Value::Object(below));
        }
    }

    /// Reads `FieldsV1`.
    ///
    /// Errors when it is not made of objects or a step is malformed.
    pub fn from_fields(fields: &Value) -> Result<Set, String> {
        let Value::Object(map) = fields else {
            return Err(format!("managed fields hold {fields} where a map belongs"));
        };
        let mut out = BTreeMap::new();
        for (key, value) in map {
            if key == "." {
                continue;
            }
            let Some(step) = Element::decode(key)? else { continue };
            let member = value.as_object().is_some_and(|below| below.is_empty() || below.contains_key("."));
            out.insert(step, Branch { member, below: Set::from_fields(value)? });
        }
        Ok(Set(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(fields: Value) -> Set {
        Set::from_fields(&fields).unwrap()
    }

    #[test]
    fn fields_v1_survives_a_round_trip() {
        let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:x": {}}});
        assert_eq!(set(fields.clone()).to_fields(), fields);
        assert_eq!(set(json!({"z:new": {}, "f:a": {}})).to_fields(), json!({"f:a": {}}));
        for bad in [json!([]), json!({"f:a": 1}), json!({"bad": {}})] {
            assert!(Set::from_fields(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sets_combine_path_by_path() {
        let a = set(json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}}));
        let b = set(json!({"f:a": {"f:b": {}}, "f:e": {}}));
        assert_eq!(a.intersection(&b), set(json!({"f:a": {"f:b": {}}})));
        assert_eq!(a.difference(&b), set(json!({"f:a": {".": {}, "f:c": {}}, "f:d": {}})));
        assert_eq!(a.union(&b), set(json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}, "f:e": {}})));
        let top = set(json!({"f:a": {}}));
        assert_eq!(a.difference(&top), set(json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}})));
        assert!(a.difference(&a).is_empty());
        assert!(a.has(&[Element::field("a"), Element::field("b")]) && !b.has(&[Element::field("a")]));
    }
}
