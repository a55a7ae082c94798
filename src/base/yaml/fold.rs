//! What becomes of a folded text (`>`) that Go's YAML library writes and reads once more.
//!
//! Its writer decides by the first line of the text where the others need a line break more, so texts with indented
//! lines come back changed. Kustomize prints objects that way, and manifests live with it.
//! Source: go-yaml v3, emitterc.go (writing folded scalars) and scannerc.go (reading block scalars).

/// The text as it comes back.
pub(super) fn again(text: &str) -> String {
    if text.is_empty() || text.ends_with(' ') || text.contains(" \n") || text.chars().any(is_special) {
        return text.to_owned(); // Written in quotes, which lose nothing.
    }
    let starts_blank = |line: &str| line.starts_with([' ', '\t']);
    let body = text.trim_start_matches('\n');
    let doubles = !starts_blank(body);
    let mut made = text[..text.len() - body.len()].to_owned();
    let mut rest = body;
    let mut before: Option<&str> = None;
    let mut breaks = 0;
    while !rest.is_empty() {
        let end = rest.find('\n').unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        if let Some(before) = before {
            let joined = !starts_blank(before) && !starts_blank(line);
            match (joined, breaks) {
                (true, 1) => made.push(' '),
                (true, count) => made.extend(std::iter::repeat_n('\n', count - 1)),
                (false, count) => made.extend(std::iter::repeat_n('\n', count)),
            }
        }
        made.push_str(line);
        rest = tail.trim_start_matches('\n');
        breaks = tail.len() - rest.len();
        if breaks == 1 && rest.is_empty() {
            made.push('\n');
            return made;
        }
        breaks += usize::from(breaks > 0 && doubles && !starts_blank(line));
        before = Some(line);
    }
    if before.is_some() {
        made.extend(std::iter::repeat_n('\n', breaks));
    }
    made
}

/// Characters that Go's writer puts into double quotes only.
fn is_special(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b'..='\x1f' | '\x7f'..='\u{9f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::again;

    #[test]
    fn plain_paragraphs_stay() {
        for text in ["a\n", "a b", "a\n\nb\n", "a\nb\n", "\n", "\n\n\n", "a\n b \nc"] {
            assert_eq!(again(text), text, "{text:?}");
        }
    }

    #[test]
    fn indented_lines_change_as_in_go() {
        for (text, back) in [
            (" a\nb\nc\n", " a\nb c\n"),
            ("a\n b\nc\n", "a\n\n b\nc\n"),
            ("a\n\n b\n", "a\n\n\n b\n"),
            ("a\n\n", "a\n\n\n"),
            ("\na\nb", "\na\nb"),
        ] {
            assert_eq!(again(text), back, "{text:?}");
        }
    }
}
