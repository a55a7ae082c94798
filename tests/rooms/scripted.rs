//! A scripted API server for faults that a good one never shows: it serves ConfigMaps, denies Secrets, knows no Flux.
//!
//! Behind a real `kube::Client`, so that only the network is missing. Start with [`Scripted`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;
use weir::cluster::{Cluster, Place};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The next watch is refused with HTTP 410, once.
    GoneOnOpen,
    /// The next watch says 410 inside the stream, once.
    GoneInStream,
    /// Every watch is closed as soon as it is open.
    CloseAtOnce,
    /// Every watch begins with a line that is not JSON.
    Garbage,
    /// Every event is sent twice, the newest first.
    Shuffled,
    /// Lists show the state of an earlier version, and watches are refused.
    Behind(u64),
    /// Everything answers this status.
    Status(u16),
}

#[derive(Clone)]
pub struct Scripted(Arc<Inside>);

struct Inside {
    state: Mutex<State>,
    /// How often it was broken or mended, and the newest version.
    news: watch::Sender<(u64, u64)>,
}

struct State {
    version: u64,
    /// Every change: version, type, object.
    history: Vec<(u64, &'static str, Value)>,
    fault: Fault,
    requests: Vec<String>,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl Scripted {
    pub fn new() -> Self {
        let state = State { version: 1, history: Vec::new(), fault: Fault::None, requests: Vec::new() };
        Scripted(Arc::new(Inside { state: Mutex::new(state), news: watch::Sender::new((0, 1)) }))
    }

    pub fn cluster(&self) -> Cluster {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request.uri())) }
        });
        let place = Place::Context { name: "scripted".into(), server: "https://scripted".into() };
        Cluster::over(kube::Client::new(service, "default"), place)
    }

    /// Breaks it, or mends it; open watches end, as when a server restarts.
    pub fn set(&self, fault: Fault) {
        self.0.state.lock().unwrap().fault = fault;
        self.0.news.send_modify(|(epoch, _)| *epoch += 1);
    }

    pub fn put(&self, name: &str, value: &str) {
        let mut state = self.0.state.lock().unwrap();
        let known = state.objects(u64::MAX).contains_key(name);
        let document = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": value},
            "metadata": {"name": name, "namespace": "a", "uid": format!("uid-{name}")}});
        state.change(if known { "MODIFIED" } else { "ADDED" }, document);
        self.0.news.send_modify(|(_, version)| *version = state.version);
    }

    pub fn delete(&self, name: &str) {
        let mut state = self.0.state.lock().unwrap();
        let Some(document) = state.objects(u64::MAX).remove(name) else { return };
        state.change("DELETED", document);
        self.0.news.send_modify(|(_, version)| *version = state.version);
    }

    /// Names and values as a fresh list would show them.
    pub fn truth(&self) -> BTreeMap<String, String> {
        let objects = self.0.state.lock().unwrap().objects(u64::MAX);
        objects.into_iter().map(|(name, object)| (name, object["data"]["value"].as_str().unwrap().into())).collect()
    }

    /// How many requests about ConfigMaps came whose query has that text.
    pub fn count(&self, text: &str) -> usize {
        let state = self.0.state.lock().unwrap();
        state.requests.iter().filter(|uri| uri.contains("/configmaps?") && uri.contains(text)).count()
    }

    fn answer(&self, uri: &http::Uri) -> Answer {
        let uri = uri.to_string();
        let mut state = self.0.state.lock().unwrap();
        state.requests.push(uri.clone());
        let path = uri.split('?').next().unwrap();
        if let Fault::Status(code) = state.fault {
            return refusal(code, "Broken");
        }
        if path.ends_with("/secrets") {
            return refusal(403, "Forbidden");
        }
        if path != "/api/v1/configmaps" {
            return refusal(404, "NotFound");
        }
        let parameter = |name: &str| {
            let found = uri.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            found.map(str::to_owned)
        };
        if parameter("watch").is_some() {
            let after = parameter("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
            drop(state);
            return self.stream(after);
        }
        let shown = if let Fault::Behind(version) = state.fault { version } else { state.version };
        let items: Vec<Value> = state.objects(shown).into_values().collect();
        whole(
            200,
            &json!({"kind": "ConfigMapList", "metadata": {"resourceVersion": shown.to_string()}, "items": items}),
        )
    }

    fn stream(&self, after: u64) -> Answer {
        let mut state = self.0.state.lock().unwrap();
        let mut first = String::new();
        match state.fault {
            Fault::GoneOnOpen => {
                state.fault = Fault::None;
                return refusal(410, "Expired");
            }
            Fault::GoneInStream => {
                state.fault = Fault::None;
                let gone = json!({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}});
                return lines(futures::stream::iter([format!("{gone}\n")]).boxed());
            }
            Fault::Behind(_) => return refusal(410, "Expired"),
            Fault::CloseAtOnce => return lines(futures::stream::empty().boxed()),
            Fault::Garbage => first = "{\"type\":\n\n".into(),
            _ => {}
        }
        drop(state);
        let (inside, mut news) = (self.0.clone(), self.0.news.subscribe());
        let epoch = news.borrow_and_update().0;
        let rest = futures::stream::unfold((inside, news, after), move |(inside, mut news, after)| async move {
            loop {
                if news.borrow_and_update().0 != epoch {
                    return None;
                }
                let (text, version) = inside.state.lock().unwrap().events(after);
                if !text.is_empty() {
                    return Some((text, (inside, news, version)));
                }
                news.changed().await.ok()?;
            }
        });
        lines(futures::stream::iter([first]).chain(rest).boxed())
    }
}

impl State {
    fn change(&mut self, event: &'static str, mut document: Value) {
        self.version += 1;
        document["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.history.push((self.version, event, document));
    }

    fn objects(&self, until: u64) -> BTreeMap<String, Value> {
        let mut objects = BTreeMap::new();
        for (_, event, document) in self.history.iter().take_while(|(version, ..)| *version <= until) {
            let name = document["metadata"]["name"].as_str().unwrap().to_owned();
            match *event {
                "DELETED" => objects.remove(&name),
                _ => objects.insert(name, document.clone()),
            };
        }
        objects
    }

    fn events(&self, after: u64) -> (String, u64) {
        let mut events: Vec<_> = self.history.iter().filter(|(version, ..)| *version > after).collect();
        if self.fault == Fault::Shuffled {
            events = events.iter().rev().chain(events.iter().rev()).copied().collect();
        }
        let text = events.iter().map(|(_, event, object)| format!("{}\n", json!({"type": event, "object": object})));
        (text.collect(), self.version)
    }
}

fn refusal(code: u16, reason: &str) -> Answer {
    whole(code, &json!({"kind": "Status", "code": code, "reason": reason, "message": format!("scripted {reason}")}))
}

fn whole(code: u16, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(body.to_string())).boxed_unsync();
    Response::builder().status(StatusCode::from_u16(code).unwrap()).body(body).unwrap()
}

fn lines(stream: futures::stream::BoxStream<'static, String>) -> Answer {
    let frames = stream.map(|text| Ok(Frame::data(Bytes::from(text))));
    Response::new(StreamBody::new(frames).boxed_unsync())
}
