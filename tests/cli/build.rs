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
fn what_is_missing_is_named_with_its_file() {
    let machine = repository();
    machine.file("broken/kustomization.yaml", "resources: [ledger.yaml]\n");
    let stderr = machine.run("build kustomize broken").bad();
    assert!(stderr.contains("kustomization.yaml") && stderr.contains("ledger.yaml"), "{stderr}");
    assert!(machine.run("build kustomize nowhere").bad().contains("nowhere"));
}
