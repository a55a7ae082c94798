//! The scale subresource: replicas of any kind that declares it, as autoscaling/v1.
//!
//! Start with [`of`] and [`into_object`].

use serde_json::{Value, json};

use super::catalog::{Resource, Scale};
use super::select::field_text;
use super::status::{Failure, invalid_value};
use super::write::Done;

fn paths(resource: &Resource) -> Result<&Scale, Failure> {
    resource.scale.as_ref().ok_or_else(Failure::no_such_resource)
}

fn number(object: &Value, path: &str) -> i64 {
    field_text(object, path).parse().unwrap_or(0)
}

/// The scale of an object.
///
/// Errors with 404 when its kind has none.
pub fn of(resource: &Resource, object: &Value) -> Result<Value, Failure> {
    let paths = paths(resource)?;
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": number(object, &paths.replicas)},
        "status": {"replicas": number(object, &paths.status_replicas)}});
    if let Some(path) = &paths.selector {
        let found = path.split('.').try_fold(object, |at, name| at.get(name));
        match found {
            Some(Value::String(text)) => scale["status"]["selector"] = text.as_str().into(),
            Some(selector @ Value::Object(_)) => scale["status"]["selector"] = selector_text(selector).into(),
            _ => {}
        }
    }
    Ok(scale)
}

fn selector_text(selector: &Value) -> String {
    // ReplicationControllers select by a plain map, everything newer by matchLabels.
    let labels = selector.get("matchLabels").unwrap_or(selector).as_object();
    let mut parts: Vec<String> =
        labels.into_iter().flatten().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?))).collect();
    parts.sort();
    parts.join(",")
}

/// The object with the replicas of a scale.
///
/// Errors with 422 when they are no number of zero or more.
pub fn into_object(resource: &Resource, object: &Value, scale: &Value) -> Result<Value, Failure> {
    let paths = paths(resource)?;
    let wanted = &scale["spec"]["replicas"];
    let replicas = if wanted.is_null() { Some(0) } else { wanted.as_i64().filter(|n| *n >= 0) };
    let Some(replicas) = replicas else {
        let causes = vec![invalid_value("spec.replicas", wanted, "must be greater than or equal to 0")];
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(Failure::invalid("Scale", "autoscaling", name, causes));
    };
    let mut object = object.clone();
    let mut at = &mut object;
    for name in paths.replicas.split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[name];
    }
    *at = replicas.into();
    if let Some(version) = scale["metadata"]["resourceVersion"].as_str().filter(|v| !v.is_empty()) {
        object["metadata"]["resourceVersion"] = version.into();
    }
    Ok(object)
}

/// The answer to a write of the scale.
///
/// Errors as [`of`].
pub fn answer(resource: &Resource, done: Done) -> Result<Done, Failure> {
    Ok(Done { object: of(resource, &done.object)?, ..done })
}

#[cfg(test)]
mod tests {
    use super::super::catalog::Catalog;
    use super::*;

    #[test]
    fn a_scale_is_read_from_and_written_to_its_object() {
        let catalog = Catalog::new();
        let resource = catalog.find("apps", "v1", "deployments").unwrap();
        let object = json!({"metadata": {"name": "a"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"b": "c", "a": "b"}}}});
        let mut scale = of(resource, &object).unwrap();
        assert_eq!((&scale["spec"]["replicas"], &scale["status"]["selector"]), (&json!(2), &json!("a=b,b=c")));
        scale["spec"]["replicas"] = json!(5);
        assert_eq!(into_object(resource, &object, &scale).unwrap()["spec"]["replicas"], 5);
        scale["spec"]["replicas"] = json!(-1);
        assert_eq!(into_object(resource, &object, &scale).unwrap_err().code, 422);
    }
}
