//! `weir completion`: the script that teaches a shell weir's words.

use clap::CommandFactory;

use super::{CliError, Cx, Weir, later};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// bash, elvish, fish, powershell or zsh
    shell: clap_complete::Shell,
}

pub fn run(cx: &Cx, args: &Args) -> Result<(), CliError> {
    later::at_once();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Weir::command(), "weir", &mut script);
    cx.output.data(&String::from_utf8_lossy(&script))
}
