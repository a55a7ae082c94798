//! Strategic merge patch: a merge patch that knows the lists of built-in kinds.
//!
//! Source: apimachinery pkg/util/strategicpatch, as a server applies a patch to an object. Directives: `$patch`,
//! `$retainKeys`, `$setElementOrder/<field>`, `$deleteFromPrimitiveList/<field>`.

use serde_json::{Map, Value};

use super::PatchError;
use super::limits::too_deep;
use super::typed::equal;
use crate::embedded::schema::Schema;
use crate::embedded::schema::node::{ATOMIC, Arena, NodeId, Strategy};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

type Fields = Map<String, Value>;

/// Applies a strategic merge patch; see the front door.
pub fn strategic(target: &Value, patch: &Value, schema: &Schema) -> Result<Value, PatchError> {
    if !schema.is_builtin() {
        let message = "strategic merge patch is not supported for custom resources, use a merge patch";
        return Err(PatchError::Unsupported(message.into()));
    }
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(PatchError::Malformed("a strategic merge patch must be an object".into()));
    };
    if patch.values().any(too_deep) {
        return Err(PatchError::Malformed("the patch nests too deep".into()));
    }
    let merger = Merger { arena: &schema.arena };
    merger.map(target.clone(), patch, schema.root).map(Value::Object)
}

struct Merger<'a> {
    arena: &'a Arena,
}

