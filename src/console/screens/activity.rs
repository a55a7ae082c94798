//! Weir's own log, newest last: what its reconcilers do and did.

use std::collections::VecDeque;

use ratatui::layout::Rect;

use super::Screen;
use super::detail::{log_line, log_lines};
use crate::console::actions::{Action, Scope};
use crate::console::look::Role;
use crate::console::message::Reply;
use crate::console::shared::Shared;
use crate::console::widgets::page::{Line, Page};
use crate::console::widgets::{Canvas, Piece};

/// Lines kept on the screen.
const KEPT: usize = 5_000;

/// The log and where a person stands in it.
pub struct ActivityScreen {
    lines: VecDeque<Line>,
    last: u64,
    page: Page,
    query: String,
}

impl ActivityScreen {
    pub fn new(cx: &Shared) -> Self {
        let page = Page::following(false);
        let mut screen = ActivityScreen { lines: VecDeque::new(), last: 0, page, query: String::new() };
        screen.read(cx);
        screen
    }

    fn read(&mut self, cx: &Shared) -> bool {
        let news = cx.activity.since(self.last);
        let Some(last) = news.last() else {
            if self.lines.is_empty() {
                self.page.set(log_lines(&[], true));
            }
            return false;
        };
        self.last = last.number;
        self.lines.extend(news.iter().map(|line| log_line(line, true)));
        let over = self.lines.len().saturating_sub(KEPT);
        self.lines.drain(..over);
        self.page.set(self.lines.iter().cloned().collect());
        true
    }
}

impl Screen for ActivityScreen {
    fn scope(&self) -> Scope {
        Scope::Activity
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        let follows = if self.page.follow { "  following" } else { "" };
        vec![Piece::new("weir's log", Role::Header), Piece::new(follows, Role::Dim)]
    }

    fn act(&mut self, action: Action, _cx: &Shared) -> Reply {
        if self.page.act(action) { Reply::Redraw } else { Reply::Pass }
    }

    fn query(&self) -> Option<&str> {
        Some(&self.query)
    }

    fn set_query(&mut self, query: &str, _cx: &Shared) -> Reply {
        query.clone_into(&mut self.query);
        self.page.search(query);
        Reply::Redraw
    }

    fn logged(&mut self, cx: &Shared) -> Reply {
        if self.read(cx) { Reply::Redraw } else { Reply::Stay }
    }

    fn copied(&self) -> Option<String> {
        Some(self.page.text())
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
