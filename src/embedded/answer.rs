//! What goes back to a client: bodies, headers and their encodings.
//!
//! Start with [`Answer`]; everything that is served ends in one.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::Value;

use super::status::Failure;
use super::view::Form;
use crate::base::yaml;

/// The body of an answer: bytes, or the stream of a watch.
pub type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// An answer on its way out.
pub type Answer = Response<AnswerBody>;

/// An answer of bytes.
pub fn bytes(code: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// An answer of JSON text.
pub fn json_text(body: impl Into<Bytes>) -> Answer {
    bytes(StatusCode::OK, "application/json", body)
}

/// An answer of one value, in the form asked for.
pub fn value(code: u16, form: Form, value: &Value) -> Answer {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
    match form {
        Form::Yaml => bytes(code, "application/yaml", yaml::write(value)),
        _ => bytes(code, "application/json", value.to_string()),
    }
}

/// A refusal.
pub fn failure(failure: &Failure) -> Answer {
    let mut answer = bytes(failure.http(), "application/json", failure.to_value().to_string());
    if let Some(seconds) = failure.details.get("retryAfterSeconds").and_then(Value::as_u64) {
        answer.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// Plain text, as health endpoints give it.
pub fn plain(code: StatusCode, text: &str) -> Answer {
    bytes(code, "text/plain; charset=utf-8", text.to_string())
}

/// An endless answer.
pub fn stream(events: impl Stream<Item = Bytes> + Send + 'static) -> Answer {
    let frames = events.map(|chunk| Ok(Frame::data(chunk)));
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = answer.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// Adds `Warning` headers, as kubectl prints them.
pub fn warn(answer: &mut Answer, warnings: &[String]) {
    for warning in warnings.iter().take(50) {
        let clean: String = warning.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = format!("299 - \"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\""));
        if let Ok(value) = HeaderValue::from_str(&text) {
            answer.headers_mut().append(http::header::WARNING, value);
        }
    }
}
