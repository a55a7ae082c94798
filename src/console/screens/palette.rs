//! The palette: every command, kind, theme and object, found by a few letters of it.

use std::sync::Arc;

use ratatui::layout::Rect;

use super::Screen;
use crate::base::{Id, State};
use crate::config::Key;
use crate::console::actions::{ACTIONS, Action, Scope, Tab};
use crate::console::look::{Role, THEMES};
use crate::console::message::{Answer, Open, Reply, Sand, Sieve, Sifted, Slot};
use crate::console::rows::Filter;
use crate::console::shared::Shared;
use crate::console::widgets::field::Field;
use crate::console::widgets::footer::{About, offered};
use crate::console::widgets::table::Scroll;
use crate::console::widgets::{Canvas, Piece};
use crate::kinds;

/// Objects shown at most.
const OBJECTS: usize = 30;

/// What there is to choose from.
pub struct Palette {
    field: Field,
    all: Vec<Choice>,
    /// Indexes into `all`, best first.
    found: Vec<usize>,
    ids: Arc<[Id]>,
    objects: Vec<Id>,
    at: usize,
    scroll: Scroll,
}

struct Choice {
    /// What is matched and shown first.
    name: String,
    doc: String,
    keys: String,
    reply: Reply,
}

impl Palette {
    pub fn new(cx: &Shared, below: About) -> Self {
        let mut all = Vec::new();
        for kind in kinds_of(cx) {
            all.push(kind);
        }
        let moves = [Action::Palette, Action::Up, Action::Down, Action::Backspace, Action::Accept, Action::Back];
        let about = About { subject: None, opens: true, ..below };
        let has = |view| below.subject.is_none_or(|(kind, _)| kind.views.contains(&view));
        for line in ACTIONS.iter().filter(|line| !moves.contains(&line.action) && !line.name.starts_with("kind-")) {
            let here = line.scopes.is_empty() || line.scopes.contains(&below.scope.name());
            let verb = match line.action {
                // What this kind does not have would only be in the way; a verb that is refused says why.
                Action::Show(Tab::View(view)) => has(view),
                action => matches!(action, Action::Ask(_) | Action::Show(_) | Action::Copy),
            };
            if here && (verb || offered(line.action, about, cx)) {
                let keys = cx.keys.of(below.scope, line.action).join("  ");
                let name = line.name.to_owned();
                all.push(Choice { name, doc: line.doc.into(), keys, reply: Reply::Act(line.action) });
            }
        }
        for (name, _) in THEMES {
            let reply = Reply::Theme((*name).to_owned());
            all.push(Choice {
                name: format!("theme {name}"),
                doc: "change the colours".into(),
                keys: String::new(),
                reply,
            });
        }
        let found = (0..all.len()).collect();
        let ids = cx.store.all().iter().map(|entry| entry.object.id.clone()).collect();
        Palette { field: Field::default(), all, found, ids, objects: Vec::new(), at: 0, scroll: Scroll::default() }
    }

    fn typed(&mut self) -> Reply {
        let query = self.field.text().trim().to_owned();
        let mut filter = Filter::new(&query, false);
        // Commands are matched as if they were objects: by name, loosely.
        let score = |(index, choice): (usize, &Choice)| {
            let exact = choice.name == query || choice.doc.split_whitespace().any(|word| word == query);
            let score = filter.score(&Id::new("", "", "", &choice.name), State::Ready);
            let score = score.or_else(|| exact.then_some(0))?;
            Some((score + if exact { 10_000 } else { 0 }, index))
        };
        let mut found: Vec<(u32, usize)> = self.all.iter().enumerate().filter_map(score).collect();
        if !query.is_empty() {
            found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        }
        self.found = found.into_iter().map(|(_, index)| index).collect();
        self.at = 0;
        if query.chars().count() < 2 {
            self.objects.clear();
            return Reply::Redraw;
        }
        let sand = Sand::Best(self.ids.clone(), OBJECTS);
        Reply::Many(vec![Reply::Redraw, Reply::Sift(Sieve { query, only_problems: false, sand })])
    }

    fn len(&self) -> usize {
        self.found.len() + self.objects.len()
    }

    fn accept(&self) -> Reply {
        let reply = match self.found.get(self.at) {
            Some(index) => self.all[*index].reply.clone(),
            None => match self.objects.get(self.at - self.found.len()) {
                Some(id) => Reply::Open(Open::Detail(id.clone(), Tab::Describe)),
                None => return Reply::Stay,
            },
        };
        Reply::Many(vec![Reply::Back, reply])
    }

    fn place(area: Rect) -> Rect {
        let width = area.width.min(84);
        let height = area.height.min(22);
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 4, width, height }
    }
}

