//! A rendered chart as text, as `helm template` prints it.
//!
//! Start with [`Rendered::print`]. Source: helm pkg/cmd (template.go), pkg/action (renderResources).

use super::manifests::{Manifest, split};
use super::{ChartError, Rendered, ignore};

/// What of a rendered chart is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub crds: bool,
    pub hooks: bool,
    /// Hooks that are tests; they count among the hooks.
    pub tests: bool,
}

impl Rendered {
    /// What `helm template` prints.
    pub fn text(&self, with_crds: bool) -> String {
        self.print(Shown { crds: with_crds, hooks: true, tests: true })
    }

    /// What `helm template` prints, with or without some of its parts.
    pub fn print(&self, shown: Shown) -> String {
        let length = |manifest: &Manifest| manifest.path.len() + manifest.text.len() + 20;
        let hooks = self.hooks.iter().map(|hook| &hook.manifest);
        let mut out = String::with_capacity(self.manifests.iter().chain(hooks).map(length).sum());
        for file in self.crds.iter().filter(|_| shown.crds) {
            section(&mut out, &file.path, &file.text());
        }
        for manifest in &self.manifests {
            section(&mut out, &manifest.path, &manifest.text);
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        let is_shown = |events: &[String]| shown.hooks && (shown.tests || !events.iter().any(|event| event == "test"));
        for hook in self.hooks.iter().filter(|hook| is_shown(&hook.events)) {
            section(&mut out, &hook.manifest.path, &hook.manifest.text);
        }
        out
    }

    /// Only the documents from templates that globs name, e.g. `templates/service.yaml`.
    ///
    /// Errors with the first glob that names none.
    pub fn print_only(&self, shown: Shown, globs: &[String]) -> Result<String, ChartError> {
        let all = self.print(shown);
        let documents: Vec<(&str, &str)> =
            split(&all).into_iter().filter_map(|text| Some((source(text)?, text))).collect();
        let mut out = String::new();
        for glob in globs {
            let before = out.len();
            for (_, text) in documents.iter().filter(|(path, _)| ignore::glob(glob, path)) {
                out.push_str(&format!("---\n{text}\n"));
            }
            if out.len() == before {
                return Err(ChartError::Invalid(format!("could not find template {glob} in chart")));
            }
        }
        Ok(out)
    }
}

fn section(out: &mut String, path: &str, text: &str) {
    for part in ["---\n# Source: ", path, "\n", text, "\n"] {
        out.push_str(part);
    }
}

/// The path, from the chart on, that a document says it came from.
fn source(document: &str) -> Option<&str> {
    let from = document.find("# Source: ")? + "# Source: ".len();
    let line = document[from..].lines().next()?;
    line.split_once('/').map(|(_, path)| path).filter(|path| !path.is_empty())
}
