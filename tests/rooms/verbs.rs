//! What a person asks, on the embedded API: each verb ends when its effect is known, and refuses in words.

use http::Method;
use serde_json::json;
use weir::base::{Stamp, Text};
use weir::embedded::{Effect, Fault};
use weir::kinds::Verb;
use weir::store::Level;
use weir::verbs::{Answer, Ask, Change, Query};

use super::bench::{Bench, bench, config_map, kustomization, repository};

#[tokio::test]
async fn reconcile_ends_when_the_request_was_handled_and_tells_the_revision() {
    let bench = Bench::with_reconciler().await;
    let source = bench.apply(repository("g")).await;
    let id = bench.apply(kustomization("apps", "g")).await;
    let outcome = bench.ask(Ask::Verb(Verb::Reconcile, id.clone())).await.unwrap();
    assert_eq!(outcome.message.as_str(), "applied revision main@sha1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b");
    let live = bench.live(&id).await;
    let asked = live.pointer("/metadata/annotations/reconcile.fluxcd.io~1requestedAt");
    assert!(asked.is_some() && asked == live.pointer("/status/lastHandledReconcileAt"));

    bench.ask(Ask::Verb(Verb::ReconcileWithSource, id.clone())).await.unwrap();
    let said = bench.said.lock().unwrap().join("\n");
    assert!(said.contains("GitRepository/default/g: fetched revision main@sha1:"), "{said}");
    let of_source = bench.live(&source).await;
    assert!(of_source.pointer("/status/lastHandledReconcileAt").is_some_and(|at| at.is_string()));
}

#[tokio::test]
async fn a_failed_or_waiting_reconciliation_is_a_refusal_with_the_reason() {
    let bench = Bench::with_reconciler().await;
    bench.apply(repository("g")).await;
    let bad = bench.apply(kustomization("bad", "g")).await;
    let refusal = bench.ask(Ask::Verb(Verb::Reconcile, bad)).await.unwrap_err();
    assert_eq!(refusal.message.as_str(), "Kustomization/default/bad: BuildFailed: kustomization.yaml is not there");
    let late = bench.apply(kustomization("late", "g")).await;
    let refusal = bench.ask(Ask::Verb(Verb::Reconcile, late)).await.unwrap_err();
    assert!(refusal.message.as_str().contains("DependencyNotReady"), "{refusal}");
}

#[tokio::test]
async fn suspend_stops_everything_and_resume_catches_up() {
    let bench = Bench::with_reconciler().await;
    bench.apply(repository("g")).await;
    let id = bench.apply(kustomization("apps", "g")).await;
    bench.ask(Ask::Verb(Verb::Suspend, id.clone())).await.unwrap();
    assert_eq!(bench.live(&id).await["spec"]["suspend"], true);
    let refusal = bench.ask(Ask::Verb(Verb::Reconcile, id.clone())).await.unwrap_err();
    assert_eq!(refusal.message.as_str(), "Kustomization/default/apps is suspended");
    assert_eq!(refusal.hint.as_str(), "resume it first: weir resume ks apps -n default");
    let again = bench.ask(Ask::Verb(Verb::Suspend, id.clone())).await.unwrap();
    assert_eq!(again.message.as_str(), "was suspended already");
    let outcome = bench.ask(Ask::Verb(Verb::Resume, id.clone())).await.unwrap();
    assert!(outcome.message.as_str().starts_with("resumed, applied revision main@sha1:"), "{}", outcome.message);
    assert!(bench.live(&id).await.pointer("/spec/suspend").is_none());
}

#[tokio::test]
async fn a_kind_is_asked_only_for_what_it_offers() {
    let bench = bench().await;
    let id = bench.apply(config_map("plain", "1")).await;
    let refusal = bench.ask(Ask::Verb(Verb::Reconcile, id.clone())).await.unwrap_err();
    assert_eq!(refusal.message.as_str(), format!("{id} takes no reconcile"));
    let missing = id.in_namespace("elsewhere");
    let refusal = bench.ask(Ask::Verb(Verb::Delete, missing)).await.unwrap_err();
    assert_eq!(refusal.message.as_str(), "ConfigMap/elsewhere/plain not found");
}

