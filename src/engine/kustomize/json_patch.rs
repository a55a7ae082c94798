//! JSON patches (RFC 6902) as the library does that kustomize uses.
//!
//! Source: gopkg.in/evanphx/json-patch.v4. It is lenient where the RFC is strict: `replace` sets a missing key, a path
//! may lack its first slash's left side, indexes may count from the end. Sizes are bounded here.

use serde_json::{Map, Value};

use super::budget::{Budget, check_depth, measure_json};

/// More operations than this are refused.
const MOST_OPERATIONS: usize = 10_000;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operation {
    op: String,
    path: Option<String>,
    from: Option<String>,
    value: Option<Value>,
}

/// Reads a list of operations.
///
/// Errors when it is not one.
pub(super) fn parse(value: &Value) -> Result<Vec<Operation>, String> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        _ => return Err("a JSON patch is a list of operations".into()),
    };
    if items.len() > MOST_OPERATIONS {
        return Err(format!("the patch has more than {MOST_OPERATIONS} operations"));
    }
    let operation = |item: &Value| {
        let fields = item.as_object().ok_or("an operation is not a mapping")?;
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Operation {
            op: text("op").unwrap_or_default(),
            path: text("path"),
            from: text("from"),
            value: fields.get("value").cloned(),
        })
    };
    items.iter().map(operation).collect()
}

/// Applies the operations in order.
///
/// Errors with the first that does not apply.
pub(super) fn apply(document: &mut Value, operations: &[Operation], budget: &Budget) -> Result<(), String> {
    for (number, operation) in operations.iter().enumerate() {
        run(document, operation, budget).map_err(|error| {
            let path = operation.path.as_deref().unwrap_or_default();
            format!("operation {} ({} {path:?}): {error}", number + 1, operation.op)
        })?;
    }
    Ok(())
}

fn run(document: &mut Value, operation: &Operation, budget: &Budget) -> Result<(), String> {
    let path = || operation.path.as_deref().ok_or_else(|| "it has no path".to_owned());
    let from = || operation.from.as_deref().ok_or_else(|| "it has no from".to_owned());
    let value = || operation.value.clone().unwrap_or(Value::Null);
    match operation.op.as_str() {
        "add" => {
            let (path, value) = (path()?, value());
            fits(path, &value, budget)?;
            add(document, path, value)
        }
        "remove" => remove(document, path()?).map(drop),
        "replace" => {
            let (path, value) = (path()?, value());
            fits(path, &value, budget)?;
            replace(document, path, value)
        }
        "move" => {
            let (from, path) = (from()?, path()?);
            let moved = remove(document, from)?;
            fits(path, &moved, budget)?;
            add(document, path, moved)
        }
        "copy" => {
            let (parent, key) = parent_of(document, from()?)?;
            let found = get(parent, &key)?.cloned().unwrap_or(Value::Null);
            let path = path()?;
            fits(path, &found, budget)?;
            add(document, path, found)
        }
        "test" => test(document, path()?, &value()),
        _ => Err("it must be add, remove, replace, move, copy or test".into()),
    }
}

/// Counts a value that is written; refuses one that would lie too deep.
fn fits(path: &str, value: &Value, budget: &Budget) -> Result<(), String> {
    let (bytes, depth) = measure_json(value);
    check_depth(path.matches('/').count(), depth)?;
    budget.write(bytes + path.len())
}

/// The container that holds the last part of a path, and that part.
fn parent_of<'d>(document: &'d mut Value, path: &str) -> Result<(&'d mut Value, String), String> {
    let parts: Vec<String> = path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let Some((last, parts)) = parts.split_last() else { return Err("the path names no field".into()) };
    let mut at = document;
    for part in parts {
        at = match at {
            Value::Object(fields) => fields.get_mut(part),
            Value::Array(items) => index(part, items.len()).ok().and_then(|index| items.get_mut(index)),
            _ => None,
        }
        .filter(|next| next.is_object() || next.is_array())
        .ok_or_else(|| format!("the path does not exist at {part:?}"))?;
    }
    Ok((at, last.clone()))
}

/// An index from the start or, when negative, from the end.
fn index(text: &str, count: usize) -> Result<usize, String> {
    let number: i64 = text.parse().map_err(|_| format!("{text:?} is not an index"))?;
    let from_end = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
    let index = if number < 0 { count.checked_sub(from_end) } else { Some(from_end) };
    index.ok_or_else(|| format!("there is no element {number}"))
}

