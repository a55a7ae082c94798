//! The pages of a HelmRelease, over records as Helm writes them.

use serde_json::{Map, Value, json};
use weir::cluster::Apply;
use weir::engine::release::{Hook, Info, Record, Status};
use weir::kinds::helm_release::KIND;

use super::Stage;
use super::fleet::NOW;
use super::frames::snap;

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn record(version: i64, status: Status, description: &str) -> Record {
    let chart = format!("6.7.{version}");
    let manifest = format!(
        "---\n# Source: podinfo/templates/service.yaml\napiVersion: v1\nkind: Service\nmetadata:\n  name: podinfo\nspec:\n  \
         ports:\n  - port: 989{version}\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: podinfo\nstringData:\n  \
         token: canary-{version}\n{}",
        if version == 1 {
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: first-only\ndata: {}\n"
        } else {
            ""
        }
    );
    let hook = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: podinfo-test\nspec:\n  containers: []\n";
    Record {
        name: "podinfo".into(),
        namespace: "web".into(),
        version,
        info: Info {
            first_deployed: "2026-01-01T00:00:00Z".into(),
            last_deployed: format!("2026-01-0{version}T00:00:00Z"),
            description: description.into(),
            status,
            notes: "1. Get the application URL:\n  http://podinfo.example.com/\n".into(),
            ..Info::default()
        },
        chart: json!({"metadata": {"name": "podinfo", "version": chart, "appVersion": chart},
            "values": {"replicaCount": 1, "ui": {"color": "#34577c"}}}),
        config: map(json!({"replicaCount": version, "redis": {"password": "canary"}})),
        manifest,
        hooks: vec![Hook { name: "podinfo-test".into(), kind: "Pod".into(), manifest: hook.into(), ..Hook::default() }],
        ..Record::default()
    }
}

async fn stage() -> Stage {
    let stage = Stage::fleet().await;
    let how = Apply { manager: "test", force: true, dry_run: false };
    let crd = (KIND.custom.as_ref().unwrap().crd)();
    stage.desk.cluster.apply(&crd, &how).await.unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}});
    stage.desk.cluster.apply(&namespace, &how).await.unwrap();
    for record in [
        record(1, Status::Superseded, "Install complete"),
        record(2, Status::Deployed, "Upgrade complete"),
        record(3, Status::Failed, "Upgrade \"podinfo\" failed: context deadline exceeded"),
    ] {
        let secret = record.to_secret("web", ("createdAt", 1_767_225_600)).unwrap();
        stage.desk.cluster.apply(&secret, &how).await.unwrap();
    }
    let release = json!({"apiVersion": KIND.api_version(), "kind": "HelmRelease",
        "metadata": {"name": "podinfo", "namespace": "web"},
        "spec": {"interval": "10m", "chart": {"spec": {"chart": "podinfo", "sourceRef": {"kind": "HelmRepository", "name": "p"}}}}});
    let mut served = Err(());
    for _ in 0..200 {
        served = stage.desk.cluster.apply(&release, &how).await.map_err(|_| ());
        if served.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut release = served.expect("the kind is served");
    release["metadata"]["creationTimestamp"] = NOW.into();
    stage.desk.store.put(vec![release]);
    stage
}

#[tokio::test]
async fn a_release_page_by_page() {
    let stage = stage().await;
    let open = "/podinfo web<enter>";
    snap("release-history", &stage, &format!("{open}H")).await;
    snap("release-compare-before", &stage, &format!("{open}H<down><enter>")).await;
    snap("release-compare-marked", &stage, &format!("{open}HG<space><up><up><enter>")).await;
    snap("release-values", &stage, &format!("{open}V")).await;
    snap("release-manifest", &stage, &format!("{open}M")).await;
    snap("release-notes", &stage, &format!("{open}t")).await;
    for keys in ["H<enter>", "V", "M", "HG<enter>"] {
        let frame = stage.after(&format!("{open}{keys}")).await;
        assert!(!frame.contains("canary"), "{keys}: {frame}");
    }
}
