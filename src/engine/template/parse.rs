//! Reads the text of a template into trees: one for the file and one for every `define` and `block` in it.
//!
//! Names of variables are resolved to slots here, as running would find them; functions must exist. The messages are
//! the ones Go's parser gives, because people search for them. Start with [`parse`].
//! Source: text/template/parse (parse.go).

use std::collections::HashMap;
use std::rc::Rc;

use super::call::Function;
use super::lex::{Kind, Lexer, Token};
use super::text::{quote, unquote};
use super::tree::{Branch, Call, Mark, Node, Span, Tree, Word};

/// Deeper nesting of blocks and parentheses than this is refused: the stack is finite.
const DEPTH: usize = 200;

/// Finds a function by its name.
pub(super) type Find<'f> = &'f dyn Fn(&str) -> Option<&'static Function>;

/// Parses a file. The first tree is the file itself, the others are what it defines.
///
/// Errors with Go's message, `template: file:line: …`.
pub(super) fn parse(name: &Rc<str>, text: &str, find: Find) -> Result<Vec<Tree>, String> {
    let empty = Token { kind: Kind::Eof, start: 0, text: "" };
    let mut parser = Parser {
        file: Rc::clone(name),
        text: text.into(),
        lexer: Lexer::new(text),
        find,
        tokens: [empty; 3],
        peeked: 0,
        scope: Scope::default(),
        ids: 0,
        depth: 0,
        action_start: None,
        trees: Vec::new(),
        places: HashMap::new(),
        nodes: Vec::new(),
        words: Vec::new(),
    };
    let root = parser.file()?;
    parser.add(Rc::clone(name), root)?;
    parser.trees.swap(0, parser.places[name]);
    Ok(parser.trees)
}

/// What a definition starts anew.
pub(super) struct Scope<'t> {
    /// Every variable mentioned so far, which is what Go's parser checks against.
    pub names: Vec<&'t str>,
    /// The variables that will live at this place when it runs.
    pub stack: Vec<&'t str>,
    pub most: usize,
    ranges: usize,
}

impl Default for Scope<'_> {
    fn default() -> Self {
        Scope { names: vec!["$"], stack: vec!["$"], most: 1, ranges: 0 }
    }
}

pub(super) struct Parser<'t, 'f> {
    file: Rc<str>,
    pub(super) text: Rc<str>,
    pub(super) lexer: Lexer<'t>,
    pub(super) find: Find<'f>,
    tokens: [Token<'t>; 3],
    pub(super) peeked: usize,
    pub(super) scope: Scope<'t>,
    ids: u32,
    pub(super) depth: usize,
    /// Where the action at hand starts; its line is counted only when something is wrong with it.
    action_start: Option<usize>,
    trees: Vec<Tree>,
    /// Which tree has a name.
    places: HashMap<Rc<str>, usize>,
    /// The nodes of the lists that are open, and the arguments of the open commands: a list is as long as it is only
    /// once it has ended.
    nodes: Vec<Node>,
    pub(super) words: Vec<Word>,
}

/// What ended a list of nodes.
#[derive(Clone, Copy, PartialEq)]
enum End {
    End,
    Else,
}

impl End {
    fn text(self) -> &'static str {
        if self == End::End { "{{end}}" } else { "{{else}}" }
    }
}

enum Step {
    Node(Node),
    Stop(End),
}

pub(super) type Parsed<T> = Result<T, String>;

