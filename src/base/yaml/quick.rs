//! The plain YAML that nearly every manifest is, read in one pass and without the general parser.
//!
//! Block mappings and lists, texts on one line, folded plain texts, literal blocks, short lists between brackets. At
//! anything else the reader gives up (`None`) and the general parser reads the stream: so this must never take what
//! that refuses, nor read it otherwise, places included (but for those of values that are not there).
//! Start with [`Quick::document`].

use std::borrow::Cow;

use super::tree::{Kind, Raw, Tree};
use super::{Limits, Style};

/// Nesting that is left to the general parser, which has a limit of its own.
const DEPTH: usize = 64;

/// Reads a stream document by document.
pub(super) struct Quick<'a> {
    pub(super) text: &'a str,
    limits: &'a Limits,
    pub(super) is_ascii: bool,
    /// Where the line at hand starts, and its number from 1.
    pub(super) line_start: usize,
    pub(super) line: u32,
    pub(super) at: usize,
    /// A `---` was read, so that there is a document, even an empty one.
    begun: bool,
    nodes: Vec<Raw<'a>>,
    pub(super) open: Vec<Open>,
    /// A key or a dash stands there and its value is still to come.
    expects: bool,
}

/// A collection whose end is still to come.
pub(super) struct Open {
    pub(super) node: u32,
    pub(super) column: usize,
    pub(super) is_list: bool,
    pub(super) children: Vec<u32>,
}

impl<'a> Quick<'a> {
    /// `None` when the text is nothing for this reader.
    pub(super) fn new(text: &'a str, limits: &'a Limits) -> Option<Self> {
        let is_ascii = text.is_ascii();
        let is_odd = |c| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
        if text.len() > limits.document_bytes || text.contains('\r') || (!is_ascii && text.contains(is_odd)) {
            return None;
        }
        let (nodes, open) = (Vec::new(), Vec::new());
        Some(Quick { text, limits, is_ascii, line_start: 0, line: 1, at: 0, begun: false, nodes, open, expects: false })
    }

    /// The next document; `Some(None)` after the last.
    pub(super) fn document(&mut self) -> Option<Option<Tree<'a>>> {
        let mut begun = std::mem::take(&mut self.begun);
        while let Some(column) = self.next_line()? {
            let rest = &self.text.as_bytes()[self.at..];
            if column == 0 && rest.starts_with(b"---") {
                self.at += 3;
                self.end_line()?;
                if begun {
                    self.begun = true;
                    break;
                }
            } else if column == 0 && (rest.starts_with(b"...") || rest[0] == b'%') {
                return None;
            } else {
                self.content(column)?;
            }
            begun = true;
        }
        if !begun {
            return Some(None);
        }
        while !self.open.is_empty() {
            self.close();
        }
        if self.nodes.is_empty() {
            self.absent();
        }
        Some(Some(Tree { limits: self.limits, nodes: std::mem::take(&mut self.nodes) }))
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    pub(super) fn is_blank(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\n'))
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.byte(self.at) == Some(b' ') {
            self.at += 1;
        }
    }

