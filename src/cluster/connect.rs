//! From a kubeconfig, or a directory, to an open [`Cluster`] that has answered once.
//!
//! Every refusal says what was looked for, where, and what to do next. Nothing of a kubeconfig's contents but names and
//! the server's address is ever printed. Start with [`Cluster::connect`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::plugin::{self, Plugin};
use super::wire::{Call, chain};
use super::{Apply, Cluster, ClusterError, ConnectError, Connected, Inside, Place, Target, tenant};
use crate::base::Text;
use crate::embedded::{Embedded, OpenError, Options};
use crate::kinds;

/// Time for a connection to open, and for the first answer.
const OPENING: Duration = Duration::from_secs(10);
const WRITING: Duration = Duration::from_secs(30);
/// Beside the store: how to reach the weir that has it open. Written by that one, for its user only.
pub const KUBECONFIG: &str = "kubeconfig";
const UNSERVED: &str = "stop the other weir, or choose another --data directory";

impl Cluster {
    /// Opens the way to a target, and asks it once whether it is there.
    ///
    /// Errors when there is no such context, the credentials cannot be had, or the server does not answer.
    pub async fn connect(target: &Target) -> Result<Connected, ConnectError> {
        // The only process-wide setting: TLS needs one provider, and more than one may be compiled in.
        let _ = rustls::crypto::ring::default_provider().install_default();
        match target {
            Target::Kubeconfig { path, context } => {
                let cluster = kubeconfig(path.as_deref(), context.as_deref()).await?;
                Ok(Connected { cluster, embedded: None })
            }
            Target::Embedded { data } => embedded(Some(data)).await,
            Target::EmbeddedInMemory => embedded(None).await,
        }
    }
}

async fn kubeconfig(path: Option<&Path>, context: Option<&str>) -> Result<Cluster, ConnectError> {
    if path.is_none() && context.is_none() && is_inside_a_cluster() {
        let config = Config::incluster()
            .map_err(|e| refuse("the pod's own access cannot be read", &e, "mount the service account"))?;
        let place = Place::Context { name: "in-cluster".into(), server: config.cluster_url.to_string() };
        return open(config, place, None).await;
    }
    let known = read(path)?;
    let name = context.map(str::to_owned).or_else(|| known.current_context.clone()).unwrap_or_default();
    let names: Vec<&str> = known.contexts.iter().map(|context| context.name.as_str()).collect();
    if !names.contains(&name.as_str()) {
        return Err(no_context(&name, &names, path));
    }
    let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(known, &options).await;
    let hint = "correct the kubeconfig, or use another context";
    let config = config.map_err(|e| refuse(&format!("the context {name} cannot be used"), &e, hint))?;
    let server = without_credentials(&config.cluster_url);
    open(config, Place::Context { name, server }, path.and_then(Path::parent)).await
}

/// Opens the embedded API, or goes to the weir that has it open.
async fn embedded(data: Option<&Path>) -> Result<Connected, ConnectError> {
    let options = Options { data: data.map(Path::to_path_buf), ..Options::default() };
    match (Embedded::open(options).await, data) {
        (Ok(embedded), data) => {
            let place = Place::Embedded { data: data.map(Path::to_path_buf), address: None };
            let cluster = Cluster::over(embedded.client(), place);
            cluster.install().await?;
            Ok(Connected { cluster, embedded: Some(embedded) })
        }
        (Err(locked @ OpenError::Locked { .. }), Some(data)) => {
            let path = data.join(KUBECONFIG);
            if !path.exists() {
                return Err(ConnectError { message: locked.to_string(), hint: UNSERVED.into() });
            }
            let cluster = served(&path, data).await.map_err(|error| ConnectError {
                message: format!("{locked}; it does not answer at the address it wrote: {}", error.message),
                hint: UNSERVED.into(),
            })?;
            Ok(Connected { cluster, embedded: None })
        }
        (Err(error), _) => Err(ConnectError { message: error.to_string(), hint: String::new() }),
    }
}

/// Another weir's API, by the kubeconfig that it wrote.
async fn served(path: &Path, data: &Path) -> Result<Cluster, ConnectError> {
    let config = Config::from_custom_kubeconfig(read(Some(path))?, &KubeConfigOptions::default()).await;
    let config = config.map_err(|e| refuse(&format!("{} cannot be used", path.display()), &e, UNSERVED))?;
    let address = config.cluster_url.authority().map(ToString::to_string);
    open(config, Place::Embedded { data: Some(data.into()), address }, None).await
}

pub(super) async fn open(mut config: Config, place: Place, directory: Option<&Path>) -> Result<Cluster, ConnectError> {
    config.connect_timeout = Some(OPENING);
    config.write_timeout = Some(WRITING);
    // Repeating is decided where it is known what a request does.
    config.default_retry = false;
    if let Some(provider) = config.auth_info.auth_provider.as_ref().filter(|provider| provider.name != "oidc") {
        let message =
            format!("the auth-provider {} is no longer supported by Kubernetes clients", Text::new(&provider.name));
        return Err(ConnectError { message, hint: "use the credential plugin that replaced it (exec:)".into() });
    }
    let plugin = config.auth_info.exec.take().map(|exec| Plugin::new(exec, directory.map(Path::to_path_buf)));
    if let Some(plugin) = &plugin
        && let Some((certificate, key)) = plugin.credential().await?.certificate
    {
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::STANDARD;
        config.auth_info.client_certificate_data = Some(engine.encode(certificate));
        config.auth_info.client_key_data = Some(engine.encode(key.reveal()).into());
    }
    if config.accept_invalid_certs {
        tracing::warn!("{place}: the server's certificate is not checked (insecure-skip-tls-verify)");
    }
    let poses = tenant::poses(&config.auth_info);
    let hint = "correct the kubeconfig, or use another context";
    let client = kube::Client::try_from(config).map_err(|e| refuse(&format!("{place} cannot be used"), &e, hint))?;
    let client = match plugin {
        Some(plugin) => plugin::client(client, Arc::new(plugin)),
        None => client,
    };
    let cluster = Cluster(Arc::new(Inside { client, place, discovery: Arc::default(), poses }));
    cluster.greet().await?;
    Ok(cluster)
}

