//! What the pages of an object say, line by line: pure, from what was fetched to lines with roles.

use crate::base::{Age, Condition, Id, Stamp, State, Text};
use crate::console::look::Role;
use crate::console::message::PaintedLine;
use crate::console::shared::Shared;
use crate::console::widgets::page::{Line, Link, painted_line};
use crate::console::widgets::{Piece, columns, fit};
use crate::verbs::{EventLine, Preview, Refusal, Revision, Section, Status};

/// What stands above the patch of a preview: what it is about, what to know, and how much changes. `verb` is "changes" or
/// "would change", `nothing` what is said when nothing does.
pub fn foreseen(preview: &Preview, verb: &str, nothing: &str) -> Vec<Line> {
    let wide = preview.about.iter().map(|(label, _)| label.as_str().chars().count()).max().unwrap_or(0);
    let row = |(label, value): &(Text, Text)| {
        let pieces = vec![Piece::new(format!("{label:<wide$}  "), Role::Label), Piece::text(value.clone(), Role::Text)];
        Line { indent: u16::try_from(wide + 2).unwrap_or(2), ..Line::of(pieces) }
    };
    let mut lines: Vec<Line> = preview.about.iter().map(row).collect();
    let note = |note: &Text| Line { indent: 2, ..Line::new(format!("! {note}"), Role::Warning) };
    lines.extend(preview.notes.iter().map(note));
    let (added, removed) = preview.patch.counts();
    lines.push(match preview.patch.parts.len() {
        0 => Line::new(format!("✓ {nothing}"), Role::Ready),
        count => Line::of(vec![
            Piece::new(if count == 1 { "1 part".into() } else { format!("{count} parts") }, Role::Strong),
            Piece::new(format!(" {verb}  "), Role::Text),
            Piece::new(format!("+{added} "), Role::Added),
            Piece::new(format!("-{removed}"), Role::Removed),
        ]),
    });
    lines
}

/// The revisions of a release, newest first; `marked` is the one to compare with.
pub fn history(revisions: &[Revision], marked: Option<i64>, now: Stamp, hint: &str) -> Vec<Line> {
    if revisions.is_empty() {
        return vec![Line::new("no revision is kept: nothing was released yet", Role::Dim)];
    }
    let wide = |text: fn(&Revision) -> &Text| {
        revisions.iter().map(|revision| columns(text(revision).as_str())).max().unwrap_or(0).min(40)
    };
    let (chart, app) = (wide(|revision| &revision.chart).max(5), wide(|revision| &revision.app_version).max(3));
    let head = format!("     REV  {:<17}{:<chart$}  {:<app$}  {:>5}  WHAT HAPPENED", "STATUS", "CHART", "APP", "AGE");
    let row = |revision: &Revision| {
        let state = state(revision.status);
        let role = state.map_or(Role::Dim, Role::from);
        let sign = state.map_or(" ", State::sign);
        let age = revision.updated.map_or("?".into(), |at| Age::between(at, now).to_string());
        let mark = if marked == Some(revision.version) { "◆" } else { " " };
        let pieces = vec![
            Piece::new(format!("{mark} "), Role::Warning),
            Piece::new(format!("{:>6}  ", revision.version), Role::Strong),
            Piece::new(format!("{:<17}", format!("{sign} {}", revision.status.word())), role),
            Piece::new(padded(&revision.chart, chart), Role::Text),
            Piece::new(padded(&revision.app_version, app), Role::Dim),
            Piece::new(format!("{age:>5}  "), Role::Dim),
            Piece::text(revision.description.clone(), if state == Some(State::Failed) { role } else { Role::Text }),
        ];
        Line { indent: 12, link: Some(Link::Revision(revision.version)), ..Line::of(pieces) }
    };
    let mut lines = vec![Line::new(hint, Role::Hint), Line::default(), Line::new(head, Role::Column)];
    lines.extend(revisions.iter().map(row));
    lines
}

/// A text cut or filled to some columns, and the gap after them.
fn padded(text: &Text, wide: usize) -> String {
    let (shown, cut) = fit(text.as_str(), wide);
    let mark = if cut { "…" } else { "" };
    format!("{shown}{mark}{}  ", " ".repeat(wide.saturating_sub(columns(shown) + columns(mark))))
}

/// How a revision stands; `None` when it is of the past.
fn state(status: Status) -> Option<State> {
    match status {
        Status::Deployed => Some(State::Ready),
        Status::Failed => Some(State::Failed),
        Status::Unknown => Some(State::Unknown),
        Status::Uninstalling => Some(State::Terminating),
        Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback => Some(State::Progressing),
        Status::Superseded | Status::Uninstalled => None,
    }
}

/// Why there is nothing to show, and what to do next.
pub fn refused(refusal: &Refusal) -> Vec<Line> {
    let line = |text: &Text, role| Line::of(vec![Piece::text(text.clone(), role)]);
    vec![line(&refusal.message, Role::Danger), line(&refusal.hint, Role::Dim)]
}

