//! Transformers and generators that are given as objects: the built-in ones by file or inline, and none else.
//!
//! Everything that kustomize would run (executables, containers, Go plugins, helm) is refused here by name.
//! Source: kustomize api/internal/plugins/loader and api/internal/builtins.

use serde_json::Value;

use crate::base::yaml::{Mapping, Node};

use super::Build;
use super::cursor::Cursor;
use super::entries::{GeneratorArgs, Image, Patch, ReplacementEntry, Replica};
use super::error::{BuildError, ErrorKind, Result};
use super::generate::generate;
use super::load::Loader;
use super::patch::{self, Content, PatchStep};
use super::read::read_resources;
use super::replacement::Replacement;
use super::resource::Resource;
use super::select::Selector;
use super::spec::FieldSpec;
use super::transform::{NamespaceStep, Subjects, Transformer};
use super::value_add::{self, ValueAdd};

/// The version that marks built-in plugins.
const BUILTIN: &str = "builtin";

fn config(resource: &Resource) -> Result<Value> {
    let kind = resource.kind();
    let place = |error: BuildError| match &resource.origin {
        Some(origin) => error.in_file(&origin.path).at_line(origin.line),
        None => error,
    };
    let runs = ["config.kubernetes.io/function", "config.k8s.io/function"]
        .iter()
        .any(|key| resource.text("annotations", key).is_some());
    if resource.api_version() != BUILTIN || runs {
        let message = format!("{kind} is a plugin that would have to be run, and nothing is run within a build");
        return Err(place(
            BuildError::new(ErrorKind::Forbidden, message)
                .hint("use a built-in transformer, or generate the files beforehand"),
        ));
    }
    let node = Node::Mapping(resource.node.clone());
    node.to_value().map_err(|message| place(BuildError::new(ErrorKind::Malformed, message)))
}

fn in_origin(resource: &Resource, error: BuildError) -> BuildError {
    match &resource.origin {
        Some(origin) => error.in_file(&origin.path).at_line(origin.line),
        None => error,
    }
}

/// Makes the objects of a generator object.
///
/// Errors when it is not one of the built-in generators.
pub(super) fn run_generator(resource: &Resource, loader: &Loader<'_>) -> Result<Resource> {
    let value = config(resource)?;
    let cursor = Cursor::lenient(&value);
    let secret = match resource.kind() {
        "ConfigMapGenerator" => false,
        "SecretGenerator" => true,
        "IAMPolicyGenerator" => return cloud_account(&cursor).map_err(|error| in_origin(resource, error)),
        kind => {
            let error = BuildError::new(ErrorKind::Forbidden, format!("{kind} is no generator that weir has"));
            return Err(in_origin(resource, error.hint("use ConfigMapGenerator or SecretGenerator")));
        }
    };
    let make = || {
        let mut args = GeneratorArgs::read(&cursor, secret)?;
        if args.name.is_empty() {
            resource.name().clone_into(&mut args.name);
        }
        if args.namespace.is_empty() {
            resource.namespace().clone_into(&mut args.namespace);
        }
        generate(&args, None, secret, loader)
    };
    make().map_err(|error| in_origin(resource, error))
}

/// Makes the service account that stands for one of a cloud.
fn cloud_account(cursor: &Cursor<'_>) -> Result<Resource> {
    let cloud = cursor.get("cloud")?;
    if cloud.text()? != "gke" {
        return Err(cloud.fail("the only cloud is gke"));
    }
    let (service, account) = (cursor.get("kubernetesService")?, cursor.get("serviceAccount")?);
    let (name, project) = (account.get("name")?.text()?, account.get("projectId")?.text()?);
    let mut node = Mapping::default();
    node.insert("apiVersion", Node::text("v1"));
    node.insert("kind", Node::text("ServiceAccount"));
    let mut made = Resource::new(node);
    made.set_name(&service.get("name")?.text()?);
    let namespace = service.get("namespace")?.text()?;
    if !namespace.is_empty() {
        made.set_namespace(&namespace);
    }
    made.set_annotation("iam.gke.io/gcp-service-account", &format!("{name}@{project}.iam.gserviceaccount.com"));
    Ok(made)
}

