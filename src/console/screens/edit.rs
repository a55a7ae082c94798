//! Edits a document in place: highlighted, checked here first, then reviewed before anything is sent.

use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use tui_textarea::{CursorMove, Input, TextArea};

use super::Screen;
use crate::base::{Id, Value, yaml};
use crate::config::{Code, Key};
use crate::console::actions::{Action, Scope, Tab};
use crate::console::look::Role;
use crate::console::message::{Answer, Open, PaintedLine, Reply, Say, Slot, Target, Tone};
use crate::console::shared::Shared;
use crate::console::widgets::{Canvas, Piece, columns, wrapped};
use crate::kinds::Tie;
use crate::verbs::{self, Problem, Query};

/// Longest paste that is taken, in bytes.
const LONGEST_PASTE: usize = 64 * 1024;

/// The document being edited.
pub struct Edit {
    target: Target,
    area: TextArea<'static>,
    original: Option<Value>,
    opened_with: String,
    /// Who applies the object from Git and will undo the edit.
    by_git: Option<Id>,
    problems: Vec<Problem>,
    refused: Option<verbs::Refusal>,
    paint: Vec<PaintedLine>,
    /// Leaving was asked for once although there are changes.
    leaving: bool,
}

impl Edit {
    pub fn new(target: Target) -> Self {
        Edit {
            target,
            area: TextArea::default(),
            original: None,
            opened_with: String::new(),
            by_git: None,
            problems: Vec::new(),
            refused: None,
            paint: Vec::new(),
            leaving: false,
        }
    }

    fn text(&self) -> String {
        self.area.lines().join("\n") + "\n"
    }

    fn loaded(&mut self, original: Value, yaml: String) -> Reply {
        self.area = TextArea::new(yaml.trim_end().lines().map(str::to_owned).collect());
        self.area.set_tab_length(2);
        self.area.set_max_histories(500);
        self.original = Some(original);
        self.opened_with = self.text();
        Reply::Many(vec![Reply::Redraw, Reply::Paint(Tab::Yaml, self.text())])
    }

    /// After a change of the text: old problems no longer hold.
    fn edited(&mut self) -> Reply {
        self.problems.clear();
        self.leaving = false;
        Reply::Many(vec![Reply::Redraw, Reply::Paint(Tab::Yaml, self.text())])
    }

    fn save(&mut self) -> Reply {
        let Some(original) = self.original.clone() else { return Reply::Stay };
        let edited = self.text();
        if edited == self.opened_with {
            return Reply::Say(Say::new(Tone::Note, "nothing was changed"));
        }
        if let Err(e) = yaml::read_one(edited.as_bytes(), &yaml::Limits::default()) {
            let problem = Problem {
                path: Default::default(),
                line: e.line,
                message: crate::base::Text::new(&e.message),
                fatal: true,
            };
            return self.refuse(vec![problem]);
        }
        Reply::Fetch(Slot::Review, Query::Review { original, edited })
    }

    /// Shows what is wrong and goes to the first place of it.
    fn refuse(&mut self, problems: Vec<Problem>) -> Reply {
        if let Some(line) = problems.iter().map(|problem| problem.line).find(|line| *line > 0) {
            let row = u16::try_from(line - 1).unwrap_or(u16::MAX);
            self.area.move_cursor(CursorMove::Jump(row, 0));
        }
        self.problems = problems;
        Reply::Redraw
    }

    fn reviewed(&mut self, review: verbs::Review) -> Reply {
        if review.problems.iter().any(|problem| problem.fatal) {
            return self.refuse(review.problems);
        }
        if review.diff.is_empty() {
            return Reply::Say(Say::new(Tone::Note, "nothing would change"));
        }
        let Some(original) = self.original.clone() else { return Reply::Stay };
        Reply::Open(Open::Review { id: self.target.id.clone(), original, edited: self.text(), review })
    }

