//! `weir apply` on the documents that people have lying around: old versions, typos, several in a file.

use super::{Machine, without};

/// The examples of an old guide: v1beta1, and `intervals` where `interval` is meant.
const OLD: &str = "\
apiVersion: source.toolkit.fluxcd.io/v1beta1
kind: GitRepository
metadata:
  name: nginx
spec:
  url: ssh://git@example.com/nginx
  ref:
    branch: main
  secretRef:
    name: gitops-deploy-auth
  intervals: 1m0s
---
apiVersion: kustomize.toolkit.fluxcd.io/v1beta1
kind: Kustomization
metadata:
  name: nginx
spec:
  sourceRef:
    kind: GitRepository
    name: nginx
    namespace: default
  path: ./deploy
  intervals: 1m0s
  prune: true
  targetNamespace: default
";

#[test]
fn a_typo_is_refused_with_file_line_and_the_right_name_and_nothing_is_sent() {
    let machine = Machine::new();
    let file = machine.file("old.yaml", OLD);
    let stderr = machine.weir(&["apply", "-f", file.to_str().unwrap()]).bad();
    assert_eq!(
        without(&stderr, file.parent().unwrap()),
        "\
⚠ HOME/old.yaml:1: apiVersion: v1beta1 is no longer served, read as source.toolkit.fluxcd.io/v1
⚠ HOME/old.yaml:13: apiVersion: v1beta1 is no longer served, read as kustomize.toolkit.fluxcd.io/v1
✗ HOME/old.yaml:11: spec.intervals: unknown field, did you mean spec.interval?
  HOME/old.yaml:23: spec.intervals: unknown field, did you mean spec.interval?
  correct these places; nothing was changed
"
    );
    assert!(!machine.path(".local/share/weir").exists(), "the store was opened for a document that is not good");
}

#[test]
fn an_old_document_is_converted_applied_and_served_in_the_version_of_today() {
    let machine = Machine::new();
    let file = machine.file("old.yaml", &OLD.replace("intervals", "interval"));
    let apply = ["apply", "-f", file.to_str().unwrap()];
    let first = machine.weir(&apply);
    assert!(first.stderr.contains("✔ Kustomization/flux-system/nginx created\n"), "{}", first.stderr);
    first.good();
    assert!(machine.weir(&apply).stderr.contains("✔ GitRepository/flux-system/nginx unchanged\n"));
    let document: serde_json::Value =
        serde_json::from_str(&machine.run("get source git nginx -o json").good()).unwrap();
    assert_eq!(document["apiVersion"], "source.toolkit.fluxcd.io/v1");
    assert_eq!(document["spec"]["interval"], "1m0s");
    assert_eq!(
        machine.run("get all").good(),
        "\
NAME                 REVISION  SUSPENDED  READY  MESSAGE
gitrepository/nginx            False      False  waiting to be reconciled

NAME                 REVISION  SUSPENDED  READY  MESSAGE
kustomization/nginx            False      False  waiting to be reconciled
"
    );
}

#[test]
fn stdin_directories_and_dry_runs_work() {
    let machine = Machine::new();
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n";
    let dry = machine.with_stdin("apply -f - --dry-run", text);
    assert_eq!(dry.stderr, "✔ ConfigMap/flux-system/settings created (dry run)\n");
    assert_eq!(machine.run("get cm settings").bad(), "✗ ConfigMap/flux-system/settings not found\n");
    machine.file("deploy/settings.yaml", text);
    machine.file("deploy/below/more.yml", &text.replace("settings", "more"));
    machine.file("deploy/notes.txt", "not: [yaml");
    assert_eq!(machine.run("apply -f deploy -n default").stderr, "✔ ConfigMap/default/settings created\n");
    let all = machine.run("apply -R -f deploy -n default").stderr;
    assert_eq!(all, "✔ ConfigMap/default/more created\n✔ ConfigMap/default/settings unchanged\n");
}

#[test]
fn what_is_no_object_is_explained() {
    let machine = Machine::new();
    for (text, help) in [
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "a file for kustomize, not an object"),
        ("kind: ConfigMap\nmetadata: {name: a}\n", "apiVersion: required field is missing"),
        ("a: [1\n", "stdin: line"),
        ("a: 1\na: 2\n", "stdin: line 2"),
        ("", "nothing to apply"),
    ] {
        let stderr = machine.with_stdin("apply -f -", text).bad();
        assert!(stderr.contains(help), "{text:?}: {stderr}");
    }
}
