//! `weir diff`: what the next reconciliation of an object would change, by the same steps and without a write.
//!
//! Exits with 1 when something would change, as `flux diff` does. Source: flux2 cmd/flux/diff_kustomization.go.

use std::path::{Path, PathBuf};

use super::build::{Tried, with_root};
use super::pick::object;
use super::session::Session;
use super::{CliError, Cx};
use crate::base::{FileTree, Id};
use crate::engine::diff::Preview;
use crate::kinds::{self, Kustomization, View, kustomization};
use crate::reconcile;
use crate::verbs::{self, Answer, Query};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Kind and name, e.g. ks/apps or kustomization apps
    #[arg(value_name = "KIND", required = true)]
    words: Vec<String>,
    /// Local directory that stands for a Kustomization's path, instead of what its source has
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let mut session = Session::open(cx).await?;
    let id = object(&session.desk.cluster, &args.words, &cx.global.namespace()).await?;
    if !kinds::of_id(&id).views.contains(&View::Diff) {
        let can: Vec<_> =
            kinds::ALL.iter().filter(|kind| kind.views.contains(&View::Diff)).map(|kind| kind.kind).collect();
        return Err(CliError::user(
            format!("what a {} would change cannot be shown", id.kind),
            format!("it can for {}", can.join(", ")),
        ));
    }
    let preview = match args.path {
        None => {
            session.foresee().await?;
            let query = Query::View(View::Diff, id.clone());
            match session.within(cx, verbs::fetch(&session.desk, query)).await? {
                Answer::Preview(preview) => preview,
                _ => return Err(CliError::internal("the answer is no preview")),
            }
        }
        Some(path) => local(cx, &mut session, &id, &path).await?,
    };
    session.close().await;
    cx.output.preview(&preview)?;
    match preview.patch.parts.len() {
        0 => Ok(()),
        1 => Err(CliError::user("1 object would change", "")),
        count => Err(CliError::user(format!("{count} objects would change"), "")),
    }
}

/// As a Kustomization would be with the files of a local directory.
async fn local(cx: &Cx, session: &mut Session, id: &Id, path: &Path) -> Result<Preview, CliError> {
    if !std::ptr::eq(kinds::of_id(id), &kustomization::KIND) {
        return Err(CliError::user(format!("--path is for Kustomizations, and this is a {}", id.kind), ""));
    }
    let document = session.desk.cluster.get(id).await?;
    let document = document.ok_or_else(|| CliError::user(format!("{id} not found"), "name its namespace with -n"))?;
    let mut object: Kustomization = serde_json::from_value(document)
        .map_err(|e| CliError::user(format!("the Kustomization cannot be read: {e}"), ""))?;
    let context = session.foresee().await?;
    let directory = path.to_owned();
    let mut probe = object.clone();
    // The bases of the directory may lie above it: the first root from which all are found is taken.
    let find = move || {
        with_root(&directory, |tree, below| {
            probe.spec.path = Some(format!("./{below}"));
            match reconcile::render(&probe, tree, None, false, None) {
                Ok(_) => Tried::Done((tree.clone(), below.to_owned())),
                Err(message) => Tried::Higher(CliError::user(message, "")),
            }
        })
    };
    let found: Result<(FileTree, String), CliError> = super::build::in_background(find).await;
    let (tree, below) = found?;
    object.spec.path = Some(format!("./{below}"));
    let from = format!("local: {}", path.display());
    let preview = async {
        let preview = reconcile::preview_of_tree(&context, &object, tree, &from).await;
        preview.map_err(|cause| CliError::user(cause.message, "a reconciliation would fail in the same way"))
    };
    session.within(cx, preview).await
}
