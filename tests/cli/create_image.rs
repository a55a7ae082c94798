//! `weir create image` and `weir create secret git` print what `flux` prints. The expected texts follow flux2
//! cmd/flux/testdata.

use super::Machine;

#[track_caller]
fn exports(line: &str, expected: &str) {
    assert_eq!(Machine::new().run(line).good(), expected, "{line}");
}

#[test]
fn image_kinds_are_exported_as_flux_prints_them() {
    exports(
        "create image repository hello --image=gcr.io/google-samples/hello-app --interval=5m --namespace=default --export",
        "\
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata:
  name: hello
  namespace: default
spec:
  image: gcr.io/google-samples/hello-app
  interval: 5m0s
",
    );
    exports(
        "create image policy hello --image-ref=hello --select-semver=>=1.0 --namespace=default --export",
        "\
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata:
  name: hello
  namespace: default
spec:
  imageRepositoryRef:
    name: hello
  policy:
    semver:
      range: '>=1.0'
",
    );
    exports(
        "create image policy hello --image-ref=hello --select-numeric=asc --filter-regex=^main-(?P<ts>[0-9]+) \
         --filter-extract=$ts --reflect-digest=Always --interval=10m --export",
        "\
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata:
  name: hello
  namespace: flux-system
spec:
  digestReflectionPolicy: Always
  filterTags:
    extract: $ts
    pattern: ^main-(?P<ts>[0-9]+)
  imageRepositoryRef:
    name: hello
  interval: 10m0s
  policy:
    numerical:
      order: asc
",
    );
    exports(
        "create image update hello --git-repo-ref=hello --git-repo-path=./deploy --checkout-branch=main \
         --push-branch=main --author-name=flux --author-email=flux@example.com --namespace=default --export",
        "\
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata:
  name: hello
  namespace: default
spec:
  git:
    checkout:
      ref:
        branch: main
    commit:
      author:
        email: flux@example.com
        name: flux
    push:
      branch: main
  interval: 1m0s
  sourceRef:
    kind: GitRepository
    name: hello
  update:
    path: ./deploy
    strategy: Setters
",
    );
}

#[test]
fn image_flags_that_do_not_fit_are_refused() {
    for (line, reason) in [
        ("create image policy a --image-ref=a --export", "a policy must be provided"),
        ("create image policy a --image-ref=a --select-alpha=asc --select-numeric=asc --export", "only one of"),
        ("create image policy a --image-ref=a --select-alpha=up --export", "invalid order argument"),
        ("create image policy a --image-ref=a --select-semver=latest --export", "not a version range"),
        ("create image policy a --image-ref=a --select-alpha=asc --filter-extract=$1 --export", "--filter-regex"),
        ("create image policy a --select-alpha=asc --export", "ImageRepository"),
        ("create image update a --git-repo-ref=a --checkout-branch=main --author-name=a --export", "author email"),
        ("create secret git a --url=https://example.com/a --username=u --export", "username and password"),
        ("create secret git a --url=https://example.com/a --bearer-token=t -u=u -p=p --export", "together"),
        ("create secret git a --url=ftp://example.com/a --export", "scheme"),
        ("create secret git a --export", "--url is required"),
    ] {
        let ran = Machine::new().run(line);
        assert!(ran.code == 1 && ran.stderr.contains(reason), "{line}: {}", ran.stderr);
    }
    let stale = "create image update a --git-repo-ref=a --checkout-branch=main --author-name=a --author-email=a@b.c \
                 --commit-template={{.Updated.Images}} --export";
    assert!(Machine::new().run(stale).stderr.contains("field that Flux removed"));
}

#[test]
fn a_git_secret_is_exported_as_flux_prints_it() {
    exports(
        "create secret git podinfo-auth --url=https://github.com/stefanprodan/podinfo --username=my-username \
         --password=my-password --namespace=my-namespace --export",
        "\
---
apiVersion: v1
kind: Secret
metadata:
  name: podinfo-auth
  namespace: my-namespace
stringData:
  password: my-password
  username: my-username
",
    );
    exports(
        "create secret git bearer --url=https://github.com/a/b --bearer-token=ghp_x --label=team=shop --export",
        "\
---
apiVersion: v1
kind: Secret
metadata:
  labels:
    team: shop
  name: bearer
  namespace: flux-system
stringData:
  bearerToken: ghp_x
",
    );
}
