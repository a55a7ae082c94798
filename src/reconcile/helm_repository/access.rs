//! How a HelmRepository is reached, as an index over http or as a registry: credentials and certificates from Secrets.
//!
//! Start with [`http`] and [`registry`].
//!
//! Source: source-controller internal/helm/getter (client_opts.go) and internal/helm/registry (auth.go).

use std::time::Duration;

use super::super::secrets::{self, Data};
use super::super::storage::{TIMEOUT, duration, egress, refused_provider};
use super::super::{Cause, Context, Failure};
use crate::kinds::helm_repository::HelmRepositorySpec;
use crate::outside::helm_index::HelmRepository;
use crate::outside::http::{Client, Credentials, Settings, bare};
use crate::outside::oci::{Access, Login, Logins, Repository};

/// A repository over http.
///
/// Errors as stalled when the URL can never work, as retry when a Secret is missing or incomplete.
pub(in crate::reconcile) async fn http(
    cx: &Context,
    spec: &HelmRepositorySpec,
    namespace: &str,
) -> Result<HelmRepository, Failure> {
    if spec.url.starts_with("oci://") {
        let message = "invalid Helm repository URL: 'oci' URL scheme cannot be used with 'default' HelmRepository type";
        return Err(Failure::Stalled(Cause::new("URLInvalid", message)));
    }
    let (settings, data) = settings(cx, spec, namespace).await?;
    let credentials = match &data {
        Some(data) => secrets::basic(data).map_err(|why| unusable(spec, namespace, &why))?,
        None => Credentials::None,
    };
    Ok(HelmRepository {
        client: Client::new(&settings).map_err(|error| secrets::failed(error.to_string()))?,
        url: spec.url.clone(),
        credentials,
        pass_credentials: spec.pass_credentials == Some(true),
        timeout: timeout(spec)?,
    })
}

/// A registry, and the repository in it below which the charts are.
///
/// Errors as [`http`].
pub(in crate::reconcile) async fn registry(
    cx: &Context,
    spec: &HelmRepositorySpec,
    namespace: &str,
    chart: &str,
) -> Result<(Repository, Access), Failure> {
    let provider = spec.provider.as_deref().unwrap_or_default();
    if spec.secret_ref.is_none()
        && let Some(message) = refused_provider(provider)
    {
        return Err(Failure::Stalled(Cause::new("InvalidProviderConfiguration", message)));
    }
    let invalid = |why: String| Failure::Stalled(Cause::new("URLInvalid", format!("invalid OCI registry URL: {why}")));
    if !spec.url.starts_with("oci://") {
        return Err(invalid(format!("{:?} does not begin with oci://", bare(&spec.url))));
    }
    let base = spec.url.trim_end_matches('/');
    let repository = Repository::parse(&format!("{base}/{}", chart.trim_matches('/')));
    let repository = repository.map_err(|error| invalid(error.to_string()))?;
    let (settings, data) = settings(cx, spec, namespace).await?;
    let login = match &data {
        Some(data) => login(data, &repository).map_err(|why| unusable(spec, namespace, &why))?,
        None => Login::None,
    };
    let insecure = spec.insecure == Some(true);
    Ok((repository, Access { settings, login, insecure, timeout: timeout(spec)? }))
}

/// The time that one run may talk with the repository.
fn timeout(spec: &HelmRepositorySpec) -> Result<Duration, Failure> {
    spec.timeout.as_deref().map_or(Ok(TIMEOUT), duration)
}

/// What the client needs, and the Secret with the login. Certificates of certSecretRef win over those beside a login.
async fn settings(
    cx: &Context,
    spec: &HelmRepositorySpec,
    namespace: &str,
) -> Result<(Settings, Option<Data>), Failure> {
    let mut settings = Settings { egress: egress(cx), ..Settings::default() };
    let login = match &spec.secret_ref {
        Some(reference) => Some(secrets::read(cx, namespace, &reference.name).await?),
        None => None,
    };
    let certificates = match &spec.cert_secret_ref {
        Some(reference) => Some(secrets::read(cx, namespace, &reference.name).await?),
        None => login.clone(),
    };
    if let Some(data) = certificates {
        let refused = |why: String| secrets::failed(format!("failed to construct Helm client's TLS config: {why}"));
        settings.ca = secrets::ca(&data).map_err(refused)?;
        settings.certificate = secrets::certificate(&data).map_err(refused)?;
        if spec.cert_secret_ref.is_some() && settings.ca.is_none() && settings.certificate.is_none() {
            return Err(refused("the secret has neither ca.crt nor tls.crt and tls.key".into()));
        }
    }
    Ok((settings, login))
}

/// A registry's login: a docker configuration, or user and password.
fn login(data: &Data, repository: &Repository) -> Result<Login, String> {
    if let Some(config) = data.get(".dockerconfigjson") {
        return Ok(Logins::parse(config)?.of(repository));
    }
    Ok(match secrets::basic(data)? {
        Credentials::Basic { user, password } => Login::Basic { user, password },
        _ => Login::None,
    })
}

fn unusable(spec: &HelmRepositorySpec, namespace: &str, why: &str) -> Failure {
    let name = spec.secret_ref.as_ref().map_or("", |reference| reference.name.as_str());
    secrets::failed(format!("failed to configure authentication options: secret '{namespace}/{name}': {why}"))
}
