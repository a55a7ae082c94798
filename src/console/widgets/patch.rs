//! [`PatchPage`]: a patch to read before one says yes. Unified where it is narrow, side by side where it is wide.
//!
//! Changed lines keep the colours of their syntax on a ground of green or red where the theme has one; elsewhere the whole
//! line is green or red. What differs within a line is set off. The signs stay, so that colour is never alone.

use ratatui::layout::Rect;

use super::page::{Ground, Line, Link, Page, broken, painted_line};
use super::{Canvas, Piece, width};
use crate::console::actions::Action;
use crate::console::look::{Look, Role};
use crate::console::message::PaintedLine;
use crate::verbs::{Change, DiffLine, Fate, Patch};

/// From this width on, before and after stand side by side: two columns of what YAML usually takes.
const WIDE: u16 = 132;

/// A patch and where a person stands in it.
#[derive(Debug, Default)]
pub struct PatchPage {
    page: Page,
    head: Vec<Line>,
    patch: Patch,
    paint: Vec<PaintedLine>,
    /// What is copied instead of what is shown: the form that tools take.
    raw: Option<String>,
    /// For which shape the lines were made: the width of a half where there are two, and whether changed lines have a ground.
    made_for: Option<(Option<u16>, bool)>,
}

impl PatchPage {
    pub fn new(head: Vec<Line>, patch: Patch) -> Self {
        PatchPage { page: Page::wrapping(), head, patch, ..PatchPage::default() }
    }

    /// Another patch, at the same place.
    pub fn set(&mut self, head: Vec<Line>, patch: Patch) {
        (self.head, self.patch, self.paint, self.made_for) = (head, patch, Vec::new(), None);
    }

    /// What is copied from now on, where tools want it otherwise than people.
    pub fn copies(&mut self, raw: Option<String>) {
        self.raw = raw;
    }

    /// What to colour: the lines as they stand, parts one after the other.
    pub fn text(&self) -> String {
        let lines = self.patch.parts.iter().flat_map(|part| &part.lines);
        lines.map(|line| format!("{}\n", line.text)).collect()
    }

    /// The colours of [`PatchPage::text`].
    pub fn painted(&mut self, paint: Vec<PaintedLine>) {
        (self.paint, self.made_for) = (paint, None);
    }

    /// The patch as text, for the clipboard.
    pub fn copied(&self) -> String {
        self.raw.clone().unwrap_or_else(|| self.patch.plain())
    }

    pub fn page(&self) -> &Page {
        &self.page
    }

    pub fn page_mut(&mut self) -> &mut Page {
        &mut self.page
    }

    /// Moves, scrolls, searches; answers whether the action was one of a page.
    pub fn act(&mut self, action: Action) -> bool {
        // Halves are broken to their width already: there is nothing to wrap, and nothing beyond the edge.
        let halves = self.made_for.is_some_and(|(half, _)| half.is_some());
        if halves && matches!(action, Action::Wrap | Action::Left | Action::Right) {
            return true;
        }
        self.page.act(action)
    }

    /// Fits the lines to an area. Called before a frame, never by it.
    pub fn prepare(&mut self, look: &Look, area: Rect) {
        let half = (area.width >= WIDE).then(|| (area.width - 3) / 2);
        let ground = look.style(Role::AddedLine).bg.is_some();
        if self.made_for != Some((half, ground)) {
            self.made_for = Some((half, ground));
            let lines = self.lines(half, ground);
            self.page.set(lines);
        }
        self.page.prepare(area);
    }

    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        self.page.draw(canvas, area);
    }

    fn lines(&self, half: Option<u16>, ground: bool) -> Vec<Line> {
        let mut lines = self.head.clone();
        let mut paint = self.paint.iter();
        for part in &self.patch.parts {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            if !part.name.as_str().is_empty() {
                let role = match part.fate {
                    Fate::Created => Role::Added,
                    Fate::Changed => Role::Warning,
                    Fate::Deleted => Role::Removed,
                };
                let pieces = vec![
                    Piece::text(part.name.clone(), if part.id.is_some() { Role::Link } else { Role::Title }),
                    Piece::new(format!("  {}", part.fate.word()), role),
                ];
                lines.push(Line { link: part.id.clone().map(Link::Object), ..Line::of(pieces) });
            }
            let sides = written(&part.lines, &mut paint, ground);
            match half {
                None => lines.extend(sides.into_iter().map(|side| side.line(ground))),
                Some(half) => lines.extend(pairs(sides).into_iter().flat_map(|pair| beside(pair, half, ground))),
            }
        }
        lines
    }
}

