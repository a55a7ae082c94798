//! `weir get`: tables as flux prints them, or the documents, once or as they change.

use std::collections::HashMap;
use std::io::Write as _;

use serde_json::{Value, json};

use super::output::Table;
use super::pick::{Picked, Wanted, pick};
use super::session::{Session, connect, now};
use super::{CliError, Cx};
use crate::base::{Age, Id, Object, yaml};
use crate::cluster::{Cluster, ClusterError};
use crate::kinds::Column;

/// Show objects: all of a kind, or those named.
///
/// Kinds are written as flux and kubectl write them: ks, sources git, source all, deploy, all, kind/name.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Kind and names, e.g. ks apps; sources git; deploy/web; all
    #[arg(value_name = "KIND", required = true)]
    words: Vec<String>,
    /// Objects of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels, e.g. team=shop,tier!=test
    #[arg(short = 'l', long, value_name = "LABELS")]
    label_selector: Option<String>,
    /// Form of the output
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    /// Stay, and print every change
    #[arg(short, long)]
    watch: bool,
    /// Leave the header out
    #[arg(long)]
    no_header: bool,
    /// Show the source too, as -o wide does
    #[arg(long, hide = true)]
    show_source: bool,
    /// Only objects with this condition, e.g. ready=false or ready!=true
    #[arg(long, value_name = "TYPE=STATUS")]
    status_selector: Option<String>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Yaml,
    Wide,
    Name,
}

impl Args {
    /// Everything that is reconciled, in all namespaces.
    pub fn everything() -> Self {
        Args {
            words: vec!["all".into()],
            all_namespaces: true,
            label_selector: None,
            output: None,
            watch: false,
            no_header: false,
            show_source: false,
            status_selector: None,
        }
    }
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let namespace = cx.global.namespace();
    if args.watch {
        return watch(cx, &args, &namespace).await;
    }
    let connected = connect(cx).await?;
    let cluster = &connected.cluster;
    let picked = pick(cluster, &args.words).await?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for wanted in &picked.wanted {
        let (documents, gone) = match read(cluster, &args, wanted, &namespace).await {
            Err(ClusterError::NoKind { .. }) if picked.group => continue,
            answer => answer?,
        };
        missing.extend(gone);
        found.push((wanted, documents));
    }
    print(cx, &args, &picked, &found)?;
    for id in &missing {
        cx.output.failure(format!("{id} not found"));
    }
    if missing.is_empty() { Ok(()) } else { Err(CliError::user("", "")) }
}

/// What a kind's feed answers: the documents, and which of the named are not there.
async fn read(
    cluster: &Cluster,
    args: &Args,
    wanted: &Wanted,
    namespace: &str,
) -> Result<(Vec<Value>, Vec<Id>), ClusterError> {
    let (mut documents, mut missing) = (Vec::new(), Vec::new());
    if wanted.names.is_empty() {
        let within = Some(namespace).filter(|_| !args.all_namespaces && wanted.api.namespaced);
        documents = cluster.list(&wanted.api, within, args.label_selector.as_deref()).await?;
    }
    for name in &wanted.names {
        let id = wanted.id(namespace, name);
        match cluster.get_as(&wanted.api, &id).await? {
            Some(document) => documents.push(document),
            None => missing.push(id),
        }
    }
    documents.retain(|document| selects(args.status_selector.as_deref(), document));
    // Drops managed fields and masks Secret values, once and for every form.
    let clean = documents.into_iter().filter_map(|document| Object::from_value(document).ok());
    Ok((clean.map(|object| object.body()).collect(), missing))
}

/// Source: flux2 cmd/flux/get.go (the type is compared without case, the status exactly but for case).
fn selects(selector: Option<&str>, document: &Value) -> bool {
    let Some(selector) = selector else { return true };
    let (kind, wanted, equal) = match (selector.split_once("!="), selector.split_once('=')) {
        (Some((kind, wanted)), _) => (kind, wanted, false),
        (None, Some((kind, wanted))) => (kind, wanted, true),
        (None, None) => return false,
    };
    let conditions = crate::base::Condition::all(document);
    let status = conditions.iter().find(|condition| condition.kind.eq_ignore_ascii_case(kind));
    status.is_some_and(|condition| condition.status.eq_ignore_ascii_case(wanted)) == equal
}

