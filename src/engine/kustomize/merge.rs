//! Strategic merge of one document into another.
//!
//! Source: kustomize kyaml/yaml/merge2 and kyaml/yaml/walk. Lists merge by key where the schema says so (`lists.rs`);
//! `$patch` deletes or replaces; a null in the patch removes; and whatever is walked through loses its empty nulls.
//! `$retainKeys` and `$setElementOrder` stay in the output as ordinary fields, as they do in kustomize.

use crate::base::yaml::{Mapping, Node, Style, Tag};

use super::lists::merge_list;
use super::resource::{careful, overwrite};
use super::schema::{At, Schema};

/// The key of a directive.
pub(super) const DIRECTIVE: &str = "$patch";

/// What became of a place.
pub(super) enum Outcome {
    /// The target holds the result.
    Keep,
    /// The place is to be removed.
    Clear,
    /// This stands there now.
    Use(Node),
}

/// Why a patch does not fit, with the way to the place.
#[derive(Debug)]
pub(super) struct Misfit {
    pub path: Vec<String>,
    pub message: String,
}

impl Misfit {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Misfit { path: Vec::new(), message: message.into() }
    }

    pub(super) fn under(mut self, step: &str) -> Self {
        self.path.insert(0, step.to_owned());
        self
    }
}

pub(super) type Merged<T> = std::result::Result<T, Misfit>;

/// What a patch wants with a mapping or list as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    Merge,
    Replace,
    Delete,
}

impl Directive {
    fn parse(text: &str) -> Merged<Self> {
        match text {
            "merge" => Ok(Directive::Merge),
            "replace" => Ok(Directive::Replace),
            "delete" => Ok(Directive::Delete),
            _ => Err(Misfit::new(format!("{text:?} is no directive; use delete, replace or merge")).under(DIRECTIVE)),
        }
    }

    fn of_mapping(mapping: &Mapping) -> Merged<Self> {
        match mapping.get(DIRECTIVE) {
            None => Ok(Directive::Merge),
            Some(node) => Directive::parse(node.as_scalar().map_or("", |scalar| &scalar.text)),
        }
    }

    /// A directive in a list is an element of its own; the first that has the key counts.
    pub(super) fn of_list(items: &[Node]) -> Merged<Option<Self>> {
        let first = items.iter().find_map(|item| item.as_mapping().filter(|mapping| mapping.get(DIRECTIVE).is_some()));
        match first {
            Some(mapping) if mapping.len() == 1 => Directive::of_mapping(mapping).map(Some),
            _ => Ok(None),
        }
    }
}

/// Merges a patch into what is there; either may be missing.
pub(super) fn merge(dest: Option<&mut Node>, src: Option<&Node>, at: At<'_>, schema: &Schema) -> Merged<Outcome> {
    let at = known_place(dest.as_deref(), src, at, schema);
    let shape = dest.as_deref().filter(|node| !node.is_null()).or(src.filter(|node| !node.is_null()));
    let fits = |node: Option<&Node>| match (node, shape) {
        (Some(node), Some(shape)) => node.is_null() || std::mem::discriminant(node) == std::mem::discriminant(shape),
        _ => true,
    };
    if !fits(src) {
        let name = |node: Option<&Node>| match node {
            Some(Node::Mapping(_)) => "a mapping",
            Some(Node::Sequence(_)) => "a list",
            _ => "a plain value",
        };
        return Err(Misfit::new(format!("the patch has {} where the object has {}", name(src), name(shape))));
    }
    match shape {
        Some(Node::Scalar(_)) => Ok(src.map_or(Outcome::Keep, |node| Outcome::Use(node.clone()))),
        Some(Node::Sequence(_)) => sequence(dest, src, at, schema),
        Some(Node::Mapping(_)) | None => mapping(dest, src, at, schema),
    }
}

