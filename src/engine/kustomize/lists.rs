//! Merging lists by key.
//!
//! The result has the patch's elements first, in the patch's order, then what else the target had. Behind that rule
//! stands an algorithm of kustomize with effects that nobody would design: an element without its key can wipe out
//! others, and a replaced element comes back. [`careful`] follows it step by step; [`quick`] is the same for lists in
//! which every element has a key of its own, which are nearly all.
//! Source: kustomize kyaml/yaml/walk/associative_sequence.go and kyaml/yaml/fns.go.

use std::collections::HashMap;

use crate::base::yaml::{Node, Scalar, Tag};

use super::merge::{DIRECTIVE, Merged, Misfit, Outcome, adopt, merge};
use super::resource::{set_field, text_of};
use super::schema::{Field, Schema};

/// Above this many elements only lists with one clean key can be merged: the careful way is quadratic.
const MOST: usize = 2_000;

/// Merges a patch's list into the target's. `own` means that the target is the patch, and is only put in order.
pub(super) fn merge_list(
    dest: &mut Vec<Node>,
    src: Option<&[Node]>,
    own: bool,
    field: &Field,
    schema: &Schema,
) -> Merged<()> {
    let keys = field.merge.as_deref().unwrap_or_default();
    if let [key] = keys
        && is_clean(dest, key)
        && src.is_none_or(|src| is_clean(src, key))
    {
        return quick(dest, src, own, key, field, schema);
    }
    let count = dest.len() + src.map_or(0, <[Node]>::len);
    if count > MOST {
        return Err(Misfit::new(format!("a list of {count} elements without unique keys is too long to merge")));
    }
    Careful { nodes: Vec::new(), field, schema }.run(dest, src, own, keys)
}

/// Whether every element is a mapping with a key of its own.
fn is_clean(items: &[Node], key: &str) -> bool {
    let mut seen = HashMap::with_capacity(items.len());
    items.iter().all(|item| {
        let value = item.get(key).and_then(Node::as_text).filter(|text| !text.is_empty());
        value.is_some_and(|value| seen.insert(value, ()).is_none())
    })
}

fn quick(
    dest: &mut Vec<Node>,
    src: Option<&[Node]>,
    own: bool,
    key: &str,
    field: &Field,
    schema: &Schema,
) -> Merged<()> {
    let value = |node: &Node| node.get(key).map_or("", text_of).to_owned();
    let mut old: Vec<Option<Node>> = std::mem::take(dest).into_iter().map(Some).collect();
    let places: HashMap<String, usize> =
        old.iter().enumerate().filter_map(|(at, node)| node.as_ref().map(|node| (value(node), at))).collect();
    let at = field.element();
    let stays = |node: &Node| !node.is_null() && node.as_mapping().is_none_or(|mapping| !mapping.is_empty());
    for item in src.into_iter().flatten() {
        let name = value(item);
        let place = places.get(&name).copied();
        let mut found = place.and_then(|place| old[place].take());
        match merge(found.as_mut(), Some(item), at, schema).map_err(|misfit| misfit.under(&name))? {
            Outcome::Keep => dest.extend(found.filter(stays)),
            // What the patch would put in place of an element, the element itself displaces again.
            Outcome::Use(new) if stays(&new) => dest.push(found.unwrap_or(new)),
            Outcome::Use(_) | Outcome::Clear => {}
        }
    }
    for mut node in old.into_iter().flatten() {
        if own {
            dest.extend(adopt(&node, at, schema)?.filter(stays));
            continue;
        }
        let name = value(&node);
        match merge(Some(&mut node), None, at, schema).map_err(|misfit| misfit.under(&name))? {
            Outcome::Keep if stays(&node) => dest.push(node),
            _ => {}
        }
    }
    Ok(())
}

/// The algorithm of kustomize on numbered nodes: a number stands for the identity that a pointer has there.
struct Careful<'s> {
    nodes: Vec<Node>,
    field: &'s Field,
    schema: &'s Schema,
}

