//! `weir create helmrelease`. Source: flux2 cmd/flux/create_helmrelease.go.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use serde_json::{Map, Value};

use super::reference::{self, Reference};
use super::{Shared, document, finish, given, helm_chart};
use crate::base::format_duration;
use crate::cli::global::duration;
use crate::cli::{CliError, Cx};
use crate::engine::chart;
use crate::kinds::helm_release::{
    ChartReference, ChartTemplate, ChartTemplateSpec, CrdsPolicy, HelmReleaseSpec, Install, KIND, Upgrade,
    ValuesReference,
};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// Where the chart comes from: Kind/name[.namespace], of HelmRepository, GitRepository or Bucket
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Name of the chart, or its path in a Git or Bucket source
    #[arg(long, value_name = "NAME")]
    chart: Option<String>,
    /// Version of the chart, or a range
    #[arg(long, value_name = "VERSION")]
    chart_version: Option<String>,
    /// A source that is the chart: Kind/name[.namespace], of HelmChart, OCIRepository or ExternalArtifact
    #[arg(long, value_name = "SOURCE")]
    chart_ref: Option<String>,
    /// How often the chart is looked for
    #[arg(long, value_name = "TIME", value_parser = duration)]
    chart_interval: Option<Duration>,
    /// When a chart counts as new: ChartVersion or Revision
    #[arg(long, value_name = "NAME", default_value = "ChartVersion")]
    reconcile_strategy: String,
    /// Name of the release; [TARGET-NAMESPACE-]NAME when absent
    #[arg(long, value_name = "NAME")]
    release_name: Option<String>,
    /// Namespace of the release's objects
    #[arg(long, value_name = "NAME")]
    target_namespace: Option<String>,
    /// Namespace of the release records
    #[arg(long, value_name = "NAME")]
    storage_namespace: Option<String>,
    /// Make the target namespace
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    create_target_namespace: bool,
    /// ServiceAccount to release as
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// HelmRelease that must be ready first: name or namespace/name
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    depends_on: Vec<String>,
    /// Files with values; the later win
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    values: Vec<PathBuf>,
    /// Objects with values: Kind/name, of ConfigMap or Secret
    #[arg(long, value_name = "OBJECT", value_delimiter = ',')]
    values_from: Vec<String>,
    /// What an upgrade does with definitions: Skip, Create or CreateReplace
    #[arg(long, value_name = "POLICY")]
    crds: Option<String>,
    /// Secret with the kubeconfig of a remote cluster
    #[arg(long, value_name = "NAME")]
    kubeconfig_secret_ref: Option<String>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let spec = spec(&args)?;
    let document = document(cx, &KIND, &args.shared, serde_json::to_value(spec).unwrap_or_default())?;
    if !args.shared.export {
        cx.output.generate("generating HelmRelease");
    }
    finish(cx, &args.shared, vec![document]).await
}

fn spec(args: &Args) -> Result<HelmReleaseSpec, CliError> {
    let (chart, chart_ref) = match (given(&args.chart), given(&args.chart_ref)) {
        (None, None) => {
            let hint = "e.g. --source=HelmRepository/podinfo --chart=podinfo, or --chart-ref=OCIRepository/podinfo";
            return Err(CliError::user("--chart or --chart-ref is required", hint));
        }
        (Some(_), Some(_)) => return Err(CliError::user("--chart and --chart-ref exclude each other", "")),
        (Some(chart), None) => (Some(template(args, chart)?), None),
        (None, Some(reference)) => {
            (None, Some(source("--chart-ref", &reference, &["OCIRepository", "HelmChart", "ExternalArtifact"])?))
        }
    };
    let crds = given(&args.crds).map(|policy| crds(&policy)).transpose()?;
    let install = (args.create_target_namespace || crds.is_some()).then(|| Install {
        create_namespace: args.create_target_namespace.then_some(true),
        crds: crds.map(|_| CrdsPolicy::Create),
        ..Install::default()
    });
    Ok(HelmReleaseSpec {
        chart,
        chart_ref,
        interval: args.shared.interval(),
        release_name: given(&args.release_name),
        target_namespace: given(&args.target_namespace),
        storage_namespace: given(&args.storage_namespace),
        service_account_name: given(&args.service_account),
        depends_on: reference::dependencies(&args.depends_on, false),
        install,
        upgrade: crds.map(|policy| Upgrade { crds: Some(policy), ..Upgrade::default() }),
        values: values(&args.values)?,
        values_from: args.values_from.iter().map(|text| values_from(text)).collect::<Result<_, _>>()?,
        kube_config: given(&args.kubeconfig_secret_ref).map(reference::remote),
        ..HelmReleaseSpec::default()
    })
}

