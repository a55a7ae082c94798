//! ImageUpdateAutomation: writes the chosen images into the files of a Git repository and pushes the commit.
//!
//! Source: image-automation-controller api/v1 and docs/spec/v1/imageupdateautomations.md.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::column::{Column, MESSAGE, READY, SUSPENDED, at};
use super::git_repository::{self, GitReference};
use super::image_policy::ImageRef;
use super::meta::LocalReference;
use super::{Custom, Family, Kind, Relation, SOURCE_VERBS, Tie, View, image_policy, image_repository, kstatus};
use crate::base::{Condition, Id};

pub static KIND: Kind = Kind {
    group: image_repository::GROUP,
    version: "v1",
    kind: "ImageUpdateAutomation",
    plural: "imageupdateautomations",
    short_names: &["iua", "imgupd", "imgauto"],
    namespaced: true,
    family: Family::Image,
    doc: "writes chosen images into a Git repository and pushes the commit",
    columns: &[
        Column {
            name: "LAST RUN",
            doc: "when it last ran",
            wide: false,
            cell: |document| at(document, "/status/lastAutomationRunTime"),
        },
        Column {
            name: "LAST COMMIT",
            doc: "what it pushed last",
            wide: true,
            cell: |document| at(document, "/status/lastPushCommit"),
        },
        SUSPENDED,
        READY,
        MESSAGE,
    ],
    relations,
    health: kstatus::health,
    verbs: SOURCE_VERBS,
    views: &[View::Diff],
    custom: Some(Custom {
        crd,
        controller: "image-automation-controller",
        is_static: |_| false,
        achieved: |document| super::revision("last pushed", at(document, "/status/lastPushCommit")),
    }),
    example: EXAMPLE,
};

/// Where to edit, what, and how to commit and push it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "image.toolkit.fluxcd.io",
    version = "v1",
    kind = "ImageUpdateAutomation",
    namespaced,
    status = "ImageUpdateAutomationStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "iua",
    shortname = "imgupd",
    shortname = "imgauto",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-images",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Last run","type":"string","jsonPath":".status.lastAutomationRunTime","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ImageUpdateAutomationSpec {
    pub source_ref: AutomationSource,
    /// How to check out, commit and push; needed for a GitRepository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSpec>,
    /// Time between runs, a Go duration.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub interval: String,
    /// Which policies of the namespace count; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_selector: Option<LabelSelector>,
    /// How files are edited; by setters when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateStrategy>,
    /// Stops running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Names the source that is edited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutomationSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// GitRepository.
    #[serde(default = "git_repository_kind")]
    pub kind: String,
    pub name: String,
    /// The automation's own namespace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

fn git_repository_kind() -> String {
    git_repository::KIND.kind.to_owned()
}

/// How to check out, commit and push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<Checkout>,
    pub commit: CommitSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushSpec>,
}

/// What to check out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkout {
    #[serde(rename = "ref")]
    pub reference: GitReference,
}

/// How the commit looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitSpec {
    pub author: Author,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<SigningKey>,
    /// A Go template over `.Changed`, `.AutomationObject` and `.Values`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_template: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub message_template_values: BTreeMap<String, String>,
}

/// Who commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Author {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub email: String,
}

