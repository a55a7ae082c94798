//! kube's own watcher under cut streams, refusals, lag and forgotten history: in the end it knows what is there.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use weir::embedded::{Effect, Embedded, Fault, Options};

/// Waits hardly at all: these tests are about order, not about patience.
struct Impatient;

impl Iterator for Impatient {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }
}

impl Backoff for Impatient {
    fn reset(&mut self) {}
}

fn runs() -> u64 {
    std::env::var("WEIR_TEST_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(25)
}

#[tokio::test]
async fn watchers_end_with_what_a_fresh_list_shows() {
    for seed in 0..runs() {
        one_life(seed).await;
    }
}

async fn one_life(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let history = random.random_range(5..60);
    let embedded = Embedded::open(Options { simulate: false, history, ..Options::default() }).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(embedded.client());
    let config =
        if random.random_bool(0.5) { watcher::Config::default() } else { watcher::Config::default().streaming_lists() };
    let config = config.timeout(1).page_size(random.random_range(2..10));
    let (reader, writer) = reflector::store::<ConfigMap>();
    let stream = reflector::reflector(writer, watcher(api.clone(), config).backoff(Impatient));
    let watching = tokio::spawn(stream.for_each(|_| async {}));
    for step in 0..random.random_range(20..120) {
        disturb(&embedded, &mut random);
        change(&api, &mut random, step).await;
        if random.random_bool(0.2) {
            tokio::task::yield_now().await;
        }
        if random.random_bool(0.02) {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    embedded.dial().calm();
    // One more change, so that a watch that waits has something to see.
    change(&api, &mut random, 1000).await;
    let mut expected = BTreeMap::new();
    for map in api.list(&ListParams::default()).await.unwrap() {
        expected.insert(map.name_any(), map.resource_version());
    }
    let agrees = || {
        let state = reader.state();
        state.len() == expected.len()
            && expected.iter().all(|(name, revision)| {
                reader.get(&ObjectRef::new(name).within("default")).is_some_and(|m| m.resource_version() == *revision)
            })
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !agrees() {
        assert!(tokio::time::Instant::now() < deadline, "seed {seed}: wanted {expected:?}, known {:?}", reader.state());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    watching.abort();
}

fn disturb(embedded: &Embedded, random: &mut StdRng) {
    let effect = match random.random_range(0..100) {
        0..12 => Effect::CutAfter(random.random_range(0..4)),
        12..16 => Effect::Refuse(500, "InternalError", "out of order".into()),
        16..20 => Effect::Refuse(410, "Expired", "too old resource version".into()),
        20..22 => Effect::Wait(Duration::from_millis(2)),
        22..26 => return embedded.dial().lag(Duration::from_millis(random.random_range(0..5))),
        _ => return,
    };
    embedded.dial().fault(Fault { method: Some(http::Method::GET), path: "/configmaps".into(), times: 1, effect });
}

async fn change(api: &Api<ConfigMap>, random: &mut StdRng, step: u32) {
    let name = format!("m{}", random.random_range(0..12));
    if random.random_bool(0.3) {
        let _ = api.delete(&name, &DeleteParams::default()).await;
        return;
    }
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"step": step.to_string()}});
    api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(body)).await.unwrap();
}
