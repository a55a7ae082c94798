//! Checks a value against a schema, keyword by keyword, with a bound on the work.
//!
//! Start with [`run`]. Source: github.com/santhosh-tekuri/jsonschema v6 (validator.go).

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map as JsonMap, Value as Json};

use super::formats;
use super::problem::{Kind, Problem, display, quote, type_name};
use super::resolve::Document;

pub(super) type Object = JsonMap<String, Json>;

/// Schemas and comparisons that one check may take.
const STEPS: u64 = 200_000;
/// How deep values and schemas may lead into each other.
const DEPTH: usize = 256;
const TYPES: [&str; 7] = ["null", "boolean", "number", "integer", "string", "array", "object"];

/// All that is wrong with a value. Errors with why the schema cannot be used.
pub(super) fn run(document: &Document<'_>, value: &Json) -> Result<Vec<Problem>, String> {
    let mut check =
        Check { document, steps: 0, depth: 0, at: Vec::new(), around: Vec::new(), patterns: HashMap::new() };
    let verdict = check.schema(document.root, value)?;
    Ok(match verdict.problem {
        None => Vec::new(),
        Some(problem) if problem.kind == Kind::Group => problem.causes,
        Some(problem) => vec![problem],
    })
}

/// What a schema says of a value.
#[derive(Default)]
pub(super) struct Verdict {
    pub problem: Option<Problem>,
    seen: Seen,
}

/// The parts of a value that some schema has looked at.
#[derive(Default)]
pub(super) struct Seen {
    pub properties: BTreeSet<String>,
    pub items: BTreeSet<usize>,
}

pub(super) struct Check<'d, 's> {
    pub document: &'d Document<'s>,
    steps: u64,
    depth: usize,
    /// Where the value is.
    pub at: Vec<String>,
    /// The schemas that look at the same value right now.
    pub around: Vec<&'s Json>,
    patterns: HashMap<&'s str, regex::Regex>,
}

/// What one schema finds on its way through its keywords.
#[derive(Default)]
pub(super) struct Found {
    pub problems: Vec<Problem>,
    pub seen: Seen,
}

impl Found {
    pub fn take(&mut self, verdict: Verdict) -> bool {
        let good = verdict.problem.is_none();
        self.problems.extend(verdict.problem);
        if good {
            self.see(verdict.seen);
        }
        good
    }

    fn see(&mut self, mut seen: Seen) {
        self.seen.properties.append(&mut seen.properties);
        self.seen.items.append(&mut seen.items);
    }
}

pub(super) type Done<T> = Result<T, String>;

