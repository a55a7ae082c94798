//! What every reconciler shares, seen through one whose answers are scripted.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use weir::base::{Condition, Id, Redactor};
use weir::embedded::{Effect, Fault};
use weir::kinds::{GitRepository, git_repository, meta};
use weir::reconcile::{Cause, Context, Crew, Failure, Next, Options, Reconciler, Run, Severity};

use super::{World, ready};

type Script = dyn Fn(u32, &GitRepository) -> Result<Next, Failure> + Send + Sync;

/// Answers as told; counts and times its runs.
#[derive(Clone)]
struct Scripted {
    script: Arc<Script>,
    runs: Arc<AtomicU32>,
    times: Arc<Mutex<Vec<tokio::time::Instant>>>,
    farewells: Arc<AtomicU32>,
    /// How long a run takes.
    work: Duration,
    at_once: Arc<AtomicU32>,
    most_at_once: Arc<AtomicU32>,
    /// What the run must not tell.
    hidden: Redactor,
}

impl Scripted {
    fn new(script: impl Fn(u32, &GitRepository) -> Result<Next, Failure> + Send + Sync + 'static) -> Self {
        Scripted {
            script: Arc::new(script),
            runs: Arc::default(),
            times: Arc::default(),
            farewells: Arc::default(),
            work: Duration::ZERO,
            at_once: Arc::default(),
            most_at_once: Arc::default(),
            hidden: Redactor::default(),
        }
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

impl Reconciler for Scripted {
    type Object = GitRepository;

    async fn reconcile(&self, _: &Context, object: &mut GitRepository, run: &mut Run) -> Result<Next, Failure> {
        let number = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        self.times.lock().unwrap().push(tokio::time::Instant::now());
        let together = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(together, Ordering::SeqCst);
        run.hide(&self.hidden);
        run.progress("working");
        tokio::time::sleep(self.work).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        run.ready("Succeeded", "all is well");
        if number == 1 {
            run.event(Severity::Info, "NewArtifact", "told once", &[("revision", "main@sha1:1")]).await;
        }
        (self.script)(number, object)
    }

    async fn finalize(&self, _: &Context, object: &mut GitRepository, _: &mut Run) -> Result<(), Failure> {
        let number = self.farewells.fetch_add(1, Ordering::SeqCst) + 1;
        if number == 1 && object.spec.url.ends_with("/sticky") {
            return Err(Failure::Retry(Cause::new("PruneFailed", "not yet")));
        }
        Ok(())
    }
}

fn repository(name: &str) -> Value {
    json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"url": "https://example.com/repo", "interval": "10m"}})
}

fn id(name: &str) -> Id {
    git_repository::KIND.id("default", name)
}

fn well() -> Result<Next, Failure> {
    Ok(Next::After(Duration::from_secs(600)))
}

fn condition(document: &Value, kind: &str) -> Option<Condition> {
    Condition::find(document, kind)
}

async fn world(reconciler: &Scripted) -> World {
    let mut world = World::new(Options::default()).await;
    world.start(Crew::default().with(reconciler.clone()));
    world
}

#[tokio::test]
async fn a_new_object_becomes_ready_with_one_status_write() {
    let reconciler = Scripted::new(|_, _| well());
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    let document = world.until_reason(&id("one"), "Succeeded").await;
    assert_eq!(document["metadata"]["finalizers"], json!([meta::FINALIZER]));
    assert_eq!(document["status"]["observedGeneration"], 1);
    let ready = ready(&document).unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.message.as_str(), ready.observed_generation),
        ("True", "all is well", Some(1))
    );
    assert_eq!(condition(&document, "Reconciling"), None);
    assert_eq!(world.status_writes(&id("one")), 1);
    assert_eq!(world.events(&id("one")).await, ["NewArtifact: told once"]);
    assert_eq!(reconciler.runs(), 1, "own writes wake nobody");
}

#[tokio::test]
async fn a_long_message_is_cut_and_leaves_no_half_of_a_secret() {
    // The secret lies across the place where conditions are cut, and across that where events are.
    let canary = "canary-é-".repeat(12);
    let words = move |bytes: usize| format!("{}{canary}{}", "x".repeat(bytes - 50), "y".repeat(20_000));
    let mut hiding = Scripted::new(move |number, _| {
        Err(Failure::Retry(Cause::new("Failed", words(if number == 1 { 20_000 } else { 1_024 }))))
    });
    hiding.hidden = Redactor::new(["canary-é-".repeat(12)]);
    let world = world(&hiding).await;
    world.put(repository("one")).await;
    let document = world.until_reason(&id("one"), "Failed").await;
    let message = ready(&document).unwrap().message;
    assert_eq!(message.len(), 20_000);
    assert!(message.contains("***") && !document.to_string().contains("canary"), "{}", &message[19_900..]);
    assert!(!world.events(&id("one")).await.iter().any(|event| event.contains("canary")));
}

