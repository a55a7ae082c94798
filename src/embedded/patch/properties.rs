//! What must hold for any object: applying twice changes nothing, taking back gives back, nothing panics.
//!
//! `PROPTEST_CASES=20000` runs more of them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Write, apply, json as json_patch, merge, owners, strategic, track};
use crate::embedded::schema::{Schema, builtin, custom};

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_string()), Just("b".to_string()), Just("c".to_string())]
}

/// Any JSON, small, with few names so that things meet.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        (0..2_u8).prop_map(|n| Value::from(f64::from(n) + 0.5)),
        word().prop_map(Value::from),
    ];
    let names = prop_oneof![
        word(),
        Just("name".to_string()),
        Just("spec".to_string()),
        Just("metadata".to_string()),
        Just("managedFields".to_string()),
        Just("containers".to_string()),
        Just("$patch".to_string()),
        Just("$setElementOrder/containers".to_string()),
        Just("$retainKeys".to_string()),
        Just("template".to_string()),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((names.clone(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A set of texts.
fn texts() -> impl Strategy<Value = Value> {
    prop::collection::btree_set(word(), 0..3).prop_map(|set| Value::Array(set.into_iter().map(Value::from).collect()))
}

/// A configuration for [`thing`].
fn configuration() -> impl Strategy<Value = Value> {
    let map = || prop::collection::btree_map(word(), word(), 0..3).prop_map(|map| json!(map));
    let item = (word(), prop::option::of(word()), prop::option::of(texts())).prop_map(|(name, value, set)| {
        let mut item = Map::new();
        item.insert("name".into(), name.into());
        value.map(|value| item.insert("value".into(), value.into()));
        set.map(|set| item.insert("set".into(), set));
        Value::Object(item)
    });
    let items = prop::collection::vec(item, 0..3).prop_map(|items| {
        let mut seen: Vec<Value> = Vec::new();
        items.into_iter().for_each(|item| {
            if !seen.iter().any(|known| known["name"] == item["name"]) {
                seen.push(item);
            }
        });
        Value::Array(seen)
    });
    let fields = (
        prop::option::of(word().prop_map(Value::from)),
        prop::option::of(map()),
        prop::option::of(map()),
        prop::option::of(texts()),
        prop::option::of(texts()),
        prop::option::of(items),
        prop::option::of(map()),
    );
    fields.prop_map(|(text, map, atomic, set, list, items, labels)| {
        let mut spec = Map::new();
        let named = [("text", text), ("map", map), ("atomic", atomic), ("set", set), ("list", list), ("items", items)];
        for (name, value) in named {
            value.map(|value| spec.insert(name.into(), value));
        }
        let mut body = json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}, "spec": spec});
        if let Some(labels) = labels {
            body["metadata"]["labels"] = labels;
        }
        body
    })
}

fn thing() -> Schema {
    let text = || json!({"type": "string"});
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "text": text(), "map": {"type": "object", "additionalProperties": text()},
        "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": text()},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": text()}, "list": {"type": "array", "items": text()},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
            "type": "object", "required": ["name"], "properties": {"name": text(), "value": text(),
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": text()}}}}}}}});
    custom(Some(&schema), false).unwrap()
}

fn by<'a>(manager: &'a str, now: &'a str) -> Write<'a> {
    Write { manager, api_version: "g/v1", subresource: "", now, force: true }
}

fn bare(mut object: Value) -> Value {
    owners::strip(&mut object);
    object
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applying_twice_changes_nothing(first in configuration(), second in configuration()) {
        let schema = thing();
        let one = apply(None, &first, &by("one", "2024-01-01T00:00:00Z"), &schema).unwrap();
        let two = apply(Some(&one), &second, &by("two", "2024-01-02T00:00:00Z"), &schema).unwrap();
        let again = apply(Some(&two), &second, &by("two", "2024-01-03T00:00:00Z"), &schema).unwrap();
        prop_assert_eq!(&again, &two);
    }

    #[test]
    fn taking_back_gives_the_original_back(first in configuration(), second in configuration()) {
        let schema = thing();
        // Only what does not touch the first manager's values can be taken back whole.
        let one = apply(None, &first, &by("one", "2024-01-01T00:00:00Z"), &schema).unwrap();
        let gentle = Write { force: false, ..by("two", "2024-01-02T00:00:00Z") };
        if let Ok(two) = apply(Some(&one), &second, &gentle, &schema) {
            let nothing = json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}});
            let back = apply(Some(&two), &nothing, &by("two", "2024-01-03T00:00:00Z"), &schema).unwrap();
            prop_assert_eq!(sorted(without_empty(bare(back))), sorted(without_empty(bare(one))));
        }
    }

    #[test]
    fn a_forced_apply_wins(first in configuration(), second in configuration()) {
        let schema = thing();
        let one = apply(None, &first, &by("one", "2024-01-01T00:00:00Z"), &schema).unwrap();
        let two = apply(Some(&one), &second, &by("two", "2024-01-02T00:00:00Z"), &schema).unwrap();
        // Applying over what came out conflicts with nobody: the applier owns what it sent.
        let calm = Write { force: false, ..by("two", "2024-01-03T00:00:00Z") };
        prop_assert!(apply(Some(&two), &second, &calm, &schema).is_ok());
    }

    #[test]
    fn tracking_a_write_that_changes_nothing_leaves_no_trace(first in configuration()) {
        let schema = thing();
        let one = apply(None, &first, &by("one", "2024-01-01T00:00:00Z"), &schema).unwrap();
        let mut same = bare(one.clone());
        track(Some(&one), &mut same, &by("two", "2024-01-02T00:00:00Z"), &schema);
        prop_assert_eq!(same, one);
    }

    #[test]
    fn nothing_panics(live in anything(), body in anything(), other in anything()) {
        let deployment = builtin("apps", "v1", "Deployment").unwrap();
        let free = custom(None, true).unwrap();
        for schema in [&deployment, &thing(), &free] {
            let headed = |value: &Value| {
                let mut value = value.clone();
                if let Some(fields) = value.as_object_mut() {
                    fields.insert("apiVersion".into(), "g/v1".into());
                    fields.insert("kind".into(), "K".into());
                }
                value
            };
            drop(apply(Some(&live), &headed(&body), &by("one", "t"), schema));
            drop(apply(Some(&headed(&live)), &headed(&body), &by("kubectl", "t"), schema));
            let mut new = body.clone();
            track(Some(&live), &mut new, &by("two", "t"), schema);
            drop(strategic(&live, &body, schema));
            drop(json_patch(&live, &body));
            merge(&live, &body);
            schema.validate(&body, Some(&other));
            schema.unknown_fields(&body);
            schema.unreadable(&body);
            let mut pruned = live.clone();
            schema.prune(&mut pruned);
            prop_assert!(schema.unknown_fields(&pruned).is_empty());
            schema.default(&mut pruned);
            let once = pruned.clone();
            schema.default(&mut pruned);
            prop_assert_eq!(pruned, once);
        }
        drop(custom(Some(&body), false));
        crate::embedded::schema::check_crd(&body);
    }
}

