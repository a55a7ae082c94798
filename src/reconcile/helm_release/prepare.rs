//! What an action does before it writes a record: render, apply definitions, make the namespace, keep the inventory.
//!
//! Start with [`Work::prepare`]. Source: helm-controller internal/action/crds.go, helm pkg/action/install.go.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Run, Severity};
use super::act::{Work, text};
use super::objects::{self, Manner, Placed};
use super::plan::Action;
use super::render::{Ingredients, Rendering, render, set};
use crate::base::Id;
use crate::cluster::{Apply, ClusterError};
use crate::engine::chart::{ChartFile, Release};
use crate::engine::release::{Hidden, Record, documents};
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
        let mut crds = Vec::new();
        if action.crds != CrdsPolicy::Skip {
            let files = self.chart.definitions(&self.values).map_err(text)?;
            let applied = self.apply_definitions(object, run, &files, action.crds, server_side).await;
            crds = applied.map_err(|error| format!("failed to apply CustomResourceDefinitions: {error}"))?;
        }
        Ok((self.render(object, revision, is_upgrade, action).await?, crds))
    }

    /// Renders the release.
    ///
    /// Errors with what the chart says.
    pub async fn render(
        &self,
        object: &HelmRelease,
        revision: i64,
        is_upgrade: bool,
        action: &Action,
    ) -> Result<Rendering, String> {
        let (name, namespace) = (self.release.clone(), self.namespace.clone());
        // Asked anew each time: what was installed a moment ago decides what a chart renders.
        let served = super::capabilities(self.cx).await;
        let served = served.map_err(|error| format!("the cluster does not say what it serves: {error}"))?;
        let with = Ingredients {
            cluster: &self.cx.cluster,
            object,
            chart: &self.chart,
            values: &self.values,
            capabilities: &Arc::new(served),
            schema: action.schema,
            release: Release { name, namespace, revision, is_upgrade },
            timeout: action.timeout,
        };
        render(with).await
    }

    /// Keeps what Secrets gave to an older revision out of everything that is told: its objects are written, too.
    pub fn hide_of(&mut self, record: &Record, run: &mut Run) {
        let hidden = Hidden::redactor_of(record, self.secret.as_ref());
        run.hide(&hidden);
        self.hidden = self.hidden.and(&hidden);
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

    /// Applies the definitions of `crds/` and answers all of them; what else lies there is told and left alone.
    async fn apply_definitions(
        &self,
        object: &HelmRelease,
        run: &mut Run,
        files: &[ChartFile],
        policy: CrdsPolicy,
        server_side: bool,
    ) -> Result<Vec<Placed>, String> {
        let (mut all, mut others) = (Vec::new(), Vec::new());
        for file in files {
            let path = &file.path;
            for document in documents(&file.text())
                .map_err(|error| format!("failed to parse CustomResourceDefinitions from {path}: {error}"))?
            {
                match Id::of(&document).filter(is_definition) {
                    Some(_) => all.push(self.objects().place(document).await?),
                    None => others.push(format!("{} in {path}", named(&document))),
                }
            }
        }
        if !others.is_empty() {
            let message = format!("crds/ is for definitions alone, these were left out: {}", others.join(", "));
            run.event(Severity::Info, "Progressing", &message, &[]).await;
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
        if !wanted.is_empty() {
            let manner = Manner { server_side, replace: !server_side };
            self.objects().write(&[], &wanted, manner).await.1?;
            self.objects().wait(run, &wanted, false, DEFINITIONS).await?;
        }
        Ok(all)
    }
}

/// Whether it is what `crds/` is for.
pub fn is_definition(id: &Id) -> bool {
    &*id.group == "apiextensions.k8s.io" && &*id.kind == "CustomResourceDefinition"
}

fn named(document: &Value) -> String {
    Id::of(document).map_or_else(|| "a document without a kind or a name".into(), |id| id.to_string())
}
