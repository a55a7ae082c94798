//! Field paths of replacements and variables: dotted, with list elements by value or by number.
//!
//! Source: kustomize kyaml/yaml/match.go, kyaml/yaml/fns.go and kyaml/utils/pathsplitter.go.

use regex::Regex;

use crate::base::yaml::{Mapping, Node, Scalar, Style, Tag};

use super::resource::text_of;
use super::spec::split_path;

/// One part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    Index(usize),
    /// The last element.
    Last,
    /// `[field=value]`; an empty field means elements that are the value.
    Element(String, String),
    /// `*`
    All,
}

impl Step {
    /// Reads a part.
    ///
    /// Errors when brackets hold no `=`.
    pub(super) fn parse(part: &str) -> Result<Self, String> {
        if let Ok(index) = part.parse() {
            return Ok(Step::Index(index));
        }
        if let Some(inner) = part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let (field, value) =
                inner.split_once('=').ok_or_else(|| format!("{part:?} selects no element; write [field=value]"))?;
            return Ok(Step::Element(field.to_owned(), value.to_owned()));
        }
        Ok(match part {
            "*" => Step::All,
            "-" => Step::Last,
            part => Step::Field(part.to_owned()),
        })
    }
}

/// Splits a dotted path; brackets keep dots together, a backslash keeps one.
pub(super) fn split_smart(path: &str) -> Vec<String> {
    let mut parts = split_path(path, '.').into_iter();
    let mut made = Vec::new();
    while let Some(part) = parts.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            made.push(part);
            continue;
        }
        let mut bracketed = part;
        for next in parts.by_ref() {
            bracketed.push('.');
            bracketed.push_str(&next);
            if next.ends_with(']') {
                break;
            }
        }
        if bracketed.contains('=') {
            made.push(bracketed);
        } else {
            made.push(bracketed.trim_matches(['[', ']']).to_owned());
        }
    }
    made
}

/// The one node that a step leads to from another, for reading.
///
/// Errors when the step does not fit what is there.
pub(super) fn lookup<'n>(node: &'n Node, step: &Step) -> Result<Option<&'n Node>, String> {
    let wrong = |wanted: &str| Err(format!("{wanted} is wanted at {step:?}"));
    match (step, node) {
        (_, node) if node.is_null() => Ok(None),
        (Step::Field(name), Node::Mapping(mapping)) => Ok(mapping.get(name)),
        (Step::Field(_), _) => wrong("a mapping"),
        (Step::Index(index), Node::Sequence(items)) => Ok(items.get(*index)),
        (Step::Last, Node::Sequence(items)) => Ok(items.last()),
        (Step::Element(field, value), Node::Sequence(items)) => Ok(items.iter().find(|item| match field.as_str() {
            "" => text_of(item) == value,
            field => item.get(field).is_some_and(|found| text_of(found) == value),
        })),
        (Step::All, _) => Err("* is not possible where one value is read".into()),
        _ => wrong("a list"),
    }
}

/// Reads along a path from the root of an object.
pub(super) fn read<'n>(root: &'n Mapping, parts: &[String]) -> Result<Option<&'n Node>, String> {
    let mut parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    let Some(first) = parts.next() else { return Ok(None) };
    let mut node = match Step::parse(first)? {
        Step::Field(name) => root.get(&name),
        _ => return Err(format!("{first:?} does not start at a field")),
    };
    for part in parts {
        let Some(found) = node else { return Ok(None) };
        node = lookup(found, &Step::parse(part)?)?;
    }
    Ok(node)
}

/// What is made where a path leads to nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Scalar,
    Mapping,
    Sequence,
}

impl Shape {
    pub(super) fn of(node: &Node) -> Self {
        match node {
            Node::Scalar(_) => Shape::Scalar,
            Node::Sequence(_) => Shape::Sequence,
            Node::Mapping(_) => Shape::Mapping,
        }
    }

    fn make(self) -> Node {
        match self {
            Shape::Scalar => Node::Scalar(Scalar::new("", Tag::Unset)),
            Shape::Mapping => Node::Mapping(Mapping::default()),
            Shape::Sequence => Node::Sequence(Vec::new()),
        }
    }

    /// The shape of what a following part needs.
    fn before(next: Option<&String>, last: Shape) -> Shape {
        match next {
            None => last,
            Some(next) if next.is_empty() => last,
            Some(next) if next.starts_with('[') && next.ends_with(']') => Shape::Sequence,
            Some(next) if next.parse::<usize>().is_ok() => Shape::Sequence,
            Some(_) => Shape::Mapping,
        }
    }
}

type Change<'c> = dyn FnMut(&mut Node) -> Result<(), String> + 'c;

/// Changes every node that a path leads to; counts them. With `create`, missing parts are made.
///
/// Errors when a part does not fit what is there.
pub(super) fn change(
    node: &mut Node,
    parts: &[String],
    create: Option<Shape>,
    set: &mut Change<'_>,
) -> Result<usize, String> {
    let Some((part, rest)) = parts.split_first() else {
        set(node)?;
        return Ok(1);
    };
    if let Ok(index) = part.parse::<usize>() {
        return at_index(node, index, rest, create, set);
    }
    if part.starts_with('[') && part.ends_with(']') {
        return at_elements(node, part, rest, create, set);
    }
    if part == "*" {
        return match node {
            _ if node.is_null() => Ok(0),
            Node::Sequence(items) => {
                let mut count = 0;
                for item in items {
                    count += change(item, rest, create, set)?;
                }
                Ok(count)
            }
            _ => Err("* wants a list".into()),
        };
    }
    at_field(node, part, rest, create, set)
}

