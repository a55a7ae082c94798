//! What the two ways to a chart share: what is wanted of it, what came of it, and why nothing did.
//!
//! Source: source-controller internal/helm/chart (builder.go, errors.go).

use super::super::storage::{BUILD_FAILED, FETCH_FAILED};
use super::super::{Cause, Failure};
use super::package::{Package, VALUES_FILE, with_metadata};
use crate::base::FileTree;
use crate::kinds::helm_chart::HelmChartSpec;

/// What is wanted of the chart besides its files.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub spec: HelmChartSpec,
    /// Build metadata for the version, so that consumers see what the version alone does not tell.
    pub metadata: String,
    /// Name and version of the artifact, when it was made from these very wishes.
    pub cached: Option<(String, String)>,
}

impl Wanted {
    /// The values files that change the chart; its own alone do not.
    pub fn values_files(&self) -> &[String] {
        match self.spec.values_files.as_slice() {
            [one] if FileTree::resolve("", one).as_deref() == Some(VALUES_FILE) => &[],
            files => files,
        }
    }

    /// The version that the artifact will have.
    ///
    /// Errors when it cannot carry the metadata.
    pub fn version(&self, of_chart: &str) -> Result<String, BuildError> {
        if self.metadata.is_empty() {
            return Ok(of_chart.to_owned());
        }
        let why = || format!("failed to set SemVer metadata {:?} on chart version {of_chart:?}", self.metadata);
        with_metadata(of_chart, &self.metadata).ok_or_else(|| BuildError::new(Reason::Metadata, why()))
    }

    pub fn has(&self, name: &str, version: &str) -> bool {
        self.cached.as_ref().is_some_and(|(known, at)| known == name && at == version)
    }
}

/// What came of a build.
#[derive(Clone, Debug, Default)]
pub(super) struct Build {
    pub name: String,
    pub version: String,
    /// The files that made the default values.
    pub values_files: Vec<String>,
    /// Whether it was packed here: not the very bytes that somebody published.
    pub packaged: bool,
    /// Dependencies that were brought in.
    pub dependencies: usize,
    /// `None` when the artifact is the same as before.
    pub bytes: Option<Vec<u8>>,
}

impl Build {
    pub fn reason(&self) -> &'static str {
        if self.packaged { "ChartPackageSucceeded" } else { "ChartPullSucceeded" }
    }

    /// In a person's words.
    pub fn summary(&self) -> String {
        let action = if self.packaged { "packaged" } else { "pulled" };
        let mut text = format!("{action} '{}' chart with version '{}'", self.name, self.version);
        if !self.values_files.is_empty() {
            text.push_str(&format!(" and merged values files [{}]", self.values_files.join(" ")));
        }
        text
    }
}

/// Why there is no chart.
#[derive(Clone, Debug)]
pub(super) struct BuildError {
    pub reason: Reason,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Reference,
    Pull,
    Metadata,
    Values,
    Dependency,
    Package,
    Authentication,
}

impl BuildError {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        BuildError { reason, message: message.into() }
    }

    /// The condition that the failure belongs to.
    pub fn condition(&self) -> &'static str {
        match self.reason {
            Reason::Reference | Reason::Pull | Reason::Authentication => FETCH_FAILED,
            Reason::Metadata | Reason::Values | Reason::Dependency | Reason::Package => BUILD_FAILED,
        }
    }

    /// What happens next: only a change helps where the wish itself cannot be met.
    pub fn failure(&self) -> Failure {
        let (reason, summary) = match self.reason {
            Reason::Reference => ("InvalidChartReference", "invalid chart reference"),
            Reason::Pull => ("ChartPullError", "chart pull error"),
            Reason::Metadata => ("MetadataPatchError", "chart metadata patch error"),
            Reason::Values => ("ValuesFilesError", "values files merge error"),
            Reason::Dependency => ("DependencyBuildError", "dependency build error"),
            Reason::Package => ("ChartPackageError", "chart package error"),
            Reason::Authentication => ("AuthenticationFailed", "failed to authenticate with the Helm repository"),
        };
        let cause = Cause::new(reason, format!("{summary}: {}", self.message));
        match self.reason {
            Reason::Reference | Reason::Metadata | Reason::Values => Failure::Stalled(cause),
            _ => Failure::Retry(cause),
        }
    }
}

/// Finishes a chart: its version, its values merged from files that `read` finds, its bytes.
///
/// Errors when a values file is missing or is none, or the chart has no default values to replace.
pub(super) fn finish(
    mut chart: Package,
    wanted: &Wanted,
    mut build: Build,
    read: impl Fn(&Package, &str) -> Option<Result<serde_json::Map<String, serde_json::Value>, String>>,
) -> Result<Build, BuildError> {
    let values = |why: String| BuildError::new(Reason::Values, why);
    let package = |why: String| BuildError::new(Reason::Package, why);
    chart.set_version(&build.version).map_err(package)?;
    if !wanted.values_files().is_empty() {
        let mut merged = serde_json::Map::new();
        for path in &wanted.spec.values_files {
            match FileTree::resolve("", path).and_then(|place| read(&chart, &place)) {
                Some(read) => crate::engine::chart::merge(&mut merged, read.map_err(values)?),
                None if wanted.spec.ignore_missing_values_files == Some(true) => continue,
                None => return Err(values(format!("no values file found at path '{path}'"))),
            }
            build.values_files.push(path.clone());
        }
        if !build.values_files.is_empty() {
            chart.set_values(merged).map_err(values)?;
        }
    }
    build.packaged = true;
    build.bytes = Some(chart.pack());
    Ok(build)
}
