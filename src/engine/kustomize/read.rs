//! Objects out of files: documents, lists unpacked, each with its origin.
//!
//! Source: kustomize api/resource/factory.go and kyaml/kio/byteio_reader.go.

use std::rc::Rc;

use crate::base::yaml::{self, Mapping, Node};

use super::error::{BuildError, ErrorKind, Result};
use super::patch::node_of_json;
use super::resource::Resource;
use super::{Build, Options, Origin};

/// What an internal annotation starts with.
const INTERNAL: &str = "internal.config.kubernetes.io/";

/// Reads the objects of a file.
///
/// Errors with the line of the document that is malformed, has no kind or has no name.
pub(super) fn read_resources(text: &[u8], file: &str, build: &Build<'_>) -> Result<Vec<Resource>> {
    let documents = yaml::read_nodes(text, &build.options.yaml)
        .map_err(|error| BuildError::new(ErrorKind::Malformed, error.message).at_line(error.line).in_file(file))?;
    let only_one = documents.len() == 1;
    let mut found: Vec<(Node, Rc<Origin>)> = Vec::new();
    for document in documents {
        let origin = Rc::new(Origin { path: file.to_owned(), document: document.index, line: document.line });
        let kind = document.node.get("kind").and_then(Node::as_text).unwrap_or_default();
        let wraps = document.node.get("items").is_some() || document.node.get("functionConfig").is_some();
        if only_one && wraps && matches!(kind, "List" | "ResourceList") {
            let items = match document.node {
                Node::Mapping(mut mapping) => mapping.remove("items"),
                _ => None,
            };
            if let Some(Node::Sequence(items)) = items {
                found.extend(items.into_iter().map(|item| (item, origin.clone())));
            }
        } else {
            found.push((document.node, origin));
        }
    }
    let mut resources = Vec::with_capacity(found.len());
    let mut inner: Vec<(Node, Rc<Origin>)> = Vec::new();
    while !found.is_empty() {
        for (node, origin) in found {
            let place = |error: BuildError| error.at_line(origin.line).in_file(file);
            let Some(mapping) = checked(node).map_err(place)? else { continue };
            if let Some(items) = list_items(&mapping).map_err(place)? {
                inner.extend(items.into_iter().map(|item| (item, origin.clone())));
                continue;
            }
            build.budget.resource()?;
            let mut resource = Resource::new(mapping);
            resource.needs_hash =
                resource.text("annotations", &format!("{INTERNAL}needsHashSuffix")) == Some("enabled");
            resource.origin = Some(origin);
            resources.push(resource);
        }
        found = std::mem::take(&mut inner);
    }
    Ok(resources)
}

/// Checks that a file holds Kubernetes objects and nothing else.
///
/// Errors as [`read_resources`].
pub(super) fn check_objects(text: &[u8], file: &str, options: &Options) -> Result<()> {
    let documents = yaml::read_nodes(text, &options.yaml)
        .map_err(|error| BuildError::new(ErrorKind::Malformed, error.message).at_line(error.line).in_file(file))?;
    for document in documents {
        checked(document.node).map_err(|error| error.at_line(document.line).in_file(file))?;
    }
    Ok(())
}

/// The document as an object; `None` when it is empty.
fn checked(node: Node) -> Result<Option<Mapping>> {
    let fail = |message: &str, hint: &str| Err(BuildError::new(ErrorKind::Malformed, message).hint(hint));
    let mapping = match node {
        Node::Mapping(mapping) => mapping,
        Node::Sequence(items) if items.is_empty() => return Ok(None),
        node if node.is_null() => return Ok(None),
        Node::Sequence(_) => {
            return fail("a list is no Kubernetes object", "write objects as documents divided by ---");
        }
        Node::Scalar(_) => return fail("plain text is no Kubernetes object", "check that the right file is named"),
    };
    if mapping.is_empty() {
        return Ok(None);
    }
    let text = |node: Option<&Node>| node.and_then(Node::as_text).unwrap_or_default().to_owned();
    let kind = text(mapping.get("kind"));
    if kind.is_empty() {
        return fail("the object has no kind", "add apiVersion and kind");
    }
    if !kind.ends_with("List") && text(mapping.get("metadata").and_then(|meta| meta.get("name"))).is_empty() {
        return Err(BuildError::new(ErrorKind::Malformed, "the object has no metadata.name")
            .of(kind)
            .hint("add a name"));
    }
    Ok(Some(mapping))
}

/// The elements of a `FooList`; `None` when the object is no such list.
fn list_items(mapping: &Mapping) -> Result<Option<Vec<Node>>> {
    let is_list = mapping.get("kind").and_then(Node::as_text).is_some_and(|kind| kind.ends_with("List"));
    match mapping.get("items").filter(|_| is_list) {
        None => Ok(None),
        Some(Node::Sequence(items)) => {
            let through_json = |item: &Node| item.to_value().map(|value| node_of_json(&value));
            let made: std::result::Result<Vec<Node>, String> = items.iter().map(through_json).collect();
            made.map(Some).map_err(|message| BuildError::new(ErrorKind::Malformed, message).in_field("items"))
        }
        Some(items) if items.is_null() => Ok(Some(Vec::new())),
        Some(_) => Err(BuildError::new(ErrorKind::Malformed, "the items of a list are not a list").in_field("items")),
    }
}
