//! One request and its answer: paths, deadlines, size limits, and what a refusal means.
//!
//! Built on raw requests rather than `kube::Api`, because the status, the body and `Retry-After` of a refusal all
//! matter here, and because objects stay JSON values. Start with [`Call`].

use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Cause, Cluster, ClusterError, error};
use crate::base::{Api, Id};

/// Time for a whole read or write.
const DEADLINE: Duration = Duration::from_secs(30);
/// Time for one page of a list.
pub(super) const LIST_DEADLINE: Duration = Duration::from_secs(60);
/// Largest answer: a page of 500 objects of half a megabyte each.
const ANSWER_BYTES: usize = 256 << 20;
/// Largest refusal that is read.
const REFUSAL_BYTES: usize = 1 << 20;
/// How often a request is repeated that the server did not even begin (429).
const REPEATS: u32 = 3;

/// One request, before it is sent.
pub(super) struct Call<'a> {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    content_type: &'static str,
    body: Option<&'a Value>,
    /// The object or list that errors name.
    what: String,
    /// Kind and name asked for, to tell an absent object from an absent kind.
    name: String,
    secret: bool,
    /// The API group whose discovery is stale when the kind is not there.
    group: Option<String>,
    deadline: Duration,
}

impl<'a> Call<'a> {
    /// A request to a path that names no object, such as discovery.
    pub(super) fn path(path: &str) -> Self {
        Call {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            content_type: "application/json",
            body: None,
            what: path.trim_start_matches('/').into(),
            name: String::new(),
            secret: false,
            group: None,
            deadline: DEADLINE,
        }
    }

    /// A request to all objects of a kind, in one namespace or everywhere.
    pub(super) fn all(api: &Api, namespace: Option<&str>) -> Self {
        let what = match namespace {
            Some(namespace) => format!("{} in {namespace}", api.plural),
            None => api.plural.clone(),
        };
        Call { what, secret: is_secret(api), group: Some(api.group.clone()), ..Call::path(&collection(api, namespace)) }
    }

    /// A request to one object, or to a subresource of it.
    pub(super) fn one(api: &Api, id: &Id, subresource: Option<&str>) -> Self {
        let namespace = Some(&*id.namespace).filter(|namespace| !namespace.is_empty());
        let mut path = format!("{}/{}", collection(api, namespace), encode(&id.name));
        if let Some(subresource) = subresource {
            path.push('/');
            path.push_str(subresource);
        }
        let (what, name, group) = (id.to_string(), id.name.to_string(), Some(api.group.clone()));
        Call { what, name, secret: is_secret(api), group, ..Call::path(&path) }
    }

    pub(super) fn method(self, method: Method) -> Self {
        Call { method, ..self }
    }

    pub(super) fn what(self, what: String) -> Self {
        Call { what, ..self }
    }

    pub(super) fn deadline(self, deadline: Duration) -> Self {
        Call { deadline, ..self }
    }

    pub(super) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    pub(super) fn query_if(self, key: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    pub(super) fn body(self, content_type: &'static str, body: &'a Value) -> Self {
        Call { content_type, body: Some(body), ..self }
    }

    fn uri(&self) -> String {
        let mut uri = self.path.clone();
        for (index, (key, value)) in self.query.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            uri.push_str(&format!("{key}={}", encode(value)));
        }
        uri
    }

    fn request(&self) -> Result<Request<Body>, ClusterError> {
        let mut builder =
            Request::builder().method(self.method.clone()).uri(self.uri()).header(header::ACCEPT, "application/json");
        let body = match self.body {
            Some(body) => {
                builder = builder.header(header::CONTENT_TYPE, self.content_type);
                Body::from(body.to_string().into_bytes())
            }
            None => Body::empty(),
        };
        builder.body(body).map_err(|e| self.other(0, e.to_string()))
    }

    /// A refusal with words of our own.
    pub(super) fn other(&self, code: u16, message: String) -> ClusterError {
        ClusterError::Other { what: self.what.clone(), code, message }
    }

