//! The law of the house: reads the sources and holds them to the table in the docs of `src/lib.rs`.
//!
//! The table is parsed, not repeated, so the picture and the law are one text. Exceptions are listed here with a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Lines a file may have before its tests.
const FILE_LINES: usize = 400;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[
    ("src/kinds/kustomization.rs", "the typed fields of one kind are a table"),
    ("src/kinds/helm_release.rs", "the typed fields of one kind are a table"),
];

/// Words that a room must not say, and why.
const FORBIDDEN: &[(&[&str], &[&str], &str)] = &[
    (
        &["base", "kinds", "config", "engine"],
        &[
            "std::fs",
            "tokio::",
            "SystemTime",
            "Instant::now",
            "kube::Client",
            // Addresses are values; sockets and names are not.
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "ToSocketAddrs",
            "std::env",
            "tracing::",
            ".await",
        ],
        "floor 0 is pure: no I/O, no clock, no logging",
    ),
    (&["console"], &["kube::", "reqwest::", "gix::"], "the console reaches the world through verbs only"),
    (&["embedded"], &["toolkit.fluxcd.io"], "the embedded API knows nothing of Flux"),
    (
        &["verbs", "store", "reconcile", "console", "cli"],
        &["kube::Api<", "Api::namespaced", "Api::all_with", "kube::Client::try_from", "Client::try_default"],
        "only cluster talks to the API",
    ),
];

struct Room {
    floor: i32,
    may_import: BTreeSet<String>,
}

struct Source {
    path: String,
    room: String,
    /// The file up to its tests, comments and strings kept.
    code: String,
    lines_before_tests: usize,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rooms() -> BTreeMap<String, Room> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let row = Regex::new(r"(?m)^//! \| ([0-9]) \| `([a-z]+)` \| [^|]* \| ([^|]*) \| [^|]* \|$").unwrap();
    let rooms: BTreeMap<String, Room> = row
        .captures_iter(&text)
        .map(|cells| {
            let may_import = match cells[3].trim() {
                "nothing" => BTreeSet::new(),
                names => names.split_whitespace().map(str::to_owned).collect(),
            };
            (cells[2].to_owned(), Room { floor: cells[1].parse().unwrap(), may_import })
        })
        .collect();
    assert!(rooms.len() >= 12, "the table of rooms in src/lib.rs was not understood");
    rooms
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    files
        .into_iter()
        .filter_map(|file| {
            let path = file.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&file).unwrap();
            let tests = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
            let code = text[..tests].to_owned();
            let room = path.strip_prefix("src/")?.split_once('/')?.0.to_owned();
            Some(Source { lines_before_tests: code.lines().count(), path, room, code })
        })
        .collect()
}

/// Code without its comments: what the compiler reads.
fn without_comments(code: &str) -> String {
    code.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line }).collect::<Vec<_>>().join("\n")
}

