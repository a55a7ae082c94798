//! Edit: what an editor opens, the review of what it gives back, and the save.
//!
//! An edit is the difference between two views, sent as a merge patch with the version as its precondition: what the
//! person did not touch, and what is masked, is never written. Start with [`review`], then [`save`].

use super::clean::{difference, masked, masked_edit, masks_in};
use super::reconcile::achievement;
use super::settle::{Patience, settle};
use super::{Desk, MANAGER, Outcome, Problem, Progress, Refusal, Review, by_git, live, refuse};
use crate::base::{Id, Text, Value, yaml};
use crate::cluster::ClusterError;
use crate::engine::diff::{self, decided};
use crate::kinds::{self, Verb, check, convert};

/// Largest document an editor may give back: what an API server takes.
const DOCUMENT_BYTES: usize = 3 << 20;
/// Writes that may lose the race against a busy reconciler, or whose answer may be lost.
const RACES: u32 = 5;

/// An edited text, understood.
struct Edit {
    edited: Value,
    /// `None` when nothing changes.
    patch: Option<Value>,
    problems: Vec<Problem>,
}

/// The document and the YAML that an editor opens.
pub(super) fn open(document: &Value) -> (Value, String) {
    let original = masked(document);
    let yaml = yaml::write(&yaml::sorted(decided(&original)));
    (original, yaml)
}

/// Checks an edited document and shows what would change; sends nothing but dry runs.
pub(super) async fn review(desk: &Desk, original: &Value, text: &str) -> Result<Review, Refusal> {
    let Some(id) = Id::of(original) else { return Err(refuse("the document has no name".into(), "")) };
    let mut edit = match understand(original, text) {
        Ok(edit) => edit,
        Err(problem) => return Ok(Review { problems: vec![problem], diff: Vec::new(), by_git: None }),
    };
    let live = live(desk, &id).await?;
    if decided(&masked(&live)) != decided(original) {
        edit.problems.push(fatal("", 0, "somebody else changed it since it was opened: open it again".into()));
    }
    let may_be_sent = !edit.problems.iter().any(|problem| problem.fatal);
    if let Some(patch) = edit.patch.as_ref().filter(|_| may_be_sent) {
        edit.problems.extend(dry_run(desk, &id, &live, patch, text).await);
    }
    let (before, after) = (decided(original), masked_edit(&decided(original), &edit.edited));
    let diff = diff::lines(&yaml::write(&yaml::sorted(before)), &yaml::write(&yaml::sorted(after)));
    Ok(Review { problems: edit.problems, diff, by_git: by_git(desk, &id, &live) })
}

/// Writes an edit, and waits until it is reconciled when somebody reconciles it.
pub(super) async fn save(
    desk: &Desk,
    id: &Id,
    original: &Value,
    text: &str,
    progress: Progress<'_>,
) -> Result<Outcome, Refusal> {
    let edit =
        understand(original, text).map_err(|problem| Refusal { message: problem.message, hint: Text::default() })?;
    if let Some(problem) = edit.problems.into_iter().find(|problem| problem.fatal) {
        let place = if problem.path.as_str().is_empty() { String::new() } else { format!("{}: ", problem.path) };
        return Err(refuse(format!("{place}{}", problem.message), "nothing was written: correct the document"));
    }
    let Some(patch) = edit.patch else {
        return Ok(Outcome { message: Text::new("nothing was changed"), id: id.clone() });
    };
    let stored = write(desk, id, original, &patch).await?;
    let is_suspended = stored.pointer("/spec/suspend") == Some(&Value::Bool(true));
    if !kinds::of_id(id).offers(Verb::Reconcile) || is_suspended {
        return Ok(Outcome { message: Text::new("saved"), id: id.clone() });
    }
    progress(Text::new(format!("{id}: saved, waiting until it is reconciled")));
    let settled = settle(desk, id, None, Patience::Dependencies, progress).await.map_err(|refusal| Refusal {
        message: Text::new(format!("saved, but {}", refusal.message)),
        hint: refusal.hint,
    })?;
    Ok(Outcome { message: Text::new(format!("saved, {}", achievement(id, &settled))), id: id.clone() })
}

/// Writes the patch if, and only if, the object still reads as when it was opened. Its status may have moved on.
async fn write(desk: &Desk, id: &Id, original: &Value, patch: &Value) -> Result<Value, Refusal> {
    let mut failures = 0;
    loop {
        let live = live(desk, id).await?;
        if failures > 0 && is_done(&live, patch) {
            return Ok(live);
        }
        if live["metadata"]["uid"] != original["metadata"]["uid"] || decided(&masked(&live)) != decided(original) {
            let message = format!("{id}: somebody else changed it since it was opened");
            return Err(refuse(message, "nothing was written: open it again and repeat the edit"));
        }
        let mut patch = patch.clone();
        patch["metadata"]["uid"] = live["metadata"]["uid"].clone();
        patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        match desk.cluster.merge_patch(id, &patch, None, MANAGER).await {
            Err(ClusterError::Conflict { .. }) if failures < RACES => failures += 1,
            Err(error) if error.is_transient() && failures < RACES => {
                failures += 1;
                tokio::time::sleep(super::PAUSE).await;
            }
            answer => return Ok(answer?),
        }
    }
}

