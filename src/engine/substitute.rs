//! Post-build substitution: `${name}` and its string operations in the text of a manifest.
//!
//! Only braces count: `$name` stays, `$$` is one dollar sign. The text is read once from left to right; patterns are
//! matched in time proportional to pattern times value. Source: fluxcd/pkg envsubst, including its oddities: `:+` and
//! `:?` behave as `:-`, and a default is looked at even when it is not needed. Start with [`substitute`].

mod glob;

use std::collections::BTreeMap;

use self::glob::trimmed;

/// Substitutions within defaults of substitutions: deeper is an attack.
const DEPTH: usize = 64;

/// Why a text cannot be substituted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubstituteError {
    #[error("line {line}: bad substitution {text:?}; write ${{name}}, or $$ for a dollar sign")]
    Syntax { line: usize, text: String },
    #[error("line {line}: variable not set (strict mode): {name:?}; set it, or give it a default: ${{{name}:=value}}")]
    NotSet { line: usize, name: String },
    #[error("line {line}: substitutions are nested deeper than {DEPTH} levels")]
    Depth { line: usize },
    #[error("variable name {name:?} is not allowed; names are letters, digits and _, and start with no digit")]
    Name { name: String },
}

/// Checks the name of a variable that a person defines.
///
/// Errors with [`SubstituteError::Name`].
pub fn check_name(name: &str) -> Result<(), SubstituteError> {
    let plain = name.bytes().all(|c| c == b'_' || c.is_ascii_alphanumeric());
    if plain && name.bytes().next().is_some_and(|c| !c.is_ascii_digit()) {
        return Ok(());
    }
    Err(SubstituteError::Name { name: name.to_owned() })
}

/// Replaces the variables in a text. In strict mode a variable that is not set is an error, unless it has a default.
///
/// Errors with the line of the first substitution that is malformed or not set.
pub fn substitute(text: &str, variables: &BTreeMap<String, String>, strict: bool) -> Result<String, SubstituteError> {
    let mut reader = Reader { text, at: 0, variables, strict };
    let mut out = String::with_capacity(text.len());
    while let Some(found) = text[reader.at..].find('$') {
        out.push_str(&text[reader.at..reader.at + found]);
        reader.at += found + 1;
        if reader.take("{") {
            let value = reader.expression(0)?;
            out.push_str(&value);
        } else {
            reader.take("$");
            out.push('$');
        }
    }
    out.push_str(&text[reader.at..]);
    Ok(out)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    variables: &'a BTreeMap<String, String>,
    strict: bool,
}

/// What follows the name of a variable.
enum Operation {
    Plain,
    Length,
    Upper,
    UpperFirst,
    Lower,
    LowerFirst,
    Keep,
    Default(String),
    Part(Vec<String>),
    Prefix { longest: bool, pattern: String },
    Suffix { longest: bool, pattern: String },
    Replace { place: Place, from: String, to: Option<String> },
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    First,
    All,
    Start,
    End,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.text[self.at..].starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn line(&self) -> usize {
        self.text[..self.at.min(self.text.len())].matches('\n').count() + 1
    }

    fn bad<T>(&self, start: usize) -> Result<T, SubstituteError> {
        let text: String = self.text[start..].lines().next().unwrap_or_default().chars().take(40).collect();
        let line = self.text[..start].matches('\n').count() + 1;
        Err(SubstituteError::Syntax { line, text: format!("${{{text}") })
    }

    /// Reads what follows `${`, to behind its closing brace.
    fn expression(&mut self, depth: usize) -> Result<String, SubstituteError> {
        if depth >= DEPTH {
            return Err(SubstituteError::Depth { line: self.line() });
        }
        let start = self.at;
        let is_length = self.take("#");
        let name = self.take_while(|c| c.is_alphanumeric() || c == '_').to_owned();
        if name.is_empty() {
            return self.bad(start);
        }
        let operation = if is_length { Operation::Length } else { self.operation(start, depth)? };
        if !self.take("}") {
            return self.bad(start);
        }
        let value = self.variables.get(&name).map(String::as_str);
        if value.is_none() && self.strict && !matches!(operation, Operation::Default(_)) {
            return Err(SubstituteError::NotSet { line: self.line(), name });
        }
        Ok(operation.apply(value.unwrap_or_default()))
    }

