//! From a chart and values to the text of a release: templates, lookups, post-renderers, origin labels.
//!
//! The engine runs on a blocking thread; what it needs of the cluster is brought, and it runs again. A chart that cannot
//! be rendered is an error with the chart's own words, and changes nothing. Start with [`render`].
//! Source: helm pkg/action (renderResources), helm-controller internal/postrender.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::super::kustomization::build;
use crate::base::{FileTree, Id, yaml};
use crate::cluster::{Cluster, ClusterError};
use crate::engine::chart::{Capabilities, Chart, ChartError, Hook as ChartHook, Manifest, Release, Rendered};
use crate::engine::release::Hook;
use crate::engine::template::{Limits, Lookup, World};
use crate::kinds::HelmRelease;
use crate::kinds::helm_release::{OWNER_NAME, OWNER_NAMESPACE, PostRenderStrategy};
use crate::kinds::kustomization::{CommonMetadata, KustomizationSpec};

/// Questions that the templates of one chart may have for the cluster: each of them renders the chart anew.
const LOOKUPS: usize = 500;
/// Objects that all answers together may have.
const LOOKED_UP: usize = 1_000;
/// Finds a document again after kustomize has had it.
const PLACE: &str = "weir.dev/post-render-place";

/// A rendered release.
#[derive(Clone, Debug, Default)]
pub struct Rendering {
    pub manifest: String,
    pub hooks: Vec<Hook>,
    pub notes: String,
    /// Path and text of what is in `crds/`.
    pub crds: Vec<(String, String)>,
    /// How often the templates asked the cluster.
    pub lookups: usize,
    /// The given values over all defaults.
    pub values: Map<String, Value>,
}

/// What a rendering is made of.
pub struct Ingredients<'a> {
    pub cluster: &'a Cluster,
    pub object: &'a HelmRelease,
    pub chart: &'a Arc<Chart>,
    pub values: &'a Map<String, Value>,
    pub capabilities: &'a Arc<Capabilities>,
    pub release: Release,
    /// Whether the values must be what the chart's schema says.
    pub schema: bool,
    pub timeout: Duration,
}

/// Renders a release.
///
/// Errors with what the chart, a lookup or a post-renderer says.
pub async fn render(with: Ingredients<'_>) -> Result<Rendering, String> {
    let deadline = Instant::now() + with.timeout;
    let mut answers: Arc<BTreeMap<Lookup, Value>> = Arc::default();
    let mut objects = 0;
    let rendered = loop {
        let (chart, capabilities) = (with.chart.clone(), with.capabilities.clone());
        let (values, release, known) = (with.values.clone(), with.release.clone(), answers.clone());
        let how = (with.schema, deadline);
        let work = tokio::task::spawn_blocking(move || run(&chart, &values, &release, &capabilities, &known, how));
        let outcome = work.await.map_err(|panic| format!("internal error, please report it: {panic}"))?;
        match outcome {
            Ok(rendered) => break rendered,
            Err(error) => {
                let Some(wanted) = error.need().cloned() else { return Err(error.to_string()) };
                if answers.contains_key(&wanted) {
                    return Err(format!("lookup: {wanted:?} was answered and is asked again, please report it"));
                }
                if answers.len() >= LOOKUPS {
                    return Err(format!("the chart looks up more than {LOOKUPS} times"));
                }
                let found = look_up(with.cluster, &wanted, &mut objects).await?;
                // The thread that had the other one is done.
                Arc::make_mut(&mut answers).insert(wanted, found);
            }
        }
    };
    let object = with.object.clone();
    let work = tokio::task::spawn_blocking(move || finish(rendered, &object));
    let finished = work.await.map_err(|panic| format!("internal error, please report it: {panic}"))?;
    finished.map(|rendering| Rendering { lookups: answers.len(), ..rendering })
}

