//! What a person sees of a [`Forest`]: rows, folds, the filter, and the way to the next problem.

use std::collections::HashSet;

use super::{Counts, Forest, Node, Row, Spot, is_trunk};
use crate::base::{Id, State};
use crate::console::message::{Sand, Sieve};
use crate::console::rows::sift::Filter;
use crate::console::shared::{is_problem, state_of};
use crate::kinds;
use crate::store::Store;

/// Up to this many places are filtered at once; more go through an effect, so that no key waits for them.
const AT_ONCE: usize = 4_000;

impl Forest {
    /// Rows that are unfolded and pass the filter.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Objects in each state, each counted once.
    pub fn totals(&self) -> Counts {
        self.totals
    }

    pub fn row(&self, row: usize) -> Option<Row<'_>> {
        let index = *self.rows.get(row)?;
        let node = &self.nodes[index];
        Some(Row {
            id: &node.id,
            parent: node.parent.map(|parent| &self.nodes[parent].id),
            entry: node.entry.as_ref(),
            state: state_of(node.entry.as_ref()),
            depth: node.depth,
            link: node.link,
            has_children: !node.children.is_empty(),
            unfolded: self.rows.get(row + 1).is_some_and(|next| self.nodes[*next].parent == Some(index)),
            below: node.below,
        })
    }

    /// The place of a row, to come back to it whatever happens meanwhile.
    pub fn spot(&self, row: usize) -> Option<Spot> {
        self.rows.get(row).map(|node| self.spot_of(*node))
    }

    fn spot_of(&self, node: usize) -> Spot {
        let parent = self.nodes[node].parent.map(|parent| self.nodes[parent].id.clone());
        Spot { id: self.nodes[node].id.clone(), parent }
    }

    fn node_at(&self, spot: &Spot) -> Option<usize> {
        let places = self.places.get(&spot.id)?;
        places.iter().copied().find(|node| self.spot_of(*node) == *spot)
    }

    /// The row of a place, when it is in view.
    pub fn row_of(&self, spot: &Spot) -> Option<usize> {
        let node = self.node_at(spot)?;
        self.rows.iter().position(|row| *row == node)
    }

    /// Unfolds the way to an object's home; answers its place, when the tree has it.
    pub fn reveal(&mut self, id: &Id) -> Option<Spot> {
        let node = self.home(id)?;
        self.unfold_above(node);
        self.flatten();
        Some(self.spot_of(node))
    }

    fn unfold_above(&mut self, node: usize) {
        let mut above = self.nodes[node].parent;
        while let Some(node) = above {
            self.flat &= self.nodes[node].open;
            self.nodes[node].open = true;
            above = self.nodes[node].parent;
        }
    }

    /// Folds or unfolds a row; answers whether it has anything to fold.
    pub fn set_open(&mut self, row: usize, open: bool) -> bool {
        let Some(node) = self.rows.get(row).copied().filter(|node| !self.nodes[*node].children.is_empty()) else {
            return false;
        };
        self.nodes[node].open = open;
        self.flat = false;
        self.flatten();
        true
    }

    /// Unfolds everything, or folds all below the sources.
    pub fn set_all_open(&mut self, open: bool) {
        for node in &mut self.nodes {
            node.open = open || (node.parent.is_none() && is_trunk(kinds::of_id(&node.id).family));
        }
        self.flat = false;
        self.flatten();
    }

    /// The row of the parent of a row.
    pub fn parent_row(&self, row: usize) -> Option<usize> {
        let parent = self.nodes[*self.rows.get(row)?].parent?;
        self.rows[..row].iter().rposition(|row| *row == parent)
    }

    /// Works the rows out anew, if they need it. Copying 20,000 numbers costs less than moving them one by one.
    pub(super) fn flatten(&mut self) {
        if self.flat {
            return;
        }
        self.flat = true;
        self.rows.clear();
        let mut stack: Vec<(usize, bool)> = self.roots.iter().rev().map(|root| (*root, false)).collect();
        while let Some((index, asked)) = stack.pop() {
            let node = &self.nodes[index];
            // With a filter, a node is there for what is below it, or because its parent was found and unfolded.
            if self.filter.is_some() && node.hits == 0 && !asked {
                continue;
            }
            self.rows.push(index);
            let below = self.filter.is_some() && node.hits > u32::from(node.hit);
            if node.open || below {
                let asked = self.filter.is_some() && node.open && (node.hit || asked);
                stack.extend(node.children.iter().rev().map(|child| (*child, asked)));
            }
        }
    }

    pub fn query(&self) -> &str {
        &self.query
    }

    pub fn only_problems(&self) -> bool {
        self.only_problems
    }

    /// The first row from a row on that was found by words, going round; `None` without words.
    pub fn hit_from(&self, row: usize) -> Option<usize> {
        if self.query.is_empty() {
            return None;
        }
        (row..self.rows.len()).chain(0..row.min(self.rows.len())).find(|row| self.nodes[self.rows[*row]].hit)
    }

    /// How many objects pass the filter.
    pub fn hits(&self) -> u32 {
        self.roots.iter().map(|root| self.nodes[*root].hits).sum()
    }

    /// Filters by other words; answers a sieve when that takes longer than a key may wait.
    pub fn set_filter(&mut self, query: &str, only_problems: bool) -> Option<Sieve> {
        query.clone_into(&mut self.query);
        self.only_problems = only_problems;
        self.meanwhile = None;
        let filter = Filter::new(query, only_problems);
        self.filter = (!filter.is_empty()).then_some(filter);
        if self.filter.is_none() {
            self.take_hits(|_| true);
            return None;
        }
        if self.places.len() > AT_ONCE {
            self.meanwhile = Some(HashSet::new());
            let sand = match &self.sand {
                Some(sand) => sand.clone(),
                None => self.sand.insert(self.places().collect()).clone(),
            };
            return Some(Sieve { query: query.to_owned(), only_problems, sand: Sand::Places(sand) });
        }
        let places: Vec<(Id, State)> = self.places().collect();
        let hits: HashSet<Id> =
            places.into_iter().filter(|(id, state)| self.passes(id, *state)).map(|(id, _)| id).collect();
        self.take_hits(|id| hits.contains(id));
        None
    }

    fn places(&self) -> impl Iterator<Item = (Id, State)> {
        let state = |nodes: &[usize]| nodes.first().map(|node| state_of(self.nodes[*node].entry.as_ref()));
        self.places.iter().map(move |(id, nodes)| (id.clone(), state(nodes).unwrap_or(State::Unknown)))
    }

    /// Takes what the newest sieve let through, and what changed meanwhile.
    pub fn sifted(&mut self, store: &Store, hits: &HashSet<Id>) {
        let Some(meanwhile) = self.meanwhile.take() else { return };
        self.take_hits(|id| hits.contains(id));
        for id in meanwhile {
            for node in self.places.get(&id).cloned().unwrap_or_default() {
                self.rehit(node);
            }
            self.sync(store, &id);
        }
        self.flatten();
    }

    fn take_hits(&mut self, passes: impl Fn(&Id) -> bool) {
        let order = self.walk();
        for index in &order {
            let node = &mut self.nodes[*index];
            // A pointer at a problem is not another problem.
            node.hit = !(self.only_problems && node.link) && passes(&node.id);
            node.hits = u32::from(node.hit);
        }
        // Parents come before their children in the walk, so that backwards every sum is whole when it is passed on.
        for index in order.iter().rev() {
            let Node { hits, parent, .. } = self.nodes[*index];
            if let Some(parent) = parent {
                self.nodes[parent].hits += hits;
            }
        }
        self.flat = false;
        self.flatten();
    }

    /// All nodes, each before what hangs below it.
    fn walk(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut stack: Vec<usize> = self.roots.iter().rev().copied().collect();
        while let Some(index) = stack.pop() {
            order.push(index);
            stack.extend(self.nodes[index].children.iter().rev());
        }
        order
    }

    pub(super) fn passes(&mut self, id: &Id, state: State) -> bool {
        self.filter.as_mut().is_none_or(|filter| filter.score(id, state).is_some())
    }

    /// Asks the filter again about one node.
    pub(super) fn rehit(&mut self, node: usize) {
        let (id, state) = (self.nodes[node].id.clone(), state_of(self.nodes[node].entry.as_ref()));
        let hit = self.passes(&id, state) && !(self.only_problems && self.nodes[node].link);
        if hit != self.nodes[node].hit {
            self.nodes[node].hit = hit;
            self.lift(Some(node), |count| *count = if hit { *count + 1 } else { *count - 1 });
            self.flat = false;
        }
    }

    /// The characters of a name that the filter found, by index.
    pub fn marks(&mut self, name: &str) -> Vec<u32> {
        self.filter.as_mut().map(|filter| filter.marks(name)).unwrap_or_default()
    }

    /// The next object with a problem after a row, folded away or not, going round; the way to it is unfolded.
    pub fn problem_after(&mut self, row: usize, forward: bool) -> Option<Spot> {
        let order = self.walk();
        let here = self.rows.get(row).and_then(|node| order.iter().position(|index| index == node)).unwrap_or(0);
        let count = order.len();
        let step = |by: usize| if forward { (here + by) % count } else { (here + count - by) % count };
        let wanted = |index: &usize| {
            let node = &self.nodes[*index];
            let kept = self.filter.is_none() || node.hit;
            kept && !node.link && is_problem(state_of(node.entry.as_ref()))
        };
        let found = (1..=count).map(|by| order[step(by)]).find(wanted)?;
        self.unfold_above(found);
        self.flatten();
        Some(self.spot_of(found))
    }
}
