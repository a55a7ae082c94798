//! What screens are drawn with. Widgets take [`Piece`]s only: sanitised text with a role, never a raw string or a colour.
//!
//! Start with [`Canvas`]. Nothing here knows an object or changes anything but the buffer it draws to.

pub mod field;
pub mod footer;
pub mod header;
pub mod page;
pub mod patch;
pub mod table;
pub mod toasts;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::look::{Look, Role};
use crate::base::Text;

/// A run of text in one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub text: Text,
    pub role: Role,
}

impl Piece {
    pub fn new(text: impl AsRef<str>, role: impl Into<Role>) -> Self {
        Piece { text: Text::new(text), role: role.into() }
    }

    pub fn text(text: Text, role: impl Into<Role>) -> Self {
        Piece { text, role: role.into() }
    }
}

/// Columns that a run of pieces takes.
pub fn width(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| columns(piece.text.as_str())).sum()
}

/// Columns that a text takes.
pub fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Cuts a text to some columns; the second is whether something was cut off.
pub fn fit(text: &str, columns_left: usize) -> (&str, bool) {
    if columns(text) <= columns_left {
        return (text, false);
    }
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        let next = used + columns(cluster);
        // One column is kept for the mark that says that it goes on.
        if next > columns_left.saturating_sub(1) {
            return (&text[..at], true);
        }
        used = next;
    }
    (text, false)
}

/// Breaks a text into lines of some columns, at spaces and after slashes where it can.
pub fn wrapped(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(cut) = break_at(rest, width) {
        lines.push(rest[..cut].trim_end());
        rest = &rest[cut..];
    }
    lines.push(rest);
    lines
}

/// Where the first line ends, in bytes; `None` when all of it fits. Looks no further than one line, so that a message of
/// thousands of columns is broken in linear time.
pub fn break_at(text: &str, width: usize) -> Option<usize> {
    if width == 0 {
        return None;
    }
    let (mut used, mut cut, mut gap) = (0, 0, None);
    for (at, cluster) in text.grapheme_indices(true) {
        used += columns(cluster);
        if used > width {
            // A cluster wider than the line still has to go somewhere.
            return gap.filter(|gap| *gap > cut / 4).or(Some(cut).filter(|cut| *cut > 0));
        }
        cut = at + cluster.len();
        if matches!(cluster, " " | "/") {
            gap = Some(cut);
        }
    }
    None
}

/// A buffer with a look: where widgets draw.
pub struct Canvas<'a> {
    pub buffer: &'a mut Buffer,
    pub look: &'a Look,
}

