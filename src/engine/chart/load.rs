//! Makes a chart of its files: metadata, values, templates and the charts within.
//!
//! Must not resolve dependencies that are not there. Start with [`Chart::load`].
//! Source: helm pkg/chart/v2/loader (load.go, directory.go).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map as JsonMap, Number, Value as Json};

use super::metadata::{Dependency, Metadata};
use super::{Chart, ChartError, ChartFile, ignore};
use crate::base::{FileTree, yaml};
use crate::engine::archive::{self, Duplicates, Links, Unpack};
use crate::engine::template::parse_version;

/// Charts within charts beyond this are refused.
const DEPTH: usize = 32;
/// What Helm allows a chart and a file of it to unpack to.
const CHART_BYTES: u64 = 100 << 20;
const FILE_BYTES: u64 = 5 << 20;

/// Values longer than this are read on a thread of their own.
const ASIDE: usize = 16 << 10;

/// What some editors put before UTF-8.
const MARK: &[u8] = &[0xef, 0xbb, 0xbf];

type Files = Vec<(String, Arc<[u8]>)>;

impl Chart {
    /// Loads a chart from the files of its directory; `.helmignore` counts.
    ///
    /// Errors when a file that makes the chart cannot be read or is missing.
    pub fn load(tree: &FileTree) -> Result<Chart, ChartError> {
        let rules = tree.get(".helmignore").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        let rules = ignore::Rules::read(rules.as_deref().unwrap_or_default());
        let files = tree.iter().filter(|(path, _)| !rules.ignores(path));
        root(files.map(|(path, file)| (path.to_owned(), Arc::clone(&file.bytes))).collect())
    }

    /// Loads a packaged chart.
    ///
    /// Errors as [`Chart::load`], and when the archive is refused.
    pub fn load_archive(bytes: &[u8]) -> Result<Chart, ChartError> {
        root(unpacked(bytes)?)
    }
}

/// A chart that stands alone; those within may be of any version.
fn root(files: Files) -> Result<Chart, ChartError> {
    let chart = from_files(files, 0)?;
    match chart.metadata.api_version.as_str() {
        "v1" | "v2" => Ok(chart),
        other => Err(ChartError::Invalid(format!("charts of apiVersion {other} cannot be rendered, only v1 and v2"))),
    }
}

/// The files of an archive without the directory all of them share.
fn unpacked(bytes: &[u8]) -> Result<Files, ChartError> {
    let limits = archive::Limits { total_bytes: CHART_BYTES, file_bytes: FILE_BYTES, ..archive::Limits::default() };
    let options = Unpack { limits, links: Links::Skip, duplicates: Duplicates::LastWins };
    let tree = archive::unpack(bytes, &options).map_err(|error| ChartError::Archive(error.to_string()))?;
    let inner = |path: &str| path.split_once('/').map(|(_, inner)| inner.to_owned());
    Ok(tree.iter().filter_map(|(path, file)| Some((inner(path)?, Arc::clone(&file.bytes)))).collect())
}

fn document(path: &str, bytes: &[u8]) -> Result<Json, ChartError> {
    let read = yaml::read_as(bytes, &yaml::Limits::default(), yaml::Dialect::Lenient);
    let mut documents = read.map_err(|error| ChartError::File { path: path.to_owned(), why: error.to_string() })?;
    Ok(if documents.is_empty() { Json::Null } else { documents.remove(0).value })
}

/// Numbers of a file are floats in Go, which tells them from those given by hand.
pub(super) fn with_floats(value: &mut Json) {
    match value {
        Json::Number(number) => {
            if let Some(float) = number.as_f64().and_then(Number::from_f64) {
                *number = float;
            }
        }
        Json::Array(items) => items.iter_mut().for_each(with_floats),
        Json::Object(fields) => fields.values_mut().for_each(with_floats),
        _ => {}
    }
}

/// Reads a file of values; of several documents the later count.
///
/// Errors when it is no YAML or no map.
pub fn read_values(path: &str, bytes: &[u8]) -> Result<JsonMap<String, Json>, ChartError> {
    let why = |why: String| ChartError::File { path: path.to_owned(), why };
    let documents = yaml::read_as(bytes, &yaml::Limits::default(), yaml::Dialect::Lenient);
    let mut values = JsonMap::new();
    for document in documents.map_err(|error| why(error.to_string()))? {
        let mut value = document.value;
        with_floats(&mut value);
        match value {
            Json::Object(fields) => merge(&mut values, fields),
            _ => return Err(why("the values are not a map".into())),
        }
    }
    Ok(values)
}

