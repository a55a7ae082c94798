//! The terminal: taken over, given back, and written to with a count of the bytes.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossterm::{cursor, event, execute, terminal};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use crate::config::Depth;

/// Everything that weir may have switched on, switched off: modes of the mouse, paste and keyboard, colours, the cursor,
/// a synchronized update, and the alternate screen. Written by whoever survives.
pub const RESET: &[u8] =
    b"\x1b[?2026l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[<1u\x1b[0m\x1b[?1049l\x1b[?25h";

/// The screen, with the writer counted.
pub type Screen = Terminal<CrosstermBackend<Counted>>;

/// A buffered writer that counts what reaches the terminal.
pub struct Counted {
    to: BufWriter<Stdout>,
    bytes: Arc<AtomicU64>,
}

impl Counted {
    /// Writes to standard output; the counter is shared.
    pub fn new(bytes: Arc<AtomicU64>) -> Self {
        Counted { to: BufWriter::with_capacity(64 * 1024, io::stdout()), bytes }
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Takes the terminal over.
///
/// Errors when it cannot be put into raw mode or written to.
pub fn enter(mouse: bool) -> io::Result<()> {
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), terminal::EnterAlternateScreen, event::EnableBracketedPaste, cursor::Hide)?;
    if mouse {
        execute!(io::stdout(), event::EnableMouseCapture)?;
    }
    Ok(())
}

/// Gives the terminal back, as well as it can: this also runs while everything else fails.
pub fn leave() {
    execute!(
        io::stdout(),
        terminal::EndSynchronizedUpdate,
        event::DisableMouseCapture,
        event::DisableBracketedPaste,
        crossterm::style::ResetColor,
        terminal::LeaveAlternateScreen,
        cursor::Show
    )
    .ok();
    terminal::disable_raw_mode().ok();
}

/// Gives the terminal back before the message of a panic of that thread is printed; a panic elsewhere is caught by its
/// owner, and printing it would only spoil the screen.
pub fn give_back_on_panic(thread: &'static str) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some(thread) {
            leave();
            before(info);
        } else {
            tracing::error!("panic: {info}");
        }
    }));
}

/// How many colours the terminal says it has, from the environment that the cli hands over.
pub fn depth(variable: &dyn Fn(&str) -> Option<String>) -> Depth {
    let says = |name: &str| variable(name).unwrap_or_default();
    let term = says("TERM");
    if !says("NO_COLOR").is_empty() || term == "dumb" {
        return Depth::None;
    }
    if matches!(&*says("COLORTERM"), "truecolor" | "24bit") || term.contains("direct") {
        return Depth::True;
    }
    if term.contains("256color") { Depth::Indexed } else { Depth::Sixteen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_what_the_terminal_says() {
        let depth = |set: &[(&str, &str)]| {
            depth(&|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(depth(&[("TERM", "xterm-256color")]), Depth::Indexed);
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Depth::True);
        assert_eq!(depth(&[("TERM", "linux")]), Depth::Sixteen);
        assert_eq!(depth(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), Depth::None);
        assert_eq!(depth(&[("COLORTERM", "truecolor"), ("NO_COLOR", "")]), Depth::True);
    }
}
