//! What went wrong, for a person: whose fault, what, and what to do next.

use crate::cluster::{ClusterError, ConnectError};
use crate::verbs::Refusal;

/// Where the cause lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The command was not meant or written so.
    User,
    /// A file or variable that says how to connect or behave.
    Config,
    /// The cluster refused, or cannot be reached.
    Cluster,
    /// A bug of weir.
    Internal,
}

/// Why a command ended early.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    pub fault: Fault,
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
    /// The exit code: 1, except where a command says otherwise.
    pub code: u8,
}

impl CliError {
    fn new(fault: Fault, message: impl Into<String>, hint: impl Into<String>) -> Self {
        CliError { fault, message: message.into(), hint: hint.into(), code: 1 }
    }

    pub fn user(message: impl Into<String>, hint: impl Into<String>) -> Self {
        CliError::new(Fault::User, message, hint)
    }

    pub fn config(message: impl Into<String>, hint: impl Into<String>) -> Self {
        CliError::new(Fault::Config, message, hint)
    }

    pub fn cluster(message: impl Into<String>, hint: impl Into<String>) -> Self {
        CliError::new(Fault::Cluster, message, hint)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        CliError::new(Fault::Internal, message, "this is a bug of weir: please report it with the command you ran")
    }

    /// The same error with another exit code.
    pub fn with_code(self, code: u8) -> Self {
        CliError { code, ..self }
    }
}

impl From<ClusterError> for CliError {
    fn from(error: ClusterError) -> Self {
        let hint = error.hint();
        CliError::cluster(error.to_string(), hint)
    }
}

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> Self {
        CliError::config(error.message, error.hint)
    }
}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        CliError::cluster(refusal.message.into_string(), refusal.hint.into_string())
    }
}
