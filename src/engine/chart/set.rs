//! Values written in one line: `--set` and its kin, and the target paths of a HelmRelease's references.
//!
//! Must not read files; who writes [`Writing::File`] brings their texts. Start with [`set_values`].
//! Source: helm pkg/strvals (parser.go, literal_parser.go), with a bound of its own on lists and lists within lists.

use serde_json::Value as Json;

use super::Values;
use super::load::with_floats;

/// The highest index, and the deepest name, as in Helm.
const HIGHEST: usize = 65_536;
const DEEPEST: usize = 30;
/// Places of lists that one text may make; Helm has no such bound.
const PLACES: usize = 1 << 20;

/// Gives the text that a `--set-file` value names.
pub type Texts<'t> = &'t dyn Fn(&str) -> Result<String, String>;

/// How the values behind the names are written.
#[derive(Clone, Copy)]
pub enum Writing<'t> {
    /// `--set`: whole numbers, `true`, `false` and `null` are what they look like.
    Plain,
    /// `--set-string`: everything is text.
    Text,
    /// `--set-json`.
    Json,
    /// `--set-literal`: all that follows the `=`, as it stands.
    Literal,
    /// `--set-file`: the text of the file with this path.
    File(Texts<'t>),
}

/// Why a line of values is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetError(String);

/// Sets the values of a line such as `a.b=1,list[0]={x,y}` over those that are there.
///
/// Errors when the line cannot be read; some of its values may be set by then.
pub fn set_values(into: &mut Values, line: &str, writing: Writing<'_>) -> Result<(), SetError> {
    if let (Writing::Json, true) = (writing, line.trim().starts_with('{')) {
        let read = serde_json::from_str::<Values>(line.trim()).map_err(|e| SetError(format!("it is no JSON: {e}")))?;
        let mut read = Json::Object(read);
        with_floats(&mut read);
        if let Json::Object(read) = read {
            super::merge(into, read);
        }
        return Ok(());
    }
    let mut line = Line { left: line, writing, places: 0 };
    while line.key(into, 0)? == Flow::More {}
    Ok(())
}

/// Puts one value at a path, as the `targetPath` of a HelmRelease's reference does: text in quotes stays text, and with
/// `literal` all of it is text as it stands.
///
/// Errors when the path or the value cannot be read; the message may have parts of the value.
/// Source: fluxcd/pkg chartutil (ReplacePathValue, ReplacePathLiteralValue).
pub fn set_path(into: &mut Values, path: &str, value: &str, literal: bool) -> Result<(), SetError> {
    if literal {
        let mut escaped = String::with_capacity(value.len());
        for character in value.chars() {
            if matches!(character, '\\' | ',' | '[' | ']' | '{' | '}') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        return set_values(into, &format!("{path}={escaped}"), Writing::Text);
    }
    let is_within = |quote: char| value.starts_with(quote) && value.ends_with(quote);
    match is_within('\'') || is_within('"') {
        true => set_values(into, &format!("{path}={}", value.trim_matches(['\'', '"'])), Writing::Text),
        false => set_values(into, &format!("{path}={value}"), Writing::Plain),
    }
}

/// Whether the line goes on after what was read.
#[derive(PartialEq)]
enum Flow {
    More,
    End,
}

struct Line<'s, 't> {
    left: &'s str,
    writing: Writing<'t>,
    places: usize,
}

fn refused<T>(why: impl Into<String>) -> Result<T, SetError> {
    Err(SetError(why.into()))
}

fn set(values: &mut Values, key: &str, value: Json) {
    if !key.is_empty() {
        values.insert(key.to_owned(), value);
    }
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a map",
    }
}

/// What a value of `--set` looks like.
fn typed(text: String) -> Json {
    match text.as_str() {
        "0" => 0.into(),
        text if text.eq_ignore_ascii_case("true") => true.into(),
        text if text.eq_ignore_ascii_case("false") => false.into(),
        text if text.eq_ignore_ascii_case("null") => Json::Null,
        number if !number.starts_with('0') => number.parse::<i64>().map_or_else(|_| number.into(), Json::from),
        _ => text.into(),
    }
}

