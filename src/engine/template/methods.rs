//! The methods of Go values that templates may call, e.g. `.Files.Get` and `.Capabilities.APIVersions.Has`.
//!
//! A method is a function whose first argument is its receiver. Start with [`find`].
//! Source: helm pkg/engine (files.go), pkg/chart/common, Go's time package, Masterminds/semver.

use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;

use super::call::{Function, Type, map, text};
use super::error::{Answer, Failure};
use super::run::Machine;
use super::value::{Entries, Fields, Items, Map, Value};
use super::{addresses, dates, document, layout};

static FILES: &[Function] = &[
    Function::new("Get", &[Type::Any, Type::Text], |_, args| {
        Ok(Value::string(content(args).map_or(Vec::new(), |bytes| bytes.to_vec())))
    }),
    Function::new("GetBytes", &[Type::Any, Type::Text], |_, args| {
        Ok(Value::Bytes(content(args).unwrap_or_else(|| Arc::from([]))))
    }),
    Function::new("Glob", &[Type::Any, Type::Text], glob),
    Function::new("AsConfig", &[Type::Any], |_, args| as_document(args, |bytes| Value::string(bytes.to_vec()))),
    Function::new("AsSecrets", &[Type::Any], |_, args| {
        as_document(args, |bytes| base64::engine::general_purpose::STANDARD.encode(bytes).into())
    }),
    Function::new("Lines", &[Type::Any, Type::Text], |_, args| {
        let bytes = content(args).unwrap_or_else(|| Arc::from([]));
        let whole = String::from_utf8_lossy(&bytes);
        if whole.is_empty() {
            return Ok(Value::strings(Vec::<String>::new()));
        }
        Ok(Value::strings(whole.strip_suffix('\n').unwrap_or(&whole).split('\n')))
    }),
];

static VERSIONS: &[Function] = &[Function::new("Has", &[Type::Any, Type::Text], |_, args| {
    let wanted = text(args, 1);
    let items = args[0].to_items().unwrap_or_default();
    Ok(items.iter().any(|item| item.as_bytes() == Some(wanted.as_bytes())).into())
})];

static VALUES: &[Function] = &[
    Function::new("AsMap", &[Type::Any], |_, args| Ok(Value::Map(map(args, 0).retyped(Fields::Any)))),
    Function::new("YAML", &[Type::Any], |_, args| Ok(document::to_yaml(&args[0])?.into())),
    Function::new("Table", &[Type::Any, Type::Text], |_, args| {
        let mut table = map(args, 0);
        for name in text(args, 1).split('.') {
            table = match table.get(name) {
                Some(Value::Map(inner)) => inner,
                _ => return Err(Failure::plain(format!("{} is not a table", super::text::quote(name)))),
            };
        }
        Ok(Value::Map(table.retyped(Fields::Values)))
    }),
];

static KUBE_VERSION: &[Function] = &[
    Function::new("String", &[Type::Any], |_, args| Ok(shown(&args[0]))),
    Function::new("GitVersion", &[Type::Any], |_, args| Ok(part(&args[0], "Version"))),
];

static VERSION: &[Function] = &[
    Function::new("Major", &[Type::Any], |_, args| Ok(part(&args[0], "major"))),
    Function::new("Minor", &[Type::Any], |_, args| Ok(part(&args[0], "minor"))),
    Function::new("Patch", &[Type::Any], |_, args| Ok(part(&args[0], "patch"))),
    Function::new("Prerelease", &[Type::Any], |_, args| Ok(part(&args[0], "pre"))),
    Function::new("Metadata", &[Type::Any], |_, args| Ok(part(&args[0], "metadata"))),
    Function::new("Original", &[Type::Any], |_, args| Ok(part(&args[0], "original"))),
    Function::new("String", &[Type::Any], |_, args| Ok(shown(&args[0]))),
    Function::new("Compare", &[Type::Any, Type::Any], |_, args| Ok(Value::Int(order(args)? as i64))),
    Function::new("LessThan", &[Type::Any, Type::Any], |_, args| Ok(order(args)?.is_lt().into())),
    Function::new("GreaterThan", &[Type::Any, Type::Any], |_, args| Ok(order(args)?.is_gt().into())),
    Function::new("Equal", &[Type::Any, Type::Any], |_, args| Ok(order(args)?.is_eq().into())),
];

