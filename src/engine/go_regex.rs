//! Regular expressions as Go's `regexp` reads them.
//!
//! The engine here is linear like Go's; only the syntax differs where classes and braces are concerned, so patterns are
//! translated first. Start with [`go_regex`]. Source: Go's regexp/syntax.

/// Compiles a pattern of Go's.
///
/// Errors with Go's words when it is none, or when it would need more than 4 MiB.
pub fn go_regex(pattern: &str) -> Result<regex::Regex, String> {
    if let Some(twice) = nested_repetition(pattern) {
        return Err(format!("error parsing regexp: invalid nested repetition operator: `{twice}`"));
    }
    if let Some(count) = large_repetition(pattern) {
        return Err(format!("error parsing regexp: invalid repeat count: `{count}`"));
    }
    let built = regex::RegexBuilder::new(&translate(pattern)).size_limit(4 << 20).build();
    built.map_err(|error| format!("error parsing regexp: {}", complaint(&error, pattern)))
}

/// Two repetitions in a row, which Go refuses; a question mark may follow one.
fn nested_repetition(pattern: &str) -> Option<&str> {
    let bytes = pattern.as_bytes();
    let (mut at, mut in_class) = (0, false);
    while at + 1 < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' | b'+' | b'?' if !in_class && at > 0 && !matches!(bytes[at - 1], b'(' | b'|') => {
                if matches!(bytes[at + 1], b'*' | b'+') {
                    return Some(&pattern[at..at + 2]);
                }
                at += usize::from(bytes[at + 1] == b'?');
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// A count above 1,000, which Go refuses.
fn large_repetition(pattern: &str) -> Option<&str> {
    let mut rest = pattern;
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let end = rest.find('}')?;
        let inner = &rest[1..end];
        let counts = inner.split(',').filter(|count| !count.is_empty());
        let is_count = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
        if is_count && counts.clone().any(|count| count.parse::<u32>().map_or(true, |count| count > 1000)) {
            return Some(&rest[..=end]);
        }
        rest = &rest[1..];
    }
    None
}

/// Go's words for the commonest mistakes.
fn complaint(error: &regex::Error, pattern: &str) -> String {
    let text = error.to_string();
    let find = |needle: &str| text.contains(needle);
    if find("unclosed group") {
        return format!("missing closing ): `{pattern}`");
    }
    if find("unopened group") {
        return format!("unexpected ): `{pattern}`");
    }
    if find("unclosed character class") {
        let from = pattern.rfind('[').map_or(pattern, |at| &pattern[at..]);
        return format!("missing closing ]: `{from}`");
    }
    if find("repetition operator missing expression") {
        let operator = pattern.find(['*', '+', '?']).map_or("", |at| &pattern[at..=at]);
        return format!("missing argument to repetition operator: `{operator}`");
    }
    if find("look-around") {
        let from = pattern.find("(?").map_or("", |at| &pattern[at..]);
        let end = from.char_indices().nth(3).map_or(from.len(), |(at, _)| at);
        return format!("invalid or unsupported Perl syntax: `{}`", &from[..end]);
    }
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Go's syntax to that of the `regex` crate.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let chars: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    let mut in_class = false;
    while let Some(&c) = chars.get(at) {
        at += 1;
        match c {
            '\\' => {
                let Some(&escaped) = chars.get(at) else {
                    out.push('\\');
                    break;
                };
                at += 1;
                at = escape(&mut out, &chars, at, escaped, in_class);
            }
            '[' if in_class && chars.get(at) == Some(&':') => out.push('['),
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                if chars.get(at) == Some(&'^') {
                    out.push('^');
                    at += 1;
                }
                if chars.get(at) == Some(&']') {
                    out.push_str("\\]");
                    at += 1;
                }
            }
            // The end of `[:alpha:]` is not the end of the class.
            ']' if in_class && at >= 2 && chars[at - 2] == ':' && is_posix(&chars[..at]) => out.push(']'),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '{' if !in_class && !repeats(&chars[at..]) => out.push_str("\\{"),
            '}' if !in_class && !closes(&chars[..at - 1]) => out.push_str("\\}"),
            c => out.push(c),
        }
    }
    out
}

fn is_posix(before: &[char]) -> bool {
    let start = before.windows(2).rposition(|pair| pair == ['[', ':']);
    start.is_some_and(|start| before[start + 2..before.len() - 2].iter().all(|c| c.is_ascii_alphabetic() || *c == '^'))
}

/// Whether what follows a brace is a count.
fn repeats(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|c| *c == '}') else { return false };
    let inner: String = rest[..end].iter().collect();
    let (least, most) = inner.split_once(',').unwrap_or((&inner, ""));
    !least.is_empty() && least.chars().chain(most.chars()).all(|c| c.is_ascii_digit())
}

/// Whether a closing brace ends a count or a name such as `\p{Greek}`.
fn closes(before: &[char]) -> bool {
    let Some(start) = before.iter().rposition(|c| *c == '{') else { return false };
    let name = start >= 2 && matches!(before[start - 1], 'p' | 'P' | 'x') && before[start - 2] == '\\';
    let mut rest = before[start + 1..].to_vec();
    rest.push('}');
    name || repeats(&rest)
}

/// Writes an escape; Go's classes are ASCII.
fn escape(out: &mut String, chars: &[char], mut at: usize, escaped: char, in_class: bool) -> usize {
    let class = match escaped {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => "^\\t\\n\\f\\r ",
        'b' | 'B' if !in_class => {
            out.push_str(if escaped == 'b' { "(?-u:\\b)" } else { "(?-u:\\B)" });
            return at;
        }
        'Q' => {
            while at < chars.len() && !chars[at..].starts_with(&['\\', 'E']) {
                out.push_str(&regex::escape(&chars[at].to_string()));
                at += 1;
            }
            return (at + 2).min(chars.len());
        }
        'p' | 'P' | 'x' if chars.get(at) == Some(&'{') => {
            let end = chars[at..].iter().position(|c| *c == '}').map_or(chars.len(), |end| at + end + 1);
            out.push('\\');
            out.push(escaped);
            out.extend(&chars[at..end]);
            return end;
        }
        c => {
            out.push('\\');
            out.push(c);
            return at;
        }
    };
    if in_class && !class.starts_with('^') {
        out.push_str(class);
    } else {
        out.push('[');
        out.push_str(class);
        out.push(']');
    }
    at
}
