//! Every choice of the Kustomization reconciler, as functions from what was observed to what is to be done.
//!
//! Nothing here waits or writes. Start with [`Plan::of`] (what the spec asks for), [`hold`] (when a prune looks like an
//! accident) and [`prune`] (what may be deleted at all).
//! Source: kustomize-controller internal/controller; holds and refusals are weir's own.

use std::time::Duration;

use super::super::Options;
use super::super::{Cause, Failure};
use crate::base::{Condition, Id, Value, format_duration, parse_duration};
use crate::kinds::Kustomization;
use crate::kinds::kustomization::{self, DeletionPolicy, OWNER_NAME, OWNER_NAMESPACE};

/// Releases a held prune: `<revision>/<count>`.
pub const ALLOW_PRUNE: &str = "weir.dev/allow-prune";
/// Marks a Namespace that was there before weir applied it: it is never pruned.
pub const ADOPTED: &str = "weir.dev/adopted";

/// The times that a spec asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub interval: Duration,
    /// The fixed pause after a failure.
    pub retry: Duration,
    /// For applying, and again for health.
    pub timeout: Duration,
}

impl Plan {
    /// Reads the times, and refuses what this weir cannot do: it is never silently left out.
    pub fn of(object: &Kustomization, options: &Options) -> Result<Plan, Failure> {
        let spec = &object.spec;
        let stalled = |reason: &str, message: String| Failure::Stalled(Cause::new(reason, message));
        let duration = |field: &str, text: &str| {
            parse_duration(text).map_err(|error| stalled("Failed", format!("spec.{field}: {error}")))
        };
        let optional = |field: &str, text: &Option<String>| text.as_deref().map(|t| duration(field, t)).transpose();
        let interval = duration("interval", &spec.interval)?;
        let retry = optional("retryInterval", &spec.retry_interval)?.unwrap_or(interval);
        let default_timeout = interval.saturating_sub(Duration::from_secs(30)).max(Duration::from_secs(30));
        let timeout = optional("timeout", &spec.timeout)?.unwrap_or(default_timeout);
        if let Some((field, instead)) = unsupported(object) {
            let message = format!("spec.{field} is not supported by weir yet: {instead}");
            return Err(stalled("FeatureGateDisabled", message));
        }
        let own = object.metadata.namespace.as_deref().unwrap_or_default();
        let from = spec.source_ref.namespace.as_deref().unwrap_or(own);
        if options.no_cross_namespace_refs && from != own {
            let source = &spec.source_ref;
            return Err(stalled(
                "AccessDenied",
                format!(
                    "can't access {}/{from}/{}: references across namespaces are disabled",
                    source.kind, source.name
                ),
            ));
        }
        Ok(Plan { interval, retry, timeout })
    }

    /// A failure that is tried again after the retry interval.
    pub fn failure(&self, reason: &str, message: impl Into<String>) -> Failure {
        Failure::RetryAfter(Cause::new(reason, message), self.retry)
    }
}

/// The first field that asks for what cannot be done yet, and what to do instead.
fn unsupported(object: &Kustomization) -> Option<(&'static str, &'static str)> {
    let spec = &object.spec;
    if spec.decryption.is_some() {
        return Some(("decryption", "remove it, or let Flux's kustomize-controller reconcile this object"));
    }
    None
}

/// Whether a dependency is met; `same_source` is the current revision when both are built from one source.
///
/// Errors with what is missing.
pub fn dependency(id: &Id, document: Option<&Value>, same_source: Option<&str>) -> Result<(), String> {
    let Some(document) = document else { return Err(format!("dependency {id} not found")) };
    let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_i64);
    let is_ready = Condition::find(document, "Ready").is_some_and(|ready| ready.status == "True");
    if !is_ready || number("/status/observedGeneration") != number("/metadata/generation") {
        return Err(format!("dependency {id} is not ready"));
    }
    let applied = document.pointer("/status/lastAppliedRevision").and_then(Value::as_str).unwrap_or_default();
    match same_source {
        Some(revision) if revision != applied => {
            Err(format!("dependency {id} has not applied revision {revision} yet"))
        }
        _ => Ok(()),
    }
}

