//! What the tree and the lists share: the pane about the row under the cursor, status cells, and words for emptiness.

use ratatui::layout::Rect;

use std::sync::Arc;

use crate::base::{Condition, Health, Id, Stamp, State, Text};
use crate::console::look::Role;
use crate::console::shared::{Shared, age_lasts, root_cause, victims};
use crate::console::widgets::{Canvas, Piece, wrapped};
use crate::kinds::Tie;
use crate::store::{Entry, Feed};

/// Where rows and the pane about one of them are; a function of size alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub headings: Rect,
    pub rows: Rect,
    pub pane: Rect,
    /// The pane stands beside the rows and tells more.
    pub beside: bool,
}

/// From this width on, the pane stands beside the rows.
const WIDE: u16 = 156;

/// Divides an area: headings, rows, and a pane where there is room for one.
pub fn parts(area: Rect) -> Parts {
    let headings = u16::from(area.height > 3);
    if area.width >= WIDE && area.height >= 10 {
        let pane = (area.width / 3).min(80);
        let left = Rect { width: area.width - pane - 1, ..area };
        return Parts {
            headings: Rect { height: headings, ..left },
            rows: Rect { y: area.y + headings, height: area.height - headings, ..left },
            pane: Rect { x: left.right() + 1, width: pane, ..area },
            beside: true,
        };
    }
    let pane = match area.height {
        ..8 => 0,
        ..14 => 2,
        ..24 => 4,
        ..40 => 5,
        _ => 7,
    };
    let rows = area.height - headings - pane;
    Parts {
        headings: Rect { height: headings, ..area },
        rows: Rect { y: area.y + headings, height: rows, ..area },
        pane: Rect { y: area.y + headings + rows, height: pane, ..area },
        beside: false,
    }
}

/// Columns of a status cell.
pub const STATUS: u16 = 13;

/// Sign and word, which say the same as the colour.
pub fn status(entry: Option<&Entry>, id: &Id, cx: &Shared) -> Piece {
    let Some(entry) = entry else {
        let missing = matches!(cx.feed(&id.group, &id.kind), Some(Feed::Live { .. }));
        return Piece::new(if missing { "? Missing" } else { "? Unknown" }, State::Unknown);
    };
    let state = entry.health.state;
    match (state, entry.health.simulated) {
        // Nobody shall take a simulated workload for a running one.
        (State::Ready, true) => Piece::new("✓ Simulated", Role::Simulated),
        _ => Piece::new(format!("{} {}", state.sign(), state.word()), state),
    }
}

/// Why it is as it is, on one line: the reason, then the message.
pub fn message(entry: Option<&Entry>, id: &Id, cx: &Shared) -> Text {
    let Some(entry) = entry else { return Text::new(cx.absence(id)) };
    let health = &entry.health;
    let told = !matches!(&*health.reason, "" | "Suspended" | "Terminating") && health.state != State::Ready;
    match (told, health.message.is_empty()) {
        (true, false) => Text::new(format!("{}: {}", health.reason, health.message)),
        (true, true) => Text::new(&health.reason),
        (false, _) => Text::new(&health.message),
    }
}

/// When the age of an object changes next.
pub fn due(created: Option<Stamp>, now: Stamp) -> Option<Stamp> {
    created.map(|created| Stamp(now.0 + age_lasts(created, now)))
}

/// What the pane says of an object.
#[derive(Clone, Debug, Default)]
pub struct Told {
    title: Vec<Piece>,
    lines: Vec<Piece>,
    /// Said only where the pane stands beside the rows.
    related: Vec<Piece>,
    conditions: Vec<Piece>,
    /// What the conditions were read from: a document is parsed again only when it changed.
    read_from: Option<Arc<Entry>>,
}

/// Says what a person on call asks first: which object, how it is, why, and what it costs others.
pub fn tell(id: &Id, entry: Option<Arc<Entry>>, cx: &Shared, before: &Told) -> Told {
    let mut title = vec![Piece::new(id.to_string(), Role::Title)];
    let state = entry.as_ref().map_or(State::Unknown, |entry| entry.health.state);
    if entry.as_ref().is_some_and(|entry| entry.health.simulated) {
        let word = if state == State::Ready { "  simulated: no kubelet runs it" } else { "  simulated" };
        title.push(Piece::new(word, Role::Simulated));
    }
    let status = status(entry.as_deref(), id, cx);
    let message = message(entry.as_deref(), id, cx);
    let gap = if message.as_str().is_empty() { "" } else { "  " };
    let mut lines = vec![Piece::new(format!("{}{gap}{message}", status.text), status.role)];
    if !matches!(state, State::Ready | State::Suspended)
        && let Some(cause) = root_cause(&cx.store, id)
    {
        let Health { state, message, .. } = &cause.health;
        let text = format!("↳ because of {} {} {}: {message}", cause.object.id, state.sign(), state.word());
        lines.insert(0, Piece::new(text, *state));
    }
    let victims = victims(&cx.store, id);
    if victims > 0 && matches!(state, State::Failed | State::Unknown | State::Suspended) {
        let text = format!("{victims} {} on it", if victims == 1 { "object depends" } else { "objects depend" });
        title.push(Piece::new(format!("  {text}"), Role::Warning));
    }
    let wide = entry.filter(|_| cx.size.0 >= WIDE);
    let same = before.read_from.as_ref().zip(wide.as_ref()).is_some_and(|(before, now)| Arc::ptr_eq(before, now));
    let conditions = match &wide {
        Some(_) if same => before.conditions.clone(),
        Some(entry) => conditions(entry),
        None => Vec::new(),
    };
    let related = wide.as_ref().map(|entry| related(entry, cx)).unwrap_or_default();
    Told { title, lines, related, conditions, read_from: wide }
}

