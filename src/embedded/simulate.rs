//! What the status of a workload would be, if something ran it: pure, and honest in every message.
//!
//! Reasons are those that health checks look for; messages say `simulated`. Nothing else of an object is touched.
//! Start with [`status`] and [`Wish`].

use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::kinds::set_condition;
use crate::base::parse_duration;

/// What the annotation on an object, or on its pod template, asks for.
pub const ANNOTATION: &str = "weir.dev/simulate";
/// The condition that says so on kinds that have no other one; nobody waits for it, and no rollout looks at it.
pub const CONDITION: &str = "weir.dev/Simulated";
/// The kinds whose own controllers write no condition, or none until the end.
const SILENT: [&str; 8] = [
    "Job",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "PersistentVolumeClaim",
    "Service",
    "PodDisruptionBudget",
];
/// What stands where an address would: a name that can never resolve.
const NOWHERE: &str = "simulated.invalid";

/// How a workload shall fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Ready,
    Fail,
    ReadyAfter(Duration),
}

impl Wish {
    /// Reads the annotation: `fail`, `delay=5s`, or nothing.
    pub fn of(object: &Value) -> Wish {
        let places = [&object["metadata"], &object["spec"]["template"]["metadata"]];
        let text = places.iter().find_map(|metadata| metadata["annotations"][ANNOTATION].as_str());
        match text.map(str::trim) {
            Some("fail") => Wish::Fail,
            Some(text) => text
                .strip_prefix("delay=")
                .and_then(|time| parse_duration(time).ok())
                .map_or(Wish::Ready, Wish::ReadyAfter),
            None => Wish::Ready,
        }
    }
}

/// How far a workload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Progressing,
    Ready,
    Failed,
}

/// The kinds that are simulated: group, kind, plural.
pub const KINDS: &[(&str, &str, &str)] = &[
    ("apps", "Deployment", "deployments"),
    ("apps", "StatefulSet", "statefulsets"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "ReplicaSet", "replicasets"),
    ("", "ReplicationController", "replicationcontrollers"),
    ("batch", "Job", "jobs"),
    ("", "Pod", "pods"),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "PersistentVolume", "persistentvolumes"),
    ("", "Service", "services"),
    ("networking.k8s.io", "Ingress", "ingresses"),
    ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
];

/// The whole status of an object at a stage; `None` when it has none to simulate.
pub fn status(object: &Value, stage: Stage, now: &str) -> Option<Value> {
    let mut new = object.clone();
    if !new["status"].is_object() {
        new["status"] = json!({});
    }
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => deployment(&mut new, stage, now),
        "StatefulSet" => stateful_set(&mut new, stage),
        "DaemonSet" => daemon_set(&mut new, stage),
        "ReplicaSet" | "ReplicationController" => replica_set(&mut new, stage),
        "Job" => job(&mut new, stage, now),
        "Pod" => pod(&mut new, stage, now),
        "PersistentVolumeClaim" => claim(&mut new, stage),
        "PersistentVolume" => {
            if stage == Stage::Ready && new["status"]["phase"] == "Pending" {
                new["status"]["phase"] = "Available".into();
                new["status"]["message"] = "simulated: there is no volume".into();
            }
        }
        "Service" if object["spec"]["type"] == "LoadBalancer" => balancer(&mut new, stage),
        "Ingress" => balancer(&mut new, stage),
        "HorizontalPodAutoscaler" => autoscaler(&mut new, stage, now),
        "PodDisruptionBudget" => budget(&mut new, stage),
        _ => return None,
    }
    if SILENT.contains(&object["kind"].as_str().unwrap_or_default()) {
        set_condition(&mut new, CONDITION, "True", "Simulated", "simulated: nothing runs behind this object", now);
    }
    new.as_object_mut().and_then(|fields| fields.remove("status"))
}

fn set(object: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else { return };
    for (key, value) in fields {
        if value.is_null() {
            super::admit::remove(&mut object["status"], &key);
        } else {
            object["status"][key] = value;
        }
    }
}

/// A count that is left out when it is zero, as the real controllers do.
fn some(count: i64) -> Value {
    if count == 0 { Value::Null } else { count.into() }
}

fn generation(object: &Value) -> Value {
    object["metadata"]["generation"].clone()
}

