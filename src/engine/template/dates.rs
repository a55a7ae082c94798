//! Sprig's and Helm's functions on times and durations, in Go's layouts.
//!
//! The clock and the time zones come from the caller; without zones everything is UTC. Start with [`FUNCTIONS`].
//! Source: Go's time package, Masterminds/sprig (date.go), helm pkg/engine (funcs.go).

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};

use super::call::{Function, Type, text};
use super::error::{Answer, Failure};
pub(super) use super::layout::{format, parse};
use super::run::Machine;
use super::text::{parse_float, parse_int, quote};
use super::value::Value;

const SECOND: i64 = 1_000_000_000;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("now", &[], |machine, _| Ok(Value::Time(Rc::new(machine.world.now())))),
    Function::new("date", &[Type::Text, Type::Any], |machine, args| {
        Ok(in_zone(machine, &text(args, 0), &args[1], "Local").into())
    }),
    Function::new("htmlDate", &[Type::Any], |machine, args| {
        Ok(in_zone(machine, "2006-01-02", &args[0], "Local").into())
    }),
    Function::new("htmlDateInZone", &[Type::Any, Type::Text], |machine, args| {
        Ok(in_zone(machine, "2006-01-02", &args[0], &text(args, 1)).into())
    }),
    Function::new("dateInZone", &[Type::Text, Type::Any, Type::Text], date_in_zone),
    Function::new("date_in_zone", &[Type::Text, Type::Any, Type::Text], date_in_zone),
    Function::new("dateModify", &[Type::Text, Type::Time], |_, args| Ok(modify(args).unwrap_or(args[1].clone()))),
    Function::new("date_modify", &[Type::Text, Type::Time], |_, args| Ok(modify(args).unwrap_or(args[1].clone()))),
    Function::new("mustDateModify", &[Type::Text, Type::Time], |_, args| modify(args).map_err(Failure::plain)),
    Function::new("must_date_modify", &[Type::Text, Type::Time], |_, args| modify(args).map_err(Failure::plain)),
    Function::new("toDate", &[Type::Text, Type::Text], |_, args| {
        Ok(parse(&text(args, 0), &text(args, 1)).map_or_else(|_| zero(), |time| Value::Time(Rc::new(time))))
    }),
    Function::new("mustToDate", &[Type::Text, Type::Text], |_, args| {
        parse(&text(args, 0), &text(args, 1)).map(|time| Value::Time(Rc::new(time))).map_err(Failure::plain)
    }),
    Function::new("unixEpoch", &[Type::Time], |machine, args| {
        Ok(moment(machine, &args[0]).timestamp().as_second().to_string().into())
    }),
    Function::new("ago", &[Type::Any], |machine, args| {
        let since = nanoseconds(&machine.world.now()) - nanoseconds(&moment(machine, &args[0]));
        let rounded = (since as f64 / SECOND as f64).round() as i64;
        Ok(duration_text(rounded.saturating_mul(SECOND)).into())
    }),
    Function::new("duration", &[Type::Any], |_, args| {
        let seconds = match &args[0] {
            Value::Str(text) => parse_int(text, 10).unwrap_or(0),
            Value::Int64(seconds) => *seconds,
            _ => 0,
        };
        Ok(duration_text(seconds.wrapping_mul(SECOND)).into())
    }),
    Function::new("durationRound", &[Type::Any], |machine, args| {
        let nanoseconds = match &args[0] {
            Value::Str(text) => parse_duration(text).unwrap_or(0),
            Value::Int64(number) => *number,
            Value::Time(time) => nanoseconds(&machine.world.now()).saturating_sub(nanoseconds(time)),
            _ => 0,
        };
        Ok(rounded_duration(nanoseconds).into())
    }),
    Function::new("mustToDuration", &[Type::Any], |_, args| {
        as_duration(&args[0]).map(Value::Duration).map_err(Failure::plain)
    }),
    Function::new("durationSeconds", &[Type::Any], |_, args| Ok(Value::Float(parts(args, SECOND)))),
    Function::new("durationMinutes", &[Type::Any], |_, args| Ok(Value::Float(parts(args, 60 * SECOND)))),
    Function::new("durationHours", &[Type::Any], |_, args| Ok(Value::Float(parts(args, 3600 * SECOND)))),
    Function::new("durationDays", &[Type::Any], |_, args| Ok(Value::Float(parts(args, 3600 * SECOND) / 24.0))),
    Function::new("durationWeeks", &[Type::Any], |_, args| Ok(Value::Float(parts(args, 3600 * SECOND) / 24.0 / 7.0))),
    Function::new("durationMilliseconds", &[Type::Any], |_, args| Ok(whole(args, 1_000_000))),
    Function::new("durationMicroseconds", &[Type::Any], |_, args| Ok(whole(args, 1000))),
    Function::new("durationNanoseconds", &[Type::Any], |_, args| Ok(whole(args, 1))),
    Function::new("durationRoundTo", &[Type::Any, Type::Any], |_, args| Ok(rounded_to(args))),
    Function::new("durationTruncateTo", &[Type::Any, Type::Any], |_, args| {
        let (number, unit) = (as_duration(&args[0]).unwrap_or(0), as_duration(&args[1]).unwrap_or(0));
        Ok(Value::Duration(if unit <= 0 { number } else { number - number % unit }))
    }),
];

/// Go's zero time.
fn zero() -> Value {
    let time = jiff::civil::date(1, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC);
    time.map_or(Value::Nil, |time| Value::Time(Rc::new(time)))
}

pub(super) fn nanoseconds(time: &Zoned) -> i64 {
    i64::try_from(time.timestamp().as_nanosecond()).unwrap_or(i64::MAX)
}

