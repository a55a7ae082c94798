//! Documents of API versions that Flux no longer serves, brought to the served one, each change told.
//!
//! Pure: a document in, the same document rewritten, notes out. The tables below are facts; to add an old field, add
//! a line to [`OLD`]. Kinds that weir does not know yet are in the tables too, so their documents are read the same.
//! Start with [`convert`]. Source: the API packages and changelogs of the Flux controllers, v1beta1 to 2.9.

use serde_json::{Map, Value, json};

/// One change that was made to a document, for its author to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Path of the field, e.g. `spec.gitImplementation`.
    pub field: String,
    pub message: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A kind, the version served today, and those that were served once (or are often written by mistake).
struct Served {
    group: &'static str,
    kind: &'static str,
    version: &'static str,
    older: &'static [&'static str],
}

const fn served(
    group: &'static str,
    kind: &'static str,
    version: &'static str,
    older: &'static [&'static str],
) -> Served {
    Served { group, kind, version, older }
}

const SOURCE: &str = "source.toolkit.fluxcd.io";
const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";
const HELM: &str = "helm.toolkit.fluxcd.io";
const NOTIFICATION: &str = "notification.toolkit.fluxcd.io";
const IMAGE: &str = "image.toolkit.fluxcd.io";
const BETAS: &[&str] = &["v1beta1", "v1beta2", "v1alpha1", "v1alpha2"];

static SERVED: &[Served] = &[
    served(SOURCE, "GitRepository", "v1", BETAS),
    served(SOURCE, "OCIRepository", "v1", BETAS),
    served(SOURCE, "HelmRepository", "v1", BETAS),
    served(SOURCE, "HelmChart", "v1", BETAS),
    served(SOURCE, "Bucket", "v1", BETAS),
    served(SOURCE, "ExternalArtifact", "v1", BETAS),
    served(KUSTOMIZE, "Kustomization", "v1", BETAS),
    // helm v1beta1 never existed, but guides write it.
    served(HELM, "HelmRelease", "v2", &["v2beta2", "v2beta1", "v2alpha1", "v1beta1"]),
    served(NOTIFICATION, "Alert", "v1beta3", &["v1beta1", "v1beta2"]),
    served(NOTIFICATION, "Provider", "v1beta3", &["v1beta1", "v1beta2"]),
    served(NOTIFICATION, "Receiver", "v1", &["v1beta1", "v1beta2"]),
    served(IMAGE, "ImageRepository", "v1", BETAS),
    served(IMAGE, "ImagePolicy", "v1", BETAS),
    served(IMAGE, "ImageUpdateAutomation", "v1", BETAS),
];

/// An old field of a kind, and what becomes of it. In paths, `[]` stands for every entry of a list.
struct Old {
    kind: &'static str,
    field: &'static str,
    change: Change,
}