    /// What a refusal of the server means.
    fn refusal(&self, code: StatusCode, headers: &HeaderMap, bytes: &[u8]) -> ClusterError {
        let status: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let message = match status["message"].as_str() {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).trim().to_owned(),
        };
        let clean = |text: &str| match self.body {
            Some(body) if self.secret => error::redact(text, body),
            _ => text.to_owned(),
        };
        let (what, message) = (self.what.clone(), clean(&message));
        let causes = || causes(&status, clean);
        match (code.as_u16(), status["reason"].as_str().unwrap_or_default()) {
            (401, _) => ClusterError::Unauthorized { message },
            (403, _) => ClusterError::Forbidden { what, message },
            (404, _) => self.absence(&status),
            (409, "AlreadyExists") => ClusterError::Exists { what },
            (409, _) => ClusterError::Conflict { what, message, causes: causes() },
            (410, _) | (_, "Expired" | "Gone") => ClusterError::TooOld { what, message },
            (400 | 422, _) => ClusterError::Invalid { what, message, causes: causes() },
            // A real server answers a field that the schema lacks with 500 when it applies.
            (500, _) if message.contains("typed patch object") => {
                ClusterError::Invalid { what, message, causes: causes() }
            }
            (429 | 503, _) => ClusterError::Busy { what, message, retry_after: retry_after(&status, headers) },
            (504, _) => ClusterError::Timeout { what, after: self.deadline },
            (code, _) => ClusterError::Other { what, code, message },
        }
    }

    /// Tells an absent object, an absent namespace and an absent kind apart: all three answer 404.
    fn absence(&self, status: &Value) -> ClusterError {
        let details = &status["details"];
        let name = details["name"].as_str().unwrap_or_default();
        if details["kind"] == "namespaces" && name != self.name && !name.is_empty() {
            return ClusterError::NotFound { what: format!("Namespace/{name}") };
        }
        let is_object = status["reason"] == "NotFound" && !self.name.is_empty() && name == self.name;
        match is_object {
            true => ClusterError::NotFound { what: self.what.clone() },
            false => ClusterError::NoKind { what: self.what.clone() },
        }
    }
}

impl Cluster {
    /// Sends a request and reads the JSON of its answer.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Value, ClusterError> {
        let until = Instant::now() + call.deadline;
        let mut repeats = 0;
        loop {
            let answer = timeout_at(until, self.once(&call)).await;
            match answer
                .unwrap_or_else(|_| Err(ClusterError::Timeout { what: call.what.clone(), after: call.deadline }))
            {
                // 429 comes before the server begins, so even a write may be repeated.
                Err(ClusterError::Busy { retry_after: Some(after), .. })
                    if repeats < REPEATS && Instant::now() + after < until =>
                {
                    repeats += 1;
                    sleep(after).await;
                }
                answer => return answer,
            }
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Value, ClusterError> {
        let body = self.open(call).await?;
        let bytes = Limited::new(body, ANSWER_BYTES).collect().await;
        let bytes = bytes.map_err(|e| ClusterError::Unreachable { message: chain(e.as_ref()) })?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|e| call.other(200, format!("the answer is not JSON: {e}")))
    }

    /// Sends a request and hands out the body of its answer when the server agreed.
    pub(super) async fn open(&self, call: &Call<'_>) -> Result<Body, ClusterError> {
        let mut request = call.request()?;
        if call.query.iter().any(|(key, _)| *key == "watch") {
            // Servers may compress each event on its own, which the decoder of the client does not read.
            request.headers_mut().insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
        }
        let response = self.client().send(request).await.map_err(no_answer)?;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            return Ok(body);
        }
        let bytes = Limited::new(body, REFUSAL_BYTES).collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
        let refusal = call.refusal(parts.status, &parts.headers, &bytes);
        if let (ClusterError::NoKind { .. }, Some(group)) = (&refusal, &call.group) {
            self.discovery().forget(group);
        }
        Err(refusal)
    }
}

fn collection(api: &Api, namespace: Option<&str>) -> String {
    let root =
        if api.group.is_empty() { format!("/api/{}", api.version) } else { format!("/apis/{}", api.api_version()) };
    match namespace {
        Some(namespace) if api.namespaced => format!("{root}/namespaces/{}/{}", encode(namespace), api.plural),
        _ => format!("{root}/{}", api.plural),
    }
}

/// Percent-encodes one segment of a path or one value of a query.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b',' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn is_secret(api: &Api) -> bool {
    api.group.is_empty() && api.kind == "Secret"
}

fn causes(status: &Value, clean: impl Fn(&str) -> String) -> Vec<Cause> {
    let list = status.pointer("/details/causes").and_then(Value::as_array);
    let cause = |cause: &Value| {
        let text = |key: &str| cause[key].as_str().unwrap_or_default();
        Cause { field: text("field").into(), reason: text("reason").into(), message: clean(text("message")) }
    };
    list.into_iter().flatten().map(cause).collect()
}

