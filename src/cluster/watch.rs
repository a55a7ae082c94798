//! A watch of one kind, or of one object: events as they come, with an idle deadline and a bound on each.
//!
//! Knows nothing of lists, retries or pictures: `store::watch` and [`Cluster::follow`] do. Start with [`Cluster::watch`].

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::wire::{Call, chain};
use super::{Cluster, ClusterError};
use crate::base::{Api, Id};

/// How long a server shall hold a watch open. Seconds.
const HOLD: u64 = 290;
/// Silence after which the connection counts as dead: bookmarks come about every minute.
const IDLE: Duration = Duration::from_secs(HOLD + 40);
/// Time for a server to begin to answer.
const OPENING: Duration = Duration::from_secs(30);
/// Largest event: an object may have 3 MiB, and its JSON no more than a few times that.
const EVENT_BYTES: usize = 32 << 20;
/// Between two openings of one watch, whatever the server does.
pub(crate) const FLOOR: Duration = Duration::from_secs(1);

/// What a watch tells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// It is there, new or changed.
    Applied(Value),
    Deleted(Value),
    /// Everything up to this version has been told.
    Bookmark(String),
    /// An event that cannot be read.
    Unreadable(String),
}

/// An open watch.
pub(crate) struct Watch {
    body: Body,
    buffer: BytesMut,
    /// Bytes of the buffer that hold no line end.
    searched: usize,
    what: String,
}

impl Cluster {
    /// Opens a watch after a version; `fields` narrows it, e.g. to one name.
    ///
    /// Errors with `TooOld` when the server does not have that version any more.
    pub(crate) async fn watch(
        &self,
        api: &Api,
        namespace: Option<&str>,
        fields: Option<&str>,
        resource_version: &str,
    ) -> Result<Watch, ClusterError> {
        let call = Call::all(api, namespace)
            .query("watch", "true")
            .query("allowWatchBookmarks", "true")
            .query("timeoutSeconds", HOLD.to_string())
            .query("resourceVersion", resource_version)
            .query_if("fieldSelector", fields);
        let what = api.plural.clone();
        let opened = timeout(OPENING, self.open(&call)).await;
        let body = opened.map_err(|_| ClusterError::Timeout { what: what.clone(), after: OPENING })??;
        Ok(Watch { body, buffer: BytesMut::new(), searched: 0, what })
    }

    /// Follows one object until `seen` finds what it looks for; `None` is told when the object is gone.
    ///
    /// Errors with `Timeout` at the deadline, and with what the server refuses for good. Never polls faster than once a
    /// second, and never relies on a watch alone: each round begins with a fresh read.
    pub async fn follow<T>(
        &self,
        id: &Id,
        deadline: Duration,
        mut seen: impl FnMut(Option<&Value>) -> Option<T> + Send,
    ) -> Result<T, ClusterError> {
        let until = Instant::now() + deadline;
        let late = || ClusterError::Timeout { what: id.to_string(), after: deadline };
        loop {
            let round = Instant::now();
            match timeout_at(until, self.follow_once(id, &mut seen)).await {
                Err(_) => return Err(late()),
                Ok(Ok(Some(found))) => return Ok(found),
                Ok(Err(error)) if !error.is_transient() && !matches!(error, ClusterError::TooOld { .. }) => {
                    return Err(error);
                }
                Ok(_) => {}
            }
            if round + FLOOR >= until {
                return Err(late());
            }
            sleep_until(round + FLOOR).await;
        }
    }

    async fn follow_once<T>(
        &self,
        id: &Id,
        seen: &mut (impl FnMut(Option<&Value>) -> Option<T> + Send),
    ) -> Result<Option<T>, ClusterError> {
        let api = self.api_of(id).await?;
        let now = self.get_as(&api, id).await?;
        if let Some(found) = seen(now.as_ref()) {
            return Ok(Some(found));
        }
        let Some(version) = now.as_ref().and_then(|now| now.pointer("/metadata/resourceVersion")?.as_str()) else {
            return Ok(None);
        };
        let namespace = Some(&*id.namespace).filter(|namespace| !namespace.is_empty());
        let fields = format!("metadata.name={}", id.name);
        let mut watch = self.watch(&api, namespace, Some(&fields), version).await?;
        while let Some(event) = watch.next().await? {
            let found = match event {
                Event::Applied(now) => seen(Some(&now)),
                Event::Deleted(_) => seen(None),
                Event::Bookmark(_) | Event::Unreadable(_) => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

impl Watch {
    /// The next event; `None` when the server closed the watch. Safe to cancel.
    ///
    /// Errors with `TooOld` when the server says so inside the stream, and when the connection breaks or is silent.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, ClusterError> {
        loop {
            if let Some(line) = self.line() {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return self.event(&line).map(Some);
            }
            if self.buffer.len() > EVENT_BYTES {
                let message = format!("an event is larger than {EVENT_BYTES} bytes");
                return Err(ClusterError::Other { what: self.what.clone(), code: 200, message });
            }
            let frame = timeout(IDLE, self.body.frame()).await;
            match frame.map_err(|_| ClusterError::Timeout { what: self.what.clone(), after: IDLE })? {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(ClusterError::Unreachable { message: chain(&error) }),
            }
        }
    }

    /// The next event if it has arrived already; never waits for the network.
    pub(crate) fn ready(&mut self) -> Option<Result<Event, ClusterError>> {
        let line = self.line()?;
        Some(self.event(&line))
    }

    fn line(&mut self) -> Option<BytesMut> {
        let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(end) = found.map(|offset| self.searched + offset) else {
            self.searched = self.buffer.len();
            return None;
        };
        self.searched = 0;
        let line = self.buffer.split_to(end);
        self.buffer.advance(1);
        Some(line)
    }

    fn event(&self, line: &[u8]) -> Result<Event, ClusterError> {
        let mut event: Value = match serde_json::from_slice(line) {
            Ok(event) => event,
            Err(error) => return Ok(Event::Unreadable(error.to_string())),
        };
        let object = event["object"].take();
        match event["type"].as_str().unwrap_or_default() {
            "ADDED" | "MODIFIED" => Ok(Event::Applied(object)),
            "DELETED" => Ok(Event::Deleted(object)),
            "BOOKMARK" => Ok(match object.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
                Some(version) => Event::Bookmark(version.to_owned()),
                None => Event::Unreadable("a bookmark without version".into()),
            }),
            "ERROR" => {
                let message = object["message"].as_str().unwrap_or("the server ended the watch").to_owned();
                match (object["code"].as_u64(), object["reason"].as_str().unwrap_or_default()) {
                    (Some(410), _) | (_, "Expired" | "Gone") => {
                        Err(ClusterError::TooOld { what: self.what.clone(), message })
                    }
                    (code, _) => Err(ClusterError::Other {
                        what: self.what.clone(),
                        code: code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500),
                        message,
                    }),
                }
            }
            other => Ok(Event::Unreadable(format!("an event of type {other:?}"))),
        }
    }
}
