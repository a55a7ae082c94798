//! Sprig's functions on the case and shape of words: camel, snake, kebab, title, wrap, initials.
//!
//! Start with [`FUNCTIONS`]. Source: huandu/xstrings, Masterminds/goutils.

use super::call::{Function, Type, bytes, int, text};
use super::error::Answer;
use super::run::Machine;
use super::strings::single;
use super::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("title", &[Type::Text], |_, args| Ok(title(&text(args, 0)).into())),
    Function::new("untitle", &[Type::Text], |_, args| Ok(untitle(&text(args, 0)).into())),
    Function::new("swapcase", &[Type::Text], |_, args| Ok(swap_case(&text(args, 0)).into())),
    Function::new("camelcase", &[Type::Text], |_, args| Ok(pascal_case(&text(args, 0)).into())),
    Function::new("snakecase", &[Type::Text], |_, args| Ok(joined_case(&text(args, 0), '_').into())),
    Function::new("kebabcase", &[Type::Text], |_, args| Ok(joined_case(&text(args, 0), '-').into())),
    Function::new("nospace", &[Type::Text], |_, args| Ok(no_space(bytes(args, 0)))),
    Function::new("initials", &[Type::Text], |_, args| Ok(initials(bytes(args, 0)).into())),
    Function::new("wrap", &[Type::Int, Type::Text], |machine, args| {
        wrap(machine, bytes(args, 1), int(args, 0), b"\n", false)
    }),
    Function::new("wrapWith", &[Type::Int, Type::Text, Type::Text], |machine, args| {
        let separator = bytes(args, 1);
        let separator = if separator.is_empty() { b"\n" } else { separator };
        wrap(machine, bytes(args, 2), int(args, 0), separator, true)
    }),
];

fn to_upper(c: char) -> char {
    single(c, c.to_uppercase())
}

fn to_lower(c: char) -> char {
    single(c, c.to_lowercase())
}

/// Go's idea of where a word ends for `strings.Title`.
fn separates(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    !c.is_alphanumeric() && c.is_whitespace()
}

fn title(text: &str) -> String {
    let mut previous = ' ';
    text.chars()
        .map(|c| {
            let mapped = if separates(previous) { to_upper(c) } else { c };
            previous = c;
            mapped
        })
        .collect()
}

fn untitle(text: &str) -> String {
    let mut starts = true;
    text.chars()
        .map(|c| {
            if c.is_whitespace() {
                starts = true;
                return c;
            }
            if std::mem::take(&mut starts) { to_lower(c) } else { c }
        })
        .collect()
}

fn swap_case(text: &str) -> String {
    let mut space = true;
    text.chars()
        .map(|c| {
            if c.is_uppercase() {
                space = false;
                to_lower(c)
            } else if c.is_lowercase() {
                space = false;
                to_upper(c)
            } else {
                space = c.is_whitespace();
                c
            }
        })
        .collect()
}

/// Go looks at bytes here, as if each were a character.
fn byte_is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | b' ' | 0x85 | 0xa0)
}

fn no_space(bytes: &[u8]) -> Value {
    if !bytes.iter().any(|byte| byte_is_space(*byte)) {
        return Value::string(bytes.to_vec());
    }
    let kept: String = bytes.iter().filter(|byte| !byte_is_space(**byte)).map(|byte| *byte as char).collect();
    kept.into()
}

fn initials(bytes: &[u8]) -> String {
    let mut gap = true;
    let mut out = String::new();
    for byte in bytes {
        if byte_is_space(*byte) {
            gap = true;
        } else if std::mem::take(&mut gap) {
            out.push(*byte as char);
        }
    }
    out
}

fn wrap(machine: &mut Machine<'_>, whole: &[u8], width: i64, separator: &[u8], long: bool) -> Answer<Value> {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    machine.charge((whole.len() / width).saturating_mul(separator.len()))?;
    let mut out = Vec::with_capacity(whole.len());
    let mut offset = 0;
    while whole.len() - offset > width {
        if whole[offset] == b' ' {
            offset += 1;
            continue;
        }
        let window = &whole[offset..offset + width + 1];
        let space = window.iter().rposition(|byte| *byte == b' ').map(|place| offset + place);
        let (end, next) = match space {
            Some(space) => (space, space + 1),
            None if long => (offset + width, offset + width),
            None => match whole[offset + width..].iter().position(|byte| *byte == b' ') {
                Some(place) => (offset + width + place, offset + width + place + 1),
                None => break,
            },
        };
        out.extend_from_slice(&whole[offset..end]);
        out.extend_from_slice(separator);
        offset = next;
    }
    out.extend_from_slice(&whole[offset..]);
    Ok(Value::string(out))
}

