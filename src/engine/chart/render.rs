//! Renders a chart: gives every template its data, runs them, and sorts what comes out.
//!
//! Start with [`Chart::render`]. Source: helm pkg/engine (recAllTpls), pkg/action (renderResources).

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;

use super::manifests::{Cut, Hook, Manifest, cut, sort};
use super::{Capabilities, Chart, ChartError, ChartFile, Values, dependencies, schema, values};
use crate::engine::template::{Fields, Items, List, Map, Object, TemplateError, Templates, Value, World, files};

/// The release a chart is rendered for.
#[derive(Clone, Debug)]
pub struct Release {
    pub name: String,
    pub namespace: String,
    pub revision: i64,
    pub is_upgrade: bool,
}

/// A rendered chart.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The contents of `crds/`, never templates.
    pub crds: Vec<ChartFile>,
    pub hooks: Vec<Hook>,
    pub manifests: Vec<Manifest>,
    pub notes: String,
    /// The values the chart was rendered with, defaults included.
    pub values: Values,
}

impl Chart {
    /// Renders the chart with values over its defaults.
    ///
    /// Errors with the values that a schema does not allow, with the first template that fails, or with the object a
    /// `lookup` needs.
    pub fn render(
        &self,
        given: &Values,
        release: &Release,
        capabilities: &Capabilities,
        world: &World<'_>,
    ) -> Result<Rendered, ChartError> {
        self.render_as(given, release, capabilities, world, schema::check)
    }

    /// As [`Chart::render`], with the values as they are, whatever the schemas say.
    pub fn render_unchecked(
        &self,
        given: &Values,
        release: &Release,
        capabilities: &Capabilities,
        world: &World<'_>,
    ) -> Result<Rendered, ChartError> {
        self.render_as(given, release, capabilities, world, |_, _| Ok(()))
    }

    /// The files of all `crds/` directories, of the dependencies that the values switch on too.
    ///
    /// Errors when a dependency is missing.
    pub fn definitions(&self, given: &Values) -> Result<Vec<ChartFile>, ChartError> {
        let mut chart = self.clone();
        dependencies::resolve(&mut chart, given)?;
        let mut crds = Vec::new();
        collect_crds(&chart, "", &mut crds);
        Ok(crds)
    }

    fn render_as(
        &self,
        given: &Values,
        release: &Release,
        capabilities: &Capabilities,
        world: &World<'_>,
        check: impl FnOnce(&Chart, &Values) -> Result<(), ChartError>,
    ) -> Result<Rendered, ChartError> {
        let mut chart = self.clone();
        dependencies::resolve(&mut chart, given)?;
        let values = values::coalesce(&chart, given.clone(), false)?;
        check(&chart, &values)?;
        let wanted = &chart.metadata.kube_version;
        let plain = plain_version(&capabilities.kube_version);
        if !wanted.is_empty() && !dependencies::is_compatible(wanted, &plain) {
            let is = &capabilities.kube_version;
            let why = format!("chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {is}");
            return Err(ChartError::Invalid(why));
        }
        let mut plan = Plan {
            templates: Vec::new(),
            release: release_value(release),
            capabilities: capabilities_value(capabilities, &plain),
        };
        let root = Value::from_values(&Json::Object(values.clone()));
        plan.add(&chart, "", root, true);
        let notes_path = format!("{}/templates/NOTES.txt", chart.metadata.name);
        let mut notes = None;
        let is_large = plan.templates.iter().map(|planned| planned.text.len()).sum::<usize>() > ASIDE;
        let (ran, files) = while_cut(is_large, |take| {
            plan.run(world, &mut |path, text| match path.ends_with("NOTES.txt") {
                true if path == notes_path => notes = Some(text),
                true => {}
                false => take(path, text),
            })
        });
        ran?;
        let (hooks, manifests) = sort(files)?;
        let mut crds = Vec::new();
        collect_crds(&chart, "", &mut crds);
        Ok(Rendered { crds, hooks, manifests, notes: notes.unwrap_or_default(), values })
    }
}

/// Templates of more bytes than this are worth a thread of their own for what comes after them.
const ASIDE: usize = 256 << 10;

/// Cuts files into documents, those of a large chart beside what makes them: reading YAML takes about as long as running
/// templates.
fn while_cut<T>(is_large: bool, make: impl FnOnce(&mut dyn FnMut(&str, String)) -> T) -> (T, Vec<Cut>) {
    let mut files = Vec::new();
    if !is_large {
        let made = make(&mut |path, text| files.push((path.to_owned(), cut(path, &text))));
        return (made, files);
    }
    let made = std::thread::scope(|scope| {
        let (sender, texts) = std::sync::mpsc::channel::<(String, String)>();
        let cutter = scope.spawn(|| {
            for (path, text) in texts {
                let pieces = cut(&path, &text);
                files.push((path, pieces));
            }
        });
        // It ends only with all that were sent.
        let made = make(&mut |path, text| drop(sender.send((path.to_owned(), text))));
        drop(sender);
        cutter.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        made
    });
    (made, files)
}

/// A version without what a provider adds.
fn plain_version(version: &str) -> String {
    let numbers: Vec<&str> = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit()).take(3).collect();
    format!("v{}", numbers.join("."))
}

fn path(above: &str, chart: &Chart) -> String {
    if above.is_empty() { chart.metadata.name.clone() } else { format!("{above}/charts/{}", chart.metadata.name) }
}

