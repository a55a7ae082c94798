//! [`Kustomization`]: the settings file of one directory, read strictly.
//!
//! Source: kustomize api/types/kustomization.go. Old spellings are folded into the new ones here, so that the rest
//! of the engine knows one form.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::yaml::{self, Dialect, Limits};

use super::cursor::Cursor;
use super::entries::{GeneratorArgs, GeneratorOptions, Image, Label, Patch, ReplacementEntry, Replica, Sort, Var};
use super::error::{BuildError, ErrorKind, Result};

/// The names a kustomization file may have.
pub(super) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

type Pairs = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
pub(super) struct Kustomization {
    pub is_component: bool,
    pub openapi: Pairs,
    pub name_prefix: String,
    pub name_suffix: String,
    pub namespace: String,
    pub common_labels: Pairs,
    pub labels: Vec<Label>,
    pub common_annotations: Pairs,
    pub patches_strategic_merge: Vec<String>,
    pub patches_json6902: Vec<Patch>,
    pub patches: Vec<Patch>,
    pub images: Vec<Image>,
    pub replacements: Vec<ReplacementEntry>,
    pub replicas: Vec<Replica>,
    pub vars: Vec<Var>,
    pub sort: Option<Sort>,
    pub resources: Vec<String>,
    pub components: Vec<String>,
    pub crds: Vec<String>,
    pub config_maps: Vec<GeneratorArgs>,
    pub secrets: Vec<GeneratorArgs>,
    pub generator_options: Option<GeneratorOptions>,
    pub configurations: Vec<String>,
    pub generators: Vec<String>,
    pub transformers: Vec<String>,
    pub validators: Vec<String>,
    pub build_metadata: Vec<String>,
    /// Deprecated fields that were used.
    pub deprecated: Vec<&'static str>,
}

/// The fields of a kustomization file.
pub(super) const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

impl Kustomization {
    /// Reads a kustomization file.
    ///
    /// Errors with the line of the field that is wrong.
    pub(super) fn parse(text: &[u8], file: &str, limits: &Limits) -> Result<Self> {
        let documents = yaml::read_as(text, limits, Dialect::Lenient)
            .map_err(|error| BuildError::new(ErrorKind::Malformed, error.message).at_line(error.line).in_file(file))?;
        let empty = || {
            BuildError::new(ErrorKind::Malformed, "the kustomization is empty")
                .in_file(file)
                .hint("add resources, or remove the file")
        };
        let document = documents.first().ok_or_else(empty)?;
        let cursor = Cursor::strict(&document.value);
        let read = Self::read(&cursor).map_err(|error| {
            let path: Vec<String> =
                error.place.field.split(['.', '[']).map(|part| part.trim_end_matches(']').to_owned()).collect();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let line = yaml::line_of(text, document.index, &path).unwrap_or_default();
            error.at_line(line).in_file(file)
        })?;
        let head = ["apiversion", "kind"];
        let is_content =
            |(key, value): (&String, &Value)| !head.contains(&key.to_lowercase().as_str()) && !value.is_null();
        match document.value.as_object() {
            Some(fields) if fields.iter().any(is_content) => Ok(read),
            _ => Err(empty()),
        }
    }

    fn read(cursor: &Cursor<'_>) -> Result<Self> {
        cursor.allow(FIELDS)?;
        let is_component = check_head(cursor)?;
        refuse_helm(cursor)?;
        let text = |name| cursor.get(name)?.text();
        let texts = |name| cursor.get(name)?.texts();
        let mut made = Kustomization {
            is_component,
            openapi: cursor.get("openapi")?.pairs()?,
            name_prefix: text("namePrefix")?,
            name_suffix: text("nameSuffix")?,
            namespace: text("namespace")?,
            common_labels: cursor.get("commonLabels")?.pairs()?,
            labels: cursor.get("labels")?.list(Label::read)?,
            common_annotations: cursor.get("commonAnnotations")?.pairs()?,
            patches_strategic_merge: texts("patchesStrategicMerge")?,
            patches_json6902: cursor.get("patchesJson6902")?.list(Patch::read)?,
            patches: cursor.get("patches")?.list(Patch::read)?,
            images: cursor.get("images")?.list(Image::read)?,
            replacements: cursor.get("replacements")?.list(ReplacementEntry::read)?,
            replicas: cursor.get("replicas")?.list(Replica::read)?,
            vars: cursor.get("vars")?.list(Var::read)?,
            sort: cursor.get("sortOptions")?.optional(Sort::read)?,
            resources: texts("resources")?,
            components: texts("components")?,
            crds: texts("crds")?,
            config_maps: cursor.get("configMapGenerator")?.list(|cursor| GeneratorArgs::read(cursor, false))?,
            secrets: cursor.get("secretGenerator")?.list(|cursor| GeneratorArgs::read(cursor, true))?,
            generator_options: cursor.get("generatorOptions")?.optional(GeneratorOptions::read)?,
            configurations: texts("configurations")?,
            generators: texts("generators")?,
            transformers: texts("transformers")?,
            validators: texts("validators")?,
            build_metadata: texts("buildMetadata")?,
            deprecated: Vec::new(),
        };
        made.resources.extend(texts("bases")?);
        made.images.extend(cursor.get("imageTags")?.list(Image::read)?);
        for name in ["bases", "commonLabels", "imageTags", "patchesJson6902", "patchesStrategicMerge", "vars"] {
            if !cursor.get(name)?.is_null() {
                made.deprecated.push(name);
            }
        }
        Ok(made)
    }
}

fn check_head(cursor: &Cursor<'_>) -> Result<bool> {
    let (kind, version) = (cursor.get("kind")?, cursor.get("apiVersion")?);
    let is_component = match kind.text()?.as_str() {
        "" | "Kustomization" => false,
        "Component" => true,
        _ => return Err(kind.fail("the kind must be Kustomization or Component")),
    };
    let wanted = if is_component { "kustomize.config.k8s.io/v1alpha1" } else { "kustomize.config.k8s.io/v1beta1" };
    match version.text()?.as_str() {
        "" => {}
        text if text == wanted => {}
        _ => return Err(version.fail(format!("the apiVersion must be {wanted}"))),
    }
    Ok(is_component)
}

fn refuse_helm(cursor: &Cursor<'_>) -> Result<()> {
    for name in ["helmCharts", "helmChartInflationGenerator"] {
        let field = cursor.get(name)?;
        if field.value.as_array().is_some_and(|charts| !charts.is_empty()) {
            let error =
                field.fail("charts are not inflated within a kustomization, because that runs the helm program");
            return Err(BuildError { kind: ErrorKind::Forbidden, ..error }.hint("use a HelmRelease for the chart"));
        }
    }
    Ok(())
}
