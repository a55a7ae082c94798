//! Work is counted, not timed: cells formatted, rows touched, frames drawn.

use std::collections::HashSet;

use serde_json::json;
use weir::base::{Id, Stamp};
use weir::console::Console;
use weir::console::message::{Effect, Msg};
use weir::console::rows::sift;
use weir::store::Changes;

use super::fleet::{self, REVISION, condition, kustomization, plain, source};
use super::{Stage, type_into};

/// The keys that list the ConfigMaps.
const MAPS: &str = ":cm<enter>";

const OBJECTS: usize = 10_000;

fn config_map(number: usize, version: usize) -> serde_json::Value {
    let mut object = plain("v1", "ConfigMap", "shop", &format!("map-{number:05}"), &json!({"data": {"n": "1"}}));
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object
}

async fn large() -> Stage {
    let ready = || condition("Ready", "True", "Succeeded", "applied");
    let inventory: Vec<String> = (0..OBJECTS).map(|number| format!("shop_map-{number:05}__ConfigMap")).collect();
    let inventory: Vec<&str> = inventory.iter().map(String::as_str).collect();
    let mut objects = vec![source("fleet", REVISION, ready()), kustomization("all", "fleet", &[], &inventory, ready())];
    objects.extend((0..OBJECTS).map(|number| config_map(number, 1)));
    Stage::with(objects).await.sized(120, 40)
}

/// Rows and columns that fit the screen at most.
const VISIBLE: u64 = 40 * 6;

/// One message after another, drawing after each, as the loop does when it is fast.
fn feed(console: &mut Console, changes: Changes) {
    console.update(Msg::Changed(changes));
    if console.is_dirty() {
        console.prepare();
    }
}

#[tokio::test]
async fn a_frame_formats_what_is_visible_and_nothing_else() {
    let stage = large().await;
    for keys in ["E", MAPS] {
        let mut console = stage.console();
        type_into(&mut console, keys);
        let first = console.work();
        assert!(first.cells <= 2 * VISIBLE, "{keys}: {first:?} for two screens");
        // A page further: only new rows. Back again: nothing at all.
        type_into(&mut console, "<pgdn>");
        let paged = console.work();
        assert!(paged.cells - first.cells <= VISIBLE, "{keys}: {paged:?}");
        type_into(&mut console, "j");
        assert!(console.work().cells - paged.cells <= 6, "{keys}: one row came into view");
        let before = console.work();
        type_into(&mut console, "k");
        assert_eq!(console.work().cells, before.cells, "{keys}: known rows are not formatted again");
    }
}

#[tokio::test]
async fn a_change_touches_the_rows_that_changed() {
    let stage = large().await;
    for (version, keys) in (2..).zip(["E", MAPS, &format!("{MAPS}d"), "E/map<enter>"]) {
        let mut console = stage.console();
        for effect in type_into(&mut console, keys) {
            answer_sift(&mut console, effect);
        }
        let subscription = stage.desk.store.subscribe();
        stage.desk.store.put((0..50).map(|number| config_map(number * 7, version)).collect());
        let before = console.work();
        let changes = subscription.try_take().unwrap();
        assert_eq!(changes.ids.len(), 50);
        feed(&mut console, changes);
        let after = console.work();
        // A list is a second screen over the tree, and each moves its own row.
        let screens = if keys.starts_with(MAPS) { 2 } else { 1 };
        assert!(after.rows - before.rows <= 50 * screens, "{keys}: {before:?} {after:?}");
        assert!(after.cells - before.cells <= VISIBLE, "{keys}: {before:?} {after:?}");
    }
}

fn answer_sift(console: &mut Console, effect: Effect) {
    if let Effect::Sift(ticket, sieve) = effect {
        let answer = weir::console::message::Answer::Sifted(sift(sieve));
        console.update(Msg::Answer(ticket, Box::new(answer)));
    }
}

#[tokio::test]
async fn an_idle_console_draws_nothing() {
    let stage = Stage::fleet().await;
    let mut console = stage.console();
    let now: Stamp = fleet::NOW.parse().unwrap();
    let frames = console.work().frames;
    // Every object is three days and three hours old: nothing visible changes for an hour.
    let due = console.due().expect("ages change some day");
    assert!(due.0 - now.0 >= 60, "woken after {} s", due.0 - now.0);
    for second in 0..60 {
        console.update(Msg::Second(Stamp(now.0 + second)));
        assert!(!console.is_dirty(), "at second {second}");
    }
    // News of objects that are not on the screen draw nothing either.
    stage.desk.store.put(vec![plain("v1", "ConfigMap", "elsewhere", "not-in-any-inventory", &json!({}))]);
    let id = Id::new("", "ConfigMap", "elsewhere", "not-in-any-inventory");
    feed(&mut console, Changes { ids: HashSet::from([id]), feeds: false });
    assert_eq!(console.work().frames, frames);
    console.update(Msg::Second(due));
    assert!(console.is_dirty(), "the age has changed now");
}

#[tokio::test]
async fn many_rows_are_filtered_outside_and_late_answers_vanish() {
    let stage = large().await;
    let mut console = stage.console();
    type_into(&mut console, MAPS);
    let effects = type_into(&mut console, "/map-0999");
    let sifts: Vec<Effect> = effects.iter().filter(|effect| matches!(effect, Effect::Sift(..))).cloned().collect();
    let cancels = effects.iter().filter(|effect| matches!(effect, Effect::Cancel(_))).count();
    assert_eq!((sifts.len(), cancels), (8, 7), "each key makes the one before void");
    // The first answer comes last: it finds no ticket.
    answer_sift(&mut console, sifts[7].clone());
    console.prepare();
    let shown = weir::console::frame::text(&super::drawn(&console, 120, 40));
    answer_sift(&mut console, sifts[0].clone());
    console.prepare();
    assert_eq!(weir::console::frame::text(&super::drawn(&console, 120, 40)), shown);
    assert!(shown.contains("map-09990") && !shown.contains("map-00001"), "{shown}");
}
