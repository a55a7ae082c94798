//! Who else reconciles on a cluster: Flux's own controllers, by their leases. Two reconcilers of one object fight.

use super::CliError;
use super::session::now;
use crate::base::{Api, Stamp, Value};
use crate::cluster::{Cluster, ClusterError};
use crate::kinds;

/// Refuses a cluster where a Flux controller is at work.
///
/// Errors with the controllers and where they run; also when the leases cannot be read, because then nobody knows.
pub async fn refuse(cluster: &Cluster) -> Result<(), CliError> {
    let api = Api {
        group: "coordination.k8s.io".into(),
        version: "v1".into(),
        kind: "Lease".into(),
        plural: "leases".into(),
        namespaced: true,
    };
    let leases = match cluster.list(&api, None, None).await {
        Ok(leases) => leases,
        Err(error @ ClusterError::Forbidden { .. }) => {
            let hint = "weir needs to list leases to see whether Flux is at work; or leave --reconcile out and observe";
            return Err(CliError::cluster(error.to_string(), hint));
        }
        Err(error) => return Err(error.into()),
    };
    let live: Vec<String> = leases.iter().filter_map(|lease| holder(lease, now())).collect();
    if live.is_empty() {
        return Ok(());
    }
    let hint =
        "two reconcilers would fight: scale these deployments to 0 first, or leave reconciling to them and observe";
    Err(CliError::cluster(format!("Flux is at work on {}: {}", cluster.place(), live.join(", ")), hint))
}

/// `namespace/controller` when the lease is one of Flux's and its holder renewed it in time, with a margin for clocks.
///
/// Source: fluxcd/pkg runtime/leaderelection (the names of the leases).
fn holder(lease: &Value, now: Stamp) -> Option<String> {
    let name = lease["metadata"]["name"].as_str()?;
    let controller = name.strip_suffix("-leader-election")?;
    let is_rival =
        kinds::reconciled().filter_map(|kind| kind.custom.as_ref()).any(|custom| custom.controller == controller);
    if !is_rival || lease["spec"]["holderIdentity"].as_str().is_none_or(str::is_empty) {
        return None;
    }
    let seconds = lease["spec"]["leaseDurationSeconds"].as_i64().unwrap_or(60);
    // A lease without a readable time counts as live: a doubt must not start a fight.
    let renewed: Option<Stamp> = lease["spec"]["renewTime"].as_str().and_then(|time| time.parse().ok());
    let live = renewed.is_none_or(|renewed| now.0 - renewed.0 <= seconds * 2);
    live.then(|| format!("{}/{controller}", lease["metadata"]["namespace"].as_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_lease_counts_while_it_is_renewed() {
        let lease = |name: &str, holder: &str, renewed: &str| {
            json!({"metadata": {"name": name, "namespace": "flux-system"},
                "spec": {"holderIdentity": holder, "leaseDurationSeconds": 35, "renewTime": renewed}})
        };
        let now: Stamp = "2026-01-31T10:01:00Z".parse().unwrap();
        let name = "kustomize-controller-leader-election";
        let live = holder(&lease(name, "pod-1", "2026-01-31T10:00:30.123456Z"), now);
        assert_eq!(live.as_deref(), Some("flux-system/kustomize-controller"));
        assert_eq!(holder(&lease(name, "pod-1", "2026-01-31T09:58:00Z"), now), None);
        assert_eq!(holder(&lease(name, "", "2026-01-31T10:00:30Z"), now), None);
        assert!(holder(&lease("helm-controller-leader-election", "p", "2026-01-31T10:00:30Z"), now).is_some());
        assert_eq!(holder(&lease("traefik-leader-election", "p", "2026-01-31T10:00:30Z"), now), None);
        assert!(holder(&lease(name, "pod-1", "nonsense"), now).is_some());
    }
}
