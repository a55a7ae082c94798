//! Writes the checked-in tables from public API descriptions: OpenAPI v3 documents and `.proto` files.
//!
//! Run it after a Kubernetes release, then commit what changed under `assets/schema`:
//! `WEIR_OPENAPI=<api/openapi-spec/v3 of kubernetes> WEIR_PROTO=<folders with generated.proto, separated by ':'>
//! WEIR_API_VERSION=v1.37.0 cargo test --lib schema::generate`. Without the variables it does nothing.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

#[test]
fn the_tables_are_written_when_sources_are_given() {
    let (Ok(openapi), Ok(proto), Ok(version)) =
        (std::env::var("WEIR_OPENAPI"), std::env::var("WEIR_PROTO"), std::env::var("WEIR_API_VERSION"))
    else {
        return;
    };
    let mut schemas = BTreeMap::new();
    let mut docs = BTreeMap::new();
    for entry in std::fs::read_dir(openapi).unwrap() {
        let document: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            docs.insert(name.clone(), descriptions(schema));
            schemas.insert(name.clone(), slim(schema));
        }
    }
    for name in ["DeleteOptions", "WatchEvent"] {
        let schema = schemas.get_mut(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}")).unwrap();
        schema.as_object_mut().unwrap().remove("x-kubernetes-group-version-kind");
    }
    let messages = messages(&proto, &schemas);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/schema");
    let source = format!("Kubernetes {version}");
    write(&folder.join("types.json.gz"), &json!({"source": source, "schemas": schemas}));
    write(&folder.join("docs.json.gz"), &json!(docs));
    write(&folder.join("protobuf.json.gz"), &json!({"source": source, "messages": messages}));
}

fn write(path: &Path, value: &Value) {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(value.to_string().as_bytes()).unwrap();
    std::fs::write(path, out.finish().unwrap()).unwrap();
}

