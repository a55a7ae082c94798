//! Images from scan to roll-out: a registry over http, a Git server with a login, and the reconcilers on the embedded API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use serde_json::{Value, json};
use weir::base::{Id, Text};
use weir::kinds::{git_repository, image_policy, image_repository, image_update_automation, kustomization, meta};
use weir::reconcile::{
    self, Crew, GitRepositories, ImageAutomations, ImagePolicies, ImageRepositories, Kustomizer, Options,
};

use super::{World, ready};
use crate::outside::servers::{Manner, Repository, Server, World as Git};
use crate::outside::web::{Shelf, Told, Web};

const API: &str = "image.toolkit.fluxcd.io/v1";

/// A running crew, a registry and a repository.
pub struct Bench {
    pub world: World,
    pub git: Git,
    shelf: Shelf,
    web: Web,
}

fn crew() -> Crew {
    let crew = Crew::default().with(GitRepositories).with(Kustomizer);
    crew.with(ImageRepositories).with(ImagePolicies).with(ImageAutomations)
}

impl Bench {
    pub async fn new(shelf: Shelf) -> Bench {
        let mut world = World::new(Options::default()).await;
        world.start(crew());
        let web = shelf.serve().await;
        Bench { world, git: Git::new(), shelf, web }
    }

    pub fn image(&self) -> String {
        self.web.url("team/app").trim_start_matches("http://").to_owned()
    }

    pub fn push(&self, tag: &str) -> String {
        self.shelf.push("team/app", tag, "text/plain", tag.as_bytes())
    }

    /// An image that says when it was built.
    pub fn build(&self, tag: &str, created: &str) {
        let config = json!({"created": created, "os": "linux"}).to_string();
        let digest = self.shelf.blob(config.as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len()},
            "layers": []});
        self.shelf.tag("team/app", tag, manifest.to_string().as_bytes());
    }

    pub fn repository(&self, name: &str, files: &[(&str, &str)]) -> Repository {
        let repository = self.git.repository(name);
        repository.git(&["config", "http.receivepack", "true"]);
        repository.git(&["config", "receive.denyCurrentBranch", "ignore"]);
        repository.commit("start", files);
        repository
    }

    pub async fn put(&self, kind: &str, name: &str, spec: Value) {
        let head = json!({"name": name, "namespace": "default"});
        self.world.put(json!({"apiVersion": API, "kind": kind, "metadata": head, "spec": spec})).await;
    }

    /// A repository that is scanned, and a policy over it.
    pub async fn scan(&self, spec: Value, policy: Value) -> (Id, Id) {
        let mut wanted = json!({"image": self.image(), "interval": "10m", "insecure": true});
        wanted.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.put("ImageRepository", "app", wanted).await;
        let mut chosen = json!({"imageRepositoryRef": {"name": "app"}});
        chosen.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
        self.put("ImagePolicy", "app", chosen).await;
        (image_repository::KIND.id("default", "app"), image_policy::KIND.id("default", "app"))
    }

    pub async fn source(&self, url: &str, more: Value) {
        let mut spec = json!({"url": url, "interval": "10m", "ref": {"branch": "main"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.world
            .put(json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
                "metadata": {"name": "app", "namespace": "default"}, "spec": spec}))
            .await;
    }

    pub async fn automate(&self, git: Value) -> Id {
        let mut wanted = json!({"commit": {"author": {"name": "Bot", "email": "bot@example.org"}}});
        for (key, value) in git.as_object().unwrap() {
            match wanted[key].as_object_mut() {
                Some(known) => known.extend(value.as_object().unwrap().clone()),
                None => wanted[key] = value.clone(),
            }
        }
        let spec = json!({"interval": "10m", "sourceRef": {"kind": "GitRepository", "name": "app"}, "git": wanted,
            "update": {"path": "./deploy", "strategy": "Setters"}});
        self.put("ImageUpdateAutomation", "app", spec).await;
        image_update_automation::KIND.id("default", "app")
    }

    /// Asks for a run and waits until it is over.
    async fn reconcile(&self, id: &Id, token: &str) -> Value {
        self.world.patch(id, json!({"metadata": {"annotations": {(meta::REQUESTED_AT): token}}})).await;
        self.world.until(id, "handled", |document| document["status"]["lastHandledReconcileAt"] == token).await
    }
}

fn message(document: &Value) -> String {
    ready(document).map(|ready| ready.message).unwrap_or_default()
}