impl<'t> Parser<'t, '_> {
    pub(super) fn advance(&mut self) -> Token<'t> {
        if self.peeked > 0 {
            self.peeked -= 1;
        } else {
            self.tokens[0] = self.lexer.next();
        }
        self.tokens[self.peeked]
    }

    pub(super) fn backup(&mut self) {
        self.peeked += 1;
    }

    pub(super) fn backup2(&mut self, first: Token<'t>) {
        self.tokens[1] = first;
        self.peeked = 2;
    }

    pub(super) fn backup3(&mut self, first: Token<'t>, second: Token<'t>) {
        self.tokens[1] = second;
        self.tokens[2] = first;
        self.peeked = 3;
    }

    pub(super) fn peek(&mut self) -> Token<'t> {
        let token = self.advance();
        self.backup();
        token
    }

    pub(super) fn next(&mut self) -> Token<'t> {
        loop {
            let token = self.advance();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    pub(super) fn peek_solid(&mut self) -> Token<'t> {
        let token = self.next();
        self.backup();
        token
    }

    fn line(&self, position: usize) -> usize {
        1 + self.text[..position].matches('\n').count()
    }

    pub(super) fn fail<T>(&self, message: impl std::fmt::Display) -> Parsed<T> {
        Err(format!("template: {}:{}: {message}", self.file, self.line(self.tokens[0].start)))
    }

    pub(super) fn unexpected<T>(&self, token: &Token<'_>, context: &str) -> Parsed<T> {
        if token.kind == Kind::Error {
            let said = &self.lexer.message;
            let mut extra = String::new();
            let started = self.action_start.map(|start| self.line(start));
            if let Some(started) = started.filter(|started| *started != self.line(token.start)) {
                let lead = if said.ends_with(" action") { "" } else { " in action" };
                extra = format!("{lead} started at {}:{started}", self.file);
            }
            return self.fail(format!("{said}{extra}"));
        }
        self.fail(format!("unexpected {} in {context}", shown(token)))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token<'t>> {
        let token = self.next();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    pub(super) fn mark(&mut self, position: usize) -> Mark {
        self.ids += 1;
        Mark { id: self.ids, position: u32::try_from(position).unwrap_or(u32::MAX) }
    }

    pub(super) fn enter(&mut self, what: &str) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEPTH { self.fail(format!("max {what} depth exceeded")) } else { Ok(()) }
    }

    fn add(&mut self, name: Rc<str>, root: Box<[Node]>) -> Parsed<()> {
        let (file, text) = (Rc::clone(&self.file), Rc::clone(&self.text));
        let tree = Tree { name, file, text, root, slots: self.scope.most };
        match self.places.get(&tree.name).map(|at| &mut self.trees[*at]) {
            None => {
                self.places.insert(Rc::clone(&tree.name), self.trees.len());
                self.trees.push(tree);
            }
            Some(other) if other.is_empty() => *other = tree,
            Some(_) if tree.is_empty() => {}
            Some(_) => {
                return self.fail(format!("template: multiple definition of template {}", quote(&tree.name)));
            }
        }
        Ok(())
    }

    fn file(&mut self) -> Parsed<Box<[Node]>> {
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let delim = self.advance();
                if self.next().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.backup2(delim);
            }
            match self.text_or_action()? {
                Step::Node(node) => self.nodes.push(node),
                Step::Stop(end) => return self.fail(format!("unexpected {}", end.text())),
            }
        }
        Ok(self.nodes.drain(..).collect())
    }

    /// The body of a `define` or `block`, with variables of its own.
    fn body(&mut self, name: Rc<str>, context: &str) -> Parsed<()> {
        let outer = std::mem::take(&mut self.scope);
        let action_start = self.action_start.take();
        self.enter("definition")?;
        let (root, end) = self.list()?;
        if end != End::End {
            return self.fail(format!("unexpected {} in {context}", end.text()));
        }
        self.add(name, root)?;
        self.depth -= 1;
        self.scope = outer;
        self.action_start = action_start;
        Ok(())
    }

    fn definition(&mut self) -> Parsed<()> {
        let context = "define clause";
        let token = self.next();
        let name = self.template_name(&token, context)?;
        self.expect(Kind::RightDelim, context)?;
        self.body(name, context)
    }

    fn list(&mut self) -> Parsed<(Box<[Node]>, End)> {
        let start = self.nodes.len();
        while self.peek_solid().kind != Kind::Eof {
            match self.text_or_action()? {
                Step::Node(node) => self.nodes.push(node),
                Step::Stop(end) => return Ok((self.nodes.drain(start..).collect(), end)),
            }
        }
        self.fail("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<Step> {
        let token = self.next();
        match token.kind {
            Kind::Text => Ok(Step::Node(Node::Text(Span::new(token.start, token.text.len())))),
            Kind::LeftDelim => {
                self.action_start = Some(token.start);
                let step = self.action()?;
                self.action_start = None;
                Ok(step)
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Step> {
        let token = self.next();
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break | Kind::Continue => self.jump(token.kind)?,
            Kind::Else => return self.otherwise(),
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Step::Stop(End::End));
            }
            Kind::If | Kind::Range | Kind::With => self.control(token.kind)?,
            Kind::Template => self.template()?,
            Kind::RawString | Kind::String if self.is_verbatim(&token) => {
                self.expect(Kind::RightDelim, "command")?;
                Node::Text(Span::new(token.start + 1, token.text.len() - 2))
            }
            _ => {
                self.backup();
                Node::Action(Box::new(self.pipeline("command", Kind::RightDelim)?))
            }
        };
        Ok(Step::Node(node))
    }

    fn jump(&mut self, kind: Kind) -> Parsed<Node> {
        let word = if kind == Kind::Break { "{{break}}" } else { "{{continue}}" };
        let token = self.next();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, word);
        }
        if self.scope.ranges == 0 {
            return self.fail(format!("{word} outside {{{{range}}}}"));
        }
        Ok(if kind == Kind::Break { Node::Break } else { Node::Continue })
    }

    fn otherwise(&mut self) -> Parsed<Step> {
        if !matches!(self.peek_solid().kind, Kind::If | Kind::With) {
            self.expect(Kind::RightDelim, "else")?;
        }
        Ok(Step::Stop(End::Else))
    }

    fn control(&mut self, kind: Kind) -> Parsed<Node> {
        let context = match kind {
            Kind::If => "if",
            Kind::With => "with",
            _ => "range",
        };
        self.enter("nesting")?;
        let (names, stack) = (self.scope.names.len(), self.scope.stack.len());
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let inner = self.scope.stack.len();
        self.scope.ranges += usize::from(kind == Kind::Range);
        let (list, end) = self.list()?;
        self.scope.ranges -= usize::from(kind == Kind::Range);
        // What the first branch declared is known to the parser, but will not live in the second.
        self.scope.stack.truncate(inner);
        let otherwise = match end {
            End::End => None,
            End::Else if kind != Kind::Range && self.peek().kind == kind => {
                self.advance();
                Some(Box::new([self.control(kind)?]) as Box<[Node]>)
            }
            End::Else => {
                let (list, end) = self.list()?;
                if end != End::End {
                    return self.fail(format!("expected end; found {}", end.text()));
                }
                Some(list)
            }
        };
        self.scope.names.truncate(names);
        self.scope.stack.truncate(stack);
        self.depth -= 1;
        let branch = Box::new(Branch { pipe, list, otherwise });
        Ok(match kind {
            Kind::If => Node::If(branch),
            Kind::With => Node::With(branch),
            _ => Node::Range(branch),
        })
    }

    fn block(&mut self) -> Parsed<Node> {
        let context = "block clause";
        let token = self.next();
        let name = self.template_name(&token, context)?;
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        self.body(Rc::clone(&name), context)?;
        Ok(Node::Template(Box::new(Call { mark: self.mark(token.start), name, pipe: Some(pipe) })))
    }

    fn template(&mut self) -> Parsed<Node> {
        let context = "template clause";
        let token = self.next();
        let name = self.template_name(&token, context)?;
        let mut pipe = None;
        if self.next().kind != Kind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(context, Kind::RightDelim)?);
        }
        Ok(Node::Template(Box::new(Call { mark: self.mark(token.start), name, pipe })))
    }

    fn template_name(&mut self, token: &Token<'_>, context: &str) -> Parsed<Rc<str>> {
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return self.unexpected(token, context);
        }
        match unquote(token.text) {
            Some(name) => Ok(name.into()),
            None => self.fail("invalid syntax"),
        }
    }
}

/// A token as error texts show it.
fn shown(token: &Token<'_>) -> String {
    use Kind::{Block, Break, Continue, Define, Dot, Else, End, If, Nil, Range, Template, With};
    match token.kind {
        Kind::Eof => "EOF".into(),
        Block | Break | Continue | Define | Dot | Else | End | If | Nil | Range | Template | With => {
            format!("<{}>", token.text)
        }
        _ if token.text.len() > 10 => {
            format!("{}...", quote(&token.text.chars().take(10).collect::<String>()))
        }
        _ => quote(token.text),
    }
}
