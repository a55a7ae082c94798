//! Hooks: run one after the other at a moment of a release's life, waited for, and deleted as their policies say.
//!
//! Every start and end of a hook is in the release record. Start with [`Hooks::run`]. Source: helm pkg/action/hooks.go.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::super::Run;
use super::objects::{Manner, Objects, Placed};
use super::storage::Storage;
use crate::base::{Condition, Id};
use crate::cluster::Propagation;
use crate::engine::release::{Execution, Hook, Record};

/// The longest pause between two looks at a hook.
const POLL: Duration = Duration::from_secs(2);

/// What is needed to run hooks.
pub struct Hooks<'a, 'b> {
    pub objects: &'a Objects<'b>,
    pub timeout: Duration,
    pub server_side: bool,
    /// When the action began that a dead process left; what its hooks did since then is not done again.
    pub since: Option<String>,
}

/// How far a hook came before the process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Nowhere,
    Begun,
    Succeeded,
    Failed,
}

impl Hooks<'_, '_> {
    /// Runs the hooks of a moment by weight and name, each until it is done.
    ///
    /// Errors with the first that fails; its policy and those of the ones before it are carried out.
    pub async fn run(
        &self,
        event: &str,
        record: &mut Record,
        storage: &mut Storage<'_>,
        run: &mut Run,
        selected: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), String> {
        let mut order: Vec<usize> = (0..record.hooks.len())
            .filter(|at| record.hooks[*at].runs_at(event) && selected(&record.hooks[*at].name))
            .collect();
        order.sort_by(|a, b| {
            let key = |at: &usize| (record.hooks[*at].weight, record.hooks[*at].name.clone());
            key(a).cmp(&key(b))
        });
        for (place, &at) in order.iter().enumerate() {
            let outcome = match self.came(&record.hooks[at], event) {
                Came::Nowhere => self.run_one(event, at, record, storage, run).await,
                Came::Begun => self.resume_one(event, at, record, storage, run).await,
                Came::Succeeded => Ok(()),
                Came::Failed => {
                    Err(format!("warning: Hook {event} {} failed before weir was started again", record.hooks[at].path))
                }
            };
            if let Err(error) = outcome {
                self.delete_by(&record.hooks[at], "hook-failed", run).await.ok();
                for &before in &order[..place] {
                    self.delete_by(&record.hooks[before], "hook-succeeded", run).await?;
                }
                return Err(error);
            }
        }
        for &at in order.iter().rev() {
            self.delete_by(&record.hooks[at], "hook-succeeded", run).await?;
        }
        Ok(())
    }

    async fn run_one(
        &self,
        event: &str,
        at: usize,
        record: &mut Record,
        storage: &mut Storage<'_>,
        run: &mut Run,
    ) -> Result<(), String> {
        if record.hooks[at].delete_policies.is_empty() {
            record.hooks[at].delete_policies = vec!["before-hook-creation".into()];
        }
        self.delete_by(&record.hooks[at], "before-hook-creation", run).await?;
        let path = record.hooks[at].path.clone();
        let placed = self.objects.read(&record.hooks[at].manifest).await;
        let placed =
            placed.map_err(|error| format!("unable to build kubernetes object for {event} hook {path}: {error}"))?;
        record.hooks[at].last_run =
            Execution { started_at: now(), completed_at: String::new(), phase: "Running".into() };
        storage.update(record).await.map_err(|error| error.to_string())?;
        self.create_and_wait(event, at, &placed, record, storage, run).await
    }

    fn came(&self, hook: &Hook, event: &str) -> Came {
        let Some(since) = self.since.as_ref().and_then(|since| since.parse::<jiff::Timestamp>().ok()) else {
            return Came::Nowhere;
        };
        // The record has one run for each hook: one that runs before and after does not say which it was.
        let (before, after) = (event.strip_prefix("pre-"), event.strip_prefix("post-"));
        let other = before.map(|action| format!("post-{action}")).or(after.map(|action| format!("pre-{action}")));
        let is_new = hook.last_run.started_at.parse::<jiff::Timestamp>().is_ok_and(|started| started >= since);
        if !is_new || other.is_some_and(|other| hook.runs_at(&other)) {
            return Came::Nowhere;
        }
        match hook.last_run.phase.as_str() {
            "Running" => Came::Begun,
            "Succeeded" => Came::Succeeded,
            "Failed" => Came::Failed,
            _ => Came::Nowhere,
        }
    }

    /// Goes on with a hook that was begun: what is there of it is waited for, not deleted and made anew.
    async fn resume_one(
        &self,
        event: &str,
        at: usize,
        record: &mut Record,
        storage: &mut Storage<'_>,
        run: &mut Run,
    ) -> Result<(), String> {
        let placed = self.objects.read(&record.hooks[at].manifest).await?;
        self.create_and_wait(event, at, &placed, record, storage, run).await
    }

