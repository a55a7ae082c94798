//! Previews of releases say what the next reconciliation does, whatever state the release is in.

use serde_json::{Value, json};
use weir::engine::release::{Record, Status, observed_digest};
use weir::reconcile::preview;
use weir::verbs::Preview;

use super::helm_release::{MAP, hr, is_ready, publish, records, release, statuses, world};
use super::{World, config_map, id, ready};

/// A world with one release of one ConfigMap, in which nothing happens any more.
async fn still_with(spec: Value) -> World {
    let mut world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", spec)).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.stop().await;
    world
}

async fn seen(world: &World) -> Preview {
    preview(&world.cx, &hr("web")).await.unwrap_or_else(|cause| panic!("{cause:?}"))
}

fn about(preview: &Preview, label: &str) -> String {
    let found = preview.about.iter().find(|(known, _)| known.as_str() == label);
    found.map_or_else(String::new, |(_, words)| words.as_str().to_owned())
}

fn notes(preview: &Preview) -> String {
    preview.notes.iter().map(|note| format!("{}\n", note.as_str())).collect()
}

/// Writes the status as if something had happened.
async fn status(world: &World, status: Value) {
    let patch = json!({ "status": status });
    world.cluster.merge_patch(&hr("web"), &patch, Some("status"), "test").await.unwrap();
}

/// Adds a failed revision 2, as a process leaves it that dies before the remedy.
async fn failed_upgrade(world: &World) {
    let first = records(world, "web").await.remove(0);
    let mut second = Record { version: 2, ..first };
    second.info.status = Status::Failed;
    second.info.description = "Upgrade failed".into();
    second.manifest = second.manifest.replace("from-chart", "broken")
        + "---\napiVersion: v1\nkind: ConfigMap\n\
                       metadata:\n  name: second\n";
    world.put(second.to_secret("default", ("createdAt", 1)).unwrap()).await;
    let extra =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "second", "namespace": "default"}});
    world.put(extra).await;
    let document = world.get(&hr("web")).await.unwrap();
    let mut history = document["status"]["history"].as_array().unwrap().clone();
    let mut latest = history[0].clone();
    latest["version"] = 2.into();
    latest["status"] = "failed".into();
    latest["digest"] = observed_digest(&second, None).into();
    history.insert(0, latest);
    history[1]["status"] = "superseded".into();
    let mut first = records(world, "web").await.remove(0);
    first.info.status = Status::Superseded;
    world.put(first.to_secret("default", ("modifiedAt", 1)).unwrap()).await;
    history[1]["digest"] = observed_digest(&first, None).into();
    status(world, json!({ "history": history })).await;
    count_failure(world).await;
}

/// Writes that the spec as it is now was tried as an upgrade and failed once.
async fn count_failure(world: &World) {
    let generation = world.get(&hr("web")).await.unwrap()["metadata"]["generation"].clone();
    let counted = json!({"lastAttemptedGeneration": generation, "lastAttemptedReleaseAction": "upgrade", "failures": 1,
        "upgradeFailures": 1});
    status(world, counted).await;
}

#[tokio::test]
async fn a_move_is_an_uninstall_and_an_install() {
    let world = still_with(json!({})).await;
    world.put(release("web", json!({"releaseName": "other"}))).await;
    let seen = seen(&world).await;
    assert_eq!(about(&seen, "Next"), "uninstall default/web.v1, as its release name changed, then install");
    let plain = seen.patch.plain();
    assert!(
        plain.contains("ConfigMap/default/web deleted") && plain.contains("ConfigMap/default/other created"),
        "{plain}"
    );
    assert_eq!(statuses(&world, "web").await, [Status::Deployed], "nothing was done");
    assert!(world.has(&config_map("web")).await);
}

#[tokio::test]
async fn another_chart_and_a_lost_record_change_nothing() {
    let world = still_with(json!({})).await;
    let mut history = world.get(&hr("web")).await.unwrap()["status"]["history"].clone();
    let known = history.clone();
    history[0]["chartName"] = "old".into();
    status(&world, json!({"history": history})).await;
    let renamed = seen(&world).await;
    assert!(about(&renamed, "Next").starts_with("nothing: the chart old was replaced by app"), "{renamed:?}");
    assert!(renamed.patch.is_empty());
    status(&world, json!({"history": known})).await;
    world.delete(&id("", "Secret", "sh.helm.release.v1.web.v1")).await;
    let orphaned = seen(&world).await;
    assert!(about(&orphaned, "Next").contains("but its objects live"), "{orphaned:?}");
    assert!(orphaned.patch.is_empty(), "{}", orphaned.patch.plain());
}

#[tokio::test]
async fn without_server_side_apply_the_preview_goes_that_way_too() {
    let world = still_with(json!({"install": {"serverSideApply": false}})).await;
    // Somebody else's key stays either way; the chart's own goes.
    let theirs = json!({"data": {"theirs": "1"}});
    world.cluster.merge_patch(&config_map("web"), &theirs, None, "kubectl").await.unwrap();
    let fewer = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {new: key}\n";
    publish(&world, "chart", "2.0.0", &[("templates/map.yaml", fewer)]).await;
    let plain = seen(&world).await.patch.plain();
    let lines: Vec<String> = plain.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has = |line: &str| lines.iter().any(|known| known == line);
    assert!(has("- value: from-chart") && has("+ new: key") && has("theirs: \"1\""), "{plain}");
}

