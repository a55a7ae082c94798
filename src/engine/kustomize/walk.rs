//! Walking to the fields that a [`FieldSpec`] names, through lists and over what is missing.
//!
//! Source: kustomize api/filters/fieldspec. A path goes through a list to each element without saying so; `name[]`
//! says so, and turns a null there into an empty list even when nothing else happens.

use crate::base::yaml::{Mapping, Node, Scalar, Tag};

use super::error::{BuildError, ErrorKind, Result};
use super::resource::{Resource, overwrite, set_field};
use super::spec::FieldSpec;

/// What is made at the end of a path that does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    Nothing,
    Mapping,
    Scalar(Tag),
}

type Set<'s> = dyn FnMut(&mut Node) -> std::result::Result<(), String> + 's;

/// Calls `set` on each field of the object that the spec names, if the object is of its kind.
pub(super) fn visit(resource: &mut Resource, spec: &FieldSpec, make: Make, set: &mut Set<'_>) -> Result<()> {
    if !spec.gvk.selects(resource.group(), resource.version(), resource.kind()) {
        return Ok(());
    }
    let make = if spec.create { make } else { Make::Nothing };
    if let [first, second, ..] = &spec.parts[..]
        && (first.as_str(), second.as_str()) == ("metadata", "annotations")
    {
        resource.admit_annotations();
    }
    in_mapping(&mut resource.node, &spec.parts, make, set).map_err(|message| {
        BuildError::new(ErrorKind::Change, message).in_field(spec.path.clone()).of(format!(
            "{}/{}",
            resource.kind(),
            resource.name()
        ))
    })
}

fn at(node: &mut Node, parts: &[String], make: Make, set: &mut Set<'_>) -> std::result::Result<(), String> {
    if parts.is_empty() {
        return set(node);
    }
    match node {
        _ if node.is_null() => Ok(()),
        Node::Sequence(items) => items.iter_mut().try_for_each(|item| at(item, parts, make, set)),
        Node::Mapping(mapping) => in_mapping(mapping, parts, make, set),
        Node::Scalar(_) => Err(format!("the field {:?} is looked for in a plain value", parts[0])),
    }
}

fn in_mapping(
    mapping: &mut Mapping,
    parts: &[String],
    make: Make,
    set: &mut Set<'_>,
) -> std::result::Result<(), String> {
    let (name, is_list) = parts[0].strip_suffix("[]").map_or((parts[0].as_str(), false), |name| (name, true));
    if name.is_empty() {
        return Err("a part of the path is empty".into());
    }
    let made = || match make {
        _ if is_list => None,
        Make::Nothing => None,
        Make::Scalar(_) if parts.len() == 1 => Some(Node::Scalar(Scalar::new("", Tag::Unset))),
        _ => Some(Node::Mapping(Mapping::default())),
    };
    if mapping.get(name).is_none() {
        let Some(node) = made() else { return Ok(()) };
        mapping.0.push((name.into(), node));
    }
    let Some(field) = mapping.get_mut(name) else { return Ok(()) };
    if field.is_null() {
        match (is_list, made(), make) {
            (true, ..) => *field = Node::Sequence(Vec::new()),
            (_, Some(Node::Scalar(_)), Make::Scalar(tag)) => *field = Node::Scalar(Scalar::new("", tag)),
            (_, Some(node), _) => *field = node,
            _ => {}
        }
    }
    at(field, &parts[1..], make, set)
}

/// Writes a scalar over a field that holds one; its style stays.
pub(super) fn set_scalar(node: &mut Node, new: Scalar) -> std::result::Result<(), String> {
    match node {
        Node::Scalar(old) => {
            overwrite(old, new);
            Ok(())
        }
        Node::Mapping(_) => Err("a plain value is wanted, and this is a mapping".into()),
        Node::Sequence(_) => Err("a plain value is wanted, and this is a list".into()),
    }
}

/// Sets one entry of a mapping field to text. Tells whether the entry is new.
pub(super) fn set_entry(node: &mut Node, key: &str, value: &str, link: u32) -> std::result::Result<bool, String> {
    match node {
        Node::Mapping(mapping) => {
            let is_new = mapping.get(key).is_none();
            set_field(mapping, key, Scalar::new(value, Tag::Str));
            if let (true, Some(Node::Scalar(scalar))) = (is_new, mapping.get_mut(key)) {
                scalar.link = link;
            }
            Ok(is_new)
        }
        _ if node.is_null() => Ok(false),
        Node::Scalar(_) => Err("a mapping is wanted, and this is a plain value".into()),
        Node::Sequence(_) => Err("a mapping is wanted, and this is a list".into()),
    }
}
