//! Leases: which of several processes does a work on a cluster.
//!
//! Kubernetes' own leader election, so that Flux's controllers and other weirs understand it: a Lease names its holder,
//! and is free when the holder did not renew it in time. Start with [`Lease::take`].
//! Source: k8s.io/client-go tools/leaderelection.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Cluster, ClusterError};
use crate::base::{Api, Id};

/// How long a lease counts after it was renewed, as Flux's controllers set it.
pub const DURATION: Duration = Duration::from_secs(35);
/// How often it is renewed.
pub const RENEWAL: Duration = Duration::from_secs(10);
/// Without a renewal in this time the work must stop, well before others may begin.
pub const DEADLINE: Duration = Duration::from_secs(25);

const GROUP: &str = "coordination.k8s.io";
const MANAGER: &str = "weir";

/// A lease that this process holds.
#[derive(Clone)]
pub struct Lease {
    cluster: Cluster,
    id: Id,
    holder: String,
}

/// Why a lease is not held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    #[error("{lease} is held by {holder}")]
    Held { lease: String, holder: String },
    #[error("{0}")]
    Cluster(#[from] ClusterError),
}

/// Where leases are served.
pub fn api() -> Api {
    Api { group: GROUP.into(), version: "v1".into(), kind: "Lease".into(), plural: "leases".into(), namespaced: true }
}

/// The name of a lease.
pub fn id(namespace: &str, name: &str) -> Id {
    Id::new(GROUP, "Lease", namespace, name)
}

/// Who holds a lease at a moment (Unix seconds); `None` when it is free.
///
/// Twice its duration, for clocks that differ; one without a readable time counts as held.
pub fn holder(lease: &Value, now: i64) -> Option<&str> {
    let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty())?;
    let seconds = lease["spec"]["leaseDurationSeconds"].as_i64().unwrap_or(60);
    let renewed = lease["spec"]["renewTime"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let live = renewed.is_none_or(|renewed| now - renewed.as_second() <= seconds * 2);
    live.then_some(holder)
}

impl Lease {
    /// Takes a lease that is free, or makes it.
    ///
    /// Errors with who holds it, also when somebody was faster by a moment.
    pub async fn take(cluster: &Cluster, id: Id, holder: &str) -> Result<Lease, LeaseError> {
        let lease = Lease { cluster: cluster.clone(), id, holder: holder.to_owned() };
        let now = jiff::Timestamp::now();
        let mut document = match cluster.get(&lease.id).await? {
            Some(found) => {
                if let Some(other) = self::holder(&found, now.as_second()).filter(|other| *other != holder) {
                    return Err(lease.held(other));
                }
                found
            }
            None => json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": &*lease.id.name, "namespace": &*lease.id.namespace}, "spec": {}}),
        };
        let transitions = document["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
        let is_new = document["metadata"]["resourceVersion"].is_null();
        document["spec"] = json!({"holderIdentity": holder, "leaseDurationSeconds": DURATION.as_secs(),
            "acquireTime": stamp(now), "renewTime": stamp(now),
            "leaseTransitions": if is_new { 0 } else { transitions + 1 }});
        let written = match is_new {
            true => cluster.create(&document, MANAGER, false).await,
            // With the version that was read: of two, the second is refused.
            false => cluster.replace(&document, MANAGER, false).await,
        };
        match written {
            Ok(_) => Ok(lease),
            Err(ClusterError::Exists { .. } | ClusterError::Conflict { .. }) => Err(lease.held("somebody else")),
            Err(error) => Err(error.into()),
        }
    }

    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Holds it for another while.
    ///
    /// Errors with who took it, or why the server does not answer.
    pub async fn renew(&self) -> Result<(), LeaseError> {
        self.write(|spec| spec["renewTime"] = stamp(jiff::Timestamp::now()).into()).await
    }

    /// Gives it back, so that the next need not wait.
    ///
    /// Errors as [`Lease::renew`].
    pub async fn give_back(&self) -> Result<(), LeaseError> {
        self.write(|spec| {
            spec["holderIdentity"] = "".into();
            spec["leaseDurationSeconds"] = 1.into();
        })
        .await
    }

    async fn write(&self, change: impl FnOnce(&mut Value)) -> Result<(), LeaseError> {
        let Some(mut document) = self.cluster.get(&self.id).await? else { return Err(self.held("nobody")) };
        let found = document["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if found != self.holder {
            return Err(self.held(found));
        }
        change(&mut document["spec"]);
        match self.cluster.replace(&document, MANAGER, false).await {
            Ok(_) => Ok(()),
            Err(ClusterError::Conflict { .. }) => Err(self.held("somebody else")),
            Err(error) => Err(error.into()),
        }
    }

    fn held(&self, holder: &str) -> LeaseError {
        LeaseError::Held { lease: self.id.to_string(), holder: holder.to_owned() }
    }
}

/// A moment as Kubernetes' MicroTime.
fn stamp(moment: jiff::Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_while_it_is_renewed() {
        let lease = |holder: &str, renewed: &str| json!({"spec": {"holderIdentity": holder, "leaseDurationSeconds": 35, "renewTime": renewed}});
        let now = "2026-01-31T10:01:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        assert_eq!(holder(&lease("pod-1", "2026-01-31T10:00:30.123456Z"), now), Some("pod-1"));
        assert_eq!(holder(&lease("pod-1", "2026-01-31T09:58:00Z"), now), None);
        assert_eq!(holder(&lease("", "2026-01-31T10:00:30Z"), now), None);
        assert!(holder(&lease("pod-1", "nonsense"), now).is_some());
    }
}
