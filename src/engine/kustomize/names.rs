//! Name references: objects that name a renamed object follow it.
//!
//! Source: kustomize api/internal/accumulator/namereferencetransformer.go and api/filters/nameref. Kustomize compares
//! every referrer with every candidate; here candidates are found by their former names, so the time grows with the
//! number of references.

use std::collections::HashMap;

use crate::base::yaml::{Mapping, Node, Scalar, Tag};

use super::Build;
use super::budget::Budget;
use super::error::{BuildError, ErrorKind, Result};
use super::resource::{CLUSTER, Former, Resource, overwrite, set_field, text_of};
use super::set::Set;
use super::spec::{Config, FieldSpec, Gvk};
use super::walk::{Make, visit};

/// What is known of an object that may be referred to. Taken before any reference is changed.
struct Candidate {
    group: String,
    version: String,
    kind: String,
    name: String,
    namespace: String,
    effective_namespace: String,
    original_namespace: String,
    former: Vec<Former>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

struct Candidates {
    all: Vec<Candidate>,
    /// Positions by each former name, in order.
    by_name: HashMap<String, Vec<usize>>,
    by_original_namespace: HashMap<String, Vec<usize>>,
}

/// The object whose fields are looked at.
struct Referrer {
    namespace: String,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    /// Namespaces of service accounts that a role binding names.
    bound: Vec<String>,
    /// Group and kind that its roleRef names.
    role: Option<(String, String)>,
    shown: String,
}

/// Rewrites all references.
///
/// Errors when a reference could mean several objects that are called differently now.
pub(super) fn fix(set: &mut Set, config: &Config, build: &Build<'_>) -> Result<()> {
    let candidates = Candidates::of(set, build);
    let mut by_kind: HashMap<&str, Vec<(&FieldSpec, &Gvk)>> = HashMap::new();
    for reference in &config.name_reference {
        for spec in &reference.referrers {
            by_kind.entry(&spec.gvk.kind).or_default().push((spec, &reference.target));
        }
    }
    let schema = build.schema();
    for resource in set.items_mut() {
        let first_kind = resource.former.first().map_or_else(|| resource.kind(), |first| &first.kind).to_owned();
        let mut referrer = None;
        for kind in [first_kind.as_str(), ""] {
            for (spec, target) in by_kind.get(kind).into_iter().flatten() {
                if !spec.gvk.selects(resource.group(), resource.version(), &first_kind) {
                    continue;
                }
                if referrer.is_none() {
                    check_version(resource)?;
                }
                let referrer = referrer.get_or_insert_with(|| Referrer::of(resource, &schema));
                let anywhere = FieldSpec { gvk: Gvk::default(), ..(*spec).clone() };
                let seek = Seek { candidates: &candidates, referrer, target, path: &spec.path, budget: &build.budget };
                visit(resource, &anywhere, Make::Nothing, &mut |node| seek.field(node))?;
            }
        }
        resource.settle_links();
    }
    Ok(())
}

/// Refuses a version without group behind a slash, which kustomize does not recognize as what it was.
fn check_version(resource: &Resource) -> Result<()> {
    if !resource.api_version().starts_with('/') {
        return Ok(());
    }
    let message = format!("apiVersion {:?} has no group before its slash", resource.api_version());
    Err(BuildError::new(ErrorKind::Change, message).of(format!("{}/{}", resource.kind(), resource.name())))
}

impl Candidates {
    fn of(set: &Set, build: &Build<'_>) -> Self {
        let schema = build.schema();
        let mut made = Candidates {
            all: Vec::with_capacity(set.len()),
            by_name: HashMap::new(),
            by_original_namespace: HashMap::new(),
        };
        for (at, item) in set.items().iter().enumerate() {
            let effective = item.effective_namespace(&schema).to_owned();
            let original = item.former.first().map_or_else(|| effective.clone(), |first| first.namespace.clone());
            for former in &item.former {
                let places = made.by_name.entry(former.name.clone()).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
            made.by_original_namespace.entry(original.clone()).or_default().push(at);
            made.all.push(Candidate {
                group: item.group().to_owned(),
                version: item.version().to_owned(),
                kind: item.kind().to_owned(),
                name: item.name().to_owned(),
                namespace: item.namespace().to_owned(),
                effective_namespace: effective,
                original_namespace: original,
                former: item.former.clone(),
                prefixes: item.prefixes.clone(),
                suffixes: item.suffixes.clone(),
            });
        }
        made
    }
}

impl Referrer {
    fn of(resource: &Resource, schema: &super::schema::Schema) -> Self {
        let mut bound = Vec::new();
        if resource.kind() == "RoleBinding" {
            let subjects = resource.node.get("subjects").and_then(Node::as_sequence);
            for subject in subjects.into_iter().flatten() {
                if subject.get("kind").map(text_of) == Some("ServiceAccount") {
                    bound.extend(subject.get("namespace").and_then(Node::as_text).map(str::to_owned));
                }
            }
        }
        let role = resource.node.get("roleRef").and_then(|role| {
            let text = |key: &str| role.get(key).and_then(Node::as_text).map(str::to_owned);
            Some((text("apiGroup")?, text("kind")?))
        });
        Referrer {
            namespace: resource.effective_namespace(schema).to_owned(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
            bound,
            role,
            shown: format!("{}/{}", resource.kind(), resource.name()),
        }
    }
}

/// The search for what one field refers to.
struct Seek<'a> {
    candidates: &'a Candidates,
    referrer: &'a Referrer,
    target: &'a Gvk,
    path: &'a str,
    budget: &'a Budget,
}

impl Seek<'_> {
    fn field(&self, node: &mut Node) -> std::result::Result<(), String> {
        match node {
            _ if node.is_null() => Ok(()),
            Node::Scalar(scalar) => self.scalar(scalar),
            Node::Mapping(mapping) => self.mapping(mapping),
            Node::Sequence(items) => items.iter_mut().filter(|item| !item.is_null()).try_for_each(|item| match item {
                Node::Scalar(scalar) => self.scalar(scalar),
                Node::Mapping(mapping) => self.mapping(mapping),
                Node::Sequence(_) => Err("a name or a mapping with a name is wanted".into()),
            }),
        }
    }

