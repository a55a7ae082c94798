//! The keys a mapping has had, so that none is given twice.
//!
//! Start with [`Keys::seen`].

use std::borrow::Cow;
use std::collections::HashSet;

/// Below this many keys a mapping is searched, above it is hashed.
const FEW_KEYS: usize = 16;

/// Which keys a mapping has had, with their lines.
#[derive(Default)]
pub(super) struct Keys<'a> {
    list: Vec<(Cow<'a, str>, u32)>,
    index: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// The line on which a key was given.
    pub(super) fn seen(&self, name: &str) -> Option<u32> {
        if self.list.len() > FEW_KEYS && !self.index.contains(name) {
            return None;
        }
        self.list.iter().find(|(key, _)| key == name).map(|(_, line)| *line)
    }

    pub(super) fn add(&mut self, name: Cow<'a, str>, line: u32) {
        self.list.push((name, line));
        if self.list.len() == FEW_KEYS + 1 {
            self.index.extend(self.list.iter().map(|(key, _)| key.clone()));
        } else if self.list.len() > FEW_KEYS {
            self.index.extend(self.list.last().map(|(key, _)| key.clone()));
        }
    }
}
