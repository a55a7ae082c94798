//! [`Forest`]: the live tree. Sources stand at the root, deployers and images below their source, objects below their owner.
//!
//! Invariants, which a test compares with a rebuild: an object has one home and any number of links; a node's counts are
//! the sum over what hangs below it, links aside; rows are what is unfolded and passes the filter. A change touches the
//! nodes of the changed object and the counts above them, never the rest. Start with [`Forest::apply`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::sift::Filter;
use crate::base::{Id, State};
use crate::console::shared::state_of;
use crate::kinds::{self, Family, Relation, Tie};
use crate::store::{Entry, Store};

/// How many objects are in each state, by `State as usize`.
pub type Counts = [u32; 7];

/// Deeper chains of owners are cut: what owns what is said by others.
const DEEPEST: u8 = 12;

/// A place in the tree: an object below a parent. It survives re-sorting, folding and filtering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    pub id: Id,
    pub parent: Option<Id>,
}

/// One node, as a view sees it.
#[derive(Debug)]
pub struct Row<'a> {
    pub id: &'a Id,
    pub parent: Option<&'a Id>,
    pub entry: Option<&'a Arc<Entry>>,
    pub state: State,
    pub depth: u8,
    /// Its own place is elsewhere.
    pub link: bool,
    pub has_children: bool,
    pub unfolded: bool,
    /// Of all that hangs below it.
    pub below: Counts,
}

#[derive(Debug)]
struct Node {
    id: Id,
    parent: Option<usize>,
    depth: u8,
    tie: Tie,
    link: bool,
    open: bool,
    entry: Option<Arc<Entry>>,
    children: Vec<usize>,
    below: Counts,
    /// Passes the filter itself.
    hit: bool,
    /// Nodes that pass, here and below.
    hits: u32,
}

/// The tree and its rows.
#[derive(Default)]
pub struct Forest {
    nodes: Vec<Node>,
    free: Vec<usize>,
    places: HashMap<Id, Vec<usize>>,
    roots: Vec<usize>,
    rows: Vec<usize>,
    /// Whether `rows` fits the nodes.
    flat: bool,
    totals: Counts,
    filter: Option<Filter>,
    query: String,
    only_problems: bool,
    /// What changed while a sieve is under way; `None` when none is.
    meanwhile: Option<HashSet<Id>>,
    /// What sieves get, kept from letter to letter while nothing changes.
    sand: Option<Arc<[(Id, State)]>>,
    pub touched: u64,
}

impl Forest {
    /// Takes all sources and deployers of a picture, and with them what they own.
    pub fn new(store: &Store) -> Self {
        let mut forest = Forest::default();
        for kind in kinds::ALL.iter().filter(|kind| is_trunk(kind.family)) {
            let ids: Vec<Id> =
                store.of_kind(kind.group, kind.kind).iter().map(|entry| entry.object.id.clone()).collect();
            forest.apply(store, ids.iter());
        }
        forest.flatten();
        forest.touched = 0;
        forest
    }

