//! Helm charts as data: loading, dependencies, values, rendering, and the order of what comes out.
//!
//! Pure: files come in as trees, what templates ask of the world through `template::World`. Start with [`Chart::load`] and [`Chart::render`].
//! Source: helm pkg/chart/v2, pkg/engine, pkg/release/v1/util.

mod capabilities;
mod dependencies;
pub mod ignore;
mod load;
mod manifests;
mod metadata;
mod print;
mod render;
mod schema;
mod set;
mod values;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map as JsonMap, Value as Json};

pub use capabilities::Capabilities;
pub use load::{merge, read_values};
pub use manifests::{Hook, Manifest};
pub use metadata::{Dependency, Metadata};
pub use print::Shown;
pub use render::{Release, Rendered};
pub use set::{SetError, Texts, Writing, set_path, set_values};

use super::template::{Lookup, TemplateError};

/// Values of a chart. Numbers of files are floats here, as Go reads them; those of `--set` are whole.
pub type Values = JsonMap<String, Json>;

/// A chart with the charts within it.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    pub metadata: Metadata,
    /// The defaults. Numbers are floats, as Go reads them.
    pub values: Values,
    pub templates: Vec<ChartFile>,
    /// Everything that is neither a template nor known by name.
    pub files: Vec<ChartFile>,
    /// The JSON schema of the values, as text.
    pub schema: Option<Vec<u8>>,
    pub dependencies: Vec<Chart>,
}

impl Chart {
    /// The names of the charts that `Chart.yaml` asks for and that are not there; Helm refuses to start without them.
    pub fn missing_dependencies(&self) -> Vec<&str> {
        let there = |name: &str| self.dependencies.iter().any(|chart| chart.metadata.name == name);
        let wanted = self.metadata.dependencies.iter().map(|dependency| dependency.name.as_str());
        wanted.filter(|name| !there(name)).collect()
    }
}

/// A file of a chart, its path from the chart's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartFile {
    pub path: String,
    pub bytes: Arc<[u8]>,
}

impl ChartFile {
    /// The file as text; what is not UTF-8 is marked.
    pub fn text(&self) -> Cow<'_, str> {
        std::str::from_utf8(&self.bytes).map_or_else(|_| String::from_utf8_lossy(&self.bytes), Cow::Borrowed)
    }
}

/// Why a chart could not be loaded or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChartError {
    #[error("{0}")]
    Invalid(String),
    #[error("cannot load {path}: {why}")]
    File { path: String, why: String },
    #[error("cannot unpack the chart: {0}")]
    Archive(String),
    #[error("error unpacking subchart {name} in {chart}: {cause}")]
    Within { name: String, chart: String, cause: Box<ChartError> },
    #[error("YAML parse error on {path}: {why}")]
    Manifest { path: String, why: String },
    /// The values are not what a schema allows; the text is Helm's.
    #[error("{0}")]
    Schema(String),
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl ChartError {
    /// The object of the cluster that has to be brought before the chart can be rendered.
    pub fn need(&self) -> Option<&Lookup> {
        match self {
            ChartError::Template(TemplateError::Need(lookup)) => Some(lookup),
            _ => None,
        }
    }
}