fn reason(document: &Value) -> String {
    ready(document).map(|ready| format!("{}={}", ready.reason, ready.status)).unwrap_or_default()
}

pub fn config_map(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\n  namespace: default\ndata:\n  # the running image\n  \
         image: {value}   # {{\"$imagepolicy\": \"default:app\"}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_tag_is_scanned_chosen_committed_and_rolled_out_unattended() {
    let bench = Bench::new(Shelf { login: Some("ada:hunter2".into()), page: Some(100), ..Shelf::default() }).await;
    for number in 0..3_000 {
        bench.push(&format!("1.0.{number}"));
    }
    let repository = bench.repository("fleet", &[("deploy/app.yaml", &config_map("old:1")), ("README", "hi")]);
    let login = base64::engine::general_purpose::STANDARD.encode("bot:secret");
    let manner = Manner { wants: Some(format!("Basic {login}")), ..Manner::default() };
    let server = Server::start(bench.git.root.path(), manner).await;
    bench
        .world
        .put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git", "namespace": "default"},
            "stringData": {"username": "bot", "password": "secret"}}))
        .await;
    let auths =
        json!({"auths": {(bench.image().split('/').next().unwrap()): {"username": "ada", "password": "hunter2"}}});
    bench
        .world
        .put(json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": "registry", "namespace": "default"},
            "stringData": {".dockerconfigjson": auths.to_string()}}))
        .await;
    bench.source(&server.url("fleet"), json!({"secretRef": {"name": "git"}, "interval": "1s"})).await;
    bench
        .world
        .put(json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "app", "namespace": "default"}, "spec": {"interval": "10m", "prune": true,
            "path": "./deploy", "sourceRef": {"kind": "GitRepository", "name": "app"}}}))
        .await;
    let (scanned, policy) =
        bench.scan(json!({"secretRef": {"name": "registry"}}), json!({"policy": {"semver": {"range": "1.x"}}})).await;
    let document = bench.world.until_reason(&scanned, "Succeeded").await;
    assert_eq!(document["status"]["lastScanResult"]["tagCount"], 3_000);
    assert_eq!(document["status"]["lastScanResult"]["latestTags"][0], "1.0.999");
    bench.world.until(&policy, "chosen", |it| it["status"]["latestRef"]["tag"] == "1.0.2999").await;
    let template = "Update {{ .AutomationObject.Name }}\n\n{{ range .Changed.Changes }}{{ .OldValue }} -> {{ println .NewValue }}{{ end }}";
    let automation = bench.automate(json!({"commit": {"messageTemplate": template}})).await;
    let rolled = |tag: &str| {
        let wanted = format!("{}:{tag}", bench.image());
        move |document: &Value| document["data"]["image"] == wanted
    };
    let map = super::config_map("app");
    bench.world.until(&map, "rolled out", rolled("1.0.2999")).await;
    assert_eq!(repository.file("main:deploy/app.yaml"), config_map(&format!("{}:1.0.2999", bench.image())));
    let log = repository.git(&["log", "-1", "--format=%an <%ae>%n%B", "main"]);
    assert_eq!(log.trim_end(), format!("Bot <bot@example.org>\nUpdate app\n\nold:1 -> {}:1.0.2999", bench.image()));
    // The next tag travels the same way; only the scan is asked for.
    bench.push("1.1.0");
    bench.reconcile(&scanned, "again").await;
    bench.world.until(&map, "rolled out again", rolled("1.1.0")).await;
    let document = bench.world.until(&automation, "at rest", |it| message(it) == "repository up-to-date").await;
    let head = repository.git(&["rev-parse", "main"]);
    bench.world.until(&automation, "pushed", |it| it["status"]["lastPushCommit"] == head.trim()).await;
    assert_eq!(document["status"]["observedPolicies"]["app"]["name"], bench.image());
    assert_eq!(repository.git(&["rev-list", "--count", "main"]).trim(), "3", "one commit for each change");
    let told = bench.world.events(&automation).await;
    assert!(
        told.iter().any(|event| event.contains("pushed commit '") && event.contains("to branch 'main'")),
        "{told:?}"
    );
    bench.world.until(&policy, "told", |it| message(it).contains("(previously")).await;
    bench.world.until_reason(&kustomization::KIND.id("default", "app"), "ReconciliationSucceeded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_is_what_the_run_then_pushes() {
    let bench = Bench::new(Shelf::default()).await;
    bench.push("2.0.0");
    let broken = "a: [ # {\"$imagepolicy\": \"default:app\"}\n";
    let other = "b: x # {\"$imagepolicy\": \"default:none\"}\n";
    let files = [
        ("deploy/app.yaml", config_map("old:1")),
        ("deploy/broken.yaml", broken.into()),
        ("deploy/other.yaml", other.into()),
    ];
    let literals: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let repository = bench.repository("fleet", &literals);
    bench.source(&repository.file_url(), json!({})).await;
    let (_, policy) = bench.scan(json!({}), json!({"policy": {"alphabetical": {"order": "asc"}}})).await;
    bench.world.until_reason(&policy, "Succeeded").await;
    let id = image_update_automation::KIND.id("default", "app");
    bench
        .put(
            "ImageUpdateAutomation",
            "app",
            json!({"interval": "10m", "suspend": true, "sourceRef": {"kind": "GitRepository", "name": "app"},
                "git": {"commit": {"author": {"email": "bot@example.org"}, "messageTemplate": "one\n\ntwo"},
                    "push": {"branch": "auto"}}}),
        )
        .await;
    let preview = reconcile::preview(&bench.world.cx, &id).await.unwrap();
    let about =
        |label: &str| preview.about.iter().find(|(name, _)| name.as_str() == label).map(|(_, text)| text.as_str());
    assert_eq!(about("Branch"), Some("auto, which will be made"));
    assert_eq!(about("Message"), Some("one"));
    assert_eq!(about("Parent"), Some(repository.git(&["rev-parse", "main"]).trim()));
    let notes: Vec<&str> = preview.notes.iter().map(Text::as_str).collect();
    assert!(
        notes.iter().any(|note| note.contains("broken.yaml")) && notes.iter().any(|note| note.contains("suspended"))
    );
    assert!(notes.iter().any(|note| note.contains("default:none")), "{notes:?}");
    assert_eq!(repository.git(&["branch", "--list", "auto"]), "", "a preview pushes nothing");
    bench.world.patch(&id, json!({"spec": {"suspend": null}})).await;
    bench.world.until(&id, "pushed", |it| it["status"]["lastPushCommit"].is_string()).await;
    let shown = repository.git(&["diff", "-U3", "main", "auto"]);
    let signed = |text: &str, sign: char| {
        text.lines()
            .filter(|line| line.starts_with(sign) && !line.starts_with("+++") && !line.starts_with("---"))
            .map(|line| line[1..].to_owned())
            .collect::<Vec<_>>()
    };
    let plain = preview.patch.plain();
    let previewed = |sign: &str| {
        plain
            .lines()
            .filter_map(|line| line.strip_prefix(sign))
            .map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!((signed(&shown, '+'), signed(&shown, '-')), (previewed("+"), previewed("-")), "{shown}\n{plain}");
    assert_eq!(repository.git(&["log", "-1", "--format=%B", "auto"]).trim_end(), "one\n\ntwo");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_go_well_is_a_clear_condition() {
    let bench = Bench::new(Shelf::default()).await;
    bench.push("2.0.0");
    let repository = bench.repository("fleet", &[("deploy/app.yaml", &config_map("old:1"))]);
    bench.source(&repository.file_url(), json!({})).await;
    let (scanned, policy) = bench.scan(json!({}), json!({"policy": {"semver": {"range": "latest"}}})).await;
    let document = bench.world.until_reason(&policy, "InvalidPolicy").await;
    assert!(message(&document).contains("latest"), "{}", message(&document));
    bench.scan(json!({}), json!({"policy": {"semver": {"range": ">=3"}}})).await;
    bench.world.until(&policy, "without a version", |it| message(it).contains("unable to determine latest")).await;
    bench.scan(json!({}), json!({"policy": {"semver": {"range": "2.x"}}, "digestReflectionPolicy": "Always"})).await;
    bench.world.until_reason(&policy, "IntervalNotConfigured").await;
    bench
        .scan(json!({}), json!({"policy": {"semver": {"range": "2.x"}}, "digestReflectionPolicy": "IfNotPresent"}))
        .await;
    let document = bench.world.until(&policy, "with digest", |it| message(it).contains("with digest sha256:")).await;
    assert!(document["status"]["latestRef"]["digest"].as_str().unwrap().starts_with("sha256:"));
    let automation =
        bench.automate(json!({"commit": {"messageTemplate": "{{ range .Updated.images }}{{ end }}"}})).await;
    let document = bench.world.until_reason(&automation, "RemovedTemplateField").await;
    assert!(message(&document).contains("Please use '.Changed' instead"), "{}", message(&document));
    bench.automate(json!({"checkout": {"ref": {"branch": "gone"}}})).await;
    let document = bench.world.until_reason(&automation, "GitOperationFailed").await;
    assert!(message(&document).contains("gone"), "{}", message(&document));
    bench.automate(json!({"commit": {"signingKey": {"secretRef": {"name": "key"}}}})).await;
    bench.world.until_reason(&automation, "InvalidSourceConfiguration").await;
    assert_eq!(repository.git(&["rev-list", "--count", "main"]).trim(), "1", "nothing was pushed");
    bench.scan(json!({"image": format!("https://{}", bench.image())}), json!({"policy": {"alphabetical": {}}})).await;
    bench.world.until_reason(&scanned, "ImageURLInvalid").await;
    bench.scan(json!({"exclusionList": ["("]}), json!({"policy": {"alphabetical": {}}})).await;
    let document = bench.world.until_reason(&scanned, "ReadOperationFailed").await;
    assert!(message(&document).contains("failed to compile regex"), "{}", message(&document));
    assert_eq!(reason(&document), "ReadOperationFailed=False");
    let busy =
        Web::start(|_| Told::new(429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow \u001b[2Jdown"}]}"#))
            .await;
    bench
        .scan(
            json!({"image": format!("{}/a", busy.url("").trim_start_matches("http://").trim_end_matches('/'))}),
            json!({"policy": {"alphabetical": {}}}),
        )
        .await;
    let document = bench.world.until(&scanned, "told off", |it| message(it).contains("429")).await;
    assert!(!message(&document).contains('\u{1b}') && message(&document).contains("TOOMANYREQUESTS"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_namespaces_get_in_only_where_they_are_let_in() {
    let bench = Bench::new(Shelf::default()).await;
    bench.push("2.0.0");
    bench.scan(json!({}), json!({"policy": {"alphabetical": {}}})).await;
    bench
        .world
        .put(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other", "labels": {"team": "shop"}}}),
        )
        .await;
    let policy = json!({"apiVersion": API, "kind": "ImagePolicy", "metadata": {"name": "app", "namespace": "other"},
        "spec": {"imageRepositoryRef": {"name": "app", "namespace": "default"}, "policy": {"alphabetical": {}}}});
    bench.world.put(policy).await;
    let id = image_policy::KIND.id("other", "app");
    bench.world.until_reason(&id, "AccessDenied").await;
    let selectors = |team: &str| json!({"accessFrom": {"namespaceSelectors": [{"matchLabels": {"team": team}}]}});
    bench.scan(selectors("web"), json!({"policy": {"alphabetical": {}}})).await;
    bench.reconcile(&id, "one").await;
    assert_eq!(reason(&bench.world.get(&id).await.unwrap()), "AccessDenied=False");
    bench.scan(selectors("shop"), json!({"policy": {"alphabetical": {}}})).await;
    bench.reconcile(&id, "two").await;
    bench.world.until_reason(&id, "Succeeded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn annotations_of_flux_v1_are_honoured_where_an_automation_asks_for_them() {
    let bench = Bench::new(Shelf::default()).await;
    for (tag, created) in
        [("main-1", "2026-01-01T00:00:00Z"), ("main-9", "2026-01-02T00:00:00Z"), ("main-3", "2026-01-03T00:00:00Z")]
    {
        bench.build(tag, created);
    }
    let image = bench.image();
    let deployment = |tag: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\n  annotations:\n    fluxcd.io/automated: \
             'true'\n    fluxcd.io/tag.app: glob:main-*\nspec:\n  template:\n    spec:\n      containers:\n      - name: \
             app\n        image: {image}:{tag} # newest\n      - name: other\n        image: ghcr.io/else:1\n"
        )
    };
    let repository = bench.repository("fleet", &[("deploy/app.yaml", &deployment("main-1"))]);
    bench.source(&repository.file_url(), json!({})).await;
    let (scanned, _) = bench.scan(json!({}), json!({"policy": {"alphabetical": {}}})).await;
    bench.world.until_reason(&scanned, "Succeeded").await;
    let id = bench.automate(json!({})).await;
    bench.world.until(&id, "at rest", |it| message(it) == "repository up-to-date").await;
    assert_eq!(repository.git(&["rev-list", "--count", "main"]), "1", "nobody asked for it");
    bench
        .world
        .patch(
            &id,
            json!({"spec": {"suspend": true},
        "metadata": {"annotations": {"weir.dev/flux-v1": "enabled"}}}),
        )
        .await;
    let preview = reconcile::preview(&bench.world.cx, &id).await.unwrap();
    let notes: Vec<&str> = preview.notes.iter().map(Text::as_str).collect();
    assert!(notes.iter().any(|note| note.contains("no ImageRepository scans ghcr.io/else")), "{notes:?}");
    bench.world.patch(&id, json!({"spec": {"suspend": null}})).await;
    bench.reconcile(&id, "now").await;
    bench.world.until(&id, "pushed", |it| it["status"]["lastPushCommit"].is_string()).await;
    assert_eq!(repository.file("main:deploy/app.yaml"), deployment("main-3"), "the newest, not the highest");
    let told = bench.world.get(&id).await.unwrap();
    assert!(preview.commit.unwrap().patch.contains("main-3"), "{told:#}");
    let asked = bench.web.asked().len();
    bench.reconcile(&id, "again").await;
    assert_eq!(bench.web.asked().len(), asked, "dates are asked for once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn build_dates_that_were_had_before_a_registry_was_weary_are_kept() {
    let mut bench = Bench::new(Shelf::default()).await;
    for number in 0..120 {
        bench.build(&format!("main-{number:03}"), &format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60));
    }
    let (shelf, is_weary) = (bench.shelf.clone(), Arc::new(AtomicBool::new(true)));
    let (weary, asked) = (Arc::clone(&is_weary), AtomicUsize::new(0));
    bench.web = Web::start(move |request| {
        let is_many = request.path.contains("/manifests/") && asked.fetch_add(1, Ordering::SeqCst) >= 110;
        match is_many && weary.load(Ordering::SeqCst) {
            true => Told::new(429, "{}").with("retry-after", "1200"),
            false => shelf.answer(request),
        }
    })
    .await;
    let deployment = |tag: &str| {
        format!(
            "kind: Deployment\nmetadata:\n  name: app\n  annotations: {{fluxcd.io/automated: 'true'}}\nspec:\n  template:\n    \
             spec:\n      containers:\n      - name: app\n        image: {}:{tag}\n",
            bench.image()
        )
    };
    let repository = bench.repository("fleet", &[("deploy/app.yaml", &deployment("main-000"))]);
    bench.source(&repository.file_url(), json!({})).await;
    let (scanned, _) = bench.scan(json!({}), json!({"policy": {"alphabetical": {}}})).await;
    bench.world.until_reason(&scanned, "Succeeded").await;
    let id = bench.automate(json!({})).await;
    bench.world.patch(&id, json!({"metadata": {"annotations": {"weir.dev/flux-v1": "enabled"}}})).await;
    bench.reconcile(&id, "weary").await;
    let known = bench.world.cx.tags.get("default", "app", &bench.image()).await.unwrap();
    assert!((50..120).contains(&known.created.len()), "{} dates", known.created.len());
    assert_eq!(repository.git(&["rev-list", "--count", "main"]), "1", "what is not known is not guessed");
    is_weary.store(false, Ordering::SeqCst);
    bench.reconcile(&id, "rested").await;
    assert_eq!(repository.file("main:deploy/app.yaml"), deployment("main-119"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_are_kept_and_not_listed_again_without_need() {
    let mut bench = Bench::new(Shelf::default()).await;
    bench.push("2.0.0");
    let (scanned, policy) = bench.scan(json!({}), json!({"policy": {"alphabetical": {}}})).await;
    bench.world.until_reason(&policy, "Succeeded").await;
    let asked = bench.web.asked().len();
    bench.world.stop().await;
    bench.world.start(crew());
    bench.reconcile(&policy, "restarted").await;
    bench.world.patch(&scanned, json!({"spec": {"timeout": "30s"}})).await;
    bench.world.until(&scanned, "seen", |it| it["status"]["observedGeneration"] == it["metadata"]["generation"]).await;
    assert_eq!(bench.web.asked().len(), asked, "the registry is left alone");
    bench.world.delete(&scanned).await;
    bench.world.until_gone(&scanned).await;
    assert!(bench.world.cx.tags.get("default", "app", &bench.image()).await.is_none());
    assert!(!bench.world.has(&git_repository::KIND.id("default", "app")).await);
}
