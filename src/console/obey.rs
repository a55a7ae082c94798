//! What the console does for its screens: replies become effects, and actions that no screen takes are the console's own.

use std::time::Duration;

use super::actions::{Action, Tab};
use super::look::{Look, THEMES};
use super::message::{Effect, Open, Reply, Say, Slot, Ticket, Tone};
use super::widgets::field::Field;
use super::{CONSOLE, Console, Layer, screens};
use crate::base::Id;
use crate::kinds::{self, Verb, View};
use crate::store::{Feed, forest};
use crate::verbs::Ask;

/// How long a first request to quit stands.
const QUIT_WITHIN: Duration = Duration::from_secs(4);
/// Screens above the tree; the oldest goes when there are more.
const DEEPEST: usize = 16;

impl Console {
    /// Does what a screen's reply says.
    pub(super) fn obey(&mut self, screen: u32, reply: Reply, effects: &mut Vec<Effect>) {
        match reply {
            Reply::Stay | Reply::Pass => {}
            Reply::Redraw => self.dirty = true,
            Reply::Open(open) => self.open(open, effects),
            Reply::Back => self.close_top(effects),
            Reply::Fetch(slot, query) => {
                let ticket = self.ticket(screen, slot, effects);
                effects.push(Effect::Fetch(ticket, query));
            }
            Reply::Sift(sieve) => {
                let ticket = self.ticket(screen, Slot::Sift, effects);
                effects.push(Effect::Sift(ticket, sieve));
            }
            Reply::Paint(tab, text) => {
                let ticket = self.ticket(screen, Slot::Paint(tab), effects);
                effects.push(Effect::Paint(ticket, text));
            }
            Reply::Ask(slot, ask) => self.ask(screen, slot, ask, effects),
            Reply::Copy(text) => effects.push(Effect::Copy(text)),
            Reply::Say(say) => self.say(say, None),
            Reply::Theme(name) => self.theme(&name),
            Reply::Act(action) => self.act(action, effects),
            Reply::Many(replies) => {
                for reply in replies {
                    self.obey(screen, reply, effects);
                }
            }
        }
    }

    /// A ticket for a slot; what the slot waited for before is cancelled.
    fn ticket(&mut self, screen: u32, slot: Slot, effects: &mut Vec<Effect>) -> Ticket {
        let serial = self.serials.entry((screen, slot)).or_insert(0);
        if *serial > 0 {
            effects.push(Effect::Cancel(Ticket { screen, slot, serial: *serial }));
        }
        *serial += 1;
        Ticket { screen, slot, serial: *serial }
    }

    /// Verbs are never cancelled: each has a ticket of its own, and a toast until its outcome is known.
    fn ask(&mut self, screen: u32, slot: Slot, ask: Ask, effects: &mut Vec<Effect>) {
        let text = match &ask {
            Ask::Verb(verb, id) | Ask::VerbOn { verb, id, .. } => format!("{} {id}", verb.name()),
            Ask::Release { id, .. } => format!("reconcile {id}"),
            Ask::Save { id, .. } => format!("save {id}"),
            Ask::Put { document } => Id::of(document).map_or("create".into(), |id| format!("create {id}")),
        };
        let serial = self.serials.entry((screen, slot)).or_insert(0);
        *serial += 1;
        let ticket = Ticket { screen, slot, serial: *serial };
        self.say(Say::new(Tone::Working, text), Some(ticket));
        effects.push(Effect::Ask(ticket, ask));
    }

    pub(super) fn open(&mut self, open: Open, effects: &mut Vec<Effect>) {
        self.prompt = None;
        self.dirty = true;
        match &open {
            Open::Tree(id) => {
                self.close_down_to(1, effects);
                if let Some(id) = id {
                    let (number, screen, cx) = self.top();
                    let reply = screen.reveal(id, cx);
                    self.obey(number, reply, effects);
                }
                return;
            }
            // A list takes the place of what was above the tree: going from kind to kind piles nothing up.
            Open::List { .. } => self.close_down_to(1, effects),
            _ => {}
        }
        let below = self.about();
        let screen = screens::open(open, &self.cx, below);
        let number = self.next_screen;
        self.next_screen += 1;
        self.stack.push(Layer { number, screen });
        if self.stack.len() > DEEPEST {
            self.close(1, effects);
        }
        let (number, screen, cx) = self.top();
        let reply = screen.opened(cx);
        self.obey(number, reply, effects);
    }

    fn close_down_to(&mut self, depth: usize, effects: &mut Vec<Effect>) {
        while self.stack.len() > depth {
            self.close(self.stack.len() - 1, effects);
        }
    }

    fn close_top(&mut self, effects: &mut Vec<Effect>) {
        if self.stack.len() > 1 {
            self.close(self.stack.len() - 1, effects);
        }
    }

