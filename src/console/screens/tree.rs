//! Home: the live tree. Sources, what is built from them, and what that owns, with health, revision, age and message.

use ratatui::layout::Rect;

use super::Screen;
use super::columns::{BROAD, Column, NAMESPACED, ROOMY, after, brief, columns_at, counts, marked};
use super::rows::{self, Told};
use crate::base::{Age, Id, Stamp, State};
use crate::console::actions::{Action, Scope, Tab};
use crate::console::look::Role;
use crate::console::message::{Answer, Open, Reply, Sieve, Sifted, Slot};
use crate::console::rows::{Cells, Counts, Forest, Row, Spot, Work};
use crate::console::shared::Shared;
use crate::console::widgets::table::{self, Scroll, Wish};
use crate::console::widgets::{Canvas, Piece, columns, width as pieces_width};
use crate::kinds::{self, Family};
use crate::store::Changes;

/// The tree and where a person stands in it.
pub struct Tree {
    forest: Forest,
    cells: Cells,
    /// Bound to the object, never to a row: re-sorting cannot change what a key is meant for.
    spot: Option<Spot>,
    row: usize,
    /// The object under the cursor went away by itself.
    lost: bool,
    scroll: Scroll,
    height: usize,
    width: u16,
    columns: Vec<Column>,
    wishes: Vec<Wish>,
    /// What the rows in view say besides their cells.
    names: Vec<Vec<Piece>>,
    told: Told,
    due: Option<Stamp>,
}

impl Tree {
    pub fn new(cx: &Shared) -> Self {
        let forest = Forest::new(&cx.store);
        Tree {
            spot: forest.spot(0),
            forest,
            cells: Cells::default(),
            row: 0,
            lost: false,
            scroll: Scroll::default(),
            height: 1,
            width: 0,
            columns: Vec::new(),
            wishes: Vec::new(),
            names: Vec::new(),
            told: Told::default(),
            due: None,
        }
    }

    fn go(&mut self, row: usize) -> Reply {
        self.row = row.min(self.forest.len().saturating_sub(1));
        self.spot = self.forest.spot(self.row);
        self.lost = false;
        Reply::Redraw
    }

    fn go_to(&mut self, spot: Option<Spot>) -> Reply {
        let row = spot.and_then(|spot| self.forest.row_of(&spot));
        row.map_or(Reply::Stay, |row| self.go(row))
    }

    /// After a person changed what is shown: the same object if it is still there, or the row that took its place.
    fn settle(&mut self, sieve: Option<Sieve>) -> Reply {
        let row = self.spot.as_ref().and_then(|spot| self.forest.row_of(spot)).unwrap_or(self.row);
        self.go(row);
        sieve.map_or(Reply::Redraw, |sieve| Reply::Many(vec![Reply::Redraw, Reply::Sift(sieve)]))
    }

    fn open(&mut self, open: bool) -> Reply {
        let row = self.forest.row(self.row);
        let (unfolded, has_children) = row.map_or((false, false), |row| (row.unfolded, row.has_children));
        match (open, unfolded) {
            (true, false) if has_children => drop(self.forest.set_open(self.row, true)),
            (true, true) => return self.go(self.row + 1),
            (false, true) => drop(self.forest.set_open(self.row, false)),
            (false, false) => return self.forest.parent_row(self.row).map_or(Reply::Stay, |row| self.go(row)),
            _ => return Reply::Stay,
        }
        self.settle(None)
    }

    fn name(&mut self, row: usize, width: u16) -> Vec<Piece> {
        let Some(shown) = self.forest.row(row) else { return Vec::new() };
        let same_namespace = shown.parent.is_some_and(|parent| parent.namespace == shown.id.namespace);
        let fold = match (shown.has_children, shown.unfolded) {
            (true, true) => "▾ ",
            (true, false) => "▸ ",
            _ if shown.link => "→ ",
            _ => "  ",
        };
        // Where columns are dear, the short names that fingers know.
        let short = kinds::of_id(shown.id).short_names.first().filter(|_| width < ROOMY);
        let kind = short.map_or(&*shown.id.kind, |short| short);
        let mut pieces = vec![
            Piece::new("  ".repeat(shown.depth.into()), Role::TreeLine),
            Piece::new(fold, Role::TreeLine),
            Piece::new(format!("{kind} "), Role::TreeKind),
        ];
        let id = shown.id.clone();
        let mut rest = if shown.unfolded { Vec::new() } else { counts(&shown.below) };
        if width >= BROAD {
            rest.extend(after(shown.entry.map(AsRef::as_ref)));
        }
        // The pane names the whole object; where there is no room, the name itself comes first.
        if !id.namespace.is_empty() && !same_namespace && width >= NAMESPACED {
            pieces.push(Piece::new(format!("{}/", id.namespace), Role::TreeKind));
        }
        let marks = self.forest.marks(&id.name);
        pieces.extend(marked(&id.name, &marks));
        pieces.extend(rest);
        pieces
    }

