//! Label and field selectors, as clients write them in queries.
//!
//! Parsing and matching only; which fields a kind may be selected by is the catalog's business.
//! Start with [`Labels::parse`] and [`Fields::parse`].

use std::collections::BTreeMap;

use serde_json::Value;

/// One demand on a label.
#[derive(Clone, Debug, PartialEq)]
enum Demand {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

/// A parsed label selector; empty matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels(Vec<(String, Demand)>);

impl Labels {
    /// Reads the query form: `a=b,c!=d,e in (f,g),h,!i`.
    ///
    /// Errors with a sentence that names what cannot be read.
    pub fn parse(text: &str) -> Result<Labels, String> {
        let mut demands = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(format!("unable to parse requirement: found an empty part in \"{text}\""));
            }
            let (key, demand) = parse_demand(part)?;
            check_label_key(&key)?;
            demands.push((key, demand));
        }
        Ok(Labels(demands))
    }

    /// Reads a `metav1.LabelSelector` object (matchLabels, matchExpressions).
    ///
    /// Errors as [`Labels::parse`].
    pub fn from_object(selector: &Value) -> Result<Labels, String> {
        let mut demands = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            demands.push((key.clone(), Demand::In(vec![value.as_str().unwrap_or_default().into()])));
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let key = expression["key"].as_str().unwrap_or_default().to_string();
            let values = || -> Vec<String> {
                let list = expression["values"].as_array();
                list.into_iter().flatten().filter_map(|v| v.as_str().map(String::from)).collect()
            };
            let demand = match expression["operator"].as_str() {
                Some("In") => Demand::In(values()),
                Some("NotIn") => Demand::NotIn(values()),
                Some("Exists") => Demand::Exists,
                Some("DoesNotExist") => Demand::Absent,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            demands.push((key, demand));
        }
        Ok(Labels(demands))
    }

    /// Whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels, found by key, satisfy every demand.
    pub fn matches<'a>(&self, find: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|(key, demand)| {
            let label = find(key);
            let number = || label.and_then(|text| text.parse::<i64>().ok());
            match demand {
                Demand::In(values) => label.is_some_and(|label| values.iter().any(|v| v == label)),
                Demand::NotIn(values) => !label.is_some_and(|label| values.iter().any(|v| v == label)),
                Demand::Exists => label.is_some(),
                Demand::Absent => label.is_none(),
                Demand::Above(least) => number().is_some_and(|n| n > *least),
                Demand::Below(most) => number().is_some_and(|n| n < *most),
            }
        })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth <= 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_demand(part: &str) -> Result<(String, Demand), String> {
    let bad = || format!("unable to parse requirement: \"{part}\" is not a label requirement");
    if let Some(key) = part.strip_prefix('!').filter(|rest| !rest.contains('=')) {
        return Ok((key.trim().into(), Demand::Absent));
    }
    if let Some(open) = part.find('(') {
        let values = part[open + 1..].strip_suffix(')').ok_or_else(bad)?;
        let values = values.split(',').map(|v| v.trim().to_string()).collect();
        let mut words = part[..open].split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Ok((key.into(), Demand::In(values))),
            (Some(key), Some("notin"), None) => Ok((key.into(), Demand::NotIn(values))),
            _ => Err(bad()),
        };
    }
    for (sign, make) in [
        ("!=", (|v| Ok(Demand::NotIn(vec![v]))) as fn(String) -> Result<Demand, String>),
        ("==", |v| Ok(Demand::In(vec![v]))),
        ("=", |v| Ok(Demand::In(vec![v]))),
        (">", |v| {
            v.parse().map(Demand::Above).map_err(|_| format!("{v:?}: for 'Gt', 'Lt' the value must be an integer"))
        }),
        ("<", |v| {
            v.parse().map(Demand::Below).map_err(|_| format!("{v:?}: for 'Gt', 'Lt' the value must be an integer"))
        }),
    ] {
        if let Some((key, value)) = part.split_once(sign) {
            let value = value.trim();
            if value.contains(['=', '!', '<', '>', ' ']) {
                return Err(bad());
            }
            return Ok((key.trim().into(), make(value.into())?));
        }
    }
    if part.split_whitespace().count() != 1 {
        return Err(bad());
    }
    Ok((part.into(), Demand::Exists))
}

