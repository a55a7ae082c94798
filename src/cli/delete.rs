//! `weir delete`: ask, delete, and wait until the object is gone with what it owns.

use super::ask::{Objects, Telling, each};
use super::session::Session;
use super::{CliError, Cx};
use crate::base::Id;
use crate::kinds::{Tie, Verb};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    objects: Objects,
    /// Do not ask
    #[arg(short, long)]
    silent: bool,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::with_reconcilers(cx).await?;
    let ids = args.objects.ids(cx, &session).await?;
    if !args.silent && !cx.output.confirm(&question(&session, &ids)) {
        session.close().await;
        return Err(CliError::user("nothing was deleted", "answer y, or pass --silent where nobody can answer"));
    }
    let outcome = each(cx, &session, &ids, Verb::Delete, &Telling { doing: "deleting" }).await;
    session.close().await;
    outcome
}

/// Says what goes too, because that is what people regret.
fn question(session: &Session, ids: &[Id]) -> String {
    let owned = |id: &Id| {
        let entry = session.desk.store.get(id);
        entry.map_or(0, |entry| entry.relations.iter().filter(|relation| relation.tie == Tie::Owns).count())
    };
    let names: Vec<String> = ids.iter().take(5).map(ToString::to_string).collect();
    let more = if ids.len() > 5 { format!(" and {} more", ids.len() - 5) } else { String::new() };
    match ids.iter().map(owned).sum::<usize>() {
        0 => format!("Delete {}{more}?", names.join(", ")),
        count => format!("Delete {}{more}, and with it the {count} objects that it applied?", names.join(", ")),
    }
}
