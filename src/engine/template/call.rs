//! What a function of a template is: its name, the types of its parameters, and the Rust behind it.
//!
//! Templates check arguments against these types before a function runs, with Go's messages; so functions may rely on
//! them. The tables live with the functions. Start with [`Function`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use super::error::Answer;
use super::run::Machine;
use super::value::{Map, Value};

/// The Go type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    /// Go's `reflect.Value`: anything, nil included.
    Reflect,
    Text,
    Int,
    Bool,
    Float,
    Uint32,
    Map,
    /// Go's `[]interface {}`.
    List,
    Time,
    /// Sprig's certificate with its key.
    Certificate,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Type::Any => "interface {}",
            Type::Reflect => "reflect.Value",
            Type::Text => "string",
            Type::Int => "int",
            Type::Bool => "bool",
            Type::Float => "float64",
            Type::Uint32 => "uint32",
            Type::Map => "map[string]interface {}",
            Type::List => "[]interface {}",
            Type::Time => "time.Time",
            Type::Certificate => "sprig.certificate",
        }
    }

    /// Whether nil may stand for a value of the type.
    pub fn takes_nil(self) -> bool {
        matches!(self, Type::Any | Type::Reflect | Type::Map | Type::List)
    }

    /// Whether a value may be assigned to the type.
    pub fn takes(self, value: &Value) -> bool {
        use super::value::Fields;
        match (self, value) {
            (Type::Any | Type::Reflect, _)
            | (Type::Text, Value::Str(_) | Value::Raw(_))
            | (Type::Int, Value::Int(_))
            | (Type::Bool, Value::Bool(_))
            | (Type::Float, Value::Float(_))
            | (Type::Time, Value::Time(_)) => true,
            (Type::List, Value::List(list)) => list.kind() == super::value::Items::Any,
            (Type::Certificate, Value::Object(object)) => object.type_name == "sprig.certificate",
            (Type::Map, Value::Map(map)) => matches!(map.kind(), Fields::Any | Fields::Values),
            _ => false,
        }
    }
}

/// The Rust behind a function.
pub(super) type Call = fn(&mut Machine<'_>, &[Value]) -> Answer<Value>;

/// How a function is run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    Plain(Call),
    /// `and`: stops at the first argument that is not true.
    And,
    /// `or`: stops at the first argument that is true.
    Or,
    /// `len`, which tells a nil from a nil interface.
    Length,
    /// `call`, which finds nothing to call and says what it found.
    Call,
}

/// A function of templates.
#[derive(Debug)]
pub(super) struct Function {
    pub name: &'static str,
    pub params: &'static [Type],
    pub rest: Option<Type>,
    pub body: Body,
}

impl Function {
    pub const fn new(name: &'static str, params: &'static [Type], call: Call) -> Self {
        Function { name, params, rest: None, body: Body::Plain(call) }
    }

    /// A function that takes any number of further arguments.
    pub const fn many(name: &'static str, params: &'static [Type], rest: Type, call: Call) -> Self {
        Function { name, params, rest: Some(rest), body: Body::Plain(call) }
    }
}

/// The functions a template may name.
pub(super) type Functions = Rc<HashMap<&'static str, &'static Function>>;

/// All functions by name; of two with one name, the later table counts.
pub(super) fn all() -> Functions {
    let tables: [&'static [Function]; 13] = [
        super::builtin::FUNCTIONS,
        super::strings::FUNCTIONS,
        super::cases::FUNCTIONS,
        super::lists::FUNCTIONS,
        super::dicts::FUNCTIONS,
        super::numbers::FUNCTIONS,
        super::reflect::FUNCTIONS,
        super::regexes::FUNCTIONS,
        super::dates::FUNCTIONS,
        super::crypto::FUNCTIONS,
        super::certificates::FUNCTIONS,
        super::addresses::FUNCTIONS,
        super::helm::FUNCTIONS,
    ];
    Rc::new(tables.into_iter().flatten().map(|function| (function.name, function)).collect())
}

/// The text of an argument whose parameter is a string.
pub(super) fn text(args: &[Value], index: usize) -> Cow<'_, str> {
    match args.get(index) {
        Some(Value::Str(text)) => Cow::Borrowed(text),
        Some(Value::Raw(bytes)) => String::from_utf8_lossy(bytes),
        _ => Cow::Borrowed(""),
    }
}

/// The bytes of an argument whose parameter is a string.
pub(super) fn bytes(args: &[Value], index: usize) -> &[u8] {
    args.get(index).and_then(Value::as_bytes).unwrap_or_default()
}

/// The number of an argument whose parameter is an int.
pub(super) fn int(args: &[Value], index: usize) -> i64 {
    match args.get(index) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    }
}

/// The map of an argument whose parameter is a map; nil is Go's nil map.
pub(super) fn map(args: &[Value], index: usize) -> Map {
    match args.get(index) {
        Some(Value::Map(map)) => map.clone(),
        _ => Map::nil(),
    }
}
