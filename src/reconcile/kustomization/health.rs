//! Waiting until what was applied is well, as kstatus judges it.
//!
//! Looks often at first and every five seconds later; one failed object ends the wait. Start with [`wait`].
//! Source: kustomize-controller's checkHealth and fluxcd/pkg ssa/manager_wait.go.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::time::Instant;

use super::super::{Cause, Failure};
use super::apply::Wanted;
use super::{decide, source};
use crate::base::{Health, Id, State, Value};
use crate::cluster::Cluster;
use crate::engine::expression::Expression;
use crate::kinds::kustomization::CustomHealthCheck;
use crate::kinds::{self, Kustomization};

/// The longest pause between two looks.
const POLL: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 8;

/// Why a wait ended badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwell {
    /// An object failed, or the time was over: who, and how it is.
    Failed(String),
    /// The object was changed or asked for again, so that the wait is pointless.
    Canceled,
}

impl Unwell {
    /// The Flux reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Unwell::Failed(_) => "HealthCheckFailed",
            Unwell::Canceled => "HealthCheckCanceled",
        }
    }

    /// What a person reads in Ready.
    pub fn message(&self) -> String {
        match self {
            Unwell::Failed(message) => message.clone(),
            Unwell::Canceled => "health checks were given up for a newer request".into(),
        }
    }
}

/// The expressions that judge objects of their kinds in place of kstatus.
#[derive(Default)]
pub struct Checks(Vec<Check>);

struct Check {
    group: String,
    kind: Option<String>,
    current: Expression,
    in_progress: Option<Expression>,
    failed: Option<Expression>,
}

impl Checks {
    /// Compiles the expressions of a spec.
    ///
    /// Errors as stalled with the field that cannot be used.
    pub fn of(given: &[CustomHealthCheck]) -> Result<Checks, Failure> {
        let mut checks: Vec<Check> = Vec::new();
        for (at, check) in given.iter().enumerate() {
            let refuse = |field: &str, why: &str| {
                let message = format!("spec.healthCheckExprs[{at}].{field}: {why}");
                Failure::Stalled(Cause::new("InvalidCELExpression", message))
            };
            let compile = |field: &str, text: &str| Expression::compile(text, None).map_err(|why| refuse(field, &why));
            let group = check.api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
            if checks.iter().any(|known| known.group == group && known.kind == check.kind) {
                return Err(refuse("kind", "the kind has an expression already"));
            }
            checks.push(Check {
                group,
                kind: check.kind.clone(),
                current: compile("current", &check.current)?,
                in_progress: check.in_progress.as_deref().map(|text| compile("inProgress", text)).transpose()?,
                failed: check.failed.as_deref().map(|text| compile("failed", text)).transpose()?,
            });
        }
        Ok(Checks(checks))
    }

    /// How an object is by its expressions; `None` when it has none.
    ///
    /// Source: fluxcd/pkg runtime/cel (StatusEvaluator).
    fn judge(&self, id: &Id, document: &Value) -> Option<Look> {
        let of = |kind: Option<&str>| self.0.iter().find(|c| c.group == *id.group && c.kind.as_deref() == kind);
        let check = of(Some(&id.kind)).or_else(|| of(None))?;
        let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_i64);
        let observed = number("/status/observedGeneration");
        if observed.is_some() && observed != number("/metadata/generation") {
            return Some(Look::Pending("its generation was not observed yet".into()));
        }
        let fields = || document.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value));
        let holds = |expression: Option<&Expression>| match expression {
            Some(expression) => expression.holds(fields()),
            None => Ok(false),
        };
        Some(match (holds(check.in_progress.as_ref()), holds(check.failed.as_ref()), holds(Some(&check.current))) {
            (Ok(true), _, _) => Look::Pending("in progress".into()),
            (Ok(false), Ok(true), _) => Look::Failed("failed".into()),
            (Ok(false), Ok(false), Ok(true)) => Look::Well,
            (Ok(false), Ok(false), Ok(false)) => Look::Pending("not current yet".into()),
            // A field that is not there yet is no verdict.
            (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => Look::Pending(why),
        })
    }
}

