//! Expressions in CEL about objects: whether a dependency is met, how an object is.
//!
//! Compiled once, run on JSON. What an expression may do is bounded before it runs: nested loops over long lists are
//! refused, since nothing stops them once they run. Start with [`Expression::compile`].
//! Source: fluxcd/pkg runtime/cel. Left out: the extensions `sets` and `encoders`.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cel::objects::{Key, Map};
use cel::{Context, Env, Program};
use serde_json::Value;

use crate::base::{calls, check_expression, loop_names, loops, without_texts};

/// Steps that the loops of one expression may take together.
const STEPS: usize = 5_000_000;
/// Bytes that the texts of one expression may grow to.
const GROWTH: usize = 64 << 20;

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Program,
    /// The text without the texts in it, for what bounds it.
    code: String,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// Errors when it cannot be read, nests too deep, or speaks of other names than the variables.
    pub fn compile(text: &str, variables: Option<&[&str]>) -> Result<Expression, String> {
        check_expression(text)?;
        let program = environment().compile(text).map_err(|error| one_line(&error.to_string()))?;
        if let Some(known) = variables {
            let bound = loop_names(text);
            let references = program.references();
            let unknown = |name: &&str| !known.contains(name) && !bound.iter().any(|bound| bound == name);
            if let Some(name) = references.variables().into_iter().filter(|name| !is_type(name)).find(unknown) {
                return Err(format!("undeclared reference to '{name}'"));
            }
        }
        Ok(Expression { code: without_texts(text), text: text.to_owned(), program })
    }

    /// Runs it with the variables.
    ///
    /// Errors when it fails, gives anything but true or false, or could run too long on such long lists.
    pub fn holds<'a>(&self, variables: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Result<bool, String> {
        let mut context = Context::with_env(environment());
        let (mut longest, mut bytes) = (1, 0);
        let splits = calls(&self.code, "split") > 0;
        for (name, value) in variables {
            longest = longest.max(length(value, splits));
            bytes += texts(value);
            context.add_variable_from_value(name, to_cel(value));
        }
        self.check_costs(longest, bytes)?;
        match self.program.execute(&context) {
            Ok(cel::Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(format!("the expression {:?} must give true or false", self.text)),
            Err(error) => Err(format!("the expression {:?} failed: {}", self.text, one_line(&error.to_string()))),
        }
    }
}

impl Expression {
    /// Bounds what a run may cost, given the longest list of the inputs and the bytes of their texts. An estimate from
    /// above: lists and texts grow only by what stands in the code.
    ///
    /// Errors with what could be too much.
    fn check_costs(&self, longest: usize, bytes: usize) -> Result<(), String> {
        let (count, depth) = loops(&self.code);
        let number = |wanted: u8| self.code.bytes().filter(|byte| *byte == wanted).count();
        let times = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        // Lists may also stand in the expression itself, or be joined there.
        let longest = longest.max(number(b',')).saturating_mul(1 + number(b'+'));
        let steps = longest.saturating_pow(depth).saturating_mul(count.max(1));
        if steps > STEPS {
            return Err(format!("the expression {:?} could take {steps} steps here", self.text));
        }
        // Each loop can join what the one before it made; the others put a text into every place of another.
        let all = bytes + self.text.len();
        let joined = (1 + number(b'+')).saturating_pow(times(count + 1)).saturating_mul(all);
        let multiplied: usize = ["replace", "join", "format"].map(|function| calls(&self.code, function)).iter().sum();
        if joined.saturating_mul(all.saturating_pow(times(multiplied))) > GROWTH {
            return Err(format!("the expression {:?} could make texts that are too long here", self.text));
        }
        Ok(())
    }
}

fn environment() -> Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    let build = || {
        let mut env = Env::stdlib();
        // Lists made of nothing but a number would be beyond every bound; Flux has no such functions either.
        env.add_extension(cel::extensions::strings).expect("the crate's own extensions do not clash");
        Arc::new(env)
    };
    ENVIRONMENT.get_or_init(build).clone()
}

fn is_type(name: &str) -> bool {
    ["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type", "optional"].contains(&name)
}