/// What a live object says about being deleted by an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prune {
    Delete,
    /// Somebody asked before; it only has to end.
    Terminating,
    /// It is none of the owner's business, and leaves the inventory.
    Leave(&'static str),
    /// It must not be deleted, whatever Git says, and leaves the inventory.
    Refuse(String),
}

/// Decides whether a live object that left the source may be deleted.
///
/// Source: kustomize-controller's prune and fluxcd/pkg ssa/manager_delete.go; the refusals are weir's own.
pub fn prune(live: &Value, owner: &Id, source: Option<&Id>, own_namespace: &str) -> Prune {
    let Some(id) = Id::of(live) else { return Prune::Leave("it cannot be read") };
    if label(live, OWNER_NAME) != &*owner.name || label(live, OWNER_NAMESPACE) != &*owner.namespace {
        return Prune::Leave("it belongs to somebody else");
    }
    let says = |key: &str, value: &str| {
        let key = format!("{}/{key}", kustomization::GROUP);
        annotation(live, &key).eq_ignore_ascii_case(value) || label(live, &key).eq_ignore_ascii_case(value)
    };
    if says("prune", "disabled") || says("reconcile", "disabled") || says("ssa", "ignore") {
        return Prune::Leave("an annotation protects it");
    }
    if id == *owner {
        return Prune::Refuse(format!("{id} cannot prune itself: delete it by hand if that is meant"));
    }
    if source == Some(&id) {
        return Prune::Refuse(format!("{id} is not pruned: {owner} is built from it"));
    }
    if &*id.kind == "Namespace" && id.group.is_empty() {
        if is_protected(&id.name, own_namespace) {
            return Prune::Refuse(format!("{id} is never pruned: the cluster or weir lives in it"));
        }
        if !annotation(live, ADOPTED).is_empty() {
            return Prune::Refuse(format!("{id} is not pruned: it was there before {owner} applied it"));
        }
    }
    if live.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()) {
        return Prune::Terminating;
    }
    Prune::Delete
}

fn is_protected(namespace: &str, own_namespace: &str) -> bool {
    namespace == own_namespace || namespace == "default" || namespace.starts_with("kube-")
}

/// What a prune would do, for the judgement whether it looks like an accident.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    pub revision: String,
    /// Objects in the inventory before.
    pub known: usize,
    /// Objects in the new build.
    pub built: usize,
    /// What would be deleted.
    pub deletes: Vec<Id>,
    /// Of these, what takes other things with it.
    pub precious: Vec<Id>,
}

/// Holds a prune that looks like an accident, until the annotation names its revision and count.
///
/// Errors with the message for people. Threat R10: an empty build, a moved path or a wrong branch.
pub fn hold(sweep: &Sweep, allowed: Option<&str>) -> Result<(), String> {
    let count = sweep.deletes.len();
    if count == 0 {
        return Ok(());
    }
    let why = if sweep.built == 0 {
        "the build is empty while the inventory is not".to_owned()
    } else if let Some(first) = sweep.precious.first() {
        let more = sweep.precious.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" and {more} more like it") };
        format!("{first}{more} would go, with everything inside")
    } else if count > 10 && count * 100 > sweep.known * 30 {
        format!("{count} of {} objects would go", sweep.known)
    } else {
        return Ok(());
    };
    let release = format!("{}/{count}", sweep.revision);
    if allowed.map(str::trim) == Some(&*release) {
        return Ok(());
    }
    Err(format!(
        "prune of {count} objects held, nothing was deleted: {why}. Held: {}. \
         If this is meant, release it with the annotation {ALLOW_PRUNE}={release:?}",
        listing(&sweep.deletes, 10)
    ))
}

/// Whether deleting such an object takes more than itself; CRDs only when they have instances.
pub fn is_precious(id: &Id) -> bool {
    matches!((&*id.group, &*id.kind), ("", "Namespace" | "PersistentVolume" | "PersistentVolumeClaim"))
}

/// What the deletion of a Kustomization means for what it applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    LeaveAll,
    DeleteAll,
    DeleteAllAndWait,
}