/// Whether a dependency is as its `readyExpr` says.
///
/// Errors as stalled when the expression cannot be used, and with a sentence in place of an answer when it fails.
pub fn ready_by(
    expression: &str,
    object: &impl serde::Serialize,
    dependency: &Value,
) -> Result<Result<bool, String>, Failure> {
    let compiled = Expression::compile(expression, Some(&["self", "dep"]));
    let compiled = compiled.map_err(|why| {
        let message = format!("spec.dependsOn[].readyExpr {expression:?}: {why}");
        Failure::Stalled(Cause::new("InvalidCELExpression", message))
    })?;
    let own = serde_json::to_value(object).unwrap_or_default();
    Ok(compiled.holds([("self", &own), ("dep", dependency)]))
}

/// What is known of one object.
enum Look {
    Well,
    Pending(String),
    Failed(String),
}

/// What must be well: everything applied when `wait` is set, else what healthChecks name; never the object itself.
pub fn ids(object: &Kustomization, own: &Id, wanted: &[Wanted]) -> Vec<Id> {
    let mut ids: Vec<Id> = if object.spec.wait == Some(true) {
        let applied = wanted.iter().filter(|wanted| !decide::manner(&wanted.document, None, false).skip);
        applied.map(|wanted| wanted.id.clone()).collect()
    } else {
        let checks = object.spec.health_checks.iter();
        checks.map(|check| source::id_of_kind_reference(check, &own.namespace)).collect()
    };
    ids.retain(|id| id != own);
    ids
}

/// Waits until all objects are well. `outdated` is asked before every look.
///
/// `may_vanish`: objects of which it is fine to be gone, such as finished Jobs with a time to live.
pub async fn wait(
    cluster: &Cluster,
    ids: &[Id],
    may_vanish: &[Id],
    checks: &Checks,
    timeout: Duration,
    outdated: impl Fn() -> bool + Send,
) -> Result<(), Unwell> {
    let deadline = Instant::now() + timeout;
    let mut pending: Vec<(Id, String)> = ids.iter().map(|id| (id.clone(), String::new())).collect();
    let mut pause = Duration::from_millis(100);
    loop {
        let mut failed = Vec::new();
        let looks = pending.into_iter().map(|(id, _)| async { (look(cluster, &id, may_vanish, checks).await, id) });
        let looks: Vec<(Look, Id)> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        pending = Vec::new();
        for (look, id) in looks {
            match look {
                Look::Well => {}
                Look::Pending(how) => pending.push((id, how)),
                Look::Failed(how) => failed.push((id, how)),
            }
        }
        if !failed.is_empty() {
            return Err(Unwell::Failed(format!("failed: {}", listing(&failed))));
        }
        if pending.is_empty() {
            return Ok(());
        }
        if outdated() {
            return Err(Unwell::Canceled);
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(Unwell::Failed(format!("timeout waiting for: {}", listing(&pending))));
        }
        tokio::time::sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(POLL);
    }
}

async fn look(cluster: &Cluster, id: &Id, may_vanish: &[Id], checks: &Checks) -> Look {
    match cluster.get(id).await {
        Ok(Some(document)) => checks.judge(id, &document).unwrap_or_else(|| judge(&document)),
        Ok(None) if may_vanish.contains(id) => Look::Well,
        Ok(None) => Look::Pending("not found".into()),
        // A server that does not answer says nothing about the object; the deadline ends that.
        Err(error) => Look::Pending(error.to_string()),
    }
}

fn judge(document: &Value) -> Look {
    let Health { state, reason, message, .. } = kinds::kstatus::health(document);
    let how =
        [state.word(), &reason, &message].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    match state {
        State::Ready => Look::Well,
        // Suspended on purpose: it is as it should be, as far as it had come.
        State::Suspended if is_ready(document) => Look::Well,
        State::Failed => Look::Failed(how),
        _ => Look::Pending(how),
    }
}

fn is_ready(document: &Value) -> bool {
    crate::base::Condition::find(document, "Ready").is_none_or(|ready| ready.status == "True")
}

/// Whether an object may be gone without harm.
pub fn may_vanish(document: &Value) -> bool {
    document["kind"] == "Job" && document.pointer("/spec/ttlSecondsAfterFinished").is_some_and(|ttl| !ttl.is_null())
}

fn listing(objects: &[(Id, String)]) -> String {
    let mut lines: Vec<String> = objects.iter().take(10).map(|(id, how)| format!("{id} ({how})")).collect();
    if objects.len() > 10 {
        lines.push(format!("and {} more", objects.len() - 10));
    }
    lines.join(", ")
}
