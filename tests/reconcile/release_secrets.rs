//! What Secrets gave to a release is in nothing that weir tells: status, events, records' descriptions, pages, previews.

use serde_json::{Value, json};
use weir::engine::release::Record;
use weir::reconcile::preview;
use weir::store::Activity;
use weir::verbs::Desk;
use weir::verbs::releases;

use super::helm_release::{MAP, hr, is_ready, publish, records, release, world};
use super::{World, config_map, id, ready};

const CANARY: &str = "canary-7f3a";

async fn put_secret(world: &World, value: &str) {
    world
        .put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"},
            "stringData": {"values.yaml": format!("value: {value}\n")}}))
        .await;
}

/// A release whose one value is from the Secret.
fn secretive(spec: &Value) -> Value {
    let mut all = json!({"valuesFrom": [{"kind": "Secret", "name": "s"}]});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    release("web", all)
}

const THING: &str =
    "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: one}\nspec: {a: {{ .Values.value | quote }}}\n";

/// Things, whose one field must look like that.
fn definition(pattern: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: \
         things.example.com}}\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {{kind: Thing, plural: things, \
         singular: thing, listKind: ThingList}}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    \
         schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {{a: {{type: \
         string, pattern: '{pattern}'}}}}}}}}}}}}\n"
    )
}

fn desk(world: &World) -> Desk {
    Desk::new(world.cluster.clone(), world.cx.store.clone(), Activity::default())
}

#[tokio::test]
async fn what_a_chart_says_of_a_secret_value_is_not_told() {
    let world = world().await;
    put_secret(&world, CANARY).await;
    let schema = r#"{"properties": {"value": {"pattern": "^[0-9]+$"}}}"#;
    for (version, file, text) in [
        ("1.0.0", "values.schema.json", schema),
        ("1.1.0", "templates/map.yaml", "{{ fail (printf \"%s is bad\" .Values.value) }}"),
        ("1.2.0", "templates/map.yaml", "{{ tpl (printf \"{{ %s\" .Values.value) . }}"),
    ] {
        publish(&world, "chart", version, &[(file, text), ("templates/other.yaml", MAP)]).await;
        world.put(secretive(&json!({}))).await;
        let failed = |document: &Value| {
            ready(document).is_some_and(|ready| ready.reason == "InstallFailed" && ready.message.contains(version))
        };
        let document = world.until(&hr("web"), "failed", failed).await;
        assert!(!document.to_string().contains(CANARY), "{document:#}");
        assert!(ready(&document).unwrap().message.contains("***"), "{document:#}");
        let told = preview(&world.cx, &hr("web")).await.unwrap_err();
        assert!(told.message.contains("***") && !told.message.contains(CANARY), "{}", told.message);
    }
    let events = world.events(&hr("web")).await;
    assert!(events.iter().any(|event| event.contains("***")), "{events:#?}");
    assert!(!events.iter().any(|event| event.contains(CANARY)), "{events:#?}");
}

#[tokio::test]
async fn what_the_cluster_says_of_a_secret_value_is_not_in_the_record() {
    let world = world().await;
    put_secret(&world, CANARY).await;
    let definition = definition("^[0-9]+$");
    publish(&world, "chart", "1.0.0", &[("crds/thing.yaml", &definition), ("templates/thing.yaml", THING)]).await;
    world.put(secretive(&json!({"install": {"remediation": {"retries": 0, "remediateLastFailure": false}}}))).await;
    let document = world.until_reason(&hr("web"), "InstallFailed").await;
    assert!(ready(&document).unwrap().message.contains("***"), "{document:#}");
    assert!(!document.to_string().contains(CANARY), "{document:#}");
    let told = document["status"]["history"].to_string();
    assert!(!told.contains(CANARY), "{told}");
    let records = records(&world, "web").await;
    assert!(records[0].info.description.contains("***"), "{}", records[0].info.description);
    for record in records {
        assert!(!record.info.description.contains(CANARY), "{}", record.info.description);
    }
}

