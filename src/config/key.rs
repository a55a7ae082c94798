//! [`Key`]: one press on the keyboard, as keymaps and scripts write it. Knows no terminal library.

use std::fmt;

/// One key with its modifiers. Shift of a character is the character itself: `G`, never `shift-g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub code: Code,
    pub ctrl: bool,
    pub alt: bool,
    pub shift: bool,
}

/// Which key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    Char(char),
    Enter,
    Esc,
    Tab,
    Backspace,
    Delete,
    Insert,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    /// F1 to F24.
    F(u8),
}

/// Names of the keys that are not one character; the first name of a code is the one printed.
const NAMES: &[(&str, Code)] = &[
    ("enter", Code::Enter),
    ("return", Code::Enter),
    ("esc", Code::Esc),
    ("escape", Code::Esc),
    ("tab", Code::Tab),
    ("backspace", Code::Backspace),
    ("del", Code::Delete),
    ("delete", Code::Delete),
    ("insert", Code::Insert),
    ("up", Code::Up),
    ("down", Code::Down),
    ("left", Code::Left),
    ("right", Code::Right),
    ("home", Code::Home),
    ("end", Code::End),
    ("pgup", Code::PageUp),
    ("pageup", Code::PageUp),
    ("pgdn", Code::PageDown),
    ("pagedown", Code::PageDown),
    ("space", Code::Char(' ')),
    ("minus", Code::Char('-')),
    ("lt", Code::Char('<')),
    ("gt", Code::Char('>')),
];

impl Key {
    /// A key without modifiers.
    pub const fn plain(code: Code) -> Self {
        Key { code, ctrl: false, alt: false, shift: false }
    }

    /// A character without modifiers.
    pub const fn char(character: char) -> Self {
        Key::plain(Code::Char(character))
    }

    /// The character it types into a field; `None` for commands.
    pub fn typed(self) -> Option<char> {
        match self.code {
            Code::Char(character) if !self.ctrl && !self.alt => Some(character),
            _ => None,
        }
    }

    /// Reads one key, e.g. `j`, `G`, `ctrl-d`, `alt-enter`, `shift-tab`, `f5`.
    ///
    /// Errors with the word when it names no key.
    pub fn parse(word: &str) -> Result<Self, String> {
        let mut key = Key::char(' ');
        let mut rest = word;
        while let Some((modifier, after)) = rest.split_once('-').filter(|(_, after)| !after.is_empty()) {
            match modifier.to_ascii_lowercase().as_str() {
                "ctrl" | "c" => key.ctrl = true,
                "alt" | "a" | "meta" => key.alt = true,
                "shift" | "s" => key.shift = true,
                _ => return Err(format!("{word:?} is not a key: {modifier:?} is not ctrl, alt or shift")),
            }
            rest = after;
        }
        let mut letters = rest.chars();
        key.code = match (letters.next(), letters.next()) {
            (Some(character), None) if !character.is_control() => Code::Char(character),
            _ => named(rest).ok_or_else(|| not_a_key(word, rest))?,
        };
        Ok(key.normal())
    }

    /// Folds what terminals report in several ways into one: shift into the letter, control letters to lower case.
    pub fn normal(mut self) -> Self {
        if let Code::Char(character) = self.code {
            let character = match (self.shift, self.ctrl) {
                (true, false) => character.to_uppercase().next().unwrap_or(character),
                (_, true) => character.to_ascii_lowercase(),
                _ => character,
            };
            self.code = Code::Char(character);
            self.shift = false;
        }
        self
    }

    /// Reads keys divided by spaces, e.g. `g g`.
    pub fn parse_sequence(text: &str) -> Result<Vec<Key>, String> {
        let keys: Vec<Key> = text.split_whitespace().map(Key::parse).collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err("a key is missing: write it like \"j\", \"ctrl-d\" or \"g g\"".into()),
            1..=MAX_SEQUENCE => Ok(keys),
            _ => Err(format!("{text:?} has more than {MAX_SEQUENCE} keys")),
        }
    }
}

/// Longest sequence of a keymap: it bounds the state of a half-typed one.
const MAX_SEQUENCE: usize = 4;

fn named(word: &str) -> Option<Code> {
    let lower = word.to_ascii_lowercase();
    let number = lower.strip_prefix('f').and_then(|digits| digits.parse().ok()).filter(|n| (1..=24).contains(n));
    number.map(Code::F).or_else(|| NAMES.iter().find(|(name, _)| *name == lower).map(|(_, code)| *code))
}

fn not_a_key(word: &str, rest: &str) -> String {
    let names = NAMES.iter().map(|(name, _)| *name);
    format!("{word:?} is not a key{}", super::layer::did_you_mean(rest, names))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, name) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if held {
                f.write_str(name)?;
            }
        }
        match self.code {
            Code::Char(character @ ('-' | ' ')) if self.ctrl || self.alt || character == ' ' => {
                f.write_str(if character == ' ' { "space" } else { "minus" })
            }
            Code::Char(character) => write!(f, "{character}"),
            Code::F(number) => write!(f, "f{number}"),
            code => f.write_str(NAMES.iter().find(|(_, named)| *named == code).map_or("?", |(name, _)| name)),
        }
    }
}

/// Reads what a script types, e.g. `jj<enter>/web<ctrl-d>`: characters as they are, other keys in angle brackets.
///
/// Errors with the bracket that names no key.
pub fn parse_script(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        let bracket = rest.split_once('>').filter(|_| character == '<');
        match bracket {
            Some((name, after)) => {
                keys.push(Key::parse(name)?);
                rest = after;
            }
            None => keys.push(Key::char(character)),
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_and_print_alike() {
        for (word, printed) in [
            ("j", "j"),
            ("G", "G"),
            ("shift-g", "G"),
            ("Ctrl-D", "ctrl-d"),
            ("c-d", "ctrl-d"),
            ("alt-enter", "alt-enter"),
            ("shift-tab", "shift-tab"),
            ("F5", "f5"),
            ("-", "-"),
            ("ctrl-minus", "ctrl-minus"),
            ("space", "space"),
            ("é", "é"),
        ] {
            assert_eq!(Key::parse(word).map(|key| key.to_string()), Ok(printed.into()), "{word}");
        }
        assert_eq!(Key::parse("entr"), Err("\"entr\" is not a key: did you mean \"enter\"?".into()));
        assert!(Key::parse("hyper-x").is_err() && Key::parse("f99").is_err() && Key::parse_sequence(" ").is_err());
    }

    #[test]
    fn scripts_are_what_a_person_types() {
        let keys = parse_script("jG<enter>/é<ctrl-d><lt>").unwrap();
        let words: Vec<String> = keys.iter().map(Key::to_string).collect();
        assert_eq!(words, ["j", "G", "enter", "/", "é", "ctrl-d", "<"]);
        assert!(parse_script("<nokey>").is_err());
    }
}
