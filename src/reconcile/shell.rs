//! What every reconciliation has in common: gone, deleting, suspended, finalizer, conditions, events, panics.
//!
//! The only place that decides about status. A run reads the object, lets the kind's reconciler work, and turns its
//! answer into conditions, one patch, one event and a time for the queue. Start with [`Shell::work`].

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::Resource as _;
use serde_json::json;
use tokio::sync::Notify;
use tracing::Instrument as _;

use super::queue::Then;
use super::run::{Desk, Pen, Seat, Severity, conditions_of, now, set_conditions, status_of};
use super::{Cause, Context, Failure, Next, Reconciled, Reconciler, Run, summary};
use crate::base::{Id, Object, Value};
use crate::cluster::ClusterError;
use crate::engine::diff::Preview;
use crate::kinds::{Kind, meta};
use crate::store::Feed;

/// A reconciler behind one shape, so that all kinds share one queue.
pub(super) trait Worker: Send + Sync + 'static {
    fn kind(&self) -> &'static Kind;
    fn work<'a>(&'a self, cx: &'a Context, job: Job) -> BoxFuture<'a, Ended>;
    fn preview<'a>(&'a self, cx: &'a Context, id: &'a Id) -> BoxFuture<'a, Result<Preview, Cause>>;
}

/// One run to do.
pub(super) struct Job {
    pub id: Id,
    /// The version that the last run wrote: an older picture must not be acted on.
    pub written: Option<String>,
    pub seat: Seat,
}

/// How a run ended.
pub(super) struct Ended {
    pub then: Then,
    pub written: Option<String>,
}

/// Wraps a reconciler.
pub(super) struct Shell<R>(pub R);

impl<R: Reconciler> Worker for Shell<R> {
    fn kind(&self) -> &'static Kind {
        R::Object::description()
    }

    fn work<'a>(&'a self, cx: &'a Context, job: Job) -> BoxFuture<'a, Ended> {
        let span = tracing::info_span!("reconcile", id = %job.id);
        let written = job.written.clone();
        let run = AssertUnwindSafe(self.run(cx, job)).catch_unwind();
        let ended = async move {
            run.await.unwrap_or_else(|panic| {
                tracing::error!("the shell panicked: {}", panic_text(&*panic));
                Ended { then: Then::Retry, written }
            })
        };
        ended.instrument(span).boxed()
    }

    fn preview<'a>(&'a self, cx: &'a Context, id: &'a Id) -> BoxFuture<'a, Result<Preview, Cause>> {
        async move {
            let unreadable = |error: String| Cause::new("NotRead", format!("{id} cannot be read: {error}"));
            let document = cx.cluster.get(id).await.map_err(|error| unreadable(error.to_string()))?;
            let document = document.ok_or_else(|| Cause::new("NotFound", format!("{id} not found")))?;
            let object = serde_json::from_value(document).map_err(|error| unreadable(error.to_string()))?;
            self.0.preview(cx, object).await.map_err(|failure| failure.cause().clone())
        }
        .boxed()
    }
}

impl<R: Reconciler> Shell<R> {
    async fn run(&self, cx: &Context, job: Job) -> Ended {
        let written = job.written.clone();
        let end = |then| Ended { then, written: written.clone() };
        let document = match read(cx, &job.id, written.as_deref()).await {
            Ok(Some(document)) => document,
            Ok(None) => return end(Then::Gone),
            Err(error) => {
                tracing::warn!("the object cannot be read: {error}");
                return end(Then::Retry);
            }
        };
        let desk = Arc::new(desk::<R::Object>(cx, &job.id, &document));
        let then = match serde_json::from_value::<R::Object>(document.clone()) {
            Ok(object) => self.treat(cx, object, document, &desk, job.seat).await,
            Err(error) => refuse_unreadable(&desk, &document, &error).await,
        };
        let written = desk.pen.lock().await.written.clone().or(written);
        Ended { then, written }
    }

    async fn treat(&self, cx: &Context, object: R::Object, document: Value, desk: &Arc<Desk>, seat: Seat) -> Then {
        let has_finalizer =
            object.meta().finalizers.as_ref().is_some_and(|all| all.iter().any(|f| f == meta::FINALIZER));
        desk.pen.lock().await.status = status_of(&object);
        let run = Run::new(desk.clone(), seat);
        if object.meta().deletion_timestamp.is_some() {
            return if has_finalizer { self.finalize(cx, object, run).await } else { Then::OnChange };
        }
        if object.is_suspended() {
            return Then::OnChange;
        }
        if object.is_static() {
            return self.retire(cx, object, run, has_finalizer).await;
        }
        if !has_finalizer && let Err(error) = write_finalizers(desk, &document, true).await {
            tracing::warn!("the finalizer cannot be added: {error}");
            return if matches!(error, ClusterError::NotFound { .. }) { Then::Gone } else { Then::Retry };
        }
        self.reconcile(cx, object, run).await
    }

