//! Validation rules in CEL (`x-kubernetes-validations`): compiled once with the schema, run on every write.
//!
//! Source: apiextensions-apiserver pkg/apiserver/schema/cel. There is no cost budget and no type check: a rule that does
//! not fit its field says so when it runs. Rules that call a library weir lacks (see `library.rs`) are skipped.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map as CelMap, OptionalValue};
use cel::{Context, ExecutionError, Program};
use serde_json::Value;

use super::cause::Cause;
use super::library;
use super::lists::{item_key, old_items};
use super::node::{Additional, Arena, Node, NodeId, Shape};
use crate::base::{check_expression, loop_names};
use crate::embedded::patch::equal;

/// One rule of a schema node.
#[derive(Clone, Debug)]
pub struct Rule {
    pub rule: Box<str>,
    pub message: Option<Box<str>>,
    pub reason: Option<Box<str>>,
    pub field_path: Option<Box<str>>,
    pub optional_old_self: bool,
    /// The compiled rule, or why it does not compile.
    pub program: Result<Arc<Program>, String>,
    pub message_program: Option<Result<Arc<Program>, String>>,
    /// A transition rule: it speaks of the value before.
    pub uses_old_self: bool,
}

impl Rule {
    /// Reads and compiles the extension's list.
    pub fn read_all(list: &Value) -> Vec<Rule> {
        list.as_array().into_iter().flatten().map(Rule::read).collect()
    }

    fn read(value: &Value) -> Rule {
        let text = |key: &str| value[key].as_str().map(str::trim).filter(|text| !text.is_empty());
        let rule = text("rule").unwrap_or_default();
        let program = compile(rule);
        let message_program = text("messageExpression").map(compile);
        let speaks = |program: &Result<Arc<Program>, String>| {
            program.as_ref().is_ok_and(|program| program.references().has_variable("oldSelf"))
        };
        Rule {
            uses_old_self: speaks(&program) || message_program.as_ref().is_some_and(speaks),
            rule: rule.into(),
            message: text("message").map(Into::into),
            reason: text("reason").map(Into::into),
            field_path: text("fieldPath").map(Into::into),
            optional_old_self: value["optionalOldSelf"].as_bool().unwrap_or_default(),
            program,
            message_program,
        }
    }
}

fn compile(text: &str) -> Result<Arc<Program>, String> {
    check_expression(text)?;
    let program = library::environment().compile(text).map_err(|e| e.to_string())?;
    let references = program.references();
    let bound = loop_names(text);
    let is_known = |name: &str| library::is_variable(name) || bound.iter().any(|bound| bound == name);
    if let Some(name) = references.variables().into_iter().find(|name| !is_known(name)) {
        return Err(format!("undeclared reference to '{name}' (in container '')"));
    }
    if let Some(name) = references.functions().iter().find(|name| !library::is_function(name)) {
        return Err(format!("undeclared reference to '{name}' (in container '')"));
    }
    Ok(Arc::new(program))
}

/// Whether any rule stands at a node or below.
pub fn any(arena: &Arena, id: NodeId) -> bool {
    let node = arena.node(id);
    let own = node.checks.as_ref().is_some_and(|checks| !checks.rules.is_empty());
    own || children(node).any(|child| any(arena, child))
}

fn children(node: &Node) -> impl Iterator<Item = NodeId> {
    let additional = if let Additional::Of(id) = node.additional { Some(id) } else { None };
    let declared = |name: &str| !(node.embedded && name == "metadata");
    // The first two nodes of an arena refer to themselves and hold no rules.
    let fields = node.fields.iter().filter(move |(name, _)| declared(name)).map(|(_, field)| field.node);
    fields.chain(node.items).chain(additional).filter(|id| *id > 1).collect::<Vec<_>>().into_iter()
}

