//! A frame as text, for `weir debug frame` and for tests: what a person would see, line by line.

use ratatui::buffer::Buffer;
use ratatui::style::Color;
use unicode_width::UnicodeWidthStr;

use super::look::ROLES;

/// The frame's lines without the spaces at their ends.
pub fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in area.y..area.bottom() {
        let mut line = String::new();
        let mut x = area.x;
        while x < area.right() {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character covers the cell after it.
            x += u16::try_from(symbol.width().max(1)).unwrap_or(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The roles of a frame that was drawn with [`super::look::Look::numbered`]: per line, each run of text and its role.
pub fn roles(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in area.y..area.bottom() {
        let mut runs: Vec<(String, &str)> = Vec::new();
        for x in area.x..area.right() {
            let cell = &buffer[(x, y)];
            let role = match cell.fg {
                Color::Indexed(number) => ROLES.get(usize::from(number)).map_or("?", |(_, name)| *name),
                _ => "",
            };
            match runs.last_mut() {
                Some((run, last)) if *last == role => run.push_str(cell.symbol()),
                _ => runs.push((cell.symbol().to_owned(), role)),
            }
        }
        let named = runs.iter().filter(|(run, role)| !role.is_empty() && !run.trim().is_empty());
        let line: Vec<String> = named.map(|(run, role)| format!("{role}[{}]", run.trim())).collect();
        text.push_str(&line.join(" "));
        text.push('\n');
    }
    text
}
