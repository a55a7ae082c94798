//! What the next reconciliation of a release would do: the same observation, the same choice, dry runs, and no write.
//!
//! What cannot be foreseen becomes a note; a chart that cannot be rendered is an error, never an empty release. The
//! objects are seen in `foresee`. Start with [`preview`].

use std::sync::Arc;

use super::super::kustomization::health::Checks;
use super::super::{Cause, Context, Failure};
use super::act::{INSTALL, ROLLBACK, UPGRADE, Work, resolve};
use super::cycle::why_stopped;
use super::decide::{self, Choice, Observed, State, Step, Target, Wanted};
use super::drift;
use super::foresee::{Going, Sight};
use super::history;
use super::leave::is_selected;
use super::objects::{Manner, Objects};
use super::plan::{Action, Plan};
use super::report;
use super::source::{self, Loaded};
use super::storage::Storage;
use super::values::{self, Composed};
use crate::base::Text;
use crate::engine::diff::Preview;
use crate::engine::release::{Record, Status, TEST, config_digest};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{ApplyMode, CrdsPolicy, DriftMode};

/// Choices that are gone through: unlocking only leads to the next one.
const CHOICES: usize = 3;

/// Looks at what a reconciliation would do now.
///
/// Errors as the reconciliation itself would.
pub async fn preview(cx: &Context, object: &HelmRelease) -> Result<Preview, Failure> {
    let composed = values::compose(&cx.cluster, object).await;
    let composed = composed.map_err(|error| Failure::Retry(Cause::new("ValuesError", error)))?;
    let hidden = composed.hidden.clone();
    let mut preview = Preview::default();
    let mut sight = Sight::default();
    sight.hide(&hidden);
    let looked = look(cx, object.clone(), composed, &mut preview, &mut sight).await;
    looked.map_err(|failure| failure.cleaned(sight.hidden()))?;
    preview.patch = sight.patch();
    preview.notes.append(&mut sight.notes);
    preview.notes.iter_mut().for_each(|note| *note = Text::new(sight.hidden().clean(note.as_str())));
    Ok(preview)
}

async fn look(
    cx: &Context,
    mut object: HelmRelease,
    composed: Composed,
    preview: &mut Preview,
    sight: &mut Sight,
) -> Result<(), Failure> {
    let Composed { values, secret, hidden } = composed;
    let plan = Plan::of(&object, &cx.options)?;
    let checks = Checks::of(&object.spec.health_check_exprs)?;
    let (force, reset) = history::requests(&mut object);
    let (id, artifact) = source::find(cx, &object).await?;
    let Loaded { chart, oci_digest } = source::load(cx, &id, &artifact, plan.timeout).await?;
    let (renderers_digest, metadata_digest) = report::renderer_digests(&object);
    let wanted = Wanted {
        chart_name: chart.metadata.name.clone(),
        chart_version: chart.metadata.version.clone(),
        config_digest: config_digest(&values),
        renderers_digest,
        metadata_digest,
    };
    if object.spec.suspend == Some(true) {
        sight.note("it is suspended: nothing of this happens before it is resumed");
    }
    tell(preview, "Chart", format!("{}@{}", wanted.chart_name, wanted.chart_version));
    let there = super::there(cx, &object).await?;
    let first = match decide::target(&object, &wanted.chart_name, cx.options.hold_mass_prune) {
        Target::Same => None,
        Target::Renamed => {
            tell(preview, "Next", format!("nothing: {}", super::renamed(&object, &wanted.chart_name)));
            return Ok(());
        }
        Target::Moved(why) => Some(leave(&there, &mut object, why).await?),
    };
    super::attempt(&mut object, &wanted, oci_digest.clone(), reset);
    let (release, namespace) = (object.release_name(), object.release_namespace().to_owned());
    let storage = Storage::new(&there.cluster, object.storage_namespace(), &release, &object.metadata);
    let (chart, secret) = (Arc::new(chart), Some(secret));
    let cx = &there;
    let work =
        Work { cx, checks, plan, storage, chart, values, secret, hidden, oci_digest, wanted, release, namespace };
    let uninstalls = first.as_ref().map(|(old, why)| format!("uninstall {}, as its {why} changed, then ", old.about));
    Foreseeing { work, object, preview, sight, first: uninstalls.unwrap_or_default() }.go(force).await?;
    if let Some((old, _)) = first {
        let checks = Checks::default();
        let objects = Objects { cx, checks: &checks, release: &old.record.name, namespace: &old.record.namespace };
        sight.hide_of(&old.record, None);
        sight.note("what the old release and the new one both have is deleted and made anew");
        sight.going(&objects, &old.record.manifest, Going::All).await;
    }
    Ok(())
}

