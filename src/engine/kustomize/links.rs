//! Values that change together.
//!
//! When kustomize adds one label to several places of an object, all places hold the very same node, and whoever
//! changes one later (a patch, a replacement) changes all: the label of an object and the selector that matches it
//! stay equal. Kustomizations rely on it without knowing, so it is kept: such scalars carry one number.

use std::collections::HashMap;

use crate::base::yaml::{Mapping, Node, Scalar};

use super::resource::Resource;

impl Resource {
    /// Notes that scalars with this number are one from now on.
    pub(super) fn link(&mut self, link: u32, value: Scalar) {
        self.links.insert(link, value);
    }

    /// After a change: gives all of a number the value of the one that changed.
    pub(super) fn settle_links(&mut self) {
        if self.links.is_empty() {
            return;
        }
        let mut changed = HashMap::new();
        in_mapping(&self.node, &mut |scalar| {
            if self.links.get(&scalar.link).is_some_and(|known| known.text != scalar.text || known.tag != scalar.tag) {
                changed.insert(scalar.link, scalar.clone());
            }
        });
        if !changed.is_empty() {
            write(&mut self.node, &changed);
            self.links.extend(changed);
        }
    }
}

fn in_mapping(mapping: &Mapping, look: &mut impl FnMut(&Scalar)) {
    mapping.iter().for_each(|(_, node)| in_node(node, look));
}

fn in_node(node: &Node, look: &mut impl FnMut(&Scalar)) {
    match node {
        Node::Scalar(scalar) if scalar.link != 0 => look(scalar),
        Node::Scalar(_) => {}
        Node::Sequence(items) => items.iter().for_each(|item| in_node(item, look)),
        Node::Mapping(mapping) => in_mapping(mapping, look),
    }
}

fn write(mapping: &mut Mapping, changed: &HashMap<u32, Scalar>) {
    for (_, node) in &mut mapping.0 {
        write_node(node, changed);
    }
}

fn write_node(node: &mut Node, changed: &HashMap<u32, Scalar>) {
    match node {
        Node::Scalar(scalar) => {
            if let Some(new) = changed.get(&scalar.link) {
                *scalar = new.clone();
            }
        }
        Node::Sequence(items) => items.iter_mut().for_each(|item| write_node(item, changed)),
        Node::Mapping(mapping) => write(mapping, changed),
    }
}
