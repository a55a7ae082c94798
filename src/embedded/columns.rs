//! The columns of built-in kinds, as data and one function per cell.
//!
//! Start with [`of`].

use jiff::Timestamp;
use serde_json::Value;

use super::table::age;

/// One column.
pub struct Column {
    pub name: &'static str,
    pub kind: &'static str,
    pub format: &'static str,
    /// Above 0 only `-o wide` shows it.
    pub priority: i64,
    pub cell: fn(&Value, Timestamp) -> Value,
}

const fn column(name: &'static str, kind: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { name, kind, format: "", priority: 0, cell }
}

const NAME: Column = Column { format: "name", ..column("Name", "string", |o, _| o["metadata"]["name"].clone()) };
const AGE: Column = column("Age", "string", |o, now| age(&o["metadata"]["creationTimestamp"], now).into());

const DEFAULT: &[Column] = &[NAME, AGE];

/// The columns of a kind; name and age when it has none of its own.
pub fn of(_group: &str, _kind: &str) -> &'static [Column] {
    DEFAULT
}
