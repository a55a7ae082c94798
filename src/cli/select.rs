//! Label selectors, for what is selected on this side of the wire. Source: apimachinery labels.

use serde_json::Value;

use super::CliError;

/// Whether a document's labels match `a=b,c!=d,e in (f,g),!h`; no selector matches everything.
///
/// Errors when the selector cannot be read.
pub fn matches(selector: Option<&str>, document: &Value) -> Result<bool, CliError> {
    let labels = &document["metadata"]["labels"];
    for part in selector.map(split).unwrap_or_default() {
        if !requirement(part.trim(), labels)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Splits at commas outside parentheses.
fn split(selector: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in selector.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&selector[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&selector[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn requirement(part: &str, labels: &Value) -> Result<bool, CliError> {
    let label = |key: &str| labels[key.trim()].as_str();
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(label(key) != Some(value.trim()));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(label(key) == Some(value.trim()));
    }
    if let Some((head, list)) = part.split_once('(') {
        let within = |value: &str| list.trim_end().trim_end_matches(')').split(',').any(|item| item.trim() == value);
        if let Some(key) = head.trim().strip_suffix(" notin") {
            return Ok(!label(key).is_some_and(within));
        }
        if let Some(key) = head.trim().strip_suffix(" in") {
            return Ok(label(key).is_some_and(within));
        }
    }
    if part.contains(char::is_whitespace) || part.contains('(') {
        let hint = "write it like team=shop,tier!=test or team in (shop,web)";
        return Err(CliError::user(format!("{part:?} is not a label selector"), hint));
    }
    Ok(match part.strip_prefix('!') {
        Some(key) => label(key).is_none(),
        None => label(part).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_mean_what_kubectl_means() {
        let document = json!({"metadata": {"labels": {"team": "shop", "tier": "web"}}});
        for (selector, found) in [
            ("team=shop", true),
            ("team==shop,tier=web", true),
            ("team!=shop", false),
            ("other!=x", true),
            ("team in (a, shop)", true),
            ("team notin (a,shop)", false),
            ("other notin (a)", true),
            ("team", true),
            ("!team", false),
            ("!other,tier", true),
            ("", true),
        ] {
            assert_eq!(matches(Some(selector), &document).unwrap(), found, "{selector}");
        }
        assert!(matches(Some("team of (x)"), &document).is_err());
        assert!(matches(None, &Value::Null).unwrap());
    }
}
