//! WATCH: everything after a revision, in order, once.
//!
//! A watch is a cursor into the store's log, so it costs nothing while it waits and cannot fill memory: one that is too
//! slow falls off the log's end, is told so with 410, and lists again. Start with [`watch`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::Core;
use super::answer::{self, Answer};
use super::catalog::Resource;
use super::dial::Cut;
use super::object::Stored;
use super::read::{self, Selection};
use super::request::Request;
use super::status::{Failure, cause};
use super::store::Change;
use super::table;
use super::view::{self, Form};

/// How many changes are read from the log at once.
const BATCH: usize = 128;
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts when the client names no time, and at most.
const DEFAULT_TIMEOUT: u64 = 1800;

struct Watch {
    core: Arc<Core>,
    resource: Arc<Resource>,
    namespace: String,
    selection: Selection,
    form: Form,
    include: table::Include,
    cursor: u64,
    changes: Receiver<u64>,
    ready: VecDeque<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    /// The table's columns are sent with the first event alone.
    columns_sent: bool,
    cut: Option<Cut>,
    ended: bool,
}

/// Answers a watch.
///
/// Errors before the stream begins, for options that cannot be met.
pub fn watch(
    core: &Arc<Core>,
    resource: &Arc<Resource>,
    namespace: &str,
    request: &Request,
) -> Result<Answer, Failure> {
    let form = Form::negotiate(request.header("accept"))?;
    let selection = Selection::of(resource, request)?;
    let bookmarks = request.flag("allowWatchBookmarks");
    let initial = initial_events(request)?;
    let since = read::revision(request.text("resourceVersion"))?;
    let seconds = request.number("timeoutSeconds")?.filter(|s| *s > 0).unwrap_or(DEFAULT_TIMEOUT);
    let now = Instant::now();
    let mut watch = Watch {
        core: core.clone(),
        resource: resource.clone(),
        namespace: namespace.to_string(),
        selection,
        form: if form == Form::Yaml { Form::Json } else { form },
        include: table::Include::of(request.text("includeObject")),
        cursor: 0,
        changes: core.store.changes(),
        ready: VecDeque::new(),
        bookmarks,
        next_bookmark: now + BOOKMARK_EVERY,
        deadline: now + Duration::from_secs(seconds.min(24 * 3600)),
        columns_sent: false,
        cut: core.dial.cut(request),
        ended: false,
    };
    watch.start(since, initial)?;
    Ok(answer::stream(futures::stream::unfold(watch, |mut watch| async move {
        let next = watch.next().await?;
        Some((next, watch))
    })))
}