#[tokio::test]
async fn after_a_failure_comes_the_remedy() {
    let remedied = |strategy: &str| json!({"upgrade": {"remediation": {"retries": 1, "remediateLastFailure": true, "strategy": strategy}}});
    let world = still_with(remedied("rollback")).await;
    failed_upgrade(&world).await;
    let rolled = seen(&world).await;
    assert_eq!(about(&rolled, "Next"), "rollback", "{rolled:?}");
    assert!(notes(&rolled).contains("the rollback goes to revision 1"), "{rolled:?}");
    assert!(rolled.patch.plain().contains("ConfigMap/default/second deleted"), "{}", rolled.patch.plain());
    world.put(release("web", remedied("uninstall"))).await;
    count_failure(&world).await;
    let gone = seen(&world).await;
    assert_eq!(about(&gone, "Next"), "uninstall", "{gone:?}");
    assert!(gone.patch.plain().contains("ConfigMap/default/web deleted"), "{}", gone.patch.plain());
    world.put(release("web", json!({"upgrade": {"remediation": {"retries": 0}}}))).await;
    count_failure(&world).await;
    let stopped = seen(&world).await;
    assert_eq!(about(&stopped, "Next"), "nothing: Failed to upgrade after 1 attempt(s)", "{stopped:?}");
    assert!(stopped.patch.is_empty(), "{}", stopped.patch.plain());
}

#[tokio::test]
async fn kept_values_and_policies_of_the_action_count() {
    let world = still_with(json!({"values": {"value": "kept"}})).await;
    world.put(release("web", json!({"values": {"other": 2}, "upgrade": {"preserveValues": true}}))).await;
    let kept = seen(&world).await;
    assert_eq!(about(&kept, "Next"), "upgrade", "{kept:?}");
    assert!(!kept.patch.plain().contains("from-chart"), "{}", kept.patch.plain());
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: \
                      things.example.com}\nspec: {}\n";
    publish(&world, "fresh", "1.0.0", &[("crds/thing.yaml", definition), ("templates/map.yaml", MAP)]).await;
    let chart = json!({"kind": "HelmChart", "name": "fresh"});
    let spec = json!({"chartRef": chart, "install": {"crds": "Skip"}});
    let mut document = release("fresh", spec);
    world.put(document.clone()).await;
    let told = |preview: Preview| preview.patch.plain();
    let fresh = hr("fresh");
    let skipped = told(preview(&world.cx, &fresh).await.unwrap());
    assert!(
        skipped.contains("ConfigMap/default/fresh created") && !skipped.contains("things.example.com"),
        "{skipped}"
    );
    document["spec"]["install"] = json!({"crds": "Create"});
    document["spec"]["upgrade"] = json!({"crds": "Skip"});
    world.put(document).await;
    let created = told(preview(&world.cx, &fresh).await.unwrap());
    assert!(created.contains("things.example.com"), "{created}");
}

#[tokio::test]
async fn lookups_are_bounded_and_told() {
    let world = world().await;
    let all = "# {{ range (lookup \"v1\" \"ConfigMap\" \"default\" \"\").items }}{{ .metadata.name }}{{ end }}\n";
    publish(&world, "chart", "1.0.0", &[("templates/a.yaml", all), ("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({"suspend": true}))).await;
    let seen = seen(&world).await;
    assert!(notes(&seen).contains("asks the cluster 1 time(s)"), "{seen:?}");
    for number in 0..1_001 {
        let name = format!("m{number}");
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}});
        world.cluster.create(&map, "test", false).await.unwrap();
    }
    world.put(release("web", json!({"suspend": false}))).await;
    let document = world.until_reason(&hr("web"), "InstallFailed").await;
    let told = ready(&document).unwrap().message;
    assert!(told.contains("lookup: ConfigMap come to more than 1000 objects"), "{told}");
}

#[tokio::test]
async fn what_drifts_is_set_back_beside_what_cannot_be_compared_and_what_is_ignored() {
    let world = world().await;
    let sealed = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sealed}\ndata: {a: wanted}\n";
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP), ("templates/sealed.yaml", sealed)]).await;
    let drift = json!({"mode": "enabled", "ignore": [{"paths": ["/data/revision"]}]});
    world.put(release("web", json!({"interval": "300ms", "driftDetection": drift}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.patch(&config_map("sealed"), json!({"data": {"a": "other"}, "immutable": true})).await;
    world.patch(&config_map("web"), json!({"data": {"value": "by hand", "revision": "mine"}})).await;
    let corrected = |document: &Value| document["data"]["value"] == "from-chart";
    let map = world.until(&config_map("web"), "corrected", corrected).await;
    assert_eq!(map["data"]["revision"], "mine");
    let managers = map["metadata"]["managedFields"].as_array().unwrap();
    let applied = managers.iter().find(|entry| entry["manager"] == "helm-controller" && entry["operation"] == "Apply");
    let fields = &applied.unwrap()["fieldsV1"]["f:data"];
    assert!(fields.get("f:value").is_some() && fields.get("f:revision").is_none(), "{fields}");
    let events = world.events(&hr("web")).await;
    assert!(events.iter().any(|event| event.contains("not everything could be compared")), "{events:#?}");
}
