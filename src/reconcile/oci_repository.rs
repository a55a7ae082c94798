//! OCIRepository: from a tag, range or digest to one layer as an artifact, and nothing at all when nothing changed.
//!
//! The registry is asked what a tag points at; only another digest, or other wishes, are a pull. Logins come from a
//! Secret and from a service account's pull secrets. Start with [`OciRepositories`].
//!
//! Source: source-controller internal/controller/ocirepository_controller.go. Left out and refused with a sentence:
//! signature verification and the cloud providers' tokens.

use std::collections::BTreeMap;

use super::run::Severity;
use super::storage::{
    self, FETCH_FAILED, IN_STORAGE, New, OUTDATED, STORAGE_FAILED, TIMEOUT, duration, failed_before, mark,
};
use super::{Cause, Context, Failure, Next, Reconciler, Run, secrets};
use crate::base::{Digest, Id, Revision, Value};
use crate::engine::archive::{self, Unpack};
use crate::engine::ignore;
use crate::engine::semver_range::{Range, parse_version};
use crate::kinds::OCIRepository;
use crate::kinds::meta::Artifact;
use crate::kinds::oci_repository::{LayerOperation, LayerSelector, OCIRepositorySpec, OciReference};
use crate::outside::artifacts;
use crate::outside::http::{Settings, bare};
use crate::outside::oci::{Access, CHART_LAYER, Logins, Manifest, OciError, Registry, Repository, is_tag};

/// Conditions whose truth is a failure.
const FAILURES: &[&str] = &[FETCH_FAILED, STORAGE_FAILED];
/// Bytes of one layer.
const LAYER_BYTES: u64 = 1 << 30;

/// Reconciles OCIRepository objects.
#[derive(Clone, Copy, Debug)]
pub struct OciRepositories;

impl Reconciler for OciRepositories {
    type Object = OCIRepository;

    async fn reconcile(&self, cx: &Context, object: &mut OCIRepository, run: &mut Run) -> Result<Next, Failure> {
        let interval = duration(&object.spec.interval)?;
        let recovers = failed_before(object, FAILURES);
        storage::look_at(cx, object, run).await?;
        let provider = object.spec.provider.clone();
        storage::refuse_provider(object, run, provider.as_deref())?;
        let wanted = object.spec.verify.is_some();
        storage::refuse_verification(object, run, wanted)?;
        let registry = match registry(cx, &object.spec, &run.id().namespace).await {
            Ok(registry) => registry,
            Err(failure) => return Err(mark(object, run, FETCH_FAILED, failure)),
        };
        let revision = match revision(&registry, &object.spec).await {
            Ok(revision) => revision,
            Err(failure) => return Err(mark(object, run, FETCH_FAILED, failure)),
        };
        let known = object.status.as_ref().and_then(|status| status.artifact.clone());
        if let Some(artifact) =
            known.as_ref().filter(|it| it.revision == revision.to_string() && is_as_observed(object))
        {
            let message = format!("artifact up-to-date with remote revision: '{revision}'");
            run.event(Severity::Trace, "ArtifactUpToDate", &message, &[]).await;
            settle(object, run, artifact, recovers, false).await;
            return Ok(Next::After(interval));
        }
        let message = format!("new revision '{revision}' for '{}'", bare(&object.spec.url));
        if known.is_some() {
            run.set_condition(object, OUTDATED, "True", "NewRevision", &message);
        }
        run.progress(format!("building artifact: {message}"));
        let (annotations, bytes) = self.pull(object, run, &registry, &revision).await?;
        run.unset_condition(object, FETCH_FAILED);
        let hex = revision.digest.as_ref().map(|digest| digest.hex.clone()).unwrap_or_default();
        let file = format!("{hex}.tar.gz");
        let new = New { file, link: artifacts::LATEST, revision: revision.to_string(), bytes };
        let mut artifact = storage::keep(cx, object, run, new).await?;
        artifact.metadata = annotations;
        observe(object, &artifact);
        let is_new = known.is_none_or(|known| known.digest != artifact.digest);
        settle(object, run, &artifact, recovers, is_new).await;
        Ok(Next::After(interval))
    }

