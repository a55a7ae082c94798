//! The life of a release, from a chart to the cluster and back, on the embedded API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use weir::base::{Condition, Digest, FileTree, Id, Stamp};
use weir::engine::release::{Record, Status};
use weir::kinds::{self, helm_release, meta};
use weir::outside::artifacts::Owner;
use weir::reconcile::{Crew, HelmReleases, Options};

use super::{World, config_map, id, ready};

pub fn hr(name: &str) -> Id {
    helm_release::KIND.id("default", name)
}

fn options() -> Options {
    Options {
        requeue_dependency: Duration::from_millis(200),
        min_retry: Duration::from_millis(50),
        ..Options::default()
    }
}

pub async fn world() -> World {
    let mut world = World::new(options()).await;
    world.start(Crew::default().with(HelmReleases));
    world
}

/// A ConfigMap with a value, which every chart here renders.
pub const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  value: {{ .Values.value \
                   | quote }}\n  revision: \"{{ .Release.Revision }}\"\n";

/// A chart as an archive, from the texts of its templates.
fn packed(version: &str, templates: &[(&str, &str)]) -> Vec<u8> {
    let head = format!("apiVersion: v2\nname: app\nversion: {version}\nappVersion: \"9\"\n");
    let mut files = BTreeMap::from([
        ("app/Chart.yaml".to_owned(), head),
        ("app/values.yaml".to_owned(), "value: from-chart\nother: 1\n".to_owned()),
        ("app/templates/NOTES.txt".to_owned(), "Say {{ .Values.value }}.".to_owned()),
    ]);
    for (name, text) in templates {
        files.insert(format!("app/{name}"), (*text).to_owned());
    }
    let tree: FileTree = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    weir::engine::archive::pack(&tree)
}

/// Gives a HelmChart an artifact, as its own reconciler would.
pub async fn publish(world: &World, name: &str, version: &str, templates: &[(&str, &str)]) {
    let archive = packed(version, templates);
    let file = format!("app-{version}-{}.tgz", &Digest::sha256(&archive).hex[..8]);
    let owner = Owner::new("HelmChart", "default", name);
    let stored = world.cx.artifacts.store(&owner, &file, version, archive, Stamp(0)).await.unwrap();
    let id = Id::new(kinds::git_repository::GROUP, "HelmChart", "default", name);
    if !world.has(&id).await {
        world
            .put(json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"chart": "app", "interval": "10m", "sourceRef": {"kind": "HelmRepository", "name": "repo"}}}))
            .await;
    }
    let generation = world.get(&id).await.unwrap()["metadata"]["generation"].clone();
    let artifact = json!({"path": stored.path, "url": stored.url, "revision": version,
        "digest": stored.digest.to_string(), "lastUpdateTime": "2026-01-01T00:00:00Z"});
    let patch = json!({"status": {"artifact": artifact, "observedGeneration": generation}});
    world.cluster.merge_patch(&id, &patch, Some("status"), "test").await.unwrap();
}

/// A HelmRelease on the chart that [`publish`] made.
pub fn release(name: &str, spec: Value) -> Value {
    let mut all = json!({"interval": "10m", "timeout": "5s", "chartRef": {"kind": "HelmChart", "name": "chart"}});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": {"name": name, "namespace": "default"}, "spec": all})
}

/// The records of a release, oldest first.
pub async fn records(world: &World, release: &str) -> Vec<Record> {
    let api = kinds::of("", "Secret").api();
    let selector = format!("owner=helm,name={release}");
    let secrets = world.cluster.list(&api, Some("default"), Some(&selector)).await.unwrap();
    let mut records: Vec<Record> = secrets.iter().map(|secret| Record::from_secret(secret).unwrap()).collect();
    records.sort_by_key(|record| record.version);
    records
}

pub async fn statuses(world: &World, release: &str) -> Vec<Status> {
    records(world, release).await.iter().map(|record| record.info.status).collect()
}

pub fn is_ready(document: &Value) -> bool {
    ready(document).is_some_and(|ready| ready.status == "True")
        && document["status"]["observedGeneration"] == document["metadata"]["generation"]
}

fn condition(document: &Value, kind: &str) -> String {
    Condition::find(document, kind).map_or_else(String::new, |found| format!("{}/{}", found.status, found.reason))
}

fn value(expected: &'static str) -> impl Fn(&Value) -> bool {
    move |document| document["data"]["value"] == expected
}

