//! Clusters as a tenant has them: as a service account, or by a kubeconfig that somebody put into a Secret.
//!
//! A tenant's word is never trusted with this machine: nothing of such a kubeconfig runs a program, reads a file or
//! leaves out the check of a certificate, and there is no falling back to weir's own rights. Start with
//! [`Cluster::as_account`]. Source: fluxcd/pkg runtime/client (Impersonator, KubeConfig).

use std::sync::Arc;

use http::{HeaderValue, Request};
use kube::client::Body;
use kube::config::{AuthInfo, Cluster as Named, Config, KubeConfigOptions, Kubeconfig};

use super::connect::{no_kubeconfig, open, without_credentials};
use super::{Cluster, ConnectError, Inside, Place};

/// More is no kubeconfig.
const BYTES: usize = 1 << 20;

impl Cluster {
    /// This cluster, asked as a service account with its rights and no others.
    ///
    /// Errors when the namespace or the name is empty or no name at all, or the cluster is asked as somebody else already:
    /// the account would get the groups of that one.
    pub fn as_account(&self, namespace: &str, name: &str) -> Result<Cluster, ConnectError> {
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let is_name = |text: &str| !text.is_empty() && !text.contains(':');
        let header = HeaderValue::try_from(&user).ok().filter(|_| is_name(namespace) && is_name(name));
        let header = header.ok_or_else(|| refuse(format!("{user:?} is no service account"), "correct the name"))?;
        if self.0.poses {
            let hint = "use a context without as, as-groups and the like";
            return Err(refuse(format!("weir itself acts as somebody else and cannot act as {user:?}, too"), hint));
        }
        let inner = self.client();
        let within = inner.default_namespace().to_owned();
        let service = tower::service_fn(move |mut request: Request<Body>| {
            request.headers_mut().insert("impersonate-user", header.clone());
            let inner = inner.clone();
            async move { inner.send(request).await }
        });
        let client = kube::Client::new(service, within);
        let (place, discovery) = (self.0.place.clone(), Arc::clone(&self.0.discovery));
        Ok(Cluster(Arc::new(Inside { client, place, discovery, poses: true })))
    }

    /// The cluster of a kubeconfig's current context, greeted once.
    ///
    /// Errors when it asks for more than a server, certificates and a token, or the server does not answer.
    pub async fn by_kubeconfig(text: &str) -> Result<Cluster, ConnectError> {
        if text.len() > BYTES {
            return Err(refuse("it is larger than a kubeconfig can be".into(), "put only the kubeconfig there"));
        }
        let hint = "put a whole kubeconfig there, with a current context";
        let known =
            Kubeconfig::from_yaml(text).map_err(|error| refuse(format!("it {}", no_kubeconfig(&error)), hint))?;
        let name = known.current_context.clone().unwrap_or_default();
        let context = known.contexts.iter().find(|known| known.name == name).and_then(|known| known.context.clone());
        let context = context.ok_or_else(|| refuse(format!("it has no context {name:?}"), hint))?;
        let cluster = known.clusters.iter().find(|known| known.name == context.cluster);
        let cluster = cluster.and_then(|known| known.cluster.as_ref());
        let cluster = cluster.ok_or_else(|| refuse(format!("it has no cluster {:?}", context.cluster), hint))?;
        let user = context.user.as_deref().unwrap_or_default();
        let login = known.auth_infos.iter().find(|known| known.name == user).and_then(|known| known.auth_info.as_ref());
        if let Some(field) = too_much(cluster, login) {
            let hint = "write certificates, keys and tokens into it";
            return Err(refuse(format!("its {field} is not taken from a Secret"), hint));
        }
        let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(known, &options).await;
        let config = config.map_err(|error| refuse(format!("it {}", no_kubeconfig(&error)), hint))?;
        let server = without_credentials(&config.cluster_url);
        open(config, Place::Context { name, server }, None).await
    }
}

