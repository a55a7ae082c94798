//! Rewrites the image fields that a comment such as `# {"$imagepolicy": "ns:policy:tag"}` marks, and nothing else.
//!
//! Edits are made in the bytes: comments, quoting, anchors, indentation and line endings stay as they are, and each edit is
//! checked by reading the file anew. A file that cannot be read is left alone and reported. Start with [`apply`].
//!
//! Source: image-automation-controller internal/update, kyaml's fieldmeta. Deliberate differences: what is not marked is
//! never reformatted, documents that are bare lists and the items of a `List` are edited in place, and a number or null
//! that becomes text gets no tag.

mod changed;
mod edit;
mod legacy;
mod marker;
mod scan;

use std::collections::HashMap;

use crate::base::FileTree;
use scan::{Marked, Part};

pub use changed::{Change, Changed, ObjectChanges, ObjectId};
pub use legacy::{Decision, Wish, apply_wishes, wishes};

/// What a policy chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub namespace: String,
    pub policy: String,
    /// Without a tag.
    pub image: String,
    pub tag: String,
    pub digest: Option<String>,
}

/// The values that markers may ask for.
#[derive(Clone, Debug, Default)]
pub struct Setters {
    values: HashMap<String, String>,
}

/// Why nothing was edited at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettersError {
    #[error("encountered invalid image ref {image:?}: {why}")]
    Image { image: String, why: &'static str },
    #[error("walking path for files: {path:?} does not exist in the repository")]
    Path { path: String },
}

/// What edits came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The new content of every file that changed, by its path in the repository.
    pub files: Vec<(String, Vec<u8>)>,
    /// What changed; files by their path beneath the edited directory.
    pub changed: Changed,
    /// Files with markers that could not be read, with the reason: left alone.
    pub problems: Vec<(String, String)>,
    /// Markers whose policy is not there or chose nothing: place and setter.
    pub unknown: Vec<(String, String)>,
    /// Places where nothing could be decided, with the reason.
    pub held: Vec<(String, String)>,
}

impl Applied {
    /// Edits fields of one file, whose parts they are, and notes what came of it; with no edits, nothing.
    fn write(&mut self, path: &str, short: &str, text: &str, parts: Vec<Part<'_>>, edits: &[(&Marked, &str)]) {
        if edits.is_empty() {
            return;
        }
        let text = match edit::rewrite(text, parts, edits) {
            Ok(text) => text,
            Err(why) => return self.problems.push((path.to_owned(), why)),
        };
        for (field, value) in edits {
            let (old_value, setter) = (field.value.clone(), field.setter.clone());
            let change = Change { old_value, new_value: (*value).to_owned(), setter };
            self.changed.add(short, field.object.clone(), change);
        }
        self.files.push((path.to_owned(), text.into_bytes()));
    }

    /// Adds what further edits came to; of a file that both changed, the later content counts.
    pub fn extend(&mut self, later: Applied) {
        self.files.retain(|(path, _)| !later.files.iter().any(|(other, _)| other == path));
        self.files.extend(later.files);
        self.files.sort_by(|a, b| a.0.cmp(&b.0));
        for (file, objects) in later.changed.files {
            for (object, changes) in objects {
                changes.into_iter().for_each(|change| self.changed.add(&file, object.clone(), change));
            }
        }
        self.problems.extend(later.problems);
        self.unknown.extend(later.unknown);
        self.held.extend(later.held);
    }
}

/// A file with more bytes is left alone.
const FILE_BYTES: usize = 16 << 20;
/// What every file with a marker has in it.
const TOKEN: &[u8] = b"\"$imagepolicy\"";

impl Choice {
    /// The image as a reference: `name:tag`, with `@digest` where there is one.
    pub fn reference(&self) -> String {
        match self.digest.as_deref().filter(|digest| !digest.is_empty()) {
            Some(digest) => format!("{}:{}@{digest}", self.image, self.tag),
            None => format!("{}:{}", self.image, self.tag),
        }
    }

    fn fault(&self) -> Option<&'static str> {
        let plain = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        match () {
            () if self.image.is_empty() || !plain(&self.image, "._-/:[]") => Some("its name has odd characters"),
            () if self.tag.is_empty() || self.tag.len() > 128 || !plain(&self.tag, "._-") => Some("its tag is none"),
            () if self.tag.starts_with(['.', '-']) => Some("its tag begins with a point or a dash"),
            () if !self.digest.as_deref().is_none_or(|digest| plain(digest, ":+._-")) => Some("its digest is none"),
            () => None,
        }
    }
}

