//! Deployment: shown with its replicas, never reconciled here.

use super::column::{Column, STATUS, at};
use super::generic::no_relations;
use super::{Family, Kind, PLAIN_VERBS, kstatus};

pub static KIND: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    plural: "deployments",
    short_names: &["deploy"],
    namespaced: true,
    family: Family::Workload,
    doc: "pods kept running and rolled over",
    columns: &[
        Column {
            name: "READY",
            doc: "ready replicas of those wanted",
            wide: false,
            cell: |document| {
                let ready = at(document, "/status/readyReplicas");
                let wanted = at(document, "/spec/replicas");
                let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
                format!("{}/{}", or(ready, "0"), or(wanted, "1"))
            },
        },
        STATUS,
    ],
    relations: no_relations,
    health: kstatus::health,
    verbs: PLAIN_VERBS,
    views: &[],
    custom: None,
    example: "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: example
spec:
  replicas: 2
",
};
