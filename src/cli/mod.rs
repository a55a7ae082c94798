//! The command line: one file per command, and the only printer.
//!
//! Verbs iterate over kinds: there is no file per verb and kind. Data goes to stdout, words to stderr, so every command
//! can stand in a pipe. Must not decide anything about the cluster: that is for `verbs` and below. Start with [`main`],
//! then `global` (which cluster), `pick` (which objects) and `get`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod apply;
mod ask;
mod build;
mod completion;
mod console;
mod create;
mod debug;
mod delete;
mod demo;
mod describe;
mod diff;
mod documents;
mod door;
mod edit;
mod error;
mod events;
mod export;
mod get;
mod global;
mod image;
mod later;
mod log;
mod logs;
mod output;
mod pick;
mod reconcile;
mod resume;
mod rivals;
mod run;
mod select;
mod serve;
mod session;
mod signal;
mod suspend;
mod trace;
mod tree;
mod version;

use later::Later;

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
    #[command(flatten)]
    console: console::Args,
    #[command(subcommand)]
    command: Option<Command>,
}

// One value of it exists, for the length of one command.
#[allow(clippy::large_enum_variant)]
#[derive(Subcommand, Debug)]
enum Command {
    /// See GitOps happen, with no cluster: a fleet, two repositories, and a key that commits
    Demo(Later<demo::Args>),
    /// Serve the embedded API to kubectl, and reconcile on it
    Serve(Later<serve::Args>),
    /// Reconcile without a console
    Run(Later<run::Args>),
    /// Show objects in tables, or as json or yaml
    Get(Later<get::Args>),
    /// Show all about one object
    Describe(Later<describe::Args>),
    /// Show sources, what is built from them and what that applied
    Tree(Later<tree::Args>),
    /// Show what applied an object, and from which source
    Trace(Later<trace::Args>),
    /// Show what the next reconciliation of an object would change
    Diff(Later<diff::Args>),
    /// Show what controllers said lately
    Events(Later<events::Args>),
    /// Show weir's own log, by object
    Logs(Later<logs::Args>),
    /// Reconcile now, and wait for what comes of it
    Reconcile(Later<reconcile::Args>),
    /// Stop reconciling until resumed
    Suspend(Later<suspend::Args>),
    /// Reconcile again after a suspend
    Resume(Later<resume::Args>),
    /// Edit an object in your editor, with a check and a diff before it is sent
    Edit(Later<edit::Args>),
    /// Delete objects and what they own
    Delete(Later<delete::Args>),
    /// Apply documents from files; older API versions are converted, typos are found
    Apply(Later<apply::Args>),
    /// Create or change an object, or print it with --export
    Create(Later<create::Args>),
    /// Print what would be applied
    Build(Later<build::Args>),
    /// Choose tags and set images in files, as the image automation does
    Image(Later<image::Args>),
    /// Print objects as YAML for a Git repository
    Export(Later<export::Args>),
    /// Look at weir itself
    Debug(Later<debug::Args>),
    /// Print the version
    Version(Later<version::Args>),
    /// Print a completion script for a shell
    Completion(Later<completion::Args>),
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
    if matches!(weir.command, None | Some(Command::Demo(_)))
        && let Some(code) = console::guarded()
    {
        return code;
    }
    let cx = Cx { global: weir.global, output };
    let outcome = start(&cx, weir.console, weir.command);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cx.output.error(&error);
            ExitCode::from(error.code)
        }
    }
}

fn start(cx: &Cx, console: console::Args, command: Option<Command>) -> Result<(), CliError> {
    use tokio::runtime::Builder;

    // What only computes is often done before further threads have started.
    let alone =
        matches!(command, Some(Command::Build(_) | Command::Image(_) | Command::Version(_) | Command::Completion(_)));
    let runtime = if alone { Builder::new_current_thread() } else { Builder::new_multi_thread() }
        .enable_all()
        .build()
        .map_err(|e| CliError::internal(format!("threads cannot be started: {e}")))?;
    runtime.block_on(dispatch(cx, console, command))
}

async fn dispatch(cx: &Cx, console: console::Args, command: Option<Command>) -> Result<(), CliError> {
    match command {
        None => console::run(cx, &console).await,
        Some(Command::Demo(args)) => demo::run(cx, args.0).await,
        Some(Command::Serve(args)) => serve::run(cx, args.0).await,
        Some(Command::Run(args)) => run::run(cx, args.0).await,
        Some(Command::Get(args)) => get::run(cx, args.0).await,
        Some(Command::Describe(args)) => describe::run(cx, args.0).await,
        Some(Command::Tree(args)) => tree::run(cx, args.0).await,
        Some(Command::Trace(args)) => trace::run(cx, args.0).await,
        Some(Command::Diff(args)) => diff::run(cx, args.0).await,
        Some(Command::Debug(args)) => debug::run(cx, args.0).await,
        Some(Command::Events(args)) => events::run(cx, args.0).await,
        Some(Command::Logs(args)) => logs::run(cx, args.0).await,
        Some(Command::Apply(args)) => apply::run(cx, args.0).await,
        Some(Command::Reconcile(args)) => reconcile::run(cx, args.0).await,
        Some(Command::Suspend(args)) => suspend::run(cx, args.0).await,
        Some(Command::Resume(args)) => resume::run(cx, args.0).await,
        Some(Command::Edit(args)) => edit::run(cx, args.0).await,
        Some(Command::Delete(args)) => delete::run(cx, args.0).await,
        Some(Command::Create(args)) => create::run(cx, args.0).await,
        Some(Command::Build(args)) => build::run(cx, args.0).await,
        Some(Command::Image(args)) => image::run(cx, args.0).await,
        Some(Command::Export(args)) => export::run(cx, args.0).await,
        Some(Command::Version(args)) => version::run(cx, &args.0),
        Some(Command::Completion(args)) => completion::run(cx, &args.0),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Weir;

    #[test]
    fn a_command_says_the_same_of_itself_wherever_it_is_named() {
        let mut weir = Weir::command();
        let words = |weir: &clap::Command| -> Vec<String> {
            let about = |command: &clap::Command| format!("{} {:?}", command.get_name(), command.get_about());
            weir.get_subcommands().filter(|command| command.get_name() != "help").map(about).collect()
        };
        let listed = words(&weir);
        weir.build();
        assert_eq!(words(&weir), listed);
        let get = weir.get_subcommands().find(|command| command.get_name() == "get").unwrap();
        assert!(get.get_arguments().any(|flag| flag.get_id() == "watch"), "its flags are described");
    }
}
