//! The transformers that set fields by table: namespace, prefix and suffix, labels, annotations, replicas.
//!
//! Source: kustomize api/internal/builtins and api/filters. Start with [`Transformer::apply`], which lists them all.

use std::collections::BTreeMap;

use crate::base::yaml::{Mapping, Node, Scalar, Tag};

use super::Build;
use super::entries::{Image, Replica};
use super::error::{BuildError, ErrorKind, Result};
use super::generate::content_hash;
use super::patch::PatchStep;
use super::replacement::Replacement;
use super::resource::Resource;
use super::set::Set;
use super::spec::FieldSpec;
use super::value_add::ValueAdd;
use super::walk::{Make, set_entry, set_scalar, visit};
use super::{images, patch, replacement};

/// One step of a layer.
pub(super) enum Transformer {
    PatchStrategicMerge(Vec<Resource>),
    Patch(Box<PatchStep>),
    Namespace(NamespaceStep),
    Prefix(String, Vec<FieldSpec>),
    Suffix(String, Vec<FieldSpec>),
    /// Both in one, under the name that older kustomizations have.
    PrefixSuffix(String, String, Vec<FieldSpec>),
    Labels(BTreeMap<String, String>, Vec<FieldSpec>),
    Annotations(BTreeMap<String, String>, Vec<FieldSpec>),
    PatchJson6902(Box<PatchStep>),
    Replicas(Replica, Vec<FieldSpec>),
    Images(Image, Vec<FieldSpec>),
    Replacements(Vec<Replacement>),
    Hash,
    ValueAdd(ValueAdd),
}

/// Settings of the namespace transformer.
#[derive(Default)]
pub(super) struct NamespaceStep {
    pub namespace: String,
    pub fields: Vec<FieldSpec>,
    pub unset_only: bool,
    pub subjects: Subjects,
}

/// Which subjects of role bindings get the namespace.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Subjects {
    #[default]
    NamedDefault,
    ServiceAccounts,
    None,
}

impl Transformer {
    /// The kind that kustomize names in its annotations.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Transformer::PatchStrategicMerge(_) => "PatchStrategicMergeTransformer",
            Transformer::Patch(_) => "PatchTransformer",
            Transformer::Namespace(_) => "NamespaceTransformer",
            Transformer::Prefix(..) => "PrefixTransformer",
            Transformer::Suffix(..) => "SuffixTransformer",
            Transformer::PrefixSuffix(..) => "PrefixSuffixTransformer",
            Transformer::Labels(..) => "LabelTransformer",
            Transformer::Annotations(..) => "AnnotationsTransformer",
            Transformer::PatchJson6902(_) => "PatchJson6902Transformer",
            Transformer::Replicas(..) => "ReplicaCountTransformer",
            Transformer::Images(..) => "ImageTagTransformer",
            Transformer::Replacements(_) => "ReplacementTransformer",
            Transformer::Hash => "HashTransformer",
            Transformer::ValueAdd(_) => "ValueAddTransformer",
        }
    }

    /// Changes the objects.
    pub(super) fn apply(&self, set: &mut Set, build: &Build<'_>) -> Result<()> {
        build.budget.look(set.len())?;
        match self {
            Transformer::PatchStrategicMerge(patches) => patch::merge_by_id(set, patches, build),
            Transformer::Patch(step) => patch::apply(set, step, build),
            Transformer::Namespace(step) => namespace(set, step, build),
            Transformer::Prefix(prefix, fields) => affix(set, prefix, fields, true, build),
            Transformer::Suffix(suffix, fields) => affix(set, suffix, fields, false, build),
            Transformer::PrefixSuffix(prefix, suffix, fields) => {
                affix(set, prefix, fields, true, build)?;
                affix(set, suffix, fields, false, build)
            }
            Transformer::Labels(pairs, fields) | Transformer::Annotations(pairs, fields) => {
                texts(set, pairs, fields, build)
            }
            Transformer::PatchJson6902(step) => patch::apply_json(set, step, false, build),
            Transformer::Replicas(replica, fields) => replicas(set, replica, fields),
            Transformer::Images(image, fields) => images::apply(set, image, fields, build),
            Transformer::Replacements(list) => replacement::apply(set, list, build),
            Transformer::Hash => hashes(set, build),
            Transformer::ValueAdd(step) => step.apply(set, build),
        }
    }
}

/// Adds the content hash to the names of generated objects.
pub(super) fn hashes(set: &mut Set, build: &Build<'_>) -> Result<()> {
    let schema = build.schema();
    for resource in set.items_mut().iter_mut().filter(|resource| resource.needs_hash) {
        let name = format!("{}-{}", resource.name(), content_hash(resource)?);
        resource.remember_id(&schema);
        resource.set_name(&name);
    }
    Ok(())
}

fn namespace(set: &mut Set, step: &NamespaceStep, build: &Build<'_>) -> Result<()> {
    if step.namespace.is_empty() {
        return Ok(());
    }
    let schema = build.schema();
    for resource in set.items_mut() {
        let scoped = resource.is_cluster_scoped(&schema);
        resource.remember_id(&schema);
        set_namespace(resource, step, scoped, build)?;
        resource.settle_links();
    }
    set.check_ids(&schema, "the namespace")
}

