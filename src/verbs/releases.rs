//! The history of a HelmRelease, read from Helm's own records: revisions, their values, manifests and notes.
//!
//! Reads, never writes. Nothing that came from a Secret is shown: values that a Secret gave and everything in rendered
//! Secrets is masked before it leaves this file. Start with [`revisions`] and [`revision`].

use std::collections::BTreeSet;

use base64::Engine as _;
use serde_json::Map;

use super::{Desk, Preview, Refusal, clean, live, refuse};
use crate::base::{Id, Stamp, Text, Value, yaml};
use crate::engine::release::{Record, RecordError, Status, documents, secret_name};
use crate::engine::{chart, diff};
use crate::kinds::helm_release::ValuesReference;
use crate::kinds::{self, HelmRelease};

/// What stands for a value that is not shown.
const MASK: &str = "***";
/// Keys whose text is never shown, wherever it came from.
const TELLING: [&str; 7] = ["password", "passwd", "secret", "token", "apikey", "privatekey", "credential"];

/// One line of a release's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub version: i64,
    pub status: Status,
    /// `name-version`, as `helm history` prints it.
    pub chart: Text,
    pub app_version: Text,
    pub updated: Option<Stamp>,
    pub description: Text,
}

/// One revision from the inside; every text is ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub revision: Revision,
    /// What the user gave, as YAML.
    pub user_values: String,
    /// The same over the defaults of the chart.
    pub merged_values: String,
    /// The rendered objects.
    pub manifest: String,
    /// The rendered hooks.
    pub hooks: String,
    pub notes: String,
}

/// The revisions of a release that are kept, newest first. A record that cannot be read is one with an unknown status.
///
/// Errors when the object or its records cannot be read.
pub async fn revisions(desk: &Desk, id: &Id) -> Result<Vec<Revision>, Refusal> {
    let (_, name, namespace) = target(desk, id).await?;
    let selector = format!("owner=helm,name={name}");
    let secrets = desk.cluster.list(&kinds::of("", "Secret").api(), Some(&namespace), Some(&selector)).await?;
    let mut revisions: Vec<Revision> =
        secrets.iter().map(|secret| line(secret, &Record::from_secret(secret))).collect();
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.version));
    Ok(revisions)
}

/// One revision of a release.
///
/// Errors when it is not there or cannot be read.
pub async fn revision(desk: &Desk, id: &Id, version: i64) -> Result<Release, Refusal> {
    let (object, name, namespace) = target(desk, id).await?;
    let record = record(desk, id, &name, &namespace, version).await?;
    let hidden = hidden(desk, &object).await;
    Ok(Release {
        revision: told(&record),
        user_values: values(&record.config, &hidden),
        merged_values: values(&record.merged_values(), &hidden),
        manifest: manifest(&record.manifest),
        hooks: manifest(&record.hook_manifests()),
        notes: Text::lines(&record.info.notes).iter().map(|line| format!("{line}\n")).collect(),
    })
}

impl Release {
    /// What the user gave and what came of it, as two documents.
    pub fn all_values(&self) -> String {
        format!(
            "# given by the user\n{}---\n# over the defaults of the chart\n{}",
            self.user_values, self.merged_values
        )
    }

    /// The objects, then the hooks.
    pub fn all_objects(&self) -> String {
        match self.hooks.is_empty() {
            true => self.manifest.clone(),
            false => format!("{}# hooks\n{}", self.manifest, self.hooks),
        }
    }
}

/// The newest revision of a release.
///
/// Errors when there is none, or it cannot be read.
pub async fn newest(desk: &Desk, id: &Id) -> Result<Release, Refusal> {
    let newest = revisions(desk, id).await?.first().map(|revision| revision.version);
    let newest = newest
        .ok_or_else(|| refuse(format!("{id} has no revision yet"), "it was never released: look at its events"))?;
    revision(desk, id, newest).await
}

