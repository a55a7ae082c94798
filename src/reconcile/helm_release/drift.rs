//! Drift: what in the cluster is not as the release's manifest says, found by dry run, told, and set back.
//!
//! Start with [`detect`]. Source: helm-controller internal/action/diff.go and internal/diff/summarize.go.

use futures::StreamExt as _;
use futures::stream;
use serde_json::Value;

use super::super::kustomization::fields;
use super::objects::{MANAGER, Objects, Placed};
use crate::cluster::{Apply, ClusterError};
use crate::engine::release::Record;
use crate::kinds::helm_release::DRIFT_DETECTION;
use crate::kinds::kustomization::IgnoreRule;

/// Requests at the same time.
const AT_ONCE: usize = 4;
/// How often an object that others write at the same time is tried.
const TRIES: usize = 5;

/// One object that is not as it should be.
#[derive(Clone, Debug)]
pub struct Drift {
    /// As the manifest has it.
    pub placed: Placed,
    /// `None` when the object is gone.
    pub live: Option<Value>,
    /// What the object would be.
    pub dry: Value,
    /// Pointers to what is left as it is.
    ignored: Vec<String>,
}

/// Compares every object of a release with the cluster; answers in words what could not be compared.
///
/// Errors when the manifest cannot be read.
pub async fn detect(
    objects: &Objects<'_>,
    record: &Record,
    rules: &[IgnoreRule],
) -> Result<(Vec<Drift>, Vec<String>), String> {
    let placed = objects.own(objects.read(&record.manifest).await?);
    let work = placed.into_iter().map(|placed| compare(objects, placed, rules));
    let found: Vec<Result<Option<Drift>, String>> = stream::iter(work).buffered(AT_ONCE).collect().await;
    let (mut drifts, mut failed) = (Vec::new(), Vec::new());
    for drift in found {
        match drift {
            Ok(drift) => drifts.extend(drift),
            Err(error) => failed.push(error),
        }
    }
    Ok((drifts, failed))
}

async fn compare(objects: &Objects<'_>, placed: Placed, rules: &[IgnoreRule]) -> Result<Option<Drift>, String> {
    let is_left = |document: &Value| document["metadata"]["annotations"][DRIFT_DETECTION] == "disabled";
    if is_left(&placed.document) {
        return Ok(None);
    }
    let failed = |error: String| format!("{}: {error}", placed.id);
    let cluster = &objects.cx.cluster;
    let live = cluster.get_as(&placed.api, &placed.id).await.map_err(|error| failed(error.to_string()))?;
    let Some(live) = live else {
        let dry = placed.document.clone();
        return Ok(Some(Drift { placed, live: None, dry, ignored: Vec::new() }));
    };
    if is_left(&live) {
        return Ok(None);
    }
    let selects = |rule: &&IgnoreRule| {
        rule.target.as_ref().is_none_or(|target| fields::selects(target, &placed.id, &placed.document))
    };
    let ignored: Vec<String> = rules.iter().filter(selects).flat_map(|rule| rule.paths.clone()).collect();
    let how = Apply { manager: MANAGER, force: true, dry_run: true };
    let dry = cluster.apply(&leaving(&placed.document, &live, &ignored), &how).await;
    let dry = dry.map_err(|error| failed(error.to_string()))?;
    Ok(fields::is_different(&live, &dry).then_some(Drift { placed, live: Some(live), dry, ignored }))
}

/// The document that says nothing about ignored fields: those that weir applied once are as they live, so that they are
/// not taken away, and all others are left to their owners.
fn leaving(document: &Value, live: &Value, ignored: &[String]) -> Value {
    let mut document = document.clone();
    for pointer in ignored {
        let in_list = pointer.split('/').any(|part| part.parse::<usize>().is_ok());
        match live.pointer(pointer) {
            Some(value) if in_list || fields::is_applied_by(live, pointer, |manager| manager == MANAGER) => {
                fields::set(&mut document, pointer, value.clone());
            }
            _ => fields::remove(&mut document, pointer),
        }
    }
    document
}

/// Makes what is gone anew and sets back what is different; answers what was done and what was not.
pub async fn correct(objects: &Objects<'_>, drifts: &[Drift]) -> (Vec<String>, Vec<String>) {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for drift in drifts {
        match set_back(objects, drift).await {
            Ok(_) if drift.live.is_none() => done.push(format!("{} created", drift.placed.id)),
            Ok(_) => done.push(format!("{} configured", drift.placed.id)),
            Err(error) => failed.push(format!("{}: {error}", drift.placed.id)),
        }
    }
    (done, failed)
}

/// Sets one object back. Ignored fields are read anew, and the version that they were read in is what is written over.
async fn set_back(objects: &Objects<'_>, drift: &Drift) -> Result<Value, ClusterError> {
    let Drift { placed, ignored, .. } = drift;
    let cluster = &objects.cx.cluster;
    let how = Apply { manager: MANAGER, force: true, dry_run: false };
    if ignored.is_empty() {
        return cluster.apply(&placed.document, &how).await;
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let mut document = placed.document.clone();
        if let Some(live) = cluster.get_as(&placed.api, &placed.id).await? {
            document = leaving(&document, &live, ignored);
            document["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        }
        match cluster.apply(&document, &how).await {
            Err(ClusterError::Conflict { .. }) if tries < TRIES => {}
            answer => return answer,
        }
    }
}

/// One line for each object, without values.
pub fn summary(drifts: &[Drift]) -> String {
    let line = |drift: &Drift| match &drift.live {
        None => format!("{} removed", drift.placed.id),
        Some(live) => {
            let (mut added, mut changed, mut removed) = (0, 0, 0);
            for part in ["/metadata/labels", "/metadata/annotations"] {
                count(live.pointer(part), drift.dry.pointer(part), &mut (&mut added, &mut changed, &mut removed));
            }
            for (key, value) in drift.dry.as_object().into_iter().flatten() {
                if !matches!(key.as_str(), "metadata" | "status") {
                    count(live.get(key), Some(value), &mut (&mut added, &mut changed, &mut removed));
                }
            }
            format!("{} changed ({added} additions, {changed} changes, {removed} removals)", drift.placed.id)
        }
    };
    drifts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn count(live: Option<&Value>, dry: Option<&Value>, sums: &mut (&mut usize, &mut usize, &mut usize)) {
    match (live, dry) {
        (None | Some(Value::Null), Some(value)) if !value.is_null() => *sums.0 += 1,
        (Some(_), None) => *sums.2 += 1,
        (Some(Value::Object(live)), Some(Value::Object(dry))) => {
            for (key, value) in dry {
                count(live.get(key), Some(value), sums);
            }
            *sums.2 += live.keys().filter(|key| !dry.contains_key(*key)).count();
        }
        (Some(live), Some(dry)) if live != dry => *sums.1 += 1,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_ignored_field_is_as_it_lives_only_where_weir_applied_it() {
        let document = json!({"spec": {"replicas": 2, "paused": false, "list": [{"a": 1}]}});
        let live = |manager: &str| {
            json!({"metadata": {"managedFields": [
                {"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
                "spec": {"replicas": 7, "paused": false, "list": [{"a": 5}]}})
        };
        let ignored = ["/spec/replicas".to_owned(), "/spec/list/0/a".into(), "/spec/gone".into()];
        let own = leaving(&document, &live(MANAGER), &ignored);
        assert_eq!(own, json!({"spec": {"replicas": 7, "paused": false, "list": [{"a": 5}]}}));
        let other = leaving(&document, &live("hpa"), &ignored);
        assert_eq!(other, json!({"spec": {"paused": false, "list": [{"a": 5}]}}));
    }
}
