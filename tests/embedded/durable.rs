//! What was acknowledged is there after a drop, a kill and a failed disk; two processes never share a store.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use weir::embedded::{Embedded, OpenError, Options};

fn options(dir: &Path) -> Options {
    Options { data: Some(dir.to_path_buf()), simulate: false, ..Options::default() }
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"v": "x".repeat(500)}})).unwrap()
}

#[tokio::test]
async fn everything_is_there_after_opening_again_and_revisions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::open(options(dir.path())).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(first.client());
    let made = api.create(&PostParams::default(), &map("a")).await.unwrap();
    drop(api);
    first.close().await;
    let second = Embedded::open(options(dir.path())).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(second.client());
    let found = api.get("a").await.unwrap();
    assert_eq!(found, made);
    let next = api.create(&PostParams::default(), &map("b")).await.unwrap();
    let number = |m: &ConfigMap| m.metadata.resource_version.as_ref().unwrap().parse::<u64>().unwrap();
    assert!(number(&next) > number(&made));
    // What happened before the restart is forgotten, and said to be.
    let since = number(&made) - 1;
    let refused = api.watch(&Default::default(), &since.to_string()).await;
    let events: Vec<_> = futures::StreamExt::collect(refused.unwrap()).await;
    assert!(format!("{events:?}").contains("Expired"), "{events:?}");
}

#[tokio::test]
async fn many_writers_share_syncs_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::open(options(dir.path())).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(first.client());
    let writes = (0..200).map(|n| {
        let api = api.clone();
        tokio::spawn(async move { api.create(&PostParams::default(), &map(&format!("m{n}"))).await.unwrap() })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap();
    }
    drop(api);
    first.close().await;
    let second = Embedded::open(options(dir.path())).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(second.client());
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 201);
}

#[tokio::test]
async fn a_second_opening_is_refused_with_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::open(options(dir.path())).await.unwrap();
    let served = first.serve("127.0.0.1:0".parse().unwrap(), weir::embedded::Access::fresh()).await.unwrap();
    let Err(OpenError::Locked { holder, .. }) = Embedded::open(options(dir.path())).await else {
        panic!("it was opened twice")
    };
    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    assert!(holder.contains(&served.address.to_string()), "{holder}");
    served.stop().await;
    first.close().await;
    Embedded::open(options(dir.path())).await.expect("it is free again");
}

#[tokio::test]
async fn a_store_that_is_no_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    for content in [&b""[..], b"not a database", &[0; 70_000]] {
        std::fs::write(&path, content).unwrap();
        let Err(error @ OpenError::Corrupt { .. }) = Embedded::open(options(dir.path())).await else {
            panic!("{} bytes of nonsense were opened", content.len())
        };
        assert!(error.to_string().contains("move it away"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn an_interrupted_creation_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("state.redb.new"), [0; 5000]).unwrap();
    let embedded = Embedded::open(options(dir.path())).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(embedded.client());
    api.create(&PostParams::default(), &map("a")).await.unwrap();
    assert!(!dir.path().join("state.redb.new").exists());
}

/// The child of the kill test: writes for ever, and says what was acknowledged.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var("WEIR_TEST_CHILD_DIR") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let embedded = Embedded::open(options(Path::new(&dir))).await.unwrap();
        let api: Api<ConfigMap> = Api::default_namespaced(embedded.client());
        let round = std::env::var("WEIR_TEST_CHILD_ROUND").unwrap();
        let writers = (0..4).map(|writer| {
            let (api, round) = (api.clone(), round.clone());
            tokio::spawn(async move {
                let name = format!("w{writer}");
                for n in 0.. {
                    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": format!("{round}.{n}")}});
                    api.patch(&name, &PatchParams::apply("child"), &Patch::Apply(body)).await.unwrap();
                    let line = format!("ack {name} {round}.{n}\n");
                    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).unwrap();
                }
            })
        });
        futures::future::join_all(writers.collect::<Vec<_>>()).await;
    });
}

