//! The only writer of the picture: one feeder per kind, from list to changes and back to list.
//!
//! Own loop rather than kube-runtime's: that one never lists again when a watch is refused with HTTP 410, and opens a
//! watch that closes at once ten thousand times a second. Rules here: one second between two openings whatever the
//! server does; list anew when a version is refused in either way, after three quick closes, and every ten minutes;
//! never go back to an older state; ghosts go at each list. Start with [`start`], then `Feeder::run`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Feed, Store};
use crate::base::{Api, Id, Stamp, Text, Value};
use crate::cluster::{Cluster, ClusterError, Event, FLOOR, Watch};
use crate::kinds::{self, Tie};

/// A whole comparison with the server, however quiet the watch is.
const RESYNC: Duration = Duration::from_secs(600);
/// A watch that closes sooner than this is suspect.
const QUICK: Duration = Duration::from_secs(2);
/// Suspect closes in a row before a new list.
const QUICK_CLOSES: u32 = 3;
/// Lists that are behind what was seen already, before the server is believed to have been restored from a backup.
const BEHIND: u32 = 5;
/// Longest wait after a failure that may end at any moment.
const PATIENCE: Duration = Duration::from_secs(8);
/// Wait before a denied kind is tried again, and before one that is not served is.
const DENIED: Duration = Duration::from_secs(60);
const ABSENT: Duration = Duration::from_secs(15);
/// Events taken into the picture under one lock.
const BATCH: usize = 500;
/// Deleted objects remembered, so that late news cannot raise them.
const TOMBS: usize = 10_000;
/// Kinds opened because an inventory names them.
const MORE_KINDS: usize = 512;
/// Pause between two looks for kinds that inventories name.
const LOOK: Duration = Duration::from_millis(100);

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// All namespaces when absent.
    pub namespace: Option<String>,
}

/// The running watches; they end when this is dropped.
pub struct Watching {
    tasks: JoinSet<()>,
}

/// Begins to watch every known kind, and others when an inventory owns objects of them. Needs a running runtime.
pub fn start(cluster: &Cluster, store: &Store, scope: Scope) -> Watching {
    let mut tasks = JoinSet::new();
    let mut open = HashSet::new();
    let more = store.subscribe();
    for kind in kinds::ALL {
        open.insert((kind.group.to_owned(), kind.kind.to_owned()));
        tasks.spawn(Feeder::new(cluster, store, &scope, kind.group, kind.kind).run());
    }
    let (cluster, store) = (cluster.clone(), store.clone());
    tasks.spawn(async move {
        let mut feeders = JoinSet::new();
        loop {
            let changes = more.next().await;
            for (group, kind) in owned_kinds(&store, &changes.ids) {
                if open.len() < MORE_KINDS && open.insert((group.clone(), kind.clone())) {
                    feeders.spawn(Feeder::new(&cluster, &store, &scope, &group, &kind).run());
                }
            }
            sleep(LOOK).await;
        }
    });
    Watching { tasks }
}