/// One line of a diff with its pieces, the sign not among them.
#[derive(Clone)]
struct Side {
    change: Change,
    pieces: Vec<Piece>,
}

impl Side {
    fn ground(&self, is_wanted: bool) -> Option<Role> {
        match self.change {
            Change::Added if is_wanted => Some(Role::AddedLine),
            Change::Removed if is_wanted => Some(Role::RemovedLine),
            _ => None,
        }
    }

    fn sign(&self) -> Piece {
        Piece::new(self.change.sign(), role(self.change))
    }

    /// As a line of the unified form.
    fn line(self, ground: bool) -> Line {
        let ground = self.ground(ground).map_or(Ground::None, Ground::Line);
        let pieces = std::iter::once(self.sign()).chain(self.pieces).collect();
        Line { indent: 4, ground, ..Line::of(pieces) }
    }
}

fn role(change: Change) -> Role {
    match change {
        Change::Same => Role::Same,
        Change::Gap => Role::Dim,
        Change::Added => Role::Added,
        Change::Removed => Role::Removed,
    }
}

/// The lines with their colours, and with what differs within a line set off.
fn written<'a>(lines: &[DiffLine], paint: &mut impl Iterator<Item = &'a PaintedLine>, ground: bool) -> Vec<Side> {
    let emphasis = emphasis(lines);
    let side = |(line, part): (&DiffLine, &Option<(usize, usize)>)| {
        let text = line.text.as_str();
        let paint = paint.next();
        let coloured = line.change == Change::Same || (ground && !matches!(line.change, Change::Gap));
        let pieces = match paint.filter(|_| coloured) {
            Some(paint) => painted_line(text, paint),
            None => vec![Piece::text(line.text.clone(), role(line.change))],
        };
        let word = if line.change == Change::Added { Role::AddedWord } else { Role::RemovedWord };
        let pieces = match part {
            Some((from, to)) => set_off(pieces, *from, *to, word),
            None => pieces,
        };
        Side { change: line.change, pieces }
    };
    lines.iter().zip(&emphasis).map(side).collect()
}

/// Gives the bytes from..to of a line another role.
fn set_off(pieces: Vec<Piece>, from: usize, to: usize, word: Role) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut at = 0;
    for piece in pieces {
        let text = piece.text.as_str();
        let cut = |place: usize| place.saturating_sub(at).min(text.len());
        let (start, end) = (cut(from), cut(to));
        for (part, role) in
            [(text.get(..start), piece.role), (text.get(start..end), word), (text.get(end..), piece.role)]
        {
            if let Some(part) = part.filter(|part| !part.is_empty()) {
                out.push(Piece::new(part, role));
            }
        }
        at += text.len();
    }
    out
}

/// For each line the bytes that differ from the line that it replaces: runs of as many removed as added lines are paired.
fn emphasis(lines: &[DiffLine]) -> Vec<Option<(usize, usize)>> {
    let mut found = vec![None; lines.len()];
    let mut at = 0;
    while at < lines.len() {
        let run = |from: usize, change: Change| lines[from..].iter().take_while(|line| line.change == change).count();
        let removed = run(at, Change::Removed);
        let added = run(at + removed, Change::Added);
        if removed > 0 && removed == added {
            for index in at..at + removed {
                let (old, new) = (lines[index].text.as_str(), lines[index + removed].text.as_str());
                if let Some((from, old_to, new_to)) = differing(old, new) {
                    (found[index], found[index + removed]) = (Some((from, old_to)), Some((from, new_to)));
                }
            }
        }
        at += (removed + added).max(1);
    }
    found
}

/// Where two lines differ, to whole characters; `None` when they have too little in common for that to help.
fn differing(old: &str, new: &str) -> Option<(usize, usize, usize)> {
    let same = |pair: &((usize, char), (usize, char))| pair.0.1 == pair.1.1;
    let from: usize = old.char_indices().zip(new.char_indices()).take_while(same).map(|((_, c), _)| c.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[from..], &new[from..]);
    let tail = old_rest.chars().rev().zip(new_rest.chars().rev()).take_while(|(a, b)| a == b);
    let tail: usize = tail.map(|(c, _)| c.len_utf8()).sum();
    let common = old[..from].trim_start().len() + tail;
    (common * 3 >= old.trim_start().len().max(new.trim_start().len())).then_some((
        from,
        old.len() - tail,
        new.len() - tail,
    ))
}

