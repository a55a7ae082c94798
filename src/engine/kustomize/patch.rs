//! Patches: which objects they change, and how the result keeps its name.
//!
//! Source: kustomize api/internal/builtins/Patch*.go and api/resource/resource.go. With a target, labels and
//! annotations of a strategic merge patch become text before it is applied, so a null there removes nothing; without
//! one it does.

use serde_json::Value;

use crate::base::yaml::{self, Dialect, Mapping, Node, Scalar, Style, Tag, format_float};

use super::Build;
use super::budget::measure_mapping;
use super::entries::Patch;
use super::error::{BuildError, ErrorKind, Result};
use super::json_patch::{self, Operation};
use super::load::Loader;
use super::merge::{self, DIRECTIVE, Misfit};
use super::read::read_resources;
use super::resource::{Behavior, Resource, set_field, text_of};
use super::schema::Schema;
use super::select::Selector;
use super::set::Set;

/// A patch that is loaded, and what it is for.
pub(super) struct PatchStep {
    pub content: Content,
    pub target: Option<Selector>,
    /// For messages: the file; empty for a patch within the kustomization.
    pub source: String,
    /// For messages: the entry of the kustomization.
    pub field: String,
}

impl PatchStep {
    /// Places an error: in the patch's file, or at its entry.
    fn place(&self, error: BuildError) -> BuildError {
        let error = match (error.place.field.as_str(), self.source.as_str()) {
            ("", _) | (_, "") => {
                let inner = error.place.field.clone();
                let mut error = error;
                if !inner.is_empty() {
                    error.message = format!("{inner}: {}", error.message);
                }
                error.place.field.clone_from(&self.field);
                error
            }
            _ => error,
        };
        if self.source.is_empty() { error } else { error.in_file(&self.source) }
    }
}

/// The two kinds of patches.
pub(super) enum Content {
    Merge(Vec<Resource>),
    Json(Vec<Operation>),
    /// Nothing but comments.
    Nothing,
}

/// Loads an entry of `patches`.
///
/// Errors when it is neither kind of patch, or could be both.
pub(super) fn load(patch: &Patch, loader: &Loader<'_>, build: &Build<'_>) -> Result<PatchStep> {
    let inline = patch.patch.trim();
    let (text, source) = match (inline, patch.path.as_str()) {
        ("", "") => return Err(BuildError::new(ErrorKind::Field, "a patch needs a path or an inline patch")),
        ("", path) => (loader.file(path)?.to_vec(), loader.shown(path)),
        (inline, "") => (inline.as_bytes().to_vec(), String::new()),
        _ => return Err(BuildError::new(ErrorKind::Field, "a patch has either a path or an inline patch, not both")),
    };
    let content = parse(&text, &source, build)?;
    let content = match content {
        Content::Merge(mut patches) => {
            for resource in &mut patches {
                resource.allow_name_change = patch.allow_name_change;
                resource.allow_kind_change = patch.allow_kind_change;
            }
            Content::Merge(patches)
        }
        other => other,
    };
    Ok(PatchStep { content, target: patch.target.clone(), source, field: "patches".to_owned() })
}

fn parse(text: &[u8], source: &str, build: &Build<'_>) -> Result<Content> {
    let objects = read_resources(text, source, build);
    let operations = operations(text, build);
    match (objects, operations) {
        (Ok(objects), Ok(operations)) if !objects.is_empty() && !operations.is_empty() => {
            Err(BuildError::new(ErrorKind::Malformed, "the patch could be a JSON patch or an object").in_file(source))
        }
        (Ok(objects), _) if objects.is_empty() => Ok(Content::Nothing),
        (Ok(objects), _) => Ok(Content::Merge(objects)),
        (Err(_), Ok(operations)) => Ok(Content::Json(operations)),
        (Err(merge), Err(json)) => {
            let message = format!("the patch is no object ({}) and no JSON patch ({json})", merge.message);
            let error = BuildError::new(ErrorKind::Malformed, message);
            Err(if source.is_empty() { error } else { error.at_line(merge.place.line).in_file(source) })
        }
    }
}

/// The operations in a text; text that starts with a bracket is taken as strict JSON.
pub(super) fn operations(text: &[u8], build: &Build<'_>) -> std::result::Result<Vec<Operation>, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    let value: Value = if text[0] == b'[' {
        serde_json::from_slice(text).map_err(|error| error.to_string())?
    } else {
        let documents =
            yaml::read_as(text, &build.options.yaml, Dialect::Lenient).map_err(|error| error.to_string())?;
        documents.into_iter().next().map_or(Value::Null, |document| document.value)
    };
    json_patch::parse(&value)
}

