//! The language of `--set`: a path with a value, laid into values.
//!
//! Pure. Start with [`set_value`] (types are guessed) and [`set_literal`] (the value is text as it is).
//! Source: helm pkg/strvals/parser.go; fluxcd/pkg chartutil (ReplacePathValue, ReplacePathLiteralValue).

use serde_json::{Map, Value};

/// The deepest path, and the highest index of a list.
const DEPTH: usize = 30;
const INDEX: usize = 65_536;

/// Why a value cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetError(pub String);

/// Puts a value at a path; text in quotes stays text, everything else is typed as `--set` does.
///
/// Errors when the path or the value cannot be read; the message never has the value.
pub fn set_value(values: &mut Map<String, Value>, path: &str, value: &str) -> Result<(), SetError> {
    let within = |quote: char| value.starts_with(quote) && value.ends_with(quote);
    let quoted = within('\'') || within('"');
    let value = if quoted { value.trim_matches(['\'', '"']) } else { value };
    Reader::new(&format!("{path}={value}"), quoted).read(values)
}

/// Puts text at a path as it is.
///
/// Errors when the path cannot be read.
pub fn set_literal(values: &mut Map<String, Value>, path: &str, value: &str) -> Result<(), SetError> {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '\\' | ',' | '[' | ']' | '{' | '}') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    Reader::new(&format!("{path}={escaped}"), true).read(values)
}

struct Reader {
    text: Vec<char>,
    at: usize,
    as_text: bool,
}

/// What ended a piece of text.
enum End {
    Stop(char),
    Text,
}

/// How the reading of one key ended.
enum Then {
    More,
    Done,
}

fn fail<T>(message: impl Into<String>) -> Result<T, SetError> {
    Err(SetError(message.into()))
}

impl Reader {
    fn new(text: &str, as_text: bool) -> Self {
        Reader { text: text.chars().collect(), at: 0, as_text }
    }

    fn read(mut self, values: &mut Map<String, Value>) -> Result<(), SetError> {
        while matches!(self.key(values, 0)?, Then::More) {}
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let next = self.text.get(self.at).copied();
        self.at += usize::from(next.is_some());
        next
    }

    /// Text up to one of some characters, escapes taken out.
    fn until(&mut self, stops: &[char]) -> (String, End) {
        let mut found = String::new();
        while let Some(character) = self.next() {
            match character {
                stop if stops.contains(&stop) => return (found, End::Stop(stop)),
                '\\' => match self.next() {
                    Some(next) => found.push(next),
                    None => return (found, End::Text),
                },
                other => found.push(other),
            }
        }
        (found, End::Text)
    }

    fn key(&mut self, values: &mut Map<String, Value>, depth: usize) -> Result<Then, SetError> {
        let (key, end) = self.until(&['=', '[', ',', '.']);
        match end {
            End::Text if key.is_empty() => Ok(Then::Done),
            End::Text => fail(format!("key {key:?} has no value")),
            End::Stop('[') => {
                let index = self.index()?;
                let mut list = match values.get(&key) {
                    None => Vec::new(),
                    Some(Value::Array(list)) => list.clone(),
                    Some(_) => return fail(format!("unable to parse key: {key:?} is not a list")),
                };
                let then = self.item(&mut list, index, depth)?;
                put(values, key, Value::Array(list));
                Ok(then)
            }
            End::Stop('=') => {
                let (value, then) = self.value()?;
                put(values, key, value);
                Ok(then)
            }
            End::Stop('.') => {
                if depth + 1 > DEPTH {
                    return fail(format!(
                        "value name nested level is greater than maximum supported nested level of {DEPTH}"
                    ));
                }
                let mut inner = match values.get(&key) {
                    None => Map::new(),
                    Some(Value::Object(inner)) => inner.clone(),
                    Some(_) => return fail(format!("unable to parse key: {key:?} is not a map")),
                };
                let then = self.key(&mut inner, depth + 1)?;
                if inner.is_empty() && matches!(then, Then::More) {
                    return fail(format!("key map {key:?} has no value"));
                }
                if !inner.is_empty() {
                    put(values, key, Value::Object(inner));
                }
                Ok(then)
            }
            End::Stop(_) => fail(format!("key {key:?} has no value (cannot end with ,)")),
        }
    }

    fn index(&mut self) -> Result<usize, SetError> {
        let (text, end) = self.until(&[']']);
        let number = text.parse::<i64>().ok().filter(|_| matches!(end, End::Stop(_)));
        match number {
            Some(number) if number < 0 => fail(format!("negative {number} index not allowed")),
            Some(number) => match usize::try_from(number).ok().filter(|index| *index <= INDEX) {
                Some(index) => Ok(index),
                None => fail(format!("index of {number} is greater than maximum supported index of {INDEX}")),
            },
            None => fail(format!("error parsing index: {text:?} is not a number")),
        }
    }