    fn cell(&self, column: Column, row: &Row<'_>, cx: &Shared) -> Piece {
        let entry = row.entry.map(AsRef::as_ref);
        let revision = || {
            let cells = self.cells.get(row.id);
            let text = cells.and_then(|cells| cells.gist()).map(brief).unwrap_or_default();
            Piece::text(text, Role::Text)
        };
        let role = if row.state == State::Ready { Role::Dim } else { row.state.into() };
        let message = || Piece::text(rows::message(entry, row.id, cx), role);
        match column {
            Column::Name => Piece::new("", Role::Text),
            Column::Status => rows::status(entry, row.id, cx),
            Column::Revision => revision(),
            Column::Age => {
                let created = entry.and_then(|entry| entry.object.created);
                Piece::new(created.map_or(String::new(), |at| Age::between(at, cx.now).to_string()), Role::Dim)
            }
            Column::Message => message(),
            // Well: what runs. Not well: why.
            // And who reconciled without anything to name says so in words.
            Column::Detail => match revision() {
                _ if row.state != State::Ready => message(),
                empty if empty.text.as_str().is_empty() && kinds::of_id(row.id).is_custom() => message(),
                revision => revision,
            },
        }
    }

    fn draw_nothing(&self, cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        if !self.forest.query().is_empty() || self.forest.only_problems() {
            let text = match self.forest.only_problems() {
                true => "nothing needs you here: no object is failed, waiting or unknown".to_owned(),
                false => format!("nothing matches {:?}", self.forest.query()),
            };
            return rows::draw_empty(canvas, area, &[(text, Role::Dim)]);
        }
        let trunk = kinds::ALL.iter().filter(|kind| matches!(kind.family, Family::Source | Family::Deployer));
        let trunk: Vec<(&str, &str)> = trunk.map(|kind| (kind.group, kind.kind)).collect();
        let mut lines = rows::why_empty(cx, &trunk);
        if lines.is_empty() {
            lines = vec![
                ("There are no sources and nothing is deployed from Git yet.".into(), Role::Text),
                (String::new(), Role::Text),
                ("weir create source git NAME --url URL --branch main".into(), Role::Key),
                ("weir create kustomization NAME --source GitRepository/NAME --path ./".into(), Role::Key),
            ];
        }
        rows::draw_empty(canvas, area, &lines);
    }
}

impl Screen for Tree {
    fn scope(&self) -> Scope {
        Scope::Tree
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        let mut title = vec![Piece::new("tree", Role::Header)];
        if self.forest.only_problems() {
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
            Action::Open => match &self.spot {
                Some(spot) if !self.lost => Reply::Open(Open::Detail(spot.id.clone(), Tab::Describe)),
                _ => Reply::Stay,
            },
            Action::Toggle => {
                let unfolded = self.forest.row(self.row).is_some_and(|row| row.unfolded);
                self.forest.set_open(self.row, !unfolded);
                self.settle(None)
            }
            Action::Expand => self.open(true),
            Action::Collapse => self.open(false),
            Action::ExpandAll | Action::CollapseAll => {
                self.forest.set_all_open(action == Action::ExpandAll);
                self.settle(None)
            }
            Action::NextProblem | Action::PreviousProblem => {
                let spot = self.forest.problem_after(self.row, action == Action::NextProblem);
                self.go_to(spot)
            }
            Action::OnlyProblems => {
                let query = self.forest.query().to_owned();
                let sieve = self.forest.set_filter(&query, !self.forest.only_problems());
                self.settle(sieve)
            }
            Action::Back if self.forest.only_problems() => {
                let sieve = self.forest.set_filter("", false);
                self.settle(sieve)
            }
            _ => Reply::Pass,
        }
    }

    fn press(&mut self, _x: u16, y: u16, cx: &Shared) -> Reply {
        let Some(line) = usize::from(y).checked_sub(1) else { return Reply::Stay };
        match self.scroll.top + line {
            row if row == self.row => self.act(Action::Toggle, cx),
            row if line < self.height => self.go(row),
            _ => Reply::Stay,
        }
    }

    fn query(&self) -> Option<&str> {
        Some(self.forest.query())
    }