/// Sets the namespace in one object, wherever it belongs.
pub(super) fn set_namespace(
    resource: &mut Resource,
    step: &NamespaceStep,
    cluster_scoped: bool,
    build: &Build<'_>,
) -> Result<()> {
    let mut set = |node: &mut Node| {
        let filled = node.as_text().is_some_and(|text| !text.is_empty());
        if step.unset_only && filled {
            return Ok(());
        }
        build.budget.write(step.namespace.len())?;
        set_scalar(node, Scalar::new(&step.namespace, Tag::Str))
    };
    if !cluster_scoped {
        visit(resource, &FieldSpec::anywhere("metadata/namespace", true), Make::Scalar(Tag::Unset), &mut set)?;
    }
    let binding = matches!(resource.kind(), "RoleBinding" | "ClusterRoleBinding");
    if binding {
        subjects(resource, step)?;
    }
    let is_v1 = resource.api_version() == "v1";
    for spec in &step.fields {
        let of_binding = binding && matches!(spec.gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        match spec.path.as_str() {
            "metadata/namespace" => {}
            "metadata/name" if !is_v1 => {}
            "subjects/namespace" if of_binding => {}
            _ => visit(resource, spec, Make::Scalar(Tag::Str), &mut set)?,
        }
    }
    Ok(())
}

fn subjects(resource: &mut Resource, step: &NamespaceStep) -> Result<()> {
    let fail = |message: &str| Err(BuildError::new(ErrorKind::Change, message).in_field("subjects"));
    let Some(list) = resource.node.get_mut("subjects").filter(|list| !list.is_null()) else { return Ok(()) };
    let Some(subjects) = list.as_sequence_mut() else { return fail("a list of subjects is wanted") };
    if step.subjects == Subjects::None {
        return Ok(());
    }
    for subject in subjects {
        let Some(mapping) = subject.as_mapping_mut() else { return fail("a subject is not a mapping") };
        let (field, wanted) = match step.subjects {
            Subjects::ServiceAccounts => ("kind", "ServiceAccount"),
            _ => ("name", "default"),
        };
        if mapping.get(field).and_then(Node::as_text) != Some(wanted) {
            continue;
        }
        let filled = mapping.get("namespace").and_then(Node::as_text).is_some_and(|text| !text.is_empty());
        if !(step.unset_only && filled) {
            set_plain(mapping, "namespace", &step.namespace);
        }
    }
    Ok(())
}

fn set_plain(mapping: &mut Mapping, key: &str, value: &str) {
    super::resource::set_field(mapping, key, Scalar::new(value, Tag::Str));
}

/// Adds a prefix or a suffix to names.
fn affix(set: &mut Set, text: &str, fields: &[FieldSpec], is_prefix: bool, build: &Build<'_>) -> Result<()> {
    let schema = build.schema();
    for resource in set.items_mut() {
        let kind = resource.former.first().map_or_else(|| resource.kind(), |first| &first.kind).to_owned();
        let group = resource.group().to_owned();
        let never = matches!(kind.as_str(), "CustomResourceDefinition" | "Namespace")
            || (kind == "APIService" && group == "apiregistration.k8s.io");
        if never {
            continue;
        }
        for spec in fields {
            if !spec.gvk.selects(&group, resource.version(), &kind) {
                continue;
            }
            if spec.path == "metadata/name" && !text.is_empty() {
                let list = if is_prefix { &mut resource.prefixes } else { &mut resource.suffixes };
                list.push(text.to_owned());
                resource.remember_id(&schema);
            }
            visit(resource, spec, Make::Scalar(Tag::Str), &mut |node| {
                let old = node.as_scalar().map_or("", |scalar| &scalar.text);
                let new = if is_prefix { format!("{text}{old}") } else { format!("{old}{text}") };
                build.budget.write(new.len())?;
                set_scalar(node, Scalar::new(&new, Tag::Unset))
            })?;
        }
    }
    Ok(())
}

/// Sets labels or annotations.
pub(super) fn texts(
    set: &mut Set,
    pairs: &BTreeMap<String, String>,
    fields: &[FieldSpec],
    build: &Build<'_>,
) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    for resource in set.items_mut() {
        for (key, value) in pairs {
            let link = build.next_link();
            let mut added = 0;
            for spec in fields {
                visit(resource, spec, Make::Mapping, &mut |node| {
                    build.budget.write(key.len() + value.len())?;
                    added += usize::from(set_entry(node, key, value, link)?);
                    Ok(())
                })?;
            }
            if added > 1 {
                resource.link(link, Scalar::new(value, Tag::Str));
            }
            resource.settle_links();
        }
    }
    Ok(())
}

fn replicas(set: &mut Set, replica: &Replica, fields: &[FieldSpec]) -> Result<()> {
    let mut found = false;
    for spec in fields {
        for resource in set.items_mut() {
            let (group, version) = (resource.group(), resource.version());
            let is = |kind: &str, name: &str| name == replica.name && spec.gvk.selects(group, version, kind);
            if !is(resource.kind(), resource.name()) && !resource.former.iter().any(|f| is(&f.kind, &f.name)) {
                continue;
            }
            found = true;
            visit(resource, spec, Make::Scalar(Tag::Int), &mut |node| {
                set_scalar(node, Scalar::new(&replica.count.to_string(), Tag::Int))
            })?;
        }
    }
    if found {
        return Ok(());
    }
    let message = format!("nothing that has replicas is called {:?}", replica.name);
    Err(BuildError::new(ErrorKind::Missing, message).in_field("replicas").hint("name it as in its file"))
}
