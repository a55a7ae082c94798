//! `weir image`: tags chosen and files edited with no cluster at all; `weir diff image update`: the commit before it is pushed.

use super::Machine;
use crate::outside::servers::World as Git;
use crate::outside::web::Shelf;

const TAGS: &str = "0.9.0\n1.0.0\n1.2.3\n2.0.0-rc.1\nlatest\n";

fn select(flags: &[&str], tags: &str) -> super::Ran {
    use std::io::Write as _;
    use std::process::Stdio;
    let machine = Machine::new();
    let arguments: Vec<&str> = ["image", "select"].iter().chain(flags).copied().collect();
    let mut command = machine.command(&arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(tags.as_bytes()).ok();
    super::Ran::of(child.wait_with_output().unwrap())
}

#[test]
fn the_chosen_tag_is_all_of_stdout() {
    for (flags, tags, wanted) in [
        (&["--select-semver=>=1.0"][..], TAGS, "1.2.3\n"),
        (&["--select-semver", ">=1.0.0-0"], TAGS, "2.0.0-rc.1\n"),
        (&["--select-alpha=asc"], TAGS, "latest\n"),
        (&["--select-alpha=desc"], TAGS, "0.9.0\n"),
        (&["--select-numeric=asc"], "10\r\n9\r\n", "10\n"),
        (
            &["--select-alpha=asc", r"--filter-regex=^REL\.(?P<ts>.*)Z.*$", "--filter-extract=$ts"],
            "REL.2022-01-11T17-32-12Z\nREL.2023-01-11T17-32-12Z.fix\nlatest\n",
            "REL.2023-01-11T17-32-12Z.fix\n",
        ),
        (
            &["--legacy", "glob:staging-*"],
            "staging-1\t2026-01-01T00:00:00Z\nstaging-0\t2026-01-02T00:00:00Z\nx\t2026-02-01T00:00:00Z\n",
            "staging-0\n",
        ),
        (&["--legacy", "semver:~1.0.5"], "1.0.5\n1.0.9\n1.1.0\n", "1.0.9\n"),
        (
            &["--legacy", "regex:^[a-f0-9]{7}$"],
            "abcdef0\t2026-01-01T00:00:00Z\nlatest\t2026-01-02T00:00:00Z\n",
            "abcdef0\n",
        ),
    ] {
        assert_eq!(select(flags, tags).good(), wanted, "{flags:?}");
    }
}

#[test]
fn no_choice_is_an_error_with_its_reason() {
    for (flags, tags, reason) in [
        (&["--select-semver=>=3"][..], TAGS, "unable to determine latest version"),
        (&["--select-numeric=asc"], TAGS, "failed to parse invalid numeric value '0.9.0'"),
        (&["--select-alpha=asc"], "", "no tag was chosen of 0: there are none"),
        (&["--select-alpha=asc", "--filter-regex=^v"], TAGS, "no tag was chosen of 5: none matches ^v"),
        (&["--select-alpha=up"], TAGS, "invalid order argument"),
        (&["--select-semver=latest"], TAGS, "not a version range"),
        (&["--select-alpha=asc", "--filter-regex=("], TAGS, "invalid regular expression pattern '('"),
        (&["--legacy=glob:*"], "a\nb\n", "no build date is known"),
        (&["--legacy=glob:x*"], "a\nb\n", "none of 2 matches"),
        (&[], TAGS, "required"),
        (&["--select-alpha=asc", "--select-numeric=asc"], TAGS, "cannot be used with"),
    ] {
        let ran = select(flags, tags);
        assert!(ran.code == 1 && ran.stdout.is_empty(), "{flags:?} gave {} {}", ran.code, ran.stdout);
        assert!(ran.stderr.contains(reason), "{flags:?}: {}", ran.stderr);
    }
}

#[test]
fn the_explanation_names_every_tag() {
    let table = select(&["--select-semver=>=1.0", "--explain"], TAGS).good();
    let rows: Vec<String> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[1], "1.2.3 1.2.3 chosen chosen");
    assert!(rows.contains(&"1.0.0 1.0.0 lost 1.2.3 is the higher version".to_owned()), "{table}");
    assert_eq!(rows.len(), 6);
    let hostile = select(&["--select-alpha=asc", "--explain"], "a\u{1b}[2Jb\nc\n").good();
    assert!(!hostile.contains('\u{1b}'), "{hostile:?}");
}

