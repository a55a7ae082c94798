//! Drift: what in the cluster is not as the release's manifest says, found by dry run, told, and set back.
//!
//! Start with [`detect`]. Source: helm-controller internal/action/diff.go and internal/diff/summarize.go.

use futures::StreamExt as _;
use futures::stream;
use serde_json::Value;

use super::super::kustomization::fields;
use super::objects::{MANAGER, Objects, Placed};
use crate::cluster::Apply;
use crate::engine::release::Record;
use crate::kinds::helm_release::DRIFT_DETECTION;
use crate::kinds::kustomization::IgnoreRule;

/// Requests at the same time.
const AT_ONCE: usize = 4;

/// One object that is not as it should be.
#[derive(Clone, Debug)]
pub struct Drift {
    pub placed: Placed,
    /// `None` when the object is gone.
    pub live: Option<Value>,
    /// What the object would be.
    pub dry: Value,
}

/// Compares every object of a release with the cluster.
///
/// Errors when any cannot be compared.
pub async fn detect(objects: &Objects<'_>, record: &Record, rules: &[IgnoreRule]) -> Result<Vec<Drift>, String> {
    let placed = objects.own(objects.read(&record.manifest).await?);
    let work = placed.into_iter().map(|placed| compare(objects, placed, rules));
    let found: Vec<Result<Option<Drift>, String>> = stream::iter(work).buffered(AT_ONCE).collect().await;
    let mut drifts = Vec::new();
    for drift in found {
        drifts.extend(drift?);
    }
    Ok(drifts)
}

async fn compare(objects: &Objects<'_>, mut placed: Placed, rules: &[IgnoreRule]) -> Result<Option<Drift>, String> {
    let is_left = |document: &Value| document["metadata"]["annotations"][DRIFT_DETECTION] == "disabled";
    if is_left(&placed.document) {
        return Ok(None);
    }
    let failed = |error: String| format!("{}: {error}", placed.id);
    let cluster = &objects.cx.cluster;
    let live = cluster.get_as(&placed.api, &placed.id).await.map_err(|error| failed(error.to_string()))?;
    let Some(live) = live else {
        let dry = placed.document.clone();
        return Ok(Some(Drift { placed, live: None, dry }));
    };
    if is_left(&live) {
        return Ok(None);
    }
    let id = placed.id.clone();
    let selects =
        |rule: &&IgnoreRule| rule.target.as_ref().is_none_or(|target| fields::selects(target, &id, &placed.document));
    let pointers: Vec<&String> = rules.iter().filter(selects).flat_map(|rule| &rule.paths).collect();
    for pointer in pointers {
        // The live value, so that nothing about the field is said.
        match live.pointer(pointer) {
            Some(value) => fields::set(&mut placed.document, pointer, value.clone()),
            None => fields::remove(&mut placed.document, pointer),
        }
    }
    let how = Apply { manager: MANAGER, force: true, dry_run: true };
    let dry = cluster.apply(&placed.document, &how).await.map_err(|error| format!("{id}: {error}"))?;
    Ok(fields::is_different(&live, &dry).then_some(Drift { placed, live: Some(live), dry }))
}

/// Makes what is gone anew and sets back what is different; answers what was done and what was not.
pub async fn correct(objects: &Objects<'_>, drifts: &[Drift]) -> (Vec<String>, Vec<String>) {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for drift in drifts {
        let how = Apply { manager: MANAGER, force: true, dry_run: false };
        match objects.cx.cluster.apply(&drift.placed.document, &how).await {
            Ok(_) if drift.live.is_none() => done.push(format!("{} created", drift.placed.id)),
            Ok(_) => done.push(format!("{} configured", drift.placed.id)),
            Err(error) => failed.push(format!("{}: {error}", drift.placed.id)),
        }
    }
    (done, failed)
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
