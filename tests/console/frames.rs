//! What a person sees, at the sizes they have. Every snapshot is meant to be read.

use std::sync::Arc;

use regex::Regex;
use serde_json::{Value, json};
use weir::base::{Id, Stamp, Text};
use weir::config::{Depth, Settings};
use weir::console::run::render;
use weir::console::start::Script;
use weir::engine::diff::{self, Commit, Patch, Preview};
use weir::engine::policy::{Policy, Reasons, Rule};
use weir::store::{Feed, Level};
use weir::verbs::Foresight;

use super::fleet::{self, NOW};
use super::{Stage, live};

pub async fn snap(name: &str, stage: &Stage, keys: &str) {
    let frame = stage.after(keys).await;
    // Verbs read the clock of the machine.
    let frame = Regex::new(r"\((\d+[smhdy])+( ago)?\)").unwrap().replace_all(&frame, "(age)");
    let title = format!("{}x{} {keys}", stage.size.0, stage.size.1);
    insta::with_settings!({description => title, omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!(name, frame);
    });
}

#[tokio::test]
async fn the_tree_at_every_size() {
    snap("tree-80x24", &Stage::fleet().await, "").await;
    snap("tree-120x40", &Stage::fleet().await.sized(120, 40), "j<space>").await;
    snap("tree-40x12", &Stage::fleet().await.sized(40, 12), "").await;
    snap("tree-160x30", &Stage::fleet().await.sized(160, 30), "jjjj").await;
    snap("tree-20x5", &Stage::fleet().await.sized(20, 5), "j").await;
}

#[tokio::test]
async fn the_way_to_what_is_wrong() {
    let stage = Stage::fleet().await;
    snap("tree-root-cause", &stage, "jjjj").await;
    snap("tree-next-problem", &stage, "nnn").await;
    snap("tree-only-problems", &stage, "!").await;
    snap("tree-filter", &stage, "/web").await;
    snap("tree-nothing-matches", &stage, "/zebra<enter>").await;
}

#[tokio::test]
async fn lists_show_the_columns_of_their_kind() {
    snap("list-kustomizations-80x24", &Stage::fleet().await, "2").await;
    snap("list-kustomizations-by-status-120x40", &Stage::fleet().await.sized(120, 40), "2o").await;
    snap("list-deployments-80x24", &Stage::fleet().await, "6").await;
    snap("list-kustomizations-40x12", &Stage::fleet().await.sized(40, 12), "2G").await;
    snap("list-empty-80x24", &Stage::fleet().await, "7").await;
}

/// A preview with a created, a changed and a deleted object, and something that a person should know.
fn preview() -> Preview {
    let map = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "web"}, "data": data});
    let long = "https://example.com/a/long/way/to/somewhere?with=parameters&and=more-of-them&until=it-wraps-around";
    let before =
        [map("settings", json!({"host": "a.example.com", "port": "80", "url": long})), map("old", json!({"k": "v"}))];
    let settings = json!({"host": "b.example.com", "port": "80", "tls": "on", "url": long.replace("more", "less")});
    let after = [map("settings", settings), map("new", json!({"k": "v", "# hash": "yes"}))];
    Preview {
        about: vec![
            (Text::new("Source"), Text::new("GitRepository/flux-system/fleet")),
            (Text::new("Revision"), Text::new("main@sha1:0123456789abcdef0123456789abcdef01234567")),
        ],
        notes: vec![Text::new("Deployment/web/api: dry-run failed: spec.replicas: Invalid value: -1")],
        patch: diff::objects(&before, &after),
        commit: None,
    }
}

/// The preview of a commit, whose patch git takes.
fn commit() -> Preview {
    let (old, new) = ("image: app:1 # chosen\n", "image: app:2 # chosen\n");
    Preview {
        about: vec![
            (Text::new("Branch"), Text::new("main")),
            (Text::new("Policy"), Text::new("app chose app:2: semver 1.x over 3 tags")),
        ],
        notes: Vec::new(),
        patch: Patch { parts: diff::file("deploy/app.yaml", Some(old), Some(new)).into_iter().collect() },
        commit: Some(Commit {
            patch: diff::unified("deploy/app.yaml", old.as_bytes(), new.as_bytes()),
            ..Commit::default()
        }),
    }
}

