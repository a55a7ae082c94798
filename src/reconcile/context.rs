//! [`Context`]: what every reconciler may use, opened in one step.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use super::Options;
use super::target::Targets;
use crate::cluster::Cluster;
use crate::outside::artifacts::{Artifacts, StorageError};
use crate::outside::egress::Egress;
use crate::outside::http::{Client, HttpError, Settings};
use crate::outside::serve::{self, Served};
use crate::outside::tags::Tags;
use crate::store::Store;

/// Where tags lie beside the artifacts; a name that no artifact can have.
const TAGS: &str = ".tags";

/// What every reconciler may use; cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub cluster: Cluster,
    pub store: Store,
    /// Where sources put what they fetched.
    pub artifacts: Artifacts,
    /// The tags that scans found.
    pub tags: Tags,
    /// Fetches artifacts from whoever serves them, this machine included.
    pub client: Client,
    pub options: Arc<Options>,
    /// The other clusters that objects name.
    pub targets: Targets,
    /// Hands artifacts out for as long as anybody has this context.
    _served: Arc<Served>,
}

/// Why the reconcilers cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("artifacts cannot be served on {address}: {source}")]
    Serve { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Client(#[from] HttpError),
}

impl Context {
    /// The same with another cluster, for what is applied there.
    pub(super) fn over(&self, cluster: Cluster) -> Context {
        Context { cluster, ..self.clone() }
    }

    /// Opens the artifact storage in a directory, serves it on loopback, and sets up the client.
    ///
    /// Errors when another weir uses the directory, or it cannot be written.
    pub async fn open(cluster: Cluster, store: Store, options: Options, files: &Path) -> Result<Context, OpenError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = serve::bind(address).await;
        let (listener, address) = bound.map_err(|source| OpenError::Serve { address, source })?;
        let artifacts = Artifacts::open(files, &format!("http://{address}"))?;
        let served = Arc::new(serve::serve(listener, artifacts.clone()));
        let client = Client::new(&Settings { egress: Egress { loopback: true }, ..Settings::default() })?;
        let tags = Tags::at(&files.join(TAGS));
        Ok(Context {
            cluster,
            store,
            artifacts,
            tags,
            client,
            options: Arc::new(options),
            targets: Targets::default(),
            _served: served,
        })
    }

    /// The same over the tags that another process keeps with its artifacts.
    pub fn with_tags_of(self, files: &Path) -> Context {
        Context { tags: Tags::of_another(&files.join(TAGS)), ..self }
    }
}
