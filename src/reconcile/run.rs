//! [`Run`]: what a reconciler may say and ask while it works on one object. The shell listens and writes.
//!
//! Status goes out as a merge patch of what is different, so an unchanged object costs no write; progress is written
//! only when a run is not over within half a second. Start with [`Run`]; who makes one is `shell`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::running::Queue;
use super::{Cause, Failure, Reconciled, summary};
use crate::base::{Condition, Id, Redactor, Stamp, Value};
use crate::cluster::{Cluster, ClusterError, EventType, Notice};
use crate::kinds::meta;

/// How long a run may go on before its progress is written.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest event message, in bytes, as Kubernetes and Flux cut it.
const EVENT_BYTES: usize = 1024;
/// The longest message a condition keeps, in bytes; it is cut only once it is clean, so that half a secret is not left.
const MESSAGE_BYTES: usize = 20_000;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Kept as a Kubernetes event, never sent to a provider.
    Trace,
    Info,
    Error,
}

/// One reconciliation of one object, from the inside.
pub struct Run {
    pub(super) desk: Arc<Desk>,
    pub(super) ready: Option<Cause>,
    /// What Ready=False says when that is not why the run ended.
    pub(super) unready: Option<Cause>,
    /// Whether the failure was told as an event already.
    pub(super) told: bool,
    notes: BTreeMap<String, String>,
    seat: Seat,
}

/// The worker's place in its lane.
pub(super) struct Seat {
    pub permit: Option<OwnedSemaphorePermit>,
    pub permits: Arc<Semaphore>,
    /// Tells the queue that a place is free, and knows whether the object was woken again.
    pub queue: Option<Queue>,
}

/// What the run and the progress teller share.
pub(super) struct Desk {
    pub cluster: Cluster,
    pub id: Id,
    pub controller: &'static str,
    pub generation: i64,
    /// The document as read, for events.
    pub about: Value,
    pub doing: Mutex<Doing>,
    /// What is in nothing that the run tells.
    pub hidden: Mutex<Redactor>,
    pub pen: tokio::sync::Mutex<Pen>,
}

/// The last progress message, and whether it was written.
#[derive(Default)]
pub(super) struct Doing {
    pub message: Option<String>,
    news: bool,
}

/// The status as last written.
pub(super) struct Pen {
    pub status: Value,
    /// The version that the last own write made.
    pub written: Option<String>,
    /// A write was begun and its answer never came: the next one repeats everything.
    uncertain: bool,
}

impl Pen {
    pub(super) fn new(status: Value) -> Self {
        Pen { status, written: None, uncertain: false }
    }
}

impl Run {
    pub(super) fn new(desk: Arc<Desk>, seat: Seat) -> Self {
        Run { desk, ready: None, unready: None, told: false, notes: BTreeMap::new(), seat }
    }

    /// Which object is being worked on.
    pub fn id(&self) -> &Id {
        &self.desk.id
    }

    /// Keeps texts out of everything that is told from here on: conditions, events and logs.
    pub fn hide(&mut self, texts: &Redactor) {
        let mut hidden = self.desk.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        *hidden = hidden.and(texts);
    }

    /// Says what is being done; becomes the Reconciling condition when the run is not over at once.
    pub fn progress(&mut self, message: impl Into<String>) {
        let message = self.desk.clean(&message.into());
        tracing::debug!(id = %self.desk.id, "{message}");
        let mut doing = self.desk.doing();
        doing.news = true;
        doing.message = Some(message);
    }

