//! Who reconciles on a cluster: this weir only while it holds the leases of Flux's controllers whose work it does.
//!
//! Two reconcilers of one object fight. With the leases, a controller that is started meanwhile waits, and a second weir
//! is refused. Start with [`Tenure::begin`].

use tokio_util::sync::CancellationToken;

use super::CliError;
use super::session::now;
use crate::base::{Id, Value};
use crate::cluster::leases::{self, DEADLINE, Lease, LeaseError, RENEWAL};
use crate::cluster::{Cluster, ClusterError};
use crate::kinds;

/// Where the leases are when Flux was never there.
const NAMESPACES: [&str; 2] = ["flux-system", "default"];

/// The time in which this process may reconcile.
pub struct Tenure {
    leases: Vec<Lease>,
    lost: CancellationToken,
    renewing: tokio::task::JoinHandle<()>,
}

impl Tenure {
    /// Takes the leases of all controllers whose kinds weir reconciles.
    ///
    /// Errors with who is at work and where; also when the leases cannot be read or written, because then nobody knows.
    pub async fn begin(cluster: &Cluster) -> Result<Tenure, CliError> {
        let found = match cluster.list(&leases::api(), None, None).await {
            Ok(found) => found,
            Err(error @ ClusterError::Forbidden { .. }) => {
                let hint =
                    "weir needs to list leases to see whether Flux is at work; or leave --reconcile out and observe";
                return Err(CliError::cluster(error.to_string(), hint));
            }
            Err(error) => return Err(error.into()),
        };
        let live: Vec<String> = found.iter().filter_map(|lease| rival(lease, now().0)).collect();
        if !live.is_empty() {
            return Err(at_work(cluster, &live.join(", ")));
        }
        let holder = identity();
        let mut leases = Vec::new();
        for name in controllers() {
            match take(cluster, &found, &lease_name(name), &holder).await {
                Ok(lease) => leases.push(lease),
                Err(error) => {
                    give_back(&leases).await;
                    return Err(match error {
                        LeaseError::Held { .. } => at_work(cluster, &error.to_string()),
                        LeaseError::Cluster(error) => {
                            let hint = "weir holds the leases of Flux's controllers while it reconciles: it needs to get, \
                                        create and update leases; or leave --reconcile out and observe";
                            CliError::cluster(error.to_string(), hint)
                        }
                    });
                }
            }
        }
        let lost = CancellationToken::new();
        let renewing = tokio::spawn(renew(cluster.clone(), leases.clone(), lost.clone()));
        Ok(Tenure { leases, lost, renewing })
    }

    /// Becomes true when somebody else may begin, or has begun: all reconciling must stop.
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Lets the next one begin; only after all reconciling has stopped.
    pub async fn end(self) {
        self.renewing.abort();
        give_back(&self.leases).await;
    }
}

/// What is said when the leases are lost.
pub fn lost() -> CliError {
    CliError::cluster(
        "weir no longer holds the leases of Flux's controllers alone, and stopped reconciling",
        "look who holds them, e.g. with kubectl get leases -A; start weir again when nobody else reconciles there",
    )
}

async fn take(cluster: &Cluster, found: &[Value], name: &str, holder: &str) -> Result<Lease, LeaseError> {
    let known = found.iter().find(|lease| lease["metadata"]["name"] == name);
    if let Some(namespace) = known.and_then(|lease| lease["metadata"]["namespace"].as_str()) {
        return Lease::take(cluster, leases::id(namespace, name), holder).await;
    }
    match Lease::take(cluster, leases::id(NAMESPACES[0], name), holder).await {
        Err(LeaseError::Cluster(ClusterError::NotFound { .. })) => {
            Lease::take(cluster, leases::id(NAMESPACES[1], name), holder).await
        }
        answer => answer,
    }
}

/// Renews until it is stopped, the leases are lost, or somebody came who has others.
async fn renew(cluster: Cluster, leases: Vec<Lease>, lost: CancellationToken) {
    let mut since = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(RENEWAL).await;
        if let Some(rival) = newcomer(&cluster, &leases).await {
            tracing::error!("{rival} has begun to reconcile with a lease of its own: weir stops");
            return lost.cancel();
        }
        let began = tokio::time::Instant::now();
        let all = futures::future::join_all(leases.iter().map(Lease::renew));
        // What does not answer in time says nothing: the deadline counts from the last renewal.
        let answers = tokio::time::timeout_at(since + DEADLINE, all).await;
        let errors: Vec<LeaseError> = answers.into_iter().flatten().filter_map(Result::err).collect();
        let is_taken = errors.iter().any(|error| matches!(error, LeaseError::Held { .. }));
        for error in &errors {
            tracing::warn!("a lease was not renewed: {error}");
        }
        if errors.is_empty() && since + DEADLINE > tokio::time::Instant::now() {
            since = began;
        } else if is_taken || since + DEADLINE <= tokio::time::Instant::now() + RENEWAL {
            tracing::error!("the leases of Flux's controllers are lost: nothing is reconciled any more");
            return lost.cancel();
        }
    }
}