/// A choice per kind: those that weir knows, then others that the cluster has.
fn kinds_of(cx: &Shared) -> Vec<Choice> {
    let known = kinds::ALL.iter().map(|kind| (kind.group.to_owned(), kind.kind.to_owned()));
    let others = cx.feeds.iter().map(|line| (line.group.to_string(), line.kind.to_string()));
    let others = others.filter(|(group, kind)| std::ptr::eq(kinds::of(group, kind), &kinds::generic::KIND));
    let choice = |(group, kind): (String, String)| {
        let about = kinds::of(&group, &kind);
        let place = kinds::NUMBERED.iter().position(|numbered| std::ptr::eq(*numbered, about));
        let keys = place.and_then(|index| u8::try_from(index + 1).ok());
        let keys = keys.map_or(Vec::new(), |number| cx.keys.of(Scope::Tree, Action::Kind(number)));
        let short = about.short_names.join(" ");
        let doc = format!("{}{}{}", short, if short.is_empty() { "" } else { "  " }, about.doc);
        let reply = Reply::Open(Open::List { group: group.into(), kind: kind.as_str().into() });
        let name = if about.plural.is_empty() { kind.to_lowercase() + "s" } else { about.plural.to_owned() };
        Choice { name, doc, keys: keys.join("  "), reply }
    };
    known.chain(others).map(choice).collect()
}

impl Screen for Palette {
    fn scope(&self) -> Scope {
        Scope::Palette
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        vec![Piece::new("commands", Role::Header)]
    }

    fn act(&mut self, action: Action, _cx: &Shared) -> Reply {
        match action {
            Action::Up => self.at = self.at.checked_sub(1).unwrap_or(self.len().saturating_sub(1)),
            Action::Down => self.at = if self.at + 1 < self.len() { self.at + 1 } else { 0 },
            Action::Accept => return self.accept(),
            Action::Back => return Reply::Back,
            action if self.field.act(action) => return self.typed(),
            _ => return Reply::Stay,
        }
        Reply::Redraw
    }

    fn key(&mut self, key: Key, _cx: &Shared) -> Reply {
        match key.typed() {
            Some(character) if self.field.push(character) => self.typed(),
            _ => Reply::Stay,
        }
    }

    fn paste(&mut self, text: &str, _cx: &Shared) -> Reply {
        self.field.paste(text);
        self.typed()
    }

    fn press(&mut self, _x: u16, y: u16, _cx: &Shared) -> Reply {
        let row = self.scroll.top + usize::from(y).saturating_sub(3);
        if y < 3 || row >= self.len() {
            return Reply::Stay;
        }
        self.at = row;
        self.accept()
    }

    fn answer(&mut self, _slot: Slot, answer: Answer, _cx: &Shared) -> Reply {
        let Answer::Sifted(Sifted::Best(objects)) = answer else { return Reply::Stay };
        self.objects = objects;
        Reply::Redraw
    }

    fn is_overlay(&self) -> bool {
        true
    }

    fn prepare(&mut self, _cx: &Shared, area: Rect) {
        let rows = usize::from(Palette::place(area).height.saturating_sub(4));
        self.at = self.at.min(self.len().saturating_sub(1));
        self.scroll.follow(self.at, self.len(), rows);
    }

    fn draw(&self, cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        let inside =
            canvas.boxed(Palette::place(area), &[Piece::new("commands, kinds, objects", Role::Title)], Role::Border);
        if inside.height < 2 {
            return;
        }
        self.field.draw(canvas, Rect { height: 1, ..inside }, ":");
        let rows = Rect { y: inside.y + 2, height: inside.height.saturating_sub(2), ..inside };
        if self.len() == 0 && rows.height > 0 {
            canvas.pieces(rows.x, rows.y, rows.width, &[Piece::new("nothing of that name", Role::Dim)]);
        }
        let wide = 24.min(rows.width / 2);
        for (row, y) in self.scroll.range(self.len(), usize::from(rows.height)).zip(rows.y..rows.bottom()) {
            let line = Rect { y, height: 1, ..rows };
            match self.found.get(row) {
                Some(index) => {
                    let choice = &self.all[*index];
                    canvas.pieces(rows.x, y, wide, &[Piece::new(&choice.name, Role::Strong)]);
                    let keys = [Piece::new(&choice.keys, Role::Key)];
                    let used = canvas.right(line, y, &keys);
                    let room = rows.width.saturating_sub(wide + used + 3);
                    canvas.pieces(rows.x + wide + 1, y, room, &[Piece::new(&choice.doc, Role::Hint)]);
                }
                None => {
                    let Some(id) = self.objects.get(row - self.found.len()) else { continue };
                    let state = cx.state(id);
                    let pieces =
                        [Piece::new(format!("{} ", state.sign()), state), Piece::new(id.to_string(), Role::TreeName)];
                    canvas.pieces(rows.x, y, rows.width, &pieces);
                }
            }
            if row == self.at {
                canvas.lay(line, Role::Cursor);
            }
        }
    }

    fn cursor(&self, area: Rect) -> Option<(u16, u16)> {
        let place = Palette::place(area);
        let typed = u16::try_from(crate::console::widgets::columns(self.field.text())).unwrap_or(0);
        let x = (place.x + 3).saturating_add(typed).min(place.right().saturating_sub(2));
        (place.height > 3).then_some((x, place.y + 1))
    }
}