/// The schema without prose. An empty default stays: it marks a struct that a real server always writes out.
fn slim(schema: &Value) -> Value {
    let Value::Object(from) = schema else { return schema.clone() };
    let mut to = Map::new();
    for (key, value) in from {
        match (key.as_str(), value) {
            ("description" | "x-kubernetes-unions", _) => {}
            ("allOf", Value::Array(parts)) => {
                assert_eq!(parts.len(), 1, "allOf with more than a reference");
                to.insert("$ref".into(), short(&parts[0]["$ref"]));
            }
            ("$ref", reference) => drop(to.insert("$ref".into(), short(reference))),
            ("properties", Value::Object(fields)) => {
                let fields = fields.iter().map(|(name, field)| (name.clone(), slim(field))).collect();
                to.insert(key.clone(), Value::Object(fields));
            }
            ("items" | "additionalProperties", value) => drop(to.insert(key.clone(), slim(value))),
            (_, value) => drop(to.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(to)
}

fn short(reference: &Value) -> Value {
    reference.as_str().unwrap().trim_start_matches("#/components/schemas/").into()
}

/// The prose of a type under the empty name, that of its fields under theirs.
fn descriptions(schema: &Value) -> Value {
    let mut out = Map::new();
    if let Some(text) = schema["description"].as_str() {
        out.insert(String::new(), text.into());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(text) = field["description"].as_str() {
            out.insert(name.clone(), text.into());
        }
    }
    Value::Object(out)
}

/// Every message of every `generated.proto`: number → [name, type, kind of field].
fn messages(folders: &str, schemas: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut files = Vec::new();
    for folder in folders.split(':') {
        find(Path::new(folder), &mut files);
    }
    let mut messages = BTreeMap::new();
    for file in files {
        let tags = go_tags(file.parent().unwrap());
        let text = std::fs::read_to_string(file).unwrap();
        let package = text.lines().find_map(|l| l.strip_prefix("package ")).unwrap().trim_end_matches(';').to_string();
        for block in text.split("\nmessage ").skip(1) {
            let (name, body) = block.split_once('{').unwrap();
            let name = format!("{package}.{}", name.trim());
            let body = body.split("\n}").next().unwrap();
            let spelled = name.replacen("k8s.io.", "io.k8s.", 1).replace("apiextensions_", "apiextensions-");
            let schema = schemas.get(&spelled.replace("kube_aggregator", "kube-aggregator"));
            let mut fields = fields(body, &package, schema);
            let short = name.rsplit('.').next().unwrap();
            for (number, field) in &mut fields {
                match tags.get(&(short.to_string(), number.clone())).map(String::as_str) {
                    Some("inline") => field[2] = "i".into(),
                    Some("zero") if field[2] == "" => field[2] = "z".into(),
                    Some(json) if json.starts_with('=') => field[0] = json[1..].into(),
                    _ => {}
                }
            }
            messages.insert(name, Value::Object(fields));
        }
    }
    messages
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.file_name().unwrap() == "generated.proto" {
            files.push(path);
        }
    }
}

/// What the Go structs add, by message and number: `inline`, `zero` (left out of JSON when it is zero; pointers are not),
/// or `=name` where JSON spells a field otherwise.
fn go_tags(folder: &Path) -> BTreeMap<(String, String), String> {
    let line = regex::Regex::new(r#"(?m)^\s+(?:\w+\s+)?(\*?)(\S+)\s+`json:"([^"]*)"\s+protobuf:"\w+,(\d+),\w+(?:,casttype=[\w./]+)?(?:,name=(\w+))?"#).unwrap();
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "go") || path.to_string_lossy().contains("generated") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        for block in text.split("\ntype ").skip(1) {
            let Some((name, body)) = block.split_once(" struct {") else { continue };
            for found in line.captures_iter(body.split("\n}").next().unwrap()) {
                let (json, number) = (&found[3], found[4].to_string());
                let (spelled, options) = json.split_once(',').unwrap_or((json, ""));
                let known = found.get(5).is_some_and(|name| name.as_str() == spelled);
                let what = match options {
                    _ if options.contains("inline") => "inline".to_string(),
                    _ if options.contains("omitempty") && found[1].is_empty() => "zero".to_string(),
                    _ if !known && !spelled.is_empty() => format!("={spelled}"),
                    _ => continue,
                };
                out.insert((name.to_string(), number), what);
            }
        }
    }
    out
}

/// Kinds of fields: `""` one, `"z"` one that zero leaves out, `"r"` repeated, `"m"` map with string keys, `"i"` a message inlined in JSON.
fn fields(body: &str, package: &str, schema: Option<&Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for line in body.lines().map(str::trim).filter(|l| !l.starts_with("//") && l.ends_with(';')) {
        let (left, number) = line.trim_end_matches(';').split_once('=').unwrap();
        let (mut kind, of, name) = if let Some(map) = left.trim().strip_prefix("map<string,") {
            let (of, name) = map.split_once('>').unwrap();
            ("m", of.trim(), name.trim())
        } else {
            let parts: Vec<&str> = left.split_whitespace().collect();
            (if parts[0] == "repeated" { "r" } else { "" }, parts[1], parts[2])
        };
        let scalar = ["string", "bytes", "bool", "int32", "int64", "double", "uint32", "uint64", "float"];
        let of = match of.strip_prefix('.') {
            Some(full) => full.to_string(),
            None if scalar.contains(&of) => of.to_string(),
            None => format!("{package}.{of}"),
        };
        let mut name = name.to_string();
        if let Some(known) = schema.and_then(|s| s["properties"].as_object()) {
            match known.keys().find(|k| letters(k) == letters(&name)) {
                Some(exact) => name = exact.clone(),
                None if kind.is_empty() && !scalar.contains(&of.as_str()) => kind = "i",
                None => {}
            }
        }
        out.insert(number.trim().to_string(), json!([name, of, kind]));
    }
    out
}

fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
