//! `weir build kustomize`: what kustomize makes of a directory.

use std::path::PathBuf;

use super::{Tried, in_background, put, with_root};
use crate::base::yaml;
use crate::cli::{CliError, Cx};
use crate::engine::kustomize::{self, Answers, ErrorKind, Need, Options, Output, Reorder};

#[derive(clap::Args, Debug)]
pub struct Args {
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

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let options = Options {
        reorder: Reorder::Legacy,
        files_anywhere: args.load_restrictor == Restrictor::LoadRestrictionsNone,
        ..Options::default()
    };
    let directory = args.directory;
    let work = move || {
        with_root(&directory, |tree, below| match kustomize::build(tree, below, &options, &Answers::default()) {
            Ok(Output::Built { manifests, warnings }) => {
                Tried::Done((yaml::write_all(manifests.iter().map(|manifest| &manifest.value)), warnings))
            }
            Ok(Output::Need(Need::Remote(address))) => {
                let hint = "fetch it yourself and name the directory instead";
                Tried::Failed(CliError::user(format!("the base {address} is remote"), hint))
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
    put(cx, &text, args.output.as_deref())
}
