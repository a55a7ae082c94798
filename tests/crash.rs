//! Kill -9 in the middle of writes: nothing acknowledged is lost, and the store always opens again.
//!
//! The tests run themselves as the child that writes: [`child`] returns at once unless it is told where to write.
//! `WEIR_TEST_KILLS=1000` kills more often; `WEIR_TEST_SWEEP=1` fails every single system call instead of a sample.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use weir::embedded::{Embedded, Options};

const DATA: &str = "WEIR_TEST_CRASH_DATA";
const CYCLE: &str = "WEIR_TEST_CRASH_CYCLE";
/// Writes this one object, and ends.
const ONCE: &str = "WEIR_TEST_CRASH_ONCE";
const WRITERS: usize = 4;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn open(data: &Path) -> Embedded {
    let options = Options { data: Some(data.to_owned()), simulate: false, ..Options::default() };
    Embedded::open(options).await.unwrap_or_else(|error| panic!("the store does not open again: {error}"))
}

fn maps(embedded: &Embedded) -> Api<ConfigMap> {
    Api::namespaced(embedded.client(), "default")
}

/// Says on the standard output what is about to be done and what was acknowledged; the pipe survives the kill.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@{line}").and_then(|()| out.flush()).ok();
}

#[test]
fn child() {
    let (Ok(data), Ok(cycle)) = (std::env::var(DATA), std::env::var(CYCLE)) else { return };
    runtime().block_on(async {
        say("start");
        let embedded = open(Path::new(&data)).await;
        if let Ok(name) = std::env::var(ONCE) {
            let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
            match maps(&embedded).create(&PostParams::default(), &map).await {
                Ok(_) => say(&format!("created {name}")),
                Err(why) => say(&format!("refused {why}")),
            }
            embedded.close().await;
            return say("end");
        }
        let writers = (0..WRITERS).map(|writer| tokio::spawn(write_for_ever(maps(&embedded), cycle.clone(), writer)));
        futures::future::join_all(writers).await;
    });
}

async fn write_for_ever(maps: Api<ConfigMap>, cycle: String, writer: usize) {
    let text = "x".repeat(1024);
    for number in 0u64.. {
        let name = format!("c{cycle}-{writer}-{number}");
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": text}})).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
        say(&format!("created {name}"));
        let counter = format!("counter-{writer}");
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"at": format!("{cycle}.{number}")}});
        maps.patch(&counter, &PatchParams::apply("crash").force(), &Patch::Apply(&body)).await.unwrap();
        say(&format!("counted {writer} {cycle}.{number}"));
        if number % 3 == 2 {
            say(&format!("deleting {name}"));
            maps.delete(&name, &DeleteParams::default()).await.unwrap();
            say(&format!("deleted {name}"));
        }
    }
}

/// What the child said of itself until it was killed.
#[derive(Default)]
struct Said {
    created: BTreeSet<String>,
    deleting: BTreeSet<String>,
    deleted: BTreeSet<String>,
    counters: BTreeMap<String, (usize, u64)>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["created", name] => drop(self.created.insert(name.into())),
            ["deleting", name] => drop(self.deleting.insert(name.into())),
            ["deleted", name] => drop(self.deleted.insert(name.into())),
            ["counted", writer, at] => drop(self.counters.insert(writer.into(), moment(at))),
            _ => {}
        }
    }
}

fn moment(at: &str) -> (usize, u64) {
    let (cycle, number) = at.split_once('.').unwrap();
    (cycle.parse().unwrap(), number.parse().unwrap())
}

/// Runs the child, kills it `later` after it said so many lines, and answers everything that it said.
///
/// Lines, not time, measure a life: a loaded machine must not turn the test into one of idle children.
fn live_and_die(data: &Path, cycle: usize, lines: usize, later: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(DATA, data)
        .env(CYCLE, cycle.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (heard, hear) = std::sync::mpsc::channel();
    let hearing = std::thread::spawn(move || {
        for line in out.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some((_, line)) = line.rsplit_once('@') {
                heard.send(line.to_owned()).ok();
            }
        }
    });
    let mut said = Vec::new();
    while said.len() < lines {
        said.push(hear.recv_timeout(Duration::from_secs(60)).expect("the child says something within a minute"));
    }
    std::thread::sleep(later);
    child.kill().unwrap();
    child.wait().unwrap();
    hearing.join().unwrap();
    said.extend(hear.try_iter());
    said
}