    fn operation(&mut self, start: usize, depth: usize) -> Result<Operation, SubstituteError> {
        match self.peek() {
            Some(':') => {
                for mark in [":=", ":-", ":?", ":+"] {
                    if self.take(mark) {
                        return self.default(start, depth);
                    }
                }
                self.part(start, depth)
            }
            Some('=') => {
                self.take("=");
                self.default(start, depth)
            }
            Some(',' | '^') => {
                let from = self.at;
                self.at += 1;
                if matches!(self.peek(), Some(',' | '^')) {
                    self.at += 1;
                }
                Ok(match &self.text[from..self.at] {
                    "^" => Operation::UpperFirst,
                    "^^" => Operation::Upper,
                    "," => Operation::LowerFirst,
                    ",," => Operation::Lower,
                    _ => Operation::Keep,
                })
            }
            Some('/') => self.replace(start, depth),
            Some(mark @ ('#' | '%')) => {
                self.at += 1;
                let longest = self.peek() == Some(mark);
                self.at += usize::from(longest);
                let pattern = self.argument(start, depth, |c| c == '}')?;
                Ok(match mark {
                    '#' => Operation::Prefix { longest, pattern },
                    _ => Operation::Suffix { longest, pattern },
                })
            }
            _ => Ok(Operation::Plain),
        }
    }

    /// Text and nested substitutions up to the closing brace.
    fn default(&mut self, start: usize, depth: usize) -> Result<Operation, SubstituteError> {
        let mut value = String::new();
        while self.peek() != Some('}') {
            value.push_str(&self.argument(start, depth, |c| c == '}')?);
        }
        Ok(Operation::Default(value))
    }

    /// `:position` or `:position:length`.
    fn part(&mut self, start: usize, depth: usize) -> Result<Operation, SubstituteError> {
        self.take(":");
        let mut parts = vec![self.argument(start, depth, |c| c == ':' || c == '}')?];
        if self.peek() == Some(':') {
            self.take_while(|c| c == ':');
            parts.push(self.argument(start, depth, |c| c == '}')?);
        }
        Ok(Operation::Part(parts))
    }

    fn replace(&mut self, start: usize, depth: usize) -> Result<Operation, SubstituteError> {
        self.take("/");
        let place = match self.peek() {
            Some('/') => Place::All,
            Some('#') => Place::Start,
            Some('%') => Place::End,
            _ => Place::First,
        };
        self.at += usize::from(place != Place::First);
        let from = self.escaped(start, depth, '/')?;
        if self.take_while(|c| c == '/').is_empty() {
            return self.bad(start);
        }
        let to = if self.peek() == Some('}') { None } else { Some(self.escaped(start, depth, '}')?) };
        Ok(Operation::Replace { place, from, to })
    }

    /// One nested substitution, or text up to one or to an end; never nothing.
    fn argument(&mut self, start: usize, depth: usize, ends: impl Fn(char) -> bool) -> Result<String, SubstituteError> {
        if self.take("${") {
            return self.expression(depth + 1);
        }
        let rest = &self.text[self.at..];
        let end =
            rest.char_indices().find(|&(at, c)| ends(c) || rest[at..].starts_with("${")).map_or(rest.len(), |f| f.0);
        if end == 0 {
            return self.bad(start);
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    /// As [`Reader::argument`], with `\/`, `\\` and `$$` for the plain characters.
    fn escaped(&mut self, start: usize, depth: usize, end: char) -> Result<String, SubstituteError> {
        if self.take("${") {
            return self.expression(depth + 1);
        }
        let mut value = String::new();
        let from = self.at;
        while let Some(c) = self.peek() {
            let rest = &self.text[self.at..];
            if rest.starts_with("${") {
                break;
            }
            if rest.starts_with("\\/") || rest.starts_with("\\\\") || rest.starts_with("$$") {
                value.push_str(&rest[1..2]);
                self.at += 2;
                continue;
            }
            if c == end {
                break;
            }
            value.push(c);
            self.at += c.len_utf8();
        }
        if self.at == from { self.bad(start) } else { Ok(value) }
    }
}

impl Operation {
    fn apply(self, value: &str) -> String {
        match self {
            Operation::Plain | Operation::Keep => value.to_owned(),
            Operation::Length => value.len().to_string(),
            Operation::Upper => value.chars().map(upper).collect(),
            Operation::Lower => value.chars().map(lower).collect(),
            Operation::UpperFirst => first(value, upper),
            Operation::LowerFirst => first(value, lower),
            Operation::Default(default) => {
                if value.is_empty() {
                    default
                } else {
                    value.to_owned()
                }
            }
            Operation::Part(parts) => part(value, &parts),
            Operation::Prefix { longest, pattern } => trimmed(value, &pattern, longest),
            Operation::Suffix { longest, pattern } => {
                reversed(&trimmed(&reversed(value), &reversed(&pattern), longest))
            }
            Operation::Replace { place, from, to } => replaced(value, place, &from, to.as_deref()),
        }
    }
}

/// One character for one, as Go maps them.
fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    mapped.next().filter(|_| mapped.next().is_none()).unwrap_or(c)
}

fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    mapped.next().filter(|_| mapped.next().is_none()).unwrap_or(c)
}

