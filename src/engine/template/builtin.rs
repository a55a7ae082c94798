//! The functions that text/template itself brings: comparison, index, len, print and the escapers.
//!
//! Start with [`FUNCTIONS`]. Source: text/template (funcs.go).

use std::cmp::Ordering;

use super::call::{Body, Function, Type, text};
use super::error::{Answer, Failure};
use super::held::Held;
use super::run::Machine;
use super::value::{Fields, Value};
use super::{escape, format, printf};

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "and", params: &[Type::Reflect], rest: Some(Type::Reflect), body: Body::And },
    Function { name: "or", params: &[Type::Reflect], rest: Some(Type::Reflect), body: Body::Or },
    Function { name: "len", params: &[Type::Reflect], rest: None, body: Body::Length },
    Function { name: "call", params: &[Type::Reflect], rest: Some(Type::Reflect), body: Body::Call },
    Function::new("not", &[Type::Reflect], |_, args| Ok(Value::Bool(!args[0].is_true()))),
    Function::many("eq", &[Type::Reflect], Type::Reflect, |_, args| Ok(Value::Bool(equal(args)?))),
    Function::new("ne", &[Type::Reflect, Type::Reflect], |_, args| Ok(Value::Bool(!equal(args)?))),
    Function::new("lt", &[Type::Reflect, Type::Reflect], |_, args| Ok(Value::Bool(less(args)?))),
    Function::new("le", &[Type::Reflect, Type::Reflect], |_, args| Ok(Value::Bool(less(args)? || equal(args)?))),
    Function::new("gt", &[Type::Reflect, Type::Reflect], |_, args| Ok(Value::Bool(!less(args)? && !equal(args)?))),
    Function::new("ge", &[Type::Reflect, Type::Reflect], |_, args| Ok(Value::Bool(!less(args)?))),
    Function::many("index", &[Type::Reflect], Type::Reflect, index),
    Function::many("print", &[], Type::Any, |_, args| Ok(format::sprint(args)?.into())),
    Function::many("println", &[], Type::Any, |_, args| Ok(format::sprintln(args)?.into())),
    Function::many("printf", &[Type::Text], Type::Any, formatted),
    Function::many("html", &[], Type::Any, |_, args| Ok(escape::html(&joined(args)?).into())),
    Function::many("js", &[], Type::Any, |_, args| Ok(escape::js(&joined(args)?).into())),
    Function::many("urlquery", &[], Type::Any, |_, args| Ok(escape::query(&joined(args)?).into())),
];

fn joined(args: &[Value]) -> Answer<String> {
    let shown: Vec<Value> = args
        .iter()
        .map(|value| if matches!(value, Value::Nil) { Value::str("<no value>") } else { value.clone() })
        .collect();
    format::sprint(&shown)
}

fn formatted(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let form = text(args, 0);
    machine.charge(form.matches('%').count() * 64)?;
    Ok(printf::printf(&form, &args[1..])?.into())
}

/// Why nothing can be called: templates of charts get no functions as values.
pub(super) fn not_callable(callee: &str, value: &Value) -> Box<Failure> {
    match value {
        Value::Nil => Failure::plain("call of nil"),
        other => Failure::plain(format!("non-function {callee} of type {}", other.type_name())),
    }
}

/// The length of a value, as an int.
pub(super) fn length(held: &Held) -> Answer<Value> {
    match (&held.value, held.value.size()) {
        (_, Some(size)) => Ok(Value::Int(size as i64)),
        (Value::Nil, _) if held.boxed => Err(Failure::plain("len of nil pointer")),
        (Value::Nil, _) => Err(Failure::plain("reflect: call of reflect.Value.Type on zero Value")),
        (other, _) => Err(Failure::plain(format!("len of type {}", other.type_name()))),
    }
}

#[derive(PartialEq)]
enum Basic<'v> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(&'v [u8]),
    None,
}

fn basic(value: &Value) -> Basic<'_> {
    match value {
        Value::Bool(bool) => Basic::Bool(*bool),
        Value::Int(number) | Value::Int64(number) | Value::Duration(number) => Basic::Int(*number),
        Value::Uint8(number) => Basic::Uint(u64::from(*number)),
        Value::Uint64(number) => Basic::Uint(*number),
        Value::Float(number) => Basic::Float(*number),
        Value::Str(text) => Basic::Text(text.as_bytes()),
        Value::Raw(bytes) => Basic::Text(bytes),
        _ => Basic::None,
    }
}

fn incompatible(a: &Value, b: &Value) -> Box<Failure> {
    Failure::plain(format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()))
}

