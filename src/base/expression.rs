//! What the text of an expression in CEL tells before it is compiled: whether it may be, and the loops in it.
//!
//! The parser recurses over nesting before it counts. Start with [`check_expression`].

/// The longest expression, in bytes.
const BYTES: usize = 64 << 10;
/// A chain of operators nests one level per link once it is a tree.
const LINKS_PER_LEVEL: usize = 16;
/// The deepest expression.
const NESTING: usize = 64;
/// The macros that bind names.
const LOOPS: [&str; 12] = [
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
    "sortBy",
    "optMap",
    "optFlatMap",
    "transformList",
    "transformMap",
    "bind",
];

/// Whether an expression may be compiled at all.
///
/// Errors with the bound that it breaks.
pub fn check_expression(text: &str) -> Result<(), String> {
    if text.len() > BYTES {
        return Err(format!("the rule is longer than {BYTES} bytes"));
    }
    if nesting(text) > NESTING {
        return Err(format!("the rule nests deeper than {NESTING} levels"));
    }
    Ok(())
}

/// How deep brackets, choices and signs can nest at most.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut choices, mut signs, mut most_signs) = (0_usize, 0, 0, 0, 0);
    let links = text.bytes().filter(|b| b".+-*/%&|<>=![".contains(b)).count();
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => choices += 1,
            _ => {}
        }
        signs = if matches!(c, '!' | '-') { signs + 1 } else { signs * usize::from(c.is_whitespace()) };
        deepest = deepest.max(depth);
        most_signs = most_signs.max(signs);
    }
    deepest + choices + most_signs + links / LINKS_PER_LEVEL
}

/// An expression with spaces in place of its texts and comments, at the same offsets: brackets and words in there are none
/// of its own.
pub fn without_texts(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'\'' | b'"' => text_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
            }
            _ => {
                at += 1;
                continue;
            }
        };
        code[at..end].fill(b' ');
        at = end;
    }
    // Texts and comments go as a whole, so no character is cut.
    String::from_utf8(code).unwrap_or_else(|_| text.to_owned())
}

/// Where the text ends whose first quote stands there; one without an end goes to the end of all.
fn text_end(bytes: &[u8], start: usize) -> usize {
    let triple = [bytes[start]; 3];
    let length = if bytes[start..].starts_with(&triple) { 3 } else { 1 };
    // A raw text has no escapes; its letter stands right before the quote.
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let prefix = &bytes[start - bytes[..start].iter().rev().take_while(is_word).count()..start];
    let is_raw = prefix.len() <= 2 && prefix.iter().any(|byte| matches!(byte, b'r' | b'R'));
    let mut at = start + length;
    while at < bytes.len() {
        if bytes[at] == b'\\' && !is_raw {
            at += 2;
        } else if bytes[at..].starts_with(&triple[..length]) {
            return at + length;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// How often a function is called in an expression without its texts.
pub fn calls(code: &str, function: &str) -> usize {
    code.match_indices('(').filter(|(at, _)| word_before(&code[..*at]) == function).count()
}

/// The names that loops bind, e.g. `x` of `list.all(x, x > 1)`.
pub fn loop_names(text: &str) -> Vec<String> {
    let code = without_texts(text);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = Vec::new();
    for (at, _) in code.match_indices('(').filter(|(at, _)| is_loop(&code[..*at])) {
        for part in code[at + 1..].splitn(3, ',').take(2) {
            let part = part.trim();
            if !part.is_empty() && part.chars().all(is_name) {
                names.push(part.to_owned());
            }
        }
    }
    names
}

/// The word at the end of a text, before space.
fn word_before(text: &str) -> &str {
    let word = text.trim_end();
    let start = word.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    word.get(start..).unwrap_or_default()
}

fn is_loop(before: &str) -> bool {
    LOOPS.contains(&word_before(before))
}

/// How many loops there are in an expression without its texts, and how many at most stand in each other.
pub fn loops(code: &str) -> (usize, u32) {
    let (mut count, mut depth, mut deepest) = (0, 0_u32, 0);
    let mut open = Vec::new();
    for (at, c) in code.char_indices() {
        match c {
            '(' => {
                let is_loop = is_loop(&code[..at]);
                open.push(is_loop);
                if is_loop {
                    (count, depth) = (count + 1, depth + 1);
                    deepest = deepest.max(depth);
                }
            }
            ')' if open.pop() == Some(true) => depth -= 1,
            _ => {}
        }
    }
    (count, deepest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_words_in_texts_do_not_count() {
        let same = |text: &str, left: &str| {
            let code = without_texts(text);
            assert_eq!(code.len(), text.len());
            assert_eq!(code.split_whitespace().collect::<String>(), left, "{text}");
        };
        same("a == ')' && b", "a==&&b");
        same(r"a == 'it\'s )' + b", "a==+b");
        same(r"a == r'\' + f(b)", "a==r+f(b)");
        same("a == '''x ' )''' + b", "a==+b");
        same("a // it's )\n + b", "a+b");
        same("a == \"é)\" + b", "a==+b");
        same("a == 'open", "a==");
        same("é + ''", "é+");
        let hidden = "l.all(a, ')' != '' && l.all(b, ')' != ''))";
        assert_eq!(loops(&without_texts(hidden)), (2, 2));
        assert_eq!(loop_names("'x.all(no, ' + l.all (a, a)"), ["a"]);
        assert_eq!(calls(&without_texts("t . replace\n('replace(', t)"), "replace"), 1);
    }
}