impl Careful<'_> {
    fn run(mut self, dest: &mut Vec<Node>, src: Option<&[Node]>, own: bool, keys: &[String]) -> Merged<()> {
        let mut target = self.take_in(std::mem::take(dest));
        let patch = src.map(|src| self.take_in(src.to_vec()));
        let plain = keys.is_empty();
        let keys: Vec<String> = if plain { vec![String::new()] } else { keys.to_vec() };
        let mut tuples: Vec<Vec<String>> = Vec::new();
        for list in [patch.as_deref(), Some(&target[..])].into_iter().flatten() {
            for &node in list {
                let tuple = self.tuple(node, &keys);
                if !tuples.contains(&tuple) {
                    tuples.push(tuple);
                }
            }
        }
        if keys.len() > 1 {
            unify(&mut tuples);
        }
        let mut added: Vec<usize> = Vec::new();
        let (mut valid_keys, mut valid_values) = (Vec::new(), Vec::new());
        for tuple in &tuples {
            (valid_keys, valid_values) = valid(&tuples, tuple, &keys);
            let made = self.element(&target, patch.as_deref(), own, &valid_keys, &valid_values)?;
            match made {
                None => self.put(&mut target, None, &valid_keys, &valid_values)?,
                Some(made) => {
                    self.ensure_keys(made, &valid_keys, &valid_values);
                    self.put(&mut added, Some(made), &valid_keys, &valid_values)?;
                }
            }
        }
        if !tuples.is_empty() {
            self.append_all(&mut added, &target, &valid_keys)?;
            target = added;
        }
        let _ = valid_values;
        let mut nodes: Vec<Option<Node>> = self.nodes.into_iter().map(Some).collect();
        *dest = target.into_iter().filter_map(|node| nodes[node].take()).collect();
        Ok(())
    }

    fn take_in(&mut self, nodes: Vec<Node>) -> Vec<usize> {
        let first = self.nodes.len();
        self.nodes.extend(nodes);
        (first..self.nodes.len()).collect()
    }

    /// The values of an element's keys; empty for what is missing.
    fn tuple(&self, node: usize, keys: &[String]) -> Vec<String> {
        let node = &self.nodes[node];
        let value = |key: &String| match key.as_str() {
            "" => text_of(node).to_owned(),
            key => node.get(key).filter(|value| !value.is_null()).map_or("", text_of).to_owned(),
        };
        keys.iter().map(value).collect()
    }

    /// Merges the elements of both lists that have these values. `None` when nothing is left.
    fn element(
        &mut self,
        target: &[usize],
        patch: Option<&[usize]>,
        own: bool,
        keys: &[String],
        values: &[String],
    ) -> Merged<Option<usize>> {
        let (keys, values) = valid(&[values.to_vec()], values, keys);
        let (in_target, in_patch) =
            (self.find(target, &keys, &values), patch.and_then(|patch| self.find(patch, &keys, &values)));
        let at = self.field.element();
        let made = match (in_target, in_patch) {
            (Some(node), None) if own => match adopt(&self.nodes[node], at, self.schema)? {
                Some(new) => {
                    self.nodes[node] = new;
                    Some(node)
                }
                None => None,
            },
            (in_target, in_patch) => {
                let wanted = in_patch.map(|node| self.nodes[node].clone());
                // A directive is used up: an element of the patch that comes up again is content.
                if let Some(mapping) = in_patch.and_then(|node| self.nodes[node].as_mapping_mut()) {
                    mapping.remove(DIRECTIVE);
                }
                let dest = in_target.map(|node| &mut self.nodes[node]);
                match merge(dest, wanted.as_ref(), at, self.schema)? {
                    Outcome::Keep => in_target,
                    Outcome::Clear => None,
                    Outcome::Use(new) => {
                        self.nodes.push(new);
                        Some(self.nodes.len() - 1)
                    }
                }
            }
        };
        Ok(made.filter(|&node| !self.is_nothing(node)))
    }

    fn is_nothing(&self, node: usize) -> bool {
        self.nodes[node].is_null() || self.nodes[node].as_mapping().is_some_and(crate::base::yaml::Mapping::is_empty)
    }

    fn find(&self, list: &[usize], keys: &[String], values: &[String]) -> Option<usize> {
        let first = values.first().map_or("", String::as_str);
        if keys.first().is_none_or(String::is_empty) {
            return list.iter().copied().find(|&node| text_of(&self.nodes[node]) == first);
        }
        let has = |node: usize| {
            self.nodes[node].as_mapping().is_some_and(|mapping| {
                keys.iter()
                    .zip(values)
                    .all(|(key, value)| mapping.get(key).is_some_and(|field| text_of(field) == value))
            })
        };
        list.iter().copied().find(|&node| has(node))
    }

    /// Writes the key values into an element that lacks them.
    fn ensure_keys(&mut self, node: usize, keys: &[String], values: &[String]) {
        for (key, value) in keys.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
            match &mut self.nodes[node] {
                Node::Mapping(mapping) if mapping.get(key).is_none() => {
                    set_field(mapping, key, Scalar::new(value, Tag::Unset));
                }
                _ => {}
            }
        }
    }

    /// Puts an element in place of those with these values, or at the end; without one, removes them.
    fn put(&self, list: &mut Vec<usize>, element: Option<usize>, keys: &[String], values: &[String]) -> Merged<()> {
        let by_field = keys.first().is_some_and(|key| !key.is_empty()) && values.first().is_some_and(|v| !v.is_empty());
        let mut found = false;
        let mut made = Vec::with_capacity(list.len() + 1);
        for &node in list.iter().filter(|&&node| !self.is_nothing(node)) {
            if by_field && self.nodes[node].as_mapping().is_none() {
                made.push(node);
                continue;
            }
            if !self.has(node, keys, values)? {
                if !values.is_empty() {
                    made.push(node);
                }
                continue;
            }
            found = true;
            made.extend(element);
        }
        if !found {
            made.extend(element);
        }
        *list = made;
        Ok(())
    }

    /// Whether an element has these values; an empty value asks only for the field.
    fn has(&self, node: usize, keys: &[String], values: &[String]) -> Merged<bool> {
        if values.is_empty() {
            return Ok(false);
        }
        for (key, value) in keys.iter().zip(values) {
            let has = match (&self.nodes[node], key.as_str()) {
                (Node::Scalar(scalar), "") => *scalar.text == **value,
                (Node::Mapping(mapping), key) if !key.is_empty() => {
                    mapping.get(key).is_some_and(|field| value.is_empty() || text_of(field) == value)
                }
                _ => return Err(Misfit::new("a list mixes mappings with plain values")),
            };
            if !has {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts the target's elements behind the merged ones, in place where they are there already.
    fn append_all(&self, added: &mut Vec<usize>, target: &[usize], keys: &[String]) -> Merged<()> {
        for &node in target {
            if keys.first().is_none_or(String::is_empty) {
                let value = text_of(&self.nodes[node]).to_owned();
                self.put(added, Some(node), keys, &[value])?;
                continue;
            }
            let mut values = Vec::new();
            for key in keys {
                match self.nodes[node].get(key).filter(|value| !value.is_null()) {
                    Some(value) => values.push(text_of(value).to_owned()),
                    None => added.push(node),
                }
            }
            if keys.len() > 1 {
                self.put(added, None, keys, &values)?;
            }
            self.put(added, Some(node), keys, &values)?;
        }
        Ok(())
    }
}

/// The keys that any tuple has a value for, with this tuple's values; all keys when none has.
fn valid(tuples: &[Vec<String>], tuple: &[String], keys: &[String]) -> (Vec<String>, Vec<String>) {
    let used = |at: usize| tuples.iter().any(|tuple| tuple.get(at).is_some_and(|value| !value.is_empty()));
    if !(0..keys.len()).any(used) {
        return (keys.to_vec(), tuple.to_vec());
    }
    let pick = |list: &[String]| list.iter().enumerate().filter(|(at, _)| used(*at)).map(|(_, v)| v.clone()).collect();
    (pick(keys), pick(tuple))
}

/// Gives tuples that agree as far as both are filled the union of their values. A tuple is compared as it was when its
/// turn came, whatever it has become since.
fn unify(tuples: &mut [Vec<String>]) {
    for i in 0..tuples.len() {
        let first = tuples[i].clone();
        for j in 0..tuples.len() {
            if let Some(values) = agreed(&first, &tuples[j]) {
                tuples[i].clone_from(&values);
                tuples[j] = values;
            }
        }
    }
}

fn agreed(a: &[String], b: &[String]) -> Option<Vec<String>> {
    let mut common = false;
    let mut values = Vec::with_capacity(a.len());
    for (x, y) in a.iter().zip(b) {
        common |= x == y;
        match (x.is_empty(), y.is_empty()) {
            (false, false) if x != y => return None,
            (true, _) => values.push(y.clone()),
            _ => values.push(x.clone()),
        }
    }
    common.then_some(values)
}
