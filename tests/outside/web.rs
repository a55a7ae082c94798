//! A small HTTP server on loopback that answers as a test tells it, and a registry and a chart repository made of it.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use weir::base::{Digest, FileTree};
use weir::engine::archive;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HashMap<String, String>,
}

impl Asked {
    pub fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(String::as_str)
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body never ends.
    pub endless: bool,
}

impl Told {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Told {
        Told { status, body: body.into(), ..Told::default() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Told {
        self.headers.push((name.into(), value.into()));
        self
    }
}

type Answer = dyn Fn(&Asked) -> Told + Send + Sync;

/// A server on loopback; stops when dropped.
pub struct Web {
    pub address: SocketAddr,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Web {
    pub async fn start(answer: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Web {
        Web::start_with(Arc::new(answer), None).await
    }

    pub async fn start_tls(
        answer: impl Fn(&Asked) -> Told + Send + Sync + 'static,
        tls: tokio_rustls::TlsAcceptor,
    ) -> Web {
        Web::start_with(Arc::new(answer), Some(tls)).await
    }

    async fn start_with(answer: Arc<Answer>, tls: Option<tokio_rustls::TlsAcceptor>) -> Web {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (seen, scheme) = (asked.clone(), if tls.is_some() { "https" } else { "http" });
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen, tls) = (answer.clone(), seen.clone(), tls.clone());
                connections.spawn(async move {
                    let service =
                        hyper::service::service_fn(move |request| respond(answer.clone(), seen.clone(), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                http.serve_connection(TokioIo::new(stream), service).await.ok();
                            }
                        }
                        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                    }
                });
            }
        });
        Web { address, scheme, asked, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}/{path}", self.scheme, self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The paths that were asked for since the last time.
    pub fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap()).into_iter().map(|asked| asked.path).collect()
    }
}

async fn respond(
    answer: Arc<Answer>,
    seen: Arc<Mutex<Vec<Asked>>>,
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    drop(body.collect().await);
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
    };
    seen.lock().unwrap().push(asked.clone());
    let told = answer(&asked);
    let mut response = Response::builder().status(told.status);
    for (name, value) in &told.headers {
        response = response.header(name, value);
    }
    let body = match told.endless {
        false => Full::new(Bytes::from(told.body)).boxed_unsync(),
        true => {
            let piece = Bytes::from(vec![b'#'; 64 << 10]);
            let pieces = futures::stream::repeat(piece).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
            StreamBody::new(pieces).boxed_unsync()
        }
    };
    Ok(response.body(body).unwrap())
}

/// Files under paths, changed as a test goes on.
#[derive(Clone, Default)]
pub struct Files(Arc<Mutex<HashMap<String, Told>>>);

impl Files {
    pub fn put(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.tell(path, Told::new(200, body));
    }

    pub fn tell(&self, path: &str, told: Told) {
        self.0.lock().unwrap().insert(path.into(), told);
    }

    pub fn answer(&self, asked: &Asked) -> Told {
        self.0.lock().unwrap().get(&asked.path).cloned().unwrap_or_else(|| Told::new(404, "not here"))
    }

    pub async fn serve(&self) -> Web {
        let files = self.clone();
        Web::start(move |asked| files.answer(asked)).await
    }

    /// Adds a chart and writes the index anew; its address is relative.
    pub fn publish(&self, charts: &[(&str, &str)]) {
        let mut entries: BTreeMap<&str, String> = BTreeMap::new();
        for (name, version) in charts {
            let bytes = chart(name, version, &[]);
            let digest = Digest::sha256(&bytes).hex;
            let file = format!("{name}-{version}.tgz");
            self.put(&format!("/charts/{file}"), bytes);
            let entry = format!(
                "  - apiVersion: v2\n    name: {name}\n    version: {version}\n    digest: {digest}\n    urls:\n    - \
                 {file}\n"
            );
            entries.entry(name).or_default().push_str(&entry);
        }
        let entries: String = entries.iter().map(|(name, versions)| format!("  {name}:\n{versions}")).collect();
        self.put("/charts/index.yaml", format!("apiVersion: v1\nentries:\n{entries}"));
    }
}

/// A packed chart with some more files.
pub fn chart(name: &str, version: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut tree = FileTree::default();
    let mut put = |path: &str, text: &str| tree.insert(&format!("{name}/{path}"), text.as_bytes()).unwrap();
    put("Chart.yaml", &format!("apiVersion: v2\nname: {name}\nversion: {version}\n"));
    put("values.yaml", "replicas: 1\nimage:\n  tag: latest\n");
    put("templates/config.yaml", "kind: ConfigMap\n");
    for (path, text) in more {
        put(path, text);
    }
    archive::pack(&tree)
}

