//! `weir diff`: what the next reconciliation of an object would change, by the same steps and without a write.
//!
//! Of a commit that would be pushed a pipe gets the patch as `git apply` takes it. Exits with 1 when something would change, as `flux diff` does. Source: flux2 cmd/flux/diff_kustomization.go.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::build::{Tried, with_root};
use super::pick::object;
use super::session::Session;
use super::{CliError, Cx};
use crate::base::{FileTree, Id, Value};
use crate::engine::diff::{DiffLine, Part, Preview};
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
    /// Form of the output
    #[arg(short, long, value_enum)]
    output: Option<Form>,
}

/// Forms other than text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Json,
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
    match args.output {
        Some(Form::Json) => cx.output.data(&format!("{:#}\n", as_json(&id, &preview)))?,
        None => cx.output.preview(&preview)?,
    }
    let what = if preview.commit.is_some() { "file" } else { "object" };
    match preview.patch.parts.len() {
        0 => Ok(()),
        1 => Err(CliError::user(format!("1 {what} would change"), "")),
        count => Err(CliError::user(format!("{count} {what}s would change"), "")),
    }
}

/// The preview for programs.
fn as_json(id: &Id, preview: &Preview) -> Value {
    let line = |line: &DiffLine| json!([line.change.sign().trim_end(), line.text.as_str()]);
    let part = |part: &Part| {
        let lines: Vec<Value> = part.lines.iter().map(line).collect();
        json!({"name": part.name.as_str(), "fate": part.fate.word(), "lines": lines})
    };
    let commit = preview.commit.as_ref().map(|commit| {
        json!({"repository": commit.repository, "branch": commit.branch, "newBranch": commit.is_new,
            "parent": commit.parent, "message": commit.message, "patch": commit.patch})
    });
    let about = preview.about.iter().map(|(label, value)| json!([label.as_str(), value.as_str()]));
    json!({
        "object": id.to_string(),
        "about": about.collect::<Vec<_>>(),
        "notes": preview.notes.iter().map(|note| note.as_str()).collect::<Vec<_>>(),
        "changes": preview.patch.parts.iter().map(part).collect::<Vec<_>>(),
        "commit": commit,
    })
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
