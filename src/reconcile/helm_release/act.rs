//! The actions on a release: install, upgrade, roll back. Each leaves a record that says how far it came.
//!
//! An action that wrote no record changed nothing that matters; one that did is failed or deployed when it ends, and
//! pending when the process died. Start with [`Work::install`]. Source: helm pkg/action (install.go, upgrade.go,
//! rollback.go). Deliberate difference: a rollback whose hooks fail is failed, not pending for ever.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::kustomization::health::Checks;
use super::super::{Context, Run};
use super::decide::Wanted;
use super::hooks::{Hooks, now};
use super::objects::{self, Manner, Objects, Placed};
use super::plan::{Action, Plan};
use super::render::Rendering;
use super::storage::Storage;
use crate::base::Redactor;
use crate::engine::chart::{self, Chart};
use crate::engine::release::{Info, Paths, Record, Status, config_digest, stored_chart};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::ApplyMode;

/// Everything that the actions of one reconciliation need.
pub struct Work<'a> {
    pub cx: &'a Context,
    pub checks: Checks,
    pub plan: Plan,
    pub storage: Storage<'a>,
    pub chart: Arc<Chart>,
    pub values: Map<String, Value>,
    /// Where the values are that Secrets gave; `None` when values are reused of which nobody knows.
    pub secret: Option<Paths>,
    /// What no message and no record tells.
    pub hidden: Redactor,
    pub oci_digest: Option<String>,
    pub wanted: Wanted,
    pub release: String,
    pub namespace: String,
}

/// A release about to be made.
pub(super) struct Making {
    pub record: Record,
    pub originals: Vec<Placed>,
    pub targets: Vec<Placed>,
    pub action: Action,
    pub manner: Manner,
    /// The moments before and after.
    pub moments: (&'static str, &'static str),
    /// A dead process began it: what is done is not done again.
    pub resumed: bool,
}

pub(super) const INSTALL: (&str, &str) = ("pre-install", "post-install");
pub(super) const UPGRADE: (&str, &str) = ("pre-upgrade", "post-upgrade");
pub(super) const ROLLBACK: (&str, &str) = ("pre-rollback", "post-rollback");

