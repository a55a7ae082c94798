//! The objects of one kind, with the kind's own columns: also of kinds that weir knows nothing else about.

use std::sync::Arc;

use ratatui::layout::Rect;

use super::Screen;
use super::columns::{brief, marked};
use super::rows::{self, Parts, STATUS, Told};
use crate::base::{Age, Id, Stamp, State};
use crate::console::actions::{Action, Scope, Tab};
use crate::console::look::Role;
use crate::console::message::{Answer, By, Open, Order, Reply, Sieve, Sifted, Slot};
use crate::console::rows::{Cells, Counts, Filter, Sorted, Work};
use crate::console::shared::Shared;
use crate::console::widgets::table::{self, Scroll, Wish};
use crate::console::widgets::{Canvas, Piece, columns};
use crate::kinds::{self, Kind};
use crate::store::{Changes, Entry};

/// The list and where a person stands in it.
pub struct List {
    group: Arc<str>,
    kind: Arc<str>,
    known: &'static Kind,
    sorted: Sorted,
    cells: Cells,
    /// Bound to the object, never to a row.
    at: Option<Id>,
    row: usize,
    lost: bool,
    scroll: Scroll,
    height: usize,
    columns: Vec<Shown>,
    wishes: Vec<Wish>,
    marks: Vec<Vec<Piece>>,
    told: Told,
    due: Option<Stamp>,
}

/// What a column of the list shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Namespace,
    Name,
    Status,
    /// A column of the kind, by index.
    Own(usize),
    Age,
}

impl Shown {
    fn is(self, column: &kinds::Column, kind: &Kind) -> bool {
        matches!(self, Shown::Own(index) if kind.columns[index].name == column.name)
    }
}

impl List {
    pub fn new(cx: &Shared, group: &str, kind: &str) -> Self {
        let known = kinds::of(group, kind);
        // What happened is asked for by when.
        let order = if known.columns.iter().any(kinds::Column::is_subject) {
            Order { by: By::Age, reverse: false }
        } else {
            Order::default()
        };
        let sorted = Sorted::new(&cx.store, group, kind, order);
        let (columns, wishes) = columns_of(known).into_iter().unzip();
        List {
            group: group.into(),
            kind: kind.into(),
            known,
            at: sorted.rows().first().map(|entry| entry.object.id.clone()),
            sorted,
            cells: Cells::default(),
            row: 0,
            lost: false,
            scroll: Scroll::default(),
            height: 1,
            columns,
            wishes,
            marks: Vec::new(),
            told: Told::default(),
            due: None,
        }
    }

    fn go(&mut self, row: usize) -> Reply {
        self.row = row.min(self.sorted.rows().len().saturating_sub(1));
        self.at = self.sorted.rows().get(self.row).map(|entry| entry.object.id.clone());
        self.lost = false;
        Reply::Redraw
    }

    fn settle(&mut self, sieve: Option<Sieve>) -> Reply {
        let row = self.at.as_ref().and_then(|id| self.sorted.row_of(id)).unwrap_or(self.row);
        self.go(row);
        sieve.map_or(Reply::Redraw, |sieve| Reply::Many(vec![Reply::Redraw, Reply::Sift(sieve)]))
    }

    fn sort(&mut self, order: Order) -> Reply {
        let sieve = self.sorted.set_order(order);
        self.settle(sieve)
    }

    fn text(&self, shown: Shown, entry: &Entry, cx: &Shared) -> Piece {
        let object = &entry.object;
        match shown {
            Shown::Namespace => Piece::new(&object.id.namespace, Role::TreeKind),
            Shown::Name => Piece::new(&object.id.name, Role::TreeName),
            Shown::Status => rows::status(Some(entry), &object.id, cx),
            Shown::Own(index) => {
                let cells = self.cells.get(&object.id);
                let calm = self.known.columns[index].name == "MESSAGE" && entry.health.state == State::Ready;
                let text = cells.and_then(|cells| cells.texts.get(index)).cloned().unwrap_or_default();
                let text = if self.known.columns[index].is_gist() { brief(&text) } else { text };
                Piece::text(text, if calm { Role::Dim } else { Role::Text })
            }
            Shown::Age => {
                Piece::new(object.created.map_or(String::new(), |at| Age::between(at, cx.now).to_string()), Role::Dim)
            }
        }
    }
}