/// A release that goes before anything else is done.
struct Old {
    about: String,
    record: Record,
}

/// Finds the release that is left behind, and forgets it in the object.
async fn leave(cx: &Context, object: &mut HelmRelease, why: &'static str) -> Result<(Old, &'static str), Failure> {
    let metadata = object.metadata.clone();
    let status = object.status.get_or_insert_default();
    let latest = status.history.first().cloned().unwrap_or_default();
    let namespace = status.storage_namespace.take().unwrap_or_default();
    status.history.clear();
    status.inventory = None;
    super::clear_failures(status);
    let storage = Storage::new(&cx.cluster, &namespace, &latest.name, &metadata);
    let record = storage.last().await.map_err(|error| failed(&error))?;
    Ok((Old { about: latest.full_name(), record: record.unwrap_or_default() }, why))
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::Retry(Cause::new("StateError", error.to_string()))
}

fn tell(preview: &mut Preview, label: &str, words: impl AsRef<str>) {
    preview.about.push((Text::new(label), Text::new(words)));
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
        State::Drifted => "the cluster is not as released",
        State::Untested | State::InSync => "chart and values are as released",
    }
}

/// A cycle that only looks.
struct Foreseeing<'a, 'b> {
    work: Work<'a>,
    object: HelmRelease,
    preview: &'b mut Preview,
    sight: &'b mut Sight,
    /// What is done before, in words.
    first: String,
}

impl Foreseeing<'_, '_> {
    async fn go(mut self, mut force: bool) -> Result<(), Failure> {
        let mut last = self.work.storage.last().await.map_err(|error| failed(&error))?;
        let released = last.as_ref().map(|record| report::snapshot(record, None));
        let released = released.map(|it| format!("{} ({})", it.versioned_chart(), it.full_name()));
        tell(self.preview, "Released", released.as_deref().unwrap_or("nothing yet"));
        for turn in 0..CHOICES {
            let observed = self.work.observe(&mut self.object, last.take()).await;
            let (observed, _) = observed.map_err(|error| failed(&error))?;
            let state = self.state(&observed).await?;
            if turn == 0 {
                tell(self.preview, "Why", why(&state));
            }
            let plan = self.work.plan.clone();
            let Choice { step, history } = match decide::next(&self.object, &plan, &state, &observed, force) {
                Ok(choice) => choice,
                Err(stop) => {
                    let failure = why_stopped(&stop, &self.object, &self.work);
                    tell(self.preview, "Next", format!("{}nothing: {}", self.first, failure.cause().message));
                    return Ok(());
                }
            };
            force = false;
            let ignores = plan.ignores_tests(&self.object);
            history::shorten(&mut self.object.status.get_or_insert_default().history, history, ignores);
            if step != Step::Unlock {
                tell(self.preview, "Next", format!("{}{}", self.first, step.word()));
                return self.see(step, &state, observed.last).await;
            }
            self.first += "unlock, then ";
            last = observed.last.map(|record| self.unlocked(record));
        }
        Ok(())
    }

    /// What an unlock makes of a record, and of the history.
    fn unlocked(&mut self, mut record: Record) -> Record {
        record.info.status = Status::Failed;
        record.info.description = "Release unlocked".into();
        let written = [(record.version, record.clone())].into();
        let history = &mut self.object.status.get_or_insert_default().history;
        report::remember(history, &written, None, self.work.oci_digest.as_deref());
        record
    }

