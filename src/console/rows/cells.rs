//! [`Cells`]: texts of the rows in view, made from an object once and kept until it changes.
//!
//! Parsing a document is the dearest thing that a frame could do, so it happens when a row comes into view and never
//! again while it stays the same. What left the view long ago is forgotten.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{Id, Text};
use crate::kinds::{self, Column};
use crate::store::Entry;

/// The formatted texts of one object.
#[derive(Clone, Debug)]
pub struct RowCells {
    entry: Arc<Entry>,
    /// In the order of the kind's columns.
    pub texts: Vec<Text>,
}

/// Formatted rows by object.
#[derive(Default)]
pub struct Cells {
    rows: HashMap<Id, RowCells>,
    pub formatted: u64,
}

/// How many rows are kept at least; more when more are in view.
const KEPT: usize = 512;

impl Cells {
    /// Formats the rows that are in view and not known yet; those out of view go when there are too many.
    pub fn ensure<'a>(
        &mut self,
        visible: impl Iterator<Item = &'a Arc<Entry>> + Clone,
        wanted: impl Fn(&Column) -> bool,
    ) {
        for entry in visible.clone() {
            let id = &entry.object.id;
            if self.rows.get(id).is_some_and(|known| Arc::ptr_eq(&known.entry, entry)) {
                continue;
            }
            let columns = kinds::of_id(id).columns;
            let count = columns.iter().filter(|column| wanted(column)).count();
            // What shows nothing of the document need not be parsed.
            let body = if count > 0 { entry.object.body() } else { Default::default() };
            let cell = |column| if wanted(column) { Text::new((column.cell)(&body)) } else { Text::default() };
            let texts = columns.iter().map(cell).collect();
            self.formatted += count as u64;
            self.rows.insert(id.clone(), RowCells { entry: entry.clone(), texts });
        }
        if self.rows.len() > KEPT {
            let seen: std::collections::HashSet<&Id> = visible.map(|entry| &entry.object.id).collect();
            if self.rows.len() > 4 * seen.len() {
                self.rows.retain(|id, _| seen.contains(id));
            }
        }
    }

    pub fn get(&self, id: &Id) -> Option<&RowCells> {
        self.rows.get(id)
    }
}

impl RowCells {
    /// What says in a word what is there now; nothing when the kind has no such column.
    pub fn gist(&self) -> Option<&Text> {
        let columns: &[Column] = kinds::of_id(&self.entry.object.id).columns;
        let index = columns.iter().position(Column::is_gist)?;
        self.texts.get(index)
    }
}
