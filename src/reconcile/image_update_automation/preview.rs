//! The next run of an automation, for a person to read before it happens: the run itself up to its push.
//!
//! Nothing is pushed and no object is written. What the Kustomizations behind the repository would then change is looked at
//! with dry runs; where that cannot be foreseen a note says so. Start with [`preview`].

use std::collections::HashSet;
use std::time::Duration;

use super::super::kustomization::preview_of_tree;
use super::super::{Context, Failure, image_policy};
use super::commit;
use super::plan::Plan;
use super::setup::Setup;
use crate::base::{Condition, FileTree, Id, Text, Value};
use crate::engine::diff::{self, Commit, Preview};
use crate::engine::setters::Choice;
use crate::kinds::kustomization::KIND as KUSTOMIZATION;
use crate::kinds::{ImageUpdateAutomation, Kustomization, Tie, image_policy as policy};

/// Rows of one sort that are shown.
const ROWS: usize = 100;
/// How long the look at what follows may take, and at how much.
const FORESIGHT: Duration = Duration::from_secs(30);
const FOLLOWERS: usize = 16;

/// What the next run would do. Pushes nothing.
///
/// Errors with what the run would end with.
pub(super) async fn preview(cx: &Context, object: &ImageUpdateAutomation) -> Result<Preview, Failure> {
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let setup = Setup::of(cx, object, &namespace).await?;
    let plan = Plan::make(cx, object, &setup).await?;
    let (choices, others) = at_work(&setup, &plan);
    let reasons = reasons(cx, choices, others).await;
    let mut preview = told(object, &setup, &plan, reasons)?;
    let (Plan { draft, applied, .. }, Some(_)) = (plan, &preview.commit) else { return Ok(preview) };
    let mut tree = draft.tree;
    for (path, bytes) in applied.files {
        // The path is in the tree already.
        tree.insert(&path, bytes).ok();
    }
    follow(cx, &setup, &tree, &mut preview).await;
    Ok(preview)
}

/// The policies that change something, else all; and how many others there are.
fn at_work<'s>(setup: &'s Setup, plan: &Plan) -> (Vec<&'s Choice>, usize) {
    let setters: HashSet<&str> = plan.applied.changed.changes().iter().map(|change| change.setter.as_str()).collect();
    let changes_something = |choice: &&Choice| {
        let name = format!("{}:{}", choice.namespace, choice.policy);
        let is_its_own = |rest: &str| rest.is_empty() || rest.starts_with(':');
        setters.iter().any(|setter| setter.strip_prefix(&name).is_some_and(is_its_own))
    };
    let (at_work, others): (Vec<&Choice>, Vec<&Choice>) = setup.choices.iter().partition(changes_something);
    if at_work.is_empty() { (others, 0) } else { (at_work, others.len()) }
}

/// What policies chose and why.
async fn reasons(cx: &Context, choices: Vec<&Choice>, others: usize) -> Vec<String> {
    let mut reasons = Vec::new();
    for choice in choices.into_iter().take(ROWS) {
        let why = image_policy::reasoning(cx, &policy::KIND.id(&choice.namespace, &choice.policy)).await;
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        reasons.push(format!("{} chose {}{why}", choice.policy, choice.reference()));
    }
    if others > 0 {
        reasons.push(format!("{others} more of the namespace, which change nothing here"));
    }
    reasons
}

/// What is known without another look at the cluster.
fn told(object: &ImageUpdateAutomation, setup: &Setup, plan: &Plan, reasons: Vec<String>) -> Result<Preview, Failure> {
    let prepared = commit(object, setup, plan)?;
    let mut preview = Preview::default();
    about(setup, plan, reasons, &mut preview);
    notes(object, plan, &mut preview);
    let mut patch = String::new();
    for (path, bytes) in &plan.applied.files {
        let old: &[u8] = plan.draft.tree.get(path).map_or(&[], |file| &file.bytes);
        patch.push_str(&diff::unified(path, old, bytes));
        let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(bytes));
        preview.patch.parts.extend(diff::file(path, Some(&old), Some(&new)));
    }
    preview.commit = prepared.map(|prepared| Commit {
        repository: setup.remote.url.to_string(),
        branch: prepared.branch,
        is_new: plan.draft.is_new,
        parent: plan.draft.base.hash.clone(),
        message: prepared.message,
        patch,
    });
    Ok(preview)
}