impl Setters {
    /// The setters of some policies: `ns:name`, and with `:tag`, `:name` and `:digest` behind it.
    ///
    /// Errors when an image could not be pulled by that reference.
    pub fn of<'c>(choices: impl IntoIterator<Item = &'c Choice>) -> Result<Setters, SettersError> {
        let mut values = HashMap::new();
        for choice in choices {
            if let Some(why) = choice.fault() {
                return Err(SettersError::Image { image: choice.reference(), why });
            }
            let name = format!("{}:{}", choice.namespace, choice.policy);
            values.insert(format!("{name}:tag"), choice.tag.clone());
            values.insert(format!("{name}:name"), choice.image.clone());
            values.insert(format!("{name}:digest"), choice.digest.clone().unwrap_or_default());
            values.insert(name, choice.reference());
        }
        Ok(Setters { values })
    }

    pub fn get(&self, setter: &str) -> Option<&str> {
        self.values.get(setter).map(String::as_str)
    }
}

/// Edits every marked field beneath a path of a tree; the path may climb with `..`, but not out of the tree.
///
/// Errors when the path does not exist.
pub fn apply(tree: &FileTree, path: &str, setters: &Setters) -> Result<Applied, SettersError> {
    let mut applied = Applied::default();
    for (path, short, bytes) in files_under(tree, path)?.into_iter().filter(|(.., bytes)| has_token(bytes)) {
        edit_file(path, short, bytes, setters, &mut applied);
    }
    Ok(applied)
}

/// A manifest: its whole path, its path beneath the edited directory, and its bytes.
type Manifest<'t> = (&'t str, &'t str, &'t [u8]);

/// The manifests beneath a path, which may be one itself.
fn files_under<'t>(tree: &'t FileTree, path: &str) -> Result<Vec<Manifest<'t>>, SettersError> {
    let directory = within(path);
    if tree.get(&directory).is_none() && !tree.is_dir(&directory) {
        return Err(SettersError::Path { path: path.to_owned() });
    }
    let beneath = |path: &'t str| match path.strip_prefix(directory.as_str())? {
        "" => Some(path.rsplit('/').next().unwrap_or(path)),
        rest if directory.is_empty() => Some(rest),
        rest => rest.strip_prefix('/'),
    };
    let files = tree.iter().filter(|(path, _)| is_manifest(path));
    Ok(files.filter_map(|(path, file)| Some((path, beneath(path)?, &*file.bytes))).collect())
}

/// Edits one file, which stands for itself.
pub fn apply_file(name: &str, bytes: &[u8], setters: &Setters) -> Applied {
    let mut applied = Applied::default();
    if has_token(bytes) {
        edit_file(name, name, bytes, setters, &mut applied);
    }
    applied
}

/// Whether a file of that name is looked into.
pub fn is_manifest(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".yaml") || name.ends_with(".yml") || name == "Kustomization"
}

fn has_token(bytes: &[u8]) -> bool {
    // The dollar is rare in manifests, so a search for it is almost a search for the token.
    let mut from = 1;
    while let Some(at) = bytes.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == b'$')) {
        let at = from + at;
        if bytes[at - 1..].starts_with(TOKEN) {
            return true;
        }
        from = at + 1;
    }
    false
}

/// The path in a tree of a file that [`Applied::changed`] names after edits beneath a path.
pub fn whole_path(tree: &FileTree, path: &str, file: &str) -> String {
    match within(path) {
        root if root.is_empty() => file.to_owned(),
        directory if tree.is_dir(&directory) => format!("{directory}/{file}"),
        itself => itself,
    }
}

