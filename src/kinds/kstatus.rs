//! The health of any object, as kstatus and Flux judge it.
//!
//! Pure: a document in, a [`Health`] out. Start with [`health`].
//! Source: cli-utils pkg/kstatus/status and fluxcd/pkg's Job reader; flux' Ready and Stalled conditions.

use serde_json::Value;

use super::column::at;
use crate::base::{Condition, Health, State};

/// What marks objects that the weir simulator, and no kubelet, made ready: a word of their status.
const SIMULATED: &str = "simulated";

/// Reasons of a Ready condition that blame another object: what they wait for may well come by itself.
const WAITING: [&str; 2] = ["DependencyNotReady", "SourceNotReady"];

/// Judges a document: Ready means that every rule for its kind holds.
pub fn health(document: &Value) -> Health {
    let mut health = judge(document);
    health.simulated = is_simulated(document);
    health
}

/// Whether a condition, a message or an address of a status says so: kinds without conditions have one of the others.
fn is_simulated(document: &Value) -> bool {
    let says = |value: &Value| value.as_str().is_some_and(|text| text.contains(SIMULATED));
    let addresses = document.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    Condition::all(document).iter().any(|condition| condition.message.contains(SIMULATED))
        || document.pointer("/status/message").is_some_and(says)
        || addresses.into_iter().flatten().any(|address| says(&address["hostname"]))
}

fn judge(document: &Value) -> Health {
    let Some(kind) = document.get("kind").and_then(Value::as_str) else {
        return Health::new(State::Unknown, "", "the object cannot be read");
    };
    if document.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()) {
        let holders = document.pointer("/metadata/finalizers").and_then(Value::as_array);
        let holders: Vec<&str> = holders.into_iter().flatten().filter_map(Value::as_str).collect();
        return Health::new(State::Terminating, "Terminating", &format!("held by {}", holders.join(", ")));
    }
    let ready = Condition::find(document, "Ready");
    if document.pointer("/spec/suspend") == Some(&Value::Bool(true)) && kind != "CronJob" && kind != "Job" {
        return Health::new(State::Suspended, "Suspended", &ready.map(|r| r.message).unwrap_or_default());
    }
    let message = |fallback: &str| match &ready {
        Some(ready) => Health::new(State::Progressing, &ready.reason, &ready.message),
        None => Health::new(State::Progressing, "", fallback),
    };
    if let Some(stalled) = is_true(document, "Stalled") {
        return Health::new(State::Failed, &stalled.reason, &stalled.message);
    }
    if ready.as_ref().is_some_and(|ready| ready.status == "False" && WAITING.contains(&&*ready.reason)) {
        return Health { state: State::Waiting, ..message("") };
    }
    if let Some(failed) = ready.as_ref().filter(|ready| ready.status == "False" && is_flux(document)) {
        return Health::new(State::Failed, &failed.reason, &failed.message);
    }
    if let Some(reconciling) = is_true(document, "Reconciling") {
        return Health::new(State::Progressing, &reconciling.reason, &reconciling.message);
    }
    if let Some(observed) = document.pointer("/status/observedGeneration").and_then(Value::as_i64)
        && Some(observed) != document.pointer("/metadata/generation").and_then(Value::as_i64)
    {
        return Health { state: State::Progressing, ..message("the change is not observed yet") };
    }
    if let Some(health) = built_in(kind, document) {
        return health;
    }
    match &ready {
        Some(ready) if ready.status == "True" => Health::new(State::Ready, &ready.reason, &ready.message),
        Some(ready) => Health::new(State::Progressing, &ready.reason, &ready.message),
        None if is_flux(document) => Health::new(State::Progressing, "", "waiting to be reconciled"),
        None => Health::new(State::Ready, "", ""),
    }
}

/// Flux's kinds say Ready=False when they failed, where other kinds say it while they work.
fn is_flux(document: &Value) -> bool {
    let api_version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    api_version.split('/').next().is_some_and(|group| group.ends_with(".toolkit.fluxcd.io"))
}

fn is_true(document: &Value, kind: &str) -> Option<Condition> {
    Condition::find(document, kind).filter(|condition| condition.status == "True")
}

fn built_in(kind: &str, document: &Value) -> Option<Health> {
    let group = document["apiVersion"].as_str().unwrap_or_default().rsplit_once('/').map_or("", |(group, _)| group);
    Some(match (group, kind) {
        ("apps", "Deployment") => deployment(document),
        ("apps", "StatefulSet") => stateful_set(document),
        ("apps", "DaemonSet") => daemon_set(document),
        ("apps", "ReplicaSet") => replica_set(document),
        ("", "Pod") => pod(document),
        ("", "PersistentVolumeClaim") => phase(document, "Bound"),
        ("batch", "Job") => job(document),
        ("batch", "CronJob") | ("", "ConfigMap" | "Secret") | ("policy", "PodDisruptionBudget") => current(""),
        ("", "Service") => service(document),
        ("", "Namespace") => phase(document, "Active"),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(document),
        _ => return None,
    })
}

