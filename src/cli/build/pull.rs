//! Charts that lie elsewhere: in a repository with an index, in a registry, or at an address of their own.
//!
//! Nobody's credentials go along. Start with [`pull`].

use std::time::Duration;

use crate::cli::CliError;
use crate::outside::egress::Egress;
use crate::outside::helm_index::{self, CHART_BYTES, ChartVersion, HelmRepository};
use crate::outside::http::{Client, Credentials, Settings};
use crate::outside::oci::{Access, Registry, Repository};

/// How long one fetch may take.
const LONGEST: Duration = Duration::from_secs(60);

/// Which chart, and where it lies.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Place {
    /// URL of the Helm repository that the chart is looked up in
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// Version of the chart, or a range of versions; the newest when not given
    #[arg(long, value_name = "RANGE")]
    version: Option<String>,
    /// Speak plain http to a registry
    #[arg(long)]
    plain_http: bool,
}

impl Place {
    /// Whether a chart lies elsewhere than on this machine's disk.
    pub fn is_remote(&self, chart: &str) -> bool {
        self.repo.is_some() || ["oci://", "http://", "https://"].iter().any(|scheme| chart.starts_with(scheme))
    }
}

/// Fetches a packaged chart.
///
/// Errors when there is no such version, and with what keeps it from being fetched.
pub async fn pull(chart: &str, place: &Place) -> Result<Vec<u8>, CliError> {
    let range = place.version.as_deref().unwrap_or_default();
    if chart.starts_with("oci://") {
        return from_registry(chart, range, place.plain_http).await;
    }
    let repository = |url: &str| -> Result<HelmRepository, CliError> {
        Ok(HelmRepository {
            client: Client::new(&settings()).map_err(|error| refused(&error))?,
            url: url.to_owned(),
            credentials: Credentials::None,
            pass_credentials: false,
            timeout: LONGEST,
        })
    };
    let Some(url) = &place.repo else {
        let found = ChartVersion { urls: Some(vec![chart.to_owned()]), ..ChartVersion::default() };
        return repository(chart)?.chart(&found).await.map_err(|error| refused(&error));
    };
    let remote = repository(url)?;
    let bytes = remote.index().await.map_err(|error| refused(&error))?;
    let (name, range) = (chart.to_owned(), range.to_owned());
    let found = super::in_background(move || {
        let index = helm_index::read(&bytes).map_err(|error| refused(&error))?;
        helm_index::find(&index.to_json(), &name, &range).map_err(|error| refused(&error))
    });
    let found = found.await?;
    match found.urls.iter().flatten().next().filter(|address| address.starts_with("oci://")) {
        Some(address) => from_registry(address, &found.version, place.plain_http).await,
        None => remote.chart(&found).await.map_err(|error| refused(&error)),
    }
}

async fn from_registry(address: &str, range: &str, insecure: bool) -> Result<Vec<u8>, CliError> {
    let (repository, tag) = Repository::parse_reference(address).map_err(|error| refused(&error))?;
    let name = repository.path.clone();
    let access = Access { settings: settings(), insecure, timeout: LONGEST, ..Access::default() };
    let registry = Registry::new(repository, &access).map_err(|error| refused(&error))?;
    let version = match tag {
        Some(tag) => tag,
        None => {
            let versions = registry.chart_versions().await.map_err(|error| refused(&error))?;
            let chosen = helm_index::choose(versions, |version| version, |_| None, &name, range);
            chosen.map_err(|error| refused(&error))?
        }
    };
    registry.chart(&version, CHART_BYTES).await.map_err(|error| refused(&error))
}

/// A person's own machine may be asked.
fn settings() -> Settings {
    Settings { egress: Egress { loopback: true }, ..Settings::default() }
}

fn refused(error: &dyn std::fmt::Display) -> CliError {
    CliError::user(error.to_string(), "")
}
