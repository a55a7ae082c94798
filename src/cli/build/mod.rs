//! `weir build`: what would be applied, printed instead.
//!
//! Bases may lie beside the directory that is built, so more is read around it until the build has all it names; here is
//! how, and the commands are in files of their own.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{CliError, Cx};
use crate::base::FileTree;
use crate::outside::bases::{Bases, Policy};
use crate::outside::egress::Egress;

mod chart;
mod kustomization;
mod kustomize;
mod pull;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print what `helm template` makes of a chart
    Chart(Box<chart::Args>),
    /// Print what kustomize makes of a directory
    Kustomize(kustomize::Args),
    /// Print what a Kustomization makes of a local directory
    #[command(visible_alias = "ks")]
    Kustomization(kustomization::Args),
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    match args.what {
        What::Chart(args) => chart::run(cx, *args).await,
        What::Kustomize(args) => kustomize::run(cx, args).await,
        What::Kustomization(args) => kustomization::run(cx, args).await,
    }
}

/// Files and bytes that are read at most, so that a wrong directory does not fill the memory.
const FILES: usize = 20_000;
const BYTES: u64 = 256 << 20;
/// Directories above the given one that bases may lie in when there is no Git repository around.
const ABOVE: usize = 4;

/// What a try with one root came to.
pub(super) enum Tried<T> {
    Done(T),
    /// Something may be missing because the root is too low.
    Higher(CliError),
    Failed(CliError),
}

/// Tries a build with the directory as root, then with each directory above it, up to the Git repository around it.
///
/// `build` gets the tree and the path of the directory in it. Errors with what went wrong first.
pub(super) fn with_root<T>(
    directory: &Path,
    mut build: impl FnMut(&FileTree, &str) -> Tried<T>,
) -> Result<T, CliError> {
    let unreadable = |e| CliError::user(format!("{}: {e}", directory.display()), "");
    let directory = directory.canonicalize().map_err(unreadable)?;
    if !directory.is_dir() {
        return Err(CliError::user(format!("{} is not a directory", directory.display()), ""));
    }
    let repository = directory.ancestors().position(|above| above.join(".git").exists());
    let roots = directory.ancestors().take(repository.unwrap_or(ABOVE) + 1).filter(|root| root.parent().is_some());
    let mut failed = None;
    for root in roots {
        // A directory too large to be a repository ends the search; what was found wrong before counts.
        let tree = match read_tree(root) {
            Ok(tree) => tree,
            Err(error) => return Err(failed.unwrap_or(error)),
        };
        let below = directory.strip_prefix(root).unwrap_or(Path::new("")).to_string_lossy().into_owned();
        match build(&tree, &below) {
            Tried::Done(built) => return Ok(built),
            Tried::Higher(error) => drop(failed.get_or_insert(error)),
            Tried::Failed(error) => return Err(error),
        }
    }
    Err(failed.unwrap_or_else(|| CliError::user("there is nothing to build", "")))
}

/// Reads a directory without `.git` and without links.
fn read_tree(root: &Path) -> Result<FileTree, CliError> {
    let mut tree = FileTree::default();
    let mut bytes = 0;
    let mut directories: Vec<PathBuf> = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let refused = |e: std::io::Error| CliError::user(format!("{} cannot be read: {e}", directory.display()), "");
        for entry in std::fs::read_dir(&directory).map_err(refused)? {
            let entry = entry.map_err(refused)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(refused)?);
            if kind.is_dir() && entry.file_name() != ".git" {
                directories.push(path);
            } else if kind.is_file() {
                bytes += entry.metadata().map_err(refused)?.len();
                if tree.len() >= FILES || bytes > BYTES {
                    let hint = "run it inside a smaller directory or a Git repository";
                    return Err(CliError::user(format!("{} holds too many files", root.display()), hint));
                }
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                let content = std::fs::read(&path).map_err(refused)?;
                // A name that a Git repository could not have is no base.
                tree.insert(&name, content).ok();
            }
        }
    }
    Ok(tree)
}

/// What fetches remote bases, and the directory it works in: this person's machine may be asked for them, too.
fn bases() -> Result<(tempfile::TempDir, Bases), CliError> {
    let failed = |e| CliError::internal(format!("working files cannot be written: {e}"));
    let scratch = tempfile::tempdir().map_err(failed)?;
    let policy = Policy { egress: Egress { loopback: true }, allow_file: true, scratch: scratch.path().to_owned() };
    Ok((scratch, Bases::new(policy)))
}

/// Runs a build on a thread that may be busy for a while.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| CliError::internal(format!("the build ended: {e}")))?
}

/// Prints a result that comes in pieces, or writes it to a file.
fn put<S: AsRef<str>>(cx: &Cx, pieces: &[S], output: Option<&Path>) -> Result<(), CliError> {
    let Some(path) = output else { return cx.output.pieces(pieces) };
    let failed = |e| CliError::user(format!("{} cannot be written: {e}", path.display()), "");
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    pieces.iter().try_for_each(|piece| file.write_all(piece.as_ref().as_bytes())).map_err(failed)?;
    file.flush().map_err(failed)
}