fn current(message: &str) -> Health {
    Health::new(State::Ready, "", message)
}

fn progressing(message: String) -> Health {
    Health::new(State::Progressing, "", &message)
}

fn number(document: &Value, pointer: &str, default: i64) -> i64 {
    document.pointer(pointer).and_then(Value::as_i64).unwrap_or(default)
}

/// The first comparison that does not hold yet.
fn first_gap(gaps: &[(&str, i64, i64)]) -> Option<Health> {
    let (what, have, want) = gaps.iter().find(|(_, have, want)| have < want)?;
    Some(progressing(format!("{what}: {have}/{want}")))
}

fn deployment(document: &Value) -> Health {
    let conditions = Condition::all(document);
    let find = |kind: &str| conditions.iter().find(|condition| condition.kind == kind);
    if let Some(stuck) = find("Progressing").filter(|progress| progress.reason == "ProgressDeadlineExceeded") {
        return Health::new(State::Failed, &stuck.reason, &stuck.message);
    }
    let wanted = number(document, "/spec/replicas", 1);
    let status = |key: &str| number(document, &format!("/status/{key}"), 0);
    let gaps = [
        ("replicas", status("replicas"), wanted),
        ("updated", status("updatedReplicas"), wanted),
        ("available", status("availableReplicas"), status("updatedReplicas")),
        ("ready", status("readyReplicas"), wanted),
    ];
    if let Some(gap) = first_gap(&gaps) {
        return gap;
    }
    if status("replicas") > wanted {
        return progressing(format!("pending termination: {}", status("replicas") - wanted));
    }
    let asks_deadline = document.pointer("/spec/progressDeadlineSeconds").is_some();
    if asks_deadline && find("Progressing").is_none_or(|progress| progress.reason != "NewReplicaSetAvailable") {
        return progressing("the new replica set is not available yet".into());
    }
    match find("Available") {
        Some(available) if available.status == "True" => current(&available.message),
        _ => progressing("not available yet".into()),
    }
}

fn stateful_set(document: &Value) -> Health {
    if at(document, "/spec/updateStrategy/type") == "OnDelete" {
        return current("the update strategy is OnDelete");
    }
    let wanted = number(document, "/spec/replicas", 1);
    let status = |key: &str| number(document, &format!("/status/{key}"), 0);
    if let Some(gap) =
        first_gap(&[("replicas", status("replicas"), wanted), ("ready", status("readyReplicas"), wanted)])
    {
        return gap;
    }
    if status("replicas") > wanted {
        return progressing(format!("pending termination: {}", status("replicas") - wanted));
    }
    let partition = number(document, "/spec/updateStrategy/rollingUpdate/partition", 0);
    if partition > 0 {
        return first_gap(&[("updated", status("updatedReplicas"), wanted - partition)]).unwrap_or_else(|| current(""));
    }
    if let Some(gap) = first_gap(&[("current", status("currentReplicas"), wanted)]) {
        return gap;
    }
    if at(document, "/status/currentRevision") != at(document, "/status/updateRevision") {
        return progressing("the new revision is being rolled out".into());
    }
    current("")
}

fn daemon_set(document: &Value) -> Health {
    if document.pointer("/status/observedGeneration").is_none() {
        return progressing("not observed yet".into());
    }
    let status = |key: &str| number(document, &format!("/status/{key}"), 0);
    let wanted = number(document, "/status/desiredNumberScheduled", -1);
    if wanted < 0 {
        return progressing("not scheduled yet".into());
    }
    let gaps = [
        ("scheduled", status("currentNumberScheduled"), wanted),
        ("updated", status("updatedNumberScheduled"), wanted),
        ("available", status("numberAvailable"), wanted),
        ("ready", status("numberReady"), wanted),
    ];
    first_gap(&gaps).unwrap_or_else(|| current(""))
}

fn replica_set(document: &Value) -> Health {
    if let Some(failure) = is_true(document, "ReplicaFailure") {
        return Health::new(State::Progressing, &failure.reason, &failure.message);
    }
    let wanted = number(document, "/spec/replicas", 1);
    let status = |key: &str| number(document, &format!("/status/{key}"), 0);
    let gaps = [
        ("labelled", status("fullyLabeledReplicas"), wanted),
        ("available", status("availableReplicas"), wanted),
        ("ready", status("readyReplicas"), wanted),
    ];
    if let Some(gap) = first_gap(&gaps) {
        return gap;
    }
    if status("replicas") > wanted {
        return progressing(format!("pending termination: {}", status("replicas") - wanted));
    }
    current("")
}

