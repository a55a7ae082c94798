//! What a person does with keyboard, clipboard and mouse: which action it is, and which screen takes it.

use std::time::Duration;

use ratatui::layout::Position;

use super::Console;
use super::actions::Action;
use super::keys::Press;
use super::message::{Effect, Mouse, Reply, Say, Tone};
use crate::config::Key;

impl Console {
    pub(super) fn key(&mut self, key: Key, at: Duration, effects: &mut Vec<Effect>) {
        self.cx.pressed_before = std::mem::replace(&mut self.cx.pressed, at);
        let scope = self.scope();
        self.pending.push(key);
        let mut press = self.cx.keys.press(scope, &self.pending);
        // A key that does not go on with a sequence begins anew.
        if press == Press::Nothing && self.pending.len() > 1 {
            self.pending = vec![key];
            press = self.cx.keys.press(scope, &self.pending);
        }
        if !self.follows.is_empty() {
            self.follows.clear();
            self.dirty = true;
        }
        if let Press::Pending(follows) = press {
            self.follows = follows;
            self.dirty = true;
            return;
        }
        self.pending.clear();
        match (press, self.prompt.is_some()) {
            (Press::Action(action), true) => self.prompt_act(action, effects),
            (Press::Action(action), false) => self.act(action, effects),
            (Press::Typed(character), true) => self.prompt_type(character, effects),
            (_, true) | (Press::Pending(_), _) => {}
            (_, false) => {
                if scope.types() {
                    let (number, screen, cx) = self.top();
                    let reply = screen.key(key, cx);
                    self.obey(number, reply, effects);
                }
            }
        }
    }

    /// An action of the line that filters.
    fn prompt_act(&mut self, action: Action, effects: &mut Vec<Effect>) {
        let Some(field) = &mut self.prompt else { return };
        self.dirty = true;
        match action {
            Action::Accept => self.prompt = None,
            Action::Back => {
                self.prompt = None;
                self.set_query("", effects);
            }
            action if field.act(action) => {
                let text = field.text().to_owned();
                self.set_query(&text, effects);
            }
            action => self.act(action, effects),
        }
    }

    fn prompt_type(&mut self, character: char, effects: &mut Vec<Effect>) {
        if let Some(field) = self.prompt.as_mut()
            && field.push(character)
        {
            let text = field.text().to_owned();
            self.set_query(&text, effects);
        }
    }

    pub(super) fn set_query(&mut self, query: &str, effects: &mut Vec<Effect>) {
        self.dirty = true;
        let (number, screen, cx) = self.top();
        let reply = screen.set_query(query, cx);
        self.obey(number, reply, effects);
    }

    pub(super) fn paste(&mut self, text: &str, effects: &mut Vec<Effect>) {
        if let Some(field) = &mut self.prompt {
            field.paste(text);
            let text = field.text().to_owned();
            return self.set_query(&text, effects);
        }
        let (number, screen, cx) = self.top();
        match screen.paste(text, cx) {
            Reply::Pass => self.say(Say::new(Tone::Note, "nothing here takes a paste"), None),
            reply => self.obey(number, reply, effects),
        }
    }

    pub(super) fn mouse(&mut self, mouse: Mouse, effects: &mut Vec<Effect>) {
        match mouse {
            Mouse::WheelUp => (0..3).for_each(|_| self.act(Action::Up, effects)),
            Mouse::WheelDown => (0..3).for_each(|_| self.act(Action::Down, effects)),
            Mouse::Press(x, y) => {
                let body = self.layout().body;
                if self.prompt.is_none() && body.contains(Position { x, y }) {
                    let (number, screen, cx) = self.top();
                    let reply = screen.press(x - body.x, y - body.y, cx);
                    self.obey(number, reply, effects);
                }
            }
        }
    }
}
