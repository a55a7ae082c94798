//! One step of a field path, how steps sort, and how they are spelled in managed fields and in messages.
//!
//! Source: structured-merge-diff fieldpath: names before keys before values before indexes.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// One step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    Field(Box<str>),
    /// A list item by the values of its key fields, sorted by name.
    Key(Vec<(Box<str>, Scalar)>),
    /// A list item by its value.
    Value(Scalar),
    Index(i64),
}

/// A value that can tell list items apart.
#[derive(Clone, Debug)]
pub enum Scalar {
    Integer(i128),
    Float(f64),
    Text(Box<str>),
    Boolean(bool),
    /// A list or map: only met in hand-written managed fields.
    Other(Box<str>),
    Null,
}

impl Scalar {
    /// Takes a value; whole floats become integers, because 1 and 1.0 name the same item.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Scalar::Null,
            Value::Bool(yes) => Scalar::Boolean(*yes),
            Value::String(text) => Scalar::Text(text.as_str().into()),
            Value::Number(number) => {
                let integer = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
                let float = number.as_f64().unwrap_or_default();
                match integer {
                    Some(integer) => Scalar::Integer(integer),
                    None if float.fract() == 0.0 && float.abs() < 9e15 => Scalar::Integer(float as i128),
                    None => Scalar::Float(float),
                }
            }
            Value::Array(_) | Value::Object(_) => Scalar::Other(value.to_string().into()),
        }
    }

    /// The value as JSON text.
    pub fn to_json(&self) -> String {
        match self {
            Scalar::Integer(integer) => integer.to_string(),
            Scalar::Float(float) => Value::from(*float).to_string(),
            Scalar::Text(text) => Value::from(text.as_ref()).to_string(),
            Scalar::Boolean(yes) => yes.to_string(),
            Scalar::Other(json) => json.to_string(),
            Scalar::Null => "null".into(),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Scalar::Integer(_) | Scalar::Float(_) => 0,
            Scalar::Text(_) => 1,
            Scalar::Boolean(_) => 2,
            Scalar::Other(_) => 3,
            Scalar::Null => 4,
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Scalar::Integer(a), Scalar::Integer(b)) => a.cmp(b),
            (Scalar::Float(a), Scalar::Float(b)) => a.total_cmp(b),
            (Scalar::Integer(a), Scalar::Float(b)) => (*a as f64).total_cmp(b).then(Ordering::Less),
            (Scalar::Float(a), Scalar::Integer(b)) => a.total_cmp(&(*b as f64)).then(Ordering::Greater),
            (Scalar::Text(a), Scalar::Text(b)) | (Scalar::Other(a), Scalar::Other(b)) => a.cmp(b),
            (Scalar::Boolean(a), Scalar::Boolean(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl Element {
    /// A step to a named field.
    pub fn field(name: &str) -> Self {
        Element::Field(name.into())
    }

    /// The step as managed fields spell it, e.g. `f:spec` or `k:{"name":"web"}`.
    pub fn encode(&self) -> String {
        match self {
            Element::Field(name) => format!("f:{name}"),
            Element::Key(fields) => {
                let pair =
                    |(name, value): &(Box<str>, Scalar)| format!("{}:{}", Value::from(name.as_ref()), value.to_json());
                format!("k:{{{}}}", fields.iter().map(pair).collect::<Vec<_>>().join(","))
            }
            Element::Value(value) => format!("v:{}", value.to_json()),
            Element::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads a step; none for a spelling of the future, which is dropped like the API server does.
    ///
    /// Errors when it is malformed.
    pub fn decode(text: &str) -> Result<Option<Self>, String> {
        let malformed = |why: &dyn fmt::Display| format!("path element {text:?}: {why}");
        let Some((kind, rest)) = text.split_at_checked(2) else { return Err(malformed(&"too short")) };
        match kind {
            "f:" => Ok(Some(Element::field(rest))),
            "v:" => {
                let value: Value = serde_json::from_str(rest).map_err(|e| malformed(&e))?;
                Ok(Some(Element::Value(Scalar::of(&value))))
            }
            "k:" => {
                let fields: serde_json::Map<String, Value> = serde_json::from_str(rest).map_err(|e| malformed(&e))?;
                Ok(Some(Element::key(fields.iter().map(|(name, value)| (name.as_str(), value)))))
            }
            "i:" => Ok(Some(Element::Index(rest.parse().map_err(|e| malformed(&e))?))),
            _ if kind.ends_with(':') => Ok(None),
            _ => Err(malformed(&"no colon")),
        }
    }

    /// A step to the list item with these key fields.
    pub fn key<'a>(fields: impl Iterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut fields: Vec<_> = fields.map(|(name, value)| (name.into(), Scalar::of(value))).collect();
        fields.sort();
        Element::Key(fields)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Key(fields) => {
                let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", value.to_json())).collect();
                write!(f, "[{}]", pairs.join(","))
            }
            Element::Value(value) => write!(f, "[={}]", value.to_json()),
            Element::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A whole path as messages print it.
pub fn spelled(path: &[Element]) -> String {
    path.iter().map(Element::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_are_spelled_as_the_api_server_spells_them() {
        let port = json!({"protocol": "TCP", "containerPort": 80});
        let port = Element::key(port.as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v)));
        let cases = [
            (Element::field("spec"), "f:spec", ".spec"),
            (port, r#"k:{"containerPort":80,"protocol":"TCP"}"#, r#"[containerPort=80,protocol="TCP"]"#),
            (Element::Value(Scalar::of(&json!("a\"b"))), r#"v:"a\"b""#, r#"[="a\"b"]"#),
            (Element::Value(Scalar::of(&json!(1.5))), "v:1.5", "[=1.5]"),
            (Element::Index(3), "i:3", "[3]"),
        ];
        for (element, encoded, shown) in cases {
            assert_eq!(element.encode(), encoded);
            assert_eq!(element.to_string(), shown);
            assert_eq!(Element::decode(encoded).unwrap().unwrap(), element);
        }
        assert_eq!(Element::decode("z:future").unwrap(), None);
        for bad in ["", "f", "k:[", "k:1", "v:", "i:x", "no"] {
            assert!(Element::decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whole_floats_name_the_same_item_as_integers() {
        assert_eq!(Scalar::of(&json!(1)), Scalar::of(&json!(1.0)));
        assert_ne!(Scalar::of(&json!(1)), Scalar::of(&json!("1")));
        let mut order: Vec<_> =
            [json!(null), json!(true), json!("a"), json!(2), json!(1.5)].iter().map(Scalar::of).collect();
        order.sort();
        let shown: Vec<_> = order.iter().map(Scalar::to_json).collect();
        assert_eq!(shown, ["1.5", "2", "\"a\"", "true", "null"]);
    }
}
