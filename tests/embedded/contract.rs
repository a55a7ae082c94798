//! Runs the contract: requests and what they must answer, as data.
//!
//! A case is a list of steps in a fresh namespace `$ns`. A step: `do` (METHOD path), `as` (merge, json, strategic,
//! apply, yaml), `body` or `text`, `headers`, `code`, `has` (a subset of the answer), `lacks` (JSON pointers),
//! `is` (pointer to exact value), `save` (name to pointer, used later as `$name`), `until: true` (repeat up to 10 s).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::Request;
use kube::client::Body;
use serde_json::{Value, json};
use weir::base::yaml;
use weir::embedded::{Embedded, Options};

/// The API under test and how many namespaces were made.
pub struct Wire {
    client: kube::Client,
    _embedded: Option<Embedded>,
}

pub struct Answer {
    pub code: u16,
    pub text: String,
    pub warnings: Vec<String>,
}

impl Wire {
    /// The embedded API, or the real one that the environment names.
    pub async fn open() -> Wire {
        if let Ok(path) = std::env::var("WEIR_TEST_KUBECONFIG") {
            let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
            return Wire { client: kube::Client::try_from(config).unwrap(), _embedded: None };
        }
        let embedded = Embedded::open(Options { simulate: false, ..Options::default() }).await.unwrap();
        Wire { client: embedded.client(), _embedded: Some(embedded) }
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(String, String)], body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = self.client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
        let code = answer.status().as_u16();
        let warnings = answer.headers().get_all("warning").iter().map(|w| w.to_str().unwrap().to_string()).collect();
        let bytes = answer.into_body().collect_bytes().await.unwrap();
        Answer { code, text: String::from_utf8_lossy(&bytes).into_owned(), warnings }
    }
}

fn media(kind: &str) -> &'static str {
    match kind {
        "merge" => "application/merge-patch+json",
        "json" => "application/json-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        "apply" => "application/apply-patch+yaml",
        "yaml" => "application/yaml",
        "" => "application/json",
        other => panic!("unknown body kind {other}"),
    }
}

