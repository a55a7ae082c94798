//! HelmRelease: a chart with values, installed, upgraded, tested and remediated.
//!
//! Source: helm-controller api/v2 and docs/spec/v2/helmreleases.md.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, MESSAGE, READY, SUSPENDED, at};
use super::helm_chart::ReconcileStrategy;
use super::kustomization::{
    self, CommonMetadata, CustomHealthCheck, IgnoreRule, Image, Inventory, InventoryEntry, KubeConfigReference, Patch,
};
use super::meta::{DependencyReference, LocalReference};
use super::{Custom, Family, Kind, Relation, Tie, Verb, View, git_repository, kstatus};
use crate::base::{Condition, Digest, Id};

pub static KIND: Kind = Kind {
    group: GROUP,
    version: "v2",
    kind: "HelmRelease",
    plural: "helmreleases",
    short_names: &["hr"],
    namespaced: true,
    family: Family::Deployer,
    doc: "a chart that is installed with values, upgraded, tested and rolled back",
    columns: &[
        Column { name: "CHART", doc: "where the chart comes from", wide: true, cell: chart },
        Column { name: "REVISION", doc: "the version of the chart that is released", wide: false, cell: revision },
        SUSPENDED,
        READY,
        MESSAGE,
    ],
    relations,
    health: kstatus::health,
    verbs: Verb::ALL,
    views: &[View::Diff, View::History, View::Values, View::Manifest, View::Notes],
    custom: Some(Custom {
        crd,
        controller: "helm-controller",
        is_static: |_| false,
        achieved: |document| super::revision("released", at(document, "/status/history/0/chartVersion")),
    }),
    example: EXAMPLE,
};

pub const GROUP: &str = "helm.toolkit.fluxcd.io";
/// Labels on everything that a HelmRelease made: its HelmChart, rendered objects and definitions.
pub const OWNER_NAME: &str = "helm.toolkit.fluxcd.io/name";
pub const OWNER_NAMESPACE: &str = "helm.toolkit.fluxcd.io/namespace";
/// Upgrades once more when it equals the requested time.
pub const FORCE_AT: &str = "reconcile.fluxcd.io/forceAt";
/// Forgets the failures so far when it equals the requested time.
pub const RESET_AT: &str = "reconcile.fluxcd.io/resetAt";
/// `disabled` on an object leaves it out of drift detection.
pub const DRIFT_DETECTION: &str = "helm.toolkit.fluxcd.io/driftDetection";
/// The form of the digests in the history.
pub const SNAPSHOT_VERSION: &str = "v2";

/// Which chart, with which values, released how.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "helm.toolkit.fluxcd.io",
    version = "v2",
    kind = "HelmRelease",
    namespaced,
    status = "HelmReleaseStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "hr",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-appliers",
    validation = Rule::new("has(self.spec.chart) != has(self.spec.chartRef)")
        .message("either chart or chartRef must be set"),
    validation = Rule::new("!has(self.spec.chart) || self.spec.chart.spec.sourceRef.kind in ['HelmRepository', 'GitRepository', 'Bucket']")
        .message("spec.chart.spec.sourceRef.kind must be HelmRepository, GitRepository or Bucket"),
    validation = Rule::new("!has(self.spec.chartRef) || self.spec.chartRef.kind in ['OCIRepository', 'HelmChart', 'ExternalArtifact']")
        .message("spec.chartRef.kind must be OCIRepository, HelmChart or ExternalArtifact"),
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct HelmReleaseSpec {
    /// The HelmChart to make; either this or chartRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<ChartTemplate>,
    /// A source that holds the chart already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_ref: Option<ChartReference>,
    /// Period of the reconciliation, a Go duration.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfigReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// `[targetNamespace-]name` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    pub release_name: Option<String>,
    /// Namespace of the release's objects; the own one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_namespace: Option<String>,
    /// Namespace of the release records; the own one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub storage_namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencyReference>,
    /// Time for each action; 5m when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<String>,
    /// Release records kept; 5 when absent, 0 for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_history: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Has no effect here: connections are always kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_client: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_detection: Option<DriftDetection>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninstall: Option<Uninstall>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_from: Vec<ValuesReference>,
    /// Laid over everything of valuesFrom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub values: Option<Value>,
    /// Labels and annotations for every rendered object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_renderers: Vec<PostRenderer>,
    /// nohooks, combined or separate; combined when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_render_strategy: Option<PostRenderStrategy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_strategy: Option<WaitStrategy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<CustomHealthCheck>,
}