pub async fn request(world: &World, id: &Id, keys: &[&str]) {
    let token = format!("t{}", rand::random::<u32>());
    let mut annotations = json!({meta::REQUESTED_AT: token});
    for key in keys {
        annotations[*key] = token.clone().into();
    }
    world.patch(id, json!({"metadata": {"annotations": annotations}})).await;
}

#[tokio::test]
async fn a_release_is_installed_upgraded_and_taken_away() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({"values": {"value": "one"}, "commonMetadata": {"labels": {"team": "a"}}}))).await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    assert_eq!(condition(&document, "Released"), "True/InstallSucceeded");
    assert_eq!(
        ready(&document).unwrap().message,
        "Helm install succeeded for release default/web.v1 with chart app@1.0.0"
    );
    let snapshot = &document["status"]["history"][0];
    assert_eq!(
        (&snapshot["version"], &snapshot["status"], &snapshot["action"], &snapshot["appVersion"]),
        (&json!(1), &json!("deployed"), &json!("install"), &json!("9"))
    );
    assert_eq!(document["status"]["inventory"]["entries"][0]["id"], "default_web__ConfigMap");
    let map = world.get(&config_map("web")).await.unwrap();
    assert_eq!(map["data"], json!({"value": "one", "revision": "1"}));
    assert_eq!(map["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
    assert_eq!(map["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"], "web");
    assert_eq!(map["metadata"]["labels"]["team"], "a");
    assert_eq!(map["metadata"]["annotations"]["meta.helm.sh/release-name"], "web");
    assert_eq!(map["metadata"]["managedFields"][0]["manager"], "helm-controller");
    let first = &records(&world, "web").await[0];
    assert_eq!((first.info.notes.as_str(), first.apply_method.as_str()), ("Say one.", "ssa"));
    world.put(release("web", json!({"values": {"value": "two"}}))).await;
    world.until(&config_map("web"), "upgraded", value("two")).await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    assert_eq!(condition(&document, "Released"), "True/UpgradeSucceeded");
    assert_eq!(statuses(&world, "web").await, [Status::Superseded, Status::Deployed]);
    world.delete(&hr("web")).await;
    world.until_gone(&hr("web")).await;
    assert!(!world.has(&config_map("web")).await);
    assert!(records(&world, "web").await.is_empty());
}

#[tokio::test]
async fn a_quiet_check_writes_nothing_and_a_new_chart_version_upgrades() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({"interval": "200ms"}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.api.dial().forget_requests();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(world.writes(), Vec::<String>::new(), "a release in sync writes nothing");
    publish(&world, "chart", "1.1.0", &[("templates/map.yaml", MAP)]).await;
    let newer = |document: &Value| document["status"]["history"][0]["chartVersion"] == "1.1.0" && is_ready(document);
    world.until(&hr("web"), "upgraded", newer).await;
}

#[tokio::test]
async fn values_come_in_order_and_a_changed_secret_upgrades() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    let secret = |value: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default",
            "labels": {"reconcile.fluxcd.io/watch": "Enabled"}}, "stringData": {"values.yaml": format!("value: {value}\n")}})
    };
    world.put(secret("from-secret")).await;
    let from = json!([{"kind": "ConfigMap", "name": "missing", "optional": true}, {"kind": "Secret", "name": "s"}]);
    world.put(release("web", json!({"valuesFrom": from}))).await;
    world.until(&config_map("web"), "released", value("from-secret")).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.put(secret("changed")).await;
    world.until(&config_map("web"), "upgraded", value("changed")).await;
    world.put(release("web", json!({"valuesFrom": [{"kind": "Secret", "name": "gone"}]}))).await;
    let document = world.until_reason(&hr("web"), "ValuesError").await;
    assert!(ready(&document).unwrap().message.contains("'default/gone'"), "{document:#}");
    assert!(world.has(&config_map("web")).await, "nothing is deleted because of an error");
}

#[tokio::test]
async fn a_chart_that_cannot_be_rendered_changes_nothing() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    publish(&world, "chart", "2.0.0", &[("templates/map.yaml", "{{ fail \"never\" }}")]).await;
    let document = world.until_reason(&hr("web"), "UpgradeFailed").await;
    assert!(ready(&document).unwrap().message.contains("never"), "{document:#}");
    assert_eq!(statuses(&world, "web").await, [Status::Deployed]);
    assert!(world.has(&config_map("web")).await);
}

/// A workload that never becomes ready.
const BROKEN: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}-broken\n  annotations: \
                      {weir.dev/simulate: fail}\nspec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: \
                      {labels: {a: b}}\n    spec:\n      containers: [{name: c, image: i}]\n";