fn fill(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => fill_text(text, names).into(),
        Value::Array(items) => items.iter().map(|item| fill(item, names)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (fill_text(key, names), fill(value, names)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn fill_text(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut out = text.to_string();
    // Longer names first, so that `$ns2` is not read as `$ns` and a 2.
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in sorted {
        out = out.replace(&format!("${name}"), value);
    }
    out
}

/// Where a value is not contained in another, if anywhere. Strings that begin with `~` are contained texts; `*` is any.
fn missing(wanted: &Value, found: &Value, at: &str) -> Option<String> {
    match (wanted, found) {
        (Value::String(text), _) if text == "*" && !found.is_null() => None,
        (Value::String(text), Value::String(found)) if text.starts_with('~') => {
            (!found.contains(&text[1..])).then(|| format!("{at}: {found:?} does not contain {:?}", &text[1..]))
        }
        (Value::Object(wanted), Value::Object(found)) => wanted
            .iter()
            .find_map(|(key, value)| missing(value, found.get(key).unwrap_or(&Value::Null), &format!("{at}/{key}"))),
        (Value::Array(wanted), Value::Array(items)) => {
            if wanted.len() != items.len() {
                return Some(format!("{at}: wanted {} items, found {}: {found}", wanted.len(), items.len()));
            }
            wanted.iter().zip(items).enumerate().find_map(|(n, (w, f))| missing(w, f, &format!("{at}/{n}")))
        }
        _ if wanted == found => None,
        _ => Some(format!("{at}: wanted {wanted}, found {found}")),
    }
}

fn judge(step: &Value, answer: &Answer) -> Result<Value, String> {
    let found: Value = serde_json::from_str(&answer.text).unwrap_or_else(|_| json!(answer.text));
    let wanted = step["code"].as_u64().unwrap_or(200);
    if u64::from(answer.code) != wanted {
        return Err(format!("answered {} instead of {wanted}: {}", answer.code, answer.text));
    }
    if let Some(wrong) = step.get("has").and_then(|has| missing(has, &found, "")) {
        return Err(format!("{wrong}\nin {}", answer.text));
    }
    for pointer in step["lacks"].as_array().into_iter().flatten() {
        if let Some(value) = found.pointer(pointer.as_str().unwrap()) {
            return Err(format!("{pointer} is there: {value}\nin {}", answer.text));
        }
    }
    for (pointer, value) in step["is"].as_object().into_iter().flatten() {
        let there = found.pointer(pointer).unwrap_or(&Value::Null);
        if there != value {
            return Err(format!("{pointer} is {there}, not {value}"));
        }
    }
    if let Some(warning) = step["warns"].as_str().filter(|text| !answer.warnings.iter().any(|w| w.contains(text))) {
        return Err(format!("no warning contains {warning:?}: {:?}", answer.warnings));
    }
    Ok(found)
}

async fn run_step(wire: &Wire, step: &Value, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    let step = fill(step, names);
    let (method, path) = step["do"].as_str().and_then(|text| text.split_once(' ')).ok_or("a step needs `do`")?;
    let mut headers: Vec<(String, String)> = step["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.as_str().unwrap().into()))
        .collect();
    let body = match (step.get("body"), step.get("text")) {
        (Some(body), _) => body.to_string().into_bytes(),
        (None, Some(text)) => text.as_str().unwrap_or_default().as_bytes().to_vec(),
        (None, None) => Vec::new(),
    };
    if !body.is_empty() {
        headers.push(("content-type".into(), media(step["as"].as_str().unwrap_or_default()).into()));
    }
    let deadline = Instant::now() + Duration::from_secs(if step["until"] == true { 10 } else { 0 });
    loop {
        let answer = wire.ask(method, path, &headers, body.clone()).await;
        match judge(&step, &answer) {
            Ok(found) => {
                for (name, pointer) in step["save"].as_object().into_iter().flatten() {
                    let value =
                        found.pointer(pointer.as_str().unwrap()).ok_or(format!("{pointer} is not there to save"))?;
                    names.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), String::from));
                }
                return Ok(());
            }
            Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(wrong) => return Err(format!("{method} {path}: {wrong}")),
        }
    }
}

async fn run_case(wire: &Wire, file: &str, case: &Value, number: usize) -> Result<(), String> {
    let stamp = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() % 100_000_000;
    let ns = format!("c{number}-{stamp}");
    let mut names = BTreeMap::from([("ns".to_string(), ns.clone()), ("id".to_string(), format!("{number}x{stamp}"))]);
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}}).to_string();
    let json_type = [("content-type".to_string(), "application/json".to_string())];
    wire.ask("POST", "/api/v1/namespaces", &json_type, body.into()).await;
    let mut result = Ok(());
    for (at, step) in case["steps"].as_array().into_iter().flatten().enumerate() {
        result = run_step(wire, step, &mut names)
            .await
            .map_err(|why| format!("{file}: {}: step {}: {why}", case["name"].as_str().unwrap_or("?"), at + 1));
        if result.is_err() {
            break;
        }
    }
    wire.ask("DELETE", &format!("/api/v1/namespaces/{ns}"), &[], Vec::new()).await;
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds() {
    let wire = Wire::open().await;
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/embedded/cases");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut count, mut wrong) = (0, Vec::new());
    let only = std::env::var("WEIR_TEST_CASE").unwrap_or_default();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let cases = yaml::read_one(&std::fs::read(&file).unwrap(), &yaml::Limits::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        for case in cases.as_array().unwrap() {
            count += 1;
            if !case["name"].as_str().unwrap().contains(&only) {
                continue;
            }
            if let Err(why) = run_case(&wire, &name, case, count).await {
                wrong.push(why);
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases fail:\n\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(count >= 50, "only {count} cases were found");
}
