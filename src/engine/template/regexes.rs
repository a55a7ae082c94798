//! Sprig's regular expressions, in Go's dialect.
//!
//! The engine here is linear like Go's; only the syntax differs where classes and braces are concerned, so patterns
//! are translated first. Start with [`FUNCTIONS`]. Source: Masterminds/sprig (regex.go), Go's regexp/syntax.

use std::rc::Rc;

use super::call::{Function, Type, int, text};
use super::error::{Answer, Failure};
use super::run::Machine;
use super::text::quote;
use super::value::{Items, List, Value};

const PATTERN_AND_TEXT: &[Type] = &[Type::Text, Type::Text];
const WITH_COUNT: &[Type] = &[Type::Text, Type::Text, Type::Int];
const WITH_TEXT: &[Type] = &[Type::Text, Type::Text, Type::Text];

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("regexMatch", PATTERN_AND_TEXT, |machine, args| {
        Ok(compile(machine, &text(args, 0)).is_ok_and(|pattern| pattern.is_match(&text(args, 1))).into())
    }),
    Function::new("mustRegexMatch", PATTERN_AND_TEXT, |machine, args| {
        Ok(strict(machine, args)?.is_match(&text(args, 1)).into())
    }),
    Function::new("regexFind", PATTERN_AND_TEXT, |machine, args| find(&*sure(machine, args)?, args)),
    Function::new("mustRegexFind", PATTERN_AND_TEXT, |machine, args| find(&*strict(machine, args)?, args)),
    Function::new("regexFindAll", WITH_COUNT, |machine, args| find_all(&*sure(machine, args)?, args)),
    Function::new("mustRegexFindAll", WITH_COUNT, |machine, args| find_all(&*strict(machine, args)?, args)),
    Function::new("regexReplaceAll", WITH_TEXT, |machine, args| replace(&*sure(machine, args)?, args)),
    Function::new("mustRegexReplaceAll", WITH_TEXT, |machine, args| replace(&*strict(machine, args)?, args)),
    Function::new("regexReplaceAllLiteral", WITH_TEXT, |machine, args| replace_literal(&*sure(machine, args)?, args)),
    Function::new("mustRegexReplaceAllLiteral", WITH_TEXT, |machine, args| {
        replace_literal(&*strict(machine, args)?, args)
    }),
    Function::new("regexSplit", WITH_COUNT, |machine, args| split(&*sure(machine, args)?, args)),
    Function::new("mustRegexSplit", WITH_COUNT, |machine, args| split(&*strict(machine, args)?, args)),
    Function::new("regexQuoteMeta", &[Type::Text], |_, args| {
        let whole = text(args, 0);
        let mut out = String::with_capacity(whole.len());
        for c in whole.chars() {
            if r"\.+*?()|[]{}^$".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        Ok(out.into())
    }),
];

/// The pattern, remembered for the rest of the rendering.
fn compile(machine: &mut Machine<'_>, pattern: &str) -> Result<Rc<regex::Regex>, String> {
    if let Some(known) = machine.patterns.get(pattern) {
        return known.clone();
    }
    let compiled = match nested_repetition(pattern) {
        Some(twice) => Err(format!("error parsing regexp: invalid nested repetition operator: `{twice}`")),
        None => regex::RegexBuilder::new(&translate(pattern))
            .size_limit(4 << 20)
            .build()
            .map(Rc::new)
            .map_err(|error| format!("error parsing regexp: {}", complaint(&error, pattern))),
    };
    machine.patterns.insert(pattern.into(), compiled.clone());
    compiled
}

