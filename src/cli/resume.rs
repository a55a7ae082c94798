//! `weir resume`: reconcile again after a suspend, and wait for what comes of it.

use super::ask::{Objects, Telling, each};
use super::session::Session;
use super::{CliError, Cx};
use crate::kinds::Verb;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    objects: Objects,
    /// Has no effect: every resume waits until the object is reconciled
    #[arg(long, hide = true)]
    wait: bool,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::with_reconcilers(cx).await?;
    let ids = args.objects.ids(cx, &session).await?;
    let outcome = each(cx, &session, &ids, Verb::Resume, &Telling { doing: "resuming" }).await;
    session.close().await;
    outcome
}
