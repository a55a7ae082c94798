//! What the embedded API costs over HTTP: durable writes, reads, fan-out to watchers, long lists, memory per object.
//!
//! `cargo bench --bench embedded [SECONDS]` measures `weir serve` on a fresh store. With `WEIR_BENCH_KUBECONFIG` (and
//! `WEIR_BENCH_PIDS`, comma separated, for the memory) it measures that API beside it, by the same client and in turns.
//! `WEIR_BENCH_BINARY` names another weir than the one just built, `WEIR_BENCH_WATCHERS` another number than 1,000.
//! Prints; asserts nothing. The machine's load moves the numbers, so compare within one run only.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::json;
use tokio::sync::Semaphore;

const EVENTS: usize = 20;
/// How many watches are opened at a time: each is a connection with a handshake, and both ends share two cores.
const OPENING: usize = 16;
const OBJECTS: usize = 10_000;

/// An API under measurement.
struct Place {
    name: &'static str,
    client: kube::Client,
    processes: Vec<u32>,
    weir: Option<(Child, tempfile::TempDir)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.weir {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

async fn client(kubeconfig: &std::path::Path) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

async fn weir() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("kubeconfig");
    let binary = std::env::var("WEIR_BENCH_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_weir").into());
    let mut child = Command::new(binary)
        .args(["serve", "--no-reconcile", "--data"])
        .arg(dir.path().join("data"))
        .arg("--write-kubeconfig")
        .arg(&config)
        .env("HOME", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("serving")), "weir serves");
    std::thread::spawn(move || lines.count());
    let processes = vec![child.id()];
    Place { name: "weir serve", client: client(&config).await, processes, weir: Some((child, dir)) }
}

async fn reference() -> Option<Place> {
    let config = std::env::var("WEIR_BENCH_KUBECONFIG").ok()?;
    let ids = std::env::var("WEIR_BENCH_PIDS").unwrap_or_default();
    let processes = ids.split(',').filter_map(|id| id.trim().parse().ok()).collect();
    Some(Place { name: "reference", client: client(config.as_ref()).await, processes, weir: None })
}

fn map(name: &str) -> Vec<u8> {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"text": "x".repeat(1024)}})
    .to_string()
    .into_bytes()
}

/// Sends a request and answers how many bytes came back.
async fn ask(client: &kube::Client, method: &str, path: &str, body: Vec<u8>) -> usize {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let answer = client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
    let code = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(code.is_success(), "{method} {path}: {code} {}", String::from_utf8_lossy(&bytes));
    bytes.len()
}

fn maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

async fn namespace(client: &kube::Client, name: &str) {
    ask(client, "POST", "/api/v1/namespaces", json!({"metadata": {"name": name}}).to_string().into_bytes()).await;
}

/// Creates objects until a number or a time is reached; answers how many per second.
async fn create(client: &kube::Client, namespace: &str, writers: usize, most: usize, time: Duration) -> f64 {
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let tasks = (0..writers).map(|_| {
        let (client, next, path) = (client.clone(), next.clone(), maps(namespace));
        tokio::spawn(async move {
            let mut done = 0;
            while began.elapsed() < time {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= most {
                    break;
                }
                ask(&client, "POST", &path, map(&format!("m{number:06}"))).await;
                done += 1;
            }
            done
        })
    });
    let counts = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    counts.into_iter().map(|count| count.unwrap()).sum::<usize>() as f64 / began.elapsed().as_secs_f64()
}

async fn read(client: &kube::Client, path: &str, readers: usize, time: Duration) -> f64 {
    let began = Instant::now();
    let tasks = (0..readers).map(|_| {
        let (client, path) = (client.clone(), path.to_string());
        tokio::spawn(async move {
            let mut done = 0usize;
            while began.elapsed() < time {
                ask(&client, "GET", &path, Vec::new()).await;
                done += 1;
            }
            done
        })
    });
    let counts = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    counts.into_iter().map(|count| count.unwrap()).sum::<usize>() as f64 / began.elapsed().as_secs_f64()
}

