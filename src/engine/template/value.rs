//! Values as Go's templates see them: typed numbers, nil that is nil or a nil interface, maps that are changed in place.
//!
//! Cloning is cheap (a count), because templates pass whole trees around. Maps are shared and mutable, since `set` and
//! `merge` change the map that others hold too. Start with [`Value`].

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;

/// The entries of a map, in the order Go prints and ranges over them.
pub type Entries = BTreeMap<Rc<str>, Value>;

/// A value of a template.
#[derive(Clone, Debug, Default)]
pub enum Value {
    #[default]
    Nil,
    Bool(bool),
    /// Go's `int`: literals, `len`, `until`.
    Int(i64),
    /// Go's `int64`: sums, and numbers given with `--set`.
    Int64(i64),
    /// A byte of a string.
    Uint8(u8),
    /// Parts of a semantic version.
    Uint64(u64),
    /// Every number that was read from YAML or JSON.
    Float(f64),
    Str(Rc<str>),
    /// A string that is not UTF-8.
    Raw(Rc<[u8]>),
    /// Go's `[]byte`, e.g. the content of a file.
    Bytes(Arc<[u8]>),
    List(List),
    Map(Map),
    Time(Rc<jiff::Zoned>),
    /// Nanoseconds.
    Duration(i64),
    Object(Rc<Object>),
}

/// What a list holds, as its Go type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    Any,
    Strings,
    Ints,
    Lists,
    Versions,
}

/// A list; never changed after it was made.
#[derive(Clone, Debug)]
pub struct List(Rc<ListBody>);

#[derive(Debug)]
struct ListBody {
    of: Items,
    nil: bool,
    items: Vec<Value>,
}

/// What a map holds, as its Go type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    Any,
    /// Helm's named type of `.Values`.
    Values,
    Strings,
    /// The files of a chart, with methods.
    Files,
    /// A map whose keys are Go structs: each entry is a list of its key and its value.
    Keyed,
}

/// A map with text keys, shared by all who hold it.
#[derive(Clone, Debug)]
pub struct Map {
    body: Rc<MapBody>,
    of: Fields,
}

#[derive(Debug)]
pub(super) struct MapBody {
    nil: bool,
    entries: RefCell<Entries>,
    noted: Cell<bool>,
}

/// A Go struct that templates may look into.
#[derive(Debug)]
pub struct Object {
    pub type_name: &'static str,
    /// Whether templates hold a pointer to it.
    pub pointer: bool,
    pub fields: Vec<(&'static str, Value)>,
    /// What its `String` method says.
    pub text: Option<Rc<str>>,
}

impl List {
    pub fn new(items: Vec<Value>) -> Self {
        List(Rc::new(ListBody { of: Items::Any, nil: false, items }))
    }

    pub fn of(of: Items, items: Vec<Value>) -> Self {
        List(Rc::new(ListBody { of, nil: false, items }))
    }

    /// Go's nil slice: prints as `[]`, is `null` in JSON.
    pub fn nil(of: Items) -> Self {
        List(Rc::new(ListBody { of, nil: true, items: Vec::new() }))
    }

    pub fn items(&self) -> &[Value] {
        &self.0.items
    }

    pub fn kind(&self) -> Items {
        self.0.of
    }

    pub fn is_nil(&self) -> bool {
        self.0.nil
    }
}

impl Map {
    pub fn new(entries: Entries) -> Self {
        Map::of(Fields::Any, entries)
    }

    pub fn of(of: Fields, entries: Entries) -> Self {
        let body = MapBody { nil: false, entries: RefCell::new(entries), noted: Cell::new(false) };
        Map { body: Rc::new(body), of }
    }

    /// Go's nil map: reads as empty, refuses writes.
    pub fn nil() -> Self {
        let body = MapBody { nil: true, entries: RefCell::default(), noted: Cell::new(false) };
        Map { body: Rc::new(body), of: Fields::Any }
    }

    /// The same map under another Go type; a change of one is a change of both.
    pub fn retyped(&self, of: Fields) -> Self {
        Map { body: Rc::clone(&self.body), of }
    }

    pub fn entries(&self) -> Ref<'_, Entries> {
        self.body.entries.borrow()
    }

    pub fn get(&self, key: &str) -> Option<Value> {
        self.body.entries.borrow().get(key).cloned()
    }

    pub fn insert(&self, key: Rc<str>, value: Value) {
        let old = self.body.entries.borrow_mut().insert(key, value);
        drop(old);
    }

    pub fn remove(&self, key: &str) {
        let old = self.body.entries.borrow_mut().remove(key);
        drop(old);
    }