fn imports(source: &Source) -> BTreeSet<String> {
    let code = without_comments(&source.code);
    let single = Regex::new(r"\bcrate::([a-z_]+)").unwrap();
    let group = Regex::new(r"(?s)\bcrate::\{(.*?)\};").unwrap();
    let mut found: BTreeSet<String> = single.captures_iter(&code).map(|path| path[1].to_owned()).collect();
    for list in group.captures_iter(&code) {
        let mut depth = 0;
        let mut word = String::new();
        for character in list[1].chars().chain([',']) {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let first: String =
                        word.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                    found.insert(first);
                    word.clear();
                }
                _ => word.push(character),
            }
        }
    }
    found.remove("");
    found.remove(&source.room);
    found
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let rooms = rooms();
    let mut broken = Vec::new();
    for source in sources() {
        let room = rooms.get(&source.room).unwrap_or_else(|| panic!("{} is in a room without a row", source.path));
        for import in imports(&source) {
            if rooms.contains_key(&import) && !room.may_import.contains(&import) {
                broken.push(format!("{}: `{}` may not import `{import}`", source.path, source.room));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_table_has_no_circle_and_points_down() {
    let rooms = rooms();
    for (name, room) in &rooms {
        for import in &room.may_import {
            let below = rooms.get(import).unwrap_or_else(|| panic!("{name} may import {import}, which is no room"));
            let down = below.floor < room.floor || (below.floor == room.floor && !below.may_import.contains(name));
            assert!(down, "{name} (floor {}) may import {import} (floor {})", room.floor, below.floor);
        }
    }
    // Kahn's order: whatever is left over hangs in a circle.
    let mut left: BTreeMap<&str, BTreeSet<&str>> = rooms
        .iter()
        .map(|(name, room)| (name.as_str(), room.may_import.iter().map(String::as_str).collect()))
        .collect();
    loop {
        let free: Vec<&str> = left.iter().filter(|(_, imports)| imports.is_empty()).map(|(name, _)| *name).collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
            left.values_mut().for_each(|imports| {
                imports.remove(name);
            });
        }
    }
    assert!(left.is_empty(), "rooms in a circle: {:?}", left.keys());
}

#[test]
fn no_room_says_a_forbidden_word() {
    let mut broken = Vec::new();
    for source in sources() {
        let code = without_comments(&source.code);
        for (rooms, words, why) in FORBIDDEN {
            if !rooms.contains(&source.room.as_str()) {
                continue;
            }
            for word in words.iter().filter(|word| code.contains(**word)) {
                broken.push(format!("{}: `{word}`: {why}", source.path));
            }
        }
        let prints = ["println!", "print!(", "eprintln!", "eprint!("].iter().any(|word| code.contains(word));
        if prints && source.room != "cli" {
            broken.push(format!("{}: only cli prints", source.path));
        }
        let waits = source.room == "console" && code.contains(".await");
        if waits && !["src/console/run.rs", "src/console/effects.rs"].contains(&source.path.as_str()) {
            broken.push(format!("{}: the console waits in run.rs and effects.rs only", source.path));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_are_short_and_introduce_themselves() {
    let mut broken = Vec::new();
    for source in sources() {
        let excused = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if source.lines_before_tests > FILE_LINES && !excused {
            broken.push(format!("{}: {} lines before its tests", source.path, source.lines_before_tests));
        }
        if excused && source.lines_before_tests <= FILE_LINES {
            broken.push(format!("{}: no longer needs its exception", source.path));
        }
        if !source.code.starts_with("//!") {
            broken.push(format!("{}: does not open with what it is for", source.path));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_file_has_a_name_without_a_meaning() {
    let nameless = ["util", "utils", "helper", "helpers", "common", "manager", "handler", "data", "info", "misc"];
    for source in sources() {
        let stem = Path::new(&source.path).file_stem().unwrap().to_string_lossy().into_owned();
        assert!(!nameless.contains(&stem.as_str()), "{} has no home yet", source.path);
    }
}

#[test]
fn the_top_level_is_what_people_expect() {
    let expected =
        ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "assets", "keymaps", "src", "target", "tests", "themes"];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || expected.contains(&name.as_str()), "{name} does not belong at the top");
    }
}

#[test]
fn every_test_file_is_part_of_the_test_binary() {
    let mut files = Vec::new();
    rust_files(&root().join("tests"), &mut files);
    let texts: Vec<(PathBuf, String)> =
        files.iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect();
    for (file, _) in &texts {
        let relative = file.strip_prefix(root().join("tests")).unwrap();
        let stem = relative.file_stem().unwrap().to_string_lossy().into_owned();
        let bench = relative.starts_with("bench") || relative.starts_with("tools");
        if stem == "main" || bench {
            continue;
        }
        let name = match stem.as_str() {
            "mod" => relative.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned(),
            _ => stem,
        };
        let declared = texts.iter().any(|(other, text)| other != file && text.contains(&format!("mod {name};")));
        assert!(declared, "tests/{} is in no module, so it never runs", relative.display());
    }
}
