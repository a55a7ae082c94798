//! `weir image`: which tag a policy would choose, and what an automation would edit, offline and with no cluster.
//!
//! The same machines that the reconcilers run. Start with `select` and `set`.

use clap::Subcommand;

use super::{CliError, Cx};

mod select;
mod set;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Choose a tag from those on stdin, one a line
    Select(select::Args),
    /// Set marked image fields in the files of a directory, and print the patch
    Set(set::Args),
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    match args.what {
        What::Select(args) => select::run(cx, &args),
        What::Set(args) => set::run(cx, &args),
    }
}
