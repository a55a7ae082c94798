//! Charts by path in another source: taken out of its artifact, completed with their dependencies and packed.
//!
//! Nothing outside the artifact is read but what `Chart.yaml` or its lock names as repositories. Start with [`build`].
//!
//! Source: source-controller internal/helm/chart (builder_local.go, dependency_manager.go). One difference: a
//! dependency with an alias keeps its own name in the package, where rendering expects it.

use super::super::Context;
use super::build::{Build, BuildError, Reason, Wanted, finish};
use super::package::{Dependency, Package, read_map};
use super::remote::Repository;
use crate::base::{FileTree, Value};
use crate::engine::archive::{self, Unpack};
use crate::engine::semver_range::Range;
use crate::kinds::helm_repository::{self, HelmRepositorySpec, RepositoryType};
use crate::kinds::meta::Artifact;
use crate::outside::helm_index::normalize;

/// Dependencies of one chart that are brought in.
const DEPENDENCIES: usize = 100;

/// Takes a chart out of a source's packed artifact.
///
/// Errors with the reason that people will read.
pub(super) async fn build(
    cx: &Context,
    namespace: &str,
    artifact: Vec<u8>,
    wanted: Wanted,
) -> Result<Build, BuildError> {
    let opened = {
        let wanted = wanted.clone();
        tokio::task::spawn_blocking(move || open(&artifact, &wanted)).await
    };
    let Opened { tree, path, chart, mut build } = match opened.map_err(ended)?? {
        Open::Done(build) => return Ok(build),
        Open::Chart(opened) => *opened,
    };
    let mut chart = chart;
    if tree.get(&path).is_none() {
        let dependency = |why: String| BuildError::new(Reason::Dependency, why);
        let missing = chart.missing().map_err(dependency)?;
        if missing.len() > DEPENDENCIES {
            return Err(dependency(format!("the chart has more than {DEPENDENCIES} dependencies")));
        }
        for wanted in &missing {
            let found = match is_local(wanted) {
                true => beside(&tree, &path, wanted)
                    .map_err(|why| format!("failed to add local dependency '{}': {why}", wanted.name)),
                false => fetched(cx, namespace, wanted)
                    .await
                    .map_err(|why| format!("failed to add remote dependency '{}': {why}", wanted.name)),
            };
            chart.add(&found.map_err(dependency)?).map_err(dependency)?;
        }
        build.dependencies = missing.len();
    }
    let work = move || finish(chart, &wanted, build, |_, path| tree.get(path).map(|file| read_map(path, &file.bytes)));
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

enum Open {
    /// Nothing more is to be done.
    Done(Build),
    Chart(Box<Opened>),
}

struct Opened {
    tree: FileTree,
    /// Of the chart in the source.
    path: String,
    chart: Package,
    build: Build,
}

fn open(artifact: &[u8], wanted: &Wanted) -> Result<Open, BuildError> {
    let reference = |why: String| BuildError::new(Reason::Reference, why);
    let tree = archive::unpack(artifact, &Unpack::default());
    let tree = tree.map_err(|error| BuildError::new(Reason::Pull, format!("artifact untar error: {error}")))?;
    let given = &wanted.spec.chart;
    let path = FileTree::resolve("", given).filter(|_| !given.is_empty());
    let path = path.ok_or_else(|| reference(format!("chart path '{given}' leaves the source")))?;
    let packed = tree.get(&path).map(|file| file.bytes.clone());
    let chart = match &packed {
        Some(bytes) => Package::from_archive(bytes),
        None => Package::from_directory(&tree, &path),
    };
    let chart = chart.map_err(|why| reference(format!("no chart at '{given}' in the source: {why}")))?;
    let version = wanted.version(chart.version())?;
    let packaged = packed.is_none() || !wanted.metadata.is_empty() || !wanted.values_files().is_empty();
    let build = Build { name: chart.name().to_owned(), version, packaged, ..Build::default() };
    if wanted.has(&build.name, &build.version) {
        return Ok(Open::Done(Build { values_files: wanted.values_files().to_vec(), ..build }));
    }
    if let Some(bytes) = packed.filter(|_| !packaged) {
        return Ok(Open::Done(Build { bytes: Some(bytes.to_vec()), ..build }));
    }
    Ok(Open::Chart(Box::new(Opened { tree, path, chart, build })))
}

fn is_local(dependency: &Dependency) -> bool {
    dependency.repository.is_empty() || dependency.repository.starts_with("file://")
}

/// A dependency in the same source.
fn beside(tree: &FileTree, chart: &str, wanted: &Dependency) -> Result<Package, String> {
    let reference = match wanted.repository.strip_prefix("file://") {
        Some(path) => path.to_owned(),
        None => format!("charts/{}", wanted.name),
    };
    let path = FileTree::resolve(chart, reference.trim_start_matches('/'))
        .ok_or_else(|| format!("'{}' leaves the source", wanted.repository))?;
    let found = match tree.get(&path) {
        Some(file) => Package::from_archive(&file.bytes),
        None => Package::from_directory(tree, &path),
    };
    let found =
        found.map_err(|why| format!("no chart found at '{path}' (reference '{}'): {why}", wanted.repository))?;
    let range: Range =
        wanted.version.parse().map_err(|error: crate::engine::semver_range::RangeError| error.to_string())?;
    let version = super::package::with_metadata(found.version(), "").and_then(|text| text.parse().ok());
    match version.is_some_and(|version| range.matches(&version)) {
        true => Ok(found),
        false => Err(format!(
            "can't get a valid version for constraint '{}': the chart at '{path}' has '{}'",
            wanted.version,
            found.version()
        )),
    }
}

/// A dependency of a repository: through the HelmRepository of the namespace with that URL, else as anybody.
async fn fetched(cx: &Context, namespace: &str, wanted: &Dependency) -> Result<Package, String> {
    let url = normalize(&wanted.repository);
    match url.split_once("://") {
        Some(("http" | "https" | "oci", _)) => {}
        _ if url.starts_with('@') || url.starts_with("alias:") => {
            return Err(format!("aliased repository dependency is not supported: {}", wanted.repository));
        }
        _ => return Err(format!("invalid dependency repository URL: {}", wanted.repository)),
    }
    let known = known(cx, namespace, &url).await?;
    let (spec, artifact) = known.unwrap_or_else(|| {
        let type_ = url.starts_with("oci://").then_some(RepositoryType::Oci);
        (HelmRepositorySpec { url: url.clone(), type_, ..HelmRepositorySpec::default() }, None)
    });
    let repository = Repository { cx, spec: &spec, namespace, artifact };
    let found = repository.find(&wanted.name, &wanted.version).await.map_err(|error| error.message)?;
    let bytes = repository.pull(&found).await.map_err(|error| error.message)?;
    let loaded = tokio::task::spawn_blocking(move || Package::from_archive(&bytes)).await;
    loaded
        .map_err(|error| error.to_string())?
        .map_err(|why| format!("failed to load downloaded archive of version '{}': {why}", found.version))
}

/// The HelmRepository of a namespace with that normalized URL.
async fn known(
    cx: &Context,
    namespace: &str,
    url: &str,
) -> Result<Option<(HelmRepositorySpec, Option<Artifact>)>, String> {
    let listed = cx.cluster.list(&helm_repository::KIND.api(), Some(namespace), None).await;
    let listed = listed.map_err(|error| format!("failed to look for a HelmRepository with URL '{url}': {error}"))?;
    let is_it = |document: &&Value| {
        let own = document.pointer("/spec/url").and_then(Value::as_str);
        own.is_some_and(|own| normalize(own) == url)
    };
    let Some(document) = listed.iter().find(is_it) else { return Ok(None) };
    let spec = serde_json::from_value(document["spec"].clone()).map_err(|error| error.to_string())?;
    let artifact = document.pointer("/status/artifact").cloned();
    Ok(Some((spec, artifact.and_then(|artifact| serde_json::from_value(artifact).ok()))))
}

fn ended(error: tokio::task::JoinError) -> BuildError {
    BuildError::new(Reason::Package, format!("the work ended without a result: {error}"))
}
