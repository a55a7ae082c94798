//! `weir tree`: sources, what is built from them, and what that applied; all of it, or below one object.

use serde_json::{Value, json};

use super::pick::object;
use super::session::Session;
use super::{CliError, Cx};
use crate::base::{Id, State, Text, yaml};
use crate::kinds::{self, Family, Tie};
use crate::store::{Feed, Store, forest};
use crate::verbs::{self, Answer, Query, TreeNode};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Kind and name, e.g. ks apps; everything when absent
    #[arg(value_name = "KIND")]
    words: Vec<String>,
    /// Only what is reconciled, not the objects that it applied
    #[arg(long)]
    compact: bool,
    /// Form of the output
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Form {
    Json,
    Yaml,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::open(cx).await?;
    let roots = match args.words.is_empty() {
        true => forest::roots(&session.desk.store),
        false => vec![object(&session.desk.cluster, &args.words, &cx.global.namespace()).await?],
    };
    let outcome = show(cx, &session, roots, args.compact, args.output).await;
    session.close().await;
    outcome
}

/// Prints the tree of everything.
pub async fn print_all(cx: &Cx, session: &Session, compact: bool) -> Result<(), CliError> {
    show(cx, session, forest::roots(&session.desk.store), compact, None).await
}

async fn show(cx: &Cx, session: &Session, roots: Vec<Id>, compact: bool, form: Option<Form>) -> Result<(), CliError> {
    let mut nodes = Vec::new();
    for id in roots {
        nodes.extend(below(cx, session, id).await?);
    }
    let unseen = unseen(&session.desk.store);
    if nodes.is_empty() && !unseen.is_empty() {
        let hint = "ask for the missing permission or install what is missing, or use another context";
        return Err(CliError::cluster(unseen.join("; "), hint));
    }
    unseen.iter().for_each(|line| cx.output.warning(line));
    if nodes.is_empty() {
        cx.output.failure("there is nothing to show: no source and no Kustomization was found");
        cx.output.more("make one with `weir create source git`, or look at `weir demo`");
    }
    let values = || Value::Array(nodes.iter().map(|node| value(node, compact)).collect());
    match form {
        Some(Form::Json) => cx.output.data(&format!("{:#}\n", values())),
        Some(Form::Yaml) => cx.output.data(&yaml::write(&values())),
        None => nodes.iter().try_for_each(|node| Lines { cx, store: &session.desk.store, compact }.print(node, "", "")),
    }
}

/// Kinds that the tree is made of and that cannot be seen now: what is not there because of them is not absent.
fn unseen(store: &Store) -> Vec<String> {
    let trunk =
        kinds::ALL.iter().filter(|kind| matches!(kind.family, Family::Source | Family::Deployer | Family::Image));
    let told = |kind: &kinds::Kind| match store.feed(kind.group, kind.kind) {
        Feed::Live { .. } => None,
        Feed::Loading => Some(format!("{}: its list has not come yet", kind.kind)),
        Feed::Stale { why, .. } => Some(format!("{}: connection lost: {why}", kind.kind)),
        Feed::Denied(why) | Feed::Unavailable(why) => Some(format!("{}: {why}", kind.kind)),
    };
    trunk.filter_map(|kind| told(kind)).collect()
}

/// The tree below an object. A source that is named but absent has one too: what waits for it.
async fn below(cx: &Cx, session: &Session, id: Id) -> Result<Option<TreeNode>, CliError> {
    let store = &session.desk.store;
    let waiting = forest::children(store, &id);
    let mut roots = vec![id.clone()];
    if store.get(&id).is_none() && !waiting.is_empty() {
        roots = waiting.into_iter().map(|branch| branch.id).collect();
    }
    let mut nodes = Vec::new();
    for root in &roots {
        if let Answer::Tree(node) = session.within(cx, verbs::fetch(&session.desk, Query::Tree(root.clone()))).await? {
            nodes.push(node);
        }
    }
    if roots == [id.clone()] {
        return Ok(nodes.pop());
    }
    Ok(Some(TreeNode { id, tie: None, health: None, revision: Text::default(), link: false, children: nodes }))
}

/// The tree as text.
struct Lines<'a> {
    cx: &'a Cx,
    store: &'a Store,
    compact: bool,
}

impl Lines<'_> {
    /// One node with the lines that lead to it, then its children. The depth is that of the picture, which `verbs`
    /// bounds.
    fn print(&self, node: &TreeNode, first: &str, rest: &str) -> Result<(), CliError> {
        let output = &self.cx.output;
        let (word, message) = match &node.health {
            Some(health) => {
                let simulated = if health.simulated { " (simulated)" } else { "" };
                let shown = format!("{} {}{simulated}", health.state.sign(), health.state.word());
                let troubled = health.state != State::Ready;
                let message = if troubled { health.message.lines().next().unwrap_or_default() } else { "" };
                (output.tint(health.state, &shown), Text::new(message).into_string())
            }
            None => {
                let feed = self.store.feed(&node.id.group, &node.id.kind);
                (output.tint(State::Unknown, &format!("? {}", feed.absence())), String::new())
            }
        };
        let arrow = if node.link { "→ " } else { "" };
        let parts = [format!("{first}{arrow}{}", node.id), word, node.revision.to_string(), message];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        output.painted(&parts.join("  "))?;
        let children: Vec<&TreeNode> = node.children.iter().filter(|child| shown(child, self.compact)).collect();
        for (number, child) in children.iter().enumerate() {
            let last = number + 1 == children.len();
            let (branch, below) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
            self.print(child, &format!("{rest}{branch}"), &format!("{rest}{below}"))?;
        }
        Ok(())
    }
}

fn shown(node: &TreeNode, compact: bool) -> bool {
    !compact || kinds::of_id(&node.id).is_custom()
}

fn value(node: &TreeNode, compact: bool) -> Value {
    let children: Vec<Value> =
        node.children.iter().filter(|child| shown(child, compact)).map(|child| value(child, compact)).collect();
    let tie = node.tie.map(|tie| match tie {
        Tie::Source => "source",
        Tie::DependsOn => "dependsOn",
        Tie::Owns => "owns",
        Tie::Uses => "uses",
        Tie::Notifies => "notifies",
    });
    json!({
        "group": &*node.id.group, "kind": &*node.id.kind, "namespace": &*node.id.namespace, "name": &*node.id.name,
        "tie": tie, "link": node.link, "revision": node.revision.as_str(),
        "state": node.health.as_ref().map(|health| health.state.word()),
        "reason": node.health.as_ref().map(|health| health.reason.as_str()),
        "message": node.health.as_ref().map(|health| health.message.as_str()),
        "simulated": node.health.as_ref().is_some_and(|health| health.simulated),
        "children": children,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Stamp;

    #[test]
    fn what_may_not_be_read_is_not_called_absent() {
        let store = Store::default();
        for kind in crate::kinds::ALL {
            store.set_feed(kind.group, kind.kind, Feed::Live { seen: Stamp(0) });
        }
        store.set_feed("source.toolkit.fluxcd.io", "GitRepository", Feed::Denied(Text::new("forbidden to bob")));
        assert_eq!(unseen(&store), ["GitRepository: forbidden to bob"]);
    }
}