/// An automation over the source of the fleet, its policy, and what it would push.
async fn with_images() -> Stage {
    let mut stage = Stage::fleet().await;
    let api = "image.toolkit.fluxcd.io/v1";
    let head = |name: &str| json!({"name": name, "namespace": "flux-system", "creationTimestamp": NOW, "uid": name});
    stage.desk.store.put(vec![
        json!({"apiVersion": api, "kind": "ImageRepository", "metadata": head("app"), "spec": {"image": "ghcr.io/app"}}),
        json!({"apiVersion": api, "kind": "ImagePolicy", "metadata": head("app"),
            "spec": {"imageRepositoryRef": {"name": "app"}},
            "status": {"latestRef": {"name": "ghcr.io/app", "tag": "1.2.0"},
                "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "chosen",
                    "lastTransitionTime": NOW}]}}),
        json!({"apiVersion": api, "kind": "ImageUpdateAutomation", "metadata": head("update"),
            "spec": {"sourceRef": {"kind": "GitRepository", "name": "fleet"}}}),
    ]);
    let preview = commit();
    stage.desk.foresight = Some(Arc::new(move |_| {
        let preview = preview.clone();
        Box::pin(async move { Ok(preview) })
    }));
    let tags = ["1.0.0", "1.2.0", "latest"].map(String::from);
    let policy = Policy { rule: Rule::semver("1.x").unwrap(), filter: None };
    let told = Reasons::of(&policy, "ghcr.io/app".into(), &tags);
    stage.desk.reasons = Some(Arc::new(move |_| {
        let told = told.clone();
        Box::pin(async move { Ok(told) })
    }));
    stage
}

#[tokio::test]
async fn images_hang_in_the_tree_and_show_what_they_would_push() {
    let stage = with_images().await;
    snap("images-tree", &stage, "/app<enter>").await;
    snap("images-diff", &stage, "/update<enter>D").await;
    snap("images-diff-from-the-source", &stage, "D").await;
    snap("images-tags", &stage, "/imagepolicy<enter>p").await;
}

#[tokio::test]
async fn what_would_change_is_seen_before_it_does() {
    let foresight = |preview: Preview| -> Foresight {
        Arc::new(move |_| {
            let preview = preview.clone();
            Box::pin(async move { Ok(preview) })
        })
    };
    let mut stage = Stage::fleet().await;
    snap("diff-refused", &stage, "jjjjjD").await;
    snap("diff-not-offered", &stage, "D").await;
    stage.desk.foresight = Some(foresight(Preview::default()));
    snap("diff-nothing", &stage, "jjjjjD").await;
    stage.desk.foresight = Some(foresight(preview()));
    snap("diff-80x24", &stage, "jjjjjD").await;
    snap("diff-before-resume", &stage, "jjju").await;
    snap("diff-search", &stage, "jjjjjD/tls<enter>").await;
    snap("diff-side-by-side", &stage.sized(160, 36), "jjjjjD").await;
}

#[tokio::test]
async fn an_object_page_by_page() {
    let stage = Stage::fleet().await;
    snap("detail-describe", &stage, "jjjjjd").await;
    snap("detail-yaml", &stage, "jjjjjy").await;
    snap("detail-yaml-search", &stage, "jjjjjy/ready<enter>n").await;
    snap("detail-conditions", &stage, "jjjjji").await;
    let id = Id::new("kustomize.toolkit.fluxcd.io", "Kustomization", "flux-system", "shop");
    let at: Stamp = NOW.parse().unwrap();
    stage.desk.activity.push(at, Level::Info, Some(id.clone()), Text::new("fetched main@sha1:9f86d081"));
    stage.desk.activity.push(at, Level::Error, Some(id), Text::new("build failed: no such file or directory"));
    stage.desk.activity.push(at, Level::Info, None, Text::new("watching 9 kinds"));
    snap("detail-logs", &stage, "jjjjjl").await;
    snap("activity", &stage, "L").await;
    snap("detail-secret", &stage, "jj<right><right>jjy").await;
    snap("detail-40x12", &Stage::fleet().await.sized(40, 12), "jjjjji").await;
}

