//! What a Kustomization would change: the same build, the same dry runs and the same survey as a run, and no write.
//!
//! A preview goes on where a run would stop: what cannot be foreseen becomes a note, so that a person sees all of it.
//! Start with [`preview`].

use std::collections::HashSet;

use futures::StreamExt as _;
use futures::stream;

use super::super::target::{Targets, Wish};
use super::super::{Cause, Context, Failure};
use super::apply::{Applier, Wanted};
use super::build;
use super::decide::Plan;
use super::prune::Pruner;
use super::record;
use super::source::{self, Source};
use super::{inventory_for, inventory_of};
use crate::base::{FileTree, Id, Text, Value};
use crate::engine::diff::{self, Preview, decided};
use crate::kinds::Kustomization;
use crate::kinds::kustomization::KIND;

/// What a Kustomization would change with other files than its source has; `from` says in words where they are from.
///
/// Errors when the build fails.
pub async fn preview_of_tree(
    cx: &Context,
    object: &Kustomization,
    tree: FileTree,
    from: &str,
) -> Result<Preview, Cause> {
    let preview = async {
        let plan = Plan::of(object, &cx.options)?;
        let source = Source {
            id: source::id(object),
            revision: from.into(),
            origin_revision: None,
            artifact: Default::default(),
        };
        self::preview(cx, object, &source, tree, &plan).await
    };
    preview.await.map_err(|failure| failure.cause().clone())
}

/// Looks at what a run on that source would do now.
///
/// Errors when the build fails: then a run would do nothing.
pub async fn preview(
    cx: &Context,
    object: &Kustomization,
    source: &Source,
    tree: FileTree,
    plan: &Plan,
) -> Result<Preview, Failure> {
    let documents = build::build(cx, object, tree, plan).await?;
    let there = Targets::of(cx, Wish::from(object)).await;
    let there =
        there.map_err(|error| plan.failure("ReconciliationFailed", format!("no way to the target: {error}")))?;
    let cx = &there;
    let revision = object.status.as_ref().and_then(|status| status.last_applied_revision.clone());
    let mut preview = Preview {
        about: vec![
            (Text::new("Source"), Text::new(source.id.to_string())),
            (Text::new("Revision"), Text::new(&source.revision)),
            (Text::new("Applied"), Text::new(revision.as_deref().unwrap_or("nothing yet"))),
        ],
        ..Preview::default()
    };
    if object.spec.suspend == Some(true) {
        preview.notes.push(Text::new("it is suspended: nothing of this happens before it is resumed"));
    }
    let applier = Applier { cx, rules: &object.spec.ignore, force: object.spec.force == Some(true) };
    let brought = Brought::of(&documents);
    let target = object.spec.target_namespace.as_deref();
    let built: HashSet<Id> = documents.iter().flat_map(|document| places(document, target)).collect();
    let (mut before, mut after, mut placed) = (Vec::new(), Vec::new(), Vec::new());
    let looked = documents.into_iter().map(|document| foresee(&applier, document, target, &brought));
    let mut looked = stream::iter(looked).buffered(cx.options.concurrent_ssa.max(1));
    while let Some(seen) = looked.next().await {
        placed.extend(seen.wanted);
        before.extend(seen.before.as_ref().map(decided));
        after.extend(seen.after.as_ref().map(decided));
        preview.notes.extend(seen.note.map(Text::new));
    }
    if object.spec.prune {
        let mut stale = record::stale(&inventory_of(object), &inventory_for(&placed));
        // What could not be placed is still in the build.
        stale.retain(|id| !built.contains(id));
        prune(cx, object, source, stale, &mut before, &mut preview.notes).await;
    }
    preview.patch = diff::objects(&before, &after);
    Ok(preview)
}

/// Where a document may end up: as it is written, and in the target namespace.
fn places(document: &Value, target: Option<&str>) -> Vec<Id> {
    let Some(id) = Id::of(document) else { return Vec::new() };
    let moved = target.filter(|_| id.namespace.is_empty()).map(|namespace| id.clone().in_namespace(namespace));
    std::iter::once(id).chain(moved).collect()
}

/// What the build itself brings, and the server therefore cannot know yet.
struct Brought {
    namespaces: HashSet<String>,
    kinds: HashSet<(String, String)>,
}

impl Brought {
    fn of(documents: &[Value]) -> Self {
        let text = |document: &Value, pointer: &str| {
            document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let of = |kind: &'static str| documents.iter().filter(move |document| document["kind"] == kind);
        Brought {
            namespaces: of("Namespace").map(|document| text(document, "/metadata/name")).collect(),
            kinds: of("CustomResourceDefinition")
                .map(|document| (text(document, "/spec/group"), text(document, "/spec/names/kind")))
                .collect(),
        }
    }

    fn explains(&self, document: &Value, default_namespace: Option<&str>) -> bool {
        let Some(id) = Id::of(document) else { return false };
        let namespace = if id.namespace.is_empty() { default_namespace.unwrap_or_default() } else { &id.namespace };
        self.namespaces.contains(namespace) || self.kinds.contains(&(id.group.to_string(), id.kind.to_string()))
    }
}

/// What is known of one object.
struct Seen {
    wanted: Option<Wanted>,
    before: Option<Value>,
    after: Option<Value>,
    note: Option<String>,
}

async fn foresee(applier: &Applier<'_>, document: Value, target: Option<&str>, brought: &Brought) -> Seen {
    let is_explained = brought.explains(&document, target);
    let wanted = match applier.place(document.clone(), target).await {
        Ok(wanted) => wanted,
        // Its definition comes with it: all that is known is what is wanted.
        Err(_) if is_explained => return Seen { wanted: None, before: None, after: Some(document), note: None },
        Err(note) => return Seen { wanted: None, before: None, after: None, note: Some(note) },
    };
    match applier.foresee(&wanted).await {
        Ok((before, after)) => Seen { wanted: Some(wanted), before, after, note: None },
        Err(_) if is_explained => {
            let after = Some(wanted.document.clone());
            Seen { wanted: Some(wanted), before: None, after, note: None }
        }
        Err(note) => Seen { wanted: Some(wanted), before: None, after: None, note: Some(note) },
    }
}

/// Adds what would be pruned to what is there before, and not after.
async fn prune(
    cx: &Context,
    object: &Kustomization,
    source: &Source,
    stale: Vec<Id>,
    before: &mut Vec<Value>,
    notes: &mut Vec<Text>,
) {
    let metadata = &object.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    let owner = KIND.id(namespace.unwrap_or_default(), name.unwrap_or_default());
    let survey = Pruner { cx, owner: &owner, source: Some(&source.id) }.survey(stale).await;
    for doomed in &survey.doomed {
        match cx.cluster.get(&doomed.id).await {
            Ok(Some(live)) => before.push(decided(&live)),
            Ok(None) => {}
            Err(error) => notes.push(Text::new(format!("{} would be deleted; it cannot be shown: {error}", doomed.id))),
        }
    }
    notes.extend(survey.refused.iter().map(Text::new));
    notes.extend(survey.failed.iter().map(|(id, why)| Text::new(format!("{id}: {why}"))));
}
