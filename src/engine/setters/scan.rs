//! Finds marked fields: the places of their scalars, what is written there and which object they belong to.
//!
//! Walks the parser's events with a stack of its own, so neither depth nor aliases of a hostile file can hurt. Which
//! comment belongs to which scalar follows go-yaml: the comment behind it on its last line, else one comment line right
//! above it. Start with [`scan`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, Placement, ScalarStyle, Span, StructureStyle};

use super::changed::ObjectId;
use super::marker;

const DEPTH: usize = 256;
const EVENTS: usize = 4_000_000;

/// A field that a marker names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    /// Where the scalar stands, in bytes; of a block, from its comment on.
    pub place: Range<usize>,
    pub style: ScalarStyle,
    /// Inside `[]` or `{}`.
    pub flow: bool,
    pub value: String,
    pub setter: String,
    pub object: ObjectId,
    /// The scalar's number among all scalars.
    pub number: usize,
    /// From 1.
    pub line: usize,
}

/// An event as far as it tells whether two texts have one structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'t> {
    Scalar(Cow<'t, str>),
    Comment(Cow<'t, str>),
    Other(u8, usize),
}

impl<'t> Part<'t> {
    pub fn of(event: &Event<'t>) -> Part<'t> {
        match event {
            Event::Scalar(text, ..) => Part::Scalar(text.clone()),
            Event::Comment(text, _) => Part::Comment(text.clone()),
            Event::Alias(id) => Part::Other(1, *id),
            Event::SequenceStart(..) => Part::Other(2, 0),
            Event::SequenceEnd => Part::Other(3, 0),
            Event::MappingStart(..) => Part::Other(4, 0),
            Event::MappingEnd => Part::Other(5, 0),
            Event::DocumentStart(..) => Part::Other(6, 0),
            _ => Part::Other(7, 0),
        }
    }
}

/// An open collection.
enum Frame {
    Mapping { key: Option<String>, flow: bool },
    Sequence { index: usize, flow: bool },
}

/// A scalar whose comment may still come.
struct Waiting {
    field: Marked,
    end_line: usize,
    item: Option<usize>,
    head: Option<String>,
}

#[derive(Default)]
struct Scan {
    frames: Vec<Frame>,
    /// For each open collection, whether it is a key.
    are_keys: Vec<bool>,
    found: Vec<(Marked, Option<usize>)>,
    waiting: Option<Waiting>,
    /// Comment lines directly above what comes next.
    heads: Vec<String>,
    /// The line of the key of a mapping, when that was the last event.
    key_line: Option<usize>,
    /// Identities in this document: its own, and those of a list's items.
    ids: BTreeMap<Option<usize>, ObjectId>,
    done: Vec<Marked>,
    scalars: usize,
}

/// Finds the marked fields of a file, and all its parts.
///
/// Errors with what is wrong with the YAML.
pub(super) fn scan(text: &str) -> Result<(Vec<Marked>, Vec<Part<'_>>), String> {
    let (mut scan, mut parts) = (Scan::default(), Vec::new());
    events(text, |event, span| {
        parts.push(Part::of(&event));
        scan.take(event, span);
    })?;
    Ok((scan.done, parts))
}

/// Hands over the events of a text; places count from the start of the file.
pub(super) fn events<'t>(text: &'t str, mut take: impl FnMut(Event<'t>, Span)) -> Result<(), String> {
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        max_buffered_comment_events: 10_000,
    };
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str_with_options(body, options);
    let mut count = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let place = error.marker();
            format!("line {}, column {}: {}", place.line(), place.col() + 1, error.info())
        })?;
        count += 1;
        if count > EVENTS {
            return Err(format!("it has more than {EVENTS} parts"));
        }
        take(event, span);
    }
    Ok(())
}

