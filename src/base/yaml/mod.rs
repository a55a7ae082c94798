//! YAML in and out: the one door through which foreign YAML enters, and the one writer.
//!
//! Reading has budgets on bytes, depth, nodes and aliases before anything recurses, because a stack overflow or a
//! failed allocation ends the whole process. Scalars mean what Go's decoders say they mean, since manifests are
//! written for those: see [`Dialect`]. Start with [`read`]; [`Node`] is for who needs the text behind a value.

mod fold;
mod keys;
mod make;
mod node;
mod quick;
mod scalar;
mod seen;
mod texts;
mod tree;
mod write;

pub use keys::{compare_keys, sorted};
pub use node::{Layout, Mapping, Node, Scalar, Style, Tag};
pub use scalar::format_float;
pub use write::{write, write_all};

use make::Copies;
use serde_json::Value;
use tree::Tree;

/// One document of a YAML stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub value: Value,
    /// Position in the stream, from 0.
    pub index: usize,
    /// The line the document's first node starts on, from 1.
    pub line: usize,
}

/// One document of a YAML stream with the text of its scalars.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeDocument {
    pub node: Node,
    /// Position in the stream, from 0.
    pub index: usize,
    /// The line the document's first node starts on, from 1.
    pub line: usize,
}

/// What a stream may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub file_bytes: usize,
    pub document_bytes: usize,
    pub depth: usize,
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { file_bytes: 50 << 20, document_bytes: 16 << 20, depth: 512, nodes: 4_000_000 }
    }
}

/// Whose reading of plain scalars counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As `sigs.k8s.io/yaml` gives a manifest to an API server: `yes` and `y` are true, dates stay text.
    Manifest,
    /// As [`Dialect::Manifest`], but of a key given twice the last counts, as where Go decodes without strictness.
    Lenient,
    /// As kustomize loads resources: `yes` is text, a date becomes a full timestamp.
    Kustomize,
}

/// Why a stream was refused, with the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(*.line, *.column))]
pub struct YamlError {
    /// From 1; 0 when the place is not known.
    pub line: usize,
    /// From 1; 0 when the place is not known.
    pub column: usize,
    pub message: String,
}

fn place(line: usize, column: usize) -> String {
    match (line, column) {
        (0, _) => String::new(),
        (line, 0) => format!("line {line}: "),
        (line, column) => format!("line {line}, column {column}: "),
    }
}

impl YamlError {
    fn new(line: usize, column: usize, message: impl Into<String>) -> Self {
        YamlError { line, column, message: message.into() }
    }
}

/// Reads every document of a stream; empty documents are left out. JSON is YAML.
///
/// Errors with the first place that is malformed, has a duplicate key, or exceeds the limits.
pub fn read(text: &[u8], limits: &Limits) -> Result<Vec<Document>, YamlError> {
    read_as(text, limits, Dialect::Manifest)
}

/// As [`read`], in another dialect.
pub fn read_as(text: &[u8], limits: &Limits, dialect: Dialect) -> Result<Vec<Document>, YamlError> {
    read_fields(text, limits, dialect, None)
}

/// As [`read_as`], of mappings only with these fields: all is checked, and little is made.
pub fn read_only(text: &[u8], limits: &Limits, dialect: Dialect, fields: &[&str]) -> Result<Vec<Document>, YamlError> {
    read_fields(text, limits, dialect, Some(fields))
}

fn read_fields(
    text: &[u8],
    limits: &Limits,
    dialect: Dialect,
    only: Option<&[&str]>,
) -> Result<Vec<Document>, YamlError> {
    let text = tree::check_text(text, limits)?;
    let (mut documents, mut copies) = (Vec::new(), Copies::default());
    tree::each_document(text, limits, |index, tree| {
        let value = tree.value(dialect, only, &mut copies)?;
        if !value.is_null() {
            documents.push(Document { value, index, line: tree.line() });
        }
        Ok(())
    })?;
    Ok(documents)
}

/// Reads a stream of exactly one document.
///
/// Errors as [`read`], and when there is no document or more than one.
pub fn read_one(text: &[u8], limits: &Limits) -> Result<Value, YamlError> {
    let mut documents = read(text, limits)?;
    match documents.len() {
        1 => Ok(documents.remove(0).value),
        0 => Err(YamlError::new(0, 0, "the file is empty")),
        _ => Err(YamlError::new(documents[1].line, 0, "one document is wanted, and the file has more")),
    }
}

/// Reads every document as nodes, aliases expanded and `<<` merged; empty documents are left out.
///
/// Errors as [`read`].
pub fn read_nodes(text: &[u8], limits: &Limits) -> Result<Vec<NodeDocument>, YamlError> {
    let text = tree::check_text(text, limits)?;
    let (mut documents, mut copies) = (Vec::new(), Copies::default());
    tree::each_document(text, limits, |index, tree| {
        let node = tree.node(&mut copies)?;
        if !node.is_null() {
            documents.push(NodeDocument { node, index, line: tree.line() });
        }
        Ok(())
    })?;
    Ok(documents)
}

/// Whether plain text would be read as something other than text in a manifest, e.g. `yes` or `1_000`.
pub fn is_typed(text: &str) -> bool {
    !matches!(scalar::meaning(text, Dialect::Manifest), scalar::Meaning::Text)
}

/// Finds the line of a field: keys and list positions lead to it, and the deepest part that exists counts.
///
/// For error messages after the fact, so that values need not carry places. `None` when the text does not parse.
pub fn line_of(text: &[u8], document: usize, path: &[&str]) -> Option<usize> {
    let limits = Limits::default();
    let text = tree::check_text(text, &limits).ok()?;
    let mut found = None;
    tree::each_document(text, &limits, |index, tree: &Tree| {
        if index == document {
            found = Some(tree.line_at(path));
        }
        Ok(())
    })
    .ok()?;
    found
}