/// The time a value stands for; what is no time is now.
fn moment(machine: &Machine<'_>, value: &Value) -> Zoned {
    match value {
        Value::Time(time) => (**time).clone(),
        Value::Int(seconds) | Value::Int64(seconds) => {
            Timestamp::from_second(*seconds).unwrap_or_default().to_zoned(TimeZone::UTC)
        }
        _ => machine.world.now(),
    }
}

fn in_zone(machine: &Machine<'_>, layout: &str, value: &Value, zone: &str) -> String {
    let zone = machine.world.zones.and_then(|zones| zones(zone)).unwrap_or(TimeZone::UTC);
    format(&moment(machine, value).with_time_zone(zone), layout)
}

fn date_in_zone(machine: &mut Machine<'_>, args: &[Value]) -> Answer<Value> {
    Ok(in_zone(machine, &text(args, 0), &args[1], &text(args, 2)).into())
}

fn modify(args: &[Value]) -> Result<Value, String> {
    let by = parse_duration(&text(args, 0))?;
    match &args[1] {
        Value::Time(time) => {
            let later = time.checked_add(SignedDuration::from_nanos(by)).map_err(|error| error.to_string())?;
            Ok(Value::Time(Rc::new(later)))
        }
        _ => Ok(Value::Nil),
    }
}

/// Go's text of a duration, e.g. `1h30m0.5s`.
pub(super) fn duration_text(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return "0s".into();
    }
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{:0digits$}", value / unit, value % unit);
        if digits == 0 { format!("{value}") } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
    };
    if total < 1_000_000_000 {
        let (text, unit) = match total {
            0..1_000 => (total.to_string(), "ns"),
            0..1_000_000 => (fraction(total, 1_000), "µs"),
            _ => (fraction(total, 1_000_000), "ms"),
        };
        return format!("{sign}{text}{unit}");
    }
    let seconds = fraction(total % 60_000_000_000, 1_000_000_000);
    let minutes = total / 60_000_000_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// Reads Go's text of a duration into nanoseconds.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        if number.is_empty() || number == "." || number.matches('.').count() > 1 {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(text))),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        total = total.checked_add(whole.checked_mul(scale).ok_or_else(invalid)?).ok_or_else(invalid)?;
        if !fraction.is_empty() {
            total += (format!("0.{fraction}").parse::<f64>().map_err(|_| invalid())? * scale as f64) as i128;
        }
        rest = next;
    }
    i64::try_from(if sign < 0.0 { -total } else { total }).map_err(|_| invalid())
}

fn rounded_duration(nanoseconds: i64) -> String {
    let total = nanoseconds.unsigned_abs();
    let hour = 3_600_000_000_000;
    let units = [
        (hour * 24 * 365, "y"),
        (hour * 24 * 30, "mo"),
        (hour * 24, "d"),
        (hour, "h"),
        (hour / 60, "m"),
        (1_000_000_000, "s"),
    ];
    units
        .iter()
        .find(|(unit, _)| total > *unit)
        .map_or_else(|| "0s".into(), |(unit, name)| format!("{}{name}", total / unit))
}

/// Helm's reading of a duration: Go's text, or seconds as number or text.
fn as_duration(value: &Value) -> Result<i64, String> {
    let from_float = |seconds: f64| {
        if !seconds.is_finite() {
            return Err(format!("invalid duration seconds: {}", super::text::format_float(seconds, 6)));
        }
        let overflow = || format!("duration seconds overflow: {}", super::text::format_float(seconds, 6));
        if seconds.abs() > 9_223_372_036.854_776 { Err(overflow()) } else { Ok((seconds * SECOND as f64) as i64) }
    };
    match value {
        Value::Duration(nanoseconds) => Ok(*nanoseconds),
        Value::Nil => Err("invalid duration".into()),
        Value::Str(text) => {
            let trimmed = text.trim();
            if trimmed.is_empty() {
                return Err("empty duration".into());
            }
            parse_duration(trimmed).or_else(|_| match parse_float(trimmed) {
                Some(seconds) => from_float(seconds),
                None => Err(format!("could not parse duration {}", quote(text))),
            })
        }
        Value::Int(seconds) | Value::Int64(seconds) => {
            seconds.checked_mul(SECOND).ok_or_else(|| format!("duration seconds overflow: {seconds}"))
        }
        Value::Uint8(seconds) => Ok(i64::from(*seconds) * SECOND),
        Value::Uint64(seconds) => i64::try_from(*seconds)
            .ok()
            .and_then(|seconds| seconds.checked_mul(SECOND))
            .ok_or_else(|| format!("duration seconds overflow: {seconds}")),
        Value::Float(seconds) => from_float(*seconds),
        other => Err(format!("unsupported duration type {}", other.type_name())),
    }
}

/// How many units, with a fraction, added up as Go does.
fn parts(args: &[Value], unit: i64) -> f64 {
    let number = as_duration(&args[0]).unwrap_or(0);
    (number / unit) as f64 + (number % unit) as f64 / unit as f64
}

fn whole(args: &[Value], unit: i64) -> Value {
    Value::Int64(as_duration(&args[0]).unwrap_or(0) / unit)
}

fn rounded_to(args: &[Value]) -> Value {
    let (number, unit) = (as_duration(&args[0]).unwrap_or(0), as_duration(&args[1]).unwrap_or(0));
    if unit <= 0 {
        return Value::Duration(number);
    }
    let rest = number % unit;
    let half = rest.unsigned_abs() * 2 >= unit.unsigned_abs();
    let away = if half { unit * rest.signum() } else { 0 };
    Value::Duration((number - rest).saturating_add(away))
}
