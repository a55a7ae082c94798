//! Storing, serving and fetching artifacts: whole or not at all, known paths only, verified bytes only.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir::base::{Digest, FileTree, Stamp};
use weir::engine::archive::pack;
use weir::outside::artifacts::{Artifacts, Integrity, Owner, StorageError};
use weir::outside::download::{FetchError, Retry, fetch_artifact};
use weir::outside::egress::Egress;
use weir::outside::http::{Client, Settings};
use weir::outside::serve;

fn owner() -> Owner {
    Owner::new("GitRepository", "flux-system", "app")
}

fn tree() -> FileTree {
    [("a.yaml", "kind: A\n"), ("dir/b.yaml", "kind: B\n")].into_iter().collect()
}

fn client() -> Client {
    Client::new(&Settings { egress: Egress { loopback: true }, ..Settings::default() }).unwrap()
}

fn once() -> Retry {
    Retry { times: 0, timeout: Duration::from_secs(10), ..Retry::default() }
}

async fn started(root: &Path) -> (Artifacts, serve::Served, String) {
    let (listener, address) = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let base = format!("http://{address}");
    let artifacts = Artifacts::open(root, &base).unwrap();
    let served = serve::serve(listener, artifacts.clone());
    (artifacts, served, base)
}

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_is_stored_can_be_fetched_by_its_url_and_by_latest() {
    let root = tempfile::tempdir().unwrap();
    let (artifacts, _served, base) = started(root.path()).await;
    let stored = artifacts.store(&owner(), "abc.tar.gz", "main@sha1:abc", pack(&tree()), Stamp(5)).await.unwrap();
    assert_eq!(stored.path, "gitrepository/flux-system/app/abc.tar.gz");
    assert_eq!(stored.url, format!("{base}/gitrepository/flux-system/app/abc.tar.gz"));
    assert_eq!(stored.size_bytes, pack(&tree()).len() as u64);
    assert_eq!(stored.digest, Digest::sha256(&pack(&tree())));
    for url in [stored.url.clone(), format!("{base}/gitrepository/flux-system/app/latest.tar.gz")] {
        assert_eq!(fetch_artifact(&client(), &url, &stored.digest, &once()).await.unwrap(), tree());
    }
    let directory = root.path().join("gitrepository/flux-system/app");
    assert_eq!((mode(&directory), mode(directory.join("abc.tar.gz"))), (0o700, 0o600));
    assert_eq!(std::fs::read_link(directory.join("latest.tar.gz")).unwrap(), Path::new("abc.tar.gz"));
    let newer = artifacts.store(&owner(), "def.tar.gz", "r", pack(&FileTree::default()), Stamp(6)).await.unwrap();
    assert_eq!(std::fs::read_link(directory.join("latest.tar.gz")).unwrap(), Path::new("def.tar.gz"));
    assert_eq!(std::fs::read_dir(artifacts.scratch()).unwrap().count(), 0);
    assert_eq!(artifacts.read(&newer.path).await.unwrap(), pack(&FileTree::default()));
}

#[tokio::test]
async fn tampering_is_noticed_and_the_file_goes() {
    let root = tempfile::tempdir().unwrap();
    let (artifacts, _served, _) = started(root.path()).await;
    let stored = artifacts.store(&owner(), "abc.tar.gz", "r", pack(&tree()), Stamp(5)).await.unwrap();
    let file = root.path().join(&stored.path);
    assert_eq!(artifacts.verify(&stored.path, &stored.digest).await.unwrap(), Integrity::Good);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let refused = fetch_artifact(&client(), &stored.url, &stored.digest, &once()).await;
    assert!(matches!(refused, Err(FetchError::Digest { .. })));
    assert_eq!(artifacts.verify(&stored.path, &stored.digest).await.unwrap(), Integrity::Changed);
    assert!(!file.exists());
    assert_eq!(artifacts.verify(&stored.path, &stored.digest).await.unwrap(), Integrity::Missing);
    let gone = fetch_artifact(&client(), &stored.url, &stored.digest, &Retry::default()).await;
    assert!(matches!(gone, Err(FetchError::Missing { .. })), "and not tried again");
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    assert_eq!(artifacts.verify(&stored.path, &stored.digest).await.unwrap(), Integrity::Missing);
    for path in ["../../etc/passwd", "a/b/c/../d", "/etc/passwd", "a/b/c", "", "gitrepository/flux-system/app/.."] {
        assert_eq!(artifacts.verify(path, &stored.digest).await.unwrap(), Integrity::Missing, "{path:?}");
    }
}