    /// Takes changes in; answers whether any of them is in the tree.
    pub fn apply<'a>(&mut self, store: &Store, ids: impl Iterator<Item = &'a Id>) -> bool {
        let mut news = false;
        for id in ids {
            news |= self.sync(store, id);
        }
        self.flatten();
        news
    }

    fn sync(&mut self, store: &Store, id: &Id) -> bool {
        let entry = store.get(id);
        self.sand = None;
        if is_trunk(kinds::of_id(id).family) {
            self.seat(store, id, entry.as_ref());
        }
        let Some(places) = self.places.get(id).cloned() else { return false };
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.insert(id.clone());
        }
        self.touched += 1;
        for node in places {
            // A place may have gone with the one before it.
            if self.places.get(id).is_some_and(|places| places.contains(&node)) {
                self.refresh(store, node, entry.clone());
            }
        }
        true
    }

    /// Gives a source or deployer its home, or takes it away.
    fn seat(&mut self, store: &Store, id: &Id, entry: Option<&Arc<Entry>>) {
        let home = self.home(id);
        let source = entry.and_then(|entry| {
            let source = entry.relations.iter().find(|relation| relation.tie == Tie::Source);
            source.map(|relation| relation.to.clone()).filter(|source| source != id)
        });
        let before = home.and_then(|home| self.nodes[home].parent);
        match (entry, home) {
            (None, None) => return,
            // A source that is gone stays as a gap for as long as something is built from it.
            (None, Some(home)) => {
                let built = self.nodes[home].children.iter().any(|child| self.nodes[*child].tie == Tie::Source);
                if !built {
                    self.remove(store, home);
                }
            }
            (Some(_), _) => {
                let parent = source.map(|source| self.trunk(store, &source));
                // What is built from itself, by whatever way round, stands at the root.
                let parent = parent.filter(|parent| home.is_none_or(|home| !self.is_within(*parent, home)));
                match home {
                    Some(home) if self.nodes[home].parent == parent => {}
                    Some(home) => {
                        self.detach(home);
                        self.attach(home, parent, Tie::Source);
                    }
                    None => drop(self.add(id, parent, Tie::Source, false)),
                }
            }
        }
        if let Some(before) = before {
            self.prune_gap(store, before);
        }
    }

    /// The home of a source that something is built from, made where there is none.
    fn trunk(&mut self, store: &Store, id: &Id) -> usize {
        let home = self.home(id);
        if let Some(home) = home.filter(|home| is_trunk(kinds::of_id(id).family) || self.nodes[*home].parent.is_none())
        {
            return home;
        }
        // A source of a kind that weir does not know hung below its owner until now: there it becomes a link.
        if let Some(owned) = home {
            for child in self.nodes[owned].children.clone() {
                self.remove(store, child);
            }
            self.detach(owned);
            self.nodes[owned].link = true;
            self.attach(owned, self.nodes[owned].parent, Tie::Owns);
            self.rehit(owned);
        }
        let node = self.add(id, None, Tie::Source, false);
        self.refresh(store, node, store.get(id));
        node
    }

    /// Takes away a source that is not there once nothing is built from it.
    fn prune_gap(&mut self, store: &Store, node: usize) {
        let gap = &self.nodes[node];
        if gap.entry.is_none() && gap.parent.is_none() && gap.children.is_empty() && !gap.link {
            self.remove(store, node);
        }
    }

    fn is_within(&self, node: usize, above: usize) -> bool {
        std::iter::successors(Some(node), |node| self.nodes[*node].parent).any(|node| node == above)
    }

    fn home(&self, id: &Id) -> Option<usize> {
        self.places.get(id)?.iter().copied().find(|node| !self.nodes[*node].link)
    }

    /// Puts a new entry into a node and its children in order.
    fn refresh(&mut self, store: &Store, node: usize, entry: Option<Arc<Entry>>) {
        let old = self.nodes[node].entry.clone();
        let (before, after) = (state_of(old.as_ref()), state_of(entry.as_ref()));
        if before != after && !self.nodes[node].link {
            self.count(self.nodes[node].parent, |counts| {
                counts[before as usize] -= 1;
                counts[after as usize] += 1;
            });
        }
        self.nodes[node].entry = entry.clone();
        if before != after && self.meanwhile.is_none() {
            self.rehit(node);
        }
        let had = old.as_ref().map_or(&[][..], |entry| &entry.relations);
        let has = entry.as_ref().map_or(&[][..], |entry| &entry.relations);
        if had != has && !self.nodes[node].link && self.nodes[node].depth < DEEPEST {
            self.own(store, node, has);
        }
    }

    /// Makes a node's owned children exactly these.
    fn own(&mut self, store: &Store, node: usize, relations: &[Relation]) {
        let owned = relations.iter().filter(|relation| relation.tie == Tie::Owns);
        let owned: HashSet<&Id> = owned.map(|relation| &relation.to).collect();
        let had: Vec<usize> = self.nodes[node].children.clone();
        let had: Vec<usize> = had.into_iter().filter(|child| self.nodes[*child].tie == Tie::Owns).collect();
        let known: HashSet<Id> = had.iter().map(|child| self.nodes[*child].id.clone()).collect();
        for child in had {
            if !owned.contains(&self.nodes[child].id) {
                self.remove(store, child);
            }
        }
        for id in owned.into_iter().filter(|id| !known.contains(*id)) {
            let link = is_trunk(kinds::of_id(id).family) || self.home(id).is_some() || *id == self.nodes[node].id;
            let child = self.add(id, Some(node), Tie::Owns, link);
            self.refresh(store, child, store.get(id));
        }
    }

    fn add(&mut self, id: &Id, parent: Option<usize>, tie: Tie, link: bool) -> usize {
        let hit = self.passes(id, State::Unknown) && !(self.only_problems && link);
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.insert(id.clone());
        }
        let node = Node {
            id: id.clone(),
            parent: None,
            depth: 0,
            tie,
            link,
            open: is_trunk(kinds::of_id(id).family) && parent.is_none(),
            entry: None,
            children: Vec::new(),
            below: Counts::default(),
            hit,
            hits: u32::from(hit),
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.nodes[index] = node;
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        self.places.entry(id.clone()).or_default().push(index);
        self.attach(index, parent, tie);
        index
    }

    /// Takes a node away with all below it; a link to one of them becomes its home.
    fn remove(&mut self, store: &Store, node: usize) {
        self.detach(node);
        let mut gone = vec![node];
        let mut at = 0;
        while at < gone.len() {
            let below = std::mem::take(&mut self.nodes[gone[at]].children);
            gone.extend(below);
            at += 1;
        }
        let mut homeless = Vec::new();
        for node in gone {
            let id = self.nodes[node].id.clone();
            self.nodes[node].entry = None;
            self.free.push(node);
            if let Some(places) = self.places.get_mut(&id) {
                places.retain(|place| *place != node);
                if places.is_empty() {
                    self.places.remove(&id);
                } else if !self.nodes[node].link && !is_trunk(kinds::of_id(&id).family) {
                    homeless.push(id);
                }
            }
        }
        for id in homeless {
            let Some(link) = self.places.get(&id).and_then(|places| places.first().copied()) else { continue };
            self.detach(link);
            self.nodes[link].link = false;
            self.attach(link, self.nodes[link].parent, self.nodes[link].tie);
            self.rehit(link);
            let entry = self.nodes[link].entry.clone();
            self.own(store, link, entry.as_ref().map_or(&[], |entry| &entry.relations));
        }
    }

    fn attach(&mut self, node: usize, parent: Option<usize>, tie: Tie) {
        self.nodes[node].parent = parent;
        self.nodes[node].tie = tie;
        let depth = parent.map_or(0, |parent| self.nodes[parent].depth.saturating_add(1));
        self.set_depth(node, depth);
        let siblings = self.siblings(parent);
        let place = siblings.partition_point(|sibling| self.rank(*sibling) < self.rank(node));
        match parent {
            Some(parent) => self.nodes[parent].children.insert(place, node),
            None => self.roots.insert(place, node),
        }
        self.weigh(node, true);
    }

    fn detach(&mut self, node: usize) {
        self.weigh(node, false);
        let siblings = match self.nodes[node].parent {
            Some(parent) => &mut self.nodes[parent].children,
            None => &mut self.roots,
        };
        siblings.retain(|sibling| *sibling != node);
    }

    /// Adds a node and what hangs below it to the counts and hits above, or takes it off.
    fn weigh(&mut self, node: usize, add: bool) {
        let mut weight = self.nodes[node].below;
        if !self.nodes[node].link {
            weight[state_of(self.nodes[node].entry.as_ref()) as usize] += 1;
        }
        let parent = self.nodes[node].parent;
        self.count(parent, |counts| {
            for (count, weight) in counts.iter_mut().zip(weight) {
                *count = if add { *count + weight } else { *count - weight };
            }
        });
        let hits = self.nodes[node].hits;
        self.lift(parent, |count| *count = if add { *count + hits } else { *count - hits });
        self.flat = false;
    }

    fn count(&mut self, from: Option<usize>, change: impl Fn(&mut Counts)) {
        change(&mut self.totals);
        let mut above = from;
        while let Some(node) = above {
            change(&mut self.nodes[node].below);
            above = self.nodes[node].parent;
        }
    }

    fn lift(&mut self, from: Option<usize>, change: impl Fn(&mut u32)) {
        let mut above = from;
        while let Some(node) = above {
            change(&mut self.nodes[node].hits);
            above = self.nodes[node].parent;
        }
    }

    fn set_depth(&mut self, node: usize, depth: u8) {
        self.nodes[node].depth = depth;
        for child in self.nodes[node].children.clone() {
            self.set_depth(child, depth.saturating_add(1));
        }
    }

    fn siblings(&self, parent: Option<usize>) -> &[usize] {
        parent.map_or(&self.roots, |parent| &self.nodes[parent].children)
    }

    /// What is built from it stands before what it owns; then by kind, namespace and name.
    fn rank(&self, node: usize) -> (bool, &str, &str, &str) {
        let Node { id, tie, .. } = &self.nodes[node];
        (*tie == Tie::Owns, &id.kind, &id.namespace, &id.name)
    }
}

fn is_trunk(family: Family) -> bool {
    matches!(family, Family::Source | Family::Deployer | Family::Image)
}

mod view;

#[cfg(test)]
mod tests;
