//! Helm repositories over real HTTP: friendly ones, and those that want credentials or memory.

use std::io::Write as _;
use std::time::Duration;

use weir::base::Secret;
use weir::outside::egress::Egress;
use weir::outside::helm_index::{ChartVersion, HelmRepository, IndexError, find, read};
use weir::outside::http::{Client, ClientCertificate, Credentials, HttpError, Settings};

use super::servers::tls;
use super::web::{Files, Told, Web, chart};

fn settings() -> Settings {
    Settings { egress: Egress { loopback: true }, ..Settings::default() }
}

fn repository(url: String) -> HelmRepository {
    HelmRepository {
        client: Client::new(&settings()).unwrap(),
        url,
        credentials: Credentials::None,
        pass_credentials: false,
        timeout: Duration::from_secs(20),
    }
}

fn login() -> Credentials {
    Credentials::Basic { user: "ada".into(), password: Secret::new("canary") }
}

const HEADER: &str = "Basic YWRhOmNhbmFyeQ==";

#[tokio::test]
async fn an_index_and_its_charts_are_fetched() {
    let files = Files::default();
    files.publish(&[("app", "1.0.0"), ("app", "1.1.0"), ("other", "0.1.0")]);
    let web = files.serve().await;
    let remote = repository(web.url("charts"));
    let index = read(&remote.index().await.unwrap()).unwrap();
    let found = find(&index.to_json(), "app", "1.x").unwrap();
    assert_eq!(found.version, "1.1.0");
    assert_eq!(remote.chart(&found).await.unwrap(), chart("app", "1.1.0", &[]));
    assert_eq!(web.taken(), ["/charts/index.yaml", "/charts/app-1.1.0.tgz"]);
    files.put("/charts/app-1.1.0.tgz", "something else");
    let error = remote.chart(&found).await.unwrap_err();
    assert!(matches!(error, IndexError::Digest { .. }), "{error}");
}

#[tokio::test]
async fn credentials_go_to_the_own_origin_only() {
    let elsewhere = Files::default();
    let bytes = chart("app", "1.0.0", &[]);
    elsewhere.put("/app.tgz", bytes.clone());
    let other = elsewhere.serve().await;
    let target = other.url("app.tgz");
    let redirect = target.clone();
    let own = Web::start(move |asked| match asked.path.as_str() {
        _ if asked.authorization() != Some(HEADER) => Told::new(401, "who are you?"),
        "/moved.tgz" => Told::new(302, "").with("location", &redirect),
        _ => Told::new(200, "apiVersion: v1\nentries: {}\n"),
    })
    .await;
    let remote = repository(own.url(""));
    let error = remote.index().await.unwrap_err();
    assert!(error.is_authentication() && error.to_string().contains("spec.secretRef"), "{error}");
    let mut remote = HelmRepository { credentials: login(), ..remote };
    assert!(remote.index().await.is_ok());
    let at = |address: &str| ChartVersion { urls: Some(vec![address.into()]), ..ChartVersion::default() };
    assert_eq!(remote.chart(&at(&target)).await.unwrap(), bytes);
    assert_eq!(remote.chart(&at("moved.tgz")).await.unwrap(), bytes);
    assert!(other.asked().iter().all(|asked| asked.authorization().is_none()), "{:?}", other.asked());
    remote.pass_credentials = true;
    assert_eq!(remote.chart(&at(&target)).await.unwrap(), bytes);
    assert_eq!(other.asked().last().unwrap().authorization(), Some(HEADER), "told to");
    remote.credentials = Credentials::Basic { user: "ada".into(), password: Secret::new("wrong") };
    let error = remote.index().await.unwrap_err();
    assert!(matches!(error, IndexError::CredentialsRefused { status: 401, .. }));
    assert!(!error.to_string().contains("wrong"));
}