/// The place in the schema: the given one, or that of an object that is embedded here.
fn known_place<'s>(dest: Option<&Node>, src: Option<&Node>, at: At<'s>, schema: &'s Schema) -> At<'s> {
    if !matches!(at, At::Unknown) {
        return at;
    }
    for node in [dest, src].into_iter().flatten() {
        let text = |key: &str| node.get(key).and_then(Node::as_text);
        if let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind"))
            && let place @ At::Object(_) = schema.object(api_version, kind)
        {
            return place;
        }
    }
    At::Unknown
}

fn sequence(dest: Option<&mut Node>, src: Option<&Node>, at: At<'_>, schema: &Schema) -> Merged<Outcome> {
    let field = match at {
        At::List(field) if field.merge.is_some() => field,
        _ => return Ok(src.map_or(Outcome::Keep, |node| Outcome::Use(node.clone()))),
    };
    let patch = match src {
        None => None,
        Some(Node::Sequence(items)) => Some(items),
        Some(_) => return Ok(Outcome::Clear),
    };
    match dest {
        Some(Node::Sequence(items)) => {
            let directive = patch.map(|patch| Directive::of_list(patch)).transpose()?.flatten();
            match directive {
                Some(Directive::Delete) => Ok(Outcome::Clear),
                Some(directive) => {
                    let patch = without_directive(patch.map_or(&[][..], Vec::as_slice), directive);
                    if directive == Directive::Replace {
                        let mut made = patch;
                        merge_list(&mut made, None, true, field, schema)?;
                        return Ok(Outcome::Use(Node::Sequence(made)));
                    }
                    merge_list(items, Some(&patch), false, field, schema)?;
                    Ok(Outcome::Keep)
                }
                None => {
                    merge_list(items, patch.map(Vec::as_slice), false, field, schema)?;
                    Ok(Outcome::Keep)
                }
            }
        }
        _ => {
            let mut made = patch.cloned().unwrap_or_default();
            merge_list(&mut made, None, true, field, schema)?;
            Ok(Outcome::Use(Node::Sequence(made)))
        }
    }
}

/// The elements without the directive, and without what is empty.
fn without_directive(items: &[Node], directive: Directive) -> Vec<Node> {
    let text = match directive {
        Directive::Merge => "merge",
        Directive::Replace => "replace",
        Directive::Delete => "delete",
    };
    let stays = |item: &&Node| match item {
        Node::Mapping(mapping) => !mapping.is_empty() && mapping.get(DIRECTIVE).and_then(Node::as_text) != Some(text),
        item => !item.is_null(),
    };
    items.iter().filter(stays).cloned().collect()
}

fn mapping(dest: Option<&mut Node>, src: Option<&Node>, at: At<'_>, schema: &Schema) -> Merged<Outcome> {
    let Some(Node::Mapping(target)) = dest else {
        return match (src, dest) {
            (Some(src), _) => Ok(adopt(src, at, schema)?.map_or(Outcome::Clear, Outcome::Use)),
            // A null that somebody wrote out stays, an empty value goes.
            (None, Some(Node::Scalar(null))) if !null.text.is_empty() => Ok(Outcome::Keep),
            (None, _) => Ok(Outcome::Clear),
        };
    };
    let patch = match src {
        None => None,
        Some(Node::Mapping(patch)) => Some(patch),
        Some(_) => return Ok(Outcome::Clear),
    };
    match patch.map_or(Ok(Directive::Merge), Directive::of_mapping)? {
        Directive::Delete => return Ok(Outcome::Clear),
        Directive::Replace => {
            return Ok(src
                .map(|src| adopt(src, at, schema))
                .transpose()?
                .flatten()
                .map_or(Outcome::Clear, Outcome::Use));
        }
        Directive::Merge => {}
    }
    if let (true, Some(patch)) = (target.is_empty(), patch) {
        target.1 = patch.1;
    }
    fields(target, patch, at, schema)?;
    Ok(Outcome::Keep)
}

