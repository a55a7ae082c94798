//! The parsed template: a tree whose variables are already slots and whose functions are already found.
//!
//! Every part has a number, so that running keeps only a number for error texts; [`Tree::describe`] finds the part
//! again when something failed. Start with [`Tree`].

use std::fmt::Write;
use std::rc::Rc;

use super::call::Function;

/// A number within the tree and the place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub id: u32,
    pub position: u32,
}

/// A template with a name.
#[derive(Debug)]
pub(super) struct Tree {
    pub name: Rc<str>,
    /// The file the text came from, which error texts name.
    pub file: Rc<str>,
    pub text: Rc<str>,
    pub root: Vec<Node>,
    /// How many variables live at once.
    pub slots: usize,
}

#[derive(Debug)]
pub(super) enum Node {
    Text { start: u32, end: u32 },
    Action(Box<Pipe>),
    If(Box<Branch>),
    With(Box<Branch>),
    Range(Box<Branch>),
    Template { mark: Mark, name: Rc<str>, pipe: Option<Box<Pipe>> },
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct Branch {
    pub pipe: Pipe,
    pub list: Vec<Node>,
    pub otherwise: Option<Vec<Node>>,
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub mark: Mark,
    /// Name and slot of the variables set or declared.
    pub variables: Vec<(Rc<str>, Slot)>,
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
    Text { value: Rc<str>, quoted: Box<str> },
    Field(Path),
    Variable { name: Rc<str>, slot: Slot, fields: Path },
    Function(&'static Function),
    Pipe(Box<Pipe>),
    Chain { of: Box<Word>, fields: Path },
}

/// Fields such as `.a.b`: a piece of the text, since most are read once or never.
#[derive(Debug)]
pub(super) struct Path {
    pub text: Rc<str>,
    pub start: usize,
    pub end: usize,
}

impl Path {
    pub fn as_str(&self) -> &str {
        &self.text[self.start..self.end]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The way to the last field, and its name.
    pub fn split_last(&self) -> (impl Iterator<Item = &str>, &str) {
        let (way, last) = self.as_str().rsplit_once('.').unwrap_or_default();
        (way.split('.').skip(1), last)
    }
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
            Node::Text { start, end } => self.text[*start as usize..*end as usize].trim().is_empty(),
            _ => false,
        })
    }

    /// The place (`file:line:column`) and the text of the part with this number.
    pub fn describe(&self, id: u32) -> (String, String) {
        let (position, text) = find_nodes(&self.root, id).unwrap_or((0, String::new()));
        let before = self.text.get(..position as usize).unwrap_or_default();
        let column = before.rfind('\n').map_or(before.len(), |newline| before.len() - newline - 1);
        let line = 1 + before.matches('\n').count();
        (format!("{}:{line}:{column}", self.file), text)
    }
}

type Found = Option<(u32, String)>;

fn find_nodes(nodes: &[Node], id: u32) -> Found {
    nodes.iter().find_map(|node| match node {
        Node::Text { .. } | Node::Break | Node::Continue => None,
        Node::Action(pipe) => find_pipe(pipe, id),
        Node::If(branch) | Node::With(branch) | Node::Range(branch) => find_pipe(&branch.pipe, id)
            .or_else(|| find_nodes(&branch.list, id))
            .or_else(|| branch.otherwise.as_ref().and_then(|list| find_nodes(list, id))),
        Node::Template { mark, name, pipe } if mark.id == id => {
            let mut text = format!("{{{{template {}", super::text::quote(name));
            if let Some(pipe) = pipe {
                let _ = write!(text, " {pipe}");
            }
            text.push_str("}}");
            Some((mark.position, text))
        }
        Node::Template { pipe, .. } => pipe.as_ref().and_then(|pipe| find_pipe(pipe, id)),
    })
}

fn find_pipe(pipe: &Pipe, id: u32) -> Found {
    if pipe.mark.id == id {
        return Some((pipe.mark.position, pipe.to_string()));
    }
    pipe.commands().find_map(|command| {
        if command.mark.id == id {
            return Some((command.mark.position, command.to_string()));
        }
        command.words().find_map(|word| find_word(word, id))
    })
}

fn find_word(word: &Word, id: u32) -> Found {
    if word.mark.id == id {
        return Some((word.mark.position, word.to_string()));
    }
    match &word.kind {
        WordKind::Pipe(pipe) => find_pipe(pipe, id),
        WordKind::Chain { of, .. } => find_word(of, id),
        _ => None,
    }
}

impl std::fmt::Display for Pipe {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, _)) in self.variables.iter().enumerate() {
            out.write_str(if index > 0 { ", " } else { "" })?;
            out.write_str(name)?;
        }
        if !self.variables.is_empty() {
            out.write_str(if self.assigns { " = " } else { " := " })?;
        }
        for (index, command) in self.commands().enumerate() {
            out.write_str(if index > 0 { " | " } else { "" })?;
            write!(out, "{command}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, word) in self.words().enumerate() {
            out.write_str(if index > 0 { " " } else { "" })?;
            match &word.kind {
                WordKind::Pipe(pipe) => write!(out, "({pipe})")?,
                _ => write!(out, "{word}")?,
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = match &self.kind {
            WordKind::Dot => return out.write_str("."),
            WordKind::Nil => return out.write_str("nil"),
            WordKind::Bool(bool) => return write!(out, "{bool}"),
            WordKind::Number(number) => return out.write_str(&number.text),
            WordKind::Text { quoted, .. } => return out.write_str(quoted),
            WordKind::Function(function) => return out.write_str(function.name),
            WordKind::Pipe(pipe) => return write!(out, "{pipe}"),
            WordKind::Field(fields) => fields,
            WordKind::Variable { name, fields, .. } => {
                out.write_str(name)?;
                fields
            }
            WordKind::Chain { of, fields } => {
                match &of.kind {
                    WordKind::Pipe(pipe) => write!(out, "({pipe})")?,
                    _ => write!(out, "{of}")?,
                }
                fields
            }
        };
        out.write_str(fields.as_str())
    }
}