fn template(args: &Args, chart: String) -> Result<ChartTemplate, CliError> {
    let named = given(&args.source)
        .ok_or_else(|| CliError::user("--source is required with --chart", "e.g. --source=HelmRepository/podinfo"))?;
    Ok(ChartTemplate {
        metadata: None,
        spec: ChartTemplateSpec {
            chart,
            version: given(&args.chart_version),
            source_ref: source("--source", &named, &["HelmRepository", "GitRepository", "Bucket"])?,
            interval: args.chart_interval.map(format_duration),
            reconcile_strategy: Some(helm_chart::strategy(&args.reconcile_strategy)?),
            ..ChartTemplateSpec::default()
        },
    })
}

fn source(flag: &str, text: &str, kinds: &[&str]) -> Result<ChartReference, CliError> {
    let Reference { kind, name, namespace } = reference::read(flag, text, kinds, None)?;
    Ok(ChartReference { api_version: None, kind, name, namespace })
}

fn crds(text: &str) -> Result<CrdsPolicy, CliError> {
    match text {
        "Skip" => Ok(CrdsPolicy::Skip),
        "Create" => Ok(CrdsPolicy::Create),
        "CreateReplace" => Ok(CrdsPolicy::CreateReplace),
        other => Err(CliError::user(format!("--crds {other:?} is not known"), "it is Skip, Create or CreateReplace")),
    }
}

fn values_from(text: &str) -> Result<ValuesReference, CliError> {
    let refuse =
        || CliError::user(format!("--values-from {text:?} names no values"), "write ConfigMap/name or Secret/name");
    let (kind, name) = text.split_once('/').ok_or_else(refuse)?;
    let kind = ["ConfigMap", "Secret"].into_iter().find(|known| known.eq_ignore_ascii_case(kind)).ok_or_else(refuse)?;
    if name.is_empty() {
        return Err(refuse());
    }
    Ok(ValuesReference { kind: kind.into(), name: name.into(), ..ValuesReference::default() })
}

/// The values of all files, the later over the former.
fn values(files: &[PathBuf]) -> Result<Option<Value>, CliError> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut all = Map::new();
    for file in files {
        let name = file.display().to_string();
        let text = std::fs::read(file)
            .map_err(|error| CliError::user(format!("--values {name} cannot be read: {error}"), "check the path"))?;
        let read = chart::read_values(&name, &text);
        chart::merge(&mut all, read.map_err(|error| CliError::user(error.to_string(), ""))?);
    }
    Ok(Some(with_whole_numbers(Value::Object(all))))
}

/// Numbers of a file are floats; those without a fraction are shown as they were written.
fn with_whole_numbers(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, with_whole_numbers(value))).collect(),
        Value::Array(items) => items.into_iter().map(with_whole_numbers).collect(),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
            whole.and_then(|float| format!("{float:.0}").parse::<i64>().ok()).map_or(Value::Number(number), Value::from)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_policies_are_read_in_the_forms_that_flux_takes() {
        assert_eq!(values_from("secret/s").unwrap().kind, "Secret");
        assert!(values_from("Pod/s").is_err() && values_from("s").is_err());
        assert!(crds("create").is_err());
    }

    #[test]
    fn whole_numbers_stay_whole() {
        let value = with_whole_numbers(serde_json::json!({"a": 2.0, "b": [1.5]}));
        assert_eq!(value, serde_json::json!({"a": 2, "b": [1.5]}));
    }
}