/// Decides by policy. Source: kustomize-controller's finalize.
pub fn farewell(object: &Kustomization) -> Farewell {
    let entries =
        object.status.as_ref().and_then(|status| status.inventory.as_ref()).map_or(0, |all| all.entries.len());
    if entries == 0 || object.spec.suspend == Some(true) {
        return Farewell::LeaveAll;
    }
    match object.spec.deletion_policy.unwrap_or_default() {
        DeletionPolicy::Orphan => Farewell::LeaveAll,
        DeletionPolicy::MirrorPrune if !object.spec.prune => Farewell::LeaveAll,
        DeletionPolicy::MirrorPrune | DeletionPolicy::Delete => Farewell::DeleteAll,
        DeletionPolicy::WaitForTermination => Farewell::DeleteAllAndWait,
    }
}

/// How an object of the build is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Neither applied nor pruned.
    pub skip: bool,
    /// Only created, never changed.
    pub only_create: bool,
    /// Fields of other managers are left to them.
    pub merge: bool,
    /// Deleted and created anew when a fixed field changed.
    pub force: bool,
}

/// Reads the annotations of the wanted object and of the live one; either can protect it.
///
/// Source: fluxcd/pkg ssa (ApplyOptions) as set by kustomize-controller.
pub fn manner(wanted: &Value, live: Option<&Value>, force: bool) -> Manner {
    let says = |document: &Value, key: &str, value: &str| {
        let key = format!("{}/{key}", kustomization::GROUP);
        annotation(document, &key).eq_ignore_ascii_case(value) || label(document, &key).eq_ignore_ascii_case(value)
    };
    let either = |key: &str, value: &str| says(wanted, key, value) || live.is_some_and(|live| says(live, key, value));
    Manner {
        skip: either("reconcile", "disabled") || either("ssa", "ignore"),
        only_create: either("ssa", "ifnotpresent"),
        merge: either("ssa", "merge"),
        force: force || either("force", "enabled"),
    }
}