impl Merger<'_> {
    fn map(&self, mut original: Fields, patch: &Fields, id: NodeId) -> Result<Fields, PatchError> {
        match patch.get(DIRECTIVE).map(|directive| directive.as_str()) {
            None => {}
            Some(Some("replace")) => {
                let mut patch = patch.clone();
                patch.shift_remove(DIRECTIVE);
                return Ok(patch);
            }
            Some(Some("delete")) => return Ok(Fields::new()),
            Some(Some("merge")) | Some(_) => {
                let directive = &patch[DIRECTIVE];
                return Err(bad(format!("unknown patch type {directive} found in a map, use replace or delete")));
            }
        }
        retain(&mut original, patch)?;
        let ordered = self.ordered_lists(&mut original, patch, id)?;
        for (key, value) in patch {
            if key == RETAIN_KEYS || key.starts_with(ORDER) || ordered.contains(&key.as_str()) {
                continue;
            }
            match key.strip_prefix(DELETE) {
                Some(field) => delete_scalars(&mut original, field, value)?,
                None => self.field(&mut original, key, value, id)?,
            }
        }
        Ok(original)
    }

    fn field(&self, original: &mut Fields, key: &str, value: &Value, id: NodeId) -> Result<(), PatchError> {
        if value.is_null() {
            original.shift_remove(key);
            return Ok(());
        }
        let (child, strategy) = self.behind(id, key);
        let merged = match (original.get_mut(key), value) {
            (Some(Value::Object(from)), Value::Object(patch)) if !strategy.replace => {
                Some(Value::Object(self.map(std::mem::take(from), patch, child)?))
            }
            (Some(Value::Object(_)), Value::Object(_)) => Some(value.clone()),
            (Some(Value::Array(from)), Value::Array(patch)) => {
                Some(Value::Array(self.list(std::mem::take(from), patch, child, &strategy)?))
            }
            _ => without_directives(&without_nulls(value)),
        };
        match merged {
            Some(merged) => drop(original.insert(key.to_string(), merged)),
            None => drop(original.shift_remove(key)),
        }
        Ok(())
    }

    fn behind(&self, id: NodeId, key: &str) -> (NodeId, Strategy) {
        let node = self.arena.node(id);
        match node.fields.get(key) {
            Some(field) => (field.node, field.strategy.clone()),
            None => (node.element.unwrap_or(ATOMIC), Strategy::default()),
        }
    }

    fn items(&self, id: NodeId) -> NodeId {
        self.arena.node(id).items.unwrap_or(ATOMIC)
    }

    /// Lists with an order directive are merged and ordered at once; answers which.
    fn ordered_lists<'p>(
        &self,
        original: &mut Fields,
        patch: &'p Fields,
        id: NodeId,
    ) -> Result<Vec<&'p str>, PatchError> {
        let mut done = Vec::new();
        for (directive, order) in patch {
            let Some(key) = directive.strip_prefix(ORDER) else { continue };
            let Value::Array(order) = order else {
                return Err(bad(format!("the value of {directive} must be a list")));
            };
            let (child, strategy) = self.behind(id, key);
            let merge_key = strategy.key.as_deref();
            let as_list = |value: Option<&Value>| match value {
                None => Ok(None),
                Some(Value::Array(items)) => Ok(Some(items.clone())),
                Some(_) => Err(bad(format!("{key} has an order but is no list"))),
            };
            let (live, given) = (as_list(original.get(key))?, as_list(patch.get(key))?);
            check_order(given.as_deref().unwrap_or_default(), order, merge_key)?;
            let merged = match (&live, given) {
                (None, None) => continue,
                (Some(live), None) => live.clone(),
                (None, Some(given)) => given.iter().filter_map(without_directives).collect(),
                (Some(live), Some(given)) => self.list(live.clone(), &given, child, &strategy)?,
            };
            let merged = in_order(merged, order, live.as_deref().unwrap_or_default(), merge_key)?;
            original.insert(key.to_string(), Value::Array(merged));
            done.push(key);
        }
        Ok(done)
    }

    fn list(
        &self,
        original: Vec<Value>,
        patch: &[Value],
        id: NodeId,
        strategy: &Strategy,
    ) -> Result<Vec<Value>, PatchError> {
        if !strategy.merge {
            return Ok(patch.to_vec());
        }
        let is_maps = original.iter().chain(patch).any(Value::is_object);
        if !is_maps {
            let mut merged: Vec<Value> = Vec::new();
            for item in original.iter().chain(patch) {
                if !merged.iter().any(|known| equal(known, item)) {
                    merged.push(item.clone());
                }
            }
            return in_order(merged, patch, &original, None);
        }
        let key = strategy.key.as_deref().ok_or_else(|| bad("cannot merge lists without merge key".into()))?;
        let (mut merged, patch) = special_items(original.clone(), patch, key)?;
        let Some(patch) = patch else { return Ok(merged) };
        for item in &patch {
            let value = key_of(item, key)?;
            match find(&merged, key, value)? {
                Some(at) => {
                    let (Value::Object(from), Value::Object(over)) = (merged[at].take(), item) else {
                        return Err(bad(format!("a list merged by {key} holds something else than maps")));
                    };
                    merged[at] = Value::Object(self.map(from, over, self.items(id))?);
                }
                None => merged.push((*item).clone()),
            }
        }
        let order: Vec<Value> = patch.into_iter().cloned().collect();
        in_order(merged, &order, &original, Some(key))
    }
}

fn bad(message: String) -> PatchError {
    PatchError::Malformed(message)
}

/// Keeps only the named fields of a map with exclusive alternatives.
fn retain(original: &mut Fields, patch: &Fields) -> Result<(), PatchError> {
    let Some(directive) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = directive else {
        return Err(bad(format!("the value of {RETAIN_KEYS} must be a list")));
    };
    let kept = |key: &str| keys.iter().any(|kept| kept == key);
    for (key, value) in patch {
        let is_directive = key == RETAIN_KEYS || key.starts_with(DELETE) || key.starts_with(ORDER);
        if !is_directive && !value.is_null() && !kept(key) {
            return Err(bad(format!("the patch sets {key}, which its {RETAIN_KEYS} does not name")));
        }
    }
    original.retain(|key, _| kept(key));
    Ok(())
}

fn delete_scalars(original: &mut Fields, field: &str, doomed: &Value) -> Result<(), PatchError> {
    let Value::Array(doomed) = doomed else {
        return Err(bad(format!("the value of {DELETE}{field} must be a list")));
    };
    if let Some(Value::Array(items)) = original.get_mut(field) {
        items.retain(|item| !doomed.iter().any(|gone| equal(gone, item)));
    }
    Ok(())
}

