//! What a person may ask of the cluster, for the console and the CLI alike. Knows neither a screen nor a flag.
//!
//! A verb ends when its *effect* is known, not when the request is accepted. Start with [`ask`] (change something) and
//! [`fetch`] (look at something).

use crate::base::{Health, Id, Stamp, State, Text, Value};
use crate::cluster::Cluster;
use crate::kinds::{Tie, Verb};
use crate::store::{Activity, Line, Store};

/// What every verb works on; cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub cluster: Cluster,
    pub store: Store,
    pub activity: Activity,
}

/// What shall be done.
#[derive(Clone, Debug)]
pub enum Ask {
    Verb(Verb, Id),
    /// As [`Ask::Verb`], but only if the object is still the one that was looked at (uid).
    VerbOn {
        verb: Verb,
        id: Id,
        uid: String,
    },
    /// Writes an edited document back. `original` is what the editor opened; `edited` is YAML.
    Save {
        id: Id,
        original: Value,
        edited: String,
    },
    /// Creates a document, or changes it when it exists, and waits until it is reconciled.
    Put {
        document: Value,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub message: Text,
    pub id: Id,
}

/// Why it was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub message: Text,
    /// What to do next; may be empty.
    pub hint: Text,
}

/// What shall be shown.
#[derive(Clone, Debug)]
pub enum Query {
    Describe(Id),
    /// The whole document, secrets masked.
    Yaml(Id),
    /// As [`Query::Yaml`], without status and what only the server sets.
    Export(Id),
    /// What an editor opens: the document, and its YAML without managed fields and status.
    Edit(Id),
    /// Events about one object and its source, or all.
    Events(Option<Id>),
    /// Weir's own log about one object, or all.
    Logs(Option<Id>),
    Tree(Id),
    /// Checks an edited document before it is sent.
    Review {
        original: Value,
        edited: String,
    },
}

/// What is shown.
#[derive(Clone, Debug)]
pub enum Answer {
    Description(Vec<Section>),
    Yaml(String),
    Edit { original: Value, yaml: String },
    Events(Vec<EventLine>),
    Logs(Vec<Line>),
    Tree(TreeNode),
    Review(Review),
}

/// A titled part of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub title: Text,
    pub rows: Vec<Row>,
}

/// One line of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// May be empty: the value continues the row above.
    pub label: Text,
    pub value: Text,
    /// Colours the value, when it tells how something is doing.
    pub state: Option<State>,
    /// The object that the row names, to jump to.
    pub link: Option<Id>,
}

/// One event, aggregated as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLine {
    pub last_seen: Option<Stamp>,
    pub count: i64,
    pub warning: bool,
    pub reason: Text,
    pub about: Option<Id>,
    pub message: Text,
}

/// A node of `weir tree`.
#[derive(Clone, Debug)]
pub struct TreeNode {
    pub id: Id,
    /// How it hangs below its parent; `None` for the root.
    pub tie: Option<Tie>,
    /// `None`: named, but not in the picture.
    pub health: Option<Health>,
    /// The revision, short; may be empty.
    pub revision: Text,
    /// Its own place is elsewhere.
    pub link: bool,
    pub children: Vec<TreeNode>,
}

/// What would happen if an edit were saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// An edit with a fatal problem is refused.
    pub problems: Vec<Problem>,
    pub diff: Vec<DiffLine>,
    /// A Kustomization applies this object: Git will undo the edit.
    pub by_git: Option<Id>,
}

/// One thing to say about an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Field path; empty when it is about the whole document.
    pub path: Text,
    /// From 1; 0 when the place is not known.
    pub line: usize,
    pub message: Text,
    pub fatal: bool,
}

/// One line of a diff, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    pub change: Change,
    pub text: Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Same,
    Added,
    Removed,
}

/// Carries something out and answers when its effect is known; `progress` hears what is being waited for.
///
/// Errors with what a person should read and do next; nothing was changed unless the message says so.
pub async fn ask(_desk: &Desk, _ask: Ask, _progress: &(dyn Fn(Text) + Send + Sync)) -> Result<Outcome, Refusal> {
    Err(pending())
}

/// Looks something up.
///
/// Errors as [`ask`].
pub async fn fetch(_desk: &Desk, _query: Query) -> Result<Answer, Refusal> {
    Err(pending())
}

fn pending() -> Refusal {
    Refusal { message: Text::new("not built yet"), hint: Text::default() }
}