/// Merges the fields of a mapping into another.
pub(super) fn fields(target: &mut Mapping, patch: Option<&Mapping>, at: At<'_>, schema: &Schema) -> Merged<()> {
    let had: Vec<Box<str>> = match patch {
        Some(_) => target.0.iter().map(|(key, _)| key.clone()).collect(),
        None => Vec::new(),
    };
    let mut kept = Vec::with_capacity(target.len());
    for (key, mut node) in std::mem::take(&mut target.0) {
        let wanted = patch.filter(|_| &*key != DIRECTIVE).and_then(|patch| patch.get(&key));
        match merge(Some(&mut node), wanted, schema.field_of(at, &key), schema).map_err(|misfit| misfit.under(&key))? {
            Outcome::Keep => {
                quote(&mut node);
                kept.push((key, node));
            }
            Outcome::Clear => {}
            Outcome::Use(new) if new.is_null() => {}
            Outcome::Use(Node::Scalar(new)) => {
                match &mut node {
                    Node::Scalar(old) => overwrite(old, new),
                    old => *old = Node::Scalar(new),
                }
                kept.push((key, node));
            }
            Outcome::Use(new) => kept.push((key, new)),
        }
    }
    target.0 = kept;
    let known: std::collections::HashSet<&str> = had.iter().map(|key| &**key).collect();
    for (key, node) in patch.into_iter().flat_map(Mapping::iter) {
        if key == DIRECTIVE || known.contains(key) {
            continue;
        }
        let at = schema.field_of(at, key);
        let made = match known_place(None, Some(node), at, schema) {
            place @ At::List(_) => match merge(None, Some(node), place, schema) {
                Ok(Outcome::Use(node)) => Ok(Some(node)),
                Ok(_) => Ok(None),
                Err(misfit) => Err(misfit),
            },
            place => adopt(node, place, schema),
        };
        if let Some(node) = made.map_err(|misfit| misfit.under(key))?.filter(|node| !node.is_null()) {
            target.0.push((key.into(), node));
        }
    }
    Ok(())
}

/// Text that looks like another type is text for certain once a patch went past it.
fn quote(node: &mut Node) {
    if let Node::Scalar(scalar) = node
        && scalar.style == Style::Plain
        && matches!(scalar.tag, Tag::Str | Tag::Unset)
    {
        scalar.style = careful(&scalar.text).style;
    }
}

/// A part of a patch as it enters the target: directives obeyed, nulls gone. `None` when nothing is left.
pub(super) fn adopt(src: &Node, at: At<'_>, schema: &Schema) -> Merged<Option<Node>> {
    let at = known_place(None, Some(src), at, schema);
    match (src, at) {
        (Node::Mapping(mapping), at) => {
            if Directive::of_mapping(mapping)? == Directive::Delete {
                return Ok(None);
            }
            let mut made = Mapping(Vec::new(), mapping.1);
            for (key, node) in mapping.iter().filter(|(key, _)| *key != DIRECTIVE) {
                let inner =
                    adopt_in_place(node, schema.field_of(at, key), schema).map_err(|misfit| misfit.under(key))?;
                if let Some(node) = inner.filter(|node| !node.is_null()) {
                    made.0.push((key.into(), node));
                }
            }
            Ok(Some(Node::Mapping(made)))
        }
        _ => adopt_in_place(src, at, schema),
    }
}

/// As [`adopt`], for a part below one that is adopted already, where lists obey directives too.
fn adopt_in_place(src: &Node, at: At<'_>, schema: &Schema) -> Merged<Option<Node>> {
    match (src, known_place(None, Some(src), at, schema)) {
        (Node::Mapping(_), at) => adopt(src, at, schema),
        (Node::Sequence(items), At::List(field)) if field.merge.is_some() => {
            let mut made = match Directive::of_list(items)? {
                Some(Directive::Delete) => return Ok(None),
                Some(directive) => without_directive(items, directive),
                None => items.clone(),
            };
            merge_list(&mut made, None, true, field, schema)?;
            Ok(Some(Node::Sequence(made)))
        }
        _ => Ok(Some(src.clone())),
    }
}
