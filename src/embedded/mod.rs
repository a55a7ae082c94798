//! The Kubernetes API inside the binary: durable, faithful where clients look, and honest where it is not a cluster.
//!
//! Knows nothing of Flux and is reached only through the wire: in process by [`Embedded::client`], on loopback by
//! [`Embedded::serve`]. Objects are JSON; every write runs in one writer, every read is a snapshot, every watch a cursor
//! into one log. What is not here answers 404, 405 or 501 with a sentence, never a silent success.
//!
//! Left out, and said so: pods that run, admission and conversion webhooks, aggregated APIs, RBAC enforcement
//! (identities are accepted and recorded), exec, port-forward, logs, protobuf answers.
//!
//! Start here, then `route.rs` (from a path to what answers it), `write.rs` (what a write does), `store.rs`, `watch.rs`.

mod admit;
mod answer;
mod api_services;
mod catalog;
mod cells;
mod certificates;
mod collect;
mod columns;
mod components;
mod convert;
mod definitions;
mod delete;
mod dial;
mod discovery;
mod endings;
mod file;
mod history;
mod jsonpath;
mod kinds;
mod metadata;
mod object;
pub mod patch;
mod read;
mod registry;
mod request;
mod review;
mod route;
mod scale;
pub mod schema;
mod select;
mod serve;
mod service;
mod simulate;
mod status;
mod store;
mod strict;
mod table;
mod view;
mod watch;
mod workloads;
mod write;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use dial::{Asked, Dial, Effect, Fault};
pub use file::OpenError;
pub use serve::{Access, ServeError, Served};
pub use service::Api;
use store::Store;

/// The version the API says it is.
pub const VERSION: &str = "v1.37.0+weir";

/// How an embedded API is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it is kept; in memory when `None`.
    pub data: Option<PathBuf>,
    /// Make workloads ready by simulation.
    pub simulate: bool,
    pub now: fn() -> Timestamp,
    /// How many changes are kept for watches and pages; who falls behind further lists again.
    pub history: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { data: None, simulate: true, now: Timestamp::now, history: store::HISTORY }
    }
}

/// What everything in this room shares.
pub(crate) struct Core {
    store: Store,
    dial: Dial,
    now: fn() -> Timestamp,
    closing: CancellationToken,
    /// The lock file of the data directory: what a second process reads there.
    note: Mutex<Option<std::fs::File>>,
}

impl Core {
    /// The time, as objects carry it.
    fn stamp(&self) -> String {
        (self.now)().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// Ends what was started when the last handle is dropped.
struct Owner {
    core: Arc<Core>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.closing.cancel();
    }
}

/// An open embedded API; clones are handles to the same one.
#[derive(Clone)]
pub struct Embedded {
    core: Arc<Core>,
    owner: Arc<Owner>,
}

impl Embedded {
    /// Opens the API, and makes its store when there is none.
    ///
    /// Errors when another process has the store, or it cannot be read; the message says what to do.
    pub async fn open(options: Options) -> Result<Embedded, OpenError> {
        let mut note = None;
        let store = match options.data {
            None => Store::in_memory(options.history),
            Some(dir) => {
                let opened = tokio::task::spawn_blocking(move || file::File::open(&dir)).await;
                let (file, objects, revision) = opened.unwrap_or_else(|panic| {
                    let why = panic.to_string();
                    Err(OpenError::Corrupt { path: PathBuf::new(), why })
                })?;
                note = file.lock_note().ok();
                Store::on_file(file, objects, revision, options.history)
            }
        };
        let (closing, note) = (CancellationToken::new(), Mutex::new(note));
        let core = Arc::new(Core { store, dial: Dial::default(), now: options.now, closing, note });
        endings::first_namespaces(&core).await.map_err(|failure| OpenError::Unwritable(failure.message))?;
        tokio::spawn(collect::run(core.clone()));
        if options.simulate {
            let api = Api { core: core.clone(), owner: None };
            let client = kube::Client::new(api, "default");
            tokio::spawn(workloads::run(client, options.now, core.closing.clone()));
        }
        let owner = Arc::new(Owner { core: core.clone() });
        Ok(Embedded { core, owner })
    }

    /// A client in this process; its default namespace is `default`.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// The API as a service, for whoever wants to speak to it without a socket.
    pub fn service(&self) -> Api {
        Api { core: self.core.clone(), owner: Some(self.owner.clone()) }
    }

    /// Serves the API on a loopback address until the handle is dropped or the API is closed.
    ///
    /// Errors when the address is not loopback or not free.
    pub async fn serve(&self, listen: SocketAddr, access: Access) -> Result<Served, ServeError> {
        let served = serve::serve(self.service(), listen, access).await?;
        let mut note = self.core.note.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(file) = note.as_mut() {
            // Only a hint for whoever finds the directory locked.
            let _ = file::write_note(file, &format!("process {}\naddress {}\n", std::process::id(), served.address));
        }
        drop(note);
        Ok(served)
    }

    /// Why writes are refused, while they are; reads go on.
    pub fn trouble(&self) -> Option<String> {
        self.core.store.trouble()
    }

    /// Hands for tests.
    pub fn dial(&self) -> &Dial {
        &self.core.dial
    }

    /// Ends all watches, and returns when everything accepted is durable and the store is closed.
    pub async fn close(self) {
        self.core.closing.cancel();
        // A copy of the lock file is a lock.
        self.core.note.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let core = self.core.clone();
        // Joining the writer blocks, and must not block a runtime's thread.
        let _ = tokio::task::spawn_blocking(move || core.store.close()).await;
    }
}
