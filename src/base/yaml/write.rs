//! The writer: block style, keys in the order given, quotes wherever any reader could misread.
//!
//! The layout is the one of `kubectl` and `kustomize` (lists not indented, long lines folded at 80 columns), so that
//! their output and weir's can be compared by eye and by diff. `yaml_serde` is not used here because it writes `0o7`
//! or `1_0` without quotes.

use serde_json::{Map, Value};

use super::scalar::{self, Meaning};
use super::{Dialect, format_float};

/// The column after which a line is folded at its next single space.
const WIDTH: usize = 80;
/// Keys longer than this, or with line breaks, are written behind `? `.
const SIMPLE_KEY: usize = 128;

/// Writes one document without the `---` line, ending in a line break.
pub fn write(value: &Value) -> String {
    let mut writer = Writer { out: String::with_capacity(256), column: 0 };
    match value {
        Value::Object(fields) if !fields.is_empty() => writer.fields(fields, 0),
        Value::Array(items) if !items.is_empty() => writer.items(items, 0),
        scalar => {
            writer.scalar(scalar, 0);
            writer.line();
        }
    }
    writer.out
}

/// Writes documents divided by `---` lines.
pub fn write_all<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    values.into_iter().map(write).collect::<Vec<_>>().join("---\n")
}

struct Writer {
    out: String,
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn put_char(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn line(&mut self) {
        if !self.out.ends_with('\n') || self.column > 0 {
            self.out.push('\n');
        }
        self.column = 0;
    }

    fn indent(&mut self, indent: usize) {
        for _ in 0..indent {
            self.out.push(' ');
        }
        self.column += indent;
    }

    fn fields(&mut self, fields: &Map<String, Value>, indent: usize) {
        for (at, (key, value)) in fields.iter().enumerate() {
            // The first field may stand behind a dash, where the column is right already.
            if at > 0 || self.column == 0 {
                self.indent(indent);
            }
            if key.len() > SIMPLE_KEY || key.contains(is_break) {
                self.put("? ");
                self.text(key, indent, true);
                self.line();
                self.indent(indent);
                self.put(":");
            } else {
                self.text(key, indent, false);
                self.put(":");
            }
            self.value(value, indent, false);
        }
    }

    fn items(&mut self, items: &[Value], indent: usize) {
        for (at, item) in items.iter().enumerate() {
            if at > 0 || self.column == 0 {
                self.indent(indent);
            }
            self.put("-");
            self.value(item, indent, true);
        }
    }

    /// Writes what stands behind a key or a dash, with its line break.
    fn value(&mut self, value: &Value, indent: usize, behind_dash: bool) {
        match value {
            Value::Object(fields) if !fields.is_empty() && behind_dash => {
                self.put(" ");
                self.fields(fields, indent + 2);
            }
            Value::Object(fields) if !fields.is_empty() => {
                self.line();
                self.fields(fields, indent + 2);
            }
            Value::Array(items) if !items.is_empty() && behind_dash => {
                self.put(" ");
                self.items(items, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                self.line();
                self.items(items, indent);
            }
            scalar => {
                self.put(" ");
                self.scalar(scalar, indent);
                self.line();
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.put("null"),
            Value::Bool(value) => self.put(if *value { "true" } else { "false" }),
            Value::Number(number) if number.is_f64() => {
                let text = format_float(number.as_f64().unwrap_or_default());
                self.put(&text);
            }
            Value::Number(number) => self.put(&number.to_string()),
            Value::String(text) => self.text(text, indent, true),
            Value::Array(_) => self.put("[]"),
            Value::Object(_) => self.put("{}"),
        }
    }

    /// Writes text in the plainest style that every reader takes for that text.
    fn text(&mut self, text: &str, indent: usize, may_break: bool) {
        let inner = indent + 2;
        match style(text, may_break) {
            Quote::Plain => self.folded(text, inner, may_break, |writer, c| writer.put_char(c)),
            Quote::Single => {
                self.put("'");
                self.folded(text, inner, may_break, |writer, c| {
                    if c == '\'' {
                        writer.put_char('\'');
                    }
                    writer.put_char(c);
                });
                self.put("'");
            }
            Quote::Double => self.double(text, inner, may_break),
            Quote::Literal => self.literal(text, inner),
        }
    }

    /// Writes characters, folding at single spaces beyond the width.
    fn folded(&mut self, text: &str, indent: usize, may_break: bool, mut put: impl FnMut(&mut Self, char)) {
        let bytes = text.as_bytes();
        let mut after_space = false;
        for (at, c) in text.char_indices() {
            let inside = at > 0 && at + 1 < bytes.len();
            if c != ' ' {
                put(self, c);
            } else if may_break && !after_space && self.column > WIDTH && inside && bytes[at + 1] != b' ' {
                self.line();
                self.indent(indent);
            } else {
                self.put_char(' ');
            }
            after_space = c == ' ';
        }
    }

    fn double(&mut self, text: &str, indent: usize, may_break: bool) {
        self.put("\"");
        let bytes = text.as_bytes();
        let mut after_space = false;
        for (at, c) in text.char_indices() {
            if c == ' ' {
                if may_break && !after_space && self.column > WIDTH && at > 0 && at + 1 < bytes.len() {
                    self.line();
                    self.indent(indent);
                    if bytes[at + 1] == b' ' {
                        self.put("\\");
                    }
                } else {
                    self.put(" ");
                }
            } else if is_printable(c) && !is_break(c) && c != '"' && c != '\\' {
                self.put_char(c);
            } else {
                self.escape(c);
            }
            after_space = c == ' ';
        }
        self.put("\"");
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '\0' => "\\0",
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{b}' => "\\v",
            '\u{c}' => "\\f",
            '\r' => "\\r",
            '\u{1b}' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            _ => {
                let code = u32::from(c);
                let long = match code {
                    0..=0xff => format!("\\x{code:02X}"),
                    0x100..=0xffff => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                };
                return self.put(&long);
            }
        };
        self.put(short);
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n']) {
            self.put("2");
        }
        let body = text.trim_end_matches('\n');
        match text.len() - body.len() {
            0 => self.put("-"),
            1 if !body.is_empty() => {}
            _ => self.put("+"),
        }
        self.line();
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if !line.is_empty() {
                self.indent(indent);
                self.put(line);
            }
            self.out.push('\n');
            self.column = 0;
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Quote {
    Plain,
    Single,
    Double,
    Literal,
}

fn style(text: &str, may_break: bool) -> Quote {
    if text.is_empty() {
        return Quote::Double;
    }
    let shape = Shape::of(text);
    if shape.special || shape.space_before_break || (shape.breaks && !may_break) {
        return Quote::Double;
    }
    if shape.breaks {
        return if text.ends_with(' ') { Quote::Double } else { Quote::Literal };
    }
    if misread(text) {
        return Quote::Double;
    }
    if shape.indicator || text.starts_with(' ') || text.ends_with(' ') { Quote::Single } else { Quote::Plain }
}

/// Whether a reader of YAML 1.1 or 1.2 could take plain text for something else.
fn misread(text: &str) -> bool {
    let other = |dialect| !matches!(scalar::meaning(text, dialect), Meaning::Text);
    other(Dialect::Manifest)
        || other(Dialect::Kustomize)
        || matches!(text, "=" | "<<")
        || is_base_60(text)
        || looks_like_date(text)
}

/// Dates in the loose forms of YAML 1.1 that Go does not take, such as a zone behind a space.
fn looks_like_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[4] == b'-'
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[5..].iter().all(|c| c.is_ascii_digit() || b"-:. \tTtZ+".contains(c))
        && bytes[5..].contains(&b'-')
}

/// `12:30:45` and the like: numbers to base 60 for YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let Some((last, middle)) = rest.split_last() else { return false };
    let minutes = |part: &str| digits(part) && part.len() <= 2 && (part.len() == 1 || part.as_bytes()[0] < b'6');
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    first.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(|c| c.is_ascii_digit() || c == b'_')
        && middle.iter().all(|part| minutes(part))
        && minutes(last)
        && fraction.bytes().all(|c| c.is_ascii_digit() || c == b'_')
}

/// What in a text forbids the plainer styles.
#[derive(Default)]
struct Shape {
    breaks: bool,
    space_before_break: bool,
    special: bool,
    indicator: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Shape { indicator: text.starts_with("---") || text.starts_with("..."), ..Shape::default() };
        let mut before = ' ';
        let mut characters = text.chars().peekable();
        let mut first = true;
        while let Some(c) = characters.next() {
            let blank_follows = characters.peek().is_none_or(|&c| matches!(c, ' ' | '\t'));
            shape.indicator |= match c {
                '#' if !first => matches!(before, ' ' | '\t' | '\n'),
                ':' => blank_follows,
                '?' | '-' if first => blank_follows,
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => first,
                _ => false,
            };
            if c == '\n' {
                shape.breaks = true;
                shape.space_before_break |= before == ' ' && !first;
            } else if is_break(c) || !is_printable(c) {
                shape.special = true;
            }
            before = c;
            first = false;
        }
        shape
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Characters that may stand unescaped; format characters may not, since they hide what is written.
fn is_printable(c: char) -> bool {
    match c {
        '\n' => true,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => false,
        c => c >= ' ' && !('\u{7f}'..'\u{a0}').contains(&c) && !matches!(c, '\u{fff0}'..='\u{ffff}'),
    }
}
