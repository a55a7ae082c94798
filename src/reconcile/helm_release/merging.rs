//! Two merges of documents: a release's change into what lives, and Helm's older fields into its applies.
//!
//! Pure. Start with [`three_way`] and [`taken_over`]. Source: helm pkg/kube/client.go.

use serde_json::{Value, json};

use super::objects::MANAGER;

/// The patch that renames fields of Helm's client-side writes to those of its applies; `None` when there are none.
pub fn taken_over(live: &Value) -> Option<Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let is_old = |entry: &Value| {
        let manager = text(entry, "manager");
        text(entry, "operation") == "Update"
            && text(entry, "subresource").is_empty()
            && (manager.eq_ignore_ascii_case("helm") || manager == MANAGER)
    };
    let is_apply = |entry: &Value| text(entry, "operation") == "Apply" && text(entry, "manager") == MANAGER;
    if !entries.iter().any(is_old) || entries.iter().any(is_apply) {
        return None;
    }
    let mut renamed = entries.clone();
    let first = renamed.iter().position(is_old)?;
    renamed[first]["manager"] = MANAGER.into();
    renamed[first]["operation"] = "Apply".into();
    let mut at = 0;
    renamed.retain(|entry| {
        let keep = at <= first || !is_old(entry);
        at += 1;
        keep
    });
    Some(json!([
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": renamed},
    ]))
}

/// The merge patch from what lives to the target: what the original had and the target has not goes away.
pub fn three_way(original: Option<&Value>, target: &Value, live: &Value) -> Value {
    let (Some(new), Some(now)) = (target.as_object(), live.as_object()) else { return target.clone() };
    let mut patch = serde_json::Map::new();
    for (key, value) in new {
        let before = original.and_then(|original| original.get(key));
        match now.get(key) {
            Some(current) if current == value => {}
            Some(current) if current.is_object() && value.is_object() => {
                let inner = three_way(before, value, current);
                if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                    patch.insert(key.clone(), inner);
                }
            }
            _ => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    let gone = original.and_then(Value::as_object).into_iter().flatten();
    for (key, _) in gone.filter(|(key, _)| !new.contains_key(*key) && now.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_meet_in_one_patch() {
        let original = json!({"spec": {"a": 1, "b": 2, "n": {"x": 1}}});
        let target = json!({"spec": {"a": 5, "n": {"y": 1}}});
        let live = json!({"spec": {"a": 1, "b": 2, "mine": 1, "n": {"x": 1, "y": 1}}, "status": {}});
        assert_eq!(three_way(Some(&original), &target, &live), json!({"spec": {"a": 5, "b": null, "n": {"x": null}}}));
        assert_eq!(three_way(None, &live, &live), json!({}));
    }
}
