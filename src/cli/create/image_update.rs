//! `weir create image update`. Source: flux2 cmd/flux/create_image_update.go.

use super::{Shared, document, finish, given};
use crate::cli::{CliError, Cx};
use crate::kinds::git_repository::{self, GitReference};
use crate::kinds::image_update_automation::{
    Author, AutomationSource, Checkout, CommitSpec, GitSpec, ImageUpdateAutomationSpec, KIND, PushSpec, SigningKey,
    UpdateStrategy,
};
use crate::kinds::meta::LocalReference;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// Name of the GitRepository
    #[arg(long, value_name = "NAME")]
    git_repo_ref: Option<String>,
    /// Namespace of the GitRepository; else that of the automation
    #[arg(long, value_name = "NAME")]
    git_repo_namespace: Option<String>,
    /// Directory with the manifests; else the whole repository
    #[arg(long, value_name = "PATH")]
    git_repo_path: Option<String>,
    /// Branch to check out
    #[arg(long, value_name = "BRANCH")]
    checkout_branch: Option<String>,
    /// Branch to push to; else the one that is checked out
    #[arg(long, value_name = "BRANCH")]
    push_branch: Option<String>,
    /// Template of the commit message
    #[arg(long, value_name = "TEMPLATE")]
    commit_template: Option<String>,
    /// Name of the commits' author
    #[arg(long, value_name = "NAME")]
    author_name: Option<String>,
    /// E-mail address of the commits' author
    #[arg(long, value_name = "ADDRESS")]
    author_email: Option<String>,
    /// Name of a Secret with the key that signs commits
    #[arg(long, value_name = "NAME")]
    signing_key_secret: Option<String>,
    /// Type of that key: gpg or ssh
    #[arg(long, value_name = "TYPE", requires = "signing_key_secret", value_parser = ["gpg", "ssh"])]
    signing_key_type: Option<String>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let needed = |flag: &Option<String>, message: &str, name: &str| {
        given(flag).ok_or_else(|| CliError::user(message.to_owned(), format!("give it with {name}")))
    };
    let name = needed(&args.git_repo_ref, "a reference to a GitRepository is required", "--git-repo-ref")?;
    let branch = needed(&args.checkout_branch, "the Git repository branch is required", "--checkout-branch")?;
    let author = Author {
        name: Some(needed(&args.author_name, "the author name is required", "--author-name")?),
        email: needed(&args.author_email, "the author email is required", "--author-email")?,
    };
    if let Some(template) = given(&args.commit_template)
        && (template.contains(".Updated") || template.contains(".Changed.ImageResult"))
    {
        cx.output.warning("the template uses a field that Flux removed, and the automation will stall; use .Changed");
    }
    let spec = ImageUpdateAutomationSpec {
        source_ref: AutomationSource {
            kind: git_repository::KIND.kind.to_owned(),
            name,
            namespace: given(&args.git_repo_namespace),
            api_version: None,
        },
        git: Some(GitSpec {
            checkout: Some(Checkout { reference: GitReference { branch: Some(branch), ..GitReference::default() } }),
            commit: CommitSpec {
                author,
                signing_key: given(&args.signing_key_secret).map(|name| SigningKey {
                    secret_ref: LocalReference { name },
                    kind: given(&args.signing_key_type),
                }),
                message_template: given(&args.commit_template),
                ..CommitSpec::default()
            },
            push: given(&args.push_branch).map(|branch| PushSpec { branch: Some(branch), ..PushSpec::default() }),
        }),
        interval: args.shared.interval(),
        update: given(&args.git_repo_path)
            .map(|path| UpdateStrategy { strategy: Some("Setters".into()), path: Some(path) }),
        ..ImageUpdateAutomationSpec::default()
    };
    let document = document(cx, &KIND, &args.shared, serde_json::to_value(spec).unwrap_or_default())?;
    finish(cx, &args.shared, vec![document]).await
}
