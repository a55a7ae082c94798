//! What Flux v1's annotations want, decided: over the tags that scans of the same image found, and their build dates.
//!
//! Asked for by [`ANNOTATION`] on the automation. Tags come from the ImageRepositories of its namespace, so an image is
//! only moved when somebody lists it; dates are fetched once for each tag and kept. Start with [`decisions`].
//!
//! Source: fluxcd/flux pkg/update, pkg/registry/cache. Deliberate differences: nothing is chosen before the dates of all
//! tags that match are known, and the date of a tag that is moved is not fetched again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt as _, stream};

use super::super::image_repository::{canonical, registry, repository};
use super::super::{Cause, Context, Failure};
use crate::base::{Stamp, Value};
use crate::engine::policy::legacy::{Built, Pattern};
use crate::engine::setters::{Decision, Wish};
use crate::kinds::{ImageRepository, ImageUpdateAutomation, image_repository};
use crate::outside::oci::OciError;

/// On an automation: honour the annotations of Flux v1 too.
pub const ANNOTATION: &str = "weir.dev/flux-v1";
const ENABLED: &str = "enabled";

/// Dates that are fetched in one run, and at the same time; and in one go with one time-out.
const DATES: usize = 2_000;
const AT_ONCE: usize = 8;
const CHUNK: usize = 50;

/// Whether an automation asks for the annotations.
pub(super) fn is_wanted(object: &ImageUpdateAutomation) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(ANNOTATION)).is_some_and(|value| value == ENABLED)
}

/// The decisions on some wishes, by image, tag and pattern.
pub(super) struct Decisions(HashMap<(String, String, String), Decision>);

impl Decisions {
    pub fn on(&self, wish: &Wish) -> Decision {
        let key = (wish.image.clone(), wish.tag.clone(), wish.pattern.text.clone());
        self.0.get(&key).cloned().unwrap_or(Ok(None))
    }
}

/// Decides for every wish.
///
/// Errors when the ImageRepositories cannot be listed.
pub(super) async fn decisions(cx: &Context, namespace: &str, wishes: Vec<Wish>) -> Result<Decisions, Failure> {
    let found = cx.cluster.list(&image_repository::KIND.api(), Some(namespace), None).await;
    let unknown = |why: String| Failure::Retry(Cause::new("UpdateFailed", format!("failed to apply policies: {why}")));
    let found: Vec<Value> = found.map_err(|error| unknown(error.to_string()))?;
    let mut sources: BTreeMap<String, ImageRepository> = BTreeMap::new();
    for document in found {
        // One that cannot be read is its own trouble.
        let Ok(object) = serde_json::from_value::<ImageRepository>(document) else { continue };
        if let Ok(repository) = repository(&object.spec.image) {
            sources.entry(canonical(&repository)).or_insert(object);
        }
    }
    let mut decided = HashMap::new();
    for wish in wishes {
        let decision = decide(cx, namespace, &sources, &wish).await;
        decided.insert((wish.image, wish.tag, wish.pattern.text), decision);
    }
    Ok(Decisions(decided))
}

async fn decide(cx: &Context, namespace: &str, sources: &BTreeMap<String, ImageRepository>, wish: &Wish) -> Decision {
    let image = repository(&wish.image).map_err(|failure| failure.cause().message.clone())?;
    let image = canonical(&image);
    let Some(source) = sources.get(&image) else { return Err(format!("no ImageRepository scans {image}")) };
    let name = source.metadata.name.clone().unwrap_or_default();
    let listed = cx.tags.get(namespace, &name, &image).await;
    let Some(listed) = listed else { return Err(format!("ImageRepository {name} has found no tags yet")) };
    let pattern = &wish.pattern;
    let mut matching: Vec<String> = listed.tags.iter().filter(|tag| pattern.matches(tag)).cloned().collect();
    let mut created = listed.created.clone();
    if pattern.needs_dates() {
        // The image that runs must be dated too.
        matching.push(wish.tag.clone());
        let missing: Vec<String> = matching.iter().filter(|tag| !created.contains_key(*tag)).cloned().collect();
        if missing.len() > DATES {
            fetch(cx, source, namespace, missing[..DATES].to_vec()).await?;
            return Err(format!("the build dates of {} more tags of {image} are not known yet", missing.len() - DATES));
        }
        created.extend(fetch(cx, source, namespace, missing).await?);
    }
    Ok(chosen(pattern, wish, &matching, &created))
}

