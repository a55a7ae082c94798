//! HelmRepository and HelmChart: real repositories over HTTP, charts out of files, statuses as Flux writes them.

use serde_json::{Value, json};
use weir::base::{Condition, Id};
use weir::engine::chart::Chart;
use weir::kinds::{helm_chart, helm_repository, meta};
use weir::reconcile::{Crew, HelmCharts, HelmRepositories, Options};

use super::{World, ready};
use crate::outside::web::{Files, Shelf, Told, Web, chart};

const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// Both reconcilers, and a repository that they can fetch from.
struct Bench {
    world: World,
    files: Files,
    web: Web,
}

impl Bench {
    async fn new() -> Bench {
        let mut world = World::new(Options::default()).await;
        world.start(Crew::default().with(HelmRepositories).with(HelmCharts));
        let files = Files::default();
        let web = files.serve().await;
        Bench { world, files, web }
    }

    async fn repository(&self, name: &str, spec: Value) -> Id {
        let mut document = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"url": self.web.url("charts"), "interval": "10m"}});
        merge(&mut document["spec"], spec);
        self.world.put(document).await;
        helm_repository::KIND.id("default", name)
    }

    async fn chart(&self, name: &str, spec: Value) -> Id {
        let mut document = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"chart": "app", "interval": "10m", "sourceRef": {"kind": "HelmRepository", "name": "repo"}}});
        merge(&mut document["spec"], spec);
        self.world.put(document).await;
        helm_chart::KIND.id("default", name)
    }

    async fn reconcile(&self, id: &Id, token: &str) -> Value {
        self.world.patch(id, json!({"metadata": {"annotations": {(meta::REQUESTED_AT): token}}})).await;
        self.world.until(id, "handled", |document| document["status"]["lastHandledReconcileAt"] == token).await
    }

    async fn until_revision(&self, id: &Id, revision: &str) -> Value {
        self.world.until(id, revision, |it| it["status"]["artifact"]["revision"] == revision && is_ready(it)).await
    }

    fn stored(&self, document: &Value) -> Vec<u8> {
        let path = document.pointer("/status/artifact/path").and_then(Value::as_str).unwrap();
        std::fs::read(self.world.files.path().join(path)).unwrap()
    }

    fn packed(&self, document: &Value) -> Chart {
        Chart::load_archive(&self.stored(document)).unwrap()
    }
}

fn merge(into: &mut Value, more: Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}

fn is_ready(document: &Value) -> bool {
    ready(document).is_some_and(|ready| ready.status == "True")
}

fn reason(document: &Value, kind: &str) -> Option<String> {
    Condition::find(document, kind).map(|found| found.reason)
}

#[tokio::test]
async fn an_index_becomes_an_artifact_and_a_new_one_replaces_it() {
    let bench = Bench::new().await;
    bench.files.publish(&[("app", "1.0.0")]);
    let id = bench.repository("repo", json!({})).await;
    let first = bench.world.until_reason(&id, "Succeeded").await;
    let artifact = &first["status"]["artifact"];
    let revision = artifact["revision"].as_str().unwrap();
    let hex = revision.strip_prefix("sha256:").unwrap();
    assert_eq!(artifact["path"], format!("helmrepository/default/repo/index-{hex}.yaml"));
    assert_eq!(first["status"]["url"], bench.world.cx.artifacts.url("helmrepository/default/repo/index.yaml"));
    assert_eq!(ready(&first).unwrap().message, format!("stored artifact: revision '{revision}'"));
    assert_eq!(reason(&first, "ArtifactInStorage").as_deref(), Some("Succeeded"));
    let stored: Value = serde_json::from_slice(&bench.stored(&first)).unwrap();
    assert_eq!(stored["entries"]["app"][0]["version"], "1.0.0");
    let events = bench.world.events(&id).await;
    assert!(events[0].starts_with("NewArtifact: stored fetched index of size "), "{events:?}");
    let same = bench.reconcile(&id, "t1").await;
    assert_eq!(same["status"]["artifact"], first["status"]["artifact"]);
    bench.files.publish(&[("app", "1.0.0"), ("app", "1.1.0")]);
    let next = bench.reconcile(&id, "t2").await;
    assert_ne!(next["status"]["artifact"]["revision"], first["status"]["artifact"]["revision"]);
    bench.files.put("/charts/index.yaml", "<html>");
    let broken = bench.reconcile(&id, "t3").await;
    assert_eq!(ready(&broken).unwrap().reason, "IndexationFailed");
    assert_eq!(broken["status"]["artifact"], next["status"]["artifact"], "the old index stays");
    bench.world.delete(&id).await;
    bench.world.until_gone(&id).await;
    assert!(!bench.world.files.path().join("helmrepository/default/repo").exists());
}

