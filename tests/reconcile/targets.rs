//! Objects that are applied elsewhere or as somebody else: `kubeConfig` and `serviceAccountName`.

use serde_json::{Value, json};
use weir::base::Id;
use weir::cluster::{Cluster, Place};
use weir::embedded::{Access, Embedded, Served};
use weir::kinds::kustomization;
use weir::reconcile::{Crew, HelmReleases, Kustomizer, Options};

use super::helm_release::{MAP, hr, publish, release};
use super::{World, config_map, id, ready};

const ACCOUNT: &str = "system:serviceaccount:default:dev";

async fn world() -> World {
    let mut world = World::new(Options { min_retry: std::time::Duration::from_millis(50), ..Options::default() }).await;
    world.start(Crew::default().with(Kustomizer).with(HelmReleases));
    world
}

fn ks() -> Id {
    kustomization::KIND.id("default", "apps")
}

/// Applies one ConfigMap, with this besides in the spec.
async fn apply(world: &World, spec: Value) {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\n";
    world.publish("repo", "main@sha1:aa", &[("map.yaml", map)]).await;
    let mut all = json!({"interval": "10m", "retryInterval": "100ms", "prune": true, "timeout": "5s",
        "targetNamespace": "default", "sourceRef": {"kind": "GitRepository", "name": "repo"}});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    world
        .put(json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "default"}, "spec": all}))
        .await;
}

fn is_ready(document: &Value) -> bool {
    ready(document).is_some_and(|ready| ready.status == "True")
        && document["status"]["observedGeneration"] == document["metadata"]["generation"]
}

/// Another cluster, and the Secret that leads there.
async fn elsewhere(world: &World) -> (Embedded, Served, Cluster) {
    let api = Embedded::open(weir::embedded::Options::default()).await.unwrap();
    let served = api.serve("127.0.0.1:0".parse().unwrap(), Access::fresh()).await.unwrap();
    world
        .put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there", "namespace": "default"},
            "stringData": {"value": served.kubeconfig}}))
        .await;
    let cluster = Cluster::over(api.client(), Place::Embedded { data: None, address: None });
    (api, served, cluster)
}