fn print(cx: &Cx, args: &Args, picked: &Picked, found: &[(&Wanted, Vec<Value>)]) -> Result<(), CliError> {
    let documents = || found.iter().flat_map(|(_, documents)| documents);
    match args.output {
        Some(Form::Json) => return cx.output.data(&format!("{:#}\n", whole(args, picked, documents()))),
        Some(Form::Yaml) => return cx.output.data(&yaml::write(&whole(args, picked, documents()))),
        Some(Form::Name) => {
            return documents().filter_map(Id::of).try_for_each(|id| cx.output.line(name_of(&id)));
        }
        Some(Form::Wide) | None => {}
    }
    let mut printed = false;
    for (wanted, documents) in found {
        if documents.is_empty() {
            continue;
        }
        if printed {
            cx.output.line("")?;
        }
        let view = View::new(args, wanted, picked.group || found.len() > 1);
        let mut table = Table::new(view.headers());
        table.no_header = args.no_header;
        for document in documents {
            table.row(Some((wanted.kind().health)(document).state), view.cells(document));
        }
        cx.output.table(&table)?;
        printed = true;
    }
    let named = picked.wanted.iter().any(|wanted| !wanted.names.is_empty());
    if !printed && !named {
        cx.output.failure(nothing(cx, args, picked));
        if picked.group && args.label_selector.is_none() && args.status_selector.is_none() {
            cx.output.more("make a source with `weir create source git`, or see `weir demo`");
        }
    }
    Ok(())
}

fn nothing(cx: &Cx, args: &Args, picked: &Picked) -> String {
    let what = match picked.wanted.as_slice() {
        [one] => format!("{} objects", one.api.kind),
        _ => "objects".into(),
    };
    let chosen = if args.label_selector.is_some() || args.status_selector.is_some() { "matching " } else { "" };
    let cluster_wide = picked.wanted.iter().all(|wanted| !wanted.api.namespaced);
    match args.all_namespaces || cluster_wide {
        true => format!("no {chosen}{what} found"),
        false => format!("no {chosen}{what} found in the namespace {}", cx.global.namespace()),
    }
}

/// One object alone, or a List as kubectl writes it.
fn whole<'a>(args: &Args, picked: &Picked, documents: impl Iterator<Item = &'a Value>) -> Value {
    let mut documents: Vec<Value> = documents.map(marked).collect();
    let single = !args.watch && matches!(picked.wanted.as_slice(), [one] if one.names.len() == 1);
    if single && documents.len() == 1 {
        return documents.remove(0);
    }
    json!({ "apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": documents })
}

/// Says in machine output too that no kubelet stands behind the health.
fn marked(document: &Value) -> Value {
    let mut document = document.clone();
    if crate::kinds::kstatus::health(&document).simulated
        && let Some(root) = document.as_object_mut()
    {
        root.insert("simulated".into(), true.into());
    }
    yaml::sorted(document)
}

/// `kustomization.kustomize.toolkit.fluxcd.io/apps`, as kubectl names objects.
fn name_of(id: &Id) -> String {
    let dot = if id.group.is_empty() { "" } else { "." };
    format!("{}{dot}{}/{}", id.kind.to_lowercase(), id.group, id.name)
}

/// Which columns a table has.
struct View<'a> {
    wanted: &'a Wanted,
    all_namespaces: bool,
    wide: bool,
    /// Names are written `kind/name`, because tables of several kinds follow each other.
    with_kind: bool,
    columns: Vec<&'static Column>,
}

impl<'a> View<'a> {
    fn new(args: &Args, wanted: &'a Wanted, with_kind: bool) -> Self {
        let wide = args.output == Some(Form::Wide) || args.show_source;
        let columns = wanted.kind().columns.iter().filter(|column| wide || !column.wide).collect();
        View { wanted, all_namespaces: args.all_namespaces && wanted.api.namespaced, wide, with_kind, columns }
    }

