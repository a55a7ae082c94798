//! [`Keymap`]: which keys do what where. Names are resolved when the keymap loads, so a wrong one is a load error.
//!
//! A keymap is a table per scope: `"g g" = "first"`. Later files merge over earlier ones; `"none"` takes a key away.

use std::collections::BTreeMap;

use super::layer::did_you_mean;
use super::{ConfigError, Key, Source};

/// The scopes and actions that exist.
pub struct Words<'a, A> {
    pub scopes: &'a [&'a str],
    pub actions: &'a [Word<'a, A>],
}

/// One action: its name in files, the scopes where it can act (none means all), and what it resolves to.
pub struct Word<'a, A> {
    pub name: &'a str,
    pub scopes: &'a [&'a str],
    pub action: A,
}

/// Scope → key sequence → action.
///
/// Invariant: within a scope no sequence is the beginning of another, so a full match never has to wait for a clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap<A> {
    scopes: BTreeMap<String, BTreeMap<Vec<Key>, A>>,
}

/// What the keys pressed so far mean in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<A> {
    /// A whole sequence.
    Action(A),
    /// The beginning of these: what may follow, and what it does.
    Prefix(Vec<(Vec<Key>, A)>),
    Nothing,
}

/// What takes a key away.
const NONE: &str = "none";

struct Bound<A> {
    action: A,
    file: String,
    line: usize,
}

type Bindings<A> = BTreeMap<String, BTreeMap<Vec<Key>, Bound<A>>>;

impl<A: Copy> Keymap<A> {
    /// Loads texts, later ones over earlier ones.
    ///
    /// Errors on an unknown scope, action or key, on a key bound twice in one text, on an action in a scope where it
    /// cannot act, and on a sequence that begins another.
    pub fn load(sources: &[Source], words: &Words<'_, A>) -> Result<Self, ConfigError> {
        let mut bindings = Bindings::new();
        for source in sources {
            merge(&mut bindings, source, words)?;
        }
        for (scope, keys) in &bindings {
            refuse_hidden(scope, keys)?;
        }
        let plain = |keys: BTreeMap<Vec<Key>, Bound<A>>| keys.into_iter().map(|(keys, bound)| (keys, bound.action));
        Ok(Keymap { scopes: bindings.into_iter().map(|(scope, keys)| (scope, plain(keys).collect())).collect() })
    }

    /// What these keys mean in that scope.
    pub fn step(&self, scope: &str, pressed: &[Key]) -> Step<A> {
        let Some(keys) = self.scopes.get(scope) else { return Step::Nothing };
        if let Some(action) = keys.get(pressed) {
            return Step::Action(*action);
        }
        let longer = keys.range(pressed.to_vec()..).take_while(|(keys, _)| keys.starts_with(pressed));
        let longer: Vec<_> = longer.map(|(keys, action)| (keys[pressed.len()..].to_vec(), *action)).collect();
        if longer.is_empty() || pressed.is_empty() { Step::Nothing } else { Step::Prefix(longer) }
    }

    /// Everything bound in a scope, in key order.
    pub fn bindings(&self, scope: &str) -> impl Iterator<Item = (&[Key], A)> {
        self.scopes.get(scope).into_iter().flatten().map(|(keys, action)| (keys.as_slice(), *action))
    }
}

fn merge<A: Copy>(into: &mut Bindings<A>, source: &Source, words: &Words<'_, A>) -> Result<(), ConfigError> {
    let table = source.table()?;
    for (scope, keys) in table.iter().filter(|(scope, _)| scope.get_ref() != "inherits") {
        let name = scope.get_ref().as_ref();
        if !words.scopes.contains(&name) {
            let hint = did_you_mean(name, words.scopes.iter().copied());
            return Err(source.error(scope.span(), format!("there is no scope {name:?}{hint}")));
        }
        let Some(keys) = keys.get_ref().as_table() else {
            return Err(source.error(keys.span(), format!("{name} wants lines like \"ctrl-d\" = \"delete\"")));
        };
        let mut seen: BTreeMap<Vec<Key>, String> = BTreeMap::new();
        let known = into.entry(name.to_owned()).or_default();
        let mut lines: Vec<_> = keys.iter().collect();
        lines.sort_by_key(|(key, _)| key.span().start);
        for (key, action) in lines {
            let written = key.get_ref().as_ref();
            let sequence = Key::parse_sequence(written).map_err(|message| source.error(key.span(), message))?;
            if let Some(first) = seen.insert(sequence.clone(), written.to_owned()) {
                let message = format!("{written:?} is the same key as {first:?}, which {name} has already");
                return Err(source.error(key.span(), message));
            }
            let Some(wanted) = action.get_ref().as_str() else {
                return Err(source.error(action.span(), format!("{written:?} wants the name of an action in quotes")));
            };
            if wanted == NONE {
                known.remove(&sequence);
                continue;
            }
            let action = resolve(name, wanted, words).map_err(|message| source.error(action.span(), message))?;
            let line = source.error(key.span(), "").line;
            known.insert(sequence, Bound { action, file: source.file.clone(), line });
        }
    }
    Ok(())
}