/// What a revision changed of another one, or of the kept one before it: values, objects and hooks.
///
/// Errors when one of them is not there or cannot be read.
pub async fn compare(desk: &Desk, id: &Id, from: Option<i64>, to: i64) -> Result<Preview, Refusal> {
    let from = match from {
        Some(from) => Some(from),
        None => revisions(desk, id).await?.into_iter().map(|revision| revision.version).find(|version| *version < to),
    };
    let (object, name, namespace) = target(desk, id).await?;
    let hidden = hidden(desk, &object).await;
    let new = record(desk, id, &name, &namespace, to).await?;
    let old = match from {
        Some(from) => record(desk, id, &name, &namespace, from).await?,
        None => Record::default(),
    };
    let mut preview = Preview::default();
    let chart = |record: &Record| format!("{}-{}", record.chart_field("name"), record.chart_field("version"));
    let side = |record: &Record| match record.version {
        0 => "nothing".to_owned(),
        version => format!("revision {version}, {}, {}", chart(record), record.info.status.word()),
    };
    preview.about = vec![(Text::new("From"), Text::new(side(&old))), (Text::new("To"), Text::new(side(&new)))];
    let of = |record: &Record| (record.version > 0).then(|| values(&record.config, &hidden));
    preview.patch.parts.extend(diff::file("values", of(&old).as_deref(), of(&new).as_deref()));
    for of in [|record: &Record| record.manifest.clone(), Record::hook_manifests] {
        match (documents(&of(&old)), documents(&of(&new))) {
            (Ok(old), Ok(new)) => preview.patch.parts.extend(diff::objects(&old, &new).parts),
            _ => preview.notes.push(Text::new("a manifest cannot be read as YAML and is not compared")),
        }
    }
    for part in &mut preview.patch.parts {
        if let Some(id) = part.id.take() {
            part.id = Some(placed(desk, id, &object).await);
        }
    }
    Ok(preview)
}

async fn record(desk: &Desk, id: &Id, name: &str, namespace: &str, version: i64) -> Result<Record, Refusal> {
    let found = desk.cluster.get(&Id::new("", "Secret", namespace, &secret_name(name, version))).await?;
    let found = found.ok_or_else(|| {
        refuse(format!("{id} has no revision {version}"), "the history says which are kept; see spec.maxHistory")
    })?;
    Record::from_secret(&found).map_err(|error| refuse(error.to_string(), "delete that Secret to go on without it"))
}

/// Where a rendered object is: charts often leave out the namespace.
async fn placed(desk: &Desk, id: Id, object: &HelmRelease) -> Id {
    let api = desk.cluster.find_api(&id.group, &id.kind, None).await;
    match api.ok().flatten().is_some_and(|api| api.namespaced && id.namespace.is_empty()) {
        true => id.in_namespace(object.release_namespace()),
        false => id,
    }
}

/// A manifest as it may be shown: Secrets masked. What is no YAML is not shown at all.
pub fn manifest(text: &str) -> String {
    let Ok(documents) = documents(text) else { return format!("# {MASK} this manifest cannot be read as YAML\n") };
    let shown = documents.iter().map(|document| match document["kind"].as_str() {
        Some("Secret") => clean::masked(document),
        _ => document.clone(),
    });
    shown.map(|document| format!("---\n{}", yaml::write(&document))).collect()
}

/// The typed object, its release's name and where its records are.
async fn target(desk: &Desk, id: &Id) -> Result<(HelmRelease, String, String), Refusal> {
    let document = live(desk, id).await?;
    let object: HelmRelease = serde_json::from_value(document)
        .map_err(|error| refuse(format!("{id} is no HelmRelease that can be read: {error}"), "correct the object"))?;
    let status = object.status.clone().unwrap_or_default();
    let last = status.history.first().map(|snapshot| snapshot.name.clone());
    let name = last.unwrap_or_else(|| object.release_name());
    let namespace = status.storage_namespace.unwrap_or_else(|| object.storage_namespace().to_owned());
    Ok((object, name, namespace))
}

fn told(record: &Record) -> Revision {
    Revision {
        version: record.version,
        status: record.info.status,
        chart: Text::new(format!("{}-{}", record.chart_field("name"), record.chart_field("version"))),
        app_version: Text::new(record.chart_field("appVersion")),
        updated: record.info.last_deployed.parse().ok().map(|at: jiff::Timestamp| Stamp(at.as_second())),
        description: Text::new(&record.info.description),
    }
}

fn line(secret: &Value, record: &Result<Record, RecordError>) -> Revision {
    let label =
        |key: &str| secret.pointer("/metadata/labels").and_then(|labels| labels.get(key)).and_then(Value::as_str);
    let version = label("version").and_then(|version| version.parse().ok()).unwrap_or_default();
    match record {
        Ok(record) => told(record),
        Err(error) => Revision {
            version,
            status: Status::Unknown,
            chart: Text::new(""),
            app_version: Text::new(""),
            updated: None,
            description: Text::new(error.to_string()),
        },
    }
}

