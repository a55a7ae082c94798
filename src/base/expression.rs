//! What bounds an expression in CEL before it is compiled: the parser recurses over nesting before it counts.
//!
//! Start with [`check_expression`].

/// The longest expression, in bytes.
const BYTES: usize = 64 << 10;
/// A chain of operators nests one level per link once it is a tree.
const LINKS_PER_LEVEL: usize = 16;
/// The deepest expression.
const NESTING: usize = 64;

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
