//! Images of workloads that Flux v1's annotations automate: found in manifests, and set to what was chosen for them.
//!
//! Acts where a workload is automated, and neither locked nor ignored. HelmReleases with Flux v1's annotations are left
//! alone, and so are images with a digest. Start with [`wishes`], then [`apply_wishes`].
//!
//! Source: fluxcd/flux pkg/policy, pkg/cluster/kubernetes (policies.go, images.go).

use std::collections::BTreeMap;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle};

use super::scan::{Marked, Part, events};
use super::{Applied, FILE_BYTES, ObjectId, SettersError, files_under};
use crate::base::FileTree;
use crate::engine::policy::legacy::{FILTER_PREFIX, PREFIXES, Pattern};

/// Kinds that have a pod template, and where it is.
const WORKLOADS: &[(&str, &[&str])] = &[
    ("Deployment", &["spec", "template", "spec"]),
    ("StatefulSet", &["spec", "template", "spec"]),
    ("DaemonSet", &["spec", "template", "spec"]),
    ("CronJob", &["spec", "jobTemplate", "spec", "template", "spec"]),
];

/// What an automated container wants.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Without a tag.
    pub image: String,
    /// The tag that is written now.
    pub tag: String,
    pub pattern: Pattern,
}

/// What was decided for a wish: another tag or none, else why nothing can be decided.
pub type Decision = Result<Option<String>, String>;

/// A wish with the place of its image.
struct Found {
    field: Marked,
    wish: Wish,
}

/// What the automated workloads beneath a path want.
///
/// Errors when the path does not exist.
pub fn wishes(tree: &FileTree, path: &str) -> Result<Vec<Wish>, SettersError> {
    let mut all: Vec<Wish> = Vec::new();
    for (_, _, bytes) in files_under(tree, path)? {
        let found = std::str::from_utf8(bytes).ok().filter(|text| is_of_interest(text)).map(find);
        let found = found.and_then(Result::ok).map(|(found, _)| found);
        for Found { wish, .. } in found.into_iter().flatten() {
            let same = |known: &Wish| {
                known.image == wish.image && known.tag == wish.tag && known.pattern.text == wish.pattern.text
            };
            if !all.iter().any(same) {
                all.push(wish);
            }
        }
    }
    Ok(all)
}

/// Writes what was decided.
///
/// Errors when the path does not exist.
pub fn apply_wishes(tree: &FileTree, path: &str, decide: &dyn Fn(&Wish) -> Decision) -> Result<Applied, SettersError> {
    let mut applied = Applied::default();
    for (path, short, bytes) in files_under(tree, path)? {
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| is_of_interest(text)) else { continue };
        let (found, parts) = match find(text) {
            Ok(found) => found,
            Err(why) => {
                applied.problems.push((path.to_owned(), why));
                continue;
            }
        };
        let mut wanted = Vec::new();
        for Found { field, wish } in &found {
            match decide(wish) {
                Ok(Some(tag)) if tag != wish.tag => wanted.push((field, format!("{}:{tag}", wish.image))),
                Ok(_) => {}
                Err(why) => applied.held.push((format!("{path}:{}", field.line), why)),
            }
        }
        let edits: Vec<(&Marked, &str)> = wanted.iter().map(|(field, value)| (*field, value.as_str())).collect();
        applied.write(path, short, text, parts, &edits);
    }
    Ok(applied)
}

fn is_of_interest(text: &str) -> bool {
    text.len() <= FILE_BYTES && PREFIXES.iter().any(|prefix| text.contains(prefix)) && text.contains("automated")
}

/// An open collection, by the key or the index that is current in it.
enum Frame {
    Mapping { key: Option<String>, flow: bool },
    Sequence { index: usize, flow: bool },
}

/// One document as far as it matters.
#[derive(Default)]
struct Document {
    id: ObjectId,
    annotations: BTreeMap<String, String>,
    /// By the whole path to the container: its name, and its image.
    containers: BTreeMap<String, (String, Option<Marked>)>,
}

