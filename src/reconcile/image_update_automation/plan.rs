//! What a run would do, up to its commit: files edited and the message. A preview works from the same plan.
//!
//! Start with [`Plan::make`].

use super::super::{Cause, Context, Failure};
use super::flux_v1;
use super::git_failed;
use super::setup::Setup;
use crate::engine::commit_message::{Data, MessageError, render};
use crate::engine::setters::{Applied, Setters, SettersError, apply, apply_wishes, whole_path, wishes};
use crate::kinds::ImageUpdateAutomation;
use crate::outside::git::{self, CheckoutOptions, Draft, Limits};

/// What a run would do.
pub(super) struct Plan {
    pub draft: Draft,
    pub applied: Applied,
    /// `None` when nothing would change.
    pub message: Option<String>,
    /// The directory that is edited, as the spec has it.
    path: String,
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
        let (mut tree, place) = (draft.tree.clone(), path.clone());
        let edited = tokio::task::spawn_blocking(move || {
            let applied = apply(&tree, &place, &setters)?;
            for (path, bytes) in &applied.files {
                // The path is in the tree already.
                tree.insert(path, bytes.clone()).ok();
            }
            Ok::<_, SettersError>((tree, applied))
        });
        let edited = edited.await.map_err(|error| failed(error.to_string()))?;
        let (tree, mut applied) = edited.map_err(|error| failed(error.to_string()))?;
        if flux_v1::is_wanted(object) {
            let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
            let wishes = wishes(&tree, &path).map_err(|error| failed(error.to_string()))?;
            let decisions = flux_v1::decisions(cx, namespace, wishes).await?;
            let later = apply_wishes(&tree, &path, &|wish| decisions.on(wish));
            applied.extend(later.map_err(|error| failed(error.to_string()))?);
        }
        let message = match applied.files.is_empty() {
            true => None,
            false => Some(message(object, &applied)?),
        };
        Ok(Plan { draft, applied, message, path })
    }

    /// The whole path of a file that [`Applied::changed`] names.
    pub fn whole(&self, file: &str) -> String {
        whole_path(&self.draft.tree, &self.path, file)
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
