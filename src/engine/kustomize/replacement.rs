//! Replacements: one value into fields of other objects.
//!
//! Source: kustomize api/filters/replacement.

use crate::base::yaml::{self, Node, Scalar, Tag};

use super::Build;
use super::budget::{Budget, check_depth, measure};
use super::cursor::Cursor;
use super::error::{BuildError, ErrorKind, Result};
use super::generate::write_go_value;
use super::notes;
use super::path::{self, Shape, split_smart};
use super::resource::Resource;
use super::select::{Compiled, Selector};
use super::set::Set;
use super::spec::Gvk;

/// Where a value comes from and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replacement {
    pub source: Option<Source>,
    pub source_value: Option<String>,
    /// `None` when the field is missing.
    pub targets: Option<Vec<Target>>,
}

/// An object and a field of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub gvk: Gvk,
    pub name: String,
    pub namespace: String,
    pub field_path: String,
    pub options: FieldOptions,
}

/// Objects and fields of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub select: Option<Selector>,
    pub reject: Vec<Selector>,
    pub field_paths: Vec<String>,
    pub options: FieldOptions,
}

/// Which part of a field counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldOptions {
    pub delimiter: String,
    pub index: i64,
    pub create: bool,
}

const DEFAULT_PATH: &str = "metadata.name";

impl Replacement {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        let value = cursor.get("sourceValue")?;
        let targets = cursor.get("targets")?;
        Ok(Replacement {
            source: cursor.get("source")?.optional(Source::read)?,
            source_value: value.optional(|value| value.text())?,
            targets: targets.optional(|targets| targets.list(Target::read))?,
        })
    }
}

impl Source {
    fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["group", "version", "kind", "name", "namespace", "fieldPath", "options"])?;
        Ok(Source {
            gvk: Gvk::read(cursor)?,
            name: cursor.get("name")?.text()?,
            namespace: cursor.get("namespace")?.text()?,
            field_path: Some(cursor.get("fieldPath")?.text()?).filter(|p| !p.is_empty()).unwrap_or(DEFAULT_PATH.into()),
            options: FieldOptions::read(&cursor.get("options")?)?,
        })
    }

    fn shown(&self) -> String {
        let or = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
        format!("{}/{}", or(&self.gvk.kind, "any kind"), or(&self.name, "any name"))
    }

    /// Whether an object is or was what the source names.
    fn fits(&self, resource: &Resource) -> bool {
        let effective =
            |namespace: &str| if namespace.is_empty() { "default".to_owned() } else { namespace.to_owned() };
        let is = |kind: &str, name: &str, namespace: &str| {
            (self.name.is_empty() || self.name == name)
                && (self.namespace.is_empty() || effective(&self.namespace) == effective(namespace))
                && self.gvk.selects(resource.group(), resource.version(), kind)
        };
        is(resource.kind(), resource.name(), resource.namespace())
            || resource.former.iter().any(|former| is(&former.kind, &former.name, &former.namespace))
    }
}

impl Target {
    fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["select", "reject", "fieldPaths", "options"])?;
        let mut field_paths = cursor.get("fieldPaths")?.texts()?;
        if field_paths.is_empty() {
            field_paths.push(DEFAULT_PATH.into());
        }
        Ok(Target {
            select: cursor.get("select")?.optional(Selector::read)?,
            reject: cursor.get("reject")?.list(Selector::read)?,
            field_paths,
            options: FieldOptions::read(&cursor.get("options")?)?,
        })
    }
}

impl FieldOptions {
    fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(&["delimiter", "index", "encoding", "create"])?;
        Ok(FieldOptions {
            delimiter: cursor.get("delimiter")?.text()?,
            index: cursor.get("index")?.integer()?,
            create: cursor.get("create")?.flag()?,
        })
    }
}

fn fail(kind: ErrorKind, message: impl Into<String>) -> BuildError {
    BuildError::new(kind, message).in_field("replacements")
}

/// Copies the value of each replacement to its targets.
pub(super) fn apply(set: &mut Set, replacements: &[Replacement], build: &Build<'_>) -> Result<()> {
    for replacement in replacements {
        let (Some(targets), true) =
            (&replacement.targets, replacement.source.is_some() || replacement.source_value.is_some())
        else {
            return Err(fail(ErrorKind::Field, "a replacement needs a source and at least one target"));
        };
        build.budget.look(set.len())?;
        let value = value(set, replacement)?;
        for target in targets {
            build.budget.look(set.len())?;
            put_all(set, target, &value, &build.budget)?;
        }
    }
    Ok(())
}

