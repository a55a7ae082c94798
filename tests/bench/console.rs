//! What the console costs: CPU per key press, bytes to the terminal per key press, memory. Prints; asserts nothing.
//!
//! `cargo bench --bench console [OBJECTS]`. Times are the median and the worst of many presses, drawing included; what
//! else runs on the machine moves the worst, and hardly the median.

#![allow(clippy::print_stdout)]

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use serde_json::{Value, json};
use weir::base::{Id, Stamp, Text};
use weir::config::{Depth, parse_script};
use weir::console::Console;
use weir::console::keys::Keys;
use weir::console::look::Look;
use weir::console::message::{Answer, Effect, Msg};
use weir::console::rows::sift;
use weir::console::shared::Shared;
use weir::store::{Activity, Changes, Feed, Store};

/// Counts bytes and forgets them.
#[derive(Clone, Default)]
struct Sink(Arc<AtomicU64>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Bench {
    console: Console,
    screen: Terminal<CrosstermBackend<Sink>>,
    sink: Sink,
    at: Duration,
}

fn map(number: usize, version: usize) -> Value {
    let config: String = (0..12).map(|line| format!("setting-{line} = value-{}\n", (number + line) % 97)).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("config-{number:05}"), "namespace": format!("team-{:02}", number % 40),
            "uid": format!("u-{number}"), "resourceVersion": version.to_string(), "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app.kubernetes.io/name": format!("app-{}", number % 500), "kustomize.toolkit.fluxcd.io/name": "all"}},
        "data": {"application.properties": config}})
}