#[tokio::test]
async fn what_keeps_a_repository_from_its_index_is_said() {
    let bench = Bench::new().await;
    for (name, spec, wanted, part) in [
        ("gone", json!({"url": bench.web.url("nowhere")}), "Failed", "HTTP 404"),
        ("oci", json!({"url": "oci://r.example/x"}), "URLInvalid", "'oci' URL scheme"),
        ("secret", json!({"secretRef": {"name": "nope"}}), "AuthenticationFailed", "default/nope"),
    ] {
        let id = bench.repository(name, spec).await;
        let failed = bench.world.until_reason(&id, wanted).await;
        assert!(ready(&failed).unwrap().message.contains(part), "{name}: {}", ready(&failed).unwrap().message);
        assert_eq!(reason(&failed, "FetchFailed").as_deref(), Some(wanted));
        assert_eq!(reason(&failed, "Stalled").is_some(), name == "oci");
    }
    let guarded = Web::start(|asked| match asked.authorization() {
        Some("Basic YWRhOmNhbmFyeQ==") => Told::new(200, "apiVersion: v1\n"),
        _ => Told::new(401, ""),
    })
    .await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": "default"},
        "stringData": {"username": "ada", "password": "canary"}});
    bench.world.put(secret).await;
    let spec = json!({"url": guarded.url(""), "secretRef": {"name": "login"}});
    let id = bench.repository("guarded", spec).await;
    bench.world.until_reason(&id, "Succeeded").await;
}

#[tokio::test]
async fn a_registry_is_static_and_what_it_was_before_goes() {
    let bench = Bench::new().await;
    bench.files.publish(&[("app", "1.0.0")]);
    let id = bench.repository("repo", json!({})).await;
    bench.world.until_reason(&id, "Succeeded").await;
    bench.world.patch(&id, json!({"spec": {"type": "oci", "url": "oci://r.example/charts"}})).await;
    let gone = |document: &Value| {
        let finalizers = document.pointer("/metadata/finalizers").and_then(Value::as_array);
        finalizers.is_none_or(Vec::is_empty) && document.pointer("/status/artifact").is_none()
    };
    let bare = bench.world.until(&id, "static", gone).await;
    assert!(Condition::all(&bare).is_empty(), "{bare:#}");
    assert_eq!((helm_repository::KIND.health)(&bare).state.word(), "Ready");
    bench.world.delete(&id).await;
    bench.world.until_gone(&id).await;
}

