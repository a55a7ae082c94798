//! Where an object's own objects live, and with whose rights they are written: `kubeConfig` and `serviceAccountName`.
//!
//! Sources, values and variables are always read at home. Start with [`Targets::of`].
//! Source: fluxcd/pkg runtime/client (Impersonator).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Context, secrets};
use crate::base::{Digest, Id};
use crate::cluster::Cluster;
use crate::kinds::kustomization::KubeConfigReference;
use crate::kinds::{HelmRelease, Kustomization};

/// Remote clusters that are kept open; when there are more, all are opened anew.
const KEPT: usize = 64;

/// The remote clusters that were opened, by the digest of their kubeconfig.
#[derive(Clone, Default)]
pub struct Targets(Arc<Mutex<HashMap<Digest, Cluster>>>);

/// Why there is no way to the target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The service account does not exist.
    #[error("{0}")]
    NoAccount(String),
    /// The Secret with the kubeconfig does not exist: nobody can tell where the objects are.
    #[error("{0}")]
    NoKubeconfig(String),
    #[error("{0}")]
    Unusable(String),
}

/// What an object says of its target.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub namespace: &'a str,
    pub kube_config: Option<&'a KubeConfigReference>,
    pub account: Option<&'a str>,
}

impl<'a> From<&'a Kustomization> for Wish<'a> {
    fn from(object: &'a Kustomization) -> Self {
        Wish {
            namespace: object.metadata.namespace.as_deref().unwrap_or_default(),
            kube_config: object.spec.kube_config.as_ref(),
            account: object.spec.service_account_name.as_deref(),
        }
    }
}

impl<'a> From<&'a HelmRelease> for Wish<'a> {
    fn from(object: &'a HelmRelease) -> Self {
        Wish {
            namespace: object.own_namespace(),
            kube_config: object.spec.kube_config.as_ref(),
            account: object.spec.service_account_name.as_deref(),
        }
    }
}

impl Targets {
    /// The context in which an object's own objects are read and written.
    ///
    /// Errors when the account is no name, or the kubeconfig is missing, asks for too much or leads nowhere.
    pub async fn of(cx: &Context, wish: Wish<'_>) -> Result<Context, TargetError> {
        let remote = match wish.kube_config {
            Some(reference) => Some(cx.targets.remote(cx, wish.namespace, reference).await?),
            None => None,
        };
        let account = wish.account.filter(|name| !name.is_empty()).or(cx.options.default_service_account.as_deref());
        let cluster = remote.unwrap_or_else(|| cx.cluster.clone());
        let cluster = match account {
            None => cluster,
            Some(name) => cluster
                .as_account(wish.namespace, name)
                .map_err(|error| TargetError::Unusable(format!("spec.serviceAccountName: {error}")))?,
        };
        Ok(cx.over(cluster))
    }

    /// As [`Targets::of`], for who is to go: an account that is gone has no rights that could be used.
    ///
    /// Errors with `NoAccount` then.
    pub async fn of_leaving(cx: &Context, wish: Wish<'_>) -> Result<Context, TargetError> {
        let account = wish.account.filter(|name| !name.is_empty()).or(cx.options.default_service_account.as_deref());
        if let Some(name) = account {
            let id = Id::new("", "ServiceAccount", wish.namespace, name);
            let found = cx.cluster.get(&id).await;
            if found.map_err(|error| TargetError::Unusable(format!("{id}: {error}")))?.is_none() {
                return Err(TargetError::NoAccount(format!("{id} does not exist")));
            }
        }
        Targets::of(cx, wish).await
    }

    async fn remote(
        &self,
        cx: &Context,
        namespace: &str,
        reference: &KubeConfigReference,
    ) -> Result<Cluster, TargetError> {
        let Some(secret) = &reference.secret_ref else {
            let why = "spec.kubeConfig.configMapRef is not supported by weir yet: put a kubeconfig into a Secret and name \
                       it in spec.kubeConfig.secretRef";
            return Err(TargetError::Unusable(why.into()));
        };
        let place = format!("{namespace}/{}", secret.name);
        let id = Id::new("", "Secret", namespace, &secret.name);
        let found = cx.cluster.get(&id).await.map_err(|error| TargetError::Unusable(format!("{id}: {error}")))?;
        if found.is_none() {
            return Err(TargetError::NoKubeconfig(format!("the Secret {place} with the kubeconfig does not exist")));
        }
        let unusable = |why: String| TargetError::Unusable(format!("the kubeconfig in the Secret {place}: {why}"));
        let data = secrets::read(cx, namespace, &secret.name).await;
        let data = data.map_err(|failure| TargetError::Unusable(failure.cause().message.clone()))?;
        let keys = secret.key.as_deref().map_or_else(|| vec!["value", "value.yaml"], |key| vec![key]);
        let text = secrets::text(&data, &keys).map_err(unusable)?;
        let text = text.ok_or_else(|| unusable(format!("it has no key {}", keys.join(" or "))))?;
        let digest = Digest::sha256(text.as_bytes());
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(known.clone());
        }
        let opened = Cluster::by_kubeconfig(&text).await;
        let opened = opened.map_err(|error| unusable(format!("{error}: {}", error.hint)))?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(digest, opened.clone());
        Ok(opened)
    }
}
