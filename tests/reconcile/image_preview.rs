//! What the preview of an automation shows is what its run pushes: over random repositories and policies, byte for byte.
//!
//! `WEIR_TEST_RUNS` says over how many. Git itself is the judge: it applies the previewed patch to the parent, and the tree
//! that this makes must be the tree of the pushed commit.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use weir::base::Id;
use weir::kinds::{git_repository, image_policy, image_update_automation};
use weir::reconcile::{self, Crew, ImageAutomations, Options};

use super::{World, ready};
use crate::outside::servers::{Repository, World as Git, git_command};

const API: &str = "image.toolkit.fluxcd.io/v1";

/// A small generator: the same repositories each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.roll(of.len())]
    }

    fn file(&mut self, namespace: &str) -> String {
        let mut text = format!("kind: {}\nmetadata:\n  name: {}\n", self.one(&["A", "B"]), self.one(&["x", "y"]));
        for number in 0..self.roll(6) {
            let value = self.one(&["a:1", "'a:1'", "\"a:1\"", "&i a:1", "!!str a:1", "[a:1]", "|\n  a:1", "3", "né ☃"]);
            let policy = self.one(&["p0", "p1:tag", "p2:name", "p0:digest", "none", "p1:name:x"]);
            let mark = format!("# {{\"$imagepolicy\": \"{namespace}:{policy}\"}}");
            let end = self.one(&["\n", "\n", "\r\n", "\n# note\n", "\n\n"]);
            match value.split_once('\n') {
                Some((head, tail)) => text.push_str(&format!("k{number}: {head} {mark}\n{tail}{end}")),
                None => text.push_str(&format!("k{number}: {value} {mark}{end}")),
            }
        }
        match self.roll(20) {
            0 => text.push_str("broken: [\n"),
            1 | 2 => text.truncate(text.trim_end().len()),
            _ => {}
        }
        text
    }
}

