//! Sprig's functions on dicts. `set`, `unset` and `merge` change the map that is given.
//!
//! Start with [`FUNCTIONS`]. Source: Masterminds/sprig (dict.go), dario.cat/mergo.

use std::rc::Rc;

use super::call::{Function, Type, map, text};
use super::error::{Answer, Failure};
use super::format::{DEPTH, too_deep};
use super::lists::deep_equal;
use super::run::Machine;
use super::strings::string_text;
use super::value::{Entries, Fields, List, Map, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::many("dict", &[], Type::Any, dict),
    Function::new("get", &[Type::Map, Type::Text], |_, args| {
        Ok(map(args, 0).get(&text(args, 1)).unwrap_or_else(|| Value::str("")))
    }),
    Function::new("set", &[Type::Map, Type::Text, Type::Any], set),
    Function::new("unset", &[Type::Map, Type::Text], |machine, args| {
        let map = map(args, 0);
        machine.change(&map);
        map.remove(&text(args, 1));
        Ok(Value::Map(plain(&map)))
    }),
    Function::new("hasKey", &[Type::Map, Type::Text], |_, args| {
        Ok(map(args, 0).entries().contains_key(&*text(args, 1)).into())
    }),
    Function::many("pluck", &[Type::Text], Type::Map, |_, args| {
        let key = text(args, 0);
        Ok(Value::list((1..args.len()).filter_map(|index| map(args, index).get(&key)).collect()))
    }),
    Function::many("keys", &[], Type::Map, |_, args| {
        let keys: Vec<Rc<str>> =
            (0..args.len()).flat_map(|index| map(args, index).entries().keys().cloned().collect::<Vec<_>>()).collect();
        Ok(Value::strings(keys))
    }),
    Function::new("values", &[Type::Map], |_, args| {
        Ok(Value::list(map(args, 0).entries().values().cloned().collect()))
    }),
    Function::many("pick", &[Type::Map], Type::Text, |_, args| {
        let from = map(args, 0);
        let picked = (1..args.len()).filter_map(|index| {
            let key = text(args, index);
            Some((Rc::from(&*key), from.get(&key)?))
        });
        Ok(Value::Map(Map::new(picked.collect())))
    }),
    Function::many("omit", &[Type::Map], Type::Text, |machine, args| {
        let mut entries = map(args, 0).entries().clone();
        machine.charge(entries.len() * 16)?;
        (1..args.len()).for_each(|index| {
            entries.remove(&*text(args, index));
        });
        Ok(Value::Map(Map::new(entries)))
    }),
    Function::many("merge", &[Type::Map], Type::Map, |machine, args| merge_all(machine, args, false)),
    Function::many("mustMerge", &[Type::Map], Type::Map, |machine, args| merge_all(machine, args, false)),
    Function::many("mergeOverwrite", &[Type::Map], Type::Map, |machine, args| merge_all(machine, args, true)),
    Function::many("mustMergeOverwrite", &[Type::Map], Type::Map, |machine, args| merge_all(machine, args, true)),
    Function::many("dig", &[], Type::Any, dig),
    Function::new("deepCopy", &[Type::Any], |machine, args| deep_copy(machine, &args[0], 0)),
    Function::new("mustDeepCopy", &[Type::Any], |machine, args| deep_copy(machine, &args[0], 0)),
    Function::new("deepEqual", &[Type::Any, Type::Any], |_, args| Ok(deep_equal(&args[0], &args[1], 0)?.into())),
];

/// The map itself, as Go gives it back: under the plain type.
fn plain(map: &Map) -> Map {
    map.retyped(Fields::Any)
}

fn dict(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    machine.charge(size_of_val(args))?;
    let mut entries = Entries::new();
    for pair in args.chunks(2) {
        let key: Rc<str> = match &pair[0] {
            Value::Str(text) => Rc::clone(text),
            other => string_text(other)?.into(),
        };
        entries.insert(key, pair.get(1).cloned().unwrap_or_else(|| Value::str("")));
    }
    Ok(Value::Map(Map::new(entries)))
}

