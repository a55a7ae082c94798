//! Kill -9 at any write in the life of a release: who comes after goes on, and it ends as if nothing had happened.
//!
//! The tests run themselves as the child that reconciles, on a store on disk. The child counts what its reconcilers
//! write and kills itself before or after the write that it was told; a second life, or a third, comes to the end. The
//! end is compared with that of a life without a kill: objects, records, history, counters, conditions, and that no hook
//! ran twice. `WEIR_TEST_RELEASE_KILLS` is how many deaths are tried, or `all` for every write, before and after.
//! `WEIR_TEST_RELEASE_STAGE` picks one stage.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::client::Body;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tower::Service as _;
use weir::base::{Condition, Id};
use weir::cluster::{Cluster, Place};
use weir::embedded::{self, Embedded};
use weir::engine::release::{Record, TEST};
use weir::kinds::{self, helm_release};
use weir::reconcile::{Context, Crew, HelmReleases, Options};
use weir::store::{self, Store};

use super::helm_release::{job, publish, release};
use super::{World, put};

const ROOT: &str = "WEIR_TEST_RELEASE_ROOT";
const STAGE: &str = "WEIR_TEST_RELEASE_LIFE";
/// `before:N` or `after:N`: where the child dies.
const DEATH: &str = "WEIR_TEST_RELEASE_DEATH";

/// What a person does, from which state, and how it is to end.
struct Stage {
    name: &'static str,
    /// The stage whose end this begins with.
    from: Option<&'static str>,
    /// `None` deletes the release.
    values: Option<fn() -> Value>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Ready,
    Stalled,
    Gone,
}

const STAGES: &[Stage] = &[
    Stage { name: "install", from: None, values: Some(|| json!({"value": "one", "extra": true})), end: End::Ready },
    Stage { name: "upgrade", from: Some("install"), values: Some(|| json!({"value": "two"})), end: End::Ready },
    Stage {
        name: "rollback",
        from: Some("upgrade"),
        values: Some(|| json!({"value": "three", "extra": true, "fail": "hook"})),
        end: End::Stalled,
    },
    Stage {
        name: "failing-test",
        from: Some("upgrade"),
        values: Some(|| json!({"value": "four", "fail": "test"})),
        end: End::Stalled,
    },
    Stage {
        name: "failing-install",
        from: None,
        values: Some(|| json!({"value": "five", "fail": "hook"})),
        end: End::Stalled,
    },
    Stage { name: "uninstall", from: Some("upgrade"), values: None, end: End::Gone },
];

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  value: {{ .Values.value \
                   | quote }}\n---\n{{ if .Values.extra }}\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \
                   extra\n{{ end }}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: \
                   {{ .Release.Name }}\nspec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: \
                   {a: b}, annotations: {value: {{ .Values.value }}}}\n    spec:\n      containers: [{name: c, image: \
                   i}]\n";

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: \
                          things.example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {kind: Thing, \
                          plural: things, singular: thing, listKind: ThingList}\n  versions:\n  - name: v1\n    served: \
                          true\n    storage: true\n    schema: {openAPIV3Schema: {type: object}}\n";

fn templates() -> Vec<(String, String)> {
    let fate = "{{ if eq (default \"\" .Values.fail) \"hook\" }}fail{{ else }}ready{{ end }}";
    let tested = "{{ if eq (default \"\" .Values.fail) \"test\" }}fail{{ else }}ready{{ end }}";
    let mut all = vec![("map".to_owned(), MAP.to_owned()), ("check".to_owned(), job("check", TEST, tested))];
    for action in ["install", "upgrade", "rollback", "delete"] {
        let (before, after) = (format!("pre-{action}"), format!("post-{action}"));
        all.push((before.clone(), job(&before, &before, "ready")));
        let fate = if matches!(action, "install" | "upgrade") { fate } else { "ready" };
        let policies = "before-hook-creation,hook-succeeded";
        all.push((after.clone(), job(&after, &after, fate).replace("before-hook-creation", policies)));
    }
    let mut files: Vec<(String, String)> =
        all.into_iter().map(|(name, text)| (format!("templates/{name}.yaml"), text)).collect();
    files.push(("crds/thing.yaml".into(), DEFINITION.into()));
    files
}

