//! Time and peak memory of whole processes, for the benches that compare commands.
//!
//! Peak memory is `VmHWM` of /proc, watched until the process ends. Start with [`measure`].

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command once: time, peak memory in KiB.
fn once(program: &Path, arguments: &[&str], directory: &Path, output: &Path) -> (Duration, u64) {
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .arg(directory)
        .stdout(fs::File::create(output).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        // The line is gone once the process has given its memory back.
        while let Some(now) = fs::read_to_string(&status).ok().and_then(|text| high_water(&text)) {
            peak = now.max(peak);
            std::thread::sleep(Duration::from_micros(200));
        }
        peak
    });
    let ended = child.wait().unwrap();
    let time = start.elapsed();
    assert!(ended.success(), "{} fails", program.display());
    (time, watch.join().unwrap())
}

fn high_water(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Several runs: the least time, the most memory.
pub fn measure(program: &Path, arguments: &[&str], directory: &Path, output: &Path, runs: u32) -> (Duration, u64) {
    let all: Vec<(Duration, u64)> = (0..runs).map(|_| once(program, arguments, directory, output)).collect();
    (all.iter().map(|run| run.0).min().unwrap(), all.iter().map(|run| run.1).max().unwrap())
}