/// Where the commit goes, what it sets, and why.
fn about(setup: &Setup, plan: &Plan, reasons: Vec<String>, preview: &mut Preview) {
    let mut pair = |label: &str, text: String| preview.about.push((Text::new(label), Text::new(text)));
    let made = if plan.draft.is_new { ", which will be made" } else { "" };
    pair("Source", setup.remote.url.to_string());
    pair("Revision", plan.draft.checkout.to_string());
    pair("Branch", format!("{}{made}", plan.draft.branch));
    if let Some(refspec) = &setup.refspec_text {
        pair("Refspec", refspec.clone());
    }
    pair("Parent", plan.draft.base.hash.clone());
    reasons.into_iter().for_each(|reason| pair("Policy", reason));
    let files = plan.applied.changed.files.iter();
    let changes = files.flat_map(|(file, objects)| {
        objects.iter().flat_map(move |(object, changes)| changes.iter().map(move |change| (file, object, change)))
    });
    for (file, object, change) in changes.take(ROWS) {
        let place = [object.kind.as_str(), &object.namespace, &object.name];
        let place = place.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let (old, new) = (&change.old_value, &change.new_value);
        pair("Sets", format!("{place} in {}: {old} → {new} by {}", plan.whole(file), change.setter));
    }
    for (number, line) in plan.message.iter().flat_map(|message| message.lines()).enumerate() {
        pair(if number == 0 { "Message" } else { "" }, line.to_owned());
    }
}

fn notes(object: &ImageUpdateAutomation, plan: &Plan, preview: &mut Preview) {
    let mut note = |text: String| preview.notes.push(Text::new(text));
    for (file, why) in &plan.applied.problems {
        note(format!("{file} has markers and is left alone: {why}"));
    }
    for (place, setter) in &plan.applied.unknown {
        note(format!("{place}: no policy that counts here has chosen for {setter}"));
    }
    for (place, why) in &plan.applied.held {
        note(format!("{place} stays as it is: {why}"));
    }
    if object.spec.suspend == Some(true) {
        note("it is suspended: nothing of this happens before it is resumed".into());
    }
}

/// What the Kustomizations that are built from the repository would change once they see the commit.
async fn follow(cx: &Context, setup: &Setup, tree: &FileTree, preview: &mut Preview) {
    if setup.followed.as_deref() != Some(setup.branch.as_str()) {
        let followed = setup.followed.as_deref().map_or("no branch".to_owned(), |branch| format!("branch {branch}"));
        let text = format!("the source follows {followed}: nothing is rolled out before the commit gets there");
        return preview.notes.push(Text::new(text));
    }
    let found = match cx.cluster.list(&KUSTOMIZATION.api(), None, None).await {
        Ok(found) => found,
        Err(error) => return preview.notes.push(Text::new(format!("what would be rolled out is not known: {error}"))),
    };
    let is_meant = |document: &Value| {
        let relations = (KUSTOMIZATION.relations)(document);
        relations.iter().any(|relation| relation.tie == Tie::Source && relation.to == setup.source)
    };
    let followers: Vec<Value> = found.into_iter().filter(is_meant).collect();
    if followers.len() > FOLLOWERS {
        let text = format!("{} Kustomizations are built from it; {FOLLOWERS} were looked at", followers.len());
        preview.notes.push(Text::new(text));
    }
    let from = format!("commit on {}", setup.branch);
    let looked = async {
        for document in followers.into_iter().take(FOLLOWERS) {
            rolled_out(cx, document, tree, &from, preview).await;
        }
    };
    if tokio::time::timeout(FORESIGHT, looked).await.is_err() {
        let text = format!("what would be rolled out was not known within {} s", FORESIGHT.as_secs());
        preview.notes.push(Text::new(text));
    }
}

async fn rolled_out(cx: &Context, document: Value, tree: &FileTree, from: &str, preview: &mut Preview) {
    let Some(id) = Id::of(&document) else { return };
    let fails = Condition::find(&document, "Ready").is_some_and(|ready| ready.status == "False");
    let Ok(object) = serde_json::from_value::<Kustomization>(document) else { return };
    match preview_of_tree(cx, &object, tree.clone(), from).await {
        Ok(seen) => {
            for part in seen.patch.parts.iter().take(ROWS) {
                let text = format!("{id}: {} {}", part.name, part.fate.word());
                preview.about.push((Text::new("Rolls out"), Text::new(text)));
            }
        }
        Err(cause) => {
            let how = if fails { "fails as it does now" } else { "would fail" };
            preview.notes.push(Text::new(format!("{id} {how}: {}", cause.message)));
        }
    }
}
