//! The GitRepository reconciler: real repositories, a real storage, and its status as Flux writes it.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use weir::base::{Condition, Digest, Id};
use weir::engine::archive::{Unpack, unpack};
use weir::kinds::{git_repository, meta};
use weir::outside::download::{Retry, fetch_artifact};
use weir::reconcile::{Crew, GitRepositories, Options};

use super::{World, ready};
use crate::outside::servers::{Manner, Repository, Server, World as Git};

/// A running reconciler and some repositories.
struct Bench {
    world: World,
    git: Git,
}

impl Bench {
    async fn new(options: Options) -> Bench {
        let mut world = World::new(options).await;
        world.start(Crew::default().with(GitRepositories));
        Bench { world, git: Git::new() }
    }

    async fn put(&self, name: &str, url: &str, spec: Value) -> Id {
        let mut document = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"url": url, "interval": "10m", "ref": {"branch": "main"}}});
        for (key, value) in spec.as_object().into_iter().flatten() {
            document["spec"][key] = value.clone();
        }
        self.world.put(document).await;
        git_repository::KIND.id("default", name)
    }

    /// Asks for a run and waits until it is over.
    async fn reconcile(&self, id: &Id, token: &str) -> Value {
        self.world.patch(id, json!({"metadata": {"annotations": {(meta::REQUESTED_AT): token}}})).await;
        self.world.until(id, "handled", |document| document["status"]["lastHandledReconcileAt"] == token).await
    }

    fn files(&self, document: &Value) -> Vec<String> {
        let path = document.pointer("/status/artifact/path").and_then(Value::as_str).unwrap();
        let bytes = std::fs::read(self.world.files.path().join(path)).unwrap();
        let tree = unpack(&bytes, &Unpack::default()).unwrap();
        tree.iter().map(|(path, _)| path.to_owned()).collect()
    }
}

fn condition(document: &Value, kind: &str) -> Option<(String, String)> {
    Condition::find(document, kind).map(|found| (found.status, found.reason))
}

fn revision(document: &Value) -> &str {
    document.pointer("/status/artifact/revision").and_then(Value::as_str).unwrap_or_default()
}

fn pair(status: &str, reason: &str) -> Option<(String, String)> {
    Some((status.into(), reason.into()))
}

#[tokio::test]
async fn a_commit_becomes_an_artifact_that_others_can_fetch() {
    let bench = Bench::new(Options::default()).await;
    let repository = bench.git.repository("app");
    let first = repository.commit("say hello\n\nand more", &[("a.yaml", "a"), ("logo.png", "x"), (".github/w", "x")]);
    let id = bench.put("app", &repository.file_url(), json!({})).await;
    let document = bench.world.until_reason(&id, "Succeeded").await;
    let name = format!("{first}.tar.gz");
    assert_eq!(revision(&document), format!("main@sha1:{first}"));
    let artifact = &document["status"]["artifact"];
    assert_eq!(artifact["path"], format!("gitrepository/default/app/{name}"));
    assert_eq!(artifact["url"], bench.world.cx.artifacts.url(&format!("gitrepository/default/app/{name}")));
    assert!(artifact["size"].as_i64().unwrap() > 0 && artifact["lastUpdateTime"].as_str().unwrap().ends_with('Z'));
    assert_eq!(bench.files(&document), ["a.yaml"]);
    let message = format!("stored artifact for revision 'main@sha1:{first}'");
    assert_eq!(ready(&document).unwrap().message, message);
    assert_eq!(condition(&document, "ArtifactInStorage"), pair("True", "Succeeded"));
    assert_eq!(document["status"]["observedGeneration"], 1);
    for gone in ["Reconciling", "Stalled", "FetchFailed", "ArtifactOutdated", "SourceVerified"] {
        assert_eq!(condition(&document, gone), None, "{gone}");
    }
    assert_eq!(bench.world.events(&id).await, ["NewArtifact: stored artifact for commit 'say hello'"]);
    let digest: Digest = artifact["digest"].as_str().unwrap().parse().unwrap();
    let tree = fetch_artifact(&bench.world.cx.client, artifact["url"].as_str().unwrap(), &digest, &Retry::default())
        .await
        .unwrap();
    assert_eq!(tree.len(), 1);
}

