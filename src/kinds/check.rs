//! Finds what is wrong with a document before an API server does, and says what was probably meant.
//!
//! Pure: the kind's schema (derived from the Rust types, as the CRD) against the document. Unlike an API server it
//! calls an unknown field an error, because a dropped field is how `intervals: 1m` becomes an outage. Start with
//! [`check`]. Convert older versions first (`convert`).

use serde_json::{Map, Value};

use super::{Kind, convert};

/// One thing that is wrong, at its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Keys and list positions from the root, e.g. `["spec", "patches", "0", "patch"]`.
    pub path: Vec<String>,
    pub message: String,
}

impl Problem {
    /// The path as people write it: `spec.patches[0].patch`.
    pub fn field(&self) -> String {
        dotted(&self.path)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field(), self.message)
    }
}

/// Checks a document of any kind; an empty answer means that nothing wrong was found.
///
/// Kinds without a schema here (built-in ones, CRDs of others) are checked for their head only.
pub fn check(document: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(root) = document.as_object() else {
        return vec![problem(&[], "it must be a map with apiVersion, kind and metadata".into())];
    };
    let Some(kind) = check_head(root, &mut problems) else { return problems };
    check_metadata(kind, root, &mut problems);
    let Some(schema) = kind.custom.as_ref().map(|custom| (custom.crd)()) else { return problems };
    let Some(schema) = schema.pointer("/spec/versions/0/schema/openAPIV3Schema") else { return problems };
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    for key in root.keys().filter(|key| !known.contains(&key.as_str())) {
        let message = match nearest(key, known) {
            Some(near) => format!("unknown field, did you mean {near}?"),
            None => format!("unknown field, the fields of a {} go under spec", kind.kind),
        };
        problems.push(problem(&[key], message));
    }
    let schema_of = |key: &str| schema.pointer(&format!("/properties/{key}")).unwrap_or(&Value::Null);
    let mut walk = Walk { kind, spec: schema_of("spec"), path: vec!["spec".into()], problems: Vec::new() };
    match root.get("spec") {
        Some(spec) => walk.value(schema_of("spec"), spec),
        None => walk.report("required field is missing".into()),
    }
    problems.append(&mut walk.problems);
    problems
}

/// The candidate that a person most probably meant; `None` when nothing is near enough to be worth saying.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    let limit = (lower.chars().count() / 3).clamp(1, 4);
    let distance = |candidate: &str| strsim::osa_distance(&lower, &candidate.to_ascii_lowercase());
    let scored = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    scored.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, near)| near)
}

fn problem(path: &[&str], message: String) -> Problem {
    Problem { path: path.iter().map(|part| part.to_string()).collect(), message }
}

fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for part in path {
        if !text.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{part}]"));
        } else if part.contains('.') {
            text.push_str(&format!("[{part:?}]"));
        } else {
            text.push_str(if text.is_empty() { "" } else { "." });
            text.push_str(part);
        }
    }
    text
}

/// Finds the kind of a document; `None` when it is not one whose spec can be judged.
fn check_head(root: &Map<String, Value>, problems: &mut Vec<Problem>) -> Option<&'static Kind> {
    let text = |key: &str| root.get(key).and_then(Value::as_str);
    let (Some(api_version), Some(name)) = (text("apiVersion"), text("kind")) else {
        for key in ["apiVersion", "kind"].into_iter().filter(|key| text(key).is_none()) {
            let typo = root.keys().find(|typed| nearest(typed, [key]).is_some());
            let message = match typo {
                Some(typo) => format!("required field is missing, is it what {typo} means?"),
                None => "required field is missing".into(),
            };
            problems.push(problem(&[key], message));
        }
        return None;
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if group == "kustomize.config.k8s.io" {
        let message = "this is a file for kustomize, not an object of the cluster: build it with weir build kustomize";
        problems.push(problem(&["apiVersion"], message.into()));
        return None;
    }
    let kind = super::of(group, name);
    if kind.kind == name {
        if version != kind.version && kind.is_custom() {
            let message = format!("{api_version} is not served, {} is", kind.api_version());
            problems.push(problem(&["apiVersion"], message));
        }
        return Some(kind);
    }
    if group.ends_with(".fluxcd.io") {
        check_flux_name(group, name, problems);
    }
    problems.is_empty().then_some(kind)
}

