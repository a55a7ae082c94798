//! What goes wrong with releases in practice, each case as a person would meet it.

use serde_json::{Value, json};
use weir::base::Id;
use weir::engine::release::{Record, Status};

use super::helm_release::{MAP, hr, is_ready, job, publish, records, release, request, statuses, world};
use super::{World, config_map, id, put, ready};

const THINGS: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: \
                      things.example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {kind: Thing, plural: \
                      things, singular: thing, listKind: ThingList}\n  versions:\n  - name: v1\n    served: true\n    \
                      storage: true\n    schema: {openAPIV3Schema: {type: object}}\n";

async fn message(world: &World, reason: &str) -> String {
    ready(&world.until_reason(&hr("web"), reason).await).unwrap().message
}

#[tokio::test]
async fn a_rollback_that_failed_never_makes_a_failed_revision_its_target() {
    let world = world().await;
    let fate = "{{ if .Values.bad }}fail{{ else }}ready{{ end }}";
    let (after, back) = (job("after", "post-upgrade", fate), job("back", "pre-rollback", "fail"));
    let files =
        [("templates/map.yaml", MAP), ("templates/after.yaml", after.as_str()), ("templates/back.yaml", back.as_str())];
    publish(&world, "chart", "1.0.0", &files).await;
    let spec = |bad: bool| json!({"values": {"bad": bad, "value": "one"}, "upgrade": {"remediation": {"retries": 3}}});
    world.put(release("web", spec(false))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.put(release("web", spec(true))).await;
    let tried = |document: &Value| document["status"]["history"][0]["version"].as_i64() >= Some(5);
    world.until(&hr("web"), "rolled back twice", tried).await;
    let made = records(&world, "web").await;
    let targets: Vec<i64> = made.iter().map(|record| record.info.rollback_revision).filter(|to| *to > 0).collect();
    assert!(targets.len() >= 2 && targets.iter().all(|to| *to == 1), "{targets:?}");
    let failed = made.iter().find(|record| record.version == 2).unwrap();
    assert_eq!(failed.info.status, Status::Failed);
}

#[tokio::test]
async fn an_uninstall_by_hand_is_left_to_the_hand() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    let mut record: Record = records(&world, "web").await.remove(0);
    record.info.status = Status::Uninstalling;
    record.info.last_deployed = jiff::Timestamp::now().to_string();
    let secret = record.to_secret("default", ("modifiedAt", 1)).unwrap();
    let stored = id("", "Secret", "sh.helm.release.v1.web.v1");
    world.patch(&stored, json!({"metadata": {"labels": secret["metadata"]["labels"]}, "data": secret["data"]})).await;
    request(&world, &hr("web"), &[]).await;
    assert!(message(&world, "PendingRelease").await.contains("somebody else"));
    assert_eq!(statuses(&world, "web").await, [Status::Uninstalling]);
    assert!(world.has(&config_map("web")).await);
}

#[tokio::test]
async fn what_cannot_be_reconciled_can_still_be_deleted() {
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    let verify = json!({"interval": "10m", "chartRef": null, "chart": {"spec": {"chart": "app",
        "sourceRef": {"kind": "Bucket", "name": "none"}}}});
    world.patch(&hr("web"), json!({"spec": verify})).await;
    world.delete(&hr("web")).await;
    world.until_gone(&hr("web")).await;
    assert!(!world.has(&config_map("web")).await);
}

