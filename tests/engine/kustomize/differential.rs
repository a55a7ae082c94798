//! Real repositories, built by both. `WEIR_KUSTOMIZE_TREES` names checked-out repositories, divided by colons.

use std::path::Path;

use super::compare::{difference, options, ours, reference, theirs, tree_of};

/// What a directory that cannot be built offline, or only with plugins, says in the reference.
const OUT_OF_SCOPE: [&str; 12] = [
    "must specify --enable-helm",
    "external plugins disabled",
    "only available to those",
    "git fetch",
    "git clone",
    "failed to run",
    "dial tcp",
    "lookup ",
    "--enable-alpha-plugins",
    "--enable-helm",
    "git init",
    "evalsymlink failure on",
];

fn is_remote(text: &str) -> bool {
    ["http://", "https://", "git@", "github.com/", "ssh://"].iter().any(|part| text.contains(part))
}

#[test]
fn real_repositories_come_out_as_from_kustomize() {
    let (Some(reference), Ok(trees)) = (reference(), std::env::var("WEIR_KUSTOMIZE_TREES")) else {
        eprintln!("skipped: set WEIR_KUSTOMIZE and WEIR_KUSTOMIZE_TREES to compare with the reference");
        return;
    };
    let mut wrong = Vec::new();
    let (mut same, mut both_fail, mut skipped) = (0, 0, 0);
    for root in trees.split(':').map(Path::new) {
        let tree = tree_of(root);
        let directories: Vec<String> = tree
            .iter()
            .filter_map(|(path, _)| path.rsplit_once('/').or(Some(("", path))))
            .filter(|(_, name)| ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(name))
            .map(|(directory, _)| directory.to_owned())
            .collect();
        for directory in directories {
            let mine = ours(&tree, &directory, &options());
            let place = format!("{}/{directory}", root.display());
            if mine.as_ref().is_err_and(|error| is_remote(error)) {
                skipped += 1;
                continue;
            }
            match (mine, theirs(&reference, &root.join(&directory))) {
                (Ok(mine), Ok(other)) => match difference(&mine, &other) {
                    None => same += 1,
                    Some(place_in) => wrong.push(format!("{place}: {place_in}")),
                },
                (Err(_), Err(other)) if !OUT_OF_SCOPE.iter().any(|part| other.contains(part)) => both_fail += 1,
                (_, Err(other)) if OUT_OF_SCOPE.iter().any(|part| other.contains(part)) => skipped += 1,
                (Err(mine), Ok(_)) => wrong.push(format!("{place}: only weir fails: {mine}")),
                (Ok(_), Err(other)) => {
                    wrong.push(format!(
                        "{place}: only kustomize fails: {}",
                        other.chars().rev().take(400).collect::<String>().chars().rev().collect::<String>()
                    ));
                }
                (Err(_), Err(_)) => skipped += 1,
            }
        }
    }
    eprintln!("{same} the same, {both_fail} fail in both, {skipped} out of scope, {} differ", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
