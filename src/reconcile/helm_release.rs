//! The HelmRelease reconciler: observe the release, decide on one step, act, and again, until nothing is left to do.
//!
//! Every look is in `observe`, every choice in `decide`, every action in `act` and `leave`. Each action writes the release
//! record before it changes anything and the status after, so that whoever comes after a crash finds out how far it came.
//! Start with [`HelmReleases`]' `reconcile`, then [`Cycle`].
//! Source: helm-controller internal/controller/helmrelease_controller.go, internal/reconcile/atomic_release.go.

mod act;
mod cycle;
mod decide;
mod drift;
mod foresee;
mod history;
mod hooks;
mod leave;
mod merging;
mod objects;
mod observe;
mod perform;
mod plan;
mod prepare;
mod preview;
mod render;
mod report;
mod resume;
mod source;
mod storage;
mod values;

use std::sync::Arc;

use self::act::Work;
use self::cycle::Cycle;
use self::decide::{Target, Wanted};
use self::leave::Gone;
use self::plan::Plan;
use self::report::{About, News, RELEASED};
use self::source::Loaded;
use self::storage::Storage;
use self::values::Composed;
use super::kustomization::health::{self, Checks};
use super::target::{TargetError, Targets, Wish};
use super::{Cause, Context, Failure, Next, Reconciler, Run, Severity};
use crate::base::{Condition, Value};
use crate::cluster::ClusterError;
use crate::engine::chart::Capabilities;
use crate::engine::diff::Preview;
use crate::engine::release::config_digest;
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{self, HelmReleaseStatus};

/// The Helm that charts are told they run under.
const HELM_VERSION: &str = "v4.3.1";

/// Reconciles HelmReleases.
pub struct HelmReleases;

impl Reconciler for HelmReleases {
    type Object = HelmRelease;

    async fn reconcile(&self, cx: &Context, object: &mut HelmRelease, run: &mut Run) -> Result<Next, Failure> {
        let plan = Plan::of(object, &cx.options)?;
        let checks = Checks::of(&object.spec.health_check_exprs)?;
        let (force, reset) = history::requests(object);
        source::reconcile_template(cx, object, run).await?;
        run.progress("Fulfilling prerequisites");
        check_dependencies(cx, object).await?;
        let (id, artifact) = source::find(cx, object).await?;
        let values = values::compose(&cx.cluster, object).await;
        let Composed { values, secret, hidden } =
            values.map_err(|error| Failure::Retry(Cause::new("ValuesError", error)))?;
        run.hide(&hidden);
        let secret = Some(secret);
        let Loaded { chart, oci_digest } = source::load(cx, &id, &artifact, plan.timeout).await?;
        let there = there(cx, object).await?;
        self.leave_old_place(&there, &plan, object, run, &chart.metadata.name).await?;
        let (renderers_digest, metadata_digest) = report::renderer_digests(object);
        let wanted = Wanted {
            chart_name: chart.metadata.name.clone(),
            chart_version: chart.metadata.version.clone(),
            config_digest: config_digest(&values),
            renderers_digest,
            metadata_digest,
        };
        attempt(object, &wanted, oci_digest.clone(), reset);
        let (release, namespace) = (object.release_name(), object.release_namespace().to_owned());
        let storage = Storage::new(&there.cluster, object.storage_namespace(), &release, &object.metadata);
        let interval = plan.interval;
        let chart = Arc::new(chart);
        let work = Work {
            cx: &there,
            checks,
            plan,
            storage,
            chart,
            values,
            secret,
            hidden,
            oci_digest,
            wanted,
            release,
            namespace,
        };
        Cycle { work, object, run, done: Vec::new(), drifts: Vec::new() }.go(force).await?;
        Ok(Next::After(interval))
    }

