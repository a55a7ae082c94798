//! What the server does by itself: garbage collection, and bringing deleted things to their end.
//!
//! One loop over the store's log, with an index from owners to dependants; it decides from the newest state in the
//! writer, so a stale index costs a look and never an object. Namespaces, definitions and old events are in
//! `endings.rs`. Start with [`run`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Core;
use super::api_services;
use super::catalog::{Catalog, DEFINITIONS, Resource};
use super::definitions::CLEANUP;
use super::delete::{self, DeleteOptions, Propagation};
use super::endings::{self, NAMESPACES, call};
use super::object::{Key, Stored};
use super::status::Failure;
use super::store::Txn;
use super::write::Call;

/// How often old events are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Owners and dependants, by uid.
#[derive(Default)]
struct Index {
    /// Where each uid lives.
    places: HashMap<Box<str>, Key>,
    /// The dependants of each owner.
    below: HashMap<Box<str>, HashSet<Key>>,
}

impl Index {
    fn add(&mut self, key: &Key, object: &Stored) {
        self.places.insert(object.uid.clone(), key.clone());
        for owner in &object.owners {
            self.below.entry(owner.clone()).or_default().insert(key.clone());
        }
    }

    fn take(&mut self, key: &Key, object: &Stored) {
        for owner in &object.owners {
            if let Some(below) = self.below.get_mut(owner) {
                below.remove(key);
                if below.is_empty() {
                    self.below.remove(owner);
                }
            }
        }
    }

    fn remove(&mut self, key: &Key, object: &Stored) {
        self.take(key, object);
        self.places.remove(&object.uid);
    }
}

/// Things to look at; each look reads the newest state.
type Work = BTreeSet<Key>;

