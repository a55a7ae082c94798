//! From files to documents ready to apply: kustomize build, variables, owner labels, common metadata, and the stages.
//!
//! The engines are pure and run on a blocking thread. Start with [`build`].
//! Source: kustomize-controller's generate, build and substitute steps.

use std::collections::BTreeMap;

use base64::Engine as _;

use super::super::{Context, Failure, Options};
use super::decide::{self, Plan};
use crate::base::{FileTree, Id, Value, format_duration, yaml};
use crate::cluster::Cluster;
use crate::engine::kustomize::{
    self, Answers, Need, Output, Overlay, OverlayImage, OverlayPatch, OverlayTarget, flux_options,
};
use crate::engine::order::{self, Stage};
use crate::engine::substitute;
use crate::kinds::kustomization::{Image, KustomizationSpec, OWNER_NAME, OWNER_NAMESPACE, Patch, SubstituteReference};
use crate::kinds::{Kustomization, meta};
use crate::outside::bases::{Bases, Policy};
use crate::outside::egress::Egress;

/// The stages of an apply, in order.
const STAGES: [Stage; 4] = [Stage::Definitions, Stage::Classes, Stage::Custom, Stage::Rest];

/// Builds what the object asks for.
///
/// Errors with the retry interval and `BuildFailed`; the message names the file or the object.
pub async fn build(cx: &Context, object: &Kustomization, tree: FileTree, plan: &Plan) -> Result<Vec<Value>, Failure> {
    let failure = |message: String| plan.failure("BuildFailed", message);
    let variables = variables(&cx.cluster, object).await.map_err(failure)?;
    let (object, strict) = (object.clone(), cx.options.strict_substitutions);
    let mut bases = (!cx.options.no_remote_bases).then(|| Bases::new(policy(cx)));
    let work = tokio::task::spawn_blocking(move || render(&object, &tree, variables.as_ref(), strict, bases.as_mut()));
    let built = tokio::time::timeout(plan.timeout, work).await;
    let built =
        built.map_err(|_| failure(format!("the build did not end within {}", format_duration(plan.timeout))))?;
    built.map_err(|panic| failure(format!("internal error, please report it: {panic}")))?.map_err(failure)
}

/// The documents that a Kustomization makes of a tree: what is applied, before the cluster has a say.
///
/// `bases` fetches what is remote; without, that is refused. It blocks, so this runs on a thread that may.
/// Errors name the file or the object.
pub fn render(
    object: &Kustomization,
    tree: &FileTree,
    variables: Option<&BTreeMap<String, String>>,
    strict: bool,
    bases: Option<&mut Bases>,
) -> Result<Vec<Value>, String> {
    let mut documents = kustomize(tree, &object.spec, bases)?;
    for document in &mut documents {
        if let Some(variables) = variables {
            fill_in(document, variables, strict)?;
        }
        mark(document, object);
    }
    Ok(documents)
}

/// Bases may come from where the sources of this weir may come from, but never from its own disk.
fn policy(cx: &Context) -> Policy {
    let loopback = cx.options.allow_local_sources || cx.cluster.place().is_embedded();
    Policy { egress: Egress { loopback }, allow_file: false, scratch: cx.artifacts.scratch() }
}

/// The documents that kustomize makes of a tree under the fields of a spec that shape a build.
///
/// Errors name the file or the object.
pub fn kustomize(tree: &FileTree, spec: &KustomizationSpec, bases: Option<&mut Bases>) -> Result<Vec<Value>, String> {
    let directory = spec.path.as_deref().unwrap_or_default().trim_start_matches('/');
    let options = flux_options(bases.is_some());
    let overlay = overlay(spec);
    let prepared = kustomize::prepare(tree, directory, &overlay, &options).map_err(|error| error.to_string())?;
    let directory = FileTree::resolve("", directory).unwrap_or_default();
    let built = match bases {
        Some(bases) => bases.build(&prepared, &directory, &options).map(|(manifests, _)| manifests),
        None => match kustomize::build(&prepared, &directory, &options, &Answers::default()) {
            Ok(Output::Built { manifests, .. }) => Ok(manifests),
            Ok(Output::Need(Need::Remote(address))) => return Err(format!("the base {address:?} is remote")),
            Err(error) => Err(error),
        },
    };
    let manifests = built.map_err(|error| error.to_string())?;
    Ok(manifests.into_iter().map(|manifest| manifest.value).collect())
}

fn overlay(spec: &KustomizationSpec) -> Overlay {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let target = |patch: &Patch| {
        patch.target.as_ref().map(|target| OverlayTarget {
            group: text(&target.group),
            version: text(&target.version),
            kind: text(&target.kind),
            name: text(&target.name),
            namespace: text(&target.namespace),
            label_selector: text(&target.label_selector),
            annotation_selector: text(&target.annotation_selector),
        })
    };
    let image = |image: &Image| OverlayImage {
        name: image.name.clone(),
        new_name: text(&image.new_name),
        new_tag: text(&image.new_tag),
        digest: text(&image.digest),
    };
    Overlay {
        target_namespace: spec.target_namespace.clone(),
        name_prefix: spec.name_prefix.clone(),
        name_suffix: spec.name_suffix.clone(),
        patches: spec
            .patches
            .iter()
            .map(|patch| OverlayPatch { patch: patch.patch.clone(), target: target(patch) })
            .collect(),
        images: spec.images.iter().map(image).collect(),
        components: spec.components.clone(),
        ignore_missing_components: spec.ignore_missing_components == Some(true),
        build_metadata: spec.build_metadata.clone(),
    }
}