/// The containers that are automated, and all parts of the text.
fn find(text: &str) -> Result<(Vec<Found>, Vec<Part<'_>>), String> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut keys: Vec<bool> = Vec::new();
    let mut document = Document::default();
    let (mut found, mut parts, mut number) = (Vec::new(), Vec::new(), 0);
    events(text, |event, span| {
        parts.push(Part::of(&event));
        match event {
            Event::Scalar(text, style, ..) => {
                if let Some(Frame::Mapping { key: key @ None, .. }) = frames.last_mut() {
                    *key = Some(text.into_owned());
                } else {
                    document.take(&frames, &text, style, &span, number);
                    step(&mut frames);
                }
                number += 1;
            }
            Event::Alias(_) => match frames.last_mut() {
                Some(Frame::Mapping { key: key @ None, .. }) => *key = Some(String::new()),
                _ => step(&mut frames),
            },
            Event::SequenceStart(style, ..) => {
                keys.push(begins_key(&mut frames));
                frames.push(Frame::Sequence { index: 0, flow: style == StructureStyle::Flow });
            }
            Event::MappingStart(style, ..) => {
                keys.push(begins_key(&mut frames));
                frames.push(Frame::Mapping { key: None, flow: style == StructureStyle::Flow });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                frames.pop();
                if keys.pop() != Some(true) {
                    step(&mut frames);
                }
            }
            Event::DocumentEnd => {
                found.extend(std::mem::take(&mut document).end());
                frames.clear();
                keys.clear();
            }
            _ => {}
        }
    })?;
    Ok((found, parts))
}

/// A collection may be a key, which has no name then.
fn begins_key(frames: &mut [Frame]) -> bool {
    match frames.last_mut() {
        Some(Frame::Mapping { key: key @ None, .. }) => {
            *key = Some(String::new());
            true
        }
        _ => false,
    }
}

fn step(frames: &mut [Frame]) {
    match frames.last_mut() {
        Some(Frame::Mapping { key, .. }) => *key = None,
        Some(Frame::Sequence { index, .. }) => *index += 1,
        None => {}
    }
}

impl Document {
    fn take(&mut self, frames: &[Frame], text: &str, style: ScalarStyle, span: &Span, number: usize) {
        let name = |frame: &Frame| match frame {
            Frame::Mapping { key, .. } => key.clone().unwrap_or_default(),
            Frame::Sequence { index, .. } => index.to_string(),
        };
        let path: Vec<String> = frames.iter().map(name).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["apiVersion"] => self.id.api_version = text.to_owned(),
            ["kind"] => self.id.kind = text.to_owned(),
            ["metadata", "name"] => self.id.name = text.to_owned(),
            ["metadata", "namespace"] => self.id.namespace = text.to_owned(),
            ["metadata", "annotations", key] => {
                self.annotations.insert((*key).to_owned(), text.to_owned());
            }
            [template @ .., list @ ("containers" | "initContainers"), _, field @ ("name" | "image")]
                if WORKLOADS.iter().any(|(_, place)| *place == template) =>
            {
                let place = format!("{}/{list}/{}", template.join("/"), path[path.len() - 2]);
                let container = self.containers.entry(place).or_default();
                if *field == "name" {
                    text.clone_into(&mut container.0);
                } else if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                    let bounds = (span.start.byte_offset(), span.end.byte_offset());
                    let (Some(start), Some(end)) = bounds else { return };
                    container.1 = Some(Marked {
                        place: start..end,
                        style,
                        flow: matches!(
                            frames.last(),
                            Some(Frame::Mapping { flow: true, .. } | Frame::Sequence { flow: true, .. })
                        ),
                        value: text.to_owned(),
                        setter: String::new(),
                        object: ObjectId::default(),
                        number,
                        line: span.start.line(),
                    });
                }
            }
            _ => {}
        }
    }

    fn policy(&self, name: &str) -> Option<&str> {
        PREFIXES.iter().find_map(|prefix| self.annotations.get(&format!("{prefix}{name}"))).map(String::as_str)
    }

    fn end(self) -> Vec<Found> {
        let says = |name: &str| self.policy(name) == Some("true");
        if !says("automated") || says("locked") || says("ignore") {
            return Vec::new();
        }
        let place = WORKLOADS.iter().find(|(kind, _)| *kind == self.id.kind).map(|(_, place)| place.join("/"));
        let mut found = Vec::new();
        for (path, (name, field)) in &self.containers {
            let is_here = place.as_ref().is_some_and(|place| {
                path.strip_prefix(place.as_str()).is_some_and(|rest| rest.matches('/').count() == 2)
            });
            let Some(mut field) = field.clone().filter(|field| is_here && !field.value.contains('@')) else { continue };
            let own = self.annotations.get(&format!("{FILTER_PREFIX}{name}")).map(String::as_str);
            let pattern = self.policy(&format!("tag.{name}")).or(own).unwrap_or("glob:*");
            let (image, tag) = match field.value.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
                Some((image, tag)) => (image.to_owned(), tag.to_owned()),
                None => (field.value.clone(), "latest".to_owned()),
            };
            field.setter = format!("fluxcd.io/tag.{name}");
            field.object = self.id.clone();
            found.push(Found { field, wish: Wish { image, tag, pattern: Pattern::read(pattern) } });
        }
        found.sort_by_key(|found| found.field.place.start);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations:
    fluxcd.io/automated: \"true\"
    fluxcd.io/tag.web: semver:~1.0
    filter.fluxcd.io/side: glob:main-*