#[tokio::test]
async fn a_range_is_followed_as_the_index_moves() {
    let bench = Bench::new().await;
    bench.files.publish(&[("app", "1.0.0"), ("app", "2.0.0")]);
    let chart_id = bench.chart("chart", json!({"version": "1.x"})).await;
    let waiting = bench.world.until_reason(&chart_id, "SourceUnavailable").await;
    assert!(ready(&waiting).unwrap().message.starts_with("failed to get source"));
    let id = bench.repository("repo", json!({})).await;
    let first = bench.until_revision(&chart_id, "1.0.0").await;
    assert_eq!(ready(&first).unwrap().reason, "ChartPullSucceeded");
    assert_eq!(ready(&first).unwrap().message, "pulled 'app' chart with version '1.0.0'");
    assert_eq!(first["status"]["observedChartName"], "app");
    assert_eq!(first["status"]["artifact"]["path"], "helmchart/default/chart/app-1.0.0.tgz");
    assert_eq!(bench.stored(&first), chart("app", "1.0.0", &[]), "the very bytes that were published");
    assert!(bench.world.events(&chart_id).await.iter().any(|it| it.starts_with("ChartPullSucceeded: pulled 'app'")));
    bench.files.publish(&[("app", "1.0.0"), ("app", "1.4.0"), ("app", "2.0.0")]);
    let index = bench.reconcile(&id, "t1").await;
    let second = bench.until_revision(&chart_id, "1.4.0").await;
    assert_eq!(second["status"]["observedSourceArtifactRevision"], index["status"]["artifact"]["revision"]);
    bench.web.taken();
    bench.reconcile(&chart_id, "t2").await;
    assert!(bench.web.taken().is_empty(), "nothing new is no download");
    bench.world.patch(&chart_id, json!({"spec": {"version": "9.x"}})).await;
    let stalled = bench.world.until_reason(&chart_id, "InvalidChartReference").await;
    assert!(ready(&stalled).unwrap().message.contains("no 'app' chart with version matching '9.x' found"));
    assert!(reason(&stalled, "Stalled").is_some());
    bench.files.publish(&[("app", "9.1.0")]);
    bench.reconcile(&id, "t3").await;
    bench.until_revision(&chart_id, "9.1.0").await;
}

#[tokio::test]
async fn values_files_are_merged_into_a_package_of_its_own() {
    let bench = Bench::new().await;
    bench.files.publish(&[("app", "1.0.0")]);
    let more = [("prod.yaml", "replicas: 5\nimage:\n  pull: Always\n"), ("odd.yaml", "[]")];
    bench.files.put("/charts/app-1.0.0.tgz", chart("app", "1.0.0", &more));
    let index = "apiVersion: v1\nentries:\n  app:\n  - {name: app, version: 1.0.0, urls: [app-1.0.0.tgz]}\n";
    bench.files.put("/charts/index.yaml", index);
    bench.repository("repo", json!({})).await;
    let id = bench.chart("chart", json!({"valuesFiles": ["values.yaml", "prod.yaml"]})).await;
    let built = bench.until_revision(&id, "1.0.0+1").await;
    assert_eq!(ready(&built).unwrap().reason, "ChartPackageSucceeded");
    let message = "packaged 'app' chart with version '1.0.0+1' and merged values files [values.yaml prod.yaml]";
    assert_eq!(ready(&built).unwrap().message, message);
    let packed = bench.packed(&built);
    assert_eq!(packed.metadata.version, "1.0.0+1");
    assert_eq!(json!(packed.values), json!({"replicas": 5.0, "image": {"tag": "latest", "pull": "Always"}}));
    bench.world.patch(&id, json!({"spec": {"valuesFiles": ["nope.yaml"]}})).await;
    let failed = bench.world.until_reason(&id, "ValuesFilesError").await;
    assert!(ready(&failed).unwrap().message.contains("no values file found at path 'nope.yaml'"));
    assert_eq!(reason(&failed, "BuildFailed").as_deref(), Some("ValuesFilesError"));
    bench
        .world
        .patch(&id, json!({"spec": {"valuesFiles": ["prod.yaml", "nope.yaml"], "ignoreMissingValuesFiles": true}}))
        .await;
    let lenient = bench.until_revision(&id, "1.0.0+3").await;
    assert_eq!(lenient["status"]["observedValuesFiles"], json!(["prod.yaml"]));
    assert_eq!(json!(bench.packed(&lenient).values), json!({"replicas": 5.0, "image": {"pull": "Always"}}));
}