#[tokio::test]
async fn delete_takes_the_object_that_was_looked_at_and_ends_when_it_is_gone() {
    let bench = bench().await;
    let id = bench.apply(config_map("plain", "1")).await;
    let stale = Ask::VerbOn { verb: Verb::Delete, id: id.clone(), uid: "another".into() };
    let refusal = bench.ask(stale).await.unwrap_err();
    assert!(refusal.message.as_str().contains("not the object you looked at"), "{refusal}");
    let uid = bench.live(&id).await["metadata"]["uid"].as_str().unwrap().to_owned();
    let outcome = bench.ask(Ask::VerbOn { verb: Verb::Delete, id: id.clone(), uid }).await.unwrap();
    assert_eq!(outcome.message.as_str(), "deleted");
    assert_eq!(bench.desk.cluster.get(&id).await.unwrap(), None);
}

#[tokio::test]
async fn a_delete_that_is_held_says_who_holds_it_until_it_is_let_go() {
    let bench = bench().await;
    let mut held = config_map("held", "1");
    held["metadata"]["finalizers"] = json!(["example.org/guard"]);
    let id = bench.apply(held).await;
    let free = async {
        bench.until(|store| store.get(&id).is_some_and(|entry| entry.object.deleting)).await;
        while bench.said.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let patch = json!({"metadata": {"finalizers": null}});
        bench.desk.cluster.merge_patch(&id, &patch, None, "test").await.unwrap();
    };
    let (outcome, ()) = tokio::join!(bench.ask(Ask::Verb(Verb::Delete, id.clone())), free);
    assert_eq!(outcome.unwrap().message.as_str(), "deleted");
    assert_eq!(*bench.said.lock().unwrap(), ["ConfigMap/default/held: held by example.org/guard"]);
}

#[tokio::test]
async fn an_edit_is_reviewed_then_saved_and_a_stale_one_is_refused() {
    let bench = Bench::with_reconciler().await;
    bench.apply(repository("g")).await;
    let id = bench.apply(kustomization("apps", "g")).await;
    let Answer::Edit { original, yaml } = bench.fetch(Query::Edit(id.clone())).await else { panic!() };
    assert!(!yaml.contains("status:") && !yaml.contains("uid:") && !yaml.contains("managedFields"), "{yaml}");
    let edited = yaml.replace("interval: 5m", "interval: 1m");
    let Answer::Review(review) =
        bench.fetch(Query::Review { original: original.clone(), edited: edited.clone() }).await
    else {
        panic!()
    };
    assert_eq!(review.problems, []);
    let changed: Vec<_> = review.diff.iter().filter(|line| line.change != Change::Same).collect();
    assert_eq!(changed.len(), 2, "{changed:?}");
    let save = Ask::Save { id: id.clone(), original: original.clone(), edited: edited.clone() };
    let outcome = bench.ask(save.clone()).await.unwrap();
    assert!(outcome.message.as_str().starts_with("saved, applied revision"), "{}", outcome.message);
    assert_eq!(bench.live(&id).await["spec"]["interval"], "1m");

    let again = Ask::Save { id: id.clone(), original, edited: yaml.replace("interval: 5m", "interval: 9m") };
    let refusal = bench.ask(again).await.unwrap_err();
    assert!(refusal.message.as_str().contains("somebody else changed it"), "{refusal}");
    assert_eq!(bench.live(&id).await["spec"]["interval"], "1m");
}

