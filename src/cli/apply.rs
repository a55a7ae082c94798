//! `weir apply`: documents from files, converted, checked and sent by server-side apply.

use std::path::PathBuf;

use super::documents::{self, Document};
use super::session::{Session, connect};
use super::{CliError, Cx};
use crate::base::{Health, Id, State, Value};
use crate::cluster::{Apply, Cluster};
use crate::kinds;
use crate::verbs::MANAGER;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File or directory with documents, - for stdin; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Take the files of directories below too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Let the server check everything, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait until everything applied is ready
    #[arg(long)]
    wait: bool,
    /// Take over fields that others own
    #[arg(long)]
    force_conflicts: bool,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let mut documents = documents::read(cx, &args.files, args.recursive)?;
    if documents.is_empty() {
        return Err(CliError::user("there is nothing to apply in these files", ""));
    }
    // Namespaces and definitions first: what is in them needs them.
    documents.sort_by_key(|document| match document.value["kind"].as_str() {
        Some("CustomResourceDefinition") => 0,
        Some("Namespace") => 1,
        _ => 2,
    });
    if args.wait && !args.dry_run {
        let session = Session::with_reconcilers(cx).await?;
        let outcome = apply(cx, &args, &session.desk.cluster, documents).await;
        session.close().await;
        return outcome;
    }
    apply(cx, &args, &connect(cx).await?.cluster, documents).await
}

async fn apply(cx: &Cx, args: &Args, cluster: &Cluster, documents: Vec<Document>) -> Result<(), CliError> {
    let mut failed = false;
    let mut applied = Vec::new();
    for document in documents {
        match one(cx, args, cluster, &document).await {
            Ok(id) => applied.push(id),
            Err(error) => {
                failed = true;
                cx.output.error(&CliError { message: format!("{}: {}", document.place, error.message), ..error });
            }
        }
    }
    if args.wait && !args.dry_run {
        for id in &applied {
            match wait(cx, cluster, id).await {
                Ok(health) => cx.output.success(format!("{id} is ready{}", because(&health))),
                Err(error) => {
                    failed = true;
                    cx.output.error(&error);
                }
            }
        }
    }
    if failed { Err(CliError::user("", "")) } else { Ok(()) }
}

async fn one(cx: &Cx, args: &Args, cluster: &Cluster, document: &Document) -> Result<Id, CliError> {
    let mut value = document.value.clone();
    let mut id = Id::of(&value).ok_or_else(|| CliError::user("it has no name", ""))?;
    let api = cluster.api_of(&id).await?;
    if api.namespaced && id.namespace.is_empty() {
        id = id.in_namespace(&cx.global.namespace());
        value["metadata"]["namespace"] = (&*id.namespace).into();
    }
    let before = cluster.get(&id).await?;
    let how = Apply { manager: MANAGER, force: args.force_conflicts, dry_run: args.dry_run };
    let after = cluster.apply(&value, &how).await.map_err(|error| {
        let conflict = matches!(error, crate::cluster::ClusterError::Conflict { .. });
        let error = CliError::from(error);
        if conflict { CliError { hint: "--force-conflicts takes the fields over".into(), ..error } } else { error }
    })?;
    let version = |document: &Value| document.pointer("/metadata/resourceVersion").cloned();
    let word = match &before {
        None => "created",
        Some(before) if !args.dry_run && version(before) == version(&after) => "unchanged",
        Some(_) => "configured",
    };
    cx.output.success(format!("{id} {word}{}", if args.dry_run { " (dry run)" } else { "" }));
    Ok(id)
}

/// Waits until the object is ready or has failed for good.
async fn wait(cx: &Cx, cluster: &Cluster, id: &Id) -> Result<Health, CliError> {
    cx.output.wait(format!("waiting for {id}"));
    let kind = kinds::of_id(id);
    let judge = |document: Option<&Value>| {
        let health = (kind.health)(document?);
        matches!(health.state, State::Ready | State::Failed | State::Suspended).then_some(health)
    };
    let health = cluster.follow(id, cx.global.timeout, judge).await?;
    match health.state {
        State::Ready => Ok(health),
        state => {
            let hint = format!("look closer with `weir describe {}/{}`", id.kind.to_lowercase(), id.name);
            Err(CliError::cluster(format!("{id}: {}{}", state.word(), because(&health)), hint))
        }
    }
}

fn because(health: &Health) -> String {
    let simulated = if health.simulated { " (simulated)" } else { "" };
    match health.message.lines().next().unwrap_or_default() {
        "" => simulated.to_owned(),
        message => format!("{simulated}: {message}"),
    }
}
