//! The embedded API on loopback, with a kubeconfig beside the data, so that kubectl and other weirs find it.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::embedded::{Access, Embedded, Served};

/// The name of the file in the data directory; `Cluster::connect` looks for it.
const KUBECONFIG: &str = crate::cluster::KUBECONFIG;

/// A served API; the kubeconfig goes when it is closed.
pub struct Door {
    served: Served,
    kubeconfig: PathBuf,
}

impl Door {
    /// Serves the API and writes how to reach it into the data directory, for this user only.
    ///
    /// Errors when the address is not loopback or not free, and when the file cannot be written.
    pub async fn open(embedded: &Embedded, data: &Path, listen: SocketAddr, access: Access) -> Result<Door, CliError> {
        let served = embedded.serve(listen, access).await.map_err(|e| CliError::user(e.to_string(), ""))?;
        let kubeconfig = data.join(KUBECONFIG);
        write_private(&kubeconfig, &served.kubeconfig)?;
        Ok(Door { served, kubeconfig })
    }

    pub fn address(&self) -> SocketAddr {
        self.served.address
    }

    /// Where the kubeconfig is.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Writes the kubeconfig to a further place.
    pub fn copy_kubeconfig(&self, path: &Path) -> Result<(), CliError> {
        write_private(path, &self.served.kubeconfig)
    }

    /// Takes the kubeconfig away and stops serving.
    pub async fn close(self) {
        std::fs::remove_file(&self.kubeconfig).ok();
        self.served.stop().await;
    }
}

/// Writes a file that only this user may read, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |e: &dyn std::fmt::Display| CliError::config(format!("{} cannot be written: {e}", path.display()), "");
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are readable by their owner only, and stay so when they get their name.
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(|e| failed(&e))?;
    file.write_all(text.as_bytes()).map_err(|e| failed(&e))?;
    file.persist(path).map_err(|e| failed(&e.error))?;
    Ok(())
}
