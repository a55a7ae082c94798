//! Variables: `$(NAME)` in a table of fields becomes a value from another object.
//!
//! Source: kustomize api/filters/refvar and api/internal/accumulator. Values are read at the very end, so they see
//! content hashes; a field that is nothing but one variable takes over the type of the value.

use std::collections::BTreeMap;

use crate::base::yaml::{Node, Scalar, Style, Tag};

use super::Build;
use super::budget::Budget;
use super::entries::Var;
use super::error::{BuildError, ErrorKind, Result};
use super::path::{Step, lookup, split_smart};
use super::resource::CLUSTER;
use super::set::Set;
use super::spec::FieldSpec;
use super::walk::{Make, visit};

/// The variables of a layer and all below it, by name.
pub(super) type Vars = BTreeMap<String, Var>;

/// Takes in the variables of a layer and marks the objects that they read.
///
/// Errors when a name is taken or an object is not unique.
pub(super) fn declare(vars: &mut Vars, new: &[Var], set: &mut Set, build: &Build<'_>) -> Result<()> {
    let schema = build.schema();
    for var in new {
        build.budget.look(set.len())?;
        let fits = |kind: &str, name: &str, namespace: &str| {
            let wanted = match var.target_namespace.as_str() {
                "" => return kind == var.target.kind && name == var.target_name,
                namespace => namespace,
            };
            kind == var.target.kind && name == var.target_name && namespace == wanted && namespace != CLUSTER
        };
        let found: Vec<usize> = set
            .items()
            .iter()
            .enumerate()
            .filter(|(_, item)| item.group() == var.target.group && item.version() == var.target.version)
            .filter(|(_, item)| {
                fits(item.kind(), item.name(), item.effective_namespace(&schema))
                    || item.former.iter().any(|former| fits(&former.kind, &former.name, &former.namespace))
            })
            .map(|(at, _)| at)
            .collect();
        match found[..] {
            [] => {}
            [at] => set.items_mut()[at].variables.push(var.name.clone()),
            _ => {
                let message = format!("{} objects fit the variable {:?}", found.len(), var.name);
                return Err(BuildError::new(ErrorKind::Conflict, message)
                    .in_field("vars")
                    .hint("add objref.namespace"));
            }
        }
    }
    merge(vars, new.iter())
}

/// Adds variables to others.
///
/// Errors when a name is taken.
pub(super) fn merge<'v>(vars: &mut Vars, new: impl IntoIterator<Item = &'v Var>) -> Result<()> {
    for var in new {
        if vars.insert(var.name.clone(), var.clone()).is_some() {
            let message = format!("the variable {:?} is declared twice", var.name);
            return Err(BuildError::new(ErrorKind::Conflict, message).in_field("vars").hint("rename one of them"));
        }
    }
    Ok(())
}

/// Replaces the variables in all objects.
///
/// Errors when a variable has no object or no value.
pub(super) fn resolve(set: &mut Set, vars: &Vars, fields: &[FieldSpec], build: &Build<'_>) -> Result<()> {
    if vars.is_empty() {
        return Ok(());
    }
    let mut values: BTreeMap<&str, Value> = BTreeMap::new();
    for var in vars.values() {
        build.budget.look(set.len())?;
        values.insert(&var.name, value(set, var)?);
    }
    for resource in set.items_mut() {
        for spec in fields {
            visit(resource, spec, Make::Nothing, &mut |node| in_field(node, &values, &build.budget))?;
        }
        resource.settle_links();
    }
    Ok(())
}

/// What a variable stands for.
enum Value {
    Plain(Scalar),
    /// A mapping or list, which cannot stand within text.
    Nested,
}

fn value(set: &Set, var: &Var) -> Result<Value> {
    let fail = |message: String| BuildError::new(ErrorKind::Missing, message).in_field("vars");
    let item = set.items().iter().find(|item| item.variables.contains(&var.name)).ok_or_else(|| {
        let target = format!("{}/{}", var.target.kind, var.target_name);
        fail(format!("there is no {target} for the variable {:?}", var.name))
            .hint("check objref: it names the object as in its file")
    })?;
    let steps: Vec<String> = split_smart(&var.field_path).into_iter().flat_map(split_index).collect();
    let missing =
        || fail(format!("the variable {:?} reads {}, which does not exist", var.name, var.field_path)).of(item.name());
    let mut node: Option<&Node> = None;
    for (at, step) in steps.iter().map(|step| step.trim()).filter(|step| !step.is_empty()).enumerate() {
        node = match (at, node) {
            (0, _) => item.node.get(step),
            (_, Some(node)) => lookup(node, &Step::parse(step).map_err(&fail)?).map_err(&fail)?,
            (_, None) => None,
        };
        if node.is_none() {
            return Err(missing());
        }
    }
    match node {
        Some(Node::Scalar(scalar)) if !reads(scalar) => {
            let message =
                format!("the variable {:?} reads {:?}, which is no plain decimal number", var.name, scalar.text);
            Err(fail(message).of(item.name()).hint("write the number in decimal digits"))
        }
        Some(Node::Scalar(scalar)) => Ok(Value::Plain(scalar.clone())),
        Some(_) => Ok(Value::Nested),
        None => Err(missing()),
    }
}

