//! The image transformer: names, tags and digests of container images.
//!
//! Source: kustomize api/filters/imagetag. Images are looked for in every list called `containers` or
//! `initContainers`, at any depth of any kind, and then in the fields of the table; custom resource definitions are
//! left alone. The name is a regular expression, so a dot in it stands for any character.

use regex::Regex;

use crate::base::yaml::{Mapping, Node, Scalar, Tag};

use super::Build;
use super::budget::Budget;
use super::entries::Image;
use super::error::{BuildError, ErrorKind, Result};
use super::set::Set;
use super::spec::FieldSpec;
use super::walk::{Make, set_scalar, visit};

/// One image setting at work.
struct Step<'a> {
    image: &'a Image,
    pattern: Regex,
    budget: &'a Budget,
}

/// Changes the images that match.
pub(super) fn apply(set: &mut Set, image: &Image, fields: &[FieldSpec], build: &Build<'_>) -> Result<()> {
    let pattern = format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
    let pattern = regex::RegexBuilder::new(&pattern).size_limit(1 << 20).build().map_err(|_| {
        BuildError::new(ErrorKind::Field, format!("the image name {:?} is not a regular expression", image.name))
            .in_field("images")
            .hint("escape characters such as * and ( with a backslash")
    })?;
    let step = Step { image, pattern, budget: &build.budget };
    for resource in set.items_mut().iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
        in_mapping(&mut resource.node, &step)
            .map_err(|message| BuildError::new(ErrorKind::Change, message).in_field("images").of(resource.name()))?;
        for spec in fields {
            visit(resource, spec, Make::Nothing, &mut |node| update(node, &step))?;
        }
        resource.settle_links();
    }
    Ok(())
}

fn in_mapping(mapping: &mut Mapping, step: &Step<'_>) -> std::result::Result<(), String> {
    for (key, node) in &mut mapping.0 {
        in_node(node, step)?;
        if !matches!(&**key, "containers" | "initContainers") {
            continue;
        }
        for container in node.as_sequence_mut().into_iter().flatten().filter(|container| !container.is_null()) {
            let Some(container) = container.as_mapping_mut() else {
                return Err(format!("an element of {key} is not a mapping"));
            };
            if let Some(field) = container.get_mut("image") {
                update(field, step)?;
            }
        }
    }
    Ok(())
}

fn in_node(node: &mut Node, step: &Step<'_>) -> std::result::Result<(), String> {
    match node {
        Node::Scalar(_) => Ok(()),
        Node::Sequence(items) => items.iter_mut().try_for_each(|item| in_node(item, step)),
        Node::Mapping(mapping) => in_mapping(mapping, step),
    }
}

fn update(node: &mut Node, step: &Step<'_>) -> std::result::Result<(), String> {
    let text = match node {
        Node::Scalar(scalar) => scalar.text.clone(),
        _ => return Err("an image is not a plain value".into()),
    };
    if !step.pattern.is_match(&text) {
        return Ok(());
    }
    let new = changed(&text, step.image);
    step.budget.write(new.len())?;
    set_scalar(node, Scalar::new(&new, Tag::Unset))
}

/// The image as the settings want it.
fn changed(text: &str, image: &Image) -> String {
    let (name, tag, digest) = split(text);
    let name = if image.new_name.is_empty() { name } else { &image.new_name };
    let suffixed;
    let (tag, digest) = match (image.new_tag.as_str(), image.digest.as_str(), image.tag_suffix.as_str()) {
        ("", "", "") => (tag, digest),
        ("", "", suffix) => {
            suffixed = format!("{tag}{suffix}");
            (suffixed.as_str(), "")
        }
        (new_tag, new_digest, _) => (new_tag, new_digest),
    };
    let mut made = name.to_owned();
    for (mark, part) in [(':', tag), ('@', digest)] {
        if !part.is_empty() {
            made.push(mark);
            made.push_str(part);
        }
    }
    made
}

/// Name, tag and digest; a colon before the first slash belongs to a registry's port.
fn split(text: &str) -> (&str, &str, &str) {
    let from = text.find('/').unwrap_or(0);
    let at = text[from..].find('@').map(|at| at + from);
    let colon = text[from..].find(':').map(|colon| colon + from);
    match (colon, at) {
        (None, None) => (text, "", ""),
        (Some(colon), Some(at)) if colon < at => (&text[..colon], &text[colon + 1..at], &text[at + 1..]),
        (_, Some(at)) => (&text[..at], "", &text[at + 1..]),
        (Some(colon), None) => (&text[..colon], &text[colon + 1..], ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_taken_apart_behind_the_first_slash() {
        assert_eq!(split("nginx"), ("nginx", "", ""));
        assert_eq!(split("host:5000/a/b:1@sha256:x"), ("host:5000/a/b", "1", "sha256:x"));
        assert_eq!(split("host:5000/a"), ("host:5000/a", "", ""));
        assert_eq!(split("a@sha256:x"), ("a", "", "sha256:x"));
    }
}
