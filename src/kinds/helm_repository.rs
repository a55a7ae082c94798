//! HelmRepository: an index of charts over http, fetched into an artifact, or the address of an OCI registry.
//!
//! Source: source-controller api/v1 and docs/spec/v1/helmrepositories.md.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, MESSAGE, READY, REVISION, SUSPENDED, at};
use super::git_repository::GROUP;
use super::meta::{AccessFrom, Artifact, LocalReference};
use super::{Custom, Family, Kind, SOURCE_VERBS, fetched, kstatus};
use crate::base::{Condition, Health, State};

pub static KIND: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "HelmRepository",
    plural: "helmrepositories",
    short_names: &["helmrepo"],
    namespaced: true,
    family: Family::Source,
    doc: "a Helm repository: an index of charts over http, or a registry",
    columns: &[
        Column { name: "URL", doc: "where it is fetched from", wide: true, cell: |document| at(document, "/spec/url") },
        REVISION,
        SUSPENDED,
        Column { cell: |document| if is_registry(document) { "True".into() } else { (READY.cell)(document) }, ..READY },
        Column {
            cell: |document| if is_registry(document) { STATIC.into() } else { (MESSAGE.cell)(document) },
            ..MESSAGE
        },
    ],
    relations: |document| super::uses_secrets(document, &["/spec/secretRef/name", "/spec/certSecretRef/name"]),
    health,
    verbs: SOURCE_VERBS,
    views: &[],
    custom: Some(Custom { crd, controller: "source-controller", is_static: is_registry, achieved: fetched }),
    example: EXAMPLE,
};

/// What a repository says that has nothing to reconcile, in Flux's words.
const STATIC: &str = "Helm repository is Ready";

/// Where the charts are and how they are fetched.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "source.toolkit.fluxcd.io",
    version = "v1",
    kind = "HelmRepository",
    namespaced,
    status = "HelmRepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "helmrepo",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources",
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".spec.url"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct HelmRepositorySpec {
    /// Address of the repository: http or https for an index, oci for a registry.
    #[schemars(regex(pattern = r"^(http|https|oci)://.*$"))]
    pub url: String,
    /// Secret with username and password, or with a registry's login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Secret with ca.crt, or tls.crt and tls.key, or all; wins over those in secretRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalReference>,
    /// Sends the credentials to chart addresses on other hosts too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_credentials: Option<bool>,
    /// Poll period, a Go duration; 1m when absent. A registry is not polled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: Option<String>,
    /// Speaks plain http to a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// Time-out of fetching the index or a chart; 60s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$"))]
    pub timeout: Option<String>,
    /// Stops reconciling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Accepted for compatibility, without an effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_from: Option<AccessFrom>,
    /// default (an index) or oci (a registry).
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<RepositoryType>,
    /// generic, aws, azure or gcp; generic when absent. Counts for registries only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// What stands behind the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RepositoryType {
    /// An index.yaml over http.
    #[default]
    Default,
    /// A registry, whose tags are the versions.
    Oci,
}

/// What was fetched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmRepositoryStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Where the newest index can be fetched, under a name that stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

impl HelmRepositorySpec {
    /// Whether it is a registry: nothing is fetched for itself then.
    pub fn is_registry(&self) -> bool {
        self.type_ == Some(RepositoryType::Oci)
    }
}

fn is_registry(document: &Value) -> bool {
    at(document, "/spec/type") == "oci"
}

/// A registry is never reconciled and so has no conditions: it is ready as soon as it is there.
fn health(document: &Value) -> Health {
    let health = kstatus::health(document);
    match health.state {
        State::Progressing | State::Unknown if is_registry(document) => Health::new(State::Ready, "", STATIC),
        _ => health,
    }
}

fn crd() -> Value {
    super::generic::finish_crd(
        serde_json::to_value(<HelmRepository as kube::CustomResourceExt>::crd()).unwrap_or_default(),
    )
}

const EXAMPLE: &str = "\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata:
  name: podinfo
  namespace: flux-system
spec:
  interval: 5m
  url: https://stefanprodan.github.io/podinfo
";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_registry_is_ready_without_conditions_and_an_index_is_not() {
        let document = |kind: &str| {
            json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository",
                "metadata": {"name": "a", "namespace": "b"}, "spec": {"type": kind, "url": "oci://r/x"}})
        };
        assert_eq!(health(&document("oci")).state, State::Ready);
        assert_eq!(health(&document("default")).state, State::Progressing);
        let ready = KIND.columns.iter().find(|column| column.name == "READY").unwrap();
        assert_eq!(
            ((ready.cell)(&document("oci")), (ready.cell)(&document("default"))),
            ("True".into(), "False".into())
        );
    }
}
