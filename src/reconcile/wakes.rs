//! What wakes whom: a change of the picture becomes wakes in the queue.
//!
//! Own status writes wake nobody: only a new generation, a request, a deletion, or news of a related object do.
//! Level-triggered: what counts is the picture now, however many changes led to it. Start with [`Wakes::observe`].

use std::collections::HashMap;

use super::queue::{Slots, Wake};
use super::running::{lane_of, wake_now};
use crate::base::{Id, State, Value};
use crate::kinds::{Kind, Tie, meta};
use crate::store::{Entry, Store};

/// What was last seen of the objects that can wake others or themselves.
pub(super) struct Wakes {
    kinds: Vec<&'static Kind>,
    seen: HashMap<Id, Seen>,
    signals: HashMap<Id, Signals>,
}

/// What of an object matters to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    uid: Box<str>,
    generation: i64,
    deleting: bool,
    requested: Option<String>,
    /// The annotations that are addressed to weir itself, e.g. the release of a held prune.
    told: Vec<(String, String)>,
}

/// What of an object matters to those that point at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Signals {
    /// The artifact: its revision and digest.
    source: Option<(String, String)>,
    /// Ready at its generation, and what it applied.
    ready: Option<String>,
    /// The version of a labelled ConfigMap or Secret.
    config: Option<Box<str>>,
}

impl Wakes {
    /// For these kinds, in the order of their lanes.
    pub fn new(kinds: Vec<&'static Kind>) -> Self {
        Wakes { kinds, seen: HashMap::new(), signals: HashMap::new() }
    }

    /// Looks at one object that changed and wakes it and those that point at it, as needed.
    pub fn observe(&mut self, store: &Store, id: &Id, slots: &mut Slots) {
        let lane = lane_of(&self.kinds, id);
        let pointing: Vec<(Tie, Id, usize)> = store
            .pointing_at(id)
            .into_iter()
            .filter(|(tie, _)| matches!(tie, Tie::Source | Tie::DependsOn | Tie::Uses))
            .filter_map(|(tie, from)| lane_of(&self.kinds, &from).map(|lane| (tie, from, lane)))
            .collect();
        let entry = store.get(id);
        if lane.is_none() && pointing.is_empty() {
            self.signals.remove(id);
            return;
        }
        let body = entry.as_ref().map(|entry| entry.object.body());
        match (lane, entry.as_ref().zip(body.as_ref())) {
            (Some(lane), Some((entry, body))) => {
                self.learn_targets(store, entry);
                self.observe_self(entry, body, lane, slots);
            }
            (Some(_), None) => {
                self.seen.remove(id);
                slots.forget(id);
            }
            (None, _) => {}
        }
        let signals = entry.zip(body).map(|(entry, body)| signals(&entry, &body)).unwrap_or_default();
        let old = self.signals.insert(id.clone(), signals.clone()).unwrap_or_default();
        for (tie, from, lane) in pointing {
            if concerns(store, tie, &from, &old, &signals, slots) {
                wake_now(slots, &from, lane, Wake::Related(tie, id.clone()));
            }
        }
    }

    /// Takes note of what an object points at, so that the first change of it is known as one.
    fn learn_targets(&mut self, store: &Store, entry: &Entry) {
        for relation in entry.relations.iter().filter(|relation| relation.tie == Tie::Uses) {
            if !self.signals.contains_key(&relation.to)
                && let Some(target) = store.get(&relation.to)
            {
                self.signals.insert(relation.to.clone(), signals(&target, &target.object.body()));
            }
        }
    }

    fn observe_self(&mut self, entry: &Entry, body: &Value, lane: usize, slots: &mut Slots) {
        let object = &entry.object;
        let now = Seen {
            uid: object.uid.clone(),
            generation: object.generation,
            deleting: object.deleting,
            requested: annotation(body, meta::REQUESTED_AT),
            told: told(body),
        };
        let why = match self.seen.get(&object.id) {
            Some(old) if *old == now => return,
            Some(old) if old.uid != now.uid => Wake::Seen,
            Some(old) if now.deleting && !old.deleting => Wake::Deleted,
            Some(old) if old.generation != now.generation => Wake::Changed(now.generation),
            Some(old) if old.requested != now.requested => Wake::Requested(now.requested.clone().unwrap_or_default()),
            Some(_) => Wake::Told,
            None => Wake::Seen,
        };
        self.seen.insert(object.id.clone(), now);
        wake_now(slots, &object.id, lane, why);
    }
}

/// Whether news of one object is a reason to work on another that points at it.
fn concerns(store: &Store, tie: Tie, from: &Id, old: &Signals, new: &Signals, slots: &Slots) -> bool {
    match tie {
        // Source: kustomize-controller's index of revisions: what was tried already is not tried again for it.
        Tie::Source => {
            new.source.is_some() && old.source != new.source && (old.source.is_some() || !has_tried(store, from, new))
        }
        Tie::DependsOn => new.ready.is_some() && old.ready != new.ready && slots.waits(from),
        Tie::Uses => new.config.is_some() && old.config.is_some() && old.config != new.config,
        Tie::Owns | Tie::Notifies => false,
    }
}

/// Whether an object is ready with that very revision.
fn has_tried(store: &Store, id: &Id, source: &Signals) -> bool {
    let Some(entry) = store.get(id) else { return false };
    let body = entry.object.body();
    let tried = body.pointer("/status/lastAttemptedRevision").and_then(Value::as_str);
    entry.health.state == State::Ready && tried == source.source.as_ref().map(|(revision, _)| revision.as_str())
}

fn signals(entry: &Entry, body: &Value) -> Signals {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    // What a source is at: an artifact, a scan, or a chosen image.
    let places = ["/status/artifact/revision", "/status/lastScanResult/revision", "/status/latestRef/tag"];
    let revision = places.iter().map(|place| text(place)).find(|text| !text.is_empty()).unwrap_or_default();
    let digest = ["/status/artifact/digest", "/status/latestRef/digest", "/status/latestRef/name"];
    let digest = digest.map(text).concat();
    let is_watched = body.pointer("/metadata/labels").and_then(|labels| labels.get(meta::WATCH_LABEL));
    Signals {
        source: (!revision.is_empty()).then_some((revision, digest)),
        ready: (entry.health.state == State::Ready).then(|| text("/status/lastAppliedRevision")),
        config: (is_watched.and_then(Value::as_str) == Some("Enabled")).then(|| entry.object.resource_version.clone()),
    }
}

fn told(body: &Value) -> Vec<(String, String)> {
    let annotations = body.pointer("/metadata/annotations").and_then(Value::as_object);
    let own = annotations.into_iter().flatten().filter(|(key, _)| key.starts_with("weir.dev/"));
    own.map(|(key, value)| (key.clone(), value.to_string())).collect()
}

fn annotation(body: &Value, key: &str) -> Option<String> {
    Some(body.pointer("/metadata/annotations")?.get(key)?.as_str()?.to_owned())
}
