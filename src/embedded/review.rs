//! Reviews: who am I, and may I. One person on one machine: yes.
//!
//! Nothing is stored and nothing is enforced; impersonated identities are shown back. Start with [`answer`].

use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::registry::REVIEWS;
use super::request::Request;
use super::status::Failure;
use super::view::Form;

/// Answers a posted review, if the path names one.
pub fn answer(group: &str, version: &str, rest: &[&str], request: &Request) -> Option<Result<Answer, Failure>> {
    let plural = match rest {
        [plural] => plural,
        ["namespaces", _, plural] => plural,
        _ => return None,
    };
    let review = REVIEWS.iter().find(|r| r.0 == group && r.1 == version && r.3 == *plural)?;
    Some(request.body_value().map(|body| answer::value(201, Form::Json, &answered(review.2, body, request))))
}

fn answered(kind: &str, mut body: Value, request: &Request) -> Value {
    if !body.is_object() {
        body = json!({});
    }
    match kind {
        "SelfSubjectReview" => {
            let user = request.user();
            let mut info = json!({"username": user.name, "groups": user.groups});
            if !user.uid.is_empty() {
                info["uid"] = user.uid.into();
            }
            if !user.extra.is_empty() {
                info["extra"] = json!(user.extra);
            }
            body["status"] = json!({"userInfo": info});
        }
        "SelfSubjectRulesReview" => {
            body["status"] = json!({"incomplete": false,
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]});
        }
        _ => body["status"] = json!({"allowed": true, "reason": "the embedded API enforces no RBAC"}),
    }
    body
}
