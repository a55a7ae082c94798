//! Runs the contract: requests and what they must answer, as data.
//!
//! A file is a list of cases, or `setup`, `cases` and `teardown`. A case is a list of steps in a fresh namespace `$ns`.
//! A step: `do` (METHOD path), `as` (merge, json, strategic, apply, yaml, protobuf), `body`, `text` or `base64`, `headers`,
//! `code`, `has` (a subset of the answer; a watch answers the list of its events), `some` (pointer to a subset of one
//! item), `lacks` (JSON pointers), `is` (pointer to exact value), `says` (header to a part of it), `warns`, `save` (name
//! to pointer or `header:NAME`, used later as `$name`), `until: true` (repeat up to 15 s), `real` (what of these is
//! otherwise on a real server). A case with `differs` says why a real server answers otherwise; without any `real` it
//! runs on the embedded API alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use futures::StreamExt as _;
use http::{HeaderMap, Request};
use kube::client::Body;
use serde_json::{Value, json};
use weir::base::yaml;
use weir::embedded::{Embedded, Options};

/// The API under test and how many namespaces were made.
pub struct Wire {
    client: kube::Client,
    embedded: Option<Embedded>,
}

pub struct Answer {
    pub code: u16,
    pub text: String,
    pub headers: HeaderMap,
}

impl Wire {
    /// The embedded API, or the real one that the environment names.
    pub async fn open() -> Wire {
        if let Ok(path) = std::env::var("WEIR_TEST_KUBECONFIG") {
            let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
            let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
            // A refusal is what some cases wait for.
            config.default_retry = false;
            return Wire { client: kube::Client::try_from(config).unwrap(), embedded: None };
        }
        let embedded = Embedded::open(Options { simulate: false, ..Options::default() }).await.unwrap();
        Wire { client: embedded.client(), embedded: Some(embedded) }
    }

    /// How many seconds something may take: real controllers queue.
    fn patience(&self) -> u64 {
        if self.embedded.is_some() { 15 } else { 60 }
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(String, String)], body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = self.client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
        let code = answer.status().as_u16();
        let headers = answer.headers().clone();
        let bytes = answer.into_body().collect_bytes().await.unwrap();
        Answer { code, text: String::from_utf8_lossy(&bytes).into_owned(), headers }
    }
}

fn media(kind: &str) -> &'static str {
    match kind {
        "merge" => "application/merge-patch+json",
        "json" => "application/json-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        "apply" => "application/apply-patch+yaml",
        "yaml" => "application/yaml",
        "protobuf" => "application/vnd.kubernetes.protobuf",
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
        (Value::Object(wanted), Value::Array(items)) => wanted.iter().find_map(|(key, value)| {
            let found = key.parse().ok().and_then(|at: usize| items.get(at)).unwrap_or(&Value::Null);
            missing(value, found, &format!("{at}/{key}"))
        }),
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

/// The value of an answer: JSON, the events of a watch, or the text itself.
fn value_of(answer: &Answer, is_watch: bool) -> Value {
    let whole = || serde_json::from_str(&answer.text).unwrap_or_else(|_| json!(answer.text));
    if !is_watch || answer.code != 200 {
        return whole();
    }
    let events = answer.text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    events.map_or_else(|_| whole(), Value::from)
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn judge(step: &Value, answer: &Answer) -> Result<Value, String> {
    let is_watch = step["do"].as_str().is_some_and(|text| text.contains("watch=true"));
    let found = value_of(answer, is_watch);
    let wanted = step["code"].as_u64().unwrap_or(200);
    if u64::from(answer.code) != wanted {
        return Err(format!("answered {} instead of {wanted}: {}", answer.code, answer.text));
    }
    if let Some(wrong) = step.get("has").and_then(|has| missing(has, &found, "")) {
        return Err(format!("{wrong}\nin {}", answer.text));
    }
    for (pointer, item) in step["some"].as_object().into_iter().flatten() {
        let items = found.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        if !items.iter().any(|found| missing(item, found, "").is_none()) {
            return Err(format!("no item of {pointer} has {item}\nin {}", answer.text));
        }
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
    for (name, text) in step["says"].as_object().into_iter().flatten() {
        if !header(answer, name).contains(text.as_str().unwrap()) {
            return Err(format!("header {name} is {:?}, without {text}", header(answer, name)));
        }
    }
    let warnings: Vec<_> = answer.headers.get_all("warning").iter().filter_map(|value| value.to_str().ok()).collect();
    if let Some(warning) = step["warns"].as_str().filter(|text| !warnings.iter().any(|w| w.contains(text))) {
        return Err(format!("no warning contains {warning:?}: {warnings:?}"));
    }
    Ok(found)
}

/// The bytes of a step's body.
fn body_of(step: &Value) -> Vec<u8> {
    if let Some(body) = step.get("body") {
        return body.to_string().into_bytes();
    }
    if let Some(text) = step["base64"].as_str() {
        return base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    }
    step["text"].as_str().unwrap_or_default().as_bytes().to_vec()
}

async fn run_step(wire: &Wire, step: &Value, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    let mut step = fill(step, names);
    if wire.embedded.is_none() {
        let real = step["real"].as_object().cloned().unwrap_or_default();
        step.as_object_mut().unwrap().extend(real);
    }
    let (method, path) = step["do"].as_str().and_then(|text| text.split_once(' ')).ok_or("a step needs `do`")?;
    let mut headers: Vec<(String, String)> = step["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.as_str().unwrap().into()))
        .collect();
    let body = body_of(&step);
    if !body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".into(), media(step["as"].as_str().unwrap_or_default()).into()));
    }
    let deadline = Instant::now() + Duration::from_secs(if step["until"] == true { wire.patience() } else { 0 });
    loop {
        let answer = wire.ask(method, path, &headers, body.clone()).await;
        match judge(&step, &answer) {
            Ok(found) => {
                for (name, pointer) in step["save"].as_object().into_iter().flatten() {
                    let pointer = pointer.as_str().unwrap();
                    let value = match pointer.strip_prefix("header:") {
                        Some(name) => json!(header(&answer, name)),
                        None => found.pointer(pointer).ok_or(format!("{pointer} is not there to save"))?.clone(),
                    };
                    names.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), String::from));
                }
                return Ok(());
            }
            Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(wrong) => return Err(format!("{method} {path}: {wrong}")),
        }
    }
}

