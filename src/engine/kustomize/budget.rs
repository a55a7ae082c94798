//! [`Budget`]: what one build has used up of its limits.
//!
//! A kustomization of a few kilobytes can ask for gigabytes: bases in diamonds, replacements that multiply, patches that
//! copy. So everything that reads, writes or walks counts here first, and nothing is made that would nest too deep to
//! be walked again. Nothing is measured in time: the same build always ends the same way.

use std::cell::Cell;

use serde_json::Value;

use crate::base::yaml::{Mapping, Node};

use super::Limits;
use super::error::{BuildError, ErrorKind, Result};

/// Mappings and lists within each other in one object.
const DEPTH: usize = 512;
/// What looking at one object counts, in bytes written.
const LOOK: usize = 16;
/// What one node or one change counts besides its text.
const NODE: usize = 8;

/// Counts over all directories of one build.
pub(super) struct Budget {
    limits: Limits,
    files: Cell<usize>,
    resources: Cell<usize>,
    work: Cell<usize>,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Budget { limits, files: Cell::new(0), resources: Cell::new(0), work: Cell::new(0) }
    }

    /// Counts a file that is read, and its bytes.
    pub(super) fn file(&self, bytes: usize) -> Result<()> {
        self.files.set(self.files.get() + 1);
        if self.files.get() > self.limits.files {
            let message = format!("the build reads more than {} files", self.limits.files);
            return Err(BuildError::new(ErrorKind::Limit, message).hint("look for a base that is included many times"));
        }
        self.step(bytes)
    }

    /// Counts an object that comes into the build.
    pub(super) fn resource(&self) -> Result<()> {
        self.resources.set(self.resources.get() + 1);
        if self.resources.get() > self.limits.resources {
            let message = format!("the build has more than {} objects", self.limits.resources);
            return Err(BuildError::new(ErrorKind::Limit, message).hint("divide it into several builds"));
        }
        Ok(())
    }

    /// Counts objects that are looked at to find the ones that are meant.
    pub(super) fn look(&self, objects: usize) -> Result<()> {
        self.step(objects.saturating_mul(LOOK))
    }

    /// Counts bytes that are read or written.
    pub(super) fn step(&self, bytes: usize) -> Result<()> {
        let hint = "look for a change that multiplies what it changes";
        self.write(bytes).map_err(|message| BuildError::new(ErrorKind::Limit, message).hint(hint))
    }

    /// As [`Budget::step`], for where errors are still without a place.
    pub(super) fn write(&self, bytes: usize) -> std::result::Result<(), String> {
        self.work.set(self.work.get().saturating_add(bytes).saturating_add(NODE));
        match self.work.get() > self.limits.work {
            true => Err(format!("the build takes more than {} units of work", self.limits.work)),
            false => Ok(()),
        }
    }
}

/// Refuses to put something of that depth behind a path of that many parts.
pub(super) fn check_depth(parts: usize, depth: usize) -> std::result::Result<(), String> {
    match parts.saturating_add(depth) > DEPTH {
        true => Err(format!("the object would be nested deeper than {DEPTH} levels")),
        false => Ok(()),
    }
}

/// Size and depth of a node; a scalar has depth 0.
pub(super) fn measure(node: &Node) -> (usize, usize) {
    let (mut bytes, mut depth) = (NODE, 0);
    let mut add = |inner: &Node, key: usize| {
        let (size, below) = measure(inner);
        bytes += size + key;
        depth = depth.max(below + 1);
    };
    match node {
        Node::Scalar(scalar) => bytes += scalar.text.len(),
        Node::Sequence(items) => items.iter().for_each(|item| add(item, 0)),
        Node::Mapping(mapping) => mapping.iter().for_each(|(key, value)| add(value, key.len())),
    }
    (bytes, depth)
}

/// Size of a mapping.
pub(super) fn measure_mapping(mapping: &Mapping) -> usize {
    mapping.iter().map(|(key, value)| key.len() + measure(value).0).sum()
}

/// Size and depth of a value; as [`measure`].
pub(super) fn measure_json(value: &Value) -> (usize, usize) {
    let (mut bytes, mut depth) = (NODE, 0);
    let mut add = |inner: &Value, key: usize| {
        let (size, below) = measure_json(inner);
        bytes += size + key;
        depth = depth.max(below + 1);
    };
    match value {
        Value::String(text) => bytes += text.len(),
        Value::Array(items) => items.iter().for_each(|item| add(item, 0)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| add(value, key.len())),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    (bytes, depth)
}