#[tokio::test]
async fn nothing_new_is_no_fetch_and_a_new_commit_is_one() {
    let bench = Bench::new(Options::default()).await;
    let repository = bench.git.repository("app");
    repository.commit("one", &[("a", "1")]);
    let server = Server::start(bench.git.root.path(), Manner::default()).await;
    let id = bench.put("app", &server.url("app/.git"), json!({})).await;
    let before = bench.world.until_reason(&id, "Succeeded").await;
    let asked = server.seen().len();
    let same = bench.reconcile(&id, "t1").await;
    assert_eq!(same["status"]["artifact"], before["status"]["artifact"]);
    let fetched = server.seen()[asked..].iter().any(|seen| seen.body.windows(13).any(|w| w == b"command=fetch"));
    assert!(!fetched, "only the reference was asked for");
    assert!(bench.world.events(&id).await.iter().any(|event| event.starts_with("GitOperationSucceeded: no changes")));
    let second = repository.commit("two", &[("a", "2")]);
    let after = bench.reconcile(&id, "t2").await;
    assert_eq!(revision(&after), format!("main@sha1:{second}"));
    assert!(ready(&after).unwrap().message.contains(&second));
}

#[tokio::test]
async fn what_is_wanted_of_the_same_commit_makes_a_new_artifact() {
    let bench = Bench::new(Options::default()).await;
    let repository = bench.git.repository("app");
    repository.commit("one", &[("a.yaml", "1"), ("b.yaml", "2"), ("dir/c.yaml", "3")]);
    let id = bench.put("app", &repository.file_url(), json!({})).await;
    let first = bench.world.until_reason(&id, "Succeeded").await;
    bench.world.patch(&id, json!({"spec": {"ignore": "/a.yaml"}})).await;
    let ignored = |document: &Value| document["status"]["observedIgnore"] == "/a.yaml";
    let second = bench.world.until(&id, "ignoring", ignored).await;
    assert_eq!(bench.files(&second), ["b.yaml", "dir/c.yaml"]);
    assert_eq!(first["status"]["artifact"]["path"], second["status"]["artifact"]["path"], "the same file name");
    assert_ne!(first["status"]["artifact"]["digest"], second["status"]["artifact"]["digest"]);
    bench.world.patch(&id, json!({"spec": {"ignore": null, "sparseCheckout": ["dir"]}})).await;
    let sparse = |document: &Value| document["status"]["observedSparseCheckout"] == json!(["dir"]);
    let third = bench.world.until(&id, "sparse", sparse).await;
    assert_eq!(bench.files(&third), ["dir/c.yaml"]);
    assert_eq!(third["status"]["observedIgnore"], Value::Null);
    bench.world.patch(&id, json!({"spec": {"sparseCheckout": ["nope"]}})).await;
    let failed = bench.world.until_reason(&id, "GitOperationFailed").await;
    assert!(ready(&failed).unwrap().message.contains("nope"));
    assert_eq!(failed["status"]["artifact"], third["status"]["artifact"], "the old artifact stays");
}

#[tokio::test]
async fn a_lost_or_changed_artifact_is_rebuilt() {
    let bench = Bench::new(Options::default()).await;
    let repository = bench.git.repository("app");
    repository.commit("one", &[("a", "1")]);
    let id = bench.put("app", &repository.file_url(), json!({})).await;
    let document = bench.world.until_reason(&id, "Succeeded").await;
    let path = document["status"]["artifact"]["path"].as_str().unwrap();
    let file = bench.world.files.path().join(path);
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, b"tampered").unwrap();
    bench.reconcile(&id, "t1").await;
    assert_eq!(std::fs::read(&file).unwrap(), good);
    assert!(bench.world.events(&id).await.iter().any(|event| event.starts_with("ArtifactVerificationFailed")));
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    let rebuilt = bench.reconcile(&id, "t2").await;
    assert_eq!(std::fs::read(&file).unwrap(), good);
    assert_eq!(rebuilt["status"]["artifact"]["digest"], document["status"]["artifact"]["digest"]);
}

