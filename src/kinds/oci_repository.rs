//! OCIRepository: one layer of an OCI artifact, fetched from a registry by tag, version range or digest.
//!
//! Source: source-controller api/v1 and docs/spec/v1/ocirepositories.md.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, MESSAGE, READY, REVISION, SUSPENDED, at};
use super::git_repository::GROUP;
use super::helm_chart::{OidcIdentity, cosign};
use super::meta::{Artifact, LocalReference};
use super::{Custom, Family, Kind, Relation, SOURCE_VERBS, Tie, fetched, kstatus};
use crate::base::{Condition, Id};

pub static KIND: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "OCIRepository",
    plural: "ocirepositories",
    short_names: &["ocirepo"],
    namespaced: true,
    family: Family::Source,
    doc: "an OCI artifact of a registry: tag, version range or digest",
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

/// What to fetch, how and how often.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "source.toolkit.fluxcd.io",
    version = "v1",
    kind = "OCIRepository",
    plural = "ocirepositories",
    namespaced,
    status = "OCIRepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "ocirepo",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources",
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".spec.url"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct OCIRepositorySpec {
    /// Repository of a registry, without a tag.
    #[schemars(regex(pattern = r"^oci://.*$"))]
    pub url: String,
    /// What to pull; tag `latest` when absent.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<OciReference>,
    /// Which layer, and what to do with it; the first is extracted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_selector: Option<LayerSelector>,
    /// generic, aws, azure or gcp; generic when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Secret with the registry's login, of type kubernetes.io/dockerconfigjson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Which signatures must be good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<OciVerification>,
    /// Account whose image pull secrets are used too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Secret with ca.crt, or tls.crt and tls.key, or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalReference>,
    /// Secret with the proxy address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalReference>,
    /// Poll period, a Go duration.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: String,
    /// Time-out of one run's talk with the registry; 60s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$"))]
    pub timeout: Option<String>,
    /// Patterns in gitignore syntax for what stays out of the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
    /// Speaks plain http to the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// Stops reconciling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What to pull: digest wins over semver, semver over tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OciReference {
    /// `sha256:<hex>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// A version range over the tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// A regular expression that tags of the range must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver_filter: Option<String>,
    /// `latest` when nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Which layer of the artifact, and what to do with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerSelector {
    /// The first layer of this media type; of any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// extract or copy; extract when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<LayerOperation>,
}

/// What becomes of the layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LayerOperation {
    /// Its files are packed anew.
    #[default]
    Extract,
    /// Its bytes are kept as they are.
    Copy,
}

/// Which signatures must be good, and whose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OciVerification {
    /// cosign or notation; cosign when absent.
    #[serde(default = "cosign")]
    #[schemars(extend("enum" = ["cosign", "notation"]))]
    pub provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Who may have signed without a key of their own.
    #[serde(default, rename = "matchOIDCIdentity", skip_serializing_if = "Vec::is_empty")]
    pub match_oidc_identity: Vec<OidcIdentity>,
    /// Secret with the trusted root of a private Sigstore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalReference>,
}

/// What was fetched, and from which wishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OCIRepositoryStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Where the newest artifact can be fetched, under a name that stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_ignore: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_layer_selector: Option<LayerSelector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

fn crd() -> Value {
    super::generic::finish_crd(
        serde_json::to_value(<OCIRepository as kube::CustomResourceExt>::crd()).unwrap_or_default(),
    )
}

fn relations(document: &Value) -> Vec<Relation> {
    let secrets = [
        "/spec/secretRef/name",
        "/spec/certSecretRef/name",
        "/spec/proxySecretRef/name",
        "/spec/verify/secretRef/name",
        "/spec/verify/trustedRootSecretRef/name",
    ];
    let mut relations = super::uses_secrets(document, &secrets);
    let account = at(document, "/spec/serviceAccountName");
    if !account.is_empty() {
        let to = Id::new("", "ServiceAccount", &at(document, "/metadata/namespace"), &account);
        relations.push(Relation { tie: Tie::Uses, to });
    }
    relations
}

const EXAMPLE: &str = "\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: podinfo
  namespace: flux-system
spec:
  interval: 5m
  url: oci://ghcr.io/stefanprodan/manifests/podinfo
  ref:
    semver: 6.x
";
