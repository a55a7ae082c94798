//! Go's layouts of times: `Mon Jan 2 15:04:05 MST 2006` stands for the parts themselves.
//!
//! Start with [`format`] and [`parse`]. Source: Go's time package (format.go).

use std::fmt::Write;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Zoned};

use super::text::quote;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The parts a layout can name, longest first where one begins another.
const PARTS: [&str; 38] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "-07:00:00",
    "-07:00",
    "-070000",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z07:00",
    "Z070000",
    "Z0700",
    "Z07",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "__2",
    "_2006",
    "_2",
    "PM",
    "pm",
    "1",
    "2",
    "3",
    "4",
    "5",
    ".0",
    ",0",
    ".9",
    ",9",
];

/// Cuts a layout at its first part: text before, the part, the rest.
fn cut(layout: &str) -> (&str, &str, &str) {
    for (at, _) in layout.char_indices() {
        let here = &layout[at..];
        let Some(part) = PARTS.iter().find(|part| here.starts_with(**part)) else { continue };
        let mut length = part.len();
        match *part {
            // `Jan` and `Mon` do not begin a longer word in lower case.
            "Jan" | "Mon" if here[3..].starts_with(|c: char| c.is_ascii_lowercase()) => continue,
            ".0" | ",0" | ".9" | ",9" => {
                let digit = part.as_bytes()[1];
                length = 1 + here.bytes().skip(1).take_while(|byte| *byte == digit).count();
                if here[length..].starts_with(|c: char| c.is_ascii_digit()) {
                    continue;
                }
            }
            // An underscore before a year is only an underscore.
            "_2006" => return (&layout[..=at], &here[1..5], &here[5..]),
            _ => {}
        }
        return (&layout[..at], &here[..length], &here[length..]);
    }
    (layout, "", "")
}

fn offset_text(seconds: i32, form: &str) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let total = seconds.unsigned_abs();
    let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60);
    match form {
        "07" => format!("{sign}{hours:02}"),
        "0700" => format!("{sign}{hours:02}{minutes:02}"),
        "07:00" => format!("{sign}{hours:02}:{minutes:02}"),
        "070000" => format!("{sign}{hours:02}{minutes:02}{rest:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{rest:02}"),
    }
}

/// A time in a layout.
pub(super) fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    loop {
        let (before, part, after) = cut(rest);
        out.push_str(before);
        if part.is_empty() {
            return out;
        }
        put(&mut out, time, part);
        rest = after;
    }
}

fn put(out: &mut String, time: &Zoned, part: &str) {
    let month = MONTHS[usize::try_from(time.month() - 1).unwrap_or_default() % 12];
    let day = DAYS[usize::try_from(time.weekday().to_sunday_zero_offset()).unwrap_or_default() % 7];
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let seconds = time.offset().seconds();
    let _ = match part {
        "January" => out.write_str(month),
        "Jan" => out.write_str(&month[..3]),
        "Monday" => out.write_str(day),
        "Mon" => out.write_str(&day[..3]),
        "MST" => {
            let zone = time.time_zone().to_offset_info(time.timestamp());
            let name = zone.abbreviation();
            if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
                out.write_str(name)
            } else {
                out.write_str(&offset_text(seconds, "0700"))
            }
        }
        "2006" => write!(out, "{:04}", time.year()),
        "06" => write!(out, "{:02}", time.year().rem_euclid(100)),
        "01" => write!(out, "{:02}", time.month()),
        "1" => write!(out, "{}", time.month()),
        "02" => write!(out, "{:02}", time.day()),
        "_2" => write!(out, "{:2}", time.day()),
        "2" => write!(out, "{}", time.day()),
        "002" => write!(out, "{:03}", time.day_of_year()),
        "__2" => write!(out, "{:3}", time.day_of_year()),
        "15" => write!(out, "{:02}", time.hour()),
        "03" => write!(out, "{hour12:02}"),
        "3" => write!(out, "{hour12}"),
        "04" => write!(out, "{:02}", time.minute()),
        "4" => write!(out, "{}", time.minute()),
        "05" => write!(out, "{:02}", time.second()),
        "5" => write!(out, "{}", time.second()),
        "PM" => out.write_str(if time.hour() >= 12 { "PM" } else { "AM" }),
        "pm" => out.write_str(if time.hour() >= 12 { "pm" } else { "am" }),
        zone if zone.starts_with('Z') && seconds == 0 => out.write_str("Z"),
        zone if zone.starts_with(['Z', '-']) => out.write_str(&offset_text(seconds, &zone[1..])),
        fraction => {
            let digits = format!("{:09}", time.subsec_nanosecond());
            let wanted = (fraction.len() - 1).min(9);
            let mut digits = &digits[..wanted];
            if fraction.as_bytes()[1] == b'9' {
                digits = digits.trim_end_matches('0');
            }
            if digits.is_empty() { Ok(()) } else { write!(out, "{}{digits}", &fraction[..1]) }
        }
    };
}

