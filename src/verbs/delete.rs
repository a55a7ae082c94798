//! Delete: ask, then wait until the object is gone, telling who holds it.

use super::{DEADLINE, Desk, Outcome, Progress, Refusal, by_git, refuse};
use crate::base::{Id, Text, Value};
use crate::cluster::{ClusterError, Precondition, Propagation};

/// Deletes exactly the object that was looked at, and what it owns.
pub(super) async fn delete(desk: &Desk, document: &Value, id: &Id, progress: Progress<'_>) -> Result<Outcome, Refusal> {
    let uid = document.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
    let precondition = Precondition { uid: uid.clone(), resource_version: None };
    desk.cluster.delete(id, Propagation::Background, &precondition).await?;
    let mut holders = String::new();
    let mut last = String::new();
    let gone = desk.cluster.follow(id, DEADLINE, |now| {
        let Some(now) = now.filter(|now| now.pointer("/metadata/uid").and_then(Value::as_str) == uid.as_deref()) else {
            return Some(());
        };
        let finalizers = now.pointer("/metadata/finalizers").and_then(Value::as_array);
        holders = finalizers.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
        if holders != last {
            progress(Text::new(format!("{id}: held by {holders}")));
            last.clone_from(&holders);
        }
        None
    });
    match gone.await {
        Ok(()) => Ok(Outcome { message: Text::new(told(desk, document, id)), id: id.clone() }),
        Err(ClusterError::Timeout { .. }) => Err(refuse(
            format!("{id} is marked for deletion, but held by {last} for more than 5m"),
            "who set that finalizer must finish; look at its events and logs",
        )),
        Err(error) => Err(error.into()),
    }
}

fn told(desk: &Desk, document: &Value, id: &Id) -> String {
    match by_git(desk, id, document) {
        Some(owner) => format!("deleted; {owner} applies it from Git and will make it again"),
        None => "deleted".into(),
    }
}
