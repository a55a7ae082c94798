//! The columns of built-in kinds, as data and one function per cell.
//!
//! How a cell is put together is in `cells.rs`. Start with [`of`]. Source: Kubernetes pkg/printers/internalversion.

use jiff::Timestamp;
use serde_json::Value;

use super::table::age;
use super::{api_services, cells, components};

/// One column.
pub struct Column {
    pub name: &'static str,
    pub kind: &'static str,
    pub format: &'static str,
    /// Above 0 only `-o wide` shows it.
    pub priority: i64,
    pub cell: fn(&Value, Timestamp) -> Value,
}

/// A column of texts.
pub const fn text(name: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { name, kind: "string", format: "", priority: 0, cell }
}

const fn number(name: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { kind: "integer", ..text(name, cell) }
}

const fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}

/// What it is called.
pub const NAME: Column = Column { format: "name", ..text("Name", |o, _| o["metadata"]["name"].clone()) };
/// How long it has been there.
pub const AGE: Column = text("Age", |o, now| age(&o["metadata"]["creationTimestamp"], now).into());
const CREATED: Column =
    Column { format: "date", ..text("Created At", |o, _| o["metadata"]["creationTimestamp"].clone()) };
const CONTAINERS: Column = wide(text("Containers", |o, _| cells::containers(&o["spec"]["template"]["spec"], "name")));
const IMAGES: Column = wide(text("Images", |o, _| cells::containers(&o["spec"]["template"]["spec"], "image")));
const SELECTOR: Column = wide(text("Selector", |o, _| cells::selector(&o["spec"]["selector"])));

const DEFAULT: &[Column] = &[NAME, AGE];

/// The columns of a kind; name and age when it has none of its own.
pub fn of(group: &str, kind: &str) -> &'static [Column] {
    let found = TABLES.iter().find(|(g, k, _)| *g == group && *k == kind);
    found.map_or(DEFAULT, |(_, _, columns)| columns)
}

const EVENTS: &[Column] = &[
    text("Last Seen", cells::last_seen),
    text("Type", |o, _| o["type"].clone()),
    text("Reason", |o, _| o["reason"].clone()),
    text("Object", |o, _| cells::involved(o)),
    wide(text("Subobject", |o, _| cells::first(o, &["/involvedObject/fieldPath", "/regarding/fieldPath"]))),
    wide(text("Source", |o, _| cells::event_source(o))),
    text("Message", |o, _| cells::first(o, &["/message", "/note"])),
    wide(text("First Seen", |o, now| {
        age(&cells::first(o, &["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"]), now).into()
    })),
    wide(number("Count", |o, _| cells::first(o, &["/series/count", "/count", "/deprecatedCount"]))),
    wide(NAME),
];

