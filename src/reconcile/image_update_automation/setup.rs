//! What an automation works with, read before anything is fetched: policies, remote, branches, key.
//!
//! Start with [`Setup::of`]. Source: image-automation-controller internal/source/git.go and signing.go, getPolicies.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::image_policy::labels;
use super::super::{Cause, Context, Failure, git_repository, secrets};
use crate::base::{Id, Secret, parse_duration};
use crate::engine::setters::Choice;
use crate::kinds::git_repository::KIND as GIT;
use crate::kinds::image_policy::{ImageRef, KIND as POLICY};
use crate::kinds::image_update_automation::{GitSpec, LabelSelector, SigningKey};
use crate::kinds::{GitRepository, ImagePolicy, ImageUpdateAutomation};
use crate::outside::git::{Reference, Refspec, Remote, Signer};

/// What an automation works with.
pub(super) struct Setup {
    /// What each policy chose, by name.
    pub policies: BTreeMap<String, ImageRef>,
    pub choices: Vec<Choice>,
    /// The GitRepository.
    pub source: Id,
    /// The branch that the GitRepository follows; `None` when it follows something else.
    pub followed: Option<String>,
    pub remote: Remote,
    /// What is checked out.
    pub reference: Reference,
    /// What is pushed to.
    pub branch: String,
    /// Whether the branch is another one than what is checked out.
    pub switches: bool,
    pub refspec: Option<Refspec>,
    pub refspec_text: Option<String>,
    pub options: Vec<String>,
    pub signer: Option<Signer>,
}

impl Setup {
    /// Reads everything.
    ///
    /// Errors as stalled when only a change of the automation helps.
    pub async fn of(cx: &Context, object: &ImageUpdateAutomation, namespace: &str) -> Result<Setup, Failure> {
        let (policies, choices) = policies(cx, object.spec.policy_selector.as_ref(), namespace).await?;
        let source = &object.spec.source_ref;
        if source.kind != GIT.kind {
            return Err(invalid(format!("source kind '{}' not supported", source.kind)));
        }
        let Some(git) = &object.spec.git else {
            return Err(invalid(format!("source kind '{}' necessitates field .spec.git", source.kind)));
        };
        let named = source.namespace.as_deref().filter(|text| !text.is_empty()).unwrap_or(namespace);
        if cx.options.no_cross_namespace_refs && named != namespace {
            let place = format!("GitRepository/{named}/{}", source.name);
            let message = format!("can't access '{place}', cross-namespace references have been blocked");
            return Err(Failure::Stalled(Cause::new("AccessDenied", message)));
        }
        let repository = repository(cx, named, &source.name).await?;
        let timeout = match &repository.spec.timeout {
            Some(text) => parse_duration(text).map_err(|error| unable(error.to_string()))?,
            None => Duration::from_secs(60),
        };
        let remote =
            git_repository::remote_of(cx, &repository, named, timeout).await.map_err(|failure| match failure {
                Failure::Stalled(cause) => invalid(cause.message),
                other => unable(other.cause().message.clone()),
            })?;
        let checkout = git.checkout.as_ref().map(|checkout| &checkout.reference).or(repository.spec.reference.as_ref());
        let checked_out = checkout.and_then(|reference| reference.branch.clone()).filter(|text| !text.is_empty());
        let push = git.push.clone().unwrap_or_default();
        let (branch, switches) = match push.branch.filter(|branch| !branch.is_empty()) {
            Some(branch) => {
                let is_same = match checkout {
                    Some(_) => checked_out.as_deref() == Some(branch.as_str()),
                    None => branch == "master",
                };
                (branch, !is_same)
            }
            None => {
                let missing = "push spec not provided, and cannot be inferred from .spec.git.checkout.ref or \
                    GitRepository .spec.ref";
                (checked_out.ok_or_else(|| unable(missing.into()))?, false)
            }
        };
        let refspec_text = push.refspec.filter(|text| !text.is_empty());
        let refspec = refspec_text.as_deref().map(|text| Refspec::parse(text, &branch)).transpose();
        Ok(Setup {
            policies,
            choices,
            source: GIT.id(named, &source.name),
            followed: followed(&repository),
            remote,
            reference: git_repository::reference(checkout),
            switches,
            refspec: refspec.map_err(|error| invalid(error.to_string()))?,
            refspec_text,
            options: options(&push.options)?,
            signer: signer(cx, git, namespace).await?,
            branch,
        })
    }
}

