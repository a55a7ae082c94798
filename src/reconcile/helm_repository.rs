//! HelmRepository: an index fetched into an artifact, and nothing at all when it is the same as before.
//!
//! A repository of type oci is static: the shell takes it out of here. How repositories are reached is in `access`,
//! which charts use too. Start with [`HelmRepositories`].
//!
//! Source: source-controller internal/controller/helmrepository_controller.go. The cloud providers' tokens are left
//! out and refused where charts are pulled.

pub(super) mod access;

use std::time::Duration;

use super::run::Severity;
use super::storage::{self, FETCH_FAILED, IN_STORAGE, New, OUTDATED, STORAGE_FAILED, duration, failed_before, mark};
use super::{Cause, Context, Failure, Next, Reconciler, Run};
use crate::base::Digest;
use crate::kinds::HelmRepository;
use crate::kinds::meta::Artifact;
use crate::outside::artifacts;
use crate::outside::helm_index::{self, Index, IndexError};
use crate::outside::http::bare;

/// Conditions whose truth is a failure.
const FAILURES: &[&str] = &[FETCH_FAILED, STORAGE_FAILED];

/// Reconciles HelmRepository objects.
#[derive(Clone, Copy, Debug)]
pub struct HelmRepositories;

impl Reconciler for HelmRepositories {
    type Object = HelmRepository;

    async fn reconcile(&self, cx: &Context, object: &mut HelmRepository, run: &mut Run) -> Result<Next, Failure> {
        let interval = match object.spec.interval.as_deref() {
            Some(text) => duration(text)?,
            None => Duration::from_secs(60),
        };
        let recovers = failed_before(object, FAILURES);
        storage::look_at(cx, object, run).await?;
        let remote = match access::http(cx, &object.spec, &run.id().namespace).await {
            Ok(remote) => remote,
            Err(failure) => return Err(mark(object, run, FETCH_FAILED, failure)),
        };
        run.progress("fetching the index");
        let fetched = remote.index().await.map_err(|error| fetch_failed(object, run, &error))?;
        let revision = Digest::sha256(&fetched);
        let known = object.status.as_ref().and_then(|status| status.artifact.clone());
        if let Some(artifact) = known.as_ref().filter(|artifact| artifact.revision == revision.to_string()) {
            let message = format!("artifact up-to-date with remote revision: '{revision}'");
            run.event(Severity::Trace, "ArtifactUpToDate", &message, &[]).await;
            settle(object, run, artifact, recovers, false).await;
            return Ok(Next::After(interval));
        }
        let index = self.index(object, run, fetched).await?;
        run.unset_condition(object, FETCH_FAILED);
        let message = format!("new index revision '{revision}'");
        if known.is_some() {
            run.set_condition(object, OUTDATED, "True", "NewRevision", &message);
        }
        run.progress(format!("building artifact: {message}"));
        let new = New {
            file: format!("index-{}.yaml", revision.hex),
            link: artifacts::INDEX,
            revision: revision.to_string(),
            bytes: index.to_json(),
        };
        let artifact = storage::keep(cx, object, run, new).await?;
        let is_new = known.is_none_or(|known| known.digest != artifact.digest);
        settle(object, run, &artifact, recovers, is_new).await;
        Ok(Next::After(interval))
    }

    async fn finalize(&self, cx: &Context, object: &mut HelmRepository, run: &mut Run) -> Result<(), Failure> {
        storage::sweep(cx, object, run).await
    }
}

impl HelmRepositories {
    async fn index(&self, object: &mut HelmRepository, run: &mut Run, bytes: Vec<u8>) -> Result<Index, Failure> {
        let read = tokio::task::spawn_blocking(move || helm_index::read(&bytes)).await;
        let why = match read {
            Ok(Ok(index)) => {
                for skipped in &index.skipped {
                    tracing::warn!(id = %run.id(), "{skipped}");
                }
                return Ok(index);
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => format!("the work ended without a result: {error}"),
        };
        let message = format!("failed to load Helm repository from index YAML: {why}");
        Err(mark(object, run, FETCH_FAILED, Failure::Retry(Cause::new("IndexationFailed", message))))
    }
}

/// Ends a good run: conditions, and an event when the artifact is new or the run before had failed.
async fn settle(object: &mut HelmRepository, run: &mut Run, artifact: &Artifact, recovers: bool, is_new: bool) {
    for failure in FAILURES.iter().chain([&OUTDATED]) {
        run.unset_condition(object, failure);
    }
    let message = format!("stored artifact: revision '{}'", artifact.revision);
    run.set_condition(object, IN_STORAGE, "True", "Succeeded", &message);
    run.ready("Succeeded", &message);
    run.note("revision", &artifact.revision);
    run.note("digest", &artifact.digest);
    if is_new || recovers {
        let size = artifact.size.map_or("unknown size".into(), |size| format!("size {}", human_size(size)));
        let message = format!("stored fetched index of {size} from '{}'", bare(&object.spec.url));
        let reason = if is_new { "NewArtifact" } else { "Succeeded" };
        run.event(Severity::Info, reason, &message, &[]).await;
    }
}

fn fetch_failed(object: &mut HelmRepository, run: &Run, error: &IndexError) -> Failure {
    let message = format!("failed to fetch Helm repository index: {error}");
    let failure = match error {
        IndexError::Url(..) => Failure::Stalled(Cause::new("URLInvalid", message)),
        error if error.is_authentication() => Failure::Retry(Cause::new("AuthenticationFailed", message)),
        _ => Failure::Retry(Cause::new("Failed", message)),
    };
    mark(object, run, FETCH_FAILED, failure)
}

/// Four digits and a unit of a thousand, as docker's units print it.
fn human_size(bytes: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut size = bytes as f64;
    let mut unit = 0;
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    let decimals = if unit == 0 || size >= 1000.0 { 0 } else { 3 - size.log10().max(0.0) as usize };
    let number = format!("{size:.decimals$}");
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, wanted) in [(0, "0B"), (999, "999B"), (1000, "1kB"), (40_882, "40.88kB"), (15_300_000, "15.3MB")] {
            assert_eq!(human_size(bytes), wanted);
        }
    }
}
