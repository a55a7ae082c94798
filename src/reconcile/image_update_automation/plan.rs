//! What a run would do, up to the push: files edited and the message of their commit. A preview ends here.
//!
//! Start with [`Plan::make`]; [`preview`] is for people.

use super::super::{Cause, Context, Failure};
use super::git_failed;
use super::setup::Setup;
use crate::base::Text;
use crate::engine::commit_message::{Data, MessageError, render};
use crate::engine::diff::{self, Fate, Part, Preview};
use crate::engine::setters::{Applied, Setters, apply};
use crate::kinds::ImageUpdateAutomation;
use crate::outside::git::{self, CheckoutOptions, Draft, Limits};

/// What a run would do.
pub(super) struct Plan {
    pub draft: Draft,
    pub applied: Applied,
    /// `None` when nothing would change.
    pub message: Option<String>,
}

impl Plan {
    /// Fetches, edits, and renders the message.
    ///
    /// Errors with Flux's reasons.
    pub async fn make(cx: &Context, object: &ImageUpdateAutomation, setup: &Setup) -> Result<Plan, Failure> {
        let update = object.spec.update.clone().unwrap_or_default();
        if let Some(strategy) = update.strategy.as_deref().filter(|name| !matches!(*name, "" | "Setters")) {
            let message = format!("unsupported update strategy: {strategy}");
            return Err(Failure::Stalled(Cause::new("InvalidUpdateStrategy", message)));
        }
        let options = CheckoutOptions {
            submodules: false,
            sparse: Vec::new(),
            limits: Limits::default(),
            scratch: cx.artifacts.scratch(),
        };
        let draft = git::draft(&setup.remote, &setup.reference, &setup.branch, &options).await;
        let draft = draft.map_err(|error| git_failed("failed to checkout source", &error))?;
        let failed =
            |why: String| Failure::Retry(Cause::new("UpdateFailed", format!("failed to apply policies: {why}")));
        let setters = Setters::of(&setup.choices).map_err(|error| failed(error.to_string()))?;
        let path = update.path.unwrap_or_default();
        let edited = tokio::task::spawn_blocking(move || {
            let applied = apply(&draft.tree, &path, &setters);
            (draft, applied)
        });
        let (draft, applied) = edited.await.map_err(|error| failed(error.to_string()))?;
        let applied = applied.map_err(|error| failed(error.to_string()))?;
        let message = match applied.files.is_empty() {
            true => None,
            false => Some(message(object, &applied)?),
        };
        Ok(Plan { draft, applied, message })
    }
}

fn message(object: &ImageUpdateAutomation, applied: &Applied) -> Result<String, Failure> {
    let commit = object.spec.git.as_ref().map(|git| git.commit.clone()).unwrap_or_default();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let data =
        Data { automation: (namespace, name), changed: &applied.changed, values: &commit.message_template_values };
    render(commit.message_template.as_deref().unwrap_or_default(), &data).map_err(|error| match error {
        MessageError::Removed { .. } => Failure::Stalled(Cause::new("RemovedTemplateField", error.to_string())),
        error => Failure::Retry(Cause::new("GitOperationFailed", format!("failed to update source: {error}"))),
    })
}

/// What the next run would do, for a person to read before it does. Pushes nothing.
///
/// Errors with what the run would end with.
pub(super) async fn preview(cx: &Context, object: &ImageUpdateAutomation) -> Result<Preview, Failure> {
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let setup = Setup::of(cx, object, &namespace).await?;
    let plan = Plan::make(cx, object, &setup).await?;
    let pair = |label: &str, text: String| (Text::new(label), Text::new(text));
    let made = if plan.draft.is_new { ", which will be made" } else { "" };
    let mut about = vec![
        pair("Source", setup.remote.url.to_string()),
        pair("Revision", plan.draft.checkout.to_string()),
        pair("Branch", format!("{}{made}", plan.draft.branch)),
        pair("Parent", plan.draft.base.hash.clone()),
    ];
    for choice in &setup.choices {
        about.push(pair("Policy", format!("{} chose {}", choice.policy, choice.reference())));
    }
    for (number, line) in plan.message.iter().flat_map(|message| message.lines()).enumerate() {
        about.push(pair(if number == 0 { "Message" } else { "" }, line.to_owned()));
    }
    let mut preview = Preview { about, ..Preview::default() };
    for (file, why) in &plan.applied.problems {
        preview.notes.push(Text::new(format!("{file} has markers and is left alone: {why}")));
    }
    for (place, setter) in &plan.applied.unknown {
        preview.notes.push(Text::new(format!("{place}: no policy that counts here has chosen for {setter}")));
    }
    if object.spec.suspend == Some(true) {
        preview.notes.push(Text::new("it is suspended: nothing of this happens before it is resumed"));
    }
    for (path, bytes) in &plan.applied.files {
        let old: &[u8] = match plan.draft.tree.get(path) {
            Some(file) => &file.bytes,
            None => &[],
        };
        let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(bytes));
        let lines = diff::lines(&old, &new);
        preview.patch.parts.push(Part { name: Text::new(path), id: None, fate: Fate::Changed, lines });
    }
    Ok(preview)
}