/// A path with its `.` and `..` resolved; above the root is the root.
fn within(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn edit_file(path: &str, short: &str, bytes: &[u8], setters: &Setters, applied: &mut Applied) {
    let problem = |why: String| (path.to_owned(), why);
    if bytes.len() > FILE_BYTES {
        applied.problems.push(problem(format!("it is larger than {FILE_BYTES} bytes")));
        return;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        applied.problems.push(problem("it is not valid UTF-8".into()));
        return;
    };
    let (marked, parts) = match scan::scan(text) {
        Ok(found) => found,
        Err(why) => return applied.problems.push(problem(why)),
    };
    let mut edits = Vec::new();
    for field in &marked {
        match setters.get(&field.setter) {
            Some(value) if value != field.value => edits.push((field, value)),
            Some(_) => {}
            None => applied.unknown.push((format!("{path}:{}", field.line), field.setter.clone())),
        }
    }
    applied.write(path, short, text, parts, &edits);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = r#"# {"$imagepolicy": "ns:app"}"#;
    const HEAD: &str = "apiVersion: v1\nkind: X\nmetadata: {name: n, namespace: q}\n";

    fn setters() -> Setters {
        let choice = |policy: &str, image: &str, tag: &str, digest: Option<&str>| Choice {
            namespace: "ns".into(),
            policy: policy.into(),
            image: image.into(),
            tag: tag.into(),
            digest: digest.map(str::to_owned),
        };
        Setters::of(&[
            choice("app", "new/app", "2.0.0", None),
            choice("num", "n", "1.0", Some("sha256:abc")),
            choice("word", "s", "true", None),
        ])
        .unwrap()
    }

    /// The body after edits; what is not valid stays as it is.
    fn edited(body: &str) -> String {
        let whole = format!("{HEAD}{body}");
        let applied = apply_file("x.yaml", whole.as_bytes(), &setters());
        match applied.files.first() {
            Some((_, bytes)) => String::from_utf8(bytes.clone()).unwrap()[HEAD.len()..].to_owned(),
            None => body.to_owned(),
        }
    }

    #[test]
    fn every_style_and_place_of_a_field_is_edited_in_place() {
        for (body, wanted) in [
            ("image: a:1 M\n", "image: new/app:2.0.0 M\n"),
            ("image:   \"a:1\"\t M  \n", "image:   \"new/app:2.0.0\"\t M  \n"),
            ("image: 'a:1' M", "image: 'new/app:2.0.0' M"),
            ("image:\n  M\n  a:1\n", "image:\n  M\n  new/app:2.0.0\n"),
            ("images:\nM\n- a:1\n- b:1\n", "images:\nM\n- new/app:2.0.0\n- b:1\n"),
            ("images:\n  - a:1\n  - b:1 M\n", "images:\n  - a:1\n  - new/app:2.0.0 M\n"),
            ("images:\n- M\n  a:1\n", "images:\n- M\n  new/app:2.0.0\n"),
            ("i: [\n  a:1, M\n  b:1 M\n  ]\n", "i: [\n  new/app:2.0.0, M\n  new/app:2.0.0 M\n  ]\n"),
            ("i: {\n  a: \"a:1\", M\n  b: x }\n", "i: {\n  a: \"new/app:2.0.0\", M\n  b: x }\n"),
            ("image: | M\n    a:1\n    b\nx: y\n", "image: |- M\n    new/app:2.0.0\nx: y\n"),
            ("image: >-   M\n  a:1\nx: y\n", "image: >-   M\n  new/app:2.0.0\nx: y\n"),
            ("image: &i a:1 M\no: *i\n", "image: &i new/app:2.0.0 M\no: *i\n"),
            ("image: !!str a:1 M\n", "image: !!str new/app:2.0.0 M\n"),
            ("image: a\n  b M\nx: y\n", "image: new/app:2.0.0 M\nx: y\n"),
            ("image: \"\" M\n", "image: \"new/app:2.0.0\" M\n"),
            ("image: 3 M\n", "image: new/app:2.0.0 M\n"),
            ("? a\n: b:1 M\n", "? a\n: new/app:2.0.0 M\n"),
            ("image: ünï M\r\nx: y\r\n", "image: new/app:2.0.0 M\r\nx: y\r\n"),
        ] {
            let fill = |text: &str| text.replace('M', MARK);
            assert_eq!(edited(&fill(body)), fill(wanted), "{body}");
        }
    }

    #[test]
    fn what_flux_does_not_take_for_a_marker_is_left_alone() {
        for body in [
            "M\nimage: a:1\n",
            "image: M\n  a:1\n",
            "images: [a:1, b:1] M\n",
            "images: {a: b} M\n",
            "spec: M\n  image: a:1\n",
            "spec:\nM\n- image: a:1\n",
            "spec:\n- M\n  image: a:1\n",
            "o: &i a:1\nimage: *i M\n",
            "image: M\nx: y\n",
            "? a:1 M\n: b:1\n",
            "images:\n# other\nM\n- a:1\n",
            "images:\nM\n- a:1 # other\n",
            "image: a:1\nM\n\nx: y\n",
            "image: a:1 # see {\"$imagepolicy\": \"ns:app\"}\n",
            "image: a:1 M and more\n",
            "image: a:1 # {\"$imagepolicy\": \"ns:app\", \"x\": 1}\n",
            "image: a:1 # {\"$imagepolicy\": \"ns:app:other\"}\n",
            "image: a:1 # {\"$imagepolicy\": \"other:app\"}\n",
            "text: \"a # {\\\"$imagepolicy\\\": \\\"ns:app\\\"}\" # \"$imagepolicy\"\n",
            "text: |\n  image: a:1 M\n",
            "image: {{ .x }} M\n",
        ] {
            let body = body.replace('M', MARK);
            assert_eq!(edited(&body), body);
        }
    }

    #[test]
    fn parts_of_a_reference_are_set_and_typed_texts_are_quoted() {
        let part = |part: &str| format!("# {{\"$imagepolicy\": \"ns:num{part}\"}}");
        for (old, mark, new) in [
            ("a", part(""), "n:1.0@sha256:abc"),
            ("a", part(":name"), "\"n\""),
            ("latest", part(":tag"), "\"1.0\""),
            ("'latest'", part(":tag"), "'1.0'"),
            ("\"\"", part(":digest"), "\"sha256:abc\""),
            ("x", r#"#{"$imagepolicy":"ns:word:tag"}"#.to_owned(), "\"true\""),
            ("x", r#"## {"$imagepolicy": "ns:app:tag", "note": "y"}"#.to_owned(), "2.0.0"),
            ("sha256:1", r#"# {"$imagepolicy": "ns:app:digest"}"#.to_owned(), "\"\""),
        ] {
            assert_eq!(edited(&format!("v: {old} {mark}\n")), format!("v: {new} {mark}\n"));
        }
    }

    #[test]
    fn changes_name_file_object_and_values() {
        let file = format!("\u{feff}{HEAD}image: a:1 {MARK}\n---\nkind: Y\nimages:\n- newName: b {MARK}\n");
        let mut tree = FileTree::default();
        tree.insert("deploy/app/x.yaml", file.as_bytes()).unwrap();
        tree.insert("deploy/app/x.txt", file.as_bytes()).unwrap();
        tree.insert("other/x.yaml", file.as_bytes()).unwrap();
        tree.insert("deploy/bad.yml", format!("a: [ {MARK}").as_bytes()).unwrap();
        let applied = apply(&tree, "./deploy/../deploy/", &setters()).unwrap();
        assert_eq!(applied.files.len(), 1);
        assert!(applied.files[0].1.starts_with("\u{feff}apiVersion".as_bytes()));
        let objects = &applied.changed.files["app/x.yaml"];
        let ids: Vec<String> = objects.keys().map(|id| format!("{}/{}/{}", id.kind, id.namespace, id.name)).collect();
        assert_eq!(ids, ["Y//", "X/q/n"]);
        assert_eq!(applied.changed.changes().len(), 2);
        assert_eq!(applied.problems[0].0, "deploy/bad.yml");
        assert!(matches!(apply(&tree, "none", &setters()), Err(SettersError::Path { .. })));
        assert_eq!(apply(&tree, "../..", &setters()).unwrap().files.len(), 2, "above the root is the root");
        let list = format!("kind: List\nitems:\n- kind: A\n  metadata: {{name: x}}\n  image: a {MARK}\n");
        let applied = apply_file("l.yaml", list.as_bytes(), &setters());
        assert_eq!(applied.changed.objects().keys().next().unwrap().name, "x");
    }

    #[test]
    fn unknown_policies_are_told_and_hostile_images_are_refused() {
        let file = format!("{HEAD}image: a # {{\"$imagepolicy\": \"ns:none:tag\"}}\n");
        let applied = apply_file("x.yaml", file.as_bytes(), &setters());
        assert_eq!(applied.unknown, [("x.yaml:4".to_owned(), "ns:none:tag".to_owned())]);
        for (image, tag) in [("a\nb", "1"), ("a", "1\x1b[2J"), ("a", ""), ("", "1"), ("a", "-x"), ("a b", "1")] {
            let choice = Choice { image: image.into(), tag: tag.into(), ..Choice::default() };
            assert!(Setters::of(&[choice]).is_err(), "{image:?}:{tag:?}");
        }
    }
}
