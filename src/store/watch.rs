//! The only writer of the picture: one watch per kind, from list to changes and back to list.

use super::Store;
use crate::cluster::Cluster;

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// All namespaces when absent.
    pub namespace: Option<String>,
}

/// The running watches; they end when this is dropped.
pub struct Watching {
    tasks: tokio::task::JoinSet<()>,
}

/// Begins to watch every known kind, and others when an inventory owns objects of them.
pub fn start(_cluster: &Cluster, _store: &Store, _scope: Scope) -> Watching {
    Watching { tasks: tokio::task::JoinSet::new() }
}

impl Watching {
    /// Ends all watches.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
