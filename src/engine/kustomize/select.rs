//! [`Selector`]: objects by regular expressions on their ids and by label selectors.
//!
//! Source: kustomize api/types/selector.go. Expressions match whole names; empty ones match everything.

use regex::Regex;

use super::cursor::Cursor;
use super::error::{BuildError, ErrorKind, Result};
use super::resource::Resource;
use super::schema::Schema;
use super::spec::Gvk;

/// What to select, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    pub gvk: Gvk,
    pub name: String,
    pub namespace: String,
    pub labels: String,
    pub annotations: String,
}

const FIELDS: &[&str] = &["group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector"];

impl Selector {
    pub(super) fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(FIELDS)?;
        let text = |name| cursor.get(name)?.text();
        Ok(Selector {
            gvk: Gvk::read(cursor)?,
            name: text("name")?,
            namespace: text("namespace")?,
            labels: text("labelSelector")?,
            annotations: text("annotationSelector")?,
        })
    }

    /// Whether nothing but label selectors is given.
    pub(super) fn has_no_id(&self) -> bool {
        self.gvk == Gvk::default() && self.name.is_empty() && self.namespace.is_empty()
    }

    /// Prepares the selector.
    ///
    /// Errors when an expression or a label selector is malformed.
    pub(super) fn compile(&self) -> Result<Compiled> {
        Ok(Compiled {
            group: anchored(&self.gvk.group)?,
            version: anchored(&self.gvk.version)?,
            kind: anchored(&self.gvk.kind)?,
            name: anchored(&self.name)?,
            namespace: anchored(&self.namespace)?,
            labels: Requirements::parse(&self.labels)?,
            annotations: Requirements::parse(&self.annotations)?,
        })
    }
}

/// A selector ready to match.
pub(super) struct Compiled {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Requirements,
    annotations: Requirements,
}

fn anchored(pattern: &str) -> Result<Option<Regex>> {
    if pattern.is_empty() {
        return Ok(None);
    }
    let compiled = regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build();
    compiled.map(Some).map_err(|_| {
        BuildError::new(ErrorKind::Field, format!("{pattern:?} is not a regular expression"))
            .hint("escape characters such as * and ( with a backslash")
    })
}

fn fits(expression: Option<&Regex>, text: &str) -> bool {
    expression.is_none_or(|expression| expression.is_match(text))
}

impl Compiled {
    /// Matches type, name and namespace, whatever the labels.
    pub(super) fn matches_id(&self, group: &str, version: &str, kind: &str, name: &str, namespace: &str) -> bool {
        self.matches_type(group, version, kind)
            && fits(self.name.as_ref(), name)
            && fits(self.namespace.as_ref(), namespace)
    }

    fn matches_type(&self, group: &str, version: &str, kind: &str) -> bool {
        fits(self.group.as_ref(), group) && fits(self.version.as_ref(), version) && fits(self.kind.as_ref(), kind)
    }

    /// Matches labels and annotations.
    pub(super) fn matches_labels(&self, resource: &Resource) -> bool {
        self.labels.match_texts(resource, "labels") && self.annotations.match_texts(resource, "annotations")
    }

    /// Matches an object by its first or its current name and namespace, its type and its labels.
    pub(super) fn matches(&self, resource: &Resource, schema: &Schema) -> bool {
        let first = resource.former.first();
        let namespace = resource.effective_namespace(schema);
        let in_namespace = fits(self.namespace.as_ref(), namespace)
            || first.is_some_and(|first| fits(self.namespace.as_ref(), &first.namespace));
        let named =
            fits(self.name.as_ref(), resource.name()) || first.is_some_and(|f| fits(self.name.as_ref(), &f.name));
        in_namespace
            && named
            && self.matches_type(resource.group(), resource.version(), resource.kind())
            && self.matches_labels(resource)
    }
}

/// A label selector in the syntax of Kubernetes.
#[derive(Debug, Default)]
pub(super) struct Requirements(Vec<Requirement>);

#[derive(Debug)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Lacks(String),
    Greater(String, i64),
    Less(String, i64),
}

impl Requirements {
    /// Parses `a=b, c!=d, e in (f,g), h notin (i), j, !k, l>1, m<2`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut found = Vec::new();
        for part in split_outside_brackets(text) {
            found.push(requirement(part.trim()).ok_or_else(|| {
                BuildError::new(ErrorKind::Field, format!("{text:?} is not a label selector"))
                    .hint("write it as in kubectl, e.g. app=web,tier!=cache")
            })?);
        }
        Ok(Requirements(found))
    }

    fn match_texts(&self, resource: &Resource, field: &str) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                resource.text(field, key).is_some_and(|text| values.iter().any(|value| value == text))
            }
            Requirement::NotIn(key, values) => {
                resource.text(field, key).is_none_or(|text| values.iter().all(|value| value != text))
            }
            Requirement::Exists(key) => resource.text(field, key).is_some(),
            Requirement::Lacks(key) => resource.text(field, key).is_none(),
            Requirement::Greater(key, than) => number(resource, field, key).is_some_and(|number| number > *than),
            Requirement::Less(key, than) => number(resource, field, key).is_some_and(|number| number < *than),
        })
    }
}

fn number(resource: &Resource, field: &str, key: &str) -> Option<i64> {
    resource.text(field, key)?.parse().ok()
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0);
    if text.trim().is_empty() {
        return parts;
    }
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(text: &str) -> Option<Requirement> {
    let is_key = |key: &str| {
        let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !name.is_empty()
            && name.len() <= 63
            && key.chars().all(|c| plain(c) || c == '/')
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let key = |text: &str| Some(text.trim().to_owned()).filter(|key| is_key(key));
    let value = |text: &str| {
        let text = text.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        (text.len() <= 63 && text.chars().all(plain)).then(|| text.to_owned())
    };
    if let Some(rest) = text.strip_prefix('!') {
        return key(rest).map(Requirement::Lacks);
    }
    if let Some((left, right)) = text.split_once("!=") {
        return Some(Requirement::NotIn(key(left)?, vec![value(right)?]));
    }
    if let Some((left, right)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Requirement::In(key(left)?, vec![value(right)?]));
    }
    if let Some((left, right)) = text.split_once('>') {
        return Some(Requirement::Greater(key(left)?, right.trim().parse().ok()?));
    }
    if let Some((left, right)) = text.split_once('<') {
        return Some(Requirement::Less(key(left)?, right.trim().parse().ok()?));
    }
    if let Some(list) = text.strip_suffix(')') {
        let (left, list) = list.split_once('(')?;
        let values = list.split(',').map(value).collect::<Option<Vec<_>>>()?;
        let (name, operator) = left.trim().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => Some(Requirement::In(key(name)?, values)),
            "notin" => Some(Requirement::NotIn(key(name)?, values)),
            _ => None,
        };
    }
    key(text).map(Requirement::Exists)
}
