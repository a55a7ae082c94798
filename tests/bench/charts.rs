//! `weir build chart` beside `helm template`: time and peak memory of whole processes on real charts.
//!
//! `WEIR_HELM=path WEIR_CHARTS=dir:dir cargo bench --bench charts`. The commands render each chart several times
//! with its defaults, in turns. The outputs must have the same objects in the same order.
//! Without the reference only weir is measured. `WEIR_BINARY` names another weir.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

mod process;

use process::{Subject, report};

const RUNS: usize = 30;

fn kinds(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| line.starts_with("kind:")).map(str::to_owned).collect()
}

fn main() {
    let weir = std::env::var_os("WEIR_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_weir")), PathBuf::from);
    let reference = std::env::var_os("WEIR_HELM").map(PathBuf::from);
    let Ok(charts) = std::env::var("WEIR_CHARTS") else {
        println!("skipped: set WEIR_CHARTS to directories of charts, divided by colons");
        return;
    };
    if reference.is_none() {
        println!("WEIR_HELM is not set: only weir is measured");
    }
    let folder = tempfile::tempdir().unwrap();
    for chart in charts.split(':').map(Path::new) {
        let name = chart.file_name().unwrap().to_string_lossy();
        let (mine, other) = (folder.path().join("weir.yaml"), folder.path().join("helm.yaml"));
        let mut subjects = vec![Subject { program: &weir, arguments: &["build", "chart"], output: &mine }];
        if let Some(reference) = &reference {
            subjects.push(Subject { program: reference, arguments: &["template"], output: &other });
        }
        report(&name, &subjects, chart, RUNS);
        println!("{name}: {} objects", kinds(&mine).len());
        assert!(reference.is_none() || kinds(&mine) == kinds(&other), "{name}: the outputs differ");
    }
}
