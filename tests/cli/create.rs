//! `weir create --export` prints what `flux create --export` prints. The expected texts follow flux2 cmd/flux/testdata.

use super::Machine;

#[track_caller]
fn exports(line: &str, expected: &str) {
    assert_eq!(Machine::new().run(line).good(), expected, "{line}");
}

#[test]
fn a_git_source_is_exported_as_flux_prints_it() {
    exports(
        "create source git nginx --url=ssh://git@example.com/nginx --branch=main --secret-ref=gitops-deploy-auth \
         --namespace default --export",
        "\
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: nginx
  namespace: default
spec:
  interval: 1m0s
  ref:
    branch: main
  secretRef:
    name: gitops-deploy-auth
  url: ssh://git@example.com/nginx
",
    );
    exports(
        "create source git podinfo --url=https://dev.example.com/foo/_git/podinfo --branch=test --provider=azure \
         --interval=90s --fetch-timeout=2m --label=team=shop,tier=web --ignore-paths=.cosign,non-existent-dir/ \
         --recurse-submodules --sparse-checkout-paths=a,b --proxy-secret-ref=proxy --export=true",
        "\
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  labels:
    team: shop
    tier: web
  name: podinfo
  namespace: flux-system
spec:
  ignore: |-
    .cosign
    non-existent-dir/
  interval: 1m30s
  provider: azure
  proxySecretRef:
    name: proxy
  recurseSubmodules: true
  ref:
    branch: test
  sparseCheckout:
  - a
  - b
  timeout: 2m0s
  url: https://dev.example.com/foo/_git/podinfo
",
    );
}

#[test]
fn one_reference_is_taken_the_most_exact_first() {
    let exported = |flags: &str| {
        let line = format!("create source git a --url=https://example.com/a {flags} --export");
        let text = Machine::new().run(&line).good();
        let reference = text.split("  ref:\n").nth(1).unwrap().split("  url:").next().unwrap();
        reference.trim().lines().map(str::trim).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(exported("--branch=main --commit=c88a2f41"), "branch: main, commit: c88a2f41");
    assert_eq!(
        exported("--branch=main --tag=v1 --tag-semver=1.x --ref-name=refs/pull/1/head"),
        "name: refs/pull/1/head"
    );
    assert_eq!(exported("--branch=main --tag=v1 --tag-semver=1.x"), "semver: 1.x");
    assert_eq!(exported("--branch=main --tag=1.0"), "tag: \"1.0\"");
}

#[test]
fn a_kustomization_is_exported_as_flux_prints_it() {
    exports(
        "create kustomization nginx --source=GitRepository/nginx.default --path=./deploy --prune=true \
         --target-namespace=default --namespace default --export",
        "\
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: nginx
  namespace: default
spec:
  interval: 1m0s
  path: ./deploy
  prune: true
  sourceRef:
    kind: GitRepository
    name: nginx
    namespace: default
  targetNamespace: default
",
    );
    exports(
        "create ks mysql --source=apps --path=./apps --decryption-provider=sops --decryption-secret=sops-age --export",
        "\
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: mysql
  namespace: flux-system
spec:
  decryption:
    provider: sops
    secretRef:
      name: sops-age
  interval: 1m0s
  path: ./apps
  prune: false
  sourceRef:
    kind: GitRepository
    name: apps
",
    );
    exports(
        "create ks podinfo --target-namespace=default --source=podinfo --path=./kustomize --prune=true --wait=true \
         --interval=30m --retry-interval=2m --health-check-timeout=3m --depends-on=infra/db,cache \
         --service-account=deployer --kubeconfig-secret-ref=remote --export",
        "\
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: podinfo
  namespace: flux-system
spec:
  dependsOn:
  - name: db
    namespace: infra
  - name: cache
  interval: 30m0s
  kubeConfig:
    secretRef:
      name: remote
  path: ./kustomize
  prune: true
  retryInterval: 2m0s
  serviceAccountName: deployer
  sourceRef:
    kind: GitRepository
    name: podinfo
  targetNamespace: default
  timeout: 3m0s
  wait: true
",
    );
    exports(
        "create ks web --source=Bucket/web --health-check=Deployment/web.shop --export",
        "\
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: web
  namespace: flux-system
spec:
  healthChecks:
  - kind: Deployment
    name: web
    namespace: shop
  interval: 1m0s
  path: ./
  prune: false
  sourceRef:
    kind: Bucket
    name: web
  timeout: 2m0s
",
    );
}

#[test]
fn the_namespace_comes_from_the_variable_of_flux() {
    let machine = Machine::new();
    let mut command = machine.command(&["create", "ks", "a", "--source=a", "--export"]);
    let ran = super::finish(command.env("FLUX_SYSTEM_NAMESPACE", "gitops"));
    assert!(ran.good().contains("  namespace: gitops\n"));
}

#[test]
fn what_is_written_wrong_is_met_with_help() {
    let machine = Machine::new();
    for (line, help) in [
        ("create source git a --url=git@example.com:a/b --branch=main --export", "write \"ssh://git@example.com/a/b\""),
        ("create source git a --url=https://example.com/a --export", "use one of --branch, --tag, --tag-semver"),
        ("create source git a --branch=main --export", "--url is required"),
        ("create source git A_b --url=https://example.com/a --branch=main --export", "\"A_b\" is not a name"),
        ("create source git a --url=https://example.com/a --branch=main --interval=5 --export", "write it like 30s"),
        ("create ks a --source=GitRepositry/a --export", "did you mean GitRepository/a?"),
        ("create ks a --source=a --path=deploy --export", "write --path=./deploy"),
        ("create ks a --source=a --health-check=Deployment/web --export", "write Kind/name.namespace"),
        ("create ks a --source=a --sorce=b --export", "'--source'"),
        ("create ks a --source=a --label=x --export", "is not key=value"),
    ] {
        let stderr = machine.run(line).bad();
        assert!(stderr.contains(help), "{line}: {stderr}");
    }
}
