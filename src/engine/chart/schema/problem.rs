//! What is wrong with a value, in the words and the layout of Helm.
//!
//! Start with [`Problem::shown`]. Source: github.com/santhosh-tekuri/jsonschema v6 (output.go, kind/kind.go).

use serde_json::Value as Json;

/// One thing that is wrong, with what led to it.
#[derive(Debug)]
pub(super) struct Problem {
    /// Where in the values, as a JSON pointer.
    pub at: String,
    pub text: String,
    pub causes: Vec<Problem>,
    pub kind: Kind,
}

#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    Plain,
    /// Several problems of one schema; told by its causes where something is above it.
    Group,
    /// A reference; told only when it has several causes.
    Reference,
}

impl Problem {
    /// The line of the problem, and beneath it those of its causes.
    pub fn shown(&self) -> String {
        let mut lines = Vec::new();
        self.lines(0, &mut lines);
        lines.join("\n")
    }

    fn lines(&self, indent: usize, lines: &mut Vec<String>) {
        let hidden = self.kind == Kind::Reference && self.causes.len() == 1;
        if !hidden {
            lines.push(format!("{}- at {}: {}", "  ".repeat(indent), quote(&self.at), self.text));
        }
        for cause in &self.causes {
            cause.lines(indent + usize::from(!hidden), lines);
        }
    }
}

/// The name of a value's type in a schema.
pub(super) fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// Text in single quotes, what cannot be seen as Go writes it.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '"' => out.push('"'),
            c => out.extend(c.escape_debug()),
        }
    }
    out.push('\'');
    out
}

pub(super) fn quoted<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    texts.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// A value that is no list and no map, as messages name it.
pub(super) fn display(value: &Json) -> String {
    match value {
        Json::Null => "<nil>".into(),
        Json::String(text) => quote(text),
        Json::Array(_) | Json::Object(_) => "value".into(),
        other => other.to_string(),
    }
}

/// A number in English: thousands divided by commas.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut out = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn count(value: usize) -> String {
    number(value as f64)
}
