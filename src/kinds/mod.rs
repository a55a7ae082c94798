//! What kinds exist: one file per kind, and the registry from which trees, tables, CLI, permissions and docs derive.
//!
//! A [`Kind`] is a plain static value: no trait, no generics, no macro, no I/O. To add a viewed kind, write one file
//! and add one line to [`ALL`]; a reconciled kind also gets a file in `reconcile`. Nobody outside a kind's own file
//! matches on its name. Start with [`Kind`], then `git_repository`.

use serde_json::Value;

use crate::base::{Api, Health, Id, Revision};

pub mod check;
mod column;
mod config_map;
pub mod convert;
mod deployment;
pub mod event;
pub mod generic;
pub mod git_repository;
pub mod helm_chart;
pub mod helm_release;
pub mod helm_repository;
pub mod image_policy;
pub mod image_repository;
pub mod image_update_automation;
pub mod kstatus;
pub mod kustomization;
pub mod meta;
mod namespace;
pub mod oci_repository;
mod pod;
mod secret;
mod service;

pub use column::{Cell, Column};
pub use git_repository::GitRepository;
pub use helm_chart::HelmChart;
pub use helm_release::HelmRelease;
pub use helm_repository::HelmRepository;
pub use image_policy::ImagePolicy;
pub use image_repository::ImageRepository;
pub use image_update_automation::ImageUpdateAutomation;
pub use kustomization::Kustomization;
pub use oci_repository::OCIRepository;

/// Every kind that weir knows by name, in the order people read them: sources first, plain objects last.
pub static ALL: &[&Kind] = &[
    &git_repository::KIND,
    &oci_repository::KIND,
    &helm_repository::KIND,
    &helm_chart::KIND,
    &kustomization::KIND,
    &helm_release::KIND,
    &image_repository::KIND,
    &image_policy::KIND,
    &image_update_automation::KIND,
    &deployment::KIND,
    &pod::KIND,
    &service::KIND,
    &config_map::KIND,
    &secret::KIND,
    &namespace::KIND,
    &event::KIND,
];

/// The kinds that the keys 1 to 9 open in the console.
pub static NUMBERED: &[&Kind] = &[
    &git_repository::KIND,
    &kustomization::KIND,
    &helm_release::KIND,
    &image_policy::KIND,
    &image_update_automation::KIND,
    &deployment::KIND,
    &pod::KIND,
    &service::KIND,
    &event::KIND,
];

/// Everything weir knows of a kind. All else derives from this.
pub struct Kind {
    pub group: &'static str,
    /// The version weir reads and writes; older ones are converted on the way in.
    pub version: &'static str,
    pub kind: &'static str,
    /// Lower-case plural of the request path.
    pub plural: &'static str,
    /// Short names as kubectl and flux know them, e.g. `ks`; the first is preferred.
    pub short_names: &'static [&'static str],
    pub namespaced: bool,
    pub family: Family,
    /// One line in the user's words.
    pub doc: &'static str,
    /// What a table shows after the name; the order is that of `flux get`.
    pub columns: &'static [Column],
    /// What this object points at or owns.
    pub relations: fn(&Value) -> Vec<Relation>,
    /// How the object is doing.
    pub health: fn(&Value) -> Health,
    /// What a person may ask of it.
    pub verbs: &'static [Verb],
    /// Pages about an object that only kinds like this one have, in the order of the screen.
    pub views: &'static [View],
    /// What only reconciled kinds have; `None` for what Kubernetes has built in.
    pub custom: Option<Custom>,
    /// A whole example document (YAML), used by the conformance tests and the reference.
    pub example: &'static str,
}

impl Kind {
    /// Where the kind is served.
    pub fn api(&self) -> Api {
        Api {
            group: self.group.into(),
            version: self.version.into(),
            kind: self.kind.into(),
            plural: self.plural.into(),
            namespaced: self.namespaced,
        }
    }

    /// `group/version`, or just the version for the core group.
    pub fn api_version(&self) -> String {
        self.api().api_version()
    }