    /// Where the line ends that goes through a place.
    pub(super) fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |end| at + end)
    }

    pub(super) fn go_to(&mut self, start: usize) {
        self.line_start = start;
        self.at = start;
        self.line += 1;
    }

    /// Goes on to the next line with content, at its column; `Some(None)` at the end.
    fn next_line(&mut self) -> Option<Option<usize>> {
        loop {
            self.skip_spaces();
            match self.byte(self.at) {
                None => return Some(None),
                Some(b'\t') => return None,
                Some(b'\n') => self.go_to(self.at + 1),
                Some(b'#') => self.skip_line(),
                Some(_) => return Some(Some(self.at - self.line_start)),
            }
        }
    }

    fn skip_line(&mut self) {
        match self.line_end(self.at) {
            end if end < self.text.len() => self.go_to(end + 1),
            end => self.at = end,
        }
    }

    /// Nothing but a comment may follow on the line.
    pub(super) fn end_line(&mut self) -> Option<()> {
        let spaced = self.byte(self.at) == Some(b' ');
        self.skip_spaces();
        match self.byte(self.at) {
            None => {}
            Some(b'\n') => self.go_to(self.at + 1),
            Some(b'#') if spaced => self.skip_line(),
            _ => return None,
        }
        Some(())
    }

    pub(super) fn push(&mut self, at: usize, kind: Kind<'a>) -> Option<u32> {
        if self.nodes.len() >= self.limits.nodes {
            return None;
        }
        let before = &self.text[self.line_start..at];
        let column = 1 + if self.is_ascii { before.len() } else { before.chars().count() };
        Some(self.push_at(u32::try_from(column).ok()?, kind))
    }

    fn push_at(&mut self, column: u32, kind: Kind<'a>) -> u32 {
        let node = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        if let Some(open) = self.open.last_mut() {
            open.children.push(node);
        }
        self.nodes.push(Raw { line: self.line, column, kind });
        self.expects = false;
        node
    }

    pub(super) fn scalar(&mut self, at: usize, text: Cow<'a, str>, style: Style) -> Option<()> {
        self.push(at, Kind::Scalar { text, style, tag: None, absent: false })?;
        Some(())
    }

    /// The value that is expected and does not come.
    fn absent(&mut self) {
        self.push_at(1, Kind::Scalar { text: "~".into(), style: Style::Plain, tag: None, absent: true });
    }

    fn begin(&mut self, mark: usize, column: usize, is_list: bool) -> Option<()> {
        let (items, flow) = (Vec::new(), false);
        let kind = if is_list { Kind::Sequence { items, flow } } else { Kind::Mapping { items, flow } };
        if self.open.len() >= DEPTH.min(self.limits.depth) {
            return None;
        }
        let node = self.push(mark, kind)?;
        self.open.push(Open { node, column, is_list, children: Vec::new() });
        Some(())
    }

    pub(super) fn close(&mut self) {
        if self.expects {
            self.absent();
        }
        let Some(open) = self.open.pop() else { return };
        if let Kind::Sequence { items, .. } | Kind::Mapping { items, .. } = &mut self.nodes[open.node as usize].kind {
            *items = open.children;
        }
    }

    /// What stands first on a line: the next key, the next item, or the value that is expected.
    fn content(&mut self, column: usize) -> Option<()> {
        let is_item = self.is_item();
        loop {
            let Some(top) = self.open.last() else {
                return if self.nodes.is_empty() { self.node(column, None) } else { None };
            };
            let outer = top.column;
            if outer < column {
                return if self.expects { self.node(column, Some(outer)) } else { None };
            }
            if outer == column && !top.is_list && is_item {
                return if self.expects { self.beneath(column) } else { None };
            }
            if outer == column && top.is_list == is_item {
                if self.expects {
                    self.absent();
                }
                return if is_item { self.item(column) } else { self.entry(column) };
            }
            self.close();
        }
    }

    /// A list right beneath its key. The parser places it where its first item starts.
    fn beneath(&mut self, column: usize) -> Option<()> {
        let rest = self.text[self.at + 1..].trim_start_matches(' ');
        if rest.starts_with('#') {
            return None;
        }
        self.begin(self.text.len() - rest.len(), column, true)?;
        self.item(column)
    }

    fn is_item(&self) -> bool {
        self.byte(self.at) == Some(b'-') && self.is_blank(self.at + 1)
    }

    fn node(&mut self, column: usize, outer: Option<usize>) -> Option<()> {
        if self.is_item() {
            self.begin(self.at, column, true)?;
            return self.item(column);
        }
        match self.key_end()? {
            Some(_) => {
                self.begin(self.at, column, false)?;
                self.entry(column)
            }
            None => self.value(outer?),
        }
    }

    fn item(&mut self, column: usize) -> Option<()> {
        self.at += 1;
        if self.is_end()? {
            self.expects = true;
            return self.end_line();
        }
        self.skip_spaces();
        self.node(self.at - self.line_start, Some(column))
    }

    fn entry(&mut self, column: usize) -> Option<()> {
        let end = self.key_end()??;
        let start = self.at;
        let (text, style) = match self.byte(start) {
            Some(b'"') => (self.double()?, Style::Double),
            Some(b'\'') => (self.single()?, Style::Single),
            _ => (Cow::Borrowed(&self.text[start..end]), Style::Plain),
        };
        self.scalar(start, text, style)?;
        self.at = end + 1;
        if self.is_end()? {
            self.expects = true;
            return self.end_line();
        }
        self.skip_spaces();
        self.value(column)
    }

    /// Whether nothing follows on the line but a comment.
    fn is_end(&self) -> Option<bool> {
        let rest = self.text[self.at..].trim_start_matches(' ');
        match rest.bytes().next() {
            Some(b'\t') => None,
            first => Some(matches!(first, None | Some(b'\n' | b'#'))),
        }
    }

    /// Where the key ends that stands here, `Some(None)` when none does.
    fn key_end(&mut self) -> Option<Option<usize>> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let end = match bytes[start] {
            quote @ (b'"' | b'\'') => {
                if quote == b'"' {
                    self.double()?
                } else {
                    self.single()?
                };
                std::mem::replace(&mut self.at, start)
            }
            _ => {
                let length = bytes[start..].iter().enumerate().position(|(at, &c)| match c {
                    b'\n' | b'\t' => true,
                    b':' => self.is_blank(start + at + 1),
                    b'#' => at > 0 && bytes[start + at - 1] == b' ',
                    _ => false,
                });
                length.map_or(bytes.len(), |length| start + length)
            }
        };
        match self.byte(end) {
            Some(b'\t') => None,
            Some(b':') if !self.is_blank(end + 1) || end - start > 1000 || !self.starts_plain() => None,
            Some(b':') if bytes[end - 1] == b' ' => None,
            Some(b':') => Some(Some(end)),
            _ => Some(None),
        }
    }

    /// Whether the text here is a quoted or a plain one.
    fn starts_plain(&self) -> bool {
        match self.text.as_bytes()[self.at] {
            b'-' => !self.is_blank(self.at + 1),
            c => !b"?:,[]{}#&*!|>%@`".contains(&c),
        }
    }

    /// A value within the collection whose keys or dashes stand at column `outer`.
    fn value(&mut self, outer: usize) -> Option<()> {
        let start = self.at;
        match self.text.as_bytes()[start] {
            b'"' => {
                let text = self.double()?;
                self.scalar(start, text, Style::Double)?;
            }
            b'\'' => {
                let text = self.single()?;
                self.scalar(start, text, Style::Single)?;
            }
            b'[' => self.list()?,
            b'{' if self.byte(start + 1) == Some(b'}') => {
                self.push(start, Kind::Mapping { items: Vec::new(), flow: true })?;
                self.at += 2;
            }
            b'|' => return self.literal(outer),
            _ if self.starts_plain() => return self.plain(outer),
            _ => return None,
        }
        self.end_line()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::parse_all;
    use super::*;

    /// Whether the quick reader takes a text to its end; what it takes it must read as the general parser does.
    fn takes(text: &str) -> bool {
        let limits = Limits::default();
        let Some(mut quick) = Quick::new(text, &limits) else { return false };
        let mut trees = Vec::new();
        let to_end = loop {
            match quick.document() {
                Some(Some(tree)) => trees.push(tree),
                Some(None) => break true,
                None => break false,
            }
        };
        let mut count = 0;
        let parsed = parse_all(text, &limits, |index, tree| {
            let Some(quick) = trees.get(index) else { return Ok(()) };
            count += 1;
            assert_eq!(quick.nodes.len(), tree.nodes.len(), "{text:?}");
            for (quick, node) in quick.nodes.iter().zip(&tree.nodes) {
                let absent = matches!(quick.kind, Kind::Scalar { absent: true, .. });
                assert!(quick.kind == node.kind && (absent || quick == node), "{text:?}: {quick:?} {node:?}");
            }
            Ok(())
        });
        assert!(!to_end || (parsed.is_ok() && count == trees.len()), "{text:?}: {parsed:?}");
        assert!(parsed.is_err() || count == trees.len(), "{text:?}");
        to_end
    }

    #[test]
    fn plain_manifests_are_taken() {
        for text in [
            "",
            "# nothing\n",
            "---\n",
            "a: 1\n---\nb: 2\n---\n# none\n---\nc: 3",
            "a:\n- b\n- c: d\n  e:\n  - f\n  -   g: h\n      i: j\n-\n- - k\n  - l\nm:\nn: {}\no: []\n",
            "a: \"x: \\\"y\\\" # z\" # w\nb: 'it''s'\n'c d': [\"e\", 'f', g/h, 1]\n\"i\": -1\nj: http://k:1/#l\n",
            "a: one\n  two\n\n  three\nb:\n  four\n  five\nc: six # comment\n",
            "a: |\n  x\n    y: z\n\n  - w\n\nb: |-\n    {{ x }}\n\n# c\nd: |\n  end",
            "ä: ö\nü: \"ß\" # é\nlist: [\"ö\", b]\n",
        ] {
            assert!(takes(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_taken_is_read_as_the_parser_reads_it() {
        const WORDS: [&str; 40] = [
            "a", "b: ", "c:", ": ", ":", "-", "- ", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", " ", "  ", "#", " # ",
            "\"", "'", "|", "|-", "|\n", "|-\n   ", ">", "[", "]", "{}", ",", "---", "\n---\n", "&x", "*x", "!", "\t",
            "\\", "\\n", "ä", "?", "<<: ", "...", "\n\n",
        ];
        let mut state = 1_u64;
        let mut random = |most: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % most
        };
        let mut taken = 0;
        for _ in 0..ROUNDS {
            let text: String = (0..1 + random(14)).map(|_| WORDS[random(WORDS.len())]).collect();
            taken += usize::from(takes(&text));
        }
        assert!(taken > ROUNDS / 100, "{taken}");
    }

    const ROUNDS: usize = 30_000;
}
