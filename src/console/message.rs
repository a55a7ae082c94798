//! What wakes the console and what it answers: closed enums of data, so that a session can be printed, compared and replayed.
//!
//! Nothing here does anything. [`Msg`] goes into `Console::update`, [`Effect`]s come out, [`Reply`] is what a screen says.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::actions::Tab;
use super::look::Role;
use crate::base::{Id, Stamp, State, Text, Value};
use crate::config::Key;
use crate::kinds::Verb;
use crate::store::{Changes, Entry};
use crate::verbs;

/// Everything that ever wakes the console.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A key, and when it came: since the start, so that a dialog can tell typing from a burst.
    Key(Key, Duration),
    /// Text that the terminal brackets as pasted.
    Paste(String),
    Mouse(Mouse),
    Size(u16, u16),
    Changed(Changes),
    /// Weir wrote lines to its log.
    Logged,
    Answer(Ticket, Box<Answer>),
    /// What a verb is waiting for.
    Progress(Ticket, Text),
    /// The clock moved on to a moment that some visible text depends on.
    Second(Stamp),
    /// The console owns the terminal again: draw everything.
    Resumed,
    /// The terminal could not be used as wanted, or the like.
    Trouble(Text),
}

/// What the mouse does, by column and row of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mouse {
    Press(u16, u16),
    WheelUp,
    WheelDown,
}

/// Work for the outside, as data; `effects.rs` does it.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Changes something; it goes on when its screen closes.
    Ask(Ticket, verbs::Ask),
    /// Looks something up.
    Fetch(Ticket, verbs::Query),
    /// Filters and sorts more rows than a frame has time for.
    Sift(Ticket, Sieve),
    /// Colours YAML.
    Paint(Ticket, String),
    /// Nobody waits for this any more.
    Cancel(Ticket),
    /// To the clipboard of the person's own machine.
    Copy(String),
    /// To a file where weir was started: its name, its ending and the text.
    Write(Ticket, String, &'static str, String),
    /// Makes a commit in the demo repository.
    Demo(Ticket),
    /// Gives the terminal back to the shell until the job is continued.
    Pause,
    /// Forgets what the terminal shows.
    Redraw,
    Quit,
}

/// Which request of which screen; a newer one of the same slot makes an older one void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    /// 0 is the console itself.
    pub screen: u32,
    pub slot: Slot,
    pub serial: u32,
}

/// What a screen asks for; each has at most one request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    Page(Tab),
    Paint(Tab),
    Sift,
    Edit,
    Review,
    Verb,
}

/// What comes back for a ticket.
#[derive(Clone, Debug)]
pub enum Answer {
    Fetched(Result<verbs::Answer, verbs::Refusal>),
    Done(Result<verbs::Outcome, verbs::Refusal>),
    Sifted(Sifted),
    Painted(Vec<PaintedLine>),
    /// What the demo did.
    Demo(Result<Text, Text>),
    /// The file that was written.
    Written(Result<Text, verbs::Refusal>),
}

/// Lengths in bytes and their roles, for one line of YAML.
pub type PaintedLine = Vec<(usize, Role)>;

/// What to sift, and by what.
#[derive(Clone, Debug)]
pub struct Sieve {
    pub query: String,
    pub only_problems: bool,
    pub sand: Sand,
}

/// The rows of a sieve.
#[derive(Clone, Debug)]
pub enum Sand {
    /// Which of these match?
    Places(Arc<[(Id, State)]>),
    /// Which match, in that order?
    Entries(Arc<[Arc<Entry>]>, Order),
    /// The best few matches.
    Best(Arc<[Id]>, usize),
}

/// What a sieve lets through.
#[derive(Clone, Debug)]
pub enum Sifted {
    Places(HashSet<Id>),
    Entries(Vec<Arc<Entry>>),
    Best(Vec<Id>),
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub by: By,
    pub reverse: bool,
}

/// The columns that a list can be sorted by without formatting a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    #[default]
    Name,
    Status,
    Age,
}

/// What a screen wants of the console.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Nothing that is visible changed.
    Stay,
    /// Draw again.
    Redraw,
    /// The screen has no use for it.
    Pass,
    Open(Open),
    Back,
    Fetch(Slot, verbs::Query),
    Ask(Slot, verbs::Ask),
    Sift(Sieve),
    /// The colours of a page's text.
    Paint(Tab, String),
    Copy(String),
    Say(Say),
    /// Changes the theme.
    Theme(String),
    /// Does as if that action's key had been pressed on the screen below.
    Act(super::actions::Action),
    Many(Vec<Reply>),
}

/// Something to tell in passing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Say {
    pub tone: Tone,
    pub text: Text,
    /// What to do next; may be empty.
    pub hint: Text,
}

/// How a toast is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Done,
    Failed,
    Working,
    Note,
}

impl Say {
    pub fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        Say { tone, text: Text::new(text), hint: Text::default() }
    }

    pub fn with_hint(tone: Tone, text: impl AsRef<str>, hint: impl AsRef<str>) -> Self {
        Say { hint: Text::new(hint), ..Say::new(tone, text) }
    }
}

/// The screens that can be opened, with what they need.
#[derive(Clone, Debug)]
pub enum Open {
    /// Closes everything above the tree; with an id, goes there.
    Tree(Option<Id>),
    List {
        group: Arc<str>,
        kind: Arc<str>,
    },
    Detail(Id, Tab),
    Edit(Target),
    Review {
        id: Id,
        original: Value,
        edited: String,
        review: verbs::Review,
    },
    /// What one revision of a release changed of another; `None` is the one before.
    Compare {
        id: Id,
        from: Option<i64>,
        to: i64,
    },
    /// What a verb would bring, before it is sent.
    Before(Verb, Target),
    Confirm(Target),
    Palette,
    Help,
    Activity,
}

/// The object that a key was meant for, as it was when the key went down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub id: Id,
    /// Empty when the object is not in the picture.
    pub uid: String,
}