fn deployment(name: &str) -> Id {
    id("apps", "Deployment", name)
}

#[tokio::test]
async fn a_failed_upgrade_is_rolled_back_and_a_better_one_goes_on() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    let spec = || json!({"values": {"value": "x"}, "upgrade": {"remediation": {"retries": 1}, "timeout": "2s"}});
    world.put(release("web", spec())).await;
    world.until(&hr("web"), "ready", is_ready).await;
    publish(&world, "chart", "2.0.0", &[("templates/map.yaml", MAP), ("templates/broken.yaml", BROKEN)]).await;
    let stalled = |document: &Value| condition(document, "Stalled") == "True/RetriesExceeded";
    let document = world.until(&hr("web"), "stalled", stalled).await;
    assert_eq!(condition(&document, "Remediated"), "True/RollbackSucceeded");
    assert_eq!(document["status"]["upgradeFailures"], 2);
    assert!(!world.has(&deployment("web-broken")).await, "the rollback takes away what the upgrade brought");
    let records = records(&world, "web").await;
    assert_eq!(records.iter().filter(|record| record.info.status == Status::Deployed).count(), 1);
    assert_eq!(records.last().unwrap().info.status, Status::Deployed);
    let events = world.events(&hr("web")).await;
    for reason in ["InstallSucceeded", "UpgradeFailed", "RollbackSucceeded"] {
        assert!(events.iter().any(|event| event.starts_with(reason)), "{reason}: {events:#?}");
    }
    publish(&world, "chart", "3.0.0", &[("templates/map.yaml", MAP)]).await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    assert_eq!(document["status"]["history"][0]["chartVersion"], "3.0.0");
    assert_eq!(document["status"].get("upgradeFailures"), None);
}

#[tokio::test]
async fn a_failed_install_is_uninstalled_and_tried_again() {
    let world = world().await;
    let templates = [("templates/map.yaml", MAP), ("templates/broken.yaml", BROKEN)];
    publish(&world, "chart", "1.0.0", &templates).await;
    let install = json!({"remediation": {"retries": 1, "remediateLastFailure": true}, "timeout": "2s"});
    world.put(release("web", json!({"install": install}))).await;
    let stalled = |document: &Value| condition(document, "Stalled") == "True/RetriesExceeded";
    let document = world.until(&hr("web"), "stalled", stalled).await;
    assert_eq!(document["status"]["installFailures"], 2);
    assert_eq!(condition(&document, "Remediated"), "True/UninstallSucceeded");
    assert!(!world.has(&config_map("web")).await && !world.has(&deployment("web-broken")).await);
    publish(&world, "chart", "1.0.1", &[("templates/map.yaml", MAP)]).await;
    world.until(&hr("web"), "ready", is_ready).await;
}

#[tokio::test]
async fn a_release_without_remedy_stalls_until_it_is_forced() {
    let world = world().await;
    let templates = [("templates/map.yaml", MAP), ("templates/broken.yaml", BROKEN)];
    publish(&world, "chart", "1.0.0", &templates).await;
    world.put(release("web", json!({"install": {"timeout": "1s"}, "upgrade": {"disableWait": true}}))).await;
    let stalled = |document: &Value| condition(document, "Stalled") == "True/RetriesExceeded";
    let document = world.until(&hr("web"), "stalled", stalled).await;
    assert_eq!(condition(&document, "Released"), "False/InstallFailed");
    assert_eq!(ready(&document).unwrap().reason, "InstallFailed");
    assert!(world.has(&config_map("web")).await, "without a remedy nothing is taken back");
    request(&world, &hr("web"), &[helm_release::FORCE_AT]).await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    assert_eq!(condition(&document, "Released"), "True/UpgradeSucceeded");
    assert_eq!(document["status"]["history"][0]["version"], 2);
}

/// A Job that runs at a moment, and fares as told.
pub fn job(name: &str, event: &str, fate: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations:\n    helm.sh/hook: {event}\n    \
         helm.sh/hook-delete-policy: before-hook-creation\n    weir.dev/simulate: {fate}\nspec:\n  template:\n    \
         metadata:\n      annotations: {{weir.dev/simulate: {fate}}}\n    spec:\n      restartPolicy: Never\n      \
         containers: [{{name: c, image: i}}]\n"
    )
}