    /// Reports something that happened; `metadata` keys come without the group prefix.
    pub async fn event(&mut self, severity: Severity, reason: &str, message: &str, metadata: &[(&str, &str)]) {
        let mut notes = self.notes.clone();
        notes.extend(metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.desk.event(severity, &Cause::new(reason, message), &notes).await;
    }

    /// Adds a metadata entry to every later event of this run, e.g. `revision`.
    pub fn note(&mut self, key: &str, value: &str) {
        self.notes.insert(key.into(), value.into());
    }

    pub(super) fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// The reason and message of Ready=True, should the run succeed.
    pub fn ready(&mut self, reason: &str, message: impl Into<String>) {
        self.ready = Some(Cause::new(reason, message));
    }

    /// The reason and message of Ready=False, should the run fail, when the failure itself says something else.
    pub fn unready(&mut self, cause: Cause) {
        self.unready = Some(cause);
    }

    /// Says that whatever the run fails with was told by an event of its own.
    pub fn told(&mut self) {
        self.told = true;
    }

    /// Sets a condition of the kind's own (not Ready, Reconciling, Stalled).
    pub fn set_condition<O: Reconciled>(&self, object: &mut O, kind: &str, status: &str, reason: &str, message: &str) {
        let cause = Cause::new(reason, message);
        summary::set(object.conditions(), kind, status, &cause, self.desk.generation, now());
    }

    /// Removes a condition of the kind's own.
    pub fn unset_condition<O: Reconciled>(&self, object: &mut O, kind: &str) {
        summary::unset(object.conditions(), kind);
    }

    /// Writes the object's status now, before the run is over: what must survive a crash.
    ///
    /// Errors as a retry when the API does not take it: stop then, before doing what the status should have told.
    pub async fn save<O: Reconciled>(&mut self, object: &O) -> Result<(), Failure> {
        let mut status = status_of(object);
        if let Some(message) = self.desk.doing().message.clone() {
            self.desk.add_progress(&mut status, &message);
        }
        let written = self.desk.write(status).await;
        written.map_err(|error| Failure::Retry(Cause::new("Failed", format!("cannot write status: {error}"))))
    }

    /// Waits without holding a worker, so that other objects get their turn.
    pub async fn rest<T>(&mut self, waiting: impl Future<Output = T> + Send) -> T {
        self.seat.permit = None;
        if let Some(queue) = &self.seat.queue {
            queue.nudge();
        }
        let answer = waiting.await;
        self.seat.permit = self.seat.permits.clone().acquire_owned().await.ok();
        answer
    }

    /// Tells whether the object was woken again since this run began: what it waits for may be out of date.
    pub fn outdated(&self) -> impl Fn() -> bool + Send + 'static {
        let (queue, id) = (self.seat.queue.clone(), self.desk.id.clone());
        move || queue.as_ref().is_some_and(|queue| queue.is_woken_again(&id))
    }
}

impl Desk {
    /// A text without what this run must not tell.
    pub(super) fn clean(&self, text: &str) -> String {
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hidden.clean(text).into_owned()
    }

    pub(super) fn doing(&self) -> std::sync::MutexGuard<'_, Doing> {
        // A message is replaced whole, so a panic leaves a valid one behind.
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes progress until it is told to stop, and then still ends what it began: a write that was only dropped could
    /// arrive after the run's last one and take it back.
    pub(super) async fn tell_progress(&self, stop: &Notify) {
        loop {
            tokio::select! {
                biased;
                () = stop.notified() => return,
                () = tokio::time::sleep(PATIENCE) => {}
            }
            let message = {
                let mut doing = self.doing();
                if !std::mem::take(&mut doing.news) {
                    continue;
                }
                doing.message.clone().unwrap_or_default()
            };
            let mut pen = self.pen.lock().await;
            let mut status = pen.status.clone();
            self.add_progress(&mut status, &message);
            if let Err(error) = self.write_with(&mut pen, status).await {
                tracing::warn!(id = %self.id, "progress was not written: {error}");
            }
        }
    }

    fn add_progress(&self, status: &mut Value, message: &str) {
        let mut conditions = conditions_of(status);
        summary::progressing(&mut conditions, message, self.generation, now());
        set_conditions(status, &conditions);
    }

    /// Patches what is different; nothing different is no write.
    pub(super) async fn write(&self, status: Value) -> Result<(), ClusterError> {
        let mut pen = self.pen.lock().await;
        self.write_with(&mut pen, status).await
    }