fn kill_rounds() -> usize {
    std::env::var("WEIR_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = std::collections::BTreeMap::<String, (usize, u64)>::new();
    let number = |text: &str| {
        text.split_once('.').map(|(r, n)| (r.parse::<usize>().unwrap(), n.parse::<u64>().unwrap())).unwrap()
    };
    for round in 0..kill_rounds() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["embedded::durable::child_that_writes_until_it_is_killed", "--exact", "--nocapture"])
            .env("WEIR_TEST_CHILD_DIR", dir.path())
            .env("WEIR_TEST_CHILD_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A different moment each round: before, in and after some commits.
        let stop_after = (round * 7) % 40;
        let mut seen = 0;
        let mut take = |line: String, seen: &mut usize| {
            if let Some((name, value)) = line.split("ack ").nth(1).and_then(|rest| rest.split_once(' ')) {
                *seen += 1;
                acknowledged.insert(name.to_string(), number(value.trim()));
            }
        };
        while seen < stop_after {
            let Some(Ok(line)) = lines.next() else { break };
            take(line, &mut seen);
        }
        if stop_after == 0 {
            std::thread::sleep(std::time::Duration::from_millis((round as u64 * 13) % 60));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it managed to say before it died counts too; its last line may be torn.
        for line in lines.map_while(Result::ok) {
            if line.split("ack ").nth(1).is_some_and(|rest| rest.contains('.'))
                && line.ends_with(|c: char| c.is_ascii_digit())
            {
                take(line, &mut seen);
            }
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let embedded = Embedded::open(options(dir.path())).await.unwrap_or_else(|e| panic!("round {round}: {e}"));
            let api: Api<ConfigMap> = Api::default_namespaced(embedded.client());
            for (name, promised) in &acknowledged {
                let found = api.get(name).await.unwrap_or_else(|e| panic!("round {round}: {name}: {e}"));
                let value = found.data.unwrap()["n"].clone();
                assert!(
                    number(&value) >= *promised,
                    "round {round}: {name} is {value}, and {promised:?} was acknowledged"
                );
            }
            embedded.close().await;
        });
    }
    assert!(!acknowledged.is_empty(), "the child never wrote");
}

/// A real full disk: `WEIR_TEST_SMALL_DISK` names a directory on a file system of a few megabytes.
#[tokio::test]
async fn a_full_disk_is_told_and_forgotten_when_there_is_room_again() {
    let Ok(disk) = std::env::var("WEIR_TEST_SMALL_DISK") else {
        return eprintln!("skipped: WEIR_TEST_SMALL_DISK names no directory on a small file system");
    };
    let (data, ballast) = (Path::new(&disk).join("store"), Path::new(&disk).join("ballast"));
    let embedded = Embedded::open(options(&data)).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(embedded.client());
    api.create(&PostParams::default(), &map("first")).await.unwrap();
    let refusal = loop {
        // What is left is taken by others, a little at a time, so that the store meets the end in every phase.
        let more = std::fs::OpenOptions::new().create(true).append(true).open(&ballast);
        let _ = more.and_then(|mut file| std::io::Write::write_all(&mut file, &[0; 65_536]));
        let body =
            serde_json::from_value(json!({"metadata": {"generateName": "m-"}, "data": {"v": "x".repeat(20_000)}}));
        if let Err(kube::Error::Api(status)) = api.create(&PostParams::default(), &body.unwrap()).await {
            break status;
        }
    };
    assert!(refusal.code >= 500 && refusal.message.contains("no room"), "{refusal:?}");
    assert!(embedded.trouble().is_some_and(|why| why.contains("no room")));
    let before = api.list(&ListParams::default()).await.unwrap().items.len();
    assert!(api.get("first").await.is_ok() && before > 1, "reads go on");
    std::fs::remove_file(&ballast).unwrap();
    let mut tries = 0;
    while let Err(why) = api.create(&PostParams::default(), &map("later")).await {
        tries += 1;
        assert!(tries < 50, "there is room and still: {why}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(embedded.trouble().is_none());
    drop(api);
    embedded.close().await;
    let again = Embedded::open(options(&data)).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(again.client());
    assert!(api.get("later").await.is_ok());
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), before + 1);
}
