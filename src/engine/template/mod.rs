//! Go's templates as Helm runs them: text/template, Sprig and Helm's own functions, with Go's values and error texts.
//!
//! Pure: the clock, randomness, time zones and the answers of `lookup` arrive in a [`World`]; nothing is read from the
//! environment, the network or a disk. Everything foreign is paid for out of [`Limits`], so a hostile chart ends in an
//! error. Start with [`Templates::render`]. Source: helm.sh/helm v4 pkg/engine, Go's text/template.

mod addresses;
mod builtin;
mod call;
mod cases;
mod certificates;
mod crypto;
mod dates;
mod der;
mod dicts;
mod document;
mod error;
mod escape;
mod eval;
mod format;
mod held;
mod helm;
mod keys;
mod layout;
mod lex;
mod lists;
mod methods;
mod numbers;
mod parse;
mod pipelines;
mod pretty;
mod printf;
mod reflect;
mod regexes;
mod run;
mod strings;
mod text;
mod toml;
mod tree;
mod value;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use jiff::{Timestamp, Zoned, tz::TimeZone};

pub use value::{Entries, Fields, Items, List, Map, Object, Value};

use error::{Answer, Failure, FailureKind};
use held::Held;
use run::{Machine, Scope};

/// What a rendering may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Templates within templates, whether by `include`, `template` or `tpl`.
    pub depth: usize,
    /// Nodes and calls.
    pub steps: u64,
    /// Bytes of text and lists made in all, thrown away or not; a compiled pattern counts as a MiB.
    pub bytes: u64,
    /// Bytes of one file or template.
    pub output: usize,
    /// Keys, certificates and password hashes.
    pub crypto_calls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { depth: 250, steps: 50_000_000, bytes: 4 << 30, output: 64 << 20, crypto_calls: 50 }
    }
}

/// An object of the cluster that a template asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    pub api_version: String,
    pub kind: String,
    /// Empty for objects without one, or for all.
    pub namespace: String,
    /// Empty for a list.
    pub name: String,
}

/// Where randomness comes from: fills the bytes it is given.
pub type Random<'w> = &'w dyn Fn(&mut [u8]);
/// Finds a time zone by its name; `Local` is the reader's own.
pub type Zones<'w> = &'w dyn Fn(&str) -> Option<TimeZone>;

/// Everything a template may learn that is not in the chart.
#[derive(Clone, Copy, Default)]
pub struct World<'w> {
    pub now: Timestamp,
    /// `None` refuses the random functions.
    pub random: Option<Random<'w>>,
    /// `None` makes everything UTC.
    pub zones: Option<Zones<'w>>,
    /// The objects that `lookup` may find; `None` is a rendering without a cluster, where it finds nothing.
    pub lookups: Option<&'w BTreeMap<Lookup, serde_json::Value>>,
    /// Says when the time for rendering is over.
    pub stop: Option<&'w dyn Fn() -> bool>,
    pub limits: Limits,
}

impl World<'_> {
    fn now(&self) -> Zoned {
        self.now.to_zoned(TimeZone::UTC)
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Answer<()> {
        match self.random {
            Some(random) => {
                random(bytes);
                Ok(())
            }
            None => Err(Failure::plain("random values are not allowed here")),
        }
    }
}

/// Why a rendering failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A file is no template, or a template failed; the text is Helm's.
    #[error("{0}")]
    Failed(String),
    /// A limit of weir's own was reached.
    #[error("{0}")]
    Limit(String),
    /// `lookup` wants an object that is not among the answers: bring it and render again.
    #[error("{} {} has to be looked up", .0.kind, .0.name)]
    Need(Lookup),
}

/// Why a template of no chart failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    #[error("{0}")]
    Parse(String),
    #[error("{0}")]
    Run(String),
}

/// What Helm adds to Go and Sprig.
const OF_HELM: &[&str] = &[
    "include",
    "tpl",
    "required",
    "lookup",
    "toYaml",
    "mustToYaml",
    "toYamlPretty",
    "fromYaml",
    "fromYamlArray",
    "fromJsonArray",
    "toToml",
    "mustToToml",
    "fromToml",
];
/// What depends on where and when it runs.
const NOT_REPEATABLE: &[&str] = &[
    "date",
    "date_in_zone",
    "date_modify",
    "now",
    "htmlDate",
    "htmlDateInZone",
    "dateInZone",
    "dateModify",
    "randAlphaNum",
    "randAlpha",
    "randAscii",
    "randNumeric",
    "randBytes",
    "uuidv4",
    "env",
    "expandenv",
    "getHostByName",
];

/// The parsed templates of a chart.
pub struct Templates {
    functions: call::Functions,
    scope: Rc<Scope>,
}

impl Default for Templates {
    fn default() -> Self {
        Templates::new()
    }
}

