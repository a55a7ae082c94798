//! The picture stays true whatever the server does to lists and watches (reliability C3 to C6, M8).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;
use weir::base::Id;
use weir::cluster::{Apply, Cluster, Place, Precondition, Propagation, Target};
use weir::embedded::{Access, Effect, Embedded, Options};
use weir::store::watch::{Scope, Watching, start};
use weir::store::{Feed, Store};

use super::bench::{bench, config_map};
use super::scripted::{Fault, Scripted};

const HOW: Apply = Apply { manager: "test", force: true, dry_run: false };

/// Longer than any wait of the feeders, so that only a real fault makes a test late.
const PATIENCE: Duration = Duration::from_secs(30);

fn open(api: &Scripted) -> (Store, Watching) {
    let store = Store::new();
    let watching = start(&api.cluster(), &store, Scope::default());
    (store, watching)
}

fn shown(store: &Store) -> BTreeMap<String, String> {
    let entries = store.of_kind("", "ConfigMap");
    let value = |body: serde_json::Value| body["data"]["value"].as_str().unwrap().to_owned();
    entries.iter().map(|entry| (entry.object.id.name.to_string(), value(entry.object.body()))).collect()
}

async fn until(store: &Store, what: &str, holds: impl Fn(&Store) -> bool) {
    let news = store.subscribe();
    let wait = async {
        while !holds(store) {
            news.next().await;
        }
    };
    let Ok(()) = timeout(PATIENCE, wait).await else { panic!("{what}: {:?} {:?}", shown(store), store.feeds()) };
}

async fn until_true(store: &Store, api: &Scripted) {
    until(store, "the picture differs from the server", |store| shown(store) == api.truth()).await;
}

fn is_live(store: &Store) -> bool {
    matches!(store.feed("", "ConfigMap"), Feed::Live { .. })
}

#[tokio::test]
async fn the_picture_follows_additions_changes_and_deletions() {
    let api = Scripted::new();
    api.put("one", "1");
    let (store, _watching) = open(&api);
    timeout(PATIENCE, store.loaded()).await.unwrap();
    assert_eq!(shown(&store), api.truth());
    api.put("two", "2");
    api.put("one", "3");
    until_true(&store, &api).await;
    api.delete("one");
    until_true(&store, &api).await;
    assert_eq!(api.count("limit="), 1, "one list is enough when nothing goes wrong");
}

#[tokio::test]
async fn kinds_that_cannot_be_read_say_why_and_disturb_nobody() {
    let api = Scripted::new();
    api.put("one", "1");
    let (store, _watching) = open(&api);
    timeout(PATIENCE, store.loaded()).await.unwrap();
    assert!(is_live(&store));
    assert!(matches!(store.feed("", "Secret"), Feed::Denied(_)), "{:?}", store.feed("", "Secret"));
    let flux = store.feed("kustomize.toolkit.fluxcd.io", "Kustomization");
    assert!(matches!(flux, Feed::Unavailable(_)), "{flux:?}");
    assert!(matches!(store.feed("example.org", "Never"), Feed::Unavailable(_)));
}

