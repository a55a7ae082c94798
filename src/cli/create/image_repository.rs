//! `weir create image repository`. Source: flux2 cmd/flux/create_image_repository.go.

use std::time::Duration;

use super::{Shared, document, finish, given};
use crate::base::format_duration;
use crate::cli::global::duration;
use crate::cli::{CliError, Cx};
use crate::kinds::image_repository::{ImageRepositorySpec, KIND};
use crate::kinds::meta::LocalReference;
use crate::outside::oci::Repository;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// Image to list the tags of, without a tag, e.g. ghcr.io/org/app
    #[arg(long)]
    image: Option<String>,
    /// Name of a Secret with a registry login
    #[arg(long, value_name = "NAME")]
    secret_ref: Option<String>,
    /// Name of a Secret with a CA certificate, a client certificate, or both
    #[arg(long, value_name = "NAME")]
    cert_ref: Option<String>,
    /// Time-out of a scan
    #[arg(long, value_name = "TIME", value_parser = duration)]
    scan_timeout: Option<Duration>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let image = given(&args.image)
        .ok_or_else(|| CliError::user("--image is required", "e.g. --image=ghcr.io/stefanprodan/podinfo"))?;
    Repository::parse(&image).map_err(|error| CliError::user(error.to_string(), ""))?;
    let reference = |name: &Option<String>| given(name).map(|name| LocalReference { name });
    let spec = ImageRepositorySpec {
        image,
        interval: args.shared.interval(),
        timeout: args.scan_timeout.filter(|time| !time.is_zero()).map(format_duration),
        secret_ref: reference(&args.secret_ref),
        cert_secret_ref: reference(&args.cert_ref),
        ..ImageRepositorySpec::default()
    };
    let document = document(cx, &KIND, &args.shared, serde_json::to_value(spec).unwrap_or_default())?;
    finish(cx, &args.shared, vec![document]).await
}
