//! Credential plugins of kubeconfigs (`exec:`), run by rules that keep a console alive.
//!
//! kube's own runner has no deadline, blocks its thread and lets the plugin read the terminal. Here: stdin closed, output
//! bounded, its own process group, 20 seconds, one run at a time, killed as a group. Arguments, environment and tokens
//! are never logged. Source of the protocol: k8s.io/client-go plugin/pkg/client/auth/exec. Start with [`Plugin::credential`].

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use kube::client::Body;
use kube::config::{ExecConfig, ExecInteractiveMode};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::{ClusterError, ConnectError};
use crate::base::{Secret, Text, format_duration};

const DEADLINE: Duration = Duration::from_secs(20);
const OUTPUT_BYTES: u64 = 1 << 20;
const STDERR_BYTES: u64 = 16 << 10;
/// Tokens are renewed this long before they end.
const MARGIN_SECONDS: i64 = 30;

/// What a plugin answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Credential {
    pub token: Option<Secret>,
    /// Certificate and key, PEM.
    pub certificate: Option<(String, Secret)>,
    /// When it ends, seconds since the epoch.
    until: Option<i64>,
}

/// A plugin and the credential it gave last.
pub(super) struct Plugin {
    config: ExecConfig,
    deadline: Duration,
    /// The lock is held while the plugin runs: never two at a time.
    last: Mutex<Option<Credential>>,
}

impl Plugin {
    /// Takes a plugin on; commands with a slash are relative to the kubeconfig's directory.
    pub(super) fn new(mut config: ExecConfig, directory: Option<PathBuf>) -> Self {
        if let (Some(command), Some(directory)) = (&config.command, directory)
            && command.contains('/')
        {
            config.command = Some(directory.join(command).to_string_lossy().into_owned());
        }
        Plugin { config, deadline: DEADLINE, last: Mutex::new(None) }
    }

    /// The credential, renewed when it is about to end.
    ///
    /// Errors with what the plugin did wrong, and what to do about it.
    pub(super) async fn credential(&self) -> Result<Credential, ConnectError> {
        self.after(|credential| credential.until.is_none_or(|until| now() + MARGIN_SECONDS < until)).await
    }

    /// A credential other than one that the server refused.
    async fn renew(&self, refused: &Secret) -> Result<Credential, ConnectError> {
        self.after(|kept| kept.token.as_ref().is_some_and(|token| token.reveal() != refused.reveal())).await
    }

    async fn after(&self, is_good: impl Fn(&Credential) -> bool) -> Result<Credential, ConnectError> {
        let mut last = self.last.lock().await;
        if let Some(kept) = last.as_ref().filter(|kept| is_good(kept)) {
            return Ok(kept.clone());
        }
        let fresh = self.run().await?;
        *last = Some(fresh.clone());
        Ok(fresh)
    }

    async fn run(&self) -> Result<Credential, ConnectError> {
        let name = self.config.command.clone().unwrap_or_default();
        let refuse = |message: String, hint: &str| ConnectError {
            message: format!("the credential plugin {} {message}", Text::new(&name)),
            hint: hint.to_owned(),
        };
        let by_hand = "run it by hand in this shell, log in if it asks, then try again";
        if self.config.interactive_mode == Some(ExecInteractiveMode::Always) {
            return Err(refuse("wants to ask on the terminal".into(), by_hand));
        }
        let mut child = self.command().spawn().map_err(|e| {
            let hint = self.config.install_hint.as_deref().unwrap_or("install it, or use another context");
            refuse(format!("cannot be started: {e}"), &Text::new(hint.trim()).into_string())
        })?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let all = async { tokio::join!(read(stdout, OUTPUT_BYTES), read(stderr, STDERR_BYTES), child.wait()) };
        let Ok((stdout, stderr, status)) = tokio::time::timeout(self.deadline, all).await else {
            drop(group);
            return Err(refuse(format!("did not answer within {}", format_duration(self.deadline)), by_hand));
        };
        group.disarm();
        let said = Text::new(String::from_utf8_lossy(&stderr).trim());
        match status {
            Ok(status) if status.success() => parse(&stdout).map_err(|message| refuse(message, by_hand)),
            Ok(status) => Err(refuse(format!("failed ({status}): {said}"), by_hand)),
            Err(error) => Err(refuse(format!("was lost: {error}"), by_hand)),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.config.command.as_deref().unwrap_or_default());
        command.args(self.config.args.iter().flatten());
        for pair in self.config.env.iter().flatten() {
            if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
                command.env(name, value);
            }
        }
        let version = self.config.api_version.as_deref().unwrap_or("client.authentication.k8s.io/v1");
        let mut info = json!({"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": false}});
        if let Some(cluster) = self.config.cluster.as_ref().filter(|_| self.config.provide_cluster_info) {
            info["spec"]["cluster"] = serde_json::to_value(cluster).unwrap_or_default();
        }
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }
}

/// Kills what is left of a plugin and its children when it is dropped.
struct Group(Option<Pid>);

impl Group {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself in this moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads up to a limit, and drains the rest, so that a flooding plugin can still end.
async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = (&mut pipe).take(limit).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    kept
}