fn resolve<A: Copy>(scope: &str, wanted: &str, words: &Words<'_, A>) -> Result<A, String> {
    let acts_here = |word: &&Word<'_, A>| word.scopes.is_empty() || word.scopes.contains(&scope);
    match words.actions.iter().find(|word| word.name == wanted) {
        Some(word) if acts_here(&word) => Ok(word.action),
        Some(word) => Err(format!("{wanted:?} cannot act in {scope}; it acts in {}", word.scopes.join(", "))),
        None => {
            let hint = did_you_mean(wanted, words.actions.iter().filter(acts_here).map(|word| word.name));
            Err(format!("there is no action {wanted:?}{hint}"))
        }
    }
}

/// Neighbours in key order suffice: what begins with a sequence follows it at once.
fn refuse_hidden<A>(scope: &str, keys: &BTreeMap<Vec<Key>, Bound<A>>) -> Result<(), ConfigError> {
    for ((short, first), (long, second)) in keys.iter().zip(keys.iter().skip(1)) {
        if long.starts_with(short) {
            let text = |keys: &[Key]| keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" ");
            let (short, long) = (text(short), text(long));
            return Err(ConfigError {
                file: second.file.clone(),
                line: second.line,
                message: format!(
                    "in {scope}, {short:?} ({}:{}) hides {long:?}: give one of them \"none\"",
                    first.file, first.line
                ),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words<'_, u8> = Words {
        scopes: &["everywhere", "tree"],
        actions: &[
            Word { name: "down", scopes: &[], action: 1 },
            Word { name: "first", scopes: &["tree"], action: 2 },
            Word { name: "delete", scopes: &["tree"], action: 3 },
        ],
    };

    fn load(texts: &[&str]) -> Result<Keymap<u8>, String> {
        let named = |(index, text): (usize, &&str)| Source::new(format!("{index}.toml"), *text);
        let sources: Vec<Source> = texts.iter().enumerate().map(named).collect();
        Keymap::load(&sources, &WORDS).map_err(|e| e.to_string())
    }

    #[test]
    fn later_files_merge_over_earlier_ones() {
        let map = load(&["[tree]\nj = 'down'\n'g g' = 'first'", "[tree]\nj = 'none'\n'ctrl-n' = 'down'"]).unwrap();
        let step = |text: &str| map.step("tree", &Key::parse_sequence(text).unwrap());
        assert_eq!(step("j"), Step::Nothing);
        assert_eq!(step("ctrl-n"), Step::Action(1));
        assert_eq!(step("g"), Step::Prefix(vec![(vec![Key::char('g')], 2)]));
        assert_eq!(step("g g"), Step::Action(2));
        assert_eq!(step("g x"), Step::Nothing);
    }

    #[test]
    fn mistakes_name_the_place_and_the_right_word() {
        for (texts, message) in [
            (&["[tre]\n"][..], "0.toml:1: there is no scope \"tre\": did you mean \"tree\"?"),
            (&["[tree]\nj = 'dwon'"], "0.toml:2: there is no action \"dwon\": did you mean \"down\"?"),
            (&["[tree]\n\nctl-d = 'delete'"], "0.toml:3: \"ctl-d\" is not a key: \"ctl\" is not ctrl, alt or shift"),
            (&["[everywhere]\nx = 'delete'"], "0.toml:2: \"delete\" cannot act in everywhere; it acts in tree"),
            (
                &["[tree]\nctrl-d = 'delete'\nC-d = 'down'"],
                "0.toml:3: \"C-d\" is the same key as \"ctrl-d\", which tree has already",
            ),
            (
                &["[tree]\n'g g' = 'first'", "[tree]\ng = 'down'"],
                "0.toml:2: in tree, \"g\" (1.toml:2) hides \"g g\": give one of them \"none\"",
            ),
        ] {
            assert_eq!(load(texts).unwrap_err(), message);
        }
        assert!(load(&["[tree]\nj = 1"]).unwrap_err().starts_with("0.toml:2:"));
        assert!(load(&["[tree]\nj = 'down'\nj = 'down'"]).unwrap_err().starts_with("0.toml:3:"));
    }
}