/// The HelmChart that is made for the release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChartTemplate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<CommonMetadata>,
    pub spec: ChartTemplateSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChartTemplateSpec {
    /// Name of the chart, or its path in a Git or Bucket source.
    pub chart: String,
    /// A version or a range; `*` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub source_ref: ChartReference,
    /// The release's interval when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: Option<String>,
    /// ChartVersion or Revision; ChartVersion when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile_strategy: Option<ReconcileStrategy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_missing_values_files: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<ChartVerification>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChartVerification {
    /// cosign or notation.
    #[schemars(extend("enum" = ["cosign", "notation"]))]
    pub provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
}

/// Names a source, by default in the release's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChartReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    pub kind: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuesReference {
    /// ConfigMap or Secret.
    #[schemars(extend("enum" = ["Secret", "ConfigMap"]))]
    pub kind: String,
    pub name: String,
    /// `values.yaml` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_key: Option<String>,
    /// Where a single value goes, in the form of `--set`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 250))]
    pub target_path: Option<String>,
    /// A missing object or key is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// The value goes to targetPath as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub literal: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftDetection {
    /// enabled, warn or disabled; disabled when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<DriftMode>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriftMode {
    Enabled,
    Warn,
    #[default]
    Disabled,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PostRenderStrategy {
    NoHooks,
    #[default]
    Combined,
    Separate,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitStrategy {
    /// poller or legacy; weir judges by kstatus in both.
    pub name: WaitName,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WaitName {
    #[default]
    Poller,
    Legacy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostRenderer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<PostKustomize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostKustomize {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
}

/// What to do with the definitions in a chart's `crds/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CrdsPolicy {
    Skip,
    #[default]
    Create,
    CreateReplace,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApplyMode {
    Enabled,
    Disabled,
    /// As the release before.
    #[default]
    Auto,
}

/// What follows a failed action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.retryInterval) || self.name == 'RetryOnFailure'",
    "message": "retryInterval is for the strategy RetryOnFailure"
}]))]
pub struct ActionStrategy {
    pub name: StrategyName,
    /// 5m when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub retry_interval: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StrategyName {
    #[default]
    RemediateOnFailure,
    RetryOnFailure,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Remediation {
    /// 0 when absent; -1 without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
    /// What test.ignoreFailures says when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_test_failures: Option<bool>,
    /// Whether the last failure is remediated too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
    /// Upgrades only: rollback or uninstall; rollback when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RemediationStrategy>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RemediationStrategy {
    #[default]
    Rollback,
    Uninstall,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<ActionStrategy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<Remediation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_take_ownership: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_wait: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_wait_for_jobs: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_hooks: Option<bool>,
    #[serde(default, rename = "disableOpenAPIValidation", skip_serializing_if = "Option::is_none")]
    pub disable_open_api_validation: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_schema_validation: Option<bool>,
    /// Takes the name of an uninstalled or failed release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<bool>,
    /// Has no effect: use crds.
    #[serde(default, rename = "skipCRDs", skip_serializing_if = "Option::is_none")]
    pub skip_crds: Option<bool>,
    /// Create when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crds: Option<CrdsPolicy>,
    /// Makes targetNamespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_namespace: Option<bool>,
    /// On when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<ActionStrategy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<Remediation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_take_ownership: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_wait: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_wait_for_jobs: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_hooks: Option<bool>,
    #[serde(default, rename = "disableOpenAPIValidation", skip_serializing_if = "Option::is_none")]
    pub disable_open_api_validation: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_schema_validation: Option<bool>,
    /// Replaces objects instead of patching them; only without server-side apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// Lays the values over those of the release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserve_values: Option<bool>,
    /// Deletes what a failed upgrade made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup_on_fail: Option<bool>,
    /// Create when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crds: Option<CrdsPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ApplyMode>,
    /// InPlaceUpdate or Reinstall; a chart of another name is held until one of them is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_name_change_strategy: Option<NameChange>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NameChange {
    InPlaceUpdate,
    #[default]
    Reinstall,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Test {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_failures: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<TestFilter>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestFilter {
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_wait: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_wait_for_jobs: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_hooks: Option<bool>,
    /// Has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recreate: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup_on_fail: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ApplyMode>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uninstall {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub timeout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_hooks: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_history: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_wait: Option<bool>,
    /// background, foreground or orphan; background when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_propagation: Option<DeletionPropagation>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeletionPropagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// What was released, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmReleaseStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_post_renderers_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_common_metadata_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// `namespace/name` of the HelmChart that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_chart: Option<String>,
    /// Where the records are; set as soon as there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_namespace: Option<String>,
    /// Newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Snapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// install or upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_release_action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_release_action_duration: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub install_failures: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub upgrade_failures: i64,
    /// The chart's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_config_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_force_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reset_at: Option<String>,
}

/// One release record as it was when it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Of the record.
    pub digest: String,
    pub name: String,
    pub namespace: String,
    pub version: i64,
    pub status: String,
    /// install, upgrade, rollback, uninstall or uninstall-remediation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    pub chart_name: String,
    pub chart_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// Of the values.
    pub config_digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_deployed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_deployed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
    /// Absent until tests were run; empty when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_hooks: Option<BTreeMap<String, TestHook>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci_digest: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestHook {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_started: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_completed: Option<String>,
    /// Unknown, Running, Succeeded or Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}

impl Snapshot {
    /// `namespace/name.vN`.
    pub fn full_name(&self) -> String {
        format!("{}/{}.v{}", self.namespace, self.name, self.version)
    }

    /// `chart@version`.
    pub fn versioned_chart(&self) -> String {
        format!("{}@{}", self.chart_name, self.chart_version)
    }
}

impl HelmRelease {
    fn own_name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn own_namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The release's name as Helm knows it: 53 characters at most.
    ///
    /// Source: helm-controller internal/release/name.go.
    pub fn release_name(&self) -> String {
        let name = match (&self.spec.release_name, &self.spec.target_namespace) {
            (Some(name), _) => name.clone(),
            (None, Some(target)) => format!("{target}-{}", self.own_name()),
            (None, None) => self.own_name().to_owned(),
        };
        if name.len() <= 53 {
            return name;
        }
        let hash = Digest::sha256(name.as_bytes()).hex;
        format!("{}-{}", name.chars().take(40).collect::<String>(), &hash[..12])
    }

    /// The namespace of the release's objects.
    pub fn release_namespace(&self) -> &str {
        self.spec.target_namespace.as_deref().unwrap_or(self.own_namespace())
    }

    /// The namespace of the release's records.
    pub fn storage_namespace(&self) -> &str {
        self.spec.storage_namespace.as_deref().unwrap_or(self.own_namespace())
    }

    /// The HelmChart that is made from the template: `None` when there is no template.
    pub fn chart_id(&self) -> Option<Id> {
        let template = self.spec.chart.as_ref()?;
        let within = template.spec.source_ref.namespace.as_deref().unwrap_or(self.own_namespace());
        Some(chart_id(self.own_namespace(), self.own_name(), within))
    }
}

fn chart_id(namespace: &str, name: &str, within: &str) -> Id {
    Id::new(git_repository::GROUP, "HelmChart", within, &format!("{namespace}-{name}"))
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn free_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn crd() -> Value {
    super::generic::finish_crd(
        serde_json::to_value(<HelmRelease as kube::CustomResourceExt>::crd()).unwrap_or_default(),
    )
}

fn chart(document: &Value) -> String {
    let of = at(document, "/spec/chart/spec/chart");
    if of.is_empty() {
        return format!("{}/{}", at(document, "/spec/chartRef/kind"), at(document, "/spec/chartRef/name"));
    }
    let version = at(document, "/spec/chart/spec/version");
    if version.is_empty() { of } else { format!("{of}@{version}") }
}

/// Source: flux2 cmd/flux/get_helmrelease.go: the version of the newest record, else what was tried last.
fn revision(document: &Value) -> String {
    let released = at(document, "/status/history/0/chartVersion");
    if released.is_empty() { at(document, "/status/lastAttemptedRevision") } else { released }
}

fn relations(document: &Value) -> Vec<Relation> {
    let namespace = at(document, "/metadata/namespace");
    let or_own = |value: String| if value.is_empty() { namespace.clone() } else { value };
    let list = |pointer: &str| document.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut relations = Vec::new();
    let referenced = at(document, "/spec/chartRef/name");
    if !referenced.is_empty() {
        let kind = at(document, "/spec/chartRef/kind");
        let within = or_own(at(document, "/spec/chartRef/namespace"));
        relations.push(Relation { tie: Tie::Source, to: Id::new(git_repository::GROUP, &kind, &within, &referenced) });
    } else if document.pointer("/spec/chart/spec").is_some() {
        let within = or_own(at(document, "/spec/chart/spec/sourceRef/namespace"));
        let to = chart_id(&namespace, &at(document, "/metadata/name"), &within);
        relations.push(Relation { tie: Tie::Source, to });
    }
    for dependency in list("/spec/dependsOn") {
        let within = or_own(at(&dependency, "/namespace"));
        relations.push(Relation { tie: Tie::DependsOn, to: KIND.id(&within, &at(&dependency, "/name")) });
    }
    for from in list("/spec/valuesFrom") {
        let to = Id::new("", &at(&from, "/kind"), &namespace, &at(&from, "/name"));
        relations.push(Relation { tie: Tie::Uses, to });
    }
    relations.extend(super::uses_secrets(document, &["/spec/kubeConfig/secretRef/name"]));
    for entry in list("/status/inventory/entries").into_iter().filter(|_| kustomization::at_home(document)) {
        if let Some(to) = (InventoryEntry { id: at(&entry, "/id"), v: String::new() }).id() {
            relations.push(Relation { tie: Tie::Owns, to });
        }
    }
    relations
}

/// The versions of everything in the inventory, which the ids of the relations leave out.
pub fn inventory_versions(document: &Value) -> Vec<(Id, String)> {
    kustomization::inventory_versions(document)
}

const EXAMPLE: &str = "\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: podinfo
  namespace: default
spec:
  interval: 10m
  chart:
    spec:
      chart: podinfo
      version: 6.x
      sourceRef:
        kind: HelmRepository
        name: podinfo
  install:
    remediation:
      retries: 3
  upgrade:
    remediation:
      retries: 3
  values:
    replicaCount: 2
";

#[cfg(test)]
mod tests {
    use super::*;

    fn release(name: &str, spec: HelmReleaseSpec) -> HelmRelease {
        let mut release = HelmRelease::new(name, spec);
        release.metadata.namespace = Some("apps".into());
        release
    }

    #[test]
    fn names_are_those_of_flux() {
        let plain = release("web", HelmReleaseSpec::default());
        assert_eq!((plain.release_name().as_str(), plain.release_namespace()), ("web", "apps"));
        let there = release("web", HelmReleaseSpec { target_namespace: Some("prod".into()), ..Default::default() });
        assert_eq!((there.release_name().as_str(), there.storage_namespace()), ("prod-web", "apps"));
        let long = release(&"a".repeat(60), HelmReleaseSpec::default()).release_name();
        assert_eq!(long.len(), 53);
        assert_eq!(&long[40..], &format!("-{}", &Digest::sha256("a".repeat(60).as_bytes()).hex[..12]));
    }

    #[test]
    fn a_release_is_tied_to_its_chart_its_values_and_its_objects() {
        let document = serde_json::json!({"metadata": {"name": "web", "namespace": "apps"}, "spec": {
            "chart": {"spec": {"chart": "web", "sourceRef": {"kind": "HelmRepository", "name": "repo", "namespace": "flux"}}},
            "dependsOn": [{"name": "db"}], "valuesFrom": [{"kind": "Secret", "name": "s"}]},
            "status": {"inventory": {"entries": [{"id": "apps_web_apps_Deployment", "v": "v1"}]}}});
        let to: Vec<(Tie, String)> =
            relations(&document).into_iter().map(|relation| (relation.tie, relation.to.to_string())).collect();
        assert_eq!(to[0], (Tie::Source, "HelmChart/flux/apps-web".into()));
        assert_eq!(to[1], (Tie::DependsOn, "HelmRelease/apps/db".into()));
        assert_eq!(to[2].0, Tie::Uses);
        assert_eq!(to[3], (Tie::Owns, "Deployment/apps/web".into()));
    }
}