/// A registry in memory: one login or none, a token service beside it.
#[derive(Clone, Default)]
pub struct Shelf {
    pub blobs: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    /// Repository and reference to digest.
    pub manifests: Arc<Mutex<BTreeMap<(String, String), String>>>,
    /// `user:password` that the token service wants.
    pub login: Option<String>,
    /// Tags per page.
    pub page: Option<usize>,
    /// Where to go for a token, when it is not this registry's own.
    pub realm: Option<String>,
}

impl Shelf {
    pub fn blob(&self, bytes: &[u8]) -> String {
        let digest = Digest::sha256(bytes).to_string();
        self.blobs.lock().unwrap().insert(digest.clone(), bytes.to_vec());
        digest
    }

    /// Pushes an artifact of one layer.
    pub fn push(&self, repository: &str, tag: &str, media_type: &str, layer: &[u8]) -> String {
        self.push_layers(repository, tag, &[(media_type, layer)])
    }

    pub fn push_layers(&self, repository: &str, tag: &str, layers: &[(&str, &[u8])]) -> String {
        let config = self.blob(b"{}");
        let layers: Vec<_> = layers
            .iter()
            .map(|(media_type, bytes)| {
                serde_json::json!({"mediaType": media_type, "digest": self.blob(bytes), "size": bytes.len()})
            })
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": config, "size": 2},
            "layers": layers,
            "annotations": {"org.opencontainers.image.source": "https://git.example/app",
                "org.opencontainers.image.revision": "main@sha1:abc"},
        });
        self.tag(repository, tag, manifest.to_string().as_bytes())
    }

    pub fn tag(&self, repository: &str, tag: &str, manifest: &[u8]) -> String {
        let digest = self.blob(manifest);
        self.manifests.lock().unwrap().insert((repository.into(), tag.into()), digest.clone());
        digest
    }

    pub async fn serve(&self) -> Web {
        let shelf = self.clone();
        Web::start(move |asked| shelf.answer(asked)).await
    }

    pub fn answer(&self, asked: &Asked) -> Told {
        let host = asked.headers.get("host").cloned().unwrap_or_default();
        if asked.path == "/token" {
            use base64::Engine as _;
            let login = self.login.as_deref().unwrap_or_default();
            let wanted = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login));
            return match asked.authorization() == Some(wanted.as_str()) {
                true => Told::new(200, format!(r#"{{"token": "let me in to {}"}}"#, asked.query)),
                false => Told::new(401, "no"),
            };
        }
        if self.login.is_some() && !asked.authorization().is_some_and(|it| it.starts_with("Bearer let me in")) {
            let realm = self.realm.clone().unwrap_or_else(|| format!("http://{host}/token"));
            let challenge = format!(r#"Bearer realm="{realm}",service="shelf",scope="repository:x:pull""#);
            return Told::new(401, "{}").with("www-authenticate", &challenge);
        }
        let rest = asked.path.strip_prefix("/v2/").unwrap_or_default();
        if let Some(repository) = rest.strip_suffix("/tags/list") {
            return self.tags(repository, &asked.query);
        }
        if let Some((_, digest)) = rest.split_once("/blobs/") {
            let found = self.blobs.lock().unwrap().get(digest).cloned();
            return found.map_or_else(|| Told::new(404, "{}"), |bytes| Told::new(200, bytes));
        }
        if let Some((repository, reference)) = rest.split_once("/manifests/") {
            let known = self.manifests.lock().unwrap().get(&(repository.into(), reference.into())).cloned();
            let digest = known.unwrap_or_else(|| reference.to_owned());
            let found = self.blobs.lock().unwrap().get(&digest).cloned();
            let Some(bytes) = found else { return Told::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#) };
            let media_type = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
            let media_type = media_type.and_then(|it| it["mediaType"].as_str().map(str::to_owned)).unwrap_or_default();
            let told = Told::new(200, bytes).with("docker-content-digest", &digest);
            return if media_type.is_empty() { told } else { told.with("content-type", &media_type) };
        }
        Told::new(404, "{}")
    }

    fn tags(&self, repository: &str, query: &str) -> Told {
        let all: Vec<String> =
            self.manifests.lock().unwrap().keys().filter(|key| key.0 == repository).map(|key| key.1.clone()).collect();
        let last = query.split('&').find_map(|pair| pair.strip_prefix("last=")).unwrap_or_default();
        let rest: Vec<String> = all.into_iter().filter(|tag| tag.as_str() > last).collect();
        let page = self.page.unwrap_or(1000);
        let told = |tags: &[String]| Told::new(200, serde_json::json!({"name": repository, "tags": tags}).to_string());
        match rest.len() > page {
            false => told(&rest),
            true => {
                let next = format!("</v2/{repository}/tags/list?n={page}&last={}>; rel=\"next\"", rest[page - 1]);
                told(&rest[..page]).with("link", &next)
            }
        }
    }
}
