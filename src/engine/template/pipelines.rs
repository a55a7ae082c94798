//! Reads what stands between the braces: pipelines, commands, operands and their variables.
//!
//! Start with `pipeline`. Source: text/template/parse (parse.go).

use std::rc::Rc;

use super::lex::Kind;
use super::parse::{Parsed, Parser};
use super::text::{number, quote, unquote};
use super::tree::{Command, Pipe, Slot, Word, WordKind};

impl Parser<'_, '_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let start = self.peek_solid().start;
        let mark = self.mark(start);
        let (names, assigns) = self.variables(context)?;
        let mut commands = Vec::new();
        loop {
            let token = self.next();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool | Kind::CharConstant | Kind::Complex | Kind::Dot | Kind::Field | Kind::Identifier => {}
                Kind::Number | Kind::Nil | Kind::RawString | Kind::String | Kind::Variable | Kind::LeftParen => {}
                _ => return self.unexpected(&token, context),
            }
            self.backup();
            commands.push(self.command()?);
        }
        if commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (index, command) in commands.iter().enumerate().skip(1) {
            use WordKind::{Bool, Dot, Nil, Number, Text};
            if matches!(command.words[0].kind, Bool(_) | Dot | Nil | Number(_) | Text { .. }) {
                return self.fail(format!("non executable command in pipeline stage {}", index + 1));
            }
        }
        let variables = names.into_iter().map(|name| {
            let slot = if assigns { self.slot(&name) } else { Some(self.declare(Rc::clone(&name))) };
            (name, slot)
        });
        let variables = variables.collect();
        Ok(Pipe { mark, variables, assigns, commands })
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
                names.push(variable.text.into());
                self.scope.names.push(variable.text.into());
                return Ok((names, next.kind == Kind::Assign));
            }
            if next.kind == Kind::Char && next.text == "," {
                self.next();
                names.push(variable.text.into());
                self.scope.names.push(variable.text.into());
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

    fn command(&mut self) -> Parsed<Command> {
        let start = self.peek_solid().start;
        let mark = self.mark(start);
        let mut words = Vec::new();
        loop {
            self.peek_solid();
            if let Some(word) = self.operand()? {
                words.push(word);
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
        if words.is_empty() { self.fail("empty command") } else { Ok(Command { mark, words }) }
    }

    fn operand(&mut self) -> Parsed<Option<Word>> {
        let Some(mut word) = self.term()? else { return Ok(None) };
        let next = self.peek();
        if next.kind != Kind::Field {
            return Ok(Some(word));
        }
        let mut more: Vec<Rc<str>> = Vec::new();
        while self.peek().kind == Kind::Field {
            more.push(self.advance().text[1..].into());
        }
        match &mut word.kind {
            WordKind::Field(fields) | WordKind::Variable { fields, .. } => {
                fields.append(&mut more);
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
                if !self.scope.names.iter().any(|name| **name == *token.text) {
                    return self.fail(format!("undefined variable {}", quote(token.text)));
                }
                let slot = self.slot(token.text);
                WordKind::Variable { name: token.text.into(), slot, fields: Vec::new() }
            }
            Kind::Field => WordKind::Field(vec![token.text[1..].into()]),
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
