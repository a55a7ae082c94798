//! The shared words: what every room may say and none may own.
//!
//! Nothing here does I/O, reads a clock or knows Flux. A word that only one room uses does not belong here.
//! Start with [`Id`] (which object) and [`Text`] (the only thing that may reach a terminal).

mod age;
mod digest;
mod expression;
mod health;
mod id;
mod object;
pub mod redactor;
mod revision;
mod secret;
mod text;
mod tree;
pub mod yaml;

pub use age::{Age, DurationError, Stamp, format_duration, parse_duration};
pub use digest::Digest;
pub use expression::{calls, check_expression, loop_names, loops, without_texts};
pub use health::{Condition, Health, State};
pub use id::{Api, Id};
pub use object::{Object, ObjectError};
pub use redactor::Redactor;
pub use revision::Revision;
pub use secret::Secret;
pub use text::Text;
pub use tree::{File, FileTree, PathError};

/// A Kubernetes document as data: what manifests, patches and answers are made of.
pub use serde_json::Value;