impl Canvas<'_> {
    /// Draws pieces from a place on, at most `width` columns; what does not fit ends in `…`. Answers the columns used.
    pub fn pieces(&mut self, x: u16, y: u16, width: u16, pieces: &[Piece]) -> u16 {
        let mut used = 0;
        for piece in pieces {
            let role = piece.role;
            used += self.text(x + used, y, width - used, piece.text.as_str(), role);
            if used >= width {
                break;
            }
        }
        used
    }

    /// As [`Canvas::pieces`], for one text that is already known to be safe.
    fn text(&mut self, x: u16, y: u16, width: u16, text: &str, role: Role) -> u16 {
        let area = self.buffer.area;
        if width == 0 || text.is_empty() || y >= area.bottom() || x >= area.right() {
            return 0;
        }
        let width = width.min(area.right() - x);
        let style = self.look.style(role);
        let (shown, cut) = fit(text, usize::from(width));
        let (end, _) = self.buffer.set_stringn(x, y, shown, usize::from(width), style);
        if cut && end < x + width {
            self.buffer.set_stringn(end, y, "…", 1, style);
            return end + 1 - x;
        }
        end - x
    }

    /// Draws pieces that end at the right edge of an area's line; answers the columns used.
    pub fn right(&mut self, area: Rect, y: u16, pieces: &[Piece]) -> u16 {
        let wanted = u16::try_from(width(pieces)).unwrap_or(u16::MAX).min(area.width);
        self.pieces(area.right() - wanted, y, wanted, pieces)
    }

    /// Lays a role over what is drawn there.
    pub fn lay(&mut self, area: Rect, role: Role) {
        let style = self.look.style(role);
        self.buffer.set_style(area.intersection(self.buffer.area), style);
    }

    /// Empties an area.
    pub fn clear(&mut self, area: Rect) {
        for position in area.intersection(self.buffer.area).positions() {
            self.buffer[position].reset();
        }
    }

    /// A line across, with a title in it where one is given.
    pub fn rule(&mut self, area: Rect, y: u16, title: &[Piece]) {
        let style = self.look.style(Role::Border);
        if y < self.buffer.area.bottom() {
            self.buffer.set_stringn(area.x, y, "─".repeat(usize::from(area.width)), usize::from(area.width), style);
        }
        if !title.is_empty() && area.width > 8 {
            let used = self.pieces(area.x + 3, y, area.width - 6, title);
            self.pieces(area.x + 2, y, 1, &[Piece::new(" ", Role::Border)]);
            self.pieces(area.x + 3 + used, y, 1, &[Piece::new(" ", Role::Border)]);
        }
    }

    /// An emptied box with a border; answers its inside.
    pub fn boxed(&mut self, area: Rect, title: &[Piece], role: Role) -> Rect {
        let area = area.intersection(self.buffer.area);
        self.clear(area);
        if area.width < 4 || area.height < 3 {
            return area;
        }
        let style = self.look.style(role);
        let across = "─".repeat(usize::from(area.width - 2));
        self.buffer.set_string(area.x, area.y, format!("╭{across}╮"), style);
        self.buffer.set_string(area.x, area.bottom() - 1, format!("╰{across}╯"), style);
        for y in area.y + 1..area.bottom() - 1 {
            self.buffer.set_string(area.x, y, "│", style);
            self.buffer.set_string(area.right() - 1, y, "│", style);
        }
        if !title.is_empty() && area.width > 8 {
            let used = self.pieces(area.x + 3, area.y, area.width - 6, title);
            self.pieces(area.x + 2, area.y, 1, &[Piece::new(" ", role)]);
            self.pieces(area.x + 3 + used, area.y, 1, &[Piece::new(" ", role)]);
        }
        Rect { x: area.x + 2, y: area.y + 1, width: area.width - 4, height: area.height - 2 }
    }
}

/// The last gate before the terminal: whatever a library drew, no cell leaves with a control or a hidden character.
pub fn gate(buffer: &mut Buffer, look: &Look) {
    let style: Style = look.style(Role::Mark);
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        let plain = matches!(symbol.as_bytes(), [0x20..=0x7e]);
        if !plain && !symbol.is_empty() && Text::new(symbol).as_str() != symbol {
            cell.set_symbol("▯").set_style(style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_cut_fits_and_stays_text(text in "\\PC{0,40}", width in 0usize..50) {
            let (shown, cut) = fit(&text, width);
            prop_assert!(columns(shown) + usize::from(cut) <= width.max(usize::from(cut)));
            prop_assert!(cut || shown == text);
        }

        #[test]
        fn wrapping_loses_nothing_but_spaces(text in "[a-zé日 ]{0,60}", width in 2usize..20) {
            let lines = wrapped(&text, width);
            prop_assert!(lines.iter().all(|line| columns(line) <= width));
            let without = |text: &str| text.replace(' ', "");
            prop_assert_eq!(without(&lines.concat()), without(&text));
        }
    }

    #[test]
    fn no_cell_leaves_with_a_control() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 1));
        buffer[(0, 0)].set_symbol("\x1b]0;x\x07");
        buffer[(1, 0)].set_symbol("a\u{202e}");
        buffer[(2, 0)].set_symbol("é");
        gate(&mut buffer, &Look::numbered());
        let symbols: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert_eq!(symbols, ["▯", "▯", "é", " "]);
    }
}