#[tokio::test]
async fn a_chart_of_a_git_repository_is_packed_with_what_it_needs() {
    let bench = Bench::new().await;
    bench.files.publish(&[("cache", "2.0.0"), ("cache", "2.3.0")]);
    bench.repository("repo", json!({})).await;
    let needs = format!(
        "apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n- {{name: db, version: '>=1.0.0', repository: \
         'file://../db'}}\n- {{name: cache, version: 2.x, repository: '{}/'}}\n",
        bench.web.url("charts")
    );
    let files = |values: &str| {
        vec![
            ("charts/app/Chart.yaml".to_owned(), needs.clone()),
            ("charts/app/values.yaml".to_owned(), values.to_owned()),
            ("charts/app/templates/a.yaml".to_owned(), "kind: ConfigMap\n".to_owned()),
            ("charts/db/Chart.yaml".to_owned(), "apiVersion: v2\nname: db\nversion: 1.5.0\n".to_owned()),
            ("env/prod.yaml".to_owned(), "color: blue\n".to_owned()),
        ]
    };
    let publish = async |revision: &str, values: &str| {
        let files = files(values);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        bench.world.publish("git", revision, &files).await;
    };
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";
    publish(&format!("main@sha1:{hash}"), "color: red\n").await;
    let source = json!({"kind": "GitRepository", "name": "git"});
    let id = bench.chart("chart", json!({"chart": "./charts/app", "sourceRef": source})).await;
    let first = bench.until_revision(&id, "0.1.0").await;
    assert_eq!(ready(&first).unwrap().message, "packaged 'app' chart with version '0.1.0'");
    let packed = bench.packed(&first);
    let mut within: Vec<String> =
        packed.dependencies.iter().map(|it| format!("{} {}", it.metadata.name, it.metadata.version)).collect();
    within.sort();
    assert_eq!(within, ["cache 2.3.0", "db 1.5.0"]);
    assert!(packed.missing_dependencies().is_empty());
    assert_eq!(first["status"]["observedSourceArtifactRevision"], format!("main@sha1:{hash}"));
    assert!(bench.world.events(&id).await.contains(&"ResolvedDependencies: resolved 2 chart dependencies".to_owned()));
    let strategy = json!({"spec": {"reconcileStrategy": "Revision", "valuesFiles": ["env/prod.yaml"]}});
    bench.world.patch(&id, strategy).await;
    let second = bench.until_revision(&id, "0.1.0+9f86d081884c.2").await;
    assert_eq!(json!(bench.packed(&second).values), json!({"color": "blue"}));
    let later = "aaaad081884c7d659a2feaa0c55ad015a3bf4f1b";
    publish(&format!("main@sha1:{later}"), "color: green\n").await;
    bench.until_revision(&id, "0.1.0+aaaad081884c.2").await;
    for (path, wanted, part) in [
        ("./nowhere", "InvalidChartReference", "no chart at './nowhere'"),
        ("../out", "InvalidChartReference", "leaves the source"),
    ] {
        bench.world.patch(&id, json!({"spec": {"chart": path}})).await;
        let failed = bench
            .world
            .until(&id, wanted, |it| ready(it).is_some_and(|it| it.reason == wanted && it.message.contains(part)))
            .await;
        assert!(failed["status"]["artifact"]["revision"].is_string(), "the old chart stays");
    }
    bench.world.patch(&id, json!({"spec": {"chart": "./charts/db", "valuesFiles": null}})).await;
    bench.until_revision(&id, "1.5.0+aaaad081884c").await;
}

#[tokio::test]
async fn a_source_that_cannot_be_read_is_not_taken_for_one_without_a_chart() {
    let bench = Bench::new().await;
    let bucket = bench.chart("bucket", json!({"sourceRef": {"kind": "Bucket", "name": "b"}})).await;
    let refused = bench.world.until_reason(&bucket, "UnsupportedSourceKind").await;
    assert!(ready(&refused).unwrap().message.contains("Buckets are not fetched by weir yet"), "{refused:#}");
    assert_eq!(reason(&refused, "Stalled").as_deref(), Some("UnsupportedSourceKind"));
    let chart = "apiVersion: v2\nname: app\nversion: 0.1.0\n";
    bench.world.publish("git", "main@sha1:abc", &[("app/Chart.yaml", chart)]).await;
    let git = weir::kinds::git_repository::KIND.id("default", "git");
    let path = bench.world.get(&git).await.unwrap()["status"]["artifact"]["path"].as_str().unwrap().to_owned();
    let path = bench.world.files.path().join(path);
    std::fs::write(&path, "other bytes").unwrap();
    let source = json!({"kind": "GitRepository", "name": "git"});
    let id = bench.chart("damaged", json!({"chart": "app", "sourceRef": source})).await;
    let failed = bench.world.until_reason(&id, "ReadOperationFailed").await;
    assert!(ready(&failed).unwrap().message.contains("has the digest sha256:"), "{failed:#}");
    std::fs::remove_file(&path).unwrap();
    bench.reconcile(&id, "gone").await;
    bench.world.until_reason(&id, "NoSourceArtifact").await;
}

