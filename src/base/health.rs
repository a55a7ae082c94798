//! How an object is doing: [`State`] and [`Health`], and the [`Condition`]s they are read from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How an object is doing, as one word. The order is by urgency: what needs a person comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It does not work, or will not recover without a change.
    Failed,
    /// It cannot be read or judged: never shown as healthy.
    Unknown,
    /// Work is going on, or was never begun.
    Progressing,
    /// It waits for another object.
    Waiting,
    /// It is being deleted.
    Terminating,
    /// A person stopped it.
    Suspended,
    /// All is as wanted.
    Ready,
}

impl State {
    /// The word shown beside the sign, so that colour is never alone.
    pub fn word(self) -> &'static str {
        match self {
            State::Failed => "Failed",
            State::Unknown => "Unknown",
            State::Progressing => "Progressing",
            State::Waiting => "Waiting",
            State::Terminating => "Terminating",
            State::Suspended => "Suspended",
            State::Ready => "Ready",
        }
    }

    /// One column wide, plain enough for every terminal font.
    pub fn sign(self) -> &'static str {
        match self {
            State::Failed => "✗",
            State::Unknown => "?",
            State::Progressing => "◌",
            State::Waiting => "…",
            State::Terminating => "⌫",
            State::Suspended => "‖",
            State::Ready => "✓",
        }
    }

    /// The theme role that colours it, e.g. `health.failed`.
    pub fn role(self) -> &'static str {
        match self {
            State::Failed => "health.failed",
            State::Unknown => "health.unknown",
            State::Progressing => "health.progressing",
            State::Waiting => "health.waiting",
            State::Terminating => "health.terminating",
            State::Suspended => "health.suspended",
            State::Ready => "health.ready",
        }
    }
}

/// The state with the reason and message a person should read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub state: State,
    /// The condition's reason, e.g. `BuildFailed`; may be empty.
    pub reason: String,
    /// Raw text from the cluster: wrap it in [`super::Text`] before it is drawn.
    pub message: String,
    /// The weir simulator made it ready: say "simulated" wherever this is shown.
    pub simulated: bool,
}

impl Health {
    pub fn new(state: State, reason: &str, message: &str) -> Self {
        Health { state, reason: reason.into(), message: message.into(), simulated: false }
    }
}

/// One entry of `status.conditions`, as Kubernetes' `metav1.Condition` writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reconciling`, `Stalled` …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// RFC 3339; moves only when `status` changes.
    #[serde(default)]
    pub last_transition_time: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
}

impl Condition {
    /// All conditions of a document, in its order; entries of another shape are left out.
    pub fn all(document: &Value) -> Vec<Condition> {
        let list = document.pointer("/status/conditions").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|entry| Condition::deserialize(entry).ok()).collect()
    }

    /// The condition of that type, if there is one.
    pub fn find(document: &Value, kind: &str) -> Option<Condition> {
        Condition::all(document).into_iter().find(|condition| condition.kind == kind)
    }
}
