//! Reconcile now: ask by annotation, and wait until the reconciler has handled that very request.
//!
//! Source: flux2 cmd/flux reconcile (annotation and wait), with the outcome told as soon as it is known.

use serde_json::json;

use super::settle::{Patience, settle};
use super::{Desk, Outcome, Progress, Refusal, live, offers, refuse};
use crate::base::{Id, Text, Value};
use crate::kinds::helm_release::{FORCE_AT, RESET_AT};
use crate::kinds::meta::REQUESTED_AT;
use crate::kinds::{self, Tie, Verb};

/// How far up the sources are followed.
const CHAIN: usize = 3;

/// Asks for a reconciliation and answers with the revision it ended at.
pub(super) async fn reconcile(
    desk: &Desk,
    document: &Value,
    id: &Id,
    progress: Progress<'_>,
) -> Result<Outcome, Refusal> {
    asked(desk, document, id, &[], progress).await
}

/// Asks a HelmRelease for a reconciliation that releases once more, or forgets its failures, or both.
pub(super) async fn release(
    desk: &Desk,
    document: &Value,
    id: &Id,
    (force, reset): (bool, bool),
    progress: Progress<'_>,
) -> Result<Outcome, Refusal> {
    offers(id, Verb::ReconcileWithForce)?;
    let keys = [(force, FORCE_AT), (reset, RESET_AT)];
    let keys: Vec<&str> = keys.into_iter().filter(|(wanted, _)| *wanted).map(|(_, key)| key).collect();
    asked(desk, document, id, &keys, progress).await
}

/// Asks by annotation; `also` are further annotations that carry the same token.
async fn asked(
    desk: &Desk,
    document: &Value,
    id: &Id,
    also: &[&str],
    progress: Progress<'_>,
) -> Result<Outcome, Refusal> {
    offers(id, Verb::Reconcile)?;
    refuse_suspended(document, id)?;
    if kinds::of_id(id).is_static(document) {
        let message = Text::new("there is nothing to reconcile: a registry is asked when a chart of it is wanted");
        return Ok(Outcome { message, id: id.clone() });
    }
    let token = jiff::Timestamp::now().to_string();
    let mut annotations = json!({REQUESTED_AT: token});
    for key in also {
        annotations[*key] = token.as_str().into();
    }
    let patch = json!({"metadata": {"uid": document["metadata"]["uid"], "annotations": annotations}});
    super::patch(desk, id, &patch).await?;
    progress(Text::new(format!("{id}: asked to reconcile")));
    let settled = settle(desk, id, Some(&token), Patience::Handled, progress).await?;
    Ok(Outcome { message: Text::new(achievement(id, &settled)), id: id.clone() })
}

/// Reconciles the source first, waits for it, then the object.
pub(super) async fn with_source(
    desk: &Desk,
    document: &Value,
    id: &Id,
    progress: Progress<'_>,
) -> Result<Outcome, Refusal> {
    offers(id, Verb::ReconcileWithSource)?;
    refuse_suspended(document, id)?;
    let relations = (kinds::of_id(id).relations)(document);
    let Some(source) = relations.into_iter().find(|relation| relation.tie == Tie::Source).map(|found| found.to) else {
        return Err(refuse(format!("{id} names no source"), "reconcile it without its source"));
    };
    fetch(desk, &source, progress).await?;
    let document = live(desk, id).await?;
    reconcile(desk, &document, id, progress).await
}

/// Fetches a source, and what it is made from before it: a chart comes out of a repository.
async fn fetch(desk: &Desk, source: &Id, progress: Progress<'_>) -> Result<(), Refusal> {
    let mut chain = vec![source.clone()];
    while chain.len() <= CHAIN {
        let Some(last) = chain.last() else { break };
        let relations = (kinds::of_id(last).relations)(&live(desk, last).await?);
        let Some(above) = relations.into_iter().find(|relation| relation.tie == Tie::Source) else { break };
        chain.push(above.to);
    }
    // A repository that is only a place, such as one of OCI charts, has nothing to fetch.
    for source in chain.iter().rev().filter(|source| kinds::of_id(source).offers(Verb::Reconcile)) {
        let found = live(desk, source).await?;
        let fetched = reconcile(desk, &found, source, progress).await?;
        progress(Text::new(format!("{source}: {}", fetched.message)));
    }
    Ok(())
}

fn refuse_suspended(document: &Value, id: &Id) -> Result<(), Refusal> {
    match document.pointer("/spec/suspend") {
        Some(Value::Bool(true)) => {
            Err(refuse(format!("{id} is suspended"), &format!("resume it first: weir resume {}", words(id))))
        }
        _ => Ok(()),
    }
}

/// What a settled object achieved, e.g. `applied revision main@sha1:9f86d081`.
pub(super) fn achievement(id: &Id, document: &Value) -> String {
    let achieved = kinds::of_id(id).custom.as_ref().map(|custom| (custom.achieved)(document)).unwrap_or_default();
    if achieved.is_empty() { "reconciled".into() } else { achieved }
}

/// The object as the command line names it, e.g. `ks apps -n flux-system`.
pub(super) fn words(id: &Id) -> String {
    let kind = kinds::of_id(id).short_names.first().map_or_else(|| id.kind.to_lowercase(), |&short| short.to_owned());
    match &*id.namespace {
        "" => format!("{kind} {}", id.name),
        namespace => format!("{kind} {} -n {namespace}", id.name),
    }
}