/// Applies an entry of `patches`.
pub(super) fn apply(set: &mut Set, step: &PatchStep, build: &Build<'_>) -> Result<()> {
    let patches = match &step.content {
        Content::Nothing => return Ok(()),
        Content::Json(_) => return apply_json(set, step, true, build),
        Content::Merge(patches) => patches,
    };
    let fail = |error: BuildError| step.place(error);
    match (&step.target, patches.as_slice()) {
        (Some(target), [patch]) => {
            let selector = target.compile().map_err(fail)?;
            let schema = build.schema();
            let selected: Vec<usize> =
                (0..set.len()).filter(|&at| selector.matches(&set.items()[at], &schema)).collect();
            merge_into(set, &selected, patch, build).map_err(fail)
        }
        (Some(_), _) => Err(fail(
            BuildError::new(ErrorKind::Field, "a patch of several documents cannot have a target")
                .hint("make each document a patch of its own"),
        )),
        (None, patches) => {
            for patch in patches {
                let at = find(set, patch, build).map_err(fail)?;
                let schema = build.schema();
                build.budget.step(measure_mapping(&patch.node)).map_err(fail)?;
                merge_one(&mut set.items_mut()[at], patch, &schema).map_err(fail)?;
            }
            Ok(())
        }
    }
}

/// Applies `patchesStrategicMerge`.
pub(super) fn merge_by_id(set: &mut Set, patches: &[Resource], build: &Build<'_>) -> Result<()> {
    for patch in patches {
        let fail = |error: BuildError| error.in_field("patchesStrategicMerge");
        let at = find(set, patch, build).map_err(fail)?;
        merge_into(set, &[at], patch, build).map_err(fail)?;
    }
    Ok(())
}

/// The one object that a patch without target is for.
fn find(set: &Set, patch: &Resource, build: &Build<'_>) -> Result<usize> {
    build.budget.look(set.len())?;
    let schema = build.schema();
    let id = patch.original_id(&schema);
    let fail = |kind, message: &str| BuildError::new(kind, message).of(&id);
    match set.with_any_id(&id, &schema)[..] {
        [at] => Ok(at),
        [] => Err(fail(ErrorKind::Missing, "there is no object for this patch").hint(near_miss(set, patch))),
        _ => Err(fail(ErrorKind::Conflict, "several objects fit this patch").hint("give the patch a namespace")),
    }
}

/// What could be meant: the same name and kind elsewhere.
fn near_miss(set: &Set, patch: &Resource) -> String {
    let same_name = |item: &&Resource| {
        item.kind() == patch.kind()
            && (item.name() == patch.name() || item.former.iter().any(|former| former.name == patch.name()))
    };
    match set.items().iter().find(same_name) {
        Some(item) if item.api_version() != patch.api_version() => {
            format!("the object has apiVersion {}", item.api_version())
        }
        Some(item) if !item.namespace().is_empty() => format!("the object is in namespace {}", item.namespace()),
        Some(_) => "check the namespace".into(),
        None => "check apiVersion, kind, name and namespace".into(),
    }
}

/// Merges a copy of the patch into each selected object; its labels and annotations are text.
fn merge_into(set: &mut Set, selected: &[usize], patch: &Resource, build: &Build<'_>) -> Result<()> {
    let schema = build.schema();
    let mut copy = patch.clone();
    for field in ["labels", "annotations"] {
        let pairs = patch.texts(field).into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        copy.set_texts(field, pairs);
    }
    let bytes = measure_mapping(&copy.node);
    for &at in selected {
        build.budget.step(bytes)?;
        let target = &mut set.items_mut()[at];
        let api_version = target.api_version().to_owned();
        // Also when it has none: then the patch leaves an empty one, and the object is hard to find afterwards.
        set_field(&mut copy.node, "apiVersion", Scalar::new(&api_version, Tag::Unset));
        merge_one(target, &copy, &schema)?;
    }
    set.drop_empty();
    set.check_ids(&schema, "a patch")
}

/// Merges a patch into an object, which keeps its name, kind and namespace unless the patch may change them.
fn merge_one(target: &mut Resource, patch: &Resource, schema: &Schema) -> Result<()> {
    let (name, namespace, kind) = (target.name().to_owned(), target.namespace().to_owned(), target.kind().to_owned());
    if patch.allow_name_change || patch.allow_kind_change {
        target.remember_id(schema);
    }
    target.allow_name_change |= patch.allow_name_change;
    target.allow_kind_change |= patch.allow_kind_change;
    let fail = |misfit: Misfit| {
        BuildError::new(ErrorKind::Change, misfit.message).in_field(misfit.path.join(".")).of(format!("{kind}/{name}"))
    };
    if wipes_annotations(patch) {
        forget(target);
    }
    let patch_text = |key: &str| patch.node.get(key).map_or("", text_of);
    let directive = patch_text(DIRECTIVE);
    if directive == "delete" {
        target.node = Mapping::default();
        return Ok(());
    }
    let mut node = Node::Mapping(std::mem::take(&mut target.node));
    let source = Node::Mapping(patch.node.clone());
    let merged = merge::merge(Some(&mut node), Some(&source), super::schema::At::Unknown, schema).map_err(fail)?;
    target.node = match (merged, node) {
        (merge::Outcome::Keep, Node::Mapping(mapping)) | (merge::Outcome::Use(Node::Mapping(mapping)), _) => mapping,
        _ => Mapping::default(),
    };
    if target.is_empty() {
        return Ok(());
    }
    if !patch.allow_kind_change {
        target.set_kind(&kind);
    }
    if !patch.allow_name_change {
        target.set_name(&name);
    }
    target.set_namespace(&namespace);
    target.settle_links();
    Ok(())
}

