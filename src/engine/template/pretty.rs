//! Indents the lists of a YAML text, which is all that `toYamlPretty` adds.
//!
//! Start with [`indent_lists`].

/// Moves every list that stands below a key two columns to the right, with all it holds.
pub(super) fn indent_lists(yaml: &str) -> String {
    let mut out = String::with_capacity(yaml.len() + yaml.len() / 8);
    // Columns of the lists we are in, as written before.
    let mut lists: Vec<usize> = Vec::new();
    // The column a key at the end of a line has, when its value follows below.
    let mut open_key: Option<usize> = None;
    let mut block: Option<usize> = None;
    for line in yaml.lines() {
        let column = line.len() - line.trim_start_matches(' ').len();
        let body = &line[column..];
        if let Some(parent) = block {
            if body.is_empty() || column > parent {
                push(&mut out, lists.len(), line);
                continue;
            }
            block = None;
        }
        let item = body == "-" || body.starts_with("- ");
        lists.retain(|list| if item { column >= *list } else { column > *list });
        if item && open_key == Some(column) {
            lists.push(column);
        }
        push(&mut out, lists.len(), line);
        let mut inner = column;
        let mut rest = body;
        while let Some(after) = rest.strip_prefix("- ") {
            inner += 2;
            rest = after;
        }
        open_key = rest.ends_with(':').then_some(inner);
        if opens_block(rest) {
            block = Some(if rest.contains(": ") || rest.ends_with(':') { inner } else { inner.saturating_sub(2) });
        }
    }
    out
}

fn push(out: &mut String, depth: usize, line: &str) {
    if !line.is_empty() {
        out.extend(std::iter::repeat_n("  ", depth));
    }
    out.push_str(line);
    out.push('\n');
}

fn opens_block(rest: &str) -> bool {
    let head = rest.rsplit(' ').next().unwrap_or_default();
    let mut marks = head.chars();
    matches!(marks.next(), Some('|' | '>')) && marks.all(|c| c.is_ascii_digit() || c == '-' || c == '+')
}
