//! What the reconcilers of sources share: the recorded artifact looked after, a new one stored, conditions of failure.
//!
//! Storage is looked at first in every run, because a lost artifact must be rebuilt whatever the remote says. Must not
//! know how anything is fetched. Start with [`look_at`] and [`keep`].
//!
//! Source: source-controller internal/controller (reconcileStorage, garbageCollect, reconcileDelete).

use std::time::Duration;

use super::run::Severity;
use super::{Cause, Context, Failure, Reconciled, Run};
use crate::base::{Digest, Stamp, Value, parse_duration};
use crate::kinds::meta::Artifact;
use crate::outside::artifacts::{self, Integrity, Owner};
use crate::outside::egress::Egress;

pub(super) const FETCH_FAILED: &str = "FetchFailed";
pub(super) const STORAGE_FAILED: &str = "StorageOperationFailed";
pub(super) const BUILD_FAILED: &str = "BuildFailed";
pub(super) const OUTDATED: &str = "ArtifactOutdated";
pub(super) const IN_STORAGE: &str = "ArtifactInStorage";
pub(super) const VERIFIED: &str = "SourceVerified";

/// What a source without a time-out of its own gets.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// A source: it has an artifact.
pub(super) trait Source: Reconciled {
    /// `status.artifact`, with an empty status made where there was none.
    fn artifact(&mut self) -> &mut Option<Artifact>;
    /// `status.url`, where the kind has it: the artifact under a name that stays.
    fn url(&mut self) -> Option<&mut Option<String>> {
        None
    }
}

/// Removes old files and checks that the recorded one is there and as it was; forgets it otherwise.
///
/// Errors when the disk does not answer.
pub(super) async fn look_at<O: Source>(cx: &Context, object: &mut O, run: &mut Run) -> Result<(), Failure> {
    let Some(artifact) = object.artifact().clone() else {
        run.unset_condition(object, IN_STORAGE);
        run.progress("building artifact");
        return Ok(());
    };
    let (ttl, records) = (cx.options.artifact_retention, cx.options.artifact_records);
    match cx.artifacts.collect(&owner(run), &artifact.path, ttl, records).await {
        Ok(0) => {}
        Ok(count) => {
            let message = format!("garbage collected {count} artifacts");
            run.event(Severity::Trace, "GarbageCollectionSucceeded", &message, &[]).await;
        }
        Err(error) => {
            let message = format!("garbage collection of artifacts failed: {error}");
            run.event(Severity::Error, "GarbageCollectionFailed", &message, &[]).await;
        }
    }
    let integrity = match artifact.digest.parse::<Digest>() {
        Ok(digest) => cx.artifacts.verify(&artifact.path, &digest).await,
        Err(_) => Ok(Integrity::Missing),
    };
    let lost = match integrity {
        Ok(Integrity::Good) => {
            run.unset_condition(object, STORAGE_FAILED);
            let link = object.url().and_then(|url| url.clone());
            if let Some(known) = object.artifact() {
                // The server may listen elsewhere than before.
                known.url = cx.artifacts.url(&known.path);
            }
            if let Some(link) = link.as_deref().and_then(|link| link.rsplit('/').next()) {
                set_url(cx, object, &artifact.path, link);
            }
            return Ok(());
        }
        Ok(Integrity::Missing) => "building artifact: disappeared from storage",
        Ok(Integrity::Changed) => {
            let message = format!("failed to verify integrity of artifact: {} is not as stored", artifact.path);
            run.event(Severity::Error, "ArtifactVerificationFailed", &message, &[]).await;
            "building artifact: integrity verification failed"
        }
        Err(error) => {
            let failure = Failure::Retry(Cause::new("ReadOperationFailed", error.to_string()));
            return Err(mark(object, run, STORAGE_FAILED, failure));
        }
    };
    forget(object);
    run.unset_condition(object, IN_STORAGE);
    run.progress(lost);
    Ok(())
}

/// A new artifact: its file, the link that stays, and its bytes.
pub(super) struct New {
    pub file: String,
    pub link: &'static str,
    pub revision: String,
    pub bytes: Vec<u8>,
}

/// Stores an artifact and writes it down.
///
/// Errors as a retry, marked on the object, when the disk refuses.
pub(super) async fn keep<O: Source>(cx: &Context, object: &mut O, run: &Run, new: New) -> Result<Artifact, Failure> {
    let now = Stamp(jiff::Timestamp::now().as_second());
    let stored = cx.artifacts.store_linked(&owner(run), &new.file, new.link, &new.revision, new.bytes, now).await;
    match stored {
        Ok(stored) => {
            let artifact = described(stored);
            *object.artifact() = Some(artifact.clone());
            set_url(cx, object, &artifact.path, new.link);
            run.unset_condition(object, STORAGE_FAILED);
            Ok(artifact)
        }
        Err(error) => Err(not_stored(object, run, &error)),
    }
}

/// Marks that an artifact could not be made or stored.
pub(super) fn not_stored<O: Source>(object: &mut O, run: &Run, why: &dyn std::fmt::Display) -> Failure {
    let message = format!("unable to save artifact to storage: {why}");
    mark(object, run, STORAGE_FAILED, Failure::Retry(Cause::new("ArchiveOperationFailed", message)))
}

/// Removes every file of an object that goes.
///
/// Errors as a retry when the disk refuses.
pub(super) async fn sweep<O: Source>(cx: &Context, object: &mut O, run: &mut Run) -> Result<(), Failure> {
    match cx.artifacts.remove_all(&owner(run)).await {
        Ok(removed) => {
            if removed {
                let message = "garbage collected artifacts for deleted resource";
                run.event(Severity::Trace, "GarbageCollectionSucceeded", message, &[]).await;
            }
            forget(object);
            Ok(())
        }
        Err(error) => {
            let message = format!("garbage collection for deleted resource failed: {error}");
            Err(Failure::Retry(Cause::new("GarbageCollectionFailed", message)))
        }
    }
}

