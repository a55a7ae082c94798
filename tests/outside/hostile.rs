//! Repositories and servers that want harm: refused, with nothing left behind and nothing written elsewhere.

use std::io::Write as _;

use weir::outside::git::{CheckoutOptions, GitError, Limits, Reference, checkout};

use super::servers::{Manner, Repository, Server, World, remote};

/// Stores a tree with any entries, whatever git thinks of them, and points `main` at it.
fn hostile(repository: &Repository, entries: &[(&str, &[u8], &str)]) -> String {
    let mut raw = Vec::new();
    for (mode, name, id) in entries {
        raw.extend_from_slice(mode.as_bytes());
        raw.push(b' ');
        raw.extend_from_slice(name);
        raw.push(0);
        raw.extend_from_slice(&hex::decode(id).unwrap());
    }
    let tree = repository.git_with(&["hash-object", "-t", "tree", "--literally", "-w", "--stdin"], &raw);
    let commit = repository.git(&["commit-tree", &tree, "-m", "hostile"]);
    repository.git(&["update-ref", "refs/heads/main", &commit]);
    commit
}

fn main_branch() -> Reference {
    Reference::Branch("main".into())
}

#[tokio::test]
async fn thirty_hostile_trees_are_refused() {
    let world = World::new();
    let repository = world.repository("app");
    let blob = repository.git_with(&["hash-object", "-w", "--stdin"], b"payload");
    let inner = repository.git_with(&["mktree"], format!("100644 blob {blob}\tconfig\n").as_bytes());
    let names: &[&[u8]] = &[
        b".git",
        b".GIT",
        b".Git",
        b".git ",
        b".git.",
        b".git::$INDEX_ALLOCATION",
        b"git~1",
        b"GIT~1",
        b"..",
        b".",
        b"../../x",
        b"a/b",
        b"/etc",
        ".g\u{200c}it".as_bytes(),
        ".\u{200b}git\u{200d}".as_bytes(),
        b"a\x1b[2Jb",
        b"new\nline",
        b"tab\tname",
        b"bell\x07",
        b"cr\r",
        b"del\x7f",
    ];
    let server = Server::start(world.root.path(), Manner::default()).await;
    let mut refused = 0;
    for url in [server.url("app/.git"), repository.file_url()] {
        for name in names {
            for (mode, id) in [("40000", &inner), ("100644", &blob), ("120000", &blob)] {
                hostile(&repository, &[(mode, name, id)]);
                let outcome = checkout(&remote(&url), &main_branch(), &world.options()).await;
                // U+200B is no character that HFS ignores: such a name is odd but harmless.
                if name.starts_with(b".\xe2\x80\x8b") {
                    assert!(outcome.is_ok());
                    continue;
                }
                let shown = String::from_utf8_lossy(name);
                let error = outcome.err().unwrap_or_else(|| panic!("{shown:?} as {mode} was accepted"));
                assert!(matches!(error, GitError::Tree { .. } | GitError::Object(_)), "{shown:?}: {error}");
                assert!(!error.to_string().chars().any(char::is_control), "{error}");
                refused += 1;
            }
        }
        hostile(&repository, &[("120000", b"dup", &blob), ("40000", b"dup", &inner)]);
        let error = checkout(&remote(&url), &main_branch(), &world.options()).await.unwrap_err();
        assert!(matches!(error, GitError::Tree { why, .. } if why.contains("twice")), "{error}");
    }
    assert!(refused >= 60);
    assert_eq!(world.left_in_scratch(), 0);
}

#[tokio::test]
async fn odd_but_harmless_names_are_left_out_and_told() {
    let world = World::new();
    let repository = world.repository("app");
    let blob = repository.git_with(&["hash-object", "-w", "--stdin"], b"x");
    hostile(
        &repository,
        &[("100644", b"back\\slash", &blob), ("100644", b"latin\xe9", &blob), ("100644", b"ok", &blob)],
    );
    let found = checkout(&remote(&repository.file_url()), &main_branch(), &world.options()).await.unwrap();
    assert_eq!(found.tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["ok"]);
    assert_eq!(found.skipped.len(), 2, "{:?}", found.skipped);
}