    async fn finalize(&self, cx: &Context, object: &mut HelmRelease, run: &mut Run) -> Result<(), Failure> {
        if object.spec.suspend == Some(true) {
            return Ok(());
        }
        let status = object.status.clone().unwrap_or_default();
        let wish = Wish::from(&*object);
        // On another cluster the account is not one of this cluster's.
        let there = match wish.kube_config.is_some() {
            true => Targets::of(cx, wish).await,
            false => Targets::of_leaving(cx, wish).await,
        };
        let there = match there {
            _ if status.storage_namespace.is_none() => None,
            Ok(there) => Some(there),
            Err(TargetError::NoAccount(why) | TargetError::NoKubeconfig(why)) => {
                let message = format!("{why}: the release {} is left", object.release_name());
                run.event(Severity::Error, "UninstallFailed", &message, &[]).await;
                None
            }
            Err(error) => return Err(Failure::Retry(Cause::new("UninstallFailed", error.to_string()))),
        };
        if let Some(there) = there
            && is_ours(&there, object, &status).await?
        {
            let plan = Plan::read(object)?;
            // Without the values there is still something to take away.
            if let Ok(known) = values::compose(&cx.cluster, object).await {
                run.hide(&known.hidden);
            }
            uninstall_old(&there, &plan, object, run).await?;
            let status = object.status.get_or_insert_default();
            status.history.clear();
            status.storage_namespace = None;
        }
        source::delete_template(cx, object, run).await
    }

    async fn preview(&self, cx: &Context, object: HelmRelease) -> Result<Preview, Failure> {
        preview::preview(cx, &object).await
    }
}

impl HelmReleases {
    /// Uninstalls the release from where the spec had it before.
    ///
    /// Errors as stalled when another chart takes its place and nobody said how.
    async fn leave_old_place(
        &self,
        cx: &Context,
        plan: &Plan,
        object: &mut HelmRelease,
        run: &mut Run,
        chart: &str,
    ) -> Result<(), Failure> {
        match decide::target(object, chart, cx.options.hold_mass_prune) {
            Target::Same => Ok(()),
            Target::Renamed => {
                let message = renamed(object, chart);
                Err(Failure::Stalled(Cause::new("ChartNameChanged", message)))
            }
            Target::Moved(why) => {
                run.progress(format!("Uninstalling the current release: its {why} changed"));
                uninstall_old(cx, plan, object, run).await?;
                let status = object.status.get_or_insert_default();
                status.history.clear();
                clear_failures(status);
                status.storage_namespace = None;
                run.save(object).await
            }
        }
    }
}

/// The context in which the release and its records are.
///
/// Errors as a retry when there is no way there.
async fn there(cx: &Context, object: &HelmRelease) -> Result<Context, Failure> {
    let there = Targets::of(cx, Wish::from(object)).await;
    there.map_err(|error| Failure::Retry(Cause::new("RESTClientError", format!("no way to the target: {error}"))))
}

/// Why nothing is done when another chart is to take the place of the old one.
fn renamed(object: &HelmRelease, chart: &str) -> String {
    let old = object.status.as_ref().and_then(|status| status.history.first());
    let old = old.map(|snapshot| snapshot.chart_name.clone()).unwrap_or_default();
    format!(
        "the chart {old} was replaced by {chart}, and nothing is done: set spec.upgrade.chartNameChangeStrategy to \
         Reinstall to uninstall {old} first, or to InPlaceUpdate to upgrade"
    )
}

/// What the cluster serves, as charts may ask.
async fn capabilities(cx: &Context) -> Result<Capabilities, ClusterError> {
    let (kube_version, api_versions) = cx.cluster.capabilities().await?;
    Ok(Capabilities { kube_version, api_versions, helm_version: HELM_VERSION.into() })
}

/// Whether there is a release that this object made: its history says so, or a record that a crash left behind.
async fn is_ours(cx: &Context, object: &HelmRelease, status: &HelmReleaseStatus) -> Result<bool, Failure> {
    if !status.history.is_empty() {
        return Ok(true);
    }
    let namespace = status.storage_namespace.as_deref().unwrap_or_default();
    let storage = Storage::new(&cx.cluster, namespace, &object.release_name(), &object.metadata);
    let last =
        storage.last().await.map_err(|error| Failure::Retry(Cause::new("UninstallFailed", error.to_string())))?;
    Ok(last.is_some_and(|record| storage.is_own(&record)))
}

