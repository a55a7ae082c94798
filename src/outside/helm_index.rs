//! Helm repositories over http: the index fetched, read and searched, and the charts it names.
//!
//! An index is foreign and large: it is read under limits, what is wrong with one entry costs that entry, and a search
//! keeps of the stored index only what it needs. Credentials go to the repository's own origin unless told otherwise.
//! Start with [`HelmRepository`], [`read`] and [`find`].
//!
//! Source: helm pkg/repo (index.go, chartrepo.go) and source-controller internal/helm/repository. Differences: a field
//! that Helm does not know is passed over, and a chart must have the digest that the index promises.

mod read;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

pub use read::{Index, read};

use super::http::{Client, Credentials, HttpError, Request, bare};
use crate::base::{Digest, Text, yaml};
use crate::engine::semver_range::{Range, RangeError, parse_version};

/// Bytes an index may have, unpacked (`--helm-index-max-size`).
pub const INDEX_BYTES: u64 = 50 << 20;
/// Bytes a packaged chart may have (`--helm-chart-max-size`).
pub const CHART_BYTES: u64 = 10 << 20;

/// Why a repository or a chart of it could not be had.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("{0:?} is not the URL of a Helm repository: {1}")]
    Url(String, &'static str),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{url} wants credentials; name a Secret with username and password in spec.secretRef")]
    CredentialsMissing { url: String },
    #[error("{url} refused the credentials: HTTP {status}")]
    CredentialsRefused { url: String, status: u16 },
    #[error("failed to fetch {url}: HTTP {status}")]
    Status { url: String, status: u16 },
    #[error("{url} is larger than {limit} bytes")]
    TooLarge { url: String, limit: u64 },
    #[error("{url} cannot be unpacked: {why}")]
    Encoding { url: String, why: String },
    #[error("the index is not YAML: {0}")]
    Yaml(#[from] yaml::YamlError),
    #[error("the index is refused: {0}")]
    Form(String),
    #[error("chart '{name}' version '{version}' is not what its index promises: the digest is {found}, not {wanted}")]
    Digest { name: String, version: String, found: String, wanted: String },
    #[error("chart '{name}' has no address that can be downloaded from: {address:?}")]
    Address { name: String, address: String },
}

impl IndexError {
    /// Whether the credentials, or the lack of them, are the cause.
    pub fn is_authentication(&self) -> bool {
        matches!(
            self,
            IndexError::CredentialsMissing { .. }
                | IndexError::CredentialsRefused { .. }
                | IndexError::Http(HttpError::Tls { .. })
        )
    }
}

/// Why no version of a chart was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoVersion {
    #[error("the stored index cannot be read: {0}")]
    Index(String),
    #[error("no chart name found: the repository has no '{name}'{hint}")]
    Name { name: String, hint: String },
    #[error("no '{name}' chart with version matching '{range}' found")]
    Range { name: String, range: String },
    #[error(transparent)]
    Malformed(#[from] RangeError),
}

/// One Helm repository and how it is spoken to.
#[derive(Clone, Debug)]
pub struct HelmRepository {
    pub client: Client,
    /// As the spec has it.
    pub url: String,
    pub credentials: Credentials,
    /// Whether other hosts get the credentials too.
    pub pass_credentials: bool,
    pub timeout: Duration,
}

/// A version of a chart, as an index describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ChartVersion {
    pub name: String,
    pub version: String,
    pub urls: Option<Vec<String>>,
    pub digest: Option<String>,
    /// RFC 3339; decides between versions that differ in build metadata only.
    pub created: Option<String>,
}

impl HelmRepository {
    /// Fetches the index as it is.
    ///
    /// Errors when the URL cannot work, the server does not answer with 200, or the index is too large.
    pub async fn index(&self) -> Result<Vec<u8>, IndexError> {
        let mut url = parse(&self.url)?;
        let path = format!("{}/index.yaml", url.path().trim_end_matches('/'));
        url.set_path(&path);
        self.fetch(&url, &self.credentials, INDEX_BYTES).await
    }