const REPLICAS: &[Column] = &[
    NAME,
    number("Desired", |o, _| cells::replicas(o)),
    number("Current", |o, _| cells::count(&o["status"]["replicas"])),
    number("Ready", |o, _| cells::count(&o["status"]["readyReplicas"])),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const BINDING: &[Column] = &[
    NAME,
    text("Role", |o, _| cells::joined(&o["roleRef"], "kind", "/", "name")),
    AGE,
    wide(text("Users", |o, _| cells::subjects(o, "User"))),
    wide(text("Groups", |o, _| cells::subjects(o, "Group"))),
    wide(text("ServiceAccounts", |o, _| cells::subjects(o, "ServiceAccount"))),
];

const WEBHOOKS: &[Column] = &[NAME, number("Webhooks", |o, _| cells::length(&o["webhooks"])), AGE];

type Table = (&'static str, &'static str, &'static [Column]);

const TABLES: &[Table] = &[
    (
        "",
        "Pod",
        &[
            NAME,
            text("Ready", |o, _| cells::pod_ready(o)),
            text("Status", |o, _| cells::pod_status(o)),
            text("Restarts", |o, _| cells::pod_restarts(o)),
            AGE,
            wide(text("IP", |o, _| cells::or_none(&o["status"]["podIP"]))),
            wide(text("Node", |o, _| cells::or_none(&o["spec"]["nodeName"]))),
            wide(text("Nominated Node", |o, _| cells::or_none(&o["status"]["nominatedNodeName"]))),
            wide(text("Readiness Gates", |_, _| "<none>".into())),
        ],
    ),
    (
        "apps",
        "Deployment",
        &[
            NAME,
            text("Ready", |o, _| cells::ready_of(o)),
            number("Up-to-date", |o, _| cells::count(&o["status"]["updatedReplicas"])),
            number("Available", |o, _| cells::count(&o["status"]["availableReplicas"])),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    ("apps", "StatefulSet", &[NAME, text("Ready", |o, _| cells::ready_of(o)), AGE, CONTAINERS, IMAGES]),
    (
        "apps",
        "DaemonSet",
        &[
            NAME,
            number("Desired", |o, _| cells::count(&o["status"]["desiredNumberScheduled"])),
            number("Current", |o, _| cells::count(&o["status"]["currentNumberScheduled"])),
            number("Ready", |o, _| cells::count(&o["status"]["numberReady"])),
            number("Up-to-date", |o, _| cells::count(&o["status"]["updatedNumberScheduled"])),
            number("Available", |o, _| cells::count(&o["status"]["numberAvailable"])),
            text("Node Selector", |o, _| cells::labels(&o["spec"]["template"]["spec"]["nodeSelector"])),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    ("apps", "ReplicaSet", REPLICAS),
    ("", "ReplicationController", REPLICAS),
    (
        "apps",
        "ControllerRevision",
        &[NAME, text("Controller", |o, _| cells::controller(o)), number("Revision", |o, _| o["revision"].clone()), AGE],
    ),
    (
        "batch",
        "Job",
        &[
            NAME,
            text("Status", |o, _| cells::job_status(o)),
            text("Completions", |o, _| cells::completions(o)),
            text("Duration", cells::job_duration),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        "batch",
        "CronJob",
        &[
            NAME,
            text("Schedule", |o, _| o["spec"]["schedule"].clone()),
            text("Timezone", |o, _| cells::or_none(&o["spec"]["timeZone"])),
            text("Suspend", |o, _| if o["spec"]["suspend"] == true { "True".into() } else { "False".into() }),
            number("Active", |o, _| cells::length(&o["status"]["active"])),
            text("Last Schedule", |o, now| cells::since_or_none(&o["status"]["lastScheduleTime"], now)),
            AGE,
            wide(text("Containers", |o, _| {
                cells::containers(&o["spec"]["jobTemplate"]["spec"]["template"]["spec"], "name")
            })),
            wide(text("Images", |o, _| {
                cells::containers(&o["spec"]["jobTemplate"]["spec"]["template"]["spec"], "image")
            })),
            wide(text("Selector", |o, _| cells::selector(&o["spec"]["jobTemplate"]["spec"]["selector"]))),
        ],
    ),
    (
        "",
        "Service",
        &[
            NAME,
            text("Type", |o, _| cells::or(&o["spec"]["type"], "ClusterIP")),
            text("Cluster-IP", |o, _| cells::or_none(&o["spec"]["clusterIP"])),
            text("External-IP", |o, _| cells::external_ip(o)),
            text("Port(s)", |o, _| cells::service_ports(o)),
            AGE,
            wide(text("Selector", |o, _| cells::labels(&o["spec"]["selector"]))),
        ],
    ),
    (
        "networking.k8s.io",
        "Ingress",
        &[
            NAME,
            text("Class", |o, _| cells::or_none(&o["spec"]["ingressClassName"])),
            text("Hosts", |o, _| cells::hosts(o)),
            text("Address", |o, _| cells::balancer(o)),
            text("Ports", |o, _| if cells::length(&o["spec"]["tls"]) == 0 { "80".into() } else { "80, 443".into() }),
            AGE,
        ],
    ),
    (
        "networking.k8s.io",
        "IngressClass",
        &[
            NAME,
            text("Controller", |o, _| o["spec"]["controller"].clone()),
            text("Parameters", |o, _| match o["spec"]["parameters"]["name"].as_str() {
                Some(name) => format!("{}/{name}", o["spec"]["parameters"]["kind"].as_str().unwrap_or_default()).into(),
                None => "<none>".into(),
            }),
            AGE,
        ],
    ),
    (
        "networking.k8s.io",
        "NetworkPolicy",
        &[NAME, text("Pod-Selector", |o, _| cells::selector(&o["spec"]["podSelector"])), AGE],
    ),
    (
        "",
        "ConfigMap",
        &[NAME, number("Data", |o, _| (cells::entries(&o["data"]) + cells::entries(&o["binaryData"])).into()), AGE],
    ),
    (
        "",
        "Secret",
        &[NAME, text("Type", |o, _| o["type"].clone()), number("Data", |o, _| cells::entries(&o["data"]).into()), AGE],
    ),
    ("", "Namespace", &[NAME, text("Status", |o, _| o["status"]["phase"].clone()), AGE]),
    (
        "",
        "Node",
        &[
            NAME,
            text("Status", |o, _| cells::node_status(o)),
            text("Roles", |o, _| cells::node_roles(o)),
            AGE,
            text("Version", |o, _| o["status"]["nodeInfo"]["kubeletVersion"].clone()),
            wide(text("Internal-IP", |o, _| cells::node_address(o, "InternalIP"))),
            wide(text("External-IP", |o, _| cells::node_address(o, "ExternalIP"))),
            wide(text("OS-Image", |o, _| cells::or(&o["status"]["nodeInfo"]["osImage"], "<unknown>"))),
            wide(text("Kernel-Version", |o, _| cells::or(&o["status"]["nodeInfo"]["kernelVersion"], "<unknown>"))),
            wide(text("Container-Runtime", |o, _| {
                cells::or(&o["status"]["nodeInfo"]["containerRuntimeVersion"], "<unknown>")
            })),
        ],
    ),
    (
        "",
        "PersistentVolume",
        &[
            NAME,
            text("Capacity", |o, _| cells::plain(&o["spec"]["capacity"]["storage"], "")),
            text("Access Modes", |o, _| cells::access_modes(&o["spec"]["accessModes"])),
            text("Reclaim Policy", |o, _| cells::or(&o["spec"]["persistentVolumeReclaimPolicy"], "")),
            text("Status", |o, _| cells::phase(o)),
            text("Claim", |o, _| cells::joined(&o["spec"]["claimRef"], "namespace", "/", "name")),
            text("StorageClass", |o, _| cells::or(&o["spec"]["storageClassName"], "")),
            text("VolumeAttributesClass", |o, _| cells::or(&o["spec"]["volumeAttributesClassName"], "<unset>")),
            text("Reason", |o, _| cells::or(&o["status"]["reason"], "")),
            AGE,
            wide(text("VolumeMode", |o, _| cells::or(&o["spec"]["volumeMode"], "Filesystem"))),
        ],
    ),
    (
        "",
        "PersistentVolumeClaim",
        &[
            NAME,
            text("Status", |o, _| cells::phase(o)),
            text("Volume", |o, _| cells::or(&o["spec"]["volumeName"], "")),
            text("Capacity", |o, _| cells::plain(&o["status"]["capacity"]["storage"], "")),
            text("Access Modes", |o, _| cells::access_modes(&o["status"]["accessModes"])),
            text("StorageClass", |o, _| cells::or(&o["spec"]["storageClassName"], "")),
            text("VolumeAttributesClass", |o, _| cells::or(&o["spec"]["volumeAttributesClassName"], "<unset>")),
            AGE,
            wide(text("VolumeMode", |o, _| cells::or(&o["spec"]["volumeMode"], "Filesystem"))),
        ],
    ),
    ("", "ServiceAccount", &[NAME, AGE]),
    ("", "Event", EVENTS),
    ("events.k8s.io", "Event", EVENTS),
    ("", "Endpoints", &[NAME, text("Endpoints", |o, _| cells::endpoints(o)), AGE]),
    (
        "discovery.k8s.io",
        "EndpointSlice",
        &[
            NAME,
            text("AddressType", |o, _| o["addressType"].clone()),
            text("Ports", |o, _| cells::list_of(&o["ports"], "port")),
            text("Endpoints", |o, _| cells::slice_addresses(o)),
            AGE,
        ],
    ),
    (
        "",
        "ResourceQuota",
        &[NAME, text("Request", |o, _| cells::quota(o, false)), text("Limit", |o, _| cells::quota(o, true)), AGE],
    ),
    ("", "LimitRange", &[NAME, CREATED]),
    (
        "",
        "PodTemplate",
        &[
            NAME,
            text("Containers", |o, _| cells::containers(&o["template"]["spec"], "name")),
            text("Images", |o, _| cells::containers(&o["template"]["spec"], "image")),
            text("Pod Labels", |o, _| cells::labels(&o["template"]["metadata"]["labels"])),
        ],
    ),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        &[
            NAME,
            text("Reference", |o, _| cells::joined(&o["spec"]["scaleTargetRef"], "kind", "/", "name")),
            text("Targets", |o, _| cells::targets(o)),
            text("MinPods", |o, _| cells::plain(&o["spec"]["minReplicas"], "1")),
            number("MaxPods", |o, _| o["spec"]["maxReplicas"].clone()),
            number("Replicas", |o, _| cells::count(&o["status"]["currentReplicas"])),
            AGE,
        ],
    ),
    (
        "policy",
        "PodDisruptionBudget",
        &[
            NAME,
            text("Min Available", |o, _| cells::plain(&o["spec"]["minAvailable"], "N/A")),
            text("Max Unavailable", |o, _| cells::plain(&o["spec"]["maxUnavailable"], "N/A")),
            number("Allowed Disruptions", |o, _| cells::count(&o["status"]["disruptionsAllowed"])),
            AGE,
        ],
    ),
    ("rbac.authorization.k8s.io", "Role", &[NAME, CREATED]),
    ("rbac.authorization.k8s.io", "ClusterRole", &[NAME, CREATED]),
    ("rbac.authorization.k8s.io", "RoleBinding", BINDING),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", BINDING),
    ("apiextensions.k8s.io", "CustomResourceDefinition", &[NAME, CREATED]),
    (
        "storage.k8s.io",
        "StorageClass",
        &[
            NAME,
            text("Provisioner", |o, _| o["provisioner"].clone()),
            text("ReclaimPolicy", |o, _| cells::or(&o["reclaimPolicy"], "Delete")),
            text("VolumeBindingMode", |o, _| cells::or(&o["volumeBindingMode"], "Immediate")),
            text("AllowVolumeExpansion", |o, _| (o["allowVolumeExpansion"] == true).into()),
            AGE,
        ],
    ),
    (
        "scheduling.k8s.io",
        "PriorityClass",
        &[
            NAME,
            number("Value", |o, _| o["value"].clone()),
            text("Global-Default", |o, _| (o["globalDefault"] == true).into()),
            AGE,
            text("PreemptionPolicy", |o, _| cells::or(&o["preemptionPolicy"], "PreemptLowerPriority")),
        ],
    ),
    ("node.k8s.io", "RuntimeClass", &[NAME, text("Handler", |o, _| o["handler"].clone()), AGE]),
    ("coordination.k8s.io", "Lease", &[NAME, text("Holder", |o, _| o["spec"]["holderIdentity"].clone()), AGE]),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", WEBHOOKS),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", WEBHOOKS),
    ("", "ComponentStatus", components::COLUMNS),
    ("apiregistration.k8s.io", "APIService", api_services::COLUMNS),
    (
        "certificates.k8s.io",
        "CertificateSigningRequest",
        &[
            NAME,
            AGE,
            text("SignerName", |o, _| o["spec"]["signerName"].clone()),
            text("Requestor", |o, _| o["spec"]["username"].clone()),
            text("Condition", |o, _| {
                let list = cells::list_of(&o["status"]["conditions"], "type");
                if list == "<none>" { "Pending".into() } else { list }
            }),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::super::registry::ROWS;
    use super::*;
    use serde_json::json;

    #[test]
    fn every_table_is_of_a_served_kind_and_stands_empty_objects() {
        for (group, kind, columns) in TABLES {
            assert!(ROWS.iter().any(|row| row.group == *group && row.kind == *kind), "{group} {kind}");
            for object in [json!({}), json!({"metadata": {"name": "a"}, "spec": {}, "status": {}})] {
                columns.iter().for_each(|column| drop((column.cell)(&object, Timestamp::UNIX_EPOCH)));
            }
        }
    }

    #[test]
    fn a_deployment_reads_as_kubectl_shows_it() {
        let object = json!({"metadata": {"name": "web"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
            "template": {"spec": {"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "j"}]}}},
            "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2}});
        let cells: Vec<Value> =
            of("apps", "Deployment").iter().map(|c| (c.cell)(&object, Timestamp::UNIX_EPOCH)).collect();
        assert_eq!(json!(cells), json!(["web", "2/3", 3, 2, "<unknown>", "c,d", "i:1,j", "a=b"]));
    }
}