impl Work<'_> {
    pub fn objects(&self) -> Objects<'_> {
        Objects { cx: self.cx, checks: &self.checks, release: &self.release, namespace: &self.namespace }
    }

    /// Installs the release.
    ///
    /// Errors with what Helm would say; whether a record was written is in the storage.
    pub async fn install(&mut self, object: &mut HelmRelease, run: &mut Run) -> Result<(), String> {
        let action = self.plan.install;
        let server_side = action.apply != ApplyMode::Disabled;
        let history = self.storage.history().await.map_err(text)?;
        let last = history.last().map(super::storage::Stored::open).transpose().map_err(text)?;
        if let Some(last) = &last {
            if self.is_interrupted(last, Status::PendingInstall) {
                return self.resume_install(last.clone(), run).await;
            }
            let is_free = self.plan.replace && matches!(last.info.status, Status::Uninstalled | Status::Failed);
            if !is_free {
                return Err("release name check failed: cannot reuse a name that is still in use".into());
            }
        }
        let (rendering, crds) = self.prepare(object, run, 1, false, &action, server_side).await?;
        let targets = self.objects().own(self.read("release", &rendering.manifest).await?);
        if !action.take_ownership {
            let checked = self.objects().check_ownership(&targets).await;
            checked.map_err(|error| format!("unable to continue with install: {error}"))?;
        }
        if self.plan.create_namespace {
            self.create_namespace(server_side).await.map_err(text)?;
        }
        let mut record = self.record(&rendering, Status::PendingInstall, "Initial install underway", server_side);
        if let Some(mut last) = last {
            record.version = last.version + 1;
            if last.info.status != Status::Failed {
                last.info.status = Status::Superseded;
                last.info.description = "superseded by new release".into();
                self.storage.update(&last).await.map_err(text)?;
            }
        }
        self.keep_inventory(object, run, objects::inventory(&targets, &crds)).await?;
        self.storage.create(&mut record, 0).await.map_err(text)?;
        let manner = Manner { server_side, replace: false };
        let originals = Vec::new();
        let making = Making { record, originals, targets, action, manner, moments: INSTALL, resumed: false };
        self.finish_install(making, run).await
    }

    pub(super) async fn finish_install(&mut self, mut making: Making, run: &mut Run) -> Result<(), String> {
        match self.make(&mut making, run).await {
            Ok(()) => self.conclude(making.record, Status::Deployed, "Install complete").await,
            Err((_, error)) => {
                let why = format!("Release {:?} failed: {error}", self.release);
                self.conclude(making.record, Status::Failed, &why).await?;
                Err(error)
            }
        }
    }

    /// Upgrades the release.
    ///
    /// Errors as [`Work::install`].
    pub async fn upgrade(&mut self, object: &mut HelmRelease, run: &mut Run) -> Result<(), String> {
        let action = self.plan.upgrade;
        let last = self.storage.last().await.map_err(text)?;
        let last = last.ok_or_else(|| format!("{:?} has no deployed releases", self.release))?;
        if self.is_interrupted(&last, Status::PendingUpgrade) {
            return self.resume_upgrade(last, run).await;
        }
        if last.info.status.is_pending() {
            return Err("another operation (install/upgrade/rollback) is in progress".into());
        }
        let current = self.current(&last).await?;
        self.hide_of(&current, run);
        if self.plan.preserve_values {
            self.reuse_values(&current);
        }
        let server_side = resolve(action.apply, &last);
        let (rendering, crds) = self.prepare(object, run, last.version + 1, true, &action, server_side).await?;
        let originals = self.read("current release", &current.manifest).await?;
        let targets = self.objects().own(self.read("new release", &rendering.manifest).await?);
        if !action.take_ownership {
            let is_new = |target: &&Placed| !originals.iter().any(|original| original.id == target.id);
            let new: Vec<Placed> = targets.iter().filter(is_new).cloned().collect();
            let checked = self.objects().check_ownership(&new).await;
            checked.map_err(|error| format!("unable to continue with update: {error}"))?;
        }
        let mut record = self.record(&rendering, Status::PendingUpgrade, "Preparing upgrade", server_side);
        record.version = last.version + 1;
        record.namespace = current.namespace.clone();
        record.info.first_deployed = current.info.first_deployed.clone();
        record.labels = last.labels.clone();
        self.keep_inventory(object, run, objects::inventory(&targets, &crds)).await?;
        self.storage.create(&mut record, current.version).await.map_err(text)?;
        let manner = Manner::of(&action, server_side);
        let making = Making { record, originals, targets, action, manner, moments: UPGRADE, resumed: false };
        self.finish_upgrade(making, current, run).await
    }

    /// The revision that an upgrade replaces: the deployed one, or a failed one where there is none.
    ///
    /// Errors when there is neither, or it cannot be read.
    pub async fn current(&self, last: &Record) -> Result<Record, String> {
        if last.info.status == Status::Deployed {
            return Ok(last.clone());
        }
        match self.storage.deployed().await.map_err(text)? {
            Some(deployed) => Ok(deployed),
            None if matches!(last.info.status, Status::Failed | Status::Superseded) => Ok(last.clone()),
            None => Err(format!("{:?} has no deployed releases", self.release)),
        }
    }

    pub(super) async fn finish_upgrade(
        &mut self,
        mut making: Making,
        mut current: Record,
        run: &mut Run,
    ) -> Result<(), String> {
        match self.make(&mut making, run).await {
            Ok(()) => {
                current.info.status = Status::Superseded;
                self.storage.update(&current).await.map_err(text)?;
                self.conclude(making.record, Status::Deployed, "Upgrade complete").await
            }
            Err((created, error)) => {
                let why = format!("Upgrade {:?} failed: {error}", self.release);
                self.conclude(making.record, Status::Failed, &why).await?;
                self.clean_up(&making.action, &created, error).await
            }
        }
    }

    /// Rolls the release back to a revision.
    ///
    /// Errors as [`Work::install`].
    pub async fn roll_back(&mut self, object: &mut HelmRelease, run: &mut Run, version: i64) -> Result<(), String> {
        let action = self.plan.rollback;
        let gone = || format!("release has no {version} version");
        let current = self.storage.last().await.map_err(text)?.ok_or_else(gone)?;
        if self.is_interrupted(&current, Status::PendingRollback) {
            return self.resume_rollback(current, run).await;
        }
        let previous = self.storage.get(version).await.map_err(text)?.ok_or_else(gone)?;
        self.hide_of(&previous, run);
        let server_side = resolve(action.apply, &previous);
        let originals = self.read("current release", &current.manifest).await?;
        let targets = self.objects().own(self.read("new release", &previous.manifest).await?);
        let info = Info {
            first_deployed: current.info.first_deployed.clone(),
            last_deployed: now(),
            status: Status::PendingRollback,
            notes: previous.info.notes.clone(),
            rollback_revision: version,
            description: format!("Rollback to {version}"),
            ..Info::default()
        };
        let mut record = Record {
            version: current.version + 1,
            apply_method: method(server_side),
            namespace: current.namespace.clone(),
            info,
            ..previous
        };
        self.keep_inventory(object, run, objects::inventory(&targets, &[])).await?;
        self.storage.create(&mut record, current.version).await.map_err(text)?;
        let manner = Manner::of(&action, server_side);
        let making = Making { record, originals, targets, action, manner, moments: ROLLBACK, resumed: false };
        self.finish_rollback(making, current, run).await
    }

    pub(super) async fn finish_rollback(
        &mut self,
        mut making: Making,
        mut current: Record,
        run: &mut Run,
    ) -> Result<(), String> {
        match self.make(&mut making, run).await {
            Ok(()) => {
                let history = self.storage.history().await.map_err(text)?;
                let others = history.iter().filter(|stored| stored.version != making.record.version);
                for stored in others.filter(|stored| stored.status == Status::Deployed) {
                    let mut deployed = stored.open().map_err(text)?;
                    deployed.info.status = Status::Superseded;
                    self.storage.update(&deployed).await.map_err(text)?;
                }
                let description = making.record.info.description.clone();
                self.conclude(making.record, Status::Deployed, &description).await
            }
            Err((created, error)) => {
                let why = format!("Rollback {:?} failed: {error}", self.release);
                // Helm supersedes what failed too, and would take it for a good target of the next rollback.
                if current.info.status == Status::Deployed {
                    current.info.status = Status::Superseded;
                    self.storage.update(&current).await.map_err(text)?;
                }
                self.conclude(making.record, Status::Failed, &why).await?;
                self.clean_up(&making.action, &created, error).await
            }
        }
    }

    pub(super) async fn read(&self, what: &str, manifest: &str) -> Result<Vec<Placed>, String> {
        let read = self.objects().read(manifest).await;
        read.map_err(|error| format!("unable to build kubernetes objects from {what} manifest: {error}"))
    }

    /// Lays the values over those of the release before, whose defaults stay.
    pub(super) fn reuse_values(&mut self, current: &Record) {
        let mut chart = (*self.chart).clone();
        chart.values = current.merged_values();
        self.chart = Arc::new(chart);
        self.values = self.reused(current);
        self.secret = self.secret.take().zip(current.secret_values.clone()).map(|(new, old)| &new | &old);
    }

    /// The values over those of a release before.
    fn reused(&self, before: &Record) -> Map<String, Value> {
        let mut values = before.config.clone();
        chart::merge(&mut values, self.values.clone());
        values
    }

    /// What is wanted, where values are kept: those of the last release under the own ones, so that it comes to rest.
    pub fn wanted_over(&self, last: Option<&Record>) -> Wanted {
        let kept = last.filter(|_| self.plan.preserve_values).map(|last| config_digest(&self.reused(last)));
        Wanted { config_digest: kept.unwrap_or_else(|| self.wanted.config_digest.clone()), ..self.wanted.clone() }
    }

    fn record(&self, rendering: &Rendering, status: Status, description: &str, server_side: bool) -> Record {
        let moment = now();
        let defaults = if self.chart.metadata.dependencies.is_empty() { &self.chart.values } else { &rendering.values };
        Record {
            name: self.release.clone(),
            info: Info {
                first_deployed: moment.clone(),
                last_deployed: moment,
                status,
                description: description.into(),
                notes: rendering.notes.clone(),
                ..Info::default()
            },
            chart: stored_chart(&self.chart, defaults),
            config: self.values.clone(),
            manifest: rendering.manifest.clone(),
            hooks: rendering.hooks.clone(),
            version: 1,
            namespace: self.namespace.clone(),
            apply_method: method(server_side),
            secret_values: self.secret.clone(),
            ..Record::default()
        }
    }

    /// Hooks, objects, health, hooks.
    ///
    /// Errors with what was made and why it failed.
    async fn make(&mut self, making: &mut Making, run: &mut Run) -> Result<(), (Vec<Placed>, String)> {
        let Making { record, originals, targets, action, manner, moments, resumed } = making;
        let objects = Objects { cx: self.cx, checks: &self.checks, release: &self.release, namespace: &self.namespace };
        let since = resumed.then(|| record.info.last_deployed.clone());
        let hooks = Hooks { objects: &objects, timeout: action.timeout, server_side: manner.server_side, since };
        let all = |_: &str| true;
        if action.hooks {
            let ran = hooks.run(moments.0, record, &mut self.storage, run, &all).await;
            ran.map_err(|error| (Vec::new(), format!("failed {}: {error}", moments.0)))?;
        }
        let (created, written) = objects.write(originals, targets, *manner).await;
        if let Err(error) = written {
            return Err((created, error));
        }
        if let Err(error) = objects.delete_rest(originals, targets).await {
            return Err((created, error));
        }
        if action.wait
            && let Err(error) = objects.wait(run, targets, action.wait_for_jobs, action.timeout).await
        {
            return Err((created, error));
        }
        if action.hooks {
            let ran = hooks.run(moments.1, record, &mut self.storage, run, &all).await;
            ran.map_err(|error| (created, format!("failed {}: {error}", moments.1)))?;
        }
        Ok(())
    }

    /// Writes how it ended into the record, and lets go of the records that are too many now.
    pub(super) async fn conclude(
        &mut self,
        mut record: Record,
        status: Status,
        description: &str,
    ) -> Result<(), String> {
        record.info.status = status;
        record.info.description = self.hidden.clean(description).into_owned();
        self.storage.update(&record).await.map_err(text)?;
        // The action is over, whatever becomes of this: the next look at the release does it again.
        let trimmed = match self.storage.history().await {
            Ok(history) => self.storage.trim(&record, &history, self.plan.max_history).await,
            Err(error) => Err(error),
        };
        if let Err(error) = trimmed {
            tracing::warn!("old records of {} are left: {error}", self.release);
        }
        Ok(())
    }

    /// Deletes what a failed action made, if it is to; the error is its own.
    async fn clean_up(&self, action: &Action, created: &[Placed], error: String) -> Result<(), String> {
        if !action.cleanup || created.is_empty() {
            return Err(error);
        }
        let (_, cleaned) = self.objects().delete_all(created, crate::cluster::Propagation::Background).await;
        Err(match cleaned {
            Ok(()) => error,
            Err(why) => format!("an error occurred while cleaning up resources. original error: {error}: {why}"),
        })
    }
}

/// Whether to apply on the server's side; `auto` is as the release before.
pub(super) fn resolve(mode: ApplyMode, before: &Record) -> bool {
    match mode {
        ApplyMode::Enabled => true,
        ApplyMode::Disabled => false,
        ApplyMode::Auto => before.apply_method == "ssa",
    }
}

fn method(server_side: bool) -> String {
    if server_side { "ssa" } else { "csa" }.into()
}

pub(super) fn text(error: impl ToString) -> String {
    error.to_string()
}