fn value(set: &Set, replacement: &Replacement) -> Result<Node> {
    let source = match (&replacement.source, &replacement.source_value) {
        (Some(_), Some(_)) => {
            return Err(fail(ErrorKind::Field, "a replacement has either a source or a sourceValue, not both"));
        }
        (None, Some(value)) => return Ok(Node::Scalar(Scalar::new(value, Tag::Unset))),
        (None, None) => return Err(fail(ErrorKind::Field, "a replacement needs a source")),
        (Some(source), None) => source,
    };
    let mut found = set.items().iter().filter(|item| source.fits(item));
    let object = found.next().ok_or_else(|| {
        fail(ErrorKind::Missing, format!("the source {} does not exist", source.shown()))
            .hint("check kind, name and namespace of the source")
    })?;
    if let Some(other) = found.next() {
        let message = format!("the source {} could be {} or {}", source.shown(), object.name(), other.name());
        return Err(fail(ErrorKind::Conflict, message).hint("add kind, name or namespace to the source"));
    }
    let parts = split_smart(&source.field_path);
    let place = |error: BuildError| error.of(format!("{}/{}", object.kind(), object.name()));
    let noted = notes::are_seen_by(&parts).then(|| object.with_notes());
    let node = path::read(noted.as_ref().unwrap_or(&object.node), &parts)
        .map_err(|message| place(fail(ErrorKind::Change, message)))?;
    let empty = |node: &Node| match node {
        Node::Scalar(_) => node.is_null(),
        Node::Sequence(items) => items.is_empty(),
        Node::Mapping(mapping) => mapping.is_empty(),
    };
    let node = node
        .filter(|node| !empty(node))
        .ok_or_else(|| place(fail(ErrorKind::Missing, format!("the source has no field {}", source.field_path))))?;
    if source.options.delimiter.is_empty() {
        return Ok(unlinked(node));
    }
    let Node::Scalar(scalar) = node else {
        return Err(place(fail(ErrorKind::Field, "a delimiter needs a source that is a plain value")));
    };
    let part = usize::try_from(source.options.index)
        .ok()
        .and_then(|index| scalar.text.split(&source.options.delimiter).nth(index));
    let part =
        part.ok_or_else(|| place(fail(ErrorKind::Field, format!("the source has no part {}", source.options.index))))?;
    Ok(Node::Scalar(Scalar { text: part.into(), link: 0, ..scalar.clone() }))
}

/// A copy that changes on its own.
fn unlinked(node: &Node) -> Node {
    match node {
        Node::Scalar(scalar) => Node::Scalar(Scalar { link: 0, ..scalar.clone() }),
        Node::Sequence(items) => Node::Sequence(items.iter().map(unlinked).collect()),
        Node::Mapping(mapping) => {
            let fields = mapping.0.iter().map(|(key, node)| (key.clone(), unlinked(node))).collect();
            Node::Mapping(yaml::Mapping(fields, mapping.1))
        }
    }
}

fn put_all(set: &mut Set, target: &Target, value: &Node, budget: &Budget) -> Result<()> {
    let select = target.select.as_ref().ok_or_else(|| fail(ErrorKind::Field, "a target needs select"))?;
    let compiled = select.compile().map_err(|error| error.in_field("replacements"))?;
    let reject = target.reject.iter().map(|reject| Ok((reject, reject.compile()?))).collect::<Result<Vec<_>>>()?;
    for resource in set.items_mut() {
        if !compiled.matches_labels(resource) || !any_id(&compiled, resource) {
            continue;
        }
        let labelled = |reject: &Selector| !(reject.labels.is_empty() && reject.annotations.is_empty());
        let rejected = reject.iter().any(|(reject, compiled)| {
            (labelled(reject) && compiled.matches_labels(resource))
                || (!reject.has_no_id() && any_id(compiled, resource))
        });
        if rejected {
            continue;
        }
        for field_path in &target.field_paths {
            put(resource, field_path, value, &target.options, budget).map_err(|message| {
                fail(ErrorKind::Change, format!("{field_path}: {message}")).of(format!(
                    "{}/{}",
                    resource.kind(),
                    resource.name()
                ))
            })?;
        }
        resource.settle_links();
    }
    Ok(())
}

/// Matches the current id and all former ones, each with its namespace as it is written.
fn any_id(selector: &Compiled, resource: &Resource) -> bool {
    let (group, version) = (resource.group(), resource.version());
    selector.matches_id(group, version, resource.kind(), resource.name(), resource.namespace())
        || resource
            .former
            .iter()
            .any(|former| selector.matches_id(group, version, &former.kind, &former.name, &former.namespace))
}

