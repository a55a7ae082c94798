//! `weir build chart` beside `helm template`: time and peak memory of whole processes on real charts.
//!
//! `WEIR_HELM=path WEIR_CHARTS=dir:dir cargo bench --bench charts`. Each command renders each chart several times with
//! its defaults; the fastest run counts, since load only adds. The outputs must have the same objects in the same order.
//! Without the reference only weir is measured. `WEIR_BINARY` names another weir.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

mod process;

use process::measure;

const RUNS: u32 = 20;

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
        let mine = folder.path().join("weir.yaml");
        let (time, memory) = measure(&weir, &["build", "chart"], chart, &mine, RUNS);
        println!("{name}: {} objects: weir {time:?}, {memory} KiB", kinds(&mine).len());
        let Some(reference) = &reference else { continue };
        let other = folder.path().join("helm.yaml");
        let (theirs, more) = measure(reference, &["template"], chart, &other, RUNS);
        assert!(kinds(&mine) == kinds(&other), "{name}: the outputs differ");
        #[allow(clippy::cast_precision_loss)]
        let (faster, leaner) = (theirs.as_secs_f64() / time.as_secs_f64(), more as f64 / memory as f64);
        println!(
            "{name}: helm {theirs:?}, {more} KiB: weir is {faster:.1} times faster in 1/{leaner:.1} of the memory"
        );
    }
}
