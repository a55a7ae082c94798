//! `weir trace`: from an object up to what applied it and the source that came from.

use super::pick::object;
use super::session::{Session, now};
use super::{CliError, Cx};
use crate::base::{Age, Condition, Id, Value};
use crate::kinds::{Relation, Tie};
use crate::store::Store;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Kind and name of any object, e.g. deploy/web
    #[arg(value_name = "KIND", required = true)]
    words: Vec<String>,
}

/// Owners of owners that are followed at most; a circle ends there.
const DEPTH: usize = 16;

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::open(cx).await?;
    let store = &session.desk.store;
    let id = object(&session.desk.cluster, &args.words, &cx.global.namespace()).await?;
    let Some(document) = session.desk.cluster.get(&id).await? else {
        let hint = format!("name its namespace with -n; this was looked for in {}", cx.global.namespace());
        return Err(CliError::user(format!("{id} not found"), hint));
    };
    let owner = owner(store, &id, &document);
    let managed = match &owner {
        Some(_) => "managed by Flux",
        None => "not managed by Flux: no inventory names it",
    };
    rows(
        cx,
        &[
            ("Object", format!("{}/{}", id.kind, id.name)),
            ("Namespace", id.namespace.to_string()),
            ("Status", managed.into()),
        ],
    )?;
    for about in [&owner, &owner.as_ref().and_then(|owner| source(store, owner))].into_iter().flatten() {
        cx.output.line("---")?;
        block(cx, store, about)?;
    }
    session.close().await;
    Ok(())
}

/// Who applied the object, or the object that made it.
fn owner(store: &Store, id: &Id, document: &Value) -> Option<Id> {
    let mut at = id.clone();
    // Pods and replica sets are in no inventory: what made them is.
    let mut made_by = document["metadata"]["ownerReferences"][0].clone();
    for _ in 0..DEPTH {
        if let Some((_, owner)) = store.pointing_at(&at).into_iter().find(|(tie, _)| *tie == Tie::Owns) {
            return Some(owner);
        }
        let text = |key: &str| made_by[key].as_str();
        let group = text("apiVersion")?.split_once('/').map_or("", |(group, _)| group);
        at = Id::new(group, text("kind")?, &at.namespace, text("name")?);
        made_by = store.get(&at)?.object.body()["metadata"]["ownerReferences"][0].clone();
    }
    None
}

fn source(store: &Store, deployer: &Id) -> Option<Id> {
    let entry = store.get(deployer)?;
    let source = |relation: &&Relation| relation.tie == Tie::Source;
    entry.relations.iter().find(source).map(|relation| relation.to.clone())
}

fn block(cx: &Cx, store: &Store, id: &Id) -> Result<(), CliError> {
    let Some(entry) = store.get(id) else {
        return rows(
            cx,
            &[(&id.kind, id.name.to_string()), ("Namespace", id.namespace.to_string()), ("Status", "not found".into())],
        );
    };
    let document = entry.object.body();
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ready = Condition::find(&document, "Ready").unwrap_or_default();
    let since = ready.last_transition_time.parse().map(|then| format!(" for {}", Age::between(then, now())));
    let either = |one: String, other: String| if one.is_empty() { other } else { one };
    rows(
        cx,
        &[
            (&id.kind, id.name.to_string()),
            ("Namespace", id.namespace.to_string()),
            ("Path", text("/spec/path")),
            ("URL", text("/spec/url")),
            ("Branch", text("/spec/ref/branch")),
            ("Tag", text("/spec/ref/tag")),
            ("Revision", either(text("/status/lastAppliedRevision"), text("/status/artifact/revision"))),
            ("Status", format!("{}{}", entry.health.state.word(), since.unwrap_or_default())),
            ("Message", either(ready.message, entry.health.message.clone())),
        ],
    )
}

fn rows(cx: &Cx, rows: &[(&str, String)]) -> Result<(), CliError> {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or_default().max(13);
    let mut filled = rows.iter().filter(|(_, value)| !value.is_empty());
    filled.try_for_each(|(label, value)| cx.output.line(format!("{:<1$} {value}", format!("{label}:"), width + 1)))
}
