//! ImagePolicy: chooses the latest tag from those that its ImageRepository found, and looks its digest up if wished.
//!
//! The choice itself is `engine::policy`; `reasons` says why. Start with [`ImagePolicies`].
//!
//! Source: image-reflector-controller internal/controller/imagepolicy_controller.go. Deliberate difference: while there
//! are no tags nothing polls for them, since the scan that finds them wakes the policy.

mod reasons;

use std::collections::BTreeMap;
use std::time::Duration;

use super::image_repository::{canonical, ready_message, registry, repository};
use super::run::Severity;
use super::{Cause, Context, Failure, Next, Reconciler, Run};
use crate::base::{Id, Value, parse_duration};
use crate::engine::policy::{Filter, Order, Policy, PolicyError, Rule};
use crate::kinds::image_policy::{ImagePolicySpec, ImagePolicyStatus, ImageRef, Reflection};
use crate::kinds::image_repository;
use crate::kinds::meta::AccessFrom;
use crate::kinds::{ImagePolicy, ImageRepository};

pub use reasons::{reasoning, reasons};

/// How often a digest is looked up when the spec does not say.
const INTERVAL: Duration = Duration::from_secs(600);

/// Reconciles ImagePolicy objects.
#[derive(Clone, Copy, Debug)]
pub struct ImagePolicies;

impl Reconciler for ImagePolicies {
    type Object = ImagePolicy;

    async fn reconcile(&self, cx: &Context, object: &mut ImagePolicy, run: &mut Run) -> Result<Next, Failure> {
        let reflection = object.spec.digest_reflection_policy.unwrap_or_default();
        if reflection == Reflection::Always && object.spec.interval.is_none() {
            let message = "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'";
            return Err(Failure::Stalled(Cause::new("IntervalNotConfigured", message)));
        }
        let before = ready_message(object.status.as_ref().map_or(&[], |status| &status.conditions));
        let source = source(cx, object, &run.id().namespace).await?;
        let image = canonical(&repository(&source.spec.image)?);
        let policy = policy(&object.spec).map_err(|error| refused(&error))?;
        let place =
            (source.metadata.namespace.clone().unwrap_or_default(), source.metadata.name.clone().unwrap_or_default());
        let listed = cx.tags.get(&place.0, &place.1, &image).await.filter(|listed| !listed.tags.is_empty());
        let Some(listed) = listed else {
            let pause = cx.options.requeue_dependency;
            let message = format!("retrying in {}s error: no tags in database", pause.as_secs());
            return Err(Failure::Waiting(Cause::new("DependencyNotReady", message), pause));
        };
        let chosen = tokio::task::spawn_blocking(move || {
            let tags: Vec<&str> = listed.tags.iter().map(String::as_str).collect();
            policy.latest(&tags).map(str::to_owned)
        });
        let chosen = chosen.await.map_err(|error| failed("Failure", error.to_string()))?;
        let tag = chosen.map_err(|error| refused(&error))?;
        let mut latest = ImageRef { name: source.spec.image.clone(), tag, digest: String::new() };
        let known = object.status.as_ref().and_then(|status| status.latest_ref.clone());
        latest.digest = self.digest(cx, &source, reflection, &latest, known.as_ref()).await?;
        let status = object.status.get_or_insert_default();
        if known.as_ref() != Some(&latest) {
            status.observed_previous_ref = known;
            status.latest_ref = Some(latest);
        }
        let message = message(status);
        run.ready("Succeeded", &message);
        match before.as_deref() == Some(message.as_str()) {
            false => run.event(Severity::Info, "Succeeded", &message, &[]).await,
            true => run.event(Severity::Trace, "Succeeded", &message, &[]).await,
        }
        match (reflection, object.spec.interval.as_deref()) {
            (Reflection::Always, Some(text)) => {
                let parsed = parse_duration(text);
                let interval = parsed.map_err(|e| Failure::Stalled(Cause::new("Failed", e.to_string())))?;
                Ok(Next::After(if interval.is_zero() { INTERVAL } else { interval }))
            }
            _ => Ok(Next::OnChange),
        }
    }

    async fn finalize(&self, _cx: &Context, _object: &mut ImagePolicy, _run: &mut Run) -> Result<(), Failure> {
        Ok(())
    }
}

/// The ImageRepository, if the policy may use it.
async fn source(cx: &Context, object: &ImagePolicy, own: &str) -> Result<ImageRepository, Failure> {
    let reference = &object.spec.image_repository_ref;
    let namespace = reference.namespace.as_deref().filter(|text| !text.is_empty()).unwrap_or(own);
    let place = format!("{namespace}/{}", reference.name);
    let failed_to =
        |reason: &str, why: String| failed(reason, format!("failed to get the referred ImageRepository: {why}"));
    if cx.options.no_cross_namespace_refs && namespace != own {
        let why = format!("cannot access 'ImageRepository/{place}', cross-namespace references have been blocked");
        return Err(failed_to("AccessDenied", why));
    }
    let id = image_repository::KIND.id(namespace, &reference.name);
    let document = match cx.cluster.get(&id).await {
        Ok(Some(document)) => document,
        Ok(None) => {
            let why = format!("referenced ImageRepository does not exist: {place}");
            return Err(failed_to("DependencyNotReady", why));
        }
        Err(error) => return Err(failed_to("Failure", error.to_string())),
    };
    let source: ImageRepository =
        serde_json::from_value(document).map_err(|error| failed_to("Failure", error.to_string()))?;
    if namespace != own && !is_let_in(cx, source.spec.access_from.as_ref(), own).await? {
        let why = format!("access denied: '{place}' does not let namespace {own} in with spec.accessFrom");
        return Err(failed_to("AccessDenied", why));
    }
    Ok(source)
}

