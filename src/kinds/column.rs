//! [`Column`]: what a table shows of a kind, and the columns that many kinds share.

use serde_json::Value;

use super::kstatus;
use crate::base::{Condition, Revision};

/// One column of a kind's table: data, so console, CLI and docs show the same.
pub struct Column {
    /// Upper case, as `flux get` heads it.
    pub name: &'static str,
    pub doc: &'static str,
    /// Shown only where there is room: `-o wide` and broad terminals.
    pub wide: bool,
    pub cell: fn(&Value) -> Cell,
}

impl Column {
    /// Whether it says in a word what is there now; of a kind's columns at most one does, and trees show it.
    pub fn is_gist(&self) -> bool {
        matches!(self.name, "REVISION" | "TAG" | "LAST COMMIT")
    }

    /// Whether it says which other object this one is about: an event's own name says nothing.
    pub fn is_subject(&self) -> bool {
        self.name == "OBJECT"
    }
}

/// Raw text of one cell: wrap it in `base::Text` before it is drawn or printed.
pub type Cell = String;

pub(super) const REVISION: Column =
    Column { name: "REVISION", doc: "what was last fetched or applied", wide: false, cell: revision };
pub(super) const SUSPENDED: Column =
    Column { name: "SUSPENDED", doc: "whether a person stopped it", wide: false, cell: suspended };
pub(super) const READY: Column =
    Column { name: "READY", doc: "the Ready condition: True, False or Unknown", wide: false, cell: ready };
pub(super) const MESSAGE: Column =
    Column { name: "MESSAGE", doc: "what the object says of itself", wide: false, cell: message };
pub(super) const STATUS: Column =
    Column { name: "STATUS", doc: "how the object is doing, by kstatus", wide: false, cell: status };

/// Text at a JSON pointer; numbers and booleans print as JSON, everything else is empty.
pub(super) fn at(document: &Value, pointer: &str) -> String {
    match document.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}

fn revision(document: &Value) -> Cell {
    let applied = at(document, "/status/lastAppliedRevision");
    let text = if applied.is_empty() { at(document, "/status/artifact/revision") } else { applied };
    Revision::parse(&text).short()
}

/// Flux prints `True` and `False`.
fn suspended(document: &Value) -> Cell {
    let suspended = document.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false);
    if suspended { "True".into() } else { "False".into() }
}

fn ready(document: &Value) -> Cell {
    Condition::find(document, "Ready").map_or_else(|| "False".into(), |condition| condition.status)
}

fn message(document: &Value) -> Cell {
    Condition::find(document, "Ready").map_or_else(|| "waiting to be reconciled".into(), |condition| condition.message)
}

/// Says `simulated` wherever no kubelet stands behind the word.
fn status(document: &Value) -> Cell {
    let health = kstatus::health(document);
    let word = health.state.word();
    if health.simulated { format!("{word} (simulated)") } else { word.into() }
}

/// The number of keys of a ConfigMap or Secret.
pub(super) fn data_keys(document: &Value) -> Cell {
    let keys = |field: &str| document.get(field).and_then(Value::as_object).map_or(0, serde_json::Map::len);
    (keys("data") + keys("binaryData") + keys("stringData")).to_string()
}
