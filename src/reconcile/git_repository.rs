//! GitRepository: from a branch, tag or commit to an artifact, and nothing at all when nothing changed.
//!
//! Storage is looked at first, because a lost artifact must be rebuilt whatever the remote says; then the remote is
//! asked only where a reference points; files are fetched when that, or what is wanted of them, is new. Who asks and
//! how is in `access`, other repositories' files are in `include`. Start with [`GitRepositories`].
//!
//! Source: source-controller internal/controller/gitrepository_controller.go. Left out and refused with a sentence:
//! signature verification and the cloud providers' tokens.

mod access;
mod include;

use std::time::Duration;

use super::run::Severity;
use super::storage::{self, FETCH_FAILED, IN_STORAGE, New, OUTDATED, STORAGE_FAILED, duration, failed_before, mark};
use super::{Cause, Context, Failure, Next, Reconciler, Run};
use crate::base::{FileTree, Revision, Text};
use crate::engine::{archive, ignore};
use crate::kinds::GitRepository;
use crate::kinds::git_repository::{GitReference, GitRepositorySpec, GitRepositoryStatus};
use crate::kinds::meta::Artifact;
use crate::outside::artifacts;
use crate::outside::git::{self, CheckoutOptions, GitError, Limits, Reference, Remote};

use include::Included;

const INCLUDE_UNAVAILABLE: &str = "IncludeUnavailable";
/// Conditions whose truth is a failure.
const FAILURES: &[&str] = &[FETCH_FAILED, STORAGE_FAILED, INCLUDE_UNAVAILABLE];

/// Reconciles GitRepository objects.
#[derive(Clone, Copy, Debug)]
pub struct GitRepositories;

impl Reconciler for GitRepositories {
    type Object = GitRepository;

    async fn reconcile(&self, cx: &Context, object: &mut GitRepository, run: &mut Run) -> Result<Next, Failure> {
        let interval = duration(&object.spec.interval)?;
        let recovers = failed_before(object, FAILURES);
        storage::look_at(cx, object, run).await?;
        let included = include::find(cx, object, run).await?;
        self.refuse_what_is_not_built(object, run)?;
        let remote = self.remote(cx, object, run).await?;
        let reference = reference(object.spec.reference.as_ref());
        let is_same = is_as_observed(&object.spec, status(object), &included);
        if is_same && let Some(artifact) = status(object).artifact.clone() {
            let scratch = cx.artifacts.scratch();
            let found = git::resolve(&remote, &reference, &scratch).await.map_err(|e| fetch_failed(object, run, &e))?;
            if found == Revision::parse(&artifact.revision) {
                let message = format!("no changes since last reconciliation: observed revision '{found}'");
                run.event(Severity::Trace, "GitOperationSucceeded", &message, &[]).await;
                settle(object, run, &artifact, recovers, None).await;
                return Ok(Next::After(interval));
            }
        }
        run.progress(format!("cloning {}", remote.url));
        let options = CheckoutOptions {
            submodules: object.spec.recurse_submodules == Some(true),
            sparse: object.spec.sparse_checkout.clone(),
            limits: Limits::default(),
            scratch: cx.artifacts.scratch(),
        };
        let checkout = git::checkout(&remote, &reference, &options).await;
        let checkout = checkout.map_err(|error| fetch_failed(object, run, &error))?;
        run.unset_condition(object, FETCH_FAILED);
        for skipped in &checkout.skipped {
            tracing::warn!(id = %run.id(), "a file stays out of the artifact: {skipped}");
        }
        let revision = checkout.revision.to_string();
        let subject = short_subject(checkout.commit.subject());
        self.announce(object, run, &revision, &included);
        let mut tree = checkout.tree;
        include::copy(&cx.artifacts, object, run, &included, &mut tree).await?;
        let file = format!("{}.tar.gz", checkout.commit.hash);
        let artifact = self.build(cx, object, run, &file, &revision, tree).await?;
        observe(object, &artifact, included);
        settle(object, run, &artifact, recovers, Some(&subject)).await;
        Ok(Next::After(interval))
    }

    async fn finalize(&self, cx: &Context, object: &mut GitRepository, run: &mut Run) -> Result<(), Failure> {
        storage::sweep(cx, object, run).await
    }
}

