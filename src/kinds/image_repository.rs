//! ImageRepository: an image of a registry whose tags are listed from time to time.
//!
//! Source: image-reflector-controller api/v1 and docs/spec/v1/imagerepositories.md.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, MESSAGE, READY, SUSPENDED, at};
use super::meta::{AccessFrom, LocalReference};
use super::{Custom, Family, Kind, SOURCE_VERBS, kstatus};
use crate::base::Condition;

pub static KIND: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "ImageRepository",
    plural: "imagerepositories",
    short_names: &["imgrepo", "imagerepo"],
    namespaced: true,
    family: Family::Image,
    doc: "an image whose tags are listed from time to time",
    columns: &[
        Column {
            name: "LAST SCAN",
            doc: "when the tags were last listed",
            wide: false,
            cell: |document| at(document, "/status/lastScanResult/scanTime"),
        },
        Column {
            name: "TAGS",
            doc: "how many tags were found",
            wide: true,
            cell: |document| at(document, "/status/lastScanResult/tagCount"),
        },
        SUSPENDED,
        READY,
        MESSAGE,
    ],
    relations: |document| {
        super::uses_secrets(
            document,
            &["/spec/secretRef/name", "/spec/certSecretRef/name", "/spec/proxySecretRef/name"],
        )
    },
    health: kstatus::health,
    verbs: SOURCE_VERBS,
    views: &[],
    custom: Some(Custom {
        crd,
        controller: "image-reflector-controller",
        is_static: |_| false,
        achieved: |document| match at(document, "/status/lastScanResult/tagCount") {
            count if count.is_empty() => count,
            count => format!("found {count} tags"),
        },
    }),
    example: EXAMPLE,
};

pub const GROUP: &str = "image.toolkit.fluxcd.io";
/// What is left out of a scan unless the object says otherwise.
pub const EXCLUDED: &str = r"^.*\.sig$";

/// Which image, how its registry is reached and how often.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "image.toolkit.fluxcd.io",
    version = "v1",
    kind = "ImageRepository",
    namespaced,
    status = "ImageRepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "imgrepo",
    shortname = "imagerepo",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-images",
    printcolumn = r#"{"name":"Image","type":"string","jsonPath":".spec.image"}"#,
    printcolumn = r#"{"name":"Tags","type":"string","jsonPath":".status.lastScanResult.tagCount"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Last scan","type":"string","jsonPath":".status.lastScanResult.scanTime","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ImageRepositorySpec {
    /// Name of the image, without scheme and tag.
    pub image: String,
    /// Time between scans, a Go duration.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: String,
    /// Time-out of a scan; the interval when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$"))]
    pub timeout: Option<String>,
    /// Secret with the login, of type kubernetes.io/dockerconfigjson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Secret with the proxy address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalReference>,
    /// ServiceAccount whose image pull secrets are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service_account_name: Option<String>,
    /// Secret with a CA certificate, a client certificate, or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalReference>,
    /// Stops scanning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Which other namespaces may point their policies here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_from: Option<AccessFrom>,
    /// Regular expressions of tags that are left out; signatures when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 25))]
    pub exclusion_list: Vec<String>,
    /// generic, aws, azure or gcp; generic when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Speaks plain http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
}

/// What was found, and from which wishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageRepositoryStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The image with everything that is implied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_image_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scan_result: Option<ScanResult>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed_exclusion_list: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// One listing of tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScanResult {
    /// Changes with the tags.
    #[serde(default)]
    pub revision: String,
    pub tag_count: i64,
    /// RFC 3339.
    #[serde(default)]
    pub scan_time: String,
    /// The first ten tags in descending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latest_tags: Vec<String>,
}

impl ImageRepositorySpec {
    /// The expressions of what is left out.
    pub fn exclusions(&self) -> Vec<String> {
        if self.exclusion_list.is_empty() { vec![EXCLUDED.to_owned()] } else { self.exclusion_list.clone() }
    }
}

fn crd() -> Value {
    super::generic::finish_crd(
        serde_json::to_value(<ImageRepository as kube::CustomResourceExt>::crd()).unwrap_or_default(),
    )
}

const EXAMPLE: &str = "\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata:
  name: hello
  namespace: default
spec:
  image: gcr.io/google-samples/hello-app
  interval: 5m0s
";