    async fn finalize(&self, cx: &Context, object: &mut OCIRepository, run: &mut Run) -> Result<(), Failure> {
        storage::sweep(cx, object, run).await
    }
}

impl OciRepositories {
    /// Pulls the layer that is wanted and makes of it what is wanted.
    async fn pull(
        &self,
        object: &mut OCIRepository,
        run: &Run,
        registry: &Registry,
        revision: &Revision,
    ) -> Result<(BTreeMap<String, String>, Vec<u8>), Failure> {
        let Some(digest) = revision.digest.clone() else {
            let cause = Cause::new("OCIArtifactPullFailed", format!("revision '{revision}' has no digest"));
            return Err(mark(object, run, FETCH_FAILED, Failure::Retry(cause)));
        };
        let manifest = match registry.manifest(&digest).await {
            Ok(manifest) => manifest,
            Err(error) => {
                let failure =
                    pull_failed(&error, &format!("failed to pull artifact from '{}'", bare(&object.spec.url)));
                return Err(mark(object, run, FETCH_FAILED, failure));
            }
        };
        let layered = |why: String| Failure::Retry(Cause::new("OCIArtifactLayerOperationFailed", why));
        let selector = object.spec.layer_selector.clone().unwrap_or_default();
        let layer = match select(&manifest, &selector) {
            Ok(layer) => layer,
            Err(why) => return Err(mark(object, run, FETCH_FAILED, layered(why))),
        };
        let blob = match registry.blob(layer, LAYER_BYTES).await {
            Ok(blob) => blob,
            Err(error) => {
                let failure =
                    pull_failed(&error, &format!("failed to pull artifact from '{}'", bare(&object.spec.url)));
                return Err(mark(object, run, FETCH_FAILED, failure));
            }
        };
        if selector.operation == Some(LayerOperation::Copy) {
            return Ok((manifest.annotations, blob));
        }
        let ignore = object.spec.ignore.clone();
        let repacked = tokio::task::spawn_blocking(move || {
            let tree = archive::unpack(&blob, &Unpack::default()).map_err(|error| error.to_string())?;
            let rules = ignore::Rules::of(&tree, ignore.as_deref());
            Ok::<_, String>(archive::pack_with_directories(&rules.filter(&tree), rules.directories(&tree)))
        });
        match repacked.await.map_err(|error| error.to_string()).and_then(|repacked| repacked) {
            Ok(bytes) => Ok((manifest.annotations, bytes)),
            Err(why) => {
                let why = format!("failed to extract layer contents from artifact: {why}");
                Err(mark(object, run, FETCH_FAILED, layered(why)))
            }
        }
    }
}

fn select<'a>(manifest: &'a Manifest, selector: &LayerSelector) -> Result<&'a crate::outside::oci::Descriptor, String> {
    match (manifest.layer(selector.media_type.as_deref().filter(|it| !it.is_empty())), &selector.media_type) {
        (Some(layer), _) => Ok(layer),
        (None, Some(media_type)) if !manifest.layers.is_empty() => {
            Err(format!("failed to find layer with media type '{media_type}' in artifact"))
        }
        (None, _) => Err("no layers found in artifact".into()),
    }
}

