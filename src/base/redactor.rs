//! [`Redactor`]: takes texts that must not be told out of everything that is.
//!
//! It knows a value in the forms in which others quote it: plain, line by line, in base64 and as JSON writes it. Pure;
//! who knows which values are secret fills it. Start with [`Redactor::new`] and [`Redactor::clean`].

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;

use super::Value;

/// What stands for a text that is not told.
pub const MASK: &str = "***";
/// Texts under that length would tear holes into ordinary words.
const SHORTEST: usize = 4;
/// The same for one line of many.
const SHORTEST_LINE: usize = 8;
/// Texts that are looked for; where there are more, nothing at all is told.
const MOST: usize = 4_000;

/// Texts that must not be told. Cheap to clone; the empty one changes nothing.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first, so that no rest of a longer one survives a shorter one.
    texts: Arc<[String]>,
    is_full: bool,
}

impl Redactor {
    pub fn new(texts: impl IntoIterator<Item = String>) -> Self {
        let mut all = BTreeSet::new();
        for text in texts {
            all.extend(forms(&text));
            if all.len() > MOST {
                break;
            }
        }
        Redactor::of(all)
    }

    fn of(all: BTreeSet<String>) -> Self {
        let is_full = all.len() > MOST;
        let mut all: Vec<String> = if is_full { Vec::new() } else { all.into_iter().collect() };
        all.sort_by_key(|text| Reverse(text.len()));
        Redactor { texts: all.into(), is_full }
    }

    /// A redactor that knows the texts of both.
    pub fn and(&self, other: &Redactor) -> Redactor {
        if self.is_full || other.is_full {
            return Redactor { texts: Arc::default(), is_full: true };
        }
        Redactor::of(self.texts.iter().chain(&*other.texts).cloned().collect())
    }

    /// The text without what must not be told.
    pub fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_full && !text.is_empty() {
            return Cow::Owned(format!("{MASK} too many values are secret for this to be told"));
        }
        let mut clean = Cow::Borrowed(text);
        for hidden in &*self.texts {
            if clean.contains(hidden.as_str()) {
                clean = Cow::Owned(clean.replace(hidden.as_str(), MASK));
            }
        }
        clean
    }

    /// Cleans the values of an object. What tells which object it is stays, and so does the data of a Secret: who shows
    /// that masks it whole.
    pub fn clean_object(&self, object: &mut Value) {
        if self.texts.is_empty() && !self.is_full {
            return;
        }
        let is_secret = object["kind"] == "Secret" && object["apiVersion"] == "v1";
        for (key, value) in object.as_object_mut().into_iter().flatten() {
            match key.as_str() {
                "apiVersion" | "kind" => {}
                "data" | "stringData" if is_secret => {}
                "metadata" => {
                    let fields = value.as_object_mut().into_iter().flatten();
                    fields
                        .filter(|(key, _)| !matches!(key.as_str(), "name" | "namespace"))
                        .for_each(|it| self.clean_value(it.1));
                }
                _ => self.clean_value(value),
            }
        }
    }

    /// Documents were read under a limit of depth, so this ends.
    fn clean_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.clean(text) {
                    *text = clean;
                }
            }
            Value::Number(number) if !matches!(self.clean(&number.to_string()), Cow::Borrowed(_)) => {
                *value = MASK.into()
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean_value(item)),
            Value::Object(fields) => fields.values_mut().for_each(|item| self.clean_value(item)),
            _ => {}
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} texts)", self.texts.len())
    }
}

/// How a value may be quoted.
fn forms(text: &str) -> Vec<String> {
    let trimmed = text.trim();
    if trimmed.len() < SHORTEST {
        return Vec::new();
    }
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let escaped = Value::from(trimmed).to_string();
    let escaped = escaped.trim_matches('"').to_owned();
    let mut all = vec![trimmed.to_owned(), encode(text), encode(trimmed), escaped];
    if trimmed.contains('\n') {
        all.extend(trimmed.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE).map(str::to_owned));
    }
    all.retain(|form| form.len() >= SHORTEST);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_taken_out_in_every_form() {
        let hidden =
            Redactor::new(["canary-one".to_owned(), "canary-one-more".into(), "abc".into(), "a\"canary\n".into()]);
        for (text, wanted) in [
            ("'canary-one' does not match", "'***' does not match"),
            ("canary-one-more", "***"),
            ("Y2FuYXJ5LW9uZQ==", "***"),
            (r#"got "a\"canary""#, r#"got "***""#),
            ("abc stays", "abc stays"),
        ] {
            assert_eq!(hidden.clean(text), wanted);
        }
        let lines = Redactor::new(["-- begin --\ncanary-line\nx\n".to_owned()]);
        assert_eq!(lines.clean("    canary-line x"), "    *** x");
        assert_eq!(Redactor::default().clean("all"), "all");
        assert!(!format!("{hidden:?}").contains("canary"));
    }

    #[test]
    fn an_object_keeps_its_name() {
        let hidden = Redactor::new(["canary".to_owned(), "123456".into()]);
        let mut object = json!({"kind": "canary", "metadata": {"name": "canary", "labels": {"a": "canary"}},
            "data": {"list": ["x canary y", 123_456, 12]}});
        hidden.clean_object(&mut object);
        assert_eq!(
            object,
            json!({"kind": "canary", "metadata": {"name": "canary", "labels": {"a": "***"}},
            "data": {"list": ["x *** y", "***", 12]}})
        );
    }

    #[test]
    fn what_is_too_much_to_look_for_hides_everything() {
        let of = |from: usize, to: usize| Redactor::new((from..to).map(|number| format!("canary-{number:05}-x")));
        let hidden = of(0, 10_000);
        assert!(!hidden.clean("canary-09999-x").contains("canary"));
        assert!(!hidden.and(&Redactor::default()).clean("canary-09999-x").contains("canary"));
        assert!(!of(0, 1_500).and(&of(1_500, 3_000)).clean("canary-02999-x").contains("canary"));
        let last = of(0, 1_500).clean("got canary-01499-x").into_owned();
        assert_eq!(last, "got ***", "what can be looked for is");
    }
}