    /// The id of an object of this kind.
    pub fn id(&self, namespace: &str, name: &str) -> Id {
        Id::new(self.group, self.kind, if self.namespaced { namespace } else { "" }, name)
    }

    pub fn offers(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// Whether there is nothing to reconcile about an object though its kind is reconciled.
    pub fn is_static(&self, document: &Value) -> bool {
        self.custom.as_ref().is_some_and(|custom| (custom.is_static)(document))
    }

    pub fn is_custom(&self) -> bool {
        self.custom.is_some()
    }
}

/// What a kind has that weir defines and reconciles.
pub struct Custom {
    /// The CustomResourceDefinition, derived from the Rust types.
    pub crd: fn() -> Value,
    /// Flux's controller for the kind, as its events and field managers name it.
    pub controller: &'static str,
    /// Whether there is nothing to reconcile about an object though its kind is reconciled.
    pub is_static: fn(&Value) -> bool,
    /// What its last reconciliation came to, e.g. `applied revision main@sha1:9f86d081`; empty when nothing yet.
    pub achieved: fn(&Value) -> String,
}

/// Groups of kinds, as the tree and the docs show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    Source,
    Deployer,
    Image,
    Notice,
    Workload,
    Plain,
}

/// What one object has to do with another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relation {
    pub tie: Tie,
    pub to: Id,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tie {
    /// It is built from that source: a new revision there wakes it.
    Source,
    /// It waits for that object to be ready.
    DependsOn,
    /// It made that object and may delete it.
    Owns,
    /// It reads that ConfigMap or Secret, or another object, by name.
    Uses,
    /// It tells that provider.
    Notifies,
}

/// What a person may ask of an object; `verbs` carries it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Reconcile,
    ReconcileWithSource,
    /// Releases once more although nothing changed.
    ReconcileWithForce,
    /// Forgets the failures so far, and tries again.
    ReconcileWithReset,
    Suspend,
    Resume,
    Edit,
    Delete,
}

/// A page that only some kinds have; `verbs` makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// What the next reconciliation would change.
    Diff,
    /// The revisions that were released.
    History,
    /// What goes into the templates.
    Values,
    /// What came out of them.
    Manifest,
    /// What the chart's author wants to say.
    Notes,
    /// What became of every tag of an image.
    Tags,
}

impl View {
    pub const ALL: &[View] = &[View::Diff, View::History, View::Values, View::Manifest, View::Notes, View::Tags];

    pub fn name(self) -> &'static str {
        match self {
            View::Diff => "diff",
            View::History => "history",
            View::Values => "values",
            View::Manifest => "manifest",
            View::Notes => "notes",
            View::Tags => "tags",
        }
    }
}

impl Verb {
    pub const ALL: &[Verb] = &[
        Verb::Reconcile,
        Verb::ReconcileWithSource,
        Verb::ReconcileWithForce,
        Verb::ReconcileWithReset,
        Verb::Suspend,
        Verb::Resume,
        Verb::Edit,
        Verb::Delete,
    ];

    /// Brings what a person may not expect, so that it is shown first where that is possible.
    pub fn is_surprising(self) -> bool {
        matches!(self, Verb::Resume | Verb::ReconcileWithForce)
    }

    pub fn name(self) -> &'static str {
        match self {
            Verb::Reconcile => "reconcile",
            Verb::ReconcileWithSource => "reconcile-with-source",
            Verb::ReconcileWithForce => "reconcile-with-force",
            Verb::ReconcileWithReset => "reconcile-with-reset",
            Verb::Suspend => "suspend",
            Verb::Resume => "resume",
            Verb::Edit => "edit",
            Verb::Delete => "delete",
        }
    }

    pub fn doc(self) -> &'static str {
        match self {
            Verb::Reconcile => "reconcile now",
            Verb::ReconcileWithSource => "fetch the source, then reconcile",
            Verb::ReconcileWithForce => "release once more although nothing changed",
            Verb::ReconcileWithReset => "forget the failures so far, and try again",
            Verb::Suspend => "stop reconciling until resumed",
            Verb::Resume => "reconcile again after a suspend",
            Verb::Edit => "edit the object",
            Verb::Delete => "delete the object and what it owns",
        }
    }

    /// Whether it needs the name typed before it is done.
    pub fn is_dangerous(self) -> bool {
        matches!(self, Verb::Delete)
    }
}