    /// What stands above the text: the warning, then what is wrong.
    fn above(&self, width: usize) -> Vec<Piece> {
        let mut lines = Vec::new();
        let mut say = |text: String, role: Role| {
            lines.extend(wrapped(&text, width).iter().take(3).map(|line| Piece::new(line, role)));
        };
        if let Some(owner) = &self.by_git {
            say(format!("! {owner} applies this object: Git will undo this edit"), Role::Warning);
        }
        for problem in self.problems.iter().take(4) {
            let at = if problem.line > 0 { format!("line {}: ", problem.line) } else { String::new() };
            let path = if problem.path.as_str().is_empty() { String::new() } else { format!("{}: ", problem.path) };
            let (sign, role) = if problem.fatal { ("✗", Role::Danger) } else { ("!", Role::Warning) };
            say(format!("{sign} {at}{path}{}", problem.message), role);
        }
        if self.leaving {
            say("! there are changes: press esc again to throw them away".into(), Role::Danger);
        }
        lines
    }

    fn parts(&self, area: Rect) -> (Rect, Rect) {
        let above = u16::try_from(self.above(usize::from(area.width.max(1))).len()).unwrap_or(0).min(area.height / 2);
        let text = Rect { y: area.y + above, height: area.height - above, ..area };
        (Rect { height: above, ..area }, text)
    }

    /// Lays the colours of YAML over the visible lines that have not changed since they were painted.
    fn lay_paint(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let (top, left) = self.area.scroll_offset();
        for (line, y) in (usize::from(top)..).zip(area.y..area.bottom()) {
            let (Some(raw), Some(paint)) = (self.area.lines().get(line), self.paint.get(line)) else { continue };
            if paint.iter().map(|(length, _)| length).sum::<usize>() != raw.len() {
                continue;
            }
            let (mut rest, mut column) = (raw.as_str(), 0usize);
            for (length, role) in paint {
                let Some((part, after)) = rest.split_at_checked(*length) else { break };
                let end = column + columns(part);
                let from = column.saturating_sub(usize::from(left)).min(usize::from(area.width));
                let to = end.saturating_sub(usize::from(left)).min(usize::from(area.width));
                canvas.lay(Rect { x: area.x + from as u16, y, width: (to - from) as u16, height: 1 }, *role);
                (rest, column) = (after, end);
            }
        }
    }
}

impl Screen for Edit {
    fn scope(&self) -> Scope {
        Scope::Edit
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        let mark = if self.is_dirty() { " (changed)" } else { "" };
        vec![Piece::new(format!("edit {}", self.target.id), Role::Title), Piece::new(mark, Role::Warning)]
    }

    fn opened(&mut self, cx: &Shared) -> Reply {
        let owner = cx.store.pointing_at(&self.target.id).into_iter().find(|(tie, _)| *tie == Tie::Owns);
        self.by_git = owner.map(|(_, owner)| owner);
        Reply::Fetch(Slot::Edit, Query::Edit(self.target.id.clone()))
    }

    fn act(&mut self, action: Action, _cx: &Shared) -> Reply {
        match action {
            Action::Save => self.save(),
            Action::Undo if self.area.undo() => self.edited(),
            Action::Redo if self.area.redo() => self.edited(),
            Action::Back if self.is_dirty() && !self.leaving => {
                self.leaving = true;
                Reply::Redraw
            }
            Action::Back => Reply::Back,
            _ => Reply::Stay,
        }
    }

    fn key(&mut self, key: Key, _cx: &Shared) -> Reply {
        if self.original.is_none() {
            return Reply::Stay;
        }
        if key == Key::plain(Code::Enter) {
            // A new line begins where the one above does.
            let line = self.area.lines().get(self.area.cursor().0).cloned().unwrap_or_default();
            let indent = &line[..line.len() - line.trim_start_matches(' ').len()];
            self.area.insert_newline();
            self.area.insert_str(indent);
            return self.edited();
        }
        self.leaving = false;
        let Some(input) = input(key) else { return Reply::Stay };
        if self.area.input(input) { self.edited() } else { Reply::Redraw }
    }