/// The first field that would run a program, read a file, trust anybody or pose as somebody.
fn too_much(cluster: &Named, login: Option<&AuthInfo>) -> Option<&'static str> {
    let empty = AuthInfo::default();
    let login = login.unwrap_or(&empty);
    let fields = [
        (cluster.insecure_skip_tls_verify == Some(true), "insecure-skip-tls-verify"),
        (cluster.certificate_authority.is_some(), "certificate-authority"),
        (cluster.proxy_url.is_some(), "proxy-url"),
        (login.exec.is_some(), "exec"),
        (login.auth_provider.is_some(), "auth-provider"),
        (login.token_file.is_some(), "tokenFile"),
        (login.client_certificate.is_some(), "client-certificate"),
        (login.client_key.is_some(), "client-key"),
        (poses(login), "as"),
    ];
    fields.into_iter().find(|(given, _)| *given).map(|(_, field)| field)
}

/// Whether a login acts as somebody else.
pub(super) fn poses(login: &AuthInfo) -> bool {
    login.impersonate.is_some()
        || login.impersonate_groups.is_some()
        || login.impersonate_uid.is_some()
        || login.impersonate_user_extra.is_some()
}

fn refuse(message: String, hint: &str) -> ConnectError {
    ConnectError { message, hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_acts_as_somebody_else_does_not_act_as_an_account() {
        let service = tower::service_fn(|_: Request<Body>| async { Err::<http::Response<Body>, _>("not asked") });
        let client = kube::Client::new(service, "default");
        let place = Place::Context { name: "a".into(), server: "https://a".into() };
        let known = Cluster::over(client.clone(), place.clone());
        assert!(known.as_account("default", "dev").is_ok());
        let posing = Cluster(Arc::new(Inside { client, place, discovery: Arc::default(), poses: true }));
        let refused = posing.as_account("default", "dev").err().unwrap();
        assert!(refused.message.contains("acts as somebody else"), "{refused}");
        let groups = AuthInfo { impersonate_groups: Some(vec!["system:masters".into()]), ..AuthInfo::default() };
        let uid = AuthInfo { impersonate_uid: Some("1".into()), ..AuthInfo::default() };
        assert!(poses(&groups) && poses(&uid) && !poses(&AuthInfo::default()));
    }

    #[tokio::test]
    async fn a_kubeconfig_from_a_secret_does_not_touch_this_machine() {
        let with = |cluster: &str, user: &str| {
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {{cluster: c, user: \
                 u}}\nclusters:\n- name: c\n  cluster: {{server: 'https://127.0.0.1:1'{cluster}}}\nusers:\n- name: u\n  \
                 user: {{{user}}}\n"
            )
        };
        for (cluster, user, why) in [
            (", insecure-skip-tls-verify: true", "", "insecure-skip-tls-verify"),
            (", certificate-authority: /etc/hostname", "", "certificate-authority"),
            (", proxy-url: 'http://127.0.0.1:2'", "", "proxy-url"),
            ("", "exec: {command: touch, apiVersion: client.authentication.k8s.io/v1}", "exec"),
            ("", "auth-provider: {name: gcp, config: {}}", "auth-provider"),
            ("", "tokenFile: /etc/hostname", "tokenFile"),
            ("", "client-certificate: /etc/hostname", "client-certificate"),
            ("", "client-key: /etc/hostname", "client-key"),
            ("", "as: system:admin", "as"),
        ] {
            let error = Cluster::by_kubeconfig(&with(cluster, user)).await.err().unwrap();
            assert!(error.message.contains(&format!("its {why} is not taken")), "{why}: {error}");
        }
        let broken = with("", "token: canary-token").replace("users:", "users: canary-token\nmore:");
        for text in ["", "a: [", "kind: Config\ncurrent-context: gone\n", "canary-token", &broken] {
            let error = Cluster::by_kubeconfig(text).await.err().unwrap();
            assert!(!error.to_string().contains("canary"), "{text}: {error}");
        }
    }
}