/// The way to the repository.
///
/// Errors as stalled when the URL can never work, as retry when a Secret is missing or incomplete.
pub(super) async fn registry(cx: &Context, spec: &OCIRepositorySpec, namespace: &str) -> Result<Registry, Failure> {
    let invalid = |error: &OciError| {
        let message = format!("URL validation failed for '{}': {error}", bare(&spec.url));
        Failure::Stalled(Cause::new("URLInvalid", message))
    };
    let repository = Repository::parse(&spec.url).map_err(|error| invalid(&error))?;
    let mut settings = Settings { egress: storage::egress(cx), ..Settings::default() };
    let usable = |name: &str| {
        let place = format!("{namespace}/{name}");
        move |why: String| secrets::failed(format!("secret '{place}': {why}"))
    };
    if let Some(reference) = &spec.cert_secret_ref {
        let data = secrets::read(cx, namespace, &reference.name).await?;
        settings.ca = secrets::ca(&data).map_err(usable(&reference.name))?;
        settings.certificate = secrets::certificate(&data).map_err(usable(&reference.name))?;
    }
    if let Some(reference) = &spec.proxy_secret_ref {
        let data = secrets::read(cx, namespace, &reference.name).await?;
        settings.proxy = Some(secrets::proxy(&data).map_err(usable(&reference.name))?);
    }
    let mut logins = Logins::default();
    let named = spec.secret_ref.iter().map(|reference| reference.name.clone());
    for name in named.chain(pull_secrets(cx, spec, namespace).await?) {
        let data = secrets::read(cx, namespace, &name).await?;
        let config = data.get(".dockerconfigjson").ok_or_else(|| {
            usable(&name)("it has no .dockerconfigjson; make it of type kubernetes.io/dockerconfigjson".into())
        })?;
        logins.join(Logins::parse(config).map_err(usable(&name))?);
    }
    let access = Access {
        settings,
        login: logins.of(&repository),
        insecure: spec.insecure == Some(true),
        timeout: spec.timeout.as_deref().map_or(Ok(TIMEOUT), duration)?,
    };
    Registry::new(repository, &access).map_err(|error| secrets::failed(error.to_string()))
}

/// The names of the pull secrets of the service account, if one is named.
async fn pull_secrets(cx: &Context, spec: &OCIRepositorySpec, namespace: &str) -> Result<Vec<String>, Failure> {
    let Some(account) = spec.service_account_name.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(Vec::new());
    };
    let id = Id::new("", "ServiceAccount", namespace, account);
    let document = match cx.cluster.get(&id).await {
        Ok(Some(document)) => document,
        Ok(None) => return Err(secrets::failed(format!("service account '{namespace}/{account}' does not exist"))),
        Err(error) => return Err(secrets::failed(format!("service account '{namespace}/{account}': {error}"))),
    };
    let names = document.get("imagePullSecrets").and_then(Value::as_array).into_iter().flatten();
    Ok(names.filter_map(|entry| entry.get("name")?.as_str().map(str::to_owned)).collect())
}

/// What the reference means now.
async fn revision(registry: &Registry, spec: &OCIRepositorySpec) -> Result<Revision, Failure> {
    let none = OciReference::default();
    let wanted = spec.reference.as_ref().unwrap_or(&none);
    let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    if let Some(digest) = text(&wanted.digest) {
        let digest = digest.parse::<Digest>();
        let digest = digest.map_err(|why| Failure::Stalled(Cause::new("URLInvalid", why)))?;
        return Ok(Revision { pointer: String::new(), digest: Some(digest) });
    }
    let tag = match (text(&wanted.semver), text(&wanted.tag)) {
        (Some(range), _) => {
            let tags = registry.tags().await;
            let tags = tags.map_err(|e| undetermined(&spec.url, &e.to_string(), e.is_authentication()))?;
            let chosen = choose(tags, &range, wanted.semver_filter.as_deref(), is_chart(spec));
            chosen.map_err(|why| undetermined(&spec.url, &why, false))?
        }
        (None, Some(tag)) => tag,
        (None, None) => "latest".into(),
    };
    if !is_tag(&tag) {
        return Err(Failure::Stalled(Cause::new("URLInvalid", format!("{tag:?} is not a tag"))));
    }
    match registry.resolve(&tag).await {
        Ok(digest) => Ok(Revision { pointer: tag, digest: Some(digest) }),
        Err(error) => Err(pull_failed(&error, "failed to determine artifact digest")),
    }
}

fn is_chart(spec: &OCIRepositorySpec) -> bool {
    spec.layer_selector.as_ref().and_then(|selector| selector.media_type.as_deref()) == Some(CHART_LAYER)
}

