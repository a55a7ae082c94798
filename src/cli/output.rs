//! The only printer: data to stdout, words to stderr.
//!
//! Words carry Flux's symbols; colours only where a terminal reads them and `NO_COLOR` is not set. Everything that a
//! terminal shows passes `base::Text`; what goes into a file or a pipe is left as it is. A closed pipe is no error.

use std::io::{self, IsTerminal, Write};

use unicode_width::UnicodeWidthStr;

use super::CliError;
use crate::base::{State, Text};
use crate::verbs::{Change, DiffLine, Preview};

/// Where and how this process prints.
pub struct Output {
    stdout_is_terminal: bool,
    stdout_color: bool,
    stderr_color: bool,
}

/// Bytes that are written at once; larger pieces are written as they are.
const BUFFER: usize = 64 << 10;

/// ANSI colours that every theme maps sensibly.
const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";
const CYAN: &str = "36";
const DIM: &str = "2";

impl Output {
    /// Looks at the terminal and the environment once.
    pub fn for_terminal() -> Self {
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let stdout = io::stdout().is_terminal();
        Output {
            stdout_is_terminal: stdout,
            stdout_color: allowed && stdout,
            stderr_color: allowed && io::stderr().is_terminal(),
        }
    }

    /// Whether a person looks at stdout.
    pub fn is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Something begins.
    pub fn action(&self, words: impl AsRef<str>) {
        self.say(CYAN, "►", words);
    }

    /// Something is made.
    pub fn generate(&self, words: impl AsRef<str>) {
        self.say(CYAN, "✚", words);
    }

    /// Something is waited for.
    pub fn wait(&self, words: impl AsRef<str>) {
        self.say(CYAN, "◎", words);
    }

    /// Something succeeded.
    pub fn success(&self, words: impl AsRef<str>) {
        self.say(GREEN, "✔", words);
    }

    /// Something deserves attention.
    pub fn warning(&self, words: impl AsRef<str>) {
        self.say(YELLOW, "⚠", words);
    }

    /// Something failed, and the command goes on.
    pub fn failure(&self, words: impl AsRef<str>) {
        self.say(RED, "✗", words);
    }

    /// A line of further words below the last symbol.
    pub fn more(&self, words: impl AsRef<str>) {
        self.say(DIM, " ", words);
    }

    /// Why the command ends, and what to do next.
    pub fn error(&self, error: &CliError) {
        if error.message.is_empty() {
            return;
        }
        self.failure(&error.message);
        if !error.hint.is_empty() {
            self.more(&error.hint);
        }
    }

    fn say(&self, color: &str, symbol: &str, words: impl AsRef<str>) {
        let mut stderr = io::stderr().lock();
        for (number, line) in Text::lines(words.as_ref().trim_end()).iter().enumerate() {
            let symbol = if number == 0 { symbol } else { " " };
            // Nobody can be told that stderr is gone.
            if self.stderr_color {
                writeln!(stderr, "\x1b[{color}m{symbol}\x1b[0m {line}").ok();
            } else {
                writeln!(stderr, "{symbol} {line}").ok();
            }
        }
    }

    /// Asks a question on the terminal; `false` for everything but yes, and when nobody is there to answer.
    pub fn confirm(&self, question: &str) -> bool {
        if !io::stdin().is_terminal() {
            return false;
        }
        let mut stderr = io::stderr().lock();
        write!(stderr, "? {} [y/N] ", Text::new(question)).ok();
        stderr.flush().ok();
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    /// Prints data as it is; a terminal gets it line by line through `Text`.
    pub fn data(&self, data: &str) -> Result<(), CliError> {
        if !self.stdout_is_terminal {
            return self.write(&[data]);
        }
        let mut clean = String::with_capacity(data.len());
        for line in Text::lines(data.strip_suffix('\n').unwrap_or(data)) {
            clean.push_str(line.as_str());
            clean.push('\n');
        }
        self.write(&[clean])
    }

    /// Prints data that comes in pieces, as [`Output::data`].
    pub fn pieces<S: AsRef<str>>(&self, pieces: &[S]) -> Result<(), CliError> {
        if self.stdout_is_terminal {
            return self.data(&pieces.iter().map(AsRef::as_ref).collect::<String>());
        }
        self.write(pieces)
    }

    /// Prints one line of text.
    pub fn line(&self, line: impl AsRef<str>) -> Result<(), CliError> {
        self.write(&[format!("{}\n", Text::new(line))])
    }

    /// Prints one line that is clean already and may be tinted.
    pub fn painted(&self, line: &str) -> Result<(), CliError> {
        self.write(&[format!("{line}\n")])
    }

    /// The lines of a diff with their signs.
    pub fn diff(&self, lines: &[DiffLine]) -> Result<(), CliError> {
        for line in lines {
            let text = format!("{}{}", line.change.sign(), line.text);
            match line.change {
                Change::Same | Change::Gap => self.line(text)?,
                Change::Added => self.painted(&self.tint(State::Ready, &text))?,
                Change::Removed => self.painted(&self.tint(State::Failed, &text))?,
            }
        }
        Ok(())
    }

    /// What would happen: every part to the output; what it is about and what a person should know beside it.
    pub fn preview(&self, preview: &Preview) -> Result<(), CliError> {
        for (label, value) in &preview.about {
            // A row without a label goes on with the one above.
            self.more(if label.as_str().is_empty() { format!("  {value}") } else { format!("{label}: {value}") });
        }
        let commit = preview.commit.as_ref().filter(|_| !self.stdout_is_terminal);
        if let Some(commit) = commit {
            self.data(&commit.patch)?;
        }
        for part in preview.patch.parts.iter().filter(|_| commit.is_none()) {
            self.line(format!("► {} {}", part.name, part.fate.word()))?;
            self.diff(&part.lines)?;
        }
        for note in &preview.notes {
            self.warning(note.as_str());
        }
        Ok(())
    }

    /// Prints a table.
    pub fn table(&self, table: &Table) -> Result<(), CliError> {
        self.write(&[table.render(self.stdout_color)])
    }

    /// Colours a piece for stdout by how something is doing.
    pub fn tint(&self, state: State, text: &str) -> String {
        if self.stdout_color { painted(state, text) } else { text.to_owned() }
    }

    fn write<S: AsRef<str>>(&self, pieces: &[S]) -> Result<(), CliError> {
        let mut stdout = io::BufWriter::with_capacity(BUFFER, io::stdout().lock());
        let written = pieces.iter().try_for_each(|piece| stdout.write_all(piece.as_ref().as_bytes()));
        match written.and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            // `weir get | head` closes early: silently done, with no message and the success of a reader who has enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(CliError::user("", "").with_code(0)),
            Err(e) => Err(CliError::config(format!("stdout cannot be written: {e}"), "")),
        }
    }
}

