//! `weir reconcile`: now instead of at the next interval, and wait for what comes of it.

use super::ask::{Objects, Telling, each};
use super::session::Session;
use super::{CliError, Cx};
use crate::base::{Id, Text};
use crate::kinds::Verb;
use crate::verbs::{self, Ask};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    objects: Objects,
    /// Fetch the source first
    #[arg(long)]
    with_source: bool,
    /// Release once more, although nothing changed (HelmRelease)
    #[arg(long)]
    force: bool,
    /// Forget the failures so far (HelmRelease)
    #[arg(long)]
    reset: bool,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::with_reconcilers(cx).await?;
    let ids = args.objects.ids(cx, &session).await?;
    if args.force || args.reset {
        let outcome = releases(cx, &session, &ids, &args).await;
        session.close().await;
        return outcome;
    }
    let verb = if args.with_source { Verb::ReconcileWithSource } else { Verb::Reconcile };
    let outcome = each(cx, &session, &ids, verb, &Telling { doing: "reconciling" }).await;
    session.close().await;
    outcome
}

/// With force or reset: HelmReleases only, their sources first if asked for.
async fn releases(cx: &Cx, session: &Session, ids: &[Id], args: &Args) -> Result<(), CliError> {
    for id in ids {
        cx.output.action(format!("reconciling {} {} in the namespace {}", id.kind, id.name, id.namespace));
        let waiting = |words: Text| cx.output.wait(words.as_str());
        if args.with_source {
            let ask = Ask::Verb(Verb::ReconcileWithSource, id.clone());
            session.within(cx, verbs::ask(&session.desk, ask, &waiting)).await?;
        }
        let ask = Ask::Release { id: id.clone(), force: args.force, reset: args.reset };
        let outcome = session.within(cx, verbs::ask(&session.desk, ask, &waiting)).await?;
        cx.output.success(outcome.message.as_str());
    }
    Ok(())
}
