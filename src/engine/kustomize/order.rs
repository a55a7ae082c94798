//! The order of the output.
//!
//! Source: kustomize api/internal/builtins/SortOrderTransformer.go.

use std::cmp::Reverse;

use super::entries::Sort;
use super::resource::Resource;
use super::set::Set;
use super::spec::{legacy_order, sort_text};

/// Orders the objects; first in, first out leaves them.
pub(super) fn sort(set: &mut Set, sort: &Sort) {
    let Sort::Legacy(lists) = sort else { return };
    let (first, last) = lists.clone().unwrap_or_else(legacy_order);
    set.items_mut().sort_by_cached_key(|resource| key(resource, &first, &last));
}

fn key(resource: &Resource, first: &[String], last: &[String]) -> (i64, bool, Reverse<String>, String, String) {
    let kind = resource.kind();
    // The last mention counts, as later entries of a list overwrite earlier ones.
    let place = |list: &[String]| list.iter().rposition(|name| name == kind).and_then(|at| i64::try_from(at).ok());
    let count = i64::try_from(first.len()).unwrap_or(i64::MAX);
    let rank = place(last).map(|at| 1 + at).or_else(|| place(first).map(|at| at - count)).unwrap_or(0);
    // Of several kinds called Namespace the core one comes first, and its versions stand in reverse.
    let is_namespace = kind == "Namespace" && rank != 0;
    let is_core = is_namespace && resource.group().is_empty();
    let sorted = sort_text(resource.group(), resource.version(), kind);
    let (core, other) = if is_core { (sorted, String::new()) } else { (String::new(), sorted) };
    let or = |part: &str, missing: &str| if part.is_empty() { missing.to_owned() } else { part.to_owned() };
    let names = format!("{}|{}|{}", id_text(resource), or(resource.namespace(), "~X"), or(resource.name(), "~N"));
    (rank, is_namespace && !is_core, Reverse(core), other, names)
}

fn id_text(resource: &Resource) -> String {
    let or = |part: &str, missing: &str| if part.is_empty() { missing.to_owned() } else { part.to_owned() };
    let (kind, version) = (or(resource.kind(), "[noKind]"), or(resource.version(), "[noVer]"));
    format!("{kind}.{version}.{}", or(resource.group(), "[noGrp]"))
}
