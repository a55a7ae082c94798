//! Damages templates and charts for a while and renders them: none may crash or take long.
//!
//! `cargo bench --bench charts_fuzz [templates|charts] [SECONDS] [SEED]`: both, a minute each, unless said. It ends with
//! an error at the first panic, and with the seed of the first input that takes more than five seconds.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use weir::base::FileTree;
use weir::engine::archive;
use weir::engine::chart::{Capabilities, Chart, Release, Shown, Values, Writing, read_values, set_values};
use weir::engine::template::{Limits, Templates, Value, World};

#[path = "../engine/kustomize/mutate.rs"]
#[allow(dead_code)]
mod mutate;
#[path = "../engine/kustomize/random/text.rs"]
#[allow(dead_code)]
mod text;

use text::Dice;

const LONGEST: Duration = Duration::from_secs(5);
/// What a render may cost here; the bounds themselves are what is tried.
const LIMITS: Limits = Limits { depth: 250, steps: 500_000, bytes: 64 << 20, output: 4 << 20, crypto_calls: 2 };

fn cases(folder: &str) -> Vec<String> {
    let folder = std::env::var("WEIR_CASES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine").into())
        + "/"
        + folder
        + "/cases";
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// The templates of the recorded cases: lines with `>`, with further lines after `-`.
fn templates() -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in cases("template").iter().flat_map(|text| text.lines()) {
        match line.split_at_checked(2) {
            Some((">" | "> ", rest)) => found.push(rest.to_owned()),
            Some(("-" | "- ", rest)) if !found.is_empty() => {
                let last = found.last_mut().unwrap();
                last.push('\n');
                last.push_str(rest);
            }
            _ => {}
        }
    }
    found
}

/// The charts of the recorded cases, as files; the values given are one of them.
fn charts() -> Vec<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for case in cases("chart") {
        let case = case.split("\n=> output").next().unwrap_or_default().split("\n=> error").next().unwrap_or_default();
        let parts = case.replace("\n=> given\n", "\n== given\n");
        let files = parts.split("\n== ").skip(1).map(|part| part.split_once('\n').unwrap_or((part, "")));
        found.push(files.map(|(path, text)| (path.to_owned(), format!("{text}\n").into_bytes())).collect());
    }
    found
}

fn world<'w>(random: &'w dyn Fn(&mut [u8]), stop: &'w dyn Fn() -> bool) -> World<'w> {
    World { random: Some(random), stop: Some(stop), limits: LIMITS, ..World::default() }
}

fn random(bytes: &mut [u8]) {
    rand::fill(bytes);
}

/// Damages a template, or two in one, and renders it with values of every kind.
fn render_template(corpus: &[String], dice: &mut Dice) {
    let mut source = dice.pick(corpus).clone();
    if dice.chance(30) {
        let other: &String = dice.pick(corpus);
        source.push_str(other);
    }
    let source = String::from_utf8_lossy(&mutate::damaged(source.as_bytes(), &mut |end| dice.below(end))).into_owned();
    // Keys of 4,096 bits take longer than the rest of a minute.
    if source.contains("gen") {
        return;
    }
    let values = serde_json::json!({
        "a": 1, "s": "text", "l": [1, "b", null, {"c": 2.5}], "m": {"k": {"deep": [true]}}, "t": "{{ .a }}", "n": null,
    });
    let data = Value::map([("Values", Value::from_values(&values)), ("a", Value::Int(7)), ("s", Value::str("x"))]);
    let mut templates = Templates::new();
    if templates.add("c/templates/t", &source).is_err() {
        return;
    }
    let end = Instant::now() + Duration::from_secs(2);
    let stop = || Instant::now() > end;
    templates.render([("c/templates/t", data)], &world(&random, &stop)).ok();
}

/// Damages files of a chart, sometimes as an archive, loads it, and renders it.
fn render_chart(corpus: &[Vec<(String, Vec<u8>)>], dice: &mut Dice) {
    let mut files = dice.pick(corpus).clone();
    for _ in 0..=dice.below(3) {
        let at = dice.below(files.len());
        let (path, bytes) = &mut files[at];
        *bytes = mutate::damaged(bytes, &mut |end| dice.below(end));
        if dice.chance(10) {
            *path = String::from_utf8_lossy(&mutate::damaged(path.as_bytes(), &mut |end| dice.below(end))).into_owned();
        }
    }
    let mut tree = FileTree::default();
    let packed = dice.chance(30);
    let prefix = if packed { "chart/" } else { "" };
    for (path, bytes) in files.iter().filter(|(path, _)| path != "given") {
        tree.insert(&format!("{prefix}{path}"), bytes.clone()).ok();
    }
    let given = files.iter().find(|(path, _)| path == "given").map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
    let mut values: Values = read_values("given", given).unwrap_or_default();
    let line =
        String::from_utf8_lossy(&mutate::damaged(b"a.b[0]=1,c={x,y},d=", &mut |end| dice.below(end))).into_owned();
    for writing in [Writing::Plain, Writing::Json, Writing::Literal] {
        set_values(&mut values, &line, writing).ok();
    }
    let chart = if packed {
        let mut bytes = archive::pack(&tree);
        if dice.chance(30) {
            bytes = mutate::damaged(&bytes, &mut |end| dice.below(end));
        }
        Chart::load_archive(&bytes)
    } else {
        Chart::load(&tree)
    };
    let Ok(chart) = chart else { return };
    let release = Release { name: "demo".into(), namespace: "apps".into(), revision: 1, is_upgrade: false };
    let end = Instant::now() + Duration::from_secs(2);
    let stop = || Instant::now() > end;
    if let Ok(rendered) = chart.render(&values, &release, &Capabilities::default(), &world(&random, &stop)) {
        let shown = Shown { crds: true, hooks: true, tests: true };
        rendered.print(shown);
        rendered.print_only(shown, &["templates/*".into()]).ok();
    }
}

/// Runs rounds for a while, on a stack like that of a worker.
fn run(name: &str, seconds: u64, first: u64, round: impl Fn(&mut Dice) + Send) {
    let work = move || {
        let (start, mut seed, mut slowest) = (Instant::now(), first, (Duration::ZERO, 0));
        while start.elapsed() < Duration::from_secs(seconds) {
            let begun = Instant::now();
            // A panic ends the run; the seed it happened at is found again with the last one printed.
            round(&mut Dice(seed));
            let spent = begun.elapsed();
            assert!(spent < LONGEST, "{name}: seed {seed} takes {spent:?}");
            slowest = slowest.max((spent, seed));
            seed += 1;
            if seed.is_multiple_of(5_000) {
                println!("{name}: next seed {seed}, slowest {:?} (seed {})", slowest.0, slowest.1);
            }
        }
        println!("{name}: {} rounds, no panic; the slowest took {:?} (seed {})", seed - first, slowest.0, slowest.1);
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(8 << 20).spawn_scoped(scope, work).unwrap();
        assert!(thread.join().is_ok(), "{name}: panicked");
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let (seconds, seed) = (numbers.first().copied().unwrap_or(60), numbers.get(1).copied().unwrap_or(1));
    let asked = |name: &str| {
        arguments.iter().any(|argument| argument == name)
            || !arguments.iter().any(|argument| argument == "templates" || argument == "charts")
    };
    if asked("templates") {
        let corpus = templates();
        run("templates", seconds, seed, move |dice| render_template(&corpus, dice));
    }
    if asked("charts") {
        let corpus = charts();
        run("charts", seconds, seed, move |dice| render_chart(&corpus, dice));
    }
}
