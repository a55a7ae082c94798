//! Sprig's functions on lists, and those on what is empty.
//!
//! Lists are never changed in place. Start with [`FUNCTIONS`]. Source: Masterminds/sprig (list.go, defaults.go).

use std::rc::Rc;

use super::call::{Function, Type, int};
use super::error::{Answer, Failure};
use super::format::{DEPTH, too_deep};
use super::numbers::to_int;
use super::run::Machine;
use super::value::{Items, List, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::many("list", &[], Type::Any, |_, args| Ok(Value::list(args.to_vec()))),
    Function::many("tuple", &[], Type::Any, |_, args| Ok(Value::list(args.to_vec()))),
    Function::new("append", &[Type::Any, Type::Any], push),
    Function::new("push", &[Type::Any, Type::Any], push),
    Function::new("mustAppend", &[Type::Any, Type::Any], push),
    Function::new("mustPush", &[Type::Any, Type::Any], push),
    Function::new("prepend", &[Type::Any, Type::Any], prepend),
    Function::new("mustPrepend", &[Type::Any, Type::Any], prepend),
    Function::new("first", &[Type::Any], first),
    Function::new("mustFirst", &[Type::Any], first),
    Function::new("last", &[Type::Any], last),
    Function::new("mustLast", &[Type::Any], last),
    Function::new("rest", &[Type::Any], rest),
    Function::new("mustRest", &[Type::Any], rest),
    Function::new("initial", &[Type::Any], initial),
    Function::new("mustInitial", &[Type::Any], initial),
    Function::new("reverse", &[Type::Any], reverse),
    Function::new("mustReverse", &[Type::Any], reverse),
    Function::new("compact", &[Type::Any], compact),
    Function::new("mustCompact", &[Type::Any], compact),
    Function::new("uniq", &[Type::Any], uniq),
    Function::new("mustUniq", &[Type::Any], uniq),
    Function::many("without", &[Type::Any], Type::Any, without),
    Function::many("mustWithout", &[Type::Any], Type::Any, without),
    Function::new("has", &[Type::Any, Type::Any], has),
    Function::new("mustHas", &[Type::Any, Type::Any], has),
    Function::many("slice", &[Type::Any], Type::Any, slice),
    Function::many("mustSlice", &[Type::Any], Type::Any, slice),
    Function::many("concat", &[], Type::Any, concat),
    Function::new("chunk", &[Type::Int, Type::Any], chunk),
    Function::new("mustChunk", &[Type::Int, Type::Any], chunk),
    Function::many("default", &[Type::Any], Type::Any, |_, args| {
        Ok(args[if args.get(1).is_none_or(is_empty) { 0 } else { 1 }].clone())
    }),
    Function::new("empty", &[Type::Any], |_, args| Ok(is_empty(&args[0]).into())),
    Function::many("coalesce", &[], Type::Any, |_, args| {
        Ok(args.iter().find(|value| !is_empty(value)).cloned().unwrap_or_default())
    }),
    Function::many("all", &[], Type::Any, |_, args| Ok((!args.iter().any(is_empty)).into())),
    Function::many("any", &[], Type::Any, |_, args| Ok((!args.iter().all(is_empty)).into())),
    Function::new("ternary", &[Type::Any, Type::Any, Type::Bool], |_, args| {
        Ok(args[if args[2].is_true() { 0 } else { 1 }].clone())
    }),
];

/// Whether Sprig takes a value for empty.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.is_true()
}

fn items(value: &Value, doing: &str) -> Answer<Vec<Value>> {
    match (value.to_items(), value) {
        (Some(items), _) => Ok(items),
        (None, Value::Nil) => Err(Failure::plain("runtime error: invalid memory address or nil pointer dereference")),
        (None, other) => Err(Failure::plain(format!("Cannot {doing} type {}", other.kind_name()))),
    }
}

fn push(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut list = items(&args[0], "push on")?;
    machine.charge(list.len() * size_of::<Value>())?;
    list.push(args[1].clone());
    Ok(Value::list(list))
}

fn prepend(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut list = items(&args[0], "prepend on")?;
    machine.charge(list.len() * size_of::<Value>())?;
    list.insert(0, args[1].clone());
    Ok(Value::list(list))
}

fn first(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    Ok(items(&args[0], "find first on")?.into_iter().next().unwrap_or_default())
}

fn last(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    Ok(items(&args[0], "find last on")?.pop().unwrap_or_default())
}

fn or_nil(list: Vec<Value>, was_empty: bool) -> Value {
    Value::List(if was_empty { List::nil(Items::Any) } else { List::new(list) })
}