fn watchers() -> usize {
    std::env::var("WEIR_BENCH_WATCHERS").ok().and_then(|number| number.parse().ok()).unwrap_or(1_000)
}

/// Events per second until every watcher has seen every write.
async fn fan_out(client: &kube::Client, namespace: &str) -> f64 {
    let count = watchers();
    let (ready, opening) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(OPENING)));
    let path = format!("{}?watch=true&labelSelector=app%3Dbench&resourceVersion=0", maps(namespace));
    let watching: Vec<_> = (0..count)
        .map(|_| {
            let (client, ready, opening, path) = (client.clone(), ready.clone(), opening.clone(), path.clone());
            tokio::spawn(async move {
                let turn = opening.acquire().await.unwrap();
                let request = Request::get(&path).body(Body::empty()).unwrap();
                let mut body = client.send(request).await.unwrap().into_body();
                drop(turn);
                ready.add_permits(1);
                let mut seen = 0;
                while seen < EVENTS {
                    let frame = body.frame().await.expect("the watch goes on").unwrap();
                    seen += frame.data_ref().map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
                }
            })
        })
        .collect();
    // Real servers send headers at once, so that this many have begun.
    let _all = ready.acquire_many(count as u32).await.unwrap();
    let began = Instant::now();
    create(client, namespace, 1, EVENTS, Duration::from_secs(60)).await;
    for watcher in watching {
        watcher.await.unwrap();
    }
    (count * EVENTS) as f64 / began.elapsed().as_secs_f64()
}

/// Resident bytes of the server's processes.
fn resident(place: &Place) -> f64 {
    let one = |id: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default().to_string();
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
    };
    place.processes.iter().map(one).sum()
}

async fn measure(place: &Place, time: Duration) -> Vec<(&'static str, f64)> {
    let client = &place.client;
    let stamp = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let names: Vec<String> = ["one", "many", "fan", "list"].map(|name| format!("bench-{name}-{stamp}")).into();
    for name in &names {
        namespace(client, name).await;
    }
    let mut found = Vec::new();
    found.push(("durable writes/s, 1 writer", create(client, &names[0], 1, usize::MAX, time).await));
    found.push(("durable writes/s, 32 writers", create(client, &names[1], 32, usize::MAX, time).await));
    let object = format!("{}/m000000", maps(&names[0]));
    found.push(("reads/s, 1 reader", read(client, &object, 1, time).await));
    found.push(("reads/s, 32 readers", read(client, &object, 32, time).await));
    found.push(("events/s to all watchers", fan_out(client, &names[2]).await));
    let before = resident(place);
    create(client, &names[3], 32, OBJECTS, Duration::from_secs(600)).await;
    let bytes = (resident(place) - before) / OBJECTS as f64;
    let began = Instant::now();
    for _ in 0..5 {
        assert!(ask(client, "GET", &maps(&names[3]), Vec::new()).await > OBJECTS * 1024);
    }
    found.push(("ms for a list of 10,000", began.elapsed().as_secs_f64() * 1e3 / 5.0));
    found.push(("bytes of memory per object of 1 KiB", bytes));
    found.push(("MB of memory at the end", resident(place) / 1e6));
    for name in &names {
        ask(client, "DELETE", &format!("/api/v1/namespaces/{name}"), Vec::new()).await;
    }
    found
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(5);
    let places: Vec<Place> = [Some(weir().await), reference().await].into_iter().flatten().collect();
    println!("{} watchers", watchers());
    let mut columns = Vec::new();
    for place in &places {
        println!("measuring {} …", place.name);
        columns.push(measure(place, Duration::from_secs(seconds)).await);
    }
    print!("{:<38}", "");
    places.iter().for_each(|place| print!("{:>14}", place.name));
    println!();
    for (row, (what, _)) in columns[0].iter().enumerate() {
        print!("{what:<38}");
        columns.iter().for_each(|column| print!("{:>14.1}", column[row].1));
        println!();
    }
}
