//! Real charts, rendered by both. `WEIR_HELM` names the reference, `WEIR_HELM_CHARTS` directories, divided by colons,
//! beneath which charts lie. Each chart is rendered with its defaults and with each file of `ci/`. What the reference
//! makes otherwise when it is asked twice (random values, dates) is not compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir::base::{FileTree, Value, yaml};
use weir::engine::chart::{Capabilities, Chart, Release, Shown, read_values};
use weir::engine::template::World;

/// Directories with a `Chart.yaml`, without the charts within them.
fn charts(directory: &Path, found: &mut Vec<PathBuf>) {
    if directory.join("Chart.yaml").exists() {
        found.push(directory.to_owned());
        return;
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    entries.sort();
    entries.iter().for_each(|entry| charts(entry, found));
}

fn files(directory: &Path, below: &str, tree: &mut FileTree) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files(&entry.path(), &format!("{name}/"), tree);
        } else if let Ok(bytes) = std::fs::read(entry.path()) {
            tree.insert(&name, bytes).unwrap();
        }
    }
}

fn ours(directory: &Path, values: Option<&Path>) -> Result<String, String> {
    let mut tree = FileTree::default();
    files(directory, "", &mut tree);
    let given = values.map(|path| read_values("values", &std::fs::read(path).unwrap()));
    let given = given.transpose().map_err(|error| error.to_string())?.unwrap_or_default();
    let chart = Chart::load(&tree).map_err(|error| error.to_string())?;
    if chart.metadata.is_library() {
        return Err("library charts are not installable".into());
    }
    let missing = chart.missing_dependencies();
    if !missing.is_empty() {
        return Err(format!("missing in charts/ directory: {}", missing.join(", ")));
    }
    let release = Release { name: "release-name".into(), namespace: "default".into(), revision: 1, is_upgrade: false };
    let random = |bytes: &mut [u8]| rand::fill(bytes);
    let world = World { now: jiff::Timestamp::now(), random: Some(&random), ..World::default() };
    let capabilities = Capabilities { helm_version: "v4.3".into(), ..Capabilities::default() };
    let rendered = chart.render(&given, &release, &capabilities, &world).map_err(|error| error.to_string())?;
    Ok(rendered.print(Shown { crds: true, hooks: true, tests: true }))
}

fn theirs(reference: &Path, directory: &Path, values: Option<&Path>) -> Result<String, String> {
    let mut command = Command::new(reference);
    command.args(["template", "--include-crds", "--kubeconfig", "/dev/null"]).arg(directory);
    command.args(values.into_iter().flat_map(|path| [Path::new("-f"), path]));
    let output = command.output().unwrap();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(said.split_once("Error: ").map_or(said.clone(), |(_, error)| error.trim().to_owned()))
}

fn documents(text: &str) -> Vec<Value> {
    match yaml::read_as(text.as_bytes(), &yaml::Limits::default(), yaml::Dialect::Lenient) {
        Ok(documents) => documents.into_iter().map(|document| document.value).collect(),
        Err(_) => vec![text.into()],
    }
}

/// Every leaf of a value by its path.
fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(key, value)| leaves(value, &format!("{path}/{key}"), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, value)| leaves(value, &format!("{path}/{index}"), found));
        }
        leaf => drop(found.insert(path.to_owned(), leaf.clone())),
    }
}

fn all_leaves(text: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    documents(text).iter().enumerate().for_each(|(index, value)| leaves(value, &format!("{index}"), &mut found));
    found
}

/// How two outputs compare.
enum Verdict {
    Same,
    /// Only what the reference makes anew each time differs.
    SameButForChance,
    Differs(String),
}

