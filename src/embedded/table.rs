//! Tables: the columns that `kubectl get` prints.
//!
//! Derived from objects alone; the columns of built-in kinds are in `columns.rs`. Start with [`table`].

use jiff::Timestamp;
use serde_json::{Value, json};

use super::catalog::Resource;
use super::columns::{self, Column};
use super::jsonpath;
use super::view;

/// What a table carries of each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Include {
    /// Reads `includeObject`.
    pub fn of(text: &str) -> Include {
        match text {
            "None" => Include::Nothing,
            "Object" => Include::Object,
            _ => Include::Metadata,
        }
    }
}

/// A table of objects, without list metadata.
pub fn table<'a>(
    resource: &Resource,
    objects: impl IntoIterator<Item = &'a Value>,
    include: Include,
    now: Timestamp,
) -> Value {
    let (definitions, cells): (Vec<Value>, Cells) = match &resource.custom {
        Some(custom) => {
            let columns = custom.columns.clone();
            let mut definitions = vec![definition("Name", "string", "name", 0)];
            definitions.extend(columns.iter().map(|c| {
                let mut column = definition(&c.name, &c.kind, &c.format, c.priority);
                column["description"] = c.description.clone().into();
                column
            }));
            if columns.is_empty() {
                definitions.push(definition("Age", "date", "", 0));
            }
            let cells = move |object: &Value| {
                let mut row = vec![object["metadata"]["name"].clone()];
                row.extend(columns.iter().map(|c| custom_cell(object, &c.path, &c.kind, now)));
                if columns.is_empty() {
                    row.push(age(&object["metadata"]["creationTimestamp"], now).into());
                }
                row
            };
            (definitions, Box::new(cells))
        }
        None => {
            let columns: &'static [Column] = columns::of(&resource.group, &resource.kind);
            let definitions = columns.iter().map(|c| definition(c.name, c.kind, c.format, c.priority)).collect();
            (definitions, Box::new(move |object: &Value| columns.iter().map(|c| (c.cell)(object, now)).collect()))
        }
    };
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| {
            let shown = match include {
                Include::Nothing => Value::Null,
                Include::Metadata => view::metadata_only(object),
                Include::Object => object.clone(),
            };
            json!({"cells": cells(object), "object": shown})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": definitions, "rows": rows})
}

type Cells<'a> = Box<dyn Fn(&Value) -> Vec<Value> + 'a>;

fn definition(name: &str, kind: &str, format: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": "", "priority": priority})
}

fn custom_cell(object: &Value, path: &str, kind: &str, now: Timestamp) -> Value {
    let found = jsonpath::find(object, path);
    let Some(first) = found.first() else { return Value::Null };
    match (kind, first) {
        (_, Value::Null) => Value::Null,
        ("integer" | "number", number @ Value::Number(_)) => (*number).clone(),
        ("boolean", truth @ Value::Bool(_)) => (*truth).clone(),
        ("date", Value::String(_)) => age(first, now).into(),
        ("string", _) if found.len() == 1 => plain(first).into(),
        ("string", _) => found.iter().map(|v| plain(v)).collect::<Vec<_>>().join(",").into(),
        (_, Value::String(text)) => text.as_str().into(),
        (_, other) => other.to_string().into(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// How long ago a timestamp was, as kubectl prints it.
pub fn age(stamp: &Value, now: Timestamp) -> String {
    match stamp.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(then) => duration(now.as_second() - then.as_second()),
        None => "<unknown>".into(),
    }
}

/// Seconds as kubectl prints them: two units at most, one when it is long.
///
/// Source: apimachinery duration.HumanDuration.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let two = |big: i64, unit: char, small: i64, other: char| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{other}") }
    };
    match seconds {
        ..-1 => "<invalid>".into(),
        -1..0 => "0s".into(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10800 => format!("{minutes}m"),
        10800..28800 => two(hours, 'h', minutes % 60, 'm'),
        28800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(hours / 24, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{}d", hours / 24),
        63_072_000..252_288_000 => two(hours / 8760, 'y', hours / 24 % 365, 'd'),
        _ => format!("{}y", hours / 8760),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_writes_them() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (700, "11m"),
            (3 * 3600 + 60, "3h1m"),
            (9 * 3600, "9h"),
            (3 * 86400, "3d"),
            (3 * 86400 + 7200, "3d2h"),
            (40 * 86400, "40d"),
            (800 * 86400, "2y70d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
