//! Reads what stands between the braces: pipelines, commands, operands and their variables.
//!
//! Start with `pipeline`. Source: text/template/parse (parse.go).

use super::lex::{Kind, RIGHT, Token, spaces};
use super::parse::{Parsed, Parser};
use super::text::{number, quote, unquote};
use super::tree::{Command, Pipe, Shown, Slot, Span, Word, WordKind};

/// More variables in one scope than this are refused: they are looked for one by one.
const VARIABLES: usize = 4_000;

impl<'t> Parser<'t, '_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let start = self.peek_solid().start;
        let mark = self.mark(start);
        let (names, assigns) = self.variables(context)?;
        let (mut first, mut more) = (None, Vec::new());
        loop {
            let token = self.next();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool | Kind::CharConstant | Kind::Complex | Kind::Dot | Kind::Field | Kind::Identifier => {}
                Kind::Number | Kind::Nil | Kind::RawString | Kind::String | Kind::Variable | Kind::LeftParen => {}
                _ => return self.unexpected(&token, context),
            }
            self.backup();
            let command = self.command()?;
            match first {
                None => first = Some(command),
                Some(_) => more.push(command),
            }
        }
        let Some(first) = first else { return self.fail(format!("missing value for {context}")) };
        if self.scope.names.len() > VARIABLES {
            return self.fail(format!("more than {VARIABLES} variables"));
        }
        for (index, command) in more.iter().enumerate() {
            use WordKind::{Bool, Dot, Nil, Number, Text};
            if matches!(command.word.kind, Bool(_) | Dot | Nil | Number(_) | Text { .. }) {
                return self.fail(format!("non executable command in pipeline stage {}", index + 2));
            }
        }
        let variables = names.into_iter().map(|name| {
            let slot = if assigns { self.slot(name.text) } else { Some(self.declare(name.text)) };
            (Span::new(name.start, name.text.len()), slot)
        });
        let variables = variables.collect();
        Ok(Pipe { mark, variables, assigns, first, more: more.into() })
    }

    /// Whether an action is only a literal that stands for just what is between its quotes. Charts full of dashboards
    /// have thousands of them, to keep the braces of others. A blank one stays an action: trees of nothing but blank
    /// text count as empty.
    pub(super) fn is_verbatim(&self, literal: &Token<'_>) -> bool {
        let changes = if literal.kind == Kind::RawString { '\r' } else { '\\' };
        let inner = literal.text.get(1..literal.text.len() - 1).unwrap_or_default();
        if self.peeked > 0 || inner.contains(changes) || inner.trim().is_empty() {
            return false;
        }
        let rest = self.lexer.rest();
        let end = rest.trim_start_matches(spaces);
        end.starts_with(RIGHT)
            || end.len() < rest.len() && end.strip_prefix('-').is_some_and(|end| end.starts_with(RIGHT))
    }

    fn declare(&mut self, name: &'t str) -> u32 {
        self.scope.stack.push(name);
        self.scope.most = self.scope.most.max(self.scope.stack.len());
        u32::try_from(self.scope.stack.len() - 1).unwrap_or(u32::MAX)
    }

    fn slot(&self, name: &str) -> Slot {
        let index = self.scope.stack.iter().rposition(|known| *known == name)?;
        u32::try_from(index).ok()
    }

    /// The variables before `:=` or `=`.
    fn variables(&mut self, context: &str) -> Parsed<(Vec<Token<'t>>, bool)> {
        let mut names = Vec::new();
        loop {
            let variable = self.peek_solid();
            if variable.kind != Kind::Variable {
                return Ok((names, false));
            }
            self.advance();
            let after = self.peek();
            let next = self.peek_solid();
            if matches!(next.kind, Kind::Assign | Kind::Declare) {
                self.next();
                self.name(variable, &mut names);
                return Ok((names, next.kind == Kind::Assign));
            }
            if next.kind == Kind::Char && next.text == "," {
                self.next();
                self.name(variable, &mut names);
                if context == "range" && names.len() < 2 {
                    match self.peek_solid().kind {
                        Kind::Variable | Kind::RightDelim | Kind::RightParen => continue,
                        _ => return self.fail("range can only initialize variables"),
                    }
                }
                return self.fail(format!("too many declarations in {context}"));
            }
            if after.kind == Kind::Space {
                self.backup3(variable, after);
            } else {
                self.backup2(variable);
            }
            return Ok((names, false));
        }
    }

    fn name(&mut self, name: Token<'t>, names: &mut Vec<Token<'t>>) {
        self.scope.names.push(name.text);
        names.push(name);
    }

    fn command(&mut self) -> Parsed<Command> {
        let start = self.peek_solid().start;
        let mark = self.mark(start);
        let (mut first, outer) = (None, self.words.len());
        loop {
            self.peek_solid();
            match (self.operand()?, &first) {
                (None, _) => {}
                (word, None) => first = word,
                (Some(word), Some(_)) => self.words.push(word),
            }
            let token = self.advance();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.backup();
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        match first {
            Some(word) => Ok(Command { mark, word, args: self.words.drain(outer..).collect() }),
            None => self.fail("empty command"),
        }
    }

    fn operand(&mut self) -> Parsed<Option<Word>> {
        let Some(mut word) = self.term()? else { return Ok(None) };
        let next = self.peek();
        if next.kind != Kind::Field {
            return Ok(Some(word));
        }
        let mut length = 0;
        while self.peek().kind == Kind::Field {
            length += self.advance().text.len();
        }
        // Fields follow each other without a space.
        let more = Span::new(next.start, length);
        match &mut word.kind {
            WordKind::Field(fields) | WordKind::Variable { fields, .. } => {
                fields.end = more.end;
                word.mark = self.mark(next.start);
            }
            WordKind::Bool(_) | WordKind::Text { .. } | WordKind::Number(_) | WordKind::Nil | WordKind::Dot => {
                return self.fail(format!("unexpected . after term {}", quote(&Shown(&word, &self.text).to_string())));
            }
            _ => {
                let kind = WordKind::Chain { of: Box::new(word), fields: more };
                word = Word { mark: self.mark(next.start), kind };
            }
        }
        Ok(Some(word))
    }

    fn term(&mut self) -> Parsed<Option<Word>> {
        let token = self.next();
        let kind = match token.kind {
            Kind::Identifier => match (self.find)(token.text) {
                Some(function) => WordKind::Function(function),
                None => return self.fail(format!("function {} not defined", quote(token.text))),
            },
            Kind::Dot => WordKind::Dot,
            Kind::Nil => WordKind::Nil,
            Kind::Variable => {
                if !self.scope.names.contains(&token.text) {
                    return self.fail(format!("undefined variable {}", quote(token.text)));
                }
                let (slot, length) = (self.slot(token.text), token.text.len());
                let (name, fields) = (Span::new(token.start, length), Span::new(token.start + length, 0));
                WordKind::Variable { name, slot, fields }
            }
            Kind::Field => WordKind::Field(Span::new(token.start, token.text.len())),
            Kind::Bool => WordKind::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => match number(token.text) {
                Ok(number) => WordKind::Number(Box::new(number)),
                Err(message) => return self.fail(message),
            },
            Kind::LeftParen => {
                self.enter("expression")?;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.depth -= 1;
                let mark = pipe.mark;
                return Ok(Some(Word { mark, kind: WordKind::Pipe(Box::new(pipe)) }));
            }
            Kind::String | Kind::RawString => match unquote(token.text) {
                Some(value) => WordKind::Text { value: value.into(), quoted: Span::new(token.start, token.text.len()) },
                None => return self.fail("invalid syntax"),
            },
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        Ok(Some(Word { mark: self.mark(token.start), kind }))
    }
}
