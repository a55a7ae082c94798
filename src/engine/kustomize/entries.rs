//! The entries of a kustomization file: patches, images, labels, generators and the rest.
//!
//! Source: kustomize api/types.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::error::Result;
use super::replacement::Replacement;
use super::resource::Behavior;
use super::select::Selector;
use super::spec::{FieldSpec, Gvk};

type Pairs = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
pub(super) struct Label {
    pub pairs: Pairs,
    pub include_selectors: bool,
    pub include_templates: bool,
    pub fields: Vec<FieldSpec>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Patch {
    pub path: String,
    pub patch: String,
    pub target: Option<Selector>,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub name: String,
    pub new_name: String,
    pub tag_suffix: String,
    pub new_tag: String,
    pub digest: String,
}

#[derive(Clone, Debug)]
pub(super) enum ReplacementEntry {
    Path(String),
    Inline(Box<Replacement>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    pub name: String,
    pub count: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Var {
    pub name: String,
    pub target: Gvk,
    pub target_name: String,
    pub target_namespace: String,
    pub field_path: String,
}

/// How the output is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Fifo,
    Legacy(Option<(Vec<String>, Vec<String>)>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct GeneratorArgs {
    pub name: String,
    pub namespace: String,
    pub behavior: Behavior,
    pub literals: Vec<String>,
    pub files: Vec<String>,
    pub envs: Vec<String>,
    pub options: Option<GeneratorOptions>,
    /// Of a secret; empty for `Opaque`.
    pub secret_type: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct GeneratorOptions {
    pub labels: Pairs,
    pub annotations: Pairs,
    pub disable_name_suffix_hash: bool,
    pub immutable: bool,
}

impl Label {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["pairs", "includeSelectors", "includeTemplates", "fields"])?;
        Ok(Label {
            pairs: cursor.get("pairs")?.pairs()?,
            include_selectors: cursor.get("includeSelectors")?.flag()?,
            include_templates: cursor.get("includeTemplates")?.flag()?,
            fields: cursor.get("fields")?.list(FieldSpec::read)?,
        })
    }
}

impl Patch {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["path", "patch", "target", "options"])?;
        let options = cursor.get("options")?;
        options.allow(&["allowNameChange", "allowKindChange"])?;
        let allow = (options.get("allowNameChange")?.flag()?, options.get("allowKindChange")?.flag()?);
        Ok(Patch {
            path: cursor.get("path")?.text()?,
            patch: cursor.get("patch")?.text()?,
            target: cursor.get("target")?.optional(Selector::read)?,
            allow_name_change: allow.0,
            allow_kind_change: allow.1,
        })
    }
}

impl Image {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["name", "newName", "tagSuffix", "newTag", "digest"])?;
        let text = |name| cursor.get(name)?.text();
        Ok(Image {
            name: text("name")?,
            new_name: text("newName")?,
            tag_suffix: text("tagSuffix")?,
            new_tag: text("newTag")?,
            digest: text("digest")?,
        })
    }
}

impl ReplacementEntry {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["path", "source", "targets", "sourceValue"])?;
        let path = cursor.get("path")?.text()?;
        if path.is_empty() {
            return Replacement::read(cursor).map(|made| ReplacementEntry::Inline(Box::new(made)));
        }
        if !cursor.get("source")?.is_null() || !cursor.get("targets")?.is_null() {
            return Err(cursor.fail("a replacement has either a path or its own source and targets"));
        }
        Ok(ReplacementEntry::Path(path))
    }
}

impl Replica {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["name", "count"])?;
        Ok(Replica { name: cursor.get("name")?.text()?, count: cursor.get("count")?.integer()? })
    }
}

impl Var {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["name", "objref", "fieldref"])?;
        let (object, field) = (cursor.get("objref")?, cursor.get("fieldref")?);
        object.allow(&["apiVersion", "group", "version", "kind", "name", "namespace"])?;
        field.allow(&["fieldPath"])?;
        let mut target = Gvk::read(&object)?;
        match object.get("apiVersion")?.text()?.split('/').collect::<Vec<_>>()[..] {
            [version] if !version.is_empty() => version.clone_into(&mut target.version),
            [group, version] => {
                group.clone_into(&mut target.group);
                version.clone_into(&mut target.version);
            }
            _ => {}
        }
        let path = field.get("fieldPath")?.text()?;
        Ok(Var {
            name: cursor.get("name")?.text()?,
            target,
            target_name: object.get("name")?.text()?,
            target_namespace: object.get("namespace")?.text()?,
            field_path: if path.is_empty() { "metadata.name".into() } else { path },
        })
    }
}

impl Sort {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["order", "legacySortOptions"])?;
        let (order, options) = (cursor.get("order")?, cursor.get("legacySortOptions")?);
        options.allow(&["orderFirst", "orderLast"])?;
        match (order.text()?.as_str(), options.is_null()) {
            ("fifo", true) => Ok(Sort::Fifo),
            ("fifo", false) => Err(options.fail("these options need order: legacy")),
            ("legacy", true) => Ok(Sort::Legacy(None)),
            ("legacy", false) => {
                let lists = (options.get("orderFirst")?.texts()?, options.get("orderLast")?.texts()?);
                Ok(Sort::Legacy(Some(lists)))
            }
            _ => Err(order.fail("the order must be legacy or fifo")),
        }
    }
}

impl GeneratorArgs {
    pub(super) fn read(cursor: &Cursor<'_>, secret: bool) -> Result<Self> {
        let mut known = vec!["name", "namespace", "behavior", "literals", "files", "envs", "env", "options"];
        if secret {
            known.push("type");
        }
        cursor.allow(&known)?;
        let mut envs = cursor.get("envs")?.texts()?;
        envs.extend(Some(cursor.get("env")?.text()?).filter(|env| !env.is_empty()));
        Ok(GeneratorArgs {
            name: cursor.get("name")?.text()?,
            namespace: cursor.get("namespace")?.text()?,
            behavior: match cursor.get("behavior")?.text()?.as_str() {
                "replace" => Behavior::Replace,
                "merge" => Behavior::Merge,
                "create" => Behavior::Create,
                _ => Behavior::Unspecified,
            },
            literals: cursor.get("literals")?.texts()?,
            files: cursor.get("files")?.texts()?,
            envs,
            options: cursor.get("options")?.optional(GeneratorOptions::read)?,
            secret_type: if secret { cursor.get("type")?.text()? } else { String::new() },
        })
    }
}

impl GeneratorOptions {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["labels", "annotations", "disableNameSuffixHash", "immutable"])?;
        Ok(GeneratorOptions {
            labels: cursor.get("labels")?.pairs()?,
            annotations: cursor.get("annotations")?.pairs()?,
            disable_name_suffix_hash: cursor.get("disableNameSuffixHash")?.flag()?,
            immutable: cursor.get("immutable")?.flag()?,
        })
    }
}