impl Templates {
    pub fn new() -> Self {
        Templates { functions: call::all(), scope: Rc::default() }
    }

    /// Templates outside of charts: nothing of Helm's, and of Sprig only what gives the same answer everywhere.
    ///
    /// Source: sprig functions.go (HermeticTxtFuncMap).
    pub fn hermetic() -> Self {
        let kept = |name: &str| !OF_HELM.contains(&name) && !NOT_REPEATABLE.contains(&name);
        let all = call::all();
        let functions = all.iter().filter(|(name, _)| kept(name)).map(|(name, function)| (*name, *function));
        Templates { functions: Rc::new(functions.collect()), scope: Rc::default() }
    }

    /// Parses and renders one template as Go does, `<no value>` included.
    ///
    /// Errors with Go's own text.
    pub fn execute(mut self, name: &str, text: &str, data: Value, world: &World<'_>) -> Result<String, ExecuteError> {
        let file: Rc<str> = name.into();
        let trees = parse::parse(&file, text, &|name| self.functions.get(name).copied());
        for tree in trees.map_err(ExecuteError::Parse)?.into_iter().map(Rc::new) {
            self.scope.add(tree);
        }
        let Some(tree) = self.scope.find(name) else { return Ok(String::new()) };
        let mut machine = Machine::new(world, Rc::clone(&self.functions), std::mem::take(&mut self.scope));
        match machine.execute(&tree, Held::plain(data)) {
            Ok(()) => Ok(std::mem::take(&mut machine.out)),
            Err(failure) => Err(ExecuteError::Run(failure.full())),
        }
    }

    /// Parses a file. Of definitions with one name the last counts.
    ///
    /// Errors with Helm's text when the file is no template.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), TemplateError> {
        let file: Rc<str> = name.into();
        let trees = parse::parse(&file, text, &|name| self.functions.get(name).copied())
            .map_err(|message| TemplateError::Failed(error::parse_error(name, &message)))?;
        for tree in trees.into_iter().map(Rc::new) {
            // The file must be there to be rendered, even when it is empty.
            if tree.name == file && self.scope.find(name).is_none() {
                self.scope.put(tree);
            } else {
                self.scope.add(tree);
            }
        }
        Ok(())
    }

    /// Renders files in order, each with its own data. All share one budget.
    ///
    /// Errors with the first that fails.
    pub fn render<'f>(
        &self,
        files: impl IntoIterator<Item = (&'f str, Value)>,
        world: &World<'_>,
    ) -> Result<Vec<String>, TemplateError> {
        let mut outputs = Vec::new();
        self.render_each(files, world, &mut |_, output| outputs.push(output))?;
        Ok(outputs)
    }

    /// As [`Templates::render`], and hands over each file as soon as it is made.
    ///
    /// Errors as [`Templates::render`]; those before were handed over.
    pub fn render_each<'f>(
        &self,
        files: impl IntoIterator<Item = (&'f str, Value)>,
        world: &World<'_>,
        take: &mut dyn FnMut(&str, String),
    ) -> Result<(), TemplateError> {
        let mut machine = Machine::new(world, Rc::clone(&self.functions), Rc::clone(&self.scope));
        for (name, data) in files {
            let output = render_file(&mut machine, name, data)?;
            take(name, output);
        }
        Ok(())
    }
}

fn render_file(machine: &mut Machine<'_>, name: &str, data: Value) -> Result<String, TemplateError> {
    let Some(tree) = machine.scope.find(name) else {
        return Err(TemplateError::Failed(format!("the chart has no file {name}")));
    };
    machine.out.clear();
    match machine.execute(&tree, Held::plain(data)) {
        // A copy of the right size: the machine's own text keeps its room for the next file.
        Ok(()) => Ok(match machine.out.contains("<no value>") {
            true => machine.out.replace("<no value>", ""),
            false => machine.out.clone(),
        }),
        Err(failure) => Err(described(&failure, name)),
    }
}

fn described(failure: &Failure, name: &str) -> TemplateError {
    if let Some(need) = failure.need() {
        return TemplateError::Need(need.clone());
    }
    let mut level = Some(failure);
    while let Some(inner) = level {
        if inner.kind == FailureKind::Limit {
            return TemplateError::Limit(format!("{name}: {}", inner.text));
        }
        level = inner.cause.as_deref();
    }
    TemplateError::Failed(failure.shown(name))
}

/// Reads a version as templates do: a leading `v` and missing numbers are allowed.
pub fn parse_version(written: &str) -> Option<semver::Version> {
    addresses::parse_version(written).ok()
}

/// The files of a chart as `.Files`.
pub fn files(contents: impl IntoIterator<Item = (String, Arc<[u8]>)>) -> Value {
    methods::files(contents)
}