/// Two repetitions in a row, which Go refuses; a question mark may follow one.
fn nested_repetition(pattern: &str) -> Option<&str> {
    let bytes = pattern.as_bytes();
    let (mut at, mut in_class) = (0, false);
    while at + 1 < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' | b'+' | b'?' if !in_class && at > 0 && !matches!(bytes[at - 1], b'(' | b'|') => {
                if matches!(bytes[at + 1], b'*' | b'+') {
                    return Some(&pattern[at..at + 2]);
                }
                at += usize::from(bytes[at + 1] == b'?');
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Go's words for the commonest mistakes.
fn complaint(error: &regex::Error, pattern: &str) -> String {
    let text = error.to_string();
    let find = |needle: &str| text.contains(needle);
    if find("unclosed group") {
        return format!("missing closing ): `{pattern}`");
    }
    if find("unopened group") {
        return format!("unexpected ): `{pattern}`");
    }
    if find("unclosed character class") {
        let from = pattern.rfind('[').map_or(pattern, |at| &pattern[at..]);
        return format!("missing closing ]: `{from}`");
    }
    if find("repetition operator missing expression") {
        let operator = pattern.find(['*', '+', '?']).map_or("", |at| &pattern[at..=at]);
        return format!("missing argument to repetition operator: `{operator}`");
    }
    if find("look-around") {
        let from = pattern.find("(?").map_or("", |at| &pattern[at..]);
        let end = from.char_indices().nth(3).map_or(from.len(), |(at, _)| at);
        return format!("invalid or unsupported Perl syntax: `{}`", &from[..end]);
    }
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn strict(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Rc<regex::Regex>> {
    machine.charge(args.iter().filter_map(Value::size).sum())?;
    compile(machine, &text(args, 0)).map_err(Failure::plain)
}

/// As [`strict`], with the message of Go's `MustCompile`.
fn sure(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Rc<regex::Regex>> {
    machine.charge(args.iter().filter_map(Value::size).sum())?;
    let pattern = text(args, 0);
    let quoted = if pattern.contains('`') { quote(&pattern) } else { format!("`{pattern}`") };
    compile(machine, &pattern).map_err(|message| Failure::plain(format!("regexp: Compile({quoted}): {message}")))
}

fn find(pattern: &regex::Regex, args: &[Value]) -> Answer<Value> {
    Ok(pattern.find(&text(args, 1)).map_or("", |found| found.as_str()).into())
}

fn limit(count: i64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn find_all(pattern: &regex::Regex, args: &[Value]) -> Answer<Value> {
    let whole = text(args, 1);
    let found: Vec<&str> = pattern.find_iter(&whole).take(limit(int(args, 2))).map(|found| found.as_str()).collect();
    Ok(if found.is_empty() { Value::List(List::nil(Items::Strings)) } else { Value::strings(found) })
}

fn replace(pattern: &regex::Regex, args: &[Value]) -> Answer<Value> {
    Ok(pattern.replace_all(&text(args, 1), &*text(args, 2)).as_ref().into())
}

fn replace_literal(pattern: &regex::Regex, args: &[Value]) -> Answer<Value> {
    Ok(pattern.replace_all(&text(args, 1), regex::NoExpand(&text(args, 2))).as_ref().into())
}

fn split(pattern: &regex::Regex, args: &[Value]) -> Answer<Value> {
    let (whole, count) = (text(args, 1), int(args, 2));
    if count == 0 {
        return Ok(Value::List(List::nil(Items::Strings)));
    }
    if whole.is_empty() && !text(args, 0).is_empty() {
        return Ok(Value::strings([""]));
    }
    let most = limit(count);
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for found in pattern.find_iter(&whole) {
        if count > 0 && parts.len() == most - 1 {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(&whole[start..end]);
        }
        start = found.end();
    }
    if end != whole.len() {
        parts.push(&whole[start..]);
    }
    Ok(Value::strings(parts))
}

/// Go's syntax to that of the `regex` crate.
pub(super) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let chars: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    let mut in_class = false;
    while let Some(&c) = chars.get(at) {
        at += 1;
        match c {
            '\\' => {
                let Some(&escaped) = chars.get(at) else {
                    out.push('\\');
                    break;
                };
                at += 1;
                at = escape(&mut out, &chars, at, escaped, in_class);
            }
            '[' if in_class && chars.get(at) == Some(&':') => out.push('['),
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                if chars.get(at) == Some(&'^') {
                    out.push('^');
                    at += 1;
                }
                if chars.get(at) == Some(&']') {
                    out.push_str("\\]");
                    at += 1;
                }
            }
            // The end of `[:alpha:]` is not the end of the class.
            ']' if in_class && at >= 2 && chars[at - 2] == ':' && is_posix(&chars[..at]) => out.push(']'),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '{' if !in_class && !repeats(&chars[at..]) => out.push_str("\\{"),
            '}' if !in_class && !closes(&chars[..at - 1]) => out.push_str("\\}"),
            c => out.push(c),
        }
    }
    out
}

fn is_posix(before: &[char]) -> bool {
    let start = before.windows(2).rposition(|pair| pair == ['[', ':']);
    start.is_some_and(|start| before[start + 2..before.len() - 2].iter().all(|c| c.is_ascii_alphabetic() || *c == '^'))
}

/// Whether what follows a brace is a count.
fn repeats(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|c| *c == '}') else { return false };
    let inner: String = rest[..end].iter().collect();
    let (least, most) = inner.split_once(',').unwrap_or((&inner, ""));
    !least.is_empty() && least.chars().chain(most.chars()).all(|c| c.is_ascii_digit())
}

/// Whether a closing brace ends a count or a name such as `\p{Greek}`.
fn closes(before: &[char]) -> bool {
    let Some(start) = before.iter().rposition(|c| *c == '{') else { return false };
    let name = start >= 2 && matches!(before[start - 1], 'p' | 'P' | 'x') && before[start - 2] == '\\';
    let mut rest = before[start + 1..].to_vec();
    rest.push('}');
    name || repeats(&rest)
}

/// Writes an escape; Go's classes are ASCII.
fn escape(out: &mut String, chars: &[char], mut at: usize, escaped: char, in_class: bool) -> usize {
    let class = match escaped {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => "^\\t\\n\\f\\r ",
        'b' | 'B' if !in_class => {
            out.push_str(if escaped == 'b' { "(?-u:\\b)" } else { "(?-u:\\B)" });
            return at;
        }
        'Q' => {
            while at < chars.len() && !chars[at..].starts_with(&['\\', 'E']) {
                out.push_str(&regex::escape(&chars[at].to_string()));
                at += 1;
            }
            return (at + 2).min(chars.len());
        }
        'p' | 'P' | 'x' if chars.get(at) == Some(&'{') => {
            let end = chars[at..].iter().position(|c| *c == '}').map_or(chars.len(), |end| at + end + 1);
            out.push('\\');
            out.push(escaped);
            out.extend(&chars[at..end]);
            return end;
        }
        c => {
            out.push('\\');
            out.push(c);
            return at;
        }
    };
    if in_class && !class.starts_with('^') {
        out.push_str(class);
    } else {
        out.push('[');
        out.push_str(class);
        out.push(']');
    }
    at
}