/// Namespace, name and status first, age before the message, and what the kind brings in between.
fn columns_of(kind: &'static Kind) -> Vec<(Shown, Wish)> {
    let wish = |title, wanted, least, greedy, rank| Wish { title, wanted, least, greedy, rank };
    let mut columns = Vec::new();
    let told = kind.columns.iter().any(kinds::Column::is_subject);
    if kind.namespaced {
        columns.push((Shown::Namespace, wish("NAMESPACE", 9, 8, false, 120)));
    }
    if !told {
        columns.push((Shown::Name, wish("NAME", 4, 14, false, 255)));
    }
    columns.push((Shown::Status, wish("STATUS", STATUS, STATUS, false, 200)));
    // Sign and word say already what these say; a Deployment's READY counts its pods and stays.
    let said = |name: &str| {
        matches!(name, "STATUS" | "MESSAGE")
            || (kind.is_custom() && matches!(name, "READY" | "SUSPENDED"))
            || (told && name == "TYPE")
    };
    let own = kind.columns.iter().enumerate().filter(|(_, column)| !said(column.name));
    for (index, column) in own {
        let least = match column.name {
            "IMAGE" => 13,
            _ if column.is_subject() => 20,
            "SOURCE" => 16,
            "REASON" => 12,
            _ if column.is_gist() => 13,
            // A moment.
            name if name.starts_with("LAST ") => 20,
            name => u16::try_from(name.len()).unwrap_or(12).max(5),
        };
        let rank = if column.wide { 30 } else { 110 };
        let heading = u16::try_from(column.name.len()).unwrap_or(least);
        columns.push((Shown::Own(index), wish(column.name, heading, least, false, rank)));
    }
    columns.push((Shown::Age, wish("AGE", 5, 5, false, if told { 105 } else { 60 })));
    if let Some(index) = kind.columns.iter().position(|column| column.name == "MESSAGE") {
        columns.push((Shown::Own(index), wish("MESSAGE", 200, 14, true, 100)));
    }
    columns
}

impl Screen for List {
    fn scope(&self) -> Scope {
        Scope::List
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        let (shown, all) = (self.sorted.rows().len(), self.sorted.total());
        let count = if shown == all { format!(" {all}") } else { format!(" {shown} of {all}") };
        let mut title = vec![Piece::new(&*self.kind, Role::Header), Piece::new(count, Role::TreeCount)];
        let Order { by, reverse } = self.sorted.order();
        let by = match by {
            By::Name => "",
            By::Status => "  by status",
            By::Age => "  by age",
        };
        title.push(Piece::new(format!("{by}{}", if reverse { "  reversed" } else { "" }), Role::Header));
        if self.sorted.only_problems() {
            title.push(Piece::new("  only problems", Role::Warning));
        }
        title
    }

    fn act(&mut self, action: Action, _cx: &Shared) -> Reply {
        let page = self.height.max(2) - 1;
        match action {
            Action::Up => self.go(self.row.saturating_sub(1)),
            Action::Down => self.go(self.row + 1),
            Action::PageUp => self.go(self.row.saturating_sub(page)),
            Action::PageDown => self.go(self.row + page),
            Action::HalfPageUp => self.go(self.row.saturating_sub(page / 2)),
            Action::HalfPageDown => self.go(self.row + page / 2),
            Action::First => self.go(0),
            Action::Last => self.go(usize::MAX),
            Action::Open => match &self.at {
                Some(id) if !self.lost => Reply::Open(Open::Detail(id.clone(), Tab::Describe)),
                _ => Reply::Stay,
            },
            Action::NextProblem | Action::PreviousProblem => {
                let row = self.sorted.problem_after(self.row, action == Action::NextProblem);
                row.map_or(Reply::Stay, |row| self.go(row))
            }
            Action::OnlyProblems => {
                let query = self.sorted.query().to_owned();
                let sieve = self.sorted.set_filter(&query, !self.sorted.only_problems());
                self.settle(sieve)
            }
            Action::Sort => {
                let by = match self.sorted.order().by {
                    By::Name => By::Status,
                    By::Status => By::Age,
                    By::Age => By::Name,
                };
                self.sort(Order { by, reverse: false })
            }
            Action::Reverse => self.sort(Order { reverse: !self.sorted.order().reverse, ..self.sorted.order() }),
            Action::Back if self.sorted.only_problems() => {
                let sieve = self.sorted.set_filter("", false);
                self.settle(sieve)
            }
            _ => Reply::Pass,
        }
    }

    fn press(&mut self, _x: u16, y: u16, cx: &Shared) -> Reply {
        let Some(line) = usize::from(y).checked_sub(1) else { return Reply::Stay };
        match self.scroll.top + line {
            row if row == self.row => self.act(Action::Open, cx),
            row if line < self.height => self.go(row),
            _ => Reply::Stay,
        }
    }

    fn query(&self) -> Option<&str> {
        Some(self.sorted.query())
    }

    fn set_query(&mut self, query: &str, _cx: &Shared) -> Reply {
        let sieve = self.sorted.set_filter(query, self.sorted.only_problems());
        self.settle(sieve)
    }

    fn changed(&mut self, changes: &Changes, cx: &Shared) -> Reply {
        let mine = |id: &&Id| id.group == self.group && id.kind == self.kind;
        let ids: Vec<&Id> = changes.ids.iter().filter(mine).collect();
        let news = self.sorted.apply(&cx.store, ids.into_iter());
        match self.at.as_ref().map(|id| self.sorted.row_of(id)) {
            Some(Some(row)) => {
                self.scroll.top = (self.scroll.top + row).saturating_sub(self.row);
                self.row = row;
            }
            Some(None) => self.lost = true,
            None => drop(self.go(0)),
        }
        if news || changes.feeds { Reply::Redraw } else { Reply::Stay }
    }

