//! What sources read from Secrets: logins, certificates, proxies, registries' logins.
//!
//! Values never leave this file but inside `Secret`s. Start with [`read`].
//!
//! Source: fluxcd/pkg runtime/secrets (keys, old and new names).

use std::collections::BTreeMap;

use base64::Engine as _;

use super::{Cause, Context, Failure};
use crate::base::{Id, Secret, Value};
use crate::outside::http::{ClientCertificate, Credentials, Proxy};

/// The decoded data of a Secret.
pub(super) type Data = BTreeMap<String, Vec<u8>>;

/// Reads a Secret.
///
/// Errors as a retry when it is missing or cannot be read.
pub(super) async fn read(cx: &Context, namespace: &str, name: &str) -> Result<Data, Failure> {
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

/// The failure that every unusable Secret is.
pub(super) fn failed(message: String) -> Failure {
    Failure::Retry(Cause::new("AuthenticationFailed", message))
}

/// The first of some keys that is there and not empty, as text.
pub(super) fn text(data: &Data, keys: &[&str]) -> Result<Option<String>, String> {
    for key in keys {
        if let Some(value) = data.get(*key).filter(|value| !value.is_empty()) {
            let text = String::from_utf8(value.clone());
            return text.map(Some).map_err(|_| format!("key {key:?} is not text"));
        }
    }
    Ok(None)
}

/// A user name and password, where there are any.
///
/// Errors when one stands without the other.
pub(super) fn basic(data: &Data) -> Result<Credentials, String> {
    match (text(data, &["username"])?, text(data, &["password"])?) {
        (None, None) => Ok(Credentials::None),
        (Some(user), Some(password)) => Ok(Credentials::Basic { user, password: Secret::new(password) }),
        (Some(_), None) => Err("the key password is missing beside username".into()),
        (None, Some(_)) => Err("the key username is missing beside password".into()),
    }
}

/// The certificates to trust besides the system's.
pub(super) fn ca(data: &Data) -> Result<Option<Vec<u8>>, String> {
    Ok(text(data, &["ca.crt", "caFile"])?.map(String::into_bytes))
}

/// The client certificate and its key.
///
/// Errors when one stands without the other.
pub(super) fn certificate(data: &Data) -> Result<Option<ClientCertificate>, String> {
    match (text(data, &["tls.crt", "certFile"])?, text(data, &["tls.key", "keyFile"])?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(ClientCertificate { certificate: certificate.into_bytes(), key: Secret::new(key) }))
        }
        _ => Err("tls.crt and tls.key belong together, and one is missing".into()),
    }
}

/// The proxy.
///
/// Errors when there is no address, or one of no known scheme.
pub(super) fn proxy(data: &Data) -> Result<Proxy, String> {
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
    fn new_names_win_over_old_ones_and_pairs_are_whole() {
        let both = data(&[("tls.crt", "new"), ("certFile", "old"), ("keyFile", "k")]);
        assert_eq!(certificate(&both).unwrap().unwrap().certificate, b"new");
        assert!(certificate(&data(&[("tls.crt", "c")])).is_err());
        assert!(certificate(&data(&[])).unwrap().is_none());
        assert!(matches!(basic(&data(&[("username", "u"), ("password", "p")])), Ok(Credentials::Basic { .. })));
        assert!(basic(&data(&[("username", "u")])).is_err() && basic(&data(&[("password", "p")])).is_err());
    }

    #[test]
    fn proxies_are_checked_and_secrets_are_not_shown() {
        assert!(proxy(&data(&[("address", "socks5://p:1"), ("username", "u")])).is_ok());
        for bad in [&[("address", "ftp://p")][..], &[("username", "u")], &[("address", "http://p"), ("password", "x")]]
        {
            assert!(proxy(&data(bad)).is_err(), "{bad:?}");
        }
        let shown = format!("{:?}", basic(&data(&[("username", "u"), ("password", "canary")])));
        assert!(!shown.contains("canary"));
    }
}
