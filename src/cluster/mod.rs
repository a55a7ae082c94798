//! The way to an API server: a kubeconfig or the embedded API. Decides nothing.
//!
//! Everything that weir reads or writes on a cluster goes through [`Cluster`]: each request has a deadline, each answer
//! a size limit, each error names its object. Only the store's watches and this room build requests.
//! Start with [`Cluster::connect`], then [`Cluster::apply`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::Text;
use crate::embedded::Embedded;

mod connect;
mod discovery;
mod error;
mod events;
pub mod leases;
mod objects;
mod plugin;
mod tenant;
mod watch;
mod wire;

pub(crate) use watch::{Event, FLOOR, Watch};

pub use connect::KUBECONFIG;
use discovery::Discovery;

pub use error::{Cause, ClusterError, redact};

/// An open way to one API server; cheap to clone.
#[derive(Clone)]
pub struct Cluster(Arc<Inside>);

struct Inside {
    client: kube::Client,
    place: Place,
    discovery: Arc<Discovery>,
    /// Whether requests are made as somebody else than who logged in.
    poses: bool,
}

/// Which API server this is, for the header of every view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A context of a kubeconfig.
    Context { name: String, server: String },
    /// The API inside weir: on a directory (or in memory), served in this process or by another weir at an address.
    Embedded { data: Option<PathBuf>, address: Option<String> },
}

impl Place {
    /// Whether weir itself is the cluster.
    pub fn is_embedded(&self) -> bool {
        matches!(self, Place::Embedded { .. })
    }
}

/// `prod (https://…)`, or `embedded (/home/me/.local/share/weir)`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Context { name, server } => write!(f, "{} ({})", Text::new(name), Text::new(server)),
            Place::Embedded { data: None, .. } => write!(f, "embedded (in memory)"),
            Place::Embedded { data: Some(data), address: None } => {
                write!(f, "embedded ({})", Text::new(data.to_string_lossy()))
            }
            Place::Embedded { data: Some(data), address: Some(address) } => {
                write!(f, "embedded ({}, served at {address})", Text::new(data.to_string_lossy()))
            }
        }
    }
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `path` absent: `$KUBECONFIG`, then `~/.kube/config`. `context` absent: the current one.
    Kubeconfig {
        path: Option<PathBuf>,
        context: Option<String>,
    },
    /// The embedded API on a directory; when another weir holds it, that one is used.
    Embedded {
        data: PathBuf,
    },
    EmbeddedInMemory,
}

/// What [`Cluster::connect`] answers.
pub struct Connected {
    pub cluster: Cluster,
    /// The API that this process holds, when it does: close it before the process ends.
    pub embedded: Option<Embedded>,
}

/// Why no connection could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    pub message: String,
    /// What to do next.
    pub hint: String,
}

/// How a server-side apply is done.
#[derive(Clone, Debug)]
pub struct Apply<'a> {
    pub manager: &'a str,
    /// Takes fields that others own.
    pub force: bool,
    pub dry_run: bool,
}

/// What becomes of the objects that a deleted object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// What must still be true of an object for a write to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

/// The severity of a core/v1 Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Normal,
    Warning,
}

/// What an Event says.
#[derive(Clone, Debug)]
pub struct Notice<'a> {
    pub severity: EventType,
    pub reason: &'a str,
    pub message: &'a str,
    /// Who says it, e.g. `kustomize-controller`.
    pub reporter: &'a str,
    pub annotations: &'a [(String, String)],
}

impl Cluster {
    /// Goes through an existing client.
    pub fn over(client: kube::Client, place: Place) -> Self {
        Cluster(Arc::new(Inside { client, place, discovery: Arc::default(), poses: false }))
    }

    pub fn client(&self) -> kube::Client {
        self.0.client.clone()
    }

    pub fn place(&self) -> &Place {
        &self.0.place
    }

    fn discovery(&self) -> &Discovery {
        &self.0.discovery
    }
}
