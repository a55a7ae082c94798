//! What a key may be bound to: every action with its name, its doc and the scopes where it can act.
//!
//! Keymaps name actions, and help, footer, palette and hints are derived from this table, so they are never wrong.
//! To add an action: one variant, one line in [`ACTIONS`], and the place where it acts. Keys are data in `keymaps/`.

use crate::config::{Word, Words};
use crate::kinds::{Kind, Verb, View};

/// What a key does. Named after what happens, not after the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    HalfPageUp,
    HalfPageDown,
    First,
    Last,
    Left,
    Right,
    Open,
    Back,
    Toggle,
    Mark,
    Expand,
    Collapse,
    ExpandAll,
    CollapseAll,
    NextProblem,
    PreviousProblem,
    OnlyProblems,
    Show(Tab),
    NextTab,
    PreviousTab,
    Ask(Verb),
    Copy,
    /// To a file in the directory where weir was started.
    Write,
    Filter,
    NextMatch,
    PreviousMatch,
    Wrap,
    Follow,
    Sort,
    Reverse,
    Save,
    Undo,
    Redo,
    Accept,
    Clear,
    DeleteWord,
    Backspace,
    Palette,
    Help,
    Tree,
    /// The list of the kind at that place of the registry, from 1.
    Kind(u8),
    Activity,
    Theme,
    Demo,
    Redraw,
    Pause,
    Quit,
    Exit,
}

/// The pages of an object's detail screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tab {
    Describe,
    /// A page that only some kinds have.
    View(View),
    Yaml,
    Events,
    Conditions,
    Logs,
}

impl Tab {
    /// The pages of a kind, in the order of the screen.
    pub fn of(kind: &Kind) -> impl Iterator<Item = Tab> + use<> {
        let views = kind.views.iter().copied().map(Tab::View);
        std::iter::once(Tab::Describe).chain(views).chain([Tab::Yaml, Tab::Events, Tab::Conditions, Tab::Logs])
    }

    /// The pages that every kind has.
    pub fn is_common(self) -> bool {
        !matches!(self, Tab::View(_))
    }

    pub fn title(self) -> &'static str {
        match self {
            Tab::Describe => "Describe",
            Tab::View(View::Diff) => "Diff",
            Tab::View(View::History) => "History",
            Tab::View(View::Values) => "Values",
            Tab::View(View::Manifest) => "Manifest",
            Tab::View(View::Notes) => "Notes",
            Tab::View(View::Tags) => "Tags",
            Tab::Yaml => "YAML",
            Tab::Events => "Events",
            Tab::Conditions => "Conditions",
            Tab::Logs => "Logs",
        }
    }
}

/// Which section of the keymap applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Tree,
    List,
    Detail,
    Activity,
    Help,
    Review,
    Ask,
    Edit,
    Palette,
    Filter,
    Confirm,
}

/// The scope that applies where keys do not type.
pub const EVERYWHERE: &str = "everywhere";

impl Scope {
    pub const ALL: [Scope; 11] = [
        Scope::Tree,
        Scope::List,
        Scope::Detail,
        Scope::Activity,
        Scope::Help,
        Scope::Review,
        Scope::Ask,
        Scope::Edit,
        Scope::Palette,
        Scope::Filter,
        Scope::Confirm,
    ];

    /// The name in keymaps.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Tree => "tree",
            Scope::List => "list",
            Scope::Detail => "detail",
            Scope::Activity => "activity",
            Scope::Help => "help",
            Scope::Review => "review",
            Scope::Ask => "ask",
            Scope::Edit => "edit",
            Scope::Palette => "palette",
            Scope::Filter => "filter",
            Scope::Confirm => "confirm",
        }
    }

    /// Whether keys without a binding type text here, which also shuts out the keys of everywhere.
    pub const fn types(self) -> bool {
        matches!(self, Scope::Edit | Scope::Palette | Scope::Filter | Scope::Confirm)
    }
}

/// One action as people meet it.
pub struct ActionLine {
    pub action: Action,
    /// What keymaps and the palette call it.
    pub name: &'static str,
    /// One or two words for the footer.
    pub short: &'static str,
    pub doc: &'static str,
    /// Scopes where it can act; none means all.
    pub scopes: &'static [&'static str],
}

const OBJECTS: &[&str] = &["tree", "list", "detail"];
const ROWS: &[&str] = &["tree", "list"];
const FIELDS: &[&str] = &["palette", "filter", "confirm"];
const TAKEN: &[&str] = &["palette", "filter", "confirm", "ask"];
const PAGES: &[&str] = &["detail", "activity", "help", "review", "ask"];