#[derive(Default)]
struct Read {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    year_day: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    pm: Option<bool>,
    offset: Option<i32>,
}

/// Reads a time by its layout; without a zone it is UTC.
///
/// Errors with Go's message.
pub(super) fn parse(layout: &str, value: &str) -> Result<Zoned, String> {
    let mut read = Read::default();
    let (mut rest_layout, mut rest) = (layout, value);
    let lead = format!("parsing time {} as {}: ", quote(value), quote(layout));
    let cannot = |rest: &str, part: &str| format!("{lead}cannot parse {} as {}", quote(rest), quote(part));
    loop {
        let (before, part, after) = cut(rest_layout);
        rest = rest.strip_prefix(before).ok_or_else(|| cannot(rest, before))?;
        if part.is_empty() {
            break;
        }
        let here = rest;
        rest = take(&mut read, rest, part).ok_or_else(|| cannot(here, part))?;
        // A fraction of a second may follow where the layout has none.
        if matches!(part, "05" | "5")
            && let Some(digits) = rest.strip_prefix(['.', ','])
            && !after.starts_with(['.', ','])
        {
            let count = digits.bytes().take_while(u8::is_ascii_digit).count();
            if count > 0 {
                read.nanosecond = fraction(&digits[..count]);
                rest = &digits[count..];
            }
        }
        rest_layout = after;
    }
    if !rest.is_empty() {
        return Err(format!("parsing time {}: extra text: {}", quote(value), quote(rest)));
    }
    let range = |what: &str| format!("parsing time {}: {what} out of range", quote(value));
    let hour = match (read.pm, read.hour) {
        (Some(true), hour) if hour < 12 => hour + 12,
        (Some(false), 12) => 0,
        (_, hour) => hour,
    };
    let year = read.year.unwrap_or(0);
    let date = match read.year_day {
        Some(day) => Date::new(year, 1, 1)
            .and_then(|first| first.checked_add(SignedDuration::from_hours(24 * (i64::from(day) - 1)))),
        None => Date::new(year, read.month.unwrap_or(1), read.day.unwrap_or(1)),
    };
    let date = date.map_err(|_| range(if (1..=12).contains(&read.month.unwrap_or(1)) { "day" } else { "month" }))?;
    let unit = if hour > 23 {
        "hour"
    } else if read.minute > 59 {
        "minute"
    } else {
        "second"
    };
    let time = Time::new(hour, read.minute, read.second, read.nanosecond).map_err(|_| range(unit))?;
    let zone = match read.offset {
        None | Some(0) => TimeZone::UTC,
        Some(seconds) => TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| range("time zone offset"))?),
    };
    DateTime::from_parts(date, time).to_zoned(zone).map_err(|_| range("year"))
}

fn fraction(digits: &str) -> i32 {
    format!("{digits:0<9}")[..9].parse().unwrap_or_default()
}

fn number(rest: &str, least: usize, most: usize) -> Option<(i32, &str)> {
    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    Some((rest[..count].parse().ok()?, &rest[count..]))
}

