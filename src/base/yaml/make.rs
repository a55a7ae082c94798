//! Values and nodes out of a parsed document: aliases followed, `<<` merged, tags obeyed, each step paid for.
//!
//! Aliases cost what they expand to, by the rule of Go's decoder. Start with [`Tree::value`] and [`Tree::node`].

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::scalar::{self, Meaning};
use super::seen::Keys;
use super::tree::{Kind, Tree};
use super::{Dialect, Layout, Mapping, Node, Scalar, Style, Tag, YamlError};

/// What the aliases of all documents of a stream have copied so far. A long text or many small documents cost what the
/// rule for one document's nodes does not see.
#[derive(Clone, Copy, Default)]
pub(super) struct Copies {
    nodes: usize,
    bytes: usize,
}

/// What making values from a tree has cost so far.
#[derive(Default)]
struct Cost {
    made: usize,
    aliased: usize,
    alias_depth: usize,
    depth: usize,
    copies: Copies,
    /// What is read now is only checked.
    drops: bool,
}

impl Cost {
    fn after(copies: Copies) -> Cost {
        Cost { copies, ..Cost::default() }
    }
}

impl Tree<'_> {
    fn fail<T>(&self, at: u32, message: impl Into<String>) -> Result<T, YamlError> {
        let node = &self.nodes[at as usize];
        Err(YamlError::new(node.line as usize, node.column as usize, message))
    }

    /// Makes the value of the whole document, or with these fields only; `copies` counts over the stream.
    pub(super) fn value(
        &self,
        dialect: Dialect,
        only: Option<&[&str]>,
        copies: &mut Copies,
    ) -> Result<Value, YamlError> {
        if self.nodes.is_empty() {
            return Ok(Value::Null);
        }
        let mut cost = Cost::after(*copies);
        let value = match &self.nodes[0].kind {
            Kind::Mapping { items, .. } => {
                self.charge(0, &mut cost).and_then(|()| self.map(items, dialect, only, &mut cost))
            }
            _ => self.value_at(0, dialect, &mut cost),
        };
        *copies = cost.copies;
        value
    }

    /// Makes the node of the whole document; `copies` counts over the stream.
    pub(super) fn node(&self, copies: &mut Copies) -> Result<Node, YamlError> {
        if self.nodes.is_empty() {
            return Ok(Node::null());
        }
        let mut cost = Cost::after(*copies);
        let node = self.node_at(0, false, &mut cost);
        *copies = cost.copies;
        node
    }

    /// Books one node. Source of the ratios: go.yaml.in/yaml decode.go.
    fn charge(&self, at: u32, cost: &mut Cost) -> Result<(), YamlError> {
        cost.made += 1;
        if cost.alias_depth > 0 {
            cost.aliased += 1;
            self.charge_copy(at, cost)?;
        }
        if cost.depth > self.limits.depth {
            return self.fail(at, format!("nested deeper than {} levels", self.limits.depth));
        }
        if cost.made > self.limits.nodes {
            return self.fail(at, format!("the document expands to more than {} nodes", self.limits.nodes));
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts below 2^32")]
        if cost.aliased > 100 && cost.made > 1_000 {
            let allowed = match cost.made {
                0..=400_000 => 0.99,
                made @ 400_001..4_000_000 => 0.99 - 0.89 * ((made - 400_000) as f64 / 3_600_000.0),
                _ => 0.10,
            };
            if cost.aliased as f64 / cost.made as f64 > allowed {
                return self.fail(at, "the document consists mostly of repeated aliases");
            }
        }
        Ok(())
    }

    /// Books a key, which may be an alias itself.
    fn charge_key(&self, at: u32, cost: &mut Cost) -> Result<(), YamlError> {
        self.charge(at, cost)?;
        match self.nodes[at as usize].kind {
            Kind::Alias(target) => self.charge_copy(target, cost),
            _ => Ok(()),
        }
    }

    /// Books what an alias copies.
    fn charge_copy(&self, at: u32, cost: &mut Cost) -> Result<(), YamlError> {
        cost.copies.nodes += 1;
        if let Kind::Scalar { text, .. } = &self.nodes[at as usize].kind {
            cost.copies.bytes += text.len();
        }
        let limits = &self.limits;
        if cost.copies.nodes > limits.nodes || cost.copies.bytes > limits.document_bytes {
            let (nodes, bytes) = (limits.nodes, limits.document_bytes);
            return self.fail(at, format!("the aliases copy more than {nodes} nodes or {bytes} bytes"));
        }
        Ok(())
    }

    fn value_at(&self, at: u32, dialect: Dialect, cost: &mut Cost) -> Result<Value, YamlError> {
        self.charge(at, cost)?;
        match &self.nodes[at as usize].kind {
            Kind::Scalar { text, style, tag, .. } => match self.meaning(at, text, *style, tag.as_deref(), dialect)? {
                Meaning::Text if tag.as_deref() == Some("!!binary") => match scalar::decode_binary(text) {
                    Some(text) => Ok(Value::String(text)),
                    None => self.fail(at, "the binary value is not base64 of text"),
                },
                Meaning::Text if cost.drops => Ok(Value::Null),
                Meaning::Text => Ok(Value::String(text.to_string())),
                Meaning::TooLong(_) if dialect == Dialect::Manifest => self
                    .fail(at, format!("the integer {text} does not fit 64 bits; put it in quotes to keep it as text")),
                meaning => meaning.into_value().or_else(|why| self.fail(at, why)),
            },
            Kind::Sequence { items, .. } => {
                cost.depth += 1;
                let made = items.iter().map(|&item| self.value_at(item, dialect, cost)).collect::<Result<_, _>>()?;
                cost.depth -= 1;
                Ok(Value::Array(made))
            }
            Kind::Mapping { items, .. } => self.map(items, dialect, None, cost),
            Kind::Alias(target) => {
                cost.alias_depth += 1;
                let value = self.value_at(*target, dialect, cost);
                cost.alias_depth -= 1;
                value
            }
        }
    }

    fn map(&self, items: &[u32], dialect: Dialect, only: Option<&[&str]>, cost: &mut Cost) -> Result<Value, YamlError> {
        let drops = cost.drops;
        let mut made = Map::with_capacity(if drops { 0 } else { items.len() / 2 });
        cost.depth += 1;
        self.fields(items, dialect, cost, &mut |tree, key, value, cost| {
            cost.drops = drops || only.is_some_and(|only| !only.contains(&&*key));
            let value = tree.value_at(value, dialect, cost)?;
            if !cost.drops {
                made.insert(key.into_owned(), value);
            }
            Ok(())
        })?;
        cost.drops = drops;
        cost.depth -= 1;
        Ok(Value::Object(made))
    }

    fn node_at(&self, at: u32, in_flow: bool, cost: &mut Cost) -> Result<Node, YamlError> {
        self.charge(at, cost)?;
        match &self.nodes[at as usize].kind {
            Kind::Scalar { absent: true, tag: None, style, .. } if in_flow => {
                Ok(Node::Scalar(Scalar { text: "".into(), tag: Tag::Null, style: *style, explicit: true, link: 0 }))
            }
            Kind::Scalar { text, style, tag, absent } => {
                let name = tag.as_deref().filter(|tag| *tag != "!");
                let meaning = match (tag.as_deref(), style) {
                    (Some("!"), Style::Plain) => scalar::meaning(text, Dialect::Kustomize),
                    _ => self.meaning(at, text, *style, name, Dialect::Kustomize)?,
                };
                let tag = match meaning.tag() {
                    _ if name == Some("!!binary") => Tag::Binary,
                    // A colon forces quotes between braces, and a quoted date is text.
                    Tag::Timestamp if in_flow && text.contains(':') => Tag::Str,
                    tag => tag,
                };
                // An explicit null is one whatever its text: see `Scalar::explicit`.
                let text = match tag == Tag::Null && text.is_empty() {
                    true if name.is_some() => "~",
                    _ if *absent && tag == Tag::Null => "",
                    _ => text,
                };
                Ok(Node::Scalar(Scalar { text: text.into(), tag, style: *style, explicit: name.is_some(), link: 0 }))
            }
            Kind::Sequence { items, flow } => {
                cost.depth += 1;
                let made = items.iter().map(|&item| self.node_at(item, *flow, cost)).collect::<Result<_, _>>()?;
                cost.depth -= 1;
                Ok(Node::Sequence(made))
            }
            Kind::Mapping { items, flow } => {
                let mut made = Vec::with_capacity(items.len() / 2);
                cost.depth += 1;
                self.fields(items, Dialect::Kustomize, cost, &mut |tree, key, value, cost| {
                    made.push((key.into(), tree.node_at(value, *flow, cost)?));
                    Ok(())
                })?;
                cost.depth -= 1;
                let layout = if *flow { Layout::Flow } else { Layout::Block };
                Ok(Node::Mapping(Mapping(made, layout)))
            }
            Kind::Alias(target) => {
                cost.alias_depth += 1;
                let node = self.node_at(*target, in_flow, cost);
                cost.alias_depth -= 1;
                node
            }
        }
    }

    /// Resolves a scalar under its tag.
    fn meaning(
        &self,
        at: u32,
        text: &str,
        style: Style,
        tag: Option<&str>,
        dialect: Dialect,
    ) -> Result<Meaning, YamlError> {
        let wanted = match tag {
            None if style == Style::Plain => return Ok(scalar::meaning(text, dialect)),
            None => return Ok(Meaning::Text),
            Some(tag @ ("!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp")) => tag,
            Some(_) => return Ok(Meaning::Text),
        };
        // The parser writes an absent tagged value as empty text.
        let meaning = scalar::meaning(text, dialect);
        match (wanted, meaning) {
            ("!!timestamp", Meaning::Text) if dialect != Dialect::Kustomize => Ok(Meaning::Text),
            ("!!float", Meaning::Int(value)) =>
            {
                #[expect(clippy::cast_precision_loss, reason = "the author asked for a float")]
                Ok(Meaning::Float(value as f64))
            }
            (wanted, meaning) if name_of(meaning.tag()) == wanted => Ok(meaning),
            (wanted, _) => self.fail(at, format!("{text:?} is not a {}", wanted.trim_start_matches('!'))),
        }
    }

    /// Hands over the fields of a mapping: its own in order, then those of `<<` that it lacks.
    fn fields(
        &self,
        items: &[u32],
        dialect: Dialect,
        cost: &mut Cost,
        take: &mut impl FnMut(&Self, Cow<'_, str>, u32, &mut Cost) -> Result<(), YamlError>,
    ) -> Result<(), YamlError> {
        let mut keys: Keys<'_> = Keys::default();
        let mut merges = Vec::new();
        let remembers = dialect != Dialect::Lenient || items.iter().step_by(2).any(|&key| self.is_merge(key));
        for pair in items.chunks_exact(2) {
            let (key, value) = (pair[0], pair[1]);
            self.charge_key(key, cost)?;
            if self.is_merge(key) {
                if let (Some(&first), Dialect::Kustomize) = (merges.first(), dialect) {
                    let line = self.nodes[first as usize].line;
                    return self.fail(key, format!("the key \"<<\" is given twice, first on line {line}"));
                }
                merges.push(value);
                continue;
            }
            let name = self.key(key, dialect)?;
            if let Some(line) = keys.seen(&name)
                && dialect != Dialect::Lenient
            {
                return self.fail(key, format!("the key {name:?} is given twice, first on line {line}"));
            }
            if remembers {
                keys.add(name.clone(), self.nodes[key as usize].line);
            }
            take(self, name, value, cost)?;
        }
        for value in merges {
            self.merge(value, dialect, cost, &mut keys, take)?;
        }
        Ok(())
    }

    /// Hands over the fields of a merged mapping, or of several: the earlier wins.
    fn merge<'k>(
        &'k self,
        value: u32,
        dialect: Dialect,
        cost: &mut Cost,
        keys: &mut Keys<'k>,
        take: &mut impl FnMut(&Self, Cow<'_, str>, u32, &mut Cost) -> Result<(), YamlError>,
    ) -> Result<(), YamlError> {
        let (target, aliased) = match &self.nodes[value as usize].kind {
            Kind::Alias(target) => (*target, 1),
            _ => (value, 0),
        };
        self.charge(value, cost)?;
        cost.alias_depth += aliased;
        cost.depth += 1;
        match &self.nodes[target as usize].kind {
            Kind::Mapping { items, .. } => {
                let mut inner = Vec::new();
                for pair in items.chunks_exact(2) {
                    self.charge_key(pair[0], cost)?;
                    if self.is_merge(pair[0]) {
                        inner.push(pair[1]);
                        continue;
                    }
                    let name = self.key(pair[0], dialect)?;
                    if keys.seen(&name).is_none() {
                        keys.add(name.clone(), self.nodes[pair[0] as usize].line);
                        take(self, name, pair[1], cost)?;
                    }
                }
                for value in inner {
                    self.merge(value, dialect, cost, keys, take)?;
                }
            }
            Kind::Sequence { items, .. } if items.iter().all(|&item| self.is_mapping(item)) => {
                for &item in items {
                    self.merge(item, dialect, cost, keys, take)?;
                }
            }
            _ => return self.fail(value, "the merge key \"<<\" wants a mapping or a list of mappings"),
        }
        cost.depth -= 1;
        cost.alias_depth -= aliased;
        Ok(())
    }

    fn is_mapping(&self, at: u32) -> bool {
        matches!(self.nodes[self.follow(at as usize)].kind, Kind::Mapping { .. })
    }

    fn is_merge(&self, key: u32) -> bool {
        match &self.nodes[key as usize].kind {
            Kind::Scalar { text, style: Style::Plain, tag: None, .. } => text == "<<",
            Kind::Scalar { text, tag: Some(tag), .. } => &**tag == "!!merge" && text == "<<",
            _ => false,
        }
    }

    /// The name of a key as text.
    fn key(&self, at: u32, dialect: Dialect) -> Result<Cow<'_, str>, YamlError> {
        let Kind::Scalar { text, style, tag, .. } = &self.nodes[self.follow(at as usize)].kind else {
            return self.fail(at, "a mapping or list cannot be a key");
        };
        match self.meaning(at, text, *style, tag.as_deref(), dialect)? {
            Meaning::Null => self.fail(at, "the key is null; put it in quotes to use it as text"),
            Meaning::Text => Ok(Cow::Borrowed(text)),
            _ if dialect == Dialect::Kustomize => Ok(Cow::Borrowed(text)),
            Meaning::Bool(value) => Ok(Cow::Borrowed(if value { "true" } else { "false" })),
            Meaning::Int(value) => Ok(Cow::Owned(value.to_string())),
            Meaning::Float(value) => Ok(Cow::Owned(scalar::format_key(value))),
            Meaning::Timestamp(_) => Ok(Cow::Borrowed(text)),
            Meaning::Unsigned(_) | Meaning::TooLong(_) => {
                self.fail(at, format!("the key {text} does not fit 63 bits; put it in quotes"))
            }
        }
    }
}

fn name_of(tag: Tag) -> &'static str {
    match tag {
        Tag::Null => "!!null",
        Tag::Bool => "!!bool",
        Tag::Int => "!!int",
        Tag::Float => "!!float",
        Tag::Str => "!!str",
        Tag::Timestamp => "!!timestamp",
        Tag::Binary => "!!binary",
        Tag::Unset => "",
    }
}