fn compare(mine: &str, other: &str, again: impl FnOnce() -> String) -> Verdict {
    if mine == other || documents(mine) == documents(other) {
        return Verdict::Same;
    }
    let (mine, other, again) = (all_leaves(mine), all_leaves(other), all_leaves(&again()));
    let by_chance = |path: &String| other.get(path) != again.get(path);
    let different: Vec<&String> = mine
        .keys()
        .chain(other.keys())
        .filter(|path| mine.get(*path) != other.get(*path) && !by_chance(path))
        .collect();
    let show =
        |value: Option<&Value>| value.map_or("nothing".into(), |value| value.to_string().chars().take(300).collect());
    match different.first() {
        None => Verdict::SameButForChance,
        Some(path) => {
            let (mine, other): (String, String) = (show(mine.get(*path)), show(other.get(*path)));
            Verdict::Differs(format!("{} places, first {path}\n  weir {mine}\n  helm {other}", different.len()))
        }
    }
}

#[derive(Default)]
struct Tally {
    same: usize,
    chance: usize,
    both_fail: usize,
    same_error: usize,
    offline_no: usize,
    wrong: Vec<String>,
    errors: Vec<String>,
}

impl Tally {
    fn add(
        &mut self,
        place: String,
        mine: Result<String, String>,
        other: Result<String, String>,
        again: impl FnOnce() -> String,
    ) {
        match (mine, other) {
            (Ok(mine), Ok(other)) => match compare(&mine, &other, again) {
                Verdict::Same => self.same += 1,
                Verdict::SameButForChance => self.chance += 1,
                Verdict::Differs(how) => self.wrong.push(format!("{place}: {how}")),
            },
            (_, Err(other)) if other.contains("missing in charts/ directory") || other.contains("not installable") => {
                self.offline_no += 1;
            }
            (Err(mine), Err(other)) => {
                self.both_fail += 1;
                if other.contains(&mine) {
                    self.same_error += 1;
                } else {
                    self.errors.push(format!("{place}:\n  weir {mine}\n  helm {other}"));
                }
            }
            (Err(mine), Ok(_)) => self.wrong.push(format!("{place}: only weir fails: {mine}")),
            (Ok(_), Err(other)) => self.wrong.push(format!("{place}: only helm fails: {other}")),
        }
    }
}

#[test]
fn real_charts_come_out_as_from_helm() {
    let (Some(reference), Ok(roots)) = (std::env::var_os("WEIR_HELM"), std::env::var("WEIR_HELM_CHARTS")) else {
        eprintln!("skipped: set WEIR_HELM and WEIR_HELM_CHARTS to compare with the reference");
        return;
    };
    let reference = PathBuf::from(reference);
    let mut tally = Tally::default();
    let mut directories = Vec::new();
    roots.split(':').for_each(|root| charts(Path::new(root), &mut directories));
    let (mut rendered, count) = (0, directories.len());
    for directory in directories {
        let mut given: Vec<Option<PathBuf>> = vec![None];
        let mut ci: Vec<PathBuf> = std::fs::read_dir(directory.join("ci"))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        ci.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
        ci.sort();
        given.extend(ci.into_iter().map(Some));
        for values in given {
            let values = values.as_deref();
            let place =
                format!("{} {}", directory.display(), values.map_or("".into(), |path| path.display().to_string()));
            let mine = std::thread::scope(|scope| {
                let run = || ours(&directory, values);
                let thread = std::thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, run).unwrap();
                thread.join().unwrap_or_else(|_| Err("panic".into()))
            });
            let again = || theirs(&reference, &directory, values).unwrap_or_default();
            tally.add(place, mine, theirs(&reference, &directory, values), again);
            rendered += 1;
        }
    }
    eprintln!(
        "{count} charts, {rendered} renderings: {} the same, {} the same but for chance",
        tally.same, tally.chance
    );
    eprintln!(
        "{} fail in both ({} with Helm's text), {} not offline",
        tally.both_fail, tally.same_error, tally.offline_no
    );
    eprintln!("other errors:\n{}", tally.errors.join("\n"));
    assert!(tally.wrong.is_empty(), "{} differ:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
}