/// Runs every rule of a schema on a value.
pub fn run(arena: &Arena, root: NodeId, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    if !any(arena, root) {
        return Vec::new();
    }
    let mut context = Context::with_env(library::environment());
    library::add_functions(&mut context);
    let mut run = Run { arena, context: &context, out: Vec::new() };
    run.node(root, new, old, "", old.is_some_and(|old| equal(new, old)));
    run.out
}

struct Run<'a> {
    arena: &'a Arena,
    context: &'a Context<'a, 'a>,
    out: Vec<Cause>,
}

impl Run<'_> {
    fn node(&mut self, id: NodeId, new: &Value, old: Option<&Value>, path: &str, unchanged: bool) {
        let node = self.arena.node(id);
        if new.is_null() || !any(self.arena, id) {
            return;
        }
        if let Some(checks) = node.checks.as_ref().filter(|checks| !checks.rules.is_empty()) {
            self.rules(node, id, &checks.rules, new, old.filter(|old| !old.is_null()), path, unchanged);
        }
        match new {
            Value::Object(fields) => {
                for (key, child) in fields {
                    let (id, path) = match (node.fields.get(key.as_str()), node.additional) {
                        (Some(_), _) if node.embedded && key == "metadata" => continue,
                        (Some(field), _) if path.is_empty() => (field.node, key.clone()),
                        (Some(field), _) => (field.node, format!("{path}.{key}")),
                        (None, Additional::Of(id)) => (id, format!("{path}[{key}]")),
                        _ => continue,
                    };
                    let before = old.filter(|_| !node.atomic).and_then(|old| old.get(key));
                    let same = unchanged || before.is_some_and(|before| equal(child, before));
                    self.node(id, child, before, &path, same);
                }
            }
            Value::Array(items) => {
                let Some(id) = node.items else { return };
                let olds = old_items(self.arena, node, old);
                for (index, item) in items.iter().enumerate() {
                    let before = item_key(self.arena, node, item).and_then(|key| olds.get(&key).copied());
                    let same = unchanged || before.is_some_and(|before| equal(item, before));
                    self.node(id, item, before, &format!("{path}[{index}]"), same);
                }
            }
            _ => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one place, one value, and how it came to be")]
    fn rules(
        &mut self,
        node: &Node,
        id: NodeId,
        rules: &[Rule],
        new: &Value,
        old: Option<&Value>,
        path: &str,
        unchanged: bool,
    ) {
        let this = to_cel(self.arena, id, new);
        let before = old.map(|old| to_cel(self.arena, id, old));
        for rule in rules {
            if rule.uses_old_self && before.is_none() && !rule.optional_old_self {
                continue;
            }
            let mut scope = self.context.new_inner_scope();
            scope.add_variable_from_value("self", this.clone());
            if rule.optional_old_self {
                let old = before.clone().map_or_else(OptionalValue::none, OptionalValue::of);
                scope.add_variable_from_value("oldSelf", cel::Value::Opaque(Arc::new(old)));
            } else if let Some(before) = &before {
                scope.add_variable_from_value("oldSelf", before.clone());
            }
            // Ratcheting: what did not change was accepted once; a transition rule judges the change itself.
            let passes = unchanged && !rule.uses_old_self;
            if let Some(cause) = failed(rule, &scope, node, new, path).filter(|_| !passes) {
                self.out.push(cause);
            }
        }
    }
}

fn failed(rule: &Rule, scope: &Context, node: &Node, value: &Value, path: &str) -> Option<Cause> {
    let kind = Value::from(match node.shape {
        Shape::Object => "object",
        Shape::Array => "array",
        Shape::Text => "string",
        Shape::Integer => "integer",
        Shape::Number => "number",
        Shape::Boolean => "boolean",
        _ => "",
    });
    let shown = rule.message.as_deref().unwrap_or(&rule.rule);
    let program = match &rule.program {
        Ok(program) => program,
        Err(error) => return Some(Cause::invalid(path, &kind, &format!("rule compile error: {error}"))),
    };
    match program.execute(scope) {
        Ok(cel::Value::Bool(true)) => return None,
        Ok(cel::Value::Bool(false)) => {}
        Ok(_) => return Some(Cause::invalid(path, &kind, &format!("rule must evaluate to a bool: {shown}"))),
        Err(ExecutionError::UndeclaredReference(name)) if library::is_lacking(&name) => return None,
        Err(error) => {
            let error = match error {
                ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
                ExecutionError::IndexOutOfBounds(at) => format!("index out of bounds: {}", brief(&at)),
                ExecutionError::NoSuchOverload(_) => "no such overload".into(),
                ExecutionError::DivisionByZero(_) => "division by zero".into(),
                ExecutionError::RemainderByZero(_) => "modulus by zero".into(),
                error => error.to_string().chars().take(200).collect(),
            };
            return Some(Cause::invalid(path, &kind, &format!("{error} evaluating rule: {shown}")));
        }
    }
    let spoken = rule.message_program.as_ref().and_then(|program| program.as_ref().ok()).and_then(|p| said(p, scope));
    let detail = spoken.unwrap_or_else(|| match &rule.message {
        Some(message) => message.to_string(),
        None => format!("failed rule: {}", rule.rule),
    });
    let field = match &rule.field_path {
        Some(child) if path.is_empty() => child.trim_start_matches('.').to_string(),
        Some(child) if child.starts_with('[') => format!("{path}{child}"),
        Some(child) => format!("{path}.{}", child.trim_start_matches('.')),
        None => path.to_string(),
    };
    let composite = matches!(node.shape, Shape::Object | Shape::Array);
    Some(match rule.reason.as_deref() {
        Some("FieldValueForbidden") => Cause::forbidden(&field, &detail),
        Some("FieldValueRequired") => Cause::required(&field, &detail),
        Some("FieldValueDuplicate") => Cause::duplicate(&field, value),
        _ if composite => Cause::invalid_unshown(&field, &detail),
        _ => Cause::invalid(&field, value, &detail),
    })
}

fn brief(value: &cel::Value) -> String {
    value.json().map(|value| value.to_string()).unwrap_or_default()
}

/// What a message expression says; nothing when it fails or says too much.
fn said(program: &Program, scope: &Context) -> Option<String> {
    match program.execute(scope) {
        Ok(cel::Value::String(text)) => {
            let text = text.trim();
            (!text.is_empty() && text.len() <= 5 << 10 && !text.contains('\n')).then(|| text.to_string())
        }
        _ => None,
    }
}

/// A value as rules see it: typed by the schema, declared fields only, awkward field names escaped.
fn to_cel(arena: &Arena, id: NodeId, value: &Value) -> cel::Value {
    let node = arena.node(id);
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(yes) => cel::Value::Bool(*yes),
        Value::Number(number) => match (node.shape, number.as_i64()) {
            (Shape::Number, _) | (_, None) => cel::Value::Float(number.as_f64().unwrap_or_default()),
            (_, Some(integer)) => cel::Value::Int(integer),
        },
        Value::String(text) => library::typed_text(node.format.as_deref().unwrap_or_default(), text),
        Value::Array(items) => {
            let id = node.items.unwrap_or(super::node::DEDUCED);
            cel::Value::List(Arc::new(items.iter().map(|item| to_cel(arena, id, item)).collect()))
        }
        Value::Object(fields) => {
            let mut map = HashMap::new();
            for (key, child) in fields {
                let (name, child) = match (node.fields.get(key.as_str()), node.additional) {
                    (Some(_), _) if node.embedded && key == "metadata" => (key.clone(), head(child)),
                    (Some(field), _) => (escaped(key), to_cel(arena, field.node, child)),
                    (None, Additional::Of(id)) => (key.clone(), to_cel(arena, id, child)),
                    (None, _) if node.fields.is_empty() => (key.clone(), to_cel(arena, super::node::DEDUCED, child)),
                    _ => continue,
                };
                map.insert(Key::String(Arc::new(name)), child);
            }
            cel::Value::Map(CelMap { map: Arc::new(map) })
        }
    }
}

