//! `weir create source helm`. Source: flux2 cmd/flux/create_source_helm.go.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use serde_json::{Map, Value, json};

use super::{Shared, document, finish, given};
use crate::base::format_duration;
use crate::cli::global::duration;
use crate::cli::{CliError, Cx};
use crate::kinds::helm_repository::{HelmRepositorySpec, KIND, RepositoryType};
use crate::kinds::meta::LocalReference;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// Address of the repository, e.g. https://stefanprodan.github.io/podinfo or oci://ghcr.io/stefanprodan/charts
    #[arg(long)]
    url: Option<String>,
    /// User name for basic authentication
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Password for basic authentication
    #[arg(short, long)]
    password: Option<String>,
    /// File with the client certificate
    #[arg(long, value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// File with the key of the client certificate
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// File with the certificate authority of the server
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Name of a Secret that has certificates, user and password, or a registry login
    #[arg(long, value_name = "NAME")]
    secret_ref: Option<String>,
    /// generic, aws, azure or gcp; for registries
    #[arg(long, value_name = "PROVIDER")]
    oci_provider: Option<String>,
    /// Send the credentials to chart addresses on other hosts too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pass_credentials: bool,
    /// Time-out of fetching the index or a chart
    #[arg(long, value_name = "TIME", value_parser = duration)]
    fetch_timeout: Option<Duration>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let mut spec = spec(&args)?;
    let mut documents = Vec::new();
    if spec.secret_ref.is_none() && !args.shared.export {
        let secret = credentials(cx, &args)?;
        if secret.is_some() {
            spec.secret_ref = Some(LocalReference { name: secret_name(&args) });
            spec.pass_credentials = args.pass_credentials.then_some(true);
        }
        documents.extend(secret);
    }
    documents.push(document(cx, &KIND, &args.shared, serde_json::to_value(spec).unwrap_or_default())?);
    if !args.shared.export {
        cx.output.generate("generating HelmRepository source");
    }
    finish(cx, &args.shared, documents).await
}

fn spec(args: &Args) -> Result<HelmRepositorySpec, CliError> {
    let url = given(&args.url)
        .ok_or_else(|| CliError::user("--url is required", "e.g. --url=https://stefanprodan.github.io/podinfo"))?;
    let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
    let is_registry = scheme == "oci";
    if !is_registry && !matches!(scheme, "http" | "https") {
        return Err(CliError::user(format!("--url {url:?} is not the address of a Helm repository"), SCHEMES));
    }
    if rest.split('/').next().is_none_or(str::is_empty) {
        return Err(CliError::user(format!("--url {url:?} names no host"), SCHEMES));
    }
    let secret = given(&args.secret_ref).map(|name| LocalReference { name });
    Ok(HelmRepositorySpec {
        interval: Some(args.shared.interval()),
        type_: is_registry.then_some(RepositoryType::Oci),
        provider: given(&args.oci_provider).filter(|_| is_registry),
        timeout: args.fetch_timeout.filter(|time| !time.is_zero()).map(format_duration),
        pass_credentials: (secret.is_some() && args.pass_credentials).then_some(true),
        secret_ref: secret,
        url,
        ..HelmRepositorySpec::default()
    })
}

const SCHEMES: &str = "write http://, https:// or oci://, then the host";

/// Source: flux2 cmd/flux/create_source_helm.go (the name of the Secret).
fn secret_name(args: &Args) -> String {
    format!("helm-{}", args.shared.name)
}

/// The Secret that the flags ask for; `None` when they ask for none.
fn credentials(cx: &Cx, args: &Args) -> Result<Option<Value>, CliError> {
    let mut data = Map::new();
    match (given(&args.username), given(&args.password)) {
        (Some(username), Some(password)) => {
            if args.url.as_deref().is_some_and(|url| url.starts_with("http://")) {
                cx.output.warning("the password goes over http in the clear");
            }
            data.insert("username".into(), username.into());
            data.insert("password".into(), password.into());
        }
        (None, None) => {}
        _ => return Err(CliError::user("--username and --password go together", "")),
    }
    if args.cert_file.is_some() != args.key_file.is_some() {
        return Err(CliError::user("--cert-file and --key-file go together", ""));
    }
    for (key, path) in [("tls.crt", &args.cert_file), ("tls.key", &args.key_file), ("ca.crt", &args.ca_file)] {
        if let Some(path) = path {
            let refused = |e| CliError::user(format!("{} cannot be read: {e}", path.display()), "");
            let bytes = std::fs::read(path).map_err(refused)?;
            data.insert(key.into(), String::from_utf8_lossy(&bytes).into());
        }
    }
    if data.is_empty() {
        return Ok(None);
    }
    Ok(Some(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": secret_name(args), "namespace": cx.global.namespace() },
        "stringData": data,
    })))
}
