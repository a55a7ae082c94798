//! Reading, writing and connecting on the embedded API: what is absent, what conflicts, who holds the store.

use serde_json::json;
use weir::base::Id;
use weir::cluster::{Apply, Cluster, ClusterError, KUBECONFIG, Precondition, Propagation, Target};
use weir::embedded::Access;

use super::bench::{bench, config_map, kustomization};

const HOW: Apply = Apply { manager: "one", force: false, dry_run: false };

#[tokio::test]
async fn an_absent_object_is_none_and_an_absent_kind_an_error() {
    let cluster = Cluster::connect(&Target::EmbeddedInMemory).await.unwrap().cluster;
    let id = Id::new("", "ConfigMap", "default", "nobody");
    assert_eq!(cluster.get(&id).await.unwrap(), None);
    let error = cluster.get(&Id::new("example.org", "Widget", "default", "a")).await.unwrap_err();
    assert!(matches!(error, ClusterError::NoKind { .. }), "{error:?}");
    let gone = cluster.delete(&id, Propagation::Background, &Precondition::default()).await.unwrap();
    assert!(!gone);
    let served = cluster.served().await.unwrap();
    assert!(served.iter().any(|api| api.kind == "Kustomization" && api.version == "v1"));
}

#[tokio::test]
async fn writes_conflict_in_words_and_dry_runs_write_nothing() {
    let cluster = Cluster::connect(&Target::EmbeddedInMemory).await.unwrap().cluster;
    let dry = Apply { dry_run: true, ..HOW };
    cluster.apply(&config_map("a", "1"), &dry).await.unwrap();
    let id = Id::of(&config_map("a", "1")).unwrap();
    assert_eq!(cluster.get(&id).await.unwrap(), None);
    cluster.apply(&config_map("a", "1"), &HOW).await.unwrap();
    let other = Apply { manager: "two", ..HOW };
    let error = cluster.apply(&config_map("a", "2"), &other).await.unwrap_err();
    let ClusterError::Conflict { causes, .. } = &error else { panic!("{error:?}") };
    assert_eq!(causes[0].field, ".data.value");
    assert!(causes[0].message.contains("\"one\""), "{causes:?}");
    let error = cluster.create(&config_map("a", "1"), "one", false).await.unwrap_err();
    assert_eq!(error, ClusterError::Exists { what: "ConfigMap/default/a".into() });
    let wrong = Precondition { uid: Some("another".into()), ..Precondition::default() };
    let error = cluster.delete(&id, Propagation::Background, &wrong).await.unwrap_err();
    assert!(matches!(error, ClusterError::Conflict { .. }), "{error:?}");
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"value": "3"}});
    let error = cluster.merge_patch(&id, &stale, None, "one").await.unwrap_err();
    assert!(matches!(error, ClusterError::Conflict { .. }), "{error:?}");
    let error = cluster.apply(&kustomization("Bad_Name", "g"), &HOW).await.unwrap_err();
    assert!(matches!(error, ClusterError::Invalid { .. }), "{error:?}");
}

#[tokio::test]
async fn lists_come_whole_over_many_pages_with_their_kind() {
    let cluster = Cluster::connect(&Target::EmbeddedInMemory).await.unwrap().cluster;
    for number in 0..1_203 {
        cluster.create(&config_map(&format!("m-{number}"), "1"), "one", false).await.unwrap();
    }
    let api = cluster.find_api("", "ConfigMap", None).await.unwrap().unwrap();
    let items = cluster.list(&api, Some("default"), None).await.unwrap();
    let ours = items.iter().filter(|item| item["metadata"]["name"].as_str().unwrap().starts_with("m-"));
    assert_eq!(ours.count(), 1_203);
    assert!(items.iter().all(|item| item["kind"] == "ConfigMap" && item["apiVersion"] == "v1"));
}

#[tokio::test]
async fn a_second_weir_on_one_store_is_refused_in_words() {
    let data = tempfile::tempdir().unwrap();
    let target = Target::Embedded { data: data.path().into() };
    let first = Cluster::connect(&target).await.unwrap();
    first.cluster.apply(&config_map("kept", "1"), &HOW).await.unwrap();
    let Err(error) = Cluster::connect(&target).await else { panic!("two hold one store") };
    assert!(error.message.contains("in use by another weir"), "{error}");
    assert!(error.hint.contains("stop the other weir"), "{}", error.hint);
    drop(first.cluster);
    first.embedded.unwrap().close().await;
    let again = Cluster::connect(&target).await.unwrap();
    let kept = again.cluster.get(&Id::of(&config_map("kept", "1")).unwrap()).await.unwrap();
    assert_eq!(kept.unwrap()["data"]["value"], "1");
    again.embedded.unwrap().close().await;
}

#[tokio::test]
async fn a_second_weir_uses_the_first_ones_api_when_that_is_served() {
    let data = tempfile::tempdir().unwrap();
    let target = Target::Embedded { data: data.path().into() };
    let first = Cluster::connect(&target).await.unwrap();
    let embedded = first.embedded.unwrap();
    let served = embedded.serve("127.0.0.1:0".parse().unwrap(), Access::fresh()).await.unwrap();
    let kubeconfig = data.path().join(KUBECONFIG);
    std::fs::write(&kubeconfig, &served.kubeconfig).unwrap();
    let second = Cluster::connect(&target).await.unwrap();
    assert!(second.embedded.is_none());
    let place = second.cluster.place().to_string();
    assert!(place.starts_with("embedded (") && place.contains(&served.address.to_string()), "{place}");
    second.cluster.apply(&config_map("shared", "1"), &HOW).await.unwrap();
    let id = Id::of(&config_map("shared", "1")).unwrap();
    assert!(first.cluster.get(&id).await.unwrap().is_some());

    // A wrong token is said to be one, and its text is not.
    let text = served.kubeconfig.clone();
    let token = text.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
    std::fs::write(&kubeconfig, text.replace(token, "canary-token")).unwrap();
    let Err(error) = Cluster::connect(&target).await else { panic!("a wrong token is taken") };
    assert!(error.message.contains("does not accept the credentials"), "{error}");
    assert!(!error.message.contains("canary"), "{error}");

    // A kubeconfig of a weir that serves no more.
    std::fs::write(&kubeconfig, &served.kubeconfig).unwrap();
    served.stop().await;
    let Err(error) = Cluster::connect(&target).await else { panic!("nobody is there") };
    assert!(error.message.contains("in use by another weir") && error.message.contains("does not answer"), "{error}");
}

#[tokio::test]
async fn a_kind_that_an_inventory_names_joins_the_picture() {
    let bench = bench().await;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "l", "namespace": "default"}, "spec": {"holderIdentity": "me"}});
    bench.desk.cluster.apply(&lease, &HOW).await.unwrap();
    let lease = Id::of(&lease).unwrap();
    assert!(bench.desk.store.get(&lease).is_none());
    let id = bench.apply(kustomization("apps", "g")).await;
    let inventory = json!({"status": {"inventory": {"entries": [
        {"id": "default_l_coordination.k8s.io_Lease", "v": "v1"}, {"id": "default_w_example.org_Widget", "v": "v1"}]}}});
    bench.desk.cluster.merge_patch(&id, &inventory, Some("status"), "test").await.unwrap();
    bench.until(|store| store.get(&lease).is_some()).await;
    let unserved = |store: &weir::store::Store| {
        store
            .feeds()
            .iter()
            .any(|line| &*line.kind == "Widget" && matches!(line.feed, weir::store::Feed::Unavailable(_)))
    };
    bench.until(unserved).await;
}
