//! The keys a mapping has had, so that none is given twice.
//!
//! Start with [`Keys::seen`].

use std::borrow::Cow;
use std::collections::HashMap;

/// Up to this many keys a mapping is searched, above it is hashed.
const FEW_KEYS: usize = 16;

/// Which keys a mapping has had, with their lines.
#[derive(Default)]
pub(super) struct Keys<'a> {
    few: Vec<(Cow<'a, str>, u32)>,
    many: HashMap<Cow<'a, str>, u32>,
}

impl<'a> Keys<'a> {
    /// The line on which a key was first given.
    pub(super) fn seen(&self, name: &str) -> Option<u32> {
        if !self.many.is_empty() {
            return self.many.get(name).copied();
        }
        self.few.iter().find(|(key, _)| key == name).map(|(_, line)| *line)
    }

    pub(super) fn add(&mut self, name: Cow<'a, str>, line: u32) {
        if self.many.is_empty() && self.few.len() < FEW_KEYS {
            return self.few.push((name, line));
        }
        for (key, line) in self.few.drain(..).chain([(name, line)]) {
            self.many.entry(key).or_insert(line);
        }
    }
}
