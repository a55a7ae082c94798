//! The Kustomization reconciler, from an artifact to the cluster and back.

use std::time::Duration;

use serde_json::{Value, json};
use weir::base::{Condition, Id};
use weir::embedded::{Effect, Fault};
use weir::engine::diff::Change;
use weir::kinds::{kustomization, meta};
use weir::reconcile::{ALLOW_PRUNE, Crew, Kustomizer, Options};

use super::{World, config_map, id, ready};

const OWN: &str = "kustomize.toolkit.fluxcd.io";

fn ks(name: &str) -> Id {
    kustomization::KIND.id("default", name)
}

fn options() -> Options {
    Options {
        requeue_dependency: Duration::from_millis(200),
        min_retry: Duration::from_millis(50),
        ..Options::default()
    }
}

async fn world() -> World {
    started(options()).await
}

async fn started(options: Options) -> World {
    let mut world = World::new(options).await;
    world.start(Crew::default().with(Kustomizer));
    world
}

fn kustomization(name: &str, spec: Value) -> Value {
    let mut all = json!({"interval": "10m", "retryInterval": "200ms", "prune": true, "timeout": "5s",
        "targetNamespace": "default", "sourceRef": {"kind": "GitRepository", "name": "repo"}});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    if all["targetNamespace"].is_null() {
        all.as_object_mut().unwrap().remove("targetNamespace");
    }
    json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": name, "namespace": "default"}, "spec": all})
}

fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  key: \"{value}\"\n")
}

fn inventory(document: &Value) -> Vec<String> {
    let entries = document.pointer("/status/inventory/entries").and_then(Value::as_array);
    entries.into_iter().flatten().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
}

fn applied(revision: &'static str) -> impl Fn(&Value) -> bool {
    move |document| {
        document["status"]["lastAppliedRevision"] == revision
            && ready(document).is_some_and(|ready| ready.status == "True")
    }
}

fn message(document: &Value) -> String {
    ready(document).map(|ready| ready.message).unwrap_or_default()
}

