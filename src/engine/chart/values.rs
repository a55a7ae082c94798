//! Lays values over the defaults of a chart and of the charts within it, globals included.
//!
//! `Json` objects stand for Go's maps here. Start with [`coalesce`].
//! Source: helm pkg/chart/common/util (coalesce.go).

use serde_json::Value as Json;

use super::{Chart, ChartError, Values};

/// The key whose values every chart sees.
const GLOBAL: &str = "global";

/// The values of a chart: those given, and its defaults beneath. A null given removes a default, unless `merge`.
///
/// Errors when the values of a chart within are not a map.
pub(super) fn coalesce(chart: &Chart, mut given: Values, merge: bool) -> Result<Values, ChartError> {
    defaults(chart, &mut given, merge);
    for sub in &chart.dependencies {
        let name = &sub.metadata.name;
        let mut inner = match given.shift_remove(name) {
            None => Values::new(),
            Some(Json::Object(inner)) => inner,
            Some(_) => return Err(ChartError::Invalid(format!("type mismatch on {name}: the values are not a map"))),
        };
        globals(&mut inner, &given);
        let inner = coalesce(sub, inner, merge)?;
        given.insert(name.clone(), Json::Object(inner));
    }
    Ok(given)
}

fn defaults(chart: &Chart, given: &mut Values, merge: bool) {
    for (key, value) in &chart.values {
        match given.get_mut(key) {
            Some(Json::Null) if !merge => {
                given.shift_remove(key);
            }
            Some(Json::Object(over)) => {
                if let Json::Object(under) = value {
                    let mut under = under.clone();
                    let keeps_nulls = merge || chart.dependencies.iter().any(|sub| sub.metadata.name == *key);
                    if !keeps_nulls {
                        remove_nulls(&mut under);
                    }
                    tables(over, under, keeps_nulls);
                }
            }
            Some(_) => {}
            None => {
                let mut value = value.clone();
                if !merge {
                    match &mut value {
                        Json::Null => continue,
                        Json::Object(fields) => remove_nulls(fields),
                        _ => {}
                    }
                }
                given.insert(key.clone(), value);
            }
        }
    }
}

fn remove_nulls(fields: &mut Values) {
    fields.retain(|_, value| !value.is_null());
    for value in fields.values_mut() {
        if let Json::Object(inner) = value {
            remove_nulls(inner);
        }
    }
}

/// Lays `over` upon `under`, in place. A null above removes what is below, unless `merge`.
pub(super) fn tables(over: &mut Values, under: Values, merge: bool) {
    for (key, value) in under {
        match over.get_mut(&key) {
            None => {
                over.insert(key, value);
            }
            Some(Json::Null) if !merge && !value.is_null() => {
                over.shift_remove(&key);
            }
            Some(Json::Object(inner)) => {
                if let Json::Object(value) = value {
                    tables(inner, value, merge);
                }
            }
            Some(_) => {}
        }
    }
}

/// Gives a chart within the globals of the one around it; the outer ones win.
fn globals(inner: &mut Values, outer: &Values) {
    let mut own = match inner.get(GLOBAL) {
        None => Values::new(),
        Some(Json::Object(own)) => own.clone(),
        Some(_) => return,
    };
    match outer.get(GLOBAL) {
        None => {}
        Some(Json::Object(outer)) => {
            for (key, value) in outer {
                match (own.get(key), value) {
                    (Some(Json::Object(old)), Json::Object(new)) => {
                        let mut new = new.clone();
                        tables(&mut new, old.clone(), true);
                        own.insert(key.clone(), Json::Object(new));
                    }
                    (Some(old), Json::Object(_)) if !old.is_object() => {}
                    (Some(Json::Object(_)), _) => {}
                    _ => {
                        own.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Some(_) => return,
    }
    inner.insert(GLOBAL.into(), Json::Object(own));
}

/// The map at a dotted path.
pub(super) fn table<'v>(values: &'v Values, path: &str) -> Option<&'v Values> {
    path.split('.').try_fold(values, |values, key| values.get(key)?.as_object())
}

/// The value at a dotted path that is no map.
pub(super) fn value<'v>(values: &'v Values, path: &str) -> Option<&'v Json> {
    let (parent, key) = match path.rsplit_once('.') {
        Some((parent, key)) => (table(values, parent)?, key),
        None => (values, path),
    };
    parent.get(key).filter(|value| !value.is_object())
}