impl Scan {
    fn take(&mut self, event: Event<'_>, span: Span) {
        if let Event::Comment(text, placement) = &event {
            return self.comment(text, *placement, &span);
        }
        self.settle();
        match event {
            Event::Scalar(text, style, ..) => return self.scalar(&text, style, &span),
            Event::SequenceStart(style, ..) => {
                // A comment above a list stands above its first item.
                let above = std::mem::take(&mut self.heads);
                self.open(Frame::Sequence { index: 0, flow: style == StructureStyle::Flow });
                if style != StructureStyle::Flow {
                    self.heads = above;
                }
                self.key_line = None;
                return;
            }
            Event::MappingStart(style, ..) => {
                self.open(Frame::Mapping { key: None, flow: style == StructureStyle::Flow });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.frames.pop();
                if self.are_keys.pop() != Some(true) {
                    self.step();
                }
            }
            Event::Alias(..) => self.other_node(),
            Event::DocumentEnd => self.end_document(),
            _ => {}
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.heads.clear();
        self.key_line = None;
    }

    fn open(&mut self, frame: Frame) {
        // A collection as a key has no name to remember.
        let is_key = match self.frames.last_mut() {
            Some(Frame::Mapping { key: key @ None, .. }) => {
                *key = Some(String::new());
                true
            }
            _ => false,
        };
        self.frames.push(frame);
        self.are_keys.push(is_key);
    }

    /// Moves on after a value or an item.
    fn step(&mut self) {
        match self.frames.last_mut() {
            Some(Frame::Mapping { key, .. }) => *key = None,
            Some(Frame::Sequence { index, .. }) => *index += 1,
            None => {}
        }
    }

    fn other_node(&mut self) {
        match self.frames.last_mut() {
            Some(Frame::Mapping { key: key @ None, .. }) => *key = Some(String::new()),
            _ => self.step(),
        }
    }

    fn comment(&mut self, text: &str, placement: Placement, span: &Span) {
        let line = span.start.line();
        let start = span.start.byte_offset().unwrap_or_default();
        let is_its_own = |waiting: &mut Waiting| match waiting.field.style {
            // The comment of a block stands in its first line, and comes after it.
            ScalarStyle::Literal | ScalarStyle::Folded => start < waiting.field.place.start,
            _ => waiting.end_line == line,
        };
        if placement == Placement::Right
            && let Some(mut waiting) = self.waiting.take_if(is_its_own)
        {
            waiting.field.place.start = start.min(waiting.field.place.start);
            self.decide(waiting, Some(text.to_owned()));
            return;
        }
        self.settle();
        if placement == Placement::Right {
            // Behind a dash it stands above the item; behind a key it belongs to the key.
            if self.key_line != Some(line) {
                self.heads.push(text.to_owned());
            }
        } else {
            self.heads.push(text.to_owned());
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: &Span) {
        let number = self.scalars;
        self.scalars += 1;
        if let Some(Frame::Mapping { key: key @ None, .. }) = self.frames.last_mut() {
            *key = Some(text.to_owned());
            self.forget();
            self.key_line = Some(span.end.line());
            return;
        }
        let item = self.identify(text);
        let heads = std::mem::take(&mut self.heads);
        let (start, end) = (span.start.byte_offset().unwrap_or_default(), span.end.byte_offset().unwrap_or_default());
        let field = Marked {
            place: start..end,
            style,
            flow: matches!(
                self.frames.last(),
                Some(Frame::Mapping { flow: true, .. } | Frame::Sequence { flow: true, .. })
            ),
            value: text.to_owned(),
            setter: String::new(),
            object: ObjectId::default(),
            number,
            line: span.start.line(),
        };
        let head = match heads.as_slice() {
            [head] => Some(head.clone()),
            _ => None,
        };
        // Where nothing is written there is nothing to edit; where a block begins is known only from its own comment.
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if start != end || style != ScalarStyle::Plain {
            let head = head.filter(|_| !is_block);
            self.waiting = Some(Waiting { field, end_line: span.end.line(), item, head });
        }
        self.step();
        self.key_line = None;
    }

    /// Takes note of a value that names its object; gives the list item that it is part of.
    fn identify(&mut self, text: &str) -> Option<usize> {
        let (item, rest) = match self.frames.as_slice() {
            [Frame::Mapping { key: Some(key), .. }, Frame::Sequence { index, .. }, rest @ ..] if key == "items" => {
                (Some(*index), rest)
            }
            rest => (None, rest),
        };
        let id = self.ids.entry(item).or_default();
        match rest {
            [Frame::Mapping { key: Some(key), .. }] if key == "apiVersion" => id.api_version = text.to_owned(),
            [Frame::Mapping { key: Some(key), .. }] if key == "kind" => id.kind = text.to_owned(),
            [Frame::Mapping { key: Some(outer), .. }, Frame::Mapping { key: Some(key), .. }] if outer == "metadata" => {
                match key.as_str() {
                    "name" => id.name = text.to_owned(),
                    "namespace" => id.namespace = text.to_owned(),
                    _ => {}
                }
            }
            _ => {}
        }
        item
    }

    /// No comment came behind the scalar.
    fn settle(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.decide(waiting, None);
        }
    }

    /// The first comment that is there decides, whether it is a marker or not.
    fn decide(&mut self, waiting: Waiting, behind: Option<String>) {
        let Waiting { mut field, item, head, .. } = waiting;
        if let Some(setter) = behind.or(head).and_then(|comment| marker::setter(&comment)) {
            field.setter = setter;
            self.found.push((field, item));
        }
    }

    fn end_document(&mut self) {
        let ids = std::mem::take(&mut self.ids);
        let own = ids.get(&None).cloned().unwrap_or_default();
        for (mut field, item) in self.found.drain(..) {
            let of_item = ids.get(&item).filter(|id| own.kind.ends_with("List") && !id.kind.is_empty());
            field.object = of_item.unwrap_or(&own).clone();
            self.done.push(field);
        }
        self.frames.clear();
        self.are_keys.clear();
    }
}
