//! `weir debug`: what weir knows of itself, and frames for people who cannot look at a terminal.

use clap::Subcommand;

use super::output::Table;
use super::{CliError, Cx};
use crate::kinds;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// The kinds that weir knows by name
    Kinds,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    match args.what {
        What::Kinds => list_kinds(cx),
    }
}

fn list_kinds(cx: &Cx) -> Result<(), CliError> {
    let mut table = Table::new(["KIND", "API", "SHORT", "RECONCILED", "VERBS", "DOC"]);
    for kind in kinds::ALL {
        let verbs: Vec<&str> = kind.verbs.iter().map(|verb| verb.name()).collect();
        let reconciled = if kind.is_custom() { "yes" } else { "" };
        table.row(
            None,
            [kind.kind, &kind.api_version(), &kind.short_names.join(","), reconciled, &verbs.join(","), kind.doc],
        );
    }
    cx.output.table(&table)
}
