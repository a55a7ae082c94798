//! What it takes to start a console: options in, a console over the desk's picture out. Touches no terminal.

use std::time::{Duration, SystemTime};

use super::Console;
use super::effects::Demo;
use super::keys::Keys;
use super::look::Look;
use super::shared::Shared;
use crate::base::{Stamp, Text};
use crate::config::{ConfigError, Depth, Settings, Source};
use crate::verbs::Desk;

/// What the console needs to know besides the desk.
#[derive(Clone, Default)]
pub struct Options {
    pub settings: Settings,
    /// A person's own theme text.
    pub theme: Option<Source>,
    /// A person's own keymap text.
    pub keymap: Option<Source>,
    /// How many colours the terminal has; see [`terminal::depth`].
    pub depth: Option<Depth>,
    /// Reconcilers run in this process and stop with it.
    pub reconciling: bool,
    pub demo: Option<Demo>,
    /// The clock stands still at this time: for pictures and tests.
    pub clock: Option<Stamp>,
}

/// Why the console ended otherwise than by a person's wish.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] std::io::Error),
    #[error("the console failed: this is a fault of weir; the log has more")]
    Panicked,
    #[error("{0}")]
    Script(String),
}

/// A console over the desk's picture.
///
/// Errors when the theme or the keymap is wrong.
pub fn console(desk: &Desk, options: &Options) -> Result<Console, ConfigError> {
    let depth = options.depth.unwrap_or(Depth::True);
    let place = desk.cluster.place();
    Ok(Console::new(Shared {
        store: desk.store.clone(),
        activity: desk.activity.clone(),
        place: Text::new(place.to_string()),
        embedded: place.is_embedded(),
        reconciling: options.reconciling,
        demo: options.demo.is_some(),
        foresees: desk.foresight.is_some(),
        read_only: options.settings.read_only,
        own_theme: options.theme.clone(),
        look: Look::load(&options.settings.theme, options.theme.clone(), depth)?,
        depth,
        keys: Keys::load(&options.settings.keymap, options.keymap.clone())?,
        now: options.clock.unwrap_or_else(now),
        pressed: Duration::ZERO,
        pressed_before: Duration::ZERO,
        size: (80, 24),
        feeds: desk.store.feeds(),
    }))
}

/// The time, as ages count it.
pub(super) fn now() -> Stamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Stamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// What [`render`] draws.
#[derive(Clone, Debug)]
pub struct Script {
    pub width: u16,
    pub height: u16,
    /// As [`crate::config::parse_script`] reads them.
    pub keys: String,
    /// Shows role names instead of the text.
    pub roles: bool,
}
