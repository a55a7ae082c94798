//! Text from outside is only ever text, and no size of the terminal is a fault.

use ratatui::buffer::Buffer;
use serde_json::json;
use weir::base::{Id, Stamp, Text};
use weir::console::message::Msg;
use weir::store::Level;

use super::fleet::{self, NOW, condition, kustomization, source};
use super::{Stage, drawn, type_into};

/// Sequences that do something on a terminal, and characters that hide or reorder others.
pub fn payloads() -> Vec<String> {
    let mut payloads: Vec<String> = [
        "\x1b[2J\x1b[H",
        "\x1b]0;owned\x07",
        "\x1b]52;c;b3duZWQ=\x07",
        "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1b_Gi=1;\x1b\\",
        "\x1b^pm\x1b\\",
        "\x1b[?1049l",
        "\x1b[?25h",
        "\x1b[6n",
        "\x1b[c",
        "\x1bc",
        "\x1b7\x1b8",
        "\x1b[31;1mred",
        "\x1b[8mhidden\x1b[28m",
        "\x1b[999;999H",
        "\x1b(0lqqk",
        "\x1b#8",
        "\r overwritten",
        "\x08\x08\x08back",
        "\x07bell",
        "\x0b\x0c",
        "\x0e\x0f",
        "\x7f",
        "\0nul",
        "a\tb",
        "one\ntwo",
        "\u{9b}31m",
        "\u{9d}0;c1\u{9c}",
        "\u{90}dcs",
        "\u{85}nel",
        "\u{202e}txt.exe",
        "\u{2066}x\u{2069}",
        "\u{200b}zero",
        "\u{feff}bom",
        "\u{ad}soft",
        "\u{2028}line",
        "\u{e0041}tag",
        "\u{3164}filler",
        "\u{115f}\u{1160}",
        "\u{2060}",
        "\u{180e}",
        "\u{fff9}x\u{fffb}",
    ]
    .map(str::to_owned)
    .into();
    let controls = (0u32..0x20).chain(0x7f..0xa0).filter_map(char::from_u32);
    payloads.push(controls.clone().map(|control| format!("c{control}c ")).collect());
    payloads.push(controls.map(|control| format!("\x1b{control}[{control}")).collect());
    payloads.push((0x40u8..0x7f).map(|end| format!("\x1b{} \x1b[1;1{} ", end as char, end as char)).collect());
    payloads.push(format!("a{}", "\u{301}".repeat(5_000)));
    payloads.push("x".repeat(200_000));
    payloads.push("日本".repeat(10_000));
    payloads
}

/// Every place that a payload can come from, filled with it.
pub async fn poisoned(payload: &str) -> Stage {
    let ready = condition("Ready", "False", payload, payload);
    let mut kustomization = kustomization("apps", "fleet", &[payload], &["shop_x__ConfigMap"], ready.clone());
    kustomization["metadata"]["annotations"] = json!({payload: payload});
    kustomization["metadata"]["labels"] = json!({payload: payload});
    let mut odd =
        fleet::plain("example.org/v1", payload, payload, payload, &json!({"status": {"conditions": [ready.clone()]}}));
    odd["spec"] = json!({payload: [payload, {payload: payload}]});
    let map = fleet::plain("v1", "ConfigMap", "shop", payload, &json!({"data": {payload: payload}}));
    let event = fleet::plain(
        "v1",
        "Event",
        "flux-system",
        "event",
        &json!({"type": payload, "reason": payload, "message": payload,
        "involvedObject": {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "namespace": "flux-system", "name": "apps"}}),
    );
    let mut fleet = source("fleet", payload, ready);
    fleet["spec"]["url"] = json!(payload);
    let stage = Stage::with(vec![fleet, kustomization, odd, map, event]).await.sized(100, 30);
    let id = Id::new("kustomize.toolkit.fluxcd.io", "Kustomization", "flux-system", "apps");
    let at: Stamp = NOW.parse().unwrap();
    stage.desk.activity.push(at, Level::Info, Some(id), Text::new(payload));
    stage.desk.store.set_feed("", "Secret", weir::store::Feed::Denied(Text::new(payload)));
    stage
}

/// Views that show text from outside.
pub const VIEWS: [&str; 12] = ["", "j", "E", "1", "2", ":cm<enter>", "jd", "jyw", "ji", "jv", "jl", "j<ctrl-d>"];

fn assert_clean(buffer: &Buffer, what: &str) {
    for cell in &buffer.content {
        let symbol = cell.symbol();
        assert!(Text::new(symbol).as_str() == symbol, "{what}: a cell holds {symbol:?}");
        assert!(symbol.chars().count() <= 12, "{what}: a cell holds {} characters", symbol.chars().count());
    }
}

#[tokio::test]
async fn nothing_from_outside_reaches_a_cell_as_anything_but_text() {
    for payload in payloads() {
        let stage = poisoned(&payload).await;
        for view in VIEWS {
            let mut console = stage.console();
            type_into(&mut console, view);
            assert_clean(&drawn(&console, 100, 30), &format!("{view} {:.40?}", payload));
        }
    }
}

#[tokio::test]
async fn borders_stay_where_they_are_whatever_the_text() {
    for payload in payloads() {
        let stage = poisoned(&payload).await;
        let mut console = stage.console();
        type_into(&mut console, "j<ctrl-d>");
        let buffer = drawn(&console, 100, 30);
        let left: Vec<u16> = (0..30).filter(|y| buffer[(12, *y)].symbol() == "│").collect();
        let right: Vec<u16> = (0..30).filter(|y| buffer[(87, *y)].symbol() == "│").collect();
        assert!(left.len() >= 3 && left == right, "{payload:.40?}: {left:?} {right:?}");
    }
}

#[tokio::test]
async fn no_size_is_a_fault_and_the_last_frame_is_that_of_its_size() {
    let stage = Stage::fleet().await;
    let mut views = VIEWS.to_vec();
    views.extend(["?", ":sh", "/web", "L", "jj<ctrl-d>infra", "z", "q"]);
    for view in views {
        let mut console = stage.console();
        type_into(&mut console, view);
        let sizes =
            [(0, 0), (1, 1), (0, 24), (80, 0), (2, 3), (3, 2), (7, 5), (20, 5), (40, 12), (1000, 500), (80, 24)];
        for (width, height) in sizes {
            console.update(Msg::Size(width, height));
            console.prepare();
            drawn(&console, width, height);
        }
        let after = weir::console::frame::text(&drawn(&console, 80, 24));
        let mut fresh = stage.console();
        type_into(&mut fresh, view);
        assert_eq!(after, weir::console::frame::text(&drawn(&fresh, 80, 24)), "{view}");
    }
}

#[tokio::test]
async fn a_storm_of_resizes_costs_no_more_than_frames() {
    let stage = Stage::fleet().await;
    let mut console = stage.console();
    type_into(&mut console, "E");
    let before = console.work();
    for step in 0u32..10_000 {
        let (width, height) = ((step * 7 % 300) as u16, (step * 13 % 120) as u16);
        console.update(Msg::Size(width, height));
        if step % 10 == 0 {
            console.prepare();
            drawn(&console, width, height);
        }
    }
    let after = console.work();
    assert!(after.cells - before.cells < 100, "rows that are known are not formatted again: {before:?} {after:?}");
}
