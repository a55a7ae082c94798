//! Generators: config maps and secrets from literals, files and environment files, and the hash of their content.
//!
//! Source: kustomize api/internal/generators, api/kv and api/hasher. The hash is over JSON as Go writes it; the name
//! in it is always empty, because the lookup for it never finds anything (and changing that would change every name).

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::base::yaml::{Mapping, Node, Scalar, Tag};
use crate::engine::go_json;

use super::entries::{GeneratorArgs, GeneratorOptions};
use super::error::{BuildError, ErrorKind, Result};
use super::load::Loader;
use super::resource::{Resource, careful, text_of};

/// Lines of base64 text are this long, once there is more than one.
const LINE: usize = 70;

/// Makes a config map or a secret.
pub(super) fn generate(
    args: &GeneratorArgs,
    global: Option<&GeneratorOptions>,
    secret: bool,
    loader: &Loader<'_>,
) -> Result<Resource> {
    let fail = |message: &str| BuildError::new(ErrorKind::Field, message);
    if args.name.is_empty() {
        return Err(fail("the generated object has no name").hint("add name"));
    }
    let data = pairs(args, loader).map_err(|error| error.of(&args.name))?;
    let mut node = Mapping::default();
    node.insert("apiVersion", Node::text("v1"));
    node.insert("kind", Node::text(if secret { "Secret" } else { "ConfigMap" }));
    let mut meta = Mapping::default();
    meta.insert("name", Node::text(&args.name));
    if !args.namespace.is_empty() {
        meta.insert("namespace", Node::text(&args.namespace));
    }
    node.insert("metadata", Node::Mapping(meta));
    if secret {
        let kind = if args.secret_type.is_empty() { "Opaque" } else { &args.secret_type };
        node.insert("type", Node::text(kind));
        node.insert("data", Node::Mapping(Mapping::default()));
    }
    for (key, bytes) in &data {
        let (field, text) = match std::str::from_utf8(bytes) {
            Ok(text) if !secret => ("data", text.to_owned()),
            _ if secret => ("data", wrapped_base64(bytes)),
            _ => ("binaryData", wrapped_base64(bytes)),
        };
        if node.get(field).is_none() {
            node.insert(field, Node::Mapping(Mapping::default()));
        }
        if let Some(fields) = node.get_mut(field).and_then(Node::as_mapping_mut) {
            fields.0.push((key.as_str().into(), Node::Scalar(careful(&text))));
        }
    }
    let mut resource = Resource::new(node);
    let options = merge_options(args.options.as_ref(), global);
    add_options(&mut resource, &options);
    resource.needs_hash = !options.disable_name_suffix_hash;
    resource.behavior = args.behavior;
    Ok(resource)
}

fn merge_options(own: Option<&GeneratorOptions>, global: Option<&GeneratorOptions>) -> GeneratorOptions {
    let mut options = own.cloned().unwrap_or_default();
    if let Some(global) = global {
        for (key, value) in &global.labels {
            options.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        for (key, value) in &global.annotations {
            options.annotations.entry(key.clone()).or_insert_with(|| value.clone());
        }
        options.disable_name_suffix_hash |= global.disable_name_suffix_hash;
        options.immutable |= global.immutable;
    }
    options
}

fn add_options(resource: &mut Resource, options: &GeneratorOptions) {
    for (field, pairs) in [("labels", &options.labels), ("annotations", &options.annotations)] {
        if !pairs.is_empty() {
            resource.set_texts(field, pairs.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
        }
    }
    if options.immutable {
        resource.node.insert("immutable", Node::Scalar(Scalar::new("true", Tag::Bool)));
    }
}

/// Keys and bytes of all sources: environment files, literals, files.
fn pairs(args: &GeneratorArgs, loader: &Loader<'_>) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut pairs = BTreeMap::new();
    let mut add = |key: &str, value: Vec<u8>| match pairs.insert(key.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(BuildError::new(ErrorKind::Conflict, format!("the key {key:?} is given twice"))
            .hint("remove one of its sources")),
    };
    for path in &args.envs {
        let text = loader.file(path)?;
        for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
            if let Some((key, value)) = env_line(line, number).map_err(|e| e.in_file(&loader.shown(path)))? {
                add(&key, value.into_bytes())?;
            }
        }
    }
    for source in &args.literals {
        let (key, value) = source.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            BuildError::new(ErrorKind::Field, "a literal is not of the form key=value")
                .hint("write literals as key=value")
        })?;
        add(key, unquoted(value).as_bytes().to_vec())?;
    }
    for source in &args.files {
        let (key, path) = file_source(source)?;
        add(key, loader.file(path)?.to_vec())?;
    }
    Ok(pairs)
}

