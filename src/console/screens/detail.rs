//! One object, page by page: describe, YAML, events, conditions, and weir's own log about it.

use std::collections::HashMap;

use ratatui::layout::Rect;

use super::Screen;
use super::activity::log_lines;
use super::pages::{conditions, description, event_lines, foreseen, history, painted, plain, refused};
use super::rows;
use crate::base::{Id, Stamp};
use crate::console::actions::{Action, Scope, Tab};
use crate::console::look::Role;
use crate::console::message::{Answer, Open, Reply, Say, Slot, Tone};
use crate::console::shared::{Shared, age_lasts};
use crate::console::widgets::page::{Line, Link, Page};
use crate::console::widgets::patch::PatchPage;
use crate::console::widgets::{Canvas, Piece};
use crate::kinds::{self, Verb, View};
use crate::store::Changes;
use crate::verbs::{self, EventLine, Patch, Query, Revision};

/// What one does with a patch: let it happen, hold it, take it along.
const PATCH_ACTIONS: &[Action] = &[
    Action::Demo,
    Action::Ask(Verb::Reconcile),
    Action::Ask(Verb::Suspend),
    Action::Ask(Verb::Resume),
    Action::Copy,
    Action::Write,
];

/// What a page is made of.
enum Sheet {
    Lines(Page),
    Patch(PatchPage),
}

impl Sheet {
    fn page(&self) -> &Page {
        match self {
            Sheet::Lines(page) => page,
            Sheet::Patch(patch) => patch.page(),
        }
    }

    fn page_mut(&mut self) -> &mut Page {
        match self {
            Sheet::Lines(page) => page,
            Sheet::Patch(patch) => patch.page_mut(),
        }
    }

    fn text(&self) -> String {
        match self {
            Sheet::Lines(page) => page.text(),
            Sheet::Patch(patch) => patch.copied(),
        }
    }
}

/// The object and its pages.
pub struct Detail {
    id: Id,
    tab: Tab,
    pages: HashMap<Tab, Sheet>,
    /// What a page says instead of its lines: that it is loading, or why it cannot.
    instead: HashMap<Tab, Vec<Line>>,
    query: String,
    /// What was fetched, by page, to colour it and to see that it changed.
    texts: HashMap<Tab, String>,
    events: Vec<EventLine>,
    revisions: Vec<Revision>,
    /// The revision to compare another with.
    marked: Option<i64>,
    due: Option<Stamp>,
}

impl Detail {
    pub fn new(id: Id, tab: Tab) -> Self {
        Detail {
            id,
            tab,
            pages: HashMap::new(),
            instead: HashMap::new(),
            query: String::new(),
            texts: HashMap::new(),
            events: Vec::new(),
            revisions: Vec::new(),
            marked: None,
            due: None,
        }
    }

    fn sheet(&mut self) -> &mut Sheet {
        let tab = self.tab;
        self.pages.entry(tab).or_insert_with(|| match tab {
            Tab::View(View::Diff) => Sheet::Patch(PatchPage::new(Vec::new(), Patch::default())),
            Tab::Logs => Sheet::Lines(Page::following(true)),
            _ => Sheet::Lines(Page::wrapping()),
        })
    }

    fn page(&mut self) -> &mut Page {
        self.sheet().page_mut()
    }

    /// The pages of this object's kind.
    fn tabs(&self) -> Vec<Tab> {
        Tab::of(kinds::of_id(&self.id)).collect()
    }

    /// What the line under the cursor leads to, other than here.
    fn link(&self) -> Option<&Link> {
        self.pages.get(&self.tab)?.page().link().filter(|link| !matches!(link, Link::Object(id) if *id == self.id))
    }

    /// Marks the revision under the cursor, or takes its mark away.
    fn mark(&mut self, cx: &Shared) -> Reply {
        let Some(Link::Revision(version)) = self.link().cloned() else { return Reply::Pass };
        self.marked = (self.marked != Some(version)).then_some(version);
        self.list_revisions(cx);
        Reply::Redraw
    }

    fn list_revisions(&mut self, cx: &Shared) {
        let key = |action: Action| cx.keys.of(Scope::Detail, action).into_iter().next().unwrap_or_default();
        let (open, mark) = (key(Action::Open), key(Action::Mark));
        let hint = match self.marked {
            None => format!("{open}: what a revision changed   {mark}: mark it to compare another with"),
            Some(marked) => format!("{open}: what differs from revision {marked}   {mark}: take the mark away"),
        };
        let lines = history(&self.revisions, self.marked, cx.now, &hint);
        self.page().set(lines);
        self.page().start_at_link();
    }

