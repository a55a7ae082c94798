//! The flags of every command: which cluster, which namespace, how long to wait.

use std::path::PathBuf;
use std::time::Duration;

use super::CliError;
use crate::base::parse_duration;
use crate::cluster::Target;

/// Flags that stand before or after any command.
#[derive(clap::Args, Clone, Debug)]
pub struct Global {
    /// Work on the cluster of this kubeconfig; else $KUBECONFIG, else ~/.kube/config, else the embedded API
    #[arg(long, global = true, value_name = "FILE", help_heading = "Which cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; else its current one
    #[arg(long, global = true, value_name = "NAME", help_heading = "Which cluster")]
    pub context: Option<String>,
    /// Work on the embedded API in this directory; else $WEIR_DATA, else weir in the user's data directory
    #[arg(long, global = true, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"], help_heading = "Which cluster")]
    pub data: Option<PathBuf>,
    /// Work on the embedded API although there is a kubeconfig
    #[arg(long, global = true, conflicts_with_all = ["kubeconfig", "context"], help_heading = "Which cluster")]
    pub embedded: bool,
    /// Namespace to work in; else $FLUX_SYSTEM_NAMESPACE, else flux-system
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Which cluster")]
    namespace: Option<String>,
    /// How long to wait for an effect
    #[arg(long, global = true, value_name = "TIME", default_value = "5m", value_parser = duration, help_heading = "Which cluster")]
    pub timeout: Duration,
}

/// Reads a Go duration for a flag.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}

impl Global {
    /// The namespace that commands work in.
    pub fn namespace(&self) -> String {
        self.namespace.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| self.home_namespace())
    }

    /// The namespace that weir and Flux live in.
    pub fn home_namespace(&self) -> String {
        variable("FLUX_SYSTEM_NAMESPACE").unwrap_or_else(|| "flux-system".into())
    }

    /// Whether a namespace was named by a flag.
    pub fn names_namespace(&self) -> bool {
        self.namespace.is_some()
    }

    /// Where to connect to: what was named, else a kubeconfig where people keep them, else the embedded API.
    ///
    /// Errors when there is no home directory to keep data in.
    pub fn target(&self) -> Result<Target, CliError> {
        if self.embedded || self.data.is_some() {
            return Ok(Target::Embedded { data: self.data_dir()? });
        }
        let named = self.kubeconfig.is_some() || self.context.is_some();
        let default = home().map(|home| home.join(".kube/config")).filter(|path| path.exists());
        if named || variable("KUBECONFIG").is_some() || default.is_some() {
            return Ok(Target::Kubeconfig { path: self.kubeconfig.clone(), context: self.context.clone() });
        }
        Ok(Target::Embedded { data: self.data_dir()? })
    }

    /// The directory of the embedded API.
    ///
    /// Errors when none is named and there is no home directory.
    pub fn data_dir(&self) -> Result<PathBuf, CliError> {
        let given = self.data.clone().or_else(|| variable("WEIR_DATA").map(PathBuf::from));
        let standard = || match variable("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
            Some(directory) => Some(directory.join("weir")),
            None => Some(home()?.join(".local/share/weir")),
        };
        given.or_else(standard).ok_or_else(|| {
            CliError::config("there is no home directory to keep data in", "name a directory with --data or WEIR_DATA")
        })
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|path| path.is_absolute())
}