pub(super) fn list<'s>(schema: &'s Object, key: &str) -> &'s [Json] {
    schema.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn is_whole(value: &Json) -> bool {
    value.as_i64().is_some() || value.as_u64().is_some() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

impl<'s> Check<'_, 's> {
    fn step(&mut self) -> Done<()> {
        self.steps += 1;
        match self.steps > STEPS {
            true => Err(format!("it takes more than {STEPS} steps to check the values")),
            false => Ok(()),
        }
    }

    pub fn wrong(&self, text: impl Into<String>) -> Problem {
        self.caused(text, Vec::new())
    }

    pub fn caused(&self, text: impl Into<String>, causes: Vec<Problem>) -> Problem {
        let escaped = |part: &String| format!("/{}", part.replace('~', "~0").replace('/', "~1"));
        let at = self.at.iter().map(escaped).collect();
        Problem { at, text: text.into(), causes, kind: Kind::Plain }
    }

    fn failed(&self, text: impl Into<String>) -> Verdict {
        Verdict { problem: Some(self.wrong(text)), seen: Seen::default() }
    }

    /// Checks a value that lies within the one at hand.
    pub fn within(&mut self, schema: &'s Json, value: &Json, part: &str) -> Done<Option<Problem>> {
        self.at.push(part.to_owned());
        let around = std::mem::take(&mut self.around);
        let verdict = self.schema(schema, value);
        self.around = around;
        self.at.pop();
        Ok(verdict?.problem)
    }

    pub fn schema(&mut self, schema: &'s Json, value: &Json) -> Done<Verdict> {
        self.step()?;
        let fields = match schema {
            Json::Bool(true) => return Ok(Verdict::default()),
            Json::Bool(false) => return Ok(self.failed("false schema")),
            Json::Object(fields) => fields,
            _ => return Err(format!("a part of it is {}, not a schema", type_name(schema))),
        };
        if self.around.iter().any(|outer| std::ptr::eq(*outer, schema)) {
            return Err("it refers to itself without an end".into());
        }
        if self.depth >= DEPTH {
            return Err(format!("values and schema are nested more than {DEPTH} deep"));
        }
        self.depth += 1;
        self.around.push(schema);
        let verdict = self.keywords(fields, value);
        self.around.pop();
        self.depth -= 1;
        verdict
    }

    fn keywords(&mut self, schema: &'s Object, value: &Json) -> Done<Verdict> {
        let old = self.document.draft < 2019;
        let reference = schema.get("$ref").and_then(Json::as_str);
        if let (true, Some(reference)) = (old, reference) {
            return self.reference(reference, value);
        }
        if let Some(text) = self.kind(schema, value)? {
            return Ok(self.failed(text));
        }
        let mut found = Found::default();
        if let Some(reference) = reference {
            let verdict = self.reference(reference, value)?;
            found.take(verdict);
        }
        match value {
            Json::Object(object) => self.object(schema, object, value, &mut found)?,
            Json::Array(items) => self.array(schema, items, &mut found)?,
            Json::String(text) => self.text(schema, text, &mut found)?,
            Json::Number(_) => self.number(schema, value.as_f64().unwrap_or_default(), &mut found),
            _ => {}
        }
        if let Some(reference) = schema.get("$dynamicRef").and_then(Json::as_str).filter(|_| !old) {
            let verdict = self.reference(reference, value)?;
            found.take(verdict);
        }
        self.branches(schema, value, &mut found)?;
        if !old {
            self.rest(schema, value, &mut found)?;
        }
        let problem = match found.problems.len() {
            0 => None,
            1 => found.problems.pop(),
            _ => Some(Problem { kind: Kind::Group, ..self.caused("validation failed", found.problems) }),
        };
        Ok(Verdict { problem, seen: found.seen })
    }

    fn reference(&mut self, reference: &str, value: &Json) -> Done<Verdict> {
        let Some(part) = self.document.part(reference)? else { return Ok(Verdict::default()) };
        let mut verdict = self.schema(part, value)?;
        verdict.problem = verdict.problem.map(|problem| {
            let causes = if problem.kind == Kind::Group { problem.causes } else { vec![problem] };
            Problem { kind: Kind::Reference, ..self.caused("validation failed", causes) }
        });
        Ok(verdict)
    }

    /// What ends the check at once: type, const, enum and format.
    fn kind(&mut self, schema: &'s Object, value: &Json) -> Done<Option<String>> {
        let wanted: Vec<&str> = match schema.get("type") {
            None => Vec::new(),
            Some(Json::String(one)) => vec![one],
            Some(Json::Array(some)) => some.iter().filter_map(Json::as_str).collect(),
            Some(other) => return Err(format!("a type is {}, not text", type_name(other))),
        };
        if let Some(unknown) = wanted.iter().find(|name| !TYPES.contains(name)) {
            return Err(format!("there is no type {unknown}"));
        }
        let got = type_name(value);
        let fits = |name: &str| name == got || (name == "integer" && value.is_number() && is_whole(value));
        if !wanted.is_empty() && !wanted.iter().any(|name| fits(name)) {
            let wanted: Vec<&str> = TYPES.into_iter().filter(|name| wanted.contains(name)).collect();
            return Ok(Some(format!("got {got}, want {}", wanted.join(" or "))));
        }
        if let Some(wanted) = schema.get("const").filter(|_| self.document.draft >= 6)
            && !self.equal(value, wanted)?
        {
            let plain = !wanted.is_array() && !wanted.is_object();
            return Ok(Some(if plain {
                format!("value must be {}", display(wanted))
            } else {
                "'const' failed".into()
            }));
        }
        if let Some(Json::Array(wanted)) = schema.get("enum") {
            let mut any = false;
            for one in wanted {
                any = any || self.equal(value, one)?;
            }
            if !any {
                return Ok(Some(none_of(wanted)));
            }
        }
        if let (true, Some(format), Json::String(text)) =
            (self.document.draft < 2019, schema.get("format").and_then(Json::as_str), value)
            && formats::is_valid(format, text) == Some(false)
        {
            return Ok(Some(format!("{} is not valid {format}", quote(text))));
        }
        Ok(None)
    }

    pub fn equal(&mut self, a: &Json, b: &Json) -> Done<bool> {
        self.step()?;
        Ok(match (a, b) {
            (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
            (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
                for (a, b) in a.iter().zip(b) {
                    if !self.equal(a, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Json::Object(a), Json::Object(b)) if a.len() == b.len() => {
                for (key, a) in a {
                    let Some(b) = b.get(key) else { return Ok(false) };
                    if !self.equal(a, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (a, b) => a == b,
        })
    }

    pub fn pattern(&mut self, pattern: &'s str, text: &str) -> Done<bool> {
        self.steps += 1 + (text.len() / 64) as u64;
        if let Some(known) = self.patterns.get(pattern) {
            return Ok(known.is_match(text));
        }
        let made = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
        let made = made.map_err(|_| format!("{} is not a valid regex", quote(pattern)))?;
        let matches = made.is_match(text);
        self.patterns.insert(pattern, made);
        Ok(matches)
    }

    fn branches(&mut self, schema: &'s Object, value: &Json, found: &mut Found) -> Done<()> {
        if let Some(not) = schema.get("not")
            && self.schema(not, value)?.problem.is_none()
        {
            found.problems.push(self.wrong("'not' failed"));
        }
        let (problems, _) = self.each(list(schema, "allOf"), value, found, false)?;
        if !problems.is_empty() {
            found.problems.push(self.caused("'allOf' failed", problems));
        }
        let any = list(schema, "anyOf");
        let (problems, matched) = self.each(any, value, found, !self.document.tracks)?;
        if !any.is_empty() && matched.is_empty() {
            found.problems.push(self.caused("'anyOf' failed", problems));
        }
        let one = list(schema, "oneOf");
        let (problems, matched) = self.each(one, value, found, false)?;
        match matched.as_slice() {
            [] if !one.is_empty() => found.problems.push(self.caused("'oneOf' failed, none matched", problems)),
            [first, second, ..] => {
                found.problems.push(self.wrong(format!("'oneOf' failed, subschemas {first}, {second} matched")));
            }
            _ => {}
        }
        let Some(condition) = schema.get("if").filter(|_| self.document.draft >= 7) else { return Ok(()) };
        let verdict = self.schema(condition, value)?;
        let branch = if verdict.problem.is_none() { "then" } else { "else" };
        if verdict.problem.is_none() {
            found.see(verdict.seen);
        }
        if let Some(branch) = schema.get(branch) {
            let verdict = self.schema(branch, value)?;
            found.take(verdict);
        }
        Ok(())
    }

    /// What each of several schemas finds, and which of them match.
    fn each(
        &mut self,
        schemas: &'s [Json],
        value: &Json,
        found: &mut Found,
        one_is_enough: bool,
    ) -> Done<(Vec<Problem>, Vec<usize>)> {
        let (mut problems, mut matched) = (Vec::new(), Vec::new());
        for (index, schema) in schemas.iter().enumerate() {
            let verdict = self.schema(schema, value)?;
            match verdict.problem {
                Some(problem) => problems.push(problem),
                None => {
                    found.see(verdict.seen);
                    matched.push(index);
                    if one_is_enough {
                        break;
                    }
                }
            }
        }
        Ok((problems, matched))
    }

    /// What no keyword has looked at.
    fn rest(&mut self, schema: &'s Object, value: &Json, found: &mut Found) -> Done<()> {
        if let (Some(rest), Json::Object(object)) = (schema.get("unevaluatedProperties"), value) {
            for (name, value) in object {
                if found.seen.properties.insert(name.clone()) {
                    found.problems.extend(self.within(rest, value, name)?);
                }
            }
        }
        if let (Some(rest), Json::Array(items)) = (schema.get("unevaluatedItems"), value) {
            for (index, item) in items.iter().enumerate() {
                if found.seen.items.insert(index) {
                    found.problems.extend(self.within(rest, item, &index.to_string())?);
                }
            }
        }
        Ok(())
    }
}

fn none_of(wanted: &[Json]) -> String {
    let plain = wanted.iter().all(|one| !one.is_array() && !one.is_object());
    match wanted {
        [one] if plain => format!("value must be {}", display(one)),
        _ if plain => {
            format!("value must be one of {}", wanted.iter().map(display).collect::<Vec<_>>().join(", "))
        }
        _ => "'enum' failed".into(),
    }
}
