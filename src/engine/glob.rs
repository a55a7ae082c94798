//! Globs: `*` is anything, and what stands for one character is for the caller to say.
//!
//! For patterns of foreign files; takes time in proportion to the product of both lengths at worst, and to that of what `one` looks at. Start with
//! [`is_like`].

/// Whether a text is like a pattern.
///
/// `one` matches the start of a pattern that is no star with the start of a text, neither of them empty, and gives how
/// many bytes of both that took.
pub fn is_like(pattern: &[u8], text: &[u8], one: impl Fn(&[u8], &[u8]) -> Option<(usize, usize)>) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at + 1, position));
            at += 1;
            continue;
        }
        let fits = if at < pattern.len() { one(&pattern[at..], &text[position..]) } else { None };
        match (fits, star) {
            (Some((used, eaten)), _) => {
                at += used;
                position += eaten;
            }
            // Let the last star swallow one more byte; earlier stars never need to be reconsidered.
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                at = after;
                position = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// A byte that stands for itself.
pub fn literal(pattern: &[u8], text: &[u8]) -> Option<(usize, usize)> {
    (pattern[0] == text[0]).then_some((1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_anything() {
        let one = |pattern: &[u8], text: &[u8]| if pattern[0] == b'?' { Some((1, 1)) } else { literal(pattern, text) };
        let like = |pattern: &str, text: &str| is_like(pattern.as_bytes(), text.as_bytes(), one);
        for (pattern, text) in [("*", ""), ("a*", "a"), ("*b*d", "abcbd"), ("a?c", "abc"), ("**", "x"), ("", "")] {
            assert!(like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*c", "ab"), ("", "x"), ("?", ""), ("*a", "ab"), ("ab", "a")] {
            assert!(!like(pattern, text), "{pattern} {text}");
        }
        assert!(!like(&"*a".repeat(200), &"b".repeat(20_000)), "and it ends soon");
    }
}
