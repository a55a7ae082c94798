//! Commits pushed to real repositories: over smart HTTP, over ssh, and into a directory; races, hooks and lost branches.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use weir::base::Secret;
use weir::outside::git::{
    Auth, Draft, GitError, KeyKind, Person, Prepared, Reference, Refspec, Remote, Signature, Signer, draft, generate,
    push, tip,
};

use super::servers::{Manner, Repository, Server, World, git_command, remote};

fn main_branch() -> Reference {
    Reference::Branch("main".into())
}

fn signature(message: &str) -> Signature {
    let author = Person { name: "Bot <x>".into(), email: "bot@example.org".into(), seconds: 1_800_000_000 };
    Signature { author, message: message.into(), signer: None }
}

/// A repository that takes pushes to the branch it stands on.
fn repository(world: &World, name: &str) -> Repository {
    let repository = world.repository(name);
    repository.git(&["config", "http.receivepack", "true"]);
    repository.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    repository
}

async fn begin(world: &World, remote: &Remote, branch: &str) -> Draft {
    draft(remote, &main_branch(), branch, &world.options()).await.unwrap()
}

fn edit(draft: &Draft, path: &str, text: &str, message: &str) -> Prepared {
    draft.commit(&[(path.to_owned(), text.as_bytes().to_vec())], &signature(message)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_pushed_over_http_with_a_login() {
    let world = World::new();
    let repository = repository(&world, "app");
    let first = repository.commit("one", &[("deploy/a.yaml", "a: 1\n"), ("run.sh", "x"), ("z/b.yaml", "b")]);
    let login = base64::engine::general_purpose::STANDARD.encode("ada:hunter2");
    let manner = Manner { wants: Some(format!("Basic {login}")), ..Manner::default() };
    let server = Server::start(world.root.path(), manner).await;
    let mut remote = remote(&server.url("app"));
    remote.auth = Auth::Basic { user: "ada".into(), password: Secret::new("hunter2") };
    let draft = begin(&world, &remote, "main").await;
    assert_eq!((draft.base.hash.as_str(), draft.is_new), (first.as_str(), false));
    let prepared = edit(&draft, "deploy/a.yaml", "a: 2\n", "Update a\n\nby bot\n");
    assert_eq!(tip(&remote, "main").await.unwrap(), Some(first.clone()), "a draft pushes nothing");
    push(&remote, &prepared, None, &[]).await.unwrap();
    assert_eq!(repository.git(&["rev-parse", "main"]).trim(), prepared.hash);
    assert_eq!(repository.git(&["rev-parse", "main^"]).trim(), first);
    let log = repository.git(&["log", "-1", "--format=%an|%ae|%cn|%at|%B", "main"]);
    assert_eq!(log.trim_end(), "Bot x|bot@example.org|Bot x|1800000000|Update a\n\nby bot");
    assert_eq!(repository.git(&["diff", "--stat=200", &first, "main"]).lines().count(), 2, "one file is touched");
    assert_eq!(repository.file("main:deploy/a.yaml"), "a: 2\n");
    repository.git(&["fsck", "--strict"]);
    // What was built upon is no longer the tip.
    let stale = edit(&draft, "deploy/a.yaml", "a: 3\n", "late");
    assert!(matches!(push(&remote, &stale, None, &[]).await, Err(GitError::Raced { .. })));
    assert_eq!(world.left_in_scratch(), 1, "the draft keeps its files");
    drop(draft);
    assert_eq!(world.left_in_scratch(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_branch_is_made_then_built_upon_and_a_refspec_is_moved_too() {
    let world = World::new();
    let repository = repository(&world, "app");
    let first = repository.commit("one", &[("a.yaml", "a: 1\n")]);
    let server = Server::start(world.root.path(), Manner::default()).await;
    let remote = remote(&server.url("app"));
    let made = begin(&world, &remote, "auto").await;
    assert!(made.is_new && made.base.hash == first);
    let prepared = edit(&made, "a.yaml", "a: 2\n", "two");
    let further = Refspec::parse("refs/heads/auto:refs/heads/copy", "auto").unwrap();
    push(&remote, &prepared, Some(&further), &[]).await.unwrap();
    for branch in ["auto", "copy"] {
        assert_eq!(repository.git(&["rev-parse", branch]).trim(), prepared.hash);
    }
    repository.commit("other work on main", &[("c.yaml", "c")]);
    let again = begin(&world, &remote, "auto").await;
    assert!(!again.is_new && again.base.hash == prepared.hash && again.tree.get("c.yaml").is_none());
    assert_eq!(&*again.tree.get("a.yaml").unwrap().bytes, b"a: 2\n");
    let next = edit(&again, "a.yaml", "a: 3\n", "three");
    repository.git(&["branch", "-f", "copy", "main"]);
    let refused = push(&remote, &next, Some(&further), &[]).await.unwrap_err();
    assert!(matches!(&refused, GitError::Rejected { reference, .. } if reference == "refs/heads/copy"), "{refused}");
    assert_eq!(repository.git(&["rev-parse", "auto"]).trim(), prepared.hash, "nothing is moved when one cannot be");
    push(&remote, &next, None, &[]).await.unwrap();
    assert!(matches!(push(&remote, &next, None, &["ci.skip".into()]).await, Err(GitError::Raced { .. })));
    repository.git(&["branch", "-D", "auto"]);
    let lost = edit(&again, "a.yaml", "a: 4\n", "four");
    assert!(matches!(push(&remote, &lost, None, &[]).await, Err(GitError::Raced { .. })), "a vanished branch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_options_reach_the_server_and_its_refusals_reach_people() {
    let world = World::new();
    let repository = repository(&world, "app");
    let first = repository.commit("one", &[("a.yaml", "a: 1\n")]);
    let server = Server::start(world.root.path(), Manner::default()).await;
    let remote = remote(&server.url("app"));
    let draft = begin(&world, &remote, "main").await;
    let prepared = edit(&draft, "a.yaml", "a: 2\n", "two");
    let option = ["merge_request.create".to_owned()];
    assert!(matches!(push(&remote, &prepared, None, &option).await, Err(GitError::PushOptions)));
    repository.git(&["config", "receive.advertisePushOptions", "true"]);
    let hook = repository.path.join(".git/hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(
        &hook,
        "#!/bin/sh\nprintf 'main is protected \\033[2Jby %s\\n' \"$GIT_PUSH_OPTION_0\" >&2\nexit 1\n",
    )
    .unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = push(&remote, &prepared, None, &option).await.unwrap_err();
    let shown = refused.to_string();
    assert!(matches!(refused, GitError::Rejected { .. }), "{shown}");
    assert!(shown.contains("main is protected") && shown.contains("by merge_request.create"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert_eq!(repository.git(&["rev-parse", "main"]).trim(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_writers_land_every_change_once() {
    const WRITERS: usize = 10;
    let world = World::new();
    let repository = repository(&world, "app");
    let files: Vec<(String, String)> = (0..WRITERS).map(|n| (format!("d/{n}.yaml"), "v: 0\n".to_owned())).collect();
    let literals: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    repository.commit("start", &literals);
    let remote = remote(&repository.file_url());
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..WRITERS {
        let (remote, options) = (remote.clone(), world.options());
        writers.spawn(async move {
            for _ in 0..200 {
                let draft = draft(&remote, &main_branch(), "main", &options).await.unwrap();
                let prepared = edit(&draft, &format!("d/{number}.yaml"), "v: 1\n", &format!("writer {number}"));
                match push(&remote, &prepared, None, &[]).await {
                    Ok(()) => return,
                    Err(GitError::Raced { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
            panic!("writer {number} never came to its turn");
        });
    }
    writers.join_all().await;
    let mut subjects: Vec<String> =
        repository.git(&["log", "--format=%s", "main"]).lines().map(str::to_owned).collect();
    assert_eq!(subjects.pop().as_deref(), Some("start"));
    subjects.sort();
    let mut wanted: Vec<String> = (0..WRITERS).map(|number| format!("writer {number}")).collect();
    wanted.sort();
    assert_eq!(subjects, wanted, "each change is one commit");
    for number in 0..WRITERS {
        assert_eq!(repository.file(&format!("main:d/{number}.yaml")), "v: 1\n");
    }
    repository.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn only_regular_files_of_the_base_are_replaced() {
    let world = World::new();
    let repository = repository(&world, "app");
    repository.commit("one", &[("a.yaml", "a: 1\n"), ("d/x.yaml", "x")]);
    std::os::unix::fs::symlink("a.yaml", repository.path.join("link.yaml")).unwrap();
    repository.git(&["add", "-A"]);
    repository.git(&["commit", "-q", "-m", "link"]);
    let draft = begin(&world, &remote(&repository.file_url()), "main").await;
    for path in ["link.yaml", "none.yaml", "d", "a.yaml/x", "../a.yaml"] {
        let made = draft.commit(&[(path.to_owned(), b"x".to_vec())], &signature("m"));
        assert!(matches!(made, Err(GitError::Tree { .. })), "{path}");
    }
}

#[tokio::test]
async fn commits_are_signed_with_an_ssh_key_that_git_verifies() {
    let world = World::new();
    let repository = repository(&world, "app");
    repository.commit("one", &[("a.yaml", "a: 1\n")]);
    let pair = generate(KeyKind::Ed25519).unwrap();
    let allowed = world.root.path().join("allowed");
    std::fs::write(&allowed, format!("bot@example.org {}\n", pair.public)).unwrap();
    let remote = remote(&repository.file_url());
    let draft = begin(&world, &remote, "main").await;
    let signer = Signer::read(&pair.identity, None).unwrap();
    let signed = Signature { signer: Some(signer), ..signature("signed\n\nbody") };
    let prepared = draft.commit(&[("a.yaml".into(), b"a: 2\n".to_vec())], &signed).unwrap();
    push(&remote, &prepared, None, &[]).await.unwrap();
    let file = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    let verified =
        git_command(&repository.path, &["-c", "gpg.format=ssh", "-c", &file, "verify-commit", "main"]).output();
    let verified = verified.unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert!(Signer::read(&Secret::new("nonsense"), None).is_err());
}
