//! The demo's registry of images: the tags of one image, served by the demo itself.
//!
//! A scan asks for nothing but the list of tags, so that is all there is.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use crate::base::FileTree;
use crate::cli::CliError;
use crate::outside::serve::{self, Served};

/// What was pushed: the newest of 0.x wins, the rest lose for different reasons.
const TAGS: &[&str] = &["0.8.2", "0.9.0", "0.9.1", "0.10.0", "0.11.0-rc.1", "1.0.0", "latest"];

/// A served registry; it ends with this value.
pub struct Registry {
    address: SocketAddr,
    _served: Served,
}

impl Registry {
    /// Serves the tags on loopback.
    pub async fn open() -> Result<Registry, CliError> {
        let bound = serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
        let refused =
            |e| CliError::config(format!("the demo's registry cannot be served: {e}"), "is a loopback there?");
        let (listener, address) = bound.map_err(refused)?;
        Ok(Registry { address, _served: serve::serve_files(listener, files()) })
    }

    /// What images begin with.
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

fn files() -> FileTree {
    let list = json!({"name": "shop/cart", "tags": TAGS}).to_string();
    [("v2/shop/cart/tags/list", list)].into_iter().collect()
}
