//! The reconciled kinds as the shell sees them: where each keeps the shared fields.

use super::Reconciled;
use crate::base::Condition;
use crate::kinds::{GitRepository, HelmRelease, Kind, Kustomization, git_repository, helm_release, kustomization};

impl Reconciled for GitRepository {
    fn description() -> &'static Kind {
        &git_repository::KIND
    }

    fn controller() -> &'static str {
        "source-controller"
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.status.get_or_insert_default().conditions
    }

    fn observed_generation(&mut self) -> &mut Option<i64> {
        &mut self.status.get_or_insert_default().observed_generation
    }

    fn last_handled(&mut self) -> &mut Option<String> {
        &mut self.status.get_or_insert_default().last_handled_reconcile_at
    }
}

impl Reconciled for Kustomization {
    fn description() -> &'static Kind {
        &kustomization::KIND
    }

    fn controller() -> &'static str {
        "kustomize-controller"
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.status.get_or_insert_default().conditions
    }

    fn observed_generation(&mut self) -> &mut Option<i64> {
        &mut self.status.get_or_insert_default().observed_generation
    }

    fn last_handled(&mut self) -> &mut Option<String> {
        &mut self.status.get_or_insert_default().last_handled_reconcile_at
    }
}

impl Reconciled for HelmRelease {
    fn description() -> &'static Kind {
        &helm_release::KIND
    }

    fn controller() -> &'static str {
        "helm-controller"
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.status.get_or_insert_default().conditions
    }

    fn observed_generation(&mut self) -> &mut Option<i64> {
        &mut self.status.get_or_insert_default().observed_generation
    }

    fn last_handled(&mut self) -> &mut Option<String> {
        &mut self.status.get_or_insert_default().last_handled_reconcile_at
    }
}
