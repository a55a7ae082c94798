//! Cuts the text of a template into tokens, with positions, exactly where Go's scanner cuts.
//!
//! Must not know what tokens mean together; that is `parse`. Start with [`Lexer::next`].
//! Source: text/template/parse (lex.go).

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A token: its kind, where it starts and its text; the message of an error is kept by the scanner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub kind: Kind,
    pub start: usize,
    pub text: &'t str,
}

const LEFT: &str = "{{";
pub(super) const RIGHT: &str = "}}";

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

pub(super) fn spaces(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

pub(super) struct Lexer<'t> {
    input: &'t str,
    position: usize,
    start: usize,
    inside: bool,
    parens: usize,
    failed: bool,
    /// What the error token says.
    pub(super) message: String,
}

impl<'t> Lexer<'t> {
    pub fn new(input: &'t str) -> Self {
        Lexer { input, position: 0, start: 0, inside: false, parens: 0, failed: false, message: String::new() }
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.input[self.position..]
    }

    fn peek(&self) -> Option<char> {
        let byte = *self.input.as_bytes().get(self.position)?;
        if byte.is_ascii() { Some(char::from(byte)) } else { self.rest().chars().next() }
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += c.len_utf8();
        Some(c)
    }

    fn token(&mut self, kind: Kind) -> Token<'t> {
        let token = Token { kind, start: self.start, text: &self.input[self.start..self.position] };
        self.start = self.position;
        token
    }

    fn error(&mut self, message: impl Into<String>) -> Token<'t> {
        self.failed = true;
        self.message = message.into();
        Token { kind: Kind::Error, start: self.start, text: "" }
    }

    /// The next token; [`Kind::Eof`] at the end and for ever after.
    pub fn next(&mut self) -> Token<'t> {
        if self.failed {
            return Token { kind: Kind::Eof, start: self.position, text: "EOF" };
        }
        if self.inside { self.inside_action() } else { self.text() }
    }

    fn text(&mut self) -> Token<'t> {
        loop {
            // One brace is found faster than two.
            let mut braces = memchr::memchr_iter(b'{', self.rest().as_bytes());
            let Some(offset) = braces.find(|at| self.rest()[*at..].starts_with(LEFT)) else {
                self.position = self.input.len();
                if self.position > self.start {
                    return self.token(Kind::Text);
                }
                return Token { kind: Kind::Eof, start: self.position, text: "EOF" };
            };
            if offset > 0 {
                let end = self.position + offset;
                let text = &self.input[self.start..end];
                let kept =
                    if left_trims(&self.input[end + LEFT.len()..]) { text.trim_end_matches(spaces) } else { text };
                self.position = self.start + kept.len();
                let token = self.token(Kind::Text);
                self.position = end;
                self.start = end;
                if !token.text.is_empty() {
                    return token;
                }
            }
            if let Some(token) = self.left_delim() {
                return token;
            }
        }
    }

    /// The delimiter, or `None` when it opened a comment that is now skipped.
    fn left_delim(&mut self) -> Option<Token<'t>> {
        self.position += LEFT.len();
        let marker = if left_trims(self.rest()) { 2 } else { 0 };
        if self.input[self.position + marker..].starts_with("/*") {
            self.position += marker;
            self.start = self.position;
            return self.comment();
        }
        let token = self.token(Kind::LeftDelim);
        self.inside = true;
        self.position += marker;
        self.start = self.position;
        self.parens = 0;
        Some(token)
    }

    fn comment(&mut self) -> Option<Token<'t>> {
        self.position += 2;
        let Some(end) = self.rest().find("*/") else { return Some(self.error("unclosed comment")) };
        self.position += end + 2;
        let Some(trims) = self.right_delim_here() else {
            return Some(self.error("comment ends before closing delimiter"));
        };
        if trims {
            self.position += 2;
        }
        self.position += RIGHT.len();
        if trims {
            self.skip_spaces();
        }
        self.start = self.position;
        None
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start_matches(spaces).len();
    }

    /// Whether a right delimiter stands here, and if so whether it trims.
    fn right_delim_here(&self) -> Option<bool> {
        let rest = self.rest();
        if right_trims(rest) && rest[2..].starts_with(RIGHT) {
            return Some(true);
        }
        rest.starts_with(RIGHT).then_some(false)
    }

    fn right_delim(&mut self, trims: bool) -> Token<'t> {
        if trims {
            self.position += 2;
            self.start = self.position;
        }
        self.position += RIGHT.len();
        let token = self.token(Kind::RightDelim);
        if trims {
            self.skip_spaces();
            self.start = self.position;
        }
        self.inside = false;
        token
    }

    fn inside_action(&mut self) -> Token<'t> {
        if let Some(trims) = self.right_delim_here() {
            return if self.parens == 0 { self.right_delim(trims) } else { self.error("unclosed left paren") };
        }
        let Some(c) = self.peek() else { return self.error("unclosed action") };
        if spaces(c) {
            return self.space();
        }
        self.bump();
        match c {
            '=' => self.token(Kind::Assign),
            ':' if self.bump() == Some('=') => self.token(Kind::Declare),
            ':' => self.error("expected :="),
            '|' => self.token(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '`' => self.raw_quoted(),
            '$' => self.field_or_variable(Kind::Variable),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) && self.position < self.input.len() => {
                self.field_or_variable(Kind::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.position -= 1;
                self.number()
            }
            '(' => {
                self.parens += 1;
                self.token(Kind::LeftParen)
            }
            ')' if self.parens == 0 => self.error("unexpected right paren"),
            ')' => {
                self.parens -= 1;
                self.token(Kind::RightParen)
            }
            c if is_word(c) => self.identifier(),
            c if c.is_ascii_graphic() => self.token(Kind::Char),
            c => self.error(format!("unrecognized character in action: {}", super::text::unicode(c))),
        }
    }

    fn space(&mut self) -> Token<'t> {
        let start = self.position;
        self.skip_spaces();
        let last = self.position - 1;
        let rest = &self.input[last..];
        if right_trims(rest) && rest[2..].starts_with(RIGHT) {
            self.position = last;
            if last == start {
                return self.right_delim(true);
            }
        }
        self.token(Kind::Space)
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(RIGHT),
        }
    }

    fn bad_character(&mut self) -> Token<'t> {
        self.error(format!("bad character {}", super::text::unicode(self.peek().unwrap_or_default())))
    }

    fn skip_word(&mut self) {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        self.position += self.rest().as_bytes().iter().take_while(|byte| plain(byte)).count();
        while self.peek().is_some_and(is_word) {
            self.bump();
        }
    }

    fn identifier(&mut self) -> Token<'t> {
        self.skip_word();
        if !self.at_terminator() {
            return self.bad_character();
        }
        let kind = match &self.input[self.start..self.position] {
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "nil" => Kind::Nil,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.token(kind)
    }

    fn field_or_variable(&mut self, kind: Kind) -> Token<'t> {
        if self.at_terminator() {
            return self.token(if kind == Kind::Variable { kind } else { Kind::Dot });
        }
        self.skip_word();
        if self.at_terminator() { self.token(kind) } else { self.bad_character() }
    }

    fn quoted(&mut self, end: char, kind: Kind, unterminated: &str) -> Token<'t> {
        loop {
            match self.bump() {
                Some('\\') if self.peek().is_some_and(|c| c != '\n') => {
                    self.bump();
                }
                Some('\\' | '\n') | None => return self.error(unterminated),
                Some(c) if c == end => return self.token(kind),
                Some(_) => {}
            }
        }
    }

    fn raw_quoted(&mut self) -> Token<'t> {
        let Some(end) = self.rest().find('`') else { return self.error("unterminated raw quoted string") };
        self.position += end + 1;
        self.token(Kind::RawString)
    }

    fn number(&mut self) -> Token<'t> {
        if self.scan_number() {
            if !matches!(self.peek(), Some('+' | '-')) {
                return self.token(Kind::Number);
            }
            if self.scan_number() && self.input[..self.position].ends_with('i') {
                return self.token(Kind::Complex);
            }
        }
        self.error(format!("bad number syntax: {}", super::text::quote(&self.input[self.start..self.position])))
    }

    fn accept(&mut self, valid: &str) -> bool {
        let found = self.peek().is_some_and(|c| valid.contains(c));
        if found {
            self.position += 1;
        }
        found
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_word) {
            self.bump();
            return false;
        }
        true
    }
}

fn left_trims(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 2 && bytes[0] == b'-' && spaces(bytes[1] as char)
}

fn right_trims(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 2 && spaces(bytes[0] as char) && bytes[1] == b'-'
}
