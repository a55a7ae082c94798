//! [`Settings`]: what a person may set, merged from layers (file, environment, flags), per context where wanted.

use super::layer::did_you_mean;
use super::{ConfigError, Source};

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A theme by name, or `auto`: dark, or the one of sixteen colours where the terminal has no more.
    pub theme: String,
    /// A keymap by name.
    pub keymap: String,
    /// Takes the mouse from the terminal, which then cannot select text without shift.
    pub mouse: bool,
    /// Refuses every verb that writes.
    pub read_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { theme: "auto".into(), keymap: "default".into(), mouse: false, read_only: false }
    }
}

/// What one layer sets; `None` leaves it to the layer below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    pub theme: Option<String>,
    pub keymap: Option<String>,
    pub mouse: Option<bool>,
    pub read_only: Option<bool>,
    /// Layers for contexts whose name matches; `*` stands for anything.
    pub contexts: Vec<(String, Layer)>,
}

impl Layer {
    /// Reads a settings file.
    ///
    /// Errors on an unknown setting and on a value of the wrong type, with the line.
    pub fn parse(source: &Source) -> Result<Self, ConfigError> {
        read(source, &source.table()?, true)
    }
}

impl Settings {
    /// Merges layers, later ones over earlier ones; within a layer, what is set for the context wins.
    pub fn resolve(layers: &[Layer], context: &str) -> Self {
        let mut settings = Settings::default();
        for layer in layers {
            let matching = layer.contexts.iter().filter(|(pattern, _)| matches(pattern, context));
            for layer in std::iter::once(layer).chain(matching.map(|(_, layer)| layer)) {
                lay(layer.theme.as_ref(), &mut settings.theme);
                lay(layer.keymap.as_ref(), &mut settings.keymap);
                lay(layer.mouse.as_ref(), &mut settings.mouse);
                lay(layer.read_only.as_ref(), &mut settings.read_only);
            }
        }
        settings
    }
}

fn lay<T: Clone>(value: Option<&T>, over: &mut T) {
    if let Some(value) = value {
        over.clone_from(value);
    }
}

fn read(source: &Source, table: &toml::de::DeTable<'_>, top: bool) -> Result<Layer, ConfigError> {
    const NAMES: [&str; 5] = ["theme", "keymap", "mouse", "read_only", "context"];
    let mut layer = Layer::default();
    for (name, value) in table.iter() {
        let refuse = |wants: &str| source.error(value.span(), format!("{} wants {wants}", name.get_ref()));
        let text = || value.get_ref().as_str().map(str::to_owned).ok_or_else(|| refuse("a name in quotes"));
        let flag = || value.get_ref().as_bool().ok_or_else(|| refuse("true or false"));
        match name.get_ref().as_ref() {
            "theme" => layer.theme = Some(text()?),
            "keymap" => layer.keymap = Some(text()?),
            "mouse" => layer.mouse = Some(flag()?),
            "read_only" => layer.read_only = Some(flag()?),
            "context" if top => {
                let contexts = value.get_ref().as_table().ok_or_else(|| refuse("tables like [context.\"prod-*\"]"))?;
                for (pattern, inner) in contexts.iter() {
                    let inner = inner.get_ref().as_table().ok_or_else(|| refuse("tables like [context.\"prod-*\"]"))?;
                    layer.contexts.push((pattern.get_ref().to_string(), read(source, inner, false)?));
                }
            }
            wrong => {
                let hint = did_you_mean(wrong, NAMES.into_iter());
                return Err(source.error(name.span(), format!("there is no setting {wrong:?}{hint}")));
            }
        }
    }
    Ok(layer)
}

/// Matches a name against a pattern where `*` stands for anything, in linear time per star.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_layer_wins_and_contexts_win_within_theirs() {
        let file =
            Source::new("config.toml", "theme = 'light'\n[context.'prod-*']\nread_only = true\ntheme = 'contrast16'");
        let file = Layer::parse(&file).unwrap();
        let flags = Layer { keymap: Some("vim".into()), ..Layer::default() };
        let settings = Settings::resolve(&[file.clone(), flags], "prod-eu");
        assert_eq!((&*settings.theme, &*settings.keymap, settings.read_only), ("contrast16", "vim", true));
        assert_eq!(Settings::resolve(&[file], "dev").theme, "light");
    }

    #[test]
    fn patterns_match_as_people_expect() {
        for (pattern, name, wanted) in [
            ("prod", "prod", true),
            ("prod", "prod-eu", false),
            ("prod-*", "prod-eu", true),
            ("*-eu", "prod-eu", true),
            ("p*-*u", "prod-eu", true),
            ("*", "", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn mistakes_name_the_place() {
        let wrong = |text: &str| Layer::parse(&Source::new("c.toml", text)).unwrap_err().to_string();
        assert_eq!(wrong("\nthem = 'x'"), "c.toml:2: there is no setting \"them\": did you mean \"theme\"?");
        assert_eq!(wrong("mouse = 'yes'"), "c.toml:1: mouse wants true or false");
    }
}
