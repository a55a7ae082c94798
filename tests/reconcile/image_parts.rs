//! The whole way with real parts: Debian's docker-registry where it is installed, and Git over sshd with a deploy key.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};
use weir::kinds::image_repository;

use super::images::{Bench, config_map};
use crate::outside::ssh::Sshd;
use crate::outside::web::Shelf;

const TAGS: usize = 3_000;

/// A real registry on loopback with its files in a directory; it ends with this value.
struct Registry {
    child: Child,
    address: String,
    _home: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Registry {
    /// Starts it; `None` where it is not installed.
    async fn start() -> Option<Registry> {
        let places = std::env::var("PATH").unwrap_or_default();
        let program = places.split(':').map(|place| Path::new(place).join("docker-registry")).find(|it| it.exists())?;
        let home = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: \
             {}}}\nhttp: {{addr: '{address}'}}\n",
            home.path().display()
        );
        std::fs::write(home.path().join("config.yml"), config).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(home.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Registry { child, address, _home: home };
        for _ in 0..200 {
            if std::net::TcpStream::connect(&registry.address).is_ok() {
                return Some(registry);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("docker-registry does not answer");
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/v2/team/app/{path}", self.address)
    }

    /// Puts one small image there, and tags it.
    async fn push(&self, tags: &[String]) {
        let client = reqwest::Client::builder().build().unwrap();
        let mut digests = Vec::new();
        for blob in ["{}", "layer"] {
            let digest = weir::base::Digest::sha256(blob.as_bytes()).to_string();
            let begun = client.post(self.url("blobs/uploads/")).send().await.unwrap();
            let place = begun.headers()["location"].to_str().unwrap().to_owned();
            let place = if place.starts_with('/') { format!("http://{}{place}", self.address) } else { place };
            let sign = if place.contains('?') { '&' } else { '?' };
            let put = client.put(format!("{place}{sign}digest={digest}")).body(blob).send().await.unwrap();
            assert_eq!(put.status(), 201);
            digests.push(digest);
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digests[0], "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digests[1], "size": 5}],
        })
        .to_string();
        let puts = tags.iter().map(|tag| {
            let put = client.put(self.url(&format!("manifests/{tag}"))).body(manifest.clone());
            let put = put.header("content-type", "application/vnd.oci.image.manifest.v1+json");
            async move { assert_eq!(put.send().await.unwrap().status(), 201, "{tag}") }
        });
        futures::stream::iter(puts).buffer_unordered(8).collect::<Vec<()>>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_real_registry_over_a_deploy_key_into_the_cluster() {
    let Some(sshd) = Sshd::start(&["ed25519"]) else { return };
    let bench = Bench::new(Shelf { page: Some(100), ..Shelf::default() }).await;
    let tags: Vec<String> = (0..TAGS).map(|number| format!("1.0.{number}")).collect();
    let registry = Registry::start().await;
    let image = match &registry {
        Some(registry) => {
            registry.push(&tags).await;
            format!("{}/team/app", registry.address)
        }
        None => {
            eprintln!("skipped: docker-registry is not installed; one in this process takes its place");
            tags.iter().for_each(|tag| drop(bench.push(tag)));
            bench.image()
        }
    };
    let repository = bench.repository("fleet", &[("deploy/app.yaml", &config_map("old:1"))]);
    let identity = sshd.identity("deploy", "ed25519", "");
    bench
        .world
        .put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git", "namespace": "default"},
            "stringData": {"identity": identity, "known_hosts": sshd.known("ed25519")}}))
        .await;
    bench.source(&sshd.url(&repository.path), json!({"secretRef": {"name": "git"}, "interval": "1s"})).await;
    bench
        .world
        .put(json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "app", "namespace": "default"}, "spec": {"interval": "10m", "prune": true,
            "path": "./deploy", "sourceRef": {"kind": "GitRepository", "name": "app"}}}))
        .await;
    bench.scan(json!({"image": image}), json!({"policy": {"semver": {"range": "1.x"}}})).await;
    let automation = bench.automate(json!({})).await;
    let wanted = format!("{image}:1.0.{}", TAGS - 1);
    let map = super::config_map("app");
    bench.world.until(&map, "rolled out", |it: &Value| it["data"]["image"] == wanted).await;
    let scanned = image_repository::KIND.id("default", "app");
    assert_eq!(bench.world.get(&scanned).await.unwrap()["status"]["lastScanResult"]["tagCount"], TAGS);
    assert_eq!(repository.git(&["rev-list", "--count", "main"]), "2");
    let head = repository.git(&["rev-parse", "main"]);
    bench.world.until(&automation, "pushed", |it| it["status"]["lastPushCommit"] == head).await;
}
