//! Describe: everything worth knowing of one object on one page, most urgent first.
//!
//! Works from the masked document and the picture; the only request is for an object that is not in the picture.

use super::{Desk, EventLine, Row, Section, by_git};
use crate::base::{Age, Condition, Health, Id, Revision, Stamp, State, Text, Value};
use crate::kinds::{self, Relation, Tie};

/// Lines of a document's own content shown before the rest is counted.
const CONTENT_LINES: usize = 60;
/// Objects listed of an inventory, or of what points here.
const LISTED: usize = 200;
/// Nesting shown of a document's own content.
const DEPTH: usize = 6;

/// The page about a masked document.
pub(super) fn describe(desk: &Desk, id: &Id, document: &Value, events: &[EventLine], now: Stamp) -> Vec<Section> {
    let mut page = vec![head(desk, id, document, now)];
    page.extend(conditions(document, now));
    page.extend(content(document));
    page.extend(relations(desk, id, document));
    page.extend(owned(desk, id, document));
    page.extend(history(document));
    page.extend(self::events(events, now));
    page
}

fn head(desk: &Desk, id: &Id, document: &Value, now: Stamp) -> Section {
    let kind = kinds::of_id(id);
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut rows = vec![row("Name", &id.name)];
    if !id.namespace.is_empty() {
        rows.push(row("Namespace", &id.namespace));
    }
    rows.push(row("Kind", &format!("{} ({})", id.kind, text("/apiVersion"))));
    let health = (kind.health)(document);
    rows.push(Row { state: Some(health.state), ..row("Health", &told(&health)) });
    for column in
        kind.columns.iter().filter(|column| !["READY", "STATUS", "MESSAGE", "SUSPENDED"].contains(&column.name))
    {
        let cell = (column.cell)(document);
        if !cell.is_empty() {
            rows.push(row(&capitalised(column.name), &cell));
        }
    }
    if let Some(owner) = by_git(desk, id, document) {
        rows.push(Row { link: Some(owner.clone()), ..row("Applied by", &owner.to_string()) });
    }
    if let Ok(created) = text("/metadata/creationTimestamp").parse::<Stamp>() {
        rows.push(row("Created", &format!("{created} ({} ago)", Age::between(created, now))));
    }
    for (label, pointer) in [("Labels", "/metadata/labels"), ("Annotations", "/metadata/annotations")] {
        for (index, (key, value)) in
            document.pointer(pointer).and_then(Value::as_object).into_iter().flatten().enumerate()
        {
            let label = if index == 0 { label } else { "" };
            rows.push(row(label, &format!("{key}={}", value.as_str().unwrap_or_default())));
        }
    }
    let finalizers = document.pointer("/metadata/finalizers").and_then(Value::as_array);
    for (index, finalizer) in finalizers.into_iter().flatten().filter_map(Value::as_str).enumerate() {
        rows.push(row(if index == 0 { "Finalizers" } else { "" }, finalizer));
    }
    Section { title: Text::new("Object"), rows }
}

fn conditions(document: &Value, now: Stamp) -> Option<Section> {
    let rows: Vec<Row> = Condition::all(document)
        .into_iter()
        .map(|condition| {
            let age = condition.last_transition_time.parse().map(|at| Age::between(at, now).to_string());
            let reason = if condition.reason.is_empty() { String::new() } else { format!(" {}", condition.reason) };
            let message = if condition.message.is_empty() { String::new() } else { format!(": {}", condition.message) };
            let since = age.map(|age| format!(" ({age})")).unwrap_or_default();
            let value = format!("{}{reason}{since}{message}", condition.status);
            Row { state: state_of(&condition), ..row(&condition.kind, &value) }
        })
        .collect();
    section("Conditions", rows)
}

/// Conditions that are good when true are rare enough to be named; what is not known is not coloured.
fn state_of(condition: &Condition) -> Option<State> {
    match (condition.kind.as_str(), condition.status.as_str()) {
        ("Ready" | "Available" | "Healthy" | "ArtifactInStorage" | "Established", "True") => Some(State::Ready),
        ("Ready" | "Available" | "Healthy" | "ArtifactInStorage" | "Established", "False") => Some(State::Failed),
        ("Stalled" | "FetchFailed" | "StorageOperationFailed", "True") => Some(State::Failed),
        ("Reconciling" | "Progressing", "True") | ("Ready", _) => Some(State::Progressing),
        _ => None,
    }
}

/// What the object says itself, apart from head, status and what is shown elsewhere.
fn content(document: &Value) -> Option<Section> {
    let mut rows = Vec::new();
    for (key, value) in document.as_object().into_iter().flatten() {
        if !["apiVersion", "kind", "metadata", "status"].contains(&key.as_str()) {
            flatten(key, value, 0, &mut rows);
        }
    }
    let more = rows.len().saturating_sub(CONTENT_LINES);
    if more > 1 {
        rows.truncate(CONTENT_LINES);
        rows.push(row("", &format!("… {more} lines more in the YAML view")));
    }
    section("Content", rows)
}

