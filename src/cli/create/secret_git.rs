//! `weir create secret git`: a Secret with what a Git server wants to see, keys made and host keys scanned here.
//!
//! Source: flux2 cmd/flux/create_secret_git.go and pkg/manifestgen/sourcesecret.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Shared, check_name, finish, given, labels};
use crate::base::{Secret, Text, yaml};
use crate::cli::{CliError, Cx};
use crate::outside::egress::Egress;
use crate::outside::git::{GitUrl, KeyKind, KeyPair, Scheme, generate, public_of, scan_host};

/// How long a host may take to show its keys.
const SCAN: std::time::Duration = std::time::Duration::from_secs(30);

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// Address of the repository, e.g. ssh://git@host/org/repository
    #[arg(long)]
    url: Option<String>,
    /// User name for basic authentication
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Password for basic authentication, or of the private key
    #[arg(short, long)]
    password: Option<String>,
    /// Token for bearer authentication
    #[arg(long, value_name = "TOKEN")]
    bearer_token: Option<String>,
    /// Kind of the SSH key that is made
    #[arg(long, value_name = "KIND", default_value = "ecdsa", value_parser = ["ecdsa", "ed25519", "rsa"])]
    ssh_key_algorithm: String,
    /// Bits of an RSA key
    #[arg(long, value_name = "BITS", default_value_t = 2048)]
    ssh_rsa_bits: usize,
    /// Curve of an ECDSA key
    #[arg(long, value_name = "CURVE", default_value = "p384", value_parser = ["p256", "p384", "p521"])]
    ssh_ecdsa_curve: String,
    /// File with the private key to use, instead of a new one
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// File with the certificate authority of an https server
    #[arg(long, alias = "ca-file", value_name = "FILE")]
    ca_crt_file: Option<PathBuf>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    check_name(&args.shared.name)?;
    let text = given(&args.url)
        .ok_or_else(|| CliError::user("--url is required", "e.g. --url=ssh://git@host/org/repository"))?;
    let url = GitUrl::parse(&text).map_err(|error| CliError::user(error.to_string(), ""))?;
    let data = match url.scheme {
        Scheme::Ssh => over_ssh(cx, &args, &url).await?,
        Scheme::Http | Scheme::Https => over_http(cx, &args, url.scheme)?,
        Scheme::File => return Err(CliError::user("a repository on this machine needs no Secret", "")),
    };
    let mut metadata = Map::new();
    metadata.insert("name".into(), args.shared.name.clone().into());
    metadata.insert("namespace".into(), cx.global.namespace().into());
    let labels = labels(&args.shared.label)?;
    if !labels.is_empty() {
        metadata.insert("labels".into(), labels.into());
    }
    let document =
        yaml::sorted(json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data }));
    finish(cx, &args.shared, vec![document]).await
}

fn over_http(cx: &Cx, args: &Args, scheme: Scheme) -> Result<Map<String, Value>, CliError> {
    let mut data = Map::new();
    match (given(&args.username), given(&args.password), given(&args.bearer_token)) {
        (Some(username), Some(password), None) => {
            data.insert("username".into(), username.into());
            data.insert("password".into(), password.into());
        }
        (None, None, Some(token)) => {
            data.insert("bearerToken".into(), token.into());
        }
        (_, _, Some(_)) => return Err(CliError::user("user credentials and bearer token cannot be used together", "")),
        _ => {
            let message = "for Git over HTTP/S the username and password, or a bearer token is required";
            return Err(CliError::user(message, "use --username and --password, or --bearer-token"));
        }
    }
    if scheme == Scheme::Http {
        cx.output.warning("the credentials go over http in the clear");
    }
    if let Some(path) = &args.ca_crt_file {
        data.insert("ca.crt".into(), read(path)?.into());
    }
    Ok(data)
}

async fn over_ssh(cx: &Cx, args: &Args, url: &GitUrl) -> Result<Map<String, Value>, CliError> {
    if args.ca_crt_file.is_some() {
        return Err(CliError::user(
            "--ca-crt-file is for https, not for ssh",
            "the host key goes into the Secret instead",
        ));
    }
    let passphrase = given(&args.password).map(Secret::new);
    let refused = |error: crate::outside::git::GitError| CliError::user(error.to_string(), "");
    let pair = match &args.private_key_file {
        Some(path) => {
            let identity = Secret::new(read(path)?);
            let public = public_of(&identity, passphrase.as_ref()).map_err(refused)?;
            KeyPair { identity, public }
        }
        None => {
            let kind = kind(args)?;
            let made = tokio::task::spawn_blocking(move || generate(kind)).await;
            made.map_err(|error| CliError::internal(error.to_string()))?.map_err(refused)?
        }
    };
    let found = scan_host(url, Egress { loopback: true }, SCAN.min(cx.global.timeout)).await;
    let keys = found.map_err(|error| {
        CliError::user(
            format!("the host key of {} cannot be scanned: {error}", url.authority()),
            "is the address right?",
        )
    })?;
    for key in &keys {
        let words = format!("{} shows {} {}: compare it", url.authority(), key.algorithm, key.fingerprint);
        cx.output.warning(Text::new(words).as_str());
    }
    cx.output.generate(format!("deploy key: {}", pair.public));
    let lines: Vec<&str> = keys.iter().map(|key| key.line.as_str()).collect();
    let mut data = Map::new();
    data.insert("identity".into(), pair.identity.reveal().into());
    data.insert("identity.pub".into(), format!("{}\n", pair.public).into());
    data.insert("known_hosts".into(), format!("{}\n", lines.join("\n")).into());
    if let Some(passphrase) = passphrase.filter(|_| args.private_key_file.is_some()) {
        data.insert("password".into(), passphrase.reveal().into());
    }
    Ok(data)
}

fn kind(args: &Args) -> Result<KeyKind, CliError> {
    Ok(match (args.ssh_key_algorithm.as_str(), args.ssh_ecdsa_curve.as_str()) {
        ("ed25519", _) => KeyKind::Ed25519,
        ("rsa", _) => KeyKind::Rsa(args.ssh_rsa_bits),
        (_, "p256") => KeyKind::Ecdsa(256),
        (_, "p521") => KeyKind::Ecdsa(521),
        _ => KeyKind::Ecdsa(384),
    })
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|e| CliError::user(format!("{} cannot be read: {e}", path.display()), ""))
}
