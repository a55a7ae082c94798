//! ImageUpdateAutomation: checks a branch out, writes the chosen images into its files, commits, and pushes the commit.
//!
//! What a run would do is planned in `plan`, which `preview` uses too; only here it is pushed. A branch is only ever
//! moved forward from the commit that was built upon: when somebody else was faster, the run starts anew from their
//! commit, so every change lands exactly once and none is lost. Start with [`ImageAutomations`].
//!
//! Source: image-automation-controller internal/controller/imageupdateautomation_controller.go. Left out and refused with
//! a sentence: OpenPGP signatures. Deliberate differences: nothing is ever forced, and a push that lost a race is tried
//! again at once, up to five times.

mod flux_v1;
mod plan;
mod preview;
mod setup;

use std::time::Duration;

use super::image_repository::ready_message;
use super::run::Severity;
use super::{Cause, Context, Failure, Next, Reconciler, Run};
use crate::base::{Digest, Revision, Stamp, parse_duration};
use crate::engine::diff::Preview;
use crate::kinds::ImageUpdateAutomation;
use crate::kinds::image_update_automation::ImageUpdateAutomationStatus;
use crate::outside::git::{self, GitError, Person, Prepared};

use plan::Plan;
use setup::Setup;

/// What Ready says when nothing is left to do.
const READY: &str = "repository up-to-date";
/// How often a push that lost a race is tried.
const ATTEMPTS: u32 = 5;

/// Reconciles ImageUpdateAutomation objects.
#[derive(Clone, Copy, Debug)]
pub struct ImageAutomations;

impl Reconciler for ImageAutomations {
    type Object = ImageUpdateAutomation;

    async fn reconcile(
        &self,
        cx: &Context,
        object: &mut ImageUpdateAutomation,
        run: &mut Run,
    ) -> Result<Next, Failure> {
        let interval = parse_duration(&object.spec.interval)
            .map_err(|error| Failure::Stalled(Cause::new("Failed", error.to_string())))?;
        let before = ready_message(object.status.as_ref().map_or(&[], |status| &status.conditions));
        object.status.get_or_insert_default().last_automation_run_time = Some(now().to_string());
        let setup = Setup::of(cx, object, &run.id().namespace).await?;
        if is_unchanged(cx, object, &setup).await? {
            run.ready("Succeeded", READY);
            tell(run, before.as_deref(), READY, "no change since last reconciliation").await;
            return Ok(Next::After(interval));
        }
        let mut attempt = 0;
        let pushed = loop {
            attempt += 1;
            run.progress(format!("cloning {}", setup.remote.url));
            let plan = Plan::make(cx, object, &setup).await?;
            let Some(prepared) = commit(object, &setup, &plan)? else { break (plan, None) };
            run.progress(format!("pushing commit {} to branch {}", &prepared.hash[..7], prepared.branch));
            match git::push(&setup.remote, &prepared, setup.refspec.as_ref(), &setup.options).await {
                Ok(()) => break (plan, Some(prepared)),
                Err(GitError::Raced { .. }) if attempt < ATTEMPTS => {
                    let pause = Duration::from_millis(100).mul_f64(f64::from(attempt) * (0.5 + rand::random::<f64>()));
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(git_failed("failed to update source", &error)),
            }
        };
        let (plan, prepared) = pushed;
        for (place, why) in plan.applied.problems.iter().chain(&plan.applied.held) {
            tracing::warn!(id = %run.id(), "{place} is left alone: {why}");
        }
        observe(object.status.get_or_insert_default(), &setup, &plan, prepared.as_ref());
        run.ready("Succeeded", READY);
        match &prepared {
            Some(prepared) => run.event(Severity::Info, "Succeeded", &summary(&setup, prepared), &[]).await,
            None => tell(run, before.as_deref(), READY, READY).await,
        }
        Ok(Next::After(interval))
    }

    async fn preview(&self, cx: &Context, object: ImageUpdateAutomation) -> Result<Preview, Failure> {
        preview::preview(cx, &object).await
    }

    async fn finalize(&self, _: &Context, _: &mut ImageUpdateAutomation, _: &mut Run) -> Result<(), Failure> {
        Ok(())
    }
}

/// Whether neither the policies nor the branch have moved since the last run. A branch of its own, a further place for the
/// commit, or images that annotations want may have moved otherwise: then a run is whole.
async fn is_unchanged(cx: &Context, object: &ImageUpdateAutomation, setup: &Setup) -> Result<bool, Failure> {
    let Some(status) = &object.status else { return Ok(false) };
    let Some(observed) = &status.observed_source_revision else { return Ok(false) };
    let may_want_more = setup.switches || setup.refspec.is_some() || flux_v1::is_wanted(object);
    if status.observed_policies != setup.policies || may_want_more {
        return Ok(false);
    }
    let found = git::resolve(&setup.remote, &setup.reference, &cx.artifacts.scratch()).await;
    let found = found.map_err(|error| git_failed("failed to checkout source", &error))?;
    Ok(found == Revision::parse(observed))
}

/// The commit of a plan; `None` when there is nothing to change.
fn commit(object: &ImageUpdateAutomation, setup: &Setup, plan: &Plan) -> Result<Option<Prepared>, Failure> {
    let Some(message) = &plan.message else { return Ok(None) };
    let author = object.spec.git.as_ref().map(|git| git.commit.author.clone()).unwrap_or_default();
    let signature = git::Signature {
        author: Person { name: author.name.unwrap_or_default(), email: author.email, seconds: now().0 },
        message: message.clone(),
        signer: setup.signer.clone(),
    };
    let made = plan.draft.commit(&plan.applied.files, &signature);
    made.map(Some).map_err(|error| git_failed("failed to update source", &error))
}

fn observe(status: &mut ImageUpdateAutomationStatus, setup: &Setup, plan: &Plan, prepared: Option<&Prepared>) {
    status.observed_policies = setup.policies.clone();
    status.observed_source_revision = Some(plan.draft.checkout.to_string());
    if let Some(prepared) = prepared {
        status.last_push_commit = Some(prepared.hash.clone());
        status.last_push_time = Some(now().to_string());
        if !setup.switches {
            let digest = Some(Digest { algorithm: "sha1".into(), hex: prepared.hash.clone() });
            let pushed = Revision { pointer: plan.draft.checkout.pointer.clone(), digest };
            status.observed_source_revision = Some(pushed.to_string());
        }
    }
}

/// Source: PushResult.Summary.
fn summary(setup: &Setup, prepared: &Prepared) -> String {
    let refspecs = setup.refspec_text.as_ref().map_or(String::new(), |text| format!(" and refspecs '{text}'"));
    let head = format!("pushed commit '{}' to branch '{}'{refspecs}", &prepared.hash[..7], prepared.branch);
    if prepared.message.is_empty() { head } else { format!("{head}\n{}", prepared.message) }
}

/// Tells of a recovery; what is as before is only traced.
async fn tell(run: &mut Run, before: Option<&str>, message: &str, quiet: &str) {
    match before == Some(message) {
        true => run.event(Severity::Trace, "Succeeded", quiet, &[]).await,
        false => run.event(Severity::Info, "Succeeded", message, &[]).await,
    }
}

fn git_failed(doing: &str, error: &GitError) -> Failure {
    let message = format!("{doing}: {error}");
    match error {
        GitError::Url(_) | GitError::FileNotAllowed { .. } => {
            Failure::Stalled(Cause::new("InvalidSourceConfiguration", message))
        }
        _ => Failure::Retry(Cause::new("GitOperationFailed", message)),
    }
}

fn now() -> Stamp {
    Stamp(jiff::Timestamp::now().as_second())
}
