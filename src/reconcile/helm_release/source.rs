//! Where the chart comes from: the HelmChart that is made of a template, or the source that chartRef names; and the chart
//! itself.
//!
//! Start with [`reconcile_template`] and [`load`]. Source: helm-controller internal/reconcile/helmchart_template.go,
//! internal/controller (getSource, isReady, mutateChartWithSourceRevision).

use std::time::Duration;

use serde_json::json;

use super::super::{Cause, Context, Failure, Run, Severity};
use crate::base::{Condition, Digest, Id, Value, format_duration};
use crate::cluster::{Apply, Precondition, Propagation};
use crate::engine::chart::Chart;
use crate::kinds::helm_release::{ChartTemplate, OWNER_NAME, OWNER_NAMESPACE};
use crate::kinds::meta::Artifact;
use crate::kinds::{HelmRelease, git_repository};
use crate::outside::download::{FetchError, Retry, fetch_bytes};

/// Who makes the HelmChart.
const MANAGER: &str = "helm-controller";

/// A loaded chart.
pub struct Loaded {
    pub chart: Chart,
    /// The digest of the OCI artifact it came in.
    pub oci_digest: Option<String>,
}

/// Makes, changes or takes away the HelmChart of a release, so that it is what the template says.
///
/// Errors as a retry when the cluster does not take it.
pub async fn reconcile_template(cx: &Context, object: &mut HelmRelease, run: &mut Run) -> Result<(), Failure> {
    let wanted = object.chart_id();
    let name = |id: &Id| format!("{}/{}", id.namespace, id.name);
    let known = object.status.as_ref().and_then(|status| status.helm_chart.clone());
    if known.is_some() && known != wanted.as_ref().map(name) {
        delete_template(cx, object, run).await?;
    }
    let (Some(id), Some(template)) = (wanted, object.spec.chart.clone()) else { return Ok(()) };
    let document = document(&id, &template, object);
    let live = cx.cluster.get(&id).await.map_err(|error| sync_failed(&error.to_string()))?;
    let how = Apply { manager: MANAGER, force: true, dry_run: false };
    let before = live.as_ref().map(|live| live["metadata"]["resourceVersion"].clone());
    let applied = cx.cluster.apply(&document, &how).await.map_err(|error| sync_failed(&error.to_string()))?;
    let (reason, word) = match before {
        None => ("HelmChartCreated", "created"),
        Some(version) if version != applied["metadata"]["resourceVersion"] => ("HelmChartConfigured", "configured"),
        Some(_) => ("", ""),
    };
    if !reason.is_empty() {
        let source = &template.spec.source_ref;
        let message = format!("{id} {word} with SourceRef '{}/{}/{}'", source.kind, id.namespace, source.name);
        run.event(Severity::Trace, reason, &message, &[]).await;
    }
    object.status.get_or_insert_default().helm_chart = Some(name(&id));
    Ok(())
}

/// Deletes the HelmChart that was made before.
///
/// Errors as a retry when the cluster does not take it.
pub async fn delete_template(cx: &Context, object: &mut HelmRelease, run: &mut Run) -> Result<(), Failure> {
    let status = object.status.get_or_insert_default();
    let Some(known) = status.helm_chart.clone() else { return Ok(()) };
    if let Some((namespace, name)) = known.split_once('/') {
        let id = Id::new(git_repository::GROUP, "HelmChart", namespace, name);
        let deleted = cx.cluster.delete(&id, Propagation::Background, &Precondition::default()).await;
        let deleted =
            deleted.map_err(|error| sync_failed(&format!("failed to delete HelmChart '{known}': {error}")))?;
        if deleted {
            run.event(Severity::Trace, "HelmChartDeleted", &format!("deleted HelmChart '{known}'"), &[]).await;
        }
    }
    status.helm_chart = None;
    Ok(())
}

fn sync_failed(message: &str) -> Failure {
    Failure::Retry(Cause::new("HelmChartSyncErr", message))
}

