//! What rules may call besides CEL's standard functions: the parts of the Kubernetes libraries that rules use.
//!
//! Source: apiserver pkg/cel/library. Quantities are compared as 64-bit floats.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use cel::extractors::This;
use cel::{Context, Env, ExecutionError, Value};
use regex::Regex;

use crate::base;

type Outcome = Result<Value, ExecutionError>;

/// Functions that a real server has and this one lacks: a rule with one is accepted and not run.
const LACKING: [&str; 30] = [
    "ip",
    "cidr",
    "family",
    "isUnspecified",
    "isLoopback",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isGlobalUnicast",
    "isCanonical",
    "containsIP",
    "containsCIDR",
    "masked",
    "prefixLength",
    "semver",
    "isSemver",
    "major",
    "minor",
    "patch",
    "format.named",
    "named",
    "validate",
    "authorizer",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "sets",
    "contains_all",
    "dns1123Label",
    "jsonpatch",
    "transformList",
];

const ADDED: [&str; 23] = [
    "find",
    "findAll",
    "isSorted",
    "sum",
    "min",
    "max",
    "isURL",
    "url",
    "getScheme",
    "getHost",
    "getHostname",
    "getPort",
    "getEscapedPath",
    "isQuantity",
    "quantity",
    "isLessThan",
    "isGreaterThan",
    "compareTo",
    "asInteger",
    "isInteger",
    "asApproximateFloat",
    "isIP",
    "isCIDR",
];

/// The environment rules are compiled in.
pub fn environment() -> Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    let build = || {
        let mut env = Env::stdlib();
        for extension in [cel::extensions::strings, cel::extensions::lists, cel::extensions::math] {
            env.add_extension(extension).expect("the crate's own extensions do not clash");
        }
        env.set_error_on_duplicate_map_keys(false);
        Arc::new(env)
    };
    ENVIRONMENT.get_or_init(build).clone()
}

/// Whether a name is bound when a rule runs; loop variables never show up as references.
pub fn is_variable(name: &str) -> bool {
    const TYPES: [&str; 13] = [
        "int",
        "uint",
        "double",
        "bool",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional",
        "math",
        "optional_type",
    ];
    let more = ["google", "self", "oldSelf", "timestamp", "duration", "strings", "lists", "sets", "format", "dyn"];
    TYPES.contains(&name) || more.contains(&name) || name.starts_with('@')
}

/// Functions of CEL and of the extensions the environment has.
const STANDARD: [&str; 60] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "bytes",
    "int",
    "uint",
    "double",
    "bool",
    "dyn",
    "type",
    "timestamp",
    "duration",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "join",
    "lowerAscii",
    "upperAscii",
    "replace",
    "split",
    "substring",
    "trim",
    "format",
    "reverse",
    "quote",
    "distinct",
    "flatten",
    "range",
    "slice",
    "sort",
    "sortBy",
    "hasValue",
    "value",
    "orValue",
    "or",
    "of",
    "none",
    "ofNonZeroValue",
    "optMap",
    "optFlatMap",
    "unwrap",
];

/// Whether a rule may call a function.
pub fn is_function(name: &str) -> bool {
    let plain = name.rsplit('.').next().unwrap_or(name);
    let is_operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
    is_operator || STANDARD.contains(&plain) || ADDED.contains(&plain) || is_lacking(name) || is_math(name)
}

fn is_math(name: &str) -> bool {
    let plain = name.rsplit('.').next().unwrap_or(name);
    const MATH: [&str; 18] = [
        "greatest",
        "least",
        "ceil",
        "floor",
        "round",
        "trunc",
        "abs",
        "sign",
        "isInf",
        "isNaN",
        "isFinite",
        "bitAnd",
        "bitOr",
        "bitXor",
        "bitNot",
        "bitShiftLeft",
        "bitShiftRight",
        "sqrt",
    ];
    MATH.contains(&plain)
}

/// Whether a real server has a function that this one lacks.
pub fn is_lacking(name: &str) -> bool {
    let plain = name.rsplit('.').next().unwrap_or(name);
    LACKING.contains(&name) || LACKING.contains(&plain)
}

