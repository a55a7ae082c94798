//! What the API says when it says no: `Status` objects exactly as clients expect them.
//!
//! kubectl and kube-rs branch on `reason` and on `details.causes`, so both are exact; the sentences are for people.
//! Nothing here decides anything. Start with [`Failure`].

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::schema::Cause;

/// A value that is not allowed, shown as given.
pub fn invalid_value(field: impl Into<String>, value: &Value, message: &str) -> Cause {
    cause("FieldValueInvalid", field, format!("Invalid value: {value}: {message}"))
}

/// A value that must be there.
pub fn required_value(field: impl Into<String>, message: &str) -> Cause {
    let text = if message.is_empty() { "Required value".to_string() } else { format!("Required value: {message}") };
    cause("FieldValueRequired", field, text)
}

/// A change that may not be made.
pub fn forbidden_value(field: impl Into<String>, message: &str) -> Cause {
    cause("FieldValueForbidden", field, format!("Forbidden: {message}"))
}

/// Names a field and what is wrong with it.
pub fn cause(reason: &str, field: impl Into<String>, message: impl Into<String>) -> Cause {
    Cause { reason: reason.into(), field: field.into(), message: message.into() }
}

/// A request that was refused, ready to become a `Status` answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Map<String, Value>,
}

/// The name of a resource in messages: `deployments.apps`, or `configmaps` for the core group.
pub fn qualified(plural: &str, group: &str) -> String {
    if group.is_empty() { plural.to_string() } else { format!("{plural}.{group}") }
}

fn about(group: &str, kind: &str, name: &str) -> Map<String, Value> {
    let mut details = Map::new();
    for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details.insert(key.into(), value.into());
        }
    }
    details
}

impl Failure {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, reason, message: message.into(), details: Map::new() }
    }

    /// 400: the request itself is wrong.
    pub fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(400, "BadRequest", message)
    }

    /// 404 for one object.
    pub fn not_found(plural: &str, group: &str, name: &str) -> Failure {
        let message = format!("{} \"{name}\" not found", qualified(plural, group));
        Failure { details: about(group, plural, name), ..Failure::new(404, "NotFound", message) }
    }

    /// 404 for a path that nothing answers.
    pub fn no_such_resource() -> Failure {
        Failure::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 405: the resource is there, the verb is not.
    pub fn method_not_allowed(sentence: impl Into<String>) -> Failure {
        Failure::new(405, "MethodNotAllowed", sentence)
    }

    /// 501: the verb exists on a cluster and not here.
    pub fn not_implemented(sentence: impl Into<String>) -> Failure {
        Failure::new(501, "NotImplemented", sentence)
    }

    /// 409: an object of that name is there.
    pub fn already_exists(plural: &str, group: &str, name: &str) -> Failure {
        let message = format!("{} \"{name}\" already exists", qualified(plural, group));
        Failure { details: about(group, plural, name), ..Failure::new(409, "AlreadyExists", message) }
    }

    /// 409: somebody else was faster, or a precondition does not hold.
    pub fn conflict(plural: &str, group: &str, name: &str, why: &str) -> Failure {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(plural, group));
        Failure { details: about(group, plural, name), ..Failure::new(409, "Conflict", message) }
    }

    /// 403 with a reason a person can act on.
    pub fn forbidden(plural: &str, group: &str, name: &str, why: &str) -> Failure {
        let message = format!("{} \"{name}\" is forbidden: {why}", qualified(plural, group));
        Failure { details: about(group, plural, name), ..Failure::new(403, "Forbidden", message) }
    }

    /// 422 with every field that is wrong.
    pub fn invalid(kind: &str, group: &str, name: &str, causes: Vec<Cause>) -> Failure {
        let texts: Vec<String> = causes
            .iter()
            .map(|c| if c.field.is_empty() { c.message.clone() } else { format!("{}: {}", c.field, c.message) })
            .collect();
        let list = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
        let who = qualified(kind, group);
        let failure = Failure::new(422, "Invalid", format!("{who} \"{name}\" is invalid: {list}"));
        Failure { details: about(group, kind, name), ..failure }.with_causes(causes)
    }

    /// 410: the history that was asked for is gone; list again.
    pub fn expired(message: impl Into<String>) -> Failure {
        Failure::new(410, "Expired", message)
    }

    /// 500: a fault of this server, not of the request.
    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::new(500, "InternalError", format!("Internal error occurred: {}", message.into()))
    }

    /// Adds causes to the details.
    pub fn with_causes(mut self, causes: Vec<Cause>) -> Failure {
        let list = causes.into_iter().map(|c| {
            let mut cause = Map::new();
            cause.insert("reason".into(), c.reason.into());
            cause.insert("message".into(), c.message.into());
            if !c.field.is_empty() {
                cause.insert("field".into(), c.field.into());
            }
            Value::Object(cause)
        });
        self.details.insert("causes".into(), list.collect());
        self
    }

    /// Tells the client when to try again.
    pub fn retry_after(mut self, seconds: u32) -> Failure {
        self.details.insert("retryAfterSeconds".into(), seconds.into());
        self
    }

    /// The `Status` object.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_empty() {
            status["details"] = Value::Object(self.details.clone());
        }
        status["code"] = self.code.into();
        status
    }

    /// The HTTP code, 500 when it is not one.
    pub fn http(&self) -> StatusCode {
        StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_object_is_named_with_its_group() {
        let status = Failure::not_found("deployments", "apps", "web").to_value();
        assert_eq!(status["message"], r#"deployments.apps "web" not found"#);
        assert_eq!(status["details"], json!({"name": "web", "group": "apps", "kind": "deployments"}));
        assert_eq!(status["code"], 404);
    }

    #[test]
    fn several_causes_are_listed_in_brackets() {
        let causes = vec![required_value("a", ""), invalid_value("b", &json!("x"), "no")];
        let failure = Failure::invalid("Pod", "", "p", causes);
        assert_eq!(failure.message, r#"Pod "p" is invalid: [a: Required value, b: Invalid value: "x": no]"#);
        assert_eq!(failure.to_value()["details"]["causes"][0]["reason"], "FieldValueRequired");
    }
}
