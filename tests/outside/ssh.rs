//! Fetching from a real sshd on loopback. Where there is none, the tests say so and pass.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use weir::base::Secret;
use weir::outside::git::{Auth, GitError, Reference, Remote, checkout};

use super::servers::{World, remote};

/// A real sshd on loopback; it ends with this value.
pub struct Sshd {
    child: Child,
    port: u16,
    home: tempfile::TempDir,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Sshd {
    /// Starts sshd with these host key types; `None` where it is not installed.
    pub fn start(types: &[&str]) -> Option<Sshd> {
        Sshd::start_with(types, "AcceptEnv GIT_PROTOCOL")
    }

    fn start_with(types: &[&str], more: &str) -> Option<Sshd> {
        let program = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            eprintln!("skipped: sshd is not installed");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\n{more}\n\
             AuthorizedKeysFile {}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
            home.path().join("authorized").display()
        );
        for kind in types {
            let key = keygen(home.path(), &format!("host_{kind}"), kind, "");
            config.push_str(&format!("HostKey {}\n", key.display()));
        }
        std::fs::write(home.path().join("config"), config).unwrap();
        std::fs::write(home.path().join("authorized"), "").unwrap();
        // The privilege separation directory is made by the service files, which tests do not use.
        std::fs::create_dir_all("/run/sshd").ok();
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(home.path().join("config"))
            .stderr(std::fs::File::create(home.path().join("log")).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let sshd = Sshd { child, port, home };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(sshd);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(sshd.home.path().join("log")).unwrap_or_default();
        eprintln!("skipped: sshd does not start here: {log}");
        None
    }

    /// Makes a key that the server lets in.
    pub fn identity(&self, name: &str, kind: &str, passphrase: &str) -> String {
        let path = keygen(self.home.path(), name, kind, passphrase);
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        let authorized = self.home.path().join("authorized");
        let known = std::fs::read_to_string(&authorized).unwrap();
        std::fs::write(&authorized, known + &public).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    fn host_key(&self, kind: &str) -> String {
        let text = std::fs::read_to_string(self.home.path().join(format!("host_{kind}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    pub fn known(&self, kind: &str) -> String {
        format!("[127.0.0.1]:{} {}\n", self.port, self.host_key(kind))
    }

    pub fn remote(&self, path: &Path, identity: &str, known_hosts: &str) -> Remote {
        let mut remote = remote(&self.url(path));
        remote.auth = Auth::Ssh {
            user: "git".into(),
            identity: Secret::new(identity),
            passphrase: None,
            known_hosts: known_hosts.into(),
        };
        remote.timeout = Duration::from_secs(30);
        remote
    }

    /// Where a repository is, with the user that runs the server.
    pub fn url(&self, path: &Path) -> String {
        let user = std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| {
            String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
        });
        format!("ssh://{user}@127.0.0.1:{}{}", self.port, path.display())
    }
}

fn keygen(home: &Path, name: &str, kind: &str, passphrase: &str) -> PathBuf {
    let path = home.join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(&path);
    match kind {
        "rsa" => drop(command.args(["-b", "3072"])),
        // One P-256 key in 256 begins with a zero byte, which the ssh-key crate (0.7.0-rc.11) takes for a wrong length.
        "ecdsa" => drop(command.args(["-b", "384"])),
        _ => {}
    }
    assert!(command.status().unwrap().success());
    path
}

fn main_branch() -> Reference {
    Reference::Branch("main".into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_key_fetches() {
    let Some(sshd) = Sshd::start(&["ed25519", "ecdsa", "rsa"]) else { return };
    let world = World::new();
    let repository = world.repository("my app's");
    let hash = repository.commit("x", &[("a", "over ssh")]);
    let path = PathBuf::from(repository.path.display().to_string().replace(' ', "%20").replace('\'', "%27"));
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let identity = sshd.identity(&format!("id_{kind}"), kind, "");
        // Only one of the server's three keys is known: it must be the one that is asked for.
        let remote = sshd.remote(&path, &identity, &sshd.known(kind));
        let found = checkout(&remote, &main_branch(), &world.options()).await.unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert_eq!(found.revision.to_string(), format!("main@sha1:{hash}"));
        assert_eq!(&*found.tree.get("a").unwrap().bytes, b"over ssh");
    }
    assert_eq!(world.left_in_scratch(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_variables_speaks_the_old_protocol() {
    let Some(sshd) = Sshd::start_with(&["ed25519"], "") else { return };
    let world = World::new();
    let repository = world.repository("app");
    repository.commit("old", &[("a", "old")]);
    repository.git(&["tag", "-a", "v1.0.0", "-m", "t"]);
    let hash = repository.commit("new", &[("a", "new")]);
    let identity = sshd.identity("id", "ed25519", "");
    let remote = sshd.remote(&repository.path, &identity, &sshd.known("ed25519"));
    let found = checkout(&remote, &main_branch(), &world.options()).await.unwrap();
    assert_eq!(found.commit.hash, hash);
    let tagged = checkout(&remote, &Reference::Semver(">=1".into()), &world.options()).await.unwrap();
    assert_eq!(&*tagged.tree.get("a").unwrap().bytes, b"old");
    let empty = world.repository("empty");
    let remote = sshd.remote(&empty.path, &identity, &sshd.known("ed25519"));
    let error = checkout(&remote, &main_branch(), &world.options()).await.unwrap_err();
    assert!(matches!(error, GitError::Empty { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_key_needs_its_passphrase() {
    let Some(sshd) = Sshd::start(&["ed25519"]) else { return };
    let world = World::new();
    let repository = world.repository("app");
    repository.commit("x", &[("a", "a")]);
    let identity = sshd.identity("locked", "ed25519", "open sesame");
    let mut remote = sshd.remote(&repository.path, &identity, &sshd.known("ed25519"));
    for (passphrase, works) in [(None, false), (Some("wrong"), false), (Some("open sesame"), true)] {
        if let Auth::Ssh { passphrase: slot, .. } = &mut remote.auth {
            *slot = passphrase.map(Secret::new);
        }
        let outcome = checkout(&remote, &main_branch(), &world.options()).await;
        match outcome {
            Ok(_) => assert!(works),
            Err(error) => {
                assert!(!works && error.is_authentication(), "{error}");
                assert!(error.to_string().contains("password"), "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_are_judged_strictly() {
    let Some(sshd) = Sshd::start(&["ed25519"]) else { return };
    let world = World::new();
    let repository = world.repository("app");
    repository.commit("x", &[("a", "a")]);
    let identity = sshd.identity("id", "ed25519", "");
    let stranger = keygen(sshd.home.path(), "stranger", "ed25519", "");
    let stranger = std::fs::read_to_string(stranger.with_extension("pub")).unwrap();
    let (port, key) = (sshd.port, sshd.host_key("ed25519"));
    let hashed = {
        use base64::Engine as _;
        let salt = [7; 20];
        let name = format!("[127.0.0.1]:{port}");
        let hash = Hmac::<sha1::Sha1>::new_from_slice(&salt).unwrap().chain_update(name).finalize().into_bytes();
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("|1|{}|{} {key}\n", encode(&salt), encode(&hash))
    };
    for (known_hosts, wanted) in [
        (sshd.known("ed25519"), "known"),
        (hashed, "known"),
        (format!("[127.0.0.1]:{port} {stranger}"), "changed"),
        (format!("127.0.0.1 {key}"), "unknown"),
        (String::new(), "unknown"),
        (format!("@revoked [127.0.0.1]:{port} {key}"), "changed"),
    ] {
        let remote = sshd.remote(&repository.path, &identity, &known_hosts);
        let outcome = checkout(&remote, &main_branch(), &world.options()).await;
        let verdict = match &outcome {
            Ok(_) => "known",
            Err(GitError::HostKeyChanged { fingerprint, .. }) if fingerprint.starts_with("SHA256:") => "changed",
            Err(GitError::HostKeyUnknown { fingerprint, .. }) if fingerprint.starts_with("SHA256:") => "unknown",
            Err(other) => panic!("{known_hosts}: {other}"),
        };
        assert_eq!(verdict, wanted, "{known_hosts}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_over_ssh_is_named() {
    let Some(sshd) = Sshd::start(&["ed25519"]) else { return };
    let world = World::new();
    let repository = world.repository("app");
    repository.commit("x", &[("a", "a")]);
    let identity = sshd.identity("id", "ed25519", "");
    let foreign = std::fs::read_to_string(keygen(sshd.home.path(), "foreign", "ed25519", "")).unwrap();
    let known = sshd.known("ed25519");
    let ask = async |remote: Remote| checkout(&remote, &main_branch(), &world.options()).await.unwrap_err();
    let error = ask(sshd.remote(&repository.path, &foreign, &known)).await;
    assert!(matches!(error, GitError::CredentialsRefused { .. }), "{error}");
    let error = ask(sshd.remote(Path::new("/no/such/repository"), &identity, &known)).await;
    assert!(error.to_string().contains("/no/such/repository"), "{error}");
    let rsa_only = format!("[127.0.0.1]:{} {}", sshd.port, {
        let path = keygen(sshd.home.path(), "other_rsa", "rsa", "");
        std::fs::read_to_string(path.with_extension("pub")).unwrap()
    });
    let error = ask(sshd.remote(&repository.path, &identity, &rsa_only)).await;
    assert!(error.to_string().contains("known_hosts"), "{error}");
    let mut nobody = sshd.remote(&repository.path, &identity, &known);
    nobody.auth = Auth::None;
    assert!(matches!(ask(nobody).await, GitError::CredentialsMissing { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_key_pushes_and_host_keys_can_be_scanned() {
    use weir::outside::egress::Egress;
    use weir::outside::git::{KeyKind, Person, Signature, draft, generate, push, scan_host};
    let Some(sshd) = Sshd::start(&["ed25519", "rsa"]) else { return };
    let world = World::new();
    let repository = world.repository("app");
    repository.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    let first = repository.commit("one", &[("a.yaml", "a: 1\n")]);
    let pair = generate(KeyKind::Ecdsa(384)).unwrap();
    std::fs::write(sshd.home.path().join("authorized"), format!("{}\n", pair.public)).unwrap();
    let probe = sshd.remote(&repository.path, pair.identity.reveal(), "");
    let found = scan_host(&probe.url, Egress { loopback: true }, Duration::from_secs(20)).await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    let known: String = found.iter().map(|key| format!("{}\n", key.line)).collect();
    assert!(known.contains(&sshd.known("ed25519")), "{known}");
    let remote = sshd.remote(&repository.path, pair.identity.reveal(), &known);
    let draft = draft(&remote, &main_branch(), "main", &world.options()).await.unwrap();
    let author = Person { name: "Bot".into(), email: "bot@example.org".into(), seconds: 1 };
    let signature = Signature { author, message: "two".into(), signer: None };
    let prepared = draft.commit(&[("a.yaml".into(), b"a: 2\n".to_vec())], &signature).unwrap();
    push(&remote, &prepared, None, &[]).await.unwrap();
    assert_eq!(repository.git(&["rev-parse", "main"]).trim(), prepared.hash);
    assert_eq!(repository.git(&["rev-parse", "main^"]).trim(), first);
    let refused = scan_host(&probe.url, Egress { loopback: false }, Duration::from_secs(20)).await;
    assert!(refused.is_err(), "where it is not allowed, this machine is not asked");
}
