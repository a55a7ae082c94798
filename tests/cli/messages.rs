//! What a person reads when something is in the way: each says what, and what to do next.

use super::{Machine, finish};

#[test]
fn a_kubeconfig_that_is_named_and_missing_is_an_error_and_never_another_cluster() {
    let machine = Machine::new();
    for arguments in [&["get", "ks", "--kubeconfig", "nowhere.yaml"][..], &["get", "ks", "--context", "prod"]] {
        let stderr = machine.weir(arguments).bad();
        assert!(stderr.starts_with("✗ ") && stderr.lines().count() >= 2, "{stderr}");
    }
    let stderr = finish(machine.command(&["get", "ks"]).env("KUBECONFIG", "/nowhere/config")).bad();
    assert!(stderr.contains("$KUBECONFIG does not exist"), "{stderr}");
    assert!(!machine.path(".local").exists(), "the embedded API was opened although a kubeconfig was named");
    // What the hint says to do does work.
    let mut embedded = machine.command(&["get", "ks", "--embedded"]);
    assert_eq!(finish(embedded.env("KUBECONFIG", "/nowhere/config")).code, 0);
}

#[test]
fn a_kubeconfig_that_cannot_be_read_says_where() {
    let machine = Machine::new();
    let file = machine.file(".kube/config", "clusters: [\n");
    let stderr = machine.run("get ks").bad();
    assert!(stderr.contains(file.to_str().unwrap()) || stderr.contains("kubeconfig"), "{stderr}");
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    // A port that was free a moment ago and is closed again: nothing listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let machine = Machine::new();
    machine.file(
        ".kube/config",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: prod\nclusters: [{{name: c, cluster: {{server: \
             'http://127.0.0.1:{port}'}}}}]\nusers: [{{name: u, user: {{}}}}]\ncontexts: [{{name: prod, context: \
             {{cluster: c, user: u}}}}]\n"
        ),
    );
    let stderr = machine.run("get ks --timeout 5s").bad();
    assert!(stderr.contains("reach") && stderr.lines().count() >= 2, "{stderr}");
}

#[test]
fn usage_errors_end_with_one_and_help_with_zero() {
    let machine = Machine::new();
    assert_eq!(machine.run("nonsense").code, 1);
    assert_eq!(machine.run("get").code, 1);
    assert_eq!(machine.run("get ks --data x --context y").code, 1);
    assert!(machine.run("--help").good().contains("Commands:"));
    assert!(machine.run("--version").good().starts_with("weir "));
    assert!(machine.run("version -o json").good().contains("\"weir\""));
    assert!(machine.run("completion bash").good().contains("_weir"));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let machine = Machine::new();
    let mut child = machine.command(&["completion", "zsh"]);
    let mut child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn colours_are_for_terminals_only() {
    let machine = Machine::new();
    let ran = machine.run("get ks");
    assert!(!ran.stdout.contains('\x1b') && !ran.stderr.contains('\x1b'));
}
