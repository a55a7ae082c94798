//! Managed fields: who owns which paths of an object, read from and written to `metadata.managedFields`.
//!
//! Source: apimachinery pkg/util/managedfields.

use serde_json::{Map, Value, json};

use super::Write;
use super::path::Element;
use super::set::Set;

/// How a manager came by its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

/// One entry of managed fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    pub subresource: String,
    pub time: Option<String>,
    pub fields: Set,
}

impl Owner {
    /// The entry a write belongs to, with no fields yet.
    pub fn of(write: &Write, operation: Operation) -> Self {
        Owner {
            manager: if write.manager.is_empty() { "unknown".into() } else { write.manager.into() },
            operation,
            api_version: write.api_version.into(),
            subresource: write.subresource.into(),
            time: None,
            fields: Set::default(),
        }
    }

    /// Whether both are the same entry; appliers keep theirs when they change the version they speak.
    pub fn is(&self, other: &Owner) -> bool {
        let versions = self.operation == Operation::Apply || self.api_version == other.api_version;
        versions
            && self.operation == other.operation
            && self.manager == other.manager
            && self.subresource == other.subresource
    }

    /// The entry as conflict messages name it.
    pub fn shown(&self) -> String {
        let mut out = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            out.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            out.push_str(&format!(" using {}", self.api_version));
        }
        out
    }

    fn read(entry: &Value) -> Result<Self, String> {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_string();
        let operation = match entry["operation"].as_str() {
            Some("Apply") => Operation::Apply,
            Some("Update") => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".into()),
        };
        if text("apiVersion").is_empty() {
            return Err("apiVersion must not be empty".into());
        }
        if entry["fieldsType"] != "FieldsV1" {
            return Err(format!("invalid fieldsType {:?}", text("fieldsType")));
        }
        let fields = match &entry["fieldsV1"] {
            Value::Null => Set::default(),
            fields => Set::from_fields(fields)?,
        };
        let time = entry["time"].as_str().map(str::to_string);
        let (manager, subresource) = (text("manager"), text("subresource"));
        Ok(Owner { manager, operation, api_version: text("apiVersion"), subresource, time, fields })
    }

    fn write(&self) -> Value {
        let operation = if self.operation == Operation::Apply { "Apply" } else { "Update" };
        let mut out = Map::new();
        let mut set = |key: &str, value: Value| drop(out.insert(key.into(), value));
        set("manager", self.manager.as_str().into());
        set("operation", operation.into());
        set("apiVersion", self.api_version.as_str().into());
        if let Some(time) = &self.time {
            set("time", time.as_str().into());
        }
        set("fieldsType", "FieldsV1".into());
        set("fieldsV1", self.fields.to_fields());
        if !self.subresource.is_empty() {
            set("subresource", self.subresource.as_str().into());
        }
        Value::Object(out)
    }
}

/// Reads the managed fields of an object.
///
/// Errors when an entry is malformed.
pub fn read(object: &Value) -> Result<Vec<Owner>, String> {
    let mut owners: Vec<Owner> = Vec::new();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let owner = Owner::read(entry)?;
        owners.retain(|known| !known.is(&owner));
        owners.push(owner);
    }
    Ok(owners)
}

/// Whether an object asks to forget all managers: `[]` or `[{}]`.
pub fn is_reset(object: &Value) -> bool {
    match object["metadata"]["managedFields"].as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => {
            only.as_object().is_some_and(|entry| entry.values().all(|v| v.is_null() || *v == "" || *v == json!({})))
        }
        _ => false,
    }
}

/// Writes managed fields into an object, sorted; none at all when nobody owns anything.
pub fn write(object: &mut Value, mut owners: Vec<Owner>) {
    owners.retain(|owner| !owner.fields.is_empty());
    // Appliers first, then by time: RFC 3339 in UTC sorts as text.
    owners.sort_by(|a, b| {
        let key = |o: &Owner| (o.operation, o.time.clone(), o.manager.clone(), o.api_version.clone());
        key(a).cmp(&key(b)).then_with(|| a.subresource.cmp(&b.subresource))
    });
    let Some(fields) = object.as_object_mut() else { return };
    if owners.is_empty() {
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.shift_remove("managedFields");
        }
        return;
    }
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("managedFields".into(), owners.iter().map(Owner::write).collect());
    }
}

/// Drops managed fields from an object.
pub fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
}

/// Takes out of a set what nobody owns: the head of an object and what the server writes.
pub fn without_head(fields: &Set) -> Set {
    let mut head = Set::default();
    for name in ["apiVersion", "kind", "metadata"] {
        head.insert(&[Element::field(name)]);
    }
    let names = ["name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation"];
    for name in names.into_iter().chain(["managedFields", "resourceVersion"]) {
        head.insert(&[Element::field("metadata"), Element::field(name)]);
    }
    fields.difference(&head)
}

/// How many updating managers are told apart.
const UPDATERS: usize = 10;

/// Merges the oldest updaters of one version into `ancient-changes` until there are few enough.
pub fn cap(owners: &mut Vec<Owner>) {
    let mut updaters: Vec<Owner> = owners.iter().filter(|o| o.operation == Operation::Update).cloned().collect();
    if updaters.len() <= UPDATERS {
        return;
    }
    updaters.sort_by(|a, b| {
        let key = |o: &Owner| (o.time.clone(), o.manager.clone(), o.api_version.clone(), o.subresource.clone());
        key(a).cmp(&key(b))
    });
    let mut count = updaters.len();
    let mut firsts: Vec<Owner> = Vec::new();
    for updater in updaters {
        if count <= UPDATERS {
            break;
        }
        let Some(first) = firsts.iter().find(|first| first.api_version == updater.api_version) else {
            firsts.push(updater);
            continue;
        };
        let mut bucket = Owner { manager: "ancient-changes".into(), subresource: String::new(), ..first.clone() };
        if let Some(known) = owners.iter().find(|o| o.is(&bucket)) {
            bucket = known.clone();
        }
        bucket.fields.add(&updater.fields);
        bucket.time.clone_from(&updater.time);
        owners.retain(|o| !o.is(&bucket) && !o.is(&updater) && !o.is(first));
        owners.push(bucket);
        count -= 1;
    }
}
