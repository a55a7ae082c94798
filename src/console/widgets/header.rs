//! The header and the banner: which API this is, where one is, how all is, and how far what is seen can be trusted.

use ratatui::layout::Rect;

use super::{Canvas, Piece, width};
use crate::base::{Age, State};
use crate::console::look::Role;
use crate::console::rows::Counts;
use crate::console::shared::Shared;
use crate::store::Feed;

/// Draws one line: place and screen on the left, counts and freshness on the right.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, cx: &Shared, title: &[Piece], counts: &Counts) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let inside = Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area };
    let wide = usize::from(inside.width);
    let mut left = vec![Piece::new("weir  ", Role::HeaderName)];
    let place = cx.place.as_str();
    let name = place.split(" (").next().unwrap_or(place);
    let (kind, role) = if cx.embedded { ("EMBEDDED", Role::HeaderPlace) } else { (name, Role::HeaderPlace) };
    left.push(Piece::new(kind, role));
    if wide >= 110 {
        let rest = place.strip_prefix(name).unwrap_or_default();
        left.push(Piece::new(rest, Role::Header));
    }
    if cx.read_only {
        left.push(Piece::new("  READ-ONLY", Role::HeaderDanger));
    }
    left.push(Piece::new("  ", Role::Header));
    left.extend(title.iter().cloned());
    let used = width(&left) + 2;
    // From the most telling form to the shortest: what does not fit is said more briefly.
    let forms = [Form::Words, Form::Signs, Form::Problems].map(|form| right(cx, counts, form));
    let right = forms.iter().find(|form| width(form) + used <= wide).unwrap_or(&forms[2]);
    // Which API this is stays on the screen whatever else does not.
    if width(right) + used > wide {
        left.remove(0);
    }
    let taken = canvas.right(inside, area.y, right);
    let room = inside.width.saturating_sub(taken + u16::from(taken > 0) * 2);
    canvas.pieces(inside.x, area.y, room, &left);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Words,
    Signs,
    Problems,
}

fn right(cx: &Shared, counts: &Counts, form: Form) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let states = [
        State::Failed,
        State::Unknown,
        State::Progressing,
        State::Waiting,
        State::Terminating,
        State::Suspended,
        State::Ready,
    ];
    for state in states {
        let count = counts[state as usize];
        let calm = !matches!(state, State::Failed | State::Unknown | State::Waiting);
        if count > 0 && !(calm && form == Form::Problems) {
            let word = if form == Form::Words { format!(" {}", state.word()) } else { String::new() };
            pieces.push(Piece::new(format!("{} {count}{word}  ", state.sign()), state));
        }
    }
    pieces.push(freshness(cx));
    pieces
}

/// How old what is seen may be: `live` only when every watch is open.
fn freshness(cx: &Shared) -> Piece {
    let stale = cx.feeds.iter().filter_map(|line| match &line.feed {
        Feed::Stale { since, .. } => Some(*since),
        _ => None,
    });
    let loading = cx.feeds.is_empty() || cx.feeds.iter().any(|line| line.feed == Feed::Loading);
    match stale.min() {
        Some(since) => Piece::new(format!("✗ stale {}", Age::between(since, cx.now)), Role::HeaderDanger),
        None if loading => Piece::new("◌ loading", State::Progressing),
        None => Piece::new("live", Role::Header),
    }
}

/// What a person must know before believing the screen; empty when all kinds are seen.
pub fn banner(cx: &Shared) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let names = |wanted: &dyn Fn(&Feed) -> bool| -> Vec<&str> {
        cx.feeds.iter().filter(|line| wanted(&line.feed)).map(|line| &*line.kind).collect()
    };
    let listed = |names: &[&str]| match names {
        [one, two, three, rest @ ..] if !rest.is_empty() => format!("{one}, {two}, {three} and {} more", rest.len()),
        few => few.join(", "),
    };
    let mut say = |text: String, role: Role| {
        if !pieces.is_empty() {
            pieces.push(Piece::new("  ·  ", Role::Header));
        }
        pieces.push(Piece::new(text, role));
    };
    let stale = cx.feeds.iter().find_map(|line| match &line.feed {
        Feed::Stale { why, .. } => Some(why),
        _ => None,
    });
    if stale.is_some() {
        let kinds = names(&|feed| matches!(feed, Feed::Stale { .. }));
        let which = if kinds.len() == cx.feeds.len() { "all".to_owned() } else { listed(&kinds) };
        say(format!("✗ connection lost: {which} as last seen"), Role::Danger);
    }
    let denied = names(&|feed| matches!(feed, Feed::Denied(_)));
    if !denied.is_empty() {
        say(format!("⊘ not allowed to see: {}", listed(&denied)), Role::Banner);
    }
    let unavailable = names(&|feed| matches!(feed, Feed::Unavailable(_)));
    if !unavailable.is_empty() {
        say(format!("? not available here: {}", listed(&unavailable)), Role::Banner);
    }
    // Why comes last: what cannot be trusted matters more when the line is short.
    if let Some(why) = stale {
        say(why.to_string(), Role::Danger);
    }
    pieces
}