fn check_label_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(p, n)| (Some(p), n));
    let word = |text: &str, more: &[char]| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        ends(text.chars().next())
            && ends(text.chars().last())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
    };
    let fine = name.len() <= 63
        && word(name, &['-', '_', '.'])
        && prefix.is_none_or(|p| p.len() <= 253 && word(p, &['-', '.']));
    if fine { Ok(()) } else { Err(format!("unable to parse requirement: \"{key}\" is not a valid label key")) }
}

/// A parsed field selector; empty matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Vec<(String, String, bool)>);

impl Fields {
    /// Reads the query form: `metadata.name=x,status.phase!=Running`; a backslash keeps `,`, `=` and itself.
    ///
    /// Errors with a sentence when a part has no operator.
    pub fn parse(text: &str) -> Result<Fields, String> {
        let mut fields = Vec::new();
        for part in split_escaped(text).into_iter().filter(|part| !part.is_empty()) {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once("==") {
                (path, value, true)
            } else if let Some((path, value)) = part.split_once('=') {
                (path, value, true)
            } else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            fields.push((path.to_string(), unescape(value), equal));
        }
        Ok(Fields(fields))
    }

    /// Whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths it names.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(path, _, _)| path.as_str())
    }

    /// Whether only `metadata.name` and `metadata.namespace` are named.
    pub fn only_identity(&self) -> bool {
        self.paths().all(|path| path == "metadata.name" || path == "metadata.namespace")
    }

    /// Whether values, found by path, satisfy every demand; an absent field counts as empty.
    pub fn matches(&self, find: impl Fn(&str) -> String) -> bool {
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        self.0.iter().all(|(path, value, equal)| {
            let found = seen.entry(path).or_insert_with(|| find(path));
            (found == value) == *equal
        })
    }
}

fn split_escaped(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            ',' if !escaped => parts.push(std::mem::take(&mut part)),
            _ => part.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(part);
    parts
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

/// The text of a dotted path in an object, as field selectors compare it; absent is empty.
pub fn field_text(object: &Value, path: &str) -> String {
    let found = path.split('.').filter(|p| !p.is_empty()).try_fold(object, |at, name| at.get(name));
    match found {
        Some(Value::String(text)) => text.clone(),
        // A switch that is not set is off.
        Some(Value::Null) | None if path == "spec.unschedulable" => "false".into(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let parsed = Labels::parse(selector).unwrap();
        parsed.matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
    }

    #[test]
    fn label_selectors_match_as_the_real_server_does() {
        let labels = [("app", "web"), ("tier", "front"), ("n", "5")];
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("missing!=x", true),
            ("app in (web, api)", true),
            ("app notin (web)", false),
            ("missing notin (web)", true),
            ("app", true),
            ("!app", false),
            ("!missing", true),
            ("n>4", true),
            ("n<5", false),
            ("app=", false),
            ("app in (),tier", false),
        ] {
            assert_eq!(matches(selector, &labels), expected, "{selector}");
        }
    }

    #[test]
    fn broken_label_selectors_are_refused() {
        for selector in ["a b", "a in b", "=x", "a=b=c", "a,,b", "a in (x", "-a=b", "a/b/c=d"] {
            assert!(Labels::parse(selector).is_err(), "{selector}");
        }
    }

    #[test]
    fn selector_objects_match_as_their_query_form() {
        let object = serde_json::json!({"matchLabels": {"app": "web"}, "matchExpressions":
            [{"key": "tier", "operator": "In", "values": ["front"]}, {"key": "x", "operator": "DoesNotExist"}]});
        let labels = Labels::from_object(&object).unwrap();
        assert!(labels.matches(|key| match key {
            "app" => Some("web"),
            "tier" => Some("front"),
            _ => None,
        }));
        assert!(!labels.matches(|key| (key == "app").then_some("web")));
    }

    #[test]
    fn field_selectors_compare_texts_and_know_escapes() {
        let fields = Fields::parse(r"metadata.name=a\,b,status.phase!=Running").unwrap();
        assert!(!fields.only_identity());
        let object = serde_json::json!({"metadata": {"name": "a,b"}});
        assert!(fields.matches(|path| field_text(&object, path)));
        assert!(Fields::parse("x").is_err());
    }
}