fn options() -> Options {
    Options { min_retry: Duration::from_millis(50), ..Options::default() }
}

fn hr() -> Id {
    helm_release::KIND.id("default", "web")
}

/// Counts the writes of the reconcilers and dies at one of them.
struct Death {
    count: AtomicUsize,
    /// The write, and whether it is carried out first.
    at: Option<(usize, bool)>,
}

impl Death {
    fn of(text: Option<&str>) -> Death {
        let at = text.map(|text| {
            let (when, number) = text.split_once(':').unwrap();
            (number.parse().unwrap(), when == "after")
        });
        Death { count: AtomicUsize::new(0), at }
    }

    fn meet(&self, number: usize, done: bool) {
        if self.at == Some((number, done)) {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
            loop {
                std::thread::park();
            }
        }
    }
}

/// A client whose writes count.
fn mortal(api: &Embedded, death: Arc<Death>) -> kube::Client {
    let api = api.service();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (mut api, death) = (api.clone(), death.clone());
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_write = request.method() != http::Method::GET && !query.contains("dryRun") && !path.contains("/events");
        let what = format!("{} {path}", request.method());
        async move {
            if !is_write {
                return api.call(request).await;
            }
            let number = death.count.fetch_add(1, Ordering::SeqCst);
            death.meet(number, false);
            let answer = api.call(request).await;
            if answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
                say(&format!("did {what}"));
            }
            death.meet(number, true);
            answer
        }
    });
    kube::Client::new(service, "default")
}

/// Says a line on the standard output; the pipe survives the kill.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n@{line}").and_then(|()| out.flush()).ok();
}

/// Opens a world on disk whose reconcilers can die.
async fn world(root: &Path, death: Death) -> World {
    if std::env::var("WEIR_TEST_LOG").is_ok() {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(std::io::stderr).try_init().ok();
    }
    let options_of_api = embedded::Options { data: Some(root.join("store")), ..embedded::Options::default() };
    let api = Embedded::open(options_of_api).await.unwrap();
    let place = || Place::Embedded { data: None, address: None };
    let cluster = Cluster::over(api.client(), place());
    for kind in kinds::reconciled() {
        put(&cluster, &(kind.custom.as_ref().unwrap().crd)()).await;
        while cluster.find_api(kind.group, kind.kind, Some(kind.version)).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let theirs = Cluster::over(mortal(&api, Arc::new(death)), place());
    let store = Store::new();
    let watching = store::watch::start(&theirs, &store, store::watch::Scope::default());
    let cx = Context::open(theirs, store, options(), &root.join("artifacts")).await.unwrap();
    World { api, cluster, cx, files: tempfile::tempdir().unwrap(), running: None, _watching: watching }
}

/// One life: does what the stage says, reconciles until its end, and tells how everything is then.
#[test]
fn child() {
    let (Ok(root), Ok(stage)) = (std::env::var(ROOT), std::env::var(STAGE)) else { return };
    let stage = STAGES.iter().find(|known| known.name == stage).unwrap();
    let death = Death::of(std::env::var(DEATH).ok().as_deref());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = world(Path::new(&root), death).await;
        act(&world, stage).await;
        world.start(Crew::default().with(HelmReleases));
        wait(&world, stage).await;
        world.stop().await;
        say(&format!("end {}", describe(&world).await));
        world.api.close().await;
    });
}

/// What the person does; doing it again changes nothing.
async fn act(world: &World, stage: &Stage) {
    let Some(values) = stage.values else {
        if world.has(&hr()).await {
            world.delete(&hr()).await;
        }
        return;
    };
    let files = templates();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    publish(world, "chart", "1.0.0", &files).await;
    let remedy = |retries: i64| json!({"retries": retries, "remediateLastFailure": true});
    let spec = json!({"values": values(), "timeout": "30s", "targetNamespace": "apps", "maxHistory": 2,
        "test": {"enable": true}, "install": {"createNamespace": true, "remediation": remedy(1)},
        "upgrade": {"remediation": remedy(0)}});
    world.put(release("web", spec)).await;
}

