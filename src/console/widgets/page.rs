//! [`Page`]: lines of text that scroll, wrap and can be searched; some of them name an object to go to.

use ratatui::layout::Rect;

use super::table::Scroll;
use super::{Canvas, Piece, break_at, width};
use crate::base::Id;
use crate::console::actions::Action;
use crate::console::look::Role;
use crate::console::message::PaintedLine;

/// One line of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub pieces: Vec<Piece>,
    /// What the line names, to go to.
    pub link: Option<Link>,
    /// Columns before wrapped rests of the line.
    pub indent: u16,
    /// What is laid under the text.
    pub ground: Ground,
}

/// What a line leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Object(Id),
    /// A revision of the release that the page is about.
    Revision(i64),
}

/// A role that is laid under a line of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ground {
    #[default]
    None,
    Line(Role),
    /// Under the left and the right half of a line, which are so many columns wide with three between them.
    Halves {
        left: Option<Role>,
        right: Option<Role>,
        half: u16,
    },
}

impl Line {
    pub fn of(pieces: Vec<Piece>) -> Self {
        Line { pieces, ..Line::default() }
    }

    /// A line of one role.
    pub fn new(text: impl AsRef<str>, role: impl Into<Role>) -> Self {
        Line::of(vec![Piece::new(text, role)])
    }

    fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }
}

/// The lines and where a person stands in them.
#[derive(Clone, Debug, Default)]
pub struct Page {
    lines: Vec<Line>,
    /// As drawn: the pieces of each screen line and the line that they belong to.
    shown: Vec<(usize, Vec<Piece>)>,
    cursor: usize,
    scroll: Scroll,
    left: u16,
    pub wrap: bool,
    /// Stays at the end when lines are added.
    pub follow: bool,
    query: String,
    matches: Vec<usize>,
    /// Width for which `shown` was made; `None` when it has to be made anew.
    made_for: Option<u16>,
    height: u16,
}

impl Page {
    pub fn wrapping() -> Self {
        Page { wrap: true, ..Page::default() }
    }

    /// A page that stays at its end.
    pub fn following(wrap: bool) -> Self {
        Page { wrap, follow: true, ..Page::default() }
    }

    /// Replaces the lines and keeps the place.
    pub fn set(&mut self, lines: Vec<Line>) {
        let at_end = self.follow;
        self.lines = lines;
        self.made_for = None;
        self.find();
        self.cursor = if at_end { usize::MAX } else { self.cursor };
    }

