//! The embedded API under kube's own client: watchers, pages, recovery, ends of things.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher;
use serde_json::json;
use weir::embedded::{Effect, Embedded, Fault, Options};

async fn open() -> Embedded {
    Embedded::open(Options { simulate: false, ..Options::default() }).await.unwrap()
}

async fn open_with_history(history: usize) -> Embedded {
    Embedded::open(Options { simulate: false, history, ..Options::default() }).await.unwrap()
}

fn map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"v": value}})).unwrap()
}

fn maps(embedded: &Embedded) -> Api<ConfigMap> {
    Api::default_namespaced(embedded.client())
}

#[tokio::test]
async fn a_watch_gives_everything_after_its_revision_in_order_once() {
    let embedded = open().await;
    let api = maps(&embedded);
    let first = api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    let since = first.metadata.resource_version.unwrap();
    for n in 2..6 {
        let patch = json!({"data": {"v": n.to_string()}});
        api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let events = api.watch(&WatchParams::default(), &since).await.unwrap();
    let seen: Vec<String> = events
        .take(5)
        .map_ok(|event| match event {
            WatchEvent::Modified(o) => format!("M{}", o.data.unwrap()["v"]),
            WatchEvent::Deleted(o) => format!("D{}", o.data.unwrap()["v"]),
            other => panic!("{other:?}"),
        })
        .try_collect()
        .await
        .unwrap();
    assert_eq!(seen, ["M2", "M3", "M4", "M5", "D5"]);
}

#[tokio::test]
async fn a_watch_by_label_adds_what_begins_to_match_and_deletes_what_stops() {
    let embedded = open().await;
    let api = maps(&embedded);
    let since = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    for labels in [json!({"x": "y"}), json!({"x": "z"})] {
        let patch = json!({"metadata": {"labels": labels}});
        api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    let parameters = WatchParams::default().labels("x=y");
    let mut events = api.watch(&parameters, &since).await.unwrap().boxed();
    let Some(Ok(WatchEvent::Added(added))) = events.next().await else { panic!("nothing was added") };
    let Some(Ok(WatchEvent::Deleted(gone))) = events.next().await else { panic!("nothing was deleted") };
    assert_eq!(gone.metadata.labels.unwrap()["x"], "y", "the last content that matched");
    assert_ne!(gone.metadata.resource_version, added.metadata.resource_version);
}

#[tokio::test]
async fn pages_agree_with_each_other_while_objects_change() {
    let embedded = open().await;
    let api = maps(&embedded);
    for n in 0..25 {
        api.create(&PostParams::default(), &map(&format!("m{n:02}"), "1")).await.unwrap();
    }
    let mut parameters = ListParams::default().limit(10).fields("metadata.name!=kube-root-ca.crt");
    let mut names = Vec::new();
    let mut revisions = Vec::new();
    loop {
        let page = api.list(&parameters).await.unwrap();
        revisions.push(page.metadata.resource_version.clone().unwrap());
        names.extend(page.items.iter().map(|m| m.metadata.name.clone().unwrap()));
        api.delete("m24", &DeleteParams::default()).await.ok();
        api.create(&PostParams::default(), &map(&format!("m{}x", names.len()), "1")).await.unwrap();
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => break,
        }
    }
    let expected: Vec<String> = (0..25).map(|n| format!("m{n:02}")).collect();
    assert_eq!(names, expected);
    revisions.dedup();
    assert_eq!(revisions.len(), 1);
}

#[tokio::test]
async fn a_watcher_whose_history_is_gone_lists_again() {
    let embedded = open_with_history(50).await;
    let api = maps(&embedded);
    let gone = Fault { method: None, path: "/configmaps".into(), times: 1, effect: Effect::CutAfter(1) };
    api.create(&PostParams::default(), &map("a", "0")).await.unwrap();
    embedded.dial().fault(gone);
    let mut stream = watcher(api.clone(), watcher::Config::default()).boxed();
    while !matches!(stream.next().await, Some(Ok(watcher::Event::InitDone))) {}
    for n in 0..200 {
        let patch = json!({"data": {"v": n.to_string()}});
        api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    let newest = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match stream.next().await {
                Some(Ok(watcher::Event::Apply(o) | watcher::Event::InitApply(o)))
                    if o.data.as_ref().unwrap().get("v").is_some_and(|v| v == "199") =>
                {
                    return;
                }
                Some(_) => {}
                None => panic!("the watcher ended"),
            }
        }
    });
    newest.await.unwrap();
    let lists = embedded
        .dial()
        .requests()
        .iter()
        .filter(|r| r.path.ends_with("/configmaps") && r.query.contains("limit="))
        .count();
    assert!(lists >= 2, "{lists} lists");
}