fn document(id: &Id, template: &ChartTemplate, object: &HelmRelease) -> Value {
    let spec = &template.spec;
    let mut chart = json!({
        "chart": spec.chart,
        "interval": spec.interval.as_ref().unwrap_or(&object.spec.interval),
        "sourceRef": {"kind": spec.source_ref.kind, "name": spec.source_ref.name},
    });
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            chart[key] = value;
        }
    };
    put("version", spec.version.clone().map(Value::from));
    put("reconcileStrategy", spec.reconcile_strategy.map(|strategy| json!(strategy)));
    put("valuesFiles", (!spec.values_files.is_empty()).then(|| spec.values_files.clone().into()));
    put("ignoreMissingValuesFiles", spec.ignore_missing_values_files.map(Value::from));
    put("verify", spec.verify.as_ref().and_then(|verify| serde_json::to_value(verify).ok()));
    let metadata = template.metadata.clone().unwrap_or_default();
    let mut labels = metadata.labels;
    labels.insert(OWNER_NAME.into(), object.metadata.name.clone().unwrap_or_default());
    labels.insert(OWNER_NAMESPACE.into(), object.own_namespace().into());
    let mut about = json!({"name": &*id.name, "namespace": &*id.namespace, "labels": labels});
    if !metadata.annotations.is_empty() {
        about["annotations"] = json!(metadata.annotations);
    }
    json!({"apiVersion": format!("{}/v1", git_repository::GROUP), "kind": "HelmChart", "metadata": about, "spec": chart})
}

/// The source with its artifact.
///
/// Errors as waiting while it is not ready, as a retry while it is not there.
pub async fn find(cx: &Context, object: &HelmRelease) -> Result<(Id, Artifact), Failure> {
    let id = match (&object.spec.chart_ref, object.chart_id()) {
        (Some(reference), _) => {
            let group = reference.api_version.as_deref().and_then(|version| version.split_once('/'));
            let group = group.map_or(git_repository::GROUP, |(group, _)| group);
            let namespace = reference.namespace.as_deref().unwrap_or(object.own_namespace());
            Id::new(group, &reference.kind, namespace, &reference.name)
        }
        (None, Some(id)) => id,
        (None, None) => return Err(Failure::Stalled(Cause::new("ArtifactFailed", "the spec names no chart"))),
    };
    let failed = |message: String| Failure::Retry(Cause::new("ArtifactFailed", message));
    let document = match cx.cluster.get(&id).await {
        Ok(Some(document)) => document,
        Ok(None) => return Err(failed(format!("could not get Source object: {id} not found"))),
        Err(error) => return Err(failed(format!("could not get Source object: {error}"))),
    };
    let artifact = document.pointer("/status/artifact").filter(|artifact| !artifact.is_null()).cloned();
    let artifact = artifact.and_then(|artifact| serde_json::from_value::<Artifact>(artifact).ok());
    let why = not_ready(&document);
    match (why, artifact) {
        (None, Some(artifact)) => Ok((id, artifact)),
        (why, _) => {
            let why = why.unwrap_or_else(|| "does not have an artifact".into());
            let message = format!("{} '{}/{}' is not ready: {why}", id.kind, id.namespace, id.name);
            Err(Failure::Waiting(Cause::new("SourceNotReady", message), cx.options.requeue_dependency))
        }
    }
}

/// Why a source is not to be used; an ExternalArtifact has nobody who says so.
fn not_ready(document: &Value) -> Option<String> {
    if document["kind"] == "ExternalArtifact" {
        return None;
    }
    let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_i64);
    if number("/metadata/generation") != number("/status/observedGeneration") {
        let told = Condition::find(document, "Ready").filter(|ready| ready.status == "False");
        let message = told.map(|ready| ready.message);
        return Some(message.unwrap_or_else(|| "latest generation of object has not been reconciled".into()));
    }
    Condition::find(document, "Stalled").filter(|stalled| stalled.status == "True").map(|stalled| stalled.message)
}

/// The chart in a source's artifact.
///
/// Errors as waiting when the artifact is gone, else as a retry.
pub async fn load(cx: &Context, id: &Id, artifact: &Artifact, timeout: Duration) -> Result<Loaded, Failure> {
    let failed =
        |message: String| Failure::Retry(Cause::new("ArtifactFailed", format!("could not load chart: {message}")));
    let digest: Digest = artifact.digest.parse().map_err(failed)?;
    let bytes = match cx.artifacts.read(&artifact.path).await {
        Ok(bytes) if Digest::sha256(&bytes) == digest => bytes,
        _ => fetched(cx, id, artifact, &digest, timeout).await?,
    };
    let work = tokio::task::spawn_blocking(move || Chart::load_archive(&bytes));
    let chart = work.await.map_err(|panic| failed(format!("internal error, please report it: {panic}")))?;
    let mut chart = chart.map_err(|error| failed(error.to_string()))?;
    let missing = chart.missing_dependencies();
    if !missing.is_empty() {
        return Err(failed(format!("the charts it depends on are not in it: {}", missing.join(", "))));
    }
    let oci_digest = track_digest(&mut chart, id, &artifact.revision)
        .map_err(|message| Failure::Retry(Cause::new("ChartMutateError", message)))?;
    Ok(Loaded { chart, oci_digest })
}