#[tokio::test]
async fn a_rollback_does_not_tell_what_the_secret_said_before() {
    let world = world().await;
    put_secret(&world, CANARY).await;
    publish(&world, "chart", "1.0.0", &[("crds/thing.yaml", &definition(".*")), ("templates/thing.yaml", THING)]).await;
    world.put(secretive(&json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.put(secretive(&json!({"suspend": true}))).await;
    // The old value is refused from now on, and the new release fails for another reason.
    let stricter = weir::base::yaml::read(definition("^[0-9]+$").as_bytes(), &Default::default()).unwrap();
    world.put(stricter[0].value.clone()).await;
    put_secret(&world, "123").await;
    let two = THING.replace("one", "two").replace(".Values.value", "\"bad\"");
    publish(&world, "chart", "2.0.0", &[("templates/thing.yaml", THING), ("templates/two.yaml", &two)]).await;
    let remedy = json!({"retries": 1, "remediateLastFailure": true});
    world.put(secretive(&json!({"suspend": false, "upgrade": {"remediation": remedy}}))).await;
    let remedied = |document: &Value| {
        let all = weir::base::Condition::all(document);
        all.iter().any(|one| one.kind == "Remediated" && one.status == "False" && one.message.contains("Thing"))
    };
    let document = world.until(&hr("web"), "not rolled back", remedied).await;
    assert!(document.to_string().contains("***") && !document.to_string().contains(CANARY), "{document:#}");
    assert!(!world.events(&hr("web")).await.iter().any(|event| event.contains(CANARY)));
    for record in records(&world, "web").await {
        assert!(!record.info.description.contains(CANARY), "{}", record.info.description);
    }
}

#[tokio::test]
async fn older_revisions_hide_what_was_a_secret_when_they_were_made() {
    let world = world().await;
    put_secret(&world, CANARY).await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(secretive(&json!({"values": {"shown": "inline"}}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    // Neither the reference nor the Secret says any more what was secret.
    world.put(release("web", json!({"values": {"value": "open", "shown": "inline"}, "valuesFrom": []}))).await;
    let opened = |document: &Value| document["data"]["value"] == "open";
    world.until(&config_map("web"), "upgraded", opened).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.delete(&id("", "Secret", "s")).await;
    let desk = desk(&world);
    let all = |first: &releases::Release, compared: &weir::verbs::Preview| {
        format!("{}{}{}{}", first.all_values(), first.all_objects(), first.notes, compared.patch.plain())
    };
    let first = releases::revision(&desk, &hr("web"), 1).await.unwrap();
    let compared = releases::compare(&desk, &hr("web"), Some(1), 2).await.unwrap();
    let told = all(&first, &compared);
    assert!(!told.contains(CANARY) && told.contains("Say ***.") && told.contains("shown: inline"), "{told}");
    assert!(told.contains("value: open"), "{told}");
    // The same with a record of which nobody wrote down where its values came from.
    for record in records(&world, "web").await {
        let record = Record { secret_values: None, ..record };
        world.put(record.to_secret("default", ("modifiedAt", 1)).unwrap()).await;
    }
    let first = releases::revision(&desk, &hr("web"), 1).await.unwrap();
    let compared = releases::compare(&desk, &hr("web"), Some(1), 2).await.unwrap();
    let told = all(&first, &compared);
    assert!(!told.contains(CANARY) && told.contains("shown: inline") && told.contains("value: open"), "{told}");
    for line in releases::revisions(&desk, &hr("web")).await.unwrap() {
        assert!(!line.description.as_str().contains(CANARY));
    }
}

#[tokio::test]
async fn a_preview_shows_neither_the_new_nor_the_old_secret_value() {
    let world = world().await;
    put_secret(&world, CANARY).await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(secretive(&json!({}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    world.put(secretive(&json!({"suspend": true}))).await;
    put_secret(&world, "canary-newer").await;
    let seen = preview(&world.cx, &hr("web")).await.unwrap();
    let told = format!("{:?}{:?}{}", seen.about, seen.notes, seen.patch.plain());
    assert!(!told.contains("canary") && told.contains("revision: \"2\""), "{told}");
}
