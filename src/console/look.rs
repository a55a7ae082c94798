//! How things look: roles that code names, resolved once from a theme to the terminal's styles.
//!
//! Themes are built in (and read from disk by debug builds). Start with [`Look::load`] and [`Role`].

use ratatui::style::{Color as Paint, Modifier, Style as Drawn};

use crate::base::State;
use crate::config::{Color, ConfigError, Depth, Source, Style, Theme, inherited};

/// What a theme colours. The order is that of [`ROLES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Text,
    Strong,
    Dim,
    Title,
    Header,
    HeaderName,
    HeaderPlace,
    HeaderDanger,
    Border,
    Column,
    Cursor,
    Failed,
    Unknown,
    Progressing,
    Waiting,
    Terminating,
    Suspended,
    Ready,
    TreeLine,
    TreeKind,
    TreeName,
    TreeCount,
    Simulated,
    Key,
    Hint,
    Match,
    Prompt,
    ToastDone,
    ToastFailed,
    ToastWorking,
    ToastHint,
    Banner,
    Danger,
    Warning,
    Tab,
    TabActive,
    Label,
    Link,
    YamlKey,
    YamlString,
    YamlNumber,
    YamlConstant,
    YamlComment,
    YamlMark,
    Added,
    AddedLine,
    AddedWord,
    Removed,
    RemovedLine,
    RemovedWord,
    Same,
    LevelError,
    LevelWarn,
    LevelInfo,
    LevelDebug,
    Mark,
}

/// Every role with its name in themes.
pub const ROLES: &[(Role, &str)] = &[
    (Role::Text, "text"),
    (Role::Strong, "text.strong"),
    (Role::Dim, "text.dim"),
    (Role::Title, "title"),
    (Role::Header, "header"),
    (Role::HeaderName, "header.name"),
    (Role::HeaderPlace, "header.place"),
    (Role::HeaderDanger, "header.danger"),
    (Role::Border, "border"),
    (Role::Column, "column"),
    (Role::Cursor, "cursor"),
    (Role::Failed, "health.failed"),
    (Role::Unknown, "health.unknown"),
    (Role::Progressing, "health.progressing"),
    (Role::Waiting, "health.waiting"),
    (Role::Terminating, "health.terminating"),
    (Role::Suspended, "health.suspended"),
    (Role::Ready, "health.ready"),
    (Role::TreeLine, "tree.line"),
    (Role::TreeKind, "tree.kind"),
    (Role::TreeName, "tree.name"),
    (Role::TreeCount, "tree.count"),
    (Role::Simulated, "simulated"),
    (Role::Key, "key"),
    (Role::Hint, "hint"),
    (Role::Match, "match"),
    (Role::Prompt, "prompt"),
    (Role::ToastDone, "toast.done"),
    (Role::ToastFailed, "toast.failed"),
    (Role::ToastWorking, "toast.working"),
    (Role::ToastHint, "toast.hint"),
    (Role::Banner, "banner"),
    (Role::Danger, "danger"),
    (Role::Warning, "warning"),
    (Role::Tab, "tab"),
    (Role::TabActive, "tab.active"),
    (Role::Label, "label"),
    (Role::Link, "link"),
    (Role::YamlKey, "yaml.key"),
    (Role::YamlString, "yaml.string"),
    (Role::YamlNumber, "yaml.number"),
    (Role::YamlConstant, "yaml.constant"),
    (Role::YamlComment, "yaml.comment"),
    (Role::YamlMark, "yaml.mark"),
    (Role::Added, "diff.added"),
    (Role::AddedLine, "diff.added.line"),
    (Role::AddedWord, "diff.added.word"),
    (Role::Removed, "diff.removed"),
    (Role::RemovedLine, "diff.removed.line"),
    (Role::RemovedWord, "diff.removed.word"),
    (Role::Same, "diff.same"),
    (Role::LevelError, "level.error"),
    (Role::LevelWarn, "level.warn"),
    (Role::LevelInfo, "level.info"),
    (Role::LevelDebug, "level.debug"),
    (Role::Mark, "mark"),
];

impl From<State> for Role {
    fn from(state: State) -> Role {
        match state {
            State::Failed => Role::Failed,
            State::Unknown => Role::Unknown,
            State::Progressing => Role::Progressing,
            State::Waiting => Role::Waiting,
            State::Terminating => Role::Terminating,
            State::Suspended => Role::Suspended,
            State::Ready => Role::Ready,
        }
    }
}

