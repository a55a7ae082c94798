//! Workloads under simulation: ready, late, failed or left alone, and never without the word.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use weir::base::State;
use weir::embedded::{Embedded, Options};
use weir::kinds::kstatus;

async fn open(simulate: bool) -> Embedded {
    Embedded::open(Options { simulate, ..Options::default() }).await.unwrap()
}

fn deployment(name: &str, wish: &str) -> Deployment {
    serde_json::from_value(json!({"metadata": {"name": name, "annotations": {"weir.dev/simulate": wish}}, "spec": {"replicas": 2,
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}))
    .unwrap()
}

fn condition(deployment: &Deployment, kind: &str) -> Option<(String, String)> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|c| c.type_.as_deref() == Some(kind))?;
    Some((found.status.clone().unwrap_or_default(), found.message.clone().unwrap_or_default()))
}

/// Waits for something to be found, at most ten seconds.
async fn until<T, F: Future<Output = Option<T>>>(look: impl Fn() -> F) -> T {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("did not happen within ten seconds")
}

#[tokio::test]
async fn a_deployment_becomes_ready_and_says_that_it_is_simulated() {
    let embedded = open(true).await;
    let api: Api<Deployment> = Api::default_namespaced(embedded.client());
    api.create(&PostParams::default(), &deployment("a", "")).await.unwrap();
    let is_ready = |generation: i64| {
        let api = api.clone();
        move || {
            let api = api.clone();
            async move {
                let found = api.get("a").await.unwrap();
                let status = found.status.clone()?;
                let ready =
                    status.available_replicas == status.replicas && status.observed_generation == Some(generation);
                ready.then_some(found)
            }
        }
    };
    let found = until(is_ready(1)).await;
    let (status, message) = condition(&found, "Available").unwrap();
    assert!(status == "True" && message.contains("simulated"), "{message}");
    assert!(
        found
            .managed_fields()
            .iter()
            .any(|m| m.manager.as_deref() == Some("weir-simulator") && m.subresource.as_deref() == Some("status"))
    );
    assert_eq!(found.metadata.generation, Some(1));
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 5}}))).await.unwrap();
    assert_eq!(until(is_ready(2)).await.status.unwrap().ready_replicas, Some(5));
    // And then it is quiet.
    let settled = api.get("a").await.unwrap().resource_version();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(api.get("a").await.unwrap().resource_version(), settled);
}

#[tokio::test]
async fn failure_and_delay_come_when_they_are_asked_for() {
    let embedded = open(true).await;
    let api: Api<Deployment> = Api::default_namespaced(embedded.client());
    let begin = std::time::Instant::now();
    api.create(&PostParams::default(), &deployment("broken", "fail")).await.unwrap();
    api.create(&PostParams::default(), &deployment("late", "delay=400ms")).await.unwrap();
    let get = |name: &'static str, kind: &'static str, wanted: &'static str| {
        let api = api.clone();
        move || {
            let api = api.clone();
            async move { condition(&api.get(name).await.unwrap(), kind).filter(|(status, _)| status == wanted) }
        }
    };
    until(get("broken", "Progressing", "False")).await;
    until(get("late", "Available", "False")).await;
    until(get("late", "Available", "True")).await;
    assert!(begin.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_job_completes_and_stays_complete() {
    let embedded = open(true).await;
    let api: Api<Job> = Api::default_namespaced(embedded.client());
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    api.create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap();
    let done = until(|| async { api.get("j").await.unwrap().status.filter(|s| s.completion_time.is_some()) }).await;
    assert_eq!(done.succeeded, Some(1));
    assert!(done.conditions.unwrap().iter().all(|c| c.message.as_ref().unwrap().contains("simulated")));
}

#[tokio::test]
async fn nothing_is_simulated_when_it_is_off() {
    let embedded = open(false).await;
    let api: Api<Deployment> = Api::default_namespaced(embedded.client());
    api.create(&PostParams::default(), &deployment("a", "")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(api.get("a").await.unwrap().status.is_none_or(|s| s.conditions.is_none()));
}

/// Not every kind has conditions of its own; a person must not take any of them for the real thing.
#[tokio::test]
async fn every_simulated_kind_is_seen_as_ready_and_simulated() {
    let embedded = open(true).await;
    let pod = json!({"containers": [{"name": "c", "image": "i"}]});
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": pod});
    let selector = json!({"matchLabels": {"a": "b"}});
    let port = json!([{"port": 80}]);
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
    for (api_version, kind, plural, spec) in [
        ("apps/v1", "Deployment", "deployments", json!({"selector": selector, "template": template})),
        (
            "apps/v1",
            "StatefulSet",
            "statefulsets",
            json!({"serviceName": "s", "selector": selector, "template": template}),
        ),
        ("apps/v1", "DaemonSet", "daemonsets", json!({"selector": selector, "template": template})),
        ("apps/v1", "ReplicaSet", "replicasets", json!({"selector": selector, "template": template})),
        (
            "batch/v1",
            "Job",
            "jobs",
            json!({"template": {"spec": {"restartPolicy": "Never", "containers": pod["containers"]}}}),
        ),
        ("v1", "Pod", "pods", pod.clone()),
        ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", claim),
        ("v1", "Service", "services", json!({"type": "LoadBalancer", "ports": port})),
        ("networking.k8s.io/v1", "Ingress", "ingresses", json!({"defaultBackend": backend})),
        ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", json!({"selector": selector})),
    ] {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: api_version.into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        let api: Api<DynamicObject> = Api::default_namespaced_with(embedded.client(), &resource);
        let body = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        api.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await.unwrap();
        let found = until(|| async {
            let object = serde_json::to_value(api.get("a").await.unwrap()).unwrap();
            let health = kstatus::health(&object);
            (health.state == State::Ready && health.simulated).then_some(object)
        });
        // The name of the kind, should this one wait in vain.
        println!("{kind}");
        assert!(found.await["status"].to_string().contains("simulated"), "{kind}");
    }
}
