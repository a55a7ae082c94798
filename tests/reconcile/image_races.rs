//! Automations that write to one branch at once, and automations that are killed: every change lands exactly once.
//!
//! `WEIR_TEST_KILLS` says how often one is killed; a process that is killed is a real one, by `kill -9`.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use weir::base::Id;
use weir::kinds::{git_repository, image_policy, image_update_automation};
use weir::reconcile::{Crew, ImageAutomations, Options};

use super::{World, ready};
use crate::outside::servers::{Manner, Moment, Repository, Server, World as Git};

const API: &str = "image.toolkit.fluxcd.io/v1";
const WRITERS: usize = 10;

fn manifest() -> &'static str {
    "image: app:1 # {\"$imagepolicy\": \"default:app\"}\n"
}

fn repository(git: &Git, files: &[(&str, &str)]) -> Repository {
    let repository = git.repository("fleet");
    repository.git(&["config", "http.receivepack", "true"]);
    repository.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    repository.commit("start", files);
    repository
}

/// A policy that has chosen, and the repository.
async fn choose(world: &World, url: &str) {
    let head = json!({"name": "app", "namespace": "default"});
    let spec = json!({"imageRepositoryRef": {"name": "app"}, "policy": {"alphabetical": {}}});
    world.put(json!({"apiVersion": API, "kind": "ImagePolicy", "metadata": head, "spec": spec})).await;
    let status = json!({"status": {"latestRef": {"name": "app", "tag": "2"}}});
    let id = image_policy::KIND.id("default", "app");
    world.cluster.merge_patch(&id, &status, Some("status"), "test").await.unwrap();
    world
        .put(json!({"apiVersion": git_repository::KIND.api_version(), "kind": "GitRepository", "metadata": head,
            "spec": {"url": url, "interval": "1h", "ref": {"branch": "main"}}}))
        .await;
}

async fn automate(world: &World, name: &str, path: &str) -> Id {
    let spec = json!({"interval": "1h", "sourceRef": {"kind": "GitRepository", "name": "app"},
        "update": {"path": path, "strategy": "Setters"},
        "git": {"commit": {"author": {"email": "bot@example.org"}, "messageTemplate": "by {{ .AutomationObject.Name }}"}}});
    let head = json!({"name": name, "namespace": "default"});
    world.put(json!({"apiVersion": API, "kind": "ImageUpdateAutomation", "metadata": head, "spec": spec})).await;
    image_update_automation::KIND.id("default", name)
}

