//! The formats that drafts before 2019 insist on. Those not named here are only notes, in every draft.
//!
//! Start with [`is_valid`]. Source: github.com/santhosh-tekuri/jsonschema v6 (format.go).

use core::net::{Ipv4Addr, Ipv6Addr};

/// Whether text has the format; `None` when the format is not known.
pub(super) fn is_valid(format: &str, text: &str) -> Option<bool> {
    Some(match format {
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "hostname" => is_hostname(text),
        "email" => is_email(text),
        "uri" | "iri" => is_reference(text) && has_scheme(text),
        "uri-reference" | "iri-reference" => is_reference(text),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "uuid" => is_uuid(text),
        "semver" => semver::Version::parse(text).is_ok(),
        "regex" => regex::Regex::new(text).is_ok(),
        _ => return None,
    })
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && text.split('.').all(label)
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let address = domain.strip_prefix('[').and_then(|domain| domain.strip_suffix(']'));
    let in_brackets = |address: &str| {
        let six = address.strip_prefix("IPv6:").is_some_and(|six| six.parse::<Ipv6Addr>().is_ok());
        six || address.parse::<Ipv4Addr>().is_ok()
    };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let atoms = |local: &str| {
        local.split('.').all(|atom| {
            !atom.is_empty() && atom.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c))
        })
    };
    text.len() <= 254
        && (1..=64).contains(&local.len())
        && (quoted || atoms(local))
        && address.map_or_else(|| is_hostname(domain), in_brackets)
}

fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c))
    })
}

fn is_reference(text: &str) -> bool {
    let escapes = text
        .split('%')
        .skip(1)
        .all(|rest| rest.as_bytes().get(..2).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit)));
    escapes && !text.chars().any(|c| c.is_control() || matches!(c, '\\' | ' ')) && !text.starts_with(':')
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|c| c.is_ascii_hexdigit()))
}
