//! What edits changed, by file and object: the data that commit messages are made from.
//!
//! Source: image-automation-controller internal/update/result.go. Everything is in order, where Flux's maps are not.

use std::collections::BTreeMap;

/// Which object of a file; parts may be empty, e.g. in a `kustomization.yaml`. Ordered as Go orders the struct.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

/// One edited field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    pub old_value: String,
    pub new_value: String,
    /// The marker, e.g. `flux-system:app:tag`.
    pub setter: String,
}

/// Changes by object.
pub type ObjectChanges = BTreeMap<ObjectId, Vec<Change>>;

/// Changes by file and object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub files: BTreeMap<String, ObjectChanges>,
}

impl Changed {
    pub(super) fn add(&mut self, file: &str, object: ObjectId, change: Change) {
        self.files.entry(file.to_owned()).or_default().entry(object).or_default().push(change);
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Every change once, however often it was made.
    pub fn changes(&self) -> Vec<&Change> {
        let mut seen = std::collections::HashSet::new();
        self.files
            .values()
            .flat_map(|objects| objects.values().flatten())
            .filter(|change| seen.insert(*change))
            .collect()
    }

    /// The changes of each object, whatever file they are in.
    pub fn objects(&self) -> ObjectChanges {
        let mut all = ObjectChanges::new();
        for (object, changes) in self.files.values().flatten() {
            all.entry(object.clone()).or_default().extend(changes.iter().cloned());
        }
        all
    }
}
