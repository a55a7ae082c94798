//! From a key to an action: the walk through the keymap, and what help, footer and hints read back from it.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::actions::{self, Action, EVERYWHERE, Scope};
use super::look::built_in;
use crate::config::{Code, ConfigError, Key, Keymap, Source, Step, inherited};

/// The keymaps that come with weir.
pub const KEYMAPS: &[(&str, &str)] =
    &[("default", include_str!("../../keymaps/default.toml")), ("vim", include_str!("../../keymaps/vim.toml"))];

/// A built-in keymap by name.
pub fn keymap(name: &str) -> Option<Source> {
    built_in("keymaps", KEYMAPS, name)
}

/// The live keymap.
#[derive(Clone, Debug)]
pub struct Keys(Keymap<Action>);

/// What a key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Press {
    Action(Action),
    /// A half-typed sequence: what may follow, and what it does.
    Pending(Vec<(String, Action)>),
    /// The key types this character.
    Typed(char),
    Nothing,
}

impl Keys {
    /// Loads a built-in keymap, with a person's own text over it where there is one.
    ///
    /// Errors as [`Keymap::load`], and when there is no keymap of that name.
    pub fn load(name: &str, own: Option<Source>) -> Result<Self, ConfigError> {
        let names = KEYMAPS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let top = keymap(name).ok_or_else(|| ConfigError {
            file: "settings".into(),
            line: 0,
            message: format!("there is no keymap {name:?}; there are {names}"),
        })?;
        let mut sources = inherited(top, &keymap)?;
        if let Some(own) = own {
            let chain = inherited(own, &keymap)?;
            if chain.len() > 1 {
                sources = chain;
            } else {
                sources.extend(chain);
            }
        }
        let (scopes, words) = actions::words();
        Keymap::load(&sources, &actions::as_words(&scopes, &words)).map(Keys)
    }

    /// What the keys pressed so far mean; the scope's own keys come first, then those of everywhere.
    pub fn press(&self, scope: Scope, pressed: &[Key]) -> Press {
        let shared = (!scope.types()).then_some(EVERYWHERE);
        for section in std::iter::once(scope.name()).chain(shared) {
            match self.0.step(section, pressed) {
                Step::Action(action) => return Press::Action(action),
                Step::Prefix(_) => return Press::Pending(self.follows(scope, pressed)),
                Step::Nothing => {}
            }
        }
        match pressed {
            [key] if scope.types() => key.typed().map_or(Press::Nothing, Press::Typed),
            _ => Press::Nothing,
        }
    }

    /// What may follow a prefix, in the scope and everywhere.
    fn follows(&self, scope: Scope, pressed: &[Key]) -> Vec<(String, Action)> {
        let mut found = Vec::new();
        for section in [scope.name(), EVERYWHERE] {
            if let Step::Prefix(longer) = self.0.step(section, pressed) {
                found.extend(longer.into_iter().map(|(keys, action)| (written(&keys), action)));
            }
        }
        found
    }

    /// The keys of an action in a scope as people read them, the shortest first; empty when it has none.
    pub fn of(&self, scope: Scope, action: Action) -> Vec<String> {
        let shared = (!scope.types()).then_some(EVERYWHERE);
        let sections = std::iter::once(scope.name()).chain(shared);
        let mut found: Vec<String> = sections
            .flat_map(|section| self.0.bindings(section))
            .filter(|(keys, bound)| *bound == action && self.press(scope, keys) == Press::Action(action))
            .map(|(keys, _)| written(keys))
            .collect();
        found.sort_by_key(|keys| (keys.chars().count(), keys.clone()));
        found.dedup();
        found
    }
}

/// Keys as people read them: `g g`, `ctrl-d`.
pub fn written(keys: &[Key]) -> String {
    keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" ")
}

/// Reads the terminal's key; `None` for releases, for modifiers alone and for media keys.
pub fn read(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let held = |modifier| event.modifiers.contains(modifier);
    let mut key = Key {
        code: Code::Enter,
        ctrl: held(KeyModifiers::CONTROL),
        alt: held(KeyModifiers::ALT),
        shift: held(KeyModifiers::SHIFT),
    };
    key.code = match event.code {
        KeyCode::Char(character) => Code::Char(character),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => {
            key.shift = true;
            Code::Tab
        }
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Insert => Code::Insert,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::F(number) => Code::F(number),
        _ => return None,
    };
    Some(key.normal())
}