fn run(
    chart: &Chart,
    values: &Map<String, Value>,
    release: &Release,
    capabilities: &Capabilities,
    answers: &BTreeMap<Lookup, Value>,
    (schema, deadline): (bool, Instant),
) -> Result<Rendered, ChartError> {
    let random = |bytes: &mut [u8]| rand::fill(bytes);
    let zones = |name: &str| jiff::tz::TimeZone::get(name).ok();
    let stop = || Instant::now() > deadline;
    let world = World {
        now: jiff::Timestamp::now(),
        random: Some(&random),
        zones: Some(&zones),
        lookups: Some(answers),
        stop: Some(&stop),
        limits: Limits::default(),
    };
    match schema {
        true => chart.render(values, release, capabilities, &world),
        false => chart.render_unchecked(values, release, capabilities, &world),
    }
}

/// What a template finds: an object, a list, or nothing.
///
/// Errors when the cluster cannot say, or what was found comes to too much.
async fn look_up(cluster: &Cluster, wanted: &Lookup, objects: &mut usize) -> Result<Value, String> {
    let failed = |error: ClusterError| format!("lookup: {error}");
    let (group, version) = wanted.api_version.rsplit_once('/').unwrap_or(("", &wanted.api_version));
    let api = cluster.find_api(group, &wanted.kind, Some(version)).await.map_err(failed)?;
    let Some(api) = api else { return Ok(json!({})) };
    let namespace = if api.namespaced { wanted.namespace.as_str() } else { "" };
    let too_many =
        || format!("lookup: {} come to more than {LOOKED_UP} objects; name the ones that are needed", wanted.kind);
    if !wanted.name.is_empty() {
        *objects += 1;
        let id = Id::new(group, &wanted.kind, namespace, &wanted.name);
        let found = cluster.get_as(&api, &id).await.map_err(failed)?;
        return if *objects > LOOKED_UP { Err(too_many()) } else { Ok(found.unwrap_or_else(|| json!({}))) };
    }
    let within = Some(namespace).filter(|namespace| !namespace.is_empty());
    let (mut items, mut next) = (Vec::new(), None);
    loop {
        let page = cluster.page(&api, within, next).await.map_err(failed)?;
        *objects += page.items.len();
        if *objects > LOOKED_UP {
            return Err(too_many());
        }
        items.extend(page.items);
        next = page.next;
        if next.is_none() {
            return Ok(
                json!({"apiVersion": wanted.api_version, "kind": format!("{}List", wanted.kind), "items": items}),
            );
        }
    }
}

/// Puts the rendered documents through the post-renderers and makes the texts of a record of them.
fn finish(rendered: Rendered, object: &HelmRelease) -> Result<Rendering, String> {
    let strategy = object.spec.post_render_strategy.unwrap_or_default();
    let (hooks, manifests) = (rendered.hooks, rendered.manifests);
    let hook_manifests: Vec<Manifest> = hooks.iter().map(|hook| hook.manifest.clone()).collect();
    let (hook_texts, texts) = match strategy {
        PostRenderStrategy::NoHooks => {
            (hook_manifests.into_iter().map(Some).collect(), post_render(manifests, object)?)
        }
        PostRenderStrategy::Separate => (post_render(hook_manifests, object)?, post_render(manifests, object)?),
        PostRenderStrategy::Combined => {
            let count = hook_manifests.len();
            let mut all = post_render(hook_manifests.into_iter().chain(manifests).collect(), object)?;
            let rest = all.split_off(count);
            (all, rest)
        }
    };
    let manifest = texts
        .into_iter()
        .flatten()
        .map(|manifest| format!("---\n# Source: {}\n{}\n", manifest.path, manifest.text.trim_end()))
        .collect();
    let hooks = hooks.into_iter().zip(hook_texts).filter_map(|(hook, text)| Some(hook_of(hook, text?))).collect();
    let crds = rendered.crds.into_iter().map(|file| (file.text().into_owned(), file.path));
    let crds = crds.map(|(text, path)| (path, text)).collect();
    Ok(Rendering { manifest, hooks, notes: rendered.notes, crds, lookups: 0, values: rendered.values })
}

