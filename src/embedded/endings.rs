//! Beginnings and ends that the server brings about: first namespaces and their content, the emptying of namespaces and
//! definitions that are being deleted, and the expiry of events.
//!
//! When is the collector's business. Start with [`empty_namespace`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Core;
use super::api_services;
use super::catalog::{Catalog, Resource};
use super::definitions::CLEANUP;
use super::delete::{self, DeleteOptions};
use super::kinds::set_condition;
use super::object::{Key, Stored};
use super::request::{Options, User, Validation};
use super::status::Failure;
use super::store::Txn;
use super::write::{self, Call};

pub const NAMESPACES: &str = "/namespaces";
const FIRST: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
/// How long an event is kept after it was last seen, as in the real server.
const EVENT_SECONDS: i64 = 3600;

/// Makes what always exists: namespaces, the service and the role, and one `APIService` for each group version.
///
/// Errors when they are missing and cannot be written.
pub async fn first_namespaces(core: &Arc<Core>) -> Result<(), Failure> {
    for name in FIRST {
        let body = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}});
        create(core, ("", "namespaces"), "", body).await?;
    }
    // Every cluster has it, and clients look for it.
    let service = json!({"kind": "Service", "apiVersion": "v1",
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]}});
    create(core, ("", "services"), "default", service).await?;
    let rules =
        json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]);
    let role = json!({"kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1", "rules": rules,
        "metadata": {"name": "cluster-admin", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}});
    create(core, ("rbac.authorization.k8s.io", "clusterroles"), "", role).await?;
    api_services::register(core).await
}

/// Creates an object of a group's first version, unless it is there.
async fn create(core: &Arc<Core>, (group, plural): (&str, &str), namespace: &str, body: Value) -> Result<(), Failure> {
    let resource = core.store.read().catalog.find(group, "v1", plural).cloned();
    let Some(resource) = resource else { return Ok(()) };
    let key = Key::new(&resource.storage, namespace, body["metadata"]["name"].as_str().unwrap_or_default());
    if core.store.read().get(&key).is_some() {
        return Ok(());
    }
    let call = call(core, &resource, namespace, "");
    core.store.write(move |txn| write::create(txn, &call, body).map(|_| ())).await
}

/// A write of the server itself.
pub fn call(core: &Core, resource: &Arc<Resource>, namespace: &str, name: &str) -> Call {
    let options = Options {
        dry_run: false,
        force: false,
        given_owner: "weir".into(),
        owner: "weir".into(),
        validation: Validation::Ignore,
        twice: Vec::new(),
        user: User::default(),
    };
    let (namespace, name) = (namespace.into(), name.into());
    Call { resource: resource.clone(), namespace, name, subresource: "", options, now: core.stamp() }
}

/// What every namespace has: manifests refer to the account, suites wait for both.
///
/// Errors when they cannot be written now.
pub async fn furnish(core: &Arc<Core>, namespace: &str) -> Result<(), Failure> {
    let account = json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}});
    let note = "the embedded API has no cluster certificate; this map exists because workloads mount it\n";
    let map = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": note}});
    for (plural, body) in [("serviceaccounts", account), ("configmaps", map)] {
        match create(core, ("", plural), namespace, body).await {
            // The namespace went meanwhile, or somebody else was faster.
            Err(failure) if matches!(failure.code, 403 | 404 | 409) => {}
            other => other?,
        }
    }
    Ok(())
}

/// Deletes everything in a namespace, and the namespace when nothing is left; else says in its status what is.
pub fn empty_namespace(txn: &mut Txn<'_>, own: &Call, kinds: &[Arc<Resource>]) {
    let (mut remaining, mut holding) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for resource in kinds {
        for object in delete_all(txn, own, resource, &own.name) {
            let value = object.value();
            *remaining.entry(super::status::qualified(&resource.plural, &resource.group)).or_default() += 1;
            for finalizer in value["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
            {
                *holding.entry(finalizer.to_string()).or_default() += 1;
            }
        }
    }
    if remaining.is_empty() {
        return delete::release(txn, own, &["kubernetes"]);
    }
    let Some(namespace) = txn.get(&own.key()) else { return };
    let old = namespace.value();
    let mut new = old.clone();
    let list = |counts: &BTreeMap<String, usize>, words: &str| {
        counts.iter().map(|(name, n)| format!("{name}{words}{n} resource instances")).collect::<Vec<_>>().join(", ")
    };
    let content = format!("Some resources are remaining: {}", list(&remaining, " has "));
    let finalizers = format!("Some content in the namespace has finalizers remaining: {}", list(&holding, " in "));
    set_condition(&mut new, "NamespaceContentRemaining", "True", "SomeResourcesRemain", &content, &own.now);
    set_condition(&mut new, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", &finalizers, &own.now);
    if new != old {
        txn.put(own.key(), new);
    }
}

/// Deletes every object of a kind, and answers those that are held.
fn delete_all(txn: &mut Txn<'_>, own: &Call, resource: &Arc<Resource>, namespace: &str) -> Vec<Arc<Stored>> {
    let mut held = Vec::new();
    for (key, object) in txn.list(&resource.storage, namespace) {
        let (namespace, name) = (key.namespace.to_string(), key.name.to_string());
        let call = Call { resource: resource.clone(), namespace, name, ..own.clone() };
        if !object.deleting {
            // It goes or is held; there is no third way that anyone could be told of.
            let _ = delete::remove(txn, &call, &DeleteOptions::default());
        }
        held.extend(txn.get(&key));
    }
    held
}

/// The kind that a definition brought.
pub fn instances_of(catalog: &Catalog, definition: &str) -> Option<Arc<Resource>> {
    catalog.all().find(|r| r.custom.as_ref().is_some_and(|c| c.definition == definition)).cloned()
}

/// Deletes every object of a definition, and the definition when nothing is left.
pub fn empty_definition(txn: &mut Txn<'_>, own: &Call, instances: Option<Arc<Resource>>) {
    let held = instances.map_or(0, |resource| delete_all(txn, own, &resource, "").len());
    if held == 0 {
        delete::release(txn, own, &[CLEANUP]);
    }
}

/// Removes events that were last seen more than an hour ago.
///
/// Errors when that cannot be written now.
pub async fn expire_events(core: &Arc<Core>) -> Result<(), Failure> {
    let horizon = (core.now)().as_second() - EVENT_SECONDS;
    let storage: Arc<str> = "/events".into();
    let old: Vec<Key> = {
        let state = core.store.read();
        state
            .range(&storage, "")
            .filter(|(_, event)| last_seen(&event.value()) < horizon)
            .map(|(key, _)| key.clone())
            .collect()
    };
    if old.is_empty() {
        return Ok(());
    }
    core.store
        .write(move |txn| {
            for key in old {
                if let Some(event) = txn.get(&key).filter(|event| last_seen(&event.value()) < horizon) {
                    txn.delete(key, event.value());
                }
            }
            Ok(())
        })
        .await
}

fn last_seen(event: &Value) -> i64 {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    let seconds = times.iter().filter_map(|p| event.pointer(p)?.as_str()?.parse::<Timestamp>().ok());
    seconds.map(|time| time.as_second()).max().unwrap_or(i64::MAX)
}
