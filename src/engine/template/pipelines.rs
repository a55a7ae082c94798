//! Reads what stands between the braces: pipelines, commands, operands and their variables.
//!
//! Start with `pipeline`. Source: text/template/parse (parse.go).

use std::rc::Rc;

use super::lex::Kind;
use super::parse::{Parsed, Parser};
use super::text::{number, quote, unquote};
use super::tree::{Command, Path, Pipe, Slot, Word, WordKind};

impl Parser<'_, '_> {
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
        for (index, command) in more.iter().enumerate() {
            use WordKind::{Bool, Dot, Nil, Number, Text};
            if matches!(command.word.kind, Bool(_) | Dot | Nil | Number(_) | Text { .. }) {
                return self.fail(format!("non executable command in pipeline stage {}", index + 2));
            }
        }
        let variables = names.into_iter().map(|name| {
            let slot = if assigns { self.slot(&name) } else { Some(self.declare(Rc::clone(&name))) };
            (name, slot)
        });
        let variables = variables.collect();
        Ok(Pipe { mark, variables, assigns, first, more: more.into() })
    }

    fn declare(&mut self, name: Rc<str>) -> u32 {
        self.scope.stack.push(name);
        self.scope.most = self.scope.most.max(self.scope.stack.len());
        u32::try_from(self.scope.stack.len() - 1).unwrap_or(u32::MAX)
    }

    fn slot(&self, name: &str) -> Slot {
        let index = self.scope.stack.iter().rposition(|known| **known == *name)?;
        u32::try_from(index).ok()
    }

    /// The variables before `:=` or `=`.
    fn variables(&mut self, context: &str) -> Parsed<(Vec<Rc<str>>, bool)> {
        let mut names: Vec<Rc<str>> = Vec::new();
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
                self.name(variable.text, &mut names);
                return Ok((names, next.kind == Kind::Assign));
            }
            if next.kind == Kind::Char && next.text == "," {
                self.next();
                self.name(variable.text, &mut names);
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

    fn name(&mut self, text: &str, names: &mut Vec<Rc<str>>) {
        let name: Rc<str> = text.into();
        self.scope.names.push(Rc::clone(&name));
        names.push(name);
    }

    fn command(&mut self) -> Parsed<Command> {
        let start = self.peek_solid().start;
        let mark = self.mark(start);
        let (mut first, mut args) = (None, Vec::new());
        loop {
            self.peek_solid();
            match (self.operand()?, &first) {
                (None, _) => {}
                (word, None) => first = word,
                (Some(word), Some(_)) => args.push(word),
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
            Some(word) => Ok(Command { mark, word, args: args.into() }),
            None => self.fail("empty command"),
        }
    }

    fn operand(&mut self) -> Parsed<Option<Word>> {
        let Some(mut word) = self.term()? else { return Ok(None) };
        let next = self.peek();
        if next.kind != Kind::Field {
            return Ok(Some(word));
        }
        let mut more = self.path(next.start, next.start);
        while self.peek().kind == Kind::Field {
            let field = self.advance();
            more.end = field.start + field.text.len();
        }
        match &mut word.kind {
            WordKind::Field(fields) | WordKind::Variable { fields, .. } => {
                // Fields follow each other without a space.
                fields.end = more.end;
                word.mark = self.mark(next.start);
            }
            WordKind::Bool(_) | WordKind::Text { .. } | WordKind::Number(_) | WordKind::Nil | WordKind::Dot => {
                return self.fail(format!("unexpected . after term {}", quote(&word.to_string())));
            }
            _ => {
                let kind = WordKind::Chain { of: Box::new(word), fields: more };
                word = Word { mark: self.mark(next.start), kind };
            }
        }
        Ok(Some(word))
    }

    fn path(&self, start: usize, end: usize) -> Path {
        Path { text: Rc::clone(&self.text), start, end }
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
                let Some(name) = self.scope.names.iter().find(|name| ***name == *token.text).map(Rc::clone) else {
                    return self.fail(format!("undefined variable {}", quote(token.text)));
                };
                let (slot, end) = (self.slot(&name), token.start + token.text.len());
                WordKind::Variable { name, slot, fields: self.path(end, end) }
            }
            Kind::Field => WordKind::Field(self.path(token.start, token.start + token.text.len())),
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
                Some(value) => WordKind::Text { value: value.into(), quoted: token.text.into() },
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
