//! `weir export`: documents without status and what only the server sets, ready for a Git repository.

use super::pick::pick;
use super::session::Session;
use super::{CliError, Cx};
use crate::base::{Id, yaml};
use crate::verbs::{self, Answer, Query};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Kind and names, e.g. ks apps; source git podinfo; source all
    #[arg(value_name = "KIND", required = true)]
    words: Vec<String>,
    /// All objects of the kind in the namespace
    #[arg(long)]
    all: bool,
    /// With --all: objects of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::open(cx).await?;
    let namespace = cx.global.namespace();
    let picked = pick(&session.desk.cluster, &args.words).await?;
    let mut ids: Vec<Id> = Vec::new();
    for wanted in &picked.wanted {
        if wanted.names.is_empty() && !args.all && !picked.group {
            return Err(CliError::user("a name is required", "or export them all with --all"));
        }
        ids.extend(wanted.names.iter().map(|name| wanted.id(&namespace, name)));
        if wanted.names.is_empty() {
            let within = Some(namespace.as_str()).filter(|_| !args.all_namespaces && wanted.api.namespaced);
            ids.extend(session.desk.cluster.list(&wanted.api, within, None).await?.iter().filter_map(Id::of));
        }
    }
    if ids.is_empty() {
        cx.output.failure(format!("no objects found in the namespace {namespace}"));
    }
    for id in ids {
        if let Answer::Yaml(yaml) = session.within(cx, verbs::fetch(&session.desk, Query::Export(id))).await? {
            let document = yaml::read_one(yaml.as_bytes(), &yaml::Limits::default());
            let document = document.map_err(|e| CliError::internal(format!("an exported document: {e}")))?;
            cx.output.data(&format!("---\n{}", yaml::write(&yaml::sorted(document))))?;
        }
    }
    session.close().await;
    Ok(())
}