#[tokio::test]
async fn nothing_in_a_repository_is_executed() {
    let world = World::new();
    let repository = world.repository("app");
    let canary = world.root.path().join("canary");
    let touch = format!("touch {}", canary.display());
    repository.commit(
        "bait",
        &[
            (".gitattributes", "* filter=evil diff=evil merge=evil\n"),
            (".gitconfig", &format!("[core]\n\tsshCommand = {touch}\n\tfsmonitor = {touch}\n")),
            (".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/\n"),
            (
                ".gitmodules",
                &format!("[submodule \"x\"]\n\tpath = x\n\turl = https://127.0.0.1:1/x\n\tupdate = !{touch}\n"),
            ),
            ("a", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        ],
    );
    repository.git(&["config", "filter.evil.smudge", &touch]);
    repository.git(&["config", "core.fsmonitor", &touch]);
    repository.git(&["config", "uploadpack.packObjectsHook", &touch]);
    repository.git(&["config", "include.path", "/dev/zero"]);
    for hook in ["post-checkout", "pre-upload", "post-merge"] {
        std::fs::write(repository.path.join(".git/hooks").join(hook), format!("#!/bin/sh\n{touch}\n")).unwrap();
    }
    let options = CheckoutOptions { submodules: true, ..world.options() };
    let found = checkout(&remote(&repository.file_url()), &main_branch(), &options).await.unwrap();
    assert!(found.tree.get("a").unwrap().bytes.starts_with(b"version https"), "a pointer stays a pointer");
    assert!(!canary.exists());
}

#[tokio::test]
async fn sizes_counts_and_depths_are_held() {
    let world = World::new();
    let repository = world.repository("app");
    repository.commit("files", &[("a", "12345"), ("b", "12345"), ("c/d/e", "1")]);
    let with = |limits: Limits| CheckoutOptions { limits, ..world.options() };
    let server = Server::start(world.root.path(), Manner::default()).await;
    let remote = remote(&server.url("app/.git"));
    let base = Limits::default();
    for (limits, what) in [
        (Limits { total_bytes: 10, ..base }, "bytes in all files"),
        (Limits { file_bytes: 4, ..base }, "bytes in one file"),
        (Limits { entries: 3, ..base }, "entries"),
        (Limits { depth: 1, ..base }, "depth"),
        (Limits { pack_bytes: 100, ..base }, "pack"),
    ] {
        let error = checkout(&remote, &main_branch(), &with(limits)).await.unwrap_err();
        assert!(matches!(error, GitError::Limit { .. }) && error.to_string().contains(what), "{what}: {error:?}");
    }
    assert_eq!(world.left_in_scratch(), 0);
}

#[tokio::test]
async fn an_object_that_inflates_too_far_is_refused_in_the_pack() {
    let world = World::new();
    let repository = world.repository("app");
    // 40 MiB of zeros, 40 KiB on the wire: more than one object may allocate with these limits.
    let mut child = super::servers::git_command(&repository.path, &["hash-object", "-w", "--stdin"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let chunk = vec![0; 1 << 20];
    (0..40).for_each(|_| input.write_all(&chunk).unwrap());
    drop(input);
    let output = child.wait_with_output().unwrap();
    let blob = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    hostile(&repository, &[("100644", b"bomb", &blob)]);
    let server = Server::start(world.root.path(), Manner::default()).await;
    let limits = Limits { file_bytes: 1 << 20, ..Limits::default() };
    let options = CheckoutOptions { limits, ..world.options() };
    let error = checkout(&remote(&server.url("app/.git")), &main_branch(), &options).await.unwrap_err();
    assert!(matches!(&error, GitError::Limit { what: "bytes in one object", .. }), "{error:?}");
    assert_eq!(world.left_in_scratch(), 0);
}

#[tokio::test]
async fn broken_answers_end_in_an_error_and_leave_nothing() {
    let world = World::new();
    world.repository("app").commit("x", &[("a", "a")]);
    let advertisement: &[u8] = b"001e# service=git-upload-pack\n0000000eversion 2\n0015agent=git/2.39.5\n\
        0013ls-refs=unborn\n0012fetch=shallow\n0000";
    for body in [
        b"".to_vec(),
        b"0000".to_vec(),
        b"ffff".to_vec(),
        b"zzzz".to_vec(),
        b"001e# service=git-receive-pack\n0000".to_vec(),
        advertisement[..40].to_vec(),
        vec![b'0'; 100_000],
        b"<html>login</html>".to_vec(),
    ] {
        let mut manner = Manner::default();
        manner.fixed.insert("/app/.git/info/refs".into(), (200, body));
        let server = Server::start(world.root.path(), manner).await;
        assert!(checkout(&remote(&server.url("app/.git")), &main_branch(), &world.options()).await.is_err());
    }
    assert_eq!(world.left_in_scratch(), 0);
}

fn packet(line: &str) -> Vec<u8> {
    format!("{:04x}{line}", line.len() + 4).into_bytes()
}

#[tokio::test]
async fn floods_and_tricks_of_references_are_refused() {
    let world = World::new();
    let id = world.repository("app").commit("x", &[("a", "a")]);
    let advertisement = ["# service=git-upload-pack\n", "", "version 2\n", "ls-refs\n", "fetch\n", ""];
    let advertisement: Vec<u8> =
        advertisement.iter().flat_map(|line| if line.is_empty() { b"0000".to_vec() } else { packet(line) }).collect();
    let tag = |name: &str| packet(&format!("{id} refs/tags/{name}\n"));
    let listed = |lines: Vec<Vec<u8>>| [lines.concat(), b"0000".to_vec()].concat();
    let newest = Reference::Semver("*".into());
    for (what, answer, why) in [
        ("a million", listed((0..1_000_000).map(|n| tag(&format!("v1.0.{n}"))).collect()), "references"),
        ("a name of 64 KiB", listed(vec![tag(&format!("v1.0.0-{}", "a".repeat(60_000)))]), ""),
        ("names that climb", listed(vec![tag("../../x"), tag("v1.0.0/../../../../x"), tag("/etc/passwd")]), ""),
        ("names that draw", listed(vec![tag("v1.0.0\x1b]0;x\x07"), tag("v1.0.0\r")]), ""),
        ("a loop", listed(vec![packet(&format!("{id} HEAD symref-target:HEAD\n"))]), ""),
        ("no object", listed(vec![packet("0000000000000000000000000000000000000000 refs/tags/v1.0.0\n")]), ""),
    ] {
        let mut manner = Manner::default();
        manner.fixed.insert("/app/.git/info/refs".into(), (200, advertisement.clone()));
        manner.fixed.insert("/app/.git/git-upload-pack".into(), (200, answer));
        let server = Server::start(world.root.path(), manner).await;
        let outcome = checkout(&remote(&server.url("app/.git")), &newest, &world.options()).await;
        let error = outcome.err().unwrap_or_else(|| panic!("{what} was accepted"));
        assert!(!matches!(error, GitError::Timeout { .. }) && error.to_string().contains(why), "{what}: {error}");
        assert!(!error.to_string().contains('\x1b') && error.to_string().len() < 2_000, "{what}: {error:?}");
        assert!(server.seen.lock().unwrap().len() >= 2, "{what}: the references were asked for");
    }
    assert_eq!(world.left_in_scratch(), 0);
}

#[tokio::test]
async fn spoiled_packs_are_refused_and_leave_nothing() {
    let world = World::new();
    let repository = world.repository("app");
    let text: String = (0..4000).map(|n| format!("{:x}", n * 7919)).collect();
    repository.commit("x", &[("a", &text), ("b", "small")]);
    fn start(answer: &[u8]) -> usize {
        answer.windows(4).position(|window| window == b"PACK").unwrap()
    }
    let spoils: [fn(&mut Vec<u8>); 7] = [
        // Cut in the middle, at the trailer, and before the final flush.
        |answer| answer.truncate(start(answer) + 500),
        |answer| answer.truncate(answer.len() - 30),
        |answer| answer.truncate(start(answer) + 8),
        // A byte of an object, of the checksum, of the object count, of the version.
        |answer| {
            let at = start(answer) + 300;
            answer[at] ^= 0x10;
        },
        |answer| {
            // The packet with the pack says its length in four digits before its band byte.
            let begin = start(answer) - 5;
            let length = std::str::from_utf8(&answer[begin..begin + 4]).unwrap();
            let end = begin + usize::from_str_radix(length, 16).unwrap();
            answer[end - 5] ^= 1;
        },
        |answer| {
            let at = start(answer) + 11;
            answer[at] += 1;
        },
        |answer| {
            let at = start(answer) + 7;
            answer[at] = 9;
        },
    ];
    for (number, spoil) in spoils.into_iter().enumerate() {
        let server = Server::start(world.root.path(), Manner { spoil: Some(spoil), ..Manner::default() }).await;
        let outcome = checkout(&remote(&server.url("app/.git")), &main_branch(), &world.options()).await;
        let error = outcome.err().unwrap_or_else(|| panic!("spoiled pack {number} was accepted"));
        assert!(!matches!(error, GitError::Timeout { .. }), "{number}: {error}");
    }
    assert_eq!(world.left_in_scratch(), 0);
}

#[tokio::test]
async fn submodules_that_lead_elsewhere_are_refused() {
    let world = World::new();
    let repository = world.repository("app");
    let id = repository.commit("x", &[("a", "a")]);
    let server = Server::start(world.root.path(), Manner::default()).await;
    for url in ["ext::sh -c id", "file:///etc", "-oProxyCommand=id", "../../../../x", "ssh://-oX/x"] {
        repository.commit("m", &[(".gitmodules", &format!("[submodule \"s\"]\n\tpath = s\n\turl = \"{url}\"\n"))]);
        repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{id},s")]);
        repository.git(&["commit", "-q", "-m", "link"]);
        let options = CheckoutOptions { submodules: true, ..world.options() };
        let error = checkout(&remote(&server.url("app/.git")), &main_branch(), &options).await.unwrap_err();
        assert!(matches!(error, GitError::Submodule { .. }), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_repository_within_itself_ends() {
    let world = World::new();
    let repository = world.repository("app");
    repository.commit("x", &[("a", "a")]);
    let server = Server::start(world.root.path(), Manner::default()).await;
    let url = server.url("app/.git");
    repository.commit("m", &[(".gitmodules", &format!("[submodule \"s\"]\n\tpath = s\n\turl = {url}\n"))]);
    // Each commit names its parent, so the chain is as deep as the history.
    for _ in 0..12 {
        let head = repository.git(&["rev-parse", "HEAD"]);
        repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},s")]);
        repository.git(&["commit", "-q", "-m", "deeper"]);
    }
    let options = CheckoutOptions { submodules: true, ..world.options() };
    let error = checkout(&remote(&url), &main_branch(), &options).await.unwrap_err();
    assert!(matches!(error, GitError::Limit { limit: 10, .. }), "{error}");
}