    /// Puts a cursor that nobody moved yet on the first line that leads somewhere.
    pub fn start_at_link(&mut self) {
        if self.cursor == 0 {
            self.cursor = self.lines.iter().position(|line| line.link.is_some()).unwrap_or(0);
        }
    }

    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The whole text, for the clipboard.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| line.text() + "\n").collect()
    }

    /// What the cursor's line names.
    pub fn link(&self) -> Option<&Link> {
        let (line, _) = self.shown.get(self.cursor)?;
        self.lines.get(*line)?.link.as_ref()
    }

    /// Whether there is anything to put a cursor on.
    fn has_links(&self) -> bool {
        self.lines.iter().any(|line| line.link.is_some())
    }

    /// Moves, scrolls, searches; answers whether the action was one of a page.
    pub fn act(&mut self, action: Action) -> bool {
        let page = usize::from(self.height.max(2)) - 1;
        match action {
            Action::Up => self.move_by(-1),
            Action::Down => self.move_by(1),
            Action::PageUp => self.move_by(-(page as isize)),
            Action::PageDown => self.move_by(page as isize),
            Action::HalfPageUp => self.move_by(-(page as isize) / 2),
            Action::HalfPageDown => self.move_by(page as isize / 2),
            Action::First => self.move_to(0),
            Action::Last => self.move_to(usize::MAX),
            Action::Left => self.left = self.left.saturating_sub(8),
            Action::Right if !self.wrap => self.left = self.left.saturating_add(8).min(4_096),
            Action::Wrap => {
                let line = self.shown.get(self.cursor).map(|(line, _)| *line);
                self.wrap = !self.wrap;
                self.left = 0;
                self.make();
                self.cursor = line.map_or(0, |line| self.shown_at(line));
            }
            Action::Follow => {
                self.follow = !self.follow;
                if self.follow {
                    self.move_to(usize::MAX);
                    self.follow = true;
                }
            }
            Action::NextMatch => self.go_to_match(true),
            Action::PreviousMatch => self.go_to_match(false),
            _ => return false,
        }
        true
    }

    /// Searches, and goes to the first match from the top of what is in view.
    pub fn search(&mut self, query: &str) {
        self.query = query.to_lowercase();
        self.find();
        let from = self.shown.get(self.scroll.top).map_or(0, |(line, _)| *line);
        if let Some(line) = self.matches.iter().find(|line| **line >= from).or(self.matches.first()) {
            self.cursor = self.shown_at(*line);
            self.reveal();
        }
    }

    /// Which match of how many, when something is searched.
    pub fn matches(&self) -> Option<(usize, usize)> {
        let line = self.shown.get(self.cursor).map_or(0, |(line, _)| *line);
        let before = self.matches.partition_point(|found| *found <= line);
        (!self.query.is_empty()).then_some((before, self.matches.len()))
    }

    fn find(&mut self) {
        self.matches.clear();
        if !self.query.is_empty() {
            let found =
                self.lines.iter().enumerate().filter(|(_, line)| line.text().to_lowercase().contains(&self.query));
            self.matches = found.map(|(index, _)| index).collect();
        }
    }

    fn go_to_match(&mut self, forward: bool) {
        let line = self.shown.get(self.cursor).map_or(0, |(line, _)| *line);
        let next = match forward {
            true => self.matches.iter().find(|found| **found > line).or(self.matches.first()),
            false => self.matches.iter().rev().find(|found| **found < line).or(self.matches.last()),
        };
        if let Some(next) = next.copied() {
            self.cursor = self.shown_at(next);
            self.follow = false;
            self.reveal();
        }
    }

    /// With links or a search there is a cursor that moves; without, the text scrolls under a resting eye.
    fn move_by(&mut self, lines: isize) {
        if self.has_links() || !self.query.is_empty() {
            self.move_to(self.cursor.saturating_add_signed(lines));
        } else {
            let last = self.shown.len().saturating_sub(usize::from(self.height));
            self.scroll.top = self.scroll.top.saturating_add_signed(lines).min(last);
            self.cursor = self.scroll.top;
            self.follow &= self.scroll.top == last;
        }
    }

    fn move_to(&mut self, row: usize) {
        let last = self.shown.len().saturating_sub(1);
        self.cursor = row.min(last);
        self.follow &= self.cursor == last;
        self.reveal();
    }

    fn reveal(&mut self) {
        self.scroll.follow(self.cursor, self.shown.len(), usize::from(self.height));
    }

    fn shown_at(&self, line: usize) -> usize {
        self.shown.partition_point(|(shown, _)| *shown < line)
    }

    fn make(&mut self) {
        let width = self.made_for.unwrap_or(0);
        let lines = self.lines.iter().enumerate();
        self.shown = match self.wrap && width > 0 {
            true => {
                lines.flat_map(|(index, line)| broken(line, width).into_iter().map(move |part| (index, part))).collect()
            }
            false => lines.map(|(index, line)| (index, line.pieces.clone())).collect(),
        };
    }

    /// Fits the lines to an area. Called before a frame, never by it.
    pub fn prepare(&mut self, area: Rect) {
        if self.made_for != Some(area.width) {
            let line = self.shown.get(self.cursor).map(|(line, _)| *line);
            self.made_for = Some(area.width);
            self.make();
            if let Some(line) = line.filter(|_| self.cursor != usize::MAX) {
                self.cursor = self.shown_at(line);
            }
        }
        self.height = area.height;
        self.cursor = self.cursor.min(self.shown.len().saturating_sub(1));
        let last = self.shown.len().saturating_sub(usize::from(area.height));
        if self.follow || self.has_links() || !self.query.is_empty() {
            self.reveal();
        }
        self.scroll.top = self.scroll.top.min(last);
    }

    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let range = self.scroll.range(self.shown.len(), usize::from(area.height));
        let marked = self.has_links() || !self.query.is_empty();
        for (row, y) in range.clone().zip(area.y..) {
            let (line, pieces) = &self.shown[row];
            let line_area = Rect { y, height: 1, ..area };
            match self.left {
                0 => drop(canvas.pieces(area.x, y, area.width, pieces)),
                left => drop(canvas.pieces(area.x, y, area.width, &cut_left(pieces, usize::from(left)))),
            }
            match self.lines.get(*line).map_or(Ground::None, |line| line.ground) {
                Ground::None => {}
                Ground::Line(role) => canvas.lay(line_area, role),
                Ground::Halves { left, right, half } => {
                    let left_area = Rect { width: half.min(area.width), ..line_area };
                    let start = (half + 3).min(area.width);
                    let right_area = Rect { x: area.x + start, width: area.width - start, ..line_area };
                    for (area, role) in [(left_area, left), (right_area, right)] {
                        role.into_iter().for_each(|role| canvas.lay(area, role));
                    }
                }
            }
            if self.matches.binary_search(line).is_ok() {
                self.mark(canvas, line_area);
            }
            if marked && row == self.cursor {
                canvas.lay(line_area, Role::Cursor);
            }
        }
        // Where one is, when there is more than fits.
        if self.shown.len() > usize::from(area.height) && area.width > 20 && area.height > 1 {
            let end = range.end.min(self.shown.len());
            let place = Piece::new(format!(" {}% ", end * 100 / self.shown.len()), Role::Dim);
            canvas.right(area, area.bottom() - 1, &[place]);
        }
    }

    /// Marks every place of a line's cells that matches.
    fn mark(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let cells: Vec<String> =
            (area.x..area.right()).map(|x| canvas.buffer[(x, area.y)].symbol().to_lowercase()).collect();
        let mut starts = Vec::new();
        let mut text = String::new();
        for cell in &cells {
            starts.push(text.len());
            text.push_str(cell);
        }
        for (at, found) in text.match_indices(&self.query) {
            let from = starts.partition_point(|start| *start < at);
            let to = starts.partition_point(|start| *start < at + found.len());
            let place = Rect { x: area.x + from as u16, width: (to - from) as u16, ..area };
            canvas.lay(place, Role::Match);
        }
    }
}