/// Makes the transformer of a transformer object.
///
/// Errors when it is not one of the built-in transformers.
pub(super) fn transformer(resource: &Resource, loader: &Loader<'_>, build: &Build<'_>) -> Result<Transformer> {
    let value = config(resource)?;
    let cursor = Cursor::lenient(&value);
    read_transformer(resource, &cursor, loader, build).map_err(|error| in_origin(resource, error))
}

fn read_transformer(
    resource: &Resource,
    cursor: &Cursor<'_>,
    loader: &Loader<'_>,
    build: &Build<'_>,
) -> Result<Transformer> {
    let fields = || cursor.get("fieldSpecs")?.list(FieldSpec::read);
    let needed_fields = || {
        let field = cursor.get("fieldSpecs")?;
        if field.is_null() { Err(field.fail("the transformer needs fieldSpecs")) } else { field.list(FieldSpec::read) }
    };
    Ok(match resource.kind() {
        "AnnotationsTransformer" => Transformer::Annotations(cursor.get("annotations")?.pairs()?, fields()?),
        "LabelTransformer" => Transformer::Labels(cursor.get("labels")?.pairs()?, fields()?),
        "HashTransformer" => Transformer::Hash,
        "ImageTagTransformer" => Transformer::Images(Image::read(&cursor.get("imageTag")?)?, fields()?),
        "NamespaceTransformer" => Transformer::Namespace(namespace(resource, cursor, fields()?)?),
        "PatchTransformer" => Transformer::Patch(Box::new(patch::load(&Patch::read(cursor)?, loader, build)?)),
        "PatchJson6902Transformer" => Transformer::PatchJson6902(Box::new(json_patch(cursor, loader, build)?)),
        "PatchStrategicMergeTransformer" => {
            let mut patches = Vec::new();
            for path in cursor.get("paths")?.texts()? {
                patches.extend(strategic_merge(&path, loader, build)?);
            }
            let inline = cursor.get("patches")?.text()?;
            patches.extend(read_resources(inline.as_bytes(), "inline patch", build)?);
            if patches.is_empty() {
                return Err(cursor.fail("the transformer has no patch"));
            }
            Transformer::PatchStrategicMerge(patches)
        }
        "PrefixTransformer" => Transformer::Prefix(cursor.get("prefix")?.text()?, needed_fields()?),
        "SuffixTransformer" => Transformer::Suffix(cursor.get("suffix")?.text()?, needed_fields()?),
        "PrefixSuffixTransformer" => {
            let (prefix, suffix) = (cursor.get("prefix")?.text()?, cursor.get("suffix")?.text()?);
            Transformer::PrefixSuffix(prefix, suffix, needed_fields()?)
        }
        "ReplicaCountTransformer" => Transformer::Replicas(Replica::read(&cursor.get("replica")?)?, fields()?),
        "ReplacementTransformer" => {
            let entries = cursor.get("replacements")?.list(ReplacementEntry::read)?;
            Transformer::Replacements(replacements(&entries, loader, build)?)
        }
        "ValueAddTransformer" => Transformer::ValueAdd(value_add(cursor, loader, build)?),
        kind => {
            let error = BuildError::new(ErrorKind::Forbidden, format!("{kind} is no transformer that weir has"));
            return Err(error.hint("use one of kustomize's built-in transformers"));
        }
    })
}

fn namespace(resource: &Resource, cursor: &Cursor<'_>, fields: Vec<FieldSpec>) -> Result<NamespaceStep> {
    let mode = cursor.get("setRoleBindingSubjects")?;
    Ok(NamespaceStep {
        namespace: resource.namespace().to_owned(),
        fields,
        unset_only: cursor.get("unsetOnly")?.flag()?,
        subjects: match mode.text()?.as_str() {
            "" | "defaultOnly" => Subjects::NamedDefault,
            "allServiceAccounts" => Subjects::ServiceAccounts,
            "none" => Subjects::None,
            _ => return Err(mode.fail("it must be defaultOnly, allServiceAccounts or none")),
        },
    })
}

fn json_patch(cursor: &Cursor<'_>, loader: &Loader<'_>, build: &Build<'_>) -> Result<PatchStep> {
    let (path, inline) = (cursor.get("path")?.text()?, cursor.get("jsonOp")?.text()?);
    let target = cursor.get("target")?.optional(Selector::read)?;
    json_step(&path, &inline, target, loader, build)
}

