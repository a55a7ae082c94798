//! What a Kustomization waits for before it begins. Start with [`check`].

use super::super::{Cause, Context, Failure};
use super::source::{self, Source};
use super::{decide, health};
use crate::base::format_duration;
use crate::kinds::{Kustomization, kustomization};

/// Checks every dependency live, in order; the first that is missing is named.
///
/// Source: kustomize-controller's checkDependencies. Cycles are not looked for: both sides say what they wait for.
pub async fn check(cx: &Context, object: &Kustomization, source: &Source) -> Result<(), Failure> {
    let own = object.metadata.namespace.as_deref().unwrap_or_default();
    let pause = cx.options.requeue_dependency;
    for dependency in &object.spec.depends_on {
        let id = kustomization::KIND.id(dependency.namespace.as_deref().unwrap_or(own), &dependency.name);
        let document = cx.cluster.get(&id).await.map_err(|error| {
            Failure::Waiting(
                Cause::new("DependencyNotReady", format!("dependency {id} cannot be read: {error}")),
                pause,
            )
        })?;
        let same =
            document.as_ref().is_some_and(|document| source::id_of_reference(document) == Some(source.id.clone()));
        let revision = same.then_some(source.revision.as_str());
        let met = match (&dependency.ready_expr, &document) {
            (Some(expression), Some(found)) => match health::ready_by(expression, object, found)? {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!("dependency {id} is not ready by its readyExpr")),
                Err(why) => Err(format!("dependency {id}: {why}")),
            },
            _ => decide::dependency(&id, document.as_ref(), revision),
        };
        met.map_err(|missing| {
            let message = format!("{missing}, asking again in {}", format_duration(pause));
            Failure::Waiting(Cause::new("DependencyNotReady", message), pause)
        })?;
    }
    Ok(())
}