impl Cluster {
    /// Brings weir's definitions to its own API; on a real cluster that is for a person to do.
    async fn install(&self) -> Result<(), ConnectError> {
        let how = Apply { manager: "weir", force: true, dry_run: false };
        for definition in kinds::reconciled().filter_map(|kind| kind.custom.as_ref()).map(|custom| custom.crd) {
            self.apply(&definition(), &how).await.map_err(|error| ConnectError {
                message: format!("{}: weir's definitions cannot be installed: {error}", self.place()),
                hint: error.hint().into(),
            })?;
        }
        Ok(())
    }

    /// Asks whether the server is there, and whether it takes the credentials.
    async fn greet(&self) -> Result<(), ConnectError> {
        match self.call(Call::path("/version").deadline(OPENING)).await {
            // It answers, even if not this.
            Ok(_) | Err(ClusterError::Forbidden { .. } | ClusterError::NoKind { .. } | ClusterError::Other { .. }) => {
                Ok(())
            }
            Err(error) => {
                Err(ConnectError { message: format!("{}: {error}", self.place()), hint: error.hint().into() })
            }
        }
    }
}

/// Reads one kubeconfig, or those that `$KUBECONFIG` or the home directory name.
fn read(path: Option<&Path>) -> Result<Kubeconfig, ConnectError> {
    let known = match path {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let place = match path {
        Some(path) => path.display().to_string(),
        None if std::env::var_os("KUBECONFIG").is_some() => "the kubeconfig named by $KUBECONFIG".into(),
        None => "~/.kube/config".into(),
    };
    known.map_err(|error| match error {
        KubeconfigError::ReadConfig(io, _) if io.kind() == std::io::ErrorKind::NotFound => ConnectError {
            message: format!("{place} does not exist"),
            hint: "name another with --kubeconfig, or run on the embedded API with --embedded".into(),
        },
        KubeconfigError::Parse(_) => {
            ConnectError { message: format!("{place} {}", no_kubeconfig(&error)), hint: "correct it".into() }
        }
        error => refuse(&format!("{place} cannot be read"), &error, "correct it, or name another with --kubeconfig"),
    })
}

/// Why a text is no kubeconfig. The parser's words quote it, and it is full of secrets: the place is all that may be
/// said.
pub(super) fn no_kubeconfig(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            let line = error.location().map(|place| format!(" at line {}", place.line())).unwrap_or_default();
            format!("is not a kubeconfig{line}")
        }
        error => format!("cannot be used: {error}"),
    }
}

fn no_context(name: &str, names: &[&str], path: Option<&Path>) -> ConnectError {
    let place = path.map_or_else(|| "the kubeconfig".to_owned(), |path| path.display().to_string());
    let message = match name {
        "" => format!("{place} names no current context"),
        name => format!("{place} has no context {}", Text::new(name)),
    };
    let hint = match names {
        [] => "it has no contexts at all: use another kubeconfig".into(),
        names => format!("choose one with --context: {}", Text::new(names.join(", "))),
    };
    ConnectError { message, hint }
}

fn is_inside_a_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() && std::env::var_os("KUBECONFIG").is_none()
}

pub(super) fn without_credentials(uri: &http::Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("https"), uri.path().trim_end_matches('/'))
}

fn refuse(what: &str, error: &(dyn std::error::Error + 'static), hint: &str) -> ConnectError {
    ConnectError { message: format!("{what}: {}", chain(error)), hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    async fn refused(target: Target) -> ConnectError {
        match Cluster::connect(&target).await {
            Ok(connected) => panic!("connected to {}", connected.cluster.place()),
            Err(error) => error,
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn target(file: &tempfile::NamedTempFile, context: Option<&str>) -> Target {
        Target::Kubeconfig { path: Some(file.path().into()), context: context.map(str::to_owned) }
    }

    const GOOD: &str = "
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]
contexts: [{name: prod, context: {cluster: c, user: u}}, {name: test, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: canary-token}}]
";

    #[tokio::test]
    async fn what_is_missing_is_named_with_the_way_out() {
        let path = PathBuf::from("/no/such/kubeconfig");
        let error = refused(Target::Kubeconfig { path: Some(path), context: None }).await;
        assert_eq!(error.message, "/no/such/kubeconfig does not exist");
        assert!(error.hint.contains("--embedded"));

        let known = file(GOOD);
        let error = refused(target(&known, Some("porduction"))).await;
        assert!(error.message.ends_with("has no context porduction"), "{}", error.message);
        assert_eq!(error.hint, "choose one with --context: prod, test");
        let error = refused(target(&known, None)).await;
        assert!(error.message.ends_with("names no current context"), "{}", error.message);
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named_and_soon() {
        let known = file(GOOD);
        let error = refused(target(&known, Some("prod"))).await;
        assert!(
            error.message.starts_with("prod (http://127.0.0.1:1): the cluster cannot be reached"),
            "{}",
            error.message
        );
        assert!(!error.message.contains("canary"));
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_does_not_print_its_secrets() {
        for text in
            ["users: [{name: u, user: {token: canary", "users:\n- name: u\n  user: {token: [canary]}\n", "- canary"]
        {
            let known = file(text);
            let error = refused(target(&known, Some("prod"))).await;
            assert!(!error.message.contains("canary"), "{}", error.message);
        }
    }
}
