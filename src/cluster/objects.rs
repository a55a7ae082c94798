//! Reading and writing objects: get, list, apply, create, replace, patch, delete.
//!
//! Each is one request (a list: one per page). What to write and when is decided by others.

use http::Method;
use serde_json::{Value, json};

use super::wire::{Call, LIST_DEADLINE};
use super::{Apply, Cluster, ClusterError, Precondition, Propagation};
use crate::base::{Api, Id};

/// Objects per page of a list.
const PAGE: usize = 500;

/// One page of a list.
pub(crate) struct Page {
    pub items: Vec<Value>,
    /// Names the next page; `None` on the last.
    pub next: Option<String>,
    pub resource_version: String,
}

impl Cluster {
    /// Reads one object; `None` only when the server says that it is not there.
    ///
    /// Errors when the kind is not served (`NoKind`) or the server cannot answer: an error is never an absence.
    pub async fn get(&self, id: &Id) -> Result<Option<Value>, ClusterError> {
        let api = self.api_of(id).await?;
        self.get_as(&api, id).await
    }

    /// Reads one object in a given version of its API.
    ///
    /// Errors as [`Cluster::get`].
    pub async fn get_as(&self, api: &Api, id: &Id) -> Result<Option<Value>, ClusterError> {
        match self.call(Call::one(api, id, None)).await {
            Ok(document) => Ok(Some(document)),
            Err(ClusterError::NotFound { what }) if what == id.to_string() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists objects in pages of 500; all namespaces when none is given. Every item names its kind.
    ///
    /// Errors as [`Cluster::get`]; a list that changed too much between two pages begins anew once.
    pub async fn list(
        &self,
        api: &Api,
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> Result<Vec<Value>, ClusterError> {
        self.list_where(api, namespace, labels, None).await
    }

    /// As [`Cluster::list`], by labels and by fields.
    pub async fn list_where(
        &self,
        api: &Api,
        namespace: Option<&str>,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Vec<Value>, ClusterError> {
        let (mut items, mut next, mut restarted) = (Vec::new(), None, false);
        loop {
            let call = Call::all(api, namespace).query_if("labelSelector", labels).query_if("fieldSelector", fields);
            match self.page_of(call, api, next.take()).await {
                Ok(page) => {
                    items.extend(page.items);
                    next = page.next;
                }
                Err(ClusterError::TooOld { .. }) if !restarted && !items.is_empty() => {
                    restarted = true;
                    items.clear();
                    continue;
                }
                Err(error) => return Err(error),
            }
            if next.is_none() {
                return Ok(items);
            }
        }
    }

    /// One page of a list, for those who take objects in as they come.
    pub(crate) async fn page(
        &self,
        api: &Api,
        namespace: Option<&str>,
        next: Option<String>,
    ) -> Result<Page, ClusterError> {
        self.page_of(Call::all(api, namespace), api, next).await
    }

    async fn page_of(&self, call: Call<'_>, api: &Api, next: Option<String>) -> Result<Page, ClusterError> {
        let call = call.query("limit", PAGE.to_string()).query_if("continue", next).deadline(LIST_DEADLINE);
        let mut answer = self.call(call).await?;
        let text = |key: &str| answer["metadata"][key].as_str().unwrap_or_default().to_owned();
        let (resource_version, next) =
            (text("resourceVersion"), Some(text("continue")).filter(|next| !next.is_empty()));
        let items = answer.get_mut("items").map(Value::take);
        let mut items = match items {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        // Lists of built-in kinds leave the head out of their items.
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.entry("apiVersion").or_insert_with(|| api.api_version().into());
            item.entry("kind").or_insert_with(|| api.kind.clone().into());
        }
        Ok(Page { items, next, resource_version })
    }

    /// Server-side apply of a whole document in the version it names; answers the object as stored.
    ///
    /// Errors with `Conflict` and its causes when others own the fields and `force` is off.
    pub async fn apply(&self, document: &Value, how: &Apply<'_>) -> Result<Value, ClusterError> {
        let (id, api) = self.place_of(document).await?;
        let call = Call::one(&api, &id, None)
            .method(Method::PATCH)
            .query("fieldManager", how.manager)
            .query("force", how.force.to_string())
            .query_if("dryRun", how.dry_run.then_some("All"));
        self.call(call.body("application/apply-patch+yaml", document)).await
    }

    /// Creates an object; errors with `Exists` when it is there.
    pub async fn create(&self, document: &Value, manager: &str, dry_run: bool) -> Result<Value, ClusterError> {
        let (id, api) = self.place_of(document).await?;
        let namespace = Some(&*id.namespace).filter(|namespace| !namespace.is_empty());
        let call = Call::all(&api, namespace)
            .what(id.to_string())
            .method(Method::POST)
            .query("fieldManager", manager)
            .query_if("dryRun", dry_run.then_some("All"));
        self.call(call.body("application/json", document)).await
    }

    /// Replaces an object by a document that carries its resourceVersion.
    pub async fn replace(&self, document: &Value, manager: &str, dry_run: bool) -> Result<Value, ClusterError> {
        let (id, api) = self.place_of(document).await?;
        let call = Call::one(&api, &id, None)
            .method(Method::PUT)
            .query("fieldManager", manager)
            .query_if("dryRun", dry_run.then_some("All"));
        self.call(call.body("application/json", document)).await
    }

    /// Merges a patch into an object, or into a subresource such as `status`.
    ///
    /// A `metadata.uid` or `metadata.resourceVersion` in the patch is a precondition: errors with `Conflict`.
    pub async fn merge_patch(
        &self,
        id: &Id,
        patch: &Value,
        subresource: Option<&str>,
        manager: &str,
    ) -> Result<Value, ClusterError> {
        let api = self.api_of(id).await?;
        let call = Call::one(&api, id, subresource).method(Method::PATCH).query("fieldManager", manager);
        self.call(call.body("application/merge-patch+json", patch)).await
    }

    /// Asks the server what a merge patch would give, and writes nothing.
    pub async fn try_merge_patch(&self, id: &Id, patch: &Value, manager: &str) -> Result<Value, ClusterError> {
        let api = self.api_of(id).await?;
        self.merge_patch_as(&api, id, patch, manager, true).await
    }

    /// As [`Cluster::merge_patch`], in the version of the API that the patch speaks of; a dry run writes nothing.
    pub async fn merge_patch_as(
        &self,
        api: &Api,
        id: &Id,
        patch: &Value,
        manager: &str,
        dry_run: bool,
    ) -> Result<Value, ClusterError> {
        let call = Call::one(api, id, None).method(Method::PATCH).query("fieldManager", manager);
        let call = call.query_if("dryRun", dry_run.then_some("All"));
        self.call(call.body("application/merge-patch+json", patch)).await
    }

    /// Applies JSON patch operations to an object, or to a subresource.
    pub async fn json_patch(
        &self,
        id: &Id,
        operations: &Value,
        subresource: Option<&str>,
        manager: &str,
    ) -> Result<Value, ClusterError> {
        let api = self.api_of(id).await?;
        let call = Call::one(&api, id, subresource).method(Method::PATCH).query("fieldManager", manager);
        self.call(call.body("application/json-patch+json", operations)).await
    }

    /// Asks for the deletion of an object; `false` when it was gone already.
    ///
    /// Errors with `Conflict` when the precondition does not hold. Finalizers may keep the object for a while.
    pub async fn delete(
        &self,
        id: &Id,
        propagation: Propagation,
        precondition: &Precondition,
    ) -> Result<bool, ClusterError> {
        let api = self.api_of(id).await?;
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation.word()});
        if let Some(uid) = &precondition.uid {
            options["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(version) = &precondition.resource_version {
            options["preconditions"]["resourceVersion"] = version.as_str().into();
        }
        let call = Call::one(&api, id, None).method(Method::DELETE).body("application/json", &options);
        match self.call(call).await {
            Ok(_) => Ok(true),
            Err(ClusterError::NotFound { what }) if what == id.to_string() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where an id's kind is served.
    ///
    /// Errors with `NoKind` when it is not.
    pub async fn api_of(&self, id: &Id) -> Result<Api, ClusterError> {
        let found = self.find_api(&id.group, &id.kind, None).await?;
        found.ok_or_else(|| no_kind(&id.group, &id.kind, None))
    }

    /// The id of a document and where it is served, in the version that the document names.
    async fn place_of(&self, document: &Value) -> Result<(Id, Api), ClusterError> {
        let api_version = document["apiVersion"].as_str().unwrap_or_default();
        let version = api_version.rsplit('/').next().unwrap_or_default();
        let Some(mut id) = Id::of(document) else {
            let message = "apiVersion, kind and metadata.name are needed".into();
            return Err(ClusterError::Invalid { what: "the document".into(), message, causes: Vec::new() });
        };
        let api = self.find_api(&id.group, &id.kind, Some(version)).await?;
        let api = api.ok_or_else(|| no_kind(&id.group, &id.kind, Some(version)))?;
        match (api.namespaced, id.namespace.is_empty()) {
            (true, true) => id = id.in_namespace("default"),
            (false, false) => id = id.in_namespace(""),
            _ => {}
        }
        Ok((id, api))
    }
}

impl Propagation {
    fn word(self) -> &'static str {
        match self {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        }
    }
}

fn no_kind(group: &str, kind: &str, version: Option<&str>) -> ClusterError {
    let mut what = kind.to_owned();
    if let Some(version) = version {
        what = format!("{version}/{what}");
    }
    if !group.is_empty() {
        what = format!("{group}/{what}");
    }
    ClusterError::NoKind { what }
}