/// The tag that wins; none when what runs has no date and dates decide.
fn chosen(pattern: &Pattern, wish: &Wish, tags: &[String], created: &BTreeMap<String, Option<i64>>) -> Option<String> {
    let date = |tag: &String| created.get(tag).copied().flatten().map(Stamp);
    if pattern.needs_dates() && date(&wish.tag).is_none() {
        return None;
    }
    let built: Vec<Built> = tags
        .iter()
        .filter(|tag| pattern.matches(tag))
        .map(|tag| Built { tag: tag.clone(), created: date(tag) })
        .collect();
    pattern.latest(&built).map(|built| built.tag.clone())
}

/// Fetches build dates and keeps them, also those that came before a registry had enough: so the next run gets further.
async fn fetch(
    cx: &Context,
    source: &ImageRepository,
    namespace: &str,
    tags: Vec<String>,
) -> Result<BTreeMap<String, Option<i64>>, String> {
    let mut dates = BTreeMap::new();
    let mut asked = Ok(());
    for chunk in tags.chunks(CHUNK) {
        asked = ask(cx, source, namespace, chunk, &mut dates).await;
        if asked.is_err() {
            break;
        }
    }
    if !dates.is_empty() {
        let name = source.metadata.name.clone().unwrap_or_default();
        let kept = cx.tags.date(namespace, &name, &dates).await;
        kept.map_err(|error| format!("build dates cannot be kept: {error}"))?;
    }
    asked.map(|()| dates)
}

/// Asks for some build dates, until one cannot be had.
async fn ask(
    cx: &Context,
    source: &ImageRepository,
    namespace: &str,
    tags: &[String],
    dates: &mut BTreeMap<String, Option<i64>>,
) -> Result<(), String> {
    let registry = registry(cx, &source.spec, namespace).await.map_err(|failure| failure.cause().message.clone())?;
    let registry = Arc::new(registry);
    let ask = |tag: String| {
        let registry = Arc::clone(&registry);
        async move { (registry.created(&tag).await, tag) }
    };
    let mut answers = stream::iter(tags.to_vec()).map(ask).buffer_unordered(AT_ONCE);
    while let Some((answer, tag)) = answers.next().await {
        match answer {
            Ok(date) => drop(dates.insert(tag, date.map(|stamp| stamp.0))),
            // It has none, and will not have one the next time.
            Err(OciError::Missing { .. } | OciError::Content { .. }) => drop(dates.insert(tag, None)),
            Err(error) => return Err(format!("the build date of {}:{tag} is not known: {error}", source.spec.image)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_date_of_what_runs_nothing_newer_is_known() {
        let wish = |tag: &str| Wish { image: "a".into(), tag: tag.into(), pattern: Pattern::read("glob:main-*") };
        let tags = ["main-1", "main-2", "old"].map(String::from);
        let dates = |old: Option<i64>| {
            [("main-1", Some(2)), ("main-2", Some(1)), ("old", old)].map(|(tag, date)| (tag.to_owned(), date)).into()
        };
        let choose = |tag: &str, old| chosen(&Pattern::read("glob:main-*"), &wish(tag), &tags, &dates(old));
        assert_eq!(choose("old", Some(0)).as_deref(), Some("main-1"));
        assert_eq!(choose("old", None), None);
        assert_eq!(choose("main-2", None).as_deref(), Some("main-1"));
    }
}
