//! [`Node`]: a document that still knows how its scalars were written.
//!
//! Kustomize moves text, not values: `1.50` copied into an annotation must stay `1.50`. So its engine works on nodes
//! and makes values last. Mappings are plain lists, because manifests have few keys and order matters.

use serde_json::{Map, Value};

use super::Dialect;
use super::scalar::{self, Meaning};

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

/// Keys in the order of the document; each key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping(pub Vec<(Box<str>, Node)>);

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
    /// A plain scalar, meaning what its text says.
    pub fn plain(text: &str) -> Self {
        Scalar { tag: scalar::tag_of(text), text: text.into(), style: Style::Plain }
    }

    /// Text, whatever it looks like.
    pub fn text(text: &str) -> Self {
        Scalar { text: text.into(), tag: Tag::Str, style: Style::Plain }
    }

    /// The value behind the text; text that cannot be what its tag says stays text.
    pub fn to_value(&self) -> Value {
        match self.tag {
            Tag::Str => Value::String(self.text.to_string()),
            Tag::Null => Value::Null,
            Tag::Binary => scalar::decode_binary(&self.text).map_or(Value::Null, Value::String),
            _ => match scalar::meaning(&self.text, Dialect::Kustomize) {
                Meaning::Text => Value::String(self.text.to_string()),
                meaning => meaning.into_value().unwrap_or(Value::Null),
            },
        }
    }
}

impl Node {
    /// A text scalar.
    pub fn text(text: &str) -> Self {
        Node::Scalar(Scalar::text(text))
    }

    /// The null scalar.
    pub fn null() -> Self {
        Node::Scalar(Scalar { text: "null".into(), tag: Tag::Null, style: Style::Plain })
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
    pub fn to_value(&self) -> Value {
        match self {
            Node::Scalar(scalar) => scalar.to_value(),
            Node::Sequence(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Node::Mapping(mapping) => Value::Object(
                mapping.iter().map(|(key, node)| (key.to_owned(), node.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }
}

impl From<&Value> for Node {
    /// A node that means exactly that value.
    fn from(value: &Value) -> Self {
        let scalar = |text: String, tag| Node::Scalar(Scalar { text: text.into(), tag, style: Style::Plain });
        match value {
            Value::Null => Node::null(),
            Value::Bool(value) => scalar(value.to_string(), Tag::Bool),
            Value::Number(number) if number.is_f64() => {
                scalar(scalar::format_float(number.as_f64().unwrap_or_default()), Tag::Float)
            }
            Value::Number(number) => scalar(number.to_string(), Tag::Int),
            Value::String(text) => Node::text(text),
            Value::Array(items) => Node::Sequence(items.iter().map(Node::from).collect()),
            Value::Object(fields) => {
                Node::Mapping(Mapping(fields.iter().map(|(key, value)| (key.as_str().into(), value.into())).collect()))
            }
        }
    }
}
