//! ImagePolicy: which tag of a scanned image is the latest.
//!
//! Source: image-reflector-controller api/v1 and docs/spec/v1/imagepolicies.md.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, MESSAGE, READY, at};
use super::{Custom, Family, Kind, Relation, SOURCE_VERBS, Tie, View, image_repository, kstatus};
use crate::base::Condition;

pub static KIND: Kind = Kind {
    group: image_repository::GROUP,
    version: "v1",
    kind: "ImagePolicy",
    plural: "imagepolicies",
    short_names: &["imgpol", "imagepol"],
    namespaced: true,
    family: Family::Image,
    doc: "a rule that chooses the latest tag of an image",
    columns: &[
        Column {
            name: "IMAGE",
            doc: "the image",
            wide: false,
            cell: |document| at(document, "/status/latestRef/name"),
        },
        Column {
            name: "TAG",
            doc: "the chosen tag",
            wide: false,
            cell: |document| at(document, "/status/latestRef/tag"),
        },
        Column {
            name: "DIGEST",
            doc: "what the tag points at",
            wide: true,
            cell: |document| at(document, "/status/latestRef/digest"),
        },
        READY,
        MESSAGE,
    ],
    relations,
    health: kstatus::health,
    verbs: SOURCE_VERBS,
    views: &[View::Tags],
    custom: Some(Custom {
        crd,
        controller: "image-reflector-controller",
        is_static: |_| false,
        achieved: |document| match (at(document, "/status/latestRef/name"), at(document, "/status/latestRef/tag")) {
            (name, _) if name.is_empty() => name,
            (name, tag) => format!("selected {name}:{tag}"),
        },
    }),
    example: EXAMPLE,
};

/// From which image, by which rule.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "image.toolkit.fluxcd.io",
    version = "v1",
    kind = "ImagePolicy",
    namespaced,
    status = "ImagePolicyStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "imgpol",
    shortname = "imagepol",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-images",
    printcolumn = r#"{"name":"Image","type":"string","jsonPath":".status.latestRef.name"}"#,
    printcolumn = r#"{"name":"Tag","type":"string","jsonPath":".status.latestRef.tag"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicySpec {
    pub image_repository_ref: RepositoryReference,
    pub policy: PolicyChoice,
    /// Which tags take part, and what of them is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_tags: Option<TagFilter>,
    /// Never, IfNotPresent or Always; Never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_reflection_policy: Option<Reflection>,
    /// How often the digest is looked up; only with Always, and then needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: Option<String>,
    /// Stops choosing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Names an ImageRepository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepositoryReference {
    pub name: String,
    /// The policy's own namespace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The rule; the first that is there counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyChoice {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<VersionRange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alphabetical: Option<Ordering>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerical: Option<Ordering>,
}

/// The highest version in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionRange {
    pub range: String,
}

/// The last (asc) or first (desc) in an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ordering {
    /// asc or desc; asc when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(asc|desc)$"))]
    pub order: Option<String>,
}

/// Which tags take part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagFilter {
    /// A regular expression, not anchored.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pattern: String,
    /// What of a match is compared, e.g. `$ts`; the whole tag when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub extract: String,
}

/// When the digest of the chosen tag is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reflection {
    #[default]
    Never,
    IfNotPresent,
    Always,
}

/// An image with its tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ImageRef {
    pub name: String,
    pub tag: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePolicyStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_ref: Option<ImageRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_previous_ref: Option<ImageRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

fn crd() -> Value {
    super::generic::finish_crd(
        serde_json::to_value(<ImagePolicy as kube::CustomResourceExt>::crd()).unwrap_or_default(),
    )
}

fn relations(document: &Value) -> Vec<Relation> {
    let name = at(document, "/spec/imageRepositoryRef/name");
    if name.is_empty() {
        return Vec::new();
    }
    let named = at(document, "/spec/imageRepositoryRef/namespace");
    let namespace = if named.is_empty() { at(document, "/metadata/namespace") } else { named };
    vec![Relation { tie: Tie::Source, to: image_repository::KIND.id(&namespace, &name) }]
}

const EXAMPLE: &str = "\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata:
  name: hello
  namespace: default
spec:
  imageRepositoryRef:
    name: hello
  policy:
    semver:
      range: '>=1.0'
";
