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

#[test]
fn helm_and_oci_sources_are_exported_as_flux_prints_them() {
    let head = |kind: &str| {
        format!(
            "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: {kind}\nmetadata:\n  name: podinfo\n  namespace: flux-system\nspec:\n"
        )
    };
    let url = "https://stefanprodan.github.io/charts/podinfo";
    for (flags, spec) in [
        (format!("--url={url} --interval 5m"), format!("  interval: 5m0s\n  url: {url}\n")),
        (
            "--url=oci://ghcr.io/stefanprodan/charts/podinfo --interval 5m --secret-ref=creds".to_owned(),
            "  interval: 5m0s\n  secretRef:\n    name: creds\n  type: oci\n  url: oci://ghcr.io/stefanprodan/charts/podinfo\n".to_owned(),
        ),
        (
            format!("--url={url} --secret-ref=creds --pass-credentials --fetch-timeout=2m"),
            format!("  interval: 1m0s\n  passCredentials: true\n  secretRef:\n    name: creds\n  timeout: 2m0s\n  url: {url}\n"),
        ),
    ] {
        exports(&format!("create source helm podinfo {flags} --export"), &(head("HelmRepository") + &spec));
    }
    exports(
        "create source chart podinfo --source helmrepository/podinfo --chart podinfo --verify-provider cosign \
         --verify-issuer foo --verify-subject bar --export",
        &(head("HelmChart")
            + "  chart: podinfo\n  interval: 1m0s\n  reconcileStrategy: ChartVersion\n  sourceRef:\n    kind: \
               HelmRepository\n    name: podinfo\n  verify:\n    matchOIDCIdentity:\n    - issuer: foo\n      subject: \
               bar\n    provider: cosign\n"),
    );
    exports(
        "create source oci podinfo --url=oci://ghcr.io/stefanprodan/manifests/podinfo --tag=6.3.5 --interval 10m \
         --layer-selector=application/vnd.cncf.helm.chart.content.v1.tar+gzip:copy --secret-ref=creds --export",
        &(head("OCIRepository")
            + "  interval: 10m0s\n  layerSelector:\n    mediaType: \
               application/vnd.cncf.helm.chart.content.v1.tar+gzip\n    operation: copy\n  ref:\n    tag: 6.3.5\n  \
               secretRef:\n    name: creds\n  url: oci://ghcr.io/stefanprodan/manifests/podinfo\n"),
    );
}

#[test]
fn wrong_flags_of_helm_and_oci_sources_are_told_apart() {
    for (line, part) in [
        ("create source helm a --export", "--url is required"),
        ("create source helm a --url=git://example.com/charts --export", "is not the address of a Helm repository"),
        ("create source helm a --url=https:// --export", "names no host"),
        ("create source helm a --url=https://a.b --username=x", "go together"),
        ("create source chart a --export", "--source is required"),
        ("create source chart a --source=helmrepository/b --export", "--chart is required"),
        ("create source chart a --source=HelmRepo/b --chart=c --export", "is not a source of charts"),
        (
            "create source chart a --source=Bucket/b --chart=c --reconcile-strategy=x --export",
            "ChartVersion or Revision",
        ),
        ("create source oci a --export", "--url is required"),
        ("create source oci a --url=oci://a.b/c --export", "what to pull is not said"),
        ("create source oci a --url=oci://a.b/c:1 --tag=1 --export", "must not contain a tag"),
        ("create source oci a --url=oci://a.b/c --tag=1 --layer-selector=x:move --export", "extract or copy"),
        (
            "create source oci a --url=oci://a.b/c --tag=1 --verify-secret-ref=k --export",
            "needs a verification provider",
        ),
        ("create source oci a --url=oci://a.b/c --tag=1 --verify-provider=x --export", "cosign or notation"),
    ] {
        let stderr = Machine::new().run(line).bad();
        assert!(stderr.contains(part), "{line}: {stderr}");
    }
}

#[test]
fn what_this_weir_refuses_is_said_before_it_is_made() {
    let line = "create source chart a --source=HelmRepository/b --chart=c --verify-provider=cosign";
    let stderr = Machine::new().run(line).bad();
    assert!(stderr.contains("⚠ a will not be reconciled: signatures cannot be verified yet"), "{stderr}");
    let exported = Machine::new().run(&format!("{line} --export"));
    assert!(exported.code == 0 && !exported.stderr.contains('⚠'), "{}", exported.stderr);
}
