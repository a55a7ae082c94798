//! The Kustomization reconciler: fetch, build, substitute, apply in stages, prune, and wait for health.
//!
//! Every choice is in `decide`; every step is a file of its own and leaves the object's status true at each point where
//! the process may die. Invariant: whatever is in the cluster because of this object is in its inventory.
//! Start with [`Kustomizer`]'s `reconcile`.
//!
//! Source: kustomize-controller internal/controller/kustomization_controller.go. Deliberate differences: the inventory
//! grows before the apply, a prune that looks like an accident is held, unsupported fields are refused, and a check
//! that finds nothing new writes neither status nor events.

mod apply;
pub(super) mod build;
mod decide;
mod dependencies;
pub(super) mod fields;
pub(super) mod health;
mod preview;
mod prune;
mod record;
mod source;

use std::time::Duration;

use tokio::time::Instant;

use self::apply::{Action, Applier, Change, Wanted};
use self::decide::{Farewell, Plan, Sweep};
use self::health::{Checks, Unwell};
use self::prune::{Pruner, Survey};
use self::record::Entry;
use self::source::Source;
use super::run::now;
use super::target::{TargetError, Targets, Wish};
use super::{Cause, Context, Failure, Next, Reconciled, Reconciler, Run, Severity, summary};
use crate::base::{Digest, Id, Value, format_duration};
use crate::engine::diff::Preview;
use crate::kinds::kustomization::{Inventory, KustomizationStatus};
use crate::kinds::{Kustomization, meta};

pub use self::build::{render, variables, with_inline};
pub use self::decide::{ADOPTED, ALLOW_PRUNE};
pub use self::preview::preview_of_tree;

/// How long a stage of definitions may take until what follows can use it.
const STAGE: Duration = Duration::from_secs(60);

/// Reconciles Kustomizations.
pub struct Kustomizer;

impl Reconciler for Kustomizer {
    type Object = Kustomization;

    async fn reconcile(&self, cx: &Context, object: &mut Kustomization, run: &mut Run) -> Result<Next, Failure> {
        let began = Instant::now();
        let plan = Plan::of(object, &cx.options)?;
        let checks = Checks::of(&object.spec.health_check_exprs)?;
        let source = source::find(cx, object, &plan).await?;
        dependencies::check(cx, object, &source).await?;
        run.note("revision", &source.revision);
        if let Some(origin) = &source.origin_revision {
            run.note("originRevision", origin);
        }
        let there = Targets::of(cx, Wish::from(&*object)).await;
        let there =
            there.map_err(|error| plan.failure("ReconciliationFailed", format!("no way to the target: {error}")))?;
        let was_ready = is_ready(object, &source.revision);
        let known = record::known(&status(object).history).unwrap_or(inventory_of(object).entries.len());
        let mut work = Work { cx, there, checks, plan, source, id: run.id().clone(), digest: String::new(), known };
        let outcome = work.go(object, run).await;
        work.remember(object, &outcome, began.elapsed());
        let changed = outcome?;
        run.ready("ReconciliationSucceeded", format!("Applied revision: {}", work.source.revision));
        if changed || !was_ready {
            let message = decide::finished(began.elapsed(), plan.interval);
            run.event(Severity::Info, "ReconciliationSucceeded", &message, &[("commit_status", "update")]).await;
        }
        Ok(Next::After(plan.interval))
    }

    async fn preview(&self, cx: &Context, object: Kustomization) -> Result<Preview, Failure> {
        let plan = Plan::of(&object, &cx.options)?;
        let source = source::find(cx, &object, &plan).await?;
        let tree = source::fetch(cx, &source, &plan).await?;
        preview::preview(cx, &object, &source, tree, &plan).await
    }

