//! JSON and YAML in and out of templates, as Go's encoders write and read them.
//!
//! YAML is read and written by `base::yaml`, the one door. Start with [`to_yaml`] and [`to_json`].
//! Source: encoding/json, sigs.k8s.io/yaml.

use serde_json::{Map as JsonMap, Number, Value as Json};

use super::error::{Answer, Failure};
use super::format::{DEPTH, too_deep};
use super::value::Value;
use crate::base::yaml;
use crate::engine::go_json;

/// Why a document could not be read.
#[derive(Debug)]
pub(super) struct Problem {
    pub message: String,
}

/// A value as Go's JSON encoder writes it.
pub(super) fn to_json(value: &Value, html: bool, pretty: bool) -> Answer<String> {
    let mut out = String::new();
    json_at(&mut out, value, html, if pretty { Some(0) } else { None }, 0)?;
    Ok(out)
}

fn newline(out: &mut String, level: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", level));
}

fn json_at(out: &mut String, value: &Value, html: bool, level: Option<usize>, depth: usize) -> Answer<()> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    let inner = level.map(|level| level + 1);
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(bool) => out.push_str(&bool.to_string()),
        Value::Int(number) | Value::Int64(number) | Value::Duration(number) => out.push_str(&number.to_string()),
        Value::Uint8(number) => out.push_str(&number.to_string()),
        Value::Uint64(number) => out.push_str(&number.to_string()),
        Value::Float(number) if !number.is_finite() => {
            return Err(Failure::plain(format!("json: unsupported value: {}", super::text::format_float(*number, 6))));
        }
        Value::Float(number) => out.push_str(&go_json::float(*number)),
        Value::Str(text) => go_json::text(out, text, html),
        Value::Raw(bytes) => go_json::text(out, &String::from_utf8_lossy(bytes), html),
        Value::Bytes(bytes) => {
            use base64::Engine;
            out.push_str(&format!("\"{}\"", base64::engine::general_purpose::STANDARD.encode(bytes)));
        }
        Value::List(list) if list.is_nil() => out.push_str("null"),
        Value::List(list) if list.items().is_empty() => out.push_str("[]"),
        Value::List(list) => {
            for (index, item) in list.items().iter().enumerate() {
                json_next(out, index, '[', inner);
                json_at(out, item, html, inner, depth + 1)?;
            }
            json_end(out, ']', level)
        }
        Value::Map(map) if map.is_nil() => out.push_str("null"),
        Value::Map(map) if map.is_empty() => out.push_str("{}"),
        Value::Map(map) => {
            for (index, (key, value)) in map.entries().iter().enumerate() {
                json_next(out, index, '{', inner);
                go_json::text(out, key, html);
                out.push_str(if level.is_some() { ": " } else { ":" });
                json_at(out, value, html, inner, depth + 1)?;
            }
            json_end(out, '}', level)
        }
        Value::Time(time) => {
            out.push_str(&format!("\"{}\"", super::layout::format(time, "2006-01-02T15:04:05.999999999Z07:00")));
        }
        Value::Object(object) if object.type_name == "*semver.Version" => {
            go_json::text(out, object.text.as_deref().unwrap_or_default(), html)
        }
        Value::Object(object) => {
            let fields = Value::map(object.fields.iter().map(|(name, value)| (*name, value.clone())));
            return json_at(out, &fields, html, level, depth + 1);
        }
    }
    Ok(())
}

/// What stands before an entry: the opening bracket or a comma, and its own line when it has one.
fn json_next(out: &mut String, index: usize, open: char, level: Option<usize>) {
    out.push(if index > 0 { ',' } else { open });
    if let Some(level) = level {
        newline(out, level);
    }
}

fn json_end(out: &mut String, close: char, level: Option<usize>) {
    if let Some(level) = level {
        newline(out, level);
    }
    out.push(close);
}

/// What becomes of floats that are whole numbers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Floats {
    /// They pass through JSON, which writes them without a point.
    Shortened,
    Kept,
}

/// Text that JSON writes raw and YAML then refuses makes Helm's conversion fail.
fn readable(text: &str) -> Answer<()> {
    match text.chars().find(|c| matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')) {
        Some(c) => Err(Failure::plain(format!("yaml: control character U+{:04X} is not allowed", c as u32))),
        None => Ok(()),
    }
}

