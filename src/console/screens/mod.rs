//! The screens: a stack of boxes, the tree at the bottom. A screen answers with data and never changes anything outside.
//!
//! To add one: a file here, a variant of [`crate::console::message::Open`], and its line in [`open`].

mod activity;
mod columns;
mod confirm;
mod detail;
mod edit;
mod help;
mod list;
mod pages;
mod palette;
mod patch;
mod review;
mod rows;
mod tree;

use std::time::Duration;

use ratatui::layout::Rect;

use super::actions::{Action, Scope};
use super::message::{Answer, Open, Reply, Slot};
use super::rows::{Counts, Work};
use super::shared::Shared;
use super::widgets::footer::About;
use super::widgets::{Canvas, Piece};
use crate::base::{Id, Stamp};
use crate::config::Key;
use crate::store::Changes;

pub use tree::Tree;

/// A key that comes sooner after what it answers is a reflex, a repeat or a paste: reading and confirming is not one movement.
const REFLEX: Duration = Duration::from_millis(150);

/// The area of a page, a column of air at each side.
fn inside(area: Rect) -> Rect {
    Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area }
}

/// One screen. Only what answers a message changes it; [`Screen::draw`] cannot.
pub trait Screen: Send {
    /// Which section of the keymap applies.
    fn scope(&self) -> Scope;

    /// What the header calls it.
    fn title(&self, cx: &Shared) -> Vec<Piece>;

    /// What it asks for when it opens.
    fn opened(&mut self, _cx: &Shared) -> Reply {
        Reply::Redraw
    }

    fn act(&mut self, action: Action, cx: &Shared) -> Reply;

    /// A key without a binding, in a scope that types.
    fn key(&mut self, _key: Key, _cx: &Shared) -> Reply {
        Reply::Stay
    }

    fn paste(&mut self, _text: &str, _cx: &Shared) -> Reply {
        Reply::Pass
    }

    /// A press of the mouse, by place in the screen's own area.
    fn press(&mut self, _x: u16, _y: u16, _cx: &Shared) -> Reply {
        Reply::Stay
    }

    /// What filters the rows or is searched in the page; `None` where there is nothing to filter.
    fn query(&self) -> Option<&str> {
        None
    }

    /// Filters or searches by other words.
    fn set_query(&mut self, _query: &str, _cx: &Shared) -> Reply {
        Reply::Stay
    }

    /// The picture changed; answers whether anything visible did.
    fn changed(&mut self, _changes: &Changes, _cx: &Shared) -> Reply {
        Reply::Stay
    }

    /// Weir wrote to its log.
    fn logged(&mut self, _cx: &Shared) -> Reply {
        Reply::Stay
    }

    fn answer(&mut self, _slot: Slot, _answer: Answer, _cx: &Shared) -> Reply {
        Reply::Stay
    }

    /// Goes to an object, where the screen has it.
    fn reveal(&mut self, _id: &Id, _cx: &Shared) -> Reply {
        Reply::Stay
    }

    /// The object that verbs are meant for.
    fn subject(&self) -> Option<&Id> {
        None
    }

    /// What one mostly does here, for the footer to show before all else.
    fn mostly(&self) -> &'static [Action] {
        &[]
    }

    /// Whether there is something under the cursor to open.
    fn opens(&self) -> bool {
        true
    }

    /// The subject went away under the cursor, and the person has not moved since.
    fn is_lost(&self) -> bool {
        false
    }

    /// The text that copying takes, when it is not the subject's name.
    fn copied(&self) -> Option<String> {
        None
    }

    /// Objects by state, of everything that the screen is about.
    fn totals(&self) -> Option<Counts> {
        None
    }

    /// Whether the screen below stays in view around it.
    fn is_overlay(&self) -> bool {
        false
    }

    /// Whether leaving would lose what a person wrote.
    fn is_dirty(&self) -> bool {
        false
    }

    /// Makes ready what is in view. The only place where cells are formatted.
    fn prepare(&mut self, cx: &Shared, area: Rect);

    fn draw(&self, cx: &Shared, canvas: &mut Canvas<'_>, area: Rect);

    /// The part of the area that what is told in passing may cover for a while.
    fn spare(&self, area: Rect) -> Rect {
        area
    }

    /// Where the terminal's cursor belongs, when a person types here.
    fn cursor(&self, _area: Rect) -> Option<(u16, u16)> {
        None
    }

    /// When the next visible age changes.
    fn due(&self) -> Option<Stamp> {
        None
    }

    fn work(&self) -> Work {
        Work::default()
    }
}

/// Makes a screen; `below` is what the screen is about that it opens over.
pub fn open(open: Open, cx: &Shared, below: About) -> Box<dyn Screen> {
    match open {
        Open::Tree(_) => Box::new(tree::Tree::new(cx)),
        Open::List { group, kind } => Box::new(list::List::new(cx, &group, &kind)),
        Open::Detail(id, tab) => Box::new(detail::Detail::new(id, tab)),
        Open::Edit(target) => Box::new(edit::Edit::new(target)),
        Open::Review { id, original, edited, review } => {
            Box::new(review::ReviewScreen::new(id, original, edited, review))
        }
        Open::Confirm(target) => Box::new(confirm::Confirm::new(target, cx)),
        Open::Compare { id, from, to } => Box::new(patch::PatchScreen::compare(id, from, to)),
        Open::Before(verb, target) => Box::new(patch::PatchScreen::before(verb, target)),
        Open::Palette => Box::new(palette::Palette::new(cx, below)),
        Open::Help => Box::new(help::Help::new(cx, below.scope)),
        Open::Activity => Box::new(activity::ActivityScreen::new(cx)),
    }
}