const fn line(
    action: Action,
    name: &'static str,
    short: &'static str,
    doc: &'static str,
    scopes: &'static [&'static str],
) -> ActionLine {
    ActionLine { action, name, short, doc, scopes }
}

/// Every action, in the order in which help shows them and the footer prefers them.
pub static ACTIONS: &[ActionLine] = &[
    line(Action::Open, "open", "open", "open what is under the cursor", OBJECTS),
    line(Action::Accept, "accept", "accept", "take what is typed, chosen or shown", TAKEN),
    line(Action::Save, "save", "save", "review the change, then save it", &["edit", "review"]),
    line(Action::Demo, "demo", "new commit", "make a new commit in the demo repository", &[]),
    line(Action::Ask(Verb::Reconcile), "reconcile", "reconcile", "reconcile now, and say how it went", OBJECTS),
    line(
        Action::Ask(Verb::ReconcileWithSource),
        "reconcile-with-source",
        "with source",
        "fetch the source, then reconcile",
        OBJECTS,
    ),
    line(
        Action::Ask(Verb::ReconcileWithForce),
        "reconcile-with-force",
        "force",
        "release once more although nothing changed",
        OBJECTS,
    ),
    line(
        Action::Ask(Verb::ReconcileWithReset),
        "reconcile-with-reset",
        "reset",
        "forget the failures so far, and try again",
        OBJECTS,
    ),
    line(Action::Ask(Verb::Suspend), "suspend", "suspend", "stop reconciling until resumed", OBJECTS),
    line(Action::Ask(Verb::Resume), "resume", "resume", "reconcile again after a suspend", OBJECTS),
    line(Action::Show(Tab::Describe), "describe", "describe", "tell all about the object", OBJECTS),
    line(
        Action::Show(Tab::View(View::Diff)),
        "diff",
        "diff",
        "show what the next reconciliation would change",
        OBJECTS,
    ),
    line(
        Action::Show(Tab::View(View::History)),
        "history",
        "history",
        "show the revisions that were released",
        OBJECTS,
    ),
    line(Action::Show(Tab::View(View::Values)), "values", "values", "show what goes into the templates", OBJECTS),
    line(
        Action::Show(Tab::View(View::Manifest)),
        "manifest",
        "manifest",
        "show what came out of the templates",
        OBJECTS,
    ),
    line(Action::Show(Tab::View(View::Notes)), "notes", "notes", "show what the chart's author wants to say", OBJECTS),
    line(Action::Show(Tab::View(View::Tags)), "tags", "tags", "show what became of every tag of an image", OBJECTS),
    line(Action::Show(Tab::Yaml), "yaml", "yaml", "show the whole document", OBJECTS),
    line(Action::Show(Tab::Logs), "logs", "logs", "show weir's own log about the object", OBJECTS),
    line(Action::Show(Tab::Events), "events", "events", "show what happened to the object", OBJECTS),
    line(Action::Show(Tab::Conditions), "conditions", "conditions", "show the conditions with their times", OBJECTS),
    line(Action::Ask(Verb::Edit), "edit", "edit", "edit the document in place", OBJECTS),
    line(Action::Ask(Verb::Delete), "delete", "delete", "delete the object (asks for its name)", OBJECTS),
    line(Action::NextProblem, "next-problem", "next problem", "go to the next object that is not well", ROWS),
    line(Action::PreviousProblem, "previous-problem", "", "go to the one before", ROWS),
    line(Action::OnlyProblems, "only-problems", "problems", "show only what is not well", ROWS),
    line(Action::NextTab, "next-tab", "next tab", "go to the next page of the object", &["detail"]),
    line(Action::PreviousTab, "previous-tab", "", "go to the page before", &["detail"]),
    line(Action::Mark, "mark", "", "mark a revision to compare another with, or take the mark away", &["detail"]),
    line(Action::Toggle, "toggle", "fold", "open or close a branch", &["tree"]),
    line(Action::Expand, "expand", "", "open a branch, then go into it", &["tree"]),
    line(Action::Collapse, "collapse", "", "close a branch, then go to its parent", &["tree"]),
    line(Action::ExpandAll, "expand-all", "", "open every branch", &["tree"]),
    line(Action::CollapseAll, "collapse-all", "", "close every branch below the sources", &["tree"]),
    line(Action::Sort, "sort", "sort", "sort by the next column", &["list"]),
    line(Action::Reverse, "reverse", "", "sort the other way round", &["list"]),
    line(Action::NextMatch, "next-match", "next match", "go to the next place that matches", PAGES),
    line(Action::PreviousMatch, "previous-match", "", "go to the place before that matches", PAGES),
    line(Action::Follow, "follow", "follow", "stay at the newest line", &["detail", "activity", "ask"]),
    line(Action::Wrap, "wrap", "wrap", "wrap long lines, or do not", &["detail", "activity", "ask"]),
    line(
        Action::Copy,
        "copy",
        "copy",
        "copy the name, or the page, to the clipboard",
        &["tree", "list", "detail", "activity", "ask"],
    ),
    line(
        Action::Write,
        "write",
        "to file",
        "write the page to a file where weir was started",
        &["detail", "activity", "ask"],
    ),
    line(Action::Undo, "undo", "undo", "take the last change back", &["edit"]),
    line(Action::Redo, "redo", "redo", "do it again after all", &["edit"]),
    line(Action::Clear, "clear", "clear", "empty the field", FIELDS),
    line(Action::DeleteWord, "delete-word", "", "delete the last word", FIELDS),
    line(Action::Backspace, "backspace", "", "delete the last character", FIELDS),
    line(Action::Filter, "filter", "filter", "filter rows, or search in a page", &[]),
    line(Action::Palette, "palette", "commands", "find a command, a kind or an object", &[]),
    line(Action::Help, "help", "help", "show every key of this screen", &[]),
    line(Action::Back, "back", "back", "go back, or clear the filter", &[]),
    line(Action::Up, "up", "", "go up", &[]),
    line(Action::Down, "down", "", "go down", &[]),
    line(Action::PageUp, "page-up", "", "go up a page", &[]),
    line(Action::PageDown, "page-down", "", "go down a page", &[]),
    line(Action::HalfPageUp, "half-page-up", "", "go up half a page", &[]),
    line(Action::HalfPageDown, "half-page-down", "", "go down half a page", &[]),
    line(Action::First, "first", "", "go to the first line", &[]),
    line(Action::Last, "last", "", "go to the last line", &[]),
    line(Action::Left, "left", "", "scroll to the left", PAGES),
    line(Action::Right, "right", "", "scroll to the right", PAGES),
    line(Action::Tree, "tree", "tree", "go to the tree", &[]),
    line(Action::Kind(1), "kind-1", "", "list the first kind", &[]),
    line(Action::Kind(2), "kind-2", "", "list the second kind", &[]),
    line(Action::Kind(3), "kind-3", "", "list the third kind", &[]),
    line(Action::Kind(4), "kind-4", "", "list the fourth kind", &[]),
    line(Action::Kind(5), "kind-5", "", "list the fifth kind", &[]),
    line(Action::Kind(6), "kind-6", "", "list the sixth kind", &[]),
    line(Action::Kind(7), "kind-7", "", "list the seventh kind", &[]),
    line(Action::Kind(8), "kind-8", "", "list the eighth kind", &[]),
    line(Action::Kind(9), "kind-9", "", "list the ninth kind", &[]),
    line(Action::Activity, "activity", "weir's log", "show what weir does and did", &[]),
    line(Action::Theme, "theme", "", "go to the next theme", &[]),
    line(Action::Redraw, "redraw", "", "draw the whole screen anew", &[]),
    line(Action::Pause, "pause", "", "stop weir's console and go back to the shell", &[]),
    line(Action::Quit, "quit", "quit", "go back; at home, quit (asks once more)", &[]),
    line(Action::Exit, "exit", "", "quit from anywhere (asks once more)", &[]),
];

