//! The values of a release: what valuesFrom names, in order, and the inline ones over all.
//!
//! Start with [`compose`]. Source: fluxcd/pkg chartutil/values.go, with the order of targetPath as observed there: a path
//! in a map that only the inline values have wins over them, any other loses.

use base64::Engine as _;
use serde_json::{Map, Value};

use crate::base::{Id, Redactor};
use crate::cluster::Cluster;
use crate::engine::chart;
use crate::engine::release::{Paths, paths, texts};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::ValuesReference;

type Values = Map<String, Value>;

/// The values of a release, and which of them must not be told.
#[derive(Clone, Debug, Default)]
pub struct Composed {
    pub values: Values,
    /// Where the values are that Secrets gave.
    pub secret: Paths,
    pub hidden: Redactor,
}

/// Composes the values of a release.
///
/// Errors with the reference that cannot be resolved; the message never has a value.
pub async fn compose(cluster: &Cluster, object: &HelmRelease) -> Result<Composed, String> {
    let mut inline = match &object.spec.values {
        Some(values) => read("spec.values", values.to_string().as_bytes())?,
        None => Values::new(),
    };
    let (mut result, mut secret, mut told) = (Values::new(), Paths::new(), Vec::new());
    for reference in &object.spec.values_from {
        let Some(data) = data(cluster, object.own_namespace(), reference).await? else { continue };
        match reference.target_path.as_deref().filter(|path| !path.is_empty()) {
            Some(path) => {
                put(&mut result, &mut inline, path, &data, reference)?;
                if reference.kind == "Secret" {
                    let given = only(path, &data, reference);
                    secret.extend(paths(&given));
                    told.extend(texts(&Value::Object(given)));
                    told.push(String::from_utf8_lossy(&data).into_owned());
                }
            }
            None => {
                let values = read(reference.values_key.as_deref().unwrap_or("values.yaml"), &data)
                    .map_err(|_| trouble(object.own_namespace(), reference, "the values are no YAML map"))?;
                if reference.kind == "Secret" {
                    secret.extend(paths(&values));
                    told.extend(values.values().flat_map(texts));
                }
                chart::merge(&mut result, values);
            }
        }
    }
    chart::merge(&mut result, inline);
    Ok(Composed { values: result, secret, hidden: Redactor::new(told) })
}

/// Just what a reference puts at a path, which was put before.
fn only(path: &str, data: &[u8], reference: &ValuesReference) -> Values {
    let mut values = Values::new();
    let text = String::from_utf8_lossy(data);
    chart::set_path(&mut values, path, &text, reference.literal == Some(true)).ok();
    values
}

fn read(name: &str, text: &[u8]) -> Result<Values, String> {
    if text.iter().all(u8::is_ascii_whitespace) || text == b"null" {
        return Ok(Values::new());
    }
    chart::read_values(name, text).map_err(|error| error.to_string())
}

fn put(
    result: &mut Values,
    inline: &mut Values,
    path: &str,
    data: &[u8],
    reference: &ValuesReference,
) -> Result<(), String> {
    let text = String::from_utf8_lossy(data);
    let is_inline = is_only_inline(result, inline, path);
    chart::merge(result, inline.clone());
    let literal = reference.literal == Some(true);
    let failed = |error: chart::SetError| {
        let why = match reference.kind.as_str() {
            // The parser tells what it read: only what it also says of a harmless value may be told.
            "Secret" => match chart::set_path(&mut Values::new(), path, "x", literal) {
                Err(error) => error.to_string(),
                Ok(()) => format!("the value cannot be set at {path:?}"),
            },
            _ => error.to_string(),
        };
        format!("could not resolve {} chart values reference '{}': {why}", reference.kind, reference.name)
    };
    chart::set_path(result, path, &text, literal).map_err(failed)?;
    if is_inline {
        chart::set_path(inline, path, &text, literal).map_err(failed)?;
    }
    Ok(())
}

/// Whether the path goes through a map that the inline values have and nothing before them had.
fn is_only_inline(result: &Values, inline: &Values, path: &str) -> bool {
    let path = path.split('[').next().unwrap_or_default();
    let mut parts: Vec<String> = vec![String::new()];
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        match (character, parts.last_mut()) {
            ('.', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.extend(characters.next()),
            (other, Some(part)) => part.push(other),
            (_, None) => {}
        }
    }
    let (mut above, mut below) = (Some(result), Some(inline));
    for part in &parts[..parts.len() - 1] {
        below = below.and_then(|values| values.get(part)).and_then(Value::as_object);
        above = above.and_then(|values| values.get(part)).and_then(Value::as_object);
        match (above, below) {
            (None, Some(_)) => return true,
            (_, None) => return false,
            _ => {}
        }
    }
    false
}

/// The text that a reference names; `None` when it is optional and not there.
async fn data(cluster: &Cluster, namespace: &str, reference: &ValuesReference) -> Result<Option<Vec<u8>>, String> {
    if !matches!(reference.kind.as_str(), "Secret" | "ConfigMap") {
        return Err(trouble(namespace, reference, "unsupported values reference kind"));
    }
    let id = Id::new("", &reference.kind, namespace, &reference.name);
    let is_optional = reference.optional == Some(true);
    let found = cluster.get(&id).await.map_err(|error| trouble(namespace, reference, &error.to_string()))?;
    let Some(document) = found else {
        return if is_optional { Ok(None) } else { Err(trouble(namespace, reference, "resource not found")) };
    };
    let key = reference.values_key.as_deref().unwrap_or("values.yaml");
    let Some(text) = document["data"].get(key).and_then(Value::as_str) else {
        return if is_optional { Ok(None) } else { Err(trouble(namespace, reference, "key not found")) };
    };
    if reference.kind == "Secret" {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        return bytes.map(Some).map_err(|_| trouble(namespace, reference, "the data is not base64"));
    }
    Ok(Some(text.as_bytes().to_vec()))
}

fn trouble(namespace: &str, reference: &ValuesReference, why: &str) -> String {
    let optional = if reference.optional == Some(true) { " optional" } else { "" };
    let key = reference.values_key.as_deref().unwrap_or("values.yaml");
    format!(
        "could not resolve{optional} {} chart values reference '{namespace}/{}' with key '{key}': {why}",
        reference.kind, reference.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Values {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_path_wins_over_inline_values_only_where_nothing_else_had_its_map() {
        let wins = |earlier: Value, inline: Value, path: &str| is_only_inline(&map(earlier), &map(inline), path);
        assert!(wins(json!({}), json!({"a": {"b": 1}}), "a.b"));
        assert!(!wins(json!({"a": {"x": 1}}), json!({"a": {"b": 1}}), "a.b"));
        assert!(wins(json!({"a": {"x": 1}}), json!({"a": {"b": {"c": 1}}}), "a.b.c"));
        assert!(!wins(json!({}), json!({"a": 1}), "a"));
        assert!(!wins(json!({}), json!({"x": 1}), "a.b"));
        assert!(wins(json!({}), json!({"a.b": {"c": 1}}), "a\\.b.c"));
    }
}