    pub fn len(&self) -> usize {
        self.body.entries.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn kind(&self) -> Fields {
        self.of
    }

    pub fn is_nil(&self) -> bool {
        self.body.nil
    }

    /// What a template sees of an entry: its key, which may be a struct, and its value.
    pub(super) fn entry(&self, key: Rc<str>, value: Value) -> (Value, Value) {
        match (self.of, &value) {
            (Fields::Keyed, Value::List(pair)) if pair.items().len() == 2 => {
                (pair.items()[0].clone(), pair.items()[1].clone())
            }
            _ => (Value::Str(key), value),
        }
    }

    pub fn is_same(&self, other: &Map) -> bool {
        Rc::ptr_eq(&self.body, &other.body)
    }

    /// Marks the map as changed by a template; the first time, gives the handle by which a cycle can be cut later.
    pub(super) fn note(&self) -> Option<std::rc::Weak<MapBody>> {
        (!self.body.noted.replace(true)).then(|| Rc::downgrade(&self.body))
    }
}

impl MapBody {
    /// Cuts whatever cycle the map is part of.
    pub fn cut(&self) {
        let entries = self.entries.take();
        drop(entries);
    }
}

/// Takes values apart with a list of its own: a chain made by a template may be too deep for the stack.
fn unravel(mut left: Vec<Value>) {
    while let Some(value) = left.pop() {
        match value {
            Value::List(List(body)) => {
                if let Ok(mut body) = Rc::try_unwrap(body) {
                    left.append(&mut body.items);
                }
            }
            Value::Map(Map { body, .. }) => {
                if let Ok(mut body) = Rc::try_unwrap(body) {
                    left.extend(std::mem::take(body.entries.get_mut()).into_values());
                }
            }
            _ => {}
        }
    }
}

fn holds_more(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}

impl Drop for ListBody {
    fn drop(&mut self) {
        if self.items.iter().any(holds_more) {
            unravel(std::mem::take(&mut self.items));
        }
    }
}

impl Drop for MapBody {
    fn drop(&mut self) {
        if self.entries.get_mut().values().any(holds_more) {
            unravel(self.entries.take().into_values().collect());
        }
    }
}

impl Value {
    pub fn str(text: &str) -> Self {
        Value::Str(text.into())
    }

    /// A Go string of these bytes.
    pub fn string(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Value::Str(text.into()),
            Err(raw) => Value::Raw(raw.into_bytes().into()),
        }
    }

    pub fn list(items: Vec<Value>) -> Self {
        Value::List(List::new(items))
    }

    pub fn strings(items: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Value::List(List::of(Items::Strings, items.into_iter().map(|item| Value::str(item.as_ref())).collect()))
    }

    pub fn map(entries: impl IntoIterator<Item = (impl AsRef<str>, Value)>) -> Self {
        Value::Map(Map::new(entries.into_iter().map(|(key, value)| (key.as_ref().into(), value)).collect()))
    }

    /// As Go reads a document into an empty interface: every number is a float.
    pub fn from_document(json: &Json) -> Self {
        match json {
            Json::Null => Value::Nil,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
            Json::String(text) => Value::str(text),
            Json::Array(items) => Value::list(items.iter().map(Value::from_document).collect()),
            Json::Object(fields) => Value::map(fields.iter().map(|(key, value)| (key, Value::from_document(value)))),
        }
    }

    /// As [`Value::from_document`], but whole numbers stay whole, as `--set` gives them.
    pub fn from_values(json: &Json) -> Self {
        match json {
            Json::Number(number) => number.as_i64().map_or_else(|| Value::from_document(json), Value::Int64),
            Json::Array(items) => Value::list(items.iter().map(Value::from_values).collect()),
            Json::Object(fields) => Value::map(fields.iter().map(|(key, value)| (key, Value::from_values(value)))),
            other => Value::from_document(other),
        }
    }

    /// Go's `%T`, except that nil has no type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Int64(_) => "int64",
            Value::Uint8(_) => "uint8",
            Value::Uint64(_) => "uint64",
            Value::Float(_) => "float64",
            Value::Str(_) | Value::Raw(_) => "string",
            Value::Bytes(_) => "[]uint8",
            Value::List(list) => match list.kind() {
                Items::Any => "[]interface {}",
                Items::Strings => "[]string",
                Items::Ints => "[]int",
                Items::Lists => "[][]interface {}",
                Items::Versions => "common.VersionSet",
            },
            Value::Map(map) => match map.kind() {
                Fields::Any => "map[string]interface {}",
                Fields::Values => "common.Values",
                Fields::Strings => "map[string]string",
                Fields::Files => "engine.files",
                Fields::Keyed => "map[interface {}]interface {}",
            },
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Object(object) => object.type_name,
        }
    }

    /// Go's reflection kind.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Value::Nil => "invalid",
            Value::Duration(_) => "int64",
            Value::Bytes(_) | Value::List(_) => "slice",
            Value::Map(_) => "map",
            Value::Time(_) => "struct",
            Value::Object(object) => {
                if object.pointer {
                    "ptr"
                } else {
                    "struct"
                }
            }
            scalar => scalar.type_name(),
        }
    }

    /// Whether a condition takes the value for true.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(bool) => *bool,
            Value::Int(number) | Value::Int64(number) | Value::Duration(number) => *number != 0,
            Value::Uint8(number) => *number != 0,
            Value::Uint64(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Time(_) | Value::Object(_) => true,
            other => other.size().is_some_and(|size| size > 0),
        }
    }

    /// The number of items, entries or bytes of what has a length.
    pub fn size(&self) -> Option<usize> {
        match self {
            Value::Str(text) => Some(text.len()),
            Value::Raw(bytes) => Some(bytes.len()),
            Value::Bytes(bytes) => Some(bytes.len()),
            Value::List(list) => Some(list.items().len()),
            Value::Map(map) => Some(map.len()),
            _ => None,
        }
    }

    /// The bytes of a string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(text) => Some(text.as_bytes()),
            Value::Raw(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items of what Go calls a slice, as values.
    pub fn to_items(&self) -> Option<Vec<Value>> {
        match self {
            Value::List(list) => Some(list.items().to_vec()),
            Value::Bytes(bytes) => Some(bytes.iter().map(|byte| Value::Uint8(*byte)).collect()),
            _ => None,
        }
    }
}
