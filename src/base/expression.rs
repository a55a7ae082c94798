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

/// The names that loops bind, e.g. `x` of `list.all(x, x > 1)`.
pub fn loop_names(text: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = Vec::new();
    for (at, _) in text.match_indices('(').filter(|(at, _)| is_loop(&text[..*at])) {
        for part in text[at + 1..].splitn(3, ',').take(2) {
            let part = part.trim();
            if !part.is_empty() && part.chars().all(is_name) {
                names.push(part.to_owned());
            }
        }
    }
    names
}

/// Whether a loop's name stands at the end of a text.
fn is_loop(before: &str) -> bool {
    let word = before.trim_end();
    let start = word.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    LOOPS.contains(&&word[start..])
}

/// How many loops there are, and how many at most stand in each other.
pub fn loops(text: &str) -> (usize, u32) {
    let (mut count, mut depth, mut deepest) = (0, 0_u32, 0);
    let mut open = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '(' => {
                let is_loop = is_loop(&text[..at]);
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