#[tokio::test]
async fn a_review_finds_what_is_wrong_before_anything_is_sent() {
    let bench = bench().await;
    let id = bench.apply(kustomization("apps", "g")).await;
    let Answer::Edit { original, yaml } = bench.fetch(Query::Edit(id.clone())).await else { panic!() };
    for (from, to, says) in [
        ("interval: 5m", "intervals: 5m", "interval"),
        ("interval: 5m", "interval: [", "line"),
        ("interval: 5m", "interval: soon", "spec.interval"),
        ("name: apps", "name: others", "cannot be changed"),
    ] {
        let edited = yaml.replacen(from, to, 1);
        let Answer::Review(review) =
            bench.fetch(Query::Review { original: original.clone(), edited: edited.clone() }).await
        else {
            panic!()
        };
        let fatal = review.problems.iter().find(|problem| problem.fatal).unwrap_or_else(|| panic!("{to}: no problem"));
        assert!(fatal.line > 0, "{to}: {fatal:?}");
        let told: Vec<_> =
            review.problems.iter().map(|p| format!("line {}: {}: {}", p.line, p.path, p.message)).collect();
        assert!(told.iter().any(|told| told.contains(says)), "{to}: {told:?}");
        let refused = bench.ask(Ask::Save { id: id.clone(), original: original.clone(), edited }).await;
        assert!(refused.is_err(), "{to}");
    }
    assert_eq!(bench.live(&id).await["spec"]["interval"], "5m");
}

#[tokio::test]
async fn secrets_are_edited_without_being_seen() {
    let bench = bench().await;
    let id = bench
        .apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"},
            "data": {"keep": "Y2FuYXJ5LW9uZQ==", "change": "Y2FuYXJ5LXR3bw=="}}))
        .await;
    for query in [Query::Yaml(id.clone()), Query::Describe(id.clone()), Query::Edit(id.clone())] {
        let answer = format!("{:?}", bench.fetch(query).await);
        assert!(!answer.contains("Y2FuYXJ5") && !answer.contains("canary"), "{answer}");
    }
    let Answer::Edit { original, yaml } = bench.fetch(Query::Edit(id.clone())).await else { panic!() };
    let line = yaml.lines().find(|line| line.contains("change:")).unwrap();
    let edited = yaml.replace(line, "  change: bmV3LWNhbmFyeQ==");
    let review = bench.fetch(Query::Review { original: original.clone(), edited: edited.clone() }).await;
    assert!(!format!("{review:?}").contains("bmV3"), "{review:?}");
    bench.ask(Ask::Save { id: id.clone(), original, edited }).await.unwrap();
    let live = bench.live(&id).await;
    assert_eq!(live["data"], json!({"keep": "Y2FuYXJ5LW9uZQ==", "change": "bmV3LWNhbmFyeQ=="}));
    assert!(weir::verbs::fetch(&bench.desk, Query::Export(id)).await.is_err());
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_neither_lost_nor_done_twice() {
    let bench = Bench::with_reconciler().await;
    bench.apply(repository("g")).await;
    let id = bench.apply(kustomization("apps", "g")).await;
    bench.ask(Ask::Verb(Verb::Reconcile, id.clone())).await.unwrap();
    let lose = || {
        let fault = Fault { method: Some(Method::PATCH), path: "/apps".into(), times: 1, effect: Effect::LoseAnswer };
        bench.embedded.dial().fault(fault);
    };
    lose();
    bench.ask(Ask::Verb(Verb::Suspend, id.clone())).await.unwrap();
    assert_eq!(bench.live(&id).await["spec"]["suspend"], true);
    let Answer::Edit { original, yaml } = bench.fetch(Query::Edit(id.clone())).await else { panic!() };
    let generation = bench.live(&id).await["metadata"]["generation"].as_i64().unwrap();
    lose();
    let edited = yaml.replace("interval: 5m", "interval: 1m");
    let outcome = bench.ask(Ask::Save { id: id.clone(), original, edited }).await.unwrap();
    assert_eq!(outcome.message.as_str(), "saved");
    let live = bench.live(&id).await;
    assert_eq!(
        (live["spec"]["interval"].as_str(), live["metadata"]["generation"].as_i64()),
        (Some("1m"), Some(generation + 1))
    );
}