/// A Flux group with a kind that it does not hold: says which is meant.
fn check_flux_name(group: &str, name: &str, problems: &mut Vec<Problem>) {
    if convert::served_version(group, name).is_some() {
        return;
    }
    if let Some(home) = convert::groups_of(name).next() {
        problems.push(problem(&["apiVersion"], format!("{name} is not in {group}, it is in {home}")));
    } else if let Some(near) = super::reconciled().find(|kind| nearest(name, [kind.kind]).is_some()) {
        problems.push(problem(&["kind"], format!("{name} is unknown, did you mean {}?", near.kind)));
    }
}

/// The fields of metadata that a person or a server writes.
const METADATA: &[&str] = &[
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "finalizers",
    "ownerReferences",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

fn check_metadata(kind: &Kind, root: &Map<String, Value>, problems: &mut Vec<Problem>) {
    let Some(metadata) = root.get("metadata").and_then(Value::as_object) else {
        return problems.push(problem(&["metadata"], "required field is missing".into()));
    };
    for key in metadata.keys().filter(|key| !METADATA.contains(&key.as_str())) {
        let message = match nearest(key, METADATA.iter().copied()) {
            Some(near) => format!("unknown field, did you mean metadata.{near}?"),
            None => "unknown field".into(),
        };
        problems.push(problem(&["metadata", key], message));
    }
    match metadata.get("name") {
        None if metadata.contains_key("generateName") => {}
        None => problems.push(problem(&["metadata", "name"], "required field is missing".into())),
        Some(Value::String(name)) if kind.is_custom() && !is_name(name) => {
            let message = format!("{name:?} is not a name: lower-case letters, digits, - and . only, at most 253");
            problems.push(problem(&["metadata", "name"], message));
        }
        Some(Value::String(_)) => {}
        Some(other) => problems.push(problem(&["metadata", "name"], wrong_type("text", other))),
    }
    for field in ["labels", "annotations"] {
        let entries = match metadata.get(field) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                problems.push(problem(&["metadata", field], wrong_type("a map", other)));
                continue;
            }
        };
        for (key, value) in entries.iter().filter(|(_, value)| !value.is_string()) {
            problems.push(problem(&["metadata", field, key], wrong_type("text", value)));
        }
    }
}

/// RFC 1123 subdomain, as API servers want names.
fn is_name(name: &str) -> bool {
    let label = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        !bytes.is_empty()
            && bytes.iter().all(|byte| inner(*byte) || *byte == b'-')
            && inner(bytes[0])
            && inner(bytes[bytes.len() - 1])
    };
    name.len() <= 253 && name.split('.').all(label)
}

