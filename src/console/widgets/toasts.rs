//! [`Toasts`]: what to tell in passing, newest last; what works is shown until it is done.

use ratatui::layout::Rect;

use super::{Canvas, Piece, columns, wrapped};
use crate::base::{Stamp, Text};
use crate::console::look::Role;
use crate::console::message::{Say, Ticket, Tone};

/// How many are kept; older ones go.
const KEPT: usize = 4;

/// The toasts on the screen.
#[derive(Clone, Debug, Default)]
pub struct Toasts {
    list: Vec<Toast>,
}

#[derive(Clone, Debug)]
struct Toast {
    say: Say,
    ticket: Option<Ticket>,
    /// When it goes by itself; work stays until it is done.
    until: Option<Stamp>,
}

impl Toasts {
    /// Shows something; what belongs to a ticket replaces what was there for it.
    pub fn say(&mut self, say: Say, ticket: Option<Ticket>, now: Stamp) {
        let seconds = match say.tone {
            Tone::Working => None,
            Tone::Note => Some(4),
            Tone::Done => Some(6),
            Tone::Failed => Some(20),
        };
        let toast = Toast { ticket, until: seconds.map(|seconds| Stamp(now.0 + seconds)), say };
        match self.list.iter_mut().find(|known| known.same(&toast)) {
            Some(known) => *known = toast,
            None => self.list.push(toast),
        }
        if self.list.len() > KEPT {
            let oldest = self.list.iter().position(|toast| toast.until.is_some()).unwrap_or(0);
            self.list.remove(oldest);
        }
    }

    /// Says what a ticket's work is waiting for; a ticket that is not shown is ignored.
    pub fn progress(&mut self, ticket: Ticket, text: Text) -> bool {
        let known = self.list.iter_mut().find(|toast| toast.ticket == Some(ticket) && toast.until.is_none());
        let news = known.as_ref().is_some_and(|toast| toast.say.hint != text);
        if let Some(toast) = known {
            toast.say.hint = text;
        }
        news
    }

    /// Lets go what has been there long enough; answers whether anything went.
    pub fn tick(&mut self, now: Stamp) -> bool {
        let before = self.list.len();
        self.list.retain(|toast| toast.until.is_none_or(|until| until > now));
        self.list.len() != before
    }

    /// When the next one goes.
    pub fn due(&self) -> Option<Stamp> {
        self.list.iter().filter_map(|toast| toast.until).min()
    }

    /// Lets go everything that is over; answers whether there was any.
    pub fn dismiss(&mut self) -> bool {
        let before = self.list.len();
        self.list.retain(|toast| toast.until.is_none());
        self.list.len() != before
    }

    /// Whether anything is still being done.
    pub fn working(&self) -> usize {
        self.list.iter().filter(|toast| toast.until.is_none()).count()
    }

    /// Draws them in the lower right of an area, at most half its height.
    pub fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        if area.width < 12 {
            return;
        }
        let width = area.width.min(72);
        let mut bottom = area.bottom();
        let highest = area.y + area.height / 3;
        for toast in self.list.iter().rev() {
            let lines = toast.lines(usize::from(width - 4));
            let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
            if bottom < highest + height {
                return;
            }
            let longest = lines.iter().map(|line| columns(line.text.as_str())).max().unwrap_or(0);
            let wide = u16::try_from(longest).unwrap_or(width).saturating_add(4).min(width);
            let place = Rect { x: area.right() - wide, y: bottom - height, width: wide, height };
            let inside = canvas.boxed(place, &[], toast.role());
            for (line, y) in lines.iter().zip(inside.y..inside.bottom()) {
                canvas.pieces(inside.x, y, inside.width, std::slice::from_ref(line));
            }
            bottom -= height;
        }
    }
}

impl Toast {
    /// Of one ticket, or the same words again.
    fn same(&self, other: &Toast) -> bool {
        (self.ticket.is_some() && self.ticket == other.ticket) || (self.ticket.is_none() && self.say == other.say)
    }

    fn role(&self) -> Role {
        match self.say.tone {
            Tone::Done => Role::ToastDone,
            Tone::Failed => Role::ToastFailed,
            Tone::Working => Role::ToastWorking,
            Tone::Note => Role::ToastHint,
        }
    }

    fn lines(&self, width: usize) -> Vec<Piece> {
        let sign = match self.say.tone {
            Tone::Done => "✓ ",
            Tone::Failed => "✗ ",
            Tone::Working => "◌ ",
            Tone::Note => "",
        };
        let text = format!("{sign}{}", self.say.text);
        let mut lines: Vec<Piece> = wrapped(&text, width).iter().map(|line| Piece::new(line, self.role())).collect();
        lines.truncate(5);
        if !self.say.hint.as_str().is_empty() {
            let hint = wrapped(self.say.hint.as_str(), width);
            lines.extend(hint.iter().take(3).map(|line| Piece::new(line, Role::ToastHint)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::message::Slot;

    #[test]
    fn work_stays_until_its_outcome_replaces_it() {
        let mut toasts = Toasts::default();
        let ticket = Ticket { screen: 0, slot: Slot::Verb, serial: 1 };
        toasts.say(Say::new(Tone::Working, "reconcile apps"), Some(ticket), Stamp(0));
        assert!(!toasts.tick(Stamp(1_000)) && toasts.due().is_none());
        assert!(toasts.progress(ticket, Text::new("waiting for the source")));
        toasts.say(Say::new(Tone::Done, "apps is ready"), Some(ticket), Stamp(1_000));
        assert!(!toasts.progress(ticket, Text::new("too late")));
        assert_eq!((toasts.list.len(), toasts.due()), (1, Some(Stamp(1_006))));
        assert!(toasts.tick(Stamp(1_006)));
    }

    #[test]
    fn the_number_of_toasts_is_bounded() {
        let mut toasts = Toasts::default();
        for number in 0..100 {
            toasts.say(Say::new(Tone::Note, format!("{number}")), None, Stamp(0));
        }
        assert_eq!(toasts.list.len(), KEPT);
    }
}