/// What stands side by side: removed lines beside the added ones that follow them.
fn pairs(sides: Vec<Side>) -> Vec<(Option<Side>, Option<Side>)> {
    let mut pairs: Vec<(Option<Side>, Option<Side>)> = Vec::new();
    // Where the current run of changes begins.
    let mut open = 0;
    for side in sides {
        match side.change {
            Change::Removed => pairs.push((Some(side), None)),
            Change::Added => match pairs.iter_mut().skip(open).find(|(_, new)| new.is_none()) {
                Some((_, new)) => *new = Some(side),
                None => pairs.push((None, Some(side))),
            },
            Change::Same | Change::Gap => {
                pairs.push((Some(side.clone()), Some(side)));
                open = pairs.len();
            }
        }
    }
    pairs
}

/// Two halves of a line, broken to their width.
fn beside((old, new): (Option<Side>, Option<Side>), half: u16, ground: bool) -> Vec<Line> {
    let of = |side: &Option<Side>| side.as_ref().and_then(|side| side.ground(ground));
    let grounds = Ground::Halves { left: of(&old), right: of(&new), half };
    let rows = |side: Option<Side>| match side {
        None => Vec::new(),
        Some(side) => {
            let pieces = std::iter::once(side.sign()).chain(side.pieces).collect();
            broken(&Line { indent: 4, ..Line::of(pieces) }, half)
        }
    };
    let (left, right) = (rows(old), rows(new));
    let height = left.len().max(right.len());
    let mut right = right.into_iter();
    let mut left = left.into_iter();
    let line = |_| {
        let mut pieces = left.next().unwrap_or_default();
        let missing = usize::from(half).saturating_sub(width(&pieces));
        pieces.push(Piece::new(" ".repeat(missing), Role::Text));
        pieces.push(Piece::new(" │ ", Role::Border));
        pieces.extend(right.next().unwrap_or_default());
        Line { ground: grounds, ..Line::of(pieces) }
    };
    (0..height).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Text;

    fn diff(lines: &[&str]) -> Vec<DiffLine> {
        let line = |line: &&str| {
            let (sign, text) = line.split_at(1);
            let change = match sign {
                "+" => Change::Added,
                "-" => Change::Removed,
                "~" => Change::Gap,
                _ => Change::Same,
            };
            DiffLine { change, text: Text::new(text) }
        };
        lines.iter().map(line).collect()
    }

    fn halves(lines: &[&str]) -> Vec<String> {
        let sides = written(&diff(lines), &mut std::iter::empty(), false);
        let lines = pairs(sides).into_iter().flat_map(|pair| beside(pair, 10, false));
        lines.map(|line| line.pieces.iter().map(|piece| piece.text.as_str()).collect::<String>()).collect()
    }

    #[test]
    fn what_was_stands_beside_what_will_be() {
        let shown = halves(&[" a", "-b", "-c", "+d", " e", "+f", "~⋮"]);
        assert_eq!(
            shown,
            [
                "  a        │   a",
                "- b        │ + d",
                "- c        │ ",
                "  e        │   e",
                "           │ + f",
                "⋮          │ ⋮",
            ]
        );
    }

    #[test]
    fn long_lines_break_within_their_half() {
        assert_eq!(halves(&["-one two three", "+one"]), ["- one two  │ + one", "    three  │ "]);
    }

    #[test]
    fn what_differs_within_a_line_is_set_off() {
        let lines = diff(&["-image: app:1.2.3", "+image: app:1.3.3", "-x", "+completely other"]);
        let found = emphasis(&lines);
        assert_eq!(found, [Some((13, 14)), Some((13, 14)), None, None]);
        let pieces = set_off(vec![Piece::new("image: app:1.2.3", Role::Removed)], 13, 14, Role::RemovedWord);
        let parts: Vec<_> = pieces.iter().map(|piece| (piece.text.as_str(), piece.role)).collect();
        assert_eq!(parts, [("image: app:1.", Role::Removed), ("2", Role::RemovedWord), (".3", Role::Removed)]);
    }

    #[test]
    fn characters_are_never_cut() {
        for (old, new) in [("é1", "é2"), ("名前: a", "名前: b"), ("aé", "aè"), ("", "x"), ("é", "éé")] {
            if let Some((from, old_to, new_to)) = differing(old, new) {
                assert!(old.get(from..old_to).is_some() && new.get(from..new_to).is_some(), "{old} {new}");
            }
        }
    }
}
