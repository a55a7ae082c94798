//! [`Node`]: a document that still knows how its scalars were written.
//!
//! Kustomize moves text, not values: `1.50` copied into an annotation must stay `1.50`. So its engine works on nodes
//! and makes values last. Mappings are plain lists, because manifests have few keys and order matters.

use serde_json::{Map, Value};

use super::scalar::{self, Meaning};
use super::{Dialect, fold};

/// One node of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

/// A scalar as text, with what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    pub text: Box<str>,
    pub tag: Tag,
    pub style: Style,
    /// The tag stands in the document (`!!int "8"`), so quotes do not make it text. With an empty null: it is absent
    /// between braces, and kustomize, which prints and reads a document once more, gives `""` in the end.
    pub explicit: bool,
    /// Scalars of one document with the same number other than 0 are meant to change together; the reader gives 0.
    pub link: u32,
}

/// What a scalar is, given or resolved by [`Dialect::Kustomize`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    Null,
    Bool,
    Int,
    Float,
    Str,
    Timestamp,
    /// Base64 text that stands for the bytes behind it.
    Binary,
    /// Not said: plain text means what it looks like, quoted text is text.
    Unset,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

/// Keys in the order of the document, each key once; and how the mapping is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping(pub Vec<(Box<str>, Node)>, pub Layout);

/// Whether a mapping stands between braces, or is indented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    #[default]
    Block,
    Flow,
}

impl From<Vec<(Box<str>, Node)>> for Mapping {
    /// As a printer writes it: between braces when it is empty.
    fn from(fields: Vec<(Box<str>, Node)>) -> Self {
        let layout = if fields.is_empty() { Layout::Flow } else { Layout::Block };
        Mapping(fields, layout)
    }
}

impl Mapping {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| &**name == key).map(|(_, node)| node)
    }

    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|(name, _)| &**name == key).map(|(_, node)| node)
    }

    /// Sets a key, at its place or at the end.
    pub fn insert(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(place) => *place = node,
            None => self.0.push((key.into(), node)),
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let at = self.0.iter().position(|(name, _)| &**name == key)?;
        Some(self.0.remove(at).1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(key, node)| (&**key, node))
    }
}

impl Scalar {
    /// A plain scalar with that tag.
    pub fn new(text: &str, tag: Tag) -> Self {
        Scalar { text: text.into(), tag, style: Style::Plain, explicit: false, link: 0 }
    }

    /// The value behind the text, as it would be after printing and reading once more.
    ///
    /// Errors when the text cannot be what the tag says.
    pub fn to_value(&self) -> Result<Value, String> {
        let text = || match self.style {
            Style::Folded => Value::String(fold::again(&self.text)),
            _ => Value::String(self.text.to_string()),
        };
        let meaning = match self.tag {
            Tag::Str => return Ok(text()),
            Tag::Null if self.explicit && self.text.is_empty() => return Ok(text()),
            Tag::Binary => {
                let wrong = || "the binary value is not base64 of text".to_owned();
                return scalar::decode_binary(&self.text).map(Value::String).ok_or_else(wrong);
            }
            Tag::Unset if self.style != Style::Plain || self.text.contains('\n') => return Ok(text()),
            _ => scalar::meaning(&self.text, Dialect::Kustomize),
        };
        let value = |meaning| match meaning {
            Meaning::Text => Ok(text()),
            meaning => Ok(meaning.into_value()?),
        };
        match (self.tag, meaning.tag()) {
            (Tag::Unset, _) | (Tag::Float, Tag::Int) => value(meaning),
            (tag, found) if tag == found && (self.explicit || self.style == Style::Plain) => value(meaning),
            // The quotes of what stood there before make it text, also what has no value.
            (tag, found) if tag == found => Ok(text()),
            (tag, _) => Err(format!("a value of type {} does not read as one", tag.name())),
        }
    }
}

impl Tag {
    /// The short YAML name, e.g. `int`.
    pub fn name(self) -> &'static str {
        match self {
            Tag::Null => "null",
            Tag::Bool => "bool",
            Tag::Int => "int",
            Tag::Float => "float",
            Tag::Str | Tag::Unset => "str",
            Tag::Timestamp => "timestamp",
            Tag::Binary => "binary",
        }
    }
}

impl Node {
    /// A text scalar.
    pub fn text(text: &str) -> Self {
        Node::Scalar(Scalar::new(text, Tag::Str))
    }

    /// The null scalar.
    pub fn null() -> Self {
        Node::Scalar(Scalar::new("null", Tag::Null))
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Node::Scalar(Scalar { tag: Tag::Null, .. }))
    }

    /// The value of a key, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?.get(key)
    }

    /// As [`Node::get`], to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.as_mapping_mut()?.get_mut(key)
    }

    pub fn as_mapping(&self) -> Option<&Mapping> {
        match self {
            Node::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    pub fn as_mapping_mut(&mut self) -> Option<&mut Mapping> {
        match self {
            Node::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    pub fn as_sequence(&self) -> Option<&Vec<Node>> {
        match self {
            Node::Sequence(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_sequence_mut(&mut self) -> Option<&mut Vec<Node>> {
        match self {
            Node::Sequence(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_scalar(&self) -> Option<&Scalar> {
        match self {
            Node::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar of any kind but null.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Node::Scalar(scalar) if scalar.tag != Tag::Null => Some(&scalar.text),
            _ => None,
        }
    }

    /// The document as a value.
    ///
    /// Errors as [`Scalar::to_value`].
    pub fn to_value(&self) -> Result<Value, String> {
        self.value_within(Layout::Block)
    }

    /// Between braces what is empty is printed as `''`, and so is text.
    fn value_within(&self, layout: Layout) -> Result<Value, String> {
        Ok(match self {
            Node::Scalar(Scalar { tag: Tag::Unset, text, .. }) if layout == Layout::Flow && text.is_empty() => {
                Value::String(String::new())
            }
            Node::Scalar(scalar) => scalar.to_value()?,
            Node::Sequence(items) => {
                let item = |item: &Node| item.value_within(layout);
                Value::Array(items.iter().map(item).collect::<Result<_, _>>()?)
            }
            Node::Mapping(mapping) => {
                let layout = if mapping.1 == Layout::Flow { Layout::Flow } else { layout };
                let field = |(key, node): (&str, &Node)| Ok((key.to_owned(), node.value_within(layout)?));
                Value::Object(mapping.iter().map(field).collect::<Result<Map<_, _>, String>>()?)
            }
        })
    }
}

impl From<&Value> for Node {
    /// A node that means exactly that value.
    fn from(value: &Value) -> Self {
        let scalar = |text: String, tag| Node::Scalar(Scalar::new(&text, tag));
        match value {
            Value::Null => Node::null(),
            Value::Bool(value) => scalar(value.to_string(), Tag::Bool),
            Value::Number(number) if number.is_f64() => {
                scalar(scalar::format_float(number.as_f64().unwrap_or_default()), Tag::Float)
            }
            Value::Number(number) => scalar(number.to_string(), Tag::Int),
            Value::String(text) => Node::text(text),
            Value::Array(items) => Node::Sequence(items.iter().map(Node::from).collect()),
            Value::Object(fields) => Node::Mapping(Mapping::from(
                fields.iter().map(|(key, value)| (key.as_str().into(), value.into())).collect::<Vec<_>>(),
            )),
        }
    }
}