fn name<'r>(rest: &'r str, names: &[&str], short: bool) -> Option<(usize, &'r str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if short { &name[..3] } else { name };
        let head = rest.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| (index, &rest[name.len()..]))
    })
}

fn offset<'r>(rest: &'r str, form: &str) -> Option<(i32, &'r str)> {
    let (sign, mut rest) = match rest.as_bytes().first()? {
        b'+' => (1, &rest[1..]),
        b'-' => (-1, &rest[1..]),
        _ => return None,
    };
    let mut seconds = 0;
    let colons = form.contains(':');
    for (index, unit) in [3600, 60, 1].into_iter().take(form.replace(':', "").len() / 2).enumerate() {
        if index > 0 && colons {
            rest = rest.strip_prefix(':')?;
        }
        let (value, after) = number(rest, 2, 2)?;
        seconds += value * unit;
        rest = after;
    }
    Some((sign * seconds, rest))
}

fn take<'r>(read: &mut Read, rest: &'r str, part: &str) -> Option<&'r str> {
    let (value, after) = match part {
        "January" | "Jan" => {
            let (index, after) = name(rest, &MONTHS, part == "Jan")?;
            read.month = i8::try_from(index + 1).ok();
            return Some(after);
        }
        "Monday" | "Mon" => return name(rest, &DAYS, part == "Mon").map(|(_, after)| after),
        "PM" | "pm" => {
            let (index, after) = match (part, rest.get(..2)?) {
                ("PM", "AM") | ("pm", "am") => (false, &rest[2..]),
                ("PM", "PM") | ("pm", "pm") => (true, &rest[2..]),
                _ => return None,
            };
            read.pm = Some(index);
            return Some(after);
        }
        "MST" => {
            let count = rest.bytes().take_while(u8::is_ascii_uppercase).count();
            return (3..=5).contains(&count).then(|| &rest[count..]);
        }
        zone if zone.starts_with('Z') && rest.starts_with('Z') => {
            read.offset = Some(0);
            return Some(&rest[1..]);
        }
        zone if zone.starts_with(['Z', '-']) => {
            let (seconds, after) = offset(rest, &zone[1..])?;
            read.offset = Some(seconds);
            return Some(after);
        }
        fraction_part if fraction_part.starts_with(['.', ',']) => {
            let Some(digits) = rest.strip_prefix(['.', ',']) else {
                return fraction_part.ends_with('9').then_some(rest);
            };
            let count = digits.bytes().take_while(u8::is_ascii_digit).count();
            read.nanosecond = fraction(&digits[..count]);
            return Some(&digits[count..]);
        }
        "2006" => number(rest, 4, 4)?,
        "06" | "01" | "02" | "15" | "04" | "05" | "03" => number(rest, 2, 2)?,
        "002" | "__2" => number(rest.trim_start(), 1, 3)?,
        "_2" => number(rest.strip_prefix(' ').unwrap_or(rest), 1, 2)?,
        _ => number(rest, 1, 2)?,
    };
    let small = i8::try_from(value).ok();
    match part {
        "2006" => read.year = i16::try_from(value).ok(),
        "06" => read.year = i16::try_from(if value >= 69 { value + 1900 } else { value + 2000 }).ok(),
        "01" | "1" => read.month = small,
        "02" | "2" | "_2" => read.day = small,
        "002" | "__2" => read.year_day = i16::try_from(value).ok(),
        "15" | "03" | "3" => read.hour = small?,
        "04" | "4" => read.minute = small?,
        _ => read.second = small?,
    }
    Some(after)
}

/// The number of a weekday, Sunday first.
pub(super) fn weekday_name(day: Weekday) -> &'static str {
    DAYS[usize::try_from(day.to_sunday_zero_offset()).unwrap_or_default() % 7]
}

/// The name of a month from 1.
pub(super) fn month_name(month: i8) -> &'static str {
    MONTHS[usize::try_from(month - 1).unwrap_or_default() % 12]
}
