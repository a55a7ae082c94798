//! What an edit would change, before it is sent: the diff, the warnings, and one key to save.

use std::time::Duration;

use ratatui::layout::Rect;

use super::Screen;
use crate::base::{Id, Value};
use crate::console::actions::{Action, Scope};
use crate::console::look::Role;
use crate::console::message::{Answer, Reply, Slot};
use crate::console::shared::Shared;
use crate::console::widgets::page::{Line, Page};
use crate::console::widgets::{Canvas, Piece};
use crate::verbs::{Ask, Change, Review};

/// A key that comes sooner was meant for the screen before.
const REFLEX: Duration = Duration::from_millis(150);
/// Unchanged lines shown around a change.
const AROUND: usize = 3;

/// The diff, and what was edited.
pub struct ReviewScreen {
    id: Id,
    original: Value,
    edited: String,
    page: Page,
    query: String,
    opened: Duration,
    saving: bool,
}

impl ReviewScreen {
    pub fn new(id: Id, original: Value, edited: String, review: Review) -> Self {
        let mut page = Page::wrapping();
        page.set(lines(&review));
        ReviewScreen { id, original, edited, page, query: String::new(), opened: Duration::ZERO, saving: false }
    }
}

fn lines(review: &Review) -> Vec<Line> {
    let count = |change: Change| review.diff.iter().filter(|line| line.change == change).count();
    let mut lines = vec![Line::of(vec![
        Piece::new(format!("+{} ", count(Change::Added)), Role::Added),
        Piece::new(format!("−{}", count(Change::Removed)), Role::Removed),
        Piece::new("  lines would change", Role::Dim),
    ])];
    if let Some(owner) = &review.by_git {
        let text = format!("! {owner} applies this object: Git will undo this edit at its next reconciliation");
        lines.push(Line { link: Some(owner.clone()), ..Line::new(text, Role::Warning) });
    }
    for problem in &review.problems {
        lines.push(Line::new(format!("! {}: {}", problem.path, problem.message), Role::Warning));
    }
    lines.push(Line::default());
    let changed: Vec<usize> =
        review.diff.iter().enumerate().filter(|(_, line)| line.change != Change::Same).map(|(at, _)| at).collect();
    let near = |at: usize| {
        let next = changed.partition_point(|change| *change + AROUND < at);
        changed.get(next).is_some_and(|change| *change <= at + AROUND)
    };
    let mut skipped = 0;
    for (at, line) in review.diff.iter().enumerate() {
        if !near(at) {
            skipped += 1;
            continue;
        }
        if skipped > 0 {
            lines.push(Line::new(format!("  ⋯ {skipped} unchanged"), Role::Dim));
            skipped = 0;
        }
        let (sign, role) = match line.change {
            Change::Same => ("  ", Role::Same),
            Change::Added => ("+ ", Role::Added),
            Change::Removed => ("− ", Role::Removed),
        };
        lines.push(Line { indent: 2, ..Line::of(vec![Piece::new(sign, role), Piece::text(line.text.clone(), role)]) });
    }
    if skipped > 0 {
        lines.push(Line::new(format!("  ⋯ {skipped} unchanged"), Role::Dim));
    }
    lines
}

impl Screen for ReviewScreen {
    fn scope(&self) -> Scope {
        Scope::Review
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        vec![Piece::new(format!("save {}?", self.id), Role::Title)]
    }

    fn opened(&mut self, cx: &Shared) -> Reply {
        self.opened = cx.pressed;
        Reply::Redraw
    }

    fn act(&mut self, action: Action, cx: &Shared) -> Reply {
        match action {
            Action::Save if self.saving || cx.pressed < self.opened + REFLEX => Reply::Stay,
            Action::Save => {
                self.saving = true;
                let ask =
                    Ask::Save { id: self.id.clone(), original: self.original.clone(), edited: self.edited.clone() };
                Reply::Ask(Slot::Verb, ask)
            }
            action if self.page.act(action) => Reply::Redraw,
            _ => Reply::Pass,
        }
    }

    fn query(&self) -> Option<&str> {
        Some(&self.query)
    }

    fn set_query(&mut self, query: &str, _cx: &Shared) -> Reply {
        query.clone_into(&mut self.query);
        self.page.search(query);
        Reply::Redraw
    }

    fn answer(&mut self, _slot: Slot, answer: Answer, _cx: &Shared) -> Reply {
        let Answer::Done(outcome) = answer else { return Reply::Stay };
        self.saving = false;
        match outcome {
            // Past the editor too: what it opened is not what is there now.
            Ok(_) => Reply::Many(vec![Reply::Back, Reply::Back]),
            Err(_) => Reply::Redraw,
        }
    }

    fn subject(&self) -> Option<&Id> {
        Some(&self.id)
    }

    fn prepare(&mut self, _cx: &Shared, area: Rect) {
        self.page.prepare(inside(area));
    }

    fn draw(&self, _cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        self.page.draw(canvas, inside(area));
    }
}

fn inside(area: Rect) -> Rect {
    Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area }
}