    fn set_query(&mut self, query: &str, _cx: &Shared) -> Reply {
        // Other rows, other widths.
        self.width = 0;
        let sieve = self.forest.set_filter(query, self.forest.only_problems());
        let reply = self.settle(sieve);
        // The next key is meant for what was found, not for what it hangs below.
        match self.forest.hit_from(self.row) {
            Some(row) => Reply::Many(vec![self.go(row), reply]),
            None => reply,
        }
    }

    fn changed(&mut self, changes: &Changes, cx: &Shared) -> Reply {
        let news = self.forest.apply(&cx.store, changes.ids.iter());
        match &self.spot {
            Some(spot) => match self.forest.row_of(spot) {
                Some(row) => {
                    // What came above pushes the view along: the eye stays on its line.
                    self.scroll.top = (self.scroll.top + row).saturating_sub(self.row);
                    self.row = row;
                }
                None => self.lost = true,
            },
            None => drop(self.go(0)),
        }
        if news || changes.feeds { Reply::Redraw } else { Reply::Stay }
    }

    fn answer(&mut self, _slot: Slot, answer: Answer, cx: &Shared) -> Reply {
        let Answer::Sifted(Sifted::Places(hits)) = answer else { return Reply::Stay };
        self.forest.sifted(&cx.store, &hits);
        let reply = self.settle(None);
        self.forest.hit_from(self.row).map_or(reply, |row| self.go(row))
    }

    fn reveal(&mut self, id: &Id, _cx: &Shared) -> Reply {
        let spot = self.forest.reveal(id);
        self.go_to(spot)
    }

    fn subject(&self) -> Option<&Id> {
        self.spot.as_ref().map(|spot| &spot.id)
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn totals(&self) -> Option<Counts> {
        Some(self.forest.totals())
    }

    fn prepare(&mut self, cx: &Shared, area: Rect) {
        let parts = rows::parts(area);
        let width = parts.rows.width.saturating_sub(2);
        if self.width != width {
            self.width = width;
            (self.columns, self.wishes) = columns_at(width);
        }
        self.height = usize::from(parts.rows.height);
        self.row = self.row.min(self.forest.len().saturating_sub(1));
        self.scroll.follow(self.row, self.forest.len(), self.height);
        let visible = self.scroll.range(self.forest.len(), self.height);
        self.names = visible.clone().map(|row| self.name(row, width)).collect();
        let shown: Vec<_> = visible.filter_map(|row| self.forest.row(row)).collect();
        let entries = shown.iter().filter_map(|row| row.entry);
        self.cells.ensure(entries.clone(), kinds::Column::is_gist);
        self.due = entries.filter_map(|entry| rows::due(entry.object.created, cx.now)).min();
        // Columns only grow while a size lasts, so that nothing jumps as one scrolls.
        let widest = self.names.iter().map(|pieces| pieces_width(pieces)).max().unwrap_or(0);
        let mut grow = vec![(Column::Name, widest, width / 2)];
        let revisions = shown.iter().map(|row| columns(self.cell(Column::Revision, row, cx).text.as_str()));
        grow.push((Column::Revision, revisions.max().unwrap_or(0), 26));
        for (column, widest, most) in grow {
            if let Some(index) = self.columns.iter().position(|known| *known == column) {
                let widest = u16::try_from(widest).unwrap_or(most).min(most);
                self.wishes[index].wanted = self.wishes[index].wanted.max(widest);
            }
        }
        self.told = match &self.spot {
            Some(spot) => rows::tell(&spot.id, cx.store.get(&spot.id), cx, &self.told),
            None => Told::default(),
        };
    }

    fn draw(&self, cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        let parts = rows::parts(area);
        if self.forest.is_empty() {
            return self.draw_nothing(cx, canvas, area);
        }
        let places = table::place(&self.wishes, parts.rows.width.saturating_sub(2));
        let inside = |at: Rect| Rect { x: at.x + 1.min(at.width), width: at.width.saturating_sub(2), ..at };
        if parts.headings.height > 0 {
            table::headings(canvas, inside(parts.headings), &self.wishes, &places);
        }
        let visible = self.scroll.range(self.forest.len(), self.height);
        for ((row, name), y) in visible.zip(&self.names).zip(parts.rows.y..parts.rows.bottom()) {
            let Some(shown) = self.forest.row(row) else { continue };
            let at = Rect { y, height: 1, ..parts.rows };
            for (column, place) in self.columns.iter().zip(&places) {
                let Some(place) = place else { continue };
                let x = inside(at).x + place.x;
                match column {
                    Column::Name => drop(canvas.pieces(x, y, place.width, name)),
                    column => drop(canvas.pieces(x, y, place.width, &[self.cell(*column, &shown, cx)])),
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
        Work { cells: self.cells.formatted, rows: self.forest.touched, frames: 0 }
    }
}
