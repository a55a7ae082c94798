//! What images cost: a decision over 100,000 tags under each rule, and the markers of 10,000 files.
//!
//! `cargo bench --bench images`. The fastest run counts, since load only adds; the bars are those of the plan. With
//! WEIR_BENCH_DIR the inputs and the edited files are written there, so that others can be measured with them.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use weir::base::FileTree;
use weir::engine::policy::{Filter, Order, Policy, Rule};
use weir::engine::setters::{Choice, Setters, apply};

const RUNS: usize = 10;
const TAGS: usize = 100_000;
const FILES: usize = 10_000;

fn fastest(mut work: impl FnMut()) -> Duration {
    let time = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    (0..RUNS).map(|_| time(&mut work)).min().unwrap()
}

/// Writes something for others, if that is wished.
fn shared(name: &str, bytes: &[u8]) {
    let Some(root) = std::env::var_os("WEIR_BENCH_DIR").map(PathBuf::from) else { return };
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn told(what: &str, took: Duration, bar: Duration) {
    let verdict = if took <= bar { "within" } else { "OVER" };
    println!("{what}: {took:?}, {verdict} {bar:?}");
}

fn policies() {
    let versions: Vec<String> = (0..TAGS)
        .map(|n| format!("{}.{}.{}{}", n % 7, n / 700, n % 100, if n % 5 == 0 { "-rc.1" } else { "" }))
        .collect();
    let builds: Vec<String> = (0..TAGS).map(|n| format!("main-{:07x}-{}", n * 7919, n % 77_777)).collect();
    let filter = Filter::new(r"^main-[a-f0-9]+-(?P<ts>[0-9]+)$", "$ts").unwrap();
    let numbers: Vec<String> = (0..TAGS).map(|n| (n * 31 % 99_991).to_string()).collect();
    for (name, tags) in [("versions", &versions), ("builds", &builds), ("numbers", &numbers)] {
        shared(&format!("{name}.txt"), tags.join("\n").as_bytes());
    }
    let plain = |rule| Policy { rule, filter: None };
    for (name, policy, tags) in [
        ("semver >=1.0 <7", plain(Rule::semver(">=1.0 <7").unwrap()), &versions),
        ("alphabetical asc", plain(Rule::Alphabetical(Order::Asc)), &builds),
        ("numerical asc", plain(Rule::Numerical(Order::Asc)), &numbers),
        ("numerical asc, filtered", Policy { rule: Rule::Numerical(Order::Asc), filter: Some(filter) }, &builds),
    ] {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let took = fastest(|| drop(policy.latest(&tags).unwrap().to_owned()));
        let chosen = policy.latest(&tags).unwrap();
        told(&format!("{name} over {TAGS} tags chooses {chosen}"), took, Duration::from_millis(100));
    }
}

fn setters() {
    let mut tree = FileTree::default();
    for number in 0..FILES {
        // Most manifests of a fleet have no marker; one in ten has two.
        let marker = |field: &str| match number % 10 {
            0 => format!(" # {{\"$imagepolicy\": \"flux-system:app{}{field}\"}}", number % 50),
            _ => String::new(),
        };
        let mut text = format!("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{number}\nspec:\n");
        for line in 0..60 {
            text.push_str(&format!("  field{line}: value of a field # and a comment\n"));
        }
        text.push_str(&format!("  image: ghcr.io/org/app:1.0.0{}\n  tag: 1.0.0{}\n", marker(""), marker(":tag")));
        let path = format!("apps/{}/app-{number}.yaml", number % 97);
        shared(&format!("files/{path}"), text.as_bytes());
        tree.insert(&path, text.into_bytes()).unwrap();
    }
    let choice = |number: usize| Choice {
        namespace: "flux-system".into(),
        policy: format!("app{number}"),
        image: "ghcr.io/org/app".into(),
        tag: "1.2.3".into(),
        digest: None,
    };
    let choices: Vec<Choice> = (0..50).map(choice).collect();
    let setters = Setters::of(&choices).unwrap();
    for (path, bytes) in apply(&tree, "", &setters).unwrap().files {
        shared(&format!("edited/{path}"), &bytes);
    }
    let took = fastest(|| assert_eq!(apply(&tree, "", &setters).unwrap().files.len(), FILES / 10));
    told(&format!("markers of {FILES} files ({} MB)", tree.size_bytes() >> 20), took, Duration::from_secs(1));
}

fn main() {
    policies();
    setters();
}
