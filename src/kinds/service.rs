//! Service: shown with its type.

use super::column::{Column, STATUS, at};
use super::generic::no_relations;
use super::{Family, Kind, PLAIN_VERBS, kstatus};

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Service",
    plural: "services",
    short_names: &["svc"],
    namespaced: true,
    family: Family::Workload,
    doc: "a stable address for pods",
    columns: &[
        Column { name: "TYPE", doc: "how it is reached", wide: false, cell: |document| at(document, "/spec/type") },
        Column {
            name: "CLUSTER-IP",
            doc: "its address in the cluster",
            wide: true,
            cell: |document| at(document, "/spec/clusterIP"),
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
kind: Service
metadata:
  name: example
spec:
  type: ClusterIP
",
};
