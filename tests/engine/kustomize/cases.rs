//! The recorded cases: a tree of files and what kustomize 5.8.1 makes of it, or how it is refused.
//!
//! A file of cases has lines that start with `@ name` (with ` : directory` when that is not the root), `> path` before
//! each file, and `=` before the expected output or `! message` for a refusal. Files under `@ shared` are in all cases.
//! With `WEIR_KUSTOMIZE` each expectation is checked against the reference; with `WEIR_RECORD` besides, it is written.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use weir::base::{FileTree, yaml};

use super::compare::{difference, options, ours, reference, theirs};

struct Case {
    name: String,
    directory: String,
    files: Vec<(String, String)>,
    expected: Expected,
}

enum Expected {
    Unknown,
    Output(String),
    Refusal(String),
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/kustomize/cases");
    let folder = std::env::var_os("WEIR_CASES").map_or(folder, PathBuf::from);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut in_expected = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("@ ") {
            let (name, directory) = name.split_once(" : ").unwrap_or((name, ""));
            cases.push(Case {
                name: name.into(),
                directory: directory.into(),
                files: Vec::new(),
                expected: Expected::Unknown,
            });
            in_expected = false;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let (Some(path), false) = (line.strip_prefix("> "), in_expected) {
            case.files.push((path.into(), String::new()));
        } else if line == "=" {
            case.expected = Expected::Output(String::new());
            in_expected = true;
        } else if let (Some(message), false) = (line.strip_prefix("! "), in_expected) {
            case.expected = Expected::Refusal(message.into());
            in_expected = true;
        } else if let (Expected::Output(expected), true) = (&mut case.expected, in_expected) {
            writeln!(expected, "{line}").unwrap();
        } else if let (Some((_, content)), false) = (case.files.last_mut(), in_expected) {
            writeln!(content, "{line}").unwrap();
        }
    }
    cases
}

fn print(cases: &[Case]) -> String {
    let mut text = String::new();
    for case in cases {
        let directory = if case.directory.is_empty() { String::new() } else { format!(" : {}", case.directory) };
        writeln!(text, "@ {}{directory}", case.name).unwrap();
        for (path, content) in &case.files {
            write!(text, "> {path}\n{}\n", content.trim_end_matches('\n')).unwrap();
        }
        match &case.expected {
            Expected::Unknown => {}
            Expected::Output(expected) => write!(text, "=\n{}\n", expected.trim_end_matches('\n')).unwrap(),
            Expected::Refusal(message) => writeln!(text, "! {message}").unwrap(),
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn tree(shared: &[(String, String)], case: &Case) -> FileTree {
    let file = |(path, content): &(String, String)| (path.clone(), format!("{}\n", content.trim_end_matches('\n')));
    shared.iter().map(file).chain(case.files.iter().map(file)).collect()
}

/// The trees of all cases, each with the directory to build.
pub fn all_trees() -> Vec<(FileTree, String)> {
    let mut all = Vec::new();
    for file in case_files() {
        let cases = parse(&fs::read_to_string(&file).unwrap());
        let shared = cases.iter().find(|case| case.name == "shared").map(|case| case.files.clone()).unwrap_or_default();
        let own = cases.iter().filter(|case| case.name != "shared");
        all.extend(own.map(|case| (tree(&shared, case), case.directory.clone())));
    }
    all
}

/// What the reference says about a case.
fn verdict(reference: &Path, tree: &FileTree, directory: &str) -> Result<Vec<Value>, String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, file) in tree.iter() {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.bytes).unwrap();
    }
    theirs(reference, &folder.path().join(directory))
}

fn documents(text: &str) -> Vec<Value> {
    let limits = yaml::Limits::default();
    let read = yaml::read_as(text.as_bytes(), &limits, yaml::Dialect::Lenient).unwrap();
    read.into_iter().map(|document| document.value).collect()
}

/// Compares one case; the error tells what is wrong.
fn check(shared: &[(String, String)], case: &mut Case, reference: Option<&Path>, record: bool) -> Result<(), String> {
    let tree = tree(shared, case);
    let mine = ours(&tree, &case.directory, &options());
    if let Some(reference) = reference {
        let verdict = verdict(reference, &tree, &case.directory);
        match (&mine, &verdict) {
            (Ok(mine), Ok(theirs)) => difference(mine, theirs).map_or(Ok(()), Err)?,
            (Err(_), Err(_)) => {}
            (Err(mine), Ok(_)) => return Err(format!("only weir fails: {mine}")),
            (Ok(_), Err(theirs)) => return Err(format!("only kustomize fails: {theirs}")),
        }
        if record {
            case.expected = match (&mine, verdict) {
                (Err(message), _) => Expected::Refusal(message.replace('\n', " ")),
                (Ok(_), Ok(theirs)) => Expected::Output(yaml::write_all(&theirs)),
                (Ok(_), Err(theirs)) => return Err(theirs),
            };
            return Ok(());
        }
    }
    match (&mine, &case.expected) {
        (Ok(mine), Expected::Output(expected)) => difference(mine, &documents(expected)).map_or(Ok(()), Err),
        (Err(mine), Expected::Refusal(message)) if mine.replace('\n', " ") == *message => Ok(()),
        (Err(mine), Expected::Refusal(message)) => Err(format!("refused with {mine:?} and not {message:?}")),
        (Err(mine), _) => Err(format!("refused: {mine}")),
        (Ok(_), Expected::Refusal(message)) => Err(format!("built, and {message:?} is expected")),
        (Ok(_), Expected::Unknown) => Err("nothing is expected yet; record it".into()),
    }
}

#[test]
fn every_case_comes_out_as_recorded() {
    let reference = reference();
    let record = std::env::var_os("WEIR_RECORD").is_some() && reference.is_some();
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in case_files() {
        let mut cases = parse(&fs::read_to_string(&file).unwrap());
        let shared = cases.iter().find(|case| case.name == "shared").map(|case| case.files.clone()).unwrap_or_default();
        for case in cases.iter_mut().filter(|case| case.name != "shared") {
            count += 1;
            if let Err(why) = check(&shared, case, reference.as_deref(), record) {
                let topic = file.file_stem().unwrap().to_string_lossy().into_owned();
                wrong.push(format!("{topic}: {}: {why}", case.name));
            }
        }
        if record {
            fs::write(&file, print(&cases)).unwrap();
        }
    }
    assert!(count >= 250, "only {count} cases");
    assert!(wrong.is_empty(), "{} of {count} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}
