//! `weir build`: bases beside the directory, variables, and what is said when something is missing.

use super::Machine;
use crate::outside::web::{self, Files, Shelf};

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

fn chart() -> Machine {
    let machine = Machine::new();
    machine.file("shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n");
    machine.file("shop/values.yaml", "replicas: 1\nname: default\nnote: ''\n");
    machine.file(
        "shop/templates/app.yaml",
        "kind: Deployment\nmetadata:\n  name: {{ .Values.name }}\n  namespace: {{ .Release.Namespace }}\n\
         spec: {replicas: {{ .Values.replicas }}, note: {{ .Values.note | quote }}}\n",
    );
    machine.file("shop/templates/service.yaml", "kind: Service\nmetadata: {name: {{ .Release.Name }}}\n");
    machine.file(
        "shop/templates/tests/probe.yaml",
        "kind: Pod\nmetadata:\n  name: probe\n  annotations: {helm.sh/hook: test}\n",
    );
    machine.file("shop/crds/crd.yaml", "kind: CustomResourceDefinition\nmetadata: {name: things}\n");
    machine.file(
        "shop/values.schema.json",
        r#"{"properties": {"replicas": {"type": "integer", "maximum": 9}, "name": {"type": "string"}}}"#,
    );
    machine
}

#[test]
fn a_chart_is_printed_as_helm_prints_it() {
    let machine = chart();
    let whole = "---\n# Source: shop/templates/service.yaml\nkind: Service\nmetadata: {name: release-name}\n\n\
                 ---\n# Source: shop/templates/app.yaml\nkind: Deployment\nmetadata:\n  name: default\n  namespace: default\n\
                 spec: {replicas: 1, note: \"\"}\n\
                 ---\n# Source: shop/templates/tests/probe.yaml\nkind: Pod\nmetadata:\n  name: probe\n  \
                 annotations: {helm.sh/hook: test}\n\n";
    assert_eq!(machine.run("build chart shop").good(), whole);
    let only =
        machine.run("build chart shop --name till -n web --include-crds --skip-tests -s templates/ser*.yaml").good();
    assert_eq!(only, "---\n# Source: shop/templates/service.yaml\nkind: Service\nmetadata: {name: till}\n\n\n");
    let crds = machine.run("build chart shop --include-crds --no-hooks").good();
    assert!(crds.starts_with("---\n# Source: shop/crds/crd.yaml\n") && !crds.contains("probe"), "{crds}");
    let tree =
        [("shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"), ("shop/templates/a.yaml", "kind: A\n")];
    let tree: weir::base::FileTree = tree.map(|(path, text)| (path.to_owned(), text.to_owned())).into_iter().collect();
    std::fs::write(machine.path("shop.tgz"), weir::engine::archive::pack(&tree)).unwrap();
    assert_eq!(machine.run("build chart shop.tgz").good(), "---\n# Source: shop/templates/a.yaml\nkind: A\n");
}

#[test]
fn values_of_files_and_flags_are_laid_over_each_other_in_helms_order() {
    let machine = chart();
    machine.file("one.yaml", "replicas: 2\nname: one\n");
    machine.file("note.txt", "from a file");
    let line = "build chart shop --show-only templates/app.yaml -f one.yaml --set-string name=7 --set replicas=3 \
                --set-json replicas=4 --set-file note=note.txt";
    let built = machine.run(line).good();
    assert!(built.contains("name: 7\n") && built.contains("{replicas: 3, note: \"from a file\"}"), "{built}");
    let literal = machine.weir(&["build", "chart", "shop", "--set-literal", "note=a,b={c}"]).good();
    assert!(literal.contains("note: \"a,b={c}\""), "{literal}");
    let piped = machine.with_stdin("build chart shop -f -", "name: piped\n").good();
    assert!(piped.contains("name: piped\n"), "{piped}");
}

