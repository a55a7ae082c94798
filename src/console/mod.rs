//! The console: messages in, effects out, and a frame that is a function of both.
//!
//! [`Console::update`] is the only place that changes console state; [`Console::draw`] cannot. Nothing here waits, spawns
//! or knows a terminal: `run.rs` drives it, `effects.rs` does what it asks for, and a test can stand in for both.
//! Start with [`message`], then [`screens`], then [`Console::update`].

pub mod actions;
pub mod effects;
pub mod frame;
#[cfg(unix)]
pub mod guard;
mod input;
pub mod keys;
pub mod layout;
pub mod look;
pub mod message;
mod obey;
mod paint;
pub mod rows;
pub mod run;
pub mod screens;
pub mod shared;
pub mod start;
pub mod terminal;
pub mod widgets;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::collections::HashMap;
use std::time::Duration;

use self::actions::{Action, Scope};
use self::layout::{Layout, layout};
use self::look::{Look, Role};
use self::message::{Answer, Effect, Msg, Reply, Say, Slot, Ticket, Tone};
use self::rows::Work;
use self::screens::{Screen, Tree};
use self::shared::Shared;
use self::widgets::field::Field;
use self::widgets::footer::{self, About};
use self::widgets::toasts::Toasts;
use self::widgets::{Canvas, Piece, gate, header};
use crate::base::Stamp;
use crate::config::Key;
use crate::kinds;
use crate::store::Changes;

/// Everything a person looks at, and the stack of screens they came through.
pub struct Console {
    cx: Shared,
    /// The tree is at the bottom and stays there.
    stack: Vec<Layer>,
    /// Numbers screens, so that late answers find none.
    next_screen: u32,
    serials: HashMap<(u32, Slot), u32>,
    /// The line that filters or searches, while a person types into it.
    prompt: Option<Field>,
    pending: Vec<Key>,
    follows: Vec<(String, Action)>,
    toasts: Toasts,
    /// When quitting was last asked for.
    quitting: Option<Duration>,
    banner: Vec<Piece>,
    dirty: bool,
    frames: u64,
    /// What closed screens had done.
    closed: Work,
}

struct Layer {
    number: u32,
    screen: Box<dyn Screen>,
}

/// The console's own number among the screens.
const CONSOLE: u32 = 0;

impl Console {
    /// A console over a picture; the tree is open.
    pub fn new(cx: Shared) -> Self {
        let tree = Layer { number: 1, screen: Box::new(Tree::new(&cx)) };
        let mut console = Console {
            cx,
            stack: vec![tree],
            next_screen: 2,
            serials: HashMap::new(),
            prompt: None,
            pending: Vec::new(),
            follows: Vec::new(),
            toasts: Toasts::default(),
            quitting: None,
            banner: Vec::new(),
            dirty: true,
            frames: 0,
            closed: Work::default(),
        };
        console.cx.feeds = console.cx.store.feeds();
        console.banner = header::banner(&console.cx);
        console
    }

    /// Takes a message in and answers what shall be done outside. The only place that changes the console.
    pub fn update(&mut self, msg: Msg) -> Vec<Effect> {
        let mut effects = Vec::new();
        match msg {
            Msg::Key(key, at) => self.key(key, at, &mut effects),
            Msg::Paste(text) => self.paste(&text, &mut effects),
            Msg::Mouse(mouse) => self.mouse(mouse, &mut effects),
            Msg::Size(width, height) => {
                self.cx.size = (width, height);
                self.dirty = true;
            }
            Msg::Changed(changes) => self.changed(&changes, &mut effects),
            Msg::Logged => self.each(&mut effects, |screen, cx| screen.logged(cx)),
            Msg::Answer(ticket, answer) => self.answer(ticket, *answer, &mut effects),
            Msg::Progress(ticket, text) => self.dirty |= self.toasts.progress(ticket, text),
            Msg::Second(now) => self.second(now),
            Msg::Resumed => {
                effects.push(Effect::Redraw);
                self.dirty = true;
            }
            Msg::Trouble(text) => self.say(Say { tone: Tone::Failed, text, hint: Default::default() }, None),
        }
        effects
    }