#[tokio::test]
async fn old_artifacts_go_and_deletion_removes_all() {
    let options = Options { artifact_records: 2, ..Options::default() };
    let bench = Bench::new(options).await;
    let repository = bench.git.repository("app");
    repository.commit("0", &[("a", "0")]);
    let id = bench.put("app", &repository.file_url(), json!({})).await;
    bench.world.until_reason(&id, "Succeeded").await;
    for n in 1..4 {
        repository.commit("next", &[("a", &n.to_string())]);
        bench.reconcile(&id, &format!("t{n}")).await;
    }
    bench.reconcile(&id, "last").await;
    let directory = bench.world.files.path().join("gitrepository/default/app");
    let files =
        std::fs::read_dir(&directory).unwrap().filter(|entry| entry.as_ref().unwrap().metadata().unwrap().is_file());
    assert_eq!(files.count(), 2);
    bench.world.delete(&id).await;
    bench.world.until_gone(&id).await;
    assert!(!directory.exists());
    assert_eq!(std::fs::read_dir(bench.world.cx.artifacts.scratch()).unwrap().count(), 0);
}

#[tokio::test]
async fn included_repositories_land_in_their_places() {
    let bench = Bench::new(Options { requeue_dependency: Duration::from_millis(100), ..Options::default() }).await;
    let library = bench.git.repository("library");
    library.commit("lib", &[("deploy/x.yaml", "x"), ("docs/y", "y")]);
    let repository = bench.git.repository("app");
    repository.commit("app", &[("a.yaml", "a")]);
    let include = json!({"include": [
        {"repository": {"name": "library"}, "fromPath": "deploy", "toPath": "vendor/lib"},
        {"repository": {"name": "library"}}]});
    let id = bench.put("app", &repository.file_url(), include).await;
    let waiting = bench.world.until_reason(&id, "NotFound").await;
    assert_eq!(condition(&waiting, "IncludeUnavailable"), pair("True", "NotFound"));
    let other = bench.put("library", &library.file_url(), json!({})).await;
    bench.world.until_reason(&other, "Succeeded").await;
    let document = bench.world.until_reason(&id, "Succeeded").await;
    assert_eq!(bench.files(&document), ["a.yaml", "library/deploy/x.yaml", "library/docs/y", "vendor/lib/x.yaml"]);
    assert_eq!(condition(&document, "IncludeUnavailable"), None);
    assert_eq!(document["status"]["includedArtifacts"].as_array().unwrap().len(), 2);
    let own = revision(&document).to_owned();
    library.commit("lib 2", &[("deploy/z.yaml", "z")]);
    bench.reconcile(&other, "t1").await;
    let after = bench.reconcile(&id, "t2").await;
    assert!(bench.files(&after).contains(&"vendor/lib/z.yaml".to_owned()));
    assert_eq!(revision(&after), own, "the revision stays that of the main repository");
    bench
        .world
        .patch(&id, json!({"spec": {"include": [{"repository": {"name": "library"}, "toPath": "../out"}]}}))
        .await;
    bench.world.until_reason(&id, "IllegalPath").await;
}

