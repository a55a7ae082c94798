//! Weir and a person's helm upgrade the same release at the same moment: whoever creates the next record has it, the
//! other one waits, and no record is ever written over. `WEIR_TEST_RUNS` is how often (`reliability`: H5).

use std::time::Duration;

use rand::Rng as _;
use serde_json::json;
use weir::base::Id;
use weir::cluster::ClusterError;
use weir::engine::release::{Record, Status};

use super::helm_release::{MAP, hr, is_ready, publish, records, release, statuses, world};
use super::{World, config_map, id};

/// What helm does by hand at the same time: the next record, pending and then deployed.
struct Hand {
    record: Record,
    replaced: Record,
}

impl Hand {
    fn over(last: &Record, round: usize) -> Hand {
        let mut record = last.clone();
        record.version += 1;
        record.labels.clear();
        record.info.status = Status::PendingUpgrade;
        record.info.last_deployed = jiff::Timestamp::now().to_string();
        record.info.description = format!("by hand {round}");
        Hand { record, replaced: last.clone() }
    }

    fn secret(&self) -> Id {
        id("", "Secret", &format!("sh.helm.release.v1.web.v{}", self.record.version))
    }

    /// Answers whether it was first.
    async fn begin(&self, world: &World) -> bool {
        let secret = self.record.to_secret("default", ("createdAt", 1)).unwrap();
        match world.cluster.create(&secret, "helm", false).await {
            Ok(_) => true,
            Err(ClusterError::Exists { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Nobody may have touched it meanwhile.
    async fn end(mut self, world: &World) {
        let found = Record::from_secret(&world.get(&self.secret()).await.unwrap()).unwrap();
        assert_eq!(
            (found.info.status, &found.info.description),
            (Status::PendingUpgrade, &self.record.info.description),
            "somebody wrote over a foreign record"
        );
        self.replaced.info.status = Status::Superseded;
        self.record.info.status = Status::Deployed;
        for record in [&self.replaced, &self.record] {
            let secret = record.to_secret("default", ("modifiedAt", 1)).unwrap();
            let name = id("", "Secret", secret["metadata"]["name"].as_str().unwrap());
            let patch = json!({"metadata": {"labels": secret["metadata"]["labels"]}, "data": secret["data"]});
            world.cluster.merge_patch(&name, &patch, None, "helm").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_one_has_the_next_revision() {
    let rounds = std::env::var("WEIR_TEST_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let world = world().await;
    publish(&world, "chart", "1.0.0", &[("templates/map.yaml", MAP)]).await;
    world.put(release("web", json!({"values": {"value": "none"}, "maxHistory": 4}))).await;
    world.until(&hr("web"), "ready", is_ready).await;
    let mut won = 0;
    for round in 0..rounds {
        let before = records(&world, "web").await;
        let hand = Hand::over(before.last().unwrap(), round);
        let first = hand.record.version;
        let pause = Duration::from_micros(rand::rng().random_range(0..40_000));
        let value = format!("round {round}");
        let id = hr("web");
        let patch = world.patch(&id, json!({"spec": {"values": {"value": value}}}));
        let begin = async {
            tokio::time::sleep(pause).await;
            hand.begin(&world).await
        };
        let (_, by_hand) = tokio::join!(patch, begin);
        let mut newest = first;
        if by_hand {
            won += 1;
            newest += 1;
            tokio::time::sleep(pause).await;
            hand.end(&world).await;
        }
        let is_there = |document: &serde_json::Value| document["data"]["value"] == value.as_str();
        world.until(&config_map("web"), "as wanted", is_there).await;
        world.until(&hr("web"), "ready", is_ready).await;
        let after = records(&world, "web").await;
        assert_eq!(after.last().unwrap().version, newest, "round {round}, by hand: {by_hand}");
        let deployed = statuses(&world, "web").await.into_iter().filter(|status| *status == Status::Deployed).count();
        assert_eq!(deployed, 1, "round {round}");
        let theirs = after.iter().find(|record| record.version == first).unwrap();
        assert_eq!(theirs.info.description.starts_with("by hand"), by_hand, "round {round}");
    }
    eprintln!("{rounds} races, {won} of them won by hand");
}
