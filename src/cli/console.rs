//! `weir`: the console; where nobody sits at a terminal, one table of everything instead.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::door::Door;
use super::rivals::{self, Tenure};
use super::run::Reconciling;
use super::session::{Session, connect_to};
use super::{CliError, Cx, get, log};
use crate::cluster::{Place, Target};
use crate::config::{ConfigError, Layer, Settings, Source};
use crate::console::start::{ConsoleError, Options};
use crate::console::{guard, run as console, terminal};
use crate::embedded::Access;

/// Flags of the console.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Console")]
pub struct Args {
    /// Reconcile on the cluster of the kubeconfig too, unless Flux is at work there
    #[arg(long)]
    reconcile: bool,
    #[command(flatten)]
    reconciling: Reconciling,
    #[command(flatten)]
    look: Look,
}

/// How a console looks and what it lets people do.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Console")]
pub struct Look {
    /// Look only: refuse everything that writes
    #[arg(long)]
    read_only: bool,
    /// Theme: auto, dark, light or contrast16
    #[arg(long, value_name = "NAME")]
    theme: Option<String>,
    /// Keymap: default or vim
    #[arg(long, value_name = "NAME")]
    keymap: Option<String>,
}

/// Puts a parent before this process that gives the terminal back whatever happens; `Some`: this is the parent, at its end.
pub fn guarded() -> Option<std::process::ExitCode> {
    let mark = std::env::var(guard::MARK).ok();
    match guard::watch_over(mark.as_deref()) {
        Ok(guard::Guard::Ended(code)) => Some(code),
        // Without a guard the console still works.
        Ok(guard::Guard::GoOn) | Err(_) => None,
    }
}

/// Whether a person can see and type.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

pub async fn run(cx: &Cx, args: &Args) -> Result<(), CliError> {
    if !is_interactive() {
        return get::run(cx, get::Args::everything()).await;
    }
    let target = cx.global.target()?;
    let data = match &target {
        Target::Embedded { data } => Some(data.clone()),
        _ => None,
    };
    let connected = connect_to(cx, &target).await?;
    let tenure = match args.reconcile && !connected.cluster.place().is_embedded() {
        true => Some(Tenure::begin(&connected.cluster).await?),
        false => None,
    };
    // Another weir on the same data writes the log there.
    let held = data.filter(|_| connected.embedded.is_some());
    let activity = log::start(held.as_deref().map(log::path_in).as_deref(), false);
    let door = match (&connected.embedded, &held) {
        (Some(embedded), Some(data)) => {
            Some(Door::open(embedded, data, ([127, 0, 0, 1], 0).into(), Access::fresh()).await?)
        }
        _ => None,
    };
    let mut session = Session::over(connected, activity).await;
    let reconciling = args.reconcile || door.is_some();
    if reconciling {
        session.reconcile_as(args.reconciling.options()).await?;
        if let Some(tenure) = &tenure {
            session.stop_when(tenure.lost());
        }
    } else if let Err(error) = session.foresee().await {
        // The console is worth having without previews.
        tracing::warn!("no previews: {}", error.message);
    }
    let outcome = match options(&session, &args.look) {
        Ok(options) => show(&session, Options { reconciling, ..options }).await,
        Err(error) => Err(error),
    };
    if let Some(door) = door {
        door.close().await;
    }
    session.close().await;
    let Some(tenure) = tenure else { return outcome };
    let is_lost = tenure.lost().is_cancelled();
    tenure.end().await;
    if is_lost { outcome.and(Err(rivals::lost())) } else { outcome }
}

/// Runs the console over a session until it ends.
pub async fn show(session: &Session, options: Options) -> Result<(), CliError> {
    console::run(session.desk.clone(), options).await.map_err(CliError::from)
}

/// What the console over a session is told.
///
/// Errors with file and line when a setting, keymap or theme cannot be read.
pub fn options(session: &Session, look: &Look) -> Result<Options, CliError> {
    let context = match session.desk.cluster.place() {
        Place::Context { name, .. } => name.as_str(),
        Place::Embedded { .. } => "embedded",
    };
    Ok(Options {
        settings: settings(look, context)?,
        theme: own("theme.toml")?,
        keymap: own("keymap.toml")?,
        depth: Some(terminal::depth(&|name| std::env::var(name).ok())),
        ..Options::default()
    })
}

/// What the person set, in the file and by flags, for a context.
pub fn settings(look: &Look, context: &str) -> Result<Settings, CliError> {
    let flags = Layer {
        theme: look.theme.clone(),
        keymap: look.keymap.clone(),
        read_only: look.read_only.then_some(true),
        ..Layer::default()
    };
    let mut layers = Vec::new();
    if let Some(file) = own("config.toml")? {
        layers.push(Layer::parse(&file)?);
    }
    layers.push(flags);
    Ok(Settings::resolve(&layers, context))
}

/// A file of the person's configuration directory, when it is there.
pub fn own(name: &str) -> Result<Option<Source>, CliError> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let Some(path) = directory.map(|directory| directory.join("weir").join(name)) else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Source::new(path.display().to_string(), text))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(CliError::config(format!("{} cannot be read: {e}", path.display()), "")),
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        match error.line {
            // A name from a flag or variable is on no line.
            0 => CliError::config(error.message, ""),
            _ => CliError::config(error.to_string(), "correct the file; nothing of it was used"),
        }
    }
}

impl From<ConsoleError> for CliError {
    fn from(error: ConsoleError) -> Self {
        match error {
            ConsoleError::Config(error) => error.into(),
            ConsoleError::Terminal(_) => CliError::config(error.to_string(), "`weir get all -A` needs no terminal"),
            ConsoleError::Panicked => CliError::internal(error.to_string()),
            ConsoleError::Script(_) => CliError::user(error.to_string(), "write keys like 'jj<enter>'"),
        }
    }
}
