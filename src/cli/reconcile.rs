//! `weir reconcile`: now instead of at the next interval, and wait for what comes of it.

use super::ask::{Objects, Telling, each};
use super::session::Session;
use super::{CliError, Cx};
use crate::kinds::Verb;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    objects: Objects,
    /// Fetch the source first
    #[arg(long)]
    with_source: bool,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::with_reconcilers(cx).await?;
    let ids = args.objects.ids(cx, &session).await?;
    let verb = if args.with_source { Verb::ReconcileWithSource } else { Verb::Reconcile };
    let outcome = each(cx, &session, &ids, verb, &Telling { doing: "reconciling" }).await;
    session.close().await;
    outcome
}
