//! ImageRepository: lists the tags of an image when it is time to, and keeps them where policies find them.
//!
//! Most runs ask nobody: a scan happens the first time, when something asks for it or changed, when the tags are lost,
//! and when the interval is over. Start with [`ImageRepositories`]; how a registry is reached is in `oci_repository`.
//!
//! Source: image-reflector-controller internal/controller/imagerepository_controller.go. Left out and refused with a
//! sentence: the cloud providers' tokens. Deliberate difference: a registry that says 429 is left alone for as long as it
//! asks for, else for a minute and then ever longer.

use std::time::Duration;

use super::oci_repository;
use super::run::Severity;
use super::{Cause, Context, Failure, Next, Reconciler, Run, summary};
use crate::base::{Condition, Stamp, parse_duration};
use crate::engine::go_regex;
use crate::kinds::ImageRepository;
use crate::kinds::image_repository::{ImageRepositorySpec, ImageRepositoryStatus, ScanResult};
use crate::kinds::meta::REQUESTED_AT;
use crate::kinds::oci_repository::OCIRepositorySpec;
use crate::outside::oci::{OciError, Registry, Repository};
use crate::outside::tags::Listed;

/// How many tags status shows.
const SHOWN: usize = 10;
/// How long a registry is first left alone that has had enough and does not say for how long.
const REST: Duration = Duration::from_secs(60);

/// Reconciles ImageRepository objects.
#[derive(Clone, Copy, Debug)]
pub struct ImageRepositories;

impl Reconciler for ImageRepositories {
    type Object = ImageRepository;

    async fn reconcile(&self, cx: &Context, object: &mut ImageRepository, run: &mut Run) -> Result<Next, Failure> {
        let interval = duration(&object.spec.interval)?;
        if let Some(provider) = object.spec.provider.as_deref().filter(|name| !matches!(*name, "" | "generic")) {
            let message = format!("provider {provider:?} is not supported yet; use a secret with the generic provider");
            return Err(Failure::Stalled(Cause::new("InvalidProviderConfiguration", message)));
        }
        let repository = repository(&object.spec.image)?;
        let image = canonical(&repository);
        let before = ready_message(object.status.as_ref().map_or(&[], |status| &status.conditions));
        let now = Stamp(jiff::Timestamp::now().as_second());
        let has_tags = {
            let known = cx.tags.get(&run.id().namespace, &run.id().name, &image).await;
            known.is_some_and(|listed| !listed.tags.is_empty())
        };
        let (why, wait) = due(object, &image, has_tags, interval, now);
        if let Some(why) = why {
            run.progress(format!("scanning: {why}"));
            let tags = list(cx, &object.spec, &run.id().namespace).await?;
            let (count, latest) = (tags.len(), tags.iter().take(SHOWN).cloned().collect());
            let listed = Listed { image: image.clone(), tags, created: Default::default() };
            let kept = cx.tags.set(&run.id().namespace, &run.id().name, listed).await;
            let revision = kept.map_err(|error| {
                failed("ReadOperationFailed", format!("scan failed: failed to set tags for {image:?}: {error}"))
            })?;
            let status = object.status.get_or_insert_default();
            status.last_scan_result = Some(ScanResult {
                revision: revision.to_string(),
                tag_count: i64::try_from(count).unwrap_or(i64::MAX),
                scan_time: now.to_string(),
                latest_tags: latest,
            });
        }
        let exclusions = object.spec.exclusions();
        let status = object.status.get_or_insert_default();
        status.canonical_image_name = Some(image);
        status.observed_exclusion_list = exclusions;
        settle(status, run, before.as_deref(), why.is_some()).await;
        Ok(Next::After(wait))
    }

    async fn finalize(&self, cx: &Context, _object: &mut ImageRepository, run: &mut Run) -> Result<(), Failure> {
        let removed = cx.tags.remove(&run.id().namespace, &run.id().name).await;
        removed.map_err(|error| failed("Failure", format!("the tags cannot be removed: {error}")))
    }
}

