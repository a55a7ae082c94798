//! An index read: only what can be used of it is kept, the rest is told of.
//!
//! Must not fetch anything. Start with [`read`]. Source: helm pkg/repo (index.go), pkg/chart/v2 (Metadata.Validate).

use semver::Version;
use serde_json::{Map, Value};

use super::{INDEX_BYTES, IndexError};
use crate::base::{Text, yaml};
use crate::engine::semver_range::parse_version;

/// Charts, and versions of one chart, that are looked at.
const CHARTS: usize = 100_000;
const VERSIONS: usize = 100_000;
/// Entries that are told of by name when they are skipped.
const TOLD: usize = 20;

/// An index that was read: only entries that can be used, newest version first.
#[derive(Clone, Debug)]
pub struct Index {
    document: Value,
    /// What was left out and why, at most a few.
    pub skipped: Vec<Text>,
    pub charts: usize,
    pub versions: usize,
}

impl Index {
    /// The index as JSON, as it is stored.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.document).unwrap_or_default()
    }
}

/// Reads an index, YAML or JSON.
///
/// Errors when it is neither, exceeds the limits, or is not an index; an entry that is wrong is left out.
pub fn read(bytes: &[u8]) -> Result<Index, IndexError> {
    let form = |why: &str| IndexError::Form(why.to_owned());
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(form("it is empty"));
    }
    let document = match serde_json::from_slice::<Value>(bytes) {
        Ok(document) => document,
        Err(_) => {
            let size = usize::try_from(INDEX_BYTES).unwrap_or(usize::MAX);
            let limits = yaml::Limits { file_bytes: size, document_bytes: size, ..yaml::Limits::default() };
            yaml::read_one(bytes, &limits)?
        }
    };
    let Value::Object(mut document) = document else { return Err(form("it is not a map")) };
    if document.get("apiVersion").and_then(Value::as_str).unwrap_or_default().is_empty() {
        return Err(form("no API version is specified"));
    }
    let entries = match document.remove("entries") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err(form("its entries are not a map")),
    };
    if entries.len() > CHARTS {
        return Err(IndexError::Form(format!("it has more than {CHARTS} charts")));
    }
    let mut index = Index { document: Value::Null, skipped: Vec::new(), charts: 0, versions: 0 };
    let mut kept = Map::new();
    for (name, versions) in entries {
        let versions = index.usable(&name, versions)?;
        index.charts += 1;
        index.versions += versions.len();
        kept.insert(name, Value::Array(versions));
    }
    document.insert("entries".into(), Value::Object(kept));
    index.document = Value::Object(document);
    Ok(index)
}

impl Index {
    /// The versions of one chart that can be used, newest first; those that are no strict versions come last.
    fn usable(&mut self, chart: &str, versions: Value) -> Result<Vec<Value>, IndexError> {
        let versions = match versions {
            Value::Array(versions) => versions,
            Value::Null => return Ok(Vec::new()),
            _ => {
                self.skip(chart, "", "its versions are not a list");
                return Ok(Vec::new());
            }
        };
        if versions.len() > VERSIONS {
            return Err(IndexError::Form(format!("it has more than {VERSIONS} versions of one chart")));
        }
        let mut sorted: Vec<(Option<Version>, Value)> = Vec::with_capacity(versions.len());
        for mut entry in versions {
            write_scalars(&mut entry);
            match problem(&entry) {
                None => {
                    let version = entry.get("version").and_then(Value::as_str).unwrap_or_default();
                    sorted.push((parse_version(version), entry));
                }
                Some(why) => {
                    let version = entry.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
                    self.skip(chart, &version, why);
                }
            }
        }
        // Stable, so that the order of the file decides among equals.
        sorted.sort_by(|(a, _), (b, _)| match (a, b) {
            (Some(a), Some(b)) => b.cmp_precedence(a),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        Ok(sorted.into_iter().map(|(_, entry)| entry).collect())
    }

    fn skip(&mut self, chart: &str, version: &str, why: &str) {
        if self.skipped.len() < TOLD {
            self.skipped.push(Text::new(format!("chart {chart:?} version {version:?} is left out: {why}")));
        }
    }
}

/// Numbers where texts belong are texts to Helm's decoder.
fn write_scalars(entry: &mut Value) {
    let Value::Object(entry) = entry else { return };
    for key in ["name", "version", "appVersion", "apiVersion", "type", "digest"] {
        if let Some(value) = entry.get_mut(key)
            && let Value::Number(_) | Value::Bool(_) = value
        {
            *value = match value.as_f64().filter(|_| value.is_f64()) {
                Some(float) => yaml::format_float(float).into(),
                None => value.to_string().into(),
            };
        }
    }
}

/// What makes a version useless. Source: helm pkg/chart/v2 (Metadata.Validate).
fn problem(entry: &Value) -> Option<&'static str> {
    let entry = match entry {
        Value::Object(entry) => entry,
        Value::Null => return Some("it is empty"),
        _ => return Some("it is not a map"),
    };
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let is_text = |key: &str| entry.get(key).is_none_or(|value| value.is_string() || value.is_null());
    let is_list = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    let name = text("name");
    match () {
        () if name.is_empty() => Some("it has no name"),
        () if matches!(name, "." | "..") || name.contains(['/', '\\']) => Some("its name is not the name of a file"),
        () if text("version").is_empty() => Some("it has no version"),
        () if !is_version(text("version")) => Some("its version is not a semantic version"),
        () if !matches!(text("type"), "" | "application" | "library") => Some("its type is unknown"),
        () if !entry.get("urls").is_none_or(|urls| urls.is_null() || is_list(urls)) => {
            Some("its addresses are not a list of texts")
        }
        () if !is_text("created") || !is_text("digest") => Some("its date or digest is not a text"),
        () => None,
    }
}

/// Whether Helm takes it for a version: fewer than three numbers are enough.
fn is_version(text: &str) -> bool {
    let bare = text.strip_prefix('v').unwrap_or(text);
    if Version::parse(bare).is_ok() {
        return true;
    }
    let (numbers, rest) = bare.find(['-', '+']).map_or((bare, ""), |at| bare.split_at(at));
    let parts: Vec<&str> = numbers.split('.').collect();
    parts.len() <= 3 && Version::parse(&format!("{}{}{rest}", numbers, ".0".repeat(3 - parts.len()))).is_ok()
}