#[tokio::test]
async fn put_creates_and_waits_for_the_first_reconciliation() {
    let bench = Bench::with_reconciler().await;
    let outcome = bench.ask(Ask::Put { document: repository("g") }).await.unwrap();
    assert!(outcome.message.as_str().starts_with("fetched revision main@sha1:"), "{}", outcome.message);
    let refusal = bench.ask(Ask::Put { document: kustomization("bad", "g") }).await.unwrap_err();
    assert!(refusal.message.as_str().contains("BuildFailed"), "{refusal}");
}

#[tokio::test]
async fn the_tree_the_page_the_events_and_the_log_agree_on_an_object() {
    let bench = bench().await;
    bench.apply(repository("g")).await;
    let id = bench.apply(kustomization("apps", "g")).await;
    let owned = bench.apply(config_map("owned", "1")).await;
    let inventory = json!({"status": {"inventory": {"entries": [
        {"id": "default_owned__ConfigMap", "v": "v1"}, {"id": "default_gone_apps_Deployment", "v": "v1"}]}}});
    bench.desk.cluster.merge_patch(&id, &inventory, Some("status"), "test").await.unwrap();
    let document = bench.live(&id).await;
    let notice = weir::cluster::Notice {
        severity: weir::cluster::EventType::Warning,
        reason: "BuildFailed",
        message: "not today",
        reporter: "kustomize-controller",
        annotations: &[],
    };
    for _ in 0..3 {
        bench.desk.cluster.emit_event(&document, &notice).await.unwrap();
    }
    bench.until(|store| store.pointing_at(&owned).iter().any(|(_, owner)| *owner == id)).await;
    let counted =
        |store: &weir::store::Store| store.of_kind("", "Event").iter().any(|event| event.object.body()["count"] == 3);
    bench.until(counted).await;

    let source = repository("g");
    let Answer::Tree(tree) = bench.fetch(Query::Tree(weir::base::Id::of(&source).unwrap())).await else { panic!() };
    assert_eq!(tree.children.len(), 1);
    assert_eq!(tree.children[0].id, id);
    let below: Vec<_> =
        tree.children[0].children.iter().map(|node| (node.id.to_string(), node.health.is_some())).collect();
    assert_eq!(below, [("ConfigMap/default/owned".into(), true), ("Deployment/default/gone".into(), false)]);

    let Answer::Events(events) = bench.fetch(Query::Events(Some(id.clone()))).await else { panic!() };
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].count, events[0].warning, events[0].message.as_str()), (3, true, "not today"));

    let Answer::Description(page) = bench.fetch(Query::Describe(id.clone())).await else { panic!() };
    let text: Vec<_> = page
        .iter()
        .flat_map(|section| {
            section.rows.iter().map(move |row| format!("{} | {} | {}", section.title, row.label, row.value))
        })
        .collect();
    for line in [
        "Relations | Source | GitRepository/default/g (Progressing)",
        "Inventory (2) |  | ConfigMap/default/owned (Ready)",
        "Inventory (2) |  | Deployment/default/gone (missing)",
    ] {
        assert!(text.iter().any(|found| found == line), "{line} is not in {text:#?}");
    }
    assert!(text.iter().any(|line| line.contains("BuildFailed (×3): not today")), "{text:#?}");

    bench.desk.activity.push(Stamp(1), Level::Info, Some(id.clone()), Text::new("built"));
    bench.desk.activity.push(Stamp(2), Level::Info, None, Text::new("other"));
    let Answer::Logs(lines) = bench.fetch(Query::Logs(Some(id))).await else { panic!() };
    assert_eq!(lines.len(), 1);

    let Answer::Review(review) = ({
        let Answer::Edit { original, yaml } = bench.fetch(Query::Edit(owned)).await else { panic!() };
        bench.fetch(Query::Review { original, edited: yaml }).await
    }) else {
        panic!()
    };
    assert_eq!(review.by_git.map(|by| by.to_string()), Some("Kustomization/default/apps".into()));
}