/// The patch changes nothing any more: it was done, and only its answer was lost.
fn is_done(live: &Value, patch: &Value) -> bool {
    let mut patched = live.clone();
    json_patch::merge(&mut patched, patch);
    patched == *live
}

/// Reads an edited text and finds what is wrong with it, without asking anybody.
///
/// Errors with the one problem that keeps it from being read at all.
fn understand(original: &Value, text: &str) -> Result<Edit, Problem> {
    let limits = yaml::Limits { file_bytes: DOCUMENT_BYTES, ..yaml::Limits::default() };
    let mut edited = yaml::read_one(text.as_bytes(), &limits).map_err(|e| fatal("", e.line, e.message))?;
    let mut problems = Vec::new();
    for note in convert::convert(&mut edited) {
        problems.push(Problem { fatal: false, ..fatal(&note.field, 0, note.message.clone()) });
    }
    if edited.get("status").is_some() {
        let message = "only reconcilers write the status: this part is left out".to_owned();
        problems.push(Problem { fatal: false, ..fatal("status", line(text, &["status"]), message) });
    }
    let opened = decided(original);
    if Id::of(&edited) != Id::of(original) {
        let message = "kind, name and namespace of an object cannot be changed: create another object instead";
        problems.push(fatal("metadata", line(text, &["metadata"]), message.into()));
    }
    for problem in check::check(&edited) {
        let path: Vec<&str> = problem.path.iter().map(String::as_str).collect();
        problems.push(fatal(&problem.field(), line(text, &path), problem.message.clone()));
    }
    let edited = decided(&edited);
    let patch = difference(&opened, &edited);
    for key in patch.as_ref().filter(|_| opened["kind"] == "Secret").map(masks_in).unwrap_or_default() {
        let path: Vec<&str> = key.split('.').collect();
        problems.push(fatal(&key, line(text, &path), "this is a mask, not a value: write the value itself".into()));
    }
    Ok(Edit { edited, patch, problems })
}

/// What the server would say.
async fn dry_run(desk: &Desk, id: &Id, live: &Value, patch: &Value, text: &str) -> Vec<Problem> {
    let mut patch = patch.clone();
    patch["metadata"]["uid"] = live["metadata"]["uid"].clone();
    let error = match desk.cluster.try_merge_patch(id, &patch, MANAGER).await {
        Ok(_) => return Vec::new(),
        Err(error) => error,
    };
    match &error {
        ClusterError::Invalid { causes, .. } if !causes.is_empty() => {
            let problem = |cause: &crate::cluster::Cause| {
                let path: Vec<&str> = cause.field.split(['.', '[', ']']).filter(|part| !part.is_empty()).collect();
                fatal(&cause.field, line(text, &path), cause.message.clone())
            };
            causes.iter().map(problem).collect()
        }
        error if error.is_transient() => {
            let message = format!("the cluster could not check it: {error}");
            vec![Problem { fatal: false, ..fatal("", 0, message) }]
        }
        error => vec![fatal("", 0, error.to_string())],
    }
}

/// The line of a field, or of the nearest field around it; 0 when there is none.
fn line(text: &str, path: &[&str]) -> usize {
    (0..=path.len()).rev().find_map(|length| yaml::line_of(text.as_bytes(), 0, &path[..length])).unwrap_or(0)
}

fn fatal(path: &str, line: usize, message: String) -> Problem {
    Problem { path: Text::new(path), line, message: Text::new(message), fatal: true }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn original() -> Value {
        json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "flux-system", "uid": "u", "resourceVersion": "7"},
            "spec": {"interval": "5m", "prune": true, "path": "./apps", "sourceRef": {"kind": "GitRepository", "name": "g"}},
            "status": {"observedGeneration": 1}})
    }

    fn edited(from: &str, to: &str) -> Edit {
        let (original, yaml) = open(&original());
        assert!(yaml.contains(from), "{yaml}");
        understand(&original, &yaml.replace(from, to)).unwrap_or_else(|problem| panic!("{}", problem.message))
    }

    #[test]
    fn an_edit_is_exactly_what_was_changed() {
        let edit = edited("interval: 5m", "interval: 1m");
        assert!(edit.problems.is_empty(), "{:?}", edit.problems);
        assert_eq!(edit.patch, Some(json!({"spec": {"interval": "1m"}})));
        assert_eq!(edited("interval: 5m", "interval: 5m # often enough").patch, None);
    }

    #[test]
    fn problems_name_the_line_and_the_field() {
        let edit = edited("interval: 5m", "intervals: 5m");
        let problem = edit.problems.iter().find(|problem| problem.path.as_str() == "spec.intervals").unwrap();
        assert!(problem.fatal && problem.line > 0 && problem.message.as_str().contains("interval"), "{problem:?}");
        let edit = edited("name: apps", "name: other");
        assert!(
            edit.problems.iter().any(|problem| problem.fatal && problem.message.as_str().contains("cannot be changed"))
        );
        let broken = understand(&original(), "a: [").err().unwrap();
        assert!(broken.fatal && broken.line > 0, "{broken:?}");
    }
}
