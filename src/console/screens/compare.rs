//! What one revision of a release changed of another: values, objects and hooks.

use ratatui::layout::Rect;

use super::Screen;
use super::pages::foreseen;
use crate::base::Id;
use crate::console::actions::{Action, Scope, Tab};
use crate::console::look::Role;
use crate::console::message::{Answer, Open, Reply, Slot};
use crate::console::shared::Shared;
use crate::console::widgets::page::{Line, Link};
use crate::console::widgets::patch::PatchPage;
use crate::console::widgets::{Canvas, Piece};
use crate::kinds::View;
use crate::verbs::{self, Patch, Query};

/// Which page this is, to the answers.
const TAB: Tab = Tab::View(View::History);

/// Two revisions and their difference.
pub struct Compare {
    id: Id,
    from: Option<i64>,
    to: i64,
    page: PatchPage,
    query: String,
}

impl Compare {
    pub fn new(id: Id, from: Option<i64>, to: i64) -> Self {
        let loading = vec![Line::new("loading …", Role::Progressing)];
        Compare { id, from, to, page: PatchPage::new(loading, Patch::default()), query: String::new() }
    }
}

impl Screen for Compare {
    fn scope(&self) -> Scope {
        Scope::Detail
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        let what = match self.from {
            Some(from) => format!("  revision {from} → {}", self.to),
            None => format!("  revision {}", self.to),
        };
        vec![Piece::new(self.id.to_string(), Role::Title), Piece::new(what, Role::Header)]
    }

    fn opened(&mut self, _cx: &Shared) -> Reply {
        Reply::Fetch(Slot::Page(TAB), Query::Compare { id: self.id.clone(), from: self.from, to: self.to })
    }

    fn act(&mut self, action: Action, _cx: &Shared) -> Reply {
        match action {
            Action::Open => match self.page.page().link() {
                Some(Link::Object(id)) => Reply::Open(Open::Detail(id.clone(), Tab::Describe)),
                _ => Reply::Stay,
            },
            action if self.page.act(action) => Reply::Redraw,
            _ => Reply::Pass,
        }
    }

    fn opens(&self) -> bool {
        self.page.page().link().is_some()
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
        match answer {
            Answer::Fetched(Ok(verbs::Answer::Preview(preview))) => {
                self.page.set(foreseen(&preview, "changed", "the revisions are the same"), preview.patch);
                Reply::Many(vec![Reply::Redraw, Reply::Paint(TAB, self.page.text())])
            }
            Answer::Fetched(Err(refusal)) => {
                let lines = vec![
                    Line::of(vec![Piece::text(refusal.message, Role::Danger)]),
                    Line::of(vec![Piece::text(refusal.hint, Role::Dim)]),
                ];
                self.page.set(lines, Patch::default());
                Reply::Redraw
            }
            Answer::Painted(paint) => {
                self.page.painted(paint);
                Reply::Redraw
            }
            _ => Reply::Stay,
        }
    }

    fn subject(&self) -> Option<&Id> {
        Some(&self.id)
    }

    fn copied(&self) -> Option<String> {
        Some(self.page.copied())
    }

    fn prepare(&mut self, cx: &Shared, area: Rect) {
        self.page.prepare(&cx.look, inside(area));
    }

    fn draw(&self, _cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        self.page.draw(canvas, inside(area));
    }
}

fn inside(area: Rect) -> Rect {
    Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area }
}
