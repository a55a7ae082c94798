//! What differs between two texts, or between two sets of objects: what people read before they say yes.
//!
//! Secret values are masked before they become text, and a value that changed under its mask is said to have changed.
//! Start with [`objects`] and [`lines`]; a [`Patch`] is what the console draws and the CLI prints.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Map;
use similar::{ChangeTag, TextDiff};

use crate::base::{Id, Object, Text, Value, yaml};

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;

/// How a line differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Same,
    Added,
    Removed,
    /// Stands for unchanged lines that are left out.
    Gap,
}

impl Change {
    /// What stands before the line, so that colour is never alone.
    pub fn sign(self) -> &'static str {
        match self {
            Change::Same => "  ",
            Change::Added => "+ ",
            Change::Removed => "- ",
            Change::Gap => "",
        }
    }
}

/// One line of a diff, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    pub change: Change,
    pub text: Text,
}

/// What happens to the object or file of a [`Part`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Created,
    Changed,
    Deleted,
}

impl Fate {
    pub fn word(self) -> &'static str {
        match self {
            Fate::Created => "created",
            Fate::Changed => "changed",
            Fate::Deleted => "deleted",
        }
    }
}

/// What differs in one object or file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The object's id or the file's path.
    pub name: Text,
    /// The object, to jump to.
    pub id: Option<Id>,
    pub fate: Fate,
    pub lines: Vec<DiffLine>,
}

/// What differs, part by part; empty when nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    pub parts: Vec<Part>,
}

impl Patch {
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many lines are added and removed.
    pub fn counts(&self) -> (usize, usize) {
        let lines = || self.parts.iter().flat_map(|part| &part.lines);
        let count = |wanted: Change| lines().filter(|line| line.change == wanted).count();
        (count(Change::Added), count(Change::Removed))
    }

    /// For a terminal or a file: a heading for each part, then its lines with their signs.
    pub fn plain(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "► {} {}", part.name, part.fate.word());
            for line in &part.lines {
                let _ = writeln!(text, "{}{}", line.change.sign(), line.text);
            }
        }
        text
    }
}

/// What would happen, for a person to read before it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// What it is about: labels and values, in order.
    pub about: Vec<(Text, Text)>,
    /// What a person should know before saying yes: what could not be foreseen, and why.
    pub notes: Vec<Text>,
    pub patch: Patch,
    /// The commit that the patch is of, where it is one.
    pub commit: Option<Commit>,
}

/// A commit that would be pushed, byte for byte: whoever shows it cleans it first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The address, without a login.
    pub repository: String,
    pub branch: String,
    /// Whether the branch would be made.
    pub is_new: bool,
    /// The hash of what it is built upon.
    pub parent: String,
    pub message: String,
    /// As `git apply` takes it.
    pub patch: String,
}

/// What only the server writes.
const SERVER_FIELDS: &[&str] = &[
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
];
/// A second copy of the whole document; for Secrets a leak.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What people decide of a document: all but its status and the fields of the server.
pub fn decided(document: &Value) -> Value {
    let mut view = document.clone();
    if let Some(fields) = view.as_object_mut() {
        fields.shift_remove("status");
    }
    if let Some(metadata) = view.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in SERVER_FIELDS {
            metadata.shift_remove(*field);
        }
        without_annotations(metadata, |key| key == LAST_APPLIED);
    }
    view
}

/// Takes annotations away, and the map with the last of them.
pub fn without_annotations(metadata: &mut Map<String, Value>, is_unwanted: impl Fn(&str) -> bool) {
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.retain(|key, _| !is_unwanted(key));
    if annotations.is_empty() {
        metadata.shift_remove("annotations");
    }
}

