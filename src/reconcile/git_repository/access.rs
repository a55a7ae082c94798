//! How a GitRepository's remote is reached: its URL, credentials, certificates and proxy, read from Secrets.
//!
//! Values never leave this file but inside `Secret`s. Start with [`remote`].
//!
//! Source: fluxcd/pkg git (auth options) and runtime/secrets (keys, old and new names).

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;

use super::super::{Cause, Context, Failure};
use crate::base::{Id, Secret, Value};
use crate::kinds::GitRepository;
use crate::outside::egress::Egress;
use crate::outside::git::{Auth, GitUrl, Remote, Scheme};
use crate::outside::http::{ClientCertificate, Proxy};

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
        remote.ca = text(&data, &["ca.crt", "caFile"]).map_err(unusable)?.map(String::into_bytes);
        remote.certificate = certificate(&data).map_err(unusable)?;
    }
    if let Some(reference) = &spec.proxy_secret_ref {
        let data = read(cx, namespace, &reference.name).await?;
        let place = format!("{namespace}/{}", reference.name);
        let unusable = |why: String| failed(format!("failed to configure proxy options: secret '{place}': {why}"));
        remote.proxy = Some(proxy(&data).map_err(unusable)?);
    }
    Ok(remote)
}

type Data = BTreeMap<String, Vec<u8>>;

async fn read(cx: &Context, namespace: &str, name: &str) -> Result<Data, Failure> {
    let id = Id::new("", "Secret", namespace, name);
    let place = format!("{namespace}/{name}");
    let document = match cx.cluster.get(&id).await {
        Ok(Some(document)) => document,
        Ok(None) => return Err(failed(format!("failed to get secret '{place}': it does not exist"))),
        Err(error) => return Err(failed(format!("failed to get secret '{place}': {error}"))),
    };
    let mut data = Data::new();
    for (key, value) in document.get("data").and_then(Value::as_object).into_iter().flatten() {
        let decoded = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default());
        let decoded = decoded.map_err(|_| failed(format!("key {key:?} of secret '{place}' is not base64")))?;
        data.insert(key.clone(), decoded);
    }
    Ok(data)
}

fn failed(message: String) -> Failure {
    Failure::Retry(Cause::new("AuthenticationFailed", message))
}

/// The first of some keys that is there and not empty, as text.
fn text(data: &Data, keys: &[&str]) -> Result<Option<String>, String> {
    for key in keys {
        if let Some(value) = data.get(*key).filter(|value| !value.is_empty()) {
            let text = String::from_utf8(value.clone());
            return text.map(Some).map_err(|_| format!("key {key:?} is not text"));
        }
    }
    Ok(None)
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

fn certificate(data: &Data) -> Result<Option<ClientCertificate>, String> {
    match (text(data, &["tls.crt", "certFile"])?, text(data, &["tls.key", "keyFile"])?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(ClientCertificate { certificate: certificate.into_bytes(), key: Secret::new(key) }))
        }
        _ => Err("tls.crt and tls.key belong together, and one is missing".into()),
    }
}

fn proxy(data: &Data) -> Result<Proxy, String> {
    let address = text(data, &["address"])?.ok_or("the key address is missing")?;
    let known = ["http://", "https://", "socks5://"].iter().any(|scheme| address.starts_with(scheme));
    if !known || address.len() > 2048 {
        return Err("the address is not an http, https or socks5 URL".into());
    }
    let user = match (text(data, &["username"])?, text(data, &["password"])?) {
        (None, None) => None,
        (Some(user), password) => Some((user, Secret::new(password.unwrap_or_default()))),
        (None, Some(_)) => return Err("the key username is missing beside password".into()),
    };
    Ok(Proxy { address: address.trim_end().to_owned(), user })
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
    fn new_names_win_over_old_ones_and_pairs_are_whole() {
        let both = data(&[("tls.crt", "new"), ("certFile", "old"), ("keyFile", "k")]);
        assert_eq!(certificate(&both).unwrap().unwrap().certificate, b"new");
        assert!(certificate(&data(&[("tls.crt", "c")])).is_err());
        assert!(certificate(&data(&[])).unwrap().is_none());
    }

    #[test]
    fn proxies_are_checked_and_secrets_are_not_shown() {
        assert!(proxy(&data(&[("address", "socks5://p:1"), ("username", "u")])).is_ok());
        for bad in [&[("address", "ftp://p")][..], &[("username", "u")], &[("address", "http://p"), ("password", "x")]]
        {
            assert!(proxy(&data(bad)).is_err(), "{bad:?}");
        }
        let shown = format!("{:?}", auth(Scheme::Https, &data(&[("username", "u"), ("password", "canary")])));
        assert!(!shown.contains("canary"));
    }
}
