//! Go's `fmt`: how values print with `%v`; the verbs of `printf` are next door.
//!
//! Walks foreign values, so it has a depth limit. Start with [`print`].
//! Source: fmt (print.go, format.go).

use std::fmt::Write;

use super::error::{Answer, Failure};
use super::text::format_float;
use super::value::Value;

/// Values nested deeper than this are not walked.
pub(super) const DEPTH: usize = 400;

pub(super) fn too_deep() -> Box<Failure> {
    Failure::limit(format!("a value is nested more than {DEPTH} deep"))
}

/// Prints a value as `%v` does.
pub(super) fn print(out: &mut String, value: &Value) -> Answer<()> {
    print_at(out, value, 0)
}

/// A value as `%v` prints it.
pub(super) fn value_text(value: &Value) -> Answer<String> {
    let mut out = String::new();
    print(&mut out, value)?;
    Ok(out)
}

fn print_at(out: &mut String, value: &Value, depth: usize) -> Answer<()> {
    if depth > DEPTH || out.len() > (256 << 20) {
        return Err(too_deep());
    }
    let _ = match value {
        Value::Nil => out.write_str("<nil>"),
        Value::Bool(bool) => write!(out, "{bool}"),
        Value::Int(number) | Value::Int64(number) => write!(out, "{number}"),
        Value::Uint8(number) => write!(out, "{number}"),
        Value::Uint64(number) => write!(out, "{number}"),
        Value::Float(number) => out.write_str(&format_float(*number, FLOAT_DIGITS)),
        Value::Str(text) => out.write_str(text),
        Value::Raw(bytes) => out.write_str(&String::from_utf8_lossy(bytes)),
        Value::Bytes(bytes) => {
            let items: Vec<String> = bytes.iter().map(u8::to_string).collect();
            write!(out, "[{}]", items.join(" "))
        }
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.items().iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                print_at(out, item, depth + 1)?;
            }
            out.write_char(']')
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (index, (key, value)) in map.entries().iter().enumerate() {
                out.push_str(if index > 0 { " " } else { "" });
                let (key, value) = map.entry(key.clone(), value.clone());
                print_at(out, &key, depth + 1)?;
                out.push(':');
                print_at(out, &value, depth + 1)?;
            }
            out.write_char(']')
        }
        Value::Time(time) => out.write_str(&super::dates::format(time, "2006-01-02 15:04:05.999999999 -0700 MST")),
        Value::Duration(nanoseconds) => out.write_str(&super::dates::duration_text(*nanoseconds)),
        Value::Object(object) => {
            if let Some(text) = &object.text {
                out.push_str(text);
                return Ok(());
            }
            out.push_str(if object.pointer { "&{" } else { "{" });
            for (index, (_, value)) in object.fields.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                print_at(out, value, depth + 1)?;
            }
            out.write_char('}')
        }
    };
    Ok(())
}

/// From this power of ten on, floats print with an exponent.
pub(super) const FLOAT_DIGITS: i32 = 6;

fn is_text(value: &Value) -> bool {
    matches!(value, Value::Str(_) | Value::Raw(_))
}

/// Go's `Sprint`: spaces only between operands of which neither is a string.
pub(super) fn sprint(values: &[Value]) -> Answer<String> {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 && !is_text(value) && !is_text(&values[index - 1]) {
            out.push(' ');
        }
        print(&mut out, value)?;
    }
    Ok(out)
}

/// Go's `Sprintln`.
pub(super) fn sprintln(values: &[Value]) -> Answer<String> {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        print(&mut out, value)?;
    }
    out.push('\n');
    Ok(out)
}

/// Go's `%#v`.
pub(super) fn go_syntax(out: &mut String, value: &Value, depth: usize) -> Answer<()> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    match value {
        Value::Nil => out.push_str("interface {}(nil)"),
        Value::Str(text) => out.push_str(&super::text::quote(text)),
        Value::Raw(bytes) => out.push_str(&super::text::quote_bytes(bytes, false)),
        Value::Uint8(number) => {
            let _ = write!(out, "{number:#x}");
        }
        Value::Uint64(number) => {
            let _ = write!(out, "{number:#x}");
        }
        Value::Duration(number) => {
            let _ = write!(out, "{number}");
        }
        Value::List(list) if list.is_nil() => {
            let _ = write!(out, "{}(nil)", value.type_name());
        }
        Value::List(_) | Value::Bytes(_) => {
            let name = if matches!(value, Value::Bytes(_)) { "[]byte" } else { value.type_name() };
            let _ = write!(out, "{name}{{");
            for (index, item) in value.to_items().unwrap_or_default().iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                go_syntax(out, item, depth + 1)?;
            }
            out.push('}');
        }
        Value::Map(map) => {
            let _ = write!(out, "{}{{", value.type_name());
            for (index, (key, value)) in map.entries().iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                let _ = write!(out, "{}:", super::text::quote(key));
                go_syntax(out, value, depth + 1)?;
            }
            out.push('}');
        }
        other => print(out, other)?,
    }
    Ok(())
}
