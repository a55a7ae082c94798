//! The tree's columns at a width, and the pieces that its names are made of.

use super::rows::STATUS;
use crate::base::{State, Text};
use crate::console::look::Role;
use crate::console::rows::Counts;
use crate::console::widgets::Piece;
use crate::console::widgets::table::Wish;
use crate::kinds::Tie;
use crate::store::Entry;

/// Below this width kinds go by their short names, and revision and message share a column.
pub const ROOMY: u16 = 100;
/// Below this width namespaces are left to the pane.
pub const NAMESPACED: u16 = 72;
/// From this width on, rows also tell what they wait for.
pub const BROAD: u16 = 110;

/// What a column shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Name,
    Status,
    Revision,
    Age,
    Message,
    Detail,
}

/// The columns at a width; a function of size alone.
pub fn columns_at(width: u16) -> (Vec<Column>, Vec<Wish>) {
    let wish = |title, wanted, least, greedy, rank| Wish { title, wanted, least, greedy, rank };
    let name = (Column::Name, wish("NAME", 20, 22, false, 255));
    let status = (Column::Status, wish("STATUS", STATUS, if width < 50 { 11 } else { STATUS }, false, 200));
    let age = (Column::Age, wish("AGE", 5, 5, false, 60));
    let columns = match width < ROOMY {
        true => vec![name, status, age, (Column::Detail, wish("REVISION OR REASON", 200, 16, true, 100))],
        false => vec![
            name,
            status,
            (Column::Revision, wish("REVISION", 12, 12, false, 150)),
            age,
            (Column::Message, wish("MESSAGE", 400, 24, true, 100)),
        ],
    };
    columns.into_iter().unzip()
}

/// A revision as rows show it: the usual digest goes without its name, as eight characters tell commits apart.
pub fn brief(revision: &Text) -> Text {
    let is_commit = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match revision.as_str() {
        commit if is_commit(commit) => Text::new(&commit[..8]),
        other => Text::new(other.replace("@sha1:", "@")),
    }
}

/// What a deployer waits for, as a hint behind its name.
pub fn after(entry: Option<&Entry>) -> Option<Piece> {
    let relations = entry.map_or(&[][..], |entry| &entry.relations);
    let names = relations.iter().filter(|relation| relation.tie == Tie::DependsOn).map(|relation| &*relation.to.name);
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| Piece::new(format!("  after {}", names.join(", ")), Role::TreeCount))
}

/// What hangs below a folded node: how many, and how many of them are not ready.
pub fn counts(below: &Counts) -> Vec<Piece> {
    let all: u32 = below.iter().sum();
    if all == 0 {
        return Vec::new();
    }
    let mut pieces = vec![Piece::new(format!("  {all}"), Role::TreeCount)];
    let states =
        [State::Failed, State::Unknown, State::Progressing, State::Waiting, State::Terminating, State::Suspended];
    for state in states.into_iter().filter(|state| below[*state as usize] > 0) {
        pieces.push(Piece::new(format!(" {}{}", state.sign(), below[state as usize]), state));
    }
    pieces
}

/// A name with the characters that were searched for set off.
pub fn marked(name: &str, marks: &[u32]) -> Vec<Piece> {
    let mut pieces: Vec<(String, Role)> = Vec::new();
    for (index, character) in (0u32..).zip(name.chars()) {
        let role = if marks.binary_search(&index).is_ok() { Role::Match } else { Role::TreeName };
        match pieces.last_mut() {
            Some((text, last)) if *last == role => text.push(character),
            _ => pieces.push((character.to_string(), role)),
        }
    }
    pieces.into_iter().map(|(text, role)| Piece::new(text, role)).collect()
}
