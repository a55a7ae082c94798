//! The kind for everything that has no file of its own: shown, judged by kstatus, edited and deleted like any object.

use serde_json::{Value, json};

use super::column::{MESSAGE, STATUS};
use super::{Family, Kind, PLAIN_VERBS, Relation, kstatus, meta};

/// Serves objects of unknown kinds; its names are empty because the object brings its own.
pub static KIND: Kind = Kind {
    group: "",
    version: "",
    kind: "",
    plural: "",
    short_names: &[],
    namespaced: true,
    family: Family::Plain,
    doc: "any other object of the cluster",
    columns: &[STATUS, MESSAGE],
    relations: no_relations,
    health: kstatus::health,
    verbs: PLAIN_VERBS,
    views: &[],
    custom: None,
    example: "",
};

pub(super) fn no_relations(_: &Value) -> Vec<Relation> {
    Vec::new()
}

/// Adds to a derived CRD what the derivation cannot say: keep it out of post-build substitution.
pub(super) fn finish_crd(mut crd: Value) -> Value {
    let (key, value) = meta::NO_SUBSTITUTE;
    crd["metadata"]["annotations"] = json!({ key: value });
    crd["metadata"]["labels"] = json!({ "app.kubernetes.io/part-of": "flux" });
    crd
}