/// Lists the tags of an image, without what is excluded, in descending order.
///
/// Errors with Flux's reasons.
pub(super) async fn list(cx: &Context, spec: &ImageRepositorySpec, namespace: &str) -> Result<Vec<String>, Failure> {
    let registry = registry(cx, spec, namespace).await?;
    let tags = registry.tags().await.map_err(|error| scan_failed(&error))?;
    let exclusions = spec.exclusions();
    let kept = tokio::task::spawn_blocking(move || without(tags, &exclusions)).await;
    let kept = kept.map_err(|error| failed("Failure", error.to_string()))?;
    kept.map_err(|why| failed("ReadOperationFailed", format!("scan failed: {why}")))
}

/// Ends a good run; news is told, the rest is only traced.
async fn settle(status: &ImageRepositoryStatus, run: &mut Run, before: Option<&str>, has_scanned: bool) {
    let found = status.last_scan_result.clone().unwrap_or_default();
    let message = format!("successful scan: found {} tags with checksum {}", found.tag_count, found.revision);
    run.ready("Succeeded", &message);
    match (before == Some(message.as_str()), has_scanned) {
        (false, _) => run.event(Severity::Info, "Succeeded", &message, &[]).await,
        (true, true) => run.event(Severity::Trace, "Succeeded", "tags did not change", &[]).await,
        (true, false) => {
            let message = "no change in repository configuration since last scan";
            run.event(Severity::Trace, "Succeeded", message, &[]).await;
        }
    }
}

/// What Ready said when the run began.
pub(super) fn ready_message(conditions: &[Condition]) -> Option<String> {
    summary::find(conditions, "Ready").filter(|ready| ready.status == "True").map(|ready| ready.message.clone())
}

/// Reads the image of a spec.
///
/// Errors as stalled: only a change of the object helps.
pub(super) fn repository(image: &str) -> Result<Repository, Failure> {
    let invalid = |why: String| Failure::Stalled(Cause::new("ImageURLInvalid", why));
    if image.contains("://") {
        return Err(invalid(format!("image {image:?} has a scheme; write it like ghcr.io/org/app")));
    }
    Repository::parse(image).map_err(|error| invalid(error.to_string()))
}

/// The image with everything that is implied, as Flux writes it.
pub(super) fn canonical(repository: &Repository) -> String {
    let host = if repository.host == "docker.io" { "index.docker.io" } else { &repository.host };
    format!("{host}/{}", repository.path)
}

/// The way to the registry of an image.
pub(super) async fn registry(cx: &Context, spec: &ImageRepositorySpec, namespace: &str) -> Result<Registry, Failure> {
    let timeout = spec.timeout.as_deref().unwrap_or(&spec.interval);
    let timeout = duration(timeout)?.clamp(Duration::from_secs(1), Duration::from_secs(600));
    let same = OCIRepositorySpec {
        url: format!("oci://{}", spec.image),
        interval: spec.interval.clone(),
        timeout: Some(crate::base::format_duration(timeout)),
        secret_ref: spec.secret_ref.clone(),
        cert_secret_ref: spec.cert_secret_ref.clone(),
        proxy_secret_ref: spec.proxy_secret_ref.clone(),
        service_account_name: spec.service_account_name.clone(),
        insecure: spec.insecure,
        ..OCIRepositorySpec::default()
    };
    oci_repository::registry(cx, &same, namespace).await.map_err(|failure| {
        let cause = failure.cause().clone();
        let message = format!("failed to configure authentication options: {}", cause.message);
        match failure {
            Failure::Stalled(_) => Failure::Stalled(cause),
            _ => failed("AuthenticationFailed", message),
        }
    })
}

fn scan_failed(error: &OciError) -> Failure {
    let message = format!("scan failed: {error}");
    match error {
        OciError::Busy { after, .. } => {
            let cause = Cause::new("ReadOperationFailed", message);
            after.map_or(Failure::RetryFrom(cause.clone(), REST), |after| Failure::RetryAfter(cause, after))
        }
        _ => failed("ReadOperationFailed", message),
    }
}

fn failed(reason: &str, message: String) -> Failure {
    Failure::Retry(Cause::new(reason, message))
}

