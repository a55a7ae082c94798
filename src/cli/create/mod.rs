//! `weir create`: makes a document from flags, then prints it (`--export`) or applies it and waits for it.
//!
//! The flags are Flux's, and so is the form of the exported YAML. A kind's own flags are in its own file; what all of
//! them share is here. Source: flux2 cmd/flux/create*.go.

use std::time::Duration;

use clap::{ArgAction, Subcommand};
use serde_json::{Map, Value};

use super::global::duration;
use super::session::Session;
use super::{CliError, Cx};
use crate::base::{Text, format_duration, yaml};
use crate::kinds::{Kind, check};
use crate::reconcile::refusals;
use crate::verbs::{self, Ask};

mod git_repository;
mod helm_chart;
mod helm_release;
mod helm_repository;
mod image_policy;
mod image_repository;
mod image_update;
mod kustomization;
mod oci_repository;
mod reference;
mod secret_git;
mod verification;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// A source to fetch
    Source {
        #[command(subcommand)]
        source: Source,
    },
    /// A path of a source to build and apply
    #[command(visible_alias = "ks")]
    Kustomization(kustomization::Args),
    /// A chart to release with values
    #[command(visible_alias = "hr", name = "helmrelease")]
    HelmRelease(Box<helm_release::Args>),
    /// Automation of image updates
    Image {
        #[command(subcommand)]
        image: Image,
    },
    /// A Secret with credentials
    Secret {
        #[command(subcommand)]
        secret: Secret,
    },
}

#[derive(Subcommand, Debug)]
enum Image {
    /// An image whose tags are listed
    Repository(image_repository::Args),
    /// A rule that chooses a tag
    Policy(image_policy::Args),
    /// What writes chosen images into a Git repository
    Update(image_update::Args),
}

#[derive(Subcommand, Debug)]
enum Secret {
    /// For a Git repository: a new key with the host's keys, or a login
    Git(secret_git::Args),
}

#[derive(Subcommand, Debug)]
enum Source {
    /// A Git repository
    Git(git_repository::Args),
    /// A Helm repository
    Helm(helm_repository::Args),
    /// A chart of a source
    Chart(helm_chart::Args),
    /// An OCI artifact of a registry
    Oci(oci_repository::Args),
}

/// Flags that every kind's create has.
#[derive(clap::Args, Debug)]
pub struct Shared {
    /// Name of the object
    name: String,
    /// How often it is reconciled
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    interval: Duration,
    /// Print the object as YAML, change nothing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    export: bool,
    /// Labels for the object, as key=value; may be repeated or divided by commas
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    label: Vec<String>,
}

impl Shared {
    /// The interval as Flux writes it.
    fn interval(&self) -> String {
        format_duration(self.interval)
    }
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    match args.what {
        What::Source { source: Source::Git(args) } => git_repository::run(cx, args).await,
        What::Source { source: Source::Helm(args) } => helm_repository::run(cx, args).await,
        What::Source { source: Source::Chart(args) } => helm_chart::run(cx, args).await,
        What::Source { source: Source::Oci(args) } => oci_repository::run(cx, args).await,
        What::Kustomization(args) => kustomization::run(cx, args).await,
        What::HelmRelease(args) => helm_release::run(cx, *args).await,
        What::Image { image: Image::Repository(args) } => image_repository::run(cx, args).await,
        What::Image { image: Image::Policy(args) } => image_policy::run(cx, args).await,
        What::Image { image: Image::Update(args) } => image_update::run(cx, args).await,
        What::Secret { secret: Secret::Git(args) } => secret_git::run(cx, args).await,
    }
}

/// Puts head and spec together, keys sorted as Flux prints them, and checks the result.
///
/// Errors with every problem of the document.
fn document(cx: &Cx, kind: &Kind, shared: &Shared, spec: Value) -> Result<Value, CliError> {
    check_name(&shared.name)?;
    let mut metadata = Map::new();
    metadata.insert("name".into(), shared.name.clone().into());
    metadata.insert("namespace".into(), cx.global.namespace().into());
    let labels = labels(&shared.label)?;
    if !labels.is_empty() {
        metadata.insert("labels".into(), labels.into());
    }
    let document = yaml::sorted(serde_json::json!({
        "apiVersion": kind.api_version(), "kind": kind.kind, "metadata": metadata, "spec": spec,
    }));
    let problems: Vec<String> = check::check(&document).iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(document) } else { Err(CliError::user(problems.join("\n"), "")) }
}

/// Prints the documents, or applies them in order; the last one is waited for.
async fn finish(cx: &Cx, shared: &Shared, documents: Vec<Value>) -> Result<(), CliError> {
    if shared.export {
        return cx.output.data(&documents.iter().map(|it| format!("---\n{}", yaml::write(it))).collect::<String>());
    }
    let session = Session::with_reconcilers(cx).await?;
    if session.desk.cluster.place().is_embedded() {
        // Nobody but this weir is there to do what it cannot.
        for why in documents.iter().flat_map(refusals) {
            cx.output.warning(format!("{} will not be reconciled: {why}", shared.name));
        }
    }
    for document in documents {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        cx.output.action(format!("applying {kind} {}", shared.name));
        let waiting = |words: Text| cx.output.wait(words.as_str());
        let asked = session.within(cx, verbs::ask(&session.desk, Ask::Put { document }, &waiting));
        let outcome = asked.await?;
        cx.output.success(outcome.message.as_str());
    }
    session.close().await;
    Ok(())
}

/// Source: flux2 internal/utils (the rule for names).
fn check_name(name: &str) -> Result<(), CliError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let ends = bytes.first().zip(bytes.last()).is_some_and(|(first, last)| plain(*first) && plain(*last));
    if ends && bytes.len() <= 63 && bytes.iter().all(|byte| plain(*byte) || *byte == b'-') {
        return Ok(());
    }
    Err(CliError::user(
        format!("{name:?} is not a name for an object"),
        "use lower-case letters, digits and -, begin and end with a letter or digit, at most 63",
    ))
}

fn labels(given: &[String]) -> Result<Map<String, Value>, CliError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), Value::from(value))),
        _ => Err(CliError::user(format!("--label {text:?} is not key=value"), "write it like --label team=shop")),
    };
    given.iter().map(pair).collect()
}

/// A flag's text; an empty one counts as not given, as in Go.
fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}