fn retry_after(status: &Value, headers: &HeaderMap) -> Option<Duration> {
    let header = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let seconds: u64 = header.or_else(|| status.pointer("/details/retryAfterSeconds")?.as_u64())?;
    Some(Duration::from_secs(seconds.clamp(1, 30)))
}

/// The client could not get any answer.
fn no_answer(error: kube::Error) -> ClusterError {
    let message = without_layers(&chain(&error));
    match error {
        kube::Error::Auth(_) => ClusterError::Unauthorized { message },
        kube::Error::Service(inner) => match inner.downcast::<ClusterError>() {
            Ok(own) => *own,
            Err(_) => ClusterError::Unreachable { message },
        },
        _ => ClusterError::Unreachable { message },
    }
}

/// An error with its sources, each said once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !parts.last().is_some_and(|before| before.ends_with(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

/// The same without the names of the layers it came through, which tell people nothing.
fn without_layers(chain: &str) -> String {
    const LAYERS: [&str; 4] =
        ["ServiceError: ", "client error (Connect): ", "client error (SendRequest): ", "tcp connect error: "];
    let mut rest = chain;
    while let Some(inner) = LAYERS.iter().find_map(|layer| rest.strip_prefix(layer)) {
        rest = inner;
    }
    rest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config_maps() -> Api {
        Api {
            group: "".into(),
            version: "v1".into(),
            kind: "ConfigMap".into(),
            plural: "configmaps".into(),
            namespaced: true,
        }
    }

    #[test]
    fn why_nobody_answers_is_said_without_layers() {
        let long = "ServiceError: client error (Connect): tcp connect error: Connection refused (os error 111)";
        assert_eq!(without_layers(long), "Connection refused (os error 111)");
        let tls = "ServiceError: client error (Connect): invalid peer certificate: UnknownIssuer";
        assert_eq!(without_layers(tls), "invalid peer certificate: UnknownIssuer");
        assert_eq!(without_layers("dns error: no such name"), "dns error: no such name");
    }

    #[test]
    fn paths_and_queries_cannot_be_broken_out_of() {
        let id = Id::new("", "ConfigMap", "a", "../b?x=y");
        let call = Call::one(&config_maps(), &id, Some("status")).query("labelSelector", "a=b,c in (d)");
        assert_eq!(
            call.uri(),
            "/api/v1/namespaces/a/configmaps/..%2Fb%3Fx%3Dy/status?labelSelector=a%3Db,c%20in%20%28d%29"
        );
    }

    #[test]
    fn three_kinds_of_404_are_told_apart() {
        let id = Id::new("", "ConfigMap", "a", "b");
        let refuse = |status: Value| {
            let call = Call::one(&config_maps(), &id, None);
            call.refusal(StatusCode::NOT_FOUND, &HeaderMap::new(), status.to_string().as_bytes())
        };
        let object = json!({"reason": "NotFound", "details": {"name": "b", "kind": "configmaps"}});
        assert_eq!(refuse(object), ClusterError::NotFound { what: "ConfigMap/a/b".into() });
        let namespace = json!({"reason": "NotFound", "details": {"name": "a", "kind": "namespaces"}});
        assert_eq!(refuse(namespace), ClusterError::NotFound { what: "Namespace/a".into() });
        let path = json!({"reason": "NotFound", "details": {}});
        assert_eq!(refuse(path), ClusterError::NoKind { what: "ConfigMap/a/b".into() });
        assert_eq!(refuse(json!("404 page not found")), ClusterError::NoKind { what: "ConfigMap/a/b".into() });
    }

    #[test]
    fn conflicts_name_field_and_owner_and_secrets_stay_secret() {
        let secrets = Api { kind: "Secret".into(), plural: "secrets".into(), ..config_maps() };
        let id = Id::new("", "Secret", "a", "b");
        let body = json!({"kind": "Secret", "stringData": {"p": "canary-word"}});
        let call = Call::one(&secrets, &id, None).body("application/json", &body);
        let status = json!({"reason": "Conflict", "message": "p: canary-word", "details": {"causes": [
            {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" canary-word", "field": ".data.p"}]}});
        let error = call.refusal(StatusCode::CONFLICT, &HeaderMap::new(), status.to_string().as_bytes());
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        let ClusterError::Conflict { causes, .. } = error else { panic!("{error:?}") };
        assert_eq!(causes[0].field, ".data.p");
    }
}
