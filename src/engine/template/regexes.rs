//! Sprig's regular expressions, in Go's dialect.
//!
//! Start with [`FUNCTIONS`]. Source: Masterminds/sprig (regex.go).

use std::rc::Rc;

use super::call::{Function, Type, int, text};
use super::error::{Answer, Failure};
use super::run::Machine;
use super::text::quote;
use super::value::{Items, List, Value};
use crate::engine::go_expand::Replacement;
use crate::engine::go_regex;

/// Compiled patterns that are kept.
const PATTERNS: usize = 32;
const PATTERN_BYTES: usize = 1 << 20;
const PATTERN_AND_TEXT: &[Type] = &[Type::Text, Type::Text];
const WITH_COUNT: &[Type] = &[Type::Text, Type::Text, Type::Int];
const WITH_TEXT: &[Type] = &[Type::Text, Type::Text, Type::Text];

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("regexMatch", PATTERN_AND_TEXT, |machine, args| {
        Ok(compile(machine, &text(args, 0))?.is_ok_and(|pattern| pattern.is_match(&text(args, 1))).into())
    }),
    Function::new("mustRegexMatch", PATTERN_AND_TEXT, |machine, args| {
        Ok(strict(machine, args)?.is_match(&text(args, 1)).into())
    }),
    Function::new("regexFind", PATTERN_AND_TEXT, |machine, args| find(&*sure(machine, args)?, args)),
    Function::new("mustRegexFind", PATTERN_AND_TEXT, |machine, args| find(&*strict(machine, args)?, args)),
    Function::new("regexFindAll", WITH_COUNT, |machine, args| find_all(&*sure(machine, args)?, args)),
    Function::new("mustRegexFindAll", WITH_COUNT, |machine, args| find_all(&*strict(machine, args)?, args)),
    Function::new("regexReplaceAll", WITH_TEXT, |machine, args| {
        sure(machine, args).and_then(|pattern| replace(machine, &pattern, args))
    }),
    Function::new("mustRegexReplaceAll", WITH_TEXT, |machine, args| {
        strict(machine, args).and_then(|pattern| replace(machine, &pattern, args))
    }),
    Function::new("regexReplaceAllLiteral", WITH_TEXT, |machine, args| {
        sure(machine, args).and_then(|pattern| replace_literal(machine, &pattern, args))
    }),
    Function::new("mustRegexReplaceAllLiteral", WITH_TEXT, |machine, args| {
        strict(machine, args).and_then(|pattern| replace_literal(machine, &pattern, args))
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

/// The pattern, remembered for a while. A new one is paid for as if it took a quarter of what it may take.
fn compile(machine: &mut Machine<'_>, pattern: &str) -> Answer<Result<Rc<regex::Regex>, String>> {
    if let Some(known) = machine.patterns.get(pattern) {
        return Ok(known.clone());
    }
    machine.check_time()?;
    machine.charge(PATTERN_BYTES)?;
    let compiled = go_regex(pattern).map(Rc::new);
    if machine.patterns.len() >= PATTERNS {
        machine.patterns.clear();
    }
    machine.patterns.insert(pattern.into(), compiled.clone());
    Ok(compiled)
}

fn strict(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Rc<regex::Regex>> {
    machine.charge(args.iter().filter_map(Value::size).sum())?;
    compile(machine, &text(args, 0))?.map_err(Failure::plain)
}

/// As [`strict`], with the message of Go's `MustCompile`.
fn sure(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Rc<regex::Regex>> {
    machine.charge(args.iter().filter_map(Value::size).sum())?;
    let pattern = text(args, 0);
    let quoted = if pattern.contains('`') { quote(&pattern) } else { format!("`{pattern}`") };
    compile(machine, &pattern)?.map_err(|message| Failure::plain(format!("regexp: Compile({quoted}): {message}")))
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

/// Pays for the most that replacing can make, before it is made: a group is no longer than what was found.
fn pay(machine: &mut Machine<'_>, pattern: &regex::Regex, whole: &str, with: &str, groups: usize) -> Answer<()> {
    let found = pattern.find_iter(whole).count();
    machine.charge(found.saturating_mul(with.len()).saturating_add(groups.saturating_mul(whole.len())))
}

fn replace(machine: &mut Machine<'_>, pattern: &regex::Regex, args: &[Value]) -> Answer<Value> {
    let (whole, with) = (text(args, 1), text(args, 2));
    pay(machine, pattern, &whole, &with, with.matches('$').count())?;
    let with = Replacement::read(&with, pattern);
    let expand = |found: &regex::Captures<'_>| {
        with.filled(|group| found.get(group).map_or("", |text| text.as_str())).into_owned()
    };
    Ok(pattern.replace_all(&whole, expand).as_ref().into())
}

fn replace_literal(machine: &mut Machine<'_>, pattern: &regex::Regex, args: &[Value]) -> Answer<Value> {
    let (whole, with) = (text(args, 1), text(args, 2));
    pay(machine, pattern, &whole, &with, 0)?;
    Ok(pattern.replace_all(&whole, regex::NoExpand(&with)).as_ref().into())
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
