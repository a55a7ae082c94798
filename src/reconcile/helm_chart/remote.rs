//! Charts of Helm repositories: a version chosen in an index or among tags, pulled, and changed only when asked to.
//!
//! Start with [`build`]; dependencies of other charts come through [`Repository`] too.
//!
//! Source: source-controller internal/helm/chart/builder_remote.go, internal/helm/repository.

use super::super::Context;
use super::super::helm_repository::access;
use super::build::{Build, BuildError, Reason, Wanted, finish};
use super::package::Package;
use crate::base::Digest;
use crate::kinds::HelmRepository;
use crate::kinds::helm_repository::HelmRepositorySpec;
use crate::kinds::meta::Artifact;
use crate::outside::helm_index::{self, CHART_BYTES, ChartVersion, IndexError, NoVersion};
use crate::outside::oci::{self, OciError, Registry};

/// Pulls a chart of a repository, and packs it anew when values files or metadata are wanted.
///
/// Errors with the reason that people will read.
pub(super) async fn build(cx: &Context, source: &HelmRepository, wanted: Wanted) -> Result<Build, BuildError> {
    let name = wanted.spec.chart.clone();
    if !is_name(&name) {
        let why = format!(
            "invalid chart name '{name}': a valid name must be lower case letters and numbers and may be separated \
             with dashes (-), slashes (/) or periods (.)"
        );
        return Err(BuildError::new(Reason::Reference, why));
    }
    let namespace = source.metadata.namespace.clone().unwrap_or_default();
    let artifact = source.status.as_ref().and_then(|status| status.artifact.clone());
    let repository = Repository { cx, spec: &source.spec, namespace: &namespace, artifact };
    let found = repository.find(&name, wanted.spec.version.as_deref().unwrap_or_default()).await?;
    let version = wanted.version(&found.version)?;
    // A chart in a directory of a registry has the name of its last part.
    let short = found.name.rsplit('/').next().unwrap_or_default().to_owned();
    let repacks = !wanted.metadata.is_empty() || !wanted.values_files().is_empty();
    let build = Build { name: short, version, packaged: repacks, ..Build::default() };
    if wanted.has(&build.name, &build.version) {
        return Ok(Build { values_files: wanted.values_files().to_vec(), ..build });
    }
    let bytes = repository.pull(&found).await?;
    let work = move || {
        let chart = Package::from_archive(&bytes);
        if !repacks {
            let why = |why: String| BuildError::new(Reason::Pull, format!("the pulled file is not a chart: {why}"));
            chart.map_err(why)?;
            return Ok(Build { bytes: Some(bytes), ..build });
        }
        let why = |why: String| BuildError::new(Reason::Package, format!("failed to load downloaded chart: {why}"));
        finish(chart.map_err(why)?, &wanted, build, |chart, path| chart.values(path))
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| BuildError::new(Reason::Package, error.to_string()))?
}

/// Source: source-controller internal/helm/chart/builder.go (the grammar of names).
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let bytes = text.as_bytes();
    let separated = |pair: &[u8]| plain(pair[0]) || plain(pair[1]) || pair == b"/.";
    bytes.first().is_some_and(|first| plain(*first))
        && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'/' | b'.'))
        && bytes.windows(2).all(separated)
        && !text.split('/').any(|part| matches!(part, "." | ".."))
}

/// A repository that charts are looked for in.
pub(super) struct Repository<'a> {
    pub cx: &'a Context,
    pub spec: &'a HelmRepositorySpec,
    pub namespace: &'a str,
    /// The stored index; without one the index is fetched.
    pub artifact: Option<Artifact>,
}