    async fn create_and_wait(
        &self,
        event: &str,
        at: usize,
        placed: &[Placed],
        record: &mut Record,
        storage: &mut Storage<'_>,
        run: &mut Run,
    ) -> Result<(), String> {
        let path = record.hooks[at].path.clone();
        let manner = Manner { server_side: self.server_side, replace: false };
        let (_, created) = self.objects.write(&[], placed, manner).await;
        let outcome = match created {
            Err(error) => Err(format!("warning: Hook {event} {path} failed: {error}")),
            Ok(()) => run.rest(self.wait(placed)).await,
        };
        let last = &mut record.hooks[at].last_run;
        last.completed_at = now();
        last.phase = if outcome.is_ok() { "Succeeded" } else { "Failed" }.into();
        storage.update(record).await.map_err(|error| error.to_string())?;
        outcome
    }

    /// Waits for Jobs and Pods to complete; everything else is ready when it is there.
    async fn wait(&self, placed: &[Placed]) -> Result<(), String> {
        let deadline = Instant::now() + self.timeout;
        let runs = |placed: &&Placed| matches!((&*placed.id.group, &*placed.id.kind), ("batch", "Job") | ("", "Pod"));
        for placed in placed.iter().filter(runs) {
            let mut pause = Duration::from_millis(50);
            loop {
                match self.objects.cx.cluster.get_as(&placed.api, &placed.id).await {
                    Ok(Some(live)) => match verdict(&placed.id, &live) {
                        Some(Ok(())) => break,
                        Some(Err(why)) => return Err(format!("{} failed: {why}", placed.id)),
                        None => {}
                    },
                    Ok(None) => return Err(format!("{} was deleted while it was waited for", placed.id)),
                    // A server that does not answer says nothing about the hook.
                    Err(_) => {}
                }
                if Instant::now() + pause > deadline {
                    return Err(format!("timed out waiting for {}", placed.id));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(POLL);
            }
        }
        Ok(())
    }

    /// Deletes the object of a hook, if its policy says so, and waits until it is gone. Definitions are never deleted.
    async fn delete_by(&self, hook: &Hook, policy: &str, run: &mut Run) -> Result<(), String> {
        let has = hook.delete_policies.iter().any(|known| known == policy);
        if !has || hook.kind == "CustomResourceDefinition" {
            return Ok(());
        }
        let placed = self.objects.read(&hook.manifest).await?;
        let mut ids = Vec::new();
        for placed in &placed {
            let live = self.objects.cx.cluster.get_as(&placed.api, &placed.id).await;
            if let Some(live) = live.map_err(|error| error.to_string())? {
                let deleted = self.objects.delete_one(&placed.id, &live, Propagation::Background).await;
                deleted.map_err(|error| error.to_string())?;
                ids.push(placed.id.clone());
            }
        }
        run.rest(self.objects.wait_gone(&ids, self.timeout)).await
    }
}

/// Whether a Job or a Pod is done, and well; `None` while it runs.
fn verdict(id: &Id, live: &Value) -> Option<Result<(), String>> {
    if &*id.kind == "Pod" {
        return match live["status"]["phase"].as_str() {
            Some("Succeeded") => Some(Ok(())),
            Some("Failed") => Some(Err(live["status"]["message"].as_str().unwrap_or("the pod failed").to_owned())),
            _ => None,
        };
    }
    let is = |kind: &str| Condition::find(live, kind).filter(|condition| condition.status == "True");
    match (is("Complete"), is("Failed")) {
        (Some(_), _) => Some(Ok(())),
        (None, Some(failed)) => Some(Err(format!("{}: {}", failed.reason, failed.message))),
        (None, None) => None,
    }
}

/// The moment as Go writes it.
pub fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hook_is_done_when_its_job_or_pod_is() {
        let job = Id::new("batch", "Job", "a", "b");
        let with = |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True", "reason": "R", "message": "m"}]}});
        assert_eq!(verdict(&job, &with("Complete")), Some(Ok(())));
        assert_eq!(verdict(&job, &with("Failed")), Some(Err("R: m".into())));
        assert_eq!(verdict(&job, &with("Suspended")), None);
        let pod = Id::new("", "Pod", "a", "b");
        assert_eq!(verdict(&pod, &json!({"status": {"phase": "Succeeded"}})), Some(Ok(())));
        assert!(verdict(&pod, &json!({"status": {"phase": "Failed"}})).unwrap().is_err());
        assert_eq!(verdict(&pod, &json!({"status": {"phase": "Running"}})), None);
    }
}
