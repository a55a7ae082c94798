//! [`Text`]: the only thing that may reach a terminal.
//!
//! Everything from outside (fields, events, commit messages, file names, server texts) becomes a `Text` before a
//! widget or a printer takes it. Controls and invisible characters become visible marks and are never dropped, so
//! nobody is fooled by what is missing. Source of the threats: CVE-2021-25743, CVE-2024-43785 and their kin.

use std::fmt;

/// How much of one line is kept, in bytes; the rest is cut with a count.
const LINE_BYTES: usize = 32 * 1024;
/// Combining marks kept per base character.
const MARKS: usize = 4;

/// One line of text that is safe to draw: no controls, no direction tricks, no invisible characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(String);

impl Text {
    /// Cleans one piece of text; line breaks become `⏎` and tabs become spaces.
    pub fn new(raw: impl AsRef<str>) -> Self {
        let raw = raw.as_ref();
        if raw.len() <= LINE_BYTES && raw.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Text(raw.to_owned());
        }
        let end = floor_char_boundary(raw, LINE_BYTES);
        let mut clean = String::with_capacity(end);
        let mut marks = 0;
        for character in raw[..end].chars() {
            if is_combining(character) {
                marks += 1;
                if marks > MARKS {
                    continue;
                }
            } else {
                marks = 0;
            }
            push(&mut clean, character);
        }
        if end < raw.len() {
            clean.push_str(&format!("… ({} bytes more)", raw.len() - end));
        }
        Text(clean)
    }

    /// Cleans text of many lines, one `Text` per line.
    pub fn lines(raw: &str) -> Vec<Text> {
        raw.split('\n').map(|line| Text::new(line.strip_suffix('\r').unwrap_or(line))).collect()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> String {
        text.0
    }
}

fn push(clean: &mut String, character: char) {
    match character {
        '\t' => clean.push_str("    "),
        '\n' => clean.push('⏎'),
        '\0'..='\u{1f}' => clean.push(char::from_u32(0x2400 + character as u32).unwrap_or('␦')),
        '\u{7f}' => clean.push('␡'),
        '\u{80}'..='\u{9f}' => clean.push_str(&format!("<{:02X}>", character as u32)),
        character if is_hidden(character) => clean.push_str(&format!("<U+{:04X}>", character as u32)),
        character => clean.push(character),
    }
}

/// Direction overrides, zero-width and filler characters, separators, tags, private and unassigned specials.
/// The joiner U+200D stays: emoji and several scripts need it.
fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_combining(character: char) -> bool {
    !character.is_ascii() && unicode_width::UnicodeWidthChar::width(character) == Some(0)
}

fn floor_char_boundary(text: &str, limit: usize) -> usize {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_the_cursor_or_hides_survives() {
        for raw in ["a\x1b[2Jb", "a\rb", "x\u{9b}31m", "\u{202e}abc", "zero\u{200b}width", "\x07", "tag\u{e0041}"] {
            let clean = Text::new(raw);
            let visible = clean.as_str().chars().all(|c| !c.is_control() && !is_hidden(c));
            assert!(visible && clean.as_str() != raw, "{raw:?} became {clean:?}");
        }
        assert_eq!(Text::new("a\x1bb").as_str(), "a␛b");
    }

    #[test]
    fn people_can_still_read_their_own_script() {
        for raw in ["مرحبا", "שלום", "日本語", "é", "👩\u{200d}🚀", "naïve"] {
            assert_eq!(Text::new(raw).as_str(), raw);
        }
    }

    #[test]
    fn floods_are_bounded() {
        assert!(Text::new("x".repeat(10_000_000)).as_str().len() < LINE_BYTES + 64);
        assert!(Text::new(format!("a{}", "\u{301}".repeat(10_000))).as_str().chars().count() <= 1 + MARKS);
    }
}
