//! The parsed template: a tree whose variables are already slots and whose functions are already found.
//!
//! Every part has a number, so that running keeps only a number for error texts; [`Tree::describe`] finds the part
//! again when something failed. Start with [`Tree`].

use std::fmt::{Display, Formatter, Write};
use std::rc::Rc;

use super::call::Function;

/// A number within the tree and the place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub id: u32,
    pub position: u32,
}

/// A piece of the text. Trees refer to their text instead of copying it: most parts are run once or never.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(start: usize, length: usize) -> Self {
        let place = |position| u32::try_from(position).unwrap_or(u32::MAX);
        Span { start: place(start), end: place(start + length) }
    }

    pub fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A template with a name.
#[derive(Debug)]
pub(super) struct Tree {
    pub name: Rc<str>,
    /// The file the text came from, which error texts name.
    pub file: Rc<str>,
    pub text: Rc<str>,
    pub root: Box<[Node]>,
    /// How many variables live at once.
    pub slots: usize,
}

#[derive(Debug)]
pub(super) enum Node {
    Text(Span),
    Action(Box<Pipe>),
    If(Box<Branch>),
    With(Box<Branch>),
    Range(Box<Branch>),
    Template(Box<Call>),
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct Branch {
    pub pipe: Pipe,
    pub list: Box<[Node]>,
    pub otherwise: Option<Box<[Node]>>,
}

/// A `template` action.
#[derive(Debug)]
pub(super) struct Call {
    pub mark: Mark,
    pub name: Rc<str>,
    pub pipe: Option<Pipe>,
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub mark: Mark,
    /// Name and slot of the variables set or declared.
    pub variables: Box<[(Span, Slot)]>,
    pub assigns: bool,
    pub first: Command,
    pub more: Box<[Command]>,
}

/// Where a variable lives; `None` when it was declared in a branch that was not taken.
pub(super) type Slot = Option<u32>;

#[derive(Debug)]
pub(super) struct Command {
    pub mark: Mark,
    pub word: Word,
    pub args: Box<[Word]>,
}

#[derive(Debug)]
pub(super) struct Word {
    pub mark: Mark,
    pub kind: WordKind,
}

#[derive(Debug)]
pub(super) enum WordKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Box<Number>),
    Text {
        value: Rc<str>,
        quoted: Span,
    },
    /// Fields such as `.a.b`.
    Field(Span),
    Variable {
        name: Span,
        slot: Slot,
        fields: Span,
    },
    Function(&'static Function),
    Pipe(Box<Pipe>),
    Chain {
        of: Box<Word>,
        fields: Span,
    },
}

impl Pipe {
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

impl Command {
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        std::iter::once(&self.word).chain(&self.args)
    }
}

/// A number literal, which is of every type that can hold it.
#[derive(Clone, Debug, Default)]
pub(super) struct Number {
    pub text: String,
    pub int: Option<i64>,
    pub uint: Option<u64>,
    pub float: Option<f64>,
}

impl Tree {
    /// Whether the tree would print nothing but space.
    pub fn is_empty(&self) -> bool {
        self.root.iter().all(|node| match node {
            Node::Text(span) => span.of(&self.text).trim().is_empty(),
            _ => false,
        })
    }

    /// The place (`file:line:column`) and the text of the part with this number.
    pub fn describe(&self, id: u32) -> (String, String) {
        let (position, text) = find_nodes(&self.root, &self.text, id).unwrap_or((0, String::new()));
        let before = self.text.get(..position as usize).unwrap_or_default();
        let column = before.rfind('\n').map_or(before.len(), |newline| before.len() - newline - 1);
        let line = 1 + before.matches('\n').count();
        (format!("{}:{line}:{column}", self.file), text)
    }
}

type Found = Option<(u32, String)>;