    async fn write_with(&self, pen: &mut Pen, mut status: Value) -> Result<(), ClusterError> {
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            if let Some(Value::String(message)) = condition.get_mut("message") {
                *message = self.clean(message);
                message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
            }
        }
        let mut patch = difference(&pen.status, &status);
        if pen.uncertain {
            merge(&mut patch, &status);
        }
        if patch.as_object().is_none_or(serde_json::Map::is_empty) {
            return Ok(());
        }
        pen.uncertain = true;
        let manager = format!("gotk-{}", self.controller);
        let body = serde_json::json!({ "status": patch });
        let answer = self.cluster.merge_patch(&self.id, &body, Some("status"), &manager).await?;
        pen.uncertain = false;
        pen.written = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned);
        pen.status = status;
        Ok(())
    }

    /// Emits an event; one that cannot be written is logged and not tried again.
    pub(super) async fn event(&self, severity: Severity, cause: &Cause, notes: &BTreeMap<String, String>) {
        let message = self.clean(&cause.message);
        let message = &message[..message.floor_char_boundary(EVENT_BYTES)];
        match severity {
            Severity::Error => tracing::warn!(id = %self.id, reason = cause.reason, "{message}"),
            _ => tracing::info!(id = %self.id, reason = cause.reason, "{message}"),
        }
        let notice = Notice {
            severity: if severity == Severity::Error { EventType::Warning } else { EventType::Normal },
            reason: &cause.reason,
            message,
            reporter: self.controller,
            annotations: &annotations(&self.about, &self.id.group, notes),
        };
        if let Err(error) = self.cluster.emit_event(&self.about, &notice).await {
            tracing::warn!(id = %self.id, "an event was not written: {error}");
        }
    }
}

/// The metadata of an event, prefixed as Flux does: the notes, and what the object's annotations add.
fn annotations(about: &Value, group: &str, notes: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let own = about.pointer("/metadata/annotations").and_then(Value::as_object);
    let mut all: BTreeMap<String, String> = own
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.strip_prefix(meta::EVENT_PREFIX)?, value.as_str()?)))
        .map(|(key, value)| (format!("{group}/{key}"), value.to_owned()))
        .collect();
    all.extend(notes.iter().map(|(key, value)| (format!("{group}/{key}"), value.clone())));
    all.into_iter().collect()
}

/// The moment, for conditions.
pub(super) fn now() -> Stamp {
    Stamp(jiff::Timestamp::now().as_second())
}

/// The status of a typed object as a document.
pub(super) fn status_of<O: Reconciled>(object: &O) -> Value {
    let document = serde_json::to_value(object).unwrap_or_default();
    document.get("status").filter(|status| status.is_object()).cloned().unwrap_or_else(|| serde_json::json!({}))
}

/// The conditions of a status.
pub(super) fn conditions_of(status: &Value) -> Vec<Condition> {
    Condition::all(&serde_json::json!({ "status": { "conditions": status["conditions"] } }))
}

/// Puts conditions into a status.
pub(super) fn set_conditions(status: &mut Value, conditions: &[Condition]) {
    status["conditions"] = serde_json::to_value(conditions).unwrap_or_default();
}

/// The merge patch that makes `to` of `from`.
fn difference(from: &Value, to: &Value) -> Value {
    let (Some(old), Some(new)) = (from.as_object(), to.as_object()) else { return to.clone() };
    let mut patch = serde_json::Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(known) if known == value => {}
            Some(known) if known.is_object() && value.is_object() => {
                patch.insert(key.clone(), difference(known, value));
            }
            _ => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// Adds every top-level field of `all` to a patch that does not speak of it.
fn merge(patch: &mut Value, all: &Value) {
    for (key, value) in all.as_object().into_iter().flatten() {
        if patch.get(key).is_none() {
            patch[key] = value.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_patch_says_only_what_is_different() {
        let from = json!({"a": 1, "b": {"x": 1, "y": 2}, "list": [1], "gone": true});
        let to = json!({"a": 1, "b": {"x": 1, "z": 3}, "list": [1, 2]});
        assert_eq!(difference(&from, &to), json!({"b": {"z": 3, "y": null}, "list": [1, 2], "gone": null}));
        assert_eq!(difference(&to, &to), json!({}));
    }

    #[test]
    fn event_metadata_carries_the_group() {
        let about = json!({"metadata": {"annotations": {"event.toolkit.fluxcd.io/team": "web", "other": "x"}}});
        let notes = BTreeMap::from([("revision".to_owned(), "main@sha1:1".to_owned())]);
        let all = annotations(&about, "g.io", &notes);
        assert_eq!(all, [("g.io/revision".into(), "main@sha1:1".into()), ("g.io/team".into(), "web".into())]);
    }
}
