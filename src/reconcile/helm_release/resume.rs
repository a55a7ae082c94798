//! An action that a dead process left in the middle is gone on with, so that it ends as if nothing had happened.
//!
//! The record of the action has all that is needed: the objects, the hooks and how far they came. What is wanted must
//! still be the same, or else the record is unlocked and a new action begins. Weir's own: helm-controller always unlocks,
//! and runs neither the hooks that were left nor the install that was asked for. Objects that the dead process had made
//! are not known to be new any more, so that `cleanupOnFail` leaves them to the rollback.
//! Start with [`Work::is_interrupted`].

use super::super::Run;
use super::act::{INSTALL, Making, ROLLBACK, UPGRADE, Work, text};
use super::objects::Manner;
use super::plan::Action;
use crate::engine::release::{Record, Status, config_digest};

impl Work<'_> {
    /// Whether an own action died over a record, and just that is still wanted.
    pub fn is_interrupted(&self, record: &Record, status: Status) -> bool {
        if record.info.status != status || self.storage.replaces(record).is_none() {
            return false;
        }
        let is_wanted = record.chart_field("name") == self.wanted.chart_name
            && record.chart_field("version") == self.wanted.chart_version
            && (self.plan.preserve_values || config_digest(&record.config) == self.wanted.config_digest);
        // A rollback is to what is not wanted: it is a remedy of what is.
        is_wanted || status == Status::PendingRollback
    }

    pub(super) async fn resume_install(&mut self, record: Record, run: &mut Run) -> Result<(), String> {
        let making = self.making(record, None, self.plan.install, INSTALL).await?;
        self.finish_install(making, run).await
    }

    pub(super) async fn resume_upgrade(&mut self, record: Record, run: &mut Run) -> Result<(), String> {
        let (record, current) = self.replaced(record).await?;
        let making = self.making(record, Some(&current), self.plan.upgrade, UPGRADE).await?;
        self.finish_upgrade(making, current, run).await
    }

    pub(super) async fn resume_rollback(&mut self, record: Record, run: &mut Run) -> Result<(), String> {
        let (record, current) = self.replaced(record).await?;
        let making = self.making(record, Some(&current), self.plan.rollback, ROLLBACK).await?;
        self.finish_rollback(making, current, run).await
    }

    async fn making(
        &self,
        record: Record,
        current: Option<&Record>,
        action: Action,
        moments: (&'static str, &'static str),
    ) -> Result<Making, String> {
        let originals = match current {
            Some(current) => self.read("current release", &current.manifest).await?,
            None => Vec::new(),
        };
        let targets = self.objects().own(self.read("new release", &record.manifest).await?);
        let server_side = record.apply_method == "ssa";
        let manner = Manner { server_side, replace: action.force && !server_side && current.is_some() };
        Ok(Making { record, originals, targets, action, manner, moments, resumed: true })
    }

    /// A pending record, and the one that it was to replace.
    ///
    /// Errors when that is gone; the pending one is failed then, so that it does not stand in the way for ever.
    async fn replaced(&mut self, record: Record) -> Result<(Record, Record), String> {
        let version = self.storage.replaces(&record).unwrap_or_default();
        if let Some(found) = self.storage.get(version).await.map_err(text)? {
            return Ok((record, found));
        }
        let why = format!("the revision {version} that revision {} was to replace is gone", record.version);
        self.conclude(record, Status::Failed, &why).await?;
        Err(why)
    }
}