    fn follow(&self, link: Link) -> Reply {
        match link {
            Link::Object(id) => Reply::Open(Open::Detail(id, Tab::Describe)),
            Link::Revision(to) => {
                let from = self.marked.filter(|marked| *marked != to);
                Reply::Open(Open::Compare { id: self.id.clone(), from, to })
            }
        }
    }

    fn show(&mut self, tab: Tab, cx: &Shared) -> Reply {
        if !self.tabs().contains(&tab) {
            let text = format!("{} has no {}", self.id, tab.title().to_lowercase());
            return Reply::Say(Say::new(Tone::Note, text));
        }
        self.tab = tab;
        if !self.pages.contains_key(&tab) {
            self.page();
            self.instead.insert(tab, vec![Line::new("loading …", Role::Progressing)]);
        }
        let query = self.query.clone();
        self.page().search(&query);
        self.ask(cx)
    }

    /// Asks for what the page shows; the conditions are in the picture already.
    fn ask(&mut self, cx: &Shared) -> Reply {
        let query = match self.tab {
            Tab::Describe => Query::Describe(self.id.clone()),
            Tab::View(view) => Query::View(view, self.id.clone()),
            Tab::Yaml => Query::Yaml(self.id.clone()),
            Tab::Events => Query::Events(Some(self.id.clone())),
            Tab::Logs => Query::Logs(Some(self.id.clone())),
            Tab::Conditions => {
                self.set(conditions(&self.id, cx));
                return Reply::Redraw;
            }
        };
        Reply::Many(vec![Reply::Redraw, Reply::Fetch(Slot::Page(self.tab), query)])
    }

    fn set(&mut self, lines: Vec<Line>) {
        self.instead.remove(&self.tab);
        self.page().set(lines);
    }

    fn fetched(&mut self, tab: Tab, answer: Result<verbs::Answer, verbs::Refusal>, cx: &Shared) -> Reply {
        let current = std::mem::replace(&mut self.tab, tab);
        let mut reply = Reply::Redraw;
        match answer {
            Err(refusal) => drop(self.instead.insert(tab, refused(&refusal))),
            Ok(verbs::Answer::Description(sections)) => self.set(description(&sections)),
            Ok(verbs::Answer::Yaml(yaml)) if self.texts.get(&tab) != Some(&yaml) || self.instead.contains_key(&tab) => {
                self.set(plain(&yaml));
                self.texts.insert(tab, yaml.clone());
                reply = Reply::Many(vec![Reply::Redraw, Reply::Paint(tab, yaml)]);
            }
            Ok(verbs::Answer::Preview(preview)) => {
                self.instead.remove(&tab);
                if let Sheet::Patch(patch) = self.sheet() {
                    let nothing = "the next reconciliation would change nothing";
                    patch.copies(preview.commit.as_ref().map(|commit| commit.patch.clone()));
                    patch.set(foreseen(&preview, "would change", nothing), preview.patch);
                    reply = Reply::Many(vec![Reply::Redraw, Reply::Paint(tab, patch.text())]);
                }
            }
            Ok(verbs::Answer::Events(events)) => {
                self.set(event_lines(&events, &self.id, cx.now));
                self.events = events;
            }
            Ok(verbs::Answer::History(revisions)) => {
                self.instead.remove(&tab);
                self.revisions = revisions;
                self.list_revisions(cx);
            }
            Ok(verbs::Answer::Text(text)) if text.trim().is_empty() => {
                self.set(vec![Line::new(format!("there are no {}", tab.title().to_lowercase()), Role::Dim)]);
            }
            Ok(verbs::Answer::Text(text)) => self.set(plain(&text)),
            Ok(verbs::Answer::Logs(lines)) => self.set(log_lines(&lines, false)),
            Ok(_) => reply = Reply::Stay,
        }
        self.tab = current;
        reply
    }
}

impl Screen for Detail {
    fn scope(&self) -> Scope {
        Scope::Detail
    }

    fn title(&self, cx: &Shared) -> Vec<Piece> {
        let entry = cx.store.get(&self.id);
        let mut title = vec![Piece::new(self.id.to_string(), Role::Title), Piece::new("  ", Role::Header)];
        title.push(rows::status(entry.as_deref(), &self.id, cx));
        title
    }

    fn opened(&mut self, cx: &Shared) -> Reply {
        self.show(self.tab, cx)
    }

    fn act(&mut self, action: Action, cx: &Shared) -> Reply {
        let tabs = self.tabs();
        let at = tabs.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        match action {
            Action::Show(tab) => self.show(tab, cx),
            Action::NextTab => self.show(tabs[(at + 1) % tabs.len()], cx),
            Action::PreviousTab => self.show(tabs[(at + tabs.len() - 1) % tabs.len()], cx),
            Action::Open => match self.link().cloned() {
                Some(link) => self.follow(link),
                None => Reply::Stay,
            },
            Action::Mark => self.mark(cx),
            action => {
                let acted = match self.sheet() {
                    Sheet::Lines(page) => page.act(action),
                    Sheet::Patch(patch) => patch.act(action),
                };
                if acted { Reply::Redraw } else { Reply::Pass }
            }
        }
    }

