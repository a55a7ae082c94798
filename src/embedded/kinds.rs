//! What single built-in kinds need beyond their row: first values, fixed fields, rules across fields.
//!
//! Small on purpose: defaults that no client misses are left out. Custom resource definitions are in `definitions.rs`.
//! Start with [`at_create`] and [`check`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::catalog::{CERTIFICATES, DEFINITIONS, Resource};
use super::schema::{self, Cause};
use super::select::Labels;
use super::status::{Failure, cause, forbidden_value, invalid_value, required_value};
use super::store::Txn;
use super::write::Call;
use super::{api_services, certificates, definitions};

const IMMUTABLE: &str = "field is immutable";

/// Sets what the server sets on a new object.
///
/// Errors with 422 for a definition that cannot be served.
pub fn at_create(txn: &Txn<'_>, call: &Call, object: &mut Value) -> Result<(), Failure> {
    match call.resource.storage.as_ref() {
        "/namespaces" => {
            let name = object["metadata"]["name"].clone();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({"phase": "Active"});
        }
        "/secrets" => {
            fold_string_data(object);
            if object["type"].as_str().unwrap_or_default().is_empty() {
                object["type"] = "Opaque".into();
            }
        }
        "/pods" => object["status"] = json!({"phase": "Pending"}),
        "/persistentvolumeclaims" | "/persistentvolumes" => object["status"] = json!({"phase": "Pending"}),
        CERTIFICATES => {
            let user = &call.options.user;
            object["spec"]["username"] = user.name.as_str().into();
            object["spec"]["groups"] = user.groups.clone().into();
            ["uid", "extra"].iter().for_each(|field| super::admit::remove(&mut object["spec"], field));
            if !user.uid.is_empty() {
                object["spec"]["uid"] = user.uid.as_str().into();
            }
            if !user.extra.is_empty() {
                object["spec"]["extra"] = json!(user.extra);
            }
        }
        api_services::API_SERVICES => api_services::at_create(object, &call.now),
        DEFINITIONS => return definitions::at_create(txn.catalog(), object, &call.now),
        _ => {}
    }
    Ok(())
}

