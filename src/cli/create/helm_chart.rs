//! `weir create source chart`. Source: flux2 cmd/flux/create_source_chart.go.

use super::verification::Verification;
use super::{Shared, document, finish, given};
use crate::cli::{CliError, Cx};
use crate::kinds::check::nearest;
use crate::kinds::helm_chart::{ChartSource, ChartVerification, HelmChartSpec, KIND, ReconcileStrategy};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    /// Name of the chart in a Helm repository, or its path in another source
    #[arg(long, value_name = "NAME")]
    chart: Option<String>,
    /// Range of versions; charts by path have the version that they have
    #[arg(long, value_name = "RANGE")]
    chart_version: Option<String>,
    /// Kind/name of the source: HelmRepository, GitRepository or Bucket
    #[arg(long, value_name = "KIND/NAME")]
    source: Option<String>,
    /// What makes a new artifact: ChartVersion or Revision
    #[arg(long, value_name = "STRATEGY", default_value = "ChartVersion")]
    reconcile_strategy: String,
    #[command(flatten)]
    verification: Verification,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let spec = spec(&args)?;
    let document = document(cx, &KIND, &args.shared, serde_json::to_value(spec).unwrap_or_default())?;
    if !args.shared.export {
        cx.output.generate("generating HelmChart source");
    }
    finish(cx, &args.shared, vec![document]).await
}

fn spec(args: &Args) -> Result<HelmChartSpec, CliError> {
    let source = given(&args.source)
        .ok_or_else(|| CliError::user("--source is required", "e.g. --source=HelmRepository/podinfo"))?;
    let source_ref = source_ref(&source)?;
    let chart = given(&args.chart)
        .ok_or_else(|| CliError::user("--chart is required", "its name, or its path in the source"))?;
    let verify = args.verification.wanted()?.map(|wanted| ChartVerification {
        provider: wanted.provider,
        secret_ref: wanted.secret_ref,
        match_oidc_identity: wanted.identities,
    });
    Ok(HelmChartSpec {
        chart,
        version: given(&args.chart_version),
        source_ref,
        interval: args.shared.interval(),
        reconcile_strategy: Some(strategy(&args.reconcile_strategy)?),
        verify,
        ..HelmChartSpec::default()
    })
}

/// Reads `--reconcile-strategy`.
pub fn strategy(text: &str) -> Result<ReconcileStrategy, CliError> {
    match text {
        "ChartVersion" => Ok(ReconcileStrategy::ChartVersion),
        "Revision" => Ok(ReconcileStrategy::Revision),
        other => {
            let message = format!("--reconcile-strategy {other:?} is not known");
            Err(CliError::user(message, "it is ChartVersion or Revision"))
        }
    }
}

/// `Kind/name`; the kind is read in any case.
fn source_ref(text: &str) -> Result<ChartSource, CliError> {
    const KINDS: [&str; 3] = ["HelmRepository", "GitRepository", "Bucket"];
    let hint = format!("a source of charts is one of {}", KINDS.join(", "));
    let Some((kind, name)) = text.split_once('/').filter(|(_, name)| !name.is_empty()) else {
        return Err(CliError::user(format!("--source {text:?} is not Kind/name"), hint));
    };
    match KINDS.into_iter().find(|known| known.eq_ignore_ascii_case(kind)) {
        Some(kind) => Ok(ChartSource { api_version: None, kind: kind.into(), name: name.into() }),
        None => {
            let near = nearest(kind, KINDS).map_or(String::new(), |near| format!(", did you mean {near}/{name}?"));
            Err(CliError::user(format!("--source {text:?}: {kind} is not a source of charts{near}"), hint))
        }
    }
}