impl Action {
    /// Its line in the table.
    pub fn line(self) -> Option<&'static ActionLine> {
        ACTIONS.iter().find(|line| line.action == self)
    }
}

/// The vocabulary for [`crate::config::Keymap::load`].
pub fn words() -> (Vec<&'static str>, Vec<Word<'static, Action>>) {
    let scopes = std::iter::once(EVERYWHERE).chain(Scope::ALL.into_iter().map(Scope::name)).collect();
    let words = ACTIONS.iter().map(|line| Word { name: line.name, scopes: line.scopes, action: line.action });
    (scopes, words.collect())
}

/// Borrows a vocabulary in the form that the loader wants.
pub fn as_words<'a>(scopes: &'a [&'a str], actions: &'a [Word<'a, Action>]) -> Words<'a, Action> {
    Words { scopes, actions }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_one_name_a_doc_and_real_scopes() {
        let (scopes, _) = words();
        let mut names = std::collections::BTreeSet::new();
        for line in ACTIONS {
            assert!(names.insert(line.name), "{} twice", line.name);
            assert!(!line.doc.is_empty() && !line.doc.ends_with('.'), "{}", line.name);
            assert!(line.scopes.iter().all(|scope| scopes.contains(scope)), "{}", line.name);
            assert_eq!(line.action.line().map(|found| found.name), Some(line.name));
        }
        for verb in Verb::ALL {
            assert_eq!(Action::Ask(*verb).line().map(|line| line.name), Some(verb.name()));
        }
    }
}