/// The themes that come with weir, in the order in which the theme key goes through them.
pub const THEMES: &[(&str, &str)] = &[
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("contrast16", include_str!("../../themes/contrast16.toml")),
];

/// A built-in theme by name.
pub fn theme(name: &str) -> Option<Source> {
    built_in("themes", THEMES, name)
}

/// A built-in text by name; debug builds prefer the file in the source tree, so that a change needs no rebuild.
pub(super) fn built_in(folder: &str, texts: &[(&str, &str)], name: &str) -> Option<Source> {
    let (_, text) = texts.iter().find(|(known, _)| *known == name)?;
    let file = format!("{name}.toml");
    if cfg!(debug_assertions) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(&file);
        if let Ok(text) = std::fs::read_to_string(path) {
            return Some(Source::new(file, text));
        }
    }
    Some(Source::new(file, *text))
}

/// The styles in force, by role.
#[derive(Clone, Debug)]
pub struct Look {
    /// The name of the theme.
    pub name: String,
    styles: Vec<Drawn>,
}

impl Look {
    /// Resolves a built-in theme, with a person's own text over it where there is one.
    ///
    /// Errors as [`Theme::load`], and when there is no theme of that name.
    pub fn load(name: &str, own: Option<Source>, depth: Depth) -> Result<Self, ConfigError> {
        let name = match (name, depth) {
            ("auto", Depth::Sixteen) => "contrast16",
            ("auto", _) => "dark",
            (name, _) => name,
        };
        let names = THEMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let top = theme(name).ok_or_else(|| ConfigError {
            file: "settings".into(),
            line: 0,
            message: format!("there is no theme {name:?}; there are auto, {names}"),
        })?;
        let mut sources = inherited(top, &theme)?;
        if let Some(own) = own {
            let chain = inherited(own, &theme)?;
            // A text of one's own that inherits says itself what it stands on.
            if chain.len() > 1 {
                sources = chain;
            } else {
                sources.extend(chain);
            }
        }
        let roles: Vec<&str> = ROLES.iter().map(|(_, name)| *name).collect();
        Ok(Look::new(name, &Theme::load(&sources, &roles)?, depth))
    }

    /// Resolves a theme for a terminal of that many colours.
    pub fn new(name: &str, theme: &Theme, depth: Depth) -> Self {
        let styles = ROLES.iter().map(|(_, role)| drawn(theme.style(role), depth)).collect();
        Look { name: name.into(), styles }
    }

    /// Styles that carry the number of their role as colour, so that a test reads roles back from a frame.
    pub fn numbered() -> Self {
        let number = |index: usize| Drawn::new().fg(Paint::Indexed(index as u8));
        Look { name: "numbered".into(), styles: (0..ROLES.len()).map(number).collect() }
    }

    pub fn style(&self, role: impl Into<Role>) -> Drawn {
        self.styles.get(role.into() as usize).copied().unwrap_or_default()
    }
}

fn drawn(style: Style, depth: Depth) -> Drawn {
    let mut drawn = Drawn::new();
    if depth != Depth::None {
        drawn.fg = style.fg.map(|color| paint(color, depth));
        drawn.bg = style.bg.map(|color| paint(color, depth));
    }
    // Without colours a background would vanish, and with it the cursor.
    let reverse = style.reverse || (depth == Depth::None && style.bg.is_some());
    for (wanted, modifier) in [
        (style.bold, Modifier::BOLD),
        (style.dim, Modifier::DIM),
        (style.italic, Modifier::ITALIC),
        (style.underline, Modifier::UNDERLINED),
        (reverse, Modifier::REVERSED),
    ] {
        if wanted {
            drawn = drawn.add_modifier(modifier);
        }
    }
    drawn
}

