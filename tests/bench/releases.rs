//! Many HelmReleases on the embedded API until all are ready: time, peak memory, and how it goes on when idle.
//!
//! `cargo bench --bench releases [COUNT]` (200) runs `weir serve` on a fresh store, gives it a Helm repository with a
//! chart of a Deployment, a Service, a ConfigMap and a ServiceAccount, and creates the releases at once, each with a
//! HelmChart of its own. Then all are upgraded by a change of their values. `WEIR_BENCH_BINARY` names another weir.
//! Prints; asserts nothing but the end.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

const TEMPLATE: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {{ .Release.Name }}\n---\napiVersion: \
                        v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  value: {{ .Values.value | quote \
                        }}\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  selector: \
                        {app: {{ .Release.Name }}}\n  ports: [{port: 80}]\n---\napiVersion: apps/v1\nkind: \
                        Deployment\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  selector: {matchLabels: {app: {{ \
                        .Release.Name }}}}\n  template:\n    metadata:\n      labels: {app: {{ .Release.Name \
                        }}}\n      annotations: {value: {{ .Values.value | quote }}}\n    spec:\n      containers: \
                        [{name: app, image: \"app:1\"}]\n";

/// Serves a repository with one chart, for as long as the process lives; answers its address.
fn repository() -> String {
    let tree = [
        ("app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
        ("app/values.yaml", "value: one\n"),
        ("app/templates/all.yaml", TEMPLATE),
    ];
    let archive = weir::engine::archive::pack(&tree.into_iter().collect());
    let index = format!(
        "apiVersion: v1\nentries:\n  app:\n  - name: app\n    version: 1.0.0\n    urls: [app-1.0.0.tgz]\n    digest: {}\n",
        weir::base::Digest::sha256(&archive).hex
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut head) = (stream.unwrap(), [0; 4096]);
            let length = stream.read(&mut head).unwrap_or(0);
            let is_index = String::from_utf8_lossy(&head[..length]).starts_with("GET /index.yaml");
            let body = if is_index { index.as_bytes() } else { archive.as_slice() };
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len()).ok();
            stream.write_all(body).ok();
        }
    });
    address
}

async fn ask(client: &kube::Client, method: &str, path: &str, body: Option<Value>) -> Value {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    let answer = client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
    let code = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(code.is_success(), "{method} {path}: {code} {}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).unwrap()
}

const RELEASES: &str = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/default/helmreleases";

/// Waits until all releases are ready in their newest generation.
async fn until_ready(client: &kube::Client, count: usize) {
    loop {
        let list = ask(client, "GET", RELEASES, None).await;
        let is_ready = |release: &&Value| {
            let conditions = release["status"]["conditions"].as_array().into_iter().flatten();
            let mut ready =
                conditions.filter(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            ready.next().is_some() && release["status"]["observedGeneration"] == release["metadata"]["generation"]
        };
        if list["items"].as_array().unwrap().iter().filter(is_ready).count() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A line of /proc/PID/status, in KiB.
fn memory(pid: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.split_whitespace().next().unwrap().parse().unwrap()
}

/// Seconds of processor time so far.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[tokio::main]
async fn main() {
    let count: usize = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(200);
    let url = repository();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    let binary = std::env::var("WEIR_BENCH_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_weir").into());
    let mut child = Command::new(binary)
        .args(["serve", "--data"])
        .arg(folder.path().join("data"))
        .arg("--write-kubeconfig")
        .arg(&config)
        .env("HOME", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("serving")), "weir serves");
    std::thread::spawn(move || lines.count());
    let kubeconfig = kube::config::Kubeconfig::read_from(&config).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let began = Instant::now();
    println!("idle: {} KiB", memory(child.id(), "VmRSS:"));
    let source = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository",
        "metadata": {"name": "repo"}, "spec": {"url": url, "interval": "1h"}});
    ask(&client, "POST", "/apis/source.toolkit.fluxcd.io/v1/namespaces/default/helmrepositories", Some(source)).await;
    for number in 0..count {
        let release = json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": {"name": format!("app-{number:03}")}, "spec": {"interval": "1h",
                "chart": {"spec": {"chart": "app", "version": "1.x", "sourceRef": {"kind": "HelmRepository", "name": "repo"}}}}});
        ask(&client, "POST", RELEASES, Some(release)).await;
    }
    println!("{count} releases created in {:.1?}", began.elapsed());
    until_ready(&client, count).await;
    let report = |what: &str, began: Instant| {
        let (peak, cpu) = (memory(child.id(), "VmHWM:"), cpu(child.id()));
        println!("{count} releases {what} in {:.1?}; peak memory {peak} KiB, {cpu:.1} s of processor", began.elapsed());
    };
    report("installed and ready", began);
    let began = Instant::now();
    for number in 0..count {
        let patch = json!({"spec": {"values": {"value": "two"}}});
        ask(&client, "PATCH", &format!("{RELEASES}/app-{number:03}"), Some(patch)).await;
    }
    until_ready(&client, count).await;
    report("upgraded", began);
    child.kill().unwrap();
    child.wait().unwrap();
}
