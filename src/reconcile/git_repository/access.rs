//! How a GitRepository's remote is reached: its URL, credentials, certificates and proxy, read from Secrets.
//!
//! Values never leave this file but inside `Secret`s. Start with [`remote`].
//!
//! Source: fluxcd/pkg git (auth options).

use std::time::Duration;

use super::super::secrets::{self, Data, failed, read, text};
use super::super::{Cause, Context, Failure};
use crate::base::Secret;
use crate::kinds::GitRepository;
use crate::outside::egress::Egress;
use crate::outside::git::{Auth, GitUrl, Remote, Scheme};

/// Gathers everything that is needed to speak to the remote.
///
/// Errors as stalled when the URL can never work, as retry when a Secret is missing or incomplete.
pub(super) async fn remote(
    cx: &Context,
    object: &GitRepository,
    namespace: &str,
    egress: Egress,
    timeout: Duration,
    allow_file: bool,
) -> Result<Remote, Failure> {
    let spec = &object.spec;
    let url =
        GitUrl::parse(&spec.url).map_err(|error| Failure::Stalled(Cause::new("URLInvalid", error.to_string())))?;
    let mut remote =
        Remote { url, auth: Auth::None, ca: None, certificate: None, proxy: None, egress, timeout, allow_file };
    if let Some(reference) = &spec.secret_ref {
        let data = read(cx, namespace, &reference.name).await?;
        let place = format!("{namespace}/{}", reference.name);
        let unusable =
            |why: String| failed(format!("failed to configure authentication options: secret '{place}': {why}"));
        remote.auth = auth(remote.url.scheme, &data).map_err(unusable)?;
        remote.ca = secrets::ca(&data).map_err(unusable)?;
        remote.certificate = secrets::certificate(&data).map_err(unusable)?;
    }
    if let Some(reference) = &spec.proxy_secret_ref {
        let data = read(cx, namespace, &reference.name).await?;
        let place = format!("{namespace}/{}", reference.name);
        let unusable = |why: String| failed(format!("failed to configure proxy options: secret '{place}': {why}"));
        remote.proxy = Some(secrets::proxy(&data).map_err(unusable)?);
    }
    Ok(remote)
}

fn auth(scheme: Scheme, data: &Data) -> Result<Auth, String> {
    if data.contains_key("githubAppID") {
        return Err("it holds GitHub App data, which needs spec.provider: github, and that is not supported yet".into());
    }
    let one = |key: &str| text(data, &[key]);
    match scheme {
        Scheme::Ssh => Ok(Auth::Ssh {
            user: one("username")?.unwrap_or_else(|| "git".into()),
            identity: Secret::new(one("identity")?.ok_or("the key identity is missing, which SSH needs")?),
            passphrase: one("password")?.map(Secret::new),
            known_hosts: one("known_hosts")?.ok_or("the key known_hosts is missing, which SSH needs")?,
        }),
        Scheme::Http | Scheme::Https => match (one("username")?, one("password")?, one("bearerToken")?) {
            (None, None, None) => Ok(Auth::None),
            (None, None, Some(token)) => Ok(Auth::Bearer(Secret::new(token.trim_end()))),
            (Some(user), Some(password), None) => Ok(Auth::Basic { user, password: Secret::new(password) }),
            (_, _, Some(_)) => Err("it holds bearerToken and username or password; keep one of them".into()),
            (Some(_), None, None) => Err("the key password is missing beside username".into()),
            (None, Some(_), None) => Err("the key username is missing beside password".into()),
        },
        Scheme::File => Ok(Auth::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> Data {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn each_kind_of_secret_is_understood() {
        let https = |pairs: &[(&str, &str)]| auth(Scheme::Https, &data(pairs));
        assert!(matches!(https(&[("username", "u"), ("password", "p")]), Ok(Auth::Basic { .. })));
        assert!(matches!(https(&[("bearerToken", "t\n")]), Ok(Auth::Bearer(token)) if token.reveal() == "t"));
        assert!(matches!(https(&[("ca.crt", "x")]), Ok(Auth::None)));
        for bad in [
            &[("username", "u")][..],
            &[("password", "p")],
            &[("username", "u"), ("password", "p"), ("bearerToken", "t")],
            &[("githubAppID", "1")],
        ] {
            assert!(https(bad).is_err(), "{bad:?}");
        }
        let ssh = |pairs: &[(&str, &str)]| auth(Scheme::Ssh, &data(pairs));
        let whole = ssh(&[("identity", "k"), ("known_hosts", "h")]);
        assert!(matches!(whole, Ok(Auth::Ssh { user, passphrase: None, .. }) if user == "git"));
        assert!(ssh(&[("identity", "k")]).unwrap_err().contains("known_hosts"));
        assert!(ssh(&[("known_hosts", "h")]).unwrap_err().contains("identity"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", auth(Scheme::Https, &data(&[("username", "u"), ("password", "canary")])));
        assert!(!shown.contains("canary"));
    }
}
