//! `weir create source oci`. Source: flux2 cmd/flux/create_source_oci.go.

use std::time::Duration;

use clap::ArgAction;

use super::verification::Verification;
use super::{Shared, document, finish, given};
use crate::base::format_duration;
use crate::cli::global::duration;
use crate::cli::{CliError, Cx};
use crate::kinds::meta::LocalReference;
use crate::kinds::oci_repository::{
    KIND, LayerOperation, LayerSelector, OCIRepositorySpec, OciReference, OciVerification,
};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// Address of the repository, e.g. oci://ghcr.io/stefanprodan/manifests/podinfo
    #[arg(long)]
    url: Option<String>,
    /// Tag to pull
    #[arg(long)]
    tag: Option<String>,
    /// Version range over the tags, e.g. ">=1.0.0 <2.0.0"
    #[arg(long, value_name = "RANGE")]
    tag_semver: Option<String>,
    /// Digest to pull, as sha256:HEX
    #[arg(long)]
    digest: Option<String>,
    /// Which layer and what to do with it: extract or copy
    #[arg(long, value_name = "MEDIA-TYPE:OPERATION")]
    layer_selector: Option<String>,
    /// generic, aws, azure or gcp
    #[arg(long)]
    provider: Option<String>,
    /// Name of a Secret that has the registry login
    #[arg(long, value_name = "NAME")]
    secret_ref: Option<String>,
    /// Name of a Secret that has the proxy address
    #[arg(long, value_name = "NAME")]
    proxy_secret_ref: Option<String>,
    /// Name of a service account whose pull secrets are used
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// Name of a Secret that has certificates
    #[arg(long, value_name = "NAME")]
    cert_ref: Option<String>,
    #[command(flatten)]
    verification: Verification,
    /// Patterns of files that stay out of the artifact; may be repeated or divided by commas
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    ignore_paths: Vec<String>,
    /// Speak plain http to the registry
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    insecure: bool,
    /// Time-out of one run's talk with the registry
    #[arg(long, value_name = "TIME", value_parser = duration)]
    fetch_timeout: Option<Duration>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let spec = spec(&args)?;
    let document = document(cx, &KIND, &args.shared, serde_json::to_value(spec).unwrap_or_default())?;
    if !args.shared.export {
        cx.output.generate("generating OCIRepository source");
    }
    finish(cx, &args.shared, vec![document]).await
}

fn spec(args: &Args) -> Result<OCIRepositorySpec, CliError> {
    let url = given(&args.url)
        .ok_or_else(|| CliError::user("--url is required", "e.g. --url=oci://ghcr.io/owner/manifests/app"))?;
    if let Err(error) = crate::outside::oci::Repository::parse(&url) {
        return Err(CliError::user(format!("--url: {error}"), "the tag goes into --tag"));
    }
    let local = |name: &Option<String>| given(name).map(|name| LocalReference { name });
    let reference = OciReference {
        digest: given(&args.digest),
        semver: given(&args.tag_semver),
        semver_filter: None,
        tag: given(&args.tag),
    };
    if reference == OciReference::default() {
        return Err(CliError::user("what to pull is not said", "use one of --tag, --tag-semver or --digest"));
    }
    let verify = args.verification.wanted()?.map(|wanted| OciVerification {
        provider: wanted.provider,
        secret_ref: wanted.secret_ref,
        match_oidc_identity: wanted.identities,
        trusted_root_secret_ref: None,
    });
    Ok(OCIRepositorySpec {
        url,
        interval: args.shared.interval(),
        timeout: args.fetch_timeout.filter(|time| !time.is_zero()).map(format_duration),
        reference: Some(reference),
        layer_selector: given(&args.layer_selector).map(|text| layer_selector(&text)).transpose()?,
        provider: given(&args.provider).filter(|provider| provider != "generic"),
        secret_ref: local(&args.secret_ref),
        proxy_secret_ref: local(&args.proxy_secret_ref),
        cert_secret_ref: local(&args.cert_ref),
        service_account_name: given(&args.service_account),
        verify,
        ignore: (!args.ignore_paths.is_empty()).then(|| args.ignore_paths.join("\n")),
        insecure: args.insecure.then_some(true),
        ..OCIRepositorySpec::default()
    })
}

/// `media-type:operation`.
fn layer_selector(text: &str) -> Result<LayerSelector, CliError> {
    let hint = "write it like application/vnd.cncf.helm.chart.content.v1.tar+gzip:copy";
    let Some((media_type, operation)) = text.split_once(':').filter(|(media_type, _)| !media_type.is_empty()) else {
        return Err(CliError::user(format!("--layer-selector {text:?} is not media-type:operation"), hint));
    };
    let operation = match operation {
        "extract" => LayerOperation::Extract,
        "copy" => LayerOperation::Copy,
        _ => return Err(CliError::user(format!("--layer-selector {text:?}: use extract or copy"), hint)),
    };
    Ok(LayerSelector { media_type: Some(media_type.into()), operation: Some(operation) })
}
