//! The footer and the hints of a half-typed sequence, both read from the live keymap and the kind's verbs.

use ratatui::layout::Rect;

use super::{Canvas, Piece, columns, width};
use crate::base::State;
use crate::console::actions::{ACTIONS, Action, Scope, Tab};
use crate::console::look::Role;
use crate::console::shared::Shared;
use crate::kinds::{Kind, Verb};

/// What the footer is about: the scope, and the object under the cursor where there is one.
#[derive(Clone, Copy)]
pub struct About {
    pub scope: Scope,
    pub subject: Option<(&'static Kind, State)>,
    /// There is something under the cursor to open.
    pub opens: bool,
    /// What stands before all other hints.
    pub mostly: &'static [Action],
}

/// Whether an action makes sense now: what the kind does not offer is not shown.
pub fn offered(action: Action, about: About, cx: &Shared) -> bool {
    match (action, about.subject) {
        (Action::Demo, _) => cx.demo,
        (Action::Open, _) => about.opens,
        (Action::Ask(verb), Some((kind, state))) => {
            let wanted = match verb {
                Verb::Suspend => state != State::Suspended,
                Verb::Resume => state == State::Suspended,
                _ => true,
            };
            wanted && kind.offers(verb) && !cx.read_only
        }
        (Action::Show(Tab::View(view)), Some((kind, _))) => kind.views.contains(&view),
        (Action::Ask(_) | Action::Show(_) | Action::Copy, None) => false,
        _ => true,
    }
}

/// Draws as many hints as fit; the ways to everything else stand at the end, and help always does.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, about: About, cx: &Shared) {
    let hint = |action: Action, short: &str| -> Option<Vec<Piece>> {
        let keys = cx.keys.of(about.scope, action).into_iter().next()?;
        Some(vec![Piece::new(keys, Role::Key), Piece::new(format!(" {short}"), Role::Hint)])
    };
    // On a page one reads and goes back; among rows one goes on.
    let always: [(Action, &str); 3] = match about.scope {
        Scope::Tree | Scope::List => {
            [(Action::Filter, "filter"), (Action::Palette, "commands"), (Action::Help, "help")]
        }
        _ => [(Action::Filter, "search"), (Action::Back, "back"), (Action::Help, "help")],
    };
    let always = &always[if area.width < 70 { 2 } else { 0 }..];
    let mut end = Vec::new();
    for (action, short) in always {
        if let Some(mut pieces) = hint(*action, short) {
            end.append(&mut pieces);
            end.push(Piece::new("  ", Role::Hint));
        }
    }
    end.pop();
    let kept = width(&end);
    let mut x = area.x;
    let named = |action: Action| always.iter().any(|(known, _)| *known == action) || action == Action::Help;
    let (first, rest): (Vec<_>, Vec<_>) = ACTIONS.iter().partition(|line| about.mostly.contains(&line.action));
    for line in first.into_iter().chain(rest).filter(|line| !line.short.is_empty() && !named(line.action)) {
        if !offered(line.action, about, cx) {
            continue;
        }
        let Some(pieces) = hint(line.action, line.short) else { continue };
        let room = usize::from(area.right().saturating_sub(x));
        if width(&pieces) + 2 + kept > room {
            continue;
        }
        x += canvas.pieces(x, area.y, area.right() - x, &pieces) + 2;
    }
    canvas.pieces(x, area.y, area.right().saturating_sub(x), &end);
}

/// Draws what may follow a half-typed sequence, above the footer.
pub fn follows(canvas: &mut Canvas<'_>, area: Rect, typed: &str, follows: &[(String, Action)]) {
    let wide = follows.iter().filter_map(|(keys, action)| Some(columns(keys) + columns(action.line()?.doc) + 3)).max();
    let inside = u16::try_from(wide.unwrap_or(0)).unwrap_or(u16::MAX).saturating_add(4);
    let height = u16::try_from(follows.len()).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let width = inside.min(area.width);
    let place = Rect { x: area.right() - width, y: area.bottom() - height, width, height };
    let inside = canvas.boxed(place, &[Piece::new(typed, Role::Key), Piece::new(" …", Role::Hint)], Role::Border);
    for ((keys, action), y) in follows.iter().zip(inside.y..inside.bottom()) {
        let doc = action.line().map_or("", |line| line.doc);
        let pieces = [Piece::new(format!("{keys:<6} "), Role::Key), Piece::new(doc, Role::Text)];
        canvas.pieces(inside.x, y, inside.width, &pieces);
    }
}