/// Whether Go's plain conversions take the text for what its tag says.
fn reads(scalar: &Scalar) -> bool {
    match scalar.tag {
        Tag::Int => scalar.text.parse::<i64>().is_ok(),
        Tag::Float => scalar.text.parse::<f64>().is_ok(),
        _ => true,
    }
}

/// `ports[0]` is `ports` and `0`.
fn split_index(step: String) -> Vec<String> {
    let parts = step.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
    match parts {
        Some((name, index)) if !index.is_empty() && index.bytes().all(|c| c.is_ascii_digit()) => {
            [name, index].into_iter().filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
        _ => vec![step],
    }
}

/// A plain `<<` is the merge key, and no text to Go.
fn is_text(node: &Node) -> bool {
    match node {
        Node::Scalar(Scalar { text, tag: Tag::Str, style: Style::Plain, explicit: false, .. }) => &**text != "<<",
        Node::Scalar(scalar) => matches!(scalar.tag, Tag::Str | Tag::Unset),
        _ => false,
    }
}

fn in_field(node: &mut Node, values: &BTreeMap<&str, Value>, budget: &Budget) -> std::result::Result<(), String> {
    match node {
        Node::Scalar(scalar) => {
            if matches!(scalar.tag, Tag::Str | Tag::Unset) {
                expand(scalar, values, budget)?;
            }
        }
        Node::Mapping(mapping) => {
            for (_, value) in &mut mapping.0 {
                if let Node::Scalar(scalar @ Scalar { tag: Tag::Str | Tag::Unset, .. }) = value {
                    expand(scalar, values, budget)?;
                }
            }
        }
        Node::Sequence(items) => {
            for item in items {
                if !is_text(item) {
                    return Err("a variable may stand in a list of texts, and an element is no text".into());
                }
                if let Node::Scalar(scalar) = item {
                    expand(scalar, values, budget)?;
                }
            }
        }
    }
    Ok(())
}

/// Replaces `$(NAME)` in a text; `$$` is a dollar sign, and what is unknown stays.
fn expand(scalar: &mut Scalar, values: &BTreeMap<&str, Value>, budget: &Budget) -> std::result::Result<(), String> {
    let text = &scalar.text;
    if let Some(name) = text.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'))
        && !name.contains(')')
        && let Some(Value::Plain(value)) = values.get(name)
    {
        let (text, tag) = typed(value);
        budget.write(text.len())?;
        *scalar = Scalar { text: text.into(), tag, style: Style::Plain, explicit: false, link: scalar.link };
        return Ok(());
    }
    let mut made = String::with_capacity(text.len());
    let mut rest: &str = text;
    while let Some(at) = rest.find('$') {
        made.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.as_bytes().first() {
            None => made.push('$'),
            Some(b'$') => {
                made.push('$');
                rest = &rest[1..];
            }
            Some(b'(') => match rest.find(')') {
                Some(end) => {
                    let name = &rest[1..end];
                    match values.get(name) {
                        Some(Value::Plain(value)) => {
                            let value = shown(value);
                            budget.write(value.len())?;
                            made.push_str(&value);
                        }
                        _ => made.push_str(&format!("$({name})")),
                    }
                    rest = &rest[end + 1..];
                }
                None => {
                    made.push_str("$(");
                    rest = &rest[1..];
                }
            },
            Some(_) => made.push('$'),
        }
    }
    made.push_str(rest);
    *scalar = Scalar { text: made.into(), tag: Tag::Str, style: Style::Plain, explicit: false, link: scalar.link };
    Ok(())
}

/// Text and type of a value that takes a whole field.
fn typed(value: &Scalar) -> (String, Tag) {
    match value.tag {
        Tag::Int | Tag::Bool | Tag::Float => (shown(value), value.tag),
        _ => (value.text.to_string(), Tag::Str),
    }
}

/// A value within text.
fn shown(value: &Scalar) -> String {
    match value.tag {
        Tag::Float => value.text.parse::<f64>().map_or_else(|_| value.text.to_string(), |float| float.to_string()),
        _ => value.text.to_string(),
    }
}
