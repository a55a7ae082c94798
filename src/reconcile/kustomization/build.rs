//! From files to documents ready to apply: kustomize build, variables, owner labels, common metadata, and the order.
//!
//! The engines are pure and run on a blocking thread. Start with [`build`].
//! Source: kustomize-controller's generate, build and substitute steps.

use std::collections::BTreeMap;

use base64::Engine as _;

use super::super::{Context, Failure, Options};
use super::decide::Plan;
use crate::base::{FileTree, Id, Value};
use crate::kinds::Kustomization;
use crate::kinds::kustomization::{OWNER_NAME, OWNER_NAMESPACE, SubstituteReference};

/// How many stages a build is applied in.
pub const STAGES: usize = 4;

/// Builds what the object asks for.
///
/// Errors with the retry interval and `BuildFailed`; the message names the file or the object.
pub async fn build(cx: &Context, object: &Kustomization, tree: FileTree, plan: &Plan) -> Result<Vec<Value>, Failure> {
    let failure = |message: String| plan.failure("BuildFailed", message);
    let variables = variables(cx, object).await.map_err(failure)?;
    let (object, strict) = (object.clone(), cx.options.strict_substitutions);
    let work = tokio::task::spawn_blocking(move || {
        let documents = stand_in::build(&tree, object.spec.path.as_deref().unwrap_or_default())?;
        let mut built = Vec::with_capacity(documents.len());
        for document in documents {
            let mut document = match &variables {
                Some(variables) => stand_in::substitute(document, variables, strict)?,
                None => document,
            };
            mark(&mut document, &object);
            built.push(document);
        }
        Ok(built)
    });
    let built = tokio::time::timeout(plan.timeout, work).await;
    let built = built.map_err(|_| failure(format!("the build did not end within {:?}", plan.timeout)))?;
    built.map_err(|panic| failure(format!("internal error, please report it: {panic}")))?.map_err(failure)
}

/// The variables of post-build substitution, the inline ones last; `None` when the step does not happen at all.
///
/// Errors when an object that is not optional is missing.
async fn variables(cx: &Context, object: &Kustomization) -> Result<Option<BTreeMap<String, String>>, String> {
    let Some(post_build) = &object.spec.post_build else { return Ok(None) };
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let mut all = BTreeMap::new();
    for reference in &post_build.substitute_from {
        all.extend(read_variables(cx, namespace, reference).await?);
    }
    all.extend(post_build.substitute.clone());
    let always = post_build.substitute_strategy.as_deref() == Some("Always");
    Ok((always || !all.is_empty()).then_some(all))
}

async fn read_variables(
    cx: &Context,
    namespace: &str,
    reference: &SubstituteReference,
) -> Result<BTreeMap<String, String>, String> {
    let id = Id::new("", &reference.kind, namespace, &reference.name);
    let document = match cx.cluster.get(&id).await {
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

/// The documents of each stage, in order.
pub fn stages(documents: Vec<Value>, options: &Options) -> Vec<Vec<Value>> {
    stand_in::stages(documents, &options.custom_stage_kinds)
}

/// Reverses the order of applying.
pub fn sort_for_deletion(ids: &mut [Id]) {
    ids.sort();
    ids.reverse();
}

mod stand_in {
    use super::*;

    pub fn build(tree: &FileTree, path: &str) -> Result<Vec<Value>, String> {
        let path = FileTree::resolve("", path).ok_or("path")?;
        if !tree.is_dir(&path) {
            return Err(format!("path {path:?} is not in the artifact"));
        }
        let mut all = vec![];
        for (name, file) in tree.under(&path) {
            let documents =
                crate::base::yaml::read(&file.bytes, &Default::default()).map_err(|e| format!("{name}: {e}"))?;
            all.extend(documents.into_iter().map(|d| d.value));
        }
        Ok(all)
    }

    pub fn substitute(document: Value, variables: &BTreeMap<String, String>, _strict: bool) -> Result<Value, String> {
        let text = crate::base::yaml::write(&document).replace("$${", "\u{1}");
        let re = regex::Regex::new(r"\$\{(\w+)(?::=(\w+))?\}").unwrap();
        let out = re.replace_all(&text, |c: &regex::Captures| {
            variables.get(&c[1]).cloned().or(c.get(2).map(|d| d.as_str().to_owned())).unwrap_or_default()
        });
        let out = out.replace('\u{1}', "${");
        crate::base::yaml::read_one(out.as_bytes(), &Default::default()).map_err(|e| e.to_string())
    }

    pub fn stages(documents: Vec<Value>, _custom: &[String]) -> Vec<Vec<Value>> {
        let (first, last) = documents.into_iter().partition(|d| {
            ["CustomResourceDefinition", "Namespace", "ClusterRole"].contains(&d["kind"].as_str().unwrap_or_default())
        });
        vec![first, vec![], vec![], last]
    }
}
