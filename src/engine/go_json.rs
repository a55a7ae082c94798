//! Text and floats to the byte as Go's encoding/json writes them: kustomize's hashes and Helm's `toJson` are made of it.
//!
//! serde_json writes the same values otherwise. Start with [`text`] and [`float`]. Source: Go's encoding/json.

use std::fmt::Write;

/// Appends a JSON string. `html` escapes `<`, `>` and `&` too, as Go's encoder does unless it is told not to.
pub(super) fn text(out: &mut String, text: &str, html: bool) {
    quoted(out, text, |c| matches!(c, '\u{2028}' | '\u{2029}') || (html && matches!(c, '<' | '>' | '&')));
}

/// Appends text in double quotes, control characters escaped and what else `hidden` names, as JSON and TOML both have it.
pub(super) fn quoted(out: &mut String, text: &str, hidden: impl Fn(char) -> bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || hidden(c) => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A finite float: plain digits from 1e-6 up to 1e21, else an exponent without leading zeros.
pub(super) fn float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    if text.contains("e-") { text } else { text.replacen('e', "e+", 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_gos() {
        // Printed by Go 1.26's json.Marshal.
        let rows = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (3e-12, "3e-12"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-2.5e22, "-2.5e+22"),
            (123_456_789.123, "123456789.123"),
        ];
        for (value, wanted) in rows {
            assert_eq!(float(value), wanted);
        }
    }

    #[test]
    fn text_is_gos() {
        let written = |given: &str, html| {
            let mut out = String::new();
            text(&mut out, given, html);
            out
        };
        assert_eq!(
            written("a\"\\\n\u{8}\u{c}\u{1}\u{7f}<&>\u{2028}é", true),
            "\"a\\\"\\\\\\n\\b\\f\\u0001\u{7f}\\u003c\\u0026\\u003e\\u2028é\""
        );
        assert_eq!(written("<&>", false), "\"<&>\"");
    }
}