    fn scalar(&self, scalar: &mut Scalar) -> std::result::Result<(), String> {
        let found = self.select(&scalar.text, None)?;
        if let Some(found) = found.filter(|found| *found.name != *scalar.text && !found.name.is_empty()) {
            overwrite(scalar, Scalar::new(&found.name, Tag::Unset));
        }
        Ok(())
    }

    /// A mapping with a name and perhaps a namespace, both of which follow.
    fn mapping(&self, mapping: &mut Mapping) -> std::result::Result<(), String> {
        let name = mapping.get("name").map(text_of).ok_or("the mapping has no name")?.to_owned();
        let namespace = mapping.get("namespace").map(|node| text_of(node).to_owned());
        let Some(found) = self.select(&name, Some(namespace.as_deref()))? else { return Ok(()) };
        if found.name == name && found.namespace.is_empty() {
            return Ok(());
        }
        set_field(mapping, "name", Scalar::new(&found.name, Tag::Unset));
        if !found.namespace.is_empty() {
            set_field(mapping, "namespace", Scalar::new(&found.namespace, Tag::Unset));
        }
        Ok(())
    }

    /// Whether a referrer may see a candidate at all.
    fn sees(&self, candidate: &Candidate) -> bool {
        self.referrer.namespace == CLUSTER
            || candidate.effective_namespace == CLUSTER
            || candidate.effective_namespace == self.referrer.namespace
            || self.referrer.bound.contains(&candidate.namespace)
    }

    /// The object that had the name; `in_mapping` tells whether the namespace is taken over too, and the one given.
    fn select(&self, name: &str, in_mapping: Option<Option<&str>>) -> std::result::Result<Option<&Candidate>, String> {
        let all = &self.candidates.all;
        let Some(places) = self.candidates.by_name.get(name) else { return Ok(None) };
        self.budget.write(name.len() + 16 * places.len())?;
        let by_original = in_mapping.flatten().map(|namespace| {
            let places = self.candidates.by_original_namespace.get(namespace);
            namespace != CLUSTER && places.into_iter().flatten().any(|&at| self.sees(&all[at]))
        });
        let in_namespace = |candidate: &Candidate| match (in_mapping.flatten(), by_original) {
            (Some(namespace), Some(true)) => candidate.original_namespace == namespace,
            (Some(namespace), _) => namespace != CLUSTER && candidate.effective_namespace == namespace,
            (None, _) => true,
        };
        let role = self.referrer.role.as_ref().filter(|_| self.path.ends_with("roleRef/name"));
        let mut found: Vec<&Candidate> = places
            .iter()
            .map(|&at| &all[at])
            .filter(|candidate| self.sees(candidate) && in_namespace(candidate))
            .filter(|candidate| candidate.was(self.target))
            .filter(|candidate| role.is_none_or(|(group, kind)| candidate.was_role(group, kind)))
            .filter(|candidate| {
                self.referrer.namespace == CLUSTER
                    || candidate.effective_namespace == CLUSTER
                    || candidate.kind == "ServiceAccount"
                    || candidate.effective_namespace == self.referrer.namespace
            })
            .collect();
        if found.len() == 1 {
            return Ok(found.pop());
        }
        found.retain(|candidate| candidate.shares_affixes(self.referrer, true));
        if found.len() > 1 {
            found.retain(|candidate| candidate.shares_affixes(self.referrer, false));
        }
        let same =
            |a: &Candidate, b: &Candidate| a.name == b.name && (in_mapping.is_none() || a.namespace == b.namespace);
        match found.first().copied() {
            Some(first) if found.iter().all(|other| same(first, other)) => Ok(Some(first)),
            Some(_) => {
                let names: Vec<String> = found.iter().map(|c| format!("{}/{}", c.kind, c.name)).collect();
                Err(format!("{} refers to {name:?}, which could be {}", self.referrer.shown, names.join(" or ")))
            }
            None => Ok(None),
        }
    }
}

impl Candidate {
    /// Whether it ever was of that type.
    fn was(&self, target: &Gvk) -> bool {
        self.former.iter().any(|former| target.selects(&self.group, &self.version, &former.kind))
    }

    fn was_role(&self, group: &str, kind: &str) -> bool {
        (group.is_empty() || group == self.group)
            && self.former.iter().any(|former| kind.is_empty() || former.kind == kind)
    }

    /// Whether it was renamed in the same layers as the referrer.
    fn shares_affixes(&self, referrer: &Referrer, or_none: bool) -> bool {
        let shares = |a: &[String], b: &[String]| (or_none && (a.is_empty() || b.is_empty())) || same_ending(a, b);
        shares(&self.prefixes, &referrer.prefixes) && shares(&self.suffixes, &referrer.suffixes)
    }
}

/// Whether the shorter list is the end of the longer one; an empty list only fits an empty one.
fn same_ending(a: &[String], b: &[String]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() { long.is_empty() } else { long.ends_with(short) }
}