/// What `sendInitialEvents` asks for: nothing said, no, or yes.
fn initial_events(request: &Request) -> Result<Option<bool>, Failure> {
    let given = request.query.contains_key("sendInitialEvents");
    let refuse = |field: &str, why: &str| {
        let causes = vec![cause("FieldValueForbidden", field, format!("Forbidden: {why}"))];
        Err(Failure::invalid("ListOptions", "meta.k8s.io", "", causes))
    };
    match (given, request.text("resourceVersionMatch")) {
        (true, "NotOlderThan") => Ok(Some(request.flag("sendInitialEvents"))),
        (true, _) => {
            refuse("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        }
        (false, "") => Ok(None),
        (false, _) => refuse(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    }
}

impl Watch {
    fn start(&mut self, since: Option<u64>, initial: Option<bool>) -> Result<(), Failure> {
        let core = self.core.clone();
        let state = core.store.read();
        let newest = state.revision;
        if let Some(since) = since.filter(|since| *since > newest) {
            return Err(read::too_large(since, newest));
        }
        let from_state = initial.unwrap_or(matches!(since, None | Some(0)));
        if !from_state {
            self.cursor = since.filter(|since| *since > 0).unwrap_or(newest);
            return Ok(());
        }
        // A cache that lags shows its old state first; one that must be newer than a revision waits, so show the newest.
        let at = state.ripe(core.dial.watch_lag()).max(since.unwrap_or(0));
        let objects = state
            .list_at(&self.resource.storage, &self.namespace, at)
            .map_err(|_| Failure::expired(format!("too old resource version: {at} ({newest})")))?;
        drop(state);
        self.cursor = at;
        for (key, object) in objects {
            if self.selection.takes(&self.resource, &key, &object) {
                self.push("ADDED", &object, None);
            }
        }
        if initial == Some(true) && self.bookmarks {
            self.push_bookmark(true);
        }
        Ok(())
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                let allowed = self.cut.as_mut().is_none_or(Cut::allows_one_more);
                return allowed.then_some(event);
            }
            if self.ended {
                return None;
            }
            self.read_log();
            if self.ready.is_empty() && !self.ended {
                self.wait().await;
            }
        }
    }

    fn read_log(&mut self) {
        self.changes.borrow_and_update();
        let lag = self.core.dial.watch_lag();
        let found = self.core.store.read().after(&self.resource.storage, &self.namespace, self.cursor, BATCH, lag);
        match found {
            Ok((changes, upto)) => {
                self.cursor = upto;
                changes.iter().for_each(|change| self.take(change));
            }
            Err(_) => {
                let newest = self.core.store.read().revision;
                let gone = Failure::expired(format!("too old resource version: {} ({newest})", self.cursor));
                self.push_raw("ERROR", gone.to_value().to_string().as_bytes());
                self.ended = true;
            }
        }
    }

    async fn wait(&mut self) {
        let lag = self.core.dial.watch_lag();
        let ripens = if lag.is_zero() { None } else { self.core.store.read().ripens(self.cursor, lag) };
        let ripe_at = ripens.unwrap_or(self.deadline);
        tokio::select! {
            _ = self.core.closing.cancelled() => self.ended = true,
            changed = self.changes.changed() => self.ended = changed.is_err(),
            () = sleep_until(ripe_at.min(self.deadline)) => {
                if Instant::now() >= self.deadline {
                    self.ended = true;
                    if self.bookmarks {
                        self.push_bookmark(false);
                    }
                }
            }
            () = sleep_until(self.next_bookmark), if self.bookmarks => {
                self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                self.push_bookmark(false);
            }
        }
    }

    /// A change as this watch must see it: what begins to match is added, what stops is deleted.
    fn take(&mut self, change: &Change) {
        let takes = |object: &Stored| self.selection.takes(&self.resource, &change.key, object);
        let was = change.previous.as_deref().is_some_and(takes);
        let is = !change.deleted && takes(&change.object);
        match (was, is) {
            (false, true) => self.push("ADDED", &change.object, None),
            (true, true) => self.push("MODIFIED", &change.object, None),
            (true, false) if change.deleted => self.push("DELETED", &change.object, None),
            // Its last content that matched, at the revision where it stopped.
            (true, false) => {
                if let Some(previous) = change.previous.clone() {
                    self.push("DELETED", &previous, Some(change.revision));
                }
            }
            (false, false) => {}
        }
    }

    fn push(&mut self, kind: &str, object: &Stored, revision: Option<u64>) {
        if self.form == Form::Json && revision.is_none() {
            let mut text = Vec::with_capacity(object.json().len() + 64);
            view::write(&self.resource, object, false, &mut text);
            return self.push_raw(kind, &text);
        }
        let mut value = view::value(&self.resource, object);
        if let Some(revision) = revision {
            value["metadata"]["resourceVersion"] = revision.to_string().into();
        }
        let shown = match self.form {
            Form::Table => self.row(&value),
            Form::Metadata => view::metadata_only(&value),
            Form::Json | Form::Yaml => value,
        };
        self.push_raw(kind, shown.to_string().as_bytes());
    }

    fn row(&mut self, object: &Value) -> Value {
        let mut table = table::table(&self.resource, [object], self.include, (self.core.now)());
        table["metadata"] = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
        if std::mem::replace(&mut self.columns_sent, true) {
            table["columnDefinitions"] = Value::Null;
        }
        table
    }

    fn push_bookmark(&mut self, end_of_initial: bool) {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string(), "creationTimestamp": null});
        if end_of_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (kind, version) = match self.form {
            Form::Metadata => ("PartialObjectMetadata".to_string(), "meta.k8s.io/v1".to_string()),
            _ => (self.resource.kind.clone(), self.resource.api_version()),
        };
        let mut object = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
        if self.form == Form::Table {
            object = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "columnDefinitions": null, "rows": [{"cells": [], "object": object}]});
        }
        self.push_raw("BOOKMARK", object.to_string().as_bytes());
    }

    fn push_raw(&mut self, kind: &str, object: &[u8]) {
        let mut line = Vec::with_capacity(object.len() + 40);
        line.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
        line.extend_from_slice(object);
        line.extend_from_slice(b"}\n");
        self.ready.push_back(line.into());
    }
}