/// A text as its format types it.
pub fn typed_text(format: &str, text: &str) -> Value {
    let plain = || Value::String(Arc::new(text.to_string()));
    match format {
        "date-time" | "datetime" => {
            chrono::DateTime::parse_from_rfc3339(text).map_or_else(|_| plain(), Value::Timestamp)
        }
        "duration" => base::parse_duration(text)
            .ok()
            .and_then(|duration| i64::try_from(duration.as_nanos()).ok())
            .map_or_else(plain, |nanos| Value::Duration(chrono::Duration::nanoseconds(nanos))),
        _ => plain(),
    }
}

fn fail(function: &str, message: impl ToString) -> ExecutionError {
    ExecutionError::function_error(function, message)
}

fn text(text: impl Into<String>) -> Value {
    Value::String(Arc::new(text.into()))
}

/// Adds the functions to a context.
pub fn add_functions(context: &mut Context) {
    let mut added = vec![
        context.add_function("find", |This(this): This<Arc<String>>, pattern: Arc<String>| find(&this, &pattern)),
        context
            .add_function("findAll", |This(this): This<Arc<String>>, pattern: Arc<String>| find_all(&this, &pattern)),
        context.add_function("isSorted", |This(list): This<Arc<Vec<Value>>>| -> Outcome {
            Ok(Value::Bool(is_sorted(&list)))
        }),
        context.add_function("sum", |This(list): This<Arc<Vec<Value>>>| sum(&list)),
        context
            .add_function("min", |This(list): This<Arc<Vec<Value>>>| extreme(&list, "min", std::cmp::Ordering::Less)),
        context.add_function("max", |This(list): This<Arc<Vec<Value>>>| {
            extreme(&list, "max", std::cmp::Ordering::Greater)
        }),
        context.add_function("isIP", |This(this): This<Arc<String>>| this.parse::<IpAddr>().is_ok()),
        context
            .add_function("isCIDR", |This(this): This<Arc<String>>| super::formats::fits("cidr", &this) == Some(true)),
    ];
    added.extend(url_functions(context));
    added.extend(quantity_functions(context));
    debug_assert!(added.iter().all(Result::is_ok), "a function clashes with the environment");
}

fn url_functions(context: &mut Context) -> Vec<Result<(), cel::DeclarationError>> {
    // A URL stays its text; its parts are cut out when asked for.
    vec![
        context.add_function("isURL", |This(this): This<Arc<String>>| is_url(&this)),
        context.add_function("url", |This(this): This<Arc<String>>| -> Outcome {
            if is_url(&this) {
                Ok(Value::String(this))
            } else {
                Err(fail("url", "URL parse error during conversion from string"))
            }
        }),
        context.add_function("getScheme", |This(this): This<Arc<String>>| -> Outcome { Ok(text(url_parts(&this).0)) }),
        context.add_function("getHost", |This(this): This<Arc<String>>| -> Outcome { Ok(text(url_parts(&this).1)) }),
        context.add_function("getHostname", |This(this): This<Arc<String>>| -> Outcome {
            let (_, host, _) = url_parts(&this);
            Ok(text(host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']'])))
        }),
        context.add_function("getPort", |This(this): This<Arc<String>>| -> Outcome {
            Ok(text(url_parts(&this).1.rsplit_once(':').map_or("", |(_, port)| port)))
        }),
        context.add_function("getEscapedPath", |This(this): This<Arc<String>>| -> Outcome {
            Ok(text(url_parts(&this).2))
        }),
    ]
}