    fn mostly(&self) -> &'static [Action] {
        match self.pages.get(&self.tab) {
            Some(Sheet::Patch(_)) => PATCH_ACTIONS,
            _ => &[],
        }
    }

    fn opens(&self) -> bool {
        self.link().is_some()
    }

    fn press(&mut self, x: u16, y: u16, cx: &Shared) -> Reply {
        if y > 0 {
            return Reply::Stay;
        }
        let mut left = 1;
        for tab in self.tabs() {
            let right = left + tab.title().len() as u16 + 2;
            if (left..right).contains(&x) {
                return self.show(tab, cx);
            }
            left = right;
        }
        Reply::Stay
    }

    fn query(&self) -> Option<&str> {
        Some(&self.query)
    }

    fn set_query(&mut self, query: &str, _cx: &Shared) -> Reply {
        query.clone_into(&mut self.query);
        self.page().search(query);
        Reply::Redraw
    }

    fn changed(&mut self, changes: &Changes, cx: &Shared) -> Reply {
        let is_event = |id: &Id| std::ptr::eq(kinds::of_id(id), &kinds::event::KIND);
        let event = changes.ids.iter().any(|id| id.namespace == self.id.namespace && is_event(id));
        match changes.ids.contains(&self.id) || (event && self.tab == Tab::Events) {
            true => self.ask(cx),
            false => Reply::Stay,
        }
    }

    fn logged(&mut self, cx: &Shared) -> Reply {
        if self.tab == Tab::Logs { self.ask(cx) } else { Reply::Stay }
    }

    fn answer(&mut self, slot: Slot, answer: Answer, cx: &Shared) -> Reply {
        match (slot, answer) {
            (Slot::Page(tab), Answer::Fetched(answer)) => self.fetched(tab, answer, cx),
            (Slot::Paint(tab), Answer::Painted(paint)) => {
                match self.pages.get_mut(&tab) {
                    Some(Sheet::Patch(patch)) => patch.painted(paint),
                    Some(Sheet::Lines(page)) => {
                        page.set(painted(self.texts.get(&tab).map_or("", String::as_str), &paint));
                    }
                    None => {}
                }
                Reply::Redraw
            }
            _ => Reply::Stay,
        }
    }

    fn subject(&self) -> Option<&Id> {
        Some(&self.id)
    }

    fn copied(&self) -> Option<String> {
        self.pages.get(&self.tab).map(Sheet::text)
    }

    fn prepare(&mut self, cx: &Shared, area: Rect) {
        if self.tab == Tab::Events && !self.events.is_empty() {
            let lines = event_lines(&self.events, &self.id, cx.now);
            self.page().set(lines);
            let ages = self.events.iter().filter_map(|event| event.last_seen);
            self.due = ages.map(|at| Stamp(cx.now.0 + age_lasts(at, cx.now))).min();
        } else {
            self.due = None;
        }
        match self.sheet() {
            Sheet::Lines(page) => page.prepare(page_area(area)),
            Sheet::Patch(patch) => patch.prepare(&cx.look, page_area(area)),
        }
    }

    fn draw(&self, _cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        let mut x = area.x + 1;
        for tab in self.tabs() {
            let role = if tab == self.tab { Role::TabActive } else { Role::Tab };
            let room = area.right().saturating_sub(x);
            x += canvas.pieces(x, area.y, room, &[Piece::new(tab.title(), role)]) + 2;
        }
        let Some(page) = self.pages.get(&self.tab).map(Sheet::page) else { return };
        let state = match (page.matches(), page.follow) {
            (Some((at, of)), _) => format!("match {at} of {of}"),
            (None, true) => "following".to_owned(),
            (None, false) => String::new(),
        };
        canvas.right(area, area.y, &[Piece::new(format!(" {state} "), Role::Dim)]);
        let inside = page_area(area);
        match self.instead.get(&self.tab) {
            Some(lines) => {
                for (line, y) in lines.iter().zip(inside.y..inside.bottom()) {
                    canvas.pieces(inside.x, y, inside.width, &line.pieces);
                }
            }
            None => page.draw(canvas, inside),
        }
    }

    fn due(&self) -> Option<Stamp> {
        self.due
    }
}

fn page_area(area: Rect) -> Rect {
    let tabs = if area.height > 2 { 2 } else { 1.min(area.height) };
    Rect {
        x: area.x + 1.min(area.width),
        y: area.y + tabs,
        width: area.width.saturating_sub(2),
        height: area.height - tabs,
    }
}