#[tokio::test]
async fn a_check_that_finds_nothing_new_writes_nothing() {
    let reconciler = Scripted::new(|_, _| Ok(Next::After(Duration::from_millis(50))));
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    world.until_reason(&id("one"), "Succeeded").await;
    while reconciler.runs() < 5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.status_writes(&id("one")), 1);
}

#[tokio::test]
async fn a_request_is_answered_by_its_value() {
    let reconciler = Scripted::new(|_, _| well());
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    world.until_reason(&id("one"), "Succeeded").await;
    world.patch(&id("one"), json!({"metadata": {"annotations": {(meta::REQUESTED_AT): "now-1"}}})).await;
    let handled = |document: &Value| document["status"]["lastHandledReconcileAt"] == "now-1";
    world.until(&id("one"), "handled", handled).await;
    assert_eq!(reconciler.runs(), 2);
}

#[tokio::test]
async fn a_suspended_object_is_left_alone_until_it_is_resumed() {
    let reconciler = Scripted::new(|_, _| well());
    let world = world(&reconciler).await;
    let mut document = repository("one");
    document["spec"]["suspend"] = true.into();
    world.put(document).await;
    world.put(repository("other")).await;
    world.until_reason(&id("other"), "Succeeded").await;
    world.patch(&id("one"), json!({"metadata": {"annotations": {(meta::REQUESTED_AT): "now"}}})).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let document = world.get(&id("one")).await.unwrap();
    assert_eq!((&document["status"], &document["metadata"]["finalizers"]), (&Value::Null, &Value::Null));
    assert_eq!(reconciler.runs(), 1);
    world.patch(&id("one"), json!({"spec": {"suspend": false}})).await;
    world.until_reason(&id("one"), "Succeeded").await;
}

