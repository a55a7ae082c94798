//! `weir events`: what controllers said lately.

use std::collections::HashSet;

use super::output::Table;
use super::pick::pick;
use super::session::{Session, now};
use super::{CliError, Cx};
use crate::base::{Age, Id, State};
use crate::kinds;
use crate::verbs::{self, Answer, EventLine, Query};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only about this kind or object, e.g. ks or ks/apps; its source is told of too
    #[arg(long = "for", value_name = "KIND[/NAME]")]
    about: Option<String>,
    /// Only these types: Normal, Warning
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<Type>,
    /// Events of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Stay, and print every new event
    #[arg(short, long)]
    watch: bool,
    /// Leave the header out
    #[arg(long)]
    no_header: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[value(rename_all = "PascalCase")]
enum Type {
    #[value(alias = "normal")]
    Normal,
    #[value(alias = "warning")]
    Warning,
}

/// What `--for` means.
enum About {
    Everything,
    Kind(String, String),
    One(Id),
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::open(cx).await?;
    let about = about(cx, &session, &args).await?;
    let mut printed = HashSet::new();
    let mut headed = args.no_header;
    let changes = session.desk.store.subscribe();
    loop {
        let mut table = Table::new(headers(&args));
        table.no_header = headed;
        for line in lines(cx, &session, &args, &about).await? {
            let key = (line.about.clone(), line.reason.clone(), line.message.clone(), line.last_seen, line.count);
            if printed.insert(key) {
                table.row(line.warning.then_some(State::Failed), cells(&args, &line));
            }
        }
        if !table.is_empty() {
            cx.output.table(&table)?;
            headed = true;
        }
        if !args.watch {
            break;
        }
        while !changes.next().await.ids.iter().any(|id| &*id.kind == kinds::event::KIND.kind) {}
    }
    session.close().await;
    if printed.is_empty() {
        let place = if args.all_namespaces {
            "any namespace".into()
        } else {
            format!("the namespace {}", cx.global.namespace())
        };
        cx.output.failure(format!("no events found in {place}"));
    }
    Ok(())
}

async fn about(cx: &Cx, session: &Session, args: &Args) -> Result<About, CliError> {
    let Some(word) = &args.about else { return Ok(About::Everything) };
    let picked = pick(&session.desk.cluster, std::slice::from_ref(word)).await?;
    let wanted = &picked.wanted[0];
    Ok(match wanted.names.first() {
        Some(name) => About::One(wanted.id(&cx.global.namespace(), name)),
        None => About::Kind(wanted.api.group.clone(), wanted.api.kind.clone()),
    })
}

async fn lines(cx: &Cx, session: &Session, args: &Args, about: &About) -> Result<Vec<EventLine>, CliError> {
    let one = match about {
        About::One(id) => Some(id.clone()),
        _ => None,
    };
    let answer = session.within(cx, verbs::fetch(&session.desk, Query::Events(one))).await?;
    let Answer::Events(mut lines) = answer else { return Ok(Vec::new()) };
    let namespace = cx.global.namespace();
    lines.retain(|line| {
        let kind = if line.warning { Type::Warning } else { Type::Normal };
        let typed = args.types.is_empty() || args.types.contains(&kind);
        let Some(id) = &line.about else { return typed && matches!(about, About::Everything) };
        let within = match about {
            About::One(_) => true,
            About::Kind(group, kind) => *id.group == **group && *id.kind == **kind && within(args, id, &namespace),
            About::Everything => within(args, id, &namespace),
        };
        typed && within
    });
    lines.sort_by_key(|line| line.last_seen);
    Ok(lines)
}

fn within(args: &Args, id: &Id, namespace: &str) -> bool {
    args.all_namespaces || id.namespace.is_empty() || &*id.namespace == namespace
}

fn headers(args: &Args) -> Vec<&'static str> {
    let mut headers = vec!["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
    if args.all_namespaces {
        headers.insert(0, "NAMESPACE");
    }
    headers
}

fn cells(args: &Args, line: &EventLine) -> Vec<String> {
    let age = line.last_seen.map_or_else(String::new, |then| Age::between(then, now()).to_string());
    let seen = if line.count > 1 { format!("{age} (x{})", line.count) } else { age };
    let object = line.about.as_ref().map_or_else(String::new, |id| format!("{}/{}", id.kind, id.name));
    let word = if line.warning { "Warning" } else { "Normal" };
    let mut cells = vec![seen, word.into(), line.reason.to_string(), object, line.message.to_string()];
    if args.all_namespaces {
        cells.insert(0, line.about.as_ref().map_or_else(String::new, |id| id.namespace.to_string()));
    }
    cells
}