async fn run_steps(wire: &Wire, what: &str, steps: &Value, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (at, step) in steps.as_array().into_iter().flatten().enumerate() {
        run_step(wire, step, names).await.map_err(|why| format!("{what}: step {}: {why}", at + 1))?;
    }
    Ok(())
}

type Names = BTreeMap<String, String>;

async fn run_case(wire: &Wire, what: &str, case: &Value, mut names: Names) -> Result<(), String> {
    let ns = names["ns"].clone();
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}}).to_string();
    let json_type = [("content-type".to_string(), "application/json".to_string())];
    wire.ask("POST", "/api/v1/namespaces", &json_type, body.into()).await;
    let result = run_steps(wire, what, &case["steps"], &mut names).await;
    wire.ask("DELETE", &format!("/api/v1/namespaces/{ns}"), &[], Vec::new()).await;
    result
}

/// What a run found.
#[derive(Default)]
struct Tally {
    count: usize,
    differ: Vec<String>,
    wrong: Vec<String>,
}

async fn run_file(wire: &Wire, path: &std::path::Path, tally: &mut Tally) {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let only = std::env::var("WEIR_TEST_CASE").unwrap_or_default();
    let content = yaml::read_one(&std::fs::read(path).unwrap(), &yaml::Limits::default())
        .unwrap_or_else(|e| panic!("{file}: {e}"));
    let stamp = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() % 100_000_000;
    let mut names = Names::from([("id".to_string(), format!("{}x{stamp}", tally.count))]);
    if let Err(why) = run_steps(wire, &format!("{file}: setup"), &content["setup"], &mut names).await {
        tally.wrong.push(why);
        return;
    }
    let mut chosen = Vec::new();
    for case in content.get("cases").unwrap_or(&content).as_array().unwrap() {
        tally.count += 1;
        let what = format!("{file}: {}", case["name"].as_str().unwrap());
        let mut is_run = what.contains(&only);
        if let (Some(why), None) = (case["differs"].as_str(), &wire.embedded) {
            let knows =
                case["steps"].as_array().is_some_and(|steps| steps.iter().any(|step| step.get("real").is_some()));
            tally.differ.push(format!("{what}: {why}{}", if knows { "" } else { " (not run)" }));
            is_run &= knows;
        }
        if is_run {
            let mut names = names.clone();
            names.insert("ns".into(), format!("c{}-{stamp}", tally.count));
            if content.get("cases").is_none() {
                names.insert("id".into(), format!("{}x{stamp}", tally.count));
            }
            chosen.push(async move { run_case(wire, &what, case, names).await });
        }
    }
    let results: Vec<_> = futures::stream::iter(chosen).buffered(8).collect().await;
    tally.wrong.extend(results.into_iter().filter_map(Result::err));
    if let Err(why) = run_steps(wire, &format!("{file}: teardown"), &content["teardown"], &mut names).await {
        tally.wrong.push(why);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds() {
    let wire = Wire::open().await;
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/embedded/cases");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut tally = Tally::default();
    for file in files {
        run_file(&wire, &file, &mut tally).await;
    }
    let Tally { count, differ, wrong } = tally;
    let place = if wire.embedded.is_some() { "the embedded API" } else { "the real API" };
    eprintln!("{count} cases on {place}, {} of them known to differ, {} fail", differ.len(), wrong.len());
    differ.iter().for_each(|why| eprintln!("differs: {why}"));
    assert!(wrong.is_empty(), "{} of {count} cases fail:\n\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(count >= 360, "only {count} cases were found");
}