    fn headers(&self) -> Vec<&'static str> {
        let mut headers = Vec::new();
        if self.all_namespaces {
            headers.push("NAMESPACE");
        }
        headers.push("NAME");
        headers.extend(self.columns.iter().map(|column| column.name));
        if self.wide {
            headers.push("AGE");
        }
        headers
    }

    fn cells(&self, document: &Value) -> Vec<String> {
        let text = |key: &str| document["metadata"][key].as_str().unwrap_or_default().to_owned();
        let mut cells = Vec::new();
        if self.all_namespaces {
            cells.push(text("namespace"));
        }
        let name = text("name");
        let kind = self.wanted.api.kind.to_lowercase();
        cells.push(if self.with_kind { format!("{kind}/{name}") } else { name });
        cells.extend(self.columns.iter().map(|column| (column.cell)(document)));
        if self.wide {
            let age = text("creationTimestamp").parse().map(|then| Age::between(then, now()).to_string());
            cells.push(age.unwrap_or_default());
        }
        cells
    }
}

/// Prints what is there, then a row or document for each change, until interrupted or the reader has gone.
async fn watch(cx: &Cx, args: &Args, namespace: &str) -> Result<(), CliError> {
    let session = Session::open(cx).await?;
    let picked = pick(&session.desk.cluster, &args.words).await?;
    for wanted in &picked.wanted {
        if wanted.kind().kind.is_empty() {
            let hint = "`weir debug kinds` lists those that can be watched";
            return Err(CliError::user(format!("{} cannot be watched", wanted.api.kind), hint));
        }
    }
    let mut printed = HashMap::new();
    let changes = session.desk.store.subscribe();
    let mut headed = args.no_header;
    loop {
        for wanted in &picked.wanted {
            let view = View::new(args, wanted, picked.wanted.len() > 1);
            let mut table = Table::new(view.headers());
            for entry in session.desk.store.of_kind(&wanted.api.group, &wanted.api.kind) {
                let object = &entry.object;
                let named = wanted.names.is_empty() || wanted.names.iter().any(|name| **name == *object.id.name);
                let within = args.all_namespaces || !wanted.api.namespaced || &*object.id.namespace == namespace;
                if !named || !within || printed.get(&object.id) == Some(&object.resource_version) {
                    continue;
                }
                printed.insert(object.id.clone(), object.resource_version.clone());
                let document = object.body();
                let labels = super::select::matches(args.label_selector.as_deref(), &document)?;
                if !labels || !selects(args.status_selector.as_deref(), &document) {
                    continue;
                }
                match args.output {
                    Some(Form::Json) => cx.output.data(&format!("{}\n", marked(&document)))?,
                    Some(Form::Yaml) => cx.output.data(&format!("---\n{}", yaml::write(&marked(&document))))?,
                    Some(Form::Name) => cx.output.line(name_of(&object.id))?,
                    Some(Form::Wide) | None => table.row(Some(entry.health.state), view.cells(&document)),
                }
            }
            if !table.is_empty() {
                table.no_header = headed;
                headed = true;
                cx.output.table(&table)?;
            }
        }
        std::io::stdout().flush().ok();
        changes.next().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_selector_asks_for_a_condition_or_its_contrary() {
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        for (selector, found) in [
            ("ready=true", true),
            ("Ready=True", true),
            ("ready=false", false),
            ("ready!=true", false),
            ("ready!=false", true),
            ("healthy=true", false),
            ("healthy!=true", true),
            ("nonsense", false),
        ] {
            assert_eq!(selects(Some(selector), &ready), found, "{selector}");
        }
        assert!(selects(None, &Value::Null));
    }

    #[test]
    fn objects_are_named_as_kubectl_names_them() {
        assert_eq!(name_of(&Id::new("apps", "Deployment", "shop", "web")), "deployment.apps/web");
        assert_eq!(name_of(&Id::new("", "Pod", "shop", "web-0")), "pod/web-0");
    }
}