/// Text before it is coloured.
pub fn plain(yaml: &str) -> Vec<Line> {
    crate::base::Text::lines(yaml.trim_end())
        .into_iter()
        .map(|text| Line::of(vec![Piece::text(text, Role::Text)]))
        .collect()
}

/// Text with its colours: lengths in bytes of the raw lines.
pub fn painted(yaml: &str, paint: &[PaintedLine]) -> Vec<Line> {
    let paint = paint.iter().map(Some).chain(std::iter::repeat(None));
    let colour = |(raw, paint): (&str, Option<&PaintedLine>)| {
        let Some(paint) = paint else { return Line::new(raw, Role::Text) };
        let indent = raw.len() - raw.trim_start().len();
        Line { indent: u16::try_from(indent + 2).unwrap_or(2), ..Line::of(painted_line(raw, paint)) }
    };
    yaml.trim_end().lines().zip(paint).map(colour).collect()
}

pub fn description(sections: &[Section]) -> Vec<Line> {
    let mut lines = Vec::new();
    for section in sections {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        if !section.title.as_str().is_empty() {
            lines.push(Line::of(vec![Piece::text(section.title.clone(), Role::Title)]));
        }
        let wide = section.rows.iter().map(|row| row.label.as_str().chars().count()).max().unwrap_or(0).min(28);
        for row in &section.rows {
            let role = match (row.state, &row.link) {
                (Some(state), _) => state.into(),
                (None, Some(_)) => Role::Link,
                (None, None) => Role::Text,
            };
            let sign = row.state.map_or(String::new(), |state| format!("{} ", state.sign()));
            let label = if wide == 0 { "  ".to_owned() } else { format!("  {:<wide$}  ", row.label) };
            let indent = u16::try_from(wide + 4).unwrap_or(4);
            let pieces = vec![Piece::new(label, Role::Label), Piece::new(format!("{sign}{}", row.value), role)];
            lines.push(Line { indent, link: row.link.clone().map(Link::Object), ..Line::of(pieces) });
        }
    }
    lines
}

pub fn event_lines(events: &[EventLine], about: &Id, now: Stamp) -> Vec<Line> {
    if events.is_empty() {
        return vec![Line::new(
            "no events: nothing was reported lately (servers forget them after an hour)",
            Role::Dim,
        )];
    }
    let line = |event: &EventLine| {
        let age = event.last_seen.map_or("?".into(), |at| Age::between(at, now).to_string());
        let times = if event.count > 1 { format!(" ×{}", event.count) } else { String::new() };
        let (sign, role) = if event.warning { ("✗ Warning", Role::Failed) } else { ("  Normal ", Role::Dim) };
        let other = event.about.as_ref().filter(|id| *id != about);
        let mut pieces = vec![
            Piece::new(format!("{age:>6}{times:<4} "), Role::Dim),
            Piece::new(format!("{sign}  "), role),
            Piece::new(format!("{}  ", event.reason), Role::Strong),
        ];
        if let Some(other) = other {
            pieces.push(Piece::new(format!("{other}  "), Role::Link));
        }
        pieces.push(Piece::text(event.message.clone(), if event.warning { Role::Failed } else { Role::Text }));
        Line { indent: 12, link: other.cloned().map(Link::Object), ..Line::of(pieces) }
    };
    events.iter().map(line).collect()
}

/// Conditions with how long they have been so.
pub fn conditions(id: &Id, cx: &Shared) -> Vec<Line> {
    let Some(entry) = cx.store.get(id) else { return vec![Line::new(cx.absence(id), Role::Unknown)] };
    let conditions = Condition::all(&entry.object.body());
    if conditions.is_empty() {
        return vec![Line::new("the object has no conditions", Role::Dim)];
    }
    let mut lines = Vec::new();
    for condition in conditions {
        // Some conditions are good news and some are bad; the object's own state says which is which.
        let role = match (&*condition.status, &*condition.kind) {
            ("True", "Stalled") => State::Failed.into(),
            ("True", "Reconciling") => State::Progressing.into(),
            ("True", _) => State::Ready.into(),
            ("False", "Ready" | "Healthy" | "Available") if entry.health.state == State::Failed => State::Failed.into(),
            ("False", _) => Role::Warning,
            _ => State::Unknown.into(),
        };
        let since = condition.last_transition_time.parse().ok().map(|at: Stamp| Age::between(at, cx.now));
        let since = since.map_or(String::new(), |age| format!("for {age}"));
        lines.push(Line::of(vec![
            Piece::new(format!("{} ", condition.kind), Role::Strong),
            Piece::new(format!("{}  ", condition.status), role),
            Piece::new(format!("{}  ", condition.reason), Role::Label),
            Piece::new(since, Role::Dim),
        ]));
        if !condition.message.is_empty() {
            let pieces = vec![Piece::new("  ", Role::Text), Piece::new(&condition.message, Role::Text)];
            lines.push(Line { indent: 2, ..Line::of(pieces) });
        }
        lines.push(Line::default());
    }
    lines
}
