//! Suspend and resume: one field, and for resume the run that follows.

use serde_json::json;

use super::reconcile::achievement;
use super::settle::{Patience, settle};
use super::{Desk, Outcome, Progress, Refusal, offers};
use crate::base::{Id, Text, Value};
use crate::kinds::Verb;

/// Stops reconciling until resumed. A run that has begun is not cut off.
pub(super) async fn suspend(desk: &Desk, document: &Value, id: &Id) -> Result<Outcome, Refusal> {
    offers(id, Verb::Suspend)?;
    let outcome = |message: &str| Ok(Outcome { message: Text::new(message), id: id.clone() });
    if is_suspended(document) {
        return outcome("was suspended already");
    }
    set(desk, document, id, json!(true)).await?;
    outcome("suspended: nothing is reconciled until it is resumed")
}

/// Lets it reconcile again, and waits for the first run.
pub(super) async fn resume(desk: &Desk, document: &Value, id: &Id, progress: Progress<'_>) -> Result<Outcome, Refusal> {
    offers(id, Verb::Resume)?;
    if !is_suspended(document) {
        return Ok(Outcome { message: Text::new("was not suspended"), id: id.clone() });
    }
    set(desk, document, id, Value::Null).await?;
    progress(Text::new(format!("{id}: resumed")));
    let settled = settle(desk, id, None, Patience::Dependencies, progress).await;
    let settled = settled.map_err(|refusal| Refusal {
        message: Text::new(format!("resumed, but {}", refusal.message)),
        hint: refusal.hint,
    })?;
    Ok(Outcome { message: Text::new(format!("resumed, {}", achievement(id, &settled))), id: id.clone() })
}

fn is_suspended(document: &Value) -> bool {
    document.pointer("/spec/suspend") == Some(&Value::Bool(true))
}

async fn set(desk: &Desk, document: &Value, id: &Id, suspend: Value) -> Result<(), Refusal> {
    let patch = json!({"metadata": {"uid": document["metadata"]["uid"]}, "spec": {"suspend": suspend}});
    super::patch(desk, id, &patch).await.map(drop)
}
