//! The reconciled kinds as the shell sees them: where each keeps the shared fields.

use super::storage::Source;
use super::{Reconciled, Shared};
use crate::kinds::meta::Artifact;
use crate::kinds::{
    GitRepository, HelmChart, HelmRelease, HelmRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Kind,
    Kustomization, OCIRepository, git_repository, helm_chart, helm_release, helm_repository, image_policy,
    image_repository, image_update_automation, kustomization, oci_repository,
};

/// What every kind keeps in the same places: `kinds` has one type of status for each, so no trait names its fields.
macro_rules! usual {
    ($module:ident) => {
        fn description() -> &'static Kind {
            &$module::KIND
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
    };
}

impl Reconciled for GitRepository {
    usual!(git_repository);
}

impl Reconciled for Kustomization {
    usual!(kustomization);
}

impl Reconciled for HelmRepository {
    usual!(helm_repository);

    fn is_static(&self) -> bool {
        self.spec.is_registry()
    }
}

impl Reconciled for HelmChart {
    usual!(helm_chart);
}

impl Reconciled for OCIRepository {
    usual!(oci_repository);
}

impl Reconciled for HelmRelease {
    usual!(helm_release);
}

impl Reconciled for ImageRepository {
    usual!(image_repository);
}

impl Reconciled for ImagePolicy {
    usual!(image_policy);
}

impl Reconciled for ImageUpdateAutomation {
    usual!(image_update_automation);
}

macro_rules! artifact {
    () => {
        fn artifact(&mut self) -> &mut Option<Artifact> {
            &mut self.status.get_or_insert_default().artifact
        }
    };
}

macro_rules! url {
    () => {
        fn url(&mut self) -> Option<&mut Option<String>> {
            Some(&mut self.status.get_or_insert_default().url)
        }
    };
}

impl Source for GitRepository {
    artifact!();
}

impl Source for HelmRepository {
    artifact!();
    url!();
}

impl Source for HelmChart {
    artifact!();
    url!();
}

impl Source for OCIRepository {
    artifact!();
    url!();
}