    /// Takes a screen away and cancels what it waits for; its verbs go on.
    fn close(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let layer = self.stack.remove(index);
        let work = layer.screen.work();
        self.closed.cells += work.cells;
        self.closed.rows += work.rows;
        self.dirty = true;
        self.serials.retain(|(screen, slot), serial| {
            let mine = *screen == layer.number;
            if mine && *slot != Slot::Verb {
                effects.push(Effect::Cancel(Ticket { screen: *screen, slot: *slot, serial: *serial }));
            }
            !mine
        });
    }

    /// An action: the screen's first, then the console's own.
    pub(super) fn act(&mut self, action: Action, effects: &mut Vec<Effect>) {
        let (number, screen, cx) = self.top();
        match screen.act(action, cx) {
            Reply::Pass => self.act_itself(action, effects),
            reply => self.obey(number, reply, effects),
        }
    }

    fn act_itself(&mut self, action: Action, effects: &mut Vec<Effect>) {
        match action {
            Action::Back => self.back(effects),
            Action::Quit if self.stack.len() > 1 => self.back(effects),
            Action::Quit | Action::Exit => self.quit(effects),
            Action::Palette => self.open(Open::Palette, effects),
            Action::Help => self.open(Open::Help, effects),
            Action::Activity => self.open(Open::Activity, effects),
            Action::Tree => {
                let id = self.top_screen().subject().cloned();
                self.open(Open::Tree(id), effects);
            }
            Action::Kind(number) => {
                if let Some(kind) = kinds::NUMBERED.get(usize::from(number).wrapping_sub(1)) {
                    self.open(Open::List { group: kind.group.into(), kind: kind.kind.into() }, effects);
                }
            }
            Action::Filter => {
                if let Some(query) = self.top_screen().query() {
                    self.prompt = Some(Field::with(query));
                    self.dirty = true;
                }
            }
            Action::Ask(verb) => self.ask_subject(verb, effects),
            Action::Show(tab) => match self.top_screen().subject().cloned() {
                Some(id) if !tab.is_common() && !Tab::of(kinds::of_id(&id)).any(|known| known == tab) => {
                    self.show_elsewhere(&id, tab, effects);
                }
                Some(id) => self.open(Open::Detail(id, tab), effects),
                None => self.say(Say::new(Tone::Note, "no object is under the cursor"), None),
            },
            Action::Copy => self.copy(effects),
            Action::Write => self.write(effects),
            Action::Theme => {
                let at = THEMES.iter().position(|(name, _)| *name == self.cx.look.name);
                let next = at.map_or(0, |at| (at + 1) % THEMES.len());
                self.theme(THEMES[next].0);
            }
            Action::Demo if self.cx.demo => {
                let ticket = Ticket { screen: CONSOLE, slot: Slot::Verb, serial: self.next_serial() };
                self.say(Say::new(Tone::Working, "a new commit in the demo repository"), Some(ticket));
                effects.push(Effect::Demo(ticket));
            }
            Action::Redraw => {
                effects.push(Effect::Redraw);
                self.dirty = true;
            }
            Action::Pause => effects.push(Effect::Pause),
            _ => {}
        }
    }

    /// A page that an object does not have: what would change it is shown instead, if anybody would write it.
    fn show_elsewhere(&mut self, id: &Id, tab: Tab, effects: &mut Vec<Effect>) {
        let wanted = tab == Tab::View(View::Diff);
        let editors = if wanted { forest::editors(&self.cx.store, id) } else { Vec::new() };
        let Some(editor) = editors.first().cloned() else {
            let text = format!("{id} has no {}", tab.title().to_lowercase());
            return self.say(Say::new(Tone::Note, text), None);
        };
        let more = match editors.len() {
            1 => String::new(),
            count => format!("; {} more write there", count - 1),
        };
        let text = format!("what {editor} would write into the source of {id}{more}");
        self.open(Open::Detail(editor, tab), effects);
        self.say(Say::new(Tone::Note, text), None);
    }

    /// The page to a file, named after its object.
    fn write(&mut self, effects: &mut Vec<Effect>) {
        let top = self.top_screen();
        let Some(text) = top.copied() else {
            return self.say(Say::new(Tone::Note, "there is no page to write"), None);
        };
        let name = top.subject().map_or("weir".to_owned(), |id| {
            let parts = [&*id.kind, &*id.namespace, &*id.name].map(str::to_lowercase);
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
        });
        let ending = if text.starts_with("diff --git ") { "patch" } else { "txt" };
        let ticket = Ticket { screen: CONSOLE, slot: Slot::Verb, serial: self.next_serial() };
        self.say(Say::new(Tone::Working, "writing the page to a file"), Some(ticket));
        effects.push(Effect::Write(ticket, name, ending, text));
    }

