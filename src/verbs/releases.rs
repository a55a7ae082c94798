//! The history of a HelmRelease, read from Helm's own records: revisions, their values, manifests and notes.
//!
//! Reads, never writes. Nothing that came from a Secret is shown: values that a Secret gave are masked before they leave
//! this file, wherever they were rendered to, and so is everything in rendered Secrets. Start with [`revisions`] and
//! [`revision`].

use serde_json::Map;

use super::{Desk, Preview, Refusal, clean, live, refuse};
use crate::base::redactor::MASK;
use crate::base::{Id, Redactor, Stamp, Text, Value, yaml};
use crate::engine::release::{Hidden, Record, RecordError, Status, documents, secret_name};
use crate::engine::{chart, diff};
use crate::kinds::helm_release::ValuesReference;
use crate::kinds::{self, HelmRelease};

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
    let (object, name, namespace) = target(desk, id).await?;
    let selector = format!("owner=helm,name={name}");
    let secrets = desk.cluster.list(&kinds::of("", "Secret").api(), Some(&namespace), Some(&selector)).await?;
    let mut revisions = Vec::with_capacity(secrets.len());
    for secret in &secrets {
        revisions.push(match Record::from_secret(secret) {
            Ok(record) => told(&record, &hidden(desk, &object, &record).await.redactor(&record.merged_values())),
            Err(error) => unreadable(secret, &error),
        });
    }
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.version));
    Ok(revisions)
}