struct Walk<'a> {
    kind: &'static Kind,
    spec: &'a Value,
    path: Vec<String>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn report(&mut self, message: String) {
        self.problems.push(Problem { path: self.path.clone(), message });
    }

    fn within(&mut self, part: &str, visit: impl FnOnce(&mut Self)) {
        self.path.push(part.to_owned());
        visit(self);
        self.path.pop();
    }

    /// Recurses along the schema, which is finite, so foreign depth cannot harm.
    fn value(&mut self, schema: &Value, value: &Value) {
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        match (schema["type"].as_str(), value) {
            (Some("object"), Value::Object(map)) => self.map(schema, map),
            (Some("object"), other) => self.report(wrong_type("a map", other)),
            (Some("array"), Value::Array(list)) => {
                for (index, entry) in list.iter().enumerate() {
                    self.within(&index.to_string(), |walk| walk.value(&schema["items"], entry));
                }
            }
            (Some("array"), other) => self.report(wrong_type("a list", other)),
            (Some("string"), Value::String(text)) => self.text(schema, text),
            (Some("string"), other) => self.report(wrong_type("text", other)),
            (Some("boolean"), Value::Bool(_)) => {}
            (Some("boolean"), other) => self.report(wrong_type("true or false", other)),
            (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.bounds(schema, value);
            }
            (Some("integer"), other) => self.report(wrong_type("a whole number", other)),
            (Some("number"), other) if !other.is_number() => self.report(wrong_type("a number", other)),
            _ => {}
        }
    }

    fn map(&mut self, schema: &Value, map: &Map<String, Value>) {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let mut meant = Vec::new();
        for (key, value) in map {
            if let Some(schema) = properties.get(key) {
                self.within(key, |walk| walk.value(schema, value));
            } else if let Some(schema) = schema.get("additionalProperties").filter(|schema| schema.is_object()) {
                self.within(key, |walk| walk.value(schema, value));
            } else if schema.get("properties").is_some() && schema["x-kubernetes-preserve-unknown-fields"] != true {
                meant.extend(self.unknown(key, properties).map(str::to_owned));
            }
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // The unknown field beside it has already named it.
            if !map.contains_key(key) && !meant.iter().any(|meant| meant == key) {
                let example = properties.get(key).and_then(|schema| example(schema, key)).unwrap_or_default();
                self.within(key, |walk| walk.report(format!("required field is missing{example}")));
            }
        }
    }

    /// Reports an unknown key and answers with the sibling that was meant, if one is near.
    fn unknown<'s>(&mut self, key: &str, siblings: &'s Map<String, Value>) -> Option<&'s str> {
        let place = dotted(&self.path);
        let near = nearest(key, siblings.keys().map(String::as_str));
        self.path.push(key.to_owned());
        let here = dotted(&self.path);
        let message = if let Some(fate) = convert::fate(self.kind.kind, &here) {
            format!("unknown field, {fate}")
        } else if let Some(near) = near {
            format!("unknown field, did you mean {place}.{near}?")
        } else if let Some(elsewhere) = find_key(self.spec, key, "spec", 0) {
            format!("unknown field, did you mean {elsewhere}?")
        } else {
            format!("unknown field, {place} of a {} has no such field", self.kind.kind)
        };
        self.report(message);
        self.path.pop();
        near
    }

    fn text(&mut self, schema: &Value, text: &str) {
        let length = text.chars().count() as u64;
        let limit = |key: &str| schema[key].as_u64();
        if limit("minLength").is_some_and(|least| length < least) {
            return self.report("must not be empty".into());
        }
        if let Some(most) = limit("maxLength").filter(|most| length > *most) {
            return self.report(format!("has {length} characters, at most {most} are allowed"));
        }
        if let Some(allowed) = schema["enum"].as_array() {
            let words: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
            if !words.contains(&text) {
                let near = nearest(text, words.iter().copied());
                let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
                let words = words.join(", ");
                return self.report(format!("{} is not one of {words}{hint}", shown(text)));
            }
        }
        let pattern = schema["pattern"].as_str().unwrap_or_default();
        if !pattern.is_empty() && regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text)) {
            self.report(mismatch(pattern, text));
        }
    }

    fn bounds(&mut self, schema: &Value, value: &Value) {
        let (number, bound) = (value.as_f64(), |key: &str| schema[key].as_f64());
        if let Some(least) = bound("minimum").filter(|least| number < Some(*least)) {
            self.report(format!("{value} is too small, at least {least} is wanted"));
        }
        if let Some(most) = bound("maximum").filter(|most| number > Some(*most)) {
            self.report(format!("{value} is too large, at most {most} is allowed"));
        }
    }
}