#[tokio::test]
async fn hooks_run_before_and_after_and_a_failing_one_fails_the_release() {
    let world = world().await;
    let (before, after) = (job("before", "pre-install", "ready"), job("after", "post-install,post-upgrade", "ready"));
    let good =
        [("templates/map.yaml", MAP), ("templates/a.yaml", before.as_str()), ("templates/b.yaml", after.as_str())];
    publish(&world, "chart", "1.0.0", &good).await;
    world.put(release("web", json!({}))).await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    let record = &records(&world, "web").await[0];
    let phases: Vec<(&str, &str)> =
        record.hooks.iter().map(|hook| (hook.name.as_str(), hook.last_run.phase.as_str())).collect();
    assert_eq!(phases.len(), 2);
    assert!(phases.iter().all(|(_, phase)| *phase == "Succeeded"), "{phases:?}");
    assert_eq!(
        document["status"]["inventory"]["entries"].as_array().unwrap().len(),
        1,
        "hooks are not in the inventory"
    );
    assert!(world.has(&id("batch", "Job", "before")).await);
    let bad = job("bad", "pre-upgrade", "fail");
    publish(&world, "chart", "1.1.0", &[("templates/map.yaml", MAP), ("templates/a.yaml", bad.as_str())]).await;
    let document = world.until_reason(&hr("web"), "UpgradeFailed").await;
    assert!(ready(&document).unwrap().message.contains("Job/default/bad failed"), "{document:#}");
    assert_eq!(statuses(&world, "web").await, [Status::Deployed, Status::Failed]);
    let map = world.get(&config_map("web")).await.unwrap();
    assert_eq!(map["data"]["revision"], "1", "a hook before the upgrade that fails stops it");
}

#[tokio::test]
async fn tests_count_unless_they_are_ignored() {
    let world = world().await;
    let good = job("check", "test", "ready");
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP), ("templates/t.yaml", good.as_str())]).await;
    let spec =
        json!({"test": {"enable": true}, "upgrade": {"remediation": {"retries": 0, "remediateLastFailure": true}}});
    world.put(release("web", spec.clone())).await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    assert_eq!(condition(&document, "TestSuccess"), "True/TestSucceeded");
    assert_eq!(document["status"]["history"][0]["testHooks"]["check"]["phase"], "Succeeded");
    let bad = job("check", "test", "fail");
    publish(&world, "chart", "1.1.0", &[("templates/map.yaml", MAP), ("templates/t.yaml", bad.as_str())]).await;
    let stalled = |document: &Value| condition(document, "Stalled") == "True/RetriesExceeded";
    let document = world.until(&hr("web"), "stalled", stalled).await;
    assert_eq!(condition(&document, "Remediated"), "True/RollbackSucceeded");
    let events = world.events(&hr("web")).await;
    assert!(events.iter().any(|event| event.starts_with("TestFailed")), "{events:#?}");
    let mut lenient = spec;
    lenient["test"]["ignoreFailures"] = true.into();
    world.put(release("web", lenient)).await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    assert_eq!(condition(&document, "TestSuccess"), "False/TestFailed");
}

#[tokio::test]
async fn drift_is_told_or_corrected_and_ignored_fields_are_left() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    let with = |mode: &str| json!({"interval": "300ms", "driftDetection": {"mode": mode, "ignore": [{"paths": ["/data/revision"]}]}});
    world.put(release("web", with("warn"))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.patch(&config_map("web"), json!({"data": {"value": "by hand", "revision": "mine"}})).await;
    let drifted = |document: &Value| condition(document, "Drifted") == "True/DriftDetected";
    world.until(&hr("web"), "drifted", drifted).await;
    assert_eq!(world.get(&config_map("web")).await.unwrap()["data"]["value"], "by hand");
    world.put(release("web", with("enabled"))).await;
    let map = world.until(&config_map("web"), "corrected", value("from-chart")).await;
    assert_eq!(map["data"]["revision"], "mine");
    world.delete(&config_map("web")).await;
    world.until(&config_map("web"), "made anew", value("from-chart")).await;
    assert_eq!(statuses(&world, "web").await, [Status::Deployed], "a correction is no new revision");
}

#[tokio::test]
async fn dependencies_are_waited_for_and_a_suspended_release_is_left_alone() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({"dependsOn": [{"name": "db"}]}))).await;
    world.until_reason(&hr("web"), "DependencyNotReady").await;
    world.put(release("db", json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.put(release("web", json!({"suspend": true, "values": {"value": "later"}}))).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.get(&config_map("web")).await.unwrap()["data"]["value"], "from-chart");
    world.delete(&hr("web")).await;
    world.until_gone(&hr("web")).await;
    assert!(world.has(&config_map("web")).await, "a suspended release is not uninstalled");
}

