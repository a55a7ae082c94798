//! The reconcilers: what makes the cluster as its objects say.
//!
//! A kind's author writes one [`Reconciler`]; everything that all of them share is in `shell` (gone, deleting,
//! suspended, conditions, events, panics) and in `queue` (when and why an object is worked on). A reconciler never
//! learns why it was woken, and never writes status itself: it changes its object and the shell writes the difference.
//! Start with [`Reconciler`], then `kustomization`, then `shell`.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::{Condition, Id, Redactor};
use crate::engine::diff::Preview;
use crate::kinds::{self, Kind};

mod context;
mod git_repository;
mod helm_chart;
mod helm_release;
mod helm_repository;
mod image_policy;
mod image_repository;
mod image_update_automation;
mod kustomization;
mod objects;
mod oci_repository;
mod options;
mod queue;
mod run;
mod running;
mod secrets;
mod shell;
mod storage;
mod summary;
mod target;
mod wakes;

pub use context::{Context, OpenError};
pub use git_repository::GitRepositories;
pub use helm_chart::HelmCharts;
pub use helm_release::HelmReleases;
pub use helm_repository::HelmRepositories;
pub use image_policy::reasons;
pub use image_policy::{ImagePolicies, policy};
pub use image_repository::ImageRepositories;
pub use image_update_automation::ImageAutomations;
pub use kustomization::{ADOPTED, ALLOW_PRUNE, Kustomizer, preview_of_tree, render, variables, with_inline};
pub use oci_repository::OciRepositories;
pub use options::Options;
pub use queue::{QueueLine, Then, Wake};
pub use run::{Run, Severity};
pub use running::{Queue, Running};
pub use storage::refusals;

/// Starts every reconciler; they stop when the answer is dropped.
pub fn start_all(cx: Context) -> Running {
    crew().start(cx)
}

fn crew() -> Crew {
    let sources = Crew::default().with(GitRepositories).with(OciRepositories).with(HelmRepositories).with(HelmCharts);
    let deployers = sources.with(Kustomizer).with(HelmReleases);
    deployers.with(ImageRepositories).with(ImagePolicies).with(ImageAutomations)
}

/// What the next reconciliation of an object would do, whoever runs it; changes nothing.
///
/// Errors with what keeps that reconciliation from getting so far.
pub async fn preview(cx: &Context, id: &Id) -> Result<Preview, Cause> {
    match crew().0.iter().find(|worker| std::ptr::eq(worker.kind(), kinds::of_id(id))) {
        Some(worker) => worker.preview(cx, id).await,
        None => Err(Cause::new("NoPreview", format!("weir does not reconcile a {}", id.kind))),
    }
}

/// The reconcilers to start, one per kind; `start_all` has the list that weir runs.
#[derive(Default)]
pub struct Crew(Vec<Arc<dyn shell::Worker>>);

impl Crew {
    /// Adds the reconciler of one more kind.
    pub fn with(mut self, reconciler: impl Reconciler) -> Self {
        self.0.push(Arc::new(shell::Shell(reconciler)));
        self
    }

    /// Starts them on one queue.
    pub fn start(self, cx: Context) -> Running {
        running::start(cx, self.0)
    }
}

/// A typed object that the shell can treat like any other: its kind, and where Flux keeps the shared fields.
pub trait Reconciled:
    kube::Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The description of the kind.
    fn description() -> &'static Kind;
    fn is_suspended(&self) -> bool;
    /// Whether there is nothing to reconcile: no finalizer then, and no status.
    fn is_static(&self) -> bool {
        false
    }
    /// The fields that every status has, with an empty status made where there was none.
    fn shared(&mut self) -> Shared<'_>;
    /// `status.conditions`, likewise.
    fn conditions(&mut self) -> &mut Vec<Condition> {
        self.shared().conditions
    }
}

/// The fields of a status that the shell writes.
pub struct Shared<'a> {
    pub conditions: &'a mut Vec<Condition>,
    pub observed_generation: &'a mut Option<i64>,
    pub last_handled: &'a mut Option<String>,
}

/// The only thing a kind's author writes.
pub trait Reconciler: Send + Sync + 'static {
    type Object: Reconciled;

    /// Brings the world to what the object says.
    ///
    /// Changes `object.status` as it goes; the shell adds Ready, Reconciling and Stalled and writes the difference.
    fn reconcile(
        &self,
        cx: &Context,
        object: &mut Self::Object,
        run: &mut Run,
    ) -> impl Future<Output = Result<Next, Failure>> + Send;

    /// Takes back what the object brought, before its finalizer goes. Also asked of suspended objects.
    fn finalize(
        &self,
        cx: &Context,
        object: &mut Self::Object,
        run: &mut Run,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// What [`Reconciler::reconcile`] would do now; changes nothing, neither the object nor the world.
    fn preview(&self, _cx: &Context, _object: Self::Object) -> impl Future<Output = Result<Preview, Failure>> + Send {
        std::future::ready(Err(Failure::Stalled(Cause::new(
            "NoPreview",
            "this kind changes nothing that could be shown",
        ))))
    }
}

/// When a reconciliation that went well happens again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// After the interval; the queue adds the jitter.
    After(Duration),
    /// Only when something changes.
    OnChange,
}

/// What happens after a reconciliation that did not go well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Will not recover without a change of the object or of what it refers to: no retry.
    Stalled(Cause),
    /// Something else must come first: no error, asked again after the time.
    Waiting(Cause, Duration),
    /// Tried again with growing pauses, 750 ms to 15 min.
    Retry(Cause),
    /// Tried again after a fixed time, as Kustomization's `retryInterval` asks.
    RetryAfter(Cause, Duration),
    /// As `Retry`, but the first pause is this one already.
    RetryFrom(Cause, Duration),
}

impl Failure {
    /// The reason and message for people.
    pub fn cause(&self) -> &Cause {
        match self {
            Failure::Stalled(cause)
            | Failure::Waiting(cause, _)
            | Failure::Retry(cause)
            | Failure::RetryAfter(cause, _)
            | Failure::RetryFrom(cause, _) => cause,
        }
    }

    /// The same without what must not be told.
    fn cleaned(mut self, hidden: &Redactor) -> Failure {
        let (Failure::Stalled(cause)
        | Failure::Waiting(cause, _)
        | Failure::Retry(cause)
        | Failure::RetryAfter(cause, _)
        | Failure::RetryFrom(cause, _)) = &mut self;
        cause.message = hidden.clean(&cause.message).into_owned();
        self
    }
}

/// Why: what a person will read in Ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// A Flux reason, e.g. `BuildFailed`.
    pub reason: String,
    /// Lower case, names the object and the value, never a secret.
    pub message: String,
}

impl Cause {
    /// A cause from its two parts.
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Cause { reason: reason.into(), message: message.into() }
    }
}
