//! Times and durations as Kubernetes and Go write them. No clock is read here: *now* is always an argument.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A moment, whole seconds since the Unix epoch: enough for ages, and cheap to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub i64);

impl FromStr for Stamp {
    type Err = jiff::Error;

    /// Reads RFC 3339, e.g. `2026-01-31T10:00:00Z`.
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        Ok(Stamp(text.parse::<jiff::Timestamp>()?.as_second()))
    }
}

/// RFC 3339 in UTC, as Kubernetes writes `metav1.Time`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => f.write_str("?"),
        }
    }
}

/// How long ago something was, printed as kubectl prints ages: `45s`, `12m`, `3h20m`, `9d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub i64);

impl Age {
    /// The age of `then` at `now`; clocks that run apart give zero, never a negative age.
    pub fn between(then: Stamp, now: Stamp) -> Self {
        Age((now.0 - then.0).max(0))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match seconds {
            ..120 => write!(f, "{seconds}s"),
            ..600 if seconds % 60 != 0 => write!(f, "{minutes}m{}s", seconds % 60),
            ..10_800 => write!(f, "{minutes}m"),
            ..28_800 if minutes % 60 != 0 => write!(f, "{hours}h{}m", minutes % 60),
            ..172_800 => write!(f, "{hours}h"),
            ..691_200 if hours % 24 != 0 => write!(f, "{days}d{}h", hours % 24),
            ..63_072_000 => write!(f, "{days}d"),
            _ => write!(f, "{}y", days / 365),
        }
    }
}

/// Why a duration was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write it like 30s, 5m, 1h30m or 500ms")]
pub struct DurationError(pub String);

/// Reads a Go duration as Flux's fields allow it: `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`.
///
/// Errors on everything else, an overflow included.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let refused = || DurationError(text.into());
    let mut rest = text;
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
        let (number, unit) = rest.split_at(digits);
        let well_formed = number.split('.').count() <= 2 && number.split('.').all(|part| !part.is_empty());
        let number: f64 = number.parse().ok().filter(|_| well_formed).ok_or_else(refused)?;
        let (scale, used) = match unit.as_bytes() {
            [b'm', b's', ..] => (0.001, 2),
            [b's', ..] => (1.0, 1),
            [b'm', ..] => (60.0, 1),
            [b'h', ..] => (3600.0, 1),
            _ => return Err(refused()),
        };
        total += number * scale;
        rest = &unit[used..];
    }
    if text.is_empty() {
        return Err(refused());
    }
    Duration::try_from_secs_f64(total).map_err(|_| refused())
}

/// Writes a duration as Go's `time.Duration` prints it: `1m0s`, `1h0m0s`, `1.5s`, `250ms`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.subsec_nanos();
    let seconds = duration.as_secs();
    if seconds == 0 && nanos == 0 {
        return "0s".into();
    }
    if seconds == 0 {
        return match nanos {
            1_000_000.. => format!("{}ms", trim(f64::from(nanos) / 1e6)),
            1_000.. => format!("{}µs", trim(f64::from(nanos) / 1e3)),
            _ => format!("{nanos}ns"),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = trim((seconds % 60) as f64 + f64::from(nanos) / 1e9);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

fn trim(number: f64) -> String {
    let text = format!("{number:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_as_in_go() {
        for (text, written) in
            [("1m0s", "1m0s"), ("90s", "1m30s"), ("1h", "1h0m0s"), ("1.5s", "1.5s"), ("250ms", "250ms"), ("0s", "0s")]
        {
            assert_eq!(format_duration(parse_duration(text).unwrap()), written, "{text}");
        }
        for bad in ["", "5", "m", "1d", "-1s", "1..5s", "1m 5s", "1e3s", "99999999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ages_read_as_kubectl_prints_them() {
        for (seconds, text) in
            [(45, "45s"), (119, "119s"), (300, "5m"), (330, "5m30s"), (700, "11m"), (12_000, "3h20m"), (800_000, "9d")]
        {
            assert_eq!(Age(seconds).to_string(), text);
        }
    }
}
