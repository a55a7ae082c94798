//! [`Options`]: what a person may set about reconciling, with Flux's defaults and Flux's names.
//!
//! Source: the flags of source-controller and kustomize-controller.

use std::time::Duration;

/// Settings shared by all reconcilers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sources worked on at the same time (`--concurrent` of source-controller).
    pub concurrent_sources: usize,
    /// Deployers worked on at the same time (`--concurrent` of kustomize-controller).
    pub concurrent_deployers: usize,
    /// Objects applied at the same time by one Kustomization (`--concurrent-ssa`).
    pub concurrent_ssa: usize,
    /// First pause after a failure (`--min-retry-delay`).
    pub min_retry: Duration,
    /// Longest pause after a failure (`--max-retry-delay`).
    pub max_retry: Duration,
    /// Percent by which intervals are spread, both ways (`--interval-jitter-percentage`).
    pub jitter_percent: u8,
    /// Pause while a dependency or an artifact is not there yet (`--requeue-dependency`).
    pub requeue_dependency: Duration,
    /// Refuses sources of other namespaces (`--no-cross-namespace-refs`).
    pub no_cross_namespace_refs: bool,
    /// With whose rights objects are applied that name no service account (`--default-service-account`).
    pub default_service_account: Option<String>,
    /// Refuses kustomize bases by URL (`--no-remote-bases`).
    pub no_remote_bases: bool,
    /// Variables of post-build substitution must be set (gate `StrictPostBuildSubstitutions`).
    pub strict_substitutions: bool,
    /// Further field managers whose fields are taken over (`--override-manager`).
    pub override_managers: Vec<String>,
    /// Further kinds that get a stage of their own (`--custom-apply-stage-kinds`), as `group/kind`.
    pub custom_stage_kinds: Vec<String>,
    /// Holds a prune that looks like an accident until a person releases it; weir's own, off restores Flux.
    pub hold_mass_prune: bool,
    /// The namespace weir itself lives in: never pruned.
    pub own_namespace: String,
    /// Sources may lie on this machine (`file` URLs, loopback servers); always so where weir itself is the cluster.
    pub allow_local_sources: bool,
    /// How long the artifacts of older revisions are kept (`--artifact-retention-ttl`).
    pub artifact_retention: Duration,
    /// How many artifacts are kept at most (`--artifact-retention-records`).
    pub artifact_records: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            concurrent_sources: 2,
            concurrent_deployers: 4,
            concurrent_ssa: 4,
            min_retry: Duration::from_millis(750),
            max_retry: Duration::from_secs(15 * 60),
            jitter_percent: 5,
            requeue_dependency: Duration::from_secs(30),
            no_cross_namespace_refs: false,
            default_service_account: None,
            no_remote_bases: false,
            strict_substitutions: true,
            override_managers: Vec::new(),
            custom_stage_kinds: Vec::new(),
            hold_mass_prune: true,
            own_namespace: "flux-system".into(),
            allow_local_sources: false,
            artifact_retention: Duration::from_secs(60),
            artifact_records: 2,
        }
    }
}
