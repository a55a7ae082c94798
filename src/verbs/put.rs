//! Put: create a document or change it, and wait until it is reconciled.

use super::reconcile::achievement;
use super::settle::{Patience, settle};
use super::{Desk, MANAGER, Outcome, Progress, Refusal, refuse};
use crate::base::{Id, Text, Value};
use crate::cluster::Apply;
use crate::kinds::{self, Verb, check, convert};

/// Applies a document; fields that others own are left to them, by refusing.
pub(super) async fn put(desk: &Desk, mut document: Value, progress: Progress<'_>) -> Result<Outcome, Refusal> {
    for note in convert::convert(&mut document) {
        progress(Text::new(note.to_string()));
    }
    let problems = check::check(&document);
    if let Some(problem) = problems.first() {
        return Err(refuse(problem.to_string(), "correct the document"));
    }
    let how = Apply { manager: MANAGER, force: false, dry_run: false };
    let stored = desk.cluster.apply(&document, &how).await?;
    let Some(id) = Id::of(&stored) else {
        return Err(refuse("the cluster answered with no object".into(), ""));
    };
    let is_suspended = stored.pointer("/spec/suspend") == Some(&Value::Bool(true));
    if !kinds::of_id(&id).offers(Verb::Reconcile) || is_suspended {
        return Ok(Outcome { message: Text::new("applied"), id });
    }
    progress(Text::new(format!("{id}: applied, waiting until it is reconciled")));
    let settled = settle(desk, &id, None, Patience::Dependencies, progress).await?;
    Ok(Outcome { message: Text::new(achievement(&id, &settled)), id })
}