fn at_field(
    node: &mut Node,
    part: &str,
    rest: &[String],
    create: Option<Shape>,
    set: &mut Change<'_>,
) -> Result<usize, String> {
    let mapping = match node {
        _ if node.is_null() => {
            return if create.is_some() { Err(format!("{part:?} cannot be made in null")) } else { Ok(0) };
        }
        Node::Mapping(mapping) => mapping,
        _ => return Err(format!("a mapping is wanted at {part:?}")),
    };
    if mapping.get(part).is_none() {
        let Some(last) = create else { return Ok(0) };
        mapping.0.push((part.into(), Shape::before(rest.first(), last).make()));
    }
    match mapping.get_mut(part) {
        Some(Node::Scalar(scalar)) if !rest.is_empty() => {
            // The path goes on into text: it is changed there, and the text itself is left, as kustomize leaves it.
            let Some(mut inner) = parse_text(&scalar.text) else { return Ok(0) };
            change(&mut inner, rest, create, set)
        }
        Some(field) => change(field, rest, create, set),
        None => Ok(0),
    }
}

fn at_index(
    node: &mut Node,
    index: usize,
    rest: &[String],
    create: Option<Shape>,
    set: &mut Change<'_>,
) -> Result<usize, String> {
    let items = match node {
        Node::Sequence(items) => items,
        _ if node.is_null() => return Err(format!("there is no element {index}")),
        _ => return Err(format!("a list is wanted at {index}")),
    };
    if let (Some(last), true) = (create, index == items.len()) {
        items.push(Shape::before(rest.first(), last).make());
    }
    let count = items.len();
    let item = items.get_mut(index).ok_or_else(|| format!("there is no element {index}, the list has {count}"))?;
    change(item, rest, create, set)
}

fn at_elements(
    node: &mut Node,
    part: &str,
    rest: &[String],
    create: Option<Shape>,
    set: &mut Change<'_>,
) -> Result<usize, String> {
    let Step::Element(field, value) = Step::parse(part)? else { return Err(format!("{part:?} is no selection")) };
    let items = match node {
        Node::Sequence(items) => items,
        _ if node.is_null() => return Ok(0),
        _ => return Err(format!("a list is wanted at {part:?}")),
    };
    let pattern = Regex::new(&value).map_err(|_| format!("{value:?} is not a regular expression"))?;
    let matches = |item: &Node| match field.as_str() {
        "" => pattern.is_match(&printed(item)),
        field => item.get(field).is_some_and(|found| pattern.is_match(&printed(found))),
    };
    let mut count = 0;
    for item in items.iter_mut().filter(|item| matches(item)) {
        count += if field.is_empty() { change(item, &[], create, set)? } else { change(item, rest, create, set)? };
    }
    if count > 0 || create.is_none() {
        return Ok(count);
    }
    let made = match field.as_str() {
        "" => Node::Scalar(Scalar::new(&value, Tag::Unset)),
        field => Node::Mapping(vec![(field.into(), Node::Scalar(Scalar::new(&value, Tag::Unset)))].into()),
    };
    if !matches(&made) {
        return Err(format!("no element fits {part:?}, and none can be made from an expression"));
    }
    items.push(made);
    match items.last_mut() {
        Some(item) if field.is_empty() => change(item, &[], create, set),
        Some(item) => change(item, rest, create, set),
        None => Ok(0),
    }
}

/// A value as it stands in a document, which is what element selections match.
fn printed(node: &Node) -> String {
    match node {
        Node::Scalar(scalar) => match scalar.style {
            Style::Single => format!("'{}'", scalar.text),
            Style::Double => format!("{:?}", scalar.text),
            _ if scalar.tag == Tag::Str && crate::base::yaml::is_typed(&scalar.text) => format!("{:?}", scalar.text),
            _ => scalar.text.to_string(),
        },
        node => node.to_value().map(|value| crate::base::yaml::write(&value).trim().to_owned()).unwrap_or_default(),
    }
}

/// Text as the document it may hold.
pub(super) fn parse_text(text: &str) -> Option<Node> {
    let documents = crate::base::yaml::read_nodes(text.as_bytes(), &crate::base::yaml::Limits::default()).ok()?;
    documents.into_iter().next().map(|document| document.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_at_dots_that_are_not_kept() {
        let rows: [(&str, &[&str]); 5] = [
            ("a.b", &["a", "b"]),
            ("metadata.annotations.a\\.b/c", &["metadata", "annotations", "a.b/c"]),
            ("a.[b.c].d", &["a", "b.c", "d"]),
            ("a.[name=b.c].d", &["a", "[name=b.c]", "d"]),
            ("a.0.*", &["a", "0", "*"]),
        ];
        for (path, parts) in rows {
            assert_eq!(split_smart(path), parts);
        }
    }
}
