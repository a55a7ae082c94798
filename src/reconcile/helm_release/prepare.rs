//! What an action does before it writes a record: render, apply definitions, make the namespace, keep the inventory.
//!
//! Start with [`Work::prepare`]. Source: helm-controller internal/action/crds.go, helm pkg/action/install.go.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::Run;
use super::act::{Work, text};
use super::objects::{self, Manner, Placed};
use super::plan::Action;
use super::render::{Ingredients, Rendering, render, set};
use crate::base::Id;
use crate::cluster::{Apply, ClusterError};
use crate::engine::chart::Release;
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{CrdsPolicy, OWNER_NAME, OWNER_NAMESPACE};
use crate::kinds::kustomization::Inventory;

/// How long definitions may take until they are served.
const DEFINITIONS: Duration = Duration::from_secs(60);

impl Work<'_> {
    /// Renders, and applies definitions first: what is rendered may ask for them.
    ///
    /// Errors with what the chart or the cluster says.
    pub async fn prepare(
        &mut self,
        object: &HelmRelease,
        run: &mut Run,
        revision: i64,
        is_upgrade: bool,
        action: &Action,
        server_side: bool,
    ) -> Result<(Rendering, Vec<Placed>), String> {
        let mut rendering = self.render(object, revision, is_upgrade, action.timeout).await?;
        let mut crds = Vec::new();
        if action.crds != CrdsPolicy::Skip && !rendering.crds.is_empty() {
            let applied = self.apply_definitions(object, run, &rendering.crds, action.crds, server_side).await;
            let (all, changed) =
                applied.map_err(|error| format!("failed to apply CustomResourceDefinitions: {error}"))?;
            crds = all;
            if changed {
                self.capabilities = Arc::new(super::capabilities(self.cx).await.map_err(text)?);
                rendering = self.render(object, revision, is_upgrade, action.timeout).await?;
            }
        }
        Ok((rendering, crds))
    }

    /// Renders the release.
    ///
    /// Errors with what the chart says.
    pub async fn render(
        &self,
        object: &HelmRelease,
        revision: i64,
        is_upgrade: bool,
        timeout: Duration,
    ) -> Result<Rendering, String> {
        let (name, namespace) = (self.release.clone(), self.namespace.clone());
        let with = Ingredients {
            cluster: &self.cx.cluster,
            object,
            chart: &self.chart,
            values: &self.values,
            capabilities: &self.capabilities,
            release: Release { name, namespace, revision, is_upgrade },
            timeout,
        };
        render(with).await
    }

    /// Writes what is about to be there into the status, so that a crash in between forgets nothing.
    ///
    /// Errors when the status cannot be written.
    pub async fn keep_inventory(
        &self,
        object: &mut HelmRelease,
        run: &mut Run,
        inventory: Inventory,
    ) -> Result<(), String> {
        let status = object.status.get_or_insert_default();
        if status.inventory.as_ref() == Some(&inventory) {
            return Ok(());
        }
        status.inventory = Some(inventory);
        run.save(object).await.map_err(|failure| failure.cause().message.clone())
    }

    /// Makes the namespace of the release, unless it is there.
    ///
    /// Errors when the cluster does not take it.
    pub async fn create_namespace(&self, server_side: bool) -> Result<(), ClusterError> {
        let name = &self.namespace;
        let document =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"name": name}}});
        let cluster = &self.cx.cluster;
        let id = Id::new("", "Namespace", "", name);
        if cluster.get(&id).await?.is_some() {
            return Ok(());
        }
        let made = match server_side {
            true => cluster.apply(&document, &Apply { manager: objects::MANAGER, force: false, dry_run: false }).await,
            false => cluster.create(&document, objects::MANAGER, false).await,
        };
        match made {
            Err(ClusterError::Exists { .. }) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Applies the definitions of `crds/`; answers all of them, and whether any was new or changed.
    async fn apply_definitions(
        &self,
        object: &HelmRelease,
        run: &mut Run,
        files: &[(String, String)],
        policy: CrdsPolicy,
        server_side: bool,
    ) -> Result<(Vec<Placed>, bool), String> {
        let mut all = Vec::new();
        for (path, file) in files {
            let read = self.objects().read(file).await;
            let read =
                read.map_err(|error| format!("failed to parse CustomResourceDefinitions from {path}: {error}"))?;
            all.extend(read.into_iter().filter(|placed| &*placed.id.kind == "CustomResourceDefinition"));
        }
        let mut wanted = Vec::new();
        for placed in &mut all {
            set(&mut placed.document, "labels", OWNER_NAME, object.metadata.name.as_deref().unwrap_or_default());
            set(&mut placed.document, "labels", OWNER_NAMESPACE, object.own_namespace());
            let live = self.cx.cluster.get_as(&placed.api, &placed.id).await.map_err(text)?;
            if live.is_none() || policy == CrdsPolicy::CreateReplace {
                wanted.push(placed.clone());
            }
        }
        if wanted.is_empty() {
            return Ok((all, false));
        }
        let manner = Manner { server_side, replace: !server_side };
        let (created, written) = self.objects().write(&[], &wanted, manner).await;
        written?;
        self.objects().wait(run, &wanted, false, DEFINITIONS).await?;
        Ok((all, !created.is_empty() || policy == CrdsPolicy::CreateReplace))
    }
}
