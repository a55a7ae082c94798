//! Random writes recorded from the reference implementation of server-side apply, replayed here.
//!
//! `tests/embedded/apply_cases.jsonl.gz` holds sequences of applies and updates on a custom resource with every kind of
//! list and map and on three built-in kinds, each with the object, the owners, and the conflicts that
//! structured-merge-diff v6.4.2 answered. `WEIR_APPLY_CASES=<file>` replays more of the same form.

use std::io::{BufRead as _, BufReader};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{ApplyError, Write, apply, owners, track};
use crate::embedded::schema::{Schema, builtin, custom};

#[test]
fn recorded_writes_end_like_those_of_the_reference() {
    let packed = include_bytes!("../../../tests/embedded/apply_cases.jsonl.gz");
    let recorded = BufReader::new(flate2::read::GzDecoder::new(&packed[..]));
    let given = std::env::var("WEIR_APPLY_CASES").ok().map(|path| BufReader::new(std::fs::File::open(path).unwrap()));
    let lines = recorded.lines().chain(given.into_iter().flat_map(|file| file.lines()));
    let (mut cases, mut steps, mut failures) = (0, 0, Vec::new());
    let schemas = [schema("crd"), schema("Deployment"), schema("Service"), schema("ConfigMap")];
    for line in lines {
        let case: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let name = case["schema"].as_str().unwrap().rsplit('.').next().unwrap();
        let at = ["crd", "Deployment", "Service", "ConfigMap"].iter().position(|known| *known == name).unwrap();
        cases += 1;
        match replayed(&case, &schemas[at]) {
            Ok(count) => steps += count,
            Err(why) => failures.push(format!("case {cases} ({name}): {why}")),
        }
    }
    let shown = failures.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {cases} cases differ:\n{shown}", failures.len());
    assert!(cases >= 300 && steps >= 1000, "{cases} cases, {steps} steps");
}

fn schema(name: &str) -> Schema {
    match name {
        "crd" => custom(
            Some(&serde_json::from_str(include_str!("../../../tests/embedded/apply_cases.json")).unwrap()),
            false,
        )
        .unwrap(),
        // The reference knows no Go structs, so neither may this: see `filled` in apply.rs.
        "Deployment" => builtin("apps", "v1", name).unwrap().into_custom(),
        name => builtin("", "v1", name).unwrap().into_custom(),
    }
}

impl Schema {
    fn into_custom(mut self) -> Schema {
        self.source = crate::embedded::schema::Source::Custom(Arc::new(Value::Null));
        self
    }
}

#[allow(clippy::too_many_lines)] // one step after the other, as the reference made them
/// Replays a case; answers how many steps it had, or what differs.
fn replayed(case: &Value, schema: &Schema) -> Result<usize, String> {
    let mut live = json!({"apiVersion": "g/v1", "kind": "K"});
    let steps = case["steps"].as_array().unwrap();
    for (index, step) in steps.iter().enumerate() {
        let (manager, body) = (step["manager"].as_str().unwrap(), &step["body"]);
        let write = Write {
            manager,
            api_version: "g/v1",
            subresource: "",
            now: "2024-01-01T00:00:00Z",
            force: step["force"] == true,
        };
        let before = live.clone();
        let said = |what: &str| format!("step {index}: {what}\nlive {before}\nstep {step}");
        if step["op"] == "update" {
            let mut new = body.clone();
            // An object nobody owns is not tracked; the reference is below that rule.
            let old = (!live["metadata"]["managedFields"].is_null()).then_some(&live);
            let Some(old) = old else { return Ok(index) };
            track(Some(old), &mut new, &write, schema);
            live = new;
        } else {
            let old = (live.get("metadata").is_some()).then_some(&live);
            // The reference has no `before-first-apply` either.
            if old.is_some_and(|old| old["metadata"]["managedFields"].is_null()) {
                return Ok(index);
            }
            match (apply(old, body, &write, schema), step["error"] == true, step["conflict"].as_array()) {
                (Ok(new), false, None) => live = new,
                (Err(ApplyError::Conflict(conflicts)), false, Some(expected)) => {
                    let mut found: Vec<Value> =
                        conflicts.iter().map(|c| json!([owner_id(&c.message, &c.manager), c.field])).collect();
                    let mut expected = expected.clone();
                    found.sort_by_key(Value::to_string);
                    expected.sort_by_key(Value::to_string);
                    if found != expected {
                        return Err(said(&format!("conflicts {found:?} instead of {expected:?}")));
                    }
                    continue;
                }
                (Err(ApplyError::Invalid(_)), true, None) => continue,
                (other, ..) => return Err(said(&format!("answered {other:?}"))),
            }
        }
        let mut object = live.clone();
        owners::strip(&mut object);
        if !same(&object, &step["object"]) {
            return Err(said(&format!("object {object}")));
        }
        let owned: serde_json::Map<String, Value> = owners::read(&live)
            .unwrap()
            .into_iter()
            .map(|o| {
                (
                    if o.operation == owners::Operation::Update { format!("u{}", o.manager) } else { o.manager },
                    o.fields.to_fields(),
                )
            })
            .collect();
        let expected = step["managers"].as_object().cloned().unwrap_or_default();
        if owned != expected {
            return Err(said(&format!("owners {}", Value::Object(owned))));
        }
        let fields = live["metadata"]["managedFields"].take();
        live = step["object"].clone();
        if !fields.is_null() {
            live["metadata"]["managedFields"] = fields;
        }
    }
    Ok(steps.len())
}

/// Equal, or empty where the reference leaves null: see `Emptied`.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Null) => ours.is_empty(),
        (Value::Array(ours), Value::Null) => ours.is_empty(),
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, value)| theirs.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        (ours, theirs) => ours == theirs,
    }
}

fn owner_id(message: &str, manager: &str) -> String {
    if message.contains(" using ") { format!("u{manager}") } else { manager.to_string() }
}
