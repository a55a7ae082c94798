//! Custom resource definitions: accepted and established in the write that brings them, so they are served at once.
//!
//! What a schema may say is checked in `schema`; removing the instances of a deleted one is the collector's business.
//! Start with [`at_create`].

use serde_json::{Value, json};

use super::admit;
use super::catalog::Catalog;
use super::kinds::set_condition;
use super::schema::Cause;
use super::status::{Failure, invalid_value};

/// Holds a definition until its instances are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Fills in a new definition and sets its status.
pub fn at_create(catalog: &Catalog, definition: &mut Value, now: &str) -> Result<(), Failure> {
    default(definition);
    let finalizers = &mut definition["metadata"]["finalizers"];
    match finalizers.as_array_mut() {
        Some(list) if list.iter().any(|f| f == CLEANUP) => {}
        Some(list) => list.push(CLEANUP.into()),
        None => *finalizers = json!([CLEANUP]),
    }
    definition["status"] = json!({"storedVersions": [storage_version(definition)]});
    let taken = taken_by(catalog, definition);
    accept(definition, taken, now);
    Ok(())
}

/// Keeps the status of a changed definition true.
pub fn at_update(old: &Value, new: &mut Value, now: &str) {
    default(new);
    new["status"] = old["status"].clone();
    let storage = storage_version(new);
    let mut stored: Vec<Value> = old["status"]["storedVersions"].as_array().cloned().unwrap_or_default();
    if !stored.contains(&storage) {
        stored.push(storage);
    }
    new["status"]["storedVersions"] = stored.into();
    let accepted = old["status"]["conditions"].as_array().into_iter().flatten();
    let refused = accepted.into_iter().find(|c| c["type"] == "NamesAccepted" && c["status"] == "False");
    let refused = refused.and_then(|c| c["message"].as_str()).map(String::from);
    accept(new, refused.filter(|_| old["spec"]["names"] == new["spec"]["names"]), now);
}

/// What a definition may not change: its group, scope, plural and kind.
pub fn check_change(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(old) = old else { return Vec::new() };
    ["/spec/group", "/spec/scope", "/spec/names/plural", "/spec/names/kind"]
        .iter()
        .filter(|path| old.pointer(path) != new.pointer(path))
        .map(|path| {
            let field = path.trim_start_matches('/').replace('/', ".");
            invalid_value(field, new.pointer(path).unwrap_or(&Value::Null), "field is immutable")
        })
        .collect()
}

fn default(definition: &mut Value) {
    let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default().to_string();
    if !definition["spec"]["names"].is_object() {
        return;
    }
    let names = &mut definition["spec"]["names"];
    if names["singular"].as_str().unwrap_or_default().is_empty() {
        names["singular"] = kind.to_lowercase().into();
    }
    if names["listKind"].as_str().unwrap_or_default().is_empty() {
        names["listKind"] = format!("{kind}List").into();
    }
    if definition["spec"]["conversion"].is_null() {
        definition["spec"]["conversion"] = json!({"strategy": "None"});
    }
    if definition["spec"]["preserveUnknownFields"] == false {
        admit::remove(&mut definition["spec"], "preserveUnknownFields");
    }
}

fn storage_version(definition: &Value) -> Value {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let storage = versions.into_iter().find(|version| version["storage"] == true);
    storage.map_or(Value::Null, |version| version["name"].clone())
}

/// Which name another kind of the same group already has.
fn taken_by(catalog: &Catalog, definition: &Value) -> Option<String> {
    let (spec, names) = (&definition["spec"], &definition["spec"]["names"]);
    let name = definition["metadata"]["name"].as_str();
    for other in catalog.all().filter(|r| spec["group"] == r.group.as_str()) {
        if other.custom.as_ref().map(|c| c.definition.as_str()) == name {
            continue;
        }
        for (field, text) in [
            ("kind", &other.kind),
            ("listKind", &other.list_kind),
            ("singular", &other.singular),
            ("plural", &other.plural),
        ] {
            if names[field] == text.as_str() {
                return Some(format!("\"{text}\" is already in use"));
            }
        }
    }
    None
}

fn accept(definition: &mut Value, refused: Option<String>, now: &str) {
    match refused {
        None => {
            definition["status"]["acceptedNames"] = definition["spec"]["names"].clone();
            set_condition(definition, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now);
            let message = "the initial names have been accepted";
            set_condition(definition, "Established", "True", "InitialNamesAccepted", message, now);
        }
        Some(why) => {
            if definition["status"]["acceptedNames"].is_null() {
                definition["status"]["acceptedNames"] = json!({"plural": "", "kind": ""});
            }
            set_condition(definition, "NamesAccepted", "False", "NamesConflict", &why, now);
            set_condition(definition, "Established", "False", "NotAccepted", "not all names are accepted", now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_definition_is_established_at_once_unless_its_kind_is_taken() {
        let mut crd = json!({"metadata": {"name": "things.apps"}, "spec": {"group": "apps", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "storage": true}]}});
        at_create(&Catalog::new(), &mut crd, "now").unwrap();
        assert_eq!(crd["status"]["acceptedNames"]["listKind"], "ThingList");
        assert_eq!(crd["status"]["conditions"][1]["status"], "True");
        assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
        let mut other = crd.clone();
        other["spec"]["names"]["kind"] = json!("Deployment");
        at_create(&Catalog::new(), &mut other, "now").unwrap();
        assert_eq!(other["status"]["conditions"][1]["status"], "False");
    }
}