/// The changed lines of a text with some of what is around them; empty when nothing differs.
pub fn lines(before: &str, after: &str) -> Vec<DiffLine> {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            lines.push(DiffLine { change: Change::Gap, text: Text::new("⋮") });
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let tag = match change.tag() {
                ChangeTag::Equal => Change::Same,
                ChangeTag::Insert => Change::Added,
                ChangeTag::Delete => Change::Removed,
            };
            lines.push(DiffLine { change: tag, text: Text::new(change.value().trim_end_matches(['\n', '\r'])) });
        }
    }
    lines
}

/// What becomes of one file; `None` when its bytes are the same. A missing side is a file that is not there.
pub fn file(path: &str, before: Option<&str>, after: Option<&str>) -> Option<Part> {
    let fate = match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => Fate::Created,
        (Some(_), None) => Fate::Deleted,
        (Some(before), Some(after)) if before == after => return None,
        (Some(_), Some(_)) => Fate::Changed,
    };
    let lines = lines(before.unwrap_or_default(), after.unwrap_or_default());
    Some(Part { name: Text::new(path), id: None, fate, lines })
}

/// The patch of one file as git prints and applies it; empty when nothing differs.
pub fn unified(path: &str, old: &[u8], new: &[u8]) -> String {
    if old == new {
        return String::new();
    }
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return format!("Binary files a/{path} and b/{path} differ\n");
    };
    let diff = TextDiff::from_lines(old, new);
    let (from, to) = (quoted(&format!("a/{path}")), quoted(&format!("b/{path}")));
    // Behind a name with a space a tab says where it ends.
    let end = if path.contains(' ') && !from.starts_with('"') { "\t" } else { "" };
    let (old_name, new_name) = (format!("{from}{end}"), format!("{to}{end}"));
    format!("diff --git {from} {to}\n{}", diff.unified_diff().context_radius(CONTEXT).header(&old_name, &new_name))
}

/// A name as git writes it: in quotes when something in it would end it or its line.
fn quoted(name: &str) -> String {
    if !name.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
        return name.to_owned();
    }
    let mut out = String::from("\"");
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            byte => drop(write!(out, "\\{byte:03o}")),
        }
    }
    out.push('"');
    out
}

/// What becomes of each object: those that are there after in their order, then those that go.
///
/// Objects are told apart by their id; documents that have none are left out. Keys come sorted, values of Secrets masked.
pub fn objects(before: &[Value], after: &[Value]) -> Patch {
    let old: HashMap<Id, &Value> = before.iter().filter_map(|value| Some((Id::of(value)?, value))).collect();
    let new: HashMap<Id, &Value> = after.iter().filter_map(|value| Some((Id::of(value)?, value))).collect();
    let mut parts = Vec::new();
    for id in after.iter().filter_map(Id::of) {
        let after = new.get(&id).copied().unwrap_or(&Value::Null);
        let Some(before) = old.get(&id).copied() else {
            parts.push(part(id, Fate::Created, "", &written(after, None)));
            continue;
        };
        if before != after {
            let (was, is) = (written(before, None), written(after, Some(before)));
            // Documents that differ in their order of keys alone are the same to everybody.
            if was != is {
                parts.push(part(id, Fate::Changed, &was, &is));
            }
        }
    }
    for id in before.iter().filter_map(Id::of).filter(|id| !new.contains_key(id)) {
        let before = written(old.get(&id).copied().unwrap_or(&Value::Null), None);
        parts.push(part(id, Fate::Deleted, &before, ""));
    }
    Patch { parts }
}

fn part(id: Id, fate: Fate, before: &str, after: &str) -> Part {
    Part { name: Text::new(id.to_string()), fate, lines: lines(before, after), id: Some(id) }
}