/// A value as data, numbers as Go's JSON would carry them.
pub(super) fn to_data(value: &Value, depth: usize, floats: Floats) -> Answer<Json> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Bool(bool) => Json::Bool(*bool),
        Value::Int(number) | Value::Int64(number) | Value::Duration(number) => Json::from(*number),
        Value::Uint8(number) => Json::from(*number),
        Value::Uint64(number) => Json::from(*number),
        Value::Float(number) if floats == Floats::Kept => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Float(number) => float_data(*number)?,
        Value::Str(text) => {
            readable(text)?;
            Json::from(&**text)
        }
        Value::List(list) if list.is_nil() => Json::Null,
        Value::List(list) => {
            Json::Array(list.items().iter().map(|item| to_data(item, depth + 1, floats)).collect::<Answer<_>>()?)
        }
        Value::Map(map) if map.is_nil() => Json::Null,
        Value::Map(map) => {
            let mut fields: Vec<(String, Json)> = Vec::with_capacity(map.len());
            for (key, value) in map.entries().iter() {
                readable(key)?;
                fields.push((key.to_string(), to_data(value, depth + 1, floats)?));
            }
            fields.sort_by(|(a, _), (b, _)| yaml::compare_keys(a, b));
            Json::Object(fields.into_iter().collect::<JsonMap<_, _>>())
        }
        other => {
            let mut text = String::new();
            json_at(&mut text, other, false, None, depth)?;
            serde_json::from_str(&text).map_err(|error| Failure::plain(error.to_string()))?
        }
    })
}

fn float_data(number: f64) -> Answer<Json> {
    if !number.is_finite() {
        return Err(Failure::plain("json: unsupported value"));
    }
    // What JSON writes without a point is read back by YAML as a whole number.
    if number.fract() == 0.0 && number.abs() < 1e19 {
        if number >= 0.0 {
            return Ok(Json::from(number as u64));
        }
        if number >= i64::MIN as f64 {
            return Ok(Json::from(number as i64));
        }
    }
    Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
}

/// A value as YAML, ending in a line break.
pub(super) fn to_yaml(value: &Value) -> Answer<String> {
    Ok(yaml::write(&to_data(value, 0, Floats::Shortened)?))
}

/// A value as YAML with lists indented.
pub(super) fn to_pretty_yaml(value: &Value) -> Answer<String> {
    Ok(super::pretty::indent_lists(&yaml::write(&to_data(value, 0, Floats::Kept)?)))
}

/// Reads JSON; every number becomes a float.
pub(super) fn from_json(text: &str) -> Result<Value, Problem> {
    match serde_json::from_str::<Json>(text) {
        Ok(json) => Ok(Value::from_document(&json)),
        Err(error) => Err(Problem { message: json_complaint(text, &error) }),
    }
}

/// Go's words for the commonest mistakes.
fn json_complaint(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let at = error.column().saturating_sub(1);
    let culprit = line.get(at..).and_then(|rest| rest.chars().next()).unwrap_or('?');
    let shown = super::text::quote_rune(culprit, false);
    let said = error.to_string();
    let place = if said.starts_with("trailing characters") {
        "after top-level value"
    } else if said.starts_with("key must be a string") {
        "looking for beginning of object key string"
    } else if said.starts_with("expected `:`") {
        "after object key"
    } else if said.starts_with("expected `,` or `}`") {
        "after object key:value pair"
    } else if said.starts_with("expected `,` or `]`") {
        "after array element"
    } else {
        "looking for beginning of value"
    };
    format!("invalid character {shown} {place}")
}

/// Reads the first document of YAML; every number becomes a float.
pub(super) fn from_yaml(text: &str) -> Result<Value, Problem> {
    let limits = yaml::Limits::default();
    match yaml::read_as(text.as_bytes(), &limits, yaml::Dialect::Lenient) {
        Ok(documents) => {
            let first = documents.first().filter(|document| document.index == 0);
            Ok(first.map_or(Value::Nil, |document| Value::from_document(&document.value)))
        }
        Err(error) => Err(Problem { message: format!("error converting YAML to JSON: yaml: {error}") }),
    }
}

/// Go's message when a document is not of the type that is wanted.
pub(super) fn mismatch(found: &Value, wanted: &str, from_yaml: bool) -> String {
    let is = match found {
        Value::Map(_) => "object",
        Value::List(_) => "array",
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    let lead = if from_yaml { "error unmarshaling JSON: while decoding JSON: " } else { "" };
    format!("{lead}json: cannot unmarshal {is} into Go value of type {wanted}")
}