#[tokio::test]
async fn a_slow_watch_is_cut_off_with_410_and_costs_no_memory() {
    let embedded = open_with_history(50).await;
    let api = maps(&embedded);
    let first = api.create(&PostParams::default(), &map("a", "0")).await.unwrap();
    let mut events =
        api.watch(&WatchParams::default(), &first.metadata.resource_version.unwrap()).await.unwrap().boxed();
    for n in 0..200 {
        let patch = json!({"data": {"v": n.to_string()}});
        api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event.unwrap());
    }
    let Some(WatchEvent::Error(status)) = last else { panic!("{last:?}") };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn a_streaming_list_ends_its_first_phase_with_a_bookmark() {
    let embedded = open().await;
    let api = maps(&embedded);
    api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    let config = watcher::Config::default().streaming_lists();
    let mut stream = watcher(api, config).boxed();
    let mut found = 0;
    tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            match stream.next().await.unwrap().unwrap() {
                watcher::Event::InitApply(_) => found += 1,
                watcher::Event::InitDone => break,
                _ => {}
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(found, 2, "the new map and the namespace's own");
}

#[tokio::test]
async fn a_namespace_takes_its_content_with_it_and_waits_for_finalizers() {
    let embedded = open().await;
    let client = embedded.client();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let body = serde_json::from_value(json!({"metadata": {"name": "work"}})).unwrap();
    namespaces.create(&PostParams::default(), &body).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "work");
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    secrets.create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
    let plain = json!({"metadata": {"name": "plain"}});
    secrets.create(&PostParams::default(), &serde_json::from_value(plain).unwrap()).await.unwrap();
    namespaces.delete("work", &DeleteParams::default()).await.unwrap();
    within(|| async { secrets.get_opt("plain").await.unwrap().is_none() }).await;
    let still = namespaces.get("work").await.unwrap();
    assert_eq!(still.status.unwrap().phase.as_deref(), Some("Terminating"));
    let late = secrets
        .create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": "late"}})).unwrap())
        .await;
    let kube::Error::Api(refused) = late.unwrap_err() else { panic!() };
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    let release = json!({"metadata": {"finalizers": null}});
    secrets.patch("held", &PatchParams::default(), &Patch::Merge(release)).await.unwrap();
    within(|| async { namespaces.get_opt("work").await.unwrap().is_none() }).await;
}

#[tokio::test]
async fn garbage_goes_when_its_last_owner_does() {
    let embedded = open().await;
    let api = maps(&embedded);
    let owner = |name: &'static str| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), &map(name, "1")).await.unwrap().metadata.uid.unwrap() }
    };
    let (one, two) = (owner("one").await, owner("two").await);
    let reference = |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid});
    let child =
        json!({"metadata": {"name": "child", "ownerReferences": [reference("one", &one), reference("two", &two)]}});
    api.create(&PostParams::default(), &serde_json::from_value(child).unwrap()).await.unwrap();
    let orphan = json!({"metadata": {"name": "absent", "ownerReferences": [reference("no", "00000000-0000-4000-8000-000000000000")]}});
    api.create(&PostParams::default(), &serde_json::from_value(orphan).unwrap()).await.unwrap();
    within(|| async { api.get_opt("absent").await.unwrap().is_none() }).await;
    api.delete("one", &DeleteParams::default()).await.unwrap();
    within(|| async { api.get("child").await.unwrap().metadata.owner_references.unwrap().len() == 1 }).await;
    api.delete("two", &DeleteParams::default()).await.unwrap();
    within(|| async { api.get_opt("child").await.unwrap().is_none() }).await;
}

#[tokio::test]
async fn foreground_waits_for_dependants_and_orphan_frees_them() {
    let embedded = open().await;
    let api = maps(&embedded);
    for (propagation, survives) in [(DeleteParams::foreground(), false), (DeleteParams::orphan(), true)] {
        let uid = api.create(&PostParams::default(), &map("owner", "1")).await.unwrap().metadata.uid.unwrap();
        let child = json!({"metadata": {"name": "child", "finalizers": ["example.com/hold"], "ownerReferences":
            [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "blockOwnerDeletion": true}]}});
        api.create(&PostParams::default(), &serde_json::from_value(child).unwrap()).await.unwrap();
        api.delete("owner", &propagation).await.unwrap();
        if survives {
            within(|| async { api.get_opt("owner").await.unwrap().is_none() }).await;
            let child = api.get("child").await.unwrap();
            assert!(child.metadata.owner_references.is_none() && child.metadata.deletion_timestamp.is_none());
            api.delete("child", &DeleteParams::default()).await.unwrap();
        } else {
            within(|| async { api.get("child").await.unwrap().metadata.deletion_timestamp.is_some() }).await;
            assert!(api.get("owner").await.unwrap().metadata.deletion_timestamp.is_some(), "the owner waits");
        }
        let release = json!({"metadata": {"finalizers": null}});
        api.patch("child", &PatchParams::default(), &Patch::Merge(release)).await.unwrap();
        within(|| async {
            api.get_opt("child").await.unwrap().is_none() && api.get_opt("owner").await.unwrap().is_none()
        })
        .await;
    }
}