/// A repository with one branch for each seed.
fn fill(repository: &Repository, runs: u64) {
    let mut stream = Vec::new();
    for seed in 0..runs {
        let mut dice = Dice(seed);
        writeln!(stream, "commit refs/heads/b{seed}\ncommitter A <a@b.c> 0 +0000\ndata 1\nx").unwrap();
        for number in 0..=dice.roll(4) {
            let place = dice.one(&["", "d/", "d/e f/", "é/"]);
            let text = dice.file(&format!("n{seed}"));
            write!(stream, "M 644 inline \"{place}f{number}.yaml\"\ndata {}\n{text}\n", text.len()).unwrap();
        }
    }
    let mut import = git_command(&repository.path, &["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&stream).unwrap();
    assert!(import.wait().unwrap().success());
}

/// What one seed stands for.
struct Case<'w> {
    world: &'w World,
    repository: &'w Repository,
    seed: u64,
    dice: Dice,
}

impl Case<'_> {
    fn namespace(&self) -> String {
        format!("n{}", self.seed)
    }

    async fn put(&self, kind: &str, name: &str, spec: Value) {
        let head = json!({"name": name, "namespace": self.namespace()});
        self.world.put(json!({"apiVersion": API, "kind": kind, "metadata": head, "spec": spec})).await;
    }

    /// Policies that have chosen; their own reconciler is not there.
    async fn policies(&mut self) {
        for number in 0..=self.dice.roll(3) {
            let name = format!("p{number}");
            let spec = json!({"imageRepositoryRef": {"name": "x"}, "policy": {"alphabetical": {}}});
            self.put("ImagePolicy", &name, spec).await;
            let latest = json!({
                "name": self.dice.one(&["a", "ghcr.io/o/a", "host:5000/a"]),
                "tag": self.dice.one(&["1", "1.0", "true", "v2.0.0-rc.1", "2023-01-11", "12e03", "a\u{1b}[2Jb"]),
                "digest": self.dice.one(&["", "sha256:abc"]),
            });
            let id = image_policy::KIND.id(&self.namespace(), &name);
            let status = json!({"status": {"latestRef": latest}});
            self.world.cluster.merge_patch(&id, &status, Some("status"), "test").await.unwrap();
        }
    }

    /// An automation that waits, and where it will push.
    async fn automation(&mut self) -> (Id, String) {
        let (seed, namespace) = (self.seed, self.namespace());
        self.world
            .put(json!({"apiVersion": git_repository::KIND.api_version(), "kind": "GitRepository",
                "metadata": {"name": "g", "namespace": namespace},
                "spec": {"url": self.repository.file_url(), "interval": "1h", "ref": {"branch": format!("b{seed}")}}}))
            .await;
        let message = self.dice.one(&[
            "",
            "{{ .AutomationObject }}\n{{ range $f, $os := .Changed.FileChanges }}{{ $f }}\n{{ range $o, $cs := $os }}\
             {{ $o.Kind }}/{{ $o.Name }}{{ range $cs }} {{ .OldValue }}>{{ .NewValue }}{{ end }}\n{{ end }}{{ end }}",
            "{{ .Values.note }}\n\n\n  trailing  \n\n",
            "{{ range .Changed.Changes }}{{ .Setter }}\n{{ end }}",
        ]);
        let target = match self.dice.roll(3) {
            0 => format!("auto{seed}"),
            _ => format!("b{seed}"),
        };
        let path = self.dice.one(&["", "", "./d", "."]);
        let spec = json!({"interval": "1h", "suspend": true, "sourceRef": {"kind": "GitRepository", "name": "g"},
            "update": {"strategy": "Setters", "path": path},
            "git": {"push": {"branch": target},
                "commit": {"author": {"name": "Böt", "email": "bot@example.org"}, "messageTemplate": message,
                    "messageTemplateValues": {"note": "tab\t and \u{1b}[31m escape"}}}});
        self.put("ImageUpdateAutomation", "a", spec).await;
        (image_update_automation::KIND.id(&namespace, "a"), target)
    }

    fn tip(&self, branch: &str) -> String {
        self.repository.git(&["for-each-ref", "--format=%(objectname)", &format!("refs/heads/{branch}")])
    }

    /// The tree that git makes of a commit and a patch.
    fn applied(&self, parent: &str, patch: &str) -> String {
        let index = self.repository.path.join(".git/judge");
        let run = |arguments: &[&str], input: &str| {
            let mut command = git_command(&self.repository.path, arguments);
            command.env("GIT_INDEX_FILE", &index).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}\n{input}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        run(&["read-tree", parent], "");
        run(&["apply", "--cached", "--whitespace=nowarn"], patch);
        run(&["write-tree"], "")
    }

    /// Looks, runs, compares; answers whether there was a commit.
    async fn judge(mut self) -> Option<bool> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace()}});
        self.world.put(namespace).await;
        self.policies().await;
        let (id, target) = self.automation().await;
        let before = self.tip(&target);
        let preview = reconcile::preview(&self.world.cx, &id).await;
        assert_eq!(self.tip(&target), before, "a preview pushes nothing");
        self.world.patch(&id, json!({"spec": {"suspend": null}})).await;
        let run = |it: &Value| ready(it).is_some_and(|ready| ready.status != "Unknown");
        let document = self.world.until(&id, "run", run).await;
        let seed = self.seed;
        let preview = match preview {
            Ok(preview) => preview,
            Err(cause) => {
                let shown = ready(&document).unwrap();
                assert_eq!((shown.reason, shown.message), (cause.reason, cause.message), "seed {seed}");
                assert_eq!(self.tip(&target), before, "seed {seed}: nothing is pushed");
                return None;
            }
        };
        let Some(commit) = preview.commit else {
            assert_eq!(self.tip(&target), before, "seed {seed}: nothing was to be pushed");
            assert!(preview.patch.is_empty(), "seed {seed}");
            return Some(false);
        };
        let tip = self.tip(&target);
        assert_eq!(document["status"]["lastPushCommit"], tip, "seed {seed}");
        assert_eq!(self.repository.git(&["rev-parse", &format!("{tip}^")]), commit.parent, "seed {seed}");
        assert_eq!((commit.branch.as_str(), commit.is_new), (target.as_str(), before.is_empty()));
        let raw = git_command(&self.repository.path, &["cat-file", "commit", &tip]).output().unwrap().stdout;
        let raw = String::from_utf8(raw).unwrap();
        assert_eq!(raw.split_once("\n\n").unwrap().1, commit.message, "seed {seed}");
        let tree = self.repository.git(&["rev-parse", &format!("{tip}^{{tree}}")]);
        assert_eq!(self.applied(&commit.parent, &commit.patch), tree, "seed {seed}: {}", commit.patch);
        Some(true)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_previewed_is_byte_for_byte_what_is_pushed() {
    let runs = std::env::var("WEIR_TEST_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    let git = Git::new();
    let repository = git.repository("many");
    fill(&repository, runs);
    let mut world = World::new(Options::default()).await;
    world.start(Crew::default().with(ImageAutomations));
    let (mut changed, mut same, mut refused) = (0, 0, 0);
    for seed in 0..runs {
        let case = Case { world: &world, repository: &repository, seed, dice: Dice(seed + 1_000_000) };
        match case.judge().await {
            Some(true) => changed += 1,
            Some(false) => same += 1,
            None => refused += 1,
        }
        let id = image_update_automation::KIND.id(&format!("n{seed}"), "a");
        world.delete(&id).await;
    }
    println!("{changed} commits, {same} without a change, {refused} refused");
    assert!(changed * 4 > runs, "{changed}, {same}, {refused} of {runs}");
    assert!(runs < 100 || (same > 0 && refused > 0), "{changed}, {same}, {refused} of {runs}");
}
