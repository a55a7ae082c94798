//! Field tables out of the OpenAPI definitions that `crds` names.
//!
//! Source: kustomize api/internal/accumulator/loadconfigfromcrds.go. Extensions on properties say that a field holds
//! annotations, a label selector, an identity or the name of another object.

use serde_json::Value;

use super::error::{BuildError, ErrorKind, Result};
use super::spec::{BackReference, Config, FieldSpec, Gvk, merge_one};

/// Deeper references end here, because definitions may refer to themselves.
const DEPTH: usize = 32;

/// Refuses definitions that start as JSON and go on as something else, as kustomize does.
pub(super) fn check_json(text: &[u8]) -> Result<()> {
    if !text.starts_with(b"{") {
        return Ok(());
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| {
        BuildError::new(ErrorKind::Malformed, format!("the definitions are not JSON: {error}")).at_line(error.line())
    })
}

/// Reads the tables.
pub(super) fn config(definitions: &Value) -> Result<Config> {
    let mut config = Config::default();
    for (name, api) in definitions.as_object().into_iter().flatten() {
        let Some(properties) = properties(api) else { continue };
        if ["kind", "apiVersion", "metadata"].iter().all(|key| properties.contains_key(*key)) {
            let kind = name.rsplit('.').next().unwrap_or(name).to_owned();
            let gvk = Gvk { kind, ..Gvk::default() };
            let mut own = Config::default();
            add(&mut own, &gvk, definitions, name, &mut Vec::new())?;
            config.merge(&own)?;
        }
    }
    Ok(config)
}

fn properties(api: &Value) -> Option<&serde_json::Map<String, Value>> {
    let schema = api.get("Schema").or_else(|| api.get("schema"))?;
    schema.get("properties").and_then(Value::as_object)
}

fn add(config: &mut Config, gvk: &Gvk, definitions: &Value, name: &str, path: &mut Vec<String>) -> Result<()> {
    let Some(properties) = definitions.get(name).and_then(properties) else { return Ok(()) };
    for (field, property) in properties {
        path.push(field.clone());
        let spec = |path: &[String]| FieldSpec::new(gvk.clone(), &path.join("/"), false);
        let text = |key: &str| property.get(key).and_then(Value::as_str);
        if text("x-kubernetes-annotation").is_some() {
            merge_one(&mut config.common_annotations, &spec(path))?;
        }
        if text("x-kubernetes-label-selector").is_some() {
            merge_one(&mut config.common_labels, &spec(path))?;
        }
        if text("x-kubernetes-identity").is_some() {
            merge_one(&mut config.name_prefix, &spec(path))?;
        }
        if let (Some(version), Some(kind)) =
            (text("x-kubernetes-object-ref-api-version"), text("x-kubernetes-object-ref-kind"))
        {
            let key = text("x-kubernetes-object-ref-name-key").unwrap_or("name");
            let referrer = FieldSpec::new(gvk.clone(), &format!("{}/{key}", path.join("/")), false);
            let target = Gvk { kind: kind.to_owned(), version: version.to_owned(), group: String::new() };
            let new = Config {
                name_reference: vec![BackReference { target, referrers: vec![referrer] }],
                ..Config::default()
            };
            config.merge(&new)?;
        }
        if let (Some(reference), true) = (text("$ref"), path.len() < DEPTH) {
            add(config, gvk, definitions, reference, path)?;
        }
        path.pop();
    }
    Ok(())
}