#[tokio::test]
async fn only_known_files_are_served() {
    let root = tempfile::tempdir().unwrap();
    let (artifacts, _served, base) = started(root.path()).await;
    artifacts.store(&owner(), "abc.tar.gz", "r", pack(&tree()), Stamp(5)).await.unwrap();
    let directory = root.path().join("gitrepository/flux-system/app");
    std::fs::write(root.path().join("outside"), "secret").unwrap();
    std::fs::write(artifacts.scratch().join("working"), "secret").unwrap();
    std::os::unix::fs::symlink("../../../outside", directory.join("link.tar.gz")).unwrap();
    std::fs::create_dir(directory.join("sub.tar.gz")).unwrap();
    let address = base.strip_prefix("http://").unwrap();
    let ask = async |request: String| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    for path in [
        "/",
        "/gitrepository",
        "/gitrepository/",
        "/gitrepository/flux-system/app",
        "/gitrepository/flux-system/app/",
        "/gitrepository/flux-system/app/../app/abc.tar.gz",
        "/gitrepository/flux-system/app/%2e%2e/app/abc.tar.gz",
        "//gitrepository/flux-system/app/abc.tar.gz",
        "/gitrepository/flux-system/app/link.tar.gz",
        "/../outside",
        "/gitrepository/flux-system/app/sub.tar.gz",
        "/.tmp/working",
        "/.owner",
        "/a/b/c/.tmp",
        "/outside",
        "/gitrepository/flux-system/app/abc.tar.gz/",
        "/gitrepository/flux-system/app/abc.tar.gz%00",
        "/gitrepository/flux-system/../../outside",
        "/GITREPOSITORY/flux-system/app/abc.tar.gz",
        "/debug/pprof/heap",
    ] {
        let answer = ask(format!("GET {path} HTTP/1.1")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(!answer.contains("secret"));
    }
    let good = "/gitrepository/flux-system/app/abc.tar.gz";
    assert!(ask(format!("POST {good} HTTP/1.1")).await.starts_with("HTTP/1.1 405"));
    let head = ask(format!("HEAD {good} HTTP/1.1")).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains(&format!("content-length: {}", pack(&tree()).len())));
    assert!(ask(format!("GET {good}?x=1 HTTP/1.1")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_second_process_is_told_and_litter_is_swept_at_the_start() {
    let root = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(root.path(), "http://x").unwrap();
    let stored = artifacts.store(&owner(), "abc.tar.gz", "r", pack(&tree()), Stamp(5)).await.unwrap();
    let second = Artifacts::open(root.path(), "http://x");
    assert!(matches!(second, Err(StorageError::InUse { .. })));
    std::fs::write(artifacts.scratch().join("half-written"), "x").unwrap();
    std::fs::create_dir_all(artifacts.scratch().join("git-x/objects")).unwrap();
    drop(artifacts);
    let artifacts = Artifacts::open(root.path(), "http://y/").unwrap();
    assert_eq!(std::fs::read_dir(artifacts.scratch()).unwrap().count(), 0);
    assert_eq!(artifacts.verify(&stored.path, &stored.digest).await.unwrap(), Integrity::Good);
    assert_eq!(artifacts.url(&stored.path), format!("http://y/{}", stored.path));
    assert!(artifacts.remove_all(&owner()).await.unwrap());
    assert!(!artifacts.remove_all(&owner()).await.unwrap());
}

#[tokio::test]
async fn names_cannot_leave_the_root() {
    let root = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(&root.path().join("data"), "http://x").unwrap();
    for (namespace, name, file) in
        [("..", "x", "f"), ("a/b", "x", "f"), ("a", "", "f"), ("a", "x", "../f"), ("a", ".tmp", "f"), ("a", "x", "f\0")]
    {
        let outcome = artifacts.store(&Owner::new("K", namespace, name), file, "r", Vec::new(), Stamp(1)).await;
        assert!(matches!(outcome, Err(StorageError::Name(_))), "{namespace} {name} {file}");
    }
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_failing_server_is_asked_again_and_a_broken_archive_is_not() {
    let root = tempfile::tempdir().unwrap();
    let mut manner = super::servers::Manner::default();
    manner.fixed.insert("/down".into(), (503, Vec::new()));
    manner.fixed.insert("/broken".into(), (200, b"not an archive".to_vec()));
    let server = super::servers::Server::start(root.path(), manner).await;
    let retry = Retry { times: 2, first_pause: Duration::from_millis(1), ..Retry::default() };
    let digest = Digest::sha256(b"not an archive");
    let down = fetch_artifact(&client(), &server.url("down"), &digest, &retry).await;
    assert!(matches!(down, Err(FetchError::Status { status: 503, .. })));
    assert_eq!(server.seen().len(), 3);
    let broken = fetch_artifact(&client(), &server.url("broken"), &digest, &retry).await;
    assert!(matches!(broken, Err(FetchError::Archive { .. })));
    let odd = Digest { algorithm: "blake3".into(), hex: "00".into() };
    let odd = fetch_artifact(&client(), &server.url("broken"), &odd, &retry).await;
    assert!(matches!(odd, Err(FetchError::Algorithm { .. })));
    assert_eq!(server.seen().len(), 5);
}
