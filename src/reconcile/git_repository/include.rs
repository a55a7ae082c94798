//! Included repositories: another GitRepository's files, copied into this one's artifact.
//!
//! Own namespace only. The revision of the whole stays that of the main repository; what was included is told in
//! `status.includedArtifacts`. Start with [`find`] and [`copy`].

use super::super::storage::mark;
use super::super::{Cause, Context, Failure, Run};
use super::INCLUDE_UNAVAILABLE;
use crate::base::{Digest, FileTree};
use crate::engine::archive::{self, Unpack};
use crate::kinds::GitRepository;
use crate::kinds::git_repository::{Include, KIND};
use crate::kinds::meta::Artifact;
use crate::outside::artifacts::Artifacts;

/// One include with the artifact that it means now.
#[derive(Clone, Debug)]
pub(super) struct Included {
    pub include: Include,
    pub artifact: Artifact,
}

/// Whether what is included now is not what was included then.
pub(super) fn differ(now: &[Included], then: &[Artifact]) -> bool {
    let same = |(now, then): (&Included, &Artifact)| {
        now.artifact.revision == then.revision && now.artifact.digest == then.digest
    };
    now.len() != then.len() || !now.iter().zip(then).all(same)
}

/// Finds the artifacts of all included repositories.
///
/// Errors as waiting when one is not there yet.
pub(super) async fn find(cx: &Context, object: &mut GitRepository, run: &mut Run) -> Result<Vec<Included>, Failure> {
    let namespace = run.id().namespace.to_string();
    let mut all = Vec::new();
    for include in object.spec.include.clone() {
        let name = &include.repository.name;
        let wait = |reason: &str, message: String| {
            Failure::Waiting(Cause::new(reason, message), cx.options.requeue_dependency)
        };
        let found = match cx.cluster.get(&KIND.id(&namespace, name)).await {
            Ok(Some(document)) => {
                let artifact = document.pointer("/status/artifact").cloned();
                artifact.and_then(|artifact| serde_json::from_value::<Artifact>(artifact).ok())
            }
            missing => {
                let why = missing.err().map_or("it does not exist".to_owned(), |error| error.to_string());
                let message = format!("could not get resource for include '{namespace}/{name}': {why}");
                return Err(mark(object, run, INCLUDE_UNAVAILABLE, wait("NotFound", message)));
            }
        };
        let Some(artifact) = found else {
            let message = format!("no artifact available for include '{namespace}/{name}'");
            return Err(mark(object, run, INCLUDE_UNAVAILABLE, wait("NoArtifact", message)));
        };
        all.push(Included { include, artifact });
    }
    run.unset_condition(object, INCLUDE_UNAVAILABLE);
    Ok(all)
}

/// Copies the included files to their places; what stood there goes.
///
/// Errors when a path leaves the tree, and when an artifact cannot be read as its digest says.
pub(super) async fn copy(
    artifacts: &Artifacts,
    object: &mut GitRepository,
    run: &mut Run,
    included: &[Included],
    tree: &mut FileTree,
) -> Result<(), Failure> {
    for one in included {
        let name = &one.include.repository.name;
        let from = one.include.from_path.clone().unwrap_or_default();
        let to = one.include.to_path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| name.clone());
        let fail = |object: &mut GitRepository, reason: &str, why: String| {
            let message = format!("failed to copy '{name}' include from '{from}' to '{to}': {why}");
            Err(mark(object, run, INCLUDE_UNAVAILABLE, Failure::Retry(Cause::new(reason, message))))
        };
        let places = FileTree::resolve("", &from).zip(FileTree::resolve("", &to).filter(|path| !path.is_empty()));
        let Some((from_place, to_place)) = places else {
            return fail(object, "IllegalPath", "the path leaves the repository".into());
        };
        let files = match files(artifacts, &one.artifact).await {
            Ok(files) => files,
            Err(why) => return fail(object, "CopyFailure", why),
        };
        if let Err(why) = place(&files, &from_place, tree, &to_place) {
            return fail(object, "CopyFailure", why);
        }
    }
    Ok(())
}

async fn files(artifacts: &Artifacts, artifact: &Artifact) -> Result<FileTree, String> {
    let bytes = artifacts.read(&artifact.path).await.map_err(|error| error.to_string())?;
    let digest = artifact.digest.clone();
    let unpacked = tokio::task::spawn_blocking(move || {
        if Digest::sha256(&bytes).to_string() != digest {
            return Err("its artifact is not as its status says".to_owned());
        }
        archive::unpack(&bytes, &Unpack::default()).map_err(|error| error.to_string())
    });
    unpacked.await.map_err(|error| error.to_string())?
}

fn place(files: &FileTree, from: &str, tree: &mut FileTree, to: &str) -> Result<(), String> {
    if !files.is_dir(from) && files.get(from).is_none() {
        return Err("there is no such path in the included repository".into());
    }
    let replaced: Vec<String> = tree.under(to).map(|(path, _)| path.to_owned()).collect();
    replaced.iter().for_each(|path| drop(tree.remove(path)));
    tree.remove(to);
    if let Some(file) = files.get(from) {
        return tree.insert_file(to, file.clone()).map_err(|error| error.to_string());
    }
    for (path, file) in files.under(from) {
        let rest = path.strip_prefix(from).unwrap_or(path).trim_start_matches('/');
        tree.insert_file(&format!("{to}/{rest}"), file.clone()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_files_replace_what_stood_there() {
        let files: FileTree = [("deploy/a", "new"), ("deploy/sub/b", "new"), ("other", "x")].into_iter().collect();
        let mut tree: FileTree = [("vendor/old", "old"), ("keep", "k")].into_iter().collect();
        place(&files, "deploy", &mut tree, "vendor").unwrap();
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["keep", "vendor/a", "vendor/sub/b"]);
        place(&files, "other", &mut tree, "keep").unwrap();
        assert_eq!(&*tree.get("keep").unwrap().bytes, b"x");
        place(&files, "", &mut tree, "all").unwrap();
        assert!(tree.get("all/deploy/a").is_some());
        assert!(place(&files, "missing", &mut tree, "x").is_err());
    }
}