fn paint(color: Color, depth: Depth) -> Paint {
    match (color, depth) {
        (Color::Default, _) => Paint::Reset,
        (Color::Ansi(number), _) => SIXTEEN.get(usize::from(number)).map_or(Paint::Reset, |(paint, _)| *paint),
        (Color::Rgb(r, g, b), Depth::True) => Paint::Rgb(r, g, b),
        (Color::Rgb(r, g, b), Depth::Indexed) => Paint::Indexed(cube(r, g, b)),
        (Color::Rgb(r, g, b), _) => {
            let distance = |(_, (x, y, z)): &&(Paint, (u8, u8, u8))| far((r, g, b), (*x, *y, *z));
            SIXTEEN.iter().min_by_key(distance).map_or(Paint::Reset, |(paint, _)| *paint)
        }
    }
}

fn far(one: (u8, u8, u8), other: (u8, u8, u8)) -> u32 {
    let part = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    part(one.0, other.0) + part(one.1, other.1) + part(one.2, other.2)
}

/// The nearest entry of the 6×6×6 cube or of the 24 greys.
fn cube(r: u8, g: u8, b: u8) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let step = |part: u8| (0u8..).zip(STEPS).min_by_key(|(_, step)| part.abs_diff(*step)).unwrap_or_default();
    let ((x, xs), (y, ys), (z, zs)) = (step(r), step(g), step(b));
    let level = (u32::from(r) + u32::from(g) + u32::from(b)) / 3;
    let grey = (level.saturating_sub(3) / 10).min(23) as u8;
    let shade = 8 + 10 * grey;
    if far((r, g, b), (shade, shade, shade)) < far((r, g, b), (xs, ys, zs)) {
        232 + grey
    } else {
        16 + 36 * x + 6 * y + z
    }
}

/// The sixteen colours with the values that xterm gives them.
const SIXTEEN: [(Paint, (u8, u8, u8)); 16] = [
    (Paint::Black, (0, 0, 0)),
    (Paint::Red, (205, 0, 0)),
    (Paint::Green, (0, 205, 0)),
    (Paint::Yellow, (205, 205, 0)),
    (Paint::Blue, (0, 0, 238)),
    (Paint::Magenta, (205, 0, 205)),
    (Paint::Cyan, (0, 205, 205)),
    (Paint::Gray, (229, 229, 229)),
    (Paint::DarkGray, (127, 127, 127)),
    (Paint::LightRed, (255, 0, 0)),
    (Paint::LightGreen, (0, 255, 0)),
    (Paint::LightYellow, (255, 255, 0)),
    (Paint::LightBlue, (92, 92, 255)),
    (Paint::LightMagenta, (255, 0, 255)),
    (Paint::LightCyan, (0, 255, 255)),
    (Paint::White, (255, 255, 255)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_theme_loads_and_covers_every_role() {
        let roles: Vec<&str> = ROLES.iter().map(|(_, name)| *name).collect();
        for (index, (role, _)) in ROLES.iter().enumerate() {
            assert_eq!(*role as usize, index, "the table and the enum are in one order");
        }
        for (name, _) in THEMES {
            let sources = inherited(theme(name).unwrap(), &theme).unwrap();
            let theme = Theme::load(&sources, &roles).unwrap_or_else(|e| panic!("{e}"));
            for role in &roles {
                assert!(theme.covers(role), "{name} leaves out {role}");
            }
        }
    }

    #[test]
    fn without_colours_nothing_is_coloured_and_the_cursor_is_seen() {
        let look = Look::load("dark", None, Depth::None).unwrap();
        for (role, name) in ROLES {
            let style = look.style(*role);
            assert!(style.fg.is_none() && style.bg.is_none(), "{name}");
        }
        assert!(look.style(Role::Cursor).add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn sixteen_colours_are_enough_for_contrast16() {
        let look = Look::load("auto", None, Depth::Sixteen).unwrap();
        assert_eq!(look.name, "contrast16");
        let rgb = |style: Drawn| matches!(style.fg, Some(Paint::Rgb(..) | Paint::Indexed(_)));
        assert!(!ROLES.iter().any(|(role, _)| rgb(look.style(*role))));
    }

    #[test]
    fn a_text_of_ones_own_merges_over_the_theme() {
        let own = Source::new("theme.toml", "[palette]\nrose = '#010203'");
        let look = Look::load("dark", Some(own), Depth::True).unwrap();
        assert_eq!(look.style(State::Failed).fg, Some(Paint::Rgb(1, 2, 3)));
        assert!(Look::load("drak", None, Depth::True).unwrap_err().to_string().contains("there are auto, dark"));
    }
}
