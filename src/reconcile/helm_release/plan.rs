//! What a HelmRelease asks for, read once: times, switches, and a refusal of what this weir cannot do.
//!
//! Pure. Start with [`Plan::of`]. Source: helm-controller api/v2 (the getters and their defaults).

use std::time::Duration;

use super::super::{Cause, Failure, Options};
use crate::base::{format_duration, parse_duration};
use crate::cluster::Propagation;
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{
    ActionStrategy, ApplyMode, CrdsPolicy, DeletionPropagation, DriftMode, Install, Remediation, RemediationStrategy,
    Rollback, StrategyName, TestFilter, Uninstall, Upgrade,
};

/// The times and switches of one spec.
#[derive(Clone, Debug)]
pub struct Plan {
    pub interval: Duration,
    pub timeout: Duration,
    pub max_history: i64,
    pub drift: DriftMode,
    pub install: Action,
    pub upgrade: Action,
    pub rollback: Action,
    pub uninstall: Action,
    pub install_remedy: Remedy,
    pub upgrade_remedy: Remedy,
    pub test: Tests,
    pub keep_history: bool,
    pub propagation: Propagation,
    pub create_namespace: bool,
    pub replace: bool,
    pub preserve_values: bool,
}

/// How an action is done.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    pub timeout: Duration,
    pub take_ownership: bool,
    pub wait: bool,
    pub wait_for_jobs: bool,
    pub hooks: bool,
    pub crds: CrdsPolicy,
    /// Whether the values must be what the chart's schema says.
    pub schema: bool,
    pub apply: ApplyMode,
    pub force: bool,
    pub cleanup: bool,
}

/// What follows a failed action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    pub retries: i64,
    /// Whether failing tests count as a failure.
    pub ignore_tests: bool,
    pub remediate_last: bool,
    pub strategy: RemediationStrategy,
    /// Set when the action is simply tried again after a while.
    pub retry: Option<Duration>,
}

/// Whether and which tests are run.
#[derive(Clone, Debug)]
pub struct Tests {
    pub enable: bool,
    pub ignore_failures: bool,
    pub timeout: Duration,
    pub filters: Vec<TestFilter>,
}

impl Remedy {
    pub fn is_exhausted(&self, failures: i64) -> bool {
        self.retries >= 0 && failures > self.retries
    }
}

/// Reads the durations of a spec.
struct Times;

impl Times {
    fn read(field: &str, text: Option<&String>, otherwise: Duration) -> Result<Duration, Failure> {
        let Some(text) = text else { return Ok(otherwise) };
        parse_duration(text).map_err(|error| Failure::Stalled(Cause::new("Failed", format!("spec.{field}: {error}"))))
    }
}

impl Plan {
    /// Reads a spec.
    ///
    /// Errors as stalled when it asks for what cannot be done: nothing is silently left out.
    pub fn of(object: &HelmRelease, options: &Options) -> Result<Plan, Failure> {
        let spec = &object.spec;
        if spec.chart.is_some() == spec.chart_ref.is_some() {
            let message = "invalid chart reference: set exactly one of spec.chart and spec.chartRef";
            return Err(Failure::Stalled(Cause::new("ArtifactFailed", message)));
        }
        check_namespaces(object, options)?;
        Plan::read(object)
    }

    /// Reads the times and switches alone: what is to go needs nothing else.
    ///
    /// Errors as stalled when a time is none.
    pub fn read(object: &HelmRelease) -> Result<Plan, Failure> {
        let spec = &object.spec;
        let interval = Times::read("interval", Some(&spec.interval), Duration::ZERO)?;
        let timeout = Times::read("timeout", spec.timeout.as_ref(), Duration::from_secs(300))?;
        let (install, upgrade) = (spec.install.clone().unwrap_or_default(), spec.upgrade.clone().unwrap_or_default());
        let (uninstall, test) = (spec.uninstall.clone().unwrap_or_default(), spec.test.clone().unwrap_or_default());
        let ignores = on(test.ignore_failures);
        Ok(Plan {
            interval,
            timeout,
            max_history: spec.max_history.unwrap_or(5),
            drift: spec.drift_detection.as_ref().and_then(|drift| drift.mode).unwrap_or_default(),
            install: for_install(&install, timeout)?,
            upgrade: for_upgrade(&upgrade, timeout)?,
            rollback: for_rollback(&spec.rollback.clone().unwrap_or_default(), timeout)?,
            uninstall: for_uninstall(&uninstall, timeout)?,
            install_remedy: remedy(install.remediation.as_ref(), install.strategy.as_ref(), ignores, true)?,
            upgrade_remedy: remedy(upgrade.remediation.as_ref(), upgrade.strategy.as_ref(), ignores, false)?,
            test: Tests {
                enable: on(test.enable),
                ignore_failures: ignores,
                timeout: Times::read("test.timeout", test.timeout.as_ref(), timeout)?,
                filters: test.filters,
            },
            keep_history: on(uninstall.keep_history),
            propagation: match uninstall.deletion_propagation.unwrap_or_default() {
                DeletionPropagation::Background => Propagation::Background,
                DeletionPropagation::Foreground => Propagation::Foreground,
                DeletionPropagation::Orphan => Propagation::Orphan,
            },
            create_namespace: on(install.create_namespace) && spec.target_namespace.is_some(),
            replace: on(install.replace),
            preserve_values: on(upgrade.preserve_values),
        })
    }

