//! Arguments whose flags are described only once their command is chosen.
//!
//! Describing the flags of all commands takes longer than many a command needs to run. Start with [`Later`].

use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Id};

/// Whether all commands are described at once after all: scripts of shells name every word.
static AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Describes all commands at once from here on.
pub fn at_once() {
    AT_ONCE.store(true, Ordering::Relaxed);
}

/// The arguments of a command, described when it is called or explained.
#[derive(Debug)]
pub struct Later<T>(pub T);

impl<T: Args> Args for Later<T> {
    fn group_id() -> Option<Id> {
        T::group_id()
    }

    fn augment_args(command: Command) -> Command {
        if AT_ONCE.load(Ordering::Relaxed) { described::<T>(command) } else { command.defer(described::<T>) }
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(T::augment_args_for_update)
    }
}

/// The command with its flags, and with its own words: those of the flags' type would take their place.
fn described<T: Args>(command: Command) -> Command {
    let (short, long) = (command.get_about().cloned(), command.get_long_about().cloned());
    T::augment_args(command).about(Resettable::from(short)).long_about(Resettable::from(long))
}

impl<T: FromArgMatches> FromArgMatches for Later<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Later)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