/// Sets what the server sets on a changed object.
pub fn at_update(resource: &Resource, subresource: &str, old: &Value, new: &mut Value, now: &str) {
    match resource.storage.as_ref() {
        "/secrets" => {
            fold_string_data(new);
            if new["type"].as_str().unwrap_or_default().is_empty() {
                new["type"] = old["type"].clone();
            }
        }
        "/namespaces" if subresource.is_empty() => {
            new["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
            if new["spec"]["finalizers"].is_null() {
                super::admit::remove(&mut new["spec"], "finalizers");
            }
            new["metadata"]["labels"]["kubernetes.io/metadata.name"] = old["metadata"]["name"].clone();
        }
        CERTIFICATES if subresource.is_empty() => new["spec"] = old["spec"].clone(),
        CERTIFICATES => certificates::stamp(old, new, now),
        DEFINITIONS if subresource.is_empty() => definitions::at_update(old, new, now),
        _ => {}
    }
}

/// The plain texts of a Secret become data, as they are stored.
fn fold_string_data(secret: &mut Value) {
    let Some(texts) = secret.as_object_mut().and_then(|fields| fields.shift_remove("stringData")) else { return };
    for (key, text) in texts.as_object().into_iter().flatten() {
        if !secret["data"].is_object() {
            secret["data"] = json!({});
        }
        secret["data"][key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}

/// Everything wrong with an object that its schema cannot see; `old` is what it replaces.
pub fn check(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    match resource.storage.as_ref() {
        "/secrets" => check_secret(new, old, &mut causes),
        "/configmaps" => check_config_map(new, old, &mut causes),
        "apps/deployments" | "apps/daemonsets" | "apps/replicasets" => {
            fixed(new, old, &["spec", "selector"], &mut causes);
            check_workload(new, &mut causes);
        }
        "apps/statefulsets" => {
            check_stateful_set(new, old, &mut causes);
            check_workload(new, &mut causes);
        }
        "batch/jobs" => {
            for field in ["selector", "template", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"] {
                fixed(new, old, &["spec", field], &mut causes);
            }
            if new["spec"]["completionMode"] != "Indexed" {
                fixed(new, old, &["spec", "completions"], &mut causes);
            }
        }
        "rbac.authorization.k8s.io/rolebindings" | "rbac.authorization.k8s.io/clusterrolebindings"
            if old.is_some_and(|old| old["roleRef"] != new["roleRef"]) =>
        {
            causes.push(invalid_value("roleRef", &new["roleRef"], "cannot change roleRef"));
        }
        "/persistentvolumeclaims" => check_claim(new, old, &mut causes),
        "storage.k8s.io/storageclasses" => {
            for field in ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"] {
                if old.is_some_and(|old| !old[field].is_null() && old[field] != new[field]) {
                    causes.push(forbidden_value(field, &format!("updates to {field} are forbidden.")));
                }
            }
        }
        "scheduling.k8s.io/priorityclasses" if old.is_some_and(|old| old["value"] != new["value"]) => {
            causes.push(forbidden_value("value", "may not be changed in an update."));
        }
        "networking.k8s.io/ingressclasses" => fixed(new, old, &["spec", "controller"], &mut causes),
        "node.k8s.io/runtimeclasses" => fixed(new, old, &["handler"], &mut causes),
        "/pods" => check_pod(new, old, &mut causes),
        "/services" => check_service(new, &mut causes),
        CERTIFICATES if old.is_none() => causes.extend(certificates::check_new(new)),
        api_services::API_SERVICES => causes.extend(api_services::check(new)),
        DEFINITIONS => {
            causes.extend(schema::check_crd(new));
            causes.extend(definitions::check_change(new, old));
        }
        _ => {}
    }
    causes
}

/// Everything wrong with a change of one part of an object, which its schema cannot see.
pub fn check_part(resource: &Resource, part: &str, new: &Value, old: &Value) -> Vec<Cause> {
    match (resource.storage.as_ref(), part) {
        (CERTIFICATES, _) => certificates::check_part(part, new, old),
        ("/pods", "ephemeralcontainers") => check_ephemeral(new, old),
        _ => Vec::new(),
    }
}

/// Containers for looking into a pod are added, and stay as they are.
fn check_ephemeral(new: &Value, old: &Value) -> Vec<Cause> {
    const PATH: &str = "spec.ephemeralContainers";
    let list = |pod: &Value, name: &str| pod["spec"][name].as_array().cloned().unwrap_or_default();
    let (now, mut causes) = (list(new, "ephemeralContainers"), Vec::new());
    for before in list(old, "ephemeralContainers") {
        let verdict = match now.iter().find(|container| container["name"] == before["name"]) {
            None => "removed",
            Some(container) if *container != before => "changed",
            Some(_) => continue,
        };
        causes.push(forbidden_value(
            PATH,
            &format!("existing ephemeral containers {} may not be {verdict}\n", before["name"]),
        ));
    }
    let mut names: Vec<Value> = Vec::new();
    names.extend(["containers", "initContainers"].iter().flat_map(|l| list(new, l)).map(|c| c["name"].clone()));
    for (at, container) in now.iter().enumerate() {
        if names.contains(&container["name"]) {
            let why = format!("Duplicate value: {}", container["name"]);
            causes.push(cause("FieldValueDuplicate", format!("{PATH}[{at}].name"), why));
        }
        names.push(container["name"].clone());
    }
    causes
}

fn at<'a>(object: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(object, |at, name| &at[*name])
}

/// A field that may not change once it is set.
fn fixed(new: &Value, old: Option<&Value>, path: &[&str], causes: &mut Vec<Cause>) {
    let Some(old) = old.map(|old| at(old, path)) else { return };
    let new = at(new, path);
    if old != new && !(old.is_null() && new.is_null()) {
        causes.push(invalid_value(path.join("."), new, IMMUTABLE));
    }
}

fn check_secret(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    // Secret values must not be told, so neither are they in the causes.
    for (key, value) in new["data"].as_object().into_iter().flatten() {
        if value.as_str().is_none_or(|text| STANDARD.decode(text).is_err()) {
            causes.push(cause("FieldValueInvalid", format!("data[{key}]"), "Invalid value: must be base64"));
        }
    }
    let needed: &[&str] = match new["type"].as_str().unwrap_or_default() {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| new["data"][**key].is_null()) {
        causes.push(required_value(format!("data[{key}]"), ""));
    }
    let Some(old) = old else { return };
    if old["type"] != new["type"] {
        causes.push(invalid_value("type", &new["type"], IMMUTABLE));
    }
    check_sealed(new, old, &["data"], causes);
}

fn check_config_map(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    for field in ["data", "binaryData"] {
        for (key, _) in new[field].as_object().into_iter().flatten() {
            let fine = !key.is_empty() && key.len() <= 253 && !matches!(key.as_str(), "." | "..");
            if !fine || !key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
                causes.push(invalid_value(format!("{field}[{key}]"), &key.as_str().into(), why));
            }
        }
    }
    if let Some(old) = old {
        check_sealed(new, old, &["data", "binaryData"], causes);
    }
}

