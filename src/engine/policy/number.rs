//! Numbers as Go's `strconv.ParseFloat` reads them.

/// Reads a number; hexadecimal ones need their exponent, and what no float can hold is none.
///
/// Source: Go's strconv (ParseFloat).
pub fn parse_number(text: &str) -> Option<f64> {
    // What build numbers and times look like needs no care: every whole number of so many digits is a float.
    if (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u64>().ok().map(|number| number as f64);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_signed = unsigned.len() < text.len();
    let negative = text.starts_with('-');
    let lower = without_underscores(&unsigned.to_ascii_lowercase())?;
    let value = match lower.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" if !is_signed => f64::NAN,
        hex if hex.starts_with("0x") => finite(hexadecimal(&hex[2..])?)?,
        decimal
            if decimal.starts_with(|c: char| c.is_ascii_digit() || c == '.')
                && decimal.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'+' | b'-')) =>
        {
            finite(decimal.parse().ok()?)?
        }
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Takes underscores out; one may stand between two digits, and after `0x`.
fn without_underscores(lower: &str) -> Option<String> {
    let is_hex = lower.starts_with("0x");
    let is_digit = |byte: u8| byte.is_ascii_digit() || (is_hex && byte.is_ascii_hexdigit());
    let bytes = lower.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_') {
        let before = at > 0 && (is_digit(bytes[at - 1]) || (is_hex && at == 2));
        if !before || !bytes.get(at + 1).is_some_and(|byte| is_digit(*byte)) {
            return None;
        }
    }
    Some(lower.replace('_', ""))
}

/// `8.p1`: digits with at most one point, then a decimal power of two.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, power) = text.split_once('p')?;
    let mut power: i64 = plain_power(power)?;
    let (mut value, mut digits, mut after_point) = (0.0_f64, 0, false);
    for byte in mantissa.bytes() {
        match byte {
            b'.' if !after_point => after_point = true,
            byte => {
                digits += 1;
                value = value * 16.0 + f64::from(char::from(byte).to_digit(16)?);
                power -= if after_point { 4 } else { 0 };
            }
        }
    }
    let power = i32::try_from(power.clamp(-5000, 5000)).ok()?;
    (digits > 0).then(|| value * 2.0_f64.powi(power / 2) * 2.0_f64.powi(power - power / 2))
}

fn plain_power(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().unwrap_or(5000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_go_takes_for_numbers() {
        for (text, wanted) in [
            ("1", 1.0),
            ("+1.50", 1.5),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e+3", 1000.0),
            ("12e03", 12000.0),
            ("-Inf", f64::NEG_INFINITY),
            ("infinity", f64::INFINITY),
            ("0x1p-2", 0.25),
            ("0X1P3", 8.0),
            ("0x.8p1", 1.0),
            ("0x1_0p0", 16.0),
            ("1e-999", 0.0),
            ("1_000", 1000.0),
            ("1e5_0", 1e50),
            ("0x_1p0", 1.0),
        ] {
            assert_eq!(parse_number(text), Some(wanted), "{text}");
        }
        assert!(parse_number("NaN").unwrap().is_nan());
        for text in [
            "", ".", "1e", "+nan", "0x1", "1__0", "_1", "1_", "1_.5", "1e999", "0b1", "0o7", "1.2.3", "--1", "+", " 1",
            "1x", "inf1", "e1",
        ] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }
}
