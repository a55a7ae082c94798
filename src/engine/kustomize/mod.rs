//! Kustomize: a tree of files in, Kubernetes objects out.
//!
//! [`build`] is a function of its arguments: no disk, no network, nothing is run, nothing is remembered between two
//! builds. What is remote comes back as [`Output::Need`]; the caller fetches it and builds again with the answer.
//! The measure is kustomize 5.8.1, the version in kustomize-controller 1.9; where it behaves in a way nobody would
//! design, a comment says so and the behaviour is kept, because manifests depend on it.
//!
//! Start with `accumulate.rs`, which has the order of everything; `transform.rs` lists the transformers.

mod accumulate;
mod budget;
mod crds;
mod cursor;
mod entries;
mod error;
mod file;
mod flux;
mod generate;
mod images;
mod json_patch;
mod links;
mod lists;
mod load;
mod merge;
mod metadata;
mod names;
mod notes;
mod order;
mod patch;
mod path;
mod plugin;
mod read;
mod remote;
mod replacement;
mod resource;
mod select;
mod set;
mod spec;
mod transform;
mod value_add;
mod vars;
mod walk;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use crate::base::FileTree;
use crate::base::yaml::{self, Dialect};

use super::schema::{self, Schema};
use accumulate::{Accumulated, Directory};
use budget::Budget;
use entries::Sort;
use set::Set;
use spec::SharedConfig;

pub use error::{BuildError, ErrorKind, Place};
pub use flux::{Overlay, OverlayImage, OverlayPatch, OverlayTarget, flux_options, generate_kustomization, prepare};
pub use remote::RemoteAddress;

/// How a build behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub reorder: Reorder,
    /// Files may lie anywhere in the tree, not only beneath the directory that names them (as in Flux).
    pub files_anywhere: bool,
    /// What is remote is asked for instead of refused.
    pub allow_remote: bool,
    /// A schema that a kustomization names adds to the built-in one (as in Flux) instead of replacing it.
    pub schema_adds: bool,
    pub limits: Limits,
    pub yaml: yaml::Limits,
}

/// The order of the output when the kustomization does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reorder {
    /// As loaded; what Flux does.
    #[default]
    None,
    /// By kind; what the kustomize command does.
    Legacy,
}

/// What a build may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Directories within directories.
    pub depth: usize,
    /// Files read, counting repetitions.
    pub files: usize,
    pub resources: usize,
    /// Bytes written and objects looked at.
    pub work: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { depth: 64, files: 10_000, resources: 50_000, work: 256 << 20 }
    }
}

/// What was fetched for a [`Need`], by address.
#[derive(Clone, Debug, Default)]
pub struct Answers(BTreeMap<String, Answer>);

/// Something that was remote.
#[derive(Clone, Debug)]
pub enum Answer {
    /// One file.
    File(Arc<[u8]>),
    /// A repository and the directory in it that is meant.
    Directory { tree: FileTree, directory: String },
}

impl Answers {
    /// Adds what was fetched for an address.
    pub fn insert(&mut self, address: &str, answer: Answer) {
        self.0.insert(address.to_owned(), answer);
    }

    fn get(&self, address: &str) -> Option<&Answer> {
        self.0.get(address)
    }
}

/// What a build needs before it can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A file or a repository at this address, as the kustomization writes it.
    Remote(String),
}

/// Where an object comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// From the root of the tree; for remote bases behind the address and `//`.
    pub path: String,
    /// Position of the document in the file, from 0.
    pub document: usize,
    /// Line of the document, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.line)
    }
}

/// One object of the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Keys are in kustomize's order.
    pub value: Value,
    pub origin: Option<Origin>,
}

/// What came of a build.
#[derive(Clone, Debug)]
pub enum Output {
    Built {
        manifests: Vec<Manifest>,
        /// For the person who wrote the kustomization.
        warnings: Vec<String>,
    },
    Need(Need),
}

/// Builds the kustomization of a directory.
///
/// Errors name the file, the line where it is known, the field and the object, and what to do next.
/// Source: kustomize api/krusty/kustomizer.go.
pub fn build(tree: &FileTree, directory: &str, options: &Options, answers: &Answers) -> Result<Output, BuildError> {
    let build = Build {
        options,
        defaults: SharedConfig::defaults(),
        schema: RefCell::new(Rc::new(Schema::default())),
        custom_schema: Cell::new(false),
        links: Cell::new(0),
        budget: Budget::new(options.limits),
        warnings: RefCell::new(Vec::new()),
    };
    match build.run(tree, directory, answers) {
        Ok(manifests) => Ok(Output::Built { manifests, warnings: build.warnings.into_inner() }),
        Err(error) if error.kind == ErrorKind::Remote => Ok(Output::Need(Need::Remote(error.message))),
        Err(error) => Err(error),
    }
}

/// The state of one build.
struct Build<'a> {
    options: &'a Options,
    defaults: SharedConfig,
    schema: RefCell<Rc<Schema>>,
    custom_schema: Cell<bool>,
    links: Cell<u32>,
    budget: Budget,
    warnings: RefCell<Vec<String>>,
}