    /// The remedy for the action that was tried last; `None` before the first.
    pub fn active_remedy(&self, object: &HelmRelease) -> Option<&Remedy> {
        match object.status.as_ref()?.last_attempted_release_action.as_deref()? {
            "install" => Some(&self.install_remedy),
            "upgrade" => Some(&self.upgrade_remedy),
            _ => None,
        }
    }

    /// How long to wait before the action is simply tried again; `None` when it is remediated.
    pub fn active_retry(&self, object: &HelmRelease) -> Option<Duration> {
        self.active_remedy(object)?.retry
    }

    /// Whether failing tests do not count, for the action that was tried last.
    pub fn ignores_tests(&self, object: &HelmRelease) -> bool {
        self.active_remedy(object).map_or(self.test.ignore_failures, |remedy| remedy.ignore_tests)
    }
}

/// An action with everything at its default.
fn plain(timeout: Duration) -> Action {
    Action {
        timeout,
        take_ownership: true,
        wait: true,
        wait_for_jobs: true,
        hooks: true,
        crds: CrdsPolicy::Create,
        schema: true,
        apply: ApplyMode::Auto,
        force: false,
        cleanup: false,
    }
}

fn for_install(install: &Install, timeout: Duration) -> Result<Action, Failure> {
    Ok(Action {
        timeout: Times::read("install.timeout", install.timeout.as_ref(), timeout)?,
        take_ownership: !on(install.disable_take_ownership),
        wait: !on(install.disable_wait),
        wait_for_jobs: !on(install.disable_wait_for_jobs),
        hooks: !on(install.disable_hooks),
        crds: install.crds.unwrap_or_default(),
        schema: !on(install.disable_schema_validation),
        apply: if install.server_side_apply == Some(false) { ApplyMode::Disabled } else { ApplyMode::Enabled },
        ..plain(timeout)
    })
}

fn for_upgrade(upgrade: &Upgrade, timeout: Duration) -> Result<Action, Failure> {
    Ok(Action {
        timeout: Times::read("upgrade.timeout", upgrade.timeout.as_ref(), timeout)?,
        take_ownership: !on(upgrade.disable_take_ownership),
        wait: !on(upgrade.disable_wait),
        wait_for_jobs: !on(upgrade.disable_wait_for_jobs),
        hooks: !on(upgrade.disable_hooks),
        crds: upgrade.crds.unwrap_or_default(),
        schema: !on(upgrade.disable_schema_validation),
        apply: upgrade.server_side_apply.unwrap_or_default(),
        force: on(upgrade.force),
        cleanup: on(upgrade.cleanup_on_fail),
    })
}

fn for_rollback(rollback: &Rollback, timeout: Duration) -> Result<Action, Failure> {
    Ok(Action {
        timeout: Times::read("rollback.timeout", rollback.timeout.as_ref(), timeout)?,
        wait: !on(rollback.disable_wait),
        wait_for_jobs: !on(rollback.disable_wait_for_jobs),
        hooks: !on(rollback.disable_hooks),
        apply: rollback.server_side_apply.unwrap_or_default(),
        force: on(rollback.force),
        cleanup: on(rollback.cleanup_on_fail),
        ..plain(timeout)
    })
}

fn for_uninstall(uninstall: &Uninstall, timeout: Duration) -> Result<Action, Failure> {
    Ok(Action {
        timeout: Times::read("uninstall.timeout", uninstall.timeout.as_ref(), timeout)?,
        wait: !on(uninstall.disable_wait),
        hooks: !on(uninstall.disable_hooks),
        ..plain(timeout)
    })
}

fn on(switch: Option<bool>) -> bool {
    switch == Some(true)
}

fn remedy(
    given: Option<&Remediation>,
    strategy: Option<&ActionStrategy>,
    ignore_tests: bool,
    is_install: bool,
) -> Result<Remedy, Failure> {
    let given = given.cloned().unwrap_or_default();
    let retries = given.retries.unwrap_or(0);
    let retry = match strategy {
        Some(strategy) if strategy.name == StrategyName::RetryOnFailure => {
            Some(Times::read("strategy.retryInterval", strategy.retry_interval.as_ref(), Duration::from_secs(300))?)
        }
        _ => None,
    };
    let strategy = if is_install { RemediationStrategy::Uninstall } else { given.strategy.unwrap_or_default() };
    Ok(Remedy {
        retries,
        ignore_tests: given.ignore_test_failures.unwrap_or(ignore_tests),
        remediate_last: given.remediate_last_failure.unwrap_or(!is_install && retries > 0),
        strategy,
        retry,
    })
}

fn check_namespaces(object: &HelmRelease, options: &Options) -> Result<(), Failure> {
    let spec = &object.spec;
    let template = spec.chart.as_ref().map(|chart| &chart.spec.source_ref);
    let Some(source) = spec.chart_ref.as_ref().or(template) else { return Ok(()) };
    let from = source.namespace.as_deref().unwrap_or(object.own_namespace());
    if options.no_cross_namespace_refs && from != object.own_namespace() {
        let message = format!(
            "can't access '{}/{from}/{}', cross-namespace references have been blocked",
            source.kind, source.name
        );
        return Err(Failure::Stalled(Cause::new("AccessDenied", message)));
    }
    Ok(())
}

/// A timeout as messages say it.
pub fn words(timeout: Duration) -> String {
    format_duration(timeout)
}