#[tokio::test]
async fn a_service_account_makes_the_objects_and_nothing_else() {
    let world = world().await;
    world.api.dial().forget_requests();
    apply(&world, json!({"serviceAccountName": "dev"})).await;
    world.until(&ks(), "ready", is_ready).await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({"serviceAccountName": "dev"}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    let asked = world.api.dial().requests();
    let (mut theirs, mut own) = (0, 0);
    for asked in asked.iter().filter(|asked| asked.method != "GET" && !asked.path.contains("/events")) {
        let is_theirs =
            ["/configmaps/applied", "/configmaps/web", "/secrets"].iter().any(|end| asked.path.contains(end));
        let is_own = ["/kustomizations/", "/helmreleases/"].iter().any(|part| asked.path.contains(part));
        // What the test itself puts has no account either.
        if is_theirs {
            theirs += 1;
            assert_eq!(asked.user.as_deref(), Some(ACCOUNT), "{asked:?}");
        } else if is_own {
            own += 1;
            assert_eq!(asked.user, None, "{asked:?}");
        }
    }
    assert!(theirs >= 4 && own >= 4, "{theirs} {own}");
    // Reads of what may be a secret of others are made with its rights too.
    let read = asked.iter().find(|asked| asked.method == "GET" && asked.path.contains("/configmaps/applied")).unwrap();
    assert_eq!(read.user.as_deref(), Some(ACCOUNT));
}

#[tokio::test]
async fn an_account_that_is_gone_leaves_the_objects() {
    let world = world().await;
    apply(&world, json!({"serviceAccountName": "dev"})).await;
    world.until(&ks(), "ready", is_ready).await;
    world.delete(&ks()).await;
    world.until_gone(&ks()).await;
    assert!(world.has(&config_map("applied")).await, "nobody has the right to delete it");
    assert!(world.events(&ks()).await.iter().any(|event| event.contains("ServiceAccount/default/dev does not exist")));
    for name in ["", "a:b"] {
        apply(&world, json!({"serviceAccountName": name})).await;
        match name {
            "" => drop(world.until(&ks(), "ready", is_ready).await),
            _ => {
                let document = world.until_reason(&ks(), "ReconciliationFailed").await;
                assert!(ready(&document).unwrap().message.contains("is no service account"), "{document:#}");
            }
        }
    }
}

#[tokio::test]
async fn a_kubeconfig_leads_to_another_cluster_and_back() {
    let world = world().await;
    let (api, served, there) = elsewhere(&world).await;
    let reference = json!({"secretRef": {"name": "there"}});
    apply(&world, json!({"kubeConfig": reference, "wait": true})).await;
    world.until(&ks(), "ready", is_ready).await;
    assert!(there.get(&config_map("applied")).await.unwrap().is_some());
    assert!(!world.has(&config_map("applied")).await);
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({"kubeConfig": reference, "serviceAccountName": "dev"}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    assert!(there.get(&config_map("web")).await.unwrap().is_some());
    let record = id("", "Secret", "sh.helm.release.v1.web.v1");
    assert!(there.get(&record).await.unwrap().is_some() && !world.has(&record).await);
    assert!(api.dial().requests().iter().any(|asked| asked.user.as_deref() == Some(ACCOUNT)));
    world.delete(&ks()).await;
    world.until_gone(&ks()).await;
    assert!(there.get(&config_map("applied")).await.unwrap().is_none(), "pruned there");
    // Without the way there, the release is left, and said to be.
    world.delete(&id("", "Secret", "there")).await;
    world.delete(&hr("web")).await;
    world.until_gone(&hr("web")).await;
    assert!(there.get(&config_map("web")).await.unwrap().is_some());
    assert!(world.events(&hr("web")).await.iter().any(|event| event.contains("is left")));
    served.stop().await;
}

#[tokio::test]
async fn what_is_elsewhere_goes_only_by_the_way_there() {
    let world = world().await;
    let (_api, served, there) = elsewhere(&world).await;
    let reference = json!({"secretRef": {"name": "there"}});
    let secret = world.get(&id("", "Secret", "there")).await.unwrap();
    apply(&world, json!({"kubeConfig": reference})).await;
    world.until(&ks(), "ready", is_ready).await;
    // The account is one of the other cluster: that there is none here means nothing.
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({"kubeConfig": reference, "serviceAccountName": "dev"}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.delete(&hr("web")).await;
    world.until_gone(&hr("web")).await;
    assert!(there.get(&config_map("web")).await.unwrap().is_none(), "uninstalled there");
    // Without the way there, a Kustomization waits for it.
    world.delete(&id("", "Secret", "there")).await;
    world.delete(&ks()).await;
    world.until_reason(&ks(), "PruneFailed").await;
    assert!(there.get(&config_map("applied")).await.unwrap().is_some());
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there", "namespace": "default"},
        "data": secret["data"]});
    world.put(secret).await;
    world.until_gone(&ks()).await;
    assert!(there.get(&config_map("applied")).await.unwrap().is_none(), "pruned there");
    served.stop().await;
}

#[tokio::test]
async fn a_kubeconfig_that_leads_nowhere_is_told() {
    let world = world().await;
    apply(&world, json!({"kubeConfig": {"secretRef": {"name": "there"}}})).await;
    let document = world.until_reason(&ks(), "ReconciliationFailed").await;
    assert!(ready(&document).unwrap().message.contains("the Secret default/there"), "{document:#}");
    let canary = "canary-7f3a";
    let text = format!(
        "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: \
                        c, cluster: {{server: 'https://127.0.0.1:1'}}}}]\nusers: [{{name: u, user: {{token: {canary}, \
                        exec: {{command: touch}}}}}}]\n"
    );
    world
        .put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there", "namespace": "default"},
            "stringData": {"value": text}}))
        .await;
    let refused = |document: &Value| ready(document).is_some_and(|ready| ready.message.contains("exec"));
    let document = world.until(&ks(), "refused", refused).await;
    assert!(!document.to_string().contains(canary));
    assert!(!world.has(&config_map("applied")).await);
}