#[tokio::test]
async fn a_source_becomes_objects_with_owner_inventory_and_history() {
    let world = world().await;
    world.publish("repo", "main@sha1:1", &[("one.yaml", &map("one", "1")), ("sub/two.yaml", &map("two", "2"))]).await;
    world
        .put(kustomization("apps", json!({"commonMetadata": {"labels": {"team": "a"}, "annotations": {"by": "weir"}}})))
        .await;
    let document = world.until(&ks("apps"), "applied", applied("main@sha1:1")).await;
    assert_eq!(inventory(&document), ["default_one__ConfigMap", "default_two__ConfigMap"]);
    assert_eq!(ready(&document).unwrap().reason, "ReconciliationSucceeded");
    assert_eq!(message(&document), "Applied revision: main@sha1:1");
    let status = &document["status"];
    assert_eq!((&status["observedGeneration"], &status["lastAttemptedRevision"]), (&json!(1), &json!("main@sha1:1")));
    assert_eq!(status["history"][0]["lastReconciledStatus"], "ReconciliationSucceeded");
    assert_eq!(status["history"][0]["totalReconciliations"], 1);
    let one = world.get(&config_map("one")).await.unwrap();
    assert_eq!(
        one["metadata"]["labels"],
        json!({format!("{OWN}/name"): "apps", format!("{OWN}/namespace"): "default", "team": "a"})
    );
    assert_eq!(one["metadata"]["annotations"], json!({"by": "weir"}));
    assert_eq!(one["metadata"]["managedFields"][0]["manager"], "kustomize-controller");
    let events = world.events(&ks("apps")).await;
    assert!(
        events.iter().any(|event| event == "Progressing: ConfigMap/default/one created\nConfigMap/default/two created"),
        "{events:?}"
    );
    assert!(
        events.iter().any(|event| event.starts_with("ReconciliationSucceeded: Reconciliation finished in ")),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_new_revision_wakes_changes_and_prunes() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1")), ("two.yaml", &map("two", "2"))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.publish("repo", "r2", &[("one.yaml", &map("one", "changed"))]).await;
    let document = world.until(&ks("apps"), "applied", applied("r2")).await;
    assert_eq!(inventory(&document), ["default_one__ConfigMap"]);
    assert_eq!(world.get(&config_map("one")).await.unwrap()["data"]["key"], "changed");
    assert!(!world.has(&config_map("two")).await);
    let events = world.events(&ks("apps")).await;
    assert!(events.contains(&"ReconciliationSucceeded: ConfigMap/default/two deleted".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_preview_says_what_a_run_would_do_and_does_nothing() {
    let mut world = world().await;
    let map = |name: &str, value: &str| map(name, value).replace("metadata:\n", "metadata:\n  namespace: default\n");
    world.publish("repo", "main@sha1:1", &[("a.yaml", &map("a", "1")), ("b.yaml", &map("b", "1"))]).await;
    world.put(kustomization("apps", json!({"targetNamespace": null}))).await;
    world.until(&ks("apps"), "the first revision", applied("main@sha1:1")).await;
    world.stop().await;
    let own = "apiVersion: v1\nkind: Namespace\nmetadata: {name: own}\n---\napiVersion: v1\nkind: ConfigMap\n\
               metadata: {name: in, namespace: own}\n";
    let bad = "apiVersion: unheard.of/v1\nkind: Of\nmetadata: {name: x, namespace: default}\n";
    let files = [("a.yaml", &*map("a", "2")), ("c.yaml", &map("c", "1")), ("own.yaml", own), ("bad.yaml", bad)];
    world.publish("repo", "main@sha1:2", &files).await;
    let before = world.get(&ks("apps")).await;
    let preview = weir::reconcile::preview(&world.cx, &ks("apps")).await.unwrap();
    let parts = preview.patch.parts.iter().map(|part| format!("{} {}", part.name, part.fate.word()));
    let wanted = [
        "Namespace/own created",
        "ConfigMap/default/a changed",
        "ConfigMap/default/c created",
        "ConfigMap/own/in created",
        "ConfigMap/default/b deleted",
    ];
    let (mut parts, mut wanted) = (parts.collect::<Vec<_>>(), wanted.to_vec());
    parts.sort();
    wanted.sort();
    assert_eq!(parts, wanted);
    let changed = preview.patch.parts.iter().find(|part| part.name.as_str() == "ConfigMap/default/a").unwrap();
    let lines = changed.lines.iter().filter(|line| line.change != Change::Same).map(|line| line.text.as_str());
    assert_eq!(lines.collect::<Vec<_>>(), ["  key: \"1\"", "  key: \"2\""], "the change, and nothing of the server's");
    assert!(preview.notes.iter().any(|note| note.as_str().contains("unheard.of")), "{:?}", preview.notes);
    assert_eq!(world.get(&ks("apps")).await, before);
    assert!(world.get(&Id::new("", "ConfigMap", "default", "c")).await.is_none());
    assert!(world.get(&Id::new("", "ConfigMap", "default", "b")).await.is_some());
}

#[tokio::test]
async fn without_prune_what_left_the_source_stays() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1")), ("two.yaml", &map("two", "2"))]).await;
    world.put(kustomization("apps", json!({"prune": false}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.publish("repo", "r2", &[("one.yaml", &map("one", "1"))]).await;
    world.until(&ks("apps"), "applied", applied("r2")).await;
    assert!(world.has(&config_map("two")).await);
}

#[tokio::test]
async fn drift_is_set_back_and_a_quiet_check_writes_nothing() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1"))]).await;
    world.put(kustomization("apps", json!({"interval": "200ms"}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.api.dial().forget_requests();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(world.writes(), Vec::<String>::new(), "an unchanged Kustomization writes nothing");
    world.patch(&config_map("one"), json!({"data": {"key": "by hand", "own": "kept"}})).await;
    let back = world.until(&config_map("one"), "set back", |document| document["data"]["key"] == "1").await;
    assert_eq!(back["data"].get("own"), None, "fields of kubectl's edits are taken over and removed");
}

#[tokio::test]
async fn ignored_fields_keep_what_others_set() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1"))]).await;
    world
        .put(kustomization(
            "apps",
            json!({"interval": "200ms", "ignore": [{"paths": ["/data/key"], "target": {"kind": "ConfigMap"}}]}),
        ))
        .await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.patch(&config_map("one"), json!({"data": {"key": "by hand"}})).await;
    world.publish("repo", "r2", &[("one.yaml", &map("one", "2")), ("two.yaml", &map("two", "2"))]).await;
    world.until(&ks("apps"), "applied", applied("r2")).await;
    assert_eq!(world.get(&config_map("one")).await.unwrap()["data"]["key"], "by hand");
}

#[tokio::test]
async fn annotations_decide_how_an_object_is_applied() {
    let world = world().await;
    let with = |name: &str, annotation: &str, value: &str| {
        format!(
            "{}---\n",
            map(name, value)
                .replace(&format!("name: {name}\n"), &format!("name: {name}\n  annotations: {{{OWN}/{annotation}}}\n"))
        )
    };
    let before = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "once", "namespace": "default"}, "data": {"key": "old"}});
    world.put(before).await;
    let build = |value: &str| {
        [
            with("once", "ssa: IfNotPresent", value),
            with("never", "ssa: Ignore", value),
            with("paused", "reconcile: disabled", value),
        ]
        .concat()
            + &with("kept", "prune: disabled", value)
    };
    world.publish("repo", "r1", &[("all.yaml", &build("new"))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    assert_eq!(world.get(&config_map("once")).await.unwrap()["data"]["key"], "old");
    assert!(!world.has(&config_map("never")).await && !world.has(&config_map("paused")).await);
    world.publish("repo", "r2", &[("other.yaml", &map("other", "1"))]).await;
    world.until(&ks("apps"), "applied", applied("r2")).await;
    assert!(world.has(&config_map("kept")).await && world.has(&config_map("once")).await);
}

#[tokio::test]
async fn a_chain_of_dependencies_becomes_ready_in_order() {
    let world = world().await;
    world.publish("repo", "r1", &[("a/a.yaml", &map("a", "1")), ("b/b.yaml", &map("b", "1"))]).await;
    world.put(kustomization("b", json!({"path": "b", "dependsOn": [{"name": "a"}]}))).await;
    let waiting = world.until_reason(&ks("b"), "DependencyNotReady").await;
    assert!(message(&waiting).contains("Kustomization/default/a not found"), "{}", message(&waiting));
    assert!(!world.has(&config_map("b")).await);
    world.put(kustomization("a", json!({"path": "a"}))).await;
    world.until(&ks("b"), "applied", applied("r1")).await;
    world.publish("repo", "r2", &[("a/a.yaml", &map("a", "2")), ("b/b.yaml", &map("b", "2"))]).await;
    let b = world.until(&ks("b"), "applied", applied("r2")).await;
    assert_eq!(inventory(&b), ["default_b__ConfigMap"]);
    assert!(applied("r2")(&world.get(&ks("a")).await.unwrap()), "the dependency had the revision first");
}

#[tokio::test]
async fn variables_come_from_the_spec_and_from_objects() {
    let world = world().await;
    let vars = |kind: &str, name: &str, field: &str, data: Value| {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default",
            "labels": {"reconcile.fluxcd.io/watch": "Enabled"}}, field: data})
    };
    world.put(vars("ConfigMap", "vars", "data", json!({"COLOR": "red", "SIZE": "small"}))).await;
    world.put(vars("Secret", "secret-vars", "stringData", json!({"SIZE": "large", "PASSWORD": "canary-1"}))).await;
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: out\ndata:\n  a: ${COLOR}\n  b: ${SIZE}\n  c: ${NAME}\n  d: ${NONE:=default}\n  e: $${raw}\n  f: ${PASSWORD}\n";
    world.publish("repo", "r1", &[("out.yaml", template)]).await;
    let post_build = json!({"substitute": {"NAME": "inline", "COLOR": "blue"}, "substituteFrom": [
        {"kind": "ConfigMap", "name": "vars"}, {"kind": "Secret", "name": "secret-vars"}, {"kind": "ConfigMap", "name": "none", "optional": true}]});
    world.put(kustomization("apps", json!({"postBuild": post_build}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    let data = world.get(&config_map("out")).await.unwrap()["data"].clone();
    assert_eq!(data, json!({"a": "blue", "b": "large", "c": "inline", "d": "default", "e": "${raw}", "f": "canary-1"}));
    world.patch(&id("", "Secret", "secret-vars"), json!({"stringData": {"SIZE": "huge"}})).await;
    world.until(&config_map("out"), "changed", |document| document["data"]["b"] == "huge").await;
    let said = format!("{:?}{}", world.events(&ks("apps")).await, world.get(&ks("apps")).await.unwrap());
    assert!(!said.contains("canary-1"), "secret values are never told");
}

#[tokio::test]
async fn a_missing_source_of_variables_is_named() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "${A}"))]).await;
    let post_build = json!({"substituteFrom": [{"kind": "ConfigMap", "name": "none"}]});
    world.put(kustomization("apps", json!({"postBuild": post_build}))).await;
    let document = world.until_reason(&ks("apps"), "BuildFailed").await;
    assert!(message(&document).contains("ConfigMap/default/none"), "{}", message(&document));
    assert!(!world.has(&config_map("one")).await);
}

#[tokio::test]
async fn failures_say_what_and_where_and_are_retried_at_the_retry_interval() {
    let world = world().await;
    world.put(kustomization("apps", json!({}))).await;
    let document = world.until_reason(&ks("apps"), "ArtifactFailed").await;
    assert!(message(&document).contains("GitRepository/default/repo not found"), "{}", message(&document));
    let reconciling = Condition::find(&document, "Reconciling").unwrap();
    assert_eq!((reconciling.status.as_str(), reconciling.reason.as_str()), ("True", "ProgressingWithRetry"));
    world.publish("repo", "r1", &[("bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [\n")]).await;
    let document = world.until_reason(&ks("apps"), "BuildFailed").await;
    assert!(message(&document).contains("bad.yaml"), "{}", message(&document));
    assert_eq!(document["status"]["lastAttemptedRevision"], "r1");
    assert_eq!(document["status"].get("lastAppliedRevision"), None);
    world.publish("repo", "r2", &[("x.yaml", "apiVersion: unknown.io/v1\nkind: Thing\nmetadata:\n  name: x\n")]).await;
    let document = world.until_reason(&ks("apps"), "ReconciliationFailed").await;
    assert!(message(&document).contains("unknown.io/v1"), "{}", message(&document));
    world.publish("repo", "r3", &[("a/x.yaml", &map("x", "1"))]).await;
    world.patch(&ks("apps"), json!({"spec": {"path": "none"}})).await;
    let document = world.until(&ks("apps"), "without path", |document| message(document).contains("none")).await;
    assert_eq!(ready(&document).unwrap().reason, "BuildFailed");
    world.patch(&ks("apps"), json!({"spec": {"path": "./a"}})).await;
    world.until(&ks("apps"), "applied", applied("r3")).await;
}

#[tokio::test]
async fn a_damaged_or_missing_artifact_is_never_applied() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1"))]).await;
    let directory = world.files.path().join("gitrepository/default/repo");
    let artifact = || {
        let names = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().find(|path| !path.ends_with("latest.tar.gz")).unwrap()
    };
    let mut bytes = std::fs::read(artifact()).unwrap();
    bytes[20] ^= 1;
    std::fs::write(artifact(), bytes).unwrap();
    world.put(kustomization("apps", json!({}))).await;
    let document = world.until_reason(&ks("apps"), "ArtifactFailed").await;
    assert!(message(&document).contains("digest"), "{}", message(&document));
    std::fs::remove_file(artifact()).unwrap();
    let gone = |document: &Value| message(document).contains("is not there");
    world.until(&ks("apps"), "without artifact", gone).await;
    assert!(!world.has(&config_map("one")).await);
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1"))]).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
}