impl Watching {
    /// Ends all watches, and returns when they have ended.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Whether every watch has listed once or failed, those of the kinds that inventories name included.
pub fn is_whole(store: &Store) -> bool {
    let feeds = store.feeds();
    let named = || owned_kinds(store, &store.all().iter().map(|entry| entry.object.id.clone()).collect());
    let opened: HashSet<_> = feeds.iter().map(|line| (line.group.to_string(), line.kind.to_string())).collect();
    let full = opened.len() >= kinds::ALL.len() + MORE_KINDS;
    feeds.iter().all(|line| line.feed != Feed::Loading) && (full || named().is_subset(&opened))
}

fn owned_kinds(store: &Store, changed: &HashSet<Id>) -> HashSet<(String, String)> {
    let entries = changed.iter().filter_map(|id| store.get(id));
    let mut kinds = HashSet::new();
    for entry in entries {
        let owned = entry.relations.iter().filter(|relation| relation.tie == Tie::Owns);
        kinds.extend(owned.map(|relation| (relation.to.group.to_string(), relation.to.kind.to_string())));
    }
    kinds
}

/// Keeps one kind of the picture true.
struct Feeder {
    cluster: Cluster,
    store: Store,
    group: String,
    kind: String,
    namespace: Option<String>,
    /// The newest version seen on any list or watch; empty before the first.
    version: String,
    behind: u32,
    /// When the picture of this kind was last known to be true.
    seen: Option<Stamp>,
    tombs: HashMap<Id, u64>,
}

impl Feeder {
    fn new(cluster: &Cluster, store: &Store, scope: &Scope, group: &str, kind: &str) -> Self {
        // Set at once, so that whoever waits for all feeds knows of this one.
        store.set_feed(group, kind, Feed::Loading);
        Feeder {
            cluster: cluster.clone(),
            store: store.clone(),
            group: group.into(),
            kind: kind.into(),
            namespace: scope.namespace.clone(),
            version: String::new(),
            behind: 0,
            seen: None,
            tombs: HashMap::new(),
        }
    }

    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let outcome = match self.list().await {
                Ok(api) => self.follow(&api).await,
                Err(error) => Err(error),
            };
            let pause = match outcome {
                Ok(()) => {
                    failures = 0;
                    FLOOR
                }
                Err(error) => {
                    if begun.elapsed() > PATIENCE {
                        failures = 0;
                    }
                    failures += 1;
                    self.report(&error);
                    pause(&error, failures)
                }
            };
            sleep_until((begun + FLOOR).max(Instant::now() + jitter(pause))).await;
        }
    }

    /// Takes a whole list in, page by page, and lets go of what is on none of them.
    async fn list(&mut self) -> Result<Api, ClusterError> {
        let found = self.cluster.find_api(&self.group, &self.kind, None).await?;
        let api = found.ok_or_else(|| ClusterError::NoKind { what: format!("{} {}", self.group, self.kind) })?;
        let namespace = self.namespace.clone().filter(|_| api.namespaced);
        let (mut listed, mut next, mut version) = (HashSet::new(), None, String::new());
        loop {
            let page = self.cluster.page(&api, namespace.as_deref(), next).await?;
            if version.is_empty() {
                self.refuse_older(&page.resource_version)?;
                version = page.resource_version;
            }
            listed.extend(page.items.iter().filter_map(Id::of));
            self.put(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        let kept = self.store.of_kind(&self.group, &self.kind);
        let gone: Vec<Id> =
            kept.iter().map(|entry| &entry.object.id).filter(|id| !listed.contains(id)).cloned().collect();
        self.store.remove(&gone);
        self.tombs.clear();
        self.version = version;
        self.live();
        Ok(api)
    }

    /// A second API server may be behind the first: its list must not undo what was seen.
    fn refuse_older(&mut self, listed: &str) -> Result<(), ClusterError> {
        let (Some(listed), Some(seen)) = (number(listed), number(&self.version)) else { return Ok(()) };
        if listed >= seen {
            self.behind = 0;
            return Ok(());
        }
        self.behind += 1;
        if self.behind < BEHIND {
            let message = format!("its state {listed} is older than {seen}, which was seen already");
            return Err(ClusterError::Busy { what: self.kind.clone(), message, retry_after: None });
        }
        tracing::warn!("{} begins anew: the cluster went back from version {seen} to {listed}", self.kind);
        self.behind = 0;
        let kept = self.store.of_kind(&self.group, &self.kind);
        self.store.remove(&kept.iter().map(|entry| entry.object.id.clone()).collect::<Vec<_>>());
        Ok(())
    }

    /// Follows the changes until a new list is due.
    ///
    /// Errors with what a new list will not cure at once.
    async fn follow(&mut self, api: &Api) -> Result<(), ClusterError> {
        let listed = Instant::now();
        let (mut quick, mut failures) = (0, 0);
        loop {
            let opened = Instant::now();
            match self.drain(api).await {
                Ok(()) => {
                    quick = if opened.elapsed() < QUICK { quick + 1 } else { 0 };
                    failures = 0;
                }
                Err(ClusterError::TooOld { .. }) => return Ok(()),
                Err(error) if error.is_transient() => {
                    failures = if opened.elapsed() > PATIENCE { 1 } else { failures + 1 };
                    self.report(&error);
                    sleep(jitter(pause(&error, failures))).await;
                }
                Err(error) => return Err(error),
            }
            if quick >= QUICK_CLOSES {
                let message = "it closes every watch at once; the picture is listed instead".into();
                return Err(ClusterError::Busy { what: self.kind.clone(), message, retry_after: None });
            }
            if listed.elapsed() >= RESYNC {
                return Ok(());
            }
            sleep_until(opened + FLOOR).await;
        }
    }

    /// Takes in one watch until the server closes it.
    async fn drain(&mut self, api: &Api) -> Result<(), ClusterError> {
        let namespace = self.namespace.clone().filter(|_| api.namespaced);
        let mut watch = self.cluster.watch(api, namespace.as_deref(), None, &self.version).await?;
        self.live();
        while let Some(event) = watch.next().await? {
            let rest = self.batch(event, &mut watch);
            self.live();
            rest?;
        }
        Ok(())
    }

    /// Takes in an event and those that have arrived behind it.
    fn batch(&mut self, first: Event, watch: &mut Watch) -> Result<(), ClusterError> {
        let mut applied = Vec::new();
        let mut next = Some(Ok(first));
        let mut count = 0;
        while let Some(event) = next {
            match event {
                Ok(Event::Applied(document)) => {
                    self.advance(document.pointer("/metadata/resourceVersion").and_then(Value::as_str));
                    applied.push(document);
                }
                Ok(Event::Deleted(document)) => {
                    self.put(std::mem::take(&mut applied));
                    self.delete(&document);
                }
                Ok(Event::Bookmark(version)) => self.advance(Some(&version)),
                Ok(Event::Unreadable(why)) => tracing::warn!("{}: left out of the picture: {why}", self.kind),
                Err(error) => {
                    self.put(applied);
                    return Err(error);
                }
            }
            count += 1;
            next = if count < BATCH { watch.ready() } else { None };
        }
        self.put(applied);
        Ok(())
    }

    fn put(&mut self, mut documents: Vec<Value>) {
        if !self.tombs.is_empty() {
            documents.retain(|document| {
                let buried = Id::of(document).and_then(|id| self.tombs.get(&id));
                buried.is_none_or(|buried| version_of(document).is_none_or(|version| version > *buried))
            });
        }
        let refused = if documents.is_empty() { 0 } else { self.store.put(documents) };
        if refused > 0 {
            tracing::warn!("{}: {refused} documents left out of the picture: no kind or no name", self.kind);
        }
    }

    fn delete(&mut self, document: &Value) {
        self.advance(document.pointer("/metadata/resourceVersion").and_then(Value::as_str));
        let Some(id) = Id::of(document) else { return };
        if let Some(kept) = self.store.get(&id) {
            let same = document.pointer("/metadata/uid").and_then(Value::as_str) == Some(&*kept.object.uid);
            let newer =
                number(&kept.object.resource_version).zip(version_of(document)).is_some_and(|(kept, gone)| kept > gone);
            // News of an earlier object of that name, or late news.
            if !same && newer {
                return;
            }
        }
        if let Some(version) = version_of(document) {
            if self.tombs.len() >= TOMBS {
                self.tombs.clear();
            }
            self.tombs.insert(id.clone(), version);
        }
        self.store.remove(&[id]);
    }

    fn advance(&mut self, version: Option<&str>) {
        let Some(version) = version.filter(|version| !version.is_empty()) else { return };
        let older = number(version).zip(number(&self.version)).is_some_and(|(new, old)| new < old);
        if !older {
            self.version = version.to_owned();
        }
    }

    fn live(&mut self) {
        let seen = now();
        self.seen = Some(seen);
        self.store.set_feed(&self.group, &self.kind, Feed::Live { seen });
    }

    /// Says why the kind cannot be seen as it is now.
    fn report(&mut self, error: &ClusterError) {
        let why = Text::new(error.to_string());
        let feed = match (error, self.seen) {
            (ClusterError::Forbidden { .. }, _) => Feed::Denied(why),
            (ClusterError::NoKind { .. }, _) | (_, None) => Feed::Unavailable(why),
            (_, Some(since)) => Feed::Stale { since, why },
        };
        let known = self.store.feed(&self.group, &self.kind);
        if std::mem::discriminant(&known) != std::mem::discriminant(&feed) {
            tracing::info!("{} {}: {error}", self.group, self.kind);
        }
        self.store.set_feed(&self.group, &self.kind, feed);
        let lost = matches!(error, ClusterError::Forbidden { .. } | ClusterError::NoKind { .. });
        if lost && self.seen.take().is_some() {
            // What may not be read any more, or does not exist any more, must not be shown as if it were so.
            let kept = self.store.of_kind(&self.group, &self.kind);
            self.store.remove(&kept.iter().map(|entry| entry.object.id.clone()).collect::<Vec<_>>());
        }
    }
}

/// How long to wait after a failure.
fn pause(error: &ClusterError, failures: u32) -> Duration {
    match error {
        ClusterError::Forbidden { .. } => DENIED,
        ClusterError::NoKind { .. } => ABSENT,
        ClusterError::Busy { retry_after: Some(after), .. } => *after,
        _ => FLOOR.saturating_mul(1 << failures.min(6)).min(PATIENCE),
    }
}

/// Between three quarters and the whole, so that many watches do not come back at once.
fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.75 + 0.25 * rand::random::<f64>())
}

fn now() -> Stamp {
    Stamp(jiff::Timestamp::now().as_second())
}

fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

fn version_of(document: &Value) -> Option<u64> {
    number(document.pointer("/metadata/resourceVersion")?.as_str()?)
}
