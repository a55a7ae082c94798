//! The command line: one file per command, and the only printer.
//!
//! Verbs iterate over kinds: there is no file per verb and kind. Data goes to stdout, words to stderr, so every command
//! can stand in a pipe. Must not decide anything about the cluster: that is for `verbs` and below. Start with [`main`],
//! then `global` (which cluster), `pick` (which objects) and `get`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod completion;
mod create;
mod error;
mod global;
mod output;
mod session;
mod version;

pub use error::{CliError, Fault};
pub use output::Output;

/// The GitOps control room in a terminal: Flux's reconcilers and a console over them, in one binary.
///
/// With a kubeconfig weir works on that cluster; without one it runs its own Kubernetes API on a local directory.
/// Without a command it opens the console.
#[derive(Parser, Debug)]
#[command(name = "weir", version, max_term_width = 100, subcommand_help_heading = "Commands")]
pub struct Weir {
    #[command(flatten)]
    global: global::Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Create or change an object, or print it with --export
    Create(create::Args),
    /// Print the version
    Version(version::Args),
    /// Print a completion script for a shell
    Completion(completion::Args),
}

/// What every command works with.
pub struct Cx {
    pub global: global::Global,
    pub output: Output,
}

/// Reads the command line and carries it out; errors are printed with what to do next.
pub fn main() -> ExitCode {
    color_eyre::install().ok();
    let output = Output::for_terminal();
    let weir = match Weir::try_parse() {
        Ok(weir) => weir,
        Err(asked) if !asked.use_stderr() => {
            asked.print().ok();
            return ExitCode::SUCCESS;
        }
        Err(usage) => {
            usage.print().ok();
            return ExitCode::from(1);
        }
    };
    let cx = Cx { global: weir.global, output };
    let outcome = start(&cx, weir.command);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cx.output.error(&error);
            ExitCode::from(error.code)
        }
    }
}

fn start(cx: &Cx, command: Option<Command>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::internal(format!("threads cannot be started: {e}")))?;
    runtime.block_on(dispatch(cx, command))
}

async fn dispatch(cx: &Cx, command: Option<Command>) -> Result<(), CliError> {
    match command {
        None => Err(CliError::user("the console is not there yet", "name a command; `weir --help` lists them")),
        Some(Command::Create(args)) => create::run(cx, args).await,
        Some(Command::Version(args)) => version::run(cx, &args),
        Some(Command::Completion(args)) => completion::run(cx, &args),
    }
}