    /// Downloads a chart and compares it with the digest that the index has of it, if any.
    ///
    /// Errors as [`HelmRepository::index`], when there is no address, or the digest differs.
    pub async fn chart(&self, chart: &ChartVersion) -> Result<Vec<u8>, IndexError> {
        let url = self.address(chart)?;
        let is_own = parse(&self.url).is_ok_and(|own| own.origin() == url.origin());
        let credentials = if is_own || self.pass_credentials { &self.credentials } else { &Credentials::None };
        let bytes = self.fetch(&url, credentials, CHART_BYTES).await?;
        let promised = chart.digest.as_deref().unwrap_or_default().trim();
        let promised = promised.strip_prefix("sha256:").unwrap_or(promised).to_ascii_lowercase();
        let found = Digest::sha256(&bytes).hex;
        // Some servers write other things than digests here; what is no sha256 promises nothing.
        if promised.len() == 64 && promised.bytes().all(|byte| byte.is_ascii_hexdigit()) && promised != found {
            let (name, version) = (chart.name.clone(), chart.version.clone());
            return Err(IndexError::Digest { name, version, found, wanted: promised });
        }
        Ok(bytes)
    }

    /// Where a chart is: its first address, which may be relative to the repository.
    ///
    /// Source: helm pkg/repo (ResolveReferenceURL): the repository's query goes along to its own host.
    pub fn address(&self, chart: &ChartVersion) -> Result<Url, IndexError> {
        let reference = chart.urls.iter().flatten().next().map_or("", String::as_str);
        let refused = || IndexError::Address { name: chart.name.clone(), address: bare(reference) };
        if reference.is_empty() {
            return Err(refused());
        }
        let mut base = parse(&self.url)?;
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        let is_absolute = Url::parse(reference).is_ok();
        let mut url = base.join(reference).map_err(|_| refused())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused());
        }
        if !is_absolute && url.origin() == base.origin() && url.query().is_none() {
            url.set_query(base.query());
        }
        Ok(url)
    }

    async fn fetch(&self, url: &Url, credentials: &Credentials, limit: u64) -> Result<Vec<u8>, IndexError> {
        let shown = shown(url);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let request = Request {
            method: Method::GET,
            url: url.as_str(),
            headers,
            body: Bytes::new(),
            credentials,
            timeout: self.timeout,
        };
        let reply = self.client.send(request).await?;
        match reply.status() {
            200 => {}
            401 if matches!(credentials, Credentials::None) => {
                return Err(IndexError::CredentialsMissing { url: shown });
            }
            status @ (401 | 403) => return Err(IndexError::CredentialsRefused { url: shown, status }),
            status => return Err(IndexError::Status { url: shown, status }),
        }
        let is_packed = reply.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
        let bytes = reply.bytes(limit).await.map_err(|error| match error {
            HttpError::TooLarge { limit, .. } => IndexError::TooLarge { url: shown.clone(), limit },
            error => error.into(),
        })?;
        if !is_packed {
            return Ok(bytes);
        }
        let mut unpacked = Vec::new();
        let read = GzDecoder::new(bytes.as_slice()).take(limit + 1).read_to_end(&mut unpacked);
        read.map_err(|error| IndexError::Encoding { url: shown.clone(), why: error.to_string() })?;
        match unpacked.len() as u64 > limit {
            true => Err(IndexError::TooLarge { url: shown, limit }),
            false => Ok(unpacked),
        }
    }
}

/// The URL in the form by which repositories are compared: one closing slash over http, none for registries.
///
/// Source: source-controller internal/helm/repository (NormalizeURL).
pub fn normalize(url: &str) -> String {
    let bare = url.trim_end_matches('/');
    if url.starts_with("oci://") { bare.to_owned() } else { format!("{bare}/") }
}

fn parse(text: &str) -> Result<Url, IndexError> {
    let refuse = |why| IndexError::Url(bare(text), why);
    let url = Url::parse(text).map_err(|_| refuse("it cannot be read"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(refuse("only http and https are spoken here")),
    }
}

/// The URL without what may be secret of it.
fn shown(url: &Url) -> String {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    Text::new(format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())).into_string()
}