/// Whether the patch removes all annotations, among which kustomize keeps what it knows of an object.
fn wipes_annotations(patch: &Resource) -> bool {
    let replaced = |node: Option<&Node>| {
        node.is_some_and(|node| {
            node.is_null() || matches!(node.get(DIRECTIVE).map(text_of), Some("replace" | "delete"))
        })
    };
    let meta = patch.node.get("metadata");
    replaced(meta)
        || replaced(meta.and_then(|meta| meta.get("annotations")))
        || patch.node.get(DIRECTIVE).map(text_of) == Some("replace")
}

fn forget(target: &mut Resource) {
    target.former.clear();
    target.prefixes.clear();
    target.suffixes.clear();
    target.needs_hash = false;
    target.behavior = Behavior::Given;
}

/// Applies a JSON patch to all objects of its target.
pub(super) fn apply_json(set: &mut Set, step: &PatchStep, remember: bool, build: &Build<'_>) -> Result<()> {
    let Content::Json(operations) = &step.content else { return Ok(()) };
    let fail = |error: BuildError| step.place(error);
    let target = step.target.as_ref().ok_or_else(|| {
        fail(BuildError::new(ErrorKind::Field, "a JSON patch needs a target").hint("add target with kind and name"))
    })?;
    let selector = target.compile().map_err(fail)?;
    let schema = build.schema();
    let mut changed = false;
    for resource in set.items_mut().iter_mut().filter(|resource| selector.matches(resource, &schema)) {
        let id = format!("{}/{}", resource.kind(), resource.name());
        let wrong = |message: String| fail(BuildError::new(ErrorKind::Change, message).of(&id));
        if remember {
            resource.remember_id(&schema);
        }
        let kept = resource.kept_annotations();
        resource.write_notes();
        let mut value = Node::Mapping(std::mem::take(&mut resource.node)).to_value().map_err(wrong)?;
        json_patch::apply(&mut value, operations, &build.budget).map_err(wrong)?;
        resource.node = match node_of_json(&value) {
            Node::Mapping(mapping) => mapping,
            _ => Mapping::default(),
        };
        match resource.restore_annotations(kept) {
            Err(message) if !remember => return Err(wrong(message)),
            _ => {}
        }
        resource.links.clear();
        changed = true;
    }
    if changed {
        set.drop_empty();
    }
    Ok(())
}

/// A node as it is after a way through JSON: keys sorted, numbers in the form of floats, doubtful text quoted.
pub(super) fn node_of_json(value: &Value) -> Node {
    /// Integers beyond this are not exact as floats; kustomize rounds them, weir does not.
    const EXACT: i64 = 1 << 53;
    match value {
        Value::Number(number) => {
            let whole = number.as_i64().filter(|whole| whole.abs() > EXACT);
            let text = match (whole, number.as_f64()) {
                (Some(whole), _) => whole.to_string(),
                (None, Some(float)) if number.as_u64().is_none_or(|whole| whole <= 1 << 53) => format_float(float),
                _ => number.to_string(),
            };
            let tag = if text.contains(['.', 'e']) { Tag::Float } else { Tag::Int };
            Node::Scalar(Scalar::new(&text, tag))
        }
        Value::String(text) => {
            let mut scalar = Scalar::new(text, Tag::Str);
            // As printed in between: what needs quotes has them from then on.
            if text.contains('\n') {
                scalar.style = Style::Literal;
            } else if yaml::write(value).starts_with(['"', '\'']) {
                scalar.style = Style::Double;
            }
            Node::Scalar(scalar)
        }
        Value::Array(items) => Node::Sequence(items.iter().map(node_of_json).collect()),
        Value::Object(fields) => {
            let mut made: Vec<(Box<str>, Node)> =
                fields.iter().map(|(key, value)| (key.as_str().into(), node_of_json(value))).collect();
            made.sort_by(|a, b| a.0.cmp(&b.0));
            Node::Mapping(Mapping::from(made))
        }
        other => Node::from(other),
    }
}
