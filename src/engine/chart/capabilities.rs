//! What templates learn of the cluster, and what they are told where there is none.
//!
//! Start with [`Capabilities`]. Source: helm pkg/chart/common (capabilities.go).

use super::ChartError;

/// What the templates learn of the cluster.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// E.g. `v1.33.4-gke.1245000`.
    pub kube_version: String,
    /// `group/version` and `group/version/Kind`.
    pub api_versions: Vec<String>,
    /// The Helm that weir stands for.
    pub helm_version: String,
}

impl Default for Capabilities {
    /// What Helm 4.3.1 assumes when it asks no cluster.
    fn default() -> Self {
        Capabilities {
            kube_version: "v1.37.0".into(),
            api_versions: API_VERSIONS.map(String::from).into(),
            helm_version: "v4.3.1".into(),
        }
    }
}

impl Capabilities {
    /// The capabilities of another version of Kubernetes.
    ///
    /// Errors when the version is none, e.g. has no minor number.
    pub fn with_kube_version(mut self, version: &str) -> Result<Self, ChartError> {
        let numbers = version.trim().trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
        let is_number = |part: &str| {
            !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
        };
        if !numbers.contains('.') || !numbers.split('.').all(is_number) {
            return Err(ChartError::Invalid(format!("{version:?} is no version of Kubernetes; give one like v1.33.4")));
        }
        self.kube_version = if version.starts_with('v') { version.into() } else { format!("v{version}") };
        Ok(self)
    }
}

/// The versions that Helm 4.3.1 was built with, in its order.
const API_VERSIONS: [&str; 57] = [
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];