    /// Takes everything back from an object that has become static.
    async fn retire(&self, cx: &Context, object: R::Object, run: Run, has_finalizer: bool) -> Then {
        let desk = run.desk.clone();
        if has_finalizer {
            // Its end is that of a deletion, except that the object stays.
            if self.finalize(cx, object, run).await != Then::Gone {
                return Then::Retry;
            }
        }
        match desk.write(json!({})).await {
            Ok(()) | Err(ClusterError::NotFound { .. }) => Then::OnChange,
            Err(error) => {
                tracing::warn!("status cannot be written: {error}");
                Then::Retry
            }
        }
    }

    async fn reconcile(&self, cx: &Context, mut object: R::Object, mut run: Run) -> Then {
        let desk = run.desk.clone();
        let requested = object.meta().annotations.as_ref().and_then(|all| all.get(meta::REQUESTED_AT)).cloned();
        let outcome = {
            let work = AssertUnwindSafe(self.0.reconcile(cx, &mut object, &mut run)).catch_unwind();
            with_progress(&desk, work).await.unwrap_or_else(|panic| Err(panicked(&*panic)))
        };
        if requested.is_some() {
            *object.shared().last_handled = requested;
        }
        summarize(&mut object, &run, &outcome);
        let then = then(&outcome);
        if let Err(failure) = &outcome
            && !run.told
        {
            let severity = if matches!(failure, Failure::Waiting(..)) { Severity::Info } else { Severity::Error };
            desk.event(severity, failure.cause(), run.notes()).await;
        }
        match desk.write(status_of(&object)).await {
            Ok(()) => then,
            Err(ClusterError::NotFound { .. }) => Then::Gone,
            Err(error) => {
                tracing::warn!("status cannot be written: {error}");
                Then::Retry
            }
        }
    }

    async fn finalize(&self, cx: &Context, mut object: R::Object, mut run: Run) -> Then {
        let desk = run.desk.clone();
        let outcome = {
            let work = AssertUnwindSafe(self.0.finalize(cx, &mut object, &mut run)).catch_unwind();
            with_progress(&desk, work).await.unwrap_or_else(|panic| Err(panicked(&*panic)))
        };
        let Err(failure) = outcome else { return remove_finalizer(&desk).await };
        if !run.told {
            desk.event(Severity::Error, failure.cause(), run.notes()).await;
        }
        let doing = desk.doing().message.clone();
        summary::failed(object.conditions(), &failure, doing.as_deref(), desk.generation, now());
        if let Err(error) = desk.write(status_of(&object)).await {
            tracing::warn!("status cannot be written: {error}");
        }
        // A deletion is never given up: what is stalled now may be freed by a person without a change of this object.
        match then::<Next>(&Err(failure)) {
            Then::Stalled => Then::Retry,
            then => then,
        }
    }
}

/// Does the work, and tells of its progress meanwhile.
async fn with_progress<T>(desk: &Desk, work: impl Future<Output = T>) -> T {
    let stop = Notify::new();
    let work = async {
        let outcome = work.await;
        stop.notify_one();
        outcome
    };
    tokio::join!(work, desk.tell_progress(&stop)).0
}

/// Turns the outcome into conditions and the observed generation.
fn summarize<O: Reconciled>(object: &mut O, run: &Run, outcome: &Result<Next, Failure>) {
    let generation = run.desk.generation;
    match outcome {
        Ok(_) => {
            let cause = run.ready.clone().unwrap_or_else(|| Cause::new("Succeeded", "reconciliation succeeded"));
            summary::succeeded(object.conditions(), &cause, generation, now());
        }
        Err(failure) => {
            let doing = run.desk.doing().message.clone();
            summary::failed(object.conditions(), failure, doing.as_deref(), generation, now());
            if let Some(cause) = &run.unready {
                summary::set(object.conditions(), "Ready", "False", cause, generation, now());
            }
        }
    }
    if summary::observes(object.conditions()) {
        *object.shared().observed_generation = Some(generation);
    }
}

