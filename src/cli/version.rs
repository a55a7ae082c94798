//! `weir version`: what this binary is.

use serde_json::json;

use super::{CliError, Cx};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print as json or yaml
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    Json,
    Yaml,
}

/// The Flux minor release whose behaviour weir follows.
const FLUX: &str = "v2.9";

pub fn run(cx: &Cx, args: &Args) -> Result<(), CliError> {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let document = json!({ "weir": version, "flux": FLUX });
    match args.output {
        None => cx.output.data(&format!("weir: {version}\nflux: {FLUX} (the behaviour it follows)\n")),
        Some(Format::Json) => cx.output.data(&format!("{document:#}\n")),
        Some(Format::Yaml) => cx.output.data(&crate::base::yaml::write(&document)),
    }
}
