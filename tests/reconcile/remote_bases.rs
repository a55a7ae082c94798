//! Kustomizations whose bases lie in other places: fetched over Git and HTTP within their limits, or refused.

use std::time::Duration;

use serde_json::{Value, json};
use weir::base::Id;
use weir::kinds::kustomization;
use weir::reconcile::{Crew, Kustomizer, Options};

use super::{World, config_map, ready};
use crate::outside::servers::{Manner, Server, World as Git};

const BASE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {key: value}\n";

fn ks() -> Id {
    kustomization::KIND.id("default", "apps")
}

async fn world(no_remote_bases: bool) -> World {
    let mut world =
        World::new(Options { no_remote_bases, min_retry: Duration::from_millis(50), ..Options::default() }).await;
    world.start(Crew::default().with(Kustomizer));
    world
}

/// Publishes a source whose kustomization has that one resource, and asks for it.
async fn ask_for(world: &World, revision: &str, resource: &str) {
    let text = format!("namePrefix: far-\nresources: ['{resource}']\n");
    world.publish("repo", revision, &[("kustomization.yaml", &text)]).await;
    world
        .put(json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "apps", "namespace": "default"},
        "spec": {"interval": "10m", "retryInterval": "200ms", "prune": true, "timeout": "30s", "targetNamespace": "default",
            "sourceRef": {"kind": "GitRepository", "name": "repo"}}}))
        .await;
}

async fn applied(world: &World, revision: &str) {
    let is = |document: &Value| document["status"]["lastAppliedRevision"] == revision;
    world.until(&ks(), "applied", is).await;
    assert!(world.get(&config_map("far-settings")).await.is_some(), "{revision}");
}

/// The message of a build that failed on a revision.
async fn refused(world: &World, revision: &str, part: &str) -> String {
    let failed = |document: &Value| {
        document["status"]["lastAttemptedRevision"] == revision
            && ready(document).is_some_and(|ready| ready.reason == "BuildFailed" && ready.message.contains(part))
    };
    let document = world.until(&ks(), "refused", failed).await;
    ready(&document).unwrap().message
}

#[tokio::test]
async fn bases_come_over_git_and_http_and_not_from_this_disk() {
    let git = Git::new();
    let repository = git.repository("far.git");
    repository.commit("base", &[("app/kustomization.yaml", "resources: [a.yaml]\n"), ("app/a.yaml", BASE)]);
    repository.git(&["tag", "v1"]);
    let mut manner = Manner::default();
    manner.fixed.insert("/raw/a.yaml".into(), (200, BASE.into()));
    manner.fixed.insert("/raw/large.yaml".into(), (200, "# too much\n".repeat(1 << 20).into_bytes()));
    let server = Server::start(git.root.path(), manner).await;
    let world = world(false).await;
    ask_for(&world, "main@sha1:1", &server.url("far.git//app?ref=v1")).await;
    applied(&world, "main@sha1:1").await;
    ask_for(&world, "main@sha1:2", &server.url("raw/a.yaml")).await;
    applied(&world, "main@sha1:2").await;
    ask_for(&world, "main@sha1:3", &server.url("raw/large.yaml")).await;
    refused(&world, "main@sha1:3", "more than 10485760 bytes").await;
    ask_for(&world, "main@sha1:4", &server.url("far.git//app?ref=v2")).await;
    refused(&world, "main@sha1:4", "v2").await;
    ask_for(&world, "main@sha1:5", &format!("{}//app?ref=v1", repository.file_url())).await;
    refused(&world, "main@sha1:5", "cannot be fetched").await;
    assert!(world.get(&config_map("far-settings")).await.is_some(), "what was applied stays");
}

#[tokio::test]
async fn a_repository_beyond_the_limit_is_refused() {
    let git = Git::new();
    let repository = git.repository("far.git");
    let large = "x".repeat(11 << 20);
    repository.commit("base", &[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", BASE), ("large", &large)]);
    let server = Server::start(git.root.path(), Manner::default()).await;
    let world = world(false).await;
    ask_for(&world, "main@sha1:1", &server.url("far.git")).await;
    let message = refused(&world, "main@sha1:1", "cannot be fetched").await;
    assert!(message.contains("10485760") || message.contains("10 MiB"), "{message}");
}

#[tokio::test]
async fn without_remote_bases_nothing_is_asked_for() {
    let git = Git::new();
    let server = Server::start(git.root.path(), Manner::default()).await;
    let world = world(true).await;
    for (revision, path) in [("main@sha1:1", "far.git//app?ref=v1"), ("main@sha1:2", "raw/a.yaml")] {
        ask_for(&world, revision, &server.url(path)).await;
        refused(&world, revision, "remote bases are not allowed").await;
    }
    assert!(server.seen().is_empty(), "no request left");
}