/// Carries out `$patch` items; without ordinary items left when the whole list is replaced.
fn special_items<'p>(
    mut original: Vec<Value>,
    patch: &'p [Value],
    key: &str,
) -> Result<(Vec<Value>, Option<Vec<&'p Value>>), PatchError> {
    let mut plain = Vec::new();
    let mut replace = false;
    for item in patch {
        match item.get(DIRECTIVE).map(Value::as_str) {
            None => plain.push(item),
            Some(Some("delete")) => {
                let value = key_of(item, key)?;
                original.retain(|known| known.get(key).is_none_or(|known| !equal(known, value)));
            }
            Some(Some("replace")) => replace = true,
            Some(_) => return Err(bad(format!("unknown patch type {} in a list item", item[DIRECTIVE]))),
        }
    }
    if replace {
        return Ok((plain.into_iter().cloned().collect(), None));
    }
    Ok((original, Some(plain)))
}

fn key_of<'v>(item: &'v Value, key: &str) -> Result<&'v Value, PatchError> {
    let Value::Object(fields) = item else {
        return Err(bad(format!("a list merged by {key} holds something else than maps")));
    };
    fields.get(key).ok_or_else(|| bad(format!("map does not contain declared merge key: {key}")))
}

fn find(items: &[Value], key: &str, value: &Value) -> Result<Option<usize>, PatchError> {
    if items.iter().any(|item| !item.is_object()) {
        return Err(bad(format!("a list merged by {key} holds something else than maps")));
    }
    Ok(items.iter().position(|item| item.get(key).is_some_and(|known| equal(known, value))))
}

/// Whether the items of a patch come in the order its directive states.
fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    let mut at = order.iter();
    if order.is_empty() {
        return Ok(());
    }
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        let wanted = identity(item, key)?;
        let mut found = false;
        for step in at.by_ref() {
            if equal(identity(step, key)?, wanted) {
                found = true;
                break;
            }
        }
        if !found {
            return Err(bad(format!("the order of the patch's items does not match its {ORDER} list")));
        }
    }
    Ok(())
}

fn identity<'v>(item: &'v Value, key: Option<&str>) -> Result<&'v Value, PatchError> {
    key.map_or(Ok(item), |key| key_of(item, key))
}

/// The items the writer named in the writer's order, the others where the live list had them.
fn in_order(items: Vec<Value>, order: &[Value], live: &[Value], key: Option<&str>) -> Result<Vec<Value>, PatchError> {
    let place = |list: &[Value], item: &Value| -> Result<Option<usize>, PatchError> {
        let wanted = identity(item, key)?;
        let same = |known: &Value| identity(known, key).is_ok_and(|known| equal(known, wanted));
        Ok(list.iter().position(same))
    };
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in items {
        match place(order, &item)? {
            Some(at) => named.push((at, item)),
            None => others.push((place(live, &item)?.unwrap_or(usize::MAX), item)),
        }
    }
    named.sort_by_key(|(at, _)| *at);
    others.sort_by_key(|(at, _)| *at);
    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, item) in named {
        let here = place(live, &item)?;
        while let Some(other) = others.next_if(|(at, _)| here.is_some_and(|here| *at < here)) {
            out.push(other.1);
        }
        out.push(item);
    }
    out.extend(others.map(|(_, item)| item));
    Ok(out)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k.clone(), without_nulls(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        value => value.clone(),
    }
}