fn is_ready(document: &Value) -> bool {
    ready(document).is_some_and(|ready| ready.status == "True")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_automations_on_one_branch_each_land_their_change_once() {
    let git = Git::new();
    let files: Vec<String> = (0..WRITERS).map(|n| format!("d{n}/app.yaml")).collect();
    let literals: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), manifest())).collect();
    let repository = repository(&git, &literals);
    let server = Server::start(git.root.path(), Manner::default()).await;
    let mut world = World::new(Options::default()).await;
    choose(&world, &server.url("fleet")).await;
    let mut ids = Vec::new();
    for number in 0..WRITERS {
        ids.push(automate(&world, &format!("a{number}"), &format!("./d{number}")).await);
    }
    world.start(Crew::default().with(ImageAutomations));
    for id in &ids {
        world.until(id, "ready", is_ready).await;
    }
    let mut subjects: Vec<String> =
        repository.git(&["log", "--format=%s", "main"]).lines().map(str::to_owned).collect();
    assert_eq!(subjects.pop().as_deref(), Some("start"));
    subjects.sort();
    let wanted: Vec<String> = (0..WRITERS).map(|number| format!("by a{number}")).collect();
    assert_eq!(subjects, wanted, "each change is one commit, and none is lost");
    for path in &files {
        assert_eq!(repository.file(&format!("main:{path}")), manifest().replace("app:1", "app:2"));
    }
    // Nobody's commit was replaced: each is still behind the tip.
    for id in &ids {
        let pushed = world.get(id).await.unwrap()["status"]["lastPushCommit"].as_str().unwrap().to_owned();
        repository.git(&["merge-base", "--is-ancestor", &pushed, "main"]);
    }
    repository.git(&["fsck", "--strict"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_automations_with_one_change_between_them_make_one_commit() {
    let git = Git::new();
    let repository = repository(&git, &[("d/app.yaml", manifest())]);
    let mut world = World::new(Options::default()).await;
    choose(&world, &repository.file_url()).await;
    let mut ids = Vec::new();
    for number in 0..WRITERS {
        ids.push(automate(&world, &format!("a{number}"), "./d").await);
    }
    world.start(Crew::default().with(ImageAutomations));
    for id in &ids {
        world.until(id, "ready", is_ready).await;
    }
    assert_eq!(repository.git(&["rev-list", "--count", "main"]), "2");
}

/// The child of the kill test: one automation runs until it is ready, in a cluster that nobody else knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_automates_until_it_is_killed() {
    let Ok(url) = std::env::var("WEIR_TEST_CHILD_GIT") else { return };
    let mut world = World::new(Options::default()).await;
    choose(&world, &url).await;
    let id = automate(&world, "app", "./d").await;
    world.start(Crew::default().with(ImageAutomations));
    world.until(&id, "ready", is_ready).await;
    world.stop().await;
}

fn child(url: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["reconcile::image_races::child_that_automates_until_it_is_killed", "--exact"])
        .env("WEIR_TEST_CHILD_GIT", url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The process that a server shoots, and when.
type Target = Arc<Mutex<Option<(Child, Option<Moment>)>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_killed_around_the_answer_of_a_push_leaves_exactly_one_commit() {
    let kills: usize = std::env::var("WEIR_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let target: Target = Arc::default();
    let shot = target.clone();
    let manner = Manner {
        at_push: Some(Arc::new(move |moment| {
            let mut target = shot.lock().unwrap();
            let Some((child, when)) = target.as_mut().filter(|(_, when)| *when == Some(moment)) else { return false };
            child.kill().unwrap();
            *when = None;
            true
        })),
        ..Manner::default()
    };
    for round in 0..kills {
        let git = Git::new();
        let repository = repository(&git, &[("d/app.yaml", manifest())]);
        let server = Server::start(git.root.path(), manner.clone()).await;
        let url = server.url("fleet");
        let moment = [Moment::Before, Moment::Within, Moment::After][round % 3];
        *target.lock().unwrap() = Some((child(&url), Some(moment)));
        let ended = async {
            while target.lock().unwrap().as_mut().unwrap().0.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), ended).await.expect("the child ends");
        let (_, left) = target.lock().unwrap().take().unwrap();
        assert_eq!(left, None, "round {round}: nobody was shot {moment:?}");
        let count = repository.git(&["rev-list", "--count", "main"]);
        let wanted = if moment == Moment::Before { "1" } else { "2" };
        assert_eq!(count, wanted, "round {round}: what the server did when its client died {moment:?}");
        // Who comes next knows nothing of what was before.
        let mut next = child(&url);
        let ended = async {
            loop {
                if let Some(status) = next.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let status = tokio::time::timeout(Duration::from_secs(120), ended).await.expect("the next one ends");
        assert!(status.success(), "round {round}");
        assert_eq!(repository.git(&["rev-list", "--count", "main"]), "2", "round {round}: {moment:?}");
        assert_eq!(repository.file("main:d/app.yaml"), manifest().replace("app:1", "app:2"));
        repository.git(&["fsck", "--strict"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_refuses_is_a_condition_and_lands_once_it_is_let_in() {
    use std::os::unix::fs::PermissionsExt as _;
    let git = Git::new();
    let repository = repository(&git, &[("d/app.yaml", manifest())]);
    let hook = repository.path.join(".git/hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nprintf 'main is protected \\033]52;c;eA==\\007here\\n' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::start(git.root.path(), Manner::default()).await;
    let mut world = World::new(Options::default()).await;
    choose(&world, &server.url("fleet")).await;
    world.start(Crew::default().with(ImageAutomations));
    let id = automate(&world, "app", "./d").await;
    let document = world.until_reason(&id, "GitOperationFailed").await;
    let told = ready(&document).unwrap().message;
    assert!(told.contains("main is protected") && !told.contains('\x1b'), "{told:?}");
    assert_eq!(repository.git(&["rev-list", "--count", "main"]), "1");
    std::fs::remove_file(&hook).unwrap();
    world.until(&id, "pushed", is_ready).await;
    assert_eq!(repository.git(&["rev-list", "--count", "main"]), "2", "the retry lands by itself");
    // The branch goes: that is an error, never a branch made anew from nothing.
    repository.git(&["checkout", "-q", "--detach"]);
    repository.git(&["branch", "-D", "main"]);
    world.patch(&id, json!({"metadata": {"annotations": {(weir::kinds::meta::REQUESTED_AT): "now"}}})).await;
    let document = world.until_reason(&id, "GitOperationFailed").await;
    assert!(ready(&document).unwrap().message.contains("main"), "{document:#}");
    assert_eq!(repository.git(&["branch", "--list", "main"]), "");
}
