//! `weir create kustomization`. Source: flux2 cmd/flux/create_kustomization.go.

use std::time::Duration;

use clap::ArgAction;

use super::reference::{self, Reference};
use super::{Shared, document, finish, given};
use crate::base::format_duration;
use crate::cli::global::duration;
use crate::cli::{CliError, Cx};
use crate::kinds::kustomization::{Decryption, KIND, KustomizationSpec, SourceReference};
use crate::kinds::meta::{KindReference, LocalReference};

const SOURCES: &[&str] = &["GitRepository", "OCIRepository", "Bucket", "ExternalArtifact"];

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// What it is built from: [Kind/]name[.namespace]
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Directory in the source
    #[arg(long, default_value = "./")]
    path: String,
    /// Delete what is removed from the source
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    prune: bool,
    /// Wait for the health of everything applied
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    wait: bool,
    /// Workload whose health counts: Kind/name.namespace; may be repeated or divided by commas
    #[arg(long, value_name = "WORKLOAD", value_delimiter = ',')]
    health_check: Vec<String>,
    /// How long health checks may take
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    health_check_timeout: Duration,
    /// Kustomization that must be ready first: name or namespace/name, with @expression for a CEL check
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    depends_on: Vec<String>,
    /// ServiceAccount to apply as
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// How secrets are decrypted: sops
    #[arg(long, value_name = "NAME")]
    decryption_provider: Option<String>,
    /// Secret with the decryption keys
    #[arg(long, value_name = "NAME")]
    decryption_secret: Option<String>,
    /// Namespace for every namespaced object
    #[arg(long, value_name = "NAME")]
    target_namespace: Option<String>,
    /// Secret with the kubeconfig of a remote cluster
    #[arg(long, value_name = "NAME")]
    kubeconfig_secret_ref: Option<String>,
    /// How long to wait after a failure
    #[arg(long, value_name = "TIME", value_parser = duration)]
    retry_interval: Option<Duration>,
    /// Has no effect: everything is validated by a dry-run on the server
    #[arg(long, hide = true)]
    validation: Option<String>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    if args.validation.is_some() {
        cx.output.warning("--validation has no effect: everything is validated by a dry-run on the server");
    }
    let spec = spec(&args)?;
    let document = document(cx, &KIND, &args.shared, serde_json::to_value(spec).unwrap_or_default())?;
    if !args.shared.export {
        cx.output.generate("generating Kustomization");
    }
    finish(cx, &args.shared, vec![document]).await
}

fn spec(args: &Args) -> Result<KustomizationSpec, CliError> {
    let source = given(&args.source).ok_or_else(|| {
        CliError::user("--source is required", "e.g. --source=GitRepository/podinfo or --source=podinfo.flux-system")
    })?;
    let Reference { kind, name, namespace } = reference::read("--source", &source, SOURCES, Some("GitRepository"))?;
    let health_checks = match args.wait {
        true => Vec::new(),
        false => args.health_check.iter().map(|text| health_check(text)).collect::<Result<_, _>>()?,
    };
    let waits = args.wait || !health_checks.is_empty();
    Ok(KustomizationSpec {
        interval: args.shared.interval(),
        source_ref: SourceReference { api_version: None, kind, name, namespace },
        path: Some(path(&args.path)?),
        prune: args.prune,
        wait: args.wait.then_some(true),
        health_checks,
        timeout: waits.then(|| format_duration(args.health_check_timeout)),
        depends_on: reference::dependencies(&args.depends_on, true),
        service_account_name: given(&args.service_account),
        decryption: decryption(args)?,
        target_namespace: given(&args.target_namespace),
        kube_config: given(&args.kubeconfig_secret_ref).map(reference::remote),
        retry_interval: args.retry_interval.filter(|time| !time.is_zero()).map(format_duration),
        ..KustomizationSpec::default()
    })
}

/// Begins with `./` and stays inside the source, as Flux writes it.
fn path(text: &str) -> Result<String, CliError> {
    if !text.starts_with("./") {
        let hint = format!("write --path=./{}", text.trim_start_matches('/'));
        return Err(CliError::user(format!("--path {text:?} does not begin with ./"), hint));
    }
    let resolved = crate::base::FileTree::resolve("", text)
        .ok_or_else(|| CliError::user(format!("--path {text:?} leaves the source"), ""))?;
    Ok(format!("./{resolved}"))
}

/// `Kind/name.namespace`.
fn health_check(text: &str) -> Result<KindReference, CliError> {
    const KINDS: [&str; 4] = ["Deployment", "DaemonSet", "StatefulSet", "HelmRelease"];
    let refuse =
        |why: &str| Err(CliError::user(format!("--health-check {text:?}: {why}"), "write Kind/name.namespace"));
    let Some((kind, place)) = text.split_once('/') else { return refuse("there is no kind") };
    let Some((name, namespace)) = place.split_once('.') else { return refuse("there is no namespace") };
    if !KINDS.contains(&kind) {
        return refuse(&format!("{kind:?} is not one of {}", KINDS.join(", ")));
    }
    let api_version = match kind {
        "HelmRelease" => Some("helm.toolkit.fluxcd.io/v2".to_owned()),
        _ => None,
    };
    Ok(KindReference { api_version, kind: kind.into(), name: name.into(), namespace: Some(namespace.into()) })
}

fn decryption(args: &Args) -> Result<Option<Decryption>, CliError> {
    match given(&args.decryption_provider) {
        None => Ok(None),
        Some(provider) if provider == "sops" => Ok(Some(Decryption {
            provider,
            secret_ref: given(&args.decryption_secret).map(|name| LocalReference { name }),
            service_account_name: None,
        })),
        Some(other) => Err(CliError::user(format!("--decryption-provider {other:?} is not known"), "only sops is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_and_begin_with_a_dot() {
        assert_eq!(path("./").unwrap(), "./");
        assert_eq!(path("./a/../deploy/").unwrap(), "./deploy");
        assert!(path("./../x").is_err());
        assert_eq!(path("deploy").unwrap_err().hint, "write --path=./deploy");
    }

    #[test]
    fn health_checks_are_read() {
        let check = health_check("Deployment/web.shop").unwrap();
        assert_eq!((check.name.as_str(), check.namespace.as_deref()), ("web", Some("shop")));
        for bad in ["web", "Deployment/web", "Pod/web.shop"] {
            assert!(health_check(bad).is_err(), "{bad}");
        }
    }
}