fn put(
    resource: &mut Resource,
    field_path: &str,
    value: &Node,
    options: &FieldOptions,
    budget: &Budget,
) -> std::result::Result<(), String> {
    let parts = split_smart(field_path);
    let (bytes, depth) = measure(value);
    check_depth(parts.len(), depth)?;
    let create = options.create.then(|| Shape::of(value));
    let sees_notes = notes::are_seen_by(&parts);
    if sees_notes {
        resource.write_notes();
    }
    let mut root = Node::Mapping(std::mem::take(&mut resource.node));
    let done = put_in_text(&mut root, &parts, value, create, budget).unwrap_or(false);
    let result = match done {
        true => Ok(1),
        false => path::change(&mut root, &parts, create, &mut |field| {
            let old = field.as_scalar().map_or(0, |old| if options.delimiter.is_empty() { 0 } else { old.text.len() });
            budget.write(bytes + old)?;
            set_field(field, value, options)
        }),
    };
    if let Node::Mapping(mapping) = root {
        resource.node = mapping;
    }
    if sees_notes {
        resource.read_notes();
    }
    match result {
        Ok(0) if options.create => Err("the field could not be made".into()),
        Ok(0) => Err("the field does not exist; set options.create to make it".into()),
        Ok(_) => Ok(()),
        Err(message) => Err(message),
    }
}

fn set_field(field: &mut Node, value: &Node, options: &FieldOptions) -> std::result::Result<(), String> {
    let joined;
    let value = if options.delimiter.is_empty() {
        value
    } else {
        let Node::Scalar(old) = &*field else {
            return Err("a delimiter needs a target that is a plain value".into());
        };
        // A list or a mapping counts as empty text here.
        let (text, tag) = value.as_scalar().map_or(("", Tag::Str), |new| (&new.text, new.tag));
        let mut parts: Vec<&str> = old.text.split(&options.delimiter).collect();
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, text),
            Ok(index) if index >= parts.len() => parts.push(text),
            Ok(index) => parts[index] = text,
        }
        joined = Node::Scalar(Scalar::new(&parts.join(&options.delimiter), tag));
        &joined
    };
    match (field, value) {
        // Only the text is copied, so a field keeps its type: a number stays one, and what was quoted stays text.
        (Node::Scalar(old), Node::Scalar(new)) => old.text.clone_from(&new.text),
        (Node::Scalar(old), _) => old.text = "".into(),
        (field, value) => *field = value.clone(),
    }
    Ok(())
}

/// Replaces within text that is itself a document, when the path goes on behind a plain value.
///
/// Source: replacement.go, setValueInStructuredData. `None` when there is no such text.
fn put_in_text(
    root: &mut Node,
    parts: &[String],
    value: &Node,
    create: Option<Shape>,
    budget: &Budget,
) -> Option<bool> {
    let Node::Mapping(mapping) = &*root else { return None };
    let split = (1..parts.len()).find(|&at| {
        matches!(path::read(mapping, &parts[..at]), Ok(Some(Node::Scalar(scalar))) if path::parse_text(&scalar.text).is_some() || scalar.text.is_empty())
    })?;
    let Ok(Some(Node::Scalar(scalar))) = path::read(mapping, &parts[..split]) else { return None };
    let original = scalar.text.to_string();
    budget.write(original.len()).ok()?;
    let mut document = path::parse_text(&original)?;
    let changed = path::change(&mut document, &parts[split..], create, &mut |field| {
        budget.write(measure(value).0)?;
        match (field, value) {
            (Node::Scalar(old), Node::Scalar(new)) => old.text.clone_from(&new.text),
            (Node::Scalar(old), _) => old.text = "".into(),
            (field, value) => *field = value.clone(),
        }
        Ok(())
    });
    if changed.ok()? == 0 {
        return None;
    }
    let text = printed(&document, &original)?;
    path::change(root, &parts[..split], None, &mut |field| {
        if let Node::Scalar(scalar) = field {
            scalar.text = text.as_str().into();
        }
        Ok(())
    })
    .ok()
    .map(|count| count > 0)
}

/// The document as text in the form of the original: JSON compact or indented, or YAML.
fn printed(document: &Node, original: &str) -> Option<String> {
    let value = document.to_value().ok()?;
    if !original.trim_start().starts_with(['{', '[']) {
        return Some(yaml::write(&value).trim().to_owned());
    }
    let mut sorted = String::new();
    write_go_value(&mut sorted, &value);
    if !(original.contains('\n') && original.contains("  ")) {
        return Some(sorted);
    }
    let value: serde_json::Value = serde_json::from_str(&sorted).ok()?;
    serde_json::to_string_pretty(&value).ok()
}
