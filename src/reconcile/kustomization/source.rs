//! Where the manifests come from: the source object, its artifact, and the files in it.
//!
//! The artifact's digest is checked before anything of it is read. Start with [`find`].
//! Source: kustomize-controller's getSource and fluxcd/pkg artifact/fetch.

use std::time::Duration;

use super::super::{Cause, Context, Failure};
use super::decide::Plan;
use crate::base::{Digest, FileTree, Id, Value, format_duration};
use crate::engine::archive;
use crate::kinds::meta::{Artifact, KindReference};
use crate::kinds::{Kustomization, git_repository};
use crate::outside::download::{FetchError, Retry, fetch_artifact};

/// A source with an artifact.
#[derive(Clone, Debug)]
pub struct Source {
    pub id: Id,
    pub revision: String,
    /// What an OCI artifact was made from.
    pub origin_revision: Option<String>,
    pub artifact: Artifact,
}

/// The source that a Kustomization names.
pub fn id(object: &Kustomization) -> Id {
    let reference = &object.spec.source_ref;
    let own = object.metadata.namespace.as_deref().unwrap_or_default();
    let namespace = reference.namespace.as_deref().unwrap_or(own);
    Id::new(group_of(reference.api_version.as_deref()), &reference.kind, namespace, &reference.name)
}

/// Reads the source live.
///
/// Errors as waiting while it has no artifact, and with the retry interval when it is not there.
pub async fn find(cx: &Context, object: &Kustomization, plan: &Plan) -> Result<Source, Failure> {
    let id = id(object);
    let document = match cx.cluster.get(&id).await {
        Ok(Some(document)) => document,
        Ok(None) => return Err(plan.failure("ArtifactFailed", format!("source {id} not found"))),
        Err(error) => return Err(plan.failure("ArtifactFailed", format!("source {id} cannot be read: {error}"))),
    };
    let artifact = document.pointer("/status/artifact").cloned().unwrap_or_default();
    match serde_json::from_value::<Artifact>(artifact) {
        Ok(artifact) if !artifact.revision.is_empty() => Ok(Source {
            id,
            revision: artifact.revision.clone(),
            origin_revision: artifact.metadata.get("org.opencontainers.image.revision").cloned(),
            artifact,
        }),
        _ => Err(not_there(cx, &format!("source {id} has no artifact yet"))),
    }
}

/// The files of a source's artifact, whose digest is checked before anything is unpacked.
///
/// Errors as waiting when the artifact is gone (the source makes a new one), else with the retry interval.
pub async fn fetch(cx: &Context, source: &Source, plan: &Plan) -> Result<FileTree, Failure> {
    let failure = |message: String| plan.failure("ArtifactFailed", format!("{}: {message}", source.id));
    let digest: Digest = source.artifact.digest.parse().map_err(failure)?;
    if let Some(tree) = stored(cx, &source.artifact.path, &digest).await {
        return Ok(tree);
    }
    let retry = Retry { first_pause: Duration::from_millis(500), timeout: plan.timeout, ..Retry::default() };
    let fetched = fetch_artifact(&cx.client, &source.artifact.url, &digest, &retry);
    match tokio::time::timeout(plan.timeout, fetched).await {
        Ok(Ok(tree)) => Ok(tree),
        Ok(Err(FetchError::Missing { .. })) => {
            Err(not_there(cx, &format!("the artifact of {} is not there (any more)", source.id)))
        }
        Ok(Err(error)) => Err(failure(error.to_string())),
        Err(_) => Err(failure(format!("the artifact did not come within {}", format_duration(plan.timeout)))),
    }
}

/// The artifact out of weir's own storage, when it lies there: no way is shorter, and no port can have changed.
async fn stored(cx: &Context, path: &str, wanted: &Digest) -> Option<FileTree> {
    let bytes = cx.artifacts.read(path).await.ok()?;
    let wanted = wanted.clone();
    let unpacked = tokio::task::spawn_blocking(move || {
        let is_same = Digest::sha256(&bytes) == wanted;
        is_same.then(|| archive::unpack(&bytes, &archive::Unpack::default()).ok()).flatten()
    });
    unpacked.await.ok().flatten()
}

fn not_there(cx: &Context, what: &str) -> Failure {
    let pause = cx.options.requeue_dependency;
    Failure::Waiting(Cause::new("ArtifactFailed", format!("{what}, asking again in {}", format_duration(pause))), pause)
}

/// The source of another Kustomization's document.
pub fn id_of_reference(document: &Value) -> Option<Id> {
    let reference = document.pointer("/spec/sourceRef")?;
    let text = |key: &str| reference.get(key).and_then(Value::as_str);
    let own = document.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let namespace = text("namespace").filter(|namespace| !namespace.is_empty()).unwrap_or(own);
    Some(Id::new(group_of(text("apiVersion")), text("kind")?, namespace, text("name")?))
}

/// The id that a health check names; its namespace is the object's own when absent.
pub fn id_of_kind_reference(check: &KindReference, own: &str) -> Id {
    let group = check.api_version.as_deref().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
    Id::new(group, &check.kind, check.namespace.as_deref().unwrap_or(own), &check.name)
}

fn group_of(api_version: Option<&str>) -> &str {
    let group = api_version.and_then(|version| version.split_once('/')).map(|(group, _)| group);
    group.filter(|group| !group.is_empty()).unwrap_or(git_repository::GROUP)
}