fn env_line(line: &[u8], number: usize) -> Result<Option<(String, String)>> {
    let text = std::str::from_utf8(line)
        .map_err(|_| BuildError::new(ErrorKind::Malformed, "the line is not valid UTF-8").at_line(number + 1))?;
    let text = if number == 0 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
    let text = text.strip_suffix('\r').unwrap_or(text).trim_start();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    Ok(if key.is_empty() { None } else { Some((key.to_owned(), value.to_owned())) })
}

/// A value without the pair of equal quotes around it.
fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

fn file_source(source: &str) -> Result<(&str, &str)> {
    let fail =
        |message: String| Err(BuildError::new(ErrorKind::Field, message).hint("write files as path or key=path"));
    match source.split('=').collect::<Vec<_>>()[..] {
        [path] => Ok((path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path), path)),
        ["", _] => fail(format!("the file source {source:?} has no key")),
        [_, ""] => fail(format!("the file source {source:?} has no path")),
        [key, path] => Ok((key, path)),
        _ => fail(format!("the file source {source:?} has more than one =")),
    }
}

fn wrapped_base64(bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    if text.len() < LINE {
        return text;
    }
    let mut wrapped = String::with_capacity(text.len() + text.len() / LINE + 1);
    for at in (0..text.len()).step_by(LINE) {
        wrapped.push_str(&text[at..text.len().min(at + LINE)]);
        wrapped.push('\n');
    }
    wrapped
}

/// The suffix of ten characters for the content of an object.
///
/// Errors when the content has no JSON form.
pub(super) fn content_hash(resource: &Resource) -> Result<String> {
    let field = |name: &str| -> Result<Option<Value>> {
        let fail = |message| BuildError::new(ErrorKind::Malformed, message).in_field(name);
        Ok(match resource.node.get(name) {
            None => None,
            Some(node @ Node::Scalar(_)) => Some(Value::String(text_of(node).to_owned())),
            Some(node) => Some(node.to_value().map_err(fail)?),
        })
    };
    let or_empty = |value: Option<Value>| value.unwrap_or(Value::String(String::new()));
    let mut content: BTreeMap<&str, Value> = BTreeMap::new();
    content.insert("name", Value::String(String::new()));
    content.insert("data", or_empty(field("data")?));
    let extra = match resource.kind() {
        "ConfigMap" => "binaryData",
        "Secret" => {
            content.insert("type", or_empty(field("type")?));
            "stringData"
        }
        _ => {
            let error = BuildError::new(ErrorKind::Forbidden, "only config maps and secrets can have a content hash");
            return Err(error.of(format!("{}/{}", resource.kind(), resource.name())));
        }
    };
    content.insert("kind", Value::String(resource.kind().to_owned()));
    content.extend(field(extra)?.filter(Value::is_object).map(|value| (extra, value)));
    let mut json = String::new();
    write_go_json(&mut json, content.iter().map(|(key, value)| (*key, value)));
    Ok(encode(&Sha256::digest(json.as_bytes())))
}

/// The first ten hexadecimal digits, with those replaced that could spell words.
fn encode(digest: &[u8]) -> String {
    hex::encode(digest)[..10]
        .chars()
        .map(|digit| match digit {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            digit => digit,
        })
        .collect()
}

/// JSON as Go's encoder writes it: keys sorted, and `<`, `>`, `&`, U+2028 and U+2029 escaped.
fn write_go_json<'v>(out: &mut String, fields: impl Iterator<Item = (&'v str, &'v Value)>) {
    let mut fields: Vec<(&str, &Value)> = fields.collect();
    fields.sort_by_key(|(key, _)| *key);
    out.push('{');
    for (at, (key, value)) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        go_json::text(out, key, true);
        out.push(':');
        write_go_value(out, value);
    }
    out.push('}');
}

pub(super) fn write_go_value(out: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => write_go_json(out, fields.iter().map(|(key, value)| (key.as_str(), value))),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_go_value(out, item);
            }
            out.push(']');
        }
        Value::String(text) => go_json::text(out, text, true),
        Value::Number(number) if number.is_f64() => out.push_str(&go_json::float(number.as_f64().unwrap_or_default())),
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_an_empty_config_map_is_the_known_one() {
        let mut node = Mapping::default();
        node.insert("kind", Node::text("ConfigMap"));
        assert_eq!(content_hash(&Resource::new(node)).unwrap(), "6ct58987ht");
    }

    #[test]
    fn long_base64_is_wrapped_and_short_is_not() {
        assert_eq!(wrapped_base64(&[0; 51]).len(), 68);
        assert_eq!(wrapped_base64(&[0; 52]), format!("{}\n{}==\n", "A".repeat(70), ""));
    }
}
