//! Serves stored artifacts over HTTP: known files by their whole path, and nothing else.
//!
//! No listing, no ranges, no link but an owner's `latest.tar.gz`. It listens where it is told, which is loopback
//! unless a person says otherwise. Start with [`serve`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::io::ReaderStream;

use super::artifacts::Artifacts;
use crate::base::FileTree;

const CONNECTIONS: usize = 256;
const PER_PEER: usize = 32;
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Nobody needs longer for one artifact than this.
const CONNECTION_TIME: Duration = Duration::from_secs(900);

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct Served {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Binds the address first, so that [`Artifacts`] can be opened with the port that was given out.
///
/// Errors when the address is taken.
pub async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Serves stored artifacts until the answer is dropped.
pub fn serve(listener: TcpListener, artifacts: Artifacts) -> Served {
    Served { task: tokio::spawn(accept(listener, Stock::Artifacts(artifacts))) }
}

/// Serves files out of memory until the answer is dropped.
pub fn serve_files(listener: TcpListener, files: FileTree) -> Served {
    Served { task: tokio::spawn(accept(listener, Stock::Files(Arc::new(files)))) }
}

/// What there is to serve.
#[derive(Clone)]
enum Stock {
    Artifacts(Artifacts),
    Files(Arc<FileTree>),
}

async fn accept(listener: TcpListener, stock: Stock) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let peers: Arc<Peers> = Arc::default();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: a pause lets some go.
                tracing::warn!("an artifact connection was not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(seat) = Peers::sit(&peers, peer.ip()) else { continue };
        let stock = stock.clone();
        connections.spawn(async move {
            converse(stream, stock).await;
            drop((place, seat));
        });
    }
}

async fn converse(stream: TcpStream, stock: Stock) {
    let service = hyper::service::service_fn(move |request| {
        let stock = stock.clone();
        async move { Ok::<_, Infallible>(answer(&stock, &request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    // What a peer does wrong is its own loss, and nothing here is worth a log line.
    tokio::time::timeout(CONNECTION_TIME, connection).await.ok();
}

async fn answer(stock: &Stock, request: &Request<Incoming>) -> Answer {
    let is_head = request.method() == Method::HEAD;
    if !is_head && request.method() != Method::GET {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let path = request.uri().path().strip_prefix('/').unwrap_or_default().to_owned();
    let storage = match stock {
        Stock::Artifacts(artifacts) => artifacts.clone(),
        Stock::Files(files) => return from_memory(files, &path, is_head),
    };
    let opened = tokio::task::spawn_blocking(move || {
        let file = storage.open_served(&path)?;
        let size = file.metadata().ok()?.len();
        Some((file, size))
    });
    let Ok(Some((file, size))) = opened.await else { return empty(StatusCode::NOT_FOUND) };
    let body = match is_head {
        true => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        false => StreamBody::new(ReaderStream::new(tokio::fs::File::from_std(file)).map_ok(Frame::data)).boxed_unsync(),
    };
    let head = Response::builder().header("content-type", "application/gzip").header("content-length", size);
    head.body(body).unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

fn from_memory(files: &FileTree, path: &str, is_head: bool) -> Answer {
    let Some(file) = files.get(path) else { return empty(StatusCode::NOT_FOUND) };
    let bytes = if is_head { Bytes::new() } else { Bytes::copy_from_slice(&file.bytes) };
    let head = Response::builder().header("content-length", file.bytes.len());
    let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
    head.body(body).unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// Open connections by peer.
#[derive(Default)]
struct Peers(Mutex<HashMap<IpAddr, usize>>);

struct Seat(Arc<Peers>, IpAddr);

impl Peers {
    fn sit(peers: &Arc<Peers>, peer: IpAddr) -> Option<Seat> {
        let mut counts = peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= PER_PEER {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Seat(peers.clone(), peer))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}