/// A line with its colours: lengths in bytes of the raw text, and what is left over in plain.
pub fn painted_line(raw: &str, paint: &PaintedLine) -> Vec<Piece> {
    let mut rest = raw;
    let mut pieces = Vec::new();
    for (length, role) in paint {
        let Some((part, after)) = rest.split_at_checked(*length) else { break };
        if !part.is_empty() {
            pieces.push(Piece::new(part, *role));
        }
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::new(rest, Role::Text));
    }
    pieces
}

/// Drops columns at the left.
fn cut_left(pieces: &[Piece], columns: usize) -> Vec<Piece> {
    let mut left = columns;
    let mut kept = Vec::new();
    for piece in pieces {
        let text = piece.text.as_str();
        let mut at = 0;
        while left > 0 && at < text.len() {
            let cluster = unicode_segmentation::UnicodeSegmentation::graphemes(&text[at..], true).next().unwrap_or("");
            left = left.saturating_sub(super::columns(cluster).max(1));
            at += cluster.len().max(1);
        }
        if at < text.len() {
            kept.push(Piece::new(&text[at..], piece.role));
        }
    }
    kept
}

/// Breaks a line into screen lines; the rests are indented.
pub fn broken(line: &Line, width_of_page: u16) -> Vec<Vec<Piece>> {
    let page = usize::from(width_of_page);
    if width(&line.pieces) <= page {
        return vec![line.pieces.clone()];
    }
    let indent = usize::from(line.indent).min(page / 2);
    let mut lines = vec![Vec::new()];
    let mut room = page;
    for piece in &line.pieces {
        let mut rest = piece.text.as_str();
        while !rest.is_empty() {
            let (part, after) = match break_at(rest, room) {
                None if room == 0 => ("", rest),
                None => (rest, ""),
                Some(cut) => (rest[..cut].trim_end(), rest[cut..].trim_start()),
            };
            if let Some(last) = lines.last_mut().filter(|_| !part.is_empty()) {
                last.push(Piece::new(part, piece.role));
            }
            room = room.saturating_sub(super::columns(part));
            rest = after;
            if !rest.is_empty() {
                lines.push(vec![Piece::new(" ".repeat(indent), Role::Text)]);
                room = page - indent;
                if room < 2 {
                    return lines;
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(lines: &[&str], width: u16, height: u16) -> Page {
        let mut page = Page::wrapping();
        page.set(lines.iter().map(|line| Line::new(line, Role::Text)).collect());
        page.prepare(Rect::new(0, 0, width, height));
        page
    }

    fn shown(page: &Page) -> Vec<String> {
        page.shown.iter().map(|(_, pieces)| pieces.iter().map(|piece| piece.text.as_str()).collect()).collect()
    }

    #[test]
    fn long_lines_wrap_at_spaces_under_their_value() {
        let mut page = Page::wrapping();
        let label = [Piece::new("Message:  ", Role::Label), Piece::new("build failed: no such file", Role::Text)];
        page.set(vec![Line { indent: 10, ..Line::of(label.to_vec()) }]);
        page.prepare(Rect::new(0, 0, 24, 5));
        assert_eq!(shown(&page), ["Message:  build failed:", "          no such file"]);
    }

    #[test]
    fn a_search_goes_round() {
        let mut page = page(&["one", "two", "One", "four"], 20, 2);
        page.search("one");
        assert_eq!((page.cursor, page.matches()), (0, Some((1, 2))));
        page.act(Action::NextMatch);
        assert_eq!((page.cursor, page.matches()), (2, Some((2, 2))));
        page.act(Action::NextMatch);
        assert_eq!(page.cursor, 0);
    }

    #[test]
    fn a_page_follows_its_end_until_one_looks_back() {
        let mut page = page(&["1", "2", "3"], 20, 2);
        page.act(Action::Follow);
        page.set((0..10).map(|n| Line::new(format!("{n}"), Role::Text)).collect());
        page.prepare(Rect::new(0, 0, 20, 2));
        assert_eq!(page.scroll.top, 8);
        page.act(Action::Up);
        assert!(!page.follow);
    }

    #[test]
    fn no_size_is_too_small() {
        for (width, height) in [(0, 0), (1, 1), (2, 1), (1, 40)] {
            let mut page = page(&["日本語 text that is long", ""], width, height);
            for action in [Action::Down, Action::Last, Action::Wrap, Action::Right, Action::PageUp] {
                page.act(action);
                page.prepare(Rect::new(0, 0, width, height));
            }
        }
    }
}
