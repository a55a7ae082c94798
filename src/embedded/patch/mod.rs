//! How an object changes: JSON patch, merge patch, strategic merge patch, server-side apply, and who owns which field.
//!
//! Pure: objects and times come in, objects go out; nothing here stores, reads a clock or knows a request.
//! Start with [`apply`] (server-side apply) and [`track`] (ownership after every other write).

mod apply;
mod json;
pub(in crate::embedded) mod limits;
mod merging;
mod owners;
mod path;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod reference;
mod set;
mod strategic;
mod typed;

pub use apply::{apply, track};
pub use json::{json, merge};
pub use strategic::strategic;
pub(in crate::embedded) use typed::equal;

/// Why a patch was refused; each variant is an HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// 400: the patch itself is not well formed.
    #[error("{0}")]
    Malformed(String),
    /// 422: well formed, but it cannot be applied to this object.
    #[error("{0}")]
    Unprocessable(String),
    /// 413: too many operations, or the result is too big.
    #[error("{0}")]
    TooLarge(String),
    /// 415: this kind of object does not take this kind of patch.
    #[error("{0}")]
    Unsupported(String),
}

/// Who writes, and as what.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    pub manager: &'a str,
    /// The version the writer spoke, e.g. `apps/v1`.
    pub api_version: &'a str,
    /// Empty for the main resource.
    pub subresource: &'a str,
    /// RFC 3339, whole seconds.
    pub now: &'a str,
    /// Take conflicting fields instead of refusing.
    pub force: bool,
}

/// Why an apply was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// 400: the body is no apply configuration.
    #[error("{0}")]
    Malformed(String),
    /// 409: other managers own fields this apply would change.
    #[error("{}", conflicts_shown(.0))]
    Conflict(Vec<FieldConflict>),
    /// 422 or 500: the body does not fit the schema.
    #[error("{0}")]
    Invalid(String),
}

/// One field that somebody else owns with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldConflict {
    pub manager: String,
    /// The path as the API server prints it, e.g. `.spec.replicas`.
    pub field: String,
    /// The whole cause message, e.g. `conflict with "kubectl" using apps/v1`.
    pub message: String,
}

/// The message of a 409, as the API server words it.
fn conflicts_shown(conflicts: &[FieldConflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: {}: {}", only.message, only.field);
    }
    let mut lines = Vec::new();
    let mut last = "";
    for conflict in conflicts {
        if conflict.message != last {
            lines.push(format!("{}:", conflict.message.replacen("conflict with", "conflicts with", 1)));
            last = &conflict.message;
        }
        lines.push(format!("- {}", conflict.field));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