/// The document as text; of a Secret that was another before, changed values are marked.
fn written(document: &Value, before: Option<&Value>) -> String {
    let Ok(object) = Object::from_value(document.clone()) else { return yaml::write(&yaml::sorted(document.clone())) };
    let mut body = object.body();
    if let Some(before) = before.filter(|_| document["kind"] == "Secret" && document["apiVersion"] == "v1") {
        for field in ["data", "stringData"] {
            for (key, shown) in body.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten() {
                let was = before.get(field).and_then(|values| values.get(key));
                if was.is_some()
                    && was != document[field].get(key)
                    && let Some(mask) = shown.as_str()
                {
                    *shown = Value::String(format!("{}, changed)", mask.trim_end_matches(')')));
                }
            }
        }
    }
    yaml::write(&yaml::sorted(body))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_diff_shows_changes_with_their_surroundings() {
        let old: String = (0..20).map(|number| format!("line {number}\n")).collect();
        let lines = lines(&old, &old.replace("line 2\n", "line two\n").replace("line 17\n", ""));
        let changed = |line: &&DiffLine| matches!(line.change, Change::Added | Change::Removed);
        let shown: Vec<_> = lines.iter().filter(changed).map(|line| line.text.as_str()).collect();
        assert_eq!(shown, ["line 2", "line two", "line 17"]);
        assert_eq!(lines.iter().filter(|line| line.change == Change::Gap).count(), 1);
    }

    fn map(name: &str, value: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "a"}, "data": {"k": value}})
    }

    #[test]
    fn objects_are_created_changed_and_deleted() {
        let patch = objects(
            &[map("gone", "1"), map("kept", "1"), map("same", "1")],
            &[map("same", "1"), map("kept", "2"), map("new", "1")],
        );
        let fates: Vec<_> = patch.parts.iter().map(|part| (part.name.as_str(), part.fate)).collect();
        assert_eq!(
            fates,
            [
                ("ConfigMap/a/kept", Fate::Changed),
                ("ConfigMap/a/new", Fate::Created),
                ("ConfigMap/a/gone", Fate::Deleted)
            ]
        );
        assert!(patch.plain().starts_with("► ConfigMap/a/kept changed\n"), "{}", patch.plain());
        assert!(patch.plain().contains("-   k: \"1\"\n+   k: \"2\"\n"), "{}", patch.plain());
    }

    #[test]
    fn the_order_of_keys_is_no_difference() {
        let turned = json!({"kind": "ConfigMap", "data": {"k": "1"}, "apiVersion": "v1",
            "metadata": {"namespace": "a", "name": "m"}});
        assert!(objects(&[map("m", "1")], &[turned]).is_empty());
    }

    #[test]
    fn a_secret_shows_that_it_changed_and_not_to_what() {
        let secret = |value: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "a"},
            "data": {"key": value, "other": "c2FtZQ=="}})
        };
        let text = objects(&[secret("b25lMQ==")], &[secret("dHdvMg==")]).plain();
        assert!(!text.contains("b25l") && !text.contains("dHdv") && !text.contains("c2FtZ"), "{text}");
        assert_eq!(text.matches(", changed)").count(), 1, "{text}");
    }

    #[test]
    fn what_git_applies_has_headers_context_and_missing_line_ends() {
        assert_eq!(
            unified("a/x.yaml", b"1\n2\n3\n4\n5\nold", b"1\n2\n3\n4\n5\nnew"),
            "diff --git a/a/x.yaml b/a/x.yaml\n--- a/a/x.yaml\n+++ b/a/x.yaml\n@@ -3,4 +3,4 @@\n 3\n 4\n 5\n-old\n\
             \\ No newline at end of file\n+new\n\\ No newline at end of file\n"
        );
        assert!(unified("a b", b"1\n", b"2\n").starts_with("diff --git a/a b b/a b\n--- a/a b\t\n+++ b/a b\t\n"));
        assert!(unified("a\"\n", b"1\n", b"2\n").contains(r#"--- "a/a\"\012""#));
        assert_eq!(unified("x", b"a\r\n", b"a\r\n"), "");
        assert!(unified("x", b"a\r\nb\r\n", b"a\r\nc\r\n").contains("-b\r\n+c\r\n"));
    }
}