/// Lays values over others, map by map.
pub fn merge(into: &mut JsonMap<String, Json>, over: JsonMap<String, Json>) {
    for (key, value) in over {
        match (into.get_mut(&key), value) {
            (Some(Json::Object(old)), Json::Object(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn from_files(files: Files, depth: usize) -> Result<Chart, ChartError> {
    if depth > DEPTH {
        return Err(ChartError::Invalid(format!("charts are nested more than {DEPTH} deep")));
    }
    let metadata = metadata(&files)?;
    // The largest file by far, read beside all the others.
    let values = files.iter().find(|(path, _)| path == "values.yaml").map(|(_, bytes)| Arc::clone(bytes));
    std::thread::scope(|scope| {
        let read = move |bytes: Arc<[u8]>| read_values("values.yaml", bytes.strip_prefix(MARK).unwrap_or(&bytes));
        let reading = match values {
            Some(bytes) if bytes.len() < ASIDE => Err(read(bytes)),
            Some(bytes) => Ok(Some(scope.spawn(move || read(bytes)))),
            None => Ok(None),
        };
        let loaded = all_but_values(files, metadata, depth);
        let values = match reading {
            Err(read) => read,
            Ok(None) => Ok(JsonMap::new()),
            Ok(Some(reading)) => reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        };
        let values = values?;
        Ok(Chart { values, ..loaded? })
    })
}

fn all_but_values(files: Files, metadata: Metadata, depth: usize) -> Result<Chart, ChartError> {
    let mut chart = Chart { metadata, ..Chart::default() };
    let is_first_version = chart.metadata.api_version == "v1";
    let mut within: BTreeMap<String, Files> = BTreeMap::new();
    for (path, mut bytes) in files {
        if bytes.starts_with(MARK) {
            bytes = bytes[MARK.len()..].into();
        }
        match path.as_str() {
            "Chart.yaml" | "Chart.lock" | "values.yaml" => {}
            "values.schema.json" => chart.schema = Some(bytes.to_vec()),
            "requirements.yaml" | "requirements.lock" if !is_first_version => {}
            name if name.starts_with("templates/") => chart.templates.push(ChartFile { path, bytes }),
            name if name.starts_with("charts/") && !name.ends_with(".prov") => {
                let inner = name["charts/".len()..].to_owned();
                let first = inner.split('/').next().unwrap_or_default().to_owned();
                within.entry(first).or_default().push((inner, bytes));
            }
            _ => chart.files.push(ChartFile { path, bytes }),
        }
    }
    for (name, files) in within {
        if name.starts_with(['_', '.']) {
            continue;
        }
        let sub = if name.ends_with(".tgz") {
            files.first().map_or_else(|| Ok(Vec::new()), |(_, bytes)| unpacked(bytes))
        } else {
            let inner = |(path, bytes): (String, Arc<[u8]>)| Some((path.split_once('/')?.1.to_owned(), bytes));
            Ok(files.into_iter().filter_map(inner).collect())
        };
        let sub = sub.and_then(|files| from_files(files, depth + 1));
        let within = |error: ChartError| ChartError::Within {
            name: name.clone(),
            chart: chart.metadata.name.clone(),
            cause: Box::new(error),
        };
        chart.dependencies.push(sub.map_err(within)?);
    }
    Ok(chart)
}

fn metadata(files: &Files) -> Result<Metadata, ChartError> {
    let mut metadata = Metadata::default();
    let find = |wanted: &str| files.iter().find(|(path, _)| path == wanted).map(|(path, bytes)| document(path, bytes));
    match find("Chart.yaml") {
        Some(document) => metadata.read(&document?),
        None => return Err(ChartError::Invalid("Chart.yaml file is missing".into())),
    }
    if metadata.api_version.is_empty() {
        metadata.raw.insert("apiVersion".into(), "v1".into());
        metadata.api_version = "v1".into();
    }
    if let Some(document) = find("requirements.yaml") {
        metadata.read(&document?);
    }
    let invalid = |why: String| Err(ChartError::Invalid(format!("validation: chart.metadata.{why}")));
    if metadata.name.is_empty() {
        return invalid("name is required".into());
    }
    if matches!(metadata.name.as_str(), "." | "..") {
        return invalid(format!("name {:?} is not allowed", metadata.name));
    }
    if metadata.name.contains('/') {
        return invalid(format!("name {:?} is invalid", metadata.name));
    }
    if metadata.version.is_empty() {
        return invalid("version is required".into());
    }
    if parse_version(&metadata.version).is_none() {
        return invalid(format!("version {:?} is invalid", metadata.version));
    }
    if !matches!(metadata.kind.as_str(), "" | "application" | "library") {
        return invalid("type must be application or library".into());
    }
    check_dependencies(&metadata)?;
    Ok(metadata)
}

/// Names that values are looked up by must be plain, and each there once.
fn check_dependencies(metadata: &Metadata) -> Result<(), ChartError> {
    let invalid = |why: String| Err(ChartError::Invalid(format!("validation: {why}")));
    let mut names = BTreeSet::new();
    for Dependency { name, alias, .. } in &metadata.dependencies {
        if !alias.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-') {
            return invalid(format!("dependency {name:?} has disallowed characters in the alias"));
        }
        let name = if alias.is_empty() { name } else { alias };
        if !names.insert(name) {
            return invalid(format!("more than one dependency with name or alias {name:?}"));
        }
    }
    Ok(())
}
