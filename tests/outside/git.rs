//! Fetching from honest servers: every transport, every kind of reference, every way to prove who asks.

use std::time::{Duration, Instant};

use base64::Engine as _;
use weir::base::Secret;
use weir::outside::egress::Egress;
use weir::outside::git::{Auth, GitError, Reference, checkout, resolve};
use weir::outside::http::{ClientCertificate, HttpError};

use super::servers::{Manner, Server, World, remote, tls};

fn branch(name: &str) -> Reference {
    Reference::Branch(name.into())
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn paths(tree: &weir::base::FileTree) -> Vec<&str> {
    tree.iter().map(|(path, _)| path).collect()
}

#[tokio::test]
async fn each_kind_of_reference_is_found_over_every_transport() {
    let world = World::new();
    let repository = world.repository("app");
    let first = repository.commit("first", &[("a.yaml", "one")]);
    repository.git(&["tag", "v1.0.0"]);
    let second = repository.commit("second", &[("a.yaml", "two"), ("deploy/b.yaml", "b")]);
    repository.git(&["tag", "-a", "v1.2.0", "-m", "annotated"]);
    let third = repository.commit("third", &[("a.yaml", "three")]);
    repository.git(&["update-ref", "refs/pull/7/head", &first]);
    repository.git(&["branch", "other", &first]);
    let server = Server::start(world.root.path(), Manner::default()).await;
    let old = Server::start(world.root.path(), Manner { old: true, ..Manner::default() }).await;
    for url in [server.url("app/.git"), old.url("app/.git"), repository.file_url()] {
        let commit = |hash: &str, branch: Option<&str>| Reference::Commit {
            commit: hash.into(),
            branch: branch.map(str::to_owned),
        };
        for (reference, revision, content) in [
            (branch("main"), format!("main@sha1:{third}"), "three"),
            (branch("other"), format!("other@sha1:{first}"), "one"),
            (Reference::Tag("v1.0.0".into()), format!("v1.0.0@sha1:{first}"), "one"),
            (Reference::Tag("v1.2.0".into()), format!("v1.2.0@sha1:{second}"), "two"),
            (Reference::Semver("1.x".into()), format!("v1.2.0@sha1:{second}"), "two"),
            (Reference::Semver("<1.2".into()), format!("v1.0.0@sha1:{first}"), "one"),
            (Reference::Name("refs/heads/main".into()), format!("refs/heads/main@sha1:{third}"), "three"),
            (Reference::Name("refs/pull/7/head".into()), format!("refs/pull/7/head@sha1:{first}"), "one"),
            (Reference::Name("refs/tags/v1.2.0^{}".into()), format!("refs/tags/v1.2.0@sha1:{second}"), "two"),
            (commit(&second, None), format!("sha1:{second}"), "two"),
            (commit(&first, Some("main")), format!("main@sha1:{first}"), "one"),
            (commit(&third, Some("main")), format!("main@sha1:{third}"), "three"),
        ] {
            let remote = remote(&url);
            let pointed = resolve(&remote, &reference, &world.options().scratch).await.unwrap();
            assert_eq!(pointed.to_string(), revision, "{reference:?} at {url}");
            let found = checkout(&remote, &reference, &world.options()).await.unwrap();
            assert_eq!(found.revision.to_string(), revision, "{reference:?} at {url}");
            assert_eq!(&*found.tree.get("a.yaml").unwrap().bytes, content.as_bytes(), "{reference:?} at {url}");
        }
        let remote = remote(&url);
        let other = checkout(&remote, &commit(&third, Some("other")), &world.options()).await;
        assert!(matches!(other, Err(GitError::ReferenceMissing { .. })), "a commit of another branch: {other:?}");
        assert_eq!(world.left_in_scratch(), 0);
    }
}

#[tokio::test]
async fn a_commit_tells_who_when_and_why() {
    let world = World::new();
    let repository = world.repository("app");
    let parent = repository.commit("start", &[("a", "1")]);
    let hash = repository.commit("subject line\n\nbody", &[("a", "2")]);
    let found = checkout(&remote(&repository.file_url()), &branch("main"), &world.options()).await.unwrap();
    assert_eq!((found.commit.subject(), found.commit.hash.as_str()), ("subject line", hash.as_str()));
    assert_eq!((found.commit.author.name.as_str(), found.commit.author.email.as_str()), ("Ada", "ada@example.org"));
    assert!(found.commit.committer.seconds > 1_700_000_000);
    assert_eq!(found.commit.parents, [parent]);
}

#[tokio::test]
async fn one_branch_is_fetched_without_its_history() {
    let world = World::new();
    let repository = world.repository("app");
    for n in 0..30 {
        let noise: String = (0..400).map(|i| format!("{:x}", i * 7919 + n * 104_729)).collect();
        repository.commit("grow", &[("big", &noise)]);
    }
    let server = Server::start(world.root.path(), Manner::default()).await;
    checkout(&remote(&server.url("app/.git")), &branch("main"), &world.options()).await.unwrap();
    let asked: Vec<String> =
        server.seen().iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect();
    assert!(server.seen()[0].path.ends_with("/info/refs?service=git-upload-pack"));
    assert!(asked.iter().any(|body| body.contains("deepen 1")), "{asked:?}");
    assert!(asked.iter().any(|body| body.contains("ref-prefix refs/heads/main")), "{asked:?}");
}

#[tokio::test]
async fn modes_survive_and_links_do_not() {
    let world = World::new();
    let repository = world.repository("app");
    std::os::unix::fs::symlink("/etc/passwd", repository.path.join("link")).unwrap();
    repository.commit("files", &[("run.sh", "#!"), ("plain", "x")]);
    repository.git(&["update-index", "--chmod=+x", "run.sh"]);
    repository.git(&["commit", "-q", "-m", "mode"]);
    let found = checkout(&remote(&repository.file_url()), &branch("main"), &world.options()).await.unwrap();
    assert_eq!(paths(&found.tree), ["plain", "run.sh"]);
    assert!(found.tree.get("run.sh").unwrap().executable && !found.tree.get("plain").unwrap().executable);
}

#[tokio::test]
async fn sparse_directories_must_exist() {
    let world = World::new();
    let repository = world.repository("app");
    repository.commit("files", &[("root", "x"), ("deploy/prod/a", "x"), ("deploy/dev/a", "x"), ("docs/a", "x")]);
    let with = |sparse: &[&str]| {
        let sparse = sparse.iter().map(|directory| directory.to_string()).collect();
        weir::outside::git::CheckoutOptions { sparse, ..world.options() }
    };
    let remote = remote(&repository.file_url());
    let found = checkout(&remote, &branch("main"), &with(&["./deploy/prod", "docs/"])).await.unwrap();
    assert_eq!(paths(&found.tree), ["deploy/prod/a", "docs/a"]);
    let missing = checkout(&remote, &branch("main"), &with(&["docs", "nope"])).await;
    assert!(matches!(missing, Err(GitError::SparseMissing(path)) if path == "nope"));
}

#[tokio::test]
async fn submodules_come_along_when_asked() {
    let world = World::new();
    let inner = world.repository("inner");
    inner.commit("inner", &[("i.yaml", "inner")]);
    let library = world.repository("library");
    library.commit("lib", &[("l.yaml", "old")]);
    library.git(&["submodule", "add", "-q", "../inner/.git", "deep/inner"]);
    let pinned = library.commit("pinned", &[("l.yaml", "pinned")]);
    let repository = world.repository("app");
    repository.git(&["submodule", "add", "-q", "../library/.git", "vendor/library"]);
    repository.commit("use", &[("a.yaml", "a")]);
    library.commit("newer", &[("l.yaml", "newer")]);
    assert_ne!(library.git(&["rev-parse", "HEAD"]), pinned);
    // Relative addresses are joined to the parent's, whose path ends in `/.git` here.
    for dir in ["app", "library"] {
        let repository = super::servers::Repository { path: world.root.path().join(dir) };
        let modules = std::fs::read_to_string(repository.path.join(".gitmodules")).unwrap();
        repository.commit("deeper", &[(".gitmodules", &modules.replace("url = ../", "url = ../../"))]);
    }
    let parent = super::servers::Repository { path: world.root.path().join("app") };
    let head = library.git(&["rev-parse", "HEAD"]);
    parent.git(&["update-index", "--cacheinfo", &format!("160000,{head},vendor/library")]);
    parent.git(&["commit", "-q", "-m", "bump"]);
    let server = Server::start(world.root.path(), Manner { wants: Some(basic("u", "p")), ..Manner::default() }).await;
    let mut remote = remote(&server.url("app/.git"));
    remote.auth = Auth::Basic { user: "u".into(), password: Secret::new("p") };
    let without = checkout(&remote, &branch("main"), &world.options()).await.unwrap();
    assert_eq!(paths(&without.tree), [".gitmodules", "a.yaml"]);
    let options = weir::outside::git::CheckoutOptions { submodules: true, ..world.options() };
    let with = checkout(&remote, &branch("main"), &options).await.unwrap();
    assert_eq!(
        paths(&with.tree),
        [
            ".gitmodules",
            "a.yaml",
            "vendor/library/.gitmodules",
            "vendor/library/deep/inner/i.yaml",
            "vendor/library/l.yaml"
        ]
    );
    assert_eq!(&*with.tree.get("vendor/library/l.yaml").unwrap().bytes, b"newer");
    assert_eq!(world.left_in_scratch(), 0);
}

#[tokio::test]
async fn credentials_go_to_their_origin_and_nowhere_else() {
    let world = World::new();
    let secret = world.repository("secret");
    secret.commit("s", &[("s", "s")]);
    let other = Server::start(world.root.path(), Manner::default()).await;
    let repository = world.repository("app");
    let hash = secret.git(&["rev-parse", "HEAD"]);
    repository.commit(
        "m",
        &[(".gitmodules", &format!("[submodule \"s\"]\n\tpath = s\n\turl = {}\n", other.url("secret/.git")))],
    );
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{hash},s")]);
    repository.git(&["commit", "-q", "-m", "link"]);
    let server = Server::start(world.root.path(), Manner { wants: Some(basic("u", "p")), ..Manner::default() }).await;
    let mut remote = remote(&server.url("app/.git"));
    remote.auth = Auth::Basic { user: "u".into(), password: Secret::new("p") };
    let options = weir::outside::git::CheckoutOptions { submodules: true, ..world.options() };
    let found = checkout(&remote, &branch("main"), &options).await.unwrap();
    assert!(found.tree.get("s/s").is_some());
    assert!(!other.seen().is_empty() && other.seen().iter().all(|seen| seen.authorization.is_none()));
    assert!(server.seen().iter().all(|seen| seen.authorization.is_some()));
}

#[tokio::test]
async fn each_way_to_log_in_over_http_works_and_failures_say_what_to_do() {
    let world = World::new();
    world.repository("app").commit("x", &[("a", "a")]);
    let start = |wants: String| Server::start(world.root.path(), Manner { wants: Some(wants), ..Manner::default() });
    let options = world.options();
    let server = start(basic("user", "p@ss")).await;
    let mut remote = remote(&server.url("app/.git"));
    let refused = checkout(&remote, &branch("main"), &options).await.unwrap_err();
    assert!(matches!(refused, GitError::CredentialsMissing { .. }), "{refused}");
    assert!(refused.to_string().contains("spec.secretRef"));
    remote.auth = Auth::Basic { user: "user".into(), password: Secret::new("wrong-canary") };
    let refused = checkout(&remote, &branch("main"), &options).await.unwrap_err();
    assert!(matches!(refused, GitError::CredentialsRefused { .. }), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("canary"));
    remote.auth = Auth::Basic { user: "user".into(), password: Secret::new("p@ss") };
    checkout(&remote, &branch("main"), &options).await.unwrap();
    let in_url = server.url("app/.git").replace("http://", "http://user:p%40ss@");
    checkout(&super::servers::remote(&in_url), &branch("main"), &options).await.unwrap();
    let server = start("Bearer token-1".into()).await;
    let mut remote = super::servers::remote(&server.url("app/.git"));
    remote.auth = Auth::Bearer(Secret::new("token-1"));
    checkout(&remote, &branch("main"), &options).await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let world = World::new();
    let repository = world.repository("app");
    repository.commit("x", &[("a", "a")]);
    world.repository("empty");
    let server = Server::start(world.root.path(), Manner::default()).await;
    let base = format!("file://{}", world.root.path().display());
    for base in [server.url("").trim_end_matches('/').to_owned(), base] {
        let ask = async |name: &str, reference: Reference| {
            let remote = remote(&format!("{base}/{name}/.git"));
            let resolved = resolve(&remote, &reference, &world.options().scratch).await;
            assert!(resolved.is_err(), "{name} {reference:?}");
            checkout(&remote, &reference, &world.options()).await.unwrap_err()
        };
        let error = ask("app", branch("master")).await;
        assert!(
            matches!(error, GitError::ReferenceMissing { .. }) && error.to_string().contains("there are main"),
            "{error}"
        );
        let error = ask("app", Reference::Semver(">=1".into())).await;
        assert!(matches!(error, GitError::ReferenceMissing { .. }), "{error}");
        let error = ask("empty", branch("main")).await;
        assert!(matches!(error, GitError::Empty { .. }), "{error}");
        let error = ask("nothing", branch("main")).await;
        assert!(matches!(error, GitError::RepositoryMissing { .. }), "{error}");
    }
}

#[tokio::test]
async fn of_equal_versions_the_later_commit_wins() {
    let world = World::new();
    let repository = world.repository("app");
    let old = repository.commit("old", &[("a", "old")]);
    repository.git(&["tag", "1.0.0"]);
    std::fs::write(repository.path.join("a"), "new").unwrap();
    repository.git(&["add", "-A"]);
    let later = super::servers::git_command(&repository.path, &["commit", "-q", "-m", "new"])
        .env("GIT_COMMITTER_DATE", "2040-01-01T00:00:00Z")
        .status()
        .unwrap();
    assert!(later.success());
    repository.git(&["tag", "v1.0.0+b2"]);
    let server = Server::start(world.root.path(), Manner::default()).await;
    let remote = remote(&server.url("app/.git"));
    let found = resolve(&remote, &Reference::Semver("1.x".into()), &world.options().scratch).await.unwrap();
    assert_eq!(found.pointer, "v1.0.0+b2");
    assert_ne!(found.digest.unwrap().hex, old);
}

#[tokio::test]
async fn custom_authorities_and_client_certificates() {
    let world = World::new();
    world.repository("app").commit("x", &[("a", "a")]);
    let made = tls("127.0.0.1", true);
    let server = Server::start_tls(world.root.path(), Manner::default(), made.acceptor).await;
    let mut remote = remote(&server.url("app/.git"));
    let options = world.options();
    let error = checkout(&remote, &branch("main"), &options).await.unwrap_err();
    assert!(matches!(&error, GitError::Http(HttpError::Tls { .. })), "{error:?}");
    remote.ca = Some(made.ca.into_bytes());
    assert!(checkout(&remote, &branch("main"), &options).await.is_err(), "the client shows no certificate");
    let (certificate, key) = made.client;
    remote.certificate = Some(ClientCertificate { certificate: certificate.into_bytes(), key: Secret::new(key) });
    checkout(&remote, &branch("main"), &options).await.unwrap();
    let other = tls("elsewhere.example.org", false);
    let server = Server::start_tls(world.root.path(), Manner::default(), other.acceptor).await;
    let mut remote = super::servers::remote(&server.url("app/.git"));
    remote.ca = Some(other.ca.into_bytes());
    let error = checkout(&remote, &branch("main"), &options).await.unwrap_err();
    assert!(matches!(&error, GitError::Http(HttpError::Tls { .. })), "a certificate for another name: {error:?}");
}

#[tokio::test]
async fn redirects_are_followed_without_credentials_and_never_downgrade() {
    let world = World::new();
    world.repository("app").commit("x", &[("a", "a")]);
    let target = Server::start(world.root.path(), Manner::default()).await;
    let to_target = Manner { redirect: Some(format!("http://{}", target.address)), ..Manner::default() };
    let server = Server::start(world.root.path(), to_target.clone()).await;
    let mut remote = remote(&server.url("app/.git"));
    remote.auth = Auth::Basic { user: "u".into(), password: Secret::new("p") };
    checkout(&remote, &branch("main"), &world.options()).await.unwrap();
    assert!(target.seen().len() >= 3 && target.seen().iter().all(|seen| seen.authorization.is_none()));
    assert_eq!(server.seen().iter().filter(|seen| seen.authorization.is_some()).count(), server.seen().len());
    let secure = tls("127.0.0.1", false);
    let server = Server::start_tls(world.root.path(), to_target, secure.acceptor).await;
    let mut remote = super::servers::remote(&server.url("app/.git"));
    remote.ca = Some(secure.ca.into_bytes());
    let error = checkout(&remote, &branch("main"), &world.options()).await.unwrap_err();
    assert!(matches!(error, GitError::Http(HttpError::Redirect { .. })), "{error}");
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server =
        Server::start(world.root.path(), Manner { redirect: Some(format!("http://{address}")), ..Manner::default() })
            .await;
    let looping = Manner { redirect: Some(format!("http://{}", server.address)), ..Manner::default() };
    let mirror = Server::start(world.root.path(), looping.clone()).await;
    let to_mirror = Manner { redirect: Some(format!("http://{}", mirror.address)), ..Manner::default() };
    let first = Server::start(world.root.path(), to_mirror).await;
    let error = checkout(&remote(&first.url("app/.git")), &branch("main"), &world.options()).await.unwrap_err();
    assert!(matches!(error, GitError::Http(_)), "{error}");
}

#[tokio::test]
async fn a_slow_server_is_left_within_a_second_of_the_timeout() {
    let world = World::new();
    world.repository("app").commit("x", &[("a", "a")]);
    let dripping = Manner { drip: Some(Duration::from_millis(200)), ..Manner::default() };
    let server = Server::start(world.root.path(), dripping).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}/app/.git", silent.local_addr().unwrap());
    for url in [server.url("app/.git"), silent_url] {
        let mut remote = remote(&url);
        remote.timeout = Duration::from_millis(700);
        let begun = Instant::now();
        let error = checkout(&remote, &branch("main"), &world.options()).await.unwrap_err();
        assert!(matches!(error, GitError::Timeout { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_millis(1700), "took {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn this_machine_is_only_asked_where_allowed() {
    let world = World::new();
    let repository = world.repository("app");
    repository.commit("x", &[("a", "a")]);
    let server = Server::start(world.root.path(), Manner::default()).await;
    for url in [server.url("app/.git"), format!("http://localhost:{}/app/.git", server.address.port())] {
        let mut remote = remote(&url);
        remote.egress = Egress::default();
        let error = checkout(&remote, &branch("main"), &world.options()).await.unwrap_err();
        assert!(matches!(error, GitError::Http(HttpError::Forbidden { .. })), "{error}");
    }
    let mut remote = remote(&repository.file_url());
    remote.allow_file = false;
    let error = checkout(&remote, &branch("main"), &world.options()).await.unwrap_err();
    assert!(error.is_terminal() && matches!(error, GitError::FileNotAllowed { .. }), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn what_a_server_says_cannot_draw() {
    let world = World::new();
    let mut manner = Manner::default();
    manner.fixed.insert("/app/.git/info/refs".into(), (503, b"down \x1b[2J\x1b]52;c;eA==\x07 for now".to_vec()));
    let server = Server::start(world.root.path(), manner).await;
    let error = checkout(&remote(&server.url("app/.git")), &branch("main"), &world.options()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("503") && text.contains("for now") && !text.chars().any(char::is_control), "{text:?}");
}