/// Loads an entry of `patchesJson6902`.
pub(super) fn json_step(
    path: &str,
    inline: &str,
    target: Option<Selector>,
    loader: &Loader<'_>,
    build: &Build<'_>,
) -> Result<PatchStep> {
    let fail = |message: &str| BuildError::new(ErrorKind::Field, message).in_field("patchesJson6902");
    if target.as_ref().is_none_or(|target| target.name.is_empty()) {
        return Err(fail("the target has no name"));
    }
    let (text, source) = match (path, inline) {
        ("", "") => return Err(fail("a patch needs a path or an inline patch")),
        (path, "") => (loader.file(path)?.to_vec(), loader.shown(path)),
        ("", inline) => (inline.as_bytes().to_vec(), String::new()),
        _ => return Err(fail("a patch has either a path or an inline patch, not both")),
    };
    let operations = patch::operations(&text, build)
        .map_err(|message| BuildError::new(ErrorKind::Malformed, message).in_file(&source))?;
    if operations.is_empty() {
        return Err(fail("the patch is empty").in_file(&source));
    }
    Ok(PatchStep { content: Content::Json(operations), target, source, field: "patchesJson6902".to_owned() })
}

/// Loads an entry of `patchesStrategicMerge`, which is a path or the patch itself.
pub(super) fn strategic_merge(entry: &str, loader: &Loader<'_>, build: &Build<'_>) -> Result<Vec<Resource>> {
    if let Ok(patches) = read_resources(entry.as_bytes(), "inline patch", build) {
        return Ok(patches);
    }
    let text = loader.file(entry).map_err(|error| error.in_field("patchesStrategicMerge"))?;
    read_resources(text, &loader.shown(entry), build)
}

/// The replacements of entries that are inline or lie in files, one or a list in each.
pub(super) fn replacements(
    entries: &[ReplacementEntry],
    loader: &Loader<'_>,
    build: &Build<'_>,
) -> Result<Vec<Replacement>> {
    let mut made = Vec::new();
    for entry in entries {
        let path = match entry {
            ReplacementEntry::Inline(replacement) => {
                let mut replacement = (**replacement).clone();
                // An empty list gets lost on the way to the transformer, so it is as none.
                replacement.targets = replacement.targets.filter(|targets| !targets.is_empty());
                made.push(replacement);
                continue;
            }
            ReplacementEntry::Path(path) => path,
        };
        let value = build.read_settings(loader.file(path)?, &loader.shown(path))?;
        let cursor = Cursor::lenient(&value);
        let place = |error: BuildError| error.in_file(&loader.shown(path));
        match value {
            Value::Array(_) => made.extend(cursor.list(Replacement::read).map_err(place)?),
            Value::Object(_) => made.push(Replacement::read(&cursor).map_err(place)?),
            _ => return Err(place(BuildError::new(ErrorKind::Malformed, "it is no replacement and no list of them"))),
        }
    }
    Ok(made)
}

fn value_add(cursor: &Cursor<'_>, loader: &Loader<'_>, build: &Build<'_>) -> Result<ValueAdd> {
    let mut value = cursor.get("value")?.text()?.trim().to_owned();
    if value.is_empty() {
        loader.root().rsplit('/').next().unwrap_or_default().clone_into(&mut value);
    }
    let mut targets = cursor.get("targets")?.list(value_add::Target::read)?;
    let path = cursor.get("targetFilePath")?.text()?;
    if !path.is_empty() {
        let more = build.read_settings(loader.file(&path)?, &loader.shown(&path))?;
        targets.extend(Cursor::lenient(&more).get("targets")?.list(value_add::Target::read)?);
    }
    if targets.is_empty() {
        return Err(cursor.fail("the transformer has no target"));
    }
    Ok(ValueAdd { value, targets })
}

/// Whether a text could be an inline object rather than a path.
pub(super) fn inline_objects(text: &str, build: &Build<'_>) -> Option<Vec<Resource>> {
    read_resources(text.as_bytes(), "inline configuration", build).ok()
}
