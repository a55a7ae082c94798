//! [`Set`]: the objects of a build in load order, no two of one id.
//!
//! Source: kustomize api/resmap/reswrangler.go. Ids are kept in a hash set while objects are only added, and made
//! anew after a change: comparing each with each, as kustomize does, costs minutes with thousands of objects.

use std::collections::HashSet;
use std::collections::btree_map::BTreeMap;

use crate::base::yaml::{Mapping, Node};

use super::error::{BuildError, ErrorKind, Result};
use super::metadata::ORIGIN;
use super::resource::{Behavior, Id, Resource, careful, text_of};
use super::schema::Schema;

/// Objects in load order.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    items: Vec<Resource>,
    ids: Option<HashSet<Id>>,
}

impl Set {
    pub(super) fn items(&self) -> &[Resource] {
        &self.items
    }

    /// The objects to change; their ids are looked at anew afterwards.
    pub(super) fn items_mut(&mut self) -> &mut Vec<Resource> {
        self.ids = None;
        &mut self.items
    }

    pub(super) fn into_items(self) -> Vec<Resource> {
        self.items
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds an object.
    ///
    /// Errors when one of its id is there.
    pub(super) fn append(&mut self, resource: Resource, schema: &Schema) -> Result<()> {
        let items = &self.items;
        let ids = self.ids.get_or_insert_with(|| items.iter().map(|item| item.id(schema)).collect());
        if ids.insert(resource.id(schema)) {
            self.items.push(resource);
            return Ok(());
        }
        let id = resource.id(schema);
        let first = self.items.iter().find(|item| item.id(schema) == id).and_then(|item| item.origin.as_deref());
        let mut error = BuildError::new(
            ErrorKind::Conflict,
            match first {
                Some(first) => format!("the object exists already, from {first}"),
                None => "the object exists already".to_owned(),
            },
        )
        .of(&id)
        .hint("remove one, or change it with a patch");
        if let Some(origin) = &resource.origin {
            error = error.in_file(&origin.path).at_line(origin.line);
        }
        Err(error)
    }

    pub(super) fn append_all(&mut self, resources: impl IntoIterator<Item = Resource>, schema: &Schema) -> Result<()> {
        resources.into_iter().try_for_each(|resource| self.append(resource, schema))
    }

    /// Refuses two objects of one id, after a change that may have made them so.
    pub(super) fn check_ids(&mut self, schema: &Schema, what: &str) -> Result<()> {
        let mut ids = HashSet::with_capacity(self.items.len());
        for item in &self.items {
            let id = item.id(schema);
            if !ids.insert(id.clone()) {
                let message = format!("{what} gives two objects the same id");
                return Err(BuildError::new(ErrorKind::Conflict, message).of(id).hint("rename one of them"));
            }
        }
        self.ids = Some(ids);
        Ok(())
    }

    pub(super) fn drop_empty(&mut self) {
        if self.items.iter().any(Resource::is_empty) {
            self.items_mut().retain(|item| !item.is_empty());
        }
    }

    /// Positions of the objects that have or had an id.
    pub(super) fn with_any_id(&self, id: &Id, schema: &Schema) -> Vec<usize> {
        let has = |(at, item): (usize, &Resource)| (!item.is_empty() && item.ever_had(id, schema)).then_some(at);
        self.items.iter().enumerate().filter_map(has).collect()
    }

    /// Takes in a generated object: as a new one, or into the one that it merges with or replaces.
    pub(super) fn absorb(&mut self, new: Resource, schema: &Schema) -> Result<()> {
        let id = new.id(schema);
        let found = self.with_any_id(&id, schema);
        let fail = |message: &str, hint: &str| Err(BuildError::new(ErrorKind::Conflict, message).of(&id).hint(hint));
        match (found[..].first(), new.behavior) {
            (Some(_), _) if found.len() > 1 => fail("several objects could be merged with", "give it a namespace"),
            (None, Behavior::Merge | Behavior::Replace) => fail(
                "there is no object to merge with or to replace",
                "use behavior create, or check name and namespace",
            ),
            (None, _) => self.append(new, schema),
            (Some(&at), Behavior::Merge | Behavior::Replace) => {
                let merged = merge_generated(&self.items[at], new);
                self.items_mut()[at] = merged;
                Ok(())
            }
            (Some(_), _) => fail("the object exists already", "use behavior merge or replace"),
        }
    }
}

/// The generated object with what it keeps of the one before.
fn merge_generated(old: &Resource, mut new: Resource) -> Resource {
    for field in ["labels", "annotations"] {
        let pairs = union(old.texts(field), new.texts(field));
        new.set_texts(field, pairs);
    }
    let name = old.name().to_owned();
    new.set_name(&name);
    let namespace = old.namespace().to_owned();
    new.set_namespace(&namespace);
    if new.behavior == Behavior::Merge {
        for field in ["data", "binaryData"] {
            let texts = |resource: &Resource| -> Vec<(String, String)> {
                let fields = resource.node.get(field).and_then(Node::as_mapping).into_iter().flat_map(Mapping::iter);
                fields.map(|(key, value)| (key.to_owned(), null_as_empty(value).to_owned())).collect()
            };
            let (before, after) = (texts(old), texts(&new));
            let pairs = union(borrow(&before), borrow(&after));
            new.node.remove(field);
            if !pairs.is_empty() {
                let made: Vec<_> =
                    pairs.into_iter().map(|(key, value)| (key.into(), Node::Scalar(careful(&value)))).collect();
                new.node.insert(field, Node::Mapping(made.into()));
            }
        }
        new.origin.clone_from(&old.origin);
        if let Some(origin) = old.text("annotations", ORIGIN) {
            new.set_annotation(ORIGIN, origin);
        }
    }
    new.former.clone_from(&old.former);
    new.prefixes.clone_from(&old.prefixes);
    new.suffixes.clone_from(&old.suffixes);
    new.variables.clone_from(&old.variables);
    new.needs_hash &= old.needs_hash;
    new.behavior = old.behavior;
    new
}

fn borrow(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn null_as_empty(node: &Node) -> &str {
    if node.is_null() { "" } else { text_of(node) }
}

/// Both, the second winning, in the order of keys.
pub(super) fn union(first: Vec<(&str, &str)>, second: Vec<(&str, &str)>) -> Vec<(String, String)> {
    let pairs: BTreeMap<&str, &str> = first.into_iter().chain(second).collect();
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
