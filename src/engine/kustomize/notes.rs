//! The annotations in which kustomize keeps what it knows of an object, for the changes that see them.
//!
//! Here they are fields of [`Resource`]. Only what reads or writes annotations as a whole can tell: a JSON patch, or a
//! replacement of `metadata` or `metadata.annotations`. For those the notes are written out before and taken in after.
//! Source: kustomize api/internal/utils/annotations.go.

use std::collections::BTreeMap;

use crate::base::yaml::{Mapping, Node};

use super::resource::{Behavior, Former, Resource};

const NAMES: &str = "internal.config.kubernetes.io/previousNames";
const NAMESPACES: &str = "internal.config.kubernetes.io/previousNamespaces";
const KINDS: &str = "internal.config.kubernetes.io/previousKinds";
const PREFIXES: &str = "internal.config.kubernetes.io/prefixes";
const SUFFIXES: &str = "internal.config.kubernetes.io/suffixes";
const BEHAVIOR: &str = "internal.config.kubernetes.io/generatorBehavior";
const NEEDS_HASH: &str = "internal.config.kubernetes.io/needsHashSuffix";
const ALLOW_NAME: &str = "internal.config.kubernetes.io/allowNameChange";
const ALLOW_KIND: &str = "internal.config.kubernetes.io/allowKindChange";

const ALL: [&str; 9] = [NAMES, NAMESPACES, KINDS, PREFIXES, SUFFIXES, BEHAVIOR, NEEDS_HASH, ALLOW_NAME, ALLOW_KIND];

/// Whether a JSON patch leaves an annotation as it was.
fn is_kept(key: &str) -> bool {
    key.starts_with("internal.config.kubernetes.io/")
        || matches!(key, "config.kubernetes.io/path" | "config.kubernetes.io/index" | "config.k8s.io/id")
}

/// Whether a path leads to where the notes are.
pub(super) fn are_seen_by(path: &[String]) -> bool {
    match path {
        [first] => first == "metadata",
        [first, second, ..] => first == "metadata" && second == "annotations",
        [] => false,
    }
}

impl Resource {
    fn notes(&self) -> Vec<(&'static str, String)> {
        let former = |part: fn(&Former) -> &str| self.former.iter().map(part).collect::<Vec<_>>().join(",");
        let enabled = |on: bool| if on { "enabled".to_owned() } else { String::new() };
        let behavior = match self.behavior {
            Behavior::Given => "",
            Behavior::Unspecified => "unspecified",
            Behavior::Create => "create",
            Behavior::Replace => "replace",
            Behavior::Merge => "merge",
        };
        let notes = [
            (NAMES, former(|former| &former.name)),
            (NAMESPACES, former(|former| &former.namespace)),
            (KINDS, former(|former| &former.kind)),
            (PREFIXES, self.prefixes.join(",")),
            (SUFFIXES, self.suffixes.join(",")),
            (BEHAVIOR, behavior.to_owned()),
            (NEEDS_HASH, enabled(self.needs_hash)),
            (ALLOW_NAME, enabled(self.allow_name_change)),
            (ALLOW_KIND, enabled(self.allow_kind_change)),
        ];
        notes.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }

    /// Writes the notes out as annotations.
    pub(super) fn write_notes(&mut self) {
        for (key, text) in self.notes() {
            self.set_annotation(key, &text);
        }
    }

    /// Takes the notes in from the annotations: what is no longer there is forgotten.
    pub(super) fn read_notes(&mut self) {
        let text = |key: &str| self.text("annotations", key).map(str::to_owned);
        let list = |key: &str| -> Vec<String> {
            text(key).map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
        };
        let (names, namespaces, kinds) = (list(NAMES), list(NAMESPACES), list(KINDS));
        let fits = names.len() == namespaces.len() && names.len() == kinds.len();
        let former = names.into_iter().zip(namespaces).zip(kinds).filter(|_| fits);
        let former = former.map(|((name, namespace), kind)| Former { kind, name, namespace }).collect();
        let is_on = |key: &str| text(key).as_deref() == Some("enabled");
        let behavior = match text(BEHAVIOR).as_deref() {
            Some("create") => Behavior::Create,
            Some("replace") => Behavior::Replace,
            Some("merge") => Behavior::Merge,
            Some(_) => Behavior::Unspecified,
            None => Behavior::Given,
        };
        let (prefixes, suffixes) = (list(PREFIXES), list(SUFFIXES));
        let (needs_hash, allow_name, allow_kind) = (is_on(NEEDS_HASH), is_on(ALLOW_NAME), is_on(ALLOW_KIND));
        (self.former, self.prefixes, self.suffixes, self.behavior) = (former, prefixes, suffixes, behavior);
        (self.needs_hash, self.allow_name_change, self.allow_kind_change) = (needs_hash, allow_name, allow_kind);
        self.remove_notes();
    }

    fn remove_notes(&mut self) {
        let meta = self.node.get_mut("metadata").and_then(Node::as_mapping_mut);
        let Some(meta) = meta else { return };
        if let Some(annotations) = meta.get_mut("annotations").and_then(Node::as_mapping_mut) {
            annotations.0.retain(|(key, _)| !ALL.contains(&&**key));
            if annotations.is_empty() {
                meta.remove("annotations");
            }
        }
    }

    /// The annotations that outlive a JSON patch, besides the notes.
    pub(super) fn kept_annotations(&self) -> BTreeMap<String, String> {
        let texts = self.texts("annotations").into_iter().filter(|(key, _)| is_kept(key) && !ALL.contains(key));
        texts.map(|(key, text)| (key.to_owned(), text.to_owned())).collect()
    }

    /// After a JSON patch: annotations become text, and those that outlive it come back.
    ///
    /// Errors when there is no mapping to hold them.
    pub(super) fn restore_annotations(&mut self, kept: BTreeMap<String, String>) -> Result<(), String> {
        if self.node.get("metadata").is_some_and(|meta| meta.as_mapping().is_none()) {
            return Err("metadata is no mapping any more".into());
        }
        let texts = self.texts("annotations").into_iter().filter(|(key, _)| !ALL.contains(key));
        let mut pairs: BTreeMap<String, String> = texts.map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
        pairs.extend(kept);
        self.set_texts("annotations", pairs.into_iter().collect());
        Ok(())
    }

    /// The object with its notes, as a replacement reads it.
    pub(super) fn with_notes(&self) -> Mapping {
        let mut copy = self.clone();
        copy.write_notes();
        copy.node
    }
}