static TIME: &[Function] = &[
    Function::new("Format", &[Type::Time, Type::Text], |_, args| {
        with(args, |time| layout::format(time, &text(args, 1)).into())
    }),
    Function::new("Unix", &[Type::Time], |_, args| with(args, |time| Value::Int64(time.timestamp().as_second()))),
    Function::new("UnixNano", &[Type::Time], |_, args| with(args, |time| Value::Int64(dates::nanoseconds(time)))),
    Function::new("UnixMilli", &[Type::Time], |_, args| {
        with(args, |time| Value::Int64(time.timestamp().as_millisecond()))
    }),
    Function::new("Year", &[Type::Time], |_, args| with(args, |time| Value::Int(i64::from(time.year())))),
    Function::new("Month", &[Type::Time], |_, args| with(args, |time| layout::month_name(time.month()).into())),
    Function::new("Day", &[Type::Time], |_, args| with(args, |time| Value::Int(i64::from(time.day())))),
    Function::new("Hour", &[Type::Time], |_, args| with(args, |time| Value::Int(i64::from(time.hour())))),
    Function::new("Minute", &[Type::Time], |_, args| with(args, |time| Value::Int(i64::from(time.minute())))),
    Function::new("Second", &[Type::Time], |_, args| with(args, |time| Value::Int(i64::from(time.second())))),
    Function::new("Nanosecond", &[Type::Time], |_, args| {
        with(args, |time| Value::Int(i64::from(time.subsec_nanosecond())))
    }),
    Function::new("YearDay", &[Type::Time], |_, args| with(args, |time| Value::Int(i64::from(time.day_of_year())))),
    Function::new("Weekday", &[Type::Time], |_, args| with(args, |time| layout::weekday_name(time.weekday()).into())),
    Function::new("UTC", &[Type::Time], |_, args| {
        with(args, |time| Value::Time(Rc::new(time.with_time_zone(jiff::tz::TimeZone::UTC))))
    }),
    Function::new("String", &[Type::Time], |_, args| Ok(super::format::value_text(&args[0])?.into())),
    Function::new("AddDate", &[Type::Time, Type::Int, Type::Int, Type::Int], |_, args| {
        let span = |index: usize| super::call::int(args, index);
        with(args, |time| {
            let months = span(1).saturating_mul(12).saturating_add(span(2));
            let day = i64::from(time.day()) - 1;
            let first = time.with().day(1).build().unwrap_or_else(|_| time.clone());
            let span =
                jiff::Span::new().try_months(months).and_then(|moved| moved.try_days(span(3).saturating_add(day)));
            let moved = span.and_then(|span| first.checked_add(span));
            moved.map_or(Value::Nil, |time| Value::Time(Rc::new(time)))
        })
    }),
];

static DURATION: &[Function] = &[
    Function::new("String", &[Type::Any], |_, args| Ok(super::format::value_text(&args[0])?.into())),
    Function::new("Seconds", &[Type::Any], |_, args| Ok(Value::Float(nanoseconds(args) as f64 / 1e9))),
    Function::new("Minutes", &[Type::Any], |_, args| Ok(Value::Float(nanoseconds(args) as f64 / 6e10))),
    Function::new("Hours", &[Type::Any], |_, args| Ok(Value::Float(nanoseconds(args) as f64 / 3.6e12))),
    Function::new("Milliseconds", &[Type::Any], |_, args| Ok(Value::Int64(nanoseconds(args) / 1_000_000))),
    Function::new("Microseconds", &[Type::Any], |_, args| Ok(Value::Int64(nanoseconds(args) / 1000))),
    Function::new("Nanoseconds", &[Type::Any], |_, args| Ok(Value::Int64(nanoseconds(args)))),
];

