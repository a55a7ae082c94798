//! What an edit would change, before it is sent: the diff, the warnings, and one key to save.

use std::time::Duration;

use ratatui::layout::Rect;

use super::{REFLEX, Screen, inside};
use crate::base::{Id, Text, Value};
use crate::console::actions::{Action, Scope, Tab};
use crate::console::look::Role;
use crate::console::message::{Answer, Reply, Slot};
use crate::console::shared::Shared;
use crate::console::widgets::page::{Line, Link};
use crate::console::widgets::patch::PatchPage;
use crate::console::widgets::{Canvas, Piece};
use crate::verbs::{Ask, Fate, Part, Patch, Review};

/// The diff, and what was edited.
pub struct ReviewScreen {
    id: Id,
    original: Value,
    edited: String,
    page: PatchPage,
    query: String,
    opened: Duration,
    saving: bool,
}

impl ReviewScreen {
    pub fn new(id: Id, original: Value, edited: String, review: Review) -> Self {
        let part = Part { name: Text::default(), id: None, fate: Fate::Changed, lines: review.diff.clone() };
        let patch = Patch { parts: vec![part] };
        let page = PatchPage::new(head(&review, &patch), patch);
        ReviewScreen { id, original, edited, page, query: String::new(), opened: Duration::ZERO, saving: false }
    }
}

/// What a person should know first.
fn head(review: &Review, patch: &Patch) -> Vec<Line> {
    let (added, removed) = patch.counts();
    let mut lines = vec![Line::of(vec![
        Piece::new(format!("+{added} "), Role::Added),
        Piece::new(format!("-{removed}"), Role::Removed),
        Piece::new("  lines would change", Role::Dim),
    ])];
    if let Some(owner) = &review.by_git {
        let text = format!("! {owner} applies this object: Git will undo this edit at its next reconciliation");
        lines.push(Line { link: Some(Link::Object(owner.clone())), ..Line::new(text, Role::Warning) });
    }
    for problem in &review.problems {
        lines.push(Line::new(format!("! {}: {}", problem.path, problem.message), Role::Warning));
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
        Reply::Many(vec![Reply::Redraw, Reply::Paint(Tab::Yaml, self.page.text())])
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
        self.page.page_mut().search(query);
        Reply::Redraw
    }

    fn answer(&mut self, _slot: Slot, answer: Answer, _cx: &Shared) -> Reply {
        let outcome = match answer {
            Answer::Done(outcome) => outcome,
            Answer::Painted(paint) => {
                self.page.painted(paint);
                return Reply::Redraw;
            }
            _ => return Reply::Stay,
        };
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

    fn prepare(&mut self, cx: &Shared, area: Rect) {
        self.page.prepare(&cx.look, inside(area));
    }

    fn draw(&self, _cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        self.page.draw(canvas, inside(area));
    }
}
