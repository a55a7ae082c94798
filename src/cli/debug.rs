//! `weir debug`: what weir knows of itself, and frames for people who cannot look at a terminal.

use clap::Subcommand;

use super::console::{self, options};
use super::demo::Demo;
use super::output::Table;
use super::session::Session;
use super::{CliError, Cx};
use crate::console::actions::{ACTIONS, EVERYWHERE, Scope};
use crate::console::keys::Keys;
use crate::console::run::render;
use crate::console::start::Script;
use crate::kinds;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    look: console::Look,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print the frame that a person sees after some keys
    Frame(Frame),
    /// The kinds that weir knows by name
    Kinds,
    /// The keys of the console, with the person's own keymap
    Keys,
}

#[derive(clap::Args, Debug)]
struct Frame {
    /// Columns and rows
    #[arg(long, value_name = "COLUMNSxROWS", default_value = "120x40", value_parser = size)]
    size: (u16, u16),
    /// Keys to press, e.g. 'jj<enter>'
    #[arg(long, default_value = "")]
    keys: String,
    /// On a demo that has settled, instead of a cluster
    #[arg(long)]
    demo: bool,
    /// Show the role of each place instead of its text
    #[arg(long)]
    roles: bool,
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let parts = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let (width, height) = parts.ok_or("write it like 120x40")?;
    if (10..=1000).contains(&width) && (3..=1000).contains(&height) {
        Ok((width, height))
    } else {
        Err("from 10x3 to 1000x1000".into())
    }
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    match args.what {
        What::Frame(frame_args) => frame(cx, &args.look, frame_args).await,
        What::Kinds => list_kinds(cx),
        What::Keys => list_keys(cx, &args.look),
    }
}

async fn frame(cx: &Cx, look: &console::Look, args: Frame) -> Result<(), CliError> {
    let (width, height) = args.size;
    let script = Script { width, height, keys: args.keys, roles: args.roles };
    if args.demo {
        let demo = Demo::open(cx).await?;
        demo.settled().await;
        let drawn = render(demo.session.desk.clone(), demo.options(look)?, &script).await;
        demo.close().await;
        return cx.output.data(&drawn?);
    }
    let session = Session::open(cx).await?;
    let drawn = render(session.desk.clone(), options(&session, look)?, &script).await;
    session.close().await;
    cx.output.data(&drawn?)
}

fn list_kinds(cx: &Cx) -> Result<(), CliError> {
    let mut table = Table::new(["KIND", "API", "SHORT", "RECONCILED", "VERBS", "DOC"]);
    for kind in kinds::ALL {
        let verbs: Vec<&str> = kind.verbs.iter().map(|verb| verb.name()).collect();
        let reconciled = if kind.is_custom() { "yes" } else { "" };
        let (api, short) = (kind.api_version(), kind.short_names.join(","));
        table.row(None, [kind.kind, &api, &short, reconciled, &verbs.join(","), kind.doc]);
    }
    cx.output.table(&table)
}

fn list_keys(cx: &Cx, look: &console::Look) -> Result<(), CliError> {
    let settings = console::settings(look, "")?;
    let keys = Keys::load(&settings.keymap, console::own("keymap.toml")?)?;
    let mut table = Table::new(["SCREEN", "KEYS", "ACTION", "DOC"]);
    for line in ACTIONS {
        // Where an action can act everywhere, the tree speaks for all screens.
        let scopes = Scope::ALL.into_iter().filter(|scope| match line.scopes {
            [] => *scope == Scope::Tree,
            scopes => scopes.contains(&scope.name()),
        });
        for scope in scopes {
            let bound = keys.of(scope, line.action).join("  ");
            let place = if line.scopes.is_empty() { EVERYWHERE } else { scope.name() };
            table.row(None, [place, &bound, line.name, line.doc]);
        }
    }
    cx.output.table(&table)
}