#[tokio::test]
async fn secrets_open_remotes_and_are_never_told() {
    let bench = Bench::new(Options { min_retry: Duration::from_millis(50), ..Options::default() }).await;
    let repository = bench.git.repository("app");
    repository.commit("one", &[("a", "1")]);
    let wanted = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("user:canary-password"));
    let server = Server::start(bench.git.root.path(), Manner { wants: Some(wanted), ..Manner::default() }).await;
    let id = bench.put("app", &server.url("app/.git"), json!({"secretRef": {"name": "login"}})).await;
    let missing = bench.world.until_reason(&id, "AuthenticationFailed").await;
    assert!(ready(&missing).unwrap().message.contains("default/login"));
    assert_eq!(condition(&missing, "FetchFailed"), pair("True", "AuthenticationFailed"));
    let secret = |data: Value| {
        json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "login", "namespace": "default"}, "stringData": data})
    };
    bench.world.put(secret(json!({"username": "user", "password": "wrong-canary"}))).await;
    let refused = bench.world.until_reason(&id, "GitOperationFailed").await;
    assert!(!refused.to_string().contains("canary"));
    bench.world.put(secret(json!({"username": "user", "password": "canary-password"}))).await;
    let document = bench.reconcile(&id, "t1").await;
    assert!(!document.to_string().contains("canary"));
    assert_eq!(condition(&document, "FetchFailed"), None);
    assert!(bench.world.events(&id).await.iter().all(|event| !event.contains("canary")));
}

#[tokio::test]
async fn what_can_never_work_stalls_and_what_may_is_tried_again() {
    let bench = Bench::new(Options { min_retry: Duration::from_millis(50), ..Options::default() }).await;
    let stalled = async |name: &str, url: &str, spec: Value, reason: &str| {
        let id = bench.put(name, url, spec).await;
        let document = bench.world.until_reason(&id, reason).await;
        assert_eq!(condition(&document, "Stalled"), pair("True", reason), "{name}");
    };
    stalled("url", "https://host/../x", json!({}), "URLInvalid").await;
    stalled("cloud", "https://h/x", json!({"provider": "azure"}), "InvalidProviderConfiguration").await;
    let verify = json!({"verify": {"mode": "HEAD", "secretRef": {"name": "keys"}}});
    stalled("signed", "https://h/x", verify, "VerificationError").await;
    let empty = bench.git.repository("empty");
    let id = bench.put("empty", &empty.file_url(), json!({})).await;
    bench.world.until_reason(&id, "EmptyGitRepository").await;
    empty.commit("at last", &[("a", "a")]);
    let document = bench.world.until_reason(&id, "Succeeded").await;
    assert_eq!(condition(&document, "FetchFailed"), None);
    let missing = bench.git.repository("missing");
    missing.commit("x", &[("a", "a")]);
    let id = bench.put("missing", &missing.file_url(), json!({"ref": {"tag": "v1"}})).await;
    let document = bench.world.until_reason(&id, "GitOperationFailed").await;
    assert_eq!(condition(&document, "Reconciling").unwrap().1, "ProgressingWithRetry");
    let _: &Repository = &missing;
}

#[tokio::test]
async fn a_recovery_is_told_once() {
    let bench = Bench::new(Options { min_retry: Duration::from_millis(50), ..Options::default() }).await;
    let repository = bench.git.repository("app");
    repository.commit("one", &[("a", "1")]);
    let id = bench.put("app", &repository.file_url(), json!({})).await;
    bench.world.until_reason(&id, "Succeeded").await;
    let hidden = bench.git.root.path().join("hidden");
    std::fs::rename(&repository.path, &hidden).unwrap();
    bench.world.patch(&id, json!({"metadata": {"annotations": {(meta::REQUESTED_AT): "t1"}}})).await;
    bench.world.until_reason(&id, "GitOperationFailed").await;
    std::fs::rename(&hidden, &repository.path).unwrap();
    bench.world.until_reason(&id, "Succeeded").await;
    bench.reconcile(&id, "t2").await;
    let events = bench.world.events(&id).await;
    assert_eq!(events.iter().filter(|event| event.starts_with("Succeeded: ")).count(), 1, "{events:?}");
}