#[test]
fn a_kill_loses_no_acknowledged_write() {
    let runtime = runtime();
    let root = tempfile::tempdir().unwrap();
    let mut data = root.path().join("store-0");
    let mut said = Said::default();
    let (mut writes, cycles) = (0, number("WEIR_TEST_KILLS", 60));
    for cycle in 0..cycles {
        // Every tenth life begins with a new store and is very short, so that its creation is hit too.
        let is_new = cycle % 10 == 0;
        if is_new {
            data = root.path().join(format!("store-{cycle}"));
            said = Said::default();
        }
        let lines = if is_new { 1 } else { rand::random_range(2..60) };
        let later = Duration::from_micros(rand::random_range(0..if is_new { 12_000 } else { 500 }));
        for line in live_and_die(&data, cycle, lines, later) {
            said.hear(&line);
            writes += 1;
        }
        runtime.block_on(check(&data, &said, cycle));
    }
    assert!(writes > 10 * cycles, "the children wrote next to nothing: {writes} lines");
    eprintln!("{cycles} kills, {writes} lines said");
}

/// Creates a store and writes one object while the n-th call of a sort fails or kills; answers what was said.
fn suffer(data: &Path, call: &str, fault: &str, at: usize) -> String {
    let child = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"])
        .arg(format!("inject={call}:{fault}:when={at}"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(DATA, data)
        .env(CYCLE, "0")
        .env(ONCE, "once")
        .stderr(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&child.stdout).into_owned()
}

/// Whether strace is here and may inject.
fn can_inject() -> bool {
    let probe =
        Command::new("strace").args(["-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"]).output();
    probe.is_ok_and(|output| output.status.success())
}

#[test]
fn no_system_call_that_fails_or_kills_costs_an_acknowledged_write() {
    if !can_inject() {
        return eprintln!("skipped: there is no strace that may inject faults");
    }
    let (runtime, stride) = (runtime(), number("WEIR_TEST_SWEEP", 9));
    let calls =
        ["pwrite64", "fdatasync", "fsync", "ftruncate", "?rename,?renameat,?renameat2", "openat", "?unlink,?unlinkat"];
    let (mut faults, mut met, mut kept) = (0, 0, 0);
    for call in calls {
        for fault in ["signal=KILL", "error=EIO", "error=ENOSPC"] {
            // Reading programs and libraries is not the store's; opening files is swept by killing alone.
            if call == "openat" && fault != "signal=KILL" {
                continue;
            }
            for at in (1..).step_by(stride) {
                let root = tempfile::tempdir().unwrap();
                let data = root.path().join("store");
                let said = suffer(&data, call, fault, at);
                faults += 1;
                let acknowledged = said.contains("@created once");
                let there = runtime.block_on(async {
                    let embedded = open(&data).await;
                    let there = maps(&embedded).get_opt("once").await.unwrap().is_some();
                    embedded.close().await;
                    there
                });
                assert!(there || !acknowledged, "{call} {fault} at {at}: acknowledged and lost");
                kept += usize::from(acknowledged);
                if acknowledged && said.contains("@end") {
                    break;
                }
                met += 1;
            }
        }
    }
    assert!(met > 0, "no fault was ever met");
    eprintln!("{faults} runs under faults, {met} of them disturbed, {kept} acknowledged and all of these kept");
}

async fn check(data: &Path, said: &Said, cycle: usize) {
    let embedded = open(data).await;
    let list = maps(&embedded).list(&ListParams::default()).await.unwrap();
    let found: BTreeMap<String, Option<BTreeMap<String, String>>> =
        list.items.into_iter().map(|map| (map.metadata.name.unwrap(), map.data)).collect();
    for name in said.created.difference(&said.deleting) {
        assert!(found.contains_key(name), "cycle {cycle}: {name} was acknowledged and is lost");
    }
    for name in &said.deleted {
        assert!(!found.contains_key(name), "cycle {cycle}: {name} was deleted and is back");
    }
    for (writer, at) in &said.counters {
        let kept = found.get(&format!("counter-{writer}")).and_then(|data| data.as_ref()?.get("at"));
        let kept = kept.map(|kept| moment(kept));
        assert!(
            kept.is_some_and(|kept| kept >= *at),
            "cycle {cycle}: counter {writer} went back from {at:?} to {kept:?}"
        );
    }
    embedded.close().await;
}
