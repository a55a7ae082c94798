//! A value with what Go knows of it besides: whether an interface holds it; and the plain conversions.
//!
//! Start with [`Held`].

use super::value::Value;

/// A value and whether Go holds it in an interface, which error texts and nil rules tell apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub value: Value,
    pub boxed: bool,
}

impl Held {
    pub fn plain(value: Value) -> Self {
        Held { value, boxed: false }
    }

    pub fn boxed(value: Value) -> Self {
        Held { value, boxed: true }
    }

    /// The type that error texts name.
    pub fn type_name(&self) -> &'static str {
        if self.boxed { "interface {}" } else { self.value.type_name() }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::str(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Str(text.into())
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Value::Bool(bool)
    }
}