    async fn finalize(&self, cx: &Context, object: &mut Kustomization, run: &mut Run) -> Result<(), Failure> {
        let farewell = decide::farewell(object);
        if farewell == Farewell::LeaveAll {
            return Ok(());
        }
        let inventory = inventory_of(object);
        let there = match Targets::of_leaving(cx, Wish::from(&*object)).await {
            Ok(there) => there,
            Err(TargetError::NoAccount(why)) => {
                let left: Vec<Id> = inventory.entries.iter().filter_map(|entry| entry.id()).collect();
                let message = format!("{why}: these objects are left: {}", decide::listing(&left, 10));
                run.event(Severity::Error, "PruneFailed", &message, &[]).await;
                return Ok(());
            }
            Err(error) => return Err(Failure::Retry(Cause::new("PruneFailed", error.to_string()))),
        };
        let owner = run.id().clone();
        let pruner = Pruner { cx: &there, owner: &owner, source: None };
        let mut candidates: Vec<Id> = inventory.entries.iter().filter_map(|entry| entry.id()).collect();
        build::sort_for_deletion(&mut candidates);
        let mut survey = pruner.survey(candidates).await;
        let doomed: Vec<Id> = survey.doomed.iter().map(|doomed| doomed.id.clone()).collect();
        let deleted = pruner.delete(&mut survey).await;
        tell_deleted(run, &deleted).await;
        if !survey.failed.is_empty() {
            status(object).inventory = Some(record::keep(&inventory, survey.remaining()));
            return Err(Failure::Retry(Cause::new("PruneFailed", survey.failures())));
        }
        if farewell == Farewell::DeleteAllAndWait {
            run.progress(format!("Waiting for the termination of {} objects", doomed.len()));
            let timeout = Plan::of(object, &cx.options).map_or(Duration::from_secs(300), |plan| plan.timeout);
            let waited: Vec<Id> = doomed.iter().chain(&survey.kept).cloned().collect();
            let left = run.rest(pruner.wait_until_gone(&waited, timeout)).await;
            if !left.is_empty() {
                let message = format!(
                    "gave up waiting after {}, these objects still terminate: {}",
                    format_duration(timeout),
                    decide::listing(&left, 10)
                );
                run.event(Severity::Error, "PruneFailed", &message, &[]).await;
            }
        }
        Ok(())
    }
}

/// One reconciliation, from the found source on.
struct Work<'a> {
    cx: &'a Context,
    /// Where and as whom the objects are.
    there: Context,
    checks: Checks,
    plan: Plan,
    source: Source,
    id: Id,
    /// Of the build, for the history; empty until there is one.
    digest: String,
    /// Objects in the inventory when all went well last, else now.
    known: usize,
}

