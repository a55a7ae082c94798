//! Rows before they are drawn: kept sorted and filtered as objects change, formatted only when they come into view.
//!
//! Pure state without a terminal, so that tests can count the work. Start with [`Forest`] (the tree) and [`Sorted`]
//! (a list of one kind); [`Cells`] formats, [`Filter`] decides what matches.

mod cells;
mod forest;
mod sift;
mod sorted;

pub use cells::{Cells, RowCells};
pub use forest::{Counts, Forest, Row, Spot};
pub use sift::{Filter, sift};
pub use sorted::Sorted;

/// Work done since the console began, so that budgets are counted and not timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Cells that were formatted from an object.
    pub cells: u64,
    /// Rows whose place or content was worked out anew.
    pub rows: u64,
    /// Frames drawn.
    pub frames: u64,
}