    fn item(&mut self, list: &mut Vec<Value>, index: usize, depth: usize) -> Result<Then, SetError> {
        if depth + 1 > DEPTH {
            return fail(format!("value name nested level is greater than maximum supported nested level of {DEPTH}"));
        }
        let (extra, end) = self.until(&['[', '.', '=']);
        if !extra.is_empty() {
            return fail(format!("unexpected data at end of array index: {extra:?}"));
        }
        let old = list.get(index).cloned().unwrap_or_default();
        let (value, then) = match end {
            End::Text => return Ok(Then::Done),
            End::Stop('=') => self.value()?,
            End::Stop('[') => {
                let next = self.index()?;
                let mut inner = match old {
                    Value::Array(inner) => inner,
                    Value::Null => Vec::new(),
                    _ => return fail("unable to parse key: an item is not a list"),
                };
                let then = self.item(&mut inner, next, depth + 1)?;
                (Value::Array(inner), then)
            }
            End::Stop(_) => {
                let mut inner = old.as_object().cloned().unwrap_or_default();
                let then = self.key(&mut inner, depth + 1)?;
                (Value::Object(inner), then)
            }
        };
        if list.len() <= index {
            list.resize(index + 1, Value::Null);
        }
        list[index] = value;
        Ok(then)
    }

    fn value(&mut self) -> Result<(Value, Then), SetError> {
        match self.text.get(self.at) {
            None => Ok(("".into(), Then::Done)),
            Some('{') => {
                self.at += 1;
                let mut list = Vec::new();
                loop {
                    let (text, end) = self.until(&[',', '}']);
                    list.push(self.typed(&text));
                    match end {
                        End::Text => return fail("list must terminate with '}'"),
                        End::Stop('}') => break,
                        End::Stop(_) => {}
                    }
                }
                self.at += usize::from(self.text.get(self.at) == Some(&','));
                Ok((Value::Array(list), Then::More))
            }
            Some(_) => {
                let (text, end) = self.until(&[',']);
                let then = if matches!(end, End::Text) { Then::Done } else { Then::More };
                Ok((self.typed(&text), then))
            }
        }
    }

    fn typed(&self, text: &str) -> Value {
        if self.as_text {
            return text.into();
        }
        match text {
            word if word.eq_ignore_ascii_case("true") => true.into(),
            word if word.eq_ignore_ascii_case("false") => false.into(),
            word if word.eq_ignore_ascii_case("null") => Value::Null,
            "0" => 0.into(),
            word if !word.starts_with('0') => word.parse::<i64>().map_or_else(|_| word.into(), Value::from),
            word => word.into(),
        }
    }
}

fn put(values: &mut Map<String, Value>, key: String, value: Value) {
    if !key.is_empty() {
        values.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(path: &str, value: &str) -> Result<Value, String> {
        let mut values = json!({"a": {"b": 1}, "l": [1]}).as_object().unwrap().clone();
        set_value(&mut values, path, value).map(|()| Value::Object(values)).map_err(|error| error.0)
    }

    #[test]
    fn a_value_goes_where_its_path_says_with_its_type() {
        let with = |path: &str, value: &str, pointer: &str| set(path, value).unwrap().pointer(pointer).cloned();
        for (value, wanted) in [
            ("5", json!(5)),
            ("-3", json!(-3)),
            ("05", json!("05")),
            ("1.5", json!("1.5")),
            ("True", json!(true)),
            ("null", json!(null)),
            ("'5'", json!("5")),
            ("{x,2}", json!(["x", 2])),
            ("", json!("")),
            ("x\\,y", json!("x,y")),
        ] {
            assert_eq!(with("a.c", value, "/a/c"), Some(wanted), "{value}");
        }
        assert_eq!(with("a.c", "1,n=2", "/n"), Some(json!(2)));
        assert_eq!(with("l[2].x", "y", "/l"), Some(json!([1, null, {"x": "y"}])));
        assert_eq!(with("m[1][0]", "y", "/m"), Some(json!([null, ["y"]])));
        assert_eq!(with("a\\.b", "y", "/a.b"), Some(json!("y")));
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_the_value() {
        for (path, value) in
            [("a.b.c", "secret"), ("l.x", "secret"), ("a[x]", "secret"), ("l[-1]", "secret"), ("x", "{secret")]
        {
            let error = set(path, value).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(set("l[70000]", "x").is_err());
        assert!(set(&"a.".repeat(40), "x").is_err());
    }

    #[test]
    fn a_literal_is_taken_as_it_is() {
        let mut values = Map::new();
        set_literal(&mut values, "a.b\\.c", "x={1,2}\\n[3]").unwrap();
        assert_eq!(Value::Object(values), json!({"a": {"b.c": "x={1,2}\\n[3]"}}));
    }
}
