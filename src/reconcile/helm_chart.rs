//! HelmChart: from a version range or a path to one packaged chart, and nothing at all when it is the same as before.
//!
//! Charts of repositories are pulled in `remote`, charts by path are packed in `local`; both say what came of it in the
//! words of `build`. Start with [`HelmCharts`].
//!
//! Source: source-controller internal/controller/helmchart_controller.go. Left out and refused with a sentence:
//! signature verification, Buckets as sources.

mod build;
mod local;
mod package;
mod remote;

use super::run::Severity;
use super::storage::{
    self, BUILD_FAILED, FETCH_FAILED, IN_STORAGE, New, OUTDATED, STORAGE_FAILED, duration, failed_before, mark,
};
use super::{Cause, Context, Failure, Next, Reconciler, Run};
use crate::base::{Digest, Id, Revision};
use crate::kinds::helm_chart::{HelmChartStatus, ReconcileStrategy};
use crate::kinds::meta::Artifact;
use crate::kinds::{HelmChart, HelmRepository, git_repository, helm_repository};
use crate::outside::artifacts;

use build::{Build, BuildError, Wanted};

/// Conditions whose truth is a failure.
const FAILURES: &[&str] = &[FETCH_FAILED, BUILD_FAILED, STORAGE_FAILED];

/// Reconciles HelmChart objects.
#[derive(Clone, Copy, Debug)]
pub struct HelmCharts;

impl Reconciler for HelmCharts {
    type Object = HelmChart;

    async fn reconcile(&self, cx: &Context, object: &mut HelmChart, run: &mut Run) -> Result<Next, Failure> {
        let interval = duration(&object.spec.interval)?;
        let recovers = failed_before(object, FAILURES);
        storage::look_at(cx, object, run).await?;
        let wanted = object.spec.verify.is_some();
        storage::refuse_verification(object, run, wanted)?;
        let source = self.source(cx, object, run).await?;
        run.progress("building artifact");
        let built = self.build(cx, object, run, &source).await;
        let build = built.map_err(|error| mark_build(object, run, &error))?;
        for failure in [FETCH_FAILED, BUILD_FAILED] {
            run.unset_condition(object, failure);
        }
        if build.dependencies > 0 {
            let message = format!("resolved {} chart dependencies", build.dependencies);
            run.event(Severity::Trace, "ResolvedDependencies", &message, &[]).await;
        }
        let known = status(object).artifact;
        let is_new = match &build.bytes {
            Some(_) => self.keep(cx, object, run, &build, known.as_ref()).await?,
            None => {
                let message = format!("artifact up-to-date with remote revision: '{}'", build.version);
                run.event(Severity::Trace, "ArtifactUpToDate", &message, &[]).await;
                false
            }
        };
        settle(object, run, &build, recovers, is_new).await;
        Ok(Next::After(interval))
    }

    async fn finalize(&self, cx: &Context, object: &mut HelmChart, run: &mut Run) -> Result<(), Failure> {
        storage::sweep(cx, object, run).await
    }
}

/// Where the chart comes from.
enum Source {
    Repository(Box<HelmRepository>),
    /// The artifact of another source, and its bytes.
    Files(Artifact, Vec<u8>),
}

impl HelmCharts {
    /// Reads the source live, with what of its artifact is needed.
    ///
    /// Errors as waiting while there is no artifact, as retry when the source is not there.
    async fn source(&self, cx: &Context, object: &mut HelmChart, run: &mut Run) -> Result<Source, Failure> {
        let reference = object.spec.source_ref.clone();
        let kind = reference.kind.as_str();
        if let Some(message) = refused(kind) {
            let failure = Failure::Stalled(Cause::new("UnsupportedSourceKind", message));
            return Err(mark(object, run, FETCH_FAILED, failure));
        }
        let id = Id::new(git_repository::GROUP, kind, &run.id().namespace, &reference.name);
        let document = match cx.cluster.get(&id).await {
            Ok(Some(document)) => document,
            missing => {
                let why = missing.err().map_or_else(|| format!("{id} not found"), |error| error.to_string());
                let cause = Cause::new("SourceUnavailable", format!("failed to get source: {why}"));
                return Err(mark(object, run, FETCH_FAILED, Failure::Retry(cause)));
            }
        };
        let unreadable = |why: String| Failure::Retry(Cause::new("SourceUnavailable", format!("{id}: {why}")));
        let artifact = document.pointer("/status/artifact").cloned();
        let artifact = artifact.and_then(|artifact| serde_json::from_value::<Artifact>(artifact).ok());
        if let Some(artifact) = &artifact {
            let status = object.status.get_or_insert_default();
            status.observed_source_artifact_revision = Some(artifact.revision.clone());
        }
        if kind == helm_repository::KIND.kind {
            let repository: HelmRepository = serde_json::from_value(document)
                .map_err(|error| mark(object, run, FETCH_FAILED, unreadable(error.to_string())))?;
            if repository.spec.is_registry() || artifact.is_some() {
                return Ok(Source::Repository(Box::new(repository)));
            }
        } else if let Some(artifact) = artifact {
            let unread = |why: String| {
                let message = format!("artifact of {kind} source '{}' cannot be read: {why}", reference.name);
                Failure::Retry(Cause::new("ReadOperationFailed", message))
            };
            let found = stored(cx, &artifact).await.map_err(|why| mark(object, run, FETCH_FAILED, unread(why)))?;
            if let Some(bytes) = found {
                return Ok(Source::Files(artifact, bytes));
            }
        }
        let message = format!("no artifact available for {kind} source '{}'", reference.name);
        let waiting = Failure::Waiting(Cause::new("NoSourceArtifact", message), cx.options.requeue_dependency);
        Err(mark(object, run, FETCH_FAILED, waiting))
    }