/// One revision of a release.
///
/// Errors when it is not there or cannot be read.
pub async fn revision(desk: &Desk, id: &Id, version: i64) -> Result<Release, Refusal> {
    let (object, name, namespace) = target(desk, id).await?;
    let record = record(desk, id, &name, &namespace, version).await?;
    let hidden = hidden(desk, &object, &record).await;
    let texts = hidden.redactor(&record.merged_values());
    Ok(Release {
        revision: told(&record, &texts),
        user_values: values(&record.config, &hidden),
        merged_values: values(&record.merged_values(), &hidden),
        manifest: manifest(&record.manifest, &texts),
        hooks: manifest(&record.hook_manifests(), &texts),
        notes: Text::lines(&texts.clean(&record.info.notes)).iter().map(|line| format!("{line}\n")).collect(),
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
    let new = record(desk, id, &name, &namespace, to).await?;
    let old = match from {
        Some(from) => record(desk, id, &name, &namespace, from).await?,
        None => Record::default(),
    };
    let (new_hidden, old_hidden) = (hidden(desk, &object, &new).await, hidden(desk, &object, &old).await);
    // What one revision hides may stand openly in the other one.
    let texts = new_hidden.redactor(&new.merged_values()).and(&old_hidden.redactor(&old.merged_values()));
    let mut preview = Preview::default();
    let chart = |record: &Record| format!("{}-{}", record.chart_field("name"), record.chart_field("version"));
    let side = |record: &Record| match record.version {
        0 => "nothing".to_owned(),
        version => format!("revision {version}, {}, {}", chart(record), record.info.status.word()),
    };
    preview.about = vec![(Text::new("From"), Text::new(side(&old))), (Text::new("To"), Text::new(side(&new)))];
    let of = |record: &Record, hidden| (record.version > 0).then(|| values(&record.config, hidden));
    let (before, after) = (of(&old, &old_hidden), of(&new, &new_hidden));
    preview.patch.parts.extend(diff::file("values", before.as_deref(), after.as_deref()));
    for of in [|record: &Record| record.manifest.clone(), Record::hook_manifests] {
        match (documents(&of(&old)), documents(&of(&new))) {
            (Ok(mut old), Ok(mut new)) => {
                old.iter_mut().chain(&mut new).for_each(|document| texts.clean_object(document));
                preview.patch.parts.extend(diff::objects(&old, &new).parts);
            }
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

/// A manifest as it may be shown: Secrets masked, and hidden texts. What is no YAML is not shown at all.
pub fn manifest(text: &str, hidden: &Redactor) -> String {
    let Ok(documents) = documents(text) else { return format!("# {MASK} this manifest cannot be read as YAML\n") };
    let shown = documents.into_iter().map(|mut document| {
        hidden.clean_object(&mut document);
        if document["kind"] == "Secret" { clean::masked(&document) } else { document }
    });
    shown.map(|document| format!("---\n{}", yaml::write(&document))).collect()
}

/// The typed object, its release's name and where its records are.
async fn target(desk: &Desk, id: &Id) -> Result<(HelmRelease, String, String), Refusal> {
    let document = live(desk, id).await?;
    let object: HelmRelease = serde_json::from_value(document)
        .map_err(|error| refuse(format!("{id} is no HelmRelease that can be read: {error}"), "correct the object"))?;
    if object.spec.kube_config.is_some() {
        return Err(refuse(
            format!("{id} is released on another cluster, and its records are there"),
            "look at it with the kubeconfig that spec.kubeConfig names",
        ));
    }
    let status = object.status.clone().unwrap_or_default();
    let last = status.history.first().map(|snapshot| snapshot.name.clone());
    let name = last.unwrap_or_else(|| object.release_name());
    let namespace = status.storage_namespace.unwrap_or_else(|| object.storage_namespace().to_owned());
    Ok((object, name, namespace))
}

fn told(record: &Record, hidden: &Redactor) -> Revision {
    Revision {
        version: record.version,
        status: record.info.status,
        chart: Text::new(format!("{}-{}", record.chart_field("name"), record.chart_field("version"))),
        app_version: Text::new(record.chart_field("appVersion")),
        updated: record.info.last_deployed.parse().ok().map(|at: jiff::Timestamp| Stamp(at.as_second())),
        description: Text::new(hidden.clean(&record.info.description)),
    }
}

fn unreadable(secret: &Value, error: &RecordError) -> Revision {
    let label = secret.pointer("/metadata/labels/version").and_then(Value::as_str);
    Revision {
        version: label.and_then(|version| version.parse().ok()).unwrap_or_default(),
        status: Status::Unknown,
        chart: Text::new(""),
        app_version: Text::new(""),
        updated: None,
        description: Text::new(error.to_string()),
    }
}

/// What must not be shown of a revision. One that weir made says itself which values Secrets gave; of any other only
/// that is harmless which the chart, the spec or a ConfigMap of the spec has now, too.
async fn hidden(desk: &Desk, object: &HelmRelease, record: &Record) -> Hidden {
    let mut known: Vec<Map<String, Value>> = Vec::new();
    if record.secret_values.is_none() {
        known.extend(object.spec.values.as_ref().and_then(Value::as_object).cloned());
        for reference in object.spec.values_from.iter().filter(|reference| reference.kind == "ConfigMap") {
            let id = Id::new("", "ConfigMap", object.own_namespace(), &reference.name);
            let found = desk.cluster.get(&id).await.ok().flatten();
            known.extend(found.and_then(|found| given_by(&found, reference)));
        }
    }
    Hidden::of(record, known)
}

fn given_by(map: &Value, reference: &ValuesReference) -> Option<Map<String, Value>> {
    let key = reference.values_key.as_deref().unwrap_or("values.yaml");
    let data = map.pointer("/data")?.get(key)?.as_str()?;
    match reference.target_path.as_deref().filter(|path| !path.is_empty()) {
        Some(path) => {
            let mut values = Map::new();
            chart::set_path(&mut values, path, data, reference.literal == Some(true)).ok()?;
            Some(values)
        }
        None => chart::read_values(key, data.as_bytes()).ok(),
    }
}

fn values(values: &Map<String, Value>, hidden: &Hidden) -> String {
    yaml::write(&yaml::sorted(hidden.masked(values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_secrets_are_masked_and_what_is_no_yaml_is_not_shown() {
        let hidden = Redactor::new(["from-a-secret".to_owned()]);
        let manifest = |text: &str| super::manifest(text, &hidden);
        let shown = manifest(
            "---\nkind: ConfigMap\ndata: {a: shown, b: x from-a-secret y}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: canary}\n",
        );
        assert!(shown.contains("shown") && shown.contains("x *** y") && !shown.contains("canary"), "{shown}");
        assert!(!manifest("a: [canary").contains("canary"));
        let list =
            "kind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: canary}}\n";
        assert!(!manifest(list).contains("canary") && manifest(list).contains("name: s"), "{}", manifest(list));
    }
}