    fn top(&mut self) -> (u32, &mut dyn Screen, &Shared) {
        let layer = self.stack.last_mut().expect("the tree never leaves the stack");
        (layer.number, layer.screen.as_mut(), &self.cx)
    }

    fn top_screen(&self) -> &dyn Screen {
        self.stack.last().expect("the tree never leaves the stack").screen.as_ref()
    }

    /// The scope whose keys apply now.
    pub fn scope(&self) -> Scope {
        if self.prompt.is_some() { Scope::Filter } else { self.top_screen().scope() }
    }

    fn changed(&mut self, changes: &Changes, effects: &mut Vec<Effect>) {
        if changes.feeds {
            self.cx.feeds = self.cx.store.feeds();
            self.banner = header::banner(&self.cx);
            self.dirty = true;
        }
        self.each(effects, |screen, cx| screen.changed(changes, cx));
    }

    /// Tells all screens something, the lowest first.
    fn each(&mut self, effects: &mut Vec<Effect>, tell: impl Fn(&mut dyn Screen, &Shared) -> Reply) {
        let replies: Vec<(u32, Reply)> =
            self.stack.iter_mut().map(|layer| (layer.number, tell(layer.screen.as_mut(), &self.cx))).collect();
        for (number, reply) in replies {
            self.obey(number, reply, effects);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer, effects: &mut Vec<Effect>) {
        match &answer {
            Answer::Done(Ok(outcome)) => {
                let say = Say { tone: Tone::Done, text: outcome.message.clone(), hint: Default::default() };
                self.say(say, Some(ticket));
            }
            Answer::Done(Err(refusal)) => {
                let say = Say { tone: Tone::Failed, text: refusal.message.clone(), hint: refusal.hint.clone() };
                self.say(say, Some(ticket));
            }
            Answer::Demo(result) => {
                let (tone, text) = match result {
                    Ok(text) => (Tone::Done, text),
                    Err(text) => (Tone::Failed, text),
                };
                self.say(Say { tone, text: text.clone(), hint: Default::default() }, Some(ticket));
            }
            Answer::Written(Ok(file)) => self.say(Say::new(Tone::Done, format!("written to {file}")), Some(ticket)),
            Answer::Written(Err(refusal)) => {
                let say = Say { tone: Tone::Failed, text: refusal.message.clone(), hint: refusal.hint.clone() };
                self.say(say, Some(ticket));
            }
            // What is not the newest of its slot is void.
            _ if self.serials.get(&(ticket.screen, ticket.slot)) != Some(&ticket.serial) => return,
            _ => {}
        }
        let cx = &self.cx;
        let Some(layer) = self.stack.iter_mut().find(|layer| layer.number == ticket.screen) else { return };
        let reply = layer.screen.answer(ticket.slot, answer, cx);
        self.obey(ticket.screen, reply, effects);
    }

    fn second(&mut self, now: Stamp) {
        let due = self.due().is_some_and(|due| due <= now);
        self.cx.now = now;
        self.toasts.tick(now);
        self.dirty |= due;
    }

    fn say(&mut self, say: Say, ticket: Option<Ticket>) {
        self.toasts.say(say, ticket, self.cx.now);
        self.dirty = true;
    }

    /// When the next visible text changes by itself: an age, or a toast that goes. An idle console is not woken before.
    pub fn due(&self) -> Option<Stamp> {
        let stale = self.cx.feeds.iter().filter_map(|line| match line.feed {
            crate::store::Feed::Stale { since, .. } => {
                Some(Stamp(self.cx.now.0 + shared::age_lasts(since, self.cx.now)))
            }
            _ => None,
        });
        let screens = self.visible().filter_map(|layer| layer.screen.due());
        stale.chain(screens).chain(self.toasts.due()).min()
    }

    /// Draws with other styles from now on.
    pub fn set_look(&mut self, look: Look) {
        self.cx.look = look;
        self.dirty = true;
    }

    /// Whether a frame would differ from the last.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Work done so far, for budgets.
    pub fn work(&self) -> Work {
        let mut work = self.closed;
        for layer in &self.stack {
            let done = layer.screen.work();
            work.cells += done.cells;
            work.rows += done.rows;
        }
        Work { frames: self.frames, ..work }
    }

    /// The screens that are drawn: the topmost that is no overlay, and all above it.
    fn visible(&self) -> impl Iterator<Item = &Layer> {
        let base = self.stack.iter().rposition(|layer| !layer.screen.is_overlay()).unwrap_or(0);
        self.stack[base..].iter()
    }

    fn layout(&self) -> Layout {
        layout(Rect::new(0, 0, self.cx.size.0, self.cx.size.1), !self.banner.is_empty())
    }

    /// Makes ready what is in view; call it before [`Console::draw`].
    pub fn prepare(&mut self) {
        let body = self.layout().body;
        let base = self.stack.iter().rposition(|layer| !layer.screen.is_overlay()).unwrap_or(0);
        for layer in &mut self.stack[base..] {
            layer.screen.prepare(&self.cx, body);
        }
        self.dirty = false;
        self.frames += 1;
    }

    /// Draws a frame; answers where the terminal's cursor belongs. Changes nothing but the buffer.
    pub fn draw(&self, buffer: &mut Buffer) -> Option<(u16, u16)> {
        let parts = self.layout();
        let fits = buffer.area.width >= self.cx.size.0 && buffer.area.height >= self.cx.size.1;
        if !fits || buffer.area.is_empty() {
            return None;
        }
        let canvas = &mut Canvas { buffer, look: &self.cx.look };
        let top = self.top_screen();
        let totals = self.visible().filter_map(|layer| layer.screen.totals()).last();
        let totals = totals.or_else(|| self.stack.first().and_then(|layer| layer.screen.totals())).unwrap_or_default();
        let title = self.visible().next().map(|layer| layer.screen.title(&self.cx)).unwrap_or_default();
        header::draw(canvas, parts.header, &self.cx, &title, &totals);
        canvas.pieces(
            parts.banner.x + 1,
            parts.banner.y,
            parts.banner.width.saturating_sub(2) * parts.banner.height,
            &self.banner,
        );
        for layer in self.visible() {
            layer.screen.draw(&self.cx, canvas, parts.body);
        }
        let mut cursor = top.cursor(parts.body);
        let line = Rect { x: parts.footer.x + 1, width: parts.footer.width.saturating_sub(2), ..parts.footer };
        if parts.footer.height > 0 {
            match &self.prompt {
                Some(field) => cursor = Some(field.draw(canvas, line, "/")),
                None => self.draw_footer(canvas, line),
            }
        }
        let spare = self.visible().next().map_or(parts.body, |layer| layer.screen.spare(parts.body));
        self.toasts.draw(canvas, spare);
        if !self.follows.is_empty() {
            footer::follows(canvas, parts.body, &keys::written(&self.pending), &self.follows);
        }
        gate(canvas.buffer, &self.cx.look);
        cursor
    }

    fn draw_footer(&self, canvas: &mut Canvas<'_>, line: Rect) {
        let top = self.top_screen();
        let mut line = line;
        if let Some(query) = top.query().filter(|query| !query.is_empty()) {
            let pieces = [Piece::new(format!("/{query}"), Role::Match), Piece::new("  ", Role::Hint)];
            let used = canvas.pieces(line.x, line.y, line.width, &pieces);
            line = Rect { x: line.x + used, width: line.width - used, ..line };
        }
        footer::draw(canvas, line, self.about(), &self.cx);
    }

    /// What the topmost screen is about.
    fn about(&self) -> About {
        let top = self.top_screen();
        let subject = top.subject().map(|id| (kinds::of_id(id), self.cx.state(id)));
        About { scope: top.scope(), subject, opens: top.opens(), mostly: top.mostly() }
    }
}