const DEPLOY: &str = "# keep me\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  image:   'old:1' # {\"$imagepolicy\": \"apps:web\"}\n  tag: \"1\"  # {\"$imagepolicy\": \"apps:web:tag\"}\n";

#[test]
fn images_are_set_in_place_and_the_patch_is_printed() {
    let machine = Machine::new();
    let file = machine.file("deploy/web.yaml", DEPLOY);
    machine.file("deploy/broken.yaml", "a: [ # {\"$imagepolicy\": \"apps:web\"}\n");
    let template = machine.file("template", "Update {{ .AutomationObject }} in {{ .Values.env }}\n\n{{ range .Changed.Changes }}{{ .OldValue }} -> {{ println .NewValue }}{{ end }}");
    let line = |more: &str| {
        format!(
            "image set --path deploy --policy apps:web=ghcr.io/org/web:2.0@sha256:abc --message-template {} --automation apps/all --value env=prod {more}",
            template.display()
        )
    };
    let patch = "Update apps/all in prod\n\nold:1 -> ghcr.io/org/web:2.0@sha256:abc\n1 -> 2.0\n\n\
        diff --git a/web.yaml b/web.yaml\n--- a/web.yaml\n+++ b/web.yaml\n@@ -4,5 +4,5 @@\n metadata:\n   name: web\n spec:\n\
        -  image:   'old:1' # {\"$imagepolicy\": \"apps:web\"}\n-  tag: \"1\"  # {\"$imagepolicy\": \"apps:web:tag\"}\n\
        +  image:   'ghcr.io/org/web:2.0@sha256:abc' # {\"$imagepolicy\": \"apps:web\"}\n\
        +  tag: \"2.0\"  # {\"$imagepolicy\": \"apps:web:tag\"}\n";
    let dry = machine.run(&line("--dry-run"));
    assert!(dry.stderr.contains("broken.yaml is left alone"), "{}", dry.stderr);
    assert_eq!(dry.good(), patch);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), DEPLOY, "a dry run changes nothing");
    let done = machine.run(&line(""));
    assert!(done.stderr.contains("2 fields in 1 file\n"), "{}", done.stderr);
    assert_eq!(done.good(), patch);
    let now = std::fs::read_to_string(&file).unwrap();
    assert_eq!(now, DEPLOY.replace("'old:1'", "'ghcr.io/org/web:2.0@sha256:abc'").replace("\"1\"", "\"2.0\""));
    let again = machine.run("image set --path deploy --policy apps:web=ghcr.io/org/web:2.0@sha256:abc");
    assert!(again.stderr.contains("nothing to change"), "{}", again.stderr);
    assert_eq!(again.good(), "");
}