spec:
  template:
    spec:
      initContainers:
      - {name: init, image: 'host:5000/a/init:1'}   # kept
      containers:
      - name: web
        image: ghcr.io/o/web:1.0.1 # the tag follows the policy
      - image: \"side\"
        name: side
      - name: fixed
        image: a@sha256:abc
";

    fn tree(text: &str) -> FileTree {
        [("d/a.yaml", text), ("d/note.txt", MANIFEST), ("e/b.yaml", MANIFEST)].into_iter().collect()
    }

    #[test]
    fn automated_containers_wish_by_their_annotations() {
        let wishes = wishes(&tree(MANIFEST), "d").unwrap();
        let told: Vec<String> =
            wishes.iter().map(|wish| format!("{} {} {}", wish.image, wish.tag, wish.pattern)).collect();
        assert_eq!(told, ["host:5000/a/init 1 glob:*", "ghcr.io/o/web 1.0.1 semver:~1.0", "side latest glob:main-*"]);
    }

    #[test]
    fn only_what_was_decided_is_written_and_all_else_stays() {
        let decide = |wish: &Wish| match wish.image.as_str() {
            "ghcr.io/o/web" => Ok(Some("1.0.9".to_owned())),
            "side" => Err("its build dates are not known".to_owned()),
            _ => Ok(None),
        };
        let applied = apply_wishes(&tree(MANIFEST), "./d", &decide).unwrap();
        assert_eq!(applied.files.len(), 1);
        let written = String::from_utf8(applied.files[0].1.clone()).unwrap();
        assert_eq!(written, MANIFEST.replace("web:1.0.1", "web:1.0.9"));
        assert_eq!(applied.held, [("d/a.yaml:18".to_owned(), "its build dates are not known".to_owned())]);
        let changes = applied.changed.changes();
        assert_eq!((changes.len(), changes[0].setter.as_str()), (1, "fluxcd.io/tag.web"));
        assert_eq!(applied.changed.files["a.yaml"].keys().next().unwrap().name, "web");
    }

    #[test]
    fn what_is_locked_ignored_or_not_automated_is_left_alone() {
        let found = |text: &str| wishes(&tree(text), "d").unwrap().len();
        let more = |line: &str| MANIFEST.replace("  annotations:\n", &format!("  annotations:\n    {line}\n"));
        assert_eq!(found(&more("fluxcd.io/locked: 'true'")), 0);
        assert_eq!(found(&more("flux.weave.works/ignore: 'true'")), 0);
        assert_eq!(found(&more("fluxcd.io/ignore: sync_only")), 3);
        assert_eq!(found(&MANIFEST.replace("automated: \"true\"", "automated: \"false\"")), 0);
        assert_eq!(found(&MANIFEST.replace("fluxcd.io/automated", "flux.weave.works/automated")), 3);
        assert_eq!(found(&MANIFEST.replace("Deployment", "HelmRelease")), 0);
        assert_eq!(found(&MANIFEST.replace("Deployment", "CronJob")), 0, "its template is elsewhere");
        assert_eq!(found("a: [ # fluxcd.io/automated"), 0);
    }
}
