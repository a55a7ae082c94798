//! The reconciled kinds as the shell sees them: where each keeps the shared fields.

use super::storage::Source;
use super::{Reconciled, Shared};
use crate::kinds::meta::Artifact;
use crate::kinds::{
    GitRepository, HelmChart, HelmRelease, HelmRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Kind,
    Kustomization, OCIRepository, git_repository, helm_chart, helm_release, helm_repository, image_policy,
    image_repository, image_update_automation, kustomization, oci_repository,
};

impl Reconciled for GitRepository {
    fn description() -> &'static Kind {
        &git_repository::KIND
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn shared(&mut self) -> Shared<'_> {
        let status = self.status.get_or_insert_default();
        Shared {
            conditions: &mut status.conditions,
            observed_generation: &mut status.observed_generation,
            last_handled: &mut status.last_handled_reconcile_at,
        }
    }
}

impl Reconciled for Kustomization {
    fn description() -> &'static Kind {
        &kustomization::KIND
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn shared(&mut self) -> Shared<'_> {
        let status = self.status.get_or_insert_default();
        Shared {
            conditions: &mut status.conditions,
            observed_generation: &mut status.observed_generation,
            last_handled: &mut status.last_handled_reconcile_at,
        }
    }
}

impl Reconciled for HelmRepository {
    fn description() -> &'static Kind {
        &helm_repository::KIND
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn is_static(&self) -> bool {
        self.spec.is_registry()
    }

    fn shared(&mut self) -> Shared<'_> {
        let status = self.status.get_or_insert_default();
        Shared {
            conditions: &mut status.conditions,
            observed_generation: &mut status.observed_generation,
            last_handled: &mut status.last_handled_reconcile_at,
        }
    }
}

impl Reconciled for HelmChart {
    fn description() -> &'static Kind {
        &helm_chart::KIND
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn shared(&mut self) -> Shared<'_> {
        let status = self.status.get_or_insert_default();
        Shared {
            conditions: &mut status.conditions,
            observed_generation: &mut status.observed_generation,
            last_handled: &mut status.last_handled_reconcile_at,
        }
    }
}

impl Reconciled for OCIRepository {
    fn description() -> &'static Kind {
        &oci_repository::KIND
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn shared(&mut self) -> Shared<'_> {
        let status = self.status.get_or_insert_default();
        Shared {
            conditions: &mut status.conditions,
            observed_generation: &mut status.observed_generation,
            last_handled: &mut status.last_handled_reconcile_at,
        }
    }
}

impl Reconciled for HelmRelease {
    fn description() -> &'static Kind {
        &helm_release::KIND
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn shared(&mut self) -> Shared<'_> {
        let status = self.status.get_or_insert_default();
        Shared {
            conditions: &mut status.conditions,
            observed_generation: &mut status.observed_generation,
            last_handled: &mut status.last_handled_reconcile_at,
        }
    }
}

impl Source for GitRepository {
    fn artifact(&mut self) -> &mut Option<Artifact> {
        &mut self.status.get_or_insert_default().artifact
    }

    fn url(&mut self) -> Option<&mut Option<String>> {
        None
    }
}

impl Source for HelmRepository {
    fn artifact(&mut self) -> &mut Option<Artifact> {
        &mut self.status.get_or_insert_default().artifact
    }

    fn url(&mut self) -> Option<&mut Option<String>> {
        Some(&mut self.status.get_or_insert_default().url)
    }
}

impl Source for HelmChart {
    fn artifact(&mut self) -> &mut Option<Artifact> {
        &mut self.status.get_or_insert_default().artifact
    }

    fn url(&mut self) -> Option<&mut Option<String>> {
        Some(&mut self.status.get_or_insert_default().url)
    }
}

impl Source for OCIRepository {
    fn artifact(&mut self) -> &mut Option<Artifact> {
        &mut self.status.get_or_insert_default().artifact
    }

    fn url(&mut self) -> Option<&mut Option<String>> {
        Some(&mut self.status.get_or_insert_default().url)
    }
}

impl Reconciled for ImageRepository {
    fn description() -> &'static Kind {
        &image_repository::KIND
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn shared(&mut self) -> Shared<'_> {
        let status = self.status.get_or_insert_default();
        Shared {
            conditions: &mut status.conditions,
            observed_generation: &mut status.observed_generation,
            last_handled: &mut status.last_handled_reconcile_at,
        }
    }
}

impl Reconciled for ImagePolicy {
    fn description() -> &'static Kind {
        &image_policy::KIND
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn shared(&mut self) -> Shared<'_> {
        let status = self.status.get_or_insert_default();
        Shared {
            conditions: &mut status.conditions,
            observed_generation: &mut status.observed_generation,
            last_handled: &mut status.last_handled_reconcile_at,
        }
    }
}

impl Reconciled for ImageUpdateAutomation {
    fn description() -> &'static Kind {
        &image_update_automation::KIND
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn shared(&mut self) -> Shared<'_> {
        let status = self.status.get_or_insert_default();
        Shared {
            conditions: &mut status.conditions,
            observed_generation: &mut status.observed_generation,
            last_handled: &mut status.last_handled_reconcile_at,
        }
    }
}
