//! [`BuildError`]: what is wrong with a kustomization, where, and what to do next.

use std::fmt;

/// Why a build failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BuildError {
    pub kind: ErrorKind,
    pub place: Box<Place>,
    /// Lower case, without a final period.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

/// The class of a failure, for callers that decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A file is not readable YAML or is not what it must be.
    Malformed,
    /// A file, directory, object or field that is asked for does not exist.
    Missing,
    /// A file lies where the kustomization may not look, or the build would need to run something.
    Forbidden,
    /// A kustomization includes itself.
    Cycle,
    /// Two objects, keys or variables coincide.
    Conflict,
    /// A field of the kustomization has a wrong value.
    Field,
    /// A patch, replacement or other change cannot be applied.
    Change,
    /// A limit on work or size.
    Limit,
    /// Something remote is needed and not given; becomes [`super::Output::Need`].
    Remote,
}

/// Where a failure is. Empty and zero parts are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// Path of the field, e.g. `patches[0].target`.
    pub field: String,
    /// Id of the object.
    pub resource: String,
}

pub(super) type Result<T> = std::result::Result<T, BuildError>;

impl BuildError {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        BuildError { kind, place: Box::default(), message: message.into(), hint: String::new() }
    }

    /// Names the file unless an inner place is known already.
    pub(super) fn in_file(mut self, file: &str) -> Self {
        if self.place.file.is_empty() {
            file.clone_into(&mut self.place.file);
        }
        self
    }

    pub(super) fn at_line(mut self, line: usize) -> Self {
        if self.place.line == 0 {
            self.place.line = line;
        }
        self
    }

    pub(super) fn in_field(mut self, field: impl Into<String>) -> Self {
        if self.place.field.is_empty() {
            self.place.field = field.into();
        }
        self
    }

    pub(super) fn of(mut self, resource: impl fmt::Display) -> Self {
        if self.place.resource.is_empty() {
            self.place.resource = resource.to_string();
        }
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, field, resource } = &*self.place;
        match (file.as_str(), line) {
            ("", _) => {}
            (file, 0) => write!(f, "{file}: ")?,
            (file, line) => write!(f, "{file}:{line}: ")?,
        }
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        if !resource.is_empty() {
            write!(f, "{resource}: ")?;
        }
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}