#[tokio::test]
async fn a_dependency_that_cannot_be_had_is_named() {
    let bench = Bench::new().await;
    for (name, repository, part) in [
        ("alias", "@stable", "aliased repository dependency is not supported"),
        ("odd", "ftp://x", "invalid dependency repository URL"),
        ("out", "file://../../../etc", "leaves the source"),
        ("version", "file://../db", "can't get a valid version for constraint '9.x'"),
    ] {
        let text = format!(
            "apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n- {{name: db, version: 9.x, repository: \
             '{repository}'}}\n"
        );
        let db = "apiVersion: v2\nname: db\nversion: 1.5.0\n";
        bench.world.publish(name, "main@sha1:abc", &[("c/app/Chart.yaml", &text), ("c/db/Chart.yaml", db)]).await;
        let source = json!({"kind": "GitRepository", "name": name});
        let id = bench.chart(name, json!({"chart": "c/app", "sourceRef": source})).await;
        let failed = bench.world.until_reason(&id, "DependencyBuildError").await;
        assert!(ready(&failed).unwrap().message.contains(part), "{}", ready(&failed).unwrap().message);
        assert_eq!(reason(&failed, "BuildFailed").as_deref(), Some("DependencyBuildError"));
    }
}

#[tokio::test]
async fn charts_of_a_registry_come_by_range_and_by_version() {
    let bench = Bench::new().await;
    let shelf = Shelf { login: Some("ada:canary".into()), ..Shelf::default() };
    for version in ["1.0.0", "1.2.0", "1.3.0_build.1", "2.0.0-rc.1"] {
        shelf.push("team/charts/app", version, CHART_LAYER, &chart("app", &version.replace('_', "+"), &[]));
    }
    let web = shelf.serve().await;
    let auth = json!({"auths": {web.address.to_string(): {"username": "ada", "password": "canary"}}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": "default"},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": auth.to_string()}});
    bench.world.put(secret).await;
    let spec = json!({"type": "oci", "insecure": true, "url": format!("oci://{}/team/charts", web.address),
        "secretRef": {"name": "login"}});
    bench.repository("repo", spec).await;
    let id = bench.chart("chart", json!({"version": "1.x"})).await;
    let built = bench.until_revision(&id, "1.3.0+build.1").await;
    assert_eq!(ready(&built).unwrap().message, "pulled 'app' chart with version '1.3.0+build.1'");
    assert_eq!(built["status"]["artifact"]["path"], "helmchart/default/chart/app-1.3.0+build.1.tgz");
    web.taken();
    bench.world.patch(&id, json!({"spec": {"version": "1.2.0"}})).await;
    bench.until_revision(&id, "1.2.0").await;
    assert!(!web.taken().iter().any(|path| path.contains("tags/list")), "a whole version needs no list");
    bench.world.patch(&id, json!({"spec": {"version": "7.x"}})).await;
    let failed = bench.world.until_reason(&id, "ChartPullError").await;
    assert!(ready(&failed).unwrap().message.contains("matching '7.x'"));
    bench.world.patch(&id, json!({"spec": {"verify": {"provider": "cosign"}}})).await;
    let refused = bench.world.until_reason(&id, "VerificationError").await;
    assert!(reason(&refused, "Stalled").is_some());
}
