//! GitRepository: a branch, tag or commit of a Git repository, fetched into an artifact.
//!
//! Source: source-controller api/v1 and docs/spec/v1/gitrepositories.md.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, MESSAGE, READY, REVISION, SUSPENDED, at};
use super::meta::{Artifact, LocalReference};
use super::{Custom, Family, Kind, Relation, SOURCE_VERBS, Tie, fetched, kstatus};
use crate::base::{Condition, Id};

pub static KIND: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "GitRepository",
    plural: "gitrepositories",
    short_names: &["gitrepo"],
    namespaced: true,
    family: Family::Source,
    doc: "a Git repository to fetch: branch, tag, version range or commit",
    columns: &[
        Column { name: "URL", doc: "where it is fetched from", wide: true, cell: |document| at(document, "/spec/url") },
        REVISION,
        SUSPENDED,
        READY,
        MESSAGE,
    ],
    relations,
    health: kstatus::health,
    verbs: SOURCE_VERBS,
    views: &[],
    custom: Some(Custom { crd, controller: "source-controller", is_static: |_| false, achieved: fetched }),
    example: EXAMPLE,
};

pub const GROUP: &str = "source.toolkit.fluxcd.io";

/// What to fetch, how and how often.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "source.toolkit.fluxcd.io",
    version = "v1",
    kind = "GitRepository",
    namespaced,
    status = "GitRepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "gitrepo",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources",
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".spec.url"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct GitRepositorySpec {
    /// Remote repository: http, https or ssh; weir also takes file. The scp form is refused.
    #[schemars(regex(pattern = r"^(http|https|ssh|file)://.*$"))]
    pub url: String,
    /// Poll period, a Go duration.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: String,
    /// Time-out of one Git operation; 60s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$"))]
    pub timeout: Option<String>,
    /// Secret with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// generic, aws, azure or github; generic when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Cloud identity for the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// What to check out; branch `master` when absent.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitReference>,
    /// Which signatures must be good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verification>,
    /// Secret with the proxy address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalReference>,
    /// Patterns in gitignore syntax for what stays out of the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
    /// Stops reconciling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Fetches submodules with the same credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurse_submodules: Option<bool>,
    /// Other repositories copied into this one's artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<Include>,
    /// Directories to check out; the whole tree when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sparse_checkout: Vec<String>,
}

/// What to check out; the later field wins over the earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// A version range over the tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// A whole reference name, e.g. `refs/pull/420/head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A commit hash; with a branch, only that branch is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Which signatures must be good, and whose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// HEAD (also `head`), Tag or TagAndHEAD; HEAD when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    pub secret_ref: LocalReference,
}

/// A part of another GitRepository of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Include {
    pub repository: LocalReference,
    /// The whole repository when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_path: Option<String>,
    /// The repository's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_path: Option<String>,
}

/// What was fetched, and from which wishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitRepositoryStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included_artifacts: Vec<Artifact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_ignore: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_recurse_submodules: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_include: Vec<Include>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_sparse_checkout: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_verification_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

fn crd() -> Value {
    super::generic::finish_crd(
        serde_json::to_value(<GitRepository as kube::CustomResourceExt>::crd()).unwrap_or_default(),
    )
}

fn relations(document: &Value) -> Vec<Relation> {
    let namespace = at(document, "/metadata/namespace");
    let mut relations = Vec::new();
    for pointer in ["/spec/secretRef/name", "/spec/proxySecretRef/name", "/spec/verify/secretRef/name"] {
        let name = at(document, pointer);
        if !name.is_empty() {
            relations.push(Relation { tie: Tie::Uses, to: Id::new("", "Secret", &namespace, &name) });
        }
    }
    for include in document.pointer("/spec/include").and_then(Value::as_array).into_iter().flatten() {
        let name = at(include, "/repository/name");
        relations.push(Relation { tie: Tie::Source, to: KIND.id(&namespace, &name) });
    }
    relations
}

const EXAMPLE: &str = "\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: podinfo
  namespace: flux-system
spec:
  interval: 1m
  url: https://github.com/stefanprodan/podinfo
  ref:
    branch: master
";
