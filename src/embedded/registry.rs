//! The built-in kinds as data: one row each, and nothing else.
//!
//! Served by the same code as custom resources; a kind that needs more than its row has a hook in `kinds.rs`.
//! Start with [`ROWS`].

/// One built-in kind of one served version.
pub struct Row {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub short: &'static [&'static str],
    /// Which of the traits below it has, as letters.
    ///
    /// `n` namespaced, `g` counts generations, `s` status subresource, `c` scale subresource, `o` DELETE answers the
    /// object, `a` member of the category `all`, `d` has no deletecollection, `r` is only read and never stored,
    /// `e` member of the category `api-extensions`.
    pub traits: &'static str,
    /// Field paths beyond name and namespace that a field selector may name.
    pub fields: &'static [&'static str],
}

impl Row {
    /// Whether the row has a trait, by its letter.
    pub fn is(&self, letter: char) -> bool {
        self.traits.contains(letter)
    }
}

const fn row(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    traits: &'static str,
) -> Row {
    Row { group, version, kind, plural, short, traits, fields: &[] }
}

const fn with(row: Row, fields: &'static [&'static str]) -> Row {
    Row { fields, ..row }
}

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const NEW_EVENT_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];

/// Every built-in kind that is served and stored.
pub const ROWS: &[Row] = &[
    row("", "v1", "ComponentStatus", "componentstatuses", &["cs"], "r"),
    row("", "v1", "ConfigMap", "configmaps", &["cm"], "n"),
    row("", "v1", "Endpoints", "endpoints", &["ep"], "n"),
    with(row("", "v1", "Event", "events", &["ev"], "n"), EVENT_FIELDS),
    row("", "v1", "LimitRange", "limitranges", &["limits"], "n"),
    with(row("", "v1", "Namespace", "namespaces", &["ns"], "sod"), &["status.phase"]),
    with(row("", "v1", "Node", "nodes", &["no"], "s"), &["spec.unschedulable"]),
    row("", "v1", "PersistentVolume", "persistentvolumes", &["pv"], "so"),
    row("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], "nso"),
    with(row("", "v1", "Pod", "pods", &["po"], "nsoga"), POD_FIELDS),
    row("", "v1", "PodTemplate", "podtemplates", &[], "no"),
    with(row("", "v1", "ReplicationController", "replicationcontrollers", &["rc"], "nscoga"), &["status.replicas"]),
    row("", "v1", "ResourceQuota", "resourcequotas", &["quota"], "nso"),
    with(row("", "v1", "Secret", "secrets", &[], "n"), &["type"]),
    with(row("", "v1", "Service", "services", &["svc"], "nsoa"), &["spec.clusterIP", "spec.type"]),
    row("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], "no"),
    row("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", &[], "ge"),
    row(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        &[],
        "ge",
    ),
    row(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        &[],
        "ge",
    ),
    row("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", &[], "gse"),
    row(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        &[],
        "ge",
    ),
    row(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        &[],
        "ge",
    ),
    row("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", &["crd", "crds"], "gse"),
    row("apiregistration.k8s.io", "v1", "APIService", "apiservices", &[], "se"),
    row("apps", "v1", "ControllerRevision", "controllerrevisions", &[], "n"),
    row("apps", "v1", "DaemonSet", "daemonsets", &["ds"], "ngsa"),
    row("apps", "v1", "Deployment", "deployments", &["deploy"], "ngsca"),
    row("apps", "v1", "ReplicaSet", "replicasets", &["rs"], "ngsca"),
    row("apps", "v1", "StatefulSet", "statefulsets", &["sts"], "ngsca"),
    row("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], "nsa"),
    row("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], "nsa"),
    row("batch", "v1", "CronJob", "cronjobs", &["cj"], "ngsa"),
    with(row("batch", "v1", "Job", "jobs", &[], "ngsoa"), &["status.successful"]),
    with(
        row("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", &["csr"], "s"),
        &["spec.signerName"],
    ),
    row("coordination.k8s.io", "v1", "Lease", "leases", &[], "n"),
    row("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", &[], "ng"),
    with(row("events.k8s.io", "v1", "Event", "events", &["ev"], "n"), NEW_EVENT_FIELDS),
    row("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", &[], "gs"),
    row("flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", &[], "gs"),
    row("networking.k8s.io", "v1", "IPAddress", "ipaddresses", &["ip"], ""),
    row("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", &[], "s"),
    row("networking.k8s.io", "v1", "Ingress", "ingresses", &["ing"], "ngs"),
    row("networking.k8s.io", "v1", "IngressClass", "ingressclasses", &[], "g"),
    row("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", &["netpol"], "ng"),
    row("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", &[], ""),
    row("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], "ngs"),
    row("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", &[], ""),
    row("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", &[], ""),
    row("rbac.authorization.k8s.io", "v1", "Role", "roles", &[], "n"),
    row("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", &[], "n"),
    row("resource.k8s.io", "v1", "DeviceClass", "deviceclasses", &[], "go"),
    row("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims", &[], "nso"),
    row("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates", &[], "no"),
    row("resource.k8s.io", "v1", "ResourceSlice", "resourceslices", &[], "go"),
    row("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", &["pc"], "g"),
    row("storage.k8s.io", "v1", "CSIDriver", "csidrivers", &[], "o"),
    row("storage.k8s.io", "v1", "CSINode", "csinodes", &[], ""),
    row("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities", &[], "n"),
    row("storage.k8s.io", "v1", "StorageClass", "storageclasses", &["sc"], "o"),
    row("storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses", &["vac"], "o"),
    row("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", &[], "s"),
];

/// Kinds that are only posted and answered, never stored: group, version, kind, plural, namespaced.
pub const REVIEWS: &[(&str, &str, &str, &str, bool)] = &[
    ("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", false),
    ("authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", true),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", false),
    ("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", false),
];

/// The order in which groups are offered to clients: what a short name resolves to first.
pub const GROUP_ORDER: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_unique_and_its_group_has_an_order() {
        let mut seen = std::collections::BTreeSet::new();
        for row in ROWS {
            assert!(seen.insert((row.group, row.version, row.plural)), "{} twice", row.plural);
            assert!(GROUP_ORDER.contains(&row.group), "{}", row.group);
            assert!(row.traits.chars().all(|c| "ngscoadre".contains(c)), "{}", row.plural);
        }
    }
}
