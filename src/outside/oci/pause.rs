//! How long a registry wants to be left alone.
//!
//! Source: RFC 9110 (Retry-After: seconds or a date), OCI distribution specification (429).

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The longest pause that a registry may ask for.
const LONGEST: u64 = 3_600;

/// Whether an answer asks for a pause, and for how long if it says so, within reason.
pub(super) fn wanted(status: u16, headers: &HeaderMap) -> Option<Option<Duration>> {
    let told = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let until = |text: &str| {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        u64::try_from(at.as_second() - jiff::Timestamp::now().as_second()).ok()
    };
    let told = told.and_then(|text| text.trim().parse::<u64>().ok().or_else(|| until(text)));
    match (status, told) {
        (429 | 503, Some(seconds)) => Some(Some(Duration::from_secs(seconds.clamp(1, LONGEST)))),
        (429, None) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_kept_within_reason() {
        let told = |status, text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            wanted(status, &headers).map(|pause| pause.map_or(0, |pause| pause.as_secs()))
        };
        assert_eq!(told(429, "120"), Some(120));
        assert_eq!(told(503, "0"), Some(1));
        assert_eq!(told(429, "99999999"), Some(LONGEST));
        assert_eq!(told(429, "soon"), Some(0));
        assert_eq!(told(429, "Wed, 21 Oct 2015 07:28:00 GMT"), Some(0), "a date that is over says nothing");
        assert_eq!(told(503, "Fri, 01 Jan 2100 00:00:00 GMT"), Some(LONGEST));
        assert_eq!((told(500, "3"), wanted(503, &HeaderMap::new())), (None, None));
    }
}
