//! The tree that people read: sources, what is built from them, and what that owns.
//!
//! Every object has one place: a deployer, a policy or an automation hangs below its source, anything else below its owner,
//! the rest at the root.
//! Children are asked for one node at a time, so a view pays only for what is unfolded.

use super::Store;
use crate::base::Id;
use crate::kinds::{self, Family, Tie, View};

/// Owners above owners that are looked at.
const ABOVE: usize = 24;

/// One line below a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    pub id: Id,
    pub tie: Tie,
    /// The object is named but is not in the picture: missing, or of a kind that cannot be seen.
    pub missing: bool,
    /// Its own place is elsewhere (an owned source or deployer): draw it as a pointer, without children.
    pub link: bool,
}

/// Where an object hangs; `None` at the root.
pub fn parent(store: &Store, id: &Id) -> Option<Id> {
    match kinds::of_id(id).family {
        Family::Source => None,
        Family::Deployer | Family::Image => {
            let entry = store.get(id)?;
            entry.relations.iter().find(|relation| relation.tie == Tie::Source).map(|relation| relation.to.clone())
        }
        _ => store.pointing_at(id).into_iter().find(|(tie, _)| *tie == Tie::Owns).map(|(_, owner)| owner),
    }
}

/// What hangs at the root: sources, sources that are named but absent, and what could have a source but has none.
pub fn roots(store: &Store) -> Vec<Id> {
    let mut roots = std::collections::BTreeSet::new();
    for kind in kinds::ALL {
        match kind.family {
            Family::Source => {
                roots.extend(store.of_kind(kind.group, kind.kind).iter().map(|entry| entry.object.id.clone()));
            }
            Family::Deployer | Family::Image => {
                let deployers = store.of_kind(kind.group, kind.kind);
                roots.extend(
                    deployers
                        .iter()
                        .map(|entry| parent(store, &entry.object.id).unwrap_or_else(|| entry.object.id.clone())),
                );
            }
            _ => {}
        }
    }
    roots.into_iter().collect()
}

/// What hangs below a node: what is built from it, then what it owns, each by kind and name.
pub fn children(store: &Store, id: &Id) -> Vec<Branch> {
    let built = store.pointing_at(id).into_iter().filter(|(tie, _)| *tie == Tie::Source);
    let is_elsewhere = |found: &Id| parent(store, found).as_ref() != Some(id);
    let mut branches: Vec<Branch> =
        built.map(|(tie, from)| Branch { link: is_elsewhere(&from), id: from, tie, missing: false }).collect();
    let entry = store.get(id);
    let owned = entry.iter().flat_map(|entry| entry.relations.iter()).filter(|relation| relation.tie == Tie::Owns);
    branches.extend(owned.map(|relation| Branch {
        id: relation.to.clone(),
        tie: Tie::Owns,
        missing: store.get(&relation.to).is_none(),
        link: is_elsewhere(&relation.to),
    }));
    branches.sort_by(|a, b| (a.tie == Tie::Owns).cmp(&(b.tie == Tie::Owns)).then_with(|| a.id.cmp(&b.id)));
    branches.dedup_by(|a, b| a.id == b.id);
    branches
}

