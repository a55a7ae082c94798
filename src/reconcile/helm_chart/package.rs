//! A chart as files: unpacked, given another version, other default values or a dependency, and packed again.
//!
//! Pure. What templates make of it is the engine's. Start with [`Package`].
//!
//! Source: helm pkg/chart/v2/loader and util (save.go), source-controller internal/helm/chart (metadata.go).

use semver::{BuildMetadata, Version};
use serde_json::{Map, Value};

use crate::base::{FileTree, yaml};
use crate::engine::archive::{self, Duplicates, Limits, Links, Unpack};
use crate::engine::chart::ignore;

/// What a chart and one file of it may unpack to (`--helm-chart-file-max-size`).
const CHART_BYTES: u64 = 100 << 20;
const FILE_BYTES: u64 = 5 << 20;

const CHART_FILE: &str = "Chart.yaml";
pub(super) const VALUES_FILE: &str = "values.yaml";

/// A chart's files, their paths from the chart's root.
#[derive(Clone, Debug)]
pub(super) struct Package {
    files: FileTree,
    description: Map<String, Value>,
}

/// A chart that a chart needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    pub name: String,
    pub version: String,
    pub repository: String,
    pub alias: String,
}

impl Package {
    /// Unpacks a chart.
    ///
    /// Errors in words when it is no archive of a chart.
    pub fn from_archive(bytes: &[u8]) -> Result<Self, String> {
        let limits = Limits { total_bytes: CHART_BYTES, file_bytes: FILE_BYTES, ..Limits::default() };
        let options = Unpack { limits, links: Links::Skip, duplicates: Duplicates::LastWins };
        let tree = archive::unpack(bytes, &options).map_err(|error| error.to_string())?;
        let mut files = FileTree::default();
        for (path, file) in tree.iter() {
            // All files lie in one directory, whose name means nothing.
            let Some((_, inner)) = path.split_once('/') else { continue };
            files.insert_file(inner, file.clone()).map_err(|error| error.to_string())?;
        }
        Package::of(files)
    }

    /// Takes a chart out of a source; `.helmignore` counts.
    ///
    /// Errors in words when there is no chart.
    pub fn from_directory(tree: &FileTree, directory: &str) -> Result<Self, String> {
        let inner = |path: &str| path.strip_prefix(directory).unwrap_or(path).trim_start_matches('/').to_owned();
        let own = if directory.is_empty() { ".helmignore".to_owned() } else { format!("{directory}/.helmignore") };
        let rules = tree.get(&own).map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        let rules = ignore::Rules::read(rules.as_deref().unwrap_or_default());
        let mut files = FileTree::default();
        for (path, file) in tree.under(directory) {
            let inner = inner(path);
            if rules.ignores(&inner) {
                continue;
            }
            if file.bytes.len() as u64 > FILE_BYTES {
                return Err(format!("chart file {inner:?} is larger than the maximum file size {FILE_BYTES}"));
            }
            files.insert_file(&inner, file.clone()).map_err(|error| error.to_string())?;
        }
        if files.size_bytes() > CHART_BYTES {
            return Err(format!("the chart is larger than {CHART_BYTES} bytes"));
        }
        Package::of(files)
    }