#[test]
fn a_chart_that_cannot_be_built_says_what_to_do() {
    let machine = chart();
    machine.file(
        "needs/Chart.yaml",
        "apiVersion: v2\nname: needs\nversion: 1.0.0\ndependencies: [{name: db, version: 1.x}]\n",
    );
    machine.file("lib/Chart.yaml", "apiVersion: v2\nname: lib\nversion: 1.0.0\ntype: library\n");
    machine.file("three/Chart.yaml", "apiVersion: v3\nname: three\nversion: 1.0.0\n");
    std::os::unix::fs::symlink("/etc/hostname", machine.path("shop/leak.txt")).unwrap();
    machine.file("bare/Chart.yaml", "apiVersion: v2\nname: bare\nversion: 1.0.0\n");
    machine.file("bare/templates/a.yaml", "kind: {{ .Values.a.b }}\n");
    let table = [
        ("build chart shop", "outside the chart"),
        ("build chart needs", "missing in charts/: db"),
        ("build chart lib", "it is a library"),
        ("build chart three", "apiVersion v3 cannot be rendered"),
        ("build chart nowhere", "no such directory or packaged chart"),
        ("build chart oci://127.0.0.1:1/shop --plain-http", "127.0.0.1:1"),
        ("build chart bare --name Shop", "no name of a release"),
        ("build chart bare --kube-version new", "no version of Kubernetes"),
        ("build chart bare --set a", "key \"a\" has no value"),
        ("build chart bare -f https://example.com/v.yaml", "not fetched"),
        ("build chart bare -s templates/b.yaml", "nil pointer evaluating interface {}.b"),
    ];
    for (line, wanted) in table {
        let stderr = machine.run(line).bad();
        assert!(stderr.contains(wanted), "{line}: {stderr}");
    }
    std::fs::remove_file(machine.path("shop/leak.txt")).unwrap();
    let refused = machine.run("build chart shop --set replicas=12,name=1").bad();
    for line in ["at '/replicas': maximum: got 12, want 9", "at '/name': got number, want string", "--skip-schema-"] {
        assert!(refused.contains(line), "{refused}");
    }
    machine.run("build chart shop --set replicas=12 --skip-schema-validation").good();
    let missing = machine.run("build chart shop -s templates/none.yaml").bad();
    assert!(missing.contains("could not find template templates/none.yaml in chart"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_of_repositories_and_registries_are_built_where_they_lie() {
    let files = Files::default();
    files.publish(&[("app", "1.0.0"), ("app", "1.2.0")]);
    let web = files.serve().await;
    let shelf = Shelf::default();
    let layer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    shelf.push("charts/app", "2.0.0", layer, &web::chart("app", "2.0.0", &[("templates/two.yaml", "kind: Two\n")]));
    let registry = shelf.serve().await;
    let run = async |line: String| tokio::task::spawn_blocking(move || Machine::new().run(&line)).await.unwrap();
    let built = run(format!("build chart app --repo {} --version 1.x", web.url("charts"))).await.good();
    assert!(built.contains("# Source: app/templates/config.yaml\nkind: ConfigMap\n"), "{built}");
    assert!(web.taken().iter().any(|path| path == "/charts/app-1.2.0.tgz"));
    let built = run(format!("build chart {}", web.url("charts/app-1.0.0.tgz"))).await.good();
    assert!(built.contains("kind: ConfigMap"), "{built}");
    let built = run(format!("build chart oci://{}/charts/app --plain-http", registry.address)).await.good();
    assert!(built.contains("kind: Two"), "{built}");
    for (line, part) in [
        (format!("build chart ap --repo {}", web.url("charts")), "did you mean 'app'?"),
        (format!("build chart app --repo {} --version 9.x", web.url("charts")), "matching '9.x'"),
        (format!("build chart oci://{}/charts/app:9.9.9 --plain-http", registry.address), "9.9.9 was not found"),
    ] {
        let stderr = run(line).await.bad();
        assert!(stderr.contains(part), "{stderr}");
    }
}