/// Which values came from Secrets.
enum Hidden {
    Paths(BTreeSet<Vec<String>>),
    /// A Secret that gave values cannot be read any more, so nobody can tell which these were.
    All,
}

async fn hidden(desk: &Desk, object: &HelmRelease) -> Hidden {
    let mut paths = BTreeSet::new();
    for reference in object.spec.values_from.iter().filter(|reference| reference.kind == "Secret") {
        let id = Id::new("", "Secret", object.own_namespace(), &reference.name);
        let given = match desk.cluster.get(&id).await {
            Ok(Some(secret)) => given_by(&secret, reference),
            _ => None,
        };
        match given {
            Some(values) => leaves(&Value::Object(values), &mut Vec::new(), &mut paths),
            None => return Hidden::All,
        }
    }
    Hidden::Paths(paths)
}

fn given_by(secret: &Value, reference: &ValuesReference) -> Option<Map<String, Value>> {
    let key = reference.values_key.as_deref().unwrap_or("values.yaml");
    let data = secret.pointer("/data")?.get(key)?.as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
    match reference.target_path.as_deref() {
        Some(path) => {
            let mut values = Map::new();
            chart::set_path(&mut values, path, "x", false).ok()?;
            Some(values)
        }
        None => chart::read_values(key, &bytes).ok(),
    }
}

fn leaves(value: &Value, at: &mut Vec<String>, found: &mut BTreeSet<Vec<String>>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                at.push(key.clone());
                leaves(value, at, found);
                at.pop();
            }
        }
        _ => drop(found.insert(at.clone())),
    }
}

fn values(values: &Map<String, Value>, hidden: &Hidden) -> String {
    let mut shown = Value::Object(values.clone());
    mask(&mut shown, &mut Vec::new(), hidden);
    yaml::write(&yaml::sorted(shown))
}

fn mask(value: &mut Value, at: &mut Vec<String>, hidden: &Hidden) {
    let is_hidden = match hidden {
        Hidden::All => !value.is_object(),
        Hidden::Paths(paths) => paths.contains(at),
    };
    if is_hidden && !value.is_null() {
        *value = MASK.into();
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                at.push(key.clone());
                mask(value, at, hidden);
                at.pop();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, at, hidden)),
        Value::String(text) if !text.is_empty() && at.last().is_some_and(|key| is_telling(key)) => *value = MASK.into(),
        _ => {}
    }
}

fn is_telling(key: &str) -> bool {
    let plain: String = key.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase();
    // The name of a Secret is no secret.
    let is_name = ["name", "ref", "key"].iter().any(|end| plain.ends_with(end)) && !plain.ends_with("apikey");
    TELLING.iter().any(|word| plain.contains(word)) && (!is_name || plain.ends_with("privatekey"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_a_secret_gave_is_masked_and_its_neighbours_are_not() {
        let mut paths = BTreeSet::new();
        leaves(&json!({"db": {"user": "canary"}, "list": [1]}), &mut Vec::new(), &mut paths);
        let given = map(json!({"db": {"user": "canary", "host": "h"}, "list": ["canary"], "adminPassword": "canary",
            "existingSecretName": "s", "count": 3}));
        let shown = values(&given, &Hidden::Paths(paths));
        assert!(!shown.contains("canary"), "{shown}");
        assert!(
            shown.contains("host: h") && shown.contains("existingSecretName: s") && shown.contains("count: 3"),
            "{shown}"
        );
        let all = values(&given, &Hidden::All);
        assert!(!all.contains("h\n") && all.contains("host: '***'"), "{all}");
    }

    #[test]
    fn rendered_secrets_are_masked_and_what_is_no_yaml_is_not_shown() {
        let shown = manifest(
            "---\nkind: ConfigMap\ndata: {a: shown}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: canary}\n",
        );
        assert!(shown.contains("shown") && !shown.contains("canary"), "{shown}");
        assert!(!manifest("a: [canary").contains("canary"));
        let list =
            "kind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: canary}}\n";
        assert!(!manifest(list).contains("canary") && manifest(list).contains("name: s"), "{}", manifest(list));
    }
}