/// Content marked `immutable: true` stays as it is, and so does the mark.
fn check_sealed(new: &Value, old: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        causes.push(forbidden_value("immutable", "field is immutable when `immutable` is set"));
    }
    for field in fields.iter().filter(|field| new[**field] != old[**field]) {
        causes.push(forbidden_value(*field, "field is immutable when `immutable` is set"));
    }
}

fn check_stateful_set(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    const MAY_CHANGE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
        "revisionHistoryLimit",
    ];
    let Some(old) = old else { return };
    let rest = |object: &Value| {
        let mut spec = object["spec"].clone();
        MAY_CHANGE.iter().for_each(|field| super::admit::remove(&mut spec, field));
        spec
    };
    if rest(old) != rest(new) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        causes.push(forbidden_value("spec", why));
    }
}

/// The selector of a workload must be there and select its own template.
fn check_workload(new: &Value, causes: &mut Vec<Cause>) {
    let selector = &new["spec"]["selector"];
    if selector.is_null() {
        causes.push(required_value("spec.selector", ""));
        return;
    }
    let labels = &new["spec"]["template"]["metadata"]["labels"];
    match Labels::from_object(selector) {
        Err(why) => causes.push(invalid_value("spec.selector", selector, &why)),
        Ok(parsed) if parsed.is_empty() => {
            causes.push(invalid_value("spec.selector", selector, "empty selector is invalid for deployment"));
        }
        Ok(parsed) => {
            if !parsed.matches(|key| labels[key].as_str()) {
                let why = "`selector` does not match template `labels`";
                causes.push(invalid_value("spec.template.metadata.labels", labels, why));
            }
        }
    }
    if new["spec"]["template"]["spec"]["containers"].as_array().is_none_or(Vec::is_empty) {
        causes.push(required_value("spec.template.spec.containers", ""));
    }
}

/// Only a name for something outside, and a service without an address of its own, has no ports.
fn check_service(new: &Value, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    let has_ports = spec["ports"].as_array().is_some_and(|ports| !ports.is_empty());
    if !has_ports && spec["type"] != "ExternalName" && spec["clusterIP"] != "None" {
        causes.push(required_value("spec.ports", ""));
    }
}

fn check_claim(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let Some(old) = old else { return };
    let rest = |object: &Value| {
        let mut spec = object["spec"].clone();
        // What binding fills in, and what may grow.
        ["resources", "volumeName", "volumeAttributesClassName"]
            .iter()
            .for_each(|f| super::admit::remove(&mut spec, f));
        spec
    };
    if rest(old) != rest(new) {
        let why =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        causes.push(forbidden_value("spec", why));
    }
}

