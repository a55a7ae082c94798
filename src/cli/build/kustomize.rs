//! `weir build kustomize`: what kustomize makes of a directory.

use std::path::PathBuf;

use super::{Tried, bases, in_background, put, with_root};
use crate::base::yaml;
use crate::cli::{CliError, Cx};
use crate::engine::kustomize::{ErrorKind, Options, Reorder};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Directory with a kustomization.yaml
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Where files may lie: beneath the directory that names them, or anywhere
    #[arg(long, value_name = "WHERE", default_value = "LoadRestrictionsRootOnly")]
    load_restrictor: Restrictor,
    /// Refuse bases by URL instead of fetching them
    #[arg(long)]
    no_remote_bases: bool,
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

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let options = Options {
        reorder: Reorder::Legacy,
        files_anywhere: args.load_restrictor == Restrictor::LoadRestrictionsNone,
        allow_remote: !args.no_remote_bases,
        ..Options::default()
    };
    let directory = args.directory;
    let (scratch, mut bases) = bases()?;
    let work = move || {
        let _kept_until_here = scratch;
        with_root(&directory, |tree, below| match bases.build(tree, below, &options) {
            Ok((manifests, warnings)) => {
                Tried::Done((yaml::write_all(manifests.iter().map(|manifest| &manifest.value)), warnings))
            }
            Err(error) => {
                let told = CliError::user(error.to_string(), "");
                match error.kind {
                    ErrorKind::Missing | ErrorKind::Forbidden => Tried::Higher(told),
                    _ => Tried::Failed(told),
                }
            }
        })
    };
    let (text, warnings) = in_background(work).await?;
    warnings.iter().for_each(|warning| cx.output.warning(warning));
    put(cx, &[text], args.output.as_deref())
}
