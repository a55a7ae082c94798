//! The patch that brings a change into what lives, and leaves alone what others put there.
//!
//! What the original had and the target has not goes away; lists of built-in kinds merge by their keys, as in a
//! strategic merge, so that a caBundle or a sidecar that somebody injected stays. Everything else is a JSON merge.
//! Start with [`patch`]. Source: apimachinery pkg/util/strategicpatch (CreateThreeWayMergePatch), jsonmergepatch.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::schema::{At, Field, Schema};

/// Deeper documents are replaced as a whole.
const DEPTH: usize = 128;

/// The JSON merge patch from what lives to the target; an empty object when there is nothing to do.
pub fn patch(original: Option<&Value>, target: &Value, live: &Value) -> Value {
    let text = |key: &str| target[key].as_str().unwrap_or_default();
    let schema = Schema::default();
    let at = schema.object(text("apiVersion"), text("kind"));
    Merge { schema: &schema }.object(original, target, live, at, 0)
}

struct Merge<'s> {
    schema: &'s Schema,
}

impl Merge<'_> {
    fn object(&self, original: Option<&Value>, target: &Value, live: &Value, at: At<'_>, depth: usize) -> Value {
        let (Some(new), Some(now)) = (target.as_object(), live.as_object()) else { return target.clone() };
        let mut patch = Map::new();
        for (key, value) in new {
            let before = original.and_then(|original| original.get(key));
            let retains = self.schema.field(at, key).is_some_and(|field| field.retain);
            let at = self.schema.field_of(at, key);
            match now.get(key) {
                Some(current) if current == value => {}
                Some(current) if current.is_object() && value.is_object() && depth < DEPTH => {
                    let mut inner = self.object(before, value, current, at, depth + 1);
                    if retains {
                        let_go(&mut inner, value, current);
                    }
                    if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                        patch.insert(key.clone(), inner);
                    }
                }
                Some(current) => {
                    let merged = match (at, value, current) {
                        (At::List(field), Value::Array(value), Value::Array(current)) if depth < DEPTH => {
                            self.list(before.and_then(Value::as_array), value, current, field, depth + 1)
                        }
                        _ => value.clone(),
                    };
                    if merged != *current {
                        patch.insert(key.clone(), merged);
                    }
                }
                None => drop(patch.insert(key.clone(), value.clone())),
            }
        }
        let gone = original.and_then(Value::as_object).into_iter().flatten();
        for (key, _) in gone.filter(|(key, _)| !new.contains_key(*key) && now.contains_key(*key)) {
            patch.insert(key.clone(), Value::Null);
        }
        Value::Object(patch)
    }

    /// A list as it is to be: the target's items in their order, and those of others behind what they stand behind now.
    fn list(
        &self,
        original: Option<&Vec<Value>>,
        target: &[Value],
        live: &[Value],
        field: &Field,
        depth: usize,
    ) -> Value {
        let Some(keys) = &field.merge else { return target.to_vec().into() };
        let (known, now) = (original.map(|list| Index::of(list, keys)), Index::of(live, keys));
        let ours = |item: &Value| known.as_ref().and_then(|known| known.find(item));
        let merged = target.iter().map(|item| match now.find(item).map(|at| &live[at]) {
            Some(current) if item.is_object() && current.is_object() => {
                let mut whole = current.clone();
                let before = ours(item).and_then(|at| original?.get(at));
                let mut patch = self.object(before, item, current, field.element(), depth + 1);
                if field.retain {
                    let_go(&mut patch, item, current);
                }
                merge(&mut whole, patch);
                whole
            }
            _ => item.clone(),
        });
        let wanted = Index::of(target, keys);
        // Those of others, by the item of the target that they stand behind; the first stand before all.
        let mut others: Vec<Vec<&Value>> = vec![Vec::new(); target.len() + 1];
        let mut behind = 0;
        for current in live {
            match wanted.find(current) {
                Some(at) => behind = at + 1,
                None if ours(current).is_some() => {}
                None => others[behind].push(current),
            }
        }
        let mut all: Vec<Value> = others[0].iter().map(|item| (*item).clone()).collect();
        for (item, others) in merged.zip(&others[1..]) {
            all.push(item);
            all.extend(others.iter().map(|item| (*item).clone()));
        }
        all.into()
    }
}

/// Finds the items of a list by the keys that they merge by, without looking at all of them.
struct Index<'l> {
    list: &'l [Value],
    keys: &'l [String],
    places: HashMap<String, Vec<usize>>,
}

impl<'l> Index<'l> {
    fn of(list: &'l [Value], keys: &'l [String]) -> Self {
        let mut index = Index { list, keys, places: HashMap::with_capacity(list.len()) };
        for (at, item) in list.iter().enumerate() {
            if let Some(first) = index.first(item) {
                index.places.entry(first).or_default().push(at);
            }
        }
        index
    }

    /// What must be equal at least.
    fn first(&self, item: &Value) -> Option<String> {
        match self.keys.first() {
            Some(key) => item.get(key).map(Value::to_string),
            None => Some(item.to_string()),
        }
    }

    fn find(&self, item: &Value) -> Option<usize> {
        let places = self.places.get(&self.first(item)?)?;
        places.iter().copied().find(|at| is_same(&self.list[*at], item, self.keys))
    }
}

