//! Secret: shown with its type and the number of its keys, never with a value.

use super::column::{Column, at, data_keys};
use super::generic::no_relations;
use super::{Family, Kind, PLAIN_VERBS, kstatus};

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Secret",
    plural: "secrets",
    short_names: &["sec"],
    namespaced: true,
    family: Family::Plain,
    doc: "confidential values, always masked",
    columns: &[
        Column { name: "TYPE", doc: "what the keys mean", wide: false, cell: |document| at(document, "/type") },
        Column { name: "DATA", doc: "number of keys", wide: false, cell: data_keys },
    ],
    relations: no_relations,
    health: kstatus::health,
    verbs: PLAIN_VERBS,
    views: &[],
    custom: None,
    example: "\
apiVersion: v1
kind: Secret
metadata:
  name: example
type: Opaque
",
};
