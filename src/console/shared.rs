//! What every screen may read: the picture, the look, the keys, the clock. Only the console changes it, between messages.

use std::sync::Arc;
use std::time::Duration;

use super::keys::Keys;
use super::look::Look;
use super::message::Target;
use crate::base::{Id, Stamp, State, Text};
use crate::config::{Depth, Source};
use crate::kinds::Tie;
use crate::store::{Activity, Entry, Feed, FeedLine, Store};

/// Read by screens, changed by the console alone.
pub struct Shared {
    pub store: Store,
    pub activity: Activity,
    /// Which API server this is, in words.
    pub place: Text,
    /// Weir itself is the cluster.
    pub embedded: bool,
    /// Reconcilers run in this process and stop with it.
    pub reconciling: bool,
    /// A demo repository can be committed to.
    pub demo: bool,
    pub read_only: bool,
    /// What a reconciliation would change can be told here.
    pub foresees: bool,
    pub look: Look,
    /// A person's own theme text, which lies over every theme.
    pub own_theme: Option<Source>,
    pub depth: Depth,
    pub keys: Keys,
    pub now: Stamp,
    /// When the key that is being answered was pressed, since the start; and the one before it.
    pub pressed: Duration,
    pub pressed_before: Duration,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// As of the last change of a feed.
    pub feeds: Vec<FeedLine>,
}

/// How old a stale picture may be for a verb to be taken, in seconds.
const OLDEST_FOR_VERBS: i64 = 60;

impl Shared {
    /// The state of an object as one looks at it; what is not in the picture is not known to be well.
    pub fn state(&self, id: &Id) -> State {
        self.store.get(id).map_or(State::Unknown, |entry| entry.health.state)
    }

    /// Binds an id to the object that it names now.
    pub fn target(&self, id: &Id) -> Target {
        let uid = self.store.get(id).map_or_else(String::new, |entry| entry.object.uid.to_string());
        Target { id: id.clone(), uid }
    }

    /// How well a kind can be seen; loading until the first word of it.
    pub fn feed(&self, group: &str, kind: &str) -> Option<&Feed> {
        self.feeds.iter().find(|line| &*line.group == group && &*line.kind == kind).map(|line| &line.feed)
    }

    /// Why no verb is taken for an object now, because what is seen of its kind is too old.
    pub fn too_old(&self, id: &Id) -> Option<i64> {
        match self.feed(&id.group, &id.kind) {
            Some(Feed::Stale { since, .. }) => Some(self.now.0 - since.0).filter(|age| *age > OLDEST_FOR_VERBS),
            _ => None,
        }
    }

    /// Why an object that is named somewhere is not in the picture, in words.
    pub fn absence(&self, id: &Id) -> &'static str {
        self.feed(&id.group, &id.kind).map_or("its kind cannot be watched", Feed::absence)
    }
}

/// Why something is not well: the first cause up the chain of what it waits for and is built from.
///
/// Ten victims of one outage then name one cause and not each other.
pub fn root_cause(store: &Store, id: &Id) -> Option<Arc<Entry>> {
    const FARTHEST: usize = 32;
    let mut cause: Option<Arc<Entry>> = None;
    let mut seen = vec![id.clone()];
    let mut entry = store.get(id)?;
    while seen.len() < FARTHEST {
        let needs = entry.relations.iter().filter(|relation| matches!(relation.tie, Tie::DependsOn | Tie::Source));
        let next = needs
            .filter(|relation| !seen.contains(&relation.to))
            .find_map(|relation| store.get(&relation.to).filter(|needed| !matches!(needed.health.state, State::Ready)));
        let Some(next) = next else { break };
        seen.push(next.object.id.clone());
        cause = Some(next.clone());
        entry = next;
    }
    cause
}

/// How many objects wait for this one or are built from it.
pub fn victims(store: &Store, id: &Id) -> usize {
    store.pointing_at(id).iter().filter(|(tie, _)| matches!(tie, Tie::DependsOn | Tie::Source)).count()
}

/// Whether a person should look at it.
pub fn is_problem(state: State) -> bool {
    matches!(state, State::Failed | State::Unknown | State::Waiting)
}

/// The state of what may be missing.
pub fn state_of(entry: Option<&Arc<Entry>>) -> State {
    entry.map_or(State::Unknown, |entry| entry.health.state)
}

/// The seconds until the printed age of `then` changes, counted as [`crate::base::Age`] prints it.
pub fn age_lasts(then: Stamp, now: Stamp) -> i64 {
    let age = (now.0 - then.0).max(0);
    let step = match age {
        ..600 => 1,
        ..28_800 => 60,
        ..691_200 => 3_600,
        _ => 86_400,
    };
    step - age % step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Age;

    #[test]
    fn an_age_is_the_same_until_it_is_said_to_change() {
        let mut age = 0;
        while age < 2_000_000 {
            let lasts = age_lasts(Stamp(0), Stamp(age));
            assert!(lasts >= 1);
            assert_eq!(Age(age).to_string(), Age(age + lasts - 1).to_string(), "at {age}");
            age += lasts;
        }
    }
}
