//! Random numbers that repeat, and values as YAML in a random layout.

use serde_json::Value;

/// Numbers that a seed decides (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below that.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// True so many times of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of a list.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// What marks text that is written into the document as it is.
pub const RAW: char = '\u{1}';

/// Scalars of every look.
const LOOKS: &[&str] = &[
    "plain",
    "two words",
    "\"quoted\"",
    "'single'",
    "8080",
    "\"8080\"",
    "'8080'",
    "017",
    "0o17",
    "0x1F",
    "1_000",
    "1.50",
    "1e3",
    "\"1e3\"",
    "-5",
    "yes",
    "\"yes\"",
    "on",
    "True",
    "true",
    "\"true\"",
    "~",
    "null",
    "\"null\"",
    "\"\"",
    "''",
    "2001-01-01",
    "\"2001-01-01\"",
    "12:30:45",
    ".5",
    "5.",
    "1.0",
    "100m",
    "\"a: b\"",
    "a#b",
    "\"- x\"",
    "\"tab\\tx\"",
    "\"line\\nbreak\"",
    "\"line\\nbreak\\n\"",
    "é",
    "\"\\u263A\"",
    "y",
    "n",
    "NO",
    "0",
    "0.0",
    "-0",
    "9007199254740991",
    "\"*\"",
    "\"&a\"",
    "!!str 5",
    "!!int \"7\"",
    "=",
    "<<",
    "\" lead\"",
    "\"trail \"",
    "v1.2.3",
    "1.2.3",
    "+1",
    "0b11",
    "10.0.0.1",
    "\"{a}\"",
    "\"[\"",
    "a,b",
    "\"a,b\"",
    ".inf",
    ".NaN",
    "1e400",
    "0.1",
    "123456789012345678",
    "\"%\"",
    "\"@x\"",
    "'it''s'",
    "\"say \\\"x\\\"\"",
];

/// A scalar of any look, to be written as it is.
pub fn look(dice: &mut Dice) -> Value {
    Value::String(format!("{RAW}{}", dice.pick(LOOKS)))
}

/// The documents as one file.
pub fn write(documents: &[Value], dice: &mut Dice) -> String {
    let mut text = String::new();
    for (number, document) in documents.iter().enumerate() {
        if number > 0 || dice.chance(10) {
            text.push_str("---\n");
        }
        if dice.chance(10) {
            text.push_str("# a comment\n");
        }
        let flow = dice.chance(15);
        node(&mut text, document, 0, flow, dice);
        text.push('\n');
    }
    text
}

fn scalar(text: &mut String, value: &Value) {
    match value {
        Value::String(inner) => match inner.strip_prefix(RAW) {
            Some(raw) => text.push_str(raw),
            None if is_plain(inner) => text.push_str(inner),
            None => text.push_str(&value.to_string()),
        },
        other => text.push_str(&other.to_string()),
    }
}

fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c))
        && !weir::base::yaml::is_typed(text)
}

fn node(text: &mut String, value: &Value, indent: usize, flow: bool, dice: &mut Dice) {
    match value {
        Value::Object(fields) if fields.is_empty() => text.push_str("{}"),
        Value::Array(items) if items.is_empty() => text.push_str("[]"),
        Value::Object(fields) if flow => {
            text.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                key(text, name);
                node(text, value, indent, flow, dice);
            }
            text.push('}');
        }
        Value::Array(items) if flow => {
            text.push('[');
            for (at, value) in items.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                node(text, value, indent, flow, dice);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    text.push_str(&format!("\n{}", " ".repeat(indent)));
                }
                key(text, name);
                nested(text, value, indent, dice);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                if at > 0 {
                    text.push_str(&format!("\n{}", " ".repeat(indent)));
                }
                text.push_str("- ");
                node(text, value, indent + 2, false, dice);
            }
        }
        Value::String(inner) if !flow && inner.ends_with('\n') && block_fits(inner) => {
            text.push_str(if inner.len() < 20 && dice.chance(40) { ">" } else { "|" });
            for line in inner.trim_end_matches('\n').split('\n') {
                text.push_str(&format!("\n{}{line}", if line.is_empty() { String::new() } else { " ".repeat(indent) }));
            }
        }
        value => scalar(text, value),
    }
}

/// Whether a text can stand as a block without marks for its indentation or its end.
fn block_fits(text: &str) -> bool {
    !text.starts_with([' ', '\n', '\t']) && !text.ends_with("\n\n") && !text.contains([RAW, '\r']) && text.len() > 1
}

fn key(text: &mut String, name: &str) {
    if is_plain(name) || name == "$patch" {
        text.push_str(name);
    } else {
        text.push_str(&Value::from(name).to_string());
    }
    text.push_str(": ");
}

fn nested(text: &mut String, value: &Value, indent: usize, dice: &mut Dice) {
    let empty = value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::Object(_) | Value::Array(_) if !empty && dice.chance(85) => {
            text.pop();
            let deeper = if value.is_array() && dice.chance(50) { indent } else { indent + 2 };
            text.push_str(&format!("\n{}", " ".repeat(deeper)));
            node(text, value, deeper, false, dice);
        }
        Value::Object(_) | Value::Array(_) => node(text, value, indent, true, dice),
        value => node(text, value, indent + 2, false, dice),
    }
}
