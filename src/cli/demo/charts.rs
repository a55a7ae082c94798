//! The demo's Helm repository: one small chart in two versions and their index, served by the demo itself.

use std::net::{Ipv4Addr, SocketAddr};

use super::story;
use crate::base::{Digest, FileTree};
use crate::cli::CliError;
use crate::engine::archive;
use crate::outside::serve::{self, Served};

/// The chart's version in the assets, and the one published before it.
const VERSIONS: [&str; 2] = ["0.3.0", "0.2.1"];

/// A served repository; it ends with this value.
pub struct Charts {
    address: SocketAddr,
    _served: Served,
}

impl Charts {
    /// Packs the charts and serves them on loopback.
    pub async fn open() -> Result<Charts, CliError> {
        let bound = serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
        let refused = |e| CliError::config(format!("the demo's charts cannot be served: {e}"), "is a loopback there?");
        let (listener, address) = bound.map_err(refused)?;
        Ok(Charts { address, _served: serve::serve_files(listener, repository()) })
    }

    /// What a HelmRepository has as its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The index and the packed charts.
fn repository() -> FileTree {
    let mut files = FileTree::default();
    let mut put = |path: &str, bytes: Vec<u8>| files.insert(path, bytes).expect("the demo's paths are plain");
    let mut index = String::from("apiVersion: v1\nentries:\n  signpost:\n");
    for version in VERSIONS {
        let mut chart = story::beginning("charts");
        story::replace(&mut chart, "signpost/Chart.yaml", VERSIONS[0], version);
        let bytes = archive::pack(&chart);
        let file = format!("signpost-{version}.tgz");
        index += &format!(
            "  - apiVersion: v2\n    name: signpost\n    version: {version}\n    appVersion: 1.2.0\n    description: A \
             page that says where one is\n    digest: {}\n    urls:\n    - {file}\n",
            Digest::sha256(&bytes).hex
        );
        put(&file, bytes);
    }
    put("index.yaml", index.into_bytes());
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::chart::Chart;
    use crate::outside::helm_index;

    #[test]
    fn the_repository_holds_what_its_index_says() {
        let files = repository();
        let index = helm_index::read(&files.get("index.yaml").unwrap().bytes).unwrap();
        assert_eq!((index.charts, index.versions, index.skipped.len()), (1, 2, 0));
        for version in VERSIONS {
            let found = helm_index::find(&index.to_json(), "signpost", version).unwrap();
            let bytes = &files.get(&found.urls.unwrap()[0]).unwrap().bytes;
            assert_eq!(found.digest, Some(Digest::sha256(bytes).hex));
            let chart = Chart::load_archive(bytes).unwrap();
            assert_eq!((chart.metadata.name.as_str(), chart.metadata.version.as_str()), ("signpost", version));
        }
    }
}