impl GitRepositories {
    /// What is wanted and not built must not be passed over in silence: an unverified source is worse than none.
    fn refuse_what_is_not_built(&self, object: &mut GitRepository, run: &mut Run) -> Result<(), Failure> {
        let provider = object.spec.provider.clone();
        storage::refuse_provider(object, run, provider.as_deref())?;
        let wanted = object.spec.verify.is_some();
        storage::refuse_verification(object, run, wanted)
    }

    async fn remote(&self, cx: &Context, object: &mut GitRepository, run: &mut Run) -> Result<Remote, Failure> {
        let egress = storage::egress(cx);
        let timeout = match &object.spec.timeout {
            Some(text) => duration(text)?,
            None => storage::TIMEOUT,
        };
        match access::remote(cx, object, &run.id().namespace, egress, timeout, egress.loopback).await {
            Ok(remote) => Ok(remote),
            Err(failure) => Err(mark(object, run, FETCH_FAILED, failure)),
        }
    }

    /// Says why an artifact is built, for as long as it takes.
    fn announce(&self, object: &mut GitRepository, run: &mut Run, revision: &str, included: &[Included]) {
        let known = status(object);
        let is_new = known.artifact.as_ref().is_none_or(|artifact| artifact.revision != revision);
        let (reason, message) = match is_new {
            true => ("NewRevision", format!("new upstream revision '{revision}'")),
            false if include::differ(included, &known.included_artifacts) => {
                ("IncludeChange", "included artifacts differ from last observed includes".to_owned())
            }
            false => return run.progress("building artifact: what is wanted of the source changed"),
        };
        run.set_condition(object, OUTDATED, "True", reason, &message);
        run.progress(format!("building artifact: {message}"));
    }

    async fn build(
        &self,
        cx: &Context,
        object: &mut GitRepository,
        run: &mut Run,
        file: &str,
        revision: &str,
        tree: FileTree,
    ) -> Result<Artifact, Failure> {
        let ignore = object.spec.ignore.clone();
        let packed = tokio::task::spawn_blocking(move || {
            let rules = ignore::Rules::of(&tree, ignore.as_deref());
            archive::pack_with_directories(&rules.filter(&tree), rules.directories(&tree))
        });
        let packed = match packed.await {
            Ok(packed) => packed,
            Err(error) => return Err(storage::not_stored(object, run, &error)),
        };
        let new = New { file: file.into(), link: artifacts::LATEST, revision: revision.into(), bytes: packed };
        storage::keep(cx, object, run, new).await
    }
}

/// Writes down what was stored and from which wishes.
fn observe(object: &mut GitRepository, artifact: &Artifact, included: Vec<Included>) {
    let spec = object.spec.clone();
    let status = object.status.get_or_insert_default();
    status.artifact = Some(artifact.clone());
    status.included_artifacts = included.into_iter().map(|included| included.artifact).collect();
    status.observed_ignore = spec.ignore;
    status.observed_recurse_submodules = spec.recurse_submodules.filter(|wanted| *wanted);
    status.observed_include = spec.include;
    status.observed_sparse_checkout = spec.sparse_checkout;
    status.source_verification_mode = None;
}

/// Ends a good run: conditions, and an event when the artifact is new or the run before had failed.
async fn settle(object: &mut GitRepository, run: &mut Run, artifact: &Artifact, recovers: bool, subject: Option<&str>) {
    for failure in FAILURES.iter().chain([&OUTDATED]) {
        run.unset_condition(object, failure);
    }
    let message = format!("stored artifact for revision '{}'", artifact.revision);
    run.set_condition(object, IN_STORAGE, "True", "Succeeded", &message);
    run.ready("Succeeded", &message);
    run.note("revision", &artifact.revision);
    run.note("digest", &artifact.digest);
    match subject {
        Some(subject) => {
            let message = format!("stored artifact for commit '{subject}'");
            run.event(Severity::Info, "NewArtifact", &message, &[]).await;
        }
        None if recovers => run.event(Severity::Info, "Succeeded", &message, &[]).await,
        None => {}
    }
}

