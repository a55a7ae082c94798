//! [`FieldSpec`] and [`Config`]: which fields of which kinds a transformer touches.
//!
//! Source: kustomize api/internal/plugins/builtinconfig and api/types/fieldspec.go. The default tables are data in
//! `defaults.txt`. Merging has two surprises that are kept: a general entry is dropped when a more special one with
//! the same path exists, and the same path with another `create` is an error.

use std::rc::Rc;

use super::budget::check_depth;
use super::cursor::Cursor;
use super::error::{BuildError, ErrorKind, Result};

/// Group, version and kind; empty parts of a selector match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Gvk {
    pub group: String,
    pub version: String,
    pub kind: String,
}

impl Gvk {
    /// Whether an object of that type is selected by this selector.
    pub(super) fn selects(&self, group: &str, version: &str, kind: &str) -> bool {
        (self.group.is_empty() || self.group == group)
            && (self.version.is_empty() || self.version == version)
            && (self.kind.is_empty() || self.kind == kind)
    }

    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        Ok(Gvk {
            group: cursor.get("group")?.text()?,
            version: cursor.get("version")?.text()?,
            kind: cursor.get("kind")?.text()?,
        })
    }
}

/// One field, in some kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldSpec {
    pub gvk: Gvk,
    /// As written: parts divided by `/`, `\/` for a slash within a part.
    pub path: String,
    pub parts: Vec<String>,
    pub create: bool,
}

impl FieldSpec {
    pub(super) fn new(gvk: Gvk, path: &str, create: bool) -> Self {
        FieldSpec { gvk, path: path.to_owned(), parts: split_path(path, '/'), create }
    }

    /// A field of every kind.
    pub(super) fn anywhere(path: &str, create: bool) -> Self {
        FieldSpec::new(Gvk::default(), path, create)
    }

    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["group", "version", "kind", "path", "create"])?;
        let made = FieldSpec::new(Gvk::read(cursor)?, &cursor.get("path")?.text()?, cursor.get("create")?.flag()?);
        check_depth(made.parts.len(), 1).map_err(|message| cursor.fail(message))?;
        Ok(made)
    }
}

/// Splits at the divider, except behind a backslash; one leading divider is ignored.
pub(super) fn split_path(path: &str, divider: char) -> Vec<String> {
    let mut pieces = path.split(divider).peekable();
    let mut parts: Vec<String> = Vec::new();
    if path.contains(divider) && path.starts_with(divider) {
        pieces.next();
    }
    for piece in pieces {
        match parts.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(divider);
                last.push_str(piece);
            }
            _ => parts.push(piece.to_owned()),
        }
    }
    parts
}

/// Adds an entry to a list by the rules of kustomize.
///
/// Errors when the same field is there with another `create`.
pub(super) fn merge_one(list: &mut Vec<FieldSpec>, new: &FieldSpec) -> Result<()> {
    let same = list
        .iter()
        .find(|old| new.gvk.selects(&old.gvk.group, &old.gvk.version, &old.gvk.kind) && old.path == new.path);
    match same {
        Some(old) if old.create != new.create => {
            let message = format!("the field {} is configured twice, once with create and once without", new.path);
            Err(BuildError::new(ErrorKind::Conflict, message).hint("give both the same create"))
        }
        Some(_) => Ok(()),
        None => {
            list.push(new.clone());
            Ok(())
        }
    }
}

pub(super) fn merge_all(list: &mut Vec<FieldSpec>, new: &[FieldSpec]) -> Result<()> {
    new.iter().try_for_each(|spec| merge_one(list, spec))
}

/// Kinds that refer to one kind by name, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BackReference {
    pub target: Gvk,
    pub referrers: Vec<FieldSpec>,
}

/// The field tables of one layer and all below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Config {
    pub name_prefix: Vec<FieldSpec>,
    pub name_suffix: Vec<FieldSpec>,
    pub namespace: Vec<FieldSpec>,
    pub common_labels: Vec<FieldSpec>,
    pub labels: Vec<FieldSpec>,
    pub template_labels: Vec<FieldSpec>,
    pub common_annotations: Vec<FieldSpec>,
    pub name_reference: Vec<BackReference>,
    pub var_reference: Vec<FieldSpec>,
    pub images: Vec<FieldSpec>,
    pub replicas: Vec<FieldSpec>,
}

const SECTIONS: [&str; 10] = [
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "templateLabels",
    "commonAnnotations",
    "varReference",
    "images",
    "replicas",
];

impl Config {
    fn section(&mut self, name: &str) -> &mut Vec<FieldSpec> {
        match name {
            "namePrefix" => &mut self.name_prefix,
            "nameSuffix" => &mut self.name_suffix,
            "namespace" => &mut self.namespace,
            "commonLabels" => &mut self.common_labels,
            "labels" => &mut self.labels,
            "templateLabels" => &mut self.template_labels,
            "commonAnnotations" => &mut self.common_annotations,
            "varReference" => &mut self.var_reference,
            "images" => &mut self.images,
            _ => &mut self.replicas,
        }
    }

