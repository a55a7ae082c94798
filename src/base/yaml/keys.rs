//! The order in which Go's YAML writer puts keys: letters after other characters, runs of digits by size.
//!
//! Source: go.yaml.in/yaml sorter.go.

use std::cmp::Ordering;

use crate::base::Value;

/// Compares two keys.
pub fn compare_keys(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        return compare(a.as_bytes(), b.as_bytes(), |c| u32::from(*c));
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    compare(&a, &b, |c| u32::from(*c))
}

fn compare<C: PartialEq>(a: &[C], b: &[C], code: impl Fn(&C) -> u32) -> Ordering {
    let Some(at) = a.iter().zip(b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let letter = |c: &C| char::from_u32(code(c)).is_some_and(char::is_alphabetic);
    let digit = |c: &C| (u32::from(b'0')..=u32::from(b'9')).contains(&code(c));
    match (letter(&a[at]), letter(&b[at])) {
        (true, true) => return code(&a[at]).cmp(&code(&b[at])),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let zero = |c: &C| code(c) == u32::from(b'0');
    let led = (zero(&a[at]) || zero(&b[at])) && a[..at].iter().rev().take_while(|c| digit(c)).any(|c| !zero(c));
    let run = |list: &[C]| {
        let digits = list[at..].iter().take_while(|c| digit(c));
        digits.fold((0, u128::from(led)), |(count, value), c| {
            (count + 1, value.saturating_mul(10).saturating_add(u128::from(code(c) - u32::from(b'0'))))
        })
    };
    let ((count_a, value_a), (count_b, value_b)) = (run(a), run(b));
    value_a.cmp(&value_b).then(count_a.cmp(&count_b)).then(code(&a[at]).cmp(&code(&b[at])))
}

/// The value with the keys of every object in that order, as kubectl, flux and kustomize print documents.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| compare_keys(a, b));
            Value::Object(fields.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_keys_count() {
        let mut keys = ["a10", "a2", "a", "B", "_x", "1", "10", "2", "a-b", "a.b", "a/b", "a01", "a1", ""];
        keys.sort_by(|a, b| compare_keys(a, b));
        assert_eq!(keys, ["", "_x", "1", "2", "10", "B", "a", "a-b", "a.b", "a/b", "a1", "a01", "a2", "a10"]);
    }
}
