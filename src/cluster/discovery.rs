//! Which kinds the server serves, and where: asked once per group, and again when something is missing.
//!
//! The unaggregated shape is used, because every server and proxy has it. Start with [`Cluster::find_api`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::wire::Call;
use super::{Cluster, ClusterError};
use crate::base::Api;
use crate::kinds;

/// What one group serves.
#[derive(Clone, Debug, Default)]
struct Group {
    /// The server's preferred version first.
    versions: Vec<String>,
    apis: Vec<Api>,
}

impl Group {
    fn find(&self, kind: &str, version: Option<&str>) -> Option<Api> {
        let of_version = |version: &str| self.apis.iter().find(|api| api.kind == kind && api.version == version);
        match version {
            Some(version) => of_version(version).cloned(),
            None => self.versions.iter().find_map(|version| of_version(version)).cloned(),
        }
    }
}

/// What was learned so far.
#[derive(Default)]
pub(super) struct Discovery(Mutex<HashMap<String, Group>>);

impl Discovery {
    /// What was learned of a group turned out to be wrong.
    pub(super) fn forget(&self, group: &str) {
        self.groups().remove(group);
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<String, Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Where a kind is served, in that version or the best one: weir's own if served, else the server's preferred.
    ///
    /// `None` when the server does not serve it. Errors when the server cannot say.
    pub async fn find_api(&self, group: &str, kind: &str, version: Option<&str>) -> Result<Option<Api>, ClusterError> {
        let known = kinds::of(group, kind);
        let own = Some(known.version).filter(|own| !own.is_empty());
        if !known.is_custom() && own.is_some() && version.is_none_or(|version| Some(version) == own) {
            return Ok(Some(known.api()));
        }
        let find = |group: &Group| match version {
            Some(_) => group.find(kind, version),
            None => own.and_then(|own| group.find(kind, Some(own))).or_else(|| group.find(kind, None)),
        };
        let cached = self.discovery().groups().get(group).and_then(find);
        if cached.is_some() {
            return Ok(cached);
        }
        let fresh = self.group(group).await?;
        let found = find(&fresh);
        self.discovery().groups().insert(group.to_owned(), fresh);
        Ok(found)
    }

    /// Everything that is served, each kind once in its best version, by group and kind.
    ///
    /// Errors when the server cannot say; a group that fails alone (an extension that is down) is left out.
    pub async fn served(&self) -> Result<Vec<Api>, ClusterError> {
        let mut served = Vec::new();
        for (name, group) in self.all_groups(|_| true).await? {
            let mut kinds: Vec<&str> = group.apis.iter().map(|api| api.kind.as_str()).collect();
            kinds.sort_unstable();
            kinds.dedup();
            served.extend(kinds.iter().filter_map(|kind| group.find(kind, None)));
            self.discovery().groups().insert(name, group);
        }
        Ok(served)
    }

    /// Every group, the core one (named nothing) first; without those that fail in a way that may be passed over.
    ///
    /// Errors when the server cannot say.
    async fn all_groups(&self, pass: impl Fn(&ClusterError) -> bool) -> Result<Vec<(String, Group)>, ClusterError> {
        let groups = self.call(Call::path("/apis")).await?;
        let mut all = vec![(String::new(), self.group("").await?)];
        for name in texts(&groups["groups"], "name") {
            match self.group(&name).await {
                Ok(group) => all.push((name, group)),
                Err(error) if pass(&error) => tracing::warn!("the kinds of {name} are not known: {error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The server's version, and everything it serves as `group/version` and `group/version/Kind`.
    ///
    /// Errors when the server cannot say, also of one group: a chart would leave objects out, and they would be deleted.
    /// Only a group whose own server is down is passed over. Source: helm's `.Capabilities`.
    pub async fn capabilities(&self) -> Result<(String, Vec<String>), ClusterError> {
        let version = self.call(Call::path("/version")).await?;
        let mut served = Vec::new();
        let is_down = |error: &ClusterError| match error {
            ClusterError::Busy { retry_after, .. } => retry_after.is_none(),
            ClusterError::Other { code, .. } => *code >= 500,
            ClusterError::Forbidden { .. } => true,
            _ => false,
        };
        for (name, group) in self.all_groups(is_down).await? {
            let place = |version: &str| if name.is_empty() { version.to_owned() } else { format!("{name}/{version}") };
            served.extend(group.versions.iter().map(|version| place(version)));
            served.extend(group.apis.iter().map(|api| format!("{}/{}", place(&api.version), api.kind)));
            self.discovery().groups().insert(name, group);
        }
        Ok((version["gitVersion"].as_str().unwrap_or_default().to_owned(), served))
    }

    async fn group(&self, name: &str) -> Result<Group, ClusterError> {
        let mut group = Group::default();
        if name.is_empty() {
            group.versions.push("v1".into());
        } else {
            let answer = match self.call(Call::path(&format!("/apis/{name}"))).await {
                Err(ClusterError::NoKind { .. } | ClusterError::NotFound { .. }) => return Ok(group),
                answer => answer?,
            };
            group.versions.extend(answer["preferredVersion"]["version"].as_str().map(str::to_owned));
            for version in texts(&answer["versions"], "version") {
                if !group.versions.contains(&version) {
                    group.versions.push(version);
                }
            }
        }
        for version in &group.versions {
            let root = if name.is_empty() { "/api/v1".into() } else { format!("/apis/{name}/{version}") };
            match self.call(Call::path(&root)).await {
                // The version was withdrawn between the two requests.
                Err(ClusterError::NoKind { .. } | ClusterError::NotFound { .. }) => {}
                answer => group.apis.extend(apis(name, version, &answer?)),
            }
        }
        Ok(group)
    }
}

fn texts(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
}

/// The kinds of an APIResourceList; subresources are left out.
fn apis(group: &str, version: &str, answer: &Value) -> Vec<Api> {
    let resources = answer["resources"].as_array().into_iter().flatten();
    let api = |resource: &Value| {
        let plural = resource["name"].as_str().filter(|name| !name.contains('/'))?;
        Some(Api {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: resource["kind"].as_str()?.to_owned(),
            plural: plural.to_owned(),
            namespaced: resource["namespaced"].as_bool().unwrap_or_default(),
        })
    };
    resources.filter_map(api).collect()
}
