//! How long a registry wants to be left alone.
//!
//! Source: RFC 9110 (Retry-After: seconds or a date), OCI distribution specification (429).

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How long a registry is left alone that answered 429 and not for how long; and the longest that it may ask for.
const USUAL: u64 = 60;
const LONGEST: u64 = 3_600;

/// The pause that an answer asks for, within reason; `None` when it asks for none.
pub(super) fn wanted(status: u16, headers: &HeaderMap) -> Option<Duration> {
    let told = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let until = |text: &str| {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        u64::try_from(at.as_second() - jiff::Timestamp::now().as_second()).ok()
    };
    let told = told.and_then(|text| text.trim().parse::<u64>().ok().or_else(|| until(text)));
    let seconds = match (status, told) {
        (429 | 503, Some(seconds)) => seconds,
        (429, None) => USUAL,
        _ => return None,
    };
    Some(Duration::from_secs(seconds.clamp(1, LONGEST)))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_kept_within_reason() {
        let told = |status, text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            wanted(status, &headers).map(|pause| pause.as_secs())
        };
        assert_eq!(told(429, "120"), Some(120));
        assert_eq!(told(503, "0"), Some(1));
        assert_eq!(told(429, "99999999"), Some(LONGEST));
        assert_eq!(told(429, "soon"), Some(USUAL));
        assert_eq!(told(429, "Wed, 21 Oct 2015 07:28:00 GMT"), Some(USUAL), "a date that is over says nothing");
        assert_eq!(told(503, "Fri, 01 Jan 2100 00:00:00 GMT"), Some(LONGEST));
        assert_eq!((told(500, "3"), wanted(503, &HeaderMap::new())), (None, None));
    }
}
