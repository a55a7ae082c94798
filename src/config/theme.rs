//! [`Theme`]: a palette and the styles of roles. Code names a role, the theme picks the colour.
//!
//! A role that is not given falls back at its dots: `health.failed`, then `health`, then `text`.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeValue;

use super::layer::did_you_mean;
use super::{ConfigError, Source};

/// A colour as themes write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Color {
    /// The terminal's own foreground or background.
    Default,
    /// One of the sixteen that every terminal has, by number: the person's own palette decides how it looks.
    Ansi(u8),
    Rgb(u8, u8, u8),
}

/// How a role looks; what is `None` is left as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub fg: Option<Color>,
    pub bg: Option<Color>,
    pub bold: bool,
    pub dim: bool,
    pub italic: bool,
    pub underline: bool,
    pub reverse: bool,
}

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// `NO_COLOR`, or a terminal without: only bold, underline and reverse remain.
    None,
    Sixteen,
    /// 256 colours: the 6×6×6 cube and greys.
    Indexed,
    True,
}

/// Roles and their styles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    roles: BTreeMap<String, Style>,
}

const ANSI: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bright-black",
    "bright-red",
    "bright-green",
    "bright-yellow",
    "bright-blue",
    "bright-magenta",
    "bright-cyan",
    "bright-white",
];

impl Theme {
    /// Loads texts, later ones over earlier ones; palettes merge too, before roles are resolved.
    ///
    /// Errors on an unknown role (by `roles`), colour or attribute.
    pub fn load(sources: &[Source], roles: &[&str]) -> Result<Self, ConfigError> {
        let mut palette = BTreeMap::new();
        for source in sources {
            read_palette(source, &mut palette)?;
        }
        let mut theme = Theme::default();
        for source in sources {
            read_roles(source, &palette, roles, &mut theme.roles)?;
        }
        Ok(theme)
    }

    /// The style of a role, falling back at its dots.
    pub fn style(&self, role: &str) -> Style {
        let mut name = role;
        loop {
            if let Some(style) = self.roles.get(name) {
                return *style;
            }
            match name.rsplit_once('.') {
                Some((parent, _)) => name = parent,
                None => return self.roles.get("text").copied().unwrap_or_default(),
            }
        }
    }

    /// Whether the role or one that it falls back to is given, `text` aside.
    pub fn covers(&self, role: &str) -> bool {
        let mut name = Some(role);
        while let Some(part) = name {
            if self.roles.contains_key(part) {
                return true;
            }
            name = part.rsplit_once('.').map(|(parent, _)| parent);
        }
        false
    }
}

fn read_palette(source: &Source, palette: &mut BTreeMap<String, Color>) -> Result<(), ConfigError> {
    let table = source.table()?;
    for (name, value) in table.iter() {
        if !["inherits", "palette", "roles"].contains(&name.get_ref().as_ref()) {
            let message = format!("a theme has inherits, palette and roles, not {:?}", name.get_ref());
            return Err(source.error(name.span(), message));
        }
        if name.get_ref() != "palette" {
            continue;
        }
        let Some(colors) = value.get_ref().as_table() else {
            return Err(source.error(value.span(), "palette wants lines like rose = \"#e06c75\""));
        };
        for (name, value) in colors.iter() {
            let color = color(source, value.span(), value.get_ref(), &BTreeMap::new())?;
            palette.insert(name.get_ref().to_string(), color);
        }
    }
    Ok(())
}

fn read_roles(
    source: &Source,
    palette: &BTreeMap<String, Color>,
    known: &[&str],
    into: &mut BTreeMap<String, Style>,
) -> Result<(), ConfigError> {
    let table = source.table()?;
    let Some(roles) = table.get("roles") else { return Ok(()) };
    let Some(roles) = roles.get_ref().as_table() else {
        return Err(source.error(roles.span(), "roles wants lines like \"health.failed\" = \"rose\""));
    };
    for (name, value) in roles.iter() {
        let role = name.get_ref().as_ref();
        let parent = |known: &&str| known.strip_prefix(role).is_some_and(|rest| rest.starts_with('.'));
        if !known.contains(&role) && !known.iter().any(parent) {
            let hint = did_you_mean(role, known.iter().copied());
            return Err(source.error(name.span(), format!("there is no role {role:?}{hint}")));
        }
        into.insert(role.to_owned(), style(source, value.span(), value.get_ref(), palette)?);
    }
    Ok(())
}

