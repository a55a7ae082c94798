//! A patch to read: what one revision of a release changed of another, or what a verb would bring before it is sent.

use std::time::Duration;

use ratatui::layout::Rect;

use super::pages::{foreseen, refused};
use super::{REFLEX, Screen, inside};
use crate::base::Id;
use crate::console::actions::{Action, Scope, Tab};
use crate::console::look::Role;
use crate::console::message::{Answer, Open, Reply, Slot, Target};
use crate::console::shared::Shared;
use crate::console::widgets::page::{Line, Link};
use crate::console::widgets::patch::PatchPage;
use crate::console::widgets::{Canvas, Piece};
use crate::kinds::{Verb, View};
use crate::verbs::{self, Ask, Patch, Query};

/// Which page this is, to the answers.
const TAB: Tab = Tab::View(View::Diff);

/// Why the patch is shown.
enum Occasion {
    /// Two revisions; `None` is the one before.
    Revisions { id: Id, from: Option<i64>, to: i64 },
    /// A verb that is sent when a person says so.
    Before { verb: Verb, target: Target },
}

/// The patch, and what it is for.
pub struct PatchScreen {
    occasion: Occasion,
    page: PatchPage,
    query: String,
    opened: Duration,
}

impl PatchScreen {
    /// What a revision changed.
    pub fn compare(id: Id, from: Option<i64>, to: i64) -> Self {
        PatchScreen::new(Occasion::Revisions { id, from, to })
    }

    /// What a verb would bring.
    pub fn before(verb: Verb, target: Target) -> Self {
        PatchScreen::new(Occasion::Before { verb, target })
    }

    fn new(occasion: Occasion) -> Self {
        let page = PatchPage::new(vec![Line::new("loading …", Role::Progressing)], Patch::default());
        PatchScreen { occasion, page, query: String::new(), opened: Duration::ZERO }
    }

    fn id(&self) -> &Id {
        match &self.occasion {
            Occasion::Revisions { id, .. } => id,
            Occasion::Before { target, .. } => &target.id,
        }
    }

    /// How the change is spoken of, and what is said when there is none.
    fn words(&self) -> (&'static str, &'static str) {
        match self.occasion {
            Occasion::Revisions { .. } => ("changed", "the revisions are the same"),
            Occasion::Before { .. } => ("would change", "the reconciliation that follows would change nothing"),
        }
    }
}

impl Screen for PatchScreen {
    fn scope(&self) -> Scope {
        match self.occasion {
            Occasion::Revisions { .. } => Scope::Detail,
            Occasion::Before { .. } => Scope::Ask,
        }
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        match &self.occasion {
            Occasion::Revisions { id, from, to } => {
                let what = from.map_or(format!("  revision {to}"), |from| format!("  revision {from} → {to}"));
                vec![Piece::new(id.to_string(), Role::Title), Piece::new(what, Role::Header)]
            }
            Occasion::Before { verb, target } => {
                vec![Piece::new(format!("{} {}?", verb.name(), target.id), Role::Title)]
            }
        }
    }

    fn opened(&mut self, cx: &Shared) -> Reply {
        self.opened = cx.pressed;
        let query = match &self.occasion {
            Occasion::Revisions { id, from, to } => Query::Compare { id: id.clone(), from: *from, to: *to },
            Occasion::Before { target, .. } => Query::View(View::Diff, target.id.clone()),
        };
        Reply::Fetch(Slot::Page(TAB), query)
    }

    fn act(&mut self, action: Action, cx: &Shared) -> Reply {
        match (action, &self.occasion) {
            (Action::Accept, Occasion::Before { .. }) if cx.pressed < self.opened + REFLEX => Reply::Stay,
            // It need not have come: who knows what it brings need not wait for it.
            (Action::Accept, Occasion::Before { verb, target: Target { id, uid } }) => {
                let ask = Ask::VerbOn { verb: *verb, id: id.clone(), uid: uid.clone() };
                Reply::Many(vec![Reply::Ask(Slot::Verb, ask), Reply::Back])
            }
            (Action::Open, _) => match self.page.page().link() {
                Some(Link::Object(id)) => Reply::Open(Open::Detail(id.clone(), Tab::Describe)),
                _ => Reply::Stay,
            },
            (action, _) if self.page.act(action) => Reply::Redraw,
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
                let (verb, nothing) = self.words();
                self.page.copies(preview.commit.as_ref().map(|commit| commit.patch.clone()));
                self.page.set(foreseen(&preview, verb, nothing), preview.patch);
                Reply::Many(vec![Reply::Redraw, Reply::Paint(TAB, self.page.text())])
            }
            Answer::Fetched(Err(refusal)) => {
                self.page.set(refused(&refusal), Patch::default());
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
        Some(self.id())
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