/// Uninstalls the release as the status knows it.
async fn uninstall_old(cx: &Context, plan: &Plan, object: &mut HelmRelease, run: &mut Run) -> Result<(), Failure> {
    let status = object.status.clone().unwrap_or_default();
    let namespace = status.storage_namespace.as_deref().unwrap_or_default().to_owned();
    let latest = status.history.first().cloned();
    let release = latest.as_ref().map_or_else(|| object.release_name(), |latest| latest.name.clone());
    let mut storage = Storage::new(&cx.cluster, &namespace, &release, &object.metadata);
    run.progress(format!("Running 'uninstall' action with timeout of {}", plan::words(plan.uninstall.timeout)));
    let outcome = leave::uninstall(cx, plan, &mut storage, run, &release).await;
    let written = std::mem::take(&mut storage.written);
    report::remember(&mut object.status.get_or_insert_default().history, &written, Some("uninstall"), None);
    let latest =
        object.status.as_ref().and_then(|status| status.history.first().cloned()).or(latest).unwrap_or_default();
    let (name, chart) = (latest.full_name(), latest.versioned_chart());
    let about = About::snapshot(&latest);
    match outcome {
        Ok(gone) => {
            object.status.get_or_insert_default().inventory = None;
            let message = match gone {
                Gone::NotFound => format!("Release {name} was not found, assuming it is uninstalled"),
                Gone::Already => format!("Release {name} was already uninstalled"),
                Gone::Done => format!("Helm uninstall succeeded for release {name} with chart {chart}"),
            };
            let news = News { condition: RELEASED, status: "False", reason: "UninstallSucceeded", message, bad: false };
            report::tell(run, object, &about, news).await;
            Ok(())
        }
        Err(error) => {
            let message = format!("Helm uninstall failed for release {name} with chart {chart}: {error}");
            object.status.get_or_insert_default().failures += 1;
            let news = News {
                condition: RELEASED,
                status: "False",
                reason: "UninstallFailed",
                message: message.clone(),
                bad: true,
            };
            report::tell(run, object, &about, news).await;
            run.told();
            Err(Failure::Retry(Cause::new("UninstallFailed", message)))
        }
    }
}

/// Notes what is about to be tried; failures of something else are forgotten.
fn attempt(object: &mut HelmRelease, wanted: &Wanted, oci_digest: Option<String>, reset: bool) {
    let resets = history::resets(object, wanted, reset);
    let (generation, namespace) = (object.metadata.generation, object.storage_namespace().to_owned());
    let status = object.status.get_or_insert_default();
    if resets {
        clear_failures(status);
    }
    status.storage_namespace = Some(namespace);
    status.last_attempted_generation = generation;
    status.last_attempted_revision = Some(wanted.chart_version.clone());
    status.last_attempted_revision_digest = oci_digest;
    status.last_attempted_config_digest = Some(wanted.config_digest.clone());
}

fn clear_failures(status: &mut HelmReleaseStatus) {
    status.failures = 0;
    status.install_failures = 0;
    status.upgrade_failures = 0;
}

/// Checks every dependency live, in order.
///
/// Errors as waiting with the first that is not ready.
async fn check_dependencies(cx: &Context, object: &HelmRelease) -> Result<(), Failure> {
    let pause = cx.options.requeue_dependency;
    let waiting = |message: String| Failure::Waiting(Cause::new("DependencyNotReady", message), pause);
    for dependency in &object.spec.depends_on {
        let namespace = dependency.namespace.as_deref().unwrap_or(object.own_namespace());
        let id = helm_release::KIND.id(namespace, &dependency.name);
        let name = format!("{namespace}/{}", dependency.name);
        let found = cx.cluster.get(&id).await;
        let found = found.map_err(|error| waiting(format!("unable to get '{name}' dependency: {error}")))?;
        let Some(document) = found else {
            return Err(waiting(format!("unable to get '{name}' dependency: not found")));
        };
        if let Some(expression) = &dependency.ready_expr {
            match health::ready_by(expression, object, &document)? {
                Ok(true) => continue,
                Ok(false) => return Err(waiting(format!("dependency '{name}' is not ready by its readyExpr"))),
                Err(why) => return Err(waiting(format!("dependency '{name}': {why}"))),
            }
        }
        let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_i64);
        let is_ready = Condition::find(&document, "Ready").is_some_and(|ready| ready.status == "True");
        if !is_ready || number("/metadata/generation") != number("/status/observedGeneration") {
            return Err(waiting(format!("dependency '{name}' is not ready")));
        }
    }
    Ok(())
}
