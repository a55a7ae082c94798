//! Patterns of the strip operations: `*`, `?` and `[…]`, matched in time proportional to pattern times value.

/// The value without the shortest or the longest start that the pattern matches; an empty start does not count.
pub(super) fn trimmed(value: &str, pattern: &str, longest: bool) -> String {
    let Some(tokens) = glob(pattern) else { return value.to_owned() };
    let mut states = vec![false; tokens.len() + 1];
    states[0] = true;
    skip_stars(&tokens, &mut states);
    let mut end = 0;
    for (at, c) in value.char_indices() {
        let mut next = vec![false; states.len()];
        for (state, token) in tokens.iter().enumerate().filter(|(state, _)| states[*state]) {
            match token {
                Token::Star => next[state] = true,
                token if token.matches(c) => next[state + 1] = true,
                _ => {}
            }
        }
        skip_stars(&tokens, &mut next);
        states = next;
        if states[tokens.len()] {
            end = at + c.len_utf8();
            if !longest {
                break;
            }
        }
    }
    value[end..].to_owned()
}

/// A star may also match nothing.
fn skip_stars(tokens: &[Token], states: &mut [bool]) {
    for (at, token) in tokens.iter().enumerate() {
        if states[at] && matches!(token, Token::Star) {
            states[at + 1] = true;
        }
    }
}

enum Token {
    Star,
    Any,
    Literal(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Token::Star | Token::Any => true,
            Token::Literal(literal) => *literal == c,
            Token::Class { negated, ranges } => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated,
        }
    }
}

/// Reads a pattern of shell file names; `None` when it is malformed, and then nothing is trimmed.
fn glob(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        tokens.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Literal(characters.next()?),
            '[' => {
                let negated = characters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || characters.next_if_eq(&']').is_none() {
                    let from = class_character(&mut characters)?;
                    let to = match characters.next_if_eq(&'-') {
                        Some(_) => class_character(&mut characters)?,
                        None => from,
                    };
                    ranges.push((from, to));
                    characters.peek()?;
                }
                Token::Class { negated, ranges }
            }
            c => Token::Literal(c),
        });
    }
    Some(tokens)
}

fn class_character(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match characters.next()? {
        '-' | ']' => None,
        '\\' => characters.next(),
        c => Some(c),
    }
}