#[tokio::test]
async fn what_is_not_supported_is_refused_by_name() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1"))]).await;
    world.put(kustomization("apps", json!({"decryption": {"provider": "sops"}}))).await;
    let document = world.until(&ks("apps"), "stalled", |document| Condition::find(document, "Stalled").is_some()).await;
    assert!(message(&document).contains("spec.decryption"), "{}", message(&document));
    assert!(!world.has(&config_map("one")).await);
}

fn many(count: usize) -> String {
    (0..count).map(|number| format!("{}---\n", map(&format!("m{number:02}"), "1"))).collect()
}

#[tokio::test]
async fn a_mass_prune_is_held_until_it_is_released_by_name() {
    let world = world().await;
    world.publish("repo", "r1", &[("all.yaml", &many(20))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.publish("repo", "r2", &[("all.yaml", &many(5))]).await;
    let document = world.until_reason(&ks("apps"), "PruneHeld").await;
    assert!(message(&document).contains(&format!("{ALLOW_PRUNE}=\"r2/15\"")), "{}", message(&document));
    assert_eq!(inventory(&document).len(), 20, "held objects stay in the inventory");
    assert_eq!(document["status"]["lastAppliedRevision"], "r1");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(world.has(&config_map("m19")).await, "a held prune deletes nothing, however often it is tried");
    world.patch(&ks("apps"), json!({"metadata": {"annotations": {(ALLOW_PRUNE): "r1/15"}}})).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(world.has(&config_map("m19")).await, "a release of another revision does not count");
    world.patch(&ks("apps"), json!({"metadata": {"annotations": {(ALLOW_PRUNE): "r2/15"}}})).await;
    let document = world.until(&ks("apps"), "applied", applied("r2")).await;
    assert_eq!(inventory(&document).len(), 5);
    assert!(!world.has(&config_map("m19")).await && world.has(&config_map("m04")).await);
}

#[tokio::test]
async fn a_hold_does_not_wear_off_by_trying_again() {
    let world = world().await;
    world.publish("repo", "r1", &[("all.yaml", &many(20))]).await;
    world.put(kustomization("apps", json!({"retryInterval": "50ms"}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    let others: String = (0..40).map(|number| format!("{}---\n", map(&format!("other{number}"), "1"))).collect();
    world.publish("repo", "r2", &[("all.yaml", &others)]).await;
    let document = world.until_reason(&ks("apps"), "PruneHeld").await;
    assert!(message(&document).contains("20 of 20 objects"), "{}", message(&document));
    assert_eq!(inventory(&document).len(), 60, "the inventory has what was applied and what is held");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let document = world.get(&ks("apps")).await.unwrap();
    assert_eq!(ready(&document).unwrap().reason, "PruneHeld");
    assert!(world.has(&config_map("m00")).await);
}

#[tokio::test]
async fn an_object_that_changes_hands_while_it_is_pruned_stays() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1")), ("two.yaml", &map("two", "1"))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.api.dial().fault(Fault {
        method: Some(http::Method::DELETE),
        path: "/configmaps/two".into(),
        times: 1,
        effect: Effect::Wait(Duration::from_millis(1500)),
    });
    world.api.dial().forget_requests();
    world.publish("repo", "r2", &[("one.yaml", &map("one", "1"))]).await;
    while !world.writes().iter().any(|write| write.starts_with("DELETE")) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.patch(&config_map("two"), json!({"metadata": {"labels": {format!("{OWN}/name"): "other"}}})).await;
    let document = world.until(&ks("apps"), "applied", applied("r2")).await;
    assert_eq!(inventory(&document), ["default_one__ConfigMap"]);
    assert!(world.has(&config_map("two")).await);
}

#[tokio::test]
async fn the_flag_restores_the_prune_of_flux() {
    let world = started(Options { hold_mass_prune: false, ..options() }).await;
    world.publish("repo", "r1", &[("all.yaml", &many(20))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.publish("repo", "r2", &[("all.yaml", &many(5))]).await;
    world.until(&ks("apps"), "applied", applied("r2")).await;
    assert!(!world.has(&config_map("m19")).await);
}

#[tokio::test]
async fn a_namespace_is_held_and_an_adopted_one_is_never_pruned() {
    let world = world().await;
    let namespace = |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n---\n");
    world.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "before"}})).await;
    let one = map("one", "1").replace("name: one", "name: one\n  namespace: default");
    let all = [namespace("made"), namespace("before"), one.clone()].concat();
    world.publish("repo", "r1", &[("all.yaml", &all)]).await;
    world.put(kustomization("apps", json!({"targetNamespace": null}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.publish("repo", "r2", &[("all.yaml", &one)]).await;
    let document = world.until_reason(&ks("apps"), "PruneHeld").await;
    assert!(
        message(&document).contains("Namespace/made") && message(&document).contains("r2/1"),
        "{}",
        message(&document)
    );
    world.patch(&ks("apps"), json!({"metadata": {"annotations": {(ALLOW_PRUNE): "r2/1"}}})).await;
    world.until(&ks("apps"), "applied", applied("r2")).await;
    world.until_gone(&Id::new("", "Namespace", "", "made")).await;
    let before = world.get(&Id::new("", "Namespace", "", "before")).await.unwrap();
    assert_eq!(before["metadata"].get("deletionTimestamp"), None);
}

#[tokio::test]
async fn errors_never_delete() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1")), ("two.yaml", &map("two", "2"))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    let refuse = |method: http::Method, path: &str, times: usize| Fault {
        method: Some(method),
        path: path.into(),
        times,
        effect: Effect::Refuse(500, "InternalError", "the server is ill".into()),
    };
    world.api.dial().fault(refuse(http::Method::DELETE, "/configmaps/two", 2));
    world.publish("repo", "r2", &[("one.yaml", &map("one", "1"))]).await;
    let document = world.until_reason(&ks("apps"), "PruneFailed").await;
    assert!(
        message(&document).contains("ConfigMap/default/two") && message(&document).contains("ill"),
        "{}",
        message(&document)
    );
    assert_eq!(inventory(&document).len(), 2, "what could not be deleted stays in the inventory");
    let document = world.until(&ks("apps"), "applied", applied("r2")).await;
    assert_eq!(inventory(&document).len(), 1);
    world.api.dial().fault(refuse(http::Method::GET, "/configmaps/one", 2));
    world.publish("repo", "r3", &[("three.yaml", &map("three", "3"))]).await;
    let document = world.until_reason(&ks("apps"), "PruneFailed").await;
    assert!(!inventory(&document).is_empty());
    world.until(&ks("apps"), "applied", applied("r3")).await;
    assert!(!world.has(&config_map("one")).await);
}

#[tokio::test]
async fn a_restart_in_the_middle_forgets_nothing() {
    let mut world = world().await;
    let fault = Fault {
        method: Some(http::Method::PATCH),
        path: "/configmaps/two".into(),
        times: 1000,
        effect: Effect::Refuse(500, "InternalError", "the server is ill".into()),
    };
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1"))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.api.dial().fault(Fault { path: "/configmaps/one".into(), ..fault.clone() });
    world.publish("repo", "r2", &[("one.yaml", &map("one", "2")), ("two.yaml", &map("two", "2"))]).await;
    let document = world.until_reason(&ks("apps"), "ReconciliationFailed").await;
    assert_eq!(inventory(&document).len(), 2, "what was about to be applied is in the inventory before");
    assert_eq!(document["status"]["lastAppliedRevision"], "r1");
    world.stop().await;
    world.api.dial().calm();
    let mut anew = World::on(world.api.clone(), options()).await;
    anew.publish("repo", "r3", &[("one.yaml", &map("one", "3"))]).await;
    anew.start(Crew::default().with(Kustomizer));
    let document = anew.until(&ks("apps"), "applied", applied("r3")).await;
    assert_eq!(inventory(&document), ["default_one__ConfigMap"]);
    assert!(!anew.has(&config_map("two")).await);
}

#[tokio::test]
async fn an_object_that_moved_to_another_owner_stays() {
    let world = world().await;
    world
        .publish(
            "repo",
            "r1",
            &[("a/one.yaml", &map("one", "1")), ("a/x.yaml", &map("x", "1")), ("b/y.yaml", &map("other", "1"))],
        )
        .await;
    world.put(kustomization("a", json!({"path": "a"}))).await;
    world.put(kustomization("b", json!({"path": "b"}))).await;
    world.until(&ks("a"), "applied", applied("r1")).await;
    world.until(&ks("b"), "applied", applied("r1")).await;
    world.patch(&ks("a"), json!({"spec": {"suspend": true}})).await;
    world
        .publish(
            "repo",
            "r2",
            &[("b/one.yaml", &map("one", "1")), ("a/x.yaml", &map("x", "1")), ("b/y.yaml", &map("other", "1"))],
        )
        .await;
    world.until(&ks("b"), "applied", applied("r2")).await;
    world.patch(&ks("a"), json!({"spec": {"suspend": false}})).await;
    let document = world.until(&ks("a"), "applied", applied("r2")).await;
    assert_eq!(inventory(&document), ["default_x__ConfigMap"]);
    let one = world.get(&config_map("one")).await.unwrap();
    assert_eq!(one["metadata"]["labels"][format!("{OWN}/name")], "b");
}

fn job(image: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: work\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - name: a\n        image: {image}\n"
    )
}