fn quantity_functions(context: &mut Context) -> Vec<Result<(), cel::DeclarationError>> {
    vec![
        context.add_function("isQuantity", |This(this): This<Arc<String>>| quantity(&this).is_some()),
        context.add_function("quantity", |This(this): This<Arc<String>>| -> Outcome {
            quantity(&this)
                .map(Value::Float)
                .ok_or_else(|| fail("quantity", "quantities must match the regular expression of a number with a unit"))
        }),
        context.add_function("isLessThan", |This(this): This<f64>, other: f64| this < other),
        context.add_function("isGreaterThan", |This(this): This<f64>, other: f64| this > other),
        context.add_function("compareTo", |This(this): This<f64>, other: f64| this.total_cmp(&other) as i64),
        context.add_function("isInteger", |This(this): This<f64>| this.fract() == 0.0),
        context.add_function("asInteger", |This(this): This<f64>| -> Outcome {
            if this.fract() == 0.0 {
                Ok(Value::Int(this as i64))
            } else {
                Err(fail("asInteger", "cannot convert value to integer"))
            }
        }),
        context.add_function("asApproximateFloat", |This(this): This<f64>| this),
    ]
}

fn pattern(function: &str, pattern: &str) -> Result<Regex, ExecutionError> {
    Regex::new(pattern).map_err(|e| fail(function, format!("Illegal regex: {e}")))
}

fn find(this: &str, wanted: &str) -> Outcome {
    Ok(text(pattern("find", wanted)?.find(this).map_or("", |found| found.as_str())))
}

fn find_all(this: &str, wanted: &str) -> Outcome {
    let found = pattern("findAll", wanted)?;
    Ok(Value::List(Arc::new(found.find_iter(this).map(|found| text(found.as_str())).collect())))
}

fn is_sorted(list: &[Value]) -> bool {
    list.windows(2).all(|pair| pair[0].partial_cmp(&pair[1]).is_some_and(std::cmp::Ordering::is_le))
}

fn sum(list: &[Value]) -> Outcome {
    let mut total = Value::Int(0);
    for (at, item) in list.iter().enumerate() {
        total = match (total, item) {
            (_, first) if at == 0 => first.clone(),
            (Value::Int(a), Value::Int(b)) => {
                Value::Int(a.checked_add(*b).ok_or_else(|| fail("sum", "integer overflow"))?)
            }
            (Value::Float(a), Value::Float(b)) => Value::Float(a + b),
            (Value::Duration(a), Value::Duration(b)) => Value::Duration(a + *b),
            _ => return Err(fail("sum", "no such overload")),
        };
    }
    Ok(total)
}

fn extreme(list: &[Value], name: &str, wanted: std::cmp::Ordering) -> Outcome {
    let mut items = list.iter();
    let mut best = items.next().ok_or_else(|| fail(name, format!("{name} called on empty list")))?;
    for item in items {
        if item.partial_cmp(best) == Some(wanted) {
            best = item;
        }
    }
    Ok(best.clone())
}

fn is_url(text: &str) -> bool {
    super::formats::fits("uri", text) == Some(true)
}

/// Scheme, host with port, path.
fn url_parts(url: &str) -> (&str, &str, &str) {
    let (scheme, rest) = url.split_once(':').filter(|(scheme, _)| !scheme.contains('/')).unwrap_or(("", url));
    let Some(rest) = rest.strip_prefix("//") else {
        return (scheme, "", rest.split(['?', '#']).next().unwrap_or_default());
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
    (scheme, host, rest[end..].split(['?', '#']).next().unwrap_or_default())
}

/// A Kubernetes quantity as a number.
fn quantity(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (number, unit) = match unit.strip_prefix(['e', 'E']) {
        Some(exponent) if !exponent.is_empty() => (format!("{number}e{exponent}"), ""),
        _ => (number.to_string(), unit),
    };
    let factor = match unit {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_and_urls_are_read() {
        let cases = [
            ("1", Some(1.0)),
            ("500m", Some(0.5)),
            ("1Ki", Some(1024.0)),
            ("2e3", Some(2000.0)),
            ("1.5G", Some(1.5e9)),
            ("x", None),
            ("1Q", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(quantity(text), expected, "{text}");
        }
        assert_eq!(url_parts("https://u@a.b:8/c/d?e#f"), ("https", "a.b:8", "/c/d"));
        assert_eq!(url_parts("/only/path"), ("", "", "/only/path"));
    }

    #[test]
    fn no_added_function_clashes_with_the_environment() {
        let mut context = Context::with_env(environment());
        add_functions(&mut context);
        for name in ADDED {
            assert!(is_function(name), "{name}");
        }
    }
}
