//! What a person may ask of the cluster, for the console and the CLI alike. Knows neither a screen nor a flag.
//!
//! A verb ends when its *effect* is known, not when the request is accepted. Start with [`ask`] (change something) and
//! [`fetch`] (look at something).

pub use self::keep::keep;
pub use self::releases::Revision;
pub use crate::engine::diff::{Change, Commit, DiffLine, Fate, Part, Patch, Preview};
pub use crate::engine::policy::Reasons;
pub use crate::engine::release::Status;
use std::sync::Arc;

use std::time::Duration;

use futures::future::BoxFuture;

use crate::base::{Health, Id, Stamp, State, Text, Value, yaml};
use crate::cluster::{Cluster, ClusterError};
use crate::kinds::{self, Tie, Verb, View, kustomization};
use crate::store::{Activity, Feed, Line, Store};

mod clean;
mod delete;
mod describe;
mod edit;
mod events;
mod keep;
mod put;
mod reconcile;
pub mod releases;
mod settle;
mod suspend;
mod tags;
mod tree;

/// What every verb works on; cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub cluster: Cluster,
    pub store: Store,
    pub activity: Activity,
    /// Whoever would do the work can say what it would do; `None` where nobody here can.
    pub foresight: Option<Foresight>,
    /// Whoever can reach the tags of images can say why policies choose; `None` where nobody here can.
    pub reasons: Option<Reasoner>,
}

/// Says what the next reconciliation of an object would do.
pub type Foresight = Arc<dyn Fn(Id) -> BoxFuture<'static, Result<Preview, Refusal>> + Send + Sync>;

/// Says what became of every tag under a policy.
pub type Reasoner = Arc<dyn Fn(Id) -> BoxFuture<'static, Result<Reasons, Refusal>> + Send + Sync>;

