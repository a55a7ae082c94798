//! Events: what weir tells of an object, kept on the cluster as core/v1.
//!
//! One event per object, reporter, type, reason and message; saying it again counts up. The name is derived from these,
//! so that nothing has to be remembered between two runs of the program.

use serde_json::{Value, json};

use super::{Cluster, ClusterError, EventType, Notice};
use crate::base::{Digest, Id};

/// The API cuts longer messages; keep what a person needs. Source: client-go tools/events.
const MESSAGE_BYTES: usize = 1024;

impl Cluster {
    /// Emits a core/v1 Event about an object; a repeated one counts up instead.
    ///
    /// Errors when the server refuses both; the caller logs that and goes on.
    pub async fn emit_event(&self, about: &Value, notice: &Notice<'_>) -> Result<(), ClusterError> {
        let event = event(about, notice, &now());
        match self.create(&event, notice.reporter, false).await {
            Err(ClusterError::Exists { .. }) => self.count_up(&event, notice.reporter).await,
            answer => answer.map(drop),
        }
    }

    async fn count_up(&self, event: &Value, reporter: &str) -> Result<(), ClusterError> {
        let Some(id) = Id::of(event) else { return Ok(()) };
        let Some(kept) = self.get(&id).await? else {
            // It expired in between.
            return self.create(event, reporter, false).await.map(drop);
        };
        let count = kept["count"].as_i64().unwrap_or(1) + 1;
        let patch = json!({"count": count, "lastTimestamp": event["lastTimestamp"],
            "metadata": {"annotations": event["metadata"]["annotations"]}});
        self.merge_patch(&id, &patch, None, reporter).await.map(drop)
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn event(about: &Value, notice: &Notice<'_>, now: &str) -> Value {
    let text = |pointer: &str| about.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    let severity = match notice.severity {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    };
    let message = cut(notice.message, MESSAGE_BYTES);
    let head = [text("/kind"), text("/metadata/uid"), notice.reporter, severity, notice.reason, message];
    let digest = Digest::sha256(head.join("\0").as_bytes()).hex;
    let annotations: serde_json::Map<_, _> =
        notice.annotations.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("{}.{}", cut(name, 230), &digest[..16]), "namespace": namespace,
            "annotations": annotations},
        "involvedObject": {"apiVersion": text("/apiVersion"), "kind": text("/kind"), "name": name,
            "namespace": text("/metadata/namespace"), "uid": text("/metadata/uid"),
            "resourceVersion": text("/metadata/resourceVersion")},
        "type": severity, "reason": notice.reason, "message": message,
        "source": {"component": notice.reporter}, "reportingComponent": notice.reporter, "reportingInstance": "weir",
        "firstTimestamp": now, "lastTimestamp": now, "count": 1,
    })
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_news_has_the_same_name_and_other_news_another() {
        let about =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "u", "namespace": "n"}});
        let say = |message: &str| {
            let notice = Notice {
                severity: EventType::Normal,
                reason: "Progressing",
                message,
                reporter: "weir",
                annotations: &[],
            };
            event(&about, &notice, "2026-01-01T00:00:00Z")["metadata"]["name"].clone()
        };
        assert_eq!(say("one"), say("one"));
        assert_ne!(say("one"), say("two"));
    }
}
