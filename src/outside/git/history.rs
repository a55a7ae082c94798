//! Commits in an object database: which of several is meant, what a tag names, what belongs to a branch.

use std::collections::{BTreeSet, HashSet};

use gix::hash::ObjectId;
use gix::objs::FindExt;
use gix::odb::Handle;

use super::choose::{self, Advertised, Chosen};
use super::error::GitError;
use super::origin::{Origin, Scratch};
use super::stop::Stop;
use super::tree::{Limits, damaged};
use super::wire::Depth;
use super::{Commit, Person, Reference};

/// Fetches the candidates and picks the one committed last; there is more than one only for equal versions.
pub(super) fn latest(
    origin: &mut Origin,
    mut found: Vec<Chosen>,
    scratch: &Scratch,
    limits: &Limits,
    stop: &Stop,
) -> Result<(Chosen, Handle), GitError> {
    let wants: BTreeSet<ObjectId> = found.iter().map(|chosen| chosen.found.direct).collect();
    let wants: Vec<ObjectId> = wants.into_iter().collect();
    let objects = origin.fetch(&wants, Depth::One, scratch, limits, stop)?;
    let mut times = Vec::new();
    for chosen in &mut found {
        chosen.found.peeled = peel(&objects, chosen.found.direct)?;
        times.push(read_commit(&objects, chosen.found.peeled)?.0.committer.seconds);
    }
    let best = (0..found.len()).max_by_key(|at| times[*at]).unwrap_or_default();
    Ok((found.swap_remove(best), objects))
}

/// Finds a commit in the history of its branch, or of all branches and tags.
///
/// The whole history is fetched unless the commit is a tip, because servers also give out commits of other people's
/// forks: that the commit belongs to the branch is what makes the revision true.
pub(super) fn commit_in_history(
    origin: &mut Origin,
    reference: &Reference,
    id: ObjectId,
    scratch: &Scratch,
    limits: &Limits,
    stop: &Stop,
) -> Result<Handle, GitError> {
    let listing = origin.list(&reference.prefixes())?;
    let wanted_branch = match reference {
        Reference::Commit { branch: Some(branch), .. } => Some(format!("refs/heads/{branch}")),
        _ => None,
    };
    let tips: Vec<&Advertised> = match &wanted_branch {
        Some(full) => listing.iter().filter(|found| found.name == *full).collect(),
        // Servers that list everything list other people's proposals too.
        None => {
            listing.iter().filter(|f| f.name.starts_with("refs/heads/") || f.name.starts_with("refs/tags/")).collect()
        }
    };
    let missing = || GitError::ReferenceMissing {
        wanted: reference.to_string(),
        url: origin.url().to_owned(),
        hint: choose::hint(&listing),
    };
    if tips.is_empty() {
        return Err(if wanted_branch.is_some() { missing() } else { origin.missing_or_empty(missing()) });
    }
    let not_found = missing();
    if let Some(tip) = tips.iter().find(|tip| tip.peeled == id) {
        return origin.fetch(&[tip.direct], Depth::One, scratch, limits, stop);
    }
    let wants: BTreeSet<ObjectId> = tips.iter().map(|tip| tip.direct).collect();
    let wants: Vec<ObjectId> = wants.into_iter().collect();
    let objects = origin.fetch(&wants, Depth::All, scratch, limits, stop)?;
    match reachable(&objects, &wants, id, stop)? {
        true => Ok(objects),
        false => Err(not_found),
    }
}

/// Whether a commit lies in the history of some tips.
fn reachable(objects: &Handle, tips: &[ObjectId], wanted: ObjectId, stop: &Stop) -> Result<bool, GitError> {
    let mut seen: HashSet<ObjectId> = Default::default();
    let mut pending: Vec<ObjectId> = Vec::new();
    for tip in tips {
        // A tag may name a tree or a file: it has no history.
        pending.extend(peel(objects, *tip).ok());
    }
    while let Some(id) = pending.pop() {
        if id == wanted {
            return Ok(true);
        }
        if seen.len().is_multiple_of(1024) {
            stop.check()?;
        }
        if seen.insert(id) {
            let mut buffer = Vec::new();
            // The end of a shallow history is not damage.
            if let Ok(commit) = objects.find_commit_iter(&id, &mut buffer) {
                pending.extend(commit.parent_ids());
            }
        }
    }
    Ok(false)
}

/// Follows annotated tags to a commit.
pub(super) fn peel(objects: &Handle, mut id: ObjectId) -> Result<ObjectId, GitError> {
    for _ in 0..16 {
        let mut buffer = Vec::new();
        let found = objects.find(&id, &mut buffer).map_err(|e| damaged(&e))?;
        match found.kind {
            gix::objs::Kind::Commit => return Ok(id),
            gix::objs::Kind::Tag => {
                let tag = objects.find_tag_iter(&id, &mut buffer).map_err(|e| damaged(&e))?;
                id = tag.target_id().map_err(|e| damaged(&e))?;
            }
            _ => return Err(GitError::Object(format!("{id} is neither a commit nor a tag of one"))),
        }
    }
    Err(GitError::Object("tags are nested too deep".into()))
}

pub(super) fn read_commit(objects: &Handle, id: ObjectId) -> Result<(Commit, ObjectId), GitError> {
    let mut buffer = Vec::new();
    let commit = objects.find_commit(&id, &mut buffer).map_err(|e| damaged(&e))?;
    let person = |signature: Option<gix::actor::SignatureRef<'_>>| match signature {
        Some(found) => Person {
            name: found.name.to_string(),
            email: found.email.to_string(),
            seconds: found.time().map_or(0, |time| time.seconds),
        },
        None => Person::default(),
    };
    let read = Commit {
        hash: id.to_string(),
        author: person(commit.author().ok()),
        committer: person(commit.committer().ok()),
        message: commit.message.to_string(),
        parents: commit.parents().map(|parent| parent.to_string()).collect(),
    };
    Ok((read, commit.tree()))
}
