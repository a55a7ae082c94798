//! What the next reconciliation of a release would do: the same chart, the same values, dry runs, and no write.
//!
//! A release in sync shows what a correction of drift would set back, if that is on. What cannot be foreseen becomes a
//! note; a chart that cannot be rendered is an error, never an empty release. Start with [`preview`].

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;

use super::super::{Cause, Context, Failure};
use super::act::Work;
use super::decide::{self, Observed, State, Wanted};
use super::objects::{MANAGER, Objects, Placed, is_kept};
use super::plan::Plan;
use super::prepare::is_definition;
use super::source::{self, Loaded};
use super::storage::Storage;
use super::values::Composed;
use super::{drift, report, values};
use crate::base::{Id, Text, Value};
use crate::cluster::{Apply, ClusterError};
use crate::engine::diff::{self, Patch, Preview, decided};
use crate::engine::release::{Hidden, Record, config_digest, documents};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{CrdsPolicy, DriftMode};

/// Requests at the same time.
const AT_ONCE: usize = 4;

/// Looks at what a reconciliation would do now.
///
/// Errors as the reconciliation itself would.
pub async fn preview(cx: &Context, object: &HelmRelease) -> Result<Preview, Failure> {
    let composed = values::compose(&cx.cluster, object).await;
    let composed = composed.map_err(|error| Failure::Retry(Cause::new("ValuesError", error)))?;
    let hidden = composed.hidden.clone();
    match look(cx, object, composed).await {
        Ok(mut preview) => {
            preview.notes.iter_mut().for_each(|note| *note = Text::new(hidden.clean(note.as_str())));
            Ok(preview)
        }
        Err(failure) => Err(failure.cleaned(&hidden)),
    }
}

async fn look(cx: &Context, object: &HelmRelease, composed: Composed) -> Result<Preview, Failure> {
    let Composed { values, secret, hidden } = composed;
    let secret = Some(secret);
    let plan = Plan::of(object, &cx.options)?;
    let (id, artifact) = source::find(cx, object).await?;
    let Loaded { chart, oci_digest } = source::load(cx, &id, &artifact, plan.timeout).await?;
    let (release, namespace) = (object.release_name(), object.release_namespace().to_owned());
    let there = super::there(cx, object).await?;
    let storage = Storage::new(&there.cluster, object.storage_namespace(), &release, &object.metadata);
    let (renderers_digest, metadata_digest) = report::renderer_digests(object);
    let wanted = Wanted {
        chart_name: chart.metadata.name.clone(),
        chart_version: chart.metadata.version.clone(),
        config_digest: config_digest(&values),
        renderers_digest,
        metadata_digest,
    };
    let chart = Arc::new(chart);
    let work =
        Work { cx: &there, plan, storage, chart, values, secret, hidden, oci_digest, wanted, release, namespace };
    let last = work.storage.last().await.map_err(|error| failed(&error))?;
    let own = last.as_ref().is_some_and(|last| work.storage.is_own(last));
    let observed = Observed { last: last.clone(), own, ..Observed::default() };
    let state = decide::state(object, &work.plan, &observed, &work.wanted);
    let released = last.as_ref().map(|record| report::snapshot(record, None));
    let mut preview = Preview::default();
    let mut about = |label: &str, value: String| preview.about.push((Text::new(label), Text::new(value)));
    about("Chart", format!("{}@{}", work.wanted.chart_name, work.wanted.chart_version));
    about(
        "Released",
        released.map_or_else(|| "nothing yet".into(), |it| format!("{} ({})", it.versioned_chart(), it.full_name())),
    );
    about("Why", why(&state).into());
    if object.spec.suspend == Some(true) {
        preview.notes.push(Text::new("it is suspended: nothing of this happens before it is resumed"));
    }
    match (&state, &last) {
        (State::InSync | State::Untested, Some(last)) => unchanged(&work, object, last, &mut preview).await?,
        _ => changed(&work, object, last.as_ref(), &mut preview).await?,
    }
    Ok(preview)
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::Retry(Cause::new("StateError", error.to_string()))
}

fn why(state: &State) -> &'static str {
    match state {
        State::Absent => "nothing is released yet",
        State::Orphaned => "its record is gone",
        State::Held(_) => "somebody else works on it",
        State::Locked => "an action died over it",
        State::Interrupted(_) => "an action died over it, and is gone on with",
        State::Unmanaged => "somebody else released it last",
        State::OutOfSync(why) => why,
        State::Failed => "the last release failed",
        State::Leaving => "an uninstall never ended",
        State::Unknown(_) => "its record has an unknown status",
        State::Drifted | State::Untested | State::InSync => "chart and values are as released",
    }
}

/// Only drift can change what is released as wanted.
async fn unchanged(work: &Work<'_>, object: &HelmRelease, last: &Record, preview: &mut Preview) -> Result<(), Failure> {
    if work.plan.drift != DriftMode::Enabled {
        return Ok(());
    }
    let rules = object.spec.drift_detection.clone().unwrap_or_default().ignore;
    let drifts = drift::detect(&work.objects(), last, &rules).await.map_err(|error| failed(&error))?;
    let before = drifts.iter().filter_map(|drift| drift.live.as_ref()).map(decided).collect();
    let after = drifts.iter().map(|drift| decided(&drift.dry)).collect();
    preview.patch = compared(work, Some(last), before, after);
    Ok(())
}

