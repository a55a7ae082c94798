//! String formats that API servers check in custom resources; others are ignored.
//!
//! Source: apiextensions-apiserver pkg/apiserver/validation/formats, kube-openapi strfmt.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use regex::Regex;

/// Whether a text has a format; none when the format is not one that is checked.
pub fn fits(format: &str, text: &str) -> Option<bool> {
    Some(match format.replace('-', "").as_str() {
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        "uri" => is_uri(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" => matches(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$", text),
        "uuid3" => matches(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$", text),
        "uuid4" => matches(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$", text),
        "uuid5" => matches(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$", text),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "ssn" => matches(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$", text),
        "hexcolor" => matches("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", text),
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "password" => true,
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => is_duration(text),
        "datetime" => is_date_time(text),
        "k8sshortname" => is_label(text),
        "k8slongname" => text.len() <= 253 && !text.is_empty() && text.split('.').all(is_segment),
        _ => return None,
    })
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

/// As Go's `url.ParseRequestURI`: a path from the root, or a scheme with something behind it.
fn is_uri(text: &str) -> bool {
    if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return false;
    }
    text.starts_with('/') || matches("^[a-zA-Z][a-zA-Z0-9+.-]*:.+", text)
}

fn is_email(text: &str) -> bool {
    let address = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>'));
    address.rsplit_once('@').is_some_and(|(user, host)| {
        let clean =
            |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "()<>@,;".contains(c));
        clean(user) && clean(host) && !host.starts_with('.') && !host.ends_with('.')
    })
}

fn is_hostname(text: &str) -> bool {
    let label = r"[a-zA-Z0-9\p{S}\p{L}](?:[a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?";
    text.len() <= 255
        && (matches(&format!("^{label}$"), text) || matches(&format!(r"^(?:{label}\.)+[a-zA-Z\p{{L}}]{{2,63}}$"), text))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let fits = |most: u8| !length.starts_with('+') && length.parse::<u8>().is_ok_and(|length| length <= most);
    address.parse::<Ipv4Addr>().is_ok() && fits(32) || address.parse::<Ipv6Addr>().is_ok() && fits(128)
}

fn is_mac(text: &str) -> bool {
    let octets = |separator: char, digits: usize, counts: [usize; 3]| {
        let parts: Vec<&str> = text.split(separator).collect();
        counts.contains(&parts.len())
            && parts.iter().all(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    octets(':', 2, [6, 8, 20]) || octets('-', 2, [6, 8, 20]) || octets('.', 4, [3, 4, 10])
}

fn is_isbn10(text: &str) -> bool {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .enumerate()
        .map(|(at, c)| if at == 9 && c == 'X' { 10 } else { c.to_digit(10).unwrap_or(99) })
        .collect();
    digits.len() == 10
        && digits.iter().all(|digit| *digit < 11)
        && digits.iter().zip((1..=10).rev()).map(|(digit, weight)| digit * weight).sum::<u32>() % 11 == 0
}

fn is_isbn13(text: &str) -> bool {
    let digits: Option<Vec<u32>> = text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_digit(10)).collect();
    digits.is_some_and(|digits| {
        digits.len() == 13
            && digits.iter().enumerate().map(|(at, digit)| digit * if at % 2 == 0 { 1 } else { 3 }).sum::<u32>() % 10
                == 0
    })
}

/// Go's durations, and those Scala writes: a number and a unit in words.
fn is_duration(text: &str) -> bool {
    let go = r"^[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$";
    let words = r"(?i)^\d+\s*(?:ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?)$";
    matches(go, text) || matches(words, text)
}

/// By hand, because every write of every object asks it several times, and a pattern is expensive to make.
fn is_date_time(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let Some((head, tail)) = text.split_at_checked(19) else { return false };
    let is_shaped = head.bytes().zip("0000-00-00T00:00:00".bytes()).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'T' => byte.eq_ignore_ascii_case(&b'T'),
        sign => byte == sign,
    });
    let end = tail.find(['Z', 'z', '+', '-']).unwrap_or(tail.len());
    let (fraction, zone) = tail.split_at(end);
    let is_fraction = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(digits);
    let offset = zone.get(1..).unwrap_or_default();
    let is_zone = match zone.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', ..] => match offset.as_bytes() {
            [_, _, b':', _, _] => digits(&offset[..2]) && digits(&offset[3..]),
            [_, _, _, _] => digits(offset),
            _ => false,
        },
        _ => false,
    };
    is_shaped
        && is_fraction
        && is_zone
        && text.get(..10).is_some_and(|date| date.parse::<jiff::civil::Date>().is_ok())
        && text.get(11..19).is_some_and(|time| time.parse::<jiff::civil::Time>().is_ok() && !time.ends_with("60"))
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_segment(text)
}

fn is_segment(text: &str) -> bool {
    let clean = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(clean) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_date_and_time_is_what_its_pattern_says(
            text in "(2024-0[1-9]-1[0-9][TtX][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{0,3})?(Z|z|[+-][0-9]{2}:?[0-9]{1,2})?)|[0-9TtZz:.+é-]{0,30}"
        ) {
            let pattern = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:?\d{2})$";
            let wanted = text.is_ascii() && matches(pattern, &text)
                && text[..10].parse::<jiff::civil::Date>().is_ok()
                && text[11..19].parse::<jiff::civil::Time>().is_ok();
            prop_assert_eq!(is_date_time(&text), wanted, "{}", text);
        }
    }

    #[test]
    fn formats_accept_and_refuse() {
        let cases = [
            ("date-time", "2024-01-02T03:04:05Z", true),
            ("date-time", "2024-01-02T03:04:05.123+02:00", true),
            ("date-time", "2024-13-02T03:04:05Z", false),
            ("date-time", "2024-01-02", false),
            ("date", "2024-02-29", true),
            ("date", "2023-02-29", false),
            ("ipv4", "10.0.0.1", true),
            ("ipv4", "10.0.0.256", false),
            ("ipv6", "::1", true),
            ("ipv6", "1.2.3.4", false),
            ("cidr", "10.0.0.0/8", true),
            ("cidr", "10.0.0.0/33", false),
            ("cidr", "::/129", false),
            ("mac", "00:11:22:33:44:55", true),
            ("mac", "00:11:22:33:44", false),
            ("uuid", "123E4567-e89b-12d3-a456-426614174000", true),
            ("uuid4", "123e4567-e89b-12d3-a456-426614174000", false),
            ("uri", "https://a.b/c?d", true),
            ("uri", "/path", true),
            ("uri", "no uri", false),
            ("email", "Some One <a@b.c>", true),
            ("email", "nobody", false),
            ("hostname", "a-b.example.com", true),
            ("hostname", "-a", false),
            ("byte", "aGk=", true),
            ("byte", "a", false),
            ("duration", "1h30m", true),
            ("duration", "22 ns", true),
            ("duration", "soon", false),
            ("isbn", "0321751043", true),
            ("isbn13", "978-0321751041", true),
            ("isbn10", "0321751044", false),
            ("hexcolor", "#FFF", true),
            ("k8s-short-name", "a-b", true),
            ("k8s-short-name", "A", false),
            ("k8s-long-name", "a.b-c.d", true),
            ("password", "anything", true),
        ];
        for (format, text, expected) in cases {
            assert_eq!(fits(format, text), Some(expected), "{format} {text}");
        }
        assert_eq!(fits("made-up", "x"), None);
    }
}