/// Lets a patch of something that is one of several take away what was chosen before, and what was filled in for that.
fn let_go(patch: &mut Value, target: &Value, live: &Value) {
    let (Some(patch), Some(live)) = (patch.as_object_mut().filter(|patch| !patch.is_empty()), live.as_object()) else {
        return;
    };
    for key in live.keys().filter(|key| target.get(*key).is_none()) {
        patch.insert(key.clone(), Value::Null);
    }
}

/// Whether two items are one: all keys that both have are equal, the first at least. Without keys they are plain values.
fn is_same(one: &Value, other: &Value, keys: &[String]) -> bool {
    let Some(first) = keys.first() else { return one == other };
    one.get(first).is_some_and(|value| other.get(first) == Some(value))
        && keys.iter().all(|key| match (one.get(key), other.get(key)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        })
}

/// Lays a JSON merge patch over a document.
fn merge(document: &mut Value, patch: Value) {
    let (Value::Object(fields), Value::Object(patch)) = (&mut *document, &patch) else {
        *document = patch;
        return;
    };
    for (key, value) in patch {
        match value {
            Value::Null => drop(fields.shift_remove(key)),
            value => merge(fields.entry(key.clone()).or_insert(Value::Null), value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn three_ways_meet_in_one_patch() {
        let original = json!({"spec": {"a": 1, "b": 2, "n": {"x": 1}}});
        let target = json!({"spec": {"a": 5, "n": {"y": 1}}});
        let live = json!({"spec": {"a": 1, "b": 2, "mine": 1, "n": {"x": 1, "y": 1}}, "status": {}});
        assert_eq!(patch(Some(&original), &target, &live), json!({"spec": {"a": 5, "b": null, "n": {"x": null}}}));
        assert_eq!(patch(None, &live, &live), json!({}));
    }

    #[test]
    fn what_others_put_into_a_list_stays() {
        let hooks = |hooks: Value| {
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                "webhooks": hooks})
        };
        let target = hooks(json!([{"name": "a", "clientConfig": {"service": {"name": "s"}}}]));
        let injected = json!([{"name": "a", "failurePolicy": "Fail",
            "clientConfig": {"service": {"name": "s", "port": 443}, "caBundle": "Q0E="}}]);
        assert_eq!(patch(Some(&target), &target, &hooks(injected.clone())), json!({}));
        let changed = hooks(json!([{"name": "a", "clientConfig": {"service": {"name": "t"}}}]));
        let found = patch(Some(&target), &changed, &hooks(injected));
        assert_eq!(found["webhooks"][0]["clientConfig"]["caBundle"], "Q0E=");
        assert_eq!(found["webhooks"][0]["clientConfig"]["service"], json!({"name": "t", "port": 443}));
    }

    #[test]
    fn containers_come_and_go_and_a_sidecar_keeps_its_place() {
        let pods = |containers: Value| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "spec": {"template": {"spec": {"containers": containers}}}})
        };
        let original =
            pods(json!([{"name": "app", "image": "a:1", "env": [{"name": "X", "value": "1"}]}, {"name": "old"}]));
        let target = pods(json!([{"name": "new", "image": "n:1"}, {"name": "app", "image": "a:2"}]));
        let live = pods(json!([{"name": "app", "image": "a:1", "imagePullPolicy": "Always",
            "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "mine"}]}, {"name": "proxy", "image": "p:1"},
            {"name": "old"}]));
        let found = patch(Some(&original), &target, &live);
        let containers = found["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        let names: Vec<&str> = containers.iter().map(|container| container["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["new", "app", "proxy"]);
        assert_eq!(
            containers[1],
            json!({"name": "app", "image": "a:2", "imagePullPolicy": "Always"}),
            "a list that the chart dropped goes as a whole"
        );
        let ports = |ports: Value| pods(json!([{"name": "app", "ports": ports}]));
        let (wanted, is) = (json!([{"containerPort": 80}]), json!([{"containerPort": 80, "protocol": "TCP"}]));
        assert_eq!(patch(None, &ports(wanted), &ports(is)), json!({}), "defaults are no difference");
    }

    #[test]
    fn a_choice_takes_the_one_before_with_it() {
        let spec = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec});
        let live = spec(json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
            "template": {"spec": {"volumes": [{"name": "a", "configMap": {"name": "x", "defaultMode": 420}}]}}}));
        let wanted = spec(json!({"strategy": {"type": "Recreate"},
            "template": {"spec": {"volumes": [{"name": "a", "emptyDir": {}}]}}}));
        assert_eq!(
            patch(None, &wanted, &live),
            json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null},
                "template": {"spec": {"volumes": [{"name": "a", "emptyDir": {}}]}}}})
        );
        let same = spec(json!({"strategy": {"type": "RollingUpdate"}}));
        assert_eq!(patch(None, &same, &live), json!({}), "defaults stay while nothing changes");
    }

    #[test]
    fn kinds_that_are_not_built_in_have_whole_lists() {
        let thing = |list: Value| json!({"apiVersion": "a.b/v1", "kind": "Thing", "spec": {"list": list}});
        let (target, live) = (thing(json!([{"name": "a"}])), thing(json!([{"name": "a"}, {"name": "b"}])));
        assert_eq!(patch(Some(&target), &target, &live), json!({"spec": {"list": [{"name": "a"}]}}));
    }
}