/// A value to be taken as it is; maps that are only a directive vanish.
fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => {
            let kept = fields.iter().filter_map(|(k, v)| Some((k.clone(), without_directives(v)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(without_directives).collect())),
        value => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::schema;
    use serde_json::json;

    fn patched(target: Value, patch: Value) -> Result<Value, PatchError> {
        strategic(&target, &patch, &schema::builtin("apps", "v1", "Deployment").unwrap())
    }

    fn pod(spec: Value) -> Value {
        json!({"spec": {"template": {"spec": spec}}})
    }

    #[test]
    fn lists_merge_by_their_key_and_delete_by_directive() {
        let live =
            json!({"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]});
        let cases = [
            (
                json!({"containers": [{"name": "a", "image": "2"}]}),
                json!([{"name": "a", "image": "2", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]),
            ),
            (
                json!({"containers": [{"name": "c"}, {"name": "a", "env": [{"name": "Y"}]}]}),
                json!([{"name": "c"},
                    {"name": "a", "image": "1", "env": [{"name": "Y"}, {"name": "X", "value": "1"}]}, {"name": "b"}]),
            ),
            (json!({"containers": [{"name": "a", "$patch": "delete"}]}), json!([{"name": "b"}])),
            (json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}), json!([{"name": "z"}])),
            (json!({"containers": [{"name": "a", "image": null, "env": null}]}), json!([{"name": "a"}, {"name": "b"}])),
            (
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                    "containers": [{"name": "a", "image": "3"}]}),
                json!([{"name": "b"}, {"name": "a", "image": "3", "env": [{"name": "X", "value": "1"}]}]),
            ),
            (
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
                json!([{"name": "b"}, {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}]),
            ),
        ];
        for (patch, expected) in cases {
            let out = patched(pod(live.clone()), pod(patch.clone())).unwrap();
            assert_eq!(out["spec"]["template"]["spec"]["containers"], expected, "{patch}");
        }
    }

    #[test]
    fn maps_replace_delete_and_retain_keys() {
        let live =
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}, "paused": true}});
        let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
        let expected = json!({"spec": {"strategy": {"type": "Recreate"}, "paused": true}});
        assert_eq!(patched(live.clone(), patch).unwrap(), expected);
        let patch = json!({"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}});
        assert_eq!(patched(live.clone(), patch).unwrap(), expected);
        let patch = json!({"spec": {"strategy": {"$patch": "delete"}, "paused": null}});
        assert_eq!(patched(live.clone(), patch).unwrap(), json!({"spec": {"strategy": {}}}));
        let patch = json!({"spec": {"template": {"metadata": {"labels": {"a": "b", "gone": null}}}}});
        let made = patched(json!({}), patch).unwrap();
        assert_eq!(made, json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}));
    }

    #[test]
    fn scalar_lists_are_sets_with_a_delete_list() {
        let live = json!({"metadata": {"finalizers": ["a", "b", "c"]}});
        let patch = json!({"metadata": {"finalizers": ["d", "a"]}});
        assert_eq!(patched(live.clone(), patch).unwrap()["metadata"]["finalizers"], json!(["d", "a", "b", "c"]));
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"]}});
        assert_eq!(patched(live.clone(), patch).unwrap()["metadata"]["finalizers"], json!(["a", "c"]));
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"],
            "$setElementOrder/finalizers": ["c", "b", "e"], "finalizers": ["e"]}});
        assert_eq!(patched(live, patch).unwrap()["metadata"]["finalizers"], json!(["c", "b", "e"]));
    }

    #[test]
    fn nonsense_is_refused() {
        let live = pod(json!({"containers": [{"name": "a"}]}));
        let bad = [
            pod(json!({"containers": [{"image": "x"}]})),
            pod(json!({"containers": [{"name": "a", "$patch": "explode"}]})),
            pod(json!({"$patch": "explode"})),
            pod(json!({"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]})),
            pod(json!({"$setElementOrder/containers": "a"})),
            json!({"spec": {"$retainKeys": ["paused"], "replicas": 1}}),
            json!([]),
        ];
        for patch in bad {
            assert!(matches!(patched(live.clone(), patch.clone()), Err(PatchError::Malformed(_))), "{patch}");
        }
        let custom = schema::custom(None, true).unwrap();
        assert!(matches!(strategic(&live, &json!({}), &custom), Err(PatchError::Unsupported(_))));
    }
}
