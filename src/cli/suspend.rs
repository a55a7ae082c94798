//! `weir suspend`: stop reconciling until resumed.

use super::ask::{Objects, Telling, each};
use super::session::Session;
use super::{CliError, Cx};
use crate::kinds::Verb;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    objects: Objects,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::open(cx).await?;
    let ids = args.objects.ids(cx, &session).await?;
    let outcome = each(cx, &session, &ids, Verb::Suspend, &Telling { doing: "suspending" }).await;
    session.close().await;
    outcome
}
