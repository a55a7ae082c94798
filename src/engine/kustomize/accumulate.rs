//! One directory: what it loads, generates and changes, in kustomize's order.
//!
//! Source: kustomize api/internal/target/kusttarget.go. Names, hashes and references are not finished here but once at
//! the top (`mod.rs`), because an overlay may still merge into what a base generates.

use crate::base::yaml;

use super::crds;
use super::cursor::Cursor;
use super::error::{BuildError, ErrorKind, Result};
use super::file::{FIELDS, Kustomization};
use super::generate::generate;
use super::load::{Found, Loader};
use super::metadata::{self, Track};
use super::read::read_resources;
use super::resource::Resource;
use super::set::Set;
use super::spec::{Config, FieldSpec, SharedConfig, merge_all, merge_one};
use super::transform::{NamespaceStep, Transformer};
use super::vars::{self, Vars};
use super::{Build, patch, plugin};

/// What a directory has gathered.
pub(super) struct Accumulated {
    pub set: Set,
    pub config: SharedConfig,
    pub vars: Vars,
}

impl Accumulated {
    pub(super) fn empty(build: &Build<'_>) -> Self {
        Accumulated { set: Set::default(), config: build.defaults.clone(), vars: Vars::new() }
    }

    fn take_in(&mut self, other: Accumulated, build: &Build<'_>) -> Result<()> {
        self.set.append_all(other.set.into_items(), &build.schema())?;
        self.config.merge(&other.config)?;
        vars::merge(&mut self.vars, other.vars.values())
    }
}

/// A directory that is being built.
pub(super) struct Directory<'a> {
    pub loader: &'a Loader<'a>,
    pub file: Kustomization,
    pub file_name: &'static str,
    text: &'a [u8],
    /// Where it is from the top, when origins are kept.
    pub track: Option<Track>,
}