/// What may be asked of every object.
pub const PLAIN_VERBS: &[Verb] = &[Verb::Edit, Verb::Delete];
/// What may be asked of a reconciled object without a source.
pub const SOURCE_VERBS: &[Verb] = &[Verb::Reconcile, Verb::Suspend, Verb::Resume, Verb::Edit, Verb::Delete];
/// What may be asked of a reconciled object that has a source.
pub const DEPLOYER_VERBS: &[Verb] =
    &[Verb::Reconcile, Verb::ReconcileWithSource, Verb::Suspend, Verb::Resume, Verb::Edit, Verb::Delete];

/// The kind of that group and name; the generic kind serves the unknown.
pub fn of(group: &str, kind: &str) -> &'static Kind {
    ALL.iter().copied().find(|known| known.group == group && known.kind == kind).unwrap_or(&generic::KIND)
}

/// The kind of an id.
pub fn of_id(id: &Id) -> &'static Kind {
    of(&id.group, &id.kind)
}

/// What a source achieved.
fn fetched(document: &Value) -> String {
    revision("fetched", column::at(document, "/status/artifact/revision"))
}

/// `did revision REVISION`, the revision shortened; empty without one.
fn revision(did: &str, revision: String) -> String {
    if revision.is_empty() { revision } else { format!("{did} revision {}", Revision::parse(&revision)) }
}

/// Finds a kind by what people type: kind, plural, singular, short name or `plural.group`; case is ignored.
pub fn find(word: &str) -> Option<&'static Kind> {
    let word = word.to_ascii_lowercase();
    ALL.iter().copied().find(|kind| {
        let singular = kind.kind.to_ascii_lowercase();
        word == singular
            || word == kind.plural
            || kind.short_names.contains(&word.as_str())
            || word.strip_prefix(kind.plural).is_some_and(|group| group.strip_prefix('.') == Some(kind.group))
    })
}

/// The Secrets of its own namespace that a document names at these pointers.
fn uses_secrets(document: &Value, pointers: &[&str]) -> Vec<Relation> {
    let namespace = column::at(document, "/metadata/namespace");
    let names = pointers.iter().map(|pointer| column::at(document, pointer)).filter(|name| !name.is_empty());
    names.map(|name| Relation { tie: Tie::Uses, to: Id::new("", "Secret", &namespace, &name) }).collect()
}

/// The kinds that weir reconciles, and so the CRDs it brings.
pub fn reconciled() -> impl Iterator<Item = &'static Kind> {
    ALL.iter().copied().filter(|kind| kind.is_custom())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::yaml;

    #[test]
    fn every_kind_is_complete() {
        for kind in ALL {
            assert!(!kind.doc.is_empty() && !kind.columns.is_empty(), "{}", kind.kind);
            let example = yaml::read_one(kind.example.as_bytes(), &yaml::Limits::default())
                .unwrap_or_else(|e| panic!("{}: {e}", kind.kind));
            let id = Id::of(&example).expect("an example has a name");
            assert_eq!((&*id.group, &*id.kind), (kind.group, kind.kind));
            assert_eq!(example["apiVersion"], kind.api_version(), "{}", kind.kind);
            for column in kind.columns {
                (column.cell)(&example);
                (column.cell)(&Value::Null);
            }
            (kind.relations)(&Value::Null);
            (kind.health)(&Value::Null);
            assert!(std::ptr::eq(of_id(&id), *kind));
        }
    }

    #[test]
    fn words_of_people_find_kinds() {
        for word in ["ks", "kustomization", "Kustomizations", "kustomizations.kustomize.toolkit.fluxcd.io"] {
            assert_eq!(find(word).map(|kind| kind.kind), Some("Kustomization"), "{word}");
        }
        assert_eq!(find("gitrepo").map(|kind| kind.kind), Some("GitRepository"));
        assert!(find("nothing").is_none());
    }
}