    fn next_serial(&mut self) -> u32 {
        let serial = self.serials.entry((CONSOLE, Slot::Verb)).or_insert(0);
        *serial += 1;
        *serial
    }

    /// One step back: the filter first, then the screen, then what is told in passing.
    fn back(&mut self, effects: &mut Vec<Effect>) {
        if self.top_screen().query().is_some_and(|query| !query.is_empty()) {
            return self.set_query("", effects);
        }
        if self.stack.len() > 1 {
            return self.close_top(effects);
        }
        self.dirty |= self.toasts.dismiss();
    }

    fn quit(&mut self, effects: &mut Vec<Effect>) {
        let now = self.cx.pressed;
        if self.quitting.is_some_and(|asked| now < asked + QUIT_WITHIN) {
            effects.push(Effect::Quit);
            return;
        }
        self.quitting = Some(now);
        let mut hint = Vec::new();
        if self.cx.reconciling {
            hint.push("reconciling stops with it, until weir runs again".to_owned());
        }
        match self.toasts.working() {
            0 => {}
            1 => hint.push("an action is still under way".to_owned()),
            count => hint.push(format!("{count} actions are still under way")),
        }
        if self.stack.iter().any(|layer| layer.screen.is_dirty()) {
            hint.push("an edit is not saved".to_owned());
        }
        self.say(Say::with_hint(Tone::Note, "press again to quit", hint.join("; ")), None);
    }

    fn ask_subject(&mut self, verb: Verb, effects: &mut Vec<Effect>) {
        let top = self.top_screen();
        let Some(id) = top.subject().cloned() else {
            return self.say(Say::new(Tone::Note, "no object is under the cursor"), None);
        };
        if let Some(say) = self.refusal(verb, &id, top.is_lost()) {
            return self.say(say, None);
        }
        let target = self.cx.target(&id);
        match verb {
            Verb::Delete => self.open(Open::Confirm(target), effects),
            Verb::Edit => self.open(Open::Edit(target), effects),
            verb if verb.is_surprising() && self.cx.foresees && kinds::of_id(&id).views.contains(&View::Diff) => {
                self.open(Open::Before(verb, target), effects);
            }
            verb => self.ask(CONSOLE, Slot::Verb, Ask::VerbOn { verb, id, uid: target.uid }, effects),
        }
    }

    /// Why a verb is not taken now; nothing is sent that the person could not have meant.
    fn refusal(&self, verb: Verb, id: &Id, lost: bool) -> Option<Say> {
        let kind = kinds::of_id(id);
        let name = verb.name();
        if lost {
            return Some(Say::new(Tone::Failed, format!("{id} is gone: move to another object before you {name}")));
        }
        if self.cx.read_only {
            let hint = "set read_only = false in config.toml, or start weir without --read-only";
            return Some(Say::with_hint(Tone::Failed, format!("read-only: {name} is not sent"), hint));
        }
        if !kind.offers(verb) {
            let offered: Vec<&str> = kind.verbs.iter().map(|verb| verb.name()).collect();
            let text = format!("{name} means nothing for a {}", id.kind);
            return Some(Say::with_hint(Tone::Note, text, format!("it takes {}", offered.join(", "))));
        }
        if self.cx.store.get(id).is_none() {
            return Some(Say::new(Tone::Failed, format!("{id}: {}", self.cx.absence(id))));
        }
        let seconds = self.cx.too_old(id)?;
        let why = match self.cx.feed(&id.group, &id.kind) {
            Some(Feed::Stale { why, .. }) => why.to_string(),
            _ => String::new(),
        };
        let text = format!("{name} is not sent: what you see of {id} is {seconds}s old");
        Some(Say::with_hint(Tone::Failed, text, format!("it works again when the connection is back: {why}")))
    }

    fn copy(&mut self, effects: &mut Vec<Effect>) {
        let top = self.top_screen();
        let (text, what) = match (top.copied(), top.subject()) {
            (Some(text), _) => (text, "the page"),
            (None, Some(id)) => (id.name.to_string(), "the name"),
            (None, None) => return,
        };
        /// What terminals take by OSC 52, before base64.
        const MOST: usize = 74_000;
        if text.len() > MOST {
            let text = format!("too long to copy: {} bytes, and terminals take {MOST}", text.len());
            return self.say(Say::new(Tone::Failed, text), None);
        }
        self.say(Say::new(Tone::Note, format!("copied {what}")), None);
        effects.push(Effect::Copy(text));
    }

    fn theme(&mut self, name: &str) {
        match Look::load(name, self.cx.own_theme.clone(), self.cx.depth) {
            Ok(look) => {
                self.say(Say::new(Tone::Note, format!("theme {name}")), None);
                self.cx.look = look;
            }
            Err(e) => self.say(Say::new(Tone::Failed, e.to_string()), None),
        }
    }
}
