//! Settings, keymaps and themes: parsed, merged and checked, as pure functions of text.
//!
//! Nothing here reads a file (the caller hands over text with its name) or knows a console action or role (the caller
//! hands over the words that exist). Every mistake is refused with file, line and the nearest right word, so that a
//! typo never silently does nothing. Start with [`Keymap::load`], [`Theme::load`] and [`Settings::resolve`].

mod key;
mod keymap;
mod layer;
mod settings;
mod theme;

pub use key::{Code, Key, parse_script};
pub use keymap::{Keymap, Step, Word, Words};
pub use layer::{Source, inherited};
pub use settings::{Layer, Settings};
pub use theme::{Color, Depth, Style, Theme};

/// What is wrong in a configuration file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ConfigError {
    pub file: String,
    /// From 1; 0 when it concerns the file as a whole.
    pub line: usize,
    pub message: String,
}
