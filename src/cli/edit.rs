//! `weir edit`: a document in the person's editor, checked and shown as a diff before it is sent.

use std::io::{IsTerminal, Write};
use std::path::Path;

use super::pick::object;
use super::session::Session;
use super::{CliError, Cx};
use crate::base::{Text, Value};
use crate::verbs::{self, Answer, Ask, Query, Review};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Kind and name, e.g. ks apps; source git podinfo; deploy/web
    #[arg(value_name = "KIND", required = true)]
    words: Vec<String>,
    /// Send without asking
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::open(cx).await?;
    let id = object(&session.desk.cluster, &args.words, &cx.global.namespace()).await?;
    let answer = session.within(cx, verbs::fetch(&session.desk, Query::Edit(id.clone()))).await?;
    let Answer::Edit { original, yaml } = answer else { return Err(CliError::internal("no document to edit")) };
    let directory = tempfile::Builder::new().prefix("weir-edit-").tempdir().map_err(unwritable)?;
    let file = directory.path().join(format!("{}.yaml", id.name));
    let edited = match agreed(cx, &args, &session, &file, &original, &yaml).await {
        Ok(Some(edited)) => edited,
        Ok(None) => {
            cx.output.success(format!("{id} is left as it is"));
            session.close().await;
            return Ok(());
        }
        Err(error) => return Err(kept(error, directory)),
    };
    let waiting = |words: Text| cx.output.wait(words.as_str());
    let save = Ask::Save { id, original, edited };
    match session.within(cx, verbs::ask(&session.desk, save, &waiting)).await {
        Ok(outcome) => cx.output.success(outcome.message.as_str()),
        Err(error) => return Err(kept(error, directory)),
    }
    session.close().await;
    Ok(())
}

/// Lets the person edit until the document is good and wanted; `None` when nothing shall change.
async fn agreed(
    cx: &Cx,
    args: &Args,
    session: &Session,
    file: &Path,
    original: &Value,
    yaml: &str,
) -> Result<Option<String>, CliError> {
    std::fs::write(file, yaml).map_err(unwritable)?;
    loop {
        open_editor(file).await?;
        let edited = std::fs::read_to_string(file).map_err(unwritable)?;
        if edited == yaml {
            return Ok(None);
        }
        let query = Query::Review { original: original.clone(), edited: edited.clone() };
        let answer = session.within(cx, verbs::fetch(&session.desk, query)).await?;
        let Answer::Review(review) = answer else { return Err(CliError::internal("no review of the edit")) };
        print(cx, &review)?;
        if review.problems.iter().any(|problem| problem.fatal) {
            if !cx.output.confirm("Edit again?") {
                return Err(CliError::user("the edit was not sent, it is not valid", ""));
            }
            continue;
        }
        if review.diff.is_empty() {
            return Ok(None);
        }
        let nobody_to_ask = !std::io::stdin().is_terminal();
        return match args.yes || nobody_to_ask || cx.output.confirm("Send this change?") {
            true => Ok(Some(edited)),
            false => Err(CliError::user("the edit was not sent", "")),
        };
    }
}

fn print(cx: &Cx, review: &Review) -> Result<(), CliError> {
    for problem in &review.problems {
        let place = if problem.line > 0 { format!("line {}: ", problem.line) } else { String::new() };
        let path = if problem.path.as_str().is_empty() { String::new() } else { format!("{}: ", problem.path) };
        let words = format!("{place}{path}{}", problem.message);
        if problem.fatal { cx.output.failure(words) } else { cx.output.warning(words) }
    }
    cx.output.diff(&review.diff)?;
    if let Some(by) = &review.by_git {
        cx.output.warning(format!("{by} applies this object from Git and will undo the edit"));
        cx.output.more(format!(
            "suspend it first, or change it in Git: weir suspend {}/{}",
            by.kind.to_lowercase(),
            by.name
        ));
    }
    Ok(())
}

/// `$KUBE_EDITOR`, `$VISUAL`, `$EDITOR`, else vi; run by a shell, because people put flags into these.
async fn open_editor(file: &Path) -> Result<(), CliError> {
    let named = ["KUBE_EDITOR", "VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok());
    let editor = named.filter(|editor| !editor.trim().is_empty()).unwrap_or_else(|| "vi".into());
    let mut command = tokio::process::Command::new("sh");
    command.arg("-c").arg(format!("{editor} \"$1\"")).arg("weir-edit").arg(file);
    let hint = "name your editor in the variable EDITOR";
    let status = command.status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(CliError::user(format!("the editor {editor:?} ended with {status}"), hint)),
        Err(e) => Err(CliError::user(format!("the editor {editor:?} cannot be started: {e}"), hint)),
    }
}

/// Work is never thrown away: the file stays, and the person is told where.
fn kept(error: CliError, directory: tempfile::TempDir) -> CliError {
    let place = directory.keep();
    std::io::stderr().flush().ok();
    let hint = format!(
        "{}{}your text is kept in {}",
        error.hint,
        if error.hint.is_empty() { "" } else { "\n" },
        place.display()
    );
    CliError { hint, ..error }
}

fn unwritable(e: std::io::Error) -> CliError {
    CliError::config(format!("a file to edit cannot be written: {e}"), "look at the free space and at TMPDIR")
}