/// The branch that a source follows, if it is one.
fn followed(repository: &GitRepository) -> Option<String> {
    match &repository.spec.reference {
        None => Some("master".to_owned()),
        Some(reference) => reference.branch.clone().filter(|text| !text.is_empty()),
    }
}

fn invalid(why: String) -> Failure {
    Failure::Stalled(Cause::new("InvalidSourceConfiguration", format!("{why}: invalid source configuration")))
}

fn unable(why: String) -> Failure {
    Failure::Retry(Cause::new("SourceManagerFailed", format!("failed configuring source manager: {why}")))
}

/// The policies of the namespace that are meant and have chosen something; they need not be ready.
async fn policies(
    cx: &Context,
    selector: Option<&LabelSelector>,
    namespace: &str,
) -> Result<(BTreeMap<String, ImageRef>, Vec<Choice>), Failure> {
    let unreadable = |why: String| Failure::Retry(Cause::new("Failed", format!("failed to list policies: {why}")));
    let found = cx.cluster.list(&POLICY.api(), Some(namespace), None).await.map_err(|e| unreadable(e.to_string()))?;
    let (mut chosen, mut choices) = (BTreeMap::new(), Vec::new());
    for document in found {
        let is_meant = match selector {
            None => true,
            Some(selector) => selector.matches(&labels(&document)).map_err(|why| {
                let message = format!("failed to parse policy selector: {why}");
                Failure::Stalled(Cause::new("InvalidPolicySelector", message))
            })?,
        };
        // A policy that cannot be read is its own trouble, not that of all others.
        let Ok(policy) = serde_json::from_value::<ImagePolicy>(document) else { continue };
        let latest = policy.status.and_then(|status| status.latest_ref);
        if let Some(latest) = latest.filter(|_| is_meant) {
            let name = policy.metadata.name.unwrap_or_default();
            choices.push(Choice {
                namespace: namespace.to_owned(),
                policy: name.clone(),
                image: latest.name.clone(),
                tag: latest.tag.clone(),
                digest: Some(latest.digest.clone()).filter(|digest| !digest.is_empty()),
            });
            chosen.insert(name, latest);
        }
    }
    Ok((chosen, choices))
}

async fn repository(cx: &Context, namespace: &str, name: &str) -> Result<GitRepository, Failure> {
    match cx.cluster.get(&GIT.id(namespace, name)).await {
        Ok(Some(document)) => serde_json::from_value(document)
            .map_err(|error| unable(format!("failed to get referenced git repository: {error}"))),
        Ok(None) => Err(unable(format!("referenced git repository does not exist: {namespace}/{name}"))),
        Err(error) => Err(unable(format!("failed to get referenced git repository: {error}"))),
    }
}

/// Push options as servers read them.
fn options(options: &BTreeMap<String, String>) -> Result<Vec<String>, Failure> {
    let is_odd = |text: &str| text.contains(['\n', '\r', '\0']);
    match options.iter().find(|(key, value)| key.is_empty() || is_odd(key) || is_odd(value)) {
        Some((key, _)) => Err(invalid(format!("push option {key:?} has a line break or no name"))),
        None => Ok(options
            .iter()
            .map(|(key, value)| if value.is_empty() { key.clone() } else { format!("{key}={value}") })
            .collect()),
    }
}

async fn signer(cx: &Context, git: &GitSpec, namespace: &str) -> Result<Option<Signer>, Failure> {
    let Some(SigningKey { secret_ref, kind }) = &git.commit.signing_key else { return Ok(None) };
    let name = &secret_ref.name;
    match kind.as_deref() {
        Some("ssh") => {}
        None | Some("" | "gpg") => {
            return Err(invalid("commits cannot be signed with OpenPGP keys yet; use an SSH key and type: ssh".into()));
        }
        Some(other) => return Err(invalid(format!("unknown signing key type {other:?}"))),
    }
    let data = secrets::read(cx, namespace, name).await.map_err(|failure| {
        unable(format!("could not find signing key secret '{name}': {}", failure.cause().message))
    })?;
    let text = |key: &str| secrets::text(&data, &[key]).map_err(|why| unable(format!("secret '{name}': {why}")));
    let identity = text("identity")?;
    let identity =
        identity.ok_or_else(|| unable(format!("signing key secret '{name}' does not contain an 'identity' key")))?;
    let passphrase = text("password")?.map(Secret::new);
    let signer = Signer::read(&Secret::new(identity), passphrase.as_ref());
    signer.map(Some).map_err(|error| unable(format!("secret '{name}': {error}")))
}