    fn paste(&mut self, text: &str, _cx: &Shared) -> Reply {
        if self.original.is_none() {
            return Reply::Stay;
        }
        if text.len() > LONGEST_PASTE {
            let say = format!("the paste was not taken: it has {} bytes, and {LONGEST_PASTE} are allowed", text.len());
            return Reply::Say(Say::new(Tone::Failed, say));
        }
        let clean: String = text.replace("\r\n", "\n").replace('\r', "\n");
        let clean: String = clean.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
        self.area.insert_str(clean);
        self.edited()
    }

    fn answer(&mut self, slot: Slot, answer: Answer, _cx: &Shared) -> Reply {
        match (slot, answer) {
            (Slot::Edit, Answer::Fetched(Ok(verbs::Answer::Edit { original, yaml }))) => self.loaded(original, yaml),
            (Slot::Review, Answer::Fetched(Ok(verbs::Answer::Review(review)))) => self.reviewed(review),
            (Slot::Review, Answer::Fetched(Err(refusal))) => {
                Reply::Say(Say { tone: Tone::Failed, text: refusal.message, hint: refusal.hint })
            }
            (Slot::Edit, Answer::Fetched(Err(refusal))) => {
                self.refused = Some(refusal);
                Reply::Redraw
            }
            (_, Answer::Painted(paint)) => {
                self.paint = paint;
                Reply::Redraw
            }
            _ => Reply::Stay,
        }
    }

    fn subject(&self) -> Option<&Id> {
        Some(&self.target.id)
    }

    fn is_dirty(&self) -> bool {
        self.original.is_some() && self.text() != self.opened_with
    }

    fn prepare(&mut self, cx: &Shared, _area: Rect) {
        self.area.set_style(cx.look.style(Role::Text));
        self.area.set_cursor_line_style(cx.look.style(Role::Text));
        self.area.set_cursor_style(cx.look.style(Role::Text).add_modifier(ratatui::style::Modifier::REVERSED));
        self.area.set_selection_style(cx.look.style(Role::Cursor));
    }

    fn draw(&self, _cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        let area = Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area };
        let (above, text) = self.parts(area);
        for (piece, y) in self.above(usize::from(area.width.max(1))).iter().zip(above.y..above.bottom()) {
            canvas.pieces(above.x, y, above.width, std::slice::from_ref(piece));
        }
        match (&self.refused, &self.original) {
            (Some(refusal), _) => {
                canvas.pieces(text.x, text.y, text.width, &[Piece::text(refusal.message.clone(), Role::Danger)]);
                if text.height > 1 {
                    canvas.pieces(text.x, text.y + 1, text.width, &[Piece::text(refusal.hint.clone(), Role::Dim)]);
                }
            }
            (None, None) => {
                canvas.pieces(text.x, text.y, text.width, &[Piece::new("loading …", Role::Progressing)]);
            }
            (None, Some(_)) if text.width > 0 && text.height > 0 => {
                self.area.render(text, canvas.buffer);
                self.lay_paint(canvas, text);
            }
            _ => {}
        }
    }
}

/// The key as the text area knows it.
fn input(key: Key) -> Option<Input> {
    use tui_textarea::Key as Wanted;
    let wanted = match key.code {
        Code::Char(character) => Wanted::Char(character),
        Code::Enter => Wanted::Enter,
        Code::Tab => Wanted::Tab,
        Code::Backspace => Wanted::Backspace,
        Code::Delete => Wanted::Delete,
        Code::Up => Wanted::Up,
        Code::Down => Wanted::Down,
        Code::Left => Wanted::Left,
        Code::Right => Wanted::Right,
        Code::Home => Wanted::Home,
        Code::End => Wanted::End,
        Code::PageUp => Wanted::PageUp,
        Code::PageDown => Wanted::PageDown,
        Code::Esc | Code::Insert | Code::F(_) => return None,
    };
    Some(Input { key: wanted, ctrl: key.ctrl, alt: key.alt, shift: key.shift })
}