fn check_pod(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let Some(old) = old else {
        if new["spec"]["containers"].as_array().is_none_or(Vec::is_empty) {
            causes.push(required_value("spec.containers", ""));
        }
        if new["spec"]["ephemeralContainers"].as_array().is_some_and(|list| !list.is_empty()) {
            causes.push(forbidden_value("spec.ephemeralContainers", "cannot be set on create"));
        }
        return;
    };
    let rest = |object: &Value| {
        let mut spec = object["spec"].clone();
        for field in
            ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName", "schedulingGates"]
        {
            super::admit::remove(&mut spec, field);
        }
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                super::admit::remove(container, "image");
                super::admit::remove(container, "resources");
            }
        }
        spec
    };
    if rest(old) != rest(new) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        causes.push(forbidden_value("spec", why));
    }
}

/// Sets a condition; its transition time moves only when its status does.
pub fn set_condition(object: &mut Value, kind: &str, status: &str, reason: &str, message: &str, now: &str) {
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    let conditions = &mut object["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let list = conditions.as_array_mut().expect("made a list just above");
    let old = list.iter_mut().find(|condition| condition["type"] == kind);
    let since = match &old {
        Some(old) if old["status"] == status => old["lastTransitionTime"].clone(),
        _ => now.into(),
    };
    let condition =
        json!({"lastTransitionTime": since, "message": message, "reason": reason, "status": status, "type": kind});
    match old {
        Some(old) => *old = condition,
        None => list.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::Catalog;
    use super::*;

    fn fields(group: &str, plural: &str, new: Value, old: Option<Value>) -> Vec<String> {
        let catalog = Catalog::new();
        let resource = catalog.find(group, "v1", plural).unwrap();
        check(resource, &new, old.as_ref()).into_iter().map(|c| c.field).collect()
    }

    #[test]
    fn selectors_and_templates_of_jobs_are_fixed() {
        let job = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"image": image}]}}}});
        assert_eq!(fields("batch", "jobs", job("b"), Some(job("a"))), ["spec.template"]);
        assert!(fields("batch", "jobs", job("a"), Some(job("a"))).is_empty());
    }

    #[test]
    fn sealed_content_stays() {
        let map = |value: &str, sealed: bool| json!({"data": {"a": value}, "immutable": sealed});
        assert_eq!(fields("", "configmaps", map("2", true), Some(map("1", true))), ["data"]);
        assert_eq!(fields("", "configmaps", map("1", false), Some(map("1", true))), ["immutable"]);
        assert!(fields("", "configmaps", map("2", false), Some(map("1", false))).is_empty());
    }

    #[test]
    fn plain_secret_texts_become_data_and_are_never_told() {
        let mut secret = json!({"stringData": {"a": "b"}, "data": {"c": "ZA=="}});
        fold_string_data(&mut secret);
        assert_eq!(secret, json!({"data": {"c": "ZA==", "a": "Yg=="}}));
        let causes = check_all_secret(json!({"data": {"a": "hunter2!"}}));
        assert!(!format!("{causes:?}").contains("hunter2"));
        assert_eq!(causes.len(), 1);
    }

    fn check_all_secret(new: Value) -> Vec<Cause> {
        let mut causes = Vec::new();
        check_secret(&new, None, &mut causes);
        causes
    }

    #[test]
    fn a_workload_must_select_its_own_template() {
        let mut deployment = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template":
            {"metadata": {"labels": {"a": "c"}}, "spec": {"containers": [{"name": "x"}]}}}});
        assert_eq!(fields("apps", "deployments", deployment.clone(), None), ["spec.template.metadata.labels"]);
        deployment["spec"]["template"]["metadata"]["labels"]["a"] = json!("b");
        assert!(fields("apps", "deployments", deployment, None).is_empty());
    }
}