/// Who reconciles beside the own leases, e.g. a Flux installed later into another namespace. A server that does not
/// answer says nothing here: the deadline of the own leases counts then.
async fn newcomer(cluster: &Cluster, leases: &[Lease]) -> Option<String> {
    let listed = tokio::time::timeout(RENEWAL, cluster.list(&leases::api(), None, None)).await;
    let found = listed.ok()?.ok()?;
    let is_own = |lease: &&Value| Id::of(lease).is_some_and(|id| leases.iter().any(|own| *own.id() == id));
    found.iter().filter(|lease| !is_own(lease)).find_map(|lease| rival(lease, now().0))
}

async fn give_back(leases: &[Lease]) {
    for lease in leases {
        match lease.give_back().await {
            // What somebody took is not given back.
            Ok(()) | Err(LeaseError::Held { .. }) => {}
            Err(error) => tracing::warn!("a lease was not given back: {error}"),
        }
    }
}

fn at_work(cluster: &Cluster, who: &str) -> CliError {
    let hint =
        "two reconcilers would fight: scale these deployments to 0 first, or leave reconciling to them and observe";
    CliError::cluster(format!("somebody reconciles on {} already: {who}", cluster.place()), hint)
}

/// The controllers whose kinds weir reconciles, each once.
fn controllers() -> Vec<&'static str> {
    let mut all: Vec<&str> =
        kinds::reconciled().filter_map(|kind| kind.custom.as_ref()).map(|custom| custom.controller).collect();
    all.dedup();
    all
}

/// Source: fluxcd/pkg runtime/leaderelection.
fn lease_name(controller: &str) -> String {
    format!("{controller}-leader-election")
}

/// `namespace/controller (holder)` when the lease is one of Flux's and held.
fn rival(lease: &Value, now: i64) -> Option<String> {
    let text = |pointer: &str| lease.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    // A controller of a shard adds a digest of what it selects to the name.
    let is_its = |name: &&str| {
        let rest = text("/metadata/name").strip_prefix(&lease_name(name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let controller = controllers().into_iter().find(is_its)?;
    let holder = leases::holder(lease, now)?;
    Some(format!("{}/{controller} ({holder})", text("/metadata/namespace")))
}

/// Who this process is, for others to read.
fn identity() -> String {
    let host = std::fs::read_to_string("/etc/hostname").ok().filter(|name| !name.trim().is_empty());
    let host = host.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_else(|| "somewhere".into());
    let host = host.trim();
    format!("weir_{host}_{}_{:08x}", std::process::id(), rand::random::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_controllers_whose_work_weir_does_are_rivals() {
        let lease = |name: &str| {
            json!({"metadata": {"name": name, "namespace": "flux-system"}, "spec": {"holderIdentity": "pod-1",
                "leaseDurationSeconds": 35, "renewTime": "2026-01-31T10:00:30.123456Z"}})
        };
        let now = "2026-01-31T10:01:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        for controller in ["source", "kustomize", "helm", "image-reflector", "image-automation"] {
            let wanted = format!("flux-system/{controller}-controller (pod-1)");
            assert_eq!(rival(&lease(&format!("{controller}-controller-leader-election")), now), Some(wanted));
        }
        let shard = rival(&lease("source-controller-leader-election-1a2b3c4d"), now);
        assert_eq!(shard, Some("flux-system/source-controller (pod-1)".into()));
        for other in ["notification-controller-leader-election", "traefik", "helm-controller"] {
            assert_eq!(rival(&lease(other), now), None, "{other}");
        }
    }

    #[tokio::test]
    async fn only_one_at_a_time_reconciles() {
        let api = crate::embedded::Embedded::open(Default::default()).await.unwrap();
        let place = crate::cluster::Place::Context { name: "prod".into(), server: "https://prod".into() };
        let cluster = Cluster::over(api.client(), place);
        let first = Tenure::begin(&cluster).await.unwrap();
        let refused = Tenure::begin(&cluster).await.err().unwrap();
        assert!(refused.message.contains("default/helm-controller (weir_"), "{}", refused.message);
        first.leases[0].renew().await.unwrap();
        first.end().await;
        let second = Tenure::begin(&cluster).await.unwrap();
        // Somebody with other rules takes one: it is not taken back.
        let id = leases::id("default", "helm-controller-leader-election");
        let patch = json!({"spec": {"holderIdentity": "pod-1"}});
        cluster.merge_patch(&id, &patch, None, "kubectl").await.unwrap();
        let renewed = futures::future::join_all(second.leases.iter().map(Lease::renew)).await;
        let held: Vec<&LeaseError> = renewed.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert!(matches!(held[..], [LeaseError::Held { .. }]), "{held:?}");
        assert_eq!(newcomer(&cluster, &second.leases).await, None);
        let shard = id.in_namespace("kube-system");
        let mut theirs = cluster.get(&id).await.unwrap().unwrap();
        theirs["metadata"] =
            json!({"name": "helm-controller-leader-election-1a2b3c4d", "namespace": &*shard.namespace});
        cluster.create(&theirs, "kubectl", false).await.unwrap();
        let found = newcomer(&cluster, &second.leases).await.unwrap();
        assert_eq!(found, "kube-system/helm-controller (pod-1)");
        second.end().await;
        let refused = Tenure::begin(&cluster).await.err().unwrap();
        assert!(refused.message.contains("default/helm-controller (pod-1)"), "{}", refused.message);
        assert!(refused.message.contains("kube-system/helm-controller (pod-1)"), "{}", refused.message);
    }
}