#[tokio::test]
async fn a_version_refused_in_either_way_leads_to_a_new_list() {
    for fault in [Fault::GoneOnOpen, Fault::GoneInStream] {
        let api = Scripted::new();
        api.put("one", "1");
        api.put("ghost", "1");
        let (store, _watching) = open(&api);
        until_true(&store, &api).await;
        api.set(fault);
        api.delete("ghost");
        api.put("two", "2");
        until_true(&store, &api).await;
        assert!(api.count("limit=") <= 3, "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_closes_every_watch_is_asked_once_a_second_and_the_picture_stays_true() {
    let api = Scripted::new();
    api.set(Fault::CloseAtOnce);
    let (store, _watching) = open(&api);
    timeout(PATIENCE, store.loaded()).await.unwrap();
    let begun = std::time::Instant::now();
    api.put("one", "1");
    until_true(&store, &api).await;
    let seconds = begun.elapsed().as_secs() as usize;
    let asked = api.count("watch=") + api.count("limit=");
    assert!(asked <= 3 + seconds * 2, "{asked} requests in {seconds} s");
}

#[tokio::test]
async fn an_outage_is_shown_as_stale_and_nothing_is_missed() {
    let api = Scripted::new();
    api.put("one", "1");
    api.put("ghost", "1");
    let (store, _watching) = open(&api);
    until_true(&store, &api).await;
    api.set(Fault::Status(500));
    until(&store, "not stale", |store| matches!(store.feed("", "ConfigMap"), Feed::Stale { .. })).await;
    assert_eq!(shown(&store).len(), 2, "what was seen stays on the screen");
    api.delete("ghost");
    api.put("one", "2");
    api.set(Fault::None);
    until(&store, "not back", |store| is_live(store) && shown(store) == api.truth()).await;
}

#[tokio::test]
async fn expired_credentials_are_said_and_not_shown_as_an_empty_cluster() {
    let api = Scripted::new();
    api.set(Fault::Status(401));
    let (store, _watching) = open(&api);
    timeout(PATIENCE, store.loaded()).await.unwrap();
    let Feed::Unavailable(why) = store.feed("", "ConfigMap") else { panic!("{:?}", store.feed("", "ConfigMap")) };
    assert!(why.as_str().contains("credentials"), "{why}");
}

#[tokio::test]
async fn garbage_duplicates_and_disorder_do_not_change_the_end() {
    for fault in [Fault::Garbage, Fault::Shuffled] {
        let api = Scripted::new();
        api.set(fault);
        let (store, _watching) = open(&api);
        timeout(PATIENCE, store.loaded()).await.unwrap();
        for round in 0..20 {
            api.put(&format!("name-{}", round % 7), &round.to_string());
            if round % 3 == 0 {
                api.delete(&format!("name-{}", (round + 3) % 7));
            }
            if round % 4 == 0 {
                tokio::task::yield_now().await;
            }
        }
        until_true(&store, &api).await;
    }
}

#[tokio::test]
async fn a_server_that_is_behind_cannot_take_the_picture_back() {
    let api = Scripted::new();
    api.put("one", "1");
    let early = 2;
    api.put("one", "2");
    api.put("two", "2");
    let (store, _watching) = open(&api);
    until_true(&store, &api).await;
    api.set(Fault::Behind(early));
    until(&store, "not stale", |store| matches!(store.feed("", "ConfigMap"), Feed::Stale { .. })).await;
    assert_eq!(shown(&store), api.truth());
    api.set(Fault::None);
    until(&store, "not back", is_live).await;
}

#[tokio::test]
async fn lag_and_cut_watches_lose_nothing() {
    let bench = bench().await;
    let shown = |store: &Store| {
        let entries = store.of_kind("", "ConfigMap");
        let ours = entries.iter().filter(|entry| entry.object.id.name.starts_with("m-"));
        ours.map(|entry| entry.object.body()["data"]["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let cut = weir::embedded::Fault { method: None, path: "/configmaps".into(), times: 3, effect: Effect::CutAfter(1) };
    bench.embedded.dial().fault(cut);
    bench.embedded.dial().lag(Duration::from_millis(300));
    for value in ["1", "2"] {
        for number in 0..6 {
            bench.desk.cluster.apply(&config_map(&format!("m-{number}"), value), &HOW).await.unwrap();
        }
    }
    bench.until(|store| shown(store) == ["2"; 6]).await;
}

#[tokio::test]
async fn a_restart_of_the_server_is_survived_without_a_missed_change() {
    let embedded = Embedded::open(Options::default()).await.unwrap();
    let inside = Cluster::over(embedded.client(), Place::Embedded { data: None, address: None });
    inside.apply(&config_map("m-1", "1"), &HOW).await.unwrap();
    let mut served = embedded.serve("127.0.0.1:0".parse().unwrap(), Access::Plain).await.unwrap();
    let address = served.address;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &served.kubeconfig).unwrap();
    let target = Target::Kubeconfig { path: Some(file.path().into()), context: None };
    let outside = Cluster::connect(&target).await.unwrap().cluster;
    let store = Store::new();
    let _watching = start(&outside, &store, Scope::default());
    let id = |name: &str| Id::new("", "ConfigMap", "default", name);
    until(&store, "nothing came", |store| store.get(&id("m-1")).is_some()).await;
    for round in 2..4 {
        let (new, old) = (id(&format!("m-{round}")), id(&format!("m-{}", round - 1)));
        served.stop().await;
        until(&store, "not stale", |store| matches!(store.feed("", "ConfigMap"), Feed::Stale { .. })).await;
        inside.apply(&config_map(&new.name, "1"), &HOW).await.unwrap();
        inside.delete(&old, Propagation::Background, &Precondition::default()).await.unwrap();
        served = embedded.serve(address, Access::Plain).await.unwrap();
        until(&store, "a change was missed", |store| store.get(&new).is_some() && store.get(&old).is_none()).await;
        until(&store, "not live again", is_live).await;
    }
    served.stop().await;
}