/// Leaves out what a terminal answers (to a program before this one, say): read as keys, `ESC ] 11;rgb:…` would command.
///
/// An answer opens with ESC and one of `]P_^`, and ends with ESC `\\` or BEL; without an end, all that came with it goes.
pub fn without_answers(events: Vec<Event>) -> Vec<Event> {
    let mut in_answer = false;
    let alone = events.len() == 1;
    let mut is_typed = |event: &Event| {
        let Event::Key(key) = event else { return !in_answer };
        let escaped = key.modifiers.contains(KeyModifiers::ALT);
        let ends = (escaped && key.code == KeyCode::Char('\\'))
            || (key.modifiers == KeyModifiers::CONTROL && key.code == KeyCode::Char('g'));
        let opens = escaped && matches!(key.code, KeyCode::Char(']' | 'P' | 'p' | '_' | '^'));
        let typed = !(in_answer || opens);
        in_answer = opens || (in_answer && !ends);
        typed
    };
    if alone { events } else { events.into_iter().filter(|event| is_typed(event)).collect() }
}

/// So many keys at once in a place where keys are commands were never typed: it is a paste that is not bracketed.
const BURST: usize = 48;
/// Whether so many different letters came at once that nobody typed them; a held key repeats one.
pub fn is_burst(events: &[Event]) -> bool {
    let letters: Vec<char> = events
        .iter()
        .filter_map(|event| match event {
            Event::Key(key) => read(*key).and_then(Key::typed),
            _ => None,
        })
        .collect();
    letters.windows(2).filter(|pair| pair[0] != pair[1]).count() >= BURST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::actions::ACTIONS;

    #[test]
    fn answers_of_a_terminal_are_no_keys() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        let plain = |text: &str| text.chars().map(|c| key(KeyCode::Char(c), KeyModifiers::NONE)).collect::<Vec<_>>();
        let escaped = |c| vec![key(KeyCode::Char(c), KeyModifiers::ALT)];
        let colour = [plain("j"), escaped(']'), plain("11;rgb:0000/0000/0000"), escaped('\\'), plain("k")].concat();
        assert_eq!(without_answers(colour), plain("jk"));
        let cut_off = [plain("j"), escaped(']'), plain("11;rgb:")].concat();
        assert_eq!(without_answers(cut_off), plain("j"));
        assert_eq!(without_answers(escaped(']')), escaped(']'), "alone, it is a key");
    }

    #[test]
    fn every_keymap_loads_and_reaches_every_action_somewhere() {
        for (name, _) in KEYMAPS {
            let keys = Keys::load(name, None).unwrap_or_else(|e| panic!("{e}"));
            for line in ACTIONS {
                let reached = Scope::ALL.into_iter().any(|scope| !keys.of(scope, line.action).is_empty());
                let half_page = matches!(line.action, Action::HalfPageDown | Action::HalfPageUp);
                assert!(reached || half_page, "{name}: no key for {}", line.name);
            }
        }
    }

    #[test]
    fn nothing_is_deleted_by_one_plain_key() {
        for (name, _) in KEYMAPS {
            let keys = Keys::load(name, None).unwrap();
            for scope in Scope::ALL {
                for written in keys.of(scope, Action::Ask(crate::kinds::Verb::Delete)) {
                    assert!(written.contains("ctrl-") || written.contains(' '), "{name}: {written} deletes");
                }
            }
        }
    }

    #[test]
    fn a_sequence_waits_and_says_what_may_follow() {
        let keys = Keys::load("vim", None).unwrap();
        let g = Key::char('g');
        let Press::Pending(follows) = keys.press(Scope::Tree, &[g]) else { panic!("g is a prefix") };
        assert!(follows.contains(&("g".into(), Action::First)));
        assert_eq!(keys.press(Scope::Tree, &[g, g]), Press::Action(Action::First));
        assert_eq!(keys.press(Scope::Filter, &[g]), Press::Typed('g'));
    }

    #[test]
    fn terminals_report_the_same_key_in_several_ways() {
        let event = |code, modifiers| read(KeyEvent::new(code, modifiers)).map(|key| key.to_string());
        assert_eq!(event(KeyCode::Char('g'), KeyModifiers::SHIFT), Some("G".into()));
        assert_eq!(event(KeyCode::Char('G'), KeyModifiers::SHIFT), Some("G".into()));
        assert_eq!(event(KeyCode::BackTab, KeyModifiers::NONE), Some("shift-tab".into()));
        assert_eq!(event(KeyCode::CapsLock, KeyModifiers::NONE), None);
    }
}