fn parse(stdout: &[u8]) -> Result<Credential, String> {
    let answer: Value = serde_json::from_slice(stdout).map_err(|_| "did not print an ExecCredential".to_owned())?;
    let text = |key: &str| answer["status"][key].as_str().filter(|text| !text.is_empty());
    let until = text("expirationTimestamp").and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let credential = Credential {
        token: text("token").map(Secret::new),
        certificate: text("clientCertificateData")
            .zip(text("clientKeyData"))
            .map(|(certificate, key)| (certificate.into(), Secret::new(key))),
        until: until.map(|at| at.as_second()),
    };
    if credential.token.is_none() && credential.certificate.is_none() {
        return Err("gave neither a token nor a client certificate".into());
    }
    Ok(credential)
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A client that asks the plugin for its token: renewed before it ends, and once when the server refuses it.
pub(super) fn client(inner: kube::Client, plugin: Arc<Plugin>) -> kube::Client {
    let namespace = inner.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, plugin) = (inner.clone(), plugin.clone());
        async move { send(&inner, &plugin, request).await }
    });
    kube::Client::new(service, namespace)
}

async fn send(
    inner: &kube::Client,
    plugin: &Plugin,
    request: Request<Body>,
) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let again = body.try_clone();
    let credential = plugin.credential().await.map_err(refused)?;
    let Some(token) = credential.token else {
        return Ok(inner.send(Request::from_parts(parts, body)).await?);
    };
    let response = inner.send(with_token(parts.clone(), body, &token)?).await?;
    match again {
        Some(body) if response.status() == StatusCode::UNAUTHORIZED => {
            let renewed = plugin.renew(&token).await.map_err(refused)?;
            let Some(token) = renewed.token else { return Ok(response) };
            Ok(inner.send(with_token(parts, body, &token)?).await?)
        }
        _ => Ok(response),
    }
}

fn refused(error: ConnectError) -> ClusterError {
    ClusterError::Unauthorized { message: format!("{}: {}", error.message, error.hint) }
}

fn with_token(
    mut parts: http::request::Parts,
    body: Body,
    token: &Secret,
) -> Result<Request<Body>, header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))?;
    value.set_sensitive(true);
    parts.headers.insert(header::AUTHORIZATION, value);
    Ok(Request::from_parts(parts, body))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn plugin(script: &str, deadline: Duration) -> Plugin {
        let config = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh",
            "args": ["-c", script], "interactiveMode": "IfAvailable"});
        Plugin { deadline, ..Plugin::new(serde_json::from_value(config).unwrap(), None) }
    }

    const GOOD: &str = r#"echo '{"kind":"ExecCredential","status":{"token":"canary-token"}}'"#;

    #[tokio::test]
    async fn a_token_is_asked_for_once_and_never_printed() {
        let counted = tempfile::NamedTempFile::new().unwrap();
        let script = format!("echo x >> {}; {GOOD}", counted.path().display());
        let plugin = plugin(&script, DEADLINE);
        for _ in 0..3 {
            let credential = plugin.credential().await.unwrap();
            assert_eq!(credential.token.as_ref().unwrap().reveal(), "canary-token");
            assert!(!format!("{credential:?}").contains("canary"));
        }
        assert_eq!(std::fs::read_to_string(counted.path()).unwrap(), "x\n");
    }

    #[tokio::test]
    async fn a_token_about_to_end_is_renewed() {
        let soon = jiff::Timestamp::from_second(now() + 5).unwrap();
        let script = format!(r#"echo '{{"status":{{"token":"'$$'","expirationTimestamp":"{soon}"}}}}'"#);
        let plugin = plugin(&script, DEADLINE);
        let first = plugin.credential().await.unwrap().token.unwrap();
        assert_ne!(plugin.credential().await.unwrap().token.unwrap().reveal(), first.reveal());
    }

    #[tokio::test]
    async fn a_hanging_plugin_is_killed_with_its_children() {
        let pid = tempfile::NamedTempFile::new().unwrap();
        let script = format!("sleep 300 & echo $! > {}; wait", pid.path().display());
        let begun = Instant::now();
        let error = plugin(&script, Duration::from_millis(500)).credential().await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(error.message.contains("did not answer within 500ms"), "{}", error.message);
        let child = std::fs::read_to_string(pid.path()).unwrap();
        let lives = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        // The signal is sent; when it is taken is the kernel's business.
        while lives() {
            assert!(begun.elapsed() < Duration::from_secs(10), "the child lives on");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn plugins_that_read_flood_or_fail_are_refused_in_words() {
        let reads = plugin(&format!("read line || {GOOD}"), DEADLINE).credential().await;
        assert!(reads.is_ok(), "stdin is closed, so reading ends at once");
        let floods = plugin("head -c 3000000 /dev/zero", DEADLINE).credential().await.unwrap_err();
        assert!(floods.message.contains("did not print an ExecCredential"), "{}", floods.message);
        let fails = plugin("printf 'no \\033[31mlogin' >&2; exit 3", DEADLINE).credential().await.unwrap_err();
        assert!(fails.message.contains("failed (exit status: 3): no ␛[31mlogin"), "{}", fails.message);
        let missing = Plugin::new(
            serde_json::from_value(json!({"command": "/no/such/plugin", "installHint": "get it there"})).unwrap(),
            None,
        );
        assert_eq!(missing.credential().await.unwrap_err().hint, "get it there");
    }

    #[tokio::test]
    async fn a_refused_token_is_renewed_once() {
        let counted = tempfile::NamedTempFile::new().unwrap();
        let path = counted.path().display();
        let script = format!(r#"echo x >> {path}; echo '{{"status":{{"token":"t'$(wc -l < {path})'"}}}}'"#);
        let inner = kube::Client::new(
            tower::service_fn(|request: Request<Body>| async move {
                let good = request.headers()[header::AUTHORIZATION] == "Bearer t2";
                let status = if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
                Response::builder().status(status).body(Body::empty())
            }),
            "default",
        );
        let client = client(inner, Arc::new(plugin(&script, DEADLINE)));
        for _ in 0..2 {
            let response = client.send(Request::get("/version").body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }
        assert_eq!(std::fs::read_to_string(counted.path()).unwrap(), "x\nx\n");
    }
}
