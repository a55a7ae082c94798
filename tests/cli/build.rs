//! `weir build`: bases beside the directory, variables, and what is said when something is missing.

use super::Machine;

const BASE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {host: '${host}'}\n";

fn repository() -> Machine {
    let machine = Machine::new();
    machine.file("deploy/base/kustomization.yaml", "resources: [settings.yaml]\n");
    machine.file("deploy/base/settings.yaml", BASE);
    machine.file("deploy/production/kustomization.yaml", "namePrefix: prod-\nresources: [../base]\n");
    machine
}

#[test]
fn bases_may_lie_beside_the_directory() {
    let built = repository().run("build kustomize deploy/production").good();
    assert!(built.contains("\n  name: prod-settings\n"), "{built}");
}

#[test]
fn a_kustomization_is_built_with_its_own_overlay_variables_and_labels() {
    let machine = repository();
    machine.file(
        "apps.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: shop}\n\
         spec: {interval: 1m, prune: true, path: ./elsewhere, sourceRef: {kind: GitRepository, name: a},\n  \
         targetNamespace: web, postBuild: {substitute: {host: example.com}, substituteFrom: [{kind: Secret, name: s}]}}\n",
    );
    let line = "build kustomization apps --path deploy/production --kustomization-file apps.yaml --dry-run";
    let ran = machine.run(line);
    assert_eq!(ran.stderr, "⚠ --dry-run: the variables of substituteFrom are left out\n");
    let document = ran.good();
    for line in
        ["  host: example.com", "  name: prod-settings", "  namespace: web", "kustomize.toolkit.fluxcd.io/name: apps"]
    {
        assert!(document.contains(line), "{line} is not in {document}");
    }
    assert!(!machine.path(".local").exists(), "a dry run needs no cluster");
    let other = machine.run(&line.replace(" apps ", " others ")).bad();
    assert!(other.contains("has no Kustomization others"), "{other}");
}

#[test]
fn a_diff_shows_what_local_files_would_change() {
    let machine = repository();
    machine.file(
        "apps.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: flux-system}\n\
         spec: {interval: 1m, prune: true, path: ./elsewhere, sourceRef: {kind: GitRepository, name: a},\n  \
         targetNamespace: default, postBuild: {substitute: {host: example.com}}}\n",
    );
    machine.run("apply -f apps.yaml").good();
    let ran = machine.run("diff ks/apps --path deploy/production");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let head = "► ConfigMap/default/prod-settings created\n+ apiVersion: v1\n+ data:\n+   host: example.com\n";
    assert!(ran.stdout.starts_with(head), "{}", ran.stdout);
    assert!(ran.stderr.contains("1 object would change"), "{}", ran.stderr);
    let refused = machine.run("diff deploy/web").bad();
    assert!(refused.contains("Kustomization"), "{refused}");
    let unfetched = machine.run("diff ks/apps").bad();
    assert!(unfetched.contains("GitRepository/flux-system/a not found"), "{unfetched}");
}

#[test]
fn what_is_missing_is_named_with_its_file() {
    let machine = repository();
    machine.file("broken/kustomization.yaml", "resources: [ledger.yaml]\n");
    let stderr = machine.run("build kustomize broken").bad();
    assert!(stderr.contains("kustomization.yaml") && stderr.contains("ledger.yaml"), "{stderr}");
    assert!(machine.run("build kustomize nowhere").bad().contains("nowhere"));
}

/// Runs git in a directory with an identity that is nobody's.
fn git(directory: &std::path::Path, arguments: &[&str]) {
    let mut command = std::process::Command::new("git");
    command.current_dir(directory).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments);
    assert!(command.output().unwrap().status.success(), "git {arguments:?}");
}

#[test]
fn a_base_may_be_a_directory_of_a_repository_elsewhere() {
    let machine = repository();
    let elsewhere = machine.path("elsewhere");
    machine.file("elsewhere/app/kustomization.yaml", "resources: [../settings.yaml]\nnamePrefix: far-\n");
    machine.file("elsewhere/settings.yaml", BASE);
    git(&elsewhere, &["init", "-q", "-b", "trunk"]);
    git(&elsewhere, &["add", "."]);
    git(&elsewhere, &["commit", "-q", "-m", "first"]);
    git(&elsewhere, &["tag", "v1"]);
    let base = format!("file://{}", elsewhere.display());
    for (path, built) in [("//app?ref=v1", true), ("//app?ref=trunk", true), ("//app", true), ("//app?ref=v2", false)] {
        machine.file("top/kustomization.yaml", &format!("resources: ['{base}{path}']\n"));
        let ran = machine.run("build kustomize top");
        match built {
            // The file that is named lies beside the directory, so this is refused as kustomize refuses it.
            true => assert!(ran.bad().contains("settings.yaml"), "{path}"),
            false => assert!(ran.bad().contains("v2"), "{path}"),
        }
    }
    machine.file("elsewhere/app/kustomization.yaml", "resources: [settings.yaml]\nnamePrefix: far-\n");
    machine.file("elsewhere/app/settings.yaml", BASE);
    git(&elsewhere, &["add", "."]);
    git(&elsewhere, &["commit", "-q", "-m", "second"]);
    machine.file("top/kustomization.yaml", &format!("resources: ['{base}//app?ref=trunk']\n"));
    assert!(machine.run("build kustomize top").good().contains("\n  name: far-settings\n"));
    let refused = machine.run("build kustomize top --no-remote-bases").bad();
    assert!(refused.contains("remote bases are not allowed"), "{refused}");
}

#[test]
fn a_resource_may_be_a_file_on_a_server() {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let asked = String::from_utf8_lossy(&head[..read]).into_owned();
            let answer = match asked.split(' ').nth(1) {
                Some("/settings.yaml") => {
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{BASE}", BASE.len())
                }
                // More than any base may have, and it never ends.
                Some("/endless.yaml") => {
                    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned() + &"# endless\n".repeat(2 << 20)
                }
                _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
            };
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    let machine = Machine::new();
    let build = |name: &str| {
        machine.file("top/kustomization.yaml", &format!("namePrefix: far-\nresources: ['http://{address}/{name}']\n"));
        machine.run("build kustomize top")
    };
    assert!(build("settings.yaml").good().contains("\n  name: far-settings\n"));
    let missing = build("nothing.yaml").bad();
    assert!(missing.contains("404") && missing.contains("nothing.yaml"), "{missing}");
    let endless = build("endless.yaml").bad();
    assert!(endless.contains("more than 10485760 bytes"), "{endless}");
}