enum Change {
    /// Left out; says why nothing is lost.
    Drop(&'static str),
    /// One value becomes a list of one under a sibling's name.
    Wrap(&'static str),
    /// Moves to another path of maps from the root.
    Move(&'static str),
    /// Inline strategic merge patches become entries of the sibling `patches`.
    MergePatches,
    /// Inline JSON 6902 patches become entries of the sibling `patches`.
    JsonPatches,
    /// One value is written differently today.
    Value(&'static str, &'static str),
    /// What was meant when the field was absent is written down, because today's default differs.
    WriteDefault { version: &'static str, value: fn() -> Value, why: &'static str },
    /// Stays as it is, but a text in it no longer works.
    Warn { contains: &'static str, why: &'static str },
}

static OLD: &[Old] = &[
    old("GitRepository", "spec.gitImplementation", Change::Drop("there is one Git implementation now")),
    old("GitRepository", "spec.accessFrom", Change::Drop("it never had an effect on sources")),
    old("GitRepository", "spec.verify.mode", Change::Value("head", "HEAD")),
    old("GitRepository", "status.url", Change::Drop("it is status.artifact.url now")),
    old("GitRepository", "status.contentConfigChecksum", Change::Drop("the observed fields replace it")),
    old("HelmChart", "spec.valuesFile", Change::Wrap("valuesFiles")),
    old("HelmChart", "spec.accessFrom", Change::Drop("it never had an effect on sources")),
    old("Bucket", "spec.accessFrom", Change::Drop("it never had an effect on sources")),
    old("OCIRepository", "status.contentConfigChecksum", Change::Drop("the observed fields replace it")),
    old("Kustomization", "spec.validation", Change::Drop("every apply is validated by a dry-run on the server")),
    old("Kustomization", "spec.patchesStrategicMerge", Change::MergePatches),
    old("Kustomization", "spec.patchesJson6902", Change::JsonPatches),
    old("Kustomization", "status.snapshot", Change::Drop("the inventory replaces it")),
    old(
        "Kustomization",
        "spec.prune",
        Change::WriteDefault { version: "", value: || json!(false), why: "it is required now; absent meant false" },
    ),
    old("HelmRelease", "spec.chart.spec.valuesFile", Change::Wrap("valuesFiles")),
    old("HelmRelease", "spec.postRenderers[].kustomize.patchesStrategicMerge", Change::MergePatches),
    old("HelmRelease", "spec.postRenderers[].kustomize.patchesJson6902", Change::JsonPatches),
    old("HelmRelease", "status.lastAppliedRevision", Change::Drop("it is status.history[0].chartVersion now")),
    old("HelmRelease", "status.lastReleaseRevision", Change::Drop("it is status.history[0].version now")),
    old(
        "HelmRelease",
        "spec.maxHistory",
        Change::WriteDefault { version: "v2beta1", value: || json!(10), why: "the default was 10 and is 5 now" },
    ),
    old("Alert", "spec.summary", Change::Move("spec.eventMetadata.summary")),
    old("Alert", "status", Change::Drop("alerts have no status now")),
    old("Provider", "status", Change::Drop("providers have no status now")),
    old("Receiver", "status.url", Change::Drop("it is status.webhookPath now")),
    old("ImagePolicy", "status.latestImage", Change::Drop("it is status.latestRef now")),
    old(
        "ImageUpdateAutomation",
        "spec.git.commit.messageTemplate",
        Change::Warn {
            contains: ".Updated",
            why: "the template data .Updated is gone: use .Changed, or it will stall",
        },
    ),
];

const fn old(kind: &'static str, field: &'static str, change: Change) -> Old {
    Old { kind, field, change }
}

/// Rewrites a document of an older Flux API version to the served one and tells each change.
///
/// A document of a served version, of an unknown version or of another group is left alone, without a note.
pub fn convert(document: &mut Value) -> Vec<Note> {
    let Some((group, version)) = document.get("apiVersion").and_then(Value::as_str).and_then(|it| it.split_once('/'))
    else {
        return Vec::new();
    };
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some(served) = SERVED.iter().find(|it| it.group == group && it.kind == kind) else { return Vec::new() };
    if !served.older.contains(&version) {
        return Vec::new();
    }
    let version = version.to_owned();
    let today = format!("{group}/{}", served.version);
    let mut notes =
        vec![Note { field: "apiVersion".into(), message: format!("{version} is no longer served, read as {today}") }];
    document["apiVersion"] = today.into();
    for old in OLD.iter().filter(|old| old.kind == served.kind) {
        rewrite(document, old, &version, &mut notes);
    }
    notes
}

/// The version of a Flux kind that is served today, for kinds that weir does not know yet too.
pub fn served_version(group: &str, kind: &str) -> Option<&'static str> {
    SERVED.iter().find(|it| it.group == group && it.kind == kind).map(|it| it.version)
}

/// The groups of Flux that hold a kind of that name.
pub fn groups_of(kind: &str) -> impl Iterator<Item = &'static str> {
    SERVED.iter().filter(move |it| it.kind == kind).map(|it| it.group)
}

/// What became of a field that an older version had, in a person's words; `None` when no version had it.
pub fn fate(kind: &str, field: &str) -> Option<String> {
    let old = OLD.iter().find(|old| old.kind == kind && old.field == field)?;
    match &old.change {
        Change::Drop(why) => Some(format!("it was removed: {why}")),
        Change::Wrap(sibling) => Some(format!("it is a list now: {}", sibling_path(field, sibling))),
        Change::Move(to) => Some(format!("it is {to} now")),
        Change::MergePatches | Change::JsonPatches => Some(format!("use {}", sibling_path(field, "patches"))),
        Change::Value(..) | Change::WriteDefault { .. } | Change::Warn { .. } => None,
    }
}

fn sibling_path(field: &str, sibling: &str) -> String {
    field.rsplit_once('.').map_or_else(|| sibling.to_owned(), |(parent, _)| format!("{parent}.{sibling}"))
}

fn rewrite(document: &mut Value, old: &Old, version: &str, notes: &mut Vec<Note>) {
    if let Change::Move(to) = &old.change {
        move_field(document, old.field, to, notes);
        return;
    }
    let (parents, key) = old.field.rsplit_once('.').unwrap_or(("", old.field));
    visit(document, parents, String::new(), &mut |parent, at| {
        let field = if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
        if let Some(message) = rewrite_in(parent, key, &at, &old.change, version) {
            notes.push(Note { field, message });
        }
    });
}

/// Calls back for every map at a dotted path; `[]` after a part means each entry of that list.
fn visit(value: &mut Value, path: &str, at: String, found: &mut dyn FnMut(&mut Map<String, Value>, String)) {
    if path.is_empty() {
        if let Some(map) = value.as_object_mut() {
            found(map, at);
        }
        return;
    }
    let (part, rest) = path.split_once('.').unwrap_or((path, ""));
    let name = part.trim_end_matches("[]");
    let at = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let Some(next) = value.get_mut(name) else { return };
    if part == name {
        return visit(next, rest, at, found);
    }
    for (index, entry) in next.as_array_mut().into_iter().flatten().enumerate() {
        visit(entry, rest, format!("{at}[{index}]"), found);
    }
}

/// Makes one change in the map that holds the field; the answer is what to tell, `None` when nothing changed.
fn rewrite_in(parent: &mut Map<String, Value>, key: &str, at: &str, change: &Change, version: &str) -> Option<String> {
    match change {
        Change::Drop(why) => {
            parent.shift_remove(key)?;
            Some(format!("left out, {why}"))
        }
        Change::Wrap(sibling) => {
            let value = parent.shift_remove(key)?;
            if parent.contains_key(*sibling) {
                return Some(format!("left out, {at}.{sibling} is set too and counts"));
            }
            parent.insert((*sibling).into(), json!([value]));
            Some(format!("written as {at}.{sibling}"))
        }
        Change::MergePatches | Change::JsonPatches => {
            let Some(Value::Array(patches)) = parent.shift_remove(key) else { return None };
            let written: Vec<Value> = match change {
                Change::MergePatches => patches.iter().map(|patch| json!({ "patch": text_of(patch) })).collect(),
                _ => patches.into_iter().map(json_patch).collect(),
            };
            let count = written.len();
            let list = parent.entry("patches").or_insert_with(|| json!([])).as_array_mut()?;
            list.extend(written);
            Some(format!("{count} written as {at}.patches"))
        }
        Change::Value(from, to) => {
            let value = parent.get_mut(key).filter(|value| **value == *from)?;
            *value = (*to).into();
            Some(format!("{from} is written {to} now"))
        }
        Change::WriteDefault { version: of, value, why } => {
            if parent.contains_key(key) || !(of.is_empty() || *of == version) {
                return None;
            }
            parent.insert(key.into(), value());
            Some(format!("set to {}, {why}", value()))
        }
        Change::Warn { contains, why } => {
            parent.get(key)?.as_str().filter(|text| text.contains(contains)).map(|_| (*why).to_owned())
        }
        Change::Move(_) => None,
    }
}

fn move_field(document: &mut Value, from: &str, to: &str, notes: &mut Vec<Note>) {
    let Some((parent, key)) = from.rsplit_once('.') else { return };
    let holder = document.pointer_mut(&pointer(parent)).and_then(Value::as_object_mut);
    let Some(value) = holder.and_then(|map| map.shift_remove(key)) else { return };
    let mut place = document;
    for part in to.split('.') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[part];
    }
    let message = if place.is_null() {
        *place = value;
        format!("written as {to}")
    } else {
        format!("left out, {to} is set too and counts")
    };
    notes.push(Note { field: from.into(), message });
}