/// Kustomizations of 200 objects each, over ten sources.
fn picture(objects: usize) -> Store {
    let store = Store::new();
    let ready = json!([{"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded",
        "message": "Applied revision: main@sha1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "lastTransitionTime": "2026-01-02T00:00:00Z"}]);
    let head = |kind: &str, group: &str, name: String| {
        json!({"apiVersion": format!("{group}.toolkit.fluxcd.io/v1"), "kind": kind, "metadata": {"name": name,
            "namespace": "flux-system", "uid": name, "resourceVersion": "1", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}})
    };
    for source in 0..10 {
        let mut object = head("GitRepository", "source", format!("repo-{source}"));
        object["status"] = json!({"observedGeneration": 1, "conditions": ready, "artifact": {"revision": "main@sha1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"}});
        store.put(vec![object]);
    }
    for (number, from) in (0..objects).step_by(200).enumerate() {
        let mut object = head("Kustomization", "kustomize", format!("apps-{number:04}"));
        let entries: Vec<Value> = (from..(from + 200).min(objects))
            .map(|n| json!({"id": format!("team-{:02}_config-{n:05}__ConfigMap", n % 40), "v": "v1"}))
            .collect();
        object["spec"] =
            json!({"sourceRef": {"kind": "GitRepository", "name": format!("repo-{}", number % 10)}, "prune": true});
        object["status"] = json!({"observedGeneration": 1, "conditions": ready, "lastAppliedRevision": "main@sha1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "inventory": {"entries": entries}});
        store.put(vec![object]);
    }
    for from in (0..objects).step_by(500) {
        store.put((from..(from + 500).min(objects)).map(|number| map(number, 1)).collect());
    }
    for kind in weir::kinds::ALL {
        store.set_feed(kind.group, kind.kind, Feed::Live { seen: Stamp(0) });
    }
    store
}

impl Bench {
    fn new(store: &Store, width: u16, height: u16) -> Bench {
        let cx = Shared {
            store: store.clone(),
            activity: Activity::default(),
            place: Text::new("bench (https://127.0.0.1)"),
            embedded: false,
            reconciling: false,
            demo: false,
            foresees: false,
            read_only: false,
            own_theme: None,
            look: Look::load("dark", None, Depth::True).expect("the theme loads"),
            depth: Depth::True,
            keys: Keys::load("default", None).expect("the keymap loads"),
            now: Stamp(1_772_366_400),
            pressed: Duration::ZERO,
            pressed_before: Duration::ZERO,
            size: (width, height),
            feeds: store.feeds(),
        };
        let sink = Sink::default();
        let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
        let screen = Terminal::with_options(CrosstermBackend::new(sink.clone()), TerminalOptions { viewport });
        let mut bench = Bench {
            console: Console::new(cx),
            screen: screen.expect("a sink takes everything"),
            sink,
            at: Duration::ZERO,
        };
        bench.draw();
        bench
    }

    fn draw(&mut self) {
        self.console.prepare();
        let console = &self.console;
        self.screen.draw(|frame| _ = console.draw(frame.buffer_mut())).expect("a sink takes everything");
    }

    fn take(&mut self, msg: Msg) -> Vec<Effect> {
        let effects = self.console.update(msg);
        if self.console.is_dirty() {
            self.draw();
        }
        effects
    }

    fn keys(&mut self, keys: &str) {
        for key in parse_script(keys).expect("a script") {
            self.at += Duration::from_millis(200);
            for effect in self.take(Msg::Key(key, self.at)) {
                if let Effect::Sift(ticket, sieve) = effect {
                    self.take(Msg::Answer(ticket, Box::new(Answer::Sifted(sift(sieve)))));
                }
            }
        }
    }

    /// The time of the key alone; what it starts outside is done by another thread.
    fn press(&mut self, what: &str, before: &str, keys: &[&str], times: usize) {
        self.keys(before);
        let mut took = Vec::new();
        let bytes = self.sink.0.load(Ordering::Relaxed);
        for _ in 0..times {
            for script in keys {
                for key in parse_script(script).expect("a script") {
                    self.at += Duration::from_millis(200);
                    let began = Instant::now();
                    let effects = self.take(Msg::Key(key, self.at));
                    took.push(began.elapsed());
                    for effect in effects {
                        if let Effect::Sift(ticket, sieve) = effect {
                            self.take(Msg::Answer(ticket, Box::new(Answer::Sifted(sift(sieve)))));
                        }
                    }
                }
            }
        }
        let bytes = (self.sink.0.load(Ordering::Relaxed) - bytes) / took.len() as u64;
        took.sort_unstable();
        let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
        println!("{what:<44} {:>9.3} ms  worst {:>8.3} ms  {bytes:>6} B", ms(median), ms(worst));
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Resident memory in MB, as Linux tells it.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() {
    let objects = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(20_000);
    let base = resident();
    let store = picture(objects);
    println!("{objects} objects: picture {:.1} MB over {base:.1} MB of the bare process", resident() - base);
    let began = Instant::now();
    let mut bench = Bench::new(&store, 120, 40);
    println!("first frame after {:.1} ms, {:.1} MB in all", ms(began.elapsed()), resident());
    println!("{:<44} {:>12}  {:>17}  {:>8}", "per key press at 120×40, frame included", "median", "", "bytes");
    bench.press("tree, folded: down and up", "", &["jjjjkkkk"], 50);
    bench.keys("E");
    bench.press("tree, all unfolded: down", "", &["j"], 400);
    bench.press("tree, all unfolded: page down", "g", &["<pgdn>"], 200);
    bench.press("tree, all unfolded: end and start", "", &["Gg"], 50);
    bench.press("tree: fold and unfold a branch", "jj", &["<space><space>"], 50);
    bench.press("tree: next problem (none)", "", &["n"], 50);
    bench.press("tree: type a filter, letter by letter", "", &["/config-0<esc>"], 10);
    bench.press("list: down", "6", &["j"], 400);
    bench.press("list: page down", "g", &["<pgdn>"], 200);
    bench.press("list: sort by the next column", "", &["o"], 9);
    bench.press("list: type a filter, letter by letter", "", &["/config-0<esc>"], 10);
    bench.press("palette: type an object's name", "0", &[":config-19<esc>"], 10);
    changes(&store, &mut bench, objects);
    println!("{:.1} MB at the end", resident());
    let mut wide = Bench::new(&store, 240, 70);
    wide.press("at 240×70, tree all unfolded: down", "E", &["j"], 200);
}

/// Fifty objects change at once, as often as a frame.
fn changes(store: &Store, bench: &mut Bench, objects: usize) {
    bench.keys("0E");
    let (mut all, rounds) = (Duration::ZERO, 100);
    let before = bench.console.work();
    for round in 0..rounds {
        let documents: Vec<Value> = (0..50).map(|n| map((round * 50 + n * 7) % objects, round + 2)).collect();
        let ids = documents.iter().filter_map(Id::of).collect();
        store.put(documents);
        let began = Instant::now();
        bench.take(Msg::Changed(Changes { ids, feeds: false }));
        all += began.elapsed();
    }
    let after = bench.console.work();
    println!(
        "{:<44} {:>9.3} ms  rows {} cells {} frames {}",
        "50 changes into the unfolded tree",
        ms(all / rounds as u32),
        (after.rows - before.rows) / rounds as u64,
        (after.cells - before.cells) / rounds as u64,
        after.frames - before.frames
    );
}