#[tokio::test]
async fn a_deleted_object_is_finalized_before_it_goes_even_when_suspended() {
    let reconciler = Scripted::new(|_, _| well());
    let world = world(&reconciler).await;
    let mut document = repository("one");
    document["spec"]["url"] = "https://example.com/sticky".into();
    world.put(document).await;
    world.until_reason(&id("one"), "Succeeded").await;
    world.patch(&id("one"), json!({"spec": {"suspend": true}})).await;
    world.delete(&id("one")).await;
    let document = world.until_reason(&id("one"), "PruneFailed").await;
    assert_eq!(document["metadata"]["finalizers"], json!([meta::FINALIZER]), "a failed farewell keeps the object");
    world.until_gone(&id("one")).await;
    assert_eq!(reconciler.farewells.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_panic_is_a_retry_and_nobody_else_notices() {
    let reconciler = Scripted::new(|number, object| {
        assert!(number > 1 || object.spec.url != "https://example.com/repo", "boom");
        well()
    });
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    let document = world.until_reason(&id("one"), "Failed").await;
    let ready = ready(&document).unwrap();
    assert!(ready.message.contains("internal error") && ready.message.contains("boom"), "{}", ready.message);
    assert_eq!(condition(&document, "Reconciling").unwrap().reason, "ProgressingWithRetry");
    assert_eq!(document["status"].get("observedGeneration"), None, "a failed generation is not observed");
    world.until_reason(&id("one"), "Succeeded").await;
}

#[tokio::test]
async fn what_is_stalled_waits_for_a_change_and_is_observed() {
    let reconciler = Scripted::new(|_, object| match object.spec.url.as_str() {
        "https://example.com/repo" => Err(Failure::Stalled(Cause::new("InvalidURL", "no such place"))),
        _ => well(),
    });
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    let document = world.until_reason(&id("one"), "InvalidURL").await;
    assert_eq!(condition(&document, "Stalled").unwrap().reason, "InvalidURL");
    assert_eq!(condition(&document, "Reconciling"), None);
    assert_eq!(document["status"]["observedGeneration"], 1);
    assert_eq!(world.events(&id("one")).await, ["NewArtifact: told once", "InvalidURL: no such place"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(reconciler.runs(), 1);
    world.patch(&id("one"), json!({"spec": {"url": "https://example.com/better"}})).await;
    let document = world.until_reason(&id("one"), "Succeeded").await;
    assert_eq!(condition(&document, "Stalled"), None);
    assert_eq!(document["status"]["observedGeneration"], 2);
}

#[tokio::test]
async fn transition_times_move_only_with_the_status() {
    let reconciler = Scripted::new(|number, _| match number {
        1 | 2 => Err(Failure::RetryAfter(
            Cause::new("BuildFailed", format!("attempt {number}")),
            Duration::from_millis(1100),
        )),
        _ => well(),
    });
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    let message =
        |wanted: &'static str| move |document: &Value| ready(document).is_some_and(|ready| ready.message == wanted);
    let first = world.until(&id("one"), "failed", message("attempt 1")).await;
    let second = world.until(&id("one"), "failed again", message("attempt 2")).await;
    let third = world.until(&id("one"), "well", message("all is well")).await;
    let time = |document: &Value| ready(document).unwrap().last_transition_time;
    assert_eq!(time(&first), time(&second));
    assert_ne!(time(&second), time(&third));
}

#[tokio::test]
async fn a_long_run_shows_its_progress_and_keeps_one_object_to_one_run() {
    let mut reconciler = Scripted::new(|_, _| well());
    reconciler.work = Duration::from_millis(900);
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    let document = world.until_reason(&id("one"), "Progressing").await;
    assert_eq!(ready(&document).unwrap().status, "Unknown");
    assert_eq!(condition(&document, "Reconciling").unwrap().message, "working");
    for number in 0..5 {
        world.patch(&id("one"), json!({"spec": {"url": format!("https://example.com/{number}")}})).await;
    }
    let observed = |document: &Value| document["status"]["observedGeneration"] == 6;
    let document = world.until(&id("one"), "observed", observed).await;
    assert_eq!(ready(&document).unwrap().reason, "Succeeded");
    assert_eq!((reconciler.runs(), reconciler.most_at_once.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test]
async fn workers_are_bounded() {
    let mut reconciler = Scripted::new(|_, _| well());
    reconciler.work = Duration::from_millis(30);
    let world = world(&reconciler).await;
    for number in 0..12 {
        world.put(repository(&format!("r{number}"))).await;
    }
    for number in 0..12 {
        world.until_reason(&id(&format!("r{number}")), "Succeeded").await;
    }
    assert_eq!(reconciler.most_at_once.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn own_writes_are_not_forgotten_while_the_watch_lags() {
    let reconciler = Scripted::new(|_, _| Ok(Next::After(Duration::from_millis(30))));
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    world.until_reason(&id("one"), "Succeeded").await;
    world.api.dial().lag(Duration::from_secs(3));
    world.patch(&id("one"), json!({"metadata": {"annotations": {(meta::REQUESTED_AT): "now"}}})).await;
    let before = world.status_writes(&id("one"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.status_writes(&id("one")), before, "an old picture makes no writes");
    let handled = |document: &Value| document["status"]["lastHandledReconcileAt"] == "now";
    world.until(&id("one"), "handled", handled).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.status_writes(&id("one")), before + 1, "the own write is not done again from an old picture");
}

#[tokio::test]
async fn a_status_that_cannot_be_written_is_tried_again() {
    let reconciler = Scripted::new(|_, _| well());
    let mut world = World::new(Options { min_retry: Duration::from_millis(20), ..Options::default() }).await;
    let fault = Fault {
        method: Some(http::Method::PATCH),
        path: "/one/status".into(),
        times: 2,
        effect: Effect::Refuse(503, "ServiceUnavailable", "not now".into()),
    };
    world.api.dial().fault(fault);
    world.start(Crew::default().with(reconciler.clone()));
    world.put(repository("one")).await;
    world.until_reason(&id("one"), "Succeeded").await;
    assert_eq!(reconciler.runs(), 3);
}

#[tokio::test]
async fn the_queue_tells_what_comes_next_and_why() {
    let reconciler = Scripted::new(|_, _| well());
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    world.until_reason(&id("one"), "Succeeded").await;
    let lines = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            let lines = world.running().queue().lines();
            if lines.first().is_some_and(|line| line.running.is_none() && line.due.is_some()) {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let lines = lines.await.unwrap();
    assert_eq!((lines.len(), &lines[0].id, lines[0].attempts), (1, &id("one"), 0));
    assert_eq!(lines[0].why.as_ref().unwrap().to_string(), "interval");
    let due = lines[0].due.unwrap().as_secs_f64();
    assert!((565.0..=630.0).contains(&due), "{due}");
}

#[tokio::test]
async fn repeated_failures_back_off_and_write_once() {
    let reconciler = Scripted::new(|_, _| Err(Failure::Retry(Cause::new("GitOperationFailed", "host down"))));
    let options =
        Options { min_retry: Duration::from_millis(20), max_retry: Duration::from_millis(320), ..Options::default() };
    let mut world = World::new(options).await;
    world.start(Crew::default().with(reconciler.clone()));
    world.put(repository("one")).await;
    world.until_reason(&id("one"), "GitOperationFailed").await;
    while reconciler.runs() < 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let times = reconciler.times.lock().unwrap().clone();
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, least) in pauses.iter().zip([20, 40, 80, 160, 320, 320, 320]) {
        assert!(*pause >= Duration::from_millis(least), "{pauses:?}");
    }
    assert_eq!(world.status_writes(&id("one")), 1, "the same failure is written once");
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_failures_backs_off_as_flux_does_and_writes_status_once() {
    let reconciler = Scripted::new(|_, _| Err(Failure::Retry(Cause::new("GitOperationFailed", "host down"))));
    let world = world(&reconciler).await;
    world.put(repository("one")).await;
    world.until_reason(&id("one"), "GitOperationFailed").await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let times = reconciler.times.lock().unwrap().clone();
    let pauses: Vec<u128> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis() / 50 * 50).collect();
    assert_eq!(pauses[..11], [750, 1500, 3000, 6000, 12000, 24000, 48000, 96000, 192_000, 384_000, 768_000]);
    assert!(pauses[11..].iter().all(|pause| *pause == 900_000), "{pauses:?}");
    assert_eq!(world.status_writes(&id("one")), 1);
}
