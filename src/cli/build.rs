//! `weir build`: what would be applied, without a cluster.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{CliError, Cx};
use crate::base::{FileTree, yaml};
use crate::engine::kustomize::{self, Answers, ErrorKind, Need, Options, Output, Reorder};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print what kustomize makes of a directory
    Kustomize(Kustomize),
}

#[derive(clap::Args, Debug)]
struct Kustomize {
    /// Directory with a kustomization.yaml
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Where files may lie: beneath the directory that names them, or anywhere
    #[arg(long, value_name = "WHERE", default_value = "LoadRestrictionsRootOnly")]
    load_restrictor: Restrictor,
    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Named as kustomize names them.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[value(rename_all = "PascalCase")]
enum Restrictor {
    LoadRestrictionsRootOnly,
    LoadRestrictionsNone,
}

/// Files and bytes that are read at most, so that a wrong directory does not fill the memory.
const FILES: usize = 20_000;
const BYTES: u64 = 256 << 20;
/// Directories above the given one that bases may lie in when there is no Git repository around.
const ABOVE: usize = 4;

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    match args.what {
        What::Kustomize(args) => {
            let built = tokio::task::spawn_blocking(move || (build(&args), args)).await;
            let (built, args) = built.map_err(|e| CliError::internal(format!("the build ended: {e}")))?;
            let (text, warnings) = built?;
            warnings.iter().for_each(|warning| cx.output.warning(warning));
            match &args.output {
                None => cx.output.data(&text),
                Some(path) => std::fs::write(path, text)
                    .map_err(|e| CliError::user(format!("{} cannot be written: {e}", path.display()), "")),
            }
        }
    }
}

/// Builds a directory; bases may lie beside it, so more is read around it until the build has all it names.
fn build(args: &Kustomize) -> Result<(String, Vec<String>), CliError> {
    let directory = args.directory.canonicalize();
    let directory = directory.map_err(|e| CliError::user(format!("{}: {e}", args.directory.display()), ""))?;
    if !directory.is_dir() {
        return Err(CliError::user(format!("{} is not a directory", args.directory.display()), ""));
    }
    let options = Options {
        reorder: Reorder::Legacy,
        files_anywhere: args.load_restrictor == Restrictor::LoadRestrictionsNone,
        ..Options::default()
    };
    let repository = directory.ancestors().find(|above| above.join(".git").exists());
    let highest = match repository {
        Some(repository) => directory.ancestors().position(|above| above == repository).unwrap_or_default(),
        None => ABOVE,
    };
    let roots = directory.ancestors().take(highest + 1).filter(|root| root.parent().is_some());
    let mut failed = None;
    for root in roots {
        // A directory too large to be a repository ends the search; what was found wrong before counts.
        let tree = match read_tree(root) {
            Ok(tree) => tree,
            Err(error) => return Err(failed.unwrap_or(error)),
        };
        let below = directory.strip_prefix(root).unwrap_or(Path::new("")).to_string_lossy().replace('\\', "/");
        match kustomize::build(&tree, &below, &options, &Answers::default()) {
            Ok(Output::Built { manifests, warnings }) => {
                return Ok((yaml::write_all(manifests.iter().map(|manifest| &manifest.value)), warnings));
            }
            Ok(Output::Need(Need::Remote(address))) => {
                let hint = "fetch it yourself and name the directory instead";
                return Err(CliError::user(format!("the base {address} is remote"), hint));
            }
            Err(error) => {
                let further = matches!(error.kind, ErrorKind::Missing | ErrorKind::Forbidden);
                let told = CliError::user(error.to_string(), "");
                if !further {
                    return Err(told);
                }
                failed.get_or_insert(told);
            }
        }
    }
    Err(failed.unwrap_or_else(|| CliError::user("there is nothing to build", "")))
}

/// Reads a directory without `.git` and without links.
fn read_tree(root: &Path) -> Result<FileTree, CliError> {
    let mut tree = FileTree::default();
    let mut bytes = 0;
    let mut directories = vec![root.to_path_buf()];
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