/// What it is built from, waits for and owns, and how that is.
fn related(entry: &Entry, cx: &Shared) -> Vec<Piece> {
    const MOST: usize = 12;
    let mut lines = Vec::new();
    let groups = [("Source", Tie::Source), ("Waits for", Tie::DependsOn), ("Owns", Tie::Owns), ("Uses", Tie::Uses)];
    for (title, tie) in groups {
        let of_tie = entry.relations.iter().filter(|relation| relation.tie == tie);
        let count = of_tie.clone().count();
        if count > 0 {
            lines.push(Piece::new("", Role::Text));
            lines.push(Piece::new(title, Role::Label));
        }
        for relation in of_tie.take(MOST) {
            let state = cx.state(&relation.to);
            lines.push(Piece::new(format!("  {} {}", state.sign(), relation.to), state));
        }
        if count > MOST {
            lines.push(Piece::new(format!("  … and {} more", count - MOST), Role::Dim));
        }
    }
    lines
}

fn conditions(entry: &Entry) -> Vec<Piece> {
    let conditions = Condition::all(&entry.object.body());
    let mut lines = Vec::new();
    if !conditions.is_empty() {
        lines.push(Piece::new("", Role::Text));
        lines.push(Piece::new("Conditions", Role::Label));
    }
    for condition in conditions {
        let since = condition.last_transition_time.get(..16).unwrap_or_default().replace('T', " ");
        let text = format!("  {} {} {}  {since}", condition.kind, condition.status, condition.reason);
        lines.push(Piece::new(text, Role::Text));
    }
    lines
}

/// Draws the pane: the object's name on a rule, then as much as fits.
pub fn draw_pane(canvas: &mut Canvas<'_>, parts: &Parts, told: &Told, lost: bool) {
    let area = parts.pane;
    if area.height == 0 {
        return;
    }
    let gone = [Piece::new("the object under the cursor is gone: move before you act", Role::Danger)];
    canvas.rule(area, area.y, if lost { &gone } else { &told.title });
    if parts.beside {
        for y in area.y..area.bottom() {
            canvas.pieces(area.x - 1, y, 1, &[Piece::new("│", Role::Border)]);
        }
    }
    let inside = Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height - 1 };
    let mut y = inside.y;
    let more = [&told.related, &told.conditions].into_iter().flatten().filter(|_| parts.beside);
    for piece in told.lines.iter().chain(more) {
        let lines = wrapped(piece.text.as_str(), usize::from(inside.width));
        let left = usize::from(inside.bottom().saturating_sub(y));
        for (index, line) in lines.iter().take(left).enumerate() {
            // The last line that fits says that there is more.
            let goes_on = index + 1 == left && lines.len() > left;
            let text = if goes_on { format!("{line} …") } else { (*line).to_owned() };
            canvas.pieces(inside.x, y, inside.width, &[Piece::new(text, piece.role)]);
            y += 1;
        }
    }
}

/// Draws words in the middle of an area that has no rows.
pub fn draw_empty(canvas: &mut Canvas<'_>, area: Rect, lines: &[(String, Role)]) {
    let top = area.y + area.height.saturating_sub(u16::try_from(lines.len()).unwrap_or(0)) / 3;
    for ((line, role), y) in lines.iter().zip(top..area.bottom()) {
        let wide = u16::try_from(crate::console::widgets::columns(line)).unwrap_or(area.width).min(area.width);
        canvas.pieces(area.x + (area.width - wide) / 2, y, wide, &[Piece::new(line, *role)]);
    }
}

/// Why there is nothing of some kinds to show, in words; never silence.
pub fn why_empty(cx: &Shared, kinds: &[(&str, &str)]) -> Vec<(String, Role)> {
    let mut lines = Vec::new();
    for (group, kind) in kinds {
        match cx.feed(group, kind) {
            Some(Feed::Live { .. }) => {}
            None | Some(Feed::Loading) => lines.push((format!("loading {kind} …"), Role::Progressing)),
            Some(Feed::Stale { why, .. }) => lines.push((format!("{kind}: connection lost: {why}"), Role::Banner)),
            Some(Feed::Denied(why)) => lines.push((format!("{kind}: not allowed: {why}"), Role::Banner)),
            Some(Feed::Unavailable(why)) => lines.push((format!("{kind}: not available: {why}"), Role::Banner)),
        }
    }
    lines
}
