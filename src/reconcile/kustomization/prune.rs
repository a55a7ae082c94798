//! Deleting what left the source, and all of it when the Kustomization goes. Nothing is deleted because of an error.
//!
//! First every candidate is read live and judged, then the whole is judged for looking like an accident, only then are
//! objects deleted, each only if it is still the one that was judged. Start with [`Pruner::survey`].

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;

use super::super::Context;
use super::decide::{self, Prune};
use crate::base::{Api, Id, Value};
use crate::cluster::{ClusterError, Precondition, Propagation};

/// Requests at the same time.
const AT_ONCE: usize = 8;
/// How often an object that changes all the time is judged anew before it waits for the next run.
const ATTEMPTS: usize = 3;

/// What must be known to delete.
pub struct Pruner<'a> {
    pub cx: &'a Context,
    pub owner: &'a Id,
    /// What the owner is built from: never pruned.
    pub source: Option<&'a Id>,
}

/// An object that is to be deleted, exactly as it was judged.
#[derive(Debug)]
pub struct Doomed {
    pub id: Id,
    uid: String,
    version: String,
}

/// What became of each candidate, before or after deleting.
#[derive(Debug, Default)]
pub struct Survey {
    /// To be deleted.
    pub doomed: Vec<Doomed>,
    /// Of these, what takes other things with it.
    pub precious: Vec<Id>,
    /// Stays in the inventory: on its way out, or its kind is not served now.
    pub kept: Vec<Id>,
    /// Stays in the inventory, because the server did not answer or refused.
    pub failed: Vec<(Id, String)>,
    /// Left alone on purpose, and why.
    pub refused: Vec<String>,
}

impl Pruner<'_> {
    /// Reads every candidate live and sorts it.
    pub async fn survey(&self, candidates: Vec<Id>) -> Survey {
        let looked = candidates.into_iter().map(|id| async {
            let live = self.cx.cluster.get(&id).await;
            let precious = match &live {
                Ok(Some(live)) => self.is_precious(&id, live).await,
                _ => false,
            };
            (id, live, precious)
        });
        let looked: Vec<_> = stream::iter(looked).buffered(AT_ONCE).collect().await;
        let mut survey = Survey::default();
        for (id, live, precious) in looked {
            match live {
                Ok(None) => {}
                Ok(Some(live)) => self.sort(&mut survey, id, &live, precious),
                // Its CRD may be gone for a moment: what cannot be seen is not forgotten.
                Err(ClusterError::NoKind { .. }) => survey.kept.push(id),
                Err(error) => survey.failed.push((id, error.to_string())),
            }
        }
        survey
    }

    fn sort(&self, survey: &mut Survey, id: Id, live: &Value, precious: bool) {
        match decide::prune(live, self.owner, self.source, &self.cx.options.own_namespace) {
            Prune::Delete => {
                if precious {
                    survey.precious.push(id.clone());
                }
                let (uid, version) =
                    (text(live, "/metadata/uid").into(), text(live, "/metadata/resourceVersion").into());
                survey.doomed.push(Doomed { id, uid, version });
            }
            Prune::Terminating => survey.kept.push(id),
            Prune::Leave(why) => tracing::info!(id = %self.owner, "{id} left the inventory and stays: {why}"),
            Prune::Refuse(why) => survey.refused.push(why),
        }
    }

    async fn is_precious(&self, id: &Id, live: &Value) -> bool {
        if &*id.kind != "CustomResourceDefinition" {
            return decide::is_precious(id);
        }
        let api = self.cx.cluster.find_api(text(live, "/spec/group"), text(live, "/spec/names/kind"), None).await;
        match api {
            Ok(Some(api)) => self.has_instances(&api).await,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// What cannot be counted counts as there.
    async fn has_instances(&self, api: &Api) -> bool {
        self.cx.cluster.list(api, None, None).await.map_or(true, |instances| !instances.is_empty())
    }

    /// Deletes the doomed in the given order; answers who went, and keeps the rest in the survey.
    pub async fn delete(&self, survey: &mut Survey) -> Vec<Id> {
        let mut deleted = Vec::new();
        for doomed in std::mem::take(&mut survey.doomed) {
            let id = doomed.id.clone();
            match self.delete_one(survey, doomed).await {
                Ok(true) => deleted.push(id),
                Ok(false) => {}
                Err(error) => survey.failed.push((id, error.to_string())),
            }
        }
        deleted
    }

    /// Deletes an object exactly as it was judged; one that changed meanwhile is judged anew.
    async fn delete_one(&self, survey: &mut Survey, mut doomed: Doomed) -> Result<bool, ClusterError> {
        for _ in 0..ATTEMPTS {
            let Doomed { id, uid, version } = &doomed;
            let same = Precondition { uid: Some(uid.clone()), resource_version: Some(version.clone()) };
            match self.cx.cluster.delete(id, Propagation::Background, &same).await {
                Ok(_) => {
                    self.confirm(survey, &doomed).await;
                    return Ok(true);
                }
                Err(ClusterError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
            let Some(live) = self.cx.cluster.get(id).await? else { return Ok(true) };
            self.sort(survey, id.clone(), &live, false);
            match survey.doomed.pop() {
                Some(again) => doomed = again,
                None => return Ok(false),
            }
        }
        survey.kept.push(doomed.id);
        Ok(false)
    }

    /// An accepted deletion is not the end: finalizers may hold the object, and then its entry stays.
    async fn confirm(&self, survey: &mut Survey, doomed: &Doomed) {
        match self.cx.cluster.get(&doomed.id).await {
            Ok(None) => {}
            Ok(Some(live)) if text(&live, "/metadata/uid") != doomed.uid => {}
            Ok(Some(_)) | Err(_) => survey.kept.push(doomed.id.clone()),
        }
    }

    /// Waits until all are gone; answers who is left when the time is over.
    pub async fn wait_until_gone(&self, ids: &[Id], timeout: Duration) -> Vec<Id> {
        let deadline = tokio::time::Instant::now() + timeout;
        let mut left = ids.to_vec();
        let mut pause = Duration::from_millis(100);
        loop {
            let asked = left.into_iter().map(|id| async {
                let is_gone = matches!(self.cx.cluster.get(&id).await, Ok(None));
                (!is_gone).then_some(id)
            });
            let answers: Vec<Option<Id>> = stream::iter(asked).buffered(AT_ONCE).collect().await;
            left = answers.into_iter().flatten().collect();
            if left.is_empty() || tokio::time::Instant::now() + pause > deadline {
                return left;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}

impl Survey {
    /// Whose entries stay in the inventory.
    pub fn remaining(&self) -> impl Iterator<Item = &Id> {
        let doomed = self.doomed.iter().map(|doomed| &doomed.id);
        self.kept.iter().chain(self.failed.iter().map(|(id, _)| id)).chain(doomed)
    }

    /// The failures in one text.
    pub fn failures(&self) -> String {
        let lines: Vec<String> =
            self.failed.iter().take(10).map(|(id, why)| format!("{id} delete failed: {why}")).collect();
        lines.join("\n")
    }
}

fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