/// Searches the schema for a field of that name at another place, nearest to the root first.
fn find_key(schema: &Value, key: &str, at: &str, depth: usize) -> Option<String> {
    let properties = schema["properties"].as_object().filter(|_| depth < 4)?;
    let found = properties.keys().find(|name| name.eq_ignore_ascii_case(key)).map(|name| format!("{at}.{name}"));
    found.or_else(|| {
        properties.iter().find_map(|(name, schema)| {
            let (schema, mark) = if schema["type"] == "array" { (&schema["items"], "[]") } else { (schema, "") };
            find_key(schema, key, &format!("{at}.{name}{mark}"), depth + 1)
        })
    })
}

fn example(schema: &Value, key: &str) -> Option<String> {
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    match key {
        _ if pattern.contains("(ms|s|m") => Some(format!(", e.g. {key}: 10m")),
        "prune" => Some(", write prune: true to delete what is removed from the source".into()),
        "sourceRef" => Some(", e.g. sourceRef: {kind: GitRepository, name: …}".into()),
        _ => None,
    }
}

/// Why a text does not match a pattern, in words where the pattern is a known one.
fn mismatch(pattern: &str, text: &str) -> String {
    let value = shown(text);
    if pattern.contains("(ms|s|m") {
        let hours = !pattern.contains("|h)") && text.contains('h');
        let hint = if hours { "minutes are the largest unit here, e.g. 60m" } else { "write it like 30s, 5m or 1h30m" };
        return format!("{value} is not a duration: {hint}");
    }
    if pattern.contains("ssh") && pattern.contains("://") {
        return match scp_form(text) {
            Some(url) => format!("{value} is in scp form, which is not supported: write {}", shown(&url)),
            None => format!("{value} is not a repository address: begin with https://, http://, ssh:// or file://"),
        };
    }
    format!("{value} does not match {pattern}")
}

/// `git@host:path` as a URL.
fn scp_form(text: &str) -> Option<String> {
    let (host, path) = text.split_once(':')?;
    let plain = !text.contains("://") && !host.is_empty() && !host.contains('/') && !path.is_empty();
    plain.then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
}

/// A value for a message: short, quoted, and without credentials of a URL.
fn shown(text: &str) -> String {
    let safe = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at && text[scheme + 3..at].contains(':') => {
            format!("{}://***{}", &text[..scheme], &text[at..])
        }
        _ => text.to_owned(),
    };
    let short: String = safe.chars().take(80).collect();
    if short.len() < safe.len() { format!("{:?}", format!("{short}…")) } else { format!("{short:?}") }
}

