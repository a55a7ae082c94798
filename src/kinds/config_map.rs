//! ConfigMap: shown with the number of its keys.

use super::column::Column;
use super::generic::no_relations;
use super::{Family, Kind, PLAIN_VERBS, kstatus};

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    short_names: &["cm"],
    namespaced: true,
    family: Family::Plain,
    doc: "plain configuration values",
    columns: &[Column { name: "DATA", doc: "number of keys", wide: false, cell: super::column::data_keys }],
    relations: no_relations,
    health: kstatus::health,
    verbs: PLAIN_VERBS,
    views: &[],
    custom: None,
    example: "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: example
data:
  key: value
",
};
