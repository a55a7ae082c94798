//! HelmChart: one chart of a source, resolved to a version and packaged into an artifact.
//!
//! Source: source-controller api/v1 and docs/spec/v1/helmcharts.md.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, MESSAGE, READY, REVISION, SUSPENDED, at};
use super::git_repository::GROUP;
use super::meta::{Artifact, LocalReference};
use super::{Custom, DEPLOYER_VERBS, Family, Kind, Relation, Tie, fetched, kstatus};
use crate::base::{Condition, Id};

pub static KIND: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "HelmChart",
    plural: "helmcharts",
    short_names: &["hc"],
    namespaced: true,
    family: Family::Source,
    doc: "one chart of a Helm repository or of another source, at a version",
    columns: &[
        Column {
            name: "CHART",
            doc: "its name in the repository, or its path in the source",
            wide: true,
            cell: |document| at(document, "/spec/chart"),
        },
        Column {
            name: "VERSION",
            doc: "the range of versions that is wanted",
            wide: true,
            cell: |document| at(document, "/spec/version"),
        },
        Column {
            name: "SOURCE",
            doc: "where it comes from",
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
    views: &[],
    custom: Some(Custom { crd, controller: "source-controller", is_static: |_| false, achieved: fetched }),
    example: EXAMPLE,
};

/// Which chart, of which source, at which version.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "source.toolkit.fluxcd.io",
    version = "v1",
    kind = "HelmChart",
    namespaced,
    status = "HelmChartStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "hc",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources",
    validation = Rule::new("!has(self.spec.verify) || self.spec.sourceRef.kind == 'HelmRepository'")
        .message("spec.verify is only supported when spec.sourceRef.kind is 'HelmRepository'"),
    printcolumn = r#"{"name":"Chart","type":"string","jsonPath":".spec.chart"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.version"}"#,
    printcolumn = r#"{"name":"Source Kind","type":"string","jsonPath":".spec.sourceRef.kind"}"#,
    printcolumn = r#"{"name":"Source Name","type":"string","jsonPath":".spec.sourceRef.name"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct HelmChartSpec {
    /// Name of the chart in a HelmRepository, or its path in a GitRepository or Bucket.
    pub chart: String,
    /// Range of versions; `*` when absent. Charts by path have the version that they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub source_ref: ChartSource,
    /// Poll period, a Go duration.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: String,
    /// ChartVersion or Revision: what makes a new artifact; ChartVersion when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile_strategy: Option<ReconcileStrategy>,
    /// Files of values, merged in this order in place of the chart's values.yaml.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
    /// Passes over values files that are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_missing_values_files: Option<bool>,
    /// Stops reconciling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Which signatures must be good; charts of registries only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<ChartVerification>,
}

/// Names a source of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChartSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// HelmRepository, GitRepository or Bucket.
    #[schemars(extend("enum" = ["HelmRepository", "GitRepository", "Bucket"]))]
    pub kind: String,
    pub name: String,
}

/// What makes a new artifact of a chart by path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReconcileStrategy {
    /// Another version of the chart.
    #[default]
    ChartVersion,
    /// Another revision of the source.
    Revision,
}

/// Which signatures must be good, and whose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChartVerification {
    /// cosign or notation; cosign when absent.
    #[serde(default = "cosign")]
    #[schemars(extend("enum" = ["cosign", "notation"]))]
    pub provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Who may have signed without a key of their own.
    #[serde(default, rename = "matchOIDCIdentity", skip_serializing_if = "Vec::is_empty")]
    pub match_oidc_identity: Vec<OidcIdentity>,
}

/// Who may have signed: regular expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OidcIdentity {
    pub issuer: String,
    pub subject: String,
}

pub(super) fn cosign() -> String {
    "cosign".into()
}

/// What was packaged, and from what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmChartStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_source_artifact_revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_chart_name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_values_files: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Where the newest chart can be fetched, under a name that stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

fn crd() -> Value {
    super::generic::finish_crd(serde_json::to_value(<HelmChart as kube::CustomResourceExt>::crd()).unwrap_or_default())
}

fn relations(document: &Value) -> Vec<Relation> {
    let namespace = at(document, "/metadata/namespace");
    let mut relations = Vec::new();
    let (kind, name) = (at(document, "/spec/sourceRef/kind"), at(document, "/spec/sourceRef/name"));
    if !name.is_empty() {
        relations.push(Relation { tie: Tie::Source, to: Id::new(GROUP, &kind, &namespace, &name) });
    }
    relations.extend(super::uses_secrets(document, &["/spec/verify/secretRef/name"]));
    relations
}

const EXAMPLE: &str = "\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmChart
metadata:
  name: podinfo
  namespace: flux-system
spec:
  interval: 5m
  chart: podinfo
  version: 6.x
  sourceRef:
    kind: HelmRepository
    name: podinfo
";