/// Collects until the API closes.
pub async fn run(core: Arc<Core>) {
    let mut changes = core.store.changes();
    let mut index = Index::default();
    let (mut cursor, mut swept) = (None, Instant::now());
    let mut served = core.store.read().catalog.digest.clone();
    loop {
        changes.borrow_and_update();
        let mut work = Work::new();
        cursor = Some(follow(&core, cursor, &mut index, &mut work));
        let mut retry = false;
        for key in work {
            // A refused write (a full disk, say) is tried again; everything else waits for the next change.
            retry |= settle(&core, &index, &key).await.is_err();
        }
        let digest = core.store.read().catalog.digest.clone();
        if digest != served {
            match api_services::register(&core).await {
                Ok(()) => served = digest,
                Err(_) => retry = true,
            }
        }
        if swept.elapsed() >= SWEEP {
            swept = Instant::now();
            retry |= endings::expire_events(&core).await.is_err();
        }
        if retry {
            cursor = None;
        }
        let pause = if retry { Duration::from_secs(5) } else { SWEEP };
        tokio::select! {
            () = core.closing.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Brings the index up to date and finds what to look at; from scratch when the log does not reach back.
fn follow(core: &Core, cursor: Option<u64>, index: &mut Index, work: &mut Work) -> u64 {
    let state = core.store.read();
    let Some(since) = cursor.filter(|since| *since >= state.forgotten) else {
        *index = Index::default();
        for (key, object) in &state.objects {
            index.add(key, object);
            work.insert(key.clone());
        }
        return state.revision;
    };
    let start = state.ring.partition_point(|change| change.revision <= since);
    for change in state.ring.range(start..) {
        if let Some(previous) = &change.previous {
            index.take(&change.key, previous);
        }
        if change.deleted {
            index.remove(&change.key, &change.object);
        } else {
            index.add(&change.key, &change.object);
            work.insert(change.key.clone());
        }
        // Dependants of what changed or went: they may now be garbage, or their owner free to go.
        if change.deleted || change.object.deleting {
            work.extend(index.below.get(&change.object.uid).into_iter().flatten().cloned());
        }
        let owners = change.previous.iter().flat_map(|p| p.owners.iter()).chain(change.object.owners.iter());
        work.extend(owners.filter_map(|owner| index.places.get(owner)).cloned());
        // What goes may be the last thing that holds its namespace or definition.
        if change.deleted {
            work.insert(Key::new(&NAMESPACES.into(), "", &change.key.namespace));
            let custom = state.catalog.stored(&change.key.storage).and_then(|r| r.custom.as_ref());
            work.extend(custom.map(|c| Key::new(&DEFINITIONS.into(), "", &c.definition)));
        }
    }
    state.revision
}

/// Looks at one object and does what is due.
async fn settle(core: &Arc<Core>, index: &Index, key: &Key) -> Result<(), Failure> {
    let (found, catalog) = {
        let state = core.store.read();
        (state.get(key).cloned(), state.catalog.clone())
    };
    let Some(object) = found else { return Ok(()) };
    let Some(resource) = catalog.stored(&key.storage).cloned() else { return Ok(()) };
    if object.deleting {
        return end(core, index, &catalog, &resource, key, &object).await;
    }
    if key.storage.as_ref() == NAMESPACES {
        return endings::furnish(core, &key.name).await;
    }
    if object.owners.is_empty() || !may_be_garbage(core, index, key, &object) {
        return Ok(());
    }
    let call = call(core, &resource, &key.namespace, &key.name);
    let places = index.places_of(&object);
    core.store
        .write(move |txn| {
            drop_dead_owners(txn, &call, &places);
            Ok(())
        })
        .await
}

impl Index {
    fn places_of(&self, object: &Stored) -> HashMap<Box<str>, Key> {
        let owners = object.owners.iter();
        owners.filter_map(|uid| self.places.get(uid).map(|key| (uid.clone(), key.clone()))).collect()
    }
}

fn may_be_garbage(core: &Core, index: &Index, key: &Key, object: &Stored) -> bool {
    let state = core.store.read();
    object.owners.iter().any(|uid| {
        let owner = index.places.get(uid).and_then(|place| state.get(place).map(|owner| (place, owner)));
        // An owner in another namespace is none: the real collector does not find it either.
        owner.is_none_or(|(place, owner)| {
            let apart = !place.namespace.is_empty() && place.namespace != key.namespace;
            owner.uid != *uid || apart || owner.deleting
        })
    })
}

/// Removes references to owners that are gone; an object none of whose owners lives is deleted.
fn drop_dead_owners(txn: &mut Txn<'_>, call: &Call, places: &HashMap<Box<str>, Key>) {
    let Some(object) = txn.get(&call.key()) else { return };
    let mut value = object.value();
    let references = value["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let (mut living, mut waiting) = (Vec::new(), 0);
    for reference in &references {
        let uid = reference["uid"].as_str().unwrap_or_default();
        let owner = places.get(uid).and_then(|key| Some((key, txn.get(key)?)));
        let Some((_, owner)) = owner.filter(|(key, owner)| {
            owner.uid.as_ref() == uid && (key.namespace.is_empty() || *key.namespace == *call.namespace)
        }) else {
            continue;
        };
        let foreground = owner.deleting && holds(&owner, "foregroundDeletion");
        waiting += usize::from(foreground);
        living.push(reference.clone());
    }
    if living.is_empty() || waiting == living.len() {
        // Dependants of an owner that waits for them go the same way, so that it waits for theirs too.
        let propagation = Some(if waiting > 0 { Propagation::Foreground } else { Propagation::Background });
        let options = DeleteOptions { propagation, uid: Some(object.uid.to_string()), ..DeleteOptions::default() };
        if !object.deleting {
            let kept = keep_orphan(&object, options);
            let _ = delete::remove(txn, call, &kept);
        }
    } else if living.len() != references.len() {
        value["metadata"]["ownerReferences"] = living.into();
        txn.put(call.key(), value);
    }
}

fn keep_orphan(object: &Stored, options: DeleteOptions) -> DeleteOptions {
    // An object that was told to leave its dependants alone is deleted as it was told.
    if holds(object, "orphan") || options.propagation == Some(Propagation::Background) {
        return DeleteOptions { propagation: None, ..options };
    }
    options
}

fn holds(object: &Stored, finalizer: &str) -> bool {
    let value = object.value();
    value["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|f| f == finalizer))
}

/// Brings an object that is being deleted closer to its end, as far as that is the server's part.
async fn end(
    core: &Arc<Core>,
    index: &Index,
    catalog: &Arc<Catalog>,
    resource: &Arc<Resource>,
    key: &Key,
    object: &Stored,
) -> Result<(), Failure> {
    let call = call(core, resource, &key.namespace, &key.name);
    if key.storage.as_ref() == NAMESPACES {
        let kinds = catalog.namespaced();
        return core
            .store
            .write(move |txn| {
                endings::empty_namespace(txn, &call, &kinds);
                Ok(())
            })
            .await;
    }
    if key.storage.as_ref() == DEFINITIONS && holds(object, CLEANUP) {
        let instances = endings::instances_of(catalog, &key.name);
        return core
            .store
            .write(move |txn| {
                endings::empty_definition(txn, &call, instances);
                Ok(())
            })
            .await;
    }
    let below: Vec<Key> = index.below.get(&object.uid).into_iter().flatten().cloned().collect();
    if holds(object, "orphan") {
        let uid = object.uid.clone();
        return core
            .store
            .write(move |txn| {
                below.iter().for_each(|key| forget_owner(txn, key, &uid));
                delete::release(txn, &call, &["orphan"]);
                Ok(())
            })
            .await;
    }
    if holds(object, "foregroundDeletion") {
        let uid = object.uid.clone();
        return core
            .store
            .write(move |txn| {
                let waits = below.iter().any(|key| txn.get(key).is_some_and(|object| blocks(&object, &uid)));
                if !waits {
                    delete::release(txn, &call, &["foregroundDeletion"]);
                }
                Ok(())
            })
            .await;
    }
    Ok(())
}

fn blocks(object: &Stored, owner: &str) -> bool {
    let value = object.value();
    let references = value["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    references.iter().any(|r| r["uid"] == owner && r["blockOwnerDeletion"] == true)
}

fn forget_owner(txn: &mut Txn<'_>, key: &Key, owner: &str) {
    let Some(object) = txn.get(key) else { return };
    let mut value = object.value();
    let Some(references) = value["metadata"]["ownerReferences"].as_array_mut() else { return };
    references.retain(|reference| reference["uid"] != owner);
    if references.is_empty() {
        super::admit::remove(&mut value["metadata"], "ownerReferences");
    }
    txn.put(key.clone(), value);
}
