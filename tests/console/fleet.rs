//! Objects to look at: a small fleet with every state that a person meets.

use serde_json::{Value, json};

pub const SOURCE: &str = "source.toolkit.fluxcd.io/v1";
pub const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io/v1";
/// The moment at which the pictures are taken.
pub const NOW: &str = "2026-03-01T12:00:00Z";

fn head(api: &str, kind: &str, namespace: &str, name: &str) -> Value {
    let mut metadata = json!({"name": name, "uid": format!("uid-{kind}-{name}"), "resourceVersion": "1",
        "generation": 1, "creationTimestamp": "2026-02-26T09:00:00Z"});
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": api, "kind": kind, "metadata": metadata})
}

fn with(mut object: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

pub fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-03-01T11:48:00Z", "observedGeneration": 1})
}

pub fn source(name: &str, revision: &str, ready: Value) -> Value {
    with(
        head(SOURCE, "GitRepository", "flux-system", name),
        &json!({"spec": {"url": format!("https://git.example.org/{name}"), "interval": "1m"},
            "status": {"observedGeneration": 1, "artifact": {"revision": revision}, "conditions": [ready]}}),
    )
}

/// Entries are `namespace_name_group_kind`.
pub fn kustomization(name: &str, from: &str, after: &[&str], inventory: &[&str], ready: Value) -> Value {
    let after: Vec<Value> = after.iter().map(|name| json!({"name": name})).collect();
    let entries: Vec<Value> = inventory.iter().map(|id| json!({"id": id, "v": "v1"})).collect();
    with(
        head(KUSTOMIZE, "Kustomization", "flux-system", name),
        &json!({"spec": {"path": format!("./{name}"), "prune": true, "interval": "10m", "dependsOn": after,
                "sourceRef": {"kind": "GitRepository", "name": from}},
            "status": {"observedGeneration": 1, "lastAppliedRevision": REVISION, "conditions": [ready],
                "inventory": {"entries": entries}}}),
    )
}

pub const REVISION: &str = "main@sha1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";

pub fn deployment(namespace: &str, name: &str, ready: u32, simulated: bool) -> Value {
    let message = if simulated { "simulated by weir" } else { "Deployment has minimum availability." };
    with(
        head("apps/v1", "Deployment", namespace, name),
        &json!({"spec": {"replicas": 2}, "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2,
            "readyReplicas": ready, "availableReplicas": ready,
            "conditions": [condition("Available", if ready == 2 { "True" } else { "False" }, "MinimumReplicasAvailable", message)]}}),
    )
}

pub fn plain(api: &str, kind: &str, namespace: &str, name: &str, more: &Value) -> Value {
    with(head(api, kind, namespace, name), more)
}

/// Two sources, a chain of kustomizations, one broken with a clear reason and one that waits for it.
pub fn fleet() -> Vec<Value> {
    let ok = |message: &str| condition("Ready", "True", "Succeeded", message);
    let applied = ok(&format!("Applied revision: {REVISION}"));
    let broken = "kustomize build failed: accumulating resources: accumulation err='accumulating resources from \
        'deployment.yaml': open ./apps/shop/deployment.yaml: no such file or directory': must resolve to a file";
    let mut suspended = kustomization("legacy", "fleet", &[], &[], applied.clone());
    suspended["spec"]["suspend"] = json!(true);
    vec![
        source("fleet", REVISION, ok("stored artifact for revision 'main@sha1:9f86d081'")),
        source(
            "podinfo",
            "6.5.0@sha1:0123456789abcdef0123456789abcdef01234567",
            condition(
                "Ready",
                "False",
                "GitOperationFailed",
                "failed to checkout and determine revision: unable to clone 'https://git.example.org/podinfo': authentication required",
            ),
        ),
        kustomization(
            "infra",
            "fleet",
            &[],
            &["_shop__Namespace", "shop_settings__ConfigMap", "shop_token__Secret"],
            applied.clone(),
        ),
        kustomization(
            "apps",
            "fleet",
            &["infra"],
            &[
                "shop_web_apps_Deployment",
                "shop_web__Service",
                "shop_worker_apps_Deployment",
                "shop_gone__ConfigMap",
                "shop_card_example.org_Widget",
                "flux-system_podinfo_source.toolkit.fluxcd.io_GitRepository",
            ],
            applied,
        ),
        kustomization("shop", "fleet", &["apps"], &[], condition("Ready", "False", "BuildFailed", broken)),
        kustomization(
            "reports",
            "fleet",
            &["shop"],
            &[],
            condition("Ready", "False", "DependencyNotReady", "dependency 'flux-system/shop' is not ready"),
        ),
        suspended,
        plain("v1", "Namespace", "", "shop", &json!({"status": {"phase": "Active"}})),
        plain("v1", "ConfigMap", "shop", "settings", &json!({"data": {"colour": "blue"}})),
        plain("v1", "Secret", "shop", "token", &json!({"type": "Opaque", "data": {"token": "Y2FuYXJ5LXZhbHVl"}})),
        deployment("shop", "web", 2, true),
        deployment("shop", "worker", 1, false),
        plain("v1", "Service", "shop", "web", &json!({"spec": {"clusterIP": "10.0.0.9", "type": "ClusterIP"}})),
    ]
}