fn forget<O: Source>(object: &mut O) {
    *object.artifact() = None;
    if let Some(url) = object.url() {
        *url = None;
    }
}

fn set_url<O: Source>(cx: &Context, object: &mut O, path: &str, link: &str) {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let address = cx.artifacts.url(&format!("{directory}/{link}"));
    if let Some(url) = object.url() {
        *url = Some(address);
    }
}

/// Marks a failure on the condition that it belongs to and hands it on.
pub(super) fn mark<O: Reconciled>(object: &mut O, run: &Run, condition: &str, failure: Failure) -> Failure {
    let cause = failure.cause();
    run.set_condition(object, condition, "True", &cause.reason, &cause.message);
    failure
}

/// Refuses what is wanted and not built: an unverified source is worse than none.
///
/// Errors as stalled where `wanted`.
pub(super) fn refuse_verification<O: Source>(object: &mut O, run: &Run, wanted: bool) -> Result<(), Failure> {
    if !wanted {
        run.unset_condition(object, VERIFIED);
        return Ok(());
    }
    run.set_condition(object, VERIFIED, "False", "VerificationError", UNVERIFIED);
    Err(Failure::Stalled(Cause::new("VerificationError", UNVERIFIED)))
}

/// Why a source that must be verified is refused.
const UNVERIFIED: &str = "signatures cannot be verified yet; remove spec.verify to use the source unverified";

/// Refuses the tokens of clouds.
///
/// Errors as stalled for every provider but the generic one.
pub(super) fn refuse_provider<O: Source>(object: &mut O, run: &Run, provider: Option<&str>) -> Result<(), Failure> {
    let Some(message) = refused_provider(provider.unwrap_or_default()) else { return Ok(()) };
    let failure = Failure::Stalled(Cause::new("InvalidProviderConfiguration", message));
    Err(mark(object, run, FETCH_FAILED, failure))
}

/// Why the tokens of a provider cannot be had; `None` for the one that needs none.
pub(super) fn refused_provider(provider: &str) -> Option<String> {
    let is_known = matches!(provider, "" | "generic");
    (!is_known).then(|| format!("provider {provider:?} is not supported yet; use a secret with the generic provider"))
}

/// What weir will refuse of a source, before anybody makes it.
pub fn refusals(document: &Value) -> Vec<String> {
    let spec = &document["spec"];
    let mut all = Vec::new();
    match document["kind"].as_str().unwrap_or_default() {
        "GitRepository" | "OCIRepository" | "HelmChart" if !spec["verify"].is_null() => all.push(UNVERIFIED.to_owned()),
        _ => {}
    }
    let has_login = !spec["secretRef"].is_null();
    match document["kind"].as_str().unwrap_or_default() {
        "HelmRepository" if has_login || spec["type"] != "oci" => {}
        "GitRepository" | "OCIRepository" | "HelmRepository" => {
            all.extend(refused_provider(spec["provider"].as_str().unwrap_or_default()));
        }
        "HelmChart" => all.extend(super::helm_chart::refused(spec["sourceRef"]["kind"].as_str().unwrap_or_default())),
        _ => {}
    }
    all
}

/// Whether the run before this one ended with one of these conditions.
pub(super) fn failed_before<O: Reconciled>(object: &mut O, failures: &[&str]) -> bool {
    object.conditions().iter().any(|known| known.status == "True" && failures.contains(&known.kind.as_str()))
}

/// Where a source may be: where tenants write URLs, this machine is no place to be sent to.
pub(super) fn egress(cx: &Context) -> Egress {
    Egress { loopback: cx.options.allow_local_sources || cx.cluster.place().is_embedded() }
}

/// Whose artifacts the run is about.
pub(super) fn owner(run: &Run) -> Owner {
    Owner::new(&run.id().kind, &run.id().namespace, &run.id().name)
}

/// Reads a duration of a spec.
///
/// Errors as stalled: only a change of the object helps.
pub(super) fn duration(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).map_err(|error| Failure::Stalled(Cause::new("Failed", error.to_string())))
}

/// The artifact as status tells it.
pub(super) fn described(stored: artifacts::Artifact) -> Artifact {
    Artifact {
        path: stored.path,
        url: stored.url,
        revision: stored.revision,
        digest: stored.digest.to_string(),
        last_update_time: stored.last_update.to_string(),
        size: i64::try_from(stored.size_bytes).ok(),
        metadata: stored.metadata,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_done_is_known_before_it_is_made() {
        let of = |kind: &str, spec: Value| refusals(&json!({"kind": kind, "spec": spec}));
        let verified = json!({"verify": {"provider": "cosign"}, "sourceRef": {"kind": "HelmRepository"}});
        assert!(of("HelmChart", verified)[0].contains("signatures cannot be verified"));
        assert!(of("HelmChart", json!({"sourceRef": {"kind": "Bucket"}}))[0].contains("Buckets"));
        assert!(of("OCIRepository", json!({"provider": "aws"}))[0].contains("\"aws\""));
        assert!(of("HelmRepository", json!({"provider": "aws", "type": "oci"}))[0].contains("\"aws\""));
        for (kind, spec) in [
            ("OCIRepository", json!({"provider": "generic"})),
            ("HelmRepository", json!({"provider": "aws", "type": "oci", "secretRef": {"name": "s"}})),
            ("HelmChart", json!({"sourceRef": {"kind": "GitRepository"}})),
            ("HelmRelease", json!({})),
        ] {
            assert_eq!(of(kind, spec), Vec::<String>::new(), "{kind}");
        }
    }
}