#[tokio::test]
async fn own_certificates_are_trusted_and_shown() {
    let tls = tls("127.0.0.1", true);
    let web = Web::start_tls(|_| Told::new(200, "apiVersion: v1\n"), tls.acceptor).await;
    let remote =
        |settings: Settings| HelmRepository { client: Client::new(&settings).unwrap(), ..repository(web.url("")) };
    let error = remote(settings()).index().await.unwrap_err();
    assert!(matches!(error, IndexError::Http(HttpError::Tls { .. })), "{error}");
    let ca = Some(tls.ca.into_bytes());
    assert!(remote(Settings { ca: ca.clone(), ..settings() }).index().await.is_err(), "the server wants to see one");
    let certificate = ClientCertificate { certificate: tls.client.0.into_bytes(), key: Secret::new(tls.client.1) };
    let both = Settings { ca, certificate: Some(certificate), ..settings() };
    assert!(remote(both).index().await.is_ok());
}

#[tokio::test]
async fn hostile_servers_end_in_an_error() {
    let files = Files::default();
    files.tell("/endless.tgz", Told { status: 200, endless: true, ..Told::default() });
    files.tell("/loop.tgz", Told::new(302, "").with("location", "/loop.tgz"));
    files.tell("/metadata.tgz", Told::new(302, "").with("location", "http://169.254.169.254/index.yaml"));
    files.tell("/gone.tgz", Told::new(500, "x"));
    let bomb = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let zeros = vec![b' '; 1 << 20];
        (0..11).for_each(|_| gzip.write_all(&zeros).unwrap());
        gzip.finish().unwrap()
    };
    files.tell("/bomb.tgz", Told::new(200, bomb).with("content-encoding", "gzip"));
    files.tell("/broken.tgz", Told::new(200, "not gzip").with("content-encoding", "gzip"));
    let web = files.serve().await;
    for (path, why) in [
        ("endless.tgz", "is larger than"),
        ("bomb.tgz", "is larger than"),
        ("loop.tgz", "more than 5 redirects"),
        ("metadata.tgz", "169.254.169.254"),
        ("broken.tgz", "cannot be unpacked"),
        ("gone.tgz", "HTTP 500"),
        ("nothing.tgz", "HTTP 404"),
    ] {
        let chart = ChartVersion { urls: Some(vec![path.into()]), ..ChartVersion::default() };
        let error = repository(web.url("")).chart(&chart).await.unwrap_err().to_string();
        assert!(error.contains(why), "{path}: {error}");
    }
    let packed = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"apiVersion: v1\n").unwrap();
        gzip.finish().unwrap()
    };
    files.tell("/packed/index.yaml", Told::new(200, packed).with("content-encoding", "gzip"));
    assert_eq!(repository(web.url("packed")).index().await.unwrap(), b"apiVersion: v1\n");
    let closed = HelmRepository { client: Client::new(&Settings::default()).unwrap(), ..repository(web.url("packed")) };
    let error = closed.index().await.unwrap_err();
    assert!(matches!(error, IndexError::Http(HttpError::Forbidden { .. })), "{error}");
}

#[test]
fn a_long_index_is_read_whole() {
    let mut text = String::from("apiVersion: v1\nentries:\n");
    for chart in 0..40 {
        text += &format!("  chart-{chart}:\n");
        for version in 0..25 {
            text += &format!(
                "  - annotations:\n      category: Database\n    apiVersion: v2\n    appVersion: 1.{version}\n    created: \
                 \"2026-01-02T15:04:05.999999999Z\"\n    dependencies:\n    - name: common\n      version: 2.x.x\n    \
                 description: one of many\n    digest: ab{version:062x}\n    name: chart-{chart}\n    urls:\n    - \
                 https://charts.example/chart-{chart}-1.{version}.0.tgz\n    version: 1.{version}.0\n"
            );
        }
    }
    let index = read(text.as_bytes()).unwrap();
    assert_eq!((index.charts, index.versions, index.skipped.len()), (40, 1000, 0), "{:?}", index.skipped);
    assert_eq!(find(&index.to_json(), "chart-37", "").unwrap().version, "1.24.0");
}
