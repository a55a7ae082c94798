//! `APIService`: one object for every group version that is served, as on a real server.
//!
//! Those that name a service elsewhere are kept and say that nothing answers for them: no API is aggregated here.
//! Start with [`register`] and [`check`].

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Core;
use super::catalog::Catalog;
use super::columns::{AGE, Column, NAME, text};
use super::endings::call;
use super::kinds::set_condition;
use super::object::Key;
use super::schema::Cause;
use super::status::{Failure, invalid_value};
use super::store::Txn;
use super::{delete, write};

/// Where they are stored.
pub const API_SERVICES: &str = "apiregistration.k8s.io/apiservices";
/// Says that the server made it, and of what.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// What `kubectl get` shows of one.
pub const COLUMNS: &[Column] = &[NAME, text("Service", service), text("Available", available), AGE];

/// Says of a new one whether its group version is served.
pub fn at_create(object: &mut Value, now: &str) {
    if !object["spec"]["service"].is_object() {
        let why = "Local APIServices are always available";
        return set_condition(object, "Available", "True", "Local", why, now);
    }
    if object["spec"]["service"]["port"].is_null() {
        object["spec"]["service"]["port"] = 443.into();
    }
    let why = "the embedded API aggregates no other APIs, so nothing answers for this group version";
    set_condition(object, "Available", "False", "NotAggregated", why, now);
}

/// Everything wrong with one that its schema cannot see.
pub fn check(object: &Value) -> Vec<Cause> {
    let (spec, mut causes) = (&object["spec"], Vec::new());
    let text = |field: &str| spec[field].as_str().unwrap_or_default();
    let (name, wanted) = (&object["metadata"]["name"], format!("{}.{}", text("version"), text("group")));
    if name.as_str() != Some(wanted.as_str()) {
        let why = format!("must be `spec.version+\".\"+spec.group`: \"{wanted}\"");
        causes.push(invalid_value("metadata.name", name, &why));
    }
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let number = spec[field].as_i64().unwrap_or(0);
        if number <= 0 || number > most {
            let why = format!("must be positive and less than {most}");
            causes.push(invalid_value(format!("spec.{field}"), &number.into(), &why));
        }
    }
    if !spec["service"].is_object() {
        for field in ["insecureSkipTLSVerify", "caBundle"] {
            if spec[field] == true || spec[field].as_str().is_some_and(|bundle| !bundle.is_empty()) {
                let why = format!("local APIServices may not have {field}");
                causes.push(invalid_value(format!("spec.{field}"), &spec[field], &why));
            }
        }
    }
    causes
}

/// Makes one for each group version that is served, and takes away those the server made and serves no more.
///
/// Errors when that cannot be written now.
pub async fn register(core: &Arc<Core>) -> Result<(), Failure> {
    let catalog = core.store.read().catalog.clone();
    let Some(resource) = catalog.find("apiregistration.k8s.io", "v1", "apiservices").cloned() else { return Ok(()) };
    let own = call(core, &resource, "", "");
    let missing: Vec<Value> = {
        let state = core.store.read();
        let is_missing = |body: &Value| {
            let name = body["metadata"]["name"].as_str().unwrap_or_default();
            state.get(&Key::new(&resource.storage, "", name)).is_none()
        };
        wanted(&catalog).into_iter().filter(is_missing).collect()
    };
    let names: BTreeSet<String> =
        wanted(&catalog).iter().filter_map(|body| body["metadata"]["name"].as_str().map(String::from)).collect();
    let stale: Vec<Key> = {
        let state = core.store.read();
        let made = state.range(&resource.storage, "").filter(|(_, object)| object.label(MANAGED).is_some());
        made.filter(|(key, _)| !names.contains(key.name.as_ref())).map(|(key, _)| key.clone()).collect()
    };
    if missing.is_empty() && stale.is_empty() {
        return Ok(());
    }
    let change = move |txn: &mut Txn<'_>| {
        for body in missing {
            match write::create(txn, &own, body) {
                Err(failure) if failure.code != 409 => return Err(failure),
                _ => {}
            }
        }
        for key in stale {
            let own = write::Call { name: key.name.to_string(), ..own.clone() };
            match delete::remove(txn, &own, &delete::DeleteOptions::default()) {
                Err(failure) if failure.code != 404 => return Err(failure),
                _ => {}
            }
        }
        Ok(())
    };
    core.store.write(change).await
}

fn wanted(catalog: &Catalog) -> Vec<Value> {
    let custom: BTreeSet<&str> =
        catalog.all().filter(|resource| resource.custom.is_some()).map(|resource| resource.group.as_str()).collect();
    let mut all = Vec::new();
    for (at, (group, versions)) in catalog.groups().into_iter().enumerate() {
        for (below, version) in versions.iter().enumerate() {
            let is_custom = custom.contains(group.as_str());
            let priority = if is_custom { 1000 } else { 18_000 - 100 * at };
            let mut spec =
                json!({"version": version, "groupPriorityMinimum": priority, "versionPriority": 100 - below.min(99)});
            if !group.is_empty() {
                spec["group"] = group.as_str().into();
            }
            let since = if is_custom { "true" } else { "onstart" };
            all.push(json!({"kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1", "spec": spec,
                "metadata": {"name": format!("{version}.{group}"), "labels": {MANAGED: since}}}));
        }
    }
    all
}

fn service(object: &Value, _: Timestamp) -> Value {
    let service = &object["spec"]["service"];
    match (service["namespace"].as_str(), service["name"].as_str()) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}").into(),
        _ => "Local".into(),
    }
}

/// The condition `Available`, with its reason when it is not met.
fn available(object: &Value, _: Timestamp) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    match conditions.into_iter().find(|condition| condition["type"] == "Available") {
        None => "Unknown".into(),
        Some(found) if found["status"] == "True" => "True".into(),
        Some(found) => format!("{} ({})", text(&found["status"]), text(&found["reason"])).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_version_and_group() {
        let service = |name: &str| json!({"metadata": {"name": name}, "spec": {"group": "x.io", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1}});
        assert!(check(&service("v1.x.io")).is_empty());
        assert_eq!(check(&service("v1.y.io"))[0].field, "metadata.name");
        assert_eq!(check(&json!({})).len(), 3);
    }

    #[test]
    fn every_group_version_has_a_good_one() {
        let all = wanted(&Catalog::new());
        assert!(all.len() > 15);
        for service in &all {
            assert!(check(service).is_empty(), "{service}");
        }
    }
}
