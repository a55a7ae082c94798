//! Damages kustomizations and YAML for a while and builds them: none may crash or take long.
//!
//! `cargo bench --bench fuzz [SECONDS] [SEED]`, a minute unless said. It ends with an error at the first panic and with
//! the input at the first that takes more than five seconds; the seed of each round is printed on the way, so that
//! a process that dies without a word can be asked again.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use weir::base::{FileTree, yaml};
use weir::engine::kustomize::{Answers, Limits, Options, Reorder, build};

#[path = "../engine/kustomize/mutate.rs"]
mod mutate;
#[path = "../engine/kustomize/random/text.rs"]
#[allow(dead_code)]
mod text;

use text::Dice;

/// The longest that any input may take.
const LONGEST: Duration = Duration::from_secs(5);

/// The files of all recorded cases, by case.
fn corpus() -> Vec<(Vec<(String, String)>, String)> {
    let folder = std::env::var_os("WEIR_CASES").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/kustomize/cases").into(),
        std::path::PathBuf::from,
    );
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let cases = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut shared = Vec::new();
        for case in format!("\n{cases}").split("\n@ ").skip(1) {
            let (head, body) = case.split_once('\n').unwrap_or((case, ""));
            let (name, directory) = head.split_once(" : ").unwrap_or((head, ""));
            let body = body.split("\n=\n").next().unwrap_or_default().split("\n! ").next().unwrap_or_default();
            let files: Vec<(String, String)> = format!("\n{body}")
                .split("\n> ")
                .skip(1)
                .map(|file| file.split_once('\n').unwrap_or((file, "")))
                .map(|(path, text)| (path.to_owned(), format!("{text}\n")))
                .collect();
            if name == "shared" {
                shared = files;
            } else {
                all.push((shared.iter().cloned().chain(files).collect(), directory.to_owned()));
            }
        }
    }
    all
}

/// One round: damages one or two files of a case, reads them as YAML in each dialect, and builds the case.
fn round(corpus: &[(Vec<(String, String)>, String)], seed: u64) -> Duration {
    let mut dice = Dice(seed);
    let (files, directory) = dice.pick(corpus);
    let mut tree: FileTree = files.iter().cloned().collect();
    let mut changed = Vec::new();
    for _ in 0..=dice.below(2) {
        let (path, text) = dice.pick(files);
        let bytes = mutate::damaged(text.as_bytes(), &mut |end| dice.below(end));
        tree.insert(path, bytes.clone()).unwrap();
        changed.push(bytes);
    }
    let start = Instant::now();
    for bytes in &changed {
        for dialect in [yaml::Dialect::Manifest, yaml::Dialect::Kustomize] {
            for document in yaml::read_as(bytes, &yaml::Limits::default(), dialect).unwrap_or_default() {
                let written = yaml::write(&document.value);
                let again = yaml::read_one(written.as_bytes(), &yaml::Limits::default());
                assert_eq!(
                    again.ok().as_ref(),
                    Some(&document.value),
                    "seed {seed}: it is written so that it reads back"
                );
            }
        }
        yaml::line_of(bytes, 0, &["spec", "0", "x"]);
    }
    let limits = Limits { work: 32 << 20, ..Limits::default() };
    let flux = Options { limits, files_anywhere: true, schema_adds: true, ..Options::default() };
    let plain = Options { limits, reorder: Reorder::Legacy, ..Options::default() };
    let options = if dice.chance(50) { flux } else { plain };
    build(&tree, directory, &options, &Answers::default()).ok();
    start.elapsed()
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let seconds = numbers.first().copied().unwrap_or(60);
    let mut seed = numbers.get(1).copied().unwrap_or(1);
    let corpus = corpus();
    let (start, mut rounds, mut slowest) = (Instant::now(), 0_u64, (Duration::ZERO, 0));
    while start.elapsed() < Duration::from_secs(seconds) {
        let spent = round(&corpus, seed);
        assert!(spent < LONGEST, "seed {seed} takes {spent:?}");
        slowest = slowest.max((spent, seed));
        (seed, rounds) = (seed + 1, rounds + 1);
        if rounds.is_multiple_of(10_000) {
            println!("{rounds} rounds, next seed {seed}, slowest {:?} (seed {})", slowest.0, slowest.1);
        }
    }
    println!(
        "{rounds} rounds over {} cases: no panic; the slowest took {:?} (seed {})",
        corpus.len(),
        slowest.0,
        slowest.1
    );
}