/// Fills the variables into the text of one object, which is then read anew: a number may become one only now.
fn fill_in(document: &mut Value, variables: &BTreeMap<String, String>, strict: bool) -> Result<(), String> {
    let (key, disabled) = meta::NO_SUBSTITUTE;
    if decide::annotation(document, key) == disabled || decide::label(document, key) == disabled {
        return Ok(());
    }
    let id = Id::of(document).map(|id| id.to_string()).unwrap_or_default();
    let text = substitute::substitute(&yaml::write(document), variables, strict);
    let text = text.map_err(|error| format!("{id}: {error}"))?;
    let read = yaml::read_one(text.as_bytes(), &yaml::Limits::default());
    *document = read.map_err(|error| format!("{id}: after substitution: {error}"))?;
    Ok(())
}

/// The variables of post-build substitution; `None` when the step does not happen at all.
///
/// Errors when an object that is not optional is missing, or a name is not one.
pub async fn variables(cluster: &Cluster, object: &Kustomization) -> Result<Option<BTreeMap<String, String>>, String> {
    let references = object.spec.post_build.iter().flat_map(|post_build| &post_build.substitute_from);
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let mut found = BTreeMap::new();
    for reference in references {
        found.extend(read_variables(cluster, namespace, reference).await?);
    }
    with_inline(object, found)
}

/// Lays the inline variables over those that were found in objects.
///
/// Errors when a name is not one.
pub fn with_inline(
    object: &Kustomization,
    found: BTreeMap<String, String>,
) -> Result<Option<BTreeMap<String, String>>, String> {
    let Some(post_build) = &object.spec.post_build else { return Ok(None) };
    let mut all = found;
    all.extend(post_build.substitute.clone());
    for (name, value) in &mut all {
        substitute::check_name(name).map_err(|error| error.to_string())?;
        value.retain(|character| character != '\n');
    }
    let always = post_build.substitute_strategy.as_deref() == Some("Always");
    Ok((always || !all.is_empty()).then_some(all))
}

async fn read_variables(
    cluster: &Cluster,
    namespace: &str,
    reference: &SubstituteReference,
) -> Result<BTreeMap<String, String>, String> {
    let id = Id::new("", &reference.kind, namespace, &reference.name);
    let document = match cluster.get(&id).await {
        Ok(Some(document)) => document,
        Ok(None) if reference.optional == Some(true) => return Ok(BTreeMap::new()),
        Ok(None) => return Err(format!("substituteFrom: {id} not found")),
        Err(error) => return Err(format!("substituteFrom: {id} cannot be read: {error}")),
    };
    let mut values = BTreeMap::new();
    for (key, value) in document["data"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let plain = if &*id.kind == "Secret" {
            let bytes = base64::engine::general_purpose::STANDARD.decode(value).unwrap_or_default();
            String::from_utf8(bytes).map_err(|_| format!("substituteFrom: {id}: the value of {key} is not text"))?
        } else {
            value.to_owned()
        };
        values.insert(key.clone(), plain);
    }
    Ok(values)
}

/// Adds the common metadata and the labels of the owner.
fn mark(document: &mut Value, object: &Kustomization) {
    let own = &object.metadata;
    let (name, namespace) = (own.name.as_deref().unwrap_or_default(), own.namespace.as_deref().unwrap_or_default());
    let common = object.spec.common_metadata.clone().unwrap_or_default();
    let owner = [(OWNER_NAME.to_owned(), name.to_owned()), (OWNER_NAMESPACE.to_owned(), namespace.to_owned())];
    add(document, "annotations", common.annotations);
    add(document, "labels", common.labels.into_iter().chain(owner));
}

fn add(document: &mut Value, place: &str, entries: impl IntoIterator<Item = (String, String)>) {
    for (key, value) in entries {
        if !document["metadata"][place].is_object() {
            document["metadata"][place] = serde_json::json!({});
        }
        document["metadata"][place][key] = value.into();
    }
}

/// The documents of each stage in order; the last stage is the one that nothing follows.
pub fn stages(mut documents: Vec<Value>, options: &Options) -> Vec<Vec<Value>> {
    order::sort_for_apply(&mut documents, Id::of);
    let mut stages: Vec<Vec<Value>> = vec![Vec::new(); STAGES.len()];
    for document in documents {
        let stage = order::stage_of(&document, &options.custom_stage_kinds);
        let at = STAGES.iter().position(|known| *known == stage).unwrap_or(STAGES.len() - 1);
        stages[at].push(document);
    }
    stages
}

/// Reverses the order of applying.
pub fn sort_for_deletion(ids: &mut [Id]) {
    order::sort_for_delete(ids, |id| Some(id.clone()));
}