async fn wait(world: &World, stage: &Stage) {
    if stage.end == End::Gone {
        return world.until_gone(&hr()).await;
    }
    let wanted = |document: &Value| {
        let is = |kind: &str| Condition::find(document, kind).is_some_and(|found| found.status == "True");
        let is_seen = document["status"]["observedGeneration"] == document["metadata"]["generation"];
        is_seen && if stage.end == End::Ready { is("Ready") } else { is("Stalled") }
    };
    world.until(&hr(), "at the end of the stage", wanted).await;
}

/// Everything that must be the same after any number of deaths.
async fn describe(world: &World) -> Value {
    let mut objects = BTreeMap::new();
    for (group, kind) in [
        ("", "ConfigMap"),
        ("apps", "Deployment"),
        ("batch", "Job"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ] {
        let api = kinds::of(group, kind).api();
        for object in world.cluster.list(&api, None, None).await.unwrap() {
            let id = Id::of(&object).unwrap();
            if &*id.namespace == "apps" || id.name.contains("example.com") {
                let metadata = &object["metadata"];
                let is = json!([object["data"], object["spec"], metadata["labels"], metadata["annotations"]]);
                let is = if kind == "Job" { Value::Null } else { is };
                objects.insert(id.to_string(), is);
            }
        }
    }
    let secrets =
        world.cluster.list(&kinds::of("", "Secret").api(), Some("default"), Some("owner=helm")).await.unwrap();
    let mut records: Vec<Record> = secrets.iter().map(|secret| Record::from_secret(secret).unwrap()).collect();
    records.sort_by_key(|record| record.version);
    let record = |record: &Record| {
        let hooks: BTreeMap<&str, &str> =
            record.hooks.iter().map(|hook| (hook.name.as_str(), hook.last_run.phase.as_str())).collect();
        json!([record.version, record.info.status.word(), record.info.rollback_revision, record.config, hooks])
    };
    let records: Vec<Value> = records.iter().map(record).collect();
    json!({"objects": objects, "records": records, "release": world.get(&hr()).await.map(|it| described(&it))})
}

/// The status of the release without its times.
fn described(document: &Value) -> Value {
    let mut status = document["status"].clone();
    let fields = status.as_object_mut().unwrap();
    for volatile in ["lastAttemptedReleaseActionDuration", "conditions", "history"] {
        fields.remove(volatile);
    }
    let conditions: BTreeMap<String, String> = Condition::all(document)
        .into_iter()
        .map(|condition| (condition.kind, format!("{}/{}", condition.status, condition.reason)))
        .collect();
    let history = document["status"]["history"].as_array().cloned().unwrap_or_default();
    let snapshot = |snapshot: &Value| {
        let tests: BTreeMap<String, Value> = snapshot["testHooks"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, hook)| (name.clone(), hook["phase"].clone()))
            .collect();
        json!([snapshot["version"], snapshot["status"], snapshot["action"], snapshot["configDigest"], tests])
    };
    let history: Vec<Value> = history.iter().map(snapshot).collect();
    json!({"status": status, "conditions": conditions, "history": history})
}

/// What a child said.
#[derive(Default)]
struct Said {
    writes: Vec<String>,
    end: Option<Value>,
}

