//! The JSONPath of printer columns: `.a.b`, `['c']`, `[0]`, `[*]`, `..d` left out, `[?(@.type=="Ready")]`.
//!
//! A path that cannot be read finds nothing, as a column must never break a list. Start with [`find`].

use serde_json::Value;

/// How deep a path may go.
const STEPS: usize = 64;

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Item(i64),
    Every,
    Where(Vec<String>, Compare, Value),
}

#[derive(Debug, PartialEq)]
enum Compare {
    Equal,
    Unequal,
    Exists,
}

/// Everything a path finds in an object, in order.
pub fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let Some(steps) = parse(path) else { return Vec::new() };
    let mut found = vec![object];
    for step in &steps {
        found = found.into_iter().flat_map(|at| walk(at, step)).collect();
    }
    found
}

fn walk<'a>(at: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => at.get(name).into_iter().collect(),
        Step::Item(index) => {
            let Some(items) = at.as_array() else { return Vec::new() };
            let index = if *index < 0 { items.len() as i64 + index } else { *index };
            usize::try_from(index).ok().and_then(|index| items.get(index)).into_iter().collect()
        }
        Step::Every => match at {
            Value::Array(items) => items.iter().collect(),
            Value::Object(fields) => fields.values().collect(),
            _ => Vec::new(),
        },
        Step::Where(path, compare, wanted) => {
            let Some(items) = at.as_array() else { return Vec::new() };
            let holds = |item: &&Value| {
                let found = path.iter().try_fold(*item, |at, name| at.get(name));
                match compare {
                    Compare::Exists => found.is_some(),
                    Compare::Equal => found == Some(wanted),
                    Compare::Unequal => found.is_some_and(|found| found != wanted),
                }
            };
            items.iter().filter(holds).collect()
        }
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let path = path.trim().trim_start_matches('{').trim_end_matches('}');
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == STEPS {
            return None;
        }
        if let Some(more) = rest.strip_prefix('.') {
            let (name, after) = field_name(more);
            if name.is_empty() {
                return if after.starts_with('[') || after.is_empty() {
                    rest = after;
                    continue;
                } else {
                    None
                };
            }
            steps.push(if name == "*" { Step::Every } else { Step::Field(name) });
            rest = after;
        } else if let Some(more) = rest.strip_prefix('[') {
            let end = closing(more)?;
            steps.push(bracket(more[..end].trim())?);
            rest = &more[end + 1..];
        } else if steps.is_empty() {
            let (name, after) = field_name(rest);
            steps.push(Step::Field(name));
            rest = after;
        } else {
            return None;
        }
    }
    Some(steps)
}

/// A name up to the next dot or bracket; a backslash keeps what follows it.
fn field_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    (name, "")
}

fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::Every);
    }
    if let Some(name) = unquote(inner) {
        return Some(Step::Field(name));
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return condition(filter.trim());
    }
    inner.parse().ok().map(Step::Item)
}

fn condition(text: &str) -> Option<Step> {
    let (left, compare, right) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((left, right)), _) => (left, Compare::Equal, Some(right)),
        (None, Some((left, right))) => (left, Compare::Unequal, Some(right)),
        (None, None) => (text, Compare::Exists, None),
    };
    let path = left.trim().strip_prefix('@')?;
    let path: Vec<String> = path.split('.').filter(|p| !p.is_empty()).map(String::from).collect();
    let wanted = match right.map(str::trim) {
        None => Value::Null,
        Some(text) => unquote(text).map(Value::from).or_else(|| serde_json::from_str(text).ok())?,
    };
    Some(Step::Where(path, compare, wanted))
}

fn unquote(text: &str) -> Option<String> {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
    inner('\'').or_else(|| inner('"')).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_paths_of_printer_columns_find_their_values() {
        let object = json!({"metadata": {"name": "n", "annotations": {"a.b/c": "d"}}, "spec": {"list": [1, 2, 3]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}});
        for (path, expected) in [
            (".metadata.name", json!(["n"])),
            ("{.metadata.name}", json!(["n"])),
            (r#".status.conditions[?(@.type=="Ready")].status"#, json!(["True"])),
            (".status.conditions[?(@.type=='Nope')].status", json!([])),
            (".status.conditions[?(@.type!='Ready')].status", json!(["False"])),
            (".status.conditions[*].type", json!(["Ready", "Other"])),
            (".spec.list[-1]", json!([3])),
            (r".metadata.annotations.a\.b/c", json!(["d"])),
            (".metadata.annotations['a.b/c']", json!(["d"])),
            (".spec.list[", json!([])),
            ("", json!([object])),
        ] {
            assert_eq!(json!(find(&object, path)), expected, "{path}");
        }
    }
}
