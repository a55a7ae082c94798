//! Every key of the screen that it was opened over, read from the live keymap; and what the signs mean.

use ratatui::layout::Rect;

use super::{Screen, inside};
use crate::base::State;
use crate::console::actions::{ACTIONS, Action, ActionLine, Scope};
use crate::console::look::Role;
use crate::console::message::Reply;
use crate::console::shared::Shared;
use crate::console::widgets::page::{Line, Page};
use crate::console::widgets::{Canvas, Piece};
use crate::kinds;

/// The help of one scope.
pub struct Help {
    below: Scope,
    page: Page,
    query: String,
}

impl Help {
    pub fn new(cx: &Shared, below: Scope) -> Self {
        let mut page = Page::default();
        page.set(lines(cx, below));
        Help { below, page, query: String::new() }
    }
}

fn lines(cx: &Shared, below: Scope) -> Vec<Line> {
    let keys = |line: &ActionLine| cx.keys.of(below, line.action);
    let shown = |line: &&ActionLine| !keys(line).is_empty() && (line.action != Action::Demo || cx.demo);
    let row = |line: &ActionLine, doc: &str| {
        let keys = keys(line).join(", ");
        Line::of(vec![Piece::new(format!("  {keys:<22} "), Role::Key), Piece::new(doc, Role::Text)])
    };
    let mut lines = vec![Line::new(format!("On this screen ({})", below.name()), Role::Title)];
    let own = ACTIONS.iter().filter(|line| !line.scopes.is_empty()).filter(shown);
    lines.extend(own.map(|line| row(line, line.doc)));
    lines.push(Line::default());
    lines.push(Line::new("Everywhere", Role::Title));
    for line in ACTIONS.iter().filter(|line| line.scopes.is_empty()).filter(shown) {
        match line.action {
            Action::Kind(number) => {
                let Some(kind) = kinds::NUMBERED.get(usize::from(number) - 1) else { continue };
                lines.push(row(line, &format!("{}: {}", kind.kind, kind.doc)));
            }
            _ => lines.push(row(line, line.doc)),
        }
    }
    lines.push(Line::default());
    lines.push(Line::new("Signs", Role::Title));
    for (state, doc) in [
        (State::Failed, "it does not work, or will not recover without a change"),
        (State::Unknown, "it cannot be read or judged: never taken for healthy"),
        (State::Progressing, "work is going on"),
        (State::Waiting, "it waits for another object"),
        (State::Terminating, "it is being deleted"),
        (State::Suspended, "a person stopped it"),
        (State::Ready, "all is as wanted"),
    ] {
        let sign = format!("  {} {:<20} ", state.sign(), state.word());
        lines.push(Line::of(vec![Piece::new(sign, state), Piece::new(doc, Role::Text)]));
    }
    let simulated = "weir's simulator made it ready: no kubelet runs it";
    lines.push(Line::of(vec![
        Piece::new(format!("  ✓ {:<20} ", "Simulated"), Role::Simulated),
        Piece::new(simulated, Role::Text),
    ]));
    lines.push(Line::of(vec![
        Piece::new(format!("  → {:<20} ", "in the tree"), Role::TreeLine),
        Piece::new("the object has its own place elsewhere in the tree", Role::Text),
    ]));
    lines.push(Line::default());
    lines.push(Line::new("Filters", Role::Title));
    for (words, doc) in [
        ("web", "names loosely, kinds, namespaces and states by parts"),
        ("flux web", "all words must match"),
        ("!web", "must not match"),
        ("^web  web$", "begins or ends with it"),
        ("shop/web", "namespace and name"),
        ("failed", "by the first letters of a state"),
    ] {
        lines.push(Line::of(vec![Piece::new(format!("  {words:<22} "), Role::Strong), Piece::new(doc, Role::Text)]));
    }
    lines
}

impl Screen for Help {
    fn scope(&self) -> Scope {
        Scope::Help
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        vec![Piece::new(format!("help: {}", self.below.name()), Role::Header)]
    }

    fn act(&mut self, action: Action, _cx: &Shared) -> Reply {
        match action {
            Action::Help => Reply::Back,
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

    fn prepare(&mut self, _cx: &Shared, area: Rect) {
        self.page.prepare(inside(area));
    }

    fn draw(&self, _cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        self.page.draw(canvas, inside(area));
    }
}
