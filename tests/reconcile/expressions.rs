//! CEL in specs: what judges an object in place of kstatus, and what makes a dependency ready.

use serde_json::{Value, json};
use weir::base::Id;
use weir::kinds::kustomization;
use weir::reconcile::{Crew, HelmReleases, Kustomizer, Options};

use super::helm_release::{MAP, hr, publish, release};
use super::{World, config_map, ready};

async fn world() -> World {
    let pause = std::time::Duration::from_millis(100);
    let mut world = World::new(Options { min_retry: pause, requeue_dependency: pause, ..Options::default() }).await;
    world.start(Crew::default().with(Kustomizer).with(HelmReleases));
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {key: value}\n";
    world.publish("repo", "main@sha1:aa", &[("map.yaml", map)]).await;
    world
}

fn ks(name: &str) -> Id {
    kustomization::KIND.id("default", name)
}

async fn apply(world: &World, name: &str, spec: Value) {
    let mut all = json!({"interval": "10m", "retryInterval": "100ms", "prune": true, "timeout": "20s", "wait": true,
        "targetNamespace": "default", "sourceRef": {"kind": "GitRepository", "name": "repo"}});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    world
        .put(json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": name, "namespace": "default"}, "spec": all}))
        .await;
}

/// As an operator would: what people edit by hand is set back.
async fn set(world: &World, name: &str, state: &str) {
    let patch = json!({"data": {"state": state}});
    world.cluster.merge_patch(&config_map(name), &patch, None, "operator").await.unwrap();
}

fn checks() -> Value {
    json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": "data.state == 'well'", "failed": "data.state == 'ill'"}])
}

fn is_ready(document: &Value) -> bool {
    ready(document).is_some_and(|ready| ready.status == "True")
        && document["status"]["observedGeneration"] == document["metadata"]["generation"]
}

#[tokio::test]
async fn expressions_judge_what_was_applied() {
    let world = world().await;
    apply(&world, "apps", json!({"healthCheckExprs": checks()})).await;
    let waits = |document: &Value| ready(document).is_some_and(|ready| ready.status == "Unknown");
    world.until(&config_map("applied"), "applied", |_| true).await;
    world.until(&ks("apps"), "waiting", waits).await;
    set(&world, "applied", "ill").await;
    let document = world.until_reason(&ks("apps"), "HealthCheckFailed").await;
    assert!(ready(&document).unwrap().message.contains("ConfigMap/default/applied (failed)"), "{document:#}");
    set(&world, "applied", "well").await;
    world.until(&ks("apps"), "ready", is_ready).await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    let spec = json!({"timeout": "20s", "healthCheckExprs": [{"apiVersion": "v1", "kind": "ConfigMap",
        "current": "has(data.state) && data.state == 'well'"}]});
    world.put(release("web", spec)).await;
    world.until(&config_map("web"), "released", |_| true).await;
    assert!(!is_ready(&world.get(&hr("web")).await.unwrap()));
    set(&world, "web", "well").await;
    world.until(&hr("web"), "ready", is_ready).await;
}

#[tokio::test]
async fn expressions_say_when_a_dependency_is_ready() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    // It will never be ready by itself, and counts all the same when its label says so.
    apply(&world, "base", json!({"healthCheckExprs": checks(), "timeout": "60s"})).await;
    let depends = json!([{"name": "base", "readyExpr": "dep.metadata.labels['go'] == self.metadata.name"}]);
    apply(&world, "apps", json!({"dependsOn": depends, "wait": false})).await;
    let document = world.until_reason(&ks("apps"), "DependencyNotReady").await;
    assert!(
        ready(&document).unwrap().message.contains("readyExpr") || ready(&document).unwrap().message.contains("failed")
    );
    world.patch(&ks("base"), json!({"metadata": {"labels": {"go": "apps"}}})).await;
    world.until(&ks("apps"), "ready", is_ready).await;
    let depends = json!([{"name": "other", "readyExpr": "dep.status.history[0].version == 1"}]);
    world.put(release("web", json!({"dependsOn": depends}))).await;
    world.until_reason(&hr("web"), "DependencyNotReady").await;
    world.put(release("other", json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
}

#[tokio::test]
async fn expressions_that_cannot_run_are_told_before_anything_is_applied() {
    let world = world().await;
    for (spec, why) in [
        (json!({"healthCheckExprs": [{"apiVersion": "v1", "kind": "A", "current": "status."}]}), "[0].current"),
        (json!({"healthCheckExprs": [checks()[0], checks()[0]]}), "[1].kind: the kind has an expression already"),
        (json!({"dependsOn": [{"name": "apps", "readyExpr": "other == 1"}]}), "undeclared reference to 'other'"),
    ] {
        apply(&world, "apps", spec).await;
        let told = |document: &Value| {
            ready(document).is_some_and(|it| it.reason == "InvalidCELExpression" && it.message.contains(why))
        };
        world.until(&ks("apps"), why, told).await;
    }
    assert!(!world.has(&config_map("applied")).await);
}