/// Removing the last part removes what only held it, so empty holders do not count.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(key, field)| (key, without_empty(field)));
            Value::Object(
                kept.filter(|(_, field)| {
                    !matches!(field, Value::Object(f) if f.is_empty())
                        && !matches!(field, Value::Array(l) if l.is_empty())
                })
                .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        value => value,
    }
}

/// The order of items of keyed lists and sets may differ: two owners have two opinions.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Map<String, Value> = fields.into_iter().map(|(key, field)| (key, sorted(field))).collect();
            fields.sort_keys();
            Value::Object(fields)
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        value => value,
    }
}

#[test]
fn the_deepest_values_fit_on_a_stack_and_deeper_ones_are_refused() {
    let deep = |levels: usize, list: bool| {
        (0..levels).fold(json!("leaf"), |inner, _| if list { json!([inner]) } else { json!({"a": inner}) })
    };
    let headed = |value: Value| json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}, "spec": value});
    let recursive = builtin("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
    for list in [false, true] {
        let body = headed(deep(510, list));
        for schema in [custom(None, true).unwrap(), recursive.clone()] {
            let made = apply(None, &body, &by("one", "t"), &schema).unwrap_or_else(|_| body.clone());
            drop(apply(Some(&made), &headed(json!(1)), &by("one", "t"), &schema));
            let mut new = headed(json!({"b": 1}));
            track(Some(&body), &mut new, &by("two", "t"), &schema);
            drop(strategic(&body, &body, &schema));
            drop(json_patch(&body, &json!([{"op": "copy", "from": "/spec", "path": "/more"}])));
            merge(&body, &body);
            schema.validate(&body, Some(&new));
            schema.unknown_fields(&body);
            schema.unreadable(&body);
            let mut pruned = body.clone();
            schema.prune(&mut pruned);
            schema.default(&mut pruned);
        }
        let deeper = headed(deep(600, list));
        let free = custom(None, true).unwrap();
        assert!(apply(None, &deeper, &by("one", "t"), &free).is_err());
        assert_eq!(free.validate(&deeper, None).len(), 1);
    }
    let schema =
        (0..250).fold(json!({"type": "string"}), |inner, _| json!({"type": "object", "properties": {"a": inner}}));
    custom(Some(&schema), false).unwrap().validate(&deep(200, false), None);
    let schema = (0..600).fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}));
    assert!(custom(Some(&schema), false).is_err());
}