/// Why a scan is due, if it is, and the time until the next run.
///
/// Source: shouldScan, with its order and words.
fn due(
    object: &ImageRepository,
    image: &str,
    has_tags: bool,
    interval: Duration,
    now: Stamp,
) -> (Option<&'static str>, Duration) {
    let none = ImageRepositoryStatus::default();
    let status = object.status.as_ref().unwrap_or(&none);
    let Some(last) = &status.last_scan_result else { return (Some("first scan"), interval) };
    let requested = object.metadata.annotations.as_ref().and_then(|all| all.get(REQUESTED_AT));
    let mut observed = status.observed_exclusion_list.clone();
    let mut wanted = object.spec.exclusions();
    observed.sort();
    wanted.sort();
    let why = match () {
        () if requested.is_some() && requested != status.last_handled_reconcile_at.as_ref() => "reconcile requested",
        () if status.canonical_image_name.as_deref() != Some(image) => "new image name",
        () if observed != wanted => "updated exclusion list",
        () if !has_tags => "no tags in database",
        () => {
            let since = last.scan_time.parse::<Stamp>().map_or(u64::MAX, |then| now.0.abs_diff(then.0));
            let left = interval.saturating_sub(Duration::from_secs(since));
            if left >= Duration::from_secs(1) {
                return (None, left);
            }
            "triggered by interval"
        }
    };
    (Some(why), interval)
}

/// Drops what matches an expression; the rest comes in descending order.
///
/// Errors with the expression that is none.
fn without(mut tags: Vec<String>, exclusions: &[String]) -> Result<Vec<String>, String> {
    let compile =
        |pattern: &String| go_regex(pattern).map_err(|why| format!("failed to compile regex {pattern}: {why}"));
    let patterns: Vec<regex::Regex> = exclusions.iter().map(compile).collect::<Result<_, _>>()?;
    tags.retain(|tag| !patterns.iter().any(|pattern| pattern.is_match(tag)));
    tags.sort_by(|a, b| b.cmp(a));
    tags.dedup();
    Ok(tags)
}

fn duration(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).map_err(|error| Failure::Stalled(Cause::new("Failed", error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_due_for_the_reasons_that_flux_names() {
        let spec = ImageRepositorySpec { image: "app".into(), interval: "5m".into(), ..Default::default() };
        let mut object = ImageRepository::new("app", spec);
        let at = |object: &ImageRepository, has_tags, now| {
            due(object, "i/app", has_tags, Duration::from_secs(300), Stamp(now))
        };
        assert_eq!(at(&object, true, 1000).0, Some("first scan"));
        object.status = Some(ImageRepositoryStatus {
            canonical_image_name: Some("i/app".into()),
            observed_exclusion_list: object.spec.exclusions(),
            last_scan_result: Some(ScanResult { scan_time: Stamp(1000).to_string(), ..Default::default() }),
            ..Default::default()
        });
        assert_eq!(at(&object, true, 1100), (None, Duration::from_secs(200)));
        assert_eq!(at(&object, true, 1300).0, Some("triggered by interval"));
        assert_eq!(at(&object, false, 1100).0, Some("no tags in database"));
        object.spec.exclusion_list = vec!["x".into()];
        assert_eq!(at(&object, true, 1100).0, Some("updated exclusion list"));
        object.status.as_mut().unwrap().canonical_image_name = Some("old".into());
        assert_eq!(at(&object, true, 1100).0, Some("new image name"));
        object.metadata.annotations = Some([(REQUESTED_AT.to_owned(), "now".to_owned())].into());
        assert_eq!(at(&object, true, 1100).0, Some("reconcile requested"));
    }

    #[test]
    fn tags_come_in_descending_order_without_the_excluded() {
        let tags = ["1.0", "sha256-ab.sig", "2.0", "10", "1.0"].map(String::from).to_vec();
        assert_eq!(without(tags.clone(), &[r"^.*\.sig$".into()]).unwrap(), ["2.0", "10", "1.0"]);
        assert!(without(tags, &["(".into()]).unwrap_err().contains("failed to compile regex"));
        assert_eq!(canonical(&repository("alpine").unwrap()), "index.docker.io/library/alpine");
        assert!(repository("https://ghcr.io/a").is_err() && repository("ghcr.io/a:1").is_err());
    }
}
