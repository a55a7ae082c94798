//! What an API server refused, in words for people: the object, the cause, and what to do next.
//!
//! Messages of servers may echo Secret values; they are redacted here, before anybody can print them.
//! Start with [`ClusterError`].

use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

/// Why a request to the cluster failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// 404: the object is not there. A kind that is not served is [`ClusterError::NoKind`].
    #[error("{what} not found")]
    NotFound { what: String },
    /// The server does not serve that kind.
    #[error("the cluster does not know {what}")]
    NoKind { what: String },
    /// 409 on create.
    #[error("{what} exists already")]
    Exists { what: String },
    /// 409: a precondition failed, or other managers own the fields.
    #[error("{what} conflicts: {message}")]
    Conflict { what: String, message: String, causes: Vec<Cause> },
    /// 400 or 422: the server does not accept the document.
    #[error("{what} is not valid: {message}")]
    Invalid { what: String, message: String, causes: Vec<Cause> },
    /// 403.
    #[error("{what}: forbidden: {message}")]
    Forbidden { what: String, message: String },
    /// 401.
    #[error("the cluster does not accept the credentials: {message}")]
    Unauthorized { message: String },
    /// No answer could be had at all.
    #[error("the cluster cannot be reached: {message}")]
    Unreachable { message: String },
    /// 410: the version is gone from the server's history; list anew.
    #[error("{what}: the version is too old: {message}")]
    TooOld { what: String, message: String },
    /// The deadline passed, ours or the server's.
    #[error("{what}: no answer within {}", crate::base::format_duration(*.after))]
    Timeout { what: String, after: Duration },
    /// 429 or 503: the server asks to come back later.
    #[error("{what}: the cluster is busy: {message}")]
    Busy { what: String, message: String, retry_after: Option<Duration> },
    #[error("{what}: {message} (status {code})")]
    Other { what: String, code: u16, message: String },
}

/// One field the server names in a conflict or a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The field path as the server prints it; may be empty.
    pub field: String,
    /// `FieldManagerConflict`, `FieldValueInvalid`, …
    pub reason: String,
    pub message: String,
}

impl ClusterError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            ClusterError::NotFound { .. } => "look at the names with `weir get`",
            ClusterError::NoKind { .. } => "install its CustomResourceDefinition first",
            ClusterError::Exists { .. } => "edit the existing object, or choose another name",
            ClusterError::Conflict { .. } => "somebody else changed it: look again, then repeat",
            ClusterError::Invalid { .. } => "correct the named fields",
            ClusterError::Forbidden { .. } => "ask for the missing permission, or use another context",
            ClusterError::Unauthorized { .. } => "log in again, then repeat",
            ClusterError::Unreachable { .. } => "check the address, the network and the VPN",
            ClusterError::TooOld { .. } => "repeat: the list starts anew",
            ClusterError::Timeout { .. } | ClusterError::Busy { .. } => "try again in a moment",
            ClusterError::Other { .. } => "look at the log for the whole answer",
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            ClusterError::Unreachable { .. } | ClusterError::Timeout { .. } | ClusterError::Busy { .. } => true,
            ClusterError::Other { code, .. } => *code >= 500,
            _ => false,
        }
    }

    /// Whether the server refused because a field may never change: only a new object helps.
    ///
    /// Source: fluxcd/pkg ssa/errors (the message decides; there is no reason for it).
    pub fn is_immutable(&self) -> bool {
        let ClusterError::Invalid { message, causes, .. } = self else { return false };
        let says = |text: &str| text.contains("field is immutable") || text.contains("cannot be changed");
        says(message) || causes.iter().any(|cause| says(&cause.message))
    }
}

/// Replaces every value that a request about a Secret carries, in plain and in base64, in a text of the server.
///
/// `body` is the document or the patch that was sent. Values under four characters are left: they would tear holes into
/// ordinary words. Threat: CVE-2025-23216 (errors that echo the body).
pub fn redact(text: &str, body: &Value) -> String {
    let mut values = Vec::new();
    for value in texts(body) {
        let engine = &base64::engine::general_purpose::STANDARD;
        values.push(engine.encode(value));
        values.extend(engine.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
        values.push(value.to_owned());
    }
    values.retain(|value| value.len() >= 4);
    // The longest first, so that no rest of a longer value survives the replacement of a shorter one.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.iter().fold(text.to_owned(), |clean, value| clean.replace(value, "***"))
}

/// The texts below `data` and `stringData` of a document, and below `value` of JSON patch operations.
fn texts(body: &Value) -> Vec<&str> {
    let operations = body.as_array().into_iter().flatten().filter_map(|operation| operation.get("value"));
    let mut open: Vec<&Value> = ["data", "stringData"].iter().filter_map(|field| body.get(field)).collect();
    open.extend(operations);
    let mut found = Vec::new();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => found.push(text.as_str()),
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_that_a_server_echoes_are_redacted_in_every_form() {
        let secret = json!({"kind": "Secret", "data": {"a": "Y2FuYXJ5LW9uZQ=="}, "stringData": {"b": "canary-two"}});
        let echoed = "bad: canary-one Y2FuYXJ5LW9uZQ== canary-two Y2FuYXJ5LXR3bw==";
        assert_eq!(redact(echoed, &secret), "bad: *** *** *** ***");
        let patch = json!([{"op": "replace", "path": "/data/a", "value": "Y2FuYXJ5LW9uZQ=="}]);
        assert_eq!(redact("bad: canary-one in replace", &patch), "bad: *** in replace");
    }

    #[test]
    fn immutable_fields_are_recognised() {
        let error = ClusterError::Invalid {
            what: "Job/a/b".into(),
            message: "spec.template: Invalid value: {}: field is immutable".into(),
            causes: vec![],
        };
        assert!(error.is_immutable());
    }
}
