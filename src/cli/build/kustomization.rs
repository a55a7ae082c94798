//! `weir build kustomization`: what a Kustomization makes of a local directory, with its own overlay and variables.
//!
//! Source: flux2 cmd/flux/build_kustomization.go.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Tried, bases, in_background, put, with_root};
use crate::base::{FileTree, Value, yaml};
use crate::cli::session::connect;
use crate::cli::{CliError, Cx, documents};
use crate::engine::ignore;
use crate::kinds::Kustomization;
use crate::kinds::kustomization::KIND;
use crate::outside::bases::Bases;
use crate::reconcile;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Name of the Kustomization
    name: String,
    /// Local directory that stands for the Kustomization's path
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
    /// File with the Kustomization; else it is read from the cluster
    #[arg(long, value_name = "FILE")]
    kustomization_file: Option<PathBuf>,
    /// Ask no cluster: variables of ConfigMaps and Secrets are left out
    #[arg(long, requires = "kustomization_file")]
    dry_run: bool,
    /// An unset variable is an error
    #[arg(long)]
    strict_substitute: bool,
    /// Patterns of files that are left out, in gitignore syntax; may be repeated or divided by commas
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    ignore_paths: Vec<String>,
    /// Refuse bases by URL instead of fetching them
    #[arg(long)]
    no_remote_bases: bool,
    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let mut object = match &args.kustomization_file {
        Some(file) => from_file(cx, &args.name, file)?,
        None => from_cluster(cx, &args.name).await?,
    };
    let references = object.spec.post_build.as_mut().map(|post_build| &mut post_build.substitute_from);
    let references = references.filter(|references| !references.is_empty());
    if args.dry_run
        && let Some(references) = references
    {
        cx.output.warning("--dry-run: the variables of substituteFrom are left out");
        references.clear();
    }
    let variables = variables(cx, &object).await?;
    let (directory, strict, patterns) = (args.path, args.strict_substitute, args.ignore_paths.join("\n"));
    let (scratch, mut bases) = bases()?;
    let remote = !args.no_remote_bases;
    let work = move || {
        let _kept_until_here = scratch;
        with_root(&directory, |tree, below| {
            object.spec.path = Some(format!("./{below}"));
            let bases = Some(&mut bases).filter(|_| remote);
            match render(&object, tree, variables.as_ref(), strict, bases, &patterns) {
                Ok(text) => Tried::Done(text),
                Err(message) => Tried::Higher(CliError::user(message, "")),
            }
        })
    };
    put(cx, &[in_background(work).await?], args.output.as_deref())
}

fn render(
    object: &Kustomization,
    tree: &FileTree,
    variables: Option<&BTreeMap<String, String>>,
    strict: bool,
    bases: Option<&mut Bases>,
    patterns: &str,
) -> Result<String, String> {
    let kept = ignore::filter(tree, Some(patterns).filter(|patterns| !patterns.is_empty()));
    let documents = reconcile::render(object, &kept, variables, strict, bases)?;
    Ok(documents.iter().map(|document| format!("---\n{}", yaml::write(document))).collect())
}

/// The variables of post-build substitution; a cluster is asked only when an object of it is named.
async fn variables(cx: &Cx, object: &Kustomization) -> Result<Option<BTreeMap<String, String>>, CliError> {
    let asks = object.spec.post_build.as_ref().is_some_and(|post_build| !post_build.substitute_from.is_empty());
    if !asks {
        return reconcile::with_inline(object, BTreeMap::new()).map_err(|message| CliError::user(message, ""));
    }
    let connected = connect(cx).await?;
    reconcile::variables(&connected.cluster, object).await.map_err(|message| CliError::cluster(message, ""))
}

async fn from_cluster(cx: &Cx, name: &str) -> Result<Kustomization, CliError> {
    let id = KIND.id(&cx.global.namespace(), name);
    let found = connect(cx).await?.cluster.get(&id).await?;
    let hint = "name its namespace with -n, or its file with --kustomization-file";
    typed(found.ok_or_else(|| CliError::user(format!("{id} not found"), hint))?)
}

/// The Kustomization of that name in a file; the namespace is that of the command when the file has none.
fn from_file(cx: &Cx, name: &str, file: &PathBuf) -> Result<Kustomization, CliError> {
    let found = documents::read(cx, std::slice::from_ref(file), false)?.into_iter().find(|document| {
        document.value["kind"] == KIND.kind
            && document.value["metadata"]["name"] == name
            && document.value["apiVersion"] == KIND.api_version()
    });
    let missing = || CliError::user(format!("{} has no Kustomization {name}", file.display()), "");
    let mut value = found.ok_or_else(missing)?.value;
    if value["metadata"]["namespace"].as_str().is_none_or(str::is_empty) {
        value["metadata"]["namespace"] = cx.global.namespace().into();
    }
    typed(value)
}

fn typed(value: Value) -> Result<Kustomization, CliError> {
    serde_json::from_value(value).map_err(|e| CliError::user(format!("the Kustomization cannot be read: {e}"), ""))
}
