//! Replaying the watch from any revision equals the list, whatever was written.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use proptest::prelude::*;
use serde_json::json;
use weir::embedded::{Embedded, Options};

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Merge(u8, u8),
    Apply(u8, u8),
    Hold(u8),
    Release(u8),
    Delete(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0u8..5;
    prop_oneof![
        name.clone().prop_map(Step::Create),
        (name.clone(), 0u8..4).prop_map(|(n, v)| Step::Merge(n, v)),
        (name.clone(), 0u8..4).prop_map(|(n, v)| Step::Apply(n, v)),
        name.clone().prop_map(Step::Hold),
        name.clone().prop_map(Step::Release),
        name.prop_map(Step::Delete),
    ]
}

type Picture = BTreeMap<String, (String, bool)>;

async fn picture(api: &Api<ConfigMap>) -> (Picture, String) {
    let list = api.list(&ListParams::default().labels("test=yes")).await.unwrap();
    let picture = list
        .items
        .iter()
        .map(|m| (m.name_any(), (m.resource_version().unwrap(), m.metadata.deletion_timestamp.is_some())));
    (picture.collect(), list.metadata.resource_version.unwrap())
}

async fn take(api: &Api<ConfigMap>, step: &Step) {
    let name = |n: &u8| format!("m{n}");
    let labels = json!({"test": "yes"});
    let merge = |n: u8, patch: serde_json::Value| async move {
        let _ = api.patch(&name(&n), &PatchParams::default(), &Patch::Merge(patch)).await;
    };
    match step {
        Step::Create(n) => {
            let body = json!({"metadata": {"name": name(n), "labels": labels}});
            let _ = api.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await;
        }
        // Value 3 takes the object out of the selection.
        Step::Merge(n, 3) => merge(*n, json!({"metadata": {"labels": {"test": "no"}}})).await,
        Step::Merge(n, v) => merge(*n, json!({"metadata": {"labels": labels}, "data": {"v": v.to_string()}})).await,
        Step::Apply(n, v) => {
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name(n), "labels": labels}, "data": {"w": v.to_string()}});
            let _ = api.patch(&name(n), &PatchParams::apply("test").force(), &Patch::Apply(body)).await;
        }
        Step::Hold(n) => merge(*n, json!({"metadata": {"finalizers": ["x.y/z"]}})).await,
        Step::Release(n) => merge(*n, json!({"metadata": {"finalizers": null}})).await,
        Step::Delete(n) => {
            let _ = api.delete(&name(n), &DeleteParams::default()).await;
        }
    }
}

/// What a client that listed at some time and watched from there believes now.
async fn replay(api: &Api<ConfigMap>, mut picture: Picture, since: &str, until: u64) -> Picture {
    let parameters = WatchParams::default().labels("test=yes").timeout(1);
    let mut events = api.watch(&parameters, since).await.unwrap().boxed();
    let mut last: u64 = since.parse().unwrap();
    while last < until {
        let Some(event) = events.next().await else { break };
        let (object, gone) = match event.unwrap() {
            WatchEvent::Added(o) => {
                assert!(!picture.contains_key(&o.name_any()), "added twice");
                (o, false)
            }
            WatchEvent::Modified(o) => {
                assert!(picture.contains_key(&o.name_any()), "modified before it was added");
                (o, false)
            }
            WatchEvent::Deleted(o) => {
                assert!(picture.contains_key(&o.name_any()), "deleted before it was added");
                (o, true)
            }
            WatchEvent::Bookmark(b) => {
                last = b.metadata.resource_version.parse().unwrap();
                continue;
            }
            WatchEvent::Error(status) => panic!("{status:?}"),
        };
        let revision: u64 = object.resource_version().unwrap().parse().unwrap();
        assert!(revision > last, "revisions go up: {revision} after {last}");
        last = revision;
        if gone {
            picture.remove(&object.name_any());
        } else {
            let state = (object.resource_version().unwrap(), object.metadata.deletion_timestamp.is_some());
            picture.insert(object.name_any(), state);
        }
    }
    picture
}

fn cases() -> u32 {
    std::env::var("WEIR_TEST_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn replaying_the_watch_from_any_revision_equals_the_list(
        steps in proptest::collection::vec(step(), 1..40),
        from in proptest::collection::vec(any::<prop::sample::Index>(), 3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let embedded = Embedded::open(Options { simulate: false, ..Options::default() }).await.unwrap();
            let api: Api<ConfigMap> = Api::default_namespaced(embedded.client());
            let mut pictures = vec![picture(&api).await];
            for step in &steps {
                take(&api, step).await;
                pictures.push(picture(&api).await);
            }
            // The last change matches every watch, so that each knows when it has seen everything.
            let end = json!({"metadata": {"name": "end", "labels": {"test": "yes"}}});
            api.create(&PostParams::default(), &serde_json::from_value(end).unwrap()).await.unwrap();
            pictures.push(picture(&api).await);
            let (last, until) = pictures.last().cloned().unwrap();
            // Three moments of each history, and its beginning: many histories tell more than many moments of one.
            let moments = from.iter().map(|index| index.get(&pictures)).chain(pictures.first());
            for (picture, since) in moments.cloned() {
                assert_eq!(replay(&api, picture, &since, until.parse().unwrap()).await, last);
            }
        });
    }
}