    fn of(files: FileTree) -> Result<Self, String> {
        let file = files.get(CHART_FILE).ok_or_else(|| format!("no '{CHART_FILE}' found"))?;
        let description = read_map(CHART_FILE, &file.bytes)?;
        let package = Package { files, description };
        let name = package.name();
        if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\\']) {
            return Err(format!("validation: chart.metadata.name {name:?} is invalid"));
        }
        if package.version().is_empty() {
            return Err("validation: chart.metadata.version is required".into());
        }
        if with_metadata(package.version(), "").is_none() {
            return Err(format!("validation: chart.metadata.version {:?} is invalid", package.version()));
        }
        Ok(package)
    }

    pub fn name(&self) -> &str {
        self.description.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn version(&self) -> &str {
        self.description.get("version").and_then(Value::as_str).unwrap_or_default()
    }

    /// Gives the chart another version.
    pub fn set_version(&mut self, version: &str) -> Result<(), String> {
        if self.version() == version {
            return Ok(());
        }
        self.description.insert("version".into(), version.into());
        let text = yaml::write(&Value::Object(self.description.clone()));
        self.files.insert(CHART_FILE, text.into_bytes()).map_err(|error| error.to_string())
    }

    /// Reads one file of values.
    ///
    /// Errors in words when it is not a map.
    pub fn values(&self, path: &str) -> Option<Result<Map<String, Value>, String>> {
        self.files.get(path).map(|file| read_map(path, &file.bytes))
    }

    /// Replaces the default values.
    ///
    /// Errors when the chart has none that could be replaced.
    pub fn set_values(&mut self, values: Map<String, Value>) -> Result<(), String> {
        if self.files.get(VALUES_FILE).is_none() {
            return Err(format!("failed to locate values file: {VALUES_FILE}"));
        }
        let text = if values.is_empty() { String::new() } else { yaml::write(&Value::Object(values)) };
        self.files.insert(VALUES_FILE, text.into_bytes()).map_err(|error| error.to_string())
    }

    /// What the chart needs and does not have; a lock file says it more exactly than the chart.
    pub fn missing(&self) -> Result<Vec<Dependency>, String> {
        let is_old = self.description.get("apiVersion").and_then(Value::as_str).unwrap_or("v1") == "v1";
        let (lock, requirements) =
            if is_old { ("requirements.lock", "requirements.yaml") } else { ("Chart.lock", CHART_FILE) };
        let file = [lock, requirements, CHART_FILE].into_iter().find_map(|path| {
            let file = self.files.get(path)?;
            Some(read_map(path, &file.bytes)).filter(|read| read.as_ref().is_ok_and(|map| !is_empty_list(map)))
        });
        let Some(map) = file else { return Ok(Vec::new()) };
        let map = map?;
        // A lock has no aliases: they are the chart's own.
        let aliases = dependencies(&self.description);
        let present = self.present()?;
        let mut missing = Vec::new();
        for mut wanted in dependencies(&map) {
            if wanted.alias.is_empty() {
                let known = aliases.iter().find(|known| known.name == wanted.name);
                wanted.alias = known.map(|known| known.alias.clone()).unwrap_or_default();
            }
            if !present.iter().any(|name| *name == wanted.name || *name == wanted.alias) {
                missing.push(wanted);
            }
        }
        missing.dedup_by(|a, b| a.name == b.name && a.version == b.version && a.repository == b.repository);
        Ok(missing)
    }

    /// The names of the charts within.
    fn present(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for (path, file) in self.files.under("charts") {
            let inner = path.trim_start_matches("charts/");
            if !inner.contains('/') && inner.ends_with(".tgz") {
                let chart = Package::from_archive(&file.bytes).map_err(|why| format!("{path}: {why}"))?;
                names.push(chart.name().to_owned());
            } else if let Some((_, CHART_FILE)) = inner.split_once('/') {
                let map = read_map(path, &file.bytes)?;
                names.extend(map.get("name").and_then(Value::as_str).map(str::to_owned));
            }
        }
        Ok(names)
    }

    /// Puts a chart into this one.
    pub fn add(&mut self, chart: &Package) -> Result<(), String> {
        let path = format!("charts/{}-{}.tgz", chart.name(), chart.version());
        self.files.insert(&path, chart.pack()).map_err(|error| error.to_string())
    }

    /// Packs the chart; the same files give the same bytes always.
    pub fn pack(&self) -> Vec<u8> {
        let mut tree = FileTree::default();
        for (path, file) in self.files.iter() {
            // Both parts were accepted before, so the whole is a path too unless it has become too long.
            tree.insert_file(&format!("{}/{path}", self.name()), file.clone()).ok();
        }
        archive::pack(&tree)
    }
}

/// The version with other build metadata, completed to three numbers; `None` when it is none.
///
/// Source: Masterminds/semver (NewVersion, SetMetadata).
pub(super) fn with_metadata(version: &str, metadata: &str) -> Option<String> {
    let bare = version.strip_prefix('v').unwrap_or(version);
    let (numbers, rest) = bare.find(['-', '+']).map_or((bare, ""), |at| bare.split_at(at));
    let missing = 3usize.checked_sub(numbers.split('.').count())?;
    let mut version = Version::parse(&format!("{numbers}{}{rest}", ".0".repeat(missing))).ok()?;
    if !metadata.is_empty() {
        version.build = BuildMetadata::new(metadata).ok()?;
    }
    Some(version.to_string())
}

/// Reads a YAML map.
///
/// Errors in words with the path.
pub(super) fn read_map(path: &str, bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let read = yaml::read_as(bytes, &yaml::Limits::default(), yaml::Dialect::Lenient);
    let mut documents = read.map_err(|error| format!("cannot load '{path}': {error}"))?;
    if documents.is_empty() {
        return Ok(Map::new());
    }
    match documents.remove(0).value {
        Value::Object(map) => Ok(map),
        _ => Err(format!("cannot load '{path}': it is not a map")),
    }
}