fn wanted(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// A short name of a pod template, so that a changed one is seen as a new revision.
fn revision(object: &Value) -> String {
    let digest = hex::encode(&Sha256::digest(object["spec"]["template"].to_string())[..5]);
    format!("{}-{digest}", object["metadata"]["name"].as_str().unwrap_or_default())
}

fn deployment(object: &mut Value, stage: Stage, now: &str) {
    let (replicas, ready) = (wanted(object), if stage == Stage::Ready { wanted(object) } else { 0 });
    set(
        object,
        json!({"observedGeneration": generation(object), "replicas": some(replicas), "updatedReplicas": some(replicas),
        "readyReplicas": some(ready), "availableReplicas": some(ready), "unavailableReplicas": some(replicas - ready)}),
    );
    let (status, reason, message) = match stage {
        Stage::Ready => ("True", "NewReplicaSetAvailable", "simulated: the new replica set has progressed"),
        Stage::Progressing => ("True", "ReplicaSetUpdated", "simulated: the replica set is progressing"),
        Stage::Failed => ("False", "ProgressDeadlineExceeded", "simulated: failure was asked for by annotation"),
    };
    set_condition(object, "Progressing", status, reason, message, now);
    let (status, reason, message) = if stage == Stage::Ready {
        ("True", "MinimumReplicasAvailable", "simulated: the deployment has minimum availability")
    } else {
        ("False", "MinimumReplicasUnavailable", "simulated: the deployment does not have minimum availability")
    };
    set_condition(object, "Available", status, reason, message, now);
}

fn stateful_set(object: &mut Value, stage: Stage) {
    let (replicas, revision) = (wanted(object), revision(object));
    let ready = if stage == Stage::Ready { replicas } else { 0 };
    let current = if stage == Stage::Ready || object["status"]["currentRevision"].is_null() {
        Value::from(revision.as_str())
    } else {
        object["status"]["currentRevision"].clone()
    };
    set(
        object,
        json!({"observedGeneration": generation(object), "replicas": replicas, "currentReplicas": some(ready),
        "updatedReplicas": some(ready), "readyReplicas": some(ready), "availableReplicas": ready,
        "currentRevision": current, "updateRevision": revision, "collisionCount": 0}),
    );
}

fn daemon_set(object: &mut Value, stage: Stage) {
    let ready = i64::from(stage == Stage::Ready);
    set(
        object,
        json!({"observedGeneration": generation(object), "desiredNumberScheduled": 1, "currentNumberScheduled": 1,
        "numberMisscheduled": 0, "updatedNumberScheduled": 1, "numberReady": ready, "numberAvailable": some(ready),
        "numberUnavailable": some(1 - ready)}),
    );
}

fn replica_set(object: &mut Value, stage: Stage) {
    let (replicas, ready) = (wanted(object), if stage == Stage::Ready { wanted(object) } else { 0 });
    set(
        object,
        json!({"observedGeneration": generation(object), "replicas": replicas, "fullyLabeledReplicas": some(replicas),
        "readyReplicas": some(ready), "availableReplicas": some(ready)}),
    );
}

fn job(object: &mut Value, stage: Stage, now: &str) {
    let finished = |kind: &str| {
        let list = object["status"]["conditions"].as_array();
        list.is_some_and(|all| all.iter().any(|c| c["type"] == kind && c["status"] == "True"))
    };
    // A finished job stays as it ended.
    if finished("Complete") || finished("Failed") {
        return;
    }
    if object["spec"]["suspend"] == true {
        return set_condition(object, "Suspended", "True", "JobSuspended", "simulated: the job is suspended", now);
    }
    if object["status"]["startTime"].is_null() {
        object["status"]["startTime"] = now.into();
    }
    let completions = object["spec"]["completions"].as_i64().unwrap_or(1);
    let parallel = object["spec"]["parallelism"].as_i64().unwrap_or(1).min(completions);
    match stage {
        Stage::Progressing => set(object, json!({"active": some(parallel), "ready": some(parallel)})),
        Stage::Ready => {
            set(
                object,
                json!({"active": null, "ready": 0, "terminating": 0, "succeeded": completions, "completionTime": now}),
            );
            let message = "simulated: the job reached its completions";
            set_condition(object, "SuccessCriteriaMet", "True", "CompletionsReached", message, now);
            set_condition(object, "Complete", "True", "CompletionsReached", message, now);
        }
        Stage::Failed => {
            set(object, json!({"active": null, "ready": 0, "terminating": 0, "failed": 1}));
            let message = "simulated: failure was asked for by annotation";
            set_condition(object, "FailureTarget", "True", "BackoffLimitExceeded", message, now);
            set_condition(object, "Failed", "True", "BackoffLimitExceeded", message, now);
        }
    }
}

fn pod(object: &mut Value, stage: Stage, now: &str) {
    if matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return;
    }
    let once = matches!(object["spec"]["restartPolicy"].as_str(), Some("Never" | "OnFailure"));
    let done = once && stage == Stage::Ready;
    let old = object["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    let containers = object["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let since = |name: &Value| {
        let old = old.iter().find(|c| c["name"] == *name).map(|c| c["state"]["running"]["startedAt"].clone());
        old.filter(|at| !at.is_null()).unwrap_or(now.into())
    };
    let statuses: Vec<Value> = containers
        .iter()
        .map(|c| {
            let (name, started) = (&c["name"], since(&c["name"]));
            let state = match stage {
                _ if done => json!({"terminated": {"exitCode": 0, "reason": "Completed", "message": "simulated", "startedAt": started, "finishedAt": now}}),
                Stage::Ready => json!({"running": {"startedAt": started}}),
                Stage::Progressing => json!({"waiting": {"reason": "ContainerCreating", "message": "simulated"}}),
                Stage::Failed => json!({"waiting": {"reason": "CrashLoopBackOff", "message": "simulated: failure was asked for by annotation"}}),
            };
            let runs = stage == Stage::Ready && !done;
            json!({"name": name, "image": c["image"], "imageID": "simulated", "restartCount": 0, "ready": runs, "started": runs, "state": state})
        })
        .collect();
    let phase = match stage {
        _ if done => "Succeeded",
        Stage::Progressing => "Pending",
        Stage::Ready | Stage::Failed => "Running",
    };
    let start =
        if object["status"]["startTime"].is_null() { now.into() } else { object["status"]["startTime"].clone() };
    set(object, json!({"phase": phase, "containerStatuses": statuses, "startTime": start}));
    let (ready, reason) = match stage {
        _ if done => ("False", "PodCompleted"),
        Stage::Ready => ("True", ""),
        _ => ("False", "ContainersNotReady"),
    };
    set_condition(object, "PodScheduled", "True", "", "simulated: no node runs this pod", now);
    set_condition(object, "Initialized", "True", "", "simulated", now);
    set_condition(object, "ContainersReady", ready, reason, "simulated", now);
    set_condition(object, "Ready", ready, reason, "simulated", now);
}

fn claim(object: &mut Value, stage: Stage) {
    if stage != Stage::Ready {
        return set(object, json!({"phase": "Pending"}));
    }
    let mut capacity = Map::new();
    capacity.insert("storage".into(), object["spec"]["resources"]["requests"]["storage"].clone());
    capacity.retain(|_, size| !size.is_null());
    set(object, json!({"phase": "Bound", "accessModes": object["spec"]["accessModes"], "capacity": capacity}));
}

fn balancer(object: &mut Value, stage: Stage) {
    let ingress = if stage == Stage::Ready { json!({"ingress": [{"hostname": NOWHERE}]}) } else { json!({}) };
    set(object, json!({"loadBalancer": ingress}));
}

fn autoscaler(object: &mut Value, stage: Stage, now: &str) {
    let replicas = object["spec"]["minReplicas"].as_i64().unwrap_or(1);
    set(
        object,
        json!({"observedGeneration": generation(object), "currentReplicas": replicas, "desiredReplicas": replicas}),
    );
    let (status, message) = if stage == Stage::Failed {
        ("False", "simulated: failure was asked for by annotation")
    } else {
        ("True", "simulated: nothing is measured and nothing is scaled")
    };
    set_condition(object, "AbleToScale", status, "ReadyForNewScale", message, now);
    set_condition(object, "ScalingActive", status, "ValidMetricFound", message, now);
}

fn budget(object: &mut Value, stage: Stage) {
    let healthy = i64::from(stage == Stage::Ready);
    set(
        object,
        json!({"observedGeneration": generation(object), "currentHealthy": healthy, "desiredHealthy": 0,
        "expectedPods": 1, "disruptionsAllowed": healthy}),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_status_is_stable_and_says_so() {
        for (_, kind, _) in KINDS {
            let object = json!({"kind": kind, "metadata": {"name": "a", "generation": 2}, "spec": {"replicas": 2, "type": "LoadBalancer",
                "containers": [{"name": "c", "image": "i"}], "template": {}}, "status": {"phase": "Pending"}});
            for stage in [Stage::Progressing, Stage::Ready, Stage::Failed] {
                let Some(first) = status(&object, stage, "2024-01-01T00:00:00Z") else { continue };
                // A person sees it, whatever the kind: by a condition, a message or an address.
                let changed = *kind != "PersistentVolume" && *kind != "Ingress" || stage == Stage::Ready;
                assert!(!changed || first.to_string().contains("simulated"), "{kind} {stage:?}: {first}");
                for condition in first["conditions"].as_array().into_iter().flatten() {
                    assert!(condition["message"].as_str().unwrap().contains("simulated"), "{kind}: {condition}");
                }
                let mut again = object.clone();
                again["status"] = first.clone();
                assert_eq!(
                    status(&again, stage, "2025-01-01T00:00:00Z"),
                    Some(first),
                    "{kind} {stage:?} changes by itself"
                );
            }
        }
    }

    #[test]
    fn wishes_are_read_from_the_object_or_its_template() {
        let wish = |object: Value| Wish::of(&object);
        assert_eq!(wish(json!({"metadata": {"annotations": {ANNOTATION: "fail"}}})), Wish::Fail);
        let template = json!({"spec": {"template": {"metadata": {"annotations": {ANNOTATION: "delay=5s"}}}}});
        assert_eq!(wish(template), Wish::ReadyAfter(Duration::from_secs(5)));
        assert_eq!(wish(json!({"metadata": {"annotations": {ANNOTATION: "delay=soon"}}})), Wish::Ready);
        assert_eq!(wish(json!({})), Wish::Ready);
    }

    #[test]
    fn a_scaled_down_deployment_is_ready_with_none() {
        let object = json!({"kind": "Deployment", "metadata": {"generation": 3}, "spec": {"replicas": 0}, "status": {"readyReplicas": 2}});
        let status = status(&object, Stage::Ready, "now").unwrap();
        assert_eq!((&status["readyReplicas"], &status["observedGeneration"]), (&Value::Null, &json!(3)));
    }
}