fn painted(state: State, text: &str) -> String {
    let color = match state {
        State::Failed => RED,
        State::Unknown | State::Progressing | State::Waiting | State::Terminating => YELLOW,
        State::Suspended => DIM,
        State::Ready => GREEN,
    };
    format!("\x1b[{color}m{text}\x1b[0m")
}

/// Rows under upper-case headers, aligned with spaces so that people and `awk` can read them.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub headers: Vec<String>,
    rows: Vec<(Option<State>, Vec<Text>)>,
    /// The column that a row's state colours.
    state_column: Option<usize>,
    pub no_header: bool,
}

impl Table {
    /// An empty table; the column of that name is coloured by the rows' states.
    pub fn new<S: Into<String>>(headers: impl IntoIterator<Item = S>) -> Self {
        let headers: Vec<String> = headers.into_iter().map(Into::into).collect();
        let state_column = headers.iter().rposition(|header| header == "READY" || header == "STATUS");
        Table { headers, state_column, ..Table::default() }
    }

    /// Adds a row of raw cells.
    pub fn row<S: AsRef<str>>(&mut self, state: Option<State>, cells: impl IntoIterator<Item = S>) {
        self.rows.push((state, cells.into_iter().map(Text::new).collect()));
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; the last column is not padded.
    pub fn render(&self, color: bool) -> String {
        let mut widths: Vec<usize> =
            self.headers.iter().map(|header| if self.no_header { 0 } else { header.width() }).collect();
        for (_, cells) in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.as_str().width());
            }
        }
        let mut text = String::new();
        if !self.no_header {
            push_row(&mut text, &widths, self.headers.iter().map(|header| (header.clone(), header.width())));
        }
        for (state, cells) in &self.rows {
            let painted_cells = cells.iter().enumerate().map(|(column, cell)| {
                let shown = match state {
                    Some(state) if color && self.state_column == Some(column) => painted(*state, cell.as_str()),
                    _ => cell.to_string(),
                };
                (shown, cell.as_str().width())
            });
            push_row(&mut text, &widths, painted_cells);
        }
        text
    }
}

fn push_row(text: &mut String, widths: &[usize], cells: impl Iterator<Item = (String, usize)>) {
    let start = text.len();
    for (width, (cell, cell_width)) in widths.iter().zip(cells) {
        if text.len() > start {
            text.push_str("  ");
        }
        text.push_str(&cell);
        text.push_str(&" ".repeat(width.saturating_sub(cell_width)));
    }
    text.truncate(start + text[start..].trim_end_matches(' ').len());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_wide_characters_and_ends_lines_clean() {
        let mut table = Table::new(["NAME", "READY", "MESSAGE"]);
        table.row(Some(State::Ready), ["日本", "True", "fine"]);
        table.row(None, ["b\x1b[2J", "False", ""]);
        assert_eq!(table.render(false), ["NAME   READY  MESSAGE\n", "日本   True   fine\n", "b␛[2J  False\n"].concat());
    }

    #[test]
    fn colour_never_changes_the_alignment() {
        let mut table = Table::new(["NAME", "READY", "MESSAGE"]);
        table.row(Some(State::Failed), ["a", "False", "no"]);
        let painted = table.render(true);
        assert!(painted.contains("\x1b[31mFalse\x1b[0m"));
        assert_eq!(painted.replace("\x1b[31m", "").replace("\x1b[0m", ""), table.render(false));
        table.no_header = true;
        assert_eq!(table.render(false), "a  False  no\n");
    }
}