impl Build<'_> {
    fn run(&self, tree: &FileTree, directory: &str, answers: &Answers) -> Result<Vec<Manifest>, BuildError> {
        let loader = load::Loader::top(tree, directory, self.options, answers, &self.budget)?;
        let mut top = Directory::open(&loader, None, self)?;
        let options = top.file.build_metadata.clone();
        if !options.is_empty() {
            top.track = Some(metadata::Track::default());
        }
        let Accumulated { mut set, config, vars } = top.accumulate(Accumulated::empty(self), self)?;
        transform::hashes(&mut set, self)?;
        names::fix(&mut set, &config.config, self)?;
        vars::resolve(&mut set, &vars, &config.config.var_reference, self)?;
        drop_local(&mut set)?;
        match (&top.file.sort, self.options.reorder) {
            (Some(sort), _) => order::sort(&mut set, sort),
            (None, Reorder::Legacy) => order::sort(&mut set, &Sort::Legacy(None)),
            (None, Reorder::None) => {}
        }
        if options.iter().any(|option| option == "managedByLabel") {
            let pairs = [("app.kubernetes.io/managed-by".to_owned(), format!("kustomize-{VERSION}"))].into();
            transform::texts(&mut set, &pairs, &[spec::FieldSpec::anywhere("metadata/labels", true)], self)?;
        }
        let keep = |name: &str| options.iter().any(|option| option == name);
        let (origins, transformations) = (keep("originAnnotations"), keep("transformerAnnotations"));
        set.into_items()
            .into_iter()
            .map(|mut resource| {
                metadata::finish(&mut resource, origins, transformations);
                manifest(resource)
            })
            .collect()
    }

    fn schema(&self) -> Rc<Schema> {
        self.schema.borrow().clone()
    }

    fn has_custom_schema(&self) -> bool {
        self.custom_schema.get()
    }

    fn set_schema(&self, document: &Value) {
        self.custom_schema.set(true);
        let adds = self.options.schema_adds || self.schema().is_in_use();
        *self.schema.borrow_mut() = Rc::new(Schema::custom(document, adds));
    }

    fn next_link(&self) -> u32 {
        self.links.set(self.links.get() + 1);
        self.links.get()
    }

    fn warn(&self, file: &str, deprecated: &[&str]) {
        let mut warnings = self.warnings.borrow_mut();
        for field in deprecated {
            let instead = match *field {
                "bases" => "resources",
                "imageTags" => "images",
                "commonLabels" => "labels",
                "vars" => "replacements",
                _ => "patches",
            };
            warnings.push(format!("{file}: {field} is deprecated; use {instead}"));
        }
    }

    /// Reads a file of settings: one document, by the rules for manifests.
    fn read_settings(&self, text: &[u8], file: &str) -> Result<Value, BuildError> {
        let documents = yaml::read_as(text, &self.options.yaml, Dialect::Lenient)
            .map_err(|error| BuildError::new(ErrorKind::Malformed, error.message).at_line(error.line).in_file(file))?;
        Ok(documents.into_iter().next().map_or(Value::Null, |document| document.value))
    }

    /// The origin of what a kustomization file generates.
    fn generated(&self, file: &str) -> Rc<Origin> {
        Rc::new(Origin { path: file.to_owned(), document: 0, line: 1 })
    }
}

/// The version that `managedByLabel` names: the one whose behaviour this is.
const VERSION: &str = "v5.8.1";

/// Drops the objects that only served the build.
///
/// Errors when a change took an object's kind or name away.
fn drop_local(set: &mut Set) -> Result<(), BuildError> {
    for item in set.items() {
        let lost = match (item.kind(), item.name()) {
            ("", _) => "kind",
            (kind, "") if !kind.ends_with("List") => "metadata.name",
            _ => continue,
        };
        let error = BuildError::new(ErrorKind::Change, format!("the object has lost its {lost}"));
        let error = error.of(format!("{}/{}", item.kind(), item.name())).hint("look for a patch or replacement of it");
        return Err(match &item.origin {
            Some(origin) => error.in_file(&origin.path).at_line(origin.line),
            None => error,
        });
    }
    let is_local = |resource: &resource::Resource| {
        resource.text("annotations", "config.kubernetes.io/local-config").is_some_and(|text| text != "false")
    };
    if set.items().iter().any(is_local) {
        set.items_mut().retain(|resource| !is_local(resource));
    }
    Ok(())
}

fn manifest(resource: resource::Resource) -> Result<Manifest, BuildError> {
    let shown = format!("{}/{}", resource.kind(), resource.name());
    let origin = resource.origin.as_deref().cloned();
    let value = yaml::Node::Mapping(resource.node).to_value().map_err(|message| {
        let error = BuildError::new(ErrorKind::Malformed, message).of(shown);
        match &origin {
            Some(origin) => error.in_file(&origin.path).at_line(origin.line),
            None => error,
        }
    })?;
    Ok(Manifest { value: yaml::sorted(value), origin })
}
