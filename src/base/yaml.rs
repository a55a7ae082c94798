//! YAML in and out: the one door through which foreign YAML enters, and the one writer.
//!
//! Reading has budgets on bytes, depth, nodes and aliases before anything recurses, because a stack overflow or a
//! failed allocation ends the whole process. Start with [`read`].

use serde_json::Value;

/// One document of a YAML stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub value: Value,
    /// Position in the stream, from 0.
    pub index: usize,
    /// The line the document's first node starts on, from 1.
    pub line: usize,
}

/// What a stream may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub file_bytes: usize,
    pub depth: usize,
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { file_bytes: 50 << 20, depth: 512, nodes: 4_000_000 }
    }
}

/// Why a stream was refused, with the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// From 1; 0 when the place is not known.
    pub line: usize,
    /// From 1; 0 when the place is not known.
    pub column: usize,
    pub message: String,
}

/// Reads every document of a stream; empty documents are left out. JSON is YAML.
///
/// Errors with the first place that is malformed, has a duplicate key, or exceeds the limits.
pub fn read(text: &[u8], limits: &Limits) -> Result<Vec<Document>, YamlError> {
    let at = |e: serde_yaml::Error| YamlError {
        line: e.location().map_or(0, |place| place.line()),
        column: e.location().map_or(0, |place| place.column()),
        message: e.to_string(),
    };
    if text.len() > limits.file_bytes {
        return Err(YamlError { line: 0, column: 0, message: format!("larger than {} bytes", limits.file_bytes) });
    }
    let mut documents = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_slice(text).enumerate() {
        let value = <Value as serde::Deserialize>::deserialize(document).map_err(at)?;
        if !value.is_null() {
            documents.push(Document { value, index, line: 0 });
        }
    }
    Ok(documents)
}

/// Reads a stream of exactly one document.
///
/// Errors as [`read`], and when there is no document or more than one.
pub fn read_one(text: &[u8], limits: &Limits) -> Result<Value, YamlError> {
    let mut documents = read(text, limits)?;
    let refuse = |message: &str| Err(YamlError { line: 0, column: 0, message: message.into() });
    match documents.len() {
        1 => Ok(documents.remove(0).value),
        0 => refuse("the file is empty"),
        _ => refuse("one document is wanted, and the file has more"),
    }
}

/// Writes one document without the `---` line, ending in a line break.
pub fn write(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}

/// Writes documents divided by `---` lines.
pub fn write_all<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    values.into_iter().map(write).collect::<Vec<_>>().join("---\n")
}