/// Chooses a version of a chart in a stored index: the very text first, else the highest of the range.
///
/// An empty range or `*` means the highest that is no pre-release. Errors say what is not there.
pub fn find(json: &[u8], name: &str, range: &str) -> Result<ChartVersion, NoVersion> {
    #[derive(Deserialize)]
    struct Slim {
        #[serde(default)]
        entries: BTreeMap<String, Vec<ChartVersion>>,
    }
    let mut slim: Slim = serde_json::from_slice(json).map_err(|error| NoVersion::Index(error.to_string()))?;
    let Some(versions) = slim.entries.remove(name).filter(|versions| !versions.is_empty()) else {
        let names = slim.entries.keys().map(String::as_str);
        let near = names.min_by_key(|known| strsim::osa_distance(known, name));
        let near = near.filter(|near| strsim::osa_distance(near, name) <= 3);
        let hint = near.map_or(String::new(), |near| format!(", did you mean '{}'?", Text::new(near)));
        return Err(NoVersion::Name { name: name.into(), hint });
    };
    choose(versions, |version| &version.version, |version| version.created.as_deref(), name, range)
}

/// As [`find`], for versions that come from elsewhere, such as the tags of a registry.
pub fn choose<T>(
    versions: Vec<T>,
    version_of: impl Fn(&T) -> &str,
    created_of: impl Fn(&T) -> Option<&str>,
    name: &str,
    range: &str,
) -> Result<T, NoVersion> {
    let mut versions = versions;
    if !range.is_empty()
        && let Some(at) = versions.iter().position(|version| version_of(version) == range)
    {
        return Ok(versions.swap_remove(at));
    }
    let wanted: Range = if range.is_empty() { "*" } else { range }.parse()?;
    let parsed = versions.iter().enumerate().filter_map(|(at, it)| Some((parse_version(version_of(it))?, at)));
    let created = |at: usize| created_of(&versions[at]).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    // Of equals the one made last; the first of the file where nothing tells them apart.
    let best = wanted.highest(parsed).into_iter().map(|(_, at)| (created(at), std::cmp::Reverse(at))).max();
    match best {
        Some((_, at)) => Ok(versions.swap_remove(at.0)),
        None => Err(NoVersion::Range { name: name.into(), range: range.into() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::outside::http::Settings;

    const INDEX: &str = "\
apiVersion: v1
entries:
  app:
  - {name: app, version: 1.2.0, urls: [charts/app-1.2.0.tgz], created: '2026-01-01T00:00:00Z', appVersion: '9'}
  - {name: app, version: 2.0.0-rc.1, urls: [charts/app-2.0.0-rc.1.tgz]}
  - {name: app, version: 1.10.0+a, urls: [a], created: '2026-01-01T00:00:00Z'}
  - {name: app, version: 1.10.0+b, urls: [b], created: '2026-02-01T00:00:00Z'}
  - {name: app, version: 1.10.0+c, urls: [c], created: '2026-01-05T00:00:00Z'}
  - {name: app, version: v0.9.0}
  - {name: app, version: 1.3, appVersion: 2}
  - null
  - {name: app}
  - {version: 1.0.0}
  - {name: ../app, version: 1.0.0}
  - {name: app, version: latest}
  - {name: app, version: 3.0.0, type: gadget}
  - {name: app, version: 3.0.0, urls: [5]}
  - {name: app, version: 3.0.0, created: 5}
  - {name: app, version: 0.1.0, urls: null, digest: null}
  - text
  lib: null
  odd: {a: b}
";

    fn repository(url: &str) -> HelmRepository {
        HelmRepository {
            client: Client::new(&Settings::default()).unwrap(),
            url: url.into(),
            credentials: Credentials::None,
            pass_credentials: false,
            timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn what_is_wrong_with_one_entry_costs_that_entry() {
        let index = read(INDEX.as_bytes()).unwrap();
        let skipped: Vec<String> = index.skipped.iter().map(ToString::to_string).collect();
        assert_eq!((index.charts, index.versions, skipped.len()), (3, 8, 10), "{skipped:?}");
        let json: Value = serde_json::from_slice(&index.to_json()).unwrap();
        let versions: Vec<&str> =
            json["entries"]["app"].as_array().unwrap().iter().map(|it| it["version"].as_str().unwrap()).collect();
        let sorted = ["2.0.0-rc.1", "1.10.0+a", "1.10.0+b", "1.10.0+c", "1.2.0", "v0.9.0", "0.1.0", "1.3"];
        assert_eq!(versions, sorted);
        assert_eq!(json["entries"]["app"][4]["appVersion"], "9", "all that an entry says is kept");
        assert_eq!(json["entries"]["app"][7]["appVersion"], "2", "as text");
        assert_eq!(read(&index.to_json()).unwrap().to_json(), index.to_json(), "JSON is read like YAML");
    }

    #[test]
    fn an_address_that_cannot_be_read_shows_no_password() {
        for url in ["https://user:canary@host:99999/", "ftp://user:canary@host/x?canary"] {
            let told = parse(url).unwrap_err().to_string();
            assert!(told.contains("host") && !told.contains("canary"), "{told}");
        }
    }

    #[test]
    fn hostile_indexes_are_refused_in_words() {
        for (text, why) in [
            ("", "empty"),
            ("  \n", "empty"),
            ("entries: {}", "API version"),
            ("apiVersion: ''", "API version"),
            ("[]", "not a map"),
            ("apiVersion: v1\nentries: 5", "not a map"),
            ("<html>", "not a map"),
            ("apiVersion: v1\napiVersion: v1", "apiVersion"),
            ("\u{1}", "control"),
            ("a: &a [*a]", "itself"),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        let deep = format!("apiVersion: v1\nentries: {}", "{a: ".repeat(100_000));
        assert!(read(deep.as_bytes()).is_err());
        assert!(read("[".repeat(1_000_000).as_bytes()).is_err());
        assert_eq!(read(b"apiVersion: v1\nentries: null\n").unwrap().charts, 0);
    }

    #[test]
    fn versions_are_chosen_as_helm_chooses_them() {
        let json = read(INDEX.as_bytes()).unwrap().to_json();
        let pick = |range: &str| find(&json, "app", range).map(|found| found.version);
        for (range, wanted) in [
            ("", "1.10.0+b"),
            ("*", "1.10.0+b"),
            ("1.x", "1.10.0+b"),
            ("<1.10.0", "1.2.0"),
            ("1.2.0", "1.2.0"),
            ("1.10.0+c", "1.10.0+c"),
            ("1.3", "1.3"),
            ("0.9.x", "v0.9.0"),
            ("v0.9.0", "v0.9.0"),
            (">=2.0.0-0", "2.0.0-rc.1"),
        ] {
            assert_eq!(pick(range).as_deref(), Ok(wanted), "{range}");
        }
        assert_eq!(pick("3.x").unwrap_err().to_string(), "no 'app' chart with version matching '3.x' found");
        assert!(matches!(pick("a.b"), Err(NoVersion::Malformed(_))));
        let error = find(&json, "ap", "").unwrap_err().to_string();
        assert_eq!(error, "no chart name found: the repository has no 'ap', did you mean 'app'?");
        assert!(matches!(find(b"5", "app", ""), Err(NoVersion::Index(_))));
    }

    #[test]
    fn addresses_are_relative_to_the_repository_and_nothing_else() {
        let address = |url: &str, reference: &str| {
            let chart = ChartVersion { urls: Some(vec![reference.into()]), ..ChartVersion::default() };
            repository(url).address(&chart).map(|url| url.to_string()).map_err(|error| error.to_string())
        };
        for (base, reference, wanted) in [
            ("https://a.example/x", "c.tgz", "https://a.example/x/c.tgz"),
            ("https://a.example/x/", "charts/c.tgz", "https://a.example/x/charts/c.tgz"),
            ("https://a.example/x?token=1", "c.tgz", "https://a.example/x/c.tgz?token=1"),
            ("https://a.example/x?token=1", "https://a.example/c.tgz", "https://a.example/c.tgz"),
            ("https://a.example/x?token=1", "//b.example/c.tgz", "https://b.example/c.tgz"),
            ("https://a.example/x", "https://b.example/c.tgz", "https://b.example/c.tgz"),
            ("https://a.example/x", "/c.tgz", "https://a.example/c.tgz"),
        ] {
            assert_eq!(address(base, reference).as_deref(), Ok(wanted), "{base} {reference}");
        }
        for bad in ["", "file:///etc/passwd", "oci://a/b", "ftp://x/y"] {
            assert!(address("https://a.example/x", bad).is_err(), "{bad}");
        }
        assert!(address("file:///x", "c.tgz").unwrap_err().contains("only http"));
    }

    #[test]
    fn repositories_are_the_same_with_and_without_a_closing_slash() {
        assert_eq!(normalize("https://a/b"), normalize("https://a/b//"));
        assert_eq!(normalize("oci://a/b/"), "oci://a/b");
    }
}
