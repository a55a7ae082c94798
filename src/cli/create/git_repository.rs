//! `weir create source git`. Source: flux2 cmd/flux/create_source_git.go.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use serde_json::{Map, Value, json};

use super::{Shared, document, finish, given};
use crate::base::format_duration;
use crate::cli::global::duration;
use crate::cli::{CliError, Cx};
use crate::kinds::git_repository::{GitReference, GitRepositorySpec, KIND};
use crate::kinds::meta::LocalReference;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// Address of the repository, e.g. ssh://git@host/org/repository
    #[arg(long)]
    url: Option<String>,
    /// Branch to follow
    #[arg(long)]
    branch: Option<String>,
    /// Tag to check out
    #[arg(long)]
    tag: Option<String>,
    /// Version range over the tags, e.g. ">=1.0.0 <2.0.0"
    #[arg(long, value_name = "RANGE")]
    tag_semver: Option<String>,
    /// Whole reference name, e.g. refs/pull/420/head
    #[arg(long, value_name = "REF")]
    ref_name: Option<String>,
    /// Commit to check out; with --branch only that branch is fetched
    #[arg(long)]
    commit: Option<String>,
    /// User name for basic authentication
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Password for basic authentication
    #[arg(short, long)]
    password: Option<String>,
    /// Name of a Secret that has the credentials
    #[arg(long, value_name = "NAME")]
    secret_ref: Option<String>,
    /// Name of a Secret that has the proxy address
    #[arg(long, value_name = "NAME")]
    proxy_secret_ref: Option<String>,
    /// generic, aws, azure or github
    #[arg(long)]
    provider: Option<String>,
    /// File with the certificate authority of an https server
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Fetch submodules too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    recurse_submodules: bool,
    /// Do not ask anything
    #[arg(short, long)]
    silent: bool,
    /// Patterns of files that stay out of the artifact; may be repeated or divided by commas
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    ignore_paths: Vec<String>,
    /// Directories to check out; may be repeated or divided by commas
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    sparse_checkout_paths: Vec<String>,
    /// Time-out of one Git operation
    #[arg(long, value_name = "TIME", value_parser = duration)]
    fetch_timeout: Option<Duration>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let url = given(&args.url)
        .ok_or_else(|| CliError::user("--url is required", "e.g. --url=https://github.com/owner/repository"))?;
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_owned();
    let mut spec = spec(&args, url)?;
    if args.ca_file.is_some() && scheme == "ssh" {
        return Err(CliError::user("--ca-file is for https, not for ssh", "the host key goes into the Secret instead"));
    }
    let mut documents = Vec::new();
    if spec.secret_ref.is_none() && !args.shared.export {
        let secret = credentials(cx, &args, &scheme)?;
        if secret.is_some() {
            spec.secret_ref = Some(LocalReference { name: args.shared.name.clone() });
        }
        documents.extend(secret);
    }
    documents.push(document(cx, &KIND, &args.shared, serde_json::to_value(spec).unwrap_or_default())?);
    if !args.shared.export {
        cx.output.generate("generating GitRepository source");
    }
    finish(cx, &args.shared, documents).await
}

fn spec(args: &Args, url: String) -> Result<GitRepositorySpec, CliError> {
    Ok(GitRepositorySpec {
        url,
        interval: args.shared.interval(),
        timeout: args.fetch_timeout.filter(|time| !time.is_zero()).map(format_duration),
        secret_ref: given(&args.secret_ref).map(|name| LocalReference { name }),
        proxy_secret_ref: given(&args.proxy_secret_ref).map(|name| LocalReference { name }),
        provider: given(&args.provider),
        reference: Some(reference(args)?),
        ignore: (!args.ignore_paths.is_empty()).then(|| args.ignore_paths.join("\n")),
        recurse_submodules: args.recurse_submodules.then_some(true),
        sparse_checkout: args.sparse_checkout_paths.clone(),
        ..GitRepositorySpec::default()
    })
}

/// One reference is taken, the most exact first; a commit keeps its branch.
fn reference(args: &Args) -> Result<GitReference, CliError> {
    let none = GitReference::default();
    if let Some(commit) = given(&args.commit) {
        return Ok(GitReference { commit: Some(commit), branch: given(&args.branch), ..none });
    }
    if let Some(name) = given(&args.ref_name) {
        return Ok(GitReference { name: Some(name), ..none });
    }
    if let Some(range) = given(&args.tag_semver) {
        return Ok(GitReference { semver: Some(range), ..none });
    }
    if let Some(tag) = given(&args.tag) {
        return Ok(GitReference { tag: Some(tag), ..none });
    }
    if let Some(branch) = given(&args.branch) {
        return Ok(GitReference { branch: Some(branch), ..none });
    }
    let hint = "use one of --branch, --tag, --tag-semver, --ref-name or --commit";
    Err(CliError::user("a Git reference is required", hint))
}

/// The Secret that the flags ask for; `None` when the repository needs none.
///
/// Errors for ssh without a Secret: the host key must come from somewhere that a person trusts.
fn credentials(cx: &Cx, args: &Args, scheme: &str) -> Result<Option<Value>, CliError> {
    if scheme == "ssh" {
        let hint = format!(
            "make one with the keys identity and known_hosts, then pass --secret-ref, e.g.\n\
             kubectl create secret generic {0} -n {1} --from-file=identity=KEY --from-file=known_hosts=HOSTS",
            args.shared.name,
            cx.global.namespace()
        );
        return Err(CliError::user("an ssh address needs a Secret with a key", hint));
    }
    let mut data = Map::new();
    match (given(&args.username), given(&args.password)) {
        (Some(username), Some(password)) => {
            if scheme == "http" {
                cx.output.warning("the password goes over http in the clear");
            }
            data.insert("username".into(), username.into());
            data.insert("password".into(), password.into());
        }
        (None, None) => {}
        _ => return Err(CliError::user("--username and --password go together", "")),
    }
    if let Some(path) = &args.ca_file {
        let refused = |e| CliError::user(format!("{} cannot be read: {e}", path.display()), "");
        let bundle = std::fs::read(path).map_err(refused)?;
        data.insert("ca.crt".into(), String::from_utf8_lossy(&bundle).into());
    }
    if data.is_empty() {
        return Ok(None);
    }
    Ok(Some(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": args.shared.name, "namespace": cx.global.namespace() },
        "stringData": data,
    })))
}