    async fn build(&self, cx: &Context, object: &HelmChart, run: &Run, source: &Source) -> Result<Build, BuildError> {
        let mut wanted = Wanted { spec: object.spec.clone(), metadata: String::new(), cached: None };
        let status = status(object);
        let generation = object.metadata.generation;
        if status.observed_generation == generation {
            wanted.cached = status.observed_chart_name.zip(status.artifact.map(|artifact| artifact.revision));
        }
        if let Source::Files(artifact, _) = source
            && object.spec.reconcile_strategy == Some(ReconcileStrategy::Revision)
        {
            wanted.metadata = short_revision(&artifact.revision);
        }
        if !wanted.values_files().is_empty() {
            let dot = if wanted.metadata.is_empty() { "" } else { "." };
            wanted.metadata += &format!("{dot}{}", generation.unwrap_or_default());
        }
        let mut build = match source {
            Source::Repository(repository) => remote::build(cx, repository, wanted).await?,
            Source::Files(_, bytes) => local::build(cx, &run.id().namespace, bytes.clone(), wanted).await?,
        };
        if build.bytes.is_none() && !status.observed_values_files.is_empty() {
            build.values_files = status.observed_values_files;
        }
        Ok(build)
    }

    /// Stores the chart; answers whether its bytes are new.
    async fn keep(
        &self,
        cx: &Context,
        object: &mut HelmChart,
        run: &mut Run,
        build: &Build,
        known: Option<&Artifact>,
    ) -> Result<bool, Failure> {
        let what = format!("new '{}' chart with version '{}'", build.name, build.version);
        if known.is_some_and(|known| known.revision != build.version) {
            run.set_condition(object, OUTDATED, "True", "NewChart", &what);
        }
        run.progress(format!("building artifact: {what}"));
        let new = New {
            file: format!("{}-{}.tgz", build.name, build.version),
            link: artifacts::LATEST,
            revision: build.version.clone(),
            bytes: build.bytes.clone().unwrap_or_default(),
        };
        let artifact = storage::keep(cx, object, run, new).await?;
        let ignores_missing = object.spec.ignore_missing_values_files == Some(true);
        let status = object.status.get_or_insert_default();
        status.observed_chart_name = Some(build.name.clone());
        status.observed_values_files = if ignores_missing { build.values_files.clone() } else { Vec::new() };
        Ok(known.is_none_or(|known| known.digest != artifact.digest))
    }
}

/// Why a kind of source cannot have charts here.
pub(super) fn refused(kind: &str) -> Option<String> {
    match kind {
        "HelmRepository" | "GitRepository" => None,
        "Bucket" => Some(
            "failed to get source: Buckets are not fetched by weir yet; put the chart into a HelmRepository or a \
             GitRepository"
                .into(),
        ),
        other => Some(format!(
            "failed to get source: unsupported source kind '{other}', must be one of: [HelmRepository GitRepository \
             Bucket]"
        )),
    }
}

/// The bytes of an artifact in weir's own storage; `None` when they are not there, as they never are for a source that
/// somebody else fetches.
///
/// Errors when the disk does not give them, or they are not what the status says.
async fn stored(cx: &Context, artifact: &Artifact) -> Result<Option<Vec<u8>>, String> {
    let bytes = match cx.artifacts.read(&artifact.path).await {
        Ok(bytes) => bytes,
        Err(artifacts::StorageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    let checked = tokio::task::spawn_blocking(move || (Digest::sha256(&bytes).to_string(), bytes)).await;
    let (found, bytes) = checked.map_err(|error| error.to_string())?;
    if found == artifact.digest {
        return Ok(Some(bytes));
    }
    Err(format!("{} has the digest {found}, not {}", artifact.path, artifact.digest))
}

/// The first twelve digits of what the source is at.
fn short_revision(revision: &str) -> String {
    let digest = Revision::parse(revision).digest;
    digest.map_or_else(String::new, |digest| digest.hex.chars().take(12).collect())
}

/// Puts a failed build onto the condition that it belongs to, and off the other.
fn mark_build(object: &mut HelmChart, run: &Run, error: &BuildError) -> Failure {
    let condition = error.condition();
    let other = if condition == FETCH_FAILED { BUILD_FAILED } else { FETCH_FAILED };
    run.unset_condition(object, other);
    mark(object, run, condition, error.failure())
}

/// Ends a good run: conditions, and an event when the artifact is new or the run before had failed.
async fn settle(object: &mut HelmChart, run: &mut Run, build: &Build, recovers: bool, is_new: bool) {
    for failure in FAILURES.iter().chain([&OUTDATED]) {
        run.unset_condition(object, failure);
    }
    let summary = build.summary();
    run.set_condition(object, IN_STORAGE, "True", build.reason(), &summary);
    run.ready(build.reason(), &summary);
    if let Some(artifact) = status(object).artifact {
        run.note("revision", &artifact.revision);
        run.note("digest", &artifact.digest);
    }
    if is_new || recovers {
        run.event(Severity::Info, build.reason(), &summary, &[]).await;
    }
}

fn status(object: &HelmChart) -> HelmChartStatus {
    object.status.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_cut_to_twelve_digits() {
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";
        assert_eq!(short_revision(&format!("main@sha1:{hash}")), "9f86d081884c");
        assert_eq!(short_revision(&format!("sha256:{hash}")), "9f86d081884c");
        assert_eq!(short_revision("nothing"), "");
    }
}