/// The method of this name that the value has.
pub(super) fn find(value: &Value, name: &str) -> Option<&'static Function> {
    let methods = match value {
        Value::Map(map) => match map.kind() {
            Fields::Files => FILES,
            Fields::Values => VALUES,
            Fields::Any | Fields::Strings | Fields::Keyed => return None,
        },
        Value::List(list) if list.kind() == Items::Versions => VERSIONS,
        Value::Time(_) => TIME,
        Value::Duration(_) => DURATION,
        Value::Object(object) => match object.type_name {
            "common.KubeVersion" => KUBE_VERSION,
            "*semver.Version" => VERSION,
            _ => return None,
        },
        _ => return None,
    };
    methods.iter().find(|method| method.name == name)
}

fn with(args: &[Value], look: impl FnOnce(&jiff::Zoned) -> Value) -> Answer<Value> {
    match &args[0] {
        Value::Time(time) => Ok(look(time)),
        _ => Ok(Value::Nil),
    }
}

fn nanoseconds(args: &[Value]) -> i64 {
    match args[0] {
        Value::Duration(nanoseconds) => nanoseconds,
        _ => 0,
    }
}

fn part(value: &Value, name: &str) -> Value {
    match value {
        Value::Object(object) => {
            object.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone()).unwrap_or_default()
        }
        _ => Value::Nil,
    }
}

fn shown(value: &Value) -> Value {
    match value {
        Value::Object(object) => object.text.clone().map_or(Value::Nil, Value::Str),
        _ => Value::Nil,
    }
}

fn order(args: &[Value]) -> Answer<std::cmp::Ordering> {
    let read = |value: &Value| addresses::parse_version(&text(&[shown(value)], 0)).map_err(Failure::plain);
    Ok(read(&args[0])?.cmp_precedence(&read(&args[1])?))
}

fn content(args: &[Value]) -> Option<Arc<[u8]>> {
    let Value::Map(files) = &args[0] else { return None };
    match files.get(&text(args, 1)) {
        Some(Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}

fn as_document(args: &[Value], read: impl Fn(&[u8]) -> Value) -> Answer<Value> {
    let mut entries = Entries::new();
    for (path, value) in map(args, 0).entries().iter() {
        if let Value::Bytes(bytes) = value {
            entries.insert(addresses::base(path).into(), read(bytes));
        }
    }
    let yaml = document::to_yaml(&Value::Map(Map::of(Fields::Strings, entries)))?;
    Ok(yaml.strip_suffix('\n').unwrap_or(&yaml).into())
}

fn glob(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    let files = map(args, 0);
    machine.charge(files.len() * 32)?;
    let pattern = regex::Regex::new(&glob_pattern(&text(args, 1)));
    let matches = |path: &str| pattern.as_ref().map_or(true, |pattern| pattern.is_match(path));
    let entries =
        files.entries().iter().filter(|(path, _)| matches(path)).map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(Value::Map(Map::of(Fields::Files, entries)))
}

/// A glob in which only `**` crosses slashes.
fn glob_pattern(glob: &str) -> String {
    let mut out = String::from("(?s)^");
    let mut chars = glob.chars().peekable();
    let mut braces = 0;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                while chars.next_if_eq(&'*').is_some() {}
                out.push_str(".*");
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => {
                out.push('[');
                if chars.next_if_eq(&'!').is_some() {
                    out.push('^');
                }
                for c in chars.by_ref().take_while(|c| *c != ']') {
                    if matches!(c, '[' | '\\' | '&' | '~') {
                        out.push('\\');
                    }
                    out.push(c);
                }
                out.push(']');
            }
            '{' => {
                braces += 1;
                out.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                out.push(')');
            }
            ',' if braces > 0 => out.push('|'),
            '\\' => out.push_str(&regex::escape(&chars.next().map(String::from).unwrap_or_default())),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out.push('$');
    out
}

/// The receiver of every method of `.Files`.
pub(super) fn files(contents: impl IntoIterator<Item = (String, Arc<[u8]>)>) -> Value {
    let entries = contents.into_iter().map(|(path, bytes)| (path.into(), Value::Bytes(bytes)));
    Value::Map(Map::of(Fields::Files, entries.collect()))
}