    /// The built-in tables.
    pub(super) fn defaults() -> Self {
        let mut config = Config::default();
        let mut section = "";
        let mut kinds: Vec<Gvk> = Vec::new();
        let mut target = 0;
        for line in include_str!("defaults.txt").lines().filter(|line| !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix("= ") {
                section = name;
            } else if let Some(name) = line.strip_prefix("> ") {
                config.name_reference.push(BackReference { target: gvk(name), referrers: Vec::new() });
                target = config.name_reference.len() - 1;
            } else if let Some(names) = line.strip_prefix("- ") {
                kinds = names.split(' ').map(gvk).collect();
            } else if let Some((path, create)) = line.trim_start().split_once(' ').or(Some((line.trim_start(), ""))) {
                for kind in &kinds {
                    let spec = FieldSpec::new(kind.clone(), path, create == "create");
                    match section {
                        "nameReference" => config.name_reference[target].referrers.push(spec),
                        section => config.section(section).push(spec),
                    }
                }
            }
        }
        config
    }

    /// Reads a transformer configuration file.
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        let mut known = SECTIONS.to_vec();
        known.push("nameReference");
        cursor.allow(&known)?;
        let mut config = Config::default();
        for name in SECTIONS {
            *config.section(name) = cursor.get(name)?.list(FieldSpec::read)?;
        }
        config.name_reference = cursor.get("nameReference")?.list(|cursor| {
            cursor.allow(&["group", "version", "kind", "fieldSpecs"])?;
            Ok(BackReference {
                target: Gvk::read(cursor)?,
                referrers: cursor.get("fieldSpecs")?.list(FieldSpec::read)?,
            })
        })?;
        config.sort();
        Ok(config)
    }

    /// Merges another configuration into this one.
    pub(super) fn merge(&mut self, other: &Config) -> Result<()> {
        let mut other = other.clone();
        for name in SECTIONS {
            let new = std::mem::take(other.section(name));
            merge_all(self.section(name), &new).map_err(|error| error.in_field(name))?;
        }
        for new in &other.name_reference {
            match self.name_reference.iter_mut().find(|old| old.target == new.target) {
                Some(old) => merge_all(&mut old.referrers, &new.referrers)?,
                None => self.name_reference.push(new.clone()),
            }
        }
        self.sort();
        Ok(())
    }

    fn sort(&mut self) {
        for name in SECTIONS {
            self.section(name).sort_by_key(|spec| order_key(&spec.gvk));
        }
        self.name_reference.sort_by_key(|reference| order_key(&reference.target));
    }
}

/// The configuration of a layer; most layers share the built-in one.
#[derive(Clone)]
pub(super) struct SharedConfig {
    pub config: Rc<Config>,
    /// Nothing but the built-in tables is in it.
    is_default: bool,
}

impl SharedConfig {
    pub(super) fn defaults() -> Self {
        let mut config = Config::default();
        // Merging into nothing drops what repeats, as kustomize does with its own tables.
        config.merge(&Config::defaults()).expect("the built-in tables do not contradict themselves");
        SharedConfig { config: Rc::new(config), is_default: true }
    }

    pub(super) fn merge(&mut self, other: &SharedConfig) -> Result<()> {
        if other.is_default {
            return Ok(());
        }
        if self.is_default {
            *self = other.clone();
            return Ok(());
        }
        self.merge_plain(&other.config)
    }

    /// Merges entries that need not include the built-in ones.
    pub(super) fn merge_plain(&mut self, other: &Config) -> Result<()> {
        Rc::make_mut(&mut self.config).merge(other)?;
        self.is_default = false;
        Ok(())
    }
}

/// `Kind`, `Kind.version` or `Kind.version.group`; `*` for an empty kind.
fn gvk(text: &str) -> Gvk {
    let mut parts = text.splitn(3, '.');
    let mut part = || parts.next().unwrap_or_default().trim_matches('*').to_owned();
    let (kind, version, group) = (part(), part(), part());
    Gvk { group, version, kind }
}

const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The kinds that the legacy order puts first, and those it puts last.
pub(super) fn legacy_order() -> (Vec<String>, Vec<String>) {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    (owned(&FIRST), owned(&LAST))
}

/// Sorts by rank of the kind, then by group, version and kind with `~` for what is missing.
fn order_key(gvk: &Gvk) -> (usize, String) {
    let rank = match FIRST.iter().position(|kind| *kind == gvk.kind) {
        Some(rank) => rank,
        None => FIRST.len() + LAST.iter().position(|kind| *kind == gvk.kind).map_or(0, |rank| rank + 1),
    };
    (rank, sort_text(&gvk.group, &gvk.version, &gvk.kind))
}

/// The text by which types of one rank are ordered.
pub(super) fn sort_text(group: &str, version: &str, kind: &str) -> String {
    let or = |part: &str, missing: &str| if part.is_empty() { missing.to_owned() } else { part.to_owned() };
    format!("{}_{}_{}", or(group, "~G"), or(version, "~V"), or(kind, "~K"))
}