    fn answer(&mut self, _slot: Slot, answer: Answer, cx: &Shared) -> Reply {
        let Answer::Sifted(Sifted::Entries(rows)) = answer else { return Reply::Stay };
        self.sorted.sifted(&cx.store, rows);
        self.settle(None)
    }

    fn reveal(&mut self, id: &Id, _cx: &Shared) -> Reply {
        self.sorted.row_of(id).map_or(Reply::Stay, |row| self.go(row))
    }

    fn subject(&self) -> Option<&Id> {
        self.at.as_ref()
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn totals(&self) -> Option<Counts> {
        Some(self.sorted.counts())
    }

    fn prepare(&mut self, cx: &Shared, area: Rect) {
        let Parts { rows: at, .. } = rows::parts(area);
        self.height = usize::from(at.height);
        let count = self.sorted.rows().len();
        self.row = self.row.min(count.saturating_sub(1));
        self.scroll.follow(self.row, count, self.height);
        let visible = &self.sorted.rows()[self.scroll.range(count, self.height)];
        let shown = |column: &kinds::Column| self.columns.iter().any(|shown| shown.is(column, self.known));
        self.cells.ensure(visible.iter(), shown);
        self.due = visible.iter().filter_map(|entry| rows::due(entry.object.created, cx.now)).min();
        let mut filter = Some(Filter::new(self.sorted.query(), false)).filter(|filter| !filter.is_empty());
        let mut marks = |name: &str| filter.as_mut().map(|filter| filter.marks(name)).unwrap_or_default();
        let marked = |entry: &Arc<Entry>| marked(&entry.object.id.name, &marks(&entry.object.id.name));
        self.marks = visible.iter().map(marked).collect();
        for (index, shown) in self.columns.iter().enumerate().filter(|(_, shown)| **shown != Shown::Status) {
            if self.wishes[index].greedy {
                continue;
            }
            let widest =
                visible.iter().map(|entry| columns(self.text(*shown, entry, cx).text.as_str())).max().unwrap_or(0);
            let most = if matches!(shown, Shown::Name | Shown::Namespace) { area.width / 3 } else { 40 };
            let widest = u16::try_from(widest).unwrap_or(most).min(most.max(8));
            self.wishes[index].wanted = self.wishes[index].wanted.max(widest);
        }
        self.told = match &self.at {
            Some(id) => rows::tell(id, cx.store.get(id), cx, &self.told),
            None => Told::default(),
        };
    }

    fn draw(&self, cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        let parts = rows::parts(area);
        if self.sorted.rows().is_empty() {
            let mut lines = rows::why_empty(cx, &[(&self.group, &self.kind)]);
            if lines.is_empty() {
                let text = match (self.sorted.total(), self.sorted.only_problems()) {
                    (0, _) => format!("there is no {}", self.kind),
                    (_, true) => format!("no {} needs you", self.kind),
                    _ => format!("no {} matches {:?}", self.kind, self.sorted.query()),
                };
                lines.push((text, Role::Dim));
            }
            return rows::draw_empty(canvas, area, &lines);
        }
        let places = table::place(&self.wishes, parts.rows.width.saturating_sub(2));
        let inside = |at: Rect| Rect { x: at.x + 1.min(at.width), width: at.width.saturating_sub(2), ..at };
        if parts.headings.height > 0 {
            table::headings(canvas, inside(parts.headings), &self.wishes, &places);
        }
        let visible = self.scroll.range(self.sorted.rows().len(), self.height);
        for ((row, marks), y) in visible.zip(&self.marks).zip(parts.rows.y..parts.rows.bottom()) {
            let Some(entry) = self.sorted.rows().get(row) else { continue };
            let at = Rect { y, height: 1, ..parts.rows };
            for (shown, place) in self.columns.iter().zip(&places) {
                let Some(place) = place else { continue };
                let x = inside(at).x + place.x;
                match shown {
                    Shown::Name => drop(canvas.pieces(x, y, place.width, marks)),
                    shown => drop(canvas.pieces(x, y, place.width, &[self.text(*shown, entry, cx)])),
                }
            }
            if row == self.row {
                canvas.lay(at, Role::Cursor);
            }
        }
        rows::draw_pane(canvas, &parts, &self.told, self.lost);
    }

    fn spare(&self, area: Rect) -> Rect {
        rows::parts(area).rows
    }

    fn due(&self) -> Option<Stamp> {
        self.due
    }

    fn work(&self) -> Work {
        Work { cells: self.cells.formatted, rows: self.sorted.touched, frames: 0 }
    }
}