fn pod(document: &Value) -> Health {
    let containers = document.pointer("/status/containerStatuses").and_then(Value::as_array);
    for container in containers.into_iter().flatten() {
        if at(container, "/state/waiting/reason") == "CrashLoopBackOff" {
            return Health::new(State::Failed, "CrashLoopBackOff", &at(container, "/state/waiting/message"));
        }
    }
    match at(document, "/status/phase").as_str() {
        "Succeeded" | "Failed" => current("the pod has ended"),
        "Running" if is_true(document, "Ready").is_some() => current(""),
        "Running" => progressing("running, not ready yet".into()),
        "" => progressing("not scheduled yet".into()),
        phase => match Condition::find(document, "PodScheduled").filter(|at| at.reason == "Unschedulable") {
            Some(stuck) => Health::new(State::Failed, &stuck.reason, &stuck.message),
            None => progressing(format!("phase {phase}")),
        },
    }
}

fn phase(document: &Value, wanted: &str) -> Health {
    match at(document, "/status/phase") {
        phase if phase == wanted => current(""),
        phase => progressing(format!("phase {phase:?}, {wanted} wanted")),
    }
}

fn job(document: &Value) -> Health {
    if let Some(failed) = is_true(document, "Failed") {
        return Health::new(State::Failed, &failed.reason, &failed.message);
    }
    if is_true(document, "Complete").is_some() {
        return current("the job is complete");
    }
    if is_true(document, "Suspended").is_some() {
        return current("the job is suspended");
    }
    progressing("the job is running".into())
}

fn service(document: &Value) -> Health {
    // The embedded API gives no cluster addresses, but its balancers get one outside.
    let is_reachable =
        !at(document, "/spec/clusterIP").is_empty() || document.pointer("/status/loadBalancer/ingress/0").is_some();
    if at(document, "/spec/type") == "LoadBalancer" && !is_reachable {
        return progressing("no address yet".into());
    }
    current("")
}

fn definition(document: &Value) -> Health {
    if let Some(names) = Condition::find(document, "NamesAccepted").filter(|names| names.status == "False") {
        return Health::new(State::Failed, &names.reason, &names.message);
    }
    match is_true(document, "Established") {
        Some(_) => current(""),
        None => progressing("not established yet".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(document: Value) -> State {
        health(&document).state
    }

    fn deployment(status: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "generation": 2},
            "spec": {"replicas": 2}, "status": status})
    }

    #[test]
    fn what_is_simulated_says_so_with_or_without_conditions() {
        let is = |status: Value| health(&json!({"kind": "DaemonSet", "metadata": {}, "status": status})).simulated;
        assert!(is(
            json!({"conditions": [{"type": "weir.dev/Simulated", "status": "True", "message": "simulated: no"}]})
        ));
        assert!(is(json!({"message": "simulated: there is no volume"})));
        assert!(is(json!({"loadBalancer": {"ingress": [{"hostname": "simulated.invalid"}]}})));
        assert!(!is(json!({"numberReady": 1, "conditions": [{"type": "Other", "status": "True", "message": "real"}]})));
    }

    #[test]
    fn a_deployment_is_ready_when_all_its_replicas_are() {
        let available = json!([{"type": "Available", "status": "True"}]);
        let good = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
            "readyReplicas": 2, "conditions": available});
        assert_eq!(state(deployment(good.clone())), State::Ready);
        for (field, value) in [("observedGeneration", 1), ("replicas", 3), ("updatedReplicas", 1), ("readyReplicas", 1)]
        {
            let mut bad = good.clone();
            bad[field] = value.into();
            assert_eq!(state(deployment(bad)), State::Progressing, "{field}");
        }
        let stuck = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(state(deployment(json!({"observedGeneration": 2, "conditions": stuck}))), State::Failed);
        assert_eq!(state(deployment(Value::Null)), State::Progressing);
    }

    #[test]
    fn a_flux_object_says_how_it_is() {
        let object = |conditions: Value, suspend: bool| {
            json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
                "metadata": {"name": "apps", "generation": 1}, "spec": {"suspend": suspend},
                "status": {"conditions": conditions}})
        };
        let ready = |status: &str, reason: &str| json!([{"type": "Ready", "status": status, "reason": reason}]);
        assert_eq!(state(object(json!([]), false)), State::Progressing);
        assert_eq!(state(object(ready("True", "ReconciliationSucceeded"), false)), State::Ready);
        assert_eq!(state(object(ready("False", "BuildFailed"), false)), State::Failed);
        assert_eq!(state(object(ready("False", "DependencyNotReady"), false)), State::Waiting);
        assert_eq!(state(object(ready("False", "SourceNotReady"), false)), State::Waiting);
        assert_eq!(state(object(ready("True", "ReconciliationSucceeded"), true)), State::Suspended);
    }

    #[test]
    fn what_cannot_be_read_is_never_healthy() {
        assert_eq!(state(Value::Null), State::Unknown);
        assert_eq!(state(json!([])), State::Unknown);
    }

    #[test]
    fn a_job_must_complete() {
        let job = |kind: &str| {
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
                "status": {"conditions": [{"type": kind, "status": "True"}]}})
        };
        assert_eq!(state(job("Complete")), State::Ready);
        assert_eq!(state(job("Failed")), State::Failed);
        assert_eq!(state(job("Other")), State::Progressing);
    }
}