fn equal(args: &[Value]) -> Answer<bool> {
    let (first, others) = args.split_first().expect("eq takes at least one argument");
    if others.is_empty() {
        return Err(Failure::plain("missing argument for comparison"));
    }
    for other in others {
        if equals(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equals(a: &Value, b: &Value) -> Answer<bool> {
    match (basic(a), basic(b)) {
        (Basic::Int(int), Basic::Uint(uint)) | (Basic::Uint(uint), Basic::Int(int)) => {
            Ok(u64::try_from(int).is_ok_and(|int| int == uint))
        }
        (Basic::None, Basic::None) => same(a, b),
        (one, two) if std::mem::discriminant(&one) == std::mem::discriminant(&two) => Ok(one == two),
        _ if matches!(a, Value::Nil) || matches!(b, Value::Nil) => Ok(false),
        _ => Err(incompatible(a, b)),
    }
}

fn is_nil(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::List(list) => list.is_nil(),
        Value::Map(map) => map.is_nil(),
        _ => false,
    }
}

fn same(a: &Value, b: &Value) -> Answer<bool> {
    let alike = a.kind_name() == b.kind_name() || matches!(a, Value::Nil) || matches!(b, Value::Nil);
    if !alike {
        let (a_text, b_text) = (as_text(a)?, format::value_text(b)?);
        let message = format!("non-comparable types {a_text}: {}, {}: {b_text}", a.type_name(), b.type_name());
        return Err(Failure::plain(message));
    }
    if is_nil(a) || is_nil(b) {
        return Ok(is_nil(a) && is_nil(b));
    }
    match (a, b) {
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (Value::Object(a), Value::Object(b)) => Ok(std::rc::Rc::ptr_eq(a, b)),
        _ => Err(Failure::plain(format!("non-comparable type {}: {}", as_text(b)?, b.type_name()))),
    }
}

/// How a value shows with `%s`.
fn as_text(value: &Value) -> Answer<String> {
    printf::printf("%s", std::slice::from_ref(value))
}

fn less(args: &[Value]) -> Answer<bool> {
    let (a, b) = (&args[0], &args[1]);
    let bad = || Failure::plain("invalid type for comparison");
    match (basic(a), basic(b)) {
        (Basic::None, _) | (_, Basic::None) => Err(bad()),
        (Basic::Int(int), Basic::Uint(uint)) => Ok(u64::try_from(int).map_or(true, |int| int < uint)),
        (Basic::Uint(uint), Basic::Int(int)) => Ok(u64::try_from(int).is_ok_and(|int| uint < int)),
        (Basic::Bool(_), Basic::Bool(_)) => Err(bad()),
        (Basic::Int(a), Basic::Int(b)) => Ok(a < b),
        (Basic::Uint(a), Basic::Uint(b)) => Ok(a < b),
        (Basic::Float(a), Basic::Float(b)) => Ok(a.partial_cmp(&b) == Some(Ordering::Less)),
        (Basic::Text(a), Basic::Text(b)) => Ok(a < b),
        _ => Err(incompatible(a, b)),
    }
}

/// An index into a list or string.
fn place(index: &Value, most: usize) -> Answer<usize> {
    let number = match index {
        Value::Int(number) | Value::Int64(number) | Value::Duration(number) => *number,
        Value::Uint8(number) => i64::from(*number),
        Value::Uint64(number) => i64::try_from(*number).unwrap_or(-1),
        Value::Nil => return Err(Failure::plain("cannot index slice/array with nil")),
        other => {
            return Err(Failure::plain(format!("cannot index slice/array with type {}", other.type_name())));
        }
    };
    match usize::try_from(number) {
        Ok(place) if place <= most => Ok(place),
        _ => Err(Failure::plain(format!("index out of range: {number}"))),
    }
}

fn index(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut item = args[0].clone();
    if matches!(item, Value::Nil) {
        return Err(Failure::plain("index of untyped nil"));
    }
    for key in &args[1..] {
        let beyond = |place: usize, size: usize| {
            let kind = if matches!(item, Value::Str(_) | Value::Raw(_)) { "string" } else { "slice" };
            let _ = (place, size);
            Failure::plain(format!("reflect: {kind} index out of range"))
        };
        item = match &item {
            Value::Nil => return Err(Failure::plain("index of nil pointer")),
            Value::Map(map) => {
                let Some(name) = key.as_bytes() else {
                    let message = match key {
                        Value::Nil => "value is nil; should be of type string".to_owned(),
                        other => format!("value has type {}; should be string", other.type_name()),
                    };
                    return Err(Failure::plain(message));
                };
                let found = map.get(&String::from_utf8_lossy(name));
                found.unwrap_or_else(|| match map.kind() {
                    Fields::Strings => Value::str(""),
                    Fields::Files => Value::Bytes(std::sync::Arc::from([])),
                    _ => Value::Nil,
                })
            }
            Value::List(list) => {
                let at = place(key, list.items().len())?;
                list.items().get(at).cloned().ok_or_else(|| beyond(at, list.items().len()))?
            }
            Value::Str(_) | Value::Raw(_) | Value::Bytes(_) => {
                let bytes = match &item {
                    Value::Bytes(bytes) => bytes,
                    other => other.as_bytes().unwrap_or_default(),
                };
                let at = place(key, bytes.len())?;
                Value::Uint8(*bytes.get(at).ok_or_else(|| beyond(at, bytes.len()))?)
            }
            other => return Err(Failure::plain(format!("can't index item of type {}", other.type_name()))),
        };
    }
    Ok(item)
}