#[tokio::test]
async fn an_immutable_field_is_an_error_unless_force_makes_it_anew() {
    let world = world().await;
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nimmutable: true\nmetadata:\n  name: fixed\nstringData:\n  key: {value}\n"
        )
    };
    world.publish("repo", "r1", &[("fixed.yaml", &secret("canary-old"))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    let fixed = id("", "Secret", "fixed");
    let uid = world.get(&fixed).await.unwrap()["metadata"]["uid"].clone();
    world.publish("repo", "r2", &[("fixed.yaml", &secret("canary-new"))]).await;
    let document = world.until_reason(&ks("apps"), "ReconciliationFailed").await;
    assert!(
        message(&document).contains("Secret/default/fixed") && message(&document).contains("immutable"),
        "{}",
        message(&document)
    );
    assert!(!message(&document).contains("canary"), "{}", message(&document));
    world.patch(&ks("apps"), json!({"spec": {"force": true}})).await;
    world.until(&ks("apps"), "applied", applied("r2")).await;
    let made = world.get(&fixed).await.unwrap();
    assert_ne!(made["metadata"]["uid"], uid);
}

#[tokio::test]
async fn waiting_ends_when_everything_is_well_and_fails_when_it_is_not() {
    let mut world = World::still(options()).await;
    world.start(Crew::default().with(Kustomizer));
    world.publish("repo", "r1", &[("job.yaml", &job("one"))]).await;
    world.put(kustomization("apps", json!({"wait": true, "timeout": "1500ms"}))).await;
    let document = world.until_reason(&ks("apps"), "HealthCheckFailed").await;
    assert!(message(&document).contains("Job/default/work"), "{}", message(&document));
    let healthy = Condition::find(&document, "Healthy").unwrap();
    assert_eq!((healthy.status.as_str(), healthy.reason.as_str()), ("False", "HealthCheckFailed"));
    assert_eq!(document["status"].get("lastAppliedRevision"), None);
    assert_eq!(inventory(&document), ["default_work_batch_Job"]);
    let done = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
    world.cluster.merge_patch(&id("batch", "Job", "work"), &done, Some("status"), "test").await.unwrap();
    let document = world.until(&ks("apps"), "applied", applied("r1")).await;
    assert_eq!(Condition::find(&document, "Healthy").unwrap().status, "True");
    let failed =
        json!({"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}});
    world.cluster.merge_patch(&id("batch", "Job", "work"), &failed, Some("status"), "test").await.unwrap();
    world.patch(&ks("apps"), json!({"metadata": {"annotations": {(meta::REQUESTED_AT): "1"}}})).await;
    let document = world.until_reason(&ks("apps"), "HealthCheckFailed").await;
    assert!(message(&document).contains("BackoffLimitExceeded"), "{}", message(&document));
}

#[tokio::test]
async fn a_newer_request_ends_a_pointless_wait() {
    let mut world = World::still(options()).await;
    world.start(Crew::default().with(Kustomizer));
    world.publish("repo", "r1", &[("job.yaml", &job("one"))]).await;
    world.put(kustomization("apps", json!({"wait": true, "timeout": "10m"}))).await;
    world
        .until(&ks("apps"), "checking", |document| {
            Condition::find(document, "Reconciling").is_some_and(|at| at.message.contains("health"))
        })
        .await;
    world.delete(&ks("apps")).await;
    world.until_gone(&ks("apps")).await;
    assert!(!world.has(&id("batch", "Job", "work")).await);
}

#[tokio::test]
async fn deletion_policies_decide_what_goes_with_the_object() {
    let world = world().await;
    for (name, spec, stays) in [
        ("mirror", json!({}), false),
        ("keep", json!({"prune": false}), true),
        ("orphan", json!({"deletionPolicy": "Orphan"}), true),
        ("delete", json!({"prune": false, "deletionPolicy": "Delete"}), false),
        ("wait", json!({"prune": false, "deletionPolicy": "WaitForTermination"}), false),
    ] {
        let path = format!("{name}/one.yaml");
        world.publish("repo", "r1", &[(&path, &map(name, "1"))]).await;
        let mut spec = spec;
        spec["path"] = name.into();
        world.put(kustomization(name, spec)).await;
        world.until(&ks(name), "applied", applied("r1")).await;
        world.delete(&ks(name)).await;
        world.until_gone(&ks(name)).await;
        assert_eq!(world.has(&config_map(name)).await, stays, "{name}");
    }
}

#[tokio::test]
async fn a_suspended_kustomization_leaves_its_objects_when_deleted() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1"))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.patch(&ks("apps"), json!({"spec": {"suspend": true}})).await;
    world.delete(&ks("apps")).await;
    world.until_gone(&ks("apps")).await;
    assert!(world.has(&config_map("one")).await);
}

#[tokio::test]
async fn a_failed_deletion_keeps_the_object_and_its_inventory() {
    let world = world().await;
    world.publish("repo", "r1", &[("one.yaml", &map("one", "1"))]).await;
    world.put(kustomization("apps", json!({}))).await;
    world.until(&ks("apps"), "applied", applied("r1")).await;
    world.api.dial().fault(Fault {
        method: Some(http::Method::DELETE),
        path: "/configmaps/one".into(),
        times: 5,
        effect: Effect::Refuse(403, "Forbidden", "not for you".into()),
    });
    world.delete(&ks("apps")).await;
    let document = world.until_reason(&ks("apps"), "PruneFailed").await;
    assert_eq!(inventory(&document).len(), 1);
    world.until_gone(&ks("apps")).await;
    assert!(!world.has(&config_map("one")).await);
}

#[tokio::test]
async fn a_kustomization_file_is_built_and_the_spec_is_laid_over_it() {
    let world = world().await;
    let file = "resources: [deployment.yaml]\nconfigMapGenerator:\n- name: settings\n  literals: [a=b]\n";
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - {name: web, image: nginx, envFrom: [{configMapRef: {name: settings}}]}\n";
    world
        .publish(
            "repo",
            "r1",
            &[("apps/kustomization.yaml", file), ("apps/deployment.yaml", deployment), ("bad.yaml", "{")],
        )
        .await;
    let patch = json!({"patch": "- {op: add, path: /spec/replicas, value: 2}", "target": {"kind": "Deployment"}});
    let spec = json!({"path": "./apps", "namePrefix": "my-", "wait": true, "timeout": "30s", "patches": [patch],
        "images": [{"name": "nginx", "newTag": "1.2"}]});
    world.put(kustomization("apps", spec)).await;
    let document = world.until(&ks("apps"), "applied", applied("r1")).await;
    assert_eq!(Condition::find(&document, "Healthy").unwrap().status, "True");
    let web = world.get(&id("apps", "Deployment", "my-web")).await.unwrap();
    assert_eq!(web["spec"]["replicas"], 2);
    let container = &web["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "nginx:1.2");
    let settings = container["envFrom"][0]["configMapRef"]["name"].as_str().unwrap();
    assert!(settings.starts_with("my-settings-") && world.has(&config_map(settings)).await, "{settings}");
}

#[tokio::test]
async fn definitions_come_before_what_they_define() {
    let world = world().await;
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: things.x.io\nspec:\n  group: x.io\n  scope: Namespaced\n  names: {plural: things, kind: Thing}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}\n";
    let thing = "apiVersion: x.io/v1\nkind: Thing\nmetadata:\n  name: a\nspec:\n  b: 1\n";
    world.publish("repo", "r1", &[("a-thing.yaml", thing), ("b-crd.yaml", crd)]).await;
    world.put(kustomization("apps", json!({}))).await;
    let document = world.until(&ks("apps"), "applied", applied("r1")).await;
    assert_eq!(
        inventory(&document),
        ["_things.x.io_apiextensions.k8s.io_CustomResourceDefinition", "default_a_x.io_Thing"]
    );
    world.publish("repo", "r2", &[("one.yaml", &map("one", "1"))]).await;
    let document = world.until_reason(&ks("apps"), "PruneHeld").await;
    assert!(message(&document).contains("CustomResourceDefinition/things.x.io"), "{}", message(&document));
}

#[tokio::test]
async fn a_secret_in_a_refused_object_is_not_told() {
    let world = world().await;
    let bad = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: bad\nstringData:\n  key: [canary-2]\n";
    world.publish("repo", "r1", &[("bad.yaml", bad)]).await;
    world.put(kustomization("apps", json!({}))).await;
    let document = world.until_reason(&ks("apps"), "ReconciliationFailed").await;
    assert!(message(&document).contains("Secret/default/bad"), "{}", message(&document));
    assert!(
        !document.to_string().contains("canary-2")
            && !format!("{:?}", world.events(&ks("apps")).await).contains("canary-2")
    );
}

#[tokio::test]
async fn a_failing_object_is_written_once_however_often_it_is_tried() {
    let world = world().await;
    world.publish("repo", "r1", &[("bad.yaml", "kind: [")]).await;
    world.put(kustomization("apps", json!({"retryInterval": "50ms"}))).await;
    world.until_reason(&ks("apps"), "BuildFailed").await;
    let before = world.status_writes(&ks("apps"));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(world.running().queue().lines()[0].last.is_some());
    assert_eq!(world.status_writes(&ks("apps")), before);
}
