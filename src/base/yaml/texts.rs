//! The texts and short lists of plain YAML: quoted, plain over lines, literal.
//!
//! As `quick`, whose second half this is: `None` gives up. Start with [`Quick::plain`].

use std::borrow::Cow;

use super::Style;
use super::quick::{Open, Quick};
use super::tree::Kind;

/// A list that is longer, of more than ASCII, is left to the general parser.
const LONG_LINE: usize = 1_000;

impl<'a> Quick<'a> {
    /// A list between brackets, of quoted texts and simple words.
    pub(super) fn list(&mut self) -> Option<()> {
        // Columns count characters, from the start of the line each time.
        if !self.is_ascii && self.line_end(self.at) - self.line_start > LONG_LINE {
            return None;
        }
        let node = self.push(self.at, Kind::Sequence { items: Vec::new(), flow: true })?;
        self.at += 1;
        let column = self.at - self.line_start;
        self.open.push(Open { node, column, is_list: true, children: Vec::new() });
        self.skip_spaces();
        while self.byte(self.at)? != b']' || !self.open.last()?.children.is_empty() {
            let start = self.at;
            let (text, style) = match self.byte(start)? {
                b'"' => (self.double()?, Style::Double),
                b'\'' => (self.single()?, Style::Single),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'_' => {
                    let is_word = |c: &u8| c.is_ascii_alphanumeric() || b"/_.-".contains(c);
                    self.at += self.text.as_bytes()[start..].iter().take_while(|c| is_word(c)).count();
                    (Cow::Borrowed(&self.text[start..self.at]), Style::Plain)
                }
                _ => return None,
            };
            self.scalar(start, text, style)?;
            self.skip_spaces();
            match self.byte(self.at)? {
                b']' => break,
                b',' => self.at += 1,
                _ => return None,
            }
            self.skip_spaces();
        }
        self.at += 1;
        self.close();
        Some(())
    }

    /// A text in single quotes, on one line.
    pub(super) fn single(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at + 1;
        let mut end = start;
        let mut doubled = false;
        loop {
            match self.byte(end)? {
                b'\'' if self.byte(end + 1) == Some(b'\'') => {
                    doubled = true;
                    end += 2;
                }
                b'\'' => break,
                b'\n' | b'\t' => return None,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        let text = &self.text[start..end];
        Some(if doubled { text.replace("''", "'").into() } else { text.into() })
    }

    /// A text in double quotes, on one line, with the common escapes.
    pub(super) fn double(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at + 1;
        let (mut end, mut plain) = (start, start);
        let mut made = String::new();
        loop {
            match self.byte(end)? {
                b'\\' => {
                    made.push_str(&self.text[plain..end]);
                    made.push(match self.byte(end + 1)? {
                        b'n' => '\n',
                        b't' => '\t',
                        c @ (b'"' | b'\\' | b'/') => char::from(c),
                        _ => return None,
                    });
                    end += 2;
                    plain = end;
                }
                b'"' => break,
                b'\n' | b'\t' => return None,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        let rest = &self.text[plain..end];
        Some(if plain == start { rest.into() } else { (made + rest).into() })
    }

    /// A plain text, which goes on over lines that stand deeper than what it is in.
    pub(super) fn plain(&mut self, outer: usize) -> Option<()> {
        let (start, line, line_start) = (self.at, self.line, self.line_start);
        let (first, mut ends) = self.plain_line()?;
        let mut text = Cow::Borrowed(first);
        while !ends {
            let mut breaks = 0;
            while self.byte(self.at) == Some(b'\n') {
                self.go_to(self.at + 1);
                self.skip_spaces();
                breaks += 1;
            }
            match self.byte(self.at) {
                None | Some(b'#') => break,
                Some(b'\t') => return None,
                Some(_) if self.at - self.line_start <= outer => break,
                Some(b'-' | b'?' | b':') => return None,
                Some(_) => {}
            }
            let text = text.to_mut();
            if breaks == 1 {
                text.push(' ');
            }
            text.extend(std::iter::repeat_n('\n', breaks - 1));
            let (more, last) = self.plain_line()?;
            text.push_str(more);
            ends = last;
        }
        let (after, after_start) = (self.line, self.line_start);
        (self.line, self.line_start) = (line, line_start);
        self.scalar(start, text, Style::Plain)?;
        (self.line, self.line_start) = (after, after_start);
        if self.at == self.line_start || !ends {
            return Some(());
        }
        self.end_line()
    }

    /// What of a plain text stands on the line, and whether a comment ends it.
    fn plain_line(&mut self) -> Option<(&'a str, bool)> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut comment = false;
        let mut end = start;
        while let Some(&c) = bytes.get(end) {
            match c {
                b'\n' => break,
                b'\t' => return None,
                b':' if self.is_blank(end + 1) => return None,
                b'#' if bytes[end - 1] == b' ' => {
                    comment = true;
                    break;
                }
                _ => end += 1,
            }
        }
        let text = self.text[start..end].trim_end_matches(' ');
        self.at = if comment { start + text.len() } else { end };
        Some((text, comment || end == bytes.len()))
    }

    /// A text behind `|` or `|-`.
    pub(super) fn literal(&mut self, outer: usize) -> Option<()> {
        self.at += 1;
        let strips = self.byte(self.at) == Some(b'-');
        self.at += usize::from(strips);
        self.skip_spaces();
        if self.byte(self.at)? != b'\n' {
            return None;
        }
        let start = self.at + 1;
        let mut indent = 0;
        let (mut at, mut end, mut blank) = (start, start, 0);
        let (mut line, mut first) = (self.line + 1, (0, 0));
        // The first look finds the end, so that the text is made at once.
        while at < self.text.len() {
            let stop = self.line_end(at);
            let spaces = self.text.as_bytes()[at..stop].iter().take_while(|c| **c == b' ').count();
            if at + spaces == stop {
                blank = blank.max(spaces);
            } else if indent > 0 && spaces < indent || indent == 0 && spaces <= outer {
                break;
            } else {
                if indent == 0 {
                    indent = spaces;
                    first = (line, at);
                }
                end = stop;
            }
            line += 1;
            at = stop + 1;
        }
        if indent == 0 || blank > indent {
            return None;
        }
        let mut text = String::with_capacity(end - start + 1);
        for line in self.text[start..end].split('\n') {
            text.push_str(line.get(indent..).unwrap_or_default());
            text.push('\n');
        }
        if strips || end == self.text.len() {
            text.pop();
        }
        // Its place is that of its text.
        (self.line, self.line_start) = first;
        self.scalar(self.line_start + indent, text.into(), Style::Literal)?;
        (self.line, self.line_start) = (line, at.min(self.text.len()));
        self.at = self.line_start;
        Some(())
    }
}
