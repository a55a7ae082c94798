//! Event: what happened to an object, as Kubernetes keeps it.

use super::column::{Column, at};
use super::{Family, Kind, Relation, Tie, Verb};
use crate::base::{Health, Id, State, Value};

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    short_names: &["ev"],
    namespaced: true,
    family: Family::Plain,
    doc: "what happened to an object",
    columns: &[
        Column { name: "TYPE", doc: "Normal or Warning", wide: false, cell: |document| at(document, "/type") },
        Column { name: "REASON", doc: "why, in one word", wide: false, cell: |document| at(document, "/reason") },
        Column {
            name: "OBJECT",
            doc: "what it happened to",
            wide: false,
            cell: |document| {
                format!("{}/{}", at(document, "/involvedObject/kind"), at(document, "/involvedObject/name"))
            },
        },
        Column { name: "MESSAGE", doc: "what happened", wide: false, cell: |document| at(document, "/message") },
    ],
    relations,
    health,
    verbs: &[Verb::Delete],
    views: &[],
    custom: None,
    example: "\
apiVersion: v1
kind: Event
metadata:
  name: example
  namespace: default
involvedObject:
  apiVersion: v1
  kind: Namespace
  name: default
type: Normal
reason: Progressing
message: namespace created
",
};

/// The object that the event is about; `None` when the event does not say.
pub fn subject(document: &Value) -> Option<Id> {
    let (group, _) = document.pointer("/involvedObject/apiVersion")?.as_str()?.rsplit_once('/').unwrap_or_default();
    let text = |key: &str| at(document, &format!("/involvedObject/{key}"));
    Some(Id::new(group, &text("kind"), &text("namespace"), &text("name")))
}

fn relations(document: &Value) -> Vec<Relation> {
    subject(document).map(|to| Relation { tie: Tie::Uses, to }).into_iter().collect()
}

fn health(document: &Value) -> Health {
    let state = if at(document, "/type") == "Warning" { State::Failed } else { State::Ready };
    Health::new(state, &at(document, "/reason"), &at(document, "/message"))
}
