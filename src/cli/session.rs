//! An open cluster with its picture, and, where weir itself is the cluster, the reconcilers that answer.
//!
//! One-shot commands live as long as their question: they open a session, ask, and close it. Start with
//! [`Session::open`] (to look) and [`Session::with_reconcilers`] (to wait for an effect).

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{CliError, Cx};
use crate::base::{Stamp, Text, format_duration};
use crate::cluster::{Apply, Cluster, Connected, Place, Target};
use crate::embedded::Embedded;
use crate::kinds;
use crate::reconcile::{self, Cause, Context, Options, Running};
use crate::store::watch::{self, Scope, Watching};
use crate::store::{Activity, Store};
use crate::verbs::{Desk, Refusal};

/// How long the first lists may take before a command goes on with what it has.
const FIRST_LISTS: Duration = Duration::from_secs(15);
/// Where a directory of the embedded API has the artifacts.
const FILES: &str = "artifacts";

/// What a command asks through.
pub struct Session {
    pub desk: Desk,
    /// The API that this process holds, when it does.
    pub embedded: Option<Embedded>,
    watching: Watching,
    running: Option<Running>,
    /// Artifacts of a cluster whose data is not kept here; they go with the session.
    passing: Option<tempfile::TempDir>,
}

/// Opens the way to the cluster that the flags name, without a picture.
pub async fn connect(cx: &Cx) -> Result<Connected, CliError> {
    connect_to(cx, &cx.global.target()?).await
}

/// Opens the way to a cluster; weir's own has the namespace that commands work in.
pub async fn connect_to(cx: &Cx, target: &Target) -> Result<Connected, CliError> {
    let connected = Cluster::connect(target).await?;
    if connected.embedded.is_some() {
        let name = cx.global.home_namespace();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        if connected.cluster.get(&kinds::of("", "Namespace").id("", &name)).await?.is_none() {
            let how = Apply { manager: "weir", force: true, dry_run: false };
            connected.cluster.apply(&namespace, &how).await?;
        }
    }
    Ok(connected)
}

impl Session {
    /// Connects and waits for the first picture.
    pub async fn open(cx: &Cx) -> Result<Session, CliError> {
        Ok(Session::over(connect(cx).await?, Activity::default()).await)
    }

    /// As [`Session::open`]; when this process holds the embedded API, its reconcilers run too, because nobody else
    /// would do what is waited for.
    pub async fn with_reconcilers(cx: &Cx) -> Result<Session, CliError> {
        let mut session = Session::open(cx).await?;
        if session.embedded.is_some() {
            session.reconcile().await?;
        }
        Ok(session)
    }

    /// Takes a picture of an open cluster and waits until it is whole.
    pub async fn over(connected: Connected, activity: Activity) -> Session {
        let Connected { cluster, embedded } = connected;
        let desk = Desk::new(cluster, Store::new(), activity);
        let watching = watch::start(&desk.cluster, &desk.store, Scope::default());
        let session = Session { desk, embedded, watching, running: None, passing: None };
        session.first_picture().await;
        session
    }

    /// Starts the reconcilers; they end with the session.
    ///
    /// Errors when artifacts cannot be kept or served.
    pub async fn reconcile(&mut self) -> Result<(), CliError> {
        self.reconcile_as(Options::default()).await
    }

    /// As [`Session::reconcile`], with what a person has set.
    pub async fn reconcile_as(&mut self, options: Options) -> Result<(), CliError> {
        let files = match self.desk.cluster.place() {
            Place::Embedded { data: Some(data), .. } => data.join(FILES),
            _ => self.passing_files()?,
        };
        let context = self.context(options, &files, None).await?;
        self.running = Some(reconcile::start_all(context));
        Ok(())
    }

    /// Stops the reconcilers, and nothing else, when that is cancelled.
    pub fn stop_when(&self, lost: CancellationToken) {
        let Some(running) = &self.running else { return };
        let stop = running.stopper();
        tokio::spawn(async move {
            lost.cancelled().await;
            stop.cancel();
        });
    }

    /// Makes previews possible where this process does not reconcile: others' artifacts are fetched where they are served.
    ///
    /// Errors when artifacts cannot be kept.
    pub async fn foresee(&mut self) -> Result<Context, CliError> {
        let files = self.passing_files()?;
        let of_another = match self.desk.cluster.place() {
            Place::Embedded { data: Some(data), .. } => Some(data.join(FILES)),
            _ => None,
        };
        self.context(Options::default(), &files, of_another.as_deref()).await
    }

    async fn context(
        &mut self,
        options: Options,
        files: &Path,
        of_another: Option<&Path>,
    ) -> Result<Context, CliError> {
        let (cluster, store) = (self.desk.cluster.clone(), self.desk.store.clone());
        let opened = Context::open(cluster, store, options, files).await;
        let mut context = opened.map_err(|e| CliError::config(e.to_string(), ""))?;
        if let Some(files) = of_another {
            context = context.with_tags_of(files);
        }
        let seer = context.clone();
        self.desk.foresight = Some(Arc::new(move |id| {
            let seer = seer.clone();
            async move { reconcile::preview(&seer, &id).await.map_err(refusal) }.boxed()
        }));
        let seer = context.clone();
        self.desk.reasons = Some(Arc::new(move |id| {
            let seer = seer.clone();
            async move { reconcile::reasons(&seer, &id).await.map_err(refusal) }.boxed()
        }));
        Ok(context)
    }

    fn passing_files(&mut self) -> Result<PathBuf, CliError> {
        let made = tempfile::Builder::new().prefix("weir-artifacts-").tempdir();
        let made = made.map_err(|e| CliError::config(format!("artifacts cannot be kept: {e}"), "look at TMPDIR"))?;
        Ok(self.passing.insert(made).path().to_path_buf())
    }

    /// Waits until every watch has listed once, failed, or the time is over.
    async fn first_picture(&self) {
        let changes = self.desk.store.subscribe();
        let listed = async {
            while !watch::is_whole(&self.desk.store) {
                changes.next().await;
            }
        };
        tokio::time::timeout(FIRST_LISTS, listed).await.ok();
    }

    /// Holds a question to the time of `--timeout`.
    pub async fn within<T, E: Into<CliError>>(
        &self,
        cx: &Cx,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CliError> {
        match tokio::time::timeout(cx.global.timeout, question).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(CliError::cluster(
                format!("no effect within {}", format_duration(cx.global.timeout)),
                "it may still come: look with `weir get all`, or wait longer with --timeout",
            )),
        }
    }

    /// Ends the reconcilers, then the watches, then the API that this process holds.
    pub async fn close(self) {
        if let Some(running) = self.running {
            running.stop().await;
        }
        self.watching.stop().await;
        if let Some(embedded) = self.embedded {
            embedded.close().await;
        }
    }
}

/// Why there is no preview, for people.
fn refusal(cause: Cause) -> Refusal {
    let hint = match cause.reason.as_str() {
        "ArtifactFailed" => "reconcile its source, and look whether its artifacts can be reached from here",
        _ => "a reconciliation would fail in the same way",
    };
    Refusal { message: Text::new(cause.message), hint: Text::new(hint) }
}

/// The time, for ages.
pub fn now() -> Stamp {
    Stamp(jiff::Timestamp::now().as_second())
}