#[test]
fn links_are_not_followed_and_bad_images_are_refused() {
    let machine = Machine::new();
    let outside = machine.file("outside.yaml", DEPLOY);
    machine.file("deploy/x.yaml", "a: b\n");
    std::os::unix::fs::symlink(&outside, machine.path("deploy/link.yaml")).unwrap();
    assert_eq!(machine.run("image set --path deploy --policy apps:web=a:2").good(), "");
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), DEPLOY);
    for policy in ["apps:web", "web=a:1", "apps:web=a", "apps:web=localhost:5000/a", "apps:web=a:\u{1b}x"] {
        let ran = machine.weir(&["image", "set", "--policy", policy]);
        assert!(ran.code == 1 && !ran.stderr.contains('\u{1b}'), "{policy}: {}", ran.stderr);
    }
    let removed = machine.file("old", "{{ range .Updated.images }}{{ println . }}{{ end }}");
    let ran =
        machine.run(&format!("image set --path . --policy apps:web=a:2 --message-template {}", removed.display()));
    assert!(ran.stderr.contains("removed '.Updated' field"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), DEPLOY, "nothing is written without a message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_commit_is_shown_before_it_is_pushed() {
    let shelf = Shelf::default();
    for tag in ["1.0.0", "1.2.0", "latest"] {
        shelf.push("team/app", tag, "text/plain", b"layer");
    }
    let web = shelf.serve().await;
    let image = format!("{}/team/app", web.address);
    let git = Git::new();
    let repository = git.repository("fleet");
    repository.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    let manifest = |tag: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata:\n  tag: {tag} # {{\"$imagepolicy\": \"default:app:tag\"}}\n"
        )
    };
    repository.commit("start", &[("deploy/app.yaml", &manifest("1.0.0"))]);
    let machine = Machine::new();
    let documents = format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: fleet, namespace: default}}\nspec: \
         {{url: '{}', interval: 1h, ref: {{branch: main}}}}\n---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: \
         ImageRepository\nmetadata: {{name: app, namespace: default}}\nspec: {{image: '{image}', interval: 1h, insecure: \
         true}}\n---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: app, namespace: \
         default}}\nspec: {{imageRepositoryRef: {{name: app}}, policy: {{semver: {{range: 1.x}}}}}}\n---\napiVersion: \
         image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\nmetadata: {{name: app, namespace: default}}\nspec:\n  \
         suspend: true\n  interval: 1h\n  sourceRef: {{kind: GitRepository, name: fleet}}\n  update: {{path: ./deploy}}\n  \
         git: {{commit: {{author: {{email: a@example.org}}, messageTemplate: \"one\\n\\ntwo\"}}}}\n",
        repository.file_url()
    );
    machine.with_stdin("apply -f -", &documents).good();
    machine.run("reconcile image repository app -n default --timeout 60s").good();
    machine.run("reconcile image policy app -n default --timeout 60s").good();
    let told = machine.run("diff image update app -n default -o json");
    assert_eq!(told.code, 1, "something would change: {}", told.stderr);
    let document: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let commit = &document["commit"];
    assert_eq!((commit["branch"].as_str(), commit["message"].as_str()), (Some("main"), Some("one\n\ntwo")));
    assert_eq!(commit["parent"], repository.git(&["rev-parse", "main"]));
    assert_eq!(document["changes"][0]["name"], "deploy/app.yaml");
    assert!(document["notes"].to_string().contains("suspended"), "{document:#}");
    let piped = machine.run("diff image update app -n default");
    assert_eq!((piped.code, Some(piped.stdout.as_str())), (1, commit["patch"].as_str()));
    let why = "1.2.0: semver 1.x over 3 tags, 1 unfit; next is 1.0.0: 1.2.0 is the higher version";
    assert!(piped.stderr.contains(why), "{}", piped.stderr);
    assert!(piped.stderr.contains("app chose") && piped.stderr.contains("1 file would change"), "{}", piped.stderr);
    let sets = "Sets: ConfigMap/app in deploy/app.yaml: 1.0.0 → 1.2.0 by default:app:tag\n";
    assert!(piped.stderr.contains(sets), "{}", piped.stderr);
    assert!(piped.stderr.contains("Message: one\n"), "{}", piped.stderr);
    assert!(!piped.stderr.lines().any(|line| line.trim_start().starts_with(':')), "{}", piped.stderr);
    let all = machine.run("get images all -n default").good();
    assert!(
        ["ImageRepository", "imagerepository"].iter().any(|kind| all.contains(kind)) && all.contains("1.2.0"),
        "{all}"
    );
    repository.git_with(&["apply", "--check"], piped.stdout.as_bytes());
    assert_eq!(repository.git(&["rev-list", "--count", "main"]), "1", "looking pushes nothing");
    machine.run("resume image update app -n default --timeout 60s").good();
    assert_eq!(repository.file("main:deploy/app.yaml"), manifest("1.2.0"));
    assert_eq!(repository.git(&["log", "-1", "--format=%B", "main"]), "one\n\ntwo");
    let rest = machine.run("diff image update app -n default");
    assert_eq!((rest.code, rest.stdout.as_str()), (0, ""), "{}", rest.stderr);
}