impl Work<'_> {
    /// Answers whether anything in the cluster was changed.
    async fn go(&mut self, object: &mut Kustomization, run: &mut Run) -> Result<bool, Failure> {
        let (revision, timeout) = (self.source.revision.clone(), format_duration(self.plan.timeout));
        run.progress(format!("Fetching manifests for revision {revision} with a timeout of {timeout}"));
        let tree = source::fetch(self.cx, &self.source, &self.plan).await?;
        run.progress(format!("Building manifests for revision {revision} with a timeout of {timeout}"));
        status(object).last_attempted_revision = Some(revision.clone());
        let documents = build::build(self.cx, object, tree, &self.plan).await?;
        self.digest = Digest::sha256(crate::base::yaml::write_all(&documents).as_bytes()).to_string();
        run.progress(format!("Detecting drift for revision {revision} with a timeout of {timeout}"));
        let apply = self.apply(object, run, documents);
        let (wanted, changes) = apply.await?;
        let pruned = self.prune(object, run, &wanted).await?;
        let is_new = status(object).last_applied_revision.as_deref() != Some(&revision);
        let changed = pruned || changes.iter().any(|change| is_change(change.action));
        self.check_health(object, run, &wanted, changed || is_new).await?;
        let source = &self.source;
        let status = status(object);
        status.last_applied_revision = Some(revision);
        status.last_applied_origin_revision = source.origin_revision.clone();
        Ok(changed)
    }

    /// Applies all stages; the inventory grows before and is exact after.
    async fn apply(
        &self,
        object: &mut Kustomization,
        run: &mut Run,
        documents: Vec<Value>,
    ) -> Result<(Vec<Wanted>, Vec<Change>), Failure> {
        let failure = |message: String| self.plan.failure("ReconciliationFailed", message);
        let rules = object.spec.ignore.clone();
        let force = object.spec.force == Some(true);
        let applier = Applier { cx: &self.there, rules: &rules, force };
        let target = object.spec.target_namespace.clone();
        let deadline = Instant::now() + self.plan.timeout;
        let (mut all, mut changes) = (Vec::new(), Vec::new());
        let stages = build::stages(documents, &self.cx.options);
        let last = stages.len() - 1;
        for (number, stage) in stages.into_iter().enumerate().filter(|(_, stage)| !stage.is_empty()) {
            let mut wanted = Vec::with_capacity(stage.len());
            for document in stage {
                wanted.push(applier.place(document, target.as_deref()).await.map_err(failure)?);
            }
            self.grow_inventory(object, run, &wanted).await?;
            let placed: Vec<Id> = wanted.iter().map(|wanted| wanted.id.clone()).collect();
            all.extend(wanted.iter().cloned());
            let applied = tokio::time::timeout_at(deadline, applier.apply(wanted)).await;
            let timed_out = || format!("apply did not end within {}", format_duration(self.plan.timeout));
            let applied = applied.map_err(|_| failure(timed_out()))?.map_err(failure)?;
            tell_applied(run, &applied).await;
            if number < last && applied.iter().any(|change| is_change(change.action)) {
                let kstatus = Checks::default();
                let waited = health::wait(&self.there.cluster, &placed, &[], &kstatus, STAGE, || false);
                run.rest(waited).await.map_err(|unwell| failure(unwell.message()))?;
            }
            changes.extend(applied);
        }
        Ok((all, changes))
    }

    /// Writes what is about to be applied into the inventory, so that a crash in between forgets nothing.
    async fn grow_inventory(
        &self,
        object: &mut Kustomization,
        run: &mut Run,
        wanted: &[Wanted],
    ) -> Result<(), Failure> {
        let old = inventory_of(object);
        let union = record::union(&old, &inventory_for(wanted));
        if union != old {
            status(object).inventory = Some(union);
            run.save(object).await?;
        }
        Ok(())
    }

    /// Deletes what left the source; answers whether anything was.
    async fn prune(&self, object: &mut Kustomization, run: &mut Run, wanted: &[Wanted]) -> Result<bool, Failure> {
        let (old, new) = (inventory_of(object), inventory_for(wanted));
        let mut stale = record::stale(&old, &new);
        if stale.is_empty() || !object.spec.prune {
            status(object).inventory = Some(new);
            return Ok(false);
        }
        build::sort_for_deletion(&mut stale);
        let pruner = Pruner { cx: &self.there, owner: &self.id, source: Some(&self.source.id) };
        let mut survey = pruner.survey(stale).await;
        self.hold(object, &new, &survey)?;
        let deleted = pruner.delete(&mut survey).await;
        status(object).inventory = Some(record::union(&record::keep(&old, survey.remaining()), &new));
        run.save(object).await?;
        tell_deleted(run, &deleted).await;
        for refused in &survey.refused {
            run.event(Severity::Error, "PruneFailed", refused, &[]).await;
        }
        if survey.failed.is_empty() {
            Ok(!deleted.is_empty())
        } else {
            Err(self.plan.failure("PruneFailed", survey.failures()))
        }
    }

    /// Stops before a prune that looks like an accident; everything stays, in the cluster and in the inventory.
    fn hold(&self, object: &Kustomization, new: &Inventory, survey: &Survey) -> Result<(), Failure> {
        if !self.cx.options.hold_mass_prune {
            return Ok(());
        }
        let sweep = Sweep {
            revision: self.source.revision.clone(),
            known: self.known,
            built: new.entries.len(),
            deletes: survey.doomed.iter().map(|doomed| doomed.id.clone()).collect(),
            precious: survey.precious.clone(),
        };
        let allowed = object.metadata.annotations.as_ref().and_then(|all| all.get(ALLOW_PRUNE));
        decide::hold(&sweep, allowed.map(String::as_str)).map_err(|held| self.plan.failure("PruneHeld", held))
    }

    async fn check_health(
        &self,
        object: &mut Kustomization,
        run: &mut Run,
        wanted: &[Wanted],
        news: bool,
    ) -> Result<(), Failure> {
        let ids = health::ids(object, &self.id, wanted);
        if ids.is_empty() {
            run.unset_condition(object, "Healthy");
            return Ok(());
        }
        let timeout = self.plan.timeout;
        let message = format!(
            "Running health checks for revision {} with a timeout of {}",
            self.source.revision,
            format_duration(timeout)
        );
        run.progress(message.clone());
        let was_healthy = summary::find(object.conditions(), "Healthy").is_some_and(|known| known.status == "True");
        if news || !was_healthy {
            run.set_condition(object, "Healthy", "Unknown", "Progressing", &message);
        }
        let vanishing: Vec<Id> = wanted
            .iter()
            .filter(|wanted| health::may_vanish(&wanted.document))
            .map(|wanted| wanted.id.clone())
            .collect();
        let began = Instant::now();
        let outdated = run.outdated();
        let waited =
            run.rest(health::wait(&self.there.cluster, &ids, &vanishing, &self.checks, timeout, outdated)).await;
        match waited {
            Ok(()) => {
                let message = format!("Health check passed in {}", format_duration(rounded(began.elapsed())));
                if news || !was_healthy {
                    run.event(Severity::Info, "Progressing", &message, &[]).await;
                    run.set_condition(object, "Healthy", "True", "Succeeded", &message);
                }
                Ok(())
            }
            Err(unwell) => {
                let (reason, message) = (unwell.reason(), unwell.message());
                run.set_condition(object, "Healthy", "False", reason, &message);
                Err(match unwell {
                    Unwell::Failed(_) => self.plan.failure(reason, message),
                    Unwell::Canceled => Failure::Waiting(Cause::new(reason, message), Duration::ZERO),
                })
            }
        }
    }

    /// Writes the run into the history, unless it only repeated the last one.
    fn remember(&self, object: &mut Kustomization, outcome: &Result<bool, Failure>, took: Duration) {
        let reason = match outcome {
            Ok(_) => "ReconciliationSucceeded",
            Err(failure) => &failure.cause().reason,
        };
        let requested = object.metadata.annotations.as_ref().and_then(|all| all.get(meta::REQUESTED_AT)).cloned();
        let status = status(object);
        let is_asked = requested.is_some() && requested != status.last_handled_reconcile_at;
        let revision = &self.source.revision;
        let objects = outcome.is_ok().then(|| status.inventory.as_ref().map_or(0, |all| all.entries.len()));
        let changed = matches!(outcome, Ok(true));
        if self.digest.is_empty()
            || (!is_asked && !changed && record::is_repeat(&status.history, &self.digest, reason, revision))
        {
            return;
        }
        let entry = Entry { digest: &self.digest, status: reason, revision, objects, took: rounded(took), now: now() };
        record::remember(&mut status.history, &entry);
    }
}