/// A style is a colour for the foreground, or a table of `fg`, `bg` and attributes.
fn style(
    source: &Source,
    at: Range<usize>,
    value: &DeValue<'_>,
    palette: &BTreeMap<String, Color>,
) -> Result<Style, ConfigError> {
    const PARTS: [&str; 7] = ["fg", "bg", "bold", "dim", "italic", "underline", "reverse"];
    let Some(table) = value.as_table() else {
        return Ok(Style { fg: Some(color(source, at, value, palette)?), ..Style::default() });
    };
    let mut style = Style::default();
    for (name, value) in table.iter() {
        let part = name.get_ref().as_ref();
        if matches!(part, "fg" | "bg") {
            let color = Some(color(source, value.span(), value.get_ref(), palette)?);
            *(if part == "fg" { &mut style.fg } else { &mut style.bg }) = color;
            continue;
        }
        let flag = match part {
            "bold" => &mut style.bold,
            "dim" => &mut style.dim,
            "italic" => &mut style.italic,
            "underline" => &mut style.underline,
            "reverse" => &mut style.reverse,
            _ => {
                let hint = did_you_mean(part, PARTS.into_iter());
                return Err(source.error(name.span(), format!("a style has no {part:?}{hint}")));
            }
        };
        let Some(wanted) = value.get_ref().as_bool() else {
            return Err(source.error(value.span(), format!("{part} wants true or false")));
        };
        *flag = wanted;
    }
    Ok(style)
}

fn color(
    source: &Source,
    at: Range<usize>,
    value: &DeValue<'_>,
    palette: &BTreeMap<String, Color>,
) -> Result<Color, ConfigError> {
    let Some(word) = value.as_str() else {
        return Err(source.error(at, "a colour is a name or \"#rrggbb\" in quotes"));
    };
    if let Some(color) = palette.get(word) {
        return Ok(*color);
    }
    if word == "default" {
        return Ok(Color::Default);
    }
    if let Some(number) = (0u8..).zip(ANSI).find(|(_, name)| *name == word).map(|(number, _)| number) {
        return Ok(Color::Ansi(number));
    }
    let hex = word.strip_prefix('#').filter(|hex| hex.len() == 6);
    if let Some(rgb) = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
        let [_, red, green, blue] = rgb.to_be_bytes();
        return Ok(Color::Rgb(red, green, blue));
    }
    let names = palette.keys().map(String::as_str).chain(ANSI);
    Err(source.error(at, format!("there is no colour {word:?}{}", did_you_mean(word, names))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: &[&str] = &["text", "health.failed", "health.ready", "tree.name"];

    fn load(texts: &[&str]) -> Result<Theme, String> {
        let sources: Vec<Source> = texts.iter().map(|text| Source::new("t.toml", *text)).collect();
        Theme::load(&sources, ROLES).map_err(|e| e.to_string())
    }

    #[test]
    fn roles_fall_back_at_their_dots() {
        let theme = load(&["[roles]\ntext = 'white'\nhealth = { fg = 'red', bold = true }"]).unwrap();
        assert_eq!(theme.style("health.failed"), theme.style("health"));
        assert_eq!(theme.style("tree.name").fg, Some(Color::Ansi(7)));
        assert!(theme.covers("health.ready") && !theme.covers("tree.name"));
    }

    #[test]
    fn a_child_may_change_only_the_palette() {
        let parent = "[palette]\nrose = '#ff0000'\n[roles]\nhealth = 'rose'";
        let theme = load(&[parent, "[palette]\nrose = '#00ff00'"]).unwrap();
        assert_eq!(theme.style("health.failed").fg, Some(Color::Rgb(0, 255, 0)));
    }

    #[test]
    fn mistakes_name_the_place_and_the_right_word() {
        for (text, message) in [
            (
                "[roles]\n'helth.failed' = 'red'",
                "t.toml:2: there is no role \"helth.failed\": did you mean \"health.failed\"?",
            ),
            ("[roles]\ntext = 'gren'", "t.toml:2: there is no colour \"gren\": did you mean \"green\"?"),
            ("[roles]\ntext = { bald = true }", "t.toml:2: a style has no \"bald\": did you mean \"bold\"?"),
            ("[role]\n", "t.toml:1: a theme has inherits, palette and roles, not \"role\""),
        ] {
            assert_eq!(load(&[text]).unwrap_err(), message);
        }
    }
}