fn pointer(path: &str) -> String {
    path.split('.').map(|part| format!("/{part}")).collect()
}

/// A patch is text today; inline objects are written out.
fn text_of(patch: &Value) -> String {
    patch.as_str().map_or_else(|| crate::base::yaml::write(patch), str::to_owned)
}

fn json_patch(mut entry: Value) -> Value {
    let operations = entry.get("patch").map(text_of).unwrap_or_default();
    match entry.get_mut("target").map(Value::take) {
        Some(target) => json!({ "patch": operations, "target": target }),
        None => json!({ "patch": operations }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::yaml;

    fn converted(text: &str) -> (Value, Vec<String>) {
        let mut document = yaml::read_one(text.as_bytes(), &yaml::Limits::default()).unwrap();
        let notes = convert(&mut document).iter().map(Note::to_string).collect();
        (document, notes)
    }

    #[test]
    fn an_old_git_repository_loses_only_what_had_no_effect() {
        let (document, notes) = converted(
            "apiVersion: source.toolkit.fluxcd.io/v1beta2\nkind: GitRepository\nmetadata: {name: a}\nspec:\n  \
             url: ssh://git@example.com/a\n  interval: 1m\n  gitImplementation: libgit2\n  \
             verify: {mode: head, secretRef: {name: keys}}\n",
        );
        assert_eq!(document["apiVersion"], "source.toolkit.fluxcd.io/v1");
        assert_eq!(
            document["spec"],
            json!({"url": "ssh://git@example.com/a", "interval": "1m",
                "verify": {"mode": "HEAD", "secretRef": {"name": "keys"}}})
        );
        assert_eq!(
            notes,
            [
                "apiVersion: v1beta2 is no longer served, read as source.toolkit.fluxcd.io/v1",
                "spec.gitImplementation: left out, there is one Git implementation now",
                "spec.verify.mode: head is written HEAD now",
            ]
        );
    }

    #[test]
    fn old_patches_of_a_kustomization_are_kept_whole_and_in_order() {
        let (document, notes) = converted(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1beta1\nkind: Kustomization\nmetadata: {name: a}\nspec:\n  \
             validation: client\n  patches: [{patch: first}]\n  \
             patchesStrategicMerge:\n  - {kind: Deployment, metadata: {name: web}}\n  \
             patchesJson6902:\n  - patch: [{op: remove, path: /spec}]\n    target: {kind: Service}\n",
        );
        let patches = document["spec"]["patches"].as_array().unwrap();
        assert_eq!(patches[0], json!({"patch": "first"}));
        assert_eq!(patches[1], json!({"patch": "kind: Deployment\nmetadata:\n  name: web\n"}));
        assert_eq!(patches[2], json!({"patch": "- op: remove\n  path: /spec\n", "target": {"kind": "Service"}}));
        assert_eq!(document["spec"]["prune"], false);
        assert!(document["spec"].get("validation").is_none() && document["spec"].get("patchesJson6902").is_none());
        assert_eq!(notes.len(), 5, "{notes:?}");
    }

    #[test]
    fn kinds_not_known_yet_are_brought_over_too() {
        let (document, _) = converted(
            "apiVersion: helm.toolkit.fluxcd.io/v1beta1\nkind: HelmRelease\nmetadata: {name: a}\nspec:\n  \
             chart: {spec: {chart: nginx, valuesFile: prod.yaml}}\n  \
             postRenderers: [{kustomize: {patchesStrategicMerge: [{kind: X}]}}]\n",
        );
        assert_eq!(document["apiVersion"], "helm.toolkit.fluxcd.io/v2");
        assert_eq!(document["spec"]["chart"]["spec"]["valuesFiles"], json!(["prod.yaml"]));
        assert_eq!(document["spec"]["postRenderers"][0]["kustomize"]["patches"][0]["patch"], "kind: X\n");
        assert!(document["spec"].get("maxHistory").is_none(), "10 was the default of v2beta1 only");
        let (alert, _) = converted(
            "apiVersion: notification.toolkit.fluxcd.io/v1beta1\nkind: Alert\nmetadata: {name: a}\n\
             spec: {summary: prod}\nstatus: {}\n",
        );
        assert_eq!(alert["spec"], json!({"eventMetadata": {"summary": "prod"}}));
    }

    #[test]
    fn served_and_foreign_documents_are_left_alone() {
        for text in [
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec: {validation: client}\n",
            "apiVersion: apps/v1beta1\nkind: Deployment\nspec: {}\n",
            "apiVersion: kustomize.toolkit.fluxcd.io/v9\nkind: Kustomization\n",
            "kind: 5\n",
            "[1, 2]\n",
        ] {
            let (document, notes) = converted(text);
            assert!(notes.is_empty(), "{notes:?}");
            assert_eq!(document, yaml::read_one(text.as_bytes(), &yaml::Limits::default()).unwrap());
        }
    }

    #[test]
    fn the_served_versions_are_those_of_the_registry() {
        for kind in crate::kinds::reconciled() {
            assert_eq!(served_version(kind.group, kind.kind), Some(kind.version));
        }
    }

    #[test]
    fn documents_of_any_shape_never_stop_the_conversion() {
        for spec in ["5", "[]", "{patchesStrategicMerge: 5, prune: {}}", "{patches: 5, patchesJson6902: [5]}", "null"] {
            converted(&format!("apiVersion: kustomize.toolkit.fluxcd.io/v1beta1\nkind: Kustomization\nspec: {spec}\n"));
        }
    }
}
