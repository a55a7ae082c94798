//! Random repositories, built by both. `WEIR_RANDOM_CASES` says how many (300 unless said), `WEIR_RANDOM_SEED` from
//! which number on; every seed makes the same repository again. What differs is made small before it is shown.
//!
//! One difference is meant, recognized and counted: integers beyond 2^53 that kustomize rounds in a JSON patch and weir
//! keeps ([`differ_by_rounding`]). Three things are known to differ and are not made: the hash of a generated object that a change turned into another
//! kind (the reference hashes its own line numbers), a list or mapping copied into itself (the reference copies what it
//! is changing), and what makes the reference crash, where weir says what is wrong.

mod make;
pub mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use weir::base::FileTree;

use super::compare::{differ_by_rounding, difference, options, ours, reference, theirs};
use text::Dice;

/// A repository: files that are lists of documents, and files that are text.
#[derive(Clone, Default)]
pub struct Repository {
    pub documents: BTreeMap<String, Vec<Value>>,
    pub texts: BTreeMap<String, String>,
    seed: u64,
}

impl Repository {
    fn files(&self) -> BTreeMap<String, String> {
        let mut files = self.texts.clone();
        for (path, documents) in &self.documents {
            let mut dice = Dice(self.seed ^ path.len() as u64);
            files.insert(path.clone(), text::write(documents, &mut dice));
        }
        files
    }
}

/// What one comparison came to.
enum Verdict {
    Same,
    BothRefuse(String),
    /// The reference panics; weir answers.
    Crashes,
    /// They differ in integers alone that the reference rounds.
    Rounded,
    Differs(String),
}

fn compare(reference: &Path, repository: &Repository) -> Verdict {
    let files = repository.files();
    let folder = tempfile::tempdir().unwrap();
    let mut tree = FileTree::default();
    for (path, content) in &files {
        let place = folder.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, content).unwrap();
        tree.insert(path, content.clone().into_bytes()).unwrap();
    }
    let other = theirs(reference, &folder.path().join("top"));
    let mine = ours(&tree, "top", &options());
    if other.as_ref().is_err_and(|why| why.contains("\npanic: ") || why.starts_with("panic: ")) {
        return Verdict::Crashes;
    }
    match (mine, other) {
        (Ok(mine), Ok(other)) if difference(&mine, &other).is_some() && differ_by_rounding(&mine, &other) => {
            Verdict::Rounded
        }
        (Ok(mine), Ok(other)) => difference(&mine, &other).map_or(Verdict::Same, Verdict::Differs),
        (Err(_), Err(why)) => Verdict::BothRefuse(why),
        (Err(mine), Ok(_)) => Verdict::Differs(format!("only weir refuses: {mine}")),
        (Ok(_), Err(other)) => Verdict::Differs(format!("only kustomize refuses: {other}")),
    }
}

/// Makes a repository that differs smaller, part by part, as long as it still differs.
fn shrink(reference: &Path, mut repository: Repository) -> Repository {
    let mut tries = 400_usize;
    loop {
        let mut better = None;
        for smaller in smaller(&repository) {
            tries = tries.saturating_sub(1);
            if tries == 0 {
                return repository;
            }
            if matches!(compare(reference, &smaller), Verdict::Differs(_)) {
                better = Some(smaller);
                break;
            }
        }
        match better {
            Some(smaller) => repository = smaller,
            None => return repository,
        }
    }
}

/// The repository without one part of it, larger parts first.
fn smaller(repository: &Repository) -> Vec<Repository> {
    let mut made = Vec::new();
    let mut folders: Vec<&str> = repository.documents.keys().filter_map(|path| Some(path.split_once('/')?.0)).collect();
    folders.dedup();
    for folder in folders.into_iter().filter(|folder| *folder != "top") {
        let mut copy = without(repository, &format!("../{folder}"));
        copy.documents.retain(|path, _| !path.starts_with(&format!("{folder}/")));
        copy.texts.retain(|path, _| !path.starts_with(&format!("{folder}/")));
        made.push(copy);
    }
    for path in repository.documents.keys().filter(|path| !path.ends_with("/kustomization.yaml")) {
        let mut copy = without(repository, path.split_once('/').unwrap().1);
        copy.documents.remove(path);
        made.push(copy);
    }
    for depth in 1..7 {
        for (path, documents) in &repository.documents {
            for at in 0..documents.len() {
                if depth == 1 && documents.len() > 1 {
                    let mut copy = repository.clone();
                    copy.documents.get_mut(path).unwrap().remove(at);
                    made.push(copy);
                }
                for place in places(&documents[at], depth) {
                    let mut copy = repository.clone();
                    cut(&mut copy.documents.get_mut(path).unwrap()[at], &place);
                    made.push(copy);
                }
            }
        }
    }
    made
}