/// The automations that write into what an object comes from: the object itself, or the source of what owns it.
pub fn editors(store: &Store, id: &Id) -> Vec<Id> {
    let mut above = vec![id.clone()];
    // An owner may have an owner; a circle of them ends too.
    while let Some(owner) = above.last().and_then(|id| parent(store, id)).filter(|_| above.len() < ABOVE) {
        above.push(owner);
    }
    let writes = |found: &Id| {
        let kind = kinds::of_id(found);
        kind.family == Family::Image && kind.views.contains(&View::Diff)
    };
    let pointing = above.iter().flat_map(|id| store.pointing_at(id));
    let mut found: Vec<Id> =
        pointing.filter(|(tie, from)| *tie == Tie::Source && writes(from)).map(|(_, from)| from).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store() -> Store {
        let store = Store::new();
        let kustomization = |name: &str, source: &str, owned: &[&str]| {
            let entries: Vec<_> = owned.iter().map(|id| json!({"id": id, "v": "v1"})).collect();
            json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
                "metadata": {"name": name, "namespace": "n"}, "spec": {"sourceRef": {"kind": "GitRepository", "name": source}},
                "status": {"inventory": {"entries": entries}}})
        };
        store.put(vec![
            json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "g", "namespace": "n"}}),
            kustomization("root", "g", &["n_apps_kustomize.toolkit.fluxcd.io_Kustomization", "n_gone_apps_Deployment"]),
            kustomization("apps", "g", &["n_c__ConfigMap"]),
            kustomization("lost", "absent", &[]),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "by-hand", "namespace": "n"}}),
        ]);
        store
    }

    fn told(branches: &[Branch]) -> Vec<String> {
        let mark = |branch: &Branch| match (branch.missing, branch.link) {
            (true, _) => " missing",
            (_, true) => " link",
            _ => "",
        };
        branches.iter().map(|branch| format!("{}{}", branch.id, mark(branch))).collect()
    }

    #[test]
    fn everything_has_one_place_below_its_source_or_owner() {
        let store = store();
        let shown: Vec<_> = roots(&store).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["GitRepository/n/absent", "GitRepository/n/g"]);
        let below = |kind: &kinds::Kind, name: &str| told(&children(&store, &kind.id("n", name)));
        let (git, kustomization) = (&kinds::git_repository::KIND, &kinds::kustomization::KIND);
        assert_eq!(below(git, "absent"), ["Kustomization/n/lost"]);
        assert_eq!(below(git, "g"), ["Kustomization/n/apps", "Kustomization/n/root"]);
        assert_eq!(below(kustomization, "root"), ["Deployment/n/gone missing", "Kustomization/n/apps link"]);
        assert_eq!(below(kustomization, "apps"), ["ConfigMap/n/c"]);
        assert_eq!(parent(&store, &Id::new("", "ConfigMap", "n", "by-hand")), None);
    }

    #[test]
    fn images_hang_below_what_they_are_chosen_from_and_written_into() {
        let store = store();
        let api = "image.toolkit.fluxcd.io/v1";
        store.put(vec![
            json!({"apiVersion": api, "kind": "ImageRepository", "metadata": {"name": "i", "namespace": "n"}}),
            json!({"apiVersion": api, "kind": "ImagePolicy", "metadata": {"name": "p", "namespace": "n"},
                "spec": {"imageRepositoryRef": {"name": "i"}}}),
            json!({"apiVersion": api, "kind": "ImageUpdateAutomation", "metadata": {"name": "a", "namespace": "n"},
                "spec": {"sourceRef": {"kind": "GitRepository", "name": "g"}},
                "status": {"observedPolicies": {"p": {"name": "x", "tag": "1"}}}}),
        ]);
        let shown: Vec<_> = roots(&store).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["ImageRepository/n/i", "GitRepository/n/absent", "GitRepository/n/g"]);
        let below = |kind: &kinds::Kind, name: &str| told(&children(&store, &kind.id("n", name)));
        assert_eq!(below(&kinds::image_repository::KIND, "i"), ["ImagePolicy/n/p"]);
        assert_eq!(below(&kinds::image_policy::KIND, "p"), ["ImageUpdateAutomation/n/a link"]);
        let automation = kinds::image_update_automation::KIND.id("n", "a");
        assert!(below(&kinds::git_repository::KIND, "g").contains(&automation.to_string()));
        let map = |name: &str| Id::new("", "ConfigMap", "n", name);
        assert_eq!(editors(&store, &map("c")), std::slice::from_ref(&automation));
        assert_eq!(editors(&store, &kinds::image_policy::KIND.id("n", "p")), [automation]);
        assert_eq!(editors(&store, &map("by-hand")), []);
    }
}
