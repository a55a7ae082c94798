//! Long-running processes: `serve`, what finds it, and the demo where nobody watches.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::{Machine, finish};

/// A running weir; it is asked to end when this is dropped.
struct Running(Child);

impl Running {
    /// Starts a command and waits for the line that begins so on stderr.
    fn start(machine: &Machine, arguments: &[&str], until: &str) -> (Running, String) {
        let mut child = machine.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with(until) {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended before it said {until}");
        }
        // The rest is read so that the pipe never fills.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        (Running(child), line)
    }

    fn end(mut self) -> Option<i32> {
        let id = self.0.id().to_string();
        std::process::Command::new("kill").arg(id).status().unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn while_one_serves_all_others_find_it_and_a_second_one_is_refused() {
    let machine = Machine::new();
    let arguments = ["serve", "--no-reconcile", "--write-kubeconfig", "copy"];
    let (serving, line) = Running::start(&machine, &arguments, "✔ serving");
    assert!(line.contains("at https://127.0.0.1:"), "{line}");
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";
    machine.with_stdin("apply -f -", text).good();
    // By the kubeconfig that was asked for, as any other client.
    let listed = machine.run("get cm -o name --kubeconfig copy").good();
    assert!(listed.lines().any(|line| line == "configmap/settings"), "{listed}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(machine.path("copy")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "the token is for this user only");
    for line in ["serve", "run"] {
        let stderr = machine.run(line).bad();
        assert!(stderr.contains("another weir"), "{stderr}");
    }
    assert_eq!(serving.end(), Some(0));
    assert!(!machine.path(".local/share/weir/kubeconfig").exists(), "the kubeconfig goes with the server");
    assert!(machine.run("get cm -o name").good().contains("configmap/settings"), "what was acknowledged stays");
}

#[test]
fn a_beyond_loopback_address_is_refused() {
    let stderr = Machine::new().run("serve --listen 0.0.0.0:0").bad();
    assert!(stderr.contains("not a loopback address"), "{stderr}");
}

#[test]
fn the_demo_converges_and_leaves_nothing_behind() {
    let machine = Machine::new();
    std::fs::create_dir(machine.path("tmp")).unwrap();
    let tree = finish(machine.command(&["demo"]).env("TMPDIR", machine.path("tmp"))).good();
    for ready in ["fleet", "infrastructure", "monitoring", "database", "shop"] {
        let line = tree.lines().find(|line| line.contains(&format!("Kustomization/flux-system/{ready} ")));
        assert!(line.is_some_and(|line| line.contains("✓ Ready")), "{ready} in\n{tree}");
    }
    let broken = tree.lines().find(|line| line.contains("Kustomization/flux-system/payments ")).unwrap();
    assert!(broken.contains("✗ Failed") && broken.contains("ledger.yaml"), "{broken}");
    assert!(tree.contains("Deployment/shop/web  ✓ Ready (simulated)"), "{tree}");
    for (image, state) in
        [("ImagePolicy/flux-system/cart ", "✓ Ready"), ("ImageUpdateAutomation/flux-system/shop ", "Suspended")]
    {
        assert!(tree.lines().any(|line| line.contains(image) && line.contains(state)), "{image} in\n{tree}");
    }
    assert_eq!(std::fs::read_dir(machine.path("tmp")).unwrap().count(), 0, "the demo's directory goes with it");
    assert!(!machine.path(".local").exists());
}

#[test]
fn a_reconcile_ends_when_its_effect_is_known() {
    let machine = Machine::new();
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"];
        let done = command.args(identity).args(arguments).current_dir(machine.path("repository")).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {version: one}\n";
    machine.file("repository/deploy/settings.yaml", settings);
    let budget =
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: budget}\nspec: {minAvailable: 1}\n";
    machine.file("repository/deploy/budget.yaml", budget);
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    let url = format!("--url=file://{}", machine.path("repository").display());
    let source = machine.weir(&["create", "source", "git", "app", &url, "--branch=main", "--interval=1h"]);
    assert!(source.stderr.contains("✔ fetched revision main@sha1:"), "{}", source.stderr);
    source.good();
    let created =
        machine.run("create ks app --source=app --path=./deploy --prune --target-namespace=default --interval=1h");
    assert!(created.stderr.contains("✔ applied revision main@sha1:"), "{}", created.stderr);
    created.good();
    let version = || machine.run("get cm settings -n default -o yaml").good().contains("version: two");
    machine.file("repository/deploy/settings.yaml", &settings.replace("one", "two"));
    git(&["commit", "-qam", "two"]);
    assert!(!version());
    machine.run("reconcile ks app --with-source --timeout 60s").good();
    assert!(version(), "the effect was not there when the command ended");
    let suspended = machine.run("suspend ks app");
    assert!(suspended.stderr.contains("✔ suspended"), "{}", suspended.stderr);
    assert!(machine.run("reconcile ks app").bad().contains("is suspended"));
    machine.run("resume ks app --timeout 60s").good();
    let traced = machine.run("trace cm settings -n default").good();
    assert!(traced.contains("Kustomization: app\n") && traced.contains("GitRepository: app\n"), "{traced}");
    let tree = machine.run("tree ks app").good();
    assert!(tree.contains("── ConfigMap/default/settings"), "{tree}");
    let budget = tree.lines().find(|line| line.contains("PodDisruptionBudget/default/budget"));
    assert!(budget.is_some_and(|line| !line.contains('?')), "what is watched on demand is waited for: {tree}");
    assert!(machine.run("delete ks app").bad().contains("--silent"));
    machine.run("delete ks app -s --timeout 60s").good();
    assert_eq!(machine.run("get cm settings -n default").code, 1, "what it applied goes with it");
}