/// The repository with an entry gone from all lists of kustomizations.
fn without(repository: &Repository, entry: &str) -> Repository {
    let mut copy = repository.clone();
    for documents in copy.documents.values_mut() {
        for list in documents.iter_mut().filter_map(Value::as_object_mut).flat_map(|fields| fields.values_mut()) {
            if let Value::Array(items) = list {
                items.retain(|item| item != entry && item.get("path").is_none_or(|path| path != entry));
            }
        }
    }
    copy
}

/// Ways to all parts at a depth.
fn places(value: &Value, depth: usize) -> Vec<Vec<String>> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    if depth == 1 {
        return inner.into_iter().map(|(key, _)| vec![key]).collect();
    }
    let longer = |(key, value): (String, &Value)| {
        let below = places(value, depth - 1);
        below.into_iter().map(move |mut place| {
            place.insert(0, key.clone());
            place
        })
    };
    inner.into_iter().flat_map(longer).collect()
}

fn cut(value: &mut Value, place: &[String]) {
    let Some((first, rest)) = place.split_first() else { return };
    match value {
        Value::Object(fields) if rest.is_empty() => drop(fields.shift_remove(first)),
        Value::Array(items) if rest.is_empty() => drop(items.remove(first.parse().unwrap())),
        Value::Object(fields) => cut(fields.get_mut(first).unwrap(), rest),
        Value::Array(items) => cut(&mut items[first.parse::<usize>().unwrap()], rest),
        _ => {}
    }
}

fn shown(seed: u64, reference: &Path, repository: &Repository) -> String {
    let Verdict::Differs(why) = compare(reference, repository) else { return format!("seed {seed} is unstable") };
    let mut text = format!("\n@ seed {seed} : top\n");
    for (path, content) in repository.files() {
        text.push_str(&format!("> {path}\n{}\n", content.trim_end()));
    }
    format!("{text}# {}\n", why.trim_end())
}

/// What came of all comparisons, with the seeds of those that are special.
#[derive(Default)]
struct Counts {
    same: usize,
    refused: usize,
    rounded: Vec<u64>,
    crashes: Vec<u64>,
    wrong: Vec<(u64, String)>,
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn random_repositories_come_out_as_from_kustomize() {
    let Some(reference) = reference() else {
        eprintln!("skipped: set WEIR_KUSTOMIZE to compare random repositories with the reference");
        return;
    };
    let first = number("WEIR_RANDOM_SEED", 1);
    let end = first + number("WEIR_RANDOM_CASES", 300);
    let next = AtomicU64::new(first);
    let counts = Mutex::new(Counts::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || counts.lock().unwrap().wrong.len() >= 12 {
                return;
            }
            let repository = make::repository(seed);
            match compare(&reference, &repository) {
                Verdict::Same => counts.lock().unwrap().same += 1,
                Verdict::Crashes => counts.lock().unwrap().crashes.push(seed),
                Verdict::Rounded => counts.lock().unwrap().rounded.push(seed),
                Verdict::BothRefuse(why) => {
                    if std::env::var_os("WEIR_RANDOM_REFUSALS").is_some() {
                        eprintln!("seed {seed}: {}", why.trim().rsplit("': ").next().unwrap_or_default());
                    }
                    counts.lock().unwrap().refused += 1;
                }
                Verdict::Differs(_) => {
                    let text = shown(seed, &reference, &shrink(&reference, repository));
                    counts.lock().unwrap().wrong.push((seed, text));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let Counts { same, refused, mut rounded, mut crashes, mut wrong } = counts.into_inner().unwrap();
    rounded.sort_unstable();
    crashes.sort_unstable();
    wrong.sort();
    eprintln!(
        "{same} the same, {refused} refused by both, {} differ; meant: {} with integers that kustomize rounds {rounded:?}, {} on \
         which it crashes {crashes:?}",
        wrong.len(),
        rounded.len(),
        crashes.len()
    );
    if let Some(path) = std::env::var_os("WEIR_RANDOM_REPORT").map(PathBuf::from) {
        std::fs::write(path, wrong.iter().map(|(_, text)| text.as_str()).collect::<String>()).unwrap();
    }
    assert!(
        wrong.is_empty(),
        "{} differ:{}",
        wrong.len(),
        wrong.iter().map(|(_, text)| text.as_str()).collect::<String>()
    );
    assert!(same > refused, "most random repositories must build, or little is compared");
}