fn get<'d>(container: &'d Value, key: &str) -> Result<Option<&'d Value>, String> {
    match container {
        Value::Object(fields) => Ok(fields.get(key)),
        Value::Array(items) => {
            let found = items.get(index(key, items.len())?);
            found.map(Some).ok_or_else(|| format!("there is no element {key}"))
        }
        _ => Err("the path leads into a plain value".into()),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (parent, key) = parent_of(document, path)?;
    match parent {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let at = index(&key, items.len() + 1)?;
            if at > items.len() {
                return Err(format!("the list has only {} elements", items.len()));
            }
            items.insert(at, value);
        }
        _ => return Err("the path leads into a plain value".into()),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, key) = parent_of(document, path)?;
    match parent {
        Value::Object(fields) => fields.shift_remove(&key).ok_or_else(|| "the field does not exist".to_owned()),
        Value::Array(items) => {
            let at = index(&key, items.len())?;
            if at >= items.len() {
                return Err(format!("the list has only {} elements", items.len()));
            }
            Ok(items.remove(at))
        }
        _ => Err("the path leads into a plain value".into()),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        if !value.is_object() {
            return Err("an object can only be replaced by a mapping".into());
        }
        *document = value;
        return Ok(());
    }
    let (parent, key) = parent_of(document, path)?;
    match parent {
        Value::Object(fields) => {
            fields.insert(key, value);
            Ok(())
        }
        Value::Array(items) => {
            let at = index(&key, items.len())?;
            let count = items.len();
            let place = items.get_mut(at).ok_or_else(|| format!("the list has only {count} elements"))?;
            *place = value;
            Ok(())
        }
        _ => Err("the path leads into a plain value".into()),
    }
}

fn test(document: &mut Value, path: &str, wanted: &Value) -> Result<(), String> {
    let found = if path.is_empty() {
        Some(&*document)
    } else {
        let (parent, key) = parent_of(document, path)?;
        get(parent, &key)?
    };
    match found {
        Some(found) if equal(found, wanted) => Ok(()),
        None if wanted.is_null() => Ok(()),
        _ => Err("the value is not what the test wants".into()),
    }
}

/// Equal by value: numbers by size, mappings whatever their order.
fn equal(a: &Value, b: &Value) -> bool {
    let fields = |a: &Map<String, Value>, b: &Map<String, Value>| {
        a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => fields(a, b),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(mut document: Value, patch: Value) -> Result<Value, String> {
        apply(&mut document, &parse(&patch)?, &Budget::new(super::super::Limits::default()))?;
        Ok(document)
    }

    #[test]
    fn operations_do_what_the_library_of_kustomize_does() {
        let document = json!({"a": {"b/c": [1, 2, 3]}, "n": null});
        let rows = [
            (json!([{"op": "add", "path": "/a/b~1c/-", "value": 4}]), json!({"a": {"b/c": [1, 2, 3, 4]}, "n": null})),
            (json!([{"op": "add", "path": "/a/b~1c/-1", "value": 4}]), json!({"a": {"b/c": [1, 2, 3, 4]}, "n": null})),
            (json!([{"op": "remove", "path": "/a/b~1c/-1"}]), json!({"a": {"b/c": [1, 2]}, "n": null})),
            (json!([{"op": "replace", "path": "/x", "value": 1}]), json!({"a": {"b/c": [1, 2, 3]}, "n": null, "x": 1})),
            (json!([{"op": "move", "from": "/a/b~1c/0", "path": "/n"}]), json!({"a": {"b/c": [2, 3]}, "n": 1})),
            (json!([{"op": "copy", "from": "/a/b~1c/0", "path": "/n"}]), json!({"a": {"b/c": [1, 2, 3]}, "n": 1})),
            (json!([{"op": "test", "path": "/a/b~1c/0", "value": 1.0}]), document.clone()),
        ];
        for (patch, expected) in rows {
            assert_eq!(patched(document.clone(), patch.clone()).as_ref(), Ok(&expected), "{patch}");
        }
        for patch in [
            json!([{"op": "add", "path": "/x/y", "value": 1}]),
            json!([{"op": "remove", "path": "/x"}]),
            json!([{"op": "add", "path": "/a/b~1c/9", "value": 1}]),
            json!([{"op": "test", "path": "/n", "value": 1}]),
            json!([{"op": "nonsense", "path": "/n"}]),
            json!({"op": "add"}),
        ] {
            assert!(patched(document.clone(), patch.clone()).is_err(), "{patch}");
        }
    }
}