impl Desk {
    pub fn new(cluster: Cluster, store: Store, activity: Activity) -> Self {
        Desk { cluster, store, activity, foresight: None, reasons: None }
    }
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
    /// Reconciles a HelmRelease that shall release once more (`force`) or forget its failures (`reset`).
    Release {
        id: Id,
        force: bool,
        reset: bool,
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
    /// A page that only some kinds have.
    View(View, Id),
    /// What one revision of a release changed of another; `None` is the one before, or nothing.
    Compare {
        id: Id,
        from: Option<i64>,
        to: i64,
    },
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
    Edit {
        original: Value,
        yaml: String,
    },
    Events(Vec<EventLine>),
    Logs(Vec<Line>),
    Tree(TreeNode),
    Preview(Preview),
    History(Vec<Revision>),
    /// Plain text.
    Text(String),
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

/// Who writes, as `managedFields` and events name it.
pub const MANAGER: &str = "weir";
/// How long an effect may take.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// How often a write is repeated whose answer was lost, and the pause before.
const REPEATS: u32 = 2;
const PAUSE: Duration = Duration::from_secs(1);

/// Hears what is being waited for.
type Progress<'a> = &'a (dyn Fn(Text) + Send + Sync);

/// Carries something out and answers when its effect is known; `progress` hears what is being waited for.
///
/// Errors with what a person should read and do next; nothing was changed unless the message says so.
pub async fn ask(desk: &Desk, ask: Ask, progress: &(dyn Fn(Text) + Send + Sync)) -> Result<Outcome, Refusal> {
    let (verb, id, uid) = match ask {
        Ask::Verb(verb, id) => (verb, id, None),
        Ask::VerbOn { verb, id, uid } => (verb, id, Some(uid)),
        Ask::Release { id, force, reset } => {
            let document = live(desk, &id).await?;
            return reconcile::release(desk, &document, &id, (force, reset), progress).await;
        }
        Ask::Save { id, original, edited } => return edit::save(desk, &id, &original, &edited, progress).await,
        Ask::Put { document } => return put::put(desk, document, progress).await,
    };
    let document = live(desk, &id).await?;
    if uid.is_some_and(|uid| document["metadata"]["uid"] != uid.as_str()) {
        let message = format!("{id} is not the object you looked at: it was made anew since");
        return Err(refuse(message, "look at it again, then repeat"));
    }
    match verb {
        Verb::Reconcile => reconcile::reconcile(desk, &document, &id, progress).await,
        Verb::ReconcileWithSource => reconcile::with_source(desk, &document, &id, progress).await,
        Verb::ReconcileWithForce => reconcile::release(desk, &document, &id, (true, false), progress).await,
        Verb::ReconcileWithReset => reconcile::release(desk, &document, &id, (false, true), progress).await,
        Verb::Suspend => suspend::suspend(desk, &document, &id).await,
        Verb::Resume => suspend::resume(desk, &document, &id, progress).await,
        Verb::Delete => delete::delete(desk, &document, &id, progress).await,
        Verb::Edit => Err(refuse(format!("an edit of {id} needs a text"), "open it, change it, save it")),
    }
}

/// Looks something up.
///
/// Errors as [`ask`].
pub async fn fetch(desk: &Desk, query: Query) -> Result<Answer, Refusal> {
    Ok(match query {
        Query::Describe(id) => {
            let document = seen(desk, &id).await?;
            // A page without events is still worth reading.
            let events = events::events(desk, Some(&events::with_source(&document, &id))).await.unwrap_or_default();
            let now = Stamp(jiff::Timestamp::now().as_second());
            Answer::Description(describe::describe(desk, &id, &document, &events, now))
        }
        Query::Yaml(id) => Answer::Yaml(yaml::write(&yaml::sorted(seen(desk, &id).await?))),
        Query::Export(id) => {
            if id.group.is_empty() && &*id.kind == "Secret" {
                let message = format!("{id} is not exported: its values would be in the clear");
                return Err(refuse(message, "keep Secrets in Git encrypted only, e.g. with SOPS"));
            }
            Answer::Yaml(yaml::write(&yaml::sorted(clean::export(&live(desk, &id).await?))))
        }
        Query::Edit(id) => {
            let (original, yaml) = edit::open(&live(desk, &id).await?);
            Answer::Edit { original, yaml }
        }
        Query::Events(None) => Answer::Events(events::events(desk, None).await?),
        Query::Events(Some(id)) => {
            let about = events::with_source(&seen(desk, &id).await?, &id);
            Answer::Events(events::events(desk, Some(&about)).await?)
        }
        Query::Logs(None) => Answer::Logs(desk.activity.all()),
        Query::Logs(Some(id)) => Answer::Logs(desk.activity.of(&id)),
        Query::Tree(id) => {
            if desk.store.get(&id).is_none() {
                live(desk, &id).await?;
            }
            Answer::Tree(tree::tree(desk, &id))
        }
        Query::View(View::Diff, id) => Answer::Preview(foresee(desk, id).await?),
        Query::View(View::History, id) => Answer::History(releases::revisions(desk, &id).await?),
        Query::View(View::Values, id) => Answer::Yaml(releases::newest(desk, &id).await?.all_values()),
        Query::View(View::Manifest, id) => Answer::Yaml(releases::newest(desk, &id).await?.all_objects()),
        Query::View(View::Notes, id) => Answer::Text(releases::newest(desk, &id).await?.notes),
        Query::View(View::Tags, id) => Answer::Description(tags::tags(desk, id).await?),
        Query::Compare { id, from, to } => Answer::Preview(releases::compare(desk, &id, from, to).await?),
        Query::Review { original, edited } => Answer::Review(edit::review(desk, &original, &edited).await?),
    })
}

/// What the next reconciliation would change.
async fn foresee(desk: &Desk, id: Id) -> Result<Preview, Refusal> {
    let Some(foresight) = &desk.foresight else {
        return Err(refuse(
            format!("what {id} would change is not known here"),
            "whoever reconciles can tell: run weir there, or `weir diff`",
        ));
    };
    tokio::time::timeout(DEADLINE, foresight(id.clone())).await.unwrap_or_else(|_| {
        Err(refuse(format!("{id}: no preview within {} s", DEADLINE.as_secs()), "look at its source and its log"))
    })
}

/// The object as the cluster has it now.
async fn live(desk: &Desk, id: &Id) -> Result<Value, Refusal> {
    let found = desk.cluster.get(id).await?;
    found.ok_or_else(|| refuse(format!("{id} not found"), "look at the names with `weir get`"))
}

/// Sends a merge patch that does no harm when it is sent twice: a lost answer is asked for again.
async fn patch(desk: &Desk, id: &Id, patch: &Value) -> Result<Value, Refusal> {
    for _ in 0..REPEATS {
        match desk.cluster.merge_patch(id, patch, None, MANAGER).await {
            Err(error) if error.is_transient() => tokio::time::sleep(PAUSE).await,
            answer => return Ok(answer?),
        }
    }
    desk.cluster.merge_patch(id, patch, None, MANAGER).await.map_err(|error| {
        let perhaps = if error.is_transient() { "; it may have been done all the same" } else { "" };
        refuse(format!("{error}{perhaps}"), error.hint())
    })
}

/// The object, masked: from the picture where that is live, else from the cluster.
async fn seen(desk: &Desk, id: &Id) -> Result<Value, Refusal> {
    let is_live = matches!(desk.store.feed(&id.group, &id.kind), Feed::Live { .. });
    match desk.store.get(id).filter(|_| is_live) {
        Some(entry) => Ok(entry.object.body()),
        None => Ok(clean::masked(&live(desk, id).await?)),
    }
}

/// The Kustomization that applies an object from Git; `None` when nobody does.
fn by_git(desk: &Desk, id: &Id, document: &Value) -> Option<Id> {
    let owner = desk.store.pointing_at(id).into_iter().find(|(tie, _)| *tie == Tie::Owns);
    let label = |key: &str| document.pointer("/metadata/labels")?.get(key)?.as_str();
    owner.map(|(_, owner)| owner).or_else(|| {
        Some(kustomization::KIND.id(label(kustomization::OWNER_NAMESPACE)?, label(kustomization::OWNER_NAME)?))
    })
}

/// Refuses what the kind does not offer.
fn offers(id: &Id, verb: Verb) -> Result<(), Refusal> {
    let kind = kinds::of_id(id);
    if kind.offers(verb) {
        return Ok(());
    }
    let offered: Vec<&str> = kind.verbs.iter().map(|verb| verb.name()).collect();
    Err(refuse(format!("{id} takes no {}", verb.name()), &format!("it takes {}", offered.join(", "))))
}

fn refuse(message: String, hint: &str) -> Refusal {
    Refusal { message: Text::new(message), hint: Text::new(hint) }
}

impl From<ClusterError> for Refusal {
    fn from(error: ClusterError) -> Self {
        let mut message = error.to_string();
        if let ClusterError::Conflict { causes, .. } = &error {
            for cause in causes.iter().filter(|cause| !cause.field.is_empty()) {
                message.push_str(&format!("; {}: {}", cause.field, cause.message));
            }
        }
        refuse(message, error.hint())
    }
}
