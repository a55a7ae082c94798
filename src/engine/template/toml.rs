//! TOML in and out of templates.
//!
//! Start with [`write`] and [`read`]. Source: BurntSushi/toml (encode.go).

use std::rc::Rc;

use super::error::{Answer, Failure};
use super::format::{DEPTH, too_deep};
use super::text::{plain, shortest};
use super::value::{Map, Value};
use crate::engine::go_json;

/// A value as TOML.
///
/// Errors when it is no map or holds what TOML cannot say.
pub(super) fn write(value: &Value) -> Answer<String> {
    let mut out = String::new();
    let Value::Map(map) = value else {
        inline(&mut out, value, 0)?;
        return Ok(out);
    };
    table(&mut out, map, &mut Vec::new(), 0)?;
    Ok(out)
}

fn is_table_list(value: &Value) -> bool {
    match value {
        Value::List(list) => !list.items().is_empty() && list.items().iter().all(|item| matches!(item, Value::Map(_))),
        _ => false,
    }
}

fn table(out: &mut String, map: &Map, path: &mut Vec<String>, depth: usize) -> Answer<()> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    let indent = "  ".repeat(path.len());
    let entries = map.entries();
    for (name, value) in entries.iter() {
        if matches!(value, Value::Nil | Value::Map(_)) || is_table_list(value) {
            continue;
        }
        out.push_str(&format!("{indent}{} = ", key(name)));
        inline(out, value, depth + 1)?;
        out.push('\n');
    }
    for (name, value) in entries.iter() {
        let tables: Vec<Value> = match value {
            Value::Map(_) => vec![value.clone()],
            Value::List(list) if is_table_list(value) => list.items().to_vec(),
            _ => continue,
        };
        path.push(key(name));
        for table_value in tables {
            let Value::Map(inner) = table_value else { continue };
            let brackets = if matches!(value, Value::Map(_)) { ("[", "]") } else { ("[[", "]]") };
            let separate = path.len() == 1 || brackets.0 == "[[";
            if separate && !out.is_empty() {
                out.push('\n');
            }
            let indent = "  ".repeat(path.len() - 1);
            out.push_str(&format!("{indent}{}{}{}\n", brackets.0, path.join("."), brackets.1));
            table(out, &inner, path, depth + 1)?;
        }
        path.pop();
    }
    Ok(())
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    go_json::quoted(&mut out, text, |c| c == '\u{7f}');
    out
}

fn inline(out: &mut String, value: &Value, depth: usize) -> Answer<()> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    match value {
        Value::Nil => return Err(Failure::plain("toml: cannot encode array with nil element")),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Str(text) => out.push_str(&quoted(text)),
        Value::Raw(bytes) => out.push_str(&quoted(&String::from_utf8_lossy(bytes))),
        Value::Duration(_) => out.push_str(&quoted(&super::format::value_text(value)?)),
        Value::Time(time) => out.push_str(&super::layout::format(time, "2006-01-02T15:04:05.999999999Z07:00")),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.items().iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                inline(out, item, depth + 1)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (name, value)) in map.entries().iter().filter(|(_, v)| !matches!(v, Value::Nil)).enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                out.push_str(&format!("{} = ", key(name)));
                inline(out, value, depth + 1)?;
            }
            out.push('}');
        }
        other => super::format::print(out, other)?,
    }
    Ok(())
}

fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let (digits, exponent) = shortest(number);
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if number != 0.0 && !(-4..21).contains(&exponent) {
        return super::text::format_float(number, 21);
    }
    let text = plain(&digits, exponent);
    format!("{sign}{text}{}", if text.contains('.') { "" } else { ".0" })
}

/// Reads TOML; whole numbers stay whole.
///
/// Errors with the reason and the place.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let table: ::toml::Table = text.parse().map_err(|error: ::toml::de::Error| format!("toml: {}", error.message()))?;
    from_toml(::toml::Value::Table(table), 0)
}

fn from_toml(value: ::toml::Value, depth: usize) -> Result<Value, String> {
    if depth > DEPTH {
        return Err("toml: nested too deep".into());
    }
    Ok(match value {
        ::toml::Value::String(text) => text.into(),
        ::toml::Value::Integer(number) => Value::Int64(number),
        ::toml::Value::Float(number) => Value::Float(number),
        ::toml::Value::Boolean(bool) => Value::Bool(bool),
        ::toml::Value::Datetime(time) => {
            let text = time.to_string();
            let parsed = super::layout::parse("2006-01-02T15:04:05Z07:00", &text)
                .or_else(|_| super::layout::parse("2006-01-02T15:04:05", &text))
                .or_else(|_| super::layout::parse("2006-01-02", &text));
            parsed.map_or_else(|_| text.into(), |time| Value::Time(Rc::new(time)))
        }
        ::toml::Value::Array(items) => {
            Value::list(items.into_iter().map(|item| from_toml(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        ::toml::Value::Table(table) => {
            let mut entries = super::value::Entries::new();
            for (key, value) in table {
                entries.insert(key.into(), from_toml(value, depth + 1)?);
            }
            Value::Map(Map::new(entries))
        }
    })
}
