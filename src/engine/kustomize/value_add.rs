//! The value-add transformer: one value into one field of many objects, perhaps as a part of a path.
//!
//! Source: kustomize api/filters/valueadd and api/internal/builtins/ValueAddTransformer.go.

use crate::base::yaml::{Mapping, Node, Scalar, Tag};

use super::Build;
use super::budget::check_depth;
use super::cursor::Cursor;
use super::error::{BuildError, ErrorKind, Result};
use super::resource::{Resource, overwrite};
use super::select::Selector;
use super::set::Set;
use super::spec::split_path;
use super::transform::{NamespaceStep, set_namespace};

/// The value and where it goes.
pub(super) struct ValueAdd {
    pub value: String,
    pub targets: Vec<Target>,
}

/// A field of selected objects.
pub(super) struct Target {
    pub selector: Option<Selector>,
    pub field_path: String,
    /// From 1: the place within a path that the field holds; 0 replaces the field.
    pub position: usize,
}

impl Target {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        let field_path = cursor.get("fieldPath")?.text()?;
        if field_path.is_empty() {
            return Err(cursor.fail("a target has no fieldPath"));
        }
        let position = cursor.get("filePathPosition")?;
        let position = usize::try_from(position.integer()?).map_err(|_| position.fail("a position is not negative"))?;
        Ok(Target { selector: cursor.get("selector")?.optional(Selector::read)?, field_path, position })
    }
}

impl ValueAdd {
    pub(super) fn apply(&self, set: &mut Set, build: &Build<'_>) -> Result<()> {
        let schema = build.schema();
        for target in &self.targets {
            let selector = target.selector.as_ref().map(Selector::compile).transpose()?;
            build.budget.look(set.len())?;
            for resource in set.items_mut() {
                if selector.as_ref().is_some_and(|selector| !selector.matches(resource, &schema)) {
                    continue;
                }
                if target.field_path == "metadata/namespace" {
                    let step = NamespaceStep { namespace: self.value.clone(), ..NamespaceStep::default() };
                    let scoped = resource.is_cluster_scoped(&schema);
                    set_namespace(resource, &step, scoped, build)?;
                    continue;
                }
                let parts = split_path(&target.field_path, '/');
                let put = |resource: &mut Resource| {
                    check_depth(parts.len(), 0)?;
                    build.budget.write(self.value.len())?;
                    self.put(&mut resource.node, &parts, target.position)
                };
                put(resource).map_err(|message| {
                    BuildError::new(ErrorKind::Change, message).in_field(target.field_path.clone()).of(resource.name())
                })?;
                resource.settle_links();
            }
        }
        Ok(())
    }

    fn put(&self, mapping: &mut Mapping, parts: &[String], position: usize) -> std::result::Result<(), String> {
        let Some((name, rest)) = parts.split_first() else { return Ok(()) };
        if mapping.get(name).is_none() {
            let made = match rest {
                [] => Node::Scalar(Scalar::new("", Tag::Unset)),
                _ => Node::Mapping(Mapping::default()),
            };
            mapping.0.push((name.as_str().into(), made));
        }
        match mapping.get_mut(name) {
            Some(Node::Mapping(inner)) if !rest.is_empty() => self.put(inner, rest, position),
            Some(Node::Scalar(scalar)) if rest.is_empty() => {
                let new = match position {
                    0 => self.value.clone(),
                    at => insert_part(&scalar.text, at - 1, &self.value),
                };
                overwrite(scalar, Scalar::new(&new, Tag::Unset));
                Ok(())
            }
            _ => Err(format!("the field {name:?} is not of the kind that the path wants")),
        }
    }
}

/// Inserts a part into a file path; beyond the end it is appended. An absolute path stays absolute.
fn insert_part(path: &str, position: usize, part: &str) -> String {
    if path.is_empty() {
        return part.to_owned();
    }
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    let joined = parts.join("/");
    if path.starts_with('/') { format!("/{joined}") } else { joined }
}
