//! Before anything is deleted: what it takes with it is spelled out, and its name has to be typed.

use std::time::Duration;

use ratatui::layout::Rect;

use super::{REFLEX, Screen};
use crate::base::{Id, State};
use crate::config::Key;
use crate::console::actions::{Action, Scope};
use crate::console::look::Role;
use crate::console::message::{Reply, Say, Slot, Target, Tone};
use crate::console::shared::{Shared, victims};
use crate::console::widgets::field::Field;
use crate::console::widgets::{Canvas, Piece, wrapped};
use crate::kinds::{Tie, Verb};
use crate::verbs::Ask;

/// The question and what was typed so far.
pub struct Confirm {
    target: Target,
    field: Field,
    lines: Vec<(String, Role)>,
    typed_at: Duration,
}

impl Confirm {
    pub fn new(target: Target, cx: &Shared) -> Self {
        Confirm { lines: consequences(&target.id, cx), target, field: Field::default(), typed_at: cx.pressed }
    }

    fn matches(&self) -> bool {
        self.field.text() == &*self.target.id.name
    }

    /// As many consequences as fit above the field, which always does.
    fn layout(&self, area: Rect) -> (Rect, Vec<(String, Role)>) {
        let width = area.width.min(76);
        let text = usize::from(width.saturating_sub(4)).max(1);
        let broken = self
            .lines
            .iter()
            .flat_map(|(line, role)| wrapped(line, text).into_iter().map(|part| (part.to_owned(), *role)));
        let mut lines: Vec<(String, Role)> = broken.collect();
        let room = usize::from(area.height.saturating_sub(5)).max(1);
        if lines.len() > room {
            let left = lines.len() - room + 1;
            lines.truncate(room.saturating_sub(1));
            lines.push((format!("… {left} more lines: enlarge the window"), Role::Warning));
        }
        let height = u16::try_from(lines.len()).unwrap_or(0).saturating_add(5).min(area.height);
        let place =
            Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 3, width, height };
        (place, lines)
    }
}

/// What the deletion takes with it, and what comes of it.
fn consequences(id: &Id, cx: &Shared) -> Vec<(String, Role)> {
    let mut lines = vec![(format!("Delete {id}?"), Role::Danger)];
    if !id.name.is_ascii() {
        let points: Vec<String> =
            id.name.chars().filter(|c| !c.is_ascii()).map(|c| format!("U+{:04X}", u32::from(c))).collect();
        lines.push((format!("The name has letters that may look like others: {}", points.join(" ")), Role::Warning));
    }
    let Some(entry) = cx.store.get(id) else { return lines };
    let body = entry.object.body();
    let owned: Vec<&Id> =
        entry.relations.iter().filter(|relation| relation.tie == Tie::Owns).map(|relation| &relation.to).collect();
    let prune = body.pointer("/spec/prune").and_then(serde_json::Value::as_bool);
    let policy = body.pointer("/spec/deletionPolicy").and_then(serde_json::Value::as_str).unwrap_or("MirrorPrune");
    let deletes = match policy {
        "Delete" | "WaitForTermination" => true,
        "Orphan" => false,
        _ => prune == Some(true),
    };
    match (owned.len(), prune.is_some(), deletes && entry.health.state != State::Suspended) {
        (0, ..) => {}
        (count, true, true) => {
            lines.push((format!("prune is on: {count} objects go with it"), Role::Danger));
        }
        (count, true, false) => {
            let why = if entry.health.state == State::Suspended { "it is suspended" } else { "prune is off" };
            lines.push((format!("{why}: the {count} objects that it applied stay, unmanaged"), Role::Text));
        }
        (count, false, _) => {
            lines.push((format!("It owns {count} objects, which may be deleted with it"), Role::Warning))
        }
    }
    let victims = victims(&cx.store, id);
    if victims > 0 {
        let text = if victims == 1 {
            "1 object needs it and will fail".into()
        } else {
            format!("{victims} objects need it and will fail")
        };
        lines.push((text, Role::Warning));
    }
    if let Some((_, owner)) = cx.store.pointing_at(id).into_iter().find(|(tie, _)| *tie == Tie::Owns) {
        lines.push((format!("{owner} applies it: it will create it again"), Role::Warning));
    }
    // The list comes last: where room is short, what it means matters more than which.
    lines.extend(owned.iter().take(8).map(|id| (format!("  {id}"), Role::Text)));
    if owned.len() > 8 {
        lines.push((format!("  … and {} more", owned.len() - 8), Role::Danger));
    }
    lines
}

impl Screen for Confirm {
    fn scope(&self) -> Scope {
        Scope::Confirm
    }

    fn title(&self, _cx: &Shared) -> Vec<Piece> {
        vec![Piece::new("delete", Role::Danger)]
    }

    fn act(&mut self, action: Action, cx: &Shared) -> Reply {
        match action {
            Action::Accept if !self.matches() => Reply::Say(Say::new(
                Tone::Note,
                format!("type {} to delete it, or esc to leave it", self.target.id.name),
            )),
            Action::Accept if cx.pressed < self.typed_at + REFLEX => Reply::Stay,
            Action::Accept => {
                let Target { id, uid } = self.target.clone();
                let ask = Ask::VerbOn { verb: Verb::Delete, id, uid };
                Reply::Many(vec![Reply::Ask(Slot::Verb, ask), Reply::Back])
            }
            action if self.field.act(action) => Reply::Redraw,
            Action::Back => Reply::Back,
            _ => Reply::Stay,
        }
    }

    fn key(&mut self, key: Key, cx: &Shared) -> Reply {
        let Some(character) = key.typed() else { return Reply::Stay };
        self.typed_at = cx.pressed;
        self.field.push(character);
        Reply::Redraw
    }

    fn paste(&mut self, _text: &str, _cx: &Shared) -> Reply {
        Reply::Say(Say::new(Tone::Note, "a paste confirms nothing: type the name"))
    }

    fn subject(&self) -> Option<&Id> {
        Some(&self.target.id)
    }

    fn is_overlay(&self) -> bool {
        true
    }

    fn prepare(&mut self, _cx: &Shared, _area: Rect) {}

    fn draw(&self, _cx: &Shared, canvas: &mut Canvas<'_>, area: Rect) {
        let (place, lines) = self.layout(area);
        let inside = canvas.boxed(place, &[Piece::new("delete", Role::Danger)], Role::Danger);
        for ((line, role), y) in lines.iter().zip(inside.y..inside.bottom()) {
            canvas.pieces(inside.x, y, inside.width, &[Piece::new(line, *role)]);
        }
        let bottom = inside.bottom();
        if inside.height >= 3 {
            let line = Rect { y: bottom - 2, height: 1, ..inside };
            self.field.draw(canvas, line, "its name: ");
            let (text, role) = match self.matches() {
                true => ("enter deletes it for good · esc leaves it", Role::Danger),
                false => ("type the name to confirm · esc leaves it", Role::Dim),
            };
            canvas.pieces(inside.x, bottom - 1, inside.width, &[Piece::new(text, role)]);
        }
    }

    fn cursor(&self, area: Rect) -> Option<(u16, u16)> {
        let (place, _) = self.layout(area);
        let typed = u16::try_from(crate::console::widgets::columns(self.field.text())).unwrap_or(0);
        let x = (place.x + 2 + 10).saturating_add(typed).min(place.right().saturating_sub(2));
        (place.height >= 5).then(|| (x, place.bottom() - 3))
    }
}
