//! A rendered chart as text, as `helm template` prints it.
//!
//! Start with [`Rendered::print`]. Source: helm pkg/cmd (template.go), pkg/action (renderResources).

use std::borrow::Cow;

use super::manifests::split;
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
        self.pieces(shown).concat()
    }

    /// As [`Rendered::print`], in pieces: what is only written on need not be put together.
    pub fn pieces(&self, shown: Shown) -> Vec<Cow<'_, str>> {
        let mut out = Vec::new();
        for file in self.crds.iter().filter(|_| shown.crds) {
            section(&mut out, &file.path, file.text());
        }
        for manifest in &self.manifests {
            section(&mut out, &manifest.path, Cow::Borrowed(&manifest.text));
        }
        trim_end(&mut out);
        out.push("\n".into());
        let is_shown = |events: &[String]| shown.hooks && (shown.tests || !events.iter().any(|event| event == "test"));
        for hook in self.hooks.iter().filter(|hook| is_shown(&hook.events)) {
            section(&mut out, &hook.manifest.path, Cow::Borrowed(&hook.manifest.text));
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

fn section<'r>(out: &mut Vec<Cow<'r, str>>, path: &'r str, text: Cow<'r, str>) {
    out.extend(["---\n# Source: ".into(), path.into(), "\n".into(), text, "\n".into()]);
}

fn trim_end(pieces: &mut Vec<Cow<'_, str>>) {
    while let Some(last) = pieces.pop() {
        let kept = last.trim_end().len();
        if kept > 0 {
            pieces.push(match last {
                Cow::Borrowed(text) => Cow::Borrowed(&text[..kept]),
                Cow::Owned(mut text) => {
                    text.truncate(kept);
                    Cow::Owned(text)
                }
            });
            return;
        }
    }
}

/// The path, from the chart on, that a document says it came from.
fn source(document: &str) -> Option<&str> {
    let from = document.find("# Source: ")? + "# Source: ".len();
    let line = document[from..].lines().next()?;
    line.split_once('/').map(|(_, path)| path).filter(|path| !path.is_empty())
}