async fn fetched(
    cx: &Context,
    id: &Id,
    artifact: &Artifact,
    digest: &Digest,
    timeout: Duration,
) -> Result<Vec<u8>, Failure> {
    let retry = Retry { first_pause: Duration::from_millis(500), timeout: Duration::from_secs(30), ..Retry::default() };
    let failed = |message: String| Failure::Retry(Cause::new("ArtifactFailed", format!("{id}: {message}")));
    match tokio::time::timeout(timeout, fetch_bytes(&cx.client, &artifact.url, digest, &retry)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(FetchError::Missing { .. })) => {
            let pause = cx.options.requeue_dependency;
            let message = format!("Source not ready: artifact not found. Retrying in {}", format_duration(pause));
            Err(Failure::Waiting(Cause::new("ArtifactFailed", message), pause))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("the artifact did not come within {}", format_duration(timeout)))),
    }
}

/// Adds the digest of an OCI artifact to the chart's version, so that a tag that moved is noticed.
fn track_digest(chart: &mut Chart, id: &Id, revision: &str) -> Result<Option<String>, String> {
    let has_digest = &*id.kind == "OCIRepository" || (&*id.kind == "ExternalArtifact" && revision.contains(':'));
    if !has_digest {
        return Ok(None);
    }
    let written = chart.metadata.version.clone();
    let version = semver::Version::parse(written.trim_start_matches('v'))
        .map_err(|_| format!("invalid chart version {written}"))?;
    let tag = revision.split('@').next().unwrap_or_default().replace('_', "+");
    let digest = match semver::Version::parse(tag.trim_start_matches('v')) {
        Ok(tagged) => {
            let same = (tagged.major, tagged.minor, tagged.patch, &tagged.pre)
                == (version.major, version.minor, version.patch, &version.pre);
            let digest = revision.split_once('@').map(|(_, digest)| digest);
            match digest {
                Some(digest) if same => digest,
                _ => return Err(format!("artifact revision {tag} does not match chart version {written}")),
            }
        }
        Err(_) => revision.split_once('@').map_or(revision, |(_, digest)| digest),
    };
    let hex = digest.split_once(':').map(|(_, hex)| hex).filter(|hex| hex.len() >= 12 && hex.is_ascii());
    let hex = hex.ok_or_else(|| format!("invalid artifact revision {revision}"))?;
    let plain = written.split('+').next().unwrap_or_default().trim_start_matches('v');
    chart.metadata.version = format!("{plain}+{}", &hex[..12]);
    Ok(Some(digest.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_an_artifact_becomes_part_of_the_version() {
        let hex = "0123456789abcdef0123";
        let id = |kind: &str| Id::new(git_repository::GROUP, kind, "a", "b");
        let track = |kind: &str, revision: &str| {
            let mut chart = Chart::default();
            chart.metadata.version = "1.2.3+old".into();
            track_digest(&mut chart, &id(kind), revision).map(|digest| (chart.metadata.version, digest))
        };
        let with = |digest: &str| Ok(("1.2.3+0123456789ab".to_owned(), Some(digest.to_owned())));
        let digest = format!("sha256:{hex}");
        assert_eq!(track("OCIRepository", &format!("1.2.3@{digest}")), with(&digest));
        assert_eq!(track("OCIRepository", &format!("latest@{digest}")), with(&digest));
        assert_eq!(track("OCIRepository", &digest), with(&digest));
        assert!(track("OCIRepository", &format!("1.2.4@{digest}")).is_err());
        assert!(track("OCIRepository", "1.2.3").is_err());
        assert_eq!(track("HelmChart", "1.2.3"), Ok(("1.2.3+old".into(), None)));
        assert_eq!(track("ExternalArtifact", "1.2.3"), Ok(("1.2.3+old".into(), None)));
    }
}