fn flatten(key: &str, value: &Value, depth: usize, rows: &mut Vec<Row>) {
    if rows.len() > CONTENT_LINES * 4 {
        return;
    }
    let label = format!("{}{key}", "  ".repeat(depth));
    match value {
        Value::Object(fields) if !fields.is_empty() && depth < DEPTH => {
            rows.push(row(&label, ""));
            for (key, value) in fields {
                flatten(key, value, depth + 1, rows);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) && depth < DEPTH => {
            rows.push(row(&label, ""));
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("[{index}]"), item, depth + 1, rows);
            }
        }
        Value::String(text) if text.contains('\n') => {
            for (index, line) in text.lines().enumerate() {
                rows.push(row(if index == 0 { &label } else { "" }, line));
            }
        }
        Value::String(text) => rows.push(row(&label, text)),
        other => rows.push(row(&label, &other.to_string())),
    }
}

fn relations(desk: &Desk, id: &Id, document: &Value) -> Option<Section> {
    let mut rows = Vec::new();
    let forward = (kinds::of_id(id).relations)(document);
    for relation in forward.iter().filter(|relation| relation.tie != Tie::Owns) {
        let label = match relation.tie {
            Tie::Source => "Source",
            Tie::DependsOn => "Depends on",
            Tie::Notifies => "Notifies",
            Tie::Uses | Tie::Owns => "Uses",
        };
        rows.push(linked(desk, label, &relation.to));
    }
    let back = desk.store.pointing_at(id);
    let shown = back.iter().filter(|(tie, from)| *tie != Tie::Owns && kinds::of_id(from).kind != "Event");
    for (tie, from) in shown.take(LISTED) {
        let label = match tie {
            Tie::Source => "Source of",
            Tie::DependsOn => "Awaited by",
            Tie::Notifies => "Notified by",
            Tie::Uses | Tie::Owns => "Used by",
        };
        rows.push(linked(desk, label, from));
    }
    section("Relations", rows)
}

fn owned(desk: &Desk, id: &Id, document: &Value) -> Option<Section> {
    let owned: Vec<Relation> = (kinds::of_id(id).relations)(document);
    let owned: Vec<&Relation> = owned.iter().filter(|relation| relation.tie == Tie::Owns).collect();
    let mut rows: Vec<Row> = owned.iter().take(LISTED).map(|relation| linked(desk, "", &relation.to)).collect();
    if owned.len() > LISTED {
        rows.push(row("", &format!("… {} more in the tree", owned.len() - LISTED)));
    }
    section(&format!("Inventory ({})", owned.len()), rows)
}

fn linked(desk: &Desk, label: &str, to: &Id) -> Row {
    let state = desk.store.get(to).map(|entry| entry.health.state);
    let value = match state {
        Some(state) => format!("{to} ({})", state.word()),
        None if matches!(desk.store.feed(&to.group, &to.kind), crate::store::Feed::Live { .. }) => {
            format!("{to} (missing)")
        }
        None => to.to_string(),
    };
    Row { link: Some(to.clone()), state, ..row(label, &value) }
}

fn history(document: &Value) -> Option<Section> {
    let history = document.pointer("/status/history").and_then(Value::as_array);
    let entry = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let revision =
            entry.pointer("/metadata/revision").and_then(Value::as_str).map(|text| Revision::parse(text).short());
        let value = format!(
            "{} {} ({} runs, last {} took {})",
            text("lastReconciledStatus"),
            revision.unwrap_or_default(),
            entry["totalReconciliations"].as_i64().unwrap_or(1),
            text("lastReconciled"),
            text("lastReconciledDuration"),
        );
        row("", &value)
    };
    section("History", history.into_iter().flatten().map(entry).collect())
}

fn events(events: &[EventLine], now: Stamp) -> Option<Section> {
    let line = |event: &EventLine| {
        let age = event.last_seen.map(|at| Age::between(at, now).to_string()).unwrap_or_default();
        let times = if event.count > 1 { format!(" (×{})", event.count) } else { String::new() };
        let value = format!("{}{times}: {}", event.reason, event.message);
        Row { state: event.warning.then_some(State::Failed), ..row(&age, &value) }
    };
    section("Events", events.iter().rev().take(20).map(line).collect())
}

fn told(health: &Health) -> String {
    let simulated = if health.simulated { " (simulated)" } else { "" };
    let reason = if health.reason.is_empty() { String::new() } else { format!(" {}", health.reason) };
    let message = if health.message.is_empty() { String::new() } else { format!(": {}", health.message) };
    format!("{}{simulated}{reason}{message}", health.state.word())
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_string() + &letters.as_str().to_lowercase()).unwrap_or_default()
}

fn section(title: &str, rows: Vec<Row>) -> Option<Section> {
    (!rows.is_empty()).then(|| Section { title: Text::new(title), rows })
}

fn row(label: &str, value: &str) -> Row {
    Row { label: Text::new(label), value: Text::new(value), state: None, link: None }
}
