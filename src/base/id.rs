//! Which object: [`Id`], and where its kind is served: [`Api`].

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// Names one object across versions of its API: group, kind, namespace and name.
///
/// The version is left out on purpose: `apps/v1` and `apps/v1beta1` Deployments of one name are the same object.
/// `namespace` is empty for cluster-scoped objects; `group` is empty for the core group.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Id {
    /// Builds an id from its four parts.
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Id { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }

    /// Reads the id of a Kubernetes document; `None` when it has no kind or no name.
    pub fn of(value: &Value) -> Option<Self> {
        let (group, _) = split_api_version(value.get("apiVersion")?.as_str()?);
        let metadata = value.get("metadata")?;
        let namespace = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
        Some(Id::new(group, value.get("kind")?.as_str()?, namespace, metadata.get("name")?.as_str()?))
    }

    /// The same object name in another namespace.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Id { namespace: namespace.into(), ..self.clone() }
    }
}

/// `Kustomization/flux-system/apps`, or `Namespace/apps` for cluster-scoped objects.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{}/{}", self.kind, self.name),
            namespace => write!(f, "{}/{namespace}/{}", self.kind, self.name),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where a kind is served: what a request path and a document header need.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Api {
    pub group: String,
    pub version: String,
    pub kind: String,
    /// Lower-case plural as in the request path, e.g. `gitrepositories`.
    pub plural: String,
    pub namespaced: bool,
}

impl Api {
    /// `group/version`, or just the version for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Splits `group/version`; the core group has no slash and an empty group.
pub(super) fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_ignores_the_version_and_prints_without_group() {
        let one =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
        let other = json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
        assert_eq!(Id::of(&one), Id::of(&other));
        assert_eq!(Id::of(&one).unwrap().to_string(), "Deployment/shop/web");
        assert_eq!(Id::of(&json!({"kind": "Deployment"})), None);
    }
}