fn first(value: &str, map: impl Fn(char) -> char) -> String {
    let mut characters = value.chars();
    characters.next().map(map).into_iter().chain(characters).collect()
}

fn reversed(value: &str) -> String {
    value.chars().rev().collect()
}

/// Bytes from a position, at most so many; negative numbers count from the end.
fn part(value: &str, parts: &[String]) -> String {
    let count = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let Ok(position) = parts[0].parse::<i64>() else { return value.to_owned() };
    let start = if position < 0 { (count + position).max(0) } else { position };
    let end = match parts.get(1).map(|length| length.parse::<i64>()) {
        None => count,
        Some(Err(_)) => return value.to_owned(),
        Some(Ok(length)) if length < 0 => count + length,
        Some(Ok(length)) => start.saturating_add(length).min(count),
    };
    if start >= end {
        return String::new();
    }
    let index = |number: i64| usize::try_from(number).unwrap_or_default();
    String::from_utf8_lossy(&value.as_bytes()[index(start)..index(end)]).into_owned()
}

fn replaced(value: &str, place: Place, from: &str, to: Option<&str>) -> String {
    match (place, to) {
        (Place::First, to) => value.replacen(from, to.unwrap_or_default(), 1),
        (Place::All, to) => value.replace(from, to.unwrap_or_default()),
        (Place::Start, Some(to)) if value.starts_with(from) => value.replacen(from, to, 1),
        (Place::End, Some(to)) => match value.strip_suffix(from) {
            Some(rest) => format!("{rest}{to}"),
            None => value.to_owned(),
        },
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> BTreeMap<String, String> {
        [
            ("v", "value"),
            ("e", ""),
            ("n", "123"),
            ("UP", "Hello World"),
            ("path", "a/b/c.tar.gz"),
            ("x", "y"),
            ("star", "a*b"),
            ("_u", "under"),
            ("sp", " s p "),
            ("uni", "héllo"),
            ("dot", "a.b.c"),
            ("br", "}"),
            ("ml", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Input, strictness and the verdict of the reference, divided by tabs; errors start with `!`.
    const VERDICTS: &str = include_str!("../../tests/engine/substitute.tsv");

    #[test]
    fn results_are_those_of_the_reference() {
        let mut wrong = Vec::new();
        for row in VERDICTS.lines() {
            let columns: Vec<&str> = row.split('\t').collect();
            let input: String = serde_json::from_str(columns[0]).unwrap();
            let result = substitute(&input, &variables(), columns[1] == "true");
            let agrees = match &result {
                Ok(text) => serde_json::from_str::<String>(columns[2]).is_ok_and(|expected| expected == *text),
                Err(SubstituteError::NotSet { .. }) => columns[2].starts_with("!variable not set"),
                Err(_) => columns[2].starts_with('!') && !columns[2].starts_with("!variable not set"),
            };
            if !agrees {
                wrong.push(format!("{input:?} (strict {}): {result:?} and not {}", columns[1], columns[2]));
            }
        }
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn errors_name_the_line_and_the_variable() {
        let error = |text: &str| substitute(text, &variables(), true).unwrap_err().to_string();
        assert_eq!(
            error("a: 1\nb: ${missing}\n"),
            "line 2: variable not set (strict mode): \"missing\"; set it, or give it a default: ${missing:=value}"
        );
        assert!(error("a: 1\n\nb: ${a.b}").starts_with("line 3: bad substitution \"${a.b}\""));
        assert!(check_name("a-b").is_err() && check_name("1a").is_err() && check_name("_a1").is_ok());
    }

    #[test]
    fn nesting_ends_and_long_patterns_are_quick() {
        assert!(matches!(
            substitute(&"${v:=".repeat(100_000), &variables(), false),
            Err(SubstituteError::Depth { .. })
        ));
        let long: BTreeMap<String, String> = [("l".to_owned(), "a".repeat(5_000))].into();
        let pattern = format!("${{l##{}b}}", "*a".repeat(20));
        assert_eq!(substitute(&pattern, &long, true).unwrap().len(), 5_000);
    }
}
