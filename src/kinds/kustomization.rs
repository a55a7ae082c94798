//! Kustomization: a path of a source, built, applied, watched and pruned.
//!
//! Source: kustomize-controller api/v1 and docs/spec/v1/kustomizations.md.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, MESSAGE, READY, REVISION, SUSPENDED, at};
use super::meta::{DependencyReference, KindReference, LocalReference, Snapshot};
use super::{Custom, DEPLOYER_VERBS, Family, Kind, Relation, Tie, View, git_repository, kstatus};
use crate::base::{Condition, Id};

pub static KIND: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "Kustomization",
    plural: "kustomizations",
    short_names: &["ks"],
    namespaced: true,
    family: Family::Deployer,
    doc: "a path of a source that is built, applied, watched and pruned",
    columns: &[
        Column {
            name: "SOURCE",
            doc: "what it is built from",
            wide: true,
            cell: |document| {
                format!("{}/{}", at(document, "/spec/sourceRef/kind"), at(document, "/spec/sourceRef/name"))
            },
        },
        REVISION,
        SUSPENDED,
        READY,
        MESSAGE,
    ],
    relations,
    health: kstatus::health,
    verbs: DEPLOYER_VERBS,
    views: &[View::Diff],
    custom: Some(Custom {
        crd,
        controller: "kustomize-controller",
        is_static: |_| false,
        achieved: |document| super::revision("applied", at(document, "/status/lastAppliedRevision")),
    }),
    example: EXAMPLE,
};

pub const GROUP: &str = "kustomize.toolkit.fluxcd.io";
/// Labels on everything that a Kustomization applied; only objects that carry both may be pruned.
pub const OWNER_NAME: &str = "kustomize.toolkit.fluxcd.io/name";
pub const OWNER_NAMESPACE: &str = "kustomize.toolkit.fluxcd.io/namespace";

/// What to build, how to apply it, and when it counts as well.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kustomize.toolkit.fluxcd.io",
    version = "v1",
    kind = "Kustomization",
    namespaced,
    status = "KustomizationStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "ks",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-appliers",
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct KustomizationSpec {
    /// Labels and annotations for every applied object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencyReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,
    /// Period of the reconciliation, a Go duration.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: String,
    /// Wait after a failure; the interval when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub retry_interval: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfigReference>,
    /// Directory in the source; its root when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_build: Option<PostBuild>,
    /// Deletes what is no longer in the source.
    pub prune: bool,
    /// MirrorPrune, Delete, WaitForTermination or Orphan; MirrorPrune when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<KindReference>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<CustomHealthCheck>,
    /// Waits for the health of everything applied; overrides healthChecks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name_suffix: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Paths of kustomize components, relative to `path`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_missing_components: Option<bool>,
    /// originAnnotations, transformerAnnotations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_metadata: Vec<String>,
    /// ServiceAccount of this namespace to apply as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    pub source_ref: SourceReference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Namespace for every namespaced object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_namespace: Option<String>,
    /// Time for apply and health checks together; interval − 30s, at least 30s, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<String>,
    /// Recreates objects whose immutable fields changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// Fields that drift correction leaves alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommonMetadata {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// Only `sops`.
    pub provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

/// Exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeConfigReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalReference>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    pub name: String,
    /// `value`, then `value.yaml`, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostBuild {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub substitute: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitute_from: Vec<SubstituteReference>,
    /// WithVariables (only when at least one is defined) or Always; WithVariables when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitute_strategy: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubstituteReference {
    /// ConfigMap or Secret.
    pub kind: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// What happens to the applied objects when the Kustomization is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    MirrorPrune,
    Delete,
    WaitForTermination,
    Orphan,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomHealthCheck {
    pub api_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// CEL: true when the object is well.
    pub current: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// An inline strategic merge or JSON 6902 patch, and what it applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    pub patch: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Selector>,
}

/// Regular expressions over names and kinds, and label and annotation selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotation_selector: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// GitRepository, OCIRepository, Bucket or ExternalArtifact.
    pub kind: String,
    pub name: String,
    /// The Kustomization's own namespace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoreRule {
    /// JSON pointers.
    pub paths: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Selector>,
}

/// What was applied, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KustomizationStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Moves only when Ready is True.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Set only after apply, prune and health checks all succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_origin_revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Snapshot>,
}