fn fetch_failed(object: &mut GitRepository, run: &Run, error: &GitError) -> Failure {
    let message = format!("failed to checkout and determine revision: {error}");
    let failure = match error {
        _ if error.is_terminal() => Failure::Stalled(Cause::new("URLInvalid", error.to_string())),
        GitError::Empty { .. } => Failure::Retry(Cause::new("EmptyGitRepository", error.to_string())),
        GitError::CredentialsUnusable(_) => Failure::Retry(Cause::new("AuthenticationFailed", error.to_string())),
        _ => Failure::Retry(Cause::new("GitOperationFailed", message)),
    };
    mark(object, run, FETCH_FAILED, failure)
}

/// Whether everything that shapes an artifact besides the commit is as it was.
fn is_as_observed(spec: &GitRepositorySpec, status: &GitRepositoryStatus, included: &[Included]) -> bool {
    let wants_submodules = spec.recurse_submodules == Some(true);
    spec.ignore == status.observed_ignore
        && wants_submodules == (status.observed_recurse_submodules == Some(true))
        && spec.include == status.observed_include
        && spec.sparse_checkout == status.observed_sparse_checkout
        && !include::differ(included, &status.included_artifacts)
}

/// The remote of a GitRepository, for who works on it besides fetching.
pub(super) async fn remote_of(
    cx: &Context,
    object: &GitRepository,
    namespace: &str,
    timeout: Duration,
) -> Result<Remote, Failure> {
    if let Some(provider) = object.spec.provider.as_deref().filter(|name| !matches!(*name, "" | "generic")) {
        let message = format!("provider {provider:?} is not supported yet; use a secret with the generic provider");
        return Err(Failure::Stalled(Cause::new("InvalidProviderConfiguration", message)));
    }
    let egress = storage::egress(cx);
    access::remote(cx, object, namespace, egress, timeout, egress.loopback).await
}

/// The later field wins over the earlier; nothing means `master`.
pub(super) fn reference(wanted: Option<&GitReference>) -> Reference {
    let none = GitReference::default();
    let wanted = wanted.unwrap_or(&none);
    let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    match (text(&wanted.commit), text(&wanted.name), text(&wanted.semver), text(&wanted.tag)) {
        (Some(commit), ..) => Reference::Commit { commit, branch: text(&wanted.branch) },
        (_, Some(name), ..) => Reference::Name(name),
        (_, _, Some(range), _) => Reference::Semver(range),
        (_, _, _, Some(tag)) => Reference::Tag(tag),
        _ => Reference::Branch(text(&wanted.branch).unwrap_or_else(|| "master".into())),
    }
}

fn status(object: &GitRepository) -> &GitRepositoryStatus {
    static NONE: std::sync::LazyLock<GitRepositoryStatus> = std::sync::LazyLock::new(Default::default);
    object.status.as_ref().unwrap_or(&NONE)
}

/// The first fifty characters, cleaned: commit messages are foreign.
fn short_subject(subject: &str) -> String {
    let cut: String = subject.chars().take(50).collect();
    let dots = if subject.chars().count() > 50 { "..." } else { "" };
    format!("{}{dots}", Text::new(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_field_of_a_reference_wins() {
        let all = GitReference {
            branch: Some("b".into()),
            tag: Some("t".into()),
            semver: Some("1.x".into()),
            name: Some("refs/n".into()),
            commit: Some("c".into()),
        };
        let mut wanted = all.clone();
        assert_eq!(reference(Some(&wanted)), Reference::Commit { commit: "c".into(), branch: Some("b".into()) });
        wanted.commit = None;
        assert_eq!(reference(Some(&wanted)), Reference::Name("refs/n".into()));
        wanted.name = Some(String::new());
        assert_eq!(reference(Some(&wanted)), Reference::Semver("1.x".into()));
        wanted.semver = None;
        assert_eq!(reference(Some(&wanted)), Reference::Tag("t".into()));
        wanted.tag = None;
        assert_eq!(reference(Some(&wanted)), Reference::Branch("b".into()));
        assert_eq!(reference(None), Reference::Branch("master".into()));
    }

    #[test]
    fn subjects_are_short_and_clean() {
        assert_eq!(short_subject("fix \x1b[31mred"), "fix ␛[31mred");
        assert_eq!(short_subject(&"x".repeat(60)), format!("{}...", "x".repeat(50)));
    }
}
