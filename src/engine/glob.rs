//! The plainest globs: `*` is anything, and every other byte stands for itself or what the caller says.
//!
//! For patterns of foreign files; takes time in proportion to the product of both lengths at worst. Start with
//! [`is_like`].

/// Whether a text is like a pattern; `same` tells whether a byte of the pattern stands for one of the text.
pub fn is_like(pattern: &[u8], text: &[u8], same: impl Fn(u8, u8) -> bool) -> bool {
    let (mut at, mut position, mut star) = (0, 0, None);
    while position < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, position));
                at += 1;
            }
            Some(byte) if same(*byte, text[position]) => {
                at += 1;
                position += 1;
            }
            _ => match star {
                // The star takes one byte more.
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    at = after;
                    position = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_anything() {
        let like = |pattern: &str, text: &str| is_like(pattern.as_bytes(), text.as_bytes(), |p, t| p == b'?' || p == t);
        for (pattern, text) in [("*", ""), ("a*", "a"), ("*b*d", "abcbd"), ("a?c", "abc"), ("**", "x"), ("", "")] {
            assert!(like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*c", "ab"), ("", "x"), ("?", ""), ("*a", "ab"), ("ab", "a")] {
            assert!(!like(pattern, text), "{pattern} {text}");
        }
        assert!(!like(&"*a".repeat(200), &"b".repeat(20_000)), "and it ends soon");
    }
}