fn collect_crds(chart: &Chart, above: &str, found: &mut Vec<ChartFile>) {
    let full = path(above, chart);
    let is_crd =
        |path: &str| path.starts_with("crds/") && [".yaml", ".yml", ".json"].iter().any(|end| path.ends_with(end));
    for file in chart.files.iter().filter(|file| is_crd(&file.path)) {
        found.push(ChartFile { path: format!("{full}/{}", file.path), bytes: Arc::clone(&file.bytes) });
    }
    for sub in &chart.dependencies {
        collect_crds(sub, &full, found);
    }
}

fn release_value(release: &Release) -> Value {
    Value::map([
        ("Name", Value::str(&release.name)),
        ("Namespace", Value::str(&release.namespace)),
        ("IsUpgrade", Value::Bool(release.is_upgrade)),
        ("IsInstall", Value::Bool(!release.is_upgrade)),
        ("Revision", Value::Int(release.revision)),
        ("Service", Value::str("Helm")),
    ])
}

fn capabilities_value(capabilities: &Capabilities, plain: &str) -> Value {
    let object = |type_name, fields, text| {
        Value::Object(Rc::new(Object { type_name, pointer: type_name == "*common.Capabilities", fields, text }))
    };
    let mut numbers = plain.trim_start_matches('v').split('.').map(Value::str);
    let version = if capabilities.kube_version.starts_with('v') {
        capabilities.kube_version.clone()
    } else {
        format!("v{}", capabilities.kube_version)
    };
    let kubernetes = vec![
        ("Version", Value::from(version)),
        ("Major", numbers.next().unwrap_or_default()),
        ("Minor", numbers.next().unwrap_or_default()),
    ];
    let blank = || Value::str("");
    let helm = vec![
        ("Version", Value::str(&capabilities.helm_version)),
        ("GitCommit", blank()),
        ("GitTreeState", blank()),
        ("GoVersion", blank()),
        ("KubeClientVersion", blank()),
    ];
    let versions = capabilities.api_versions.iter().map(|version| Value::str(version)).collect();
    let fields = vec![
        ("KubeVersion", object("common.KubeVersion", kubernetes, Some(plain.into()))),
        ("APIVersions", Value::List(List::of(Items::Versions, versions))),
        ("HelmVersion", object("version.BuildInfo", helm, None)),
    ];
    object("*common.Capabilities", fields, None)
}

/// A template with the data of its chart.
struct Planned<'c> {
    path: String,
    text: Cow<'c, str>,
    data: Map,
    base_path: String,
}

struct Plan<'c> {
    templates: Vec<Planned<'c>>,
    release: Value,
    capabilities: Value,
}

impl<'c> Plan<'c> {
    /// Plans the templates of a chart and of those within; gives what `.Subcharts` shows of it.
    fn add(&mut self, chart: &'c Chart, above: &str, values: Value, is_root: bool) -> Value {
        let full = path(above, chart);
        let values = match values {
            Value::Map(values) => values.retyped(Fields::Values),
            _ => Map::of(Fields::Values, Default::default()),
        };
        let mut subcharts = Vec::new();
        for sub in &chart.dependencies {
            let inner = values.get(&sub.metadata.name).unwrap_or_default();
            subcharts.push((sub.metadata.name.clone(), self.add(sub, &full, inner, false)));
        }
        let contents = chart.files.iter().map(|file| (file.path.clone(), Arc::clone(&file.bytes)));
        let data = Value::map([
            ("Chart", chart.metadata.to_value(is_root)),
            ("Files", files(contents)),
            ("Release", self.release.clone()),
            ("Capabilities", self.capabilities.clone()),
            ("Values", Value::Map(values)),
            ("Subcharts", Value::map(subcharts)),
        ]);
        let Value::Map(map) = &data else { return data };
        for file in &chart.templates {
            let base = file.path.rsplit('/').next().unwrap_or_default();
            if chart.metadata.is_library() && !base.starts_with('_') {
                continue;
            }
            self.templates.push(Planned {
                path: format!("{full}/{}", file.path),
                text: file.text(),
                data: map.retyped(Fields::Values),
                base_path: format!("{full}/templates"),
            });
        }
        data
    }

    /// Parses all, deepest path first, and runs those that are no partials.
    fn run(mut self, world: &World<'_>, take: &mut dyn FnMut(&str, String)) -> Result<(), ChartError> {
        let depth = |planned: &Planned<'_>| planned.path.matches('/').count();
        self.templates.sort_by(|a, b| (depth(b), &b.path).cmp(&(depth(a), &a.path)));
        let mut templates = Templates::new();
        let mut seen = HashMap::new();
        for planned in &self.templates {
            if world.stop.is_some_and(|stop| stop()) {
                return Err(TemplateError::Limit("the time for rendering is over".into()).into());
            }
            if seen.insert(&planned.path, ()).is_none() {
                templates.add(&planned.path, &planned.text)?;
            }
        }
        let run: Vec<&Planned<'_>> = self
            .templates
            .iter()
            .filter(|planned| !planned.path.rsplit('/').next().unwrap_or_default().starts_with('_'))
            .collect();
        let data = run.iter().map(|planned| {
            let about = [("Name", &planned.path), ("BasePath", &planned.base_path)];
            let about = about.into_iter().map(|(key, value)| (key.into(), Value::str(value))).collect();
            planned.data.insert("Template".into(), Value::Map(Map::of(Fields::Values, about)));
            (planned.path.as_str(), Value::Map(planned.data.clone()))
        });
        Ok(templates.render_each(data, world, take)?)
    }
}