impl Repository<'_> {
    fn is_registry(&self) -> bool {
        self.spec.url.starts_with("oci://")
    }

    /// Chooses a version.
    ///
    /// Errors when there is none, or the repository does not answer.
    pub async fn find(&self, name: &str, range: &str) -> Result<ChartVersion, BuildError> {
        if self.is_registry() {
            return self.find_tag(name, range).await;
        }
        let json = self.index().await?;
        let (name, range) = (name.to_owned(), range.to_owned());
        let found = tokio::task::spawn_blocking(move || helm_index::find(&json, &name, &range)).await;
        let found = found.map_err(|error| BuildError::new(Reason::Pull, error.to_string()))?;
        found.map_err(|error| {
            let reason = if matches!(error, NoVersion::Index(_)) { Reason::Pull } else { Reason::Reference };
            BuildError::new(reason, format!("failed to get chart version for remote reference: {error}"))
        })
    }

    async fn index(&self) -> Result<Vec<u8>, BuildError> {
        let failed = |why: String| BuildError::new(Reason::Pull, format!("failed to load index: {why}"));
        if let Some(artifact) = &self.artifact {
            let bytes = self.cx.artifacts.read(&artifact.path).await.map_err(|error| failed(error.to_string()))?;
            return match Digest::sha256(&bytes).to_string() == artifact.digest {
                true => Ok(bytes),
                false => Err(failed("it is not as its repository's status says".into())),
            };
        }
        let remote = access::http(self.cx, self.spec, self.namespace).await.map_err(refused)?;
        let bytes = remote.index().await.map_err(of_index)?;
        let read = tokio::task::spawn_blocking(move || helm_index::read(&bytes).map(|index| index.to_json())).await;
        read.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }

    /// A whole version needs no list of tags, which can be long.
    async fn find_tag(&self, name: &str, range: &str) -> Result<ChartVersion, BuildError> {
        let of = |version: String| ChartVersion { name: name.to_owned(), version, ..ChartVersion::default() };
        if crate::engine::semver_range::parse_version(range).is_some() {
            return Ok(of(range.to_owned()));
        }
        let registry = self.registry(name).await?;
        let versions = registry.chart_versions().await.map_err(of_registry)?;
        let chosen = helm_index::choose(versions, |version| version, |_| None, name, range);
        chosen.map(of).map_err(|error| {
            let reason = if matches!(error, NoVersion::Malformed(_)) { Reason::Reference } else { Reason::Pull };
            BuildError::new(reason, format!("failed to get chart version for remote reference: {error}"))
        })
    }

    async fn registry(&self, name: &str) -> Result<Registry, BuildError> {
        let way = access::registry(self.cx, self.spec, self.namespace, name).await.map_err(refused)?;
        Registry::new(way.0, &way.1).map_err(of_registry)
    }

    /// Downloads a version.
    ///
    /// Errors as [`Repository::find`], and when the bytes are not those that were promised.
    pub async fn pull(&self, chart: &ChartVersion) -> Result<Vec<u8>, BuildError> {
        if self.is_registry() {
            let registry = self.registry(&chart.name).await?;
            return registry.chart(&chart.version, CHART_BYTES).await.map_err(of_registry);
        }
        let first = chart.urls.iter().flatten().next().map(String::as_str).unwrap_or_default();
        if let Some(rest) = first.strip_prefix("oci://") {
            return self.pull_elsewhere(rest, chart).await;
        }
        let remote = access::http(self.cx, self.spec, self.namespace).await.map_err(refused)?;
        remote.chart(chart).await.map_err(of_index)
    }

    /// Some indexes name registries as the places of their charts; the repository's login is not for them.
    async fn pull_elsewhere(&self, address: &str, chart: &ChartVersion) -> Result<Vec<u8>, BuildError> {
        let (repository, tag) = oci::Repository::parse_reference(address).map_err(of_registry)?;
        let timeout = access::http(self.cx, self.spec, self.namespace).await.map_err(refused)?.timeout;
        let settings = crate::outside::http::Settings {
            egress: super::super::storage::egress(self.cx),
            ..crate::outside::http::Settings::default()
        };
        let way = oci::Access { settings, timeout, ..oci::Access::default() };
        let registry = Registry::new(repository, &way).map_err(of_registry)?;
        let version = tag.as_deref().unwrap_or(&chart.version);
        registry.chart(version, CHART_BYTES).await.map_err(of_registry)
    }
}

/// A failure of the repository's own configuration.
fn refused(failure: super::super::Failure) -> BuildError {
    let cause = failure.cause();
    let reason = match cause.reason.as_str() {
        "AuthenticationFailed" => Reason::Authentication,
        _ => Reason::Reference,
    };
    BuildError::new(reason, cause.message.clone())
}

fn of_index(error: IndexError) -> BuildError {
    let reason = if error.is_authentication() { Reason::Authentication } else { Reason::Pull };
    BuildError::new(reason, format!("failed to download chart for remote reference: {error}"))
}

fn of_registry(error: OciError) -> BuildError {
    let reason = if error.is_authentication() { Reason::Authentication } else { Reason::Pull };
    BuildError::new(reason, format!("failed to download chart for remote reference: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words_between_slashes_and_dots() {
        for good in ["podinfo", "a-b", "charts/podinfo", "a.b", "0x"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "A", "a_b", "/a", "a//b", "a/../b", "..", "a b", "a:b", "a..b"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
