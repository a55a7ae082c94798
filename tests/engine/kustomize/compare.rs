//! Building with both, and what counts as equal.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use weir::base::FileTree;
use weir::base::yaml;
use weir::engine::kustomize::{Answers, Options, Output, Reorder, build};

/// The reference binary, when there is one.
pub fn reference() -> Option<PathBuf> {
    std::env::var_os("WEIR_KUSTOMIZE").map(PathBuf::from).filter(|path| path.is_file())
}

/// The options under which weir does what the command line of kustomize does.
pub fn options() -> Options {
    Options { reorder: Reorder::Legacy, ..Options::default() }
}

/// Builds a directory of a tree with weir.
pub fn ours(tree: &FileTree, directory: &str, options: &Options) -> Result<Vec<Value>, String> {
    match build(tree, directory, options, &Answers::default()) {
        Ok(Output::Built { manifests, .. }) => Ok(manifests.into_iter().map(|manifest| manifest.value).collect()),
        Ok(Output::Need(need)) => Err(format!("needs {need:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Builds a directory on disk with the reference.
pub fn theirs(reference: &Path, directory: &Path) -> Result<Vec<Value>, String> {
    let run = Command::new(reference).arg("build").arg(directory).output().map_err(|error| error.to_string())?;
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into_owned());
    }
    let limits = yaml::Limits { document_bytes: 64 << 20, file_bytes: 256 << 20, ..yaml::Limits::default() };
    let documents = yaml::read_as(&run.stdout, &limits, yaml::Dialect::Lenient).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().map(|document| document.value).collect())
}

/// The first difference between two results; `None` when they are equal in documents, order and values.
pub fn difference(ours: &[Value], theirs: &[Value]) -> Option<String> {
    for (at, (a, b)) in ours.iter().zip(theirs).enumerate() {
        if let Some(place) = differs(a, b, String::new()) {
            return Some(format!("document {at} ({}): {place}", name(b)));
        }
    }
    (ours.len() != theirs.len()).then(|| {
        let names = |list: &[Value]| list.iter().map(name).collect::<Vec<_>>().join(" ");
        format!("{} documents and not {}: {} and not {}", ours.len(), theirs.len(), names(ours), names(theirs))
    })
}

/// Whether two results differ only in integers that weir keeps and kustomize rounds.
///
/// A JSON patch makes kustomize read numbers as floats of 64 bits, so an integer beyond 2^53 comes out as its neighbour.
/// Weir differs on purpose: a rounded identifier is the wrong identifier. Nothing else is forgiven by this.
pub fn differ_by_rounding(ours: &[Value], theirs: &[Value]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| is_rounded(a, b))
}

fn is_rounded(exact: &Value, rounded: &Value) -> bool {
    let rounds_to = |whole: Option<i128>, float: Option<f64>| {
        #[expect(clippy::cast_precision_loss, reason = "this is the rounding that is looked for")]
        whole.is_some_and(|whole| whole.unsigned_abs() > 1 << 53 && float == Some(whole as f64))
    };
    match (exact, rounded) {
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, a)| y.get(key).is_some_and(|b| is_rounded(a, b)))
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(a, b)| is_rounded(a, b)),
        (Value::Number(x), Value::Number(y)) if rounds_to(x.to_string().parse().ok(), y.as_f64()) => true,
        // What was a number became text afterwards, as annotations do.
        (Value::String(x), Value::String(y)) if x != y => rounds_to(x.parse().ok(), y.parse().ok()),
        _ => differs(exact, rounded, String::new()).is_none(),
    }
}

fn name(value: &Value) -> String {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or("?").to_owned();
    format!("{}/{}", text("/kind"), text("/metadata/name"))
}

fn differs(a: &Value, b: &Value, path: String) -> Option<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let mut keys: Vec<&String> = x.keys().chain(y.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            keys.into_iter().find_map(|key| match (x.get(key), y.get(key)) {
                (Some(a), Some(b)) => differs(a, b, format!("{path}/{key}")),
                (a, b) => Some(format!("{path}/{key}: {a:?} and not {b:?}")),
            })
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(at, (a, b))| differs(a, b, format!("{path}/{at}")))
        }
        (Value::Number(x), Value::Number(y)) if x.as_f64() == y.as_f64() && x.as_i64() == y.as_i64() => None,
        _ if a == b => None,
        _ => Some(format!("{path}: {a} and not {b}")),
    }
}

/// Reads a directory on disk into a tree; links to files are followed, `.git` is left out.
pub fn tree_of(root: &Path) -> FileTree {
    let mut tree = FileTree::default();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                if entry.file_name() != ".git" && !path.is_symlink() {
                    open.push(path);
                }
            } else if let (Ok(bytes), Ok(relative)) = (std::fs::read(&path), path.strip_prefix(root)) {
                tree.insert(&relative.to_string_lossy(), bytes).ok();
            }
        }
    }
    tree
}

#[test]
fn only_rounded_integers_are_forgiven() {
    let differ = |ours: &str, theirs: &str| {
        let read = |text: &str| vec![serde_json::from_str::<Value>(text).unwrap()];
        differ_by_rounding(&read(ours), &read(theirs))
    };
    assert!(differ(r#"{"a": [123456789012345678], "b": 1}"#, r#"{"a": [123456789012345680], "b": 1}"#));
    assert!(differ("123456789012345678", "1.2345678901234568e+17"));
    assert!(differ(r#""123456789012345678""#, r#""1.2345678901234568e+17""#));
    for (ours, theirs) in [
        ("123456789012345678", "123456789012345696"),
        ("123456789012345678", r#""123456789012345680""#),
        ("5", "6"),
        ("1.5", "1.25"),
        ("9007199254740991", "9007199254740992"),
        (r#""a""#, r#""b""#),
        (r#"{"a": 123456789012345678, "b": 1}"#, r#"{"a": 123456789012345680, "b": 2}"#),
        (r#"{"a": 123456789012345678}"#, r#"{"a": 123456789012345680, "b": 2}"#),
    ] {
        assert!(!differ(ours, theirs), "{ours} and {theirs}");
    }
}