/// The longest list or map in a document; a text that may be split is a list of its bytes.
fn length(value: &Value, splits: bool) -> usize {
    let of = |value: &Value| length(value, splits);
    match value {
        Value::Array(items) => items.iter().map(of).fold(items.len(), usize::max),
        Value::Object(fields) => fields.values().map(of).fold(fields.len(), usize::max),
        Value::String(text) if splits => text.len(),
        _ => 1,
    }
}

/// The bytes of all texts in a document.
fn texts(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(texts).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + texts(value)).sum(),
        Value::String(text) => text.len(),
        _ => 0,
    }
}

fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(yes) => cel::Value::Bool(*yes),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => cel::Value::Int(integer),
            None => cel::Value::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let entry = |(key, value): (&String, &Value)| (Key::String(Arc::new(key.clone())), to_cel(value));
            let map: HashMap<Key, cel::Value> = fields.iter().map(entry).collect();
            cel::Value::Map(Map { map: Arc::new(map) })
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_speak_of_objects() {
        let object = json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "ratio": 0.5,
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}});
        let run = |text: &str| {
            let fields = object.as_object().unwrap();
            Expression::compile(text, None)?.holds(fields.iter().map(|(key, value)| (key.as_str(), value)))
        };
        for (text, wanted) in [
            ("status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')", true),
            ("status.conditions.exists(e, e.type == 'Other' && e.status == 'True')", false),
            ("metadata.generation == status.observedGeneration && status.ratio < 1.0", true),
            ("has(status.gone) || size(status.conditions) == 2", true),
            ("'a.b'.split('.').size() == 2 && 'READY'.lowerAscii() == 'ready'", true),
        ] {
            assert_eq!(run(text), Ok(wanted), "{text}");
        }
        for (text, why) in [
            ("status.gone.deeper == 1", "failed"),
            ("size(status.conditions)", "must give true or false"),
            ("data.x == 1", "failed"),
            ("status.", "ERROR"),
        ] {
            let error = run(text).unwrap_err();
            assert!(error.to_lowercase().contains(&why.to_lowercase()), "{text}: {error}");
        }
    }

    #[test]
    fn variables_are_known_before_it_runs() {
        let compile = |text: &str| Expression::compile(text, Some(&["self", "dep"]));
        assert!(compile("dep.status.items.all(x, x.y.exists(z, z == self.spec.path))").is_ok());
        assert_eq!(compile("other.x == 1").unwrap_err(), "undeclared reference to 'other'");
    }

    #[test]
    fn loops_in_loops_over_long_lists_are_refused() {
        let list = json!(vec![1; 2_000]);
        let nested = "l.all(a, l.all(b, l.all(c, a > b && b > c)))";
        let error = Expression::compile(nested, None).unwrap().holds([("l", &list)]).unwrap_err();
        assert!(error.contains("could take 24000000000 steps"), "{error}");
        assert_eq!(
            Expression::compile("l.all(a, a == 1) && l.exists(b, b == 1)", None).unwrap().holds([("l", &list)]),
            Ok(true)
        );
        let text = json!("x,".repeat(10_000));
        let doubling = format!("[t]{}.size() > 0", ".map(a, a + a)".repeat(40));
        for bomb in [
            "t.split('').all(a, t.split('').all(b, a == b))",
            "(l+l+l+l+l+l).all(a, (l+l+l+l+l+l).all(b, a == b))",
            "t.replace('x', t).replace('x', t).size() > 0",
            "t . replace ('x', t).replace\n('x', t).size() > 0",
            "l.all(a, ')' != '' && l.all(b, ')' != '' && l.all(c, true)))",
            &doubling,
        ] {
            let run = Expression::compile(bomb, None).unwrap().holds([("l", &list), ("t", &text)]);
            assert!(run.as_ref().is_err_and(|error| error.contains(" could ")), "{bomb}: {run:?}");
        }
        assert!(Expression::compile("lists.range(10).all(a, a >= 0)", None).unwrap().holds([("l", &list)]).is_err());
        for text in ["(".repeat(100_000), "!".repeat(70_000), "a.".repeat(30_000) + "a"] {
            assert!(Expression::compile(&text, None).is_err());
        }
    }
}