impl Line<'_, '_> {
    fn next(&mut self) -> Option<char> {
        let next = self.left.chars().next()?;
        self.left = &self.left[next.len_utf8()..];
        Some(next)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let left = self.left.strip_prefix(wanted);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// The text up to a character that stops it, and that character.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(next) = self.next() {
            match next {
                stop if stops.contains(&stop) => return (text, Some(stop)),
                '\\' if !matches!(self.writing, Writing::Literal) => match self.next() {
                    Some(escaped) => text.push(escaped),
                    None => break,
                },
                other => text.push(other),
            }
        }
        (text, None)
    }

    fn key(&mut self, values: &mut Values, nested: usize) -> Result<Flow, SetError> {
        let literal = matches!(self.writing, Writing::Literal);
        let (key, stop) = self.until(if literal { &['=', '[', '.'] } else { &['=', '[', '.', ','] });
        match stop {
            None if key.is_empty() => Ok(Flow::End),
            None => refused(format!("key {key:?} has no value")),
            Some('[') => self.list_of(values, &key, nested),
            Some('.') => self.map_of(values, &key, nested),
            Some('=') => match self.value()? {
                Some(value) => {
                    set(values, &key, value);
                    Ok(Flow::More)
                }
                None => {
                    set(values, &key, "".into());
                    Ok(Flow::End)
                }
            },
            Some(_) => refused(format!("key {key:?} has no value (cannot end with ,)")),
        }
    }

    fn map_of(&mut self, values: &mut Values, key: &str, nested: usize) -> Result<Flow, SetError> {
        if nested >= DEEPEST {
            return refused(format!("names may be nested {DEEPEST} deep at most"));
        }
        let mut inner = match values.get_mut(key) {
            None => Values::new(),
            Some(Json::Object(inner)) => std::mem::take(inner),
            Some(other) => return refused(format!("key {key:?} holds {}, not a map", kind(other))),
        };
        let flow = self.key(&mut inner, nested + 1)?;
        if inner.is_empty() && flow == Flow::More {
            return refused(format!("key map {key:?} has no value"));
        }
        if !inner.is_empty() {
            set(values, key, Json::Object(inner));
        }
        Ok(flow)
    }

    fn list_of(&mut self, values: &mut Values, key: &str, nested: usize) -> Result<Flow, SetError> {
        let Some(index) = self.index()? else { return Ok(Flow::End) };
        let list = match values.get_mut(key) {
            None => Vec::new(),
            Some(Json::Array(list)) => std::mem::take(list),
            Some(other) => return refused(format!("key {key:?} holds {}, not a list", kind(other))),
        };
        let (list, flow) = self.item(list, index, nested, 0)?;
        set(values, key, Json::Array(list));
        Ok(flow)
    }

    /// The number before `]`; `None` when the line ends before it.
    fn index(&mut self) -> Result<Option<usize>, SetError> {
        let (text, stop) = self.until(&[']']);
        if stop.is_none() {
            return Ok(None);
        }
        match text.parse::<i64>() {
            Ok(index) if index < 0 => refused(format!("the index {index} is negative")),
            Ok(index) => Ok(Some(usize::try_from(index).unwrap_or(usize::MAX))),
            Err(_) => refused(format!("the index {text:?} is not a number")),
        }
    }

    fn put(&mut self, mut list: Vec<Json>, index: usize, value: Json) -> Result<Vec<Json>, SetError> {
        if index > HIGHEST {
            return refused(format!("the index {index} is greater than {HIGHEST}, the highest allowed"));
        }
        if list.len() <= index {
            self.places += index + 1 - list.len();
            if self.places > PLACES {
                return refused(format!("the lists have more than {PLACES} places"));
            }
            list.resize(index + 1, Json::Null);
        }
        list[index] = value;
        Ok(list)
    }

    /// What follows `]`: a value, a map's key, or a list within the list.
    fn item(
        &mut self,
        mut list: Vec<Json>,
        index: usize,
        nested: usize,
        lists: usize,
    ) -> Result<(Vec<Json>, Flow), SetError> {
        let (rest, stop) = self.until(&['[', '.', '=']);
        if !rest.is_empty() {
            return refused(format!("unexpected data at end of array index: {rest:?}"));
        }
        match stop {
            None => Ok((list, Flow::End)),
            Some('=') => {
                let value = self.value()?.unwrap_or_else(|| "".into());
                Ok((self.put(list, index, value)?, Flow::More))
            }
            Some('[') => {
                if lists >= DEEPEST {
                    return refused(format!("lists may be nested {DEEPEST} deep at most"));
                }
                let Some(next) = self.index()? else { return Ok((list, Flow::End)) };
                let inner = match list.get_mut(index) {
                    None | Some(Json::Null) => Vec::new(),
                    Some(Json::Array(inner)) => std::mem::take(inner),
                    Some(other) => return refused(format!("place {index} holds {}, not a list", kind(other))),
                };
                let (inner, flow) = self.item(inner, next, nested, lists + 1)?;
                Ok((self.put(list, index, Json::Array(inner))?, flow))
            }
            Some(_) => {
                let there = list.get_mut(index);
                let exists = there.is_some();
                let mut inner = match there {
                    Some(Json::Object(inner)) => std::mem::take(inner),
                    _ => Values::new(),
                };
                let flow = self.key(&mut inner, nested)?;
                // Helm forgets a new map whose last value is empty.
                if flow == Flow::More || exists {
                    list = self.put(list, index, Json::Object(inner))?;
                }
                Ok((list, flow))
            }
        }
    }

    /// The value after `=`; `None` when nothing follows.
    fn value(&mut self) -> Result<Option<Json>, SetError> {
        match self.writing {
            Writing::Json => return self.json().map(Some),
            Writing::Literal => return Ok(Some(std::mem::take(&mut self.left).into())),
            _ if self.left.is_empty() => return Ok(None),
            _ => {}
        }
        if !self.next_if('{') {
            let text = self.until(&[',']).0;
            return self.scalar(text).map(Some);
        }
        let mut items = Vec::new();
        loop {
            let (text, stop) = self.until(&[',', '}']);
            if stop.is_none() {
                return refused("list must terminate with '}'");
            }
            items.push(self.scalar(text)?);
            if stop == Some('}') {
                self.next_if(',');
                return Ok(Some(Json::Array(items)));
            }
        }
    }

    fn scalar(&self, text: String) -> Result<Json, SetError> {
        match self.writing {
            Writing::Plain => Ok(typed(text)),
            Writing::File(texts) => texts(&text).map(Json::from).map_err(SetError),
            _ => Ok(text.into()),
        }
    }

    /// Passes blanks and one comma; whether nothing else was there.
    fn is_blank(&mut self) -> bool {
        self.left = self.left.trim_start();
        self.left.is_empty() || self.next_if(',')
    }

    fn json(&mut self) -> Result<Json, SetError> {
        if self.is_blank() {
            return Ok(Json::Null);
        }
        let mut values = serde_json::Deserializer::from_str(self.left).into_iter::<Json>();
        match values.next() {
            Some(Ok(mut value)) => {
                self.left = &self.left[values.byte_offset()..];
                self.is_blank();
                with_floats(&mut value);
                Ok(value)
            }
            Some(Err(error)) => refused(format!("it is no JSON: {error}")),
            None => Ok(Json::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Json, Values, Writing, set_path, set_values};

    fn after(before: &str, lines: &[(&str, Writing<'_>)]) -> Result<String, String> {
        let mut values: Values = serde_json::from_str(before).unwrap();
        for (line, writing) in lines {
            set_values(&mut values, line, *writing).map_err(|error| error.to_string())?;
        }
        Ok(serde_json::to_string(&values).unwrap())
    }

    #[test]
    fn lines_set_what_helm_sets() {
        // Each line was given to helm template 4.3.1 with --set; the result is its .Values.
        let table = [
            (
                "a=1,b=x,c=true,d=null,e=0,f=01,g=1.5,h=-3",
                r#"{"a":1,"b":"x","c":true,"d":null,"e":0,"f":"01","g":"1.5","h":-3}"#,
            ),
            ("a.b.c=1,a.b.d=2", r#"{"a":{"b":{"c":1,"d":2}}}"#),
            ("a[0]=x,a[2]=y", r#"{"a":["x",null,"y"]}"#),
            ("a[0].b=1,a[0].c=2,a[1].b=3", r#"{"a":[{"b":1,"c":2},{"b":3}]}"#),
            ("a[0][1]=x", r#"{"a":[[null,"x"]]}"#),
            ("a={x,1,true}", r#"{"a":["x",1,true]}"#),
            ("a={},b=1", r#"{"a":[""],"b":1}"#),
            (r"a\.b=1,c=x\,y", r#"{"a.b":1,"c":"x,y"}"#),
            ("a=", r#"{"a":""}"#),
            ("a=,b=1", r#"{"a":"","b":1}"#),
            ("a[0]=,b=1", r#"{"a":[""],"b":1}"#),
            ("a[0].b=", r#"{"a":[]}"#),
            ("a[0", "{}"),
            ("a.", "{}"),
            (".a=1", "{}"),
            ("", "{}"),
        ];
        for (line, wanted) in table {
            assert_eq!(after("{}", &[(line, Writing::Plain)]).as_deref(), Ok(wanted), "{line}");
        }
        assert_eq!(after(r#"{"a":{"b":1}}"#, &[("a.c=2", Writing::Text)]).unwrap(), r#"{"a":{"b":1,"c":"2"}}"#);
        assert_eq!(after("{}", &[("a.b=x,y={[\\", Writing::Literal)]).unwrap(), r#"{"a":{"b":"x,y={[\\"}}"#);
        let json = [(r#"a={"b": 1} ,c=[1,"x"],d=,e="x""#, Writing::Json), (r#"{"a": {"f": null}}"#, Writing::Json)];
        assert_eq!(after("{}", &json).unwrap(), r#"{"a":{"b":1.0,"f":null},"c":[1.0,"x"],"d":null,"e":"x"}"#);
        let texts = |path: &str| if path == "a.txt" { Ok("A".to_owned()) } else { Err(format!("{path} is not there")) };
        assert_eq!(after("{}", &[("a=a.txt", Writing::File(&texts))]).unwrap(), r#"{"a":"A"}"#);
        assert_eq!(after("{}", &[("a=b.txt", Writing::File(&texts))]).unwrap_err(), "b.txt is not there");
    }

    #[test]
    fn lines_that_cannot_be_meant_are_refused() {
        let table = [
            ("a", "key \"a\" has no value"),
            ("a,b=1", "cannot end with ,"),
            ("a=1,a.b=2", "key \"a\" holds a number, not a map"),
            ("a=x,a[0]=2", "key \"a\" holds text, not a list"),
            ("a={x", "list must terminate with '}'"),
            ("a[x]=1", "is not a number"),
            ("a[-1]=1", "is negative"),
            ("a[0]x=1", "unexpected data at end of array index"),
            ("a[65537]=1", "greater than 65536"),
            ("a[99999999999999999999]=1", "is not a number"),
        ];
        for (line, wanted) in table {
            let error = after("{}", &[(line, Writing::Plain)]).unwrap_err();
            assert!(error.contains(wanted), "{line}: {error}");
        }
        assert!(after("{}", &[("a[65536]=1", Writing::Plain)]).is_ok());
    }

    #[test]
    fn lines_are_bounded_at_the_limit_and_one_beyond() {
        let nested = |depth: usize| format!("{}a=1", "a.".repeat(depth));
        assert!(after("{}", &[(&nested(30), Writing::Plain)]).is_ok());
        assert!(after("{}", &[(&nested(31), Writing::Plain)]).unwrap_err().contains("30 deep"));
        let lists = |depth: usize| format!("a{}=1", "[0]".repeat(depth + 1));
        assert!(after("{}", &[(&lists(30), Writing::Plain)]).is_ok());
        assert!(after("{}", &[(&lists(31), Writing::Plain)]).unwrap_err().contains("30 deep"));
        assert!(after("{}", &[(&lists(100_000), Writing::Plain)]).is_err());
        let bomb: Vec<String> = (0..20).map(|name| format!("a{name}[65535]=1")).collect();
        assert!(after("{}", &[(&bomb.join(","), Writing::Plain)]).unwrap_err().contains("places"));
    }

    fn set(path: &str, value: &str) -> Result<Json, String> {
        let mut values = json!({"a": {"b": 1}, "l": [1]}).as_object().unwrap().clone();
        set_path(&mut values, path, value, false).map(|()| Json::Object(values)).map_err(|error| error.to_string())
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
        let mut values = Values::new();
        set_path(&mut values, "a.b\\.c", "x={1,2}\\n[3]", true).unwrap();
        assert_eq!(Json::Object(values), json!({"a": {"b.c": "x={1,2}\\n[3]"}}));
    }
}