/// Renders the release and compares it with what lives.
async fn changed(
    work: &Work<'_>,
    object: &HelmRelease,
    last: Option<&Record>,
    preview: &mut Preview,
) -> Result<(), Failure> {
    let revision = last.map_or(1, |record| record.version + 1);
    let reason = if last.is_some() { "UpgradeFailed" } else { "InstallFailed" };
    let action = if last.is_some() { &work.plan.upgrade } else { &work.plan.install };
    let rendering = work.render(object, revision, last.is_some(), action).await;
    let rendering = rendering.map_err(|error| Failure::Retry(Cause::new(reason, error)))?;
    let objects = work.objects();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    if action.crds != CrdsPolicy::Skip {
        for (_, file) in &rendering.crds {
            let seen = definitions(&objects, file, action.crds, &mut before, &mut after).await;
            preview.notes.extend(seen.err().map(Text::new));
        }
    }
    let mut wanted = HashSet::new();
    let documents = documents(&rendering.manifest).map_err(|error| failed(&error))?;
    let looks = documents.into_iter().map(|document| foresee(&objects, document));
    let mut seen = stream::iter(looks).buffered(AT_ONCE);
    while let Some(seen) = seen.next().await {
        wanted.extend(seen.placed.map(|placed| placed.id));
        before.extend(seen.before.as_ref().map(decided));
        after.extend(seen.after.as_ref().map(decided));
        preview.notes.extend(seen.note.map(Text::new));
    }
    if let Some(last) = last {
        let gone = going(&objects, last, &wanted, &mut before).await;
        preview.notes.extend(gone.into_iter().map(Text::new));
    }
    for hook in &rendering.hooks {
        let note = format!("the hook {} {} runs at {}", hook.kind, hook.name, hook.events.join(", "));
        preview.notes.push(Text::new(note));
    }
    preview.patch = compared(work, last, before, after);
    Ok(())
}

/// What differs, without what Secrets gave now and gave to the last revision.
fn compared(work: &Work<'_>, last: Option<&Record>, mut before: Vec<Value>, mut after: Vec<Value>) -> Patch {
    let paths =
        last.and_then(|last| last.secret_values.clone()).unwrap_or_else(|| work.secret.clone().unwrap_or_default());
    let old = last.map(|last| Hidden::Paths(paths).redactor(&last.merged_values()));
    let hidden = work.hidden.and(&old.unwrap_or_default());
    before.iter_mut().chain(&mut after).for_each(|document| hidden.clean_object(document));
    diff::objects(&before, &after)
}

/// Adds what the release has and will not have; answers in words what could not be looked at.
async fn going(objects: &Objects<'_>, last: &Record, wanted: &HashSet<Id>, before: &mut Vec<Value>) -> Vec<String> {
    let documents = match documents(&last.manifest) {
        Ok(documents) => documents,
        Err(error) => return vec![format!("what would be deleted is not known: {error}")],
    };
    let mut notes = Vec::new();
    for document in documents {
        let placed = match objects.place(document).await {
            Ok(placed) => placed,
            Err(error) => {
                notes.push(error);
                continue;
            }
        };
        if wanted.contains(&placed.id) {
            continue;
        }
        match objects.cx.cluster.get_as(&placed.api, &placed.id).await {
            Ok(live) => before.extend(live.filter(|live| !is_kept(live)).as_ref().map(decided)),
            Err(error) => notes.push(format!("{}: {error}", placed.id)),
        }
    }
    notes
}

/// What is known of one object.
#[derive(Default)]
struct Seen {
    placed: Option<Placed>,
    before: Option<Value>,
    after: Option<Value>,
    note: Option<String>,
}

async fn foresee(objects: &Objects<'_>, document: Value) -> Seen {
    let placed = match objects.place(document.clone()).await {
        Ok(placed) => objects.own(vec![placed]).remove(0),
        // Its definition may come with it: all that is known is what is wanted.
        Err(note) => return Seen { after: Some(document), note: Some(note), ..Seen::default() },
    };
    let cluster = &objects.cx.cluster;
    let live = match cluster.get_as(&placed.api, &placed.id).await {
        Ok(live) => live,
        Err(error) => {
            return Seen { note: Some(format!("{}: {error}", placed.id)), placed: Some(placed), ..Seen::default() };
        }
    };
    match cluster.apply(&placed.document, &Apply { manager: MANAGER, force: true, dry_run: true }).await {
        Ok(after) => Seen { placed: Some(placed), before: live, after: Some(after), note: None },
        Err(error) => {
            // Its namespace may be made with it.
            let is_new = live.is_none() && matches!(error, ClusterError::NotFound { .. });
            let note = (!is_new).then(|| format!("{}: {error}", placed.id));
            let after = Some(placed.document.clone());
            Seen { placed: Some(placed), before: live, after, note }
        }
    }
}

/// Adds the definitions of a file as they are and as they would be.
///
/// Errors with what cannot be read or looked at.
async fn definitions(
    objects: &Objects<'_>,
    file: &str,
    policy: CrdsPolicy,
    before: &mut Vec<Value>,
    after: &mut Vec<Value>,
) -> Result<(), String> {
    for placed in objects.read(file).await?.into_iter().filter(|placed| is_definition(&placed.id)) {
        let live = objects.cx.cluster.get_as(&placed.api, &placed.id).await;
        let live = live.map_err(|error| format!("{}: {error}", placed.id))?;
        if live.is_some() && policy == CrdsPolicy::Create {
            continue;
        }
        before.extend(live.as_ref().map(decided));
        after.push(decided(&placed.document));
    }
    Ok(())
}
