//! [`Field`]: one line that a person types into.

use ratatui::layout::Rect;
use unicode_segmentation::UnicodeSegmentation;

use super::{Canvas, Piece, columns};
use crate::console::actions::Action;
use crate::console::look::Role;

/// Longest text a field takes, in characters.
const LONGEST: usize = 256;

/// The typed text; the cursor is always at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
}

impl Field {
    /// A field that has a text already.
    pub fn with(text: &str) -> Self {
        Field { text: text.to_owned() }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a character; answers whether there was room.
    pub fn push(&mut self, character: char) -> bool {
        let room = self.text.chars().count() < LONGEST && !character.is_control();
        if room {
            self.text.push(character);
        }
        room
    }

    /// Adds pasted text: its first line, without controls.
    pub fn paste(&mut self, text: &str) {
        let line = text.lines().next().unwrap_or_default();
        for character in line.chars().take(LONGEST) {
            self.push(character);
        }
    }

    /// Edits by an action; answers whether it was one of a field.
    pub fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Clear => self.text.clear(),
            Action::Backspace => {
                let last = self.text.grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
                self.text.truncate(last);
            }
            Action::DeleteWord => {
                let kept = self.text.trim_end().rsplit_once(char::is_whitespace).map_or(0, |(kept, _)| kept.len() + 1);
                self.text.truncate(kept);
            }
            _ => return false,
        }
        true
    }

    /// Draws a prompt and the text; the end of a long text stays in view. Answers where the cursor is.
    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, prompt: &str) -> (u16, u16) {
        let used = canvas.pieces(area.x, area.y, area.width, &[Piece::new(prompt, Role::Prompt)]);
        let room = usize::from(area.width.saturating_sub(used + 1));
        let mut shown = self.text.as_str();
        while columns(shown) > room {
            let mut clusters = shown.graphemes(true);
            clusters.next();
            shown = clusters.as_str();
        }
        let typed = canvas.pieces(area.x + used, area.y, area.width - used, &[Piece::new(shown, Role::Strong)]);
        (area.x + used + typed, area.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_bounded_and_takes_no_controls() {
        let mut field = Field::default();
        field.paste(&format!("a\x1bb{}\nsecond line", "x".repeat(10_000)));
        assert_eq!(field.text().chars().count(), LONGEST - 1);
        assert!(field.text().starts_with("abx"));
        let mut field = Field::with("one two é");
        field.act(Action::Backspace);
        assert_eq!(field.text(), "one two ");
        field.act(Action::DeleteWord);
        assert_eq!(field.text(), "one ");
    }
}