fn find_nodes(nodes: &[Node], text: &str, id: u32) -> Found {
    nodes.iter().find_map(|node| match node {
        Node::Text(_) | Node::Break | Node::Continue => None,
        Node::Action(pipe) => find_pipe(pipe, text, id),
        Node::If(branch) | Node::With(branch) | Node::Range(branch) => find_pipe(&branch.pipe, text, id)
            .or_else(|| find_nodes(&branch.list, text, id))
            .or_else(|| branch.otherwise.as_ref().and_then(|list| find_nodes(list, text, id))),
        Node::Template(call) if call.mark.id == id => {
            let mut shown = format!("{{{{template {}", super::text::quote(&call.name));
            if let Some(pipe) = &call.pipe {
                let _ = write!(shown, " {}", Shown(pipe, text));
            }
            shown.push_str("}}");
            Some((call.mark.position, shown))
        }
        Node::Template(call) => call.pipe.as_ref().and_then(|pipe| find_pipe(pipe, text, id)),
    })
}

fn find_pipe(pipe: &Pipe, text: &str, id: u32) -> Found {
    if pipe.mark.id == id {
        return Some((pipe.mark.position, Shown(pipe, text).to_string()));
    }
    pipe.commands().find_map(|command| {
        if command.mark.id == id {
            return Some((command.mark.position, Shown(command, text).to_string()));
        }
        command.words().find_map(|word| find_word(word, text, id))
    })
}

fn find_word(word: &Word, text: &str, id: u32) -> Found {
    if word.mark.id == id {
        return Some((word.mark.position, Shown(word, text).to_string()));
    }
    match &word.kind {
        WordKind::Pipe(pipe) => find_pipe(pipe, text, id),
        WordKind::Chain { of, .. } => find_word(of, text, id),
        _ => None,
    }
}

/// A part and the text it was read from, written as Go writes it.
pub(super) struct Shown<'t, P>(pub &'t P, pub &'t str);

impl Display for Shown<'_, Pipe> {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Shown(pipe, text) = self;
        for (index, (name, _)) in pipe.variables.iter().enumerate() {
            out.write_str(if index > 0 { ", " } else { "" })?;
            out.write_str(name.of(text))?;
        }
        if !pipe.variables.is_empty() {
            out.write_str(if pipe.assigns { " = " } else { " := " })?;
        }
        for (index, command) in pipe.commands().enumerate() {
            out.write_str(if index > 0 { " | " } else { "" })?;
            write!(out, "{}", Shown(command, text))?;
        }
        Ok(())
    }
}

impl Display for Shown<'_, Command> {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Shown(command, text) = self;
        for (index, word) in command.words().enumerate() {
            out.write_str(if index > 0 { " " } else { "" })?;
            bracketed(out, word, text)?;
        }
        Ok(())
    }
}

impl Display for Shown<'_, Word> {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Shown(word, text) = self;
        let fields = match &word.kind {
            WordKind::Dot => return out.write_str("."),
            WordKind::Nil => return out.write_str("nil"),
            WordKind::Bool(bool) => return write!(out, "{bool}"),
            WordKind::Number(number) => return out.write_str(&number.text),
            WordKind::Text { quoted, .. } => return out.write_str(quoted.of(text)),
            WordKind::Function(function) => return out.write_str(function.name),
            WordKind::Pipe(pipe) => return write!(out, "{}", Shown(&**pipe, text)),
            WordKind::Field(fields) => fields,
            WordKind::Variable { name, fields, .. } => {
                out.write_str(name.of(text))?;
                fields
            }
            WordKind::Chain { of, fields } => {
                bracketed(out, of, text)?;
                fields
            }
        };
        out.write_str(fields.of(text))
    }
}

/// A word among others: a pipeline stands in brackets.
fn bracketed(out: &mut Formatter<'_>, word: &Word, text: &str) -> std::fmt::Result {
    match &word.kind {
        WordKind::Pipe(pipe) => write!(out, "({})", Shown(&**pipe, text)),
        _ => write!(out, "{}", Shown(word, text)),
    }
}
