//! What keymaps, themes and settings share: named texts that inherit from one another, and mistakes with their place.

use std::ops::Range;

use super::ConfigError;

/// A configuration text and the name it is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What errors say: a path, or `default.toml` for what is built in.
    pub file: String,
    pub text: String,
}

impl Source {
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Source { file: file.into(), text: text.into() }
    }

    pub(super) fn error(&self, at: Range<usize>, message: impl Into<String>) -> ConfigError {
        let before = self.text.get(..at.start).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        ConfigError { file: self.file.clone(), line, message: message.into() }
    }

    /// Parses the text as TOML; errors with the place.
    pub(super) fn table(&self) -> Result<toml::de::DeTable<'_>, ConfigError> {
        let parsed = toml::de::DeTable::parse(&self.text);
        let refuse = |e: toml::de::Error| self.error(e.span().unwrap_or_default(), e.message().replace('\n', ", "));
        parsed.map(toml::Spanned::into_inner).map_err(refuse)
    }
}

/// Follows `inherits = "name"` from a text down to its root; the result starts with the root.
///
/// Errors when a name is unknown, or when the texts inherit in a circle.
pub fn inherited(top: Source, built_in: &dyn Fn(&str) -> Option<Source>) -> Result<Vec<Source>, ConfigError> {
    const DEEPEST: usize = 8;
    let mut chain = vec![top];
    loop {
        let source = &chain[chain.len() - 1];
        let table = source.table()?;
        let Some(parent) = table.get("inherits") else { break };
        let Some(name) = parent.get_ref().as_str() else {
            return Err(source.error(parent.span(), "inherits wants a name in quotes"));
        };
        if chain.len() > DEEPEST {
            return Err(source.error(parent.span(), format!("more than {DEEPEST} files inherit from one another")));
        }
        let Some(next) = built_in(name) else {
            return Err(source.error(parent.span(), format!("there is nothing called {name:?} to inherit from")));
        };
        chain.push(next);
    }
    chain.reverse();
    Ok(chain)
}

/// `: did you mean "x"?` for the nearest word, or nothing when none is near.
pub(super) fn did_you_mean<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> String {
    let wrong = wrong.to_ascii_lowercase();
    let nearest = words.map(|word| (strsim::damerau_levenshtein(&wrong, &word.to_ascii_lowercase()), word)).min();
    match nearest {
        Some((distance, word)) if distance <= 1 + wrong.chars().count() / 3 => format!(": did you mean {word:?}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inheritance_ends_and_says_where_it_went_wrong() {
        let built_in = |name: &str| match name {
            "base" => Some(Source::new("base.toml", "x = 1")),
            "loop" => Some(Source::new("loop.toml", "\ninherits = \"loop\"")),
            _ => None,
        };
        let top = |text: &str| inherited(Source::new("user.toml", text), &built_in);
        assert_eq!(top("inherits = \"base\"").map(|chain| chain[0].file.clone()), Ok("base.toml".into()));
        assert_eq!(top("\ninherits = \"bse\"").unwrap_err().line, 2);
        assert!(top("inherits = \"loop\"").unwrap_err().to_string().starts_with("loop.toml:2: more than 8"));
        assert_eq!(top("a = 1\nb =").unwrap_err().line, 2);
    }
}
