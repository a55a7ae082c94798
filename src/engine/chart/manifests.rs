//! Cuts rendered files into manifests and hooks and puts them in the order Helm installs them.
//!
//! Start with [`sort`]. Source: helm pkg/release/v1/util (manifest.go, manifest_sorter.go, kind_sorter.go).

use serde_json::Value as Json;

use super::ChartError;
use crate::base::yaml;

/// Kinds in the order in which they are installed; others come last, by name.
const INSTALL_ORDER: [&str; 38] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

const EVENTS: [&str; 10] = [
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
    "test-success",
];

const ANNOTATIONS: &str = "/metadata/annotations";

/// One document of a rendered file.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The template it came from, e.g. `app/templates/service.yaml`.
    pub path: String,
    pub kind: String,
    pub name: String,
    pub text: String,
}

/// A manifest that is run at a moment of a release's life.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    pub manifest: Manifest,
    /// E.g. `pre-install`; `test-success` is `test`.
    pub events: Vec<String>,
    pub weight: i64,
    pub delete_policies: Vec<String>,
    pub log_policies: Vec<String>,
}

/// What a document of a rendered file is.
pub(super) enum Piece {
    Manifest(Manifest),
    Hook(Hook),
}

/// A rendered file, cut into its documents.
pub(super) type Cut = (String, Result<Vec<Piece>, ChartError>);

/// Cuts a rendered file into its documents.
///
/// Errors when a document is not YAML.
pub(super) fn cut(path: &str, content: &str) -> Result<Vec<Piece>, ChartError> {
    let base = path.rsplit('/').next().unwrap_or_default();
    if base.starts_with('_') || content.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut pieces = Vec::new();
    for text in split(content) {
        let head = head(path, text)?;
        let scalar = |pointer: &str| head.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
        let annotations = head.pointer("/metadata/annotations");
        let manifest = Manifest {
            path: path.to_owned(),
            kind: scalar("/kind"),
            name: scalar("/metadata/name"),
            text: text.to_owned(),
        };
        match annotations.and_then(|annotations| annotations.get("helm.sh/hook")).and_then(Json::as_str) {
            None => pieces.push(Piece::Manifest(manifest)),
            Some(events) => pieces.extend(hook(manifest, events, annotations.unwrap_or(&Json::Null)).map(Piece::Hook)),
        }
    }
    Ok(pieces)
}

/// Sorts the documents of all files into hooks and manifests.
///
/// Errors with the first file that could not be cut.
pub(super) fn sort(mut files: Vec<Cut>) -> Result<(Vec<Hook>, Vec<Manifest>), ChartError> {
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (mut hooks, mut manifests) = (Vec::new(), Vec::new());
    for (_, pieces) in files {
        for piece in pieces? {
            match piece {
                Piece::Manifest(manifest) => manifests.push(manifest),
                Piece::Hook(hook) => hooks.push(hook),
            }
        }
    }
    manifests.sort_by_key(|manifest| rank(&manifest.kind));
    hooks.sort_by_key(|hook| rank(&hook.manifest.kind));
    Ok((hooks, manifests))
}

fn rank(kind: &str) -> (usize, String) {
    match INSTALL_ORDER.iter().position(|known| *known == kind) {
        Some(place) => (place, String::new()),
        None => (INSTALL_ORDER.len(), kind.to_owned()),
    }
}

/// The documents of a file without their `---` lines and leading space.
pub(super) fn split(content: &str) -> Vec<&str> {
    let content = content.trim_start();
    let mut documents = Vec::new();
    let mut start = 0;
    let mut line = 0;
    while line < content.len() {
        let end = content[line..].find('\n').map_or(content.len(), |end| line + end + 1);
        if let Some(rest) = content[line..end].strip_prefix("---") {
            documents.push(&content[start..line]);
            start = end - rest.trim_start_matches([' ', '\t']).len();
        }
        line = end;
    }
    documents.push(&content[start..]);
    documents.into_iter().filter(|document| !document.trim().is_empty()).map(str::trim_start).collect()
}

