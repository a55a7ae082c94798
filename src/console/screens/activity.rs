//! Weir's own log, newest last: what its reconcilers do and did.

use std::collections::VecDeque;

use ratatui::layout::Rect;

use super::{Screen, inside};
use crate::console::actions::{Action, Scope};
use crate::console::look::Role;
use crate::console::message::Reply;
use crate::console::shared::Shared;
use crate::console::widgets::page::{Line, Page};
use crate::console::widgets::{Canvas, Piece};
use crate::store::{self, Level};

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

/// Lines of weir's log; with the object when they are about several.
pub(super) fn log_lines(lines: &[store::Line], with_object: bool) -> Vec<Line> {
    if lines.is_empty() {
        let text = "nothing yet: weir logs here what its own reconcilers do; other controllers log elsewhere";
        return vec![Line::new(text, Role::Dim)];
    }
    lines.iter().map(|line| log_line(line, with_object)).collect()
}

/// One line of weir's log.
fn log_line(line: &store::Line, with_object: bool) -> Line {
    let at = line.at.to_string();
    let clock = at.get(11..19).unwrap_or("?").to_owned();
    let role = match line.level {
        Level::Error => Role::LevelError,
        Level::Warn => Role::LevelWarn,
        Level::Info => Role::LevelInfo,
        Level::Debug | Level::Trace => Role::LevelDebug,
    };
    let mut pieces =
        vec![Piece::new(format!("{clock} "), Role::Dim), Piece::new(format!("{:<5} ", line.level.word()), role)];
    if let Some(id) = line.id.as_ref().filter(|_| with_object) {
        pieces.push(Piece::new(format!("{id} "), Role::Label));
    }
    pieces.push(Piece::text(line.message.clone(), role));
    Line { indent: 15, ..Line::of(pieces) }
}