fn set(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let map = map(args, 0);
    if map.is_nil() {
        return Err(Failure::plain("assignment to entry in nil map"));
    }
    machine.change(&map);
    machine.charge(64)?;
    map.insert(text(args, 1).as_ref().into(), args[2].clone());
    Ok(Value::Map(plain(&map)))
}

fn merge_all(machine: &mut Machine<'_>, args: &[Value], overwrite: bool) -> Answer<Value> {
    let into = match map(args, 0) {
        nil if nil.is_nil() => Map::new(Entries::new()),
        into => into,
    };
    for index in 1..args.len() {
        merge(machine, &into, &map(args, index), overwrite, 0)?;
    }
    Ok(Value::Map(plain(&into)))
}

/// Whether mergo lets a value be replaced without being told to overwrite.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Time(_) | Value::Object(_) => false,
        other => !other.is_true(),
    }
}

fn merge(machine: &mut Machine<'_>, into: &Map, from: &Map, overwrite: bool, depth: usize) -> Answer<()> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    if into.is_same(from) {
        return Ok(());
    }
    machine.change(into);
    let new: Vec<(Rc<str>, Value)> = from.entries().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    machine.charge(new.len() * 48)?;
    for (key, value) in new {
        let old = into.get(&key);
        match (&old, &value) {
            (_, Value::Nil) => {
                if overwrite {
                    into.insert(key, value);
                }
            }
            (Some(Value::Map(old)), Value::Map(new)) if !old.is_empty() => {
                merge(machine, old, new, overwrite, depth + 1)?;
            }
            // An empty map is filled, and then replaced by the very map it was filled from.
            (Some(Value::Map(old)), Value::Map(new)) => {
                merge(machine, old, new, overwrite, depth + 1)?;
                into.insert(key, value);
            }
            (Some(old), _) if !overwrite && !is_blank(old) => {}
            _ => into.insert(key, value),
        }
    }
    Ok(())
}

fn dig(_: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    if args.len() < 3 {
        return Err(Failure::plain("dig needs at least three arguments"));
    }
    let converts = |value: &Value, wanted: &str| {
        let is = if matches!(value, Value::Nil) { "nil" } else { value.type_name() };
        Failure::plain(format!("interface conversion: interface {{}} is {is}, not {wanted}"))
    };
    let plain_map = |value: &Value| match value {
        Value::Map(map) if map.kind() == Fields::Any => Ok(map.clone()),
        other => Err(converts(other, "map[string]interface {}")),
    };
    let (keys, ends) = args.split_at(args.len() - 2);
    let mut map = plain_map(&ends[1])?;
    for key in keys {
        if key.as_bytes().is_none() {
            return Err(converts(key, "string"));
        }
    }
    for index in 0..keys.len() {
        let Some(step) = map.get(&text(keys, index)) else { return Ok(ends[0].clone()) };
        if index + 1 == keys.len() {
            return Ok(step);
        }
        map = plain_map(&step)?;
    }
    Ok(ends[0].clone())
}

/// A copy that shares no map or list with the original.
pub(super) fn deep_copy(machine: &mut Machine<'_>, value: &Value, depth: usize) -> Answer<Value> {
    if depth > DEPTH {
        return Err(too_deep());
    }
    Ok(match value {
        Value::List(list) if list.is_nil() => value.clone(),
        Value::List(list) => {
            machine.charge(size_of_val(list.items()))?;
            let items = list.items().iter().map(|item| deep_copy(machine, item, depth + 1));
            Value::List(List::of(list.kind(), items.collect::<Answer<_>>()?))
        }
        Value::Map(map) if map.is_nil() => value.clone(),
        Value::Map(map) => {
            machine.charge(map.len() * 48)?;
            let mut entries = Entries::new();
            for (key, value) in map.entries().iter() {
                entries.insert(Rc::clone(key), deep_copy(machine, value, depth + 1)?);
            }
            Value::Map(Map::of(map.kind(), entries))
        }
        other => other.clone(),
    })
}
