//! One document as parsed: a flat list of nodes with places, aliases not yet followed.
//!
//! Parsing fills the list without recursion; only then are values or nodes made from it, so every budget holds
//! before anything nests or multiplies. `make.rs` is the second half.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, StructureStyle};

use super::quick::Quick;
use super::{Limits, Style, YamlError};

/// One parsed document.
pub(super) struct Tree<'a> {
    pub(super) limits: &'a Limits,
    pub(super) nodes: Vec<Raw<'a>>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Raw<'a> {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) kind: Kind<'a>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Kind<'a> {
    Scalar {
        text: Cow<'a, str>,
        style: Style,
        tag: Option<Box<str>>,
        absent: bool,
    },
    Sequence {
        items: Vec<u32>,
        flow: bool,
    },
    /// Keys and values in turn.
    Mapping {
        items: Vec<u32>,
        flow: bool,
    },
    Alias(u32),
}

/// Checks size, encoding and forbidden characters before the parser sees anything.
pub(super) fn check_text<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, YamlError> {
    let line_at = |offset: usize| bytes[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1;
    if bytes.len() > limits.file_bytes {
        return Err(YamlError::new(0, 0, format!("the file is larger than {} bytes", limits.file_bytes)));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| YamlError::new(line_at(error.valid_up_to()), 0, "the text is not valid UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Nearly all there is, in one look; the processor looks at many bytes at once where none of them ends the look.
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    if text.as_bytes().chunks(64).all(|bytes| bytes.iter().fold(true, |plain, byte| plain & is_plain(byte))) {
        return Ok(text);
    }
    let control = text.char_indices().find(|&(_, c)| match c {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        c => c < ' ' || ('\u{7f}'..'\u{a0}').contains(&c) || matches!(c, '\u{fffe}' | '\u{ffff}'),
    });
    match control {
        Some((offset, c)) => {
            let skipped = bytes.len() - text.len();
            let message = format!("control character {:#04x} is not allowed; escape it in a quoted text", u32::from(c));
            Err(YamlError::new(line_at(skipped + offset), 0, message))
        }
        None => Ok(text),
    }
}

/// Parses a stream and hands over each document with its position.
pub(super) fn each_document<'a>(
    text: &'a str,
    limits: &'a Limits,
    mut take: impl FnMut(usize, &Tree<'a>) -> Result<(), YamlError>,
) -> Result<(), YamlError> {
    let mut taken = 0;
    if let Some(mut quick) = Quick::new(text, limits) {
        while let Some(next) = quick.document() {
            let Some(tree) = next else { return Ok(()) };
            take(taken, &tree)?;
            taken += 1;
        }
    }
    parse_all(text, limits, |index, tree| if index < taken { Ok(()) } else { take(index, tree) })
}

/// As [`each_document`], all with the general parser.
pub(super) fn parse_all<'a>(
    text: &'a str,
    limits: &'a Limits,
    mut take: impl FnMut(usize, &Tree<'a>) -> Result<(), YamlError>,
) -> Result<(), YamlError> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: limits.depth,
        block_nesting_limit: limits.depth,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let last_line = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    let end = End { at: text.len(), is_open: !last_line.trim_matches(' ').is_empty() };
    let mut index = 0;
    while let Some((event, span)) = next(&mut parser, limits)? {
        if let Event::DocumentStart(..) = event {
            let start = span.end.byte_offset().unwrap_or_default();
            take(index, &Tree::parse(&mut parser, limits, start, end)?)?;
            index += 1;
        }
    }
    Ok(())
}

/// Where a stream ends.
#[derive(Clone, Copy)]
struct End {
    at: usize,
    /// Within a line that has more than spaces.
    is_open: bool,
}

type Events<'a> = Parser<'a, StrInput<'a>>;

fn next<'a>(parser: &mut Events<'a>, limits: &Limits) -> Result<Option<(Event<'a>, Span)>, YamlError> {
    parser.next_event().transpose().map_err(|error| {
        let mark = error.marker();
        let message = match error.kind() {
            granit_parser::ErrorKind::RecursionLimitExceeded => format!("nested deeper than {} levels", limits.depth),
            _ => error.info(),
        };
        YamlError::new(mark.line(), mark.col() + 1, message)
    })
}

impl<'a> Tree<'a> {
    fn parse(parser: &mut Events<'a>, limits: &'a Limits, start: usize, end: End) -> Result<Self, YamlError> {
        let mut tree = Tree { limits, nodes: Vec::new() };
        let mut open: Vec<(u32, Vec<u32>)> = Vec::new();
        let mut anchors: HashMap<usize, u32> = HashMap::new();
        while let Some((event, span)) = next(parser, limits)? {
            let fail = |message: String| Err(YamlError::new(span.start.line(), span.start.col() + 1, message));
            if span.end.byte_offset().unwrap_or_default().saturating_sub(start) > limits.document_bytes {
                return fail(format!("the document is larger than {} bytes", limits.document_bytes));
            }
            if tree.nodes.len() >= limits.nodes {
                return fail(format!("the document has more than {} nodes", limits.nodes));
            }
            let anchor = event.anchor_id();
            let (kind, opens) = match event {
                Event::Scalar(mut text, style, _, tag) => {
                    let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                    if end.is_open && is_block && span.end.byte_offset() == Some(end.at) && text.ends_with('\n') {
                        // Where the file ends without a line break, so does a block that goes to its end.
                        text.to_mut().pop();
                    }
                    let absent = style == ScalarStyle::Plain && span.start.index() == span.end.index();
                    let tag = tag.map(|tag| tag_name(&tag));
                    (Kind::Scalar { text, style: style_of(style), tag, absent }, false)
                }
                Event::Alias(id) => {
                    let Some(&target) = anchors.get(&id) else { return fail("the alias has no anchor".into()) };
                    if open.iter().any(|(node, _)| *node == target) {
                        return fail("the anchor's value contains itself".into());
                    }
                    (Kind::Alias(target), false)
                }
                Event::SequenceStart(style, ..) => {
                    (Kind::Sequence { items: Vec::new(), flow: style == StructureStyle::Flow }, true)
                }
                Event::MappingStart(style, ..) => {
                    (Kind::Mapping { items: Vec::new(), flow: style == StructureStyle::Flow }, true)
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    tree.close(open.pop());
                    continue;
                }
                Event::DocumentEnd => break,
                _ => continue,
            };
            let number = u32::try_from(tree.nodes.len()).unwrap_or(u32::MAX);
            if let Some((_, items)) = open.last_mut() {
                items.push(number);
            }
            if let Some(id) = anchor {
                anchors.insert(id, number);
            }
            tree.nodes.push(Raw { line: short(span.start.line()), column: short(span.start.col() + 1), kind });
            if opens {
                if open.len() >= limits.depth {
                    return fail(format!("nested deeper than {} levels", limits.depth));
                }
                open.push((number, Vec::new()));
            }
        }
        Ok(tree)
    }

    fn close(&mut self, closed: Option<(u32, Vec<u32>)>) {
        let Some((number, children)) = closed else { return };
        match &mut self.nodes[number as usize].kind {
            Kind::Sequence { items, .. } | Kind::Mapping { items, .. } => *items = children,
            Kind::Scalar { .. } | Kind::Alias(_) => {}
        }
    }

    /// The line of the first node, from 1.
    pub(super) fn line(&self) -> usize {
        self.nodes.first().map_or(1, |node| node.line as usize)
    }

    /// The line of the deepest existing part of a path.
    pub(super) fn line_at(&self, path: &[&str]) -> usize {
        let (mut at, mut line) = (0, self.line());
        for step in path {
            let found = match self.nodes.get(self.follow(at)).map(|node| &node.kind) {
                Some(Kind::Mapping { items, .. }) => items
                    .chunks_exact(2)
                    .find(|pair| matches!(&self.nodes[self.follow(pair[0] as usize)].kind, Kind::Scalar { text, .. } if text == step))
                    .map(|pair| (pair[0], pair[1])),
                Some(Kind::Sequence { items, .. }) => {
                    step.parse::<usize>().ok().and_then(|index| items.get(index)).map(|&item| (item, item))
                }
                _ => None,
            };
            let Some((key, value)) = found else { break };
            line = self.nodes[key as usize].line as usize;
            at = value as usize;
        }
        line
    }

    pub(super) fn follow(&self, at: usize) -> usize {
        match self.nodes.get(at).map(|node| &node.kind) {
            Some(Kind::Alias(target)) => *target as usize,
            _ => at,
        }
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

fn tag_name(tag: &granit_parser::Tag) -> Box<str> {
    match tag.suffix_in_namespace("tag:yaml.org,2002:") {
        Some(name) => format!("!!{name}").into(),
        None => tag.original().into(),
    }
}

fn short(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
