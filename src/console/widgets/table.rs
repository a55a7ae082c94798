//! Columns of a table: which are shown at a width, and how wide. A pure function of wishes and room.

use ratatui::layout::Rect;

use super::{Canvas, Piece};
use crate::console::look::Role;

/// Columns between two columns.
const GAP: u16 = 2;

/// What a column wishes for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub title: &'static str,
    /// Enough to show everything, as far as it was seen.
    pub wanted: u16,
    /// Below this it is better left out.
    pub least: u16,
    /// Takes the room that is left over.
    pub greedy: bool,
    /// Lower ones are left out first; 255 stays to the end.
    pub rank: u8,
}

/// Where a column is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From the left edge of the table.
    pub x: u16,
    pub width: u16,
}

/// Places columns in some width; `None` is left out.
pub fn place(wishes: &[Wish], width: u16) -> Vec<Option<Place>> {
    let mut shown: Vec<usize> = (0..wishes.len()).collect();
    let sum = |shown: &[usize], width: &dyn Fn(&Wish) -> u16| {
        shown.iter().map(|index| width(&wishes[*index]) + GAP).sum::<u16>().saturating_sub(GAP)
    };
    // Nothing needs more than it wants.
    let least = |wish: &Wish| wish.least.min(wish.wanted);
    while shown.len() > 1 && sum(&shown, &least) > width {
        // Among equals the rightmost goes first.
        let Some(last) = shown.iter().copied().min_by_key(|index| (wishes[*index].rank, usize::MAX - index)) else {
            break;
        };
        shown.retain(|index| *index != last);
    }
    let mut widths: Vec<u16> = shown.iter().map(|index| least(&wishes[*index])).collect();
    let mut left = width.saturating_sub(sum(&shown, &least));
    // What is modest gets its wish before what takes all.
    for greedy in [false, true] {
        for (at, index) in shown.iter().enumerate() {
            let wish = &wishes[*index];
            if wish.greedy == greedy {
                let more = wish.wanted.saturating_sub(widths[at]).min(left);
                widths[at] += more;
                left -= more;
            }
        }
    }
    if let Some(at) = shown.iter().rposition(|index| wishes[*index].greedy) {
        widths[at] += left;
    }
    let mut places = vec![None; wishes.len()];
    let mut x = 0;
    for (index, wide) in shown.into_iter().zip(widths) {
        let room = width.saturating_sub(x);
        places[index] = (room > 0).then_some(Place { x, width: wide.min(room) });
        x = x.saturating_add(wide + GAP);
    }
    places
}

/// Draws the headings.
pub fn headings(canvas: &mut Canvas<'_>, area: Rect, wishes: &[Wish], places: &[Option<Place>]) {
    for (wish, place) in wishes.iter().zip(places) {
        if let Some(place) = place {
            canvas.pieces(area.x + place.x, area.y, place.width, &[Piece::new(wish.title, Role::Column)]);
        }
    }
}

/// Where a list stands: which row is at the top and which line the cursor is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scroll {
    pub top: usize,
}

impl Scroll {
    /// Keeps the cursor's row in view; moves no further than needed.
    pub fn follow(&mut self, cursor: usize, rows: usize, height: usize) {
        let last = rows.saturating_sub(height);
        let lowest = cursor.saturating_sub(height.saturating_sub(1));
        self.top = self.top.min(last).clamp(lowest.min(cursor), cursor);
    }

    /// The rows in view.
    pub fn range(self, rows: usize, height: usize) -> std::ops::Range<usize> {
        self.top.min(rows)..(self.top + height).min(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(title: &'static str, wanted: u16, least: u16, greedy: bool, rank: u8) -> Wish {
        Wish { title, wanted, least, greedy, rank }
    }

    #[test]
    fn columns_are_left_out_by_rank_and_fill_the_width() {
        let wishes =
            [wish("NAME", 30, 16, false, 255), wish("STATUS", 13, 13, false, 200), wish("MESSAGE", 60, 12, true, 100)];
        let at = |width: u16| -> Vec<Option<(u16, u16)>> {
            place(&wishes, width).into_iter().map(|place| place.map(|p| (p.x, p.width))).collect()
        };
        assert_eq!(at(80), [Some((0, 30)), Some((32, 13)), Some((47, 33))]);
        assert_eq!(at(34), [Some((0, 19)), Some((21, 13)), None]);
        assert_eq!(at(10), [Some((0, 10)), None, None]);
        assert_eq!(at(0), [None, None, None]);
        let short = [wish("NAME", 5, 16, false, 255), wish("MESSAGE", 60, 12, true, 100)];
        assert_eq!(place(&short, 20), [Some(Place { x: 0, width: 5 }), Some(Place { x: 7, width: 13 })]);
    }

    #[test]
    fn the_cursor_stays_in_view_and_the_end_is_filled() {
        let mut scroll = Scroll { top: 0 };
        for (cursor, rows, height, top) in [
            (5, 100, 10, 0),
            (15, 100, 10, 6),
            (6, 100, 10, 6),
            (99, 100, 10, 90),
            (2, 3, 10, 0),
            (0, 0, 10, 0),
            (5, 9, 0, 5),
        ] {
            scroll.follow(cursor, rows, height);
            assert_eq!(scroll.top, top, "{cursor} of {rows} in {height}");
        }
    }
}