#[tokio::test]
async fn dialogs_say_what_they_will_do() {
    let stage = Stage::fleet().await;
    snap("confirm-prune", &stage, "jj<ctrl-d>").await;
    snap("confirm-typed", &stage, "jj<ctrl-d>infra").await;
    snap("confirm-wrong-name", &stage, "jj<ctrl-d>inf<enter>").await;
    snap("confirm-40x12", &Stage::fleet().await.sized(40, 12), "j<ctrl-d>").await;
    snap("confirm-suspended", &stage, "jjj<ctrl-d>").await;
    snap("palette", &stage, ":").await;
    snap("palette-found", &stage, ":shop").await;
    snap("quit-asks-once-more", &stage, "q").await;
}

#[tokio::test]
async fn help_reads_the_live_keymap() {
    snap("help-tree", &Stage::fleet().await.sized(100, 70), "?").await;
    let mut vim = Stage::fleet().await;
    vim.options.settings = Settings { keymap: "vim".into(), ..Settings::default() };
    snap("vim-half-typed", &vim, "z").await;
    snap("help-vim", &vim, "?").await;
}

#[tokio::test]
async fn what_cannot_be_seen_is_said_in_words() {
    let stage = Stage::fleet().await;
    let since = "2026-03-01T11:55:00Z".parse().unwrap();
    let lost = Feed::Stale { since, why: Text::new("connection refused (10.1.2.3:6443)") };
    stage.desk.store.set_feed("source.toolkit.fluxcd.io", "GitRepository", lost.clone());
    stage.desk.store.set_feed("", "Event", Feed::Denied(Text::new("events is forbidden: user \"me\" cannot list")));
    snap("banner-stale-and-denied", &stage, "").await;
    snap("list-denied", &stage, "9").await;
    snap("stale-takes-no-verb", &stage, "r").await;

    let empty = Stage::with(Vec::new()).await;
    snap("empty-live", &empty, "").await;
    for kind in weir::kinds::ALL {
        empty.desk.store.set_feed(kind.group, kind.kind, lost.clone());
    }
    snap("empty-unreachable", &empty, "").await;
    let loading = Stage::with(Vec::new()).await;
    for kind in weir::kinds::ALL {
        loading.desk.store.set_feed(kind.group, kind.kind, Feed::Loading);
    }
    snap("empty-loading", &loading, "").await;
}

#[tokio::test]
async fn verbs_that_mean_nothing_are_refused_with_what_does() {
    let mut stage = Stage::fleet().await;
    snap("verb-not-offered", &stage, "jj<right><right>r").await;
    stage.options.settings.read_only = true;
    snap("verb-read-only", &stage, "jr").await;
}

#[tokio::test]
async fn roles_and_not_colours_are_drawn() {
    let stage = Stage::fleet().await;
    let script = Script { width: 80, height: 24, keys: "jjjj".into(), roles: true };
    let frame = render(stage.desk.clone(), stage.options.clone(), &script).await.unwrap();
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("roles-tree", frame);
    });
    let script = Script { keys: "jjjjjy".into(), ..script };
    let frame = render(stage.desk.clone(), stage.options.clone(), &script).await.unwrap();
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("roles-yaml", frame);
    });
}

#[tokio::test]
async fn colour_never_carries_meaning_alone() {
    let mut stage = Stage::fleet().await.sized(100, 30);
    let coloured = stage.after("!").await;
    stage.options.depth = Some(Depth::None);
    assert_eq!(stage.after("!").await, coloured);
    for word in ["✗ Failed", "? Missing", "? Unknown", "… Waiting"] {
        assert!(coloured.contains(word), "{word} in\n{coloured}");
    }
}

/// Names and messages in every script keep the columns where they are.
#[tokio::test]
async fn text_of_all_scripts_keeps_the_columns() {
    let names = ["日本語の名前", "مرحبا", "naïve-é", "👩‍🚀-rocket", "a\u{301}\u{302}\u{303}\u{304}\u{305}x", "plain"];
    let objects = names.iter().enumerate().map(|(index, name)| {
        let mut object = fleet::source(name, "main@sha1:9f86d081", fleet::condition("Ready", "False", "Failed", name));
        object["metadata"]["uid"] = json!(format!("{index}"));
        object
    });
    let stage = Stage::with(objects.collect()).await;
    snap("list-scripts", &stage, "1").await;
    stage.desk.store.set_feed("", "Pod", live());
}
