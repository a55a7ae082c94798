//! The objects of a release as they live, and as an action would leave them: reads and dry runs, no write.
//!
//! What cannot be looked at becomes a note. Start with [`Sight`].

use std::collections::HashSet;

use futures::StreamExt as _;
use futures::stream;

use super::merging::taken_over;
use super::objects::{Manner, Objects, Placed, is_kept};
use super::prepare::is_definition;
use crate::base::{Id, Redactor, Text, Value};
use crate::cluster::ClusterError;
use crate::engine::diff::{self, Patch, decided};
use crate::engine::release::{Hidden, Paths, Record, documents};
use crate::kinds::helm_release::CrdsPolicy;

/// Requests at the same time.
const AT_ONCE: usize = 4;

/// Which objects of a manifest go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// Those that are wanted no longer.
    Rest,
    /// All that are the release's own.
    All,
}

/// What was seen.
#[derive(Default)]
pub struct Sight {
    before: Vec<Value>,
    after: Vec<Value>,
    wanted: HashSet<Id>,
    pub notes: Vec<Text>,
    hidden: Redactor,
}

impl Sight {
    /// Hides what must not be told.
    pub fn hide(&mut self, hidden: &Redactor) {
        self.hidden = self.hidden.and(hidden);
    }

    /// Hides what Secrets gave to a revision: as it says itself, or else in the places that they fill now.
    pub fn hide_of(&mut self, record: &Record, now: Option<&Paths>) {
        self.hide(&Hidden::redactor_of(record, now));
    }

    pub fn note(&mut self, words: impl AsRef<str>) {
        self.notes.push(Text::new(words));
    }

    /// What must not be told.
    pub fn hidden(&self) -> &Redactor {
        &self.hidden
    }

    /// What differs.
    pub fn patch(&mut self) -> Patch {
        let hidden = self.hidden.clone();
        self.before.iter_mut().chain(&mut self.after).for_each(|document| hidden.clean_object(document));
        diff::objects(&self.before, &self.after)
    }

    /// One object as it lives and as it will be.
    pub fn put(&mut self, live: Option<&Value>, after: &Value) {
        self.before.extend(live.map(decided));
        self.after.push(decided(after));
    }

    /// Sees what a manifest that takes the place of another makes of the objects that live.
    ///
    /// Errors when it is no YAML.
    pub async fn manifest(
        &mut self,
        objects: &Objects<'_>,
        original: &str,
        manifest: &str,
        manner: Manner,
    ) -> Result<(), String> {
        let originals = objects.read(original).await.unwrap_or_else(|error| {
            self.note(format!("what goes away with the current release is not known: {error}"));
            Vec::new()
        });
        let looks = documents(manifest)?.into_iter().map(|document| foresee(objects, &originals, document, manner));
        let mut seen = stream::iter(looks).buffered(AT_ONCE);
        let mut old = 0;
        while let Some(seen) = seen.next().await {
            old +=
                usize::from(manner.server_side && seen.before.as_ref().is_some_and(|live| taken_over(live).is_some()));
            self.wanted.extend(seen.placed.map(|placed| placed.id));
            self.before.extend(seen.before.as_ref().map(decided));
            self.after.extend(seen.after.as_ref().map(decided));
            self.notes.extend(seen.note.map(Text::new));
        }
        if old > 0 {
            self.note(format!(
                "{old} object(s) have fields from before server-side apply: those the chart has no longer go too, unseen here"
            ));
        }
        Ok(())
    }

    /// Sees which objects of a manifest go.
    pub async fn going(&mut self, objects: &Objects<'_>, manifest: &str, which: Going) {
        let documents = match documents(manifest) {
            Ok(documents) => documents,
            Err(error) => return self.note(format!("what would be deleted is not known: {error}")),
        };
        for document in documents {
            let placed = match objects.place(document).await {
                Ok(placed) => placed,
                Err(error) => {
                    self.note(error);
                    continue;
                }
            };
            if self.wanted.contains(&placed.id) {
                continue;
            }
            let live = match objects.cx.cluster.get_as(&placed.api, &placed.id).await {
                Ok(Some(live)) => live,
                Ok(None) => continue,
                Err(error) => {
                    self.note(format!("{}: {error}", placed.id));
                    continue;
                }
            };
            let stays = match which {
                Going::Rest => is_kept(&live),
                Going::All => is_kept(&placed.document) || !objects.is_own(&live),
            };
            if !stays {
                self.before.push(decided(&live));
            }
        }
    }

    /// Sees the definitions of a file of `crds/` as they are and as they would be.
    ///
    /// Errors with what cannot be read or looked at.
    pub async fn definitions(&mut self, objects: &Objects<'_>, file: &str, policy: CrdsPolicy) -> Result<(), String> {
        for document in documents(file)? {
            if !Id::of(&document).is_some_and(|id| is_definition(&id)) {
                continue;
            }
            let placed = objects.place(document).await?;
            let live = objects.cx.cluster.get_as(&placed.api, &placed.id).await;
            let live = live.map_err(|error| format!("{}: {error}", placed.id))?;
            if live.is_none() || policy != CrdsPolicy::Create {
                self.put(live.as_ref(), &placed.document);
            }
        }
        Ok(())
    }
}

/// What is known of one object.
#[derive(Default)]
struct Seen {
    placed: Option<Placed>,
    before: Option<Value>,
    after: Option<Value>,
    note: Option<String>,
}

async fn foresee(objects: &Objects<'_>, originals: &[Placed], document: Value, manner: Manner) -> Seen {
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
    let original = originals.iter().find(|original| original.id == placed.id);
    match objects.put(original, &placed, live.as_ref(), manner, true).await {
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
