//! An open cluster with its picture, and, where weir itself is the cluster, the reconcilers that answer.
//!
//! One-shot commands live as long as their question: they open a session, ask, and close it. Start with
//! [`Session::open`] (to look) and [`Session::with_reconcilers`] (to wait for an effect).

use std::future::Future;
use std::time::Duration;

use super::{CliError, Cx};
use crate::base::{Stamp, format_duration};
use crate::cluster::Cluster;
use crate::store::watch::{self, Scope, Watching};
use crate::store::{Activity, Feed, Store};
use crate::verbs::Desk;

/// How long the first lists may take before a command goes on with what it has.
const FIRST_LISTS: Duration = Duration::from_secs(15);

/// What a command asks through.
pub struct Session {
    pub desk: Desk,
    watching: Watching,
}

/// Opens the way to the cluster that the flags name, without a picture.
pub async fn connect(cx: &Cx) -> Result<Cluster, CliError> {
    Ok(Cluster::connect(&cx.global.target()?).await?.cluster)
}

impl Session {
    /// Connects and waits for the first picture.
    pub async fn open(cx: &Cx) -> Result<Session, CliError> {
        let cluster = connect(cx).await?;
        let desk = Desk { cluster, store: Store::new(), activity: Activity::default() };
        let watching = watch::start(&desk.cluster, &desk.store, Scope::default());
        let session = Session { desk, watching };
        session.first_picture().await;
        Ok(session)
    }

    /// As [`Session::open`]; when this process holds the embedded API, its reconcilers run too, because nobody else
    /// would do what is waited for.
    pub async fn with_reconcilers(cx: &Cx) -> Result<Session, CliError> {
        Session::open(cx).await
    }

    /// Waits until every watch has listed once, failed, or the time is over.
    async fn first_picture(&self) {
        let changes = self.desk.store.subscribe();
        let listed = async {
            while self.desk.store.feeds().iter().any(|line| line.feed == Feed::Loading) {
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

    /// Ends the watches.
    pub async fn close(self) {
        self.watching.stop().await;
    }
}

/// The time, for ages.
pub fn now() -> Stamp {
    Stamp(jiff::Timestamp::now().as_second())
}
