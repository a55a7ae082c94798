//! The order in which objects are applied and deleted, and the stages of an apply.
//!
//! What others need comes first: definitions and namespaces, then classes, then accounts and configuration, then what
//! runs, and webhooks last. Deletion goes the other way. Source: fluxcd/pkg ssa sort.go and utils/is.go.
//! Start with [`stage_of`] and [`sort_for_apply`].

use std::cmp::Ordering;

use crate::base::{Id, Value};

/// A part of an apply; the next begins when this one is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Custom resource definitions, namespaces and cluster roles; waited for.
    Definitions,
    /// Kinds whose name ends in `Class`; waited for.
    Classes,
    /// Kinds that the operator chose; waited for by nobody.
    Custom,
    /// Everything else.
    Rest,
}

const FIRST: [&str; 23] = [
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The stage of an object; `custom` names kinds as `group/Kind`, the core group being empty.
pub fn stage_of(object: &Value, custom: &[String]) -> Stage {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let is_definition = match kind.to_ascii_lowercase().as_str() {
        "customresourcedefinition" => api_version.starts_with("apiextensions.k8s.io/"),
        "namespace" => api_version == "v1",
        "clusterrole" => api_version.starts_with("rbac.authorization.k8s.io/"),
        _ => false,
    };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match () {
        () if is_definition => Stage::Definitions,
        () if kind.ends_with("Class") => Stage::Classes,
        () if custom.iter().any(|name| name.rsplit_once('/').unwrap_or(("", name)) == (group, kind)) => Stage::Custom,
        () => Stage::Rest,
    }
}

/// Compares two ids by the order of applying.
pub fn compare(a: &Id, b: &Id) -> Ordering {
    let key = |id: &Id| (rank(&id.kind), id.group.clone(), id.kind.clone(), id.namespace.clone(), id.name.clone());
    key(a).cmp(&key(b))
}

/// Orders objects for applying; what has no id comes last.
pub fn sort_for_apply<T>(objects: &mut [T], id: impl Fn(&T) -> Option<Id>) {
    objects.sort_by_cached_key(|object| match id(object) {
        Some(id) => (rank(&id.kind), id.group, id.kind, id.namespace, id.name),
        None => (usize::MAX, "".into(), "".into(), "".into(), "".into()),
    });
}

/// Orders objects for deleting.
pub fn sort_for_delete<T>(objects: &mut [T], id: impl Fn(&T) -> Option<Id>) {
    sort_for_apply(objects, id);
    objects.reverse();
}

fn rank(kind: &str) -> usize {
    match (FIRST.iter().position(|name| *name == kind), LAST.iter().position(|name| *name == kind)) {
        (Some(rank), _) => rank,
        (None, Some(rank)) => FIRST.len() + 1 + rank,
        (None, None) => FIRST.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(api_version: &str, kind: &str, name: &str) -> Value {
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "n"}})
    }

    #[test]
    fn what_is_needed_comes_first_and_goes_last() {
        let mut objects = [
            object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "w"),
            object("example.org/v1", "Widget", "b"),
            object("apps/v1", "Deployment", "d"),
            object("example.org/v1", "Widget", "a"),
            object("v1", "Namespace", "n"),
            object("v1", "Pod", "p"),
            object("v1", "ConfigMap", "c"),
        ];
        let kinds = |objects: &[Value]| -> Vec<String> {
            objects
                .iter()
                .map(|o| format!("{}/{}", o["kind"].as_str().unwrap(), o["metadata"]["name"].as_str().unwrap()))
                .collect()
        };
        sort_for_apply(&mut objects, Id::of);
        let order = kinds(&objects);
        assert_eq!(
            order,
            [
                "Namespace/n",
                "ConfigMap/c",
                "Deployment/d",
                "Pod/p",
                "Widget/a",
                "Widget/b",
                "ValidatingWebhookConfiguration/w"
            ]
        );
        sort_for_delete(&mut objects, Id::of);
        assert!(kinds(&objects).iter().eq(order.iter().rev()));
    }

    #[test]
    fn stages_follow_group_and_kind() {
        let custom = ["example.org/Widget".to_owned(), "/Pod".to_owned()];
        for (api_version, kind, stage) in [
            ("v1", "Namespace", Stage::Definitions),
            ("knative.dev/v1", "Namespace", Stage::Rest),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition", Stage::Definitions),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", Stage::Definitions),
            ("storage.k8s.io/v1", "StorageClass", Stage::Classes),
            ("example.org/v2", "Widget", Stage::Custom),
            ("v1", "Pod", Stage::Custom),
            ("v1", "ConfigMap", Stage::Rest),
        ] {
            assert_eq!(stage_of(&object(api_version, kind, "x"), &custom), stage, "{api_version} {kind}");
        }
    }
}