/// Everything that the Kustomization applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    #[serde(default)]
    pub entries: Vec<InventoryEntry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct InventoryEntry {
    /// `<namespace>_<name>_<group>_<kind>`; a `:` of an RBAC name is written `__`.
    pub id: String,
    /// API version within the group.
    pub v: String,
}

impl InventoryEntry {
    /// The entry for an object.
    pub fn new(id: &Id, version: &str) -> Self {
        let name = id.name.replace(':', "__");
        InventoryEntry { id: format!("{}_{name}_{}_{}", id.namespace, id.group, id.kind), v: version.into() }
    }

    /// Reads the entry back; `None` when it is malformed. Names hold no `_`, so the parts are unambiguous
    /// once `__` stands for `:`.
    pub fn id(&self) -> Option<Id> {
        let (namespace, rest) = self.id.split_once('_')?;
        let (rest, kind) = rest.rsplit_once('_')?;
        let (name, group) = rest.rsplit_once('_')?;
        (!kind.is_empty() && !name.is_empty()).then(|| Id::new(group, kind, namespace, &name.replace("__", ":")))
    }
}

fn crd() -> Value {
    super::generic::finish_crd(
        serde_json::to_value(<Kustomization as kube::CustomResourceExt>::crd()).unwrap_or_default(),
    )
}

fn relations(document: &Value) -> Vec<Relation> {
    let namespace = at(document, "/metadata/namespace");
    let or_own = |value: String| if value.is_empty() { namespace.clone() } else { value };
    let mut relations = Vec::new();
    let source = at(document, "/spec/sourceRef/name");
    if !source.is_empty() {
        let kind = at(document, "/spec/sourceRef/kind");
        let within = or_own(at(document, "/spec/sourceRef/namespace"));
        relations.push(Relation { tie: Tie::Source, to: Id::new(git_repository::GROUP, &kind, &within, &source) });
    }
    for dependency in document.pointer("/spec/dependsOn").and_then(Value::as_array).into_iter().flatten() {
        let within = or_own(at(dependency, "/namespace"));
        relations.push(Relation { tie: Tie::DependsOn, to: KIND.id(&within, &at(dependency, "/name")) });
    }
    for from in document.pointer("/spec/postBuild/substituteFrom").and_then(Value::as_array).into_iter().flatten() {
        let to = Id::new("", &at(from, "/kind"), &namespace, &at(from, "/name"));
        relations.push(Relation { tie: Tie::Uses, to });
    }
    relations.extend(super::uses_secrets(document, &["/spec/kubeConfig/secretRef/name"]));
    // What is on another cluster is not what has the same name here.
    let inventory = document.pointer("/status/inventory/entries").filter(|_| at_home(document));
    for entry in inventory.and_then(Value::as_array).into_iter().flatten() {
        if let Some(to) = (InventoryEntry { id: at(entry, "/id"), v: String::new() }).id() {
            relations.push(Relation { tie: Tie::Owns, to });
        }
    }
    relations
}

/// Whether the objects of a document are on the cluster where it is itself.
pub fn at_home(document: &Value) -> bool {
    document.pointer("/spec/kubeConfig").is_none_or(Value::is_null)
}

/// The versions of everything in an inventory, which the ids of [`Kind::relations`] leave out.
pub fn inventory_versions(document: &Value) -> Vec<(Id, String)> {
    let entries = document.pointer("/status/inventory/entries").filter(|_| at_home(document));
    let entries = entries.and_then(Value::as_array);
    let read = |entry: &Value| Some((InventoryEntry { id: at(entry, "/id"), v: String::new() }.id()?, at(entry, "/v")));
    entries.into_iter().flatten().filter_map(read).collect()
}

const EXAMPLE: &str = "\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: podinfo
  namespace: flux-system
spec:
  interval: 10m
  path: ./kustomize
  prune: true
  sourceRef:
    kind: GitRepository
    name: podinfo
  targetNamespace: default
  wait: true
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventory_ids_go_both_ways() {
        for id in [
            Id::new("apps", "Deployment", "shop", "web"),
            Id::new("", "Namespace", "", "shop"),
            Id::new("rbac.authorization.k8s.io", "ClusterRole", "", "system:node:reader"),
        ] {
            assert_eq!(InventoryEntry::new(&id, "v1").id(), Some(id));
        }
        let entry = InventoryEntry::new(&Id::new("apps", "Deployment", "shop", "web"), "v1");
        assert_eq!(entry.id, "shop_web_apps_Deployment");
        assert_eq!(InventoryEntry { id: "x".into(), v: "v1".into() }.id(), None);
    }
}