#[tokio::test]
async fn values_that_are_kept_come_to_rest() {
    let world = world().await;
    let map = format!("{MAP}  other: {{{{ .Values.other | quote }}}}\n");
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", &map)]).await;
    world.put(release("web", json!({"values": {"value": "one", "other": "kept"}}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    let spec = json!({"interval": "300ms", "values": {"value": "two"}, "upgrade": {"preserveValues": true}});
    world.put(release("web", spec)).await;
    world.until(&config_map("web"), "upgraded", |map| map["data"]["value"] == "two").await;
    let document = world.until(&hr("web"), "ready", is_ready).await;
    assert_eq!(world.get(&config_map("web")).await.unwrap()["data"]["other"], "kept");
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    assert_eq!(statuses(&world, "web").await, [Status::Superseded, Status::Deployed], "{document:#}");
}

#[tokio::test]
async fn definitions_are_there_before_the_chart_is_rendered_and_nothing_else_of_crds_is() {
    let world = world().await;
    let asks = "{{ if not (.Capabilities.APIVersions.Has \"example.com/v1/Thing\") }}{{ fail \"no things\" }}{{ end }}";
    let stray = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stray}\n";
    let files = [("crds/a.yaml", THINGS), ("crds/b.yaml", stray), ("templates/asks.yaml", asks)];
    publish(&world, "chart", "1.0.0", &files).await;
    world.put(release("web", json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    assert!(!world.has(&config_map("stray")).await);
    let told = world.events(&hr("web")).await;
    assert!(told.iter().any(|event| event.contains("ConfigMap/stray in app/crds/b.yaml")), "{told:?}");
}

#[tokio::test]
async fn a_kind_that_was_served_a_moment_ago_is_seen() {
    let world = world().await;
    let asks = "{{ if .Capabilities.APIVersions.Has \"example.com/v1/Thing\" }}\napiVersion: v1\nkind: \
                ConfigMap\nmetadata: {name: seen}\n{{ end }}\n";
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP), ("templates/asks.yaml", asks)]).await;
    world.put(release("other", json!({}))).await;
    world.until(&hr("other"), "ready", is_ready).await;
    assert!(!world.has(&config_map("seen")).await);
    let definition =
        serde_json::to_value(weir::base::yaml::read(THINGS.as_bytes(), &Default::default()).unwrap().remove(0).value);
    put(&world.cluster, &definition.unwrap()).await;
    world
        .until(&Id::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "things.example.com"), "served", |it| {
            weir::base::Condition::find(it, "Established").is_some_and(|found| found.status == "True")
        })
        .await;
    world.put(release("web", json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    assert!(world.has(&config_map("seen")).await);
}

#[tokio::test]
async fn a_schema_can_be_set_aside_and_unknown_words_are_refused() {
    let world = world().await;
    let schema = "{\"properties\": {\"value\": {\"type\": \"integer\"}}}";
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP), ("values.schema.json", schema)]).await;
    let spec = |switch: bool| json!({"values": {"value": "text"}, "install": {"disableSchemaValidation": switch}});
    world.put(release("web", spec(false))).await;
    assert!(message(&world, "InstallFailed").await.contains("/value"));
    world.put(release("web", spec(true))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    for (spec, why) in [
        (json!({"install": {"strategy": {"name": "RetryOnfailure"}}}), "spec.install.strategy.name"),
        (json!({"uninstall": {"deletionPropagation": "Orphan"}}), "spec.uninstall.deletionPropagation"),
        (json!({"chartRef": {"kind": "GitRepository", "name": "a"}}), "spec.chartRef.kind"),
        (
            json!({"chart": {"spec": {"chart": "a", "sourceRef": {"kind": "HelmRepository", "name": "a"}}}}),
            "either chart",
        ),
        (json!({"install": {"strategy": {"name": "RemediateOnFailure", "retryInterval": "1m"}}}), "RetryOnFailure"),
    ] {
        let how = weir::cluster::Apply { manager: "kubectl", force: true, dry_run: true };
        let refused = world.cluster.apply(&release("other", spec), &how).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

#[tokio::test]
async fn an_upgrade_without_server_side_apply_keeps_what_others_injected() {
    let world = world().await;
    let hooks = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: \
                 checks}\nwebhooks:\n- name: a.example.com\n  sideEffects: None\n  admissionReviewVersions: [v1]\n  \
                 failurePolicy: Ignore\n  rules: []\n  clientConfig:\n    service: {name: \"{{ .Values.value }}\", \
                 namespace: default}\n";
    publish(&world, "chart", "1.0.0", &[("templates/hooks.yaml", hooks)]).await;
    let spec = |value: &str| {
        json!({"values": {"value": value}, "install": {"serverSideApply": false},
            "upgrade": {"serverSideApply": "disabled"}})
    };
    world.put(release("web", spec("one"))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    let id = Id::new("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "", "checks");
    let injected = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "Q0E="}]);
    world.cluster.json_patch(&id, &injected, None, "cainjector").await.unwrap();
    world.put(release("web", spec("two"))).await;
    let is_new = |found: &Value| found["webhooks"][0]["clientConfig"]["service"]["name"] == "two";
    let found = world.until(&id, "upgraded", is_new).await;
    assert_eq!(found["webhooks"][0]["clientConfig"]["caBundle"], "Q0E=");
}