/// The key that signs commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningKey {
    pub secret_ref: LocalReference,
    /// gpg or ssh; gpg when absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Where the commit goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PushSpec {
    /// The branch; the one that was checked out when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// A further place, as `source:destination`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refspec: Option<String>,
    /// What the server is told with the push.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// How files are edited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateStrategy {
    /// Setters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Directory of the repository; the root when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Objects by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One demand on a label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabelRequirement {
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    pub operator: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What was done, and from which wishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageUpdateAutomationStatus {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_automation_run_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_push_commit: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_push_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What each policy had chosen when this last ran, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub observed_policies: BTreeMap<String, ImageRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_source_revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

impl LabelSelector {
    /// Whether labels fulfil every demand.
    ///
    /// Errors when a demand cannot be read.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> Result<bool, String> {
        let equal = self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        let mut all = equal;
        for demand in &self.match_expressions {
            let found = labels.get(&demand.key);
            let listed = found.is_some_and(|value| demand.values.contains(value));
            all &= match (demand.operator.as_str(), demand.values.is_empty()) {
                ("In", false) => listed,
                ("NotIn", false) => !listed,
                ("Exists", true) => found.is_some(),
                ("DoesNotExist", true) => found.is_none(),
                ("In" | "NotIn", true) => {
                    return Err(format!(
                        "values of {:?}: for 'in', 'notin' operators, values set can't be empty",
                        demand.key
                    ));
                }
                ("Exists" | "DoesNotExist", false) => {
                    return Err(format!(
                        "values of {:?}: values set must be empty for exists and does not exist",
                        demand.key
                    ));
                }
                (other, _) => return Err(format!("{other:?} is not a valid label selector operator")),
            };
        }
        Ok(all)
    }
}

fn crd() -> Value {
    super::generic::finish_crd(
        serde_json::to_value(<ImageUpdateAutomation as kube::CustomResourceExt>::crd()).unwrap_or_default(),
    )
}

fn relations(document: &Value) -> Vec<Relation> {
    let own = at(document, "/metadata/namespace");
    let mut relations = Vec::new();
    let source = at(document, "/spec/sourceRef/name");
    if !source.is_empty() {
        let named = at(document, "/spec/sourceRef/namespace");
        let namespace = if named.is_empty() { &own } else { &named };
        relations.push(Relation { tie: Tie::Source, to: git_repository::KIND.id(namespace, &source) });
    }
    // Any policy of the namespace may count; those that did are known.
    let observed = document.pointer("/status/observedPolicies").and_then(Value::as_object);
    for (name, _) in observed.into_iter().flatten() {
        relations.push(Relation { tie: Tie::Source, to: image_policy::KIND.id(&own, name) });
    }
    let key = at(document, "/spec/git/commit/signingKey/secretRef/name");
    if !key.is_empty() {
        relations.push(Relation { tie: Tie::Uses, to: Id::new("", "Secret", &own, &key) });
    }
    relations
}

const EXAMPLE: &str = "\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata:
  name: hello
  namespace: default
spec:
  interval: 1m0s
  sourceRef:
    kind: GitRepository
    name: hello
    namespace: default
  git:
    commit:
      author:
        email: fluxcdbot@users.noreply.github.com
        name: fluxcdbot
    push:
      branch: main
  update:
    path: ./deploy
    strategy: Setters
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select_as_kubernetes_does() {
        let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        let matches = |text: &str| serde_json::from_str::<LabelSelector>(text).unwrap().matches(&labels);
        for (selector, wanted) in [
            (r"{}", true),
            (r#"{"matchLabels":{"team":"shop"}}"#, true),
            (r#"{"matchLabels":{"team":"web"}}"#, false),
            (r#"{"matchExpressions":[{"key":"team","operator":"In","values":["a","shop"]}]}"#, true),
            (r#"{"matchExpressions":[{"key":"team","operator":"NotIn","values":["shop"]}]}"#, false),
            (r#"{"matchExpressions":[{"key":"x","operator":"NotIn","values":["shop"]}]}"#, true),
            (r#"{"matchExpressions":[{"key":"x","operator":"DoesNotExist"}]}"#, true),
            (r#"{"matchExpressions":[{"key":"x","operator":"Exists"}]}"#, false),
        ] {
            assert_eq!(matches(selector), Ok(wanted), "{selector}");
        }
        assert!(matches(r#"{"matchExpressions":[{"key":"x","operator":"Is"}]}"#).is_err());
        assert!(matches(r#"{"matchExpressions":[{"key":"x","operator":"In"}]}"#).is_err());
    }
}