fn is_empty_list(map: &Map<String, Value>) -> bool {
    map.get("dependencies").and_then(Value::as_array).is_none_or(Vec::is_empty)
}

fn dependencies(map: &Map<String, Value>) -> Vec<Dependency> {
    let entries = map.get("dependencies").and_then(Value::as_array);
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let read = |entry: &Value| Dependency {
        name: text(entry, "name"),
        version: text(entry, "version"),
        repository: text(entry, "repository"),
        alias: text(entry, "alias"),
    };
    entries.into_iter().flatten().map(read).filter(|entry| !entry.name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> FileTree {
        [
            ("charts/app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.2.3\ndependencies:\n- {name: db, version: 1.x, repository: 'file://../db', alias: store}\n- {name: cache, version: 2.x, repository: 'https://c.example'}\n"),
            ("charts/app/values.yaml", "a: 1\nb: {c: 2}\n"),
            ("charts/app/.helmignore", "*.md\n"),
            ("charts/app/README.md", "x"),
            ("charts/app/templates/x.yaml", "y"),
            ("charts/app/charts/cache/Chart.yaml", "apiVersion: v2\nname: cache\nversion: 2.0.0\n"),
            ("charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn a_chart_goes_through_its_archive_unchanged() {
        let chart = Package::from_directory(&source(), "charts/app").unwrap();
        assert_eq!((chart.name(), chart.version()), ("app", "1.2.3"));
        let again = Package::from_archive(&chart.pack()).unwrap();
        assert_eq!(again.files, chart.files);
        assert!(chart.files.get("README.md").is_none(), "ignored");
        assert_eq!(chart.pack(), again.pack(), "reproducible");
        let engine = crate::engine::chart::Chart::load_archive(&chart.pack()).unwrap();
        assert_eq!(engine.metadata.name, "app");
    }

    #[test]
    fn versions_and_values_are_replaced() {
        let mut chart = Package::from_directory(&source(), "charts/app").unwrap();
        chart.set_version("1.2.3+abc.1").unwrap();
        let values = read_map("x", b"b: {c: 3}").unwrap();
        chart.set_values(values).unwrap();
        let again = Package::from_archive(&chart.pack()).unwrap();
        assert_eq!(again.version(), "1.2.3+abc.1");
        assert_eq!(again.values("values.yaml").unwrap().unwrap()["b"]["c"], 3);
        let mut bare = Package::from_directory(&source(), "charts/db").unwrap();
        assert!(bare.set_values(Map::new()).unwrap_err().contains("failed to locate"));
    }

    #[test]
    fn what_is_missing_is_known_with_its_alias() {
        let mut chart = Package::from_directory(&source(), "charts/app").unwrap();
        let missing = chart.missing().unwrap();
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert_eq!((missing[0].name.as_str(), missing[0].alias.as_str()), ("db", "store"));
        chart.add(&Package::from_directory(&source(), "charts/db").unwrap()).unwrap();
        assert!(chart.missing().unwrap().is_empty());
    }

    #[test]
    fn build_metadata_makes_whole_versions() {
        for (version, metadata, wanted) in [
            ("1.2.3", "4", Some("1.2.3+4")),
            ("v1.2", "abc.1", Some("1.2.0+abc.1")),
            ("1.2.3-rc.1+old", "new", Some("1.2.3-rc.1+new")),
            ("1.2.3+keep", "", Some("1.2.3+keep")),
            ("latest", "1", None),
            ("1.2.3", "a b", None),
            ("1.2.3.4", "1", None),
        ] {
            assert_eq!(with_metadata(version, metadata).as_deref(), wanted, "{version} {metadata}");
        }
    }

    #[test]
    fn what_is_no_chart_is_refused() {
        for text in ["name: ../x\nversion: 1.0.0", "name: a", "name: a\nversion: x", "[]", "{", ""] {
            let tree: FileTree = [("c/Chart.yaml", text)].into_iter().collect();
            assert!(Package::from_directory(&tree, "c").is_err(), "{text:?}");
        }
        assert!(Package::from_directory(&source(), "nowhere").unwrap_err().contains("Chart.yaml"));
        assert!(Package::from_archive(b"junk").is_err());
    }
}