#[tokio::test]
async fn the_chart_of_a_template_is_made_changed_and_taken_away() {
    let world = world().await;
    let spec = |version: &str| {
        json!({"chartRef": null, "chart": {"spec": {"chart": "app", "version": version,
            "sourceRef": {"kind": "HelmRepository", "name": "repo"}}}})
    };
    let with = |version: &str| {
        let mut document = release("web", spec(version));
        document["spec"].as_object_mut().unwrap().remove("chartRef");
        document
    };
    world.put(with("1.x")).await;
    let chart = Id::new(kinds::git_repository::GROUP, "HelmChart", "default", "default-web");
    let made = world.until(&chart, "made", |document| document["spec"]["version"] == "1.x").await;
    assert_eq!(made["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"], "web");
    world.until_reason(&hr("web"), "SourceNotReady").await;
    publish(&world, "default-web", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    assert_eq!(document["status"]["helmChart"], "default/default-web");
    world.put(with("2.x")).await;
    world.until(&chart, "changed", |document| document["spec"]["version"] == "2.x").await;
    world.delete(&hr("web")).await;
    world.until_gone(&hr("web")).await;
    assert!(!world.has(&chart).await);
}

#[tokio::test]
async fn a_pending_record_of_somebody_else_is_not_stolen_and_a_broken_one_is_told() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    let mut foreign = Record { name: "web".into(), version: 1, namespace: "default".into(), ..Record::default() };
    foreign.info.status = Status::PendingUpgrade;
    foreign.info.last_deployed = jiff::Timestamp::now().to_string();
    world.put(foreign.to_secret("default", ("createdAt", 1)).unwrap()).await;
    world.put(release("web", json!({}))).await;
    let document = world.until_reason(&hr("web"), "PendingRelease").await;
    assert!(ready(&document).unwrap().message.contains("somebody else"), "{document:#}");
    assert_eq!(statuses(&world, "web").await, [Status::PendingUpgrade]);
    let secret = id("", "Secret", "sh.helm.release.v1.web.v1");
    world.patch(&secret, json!({"data": {"release": "bm8="}})).await;
    let document = world.until_reason(&hr("web"), "StateError").await;
    assert!(ready(&document).unwrap().message.contains("sh.helm.release.v1.web.v1"), "{document:#}");
    assert!(!world.has(&config_map("web")).await, "nothing is installed over what cannot be read");
}

#[tokio::test]
async fn a_release_whose_record_was_deleted_is_not_installed_over_its_objects() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.delete(&id("", "Secret", "sh.helm.release.v1.web.v1")).await;
    request(&world, &hr("web"), &[]).await;
    let document = world.until_reason(&hr("web"), "StateError").await;
    assert!(ready(&document).unwrap().message.contains("its objects live"), "{document:#}");
    request(&world, &hr("web"), &[helm_release::FORCE_AT]).await;
    world.until(&hr("web"), "ready", is_ready).await;
    assert_eq!(statuses(&world, "web").await, [Status::Deployed]);
}

#[tokio::test]
async fn definitions_come_first_and_post_renderers_have_the_last_word() {
    let world = world().await;
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: \
                      things.example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {kind: Thing, plural: \
                      things, singular: thing, listKind: ThingList}\n  versions:\n  - name: v1\n    served: true\n    \
                      storage: true\n    schema: {openAPIV3Schema: {type: object, \
                      x-kubernetes-preserve-unknown-fields: true}}\n";
    let thing = "{{ if .Capabilities.APIVersions.Has \"example.com/v1/Thing\" }}\napiVersion: example.com/v1\nkind: \
                 Thing\nmetadata: {name: one}\nspec: {size: 1}\n{{ end }}\n";
    publish(&world, "chart", "1.0.0", &[("crds/thing.yaml", definition), ("templates/thing.yaml", thing)]).await;
    let patch = "[{\"op\": \"replace\", \"path\": \"/spec/size\", \"value\": 2}]";
    let renderers = json!([{"kustomize": {"patches": [{"patch": patch, "target": {"kind": "Thing"}}]}}]);
    world.put(release("web", json!({"postRenderers": renderers}))).await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    assert!(document["status"]["observedPostRenderersDigest"].as_str().unwrap().starts_with("sha256:"));
    let thing = world.get(&id("example.com", "Thing", "one")).await.unwrap();
    assert_eq!(thing["spec"]["size"], 2);
    world.delete(&hr("web")).await;
    world.until_gone(&hr("web")).await;
    assert!(world.has(&Id::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "things.example.com")).await);
}
