//! Pod: shown with its phase.

use super::column::{Column, STATUS, at};
use super::generic::no_relations;
use super::{Family, Kind, PLAIN_VERBS, kstatus};

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    short_names: &["po"],
    namespaced: true,
    family: Family::Workload,
    doc: "containers running together",
    columns: &[
        Column {
            name: "PHASE",
            doc: "where the pod is in its life",
            wide: false,
            cell: |document| at(document, "/status/phase"),
        },
        STATUS,
    ],
    relations: no_relations,
    health: kstatus::health,
    verbs: PLAIN_VERBS,
    views: &[],
    custom: None,
    example: "\
apiVersion: v1
kind: Pod
metadata:
  name: example
status:
  phase: Running
",
};