#[tokio::test]
async fn an_object_that_is_being_deleted_keeps_its_date_and_takes_no_new_finalizer() {
    let embedded = open().await;
    let api = maps(&embedded);
    let held = json!({"metadata": {"name": "a", "finalizers": ["x.y/z"]}});
    api.create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
    let marked = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    let again = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(marked.metadata.resource_version, again.metadata.resource_version);
    let more = json!({"metadata": {"finalizers": ["x.y/z", "x.y/w"]}});
    let refused = api.patch("a", &PatchParams::default(), &Patch::Merge(more)).await.unwrap_err();
    assert!(refused.to_string().contains("no new finalizers"), "{refused}");
}

#[tokio::test]
async fn a_definition_takes_its_instances_with_it() {
    let embedded = open().await;
    let client = embedded.client();
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.x.io"},
        "spec": {"group": "x.io", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    let crd_type = kube::api::ApiResource {
        group: "apiextensions.k8s.io".into(),
        version: "v1".into(),
        api_version: "apiextensions.k8s.io/v1".into(),
        kind: "CustomResourceDefinition".into(),
        plural: "customresourcedefinitions".into(),
    };
    let thing_type = kube::api::ApiResource {
        group: "x.io".into(),
        version: "v1".into(),
        api_version: "x.io/v1".into(),
        kind: "Thing".into(),
        plural: "things".into(),
    };
    let crds: Api<kube::api::DynamicObject> = Api::all_with(client.clone(), &crd_type);
    let things: Api<kube::api::DynamicObject> = Api::default_namespaced_with(client.clone(), &thing_type);
    crds.create(&PostParams::default(), &serde_json::from_value(crd).unwrap()).await.unwrap();
    let thing = json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"b": 1}});
    things.create(&PostParams::default(), &serde_json::from_value(thing).unwrap()).await.unwrap();
    crds.delete("things.x.io", &DeleteParams::default()).await.unwrap();
    within(|| async { crds.get_opt("things.x.io").await.unwrap().is_none() }).await;
    let refused = things.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 404));
}

#[tokio::test]
async fn what_lags_is_shown_late_and_in_order() {
    let embedded = open().await;
    let api = maps(&embedded);
    embedded.dial().lag(Duration::from_millis(300));
    let before = std::time::Instant::now();
    let made = api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_some(), "a live read does not lag");
    let stale = ListParams { resource_version: Some("0".into()), ..ListParams::default() };
    assert!(!api.list(&stale).await.unwrap().items.iter().any(|m| m.metadata.name.as_deref() == Some("a")));
    let since = made.metadata.resource_version.unwrap().parse::<u64>().unwrap() - 1;
    let mut events = api.watch(&WatchParams::default(), &since.to_string()).await.unwrap().boxed();
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Added(_)))));
    assert!(before.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_lost_answer_has_been_carried_out_and_a_refused_request_has_not() {
    let embedded = open().await;
    let api = maps(&embedded);
    let fault = |effect| Fault { method: Some(http::Method::POST), path: "/configmaps".into(), times: 1, effect };
    embedded.dial().fault(fault(Effect::LoseAnswer));
    assert!(api.create(&PostParams::default(), &map("a", "1")).await.is_err());
    assert!(api.get_opt("a").await.unwrap().is_some());
    embedded.dial().fault(fault(Effect::Refuse(500, "InternalError", "no".into())));
    assert!(api.create(&PostParams::default(), &map("b", "1")).await.is_err());
    assert!(api.get_opt("b").await.unwrap().is_none());
}

/// Waits for something to become true, at most ten seconds.
async fn within<F: Future<Output = bool>>(check: impl Fn() -> F) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("did not happen within ten seconds");
}

#[tokio::test]
async fn a_namespace_that_waits_says_for_what() {
    let embedded = open().await;
    let client = embedded.client();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces
        .create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": "stuck"}})).unwrap())
        .await
        .unwrap();
    let secrets: Api<Secret> = Api::namespaced(client, "stuck");
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    secrets.create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
    namespaces.delete("stuck", &DeleteParams::default()).await.unwrap();
    within(|| async {
        let said = serde_json::to_string(&namespaces.get("stuck").await.unwrap().status).unwrap();
        said.contains("secrets has 1") && said.contains("example.com/hold in 1")
    })
    .await;
}