fn head(path: &str, text: &str) -> Result<Json, ChartError> {
    let failed = |why: String| ChartError::Manifest { path: path.to_owned(), why };
    let documents = yaml::read_only(
        text.as_bytes(),
        &yaml::Limits::default(),
        yaml::Dialect::Lenient,
        &["apiVersion", "kind", "metadata"],
    );
    let head = documents.map_err(|error| failed(error.to_string()))?;
    let mut head = head.into_iter().next().map_or(Json::Null, |document| document.value);
    if !head.is_object() && !head.is_null() {
        return Err(failed("the document is not a map".into()));
    }
    for (pointer, is_map) in
        [("/apiVersion", false), ("/kind", false), ("/metadata", true), ("/metadata/name", false), (ANNOTATIONS, true)]
    {
        match head.pointer_mut(pointer) {
            None | Some(Json::Null) => {}
            Some(value) if is_map && !value.is_object() => {
                return Err(failed(format!("{} is not a map", name(pointer))));
            }
            Some(_) if is_map => {}
            Some(value) => as_text(value).map_err(|()| failed(format!("{} is not text", name(pointer))))?,
        }
    }
    let annotations = head.pointer_mut(ANNOTATIONS).and_then(Json::as_object_mut);
    for (key, value) in annotations.into_iter().flatten() {
        as_text(value).map_err(|()| failed(format!("the annotation {key} is not text; put its value in quotes")))?;
    }
    Ok(head)
}

/// A pointer as people write fields.
fn name(pointer: &str) -> String {
    pointer[1..].replace('/', ".")
}

/// Makes text of a number or a boolean where text is wanted, as sigs.k8s.io/yaml does; nothing stays nothing.
fn as_text(value: &mut Json) -> Result<(), ()> {
    match value {
        Json::Number(number) => *value = number.to_string().trim_end_matches(".0").into(),
        Json::Bool(truth) => *value = truth.to_string().into(),
        Json::String(_) | Json::Null => {}
        Json::Array(_) | Json::Object(_) => return Err(()),
    }
    Ok(())
}

fn hook(manifest: Manifest, events: &str, annotations: &Json) -> Option<Hook> {
    let list = |key: &str| {
        let value = annotations.get(key).and_then(Json::as_str);
        value.map_or_else(Vec::new, |value| value.split(',').map(|part| part.trim().to_lowercase()).collect())
    };
    let events: Vec<String> = events.split(',').map(|event| event.trim().to_lowercase()).collect();
    // A hook that Helm does not know is neither run nor installed.
    if !events.iter().all(|event| EVENTS.contains(&event.as_str())) {
        return None;
    }
    let events = events.into_iter().map(|event| if event == "test-success" { "test".into() } else { event }).collect();
    let weight = annotations.get("helm.sh/hook-weight").and_then(Json::as_str);
    Some(Hook {
        manifest,
        events,
        weight: weight.and_then(|weight| weight.parse().ok()).unwrap_or(0),
        delete_policies: list("helm.sh/hook-delete-policy"),
        log_policies: list("helm.sh/hook-output-log-policy"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_an_object_is_text_or_a_scalar() {
        let name = |text: &str| match cut("t", text).map(|mut pieces| pieces.remove(0)) {
            Ok(Piece::Manifest(manifest)) => manifest.name,
            Ok(Piece::Hook(hook)) => format!("hook {} {}", hook.manifest.name, hook.weight),
            Err(error) => error.to_string(),
        };
        assert_eq!(name("kind: A\nmetadata: {name: 12, annotations: {a: true, b: null}}"), "12");
        assert_eq!(
            name("metadata: {name: j, annotations: {helm.sh/hook: test, helm.sh/hook-weight: -5}}"),
            "hook j -5"
        );
        for (text, field) in [
            ("kind: [x]", "kind"),
            ("apiVersion: {a: b}", "apiVersion"),
            ("metadata: x", "metadata"),
            ("metadata: {name: [x]}", "metadata.name"),
            ("metadata: {annotations: [x]}", "metadata.annotations"),
            ("metadata: {annotations: {a: [x]}}", "annotation a"),
        ] {
            let error = name(text);
            assert!(error.contains(&format!("{field} is not")), "{text}: {error}");
        }
    }
}
