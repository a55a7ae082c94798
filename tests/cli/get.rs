//! `weir get`: words for kinds, forms of output, and what is said when there is nothing.

use super::Machine;

fn filled() -> Machine {
    let machine = Machine::new();
    let text = "\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: shop, labels: {team: shop}}
spec: {url: 'https://example.com/shop', interval: 1m}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: fleet}
spec: {url: 'https://example.com/fleet', interval: 1m, suspend: true}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {password: hunter2-canary}
";
    machine.with_stdin("apply -f -", text).good();
    machine
}

#[test]
fn kinds_are_found_by_the_words_of_flux_and_kubectl() {
    let machine = filled();
    let expected = "\
NAME   REVISION  SUSPENDED  READY  MESSAGE
fleet            True       False  waiting to be reconciled
shop             False      False  waiting to be reconciled
";
    for words in ["sources git", "source git", "gitrepo", "gitrepositories", "gitrepositories.source.toolkit.fluxcd.io"]
    {
        assert_eq!(machine.run(&format!("get {words}")).good(), expected, "{words}");
    }
    assert_eq!(machine.run("get gitrepo -l team=shop --no-header").good().split_whitespace().next(), Some("shop"));
    assert_eq!(machine.run("get gitrepo/shop gitrepo/fleet -o name").good().lines().count(), 2);
    let all = machine.run("get source all -A").good();
    assert!(all.starts_with("NAMESPACE    NAME                 REVISION"), "{all}");
    assert!(all.contains("flux-system  gitrepository/fleet"), "{all}");
    assert!(machine.run("get ingresses").stderr.contains("no Ingress objects found"));
}

#[test]
fn documents_come_whole_and_secrets_masked() {
    let machine = filled();
    let list: serde_json::Value = serde_json::from_str(&machine.run("get gitrepo -o json").good()).unwrap();
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let one = machine.run("get gitrepo shop -o yaml").good();
    assert!(one.contains("\nkind: GitRepository\n") || one.starts_with("kind: GitRepository\n"), "{one}");
    assert!(!one.contains("managedFields"));
    for form in ["json", "yaml"] {
        let secret = machine.run(&format!("get secret keys -o {form}")).good();
        assert!(secret.contains("***") && !secret.contains("canary") && !secret.contains("aHVudGVy"), "{secret}");
    }
}

#[test]
fn nothing_found_is_said_and_what_was_named_is_an_error() {
    let machine = filled();
    let none = machine.run("get ks");
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert_eq!(none.stderr, "✗ no Kustomization objects found in the namespace flux-system\n");
    let some = machine.run("get gitrepo shop missing");
    assert_eq!((some.code, some.stdout.lines().count()), (1, 2));
    assert_eq!(some.stderr, "✗ GitRepository/flux-system/missing not found\n");
}

#[test]
fn typos_of_kinds_are_met_with_the_nearest() {
    let machine = filled();
    for (words, help) in [
        ("kustomizatons", "did you mean kustomizations?"),
        ("kz", "did you mean ks?"),
        ("source gti", "did you mean git?"),
        ("deploymnts", "did you mean deployments?"),
        ("source", "which sources?"),
        ("source bucket", "does not know the kind Bucket"),
    ] {
        let stderr = machine.run(&format!("get {words}")).bad();
        assert!(stderr.contains(help), "{words}: {stderr}");
    }
}
