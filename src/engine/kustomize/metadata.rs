//! What `buildMetadata` asks for: notes on the objects about where they come from and what changed them.
//!
//! Source: kustomize api/resource/origin.go. With any option set, both notes are kept during the build and those not
//! asked for are removed at the end.

use crate::base::FileTree;

use super::remote::RemoteAddress;
use super::resource::Resource;
use super::set::Set;

/// The annotation with the origin.
pub(super) const ORIGIN: &str = "config.kubernetes.io/origin";
/// The annotation with the list of transformers.
pub(super) const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// Annotations that never reach the output, whoever wrote them.
pub(super) const INTERNAL: &[&str] = &[
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    "internal.config.kubernetes.io/helm-generated",
];

/// A place seen from the top directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    path: String,
    repository: String,
    reference: String,
    configured_in: String,
    configured_by: String,
}

impl Track {
    /// The place of something that this place names.
    ///
    /// A repository of which the root is meant is called `notCloned`, as in kustomize.
    pub(super) fn append(&self, path: &str) -> Track {
        match RemoteAddress::parse(path) {
            Some(address) => Track {
                path: if address.directory.is_empty() { "notCloned".to_owned() } else { join("", &address.directory) },
                repository: address.repository,
                reference: address.reference,
                ..self.clone()
            },
            None => Track { path: join(&self.path, path), ..self.clone() },
        }
    }

    /// The place of a generator or transformer in a kustomization file.
    pub(super) fn configured(&self, file_name: &str, kind: &str) -> Track {
        Track {
            path: String::new(),
            configured_in: join(&self.path, file_name),
            configured_by: format!("configuredBy:\n  apiVersion: builtin\n  kind: {kind}\n"),
            ..self.clone()
        }
    }

    /// The note as YAML.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (key, value) in [
            ("path", &self.path),
            ("repo", &self.repository),
            ("ref", &self.reference),
            ("configuredIn", &self.configured_in),
        ] {
            if !value.is_empty() {
                text.push_str(&format!("{key}: {value}\n"));
            }
        }
        text.push_str(&self.configured_by);
        text
    }
}

/// Joins and cleans a path; one that leads out of the start keeps its `..`.
fn join(directory: &str, path: &str) -> String {
    FileTree::resolve(directory, path).unwrap_or_else(|| {
        let mut parts: Vec<&str> = Vec::new();
        for part in directory.split('/').chain(path.split('/')) {
            match part {
                "" | "." => {}
                ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        parts.join("/")
    })
}

/// Notes a transformer on all objects; one without origin was made by it.
pub(super) fn note_transformer(set: &mut Set, origin: &str) {
    for resource in set.items_mut() {
        if resource.text("annotations", ORIGIN).is_none() {
            resource.set_annotation(ORIGIN, origin);
            continue;
        }
        let mut list = resource.text("annotations", TRANSFORMATIONS).unwrap_or_default().to_owned();
        for (number, line) in origin.lines().enumerate() {
            list.push_str(if number == 0 { "- " } else { "  " });
            list.push_str(line);
            list.push('\n');
        }
        resource.set_annotation(TRANSFORMATIONS, &list);
    }
}

/// What is noted about a plugin object, when origins are kept.
pub(super) fn of_plugin(plugin: &Resource) -> Option<String> {
    let origin = plugin.text("annotations", ORIGIN)?;
    let field = |key: &str| origin.lines().find_map(|line| line.strip_prefix(&format!("{key}: "))).map(str::to_owned);
    let mut text = String::new();
    for (key, value) in [("repo", field("repo")), ("ref", field("ref")), ("configuredIn", field("path"))] {
        if let Some(value) = value {
            text.push_str(&format!("{key}: {value}\n"));
        }
    }
    text.push_str(&format!("configuredBy:\n  apiVersion: {}\n  kind: {}\n", plugin.api_version(), plugin.kind()));
    for (key, value) in [("name", plugin.name()), ("namespace", plugin.namespace())] {
        if !value.is_empty() {
            text.push_str(&format!("  {key}: {value}\n"));
        }
    }
    Some(text)
}

/// Removes what must not reach the output; annotations are text from here on.
pub(super) fn finish(resource: &mut Resource, keep_origin: bool, keep_transformations: bool) {
    let pairs: Vec<(String, String)> = resource
        .texts("annotations")
        .into_iter()
        .filter(|(key, _)| !INTERNAL.contains(key))
        .filter(|(key, _)| (*key != ORIGIN || keep_origin) && (*key != TRANSFORMATIONS || keep_transformations))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    resource.set_texts("annotations", pairs);
}