fn connects(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

fn pascal_case(text: &str) -> String {
    let start = text.find(|c| !connects(c)).unwrap_or(text.len());
    let mut out = text[..start].to_owned();
    let mut rest = text[start..].chars();
    let Some(first) = rest.next() else { return text.to_owned() };
    let mut run_of_upper = first.is_uppercase();
    let mut pending = to_upper(first);
    for c in rest {
        let previous = pending;
        pending = c;
        if connects(c) && connects(previous) {
            out.push(previous);
        } else if connects(previous) {
            run_of_upper = c.is_uppercase();
            pending = to_upper(c);
        } else {
            if run_of_upper && c.is_uppercase() {
                pending = to_lower(c);
            } else if run_of_upper {
                run_of_upper = false;
            }
            out.push(previous);
        }
    }
    out.push(pending);
    out
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !('\u{3400}'..='\u{9fff}').contains(&c)
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c)
        || matches!(c, '\u{2010}'..='\u{2027}' | '\u{3001}'..='\u{3003}')
}

/// Cuts text into words as xstrings does: `HTTPServer2x` is `HTTP`, `Server`, `2`, `x`.
fn words(text: &str) -> Vec<(Sort, String)> {
    let chars: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut start = 0;
    let run =
        |from: usize, matches: &dyn Fn(char) -> bool| from + chars[from..].iter().take_while(|c| matches(**c)).count();
    while let Some(&c) = chars.get(start) {
        let after = start + 1;
        let lower = |c: char| is_letter(c) && !c.is_uppercase();
        let (sort, end) = if connects(c) {
            (Sort::Connector, run(after, &connects))
        } else if is_punctuation(c) {
            (Sort::Punctuation, run(after, &is_punctuation))
        } else if c.is_uppercase() {
            let end = run(after, &char::is_uppercase);
            match chars.get(end) {
                // The last capital belongs to the word that follows.
                Some(next) if end > after && is_letter(*next) => (Sort::Upper, end - 1),
                Some(next) if end == after && is_letter(*next) => (Sort::Upper, run(after, &lower)),
                _ => (Sort::Upper, end),
            }
        } else if is_letter(c) {
            (Sort::Letters, run(after, &lower))
        } else if c.is_numeric() {
            (Sort::Number, run(after, &char::is_numeric))
        } else {
            let other = |c: char| !(connects(c) || is_letter(c) || c.is_numeric() || is_punctuation(c));
            (Sort::Other, run(after, &other))
        };
        words.push((sort, chars[start..end].iter().collect()));
        start = end;
    }
    words
}

fn put(out: &mut String, word: &(Sort, String), connector: char) {
    match word.0 {
        Sort::Connector => out.extend(word.1.chars().map(|_| connector)),
        Sort::Upper => out.extend(word.1.chars().map(to_lower)),
        _ => out.push_str(&word.1),
    }
}

fn joined_case(text: &str, connector: char) -> String {
    let words = words(text);
    let mut out = String::new();
    let mut at = 0;
    let sort = |at: usize| words.get(at).map(|word| word.0);
    let joins = |at: usize| !matches!(sort(at), None | Some(Sort::Connector | Sort::Punctuation));
    let swallows = |at: usize| matches!(sort(at), Some(Sort::Letters | Sort::Number));
    while at + 1 < words.len() {
        let previous = words[at].0;
        put(&mut out, &words[at], connector);
        at += 1;
        match previous {
            Sort::Connector | Sort::Punctuation => continue,
            Sort::Number => {}
            _ if sort(at) != Some(Sort::Number) => {
                if joins(at) {
                    out.push(connector);
                }
                continue;
            }
            // A number at the very end stays with its word.
            _ if at + 1 == words.len() => continue,
            _ if sort(at + 1) != Some(Sort::Letters) => {
                put(&mut out, &words[at], connector);
                at += 1;
                if joins(at) {
                    out.push(connector);
                }
                continue;
            }
            _ => out.push(connector),
        }
        while swallows(at) {
            put(&mut out, &words[at], connector);
            at += 1;
        }
        if joins(at) {
            out.push(connector);
        }
    }
    if let Some(word) = words.get(at) {
        put(&mut out, word, connector);
    }
    out
}