    /// The state, with drift, whose objects are seen on the way.
    async fn state(&mut self, observed: &Observed) -> Result<State, Failure> {
        let wanted = self.work.wanted_over(observed.last.as_ref());
        let state = decide::state(&self.object, &self.work.plan, observed, &wanted);
        let Some(last) = observed.last.as_ref().filter(|_| state == State::InSync) else { return Ok(state) };
        if self.work.plan.drift == DriftMode::Disabled {
            return Ok(state);
        }
        let rules = self.object.spec.drift_detection.clone().unwrap_or_default().ignore;
        let found = drift::detect(&self.work.objects(), last, &rules).await;
        let (drifts, unseen) = found.map_err(|error| failed(&error))?;
        unseen.iter().for_each(|error| self.sight.note(error));
        if drifts.is_empty() {
            return Ok(state);
        }
        self.sight.hide_of(last, self.work.secret.as_ref());
        if self.work.plan.drift == DriftMode::Enabled {
            drifts.iter().for_each(|drift| self.sight.put(drift.live.as_ref(), &drift.dry));
        } else {
            self.sight.note(format!("drift is told and left: {}", drift::summary(&drifts).replace('\n', "; ")));
        }
        Ok(State::Drifted)
    }

    /// Sees what a step does to the objects.
    async fn see(mut self, step: Step, state: &State, last: Option<Record>) -> Result<(), Failure> {
        if let Some(last) = &last {
            self.sight.hide_of(last, self.work.secret.as_ref());
        }
        match (step, state, last) {
            (Step::Install | Step::Upgrade | Step::Rollback, State::Interrupted(_), Some(pending)) => {
                self.resume(&pending).await
            }
            (Step::Install, _, last) => self.install(last.as_ref()).await,
            (Step::Upgrade, _, Some(last)) => self.upgrade(&last).await,
            (Step::Rollback, _, Some(last)) => self.roll_back(&last).await,
            (Step::Uninstall, _, Some(last)) => {
                self.sight.going(&self.work.objects(), &last.manifest, Going::All).await;
                self.hooks(&last, &["pre-delete", "post-delete"], self.work.plan.uninstall.hooks);
                Ok(())
            }
            (Step::Test, _, Some(last)) => {
                self.tests(&last);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn install(&mut self, last: Option<&Record>) -> Result<(), Failure> {
        let is_free =
            |last: &Record| self.work.plan.replace && matches!(last.info.status, Status::Uninstalled | Status::Failed);
        if last.is_some_and(|last| !is_free(last)) {
            self.sight.note("the install will fail: a record of that name is still there; set spec.install.replace");
            return Ok(());
        }
        let action = self.work.plan.install;
        let manner = Manner { server_side: action.apply != ApplyMode::Disabled, replace: false };
        let rendered = self.rendered(1, None, &action, manner).await?;
        self.hooks(&rendered, &[INSTALL.0, INSTALL.1], action.hooks);
        Ok(())
    }

    async fn upgrade(&mut self, last: &Record) -> Result<(), Failure> {
        let current = match self.work.current(last).await {
            Ok(current) => current,
            Err(error) => return Err(Failure::Retry(Cause::new("UpgradeFailed", error))),
        };
        if self.work.plan.preserve_values {
            self.work.reuse_values(&current);
        }
        let action = self.work.plan.upgrade;
        let manner = Manner::of(&action, resolve(action.apply, last));
        let rendered = self.rendered(last.version + 1, Some(&current), &action, manner).await?;
        self.sight.hide_of(&current, self.work.secret.as_ref());
        self.sight.going(&self.work.objects(), &current.manifest, Going::Rest).await;
        self.hooks(&rendered, &[UPGRADE.0, UPGRADE.1], action.hooks);
        Ok(())
    }

    /// Renders the release and sees what it makes of what lives.
    async fn rendered(
        &mut self,
        revision: i64,
        before: Option<&Record>,
        action: &Action,
        manner: Manner,
    ) -> Result<Record, Failure> {
        let reason = if before.is_some() { "UpgradeFailed" } else { "InstallFailed" };
        let rendering = self.work.render(&self.object, revision, before.is_some(), action).await;
        let rendering = rendering.map_err(|error| Failure::Retry(Cause::new(reason, error)))?;
        let objects = self.work.objects();
        if action.crds != CrdsPolicy::Skip {
            for (_, file) in &rendering.crds {
                if let Err(error) = self.sight.definitions(&objects, file, action.crds).await {
                    self.sight.note(error);
                }
            }
        }
        if rendering.lookups > 0 {
            let times = rendering.lookups;
            self.sight
                .note(format!("the chart asks the cluster {times} time(s) with lookup, and did so for this preview"));
        }
        let original = before.map_or("", |before| &before.manifest);
        let seen = self.sight.manifest(&objects, original, &rendering.manifest, manner).await;
        seen.map_err(|error| failed(&error))?;
        Ok(Record { hooks: rendering.hooks, ..Record::default() })
    }

    async fn roll_back(&mut self, last: &Record) -> Result<(), Failure> {
        let status = self.object.status.clone().unwrap_or_default();
        let previous = history::previous(&status.history, self.work.plan.upgrade_remedy.ignore_tests);
        let Some(version) = previous.map(|snapshot| snapshot.version) else { return Ok(()) };
        let Some(target) = self.work.storage.get(version).await.map_err(|error| failed(&error))? else {
            self.sight.note(format!("the rollback will fail: revision {version} is gone"));
            return Ok(());
        };
        self.sight.note(format!("the rollback goes to revision {version}"));
        let action = self.work.plan.rollback;
        self.replaces(&target, last, Manner::of(&action, resolve(action.apply, &target))).await?;
        self.hooks(&target, &[ROLLBACK.0, ROLLBACK.1], self.work.plan.rollback.hooks);
        Ok(())
    }

    /// Goes on with what a dead process began: the record has all that is wanted.
    async fn resume(&mut self, pending: &Record) -> Result<(), Failure> {
        let version = self.work.storage.replaces(pending).unwrap_or_default();
        let replaced = self.work.storage.get(version).await.map_err(|error| failed(&error))?;
        let manner = Manner { server_side: pending.apply_method == "ssa", replace: false };
        self.replaces(pending, &replaced.unwrap_or_default(), manner).await
    }

    async fn replaces(&mut self, new: &Record, old: &Record, manner: Manner) -> Result<(), Failure> {
        for record in [new, old] {
            self.sight.hide_of(record, self.work.secret.as_ref());
        }
        let objects = self.work.objects();
        let seen = self.sight.manifest(&objects, &old.manifest, &new.manifest, manner).await;
        seen.map_err(|error| failed(&error))?;
        self.sight.going(&objects, &old.manifest, Going::Rest).await;
        Ok(())
    }

    /// Notes the hooks that run at these moments, and the tests that follow.
    fn hooks(&mut self, record: &Record, moments: &[&str], on: bool) {
        for hook in record.hooks.iter().filter(|_| on) {
            let at: Vec<&str> = moments.iter().copied().filter(|moment| hook.runs_at(moment)).collect();
            if !at.is_empty() {
                self.sight.note(format!("the hook {} {} runs at {}", hook.kind, hook.name, at.join(", ")));
            }
        }
        if self.work.plan.test.enable && moments.iter().any(|moment| [INSTALL.0, UPGRADE.0].contains(moment)) {
            self.tests(record);
        }
    }

    fn tests(&mut self, record: &Record) {
        let filters = &self.work.plan.test.filters;
        for hook in record.hooks.iter().filter(|hook| hook.runs_at(TEST) && is_selected(&hook.name, filters)) {
            self.sight.note(format!("the test {} {} runs", hook.kind, hook.name));
        }
    }
}