fn live(root: &Path, stage: &str, death: Option<&str>) -> Result<Said, String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "reconcile::kills::child", "--nocapture", "--test-threads=1"])
        .env(ROOT, root)
        .env(STAGE, stage)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(death) = death {
        command.env(DEATH, death);
    }
    let mut child = command.spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || std::io::read_to_string(errors).unwrap_or_default());
    let mut said = Said::default();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("@did", what)) => said.writes.push(what.to_owned()),
            Some(("@end", end)) => said.end = Some(serde_json::from_str(end).unwrap()),
            _ => {}
        }
    }
    let status = child.wait().unwrap();
    let errors = errors.join().unwrap();
    if said.end.is_some() || status.code().is_none() {
        return Ok(said);
    }
    Err(format!("{stage}, death {death:?}: the child failed: {errors}"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// How often the Jobs of hooks were deleted to run again; tests may be repeated.
fn repeated(writes: &[String]) -> usize {
    writes.iter().filter(|what| what.starts_with("DELETE") && what.contains("/jobs/p")).count()
}

#[test]
fn a_kill_at_any_write_changes_nothing_about_how_a_release_ends() {
    let wanted = std::env::var("WEIR_TEST_RELEASE_KILLS").unwrap_or_else(|_| "6".into());
    let only = std::env::var("WEIR_TEST_RELEASE_STAGE").ok();
    let seed = std::env::var("WEIR_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut undisturbed: BTreeMap<&str, Said> = BTreeMap::new();
    let mut deaths: Vec<(&Stage, usize, bool)> = Vec::new();
    for stage in STAGES {
        let root = folder.path().join(stage.name);
        std::fs::create_dir_all(&root).unwrap();
        if let Some(from) = stage.from {
            copy(&folder.path().join(from), &root);
        }
        let said = live(&root, stage.name, None).unwrap();
        eprintln!("{}: {} writes", stage.name, said.writes.len());
        for at in 0..said.writes.len() {
            deaths.extend([(stage, at, false), (stage, at, true)]);
        }
        undisturbed.insert(stage.name, said);
    }
    deaths.retain(|(stage, ..)| only.as_ref().is_none_or(|only| only == stage.name));
    if let Ok(count) = wanted.parse::<usize>() {
        deaths = (0..count).map(|_| deaths[random.random_range(0..deaths.len())]).collect();
    }
    let mut wrong = Vec::new();
    for (number, (stage, at, done)) in deaths.iter().enumerate() {
        if number % 20 == 0 {
            eprintln!("{number} of {} deaths", deaths.len());
        }
        if let Err(why) = die(folder.path(), stage, *at, *done, &undisturbed[stage.name], &mut random) {
            eprintln!("{why}");
            wrong.push(why);
        }
    }
    assert!(wrong.is_empty(), "seed {seed}: {} of {} deaths changed the end: {wrong:#?}", wrong.len(), deaths.len());
    eprintln!("{} deaths in {} stages ended as without", deaths.len(), undisturbed.len());
}

/// Dies at a write, perhaps again in the next life, and then lives to the end.
fn die(
    folder: &Path,
    stage: &Stage,
    at: usize,
    done: bool,
    undisturbed: &Said,
    random: &mut rand::rngs::StdRng,
) -> Result<(), String> {
    let root = tempfile::tempdir_in(folder).unwrap();
    if let Some(from) = stage.from {
        copy(&folder.join(from), root.path());
    }
    let word = |done: bool| if done { "after" } else { "before" };
    let mut plan = vec![format!("{}:{at}", word(done))];
    if random.random_ratio(1, 3) {
        let rest = undisturbed.writes.len().saturating_sub(at).max(1);
        plan.push(format!("{}:{}", word(random.random()), random.random_range(0..rest)));
    }
    let (mut writes, mut end) = (Vec::new(), None);
    for death in plan.iter().map(Some).chain([None]) {
        let said = live(root.path(), stage.name, death.map(String::as_str))?;
        writes.extend(said.writes);
        if said.end.is_some() {
            end = said.end;
            break;
        }
    }
    let about = format!("{}, {plan:?} ({:?})", stage.name, undisturbed.writes.get(at));
    let (expected, found) = (undisturbed.end.as_ref().unwrap(), end.unwrap());
    if found != *expected {
        return Err(format!("{about}: ended otherwise: {}", difference("", expected, &found).join("; ")));
    }
    if repeated(&writes) > repeated(&undisturbed.writes) {
        return Err(format!("{about}: a hook ran twice: {writes:#?}"));
    }
    Ok(())
}

/// Where two documents differ.
fn difference(path: &str, a: &Value, b: &Value) -> Vec<String> {
    match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let null = Value::Null;
            keys.into_iter()
                .flat_map(|key| {
                    difference(&format!("{path}/{key}"), a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null))
                })
                .collect()
        }
        _ if a == b => Vec::new(),
        _ => vec![format!("{path}: {a} became {b}")],
    }
}