/// The tag of the highest version in a range; charts write `_` for `+`.
fn choose(tags: Vec<String>, range: &str, filter: Option<&str>, is_chart: bool) -> Result<String, String> {
    let wanted: Range = range.parse().map_err(|error| format!("{error}"))?;
    let filter = match filter.filter(|filter| !filter.is_empty()) {
        Some(text) => Some(regex::Regex::new(text).map_err(|_| format!("semverFilter {text:?} is not a pattern"))?),
        None => None,
    };
    let fits = |tag: &String| filter.as_ref().is_none_or(|filter| filter.is_match(tag));
    let version = |tag: &str| match is_chart {
        true => parse_version(&tag.replace('_', "+")),
        false => parse_version(tag),
    };
    let versions = tags.into_iter().filter(fits).filter_map(|tag| Some((version(&tag)?, tag)));
    let best = wanted.highest(versions);
    best.into_iter().next().map(|(_, tag)| tag).ok_or_else(|| format!("no match found for semver: {range}"))
}

fn undetermined(url: &str, why: &str, is_authentication: bool) -> Failure {
    let reason = if is_authentication { "AuthenticationFailed" } else { "ReadOperationFailed" };
    Failure::Retry(Cause::new(reason, format!("failed to determine the artifact tag for '{}': {why}", bare(url))))
}

fn pull_failed(error: &OciError, what: &str) -> Failure {
    let reason = if error.is_authentication() { "AuthenticationFailed" } else { "OCIArtifactPullFailed" };
    Failure::Retry(Cause::new(reason, format!("{what}: {error}")))
}

/// Whether everything that shapes an artifact besides the digest is as it was.
fn is_as_observed(object: &OCIRepository) -> bool {
    let status = object.status.clone().unwrap_or_default();
    object.spec.ignore == status.observed_ignore && object.spec.layer_selector == status.observed_layer_selector
}

/// Writes down what was stored and from which wishes.
fn observe(object: &mut OCIRepository, artifact: &Artifact) {
    let (ignore, selector) = (object.spec.ignore.clone(), object.spec.layer_selector.clone());
    let status = object.status.get_or_insert_default();
    status.artifact = Some(artifact.clone());
    status.observed_ignore = ignore;
    status.observed_layer_selector = selector;
}

/// Ends a good run: conditions, and an event when the artifact is new or the run before had failed.
async fn settle(object: &mut OCIRepository, run: &mut Run, artifact: &Artifact, recovers: bool, is_new: bool) {
    for failure in FAILURES.iter().chain([&OUTDATED]) {
        run.unset_condition(object, failure);
    }
    let message = format!("stored artifact for digest '{}'", artifact.revision);
    run.set_condition(object, IN_STORAGE, "True", "Succeeded", &message);
    run.ready("Succeeded", &message);
    run.note("revision", &artifact.revision);
    run.note("digest", &artifact.digest);
    if !is_new && !recovers {
        return;
    }
    let mut message =
        format!("stored artifact with revision '{}' from '{}'", artifact.revision, bare(&object.spec.url));
    let origin = |key: &str| artifact.metadata.get(&format!("org.opencontainers.image.{key}"));
    if let Some(source) = origin("source") {
        message += &format!(", origin source '{source}'");
    }
    if let Some(revision) = origin("revision") {
        message += &format!(", origin revision '{revision}'");
    }
    run.event(Severity::Info, if is_new { "NewArtifact" } else { "Succeeded" }, &message, &[]).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_tag_of_the_range_that_passes_the_filter_is_chosen() {
        let tags = || ["latest", "1.0.0", "v1.4.0", "1.3.0-rc.1", "1.2.0_build", "2.0.0"].map(str::to_owned).to_vec();
        let pick = |range: &str, filter: Option<&str>, chart: bool| choose(tags(), range, filter, chart);
        assert_eq!(pick("1.x", None, false).as_deref(), Ok("v1.4.0"));
        assert_eq!(pick("1.x", Some("^[^v]"), false).as_deref(), Ok("1.0.0"));
        assert_eq!(pick("1.x", Some("^[^v]"), true).as_deref(), Ok("1.2.0_build"));
        assert_eq!(pick("1.x-0", Some("-rc"), false).as_deref(), Ok("1.3.0-rc.1"));
        assert_eq!(pick("3.x", None, false), Err("no match found for semver: 3.x".into()));
        assert!(pick("1.x", Some("("), false).is_err() && pick("x.y.z.", None, false).is_err());
    }
}