/// The part of metadata that rules may see.
fn head(metadata: &Value) -> cel::Value {
    let mut map = HashMap::new();
    for name in ["name", "generateName"] {
        if let Some(text) = metadata[name].as_str() {
            map.insert(Key::String(Arc::new(name.into())), cel::Value::String(Arc::new(text.into())));
        }
    }
    cel::Value::Map(CelMap { map: Arc::new(map) })
}

/// A field name as an identifier. Source: apiserver pkg/cel/escaping.
fn escaped(name: &str) -> String {
    const KEYWORDS: [&str; 22] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
        "self",
    ];
    if KEYWORDS[..21].contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use super::super::custom;
    use super::*;
    use serde_json::json;

    fn causes(spec: Value, new: Value, old: Option<Value>) -> Vec<(String, String, String)> {
        let schema = custom(Some(&json!({"type": "object", "properties": {"spec": spec}})), false).unwrap();
        let whole = |spec: Value| json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "n"}, "spec": spec});
        let found = schema.validate(&whole(new), old.map(whole).as_ref());
        found.into_iter().map(|c| (c.reason, c.field, c.message)).collect()
    }

    fn object(rule: Value) -> Value {
        json!({"type": "object", "x-kubernetes-validations": [rule], "properties": {
            "min": {"type": "integer"}, "max": {"type": "integer"}, "name": {"type": "string"}, "x-y": {"type": "string"},
            "size": {"x-kubernetes-int-or-string": true}, "when": {"type": "string", "format": "date-time"},
            "every": {"type": "string", "format": "duration"}, "ratio": {"type": "number"},
            "list": {"type": "array", "items": {"type": "string"}}, "namespace": {"type": "string"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}}}})
    }

    #[test]
    fn rules_hold_or_not() {
        let cases = [
            ("self.min <= self.max", json!({"min": 1, "max": 2}), true),
            ("self.min <= self.max", json!({"min": 3, "max": 2}), false),
            ("!has(self.min) || self.min > 0", json!({}), true),
            ("self.name.startsWith('a') && self.name.matches('^[a-z]+$')", json!({"name": "abc"}), true),
            ("self.x__dash__y == 'z'", json!({"x-y": "z"}), true),
            ("self.__namespace__ == 'z'", json!({"namespace": "z"}), true),
            ("type(self.size) == string ? self.size == '80%' : self.size == 5", json!({"size": 5}), true),
            ("type(self.size) == string ? self.size == '80%' : self.size == 5", json!({"size": "80%"}), true),
            ("self.when < timestamp('2025-01-01T00:00:00Z')", json!({"when": "2024-01-01T00:00:00Z"}), true),
            ("self.every >= duration('1m')", json!({"every": "30s"}), false),
            ("self.ratio > 0.5", json!({"ratio": 1}), true),
            ("self.list.all(x, x.size() < 3) && self.list.exists_one(x, x == 'a')", json!({"list": ["a", "b"]}), true),
            ("self.list.isSorted()", json!({"list": ["b", "a"]}), false),
            ("self.labels.all(k, self.labels[k] != '')", json!({"labels": {"a/b": "c"}}), true),
            ("'a/b' in self.labels", json!({"labels": {"a/b": "c"}}), true),
            ("self.name.lowerAscii() == 'abc' && self.name.split('B').size() == 2", json!({"name": "ABC"}), true),
            ("self.name.find('[0-9]+') == '12'", json!({"name": "a12b"}), true),
            ("isURL(self.name) && url(self.name).getHostname() == 'a.b'", json!({"name": "https://a.b:80/c"}), true),
            ("quantity(self.name).isLessThan(quantity('1Gi'))", json!({"name": "500Mi"}), true),
            ("self.?name.orValue('none') == 'none'", json!({}), true),
            ("[1, 2, 3].sum() == 6 && [3, 1].min() == 1 && [3, 1].max() == 3", json!({}), true),
            ("isIP(self.name) && !isCIDR(self.name)", json!({"name": "10.0.0.1"}), true),
        ];
        for (rule, value, holds) in cases {
            let found = causes(object(json!({"rule": rule})), value.clone(), None);
            assert_eq!(found.is_empty(), holds, "{rule} {value} {found:?}");
        }
    }

    #[test]
    fn a_broken_rule_tells_what_it_wants() {
        let said = |rule: Value, value: Value| causes(object(rule), value, None).remove(0);
        let invalid = "FieldValueInvalid".to_string();
        let cases = [
            (json!({"rule": "self.min > 1", "message": "too small"}), "spec", "Invalid value: too small"),
            (json!({"rule": "self.min > 1"}), "spec", "Invalid value: failed rule: self.min > 1"),
            (
                json!({"rule": "self.min > 1", "messageExpression": "'min is ' + string(self.min)", "fieldPath": ".min"}),
                "spec.min",
                "Invalid value: min is 1",
            ),
            (
                json!({"rule": "self.max > 1", "message": "m"}),
                "spec",
                "Invalid value: \"object\": no such key: max evaluating rule: m",
            ),
        ];
        for (rule, field, message) in cases {
            assert_eq!(said(rule, json!({"min": 1})), (invalid.clone(), field.into(), message.into()));
        }
        let rule = json!({"rule": "false", "reason": "FieldValueForbidden", "message": "no"});
        assert_eq!(said(rule, json!({})), ("FieldValueForbidden".into(), "spec".into(), "Forbidden: no".into()));
        let scalar = json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 5"}]});
        assert_eq!(causes(scalar, json!(3), None)[0].2, "Invalid value: 3: failed rule: self > 5");
    }

    #[test]
    fn transition_rules_need_a_value_before() {
        let fixed = json!({"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is immutable"}]});
        assert!(causes(fixed.clone(), json!("a"), None).is_empty());
        assert!(causes(fixed.clone(), json!("a"), Some(json!("a"))).is_empty());
        assert_eq!(causes(fixed, json!("b"), Some(json!("a")))[0].2, "Invalid value: \"b\": is immutable");
        let optional = json!({"type": "integer", "x-kubernetes-validations": [
            {"rule": "!oldSelf.hasValue() || self >= oldSelf.value()", "optionalOldSelf": true}]});
        assert!(causes(optional.clone(), json!(1), None).is_empty());
        assert_eq!(causes(optional, json!(1), Some(json!(2))).len(), 1);
        let keyed = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
            "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "string"}, "v": {"type": "integer",
                "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]}}}});
        let found = causes(keyed, json!([{"n": "b", "v": 1}, {"n": "a", "v": 1}]), Some(json!([{"n": "a", "v": 2}])));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1, "spec[1].v");
    }

    #[test]
    fn an_unchanged_part_is_not_judged_again_and_broken_values_come_first() {
        let schema = object(json!({"rule": "self.min > 1"}));
        assert!(causes(schema.clone(), json!({"min": 1}), Some(json!({"min": 1}))).is_empty());
        assert_eq!(causes(schema.clone(), json!({"min": 1, "max": 1}), Some(json!({"min": 1}))).len(), 1);
        let found = causes(schema, json!({"min": "x"}), None);
        assert_eq!(found.len(), 2);
        assert!(found[1].2.contains("some validation rules were not checked"), "{found:?}");
    }

    #[test]
    fn rules_that_cannot_run_are_found_when_the_schema_is_read() {
        for rule in ["self.", "self == other", "self.nosuch()", "1 +"] {
            assert!(compile(rule).is_err(), "{rule}");
        }
        assert!(compile("cidr('10.0.0.0/8').containsIP(self.ip)").is_ok());
        for part in ["(", "!", "-", "[", "a?", "a.", "1+", "a&&", "a||", "a[0].", "a.b(", "{1:", "a?b:", "f(a)."] {
            assert!(compile(&part.repeat((64 << 10) / part.len())).is_err(), "{part}");
            let whole = format!("{}1", part.repeat(1000));
            drop(compile(&whole));
        }
    }
}