/// Whether the labels of the policy's namespace meet one of the selectors.
async fn is_let_in(cx: &Context, access: Option<&AccessFrom>, namespace: &str) -> Result<bool, Failure> {
    let Some(access) = access else { return Ok(false) };
    let found = cx.cluster.get(&Id::new("", "Namespace", "", namespace)).await;
    let document = found.map_err(|error| failed("Failure", error.to_string()))?.unwrap_or_default();
    let labels = labels(&document);
    let meets = |wanted: &BTreeMap<String, String>| wanted.iter().all(|(key, value)| labels.get(key) == Some(value));
    Ok(access.namespace_selectors.iter().any(|selector| meets(&selector.match_labels)))
}

impl ImagePolicies {
    /// The digest that status will show: looked up, kept, or none.
    async fn digest(
        &self,
        cx: &Context,
        source: &ImageRepository,
        reflection: Reflection,
        latest: &ImageRef,
        known: Option<&ImageRef>,
    ) -> Result<String, Failure> {
        let kept =
            known.filter(|known| known.name == latest.name && known.tag == latest.tag).map(|known| &known.digest);
        match (reflection, kept) {
            (Reflection::Never, _) => return Ok(String::new()),
            (Reflection::IfNotPresent, Some(digest)) if !digest.is_empty() => return Ok(digest.clone()),
            _ => {}
        }
        let namespace = source.metadata.namespace.clone().unwrap_or_default();
        let registry = registry(cx, &source.spec, &namespace).await?;
        let found = registry.resolve(&latest.tag).await.map_err(|error| {
            let image = format!("{}:{}", latest.name, latest.tag);
            failed("Failure", format!("failed fetching digest of {image}: {error}"))
        })?;
        Ok(found.to_string())
    }
}

/// The labels of a document.
pub(super) fn labels(document: &Value) -> BTreeMap<String, String> {
    let labels = document.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The policy of a spec.
///
/// Errors when it has no rule, or one that cannot be read.
pub fn policy(spec: &ImagePolicySpec) -> Result<Policy, PolicyError> {
    let choice = &spec.policy;
    let order = |order: &Option<String>| Order::parse(order.as_deref().unwrap_or_default());
    let rule = match (&choice.semver, &choice.alphabetical, &choice.numerical) {
        (Some(semver), ..) => Rule::semver(&semver.range)?,
        (_, Some(alphabetical), _) => Rule::Alphabetical(order(&alphabetical.order)?),
        (.., Some(numerical)) => Rule::Numerical(order(&numerical.order)?),
        (None, None, None) => return Err(PolicyError::NoRule),
    };
    let filter = spec.filter_tags.as_ref().map(|filter| Filter::new(&filter.pattern, &filter.extract)).transpose()?;
    Ok(Policy { rule, filter })
}

fn refused(error: &PolicyError) -> Failure {
    match error.is_invalid_policy() {
        true => Failure::Stalled(Cause::new("InvalidPolicy", error.to_string())),
        false => failed("Failure", error.to_string()),
    }
}

fn failed(reason: &str, message: String) -> Failure {
    Failure::Retry(Cause::new(reason, message))
}

/// Source: composeImagePolicyReadyMessage.
fn message(status: &ImagePolicyStatus) -> String {
    let latest = status.latest_ref.clone().unwrap_or_default();
    let mut text = format!("Latest image tag for {} resolved to {}", latest.name, latest.tag);
    if !latest.digest.is_empty() {
        text.push_str(&format!(" with digest {}", latest.digest));
    }
    if let Some(previous) = status.observed_previous_ref.as_ref().filter(|previous| **previous != latest) {
        let digest = if previous.digest.is_empty() { String::new() } else { format!("@{}", previous.digest) };
        text.push_str(&format!(" (previously {}:{}{digest})", previous.name, previous.tag));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_message_is_flux_s() {
        let image =
            |tag: &str, digest: &str| Some(ImageRef { name: "a/b".into(), tag: tag.into(), digest: digest.into() });
        let status = |latest, previous| ImagePolicyStatus {
            latest_ref: latest,
            observed_previous_ref: previous,
            ..ImagePolicyStatus::default()
        };
        assert_eq!(message(&status(image("2", ""), None)), "Latest image tag for a/b resolved to 2");
        assert_eq!(
            message(&status(image("2", "sha256:a"), image("1", "sha256:b"))),
            "Latest image tag for a/b resolved to 2 with digest sha256:a (previously a/b:1@sha256:b)"
        );
    }

    #[test]
    fn the_first_rule_counts_and_none_is_invalid() {
        let spec = |text: &str| serde_json::from_str::<ImagePolicySpec>(text).unwrap();
        let chosen = |text: &str, tags: &[&'static str]| policy(&spec(text)).map(|policy| policy.latest(tags).unwrap());
        let head = r#""imageRepositoryRef":{"name":"a"}"#;
        let both = format!(r#"{{{head},"policy":{{"alphabetical":{{}},"semver":{{"range":"1.x"}}}}}}"#);
        assert_eq!(chosen(&both, &["1.0.0", "z"]), Ok("1.0.0"));
        assert!(chosen(&format!(r#"{{{head},"policy":{{}}}}"#), &[]).unwrap_err().is_invalid_policy());
    }
}
