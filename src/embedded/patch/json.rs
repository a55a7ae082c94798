//! JSON patch (RFC 6902) and merge patch (RFC 7386), bounded.

use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

use super::PatchError;
use super::limits::{DEPTH, RESULT_BYTES, depth, size};

/// How many operations a patch may have.
const OPERATIONS: usize = 10_000;

/// Applies an RFC 6902 patch; see the front door.
pub fn json(target: &Value, operations: &Value) -> Result<Value, PatchError> {
    let Some(list) = operations.as_array() else {
        return Err(PatchError::Malformed("a JSON patch must be a list of operations".into()));
    };
    if list.len() > OPERATIONS {
        let message = format!("The allowed maximum operations in a JSON patch is {OPERATIONS}, got {}", list.len());
        return Err(PatchError::TooLarge(message));
    }
    let mut object = target.clone();
    let mut growth = Growth { bytes: size(&object), levels: depth(&object) };
    for (index, operation) in list.iter().enumerate() {
        let malformed = |e: serde_json::Error| match operation {
            // The real server reads any list of objects, and fails when it carries an operation out.
            Value::Object(_) => PatchError::Unprocessable(format!("operation {index}: {e}")),
            _ => PatchError::Malformed(format!("operation {index}: {e}")),
        };
        let operation: PatchOperation = serde_json::from_value(operation.clone()).map_err(malformed)?;
        growth.allow(&object, &operation)?;
        if let Err(error) = json_patch::patch(&mut object, std::slice::from_ref(&operation)) {
            if is_test_for_absence(&operation, &error.kind) {
                continue;
            }
            let (name, path) = named(&operation);
            return Err(PatchError::Unprocessable(format!("operation {index}: {name} {path}: {}", error.kind)));
        }
    }
    if size(&object) > RESULT_BYTES {
        return Err(too_large());
    }
    Ok(object)
}

/// A `test` of null at a path that does not exist passes: kube's finalizer helper relies on it.
fn is_test_for_absence(operation: &PatchOperation, error: &PatchErrorKind) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    test.value.is_null() && matches!(error, PatchErrorKind::InvalidPointer)
}

/// How big and deep the object can have become: copies can double it each time, so they are counted before they are
/// made, and nesting can add up over operations.
struct Growth {
    bytes: usize,
    levels: usize,
}

impl Growth {
    fn allow(&mut self, object: &Value, operation: &PatchOperation) -> Result<(), PatchError> {
        let at = operation.path().tokens().count();
        let measured = |value: Result<&Value, _>| value.map_or((0, 0), |value: &Value| (size(value), depth(value)));
        let (bytes, below) = match operation {
            PatchOperation::Add(add) => (size(&add.value), depth(&add.value)),
            PatchOperation::Replace(replace) => (size(&replace.value), depth(&replace.value)),
            PatchOperation::Copy(copy) => measured(copy.from.resolve(object)),
            // What moves is not measured, because ten thousand moves of a big part would take their time.
            PatchOperation::Move(moved) => (0, self.levels.saturating_sub(moved.from.tokens().count())),
            PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
        };
        self.bytes += bytes;
        self.levels = self.levels.max(at + below);
        if self.levels > DEPTH {
            let below = match operation {
                PatchOperation::Move(moved) => measured(moved.from.resolve(object)).1,
                _ => below,
            };
            self.levels = depth(object).max(at + below);
        }
        if self.bytes > RESULT_BYTES || self.levels > DEPTH { Err(too_large()) } else { Ok(()) }
    }
}

fn too_large() -> PatchError {
    PatchError::TooLarge(format!("the patched object is larger than {RESULT_BYTES} bytes or {DEPTH} levels"))
}

fn named(operation: &PatchOperation) -> (&'static str, String) {
    let name = match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    };
    (name, operation.path().to_string())
}

/// Applies an RFC 7386 patch.
pub fn merge(target: &Value, patch: &Value) -> Value {
    let mut changed = target.clone();
    json_patch::merge(&mut changed, patch);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_change_the_object_in_order() {
        let target = json!({"metadata": {"name": "x"}, "list": [1, 2]});
        let patch = json!([
            {"op": "test", "path": "/metadata/finalizers", "value": null},
            {"op": "add", "path": "/metadata/finalizers", "value": ["a/b"]},
            {"op": "test", "path": "/metadata/finalizers/0", "value": "a/b"},
            {"op": "add", "path": "/list/-", "value": 3},
            {"op": "remove", "path": "/list/0"},
            {"op": "replace", "path": "/list/0", "value": "two"},
            {"op": "copy", "from": "/list", "path": "/copy"},
            {"op": "move", "from": "/copy", "path": "/moved"},
            {"op": "add", "path": "/a~1b", "value": true}]);
        let expected = json!({"metadata": {"name": "x", "finalizers": ["a/b"]}, "list": ["two", 3],
            "moved": ["two", 3], "a/b": true});
        assert_eq!(json(&target, &patch).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_done_is_unprocessable_and_what_makes_no_sense_is_malformed() {
        let target = json!({"a": 1, "n": null});
        let failing = [
            json!([{"op": "test", "path": "/a", "value": 2}]),
            json!([{"op": "test", "path": "/b", "value": 2}]),
            json!([{"op": "test", "path": "/a", "value": null}]),
            json!([{"op": "remove", "path": "/b"}]),
            json!([{"op": "replace", "path": "/b", "value": 1}]),
            json!([{"op": "add", "path": "/x/y", "value": 1}]),
            json!([{"op": "copy", "from": "/x", "path": "/y"}]),
            json!([{"op": "jump", "path": "/a"}]),
            json!([{"path": "/a"}]),
            json!([{"op": "add", "path": "/a"}]),
        ];
        for patch in failing {
            assert!(matches!(json(&target, &patch), Err(PatchError::Unprocessable(_))), "{patch}");
        }
        let malformed = [json!({}), json!([1])];
        for patch in malformed {
            assert!(matches!(json(&target, &patch), Err(PatchError::Malformed(_))), "{patch}");
        }
        assert!(json(&target, &json!([{"op": "test", "path": "/n", "value": null}])).is_ok());
    }

    #[test]
    fn a_patch_that_grows_without_bound_is_refused() {
        let many = Value::Array(vec![json!({"op": "test", "path": "/a", "value": 1}); 10_001]);
        assert!(matches!(json(&json!({"a": 1}), &many), Err(PatchError::TooLarge(_))));
        let mut doubling = Vec::new();
        for index in 0..200 {
            doubling.push(json!({"op": "copy", "from": "/a", "path": format!("/a/{index}")}));
        }
        let refused = json(&json!({"a": {"seed": "x".repeat(100)}}), &Value::Array(doubling));
        assert!(matches!(refused, Err(PatchError::TooLarge(_))));
        let nesting: Vec<Value> = (0..600).map(|_| json!({"op": "move", "from": "/a", "path": "/b/a"})).collect();
        assert!(json(&json!({"a": 1, "b": {}}), &Value::Array(nesting)).is_err());
    }

    #[test]
    fn a_merge_patch_deletes_by_null() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        ];
        for (target, patch, expected) in cases {
            assert_eq!(merge(&target, &patch), expected, "{target} {patch}");
        }
    }
}