fn then<T: Into<Then> + Copy>(outcome: &Result<T, Failure>) -> Then {
    match outcome {
        Ok(next) => (*next).into(),
        Err(Failure::Stalled(_)) => Then::Stalled,
        Err(Failure::Waiting(_, pause)) => Then::Waiting(*pause),
        Err(Failure::Retry(_)) => Then::Retry,
        Err(Failure::RetryAfter(_, pause)) => Then::RetryAfter(*pause),
        Err(Failure::RetryFrom(_, pause)) => Then::RetryFrom(*pause),
    }
}

impl From<Next> for Then {
    fn from(next: Next) -> Then {
        match next {
            Next::After(interval) => Then::After(interval),
            Next::OnChange => Then::OnChange,
        }
    }
}

/// Takes the object from the picture, or live when the picture is older than the last own write or not live.
async fn read(cx: &Context, id: &Id, written: Option<&str>) -> Result<Option<Value>, ClusterError> {
    let is_live = matches!(cx.store.feed(&id.group, &id.kind), Feed::Live { .. });
    match cx.store.get(id) {
        Some(entry) if is_live && is_as_new(&entry.object, written) => Ok(Some(entry.object.body())),
        None if is_live && written.is_none() => Ok(None),
        _ => match cx.cluster.get(id).await {
            Err(ClusterError::NotFound { .. }) => Ok(None),
            answer => answer,
        },
    }
}

/// Whether the picture has the last own write; versions that are not numbers must be the same.
fn is_as_new(object: &Object, written: Option<&str>) -> bool {
    let Some(written) = written else { return true };
    match (object.resource_version.parse::<u64>(), written.parse::<u64>()) {
        (Ok(seen), Ok(written)) => seen >= written,
        _ => &*object.resource_version == written,
    }
}

fn desk<O: Reconciled>(cx: &Context, id: &Id, document: &Value) -> Desk {
    let generation = document.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    Desk {
        cluster: cx.cluster.clone(),
        id: id.clone(),
        controller: O::description().custom.as_ref().map_or("weir", |custom| custom.controller),
        generation,
        about: document.clone(),
        doing: std::sync::Mutex::default(),
        hidden: std::sync::Mutex::default(),
        pen: tokio::sync::Mutex::new(Pen::new(document["status"].clone())),
    }
}

/// Tells of an object that is served but does not have its kind's shape: it alone stands still.
async fn refuse_unreadable(desk: &Desk, document: &Value, error: &serde_json::Error) -> Then {
    let failure = Failure::Stalled(Cause::new("Failed", format!("the object cannot be read: {error}")));
    let mut status = document["status"].clone();
    let mut conditions = conditions_of(&status);
    summary::failed(&mut conditions, &failure, None, desk.generation, now());
    set_conditions(&mut status, &conditions);
    if let Err(error) = desk.write(status).await {
        tracing::warn!("status cannot be written: {error}");
    }
    Then::Stalled
}

/// Adds or removes weir's finalizer, only if the object is still as it was read.
async fn write_finalizers(desk: &Desk, document: &Value, wanted: bool) -> Result<(), ClusterError> {
    let known = document.pointer("/metadata/finalizers").and_then(Value::as_array);
    let mut finalizers: Vec<Value> = known.into_iter().flatten().filter(|f| *f != meta::FINALIZER).cloned().collect();
    if wanted {
        finalizers.push(meta::FINALIZER.into());
    }
    let patch = json!({ "metadata": {
        "finalizers": finalizers,
        "resourceVersion": document.pointer("/metadata/resourceVersion"),
    }});
    let answer = desk.cluster.merge_patch(&desk.id, &patch, None, desk.controller).await?;
    let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    desk.pen.lock().await.written = version.map(str::to_owned);
    Ok(())
}

/// Lets a finalized object go; the document is read anew because finalizing takes time.
async fn remove_finalizer(desk: &Desk) -> Then {
    let document = match desk.cluster.get(&desk.id).await {
        Ok(Some(document)) => document,
        Ok(None) | Err(ClusterError::NotFound { .. }) => return Then::Gone,
        Err(error) => {
            tracing::warn!("the object cannot be read: {error}");
            return Then::Retry;
        }
    };
    match write_finalizers(desk, &document, false).await {
        Ok(()) | Err(ClusterError::NotFound { .. }) => Then::Gone,
        Err(error) => {
            tracing::warn!("the finalizer cannot be removed: {error}");
            Then::Retry
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic_text(panic);
    tracing::error!("the reconciler panicked: {text}");
    Failure::Retry(Cause::new("Failed", format!("internal error, please report it: {text}")))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
