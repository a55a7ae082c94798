//! The simulator's loop: it watches workloads and writes the status that controllers and kubelets would.
//!
//! A reconciler like any other, over a client; it owns what it writes as `weir-simulator`, and is not started at all
//! when simulation is off. What it writes is decided in `simulate.rs`. Start with [`run`].

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::SelectAll;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::simulate::{self, KINDS, Stage, Wish};

const OWNER: &str = "weir-simulator";

/// How long after a refused write it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// One object of one kind, at one generation: what a delay is counted for.
type Visit = (usize, String, String, String, i64);

/// When each visit is due; `None` when its delay is over.
type Due = BTreeMap<Visit, Option<Instant>>;

struct Simulator {
    client: kube::Client,
    kinds: Vec<ApiResource>,
    due: Due,
    now: fn() -> Timestamp,
}

/// Simulates until the API closes.
pub async fn run(client: kube::Client, now: fn() -> Timestamp, closing: CancellationToken) {
    let kinds: Vec<ApiResource> = KINDS.iter().map(|(group, kind, plural)| resource(group, kind, plural)).collect();
    let mut events = SelectAll::new();
    for (at, kind) in kinds.iter().enumerate() {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
        let touched = watcher(api, watcher::Config::default()).default_backoff().touched_objects();
        events.push(touched.map_ok(move |object| (at, object)).boxed());
    }
    let mut simulator = Simulator { client, kinds, due: Due::new(), now };
    loop {
        let next = simulator.due.iter().filter_map(|(visit, at)| Some((*at.as_ref()?, visit.clone()))).min();
        let wake = next.as_ref().map_or_else(|| Instant::now() + Duration::from_secs(3600), |(at, _)| *at);
        tokio::select! {
            () = closing.cancelled() => return,
            event = events.next() => match event {
                Some(Ok((kind, object))) => simulator.look(kind, &object).await,
                // The watcher tries again by itself, with a growing pause.
                Some(Err(_)) => {}
                None => return,
            },
            () = sleep_until(wake) => if let Some((_, visit)) = next {
                simulator.arrive(visit).await;
            },
        }
    }
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    let version = if group == "autoscaling" { "v2" } else { "v1" };
    let api_version = if group.is_empty() { version.to_string() } else { format!("{group}/{version}") };
    ApiResource { group: group.into(), version: version.into(), api_version, kind: kind.into(), plural: plural.into() }
}

fn api(client: &kube::Client, kind: &ApiResource, namespace: &str) -> Api<DynamicObject> {
    if namespace.is_empty() {
        Api::all_with(client.clone(), kind)
    } else {
        Api::namespaced_with(client.clone(), namespace, kind)
    }
}

impl Simulator {
    async fn look(&mut self, at: usize, object: &DynamicObject) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let uid = object.uid().unwrap_or_default();
        let visit: Visit = (at, namespace, name, uid, object.metadata.generation.unwrap_or(0));
        // Delays of earlier generations, and of what goes, are no longer counted.
        let going = object.metadata.deletion_timestamp.is_some();
        self.due.retain(|other, _| other.3 != visit.3 || (*other == visit && !going));
        let Some(value) = whole(&self.kinds[at], object).filter(|_| !going) else { return };
        let stage = match Wish::of(&value) {
            Wish::Ready => Stage::Ready,
            Wish::Fail => Stage::Failed,
            Wish::ReadyAfter(delay) => match self.due.entry(visit.clone()).or_insert(Some(Instant::now() + delay)) {
                Some(_) => Stage::Progressing,
                None => Stage::Ready,
            },
        };
        if !self.write(at, &value, stage).await {
            self.due.insert(visit, Some(Instant::now() + RETRY));
        }
    }

    /// The delay of an object is over, or a refused write is due again.
    async fn arrive(&mut self, visit: Visit) {
        let (at, namespace, name, uid, generation) = visit.clone();
        self.due.insert(visit, None);
        let Ok(Some(object)) = api(&self.client, &self.kinds[at], &namespace).get_opt(&name).await else { return };
        if object.uid() == Some(uid) && object.metadata.generation.unwrap_or(0) == generation {
            self.look(at, &object).await;
        }
    }

    /// Writes a status, if it is another one; `false` when that must be tried again.
    async fn write(&self, at: usize, object: &Value, stage: Stage) -> bool {
        let stamp = (self.now)().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let Some(mut status) = simulate::status(object, stage, &stamp) else { return true };
        let old = &object["status"];
        if status == *old || (old.is_null() && status == json!({})) {
            return true;
        }
        // A merge patch removes only what it names.
        for (key, _) in old.as_object().into_iter().flatten() {
            if status.get(key).is_none() {
                status[key] = Value::Null;
            }
        }
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let patch = json!({"metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}, "status": status});
        let parameters = PatchParams { field_manager: Some(OWNER.into()), ..PatchParams::default() };
        let api = api(&self.client, &self.kinds[at], text("namespace"));
        match api.patch_status(text("name"), &parameters, &Patch::Merge(patch)).await {
            Ok(_) => true,
            // It changed or went meanwhile: another event says so.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => true,
            Err(why) => {
                tracing::debug!(name = text("name"), "the simulated status was not written: {why}");
                false
            }
        }
    }
}

fn whole(kind: &ApiResource, object: &DynamicObject) -> Option<Value> {
    let mut value = serde_json::to_value(object).ok()?;
    // Items of lists carry no kind.
    value["kind"] = kind.kind.clone().into();
    Some(value)
}