/// A label of a document, empty when absent.
pub fn label<'a>(document: &'a Value, key: &str) -> &'a str {
    document.pointer("/metadata/labels").and_then(|all| all.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// An annotation of a document, empty when absent.
pub fn annotation<'a>(document: &'a Value, key: &str) -> &'a str {
    document.pointer("/metadata/annotations").and_then(|all| all.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// The first ids by name, and how many more there are.
pub fn listing(ids: &[Id], limit: usize) -> String {
    let mut text = ids.iter().take(limit).map(Id::to_string).collect::<Vec<_>>().join(", ");
    if ids.len() > limit {
        text.push_str(&format!(" and {} more", ids.len() - limit));
    }
    text
}

/// The message of success.
pub fn finished(took: Duration, interval: Duration) -> String {
    let took = Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    format!("Reconciliation finished in {}, next run in {}", format_duration(took), format_duration(interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::kustomization::{Inventory, InventoryEntry, KustomizationStatus};
    use serde_json::json;

    fn owner() -> Id {
        Id::new(kustomization::GROUP, "Kustomization", "flux-system", "apps")
    }

    fn object(spec: Value) -> Kustomization {
        let mut spec = spec;
        for (key, value) in [("interval", json!("10m")), ("prune", json!(true))] {
            if spec.get(key).is_none() {
                spec[key] = value;
            }
        }
        spec["sourceRef"] = json!({"kind": "GitRepository", "name": "repo"});
        serde_json::from_value(json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "flux-system"}, "spec": spec}))
        .unwrap()
    }

    #[test]
    fn times_default_as_in_flux() {
        let seconds = Duration::from_secs;
        for (spec, interval, retry, timeout) in [
            (json!({}), 600, 600, 570),
            (json!({"interval": "30s"}), 30, 30, 30),
            (json!({"retryInterval": "1m", "timeout": "2m"}), 600, 60, 120),
        ] {
            let plan = Plan::of(&object(spec.clone()), &Options::default()).unwrap();
            let wanted = Plan { interval: seconds(interval), retry: seconds(retry), timeout: seconds(timeout) };
            assert_eq!(plan, wanted, "{spec}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_named() {
        for (spec, field) in [
            (json!({"decryption": {"provider": "sops"}}), "spec.decryption"),
            (json!({"interval": "often"}), "spec.interval"),
        ] {
            let refused = Plan::of(&object(spec), &Options::default()).unwrap_err();
            assert!(
                matches!(&refused, Failure::Stalled(cause) if cause.message.contains(field)),
                "{field}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_source_elsewhere_is_refused_only_when_told_so() {
        let mut far = object(json!({}));
        far.spec.source_ref.namespace = Some("other".into());
        assert!(Plan::of(&far, &Options::default()).is_ok());
        let strict = Options { no_cross_namespace_refs: true, ..Options::default() };
        assert_eq!(Plan::of(&far, &strict).unwrap_err().cause().reason, "AccessDenied");
        assert!(Plan::of(&object(json!({})), &strict).is_ok());
    }

    #[test]
    fn a_dependency_is_met_when_ready_at_its_generation_with_the_same_revision() {
        let id = owner();
        let document = |generation: i64, ready: &str| {
            json!({"metadata": {"generation": generation}, "status": {"observedGeneration": 2,
                "lastAppliedRevision": "r1", "conditions": [{"type": "Ready", "status": ready}]}})
        };
        assert_eq!(dependency(&id, Some(&document(2, "True")), None), Ok(()));
        assert_eq!(dependency(&id, Some(&document(2, "True")), Some("r1")), Ok(()));
        assert!(dependency(&id, Some(&document(2, "True")), Some("r2")).unwrap_err().contains("r2"));
        assert!(dependency(&id, Some(&document(3, "True")), None).unwrap_err().contains("not ready"));
        assert!(dependency(&id, Some(&document(2, "False")), None).unwrap_err().contains("not ready"));
        assert!(dependency(&id, None, None).unwrap_err().contains("not found"));
    }

    fn live(kind: &str, name: &str, extra: Value) -> Value {
        let mut document = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name,
            "labels": {(OWNER_NAME): "apps", (OWNER_NAMESPACE): "flux-system"}, "annotations": {}}});
        for (key, value) in extra.as_object().into_iter().flatten() {
            document["metadata"][key] = value.clone();
        }
        document
    }

    #[test]
    fn only_owned_and_unprotected_objects_are_pruned() {
        let protected =
            |key: &str, value: &str| json!({"annotations": {format!("{}/{key}", kustomization::GROUP): value}});
        for (document, wanted) in [
            (live("ConfigMap", "a", json!({})), "Delete"),
            (live("ConfigMap", "a", json!({"labels": {(OWNER_NAME): "apps"}})), "Leave"),
            (
                live("ConfigMap", "a", json!({"labels": {(OWNER_NAME): "other", (OWNER_NAMESPACE): "flux-system"}})),
                "Leave",
            ),
            (live("ConfigMap", "a", protected("prune", "disabled")), "Leave"),
            (live("ConfigMap", "a", protected("prune", "Disabled")), "Leave"),
            (live("ConfigMap", "a", protected("reconcile", "disabled")), "Leave"),
            (live("ConfigMap", "a", protected("ssa", "Ignore")), "Leave"),
            (live("ConfigMap", "a", protected("prune", "enabled")), "Delete"),
            (live("ConfigMap", "a", json!({"deletionTimestamp": "2026-01-01T00:00:00Z"})), "Terminating"),
            (live("Namespace", "shop", json!({})), "Delete"),
            (live("Namespace", "shop", json!({"annotations": {(ADOPTED): "true"}})), "Refuse"),
            (live("Namespace", "default", json!({})), "Refuse"),
            (live("Namespace", "kube-system", json!({})), "Refuse"),
            (live("Namespace", "flux-system", json!({})), "Refuse"),
        ] {
            let decided = format!("{:?}", prune(&document, &owner(), None, "flux-system"));
            assert!(decided.starts_with(wanted), "{document} became {decided}");
        }
    }

    #[test]
    fn a_kustomization_never_prunes_itself() {
        let mut own = live("Kustomization", "apps", json!({"namespace": "flux-system"}));
        own["apiVersion"] = "kustomize.toolkit.fluxcd.io/v1".into();
        assert!(matches!(prune(&own, &owner(), None, "weir"), Prune::Refuse(_)));
        let other = Id::new(kustomization::GROUP, "Kustomization", "flux-system", "other");
        own["metadata"]["labels"][OWNER_NAME] = "other".into();
        assert_eq!(prune(&own, &other, None, "weir"), Prune::Delete);
        assert!(matches!(prune(&own, &other, Id::of(&own).as_ref(), "weir"), Prune::Refuse(_)), "nor its source");
    }

    fn sweep(known: usize, built: usize, deletes: usize) -> Sweep {
        let ids = (0..deletes).map(|n| Id::new("", "ConfigMap", "a", &n.to_string())).collect();
        Sweep { revision: "feature/x@sha1:1".into(), known, built, deletes: ids, precious: vec![] }
    }

    #[test]
    fn a_prune_that_looks_like_an_accident_is_held_until_released_by_name() {
        for (known, built, deletes, held) in [
            (100, 90, 10, false),
            (20, 10, 10, false),
            (20, 9, 11, true),
            (100, 70, 30, false),
            (100, 69, 31, true),
            (2, 0, 2, true),
            (1, 0, 0, false),
            (36, 25, 11, true),
            (37, 26, 11, false),
        ] {
            assert_eq!(hold(&sweep(known, built, deletes), None).is_err(), held, "{known} {built} {deletes}");
        }
        let big = sweep(20, 5, 15);
        let message = hold(&big, None).unwrap_err();
        assert!(message.contains("feature/x@sha1:1/15") && message.contains("and 5 more"), "{message}");
        for (allowed, held) in
            [("feature/x@sha1:1/15", false), ("feature/x@sha1:1/14", true), ("sha1:2/15", true), ("true", true)]
        {
            assert_eq!(hold(&big, Some(allowed)).is_err(), held, "{allowed}");
        }
    }

    #[test]
    fn one_namespace_is_enough_to_hold() {
        let mut small = sweep(50, 49, 1);
        assert!(hold(&small, None).is_ok());
        small.precious = vec![Id::new("", "Namespace", "", "shop")];
        assert!(hold(&small, None).unwrap_err().contains("Namespace/shop"));
    }

    #[test]
    fn deletion_follows_the_policy() {
        let with = |policy: &str, prune: bool, suspend: bool, entries: usize| {
            let mut object = object(json!({"prune": prune, "suspend": suspend, "deletionPolicy": policy}));
            let entry = InventoryEntry { id: "a_b__ConfigMap".into(), v: "v1".into() };
            let inventory = Inventory { entries: vec![entry; entries] };
            object.status = Some(KustomizationStatus { inventory: Some(inventory), ..Default::default() });
            farewell(&object)
        };
        for (policy, prune, suspend, entries, wanted) in [
            ("MirrorPrune", true, false, 1, Farewell::DeleteAll),
            ("MirrorPrune", false, false, 1, Farewell::LeaveAll),
            ("Delete", false, false, 1, Farewell::DeleteAll),
            ("WaitForTermination", false, false, 1, Farewell::DeleteAllAndWait),
            ("Orphan", true, false, 1, Farewell::LeaveAll),
            ("Delete", true, true, 1, Farewell::LeaveAll),
            ("Delete", true, false, 0, Farewell::LeaveAll),
        ] {
            assert_eq!(with(policy, prune, suspend, entries), wanted, "{policy} {prune} {suspend} {entries}");
        }
    }

    #[test]
    fn annotations_say_how_an_object_is_applied() {
        let with = |key: &str, value: &str| json!({"metadata": {"annotations": {format!("{}/{key}", kustomization::GROUP): value}}});
        let plain = json!({"metadata": {}});
        assert!(manner(&with("ssa", "Ignore"), None, false).skip);
        assert!(manner(&plain, Some(&with("reconcile", "disabled")), false).skip);
        assert!(manner(&with("ssa", "IfNotPresent"), None, false).only_create);
        assert!(manner(&with("ssa", "Merge"), None, false).merge);
        assert!(manner(&with("force", "enabled"), None, false).force);
        assert!(manner(&plain, None, true).force);
        assert_eq!(manner(&with("ssa", "Override"), Some(&plain), false), Manner::default());
    }
}
