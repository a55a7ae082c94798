//! Namespace: shown with its phase.

use super::column::{Column, STATUS, at};
use super::generic::no_relations;
use super::{Family, Kind, PLAIN_VERBS, kstatus};

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Namespace",
    plural: "namespaces",
    short_names: &["ns"],
    namespaced: false,
    family: Family::Plain,
    doc: "a place for objects",
    columns: &[
        Column {
            name: "PHASE",
            doc: "Active, or Terminating while its content is deleted",
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
kind: Namespace
metadata:
  name: example
",
};
