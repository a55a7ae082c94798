//! Events: what the cluster keeps of what happened, oldest first.

use super::{Desk, EventLine, Refusal};
use crate::base::{Id, Stamp, Text, Value};
use crate::kinds::{self, Tie, event};
use crate::store::Feed;

/// The events about some objects, or all.
///
/// Errors when the picture does not have them and the cluster does not give them: never an empty list instead.
pub(super) async fn events(desk: &Desk, about: Option<&[Id]>) -> Result<Vec<EventLine>, Refusal> {
    let documents = match desk.store.feed(event::KIND.group, event::KIND.kind) {
        Feed::Live { .. } => from_picture(desk, about),
        _ => desk.cluster.list(&event::KIND.api(), None, None).await?,
    };
    let mut lines: Vec<EventLine> = documents.iter().map(line).collect();
    if let Some(about) = about {
        lines.retain(|line| line.about.as_ref().is_some_and(|subject| about.contains(subject)));
    }
    lines.sort_by_key(|line| line.last_seen);
    Ok(lines)
}

/// The object and what it is built from: a failed fetch explains a stale deployer.
pub(super) fn with_source(document: &Value, id: &Id) -> Vec<Id> {
    let relations = (kinds::of_id(id).relations)(document).into_iter();
    let sources = relations.filter(|relation| relation.tie == Tie::Source).map(|relation| relation.to);
    std::iter::once(id.clone()).chain(sources).collect()
}

/// Events relate to their subject, so those about one object are found without reading the others.
fn from_picture(desk: &Desk, about: Option<&[Id]>) -> Vec<Value> {
    let Some(about) = about else {
        let all = desk.store.of_kind(event::KIND.group, event::KIND.kind);
        return all.iter().map(|entry| entry.object.body()).collect();
    };
    let pointing = about.iter().flat_map(|id| desk.store.pointing_at(id)).map(|(_, from)| from);
    let events = pointing.filter(|from| &*from.kind == event::KIND.kind && from.group.is_empty());
    events.filter_map(|id| desk.store.get(&id)).map(|entry| entry.object.body()).collect()
}

fn line(document: &Value) -> EventLine {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let times =
        ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/firstTimestamp", "/metadata/creationTimestamp"];
    let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_i64);
    EventLine {
        last_seen: times.iter().find_map(|pointer| text(pointer).parse::<Stamp>().ok()),
        count: number("/series/count").or_else(|| number("/count")).unwrap_or(1),
        warning: text("/type") == "Warning",
        reason: Text::new(text("/reason")),
        about: event::subject(document),
        message: Text::new(text("/message").trim()),
    }
}