impl Directory<'_> {
    /// Reads the kustomization file and sets the schema it names.
    pub(super) fn open<'a>(loader: &'a Loader<'a>, track: Option<Track>, build: &Build<'_>) -> Result<Directory<'a>> {
        let (file_name, text) = loader.kustomization()?;
        let shown = loader.shown(file_name);
        let file = Kustomization::parse(text, &shown, &build.options.yaml)?;
        build.warn(&shown, &file.deprecated);
        let directory = Directory { loader, file, file_name, text, track };
        directory.set_schema(build).map_err(|error| error.in_field("openapi").in_file(&shown))?;
        Ok(directory)
    }

    fn set_schema(&self, build: &Build<'_>) -> Result<()> {
        let (path, version) = (self.file.openapi.get("path"), self.file.openapi.get("version"));
        let fail = |message: &str| Err(BuildError::new(ErrorKind::Field, message));
        match (path, version.map(String::as_str)) {
            _ if build.has_custom_schema() => Ok(()),
            (Some(_), Some(_)) => fail("a schema has either a path or a version, not both"),
            (Some(path), None) => {
                let document = build.read_settings(self.loader.file(path)?, &self.loader.shown(path))?;
                build.set_schema(&document);
                Ok(())
            }
            (None, None | Some("" | "v1.21.2")) => Ok(()),
            (None, Some(_)) => fail("the only built-in schema is v1.21.2"),
        }
    }

    /// Gathers and changes everything. A component continues on what its parent has.
    pub(super) fn accumulate(&self, mut got: Accumulated, build: &Build<'_>) -> Result<Accumulated> {
        let place = |error: BuildError| self.place(error);
        self.resources(&mut got, &self.file.resources, "resources", build).map_err(place)?;
        self.configurations(&mut got, build).map_err(place)?;
        self.generators(&mut got, build).map_err(place)?;
        for (at, path) in self.file.components.iter().enumerate() {
            let loader =
                self.loader.directory(path).map_err(|error| place(error.in_field(format!("components[{at}]"))))?;
            got = self.component(&loader, path, got, build)?;
        }
        for (transformer, origin) in self.transformers(&got, build).map_err(place)? {
            transformer.apply(&mut got.set, build).map_err(place)?;
            got.set.drop_empty();
            if let Some(origin) = origin {
                metadata::note_transformer(&mut got.set, &origin);
            }
        }
        self.validators(&mut got, build).map_err(place)?;
        vars::declare(&mut got.vars, &self.file.vars, &mut got.set, build).map_err(place)?;
        Ok(got)
    }

    /// Names this kustomization file and, where the error names a field of it, the line.
    fn place(&self, error: BuildError) -> BuildError {
        if !error.place.file.is_empty() {
            return error;
        }
        let parts: Vec<&str> = error.place.field.split(['.', '[']).map(|part| part.trim_end_matches(']')).collect();
        let line = match parts.first() {
            Some(first) if FIELDS.contains(first) => yaml::line_of(self.text, 0, &parts).unwrap_or_default(),
            _ => 0,
        };
        error.at_line(line).in_file(&self.loader.shown(self.file_name))
    }

    fn resources(&self, got: &mut Accumulated, paths: &[String], field: &str, build: &Build<'_>) -> Result<()> {
        for (at, path) in paths.iter().enumerate() {
            match self.loader.find(path).map_err(|error| error.in_field(format!("{field}[{at}]")))? {
                Found::File { path, bytes } => {
                    let mut read = read_resources(bytes, &self.loader.shown(&path), build)?;
                    if let Some(track) = &self.track {
                        let origin = track.append(&path).text();
                        read.iter_mut().for_each(|resource| resource.set_annotation(metadata::ORIGIN, &origin));
                    }
                    got.set.append_all(read, &build.schema())?;
                }
                Found::Directory(loader) => {
                    let inner = Directory::open(&loader, self.track.as_ref().map(|t| t.append(path)), build)?;
                    if inner.file.is_component {
                        return Err(BuildError::new(ErrorKind::Field, format!("{path} is a component"))
                            .in_field(format!("{field}[{at}]"))
                            .hint("list it under components"));
                    }
                    let inner = inner.accumulate(Accumulated::empty(build), build)?;
                    got.take_in(inner, build)?;
                }
            }
        }
        Ok(())
    }

    fn component(&self, loader: &Loader<'_>, path: &str, got: Accumulated, build: &Build<'_>) -> Result<Accumulated> {
        let inner = Directory::open(loader, self.track.as_ref().map(|track| track.append(path)), build)?;
        if !inner.file.is_component {
            return Err(BuildError::new(ErrorKind::Field, format!("{path} is not a component"))
                .in_file(&loader.shown(inner.file_name))
                .in_field("kind")
                .hint("give it kind Component and apiVersion kustomize.config.k8s.io/v1alpha1"));
        }
        let mut got = inner.accumulate(got, build)?;
        // A component gives its parent back all objects, and they are added anew.
        got.set.check_ids(&build.schema(), "a component").map_err(|error| inner.place(error))?;
        Ok(got)
    }

    fn configurations(&self, got: &mut Accumulated, build: &Build<'_>) -> Result<()> {
        let mut own = Config::default();
        for path in &self.file.configurations {
            let shown = self.loader.shown(path);
            let value = build.read_settings(self.loader.file(path)?, &shown)?;
            let read = Config::read(&Cursor::strict(&value)).map_err(|error| error.in_file(&shown))?;
            own.merge(&read).map_err(|error| error.in_file(&shown))?;
        }
        if !self.file.configurations.is_empty() {
            got.config.merge_plain(&own).map_err(|error| error.in_field("configurations"))?;
        }
        for path in &self.file.crds {
            let shown = self.loader.shown(path);
            let text = self.loader.file(path)?;
            crds::check_json(text).map_err(|error| error.in_file(&shown))?;
            let value = build.read_settings(text, &shown)?;
            let read = crds::config(&value).map_err(|error| error.in_file(&shown))?;
            got.config.merge_plain(&read).map_err(|error| error.in_file(&shown))?;
        }
        Ok(())
    }

    fn generators(&self, got: &mut Accumulated, build: &Build<'_>) -> Result<()> {
        let global = self.file.generator_options.as_ref();
        for (list, secret, kind) in
            [(&self.file.config_maps, false, "ConfigMapGenerator"), (&self.file.secrets, true, "SecretGenerator")]
        {
            let field = if secret { "secretGenerator" } else { "configMapGenerator" };
            for (at, args) in list.iter().enumerate() {
                let place = |error: BuildError| error.in_field(format!("{field}[{at}]"));
                let mut made = generate(args, global, secret, self.loader).map_err(place)?;
                build.budget.resource()?;
                made.origin = Some(build.generated(&self.loader.shown(self.file_name)));
                if let Some(track) = &self.track {
                    made.set_annotation(metadata::ORIGIN, &track.configured(self.file_name, kind).text());
                }
                build.budget.look(got.set.len())?;
                got.set.absorb(made, &build.schema()).map_err(place)?;
            }
        }
        for plugin in self.plugins(&self.file.generators, "generators", build)? {
            let mut made = plugin::run_generator(&plugin, self.loader)?;
            made.origin.clone_from(&plugin.origin);
            if let Some(origin) = metadata::of_plugin(&plugin) {
                made.set_annotation(metadata::ORIGIN, &origin);
            }
            build.budget.look(got.set.len())?;
            got.set.absorb(made, &build.schema())?;
        }
        Ok(())
    }

    /// Objects that configure plugins, inline or from files and directories.
    fn plugins(&self, entries: &[String], field: &'static str, build: &Build<'_>) -> Result<Vec<Resource>> {
        let mut got = Accumulated::empty(build);
        let mut paths = Vec::new();
        for entry in entries {
            match plugin::inline_objects(entry, build) {
                Some(mut objects) => {
                    if let Some(track) = &self.track {
                        let origin = track.append(self.file_name).text();
                        objects.iter_mut().for_each(|object| object.set_annotation(metadata::ORIGIN, &origin));
                    }
                    got.set.append_all(objects, &build.schema()).map_err(|error| error.in_field(field))?;
                }
                None => paths.push(entry.clone()),
            }
        }
        self.resources(&mut got, &paths, field, build)?;
        Ok(got.set.into_items())
    }

    /// All transformers in order, each with what is noted about it when origins are kept.
    fn transformers(&self, got: &Accumulated, build: &Build<'_>) -> Result<Vec<(Transformer, Option<String>)>> {
        let builtin = self.builtin_transformers(&got.config.config, build)?;
        let note =
            |made: &Transformer| self.track.as_ref().map(|track| track.configured(self.file_name, made.kind()).text());
        let mut all: Vec<(Transformer, Option<String>)> = builtin
            .into_iter()
            .map(|made| {
                let origin = note(&made);
                (made, origin)
            })
            .collect();
        for plugin in self.plugins(&self.file.transformers, "transformers", build)? {
            let origin = metadata::of_plugin(&plugin);
            all.push((plugin::transformer(&plugin, self.loader, build)?, origin));
        }
        Ok(all)
    }

    fn builtin_transformers(&self, config: &Config, build: &Build<'_>) -> Result<Vec<Transformer>> {
        let file = &self.file;
        let mut made = Vec::new();
        if !file.patches_strategic_merge.is_empty() {
            let mut patches = Vec::new();
            for entry in &file.patches_strategic_merge {
                patches.extend(plugin::strategic_merge(entry, self.loader, build)?);
            }
            if patches.is_empty() {
                return Err(
                    BuildError::new(ErrorKind::Malformed, "the patches are empty").in_field("patchesStrategicMerge")
                );
            }
            made.push(Transformer::PatchStrategicMerge(patches));
        }
        for (at, entry) in file.patches.iter().enumerate() {
            let place = |error: BuildError| error.in_field(format!("patches[{at}]"));
            let mut step = patch::load(entry, self.loader, build).map_err(place)?;
            step.field = format!("patches[{at}]");
            made.push(Transformer::Patch(Box::new(step)));
        }
        if !file.namespace.is_empty() {
            made.push(Transformer::Namespace(NamespaceStep {
                namespace: file.namespace.clone(),
                fields: config.namespace.clone(),
                ..NamespaceStep::default()
            }));
        }
        if !file.name_prefix.is_empty() {
            made.push(Transformer::Prefix(file.name_prefix.clone(), config.name_prefix.clone()));
        }
        if !file.name_suffix.is_empty() {
            made.push(Transformer::Suffix(file.name_suffix.clone(), config.name_suffix.clone()));
        }
        self.label_transformers(config, &mut made)?;
        if !file.common_annotations.is_empty() {
            let fields = config.common_annotations.clone();
            made.push(Transformer::Annotations(file.common_annotations.clone(), fields));
        }
        for entry in &file.patches_json6902 {
            let step = plugin::json_step(&entry.path, &entry.patch, entry.target.clone(), self.loader, build)?;
            made.push(Transformer::PatchJson6902(Box::new(step)));
        }
        made.extend(file.replicas.iter().map(|entry| Transformer::Replicas(entry.clone(), config.replicas.clone())));
        made.extend(file.images.iter().map(|entry| Transformer::Images(entry.clone(), config.images.clone())));
        if !file.replacements.is_empty() {
            made.push(Transformer::Replacements(plugin::replacements(&file.replacements, self.loader, build)?));
        }
        Ok(made)
    }

    fn label_transformers(&self, config: &Config, made: &mut Vec<Transformer>) -> Result<()> {
        let file = &self.file;
        if file.labels.is_empty() && file.common_labels.is_empty() {
            return Ok(());
        }
        for label in &file.labels {
            let mut fields = label.fields.clone();
            let place = |error: BuildError| error.in_field("labels");
            merge_all(&mut fields, &config.labels).map_err(place)?;
            if label.include_selectors {
                merge_all(&mut fields, &config.common_labels).map_err(place)?;
            } else {
                if label.include_templates {
                    merge_all(&mut fields, &config.template_labels).map_err(place)?;
                }
                merge_one(&mut fields, &FieldSpec::anywhere("metadata/labels", true)).map_err(place)?;
            }
            made.push(Transformer::Labels(label.pairs.clone(), fields));
        }
        made.push(Transformer::Labels(file.common_labels.clone(), config.common_labels.clone()));
        Ok(())
    }

    /// Runs validators, which may change nothing.
    fn validators(&self, got: &mut Accumulated, build: &Build<'_>) -> Result<()> {
        for plugin in self.plugins(&self.file.validators, "validators", build)? {
            let validator = plugin::transformer(&plugin, self.loader, build)?;
            let before: Vec<_> = got.set.items().iter().map(|item| item.node.clone()).collect();
            validator.apply(&mut got.set, build)?;
            if before.iter().ne(got.set.items().iter().map(|item| &item.node)) {
                return Err(BuildError::new(
                    ErrorKind::Change,
                    format!("the validator {} changes objects", plugin.kind()),
                )
                .in_field("validators")
                .hint("list it under transformers"));
            }
        }
        Ok(())
    }
}