async fn tell_applied(run: &mut Run, changes: &[Change]) {
    let lines: Vec<String> = changes
        .iter()
        .filter(|change| is_change(change.action))
        .map(|change| format!("{} {}", change.id, change.action.word()))
        .collect();
    if !lines.is_empty() {
        run.event(Severity::Info, "Progressing", &lines.join("\n"), &[]).await;
    }
}

async fn tell_deleted(run: &mut Run, deleted: &[Id]) {
    let lines: Vec<String> = deleted.iter().map(|id| format!("{id} {}", Action::Deleted.word())).collect();
    if !lines.is_empty() {
        run.event(Severity::Info, "ReconciliationSucceeded", &lines.join("\n"), &[]).await;
    }
}

fn is_change(action: Action) -> bool {
    matches!(action, Action::Created | Action::Configured | Action::Deleted)
}

/// Ready at its generation with that revision, before the run.
fn is_ready(object: &mut Kustomization, revision: &str) -> bool {
    let generation = object.metadata.generation;
    let applied = status(object).last_applied_revision.as_deref() == Some(revision);
    let ready = summary::find(object.conditions(), "Ready");
    applied && ready.is_some_and(|ready| ready.status == "True" && ready.observed_generation == generation)
}

fn status(object: &mut Kustomization) -> &mut KustomizationStatus {
    object.status.get_or_insert_default()
}

fn inventory_of(object: &Kustomization) -> Inventory {
    object.status.as_ref().and_then(|status| status.inventory.clone()).unwrap_or_default()
}

fn inventory_for(wanted: &[Wanted]) -> Inventory {
    record::inventory(wanted.iter().map(|wanted| (wanted.id.clone(), wanted.api.version.clone())))
}

fn rounded(took: Duration) -> Duration {
    Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}