fn hook_of(hook: ChartHook, manifest: Manifest) -> Hook {
    Hook {
        name: manifest.name,
        kind: manifest.kind,
        path: manifest.path,
        manifest: manifest.text,
        events: hook.events,
        weight: hook.weight,
        delete_policies: hook.delete_policies,
        output_log_policies: hook.log_policies,
        ..Hook::default()
    }
}

/// The manifests after all post-renderers, each in its place; `None` where a patch deleted one.
fn post_render(manifests: Vec<Manifest>, object: &HelmRelease) -> Result<Vec<Option<Manifest>>, String> {
    let mut documents = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        documents.push(read(manifest)?);
    }
    for renderer in object.spec.post_renderers.iter().filter_map(|renderer| renderer.kustomize.as_ref()) {
        let spec = KustomizationSpec {
            patches: renderer.patches.clone(),
            images: renderer.images.clone(),
            ..KustomizationSpec::default()
        };
        documents =
            kustomized(documents, &spec).map_err(|error| format!("error while running post render: {error}"))?;
    }
    let common = object.spec.common_metadata.clone().unwrap_or_default();
    let place = |manifest: Manifest, document: Option<Value>| {
        let mut document = document?;
        if document.is_object() {
            mark(&mut document, &common, object);
        }
        let name = document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Some(Manifest { text: yaml::write(&document), name, ..manifest })
    };
    Ok(manifests.into_iter().zip(documents).map(|(manifest, document)| place(manifest, document)).collect())
}

fn read(manifest: &Manifest) -> Result<Option<Value>, String> {
    let read = yaml::read_as(manifest.text.as_bytes(), &yaml::Limits::default(), yaml::Dialect::Lenient);
    let documents = read.map_err(|error| format!("YAML parse error on {}: {error}", manifest.path))?;
    Ok(documents.into_iter().next().map(|document| document.value).filter(Value::is_object))
}

/// Runs kustomize over the documents; a mark leads each back to its place.
fn kustomized(documents: Vec<Option<Value>>, spec: &KustomizationSpec) -> Result<Vec<Option<Value>>, String> {
    let count = documents.len();
    let mut marked = Vec::new();
    for (at, document) in documents.into_iter().enumerate() {
        let Some(mut document) = document else { continue };
        set(&mut document, "annotations", PLACE, &at.to_string());
        marked.push(document);
    }
    if marked.is_empty() {
        return Ok(vec![None; count]);
    }
    let text = yaml::write_all(&marked);
    let tree: FileTree = [("helm-output.yaml", text.as_str())].into_iter().collect();
    let mut placed = vec![None; count];
    for mut document in build::kustomize(&tree, spec, None)? {
        let at = document["metadata"]["annotations"][PLACE].as_str().and_then(|at| at.parse::<usize>().ok());
        unset(&mut document);
        if let Some(slot) = at.and_then(|at| placed.get_mut(at)) {
            *slot = Some(document);
        }
    }
    Ok(placed)
}

fn unset(document: &mut Value) {
    let Some(metadata) = document["metadata"].as_object_mut() else { return };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.shift_remove(PLACE);
    if annotations.is_empty() {
        metadata.shift_remove("annotations");
    }
}

/// Adds the common metadata, then whose release it is.
fn mark(document: &mut Value, common: &CommonMetadata, object: &HelmRelease) {
    for (place, entries) in [("labels", &common.labels), ("annotations", &common.annotations)] {
        for (key, value) in entries {
            set(document, place, key, value);
        }
    }
    set(document, "labels", OWNER_NAME, object.metadata.name.as_deref().unwrap_or_default());
    set(document, "labels", OWNER_NAMESPACE, object.own_namespace());
}

/// Sets a label or an annotation.
pub fn set(document: &mut Value, place: &str, key: &str, value: &str) {
    if !document["metadata"].is_object() {
        document["metadata"] = json!({});
    }
    if !document["metadata"][place].is_object() {
        document["metadata"][place] = json!({});
    }
    document["metadata"][place][key] = value.into();
}