fn wrong_type(wanted: &str, value: &Value) -> String {
    let have = match value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => format!("{value} (write \"{value}\" to make it text)"),
        Value::Number(value) if wanted == "text" => format!("the number {value} (write \"{value}\" to make it text)"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(text) => format!("the text {}", shown(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    };
    let have = if wanted == "text" { have } else { have.split(" (write").next().unwrap_or_default().to_owned() };
    format!("must be {wanted}, not {have}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::yaml;

    fn problems(text: &str) -> Vec<String> {
        let document = yaml::read_one(text.as_bytes(), &yaml::Limits::default()).unwrap();
        check(&document).iter().map(Problem::to_string).collect()
    }

    fn git(spec: &str) -> Vec<String> {
        problems(&format!(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: a}}\nspec: {spec}\n"
        ))
    }

    fn kustomization(spec: &str) -> Vec<String> {
        let base = "interval: 1m, prune: true, sourceRef: {kind: GitRepository, name: a}";
        problems(&format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: a}}\nspec: {{{base}{spec}}}\n"
        ))
    }

    #[test]
    fn an_unknown_field_names_the_right_one() {
        assert_eq!(
            git("{url: 'https://example.com/a', intervals: 1m}"),
            ["spec.intervals: unknown field, did you mean spec.interval?"]
        );
        assert_eq!(
            git("{url: 'https://example.com/a', interval: 1m, branch: main}"),
            ["spec.branch: unknown field, did you mean spec.ref.branch?"]
        );
        assert_eq!(
            git("{url: 'https://example.com/a', interval: 1m, ref: {brunch: main}}"),
            ["spec.ref.brunch: unknown field, did you mean spec.ref.branch?"]
        );
        assert_eq!(
            kustomization(", dependson: [{name: b}], zebra: 1"),
            [
                "spec.dependson: unknown field, did you mean spec.dependsOn?",
                "spec.zebra: unknown field, spec of a Kustomization has no such field"
            ]
        );
        assert_eq!(
            kustomization(", validation: client, patchesStrategicMerge: []"),
            [
                "spec.validation: unknown field, it was removed: every apply is validated by a dry-run on the server",
                "spec.patchesStrategicMerge: unknown field, use spec.patches"
            ]
        );
    }

    #[test]
    fn what_is_missing_or_malformed_says_how_to_write_it() {
        assert_eq!(
            git("{url: 'git@github.com:owner/repo.git', interval: 5 minutes, timeout: 1h}"),
            [
                "spec.url: \"git@github.com:owner/repo.git\" is in scp form, which is not supported: \
                 write \"ssh://git@github.com/owner/repo.git\"",
                "spec.interval: \"5 minutes\" is not a duration: write it like 30s, 5m or 1h30m",
                "spec.timeout: \"1h\" is not a duration: minutes are the largest unit here, e.g. 60m",
            ]
        );
        assert_eq!(
            git("{url: 'https://example.com/a'}"),
            ["spec.interval: required field is missing, e.g. interval: 10m"]
        );
        assert_eq!(
            kustomization(", wait: 'yes', path: 5, patches: [{target: {kind: X}}], deletionPolicy: delete"),
            [
                "spec.wait: must be true or false, not the text \"yes\"",
                "spec.path: must be text, not the number 5 (write \"5\" to make it text)",
                "spec.patches[0].patch: required field is missing",
                "spec.deletionPolicy: \"delete\" is not one of MirrorPrune, Delete, WaitForTermination, Orphan, \
                 did you mean Delete?",
            ]
        );
        assert_eq!(
            kustomization(", postBuild: {substitute: {replicas: 2}}"),
            ["spec.postBuild.substitute.replicas: must be text, not the number 2 (write \"2\" to make it text)"]
        );
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        let found = git("{url: 'htps://me:hunter2@example.com/a', interval: 1m}");
        assert!(found[0].contains("***@example.com") && !found[0].contains("hunter2"), "{found:?}");
    }

    #[test]
    fn a_wrong_head_is_explained() {
        let head = |api_version: &str, kind: &str| problems(&format!("apiVersion: {api_version}\nkind: {kind}\n"));
        assert_eq!(
            head("kustomize.toolkit.fluxcd.io/v1", "GitRepository"),
            ["apiVersion: GitRepository is not in kustomize.toolkit.fluxcd.io, it is in source.toolkit.fluxcd.io"]
        );
        assert_eq!(
            head("source.toolkit.fluxcd.io/v1", "GitRepositry"),
            ["kind: GitRepositry is unknown, did you mean GitRepository?"]
        );
        assert!(head("source.toolkit.fluxcd.io/v7", "GitRepository")[0].ends_with("source.toolkit.fluxcd.io/v1 is"));
        assert!(head("kustomize.config.k8s.io/v1beta1", "Kustomization")[0].contains("a file for kustomize"));
        assert_eq!(
            problems("apiversion: v1\nkind: A\n"),
            ["apiVersion: required field is missing, is it what apiversion means?"]
        );
        assert_eq!(problems("[1]\n").len(), 1);
    }

    #[test]
    fn every_example_and_every_foreign_object_passes() {
        for kind in crate::kinds::ALL {
            assert_eq!(problems(kind.example), [""; 0], "{}", kind.kind);
        }
        assert_eq!(problems("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec: {x: 1}\n"), [""; 0]);
        assert_eq!(
            problems("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: 'a:b'}\n"),
            [""; 0]
        );
    }
}