fn rest(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let list = items(&args[0], "find rest on")?;
    let was_empty = list.is_empty();
    Ok(or_nil(list.into_iter().skip(1).collect(), was_empty))
}

fn initial(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut list = items(&args[0], "find initial on")?;
    let was_empty = list.pop().is_none();
    Ok(or_nil(list, was_empty))
}

fn reverse(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut list = items(&args[0], "find reverse on")?;
    list.reverse();
    Ok(Value::list(list))
}

fn compact(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut list = items(&args[0], "compact on")?;
    list.retain(|value| !is_empty(value));
    Ok(Value::list(list))
}

fn contains(machine: &mut Machine<'_>, list: &[Value], value: &Value) -> Answer<bool> {
    machine.charge(list.len() * 8)?;
    for item in list {
        if deep_equal(item, value, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut kept = Vec::new();
    for item in items(&args[0], "find uniq on")? {
        if !contains(machine, &kept, &item)? {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn without(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut kept = Vec::new();
    for item in items(&args[0], "find without on")? {
        if !contains(machine, &args[1..], &item)? {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn has(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    if matches!(args[1], Value::Nil) {
        return Ok(Value::Bool(false));
    }
    let list = items(&args[1], "find has on")?;
    Ok(contains(machine, &list, &args[0])?.into())
}

fn slice(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let Some(list) = args[0].to_items() else {
        return match &args[0] {
            Value::Nil => items(&Value::Nil, "").map(Value::list),
            other => Err(Failure::plain(format!("list should be type of slice or array but {}", other.kind_name()))),
        };
    };
    if list.is_empty() {
        return Ok(Value::Nil);
    }
    let place = |index: usize, otherwise: usize| match args.get(index) {
        Some(value) => usize::try_from(to_int(value)).ok(),
        None => Some(otherwise),
    };
    match (place(1, 0), place(2, list.len())) {
        (Some(start), Some(end)) if start <= end && end <= list.len() => {
            let part = list[start..end].to_vec();
            Ok(match &args[0] {
                Value::List(whole) => Value::List(List::of(whole.kind(), part)),
                _ => Value::list(part),
            })
        }
        _ => Err(Failure::plain("reflect.Value.Slice: slice index out of bounds")),
    }
}

fn concat(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let mut all = Vec::new();
    for list in args {
        let Some(mut part) = list.to_items() else {
            if matches!(list, Value::Nil) {
                return items(list, "").map(Value::list);
            }
            return Err(Failure::plain(format!("Cannot concat type {} as list", list.kind_name())));
        };
        machine.charge(part.len() * size_of::<Value>())?;
        all.append(&mut part);
    }
    let nothing = all.is_empty();
    Ok(or_nil(all, nothing))
}

fn chunk(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let list = items(&args[1], "chunk")?;
    let Some(size) = usize::try_from(int(args, 0)).ok().filter(|size| *size > 0) else {
        return Err(Failure::plain("runtime error: makeslice: len out of range"));
    };
    let chunks = list.chunks(size).map(|chunk| Value::list(chunk.to_vec())).collect();
    Ok(Value::List(List::of(Items::Lists, chunks)))
}

/// Go's `DeepEqual`: the types must be the same too.
pub(super) fn deep_equal(a: &Value, b: &Value, depth: usize) -> Answer<bool> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    Ok(match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b))
        | (Value::Int64(a), Value::Int64(b))
        | (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Uint8(a), Value::Uint8(b)) => a == b,
        (Value::Uint64(a), Value::Uint64(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Str(_) | Value::Raw(_), Value::Str(_) | Value::Raw(_)) => a.as_bytes() == b.as_bytes(),
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Time(a), Value::Time(b)) => a == b,
        (Value::Object(a), Value::Object(b)) => Rc::ptr_eq(a, b) || (a.type_name == b.type_name && a.text == b.text),
        (Value::List(a), Value::List(b)) => {
            if a.kind() != b.kind() || a.is_nil() != b.is_nil() || a.items().len() != b.items().len() {
                return Ok(false);
            }
            for (a, b) in a.items().iter().zip(b.items()) {
                if !deep_equal(a, b, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.is_same(b) {
                return Ok(true);
            }
            if a.kind() != b.kind() || a.is_nil() != b.is_nil() || a.len() != b.len() {
                return Ok(false);
            }
            let (a, b) = (a.entries(), b.entries());
            for ((a_key, a), (b_key, b)) in a.iter().zip(b.iter()) {
                if a_key != b_key || !deep_equal(a, b, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        _ => false,
    })
}
